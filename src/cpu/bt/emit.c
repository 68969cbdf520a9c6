/*
 * emit.c - the encodings that need more than a line; see emit.h.
 */
#include "cpu/bt/emit.h"

void em_modrm_mem(struct emit *e, unsigned reg, const struct em_mem *m)
{
	unsigned r = (reg & 7) << 3, mod;

	if (m->base == H_NONE) {
		/* no base: SIB with a 32-bit displacement */
		em_8(e, r | 4);
		em_8(e, (m->index == H_NONE ? 4 << 3 : (m->index & 7) << 3) |
				__builtin_ctz(m->scale) << 6 | 5);
		em_32(e, m->disp);
		return;
	}
	if (m->disp32 || m->disp != (int8_t)m->disp)
		mod = 2;
	else if (m->disp || (m->base & 7) == H_RBP)
		mod = 1;
	else
		mod = 0;
	if (m->index != H_NONE || (m->base & 7) == H_RSP) {
		em_8(e, mod << 6 | r | 4);
		em_8(e, __builtin_ctz(m->scale) << 6 |
				(m->index == H_NONE ? 4 : m->index & 7) << 3 |
				(m->base & 7));
	} else {
		em_8(e, mod << 6 | r | (m->base & 7));
	}
	if (mod == 1)
		em_8(e, m->disp);
	else if (mod == 2)
		em_32(e, m->disp);
}

static void em_opcode(struct emit *e, unsigned opcode)
{
	if (opcode > 0xffff)
		em_8(e, opcode >> 16);
	if (opcode > 0xff)
		em_8(e, opcode >> 8);
	em_8(e, opcode);
}

void em_op_rr(struct emit *e, unsigned size, unsigned opcode, unsigned reg,
	unsigned rm)
{
	unsigned rex = (size == 8) << 3 | (reg >= 8) << 2 | (rm >= 8);

	if (rex)
		em_8(e, 0x40 | rex);
	em_opcode(e, opcode);
	em_modrm_reg(e, reg, rm);
}

void em_op_rm(struct emit *e, unsigned size, unsigned opcode, unsigned reg,
	struct em_mem m)
{
	unsigned rex = (size == 8) << 3 | (reg >= 8) << 2 | em_rex_mem(&m);

	if (rex)
		em_8(e, 0x40 | rex);
	em_opcode(e, opcode);
	em_modrm_mem(e, reg, &m);
}

void em_alu_ri(
	struct emit *e, unsigned size, unsigned n, unsigned r, int32_t imm)
{
	bool small = imm == (int8_t)imm;

	em_op_rr(e, size, small ? 0x83 : 0x81, n, r);
	if (small)
		em_8(e, imm);
	else
		em_32(e, imm);
}

void em_alu_mi(
	struct emit *e, unsigned size, unsigned n, struct em_mem m, int32_t imm)
{
	bool small = imm == (int8_t)imm;

	em_op_rm(e, size, small ? 0x83 : 0x81, n, m);
	if (small)
		em_8(e, imm);
	else
		em_32(e, imm);
}

void em_mov_mi(struct emit *e, unsigned size, struct em_mem m, int32_t imm)
{
	em_op_rm(e, size, 0xc7, 0, m);
	em_32(e, imm);
}

void em_mov_ri(struct emit *e, unsigned r, uint64_t imm)
{
	if (imm <= UINT32_MAX) {
		if (r >= 8)
			em_8(e, 0x41);
		em_8(e, 0xb8 | (r & 7));
		em_32(e, imm);
	} else if ((int64_t)imm == (int32_t)imm) {
		em_op_rr(e, 8, 0xc7, 0, r);
		em_32(e, imm);
	} else {
		em_8(e, 0x48 | (r >= 8));
		em_8(e, 0xb8 | (r & 7));
		em_64(e, imm);
	}
}

void em_ror(struct emit *e, bool bmi2, unsigned d, unsigned s, unsigned n)
{
	if (bmi2) { /* rorx */
		em_8(e, 0xc4);
		em_8(e, (d & 8 ? 0 : 0x80) | 0x40 | (s & 8 ? 0 : 0x20) | 3);
		em_8(e, 0xfb);
		em_8(e, 0xf0);
		em_modrm_reg(e, d, s);
	} else {
		em_mov_rr(e, 8, d, s);
		em_op_rr(e, 8, 0xc1, 1, d);
	}
	em_8(e, n);
}

void em_nops(struct emit *e, unsigned n)
{
	static const uint8_t nop[9] = {0x66, 0x0f, 0x1f, 0x84};
	static const uint8_t mid[][4] = {{0}, {0x90}, {0x66, 0x90},
		{0x0f, 0x1f, 0x00}, {0x0f, 0x1f, 0x40, 0x00}};

	while (n >= 9) {
		memcpy(e->p, nop, 9);
		e->p += 9;
		n -= 9;
	}
	while (n) {
		unsigned k = n < 4 ? n : 4;

		memcpy(e->p, mid[k], k);
		e->p += k;
		n -= k;
	}
}

void em_align_disp(struct emit *e, unsigned n)
{
	unsigned at = ((uintptr_t)e->p + n) & 63;

	if (at > 60)
		em_nops(e, 64 - at);
}
