/*
 * mc146818.c - real-time clock and CMOS memory.
 *
 * Motorola MC146818A data sheet, "Address map", "Registers" A to D, "Update
 * cycle", "Periodic interrupt selection"; 82371SB data sheet 290550, 2.5.4
 * (ports 0x70 and 0x71, NMI enable in bit 7 of 0x70).
 *
 * The time of day is the host's plus a difference, which the guest changes by
 * setting the clock.  Flags are brought up to date when somebody looks
 * (mc146818_catch_up); a timer runs only while an interrupt is enabled.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <glib.h>

#include "dev/state.h"
#include "dev/timer/mc146818.h"

#define RTC_SECONDS	  0x00
#define RTC_SECONDS_ALARM 0x01
#define RTC_MINUTES	  0x02
#define RTC_MINUTES_ALARM 0x03
#define RTC_HOURS	  0x04
#define RTC_HOURS_ALARM	  0x05
#define RTC_WEEKDAY	  0x06
#define RTC_DAY		  0x07
#define RTC_MONTH	  0x08
#define RTC_YEAR	  0x09
#define RTC_A		  0x0a
#define RTC_B		  0x0b
#define RTC_C		  0x0c
#define RTC_D		  0x0d
#define RTC_CENTURY	  0x32

#define A_UIP	0x80
#define A_DV(a) ((a) >> 4 & 7)
#define B_SET	0x80
#define B_PIE	0x40
#define B_AIE	0x20
#define B_UIE	0x10
#define B_DM	0x04 /* 1 = binary */
#define B_24	0x02
#define C_IRQF	0x80
#define C_PF	0x40
#define C_AF	0x20
#define C_UF	0x10
#define D_VRT	0x80

/* "Update cycle": 244 us of warning, then 1984 us during which the time is not
 * to be relied upon; it changes at their end. */
#define RTC_UIP_NS 2228000
#define NS_PER_S   1000000000ull
#define DAY_S	   86400
/* Where the calendar ends, in the year 2255: what is to be later is this. */
#define RTC_MAX_S 9000000000ll
#define RTC_END_S 9200000000ll /* it runs on until here */

struct mc146818 {
	struct dev dev;
	uint8_t index; /* with the NMI bit */
	uint8_t cmos[128];
	int64_t diff_ns;  /* guest's time of day minus the host's */
	unsigned weekday; /* what the guest set beyond the date's own */
	bool stopped;	  /* SET or the divider's reset: time stands */
	int64_t seen_s;	  /* second up to which UF and AF are known */
	uint64_t seen_ns; /* bus time up to which PF is known */
	struct bus_timer timer;
};

static int64_t mc146818_host_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * (int64_t)NS_PER_S + t.tv_nsec;
}

static int64_t mc146818_now(const struct mc146818 *r)
{
	int64_t now, end = RTC_END_S * (int64_t)NS_PER_S;

	if (__builtin_add_overflow(mc146818_host_ns(), r->diff_ns, &now))
		return end;
	return CLAMP(now, 0, end);
}

/* ---- encodings ---- */

static uint8_t mc146818_encode(const struct mc146818 *r, unsigned v)
{
	return r->cmos[RTC_B] & B_DM ? v : v / 10 << 4 | v % 10;
}

static unsigned mc146818_decode(const struct mc146818 *r, uint8_t v)
{
	return r->cmos[RTC_B] & B_DM ? v : (v >> 4) * 10 + (v & 15);
}

static uint8_t mc146818_encode_hour(const struct mc146818 *r, unsigned h)
{
	if (r->cmos[RTC_B] & B_24)
		return mc146818_encode(r, h);
	return mc146818_encode(r, h % 12 ? h % 12 : 12) | (h >= 12 ? 0x80 : 0);
}

static unsigned mc146818_decode_hour(const struct mc146818 *r, uint8_t v)
{
	if (r->cmos[RTC_B] & B_24)
		return mc146818_decode(r, v);
	return mc146818_decode(r, v & 0x7f) % 12 + (v & 0x80 ? 12 : 0);
}

static void mc146818_show(struct mc146818 *r, int64_t seconds)
{
	time_t t = seconds;
	struct tm tm;

	gmtime_r(&t, &tm);
	r->cmos[RTC_SECONDS] = mc146818_encode(r, tm.tm_sec % 60);
	r->cmos[RTC_MINUTES] = mc146818_encode(r, tm.tm_min);
	r->cmos[RTC_HOURS] = mc146818_encode_hour(r, tm.tm_hour);
	r->cmos[RTC_WEEKDAY] =
		mc146818_encode(r, ((unsigned)tm.tm_wday + r->weekday) % 7 + 1);
	r->cmos[RTC_DAY] = mc146818_encode(r, tm.tm_mday);
	r->cmos[RTC_MONTH] = mc146818_encode(r, tm.tm_mon + 1);
	r->cmos[RTC_YEAR] = mc146818_encode(r, tm.tm_year % 100);
	r->cmos[RTC_CENTURY] =
		mc146818_encode(r, (tm.tm_year + 1900) / 100 % 100);
}

/* The time in the registers; any rubbish gives some time.  The day of the week
 * is a counter of its own. */
static int64_t mc146818_time(struct mc146818 *r)
{
	struct tm tm = {
		.tm_sec = mc146818_decode(r, r->cmos[RTC_SECONDS]),
		.tm_min = mc146818_decode(r, r->cmos[RTC_MINUTES]),
		.tm_hour = mc146818_decode_hour(r, r->cmos[RTC_HOURS]),
		.tm_mday = mc146818_decode(r, r->cmos[RTC_DAY]),
		.tm_mon = (int)mc146818_decode(r, r->cmos[RTC_MONTH]) - 1,
		.tm_year = (int)mc146818_decode(r, r->cmos[RTC_CENTURY]) * 100 +
			   (int)mc146818_decode(r, r->cmos[RTC_YEAR]) - 1900,
	};
	int64_t t = timegm(&tm);

	r->weekday = (mc146818_decode(r, r->cmos[RTC_WEEKDAY]) + 6 + 7 -
			     (unsigned)tm.tm_wday) %
		     7;
	return CLAMP(t, 0, RTC_MAX_S);
}

/* ---- flags and interrupts ---- */

/* Nanoseconds between periodic interrupts, 0 = none. */
static uint64_t mc146818_period(const struct mc146818 *r)
{
	unsigned rate = r->cmos[RTC_A] & 15;

	if (!rate || A_DV(r->cmos[RTC_A]) != 2)
		return 0;
	if (rate <= 2)
		rate += 7;
	return (NS_PER_S << (rate - 1)) / 32768;
}

static bool mc146818_alarm_field(
	const struct mc146818 *r, uint8_t alarm, uint8_t now)
{
	return alarm >= 0xc0 || alarm == now; /* "don't care" codes */
}

static bool mc146818_alarm_at(const struct mc146818 *r, int64_t s)
{
	unsigned t = s % DAY_S;

	return mc146818_alarm_field(r, r->cmos[RTC_SECONDS_ALARM],
		       mc146818_encode(r, t % 60)) &&
	       mc146818_alarm_field(r, r->cmos[RTC_MINUTES_ALARM],
		       mc146818_encode(r, t / 60 % 60)) &&
	       mc146818_alarm_field(r, r->cmos[RTC_HOURS_ALARM],
		       mc146818_encode_hour(r, t / 3600));
}

static void mc146818_update_irq(struct mc146818 *r)
{
	uint8_t *c = &r->cmos[RTC_C];

	if (*c & r->cmos[RTC_B] & (C_PF | C_AF | C_UF))
		*c |= C_IRQF;
	else
		*c &= ~C_IRQF;
	bus_irq_set(&r->dev.host.gsi[8], *c & C_IRQF);
}

/* Set the flags of all that happened since the last look. */
static void mc146818_catch_up(struct mc146818 *r)
{
	uint64_t ns = bus_clock_ns(r->dev.host.bus), p = mc146818_period(r);
	int64_t s = mc146818_now(r) / (int64_t)NS_PER_S;

	if (p && ns / p != r->seen_ns / p)
		r->cmos[RTC_C] |= C_PF;
	r->seen_ns = ns;
	if (r->stopped)
		return;
	if (s != r->seen_s)
		r->cmos[RTC_C] |= C_UF;
	/* After a day every alarm has come once. */
	if (s - r->seen_s > DAY_S || s < r->seen_s)
		r->seen_s = s - DAY_S;
	while (r->seen_s < s && !(r->cmos[RTC_C] & C_AF))
		if (mc146818_alarm_at(r, ++r->seen_s))
			r->cmos[RTC_C] |= C_AF;
	r->seen_s = s;
}

static void mc146818_arm(struct mc146818 *r)
{
	uint64_t ns = bus_clock_ns(r->dev.host.bus), at = UINT64_MAX;
	uint64_t p = mc146818_period(r);
	uint8_t b = r->cmos[RTC_B];

	if ((b & B_PIE) && p)
		at = (ns / p + 1) * p;
	if ((b & (B_AIE | B_UIE)) && !r->stopped) {
		uint64_t next =
			ns + NS_PER_S - (uint64_t)mc146818_now(r) % NS_PER_S;

		if (next < at)
			at = next;
	}
	if (at == UINT64_MAX)
		bus_timer_cancel(&r->timer);
	else
		bus_timer_arm(&r->timer, at);
}

static void mc146818_fire(void *opaque)
{
	struct mc146818 *r = opaque;

	mc146818_catch_up(r);
	mc146818_update_irq(r);
	mc146818_arm(r);
}

/* ---- access ---- */

static bool mc146818_is_time(uint8_t a)
{
	return a == RTC_SECONDS || a == RTC_MINUTES ||
	       (a >= RTC_HOURS && a <= RTC_YEAR && a != RTC_HOURS_ALARM) ||
	       a == RTC_CENTURY;
}

static uint8_t mc146818_read_a(struct mc146818 *r)
{
	uint64_t frac = (uint64_t)mc146818_now(r) % NS_PER_S;
	bool uip = !r->stopped && frac >= NS_PER_S - RTC_UIP_NS;

	return (r->cmos[RTC_A] & 0x7f) | (uip ? A_UIP : 0);
}

static uint8_t mc146818_read_c(struct mc146818 *r)
{
	uint8_t val;

	mc146818_catch_up(r);
	mc146818_update_irq(r);
	val = r->cmos[RTC_C];
	r->cmos[RTC_C] = 0;
	mc146818_update_irq(r);
	return val;
}

static uint32_t mc146818_read(void *opaque, uint16_t port, unsigned size)
{
	struct mc146818 *r = opaque;
	uint8_t a = r->index & 0x7f;

	if (port == 0x70)
		return 0xff; /* write-only */
	switch (a) {
	case RTC_A: return mc146818_read_a(r);
	case RTC_C: return mc146818_read_c(r);
	case RTC_D: return D_VRT;
	}
	if (mc146818_is_time(a) && !r->stopped)
		mc146818_show(r, mc146818_now(r) / (int64_t)NS_PER_S);
	return r->cmos[a];
}

/* Time stands with SET and while the divider chain is held in reset. */
static void mc146818_set_stopped(struct mc146818 *r)
{
	bool stop = (r->cmos[RTC_B] & B_SET) || A_DV(r->cmos[RTC_A]) >= 6;
	int64_t host = mc146818_host_ns();

	if (stop == r->stopped)
		return;
	if (stop) {
		mc146818_show(r, mc146818_now(r) / (int64_t)NS_PER_S);
	} else {
		/* The first update comes half a second later. */
		r->diff_ns = mc146818_time(r) * (int64_t)NS_PER_S - host +
			     (int64_t)NS_PER_S / 2;
		r->seen_s = mc146818_now(r) / (int64_t)NS_PER_S;
	}
	r->stopped = stop;
}

static void mc146818_write_time(struct mc146818 *r, uint8_t a, uint8_t val)
{
	int64_t now = mc146818_now(r), frac = now % (int64_t)NS_PER_S;

	if (r->stopped) {
		r->cmos[a] = val;
		return;
	}
	mc146818_show(r, now / (int64_t)NS_PER_S);
	r->cmos[a] = val;
	r->diff_ns += mc146818_time(r) * (int64_t)NS_PER_S + frac - now;
	r->seen_s = mc146818_now(r) / (int64_t)NS_PER_S;
}

static void mc146818_write_b(struct mc146818 *r, uint8_t val)
{
	/* "SET" also clears UIE. */
	if (val & B_SET)
		val &= ~B_UIE;
	/* Stop in the old format, start in the new. */
	if (val & B_SET) {
		r->cmos[RTC_B] |= B_SET;
		mc146818_set_stopped(r);
	}
	r->cmos[RTC_B] = val;
	mc146818_set_stopped(r);
}

static void mc146818_write_data(struct mc146818 *r, uint8_t a, uint8_t val)
{
	if (mc146818_is_time(a)) {
		mc146818_write_time(r, a, val);
		return;
	}
	mc146818_catch_up(r);
	switch (a) {
	case RTC_A:
		r->cmos[a] = val & 0x7f;
		mc146818_set_stopped(r);
		break;
	case RTC_B: mc146818_write_b(r, val); break;
	case RTC_C:
	case RTC_D: return;
	default: r->cmos[a] = val;
	}
	mc146818_update_irq(r);
	mc146818_arm(r);
}

static void mc146818_write(
	void *opaque, uint16_t port, unsigned size, uint32_t val)
{
	struct mc146818 *r = opaque;

	if (port == 0x70)
		r->index = val;
	else
		mc146818_write_data(r, r->index & 0x7f, val);
}

static const struct bus_io_ops mc146818_ops = {
	.read = mc146818_read,
	.write = mc146818_write,
};

/* ---- for the board ---- */

bool mc146818_nmi_masked(struct dev *d)
{
	return ((struct mc146818 *)d)->index & 0x80;
}

bool mc146818_returns(struct dev *d)
{
	uint8_t why = ((struct mc146818 *)d)->cmos[0x0f];

	return why == 0x05 || (why >= 0x09 && why <= 0x0c);
}

void mc146818_set(struct dev *d, uint8_t addr, uint8_t val)
{
	struct mc146818 *r = (struct mc146818 *)d;

	if (addr > RTC_D && addr < 128 && addr != RTC_CENTURY)
		r->cmos[addr] = val;
}

void mc146818_set_offset(struct dev *d, int seconds)
{
	((struct mc146818 *)d)->diff_ns = seconds * (int64_t)NS_PER_S;
}

static void mc146818_set16(struct dev *d, uint8_t addr, uint64_t val)
{
	if (val > 0xffff)
		val = 0xffff;
	mc146818_set(d, addr, val);
	mc146818_set(d, addr + 1, val >> 8);
}

void mc146818_set_memory(struct dev *d, uint64_t low, uint64_t high)
{
	uint64_t ext_kib = low > 1 << 20 ? (low - (1 << 20)) >> 10 : 0;
	uint64_t above = low > 16 << 20 ? (low - (16 << 20)) >> 16 : 0;

	mc146818_set16(d, 0x15, low < 640 << 10 ? low >> 10 : 640);
	mc146818_set16(d, 0x17, ext_kib);
	mc146818_set16(d, 0x30, ext_kib);
	mc146818_set16(d, 0x34, above); /* 64 KiB units above 16 MiB */
	high >>= 16;
	mc146818_set(d, 0x5b, high);
	mc146818_set(d, 0x5c, high >> 8);
	mc146818_set(d, 0x5d, high >> 16);
}

void mc146818_set_cpus(struct dev *d, unsigned ncpus)
{
	mc146818_set(d, 0x5f, ncpus - 1);
}

void mc146818_set_boot(
	struct dev *d, const uint8_t order[3], bool no_signature_check)
{
	mc146818_set(d, 0x3d, (order[1] & 15) << 4 | (order[0] & 15));
	mc146818_set(d, 0x38, (order[2] & 15) << 4 | no_signature_check);
}

/* ---- life ---- */

static int mc146818_init(struct dev *d, char *err, unsigned errsize)
{
	struct mc146818 *r = (struct mc146818 *)d;

	bus_timer_init(&r->timer, d->host.bus, mc146818_fire, r);
	bus_io_claim(d->host.bus, 0x70, 2, &mc146818_ops, r);
	r->cmos[RTC_A] = 0x26; /* 32768 Hz, 1024 Hz */
	r->cmos[RTC_B] = B_24;
	r->cmos[0x14] = 0x06; /* equipment: mouse, FPU; no floppy */
	return 0;
}

static void mc146818_reset(struct dev *d)
{
	struct mc146818 *r = (struct mc146818 *)d;

	/* "RESET": interrupts and flags go, time and memory stay. */
	r->cmos[RTC_B] &= ~(B_PIE | B_AIE | B_UIE | 0x08);
	r->cmos[RTC_C] = 0;
	r->index = 0;
	r->seen_s = mc146818_now(r) / (int64_t)NS_PER_S;
	r->seen_ns = bus_clock_ns(d->host.bus);
	mc146818_update_irq(r);
	mc146818_arm(r);
}

static void mc146818_fini(struct dev *d)
{
	struct mc146818 *r = (struct mc146818 *)d;

	bus_timer_cancel(&r->timer);
	bus_io_release(d->host.bus, 0x70, 2, r);
}

/* ---- state ---- */

/* The clock has run on with the host's meanwhile. */
static int mc146818_loaded(
	void *obj, unsigned version, char *err, unsigned errsize)
{
	mc146818_arm(obj);
	return 0;
}

#define MIN_DIFF_NS (-(1ll << 62))

static const struct state_field mc146818_fields[] = {
	STATE(struct mc146818, index),
	STATE_BYTES(struct mc146818, cmos),
	STATE(struct mc146818, diff_ns, .min = MIN_DIFF_NS, .max = INT64_MAX),
	STATE(struct mc146818, weekday, .max = 6),
	STATE(struct mc146818, stopped),
	STATE(struct mc146818, seen_s, .min = -DAY_S, .max = RTC_END_S),
	STATE(struct mc146818, seen_ns),
};

static const struct state_list mc146818_state = STATE_LIST("mc146818",
	struct mc146818, 1, mc146818_fields, .loaded = mc146818_loaded);

const struct dev_class mc146818_class = {
	.name = "mc146818",
	.size = sizeof(struct mc146818),
	.init = mc146818_init,
	.reset = mc146818_reset,
	.fini = mc146818_fini,
	.state = &mc146818_state,
};
