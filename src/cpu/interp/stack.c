/*
 * stack.c - PUSH, POP, ENTER, LEAVE and their kin.
 *
 * The stack pointer is changed only when nothing more can raise.
 */
#include "cpu/interp/ops.h"

INTERP_FN(push)
{
	unsigned size = i->osize;
	uint64_t v = i->opnd[0].kind == X86_OK_IMM ? i->imm
						   : interp_read(c, i, 0, size);

	interp_push(c, size, v);
}

INTERP_FN(pop)
{
	const struct x86_opnd *d = &i->opnd[0];
	uint64_t old = c->st.gpr[X86_RSP], sp = interp_sp(c), v;
	unsigned size = i->osize;

	v = interp_pop_at(c, &sp, size);
	if (d->kind == X86_OK_GPR) {
		interp_set_sp(c, sp);
		interp_set_gpr(c, d, size, v);
		return;
	}
	/* An address formed from rSP sees it already incremented. */
	interp_set_sp(c, sp);
	sp = c->st.gpr[X86_RSP];
	{
		uint64_t off = interp_ea(c, i);
		gva_t a;

		c->st.gpr[X86_RSP] = old;
		a = interp_linear(c, i->seg, off, size, SOFT_WRITE);
		soft_fast_store(c, a, size, v, c->tlb_mode);
	}
	c->st.gpr[X86_RSP] = sp;
}

/* Only the selector is written, whatever the operand size. */
INTERP_FN(push_sreg)
{
	unsigned size = i->osize;
	uint64_t n = interp_sp_mask(c, interp_sp(c) - size);
	gva_t a = interp_linear(c, X86_SS, n, size, SOFT_WRITE);

	soft_fast_store(c, a, size == 8 ? 8 : 2, c->st.seg[i->opnd[0].reg].sel,
		c->tlb_mode);
	interp_set_sp(c, n);
}

INTERP_FN(pop_sreg)
{
	uint64_t sp = interp_sp(c);
	unsigned width = c->stack_size;
	uint16_t sel = interp_pop_at(c, &sp, i->osize);

	soft_load_seg(c, i->opnd[0].reg, sel);
	interp_set_reg(c, X86_RSP, width, sp);
}

INTERP_FN(pusha)
{
	uint64_t sp = interp_sp(c);

	for (unsigned r = 0; r < 8; r++)
		interp_push_at(c, &sp, i->osize, interp_reg(c, r, i->osize));
	interp_set_sp(c, sp);
}

INTERP_FN(popa)
{
	uint64_t sp = interp_sp(c), v[8];

	for (unsigned r = 8; r-- > 0;)
		v[r] = interp_pop_at(c, &sp, i->osize);
	for (unsigned r = 0; r < 8; r++)
		if (r != X86_RSP)
			interp_set_reg(c, r, i->osize, v[r]);
	interp_set_sp(c, sp);
}

INTERP_FN(pushf)
{
	interp_push(c, i->osize, soft_pushf(c, i->osize));
}

INTERP_FN(popf)
{
	uint64_t sp = interp_sp(c), v = interp_pop_at(c, &sp, i->osize);

	soft_popf(c, v, i->osize);
	interp_set_sp(c, sp);
}

INTERP_FN(enter)
{
	unsigned level = i->imm2 & 31, size = i->osize;
	uint64_t sp = interp_sp(c), frame, bp;
	gva_t a;

	bp = interp_sp_mask(c, c->st.gpr[X86_RBP]);
	interp_push_at(c, &sp, size, interp_reg(c, X86_RBP, size));
	/* The upper half of ESP goes with it to a 16-bit stack's EBP. */
	frame = (c->st.gpr[X86_RSP] & ~interp_sp_mask(c, ~0ull)) | sp;
	for (unsigned n = 1; n < level; n++) {
		uint64_t v;

		bp = interp_sp_mask(c, bp - size);
		a = interp_linear(c, X86_SS, bp, size, SOFT_READ);
		v = soft_fast_load(c, a, size, c->tlb_mode);
		interp_push_at(c, &sp, size, v);
	}
	if (level)
		interp_push_at(c, &sp, size, frame);
	sp = interp_sp_mask(c, sp - (uint16_t)i->imm);
	/* It faults as a write at the final stack pointer would. */
	a = soft_fast_linear(c, X86_SS, sp, size, SOFT_WRITE);
	soft_probe_write(c, a, size, c->tlb_mode);
	interp_set_reg(c, X86_RBP, size, frame);
	interp_set_sp(c, sp);
}

INTERP_FN(leave)
{
	uint64_t sp = interp_sp_mask(c, c->st.gpr[X86_RBP]);
	uint64_t v = interp_pop_at(c, &sp, i->osize);

	interp_set_sp(c, sp);
	interp_set_reg(c, X86_RBP, i->osize, v);
}
