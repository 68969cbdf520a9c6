/*
 * pv.c - KVM's interface to its guests, served by us.
 *
 * Source: Linux Documentation/virt/kvm/x86/{cpuid,msr,hypercalls}.rst.
 *
 * The clock is a line over the TSC.  It starts with the slope measured since
 * the machine was made and is corrected ever more rarely so that it follows
 * the bus's clock, which follows the host's.  While it changes all published
 * copies are marked, so no guest can read the old line on one processor after
 * the new one on another.
 *
 * Steal time, and what builds upon it (PV TLB flush), is left out: it rests on
 * knowing when the host took a processor away, which nobody tells us.
 */
#include <errno.h>
#include <string.h>
#include <time.h>
#include <x86intrin.h>

#include "dev/irq/lapic.h"

#define MSR_WALL_CLOCK_OLD  0x11
#define MSR_SYSTEM_TIME_OLD 0x12
#define MSR_WALL_CLOCK	    0x4b564d00
#define MSR_SYSTEM_TIME	    0x4b564d01
#define MSR_EOI		    0x4b564d04
#define MSR_POLL_CONTROL    0x4b564d05

#define ENABLED 1ull

enum {
	HC_VAPIC_POLL_IRQ = 1,
	HC_KICK_CPU = 5,
	HC_CLOCK_PAIRING = 9,
	HC_SEND_IPI = 10,
	HC_SCHED_YIELD = 11,
};

#define KVM_ENOSYS 1000

#define FIRST_INTERVAL_NS  1000000000ull
#define LAST_INTERVAL_NS   (1024 * FIRST_INTERVAL_NS)
#define MEASURED_ENOUGH_NS 50000000
#define SAMPLES		   5

/* Guest RAM at an address that the guest chose, or NULL. */
static uint8_t *pv_memory(struct lapic_set *s, uint64_t gpa, unsigned bytes)
{
	return gpa & 3 ? NULL : bus_dma_map(s->bus, gpa, bytes);
}

/* ---- the clock ---- */

/* Bus clock and host TSC at one moment: the tightest of a few readings. */
static void pv_now(struct lapic_set *s, uint64_t *tsc, uint64_t *ns)
{
	uint64_t best = 0;

	for (unsigned i = 0; i < SAMPLES; i++) {
		uint64_t a = __rdtsc(), n = bus_clock_ns(s->bus), b = __rdtsc();

		if (i && b - a >= best)
			continue;
		best = b - a;
		*tsc = a + best / 2;
		*ns = n;
	}
}

static void pv_publish(struct lapic *l)
{
	uint64_t gpa = l->pv.system_time & ~ENABLED;
	uint8_t *to;

	if (!(l->pv.system_time & ENABLED))
		return;
	to = pv_memory(l->set, gpa, PVCLOCK_BYTES);
	if (!to)
		return;
	pvclock_mark(to, &l->pv.version);
	pvclock_publish(
		&l->set->pv.clock, l->cpu->tsc_offset, to, &l->pv.version);
	bus_dma_written(l->set->bus, gpa, PVCLOCK_BYTES);
}

static void pv_mark_all(struct lapic_set *s)
{
	for (unsigned i = 0; i < s->n; i++) {
		struct pv_cpu *p = &s->apic[i]->pv;
		uint8_t *to = p->system_time & ENABLED
				      ? pv_memory(s, p->system_time & ~ENABLED,
						PVCLOCK_BYTES)
				      : NULL;

		if (to)
			pvclock_mark(to, &p->version);
	}
}

static void pv_arm(struct lapic_set *s, uint64_t now_ns)
{
	bus_timer_arm(&s->pv.timer, now_ns + s->pv.interval_ns);
}

/* The control loop, now and then. */
static void pv_correct(void *opaque)
{
	struct lapic_set *s = opaque;
	struct pv_set *v = &s->pv;
	struct pvclock_pace p = {0};

	if (!v->clock_runs)
		return;
	if (v->interval_ns < LAST_INTERVAL_NS)
		v->interval_ns *= 2;
	pv_mark_all(s);
	pv_now(s, &p.tsc, &p.now_ns);
	p.ns = p.now_ns - v->ns0;
	p.ticks = p.tsc - v->tsc0;
	p.interval_ns = v->interval_ns;
	pvclock_correct(&v->clock, &p);
	for (unsigned i = 0; i < s->n; i++)
		pv_publish(s->apic[i]);
	pv_arm(s, p.now_ns);
}

static void pv_clock_start(struct lapic_set *s)
{
	struct pv_set *v = &s->pv;
	uint64_t ns = 0;

	if (v->clock_runs)
		return;
	pv_now(s, &v->clock.base_tsc, &ns);
	v->clock.base_ns = ns;
	if (ns - v->ns0 > MEASURED_ENOUGH_NS)
		pvclock_set_rate(
			&v->clock, ns - v->ns0, v->clock.base_tsc - v->tsc0);
	else
		pvclock_set_rate(&v->clock, 1000000000, v->tsc_hz);
	v->clock_runs = true;
	v->interval_ns = FIRST_INTERVAL_NS;
	pv_arm(s, ns);
}

static bool pv_set_system_time(struct lapic *l, uint64_t val)
{
	if ((val & ENABLED) &&
		!pv_memory(l->set, val & ~ENABLED, PVCLOCK_BYTES))
		return false;
	l->pv.system_time = val;
	pv_clock_start(l->set);
	pv_publish(l);
	return true;
}

void pv_tsc_moved(void *opaque)
{
	pv_publish(opaque);
}

/* The clock goes on where it stopped: the guest's copies, which are in its own
 * ticks, are as they shall be. */
void pv_stood_still(struct lapic_set *s, uint64_t ticks)
{
	s->pv.tsc0 += ticks;
	s->pv.clock.base_tsc += ticks;
}

void pv_measure_anew(struct lapic_set *s)
{
	struct pv_set *v = &s->pv;

	v->tsc0 = bus_clock_tsc(s->bus);
	v->ns0 = bus_clock_ns(s->bus);
	v->interval_ns = FIRST_INTERVAL_NS;
	if (v->clock_runs)
		pv_arm(s, v->ns0);
}

/* Time of day when the clock showed zero. */
static bool pv_set_wall_clock(struct lapic *l, uint64_t val)
{
	struct lapic_set *s = l->set;
	uint8_t *to = pv_memory(s, val, 12);
	struct timespec t;
	uint64_t ns;
	uint32_t word[3];

	if (!to)
		return false;
	s->pv.wall_clock = val;
	pv_clock_start(s);
	clock_gettime(CLOCK_REALTIME, &t);
	ns = (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec -
	     pvclock_ns(&s->pv.clock, __rdtsc());
	word[0] = s->pv.wall_version += 2;
	word[1] = (uint32_t)(ns / 1000000000u);
	word[2] = (uint32_t)(ns % 1000000000u);
	word[0]--;
	memcpy(to, word, 4);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	memcpy(to + 4, word + 1, 8);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	memcpy(to, &s->pv.wall_version, 4);
	bus_dma_written(s->bus, val, 12);
	return true;
}

/* ---- end of interrupt in memory ---- */

void pv_eoi_give(struct lapic *l)
{
	uint64_t gpa = l->pv.eoi & ~ENABLED;
	uint8_t *word;

	if (!(l->pv.eoi & ENABLED))
		return;
	word = pv_memory(l->set, gpa, 4);
	if (!word)
		return;
	*word |= 1;
	bus_dma_written(l->set->bus, gpa, 1);
	l->pv.eoi_given = true;
}

bool pv_eoi_settle(struct lapic *l)
{
	uint64_t gpa = l->pv.eoi & ~ENABLED;
	uint8_t *word;

	if (!l->pv.eoi_given)
		return false;
	l->pv.eoi_given = false;
	word = pv_memory(l->set, gpa, 4);
	if (word && (*word & 1)) {
		*word &= ~1;
		bus_dma_written(l->set->bus, gpa, 1);
		lapic_update(l);
	} else {
		lapic_eoi(l);
	}
	return true;
}

static bool pv_set_eoi(struct lapic *l, uint64_t val)
{
	if ((val & 2) ||
		((val & ENABLED) && !pv_memory(l->set, val & ~3ull, 4)))
		return false;
	l->pv.eoi = val;
	return true;
}

/* ---- MSRs ---- */

/* The feature that an MSR belongs to. */
static uint32_t pv_feature(uint32_t msr)
{
	switch (msr) {
	case MSR_WALL_CLOCK_OLD:
	case MSR_SYSTEM_TIME_OLD: return PV_CLOCK_OLD;
	case MSR_WALL_CLOCK:
	case MSR_SYSTEM_TIME: return PV_CLOCK;
	case MSR_EOI: return PV_EOI;
	case MSR_POLL_CONTROL: return PV_POLL_CONTROL;
	}
	return 0;
}

bool pv_rdmsr(struct lapic *l, uint32_t msr, uint64_t *val)
{
	if (!(l->set->pv.features & pv_feature(msr)))
		return false;
	switch (msr) {
	case MSR_WALL_CLOCK_OLD:
	case MSR_WALL_CLOCK: *val = l->set->pv.wall_clock; break;
	case MSR_SYSTEM_TIME_OLD:
	case MSR_SYSTEM_TIME: *val = l->pv.system_time; break;
	case MSR_EOI: *val = l->pv.eoi; break;
	case MSR_POLL_CONTROL: *val = l->pv.poll_control; break;
	}
	return true;
}

bool pv_wrmsr(struct lapic *l, uint32_t msr, uint64_t val)
{
	if (!(l->set->pv.features & pv_feature(msr)))
		return false;
	switch (msr) {
	case MSR_WALL_CLOCK_OLD:
	case MSR_WALL_CLOCK: return pv_set_wall_clock(l, val);
	case MSR_SYSTEM_TIME_OLD:
	case MSR_SYSTEM_TIME: return pv_set_system_time(l, val);
	case MSR_EOI: return pv_set_eoi(l, val);
	case MSR_POLL_CONTROL: /* we never poll; the guest may say so */
		if (val & ~1ull)
			return false;
		l->pv.poll_control = val;
	}
	return true;
}

/* ---- hypercalls ---- */

static struct lapic *pv_find(struct lapic_set *s, uint64_t apic_id)
{
	for (unsigned i = 0; i < s->n; i++)
		if (s->apic[i]->cpu->apic_id == apic_id)
			return s->apic[i];
	return NULL;
}

static int64_t pv_kick(struct lapic_set *s, uint64_t apic_id)
{
	struct lapic *to = pv_find(s, apic_id);

	if (to) {
		atomic_store(&to->cpu->unhalted, true);
		bus_cpu_raise(to->cpu, BUS_EV_UNHALT);
	}
	return 0;
}

/* Bit n of the two words: the processor with APIC id arg[2] + n; arg[3] is as
 * the low half of the ICR, without shorthand and logical mode. */
static int64_t pv_send_ipi(
	struct lapic_set *s, const uint64_t arg[4], bool wide)
{
	const uint32_t refused = 3u << 18 | 1u << 11;
	unsigned bits = wide ? 64 : 32;
	int64_t n = 0;

	if (arg[3] & refused)
		return -EINVAL;
	for (unsigned i = 0; i < 2 * bits; i++) {
		struct lapic_message m = {
			.dest = (uint32_t)arg[2] + i,
			.delivery = arg[3] >> 8 & 7,
			.vector = arg[3],
		};

		if (!(arg[i / bits] >> i % bits & 1))
			continue;
		if (m.delivery == LAPIC_EXTINT || m.delivery == 3)
			return -EINVAL;
		n += lapic_deliver(s, &m);
	}
	return n;
}

/* Time of day and TSC at one moment, for a clock synchronized to ours. */
static int64_t pv_clock_pairing(struct lapic *l, const uint64_t arg[4])
{
	struct {
		int64_t sec, nsec;
		uint64_t tsc;
		uint32_t flags, pad[9];
	} out = {0};
	struct timespec t;
	uint64_t tsc;

	if (arg[1]) /* wall clock */
		return -EOPNOTSUPP;
	tsc = __rdtsc();
	clock_gettime(CLOCK_REALTIME, &t);
	out.tsc = tsc / 2 + __rdtsc() / 2 + l->cpu->tsc_offset;
	out.sec = t.tv_sec;
	out.nsec = t.tv_nsec;
	return bus_dma_write(l->set->bus, arg[0], &out, sizeof(out)) ? 0
								     : -EFAULT;
}

int64_t pv_hypercall(
	void *opaque, uint64_t nr, const uint64_t arg[4], bool wide)
{
	struct lapic *l = opaque;
	uint32_t have = l->set->pv.features;

	pv_eoi_settle(l);
	switch (nr) {
	case HC_VAPIC_POLL_IRQ: return 0;
	case HC_KICK_CPU:
		return have & PV_UNHALT ? pv_kick(l->set, arg[1]) : -KVM_ENOSYS;
	case HC_CLOCK_PAIRING: return pv_clock_pairing(l, arg);
	case HC_SEND_IPI:
		return have & PV_SEND_IPI ? pv_send_ipi(l->set, arg, wide)
					  : -KVM_ENOSYS;
	case HC_SCHED_YIELD: /* the caller does */
		return have & PV_SCHED_YIELD ? 0 : -KVM_ENOSYS;
	}
	return -KVM_ENOSYS;
}

/* ---- life ---- */

void pv_init(struct lapic_set *s)
{
	pv_now(s, &s->pv.tsc0, &s->pv.ns0);
	bus_timer_init(&s->pv.timer, s->bus, pv_correct, s);
}

void pv_fini(struct lapic_set *s)
{
	bus_timer_cancel(&s->pv.timer);
}

void pv_reset(struct lapic_set *s)
{
	s->pv.wall_clock = 0;
	s->pv.clock_runs = false;
	bus_timer_cancel(&s->pv.timer);
}

void pv_cpu_reset(struct lapic *l)
{
	atomic_store(&l->cpu->unhalted, false);
	l->pv = (struct pv_cpu){.version = l->pv.version, .poll_control = 1};
}
