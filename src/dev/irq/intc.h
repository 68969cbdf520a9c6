/*
 * intc.h - the interrupt complex: 8259 pair, I/O APIC, one local APIC for
 * every processor, and the glue to the processors.
 *
 * Make it after all bus_cpu_new() calls.  Its lines are the board's: give
 * intc_gsi() to every device as dev_host.gsi.  Line n < 16 is ISA interrupt n
 * and drives 8259 input n and I/O APIC pin n, line 0 pin 2 (ACPI MADT needs an
 * override 0 -> 2); lines 16.. drive the I/O APIC only.
 */
#ifndef DEV_IRQ_INTC_H
#define DEV_IRQ_INTC_H

#include "dev/dev.h"

extern const struct dev_class intc_class;

#define INTC_IOAPIC_BASE 0xfec00000ull
#define INTC_LAPIC_BASE	 0xfee00000ull
#define INTC_IOAPIC_ID	 0 /* at reset; firmware may set another */

/* BUS_NGSI lines. */
const struct bus_irq *intc_gsi(struct dev *d);

/* What CPUID says of the processors: which bits of APIC_BASE are reserved and
 * whether x2APIC and the TSC deadline exist.  Default: 46, true, true. */
void intc_set_features(
	struct dev *d, unsigned phys_bits, bool x2apic, bool tsc_deadline);

/* What of KVM's interface to its guests there is (CPUID leaf 0x40000001 EAX),
 * and the TSC's nominal frequency.  Default: nothing. */
void intc_set_paravirt(struct dev *d, uint32_t features, uint64_t tsc_hz);

/* What firmware leaves behind (Intel MP 1.4, 3.6.2.2, virtual wire): boot
 * processor's APIC enabled, LINT0 = ExtINT, LINT1 = NMI.  For boots without
 * firmware, after reset. */
void intc_virtual_wire(struct dev *d);

/* Pulse the NMI line (LINT1 of every processor).  Lock held. */
void intc_nmi(struct dev *d);

/*
 * IA32_TSC_DEADLINE through bus_cpu_wrmsr/rdmsr is in host TSC units: an
 * engine writes guest_value - tsc_offset and adds tsc_offset to what it reads;
 * 0 means disarmed both ways and is passed as 0.
 */

#endif
