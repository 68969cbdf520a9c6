/*
 * uart16550.h - COM1..COM4 (dev_host.index 0..3): ports 3f8 2f8 3e8 2e8,
 * lines 4 3 4 3.
 */
#ifndef DEV_SERIAL_UART16550_H
#define DEV_SERIAL_UART16550_H

#include "dev/dev.h"

extern const struct dev_class uart16550_class;

#endif
