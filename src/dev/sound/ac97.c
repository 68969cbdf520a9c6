/*
 * ac97.c - the AC '97 audio function of an Intel 82801AA (8086:2415).
 *
 * Intel 82801AA data sheet 290655, chapter 13: 13.1 (configuration space),
 * 13.2 (mixer registers), 13.3 (bus master registers); AC '97 Programmer's
 * Reference Manual 2.0 for how the three engines walk their descriptors.
 *
 * Where an engine stands follows from the clock: whoever reads it first moves
 * it on (ac97_advance).  A timer does so when a buffer ends, and every
 * SOUND_CHUNK_NS while somebody hears.
 */
#include "dev/sound/ac97.h"

#include <stdio.h>
#include <string.h>

#include <glib.h>

#include "dev/pci/pci_priv.h"
#include "dev/sound/ac97_codec.h"
#include "dev/sound/pipe.h"

#define NAM_BYTES   256
#define NABM_BYTES  64
#define CODEC_BYTES 0x80 /* the second codec's follow, which is absent */

#define NBOXES 3

#define SR_DCH	 0x01
#define SR_CELV	 0x02
#define SR_LVBCI 0x04
#define SR_BCIS	 0x08
#define SR_FIFOE 0x10
#define SR_CLEAR (SR_LVBCI | SR_BCIS | SR_FIFOE)

#define CR_RUN	 0x01
#define CR_RESET 0x02
#define CR_LVBIE 0x04
#define CR_FEIE	 0x08
#define CR_IOCE	 0x10

#define GC_COLD 0x02 /* 0: in reset */
#define GC_WARM 0x04

#define GS_READY   0x00000100u
#define GS_TIMEOUT 0x00008000u /* read completion status */
#define GS_CLEAR   (GS_TIMEOUT | 0xc01u)

#define DESC_IOC 0x80000000u

struct ac97_box {
	struct ac97 *card;
	uint32_t bdbar;
	uint8_t civ, lvi, piv, cr;
	uint16_t sr, picb; /* picb: samples left */
	uint32_t addr;	   /* of the next sample */
	bool ioc;
	/* The clock: frames since start. */
	uint64_t start_ns, frames;
	unsigned rate;
	struct sound_pipe pipe;
};

struct ac97 {
	struct dev dev;
	struct pci_func pci;
	struct ac97_codec codec;
	struct ac97_box box[NBOXES]; /* PCM in, PCM out, microphone */
	uint32_t glob_cnt, glob_sta;
	bool busy; /* the codec access semaphore */
	struct bus_timer timer;
	uint64_t played, recorded; /* bytes */
};

enum { BOX_IN, BOX_OUT, BOX_MIC };

/* Of GLOB_STA. */
static const uint8_t box_bit[NBOXES] = {5, 6, 7};

static unsigned box_index(const struct ac97_box *b)
{
	return (unsigned)(b - b->card->box);
}

/* Samples of a frame. */
static unsigned box_channels(const struct ac97_box *b)
{
	return box_index(b) == BOX_MIC ? 1 : 2;
}

/* ---- interrupts ---- */

static bool box_interrupts(const struct ac97_box *b)
{
	return (b->sr & SR_LVBCI && b->cr & CR_LVBIE) ||
	       (b->sr & SR_BCIS && b->cr & CR_IOCE) ||
	       (b->sr & SR_FIFOE && b->cr & CR_FEIE);
}

static uint32_t ac97_status(const struct ac97 *a)
{
	uint32_t val = a->glob_sta;

	if (a->glob_cnt & GC_COLD)
		val |= GS_READY;
	for (unsigned i = 0; i < NBOXES; i++)
		val |= (uint32_t)box_interrupts(&a->box[i]) << box_bit[i];
	return val;
}

static void ac97_update_irq(struct ac97 *a)
{
	bool level = false;

	for (unsigned i = 0; i < NBOXES; i++)
		level |= box_interrupts(&a->box[i]);
	pci_set_intx(&a->pci, level);
}

/* ---- the engines ---- */

static bool box_moves(const struct ac97_box *b)
{
	return b->cr & CR_RUN && !(b->sr & SR_DCH);
}

static bool box_absent(const struct ac97_box *b)
{
	return !(b->card->pci.config[PCI_COMMAND] & PCI_COMMAND_MASTER);
}

static void box_fetch(struct ac97_box *b)
{
	uint32_t desc[2] = {0};

	if (!box_absent(b))
		bus_dma_read(b->card->dev.host.bus, b->bdbar + 8u * b->civ,
			desc, sizeof(desc));
	b->addr = GUINT32_FROM_LE(desc[0]) & ~1u;
	b->picb = GUINT32_FROM_LE(desc[1]) & 0xffff;
	b->ioc = GUINT32_FROM_LE(desc[1]) & DESC_IOC;
}

static void box_next(struct ac97_box *b)
{
	b->civ = b->piv;
	b->piv = (b->piv + 1) & 31;
	box_fetch(b);
}

/* A buffer is done. */
static void box_complete(struct ac97_box *b)
{
	if (b->ioc)
		b->sr |= SR_BCIS;
	if (b->civ != b->lvi) {
		box_next(b);
		return;
	}
	b->sr |= SR_LVBCI | SR_CELV | SR_DCH;
	audio_stream_stop(b->pipe.s);
}

static void box_move(struct ac97_box *b, unsigned samples)
{
	unsigned bytes = samples * 2;
	bool absent = box_absent(b);

	if (box_index(b) == BOX_OUT) {
		sound_pipe_play(&b->pipe, b->addr, bytes, absent);
		b->card->played += bytes;
	} else {
		sound_pipe_record(&b->pipe, b->addr, bytes, absent);
		b->card->recorded += bytes;
	}
	b->addr += bytes;
	b->picb -= samples;
}

/* To where the clock says it is.  A round of empty buffers comes past the
 * last valid one and stops. */
static void box_advance(struct ac97_box *b, uint64_t now)
{
	uint64_t due;

	if (!box_moves(b))
		return;
	due = audio_frames_of_ns(now - b->start_ns, b->rate) - b->frames;
	while (due && box_moves(b)) {
		unsigned ch = box_channels(b);
		unsigned samples = (unsigned)MIN(due * ch, b->picb);
		unsigned frames = (samples + ch - 1) / ch;

		box_move(b, samples);
		b->frames += frames;
		due -= frames;
		if (!b->picb)
			box_complete(b);
	}
}

static void ac97_advance(struct ac97 *a)
{
	uint64_t now = bus_clock_ns(a->dev.host.bus);

	for (unsigned i = 0; i < NBOXES; i++)
		box_advance(&a->box[i], now);
	ac97_update_irq(a);
}

/* When the next buffer ends, or a piece of it should be heard. */
static uint64_t box_due_ns(const struct ac97_box *b, uint64_t now)
{
	unsigned ch = box_channels(b);
	uint64_t left = (b->picb + ch - 1) / ch;
	uint64_t end = b->start_ns +
		       audio_ns_of_frames(b->frames + MAX(left, 1), b->rate);

	if (audio_stream_heard(b->pipe.s))
		end = MIN(end, now + SOUND_CHUNK_NS);
	return end;
}

static void ac97_arm(struct ac97 *a)
{
	uint64_t at = UINT64_MAX, now = bus_clock_ns(a->dev.host.bus);

	for (unsigned i = 0; i < NBOXES; i++)
		if (box_moves(&a->box[i]))
			at = MIN(at, box_due_ns(&a->box[i], now));
	if (at == UINT64_MAX)
		bus_timer_cancel(&a->timer);
	else
		bus_timer_arm(&a->timer, at);
}

static void ac97_fire(void *opaque)
{
	struct ac97 *a = opaque;

	ac97_advance(a);
	ac97_arm(a);
}

static unsigned box_rate(const struct ac97_box *b)
{
	const struct ac97_codec *c = &b->card->codec;

	switch (box_index(b)) {
	case BOX_OUT: return ac97_codec_dac_rate(c);
	case BOX_IN: return ac97_codec_adc_rate(c);
	}
	return ac97_codec_mic_rate(c);
}

/* From here the clock counts anew. */
static void box_clock(struct ac97_box *b)
{
	struct audio_format f = {.sample = AUDIO_S16,
		.channels = box_channels(b),
		.rate = box_rate(b)};

	b->start_ns = bus_clock_ns(b->card->dev.host.bus);
	b->frames = 0;
	b->rate = f.rate;
	sound_pipe_format(&b->pipe, &f);
	if (box_index(b) == BOX_OUT && box_moves(b))
		audio_stream_start(b->pipe.s, b->start_ns);
}

/* What the codec's registers say of rates and volumes. */
static void ac97_tune(struct ac97 *a)
{
	unsigned volume[2];

	for (unsigned i = 0; i < NBOXES; i++) {
		struct ac97_box *b = &a->box[i];

		if (box_rate(b) != b->rate)
			box_clock(b);
		if (i == BOX_OUT)
			ac97_codec_volume(&a->codec, volume);
		else
			ac97_codec_gain(&a->codec, volume);
		audio_stream_volume(b->pipe.s, volume[0], volume[1]);
	}
}

/* It runs (again). */
static void box_go(struct ac97_box *b)
{
	b->sr &= ~(SR_DCH | SR_CELV);
	box_next(b);
	box_clock(b);
}

static void box_halt(struct ac97_box *b)
{
	b->sr |= SR_DCH;
	audio_stream_stop(b->pipe.s);
}

static void box_reset(struct ac97_box *b)
{
	audio_stream_stop(b->pipe.s);
	b->bdbar = b->addr = 0;
	b->civ = b->lvi = b->piv = 0;
	b->picb = 0;
	b->ioc = false;
	b->pipe.npart = 0;
	b->sr = SR_DCH;
	b->cr &= CR_LVBIE | CR_FEIE | CR_IOCE;
}

static void box_control(struct ac97_box *b, uint8_t val)
{
	bool was = b->cr & CR_RUN;

	b->cr = val & (CR_RUN | CR_LVBIE | CR_FEIE | CR_IOCE);
	/* 13.3.8: only while it stands. */
	if (val & CR_RESET && !(b->cr & CR_RUN))
		box_reset(b);
	else if (!was && b->cr & CR_RUN && b->picb) {
		/* It was paused amid a buffer. */
		b->sr &= ~SR_DCH;
		box_clock(b);
	} else if (!was && b->cr & CR_RUN)
		box_go(b);
	else if (was && !(b->cr & CR_RUN))
		box_halt(b);
}

/* One that has come to its end goes on when there is more. */
static void box_set_lvi(struct ac97_box *b, uint8_t val)
{
	b->lvi = val & 31;
	if (b->cr & CR_RUN && b->sr & SR_DCH && b->civ != b->lvi)
		box_go(b);
}

/* ---- bus master registers, byte by byte ---- */

static uint8_t box_read(const struct ac97_box *b, unsigned reg)
{
	switch (reg) {
	case 0:
	case 1:
	case 2:
	case 3: return b->bdbar >> 8 * reg & 0xff;
	case 4: return b->civ;
	case 5: return b->lvi;
	case 6: return b->sr & 0xff;
	case 8: return b->picb & 0xff;
	case 9: return b->picb >> 8;
	case 10: return b->piv;
	case 11: return b->cr;
	}
	return 0;
}

static void box_write(struct ac97_box *b, unsigned reg, uint8_t val)
{
	switch (reg) {
	case 0:
	case 1:
	case 2:
	case 3:
		b->bdbar = ((b->bdbar & ~(0xffu << 8 * reg)) |
				   (uint32_t)val << 8 * reg) &
			   ~7u;
		break;
	case 5: box_set_lvi(b, val); break;
	case 6: b->sr &= ~(val & SR_CLEAR); break;
	case 11: box_control(b, val); break;
	}
}

static uint8_t nabm_read_byte(struct ac97 *a, unsigned reg)
{
	bool was = a->busy;

	if (reg < 0x10 * NBOXES && (reg & 15) < 12)
		return box_read(&a->box[reg >> 4], reg & 15);
	switch (reg & ~3u) {
	case 0x2c: return a->glob_cnt >> 8 * (reg & 3) & 0xff;
	case 0x30: return ac97_status(a) >> 8 * (reg & 3) & 0xff;
	}
	if (reg != 0x34)
		return 0;
	a->busy = true;
	return was;
}

/* 13.3.9: bit 1 holds the link in reset, bit 2 wakes it and clears itself. */
static void ac97_control(struct ac97 *a, unsigned shift, uint8_t val)
{
	uint32_t all = (a->glob_cnt & ~(0xffu << shift)) | (uint32_t)val
								   << shift;

	if (!(all & GC_COLD) && a->glob_cnt & GC_COLD) {
		for (unsigned i = 0; i < NBOXES; i++)
			box_reset(&a->box[i]);
		ac97_codec_reset(&a->codec);
		ac97_tune(a);
	}
	a->glob_cnt = all & 0x3f & ~(uint32_t)GC_WARM;
}

static void nabm_write_byte(struct ac97 *a, unsigned reg, uint8_t val)
{
	unsigned shift = 8 * (reg & 3);

	if (reg < 0x10 * NBOXES && (reg & 15) < 12)
		box_write(&a->box[reg >> 4], reg & 15, val);
	else if ((reg & ~3u) == 0x2c)
		ac97_control(a, shift, val);
	else if ((reg & ~3u) == 0x30)
		a->glob_sta &= ~((uint32_t)val << shift & GS_CLEAR);
	else if (reg == 0x34 && !(val & 1))
		a->busy = false;
}

static uint32_t nabm_read(void *opaque, uint16_t port, unsigned size)
{
	struct ac97 *a = opaque;
	uint32_t val = 0;

	ac97_advance(a);
	for (unsigned i = 0; i < size; i++)
		val |= (uint32_t)nabm_read_byte(a, (port + i) & 63) << 8 * i;
	return val;
}

static void nabm_write(void *opaque, uint16_t port, unsigned size, uint32_t val)
{
	struct ac97 *a = opaque;

	ac97_advance(a);
	for (unsigned i = 0; i < size; i++)
		nabm_write_byte(a, (port + i) & 63, val >> 8 * i & 0xff);
	ac97_update_irq(a);
	ac97_arm(a);
}

/* ---- the codec's registers ---- */

static uint32_t nam_read(void *opaque, uint16_t port, unsigned size)
{
	struct ac97 *a = opaque;

	a->busy = false;
	if (size != 2 || port >= CODEC_BYTES || !(a->glob_cnt & GC_COLD)) {
		a->glob_sta |= GS_TIMEOUT;
		return 0xffff;
	}
	return ac97_codec_read(&a->codec, port);
}

static void nam_write(void *opaque, uint16_t port, unsigned size, uint32_t val)
{
	struct ac97 *a = opaque;

	a->busy = false;
	if (size != 2 || port >= CODEC_BYTES || !(a->glob_cnt & GC_COLD))
		return;
	ac97_advance(a);
	ac97_codec_write(&a->codec, port, (uint16_t)val);
	ac97_tune(a);
	ac97_arm(a);
}

static const struct bus_io_ops nam_ops = {
	.read = nam_read,
	.write = nam_write,
	.sizes = 1 | 2,
};

static const struct bus_io_ops nabm_ops = {
	.read = nabm_read,
	.write = nabm_write,
	.sizes = 1 | 2 | 4,
};

/* ---- life ---- */

static int ac97_init(struct dev *d, char *err, unsigned errsize)
{
	struct ac97 *a = (struct ac97 *)d;

	pci_func_init(&a->pci, d,
		&(struct pci_ident){.vendor = 0x8086,
			.device = 0x2415,
			.class_code = 0x040100,
			.revision = 1,
			.sub_vendor = 0x8086,
			.sub_id = 0x0000});
	a->pci.irq_pin = 1;
	a->pci.bar[0] = (struct pci_bar){
		.size = NAM_BYTES, .io = true, .ports = &nam_ops, .opaque = a};
	a->pci.bar[1] = (struct pci_bar){.size = NABM_BYTES,
		.io = true,
		.ports = &nabm_ops,
		.opaque = a};
	for (unsigned i = 0; i < NBOXES; i++) {
		a->box[i].card = a;
		sound_pipe_init(&a->box[i].pipe, d->host.bus,
			audio_stream_new(d->host.audio));
	}
	bus_timer_init(&a->timer, d->host.bus, ac97_fire, a);
	if (pci_func_plug(&a->pci, d->host.pci,
		    d->host.pci_slot < 0 ? -1 : d->host.pci_slot << 3)) {
		snprintf(err, errsize, "%s: no PCI slot is free", d->id);
		return -1;
	}
	return 0;
}

static void ac97_reset(struct dev *d)
{
	struct ac97 *a = (struct ac97 *)d;

	pci_func_reset(&a->pci);
	a->glob_cnt = a->glob_sta = 0;
	a->busy = false;
	ac97_codec_reset(&a->codec);
	for (unsigned i = 0; i < NBOXES; i++) {
		box_reset(&a->box[i]);
		a->box[i].cr = 0;
	}
	ac97_tune(a);
	ac97_update_irq(a);
	bus_timer_cancel(&a->timer);
}

static void ac97_fini(struct dev *d)
{
	struct ac97 *a = (struct ac97 *)d;

	bus_timer_cancel(&a->timer);
	for (unsigned i = 0; i < NBOXES; i++)
		audio_stream_free(a->box[i].pipe.s);
	pci_func_unplug(&a->pci);
}

static void ac97_describe(struct dev *d, char *buf, unsigned size)
{
	struct ac97 *a = (struct ac97 *)d;

	snprintf(buf, size, "%llu bytes played, %llu recorded, %u Hz",
		(unsigned long long)a->played, (unsigned long long)a->recorded,
		ac97_codec_dac_rate(&a->codec));
}

/* ---- saved states ---- */

static void ac97_before_save(void *obj)
{
	ac97_advance(obj);
}

static int ac97_loaded(void *obj, unsigned version, char *err, unsigned errsize)
{
	struct ac97 *a = obj;

	for (unsigned i = 0; i < NBOXES; i++)
		box_clock(&a->box[i]);
	ac97_tune(a);
	return 0;
}

static const struct state_field box_fields[] = {
	STATE(struct ac97_box, bdbar),
	STATE(struct ac97_box, civ, .max = 31),
	STATE(struct ac97_box, lvi, .max = 31),
	STATE(struct ac97_box, piv, .max = 31),
	STATE(struct ac97_box, cr, .max = 0x1f),
	STATE(struct ac97_box, sr, .max = 0x1f),
	STATE(struct ac97_box, picb),
	STATE(struct ac97_box, addr),
	STATE(struct ac97_box, ioc),
	STATE_STRUCT(struct ac97_box, pipe, &sound_pipe_state),
};

static const struct state_list box_state =
	STATE_LIST("box", struct ac97_box, 1, box_fields);

static const struct state_field ac97_fields[] = {
	STATE_STRUCT(struct ac97, pci, &pci_func_state),
	STATE_STRUCT(struct ac97, codec, &ac97_codec_state),
	STATE_STRUCTS(struct ac97, box, &box_state),
	STATE(struct ac97, glob_cnt, .max = 0x3f),
	STATE(struct ac97, glob_sta),
	STATE(struct ac97, busy),
	STATE_TIMER(struct ac97, timer),
};

static const struct state_list ac97_state = STATE_LIST("ac97", struct ac97, 1,
	ac97_fields, .before_save = ac97_before_save, .loaded = ac97_loaded);

const struct dev_class ac97_class = {
	.name = "ac97",
	.size = sizeof(struct ac97),
	.init = ac97_init,
	.reset = ac97_reset,
	.fini = ac97_fini,
	.describe = ac97_describe,
	.state = &ac97_state,
};
