/*
 * lpt.h - a parallel port with what is plugged into it: something that takes
 * bytes, as a printer does.
 *
 * dev_host.index: LPT1 to LPT3.  dev_host.chr NULL: nothing is plugged in.
 */
#ifndef DEV_SERIAL_LPT_H
#define DEV_SERIAL_LPT_H

#include "dev/dev.h"

#define LPT_PORTS 3

extern const struct dev_class lpt_class;

#endif
