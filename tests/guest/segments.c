/*
 * segments.c - segment loads, limits, far transfers and call gates (SDM vol.
 * 3, ch. 5).
 */
#include "lib.h"

#define FREE(n) (SEL_FREE + (n)*8)

static uint16_t sel; /* what the next functions load */

static void load_ds(void)
{
	__asm__ volatile("mov %%ds, %%ecx; mov %w0, %%ds; mov %%ecx, %%ds"
			 :
			 : "r"((uint32_t)sel)
			 : "ecx");
}

static void load_fs(void)
{
	__asm__ volatile("mov %w0, %%fs" : : "r"((uint32_t)sel));
}

static void load_ss(void)
{
	__asm__ volatile("mov %%ss, %%ecx; mov %w0, %%ss; mov %%ecx, %%ss"
			 :
			 : "r"((uint32_t)sel)
			 : "ecx");
}

static void load_ldt(void)
{
	__asm__ volatile("lldt %w0" : : "r"((uint32_t)sel));
}

static void load_tr(void)
{
	__asm__ volatile("ltr %w0" : : "r"((uint32_t)sel));
}

struct load {
	void (*fn)(void);
	uint64_t descriptor;
	uint16_t sel;
	int vector;
	const char *name;
};

#define DATA(access) ((uint64_t)(access) << 40 | 0x00cf00000000ffffull)

static const struct load loads[] = {
	{load_ds, DATA(0x93), FREE(0), -1, "DS: writable data"},
	{load_ds, DATA(0x91), FREE(0), -1, "DS: read-only data"},
	{load_ds, DATA(0x9b), FREE(0), -1, "DS: readable code"},
	{load_ds, DATA(0x99), FREE(0), 13, "DS: execute-only code is #GP"},
	{load_ds, DATA(0x89), FREE(0), 13, "DS: a TSS is #GP"},
	{load_ds, DATA(0x93), FREE(0) | 3, 13, "DS: RPL 3 of DPL 0 is #GP"},
	{load_ds, DATA(0x9f), FREE(0) | 3, -1,
		"DS: conforming code has no DPL"},
	{load_ds, DATA(0x9b), FREE(0) | 3, 13,
		"DS: code of DPL 0, RPL 3 is #GP"},
	{load_ds, DATA(0x13), FREE(0), 11, "DS: not present is #NP"},
	{load_ds, DATA(0x12), FREE(0) | 3, 13, "DS: #GP comes before #NP"},
	{load_ds, DATA(0x93), 0, -1, "DS: null"},
	{load_ds, DATA(0x93), 3, -1, "DS: null with an RPL"},
	{load_ss, DATA(0x93), FREE(0), -1, "SS: writable data"},
	{load_ss, DATA(0x97), FREE(0), -1, "SS: expand-down data"},
	{load_ss, DATA(0x91), FREE(0), 13, "SS: read-only data is #GP"},
	{load_ss, DATA(0x9b), FREE(0), 13, "SS: code is #GP"},
	{load_ss, DATA(0xf3), FREE(0), 13, "SS: DPL 3 in ring 0 is #GP"},
	{load_ss, DATA(0x93), FREE(0) | 3, 13, "SS: RPL 3 in ring 0 is #GP"},
	{load_ss, DATA(0x13), FREE(0), 12, "SS: not present is #SS"},
	{load_ss, DATA(0x11), FREE(0), 13, "SS: #GP comes before #SS"},
	{load_ldt, DATA(0x93), FREE(0), 13, "LLDT of data is #GP"},
	{load_ldt, DATA(0x02), FREE(0), 11, "LLDT not present is #NP"},
	{load_ldt, DATA(0x82), FREE(0) | 4, 13, "LLDT from the LDT is #GP"},
	{load_ldt, DATA(0x82), 0, -1, "LLDT null"},
	{load_tr, DATA(0x8b), FREE(0), 13, "LTR of a busy TSS is #GP"},
	{load_tr, DATA(0x09), FREE(0), 11, "LTR not present is #NP"},
	{load_tr, DATA(0x82), FREE(0), 13, "LTR of an LDT is #GP"},
	{load_tr, DATA(0x89), 0, 13, "LTR null is #GP"},
};

static void check_loads(void)
{
	for (unsigned i = 0; i < sizeof(loads) / sizeof(*loads); i++) {
		const struct load *l = &loads[i];
		word error = l->vector < 0 ? 0 : l->sel & ~3;

		gdt[SEL_FREE / 8] = l->descriptor;
		gdt[SEL_FREE / 8 + 1] = 0;
		sel = l->sel;
		ok_eq((word)guarded(l->fn), (word)l->vector, l->name);
		if (l->vector >= 0 && fault.error != error)
			ok_eq(fault.error, error, "  its error code");
	}
	sel = sizeof(gdt) - 8 + 8;
	ok_eq((word)guarded(load_fs), 13, "FS: past the table is #GP");
	sel = FREE(0) | 4;
	ok_eq((word)guarded(load_fs), 13, "FS: from a null LDT is #GP");
}

static void check_accessed(void)
{
	gdt[FREE(0) / 8] = DATA(0x92);
	sel = FREE(0);
	guarded(load_fs);
	ok_eq(gdt[FREE(0) / 8] >> 40 & 0xff, 0x93, "a load sets Accessed");
	gdt[FREE(0) / 8] = DATA(0x9a);
	guarded(load_fs);
	ok_eq(gdt[FREE(0) / 8] >> 40 & 0xff, 0x9b, "also of code");
	gdt[FREE(0) / 8] = DATA(0x12);
	guarded(load_fs);
	ok_eq(gdt[FREE(0) / 8] >> 40 & 0xff, 0x12, "a failed load does not");
	sel = 0;
	guarded(load_fs);
}

/* ---- LDT ---- */

static void check_ldt(void)
{
	uint64_t *ldt = &gdt[FREE(8) / 8];

	gdt[FREE(0) / 8] = descriptor((uint32_t)(word)ldt, 15, 0x82, 0);
	gdt[FREE(1) / 8] = 0;
	ldt[0] = DATA(0x93);
	ldt[1] = DATA(0x92);
	ldt[2] = DATA(0x93);
	sel = FREE(0);
	ok_eq((word)guarded(load_ldt), (word)-1, "LLDT");
	sel = 4;
	ok_eq((word)guarded(load_fs), (word)-1, "LDT entry 0 is no null");
	sel = 12;
	ok_eq((word)guarded(load_fs), (word)-1, "LDT entry 1");
	ok_eq(ldt[1] >> 40 & 0xff, 0x93, "is now accessed");
	sel = 20;
	ok_eq((word)guarded(load_fs), 13, "past the LDT's limit is #GP");
	ok_eq(fault.error, 20, "with TI in the error code");
	sel = 0;
	guarded(load_fs);
	guarded(load_ldt);
}

/* ---- call gates ---- */

static volatile word gate_cs, gate_sp, gate_args[2], gate_seen;
extern char gate_entry[];

static void put_gate(
	unsigned n, uint16_t cs, word to, uint8_t access, unsigned params)
{
	gdt[FREE(n) / 8] = (to & 0xffff) | (uint64_t)cs << 16 |
			   (uint64_t)params << 32 | (uint64_t)access << 40 |
			   (uint64_t)(to >> 16 & 0xffff) << 48;
	gdt[FREE(n) / 8 + 1] = 0;
}

static const struct {
	uint32_t off;
	uint16_t sel;
} __attribute__((packed)) gate_ptr = {0xdeadbeef, FREE(0) | 3};

#ifdef __x86_64__
/* The gate's code, ring 0: look around and return to the caller. */
__asm__("gate_entry:\n"
	"push %rax\n"
	"mov %cs, %eax; mov %rax, gate_cs\n"
	"lea 8(%rsp), %rax; mov %rax, gate_sp\n"
	"incq gate_seen\n"
	"pop %rax\n"
	"lretq\n");

static void call_gate(void)
{
	__asm__ volatile("lcall *%0" : : "m"(gate_ptr) : "memory");
}
#else
__asm__("gate_entry:\n"
	"push %eax\n"
	"push %ds\n"
	"mov $0x10, %eax; mov %eax, %ds\n"
	"mov %cs, %eax; mov %eax, gate_cs\n"
	"lea 8(%esp), %eax; mov %eax, gate_sp\n"
	"mov 16(%esp), %eax; mov %eax, gate_args\n"
	"mov 20(%esp), %eax; mov %eax, gate_args + 4\n"
	"incl gate_seen\n"
	"pop %ds\n"
	"pop %eax\n"
	"lret $8\n"
	/* a 16-bit gate pushes words, too few to return here */
	"gate_16: push %eax\n"
	"push %ds\n"
	"mov $0x10, %eax; mov %eax, %ds\n"
	"movzwl 12(%esp), %eax; mov %eax, gate_args\n"
	"incl gate_seen\n"
	"int $0x81\n");
extern char gate_16[];

static void call_gate(void)
{
	__asm__ volatile("push $0x1234; push $0x5678; lcall *%0"
			 :
			 : "m"(gate_ptr)
			 : "memory");
}

static void call_gate_16(void)
{
	__asm__ volatile("pushw $0x4321; lcall *%0"
			 :
			 : "m"(gate_ptr)
			 : "memory");
}

static void jump_gate(void)
{
	__asm__ volatile("ljmp *%0" : : "m"(gate_ptr) : "memory");
}
#endif

#ifndef __x86_64__
static void check_gate_16(void)
{
	gdt[FREE(2) / 8] = descriptor((uint32_t)gate_16, 255, 0x9b, 4);
	gate_seen = 0;
	put_gate(0, FREE(2), 0, 0xe4, 1);
	gdt[FREE(1) / 8] = 0;
	ok_eq((word)guarded_user(call_gate_16), (word)-1, "a 16-bit gate");
	ok_eq(gate_seen, 1, "was entered");
	ok_eq(gate_args[0], 0x4321, "copies a word");
	put_gate(0, FREE(2), 256, 0xe4, 1);
	ok_eq((word)guarded_user(call_gate_16), 13,
		"an offset past the code's limit: #GP");
}
#endif

static void check_gates(void)
{
	unsigned args = sizeof(word) == 4 ? 2 : 0;

	gate_seen = 0;
	put_gate(0, SEL_CODE, (word)gate_entry, 0xec, args);
	ok_eq((word)guarded_user(call_gate), (word)-1, "a gate from ring 3");
	ok_eq(gate_seen, 1, "was entered");
	ok_eq(gate_cs, SEL_CODE, "in ring 0");
	ok(gate_sp < (word)user_stack ||
			gate_sp >= (word)user_stack + sizeof(user_stack),
		"on the TSS's stack");
#ifndef __x86_64__
	ok_eq(gate_args[0], 0x5678, "first parameter copied");
	ok_eq(gate_args[1], 0x1234, "second parameter copied");
#endif
	ok_eq((word)guarded(call_gate), (word)-1,
		"a gate in ring 0 stays there");
#ifndef __x86_64__
	ok_eq((word)guarded_user(jump_gate), 13, "JMP by a gate inwards: #GP");
	check_gate_16();
#endif
	put_gate(0, SEL_CODE, (word)gate_entry, 0x8c, args);
	ok_eq((word)guarded_user(call_gate), 13, "a gate of DPL 0: #GP");
	ok_eq(fault.error, FREE(0), "names the gate");
	put_gate(0, SEL_CODE, (word)gate_entry, 0x6c, args);
	ok_eq((word)guarded_user(call_gate), 11, "a gate not present: #NP");
	put_gate(0, 0, (word)gate_entry, 0xec, args);
	ok_eq((word)guarded_user(call_gate), 13, "a null target: #GP");
	ok_eq(fault.error, 0, "with error code 0");
	put_gate(0, SEL_DATA, (word)gate_entry, 0xec, args);
	ok_eq((word)guarded_user(call_gate), 13, "a data target: #GP");
	ok_eq(fault.error, SEL_DATA, "names the target");
}

/* ---- far transfers ---- */

static uint32_t far_target[2];
extern char far_landed[];

__asm__("far_landed: int $0x81\n");

static void far_jump(void)
{
	__asm__ volatile("ljmp *%0" : : "m"(far_target) : "memory");
}

static void far_to(
	uint64_t descriptor, uint16_t by, int vector, const char *name)
{
	gdt[FREE(0) / 8] = descriptor;
	gdt[FREE(1) / 8] = 0;
	far_target[0] = (uint32_t)(word)far_landed;
	far_target[1] = by;
	ok_eq((word)guarded(far_jump), (word)vector, name);
	if (vector > 0 && fault.error != (by & ~3u))
		ok_eq(fault.error, by & ~3, "  its error code");
	if (vector < 0)
		ok_eq(fault.cs, by & ~3, "  its CS");
}

#define CODE(access) ((uint64_t)(access) << 40 | 0x00cf00000000ffffull)

static void check_far(void)
{
	far_to(CODE(0x9b), FREE(0), -1, "JMP far to code");
	far_to(CODE(0x99), FREE(0), -1, "to execute-only code");
	far_to(CODE(0x9f), FREE(0), -1, "to conforming code");
	far_to(CODE(0x93), FREE(0), 13, "to data is #GP");
	far_to(CODE(0xfb), FREE(0), 13, "to code of an outer ring is #GP");
	far_to(CODE(0x9b), FREE(0) | 3, 13, "with RPL 3 is #GP");
	far_to(CODE(0x1b), FREE(0), 11, "to code not present is #NP");
	far_to(CODE(0x9b), 0, 13, "to the null selector is #GP");
	far_to(CODE(0xff), FREE(0), 13, "to outer conforming code is #GP");
#ifdef __x86_64__
	far_to(0x00ef9b000000ffffull, FREE(0), 13, "L with D is #GP");
#else
	gdt[FREE(0) / 8] = descriptor(0, 0x1ffff, 0x9b, 4);
	ok_eq((word)guarded(far_jump), 13, "past the code's limit is #GP");
	ok_eq(fault.error, 0, "with error code 0");
#endif
	/* sets Accessed */
	gdt[FREE(0) / 8] = CODE(0x9a);
	guarded(far_jump);
	far_to(CODE(0x9a), FREE(0), -1, "to code never used");
	ok_eq(gdt[FREE(0) / 8] >> 40 & 255, 0x9b, "  is now accessed");
}

/* ---- limits ---- */

static uint8_t two_pages[8192] __attribute__((aligned(4096), used));

static volatile uint32_t touched;

static void peek_fs(void)
{
	uint32_t v;

	__asm__ volatile("mov %%fs:(%1), %0" : "=r"(v) : "r"((word)touched));
}

static void poke_fs(void)
{
	__asm__ volatile("movl $1, %%fs:(%0)"
			 :
			 : "r"((word)touched)
			 : "memory");
}

#ifndef __x86_64__
static uint32_t room[1024];

static void segment(uint32_t limit, uint8_t access, uint8_t flags)
{
	gdt[FREE(0) / 8] =
		descriptor((uint32_t)room - 0x1000, limit, access, flags);
	sel = FREE(0);
	guarded(load_fs);
}

static void at(uint32_t offset, int read, int write, const char *name)
{
	touched = offset;
	ok_eq((word)guarded(peek_fs), (word)read, name);
	ok_eq((word)guarded(poke_fs), (word)write, "  written");
}

static void check_limits(void)
{
	segment(0x1fff, 0x93, 4);
	at(0x1ffc, -1, -1, "the last four bytes");
	at(0x1ffd, 13, 13, "one too many");
	at(0xffffffff, 13, 13, "far beyond");
	ok_eq(fault.error, 0, "error code 0");
	segment(1, 0x93, 0xc);
	at(0x1ffc, -1, -1, "a limit in pages");
	at(0x2000, 13, 13, "one past it");
	segment(0x1fff, 0x91, 4);
	at(0x1000, -1, 13, "read-only data");
	segment(0x1fff, 0x99, 4);
	ok_eq((word)guarded(load_fs), 13, "execute-only cannot be loaded");
	segment(0xfff, 0x97, 4);
	at(0xfff, 13, 13, "expand-down: at its limit");
	at(0x1000, -1, -1, "expand-down: above it");
	segment(0xfff, 0x97, 0);
	at(0xfffd, 13, 13, "a small one ends at 64 KiB");
	sel = 0;
	guarded(load_fs);
	at(0x1000, 13, 13, "through a null selector");
}

/* A jump to the end of its segment, where a page ends too. */
static void check_code_end(void)
{
	static const struct {
		uint8_t code[5], n;
		uint16_t rip;
		const char *name;
	} ends[] = {
		{{0x90}, 1, 0x1000, "NOP before the end: #GP behind it"},
		{{0xeb, 0}, 2, 0xffe, "JMP to the end: #GP at it"},
		{{0xf9, 0x72, 0}, 3, 0xffe, "JC taken, to the end"},
		{{0xf8, 0x72, 0}, 3, 0x1000, "JC not taken"},
		{{0xe8, 0, 0, 0, 0}, 5, 0xffb, "CALL to the end"},
	};

	gdt[FREE(0) / 8] = descriptor((word)two_pages, 0xfff, 0x9b, 4);
	far_target[1] = FREE(0);
	for (unsigned i = 0; i < sizeof(ends) / sizeof(*ends); i++) {
		far_target[0] = 0x1000u - ends[i].n;
		__builtin_memcpy(
			two_pages + far_target[0], ends[i].code, ends[i].n);
		ok_eq((word)guarded(far_jump), 13, ends[i].name);
		ok_eq(fault.rip, ends[i].rip, "  RIP");
	}
}

uint32_t narrow_sel __attribute__((used)) = FREE(0) | 3;
uint32_t enter_got[2] __attribute__((used));
uint8_t narrow_stack[0x1000] __attribute__((aligned(16), used));
FN(enter_narrow, "push %ebp; mov %esp, %eax; mov %ss, %ecx\n"
		 "mov narrow_sel, %ss; mov $0x12340100, %esp; enter $16, $1\n"
		 "mov %esp, enter_got; mov %ebp, enter_got + 4\n"
		 "mov %ecx, %ss; mov %eax, %esp; pop %ebp");
FN(fxrstor_out, "mov narrow_sel, %ss; .byte 0x36; fxrstor 0xffd");
FN(fxrstor_in, "mov narrow_sel, %ss; .byte 0x36; fxrstor 0xffb");
FN(fxsave_out, "mov narrow_sel, %ss; .byte 0x36; fxsave 0xffe");
FN(fxsave_in, "mov narrow_sel, %ss; .byte 0x36; fxsave 0xff9");

static void check_stack(void)
{
	static const struct attempt odd[] = {
		{fxrstor_out, 12, "FXRSTOR, 3 bytes to the limit: #SS"},
		{fxrstor_in, 13, "FXRSTOR, 5 bytes: not aligned, #GP"},
		{fxsave_out, 12, "FXSAVE, 2 bytes to the limit: #SS"},
		{fxsave_in, 13, "FXSAVE, 7 bytes: #GP"},
	};
	uint32_t frame;

	check_code_end();
	gdt[FREE(0) / 8] = descriptor((word)narrow_stack, 0xfff, 0xf3, 0);
	for (unsigned i = 0; i < 4; i++)
		ok_eq((word)guarded_user(odd[i].fn), (word)odd[i].vector,
			odd[i].name);
	ok_eq((word)guarded_user(enter_narrow), (word)-1,
		"ENTER on a 16-bit stack");
	ok_eq(enter_got[0], 0x123400e8, "its ESP");
	ok_eq(enter_got[1], 0x123400fc, "its EBP has ESP's upper half");
	__builtin_memcpy(&frame, narrow_stack + 0xf8, 4);
	ok_eq(frame, 0x123400fc, "as its frame pointer has");
}
#else
static void check_limits(void)
{
	gdt[FREE(0) / 8] = descriptor(0x1000, 0, 0x93, 0);
	sel = FREE(0);
	guarded(load_fs);
	touched = 0x200000;
	ok_eq((word)guarded(peek_fs), (word)-1, "64-bit code has no limits");
	gdt[FREE(0) / 8] = descriptor(0x1000, 0, 0x91, 0);
	guarded(load_fs);
	ok_eq((word)guarded(poke_fs), (word)-1, "nor read-only segments");
	ok_eq(rdmsr(0xc0000100), 0x1000, "the base of FS is its MSR");
	sel = 0;
	guarded(load_fs);
	ok_eq((word)guarded(peek_fs), (word)-1, "a null selector is no fault");
}

static volatile uint64_t nc = 0x0000800000000000ull;

static void peek_nc(void)
{
	__asm__ volatile("mov (%0), %%eax" : : "r"(nc) : "eax");
}

static void peek_nc_stack(void)
{
	__asm__ volatile("mov %%rsp, %%rcx; mov %0, %%rsp; pop %%rax; "
			 "mov %%rcx, %%rsp"
			 :
			 : "r"(nc)
			 : "rax", "rcx", "memory");
}

static void jump_nc(void)
{
	__asm__ volatile("jmp *%0" : : "r"(nc));
}

static void ret_nc(void)
{
	__asm__ volatile("push %0; ret" : : "r"(nc));
}

static void base_nc(void)
{
	wrmsr(0xc0000100, nc);
}

static void check_stack(void)
{
	ok_eq((word)guarded(peek_nc), 13, "a non-canonical address is #GP");
	ok_eq((word)guarded(peek_nc_stack), 12, "on the stack it is #SS");
	ok_eq((word)guarded(jump_nc), 13, "a jump there is #GP");
	ok_eq(*(uint8_t *)fault.rip, 0xff, "at the jump");
	ok_eq((word)guarded(ret_nc), 13, "a return there is #GP");
	ok_eq(*(uint8_t *)fault.rip, 0xc3, "at the return");
	ok_eq((word)guarded(base_nc), 13, "a non-canonical FS base is #GP");
}
#endif

/* ---- LAR, LSL, VERR, VERW (SDM vol. 2) ---- */

#define USED __attribute__((used))

uint32_t peek_sel USED, lar_got USED, lsl_got USED;
uint8_t peek_zf[4] USED;

FN(peek_all, "mov peek_sel, %ecx\n"
	     "lar %ecx, %eax; mov %eax, lar_got; setz peek_zf\n"
	     "lsl %ecx, %eax; mov %eax, lsl_got; setz peek_zf + 1\n"
	     "verr %cx; setz peek_zf + 2; verw %cx; setz peek_zf + 3");

/* Which of the four succeed, as bits. */
static unsigned peeks(unsigned type, unsigned dpl, unsigned rpl, unsigned cpl)
{
	bool wide = sizeof(word) == 8, s = type & 16, code = type & 8;
	unsigned can = 0;

	if (dpl < (rpl > cpl ? rpl : cpl) && (type & 28) != 28)
		return 0;
	if (!s) {
		can |= (wide ? 0x1a04u : 0x1a3eu) >> type & 1;
		can |= ((wide ? 0x0a04u : 0x0a0eu) >> type & 1) << 1;
		return can;
	}
	can = 3;
	can |= (!code || type & 2) << 2;
	can |= (!code && type & 2) << 3;
	return can;
}

static unsigned try_peek(unsigned type, unsigned dpl, unsigned rpl, bool user)
{
	unsigned got = 0, access = type | dpl << 5;

	/* P does not matter: clear in every other one */
	access |= (type ^ dpl) & 1 ? 0x80 : 0;
	gdt[FREE(0) / 8] = descriptor(0x1234, 0x56789, access, 0xc);
	gdt[FREE(1) / 8] = 0;
	peek_sel = FREE(0) | rpl;
	if (user)
		guarded_user(peek_all);
	else
		guarded(peek_all);
	for (unsigned i = 0; i < 4; i++)
		got |= (unsigned)peek_zf[i] << i;
	if (got != peeks(type, dpl, rpl, user ? 3 : 0))
		return 1;
	if (got & 1 && (lar_got & 0xf0ffff) != (0xc00000 | access << 8))
		return 1;
	return got & 2 && lsl_got != 0x56789fff;
}

static void check_peeks(void)
{
	unsigned bad = 0;

	for (unsigned n = 0; n < 32 * 4 * 4; n++) {
		bad += try_peek(n >> 4, n >> 2 & 3, n & 3, false);
		bad += try_peek(n >> 4, n >> 2 & 3, n & 3, true);
	}
	ok_eq(bad, 0, "LAR, LSL, VERR, VERW of each type, DPL, RPL and CPL");
	for (unsigned i = 0; i < 3; i++) {
		static const uint16_t none[] = {0, 3, sizeof(gdt)};

		peek_sel = none[i];
		guarded(peek_all);
		bad += peek_zf[0] | peek_zf[1] | peek_zf[2] | peek_zf[3];
	}
	ok_eq(bad, 0, "of none: ZF is clear");
}

/* ---- jumps to the next instruction, by way of two pages ---- */

#ifdef __x86_64__
#define AX "%rax"
#define CX "%rcx"
#define SP "%rsp"
#else
#define AX "%eax"
#define CX "%ecx"
#define SP "%esp"
#endif

word next_seen[3] USED;
FN(call_next, "mov " SP ", " CX "; mov $two_pages + 4098, %esp\n"
	      "call 1f; 1: incl next_seen; mov " CX ", " SP);
FN(jump_next, "movl $1f, two_pages + 4094; movl $0, two_pages + 4098\n"
	      "jmp *two_pages + 4094; 1: incl next_seen");
FN(return_next, "mov " SP ", " CX "; movl $1f, two_pages + 4094\n"
		"movl $0, two_pages + 4098; mov $two_pages + 4094, %esp\n"
		"ret; 1: incl next_seen; mov " CX ", " SP);

static void check_next(void)
{
	static void (*const fn[])(void) = {call_next, jump_next, return_next};

	for (unsigned i = 0; i < 3; i++) {
		next_seen[0] = 0;
		for (unsigned n = 0; n < 100; n++)
			guarded(fn[i]);
		ok_eq(next_seen[0], 100, "to the next instruction");
	}
}

void test_main(void)
{
	check_loads();
	check_next();
	check_peeks();
	check_accessed();
	check_ldt();
	check_gates();
	check_far();
	check_limits();
	check_stack();
}
