/*
 * acpi_pm.h - ACPI hardware of the 82371AB (PIIX4), PCI function 00:01.3.
 *
 * SCI is line 9.  Firmware sets the base of the register block; the ACPI
 * tables and boots without firmware use ACPI_PM_BASE.
 */
#ifndef DEV_TIMER_ACPI_PM_H
#define DEV_TIMER_ACPI_PM_H

#include "dev/dev.h"
#include "dev/timer/acpi_regs.h"

#define ACPI_PM_BASE	 0x600
#define ACPI_PM_SMB_BASE 0x700
#define ACPI_PM_SCI	 9
#define ACPI_PM_GPE0	 0x0c /* 4 bytes: status, enable */

extern const struct dev_class acpi_pm_class;

/* Its ACPI registers. */
struct acpi_regs *acpi_pm_regs(struct dev *d);
/* Program and enable the block at ACPI_PM_BASE as firmware does. */
void acpi_pm_set_base(struct dev *d, uint16_t base);

#endif
