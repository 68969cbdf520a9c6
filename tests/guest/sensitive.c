/*
 * sensitive.c - instructions that show system state without being privileged
 * must show the guest's, never the host's (FEATURES E02), in ring 0 and 3 and
 * in 16-, 32- and 64-bit code.
 */
#include "lib.h"

struct __attribute__((packed)) dtab {
	uint16_t limit;
	word base;
};

static struct dtab got_gdt, got_idt;
static uint32_t got_sldt, got_str, got_smsw, got_lar, got_lsl, got_flags;
static bool got_verr, got_verw, got_verw_code, lar_zf, lsl_zf, lar_null_zf;

/* Everything readable in one go, in whatever ring calls it. */
static void read_all(void)
{
	uint32_t r;
	bool z;

	__asm__ volatile("sgdt %0" : "=m"(got_gdt));
	__asm__ volatile("sidt %0" : "=m"(got_idt));
	__asm__ volatile("sldt %0" : "=r"(got_sldt));
	__asm__ volatile("str %0" : "=r"(got_str));
	__asm__ volatile("smsw %0" : "=r"(got_smsw));
	__asm__ volatile("lar %2, %0; setz %1"
			 : "=r"(got_lar), "=qm"(lar_zf)
			 : "r"(SEL_UDATA)
			 : "cc");
	__asm__ volatile("lsl %2, %0; setz %1"
			 : "=r"(got_lsl), "=qm"(lsl_zf)
			 : "r"(SEL_UDATA)
			 : "cc");
	__asm__ volatile("lar %2, %0; setz %1"
			 : "=r"(r), "=qm"(lar_null_zf)
			 : "r"(0)
			 : "cc");
	__asm__ volatile("verr %w1; setz %0"
			 : "=qm"(z)
			 : "r"(SEL_UDATA)
			 : "cc");
	got_verr = z;
	__asm__ volatile("verw %w1; setz %0"
			 : "=qm"(z)
			 : "r"(SEL_UDATA)
			 : "cc");
	got_verw = z;
	__asm__ volatile("verw %w1; setz %0"
			 : "=qm"(z)
			 : "r"(SEL_UCODE)
			 : "cc");
	got_verw_code = z;
}

static void check_all(const char *ring)
{
	print("# ");
	print(ring);
	print("\n");
	ok_eq(got_gdt.base, (word)gdt, "SGDT base");
	ok_eq(got_gdt.limit, sizeof(gdt) - 1, "SGDT limit");
	ok_eq(got_idt.limit, sizeof(word) == 8 ? 4095 : 2047, "SIDT limit");
	ok_eq(got_sldt & 0xffff, SEL_LDT, "SLDT");
	ok_eq(got_str & 0xffff, SEL_TSS, "STR");
	ok_eq(got_smsw, (uint32_t)read_cr0(), "SMSW");
	ok(lar_zf, "LAR of a data segment succeeds");
	ok_eq(got_lar & 0xf0ff00, 0xc0f300, "LAR value");
	ok(lsl_zf, "LSL of a data segment succeeds");
	ok_eq(got_lsl, 0xffffffff, "LSL value");
	ok(!lar_null_zf, "LAR of the null selector fails");
	ok(got_verr && got_verw, "VERR and VERW of data");
	ok(!got_verw_code, "VERW of code fails");
}

/* ---- flags ---- */

static void user_popf(void)
{
	word f;

	/* IOPL and IF must not change in ring 3 with IOPL 0 */
	__asm__ volatile("pushf; pop %0" : "=r"(f));
	f ^= 0x3200;
	__asm__ volatile("push %0; popf" : : "r"(f) : "cc");
	__asm__ volatile("pushf; pop %0" : "=r"(f));
	got_flags = (uint32_t)f;
}

static void kernel_popf(void)
{
	word f;

	__asm__ volatile("push %0; popf; pushf; pop %1; push $2; popf"
			 : "=&r"(f), "=r"(f)
			 : "0"((word)0x3002)
			 : "cc");
	got_flags = (uint32_t)f;
}

/* ---- privileged ones fault in ring 3 ---- */

static void do_cli(void)
{
	__asm__ volatile("cli");
}
static void do_hlt(void)
{
	__asm__ volatile("hlt");
}
static void do_in(void)
{
	__asm__ volatile("inb $0x80, %%al" : : : "eax");
}
static void do_cr0(void)
{
	(void)read_cr0();
}
static void do_lgdt(void)
{
	__asm__ volatile("lgdt %0" : : "m"(got_gdt));
}
static void do_lmsw(void)
{
	__asm__ volatile("lmsw %w0" : : "r"(1));
}
static void do_clts(void)
{
	__asm__ volatile("clts");
}
static void do_rdmsr(void)
{
	(void)rdmsr(0x10);
}
static void do_invlpg(void)
{
	__asm__ volatile("invlpg (%0)" : : "r"(0));
}
static void do_wbinvd(void)
{
	__asm__ volatile("wbinvd");
}
static void do_ltr(void)
{
	__asm__ volatile("ltr %w0" : : "r"(SEL_TSS));
}
static void do_lldt(void)
{
	__asm__ volatile("lldt %w0" : : "r"(0));
}
static void do_dr(void)
{
	__asm__ volatile("mov %%dr7, %0" : : "r"((word)0));
}
static void do_int80(void)
{
	__asm__ volatile("int $0x80");
}
static void do_ud2(void)
{
	__asm__ volatile("ud2");
}
static void do_sgdt(void)
{
	__asm__ volatile("sgdt %0" : "=m"(got_gdt));
}
static void do_smsw(void)
{
	__asm__ volatile("smsw %0" : "=r"(got_smsw));
}

static const struct {
	void (*fn)(void);
	const char *name;
} privileged[] = {
	{do_cli, "CLI in ring 3 is #GP"},
	{do_hlt, "HLT in ring 3 is #GP"},
	{do_in, "IN in ring 3 is #GP"},
	{do_cr0, "MOV from CR0 in ring 3 is #GP"},
	{do_lgdt, "LGDT in ring 3 is #GP"},
	{do_lmsw, "LMSW in ring 3 is #GP"},
	{do_clts, "CLTS in ring 3 is #GP"},
	{do_rdmsr, "RDMSR in ring 3 is #GP"},
	{do_invlpg, "INVLPG in ring 3 is #GP"},
	{do_wbinvd, "WBINVD in ring 3 is #GP"},
	{do_ltr, "LTR in ring 3 is #GP"},
	{do_lldt, "LLDT in ring 3 is #GP"},
	{do_dr, "MOV to DR7 in ring 3 is #GP"},
};

/* ---- segment registers ---- */

static uint32_t got_cs, got_ss, got_ds;

static void read_segs(void)
{
	word v;

	__asm__ volatile("mov %%cs, %0" : "=r"(got_cs));
	__asm__ volatile("mov %%ss, %0" : "=r"(got_ss));
	__asm__ volatile("push %%fs; pop %0" : "=r"(v));
	got_ds = (uint32_t)v;
}

static void load_kernel_ds(void)
{
	__asm__ volatile("mov %0, %%ds" : : "r"(SEL_DATA));
}

static void load_user_fs(void)
{
	__asm__ volatile("mov %0, %%fs" : : "r"(SEL_UDATA));
	read_segs();
}

/* ---- other code widths ---- */

void asm16_sensitive(void), asm32_sensitive(void);
extern uint32_t narrow_str, narrow_sldt, narrow_smsw, narrow_cs;

static void check_narrow(
	uint16_t cs, uint16_t ss, void (*fn)(void), const char *name)
{
	narrow_str = narrow_sldt = narrow_smsw = narrow_cs = 0;
	print("# ");
	print(name);
	print("\n");
	ok_eq((word)guarded_at(cs, ss, fn), (word)-1, "runs to its end");
	ok_eq(narrow_str, SEL_TSS, "STR");
	ok_eq(narrow_sldt, SEL_LDT, "SLDT");
	ok_eq(narrow_smsw & 0xffff, read_cr0() & 0xffff, "SMSW");
	ok_eq(narrow_cs, cs, "CS");
}

static bool has_umip(void)
{
	uint32_t r[4];

	cpuid(7, 0, r);
	return r[2] >> 2 & 1;
}

static void check_umip(void)
{
	if (!has_umip()) {
		skip("UMIP", "the processor model does not have it");
		return;
	}
	write_cr4(read_cr4() | 1 << 11);
	ok_eq((word)guarded_user(do_sgdt), 13, "UMIP: SGDT in ring 3 is #GP");
	ok_eq((word)guarded_user(do_smsw), 13, "UMIP: SMSW in ring 3 is #GP");
	ok_eq((word)guarded(do_sgdt), (word)-1, "UMIP: SGDT in ring 0 goes");
	write_cr4(read_cr4() & ~((word)1 << 11));
}

void test_main(void)
{
	__asm__ volatile("lldt %w0" : : "r"(SEL_LDT));
	read_all();
	check_all("ring 0");
	ok_eq((word)guarded_user(read_all), (word)-1, "ring 3 may read them");
	check_all("ring 3");

	guarded_user(user_popf);
	ok_eq(got_flags & 0x3200, 0, "POPF in ring 3 leaves IF and IOPL");
	kernel_popf();
	ok_eq(got_flags & 0x3000, 0x3000, "POPF in ring 0 sets IOPL");

	for (unsigned i = 0; i < sizeof(privileged) / sizeof(*privileged); i++)
		ok_eq((word)guarded_user(privileged[i].fn), 13,
			privileged[i].name);
	ok_eq((word)guarded_user(do_int80), 13,
		"INT through a DPL 0 gate is #GP");
	ok_eq(fault.error, 0x80 * 8 + 2, "with the vector as its error code");
	ok_eq((word)guarded_user(do_ud2), 6, "UD2 is #UD");

	guarded_user(read_segs);
	ok_eq(got_cs, SEL_UCODE, "CS in ring 3");
	ok_eq(got_ss, SEL_UDATA, "SS in ring 3");
	ok_eq((word)guarded_user(load_kernel_ds), 13,
		"loading a DPL 0 segment in ring 3 is #GP");
	ok_eq(fault.error, SEL_DATA, "with the selector as its error code");
	guarded_user(load_user_fs);
	ok_eq(got_ds, SEL_UDATA, "a loaded FS reads back");

	check_narrow(SEL_CODE32, SEL_DATA, asm32_sensitive, "32-bit, ring 0");
	check_narrow(SEL_UCODE32, SEL_UDATA, asm32_sensitive, "32-bit, ring 3");
	check_narrow(SEL_CODE16, SEL_DATA, asm16_sensitive, "16-bit, ring 0");
	check_narrow(SEL_UCODE16, SEL_UDATA, asm16_sensitive, "16-bit, ring 3");
	check_umip();
}
