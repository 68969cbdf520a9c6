/*
 * syscall.c - the fast ways into the kernel and back, and single steps over
 * everything that is special (SDM vol. 2; vol. 3, 5.8, 6.8.3, 18.3.1.4).
 */
#include "lib.h"

#define USED __attribute__((used))
#define TF   0x100
#define ALL  0x247ed7 /* flags that ring 0 may set without harm, but TF */
#define STAR 0xc0000081
#define EFER 0xc0000080

#ifdef __x86_64__
#define AX   "%rax"
#define SP   "%rsp"
#define BP   "%rbp"
#define EXIT "sysexitl"
#else
#define AX   "%eax"
#define SP   "%esp"
#define BP   "%ebp"
#define EXIT "sysexit"
#endif

word in_flags USED, got_flags USED, got_sp USED, got_cs USED, got_ss USED;
word ret_ip USED, ret_sp USED, ret_flags USED;
static uint8_t stack[4096] __attribute__((aligned(16)));
static uint8_t bytes[512] __attribute__((aligned(64), used));
#define TOP ((word)stack + sizeof(stack))

/* Where all of them lead: note what is there, and end. */
#define NOTE(sp, ax)                                                           \
	"mov " sp ", got_sp; pushf; pop got_flags; mov %cs, %eax\n"            \
	"mov " ax ", got_cs; mov %ss, %eax; mov " ax ", got_ss; int $0x81"

FN(landed, NOTE(SP, AX));
#ifdef __x86_64__
FN(narrow, ".code32\n" NOTE("%esp", "%eax") "\n.code64");
#else
#define narrow landed
#endif
FN(do_sysenter, "push in_flags; popf; sysenter");
FN(do_sysexit,
	"mov ret_sp, %ecx; mov ret_ip, %edx; push in_flags; popf\n" EXIT);
FN(tf_sysenter, "pushf; orl $0x100, (" SP "); popf; sysenter");
FN(do_syscall, "push in_flags; popf; syscall; after_syscall: nop");

static bool amd(void)
{
	uint32_t r[4];

	cpuid(0, 0, r);
	return r[1] == 0x68747541;
}

/* ---- SYSENTER, SYSEXIT ---- */

static void check_sysenter(void)
{
	wrmsr(0x174, 0);
	ok_eq((word)guarded(do_sysenter), 13, "SYSENTER_CS 0 is #GP");
	ok_eq(fault.error, 0, "with error code 0");
	wrmsr(0x174, 3);
	ok_eq((word)guarded(do_sysenter), 13, "so is 3");
	wrmsr(0x174, SEL_CODE | 3);
	wrmsr(0x175, TOP);
	wrmsr(0x176, (word)landed);
	in_flags = ALL;
	ok_eq((word)guarded(do_sysenter), (word)-1, "SYSENTER");
	ok_eq(got_cs, SEL_CODE, "CS of the MSR without RPL");
	ok_eq(got_ss, SEL_DATA, "SS is the next");
	ok_eq(got_sp, TOP, "the stack");
	ok_eq(got_flags, ALL & ~0x200, "flags: but IF as they were");
	in_flags = 2;
	ok_eq((word)guarded_user(do_sysenter), (word)-1, "from ring 3");
	ok_eq(got_cs, SEL_CODE, "into ring 0");
	ok_eq((word)guarded(tf_sysenter), 1, "with TF it traps");
	ok_eq(fault.rip, (word)landed, "at the handler");
}

static void check_sysexit(void)
{
	wrmsr(0x174, SEL_CODE);
	ret_ip = (word)narrow;
	ret_sp = TOP;
	in_flags = 0x3002; /* IOPL 3 */
	got_cs = got_ss = got_sp = got_flags = 0;
	ok_eq((word)guarded_user(do_sysexit), 13, "SYSEXIT in ring 3 is #GP");
	ok_eq((word)guarded(do_sysexit), (word)-1, "SYSEXIT");
	ok_eq(got_cs, 0x1b, "CS is two further, RPL 3");
	ok_eq(got_ss, 0x23, "SS three");
	ok_eq(got_sp, TOP, "the stack is in ECX");
	ok_eq(got_flags, 0x3002, "flags stay");
	wrmsr(0x174, 0);
	ok_eq((word)guarded(do_sysexit), 13, "SYSENTER_CS 0 is #GP");
}

/* ---- SYSCALL, SYSRET ---- */

#ifdef __x86_64__

word got_cx USED, got_11 USED;
FN(entry, "mov %rcx, got_cx; mov %r11, got_11\n" NOTE(SP, AX));
FN(do_sysret, "mov ret_ip, %rcx; mov ret_flags, %r11; mov ret_sp, %rsp\n"
	      "sysretq");
FN(do_sysretl, "mov ret_ip, %rcx; mov ret_flags, %r11; mov ret_sp, %rsp\n"
	       "sysretl");
FN(do_sysexitq, "mov ret_sp, %rcx; mov ret_ip, %rdx; sysexitq");
FN(tf_syscall, "pushf; orl $0x100, (%rsp); popf; syscall");
FN(landed_step, "nop; landed_next: nop; nop; int $0x81");
FN(narrow_syscall, ".code32\nsyscall; int $0x81\n.code64");
extern char after_syscall[], landed_next[];

static void check_syscall(void)
{
	unsigned bad = 0;

	wrmsr(EFER, rdmsr(EFER) & ~1ull);
	wrmsr(STAR, 0x1bull << 48 | (uint64_t)SEL_CODE << 32);
	wrmsr(0xc0000082, (word)entry);
	wrmsr(0xc0000083, (word)entry);
	wrmsr(0xc0000084, 0);
	in_flags = 2;
	ok_eq((word)guarded_user(do_syscall), 6, "SYSCALL without SCE is #UD");
	ok_eq((word)guarded(do_sysret), 6, "SYSRET is");
	wrmsr(EFER, rdmsr(EFER) | 1);
	ok_eq((word)guarded_user(do_syscall), (word)-1, "SYSCALL");
	ok_eq(got_cx, (word)after_syscall, "RCX: behind it");
	ok_eq(got_cs, SEL_CODE, "CS");
	ok_eq(got_ss, SEL_DATA, "SS");
	ok_eq(got_sp, (word)user_stack + STACK_BYTES - 64, "the same stack");
	in_flags = ALL;
	ok_eq((word)guarded(do_syscall), (word)-1, "from ring 0");
	ok_eq(got_11, ALL, "R11: flags");
	ok_eq(got_flags, ALL, "which stay");
	for (unsigned b = 0; b < 32; b++) {
		wrmsr(0xc0000084, 1ull << b);
		guarded(do_syscall);
		bad += got_flags != ((ALL & ~(1u << b)) | 2) || got_11 != ALL;
	}
	ok_eq(bad, 0, "but those that FMASK names");
	wrmsr(STAR, 0x1bull << 48 | (uint64_t)(SEL_CODE | 3) << 32);
	guarded_user(do_syscall);
	ok_eq(got_cs, SEL_CODE, "CS: its RPL does not count");
	ok_eq(got_ss, SEL_DATA | 3, "SS: it does");
	in_flags = 2;
	guarded(do_syscall);
	ok_eq(got_ss, SEL_DATA | 3, "from ring 0, too");
	wrmsr(STAR, 0x1bull << 48 | (uint64_t)SEL_CODE << 32);
	wrmsr(0xc0000084, 0);
	ok_eq((word)guarded_user(tf_syscall), 1, "SYSCALL with TF traps");
	ok_eq(fault.rip, (word)entry, "at the handler");
	wrmsr(0xc0000084, TF);
	ok_eq((word)guarded_user(tf_syscall), (word)-1, "not if FMASK has TF");
	ok_eq(got_11 & TF, TF, "R11 has it");
	ok_eq((word)guarded_at(SEL_UCODE32, SEL_UDATA, narrow_syscall),
		amd() ? (word)-1 : 6, "in 32-bit code it is #UD, but AMD's");
}

static void check_sysret(void)
{
	wrmsr(STAR, 0x18ull << 48 | (uint64_t)SEL_CODE << 32);
	ret_ip = (word)landed;
	ret_sp = TOP;
	ret_flags = 0xffffffffffffffff & ~TF;
	ok_eq((word)guarded(do_sysret), (word)-1, "SYSRET");
	ok_eq(got_cs, 0x2b, "CS two further, RPL 3");
	ok_eq(got_ss, 0x23, "SS the next, RPL 3");
	ok_eq(got_sp, TOP, "RSP stays");
	ok_eq(got_flags, (0x3c7fd7 & ~TF) | 2, "flags of R11 but RF and VM");
	ret_flags = 0;
	guarded(do_sysret);
	ok_eq(got_flags, 2, "bit 1 is always set");
	ok_eq((word)guarded_user(do_sysret), 13, "in ring 3 it is #GP");
	ret_flags = TF;
	ret_ip = (word)landed_step;
	ok_eq((word)guarded(do_sysret), 1, "with TF it traps");
	ok_eq(fault.rip, (word)landed_next, "behind the next instruction");
	ret_flags = 2;
	ret_ip = 0x800000000000ull;
	ok_eq((word)guarded(do_sysret), amd() ? 14 : 13,
		"RCX not canonical is #GP");
	ok_eq(fault.cs, SEL_CODE, "in ring 0");
	got_cs = got_ss = 0;
	ret_ip = (word)narrow | 1ull << 63 | 1ull << 40;
	ok_eq((word)guarded(do_sysretl), (word)-1, "SYSRET to 32 bits");
	ok_eq(got_cs, 0x1b, "CS, RPL 3");
	ok_eq(got_ss, 0x23, "SS the next");
}

/* What SYSRET switches on and off, again and again. */
FN(land_crooked, "mov bytes + 1, %eax; int $0x81");
FN(land_rdtsc, "rdtsc; int $0x81");

static void check_switches(void)
{
	word cr0 = read_cr0(), cr4 = read_cr4();
	unsigned bad = 0;

	write_cr0(cr0 | 1 << 18);
	ret_sp = TOP;
	for (unsigned n = 0; n < 64; n++) {
		bool ac = n & 1, tsd = n >> 1 & 1;

		ret_flags = ac ? 0x40002 : 2;
		ret_ip = (word)land_crooked;
		bad += guarded(do_sysret) != (ac ? 17 : -1);
		write_cr4(tsd ? cr4 | 4 : cr4 & ~(word)4);
		ret_ip = (word)land_rdtsc;
		bad += guarded(do_sysret) != (tsd ? 13 : -1);
		/* and back: ring 0 knows no alignment */
		wrmsr(0xc0000084, n & 4 ? 0x40000 : 0);
		in_flags = ret_flags;
		bad += guarded_user(do_syscall) != -1;
		bad += got_11 != ret_flags;
		bad += got_flags != (n & 4 ? 2 : ret_flags);
	}
	ok_eq(bad, 0, "AC and TSD over SYSRET and SYSCALL");
	write_cr0(cr0);
	write_cr4(cr4);
}

static void check_long_exit(void)
{
	wrmsr(0x174, SEL_CODE);
	ret_ip = (word)landed;
	ret_sp = TOP;
	ok_eq((word)guarded(do_sysexitq), (word)-1, "SYSEXIT to 64 bits");
	ok_eq(got_cs, 0x2b, "CS is four further");
	ok_eq(got_ss, 0x33, "SS five");
	ok_eq(got_sp, TOP, "the stack is in RCX");
	ret_sp = 0x800000000000ull;
	ok_eq((word)guarded(do_sysexitq), 13, "RCX not canonical is #GP");
	ret_sp = TOP;
	ret_ip = 1ull << 63;
	ok_eq((word)guarded(do_sysexitq), 13, "nor may RDX");
}

#else

static void check_syscall(void)
{
	if (!amd())
		ok_eq((word)guarded(do_syscall), 6, "SYSCALL is #UD");
}

static void check_sysret(void)
{
}

static void check_switches(void)
{
}

static void check_long_exit(void)
{
}
#endif

/* ---- single steps ---- */

#define ON  "pushf; orl $0x100, (" SP "); popf\n"
#define OFF "pushf; andl $~0x100, (" SP "); popf\n"

/* A step is to come behind the piece, and behind the NOP after it. */
#define STEP(name, setup, piece)                                               \
	FN(st_##name, "mov " SP ", got_sp\n" setup "\n" ON piece "\nst_" #name \
		      "_1: nop\nst_" #name "_2:" OFF "mov got_sp, " SP);       \
	extern char st_##name##_1[], st_##name##_2[]

uint64_t wide USED;
struct {
	uint16_t limit;
	word base;
} __attribute__((packed)) table USED;

STEP(nop, "", "nop");
STEP(mov_ss, "mov %ss, %eax", "mov %eax, %ss; nop");
STEP(mov_ds, "mov %ds, %eax", "mov %eax, %ds");
STEP(sti, "", "sti");
STEP(cli, "sti", "cli");
STEP(pushf, "", "pushf");
STEP(jmp, "", "jmp 1f; ud2; 1:");
STEP(jcc, "cmp %eax, %eax", "je 1f; ud2; 1:");
STEP(jnc, "cmp %eax, %eax", "jne 1f; 1:");
STEP(call, "", "call 1f; ud2; 1:");
STEP(ret, "push $1f", "ret; ud2; 1:");
STEP(jmp_reg, "mov $1f, %eax", "jmp *" AX "; ud2; 1:");
STEP(loop, "mov $1, %ecx", "loop .");
STEP(int_n, "", "int $0x50; nop");
STEP(int3, "", "int3; nop");
STEP(icebp, "", ".byte 0xf1");
STEP(ud2, "", "ud2; nop");
STEP(cpuid, "xor %eax, %eax", "cpuid");
STEP(rdtsc, "", "rdtsc");
STEP(rdmsr, "mov $0x277, %ecx", "rdmsr");
STEP(wrmsr, "mov $0x277, %ecx; rdmsr", "wrmsr");
STEP(read_cr, "", "mov %cr0, " AX);
STEP(write_cr0, "mov %cr0, " AX, "mov " AX ", %cr0");
STEP(write_cr3, "mov %cr3, " AX, "mov " AX ", %cr3");
STEP(write_cr4, "mov %cr4, " AX, "mov " AX ", %cr4");
STEP(clts, "", "clts");
STEP(smsw, "", "smsw %eax");
STEP(lmsw, "smsw %eax", "lmsw %ax");
STEP(invlpg, "", "invlpg bytes");
STEP(wbinvd, "", "wbinvd");
STEP(in, "", "in $0x80, %al");
STEP(out, "", "out %al, $0x80");
STEP(movs, "cld; mov $bytes, %esi; mov $bytes, %edi", "movsb");
STEP(cmov, "cmp %eax, %eax", "cmove %ecx, %eax");
STEP(xchg, "", "xchg %eax, wide");
STEP(lock, "", "lock; addl $1, wide");
STEP(cmpxchg8b, "", "cmpxchg8b wide");
STEP(enter, "mov " SP ", " BP, "enter $8, $1");
STEP(fninit, "", "fninit");
STEP(fwait, "", "fwait");
STEP(addps, "", "addps %xmm0, %xmm0");
STEP(fxsave, "", "fxsave bytes");
STEP(lidt, "sidt table", "lidt table");
STEP(lldt, "xor %eax, %eax", "lldt %ax");
STEP(str, "", "str %eax");
STEP(lar, "mov %cs, %ecx", "lar %ecx, %eax");
STEP(pause, "", "pause");
STEP(mfence, "", "mfence");
STEP(hlt, "", "hlt");
STEP(div, "mov $1, %eax; xor %edx, %edx", "div %eax");
STEP(bts, "", "btsl $3, wide");
#ifdef __x86_64__
STEP(swapgs, "swapgs", "swapgs");
#define IRET_FRAME(flags)                                                      \
	"mov %rsp, %rcx; pushq $0x10; push %rcx; pushq $" flags                \
	"; pushq $8; pushq $1f\n"
#define IRET_1 "iretq; 1:"
STEP(lret, "pushq $8; pushq $1f", "lretq; 1:");
#else
STEP(pop_ss, "push %ss", "pop %ss; nop");
#define IRET_FRAME(flags) "pushl $" flags "; pushl $8; pushl $1f\n"
#define IRET_1		  "iret; 1:"
STEP(lret, "pushl $8; pushl $1f", "lret; 1:");
STEP(pusha, "", "pusha");
STEP(far, "", "ljmp $8, $1f; 1:");
STEP(daa, "", "daa");
#endif
STEP(iret, IRET_FRAME("0x102"), IRET_1);

#define S(name)                                                                \
	{                                                                      \
		st_##name, {st_##name##_1, st_##name##_2}, #name               \
	}

static const struct {
	void (*fn)(void);
	char *at[2];
	const char *name;
} stepped[] = {
	S(nop),
	S(mov_ss),
	S(mov_ds),
	S(sti),
	S(cli),
	S(pushf),
	S(jmp),
	S(jcc),
	S(jnc),
	S(call),
	S(ret),
	S(jmp_reg),
	S(loop),
	S(int_n),
	S(int3),
	S(icebp),
	S(ud2),
	S(cpuid),
	S(rdtsc),
	S(rdmsr),
	S(wrmsr),
	S(read_cr),
	S(write_cr0),
	S(write_cr3),
	S(write_cr4),
	S(clts),
	S(smsw),
	S(lmsw),
	S(invlpg),
	S(wbinvd),
	S(in),
	S(out),
	S(movs),
	S(cmov),
	S(xchg),
	S(lock),
	S(cmpxchg8b),
	S(enter),
	S(fninit),
	S(fwait),
	S(addps),
	S(fxsave),
	S(lidt),
	S(lldt),
	S(str),
	S(lar),
	S(pause),
	S(mfence),
	S(hlt),
	S(div),
	S(bts),
	S(lret),
	S(iret),
#ifdef __x86_64__
	S(swapgs),
#else
	S(pop_ss),
	S(pusha),
	S(far),
	S(daa),
#endif
};

static word steps[16];
static unsigned nsteps;
static word step_flags;

static void on_step(struct frame *f)
{
	if (nsteps < 16)
		steps[nsteps] = f->rip;
	nsteps++;
	step_flags = f->flags;
}

static void on_skip(struct frame *f)
{
	if (f->vector == 6)
		f->rip += 2;
}

static void take_steps(bool on)
{
	on_vector(1, on ? on_step : NULL);
	on_vector(3, on ? on_skip : NULL);
	on_vector(6, on ? on_skip : NULL);
	on_vector(0x50, on ? on_skip : NULL);
	nsteps = 0;
}

static void check_steps(void)
{
	print("# single steps\n");
	for (unsigned i = 0; i < sizeof(stepped) / sizeof(*stepped); i++) {
		int got;

		take_steps(true);
		got = guarded(stepped[i].fn);
		take_steps(false);
		ok(got == -1 && steps[0] == (word)stepped[i].at[0] &&
				steps[1] == (word)stepped[i].at[1],
			stepped[i].name);
		if (got != -1 || steps[0] != (word)stepped[i].at[0]) {
			print("# vector ");
			print_hex((word)got);
			print(" at ");
			print_hex(steps[0]);
			print(" for ");
			print_hex((word)stepped[i].at[0]);
			print("\n");
		}
	}
}

/* REP: a step behind each turn; the pushed flags. */
FN(rep_step, "cld; mov $bytes, %esi; mov $bytes, %edi; mov $2, %ecx\n" ON
	     "rep_at: rep movsb\nrep_end: nop\n" OFF);
FN(pushed_tf, ON "pushf\n" OFF "pop " AX "; mov " AX ", got_flags");
FN(popf_off, ON "pushf; andl $~0x100, (" SP "); popf; off_end: nop; nop");
FN(iret_off, IRET_FRAME("2") ON IRET_1 "iret_off_1: nop");
FN(iret_on, IRET_FRAME("0x102") IRET_1 "nop\niret_on_1:" OFF);
extern char rep_at[], rep_end[], off_end[], iret_off_1[], iret_on_1[];

static void check_step_more(void)
{
	take_steps(true);
	guarded(rep_step);
	take_steps(false);
	ok_eq(steps[0], (word)rep_at, "REP MOVSB: a step within");
	ok_eq(steps[1], (word)rep_end, "and behind it");
	take_steps(true);
	guarded(pushed_tf);
	take_steps(false);
	ok_eq(got_flags & TF, TF, "PUSHF shows TF");
	take_steps(true);
	guarded(popf_off);
	ok_eq(nsteps, 3, "POPF that clears TF");
	take_steps(false);
	ok_eq(steps[2], (word)off_end, "traps itself");
	ok_eq(step_flags & TF, 0, "with TF clear in the saved flags");
	take_steps(true);
	guarded(iret_off);
	ok_eq(nsteps, 1, "so does IRET");
	take_steps(false);
	ok_eq(steps[0], (word)iret_off_1, "where it goes");
	take_steps(true);
	guarded(iret_on);
	take_steps(false);
	ok_eq(steps[0], (word)iret_on_1, "IRET that sets TF: one later");
}

/* ---- what ring 3 may do by CR4.TSD, and EFLAGS.AC ---- */

FN(do_rdtsc, "rdtsc");
FN(do_rdtscp, "rdtscp");
FN(do_stac, ".byte 0x0f, 0x01, 0xcb");
FN(do_clac, ".byte 0x0f, 0x01, 0xca");
FN(see_ac, ".byte 0x0f, 0x01, 0xcb; pushf; pop got_flags\n"
	   ".byte 0x0f, 0x01, 0xca; pushf; pop got_sp");

static void check_tsd(void)
{
	word cr4 = read_cr4();
	unsigned bad = 0;

	for (unsigned n = 0; n < 6; n++) {
		int want = n & 1 ? 13 : -1;

		write_cr4(n & 1 ? cr4 | 4 : cr4 & ~(word)4);
		bad += guarded_user(do_rdtsc) != want;
		bad += guarded(do_rdtsc) != -1;
		if (has(0x80000001, 0, 3, 27)) {
			bad += guarded_user(do_rdtscp) != want;
			bad += guarded(do_rdtscp) != -1;
		}
	}
	write_cr4(cr4);
	ok_eq(bad, 0, "CR4.TSD turned: RDTSC in ring 3 is #GP or not");
	if (!has(7, 0, 1, 20)) {
		ok_eq((word)guarded(do_stac), 6, "STAC is not there");
		return;
	}
	guarded(see_ac);
	ok_eq(got_flags >> 18 & 1, 1, "STAC sets AC");
	ok_eq(got_sp >> 18 & 1, 0, "CLAC clears it");
	ok_eq((word)guarded_user(do_stac), 6, "STAC in ring 3 is #UD");
	ok_eq((word)guarded_user(do_clac), 6, "CLAC is");
}

/* ---- RF ---- */

static unsigned rf_hits;
static bool rf_resume;
FN(rf_loop, "mov $3, %ecx; 1: \nrf_at: nop; loop 1b");
FN(rf_rep, "cld; mov $bytes, %esi; mov $bytes, %edi; mov $3, %ecx\n"
	   "rf_rep_at: rep movsb");
FN(rf_popf, "push $0x10002; popf; rf_popf_at: nop");
extern char rf_at[], rf_rep_at[], rf_popf_at[];

static void on_bp(struct frame *f)
{
	rf_hits++;
	if (rf_resume)
		f->flags |= 1 << 16;
	else if (rf_hits > 2)
		__asm__ volatile("mov %0, %%dr7" : : "r"((word)0x400));
}

static unsigned hits(void (*fn)(void), char *at)
{
	rf_hits = 0;
	on_vector(1, on_bp);
	__asm__ volatile("mov %0, %%dr0; mov %1, %%dr7"
			 :
			 : "r"((word)at), "r"((word)0x402));
	guarded(fn);
	__asm__ volatile("mov %0, %%dr7" : : "r"((word)0x400));
	on_vector(1, NULL);
	return rf_hits;
}

static void check_rf(void)
{
	rf_resume = true;
	ok_eq(hits(rf_loop, rf_at), 3, "RF passes an instruction once");
	ok_eq(hits(rf_rep, rf_rep_at), 1, "REP MOVSB as a whole");
	ok_eq(hits(rf_popf, rf_popf_at), 1, "POPF cannot set it");
	rf_resume = false;
	ok_eq(hits(rf_loop, rf_at) > 2, true, "without RF it is met again");
}

void test_main(void)
{
	write_cr0(read_cr0() & ~(word)12);
	write_cr4(read_cr4() | 0x600);
	if (has(1, 0, 3, 11) && !(amd() && sizeof(word) == 8)) {
		check_sysenter();
		check_sysexit();
		check_long_exit();
	}
	check_syscall();
	check_sysret();
	check_switches();
	check_steps();
	check_step_more();
	check_tsd();
	check_rf();
}
