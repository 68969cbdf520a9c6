/*
 * pit.c - 8254 interval timer and port 61h (Intel 8254 data sheet 231164,
 * "Mode definitions", "Read-back command"; 82371AB data sheet, 4.2.3).
 */
#include "clock.h"

#define STATUS(ch) (0xe0 | 2u << (ch))
#define COUNT(ch)  (0xd0 | 2u << (ch))
#define NULL_COUNT 0x40
#define OUT_PIN	   0x80
#define N	   60000

static uint8_t status(unsigned ch)
{
	outb(0x43, (uint8_t)STATUS(ch));
	return inb((uint16_t)(0x40 + ch));
}

static uint32_t read16(unsigned ch)
{
	uint32_t low = inb((uint16_t)(0x40 + ch));

	return low | (uint32_t)inb((uint16_t)(0x40 + ch)) << 8;
}

static uint32_t count(unsigned ch)
{
	outb(0x43, (uint8_t)(ch << 6));
	return read16(ch);
}

static void control(unsigned ch, unsigned mode, bool bcd)
{
	outb(0x43, (uint8_t)(ch << 6 | 0x30 | mode << 1 | bcd));
}

static void load(unsigned ch, unsigned n)
{
	outb((uint16_t)(0x40 + ch), (uint8_t)n);
	outb((uint16_t)(0x40 + ch), (uint8_t)(n >> 8));
}

static void gate(bool high)
{
	outb(0x61, high);
}

/* Until the count is in the counting element, at most a while. */
static bool taken(unsigned ch)
{
	uint32_t from = pm();

	while (status(ch) & NULL_COUNT)
		if (pm_since(from) > 1000)
			return false;
	return true;
}

static const struct mode {
	uint8_t mode;
	bool out_first; /* after the control word */
	bool triggered; /* counts from a rising gate only */
	bool reloads;	/* a rising gate starts anew */
	bool out_early; /* while it counts from a large number */
	uint8_t step;
} modes[] = {
	{0, 0, 0, 0, 0, 1},
	{1, 1, 1, 1, 0, 1},
	{2, 1, 0, 1, 1, 1},
	{3, 1, 0, 1, 1, 2},
	{4, 1, 0, 0, 1, 1},
	{5, 1, 1, 1, 1, 1},
};

/* Is the count of channel 2 beyond n now and then? */
static bool beyond(uint32_t n)
{
	uint32_t from = pm();

	while (count(2) <= n)
		if (pm_since(from) > PM_PER_TENTH)
			return false;
	return true;
}

/* Does the count of channel 2 follow from its start at from? */
static bool follows(const struct mode *m, struct moment from, uint32_t start)
{
	struct moment to;
	uint32_t c;

	MOMENT(to, c = count(2));
	/* Stopped for too long to say? */
	if (pm_span(from.a, to.b) / 3 > (m->mode == 3 ? start / 2 : start))
		return true;
	return pm_fits(from, to, ((start - c) & 0xffff) / m->step, 3, 1, 9);
}

static void check_gate(const struct mode *m)
{
	struct moment t;
	uint32_t a, b;

	MOMENT(t, gate(true));
	if (m->triggered)
		ok(taken(2), "a rising gate loads it");
	ok(follows(m, t, N), "it counts down");
	ok_eq(status(2) & OUT_PIN, m->out_early ? OUT_PIN : 0, "OUT");
	ok_eq(inb(0x61) & 0x20, m->out_early ? 0x20 : 0, "as in port 61h");
	pm_wait(2000);
	ok(follows(m, t, N), "at 1.193 MHz");
	gate(false);
	a = count(2);
	pm_wait(2000);
	b = count(2);
	if (m->triggered)
		ok(a - b >= 600, "a low gate does not stop it");
	else
		ok_eq(b, a, "a low gate stops it");
	if (m->mode == 2 || m->mode == 3)
		ok_eq(status(2) & OUT_PIN, OUT_PIN, "OUT is high then");
	MOMENT(t, gate(true));
	pm_wait(100);
	ok(follows(m, t, m->reloads ? N : a),
		m->reloads ? "a rising gate starts anew" : "it goes on");
}

static void check_mode(const void *arg)
{
	const struct mode *m = arg;

	gate(false);
	control(2, m->mode, false);
	ok_eq(status(2),
		0x30u | m->mode << 1 | NULL_COUNT |
			(m->out_first ? OUT_PIN : 0),
		"status behind the control word");
	load(2, N);
	ok_eq(taken(2), !m->triggered, "is the count loaded?");
	if (!m->triggered) {
		pm_wait(1000);
		ok_eq(count(2), N, "a low gate holds it");
	}
	check_gate(m);
}

/* OUT at the end of a short count. */
static void check_ends(const void *arg)
{
	static const uint8_t short_modes[] = {0, 1, 4, 5};

	(void)arg;
	for (unsigned i = 0; i < 4; i++) {
		gate(false);
		control(2, short_modes[i], false);
		load(2, 1000);
		gate(true);
		pm_wait(3200);
		ok_eq(status(2) & OUT_PIN, OUT_PIN, "OUT is high at the end");
		ok(beyond(1000), "and the count has wrapped");
	}
	control(2, 3, false);
	load(2, 1000);
	for (unsigned want = 0; want <= OUT_PIN; want += OUT_PIN) {
		uint32_t from = pm();
		bool odd = false, seen = false;

		while (!seen && pm_since(from) < PM_PER_TENTH) {
			odd |= count(2) & 1;
			seen = (status(2) & OUT_PIN) == want;
		}
		ok(seen, want ? "mode 3: OUT rises" : "mode 3: OUT falls");
		ok(!odd, "the count is even");
	}
}

static void check_periods(const void *arg)
{
	bool within = true, low = false;
	uint32_t c;

	(void)arg;
	gate(true);
	control(2, 2, false);
	load(2, 5);
	for (unsigned i = 0; i < 2000; i++) {
		c = count(2);
		within &= c >= 1 && c <= 5;
		low |= !(status(2) & OUT_PIN);
	}
	ok(within, "mode 2 counts from 5 to 1");
	ok(low, "OUT is low at 1");
	load(2, N);
	pm_wait(60);
	load(2, 1000);
	ok_eq(status(2) & NULL_COUNT, NULL_COUNT,
		"a new count waits for the end of the period");
	ok(count(2) > 1000, "which goes on");
	pm_wait(3 * N);
	ok_eq(status(2) & NULL_COUNT, 0, "then it is loaded");
	ok(count(2) <= 1000, "and counts");
	gate(false);
	control(2, 1, false);
	load(2, N);
	gate(true);
	taken(2);
	load(2, N / 2);
	ok_eq(status(2) & NULL_COUNT, NULL_COUNT,
		"mode 1: a new count waits for a trigger");
	gate(false);
	gate(true);
	ok(taken(2) && count(2) <= N / 2, "and is loaded by it");
	gate(false);
	control(2, 5, false);
	gate(true);
	gate(false);
	load(2, 1000);
	ok(!taken(2), "a trigger before the count is none");
	gate(true);
	ok(taken(2), "one behind it is");
}

static void check_bytes(const void *arg)
{
	static const uint8_t rw_bits[] = {0x10, 0x20};
	struct moment t;
	uint32_t a;

	(void)arg;
	gate(false);
	for (unsigned i = 0; i < 2; i++) {
		outb(0x43, 0x80 | rw_bits[i]);
		outb(0x42, 0x55);
		taken(2);
		ok_eq(inb(0x42), 0x55, i ? "high byte only" : "low byte only");
		ok_eq(inb(0x42), 0x55, "again");
		ok_eq(status(2) & 0x30, rw_bits[i], "as status says");
	}
	gate(true);
	control(2, 0, false);
	load(2, N);
	taken(2);
	outb(0x42, 0);
	ok_eq(status(2) & OUT_PIN, 0, "mode 0: the first byte lowers OUT");
	a = count(2);
	pm_wait(1000);
	ok_eq(count(2), a, "and stops the counting");
	MOMENT(t, outb(0x42, 0x80));
	pm_wait(100);
	ok(follows(&modes[0], t, 0x8000), "the second starts it");
	gate(false);
	control(2, 0, false);
	load(2, 0);
	taken(2);
	ok_eq(count(2), 0, "0 is 65536");
	MOMENT(t, gate(true));
	pm_wait(100);
	ok(follows(&modes[0], t, 0x10000), "and counts down from there");
}

static bool decimal(uint32_t v)
{
	return (v & 15) < 10 && (v >> 4 & 15) < 10 && (v >> 8 & 15) < 10 &&
	       v >> 12 < 10;
}

static void check_bcd(const void *arg)
{
	bool good = true;

	(void)arg;
	gate(false);
	control(2, 0, true);
	load(2, 0x1234);
	taken(2);
	ok_eq(count(2), 0x1234, "BCD");
	ok_eq(status(2) & 1, 1, "as status says");
	gate(true);
	for (unsigned i = 0; i < 200; i++)
		good &= decimal(count(2));
	ok(good, "has decimal digits");
	ok(beyond(0x9800), "and wraps to 9999");
	control(2, 2, true);
	load(2, 0);
	ok(beyond(0x9800), "0 is 10000");
	for (unsigned i = 0; i < 200; i++)
		good &= decimal(count(2));
	ok(good, "in decimal digits");
}

static void check_latches(const void *arg)
{
	struct moment start, first;
	uint32_t v;

	(void)arg;
	gate(true);
	control(2, 0, false);
	MOMENT(start, load(2, N));
	MOMENT(first, outb(0x43, 0x80));
	pm_wait(3000);
	outb(0x43, 0x80);
	ok(pm_fits(start, first, N - read16(2), 3, 1, 9),
		"the first latch counts until it is read");
	ok(count(2) < N - 900, "then the next");
	MOMENT(first, outb(0x43, COUNT(2)));
	pm_wait(3000);
	outb(0x43, 0x80);
	ok(pm_fits(start, first, N - read16(2), 3, 1, 9),
		"read-back latches a count");
	outb(0x43, 0xc8); /* status and count of 2 */
	v = inb(0x42);
	ok_eq(v & 0x3f, 0x30, "read-back of both: status first");
	v = read16(2);
	ok(v <= N && v > 1000, "then the count");
	outb(0x43, STATUS(2));
	control(2, 4, false);
	ok_eq(inb(0x42) & 0x0e, 0, "a control word drops the latched status");
	control(1, 2, false);
	load(1, 1000);
	control(2, 2, false);
	load(2, 2000);
	pm_wait(30);
	outb(0x43, 0xdc); /* counts of 1 and 2 */
	pm_wait(30);
	v = read16(1);
	ok(v >= 1 && v <= 1000, "read-back of two counters: the one");
	v = read16(2);
	ok(v >= 1 && v <= 2000, "and the other");
}

/* ---- channel 0's interrupt ---- */

static volatile unsigned ticks;

static void on_tick(struct frame *f)
{
	(void)f;
	ticks++;
}

static void let_in(uint32_t span)
{
	uint32_t from = pm();

	do
		__asm__ volatile("sti; nop; nop; cli" : : : "memory");
	while (pm_since(from) < span);
}

static void check_interrupts(const void *arg)
{
	static const struct {
		unsigned before, mode, at_once, least, most;
		const char *name;
	} cases[] = {
		{2, 0, 0, 1, 1, "mode 0 interrupts once"},
		{0, 1, 1, 0, 0, "mode 1 never: its gate does not rise"},
		{0, 2, 1, 2, 100, "mode 2 again and again"},
		{0, 3, 1, 2, 100, "mode 3 again and again"},
		{2, 4, 0, 1, 1, "mode 4 once"},
		{2, 5, 0, 0, 0, "mode 5 never"},
	};
	static const uint8_t icw[] = {0x20, 4, 3};

	(void)arg;
	outb(0x20, 0x11);
	for (unsigned i = 0; i < 3; i++)
		outb(0x21, icw[i]);
	on_vector(0x20, on_tick);
	for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		uint32_t from;
		unsigned bound;

		control(0, cases[i].before, false);
		let_in(10);
		ticks = 0;
		control(0, cases[i].mode, false);
		let_in(10);
		ok_eq(ticks, cases[i].at_once,
			"an interrupt if the control word raises OUT");
		ticks = 0;
		from = pm();
		load(0, 2386); /* 2 ms */
		let_in(10 * PM_PER_MS);
		while (ticks < cases[i].least &&
			pm_since(from) < 20 * PM_PER_TENTH)
			let_in(100);
		bound = pm_since(from) / 7158 + 1;
		ok(ticks >= cases[i].least && ticks <= cases[i].most &&
				ticks <= bound,
			cases[i].name);
	}
	outb(0x21, 0xff);
	control(0, 0, false);
}

static void check_port_61(void)
{
	uint8_t was = inb(0x61), differs = 0;
	bool toggles = false;

	for (unsigned v = 0; v < 16; v++) {
		outb(0x61, (uint8_t)v);
		differs |= (inb(0x61) ^ v) & 0xcf;
	}
	ok_eq(differs, 0, "port 61h: bits 3:0 as written, no parity error");
	for (unsigned i = 0; i < 100000 && !toggles; i++)
		toggles = (inb(0x61) ^ was) & 0x10;
	ok(toggles, "the refresh bit changes by itself");
	outb(0x61, 0);
}

void test_main(void)
{
	static char name[] = "mode 0";

	for (unsigned i = 0; i < sizeof(modes) / sizeof(*modes); i++) {
		name[5] = (char)('0' + modes[i].mode);
		timed(check_mode, &modes[i], name);
	}
	timed(check_ends, NULL, "OUT at the end");
	timed(check_periods, NULL, "periods");
	timed(check_bytes, NULL, "bytes");
	timed(check_bcd, NULL, "BCD");
	timed(check_latches, NULL, "latches");
	check_port_61();
	timed(check_interrupts, NULL, "interrupts");
}
