/*
 * host.c - vector and x87 instructions, carried out by the host processor.
 */
#include "cpu/interp/ops.h"

void interp_host(struct soft_cpu *c, const struct x86_insn *i)
{
	soft_raise(c, X86_UD);
}

void interp_host_free(struct soft_cpu *c)
{
}
