/*
 * branch.c - jumps, calls, returns, software interrupts.  All set RIP.
 */
#include "cpu/interp/ops.h"

INTERP_FN(jcc)
{
	uint64_t next = interp_next(c, i);

	if (interp_cond(c->st.rflags, i->opcode))
		next = interp_target(c, next + i->imm, i->osize);
	c->st.rip = next;
}

INTERP_FN(jmp_rel)
{
	c->st.rip = interp_target(c, interp_next(c, i) + i->imm, i->osize);
}

INTERP_FN(jmp_ind)
{
	uint64_t t = interp_read(c, i, 0, i->osize);

	c->st.rip = interp_target(c, t, i->osize);
}

/* The return address is stored before the target is looked at. */
interp_inline void branch_call(
	struct soft_cpu *c, const struct x86_insn *i, uint64_t t)
{
	uint64_t sp = interp_sp(c);

	interp_push_at(c, &sp, i->osize, interp_next(c, i));
	c->st.rip = interp_target(c, t, i->osize);
	interp_set_sp(c, sp);
}

INTERP_FN(call_rel)
{
	branch_call(c, i, interp_next(c, i) + i->imm);
}

INTERP_FN(call_ind)
{
	branch_call(c, i, interp_read(c, i, 0, i->osize));
}

INTERP_FN(ret)
{
	uint64_t sp = interp_sp(c);
	uint64_t t = interp_pop_at(c, &sp, i->osize);

	c->st.rip = interp_target(c, t, i->osize);
	if (i->nopnds)
		sp += (uint16_t)i->imm;
	interp_set_sp(c, sp);
}

/* ---- rCX of the address size ---- */

static void branch_short(struct soft_cpu *c, const struct x86_insn *i,
	bool taken, uint64_t count)
{
	uint64_t next = interp_next(c, i);

	if (taken)
		next = interp_target(c, next + i->imm, i->osize);
	interp_set_reg(c, X86_RCX, i->asize, count);
	c->st.rip = next;
}

INTERP_FN(jcxz)
{
	uint64_t next = interp_next(c, i);

	if (!interp_reg(c, X86_RCX, i->asize))
		next = interp_target(c, next + i->imm, i->osize);
	c->st.rip = next;
}

INTERP_FN(loop)
{
	uint64_t n = interp_asize_mask(i, c->st.gpr[X86_RCX] - 1);

	branch_short(c, i, n != 0, n);
}

INTERP_FN(loope)
{
	uint64_t n = interp_asize_mask(i, c->st.gpr[X86_RCX] - 1);

	branch_short(c, i, n && c->st.rflags & X86_FL_ZF, n);
}

INTERP_FN(loopne)
{
	uint64_t n = interp_asize_mask(i, c->st.gpr[X86_RCX] - 1);

	branch_short(c, i, n && !(c->st.rflags & X86_FL_ZF), n);
}

/* ---- far ---- */

INTERP_FN(jmp_far)
{
	soft_far_jmp(c, i->imm2, i->imm, i->osize, interp_next(c, i));
}

INTERP_FN(call_far)
{
	soft_far_call(c, i->imm2, i->imm, i->osize, interp_next(c, i));
}

static uint16_t branch_far_pointer(
	struct soft_cpu *c, const struct x86_insn *i, uint64_t *off)
{
	unsigned size = i->osize;
	uint64_t ea = interp_ea(c, i);
	gva_t a = interp_linear(c, i->seg, ea, size + 2, SOFT_READ);

	*off = soft_load(c, a, size, c->tlb_mode);
	a = soft_fast_linear(
		c, i->seg, interp_asize_mask(i, ea + size), 2, SOFT_READ);
	return soft_load(c, a, 2, c->tlb_mode);
}

INTERP_FN(jmp_farm)
{
	uint64_t off;
	uint16_t sel = branch_far_pointer(c, i, &off);

	soft_far_jmp(c, sel, off, i->osize, interp_next(c, i));
}

INTERP_FN(call_farm)
{
	uint64_t off;
	uint16_t sel = branch_far_pointer(c, i, &off);

	soft_far_call(c, sel, off, i->osize, interp_next(c, i));
}

INTERP_FN(retf)
{
	soft_far_ret(c, i->osize, i->nopnds ? (uint16_t)i->imm : 0);
}

INTERP_FN(iret)
{
	soft_iret(c, i->osize, interp_next(c, i));
}

/* ---- software interrupts and the like ---- */

INTERP_FN(int)
{
	soft_int(c, i->imm, interp_next(c, i), SOFT_INT_N);
}

INTERP_FN(int3)
{
	soft_int(c, X86_BP, interp_next(c, i), SOFT_INT_3);
}

INTERP_FN(int1)
{
	soft_int(c, X86_DB, interp_next(c, i), SOFT_INT_ICEBP);
}

INTERP_FN(into)
{
	uint64_t next = interp_next(c, i);

	if (c->st.rflags & X86_FL_OF)
		soft_int(c, X86_OF, next, SOFT_INT_O);
	else
		c->st.rip = next;
}

INTERP_FN(syscall)
{
	soft_syscall(c, interp_next(c, i));
}

INTERP_FN(sysret)
{
	soft_sysret(c, i->osize);
}

INTERP_FN(sysenter)
{
	soft_sysenter(c);
}

INTERP_FN(sysexit)
{
	soft_sysexit(c, i->osize);
}

/* Does not set RIP: a check that passes or raises. */
INTERP_FN(bound)
{
	unsigned size = i->osize;
	uint64_t off = interp_ea(c, i);
	gva_t a = interp_linear(c, i->seg, off, size, SOFT_READ);
	int64_t v = interp_sext(c->st.gpr[i->opnd[0].reg], size), low, high;

	low = interp_sext(soft_load(c, a, size, c->tlb_mode), size);
	if (v < low)
		soft_raise(c, X86_BR);
	a = soft_fast_linear(
		c, i->seg, interp_asize_mask(i, off + size), size, SOFT_READ);
	high = interp_sext(soft_load(c, a, size, c->tlb_mode), size);
	if (v > high)
		soft_raise(c, X86_BR);
}
