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

/*
 * What is written may be anything, p itself too as far as the compiler knows.
 * So each function here writes through a copy of p, and several bytes at a
 * time; most arguments are constants where it is inlined.
 */
static inline void em_8(struct emit *e, unsigned v)
{
	uint8_t *p = e->p;

	*p = v;
	e->p = p + 1;
}

static inline void em_16(struct emit *e, unsigned v)
{
	uint8_t *p = e->p;

	memcpy(p, &(uint16_t){v}, 2);
	e->p = p + 2;
}

static inline void em_32(struct emit *e, uint32_t v)
{
	uint8_t *p = e->p;

	memcpy(p, &v, 4);
	e->p = p + 4;
}

static inline void em_64(struct emit *e, uint64_t v)
{
	uint8_t *p = e->p;

	memcpy(p, &v, 8);
	e->p = p + 8;
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

/* ModRM, SIB and displacement of a register field and a memory operand; up to
 * three bytes behind them are written, too. */
static inline uint8_t *em_put_mem(
	uint8_t *p, unsigned reg, const struct em_mem *m)
{
	bool sib = m->index != H_NONE || (m->base & 7) == H_RSP;
	unsigned modrm = (reg & 7) << 3 | (sib ? 4 : m->base & 7), bytes;
	unsigned index = m->index == H_NONE ? 4 : m->index & 7;

	if (m->base == H_NONE) { /* SIB with a 32-bit displacement */
		modrm = (reg & 7) << 3 | 4;
		sib = true;
		bytes = 4;
	} else if (m->disp32 || m->disp != (int8_t)m->disp) {
		modrm |= 0x80;
		bytes = 4;
	} else if (m->disp || (m->base & 7) == H_RBP) {
		modrm |= 0x40;
		bytes = 1;
	} else {
		bytes = 0;
	}
	*p++ = modrm;
	if (sib)
		*p++ = __builtin_ctz(m->scale) << 6 | index << 3 |
		       (m->base == H_NONE ? 5 : m->base & 7);
	memcpy(p, &m->disp, 4);
	return p + bytes;
}

static inline void em_modrm_mem(
	struct emit *e, unsigned reg, const struct em_mem *m)
{
	e->p = em_put_mem(e->p, reg, m);
}

static inline void em_modrm_reg(struct emit *e, unsigned reg, unsigned rm)
{
	em_8(e, 0xc0 | (reg & 7) << 3 | (rm & 7));
}

static inline uint8_t *em_put_opcode(uint8_t *p, unsigned rex, unsigned opcode)
{
	if (rex)
		*p++ = 0x40 | rex;
	if (opcode > 0xffff)
		*p++ = opcode >> 16;
	if (opcode > 0xff)
		*p++ = opcode >> 8;
	*p++ = opcode;
	return p;
}

/* opcode /r with general registers; opcode up to three bytes, first highest
 * (0x0faf).  size 4 or 8. */
static inline void em_op_rr(struct emit *e, unsigned size, unsigned opcode,
	unsigned reg, unsigned rm)
{
	unsigned rex = (size == 8) << 3 | (reg >= 8) << 2 | (rm >= 8);
	uint8_t *p = em_put_opcode(e->p, rex, opcode);

	*p = 0xc0 | (reg & 7) << 3 | (rm & 7);
	e->p = p + 1;
}

static inline void em_op_rm(struct emit *e, unsigned size, unsigned opcode,
	unsigned reg, struct em_mem m)
{
	unsigned rex = (size == 8) << 3 | (reg >= 8) << 2 | em_rex_mem(&m);

	e->p = em_put_mem(em_put_opcode(e->p, rex, opcode), reg, &m);
}

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
static inline void em_alu_ri(
	struct emit *e, unsigned size, unsigned n, unsigned r, int32_t imm)
{
	bool small = imm == (int8_t)imm;

	em_op_rr(e, size, small ? 0x83 : 0x81, n, r);
	if (small)
		em_8(e, imm);
	else
		em_32(e, imm);
}

static inline void em_alu_mi(
	struct emit *e, unsigned size, unsigned n, struct em_mem m, int32_t imm)
{
	bool small = imm == (int8_t)imm;

	em_op_rm(e, size, small ? 0x83 : 0x81, n, m);
	if (small)
		em_8(e, imm);
	else
		em_32(e, imm);
}

static inline void em_mov_mi(
	struct emit *e, unsigned size, struct em_mem m, int32_t imm)
{
	em_op_rm(e, size, 0xc7, 0, m);
	em_32(e, imm);
}

void em_mov_ri(struct emit *e, unsigned r, uint64_t imm);

/* d = s, 64 bits, rotated right by n. */
static inline void em_ror(
	struct emit *e, bool bmi2, unsigned d, unsigned s, unsigned n)
{
	if (bmi2) { /* rorx */
		em_8(e, 0xc4);
		em_8(e, (d & 8 ? 0 : 0x80) | 0x40 | (s & 8 ? 0 : 0x20) | 3);
		em_16(e, 0xf0fb);
		em_modrm_reg(e, d, s);
	} else {
		em_mov_rr(e, 8, d, s);
		em_op_rr(e, 8, 0xc1, 1, d);
	}
	em_8(e, n);
}

/* Branches; return the address of the 32-bit displacement. */
static inline uint8_t *em_branch(
	struct emit *e, uint8_t *disp, const uint8_t *to)
{
	memcpy(disp, &(int32_t){(int32_t)(to - (disp + 4))}, 4);
	e->p = disp + 4;
	return disp;
}

static inline uint8_t *em_jcc(struct emit *e, unsigned cc, const uint8_t *to)
{
	uint8_t *p = e->p;

	memcpy(p, &(uint16_t){0x800f | cc << 8}, 2);
	return em_branch(e, p + 2, to);
}

static inline uint8_t *em_jmp(struct emit *e, const uint8_t *to)
{
	uint8_t *p = e->p;

	*p = 0xe9;
	return em_branch(e, p + 1, to);
}

static inline uint8_t *em_call(struct emit *e, const uint8_t *to)
{
	uint8_t *p = e->p;

	*p = 0xe8;
	return em_branch(e, p + 1, to);
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
