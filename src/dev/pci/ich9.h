/*
 * ich9.h - the ICH9's ISA (LPC) bridge 00:1f.0: interrupt routing, ACPI
 * registers, chipset configuration, reset control.
 */
#ifndef DEV_PCI_ICH9_H
#define DEV_PCI_ICH9_H

#include "dev/dev.h"
#include "dev/timer/acpi_regs.h"

#define ICH9_SLOT     0x1f
#define ICH9_AHCI_FN  2
#define ICH9_GPE0     0x20 /* from PMBASE: 8 bytes of status, 8 of enable */
#define ICH9_PM_BYTES 128
#define ICH9_RCBA     0xfed1c000u /* where firmware puts it */
#define ICH9_SCI      9

extern const struct dev_class ich9_class;

/* Its ACPI registers. */
struct acpi_regs *ich9_acpi(struct dev *d);
/* Program what firmware does: PIRQs to 10, 10, 11, 11 and so on, level
 * triggered; ACPI registers at pm_base; chipset configuration. */
void ich9_setup(struct dev *d, uint16_t pm_base);

/* Which of PIRQ A..H (0..7) pin 0..3 of a slot is wired to as long as nobody
 * changes D25IR to D31IR, for ACPI _PRT. */
static inline unsigned ich9_pirq(unsigned slot, unsigned pin)
{
	return slot < 25 ? 4 + ((slot + pin) & 3) : pin;
}

#endif
