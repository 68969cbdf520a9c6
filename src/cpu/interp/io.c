/*
 * io.c - IN and OUT.
 */
#include "cpu/interp/ops.h"

INTERP_FN(in)
{
	unsigned size = i->opnd[0].size;
	uint16_t port = i->opnd[1].kind == X86_OK_IMM
				? (uint8_t)i->imm
				: (uint16_t)c->st.gpr[X86_RDX];

	interp_set_reg(c, X86_RAX, size, soft_in(c, port, size));
}

INTERP_FN(out)
{
	unsigned size = i->opnd[1].size;
	uint16_t port = i->opnd[0].kind == X86_OK_IMM
				? (uint8_t)i->imm
				: (uint16_t)c->st.gpr[X86_RDX];

	soft_out(c, port, size, interp_reg(c, X86_RAX, size));
}
