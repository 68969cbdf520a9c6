/*
 * port92.h - system control port A: fast A20 and fast reset.
 */
#ifndef DEV_MISC_PORT92_H
#define DEV_MISC_PORT92_H

#include "dev/dev.h"

extern const struct dev_class port92_class;

#endif
