/*
 * emit.c - the encodings that need more than a line; see emit.h.
 */
#include "cpu/bt/emit.h"

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
