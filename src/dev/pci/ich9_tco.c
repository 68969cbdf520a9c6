/*
 * ich9_tco.c - the TCO watchdog timer of the ICH9.
 *
 * Intel ICH9 data sheet 316972, 13.9 (TCO registers) and 10.1.75 (GCS: No
 * Reboot).  The timer counts down in ticks of 0.6 s.  When it first reaches
 * zero it sets TIMEOUT, which would be a system management interrupt, and
 * begins again; when it does so a second time, and nobody has reloaded it, the
 * machine is reset unless No Reboot is set, as it is after a reset: until
 * software clears that, nothing happens by itself.  SECOND_TO_STS outlives the
 * reset, as it has its power from the battery.
 */
#include "dev/pci/ich9_tco.h"

#include <glib.h>

#include "dev/state.h"

#define TICK_NS 600000000ull

enum {
	TCO_RLD = 0x00,
	TCO_DAT = 0x02, /* in, and out */
	TCO1_STS = 0x04,
	TCO2_STS = 0x06,
	TCO1_CNT = 0x08,
	TCO2_CNT = 0x0a,
	TCO_MESSAGE = 0x0c,
	TCO_WDCNT = 0x0e,
	TCO_SW_IRQ = 0x10,
	TCO_TMR = 0x12,
};

#define TMR_BITS     0x03ff
#define TMR_RESET    0x0004
#define SW_IRQ_RESET 0x03
#define STS1_SW_SMI  0x0002 /* TCO_DAT_IN was written */
#define STS1_INT     0x0004 /* TCO_DAT_OUT was */
#define STS1_TIMEOUT 0x0008
#define STS1_W1C     0x1f8f
#define STS2_SECOND  0x0002
#define STS2_W1C     0x0017
#define CNT1_HALT    0x0800
#define CNT1_LOCK    0x1000
#define CNT1_BITS    0x1b00
#define CNT2_BITS    0x003e
#define CNT2_RESET   0x0008

static bool tco_halted(const struct ich9_tco *t)
{
	return t->cnt1 & CNT1_HALT;
}

/* Values of 0 and 1 are not to be used: the least that runs is two. */
static uint64_t tco_period_ns(const struct ich9_tco *t)
{
	return MAX(t->initial, 2u) * TICK_NS;
}

/* Does it matter when it ends? */
static bool tco_bites(const struct ich9_tco *t)
{
	return !tco_halted(t) && !(*t->gcs & ICH9_GCS_NR);
}

/* What has come to its end since the last look. */
static void tco_look(struct ich9_tco *t)
{
	uint64_t now = bus_clock_ns(t->bus), period = tco_period_ns(t), n = 1;
	bool bites = tco_bites(t);

	if (tco_halted(t) || now < t->deadline_ns)
		return;
	/* A host that was late is not the guest's fault. */
	if (!bites)
		n += (now - t->deadline_ns) / period;
	if (n > 1 || t->once) {
		t->sts2 |= STS2_SECOND;
		if (bites)
			bus_request(t->bus, BUS_REQ_WATCHDOG);
	}
	t->once = true;
	t->sts1 |= STS1_TIMEOUT;
	t->deadline_ns = bites ? now + period : t->deadline_ns + n * period;
}

void ich9_tco_update(struct ich9_tco *t)
{
	tco_look(t);
	if (tco_bites(t))
		bus_timer_arm(&t->timer, t->deadline_ns);
	else
		bus_timer_cancel(&t->timer);
}

static unsigned tco_left(struct ich9_tco *t)
{
	tco_look(t);
	if (tco_halted(t))
		return t->held;
	return (t->deadline_ns - bus_clock_ns(t->bus) + TICK_NS - 1) / TICK_NS;
}

/* Go on with so many ticks. */
static void tco_load(struct ich9_tco *t, unsigned ticks)
{
	t->held = ticks;
	t->deadline_ns = bus_clock_ns(t->bus) + ticks * TICK_NS;
	ich9_tco_update(t);
}

static void tco_fire(void *opaque)
{
	ich9_tco_update(opaque);
}

static void tco_put_cnt1(struct ich9_tco *t, uint16_t val)
{
	unsigned left = tco_left(t);
	uint16_t was = t->cnt1;

	/* The lock goes with a reset only. */
	t->cnt1 = (val & CNT1_BITS) | (was & CNT1_LOCK);
	if ((was ^ t->cnt1) & CNT1_HALT)
		tco_load(t, MAX(left, 1));
}

/* ---- registers ---- */

uint16_t ich9_tco_get(struct ich9_tco *t, unsigned off)
{
	tco_look(t);
	switch (off) {
	case TCO_RLD: return tco_left(t);
	case TCO_DAT: return t->dat_in | t->dat_out << 8;
	case TCO1_STS: return t->sts1;
	case TCO2_STS: return t->sts2;
	case TCO1_CNT: return t->cnt1;
	case TCO2_CNT: return t->cnt2;
	case TCO_MESSAGE: return t->message[0] | t->message[1] << 8;
	case TCO_WDCNT: return t->wdcnt;
	case TCO_SW_IRQ: return t->sw_irq;
	case TCO_TMR: return t->initial;
	}
	return 0;
}

static void tco_put_data(struct ich9_tco *t, uint16_t val, uint16_t mask)
{
	if (mask & 0xff) {
		t->dat_in = val;
		t->sts1 |= STS1_SW_SMI;
	}
	if (mask & 0xff00) {
		t->dat_out = val >> 8;
		t->sts1 |= STS1_INT;
	}
}

void ich9_tco_put(struct ich9_tco *t, unsigned off, uint16_t val, uint16_t mask)
{
	uint16_t all = (ich9_tco_get(t, off) & ~mask) | (val & mask);

	switch (off) {
	case TCO_RLD:
		t->once = false;
		tco_load(t, tco_period_ns(t) / TICK_NS);
		break;
	case TCO_DAT: tco_put_data(t, val, mask); break;
	case TCO1_STS: t->sts1 &= ~(val & mask & STS1_W1C); break;
	case TCO2_STS: t->sts2 &= ~(val & mask & STS2_W1C); break;
	case TCO1_CNT: tco_put_cnt1(t, all); break;
	case TCO2_CNT: t->cnt2 = all & CNT2_BITS; break;
	case TCO_MESSAGE:
		t->message[0] = all;
		t->message[1] = all >> 8;
		break;
	case TCO_WDCNT: t->wdcnt = all; break;
	case TCO_SW_IRQ: t->sw_irq = all & SW_IRQ_RESET; break;
	case TCO_TMR: t->initial = all & TMR_BITS; break;
	}
}

/* ---- life ---- */

void ich9_tco_init(struct ich9_tco *t, struct bus *b, const uint8_t *gcs)
{
	t->bus = b;
	t->gcs = gcs;
	bus_timer_init(&t->timer, b, tco_fire, t);
}

void ich9_tco_fini(struct ich9_tco *t)
{
	bus_timer_cancel(&t->timer);
}

void ich9_tco_reset(struct ich9_tco *t)
{
	t->initial = TMR_RESET;
	t->sts1 = t->cnt1 = 0;
	t->once = false;
	t->cnt2 = CNT2_RESET;
	t->dat_in = t->dat_out = t->message[0] = t->message[1] = t->wdcnt = 0;
	t->sw_irq = SW_IRQ_RESET;
	tco_load(t, TMR_RESET);
}

/* ---- state ---- */

static const struct state_field ich9_tco_fields[] = {
	STATE(struct ich9_tco, initial, .max = TMR_BITS),
	STATE(struct ich9_tco, sts1),
	STATE(struct ich9_tco, sts2),
	STATE(struct ich9_tco, cnt1, .max = CNT1_BITS),
	STATE(struct ich9_tco, cnt2, .max = CNT2_BITS),
	STATE(struct ich9_tco, once),
	STATE(struct ich9_tco, held, .max = TMR_BITS),
	STATE(struct ich9_tco, deadline_ns),
	STATE(struct ich9_tco, dat_in),
	STATE(struct ich9_tco, dat_out),
	STATE_BYTES(struct ich9_tco, message),
	STATE(struct ich9_tco, wdcnt),
	STATE(struct ich9_tco, sw_irq, .max = SW_IRQ_RESET),
	STATE_TIMER(struct ich9_tco, timer),
};

const struct state_list ich9_tco_state =
	STATE_LIST("tco", struct ich9_tco, 1, ich9_tco_fields);
