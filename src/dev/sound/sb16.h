/*
 * sb16.h - a Sound Blaster 16 with an OPL3, on the ISA bus.
 *
 * Where it stands: dev_host.isa_port, isa_irq, isa_dma, isa_dma16.  Needs
 * dev_host.dma.
 */
#ifndef DEV_SOUND_SB16_H
#define DEV_SOUND_SB16_H

#include "dev/dev.h"

extern const struct dev_class sb16_class;

#endif
