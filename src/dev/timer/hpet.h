/*
 * hpet.h - high precision event timers at 0xfed00000.
 *
 * Make it before the 8254 and the RTC and give them hpet_gsi() as their lines:
 * in legacy replacement mode it cuts them off from lines 0 and 8.
 */
#ifndef DEV_TIMER_HPET_H
#define DEV_TIMER_HPET_H

#include "dev/dev.h"

#define HPET_BASE 0xfed00000ull
/* General capabilities as the ACPI HPET table repeats them (bits 31:0). */
#define HPET_ID 0x8086a201u

extern const struct dev_class hpet_class;

/* The lines it was given, 0 and 8 passing through it. */
const struct bus_irq *hpet_gsi(struct dev *d);

#endif
