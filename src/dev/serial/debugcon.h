/*
 * debugcon.h - port 0x402, where firmware writes its log.
 */
#ifndef DEV_SERIAL_DEBUGCON_H
#define DEV_SERIAL_DEBUGCON_H

#include "dev/dev.h"

extern const struct dev_class debugcon_class;

#endif
