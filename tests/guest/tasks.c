/*
 * tasks.c - task switches and virtual-8086 mode (SDM vol. 3, ch. 7 and 20).
 */
#include "lib.h"

#define NEW_TSS	 (SEL_FREE + 0)
#define OLD_TSS	 SEL_TSS
#define TSS16	 (SEL_FREE + 8)
#define GATE	 (SEL_FREE + 16)
#define BAD_DATA (SEL_FREE + 32)
#define BUSY	 2

struct tss32 {
	uint32_t link, esp0, ss0, esp1, ss1, esp2, ss2, cr3, eip, eflags, eax,
		ecx, edx, ebx, esp, ebp, esi, edi, es, cs, ss, ds, fs, gs, ldt;
	uint16_t trap, iomap;
	uint8_t io[40];
};

struct tss16 {
	uint16_t link, sp0, ss0, sp1, ss1, sp2, ss2, ip, flags, ax, cx, dx, bx,
		sp, bp, si, di, es, cs, ss, ds, ldt;
};

static struct tss32 task;
static struct tss16 task16;
static uint8_t task_stack[4096] __attribute__((aligned(16)));
static volatile uint32_t ran, seen_tr, seen_flags, seen_cr0, seen_eax;
static struct {
	uint32_t off;
	uint16_t sel;
} __attribute__((packed)) far_ptr;

static uint8_t type_of(uint16_t sel)
{
	return gdt[sel / 8] >> 40 & 15;
}

static uint32_t flags(void)
{
	uint32_t f;

	__asm__ volatile("pushf; pop %0" : "=r"(f));
	return f;
}

static void note(void)
{
	uint16_t tr;

	__asm__ volatile("str %0" : "=r"(tr));
	seen_tr = tr;
	seen_flags = flags();
	seen_cr0 = read_cr0();
	ran++;
}

/* The task: notes, returns by IRET, and starts again behind it. */
__attribute__((used)) static void task_note(void)
{
	note();
}
__asm__("task_entry: mov %eax, seen_eax\n"
	"1: call task_note\n"
	"iretl\n"
	"jmp 1b\n"
	"task_jump: call task_note\n"
	"ljmp *back\n"
	"jmp task_jump\n"
	"task16_entry: incl ran\n"
	"iretl\n");
extern char task_entry[], task_jump[], task16_entry[];
struct {
	uint32_t off;
	uint16_t sel;
} __attribute__((packed)) back = {0, OLD_TSS};

static void fresh(char *entry)
{
	uint32_t cr3 = read_cr3();

	task = (struct tss32){.eip = (uint32_t)entry,
		.cr3 = cr3,
		.eflags = 2,
		.eax = 0x12345678,
		.esp = (uint32_t)task_stack + sizeof(task_stack),
		.es = SEL_DATA,
		.cs = SEL_CODE,
		.ss = SEL_DATA,
		.ds = SEL_DATA,
		.iomap = 0xffff};
	gdt[NEW_TSS / 8] =
		descriptor((uint32_t)&task, sizeof(task) - 1, 0x89, 0);
	far_ptr.sel = NEW_TSS;
	ran = 0;
}

static void do_call(void)
{
	__asm__ volatile("lcall *%0"
			 :
			 : "m"(far_ptr)
			 : "memory", "eax", "ecx", "edx");
}

static void do_jump(void)
{
	__asm__ volatile("ljmp *%0"
			 :
			 : "m"(far_ptr)
			 : "memory", "eax", "ecx", "edx");
}

static void check_call(void)
{
	uint32_t cr0 = read_cr0();

	fresh(task_entry);
	write_cr0(cr0 & ~8u);
	ok_eq((word)guarded(do_call), (word)-1, "CALL a task and IRET");
	ok_eq(ran, 1, "it ran");
	ok_eq(seen_tr, NEW_TSS, "TR named it");
	ok_eq(seen_eax, 0x12345678, "with its registers");
	ok_eq(seen_flags >> 14 & 1, 1, "NT set");
	ok_eq(seen_cr0 >> 3 & 1, 1, "CR0.TS set");
	ok_eq(task.link, OLD_TSS, "linked to its caller");
	ok_eq(flags() >> 14 & 1, 0, "the caller has NT clear");
	ok_eq(type_of(NEW_TSS), 9, "the task is available again");
	ok_eq(type_of(OLD_TSS), 9 | BUSY, "the caller busy");
	ok_eq((word)guarded(do_call), (word)-1, "again");
	ok_eq(ran, 2, "it goes on behind its IRET");
	write_cr0(cr0);
	fresh(task_jump);
	ok_eq((word)guarded(do_jump), (word)-1, "JMP to a task and back");
	ok_eq(ran, 1, "it ran");
	ok_eq(seen_flags >> 14 & 1, 0, "NT clear");
	ok_eq(type_of(NEW_TSS), 9, "the task is available again");
	/* by a task gate */
	gdt[GATE / 8] = (uint64_t)NEW_TSS << 16 | 0x85ull << 40;
	fresh(task_entry);
	far_ptr.sel = GATE;
	ok_eq((word)guarded(do_call), (word)-1, "CALL by a task gate");
	ok_eq(ran, 1, "it ran");
}

static void check_task16(void)
{
	/* offsets are words: its code has a segment of its own */
	task16 = (struct tss16){.flags = 2,
		.cx = 0x1234,
		.es = SEL_DATA,
		.cs = BAD_DATA,
		.ss = SEL_DATA,
		.ds = SEL_DATA};
	gdt[BAD_DATA / 8] = descriptor((uint32_t)task16_entry, 0xff, 0x9b, 4);
	gdt[TSS16 / 8] =
		descriptor((uint32_t)&task16, sizeof(task16) - 1, 0x81, 0);
	far_ptr.sel = TSS16;
	ran = 0;
	ok_eq((word)guarded(do_call), (word)-1, "CALL a 16-bit task and IRET");
	ok_eq(ran, 1, "it ran");
	ok_eq(task16.link, OLD_TSS, "linked to its caller");
	ok_eq(task16.cx, 0x1234, "its registers are saved");
	ok_eq(type_of(TSS16), 1, "it is available again");
}

static void bad(uint16_t sel, int vector, word error, const char *name)
{
	far_ptr.sel = sel;
	ok_eq((word)guarded(do_call), (word)vector, name);
	if (fault.error != error)
		ok_eq(fault.error, error, "  error code");
}

/* A switch that fails in the new task leaves that task current. */
static void recover(void)
{
	gdt[OLD_TSS / 8] &= ~((uint64_t)BUSY << 40);
	__asm__ volatile("ltr %w0; push $2; popf" : : "r"(OLD_TSS));
}

static void broken(int vector, word error, const char *name)
{
	bad(NEW_TSS, vector, error, name);
	recover();
	fresh(task_entry);
}

static void check_faults(void)
{
	fresh(task_entry);
	gdt[NEW_TSS / 8] |= (uint64_t)BUSY << 40;
	bad(NEW_TSS, 13, NEW_TSS, "CALL of a busy task is #GP");
	fresh(task_entry);
	gdt[NEW_TSS / 8] &= ~(0x80ull << 40);
	bad(NEW_TSS, 11, NEW_TSS, "of one not present #NP");
	fresh(task_entry);
	gdt[NEW_TSS / 8] = descriptor((uint32_t)&task, 0x66, 0x89, 0);
	bad(NEW_TSS, 10, NEW_TSS, "a TSS too short is #TS");
	fresh(task_entry);
	gdt[BAD_DATA / 8] = descriptor(0, 0xfffff, 0x13, 0xc);
	task.ds = BAD_DATA;
	broken(11, BAD_DATA, "DS not present is #NP");
	task.ds = 0xfff8;
	broken(10, 0xfff8, "DS past the GDT is #TS");
	task.ds = SEL_DATA | 3;
	broken(10, SEL_DATA, "DS of an inner ring is #TS");
	task.trap = 1;
	bad(NEW_TSS, 1, 0, "the T bit is #DB");
	recover();
	fresh(task_entry);
}

static void nested_iret(void)
{
	tss[0] = NEW_TSS;
	__asm__ volatile("pushf; orl $0x4000, (%%esp); popf; iret"
			 :
			 :
			 : "memory");
}

static void check_iret(void)
{
	fresh(task_entry);
	ok_eq((word)guarded(nested_iret), 10,
		"IRET with NT to a task not busy is #TS");
	ok_eq(fault.error, NEW_TSS, "that names it");
	__asm__ volatile("push $2; popf");
	tss[0] = 0;
}

/* ---- exceptions by task gates: a stack of their own (6.12.2) ---- */

uint32_t exc_error __attribute__((used));

/* Notes the error code, mends SS0 of the task that failed, and lets it go on
 * behind its instruction of two bytes. */
__asm__("exc_task: pop exc_error\n"
	"call task_note\n"
	"movl $0x10, tss + 8; addl $2, tss + 32\n"
	"iretl\n"
	"jmp exc_task\n"
	/* the same without an error code */
	"exc_none: push $0; jmp exc_task\n");
extern char exc_task[], exc_none[];

FN(exc_gp, "mov $0xfff8, %eax; mov %eax, %es");
FN(exc_de, "xor %ecx, %ecx; div %ecx");
FN(exc_ud, "ud2");
FN(exc_int, "int $0x50");

static const struct {
	void (*fn)(void);
	uint8_t vector, spoilt; /* by a task gate; this gate is absent */
	uint16_t ss0;		/* 0: good */
	bool user, code;
	word error;
	const char *name;
} exc_list[] = {
	{exc_gp, 13, 0, 0, false, true, 0xfff8, "#GP"},
	{exc_gp, 13, 0, 0, true, true, 0xfff8, "#GP of ring 3"},
	{exc_de, 8, 1, 0, false, true, 0, "#DE and #NP: #DF"},
	{exc_ud, 6, 0, 0, false, false, 0, "#UD, without an error code"},
	{exc_ud, 10, 0, 0xffff & ~7, true, true, 0xfff9,
		"SS0 past the GDT: #TS"},
	{exc_ud, 10, 0, SEL_CODE, true, true, SEL_CODE | 1, "SS0 of code: #TS"},
	{exc_ud, 10, 0, SEL_UDATA, true, true, (SEL_UDATA & ~3) | 1,
		"SS0 of ring 3: #TS"},
	{exc_ud, 12, 0, BAD_DATA, true, true, BAD_DATA | 1, "SS0 absent: #SS"},
	{exc_int, 10, 0, SEL_CODE, true, true, SEL_CODE, "INT n: no EXT in it"},
};

static void check_exceptions(void)
{
	gdt[BAD_DATA / 8] = descriptor(0, 0xfffff, 0x13, 0xc);
	for (unsigned i = 0; i < sizeof(exc_list) / sizeof(*exc_list); i++) {
		uint64_t *gate = idt_entry(exc_list[i].vector), old = *gate;
		uint64_t *bad = idt_entry(0), de = *bad;
		uint64_t *n = idt_entry(0x50), int50 = *n;
		int got;

		fresh(exc_list[i].code ? exc_task : exc_none);
		exc_error = 0xeeee;
		*gate = (uint64_t)NEW_TSS << 16 | 0xe5ull << 40;
		*n |= 3ull << 45;
		if (exc_list[i].spoilt)
			*bad &= ~(0x80ull << 40);
		if (exc_list[i].ss0)
			tss[2] = exc_list[i].ss0;
		got = exc_list[i].user ? guarded_user(exc_list[i].fn)
				       : guarded(exc_list[i].fn);
		*gate = old;
		*bad = de;
		*n = int50;
		ok_eq((word)got, (word)-1, exc_list[i].name);
		ok_eq(ran, 1, "  by a task");
		if (exc_list[i].code)
			ok_eq(exc_error, exc_list[i].error, "  error code");
		ok_eq(seen_flags >> 14 & 1, 1, "  with NT");
	}
}

/* ---- virtual-8086 mode ---- */

#define V86_CODE 0x10000u /* 1000:0000 */

static unsigned v86_iopl;

static void enter_v86(void)
{
	uint32_t fl = 1 << 17 | v86_iopl << 12 | 2;

	__asm__ volatile("push $0x2000\n" /* GS FS DS ES */
			 "push $0x2000; push $0x2000; push $0x2000\n"
			 "push $0x3000; push $0x1000\n" /* SS ESP */
			 "push %0; push $0x1000; push $0\n"
			 "iret"
			 :
			 : "r"(fl)
			 : "memory");
}

static int v86(const uint8_t *code, unsigned n)
{
	volatile uint8_t *to = (uint8_t *)V86_CODE;

	for (unsigned i = 0; i < n; i++)
		to[i] = code[i];
	to[n] = 0xcd; /* INT 81h */
	to[n + 1] = 0x81;
	return guarded(enter_v86);
}

#define V86(...)                                                               \
	({                                                                     \
		static const uint8_t bytes[] = {__VA_ARGS__};                  \
		v86(bytes, sizeof(bytes));                                     \
	})

static void check_v86(void)
{
	v86_iopl = 3;
	ok_eq((word)V86(0x90), (word)-1, "V86: INT 81h with IOPL 3");
	ok_eq(fault.flags >> 17 & 1, 1, "VM in the saved flags");
	ok_eq(fault.cs, 0x1000, "CS is a segment");
	ok_eq((word)V86(0xfa, 0xfb, 0x9c, 0x58, 0x50, 0x9d), (word)-1,
		"CLI, STI, PUSHF, POPF with IOPL 3");
	/* mov ax, 1234h; mov ds, ax; mov [0], al */
	ok_eq((word)V86(0xb8, 0x00, 0x14, 0x8e, 0xd8, 0xc6, 0x06, 0x10, 0x00,
		      0x5a),
		(word)-1, "segments are bases");
	ok_eq(*(volatile uint8_t *)0x14010, 0x5a, "times 16");
	ok_eq((word)V86(0xf4), 13, "HLT is #GP");
	ok_eq(fault.error, 0, "error code 0");
	ok_eq((word)V86(0x0f, 0x20, 0xc0), 13, "MOV from CR0 is #GP");
	ok_eq((word)V86(0x0f, 0x01, 0x16, 0, 0), 13, "LGDT is #GP");
	ok_eq((word)V86(0x0f, 0x00, 0xc0), 6, "SLDT is #UD");
	ok_eq((word)V86(0x0f, 0x00, 0xd8), 6, "LTR is #UD");
	ok_eq((word)V86(0x63, 0xc0), 6, "ARPL is #UD");
	ok_eq((word)V86(0x0f, 0x02, 0xc0), 6, "LAR is #UD");
	ok_eq((word)V86(0xa1, 0xff, 0xff), 13, "a word at FFFFh is #GP");
	ok_eq((word)V86(0xe4, 0x80), 13, "IN without an I/O map is #GP");
	ok_eq((word)V86(0x0f, 0x06), 13, "CLTS is #GP");
	v86_iopl = 0;
	ok_eq((word)V86(0xfa), 13, "IOPL 0: CLI is #GP");
	ok_eq((word)V86(0xfb), 13, "STI is #GP");
	ok_eq((word)V86(0x9c), 13, "PUSHF is #GP");
	ok_eq((word)V86(0x9d), 13, "POPF is #GP");
	ok_eq((word)V86(0xcf), 13, "IRET is #GP");
	ok_eq((word)V86(0xcd, 0x21), 13, "INT n is #GP");
	ok_eq(fault.error, 0, "with error code 0");
	ok_eq((word)V86(0xcc), 13, "INT3's gate of DPL 0 is #GP");
	ok_eq(fault.error, 3 * 8 + 2, "which names it");
	ok_eq((word)V86(0xf1), 1, "ICEBP is #DB");
	ok_eq((word)V86(0xf0, 0x90), 6, "LOCK NOP is #UD");
}

/* CR4.VME: interrupts redirected by the TSS's map, a virtual IF. */
static void check_vme(void)
{
	volatile uint16_t *ivt = (uint16_t *)0;
	uint32_t cr4 = read_cr4(), old;
	uint8_t *map = (uint8_t *)tss + 136;

	if (!has(1, 0, 3, 1)) {
		skip("VME", "not in this model");
		return;
	}
	write_cr4(cr4 | 1);
	old = tss[25];
	tss[25] = (136 + 32) << 16; /* I/O map; before it the interrupts' */
	for (unsigned i = 0; i < 32; i++)
		map[i] = 0xff;
	map[0x21 / 8] &= ~(1 << 0x21 % 8);
	ivt[0x21 * 2] = 0x100; /* 1000:0100 */
	ivt[0x21 * 2 + 1] = 0x1000;
	*(volatile uint8_t *)(V86_CODE + 0x100) = 0xf4;
	v86_iopl = 3;
	ok_eq((word)V86(0xcd, 0x21), 13, "VME: INT 21h is redirected");
	ok_eq(fault.rip, 0x100, "to the program's own handler");
	v86_iopl = 0;
	ok_eq((word)V86(0xcd, 0x21), 13, "also with IOPL 0");
	ok_eq(fault.rip, 0x100, "the same");
	ok_eq((word)V86(0xcd, 0x22), 13, "INT 22h is not");
	ok_eq(fault.rip, 0, "#GP at it");
	ok_eq((word)V86(0xfa, 0xf4), 13, "CLI");
	ok_eq(fault.rip, 1, "goes on");
	ok_eq(fault.flags >> 19 & 1, 0, "with VIF clear");
	ok_eq((word)V86(0xfb, 0xf4), 13, "STI");
	ok_eq(fault.rip, 1, "goes on");
	ok_eq(fault.flags >> 19 & 1, 1, "with VIF set");
	ok_eq((word)V86(0xfb, 0x9c, 0x58, 0xf4), 13, "PUSHF; POP AX");
	ok_eq(fault.rip, 3, "shows");
	ok_eq((word)V86(0x66, 0x9c), 13, "PUSHFD is #GP");
	write_cr4(cr4);
	tss[25] = old;
	ivt[0x21 * 2] = ivt[0x21 * 2 + 1] = 0;
}

/* ---- the I/O map ---- */

static void in_80(void)
{
	__asm__ volatile("inb $0x80, %%al" : : : "eax");
}

static void in_81_word(void)
{
	__asm__ volatile("inw $0x87, %%ax" : : : "eax");
}

static void check_io_map(void)
{
	uint8_t *map = (uint8_t *)tss + 136;
	uint32_t old = tss[25];

	tss[25] = 136u << 16;
	for (unsigned i = 0; i < 40; i++)
		map[i] = 0xff;
	ok_eq((word)guarded_user(in_80), 13, "IN with its bit set is #GP");
	map[16] = 0x7e;
	ok_eq((word)guarded_user(in_80), (word)-1, "with it clear it goes");
	map[17] = 0xff;
	ok_eq((word)guarded_user(in_81_word), 13, "a word needs two bits");
	map[17] = 0xfe;
	ok_eq((word)guarded_user(in_81_word), (word)-1, "over two bytes");
	tss[25] = old;
}

void test_main(void)
{
	check_call();
	check_task16();
	check_faults();
	check_iret();
	check_exceptions();
	check_v86();
	check_vme();
	check_io_map();
}
