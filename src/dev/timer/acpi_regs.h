/*
 * acpi_regs.h - the ACPI registers that Intel's south bridges have in common:
 * PM1 event and control, PM timer, general purpose events, APM ports.
 */
#ifndef DEV_TIMER_ACPI_REGS_H
#define DEV_TIMER_ACPI_REGS_H

#include "bus/bus.h"

struct state_list; /* dev/state.h */

/* Offsets from the base, for the FADT */
#define ACPI_PM1_EVT	0x00 /* 4 bytes */
#define ACPI_PM1_CNT	0x04 /* 2 bytes */
#define ACPI_PM_TMR	0x08 /* 4 bytes, 24-bit counter */
#define ACPI_PM_SMI_CMD 0xb2
#define ACPI_PM_ENABLE	0xf1 /* values for SMI_CMD */
#define ACPI_PM_DISABLE 0xf0
#define ACPI_PM_S5_TYP	0 /* \_S5 SLP_TYPa of the PIIX4 */

struct acpi_regs {
	struct bus *bus;
	const struct bus_irq *sci; /* where the interrupt goes, or NULL */
	uint8_t off_types;	   /* bit n: SLP_TYP n powers off */
	uint16_t sts, en, cnt;
	uint64_t gpe_sts, gpe_en;
	uint8_t apmc, apms;
	uint64_t timer_high; /* bits 63:23 of the timer at the last look */
	struct bus_timer overflow;
};

/* All: lock held. */
void acpi_regs_init(struct acpi_regs *a, struct bus *b);
void acpi_regs_fini(struct acpi_regs *a);
void acpi_regs_reset(struct acpi_regs *a);
/* The interrupt line follows what the registers say; after changing gpe_*. */
void acpi_regs_update(struct acpi_regs *a);
/* Another line takes the interrupt. */
void acpi_regs_route(struct acpi_regs *a, const struct bus_irq *sci);

/* The 16-bit registers at even offsets below 0x0c; put: the bits of mask. */
uint16_t acpi_regs_get(struct acpi_regs *a, unsigned off);
void acpi_regs_put(
	struct acpi_regs *a, unsigned off, uint16_t val, uint16_t mask);
/* 24 bits. */
uint32_t acpi_regs_timer(const struct acpi_regs *a);

/* Somebody pressed the power button. */
void acpi_regs_power_button(struct acpi_regs *a);
/* Raise general purpose event n. */
void acpi_regs_gpe(struct acpi_regs *a, unsigned n);

/* What of them is saved. */
extern const struct state_list acpi_regs_state;

#endif
