/*
 * lapic.c - one local APIC: registers, priorities, timer, pins, errors, x2APIC
 * (SDM vol. 3, ch. 11).
 */
#include "apic.h"

bool x2;

uint32_t reg(unsigned r)
{
	if (x2)
		return (uint32_t)rdmsr(0x800 + r / 16);
	return *(volatile uint32_t *)(word)(LAPIC + r);
}

void set_reg(unsigned r, uint32_t v)
{
	if (x2)
		wrmsr(0x800 + r / 16, v);
	else
		*(volatile uint32_t *)(word)(LAPIC + r) = v;
}

void send(uint32_t dest, uint32_t icr)
{
	if (x2) {
		wrmsr(0x830, (uint64_t)dest << 32 | icr);
		return;
	}
	set_reg(ICR_H, dest << 24);
	set_reg(ICR, icr);
}

/* ---- interrupts that come are counted ---- */

volatile unsigned came[256], came_on[2][256];
static volatile unsigned order[16], norder;

static unsigned whose(void)
{
	uint32_t r[4];

	cpuid(1, 0, r);
	return r[1] >> 24;
}

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

void breathe(void)
{
	__asm__ volatile("sti; nop; nop; cli");
}

uint64_t tsc(void)
{
	uint32_t lo, hi;

	__asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
	return (uint64_t)hi << 32 | lo;
}

bool wait_for(unsigned v, unsigned n)
{
	uint64_t end = tsc() + 4000000000ull;

	while (came[v] < n && tsc() < end)
		breathe();
	return came[v] >= n;
}

void forget(void)
{
	for (unsigned i = 0; i < 256; i++)
		came[i] = came_on[0][i] = came_on[1][i] = 0;
	norder = 0;
}

void count_interrupts(void)
{
	on_vector(0x40, on_0x40);
	on_vector(0x50, on_0x50);
	on_vector(0x51, on_0x51);
	on_vector(0x60, on_0x60);
	on_vector(0x70, on_keep);
	on_vector(0xff, on_spurious);
	on_vector(2, on_nmi);
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

/* 11.5.4: the count goes by a clock of 1 GHz, divided. */
static void check_divide(void)
{
	static const uint8_t codes[] = {0xb, 0, 1, 2, 3, 8, 9, 0xa};
	struct moment from, to;
	unsigned bad = 0;

	set_reg(LVT_T, 0x10040);
	for (unsigned i = 0; i < sizeof(codes); i++) {
		uint64_t n;

		set_reg(TDCR, codes[i]);
		MOMENT(from, set_reg(TICR, 0xffffffff));
		pm_wait(500);
		MOMENT(to, n = 0xffffffff - reg(TCCR));
		bad += !pm_fits(from, to, n << i, 3579545, 1000000000, 3);
	}
	ok_eq(bad, 0, "the timer's clock is divided by 1 to 128");
	set_reg(TICR, 0);
	set_reg(TDCR, 0xb);
}

/* ---- pins, errors, disabling ---- */

/* What the NMI line does at LINT1, and an illegal vector. */
static void check_pins(void)
{
	static const struct {
		uint32_t lvt;
		unsigned vector, times;
		const char *name;
	} cases[] = {
		{0x00400, 2, 1, "LINT1 as NMI"},
		{0x10400, 2, 0, "masked"},
		{0x00040, 0x40, 1, "as fixed"},
		{0x08040, 0x40, 1, "as fixed and level: an edge all the same"},
		{0x00205, 2, 0, "as SMI nothing comes"},
		{0x00400, 2, 1, "as NMI again"},
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		set_reg(LVT_1, cases[i].lvt);
		forget();
		outb(NMI_PIN, 1);
		breathe();
		ok_eq(came[cases[i].vector], cases[i].times, cases[i].name);
	}
}

static void check_error_interrupt(void)
{
	set_reg(ESR, 0);
	set_reg(ESR, 0);
	set_reg(LVT_E, 0x60);
	forget();
	send(0, 0x4000 | 5);
	breathe();
	ok_eq(came[0x60], 1, "an error interrupts");
	send(0, 0x4000 | 6);
	breathe();
	ok_eq(came[0x60], 1, "once until ESR is written");
	set_reg(ESR, 0);
	send(0, 0x4000 | 7);
	breathe();
	ok_eq(came[0x60], 2, "then again");
	set_reg(ESR, 0);
	set_reg(LVT_T, 0x00003);
	set_reg(TICR, 1);
	for (unsigned i = 0; i < 100000 && reg(TCCR); i++)
		breathe();
	set_reg(ESR, 0);
	ok_eq(reg(ESR), 0x40, "an illegal vector in the LVT is received");
	set_reg(LVT_T, 0x10000);
	if (!x2) {
		(void)reg(0x40);
		set_reg(ESR, 0);
		ok_eq(reg(ESR), 0x80, "there is no register 40h");
	}
	set_reg(LVT_E, 0x10000);
	set_reg(ESR, 0);
}

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

void check_local(void)
{
	set_reg(SVR, 0x1ff);
	check_registers();
	cr8();
	check_priority();
	check_timer();
	check_divide();
	check_pins();
	check_errors();
	check_error_interrupt();
	check_reset();
}

/* ---- x2APIC ---- */

static uint32_t x2_msr;
static uint64_t x2_value;

static void x2_read(void)
{
	x2_value = rdmsr(x2_msr);
}

static void x2_write(void)
{
	wrmsr(x2_msr, x2_value);
}

/* Table 11-6: what can be read, written or both. */
static void check_x2_access(void)
{
	static const char access[0x41] = "--rr----b-rw-r-b"
					 "rrrrrrrrrrrrrrrr"
					 "rrrrrrrrb-------"
					 "b-bbbbbbbr----bw";
	static const struct {
		unsigned reg;
		uint64_t value;
	} refused[] = {{TPR, 0x100}, {TPR, 1ull << 32}, {EOI, 1},
		{SVR, 1u << 13}, {SVR, 1u << 9}, {ESR, 1}, {ICR, 1u << 13},
		{ICR, 1u << 16}, {ICR, 1u << 20}, {LVT_T, 1u << 19},
		{LVT_T, 1u << 8}, {LVT_E, 1u << 17}, {TDCR, 4}, {TDCR, 16},
		{TICR, 1ull << 32}, {SELF, 0x100}};
	unsigned bad = 0;

	for (unsigned r = 0; r < 0x100; r++) {
		char a = r < 0x40 ? access[r] : '-';
		int read, write;

		x2_msr = 0x800 + r;
		x2_value = 0;
		read = guarded(x2_read);
		/* not what sends, ends or starts something */
		write = r == 0x30 || r == 0x0b ? -1 : guarded(x2_write);
		if (r == 0x30 || r == 0x0b)
			write = a == 'b' || a == 'w' ? -1 : 13;
		if (read == (a == 'r' || a == 'b' ? -1 : 13) &&
			write == (a == 'w' || a == 'b' ? -1 : 13))
			continue;
		print("# register ");
		print_hex(r);
		print("\n");
		bad++;
	}
	ok_eq(bad, 0, "each register has the access that the table says");
	for (unsigned i = 0; i < sizeof(refused) / sizeof(*refused); i++) {
		x2_msr = 0x800 + refused[i].reg / 16;
		x2_value = refused[i].value;
		if (guarded(x2_write) == 13)
			continue;
		print("# register ");
		print_hex(refused[i].reg);
		print(" takes ");
		print_hex(refused[i].value);
		print("\n");
		bad++;
	}
	ok_eq(bad, 0, "reserved bits are #GP");
	set_reg(SVR, 0x1ff);
	set_reg(ESR, 0);
	set_reg(ESR, 0);
}

static void to_xapic(void)
{
	wrmsr(APIC_BASE, (rdmsr(APIC_BASE) & ~0x400ull) | 0x800);
}

void check_x2apic(void)
{
	x2_msr = 0x802;
	ok_eq((word)guarded(x2_read), 13, "x2APIC MSRs in xAPIC mode are #GP");
	if (!has(1, 0, 2, 21)) {
		skip("x2APIC", "not in this model");
		return;
	}
	wrmsr(APIC_BASE, rdmsr(APIC_BASE) | 0xc00);
	x2 = true;
	print("# x2APIC\n");
	check_x2_access();
	ok_eq((word)guarded(to_xapic), 13, "no way back to xAPIC at once");
	check_registers();
	cr8();
	check_priority();
	check_timer();
	check_divide();
	check_pins();
	check_error_interrupt();
	forget();
	set_reg(SELF, 0x51);
	breathe();
	ok_eq(came[0x51], 1, "SELF IPI");
}
