/*
 * fast.h - loads and stores that hit the TLB, inline.
 *
 * Same contract as soft_load and soft_store.
 */
#ifndef CPU_SOFT_FAST_H
#define CPU_SOFT_FAST_H

#include <string.h>

#include "cpu/soft/soft.h"

/* Unaligned, single instructions on the host. */
typedef uint16_t __attribute__((aligned(1), may_alias)) soft_u16;
typedef uint32_t __attribute__((aligned(1), may_alias)) soft_u32;
typedef uint64_t __attribute__((aligned(1), may_alias)) soft_u64;

/* The same as soft_load and soft_store, knowing that the TLB missed. */
uint64_t soft_load_slow(
	struct soft_cpu *c, gva_t a, unsigned size, enum soft_mode m);
void soft_store_slow(struct soft_cpu *c, gva_t a, unsigned size, uint64_t val,
	enum soft_mode m);

static inline uint64_t soft_host_load(const void *p, unsigned size)
{
	switch (size) {
	case 1: return *(const volatile uint8_t *)p;
	case 2: return *(const volatile soft_u16 *)p;
	case 4: return *(const volatile soft_u32 *)p;
	default: return *(const volatile soft_u64 *)p;
	}
}

static inline void soft_host_store(void *p, unsigned size, uint64_t val)
{
	switch (size) {
	case 1: *(volatile uint8_t *)p = val; break;
	case 2: *(volatile soft_u16 *)p = val; break;
	case 4: *(volatile soft_u32 *)p = val; break;
	default: *(volatile soft_u64 *)p = val; break;
	}
}

/* Host address if the access hits, else NULL. */
static inline void *soft_fast_host(struct soft_cpu *c, gva_t a, unsigned size,
	enum soft_access acc, enum soft_mode m)
{
	struct soft_tlb_entry *e = &c->tlb[m][acc][soft_tlb_index(a)];

	if (__builtin_expect((a ^ e->tag) <= BUS_PAGE_SIZE - size, 1))
		return (void *)(a + e->addend);
	return NULL;
}

static inline uint64_t soft_fast_load(
	struct soft_cpu *c, gva_t a, unsigned size, enum soft_mode m)
{
	const void *p = soft_fast_host(c, a, size, SOFT_READ, m);

	return p ? soft_host_load(p, size) : soft_load_slow(c, a, size, m);
}

static inline void soft_fast_store(struct soft_cpu *c, gva_t a, unsigned size,
	uint64_t val, enum soft_mode m)
{
	void *p = soft_fast_host(c, a, size, SOFT_WRITE, m);

	if (p)
		soft_host_store(p, size, val);
	else
		soft_store_slow(c, a, size, val, m);
}

/* Segment check and linear address; flat segments and 64-bit mode decided
 * here, the rest by soft_linear. */
static inline gva_t soft_fast_linear(struct soft_cpu *c, unsigned seg,
	uint64_t off, unsigned size, enum soft_access acc)
{
	if (c->code64 && seg < X86_FS) {
		uint64_t top =
			(off + (1ull << 47)) | (off + size - 1 + (1ull << 47));

		if (__builtin_expect(!(top >> 48), 1))
			return off;
	}
	return soft_linear(c, seg, off, size, acc);
}

#endif
