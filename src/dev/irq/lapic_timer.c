/*
 * lapic_timer.c - the timer of a local APIC.
 *
 * Intel SDM vol. 3, 11.5.4.  The timer's clock ("core crystal") has 1 GHz, so
 * a count is a nanosecond times the divider.
 *
 * What is kept is when the count reaches zero; the current count follows from
 * it, and changing between one-shot and periodic needs nothing else.  The TSC
 * deadline is kept in host TSC ticks and becomes nanoseconds through a ratio
 * measured over the life of the machine; when the timer is early by that
 * ratio's error, it goes on waiting.
 */
#include <x86intrin.h>

#include "dev/irq/lapic.h"

#define TIMER_MODE(v)	   (((v) >> 17) & 3)
#define TIMER_ONESHOT	   0
#define TIMER_PERIODIC	   1
#define TIMER_DEADLINE	   2
#define TIMER_MIN_ARM_NS   20000 /* periodic timers fire no faster */
#define TIMER_CALIBRATE_NS 1000000

void lapic_clock_start(struct lapic_set *s)
{
	s->ns0 = bus_host_ns();
	s->tsc0 = __rdtsc();
}

/* Nanoseconds a host TSC tick takes.  Waits at most a millisecond, and only
 * in the first one after lapic_clock_start(). */
static double lapic_tick_ns(struct lapic_set *s)
{
	uint64_t ns, tsc;

	do {
		ns = bus_host_ns();
		tsc = __rdtsc();
	} while (ns - s->ns0 < TIMER_CALIBRATE_NS);
	if (tsc > s->tsc0)
		s->ns_per_tick = (double)(ns - s->ns0) / (tsc - s->tsc0);
	return s->ns_per_tick;
}

static unsigned lapic_timer_mode(const struct lapic *l)
{
	unsigned mode = TIMER_MODE(l->lvt[LAPIC_LVT_TIMER]);

	/* Without the deadline feature bit 18 is reserved. */
	return l->set->tsc_deadline ? mode : mode & 1;
}

static unsigned lapic_timer_shift(const struct lapic *l)
{
	unsigned n = (l->timer.divide & 3) | ((l->timer.divide & 8) >> 1);

	return (n + 1) & 7;
}

static uint64_t lapic_timer_period(const struct lapic *l)
{
	return (uint64_t)l->timer.initial << lapic_timer_shift(l);
}

/* Bring expiry of a periodic timer past now. */
static void lapic_timer_roll(struct lapic *l, uint64_t now)
{
	uint64_t period = lapic_timer_period(l);

	if (l->timer.expiry_ns > now || !period)
		return;
	l->timer.expiry_ns +=
		((now - l->timer.expiry_ns) / period + 1) * period;
}

static void lapic_timer_arm(struct lapic *l)
{
	uint64_t now = bus_clock_ns(l->set->bus), at = l->timer.expiry_ns;

	if (!l->timer.running) {
		bus_timer_cancel(&l->timer.timer);
		return;
	}
	if (lapic_timer_mode(l) == TIMER_PERIODIC &&
		at < now + TIMER_MIN_ARM_NS)
		at = now + TIMER_MIN_ARM_NS;
	bus_timer_arm(&l->timer.timer, at);
}

static void lapic_deadline_arm(struct lapic *l)
{
	uint64_t tsc = __rdtsc(), left = l->timer.deadline_tsc - tsc;
	double ns;

	if ((int64_t)left <= 0) {
		l->timer.deadline_tsc = 0;
		bus_timer_cancel(&l->timer.timer);
		lapic_local(l, LAPIC_LVT_TIMER);
		return;
	}
	ns = left * lapic_tick_ns(l->set) + 1;
	/* Far away (years) is as good as never. */
	if (ns > 4e18)
		ns = 4e18;
	bus_timer_arm(
		&l->timer.timer, bus_clock_ns(l->set->bus) + (uint64_t)ns);
}

/* The count may have run out before the host's timer has come: what follows
 * must see it done. */
static void lapic_timer_settle(struct lapic *l)
{
	if (!l->timer.running || lapic_timer_mode(l) != TIMER_ONESHOT ||
		l->timer.expiry_ns > bus_clock_ns(l->set->bus))
		return;
	l->timer.running = false;
	bus_timer_cancel(&l->timer.timer);
	lapic_local(l, LAPIC_LVT_TIMER);
}

static void lapic_timer_fire(void *opaque)
{
	struct lapic *l = opaque;
	uint64_t now = bus_clock_ns(l->set->bus);

	if (lapic_timer_mode(l) == TIMER_DEADLINE) {
		if (l->timer.deadline_tsc)
			lapic_deadline_arm(l);
		return;
	}
	if (!l->timer.running)
		return;
	if (lapic_timer_mode(l) == TIMER_PERIODIC && l->timer.initial)
		lapic_timer_roll(l, now);
	else
		l->timer.running = false;
	lapic_local(l, LAPIC_LVT_TIMER);
	lapic_timer_arm(l);
}

void lapic_timer_init(struct lapic *l)
{
	bus_timer_init(&l->timer.timer, l->set->bus, lapic_timer_fire, l);
}

void lapic_timer_reset(struct lapic *l)
{
	l->timer.initial = l->timer.divide = 0;
	l->timer.running = false;
	l->timer.deadline_tsc = 0;
	bus_timer_cancel(&l->timer.timer);
}

void lapic_timer_set_initial(struct lapic *l, uint32_t val)
{
	/* 11.5.4.1: ignored in TSC-deadline mode */
	if (lapic_timer_mode(l) == TIMER_DEADLINE)
		return;
	lapic_timer_settle(l);
	l->timer.initial = val;
	l->timer.running = val;
	l->timer.expiry_ns = bus_clock_ns(l->set->bus) + lapic_timer_period(l);
	lapic_timer_arm(l);
}

uint32_t lapic_timer_current(struct lapic *l)
{
	uint64_t now, left;

	lapic_timer_settle(l);
	now = bus_clock_ns(l->set->bus);
	if (!l->timer.running || lapic_timer_mode(l) == TIMER_DEADLINE)
		return 0;
	left = l->timer.expiry_ns - now;
	if (l->timer.expiry_ns <= now) {
		uint64_t period = lapic_timer_period(l);

		if (lapic_timer_mode(l) != TIMER_PERIODIC || !period)
			return 0;
		/* due, but the callback has not run yet */
		left = period - (now - l->timer.expiry_ns) % period;
	}
	left = (left + (1ull << lapic_timer_shift(l)) - 1) >>
	       lapic_timer_shift(l);
	return left > l->timer.initial ? l->timer.initial : left;
}

void lapic_timer_set_divide(struct lapic *l, uint32_t val)
{
	uint64_t left = lapic_timer_current(l);

	l->timer.divide = val & 0xb;
	if (!l->timer.running || lapic_timer_mode(l) == TIMER_DEADLINE)
		return;
	l->timer.expiry_ns =
		bus_clock_ns(l->set->bus) + (left << lapic_timer_shift(l));
	lapic_timer_arm(l);
}

void lapic_timer_set_lvt(struct lapic *l, uint32_t val)
{
	unsigned was = lapic_timer_mode(l), now;

	lapic_timer_settle(l);
	l->lvt[LAPIC_LVT_TIMER] = val;
	now = lapic_timer_mode(l);
	if (was == now)
		return;
	/* 11.5.4.1: a change to or from TSC-deadline mode disarms. */
	if (was == TIMER_DEADLINE || now == TIMER_DEADLINE) {
		l->timer.running = false;
		l->timer.initial = 0;
		l->timer.deadline_tsc = 0;
	}
	lapic_timer_arm(l);
}

void lapic_timer_set_deadline(struct lapic *l, uint64_t tsc)
{
	if (lapic_timer_mode(l) != TIMER_DEADLINE)
		return;
	l->timer.deadline_tsc = tsc;
	if (tsc)
		lapic_deadline_arm(l);
	else
		bus_timer_cancel(&l->timer.timer);
}

uint64_t lapic_timer_deadline(const struct lapic *l)
{
	return l->timer.deadline_tsc;
}

void lapic_timer_stood_still(struct lapic *l, uint64_t ticks)
{
	if (l->timer.deadline_tsc)
		l->timer.deadline_tsc += ticks;
}
