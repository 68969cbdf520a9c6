/*
 * mask.c - memory accesses by elements: opmasks, MASKMOV, gathers, scatters.
 *
 * An element that is masked out is not accessed and cannot fault.  Gathers and
 * scatters that fault midway keep the elements done, with their mask bits
 * cleared (SDM vol. 2, VPGATHERDD).
 */
#include "cpu/interp/host.h"

/* Linear address of n bytes at byte at of the memory operand, within which
 * offsets do not wrap. */
static gva_t mask_address(struct soft_cpu *c, const struct x86_insn *i,
	unsigned at, unsigned n, enum soft_access acc)
{
	return interp_linear(c, i->seg, interp_ea(c, i) + at, n, acc);
}

static uint64_t mask_low(unsigned n)
{
	return n >= 64 ? ~0ull : (1ull << n) - 1;
}

/* The next run of set bits in which from *at on: its length, 0 if none. */
static unsigned mask_run(uint64_t which, unsigned *at)
{
	unsigned n = 0;

	if (*at >= 64 || !(which >> *at))
		return 0;
	*at += (unsigned)__builtin_ctzll(which >> *at);
	while (*at + n < 64 && which >> (*at + n) & 1)
		n++;
	return n;
}

/* The segment's limits come before all that paging finds. */
static void mask_limits(struct soft_cpu *c, const struct x86_insn *i,
	uint64_t which, enum soft_access acc)
{
	unsigned n;

	for (unsigned at = 0; (n = mask_run(which, &at)); at += n)
		mask_address(c, i, at, n, acc);
}

static void mask_load_bytes(struct soft_cpu *c, const struct x86_insn *i,
	unsigned size, uint8_t *buf, uint64_t which)
{
	unsigned n;

	mask_limits(c, i, which, SOFT_READ);
	for (unsigned at = 0; (n = mask_run(which, &at)); at += n)
		soft_load_bytes(c, mask_address(c, i, at, n, SOFT_READ),
			buf + at, n, c->tlb_mode);
}

/* Exception class E6NF: the right to write the whole operand is needed. */
static bool mask_writes_all(const struct x86_insn *i)
{
	return !strncmp(x86_op_name(i->op), "vextract", 8);
}

void mask_store(struct soft_cpu *c, const struct x86_insn *i, unsigned size,
	const uint8_t *buf, uint64_t which)
{
	unsigned n, at;

	which &= mask_low(size);
	if (mask_writes_all(i))
		soft_probe_write(c, mask_address(c, i, 0, size, SOFT_WRITE),
			size, c->tlb_mode);
	mask_limits(c, i, which, SOFT_WRITE);
	for (at = 0; (n = mask_run(which, &at)); at += n)
		soft_probe_write(c, mask_address(c, i, at, n, SOFT_WRITE), n,
			c->tlb_mode);
	for (at = 0; (n = mask_run(which, &at)); at += n)
		soft_store_bytes(c, mask_address(c, i, at, n, SOFT_WRITE),
			buf + at, n, c->tlb_mode);
}

/* ---- loads under an opmask ---- */

bool mask_any(const struct soft_cpu *c, const struct x86_insn *i)
{
	unsigned e = i->rex & X86_REX_W ? 8 : 4;

	if (i->op == X86_OP_VMOVDQU8 || i->op == X86_OP_VMOVDQU16)
		return true; /* never aligned */
	return c->st.fpu.k[i->aaa] & ((1ull << (i->vl / e)) - 1);
}

/* Exception classes E4NF, E6NF: the memory operand is read whole. */
static bool mask_reads_all(const struct x86_insn *i)
{
	const char *name = x86_op_name(i->op);
	static const char *const start[] = {"punpck", "unpck", "pack", "vperm",
		"vdbps", "pshuf", "vshuf", "shuf", "pmadd", "valign", "palign",
		"gf2p8affine", "vcvtne2", "vinsert", "vpmultishift",
		"vpconflict", "movddup", "movsldup", "movshdup"};
	static const char *const by_count[] = {
		"psrl", "psra", "psll", "vpsraq"};

	/* shifts by a count in an XMM operand */
	for (unsigned n = 0; n < sizeof(by_count) / sizeof(by_count[0]); n++)
		if (!strncmp(name, by_count[n], strlen(by_count[n])))
			return i->imm_size == 0;
	for (unsigned n = 0; n < sizeof(start) / sizeof(start[0]); n++)
		if (!strncmp(name, start[n], strlen(start[n])))
			return true;
	return false;
}

/* Element size of byte and word instructions: the name's last letter. */
static unsigned mask_bw_size(const char *name)
{
	size_t n = strlen(name);

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
	return size <= 8 ? size : mask_bw_size(x86_op_name(i->op));
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

/* Bytes of an element of what a conversion makes, by its name; else 0. */
static unsigned mask_converted(const char *name)
{
	const char *to = strchr(name, '2');

	if (strncmp(name, "cvt", 3) && strncmp(name, "vcvt", 4))
		return 0;
	if (!to)
		return 0;
	to++;
	if (!strcmp(to, "pd") || !strcmp(to, "qq") || !strcmp(to, "uqq"))
		return 8;
	return !strcmp(to, "ph") || !strcmp(to, "w") || !strcmp(to, "uw") ? 2
									  : 4;
}

/* The bytes of a memory operand of elements of e bytes that k selects. */
static uint64_t mask_spread(uint64_t k, unsigned size, unsigned e)
{
	uint64_t which = 0;

	for (unsigned n = 0; n < size / e; n++)
		if (k >> n & 1)
			which |= mask_low(e) << (n * e);
	return which;
}

/*
 * The bytes that a broadcast of size bytes needs: an element if any of its
 * copies is selected.
 */
static uint64_t mask_broadcast(
	const struct x86_insn *i, uint64_t k, unsigned size)
{
	unsigned e = size, to = mask_converted(x86_op_name(i->op)), count;
	uint64_t any = 0;

	if (!i->evex_b && (size > 8 || i->op == X86_OP_VBROADCASTF32X2 ||
				  i->op == X86_OP_VBROADCASTI32X2))
		e = i->rex & X86_REX_W ? 8 : 4;
	count = i->vl / (to > e ? to : e);
	for (unsigned n = 0; n < count; n++)
		if (k >> n & 1)
			any |= 1ull << n % (size / e);
	return mask_spread(any, size, e);
}

bool mask_load(struct soft_cpu *c, const struct x86_insn *i, unsigned size,
	uint8_t *buf)
{
	uint64_t k = c->st.fpu.k[i->aaa], which;
	unsigned e;

	if (mask_reads_all(i))
		return false;
	if (mask_expands(i)) {
		e = mask_expand_size(i);
		k &= mask_low(size / e);
		which = mask_low((unsigned)__builtin_popcountll(k) * e);
	} else if (mask_broadcasts(i)) {
		which = mask_broadcast(i, k, size);
	} else {
		e = mask_element(i, size);
		if (!e)
			return false;
		which = mask_spread(k, size, e);
	}
	mask_load_bytes(c, i, size, buf, which);
	return true;
}

/* ---- MASKMOVQ, MASKMOVDQU ---- */

static void mask_move_bytes(struct soft_cpu *c, const struct x86_insn *i,
	const uint8_t *src, const uint8_t *mask, unsigned size)
{
	uint64_t di = interp_asize_mask(i, c->st.gpr[X86_RDI]);

	/* Processors want the right to write the whole operand, whatever the
	 * mask, and find out about its upper half first. */
	for (unsigned n = size; n > 0;) {
		uint64_t off;

		n -= 8;
		off = interp_asize_mask(i, di + n);
		soft_probe_write(c,
			interp_linear(
				c, interp_data_seg(i), off, 8, SOFT_WRITE),
			8, c->tlb_mode);
	}
	for (unsigned n = 0; n < size; n++) {
		uint64_t off = interp_asize_mask(i, di + n);
		gva_t a;

		if (!(mask[n] & 0x80))
			continue;
		a = soft_fast_linear(c, interp_data_seg(i), off, 1, SOFT_WRITE);
		soft_fast_store(c, a, 1, src[n], c->tlb_mode);
	}
}

INTERP_FN(maskmov)
{
	const struct x86_opnd *o = i->opnd;

	host_check(c, i, true);
	if (i->op == X86_OP_MASKMOVQ) {
		const uint8_t *st = c->st.fpu.fx + FX_ST0;
		unsigned top = host_get16(c->st.fpu.fx, FX_FSW) >> 11 & 7;

		mask_move_bytes(c, i, st + ((o[0].reg - top) & 7) * 16,
			st + ((o[1].reg - top) & 7) * 16, 8);
		x87_enter_mmx(c);
	} else {
		mask_move_bytes(c, i, c->st.fpu.zmm[o[0].reg],
			c->st.fpu.zmm[o[1].reg], 16);
	}
}

/* ---- VMASKMOVPS, VPMASKMOVD and kin ---- */

static uint64_t mask_signs(
	const struct x86_insn *i, unsigned e, const uint8_t *mask)
{
	uint64_t which = 0;

	for (unsigned at = 0; at < i->vl; at += e)
		if (mask[at + e - 1] & 0x80)
			which |= mask_low(e) << at;
	return which;
}

static void mask_move_load(struct soft_cpu *c, const struct x86_insn *i,
	unsigned e, const uint8_t *mask)
{
	uint8_t buf[64] = {0};

	mask_load_bytes(c, i, i->vl, buf, mask_signs(i, e, mask));
	memcpy(c->st.fpu.zmm[i->opnd[0].reg], buf, 64);
}

INTERP_FN(vmaskmov)
{
	bool q = i->op == X86_OP_VMASKMOVPD || i->op == X86_OP_VPMASKMOVQ;
	unsigned e = q ? 8 : 4;
	const uint8_t *mask = c->st.fpu.zmm[i->opnd[1].reg];

	host_check(c, i, true);
	if (i->opnd[0].kind == X86_OK_VEC) {
		mask_move_load(c, i, e, mask);
		return;
	}
	mask_store(c, i, i->vl, c->st.fpu.zmm[i->opnd[2].reg],
		mask_signs(i, e, mask));
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
	uint8_t *dst = c->st.fpu.zmm[i->opnd[0].reg];

	x = soft_fast_load(c, a, v->data, c->tlb_mode);
	memcpy(dst + n * v->data, &x, v->data);
	/* each element is a write of the register: its upper part goes */
	memset(dst + i->vl, 0, 64 - i->vl);
}

static void gather_vex(
	struct soft_cpu *c, const struct x86_insn *i, const struct mask_vsib *v)
{
	uint8_t *mask = c->st.fpu.zmm[i->opnd[2].reg];

	/* The mask is first spread over whole elements. */
	for (unsigned n = 0; n < i->vl / v->data; n++) {
		uint8_t *m = mask + n * v->data;

		memset(m, m[v->data - 1] & 0x80 ? 0xff : 0, v->data);
	}
	memset(mask + i->vl, 0, 64 - i->vl);
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
