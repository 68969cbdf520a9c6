/*
 * alu.c - two-operand and one-operand integer arithmetic and logic.
 *
 * The operation itself is the host's, at the guest's width, so that all flags
 * are the hardware's.  SDM vol. 2.
 */
#include "cpu/interp/ops.h"

/* Overwrites all arithmetic flags whatever they were. */
#define ALU_SHORT(name, insn, sfx, type)                                       \
	interp_inline uint64_t name(uint64_t a, uint64_t b, uint64_t *fl)      \
	{                                                                      \
		type x = a;                                                    \
		uint16_t ax;                                                   \
		asm(insn sfx " %2, %1" INTERP_FLAGS_OUT                        \
			: "=&a"(ax), "+r"(x)                                   \
			: "r"((type)b)                                         \
			: "cc");                                               \
		*fl = interp_flags_merge(*fl, ax);                             \
		return x;                                                      \
	}

/* Takes or keeps some flag. */
#define ALU_FULL(name, insn, sfx, type)                                        \
	INTERP_HOST_FN(name, insn sfx " %2, %1", type, "r"((type)b))

#define ALU_FULL1(name, insn, sfx, type)                                       \
	INTERP_HOST_FN(name, insn sfx " %1", type, )

#define ALU_WIDTHS(kind, name)                                                 \
	kind(name##1, #name, "b", uint8_t);                                    \
	kind(name##2, #name, "w", uint16_t);                                   \
	kind(name##4, #name, "l", uint32_t);                                   \
	kind(name##8, #name, "q", uint64_t)

ALU_WIDTHS(ALU_SHORT, add)
ALU_WIDTHS(ALU_SHORT, or)
ALU_WIDTHS(ALU_FULL, adc)
ALU_WIDTHS(ALU_FULL, sbb)
ALU_WIDTHS(ALU_SHORT, and)
ALU_WIDTHS(ALU_SHORT, sub)
ALU_WIDTHS(ALU_SHORT, xor)
ALU_WIDTHS(ALU_SHORT, cmp)
ALU_WIDTHS(ALU_SHORT, test)
ALU_WIDTHS(ALU_FULL1, inc)
ALU_WIDTHS(ALU_FULL1, dec)
ALU_WIDTHS(ALU_FULL1, neg)
ALU_WIDTHS(ALU_FULL1, not )

/* op r/m, r/imm and op r, r/m */
interp_inline void alu_write(struct soft_cpu *c, const struct x86_insn *i,
	unsigned size, interp_alu *f)
{
	interp_modify(c, i, size, f, interp_read(c, i, 1, size));
}

interp_inline void alu_compare(struct soft_cpu *c, const struct x86_insn *i,
	unsigned size, interp_alu *f)
{
	uint64_t a = interp_read(c, i, 0, size);
	uint64_t b = interp_read(c, i, 1, size);

	f(a, b, &c->st.rflags);
}

interp_inline void alu_unary(struct soft_cpu *c, const struct x86_insn *i,
	unsigned size, interp_alu *f)
{
	interp_modify(c, i, size, f, 0);
}

#define ALU_OP1(shape, name, n)                                                \
	INTERP_FN(name##n)                                                     \
	{                                                                      \
		shape(c, i, n, name##n);                                       \
	}
#define ALU_OP(shape, name)                                                    \
	ALU_OP1(shape, name, 1)                                                \
	ALU_OP1(shape, name, 2)                                                \
	ALU_OP1(shape, name, 4)                                                \
	ALU_OP1(shape, name, 8)

ALU_OP(alu_write, add)
ALU_OP(alu_write, or)
ALU_OP(alu_write, adc)
ALU_OP(alu_write, sbb)
ALU_OP(alu_write, and)
ALU_OP(alu_write, sub)
ALU_OP(alu_write, xor)
ALU_OP(alu_compare, cmp)
ALU_OP(alu_compare, test)
ALU_OP(alu_unary, inc)
ALU_OP(alu_unary, dec)
ALU_OP(alu_unary, neg)
ALU_OP(alu_unary, not )

/* ---- XADD, CMPXCHG ---- */

interp_inline void alu_xadd(struct soft_cpu *c, const struct x86_insn *i,
	unsigned size, interp_alu *f)
{
	const struct x86_opnd *d = &i->opnd[0], *s = &i->opnd[1];
	uint64_t b = interp_gpr(c, s, size), fl = c->st.rflags, old;

	if (d->kind == X86_OK_GPR) {
		old = interp_gpr(c, d, size);
		b = f(old, b, &fl);
		interp_set_gpr(c, s, size, old);
		interp_set_gpr(c, d, size, b);
	} else {
		gva_t a = interp_mem(c, i, size, SOFT_WRITE);

		if (i->prefix & X86_PFX_LOCK)
			old = interp_rmw_locked(c, a, size, f, b, &fl);
		else
			old = interp_rmw_slow(c, a, size, f, b, &fl);
		interp_set_gpr(c, s, size, old);
	}
	c->st.rflags = fl;
}

static uint64_t xadd1(uint64_t a, uint64_t b, uint64_t *fl)
{
	return add1(a, b, fl);
}

static uint64_t xadd2(uint64_t a, uint64_t b, uint64_t *fl)
{
	return add2(a, b, fl);
}

static uint64_t xadd4(uint64_t a, uint64_t b, uint64_t *fl)
{
	return add4(a, b, fl);
}

static uint64_t xadd8(uint64_t a, uint64_t b, uint64_t *fl)
{
	return add8(a, b, fl);
}

ALU_OP(alu_xadd, xadd)

/* The accumulator is compared with the destination; the callback gets both in
 * one operand's place through the closure below. */
struct cmpxchg {
	uint64_t acc, new;
	unsigned size;
};

static uint64_t cmpxchg_compare(
	const struct cmpxchg *x, uint64_t old, uint64_t *fl)
{
	switch (x->size) {
	case 1: cmp1(x->acc, old, fl); break;
	case 2: cmp2(x->acc, old, fl); break;
	case 4: cmp4(x->acc, old, fl); break;
	default: cmp8(x->acc, old, fl); break;
	}
	return *fl & X86_FL_ZF ? x->new : old;
}

static uint64_t cmpxchg_step(uint64_t old, uint64_t closure, uint64_t *fl)
{
	return cmpxchg_compare((const struct cmpxchg *)closure, old, fl);
}

INTERP_FN(cmpxchg)
{
	const struct x86_opnd *d = &i->opnd[0];
	struct cmpxchg x = {.size = d->size};
	uint64_t fl = c->st.rflags, old, new;

	x.acc = interp_reg(c, X86_RAX, x.size);
	x.new = interp_gpr(c, &i->opnd[1], x.size);
	if (d->kind == X86_OK_GPR) {
		old = interp_gpr(c, d, x.size);
		new = cmpxchg_compare(&x, old, &fl);
		if (fl & X86_FL_ZF)
			interp_set_gpr(c, d, x.size, new);
	} else {
		gva_t a = interp_mem(c, i, x.size, SOFT_WRITE);

		if (i->prefix & X86_PFX_LOCK)
			old = interp_rmw_locked(
				c, a, x.size, cmpxchg_step, (uintptr_t)&x, &fl);
		else
			old = interp_rmw_slow(
				c, a, x.size, cmpxchg_step, (uintptr_t)&x, &fl);
	}
	if (!(fl & X86_FL_ZF))
		interp_set_reg(c, X86_RAX, x.size, old);
	c->st.rflags = fl;
}

static uint64_t cmpxchg8b_step(uint64_t old, uint64_t closure, uint64_t *fl)
{
	const struct cmpxchg *x = (const struct cmpxchg *)closure;

	*fl &= ~(uint64_t)X86_FL_ZF;
	if (old != x->acc)
		return old;
	*fl |= X86_FL_ZF;
	return x->new;
}

INTERP_FN(cmpxchg8b)
{
	uint64_t *g = c->st.gpr, fl = c->st.rflags, old;
	struct cmpxchg x = {.size = 8};
	gva_t a = interp_mem(c, i, 8, SOFT_WRITE);

	x.acc = g[X86_RDX] << 32 | (uint32_t)g[X86_RAX];
	x.new = g[X86_RCX] << 32 | (uint32_t)g[X86_RBX];
	/* Always atomic: cheap, and real software leaves LOCK out wrongly. */
	old = interp_rmw_locked(c, a, 8, cmpxchg8b_step, (uintptr_t)&x, &fl);
	if (!(fl & X86_FL_ZF)) {
		g[X86_RAX] = (uint32_t)old;
		g[X86_RDX] = old >> 32;
	}
	c->st.rflags = fl;
}

INTERP_FN(cmpxchg16b)
{
	uint64_t *g = c->st.gpr;
	uint64_t old[2] = {g[X86_RAX], g[X86_RDX]};
	const uint64_t new[2] = {g[X86_RBX], g[X86_RCX]};
	gva_t a;

	interp_check_align(c, i, 16);
	a = interp_mem(c, i, 16, SOFT_WRITE);
	if (interp_cmpxchg16(c, a, old, new)) {
		c->st.rflags |= X86_FL_ZF;
		return;
	}
	c->st.rflags &= ~(uint64_t)X86_FL_ZF;
	g[X86_RAX] = old[0];
	g[X86_RDX] = old[1];
}

/* ---- carry chains without the other flags ---- */

INTERP_FN(adcx)
{
	unsigned size = i->opnd[0].size;
	unsigned __int128 sum = (unsigned __int128)interp_read(c, i, 0, size) +
				interp_read(c, i, 1, size) +
				(c->st.rflags & X86_FL_CF);

	interp_set_gpr(c, &i->opnd[0], size, sum);
	c->st.rflags &= ~(uint64_t)X86_FL_CF;
	if (sum >> (size * 8))
		c->st.rflags |= X86_FL_CF;
}

INTERP_FN(adox)
{
	unsigned size = i->opnd[0].size;
	unsigned __int128 sum = (unsigned __int128)interp_read(c, i, 0, size) +
				interp_read(c, i, 1, size) +
				(c->st.rflags & X86_FL_OF ? 1 : 0);

	interp_set_gpr(c, &i->opnd[0], size, sum);
	c->st.rflags &= ~(uint64_t)X86_FL_OF;
	if (sum >> (size * 8))
		c->st.rflags |= X86_FL_OF;
}

void interp_compare(unsigned size, uint64_t a, uint64_t b, uint64_t *fl)
{
	switch (size) {
	case 1: cmp1(a, b, fl); break;
	case 2: cmp2(a, b, fl); break;
	case 4: cmp4(a, b, fl); break;
	default: cmp8(a, b, fl); break;
	}
}

uint8_t interp_add_byte(uint8_t a, uint8_t b, uint64_t *fl)
{
	return add1(a, b, fl);
}
