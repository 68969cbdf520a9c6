/*
 * iret.c - return from interrupts.
 *
 * Intel SDM vol. 2, IRET; vol. 3, 6.7.1 (NMI), 20.2.6 (to V86).
 */
#include "cpu/soft/priv.h"

#define FL_IRET16 (X86_FL_ARITH | X86_FL_TF | X86_FL_DF | X86_FL_NT)
#define FL_IRET32 (FL_IRET16 | X86_FL_RF | X86_FL_AC | X86_FL_ID)

struct iret_frame {
	uint64_t rip, flags;
	uint16_t cs;
};

static void iret_pop(struct soft_cpu *c, struct soft_stack *k, unsigned osize,
	struct iret_frame *f)
{
	soft_stack_avail(c, k, 3, osize);
	f->rip = soft_stack_pop(c, k, osize);
	f->cs = soft_stack_pop(c, k, osize);
	f->flags = soft_stack_pop(c, k, osize);
}

/* Real mode, and V86 with IOPL 3 or VME. */
static void iret_real(struct soft_cpu *c, unsigned osize)
{
	uint64_t mask = osize == 2 ? FL_IRET16 : FL_IRET32;
	uint64_t fl = c->st.rflags;
	struct iret_frame f;
	struct soft_stack k;
	bool vme = false;

	if (c->v86 && (fl & X86_FL_IOPL) != X86_FL_IOPL) {
		vme = osize == 2 && (c->st.cr4 & X86_CR4_VME);
		if (!vme)
			soft_raise_err(c, X86_GP, 0);
	}
	soft_stack_current(c, &k);
	iret_pop(c, &k, osize, &f);
	if (f.rip > c->st.seg[X86_CS].limit)
		soft_raise_err(c, X86_GP, 0);
	if (vme) {
		if ((f.flags & X86_FL_TF) ||
			((f.flags & X86_FL_IF) && (fl & X86_FL_VIP)))
			soft_raise_err(c, X86_GP, 0);
		mask |= X86_FL_VIF;
		f.flags &= ~(uint64_t)X86_FL_VIF;
		if (f.flags & X86_FL_IF)
			f.flags |= X86_FL_VIF;
	} else {
		mask |= X86_FL_IF;
		if (!c->v86)
			mask |= X86_FL_IOPL;
	}
	soft_stack_commit(c, &k);
	soft_seg_real(c, X86_CS, f.cs);
	c->st.rip = f.rip;
	soft_set_flags(c, f.flags, mask);
}

static void iret_to_v86(
	struct soft_cpu *c, struct soft_stack *k, const struct iret_frame *f)
{
	static const uint8_t order[] = {X86_SS, X86_ES, X86_DS, X86_FS, X86_GS};
	uint16_t sel[sizeof(order)];
	uint32_t esp;

	soft_stack_avail(c, k, 6, 4);
	esp = soft_stack_pop(c, k, 4);
	for (unsigned i = 0; i < sizeof(order); i++)
		sel[i] = soft_stack_pop(c, k, 4);
	if (f->rip > 0xffff)
		soft_raise_err(c, X86_GP, 0);
	for (unsigned i = 0; i < sizeof(order); i++)
		soft_seg_v86(&c->st.seg[order[i]], sel[i]);
	soft_seg_v86(&c->st.seg[X86_CS], f->cs);
	c->st.gpr[X86_RSP] = esp;
	c->st.rip = f->rip;
	soft_set_flags(c, f->flags,
		FL_IRET32 | X86_FL_IF | X86_FL_IOPL | X86_FL_VM | X86_FL_VIF |
			X86_FL_VIP);
}

static uint64_t iret_flags_mask(const struct soft_cpu *c, unsigned osize)
{
	uint64_t mask = osize == 2 ? FL_IRET16 : FL_IRET32;
	unsigned iopl = (c->st.rflags & X86_FL_IOPL) >> X86_FL_IOPL_SHIFT;

	if (c->cpl <= iopl)
		mask |= X86_FL_IF;
	if (c->cpl == 0) {
		mask |= X86_FL_IOPL;
		if (osize != 2)
			mask |= X86_FL_VIF | X86_FL_VIP;
	}
	return mask;
}

static void iret_protected(struct soft_cpu *c, unsigned osize,
	struct soft_stack *k, const struct iret_frame *f)
{
	unsigned cpl = f->cs & 3;
	bool stack = cpl != c->cpl || c->code64;
	uint64_t mask = iret_flags_mask(c, osize);
	uint64_t d = soft_return_code(c, f->cs);
	struct soft_stack n = *k;

	if (stack) {
		uint64_t sp;
		uint16_t ss;

		soft_stack_avail(c, k, 2, osize);
		sp = soft_stack_pop(c, k, osize);
		ss = soft_stack_pop(c, k, osize);
		soft_return_stack(c, ss, cpl, d, sp, &n);
	}
	soft_check_rip(c, d, f->rip, 0);
	soft_desc_set(c, f->cs, d, X86_SEG_A);
	if (stack)
		c->st.seg[X86_SS] = n.ss;
	else
		n = *k;
	soft_stack_commit(c, &n);
	if (cpl != c->cpl)
		soft_null_outer_segs(c, cpl);
	c->st.rip = f->rip;
	c->st.rflags = (c->st.rflags & ~mask) | (f->flags & mask);
	soft_commit_cs(c, f->cs, d, cpl);
}

void soft_iret(struct soft_cpu *c, unsigned osize, uint64_t next)
{
	struct iret_frame f;
	struct soft_stack k;

	if (c->st.nmi_blocked) {
		c->st.nmi_blocked = 0;
		atomic_store(&c->bc->nmi_masked, false);
	}
	if (!c->protected_mode || c->v86) {
		iret_real(c, osize);
		return;
	}
	if (c->st.rflags & X86_FL_NT) {
		if (c->long_mode)
			soft_raise_err(c, X86_GP, 0);
		soft_task_return(c, next);
		return;
	}
	soft_stack_current(c, &k);
	iret_pop(c, &k, osize, &f);
	if (!c->long_mode && osize == 4 && c->cpl == 0 && (f.flags & X86_FL_VM))
		iret_to_v86(c, &k, &f);
	else
		iret_protected(c, osize, &k, &f);
}
