/*
 * flags.c - the flags that privilege guards: POPF, PUSHF, CLI, STI.
 *
 * Virtual-8086 mode extensions (CR4.VME) and protected-mode virtual interrupts
 * (CR4.PVI) let VIF stand for IF where IOPL forbids IF.
 *
 * Intel SDM vol. 2, POPF (table 4-16), STI, CLI; vol. 3, 20.3, 20.4.
 */
#include "cpu/soft/priv.h"

void soft_set_flags(struct soft_cpu *c, uint64_t val, uint64_t mask)
{
	c->st.rflags = (c->st.rflags & ~mask) | (val & mask) | X86_FL_1;
	soft_update_mode(c);
}

static unsigned soft_iopl(const struct soft_cpu *c)
{
	return (c->st.rflags & X86_FL_IOPL) >> X86_FL_IOPL_SHIFT;
}

/* V86 below IOPL 3: only 16-bit forms, and only with VME. */
static void soft_v86_need_vme(struct soft_cpu *c, unsigned osize)
{
	if (osize != 2 || !(c->st.cr4 & X86_CR4_VME))
		soft_raise_err(c, X86_GP, 0);
}

void soft_popf(struct soft_cpu *c, uint64_t val, unsigned osize)
{
	uint64_t mask = X86_FL_ARITH | X86_FL_TF | X86_FL_DF | X86_FL_NT;

	if (osize != 2)
		mask |= X86_FL_AC | X86_FL_ID;
	if (c->v86 && soft_iopl(c) < 3) {
		soft_v86_need_vme(c, osize);
		if ((val & X86_FL_TF) ||
			((val & X86_FL_IF) && (c->st.rflags & X86_FL_VIP)))
			soft_raise_err(c, X86_GP, 0);
		val = val & X86_FL_IF ? val | X86_FL_VIF
				      : val & ~(uint64_t)X86_FL_VIF;
		mask |= X86_FL_VIF;
	} else {
		if (c->cpl <= soft_iopl(c))
			mask |= X86_FL_IF;
		if (c->cpl == 0)
			mask |= X86_FL_IOPL;
	}
	/* RF is cleared by POPF whatever the image says. */
	soft_set_flags(c, val & ~(uint64_t)X86_FL_RF, mask | X86_FL_RF);
}

uint64_t soft_pushf(struct soft_cpu *c, unsigned osize)
{
	uint64_t fl = c->st.rflags & ~(uint64_t)(X86_FL_VM | X86_FL_RF);

	if (!c->v86 || soft_iopl(c) == 3)
		return fl;
	soft_v86_need_vme(c, osize);
	fl |= X86_FL_IOPL;
	return fl & X86_FL_VIF ? fl | X86_FL_IF : fl & ~(uint64_t)X86_FL_IF;
}

/* Which flag CLI and STI reach: IF, VIF, or none. */
static uint64_t soft_reachable_if(const struct soft_cpu *c)
{
	if (c->cpl <= soft_iopl(c))
		return X86_FL_IF;
	if (c->v86)
		return c->st.cr4 & X86_CR4_VME ? X86_FL_VIF : 0;
	return c->cpl == 3 && (c->st.cr4 & X86_CR4_PVI) ? X86_FL_VIF : 0;
}

void soft_cli(struct soft_cpu *c)
{
	uint64_t f = soft_reachable_if(c);

	if (!f)
		soft_raise_err(c, X86_GP, 0);
	c->st.rflags &= ~f;
}

void soft_sti(struct soft_cpu *c)
{
	uint64_t f = soft_reachable_if(c);

	if (!f || (f == X86_FL_VIF && (c->st.rflags & X86_FL_VIP)))
		soft_raise_err(c, X86_GP, 0);
	if (f == X86_FL_IF && !(c->st.rflags & X86_FL_IF))
		c->st.sti_shadow = 1;
	c->st.rflags |= f;
}
