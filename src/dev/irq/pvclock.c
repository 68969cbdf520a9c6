/*
 * pvclock.c - arithmetic and publication of KVM's clock.
 */
#include "dev/irq/pvclock.h"

#include <stdatomic.h>
#include <string.h>

typedef unsigned __int128 u128;

#define FAR_BEHIND_NS	100000000
#define SLEW_DIVISOR	2000 /* 500 parts in a million */
#define FLAG_TSC_STABLE 1

void pvclock_set_rate(struct pvclock *c, uint64_t ns, uint64_t ticks)
{
	u128 n = ns, t = ticks;

	/* mul / 2^32 in [1/2, 1) */
	c->shift = 0;
	for (; n >= t && c->shift < 32; c->shift++)
		t <<= 1;
	for (; 2 * n < t && c->shift > -32; c->shift--)
		n <<= 1;
	c->mul = (uint32_t)((n << 32) / t);
}

uint64_t pvclock_ns(const struct pvclock *c, uint64_t tsc)
{
	uint64_t d = tsc - c->base_tsc;

	d = c->shift < 0 ? d >> -c->shift : d << c->shift;
	return c->base_ns + (uint64_t)((u128)d * c->mul >> 32);
}

void pvclock_correct(struct pvclock *c, const struct pvclock_pace *p)
{
	uint64_t shown = pvclock_ns(c, p->tsc);
	int64_t behind = (int64_t)(p->now_ns - shown);
	int64_t most = (int64_t)(p->interval_ns / SLEW_DIVISOR);
	uint64_t ticks;

	if (behind > FAR_BEHIND_NS) {
		shown = p->now_ns;
		behind = 0;
	}
	if (behind > most)
		behind = most;
	if (behind < -most)
		behind = -most;
	c->base_tsc = p->tsc;
	c->base_ns = shown;
	ticks = (uint64_t)((u128)p->interval_ns * p->ticks / p->ns);
	pvclock_set_rate(c, p->interval_ns + (uint64_t)behind, ticks);
}

static void put32(uint8_t *to, uint32_t v)
{
	memcpy(to, &v, 4);
}

void pvclock_mark(uint8_t to[PVCLOCK_BYTES], uint32_t *version)
{
	*version |= 1;
	put32(to, *version);
	atomic_thread_fence(memory_order_seq_cst);
}

void pvclock_publish(const struct pvclock *c, uint64_t tsc_offset,
	uint8_t to[PVCLOCK_BYTES], uint32_t *version)
{
	uint64_t tsc = c->base_tsc + tsc_offset;

	put32(to + 4, 0);
	memcpy(to + 8, &tsc, 8);
	memcpy(to + 16, &c->base_ns, 8);
	put32(to + 24, c->mul);
	put32(to + 28, (uint8_t)c->shift | FLAG_TSC_STABLE << 8);
	atomic_thread_fence(memory_order_seq_cst);
	put32(to, ++*version);
}
