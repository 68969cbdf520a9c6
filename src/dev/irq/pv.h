/*
 * pv.h - what KVM adds for its guests: clock, quick EOI, hypercalls; private
 * to irq/.
 *
 * It belongs to the local APICs: it is per processor, lives in MSRs beside
 * theirs, ends their interrupts and sends through them.
 */
#ifndef DEV_IRQ_PV_H
#define DEV_IRQ_PV_H

#include <stdbool.h>

#include "bus/bus.h"
#include "dev/irq/pvclock.h"

struct lapic;
struct lapic_set;

/* Bits of CPUID leaf 0x40000001 EAX. */
#define PV_CLOCK_OLD	(1u << 0)
#define PV_CLOCK	(1u << 3)
#define PV_EOI		(1u << 6)
#define PV_UNHALT	(1u << 7)
#define PV_SEND_IPI	(1u << 11)
#define PV_POLL_CONTROL (1u << 12)
#define PV_SCHED_YIELD	(1u << 13)

struct pv_cpu {
	uint64_t system_time; /* MSR: guest physical address, bit 0 on */
	uint32_t version;     /* of the published clock */
	uint64_t eoi;	      /* MSR: likewise */
	bool eoi_given;	      /* the guest may end its interrupt in memory */
	uint64_t poll_control;
};

struct pv_set {
	uint32_t features;
	uint64_t tsc_hz;
	uint64_t wall_clock; /* MSR */
	uint32_t wall_version;
	struct pvclock clock;
	bool clock_runs;
	uint64_t tsc0, ns0;   /* where measuring began */
	uint64_t interval_ns; /* until the next correction */
	struct bus_timer timer;
};

/* All with the bus lock held. */
void pv_init(struct lapic_set *s);
void pv_fini(struct lapic_set *s);
void pv_reset(struct lapic_set *s);
void pv_cpu_reset(struct lapic *l);

bool pv_rdmsr(struct lapic *l, uint32_t msr, uint64_t *val);
bool pv_wrmsr(struct lapic *l, uint32_t msr, uint64_t val);
int64_t pv_hypercall(
	void *opaque, uint64_t nr, const uint64_t arg[4], bool wide);
void pv_tsc_moved(void *opaque);
/* The clock was loaded, perhaps on another host: its slope is to be found anew.
 * Time stands. */
void pv_measure_anew(struct lapic_set *s);
void pv_stood_still(struct lapic_set *s, uint64_t ticks);

/*
 * PV EOI: give lets the guest end the interrupt that was just acknowledged by
 * clearing a bit in its memory, if it wants that.  Whoever looks at the local
 * APIC's state on behalf of the guest settles it first: ends the interrupt if
 * the guest has, else takes the offer back.  On the processor's own thread,
 * between instructions, for the guest clears the bit without a bus lock.
 * True: there was something to settle.
 */
void pv_eoi_give(struct lapic *l);
bool pv_eoi_settle(struct lapic *l);

#endif
