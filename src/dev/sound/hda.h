/*
 * hda.h - an Intel High Definition Audio controller with one codec.
 */
#ifndef DEV_SOUND_HDA_H
#define DEV_SOUND_HDA_H

#include "dev/dev.h"

/* dev_host.index: 0 an 82801FB's (ICH6), 1 an 82801I's (ICH9). */

extern const struct dev_class hda_class;

#endif
