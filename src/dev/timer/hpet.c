/*
 * hpet.c - high precision event timers.
 *
 * IA-PC HPET Specification 1.0a: 2.3 (registers), 2.3.8 (timer configuration),
 * 2.3.9 (comparators, periodic mode), 2.4.2 and 2.3.5 (legacy replacement).
 *
 * One 64-bit counter of 100 MHz and three timers, of which 0 is periodic.  The
 * counter follows the clock; a timer keeps its comparator and arms one host
 * timer for the moment when the counter meets it.
 */
#include <string.h>

#include "dev/state.h"
#include "dev/timer/hpet.h"

#define HPET_NTIMERS   3
#define HPET_PERIOD_NS 10
#define HPET_PERIOD_FS 10000000ull
#define HPET_ROUTES    0x00ff0000u /* lines 16..23 */
#define HPET_MIN_NS    20000	   /* periodic timers fire no faster */

#define HPET_CAP    0x000
#define HPET_CFG    0x010
#define HPET_STS    0x020
#define HPET_CNT    0x0f0
#define HPET_TIMERS 0x100

#define CFG_ENABLE 1u
#define CFG_LEGACY 2u

#define TN_LEVEL      (1u << 1)
#define TN_ENABLE     (1u << 2)
#define TN_PERIODIC   (1u << 3)
#define TN_CAN_PERIOD (1u << 4)
#define TN_CAN_64     (1u << 5)
#define TN_SET_VAL    (1u << 6)
#define TN_32	      (1u << 8)
#define TN_ROUTE(c)   (((c) >> 9) & 31)
#define TN_WRITABLE   0x3f4eu

struct hpet;

struct hpet_timer {
	struct hpet *hpet;
	unsigned n;
	uint32_t config;
	uint64_t comparator, period;
	uint64_t since; /* counter when comparator was right: hpet_settle */
	struct bus_timer timer;
};

struct hpet {
	struct dev dev;
	struct bus_region region;
	uint64_t config, status;
	uint64_t counter; /* while stopped */
	uint64_t base_ns; /* while running: when it was zero, may wrap */
	/* When the present call came: all that it does happens at once, or
	 * a comparator could be passed between two looks at the clock. */
	uint64_t ns;
	struct hpet_timer timer[HPET_NTIMERS];
	/* Lines 0 and 8 of others pass through here. */
	struct bus_irq gsi[BUS_NGSI];
	bool other[2];	      /* what the PIT and the RTC drive them to */
	bool level[BUS_NGSI]; /* what timers drive lines to */
};

static bool hpet_running(const struct hpet *h)
{
	return h->config & CFG_ENABLE;
}

static bool hpet_legacy(const struct hpet *h)
{
	return h->config & CFG_LEGACY;
}

static uint64_t hpet_now(const struct hpet *h)
{
	if (!hpet_running(h))
		return h->counter;
	return (h->ns - h->base_ns) / HPET_PERIOD_NS;
}

/* ---- lines ---- */

static unsigned hpet_line(const struct hpet_timer *t)
{
	if (hpet_legacy(t->hpet) && t->n < 2)
		return t->n ? 8 : 0;
	return TN_ROUTE(t->config);
}

static void hpet_drive(struct hpet *h, unsigned line, bool level)
{
	if (line >= BUS_NGSI || h->level[line] == level)
		return;
	h->level[line] = level;
	bus_irq_set(&h->dev.host.gsi[line], level);
}

static void hpet_lower(struct hpet_timer *t)
{
	if (t->config & TN_LEVEL)
		hpet_drive(t->hpet, hpet_line(t), false);
}

/* May it interrupt at all? */
static bool hpet_routed(const struct hpet_timer *t)
{
	return (t->config & TN_ENABLE) &&
	       ((hpet_legacy(t->hpet) && t->n < 2) ||
		       (HPET_ROUTES >> hpet_line(t) & 1));
}

/* A level stands as long as its status does. */
static void hpet_keep_level(struct hpet_timer *t)
{
	struct hpet *h = t->hpet;

	if ((t->config & TN_LEVEL) && hpet_running(h) && hpet_routed(t) &&
		(h->status & (1u << t->n)))
		hpet_drive(h, hpet_line(t), true);
}

static void hpet_raise(struct hpet_timer *t)
{
	struct hpet *h = t->hpet;
	unsigned line = hpet_line(t);

	if (t->config & TN_LEVEL) {
		h->status |= 1u << t->n;
		hpet_keep_level(t);
	} else if (hpet_routed(t)) {
		hpet_drive(h, line, true);
		hpet_drive(h, line, false);
	}
}

static void hpet_other_set(void *opaque, unsigned n, bool level)
{
	struct hpet *h = opaque;

	h->other[n == 8] = level;
	if (!hpet_legacy(h))
		bus_irq_set(&h->dev.host.gsi[n], level);
}

const struct bus_irq *hpet_gsi(struct dev *d)
{
	return ((struct hpet *)d)->gsi;
}

/* ---- timers ---- */

static uint64_t hpet_mask(const struct hpet_timer *t)
{
	return t->config & TN_32 ? 0xffffffffull : ~0ull;
}

/* Nobody hears of it: only the comparator goes on, which need not be followed
 * until it is looked at. */
static bool hpet_quiet(const struct hpet_timer *t)
{
	return !(t->config & (TN_ENABLE | TN_LEVEL));
}

static void hpet_due(struct hpet_timer *t);

/* Before anything is changed: what was due has been, though the host's timer
 * may come later, and the comparator of a quiet periodic timer is where it is
 * by now. */
static void hpet_settle(struct hpet_timer *t)
{
	uint64_t now = hpet_now(t->hpet), mask = hpet_mask(t);
	uint64_t left = (t->comparator - t->since) & mask;
	uint64_t gone = now - t->since;

	if (t->timer.slot && t->timer.deadline_ns <= t->hpet->ns) {
		bus_timer_cancel(&t->timer);
		hpet_due(t);
	}
	if (!hpet_running(t->hpet) || !hpet_quiet(t) || !t->period ||
		!(t->config & TN_PERIODIC))
		return;
	if (gone >= left)
		t->comparator += ((gone - left) / t->period + 1) * t->period;
	t->comparator &= mask;
	t->since = now;
}

static void hpet_arm(struct hpet_timer *t)
{
	struct hpet *h = t->hpet;
	uint64_t left, at;

	t->since = hpet_now(h);
	if (!hpet_running(h) || hpet_quiet(t)) {
		bus_timer_cancel(&t->timer);
		return;
	}
	/* A comparator just passed is met after the counter has wrapped. */
	left = (t->comparator - hpet_now(h)) & hpet_mask(t);
	if (left > (1ull << 62) / HPET_PERIOD_NS) {
		bus_timer_cancel(&t->timer);
		return;
	}
	at = h->ns + left * HPET_PERIOD_NS;
	if ((t->config & TN_PERIODIC) && at < h->ns + HPET_MIN_NS &&
		t->period * HPET_PERIOD_NS < HPET_MIN_NS)
		at = h->ns + HPET_MIN_NS;
	bus_timer_arm(&t->timer, at);
}

static void hpet_due(struct hpet_timer *t)
{
	uint64_t late, mask = hpet_mask(t);

	if (t->config & TN_PERIODIC && t->period) {
		late = (hpet_now(t->hpet) - t->comparator) & mask;
		t->comparator += (late / t->period + 1) * t->period;
		t->comparator &= mask;
		hpet_raise(t);
		hpet_arm(t);
		return;
	}
	hpet_raise(t);
	/* One-shot: again when the counter has wrapped, which only a 32-bit
	 * timer lives to see. */
	if (mask != ~0ull)
		bus_timer_arm(
			&t->timer, t->hpet->ns + (mask + 1) * HPET_PERIOD_NS);
}

static void hpet_look(struct hpet *h)
{
	h->ns = bus_clock_ns(h->dev.host.bus);
}

static void hpet_fire(void *opaque)
{
	struct hpet_timer *t = opaque;

	hpet_look(t->hpet);
	hpet_due(t);
}

static void hpet_write_timer_config(
	struct hpet_timer *t, uint64_t val, uint64_t mask)
{
	uint32_t can = TN_WRITABLE & ~(t->n ? TN_PERIODIC | TN_SET_VAL : 0);
	uint32_t was = t->config;

	mask &= can;
	hpet_settle(t);
	hpet_lower(t);
	t->config = (was & ~mask) | (val & mask);
	/* A route that is not offered is not taken (2.3.8). */
	if (!(HPET_ROUTES >> TN_ROUTE(t->config) & 1))
		t->config &= ~(31u << 9);
	if (t->config & TN_32) {
		t->comparator &= 0xffffffff;
		t->period &= 0xffffffff;
	}
	hpet_keep_level(t);
	hpet_arm(t);
}

static void hpet_write_comparator(
	struct hpet_timer *t, uint64_t val, uint64_t mask)
{
	mask &= hpet_mask(t);
	hpet_settle(t);
	if (!(t->config & TN_PERIODIC) || (t->config & TN_SET_VAL))
		t->comparator = (t->comparator & ~mask) | (val & mask);
	if (t->config & TN_PERIODIC)
		t->period = (t->period & ~mask) | (val & mask);
	/* Lasts for one write; each half of a 64-bit one needs it anew. */
	t->config &= ~TN_SET_VAL;
	hpet_arm(t);
}

/* ---- registers ---- */

static void hpet_write_config(struct hpet *h, uint64_t val)
{
	bool was = hpet_running(h), was_legacy = hpet_legacy(h);
	uint64_t now = hpet_now(h);

	for (unsigned i = 0; i < HPET_NTIMERS; i++) {
		hpet_settle(&h->timer[i]);
		hpet_lower(&h->timer[i]);
	}
	h->config = val & (CFG_ENABLE | CFG_LEGACY);
	if (was && !hpet_running(h))
		h->counter = now;
	else if (!was && hpet_running(h))
		h->base_ns = h->ns - h->counter * HPET_PERIOD_NS;
	if (was_legacy != hpet_legacy(h))
		for (unsigned i = 0; i < 2; i++)
			bus_irq_set(&h->dev.host.gsi[i ? 8 : 0],
				!hpet_legacy(h) && h->other[i]);
	for (unsigned i = 0; i < HPET_NTIMERS; i++) {
		hpet_keep_level(&h->timer[i]);
		hpet_arm(&h->timer[i]);
	}
}

static void hpet_write_status(struct hpet *h, uint64_t val)
{
	for (unsigned i = 0; i < HPET_NTIMERS; i++)
		if (val & h->status & (1u << i)) {
			h->status &= ~(1ull << i);
			hpet_lower(&h->timer[i]);
		}
}

static void hpet_write_counter(struct hpet *h, uint64_t val, uint64_t mask)
{
	/* 2.3.7: only while halted. */
	if (!hpet_running(h))
		h->counter = (h->counter & ~mask) | (val & mask);
}

static uint64_t hpet_read64(struct hpet *h, unsigned off)
{
	struct hpet_timer *t = &h->timer[(off - HPET_TIMERS) / 0x20 & 3];

	switch (off) {
	case HPET_CAP: return HPET_PERIOD_FS << 32 | HPET_ID;
	case HPET_CFG: return h->config;
	case HPET_STS: return h->status;
	case HPET_CNT: return hpet_now(h);
	}
	if (off < HPET_TIMERS || off >= HPET_TIMERS + 0x20 * HPET_NTIMERS)
		return 0;
	switch (off & 0x1f) {
	case 0x00:
		return (uint64_t)HPET_ROUTES << 32 | TN_CAN_64 |
		       (t->config & ~TN_SET_VAL) | (t->n ? 0 : TN_CAN_PERIOD);
	case 0x08: hpet_settle(t); return t->comparator;
	}
	return 0;
}

static uint64_t hpet_read(
	void *opaque, struct bus_cpu *who, uint64_t off, unsigned size)
{
	hpet_look(opaque);
	return hpet_read64(opaque, off & 0x3f8) >> (8 * (off & 7));
}

static void hpet_write(void *opaque, struct bus_cpu *who, uint64_t off,
	unsigned size, uint64_t val)
{
	struct hpet *h = opaque;
	unsigned reg = off & 0x3f8, shift = 8 * (off & 7);
	uint64_t mask = (size == 8 ? ~0ull : (1ull << 8 * size) - 1) << shift;
	unsigned n = (reg - HPET_TIMERS) / 0x20;

	val <<= shift;
	hpet_look(h);
	switch (reg) {
	case HPET_CFG:
		hpet_write_config(h, (h->config & ~mask) | (val & mask));
		return;
	case HPET_STS: hpet_write_status(h, val & mask); return;
	case HPET_CNT: hpet_write_counter(h, val, mask); return;
	}
	if (reg < HPET_TIMERS || n >= HPET_NTIMERS)
		return;
	if ((reg & 0x1f) == 0)
		hpet_write_timer_config(&h->timer[n], val, mask);
	else if ((reg & 0x1f) == 8)
		hpet_write_comparator(&h->timer[n], val, mask);
}

static const struct bus_mmio_ops hpet_ops = {
	.read = hpet_read,
	.write = hpet_write,
};

/* ---- life ---- */

static int hpet_init(struct dev *d, char *err, unsigned errsize)
{
	struct hpet *h = (struct hpet *)d;

	memcpy(h->gsi, d->host.gsi, sizeof(h->gsi));
	for (unsigned i = 0; i < 2; i++)
		h->gsi[i ? 8 : 0] = (struct bus_irq){
			.set = hpet_other_set, .opaque = h, .n = i ? 8 : 0};
	for (unsigned i = 0; i < HPET_NTIMERS; i++) {
		h->timer[i].hpet = h;
		h->timer[i].n = i;
		bus_timer_init(&h->timer[i].timer, d->host.bus, hpet_fire,
			&h->timer[i]);
	}
	h->region = (struct bus_region){
		.name = "hpet",
		.base = HPET_BASE,
		.size = 0x400,
		.prio = 10,
		.access = BUS_MAP_R | BUS_MAP_W,
		.ops = &hpet_ops,
		.opaque = h,
	};
	bus_region_map(d->host.bus, &h->region);
	return 0;
}

static void hpet_reset(struct dev *d)
{
	struct hpet *h = (struct hpet *)d;

	for (unsigned i = 0; i < BUS_NGSI; i++)
		hpet_drive(h, i, false);
	h->config = h->status = h->counter = 0;
	for (unsigned i = 0; i < HPET_NTIMERS; i++) {
		struct hpet_timer *t = &h->timer[i];

		t->config = 0;
		t->comparator = ~0ull;
		t->period = 0;
		bus_timer_cancel(&t->timer);
	}
}

static void hpet_fini(struct dev *d)
{
	struct hpet *h = (struct hpet *)d;

	for (unsigned i = 0; i < HPET_NTIMERS; i++)
		bus_timer_cancel(&h->timer[i].timer);
	bus_region_unmap(d->host.bus, &h->region);
}

/* ---- state ---- */

static const struct state_field hpet_timer_fields[] = {
	STATE(struct hpet_timer, config, .max = 0x7fff),
	STATE(struct hpet_timer, comparator),
	STATE(struct hpet_timer, period),
	STATE(struct hpet_timer, since),
	STATE_TIMER(struct hpet_timer, timer),
};

static const struct state_list hpet_timer_state =
	STATE_LIST("timer", struct hpet_timer, 1, hpet_timer_fields);

static const struct state_field hpet_fields[] = {
	STATE(struct hpet, config, .max = CFG_ENABLE | CFG_LEGACY),
	STATE(struct hpet, status, .max = (1u << HPET_NTIMERS) - 1),
	STATE(struct hpet, counter),
	STATE(struct hpet, base_ns),
	STATE_STRUCTS(struct hpet, timer, &hpet_timer_state),
	STATE_ARRAY(struct hpet, other),
	STATE_ARRAY(struct hpet, level),
};

static const struct state_list hpet_state =
	STATE_LIST("hpet", struct hpet, 1, hpet_fields);

const struct dev_class hpet_class = {
	.name = "hpet",
	.size = sizeof(struct hpet),
	.init = hpet_init,
	.reset = hpet_reset,
	.fini = hpet_fini,
	.state = &hpet_state,
};
