/*
 * lapic.h - local APICs, private to irq/.
 */
#ifndef DEV_IRQ_LAPIC_H
#define DEV_IRQ_LAPIC_H

#include <stdbool.h>
#include <stdint.h>

#include "bus/bus.h"
#include "dev/irq/pv.h"

struct ioapic;
struct i8259;

enum lapic_delivery {
	LAPIC_FIXED,
	LAPIC_LOWEST,
	LAPIC_SMI,
	LAPIC_NMI = 4,
	LAPIC_INIT,
	LAPIC_SIPI,
	LAPIC_EXTINT,
};

/* What travels on the APIC bus. */
struct lapic_message {
	uint32_t dest;
	bool logical;
	bool xapic_dest;  /* dest has 8 bits: 0xff is everybody */
	uint8_t delivery; /* enum lapic_delivery */
	uint8_t vector;
	bool level; /* trigger mode */
};

enum lapic_lvt {
	LAPIC_LVT_TIMER,
	LAPIC_LVT_THERMAL,
	LAPIC_LVT_PERF,
	LAPIC_LVT_LINT0,
	LAPIC_LVT_LINT1,
	LAPIC_LVT_ERROR,
	LAPIC_NLVT,
};

#define LAPIC_BASE_BSP	(1ull << 8)
#define LAPIC_BASE_EXTD (1ull << 10)
#define LAPIC_BASE_EN	(1ull << 11)
#define LAPIC_LVT_MASK	(1u << 16)
#define LAPIC_MAX_OWED	250

struct lapic {
	struct lapic_set *set;
	struct bus_cpu *cpu;
	uint64_t base; /* IA32_APIC_BASE */
	uint32_t id;   /* 32 bits; xAPIC mode uses the low 8 */
	uint8_t tpr;
	uint32_t ldr, dfr, svr;
	uint32_t isr[8], tmr[8], irr[8];
	uint32_t lvt[LAPIC_NLVT];
	uint64_t icr;
	uint32_t esr, esr_new; /* shown; logged since the last write */
	bool lint[2];	       /* level of the pins */
	bool extint;	       /* by an I/O APIC pin in ExtINT mode */
	/* a moved register page */
	struct bus_region moved;

	struct {
		uint32_t initial; /* TMICT */
		uint32_t divide;  /* TDCR */
		bool running;
		uint64_t expiry_ns;    /* when the count reaches 0 */
		uint64_t deadline_tsc; /* IA32_TSC_DEADLINE, host units */
		struct bus_timer timer;
	} timer;

	struct pv_cpu pv;
	uint64_t accepted, ipis, eois;
};

struct lapic_set {
	struct bus *bus;
	struct lapic *apic[BUS_MAX_CPUS];
	unsigned n;
	struct bus_region page; /* at the default base */
	unsigned phys_bits;
	bool x2apic, tsc_deadline;
	unsigned next_lowest; /* ties in lowest-priority arbitration */
	bool pic_line;	      /* INT of the 8259 */
	struct i8259 *pic;
	struct ioapic *ioapic;
	/* Ticks owed to the guest (intc.c): while there are some it is told of
	 * each interrupt that a processor takes. */
	unsigned owed;
	void (*taken)(void *opaque);
	void *taken_opaque;
	/* host TSC against the clock, for deadlines */
	uint64_t tsc0, ns0;
	double ns_per_tick;
	struct pv_set pv;
};

void lapic_set_init(struct lapic_set *s, struct bus *b);
void lapic_set_fini(struct lapic_set *s);
void lapic_set_reset(struct lapic_set *s);

/* Has a processor been sent the vector and not taken it yet? */
bool lapic_waits(const struct lapic_set *s, uint8_t vector);
/* true if at least one local APIC accepted it. */
bool lapic_deliver(struct lapic_set *s, const struct lapic_message *m);
/* The level of an ExtINT source behind an I/O APIC. */
void lapic_deliver_extint(
	struct lapic_set *s, const struct lapic_message *m, bool level);
/* The pins of every processor: 0 = the 8259, 1 = NMI. */
void lapic_set_lint(struct lapic_set *s, unsigned pin, bool level);

/* An interrupt of the local vector table happened. */
void lapic_local(struct lapic *l, enum lapic_lvt which);
void lapic_raise_error(struct lapic *l, uint32_t bits);

/* lapic_msr.c */
bool lapic_rdmsr(void *opaque, uint32_t msr, uint64_t *val);
bool lapic_wrmsr(void *opaque, uint32_t msr, uint64_t val);
void lapic_map_page(struct lapic *l);

/* lapic.c, for lapic_msr.c; reg is the xAPIC offset >> 4 */
bool lapic_reg_read(struct lapic *l, unsigned reg, uint32_t *val);
bool lapic_reg_write(struct lapic *l, unsigned reg, uint32_t val);
void lapic_icr_send(struct lapic *l);
void lapic_eoi(struct lapic *l);
void lapic_init_state(struct lapic *l);
void lapic_update(struct lapic *l);
uint32_t lapic_x2apic_ldr(uint32_t id);

/* lapic_timer.c */
void lapic_timer_init(struct lapic *l);
void lapic_timer_reset(struct lapic *l);
void lapic_timer_set_initial(struct lapic *l, uint32_t val);
void lapic_timer_set_divide(struct lapic *l, uint32_t val);
void lapic_timer_set_lvt(struct lapic *l, uint32_t val);
uint32_t lapic_timer_current(struct lapic *l);
void lapic_timer_set_deadline(struct lapic *l, uint64_t tsc);
uint64_t lapic_timer_deadline(const struct lapic *l);
void lapic_timer_stood_still(struct lapic *l, uint64_t ticks);
void lapic_clock_start(struct lapic_set *s);

#endif
