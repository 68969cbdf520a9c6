/*
 * gate.c - interrupt delivery through the IVT and the IDT.
 *
 * rip and flags are what is pushed.  Everything that may raise comes before
 * anything is changed.
 *
 * Intel SDM vol. 2, INT n; vol. 3, 6.12-6.14, 20.1.4, 20.2-20.3.
 */
#include "cpu/soft/priv.h"

/* ---- real mode ---- */

static void soft_enter_ivt(struct soft_cpu *c, uint32_t vec,
	const struct soft_stack *k, uint64_t clear)
{
	soft_stack_commit(c, k);
	soft_seg_real(c, X86_CS, vec >> 16);
	c->st.rip = vec & 0xffff;
	soft_set_flags(c, 0, clear);
}

void soft_inject_real(struct soft_cpu *c, uint64_t rip, uint64_t flags)
{
	unsigned off = c->event.vector * 4;
	struct soft_stack k;
	uint32_t vec;

	if (off + 3 > c->st.idtr.limit)
		soft_raise_err(c, X86_GP, off + 2 + c->ext);
	vec = soft_load(c, (uint32_t)(c->st.idtr.base + off), 4, SOFT_KERNEL);
	soft_stack_current(c, &k);
	soft_stack_push(c, &k, 2, flags);
	soft_stack_push(c, &k, 2, c->st.seg[X86_CS].sel);
	soft_stack_push(c, &k, 2, rip);
	soft_enter_ivt(
		c, vec, &k, X86_FL_IF | X86_FL_TF | X86_FL_AC | X86_FL_RF);
}

void soft_inject_v86_redirected(
	struct soft_cpu *c, uint8_t vector, uint64_t rip)
{
	uint64_t fl = c->st.rflags & ~(uint64_t)X86_FL_RF;
	uint64_t clear = X86_FL_TF | X86_FL_RF;
	struct soft_stack k;
	uint32_t vec;

	/* The IVT is at linear 0, read as the 8086 program would. */
	vec = soft_load(c, vector * 4, 4, SOFT_USER);
	if ((fl & X86_FL_IOPL) == X86_FL_IOPL) {
		clear |= X86_FL_IF;
	} else {
		/* VIF stands for IF, IOPL reads as 3 */
		fl = (fl & ~(uint64_t)X86_FL_IF) | X86_FL_IOPL |
		     (fl & X86_FL_VIF ? X86_FL_IF : 0);
		clear |= X86_FL_VIF;
	}
	soft_stack_current(c, &k);
	soft_stack_push(c, &k, 2, fl);
	soft_stack_push(c, &k, 2, c->st.seg[X86_CS].sel);
	soft_stack_push(c, &k, 2, rip);
	soft_enter_ivt(c, vec, &k, clear);
}

/* ---- what protected and long mode share ---- */

static uint32_t soft_idt_error(const struct soft_cpu *c)
{
	return c->event.vector * 8 + 2 + c->ext;
}

/* Software interrupts need a gate that their privilege may use; then the gate
 * must be present. */
static void soft_check_gate(struct soft_cpu *c, uint64_t gate)
{
	if (c->event.soft_int && soft_desc_dpl(gate) < c->cpl)
		soft_raise_err(c, X86_GP, soft_idt_error(c));
	if (!soft_desc_present(gate))
		soft_raise_err(c, X86_NP, soft_idt_error(c));
}

/* The handler's code segment. */
static uint64_t soft_gate_code(struct soft_cpu *c, uint16_t sel)
{
	uint64_t d;

	if (soft_sel_null(sel))
		soft_raise_gp(c);
	d = soft_desc_read(c, sel, X86_GP);
	if (!soft_desc_code(d) || soft_desc_dpl(d) > c->cpl)
		soft_raise_sel(c, X86_GP, sel);
	if (c->long_mode && (!soft_desc_code64(c, d) || (d & 1ull << 54)))
		soft_raise_sel(c, X86_GP, sel);
	if (!soft_desc_present(d))
		soft_raise_sel(c, X86_NP, sel);
	return d;
}

static void soft_enter_handler(struct soft_cpu *c, uint16_t sel, uint64_t d,
	uint64_t rip, unsigned cpl, uint64_t type)
{
	uint64_t clear = X86_FL_TF | X86_FL_NT | X86_FL_RF | X86_FL_VM;

	if (!(type & 1))
		clear |= X86_FL_IF;
	c->st.rflags &= ~clear;
	c->st.rip = rip;
	soft_commit_cs(c, sel, d, cpl);
}

/* ---- protected mode ---- */

static void soft_push_v86_segs(
	struct soft_cpu *c, struct soft_stack *k, unsigned size)
{
	soft_stack_push(c, k, size, c->st.seg[X86_GS].sel);
	soft_stack_push(c, k, size, c->st.seg[X86_FS].sel);
	soft_stack_push(c, k, size, c->st.seg[X86_DS].sel);
	soft_stack_push(c, k, size, c->st.seg[X86_ES].sel);
}

struct soft_gate_entry {
	uint64_t gate, code; /* descriptors */
	uint64_t rip;	     /* the handler's */
	uint16_t sel;
	unsigned size; /* of a push */
};

static void soft_push_frame(struct soft_cpu *c, struct soft_stack *k,
	unsigned size, uint64_t rip, uint64_t flags)
{
	soft_stack_push(c, k, size, flags);
	soft_stack_push(c, k, size, c->st.seg[X86_CS].sel);
	soft_stack_push(c, k, size, rip);
	if (c->event.has_error)
		soft_stack_push(c, k, size, c->event.error);
}

static void soft_inject_inner(struct soft_cpu *c, struct soft_gate_entry *e,
	uint64_t rip, uint64_t flags)
{
	unsigned cpl = soft_desc_dpl(e->code);
	unsigned n = (c->v86 ? 9 : 5) + c->event.has_error;
	bool v86 = c->v86;
	struct soft_stack k;
	uint64_t ssd;

	if (v86 && cpl != 0)
		soft_raise_sel(c, X86_GP, e->sel);
	soft_stack_from_tss(c, cpl, &k, &ssd);
	soft_stack_room(c, &k, n, e->size);
	soft_check_rip(c, e->code, e->rip, c->ext);
	soft_desc_set(c, k.ss.sel, ssd, X86_SEG_A);
	soft_desc_set(c, e->sel, e->code, X86_SEG_A);
	if (v86)
		soft_push_v86_segs(c, &k, e->size);
	soft_stack_push(c, &k, e->size, c->st.seg[X86_SS].sel);
	soft_stack_push(c, &k, e->size, c->st.gpr[X86_RSP]);
	soft_push_frame(c, &k, e->size, rip, flags);
	if (v86)
		for (unsigned i = X86_ES; i <= X86_GS; i++)
			if (i != X86_CS && i != X86_SS)
				soft_seg_null(&c->st.seg[i], 0);
	c->st.seg[X86_SS] = k.ss;
	soft_stack_commit(c, &k);
	soft_enter_handler(
		c, e->sel, e->code, e->rip, cpl, soft_desc_type(e->gate));
}

static void soft_inject_same(struct soft_cpu *c, struct soft_gate_entry *e,
	uint64_t rip, uint64_t flags)
{
	struct soft_stack k;

	if (c->v86)
		soft_raise_sel(c, X86_GP, e->sel);
	soft_stack_current(c, &k);
	soft_stack_room(c, &k, 3 + c->event.has_error, e->size);
	soft_check_rip(c, e->code, e->rip, c->ext);
	soft_desc_set(c, e->sel, e->code, X86_SEG_A);
	soft_push_frame(c, &k, e->size, rip, flags);
	soft_stack_commit(c, &k);
	soft_enter_handler(
		c, e->sel, e->code, e->rip, c->cpl, soft_desc_type(e->gate));
}

/* A task gate in the IDT: the error code goes onto the new task's stack. */
static void soft_inject_task(
	struct soft_cpu *c, uint64_t gate, uint64_t rip, uint64_t flags)
{
	unsigned size;
	struct soft_stack k;

	soft_task_gate(c, gate, SOFT_TASK_CALL, rip, flags);
	if (!c->event.has_error)
		return;
	size = (c->st.seg[X86_TR].attr & 0xd) == SOFT_TSS16 ? 2 : 4;
	soft_stack_current(c, &k);
	soft_stack_push(c, &k, size, c->event.error);
	soft_stack_commit(c, &k);
}

void soft_inject_prot(struct soft_cpu *c, uint64_t rip, uint64_t flags)
{
	unsigned off = c->event.vector * 8, type;
	struct soft_gate_entry e;

	if (off + 7 > c->st.idtr.limit)
		soft_raise_err(c, X86_GP, soft_idt_error(c));
	e.gate =
		soft_load(c, (uint32_t)(c->st.idtr.base + off), 8, SOFT_KERNEL);
	type = soft_desc_type(e.gate);
	if (type != SOFT_TASK_GATE && (type & ~9u) != 6)
		soft_raise_err(c, X86_GP, soft_idt_error(c));
	soft_check_gate(c, e.gate);
	if (type == SOFT_TASK_GATE) {
		soft_inject_task(c, e.gate, rip, flags);
		return;
	}
	e.sel = e.gate >> 16;
	e.size = type & 8 ? 4 : 2;
	e.rip = (e.gate & 0xffff) | (e.gate >> 32 & 0xffff0000);
	if (e.size == 2)
		e.rip &= 0xffff;
	e.code = soft_gate_code(c, e.sel);
	if (!soft_desc_conforming(e.code) && soft_desc_dpl(e.code) < c->cpl)
		soft_inject_inner(c, &e, rip, flags);
	else
		soft_inject_same(c, &e, rip, flags);
}

/* ---- long mode ---- */

void soft_inject_long(struct soft_cpu *c, uint64_t rip, uint64_t flags)
{
	unsigned off = c->event.vector * 16, cpl, ist;
	struct x86_seg old_ss = c->st.seg[X86_SS];
	uint64_t gate, high, d, target;
	struct soft_stack k;
	uint16_t sel;

	if (off + 15 > c->st.idtr.limit)
		soft_raise_err(c, X86_GP, soft_idt_error(c));
	gate = soft_load(c, c->st.idtr.base + off, 8, SOFT_KERNEL);
	high = soft_load(c, c->st.idtr.base + off + 8, 8, SOFT_KERNEL);
	if ((soft_desc_type(gate) & ~1u) != SOFT_INT32 || (high >> 40 & 0x1f))
		soft_raise_err(c, X86_GP, soft_idt_error(c));
	soft_check_gate(c, gate);
	sel = gate >> 16;
	ist = gate >> 32 & 7;
	target = (gate & 0xffff) | (gate >> 32 & 0xffff0000) | high << 32;
	d = soft_gate_code(c, sel);
	cpl = soft_desc_conforming(d) ? c->cpl : soft_desc_dpl(d);

	k.sp = c->st.gpr[X86_RSP];
	if (cpl != c->cpl || ist)
		k.sp = soft_rsp_from_tss(c, cpl, ist);
	k.sp &= ~15ull;
	k.mask = ~0ull;
	k.code64 = true;
	k.mode = soft_mode_for(c, cpl);
	k.err = 0;
	soft_stack_room(c, &k, 5 + c->event.has_error, 8);
	if (!soft_canonical(target))
		soft_raise_gp(c);
	soft_desc_set(c, sel, d, X86_SEG_A);
	soft_stack_push(c, &k, 8, old_ss.sel);
	soft_stack_push(c, &k, 8, c->st.gpr[X86_RSP]);
	soft_push_frame(c, &k, 8, rip, flags);
	if (cpl != c->cpl) {
		soft_seg_null(&c->st.seg[X86_SS], cpl);
		c->st.seg[X86_SS].attr = cpl << X86_SEG_DPL_SHIFT;
	}
	c->st.gpr[X86_RSP] = k.sp;
	soft_enter_handler(c, sel, d, target, cpl, soft_desc_type(gate));
}
