/*
 * clock.h - a stopwatch for the tests of timers: the ACPI timer, 24 bits of
 * 3.579545 MHz, good for spans of less than four seconds.
 *
 * The host may stop us anywhere, so spans are bracketed: what a timer counted
 * between two looks at it lies between the shortest and the longest time that
 * these looks can be apart.
 */
#ifndef TESTS_GUEST_CLOCK_H
#define TESTS_GUEST_CLOCK_H

#include "lib.h"

#define PM_TIMER     0x608
#define PM_PER_MS    3580
#define PM_PER_TENTH 357955

static inline uint32_t pm(void)
{
	return inl(PM_TIMER);
}

static inline uint32_t pm_span(uint32_t from, uint32_t to)
{
	return (to - from) & 0xffffff;
}

static inline uint32_t pm_since(uint32_t from)
{
	return pm_span(from, pm());
}

static inline void pm_wait(uint32_t ticks)
{
	uint32_t from = pm();

	while (pm_since(from) < ticks)
		__asm__ volatile("pause");
}

/* One moment as the stopwatch saw it: somewhere from a to b. */
struct moment {
	uint32_t a, b;
};

/* Is n times num/den ticks of the stopwatch what lies between two moments, to
 * slack ticks? */
static inline bool pm_fits(struct moment from, struct moment to, uint64_t n,
	uint32_t num, uint32_t den, uint32_t slack)
{
	uint64_t least = pm_span(from.b, to.a), most = pm_span(from.a, to.b);

	return n * num + (uint64_t)slack * den >= least * den &&
	       n * num <= (most + slack) * den;
}

#define MOMENT(m, what)                                                        \
	do {                                                                   \
		(m).a = pm();                                                  \
		what;                                                          \
		(m).b = pm();                                                  \
	} while (0)

#endif
