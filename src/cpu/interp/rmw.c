/*
 * rmw.c - operands in memory; read-modify-write, atomic where it must be.
 *
 * A LOCKed instruction works by compare-and-swap on the host address, so it is
 * atomic against every other processor, native code of a translator included.
 * A page that is watched for code has no writable host address from the TLB;
 * it is written through its RAM and the watcher is told.  What is not plain
 * memory or crosses a page is done under the bus lock.
 */
#include "cpu/interp/priv.h"

struct rmw_place {
	void *host;  /* NULL: only under the bus lock */
	int64_t ram; /* >= 0: watched for code */
};

/* Check the right to write, find the host address. */
static void rmw_find(
	struct soft_cpu *c, gva_t a, unsigned size, struct rmw_place *p)
{
	p->ram = -1;
	p->host = soft_host_rmw(c, a, size, c->tlb_mode, &p->ram);
	if (!p->host)
		soft_probe_operand(c, a, size, c->tlb_mode);
}

static void rmw_tell(
	struct soft_cpu *c, const struct rmw_place *p, unsigned size)
{
	if (p->ram >= 0)
		soft_code_written(c, p->ram, size);
}

static bool rmw_swap(void *p, unsigned size, uint64_t *old, uint64_t new)
{
	uint64_t seen;
	bool ok;

	switch (size) {
	case 1:
		asm volatile("lock cmpxchgb %b4, %1"
			     : "=@ccz"(ok), "+m"(*(uint8_t *)p), "=a"(seen)
			     : "2"(*old), "q"(new)
			     : "memory");
		break;
	case 2:
		asm volatile("lock cmpxchgw %w4, %1"
			     : "=@ccz"(ok), "+m"(*(soft_u16 *)p), "=a"(seen)
			     : "2"(*old), "r"(new)
			     : "memory");
		break;
	case 4:
		asm volatile("lock cmpxchgl %k4, %1"
			     : "=@ccz"(ok), "+m"(*(soft_u32 *)p), "=a"(seen)
			     : "2"(*old), "r"(new)
			     : "memory");
		break;
	default:
		asm volatile("lock cmpxchgq %4, %1"
			     : "=@ccz"(ok), "+m"(*(soft_u64 *)p), "=a"(seen)
			     : "2"(*old), "r"(new)
			     : "memory");
		break;
	}
	*old = seen & interp_mask(size);
	return ok;
}

static _Noreturn __attribute__((noinline)) void rmw_raise_again(
	struct soft_cpu *c)
{
	__builtin_longjmp(c->jmp, 1);
}

/*
 * What cannot be done on a host address.  The mapping was checked, but another
 * processor may change it meanwhile: the lock must be let go if that raises.
 */
struct rmw_slow {
	gva_t a;
	unsigned size;
	interp_alu *f;
	uint64_t b;
	uint64_t *fl;
	uint64_t old;
};

static void rmw_slow_body(struct soft_cpu *c, struct rmw_slow *s)
{
	s->old = soft_load(c, s->a, s->size, c->tlb_mode);
	soft_store(c, s->a, s->size, s->f(s->old, s->b, s->fl), c->tlb_mode);
}

static __attribute__((noinline)) void rmw_under_lock(struct soft_cpu *c,
	void (*body)(struct soft_cpu *c, struct rmw_slow *s),
	struct rmw_slow *s)
{
	void *outer[5];

	memcpy(outer, c->jmp, sizeof(outer));
	soft_lock_bus(c, s->a % BUS_PAGE_SIZE + s->size > BUS_PAGE_SIZE);
	if (__builtin_setjmp(c->jmp)) {
		soft_unlock_bus(c);
		memcpy(c->jmp, outer, sizeof(outer));
		rmw_raise_again(c);
	}
	body(c, s);
	soft_unlock_bus(c);
	memcpy(c->jmp, outer, sizeof(outer));
}

uint64_t interp_rmw_locked(struct soft_cpu *c, gva_t a, unsigned size,
	interp_alu *f, uint64_t b, uint64_t *fl)
{
	uint64_t in = *fl, old, new;
	struct rmw_place p;

	rmw_find(c, a, size, &p);
	if (!p.host) {
		struct rmw_slow s = {a, size, f, b, fl, 0};

		rmw_under_lock(c, rmw_slow_body, &s);
		return s.old;
	}
	old = soft_host_load(p.host, size);
	for (;;) {
		uint64_t expected = old;

		*fl = in;
		new = f(old, b, fl);
		if (rmw_swap(p.host, size, &old, new)) {
			rmw_tell(c, &p, size);
			return expected;
		}
	}
}

uint64_t interp_rmw_slow(struct soft_cpu *c, gva_t a, unsigned size,
	interp_alu *f, uint64_t b, uint64_t *fl)
{
	struct rmw_slow s = {a, size, f, b, fl, 0};

	soft_probe_operand(c, a, size, c->tlb_mode);
	rmw_slow_body(c, &s);
	return s.old;
}

static bool rmw_swap16(void *p, uint64_t old[2], const uint64_t new[2])
{
	bool ok;

	asm volatile(
		"lock cmpxchg16b %1"
		: "=@ccz"(ok), "+m"(*(char(*)[16])p), "+a"(old[0]), "+d"(old[1])
		: "b"(new[0]), "c"(new[1])
		: "memory");
	return ok;
}

struct rmw_pair {
	struct rmw_slow s;
	uint64_t *old;
	const uint64_t *new;
	bool equal;
};

static void rmw_pair_body(struct soft_cpu *c, struct rmw_slow *s)
{
	struct rmw_pair *q = (struct rmw_pair *)s;
	uint64_t seen[2];

	soft_load_bytes(c, s->a, seen, 16, c->tlb_mode);
	q->equal = seen[0] == q->old[0] && seen[1] == q->old[1];
	soft_store_bytes(c, s->a, q->equal ? q->new : seen, 16, c->tlb_mode);
	q->old[0] = seen[0];
	q->old[1] = seen[1];
}

bool interp_cmpxchg16(
	struct soft_cpu *c, gva_t a, uint64_t old[2], const uint64_t new[2])
{
	struct rmw_pair q = {{.a = a, .size = 16}, old, new, false};
	struct rmw_place p;

	rmw_find(c, a, 16, &p);
	if (!p.host) {
		rmw_under_lock(c, rmw_pair_body, &q.s);
		return q.equal;
	}
	q.equal = rmw_swap16(p.host, old, new);
	rmw_tell(c, &p, 16);
	return q.equal;
}

static void rmw_try(
	struct soft_cpu *c, gva_t a, unsigned n, enum soft_access acc)
{
	if (acc == SOFT_WRITE) {
		soft_probe_write(c, a, n, c->tlb_mode);
	} else if (!soft_host(c, a, n, SOFT_READ, c->tlb_mode)) {
		soft_host(c, a, 1, SOFT_READ, c->tlb_mode);
		soft_host(c, (a + n - 1) & ~(BUS_PAGE_SIZE - 1), 1, SOFT_READ,
			c->tlb_mode);
	}
}

gva_t interp_try_ends(struct soft_cpu *c, const struct x86_insn *i,
	unsigned first, unsigned n, enum soft_access acc)
{
	gva_t a = interp_mem(c, i, first ? first : n, acc);
	uint64_t end = interp_asize_mask(i, interp_ea(c, i) + n - 1);

	if (first) {
		rmw_try(c, a, first, acc);
		interp_mem(c, i, n, acc);
	}
	rmw_try(c, soft_fast_linear(c, i->seg, end, 1, acc), 1, acc);
	return a;
}

void interp_rmw(struct soft_cpu *c, const struct x86_insn *i, unsigned size,
	interp_alu *f, uint64_t b)
{
	gva_t a = interp_mem(c, i, size, SOFT_WRITE);
	uint64_t fl = c->st.rflags;
	void *p;

	if (interp_unlikely(i->prefix & X86_PFX_LOCK)) {
		interp_rmw_locked(c, a, size, f, b, &fl);
	} else if ((p = soft_fast_host(c, a, size, SOFT_WRITE, c->tlb_mode))) {
		uint64_t v = f(soft_host_load(p, size), b, &fl);

		soft_host_store(p, size, v);
	} else {
		interp_rmw_slow(c, a, size, f, b, &fl);
	}
	c->st.rflags = fl;
}

uint64_t interp_read_other(
	struct soft_cpu *c, const struct x86_insn *i, unsigned n, unsigned size)
{
	switch (i->opnd[n].kind) {
	case X86_OK_MEM: return interp_load(c, i, size);
	case X86_OK_IMM2: return i->imm2;
	case X86_OK_CONST: return i->opnd[n].reg;
	default: return i->imm & interp_mask(size);
	}
}
