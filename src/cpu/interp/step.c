/*
 * step.c - fetch, decode and carry out instructions.
 *
 * Decoded instructions are kept in a table per processor, found by the host
 * address of their first byte and the decoding mode, and believed only if the
 * bytes there are still the ones that were decoded.  So code that changes
 * itself, or is changed by another processor or a device, needs no notice.
 */
#include "cpu/interp/ops.h"
#include "cpu/interp/thunk.h"

#include <stdlib.h>
#include <sys/mman.h>

#define STEP_CACHE_SIZE 8192u

/* Bytes compared at once; an instruction that begins closer to the end of its
 * page is decoded each time. */
#define STEP_SPAN 16u

struct step_entry {
	uint64_t key; /* host address * 16 + mode; 0: empty */
	uint64_t bytes[2];
	uint64_t mask[2]; /* the instruction's bytes among them */
	interp_fn *fn;
	bool own_rip;
	struct x86_insn insn;
};

struct interp_cpu {
	struct thunk_cache *thunks;
	struct step_entry cache[STEP_CACHE_SIZE];
	struct step_entry scratch; /* what is not cached */
};

static __attribute__((noinline)) struct interp_cpu *step_init(
	struct soft_cpu *c)
{
	struct interp_cpu *p = mmap(NULL, sizeof(*p), PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		abort();
	c->interp = p;
	return p;
}

void interp_cpu_fini(struct soft_cpu *c)
{
	if (!c->interp)
		return;
	thunk_free(c);
	munmap(c->interp, sizeof(struct interp_cpu));
	c->interp = NULL;
}

struct thunk_cache **interp_thunks(struct soft_cpu *c)
{
	struct interp_cpu *p = c->interp ? c->interp : step_init(c);

	return &p->thunks;
}

static gva_t step_linear(const struct soft_cpu *c)
{
	if (interp_likely(c->code64))
		return c->st.rip;
	return (uint32_t)(c->st.seg[X86_CS].base + c->st.rip);
}

/* Decode the bytes, raising what fetching or decoding raises. */
static void step_decode(struct soft_cpu *c, struct step_entry *e, gva_t a)
{
	enum x86_dec_status st;
	bool from_device = false;
	uint8_t buf[15];
	unsigned n;

	for (;;) {
		n = soft_fetch(c, a, buf, from_device);
		st = x86_decode(&e->insn, buf, n, c->code_size);
		if (st != X86_DEC_MORE)
			break;
		/* Fetching the byte that is missing says what is wrong; if
		 * nothing is, the mapping has just changed. */
		a = c->code64 ? a + n : (uint32_t)(a + n);
		soft_fetch(c, a, buf, true);
		from_device = true;
		a = step_linear(c);
	}
	if (st == X86_DEC_LONG)
		soft_raise_err(c, X86_GP, 0);
	if (st != X86_DEC_OK)
		soft_raise(c, X86_UD);
	e->fn = interp_select(c, &e->insn, &e->own_rip);
}

static __attribute__((noinline)) struct step_entry *step_fill(
	struct soft_cpu *c, struct step_entry *e, gva_t a, const uint8_t *host)
{
	uint64_t bytes[2];
	unsigned n;

	memcpy(bytes, host, sizeof(bytes));
	e->key = 0;
	step_decode(c, e, a);
	n = e->insn.len;
	e->mask[0] = interp_mask(n);
	e->mask[1] = n > 8 ? interp_mask(n - 8) : 0;
	e->bytes[0] = bytes[0];
	e->bytes[1] = bytes[1];
	e->key = (uintptr_t)host << 4 | c->code_size;
	return e;
}

static __attribute__((noinline)) struct step_entry *step_uncached(
	struct soft_cpu *c, gva_t a)
{
	struct interp_cpu *p = c->interp;

	step_decode(c, &p->scratch, a);
	return &p->scratch;
}

interp_inline struct step_entry *step_fetch(struct soft_cpu *c)
{
	enum soft_mode m = c->cpl == 3 ? SOFT_USER : SOFT_KERNEL;
	gva_t a = step_linear(c);
	struct soft_tlb_entry *t = &c->tlb[m][SOFT_EXEC][soft_tlb_index(a)];
	struct interp_cpu *p = c->interp;
	struct step_entry *e;
	const uint8_t *host;
	uint64_t bytes[2];

	if (interp_unlikely((a ^ t->tag) > BUS_PAGE_SIZE - STEP_SPAN))
		return step_uncached(c, a);
	if (interp_unlikely(
		    !c->code64 && (c->st.rip + 15 > c->st.seg[X86_CS].limit)))
		return step_uncached(c, a);
	host = (const uint8_t *)t->addend + (a & (BUS_PAGE_SIZE - 1));
	e = &p->cache[((uintptr_t)host ^ (uintptr_t)host >> 12) &
		      (STEP_CACHE_SIZE - 1)];
	bytes[0] = *(const volatile soft_u64 *)host;
	bytes[1] = *(const volatile soft_u64 *)(host + 8);
	if (interp_unlikely(e->key != ((uintptr_t)host << 4 | c->code_size) ||
			    ((bytes[0] ^ e->bytes[0]) & e->mask[0]) |
				    ((bytes[1] ^ e->bytes[1]) & e->mask[1])))
		return step_fill(c, e, a, host);
	return e;
}

interp_inline void step_exec(struct soft_cpu *c, const struct step_entry *e)
{
	e->fn(c, &e->insn);
	if (interp_likely(!e->own_rip))
		c->st.rip = interp_next(c, &e->insn);
	c->insns++;
	c->ops[e->insn.op]++;
}

/* With instruction breakpoints, single-stepping or RF. */
static __attribute__((noinline)) void step_slow(struct soft_cpu *c)
{
	bool tf;

	if (c->insn_bp)
		soft_check_insn_bp(c);
	tf = c->st.rflags & X86_FL_TF;
	const struct step_entry *e = step_fetch(c);

	/* A fault pushes RF set in any case; IRET, task switches and
	 * interrupted string instructions set it again. */
	c->st.rflags &= ~(uint64_t)X86_FL_RF;
	step_exec(c, e);
	if (tf || c->db_pending)
		soft_end_insn_traps(c, tf);
}

interp_inline void step_one(struct soft_cpu *c)
{
	if (interp_unlikely(
		    c->st.rflags & (X86_FL_TF | X86_FL_RF) || c->insn_bp)) {
		step_slow(c);
		return;
	}
	step_exec(c, step_fetch(c));
	/* Data breakpoints, or a task switch's trap bit. */
	if (interp_unlikely(c->db_pending))
		soft_end_insn_traps(c, false);
}

void interp_step(struct soft_cpu *c)
{
	if (!c->interp)
		step_init(c);
	step_one(c);
}

void interp_exec(struct soft_cpu *c, const struct x86_insn *insn)
{
	struct step_entry e;

	e.insn = *insn;
	e.fn = interp_select(c, &e.insn, &e.own_rip);
	step_exec(c, &e);
}

/* ---- runs ---- */

struct step_run {
	uint64_t left;
	bool events;
	struct cpu_exit *exit;
};

/* What may be due before the next instruction.  True: return to the caller. */
static __attribute__((noinline)) bool step_attend(
	struct soft_cpu *c, const struct step_run *r)
{
	if (r->events)
		return soft_poll(c, r->exit);
	/* who polls himself may have ended them at this boundary */
	if (c->st.sti_shadow | c->st.movss_shadow)
		soft_end_shadow(c);
	if (c->st.activity == X86_ACT_RUN)
		return false;
	r->exit->reason = c->st.activity == X86_ACT_SHUTDOWN ? CPU_EXIT_SHUTDOWN
							     : CPU_EXIT_HALT;
	r->exit->masked = !(c->st.rflags & X86_FL_IF);
	return true;
}

/* The loop proper: leaves by return or through c->jmp. */
static __attribute__((noinline)) bool step_loop(
	struct soft_cpu *c, struct step_run *r)
{
	while (r->left) {
		if (interp_unlikely(soft_attention(c) | c->debug) &&
			step_attend(c, r))
			return true;
		r->left--;
		step_one(c);
	}
	return false;
}

bool interp_run(struct soft_cpu *c, uint64_t max, bool events, uint64_t *done,
	struct cpu_exit *exit)
{
	struct step_run run = {max, events, exit};
	struct step_run *volatile r = &run;
	bool leave;

	if (!c->interp)
		step_init(c);
	if (__builtin_setjmp(c->jmp))
		soft_deliver_fault(c);
	leave = step_loop(c, r);
	*done = max - r->left;
	return leave;
}
