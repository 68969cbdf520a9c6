/*
 * decode.c - from bytes to one decoded instruction.
 *
 * Prefixes, opcode, ModRM and SIB are taken in the order of SDM vol. 2,
 * chapter 2; the row of optab.def is found by one indexed load in x86_slots[];
 * what the row says about operands then fills struct x86_insn.
 *
 * A processor works out the length before it judges: undefined instructions
 * near the end of a page or of 15 bytes give #PF or #GP rather than #UD.  So
 * refusals are kept until all bytes are known to be there.
 */
#include <string.h>

#include "x86/optab.h"

struct dec {
	struct x86_insn *insn;
	const uint8_t *p;
	unsigned pos, n; /* n <= 15 */
	unsigned mode;
	bool mode64;
	uint8_t pp;   /* of the row: 0 none, 1 66, 2 F3, 3 F2 */
	uint8_t ll;   /* VEX.L or EVEX.L'L */
	uint8_t vp;   /* EVEX.V' as a register bit: 16 */
	uint8_t rp;   /* EVEX.R' as a register bit: 16 */
	uint8_t vvvv; /* without V' */
	uint8_t w;    /* VEX.W as it selects rows */
	bool ud;      /* refused, as soon as the length is known */
	const struct x86_opcode *oc;
	const struct x86_opdef *def;
	const struct x86_rowinfo *ri;
	const uint8_t *sizes; /* row of size_table */
	uint8_t regs[X86_PL_NREGS];
};

enum { NP, P66, PF3, PF2 };

/* Ran out of bytes: too long if the 15 are used up. */
static enum x86_dec_status dec_short(const struct dec *d)
{
	return d->n >= 15 ? X86_DEC_LONG : X86_DEC_MORE;
}

#define NEED(d, count)                                                         \
	do {                                                                   \
		if ((d)->pos + (count) > (d)->n)                               \
			return dec_short(d);                                   \
	} while (0)

/* ---- prefixes ---- */

static void dec_seg_prefix(struct dec *d, unsigned seg)
{
	/* ES, CS, SS, DS mean nothing in 64-bit mode */
	if (!d->mode64 || seg >= X86_FS)
		d->insn->seg_override = seg;
}

/* Consume one legacy prefix; false if b is none. */
static bool dec_prefix(struct dec *d, uint8_t b)
{
	struct x86_insn *in = d->insn;

	switch (b) {
	case 0x26: dec_seg_prefix(d, X86_ES); break;
	case 0x2e: dec_seg_prefix(d, X86_CS); break;
	case 0x36: dec_seg_prefix(d, X86_SS); break;
	case 0x3e: dec_seg_prefix(d, X86_DS); break;
	case 0x64: dec_seg_prefix(d, X86_FS); break;
	case 0x65: dec_seg_prefix(d, X86_GS); break;
	case 0x66: in->prefix |= X86_PFX_OPSIZE; break;
	case 0x67: in->prefix |= X86_PFX_ADSIZE; break;
	case 0xf0: in->prefix |= X86_PFX_LOCK; break;
	case 0xf2:
		in->prefix &= ~X86_PFX_REP;
		in->prefix |= X86_PFX_REPNE;
		break;
	case 0xf3:
		in->prefix &= ~X86_PFX_REPNE;
		in->prefix |= X86_PFX_REP;
		break;
	default: return false;
	}
	return true;
}

/* Bytes that are a prefix or REX, one bit each, to be quick about the rest. */
static const uint32_t prefix_map[8] = {
	[0x20 / 32] = 1u << 6 | 1u << 14 | 1u << 22 | 1u << 30,
	[0x60 / 32] = 0xf0,
	[0xe0 / 32] = 1u << 16 | 1u << 18 | 1u << 19,
};

static enum x86_dec_status dec_prefixes(struct dec *d)
{
	struct x86_insn *in = d->insn;
	uint8_t rex = 0;

	for (;;) {
		uint8_t b;

		NEED(d, 1);
		b = d->p[d->pos];
		if (d->mode64 && (b & 0xf0) == 0x40)
			rex = b;
		else if (!(prefix_map[b >> 5] >> (b & 31) & 1))
			break;
		else if (dec_prefix(d, b))
			rex = 0; /* a REX that is not last is ignored */
		d->pos++;
	}
	in->rex = rex ? (rex & 15) | X86_REX_PRESENT : 0;
	d->pp = in->prefix & X86_PFX_REPNE    ? PF2
		: in->prefix & X86_PFX_REP    ? PF3
		: in->prefix & X86_PFX_OPSIZE ? P66
					      : NP;
	d->w = !!(rex & 8);
	return X86_DEC_OK;
}

/* ---- VEX and EVEX ---- */

/* VEX.pp and EVEX.pp are numbered none, 66, F3, F2 as our pp is. */
static void dec_vex_pp(struct dec *d, unsigned pp)
{
	static const uint8_t flag[4] = {
		0, X86_PFX_OPSIZE, X86_PFX_REP, X86_PFX_REPNE};

	d->pp = pp;
	d->insn->prefix |= flag[pp];
}

static bool dec_vex_refused(const struct dec *d)
{
	return (d->insn->prefix & ~X86_PFX_ADSIZE) || d->insn->rex;
}

/* Inverted R X B in bits 7:5 of b, to REX bits. */
static uint8_t dec_rxb(const struct dec *d, uint8_t b)
{
	return d->mode64 ? ((uint8_t)~b >> 5 & 7) : 0;
}

/* b0 = C4 or C5 is consumed. */
static enum x86_dec_status dec_vex(struct dec *d, uint8_t b0)
{
	struct x86_insn *in = d->insn;
	uint8_t b;

	d->ud = dec_vex_refused(d);
	in->enc = X86_ENC_VEX;
	NEED(d, 1);
	b = d->p[d->pos++];
	if (b0 == 0xc5) {
		in->map = 1;
		in->rex = d->mode64 && !(b & 0x80) ? X86_REX_R : 0;
		d->w = 0;
	} else {
		in->map = b & 31;
		in->rex = dec_rxb(d, b);
		if (!(in->map & 3))
			return X86_DEC_UD;
		NEED(d, 1);
		b = d->p[d->pos++];
		d->w = b >> 7;
		in->rex |= b & 0x80 ? X86_REX_W : 0;
	}
	dec_vex_pp(d, b & 3);
	d->ll = b >> 2 & 1;
	d->vvvv = (uint8_t)~b >> 3 & 15;
	NEED(d, 1);
	return X86_DEC_OK;
}

/* 62 is consumed. */
static enum x86_dec_status dec_evex(struct dec *d)
{
	struct x86_insn *in = d->insn;
	uint8_t p0, p1, p2;

	in->enc = X86_ENC_EVEX;
	NEED(d, 1);
	p0 = d->p[d->pos];
	if (!(p0 & 3))
		return X86_DEC_UD;
	NEED(d, 4);
	p1 = d->p[d->pos + 1];
	p2 = d->p[d->pos + 2];
	d->pos += 3;
	d->ud = dec_vex_refused(d);
	in->map = p0 & 7;
	in->rex = dec_rxb(d, p0) | (p1 & 0x80 ? X86_REX_W : 0);
	d->w = p1 >> 7;
	d->rp = d->mode64 && !(p0 & 0x10) ? 16 : 0;
	dec_vex_pp(d, p1 & 3);
	d->vvvv = (uint8_t)~p1 >> 3 & 15;
	in->evex_z = p2 >> 7;
	d->ll = p2 >> 5 & 3;
	in->evex_b = p2 >> 4 & 1;
	d->vp = p2 & 8 ? 0 : 16;
	in->aaa = p2 & 7;
	d->ud = d->ud || p0 & 8 || !(p1 & 4) || (d->vp && !d->mode64);
	return X86_DEC_OK;
}

/* The opcode's map, by escapes or VEX; leaves insn->opcode set. */
static enum x86_dec_status dec_opcode(struct dec *d)
{
	struct x86_insn *in = d->insn;
	enum x86_dec_status st = X86_DEC_OK;
	uint8_t b = d->p[d->pos++];
	int table;

	if (b == 0x0f) {
		NEED(d, 1);
		b = d->p[d->pos++];
		in->map = 1;
		if (b == 0x38 || b == 0x3a) {
			in->map = b == 0x38 ? 2 : 3;
			NEED(d, 1);
			b = d->p[d->pos++];
		}
	} else if (b == 0xc4 || b == 0xc5 || b == 0x62) {
		if (!d->mode64)
			NEED(d, 1);
		if (d->mode64 || d->p[d->pos] >= 0xc0) {
			st = b == 0x62 ? dec_evex(d) : dec_vex(d, b);
			if (st != X86_DEC_OK)
				return st;
			b = d->p[d->pos++];
		}
	}
	in->opcode_off = d->pos - 1;
	in->opcode = b;
	table = in->enc == X86_ENC_LEGACY ? in->map
					  : x86_optab_table(in->enc, in->map);
	if (table >= 0)
		d->oc = &x86_opcodes[table][b];
	return X86_DEC_OK;
}

/* ---- the row ---- */

static unsigned slot_index(const struct dec *d)
{
	const struct x86_insn *in = d->insn;
	unsigned dims = d->oc->dims, i = 0;

	if (!dims)
		return 0;
	if (dims & X86_DIM_PP)
		i = d->pp;
	if (dims & X86_DIM_MODE)
		i = i << 1 | d->mode64;
	if (dims & X86_DIM_REG)
		i = i << 3 | (in->modrm >> 3 & 7);
	if (dims & X86_DIM_MOD)
		i = i << 1 | (in->modrm >= 0xc0);
	if (dims & X86_DIM_RM)
		i = i << 3 | (in->modrm & 7);
	if (dims & X86_DIM_W)
		i = i << 1 | d->w;
	if (dims & X86_DIM_L)
		i = i << 2 | d->ll;
	if (dims & X86_DIM_REXB)
		i = i << 1 | (in->rex & X86_REX_B);
	return i;
}

/*
 * With embedded rounding, L'L is the rounding mode and the length is 512: look
 * the row up as if it said so.  Only a register form can have it.
 */
static void dec_find_row(struct dec *d)
{
	struct x86_insn *in = d->insn;
	unsigned s, ll = d->ll;

	if (in->enc == X86_ENC_EVEX && in->evex_b && in->modrm >= 0xc0)
		d->ll = 2;
	s = x86_slots[d->oc->base + slot_index(d)];
	d->ll = ll;
	if (!s) {
		d->def = NULL;
		return;
	}
	d->def = &x86_optab[s - 1];
	d->ri = &x86_rowinfos[s - 1];
}

/*
 * Sizes by rule, for each of: operand size 2, 4, 8 (bits 1:0 = log2 - 1),
 * 64-bit mode (bit 2), W (bit 3).
 */
#define SIZES(v, y, m)                                                         \
	{                                                                      \
		v, y, v == 8 ? 4 : v, v + 2, 2 * v, m + 2, v == 2 ? 14 : 28,   \
			v == 2 ? 94 : 108, m, 1                                \
	}
static const uint8_t size_table[16][X86_SZ_NTABLE - X86_SZ_V] = {
	[0] = SIZES(2, 4, 4),
	[1] = SIZES(4, 4, 4),
	[4] = SIZES(2, 4, 8),
	[5] = SIZES(4, 4, 8),
	[6] = SIZES(8, 4, 8),
	/* W outside 64-bit mode (VEX) changes nothing here */
	[8] = SIZES(2, 4, 4),
	[9] = SIZES(4, 4, 4),
	[12] = SIZES(2, 8, 8),
	[13] = SIZES(4, 8, 8),
	[14] = SIZES(8, 8, 8),
};
#undef SIZES

static void dec_sizes(struct dec *d)
{
	struct x86_insn *in = d->insn;
	uint32_t attr = d->def ? d->def->attr : 0;
	/* in VEX and EVEX it is part of the opcode only */
	bool p66 = in->prefix & X86_PFX_OPSIZE && in->enc == X86_ENC_LEGACY;

	if (d->mode == 2)
		in->osize = p66 ? 4 : 2;
	else
		in->osize = p66 ? 2 : 4;
	if (d->mode64) {
		if (in->rex & X86_REX_W || attr & X86_AT_F64)
			in->osize = 8;
		else if (attr & X86_AT_DEF64)
			in->osize = p66 ? 2 : 8;
	}
	d->sizes = size_table[in->osize >> 2 | d->mode64 << 2 |
			      (in->rex & X86_REX_W)];
}

static unsigned dec_size_vector(const struct x86_insn *in, unsigned rule)
{
	if (rule == X86_SZ_DUP)
		return in->vl == 16 ? 8 : in->vl;
	if (rule == X86_SZ_AS)
		return in->asize;
	return in->vl >> (rule - X86_SZ_X);
}

static inline unsigned dec_size(const struct dec *d, unsigned rule)
{
	if (rule < X86_SZ_V)
		return rule;
	if (rule < X86_SZ_NTABLE)
		return d->sizes[rule - X86_SZ_V];
	return dec_size_vector(d->insn, rule);
}

/* ---- addresses ---- */

static uint64_t dec_bytes(const uint8_t *p, unsigned n)
{
	uint64_t v = 0;

	memcpy(&v, p, n);
	return v;
}

static int64_t dec_sext(uint64_t v, unsigned n)
{
	return (int64_t)(v << (64 - 8 * n)) >> (64 - 8 * n);
}

static enum x86_dec_status dec_disp(struct dec *d, unsigned size)
{
	struct x86_insn *in = d->insn;

	NEED(d, size);
	in->disp_off = d->pos;
	in->disp_size = size;
	in->disp = dec_sext(dec_bytes(d->p + d->pos, size), size);
	d->pos += size;
	return X86_DEC_OK;
}

static enum x86_dec_status dec_mem16(struct dec *d)
{
	static const uint8_t base[8] = {X86_RBX, X86_RBX, X86_RBP, X86_RBP,
		X86_RSI, X86_RDI, X86_RBP, X86_RBX};
	static const uint8_t index[4] = {X86_RSI, X86_RDI, X86_RSI, X86_RDI};
	struct x86_insn *in = d->insn;
	unsigned rm = in->modrm & 7;

	if (in->mod == 0 && rm == 6)
		return dec_disp(d, 2);
	in->base = base[rm];
	if (rm < 4)
		in->index = index[rm];
	return in->mod ? dec_disp(d, in->mod) : X86_DEC_OK;
}

/* SIB, with the index register's high bits. */
static enum x86_dec_status dec_sib(struct dec *d, bool *disp32)
{
	struct x86_insn *in = d->insn;
	unsigned index;
	uint8_t sib;

	NEED(d, 1);
	sib = d->p[d->pos++];
	index = (sib >> 3 & 7) | (in->rex & X86_REX_X ? 8 : 0);
	in->vsib = d->def && d->ri->flags & X86_RI_VSIB;
	if (in->vsib)
		in->index = index | d->vp;
	else if (index != 4)
		in->index = index;
	if (in->index != X86_NOREG)
		in->scale = 1 << (sib >> 6);
	*disp32 = (sib & 7) == 5 && in->mod == 0;
	if (!*disp32)
		in->base = (sib & 7) | (in->rex & X86_REX_B ? 8 : 0);
	return X86_DEC_OK;
}

static enum x86_dec_status dec_mem32(struct dec *d)
{
	struct x86_insn *in = d->insn;
	bool disp32 = false;
	enum x86_dec_status st;

	if ((in->modrm & 7) == 4) {
		st = dec_sib(d, &disp32);
		if (st != X86_DEC_OK)
			return st;
	} else if ((in->modrm & 7) == 5 && in->mod == 0) {
		disp32 = true;
		if (d->mode64)
			in->base = X86_RIP;
	} else {
		in->base = in->rm;
	}
	if (disp32 || in->mod == 2)
		return dec_disp(d, 4);
	return in->mod == 1 ? dec_disp(d, 1) : X86_DEC_OK;
}

static enum x86_dec_status dec_mem(struct dec *d)
{
	struct x86_insn *in = d->insn;
	enum x86_dec_status st;

	in->has_mem = 1;
	st = in->asize == 2 ? dec_mem16(d) : dec_mem32(d);
	in->seg = in->seg_override != X86_NOREG ? in->seg_override
		  : in->base == X86_RSP || in->base == X86_RBP ? X86_SS
							       : X86_DS;
	return st;
}

static enum x86_dec_status dec_modrm(struct dec *d)
{
	struct x86_insn *in = d->insn;

	NEED(d, 1);
	in->modrm_off = d->pos;
	in->modrm = d->p[d->pos++];
	in->mod = in->modrm >> 6;
	in->reg = (in->modrm >> 3 & 7) | (in->rex & X86_REX_R ? 8 : 0) | d->rp;
	in->rm = (in->modrm & 7) | (in->rex & X86_REX_B ? 8 : 0);
	return X86_DEC_OK;
}

/* ---- immediates ---- */

static enum x86_dec_status dec_imm(struct dec *d)
{
	struct x86_insn *in = d->insn;
	unsigned rule = d->ri->imm, size, size2;
	uint64_t v;

	if (d->ri->flags & X86_RI_MOFFS) {
		NEED(d, in->asize);
		in->imm_off = d->pos;
		in->imm_size = in->asize;
		in->imm = dec_bytes(d->p + d->pos, in->asize);
		in->disp_size = in->asize;
		if (in->asize < 8)
			in->disp = (int32_t)in->imm;
		in->has_mem = 1;
		in->seg = in->seg_override != X86_NOREG ? in->seg_override
							: X86_DS;
		d->pos += in->asize;
		return X86_DEC_OK;
	}
	if (!rule && !d->ri->imm2)
		return X86_DEC_OK;
	size = dec_size(d, rule);
	size2 = d->ri->imm2;
	NEED(d, size + size2);
	v = dec_bytes(d->p + d->pos, size);
	in->imm_off = d->pos;
	in->imm_size = size;
	in->imm = rule == X86_SZ_Z || rule == X86_SZ_SX8
			  ? (uint64_t)dec_sext(v, size)
			  : v;
	in->imm2 = dec_bytes(d->p + d->pos + size, size2);
	d->pos += size + size2;
	return X86_DEC_OK;
}

/* ---- operands ---- */

/* Registers that are neither general nor vector; false if there is none. */
static bool dec_reg_other(struct x86_opnd *o)
{
	switch (o->kind) {
	case X86_OK_SREG:
		o->reg &= 7;
		return o->reg <= X86_GS &&
		       !(o->reg == X86_CS && o->access & X86_OA_W);
	case X86_OK_CR:
		return o->reg == 0 || o->reg == 2 || o->reg == 3 ||
		       o->reg == 4 || o->reg == 8;
	case X86_OK_DR:
	case X86_OK_KREG: return o->reg < 8;
	case X86_OK_ST:
	case X86_OK_MMX: o->reg &= 7; return true;
	default: return true;
	}
}

static bool dec_reg(
	const struct dec *d, struct x86_opnd *o, const struct x86_opspec *s)
{
	const struct x86_insn *in = d->insn;

	o->size = dec_size(d, s->rsize);
	o->reg = s->place == X86_PL_FIX ? s->reg : d->regs[s->place];
	if (o->kind == X86_OK_GPR) {
		if (o->size == 1 && !in->rex && o->reg >= 4 && o->reg < 8) {
			o->reg -= 4;
			o->high8 = 1;
		}
		/* R' and V' have nothing to select in general registers */
		return o->reg < 16;
	}
	if (o->kind == X86_OK_VEC) {
		/* EVEX.X is the fifth bit of a vector register in rm */
		if (in->enc == X86_ENC_EVEX && in->rex & X86_REX_X &&
			(s->place == X86_PL_RM || s->place == X86_PL_RMREG))
			o->reg = d->insn->rm |= 16;
		return true;
	}
	if (o->kind == X86_OK_KREG && s->place != X86_PL_REG &&
		s->place != X86_PL_VVVV)
		o->reg &= 7;
	return dec_reg_other(o);
}

static bool dec_opnd(
	const struct dec *d, struct x86_opnd *o, const struct x86_opspec *s)
{
	const struct x86_insn *in = d->insn;

	o->kind = s->kind;
	if (s->place < X86_PL_NREGS && !(in->has_mem && s->place == X86_PL_RM))
		return dec_reg(d, o, s);
	if (s->place >= X86_PL_IMM) {
		o->size = dec_size(d, s->rsize);
		return true;
	}
	o->size = dec_size(d, s->msize);
	if (s->place == X86_PL_STR)
		return true;
	o->kind = X86_OK_MEM;
	if (in->enc == X86_ENC_EVEX && in->evex_b)
		o->size = 1 << X86_EV_BCST(d->def->evex);
	return true;
}

static bool dec_operands(struct dec *d)
{
	struct x86_insn *in = d->insn;
	unsigned i, n = d->ri->nopnds;

	in->nopnds = n;
	d->regs[X86_PL_REG] = in->reg;
	d->regs[X86_PL_RM] = d->regs[X86_PL_RMREG] = in->rm;
	d->regs[X86_PL_VVVV] = in->vvvv;
	d->regs[X86_PL_OPC] = (in->opcode & 7) | (in->rex & X86_REX_B ? 8 : 0);
	d->regs[X86_PL_IS4] = in->imm >> 4 & (d->mode64 ? 15 : 7);
	for (i = 0; i < n; i++) {
		in->opnd[i].access = d->ri->access[i];
		if (!dec_opnd(d, &in->opnd[i], &d->ri->spec[i]))
			return false;
	}
	return true;
}

/* ---- what makes an encoding #UD after all ---- */

/*
 * Gathers want destination, index and (VEX) mask all different; complex FP16
 * wants a destination that is neither source.
 */
static bool dec_coincide(const struct dec *d)
{
	const struct x86_insn *in = d->insn;
	unsigned i;

	for (i = 0; i < in->nopnds; i++) {
		if (in->opnd[i].kind != X86_OK_VEC)
			continue;
		if (in->vsib && in->opnd[i].reg == in->index)
			return true;
		if (i > 0 && in->opnd[i].reg == in->opnd[0].reg)
			return true;
	}
	return false;
}

/* The EVEX fields b, z, aaa and L'L against the row; sets the length. */
static bool dec_evex_ok(struct dec *d)
{
	struct x86_insn *in = d->insn;
	uint32_t ev = d->def->evex;
	bool reg = in->modrm >= 0xc0;

	in->evex_ll = d->ll;
	if (in->evex_b && reg) {
		if (!(ev & (X86_EV_ER | X86_EV_SAE | X86_EV_BIGN)))
			return false;
		in->vl = 64;
	} else {
		if (in->evex_b && !X86_EV_BCST(ev))
			return false;
		if (d->ll == 3)
			return false;
		in->vl = 16 << d->ll;
	}
	if (in->aaa && !(ev & X86_EV_K))
		return false;
	if (!in->aaa && (ev & X86_EV_KREQ || in->evex_z))
		return false;
	return !in->evex_z || ev & X86_EV_Z;
}

static enum x86_dec_status dec_vvvv(struct dec *d)
{
	struct x86_insn *in = d->insn;
	bool vp_used = d->ri->flags & (X86_RI_VVVV | X86_RI_VSIB);

	if (!(d->ri->flags & X86_RI_VVVV) && d->vvvv)
		return X86_DEC_UD;
	if (!vp_used && d->vp)
		return X86_DEC_UD;
	in->vvvv = d->vvvv | (d->ri->flags & X86_RI_VSIB ? 0 : d->vp);
	if (!d->mode64)
		in->vvvv &= 7;
	return X86_DEC_OK;
}

/* Merging destinations are read; a zeroed memory destination is #UD. */
static bool dec_masking(struct dec *d)
{
	struct x86_insn *in = d->insn;
	struct x86_opnd *o = &in->opnd[0];

	if (!in->aaa)
		return true;
	if (in->evex_z)
		return o->kind != X86_OK_MEM;
	if (o->kind == X86_OK_VEC && o->access & X86_OA_W &&
		!(d->def->evex & X86_EV_BLEND))
		o->access |= X86_OA_R;
	return true;
}

static bool dec_lock_ok(const struct dec *d)
{
	const struct x86_insn *in = d->insn;

	if (!(in->prefix & X86_PFX_LOCK))
		return true;
	return d->def->attr & X86_AT_LOCKABLE && in->has_mem;
}

/* disp8*N: N is the size of the memory operand, or what the row says. */
static void dec_scale_disp(struct dec *d)
{
	struct x86_insn *in = d->insn;
	unsigned i, n = X86_EV_DISP(d->def->evex);

	if (in->disp_size != 1 || in->enc != X86_ENC_EVEX)
		return;
	for (i = 0; !n && i < in->nopnds; i++)
		if (in->opnd[i].kind == X86_OK_MEM)
			n = in->opnd[i].size;
	in->disp *= (int)n;
}

/* All bytes up to the immediate are consumed: judge and fill in. */
static enum x86_dec_status dec_finish(struct dec *d)
{
	struct x86_insn *in = d->insn;
	enum x86_dec_status st;

	st = dec_imm(d);
	if (st != X86_DEC_OK)
		return st;
	if (d->ud)
		return X86_DEC_UD;
	in->def = d->def;
	in->op = d->def->op;
	in->vl = 16 << (d->ll & 1);
	if (in->enc != X86_ENC_LEGACY) {
		if (in->enc == X86_ENC_EVEX && !dec_evex_ok(d))
			return X86_DEC_UD;
		if (dec_vvvv(d) != X86_DEC_OK)
			return X86_DEC_UD;
		if (d->ri->flags & X86_RI_LIG)
			in->vl = 16;
	}
	in->len = d->pos;
	if (!dec_lock_ok(d) || !dec_operands(d))
		return X86_DEC_UD;
	if (in->enc == X86_ENC_EVEX) {
		if (!dec_masking(d))
			return X86_DEC_UD;
		dec_scale_disp(d);
	}
	if (d->def->key & X86_KEY_DISTINCT && dec_coincide(d))
		return X86_DEC_UD;
	in->rep_string = d->def->attr & X86_AT_STRING &&
			 in->prefix & (X86_PFX_REP | X86_PFX_REPNE);
	if (d->def->attr & X86_AT_STRING)
		in->seg = in->seg_override != X86_NOREG ? in->seg_override
							: X86_DS;
	return X86_DEC_OK;
}

/*
 * Undefined: consume what a processor takes for its parts.  That goes by the
 * map; in VEX and EVEX by the map's low two bits, 1 being legacy 0F (found by
 * trying on an Intel processor, see tests/fuzz/decode-vs-cpu.c).
 */
static enum x86_dec_status dec_undefined(struct dec *d)
{
	struct x86_insn *in = d->insn;
	unsigned map = in->enc == X86_ENC_LEGACY ? in->map : in->map & 3;
	struct x86_opcode oc = {.modrm = 1, .imm = map == 3};
	enum x86_dec_status st = X86_DEC_OK;
	unsigned size;

	if (map < 2 && x86_opcodes[map][in->opcode].base)
		oc = x86_opcodes[map][in->opcode];
	else if (map < 2)
		oc.modrm = map == 1 && ((in->opcode & 0xfe) == 0x7a ||
					       (in->opcode & 0xfe) == 0xa6);
	d->def = NULL;
	dec_sizes(d);
	if (map == 1 && in->enc == X86_ENC_LEGACY && in->opcode >= 0x39 &&
		in->opcode <= 0x3f) {
		/* more escapes, it seems: as 38 and 3A by bit 1 */
		NEED(d, 1);
		d->pos++;
		oc.modrm = 1;
		oc.imm = in->opcode >> 1 & 1;
	}
	if (oc.modrm && !in->modrm_off)
		st = dec_modrm(d);
	if (st == X86_DEC_OK && oc.modrm && in->mod != 3 && !oc.modign)
		st = dec_mem(d);
	if (st != X86_DEC_OK)
		return st;
	size = dec_size(d, oc.imm);
	/* far pointers have four bytes of offset at most */
	NEED(d, (size > 4 ? 4 : size) + oc.imm2);
	return X86_DEC_UD;
}

enum x86_dec_status x86_decode(
	struct x86_insn *insn, const uint8_t *p, unsigned n, unsigned mode)
{
	struct dec d = {.insn = insn,
		.p = p,
		.n = n < 15 ? n : 15,
		.mode = mode,
		.mode64 = mode == 8};
	enum x86_dec_status st;

	if (!__atomic_load_n(&x86_optab_ready, __ATOMIC_ACQUIRE))
		x86_optab_init();
	memset(insn, 0, sizeof(*insn));
	insn->mode = mode;
	insn->seg_override = insn->base = insn->index = X86_NOREG;
	insn->seg = X86_DS;
	insn->scale = 1;
	st = dec_prefixes(&d);
	if (st == X86_DEC_OK)
		st = dec_opcode(&d);
	if (st != X86_DEC_OK)
		return st;
	insn->asize =
		insn->prefix & X86_PFX_ADSIZE ? (mode == 4 ? 2 : 4) : mode;
	if (!d.oc || !d.oc->base)
		return dec_undefined(&d);
	if (d.oc->modrm) {
		st = dec_modrm(&d);
		if (st != X86_DEC_OK)
			return st;
	}
	dec_find_row(&d);
	if (!d.def)
		return dec_undefined(&d);
	dec_sizes(&d);
	if (d.oc->modrm && insn->mod != 3 && !d.oc->modign) {
		st = dec_mem(&d);
		if (st != X86_DEC_OK)
			return st;
		if (d.ri->flags & X86_RI_VSIB && !insn->vsib)
			d.ud = true;
	}
	return dec_finish(&d);
}
