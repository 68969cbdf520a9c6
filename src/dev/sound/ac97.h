/*
 * ac97.h - the AC '97 controller of an Intel 82801AA with one codec.
 */
#ifndef DEV_SOUND_AC97_H
#define DEV_SOUND_AC97_H

#include "dev/dev.h"

extern const struct dev_class ac97_class;

#endif
