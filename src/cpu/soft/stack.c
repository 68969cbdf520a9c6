/*
 * stack.c - segment limits, and pushes and pops of far transfers.
 *
 * A struct soft_stack is a stack pointer that moves without touching the
 * processor, so that a transfer which faults half-way leaves no trace.
 */
#include "cpu/soft/priv.h"

/* Is [off, off+size) outside the limit of a legacy segment? */
static bool soft_beyond(const struct x86_seg *s, uint64_t off, unsigned size)
{
	uint64_t last = off + size - 1;

	if ((s->attr & (X86_SEG_CODE | X86_SEG_E)) == X86_SEG_E) {
		uint64_t top = s->attr & X86_SEG_DB ? 0xffffffff : 0xffff;

		return off <= s->limit || last > top;
	}
	/* SDM vol. 3, 5.3 leaves open whether addresses wrap in a segment of
	 * 4 GiB: with processors they do if it is flat. */
	return last > s->limit && (s->limit != 0xffffffff || s->base);
}

static bool soft_type_refuses(const struct x86_seg *s, enum soft_access acc)
{
	if (acc == SOFT_WRITE)
		return (s->attr & (X86_SEG_CODE | X86_SEG_W)) != X86_SEG_W;
	return acc == SOFT_READ &&
	       (s->attr & (X86_SEG_CODE | X86_SEG_W)) == X86_SEG_CODE;
}

gva_t soft_linear(struct soft_cpu *c, unsigned seg, uint64_t off, unsigned size,
	enum soft_access acc)
{
	const struct x86_seg *s = &c->st.seg[seg];
	uint8_t vector = seg == X86_SS ? X86_SSF : X86_GP;

	size += !size;
	if (c->code64) {
		gva_t a = off;

		if (seg >= X86_FS)
			a += s->base;
		if (!soft_canonical(a) || !soft_canonical(a + size - 1))
			soft_raise_err(c, vector, c->ext);
		return a;
	}
	if (c->protected_mode && !c->v86 &&
		(!(s->attr & X86_SEG_P) || soft_type_refuses(s, acc)))
		soft_raise_err(c, vector, c->ext);
	if (soft_beyond(s, off, size))
		soft_raise_err(c, vector, c->ext);
	return (uint32_t)(s->base + off);
}

enum soft_mode soft_mode_for(const struct soft_cpu *c, unsigned cpl)
{
	bool ac = c->st.rflags & X86_FL_AC;

	if (cpl != 3)
		return ac ? SOFT_KERNEL_AC : SOFT_KERNEL;
	return ac && (c->st.cr0 & X86_CR0_AM) ? SOFT_USER_AC : SOFT_USER;
}

static uint64_t soft_stack_mask(unsigned attr)
{
	return attr & X86_SEG_DB ? 0xffffffff : 0xffff;
}

void soft_stack_current(struct soft_cpu *c, struct soft_stack *s)
{
	s->ss = c->st.seg[X86_SS];
	s->code64 = c->code64;
	s->mask = c->code64 ? ~0ull : soft_stack_mask(s->ss.attr);
	s->sp = c->st.gpr[X86_RSP] & s->mask;
	s->mode = c->tlb_mode;
	s->err = 0;
}

void soft_stack_new(struct soft_cpu *c, struct soft_stack *s,
	const struct x86_seg *ss, uint64_t sp, unsigned cpl)
{
	s->ss = *ss;
	s->code64 = false;
	s->mask = soft_stack_mask(ss->attr);
	s->sp = sp & s->mask;
	s->mode = soft_mode_for(c, cpl);
	s->err = ss->sel;
}

static gva_t soft_stack_linear(struct soft_cpu *c, struct soft_stack *s,
	unsigned n, enum soft_access acc)
{
	if (s->code64) {
		if (!soft_canonical(s->sp) || !soft_canonical(s->sp + n - 1))
			soft_raise_sel(c, X86_SSF, s->err);
		return s->sp;
	}
	if (c->protected_mode && !c->v86 &&
		(!(s->ss.attr & X86_SEG_P) || soft_type_refuses(&s->ss, acc)))
		soft_raise_sel(c, X86_SSF, s->err);
	if (soft_beyond(&s->ss, s->sp, n))
		soft_raise_sel(c, X86_SSF, s->err);
	return (uint32_t)(s->ss.base + s->sp);
}

void soft_stack_push(
	struct soft_cpu *c, struct soft_stack *s, unsigned size, uint64_t val)
{
	gva_t a;

	s->sp = (s->sp - size) & s->mask;
	a = soft_stack_linear(c, s, size, SOFT_WRITE);
	soft_store(c, a, size, val & soft_size_mask(size), s->mode);
	if (c->data_bp)
		soft_check_data_bp(c, a, size, SOFT_WRITE);
}

uint64_t soft_stack_pop(struct soft_cpu *c, struct soft_stack *s, unsigned size)
{
	gva_t a = soft_stack_linear(c, s, size, SOFT_READ);
	uint64_t v = soft_load(c, a, size, s->mode);

	if (c->data_bp)
		soft_check_data_bp(c, a, size, SOFT_READ);
	s->sp = (s->sp + size) & s->mask;
	return v;
}

void soft_stack_room(struct soft_cpu *c, const struct soft_stack *s,
	unsigned count, unsigned size)
{
	struct soft_stack t = *s;

	for (unsigned i = 0; i < count; i++) {
		t.sp = (t.sp - size) & t.mask;
		soft_stack_linear(c, &t, size, SOFT_WRITE);
	}
}

void soft_stack_avail(struct soft_cpu *c, const struct soft_stack *s,
	unsigned count, unsigned size)
{
	struct soft_stack t = *s;

	for (unsigned i = 0; i < count; i++) {
		soft_stack_linear(c, &t, size, SOFT_READ);
		t.sp = (t.sp + size) & t.mask;
	}
}

void soft_stack_commit(struct soft_cpu *c, const struct soft_stack *s)
{
	uint64_t *rsp = &c->st.gpr[X86_RSP];

	if (s->mask == 0xffff)
		*rsp = (*rsp & ~0xffffull) | s->sp;
	else
		*rsp = s->sp;
}

void soft_stack_from_tss(
	struct soft_cpu *c, unsigned cpl, struct soft_stack *s, uint64_t *d)
{
	const struct x86_seg *tr = &c->st.seg[X86_TR];
	struct x86_seg ss;
	uint32_t sp;
	uint16_t sel;

	if ((tr->attr & 0xd) == SOFT_TSS16) {
		uint32_t off = 2 + cpl * 4;

		if (off + 3 > tr->limit)
			soft_raise_sel(c, X86_TS, tr->sel);
		sp = soft_load(c, (uint32_t)(tr->base + off), 2, SOFT_KERNEL);
		sel = soft_load(
			c, (uint32_t)(tr->base + off + 2), 2, SOFT_KERNEL);
	} else {
		uint32_t off = 4 + cpl * 8;

		if (off + 5 > tr->limit)
			soft_raise_sel(c, X86_TS, tr->sel);
		sp = soft_load(c, (uint32_t)(tr->base + off), 4, SOFT_KERNEL);
		sel = soft_load(
			c, (uint32_t)(tr->base + off + 4), 2, SOFT_KERNEL);
	}
	if (soft_sel_null(sel))
		soft_raise_err(c, X86_TS, c->ext);
	*d = soft_desc_read(c, sel, X86_TS);
	if ((sel & 3) != cpl || soft_desc_dpl(*d) != cpl ||
		!soft_desc_writable_data(*d))
		soft_raise_sel(c, X86_TS, sel);
	if (!soft_desc_present(*d))
		soft_raise_sel(c, X86_SSF, sel);
	soft_seg_from_desc(&ss, sel, *d | 1ull << 40);
	soft_stack_new(c, s, &ss, sp, cpl);
}

uint64_t soft_rsp_from_tss(struct soft_cpu *c, unsigned cpl, unsigned ist)
{
	const struct x86_seg *tr = &c->st.seg[X86_TR];
	uint32_t off = ist ? 0x24 + (ist - 1) * 8 : 4 + cpl * 8;
	uint64_t rsp;

	if (off + 7 > tr->limit)
		soft_raise_sel(c, X86_TS, tr->sel);
	rsp = soft_load(c, tr->base + off, 8, SOFT_KERNEL);
	if (!soft_canonical(rsp))
		soft_raise_err(c, X86_SSF, c->ext);
	return rsp;
}
