/*
 * acpi_pm.h - ACPI hardware of the 82371AB (PIIX4), PCI function 00:01.3.
 *
 * SCI is line 9.  Firmware sets the base of the register block; the ACPI
 * tables and boots without firmware use ACPI_PM_BASE.
 */
#ifndef DEV_TIMER_ACPI_PM_H
#define DEV_TIMER_ACPI_PM_H

#include "dev/dev.h"

#define ACPI_PM_BASE	 0x600
#define ACPI_PM_SMB_BASE 0x700
#define ACPI_PM_SCI	 9
/* Offsets from the base, for the FADT */
#define ACPI_PM1_EVT	0x00 /* 4 bytes */
#define ACPI_PM1_CNT	0x04 /* 2 bytes */
#define ACPI_PM_TMR	0x08 /* 4 bytes, 24-bit counter */
#define ACPI_PM_GPE0	0x0c /* 4 bytes: status, enable */
#define ACPI_PM_SMI_CMD 0xb2
#define ACPI_PM_ENABLE	0xf1 /* values for SMI_CMD */
#define ACPI_PM_DISABLE 0xf0
#define ACPI_PM_S5_TYP	0 /* \_S5 SLP_TYPa */

extern const struct dev_class acpi_pm_class;

/* Somebody pressed the power button.  Lock held. */
void acpi_pm_power_button(struct dev *d);
/* Raise general purpose event n (0..15).  Lock held. */
void acpi_pm_gpe(struct dev *d, unsigned n);
/* Program and enable the block at ACPI_PM_BASE as firmware does. */
void acpi_pm_set_base(struct dev *d, uint16_t base);

#endif
