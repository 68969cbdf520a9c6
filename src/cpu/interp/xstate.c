/*
 * xstate.c - saving and restoring of x87, vector and other extended state.
 */
#include "cpu/interp/ops.h"

static void xstate_check_fxsr(struct soft_cpu *c)
{
	if (c->st.cr0 & (X86_CR0_EM | X86_CR0_TS))
		soft_raise(c, X86_NM);
}

static void xstate_check_xsave(struct soft_cpu *c)
{
	if (!(c->st.cr4 & X86_CR4_OSXSAVE))
		soft_raise(c, X86_UD);
	if (c->st.cr0 & X86_CR0_TS)
		soft_raise(c, X86_NM);
}

static uint64_t xstate_mask(const struct soft_cpu *c)
{
	return c->st.gpr[X86_RDX] << 32 | (uint32_t)c->st.gpr[X86_RAX];
}

static bool xstate_wide(const struct x86_insn *i)
{
	return i->mode == 8 && i->rex & X86_REX_W;
}

INTERP_FN(fxsave)
{
	gva_t a;

	xstate_check_fxsr(c);
	interp_mem(c, i, 4, SOFT_WRITE); /* #SS comes before misalignment */
	interp_check_align(c, i, 16);
	a = interp_try_ends(c, i, 0, 512, SOFT_WRITE);
	soft_fxsave(c, a, xstate_wide(i));
}

INTERP_FN(fxrstor)
{
	gva_t a;

	xstate_check_fxsr(c);
	interp_mem(c, i, 4, SOFT_READ);
	interp_check_align(c, i, 16);
	a = interp_try_ends(c, i, 0, 512, SOFT_READ);
	soft_fxrstor(c, a, xstate_wide(i));
}

static void xstate_save(
	struct soft_cpu *c, const struct x86_insn *i, enum soft_xsave_kind kind)
{
	bool compacted = kind == SOFT_XSAVEC || kind == SOFT_XSAVES;
	uint64_t mask = xstate_mask(c);
	unsigned n;

	xstate_check_xsave(c);
	n = soft_xsave_bytes(c, mask, compacted);
	soft_xsave(
		c, interp_mem(c, i, n, SOFT_WRITE), mask, kind, xstate_wide(i));
}

INTERP_FN(xsave)
{
	xstate_save(c, i, SOFT_XSAVE);
}

INTERP_FN(xsaveopt)
{
	xstate_save(c, i, SOFT_XSAVEOPT);
}

INTERP_FN(xsavec)
{
	xstate_save(c, i, SOFT_XSAVEC);
}

INTERP_FN(xsaves)
{
	xstate_save(c, i, SOFT_XSAVES);
}

static void xstate_restore(
	struct soft_cpu *c, const struct x86_insn *i, bool supervisor)
{
	uint64_t mask = xstate_mask(c);
	unsigned n;

	xstate_check_xsave(c);
	n = soft_xsave_bytes(c, mask, supervisor);
	soft_xrstor(c, interp_mem(c, i, n, SOFT_READ), mask, supervisor,
		xstate_wide(i));
}

INTERP_FN(xrstor)
{
	xstate_restore(c, i, false);
}

INTERP_FN(xrstors)
{
	xstate_restore(c, i, true);
}

INTERP_FN(xgetbv)
{
	uint32_t n = c->st.gpr[X86_RCX];
	uint64_t v = c->st.xcr0;

	if (!(c->st.cr4 & X86_CR4_OSXSAVE))
		soft_raise(c, X86_UD);
	if (n == 1 && interp_has(c, X86_FEAT_XGETBV1))
		v &= soft_xinuse(c);
	else if (n)
		soft_raise_err(c, X86_GP, 0);
	c->st.gpr[X86_RAX] = (uint32_t)v;
	c->st.gpr[X86_RDX] = v >> 32;
}

INTERP_FN(xsetbv)
{
	if (!(c->st.cr4 & X86_CR4_OSXSAVE))
		soft_raise(c, X86_UD);
	soft_xsetbv(c, c->st.gpr[X86_RCX], xstate_mask(c));
}
