/*
 * i8254.h - interval timer and port 0x61.  Drives line 0 of dev_host.gsi.
 */
#ifndef DEV_TIMER_I8254_H
#define DEV_TIMER_I8254_H

#include "dev/dev.h"

#define I8254_HZ 1193182u

extern const struct dev_class i8254_class;

/*
 * The loudspeaker: what channel 2 gives, while port 0x61 lets it through.
 * Lock held.
 */
/* Called before (done false) and after either changes. */
void i8254_set_speaker(
	struct dev *d, void (*change)(void *opaque, bool done), void *opaque);
/* Port 0x61 lets it through. */
bool i8254_speaker_on(const struct dev *d);
/* It does, and channel 2 oscillates. */
bool i8254_speaks(const struct dev *d);
/* For how many ticks of I8254_HZ it is high from one to the other.  Time must
 * not go back from call to call. */
uint64_t i8254_speaker_high(struct dev *d, uint64_t from, uint64_t to);

#endif
