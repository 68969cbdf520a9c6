/*
 * apic.c - local APICs of two processors, I/O APIC, IPIs and the shooting down
 * of translations and code (SDM vol. 3, ch. 11; 82093AA).
 */
#include "lib.h"

#define APIC_BASE 0x1b
#define DEADLINE  0x6e0
#define LAPIC	  0xfee00000u
#define IOAPIC	  0xfec00000u
#define LINES	  0x2000 /* the harness's: port LINES + n sets line n */

#define ID    0x20
#define VER   0x30
#define TPR   0x80
#define PPR   0xa0
#define EOI   0xb0
#define LDR   0xd0
#define DFR   0xe0
#define SVR   0xf0
#define ISR   0x100
#define IRR   0x200
#define ESR   0x280
#define ICR   0x300
#define ICR_H 0x310
#define LVT_T 0x320
#define LVT_0 0x350
#define LVT_1 0x360
#define LVT_E 0x370
#define TICR  0x380
#define TCCR  0x390
#define TDCR  0x3e0
#define SELF  0x3f0

static bool x2;

static uint32_t reg(unsigned r)
{
	if (x2)
		return (uint32_t)rdmsr(0x800 + r / 16);
	return *(volatile uint32_t *)(word)(LAPIC + r);
}

static void set_reg(unsigned r, uint32_t v)
{
	if (x2)
		wrmsr(0x800 + r / 16, v);
	else
		*(volatile uint32_t *)(word)(LAPIC + r) = v;
}

static void send(uint32_t dest, uint32_t icr)
{
	if (x2) {
		wrmsr(0x830, (uint64_t)dest << 32 | icr);
		return;
	}
	set_reg(ICR_H, dest << 24);
	set_reg(ICR, icr);
}

/* ---- interrupts that come are counted ---- */

static volatile unsigned came[256], order[16], norder;

static unsigned whose(void)
{
	uint32_t r[4];

	cpuid(1, 0, r);
	return r[1] >> 24;
}

static volatile unsigned came_on[2][256];

#define HANDLER(v)                                                             \
	static void on_##v(struct frame *f)                                    \
	{                                                                      \
		came[v]++;                                                     \
		came_on[whose() & 1][v]++;                                     \
		if (norder < 16)                                               \
			order[norder++] = v;                                   \
		(void)f;                                                       \
		set_reg(EOI, 0);                                               \
	}
HANDLER(0x40)
HANDLER(0x50)
HANDLER(0x51)
HANDLER(0x60)

static void on_spurious(struct frame *f)
{
	(void)f;
	came[0xff]++;
}

static void on_nmi(struct frame *f)
{
	(void)f;
	came[2]++;
	came_on[whose() & 1][2]++;
}

/* Handles 0x70 without EOI. */
static void on_keep(struct frame *f)
{
	(void)f;
	came[0x70]++;
}

static void breathe(void)
{
	__asm__ volatile("sti; nop; nop; cli");
}

static uint64_t tsc(void)
{
	uint32_t lo, hi;

	__asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
	return (uint64_t)hi << 32 | lo;
}

/* Until the vector has come n times, or a long time has passed. */
static bool wait_for(unsigned v, unsigned n)
{
	uint64_t end = tsc() + 4000000000ull;

	while (came[v] < n && tsc() < end)
		breathe();
	return came[v] >= n;
}

static void forget(void)
{
	for (unsigned i = 0; i < 256; i++)
		came[i] = came_on[0][i] = came_on[1][i] = 0;
	norder = 0;
}

/* ---- registers ---- */

static void check_registers(void)
{
	ok_eq(reg(ID) >> (x2 ? 0 : 24), 0, "ID");
	ok_eq(reg(VER) & 0xf0, 0x10, "version 1x");
	ok(reg(VER) >> 16 >= 5, "six LVT entries at least");
	set_reg(TPR, 0x37);
	ok_eq(reg(TPR), 0x37, "TPR");
	ok_eq(reg(PPR), 0x37, "PPR follows it");
	set_reg(TPR, 0);
	set_reg(SVR, 0x1ff);
	ok_eq(reg(SVR), 0x1ff, "SVR");
	set_reg(LVT_T, 0x100ff);
	ok_eq(reg(LVT_T), 0x100ff, "LVT timer");
	if (!x2) {
		set_reg(DFR, 0xf0000000);
		ok_eq(reg(DFR), 0xffffffff, "DFR keeps its ones");
		set_reg(DFR, 0xffffffff);
		set_reg(LDR, 0x01abcdef);
		ok_eq(reg(LDR), 0x01000000, "LDR is 8 bits");
	}
}

static void cr8(void)
{
	word v;

	__asm__ volatile("mov %0, %%cr8" : : "r"((word)5));
	ok_eq(reg(TPR), 0x50, "CR8 is TPR 7:4");
	set_reg(TPR, 0x9f);
	__asm__ volatile("mov %%cr8, %0" : "=r"(v));
	ok_eq(v, 9, "and back");
	__asm__ volatile("mov %0, %%cr8" : : "r"((word)0));
}

/* ---- priorities ---- */

static void check_priority(void)
{
	forget();
	send(0, 0x4000 | 0x40);
	send(0, 0x4000 | 0x60);
	send(0, 0x4000 | 0x50);
	ok_eq(reg(IRR + 0x20) & 1, 1, "IRR has 40h");
	ok_eq(reg(IRR + 0x30) & 1, 1, "IRR has 60h");
	breathe();
	breathe();
	ok_eq(norder, 3, "three interrupts come");
	ok(order[0] == 0x60 && order[1] == 0x50 && order[2] == 0x40,
		"the highest first");
	forget();
	set_reg(TPR, 0x50);
	send(0, 0x4000 | 0x51);
	send(0, 0x4000 | 0x60);
	breathe();
	breathe();
	ok_eq(came[0x60], 1, "TPR 50h lets 60h pass");
	ok_eq(came[0x51], 0, "not 51h");
	set_reg(TPR, 0);
	breathe();
	ok_eq(came[0x51], 1, "TPR 0 does");
	forget();
	send(0, 0x4000 | 0x70);
	breathe();
	ok_eq(reg(ISR + 0x30) >> 16 & 1, 1, "without EOI 70h is in service");
	ok_eq(reg(PPR), 0x70, "PPR is its class");
	send(0, 0x4000 | 0x60);
	breathe();
	ok_eq(came[0x60], 0, "60h waits");
	set_reg(EOI, 0);
	breathe();
	ok_eq(came[0x60], 1, "until EOI");
	ok_eq(reg(ISR + 0x30), 0, "none in service");
	send(0, 0x4000 | 0x40);
	send(0, 0x4000 | 0x40);
	breathe();
	breathe();
	ok_eq(came[0x40], 1, "the same vector twice is one interrupt");
}

/* ---- timer ---- */

static void check_timer(void)
{
	uint32_t a, b;

	forget();
	set_reg(TDCR, 0xb);
	set_reg(LVT_T, 0x40);
	set_reg(TICR, 100000);
	a = reg(TCCR);
	b = reg(TCCR);
	ok(b <= a && a <= 100000, "the timer counts down");
	ok(wait_for(0x40, 1), "one-shot fires");
	ok_eq(reg(TCCR), 0, "and stands at 0");
	for (unsigned i = 0; i < 1000; i++)
		breathe();
	ok_eq(came[0x40], 1, "once");
	set_reg(LVT_T, 0x20040);
	set_reg(TICR, 50000);
	ok(wait_for(0x40, 4), "periodic fires again and again");
	set_reg(TICR, 0);
	breathe();
	forget();
	for (unsigned i = 0; i < 1000; i++)
		breathe();
	ok_eq(came[0x40], 0, "an initial count of 0 stops it");
	set_reg(LVT_T, 0x10040);
	set_reg(TICR, 1000);
	for (unsigned i = 0; i < 10000 && reg(TCCR); i++)
		breathe();
	ok_eq(came[0x40], 0, "masked it does not fire");
	if (!has(1, 0, 2, 24)) {
		skip("TSC deadline", "not in this model");
		return;
	}
	set_reg(LVT_T, 0x40040);
	set_reg(TICR, 1000);
	ok_eq(reg(TCCR), 0, "deadline mode ignores the initial count");
	wrmsr(DEADLINE, tsc() + 1000000);
	ok(rdmsr(DEADLINE) != 0, "the deadline is armed");
	ok(wait_for(0x40, 1), "it fires");
	ok_eq((word)rdmsr(DEADLINE), 0, "and disarms");
	wrmsr(DEADLINE, 1);
	ok(wait_for(0x40, 2), "one in the past fires at once");
	wrmsr(DEADLINE, tsc() + (1ull << 40));
	wrmsr(DEADLINE, 0);
	ok_eq((word)rdmsr(DEADLINE), 0, "0 disarms");
	set_reg(LVT_T, 0x10000);
}

/* ---- errors, disabling ---- */

static void check_errors(void)
{
	set_reg(ESR, 0);
	send(0, 0x4000 | 5);
	set_reg(ESR, 0);
	ok_eq(reg(ESR) & 0x20, 0x20, "sending vector 5 is an illegal vector");
	set_reg(ESR, 0);
	ok_eq(reg(ESR), 0, "a write clears ESR");
}

static void check_reset(void)
{
	uint64_t base = rdmsr(APIC_BASE);

	ok_eq((word)(base & 0xfffff100), LAPIC | 0x100, "APIC_BASE, BSP");
	set_reg(SVR, 0xff);
	ok_eq(reg(LVT_T) >> 16 & 1, 1, "software-disabled: LVTs are masked");
	set_reg(LVT_T, 0x40);
	ok_eq(reg(LVT_T) >> 16 & 1, 1, "and stay so");
	set_reg(SVR, 0x1ff);
}

/* ---- the other processor ---- */

static volatile uint32_t ap_alive, ap_go, ap_count, ap_seen;
static volatile void *ap_pointer;
extern char ap_start[], ap_end[];

__asm__(".code16\n"
	"ap_start: cli; xor %ax, %ax; mov %ax, %ds\n"
	"lgdtl 0x8000 + ap_gdtr - ap_start\n"
	"mov 0x8000 + ap_cr3 - ap_start, %eax; mov %eax, %cr3\n"
	"mov $0x620, %eax; mov %eax, %cr4\n"
	"mov $0xc0000080, %ecx; rdmsr; or $0x100, %eax; wrmsr\n"
	"mov $0x80000031, %eax; mov %eax, %cr0\n"
	"ljmpl $8, $ap_long\n"
	".balign 8\n"
	"ap_gdtr: .word 511; .long gdt\n"
	"ap_cr3: .long 0\n"
	"ap_end:\n"
	".code64\n"
	"ap_long: mov $0x10, %eax; mov %eax, %ds; mov %eax, %es\n"
	"mov %eax, %ss; lea ap_stack + 8192, %rsp; lidt ap_idtr\n"
	"call ap_main\n");
extern uint32_t ap_cr3;
extern char ap_gdtr[];
uint8_t ap_stack[8192] __attribute__((aligned(16)));
struct {
	uint16_t limit;
	uint64_t base;
} __attribute__((packed)) ap_idtr;

static uint8_t __attribute__((aligned(4096))) patch[4096];
static uint64_t __attribute__((aligned(4096))) pdpt2[512], pd2[512], pt2[512];
static uint32_t __attribute__((aligned(4096))) page_a[1024], page_b[1024];
#define SHOT 0x8080000000ull

enum { AP_IDLE, AP_READ, AP_CALL, AP_ADD, AP_SPIN };

static void on_shoot(struct frame *f)
{
	(void)f;
	__asm__ volatile("invlpg (%0)" : : "r"(SHOT) : "memory");
	came[0x80]++;
	set_reg(EOI, 0);
}

__attribute__((used)) void ap_main(void)
{
	set_reg(SVR, 0x1ff);
	ap_alive++;
	for (;;) {
		switch (ap_go) {
		case AP_READ: ap_seen = *(volatile uint32_t *)SHOT; break;
		case AP_CALL:
			ap_seen = ((uint32_t(*)(void))(word)patch)();
			break;
		case AP_ADD:
			for (unsigned i = 0; i < 2000; i++)
				__asm__ volatile(
					"lock incl %0; lock incl %1"
					: "+m"(ap_count),
					"+m"(*(uint32_t *)(patch + 2046)));
			ap_go = AP_IDLE;
			break;
		case AP_SPIN: break;
		default: __asm__ volatile("sti; hlt; cli"); break;
		}
		__asm__ volatile("sti; nop; cli");
	}
}

static bool soon(volatile uint32_t *p, uint32_t v)
{
	uint64_t end = tsc() + 8000000000ull;

	while (*p != v && tsc() < end)
		__asm__ volatile("pause");
	return *p == v;
}

static void start_ap(void)
{
	uint8_t *to = (uint8_t *)0x8000;

	__asm__ volatile("sidt %0" : "=m"(ap_idtr));
	ap_cr3 = (uint32_t)read_cr3();
	for (unsigned i = 0; i < (unsigned)(ap_end - ap_start); i++)
		to[i] = (uint8_t)ap_start[i];
	send(1, 0x4500);
	send(1, 0x4608);
	ok(soon(&ap_alive, 1), "INIT and SIPI start the other processor");
	send(1, 0x4608);
}

/* Wait until the two have seen so many. */
static bool both(unsigned v, unsigned a, unsigned b)
{
	uint64_t end = tsc() + 8000000000ull;

	while ((came_on[0][v] < a || came_on[1][v] < b) && tsc() < end)
		breathe();
	for (unsigned i = 0; i < 2000; i++)
		breathe();
	return came_on[0][v] == a && came_on[1][v] == b;
}

static void check_ipis(void)
{
	forget();
	send(1, 0x4000 | 0x50);
	ok(both(0x50, 0, 1), "physical: to the other");
	send(0, 0x4000 | 0x51);
	ok(both(0x51, 1, 0), "physical: to oneself");
	forget();
	send(0, 0x44000 | 0x40);
	ok(both(0x40, 1, 0), "shorthand: self");
	forget();
	send(0, 0x84000 | 0x40);
	ok(both(0x40, 1, 1), "shorthand: all");
	forget();
	send(0, 0xc4000 | 0x40);
	ok(both(0x40, 0, 1), "shorthand: all but self");
	forget();
	send(x2 ? 0xffffffff : 0xff, 0x4000 | 0x60);
	ok(both(0x60, 1, 1), "broadcast");
	forget();
	send(1, 0x4400);
	ok(both(2, 0, 1), "NMI to the other");
	if (x2) {
		forget();
		send(reg(LDR), 0x4800 | 0x50);
		ok(both(0x50, 1, 0), "logical: cluster mode, oneself");
		forget();
		send(reg(LDR) | 3, 0x4800 | 0x50);
		ok(both(0x50, 1, 1), "logical: both of the cluster");
		forget();
		set_reg(SELF, 0x51);
		ok(both(0x51, 1, 0), "SELF IPI");
		return;
	}
	/* the other's LDR is 0: flat mode reaches only the first */
	set_reg(DFR, 0xffffffff);
	set_reg(LDR, 0x01000000);
	forget();
	send(1, 0x4800 | 0x50);
	ok(both(0x50, 1, 0), "logical: flat mode");
	forget();
	send(2, 0x4800 | 0x50);
	ok(both(0x50, 0, 0), "nobody's bit reaches nobody");
	set_reg(DFR, 0x0fffffff);
	set_reg(LDR, 0x21000000);
	forget();
	send(0x21, 0x4800 | 0x50);
	ok(both(0x50, 1, 0), "logical: cluster mode");
	forget();
	send(0x11, 0x4800 | 0x50);
	ok(both(0x50, 0, 0), "another cluster");
	set_reg(DFR, 0xffffffff);
}

static void check_shootdown(void)
{
	uint64_t *pml4 = (uint64_t *)(read_cr3() & ~0xfffull);
	unsigned bad = 0;

	pml4[1] = (word)pdpt2 | 3;
	pdpt2[2] = (word)pd2 | 3;
	pd2[0] = (word)pt2 | 3;
	page_a[0] = 0xaaaa;
	page_b[0] = 0xbbbb;
	pt2[0] = (word)page_a | 3;
	ap_go = AP_READ;
	send(1, 0x4000 | 0x50);
	ok(soon(&ap_seen, 0xaaaa), "the other reads a page");
	for (unsigned n = 0; n < 200; n++) {
		unsigned want = came[0x80] + 1;

		pt2[0] = (word)(n & 1 ? page_a : page_b) | 3;
		send(1, 0x4000 | 0x80);
		while (came[0x80] < want)
			__asm__ volatile("pause");
		bad += !soon(&ap_seen, n & 1 ? 0xaaaa : 0xbbbb);
	}
	ok_eq(bad, 0, "200 shoot-downs reach it");
}

/* MOV EAX, n; RET, whose n the other changes while it runs. */
static void check_cross_modify(void)
{
	unsigned bad = 0;

	patch[3] = 0xb8;
	*(volatile uint32_t *)(patch + 4) = 1;
	patch[8] = 0xc3;
	patch[0] = patch[1] = patch[2] = 0x90;
	ap_go = AP_CALL;
	ok(soon(&ap_seen, 1), "the other runs code");
	for (uint32_t n = 2; n < 300; n++) {
		*(volatile uint32_t *)(patch + 4) = n;
		bad += !soon(&ap_seen, n);
	}
	ok_eq(bad, 0, "and sees 298 changes of it");
}

static void check_atomic(void)
{
	uint32_t *split = (uint32_t *)(patch + 2046);

	*split = ap_count = 0;
	ap_go = AP_ADD;
	for (unsigned i = 0; i < 2000; i++)
		__asm__ volatile("lock incl %0; lock incl %1"
				 : "+m"(ap_count), "+m"(*split));
	soon(&ap_go, AP_IDLE);
	ok_eq(ap_count, 4000, "LOCK INC by both");
	ok_eq(*split, 4000, "over two cache lines too");
}

/* ---- I/O APIC ---- */

static uint32_t io_read(uint32_t r)
{
	*(volatile uint32_t *)(word)IOAPIC = r;
	return *(volatile uint32_t *)(word)(IOAPIC + 0x10);
}

static void io_write(uint32_t r, uint32_t v)
{
	*(volatile uint32_t *)(word)IOAPIC = r;
	*(volatile uint32_t *)(word)(IOAPIC + 0x10) = v;
}

static void route(unsigned pin, uint32_t low, uint32_t dest)
{
	io_write(0x11 + pin * 2, dest << 24);
	io_write(0x10 + pin * 2, low);
}

static void line(unsigned n, unsigned level)
{
	outb((uint16_t)(LINES + n), (uint8_t)level);
}

static void check_ioapic(void)
{
	ok_eq(io_read(1) >> 16 & 0xff, 23, "I/O APIC with 24 pins");
	route(20, 0x40, 0);
	forget();
	line(20, 1);
	ok(wait_for(0x40, 1), "an edge");
	line(20, 0);
	breathe();
	ok_eq(came[0x40], 1, "comes once");
	route(20, 0x10040, 0);
	line(20, 1);
	line(20, 0);
	breathe();
	ok_eq(came[0x40], 1, "masked it does not");
	route(20, 0x8070, 0);
	forget();
	line(20, 1);
	ok(wait_for(0x70, 1), "a level");
	ok_eq(io_read(0x10 + 40) >> 14 & 1, 1, "sets Remote IRR");
	breathe();
	ok_eq(came[0x70], 1, "waits for EOI");
	set_reg(EOI, 0);
	ok(wait_for(0x70, 2), "and comes again while it is high");
	line(20, 0);
	set_reg(EOI, 0);
	breathe();
	ok_eq(came[0x70], 2, "not when it is low");
	ok_eq(io_read(0x10 + 40) >> 14 & 1, 0, "Remote IRR is clear");
	route(21, 0x50, 1);
	forget();
	line(21, 1);
	line(21, 0);
	ok(both(0x50, 0, 1), "to the other processor");
	route(21, 0x10000, 0);
}

/* ---- x2APIC ---- */

static void bad_register(void)
{
	(void)rdmsr(0x800 + DFR / 16);
}

static void bad_write(void)
{
	wrmsr(0x800 + ID / 16, 0);
}

static void bad_eoi(void)
{
	wrmsr(0x800 + EOI / 16, 1);
}

static void to_xapic(void)
{
	wrmsr(APIC_BASE, (rdmsr(APIC_BASE) & ~0x400ull) | 0x800);
}

static void x2_read(void)
{
	(void)rdmsr(0x802);
}

static void check_x2apic(void)
{
	ok_eq((word)guarded(x2_read), 13, "x2APIC MSRs in xAPIC mode are #GP");
	if (!has(1, 0, 2, 21)) {
		skip("x2APIC", "not in this model");
		return;
	}
	wrmsr(APIC_BASE, rdmsr(APIC_BASE) | 0xc00);
	x2 = true;
	print("# x2APIC\n");
	ok_eq((word)guarded(bad_register), 13, "there is no DFR");
	ok_eq((word)guarded(bad_write), 13, "ID is read-only");
	ok_eq((word)guarded(bad_eoi), 13, "EOI takes 0 only");
	ok_eq((word)guarded(to_xapic), 13, "no way back to xAPIC at once");
	check_registers();
	cr8();
	check_priority();
	check_timer();
	forget();
	set_reg(SELF, 0x51);
	breathe();
	ok_eq(came[0x51], 1, "SELF IPI");
}

void test_main(void)
{
	on_vector(0x40, on_0x40);
	on_vector(0x50, on_0x50);
	on_vector(0x51, on_0x51);
	on_vector(0x60, on_0x60);
	on_vector(0x70, on_keep);
	on_vector(0x80, on_shoot);
	on_vector(0xff, on_spurious);
	on_vector(2, on_nmi);
	set_reg(SVR, 0x1ff);
	check_registers();
	cr8();
	check_priority();
	check_timer();
	check_errors();
	check_reset();
	start_ap();
	check_ipis();
	check_ioapic();
	check_shootdown();
	check_cross_modify();
	check_atomic();
	ap_go = AP_IDLE;
	check_x2apic();
}
