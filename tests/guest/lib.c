/* lib.c - see lib.h. */
#include "lib.h"

struct __attribute__((packed)) dtab {
	uint16_t limit;
	word base;
};

uint64_t gdt[GDT_ENTRIES] __attribute__((aligned(16)));
static struct {
	uint64_t lo;
#ifdef __x86_64__
	uint64_t hi;
#endif
} idt[256] __attribute__((aligned(16)));

uint32_t tss[26 + 64] __attribute__((aligned(16)));
uint8_t user_stack[STACK_BYTES] __attribute__((aligned(16)));
static uint8_t trap_stack[STACK_BYTES] __attribute__((aligned(16)));
#ifdef __x86_64__
static uint8_t ist_stack[STACK_BYTES] __attribute__((aligned(16)));
#endif

struct fault fault;
static bool guarding;
static void (*handlers[256])(struct frame *);
static unsigned ntests, nfailed;

word lib_target_ip, lib_target_cs, lib_target_sp, lib_target_ss;
word lib_target_arg;

extern uint8_t stubs[256][16];
extern void lib_user_return(void);
int lib_enter(void (*fn)(void));
_Noreturn void lib_leave(int vector);
_Noreturn void lib_far(void);
void lib_start(void);
void lib_exception(struct frame *f);

/* ---- output ---- */

void print(const char *s)
{
	while (*s)
		outb(0xe9, (uint8_t)*s++);
}

void print_hex(word v)
{
	bool started = false;

	print("0x");
	for (int i = (int)sizeof(v) * 8 - 4; i >= 0; i -= 4) {
		unsigned d = (v >> i) & 15;

		started |= d || !i;
		if (started)
			outb(0xe9, "0123456789abcdef"[d]);
	}
}

static void print_dec(unsigned n)
{
	if (n >= 10)
		print_dec(n / 10);
	outb(0xe9, (uint8_t)('0' + n % 10));
}

static void report(bool good, const char *name)
{
	ntests++;
	nfailed += !good;
	print(good ? "ok " : "not ok ");
	print_dec(ntests);
	print(" ");
	print(name);
}

static bool trying;
static unsigned tries_failed;

void timed(void (*fn)(const void *arg), const void *arg, const char *name)
{
	for (unsigned i = 0; i < 5; i++) {
		trying = true;
		tries_failed = 0;
		fn(arg);
		trying = false;
		if (!tries_failed) {
			ok(true, name);
			return;
		}
	}
	fn(arg);
}

/* Is it only an attempt? */
static bool tried(bool good)
{
	tries_failed += trying && !good;
	return trying;
}

void ok(bool cond, const char *name)
{
	if (tried(cond))
		return;
	report(cond, name);
	print("\n");
}

void ok_eq(word got, word want, const char *name)
{
	if (tried(got == want))
		return;
	report(got == want, name);
	print("\n");
	if (got == want)
		return;
	print("# got ");
	print_hex(got);
	print(", want ");
	print_hex(want);
	print("\n");
}

void skip(const char *name, const char *why)
{
	report(true, name);
	print(" # SKIP ");
	print(why);
	print("\n");
}

void expect_shutdown(void (*fn)(void))
{
	if (nfailed)
		return;
	outb(0xf5, (uint8_t)(ntests + 1));
	fn();
	ok(false, "a triple fault shuts down");
}

/* ---- tables ---- */

uint64_t descriptor(
	uint32_t base, uint32_t limit, uint8_t access, uint8_t flags)
{
	return (limit & 0xffff) | (uint64_t)(base & 0xffffff) << 16 |
	       (uint64_t)access << 40 | (uint64_t)(limit >> 16 & 15) << 48 |
	       (uint64_t)(flags & 15) << 52 | (uint64_t)(base >> 24) << 56;
}

void set_gate(unsigned vector, void (*entry)(void), unsigned dpl)
{
	word a = (word)entry;

	idt[vector].lo = (a & 0xffff) | (uint64_t)SEL_CODE << 16 |
			 (uint64_t)(0x8e | dpl << 5) << 40 |
			 (uint64_t)(a >> 16 & 0xffff) << 48;
#ifdef __x86_64__
	idt[vector].hi = a >> 32;
#endif
}

uint64_t *idt_entry(unsigned vector)
{
	return &idt[vector].lo;
}

void on_vector(unsigned vector, void (*handler)(struct frame *))
{
	handlers[vector] = handler;
}

static void fill_gdt(void)
{
	bool wide = sizeof(word) == 8;
	uint32_t t = (uint32_t)(word)tss;

	gdt[SEL_CODE / 8] = descriptor(0, 0xfffff, 0x9b, wide ? 0xa : 0xc);
	gdt[SEL_DATA / 8] = descriptor(0, 0xfffff, 0x93, 0xc);
	gdt[SEL_TSS / 8] = descriptor(t, sizeof(tss) - 1, 0x89, 0);
	gdt[SEL_UCODE / 8] = descriptor(0, 0xfffff, 0xfb, wide ? 0xa : 0xc);
	gdt[SEL_UDATA / 8] = descriptor(0, 0xfffff, 0xf3, 0xc);
	gdt[SEL_CODE32 / 8] = descriptor(0, 0xfffff, 0x9b, 0xc);
	gdt[SEL_CODE16 / 8] = descriptor(0, 0xfffff, 0x9b, 0x8);
	gdt[SEL_UCODE32 / 8] = descriptor(0, 0xfffff, 0xfb, 0xc);
	gdt[SEL_UCODE16 / 8] = descriptor(0, 0xfffff, 0xfb, 0x8);
	gdt[SEL_DATA16 / 8] = descriptor(0, 0xffff, 0x93, 0);
	gdt[SEL_LDT / 8] =
		descriptor((uint32_t)(word)&gdt[SEL_FREE / 8], 63, 0x82, 0);
}

static void load_tables(void)
{
	struct dtab g = {sizeof(gdt) - 1, (word)gdt};
	struct dtab i = {sizeof(idt) - 1, (word)idt};
	word top = (word)trap_stack + sizeof(trap_stack);

	tss[1] = (uint32_t)top;
#ifdef __x86_64__
	word ist = (word)ist_stack + sizeof(ist_stack);

	tss[2] = (uint32_t)(top >> 32);
	tss[9] = (uint32_t)ist;
	tss[10] = (uint32_t)(ist >> 32);
	tss[25] = 0xffffu << 16; /* no I/O bitmap */
#else
	tss[2] = SEL_DATA;
	tss[25] = 0xffffu << 16; /* no I/O bitmap */
#endif
	for (unsigned v = 0; v < 256; v++)
		set_gate(v, (void (*)(void))(word)stubs[v], v == 0x81 ? 3 : 0);
#ifdef __x86_64__
	/* double and stack faults come with a stack of their own */
	idt[8].lo |= 1ull << 32;
	idt[12].lo |= 1ull << 32;
#endif
	__asm__ volatile("lgdt %0" : : "m"(g));
	__asm__ volatile("lidt %0" : : "m"(i));
	__asm__ volatile("ltr %w0" : : "r"(SEL_TSS));
	__asm__ volatile("mov %0, %%ds; mov %0, %%es; mov %0, %%ss"
			 :
			 : "r"((word)SEL_DATA));
}

/* ---- exceptions ---- */

void lib_exception(struct frame *f)
{
	if (f->vector < 256 && handlers[f->vector]) {
		handlers[f->vector](f);
		return;
	}
	fault.vector = f->vector == 0x81 ? -1 : (int)f->vector;
	fault.error = f->error;
	fault.rip = f->rip;
	fault.flags = f->flags;
	fault.cs = f->cs;
	fault.rsp = f->rsp;
	fault.cr2 = read_cr2();
	if (guarding)
		lib_leave(fault.vector);
	print("Bail out! unexpected exception ");
	print_hex(f->vector);
	print(" error ");
	print_hex(f->error);
	print(" at ");
	print_hex(f->rip);
	print("\n");
	outb(0xf4, 1);
}

int guarded(void (*fn)(void))
{
	fault = (struct fault){.vector = -1};
	guarding = true;
	fault.vector = lib_enter(fn);
	guarding = false;
	return fault.vector;
}

int guarded_at(uint16_t cs, uint16_t ss, void (*fn)(void))
{
	word *top = (word *)(user_stack + STACK_BYTES - 64);

	*top = (word)lib_user_return;
	lib_target_ip = (word)fn;
	lib_target_cs = cs;
	lib_target_ss = ss;
	lib_target_sp = (word)top;
	return guarded(lib_far);
}

int guarded_user(void (*fn)(void))
{
	return guarded_at(SEL_UCODE, SEL_UDATA, fn);
}

void attempt_all(const struct attempt *list, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		ok_eq((word)guarded(list[i].fn), (word)list[i].vector,
			list[i].name);
}

void lib_start(void)
{
	outb(0x21, 0xff); /* no interrupts from the 8259s */
	outb(0xa1, 0xff);
	fill_gdt();
	load_tables();
	test_main();
	print("1..");
	print_dec(ntests);
	print("\n");
	outb(0xf4, nfailed ? 1 : 0);
}
