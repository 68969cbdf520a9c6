/*
 * bcd.c - decimal adjustments.  SDM vol. 2; flags it calls undefined are left
 * as processors leave them.
 */
#include "cpu/interp/ops.h"

#define BCD_RESULT (X86_FL_SF | X86_FL_ZF | X86_FL_PF)

static void bcd_flags(struct soft_cpu *c, uint8_t al, uint64_t set)
{
	uint64_t fl = set;

	if (!al)
		fl |= X86_FL_ZF;
	if (al & 0x80)
		fl |= X86_FL_SF;
	if (!__builtin_parity(al))
		fl |= X86_FL_PF;
	c->st.rflags = (c->st.rflags & ~(uint64_t)X86_FL_ARITH) | fl;
}

static void bcd_packed(struct soft_cpu *c, int sign)
{
	uint8_t old = c->st.gpr[X86_RAX], al = old;
	uint64_t fl = c->st.rflags, set = 0;
	bool low = (al & 15) > 9 || fl & X86_FL_AF;
	bool high = old > 0x99 || fl & X86_FL_CF;

	if (low) {
		al += sign * 6;
		set |= X86_FL_AF;
		/* DAS takes the borrow of the low digit into CF. */
		if (sign < 0 && old < 6)
			set |= X86_FL_CF;
	}
	if (high) {
		al += sign * 0x60;
		set |= X86_FL_CF;
	}
	interp_set_reg(c, X86_RAX, 1, al);
	bcd_flags(c, al, set);
}

INTERP_FN(daa)
{
	bcd_packed(c, 1);
}

INTERP_FN(das)
{
	bcd_packed(c, -1);
}

static void bcd_ascii(struct soft_cpu *c, int sign)
{
	uint16_t ax = c->st.gpr[X86_RAX];
	uint64_t set = 0;

	if ((ax & 15) > 9 || c->st.rflags & X86_FL_AF) {
		ax += sign * 0x106;
		set = X86_FL_AF | X86_FL_CF;
	}
	bcd_flags(c, ax & 0x0f, set);
	interp_set_reg(c, X86_RAX, 2, ax & 0xff0f);
}

INTERP_FN(aaa)
{
	bcd_ascii(c, 1);
}

INTERP_FN(aas)
{
	bcd_ascii(c, -1);
}

INTERP_FN(aam)
{
	uint8_t al = c->st.gpr[X86_RAX], base = i->imm;

	if (!base)
		soft_raise(c, X86_DE);
	interp_set_reg(c, X86_RAX, 2, (al / base) << 8 | al % base);
	bcd_flags(c, al % base, 0);
}

INTERP_FN(aad)
{
	uint16_t ax = c->st.gpr[X86_RAX];
	uint8_t b = (ax >> 8) * (uint8_t)i->imm;

	/* the flags, undefined ones too, are those of the addition */
	interp_set_reg(
		c, X86_RAX, 2, interp_add_byte(ax & 0xff, b, &c->st.rflags));
}
