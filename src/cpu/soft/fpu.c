/*
 * fpu.c - FXSAVE, FXRSTOR and the XSAVE family on the guest's registers.
 *
 * The layout of the area is the model's (CPUID leaf 0xD), not the host's.
 * MXCSR lives in the legacy region with x87 state but belongs to SSE.
 * CR0.TS, CR0.EM, CR4.OSXSAVE and the like are checked by the caller.
 *
 * Intel SDM vol. 1, 10.5, 13.
 */
#include "cpu/soft/priv.h"

#define XC_X87	  (1ull << 0)
#define XC_SSE	  (1ull << 1)
#define XC_AVX	  (1ull << 2)
#define XC_OPMASK (1ull << 5)
#define XC_ZMMHI  (1ull << 6)
#define XC_HI16	  (1ull << 7)
#define XC_PKRU	  (1ull << 9)

#define LEGACY_BYTES 512
#define HEADER_BYTES 64
#define AREA_MAX     4096
#define COMPACTED    (1ull << 63)

#define MXCSR_INIT 0x1f80u
#define MXCSR_BITS 0xffffu

/* Offsets in the legacy region. */
#define FX_MXCSR      24
#define FX_MXCSR_MASK 28
#define FX_ST	      32
#define FX_XMM	      160

static const uint8_t fx_init[160] = {
	[0] = 0x7f,
	[1] = 0x03, /* FCW 037F, the rest zero */
	[24] = 0x80,
	[25] = 0x1f, /* MXCSR */
	[28] = 0xff,
	[29] = 0xff, /* MXCSR_MASK */
};

static unsigned nvec(const struct soft_cpu *c)
{
	return c->code64 ? 16 : 8;
}

static uint32_t get_mxcsr(const struct soft_cpu *c)
{
	uint32_t v;

	memcpy(&v, c->st.fpu.fx + FX_MXCSR, 4);
	return v;
}

static void set_mxcsr(struct soft_cpu *c, uint32_t v)
{
	uint32_t mask = MXCSR_BITS;

	memcpy(c->st.fpu.fx + FX_MXCSR, &v, 4);
	memcpy(c->st.fpu.fx + FX_MXCSR_MASK, &mask, 4);
}

/* ---- one component to and from a flat buffer ---- */

/* The x87 part of the legacy region; without REX.W pointers are 32 bits and a
 * selector, which is not kept and reads as zero. */
static void put_x87(const struct soft_cpu *c, uint8_t *area, bool wide)
{
	memcpy(area, c->st.fpu.fx, FX_MXCSR);
	memcpy(area + FX_ST, c->st.fpu.fx + FX_ST, 128);
	if (!wide) {
		memset(area + 12, 0, 4);
		memset(area + 20, 0, 4);
	}
}

static void take_x87(struct soft_cpu *c, const uint8_t *area, bool wide)
{
	uint8_t *fx = c->st.fpu.fx;

	memcpy(fx, area, FX_MXCSR);
	/* reserved bits of FCW are fixed */
	fx[0] = (fx[0] & 0x3f) | 0x40;
	fx[1] &= 0x1f;
	/* ES and B follow from the flags and their masks */
	fx[2] &= 0x7f;
	fx[3] &= 0x7f;
	if (fx[2] & ~fx[0] & 0x3f) {
		fx[2] |= 0x80;
		fx[3] |= 0x80;
	}
	fx[5] = 0;
	fx[7] &= 7; /* FOP has 11 bits */
	/* FIP and FDP: 32 bits, or canonical */
	for (unsigned i = 8; i < FX_MXCSR; i += 8) {
		uint64_t v;

		memcpy(&v, fx + i, 8);
		v = wide ? (uint64_t)((int64_t)(v << 16) >> 16) : (uint32_t)v;
		memcpy(fx + i, &v, 8);
	}
	memcpy(fx + FX_ST, area + FX_ST, 128);
	for (unsigned i = 0; i < 8; i++)
		memset(fx + FX_ST + i * 16 + 10, 0, 6);
}

/* A slice of each of n vector registers, from register `first`. */
struct slice {
	uint8_t first, off, bytes;
};

static const struct slice slice_of[] = {
	[1] = {0, 0, 16},
	[2] = {0, 16, 16},
	[6] = {0, 32, 32},
	[7] = {16, 0, 64},
};

static unsigned slice_count(const struct soft_cpu *c, unsigned i)
{
	if (i == 7)
		return c->code64 ? 16 : 0;
	return nvec(c);
}

static unsigned put_slices(const struct soft_cpu *c, unsigned i, uint8_t *p)
{
	const struct slice *s = &slice_of[i];
	unsigned n = slice_count(c, i);

	for (unsigned r = 0; r < n; r++)
		memcpy(p + r * s->bytes, &c->st.fpu.zmm[s->first + r][s->off],
			s->bytes);
	return n * s->bytes;
}

static void take_slices(struct soft_cpu *c, unsigned i, const uint8_t *p)
{
	const struct slice *s = &slice_of[i];
	unsigned n = slice_count(c, i);

	for (unsigned r = 0; r < n; r++)
		memcpy(&c->st.fpu.zmm[s->first + r][s->off], p + r * s->bytes,
			s->bytes);
}

/* Bytes put at p for component i >= 1. */
static unsigned put_component(const struct soft_cpu *c, unsigned i, uint8_t *p)
{
	switch (i) {
	case 5: memcpy(p, c->st.fpu.k, 64); return 64;
	case 9:
		memset(p, 0, 8);
		memcpy(p, &c->st.fpu.pkru, 4);
		return 8;
	default: return put_slices(c, i, p);
	}
}

static void take_component(struct soft_cpu *c, unsigned i, const uint8_t *p)
{
	switch (i) {
	case 5: memcpy(c->st.fpu.k, p, 64); break;
	case 9: memcpy(&c->st.fpu.pkru, p, 4); break;
	default: take_slices(c, i, p);
	}
}

static void init_component(struct soft_cpu *c, unsigned i)
{
	static const uint8_t zero[16 * 64];

	take_component(c, i, zero);
}

static bool all_zero(const uint8_t *p, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (p[i])
			return false;
	return true;
}

uint64_t soft_xinuse(const struct soft_cpu *c)
{
	const struct x86_fpu *f = &c->st.fpu;
	uint64_t use = 0;
	uint8_t buf[16 * 64];

	if (memcmp(f->fx, fx_init, FX_MXCSR) || !all_zero(f->fx + FX_ST, 128))
		use |= XC_X87;
	for (unsigned i = 1; i < 10; i++) {
		if (!(c->st.xcr0 >> i & 1) || i == 3 || i == 4 || i == 8)
			continue;
		if (!all_zero(buf, put_component(c, i, buf)))
			use |= 1ull << i;
	}
	if (get_mxcsr(c) != MXCSR_INIT)
		use |= XC_SSE;
	return use & c->st.xcr0;
}

/* ---- errors ---- */

/*
 * The processor stands still until an interrupt comes; its handler returns to
 * the instruction, which looks again.  None can come with IF clear: then it
 * goes on, rather than hang.
 */
void soft_x87_error(struct soft_cpu *c)
{
	bool pending = c->st.fpu.fx[2] & 0x80, ignore;

	if (pending && c->st.cr0 & X86_CR0_NE)
		soft_raise(c, X86_MF);
	c->ferr = pending;
	ignore = c->env && c->env->x87_error ? c->env->x87_error(c, pending)
					     : bus_x87_error(c->bus, pending);
	if (ignore || !pending || !(c->st.rflags & X86_FL_IF))
		return;
	c->st.activity = X86_ACT_HALT;
	soft_raise(c, SOFT_NO_EVENT);
}

/* ---- FXSAVE, FXRSTOR ---- */

void soft_fxsave(struct soft_cpu *c, gva_t a, bool wide)
{
	uint8_t area[LEGACY_BYTES];
	unsigned n;

	if (a & 15)
		soft_raise_err(c, X86_GP, 0);
	memset(area, 0, sizeof(area));
	put_x87(c, area, wide);
	memcpy(area + FX_MXCSR, c->st.fpu.fx + FX_MXCSR, 8);
	n = FX_XMM + put_slices(c, 1, area + FX_XMM);
	soft_probe_write(c, a, LEGACY_BYTES, c->tlb_mode);
	soft_store_bytes(c, a, area, n, c->tlb_mode);
}

void soft_fxrstor(struct soft_cpu *c, gva_t a, bool wide)
{
	uint8_t area[LEGACY_BYTES];
	uint32_t mxcsr;

	if (a & 15)
		soft_raise_err(c, X86_GP, 0);
	soft_load_bytes(c, a, area, LEGACY_BYTES, c->tlb_mode);
	memcpy(&mxcsr, area + FX_MXCSR, 4);
	if (mxcsr & ~MXCSR_BITS)
		soft_raise_err(c, X86_GP, 0);
	take_x87(c, area, wide);
	set_mxcsr(c, mxcsr);
	take_slices(c, 1, area + FX_XMM);
}

/* ---- layout of the extended region ---- */

static unsigned xc_offset(const struct soft_cpu *c, unsigned i, uint64_t xcomp)
{
	unsigned off = LEGACY_BYTES + HEADER_BYTES;

	if (!(xcomp & COMPACTED))
		return c->vm->xsave[i].off;
	for (unsigned j = 2; j <= i; j++) {
		if (!(xcomp >> j & 1))
			continue;
		if (c->vm->xsave[j].align)
			off = (off + 63) & ~63u;
		if (j < i)
			off += c->vm->xsave[j].bytes;
	}
	return off;
}

/* Bytes of an area with the components in mask. */
static unsigned xc_total(
	const struct soft_cpu *c, uint64_t mask, uint64_t xcomp)
{
	unsigned end = LEGACY_BYTES + HEADER_BYTES;

	for (unsigned i = 2; i < 63; i++) {
		unsigned e;

		if (!(mask >> i & 1))
			continue;
		e = xc_offset(c, i, xcomp) + c->vm->xsave[i].bytes;
		end = e > end ? e : end;
	}
	return end < AREA_MAX ? end : AREA_MAX;
}

unsigned soft_xsave_bytes(struct soft_cpu *c, uint64_t mask, bool compacted)
{
	mask &= c->st.xcr0;
	return xc_total(c, mask, compacted ? mask | COMPACTED : 0);
}

static void check_area(struct soft_cpu *c, gva_t a)
{
	if (a & 63)
		soft_raise_err(c, X86_GP, 0);
}

/* ---- XSAVE, XSAVEOPT, XSAVEC, XSAVES ---- */

static void store_legacy(
	struct soft_cpu *c, gva_t a, uint64_t what, bool mxcsr, bool wide)
{
	uint8_t area[LEGACY_BYTES];

	if (what & XC_X87) {
		put_x87(c, area, wide);
		soft_store_bytes(c, a, area, FX_MXCSR, c->tlb_mode);
		soft_store_bytes(c, a + FX_ST, area + FX_ST, 128, c->tlb_mode);
	}
	if (mxcsr)
		soft_store_bytes(c, a + FX_MXCSR, c->st.fpu.fx + FX_MXCSR, 8,
			c->tlb_mode);
	if (what & XC_SSE) {
		unsigned n = put_slices(c, 1, area);

		soft_store_bytes(c, a + FX_XMM, area, n, c->tlb_mode);
	}
}

void soft_xsave(struct soft_cpu *c, gva_t a, uint64_t mask,
	enum soft_xsave_kind kind, bool wide)
{
	bool compact = kind >= SOFT_XSAVEC;
	uint64_t rfbm = mask & c->st.xcr0, use, what, xcomp, bv;
	uint8_t buf[16 * 64];
	bool mxcsr;

	if (kind == SOFT_XSAVES && c->cpl)
		soft_raise_err(c, X86_GP, 0);
	check_area(c, a);
	use = soft_xinuse(c);
	what = kind == SOFT_XSAVE ? rfbm : rfbm & use;
	xcomp = compact ? rfbm | COMPACTED : 0;
	mxcsr = compact ? what & XC_SSE : rfbm & (XC_SSE | XC_AVX);
	soft_probe_write(c, a, xc_total(c, rfbm, xcomp), c->tlb_mode);
	bv = use & rfbm;
	if (!compact)
		bv |= soft_load(c, a + LEGACY_BYTES, 8, c->tlb_mode) & ~rfbm;

	store_legacy(c, a, what, mxcsr, wide);
	for (unsigned i = 2; i < 63; i++) {
		unsigned n;

		if (!(what >> i & 1))
			continue;
		n = put_component(c, i, buf);
		if (n)
			soft_store_bytes(c, a + xc_offset(c, i, xcomp), buf, n,
				c->tlb_mode);
	}
	soft_store(c, a + LEGACY_BYTES, 8, bv, c->tlb_mode);
	if (compact)
		soft_store(c, a + LEGACY_BYTES + 8, 8, xcomp, c->tlb_mode);
}

/* ---- XRSTOR, XRSTORS ---- */

/* The header's rules (SDM vol. 1, 13.8, 13.12). */
static bool header_ok(
	const struct soft_cpu *c, const uint64_t h[8], bool supervisor)
{
	if (h[1] & COMPACTED) {
		uint64_t comp = h[1] & ~COMPACTED;

		if (!supervisor && !soft_has(c, X86_FEAT_XSAVEC))
			return false;
		return !(comp & ~c->st.xcr0) && !(h[0] & ~comp) &&
		       all_zero((const uint8_t *)&h[2], 48);
	}
	return !supervisor && !(h[0] & ~c->st.xcr0) && !h[1] && !h[2];
}

static void load_legacy(struct soft_cpu *c, const uint8_t *area, uint64_t rfbm,
	uint64_t bv, bool wide)
{
	if (rfbm & bv & XC_X87)
		take_x87(c, area, wide);
	else if (rfbm & XC_X87)
		take_x87(c, fx_init, true);
	if (rfbm & bv & XC_SSE)
		take_slices(c, 1, area + FX_XMM);
	else if (rfbm & XC_SSE)
		init_component(c, 1);
}

void soft_xrstor(
	struct soft_cpu *c, gva_t a, uint64_t mask, bool supervisor, bool wide)
{
	_Alignas(8) uint8_t area[AREA_MAX];
	uint64_t rfbm = mask & c->st.xcr0, h[8];
	uint32_t mxcsr = get_mxcsr(c), in_memory;

	if (supervisor && c->cpl)
		soft_raise_err(c, X86_GP, 0);
	check_area(c, a);
	soft_load_bytes(c, a, area, LEGACY_BYTES + HEADER_BYTES, c->tlb_mode);
	memcpy(h, area + LEGACY_BYTES, sizeof(h));
	if (!header_ok(c, h, supervisor))
		soft_raise_err(c, X86_GP, 0);
	memcpy(&in_memory, area + FX_MXCSR, 4);
	if (h[1] & COMPACTED) {
		if (rfbm & XC_SSE)
			mxcsr = h[0] & XC_SSE ? in_memory : MXCSR_INIT;
	} else if (rfbm & (XC_SSE | XC_AVX)) {
		mxcsr = in_memory;
	}
	if (mxcsr & ~MXCSR_BITS)
		soft_raise_err(c, X86_GP, 0);
	for (unsigned i = 2; i < 63; i++)
		if (rfbm & h[0] & 1ull << i) {
			unsigned off = xc_offset(c, i, h[1]);

			soft_load_bytes(c, a + off, area + off,
				c->vm->xsave[i].bytes, c->tlb_mode);
		}

	load_legacy(c, area, rfbm, h[0], wide);
	set_mxcsr(c, mxcsr);
	for (unsigned i = 2; i < 63; i++) {
		if (!(rfbm >> i & 1))
			continue;
		if (h[0] >> i & 1)
			take_component(c, i, area + xc_offset(c, i, h[1]));
		else
			init_component(c, i);
	}
}
