/*
 * decode-vs-zydis.c - x86_decode() against Zydis on random byte strings.
 *
 *   decode-vs-zydis [count [seed]]
 *
 * Strings are biased towards prefixes, escapes and VEX/EVEX, in 16, 32 and
 * 64-bit mode.  Compared: accepted or refused, length, mnemonic, operands
 * (number, kinds, registers, sizes, access, addresses, immediates) and flags.
 * Where the two may differ, known[] says why.  Prints one line per kind of
 * difference and instruction, and fails if there is any.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <Zydis/Zydis.h>

#include "x86/decode.h"

struct sample {
	uint8_t b[15];
	unsigned mode; /* 2, 4, 8 */
};

/* ---- random strings ---- */

static uint64_t rng_state;

static uint64_t rng(void)
{
	uint64_t z = rng_state += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

static unsigned put_prefixes(uint8_t *b, unsigned n, unsigned max)
{
	static const uint8_t pfx[] = {0x66, 0x66, 0x67, 0xf2, 0xf3, 0xf2, 0xf3,
		0xf0, 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x48, 0x41, 0x4f,
		0x40};

	while (max--)
		b[n++] = pfx[rng() % sizeof(pfx)];
	return n;
}

/* Mostly valid EVEX payload: random bits, the reserved ones mostly right. */
static unsigned put_evex(uint8_t *b, unsigned n)
{
	static const uint8_t maps[] = {1, 2, 3, 5, 6, 1, 2, 3};
	uint64_t r = rng();

	b[n] = 0x62;
	b[n + 1] = (r & 0xf0) | maps[r >> 8 & 7];
	b[n + 2] = (r >> 16 & 0xfb) | 4;
	if (r >> 60 & 1)
		b[n + 2] |= 0x78;
	b[n + 3] = r >> 24;
	if (r >> 61 & 1)
		b[n + 3] |= 8;
	if (r >> 62 & 1)
		b[n + 3] &= 0x6f; /* neither z nor b */
	if ((r >> 32 & 63) == 0)
		b[n + 1] ^= 1 << (r >> 40 & 7);
	return n + 4;
}

static void make_sample(struct sample *s)
{
	static const uint8_t modes[] = {8, 8, 4, 2};
	uint64_t r = rng(), v = rng();
	unsigned n = 0;

	s->mode = modes[r & 3];
	memcpy(s->b, &v, 8);
	v = rng();
	memcpy(s->b + 8, &v, 7);
	if (r & 4)
		n = put_prefixes(s->b, n, 1 + (r >> 8 & 3) * (r >> 10 & 1));
	if ((r >> 32 & 1023) == 0)
		n = put_prefixes(s->b, n, r >> 44 & 7);
	switch (r >> 4 & 7) {
	case 0:
	case 1: s->b[n] = 0x0f; break;
	case 2:
		s->b[n] = 0x0f;
		s->b[n + 1] = r & 0x1000 ? 0x38 : 0x3a;
		break;
	case 3:
		s->b[n] = 0xc5;
		if (r & 0x2000)
			s->b[n + 1] |= 0x78;
		break;
	case 4:
		s->b[n] = 0xc4;
		s->b[n + 1] = (s->b[n + 1] & 0xe0) | (1 + (r >> 12) % 3);
		if (r & 0x8000)
			s->b[n + 2] |= 0x78;
		break;
	case 5:
	case 6: put_evex(s->b, n); break;
	}
}

/* ---- reports ---- */

struct report {
	const char *what, *name;
	unsigned long count;
	struct sample first;
	char detail[96];
};

static struct report reports[4096];
static unsigned nreports;
static unsigned long total;

static void report(const struct sample *s, const char *what, const char *name,
	long mine, long theirs)
{
	unsigned i;

	total++;
	for (i = 0; i < nreports; i++)
		if (!strcmp(reports[i].what, what) &&
			!strcmp(reports[i].name, name))
			break;
	if (i == 4096)
		return;
	if (i == nreports) {
		nreports++;
		reports[i].what = what;
		reports[i].name = name;
		reports[i].first = *s;
		snprintf(reports[i].detail, sizeof(reports[i].detail),
			"ours %lx, theirs %lx", mine, theirs);
	}
	reports[i].count++;
}

static void print_reports(void)
{
	unsigned i, j;

	for (i = 0; i < nreports; i++) {
		const struct report *r = &reports[i];

		printf("%-10s %-16s %8lu  %2u:", r->what, r->name, r->count,
			r->first.mode * 8);
		for (j = 0; j < 15; j++)
			printf(" %02x", r->first.b[j]);
		printf("  %s\n", r->detail);
	}
}

/* ---- where the two may differ ---- */

/*
 * Extensions that Zydis has and our table leaves out on purpose: no processor
 * that we model has them, so they are #UD.
 */
static const char *const left_out[] = {"AMD3DNOW", "FMA4", "XOP", "TBM", "LWP",
	"KNC", "KNCE", "KNCV", "KNCJKBR", "AVX512ER", "AVX512PF", "PADLOCK",
	"KEYLOCKER", "KEYLOCKER_WIDE", "AMX_TILE", "AMX_INT8", "AMX_BF16",
	"TDX", "SNP", "MCOMMIT", "AVX512_4FMAPS", "AVX512_4VNNIW"};

/* What is known to differ, and why. */
enum known_what {
	K_ACCESS, /* we say read-write where Zydis says write */
	K_OPNDS,  /* operands are not comparable */
	K_FLAGS,
	K_REGSIZE,
};

static const struct {
	uint16_t op;
	uint8_t what;
} known[] = {
	/* conditional: the destination may stay as it was */
	{X86_OP_CMOVCC, K_ACCESS},
	{X86_OP_BSF, K_ACCESS},
	{X86_OP_BSR, K_ACCESS},
	{X86_OP_LAR, K_ACCESS},
	{X86_OP_LSL, K_ACCESS},
	{X86_OP_FCMOVB, K_ACCESS},
	{X86_OP_FCMOVBE, K_ACCESS},
	{X86_OP_FCMOVE, K_ACCESS},
	{X86_OP_FCMOVNB, K_ACCESS},
	{X86_OP_FCMOVNBE, K_ACCESS},
	{X86_OP_FCMOVNE, K_ACCESS},
	{X86_OP_FCMOVNU, K_ACCESS},
	{X86_OP_FCMOVU, K_ACCESS},
	{X86_OP_RDSSP, K_ACCESS},
	/* legacy SSE that writes a part of the register only */
	{X86_OP_MOVLHPS, K_ACCESS},
	{X86_OP_MOVHLPS, K_ACCESS},
	{X86_OP_MOVHPS, K_ACCESS},
	{X86_OP_MOVHPD, K_ACCESS},
	{X86_OP_MOVLPS, K_ACCESS},
	{X86_OP_MOVLPD, K_ACCESS},
	{X86_OP_MOVSS, K_ACCESS},
	{X86_OP_MOVSD, K_ACCESS},
	{X86_OP_SQRTSS, K_ACCESS},
	{X86_OP_SQRTSD, K_ACCESS},
	{X86_OP_RCPSS, K_ACCESS},
	{X86_OP_RSQRTSS, K_ACCESS},
	{X86_OP_ROUNDSS, K_ACCESS},
	{X86_OP_ROUNDSD, K_ACCESS},
	{X86_OP_CVTSS2SD, K_ACCESS},
	{X86_OP_CVTSD2SS, K_ACCESS},
	{X86_OP_CVTPI2PS, K_ACCESS},
	{X86_OP_EXTRQ, K_ACCESS},
	{X86_OP_INSERTQ, K_ACCESS},
	/* nothing is read; FFREE only changes a tag */
	{X86_OP_FFREE, K_ACCESS},
	{X86_OP_FFREEP, K_ACCESS},
	/* an opmask destination is zeroed, never merged: Zydis says read */
	{X86_OP_VFPCLASSSH, K_ACCESS},
	{X86_OP_VFPCLASSPH, K_ACCESS},
	{X86_OP_VCMPPH, K_ACCESS},
	{X86_OP_VCMPSH, K_ACCESS},
	/* never carried out: hints, undefined, virtualization */
	{X86_OP_HINT_NOP, K_OPNDS},
	{X86_OP_UD0, K_OPNDS},
	{X86_OP_UD1, K_OPNDS},
	{X86_OP_SKINIT, K_OPNDS},
	{X86_OP_INVLPGB, K_OPNDS},
	{X86_OP_SENDUIPI, K_OPNDS},
	{X86_OP_PREFETCH_RSV, K_OPNDS},
	/* ST0 or XMM0 that we list is hidden in Zydis; strings are too */
	{X86_OP_FCOM, K_OPNDS},
	{X86_OP_FCOMP, K_OPNDS},
	{X86_OP_FUCOM, K_OPNDS},
	{X86_OP_FUCOMP, K_OPNDS},
	{X86_OP_MOVS, K_OPNDS},
	{X86_OP_CMPS, K_OPNDS},
	{X86_OP_SCAS, K_OPNDS},
	{X86_OP_LODS, K_OPNDS},
	{X86_OP_STOS, K_OPNDS},
	{X86_OP_INS, K_OPNDS},
	{X86_OP_OUTS, K_OPNDS},
	/* REX.W changes nothing: the upper half is zero */
	{X86_OP_MOVMSKPS, K_REGSIZE},
	{X86_OP_MOVMSKPD, K_REGSIZE},
	{X86_OP_PMOVMSKB, K_REGSIZE},
	{X86_OP_PEXTRW, K_REGSIZE},
	{X86_OP_LSL, K_REGSIZE},
	{X86_OP_LAR, K_REGSIZE},
	/* AF of SBB is defined (SDM); Zydis says undefined */
	{X86_OP_SBB, K_FLAGS},
	/* OF of shifts by the constant one is defined (SDM) */
	{X86_OP_ROL, K_FLAGS},
	{X86_OP_ROR, K_FLAGS},
	{X86_OP_RCL, K_FLAGS},
	{X86_OP_RCR, K_FLAGS},
	{X86_OP_SHL, K_FLAGS},
	{X86_OP_SHR, K_FLAGS},
	{X86_OP_SAR, K_FLAGS},
	/* they clear the flags that they do not set (SDM) */
	{X86_OP_PTEST, K_FLAGS},
	{X86_OP_VTESTPS, K_FLAGS},
	{X86_OP_VTESTPD, K_FLAGS},
	{X86_OP_BEXTR, K_FLAGS},
	/* REP counts as reading ZF there */
	{X86_OP_CMPS, K_FLAGS},
	{X86_OP_SCAS, K_FLAGS},
	/* SYSCALL saves RFLAGS; far transfers and task switches; RSM */
	{X86_OP_SYSCALL, K_FLAGS},
	{X86_OP_INT1, K_FLAGS},
	/* never carried out */
	{X86_OP_VMCALL, K_FLAGS},
	{X86_OP_VMLAUNCH, K_FLAGS},
	{X86_OP_VMRESUME, K_FLAGS},
	{X86_OP_RSTORSSP, K_FLAGS},
	{X86_OP_CLRSSBSY, K_FLAGS},
	{X86_OP_ENCLS, K_FLAGS},
	{X86_OP_ENCLU, K_FLAGS},
	{X86_OP_ENCLV, K_FLAGS},
	{X86_OP_RDPRU, K_FLAGS},
	{X86_OP_TESTUI, K_FLAGS},
};

static bool is_known(unsigned op, enum known_what what)
{
	unsigned i;

	for (i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (known[i].op == op && known[i].what == what)
			return true;
	return false;
}

static bool is_left_out(const ZydisDecodedInstruction *zi)
{
	const char *ext = ZydisISAExtGetString(zi->meta.isa_ext);
	const char *set = ZydisISASetGetString(zi->meta.isa_set);
	unsigned i;

	for (i = 0; i < sizeof(left_out) / sizeof(left_out[0]); i++)
		if (!strncmp(ext, left_out[i], strlen(left_out[i])) ||
			!strncmp(set, left_out[i], strlen(left_out[i])))
			return true;
	return false;
}

/*
 * Conversions from and to general registers outside 64-bit mode: EVEX.W is
 * ignored there (SDM vol. 2, VCVTSI2SH and VCVTSI2SD, note 1).  Zydis knows it
 * of most, but refuses W1 of the FP16 ones, and W1 with rounding of those to
 * double.
 */
static bool is_w_ignored(const struct x86_insn *in)
{
	if (in->mode == 8 || in->enc != X86_ENC_EVEX || !(in->rex & X86_REX_W))
		return false;
	switch (in->op) {
	case X86_OP_VCVTSI2SH:
	case X86_OP_VCVTUSI2SH:
	case X86_OP_VCVTSH2SI:
	case X86_OP_VCVTTSH2SI:
	case X86_OP_VCVTSH2USI:
	case X86_OP_VCVTTSH2USI: return true;
	case X86_OP_CVTSI2SD:
	case X86_OP_VCVTUSI2SD: return in->evex_b;
	default: return false;
	}
}

/* ---- comparison ---- */

struct pair {
	const struct sample *s;
	const struct x86_insn *in;
	const ZydisDecodedInstruction *zi;
	const ZydisDecodedOperand *zo;
	const char *name;
};

#define CHECK(p, what, mine, theirs)                                           \
	do {                                                                   \
		long m_ = (long)(mine), t_ = (long)(theirs);                   \
		if (m_ != t_)                                                  \
			report((p)->s, what, (p)->name, m_, t_);               \
	} while (0)

/* Kind and number of a Zydis register: 0x100 * kind + number, high8 bit 7. */
static unsigned reg_code(ZydisRegister r)
{
	unsigned id = ZydisRegisterGetId(r);

	switch (ZydisRegisterGetClass(r)) {
	case ZYDIS_REGCLASS_GPR8:
		if (r >= ZYDIS_REGISTER_AH && r <= ZYDIS_REGISTER_BH)
			return X86_OK_GPR << 8 | 0x80 | (r - ZYDIS_REGISTER_AH);
		if (r >= ZYDIS_REGISTER_SPL)
			return X86_OK_GPR << 8 | (r - ZYDIS_REGISTER_SPL + 4);
		return X86_OK_GPR << 8 | (r - ZYDIS_REGISTER_AL);
	case ZYDIS_REGCLASS_GPR16:
	case ZYDIS_REGCLASS_GPR32:
	case ZYDIS_REGCLASS_GPR64: return X86_OK_GPR << 8 | id;
	case ZYDIS_REGCLASS_X87: return X86_OK_ST << 8 | id;
	case ZYDIS_REGCLASS_MMX: return X86_OK_MMX << 8 | id;
	case ZYDIS_REGCLASS_XMM:
	case ZYDIS_REGCLASS_YMM:
	case ZYDIS_REGCLASS_ZMM: return X86_OK_VEC << 8 | id;
	case ZYDIS_REGCLASS_SEGMENT: return X86_OK_SREG << 8 | id;
	case ZYDIS_REGCLASS_CONTROL: return X86_OK_CR << 8 | id;
	case ZYDIS_REGCLASS_DEBUG: return X86_OK_DR << 8 | id;
	case ZYDIS_REGCLASS_MASK: return X86_OK_KREG << 8 | id;
	default: return 0xffff;
	}
}

static unsigned mem_reg(ZydisRegister r)
{
	if (r == ZYDIS_REGISTER_NONE)
		return X86_NOREG;
	if (r == ZYDIS_REGISTER_RIP || r == ZYDIS_REGISTER_EIP)
		return X86_RIP;
	return reg_code(r) & 0xff;
}

/* In 64-bit mode Zydis keeps telling ES, CS, SS or DS. */
static void check_mem(const struct pair *p, const struct x86_opnd *o,
	const ZydisDecodedOperand *z)
{
	const struct x86_insn *in = p->in;
	unsigned base = in->base, index = in->index;
	int64_t disp = in->disp;
	bool agen = z->mem.type == ZYDIS_MEMOP_TYPE_AGEN;

	/* Zydis 4.0 takes base 101 with REX.B for R13D with a 32-bit address
	 * and mod 0; SDM vol. 2, 2.2.1.3: REX.B does not matter there. */
	if (in->mode == 8 && in->asize == 4 && in->mod == 0 &&
		mem_reg(z->mem.base) == X86_R13 && base == X86_NOREG)
		return;

	if (in->imm_size && in->imm_size == in->asize && !in->modrm_off)
		disp = in->imm;
	CHECK(p, "base", base, mem_reg(z->mem.base));
	CHECK(p, "index", index, mem_reg(z->mem.index));
	if (index != X86_NOREG)
		CHECK(p, "scale", in->scale, z->mem.scale);
	/* 16-bit displacements wrap */
	if (in->asize == 2)
		CHECK(p, "disp", (uint16_t)disp, (uint16_t)z->mem.disp.value);
	else if (in->asize == 4)
		CHECK(p, "disp", (uint32_t)disp, (uint32_t)z->mem.disp.value);
	else
		CHECK(p, "disp", disp, z->mem.disp.value);
	/* LEA has no segment; 3E is NOTRACK for Zydis, DS for a processor
	 * without CET. */
	if (!agen && !(p->zi->attributes & ZYDIS_ATTRIB_HAS_NOTRACK))
		CHECK(p, "seg", in->seg, reg_code(z->mem.segment) & 0xff);
	/* MOVSXD with 66: 16 bits (SDM, and tried), not 32 */
	if (o->size && !agen && in->op != X86_OP_MOVSXD)
		CHECK(p, "memsize", o->size, z->size / 8);
	if (agen)
		CHECK(p, "agen", o->access, 0);
}

static void check_imm(const struct pair *p, const struct x86_opnd *o,
	const ZydisDecodedOperand *z)
{
	uint64_t mine = o->kind == X86_OK_CONST	 ? o->reg
			: o->kind == X86_OK_IMM2 ? p->in->imm2
						 : p->in->imm;
	uint64_t mask = o->size >= 8 || o->kind == X86_OK_REL
				? ~0ull
				: (1ull << (8 * o->size)) - 1;

	CHECK(p, "imm", mine & mask, z->imm.value.u & mask);
	CHECK(p, "rel", o->kind == X86_OK_REL, z->imm.is_relative);
}

static void check_access(const struct pair *p, const struct x86_opnd *o,
	const ZydisDecodedOperand *z)
{
	unsigned a = 0;

	if (z->actions & ZYDIS_OPERAND_ACTION_MASK_READ)
		a |= X86_OA_R;
	if (z->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE)
		a |= X86_OA_W;
	if (o->access != a && is_known(p->in->op, K_ACCESS))
		return;
	CHECK(p, "access", o->access, a);
}

static void check_opnd(const struct pair *p, const struct x86_opnd *o,
	const ZydisDecodedOperand *z)
{
	unsigned kind = o->kind;

	switch (z->type) {
	case ZYDIS_OPERAND_TYPE_REGISTER:
		CHECK(p, "register", kind << 8 | (o->high8 ? 0x80 : 0) | o->reg,
			reg_code(z->reg.value));
		if (kind == X86_OK_GPR && !is_known(p->in->op, K_REGSIZE))
			CHECK(p, "regsize", o->size, z->size / 8);
		check_access(p, o, z);
		break;
	case ZYDIS_OPERAND_TYPE_MEMORY:
		if (kind != X86_OK_STRSRC && kind != X86_OK_STRDST)
			CHECK(p, "kind", kind, X86_OK_MEM);
		check_mem(p, o, z);
		if (o->access)
			check_access(p, o, z);
		break;
	case ZYDIS_OPERAND_TYPE_POINTER:
		CHECK(p, "kind", kind, X86_OK_FAR);
		CHECK(p, "far", p->in->imm, z->ptr.offset);
		CHECK(p, "farsel", p->in->imm2, z->ptr.segment);
		break;
	case ZYDIS_OPERAND_TYPE_IMMEDIATE:
		CHECK(p, "kind",
			kind == X86_OK_IMM || kind == X86_OK_IMM2 ||
				kind == X86_OK_REL || kind == X86_OK_CONST,
			1);
		check_imm(p, o, z);
		break;
	default: break;
	}
}

/* Operands that the syntax shows, without the opmask of an EVEX form. */
static void check_operands(const struct pair *p)
{
	unsigned i, n = 0, ours = p->in->nopnds;

	if (is_known(p->in->op, K_OPNDS))
		return;
	if (ours == 3 && p->in->def->opnd[2] && p->in->opnd[2].reg == 0 &&
		p->in->enc == X86_ENC_LEGACY &&
		p->in->opnd[2].kind == X86_OK_VEC)
		ours = 2; /* implied XMM0 */
	for (i = 0; i < p->zi->operand_count; i++) {
		const ZydisDecodedOperand *z = &p->zo[i];

		if (z->visibility == ZYDIS_OPERAND_VISIBILITY_HIDDEN)
			continue;
		if (z->encoding == ZYDIS_OPERAND_ENCODING_MASK)
			continue;
		if (n < p->in->nopnds)
			check_opnd(p, &p->in->opnd[n], z);
		n++;
	}
	CHECK(p, "operands", ours, n);
}

/* System flags are left to the interpreter's own tests. */
static void check_flags(const struct pair *p)
{
	const unsigned mask = X86_FL_ARITH | X86_FL_DF | X86_FL_AC;
	const struct x86_opdef *d = p->in->def;
	const ZydisAccessedFlags *f = p->zi->cpu_flags;
	unsigned w;

	if (!f || is_known(p->in->op, K_FLAGS))
		return;
	w = f->modified | f->set_0 | f->set_1;
	CHECK(p, "fl_read", d->flags_read & mask, f->tested & mask);
	CHECK(p, "fl_write", d->flags_written & mask, w & mask);
	CHECK(p, "fl_undef", d->flags_undef & mask, f->undefined & mask);
}

/* ---- names ---- */

static const char *const cc[16] = {"o", "no", "b", "nb", "z", "nz", "be", "nbe",
	"s", "ns", "p", "np", "l", "nl", "le", "nle"};

/* One of our operations has several of Zydis's names, by operand size. */
static const char *size_name(const struct x86_insn *in)
{
	unsigned byte = in->opnd[0].size == 1 || in->opnd[1].size == 1;
	unsigned n = byte ? 0 : in->osize == 2 ? 1 : in->osize == 4 ? 2 : 3;
	/* I/O has no 64-bit form */
	unsigned io = n == 3 ? 2 : n;
#define SIZES(op, b, w, d, q)                                                  \
	case X86_OP_##op: return ((const char *const[]){b, w, d, q})[n]

	switch (in->op) {
		SIZES(MOVS, "movsb", "movsw", "movsd", "movsq");
		SIZES(CMPS, "cmpsb", "cmpsw", "cmpsd", "cmpsq");
		SIZES(SCAS, "scasb", "scasw", "scasd", "scasq");
		SIZES(STOS, "stosb", "stosw", "stosd", "stosq");
		SIZES(LODS, "lodsb", "lodsw", "lodsd", "lodsq");
		SIZES(CBW, "", "cbw", "cwde", "cdqe");
		SIZES(CWD, "", "cwd", "cdq", "cqo");
		SIZES(PUSHF, "", "pushf", "pushfd", "pushfq");
		SIZES(POPF, "", "popf", "popfd", "popfq");
		SIZES(PUSHA, "", "pusha", "pushad", "");
		SIZES(POPA, "", "popa", "popad", "");
		SIZES(IRET, "", "iret", "iretd", "iretq");
	case X86_OP_INS: return &"insb\0insw\0insd"[io * 5];
	case X86_OP_OUTS: return &"outsb\0outsw\0outsd"[io * 6];
	case X86_OP_JCXZ:
		return in->asize == 2	? "jcxz"
		       : in->asize == 4 ? "jecxz"
					: "jrcxz";
	}
	return NULL;
}

static const struct {
	uint16_t op;
	const char *zydis;
} other_names[] = {
	{X86_OP_WAIT, "fwait"},
	{X86_OP_RETF, "ret"},
	{X86_OP_CALL_FAR, "call"},
	{X86_OP_CALL_FARM, "call"},
	{X86_OP_JMP_FAR, "jmp"},
	{X86_OP_JMP_FARM, "jmp"},
	{X86_OP_FNSETPM, "fsetpm287_nop"},
	{X86_OP_FNENI, "feni8087_nop"},
	{X86_OP_FNDISI, "fdisi8087_nop"},
	{X86_OP_WBNOINVD, "wbinvd"},
};

static void expected_name(const struct x86_insn *in, char buf[40])
{
	const char *n = size_name(in), *pre = "", *post = "";
	unsigned i;

	if (!n)
		n = in->def->name;
	if (in->def->attr & X86_AT_VECTOR && in->enc != X86_ENC_LEGACY &&
		*n != 'v' && *n != 'k')
		pre = "v";
	for (i = 0; i < sizeof(other_names) / sizeof(other_names[0]); i++)
		if (other_names[i].op == in->op)
			n = other_names[i].zydis;
	switch (in->op) {
	case X86_OP_JCC:
	case X86_OP_SETCC:
	case X86_OP_CMOVCC: post = cc[in->opcode & 15]; break;
	case X86_OP_XSAVE:
	case X86_OP_XSAVEC:
	case X86_OP_XSAVES:
	case X86_OP_XSAVEOPT:
	case X86_OP_XRSTOR:
	case X86_OP_XRSTORS:
	case X86_OP_FXSAVE:
	case X86_OP_FXRSTOR: post = in->rex & X86_REX_W ? "64" : ""; break;
	case X86_OP_WRSS:
	case X86_OP_WRUSS:
	case X86_OP_RDSSP:
	case X86_OP_INCSSP: post = in->rex & X86_REX_W ? "q" : "d"; break;
	}
	snprintf(buf, 40, "%s%s%s", pre, n, post);
}

static void check_name(const struct pair *p)
{
	char buf[40];

	/* the names of reserved prefetches vary */
	if (p->in->op == X86_OP_PREFETCH_RSV)
		return;
	expected_name(p->in, buf);
	if (strcmp(buf, p->name))
		report(p->s, "name", p->name, 0, 0);
}

/* ---- encoding fields and attributes ---- */

static void check_raw(const struct pair *p)
{
	const struct x86_insn *in = p->in;
	const ZydisDecodedInstruction *zi = p->zi;

	CHECK(p, "modrm_off", in->modrm_off, zi->raw.modrm.offset);
	CHECK(p, "opcode", in->opcode, zi->opcode);
	if (in->imm_size && in->modrm_off)
		CHECK(p, "imm_off", in->imm_off, zi->raw.imm[0].offset);
	if (in->imm_size && zi->raw.imm[0].size)
		CHECK(p, "imm_size", in->imm_size, zi->raw.imm[0].size / 8);
	if (in->modrm_off) {
		CHECK(p, "disp_off", in->disp_off, zi->raw.disp.offset);
		CHECK(p, "disp_size", in->disp_size, zi->raw.disp.size / 8);
	}
	CHECK(p, "lockable", in->def->attr & X86_AT_LOCKABLE && in->has_mem,
		!!(zi->attributes & ZYDIS_ATTRIB_ACCEPTS_LOCK));
	/* Zydis forces 32 bits there */
	if (in->op != X86_OP_ENCLS && in->op != X86_OP_ENCLU &&
		in->op != X86_OP_ENCLV)
		CHECK(p, "asize", in->asize * 8, zi->address_width);
	if (in->enc == X86_ENC_EVEX) {
		CHECK(p, "mask", in->aaa, reg_code(zi->avx.mask.reg) & 7);
		CHECK(p, "bcst", in->evex_b && in->has_mem,
			zi->avx.broadcast.mode != 0 &&
				!zi->avx.broadcast.is_static);
	}
	/* VEX.L of scalars is ignored, and told by Zydis nevertheless */
	if (in->enc == X86_ENC_EVEX ||
		(in->enc == X86_ENC_VEX && in->vl != 16 &&
			in->def->attr & X86_AT_VECTOR))
		CHECK(p, "vl", in->vl * 8, zi->avx.vector_length);
}

static void compare(const struct sample *s, const ZydisDecoder *dec)
{
	ZydisDecodedInstruction zi;
	ZydisDecodedOperand zo[ZYDIS_MAX_OPERAND_COUNT];
	struct x86_insn in;
	enum x86_dec_status st = x86_decode(&in, s->b, 15, s->mode);
	bool theirs =
		ZYAN_SUCCESS(ZydisDecoderDecodeFull(dec, s->b, 15, &zi, zo));
	struct pair p = {s, &in, &zi, zo, NULL};

	if (st != X86_DEC_OK || !theirs) {
		if (theirs && is_left_out(&zi))
			return;
		if (theirs)
			report(s, "refused",
				ZydisISASetGetString(zi.meta.isa_set), st, 0);
		else if (st == X86_DEC_OK && !is_w_ignored(&in))
			report(s, "accepted", in.def->name, 0, 0);
		return;
	}
	p.name = ZydisMnemonicGetString(zi.mnemonic);
	CHECK(&p, "length", in.len, zi.length);
	check_name(&p);
	check_raw(&p);
	check_operands(&p);
	check_flags(&p);
}

int main(int argc, char **argv)
{
	unsigned long n = argc > 1 ? strtoul(argv[1], NULL, 0) : 2000000, i;
	ZydisDecoder dec[9];
	struct sample s;

	rng_state = argc > 2 ? strtoull(argv[2], NULL, 0) : 1;
	ZydisDecoderInit(
		&dec[2], ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_STACK_WIDTH_16);
	ZydisDecoderInit(
		&dec[4], ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32);
	ZydisDecoderInit(
		&dec[8], ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
	for (i = 2; i <= 8; i *= 2) {
		ZydisDecoderEnableMode(
			&dec[i], ZYDIS_DECODER_MODE_MPX, ZYAN_FALSE);
		ZydisDecoderEnableMode(
			&dec[i], ZYDIS_DECODER_MODE_KNC, ZYAN_FALSE);
		ZydisDecoderEnableMode(
			&dec[i], ZYDIS_DECODER_MODE_WBNOINVD, ZYAN_TRUE);
	}
	for (i = 0; i < n; i++) {
		make_sample(&s);
		compare(&s, &dec[s.mode]);
	}
	print_reports();
	printf("%lu strings, %lu differences of %u kinds\n", n, total,
		nreports);
	return total != 0;
}
