/*
 * xsave.c - XCR0, the XSAVE family with its header, and what of AVX depends on
 * them (SDM vol. 1, ch. 13; vol. 2, 2.4; vol. 3, 2.6).
 */
#include "lib.h"

#define USED	 __attribute__((used))
#define OSXSAVE	 ((word)1 << 18)
#define COMPACT	 (1ull << 63)
#define XSS	 0xda0
#define HEADER	 512
#define BV	 (*(uint64_t *)(area + HEADER))
#define XCOMP	 (*(uint64_t *)(area + HEADER + 8))
#define MXCSR_AT (*(uint32_t *)(area + 24))

enum { EAX, EBX, ECX, EDX };

static uint8_t area[4096] __attribute__((aligned(64), used));
uint32_t rfbm[2] USED, xcr[3] USED, xgot[2] USED;
uint32_t pattern[16] __attribute__((aligned(64), used));
uint32_t seen[16] __attribute__((aligned(64), used));
uint32_t initial USED = 0x1f80, other USED = 0x1fa0;

#define MASK "mov rfbm, %eax; mov rfbm + 4, %edx\n"

FN(xgetbv, "mov xcr + 8, %ecx; xgetbv; mov %eax, xgot; mov %edx, xgot + 4");
FN(xsetbv, "mov xcr, %eax; mov xcr + 4, %edx; mov xcr + 8, %ecx; xsetbv");
FN(xsave, MASK "xsave area");
FN(xsaveopt, MASK "xsaveopt area");
FN(xsavec, MASK "xsavec area");
FN(xsaves, MASK "xsaves area");
FN(xrstor, MASK "xrstor area");
FN(xrstors, MASK "xrstors area");
FN(xsave_crooked, MASK "xsave area + 32");
FN(xrstor_crooked, MASK "xrstor area + 8");
FN(xsave_reg, ".byte 0x0f, 0xae, 0xe0");
FN(xsave_lock, MASK ".byte 0xf0; xsave area");
FN(xsetbv_lock, ".byte 0xf0; xsetbv");
FN(vaddps, "vaddps %xmm0, %xmm0, %xmm0");
FN(vaddps_z, "vaddps %zmm0, %zmm0, %zmm0");
FN(vzeroupper, "vzeroupper");
FN(kmov, "kmovw %k1, %k1");
FN(andn, "andn %eax, %eax, %eax");

static uint64_t there; /* what XCR0 may hold */

static uint64_t leaf_d(unsigned sub, unsigned low, int high)
{
	uint32_t r[4];

	cpuid(0xd, sub, r);
	return r[low] | (high < 0 ? 0 : (uint64_t)r[high] << 32);
}

static int set_xcr(uint32_t n, uint64_t v)
{
	xcr[0] = (uint32_t)v;
	xcr[1] = v >> 32;
	xcr[2] = n;
	return guarded(xsetbv);
}

static int run(void (*fn)(void), uint64_t mask)
{
	rfbm[0] = (uint32_t)mask;
	rfbm[1] = mask >> 32;
	return guarded(fn);
}

static void clear(uint8_t with)
{
	for (unsigned i = 0; i < sizeof(area); i++)
		area[i] = i >= HEADER && i < HEADER + 64 ? 0 : with;
}

/* ---- CR4.OSXSAVE ---- */

static const struct attempt disabled[] = {
	{xgetbv, 6, "without OSXSAVE: XGETBV is #UD"},
	{xsetbv, 6, "XSETBV is"},
	{xsave, 6, "XSAVE is"},
	{xsaveopt, 6, "XSAVEOPT is"},
	{xsavec, 6, "XSAVEC is"},
	{xsaves, 6, "XSAVES is"},
	{xrstor, 6, "XRSTOR is"},
	{xrstors, 6, "XRSTORS is"},
	{vaddps, 6, "VADDPS is"},
	{vzeroupper, 6, "VZEROUPPER is"},
	{andn, -1, "ANDN, of no vector, is not"},
};

static const struct attempt encoded[] = {
	{xsave_reg, 6, "XSAVE to a register is #UD"},
	{xsave_lock, 6, "LOCK XSAVE is #UD"},
	{xsetbv_lock, 6, "LOCK XSETBV is #UD"},
};

static void check_osxsave(void)
{
	ATTEMPT(disabled);
	ok(!has(1, 0, ECX, 27), "CPUID shows CR4.OSXSAVE: clear");
	write_cr4(read_cr4() | OSXSAVE);
	ok(has(1, 0, ECX, 27), "and set");
	ATTEMPT(encoded);
}

/* ---- XCR0 ---- */

static bool valid(uint64_t v)
{
	if ((v & ~there) || !(v & 1))
		return false;
	if ((v & 4) && !(v & 2))
		return false;
	if ((v & 0x18) && (v & 0x18) != 0x18)
		return false;
	return !(v & 0xe0) || ((v & 0xe0) == 0xe0 && (v & 4));
}

static void check_xcr0(void)
{
	unsigned bad = 0;

	xcr[2] = 0;
	guarded(xgetbv);
	ok_eq(xgot[0], 1, "XCR0 is 1 at first");
	for (unsigned v = 0; v < 1024; v++) {
		int want = valid(v) ? -1 : 13;

		bad += set_xcr(0, v) != want;
		guarded(xgetbv);
		bad += want < 0 && xgot[0] != v;
	}
	ok_eq(bad, 0, "XCR0: all combinations of bits 9:0");
	for (unsigned n = 10; n < 64; n++)
		if (n != 17 && n != 18)
			bad += set_xcr(0, 3 | 1ull << n) != 13;
	ok_eq(bad, 0, "the bits above are reserved");
	ok_eq((word)set_xcr(1, 1), 13, "there is no XCR1 to write");
	xcr[2] = 2;
	ok_eq((word)guarded(xgetbv), 13, "nor an XCR2 to read");
	set_xcr(0, there);
	ok_eq((word)guarded_user(xsetbv), 13, "XSETBV in ring 3 is #GP");
	ok_eq((word)guarded_user(xgetbv), (word)-1, "XGETBV is none");
	ok_eq(xgot[0], (uint32_t)there, "and shows it");
}

/* CPUID leaf 0xD (SDM vol. 1, 13.2). */
static void check_leaf(void)
{
	uint32_t end = 576, compact = 576;

	set_xcr(0, 1);
	ok_eq((word)leaf_d(0, EBX, -1), 576, "with XCR0 1: 576 bytes");
	set_xcr(0, 3);
	ok_eq((word)leaf_d(0, EBX, -1), 576, "with 3 the same");
	if (there & 4) {
		set_xcr(0, 7);
		ok_eq((word)leaf_d(0, EBX, -1), 832, "with AVX 832");
		ok_eq((word)leaf_d(1, EBX, -1), 832, "compacted as well");
		ok_eq((word)leaf_d(2, EAX, EBX), (word)(256 | 576ull << 32),
			"AVX: 256 bytes at 576");
	}
	set_xcr(0, there);
	for (unsigned i = 2; i < 63; i++) {
		uint32_t r[4];

		cpuid(0xd, i, r);
		if (!(there >> i & 1)) {
			if (!(r[ECX] & 1) && (r[EAX] || r[EBX]))
				ok_eq(i, 0, "a component that is not there");
			continue;
		}
		if (r[EBX] + r[EAX] > end)
			end = r[EBX] + r[EAX];
		if (r[ECX] & 2)
			compact = (compact + 63) & ~63u;
		compact += r[EAX];
	}
	ok_eq((word)leaf_d(0, EBX, -1), end, "with all: the end of the last");
	ok_eq((word)leaf_d(0, ECX, -1), end, "which is the largest");
	ok_eq((word)leaf_d(1, EBX, -1), compact, "compacted: their sum");
}

/* ---- AVX ---- */

static const struct attempt without_avx[] = {
	{vaddps, 6, "XCR0 3: VADDPS is #UD"},
	{vzeroupper, 6, "VZEROUPPER is"},
	{kmov, 6, "KMOVW is"},
};

#define VEX(name, ...) FN(vex_##name, ".byte " __VA_ARGS__)
VEX(lock, "0xf0, 0xc5, 0xf8, 0x58, 0xc0");
VEX(rep, "0xf3, 0xc5, 0xf8, 0x58, 0xc0");
VEX(size, "0x66, 0xc5, 0xf8, 0x58, 0xc0");
VEX(rex, "0x48, 0xc5, 0xf8, 0x58, 0xc0");
VEX(vvvv, "0xc5, 0xf0, 0x51, 0xc0"); /* VSQRTPS with a third operand */
VEX(map, "0xc4, 0xe4, 0x78, 0x58, 0xc0");
FN(vex_far, "vmovups area + 1, %xmm0; vaddps area + 1, %xmm0, %xmm0");
FN(vex_crooked, "vmovaps area + 1, %xmm0");
FN(sse_crooked, "addps area + 4, %xmm0");
FN(sse_movups, "movups area + 4, %xmm0");

static const struct attempt vexed[] = {
	{vex_lock, 6, "LOCK before VEX is #UD"},
	{vex_rep, 6, "REP is"},
	{vex_size, 6, "66h is"},
#ifdef __x86_64__
	{vex_rex, 6, "REX is"},
#endif
	{vex_vvvv, 6, "a third operand where there is none is"},
	{vex_map, 6, "an unknown map is"},
	{vex_far, -1, "AVX may be unaligned"},
	{vex_crooked, 13, "but VMOVAPS must not: #GP"},
	{sse_crooked, 13, "nor ADDPS from memory: #GP"},
	{sse_movups, -1, "but MOVUPS"},
};

static void check_avx(void)
{
	word cr0 = read_cr0();

	if (!(there & 4)) {
		skip("AVX", "not in this model");
		return;
	}
	set_xcr(0, 3);
	ATTEMPT(without_avx);
	set_xcr(0, 7);
	ok_eq((word)guarded(vaddps), (word)-1, "XCR0 7: VADDPS is there");
	if (there & 0xe0) {
		ok_eq((word)guarded(vaddps_z), 6, "with zmm it is #UD");
		ok_eq((word)guarded(kmov), 6, "KMOVW is");
		set_xcr(0, 0xe7);
		ok_eq((word)guarded(vaddps_z), (word)-1,
			"with E7h it is there");
		ok_eq((word)guarded(kmov), (word)-1, "and KMOVW");
	}
	ATTEMPT(vexed);
	write_cr0(cr0 | 8);
	ok_eq((word)guarded(vaddps), 7, "VADDPS with TS is #NM");
	ok_eq((word)guarded(vzeroupper), 7, "VZEROUPPER is");
	ok_eq((word)run(xsave, 7), 7, "XSAVE is");
	ok_eq((word)run(xrstor, 7), 7, "XRSTOR is");
	ok_eq((word)guarded(andn), (word)-1, "ANDN is not");
	write_cr0((cr0 & ~(word)8) | 4);
	ok_eq((word)guarded(vaddps), (word)-1, "EM means nothing to VADDPS");
	ok_eq((word)run(xsave, 7), (word)-1, "nor to XSAVE");
	write_cr0(cr0);
	set_xcr(0, there);
}

/* ---- what is written ---- */

FN(init_all, "fninit; ldmxcsr initial; pxor %xmm0, %xmm0; pxor %xmm1, %xmm1");
FN(use_x87, "fld1");
FN(use_sse, "movaps pattern, %xmm0");
FN(use_mxcsr, "ldmxcsr other");
FN(use_avx, "vmovaps pattern, %ymm0");
FN(zero_avx, "vzeroall");
FN(see_avx, "vmovaps %ymm0, seen");
FN(see_sse, "movaps %xmm0, seen");
FN(see_mxcsr, "stmxcsr seen");
FN(see_fsw, "fnstsw %ax; movzwl %ax, %eax; mov %eax, seen");

static void fresh(void)
{
	uint8_t with = 0;

	for (unsigned i = 0; i < 16; i++)
		pattern[i] = 0x11111111 * (i + 1);
	clear(with);
	if (there & 4)
		guarded(zero_avx);
	/* everything to its initial state */
	MXCSR_AT = 0x1f80;
	run(xrstor, ~0ull);
	clear(0xa5);
}

static uint32_t in_use(void)
{
	xcr[2] = 1;
	guarded(xgetbv);
	return xgot[0];
}

static void check_in_use(void)
{
	if (!(leaf_d(1, EAX, -1) & 4)) {
		skip("XGETBV of XINUSE", "not in this model");
		return;
	}
	fresh();
	ok_eq(in_use() & ~1u, 0, "XINUSE: nothing");
	guarded(use_x87);
	ok_eq(in_use() & 3, 1, "x87");
	guarded(use_sse);
	ok_eq(in_use() & 3, 3, "SSE");
	fresh();
	if (!(there & 4))
		return;
	guarded(use_avx);
	ok_eq(in_use() & 6, 6, "AVX");
	guarded(vzeroupper);
	ok_eq(in_use() & 6, 2, "VZEROUPPER makes it initial");
}

static void check_save(void)
{
	fresh();
	guarded(use_sse);
	ok_eq((word)run(xsave, 2), (word)-1, "XSAVE of SSE alone");
	ok_eq((word)BV, 2, "XSTATE_BV");
	ok_eq(area[0], 0xa5, "leaves x87's part alone");
	ok_eq(*(uint32_t *)(area + 160), 0x11111111, "writes XMM");
	ok_eq(MXCSR_AT, 0x1f80, "and MXCSR");
	ok_eq(area[464], 0xa5, "but nothing behind XMM15");
#ifndef __x86_64__
	ok_eq(area[160 + 8 * 16], 0xa5, "nor, in 32 bits, behind XMM7");
#endif
	BV = 1;
	run(xsave, 2);
	ok_eq((word)BV, 3, "XSTATE_BV of others stays");
	BV = 1ull << 40;
	run(xsave, 3);
	ok_eq((word)(BV >> 32), 1 << 8, "even where there is none");
	fresh();
	run(xsave, 2);
	ok_eq((word)BV, 0, "initial SSE: its bit is clear");
	ok_eq(*(uint32_t *)(area + 160), 0, "but zeros are written");
	fresh();
	guarded(use_mxcsr);
	run(xsave, there);
	ok_eq((word)BV & 2, 2, "MXCSR alone makes SSE not initial");
	if (there & 4) {
		fresh();
		run(xsave, 4);
		ok_eq(MXCSR_AT, 0x1f80, "XSAVE of AVX writes MXCSR, too");
		ok_eq(area[160], 0xa5, "but no XMM");
	}
	fresh();
	if (run(xsaveopt, 3) < 0) {
		ok_eq(area[160], 0xa5, "XSAVEOPT: initial is not written");
		ok_eq((word)BV & 2, 0, "its bit is clear");
		ok_eq(MXCSR_AT, 0x1f80, "MXCSR is");
	}
	ok_eq((word)run(xsave_crooked, 3), 13, "XSAVE not aligned is #GP");
}

static void check_compact(void)
{
	uint32_t r[4];

	cpuid(0xd, 1, r);
	if (!(r[EAX] & 2)) {
		skip("XSAVEC", "not in this model");
		return;
	}
	fresh();
	guarded(use_sse);
	XCOMP = 0x1234;
	ok_eq((word)run(xsavec, 6), (word)-1, "XSAVEC");
	ok_eq((word)BV, 2, "XSTATE_BV: what is in use");
	ok_eq((word)(XCOMP >> 32), 0x80000000, "XCOMP_BV: compacted");
	ok_eq((uint32_t)XCOMP, 6 & there, "and what was asked for");
	ok_eq(area[0], 0xa5, "leaves x87's part alone");
	fresh();
	run(xsavec, 3);
	ok_eq(MXCSR_AT, 0xa5a5a5a5, "initial SSE: not even MXCSR is written");
	if ((there & 0xe4) == 0xe4) {
		fresh();
		guarded(use_avx);
		run(xsavec, 0xe4);
		ok_eq(*(uint32_t *)(area + 576), 0x55555555, "AVX is first");
		/* opmask alone is where AVX would be */
		run(xsavec, 0x21);
		ok_eq((uint32_t)XCOMP, 0x21, "opmask without AVX");
	}
	if (!(r[EAX] & 8))
		return;
	fresh();
	guarded(use_sse);
	ok_eq((word)run(xsaves, 3), (word)-1, "XSAVES");
	ok_eq((word)(XCOMP >> 32), 0x80000000, "is compacted");
	ok_eq((word)guarded_user(xsaves), 13, "in ring 3 it is #GP");
	ok_eq((word)run(xrstors, 3), (word)-1, "XRSTORS");
	ok_eq((word)guarded_user(xrstors), 13, "in ring 3 it is #GP");
	XCOMP = 0;
	ok_eq((word)run(xrstors, 3), 13, "the standard form is #GP");
}

/* ---- what is read ---- */

static const struct {
	uint64_t bv, xcomp, more; /* of the header; more: bytes 23:16 */
	uint64_t last;		  /* bytes 63:56 */
	int vector;
	bool compact;
	const char *name;
} headers[] = {
	{0, 0, 0, 0, -1, false, "a header of zeros"},
	{3, 0, 0, 0, -1, false, "x87 and SSE"},
	{1ull << 62, 0, 0, 0, 13, false, "XSTATE_BV of an unknown part: #GP"},
	{8, 0, 0, 0, 13, false, "XSTATE_BV beyond XCR0: #GP"},
	{COMPACT, 0, 0, 0, 13, false, "XSTATE_BV bit 63: #GP"},
	{0, 1, 0, 0, 13, false, "XCOMP_BV in the standard form: #GP"},
	{0, 0, 1, 0, 13, false, "bytes 23:16: #GP"},
	{0, 0, 1ull << 63, 0, 13, false, "to their end"},
	{0, 0, 0, 1, -1, false, "bytes 63:24 are not looked at"},
	{0, COMPACT, 0, 0, -1, true, "compacted, nothing"},
	{3, COMPACT | 3, 0, 0, -1, true, "compacted, x87 and SSE"},
	{3, COMPACT | 1, 0, 0, 13, true, "XSTATE_BV not in XCOMP_BV: #GP"},
	{0, COMPACT | 8, 0, 0, 13, true, "XCOMP_BV beyond XCR0: #GP"},
	{0, COMPACT | 1ull << 62, 0, 0, 13, true, "of an unknown part: #GP"},
	{0, COMPACT | 3, 1, 0, 13, true, "compacted: bytes 23:16: #GP"},
	{0, COMPACT | 3, 0, 1, 13, true, "and up to byte 63: #GP"},
};

static void check_headers(void)
{
	bool compact = leaf_d(1, EAX, -1) & 2;

	for (unsigned i = 0; i < sizeof(headers) / sizeof(*headers); i++) {
		clear(0);
		MXCSR_AT = 0x1f80;
		BV = headers[i].bv;
		XCOMP = headers[i].xcomp;
		*(uint64_t *)(area + HEADER + 16) = headers[i].more;
		*(uint64_t *)(area + HEADER + 56) = headers[i].last;
		if (headers[i].compact && !compact)
			continue;
		ok_eq((word)run(xrstor, 3), (word)headers[i].vector,
			headers[i].name);
		ok_eq((word)run(xrstor, 0), (word)headers[i].vector,
			"  if nothing is asked for, too");
	}
	clear(0);
	BV = 3;
	MXCSR_AT = 0x10000;
	ok_eq((word)run(xrstor, 2), 13, "a reserved bit of MXCSR: #GP");
	ok_eq((word)run(xrstor, 1), (word)-1, "but not for x87 alone");
	ok_eq((word)run(xrstor_crooked, 3), 13, "XRSTOR not aligned is #GP");
}

static void check_restore(void)
{
	fresh();
	guarded(use_sse);
	clear(0);
	run(xrstor, 1);
	guarded(see_sse);
	ok_eq(seen[0], 0x11111111, "XRSTOR of x87 leaves XMM alone");
	MXCSR_AT = 0x1fa0;
	run(xrstor, 2);
	guarded(see_sse);
	ok_eq(seen[0], 0, "initial SSE: XMM is 0");
	guarded(see_mxcsr);
	ok_eq(seen[0], 0x1fa0, "MXCSR is loaded all the same");
	MXCSR_AT = 0x1f80;
	if (there & 4) {
		run(xrstor, 4);
		guarded(see_mxcsr);
		ok_eq(seen[0], 0x1f80, "for AVX, too");
	}
	guarded(use_x87);
	run(xrstor, 1);
	guarded(see_fsw);
	ok_eq(seen[0], 0, "initial x87: as after FNINIT");
	if (leaf_d(1, EAX, -1) & 2) {
		guarded(use_mxcsr);
		XCOMP = COMPACT | 3;
		MXCSR_AT = 0xffffffff;
		ok_eq((word)run(xrstor, 2), (word)-1,
			"compacted, SSE initial: MXCSR is not looked at");
		guarded(see_mxcsr);
		ok_eq(seen[0], 0x1f80, "but initial");
	}
	if (!(there & 4))
		return;
	fresh();
	guarded(use_avx);
	run(xsave, 6);
	guarded(zero_avx);
	run(xrstor, 4);
	guarded(see_avx);
	ok_eq(seen[0], 0, "XRSTOR of AVX leaves XMM alone");
	ok_eq(seen[4], 0x55555555, "and loads the upper halves");
	run(xrstor, 6);
	guarded(see_avx);
	ok_eq(seen[0], 0x11111111, "XMM comes with SSE");
	/* changed behind XRSTOR, so XSAVEOPT has to write it */
	guarded(zero_avx);
	pattern[4] = 0x77777777;
	guarded(use_avx);
	run(xsaveopt, 6);
	ok_eq(*(uint32_t *)(area + 576), 0x77777777, "XSAVEOPT sees changes");
}

static void bad_xss(void)
{
	wrmsr(XSS, ~leaf_d(1, ECX, EDX));
}

static void xss_100(void)
{
	wrmsr(XSS, 1);
}

static void check_xss(void)
{
	if (!(leaf_d(1, EAX, -1) & 8)) {
		skip("IA32_XSS", "not in this model");
		return;
	}
	ok_eq((word)rdmsr(XSS), 0, "IA32_XSS is 0 at first");
	ok_eq((word)guarded(bad_xss), 13, "bits that are not there are #GP");
	ok_eq((word)guarded(xss_100), 13, "x87 is no supervisor state: #GP");
}

void test_main(void)
{
	write_cr0((read_cr0() & ~(word)12) | 2);
	write_cr4(read_cr4() | 0x600);
	if (!has(1, 0, ECX, 26)) {
		skip("XSAVE", "not in this model");
		return;
	}
	check_osxsave();
	there = leaf_d(0, EAX, EDX);
	check_xcr0();
	check_leaf();
	check_avx();
	check_in_use();
	check_save();
	check_compact();
	check_headers();
	check_restore();
	check_xss();
}
