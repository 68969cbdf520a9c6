/*
 * i8237.h - the two DMA controllers of a PC and their page registers.
 *
 * A device that stands on a channel calls in when it has data or wants some;
 * what the channel is programmed to decides what happens.  Lock held.
 */
#ifndef DEV_MISC_I8237_H
#define DEV_MISC_I8237_H

#include "dev/dev.h"

extern const struct dev_class i8237_class;

enum i8237_kind { /* as in the mode register */
	I8237_VERIFY,
	I8237_TO_MEMORY,
	I8237_FROM_MEMORY,
	I8237_ILLEGAL,
};

/* What the channel is programmed for. */
enum i8237_kind i8237_kind(const struct dev *d, unsigned channel);
/* Transfers would happen now: enabled, not masked. */
bool i8237_ready(const struct dev *d, unsigned channel);
/* Move up to len bytes between buf and memory, as the channel says (verify:
 * none, but they count).  How many; *tc: the channel has come to its terminal
 * count with the last one.  Channels 5 to 7 move pairs of bytes. */
unsigned i8237_transfer(
	struct dev *d, unsigned channel, uint8_t *buf, unsigned len, bool *tc);
/* The request line, for the status register. */
void i8237_request(struct dev *d, unsigned channel, bool on);

/* Called before anybody looks at registers or changes them: a device whose
 * position follows from the clock moves on first.  Owned by the caller, who
 * takes it away before it goes. */
struct i8237_watch {
	void (*look)(void *opaque);
	void *opaque;
	struct i8237_watch *next;
};

void i8237_watch(struct dev *d, struct i8237_watch *w);
void i8237_unwatch(struct dev *d, struct i8237_watch *w);

/* Let channel 4 pass on the requests of 0 to 3, as firmware has it done. */
void i8237_cascade(struct dev *d);

#endif
