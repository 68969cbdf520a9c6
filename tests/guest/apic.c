/*
 * apic.c - two processors: IPIs, the shooting down of translations and code,
 * time stamps, INIT, and the I/O APIC (SDM vol. 3, ch. 11; 82093AA).
 */
#include "apic.h"

/* ---- the other processor ---- */

static volatile uint32_t ap_alive, ap_go, ap_count, ap_seen;
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
static uint8_t __attribute__((aligned(4096))) span[8192];
#define SHOT 0x8080000000ull

enum { AP_IDLE, AP_READ, AP_CALL, AP_ADD, AP_SPIN, AP_TSC, AP_SPAN };

/* The processors look at their TSCs in turn. */
static volatile uint32_t turn, backward, rounds;
static volatile uint64_t last_tsc;

static void look_at_tsc(uint32_t me)
{
	uint64_t now;

	if (turn != me)
		return;
	/* RDTSC waits for no load of before */
	__asm__ volatile("lfence");
	now = tsc();
	backward += now < last_tsc;
	last_tsc = now;
	rounds++;
	turn = !me;
}

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
		case AP_TSC: look_at_tsc(1); break;
		case AP_SPAN:
			ap_count++;
			__asm__ volatile("lock incw %0"
					 : "+m"(*(uint16_t *)(span + 4094)));
			break;
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

/* One adds to the upper half of what spans two pages, the other to the lower
 * half, which is in one. */
static void check_span(void)
{
	volatile uint32_t *v = (uint32_t *)(span + 4094);
	uint32_t n = 0;

	ap_count = 0;
	ap_go = AP_SPAN;
	send(1, 0x4000 | 0x50);
	while (n < 500 || ap_count < 500) {
		__asm__ volatile("lock addl $0x10000, %0" : "+m"(*v));
		n++;
	}
	ap_go = AP_IDLE;
	for (uint64_t end = tsc() + 100000000; tsc() < end;)
		__asm__ volatile("pause");
	ok_eq(*v >> 16, n & 0xffff, "LOCK ADD that spans two pages");
	ok_eq(*v & 0xffff, ap_count & 0xffff, "loses nothing of the other's");
}

/* ---- time stamps ---- */

#define TSC	   0x10
#define TSC_ADJUST 0x3b

static void check_tsc(void)
{
	uint64_t end = tsc() + 8000000000ull, a, jump = 1ull << 40;
	uint32_t from = pm();

	turn = rounds = 0;
	ap_go = AP_TSC;
	send(1, 0x4000 | 0x50);
	/* a busy host passes the turn slowly */
	while (rounds < 20 || pm_since(from) < 3 * PM_PER_TENTH) {
		if (tsc() > end)
			break;
		look_at_tsc(0);
	}
	ap_go = AP_IDLE;
	ok(rounds >= 20, "both processors look at their TSCs");
	ok_eq(backward, 0, "which never go backward");
	if (!has(7, 0, 1, 1)) {
		skip("TSC_ADJUST", "not in this model");
		return;
	}
	ok_eq((word)rdmsr(TSC_ADJUST), 0, "TSC_ADJUST");
	a = tsc();
	wrmsr(TSC_ADJUST, jump);
	ok(tsc() - a >= jump && tsc() - a < jump + end, "moves the TSC");
	wrmsr(TSC, tsc() - jump);
	a = rdmsr(TSC_ADJUST);
	ok((int64_t)a < 0x1000000 && (int64_t)a > -0x100000000ll,
		"and follows what is written to that");
	wrmsr(TSC_ADJUST, 0);
	ok_eq((word)rdmsr(TSC_ADJUST), 0, "0 again");
}

/* ---- INIT ---- */

static void check_init(void)
{
	ap_go = AP_TSC;
	turn = 1;
	send(1, 0x4000 | 0x50);
	ok(soon(&turn, 0), "the other runs");
	send(1, 0x8500);
	turn = 1;
	ok(soon(&turn, 0), "INIT de-assert leaves it alone");
	send(1, 0x4500);
	turn = 1;
	pm_wait(10000);
	ok_eq(turn, 1, "INIT stops it");
	send(1, 0x4400);
	send(1, 0x4000 | 0x50);
	pm_wait(10000);
	ok_eq(turn, 1, "nothing but a SIPI starts it");
	ap_alive = 0;
	send(1, 0x4608);
	ok(soon(&ap_alive, 1) && soon(&turn, 0), "which does");
	ap_go = AP_IDLE;
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

static uint32_t remote_irr(unsigned pin)
{
	return io_read(0x10 + pin * 2) >> 14 & 1;
}

static void check_redirection(void)
{
	for (unsigned pin = 16; pin < 18; pin++) {
		route(pin, 0xffffffff, 0xff);
		ok_eq(io_read(0x10 + pin * 2), 0x1afff,
			"redirection: bits 12 and 14 are read-only");
		io_write(0x11 + pin * 2, 0xffffffff);
		ok_eq(io_read(0x11 + pin * 2), 0xff000000, "the destination");
		route(pin, 0x10000, 0);
	}
	io_write(0, 0xffffffff);
	ok_eq(io_read(0), 0x0f000000, "the ID has 4 bits");
	io_write(0, 0);
	io_write(1, 0);
	ok_eq(io_read(1), 0x170020, "the version is read-only");
	ok_eq(io_read(0x40), 0, "nothing behind the last pin");
}

/* Edges: the low half of the entry, destination, what comes where. */
static void check_delivery(void)
{
	static const struct {
		uint32_t low, dest;
		unsigned vector, here, there;
		const char *name;
	} cases[] = {
		{0x00040, 0, 0x40, 1, 0, "I/O APIC: fixed, physical"},
		{0x00040, 1, 0x40, 0, 1, "the other"},
		{0x00040, 0xff, 0x40, 1, 1, "everybody"},
		{0x00040, 5, 0x40, 0, 0, "nobody"},
		{0x00840, 1, 0x40, 1, 0, "logical, flat"},
		{0x00940, 1, 0x40, 1, 0, "lowest priority, one of one"},
		{0x00440, 1, 2, 0, 1, "NMI"},
		{0x00440, 0, 2, 1, 0, "NMI here"},
		{0x00205, 0, 0x40, 0, 0, "SMI: nothing"},
		{0x10040, 0, 0x40, 0, 0, "masked"},
	};

	set_reg(DFR, 0xffffffff);
	set_reg(LDR, 0x01000000);
	for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		forget();
		route(18, cases[i].low, cases[i].dest);
		line(18, 1);
		line(18, 0);
		ok(both(cases[i].vector, cases[i].here, cases[i].there),
			cases[i].name);
		route(18, 0x10000, 0);
	}
	/* lowest priority goes where the priority is lower */
	set_reg(TPR, 0x90);
	forget();
	route(18, 0x00140, 0xff);
	line(18, 1);
	line(18, 0);
	ok(both(0x40, 0, 1), "lowest priority: to the other");
	set_reg(TPR, 0);
	route(18, 0x10000, 0);
}

/* The 8259 through pin 0. */
static void check_extint(void)
{
	static const uint8_t icw[][2] = {
		{0x20, 0x11}, {0x21, 0x50}, {0x21, 4}, {0x21, 3}, {0x21, 0xfd}};

	for (unsigned i = 0; i < sizeof(icw) / sizeof(*icw); i++)
		outb(icw[i][0], icw[i][1]);
	set_reg(LVT_0, 0x10700);
	forget();
	line(1, 1);
	ok(both(0x51, 0, 0), "without LINT0 the 8259 is not heard");
	route(0, 0x700, 1);
	ok(both(0x51, 0, 1), "ExtINT at pin 0: to the other");
	line(1, 0);
	route(0, 0x700, 0);
	line(1, 1);
	ok(both(0x51, 1, 1), "here");
	line(1, 0);
	route(0, 0x10700, 0);
	set_reg(LVT_0, 0x700);
	line(1, 1);
	ok(both(0x51, 2, 1), "and by LINT0");
	line(1, 0);
	outb(0x21, 0xff);
}

static void check_eoi(void)
{
	set_reg(SVR, 0x11ff);
	ok_eq(reg(SVR), 0x11ff, "EOI broadcasts can be suppressed");
	route(20, 0x8070, 0);
	forget();
	line(20, 1);
	ok(wait_for(0x70, 1), "a level");
	set_reg(EOI, 0);
	breathe();
	ok_eq(remote_irr(20), 1, "EOI leaves Remote IRR");
	ok_eq(came[0x70], 1, "and it does not come again");
	*(volatile uint32_t *)(word)(IOAPIC + 0x40) = 0x71;
	ok_eq(remote_irr(20), 1, "nor by the EOI of another vector");
	*(volatile uint32_t *)(word)(IOAPIC + 0x40) = 0x70;
	ok(wait_for(0x70, 2), "the EOI register lets it");
	line(20, 0);
	set_reg(EOI, 0);
	*(volatile uint32_t *)(word)(IOAPIC + 0x40) = 0x70;
	ok_eq(remote_irr(20), 0, "and clears Remote IRR");
	set_reg(SVR, 0x1ff);
	line(20, 1);
	ok(wait_for(0x70, 3), "a level in service");
	route(20, 0x70, 0);
	ok_eq(remote_irr(20), 0, "an edge has no Remote IRR");
	line(20, 0);
	set_reg(EOI, 0);
	route(20, 0x18070, 0);
	line(20, 1);
	breathe();
	ok_eq(came[0x70], 3, "a masked level waits");
	route(20, 0x8070, 0);
	ok(wait_for(0x70, 4), "until it is not");
	line(20, 0);
	set_reg(EOI, 0);
	route(20, 0x10000, 0);
}

static void check_ioapic(void)
{
	check_redirection();
	check_delivery();
	check_extint();
	check_eoi();
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
	ok_eq(remote_irr(20), 1, "sets Remote IRR");
	breathe();
	ok_eq(came[0x70], 1, "waits for EOI");
	set_reg(EOI, 0);
	ok(wait_for(0x70, 2), "and comes again while it is high");
	line(20, 0);
	set_reg(EOI, 0);
	breathe();
	ok_eq(came[0x70], 2, "not when it is low");
	ok_eq(remote_irr(20), 0, "Remote IRR is clear");
	route(21, 0x50, 1);
	forget();
	line(21, 1);
	line(21, 0);
	ok(both(0x50, 0, 1), "to the other processor");
	route(21, 0x10000, 0);
}

void test_main(void)
{
	count_interrupts();
	on_vector(0x80, on_shoot);
	check_local();
	start_ap();
	check_ipis();
	check_ioapic();
	check_shootdown();
	check_cross_modify();
	check_atomic();
	check_span();
	ap_go = AP_IDLE;
	check_tsc();
	check_init();
	check_x2apic();
}
