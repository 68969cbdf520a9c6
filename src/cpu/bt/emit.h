/*
 * emit.h - writing x86-64 host instructions, byte by byte.
 *
 * Nothing here checks for room: who emits has made sure that a whole block
 * fits (BT_BLOCK_ROOM).  Registers are the encoding's numbers 0..15.
 * Sources: Intel SDM vol. 2, chapter 2.
 */
#ifndef CPU_BT_EMIT_H
#define CPU_BT_EMIT_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum {
	H_RAX,
	H_RCX,
	H_RDX,
	H_RBX,
	H_RSP,
	H_RBP,
	H_RSI,
	H_RDI,
	H_R8,
	H_R9,
	H_R10,
	H_R11,
	H_R12,
	H_R13,
	H_R14,
	H_R15,
	H_NONE = 0xff,
};

/* Condition codes of Jcc, SETcc, CMOVcc. */
enum { CC_O, CC_NO, CC_B, CC_AE, CC_E, CC_NE, CC_BE, CC_A, CC_S };

/* A host memory operand. */
struct em_mem {
	uint8_t base, index, scale;
	int32_t disp;
	bool disp32; /* always four bytes (EVEX scales a byte) */
};

struct emit {
	uint8_t *p;
};

static inline void em_8(struct emit *e, unsigned v)
{
	*e->p++ = v;
}

static inline void em_16(struct emit *e, unsigned v)
{
	memcpy(e->p, &(uint16_t){v}, 2);
	e->p += 2;
}

static inline void em_32(struct emit *e, uint32_t v)
{
	memcpy(e->p, &v, 4);
	e->p += 4;
}

static inline void em_64(struct emit *e, uint64_t v)
{
	memcpy(e->p, &v, 8);
	e->p += 8;
}

static inline struct em_mem em_at(uint8_t base, int32_t disp)
{
	return (struct em_mem){base, H_NONE, 1, disp, false};
}

static inline struct em_mem em_sib(
	uint8_t base, uint8_t index, uint8_t scale, int32_t disp)
{
	return (struct em_mem){base, index, scale, disp, false};
}

static inline unsigned em_rex_mem(const struct em_mem *m)
{
	return (m->base != H_NONE && m->base >= 8) |
	       (m->index != H_NONE && m->index >= 8) << 1;
}

/* ModRM, SIB and displacement of a register field and a memory operand. */
void em_modrm_mem(struct emit *e, unsigned reg, const struct em_mem *m);

static inline void em_modrm_reg(struct emit *e, unsigned reg, unsigned rm)
{
	em_8(e, 0xc0 | (reg & 7) << 3 | (rm & 7));
}

/* opcode /r with general registers; opcode up to three bytes, first highest
 * (0x0faf).  size 4 or 8. */
void em_op_rr(struct emit *e, unsigned size, unsigned opcode, unsigned reg,
	unsigned rm);
void em_op_rm(struct emit *e, unsigned size, unsigned opcode, unsigned reg,
	struct em_mem m);

static inline void em_mov_rr(
	struct emit *e, unsigned size, unsigned d, unsigned s)
{
	em_op_rr(e, size, 0x8b, d, s);
}

static inline void em_load(
	struct emit *e, unsigned size, unsigned d, struct em_mem m)
{
	em_op_rm(e, size, 0x8b, d, m);
}

static inline void em_store(
	struct emit *e, unsigned size, struct em_mem m, unsigned s)
{
	em_op_rm(e, size, 0x89, s, m);
}

static inline void em_lea(
	struct emit *e, unsigned size, unsigned d, struct em_mem m)
{
	em_op_rm(e, size, 0x8d, d, m);
}

/* opcode 81 /n or 83 /n with an immediate: add or and sub xor cmp. */
enum { EM_ADD, EM_OR, EM_AND = 4, EM_SUB, EM_XOR, EM_CMP };
void em_alu_ri(
	struct emit *e, unsigned size, unsigned n, unsigned r, int32_t imm);
void em_alu_mi(struct emit *e, unsigned size, unsigned n, struct em_mem m,
	int32_t imm);
void em_mov_mi(struct emit *e, unsigned size, struct em_mem m, int32_t imm);
void em_mov_ri(struct emit *e, unsigned r, uint64_t imm);

/* d = s, 64 bits, rotated right by n. */
void em_ror(struct emit *e, bool bmi2, unsigned d, unsigned s, unsigned n);

/* Branches; return the address of the 32-bit displacement. */
static inline uint8_t *em_jcc(struct emit *e, unsigned cc, const uint8_t *to)
{
	em_16(e, 0x800f | cc << 8);
	em_32(e, (uint32_t)(to - (e->p + 4)));
	return e->p - 4;
}

static inline uint8_t *em_jmp(struct emit *e, const uint8_t *to)
{
	em_8(e, 0xe9);
	em_32(e, (uint32_t)(to - (e->p + 4)));
	return e->p - 4;
}

static inline uint8_t *em_call(struct emit *e, const uint8_t *to)
{
	em_8(e, 0xe8);
	em_32(e, (uint32_t)(to - (e->p + 4)));
	return e->p - 4;
}

static inline void em_jmp_mem(struct emit *e, struct em_mem m)
{
	em_op_rm(e, 4, 0xff, 4, m);
}

/* Point a displacement written by one of the above at a target.  Atomic for
 * who executes it if it does not cross a cache line. */
static inline void em_patch(uint8_t *disp, const uint8_t *to)
{
	int32_t v = (int32_t)(to - (disp + 4));

	__atomic_store_n((int32_t __attribute__((aligned(1))) *)disp, v,
		__ATOMIC_RELEASE);
}

/* Pad so that a displacement n bytes on does not cross a cache line. */
void em_align_disp(struct emit *e, unsigned n);
void em_nops(struct emit *e, unsigned n);

#endif
