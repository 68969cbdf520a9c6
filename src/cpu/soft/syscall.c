/*
 * syscall.c - SYSCALL, SYSRET, SYSENTER, SYSEXIT.
 *
 * They load fixed flat segments and read no descriptors.  Where the vendors
 * differ, the model's vendor decides: Intel has SYSCALL in 64-bit mode only
 * and checks SYSRET's RCX; AMD has it everywhere, but no SYSENTER in long
 * mode.
 *
 * Intel SDM vol. 2; AMD APM vol. 3.
 */
#include "cpu/soft/priv.h"

#define CODE64 0xa09b /* P, S, execute/read/accessed, L, G */
#define CODE32 0xc09b
#define DATA32 0xc093

/* SYSCALL keeps the RPL of STAR in SS, and in SS only. */
static void soft_flat_segs(struct soft_cpu *c, uint16_t cs, uint16_t ss,
	uint16_t code, unsigned cpl)
{
	uint16_t dpl = cpl << X86_SEG_DPL_SHIFT;

	c->st.seg[X86_CS] =
		(struct x86_seg){0, 0xffffffff, (cs & ~3u) | cpl, code | dpl};
	c->st.seg[X86_SS] =
		(struct x86_seg){0, 0xffffffff, ss | cpl, DATA32 | dpl};
	soft_update_mode(c);
}

/* A step over SYSCALL and the like traps only if the new flags have TF. */
static void soft_step_over(struct soft_cpu *c, uint64_t old)
{
	c->tf_done = (old & X86_FL_TF) && !(c->st.rflags & X86_FL_TF);
}

static void soft_need_sce(struct soft_cpu *c)
{
	if (!(c->st.efer & X86_EFER_SCE) || (!c->vm->amd && !c->code64))
		soft_raise(c, X86_UD);
}

void soft_syscall(struct soft_cpu *c, uint64_t next)
{
	struct x86_state *s = &c->st;
	uint64_t old = s->rflags;
	uint16_t cs = s->star >> 32;

	soft_need_sce(c);
	if (!c->long_mode) {
		s->gpr[X86_RCX] = (uint32_t)next;
		s->rip = (uint32_t)s->star;
		s->rflags &= ~(uint64_t)(X86_FL_VM | X86_FL_IF | X86_FL_RF);
		soft_flat_segs(c, cs, cs + 8, CODE32, 0);
		return;
	}
	s->gpr[X86_RCX] = next;
	s->gpr[X86_R11] = s->rflags & ~(uint64_t)X86_FL_RF;
	s->rip = c->code64 ? s->lstar : s->cstar;
	s->rflags &= ~(s->sfmask | X86_FL_RF);
	s->rflags |= X86_FL_1;
	soft_step_over(c, old);
	soft_flat_segs(c, cs, cs + 8, CODE64, 0);
}

void soft_sysret(struct soft_cpu *c, unsigned osize)
{
	struct x86_state *s = &c->st;
	uint16_t cs = s->star >> 48;
	uint64_t rip = s->gpr[X86_RCX];

	soft_need_sce(c);
	if (!c->protected_mode || c->cpl)
		soft_raise_err(c, X86_GP, 0);
	if (osize == 8 && !soft_canonical(rip))
		soft_raise_err(c, X86_GP, 0);
	if (c->long_mode)
		s->rflags = (s->gpr[X86_R11] & 0x3c7fd7) | X86_FL_1;
	else
		s->rflags |= X86_FL_IF;
	s->rip = osize == 8 ? rip : (uint32_t)rip;
	soft_flat_segs(c, osize == 8 ? cs + 16 : cs, cs + 8,
		osize == 8 ? CODE64 : CODE32, 3);
}

void soft_sysenter(struct soft_cpu *c)
{
	struct x86_state *s = &c->st;
	uint16_t cs = s->sysenter_cs & 0xfffc;

	if (c->vm->amd && c->long_mode)
		soft_raise(c, X86_UD);
	if (!c->protected_mode || !cs)
		soft_raise_err(c, X86_GP, 0);
	s->rflags &= ~(uint64_t)(X86_FL_VM | X86_FL_IF | X86_FL_RF);
	s->gpr[X86_RSP] =
		c->long_mode ? s->sysenter_esp : (uint32_t)s->sysenter_esp;
	s->rip = c->long_mode ? s->sysenter_eip : (uint32_t)s->sysenter_eip;
	soft_flat_segs(c, cs, cs + 8, c->long_mode ? CODE64 : CODE32, 0);
}

void soft_sysexit(struct soft_cpu *c, unsigned osize)
{
	struct x86_state *s = &c->st;
	uint16_t cs = s->sysenter_cs;
	uint64_t rip = s->gpr[X86_RDX], rsp = s->gpr[X86_RCX];

	if (c->vm->amd && c->long_mode)
		soft_raise(c, X86_UD);
	if (!c->protected_mode || c->cpl || !(cs & 0xfffc))
		soft_raise_err(c, X86_GP, 0);
	if (osize == 8) {
		if (!soft_canonical(rip) || !soft_canonical(rsp))
			soft_raise_err(c, X86_GP, 0);
		s->rip = rip;
		s->gpr[X86_RSP] = rsp;
		soft_flat_segs(c, cs + 32, cs + 40, CODE64, 3);
	} else {
		s->rip = (uint32_t)rip;
		s->gpr[X86_RSP] = (uint32_t)rsp;
		soft_flat_segs(c, cs + 16, cs + 24, CODE32, 3);
	}
}
