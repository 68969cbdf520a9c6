/*
 * optab.c - the instruction table, and the dense indices that the decoder
 * looks rows up by.
 */
#include <pthread.h>

#include "x86/optab.h"

/* Names live in one struct so that rows can point at them at compile time. */
static const struct {
#define X86_OPNAME(name, text) char name[sizeof(text)];
#include "x86/opnames.def"
#undef X86_OPNAME
} op_text = {
#define X86_OPNAME(name, text) .name = text,
#include "x86/opnames.def"
#undef X86_OPNAME
};

static const char *const op_names[X86_NOPS] = {
#define X86_OPNAME(name, text) [X86_OP_##name] = op_text.name,
#include "x86/opnames.def"
#undef X86_OPNAME
};

const char *x86_op_name(unsigned op)
{
	return op < X86_NOPS ? op_names[op] : "(bad)";
}

const struct x86_opspec x86_opspecs[X86_NSPECS] = {
#define X86_OPSPEC(name, place, kind, rsize, msize, reg)                       \
	[X86_SP_##name] = {X86_PL_##place, X86_OK_##kind, rsize, msize, reg},
#include "x86/opspec.def"
#undef X86_OPSPEC
};

/* ---- the words that optab.def is written in ---- */

#define L0(o)	X86_KEY(X86_ENC_LEGACY, 0, o)
#define L1(o)	X86_KEY(X86_ENC_LEGACY, 1, o)
#define L2(o)	X86_KEY(X86_ENC_LEGACY, 2, o)
#define L3(o)	X86_KEY(X86_ENC_LEGACY, 3, o)
#define V1(o)	X86_KEY(X86_ENC_VEX, 1, o)
#define V2(o)	X86_KEY(X86_ENC_VEX, 2, o)
#define V3(o)	X86_KEY(X86_ENC_VEX, 3, o)
#define E1(o)	X86_KEY(X86_ENC_EVEX, 1, o)
#define E2(o)	X86_KEY(X86_ENC_EVEX, 2, o)
#define E3(o)	X86_KEY(X86_ENC_EVEX, 3, o)
#define E5(o)	X86_KEY(X86_ENC_EVEX, 5, o)
#define E6(o)	X86_KEY(X86_ENC_EVEX, 6, o)
#define pNP	(1ull << 13)
#define p66	(2ull << 13)
#define pF3	(4ull << 13)
#define pF2	(8ull << 13)
#define m0	(1ull << 17)
#define m1	(2ull << 17)
#define m2	(3ull << 17)
#define m3	(4ull << 17)
#define m4	(5ull << 17)
#define m5	(6ull << 17)
#define m6	(7ull << 17)
#define m7	(8ull << 17)
#define r0	(1ull << 21)
#define r1	(2ull << 21)
#define r2	(3ull << 21)
#define r3	(4ull << 21)
#define r4	(5ull << 21)
#define r5	(6ull << 21)
#define r6	(7ull << 21)
#define r7	(8ull << 21)
#define kMEM	(1ull << 25)
#define kREG	(2ull << 25)
#define w0	(1ull << 27)
#define w1	(2ull << 27)
#define l0	(1ull << 29)
#define l1	(2ull << 29)
#define l2	(4ull << 29)
#define s2	(1ull << 32)
#define s8	(7ull << 32)
#define kW32	X86_KEY_WIG32
#define kMODIGN X86_KEY_MODIGN
#define kNOREXB X86_KEY_NOREXB
#define kDIST	X86_KEY_DISTINCT

/* clang-format off */
enum {
	fC = X86_FL_CF, fP = X86_FL_PF, fA = X86_FL_AF, fZ = X86_FL_ZF,
	fS = X86_FL_SF, fO = X86_FL_OF, fD = X86_FL_DF, fIF = X86_FL_IF,
	fAC = X86_FL_AC, fVM = X86_FL_VM, fALL = X86_FL_ARITH,
	fIOPL = X86_FL_IOPL | X86_FL_VM,
	/* PUSHF reads, IRET and RSM write everything that there is */
	fEFL = fALL | X86_FL_TF | fIF | fD | X86_FL_IOPL | X86_FL_NT |
		X86_FL_AC | X86_FL_VIF | X86_FL_VIP | X86_FL_ID,
	fPOPF = fEFL | X86_FL_RF,
	/* far transfers may switch tasks and so write all flags, but only
	 * then: none of the arithmetic flags is sure to be written */
	fFAR = X86_FL_NT | X86_FL_VM | X86_FL_IOPL | X86_FL_IF,
	fFARW = X86_FL_NT | X86_FL_TF | X86_FL_RF,
	fINTW = X86_FL_NT | X86_FL_TF | X86_FL_RF | fIF | fVM | fAC,
	fIRETW = fEFL | X86_FL_RF | fVM,
	fSYSW = fEFL | X86_FL_RF,
	fRSMW = fEFL | X86_FL_RF | fVM,

	aLK = X86_AT_LOCKABLE, aPRIV = X86_AT_PRIV, aIOPL = X86_AT_IOPL,
	aBR = X86_AT_BRANCH, aCOND = X86_AT_COND, aCALL = X86_AT_CALL,
	aRET = X86_AT_RET, aSYS = X86_AT_SYSTEM, aSTR = X86_AT_STRING,
	aX87 = X86_AT_X87, aMMX = X86_AT_MMX, aSSE = X86_AT_SSE,
	aAVX = X86_AT_AVX, aZ = X86_AT_AVX512, aNO64 = X86_AT_NO64,
	aONLY64 = X86_AT_ONLY64, aDEF64 = X86_AT_DEF64, aF64 = X86_AT_F64,
	aPROT = X86_AT_PROT, aSTK = X86_AT_STACK, aAL = X86_AT_ALIGN,
	aNF = X86_AT_NOFAULT, aIMP = X86_AT_IMPGPR, aUMIP = X86_AT_UMIP,
	aMAYF = X86_AT_MAYFLAGS, aHINT = X86_AT_HINT,

	eB2 = 1, eB4 = 2, eB8 = 3, /* broadcast */
	eER = X86_EV_ER, eSAE = X86_EV_SAE, eK = X86_EV_K,
	eKZ = X86_EV_K | X86_EV_Z, eREQ = X86_EV_K | X86_EV_KREQ,
	eD1 = 1 << 8, eD2 = 2 << 8, eD4 = 4 << 8, eD8 = 8 << 8,
	eBL = eKZ | X86_EV_BLEND, eBI = X86_EV_BIGN,
};
/* clang-format on */

#define F(r, w, u) .flags_read = r, .flags_written = w, .flags_undef = u
#define A(s)	   X86_SP_##s
#define R(s)	   (X86_SP_##s | X86_OA_R << 8)
#define W(s)	   (X86_SP_##s | X86_OA_W << 8)
#define RW(s)	   (X86_SP_##s | (X86_OA_R | X86_OA_W) << 8)
#define ROW(o, k, feat, at, fl, ...)                                           \
	{.name = op_text.o,                                                    \
		.op = X86_OP_##o,                                              \
		.feature = X86_FEAT_##feat,                                    \
		.attr = at,                                                    \
		.key = k,                                                      \
		fl,                                                            \
		.opnd = {__VA_ARGS__}},
#define ROWE(o, k, ev, feat, at, ...)                                          \
	{.name = op_text.o,                                                    \
		.op = X86_OP_##o,                                              \
		.feature = X86_FEAT_##feat,                                    \
		.attr = (at) | aZ | aPROT,                                     \
		.key = k,                                                      \
		.evex = ev,                                                    \
		.opnd = {__VA_ARGS__}},

#define ROWEF(o, k, ev, feat, ...)                                             \
	{.name = op_text.o,                                                    \
		.op = X86_OP_##o,                                              \
		.feature = X86_FEAT_##feat,                                    \
		.attr = aZ | aPROT,                                            \
		.key = k,                                                      \
		.evex = ev,                                                    \
		.flags_written = fALL,                                         \
		.opnd = {__VA_ARGS__}},

const struct x86_opdef x86_optab[] = {
#include "x86/optab.def"
};
#define NROWS (sizeof(x86_optab) / sizeof(x86_optab[0]))
const unsigned x86_noptab = NROWS;

/* ---- the indices ---- */

#define NSLOTS 16384
uint16_t x86_slots[NSLOTS];
static uint8_t slot_rank[NSLOTS]; /* how much the row in the slot restricts */
static unsigned slots_used;
struct x86_opcode x86_opcodes[X86_NTABLES][256];
struct x86_rowinfo x86_rowinfos[NROWS];
bool x86_optab_ready;

int x86_optab_table(unsigned enc, unsigned map)
{
	static const int8_t evex[8] = {-1, 7, 8, 9, -1, 10, 11, -1};

	if (enc == X86_ENC_LEGACY)
		return map < 4 ? (int)map : -1;
	if (enc == X86_ENC_VEX)
		return map >= 1 && map <= 3 ? (int)map + 3 : -1;
	return evex[map & 7];
}

static bool place_needs_modrm(unsigned place)
{
	switch (place) {
	case X86_PL_REG:
	case X86_PL_RM:
	case X86_PL_RMREG:
	case X86_PL_MEM:
	case X86_PL_VSIB: return true;
	}
	return false;
}

/* 1 memory only, 2 register only, 0 both: from the key and the operands. */
static unsigned row_mod(const struct x86_opdef *d)
{
	unsigned mod = X86_KEY_MOD(d->key), i;

	for (i = 0; i < X86_MAX_OPNDS; i++) {
		switch (x86_opspecs[d->opnd[i] & 0xff].place) {
		case X86_PL_MEM:
		case X86_PL_VSIB: mod = 1; break;
		case X86_PL_RMREG: mod = 2; break;
		}
	}
	return d->key & X86_KEY_MODIGN ? 0 : mod;
}

static bool size_is_vl(unsigned rule)
{
	return rule >= X86_SZ_X && rule <= X86_SZ_DUP;
}

static void row_info(const struct x86_opdef *d, struct x86_rowinfo *ri)
{
	unsigned i;

	for (i = 0; i < X86_MAX_OPNDS && (d->opnd[i] & 0xff); i++) {
		const struct x86_opspec *s = &x86_opspecs[d->opnd[i] & 0xff];

		ri->spec[i] = *s;
		ri->access[i] = d->opnd[i] >> 8;
		if (size_is_vl(s->rsize) || size_is_vl(s->msize))
			ri->flags |= X86_RI_VL;
		switch (s->place) {
		case X86_PL_VVVV: ri->flags |= X86_RI_VVVV; break;
		case X86_PL_VSIB: ri->flags |= X86_RI_VSIB; break;
		case X86_PL_MOFFS: ri->flags |= X86_RI_MOFFS; break;
		case X86_PL_IS4:
			ri->flags |= X86_RI_IS4;
			ri->imm = 1;
			break;
		case X86_PL_IMM:
		case X86_PL_REL: ri->imm = s->msize; break;
		case X86_PL_FAR:
			ri->imm = s->msize;
			ri->imm2 = 2;
			break;
		case X86_PL_IMM2: ri->imm2 = s->msize; break;
		}
	}
	ri->nopnds = i;
	if (!(ri->flags & X86_RI_VL) && !X86_KEY_L(d->key))
		ri->flags |= X86_RI_LIG;
}

/* What of an opcode's dimensions does the row restrict? */
static unsigned row_dims(const struct x86_opdef *d)
{
	uint64_t k = d->key;
	unsigned dims = 0;

	dims |= X86_KEY_PP(k) ? X86_DIM_PP : 0;
	dims |= d->attr & (X86_AT_NO64 | X86_AT_ONLY64) ? X86_DIM_MODE : 0;
	dims |= k & X86_KEY_WIG32 ? X86_DIM_MODE : 0;
	dims |= X86_KEY_REG(k) ? X86_DIM_REG : 0;
	dims |= row_mod(d) ? X86_DIM_MOD : 0;
	dims |= X86_KEY_RM(k) ? X86_DIM_RM : 0;
	dims |= X86_KEY_W(k) ? X86_DIM_W : 0;
	dims |= X86_KEY_L(k) ? X86_DIM_L : 0;
	dims |= k & X86_KEY_NOREXB ? X86_DIM_REXB : 0;
	return dims;
}

/* The order and widths here and in slot_index() of decode.c are the same. */
static const struct {
	uint8_t dim, bits;
} dim_order[] = {
	{X86_DIM_PP, 2},
	{X86_DIM_MODE, 1},
	{X86_DIM_REG, 3},
	{X86_DIM_MOD, 1},
	{X86_DIM_RM, 3},
	{X86_DIM_W, 1},
	{X86_DIM_L, 2},
	{X86_DIM_REXB, 1},
};

static bool row_takes(const struct x86_opdef *d, unsigned dim, unsigned v)
{
	uint64_t k = d->key;
	unsigned mod = row_mod(d);

	switch (dim) {
	case X86_DIM_PP: return !X86_KEY_PP(k) || X86_KEY_PP(k) >> v & 1;
	case X86_DIM_MODE:
		return !(d->attr & (v ? X86_AT_NO64 : X86_AT_ONLY64));
	case X86_DIM_REG: return !X86_KEY_REG(k) || X86_KEY_REG(k) == v + 1;
	case X86_DIM_MOD: return !mod || mod == v + 1;
	case X86_DIM_RM: return !X86_KEY_RM(k) || X86_KEY_RM(k) == v + 1;
	case X86_DIM_W: return !X86_KEY_W(k) || X86_KEY_W(k) >> v & 1;
	case X86_DIM_L: return !X86_KEY_L(k) || X86_KEY_L(k) >> v & 1;
	case X86_DIM_REXB: return !(k & X86_KEY_NOREXB) || v == 0;
	}
	return false;
}

/* Does the row cover the slot number idx of an opcode with these dims? */
static bool row_covers(const struct x86_opdef *d, unsigned dims, unsigned idx)
{
	unsigned v[256] = {0};
	int i;

	for (i = sizeof(dim_order) / sizeof(dim_order[0]) - 1; i >= 0; i--) {
		unsigned dim = dim_order[i].dim;

		if (!(dims & dim))
			continue;
		v[dim] = idx & ((1u << dim_order[i].bits) - 1);
		idx >>= dim_order[i].bits;
	}
	if (d->key & X86_KEY_WIG32 && !v[X86_DIM_MODE])
		v[X86_DIM_W] = 0;
	for (i = sizeof(dim_order) / sizeof(dim_order[0]) - 1; i >= 0; i--)
		if (dims & dim_order[i].dim &&
			!row_takes(d, dim_order[i].dim, v[dim_order[i].dim]))
			return false;
	return true;
}

static unsigned dims_size(unsigned dims)
{
	unsigned i, n = 1;

	for (i = 0; i < sizeof(dim_order) / sizeof(dim_order[0]); i++)
		if (dims & dim_order[i].dim)
			n <<= dim_order[i].bits;
	return n;
}

static struct x86_opcode *row_opcode(const struct x86_opdef *d, unsigned n)
{
	int t = x86_optab_table(X86_KEY_ENC(d->key), X86_KEY_MAP(d->key));

	return &x86_opcodes[t][X86_KEY_OPCODE(d->key) + n];
}

/* First pass: what distinguishes the rows of each opcode. */
static void gather_opcodes(void)
{
	unsigned i, j, n;

	for (i = 0; i < NROWS; i++) {
		const struct x86_opdef *d = &x86_optab[i];

		row_info(d, &x86_rowinfos[i]);
		for (n = 0; n <= X86_KEY_SPAN(d->key); n++) {
			struct x86_opcode *o = row_opcode(d, n);

			if (!o->base) {
				o->imm = x86_rowinfos[i].imm;
				o->imm2 = x86_rowinfos[i].imm2;
			}
			o->dims |= row_dims(d);
			o->base = 1;
			o->modign |= !!(d->key & X86_KEY_MODIGN);
			o->modrm |= X86_KEY_REG(d->key) || row_mod(d) ||
				    X86_KEY_RM(d->key);
			for (j = 0; j < X86_MAX_OPNDS; j++)
				o->modrm |= place_needs_modrm(
					x86_rowinfos[i].spec[j].place);
		}
	}
}

/* Second pass: room, then rows into slots; the one restricting more wins. */
static void fill_slots(void)
{
	unsigned i, n, s, size;

	slots_used = 1;
	for (i = 0; i < X86_NTABLES * 256; i++) {
		struct x86_opcode *o = &x86_opcodes[i / 256][i % 256];

		if (!o->base)
			continue;
		o->base = slots_used;
		slots_used += dims_size(o->dims);
	}
	if (slots_used > NSLOTS)
		__builtin_trap();
	for (i = 0; i < NROWS; i++) {
		const struct x86_opdef *d = &x86_optab[i];
		unsigned rank = 1 + __builtin_popcount(row_dims(d));

		for (n = 0; n <= X86_KEY_SPAN(d->key); n++) {
			struct x86_opcode *o = row_opcode(d, n);

			size = dims_size(o->dims);
			for (s = 0; s < size; s++) {
				if (!row_covers(d, o->dims, s) ||
					slot_rank[o->base + s] >= rank)
					continue;
				x86_slots[o->base + s] = i + 1;
				slot_rank[o->base + s] = rank;
			}
		}
	}
}

static void optab_build(void)
{
	gather_opcodes();
	fill_slots();
	__atomic_store_n(&x86_optab_ready, true, __ATOMIC_RELEASE);
}

void x86_optab_init(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, optab_build);
}
