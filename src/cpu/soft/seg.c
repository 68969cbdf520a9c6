/*
 * seg.c - descriptors and segment registers.
 *
 * Descriptor tables are read as implicit supervisor accesses.  A descriptor is
 * read once, checked, then its accessed bit is set and the register loaded.
 *
 * Intel SDM vol. 3, 3.4, 5.2-5.8; vol. 2, MOV, LAR, LSL, VERR, LLDT, LTR.
 */
#include "cpu/soft/priv.h"

uint32_t soft_desc_base(uint64_t d)
{
	return ((d >> 16) & 0xffffff) | ((d >> 32) & 0xff000000);
}

uint32_t soft_desc_limit(uint64_t d)
{
	uint32_t l = (d & 0xffff) | ((d >> 32) & 0xf0000);

	return d & 1ull << 55 ? l << 12 | 0xfff : l;
}

void soft_seg_from_desc(struct x86_seg *s, uint16_t sel, uint64_t d)
{
	s->sel = sel;
	s->base = soft_desc_base(d);
	s->limit = soft_desc_limit(d);
	s->attr = soft_desc_attr(d);
}

void soft_seg_null(struct x86_seg *s, uint16_t sel)
{
	s->sel = sel;
	s->attr = 0;
	s->limit = 0;
	s->base = 0;
}

void soft_seg_real(struct soft_cpu *c, unsigned seg, uint16_t sel)
{
	struct x86_seg *s = &c->st.seg[seg];

	s->sel = sel;
	s->base = (uint32_t)sel << 4;
	if (c->v86) {
		soft_seg_v86(s, sel);
	} else if (seg == X86_CS) {
		/* limit and D of CS stay, the rest becomes writable data */
		s->attr = (s->attr & X86_SEG_DB) | X86_SEG_P | X86_SEG_S |
			  X86_SEG_W | X86_SEG_A;
	}
}

void soft_seg_v86(struct x86_seg *s, uint16_t sel)
{
	s->sel = sel;
	s->base = (uint32_t)sel << 4;
	s->limit = 0xffff;
	s->attr = X86_SEG_P | X86_SEG_S | X86_SEG_DPL | X86_SEG_W | X86_SEG_A;
}

bool soft_desc_addr(struct soft_cpu *c, uint16_t sel, unsigned n, gva_t *a)
{
	uint64_t base = c->st.gdtr.base;
	uint32_t limit = c->st.gdtr.limit;

	if (sel & 4) {
		const struct x86_seg *l = &c->st.seg[X86_LDTR];

		if (!(l->attr & X86_SEG_P))
			return false;
		base = l->base;
		limit = l->limit;
	}
	if ((sel & 0xfff8u) + n - 1 > limit)
		return false;
	*a = base + (sel & 0xfff8);
	if (!c->long_mode)
		*a = (uint32_t)*a;
	return true;
}

uint64_t soft_desc_read(struct soft_cpu *c, uint16_t sel, uint8_t vector)
{
	gva_t a;

	if (!soft_desc_addr(c, sel, 8, &a))
		soft_raise_sel(c, vector, sel);
	return soft_load(c, a, 8, SOFT_KERNEL);
}

uint64_t soft_desc_read_high(struct soft_cpu *c, uint16_t sel, uint8_t vector)
{
	gva_t a;

	if (!soft_desc_addr(c, sel, 16, &a))
		soft_raise_sel(c, vector, sel);
	return soft_load(c, a + 8, 8, SOFT_KERNEL);
}

/* Byte 5 of the descriptor: |= set, &= ~clear, atomically where it is RAM. */
static void soft_desc_byte5(
	struct soft_cpu *c, uint16_t sel, uint8_t set, uint8_t clear)
{
	gva_t a;
	int64_t ram;
	uint8_t *p;

	if (!soft_desc_addr(c, sel, 8, &a))
		return;
	a += 5;
	p = soft_host_rmw(c, a, 1, SOFT_KERNEL, &ram);
	if (p) {
		if (set)
			__atomic_fetch_or(p, set, __ATOMIC_SEQ_CST);
		if (clear)
			__atomic_fetch_and(
				p, (uint8_t)~clear, __ATOMIC_SEQ_CST);
		soft_code_written(c, ram, 1);
		return;
	}
	soft_store(c, a, 1, (soft_load(c, a, 1, SOFT_KERNEL) | set) & ~clear,
		SOFT_KERNEL);
}

void soft_desc_set(struct soft_cpu *c, uint16_t sel, uint64_t d, uint8_t bits)
{
	if (((d >> 40) & bits) != bits)
		soft_desc_byte5(c, sel, bits, 0);
}

void soft_desc_clear(struct soft_cpu *c, uint16_t sel, uint8_t bits)
{
	soft_desc_byte5(c, sel, 0, bits);
}

/* SS: writable data of exactly this privilege. */
static void soft_load_ss(struct soft_cpu *c, uint16_t sel)
{
	uint64_t d;

	if (soft_sel_null(sel)) {
		if (!c->code64 || c->cpl == 3 || (sel & 3) != c->cpl)
			soft_raise_gp(c);
		soft_seg_null(&c->st.seg[X86_SS], sel);
		c->st.seg[X86_SS].attr = c->cpl << X86_SEG_DPL_SHIFT;
		return;
	}
	d = soft_desc_read(c, sel, X86_GP);
	if ((sel & 3) != c->cpl || !soft_desc_writable_data(d) ||
		soft_desc_dpl(d) != c->cpl)
		soft_raise_sel(c, X86_GP, sel);
	if (!soft_desc_present(d))
		soft_raise_sel(c, X86_SSF, sel);
	soft_desc_set(c, sel, d, X86_SEG_A);
	soft_seg_from_desc(&c->st.seg[X86_SS], sel, d | 1ull << 40);
}

static void soft_load_data_seg(struct soft_cpu *c, unsigned seg, uint16_t sel)
{
	uint64_t d;
	unsigned dpl;

	if (soft_sel_null(sel)) {
		soft_seg_null(&c->st.seg[seg], sel);
		return;
	}
	d = soft_desc_read(c, sel, X86_GP);
	dpl = soft_desc_dpl(d);
	if (!(d & 1ull << 44) || (soft_desc_code(d) && !(d & 1ull << 41)))
		soft_raise_sel(c, X86_GP, sel);
	if (!soft_desc_conforming(d) && ((sel & 3) > dpl || c->cpl > dpl))
		soft_raise_sel(c, X86_GP, sel);
	if (!soft_desc_present(d))
		soft_raise_sel(c, X86_NP, sel);
	soft_desc_set(c, sel, d, X86_SEG_A);
	soft_seg_from_desc(&c->st.seg[seg], sel, d | 1ull << 40);
}

void soft_load_seg(struct soft_cpu *c, unsigned seg, uint16_t sel)
{
	if (!c->protected_mode || c->v86)
		soft_seg_real(c, seg, sel);
	else if (seg == X86_SS)
		soft_load_ss(c, sel);
	else
		soft_load_data_seg(c, seg, sel);
	if (seg == X86_SS) {
		c->st.movss_shadow = 1;
		soft_update_mode(c);
	}
}

void soft_null_outer_segs(struct soft_cpu *c, unsigned cpl)
{
	static const uint8_t segs[] = {X86_ES, X86_DS, X86_FS, X86_GS};

	for (unsigned i = 0; i < sizeof(segs); i++) {
		struct x86_seg *s = &c->st.seg[segs[i]];
		unsigned dpl = (s->attr & X86_SEG_DPL) >> X86_SEG_DPL_SHIFT;
		bool conforming = (s->attr & (X86_SEG_CODE | X86_SEG_E)) ==
				  (X86_SEG_CODE | X86_SEG_E);

		/* the base stays, as processors do (FS and GS may have been
		 * set by MSR) */
		if ((s->attr & X86_SEG_P) && !conforming && dpl < cpl) {
			s->sel = 0;
			s->attr = 0;
		}
	}
}

/* LLDT and LTR: the descriptor's base, with its upper half in long mode. */
static uint64_t soft_sys_base(struct soft_cpu *c, uint16_t sel, uint64_t d)
{
	uint64_t high, base;

	if (!c->long_mode)
		return soft_desc_base(d);
	high = soft_desc_read_high(c, sel, X86_GP);
	base = soft_desc_base(d) | high << 32;
	if ((high >> 40 & 0x1f) || !soft_canonical(base))
		soft_raise_sel(c, X86_GP, sel);
	return base;
}

static void soft_check_sys_load(struct soft_cpu *c)
{
	if (!c->protected_mode || c->v86)
		soft_raise(c, X86_UD);
	if (c->cpl)
		soft_raise_gp(c);
}

void soft_lldt(struct soft_cpu *c, uint16_t sel)
{
	uint64_t d, base;

	soft_check_sys_load(c);
	if (soft_sel_null(sel)) {
		soft_seg_null(&c->st.seg[X86_LDTR], sel);
		return;
	}
	if (sel & 4)
		soft_raise_sel(c, X86_GP, sel);
	d = soft_desc_read(c, sel, X86_GP);
	if (soft_desc_type(d) != SOFT_LDT)
		soft_raise_sel(c, X86_GP, sel);
	if (!soft_desc_present(d))
		soft_raise_sel(c, X86_NP, sel);
	base = soft_sys_base(c, sel, d);
	soft_seg_from_desc(&c->st.seg[X86_LDTR], sel, d);
	c->st.seg[X86_LDTR].base = base;
}

void soft_ltr(struct soft_cpu *c, uint16_t sel)
{
	uint64_t d, base;
	unsigned type;

	soft_check_sys_load(c);
	if (soft_sel_null(sel))
		soft_raise_gp(c);
	if (sel & 4)
		soft_raise_sel(c, X86_GP, sel);
	d = soft_desc_read(c, sel, X86_GP);
	type = soft_desc_type(d);
	if (type != SOFT_TSS32 && (type != SOFT_TSS16 || c->long_mode))
		soft_raise_sel(c, X86_GP, sel);
	if (!soft_desc_present(d))
		soft_raise_sel(c, X86_NP, sel);
	base = soft_sys_base(c, sel, d);
	soft_desc_set(c, sel, d, 2);
	soft_seg_from_desc(&c->st.seg[X86_TR], sel, d | 2ull << 40);
	c->st.seg[X86_TR].base = base;
}

/* The descriptor for LAR, LSL, VERR, VERW; false if it may not be seen. */
static bool soft_peek(struct soft_cpu *c, uint16_t sel, uint64_t *d)
{
	gva_t a;

	if (soft_sel_null(sel) || !soft_desc_addr(c, sel, 8, &a))
		return false;
	*d = soft_load(c, a, 8, SOFT_KERNEL);
	return true;
}

static bool soft_peek_privilege(
	const struct soft_cpu *c, uint16_t sel, uint64_t d)
{
	return soft_desc_dpl(d) >= c->cpl && soft_desc_dpl(d) >= (sel & 3);
}

/* Types that LAR knows and LSL knows, as bit sets over the system types. */
#define LAR_LEGACY 0x1a3e /* TSS, LDT, call and task gates */
#define LAR_LONG   0x1a04 /* LDT, TSS, call gate: 64-bit */
#define LSL_LEGACY 0x0a0e
#define LSL_LONG   0x0a04

static bool soft_sys_type_ok(
	const struct soft_cpu *c, uint64_t d, unsigned legacy, unsigned wide)
{
	return (c->long_mode ? wide : legacy) >> (soft_desc_type(d) & 15) & 1;
}

bool soft_lar(struct soft_cpu *c, uint16_t sel, uint32_t *attr)
{
	uint64_t d;

	if (!soft_peek(c, sel, &d))
		return false;
	if (!(d & 1ull << 44) && !soft_sys_type_ok(c, d, LAR_LEGACY, LAR_LONG))
		return false;
	if (!soft_desc_conforming(d) && !soft_peek_privilege(c, sel, d))
		return false;
	*attr = (d >> 32) & 0xf0ff00;
	return true;
}

bool soft_lsl(struct soft_cpu *c, uint16_t sel, uint32_t *limit)
{
	uint64_t d;

	if (!soft_peek(c, sel, &d))
		return false;
	if (!(d & 1ull << 44) && !soft_sys_type_ok(c, d, LSL_LEGACY, LSL_LONG))
		return false;
	if (!soft_desc_conforming(d) && !soft_peek_privilege(c, sel, d))
		return false;
	*limit = soft_desc_limit(d);
	return true;
}

bool soft_verify(struct soft_cpu *c, uint16_t sel, bool write)
{
	uint64_t d;

	if (!soft_peek(c, sel, &d) || !(d & 1ull << 44))
		return false;
	if (!soft_desc_conforming(d) && !soft_peek_privilege(c, sel, d))
		return false;
	if (write)
		return soft_desc_writable_data(d);
	return !soft_desc_code(d) || (d & 1ull << 41);
}
