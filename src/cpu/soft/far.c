/*
 * far.c - far JMP, CALL and RET.
 *
 * Intel SDM vol. 2, JMP, CALL, RET; vol. 3, 5.8.
 */
#include "cpu/soft/priv.h"

void soft_commit_cs(struct soft_cpu *c, uint16_t sel, uint64_t d, unsigned cpl)
{
	struct x86_seg *cs = &c->st.seg[X86_CS];

	soft_seg_from_desc(cs, (sel & ~3u) | cpl, d | 1ull << 40);
	if (soft_desc_code64(c, d))
		cs->base = 0;
	soft_update_mode(c);
}

void soft_check_rip(struct soft_cpu *c, uint64_t d, uint64_t off, uint16_t err)
{
	if (soft_desc_code64(c, d) ? !soft_canonical(off)
				   : off > soft_desc_limit(d))
		soft_raise_err(c, X86_GP, err);
}

/* ---- targets ---- */

static void soft_real_jump(struct soft_cpu *c, uint16_t sel, uint64_t off)
{
	soft_seg_real(c, X86_CS, sel);
	c->st.rip = off;
	soft_update_mode(c);
}

/* A code segment named by JMP or CALL itself. */
static void soft_check_direct(struct soft_cpu *c, uint16_t sel, uint64_t d)
{
	unsigned dpl = soft_desc_dpl(d);

	if (soft_desc_bad_long(c, d))
		soft_raise_sel(c, X86_GP, sel);
	if (soft_desc_conforming(d)) {
		if (dpl > c->cpl)
			soft_raise_sel(c, X86_GP, sel);
	} else if ((sel & 3) > c->cpl || dpl != c->cpl) {
		soft_raise_sel(c, X86_GP, sel);
	}
	if (!soft_desc_present(d))
		soft_raise_sel(c, X86_NP, sel);
}

struct soft_call_gate {
	uint16_t sel;  /* of the target */
	uint64_t code; /* its descriptor */
	uint64_t off;
	unsigned size; /* of a push */
	unsigned params;
};

/* Read a call gate and its target; jmp: no change of privilege allowed. */
static void soft_read_call_gate(struct soft_cpu *c, uint16_t sel, uint64_t g,
	bool jmp, struct soft_call_gate *cg)
{
	unsigned dpl;

	cg->sel = g >> 16;
	cg->off = g & 0xffff;
	cg->size = 2;
	cg->params = g >> 32 & 31;
	if (soft_desc_type(g) == SOFT_CALL32) {
		cg->off |= g >> 32 & 0xffff0000;
		cg->size = 4;
	}
	if (c->long_mode) {
		uint64_t high = soft_desc_read_high(c, sel, X86_GP);

		if (high >> 40 & 0x1f)
			soft_raise_sel(c, X86_GP, sel);
		cg->off |= high << 32;
		cg->size = 8;
		cg->params = 0;
	}
	if (soft_sel_null(cg->sel))
		soft_raise_err(c, X86_GP, 0);
	cg->code = soft_desc_read(c, cg->sel, X86_GP);
	dpl = soft_desc_dpl(cg->code);
	if (!soft_desc_code(cg->code) || dpl > c->cpl)
		soft_raise_sel(c, X86_GP, cg->sel);
	if (jmp && !soft_desc_conforming(cg->code) && dpl != c->cpl)
		soft_raise_sel(c, X86_GP, cg->sel);
	if (c->long_mode &&
		(!soft_desc_code64(c, cg->code) || (cg->code & 1ull << 54)))
		soft_raise_sel(c, X86_GP, cg->sel);
	if (!soft_desc_present(cg->code))
		soft_raise_sel(c, X86_NP, cg->sel);
}

/* System descriptors may be used by DPL >= CPL and RPL. */
static void soft_check_system(struct soft_cpu *c, uint16_t sel, uint64_t d)
{
	unsigned type = soft_desc_type(d), dpl = soft_desc_dpl(d);
	unsigned ok = c->long_mode
			      ? 1u << SOFT_CALL32
			      : 1u << SOFT_CALL16 | 1u << SOFT_CALL32 |
					1u << SOFT_TASK_GATE |
					1u << SOFT_TSS16 | 1u << SOFT_TSS32;

	if ((type & 0x10) || !(ok >> type & 1))
		soft_raise_sel(c, X86_GP, sel);
	if (dpl < c->cpl || dpl < (sel & 3u))
		soft_raise_sel(c, X86_GP, sel);
	if (!soft_desc_present(d))
		soft_raise_sel(c, X86_NP, sel);
}

static bool soft_is_call_gate(uint64_t d)
{
	return (soft_desc_type(d) & ~8u) == SOFT_CALL16;
}

static void soft_far_task(struct soft_cpu *c, uint16_t sel, uint64_t d,
	enum soft_task_reason why, uint64_t next)
{
	if (soft_desc_type(d) == SOFT_TASK_GATE)
		soft_task_gate(c, d, why, next, c->st.rflags);
	else
		soft_task_switch(c, sel, why, next, c->st.rflags);
}

/* ---- JMP ---- */

void soft_far_jmp(struct soft_cpu *c, uint16_t sel, uint64_t off,
	unsigned osize, uint64_t next)
{
	struct soft_call_gate cg;
	uint64_t d;

	off &= soft_size_mask(osize);
	if (!c->protected_mode || c->v86) {
		if (off > c->st.seg[X86_CS].limit)
			soft_raise_err(c, X86_GP, 0);
		soft_real_jump(c, sel, off);
		return;
	}
	if (soft_sel_null(sel))
		soft_raise_err(c, X86_GP, 0);
	d = soft_desc_read(c, sel, X86_GP);
	if (soft_desc_code(d)) {
		soft_check_direct(c, sel, d);
	} else {
		soft_check_system(c, sel, d);
		if (!soft_is_call_gate(d)) {
			soft_far_task(c, sel, d, SOFT_TASK_JMP, next);
			return;
		}
		soft_read_call_gate(c, sel, d, true, &cg);
		sel = cg.sel;
		d = cg.code;
		off = cg.off;
	}
	soft_check_rip(c, d, off, 0);
	soft_desc_set(c, sel, d, X86_SEG_A);
	c->st.rip = off;
	soft_commit_cs(c, sel, d, c->cpl);
}

/* ---- CALL ---- */

static void soft_call_same(
	struct soft_cpu *c, const struct soft_call_gate *cg, uint64_t next)
{
	struct soft_stack k;

	soft_stack_current(c, &k);
	soft_stack_room(c, &k, 2, cg->size);
	soft_check_rip(c, cg->code, cg->off, 0);
	soft_desc_set(c, cg->sel, cg->code, X86_SEG_A);
	soft_stack_push(c, &k, cg->size, c->st.seg[X86_CS].sel);
	soft_stack_push(c, &k, cg->size, next);
	soft_stack_commit(c, &k);
	c->st.rip = cg->off;
	soft_commit_cs(c, cg->sel, cg->code, c->cpl);
}

static void soft_call_inner_long(
	struct soft_cpu *c, const struct soft_call_gate *cg, uint64_t next)
{
	unsigned cpl = soft_desc_dpl(cg->code);
	struct soft_stack k = {.mask = ~0ull, .code64 = true};

	k.sp = soft_rsp_from_tss(c, cpl, 0);
	k.mode = soft_mode_for(c, cpl);
	soft_stack_room(c, &k, 4, 8);
	soft_check_rip(c, cg->code, cg->off, 0);
	soft_desc_set(c, cg->sel, cg->code, X86_SEG_A);
	soft_stack_push(c, &k, 8, c->st.seg[X86_SS].sel);
	soft_stack_push(c, &k, 8, c->st.gpr[X86_RSP]);
	soft_stack_push(c, &k, 8, c->st.seg[X86_CS].sel);
	soft_stack_push(c, &k, 8, next);
	soft_seg_null(&c->st.seg[X86_SS], cpl);
	c->st.seg[X86_SS].attr = cpl << X86_SEG_DPL_SHIFT;
	c->st.gpr[X86_RSP] = k.sp;
	c->st.rip = cg->off;
	soft_commit_cs(c, cg->sel, cg->code, cpl);
}

static void soft_call_inner(
	struct soft_cpu *c, const struct soft_call_gate *cg, uint64_t next)
{
	unsigned cpl = soft_desc_dpl(cg->code);
	uint64_t param[32], ssd;
	struct soft_stack k, old;

	soft_stack_from_tss(c, cpl, &k, &ssd);
	soft_stack_room(c, &k, 4 + cg->params, cg->size);
	soft_check_rip(c, cg->code, cg->off, 0);
	soft_stack_current(c, &old);
	for (unsigned i = 0; i < cg->params; i++)
		param[i] = soft_stack_pop(c, &old, cg->size);
	soft_desc_set(c, k.ss.sel, ssd, X86_SEG_A);
	soft_desc_set(c, cg->sel, cg->code, X86_SEG_A);
	soft_stack_push(c, &k, cg->size, c->st.seg[X86_SS].sel);
	soft_stack_push(c, &k, cg->size, c->st.gpr[X86_RSP]);
	for (unsigned i = cg->params; i-- > 0;)
		soft_stack_push(c, &k, cg->size, param[i]);
	soft_stack_push(c, &k, cg->size, c->st.seg[X86_CS].sel);
	soft_stack_push(c, &k, cg->size, next);
	c->st.seg[X86_SS] = k.ss;
	soft_stack_commit(c, &k);
	c->st.rip = cg->off;
	soft_commit_cs(c, cg->sel, cg->code, cpl);
}

static void soft_call_real(struct soft_cpu *c, uint16_t sel, uint64_t off,
	unsigned osize, uint64_t next)
{
	struct soft_stack k;

	soft_stack_current(c, &k);
	soft_stack_room(c, &k, 2, osize);
	if (off > c->st.seg[X86_CS].limit)
		soft_raise_err(c, X86_GP, 0);
	soft_stack_push(c, &k, osize, c->st.seg[X86_CS].sel);
	soft_stack_push(c, &k, osize, next);
	soft_stack_commit(c, &k);
	soft_real_jump(c, sel, off);
}

void soft_far_call(struct soft_cpu *c, uint16_t sel, uint64_t off,
	unsigned osize, uint64_t next)
{
	struct soft_call_gate cg;
	uint64_t d;

	off &= soft_size_mask(osize);
	if (!c->protected_mode || c->v86) {
		soft_call_real(c, sel, off, osize, next);
		return;
	}
	if (soft_sel_null(sel))
		soft_raise_err(c, X86_GP, 0);
	d = soft_desc_read(c, sel, X86_GP);
	if (soft_desc_code(d)) {
		soft_check_direct(c, sel, d);
		cg = (struct soft_call_gate){sel, d, off, osize, 0};
		soft_call_same(c, &cg, next);
		return;
	}
	soft_check_system(c, sel, d);
	if (!soft_is_call_gate(d)) {
		soft_far_task(c, sel, d, SOFT_TASK_CALL, next);
		return;
	}
	soft_read_call_gate(c, sel, d, false, &cg);
	if (soft_desc_conforming(cg.code) || soft_desc_dpl(cg.code) == c->cpl)
		soft_call_same(c, &cg, next);
	else if (c->long_mode)
		soft_call_inner_long(c, &cg, next);
	else
		soft_call_inner(c, &cg, next);
}

/* ---- RET, and what IRET shares with it ---- */

uint64_t soft_return_code(struct soft_cpu *c, uint16_t sel)
{
	unsigned rpl = sel & 3, dpl;
	uint64_t d;

	if (soft_sel_null(sel))
		soft_raise_err(c, X86_GP, 0);
	d = soft_desc_read(c, sel, X86_GP);
	dpl = soft_desc_dpl(d);
	if (!soft_desc_code(d) || rpl < c->cpl || soft_desc_bad_long(c, d))
		soft_raise_sel(c, X86_GP, sel);
	if (soft_desc_conforming(d) ? dpl > rpl : dpl != rpl)
		soft_raise_sel(c, X86_GP, sel);
	if (!soft_desc_present(d))
		soft_raise_sel(c, X86_NP, sel);
	return d;
}

void soft_return_stack(struct soft_cpu *c, uint16_t sel, unsigned cpl,
	uint64_t code, uint64_t sp, struct soft_stack *k)
{
	struct x86_seg ss;
	uint64_t d;

	if (soft_sel_null(sel)) {
		if (!soft_desc_code64(c, code) || cpl == 3 || (sel & 3) != cpl)
			soft_raise_err(c, X86_GP, 0);
		soft_seg_null(&ss, sel);
		ss.attr = cpl << X86_SEG_DPL_SHIFT;
	} else {
		d = soft_desc_read(c, sel, X86_GP);
		if ((sel & 3) != cpl || soft_desc_dpl(d) != cpl ||
			!soft_desc_writable_data(d))
			soft_raise_sel(c, X86_GP, sel);
		if (!soft_desc_present(d))
			soft_raise_sel(c, X86_SSF, sel);
		soft_desc_set(c, sel, d, X86_SEG_A);
		soft_seg_from_desc(&ss, sel, d | 1ull << 40);
	}
	soft_stack_new(c, k, &ss, sp, cpl);
	if (soft_desc_code64(c, code)) {
		k->mask = ~0ull;
		k->sp = sp;
	}
}

static void soft_ret_real(struct soft_cpu *c, unsigned osize, unsigned pop)
{
	struct soft_stack k;
	uint64_t rip;
	uint16_t cs;

	soft_stack_current(c, &k);
	soft_stack_avail(c, &k, 2, osize);
	rip = soft_stack_pop(c, &k, osize);
	cs = soft_stack_pop(c, &k, osize);
	if (rip > c->st.seg[X86_CS].limit)
		soft_raise_err(c, X86_GP, 0);
	k.sp = (k.sp + pop) & k.mask;
	soft_stack_commit(c, &k);
	soft_real_jump(c, cs, rip);
}

void soft_far_ret(struct soft_cpu *c, unsigned osize, unsigned pop)
{
	struct soft_stack k, n;
	uint64_t rip, d;
	unsigned cpl;
	uint16_t cs;

	if (!c->protected_mode || c->v86) {
		soft_ret_real(c, osize, pop);
		return;
	}
	soft_stack_current(c, &k);
	soft_stack_avail(c, &k, 2, osize);
	rip = soft_stack_pop(c, &k, osize);
	cs = soft_stack_pop(c, &k, osize);
	d = soft_return_code(c, cs);
	cpl = cs & 3;
	k.sp = (k.sp + pop) & k.mask;
	if (cpl != c->cpl) {
		uint64_t sp = soft_stack_pop(c, &k, osize);
		uint16_t ss = soft_stack_pop(c, &k, osize);

		soft_return_stack(c, ss, cpl, d, sp, &n);
		n.sp = (n.sp + pop) & n.mask;
	}
	soft_check_rip(c, d, rip, 0);
	soft_desc_set(c, cs, d, X86_SEG_A);
	if (cpl != c->cpl) {
		c->st.seg[X86_SS] = n.ss;
		soft_stack_commit(c, &n);
		soft_null_outer_segs(c, cpl);
	} else {
		soft_stack_commit(c, &k);
	}
	c->st.rip = rip;
	soft_commit_cs(c, cs, d, cpl);
}
