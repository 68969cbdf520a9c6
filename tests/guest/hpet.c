/*
 * hpet.c - high precision event timers (IA-PC HPET Specification 1.0a) and the
 * ACPI timer (ACPI 6.4, 4.8.3.3; its width is 24 bits by the FADT).
 */
#include "clock.h"

#define HPET	  0xfed00000u
#define CAP	  0x000
#define CFG	  0x010
#define STS	  0x020
#define CNT	  0x0f0
#define CONFIG(n) (0x100 + 0x20 * (n))
#define COMP(n)	  (0x108 + 0x20 * (n))
#define FSB(n)	  (0x110 + 0x20 * (n))
#define RUN	  1
#define LEGACY	  2

#define LEVEL	 (1u << 1)
#define ENABLE	 (1u << 2)
#define PERIODIC (1u << 3)
#define SET_VAL	 (1u << 6)
#define ONLY_32	 (1u << 8)
#define ROUTE(n) ((uint32_t)(n) << 9)
#define FSB_EN	 (1u << 14)

#define PER_MS 100000 /* ticks of the counter */

#define LAPIC  0xfee00000u
#define IOAPIC 0xfec00000u
#define EOI    0xb0

static uint32_t get(unsigned r)
{
	return *(volatile uint32_t *)(word)(HPET + r);
}

static void put(unsigned r, uint32_t v)
{
	*(volatile uint32_t *)(word)(HPET + r) = v;
}

static uint64_t get64(unsigned r)
{
	return *(volatile uint64_t *)(word)(HPET + r);
}

static void put64(unsigned r, uint64_t v)
{
	*(volatile uint64_t *)(word)(HPET + r) = v;
}

/* ---- interrupts: vector 40h + pin of the I/O APIC ---- */

static volatile unsigned came[24];

static void io_write(uint32_t r, uint32_t v)
{
	*(volatile uint32_t *)(word)IOAPIC = r;
	*(volatile uint32_t *)(word)(IOAPIC + 0x10) = v;
}

/* A level is masked when it has come twice. */
static void on_pin(struct frame *f)
{
	unsigned pin = (unsigned)f->vector - 0x40;
	uint32_t low;

	*(volatile uint32_t *)(word)IOAPIC = 0x10 + pin * 2;
	low = *(volatile uint32_t *)(word)(IOAPIC + 0x10);
	if (++came[pin] == 2 && (low & 0x8000))
		io_write(0x10 + pin * 2, low | 0x10000);
	*(volatile uint32_t *)(word)(LAPIC + EOI) = 0;
}

static void route(unsigned pin, bool level)
{
	on_vector(0x40 + pin, on_pin);
	io_write(0x11 + pin * 2, 0);
	io_write(0x10 + pin * 2, (0x40 + pin) | (level ? 0x8000 : 0));
	came[pin] = 0;
}

static void let_in(void)
{
	__asm__ volatile("sti; nop; nop; cli" : : : "memory");
}

/* Do n interrupts come within two seconds? */
static bool comes(unsigned pin, unsigned n)
{
	uint32_t from = pm();

	while (came[pin] < n && pm_since(from) < 20 * PM_PER_TENTH)
		let_in();
	return came[pin] >= n;
}

static unsigned within(unsigned pin, uint32_t ms)
{
	uint32_t from = pm();

	came[pin] = 0;
	while (pm_since(from) < ms * PM_PER_MS)
		let_in();
	return came[pin];
}

static void quiet(void)
{
	put(CFG, 0);
	for (unsigned n = 0; n < 3; n++) {
		put(CONFIG(n), 0);
		put64(COMP(n), ~0ull);
	}
	put(STS, 7);
	put64(CNT, 0);
}

/* ---- registers ---- */

static void check_registers(void)
{
	uint32_t id = get(CAP), ntimers = (id >> 8 & 31) + 1, bits;

	ok_eq(get(CAP + 4), 10000000, "period of 10 ns");
	ok_eq(id, 0x8086a201, "three timers, 64 bits, legacy replacement");
	ok_eq(get64(CAP), (uint64_t)get(CAP + 4) << 32 | id, "as 64 bits too");
	put(CFG, 0xfffffffc);
	ok_eq(get(CFG), 0, "reserved bits of the configuration read 0");
	for (unsigned n = 0; n < ntimers; n++) {
		put(CONFIG(n), LEVEL | ENABLE | PERIODIC | ONLY_32 | SET_VAL |
				       FSB_EN | ROUTE(20) | 0x8031);
		bits = LEVEL | ENABLE | ONLY_32 | ROUTE(20) | 0x20;
		if (!n)
			bits |= PERIODIC | 0x10;
		ok_eq(get(CONFIG(n)), bits,
			"configuration: what the capabilities allow");
		ok_eq(get(CONFIG(n) + 4), 0x00ff0000, "routes 16 to 23");
		for (unsigned r = 0; r < 32; r++) {
			put(CONFIG(n), ROUTE(r));
			if ((get(CONFIG(n)) >> 9 & 31) != r)
				bits &= ~(1u << r);
			else
				bits |= 1u << r;
		}
		ok_eq(bits & ~1u, 0x00ff0000, "other routes are not taken");
		put64(FSB(n), ~0ull);
		ok_eq(get64(FSB(n)), 0, "no message interrupts");
		put(CONFIG(n), 0);
		put64(COMP(n), 0x123456789abcdef0ull);
		ok_eq(get64(COMP(n)), 0x123456789abcdef0ull, "a comparator");
		put(COMP(n) + 4, 0x11111111);
		ok_eq(get64(COMP(n)), 0x111111119abcdef0ull, "in halves");
		put(CONFIG(n), ONLY_32);
		ok_eq(get64(COMP(n)), 0x9abcdef0, "of 32 bits");
	}
	ok_eq(get64(CONFIG(ntimers)), 0, "there is no fourth");
}

static void check_counter(void)
{
	struct moment from, to;
	uint64_t a, b;

	quiet();
	put64(CNT, 0xfffffffe00000000ull);
	ok_eq(get64(CNT), 0xfffffffe00000000ull, "the counter can be set");
	put(CNT + 4, 0x12);
	put(CNT, 0x34);
	ok_eq(get64(CNT), 0x1200000034ull, "in halves");
	pm_wait(100);
	ok_eq(get64(CNT), 0x1200000034ull, "and stands");
	MOMENT(from, put(CFG, RUN));
	put64(CNT, 0);
	pm_wait(3000);
	MOMENT(to, a = get64(CNT) - 0x1200000034ull);
	/* 3.579545 ticks of the stopwatch are 100 of the counter */
	ok(pm_fits(from, to, a, 3579545, 100000000, 3),
		"it runs at 100 MHz; writes do nothing then");
	put(CFG, 0);
	a = get64(CNT);
	pm_wait(100);
	b = get64(CNT);
	ok_eq(b, a, "and stops");
}

/* ---- timers ---- */

static void check_one_shot(unsigned n)
{
	unsigned pin = 16 + n;

	quiet();
	route(pin, false);
	put(CONFIG(n), ENABLE | ROUTE(pin));
	put64(CNT, 0xffff0000);
	put64(COMP(n), 0x100000000ull + PER_MS);
	put(CFG, RUN);
	ok(comes(pin, 1), "one shot, 64 bits");
	ok(get64(CNT) >= 0x100000000ull + PER_MS, "not before its time");
	ok_eq(within(pin, 3), 0, "once");
	put64(COMP(n), get64(CNT) - 1000);
	ok_eq(within(pin, 2), 0, "never for a moment that has passed");
	put(CFG, 0);
	put(CONFIG(n), ENABLE | ONLY_32 | ROUTE(pin));
	put64(CNT, 0xffff0000);
	put64(COMP(n), PER_MS);
	put(CFG, RUN);
	ok(comes(pin, 1), "32 bits: behind the wrap");
	ok(get64(CNT) >= 0x100000000ull + PER_MS, "not before");
	ok_eq(get(STS), 0, "an edge leaves no status");
	put(CONFIG(n), ROUTE(pin));
	put64(COMP(n), get64(CNT) + PER_MS);
	ok_eq(within(pin, 2), 0, "disabled it does not interrupt");
}

static void check_level(unsigned n)
{
	unsigned pin = 16 + n;
	uint32_t bit = 1u << n;

	quiet();
	route(pin, true);
	put(CONFIG(n), LEVEL | ROUTE(pin));
	put64(COMP(n), PER_MS / 10);
	put(CFG, RUN);
	pm_wait(PM_PER_MS);
	for (unsigned i = 0; i < 100000 && !get(STS); i++)
		let_in();
	ok_eq(get(STS), bit, "a level sets its status, enabled or not");
	ok_eq(came[pin], 0, "but does not interrupt");
	put(STS, ~bit);
	ok_eq(get(STS), bit, "others' bits do not clear it");
	put(CONFIG(n), LEVEL | ENABLE | ROUTE(pin));
	ok(comes(pin, 2), "enabled it interrupts, again and again");
	put(CFG, RUN);
	route(pin, true);
	ok(comes(pin, 1), "also when the configuration is written");
	put(STS, bit);
	ok_eq(get(STS), 0, "a one clears it");
	let_in();
	route(pin, true);
	ok_eq(within(pin, 1), 0, "and ends the interrupts");
}

static void check_periodic(void)
{
	uint64_t at;
	unsigned n;

	quiet();
	route(16, false);
	put(CONFIG(0), ENABLE | PERIODIC | SET_VAL | ROUTE(16));
	put64(COMP(0), 3 * PER_MS);
	put64(COMP(0), PER_MS);
	ok_eq(get64(COMP(0)), 3 * PER_MS, "the comparator has the first value");
	put(CFG, RUN);
	ok(comes(16, 1) && get64(CNT) >= 3 * PER_MS, "which comes first");
	ok(comes(16, 5), "then again and again");
	n = came[16];
	at = get64(COMP(0));
	ok(n <= get64(CNT) / PER_MS - 1, "not more often than the period");
	ok(at % PER_MS == 0 && at + 20000 * PER_MS > get64(CNT),
		"the comparator goes on by the period");
	put(CONFIG(0), ENABLE | ROUTE(16));
	put64(COMP(0), ~0ull);
	let_in();
	ok_eq(within(16, 3), 0, "one shot again");
	put(CFG, 0);
	put(CONFIG(0), ENABLE | PERIODIC | SET_VAL | ONLY_32 | ROUTE(16));
	put64(CNT, 0xfff00000);
	put(COMP(0), 0xfff00000u + PER_MS);
	put(COMP(0), PER_MS);
	put(CFG, RUN);
	came[16] = 0;
	ok(comes(16, 14), "32 bits: over the wrap");
	ok_eq(get64(COMP(0)) >> 32, 0, "the comparator has 32 bits");
	put(CFG, 0);
	let_in();
	ok_eq(within(16, 3), 0, "a halted counter gives no interrupts");
	put(CFG, RUN);
	ok(comes(16, 2), "running again it does");
	quiet();
}

/* Timers 0 and 1 in place of the 8254 and the RTC. */
static void check_legacy(void)
{
	static const uint8_t pins[] = {2, 8};

	outb(0x43, 0x34);
	outb(0x40, 0xa9);
	outb(0x40, 4);
	route(2, false);
	ok(comes(2, 2), "the 8254 is at pin 2");
	quiet();
	put(CFG, LEGACY);
	let_in();
	ok_eq(within(2, 5), 0, "legacy replacement cuts it off");
	for (unsigned n = 0; n < 2; n++) {
		route(pins[n], false);
		route(16 + n, false);
		put(CONFIG(n), ENABLE | ROUTE(16 + n));
		put64(COMP(n), PER_MS);
	}
	put(CFG, RUN | LEGACY);
	ok(comes(2, 1), "timer 0 takes its place");
	ok(comes(8, 1), "timer 1 that of the RTC");
	ok_eq(came[16] + came[17], 0, "whatever their routes");
	quiet();
	route(2, false);
	ok(comes(2, 2), "then the 8254 is back");
	outb(0x43, 0x30);
	io_write(0x14, 0x10000);
}

/* ---- the ACPI timer ---- */

#define PM1_STS 0x600
#define PM1_CNT 0x604

static void check_acpi(void)
{
	uint32_t was, from, bad = 0;

	for (unsigned i = 0; i < 1000; i++)
		bad |= inl(PM_TIMER);
	ok_eq(bad >> 24, 0, "the ACPI timer has 24 bits");
	route(9, true);
	outb(0xb2, 0xf1);
	ok_eq(inl(PM1_CNT) & 1, 1, "ACPI is on");
	outl(PM1_STS, 0xffff);
	outl(PM1_STS, 1u << 16);
	was = inl(PM_TIMER);
	from = pm();
	while (!came[9] && pm_since(from) < 26 * PM_PER_TENTH) {
		if (!(inl(PM1_STS) & 1) && !came[9])
			was = inl(PM_TIMER);
		let_in();
	}
	ok(came[9], "its overflow interrupts");
	ok((was ^ inl(PM_TIMER)) >> 23 & 1 || inl(PM1_STS) & 1,
		"when bit 23 changes");
	ok_eq(inl(PM1_STS) & 1, 1, "with TMR_STS");
	ok(comes(9, 2), "as a level");
	outl(PM1_STS, 1u << 16 | 1);
	ok_eq(inl(PM1_STS) & 1, 0, "which a one clears");
	route(9, true);
	let_in();
	ok_eq(came[9], 0, "and that ends it");
	outl(PM1_STS, 0);
	outb(0xb2, 0xf0);
	ok_eq(inl(PM1_CNT) & 1, 0, "ACPI is off");
}

void test_main(void)
{
	quiet();
	check_registers();
	check_counter();
	for (unsigned n = 0; n < 3; n++) {
		check_one_shot(n);
		check_level(n);
	}
	check_periodic();
	check_legacy();
	check_acpi();
}
