/*
 * gameport.h - the game port of a PC, at 201.
 */
#ifndef DEV_INPUT_GAMEPORT_H
#define DEV_INPUT_GAMEPORT_H

#include "dev/dev.h"

#define GAMEPORT_AXES	 4
#define GAMEPORT_MAX	 255  /* of an axis; the middle is 128 */
#define GAMEPORT_NOTHING (-1) /* no joystick has this axis */

extern const struct dev_class gameport_class;

/* Where the sticks are, and buttons 1 to 4 from bit 0.  Lock held. */
void gameport_set(
	struct dev *d, const int axis[GAMEPORT_AXES], unsigned buttons);

#endif
