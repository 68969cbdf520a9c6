/*
 * fpu.c - exceptions of the x87 unit and of SSE, what CR0 and CR4 make of
 * their instructions, and their images in memory (SDM vol. 1, ch. 8 and 11;
 * vol. 3, 2.5 and table 2-2).
 */
#include "lib.h"

#define MP 2
#define EM 4
#define TS 8
#define NE 32

#define USED __attribute__((used))

uint16_t cw USED, sw USED;
uint32_t one USED = 0x3f800000, zero USED, three USED = 0x40400000,
	     denormal USED = 1, stored USED;
struct {
	uint64_t mantissa;
	uint16_t exponent;
} __attribute__((packed)) huge USED = {1ull << 63, 0x7ffe},
			       tiny USED = {1ull << 63, 1};
static uint8_t area[512] __attribute__((aligned(64), used));
uint16_t env16[7] USED;
uint32_t env32[7] USED, env32_again[7] USED;

/* ---- x87: one exception of each kind, then an instruction that waits ---- */

#define X87(name, code)                                                        \
	FN(x87_##name, "fninit; fldcw cw\n" code "\nfnstsw sw; at_" #name      \
		       ": fwait; fnclex");                                     \
	extern char at_##name[]

X87(ie, "fld1; fchs; fsqrt");
X87(de, "flds denormal");
X87(ze, "fld1; fdivs zero");
X87(oe, "fldt huge; fmul %st, %st");
X87(ue, "fldt tiny; fmul %st, %st");
X87(pe, "fld1; fdivs three");
X87(empty, "fld %st(1)");
X87(full, "fld1; fld1; fld1; fld1; fld1; fld1; fld1; fld1; fld1");

static const struct {
	void (*fn)(void);
	char *at;
	uint16_t bit, flags, masked;
	const char *name;
} kinds[] = {
	{x87_ie, at_ie, 1, 1, 1, "invalid operation"},
	{x87_de, at_de, 2, 2, 2, "denormal operand"},
	{x87_ze, at_ze, 4, 4, 4, "division by zero"},
	{x87_oe, at_oe, 8, 8, 0x28, "overflow"},
	{x87_ue, at_ue, 16, 16, 0x30, "underflow"},
	{x87_pe, at_pe, 32, 32, 32, "precision"},
	{x87_empty, at_empty, 1, 0x41, 0x41, "stack underflow"},
	{x87_full, at_full, 1, 0x241, 0x241, "stack overflow"},
};

static void check_kinds(void)
{
	for (unsigned i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		uint16_t flags = kinds[i].flags, masked = kinds[i].masked;

		cw = 0x37f & ~kinds[i].bit;
		ok_eq((word)guarded(kinds[i].fn), 16, kinds[i].name);
		ok_eq(fault.rip, (word)kinds[i].at, "  at the next that waits");
		/* C1 of the others says which way a result was rounded */
		ok_eq(sw & 0xc0ff & ~0x4000, 0x8080 | (flags & 0xff),
			"  with ES, B and its flag");
		cw = 0x37f;
		ok_eq((word)guarded(kinds[i].fn), (word)-1, "  masked: none");
		ok_eq(sw & 0x80ff, masked & 0xff, "  but its flag");
		if (masked & 0x40)
			ok_eq(sw >> 9 & 1, masked >> 9, "  C1: which way");
	}
}

/* What an exception that is not masked leaves alone. */
FN(keep_zde, "fninit; fldcw cw; fld1; fdivs zero; fnclex; fstps stored");
FN(keep_store, "fninit; fldcw cw; movl $7, stored; fldt huge; fstps stored\n"
	       "fnstsw sw; fnclex");
FN(keep_int, "fninit; fldcw cw; movl $7, stored; fldt huge; fistpl stored\n"
	     "fnstsw sw; fnclex");
FN(made_int, "fninit; fldt huge; fistpl stored; fnstsw sw");
FN(made_pe, "fninit; fld1; fdivs three; fnclex; fldcw cw; fistpl stored\n"
	    "fnstsw sw; fnclex");

static void check_kept(void)
{
	cw = 0x37b;
	guarded(keep_zde);
	ok_eq(stored, one, "1 / 0 not masked leaves its operand");
	cw = 0x377;
	guarded(keep_store);
	ok_eq(stored, 7, "overflow of a store leaves memory alone");
	ok_eq(sw >> 11 & 7, 7, "and does not pop");
	cw = 0x37e;
	guarded(keep_int);
	ok_eq(stored, 7, "so does an integer too large");
	ok_eq(sw >> 11 & 7, 7, "and does not pop");
	guarded(made_int);
	ok_eq(stored, 0x80000000, "masked it stores the integer indefinite");
	ok_eq(sw >> 11 & 7, 0, "and pops");
	cw = 0x35f;
	guarded(made_pe);
	ok_eq(stored, 0, "precision not masked stores the result");
	ok_eq(sw & 0x38a0, 0x00a0, "and pops");
}

/* ---- which instructions wait (SDM vol. 1, 8.3.12; vol. 2) ---- */

#define NEXT(name, code)                                                       \
	FN(next_##name, "fninit; fldcw cw; fld1; fdivs zero\n" code)

NEXT(fwait, "fwait");
NEXT(fld, "fld1");
NEXT(fnop, "fnop");
NEXT(fldcw, "fldcw cw");
NEXT(fldenv, "fldenv env32");
NEXT(frstor, "frstor area");
NEXT(fincstp, "fincstp");
NEXT(ffree, "ffree %st(0)");
NEXT(emms, "emms");
NEXT(paddb, "paddb %mm0, %mm0");
NEXT(movd, "movd %mm0, stored");
NEXT(cvt, "cvtps2pi %xmm0, %mm0");
NEXT(movq2dq, "movq2dq %mm0, %xmm0");
NEXT(fnstsw, "fnstsw %ax");
NEXT(fnstcw, "fnstcw sw");
NEXT(fnstenv, "fnstenv env32");
NEXT(fnsave, "fnsave area");
NEXT(fnclex, "fnclex");
NEXT(fninit, "fninit");
NEXT(fndisi, ".byte 0xdb, 0xe1");
NEXT(fneni, ".byte 0xdb, 0xe0");
NEXT(fnsetpm, ".byte 0xdb, 0xe4");
NEXT(fxsave, "fxsave area");
NEXT(fxrstor, "fxsave area; fxrstor area; fnclex");
NEXT(addps, "addps %xmm0, %xmm0");
NEXT(ldmxcsr, "movl $0x1f80, stored; ldmxcsr stored");

static const struct attempt waiting[] = {
	{next_fwait, 16, "pending: FWAIT is #MF"},
	{next_fld, 16, "FLD1 is"},
	{next_fnop, 16, "FNOP is"},
	{next_fldcw, 16, "FLDCW is"},
	{next_fldenv, 16, "FLDENV is"},
	{next_frstor, 16, "FRSTOR is"},
	{next_fincstp, 16, "FINCSTP is"},
	{next_ffree, 16, "FFREE is"},
	{next_emms, 16, "EMMS is"},
	{next_paddb, 16, "PADDB of MMX is"},
	{next_movd, 16, "MOVD from MMX is"},
	{next_cvt, 16, "CVTPS2PI is"},
	{next_movq2dq, 16, "MOVQ2DQ is"},
	{next_fnstsw, -1, "FNSTSW is not"},
	{next_fnstcw, -1, "FNSTCW is not"},
	{next_fnstenv, -1, "FNSTENV is not"},
	{next_fnsave, -1, "FNSAVE is not"},
	{next_fnclex, -1, "FNCLEX is not"},
	{next_fninit, -1, "FNINIT is not"},
	{next_fndisi, -1, "FNDISI is not"},
	{next_fneni, -1, "FNENI is not"},
	{next_fnsetpm, -1, "FNSETPM is not"},
	{next_fxsave, -1, "FXSAVE is not"},
	{next_fxrstor, -1, "FXRSTOR is not"},
	{next_addps, -1, "ADDPS is not"},
	{next_ldmxcsr, -1, "LDMXCSR is not"},
};

/* Flags and masks that an instruction loads make an exception pending. */
FN(make_fldcw, "fninit; fld1; fdivs zero; fldcw cw; fnstsw sw; fwait");
FN(make_fldenv, "fninit; fnstenv env32; movl $0x37b, env32; orl $4, env32 + 4\n"
		"fldenv env32; fnstsw sw; fwait");
FN(make_fxrstor, "fninit; fxsave area; andb $~4, area; orb $4, area + 2\n"
		 "fxrstor area; fnstsw sw; fwait");
FN(unmake_fldcw, "fninit; fldcw cw; fld1; fdivs zero; fnstenv env32\n"
		 "movw $0x37f, env32; fldenv env32; fnstsw sw; fwait");

static void check_pending(void)
{
	cw = 0x37b;
	ATTEMPT(waiting);
	ok_eq((word)guarded(make_fldcw), 16, "FLDCW clearing a mask");
	ok_eq(sw & 0x8080, 0x8080, "sets ES and B");
	ok_eq((word)guarded(make_fldenv), 16, "FLDENV with a flag");
	ok_eq(sw & 0x8080, 0x8080, "sets ES and B");
	ok_eq((word)guarded(make_fxrstor), 16, "FXRSTOR with a flag");
	ok_eq(sw & 0x8080, 0x8080, "sets ES and B");
	/* the first of these is #MF by its own FNSTENV, which masks all */
	ok_eq((word)guarded(unmake_fldcw), (word)-1, "FLDENV with all masked");
	ok_eq(sw & 0x8080, 0, "clears ES and B");
}

/* ---- CR0.NE clear: FERR#, interrupt 13, IGNNE# (SDM vol. 1, D.2) ---- */

FN(ferr, "fninit; fldcw cw; sti; fld1; fdivs zero; nop\nferr_at: fldz\n"
	 "cli; fnstsw sw; fnclex");
FN(ferr_again, "fninit; fldcw cw; sti; fld1; fdivs zero; fldz; fld1; fchs\n"
	       "fnclex; fdivs zero; fwait; cli; fninit");
FN(ferr_masked, "cli; fninit; fldcw cw; fld1; fdivs zero; fldz; fnstsw sw\n"
		"fninit");
extern char ferr_at[];
static unsigned ferrs;
static word ferr_rip;

static void on_ferr(struct frame *f)
{
	ferrs++;
	ferr_rip = f->rip;
	outb(0xf0, 0);
	outb(0xa0, 0x20);
	outb(0x20, 0x20);
}

static void check_ferr(void)
{
	static const uint8_t init[][2] = {{0x20, 0x11}, {0x21, 0x20}, {0x21, 4},
		{0x21, 1}, {0xa0, 0x11}, {0xa1, 0x28}, {0xa1, 2}, {0xa1, 1},
		{0x21, 0xfb}, {0xa1, 0xdf}};

	for (unsigned i = 0; i < sizeof(init) / sizeof(*init); i++)
		outb(init[i][0], init[i][1]);
	write_cr0(read_cr0() & ~(word)NE);
	on_vector(0x2d, on_ferr);
	cw = 0x37b;
	ok_eq((word)guarded(ferr), (word)-1, "without CR0.NE: no #MF");
	ok_eq(ferrs, 1, "but interrupt 13");
	ok_eq(ferr_rip, (word)ferr_at, "before the next that waits");
	ok_eq(sw >> 11 & 7, 6, "which goes on after a write to port F0h");
	guarded(ferr_again);
	ok_eq(ferrs, 3, "the next error is another one");
	ok_eq((word)guarded(ferr_masked), (word)-1, "with IF clear it goes on");
	ok_eq(sw >> 11 & 7, 6, "like that");
	on_vector(0x2d, NULL);
	outb(0x21, 0xff);
	outb(0xa1, 0xff);
	write_cr0(read_cr0() | NE);
}

/* ---- CR0.EM, MP, TS (SDM vol. 3, table 2-2) ---- */

enum class { X87, WAIT, MMX, SSE, FXS, NONE };

#define NM(name, code) FN(nm_##name, code)

NM(fld1, "fninit; fld1");
NM(fninit, "fninit");
NM(fnstsw, "fnstsw %ax");
NM(fnclex, "fnclex");
NM(fisttp, "fisttpl stored");
NM(fwait, "fwait");
NM(paddb, "paddb %mm0, %mm0");
NM(emms, "emms");
NM(paddq, "paddq %mm0, %mm0");
NM(pshufw, "pshufw $0, %mm0, %mm0");
NM(pabsb, "pabsb %mm0, %mm0");
NM(movntq, "movntq %mm0, area");
NM(addps, "addps %xmm0, %xmm0");
NM(movq2dq, "movq2dq %mm0, %xmm0");
NM(cvtpi2ps, "cvtpi2ps area, %xmm0");
NM(ldmxcsr, "movl $0x1f80, stored; ldmxcsr stored");
NM(stmxcsr, "stmxcsr stored");
NM(pcmpestri, "pcmpestri $0, %xmm0, %xmm0");
NM(fxsave, "fxsave area");
NM(sfence, "sfence");
NM(prefetch, "prefetchnta area");
NM(movnti, "movnti %eax, area");
NM(crc32, "crc32l %eax, %eax");
NM(popcnt, "popcnt %eax, %eax");
NM(clflush, "clflush area");

static const struct {
	void (*fn)(void);
	enum class class;
	const char *name;
} by_cr0[] = {
	{nm_fld1, X87, "FLD1"},
	{nm_fninit, X87, "FNINIT"},
	{nm_fnstsw, X87, "FNSTSW"},
	{nm_fnclex, X87, "FNCLEX"},
	{nm_fisttp, X87, "FISTTP"},
	{nm_fwait, WAIT, "FWAIT"},
	{nm_paddb, MMX, "PADDB mm"},
	{nm_emms, MMX, "EMMS"},
	{nm_paddq, MMX, "PADDQ mm"},
	{nm_pshufw, MMX, "PSHUFW mm"},
	{nm_pabsb, MMX, "PABSB mm"},
	{nm_movntq, MMX, "MOVNTQ"},
	{nm_addps, SSE, "ADDPS"},
	{nm_movq2dq, SSE, "MOVQ2DQ"},
	{nm_cvtpi2ps, SSE, "CVTPI2PS from memory"},
	{nm_ldmxcsr, SSE, "LDMXCSR"},
	{nm_stmxcsr, SSE, "STMXCSR"},
	{nm_pcmpestri, SSE, "PCMPESTRI"},
	{nm_fxsave, FXS, "FXSAVE"},
	{nm_sfence, NONE, "SFENCE"},
	{nm_prefetch, NONE, "PREFETCHNTA"},
	{nm_movnti, NONE, "MOVNTI"},
	{nm_crc32, NONE, "CRC32"},
	{nm_popcnt, NONE, "POPCNT"},
	{nm_clflush, NONE, "CLFLUSH"},
};

static int class_fault(enum class c, unsigned cr0, bool osfxsr)
{
	switch (c) {
	case X87:
	case FXS: return cr0 & (EM | TS) ? 7 : -1;
	case WAIT: return (cr0 & (MP | TS)) == (MP | TS) ? 7 : -1;
	case SSE:
		if (!osfxsr)
			return 6;
		/* fall through */
	case MMX:
		if (cr0 & EM)
			return 6;
		return cr0 & TS ? 7 : -1;
	default: return -1;
	}
}

/* All combinations of an instruction: how many go wrong, and the last. */
static void check_one_cr0(unsigned i)
{
	word cr0 = read_cr0(), cr4 = read_cr4(), bad = 0, last = 0;

	for (unsigned n = 0; n < 16; n++) {
		unsigned bits = (n & 7) << 1;
		bool osfxsr = n & 8;
		int got;

		write_cr4(osfxsr ? cr4 | 0x200 : cr4 & ~(word)0x200);
		write_cr0((cr0 & ~(word)(MP | EM | TS)) | bits);
		got = guarded(by_cr0[i].fn);
		if (got != class_fault(by_cr0[i].class, bits, osfxsr)) {
			bad++;
			last = n << 8 | (got & 255);
		}
	}
	write_cr0(cr0);
	write_cr4(cr4);
	ok_eq(bad ? last : 0, 0, by_cr0[i].name);
}

static void check_cr0(void)
{
	print("# under CR0.EM, MP, TS and CR4.OSFXSR\n");
	guarded(nm_fninit);
	for (unsigned i = 0; i < sizeof(by_cr0) / sizeof(*by_cr0); i++)
		check_one_cr0(i);
}

/* ---- images of the environment (SDM vol. 1, figures 8-9 to 8-12) ---- */

/* ST0 0, ST1 infinity, ST2 1, the rest empty: tags in R5, R6, R7. */
#define SOME "fninit; fld1; fld1; fdivs zero; fldz\n"

FN(env_32, SOME "fnstenv env32; fnstenv env32_again");
FN(env_16, SOME ".byte 0x66; fnstenv env16");
FN(env_error, "fninit; fldcw cw; fld1\nfip_at: fdivs zero; fnstenv env32");
FN(env_back, SOME "fnstenv env32; fninit; fldenv env32; fnstenv env32_again");
FN(env_back16, SOME ".byte 0x66; fnstenv env16; fninit; .byte 0x66\n"
		    "fldenv env16; fnstenv env32_again");
FN(save_32, SOME "fnsave area; fnstenv env32");
FN(save_back, SOME "fnsave area; frstor area; fnstenv env32; fstps stored");
FN(fx_image, SOME "fxsave area; fnclex");
extern char fip_at[];

static void check_images(void)
{
	guarded(env_32);
	ok_eq(env32[0], 0xffff037f, "FNSTENV, 32 bits: FCW, high part ones");
	ok_eq(env32[1], 0xffff2804, "FSW");
	ok_eq(env32[2], 0xffff27ff, "tags: valid, infinite, zero, empty");
	ok_eq(env32[6] >> 16, 0xffff, "the last word's high part is ones");
	ok_eq(env32_again[0], 0xffff037f, "FCW: all masked");
	guarded(env_16);
	ok_eq(env16[0], 0x37f, "16 bits: FCW");
	ok_eq(env16[1], 0x2804, "FSW");
	ok_eq(env16[2], 0x27ff, "tags");
	cw = 0x37b;
	guarded(env_error);
	ok_eq(env32[3], (uint32_t)(word)fip_at, "FIP of the error");
	ok_eq(env32[5], (uint32_t)(word)&zero, "FDP of the error");
	if (has(7, 0, 1, 13)) {
		ok_eq(env32[4] & 0xffff, 0, "FCS is no more");
		ok_eq(env32[6], 0xffff0000, "nor is FDS");
	}
	guarded(env_back);
	ok_eq(env32_again[1] & 0xffff, 0x2804, "FLDENV loads FSW");
	ok_eq(env32_again[2] & 0xffff, 0x27ff, "and tags by the registers");
	guarded(env_back16);
	ok_eq(env32_again[1] & 0xffff, 0x2804, "16 bits: FSW");
	ok_eq(env32_again[2] & 0xffff, 0x27ff, "and tags");
	guarded(save_32);
	ok_eq(*(uint32_t *)(area + 4), 0xffff2804, "FNSAVE: FSW");
	ok_eq(*(uint64_t *)(area + 28 + 20) >> 32, 0x80000000, "ST2 is 1");
	ok_eq(*(uint16_t *)(area + 28 + 28), 0x3fff, "  exponent");
	ok_eq(env32[1], 0xffff0000, "and the unit is initialized");
	ok_eq(env32[2], 0xffffffff, "all empty");
	guarded(save_back);
	ok_eq(env32[1], 0xffff2804, "FRSTOR: FSW");
	ok_eq(stored, 0, "ST0");
	guarded(fx_image);
	ok_eq(area[4], 0xe0, "FXSAVE: abridged tags");
	ok_eq(*(uint16_t *)(area + 2), 0x2804, "FSW");
	ok_eq(*(uint16_t *)(area + 32 + 16 + 8), 0x7fff, "ST1 at its place");
}

/* ---- FXRSTOR, LDMXCSR: reserved bits ---- */

FN(fx_save, "fxsave area");
FN(fx_load, "fxrstor area");
FN(fx_crooked, "fxsave area + 8");
FN(ld_mxcsr, "ldmxcsr stored");

static void check_mxcsr(void)
{
	uint32_t mask;

	guarded(fx_save);
	mask = *(uint32_t *)(area + 28);
	ok_eq(mask & 0xffff, 0xffff, "MXCSR_MASK: all of 15:0");
	for (unsigned i = 0; i < 32; i++) {
		int want = mask >> i & 1 ? -1 : 13;

		*(uint32_t *)(area + 24) = stored = 0x1f80 ^ 1u << i;
		if (guarded(fx_load) != want)
			ok_eq(i, 32, "FXRSTOR: a bit of MXCSR");
		if (guarded(ld_mxcsr) != want)
			ok_eq(i, 32, "LDMXCSR: a bit");
	}
	ok(true, "reserved bits of MXCSR are #GP");
	stored = 0x1f80;
	guarded(ld_mxcsr);
	ok_eq((word)guarded(fx_crooked), 13, "FXSAVE not aligned is #GP");
}

#ifdef __x86_64__
FN(fx_wide, "fxsave64 area; movq pointer, %rax; movq %rax, area + 8\n"
	    "movq %rax, area + 16; fxrstor64 area; fxsave64 area");
uint64_t pointer USED = 0xc0007e44c250fb64;

static void check_pointers(void)
{
	guarded(fx_wide);
	ok_eq(*(uint64_t *)(area + 8), 0x00007e44c250fb64,
		"FXRSTOR makes FIP canonical");
}
#endif

/* MMX turns all tags valid and TOP 0. */
FN(mmx_tags, "fninit; fld1; fld1; movd %mm1, %eax; fxsave area; fnstsw sw\n"
	     "emms");
FN(mmx_exponent, "fninit; pxor %mm2, %mm2; fxsave area; emms; fnstenv env32");

static void check_mmx(void)
{
	guarded(mmx_tags);
	ok_eq(area[4], 0xff, "MMX makes all registers valid");
	ok_eq(sw & 0x3800, 0, "and TOP 0");
	guarded(mmx_exponent);
	ok_eq(*(uint16_t *)(area + 32 + 40), 0xffff,
		"with an exponent of ones");
	ok_eq(env32[2], 0xffffffff, "EMMS empties all");
}

/* ---- SSE ---- */

#define ONE   0x3f800000
#define HALF  0x3f000000
#define THREE 0x40400000
#define INF   0x7f800000
#define SNAN  0x7f800001
#define QNAN  0x7fc00000
#define DEN   1
#define MAX   0x7f7fffff
#define MIN   0x00800000

uint32_t xa[4] __attribute__((aligned(16), used));
uint32_t xb[4] __attribute__((aligned(16), used));
uint32_t xr[4] __attribute__((aligned(16), used));
uint32_t mxcsr USED, mxcsr_after USED;

#define SIMD(name, insn)                                                       \
	FN(xm_##name, "movl $0x1f80, stored; ldmxcsr stored\n"                 \
		      "movaps xa, %xmm0; movaps xb, %xmm1; ldmxcsr mxcsr\n"    \
		      "at_xm_" #name ": " insn);                               \
	extern char at_xm_##name[]
SIMD(add, "addps %xmm1, %xmm0");
SIMD(mul, "mulps %xmm1, %xmm0");
SIMD(div, "divps %xmm1, %xmm0");
SIMD(divss, "divss %xmm1, %xmm0");
SIMD(sqrt, "sqrtps %xmm1, %xmm0");
SIMD(max, "maxps %xmm1, %xmm0");
SIMD(cvt, "cvtps2dq %xmm1, %xmm0");
SIMD(comi, "comiss %xmm1, %xmm0");
SIMD(ucomi, "ucomiss %xmm1, %xmm0");
SIMD(mem, "divps xb, %xmm0");
FN(xm_end, "stmxcsr mxcsr_after; movaps %xmm0, xr; movl $0x1f80, stored\n"
	   "ldmxcsr stored");

enum { I = 1, D = 2, Z = 4, O = 8, U = 16, P = 32, DAZ = 64, FZ = 0x8000 };
#define NOT(bits) (0x1f80 & ~((bits) << 7))

struct simd {
	void (*fn)(void);
	uint32_t a[2], b[2], mxcsr;
	int vector;
	uint16_t flags;
	uint32_t result;
	const char *name;
};

static const struct simd simds[] = {
	{xm_add, {SNAN, ONE}, {ONE, ONE}, NOT(I), 19, I, SNAN, "SNaN"},
	{xm_add, {SNAN, ONE}, {ONE, ONE}, NOT(0), -1, I, 0x7fc00001,
		"masked: quiet"},
	{xm_add, {DEN, ONE}, {ONE, ONE}, NOT(D), 19, D, DEN, "denormal"},
	{xm_div, {ONE, ONE}, {0, ONE}, NOT(Z), 19, Z, ONE, "division by 0"},
	{xm_div, {ONE, ONE}, {0, ONE}, NOT(0), -1, Z, INF, "masked: infinity"},
	{xm_mem, {ONE, ONE}, {0, ONE}, NOT(Z), 19, Z, ONE, "in memory"},
	{xm_add, {MAX, ONE}, {MAX, ONE}, NOT(O), 19, O, MAX, "overflow"},
	{xm_mul, {MIN, ONE}, {HALF, ONE}, NOT(U), 19, U, MIN,
		"underflow, though exact"},
	{xm_mul, {MIN, ONE}, {HALF, ONE}, NOT(0), -1, 0, 0x400000,
		"masked and exact: none"},
	{xm_div, {ONE, ONE}, {THREE, ONE}, NOT(P), 19, P, ONE, "precision"},
	{xm_sqrt, {0, 0}, {0xbf800000, ONE}, NOT(I), 19, I, 0, "root of -1"},
	{xm_cvt, {7, 0}, {MAX, ONE}, NOT(I), 19, I, 7, "integer too large"},
	{xm_cvt, {7, 0}, {MAX, ONE}, NOT(0), -1, I, 0x80000000,
		"masked: the integer indefinite"},
	{xm_max, {ONE, 0}, {QNAN, 0}, NOT(I), 19, I, ONE, "MAXPS of a QNaN"},
	{xm_comi, {QNAN, 0}, {ONE, 0}, NOT(I), 19, I, QNAN, "COMISS of a QNaN"},
	{xm_ucomi, {QNAN, 0}, {ONE, 0}, NOT(I), -1, 0, QNAN, "UCOMISS: none"},
	/* priorities (SDM vol. 1, 11.5.2, 4.9.2) */
	{xm_add, {SNAN, ONE}, {DEN, ONE}, NOT(D), -1, I, 0x7fc00001,
		"a NaN comes before a denormal"},
	{xm_add, {DEN, SNAN}, {ONE, ONE}, NOT(D), 19, D | I, DEN,
		"flags of all elements before the result"},
	{xm_div, {ONE, ONE}, {0, THREE}, NOT(Z), 19, Z, ONE,
		"but none of what comes after"},
	{xm_div, {ONE, ONE}, {0, THREE}, NOT(P), 19, Z | P, ONE,
		"masked, all of them"},
	{xm_divss, {ONE, ONE}, {THREE, 0}, NOT(Z), -1, P, 0x3eaaaaab,
		"a scalar looks at one element"},
	{xm_add, {QNAN, ONE}, {ONE, ONE}, NOT(I), -1, 0, QNAN, "a QNaN: none"},
	{xm_add, {INF, ONE}, {0xff800000, ONE}, NOT(I), 19, I, INF,
		"infinity less infinity"},
	/* DAZ, FTZ, rounding */
	{xm_add, {DEN, ONE}, {ONE, ONE}, NOT(0), -1, D | P, ONE,
		"a denormal operand"},
	{xm_add, {DEN, ONE}, {ONE, ONE}, NOT(0) | DAZ, -1, 0, ONE,
		"DAZ: counts as 0"},
	{xm_add, {DEN, ONE}, {ONE, ONE}, NOT(D) | DAZ, -1, 0, ONE,
		"and raises nothing"},
	{xm_add, {0x80000001, ONE}, {0x80000000, ONE}, NOT(0) | DAZ, -1, 0,
		0x80000000, "with its sign"},
	{xm_mul, {MIN, ONE}, {HALF, ONE}, NOT(0) | FZ, -1, U | P, 0,
		"FTZ: a denormal result is 0"},
	{xm_mul, {MIN | 1u << 31, ONE}, {HALF, ONE}, NOT(0) | FZ, -1, U | P,
		0x80000000, "with its sign"},
	{xm_mul, {MIN, ONE}, {HALF, ONE}, NOT(U) | FZ, 19, U, MIN,
		"FTZ counts for nothing with underflow not masked"},
	{xm_div, {ONE, ONE}, {THREE, ONE}, NOT(0) | 0x2000, -1, P, 0x3eaaaaaa,
		"rounding down"},
	{xm_div, {ONE, ONE}, {THREE, ONE}, NOT(0) | 0x4000, -1, P, 0x3eaaaaab,
		"rounding up"},
	{xm_div, {ONE, ONE}, {0xc0400000, ONE}, NOT(0) | 0x6000, -1, P,
		0xbeaaaaaa, "rounding to 0"},
};

static void check_simds(void)
{
	print("# SSE\n");
	for (unsigned i = 0; i < sizeof(simds) / sizeof(*simds); i++) {
		const struct simd *s = &simds[i];

		for (unsigned n = 0; n < 4; n++) {
			xa[n] = s->a[n != 0];
			xb[n] = s->b[n != 0];
		}
		mxcsr = s->mxcsr;
		ok_eq((word)guarded(s->fn), (word)s->vector, s->name);
		guarded(xm_end);
		ok_eq(mxcsr_after, s->mxcsr | s->flags, "  MXCSR");
		ok_eq(xr[0], s->result, "  the first element");
	}
	xa[0] = xa[1] = ONE;
	xb[0] = 0;
	mxcsr = NOT(Z);
	guarded(xm_div);
	ok_eq(fault.rip, (word)at_xm_div, "#XM is a fault");
	guarded(xm_end);
	write_cr4(read_cr4() & ~(word)0x400);
	ok_eq((word)guarded(xm_div), 6, "without CR4.OSXMMEXCPT it is #UD");
	guarded(xm_end);
	ok_eq(mxcsr_after & 0x3f, Z, "with the flag set");
	write_cr4(read_cr4() | 0x400);
}

void test_main(void)
{
	write_cr0((read_cr0() & ~(word)(EM | TS)) | MP | NE);
	write_cr4(read_cr4() | 0x600);
	check_kinds();
	check_kept();
	check_pending();
	check_ferr();
	check_images();
	check_mxcsr();
	check_mmx();
#ifdef __x86_64__
	check_pointers();
#endif
	check_simds();
	check_cr0();
}
