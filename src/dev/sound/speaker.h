/*
 * speaker.h - the loudspeaker of a PC.
 */
#ifndef DEV_SOUND_SPEAKER_H
#define DEV_SOUND_SPEAKER_H

#include "dev/dev.h"

extern const struct dev_class speaker_class;

/* What it hangs on: dev/timer/i8254.h, which must outlive it.  Lock held. */
void speaker_attach(struct dev *d, struct dev *pit);

#endif
