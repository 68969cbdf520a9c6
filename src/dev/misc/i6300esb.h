/*
 * i6300esb.h - the watchdog timer of Intel's 6300ESB.
 */
#ifndef DEV_MISC_I6300ESB_H
#define DEV_MISC_I6300ESB_H

#include "dev/dev.h"

/* When it fires: BUS_REQ_WATCHDOG. */
extern const struct dev_class i6300esb_class;

#endif
