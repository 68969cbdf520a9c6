/*
 * optab.h - how rows of optab.def are written; private to src/x86.
 *
 * A row's key says which bytes select it.  Every field of the key is a
 * restriction, 0 meaning "any"; x86_optab_init() spreads the rows over dense
 * tables, one per opcode, indexed by just those fields that some row of the
 * opcode restricts.  Operands are named by a specification from opspec.def.
 */
#ifndef X86_OPTAB_H
#define X86_OPTAB_H

#include "x86/cpuid.h"
#include "x86/decode.h"

/* ---- encoding keys ---- */

#define X86_KEY(enc, map, opcode)                                              \
	((uint64_t)(enc) << 11 | (uint64_t)(map) << 8 | (opcode))
#define X86_KEY_OPCODE(k) ((unsigned)(k)&0xff)
#define X86_KEY_MAP(k)	  ((unsigned)((k) >> 8) & 7)
#define X86_KEY_ENC(k)	  ((unsigned)((k) >> 11) & 3)
#define X86_KEY_PP(k)	  ((unsigned)((k) >> 13) & 15) /* mask of NP 66 F3 F2 */
#define X86_KEY_REG(k)	  ((unsigned)((k) >> 17) & 15) /* 1 + ModRM.reg */
#define X86_KEY_RM(k)	  ((unsigned)((k) >> 21) & 15) /* 1 + ModRM.rm */
#define X86_KEY_MOD(k)	  ((unsigned)((k) >> 25) & 3)  /* 1 memory, 2 reg. */
#define X86_KEY_W(k)	  ((unsigned)((k) >> 27) & 3)  /* mask of W0 W1 */
#define X86_KEY_L(k)	  ((unsigned)((k) >> 29) & 7)  /* mask of 128 256 512 */
#define X86_KEY_SPAN(k)	  ((unsigned)((k) >> 32) & 15) /* further opcodes */
#define X86_KEY_WIG32	  (1ull << 36) /* outside 64-bit mode W0 takes all */
#define X86_KEY_MODIGN	  (1ull << 37) /* ModRM.mod is taken for 3 */
#define X86_KEY_NOREXB	  (1ull << 38) /* only without REX.B */
#define X86_KEY_DISTINCT  (1ull << 39) /* #UD if vector operands coincide */

/* ---- EVEX properties (x86_opdef.evex) ---- */

#define X86_EV_BCST(e) ((e)&3)	       /* broadcast of 2 << (n - 1) bytes */
#define X86_EV_ER      (1u << 2)       /* embedded rounding */
#define X86_EV_SAE     (1u << 3)       /* suppress all exceptions */
#define X86_EV_K       (1u << 4)       /* opmask allowed */
#define X86_EV_Z       (1u << 5)       /* zeroing allowed */
#define X86_EV_KREQ    (1u << 6)       /* opmask other than k0 required */
#define X86_EV_DISP(e) ((e) >> 8 & 15) /* disp8 scale if not memory size */
#define X86_EV_BLEND   (1u << 12)      /* masked-off elements do not merge */
#define X86_EV_BIGN    (1u << 13)      /* register form: b is ignored */

/* ---- operand specifications ---- */

enum x86_place {
	X86_PL_NONE,
	/* registers: the decoder has an array of these */
	X86_PL_REG,   /* ModRM.reg */
	X86_PL_RM,    /* ModRM.rm, register or memory */
	X86_PL_RMREG, /* ModRM.rm, register only */
	X86_PL_VVVV,
	X86_PL_OPC, /* low three bits of the opcode */
	X86_PL_IS4, /* high four bits of an immediate byte */
	X86_PL_FIX, /* a fixed register or constant */
	X86_PL_NREGS,
	/* memory */
	X86_PL_MEM = X86_PL_NREGS, /* ModRM.rm, memory only */
	X86_PL_MOFFS,
	X86_PL_VSIB,
	X86_PL_STR,
	/* in the instruction */
	X86_PL_IMM,
	X86_PL_IMM2,
	X86_PL_REL,
	X86_PL_FAR,
};

/* Sizes: a number of bytes below X86_SZ_V, or a rule. */
enum x86_size {
	/* by operand size, mode and W */
	X86_SZ_V = 0x80, /* operand size: 2, 4, 8 */
	X86_SZ_Y,	 /* 8 with W in 64-bit mode, else 4 */
	X86_SZ_Z,	 /* operand size but at most 4 */
	X86_SZ_P,	 /* far pointer: operand size + 2 */
	X86_SZ_A,	 /* BOUND: twice the operand size */
	X86_SZ_S,	 /* pseudo-descriptor: 6, 10 */
	X86_SZ_ENV,	 /* FLDENV: 14, 28 */
	X86_SZ_SAVE,	 /* FSAVE: 94, 108 */
	X86_SZ_M,	 /* mode: 8 in 64-bit mode, else 4 */
	X86_SZ_SX8,	 /* an immediate byte, sign-extended */
	X86_SZ_NTABLE,
	/* by vector length: whole, half, quarter, eighth */
	X86_SZ_X = X86_SZ_NTABLE,
	X86_SZ_X2,
	X86_SZ_X4,
	X86_SZ_X8,
	X86_SZ_DUP, /* MOVDDUP: 8, 32, 64 */
	X86_SZ_AS,  /* address size */
};

struct x86_opspec {
	uint8_t place, kind, rsize, msize, reg;
};

enum x86_spec {
	X86_SP_NONE,
#define X86_OPSPEC(name, place, kind, rsize, msize, reg) X86_SP_##name,
#include "x86/opspec.def"
#undef X86_OPSPEC
	X86_NSPECS,
};

extern const struct x86_opspec x86_opspecs[X86_NSPECS];

/* What x86_optab_init() works out about a row. */
#define X86_RI_VVVV  0x01 /* an operand is in vvvv */
#define X86_RI_VSIB  0x02
#define X86_RI_MOFFS 0x04
#define X86_RI_IS4   0x08
#define X86_RI_VL    0x10 /* an operand has the vector length */
#define X86_RI_LIG   0x20 /* neither key nor operands have a length */

struct x86_rowinfo {
	uint8_t nopnds, flags;
	uint8_t imm, imm2; /* rules of the immediates' encoded sizes, 0 none */
	struct x86_opspec spec[X86_MAX_OPNDS];
	uint8_t access[X86_MAX_OPNDS];
};

/* One opcode: where its rows are and what distinguishes them. */
#define X86_DIM_PP   0x01
#define X86_DIM_MODE 0x02
#define X86_DIM_REG  0x04
#define X86_DIM_MOD  0x08
#define X86_DIM_RM   0x10
#define X86_DIM_W    0x20
#define X86_DIM_L    0x40
#define X86_DIM_REXB 0x80

struct x86_opcode {
	uint16_t base; /* in x86_slots; 0 = no row at all */
	uint8_t dims;
	uint8_t modrm : 1, modign : 1;
	uint8_t imm, imm2; /* of its first row, for undefined forms */
};

enum { X86_NTABLES = 12 };

/* Which table: legacy maps 0..3, VEX 1..3, EVEX 1 2 3 5 6; -1 if none. */
int x86_optab_table(unsigned enc, unsigned map);

extern struct x86_opcode x86_opcodes[X86_NTABLES][256];
extern uint16_t x86_slots[]; /* 0 = #UD, else row + 1 */
extern const struct x86_opdef x86_optab[];
extern const unsigned x86_noptab;
extern struct x86_rowinfo x86_rowinfos[];

/* Fill the above.  Thread-safe; x86_decode() calls it by itself. */
void x86_optab_init(void);
extern bool x86_optab_ready;

#endif
