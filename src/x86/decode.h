/*
 * decode.h - from bytes to one decoded x86 instruction.
 *
 * The decoder is driven by one table (optab.def) that also gives the
 * interpreter, the translator, the disassembler and the tests their
 * knowledge of operands, flags and attributes.  It is complete over what it
 * claims: an encoding is either decoded, or refused with X86_DEC_UD; features
 * that a CPU model hides are checked by x86_insn_allowed(), not here.
 *
 * Sources: Intel SDM vol. 2 (ch. 2, app. A); AMD APM vol. 3.
 */
#ifndef X86_DECODE_H
#define X86_DECODE_H

#include <stdbool.h>
#include <stdint.h>

#include "x86/state.h"

/* Operations; x86/optab.def lists them, one enumerator X86_OP_name each. */
enum x86_op {
#define X86_OPNAME(name, text) X86_OP_##name,
#include "x86/opnames.def"
#undef X86_OPNAME
	X86_NOPS,
};

enum x86_enc { X86_ENC_LEGACY, X86_ENC_VEX, X86_ENC_EVEX };

enum x86_opnd_kind {
	X86_OK_NONE,
	X86_OK_GPR,  /* reg; size 1, 2, 4, 8.  Byte registers: see high8 */
	X86_OK_MEM,  /* the instruction's memory operand (base/index/disp) */
	X86_OK_IMM,  /* imm, sign- or zero-extended as the row says */
	X86_OK_IMM2, /* imm2 */
	X86_OK_REL,  /* imm: displacement from the next instruction */
	X86_OK_FAR,  /* imm: offset, imm2: selector */
	X86_OK_SREG,
	X86_OK_CR,
	X86_OK_DR,
	X86_OK_ST, /* x87 ST(reg) */
	X86_OK_MMX,
	X86_OK_VEC, /* reg 0..31; size 16, 32, 64 (scalars: bytes used) */
	X86_OK_KREG,
	X86_OK_CONST,  /* implied constant, in reg (1 for shift by one) */
	X86_OK_STRSRC, /* seg:[rSI], segment overridable */
	X86_OK_STRDST, /* ES:[rDI] */
};

#define X86_OA_R 1 /* operand is read */
#define X86_OA_W 2 /* operand is written */

/*
 * Operands are those of the Intel syntax, in its order (destination first).
 * Registers that the syntax does not name (rAX and rDX of MUL, CMPXCHG, the
 * stack pointer, ECX of a shift written as CL is named) follow from the
 * operation.  A memory size of 0 means that only the address is formed, or
 * that the operation itself knows the size (FXSAVE, XSAVE areas).  A merging
 * EVEX destination is also read.
 */
struct x86_opnd {
	uint8_t kind; /* enum x86_opnd_kind */
	uint8_t size; /* bytes; memory: bytes touched (0: address only) */
	uint8_t reg;
	uint8_t access : 2; /* X86_OA_R | X86_OA_W */
	uint8_t high8 : 1;  /* GPR: AH CH DH BH are reg 0..3 with high8 */
};

#define X86_MAX_OPNDS 4

/* struct x86_insn.prefix */
#define X86_PFX_LOCK   0x01
#define X86_PFX_REP    0x02 /* F3 */
#define X86_PFX_REPNE  0x04 /* F2 */
#define X86_PFX_OPSIZE 0x08 /* 66 */
#define X86_PFX_ADSIZE 0x10 /* 67 */

/* struct x86_insn.rex and vex bits, also filled for VEX and EVEX */
#define X86_REX_B	0x01
#define X86_REX_X	0x02
#define X86_REX_R	0x04
#define X86_REX_W	0x08
#define X86_REX_PRESENT 0x40

struct x86_insn {
	const struct x86_opdef *def;
	uint64_t imm;
	uint32_t imm2;
	int32_t disp;	/* a direct offset of disp_size 8 is in imm */
	uint16_t op;	/* enum x86_op */
	uint8_t len;	/* 1..15 */
	uint8_t mode;	/* code size in bytes: 2, 4, 8 */
	uint8_t enc;	/* enum x86_enc */
	uint8_t map;	/* 0 one-byte, 1 0F, 2 0F38, 3 0F3A, 5, 6 EVEX */
	uint8_t opcode; /* last opcode byte */
	uint8_t prefix; /* X86_PFX_*; mandatory prefixes included */
	uint8_t rex;
	uint8_t osize;	      /* effective operand size in bytes: 2, 4, 8 */
	uint8_t asize;	      /* effective address size in bytes: 2, 4, 8 */
	uint8_t seg;	      /* enum x86_sreg used by the memory operand */
	uint8_t seg_override; /* enum x86_sreg or X86_NOREG */
	uint8_t modrm;	      /* valid if modrm_off */
	uint8_t mod, reg, rm; /* reg and rm with REX/EVEX extension */
	uint8_t base, index; /* enum x86_gpr, X86_RIP or X86_NOREG; VSIB: VEC */
	uint8_t scale;	     /* 1, 2, 4, 8 */
	uint8_t vvvv;	     /* VEX/EVEX second register, 0..31 */
	uint8_t vl;	     /* vector length in bytes: 16, 32, 64 */
	uint8_t aaa;	     /* EVEX opmask register */
	uint8_t evex_z : 1, evex_b : 1, has_mem : 1, vsib : 1, rep_string : 1;
	uint8_t evex_ll : 2; /* EVEX.L'L as encoded: rounding if evex_b */
	/* Offsets of the parts from the first byte; 0 = absent. */
	uint8_t opcode_off, modrm_off, disp_off, imm_off;
	uint8_t disp_size, imm_size; /* bytes */
	uint8_t nopnds;
	struct x86_opnd opnd[X86_MAX_OPNDS];
};

/* struct x86_opdef.attr */
#define X86_AT_LOCKABLE (1u << 0) /* LOCK allowed with a memory destination */
#define X86_AT_PRIV	(1u << 1) /* CPL 0 only */
#define X86_AT_IOPL	(1u << 2) /* IOPL-sensitive (CLI STI IN OUT ...) */
#define X86_AT_BRANCH	(1u << 3) /* may change RIP */
#define X86_AT_COND	(1u << 4) /* conditional branch */
#define X86_AT_CALL	(1u << 5)
#define X86_AT_RET	(1u << 6)
#define X86_AT_SYSTEM                                                          \
	(1u << 7) /* changes mode, paging, descriptor state:                   \
		     a translator ends its block after it */
#define X86_AT_STRING (1u << 8)
#define X86_AT_X87    (1u << 9)
#define X86_AT_MMX    (1u << 10)
#define X86_AT_SSE    (1u << 11) /* legacy SSE encoding on XMM state */
#define X86_AT_AVX    (1u << 12) /* VEX vector */
#define X86_AT_AVX512 (1u << 13) /* EVEX or opmask */
#define X86_AT_VECTOR (X86_AT_MMX | X86_AT_SSE | X86_AT_AVX | X86_AT_AVX512)
#define X86_AT_NO64   (1u << 14) /* #UD in 64-bit mode */
#define X86_AT_ONLY64 (1u << 15) /* #UD outside 64-bit mode */
#define X86_AT_DEF64                                                           \
	(1u << 16)		  /* operand size 64 by default in 64-bit mode \
				   */
#define X86_AT_F64     (1u << 17) /* operand size forced to 64 there */
#define X86_AT_PROT    (1u << 18) /* #UD in real and V86 mode */
#define X86_AT_STACK   (1u << 19) /* uses the stack implicitly */
#define X86_AT_ALIGN   (1u << 20) /* memory operand must be vl-aligned (#GP) */
#define X86_AT_NOFAULT (1u << 21) /* cannot fault but by a memory operand */
#define X86_AT_IMPGPR                                                          \
	(1u << 22)	       /* vector or x87 op that reads or writes        \
				  GPRs other than through its operands */
#define X86_AT_UMIP (1u << 23) /* #GP at CPL > 0 with CR4.UMIP */
#define X86_AT_MAYFLAGS                                                        \
	(1u << 24) /* flags_written and flags_undef may stay                   \
		      as they were (a shift by a count of zero,                \
		      REP CMPS with rCX = 0): a liveness analysis              \
		      must not take them for killed */
#define X86_AT_HINT                                                            \
	(1u << 25) /* without its feature it does nothing, or                  \
		      what the older encoding does, not #UD */

/* One row of the table. */
struct x86_opdef {
	const char *name; /* lower-case mnemonic */
	uint16_t op;
	uint16_t feature;	/* enum x86_feature in x86/cpuid.h, 0 = base */
	uint32_t attr;		/* X86_AT_* */
	uint32_t flags_read;	/* X86_FL_* the instruction depends on */
	uint32_t flags_written; /* defined after it */
	uint32_t flags_undef;	/* undefined after it (SDM); counted as written
				   by a liveness analysis, masked by tests */
	/* operand columns and encoding keys: private to decode.c/optab.c */
	uint64_t key;
	uint32_t evex;
	uint16_t opnd[X86_MAX_OPNDS];
};

enum x86_dec_status {
	X86_DEC_OK,
	X86_DEC_MORE, /* ran out of bytes before the end of the instruction */
	X86_DEC_LONG, /* more than 15 bytes: #GP */
	X86_DEC_UD,
};

/*
 * Decode one instruction from at most n bytes at p.  mode is the code size in
 * bytes (2, 4, 8).  On X86_DEC_UD insn->len is not meaningful.  Reads no byte
 * past n or past the 15th; thread-safe; no allocation.  X86_DEC_MORE is told
 * from UD as the hardware does: all bytes that the decoding needs must be
 * there before #UD is decided wherever the SDM lets one see the difference.
 */
enum x86_dec_status x86_decode(
	struct x86_insn *insn, const uint8_t *p, unsigned n, unsigned mode);

/* Intel syntax text, e.g. "add rax, qword ptr [rbx+rcx*4+0x10]".  rip is the
 * instruction's own address, for branch targets.  Always terminated. */
void x86_disasm(
	const struct x86_insn *insn, uint64_t rip, char *buf, unsigned size);

/* Name of an operation, for counters and traces. */
const char *x86_op_name(unsigned op);

#endif
