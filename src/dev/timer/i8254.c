/*
 * i8254.c - programmable interval timer and port 0x61.
 *
 * Intel 8254 data sheet 231164-005: "Control word format", "Read-back
 * command", "Mode definitions"; 82371SB data sheet 290550 section 2.5.5 (NMI
 * status and control register, port 0x61).
 *
 * A counter is a function of time: what is kept is when its count was loaded,
 * and count and output follow from the clock ticks since.  A count written in
 * modes 2 and 3 takes effect when the running period ends.  Channel 0 is the
 * only one with a timer, which fires at rising edges of its output; the falling
 * edges lie at no fixed time, since no interrupt input looks at them.
 */
#include <stdio.h>
#include <sys/param.h>

#include "dev/state.h"
#include "dev/timer/i8254.h"
#include "dev/timer/ticks.h"

#define I8254_MIN_FIRE_NS 20000
#define I8254_MAX_LATE	  250u /* edges that are made up for */

struct i8254_counter {
	uint8_t mode; /* 0..5 */
	bool bcd;
	uint8_t rw;		    /* 1 low, 2 high, 3 low then high byte */
	bool write_high, read_high; /* the second byte of two is next */
	uint8_t low_written;
	bool loaded;	/* a count was written since the control word */
	bool stopped;	/* mode 0 with half a count written */
	bool triggered; /* modes 1 and 5: gate has risen since */
	bool gate;
	uint32_t count; /* 1..0x10000 or 1..10000 */
	uint32_t next;	/* takes over at the end of the period, or 0 */
	uint64_t start; /* tick at which count was loaded */
	uint64_t held;	/* ticks counted when the gate went low */
	uint16_t latched;
	uint8_t latch; /* bytes of latched still to be read, 0 = none */
	uint8_t status;
	bool status_latched;
};

struct i8254 {
	struct dev dev;
	struct i8254_counter c[3];
	struct bus_timer timer; /* channel 0 */
	uint64_t due;		/* the tick of the edge it waits for */
	uint8_t port_61;	/* bits 3:1: speaker and what enables NMIs */
	uint64_t fired;
	void (*speaker)(void *opaque, bool done);
	void *speaker_opaque;
};

static uint64_t i8254_now(const struct i8254 *p)
{
	return ticks_of_ns(bus_clock_ns(p->dev.host.bus), I8254_HZ);
}

static bool i8254_periodic(const struct i8254_counter *c)
{
	return c->mode == 2 || c->mode == 3;
}

/* Started by a rising gate, whose level then does not matter. */
static bool i8254_by_trigger(const struct i8254_counter *c)
{
	return c->mode == 1 || c->mode == 5;
}

/* Let a pending count take over if its time has come. */
static void i8254_settle(struct i8254_counter *c, uint64_t now)
{
	uint64_t gone;

	if (!c->next || !i8254_periodic(c) || !c->gate)
		return;
	gone = now - c->start;
	if (gone < c->count)
		return;
	c->start += c->count;
	c->count = c->next;
	c->next = 0;
}

/* Ticks since the count was loaded. */
static uint64_t i8254_elapsed(const struct i8254_counter *c, uint64_t now)
{
	if (c->stopped || (!c->gate && !i8254_by_trigger(c)))
		return c->held;
	return now > c->start ? now - c->start : 0;
}

static bool i8254_running(const struct i8254_counter *c)
{
	if (i8254_by_trigger(c))
		return c->triggered;
	return c->loaded && !c->stopped;
}

static bool i8254_out(struct i8254_counter *c, uint64_t now)
{
	uint64_t t;

	i8254_settle(c, now);
	if (!i8254_running(c))
		return c->mode != 0;
	t = i8254_elapsed(c, now);
	switch (c->mode) {
	case 0:
	case 1: return t >= c->count;
	case 2: return !c->gate || t % c->count != c->count - 1;
	case 3: return !c->gate || t % c->count < (c->count + 1) / 2;
	default: return t != c->count;
	}
}

/* The counting element, binary. */
static uint32_t i8254_value(struct i8254_counter *c, uint64_t now)
{
	uint32_t wrap = c->bcd ? 10000 : 0x10000;
	uint64_t t;
	uint32_t n = c->count, half;

	i8254_settle(c, now);
	if (!i8254_running(c))
		return n;
	t = i8254_elapsed(c, now);
	switch (c->mode) {
	case 2: return n - t % n;
	case 3:
		t %= n;
		half = (n + 1) / 2;
		/* Counts down by two, twice a period. */
		if (t >= half)
			t -= half;
		return (n & ~1u) - 2 * t;
	default: return (n + wrap - t % wrap) % wrap;
	}
}

static uint16_t i8254_read_count(struct i8254_counter *c, uint64_t now)
{
	uint32_t v = i8254_value(c, now);

	if (!c->bcd)
		return v;
	v %= 10000;
	return v / 1000 << 12 | v / 100 % 10 << 8 | v / 10 % 10 << 4 | v % 10;
}

/* ---- channel 0's interrupt ---- */

/* The tick of the next rising edge of the output, or 0 if there is none. */
static uint64_t i8254_next_edge(const struct i8254_counter *c, uint64_t now)
{
	uint64_t t;

	if (!i8254_running(c) || !c->gate)
		return 0;
	t = i8254_elapsed(c, now);
	if (i8254_periodic(c))
		return c->start + (t / c->count + 1) * c->count;
	/* Strobes rise again a tick after they fell. */
	t = c->start + c->count + (c->mode >= 4);
	return t > now ? t : 0;
}

static void i8254_arm(struct i8254 *p)
{
	uint64_t edge, at, now_ns = bus_clock_ns(p->dev.host.bus);

	edge = i8254_next_edge(&p->c[0], i8254_now(p));
	if (!edge) {
		bus_timer_cancel(&p->timer);
		return;
	}
	p->due = edge;
	at = ticks_to_ns(edge, I8254_HZ);
	if (at < now_ns + I8254_MIN_FIRE_NS && i8254_periodic(&p->c[0]) &&
		p->c[0].count < 32)
		at = now_ns + I8254_MIN_FIRE_NS;
	bus_timer_arm(&p->timer, at);
}

/* Rising edges up to now, of which there may be several if the host is late. */
static unsigned i8254_edges(const struct i8254 *p, uint64_t now)
{
	const struct i8254_counter *c = &p->c[0];

	if (!i8254_periodic(c) || c->count < 32 || now < p->due)
		return 1;
	return MIN((now - p->due) / c->count, I8254_MAX_LATE) + 1;
}

static void i8254_fire(void *opaque)
{
	struct i8254 *p = opaque;
	const struct bus_irq *irq = &p->dev.host.gsi[0];
	uint64_t now = i8254_now(p);

	for (unsigned n = i8254_edges(p, now); n; n--) {
		p->fired++;
		bus_irq_set(irq, false);
		bus_irq_set(irq, true);
	}
	i8254_settle(&p->c[0], now);
	i8254_arm(p);
}

static void i8254_changed(struct i8254 *p, struct i8254_counter *c)
{
	if (c != &p->c[0])
		return;
	bus_irq_set(&p->dev.host.gsi[0], i8254_out(c, i8254_now(p)));
	i8254_arm(p);
}

/* ---- programming ---- */

static void i8254_load(struct i8254 *p, struct i8254_counter *c, uint16_t val)
{
	uint32_t n = val;
	uint64_t now = i8254_now(p);

	if (c->bcd)
		n = (val >> 12 & 15) * 1000 + (val >> 8 & 15) * 100 +
		    (val >> 4 & 15) * 10 + (val & 15);
	if (!n)
		n = c->bcd ? 10000 : 0x10000;
	c->stopped = false;
	if (c->loaded && i8254_periodic(c) && c->gate) {
		i8254_settle(c, now);
		c->next = n;
		/* Skip what has passed, so that the switch comes next. */
		c->start += (now - c->start) / c->count * c->count;
		return;
	}
	/* Modes 1 and 5 take it with the next trigger. */
	if (c->triggered) {
		c->next = n;
		return;
	}
	c->count = n;
	c->next = 0;
	c->loaded = true;
	c->start = now + 1; /* loaded with the next clock pulse */
	c->held = 0;
}

static void i8254_write_count(
	struct i8254 *p, struct i8254_counter *c, uint8_t val)
{
	switch (c->rw) {
	case 1: i8254_load(p, c, val); break;
	case 2: i8254_load(p, c, val << 8); break;
	default:
		c->write_high = !c->write_high;
		if (c->write_high) {
			c->low_written = val;
			/* Mode 0: the first byte stops the counting. */
			if (c->mode == 0) {
				c->held = i8254_elapsed(c, i8254_now(p));
				c->stopped = true;
			}
			break;
		}
		i8254_load(p, c, val << 8 | c->low_written);
	}
	i8254_changed(p, c);
}

static void i8254_latch_count(struct i8254 *p, struct i8254_counter *c)
{
	if (c->latch)
		return;
	c->latched = i8254_read_count(c, i8254_now(p));
	c->latch = c->rw == 3 ? 2 : 1;
}

static void i8254_latch_status(struct i8254 *p, struct i8254_counter *c)
{
	if (c->status_latched)
		return;
	c->status = i8254_out(c, i8254_now(p)) << 7 |
		    (!c->loaded || c->next ||
			    (i8254_by_trigger(c) && !c->triggered))
			    << 6 |
		    c->rw << 4 | c->mode << 1 | c->bcd;
	c->status_latched = true;
}

static void i8254_read_back(struct i8254 *p, uint8_t val)
{
	for (unsigned i = 0; i < 3; i++) {
		if (!(val & (2u << i)))
			continue;
		if (!(val & 0x20))
			i8254_latch_count(p, &p->c[i]);
		if (!(val & 0x10))
			i8254_latch_status(p, &p->c[i]);
	}
}

static void i8254_control(struct i8254 *p, uint8_t val)
{
	struct i8254_counter *c;

	if (val >> 6 == 3) {
		i8254_read_back(p, val);
		return;
	}
	c = &p->c[val >> 6];
	if (!(val & 0x30)) {
		i8254_latch_count(p, c);
		return;
	}
	c->rw = val >> 4 & 3;
	c->mode = val >> 1 & 7;
	if (c->mode > 5)
		c->mode &= 3; /* bit 2 is "don't care" in modes 2 and 3 */
	c->bcd = val & 1;
	c->write_high = c->read_high = c->loaded = c->stopped = false;
	c->triggered = false;
	c->next = 0;
	c->latch = 0;
	c->status_latched = false;
	c->held = 0;
	if (!c->count)
		c->count = 0x10000;
	i8254_changed(p, c);
}

static void i8254_tell_speaker(struct i8254 *p, bool done)
{
	if (p->speaker)
		p->speaker(p->speaker_opaque, done);
}

static void i8254_write(
	void *opaque, uint16_t port, unsigned size, uint32_t val)
{
	struct i8254 *p = opaque;
	bool heard = (port & 3) == 2 || ((port & 3) == 3 && val >> 6 == 2);

	if (heard)
		i8254_tell_speaker(p, false);
	if ((port & 3) == 3)
		i8254_control(p, val);
	else
		i8254_write_count(p, &p->c[port & 3], val);
	if (heard)
		i8254_tell_speaker(p, true);
}

static uint32_t i8254_read(void *opaque, uint16_t port, unsigned size)
{
	struct i8254 *p = opaque;
	struct i8254_counter *c = &p->c[port & 3];
	uint16_t v;

	if ((port & 3) == 3)
		return 0xff;
	if (c->status_latched) {
		c->status_latched = false;
		return c->status;
	}
	if (c->latch) {
		v = c->latched;
		c->latch--;
		if (c->rw == 2)
			return v >> 8;
		if (c->rw == 3)
			c->latched = v >> 8;
		return v & 0xff;
	}
	v = i8254_read_count(c, i8254_now(p));
	if (c->rw == 3) {
		c->read_high = !c->read_high;
		return c->read_high ? v & 0xff : v >> 8;
	}
	return c->rw == 2 ? v >> 8 : v & 0xff;
}

static void i8254_set_gate(struct i8254 *p, struct i8254_counter *c, bool gate)
{
	uint64_t now = i8254_now(p);

	if (gate == c->gate)
		return;
	i8254_settle(c, now);
	if (!gate) {
		c->held = i8254_elapsed(c, now);
		c->gate = false;
		return;
	}
	c->gate = true;
	if (!c->loaded || c->mode == 0 || c->mode == 4) {
		c->start = now - c->held;
		return;
	}
	/* A rising gate starts modes 1, 2, 3 and 5 anew. */
	c->triggered = i8254_by_trigger(c);
	if (c->next)
		c->count = c->next;
	c->next = 0;
	c->start = now + 1;
}

/* ---- port 0x61 ---- */

static uint32_t i8254_61_read(void *opaque, uint16_t port, unsigned size)
{
	struct i8254 *p = opaque;
	uint64_t now = i8254_now(p);
	/* The refresh request toggles every 15 us. */
	bool refresh = now / 18 & 1;

	return (p->c[2].gate ? 1 : 0) | p->port_61 | refresh << 4 |
	       i8254_out(&p->c[2], now) << 5;
}

static void i8254_61_write(
	void *opaque, uint16_t port, unsigned size, uint32_t val)
{
	struct i8254 *p = opaque;

	i8254_tell_speaker(p, false);
	i8254_set_gate(p, &p->c[2], val & 1);
	p->port_61 = val & 0x0e;
	i8254_tell_speaker(p, true);
}

/* ---- the loudspeaker ---- */

void i8254_set_speaker(
	struct dev *d, void (*change)(void *opaque, bool done), void *opaque)
{
	struct i8254 *p = (struct i8254 *)d;

	p->speaker = change;
	p->speaker_opaque = opaque;
}

bool i8254_speaker_on(const struct dev *d)
{
	return ((const struct i8254 *)d)->port_61 & 2;
}

bool i8254_speaks(const struct dev *d)
{
	const struct i8254_counter *c = &((const struct i8254 *)d)->c[2];

	return i8254_speaker_on(d) && i8254_periodic(c) && c->gate &&
	       i8254_running(c);
}

/* Ticks of the first t since the count was loaded at which OUT is high. */
static uint64_t i8254_high(const struct i8254_counter *c, uint64_t t)
{
	uint64_t half = (c->count + 1) / 2;

	switch (c->mode) {
	case 0:
	case 1: return t > c->count ? t - c->count : 0;
	case 2: return t - t / c->count;
	case 3: return t / c->count * half + MIN(t % c->count, half);
	}
	return t;
}

uint64_t i8254_speaker_high(struct dev *d, uint64_t from, uint64_t to)
{
	struct i8254_counter *c = &((struct i8254 *)d)->c[2];
	uint64_t sum = 0;

	if (!i8254_speaker_on(d))
		return 0;
	while (from < to) {
		bool moves = i8254_running(c) && !c->stopped &&
			     (c->gate || i8254_by_trigger(c));
		uint64_t end = to;

		i8254_settle(c, from);
		if (!moves || from < c->start)
			return sum + (i8254_out(c, from) ? to - from : 0);
		/* Another count takes over with the next period. */
		if (c->next && i8254_periodic(c))
			end = MIN(to, c->start + c->count);
		sum += i8254_high(c, end - c->start) -
		       i8254_high(c, from - c->start);
		from = end;
	}
	return sum;
}

static const struct bus_io_ops i8254_ops = {
	.read = i8254_read,
	.write = i8254_write,
};

static const struct bus_io_ops i8254_61_ops = {
	.read = i8254_61_read,
	.write = i8254_61_write,
};

static int i8254_init(struct dev *d, char *err, unsigned errsize)
{
	struct i8254 *p = (struct i8254 *)d;

	bus_timer_init(&p->timer, d->host.bus, i8254_fire, p);
	bus_io_claim(d->host.bus, 0x40, 4, &i8254_ops, p);
	bus_io_claim(d->host.bus, 0x61, 1, &i8254_61_ops, p);
	return 0;
}

static void i8254_reset(struct dev *d)
{
	struct i8254 *p = (struct i8254 *)d;

	for (unsigned i = 0; i < 3; i++)
		p->c[i] = (struct i8254_counter){
			.mode = 3,
			.rw = 3,
			.count = 0x10000,
			.gate = i != 2,
		};
	p->port_61 = 0;
	bus_timer_cancel(&p->timer);
	bus_irq_set(&d->host.gsi[0], false);
}

static void i8254_fini(struct dev *d)
{
	struct i8254 *p = (struct i8254 *)d;

	bus_timer_cancel(&p->timer);
	bus_io_release(d->host.bus, 0x40, 4, p);
	bus_io_release(d->host.bus, 0x61, 1, p);
}

static void i8254_describe(struct dev *d, char *buf, unsigned size)
{
	struct i8254 *p = (struct i8254 *)d;

	snprintf(buf, size, "mode %u count %u ticks %llu", p->c[0].mode,
		p->c[0].count, (unsigned long long)p->fired);
}

/* ---- state ---- */

static const struct state_field i8254_counter_fields[] = {
	STATE(struct i8254_counter, mode, .max = 5),
	STATE(struct i8254_counter, bcd),
	STATE(struct i8254_counter, rw, .min = 1, .max = 3),
	STATE(struct i8254_counter, write_high),
	STATE(struct i8254_counter, read_high),
	STATE(struct i8254_counter, low_written),
	STATE(struct i8254_counter, loaded),
	STATE(struct i8254_counter, stopped),
	STATE(struct i8254_counter, triggered),
	STATE(struct i8254_counter, gate),
	STATE(struct i8254_counter, count, .min = 1, .max = 0x10000),
	STATE(struct i8254_counter, next, .max = 0x10000),
	STATE(struct i8254_counter, start),
	STATE(struct i8254_counter, held),
	STATE(struct i8254_counter, latched),
	STATE(struct i8254_counter, latch, .max = 2),
	STATE(struct i8254_counter, status),
	STATE(struct i8254_counter, status_latched),
};

static const struct state_list i8254_counter_state =
	STATE_LIST("counter", struct i8254_counter, 1, i8254_counter_fields);

static const struct state_field i8254_fields[] = {
	STATE_STRUCTS(struct i8254, c, &i8254_counter_state),
	STATE_TIMER(struct i8254, timer),
	STATE(struct i8254, due),
	STATE(struct i8254, port_61, .max = 0x0e),
};

static const struct state_list i8254_state =
	STATE_LIST("i8254", struct i8254, 1, i8254_fields);

const struct dev_class i8254_class = {
	.name = "i8254",
	.size = sizeof(struct i8254),
	.init = i8254_init,
	.reset = i8254_reset,
	.fini = i8254_fini,
	.describe = i8254_describe,
	.state = &i8254_state,
};
