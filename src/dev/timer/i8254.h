/*
 * i8254.h - interval timer and port 0x61.  Drives line 0 of dev_host.gsi.
 */
#ifndef DEV_TIMER_I8254_H
#define DEV_TIMER_I8254_H

#include "dev/dev.h"

#define I8254_HZ 1193182u

extern const struct dev_class i8254_class;

#endif
