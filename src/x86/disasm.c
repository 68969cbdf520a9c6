/*
 * disasm.c - a decoded instruction as text, in Intel syntax.
 *
 * For traces, the monitor and test reports: readable first.  Mnemonics are
 * those of the SDM; AVX forms of shared operations get their leading v,
 * conditions and widths their suffix.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "x86/decode.h"

struct out {
	char *buf;
	unsigned size, used;
};

__attribute__((format(printf, 2, 3))) static void out(
	struct out *o, const char *fmt, ...)
{
	va_list ap;
	int n;

	if (o->used >= o->size)
		return;
	va_start(ap, fmt);
	n = vsnprintf(o->buf + o->used, o->size - o->used, fmt, ap);
	va_end(ap);
	o->used += n > 0 ? (unsigned)n : 0;
}

/* ---- mnemonics ---- */

static const char *const conditions[16] = {"o", "no", "b", "ae", "e", "ne",
	"be", "a", "s", "ns", "p", "np", "l", "ge", "le", "g"};

/* b w d q by operand size, where the manual's mnemonic tells the size. */
static const char *size_suffix(const struct x86_insn *in, bool byte)
{
	unsigned size = in->osize;

	if (byte)
		return "b";
	if (size == 8 && (in->op == X86_OP_INS || in->op == X86_OP_OUTS))
		size = 4;
	return size == 2 ? "w" : size == 4 ? "d" : "q";
}

static const char *mode_name(const struct x86_insn *in)
{
	static const char *const cbw[3] = {"cbw", "cwde", "cdqe"};
	static const char *const cwd[3] = {"cwd", "cdq", "cqo"};
	static const char *const jcxz[3] = {"jcxz", "jecxz", "jrcxz"};
	unsigned o = in->osize == 2 ? 0 : in->osize == 4 ? 1 : 2;
	unsigned a = in->asize == 2 ? 0 : in->asize == 4 ? 1 : 2;

	switch (in->op) {
	case X86_OP_CBW: return cbw[o];
	case X86_OP_CWD: return cwd[o];
	case X86_OP_JCXZ: return jcxz[a];
	default: return in->def->name;
	}
}

static void out_mnemonic(struct out *o, const struct x86_insn *in)
{
	const char *name = mode_name(in);
	bool vec = in->def->attr & X86_AT_VECTOR && in->enc != X86_ENC_LEGACY &&
		   *name != 'v' && *name != 'k';

	if (in->prefix & X86_PFX_LOCK)
		out(o, "lock ");
	if (in->rep_string) {
		bool cmp = in->op == X86_OP_CMPS || in->op == X86_OP_SCAS;

		out(o, !cmp			     ? "rep "
			: in->prefix & X86_PFX_REPNE ? "repne "
						     : "repe ");
	}
	out(o, "%s%s", vec ? "v" : "", name);
	switch (in->op) {
	case X86_OP_JCC:
	case X86_OP_SETCC:
	case X86_OP_CMOVCC: out(o, "%s", conditions[in->opcode & 15]); break;
	case X86_OP_MOVS:
	case X86_OP_CMPS:
	case X86_OP_SCAS:
	case X86_OP_STOS:
	case X86_OP_LODS:
	case X86_OP_INS:
	case X86_OP_OUTS:
		out(o, "%s", size_suffix(in, !(in->opcode & 1)));
		break;
	case X86_OP_PUSHA:
	case X86_OP_POPA:
	case X86_OP_PUSHF:
	case X86_OP_POPF:
	case X86_OP_IRET:
		if (in->osize != 2)
			out(o, "%s", in->osize == 4 ? "d" : "q");
		break;
	default: break;
	}
}

/* ---- operands ---- */

static const char *const low8[16] = {"al", "cl", "dl", "bl", "spl", "bpl",
	"sil", "dil", "r8b", "r9b", "r10b", "r11b", "r12b", "r13b", "r14b",
	"r15b"};
static const char *const word[8] = {
	"ax", "cx", "dx", "bx", "sp", "bp", "si", "di"};

static void out_gpr(struct out *o, unsigned reg, unsigned size)
{
	if (size == 1)
		out(o, "%s", low8[reg & 15]);
	else if (reg < 8)
		out(o, "%s%s",
			size == 4   ? "e"
			: size == 8 ? "r"
				    : "",
			word[reg]);
	else
		out(o, "r%u%s", reg, size == 2 ? "w" : size == 4 ? "d" : "");
}

static const char *const segs[6] = {"es", "cs", "ss", "ds", "fs", "gs"};

static void out_size(struct out *o, unsigned size)
{
	switch (size) {
	case 1: out(o, "byte ptr "); break;
	case 2: out(o, "word ptr "); break;
	case 4: out(o, "dword ptr "); break;
	case 6: out(o, "fword ptr "); break;
	case 8: out(o, "qword ptr "); break;
	case 10: out(o, "tbyte ptr "); break;
	case 16: out(o, "xmmword ptr "); break;
	case 32: out(o, "ymmword ptr "); break;
	case 64: out(o, "zmmword ptr "); break;
	default: break;
	}
}

static void out_vec(struct out *o, unsigned reg, unsigned size)
{
	out(o, "%cmm%u", size <= 16 ? 'x' : size == 32 ? 'y' : 'z', reg);
}

/* Displacement alone, or what is added to registers. */
static void out_disp(struct out *o, const struct x86_insn *in, bool alone)
{
	int64_t d = in->disp;

	if (alone && !in->modrm_off)
		out(o, "0x%" PRIx64, in->imm);
	else if (alone && in->asize < 8)
		out(o, "0x%x",
			in->asize == 2 ? (uint16_t)in->disp
				       : (uint32_t)in->disp);
	else if (alone)
		out(o, "0x%" PRIx64, (uint64_t)d);
	else if (d < 0)
		out(o, "-0x%" PRIx64, (uint64_t)-d);
	else if (d > 0)
		out(o, "+0x%" PRIx64, (uint64_t)d);
}

static void out_address(struct out *o, const struct x86_insn *in, uint64_t rip)
{
	bool base = in->base != X86_NOREG, index = in->index != X86_NOREG;

	if (in->seg_override != X86_NOREG)
		out(o, "%s:", segs[in->seg]);
	if (in->base == X86_RIP) {
		uint64_t a = rip + in->len + (int64_t)in->disp;

		out(o, "[rip%s0x%" PRIx64 "]", in->disp < 0 ? "-" : "+",
			(uint64_t)(in->disp < 0 ? -(int64_t)in->disp
						: in->disp));
		out(o, " {0x%" PRIx64 "}", in->asize == 8 ? a : (uint32_t)a);
		return;
	}
	out(o, "[");
	if (base)
		out_gpr(o, in->base, in->asize);
	if (index) {
		if (base)
			out(o, "+");
		if (in->vsib)
			out_vec(o, in->index, in->vl);
		else
			out_gpr(o, in->index, in->asize);
		if (in->scale > 1)
			out(o, "*%u", in->scale);
	}
	out_disp(o, in, !base && !index);
	out(o, "]");
}

static void out_imm(struct out *o, uint64_t v, unsigned size)
{
	if (size < 8)
		v &= (1ull << (8 * size)) - 1;
	out(o, "0x%" PRIx64, v);
}

static void out_rel(struct out *o, const struct x86_insn *in, uint64_t rip)
{
	uint64_t to = rip + in->len + in->imm;

	if (in->osize < 8)
		to &= (1ull << (8 * in->osize)) - 1;
	out(o, "0x%" PRIx64, to);
}

static void out_string(
	struct out *o, const struct x86_insn *in, const struct x86_opnd *op)
{
	bool src = op->kind == X86_OK_STRSRC;

	out_size(o, op->size);
	out(o, "%s:[", src ? segs[in->seg] : "es");
	out_gpr(o, src ? X86_RSI : X86_RDI, in->asize);
	out(o, "]");
}

static void out_opnd(struct out *o, const struct x86_insn *in,
	const struct x86_opnd *op, uint64_t rip)
{
	switch (op->kind) {
	case X86_OK_GPR:
		if (op->high8)
			out(o, "%ch", "acdb"[op->reg & 3]);
		else
			out_gpr(o, op->reg, op->size);
		break;
	case X86_OK_MEM:
		out_size(o, op->size);
		out_address(o, in, rip);
		break;
	case X86_OK_IMM: out_imm(o, in->imm, op->size); break;
	case X86_OK_IMM2: out_imm(o, in->imm2, op->size); break;
	case X86_OK_REL: out_rel(o, in, rip); break;
	case X86_OK_FAR: out(o, "0x%x:0x%" PRIx64, in->imm2, in->imm); break;
	case X86_OK_SREG: out(o, "%s", segs[op->reg % 6]); break;
	case X86_OK_CR: out(o, "cr%u", op->reg); break;
	case X86_OK_DR: out(o, "dr%u", op->reg); break;
	case X86_OK_ST: out(o, "st(%u)", op->reg); break;
	case X86_OK_MMX: out(o, "mm%u", op->reg); break;
	case X86_OK_VEC: out_vec(o, op->reg, op->size); break;
	case X86_OK_KREG: out(o, "k%u", op->reg); break;
	case X86_OK_CONST: out(o, "%u", op->reg); break;
	case X86_OK_STRSRC:
	case X86_OK_STRDST: out_string(o, in, op); break;
	default: break;
	}
}

/* Opmask, broadcast and rounding of EVEX, after the operand they belong to. */
static void out_evex(struct out *o, const struct x86_insn *in, unsigned i)
{
	const struct x86_opnd *op = &in->opnd[i];

	if (in->enc != X86_ENC_EVEX)
		return;
	if (i == 0 && in->aaa)
		out(o, " {k%u}%s", in->aaa, in->evex_z ? "{z}" : "");
	if (op->kind == X86_OK_MEM && in->evex_b && op->size)
		out(o, "{1to%u}", in->vl / op->size);
	if (i + 1 == in->nopnds && in->evex_b && !in->has_mem)
		out(o, " {er/sae}");
}

void x86_disasm(
	const struct x86_insn *insn, uint64_t rip, char *buf, unsigned size)
{
	struct out o = {buf, size, 0};
	unsigned i;

	if (!size)
		return;
	buf[0] = 0;
	if (!insn->def) {
		out(&o, "(bad)");
		return;
	}
	out_mnemonic(&o, insn);
	for (i = 0; i < insn->nopnds; i++) {
		out(&o, i ? ", " : " ");
		out_opnd(&o, insn, &insn->opnd[i], rip);
		out_evex(&o, insn, i);
	}
}
