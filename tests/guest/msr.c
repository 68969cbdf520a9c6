/*
 * msr.c - every model-specific register that CPUID tells of: who may read and
 * write it, and what (SDM vol. 4; vol. 3, 2.2.1, 12.11, 12.12, 5.8.7.1).
 */
#include "lib.h"

enum { EAX, EBX, ECX, EDX };

static uint32_t number;
static uint64_t value;
static unsigned phys_bits;

static void do_read(void)
{
	value = rdmsr(number);
}

static void do_write(void)
{
	wrmsr(number, value);
}

static int read(uint32_t n)
{
	number = n;
	return guarded(do_read);
}

static int write(uint32_t n, uint64_t v)
{
	number = n;
	value = v;
	return guarded(do_write);
}

/* ---- what may be written ---- */

typedef bool (*rule)(uint64_t v);

static uint64_t known; /* of the one that is tried: its bits */

struct msr {
	uint32_t n;
	struct {
		uint32_t leaf;
		uint8_t reg, bit;
	} feature; /* leaf 0: always there */
	uint64_t bits;
	rule may; /* NULL: read-only */
	bool write_only, moves;
	const char *name;
};

static bool bits(uint64_t v)
{
	return !(v & ~known);
}

static bool canonical(uint64_t v)
{
	int64_t top = (int64_t)v >> 47;

	return !top || top == -1;
}

static bool zero_or_ones(uint64_t v)
{
	return !v || v == ~0ull;
}

static bool zero(uint64_t v)
{
	return !v;
}

static bool mtrr_type(uint8_t t)
{
	return t < 7 && t != 2 && t != 3;
}

static bool mtrr_types(uint64_t v)
{
	for (unsigned i = 0; i < 64; i += 8)
		if (!mtrr_type(v >> i & 255))
			return false;
	return true;
}

static bool pat_types(uint64_t v)
{
	for (unsigned i = 0; i < 64; i += 8)
		if ((v >> i & 255) != 7 && !mtrr_type(v >> i & 255))
			return false;
	return true;
}

static uint64_t address_bits(void)
{
	return ((1ull << phys_bits) - 1) & ~0xfffull;
}

static bool mtrr_base(uint64_t v)
{
	return !(v & ~(address_bits() | 0xff)) && mtrr_type(v & 255);
}

static bool mtrr_mask(uint64_t v)
{
	return !(v & ~(address_bits() | 0x800));
}

static bool mtrr_default(uint64_t v)
{
	return !(v & ~0xcffull) && mtrr_type(v & 255);
}

#define ALWAYS                                                                 \
	{                                                                      \
		0, 0, 0                                                        \
	}
#define IF(leaf, reg, bit)                                                     \
	{                                                                      \
		leaf, reg, bit                                                 \
	}
#define LONG  IF(0x80000001, EDX, 29)
#define MTRRS IF(1, EDX, 12)
#define MCA   IF(1, EDX, 14)

static const struct msr msrs[] = {
	{0x10, IF(1, EDX, 4), ~0ull, bits, false, true, "TIME_STAMP_COUNTER"},
	{0x17, ALWAYS, 0, NULL, false, false, "PLATFORM_ID"},
	{0x3b, IF(7, EBX, 1), ~0ull, bits, false, true, "TSC_ADJUST"},
	{0x49, IF(7, EDX, 26), 1, bits, true, false, "PRED_CMD"},
	{0xfe, MTRRS, 0, NULL, false, false, "MTRRCAP"},
	{0x10a, IF(7, EDX, 29), 0, NULL, false, false, "ARCH_CAPABILITIES"},
	{0x10b, IF(7, EDX, 28), 1, bits, true, false, "FLUSH_CMD"},
	{0x174, IF(1, EDX, 11), 0xffffffff, bits, false, false, "SYSENTER_CS"},
	{0x175, IF(1, EDX, 11), 0, canonical, false, false, "SYSENTER_ESP"},
	{0x176, IF(1, EDX, 11), 0, canonical, false, false, "SYSENTER_EIP"},
	{0x179, MCA, 0, NULL, false, false, "MCG_CAP"},
	{0x200, MTRRS, 0, mtrr_base, false, false, "MTRR_PHYSBASE0"},
	{0x201, MTRRS, 0, mtrr_mask, false, false, "MTRR_PHYSMASK0"},
	{0x20e, MTRRS, 0, mtrr_base, false, false, "MTRR_PHYSBASE7"},
	{0x20f, MTRRS, 0, mtrr_mask, false, false, "MTRR_PHYSMASK7"},
	{0x250, MTRRS, 0, mtrr_types, false, false, "MTRR_FIX64K"},
	{0x258, MTRRS, 0, mtrr_types, false, false, "MTRR_FIX16K_80000"},
	{0x259, MTRRS, 0, mtrr_types, false, false, "MTRR_FIX16K_A0000"},
	{0x268, MTRRS, 0, mtrr_types, false, false, "MTRR_FIX4K_C0000"},
	{0x26f, MTRRS, 0, mtrr_types, false, false, "MTRR_FIX4K_F8000"},
	{0x277, IF(1, EDX, 16), 0, pat_types, false, false, "PAT"},
	{0x2ff, MTRRS, 0, mtrr_default, false, false, "MTRR_DEF_TYPE"},
	{0x400, MCA, 0, zero_or_ones, false, false, "MC0_CTL"},
	{0x401, MCA, 0, zero, false, false, "MC0_STATUS"},
	{0xda0, IF(0xd, EAX, 3), 0, bits, false, false, "XSS"},
	{0xc0000081, IF(0x80000001, EDX, 29), ~0ull, bits, false, false,
		"STAR"},
	{0xc0000082, LONG, 0, canonical, false, false, "LSTAR"},
	{0xc0000083, LONG, 0, canonical, false, false, "CSTAR"},
	{0xc0000084, LONG, 0xffffffff, bits, false, false, "FMASK"},
	{0xc0000100, LONG, 0, canonical, false, false, "FS_BASE"},
	{0xc0000101, LONG, 0, canonical, false, false, "GS_BASE"},
	{0xc0000102, LONG, 0, canonical, false, false, "KERNEL_GS_BASE"},
	{0xc0000103, IF(0x80000001, EDX, 27), 0xffffffff, bits, false, false,
		"TSC_AUX"},
};

static bool there(const struct msr *m)
{
	return !m->feature.leaf || has(m->feature.leaf, m->feature.leaf == 0xd,
					   m->feature.reg, m->feature.bit);
}

/* Bits that some processors have and others not; those of the address. */
static bool undecided(const struct msr *m, unsigned bit)
{
	return (m->n == 0x174 || m->n == 0xc0000084) && bit >= 32;
}

/* Every bit of old turned: what goes reads back. */
static unsigned try_bits(const struct msr *m, uint64_t old)
{
	unsigned bad = 0;

	for (unsigned b = 0; b < 64; b++) {
		uint64_t v = old ^ 1ull << b;
		bool ok = m->may && m->may(v);

		if (undecided(m, b))
			continue;
		if (write(m->n, v) != (ok ? -1 : 13)) {
			bad++;
			print("# bit ");
			print_hex(b);
			print("\n");
		}
		if (!ok || m->write_only || m->moves)
			continue;
		read(m->n);
		bad += value != v;
	}
	for (unsigned b = 0; b < 256 && m->may && !m->moves; b++) {
		uint64_t v = (old & ~0xffull) | b;

		bad += write(m->n, v) != (m->may(v) ? -1 : 13);
	}
	return bad;
}

static void check_one(const struct msr *m)
{
	uint64_t old = 0;
	int got = read(m->n);

	known = m->bits;
	if (!there(m)) {
		ok(got == 13 && write(m->n, 0) == 13, m->name);
		return;
	}
	ok_eq((word)got, m->write_only ? 13 : (word)-1, m->name);
	if (!m->write_only)
		old = value;
	ok_eq(try_bits(m, old), 0, "  each bit, each low byte");
	if (m->may && !m->moves)
		ok_eq((word)write(m->n, old), (word)-1, "  as it was");
	number = m->n;
	ok_eq((word)guarded_user(do_read), 13, "  not from ring 3");
	ok_eq((word)guarded_user(do_write), 13, "  nor to be written");
}

/* ---- not there ---- */

static const uint32_t none[] = {0x3, 0x16, 0x4f, 0x7fff, 0x10000, 0x12345678,
	0x3fffffff, 0x40000000, 0x480, 0x48f, 0xbfffffff, 0xc0000085,
	0xc00000e0, 0xc0000104, 0xc0001000, 0xc0010114, 0xc0010117, 0xc0020000,
	0xd0000000, 0xffffffff};

static void check_none(void)
{
	uint32_t r[4];

	cpuid(0, 0, r);
	for (unsigned i = 0; i < sizeof(none) / sizeof(*none); i++) {
		int a = read(none[i]), b = write(none[i], 0);

		if (r[1] == 0x68747541 && none[i] >> 16 == 0xc001)
			continue;
		ok_eq(a == 13 && b == 13 ? 0 : none[i], 0,
			"one that is not there");
	}
	if (!(rdmsr(0x1b) & 0x400)) {
		unsigned bad = 0;

		for (unsigned n = 0x800; n < 0x900; n++)
			bad += read(n) != 13;
		ok_eq(bad, 0, "x2APIC's in xAPIC mode");
	}
}

/* ---- those with rules of their own ---- */

#define EFER 0xc0000080

static void check_efer(void)
{
	uint64_t old = rdmsr(EFER);
	unsigned bad = 0;

	known = has(0x80000001, 0, EDX, 29) ? 0x500 : 0;
	known |= has(0x80000001, 0, EDX, 11) || known ? 1 : 0;
	known |= has(0x80000001, 0, EDX, 20) ? 0x800 : 0;
	for (unsigned b = 0; b < 64; b++) {
		uint64_t v = old ^ 1ull << b;
		bool lme = b == 8 && read_cr0() >> 31;

		if (b == 10)
			continue;
		bad += write(EFER, v) != (known >> b & 1 && !lme ? -1 : 13);
		if (read(EFER) >= 0)
			bad++;
		bad += (value ^ old) & ~known;
	}
	ok_eq(bad, 0, "EFER: each bit");
	write(EFER, old);
	write(EFER, old ^ 0x400);
	ok_eq((word)rdmsr(EFER), (word)old, "LMA cannot be written");
	ok_eq((word)guarded_user(do_read), 13, "not from ring 3");
}

static void check_apic_base(void)
{
	uint64_t old = rdmsr(0x1b);
	unsigned bad = 0;

	for (unsigned b = 0; b < 64; b++) {
		bool ok = b == 8 || (b >= 12 && b < phys_bits) || b == 11;

		if (b == 10) /* tried by the APIC's own test */
			continue;
		bad += write(0x1b, old ^ 1ull << b) != (ok ? -1 : 13);
		write(0x1b, old);
	}
	ok_eq(bad, 0, "APIC_BASE: each bit");
	ok_eq((word)rdmsr(0x1b), (word)old, "  as it was");
}

static void check_misc_enable(void)
{
	uint64_t old;

	if (read(0x1a0) >= 0) {
		skip("MISC_ENABLE", "not in this model");
		return;
	}
	old = value;
	ok_eq((word)write(0x1a0, old ^ 1ull << 63), 13,
		"MISC_ENABLE: bit 63 is reserved");
	ok_eq((word)write(0x1a0, old ^ 1), (word)-1, "bit 0 may be written");
	ok_eq((word)rdmsr(0x1a0), (word)(old ^ 1), "and reads back");
	write(0x1a0, old);
	/* the performance monitor's bits are read-only */
	write(0x1a0, old ^ 0x1800);
	ok_eq((word)rdmsr(0x1a0) & 0x1800, (word)old & 0x1800,
		"those that say what is not there stay");
}

static void check_feature_control(void)
{
	if (read(0x3a) >= 0) {
		skip("FEATURE_CONTROL", "not in this model");
		return;
	}
	if (!(value & 1))
		ok_eq((word)write(0x3a, 1), (word)-1, "FEATURE_CONTROL: lock");
	ok_eq((word)write(0x3a, 0), 13, "locked, it cannot be written");
	ok_eq((word)rdmsr(0x3a) & 1, 1, "and says so");
}

static void check_tsc(void)
{
	uint64_t a, b;

	write(0x10, 0x1000000000ull);
	a = rdmsr(0x10);
	ok(a >= 0x1000000000ull && a < 0x2000000000ull, "the TSC is written");
	if (!has(7, 0, EBX, 1))
		return;
	b = rdmsr(0x3b);
	write(0x3b, b + 0x4000000000ull);
	a = rdmsr(0x10);
	ok(a >= 0x5000000000ull && a < 0x6000000000ull, "TSC_ADJUST moves it");
	write(0x10, a + 0x1000000000ull);
	ok(rdmsr(0x3b) - b >= 0x5000000000ull - 0x100000000ull,
		"and follows a write of it");
}

static void check_spec_ctrl(void)
{
	unsigned bad = 0;

	known = has(7, 0, EDX, 26) | has(7, 0, EDX, 27) << 1 |
		has(7, 0, EDX, 31) << 2;

	if (has(0x80000008, 0, EBX, 14) || has(0x80000008, 0, EBX, 15) ||
		has(0x80000008, 0, EBX, 24))
		return;
	if (!known) {
		ok_eq((word)read(0x48), 13, "no SPEC_CTRL");
		return;
	}
	for (unsigned b = 0; b < 64; b++)
		bad += write(0x48, 1ull << b) != (known >> b & 1 ? -1 : 13);
	ok_eq(bad, 0, "SPEC_CTRL: each bit");
	write(0x48, 0);
}

void test_main(void)
{
	uint32_t r[4];

	cpuid(0x80000008, 0, r);
	phys_bits = r[EAX] & 255;
	for (unsigned i = 0; i < sizeof(msrs) / sizeof(*msrs); i++)
		check_one(&msrs[i]);
	check_none();
	check_efer();
	check_apic_base();
	check_misc_enable();
	check_feature_control();
	check_tsc();
	check_spec_ctrl();
}
