/*
 * muldiv.c - multiplication and division.
 *
 * The host computes; what would make it raise #DE is found out beforehand.
 */
#include "cpu/interp/ops.h"

/* ---- one operand: rDX:rAX = rAX * src ---- */

struct mul_wide {
	uint64_t lo, hi;
};

/* AX carries flags in and out, so the factor goes through another register. */
#define MULDIV_FN(name, insn, sfx, type)                                       \
	static struct mul_wide name(                                           \
		uint64_t lo, uint64_t hi, uint64_t src, uint64_t *fl)          \
	{                                                                      \
		struct mul_wide r = {lo, hi};                                  \
		uint64_t ax = interp_flags_ax(*fl);                            \
		asm(INTERP_FLAGS_IN "mov %1, %%rax\n\t" insn sfx " %3\n\t"     \
				    "mov %%rax, %1" INTERP_FLAGS_OUT           \
			: "+&a"(ax), "+&r"(r.lo), "+&d"(r.hi)                  \
			: "r"((type)src)                                       \
			: "cc");                                               \
		*fl = interp_flags_merge(*fl, ax);                             \
		return r;                                                      \
	}

MULDIV_FN(mul1, "mul", "b", uint8_t)
MULDIV_FN(mul2, "mul", "w", uint16_t)
MULDIV_FN(mul4, "mul", "l", uint32_t)
MULDIV_FN(mul8, "mul", "q", uint64_t)
MULDIV_FN(imul1, "imul", "b", uint8_t)
MULDIV_FN(imul2, "imul", "w", uint16_t)
MULDIV_FN(imul4, "imul", "l", uint32_t)
MULDIV_FN(imul8, "imul", "q", uint64_t)

static void mul_commit(
	struct soft_cpu *c, unsigned size, const struct mul_wide *r)
{
	if (size == 1) {
		interp_set_reg(c, X86_RAX, 2, r->lo);
		return;
	}
	interp_set_reg(c, X86_RAX, size, r->lo);
	interp_set_reg(c, X86_RDX, size, r->hi);
}

INTERP_FN(mul)
{
	unsigned size = i->opnd[0].size;
	uint64_t s = interp_read(c, i, 0, size), a = c->st.gpr[X86_RAX];
	struct mul_wide r;

	switch (size) {
	case 1: r = mul1(a, 0, s, &c->st.rflags); break;
	case 2: r = mul2(a, 0, s, &c->st.rflags); break;
	case 4: r = mul4(a, 0, s, &c->st.rflags); break;
	default: r = mul8(a, 0, s, &c->st.rflags); break;
	}
	mul_commit(c, size, &r);
}

static void imul_wide(struct soft_cpu *c, const struct x86_insn *i)
{
	unsigned size = i->opnd[0].size;
	uint64_t s = interp_read(c, i, 0, size), a = c->st.gpr[X86_RAX];
	struct mul_wide r;

	switch (size) {
	case 1: r = imul1(a, 0, s, &c->st.rflags); break;
	case 2: r = imul2(a, 0, s, &c->st.rflags); break;
	case 4: r = imul4(a, 0, s, &c->st.rflags); break;
	default: r = imul8(a, 0, s, &c->st.rflags); break;
	}
	mul_commit(c, size, &r);
}

/* ---- two and three operands: the truncated product ---- */

#define IMUL_FN(name, sfx, type)                                               \
	static uint64_t name(uint64_t a, uint64_t b, uint64_t *fl)             \
	{                                                                      \
		type x = a;                                                    \
		uint16_t ax = interp_flags_ax(*fl);                            \
		asm(INTERP_FLAGS_IN "imul" sfx " %2, %1" INTERP_FLAGS_OUT      \
			: "+&a"(ax), "+&r"(x)                                  \
			: "r"((type)b)                                         \
			: "cc");                                               \
		*fl = interp_flags_merge(*fl, ax);                             \
		return x;                                                      \
	}

IMUL_FN(imul_low2, "w", uint16_t)
IMUL_FN(imul_low4, "l", uint32_t)
IMUL_FN(imul_low8, "q", uint64_t)

INTERP_FN(imul)
{
	unsigned size = i->opnd[0].size;
	uint64_t a, b, r;

	if (i->nopnds == 1) {
		imul_wide(c, i);
		return;
	}
	a = interp_read(c, i, i->nopnds - 2, size);
	b = interp_read(c, i, i->nopnds - 1, size);
	switch (size) {
	case 2: r = imul_low2(a, b, &c->st.rflags); break;
	case 4: r = imul_low4(a, b, &c->st.rflags); break;
	default: r = imul_low8(a, b, &c->st.rflags); break;
	}
	interp_set_gpr(c, &i->opnd[0], size, r);
}

INTERP_FN(mulx)
{
	unsigned size = i->opnd[0].size;
	unsigned __int128 p = (unsigned __int128)interp_reg(c, X86_RDX, size) *
			      interp_read(c, i, 2, size);

	/* The same register twice gets the high half. */
	interp_set_gpr(c, &i->opnd[1], size, (uint64_t)p);
	interp_set_gpr(c, &i->opnd[0], size, (uint64_t)(p >> (size * 8)));
}

/* ---- division ---- */

MULDIV_FN(div1, "div", "b", uint8_t)
MULDIV_FN(div2, "div", "w", uint16_t)
MULDIV_FN(div4, "div", "l", uint32_t)
MULDIV_FN(div8, "div", "q", uint64_t)
MULDIV_FN(idiv1, "idiv", "b", uint8_t)
MULDIV_FN(idiv2, "idiv", "w", uint16_t)
MULDIV_FN(idiv4, "idiv", "l", uint32_t)
MULDIV_FN(idiv8, "idiv", "q", uint64_t)

INTERP_FN(div)
{
	unsigned size = i->opnd[0].size;
	uint64_t s = interp_read(c, i, 0, size), *g = c->st.gpr;
	uint64_t lo = g[X86_RAX], hi = g[X86_RDX], *fl = &c->st.rflags;
	struct mul_wide r;

	hi = size == 1 ? (uint8_t)(lo >> 8) : hi & interp_mask(size);
	/* also true of a zero divisor */
	if (hi >= s)
		soft_raise(c, X86_DE);
	switch (size) {
	case 1: r = div1(lo, 0, s, fl); break;
	case 2: r = div2(lo, hi, s, fl); break;
	case 4: r = div4(lo, hi, s, fl); break;
	default: r = div8(lo, hi, s, fl); break;
	}
	mul_commit(c, size, &r);
}

/* Would IDIV of hi:lo by s raise #DE? */
static bool idiv_overflows(uint64_t lo, uint64_t hi, uint64_t s, unsigned size)
{
	__int128 top = interp_sext(hi, size);
	__int128 n = (__int128)((unsigned __int128)top << (size * 8) |
				(lo & interp_mask(size)));
	__int128 max = ((__int128)1 << (size * 8 - 1)) - 1, d, q;

	d = interp_sext(s, size);
	if (size == 8 && n == (__int128)((unsigned __int128)1 << 127))
		return true; /* quotient of at least 2^64 in magnitude */
	if (!d)
		return true;
	q = n / d;
	return q > max || q < -max - 1;
}

INTERP_FN(idiv)
{
	unsigned size = i->opnd[0].size;
	uint64_t s = interp_read(c, i, 0, size), *g = c->st.gpr;
	uint64_t lo = g[X86_RAX], hi = g[X86_RDX], *fl = &c->st.rflags;
	struct mul_wide r;

	if (size == 1)
		hi = (uint8_t)(lo >> 8);
	if (idiv_overflows(lo, hi, s, size))
		soft_raise(c, X86_DE);
	switch (size) {
	case 1: r = idiv1(lo, 0, s, fl); break;
	case 2: r = idiv2(lo, hi, s, fl); break;
	case 4: r = idiv4(lo, hi, s, fl); break;
	default: r = idiv8(lo, hi, s, fl); break;
	}
	mul_commit(c, size, &r);
}
