/*
 * i8042.h - keyboard controller with PS/2 keyboard (line 1) and mouse (12).
 */
#ifndef DEV_INPUT_I8042_H
#define DEV_INPUT_I8042_H

#include "dev/dev.h"

extern const struct dev_class i8042_class;

/*
 * A key went down or up.  code is the set 1 scan code (0x01..0x7f); 0x80 set
 * for those with the prefix E0 (0xcb = left arrow).  I8042_KEY_PAUSE is the
 * Pause key.  Lock held; events that find the queue full are dropped.
 */
#define I8042_KEY_PAUSE 0x100
void i8042_key(struct dev *d, unsigned code, bool down);

/* All that keys sent has been read.  Lock held. */
bool i8042_keys_idle(const struct dev *d);

/* Relative motion (right and down positive), wheel (up positive), buttons:
 * bit 0 left, 1 right, 2 middle. */
void i8042_mouse(struct dev *d, int dx, int dy, int dz, unsigned buttons);

#endif
