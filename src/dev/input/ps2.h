/*
 * ps2.h - PS/2 keyboard and mouse as the keyboard controller sees them,
 * private to input/.
 */
#ifndef DEV_INPUT_PS2_H
#define DEV_INPUT_PS2_H

#include <stdbool.h>
#include <stdint.h>

struct state_list; /* dev/state.h */

#define PS2_QUEUE   64 /* bytes that wait for the controller */
#define PS2_ANSWERS 16 /* of them, only answers to commands get these */

struct ps2_queue {
	uint8_t byte[PS2_QUEUE];
	unsigned first, n;
};

struct ps2_kbd {
	struct ps2_queue out;
	bool scanning;
	uint8_t command; /* waits for its argument, or 0 */
	uint8_t leds, rate, set;
	uint8_t last;	    /* sent, for resend */
	uint8_t breaks[32]; /* set 3: a bit per code */
};

struct ps2_mouse {
	struct ps2_queue out;
	bool reporting, remote, wrap;
	uint8_t command;
	uint8_t rate, resolution, scaling;
	uint8_t type;	  /* 0 plain, 3 wheel, 4 five buttons */
	uint8_t knock[3]; /* the last three sampling rates */
	uint8_t last;
	uint8_t buttons;
	int dx, dy, dz; /* not reported yet */
};

int ps2_queue_take(struct ps2_queue *q); /* a byte or -1 */

void ps2_kbd_reset(struct ps2_kbd *k);
void ps2_kbd_write(struct ps2_kbd *k, uint8_t val);
/* code as in i8042.h; sends scan codes of the set in use. */
void ps2_kbd_key(struct ps2_kbd *k, unsigned code, bool down);
/* Scan code set 2 -> 1, as the controller translates; *release carries the
 * F0 prefix from call to call.  -1: nothing to pass on. */
int ps2_translate(uint8_t byte, bool *release);

void ps2_mouse_reset(struct ps2_mouse *m);
void ps2_mouse_write(struct ps2_mouse *m, uint8_t val);
void ps2_mouse_move(
	struct ps2_mouse *m, int dx, int dy, int dz, unsigned buttons);
/* There may be room for another packet. */
void ps2_mouse_report(struct ps2_mouse *m);

extern const struct state_list ps2_kbd_state, ps2_mouse_state;

#endif
