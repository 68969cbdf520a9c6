/*
 * testdev.h - ports by which hypervisor test programs reach what a guest
 * otherwise cannot: interrupt lines, plain I/O memory, an exit.
 */
#ifndef DEV_MISC_TESTDEV_H
#define DEV_MISC_TESTDEV_H

#include "dev/dev.h"

extern const struct dev_class testdev_class;

/* What was last written to the exit port, or -1. */
int64_t testdev_exit_code(const struct dev *d);

#endif
