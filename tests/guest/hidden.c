/*
 * hidden.c - what CPUID does not tell of is #UD, or the older instruction of
 * the same bytes; what it tells of works.
 *
 * Run with several processor models.
 */
#include "lib.h"

static uint8_t code[32] __attribute__((aligned(64)));

static void run_code(void)
{
	__asm__ volatile("call *%0"
			 :
			 : "r"(code)
			 : "eax", "ecx", "edx", "ebx", "memory", "cc");
}

enum { EAX, EBX, ECX, EDX };

struct insn {
	uint32_t leaf;
	uint8_t sub, reg, bit;
	uint8_t bytes[10], n;
	const char *name;
	uint8_t bit2; /* of the same register too, 0xff none */
};

#define I(leaf, sub, reg, bit, name, ...)                                      \
	{                                                                      \
		leaf, sub, reg, bit, {__VA_ARGS__},                            \
			sizeof((uint8_t[]){__VA_ARGS__}), name, 0xff           \
	}
#define VL(leaf, sub, reg, bit, name, ...)                                     \
	{                                                                      \
		leaf, sub, reg, bit, {__VA_ARGS__},                            \
			sizeof((uint8_t[]){__VA_ARGS__}), name, 31             \
	}

static const struct insn insns[] = {
	I(1, 0, EDX, 15, "CMOVO", 0x0f, 0x40, 0xc0),
	I(1, 0, EDX, 15, "FCOMI", 0xdb, 0xf0),
	I(1, 0, EDX, 15, "FUCOMIP", 0xdf, 0xe8),
	I(1, 0, EDX, 15, "FCMOVB", 0xda, 0xc0),
	I(1, 0, EDX, 23, "PADDB mm", 0x0f, 0xfc, 0xc0),
	I(1, 0, EDX, 25, "ADDPS", 0x0f, 0x58, 0xc0),
	I(1, 0, EDX, 26, "ADDPD", 0x66, 0x0f, 0x58, 0xc0),
	I(1, 0, EDX, 4, "RDTSC", 0x0f, 0x31),
	I(1, 0, ECX, 0, "HADDPS", 0xf2, 0x0f, 0x7c, 0xc0),
	I(1, 0, ECX, 1, "PCLMULQDQ", 0x66, 0x0f, 0x3a, 0x44, 0xc0, 0),
	I(1, 0, ECX, 9, "PSHUFB", 0x66, 0x0f, 0x38, 0x00, 0xc0),
	I(1, 0, ECX, 12, "VFMADD132PS", 0xc4, 0xe2, 0x79, 0x98, 0xc0),
	I(1, 0, ECX, 19, "PMULLD", 0x66, 0x0f, 0x38, 0x40, 0xc0),
	I(1, 0, ECX, 20, "PCMPGTQ", 0x66, 0x0f, 0x38, 0x37, 0xc0),
	I(1, 0, ECX, 20, "CRC32", 0xf2, 0x0f, 0x38, 0xf0, 0xc0),
	I(1, 0, ECX, 23, "POPCNT", 0xf3, 0x0f, 0xb8, 0xc0),
	I(1, 0, ECX, 25, "AESENC", 0x66, 0x0f, 0x38, 0xdc, 0xc0),
	I(1, 0, ECX, 26, "XGETBV", 0x31, 0xc9, 0x0f, 0x01, 0xd0),
	I(1, 0, ECX, 28, "VADDPS", 0xc5, 0xf8, 0x58, 0xc0),
	I(1, 0, ECX, 28, "VZEROUPPER", 0xc5, 0xf8, 0x77),
	I(1, 0, ECX, 28, "VAESENC xmm", 0xc4, 0xe2, 0x79, 0xdc, 0xc0),
	I(1, 0, ECX, 29, "VCVTPH2PS", 0xc4, 0xe2, 0x79, 0x13, 0xc0),
	I(1, 0, ECX, 30, "RDRAND", 0x0f, 0xc7, 0xf0),
	I(7, 0, EBX, 3, "ANDN", 0xc4, 0xe2, 0x78, 0xf2, 0xc0),
	I(7, 0, EBX, 5, "VPADDB ymm", 0xc5, 0xfd, 0xfc, 0xc0),
	I(7, 0, EBX, 8, "PDEP", 0xc4, 0xe2, 0x7b, 0xf5, 0xc0),
	I(7, 0, EBX, 18, "RDSEED", 0x0f, 0xc7, 0xf8),
	I(7, 0, EBX, 19, "ADCX", 0x66, 0x0f, 0x38, 0xf6, 0xc0),
	I(7, 0, EBX, 29, "SHA1NEXTE", 0x0f, 0x38, 0xc8, 0xc0),
	I(7, 0, EBX, 16, "VADDPS zmm", 0x62, 0xf1, 0x7c, 0x48, 0x58, 0xc0),
	VL(7, 0, EBX, 16, "VADDPS xmm, EVEX", 0x62, 0xf1, 0x7c, 0x08, 0x58,
		0xc0),
	I(7, 0, EBX, 16, "KMOVW", 0xc5, 0xf8, 0x90, 0xc0),
	I(7, 0, EBX, 30, "VPADDB zmm", 0x62, 0xf1, 0x7d, 0x48, 0xfc, 0xc0),
	I(7, 0, EBX, 17, "VANDPS zmm", 0x62, 0xf1, 0x7c, 0x48, 0x54, 0xc0),
	I(7, 0, EBX, 28, "VPCONFLICTD zmm", 0x62, 0xf2, 0x7d, 0x48, 0xc4, 0xc0),
	I(7, 0, ECX, 1, "VPERMB zmm", 0x62, 0xf2, 0x7d, 0x48, 0x8d, 0xc0),
	I(7, 0, ECX, 8, "GF2P8MULB", 0x66, 0x0f, 0x38, 0xcf, 0xc0),
	I(7, 0, ECX, 11, "VPDPBUSD zmm", 0x62, 0xf2, 0x7d, 0x48, 0x50, 0xc0),
	I(7, 0, ECX, 14, "VPOPCNTD zmm", 0x62, 0xf2, 0x7d, 0x48, 0x55, 0xc0),
	I(7, 0, ECX, 22, "RDPID", 0xf3, 0x0f, 0xc7, 0xf8),
	I(0x80000001, 0, ECX, 6, "EXTRQ", 0x66, 0x0f, 0x79, 0xc0),
	I(0x80000001, 0, EDX, 27, "RDTSCP", 0x0f, 0x01, 0xf9),
#ifdef __x86_64__
	I(0x80000001, 0, ECX, 0, "LAHF", 0x9f),
	I(0x80000001, 0, ECX, 0, "SAHF", 0x9e),
#endif
};

static int run(const struct insn *i)
{
	unsigned n = 0;

	while (n < i->n) {
		code[n] = i->bytes[n];
		n++;
	}
	code[n] = 0xc3;
	return guarded(run_code);
}

/* XCR0 with all that there is. */
static void enable_all(void)
{
	uint32_t r[4], lo = 3;

	write_cr4(read_cr4() | 0x600);
	if (!has(1, 0, ECX, 26))
		return;
	write_cr4(read_cr4() | 1 << 18);
	cpuid(0xd, 0, r);
	lo = r[0] & 0xe7;
	__asm__ volatile("xsetbv" : : "a"(lo), "d"(0), "c"(0));
}

static uint32_t count(bool trailing, uint32_t of)
{
	uint32_t v = 0x77;

	if (trailing)
		__asm__ volatile("rep bsf %1, %0" : "+r"(v) : "r"(of) : "cc");
	else
		__asm__ volatile("rep bsr %1, %0" : "+r"(v) : "r"(of) : "cc");
	return v;
}

static void check_hints(void)
{
	bool tz = has(7, 0, EBX, 3), lz = has(0x80000001, 0, ECX, 5);

	ok_eq(count(true, 0), tz ? 32 : 0x77, "TZCNT, or BSF without it");
	ok_eq(count(false, 1), lz ? 31 : 0, "LZCNT, or BSR without it");
}

void test_main(void)
{
	enable_all();
	for (unsigned i = 0; i < sizeof(insns) / sizeof(*insns); i++) {
		const struct insn *in = &insns[i];
		bool there = has(in->leaf, in->sub, in->reg, in->bit);

		if (in->bit2 != 0xff)
			there &= has(in->leaf, in->sub, in->reg, in->bit2);
		ok_eq((word)run(in), there ? (word)-1 : 6, in->name);
	}
	check_hints();
}
