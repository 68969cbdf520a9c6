/*
 * optab.c - names of operations.
 */
#include "x86/decode.h"

static const char *const op_names[X86_NOPS] = {
#define X86_OPNAME(name, text) [X86_OP_##name] = text,
#include "x86/opnames.def"
#undef X86_OPNAME
};

const char *x86_op_name(unsigned op)
{
	return op < X86_NOPS ? op_names[op] : "(bad)";
}
