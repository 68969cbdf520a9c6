/*
 * ioapic.h - the I/O APIC, private to irq/.
 */
#ifndef DEV_IRQ_IOAPIC_H
#define DEV_IRQ_IOAPIC_H

#include <stdbool.h>
#include <stdint.h>

#include "bus/bus.h"

#define IOAPIC_NPINS 24

struct lapic_message;

struct ioapic {
	struct bus *bus;
	struct bus_region region;
	uint64_t rte[IOAPIC_NPINS];
	uint32_t line; /* level of the pins */
	uint32_t irr;  /* edges not yet delivered */
	uint8_t id, select;
	/* true if somebody accepted it */
	bool (*deliver)(void *opaque, const struct lapic_message *m);
	/* level of a pin in ExtINT mode */
	void (*extint)(void *opaque, const struct lapic_message *m, bool level);
	void *opaque;
	uint64_t delivered[IOAPIC_NPINS];
};

void ioapic_init(struct ioapic *io, struct bus *b);
void ioapic_fini(struct ioapic *io);
void ioapic_reset(struct ioapic *io);
void ioapic_set(struct ioapic *io, unsigned pin, bool level);
/* The vector that an edge at the pin sends now, or -1. */
int ioapic_edge_vector(const struct ioapic *io, unsigned pin);
/* EOI message from a local APIC or the EOI register. */
void ioapic_eoi(struct ioapic *io, uint8_t vector);

#endif
