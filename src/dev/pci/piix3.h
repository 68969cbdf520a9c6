/*
 * piix3.h - ISA bridge 00:01.0: PCI interrupt routing and port 0xcf9.
 */
#ifndef DEV_PCI_PIIX3_H
#define DEV_PCI_PIIX3_H

#include "dev/dev.h"

extern const struct dev_class piix3_class;

/* Which of PIRQ A..D (0..3) pin 0..3 of a slot is wired to, for ACPI _PRT. */
static inline unsigned piix3_pirq(unsigned slot, unsigned pin)
{
	return (slot + pin + 3) & 3;
}

/* Program the four PIRQ registers as firmware does (10, 10, 11, 11) and set
 * those lines level triggered at the 8259. */
void piix3_route_default(struct dev *d);

#endif
