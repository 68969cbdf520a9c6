/*
 * exceptions.c - which exception, which error code, which saved RIP, and what
 * holds interrupts and single steps back (SDM vol. 3, ch. 6; vol. 2).
 */
#include "lib.h"

#ifdef __x86_64__
#define SP "%%rsp"
#define CX "%%rcx"
#else
#define SP "%%esp"
#define CX "%%ecx"
#endif

static void do_div0(void)
{
	__asm__ volatile("div %b0" : : "r"(0), "a"(1) : "cc");
}

static void do_div_overflow(void)
{
	__asm__ volatile("divb %b1" : : "a"(0x1000), "c"(1) : "cc");
}

static void do_idiv_min(void)
{
	__asm__ volatile("cltd; idivl %1"
			 :
			 : "a"(0x80000000u), "c"(-1)
			 : "edx", "cc");
}

static void do_ud2(void)
{
	__asm__ volatile("ud2");
}
static void do_int3(void)
{
	__asm__ volatile("int3");
}
static void do_int1(void)
{
	__asm__ volatile(".byte 0xf1");
}
static void do_lock(void)
{
	__asm__ volatile(".byte 0xf0, 0x90");
}
static void do_lock_reg(void)
{
	__asm__ volatile(".byte 0xf0, 0x01, 0xc0");
}

/* 16 bytes: one prefix too many */
static void do_too_long(void)
{
	__asm__ volatile(".rept 15; .byte 0x66; .endr; nop");
}

static void do_bad_selector(void)
{
	__asm__ volatile("mov %0, %%es" : : "r"(0xfff8 & ~7));
}

static void do_code_in_ss(void)
{
	__asm__ volatile("mov %0, %%ss" : : "r"(SEL_CODE));
}

static void do_null_ss(void)
{
	__asm__ volatile("mov %0, %%ss" : : "r"(3));
}

static void do_absent(void)
{
	__asm__ volatile("mov %0, %%es" : : "r"(SEL_FREE));
}

static void do_absent_ss(void)
{
	__asm__ volatile("mov %0, %%ss" : : "r"(SEL_FREE));
}

static void do_mov_cs(void)
{
	__asm__ volatile(".byte 0x8e, 0xc8");
}

static void do_cr_reserved(void)
{
	write_cr4(read_cr4() | (word)1 << 31);
}

static void do_cr0_pg_without_pe(void)
{
	write_cr0((read_cr0() & ~(word)1) | (word)1 << 31);
}

static void do_bad_msr(void)
{
	(void)rdmsr(0x12345678);
}

static void do_cr1(void)
{
	__asm__ volatile(".byte 0x0f, 0x20, 0xc8" : : : "eax");
}

static const struct {
	void (*fn)(void);
	int vector;
	word error;
	const char *name;
} simple[] = {
	{do_div0, 0, 0, "DIV by zero is #DE"},
	{do_div_overflow, 0, 0, "DIV overflow is #DE"},
	{do_idiv_min, 0, 0, "IDIV of the least by -1 is #DE"},
	{do_ud2, 6, 0, "UD2 is #UD"},
	{do_int3, 3, 0, "INT3 is #BP"},
	{do_int1, 1, 0, "INT1 is #DB"},
	{do_lock, 6, 0, "LOCK NOP is #UD"},
	{do_lock_reg, 6, 0, "LOCK with a register destination is #UD"},
	{do_too_long, 13, 0, "an instruction of 16 bytes is #GP"},
	{do_bad_selector, 13, 0xfff8, "a selector past the GDT is #GP"},
	{do_code_in_ss, 13, SEL_CODE, "code in SS is #GP"},
	{do_absent, 11, SEL_FREE, "a segment not present is #NP"},
	{do_absent_ss, 12, SEL_FREE, "a stack not present is #SS"},
	{do_mov_cs, 6, 0, "MOV to CS is #UD"},
	{do_cr_reserved, 13, 0, "a reserved bit of CR4 is #GP"},
	{do_cr0_pg_without_pe, 13, 0, "PG without PE is #GP"},
	{do_bad_msr, 13, 0, "an unknown MSR is #GP"},
	{do_cr1, 6, 0, "CR1 is #UD"},
};

static void check_simple(void)
{
	gdt[SEL_FREE / 8] = descriptor(0, 0xfffff, 0x13, 0xc); /* P = 0 */
	for (unsigned i = 0; i < sizeof(simple) / sizeof(*simple); i++) {
		ok_eq((word)guarded(simple[i].fn), (word)simple[i].vector,
			simple[i].name);
		if (fault.error != simple[i].error)
			ok_eq(fault.error, simple[i].error, "  error code");
	}
	ok_eq((word)guarded(do_null_ss), 13, "a null SS with RPL 3 is #GP");
}

/* ---- saved RIP: of the instruction for faults, behind it for traps ---- */

extern char at_ud2[], at_int3[], after_int3[];

static void rip_ud2(void)
{
	__asm__ volatile(".globl at_ud2; at_ud2: ud2");
}

static void rip_int3(void)
{
	__asm__ volatile(".globl at_int3, after_int3; at_int3: int3; "
			 "after_int3:");
}

static void check_rip(void)
{
	guarded(rip_ud2);
	ok_eq(fault.rip, (word)at_ud2, "#UD points at the instruction");
	ok(fault.flags & 1 << 16, "and RF is set in the saved flags");
	guarded(rip_int3);
	ok_eq(fault.rip, (word)after_int3, "#BP points behind it");
	ok(!(fault.flags & 1 << 16), "and RF is clear in the saved flags");
}

/* ---- single step ---- */

static word steps[16];
static unsigned nsteps;
static word dr6_seen;

static word read_dr6(void)
{
	word v;

	__asm__ volatile("mov %%dr6, %0" : "=r"(v));
	return v;
}

static void on_step(struct frame *f)
{
	dr6_seen = read_dr6();
	if (nsteps < 16)
		steps[nsteps++] = f->rip;
}

extern char step_1[], step_2[], step_3[], step_4[];

static void do_step(void)
{
	__asm__ volatile("pushf; pop " CX "; pushf\n"
			 "orl $0x100, (" SP ")\n"
			 "popf\n"
			 "step_1: nop\n"
			 "step_2: mov %%ss, %%eax\n"
			 "mov %%eax, %%ss\n"
			 "step_3: nop\n"
			 "step_4: push " CX "; popf\n" ::
				 : "eax", "ecx", "cc", "memory");
}

static void check_step(void)
{
	nsteps = 0;
	on_vector(1, on_step);
	ok_eq((word)guarded(do_step), (word)-1, "single steps return");
	on_vector(1, NULL);
	/* after NOP; after MOV EAX,SS; MOV SS shadows; after NOP; PUSH; POPF */
	ok_eq(steps[0], (word)step_2, "a step after NOP");
	ok_eq(nsteps, 5, "MOV SS holds one step back");
	ok_eq(steps[2], (word)step_4, "and the next comes after its successor");
	ok(dr6_seen & 1 << 14, "DR6.BS says single step");
}

/* ---- debug registers ---- */

static volatile uint32_t watched;
extern char bp_here[];

static void do_bp(void)
{
	__asm__ volatile(".globl bp_here; bp_here: nop");
}

static void do_watch_write(void)
{
	watched = 5;
}
static void do_watch_read(void)
{
	(void)watched;
}

static void set_dr(word addr, word dr7)
{
	__asm__ volatile("mov %0, %%dr0; mov %1, %%dr6; mov %2, %%dr7"
			 :
			 : "r"(addr), "r"((word)0), "r"(dr7));
}

static void do_dr_gd(void)
{
	word v;

	__asm__ volatile("mov %%dr0, %0" : "=r"(v));
}

static void check_debug(void)
{
	set_dr((word)bp_here, 0x402);
	ok_eq((word)guarded(do_bp), 1, "an instruction breakpoint is #DB");
	ok_eq(fault.rip, (word)bp_here, "before the instruction");
	ok_eq(read_dr6() & 0xf, 1, "DR6 names breakpoint 0");
	set_dr((word)&watched, 0xd0402); /* write, 4 bytes */
	ok_eq((word)guarded(do_watch_read), (word)-1,
		"a write breakpoint ignores reads");
	ok_eq((word)guarded(do_watch_write), 1, "and traps writes");
	ok_eq(watched, 5, "after the write is done");
	set_dr((word)&watched, 0xf0402); /* read or write */
	ok_eq((word)guarded(do_watch_read), 1,
		"an access breakpoint "
		"traps reads");
	set_dr(0, 0x2400);
	ok_eq((word)guarded(do_dr_gd), 1, "DR access with GD is #DB");
	ok(read_dr6() & 1 << 13, "DR6.BD says so");
	set_dr(0, 0x400);
}

/* ---- x87 and SSE availability ---- */

static void do_fpu(void)
{
	__asm__ volatile("fninit");
}
static void do_fwait(void)
{
	__asm__ volatile("fwait");
}
static void do_sse(void)
{
	__asm__ volatile(".byte 0x0f, 0x57, 0xc0");
}

static void check_fpu(void)
{
	word cr0 = read_cr0(), cr4 = read_cr4();

	write_cr0((cr0 & ~(word)0xe) | 8);
	ok_eq((word)guarded(do_fpu), 7, "x87 with TS is #NM");
	ok_eq((word)guarded(do_fwait), (word)-1, "FWAIT with TS alone goes");
	write_cr0((cr0 & ~(word)0xe) | 10);
	ok_eq((word)guarded(do_fwait), 7, "FWAIT with TS and MP is #NM");
	write_cr0((cr0 & ~(word)0xe) | 4);
	ok_eq((word)guarded(do_fpu), 7, "x87 with EM is #NM");
	ok_eq((word)guarded(do_sse), 6, "SSE with EM is #UD");
	write_cr0(cr0 & ~(word)0xe);
	write_cr4(cr4 & ~(word)0x200);
	ok_eq((word)guarded(do_sse), 6, "SSE without OSFXSR is #UD");
	write_cr4(cr4 | 0x200);
	ok_eq((word)guarded(do_sse), (word)-1, "SSE with OSFXSR goes");
	write_cr4(cr4);
	write_cr0(cr0);
}

/* ---- alignment ---- */

static uint32_t unaligned[4];

static void do_unaligned(void)
{
	volatile uint32_t *p = (void *)((char *)unaligned + 1);

	__asm__ volatile("pushf; orl $0x40000, (" SP "); popf" : : : "cc");
	*p = 1;
	__asm__ volatile("pushf; andl $~0x40000, (" SP "); popf" : : : "cc");
}

static void check_alignment(void)
{
	word cr0 = read_cr0();

	write_cr0(cr0 | 1 << 18);
	ok_eq((word)guarded(do_unaligned), (word)-1,
		"no alignment check in ring 0");
	ok_eq((word)guarded_user(do_unaligned), 17,
		"an unaligned store in ring 3 with AC is #AC");
	write_cr0(cr0);
	ok_eq((word)guarded_user(do_unaligned), (word)-1,
		"but not without CR0.AM");
}

#ifdef __x86_64__
static void do_noncanonical(void)
{
	__asm__ volatile("mov (%0), %%eax"
			 :
			 : "r"(0x8000000000000000ull)
			 : "eax");
}

static void do_noncanonical_stack(void)
{
	__asm__ volatile("mov %%rsp, %%rbx; mov %0, %%rsp; push %%rax; "
			 "mov %%rbx, %%rsp"
			 :
			 : "r"(0x8000000000000000ull)
			 : "rbx");
}

static void do_noncanonical_jump(void)
{
	__asm__ volatile("jmp *%0" : : "r"(0x8000000000000000ull));
}

static void do_noncanonical_msr(void)
{
	wrmsr(0xc0000082, 0x8000000000000000ull);
}

static void do_sysret_gp(void)
{
	__asm__ volatile("sysretq" : : "c"(0x800000000000ull), "S"(0x202));
}

static void check_width(void)
{
	ok_eq((word)guarded(do_noncanonical), 13,
		"a non-canonical load is #GP");
	ok_eq((word)guarded(do_noncanonical_stack), 12,
		"a non-canonical push is #SS");
	ok_eq((word)guarded(do_noncanonical_jump), 13,
		"a non-canonical jump is #GP");
	ok_eq((word)guarded(do_noncanonical_msr), 13,
		"a non-canonical LSTAR is #GP");
	wrmsr(0xc0000080, rdmsr(0xc0000080) | 1);
	ok_eq((word)guarded(do_sysret_gp), 13,
		"SYSRET to a non-canonical RIP is #GP");
}
#else
static void do_into(void)
{
	__asm__ volatile("mov $0x7f, %%al; add $1, %%al; into" : : : "eax");
}

static void do_bound(void)
{
	static const int32_t limits[2] = {0, 9};

	__asm__ volatile("bound %0, %1" : : "r"(10), "m"(limits));
}

static uint8_t segment_end[16];

static void do_limit(void)
{
	__asm__ volatile("mov %0, %%es; movl %%es:13, %%eax"
			 :
			 : "r"(SEL_FREE + 8)
			 : "eax");
}

static void check_width(void)
{
	ok_eq((word)guarded(do_into), 4, "INTO with OF is #OF");
	ok_eq((word)guarded(do_bound), 5, "BOUND outside is #BR");
	gdt[SEL_FREE / 8 + 1] =
		descriptor((uint32_t)(word)segment_end, 15, 0x93, 4);
	ok_eq((word)guarded(do_limit), 13, "past a segment limit is #GP");
}
#endif

/* ---- page faults ---- */

#ifdef __x86_64__
#define PAGE 0x40000000ul /* the second GiB: its own page directory */

static volatile uint64_t *pd_entry(void)
{
	return (volatile uint64_t *)(0x100000 + 0x2000 + 0x1000);
}

static void flush(void)
{
	write_cr3(read_cr3());
}

static void do_read(void)
{
	(void)*(volatile uint8_t *)PAGE;
}
static void do_write(void)
{
	*(volatile uint8_t *)PAGE = 1;
}

static void do_jump(void)
{
	((void (*)(void))PAGE)();
}

static void expect(word pde, void (*fn)(void), bool user, int vector,
	word error, const char *name)
{
	int got;

	*pd_entry() = pde;
	flush();
	got = user ? guarded_user(fn) : guarded(fn);
	ok_eq((word)got, (word)vector, name);
	if (vector == 14) {
		ok_eq(fault.error, error, "  its error code");
		ok_eq(fault.cr2, PAGE, "  CR2");
	}
}

#define LARGE 0x80ul
#define P     1ul
#define RW    2ul
#define US    4ul
#define NX    (1ul << 63)
/* physical 16 MiB: RAM with a RET at its start */
#define FRAME 0x1000000ul

static void check_paging(void)
{
	word old = *pd_entry();
	word cr0 = read_cr0();

	*(volatile uint8_t *)FRAME = 0xc3;
	expect(FRAME | LARGE, do_read, false, 14, 0, "not present, read");
	expect(FRAME | LARGE, do_write, false, 14, 2, "not present, write");
	expect(FRAME | LARGE, do_read, true, 14, 4, "not present, user");
	expect(FRAME | LARGE | P, do_read, true, 14, 5,
		"supervisor page, user read");
	expect(FRAME | LARGE | P | US, do_read, true, -1, 0,
		"user page, user read");
	expect(FRAME | LARGE | P | US, do_write, true, 14, 7,
		"read-only page, user write");
	expect(FRAME | LARGE | P, do_write, false, -1, 0,
		"read-only page, supervisor write, WP = 0");
	write_cr0(cr0 | 1 << 16);
	*(volatile uint8_t *)FRAME = 0xc3;
	expect(FRAME | LARGE | P, do_write, false, 14, 3,
		"read-only page, supervisor write, WP = 1");
	write_cr0(cr0);
	wrmsr(0xc0000080, rdmsr(0xc0000080) & ~0x800ull);
	expect(FRAME | LARGE | P | RW | NX, do_read, false, 14, 9,
		"NX is reserved without NXE");
	expect(FRAME | LARGE | P | RW | 0x2000, do_read, false, 14, 9,
		"a reserved bit of a large page");
	wrmsr(0xc0000080, rdmsr(0xc0000080) | 0x800);
	expect(FRAME | LARGE | P | RW | NX, do_read, false, -1, 0,
		"NX allows reads");
	expect(FRAME | LARGE | P | RW | NX, do_jump, false, 14, 0x11,
		"NX forbids fetches");
	expect(FRAME | LARGE | P | RW | US, do_jump, false, -1, 0,
		"fetch from a user page without SMEP");
	*pd_entry() = FRAME | LARGE | P | RW | US;
	flush();
	guarded(do_read);
	ok(*pd_entry() & 0x20, "a read sets the accessed bit");
	ok(!(*pd_entry() & 0x40), "but not the dirty bit");
	guarded(do_write);
	ok(*pd_entry() & 0x40, "a write sets the dirty bit");
	*pd_entry() = old;
	flush();
}

static void check_smep_smap(void)
{
	volatile uint64_t *own = (volatile uint64_t *)(0x100000 + 0x2000);
	word old = *pd_entry(), cr4 = read_cr4();
	uint32_t r[4];

	cpuid(7, 0, r);
	*(volatile uint8_t *)FRAME = 0xc3;
	own[0] &= ~US; /* the test's own code, stack and page tables */
	own[1] &= ~US;
	flush();
	if (r[1] >> 7 & 1) {
		write_cr4(cr4 | 1 << 20);
		expect(FRAME | LARGE | P | RW | US, do_jump, false, 14, 0x11,
			"SMEP forbids the fetch");
	}
	if (r[1] >> 20 & 1) {
		write_cr4(cr4 | 1 << 21);
		expect(FRAME | LARGE | P | RW | US, do_read, false, 14, 1,
			"SMAP forbids the read");
		__asm__ volatile(".byte 0x0f, 0x01, 0xcb" : : : "memory");
		expect(FRAME | LARGE | P | RW | US, do_read, false, -1, 0,
			"unless AC is set");
		__asm__ volatile(".byte 0x0f, 0x01, 0xca" : : : "memory");
	}
	write_cr4(cr4);
	*pd_entry() = old;
	own[0] |= US;
	own[1] |= US;
	flush();
}
#else
static void check_paging(void)
{
}

static void check_smep_smap(void)
{
}
#endif

void test_main(void)
{
	check_simple();
	check_rip();
	check_step();
	check_debug();
	check_fpu();
	check_alignment();
	check_width();
	check_paging();
	check_smep_smap();
}
