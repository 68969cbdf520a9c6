/*
 * hda.c - an Intel High Definition Audio controller: 82801FB (8086:2668), or
 * 82801I (8086:293e) behind an ICH9.
 *
 * High Definition Audio Specification 1.0a: 3.3 (registers), 4.4.1 (CORB),
 * 4.4.2 (RIRB), 3.4 (immediate commands), 4.3 (codec discovery).  SSYNC stands
 * where the ICHs have it.
 *
 * Registers are bytes with masks of what can be written; effects follow.
 * Commands are carried out at once: a driver that has written the write pointer
 * finds the answers.
 */
#include "dev/sound/hda.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <glib.h>

#include "dev/pci/pci_priv.h"
#include "dev/sound/hda_priv.h"

#define BAR_BYTES 0x4000
#define ALIAS	  0x2000 /* of WALCLK and positions */

#define GCTL_CRST  0x01
#define GIE	   (1u << 31)
#define CIE	   (1u << 30)
#define CORB_RUN   0x02
#define RIRB_DMA   0x02
#define RIRB_INT   0x01
#define RIRB_RINT  0x01
#define ICS_BUSY   0x01
#define ICS_VALID  0x02
#define RP_RESET   0x8000
#define ENTRIES	   256u
#define WALCLK_MHZ 24

struct hda_reg {
	uint8_t off, size;
	uint32_t start, mask, clear; /* clear: by writing ones */
};

static const struct hda_reg registers[] = {
	{0x00, 4, 0x01004401, 0, 0}, /* 4 in, 4 out, 64 bits; version 1.0 */
	{0x04, 4, 0x001d003c, 0, 0}, /* payloads */
	{HDA_GCTL, 4, 0, 0x103, 0},
	{HDA_WAKEEN, 2, 0, 0x7, 0},
	{HDA_STATESTS, 2, 0, 0, 0x7},
	{0x10, 2, 0, 0, 0x2},
	{0x18, 4, 0x001d003c, 0, 0},
	{HDA_INTCTL, 4, 0, 0xc00000ff, 0},
	{HDA_SSYNC, 4, 0, 0xff, 0},
	{HDA_CORBBASE, 4, 0, 0xffffff80, 0},
	{HDA_CORBBASE + 4, 4, 0, 0xffffffff, 0},
	{HDA_CORBWP, 2, 0, 0xff, 0},
	{HDA_CORBRP, 2, 0, RP_RESET, 0},
	{HDA_CORBCTL, 1, 0, 0x3, 0},
	{HDA_CORBCTL + 1, 1, 0, 0, 0x1},
	{HDA_CORBSIZE, 1, 0x42, 0, 0}, /* 256 entries */
	{HDA_RIRBBASE, 4, 0, 0xffffff80, 0},
	{HDA_RIRBBASE + 4, 4, 0, 0xffffffff, 0},
	{HDA_RIRBWP, 2, 0, RP_RESET, 0},
	{HDA_RINTCNT, 2, 0, 0xff, 0},
	{HDA_RIRBCTL, 1, 0, 0x7, 0},
	{HDA_RIRBSTS, 1, 0, 0, 0x5},
	{HDA_RIRBSIZE, 1, 0x42, 0, 0},
	{HDA_ICW, 4, 0, 0xffffffff, 0},
	{HDA_ICS, 2, 0, ICS_BUSY, ICS_VALID},
	{HDA_DPBASE, 4, 0, 0xffffff81, 0},
	{HDA_DPBASE + 4, 4, 0, 0xffffffff, 0},
};

static const struct hda_reg stream_registers[] = {
	{SD_CTL, 4, 0, 0x00f7001f, 0x1c000000},
	{SD_CBL, 4, 0, 0xffffffff, 0},
	{SD_LVI, 2, 0, 0xff, 0},
	{SD_FMT, 2, 0, 0x7f7f, 0},
	{SD_BDP, 4, 0, 0xffffff80, 0},
	{SD_BDP + 4, 4, 0, 0xffffffff, 0},
};

/* ---- interrupts ---- */

static uint32_t hda_interrupts(const struct hda *h)
{
	uint32_t sts = 0;

	for (unsigned n = 0; n < HDA_STREAMS; n++) {
		uint32_t both = hda_get(h, HDA_SD + n * HDA_SD_SIZE, 4);

		/* Status bits stand 24 above what enables them. */
		if (both >> 24 & both & 0x1c)
			sts |= 1u << n;
	}
	if ((h->reg[HDA_RIRBSTS] & h->reg[HDA_RIRBCTL] & 5) ||
		(h->reg[HDA_STATESTS] & h->reg[HDA_WAKEEN]))
		sts |= CIE;
	return sts;
}

/* event: something new is among what interrupts. */
static void hda_update_irq(struct hda *h, bool event)
{
	uint32_t ctl = hda_get(h, HDA_INTCTL, 4), sts = hda_interrupts(h);
	bool line = ctl & GIE && sts & ctl;

	hda_put(h, HDA_INTSTS, 4, sts | (sts & ctl ? GIE : 0));
	pci_set_intx(&h->pci, line && !pci_msi_enabled(&h->pci));
	if (line && event && pci_msi_enabled(&h->pci))
		pci_msi_notify(&h->pci);
}

/* ---- commands ---- */

static void hda_carry_out(struct hda *h, uint32_t verb, uint32_t *answer)
{
	h->verbs++;
	*answer = hda_codec_verb(&h->codec, verb & 0x0fffffff);
	hda_streams_tune(h);
}

/* 4.4.2: the answer and whose it is. */
static void hda_answer(struct hda *h, uint32_t answer)
{
	unsigned wp = (hda_get(h, HDA_RIRBWP, 2) + 1) % ENTRIES;
	uint32_t entry[2] = {GUINT32_TO_LE(answer), 0};

	if (!(h->reg[HDA_RIRBCTL] & RIRB_DMA))
		return;
	bus_dma_write(h->dev.host.bus,
		hda_get_address(h, HDA_RIRBBASE) + 8u * wp, entry,
		sizeof(entry));
	hda_put(h, HDA_RIRBWP, 2, wp);
	h->reg[HDA_RIRBSTS] |= RIRB_RINT;
}

/* True if somebody answered.  Only the codec at address 0 does. */
static bool hda_run_corb(struct hda *h)
{
	unsigned rp = hda_get(h, HDA_CORBRP, 2), wp = h->reg[HDA_CORBWP];
	bool some = false;

	if (!(h->reg[HDA_CORBCTL] & CORB_RUN) || rp & RP_RESET ||
		!hda_masters(h))
		return false;
	while (rp != wp) {
		uint32_t verb = 0, answer;

		rp = (rp + 1) % ENTRIES;
		bus_dma_read(h->dev.host.bus,
			hda_get_address(h, HDA_CORBBASE) + 4u * rp, &verb,
			sizeof(verb));
		verb = GUINT32_FROM_LE(verb);
		if (verb >> 28)
			continue;
		hda_carry_out(h, verb, &answer);
		hda_answer(h, answer);
		some = true;
	}
	hda_put(h, HDA_CORBRP, 2, rp);
	return some;
}

/* 3.4.3; nobody answers: it is over without a result. */
static void hda_immediate(struct hda *h)
{
	uint32_t verb = hda_get(h, HDA_ICW, 4), answer;

	if (!(h->reg[HDA_ICS] & ICS_BUSY))
		return;
	h->reg[HDA_ICS] &= ~(ICS_BUSY | ICS_VALID);
	if (verb >> 28)
		return;
	hda_carry_out(h, verb, &answer);
	hda_put(h, HDA_IRR, 4, answer);
	h->reg[HDA_ICS] |= ICS_VALID;
}

/* ---- registers ---- */

static void hda_set_start(struct hda *h)
{
	/* 4.2.2: what wakes survives the controller's reset. */
	uint32_t wake = hda_get(h, HDA_WAKEEN, 4);

	for (unsigned i = 0; i < G_N_ELEMENTS(registers); i++)
		hda_put(h, registers[i].off, registers[i].size,
			registers[i].start);
	hda_put(h, HDA_WAKEEN, 4, wake);
	hda_put(h, HDA_IRR, 4, 0);
	for (unsigned n = 0; n < HDA_STREAMS; n++)
		hda_stream_reset(h, n);
}

/* Out of reset the codec says that it is there (4.3). */
static void hda_global(struct hda *h, bool was_on)
{
	bool on = h->reg[HDA_GCTL] & GCTL_CRST;

	if (on == was_on)
		return;
	if (!on) {
		hda_set_start(h);
		return;
	}
	hda_codec_reset(&h->codec);
	h->epoch_ns = bus_clock_ns(h->dev.host.bus);
	h->reg[HDA_STATESTS] |= 1;
}

/* Bits of one byte that can be written, and cleared by ones. */
static void hda_masks(unsigned off, uint8_t *mask, uint8_t *clear)
{
	bool sd = off >= HDA_SD;
	const struct hda_reg *r = sd ? stream_registers : registers;
	unsigned n =
		sd ? G_N_ELEMENTS(stream_registers) : G_N_ELEMENTS(registers);

	if (sd)
		off = (off - HDA_SD) % HDA_SD_SIZE;
	*mask = *clear = 0;
	for (; n; n--, r++) {
		if (off < r->off || off >= r->off + r->size)
			continue;
		*mask = r->mask >> 8 * (off - r->off) & 0xff;
		*clear = r->clear >> 8 * (off - r->off) & 0xff;
	}
}

static void hda_store(struct hda *h, unsigned off, uint8_t val)
{
	uint8_t mask, clear;

	hda_masks(off, &mask, &clear);
	h->reg[off] = (h->reg[off] & ~mask) | (val & mask);
	h->reg[off] &= ~(val & clear);
}

static bool hits(unsigned off, unsigned size, unsigned reg, unsigned len)
{
	return off < reg + len && reg < off + size;
}

/* True if that interrupts. */
static bool hda_effects(struct hda *h, unsigned off, unsigned size)
{
	bool event = false;

	if (off >= HDA_SD) {
		hda_stream_control(h, (off - HDA_SD) / HDA_SD_SIZE);
		hda_streams_tune(h);
	}
	if (hits(off, size, HDA_SSYNC, 4))
		for (unsigned n = 0; n < HDA_STREAMS; n++)
			hda_stream_control(h, n);
	if (hits(off, size, HDA_CORBRP, 2) && h->reg[HDA_CORBRP + 1] & 0x80)
		h->reg[HDA_CORBRP] = 0;
	if (hits(off, size, HDA_RIRBWP, 2) && h->reg[HDA_RIRBWP + 1] & 0x80)
		hda_put(h, HDA_RIRBWP, 2, 0);
	if (hits(off, size, HDA_CORBWP, 5))
		event = hda_run_corb(h);
	if (hits(off, size, HDA_ICS, 2))
		hda_immediate(h);
	return event;
}

static uint64_t hda_read(
	void *opaque, struct bus_cpu *who, uint64_t off, unsigned size)
{
	struct hda *h = opaque;
	uint64_t ns = bus_clock_ns(h->dev.host.bus) - h->epoch_ns, val = 0;

	hda_update_irq(h, hda_streams_advance(h));
	hda_put(h, HDA_WALCLK, 4, (uint32_t)(ns * WALCLK_MHZ / 1000));
	/* 3.3.47, 3.3.48: both can be read further up, too. */
	if (off >= ALIAS)
		off -= ALIAS;
	for (unsigned i = 0; i < size; i++)
		if (off + i < HDA_REGS)
			val |= (uint64_t)h->reg[off + i] << 8 * i;
	return val;
}

static void hda_write(void *opaque, struct bus_cpu *who, uint64_t off,
	unsigned size, uint64_t val)
{
	struct hda *h = opaque;
	bool on = h->reg[HDA_GCTL] & GCTL_CRST, event;

	if (off + size > HDA_REGS)
		return;
	event = hda_streams_advance(h);
	for (unsigned i = 0; i < size; i++)
		/* 3.3.7: in reset only GCTL, and what wakes, can be written */
		if (on || (off + i >= HDA_GCTL && off + i < 0x10))
			hda_store(h, (unsigned)off + i, val >> 8 * i & 0xff);
	hda_global(h, on);
	if (on && h->reg[HDA_GCTL] & GCTL_CRST)
		event |= hda_effects(h, (unsigned)off, size);
	hda_update_irq(h, event);
	hda_streams_arm(h);
}

static const struct bus_mmio_ops hda_ops = {
	.read = hda_read,
	.write = hda_write,
};

static void hda_fire(void *opaque)
{
	struct hda *h = opaque;

	hda_update_irq(h, hda_streams_advance(h));
	hda_streams_arm(h);
}

/* ---- life ---- */

static int hda_init(struct dev *d, char *err, unsigned errsize)
{
	struct hda *h = (struct hda *)d;

	pci_func_init(&h->pci, d,
		&(struct pci_ident){.vendor = 0x8086,
			.device = d->host.index ? 0x293e : 0x2668,
			.class_code = 0x040300,
			.revision = 3,
			.sub_vendor = 0x1af4,
			.sub_id = 0x1100});
	h->pci.irq_pin = 1;
	h->pci.config[0x40] = 1; /* the link is this one's, not AC '97's */
	h->pci.wmask[0x44] = 7;	 /* traffic class */
	h->pci.next_cap = 0x60;
	pci_add_msi(&h->pci);
	h->pci.bar[0] = (struct pci_bar){.size = BAR_BYTES,
		.mem64 = true,
		.mmio = &hda_ops,
		.opaque = h};
	for (unsigned n = 0; n < HDA_STREAMS; n++)
		hda_stream_init(h, n);
	bus_timer_init(&h->timer, d->host.bus, hda_fire, h);
	if (!pci_func_plug(&h->pci, d->host.pci,
		    d->host.pci_slot < 0 ? -1 : d->host.pci_slot << 3))
		return 0;
	snprintf(err, errsize, "%s: no PCI slot is free", d->id);
	return -ENOSPC;
}

static void hda_reset(struct dev *d)
{
	struct hda *h = (struct hda *)d;

	pci_func_reset(&h->pci);
	hda_put(h, HDA_WAKEEN, 4, 0);
	hda_set_start(h);
	hda_codec_reset(&h->codec);
	h->epoch_ns = bus_clock_ns(d->host.bus);
	hda_update_irq(h, false);
	bus_timer_cancel(&h->timer);
}

static void hda_fini(struct dev *d)
{
	struct hda *h = (struct hda *)d;

	bus_timer_cancel(&h->timer);
	for (unsigned n = 0; n < HDA_STREAMS; n++)
		audio_stream_free(h->stream[n].pipe.s);
	pci_func_unplug(&h->pci);
}

static void hda_describe(struct dev *d, char *buf, unsigned size)
{
	struct hda *h = (struct hda *)d;

	snprintf(buf, size, "%llu bytes moved, %llu verbs",
		(unsigned long long)h->moved, (unsigned long long)h->verbs);
}

/* ---- saved states ---- */

static void hda_before_save(void *obj)
{
	hda_fire(obj);
}

/* Of a position in a buffer that a guest could not have. */
static int hda_loaded(void *obj, unsigned version, char *err, unsigned errsize)
{
	struct hda *h = obj;

	for (unsigned n = 0; n < HDA_STREAMS; n++) {
		struct hda_stream *s = &h->stream[n];

		s->at = MIN(s->at, s->len);
		hda_stream_clock(h, n);
	}
	h->reg[HDA_CORBRP + 1] &= 0x80;
	h->reg[HDA_RIRBWP + 1] = 0;
	hda_streams_tune(h);
	return 0;
}

static const struct state_field hda_fields[] = {
	STATE_STRUCT(struct hda, pci, &pci_func_state),
	STATE_STRUCT(struct hda, codec, &hda_codec_state),
	STATE_BYTES(struct hda, reg),
	STATE(struct hda, epoch_ns),
	STATE_STRUCTS(struct hda, stream, &hda_stream_state),
	STATE_TIMER(struct hda, timer),
};

static const struct state_list hda_state = STATE_LIST("hda", struct hda, 1,
	hda_fields, .before_save = hda_before_save, .loaded = hda_loaded);

const struct dev_class hda_class = {
	.name = "hda",
	.size = sizeof(struct hda),
	.init = hda_init,
	.reset = hda_reset,
	.fini = hda_fini,
	.describe = hda_describe,
	.state = &hda_state,
};
