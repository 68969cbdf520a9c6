/*
 * bmi.c - BMI1 and BMI2 on general registers, by the host's instructions.
 */
#include "cpu/interp/ops.h"

/* Intel operand order: destination, a, b; AT&T has them the other way. */
#define BMI_FN3(name, insn, type)                                              \
	static uint64_t name(uint64_t a, uint64_t b, uint64_t *fl)             \
	{                                                                      \
		uint64_t ax = interp_flags_ax(*fl);                            \
		type d;                                                        \
		asm(INTERP_FLAGS_IN insn " %3, %2, %1" INTERP_FLAGS_OUT        \
			: "+&a"(ax), "=&r"(d)                                  \
			: "r"((type)a), "r"((type)b)                           \
			: "cc");                                               \
		*fl = interp_flags_merge(*fl, ax);                             \
		return d;                                                      \
	}

/* The shift count or control of these comes first in AT&T order. */
#define BMI_FN2(name, insn, type)                                              \
	static uint64_t name(uint64_t a, uint64_t b, uint64_t *fl)             \
	{                                                                      \
		uint64_t ax = interp_flags_ax(*fl);                            \
		type d;                                                        \
		asm(INTERP_FLAGS_IN insn " %2, %1" INTERP_FLAGS_OUT            \
			: "+&a"(ax), "=&r"(d)                                  \
			: "r"((type)a)                                         \
			: "cc");                                               \
		*fl = interp_flags_merge(*fl, ax);                             \
		return d;                                                      \
	}

static void bmi_exec(struct soft_cpu *c, const struct x86_insn *i,
	interp_alu *f4, interp_alu *f8)
{
	unsigned size = i->opnd[0].size;
	uint64_t a = interp_read(c, i, 1, size), b = 0;

	if (i->nopnds > 2)
		b = interp_read(c, i, 2, size);
	interp_set_gpr(c, &i->opnd[0], size,
		(size == 8 ? f8 : f4)(a, b, &c->st.rflags));
}

#define BMI(shape, name)                                                       \
	shape(host_##name##4, #name "l", uint32_t)                             \
		shape(host_##name##8, #name "q", uint64_t) INTERP_FN(name)     \
	{                                                                      \
		bmi_exec(c, i, host_##name##4, host_##name##8);                \
	}

BMI(BMI_FN3, andn)
BMI(BMI_FN3, bextr)
BMI(BMI_FN3, bzhi)
BMI(BMI_FN3, pdep)
BMI(BMI_FN3, pext)
BMI(BMI_FN3, sarx)
BMI(BMI_FN3, shlx)
BMI(BMI_FN3, shrx)
BMI(BMI_FN2, blsi)
BMI(BMI_FN2, blsmsk)
BMI(BMI_FN2, blsr)

INTERP_FN(rorx)
{
	unsigned size = i->opnd[0].size, bits = size * 8;
	uint64_t a = interp_read(c, i, 1, size);
	unsigned n = i->imm & (bits - 1);

	if (n)
		a = a >> n | a << (bits - n);
	interp_set_gpr(c, &i->opnd[0], size, a);
}
