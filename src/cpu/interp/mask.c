/*
 * mask.c - memory accesses by elements: opmasks, MASKMOV, gathers, scatters.
 *
 * An element that is masked out is not accessed and cannot fault.  Gathers and
 * scatters that fault midway keep the elements done, with their mask bits
 * cleared (SDM vol. 2, VPGATHERDD).
 */
#include "cpu/interp/host.h"

/* Linear address of n bytes at byte at of the memory operand. */
static gva_t mask_address(struct soft_cpu *c, const struct x86_insn *i,
	unsigned at, unsigned n, enum soft_access acc)
{
	uint64_t off = interp_asize_mask(i, interp_ea(c, i) + at);

	return interp_linear(c, i->seg, off, n, acc);
}

static void mask_load_part(struct soft_cpu *c, const struct x86_insn *i,
	unsigned at, unsigned n, uint8_t *buf)
{
	gva_t a = mask_address(c, i, at, n, SOFT_READ);

	soft_load_bytes(c, a, buf + at, n, c->tlb_mode);
}

void mask_store(struct soft_cpu *c, const struct x86_insn *i, unsigned size,
	const uint8_t *buf, uint64_t which)
{
	for (unsigned pass = 0; pass < 2; pass++) {
		for (unsigned at = 0; at < size;) {
			unsigned n = 0;
			gva_t a;

			while (at + n < size && which >> (at + n) & 1)
				n++;
			if (!n) {
				at++;
				continue;
			}
			a = mask_address(c, i, at, n, SOFT_WRITE);
			if (pass)
				soft_store_bytes(
					c, a, buf + at, n, c->tlb_mode);
			else
				soft_probe_write(c, a, n, c->tlb_mode);
			at += n;
		}
	}
}

/* ---- loads under an opmask ---- */

/* Elements of byte and word instructions, by the last letter of their names;
 * 0: the memory operand is read whole. */
static unsigned mask_bw_size(const struct x86_insn *i)
{
	const char *name = x86_op_name(i->op);
	size_t n = strlen(name);

	if (!strncmp(name, "punpck", 6) || !strncmp(name, "pack", 4) ||
		!strncmp(name, "vperm", 5) || !strncmp(name, "vdbps", 5) ||
		!strcmp(name, "pshufb") || !strcmp(name, "pshufhw") ||
		!strcmp(name, "pshuflw") || !strncmp(name, "pmadd", 5))
		return 0;
	if (n && name[n - 1] == 'b')
		return 1;
	return n && name[n - 1] == 'w' ? 2 : 0;
}

/* Bytes of memory per mask bit. */
static unsigned mask_element(const struct x86_insn *i, unsigned size)
{
	unsigned w = i->rex & X86_REX_W ? 8 : 4;

	switch (i->op) {
	case X86_OP_VMOVDQU8: return 1;
	case X86_OP_VMOVDQU16: return 2;
	case X86_OP_VMOVDQU32:
	case X86_OP_VMOVDQU64:
	case X86_OP_VMOVDQA32:
	case X86_OP_VMOVDQA64:
	case X86_OP_MOVUPS:
	case X86_OP_MOVUPD:
	case X86_OP_MOVAPS:
	case X86_OP_MOVAPD: return w;
	case X86_OP_PMOVSXBW:
	case X86_OP_PMOVSXBD:
	case X86_OP_PMOVSXBQ:
	case X86_OP_PMOVZXBW:
	case X86_OP_PMOVZXBD:
	case X86_OP_PMOVZXBQ: return 1;
	case X86_OP_PMOVSXWD:
	case X86_OP_PMOVSXWQ:
	case X86_OP_PMOVZXWD:
	case X86_OP_PMOVZXWQ:
	case X86_OP_VCVTPH2PS: return 2;
	case X86_OP_PMOVSXDQ:
	case X86_OP_PMOVZXDQ: return 4;
	default: break;
	}
	/* The broadcast element is the element; elsewhere scalars. */
	if (i->def->evex & 3)
		return 1u << (i->def->evex & 3);
	return size <= 8 ? size : mask_bw_size(i);
}

static bool mask_expands(const struct x86_insn *i)
{
	switch (i->op) {
	case X86_OP_VPEXPANDB:
	case X86_OP_VPEXPANDW:
	case X86_OP_VPEXPANDD:
	case X86_OP_VPEXPANDQ:
	case X86_OP_VEXPANDPS:
	case X86_OP_VEXPANDPD: return true;
	default: return false;
	}
}

static bool mask_broadcasts(const struct x86_insn *i)
{
	const char *name = x86_op_name(i->op);

	return i->evex_b || !strncmp(name, "vbroadcast", 10) ||
	       !strncmp(name, "vpbroadcast", 11);
}

static unsigned mask_expand_size(const struct x86_insn *i)
{
	bool w = i->rex & X86_REX_W;

	if (i->op == X86_OP_VPEXPANDB || i->op == X86_OP_VPEXPANDW)
		return w ? 2 : 1;
	return w ? 8 : 4;
}

static uint64_t mask_low(unsigned n)
{
	return n >= 64 ? ~0ull : (1ull << n) - 1;
}

/* Number of destination elements of a broadcast. */
static unsigned mask_broadcast_count(const struct x86_insn *i, unsigned size)
{
	unsigned e = size;

	if (!i->evex_b && (size > 8 || i->op == X86_OP_VBROADCASTF32X2 ||
				  i->op == X86_OP_VBROADCASTI32X2))
		e = i->rex & X86_REX_W ? 8 : 4;
	return i->vl / e;
}

bool mask_load(struct soft_cpu *c, const struct x86_insn *i, unsigned size,
	uint8_t *buf)
{
	uint64_t k = c->st.fpu.k[i->aaa];
	unsigned e;

	if (mask_expands(i)) {
		unsigned n;

		e = mask_expand_size(i);
		n = (unsigned)__builtin_popcountll(k & mask_low(size / e));
		if (n)
			mask_load_part(c, i, 0, n * e, buf);
		return true;
	}
	if (mask_broadcasts(i)) {
		if (k & mask_low(mask_broadcast_count(i, size)))
			mask_load_part(c, i, 0, size, buf);
		return true;
	}
	e = mask_element(i, size);
	if (!e)
		return false;
	for (unsigned n = 0; n < size / e; n++)
		if (k >> n & 1)
			mask_load_part(c, i, n * e, e, buf);
	return true;
}

/* ---- MASKMOVQ, MASKMOVDQU ---- */

INTERP_FN(maskmov)
{
	unsigned size = i->op == X86_OP_MASKMOVQ ? 8 : 16;
	uint64_t di = interp_asize_mask(i, c->st.gpr[X86_RDI]);
	const uint8_t *src, *mask;

	host_check(c, i, true);
	if (size == 8) {
		unsigned top = host_get16(c->st.fpu.fx, FX_FSW) >> 11 & 7;
		uint8_t *fx = c->st.fpu.fx;

		src = fx + FX_ST0 + ((i->opnd[0].reg - top) & 7) * 16;
		mask = fx + FX_ST0 + ((i->opnd[1].reg - top) & 7) * 16;
	} else {
		src = c->st.fpu.zmm[i->opnd[0].reg];
		mask = c->st.fpu.zmm[i->opnd[1].reg];
	}
	for (unsigned pass = 0; pass < 2; pass++)
		for (unsigned n = 0; n < size; n++) {
			uint64_t off = interp_asize_mask(i, di + n);
			gva_t a;

			if (!(mask[n] & 0x80))
				continue;
			a = interp_linear(c, i->seg, off, 1, SOFT_WRITE);
			if (pass)
				soft_fast_store(c, a, 1, src[n], c->tlb_mode);
			else
				soft_probe_write(c, a, 1, c->tlb_mode);
		}
	if (size == 8)
		x87_enter_mmx(c);
}

/* ---- VMASKMOVPS, VPMASKMOVD and kin ---- */

static void mask_move_load(struct soft_cpu *c, const struct x86_insn *i,
	unsigned e, const uint8_t *mask)
{
	uint8_t buf[64] = {0};

	for (unsigned at = 0; at < i->vl; at += e)
		if (mask[at + e - 1] & 0x80)
			mask_load_part(c, i, at, e, buf);
	memcpy(c->st.fpu.zmm[i->opnd[0].reg], buf, 64);
}

INTERP_FN(vmaskmov)
{
	bool q = i->op == X86_OP_VMASKMOVPD || i->op == X86_OP_VPMASKMOVQ;
	unsigned e = q ? 8 : 4;
	const uint8_t *mask = c->st.fpu.zmm[i->opnd[1].reg];
	uint64_t which = 0;

	host_check(c, i, true);
	if (i->opnd[0].kind == X86_OK_VEC) {
		mask_move_load(c, i, e, mask);
		return;
	}
	for (unsigned at = 0; at < i->vl; at += e)
		if (mask[at + e - 1] & 0x80)
			which |= mask_low(e) << at;
	mask_store(c, i, i->vl, c->st.fpu.zmm[i->opnd[2].reg], which);
}

/* ---- gathers and scatters ---- */

struct mask_vsib {
	unsigned index, data; /* bytes of an index, of an element */
	unsigned count;
};

static void mask_vsib(const struct x86_insn *i, struct mask_vsib *v)
{
	/* even opcodes have doubleword indices */
	v->index = i->opcode & 1 ? 8 : 4;
	v->data = i->rex & X86_REX_W ? 8 : 4;
	v->count = i->vl / (v->index > v->data ? v->index : v->data);
}

static uint64_t mask_vsib_offset(const struct soft_cpu *c,
	const struct x86_insn *i, const struct mask_vsib *v, unsigned n)
{
	const uint8_t *x = c->st.fpu.zmm[i->index] + n * v->index;
	uint64_t a = (int64_t)i->disp, idx = 0;

	memcpy(&idx, x, v->index);
	if (i->base < X86_NGPR)
		a += c->st.gpr[i->base];
	a += (uint64_t)interp_sext(idx, v->index) * i->scale;
	return interp_asize_mask(i, a);
}

static void gather_element(struct soft_cpu *c, const struct x86_insn *i,
	const struct mask_vsib *v, unsigned n)
{
	uint64_t off = mask_vsib_offset(c, i, v, n), x;
	gva_t a = interp_linear(c, i->seg, off, v->data, SOFT_READ);

	x = soft_fast_load(c, a, v->data, c->tlb_mode);
	memcpy(c->st.fpu.zmm[i->opnd[0].reg] + n * v->data, &x, v->data);
}

static void gather_vex(
	struct soft_cpu *c, const struct x86_insn *i, const struct mask_vsib *v)
{
	uint8_t *mask = c->st.fpu.zmm[i->opnd[2].reg];

	/* The mask is first spread over whole elements. */
	for (unsigned n = 0; n < v->count; n++) {
		uint8_t *m = mask + n * v->data;

		memset(m, m[v->data - 1] & 0x80 ? 0xff : 0, v->data);
	}
	for (unsigned n = 0; n < v->count; n++) {
		uint8_t *m = mask + n * v->data;

		if (*m)
			gather_element(c, i, v, n);
		memset(m, 0, v->data);
	}
	memset(mask, 0, 64);
}

INTERP_FN(gather)
{
	struct mask_vsib v;
	unsigned end;

	host_check(c, i, true);
	mask_vsib(i, &v);
	if (i->enc == X86_ENC_EVEX) {
		for (unsigned n = 0; n < v.count; n++) {
			if (c->st.fpu.k[i->aaa] >> n & 1)
				gather_element(c, i, &v, n);
			c->st.fpu.k[i->aaa] &= ~(1ull << n);
		}
		c->st.fpu.k[i->aaa] = 0;
	} else {
		gather_vex(c, i, &v);
	}
	end = v.count * v.data;
	memset(c->st.fpu.zmm[i->opnd[0].reg] + end, 0, 64 - end);
}

INTERP_FN(scatter)
{
	const uint8_t *src = c->st.fpu.zmm[i->opnd[1].reg];
	struct mask_vsib v;

	host_check(c, i, true);
	mask_vsib(i, &v);
	for (unsigned n = 0; n < v.count; n++) {
		uint64_t x = 0, off;
		gva_t a;

		if (c->st.fpu.k[i->aaa] >> n & 1) {
			memcpy(&x, src + n * v.data, v.data);
			off = mask_vsib_offset(c, i, &v, n);
			a = interp_linear(c, i->seg, off, v.data, SOFT_WRITE);
			soft_fast_store(c, a, v.data, x, c->tlb_mode);
		}
		c->st.fpu.k[i->aaa] &= ~(1ull << n);
	}
	c->st.fpu.k[i->aaa] = 0;
}
