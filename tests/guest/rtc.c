/*
 * rtc.c - MC146818A real-time clock and CMOS memory (Motorola MC146818A data
 * sheet; 82371AB data sheet, 4.2.6).
 */
#include "clock.h"

#define REG_A 0x0a
#define REG_B 0x0b
#define REG_C 0x0c
#define REG_D 0x0d
#define SET   0x80
#define PIE   0x40
#define AIE   0x20
#define UIE   0x10
#define DM    0x04
#define H24   0x02
#define IRQF  0x80
#define PF    0x40
#define AF    0x20
#define UF    0x10
#define UIP   0x80

#define LINES	0x2000 /* the harness's: lines, and behind them the NMI's */
#define NMI_PIN (LINES + 24)
#define CYCLE	7900 /* UIP before an update: 2228 us, but for rounding */

static uint8_t get(uint8_t a)
{
	outb(0x70, a);
	return inb(0x71);
}

static void put(uint8_t a, uint8_t v)
{
	outb(0x70, a);
	outb(0x71, v);
}

/* Until one of the flags comes, at most three seconds; what came with it. */
static uint8_t flags_until(uint8_t want)
{
	uint8_t seen = 0;
	uint32_t from = pm();

	while (!(seen & want) && pm_since(from) < 30 * PM_PER_TENTH)
		seen |= get(REG_C);
	return seen;
}

/* Let the next update be half a second from now, and go on half a second. */
static void restart(void)
{
	put(REG_A, 0x76);
	put(REG_A, 0x26);
	get(REG_C);
}

/* Second, minute, hour, weekday, day, month, year, century. */
static const uint8_t places[] = {0, 2, 4, 6, 7, 8, 9, 0x32};
static const uint8_t alarms[] = {1, 3, 5};

/* Set a time; the next update is to show another, with or without an alarm. */
static const struct turn {
	uint8_t format, from[8], alarm[3], to[8];
	bool rings;
	const char *name;
} turns[] = {
	{H24, {0x59, 0x59, 0x23, 6, 0x31, 0x12, 0x99, 0x19}, {0, 0, 0},
		{0, 0, 0, 7, 1, 1, 0, 0x20}, true,
		"BCD, 24 h: a century ends with an alarm"},
	{0, {0x59, 0x59, 0x91, 7, 0x30, 0x04, 0x05, 0x20}, {0, 0, 0x12},
		{0, 0, 0x12, 1, 0x01, 0x05, 0x05, 0x20}, true,
		"BCD, 12 h: midnight is 12 AM"},
	{DM, {59, 59, 11, 2, 28, 2, 24, 20}, {0, 0xff, 0x8c},
		{0, 0, 0x8c, 2, 28, 2, 24, 20}, true,
		"binary, 12 h: noon is 12 PM; any minute rings"},
	{DM | H24, {59, 59, 23, 4, 28, 2, 24, 20}, {0, 0, 23},
		{0, 0, 0, 5, 29, 2, 24, 20}, false,
		"binary, 24 h: a leap day, another hour's alarm"},
	{0, {0x59, 0x59, 0x12, 3, 0x28, 0x02, 0x23, 0x20}, {0xc0, 0xd5, 0xff},
		{0, 0, 0x01, 3, 0x28, 0x02, 0x23, 0x20}, true,
		"BCD, 12 h: 1 follows 12; every second rings"},
};

static void check_turn(const void *arg)
{
	const struct turn *t = arg;
	unsigned bad = 0;
	uint8_t seen;

	put(REG_B, SET | t->format);
	for (unsigned i = 0; i < sizeof(places); i++)
		put(places[i], t->from[i]);
	for (unsigned i = 0; i < sizeof(alarms); i++)
		put(alarms[i], t->alarm[i]);
	for (unsigned i = 0; i < sizeof(places); i++)
		bad += get(places[i]) != t->from[i];
	ok_eq(bad, 0, "with SET the time reads as written");
	get(REG_C);
	put(REG_B, t->format);
	for (unsigned i = 0; i < sizeof(places); i++)
		bad += get(places[i]) != t->from[i];
	ok_eq(bad, 0, "and behind it, until the update");
	seen = flags_until(UF);
	ok_eq(seen & (UF | IRQF), UF, "which sets UF and asks for nothing");
	ok_eq(seen & AF, t->rings ? AF : 0, "the alarm");
	for (unsigned i = 0; i < sizeof(places); i++)
		bad += get(places[i]) != t->to[i];
	ok_eq(bad, 0, "the new time is right");
}

/* No update within so many tenths of a second? */
static bool still(uint32_t tenths)
{
	uint32_t from = pm();

	while (pm_since(from) < tenths * PM_PER_TENTH)
		;
	return !(get(REG_C) & (UF | PF));
}

/* The span from the last look without UIP to the update. */
static uint32_t watch_update(void)
{
	uint32_t from = pm(), clear = from, now;
	bool seen = false, done;

	do {
		now = pm();
		seen |= get(REG_A) & UIP;
		done = get(REG_C) & UF;
		if (!seen && !done)
			clear = now;
	} while (!done && pm_since(from) < 20 * PM_PER_TENTH);
	return pm_since(clear);
}

static void check_update(const void *arg)
{
	uint32_t from;
	uint8_t s;

	(void)arg;
	put(REG_B, H24);
	restart();
	s = get(0);
	from = pm();
	ok(watch_update() >= CYCLE,
		"UIP announces an update 244 us before its 1984 us");
	ok(pm_since(from) >= 5 * PM_PER_TENTH - 10 * PM_PER_MS,
		"the first comes half a second behind the divider's reset");
	ok(get(0) != s, "and the second is another");
	restart();
	put(REG_A, 0x76);
	get(REG_C);
	s = get(0);
	ok(still(6), "a divider in reset stops all");
	ok_eq(get(REG_A), 0x76, "without UIP");
	ok_eq(get(0), s, "the time stands");
	restart();
	put(REG_A, 0x20);
	put(REG_B, H24 | UIE);
	put(REG_B, H24 | UIE | SET);
	ok_eq(get(REG_B), H24 | SET, "SET clears UIE");
	get(REG_C);
	ok(still(6), "with SET there is no update");
	put(REG_B, H24);
	put(REG_A, 0x26);
}

/* Periods in ticks of 32768 Hz. */
static void check_periodic(const void *arg)
{
	static const struct {
		uint8_t rate;
		uint32_t period;
	} rates[] = {
		{1, 128}, {2, 256}, {3, 4}, {6, 32}, {10, 512}, {13, 4096}};
	unsigned missed = 0, early = 0;

	(void)arg;
	for (unsigned i = 0; i < sizeof(rates) / sizeof(*rates); i++) {
		uint32_t span = rates[i].period * 109 + 400, n = 0, from;

		put(REG_A, 0x20 | rates[i].rate);
		get(REG_C);
		pm_wait(span);
		missed += !(get(REG_C) & PF);
		from = pm();
		while (pm_since(from) < span)
			n += (get(REG_C) & PF) != 0;
		early += n > pm_since(from) / (rates[i].period * 109) + 1;
	}
	ok_eq(missed, 0, "PF comes in each period");
	ok_eq(early, 0, "and not more often");
	put(REG_A, 0x20);
	get(REG_C);
	pm_wait(2000);
	ok_eq(get(REG_C) & PF, 0, "rate 0 is none");
	put(REG_A, 0x26);
}

static volatile unsigned came;

static void on_rtc(struct frame *f)
{
	(void)f;
	came++;
}

static bool comes(uint32_t tenths)
{
	uint32_t from = pm();

	came = 0;
	while (!came && pm_since(from) < tenths * PM_PER_TENTH)
		__asm__ volatile("sti; nop; nop; cli" : : : "memory");
	return came;
}

static void check_interrupts(const void *arg)
{
	static const uint8_t icw[][2] = {{0x20, 0x11}, {0x21, 0x20}, {0x21, 4},
		{0x21, 3}, {0xa0, 0x11}, {0xa1, 0x28}, {0xa1, 2}, {0xa1, 3},
		{0x21, 0xfb}, {0xa1, 0xfe}};
	static const struct {
		uint8_t enable, flag;
		const char *name;
	} kinds[] = {{PIE, PF, "periodic interrupt"},
		{UIE, UF, "update interrupt"}, {AIE, AF, "alarm interrupt"}};

	(void)arg;
	for (unsigned i = 0; i < sizeof(icw) / sizeof(*icw); i++)
		outb(icw[i][0], icw[i][1]);
	on_vector(0x28, on_rtc);
	for (unsigned i = 0; i < 3; i++)
		put(alarms[i], 0xff);
	for (unsigned i = 0; i < 3; i++) {
		restart();
		put(REG_B, H24 | kinds[i].enable);
		ok(comes(20), kinds[i].name);
		ok(!comes(1), "once until C is read");
		ok_eq(get(REG_C) & (IRQF | kinds[i].flag), IRQF | kinds[i].flag,
			"which shows why");
		restart();
		ok(comes(20), "then it comes again");
		put(REG_B, H24);
		ok_eq(get(REG_C) & IRQF, 0, "disabled it asks for nothing");
	}
	get(REG_C);
	pm_wait(4 * PM_PER_MS);
	put(REG_B, H24 | PIE);
	ok(comes(1), "a flag that is set interrupts when it is enabled");
	put(REG_B, H24);
	get(REG_C);
}

static void check_memory(void)
{
	unsigned bad = 0;
	uint8_t was;

	for (unsigned a = 0x0e; a < 0x80; a++) {
		if (a == 0x32)
			continue;
		was = get((uint8_t)a);
		put((uint8_t)a, (uint8_t)~was);
		bad += (get((uint8_t)a) ^ was) != 0xff;
		put((uint8_t)a, was);
	}
	ok_eq(bad, 0, "memory keeps what is written");
	put(0x8f, 0x5a);
	ok_eq(get(0x0f), 0x5a, "bit 7 of port 70h is no address");
	put(0x0f, 0);
	put(REG_D, 0);
	ok_eq(get(REG_D), 0x80, "D says that all is valid");
	put(REG_C, 0xff);
	ok_eq(get(REG_C) & 0x0f, 0, "C is read-only");
	put(REG_A, 0xa6);
	ok_eq(get(REG_A) & 0x7f, 0x26, "UIP is read-only");
	put(REG_B, H24 | 0x08 | 0x01);
	ok_eq(get(REG_B), H24 | 0x08 | 0x01, "SQWE and DSE are kept");
	put(REG_B, H24);
}

/* Bit 7 of port 70h holds back the NMI line, and nothing else. */
static void check_nmi(void)
{
	on_vector(2, on_rtc);
	came = 0;
	outb(0x70, 0x0d);
	outb(NMI_PIN, 1);
	ok_eq(came, 1, "an NMI");
	outb(0x70, 0x8d);
	outb(NMI_PIN, 1);
	ok_eq(came, 1, "held back by bit 7 of port 70h");
	outb(0x70, 0x0d);
	outb(NMI_PIN, 1);
	ok_eq(came, 2, "and not any longer");
}

void test_main(void)
{
	ok_eq(get(REG_B), H24, "B at the start");
	check_memory();
	for (unsigned i = 0; i < sizeof(turns) / sizeof(*turns); i++)
		timed(check_turn, &turns[i], turns[i].name);
	timed(check_update, NULL, "updates");
	timed(check_periodic, NULL, "periods");
	timed(check_interrupts, NULL, "interrupts");
	check_nmi();
}
