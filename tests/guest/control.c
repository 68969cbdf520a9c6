/*
 * control.c - control registers bit by bit, FS and GS bases, UMIP and INVPCID
 * (SDM vol. 3, 2.5; vol. 2).
 */
#include "lib.h"

#define USED __attribute__((used))

enum { EAX, EBX, ECX, EDX };

#ifdef __x86_64__
#define AX   "%rax"
#define LONG true
#else
#define AX   "%eax"
#define LONG false
#endif

word value USED, got USED;

#define SET(n) FN(set_cr##n, "mov value, " AX "; mov " AX ", %cr" #n)
#define GET(n) FN(get_cr##n, "mov %cr" #n ", " AX "; mov " AX ", got")
SET(0);
SET(2);
SET(3);
SET(4);
GET(0);
GET(2);
GET(3);
GET(4);

static int set(void (*fn)(void), word v)
{
	value = v;
	return guarded(fn);
}

/* ---- CR0 ---- */

#define CR0_KNOWN 0x6005003full /* CD NW AM WP NE ET TS EM MP PE */

static void check_cr0(void)
{
	word cr0 = read_cr0(), bad = 0;

	for (unsigned b = 1; b < sizeof(word) * 8; b++) {
		word v = cr0 ^ (word)1 << b, want = v & CR0_KNOWN;
		bool fault = b >= 32 || b == 29; /* NW without CD */

		if (b == 31) /* PG */
			continue;
		want |= (cr0 & 1ul << 31) | 0x10; /* ET is always set */
		if (set(set_cr0, v) != (fault ? 13 : -1))
			bad |= (word)1 << b;
		if (!fault && read_cr0() != want)
			bad |= (word)1 << b;
		write_cr0(cr0);
	}
	ok_eq(bad, 0, "CR0: each bit");
	ok_eq((word)set(set_cr0, cr0 | 0x60000000), (word)-1, "CD with NW");
	ok_eq(read_cr0(), cr0 | 0x60000000, "both read back");
	write_cr0(cr0);
	if (LONG)
		ok_eq((word)set(set_cr0, cr0 & ~(word)1), 13,
			"PE off with PG is #GP");
	else
		ok_eq((word)set(set_cr0, (cr0 & ~(word)1) | 1ul << 31), 13,
			"PG without PE is #GP");
}

FN(lmsw_0, "xor %eax, %eax; lmsw %ax");
FN(lmsw_f, "mov $0xffff, %eax; lmsw %ax");
FN(lmsw_mem, "movw $9, value; lmsw value");
FN(clts, "clts");
FN(smsw_mem, "smsw got");
FN(smsw_16, "mov $-1, " AX "; smsw %ax; mov " AX ", got");
FN(smsw_32, "mov $-1, " AX "; smsw %eax; mov " AX ", got");

static void check_msw(void)
{
	word cr0 = read_cr0();

	ok_eq((word)guarded(lmsw_0), (word)-1, "LMSW 0");
	ok_eq(read_cr0(), cr0 & ~(word)0xe, "clears MP, EM and TS, not PE");
	ok_eq((word)guarded(lmsw_f), (word)-1, "LMSW FFFFh");
	ok_eq(read_cr0(), cr0 | 0xf, "sets these four only");
	guarded(lmsw_mem);
	ok_eq(read_cr0(), (cr0 & ~(word)6) | 9, "LMSW of memory");
	ok_eq((word)guarded(clts), (word)-1, "CLTS");
	ok_eq(read_cr0(), cr0 & ~(word)0xe, "clears TS");
	ok_eq((word)guarded_user(clts), 13, "CLTS in ring 3 is #GP");
	ok_eq((word)guarded_user(lmsw_f), 13, "LMSW is");
	write_cr0(cr0);
	got = (word)-1;
	guarded(smsw_mem);
	ok_eq(got, ((word)-1 & ~(word)0xffff) | (cr0 & 0xffff),
		"SMSW to memory: a word");
	guarded(smsw_16);
	ok_eq(got, ((word)-1 & ~(word)0xffff) | (cr0 & 0xffff),
		"SMSW to AX: a word");
	guarded(smsw_32);
	ok_eq(got, (uint32_t)cr0, "SMSW to EAX: all of it");
}

/* ---- CR4 ---- */

static const struct {
	uint8_t bit, sub, reg, at;
	uint32_t leaf; /* 0: always */
} cr4_bits[] = {
	{0, 0, EDX, 1, 1},
	{1, 0, EDX, 1, 1},
	{2, 0, EDX, 4, 1},
	{3, 0, EDX, 2, 1},
	{4, 0, EDX, 3, 1},
	{5, 0, EDX, 6, 1},
	{6, 0, EDX, 7, 1},
	{7, 0, EDX, 13, 1},
	{8, 0, 0, 0, 0},
	{9, 0, EDX, 24, 1},
	{10, 0, EDX, 25, 1},
	{11, 0, ECX, 2, 7},
	{13, 0, ECX, 5, 1},
	{14, 0, ECX, 6, 1},
	{16, 0, EBX, 0, 7},
	{17, 0, ECX, 17, 1},
	{18, 0, ECX, 26, 1},
	{20, 0, EBX, 7, 7},
	{21, 0, EBX, 20, 7},
	{22, 0, ECX, 3, 7},
};

static word known_cr4(void)
{
	word v = 0;

	for (unsigned i = 0; i < sizeof(cr4_bits) / sizeof(*cr4_bits); i++)
		if (!cr4_bits[i].leaf ||
			has(cr4_bits[i].leaf, cr4_bits[i].sub, cr4_bits[i].reg,
				cr4_bits[i].at))
			v |= (word)1 << cr4_bits[i].bit;
	return v;
}

static void check_cr4(void)
{
	word cr4 = read_cr4(), known = known_cr4(), bad = 0;

	for (unsigned b = 0; b < sizeof(word) * 8; b++) {
		word bit = (word)1 << b;
		bool ok = known & bit;

		/* This program's pages are ring 3's as well, and bits of
		 * features that came later are not looked up here. */
		if ((LONG && (b == 20 || b == 21)) || b == 12 ||
			(b > 22 && b < 30))
			continue;
		if ((LONG && b == 5) || (!LONG && b == 17))
			ok = false;
		if (set(set_cr4, cr4 ^ bit) != (ok ? -1 : 13))
			bad |= bit;
		if (ok && read_cr4() != (cr4 ^ bit))
			bad |= bit;
		write_cr4(cr4);
	}
	ok_eq(bad, 0, "CR4: each bit");
	ok_eq((word)guarded_user(get_cr4), 13, "not from ring 3");
	ok_eq((word)guarded_user(set_cr4), 13, "nor to be written");
}

/* ---- the others ---- */

#define RAW(name, ...) FN(raw_##name, ".byte " __VA_ARGS__)
RAW(get_1, "0x0f, 0x20, 0xc8");
RAW(set_1, "0x0f, 0x22, 0xc8");
RAW(get_5, "0x0f, 0x20, 0xe8");
RAW(get_6, "0x0f, 0x20, 0xf0");
RAW(get_7, "0x0f, 0x20, 0xf8");
RAW(set_7, "0x0f, 0x22, 0xf8");
RAW(get_mod_0, "0x0f, 0x20, 0x00");
RAW(lock, "0xf0, 0x0f, 0x20, 0xc0");
#ifdef __x86_64__
RAW(get_9, "0x44, 0x0f, 0x20, 0xc8");
RAW(get_15, "0x44, 0x0f, 0x20, 0xf8");
RAW(dr_8, "0x44, 0x0f, 0x21, 0xc0");
FN(set_cr8, "mov value, %rax; mov %rax, %cr8");
FN(get_cr8, "mov %cr8, %rax; mov %rax, got");
#endif

static const struct attempt none[] = {
	{raw_get_1, 6, "CR1 is #UD"},
	{raw_set_1, 6, "so it is to be written"},
	{raw_get_5, 6, "CR5 is"},
	{raw_get_6, 6, "CR6 is"},
	{raw_get_7, 6, "CR7 is"},
	{raw_set_7, 6, "so it is to be written"},
	{raw_get_mod_0, -1, "the mod field does not count"},
#ifdef __x86_64__
	{raw_get_9, 6, "CR9 is #UD"},
	{raw_get_15, 6, "CR15 is"},
	{raw_dr_8, 6, "DR8 is"},
#endif
};

static void check_others(void)
{
	word bad = 0, cr3 = read_cr3();

	ATTEMPT(none);
	/* LOCK MOV CR0 is AMD's CR8 for 32-bit code */
	if (!has(0x80000001, 0, ECX, 4))
		ok_eq((word)guarded(raw_lock), 6, "LOCK MOV CR0 is #UD");
	for (unsigned b = 0; b < sizeof(word) * 8; b++) {
		if (set(set_cr2, (word)1 << b) != -1 ||
			read_cr2() != (word)1 << b)
			bad |= (word)1 << b;
	}
	ok_eq(bad, 0, "CR2 takes anything");
#ifdef __x86_64__
	uint32_t r[4];

	cpuid(0x80000008, 0, r);
	for (unsigned b = r[EAX] & 255; b < 64; b++)
		if (set(set_cr3, cr3 | 1ul << b) != 13)
			bad |= 1ul << b;
	ok_eq(bad, 0, "CR3: bits beyond physical addresses are #GP");
	for (word v = 0; v < 16; v++)
		bad += set(set_cr8, v) != -1 || guarded(get_cr8) != -1 ||
		       got != v;
	ok_eq(bad, 0, "CR8: 0 to 15");
	write_cr3(cr3);
	set(set_cr8, 0);
	for (unsigned b = 4; b < 64; b++)
		bad += set(set_cr8, 1ul << b) != 13;
	ok_eq(bad, 0, "and no other");
	ok_eq((word)guarded_user(get_cr8), 13, "not from ring 3");
#else
	/* PAE is off and so is paging: anything may be in CR3 */
	ok_eq((word)set(set_cr3, 0xfffff018), (word)-1, "CR3");
	ok_eq(read_cr3(), 0xfffff018, "reads back");
	write_cr3(cr3);
#endif
}

/* ---- FS and GS ---- */

FN(rdfs, "rdfs: .byte 0xf3, 0x0f, 0xae, 0xc0");

#ifdef __x86_64__
FN(rdfs64, "rdfsbase %rax; mov %rax, got");
FN(rdgs64, "rdgsbase %rax; mov %rax, got");
FN(rdfs32, "mov $-1, %rax; rdfsbase %eax; mov %rax, got");
FN(wrfs64, "mov value, %rax; wrfsbase %rax");
FN(wrgs64, "mov value, %rax; wrgsbase %rax");
FN(wrgs32, "mov value, %rax; wrgsbase %eax");
FN(peek_fs, "mov %fs:0, %rax; mov %rax, got");
FN(peek_gs, "mov %gs:8, %rax; mov %rax, got");
FN(swapgs, "swapgs");
FN(null_fs, "xor %eax, %eax; mov %eax, %fs");
FN(flat_gs, "mov $0x10, %eax; mov %eax, %gs");
static word cells[2] = {0x1122334455667788, 0x99aabbccddeeff00};

static void check_bases(void)
{
	word cr4 = read_cr4(), nc = 1ul << 47;

	write_cr4(cr4 & ~(word)0x10000);
	ok_eq((word)guarded(rdfs64), 6, "without FSGSBASE RDFSBASE is #UD");
	ok_eq((word)guarded(wrgs64), 6, "so is WRGSBASE");
	if (!has(7, 0, EBX, 0)) {
		skip("FSGSBASE", "not in this model");
		return;
	}
	write_cr4(cr4 | 0x10000);
	ok_eq((word)set(wrfs64, (word)cells), (word)-1, "WRFSBASE");
	ok_eq((word)guarded(rdfs64), (word)-1, "RDFSBASE");
	ok_eq(got, (word)cells, "reads it back");
	ok_eq(rdmsr(0xc0000100), (word)cells, "so does the MSR");
	guarded(peek_fs);
	ok_eq(got, cells[0], "and memory is there");
	ok_eq((word)guarded_user(peek_fs), (word)-1, "for ring 3, too");
	ok_eq(got, cells[0], "the same");
	value = (word)cells;
	ok_eq((word)guarded_user(wrgs64), (word)-1, "WRGSBASE in ring 3");
	guarded(peek_gs);
	ok_eq(got, cells[1], "moves GS");
	ok_eq((word)set(wrfs64, nc), 13, "not canonical is #GP");
	ok_eq((word)set(wrfs64, nc - 1), (word)-1, "the last that is");
	ok_eq((word)set(wrfs64, -nc), (word)-1, "and the first above");
	guarded(rdfs32);
	ok_eq(got, (uint32_t)-nc, "32 bits are read and extended");
	set(wrgs32, (word)cells | 5ul << 32);
	guarded(rdgs64);
	ok_eq(got, (word)cells, "or written and extended");
	wrmsr(0xc0000102, (word)&cells[1] - 8 + 8);
	guarded(swapgs);
	ok_eq(rdmsr(0xc0000101), (word)&cells[1], "SWAPGS");
	ok_eq(rdmsr(0xc0000102), (word)cells, "exchanges");
	guarded(swapgs);
	ok_eq((word)guarded_user(swapgs), 13, "in ring 3 it is #GP");
	guarded(null_fs);
	ok_eq(rdmsr(0xc0000100), 0, "a null selector clears the base");
	guarded(flat_gs);
	ok_eq(rdmsr(0xc0000101), 0, "another loads it");
	ok_eq((word)guarded_at(SEL_CODE32, SEL_DATA, rdfs), 6,
		"in 32-bit code RDFSBASE is #UD");
	write_cr4(cr4);
}
#else
FN(swapgs, ".byte 0x0f, 0x01, 0xf8");

static void check_bases(void)
{
	ok_eq((word)guarded(rdfs), 6, "RDFSBASE is #UD");
	ok_eq((word)guarded(swapgs), 6, "SWAPGS is #UD");
}
#endif

/* ---- UMIP ---- */

uint8_t room[16] USED;
FN(do_sgdt, "sgdt room");
FN(do_sidt, "sidt room");
FN(do_sldt, "sldt %eax");
FN(do_str, "str %eax");
FN(do_smsw, "smsw room");
FN(do_lar, "mov %cs, %ecx; lar %ecx, %eax");
static void (*const shown[])(void) = {
	do_sgdt, do_sidt, do_sldt, do_str, do_smsw};

static void check_umip(void)
{
	word cr4 = read_cr4();
	unsigned bad = 0;

	if (!has(7, 0, ECX, 2)) {
		skip("UMIP", "not in this model");
		return;
	}
	for (unsigned n = 0; n < 4; n++) {
		write_cr4(n & 1 ? cr4 | 0x800 : cr4 & ~(word)0x800);
		for (unsigned i = 0; i < sizeof(shown) / sizeof(*shown); i++) {
			bad += guarded(shown[i]) != -1;
			bad += guarded_user(shown[i]) != (n & 1 ? 13 : -1);
		}
		bad += guarded_user(do_lar) != -1;
	}
	write_cr4(cr4);
	ok_eq(bad, 0, "UMIP turned: SGDT, SIDT, SLDT, STR, SMSW in ring 3");
}

/* ---- INVPCID ---- */

uint64_t invpcid[2] USED;
FN(do_invpcid, "mov value, " AX "; invpcid invpcid, " AX);

static const struct {
	uint64_t pcid, address;
	uint8_t type;
	int vector;
	const char *name;
} invs[] = {
	{0, 0x200000, 0, -1, "INVPCID of an address"},
	{0, 0, 1, -1, "of a context"},
	{0, 0, 2, -1, "of all"},
	{0, 0, 3, -1, "of all but global"},
	{0, 0, 4, 13, "type 4 is #GP"},
	{0x1000, 0, 0, 13, "a PCID of 13 bits is #GP"},
	{0x1000, 0, 3, 13, "for each type"},
	{1, 0, 0, 13, "PCID 1 without PCIDE is #GP"},
	{1, 0, 1, 13, "for a context, too"},
	{1, 0, 2, -1, "but of no matter to all"},
	{0, 1ull << 63, 0, 13, "an address not canonical is #GP"},
	{0, 1ull << 63, 1, -1, "but of no matter to a context"},
};

static void check_invpcid(void)
{
	if (!has(7, 0, EBX, 10)) {
		ok_eq((word)guarded(do_invpcid), 6, "INVPCID is #UD");
		return;
	}
	for (unsigned i = 0; i < sizeof(invs) / sizeof(*invs); i++) {
		invpcid[0] = invs[i].pcid;
		invpcid[1] = invs[i].address;
		value = invs[i].type;
		ok_eq((word)guarded(do_invpcid), (word)invs[i].vector,
			invs[i].name);
	}
	invpcid[1] = 0;
	ok_eq((word)guarded_user(do_invpcid), 13, "in ring 3 it is #GP");
}

void test_main(void)
{
	check_cr0();
	check_msw();
	check_cr4();
	check_others();
	check_bases();
	check_umip();
	check_invpcid();
}
