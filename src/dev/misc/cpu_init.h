/*
 * cpu_init.h - the INIT# output that keyboard controller, port 0x92 and port
 * 0xcf9 drive: a reset of the processors alone.
 */
#ifndef DEV_MISC_CPU_INIT_H
#define DEV_MISC_CPU_INIT_H

#include "bus/bus.h"

/* Lock held.  Where no firmware has run (no entry at F000:FFF0) the whole
 * machine is reset instead. */
void cpu_init_pulse(struct bus *b);

#endif
