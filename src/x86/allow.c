/*
 * allow.c - does a CPU model have an instruction?
 *
 * The decoder knows everything; what a model hides is #UD here, or runs as
 * the instruction that older processors see in the same bytes.
 */
#include "x86/optab.h"

/* What the prefix or hint means where its feature is missing (SDM vol. 2). */
static unsigned allow_older(unsigned op)
{
	switch (op) {
	case X86_OP_TZCNT: return X86_OP_BSF;
	case X86_OP_LZCNT: return X86_OP_BSR;
	case X86_OP_WBNOINVD: return X86_OP_WBINVD;
	default: return X86_OP_HINT_NOP;
	}
}

/* A vector form needs the state's own feature beside its row's. */
static bool allow_vector(const struct x86_insn *in, const bool *have)
{
	const struct x86_opdef *d = in->def;
	const struct x86_rowinfo *ri = &x86_rowinfos[d - x86_optab];

	if (d->attr & X86_AT_AVX && !have[X86_FEAT_AVX])
		return false;
	if (!(d->attr & X86_AT_AVX512))
		return true;
	if (!have[X86_FEAT_AVX512F])
		return false;
	return in->enc != X86_ENC_EVEX || in->vl == 64 ||
	       !(ri->flags & X86_RI_VL) || have[X86_FEAT_AVX512VL];
}

/* Features that the row cannot say because they depend on more. */
static bool allow_special(const struct x86_insn *in, const bool *have)
{
	switch (in->op) {
	case X86_OP_LAHF:
	case X86_OP_SAHF: return in->mode != 8 || have[X86_FEAT_LAHF64];
	case X86_OP_FCOMI:
	case X86_OP_FCOMIP:
	case X86_OP_FUCOMI:
	case X86_OP_FUCOMIP: return have[X86_FEAT_CMOV];
	case X86_OP_VMCALL:
	case X86_OP_VMMCALL: return have[X86_FEAT_KVM_CLOCK];
	default: return true;
	}
}

static bool allow_row(const struct x86_insn *in, const bool *have)
{
	unsigned f = in->def->feature;

	if (f && !have[f])
		return false;
	if (in->def->attr & X86_AT_VECTOR && !allow_vector(in, have))
		return false;
	return allow_special(in, have);
}

bool x86_insn_allowed(const struct x86_insn *in, const struct x86_cpu_model *m)
{
	return in->def->attr & X86_AT_HINT || allow_row(in, m->feature);
}

bool x86_insn_fit(struct x86_insn *in, const struct x86_cpu_model *m)
{
	unsigned op, i;

	if (allow_row(in, m->feature))
		return true;
	if (!(in->def->attr & X86_AT_HINT))
		return false;
	op = allow_older(in->op);
	for (i = 0; x86_optab[i].op != op; i++)
		;
	in->op = op;
	in->def = &x86_optab[i];
	if (op == X86_OP_BSF || op == X86_OP_BSR)
		in->opnd[0].access = X86_OA_R | X86_OA_W;
	else
		in->nopnds = 0;
	return true;
}
