/*
 * sb16.c - a Sound Blaster 16: ports, mixer, interrupt, FM and MIDI.
 *
 * Creative, "Sound Blaster Series Hardware Programming Guide" (1994): chapter
 * 1 (ports), 4 (the CT1745 mixer, registers 00 to 47, and 80 to 82, which say
 * where the card stands), 5 (MIDI); MPU-401 Technical Reference Manual for the
 * MIDI port at 0x330, of which the UART mode is there.  MIDI goes nowhere.
 */
#include "dev/sound/sb16.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <glib.h>

#include "dev/misc/irq_lines.h"
#include "dev/sound/sb16_priv.h"

#define FM_PORT	 0x388
#define MPU_PORT 0x330

#define M_RESET	 0x00
#define M_IRQ	 0x80
#define M_DMA	 0x81
#define M_STATUS 0x82
#define M_MPU	 0x84

#define MPU_ACK 0xfe

/* ---- interrupt ---- */

static const struct bus_irq *sb_line(const struct sb16 *s)
{
	uint8_t set = s->mixer[M_IRQ];

	/* An AT's interrupt 2 is its 9. */
	return &s->dev.host.gsi[set & 1 ? 9 : set & 2 ? 5 : set & 4 ? 7 : 10];
}

void sb_set_irq(struct sb16 *s, uint8_t bit, bool on)
{
	s->irq_status = on ? s->irq_status | bit : s->irq_status & ~bit;
	if (s->mixer[M_IRQ] & 15)
		bus_irq_set(sb_line(s), s->irq_status);
}

/* ---- the mixer ---- */

/* Five bits, 2 dB a step below 0; output gain of 6 dB a step. */
void sb_volume(const struct sb16 *s, unsigned reg, unsigned out[2])
{
	for (unsigned i = 0; i < 2; i++) {
		int source = s->mixer[reg + i] >> 3;
		int master = s->mixer[0x30 + i] >> 3;
		int gain = s->mixer[0x41 + i] >> 6;

		out[i] = source && master
				 ? audio_gain(20 * (source + master - 62) +
					      60 * gain)
				 : 0;
	}
}

static void sb_tune(struct sb16 *s)
{
	unsigned v[2];

	sb_dsp_tune(s);
	sb_volume(s, 0x34, v);
	/* A chip's 18 channels together are louder than one. */
	audio_stream_volume(s->opl_stream, v[0], v[1]);
}

static void mixer_reset(struct sb16 *s)
{
	static const struct {
		uint8_t reg, val;
	} start[] = {{0x30, 0xc0}, {0x31, 0xc0}, {0x32, 0xc0}, {0x33, 0xc0},
		{0x34, 0xc0}, {0x35, 0xc0}, {0x3c, 0x1f}, {0x3d, 0x15},
		{0x3e, 0x0b}, {0x44, 0x80}, {0x45, 0x80}, {0x46, 0x80},
		{0x47, 0x80}};

	memset(s->mixer, 0, M_IRQ);
	for (unsigned i = 0; i < G_N_ELEMENTS(start); i++)
		s->mixer[start[i].reg] = start[i].val;
	sb_tune(s);
}

/* The Sound Blaster Pro's registers are two of these, four bits each. */
static unsigned mixer_pair(unsigned reg)
{
	switch (reg) {
	case 0x04: return 0x32;
	case 0x22: return 0x30;
	case 0x26: return 0x34;
	case 0x28: return 0x36;
	case 0x2e: return 0x38;
	}
	return 0;
}

static void mixer_write(struct sb16 *s, uint8_t val)
{
	unsigned reg = s->mixer_index, pair = mixer_pair(reg);

	if (reg == M_RESET) {
		mixer_reset(s);
	} else if (pair) {
		s->mixer[pair] = (val & 0xf0) | 8;
		s->mixer[pair + 1] = (uint8_t)(val << 4 | 8);
	} else if (reg == 0x0a) {
		s->mixer[0x3a] = (uint8_t)((val & 7) << 5);
	} else if (reg == M_IRQ) {
		bus_irq_set(sb_line(s), false);
		s->mixer[reg] = val & 0x0f;
		sb_set_irq(s, 0, true);
	} else if (reg == M_DMA) {
		s->mixer[reg] = val & 0xeb;
	} else if (reg >= 0x30 && reg <= 0x3a) {
		s->mixer[reg] = val & 0xf8;
	} else if (reg == 0x3b || (reg >= 0x3f && reg <= 0x42)) {
		s->mixer[reg] = val & 0xc0;
	} else if (reg >= 0x3c && reg <= 0x3e) {
		s->mixer[reg] = val & (reg == 0x3c ? 0x1f : 0x7f);
	} else if (reg >= 0x44 && reg <= 0x47) {
		s->mixer[reg] = val & 0xf0;
	} else if (reg == 0x0e || reg == 0x43 || reg == M_MPU) {
		s->mixer[reg] = val & (reg == 0x0e ? 0x22 : 0x07);
	}
	sb_tune(s);
}

static uint8_t mixer_read(const struct sb16 *s)
{
	unsigned reg = s->mixer_index, pair = mixer_pair(reg);

	if (pair)
		return (s->mixer[pair] & 0xf0) | s->mixer[pair + 1] >> 4;
	if (reg == 0x0a)
		return s->mixer[0x3a] >> 5;
	if (reg == M_STATUS)
		return s->irq_status;
	return s->mixer[reg];
}

/* ---- FM ---- */

/* Samples up to now; nobody hears, none are made. */
static void fm_advance(struct sb16 *s, uint64_t now)
{
	int16_t frames[512];
	uint64_t due;

	if (!audio_stream_running(s->opl_stream))
		return;
	due = audio_frames_of_ns(now - s->opl_ns, OPL3_HZ) - s->opl_made;
	s->opl_made += due;
	due = MIN(due, OPL3_HZ);
	while (due) {
		unsigned n = (unsigned)MIN(due, G_N_ELEMENTS(frames) / 2);

		opl3_make(&s->opl, frames, n);
		audio_stream_push(s->opl_stream, frames, n);
		due -= n;
	}
	if (!opl3_sounds(&s->opl))
		audio_stream_stop(s->opl_stream);
}

static void fm_wake(struct sb16 *s, uint64_t now)
{
	if (!opl3_sounds(&s->opl) || audio_stream_running(s->opl_stream))
		return;
	s->opl_ns = now;
	s->opl_made = 0;
	audio_stream_start(s->opl_stream, now);
}

static void fm_write(struct sb16 *s, unsigned port, uint8_t val)
{
	uint64_t now = bus_clock_ns(s->dev.host.bus);

	fm_advance(s, now);
	opl3_write(&s->opl, port, val, now);
	fm_wake(s, now);
	sb_arm(s);
}

/* ---- time ---- */

static void sb_advance(void *opaque)
{
	struct sb16 *s = opaque;
	uint64_t now = bus_clock_ns(s->dev.host.bus);

	sb_dsp_advance(s, now);
	fm_advance(s, now);
}

void sb_arm(struct sb16 *s)
{
	uint64_t now = bus_clock_ns(s->dev.host.bus), at = sb_dsp_due(s, now);

	if (audio_stream_running(s->opl_stream))
		at = MIN(at, now + SOUND_CHUNK_NS);
	if (at == UINT64_MAX)
		bus_timer_cancel(&s->timer);
	else
		bus_timer_arm(&s->timer, at);
}

static void sb_fire(void *opaque)
{
	sb_advance(opaque);
	sb_arm(opaque);
}

/* ---- MIDI port ---- */

static void mpu_answer(struct sb16 *s, uint8_t val)
{
	if (s->mpu_nin < sizeof(s->mpu_in))
		s->mpu_in[s->mpu_nin++] = val;
	sb_set_irq(s, SB_IRQ_MPU, true);
}

static uint32_t mpu_read(void *opaque, uint16_t port, unsigned size)
{
	struct sb16 *s = opaque;
	uint8_t val = s->mpu_in[0];

	/* Bit 7: nothing to be read; bit 6: it takes no more; the rest is
	 * not driven. */
	if (port & 1)
		return s->mpu_nin ? 0x3f : 0xbf;
	if (s->mpu_nin) {
		s->mpu_nin--;
		memmove(s->mpu_in, s->mpu_in + 1, sizeof(s->mpu_in) - 1);
	}
	if (!s->mpu_nin)
		sb_set_irq(s, SB_IRQ_MPU, false);
	return val;
}

static void mpu_write(void *opaque, uint16_t port, unsigned size, uint32_t val)
{
	struct sb16 *s = opaque;

	if (!(port & 1)) {
		s->midi++;
		return;
	}
	/* In UART mode the one command is the way out of it; it is not
	 * acknowledged. */
	if (s->mpu_uart) {
		s->mpu_uart = val != 0xff;
		return;
	}
	s->mpu_nin = 0;
	s->mpu_uart = val == 0x3f;
	mpu_answer(s, MPU_ACK);
}

/* ---- ports ---- */

static uint32_t sb_read(void *opaque, uint16_t port, unsigned size)
{
	struct sb16 *s = opaque;

	sb_advance(s);
	switch (port & 15) {
	case 0:
	case 8: return opl3_read(&s->opl, 0, bus_clock_ns(s->dev.host.bus));
	case 4: return s->mixer_index;
	case 5: return mixer_read(s);
	case 10: return sb_dsp_read(s);
	case 12: return 0x7f; /* bit 7: busy */
	case 14: sb_set_irq(s, SB_IRQ_8, false); return s->nout ? 0xff : 0x7f;
	case 15: sb_set_irq(s, SB_IRQ_16, false); return 0xff;
	}
	return 0xff;
}

/* 2.2: one, then zero; some 100 us later it says AA. */
static void sb_write_reset(struct sb16 *s, uint8_t val)
{
	if (val & 1) {
		s->in_reset = true;
	} else if (s->in_reset) {
		s->in_reset = false;
		sb_dsp_reset(s);
		s->out[s->nout++] = 0xaa;
	}
}

static void sb_write(void *opaque, uint16_t port, unsigned size, uint32_t val)
{
	struct sb16 *s = opaque;

	sb_advance(s);
	switch (port & 15) {
	case 0:
	case 1:
	case 2:
	case 3: fm_write(s, port & 3, (uint8_t)val); break;
	case 8:
	case 9: fm_write(s, port & 1, (uint8_t)val); break;
	case 4: s->mixer_index = (uint8_t)val; break;
	case 5: mixer_write(s, (uint8_t)val); break;
	case 6: sb_write_reset(s, (uint8_t)val); break;
	case 12:
		sb_dsp_write(s, (uint8_t)val);
		sb_arm(s);
		break;
	}
}

static uint32_t fm_port_read(void *opaque, uint16_t port, unsigned size)
{
	struct sb16 *s = opaque;

	return opl3_read(&s->opl, port & 3, bus_clock_ns(s->dev.host.bus));
}

static void fm_port_write(
	void *opaque, uint16_t port, unsigned size, uint32_t val)
{
	fm_write(opaque, port & 3, (uint8_t)val);
}

static const struct bus_io_ops sb_ops = {.read = sb_read, .write = sb_write};
static const struct bus_io_ops fm_ops = {
	.read = fm_port_read, .write = fm_port_write};
static const struct bus_io_ops mpu_ops = {.read = mpu_read, .write = mpu_write};

/* ---- life ---- */

static int sb16_init(struct dev *d, char *err, unsigned errsize)
{
	static const struct audio_format f = {
		.sample = AUDIO_S16, .channels = 2, .rate = OPL3_HZ};
	struct sb16 *s = (struct sb16 *)d;

	if (!d->host.dma) {
		snprintf(err, errsize, "%s: there is no DMA controller", d->id);
		return -EINVAL;
	}
	if (!d->host.isa_port) {
		d->host.isa_port = 0x220;
		d->host.isa_irq = d->host.isa_dma16 = 5;
		d->host.isa_dma = 1;
	}
	sb_dsp_init(s);
	opl3_init(&s->opl);
	s->opl_stream = audio_stream_new(d->host.audio);
	audio_stream_format(s->opl_stream, &f);
	bus_timer_init(&s->timer, d->host.bus, sb_fire, s);
	s->watch = (struct i8237_watch){.look = sb_advance, .opaque = s};
	i8237_watch(d->host.dma, &s->watch);
	bus_io_claim(d->host.bus, d->host.isa_port, 16, &sb_ops, s);
	bus_io_claim(d->host.bus, FM_PORT, 4, &fm_ops, s);
	bus_io_claim(d->host.bus, MPU_PORT, 2, &mpu_ops, s);
	return 0;
}

static void sb16_reset(struct dev *d)
{
	struct sb16 *s = (struct sb16 *)d;
	uint8_t irq = d->host.isa_irq;

	s->mixer[M_IRQ] = irq == 2 || irq == 9 ? 1
			  : irq == 5	       ? 2
			  : irq == 7	       ? 4
					       : 8;
	s->mixer[M_DMA] =
		(uint8_t)(1u << d->host.isa_dma | 1u << d->host.isa_dma16);
	s->mixer[M_MPU] = 0;
	s->mixer_index = 0;
	s->mpu_nin = 0;
	s->mpu_uart = s->in_reset = false;
	s->last_out = s->test = s->direct = 0;
	audio_stream_stop(s->opl_stream);
	opl3_reset(&s->opl);
	sb_dsp_reset(s);
	mixer_reset(s);
	sb_set_irq(s, 0xff, false);
	bus_timer_cancel(&s->timer);
}

static void sb16_fini(struct dev *d)
{
	struct sb16 *s = (struct sb16 *)d;
	struct bus *b = d->host.bus;

	bus_timer_cancel(&s->timer);
	i8237_unwatch(d->host.dma, &s->watch);
	sb_dsp_fini(s);
	audio_stream_free(s->opl_stream);
	bus_io_release(b, d->host.isa_port, 16, s);
	bus_io_release(b, FM_PORT, 4, s);
	bus_io_release(b, MPU_PORT, 2, s);
}

static void sb16_describe(struct dev *d, char *buf, unsigned size)
{
	struct sb16 *s = (struct sb16 *)d;

	snprintf(buf, size, "%llu bytes played, %llu FM samples, %llu of MIDI",
		(unsigned long long)s->played, (unsigned long long)s->opl.clock,
		(unsigned long long)s->midi);
}

/* ---- saved states ---- */

static void sb16_before_save(void *obj)
{
	sb_advance(obj);
}

static int sb16_loaded(void *obj, unsigned version, char *err, unsigned errsize)
{
	struct sb16 *s = obj;

	sb_dsp_resume(s);
	fm_wake(s, bus_clock_ns(s->dev.host.bus));
	sb_tune(s);
	if (s->mixer[M_IRQ] & 15)
		irq_lines_note(sb_line(s), s->irq_status);
	return 0;
}

static const struct state_field sb16_fields[] = {
	STATE_STRUCTS(struct sb16, engine, &sb_engine_state),
	STATE(struct sb16, command),
	STATE(struct sb16, nargs, .max = SB_MAX_ARGS),
	STATE(struct sb16, need, .max = SB_MAX_ARGS),
	STATE(struct sb16, busy_with),
	STATE_BYTES(struct sb16, arg),
	STATE_BYTES(struct sb16, out),
	STATE(struct sb16, nout, .max = SB_OUT_BYTES),
	STATE(struct sb16, last_out),
	STATE(struct sb16, in_reset),
	STATE(struct sb16, speaker),
	STATE(struct sb16, midi_uart),
	STATE(struct sb16, test),
	STATE(struct sb16, e2_sum),
	STATE(struct sb16, e2_count),
	STATE(struct sb16, constant),
	STATE(struct sb16, rate_set),
	STATE(struct sb16, rate),
	STATE(struct sb16, block, .max = 0xffff),
	STATE(struct sb16, direct),
	STATE(struct sb16, direct_on),
	STATE(struct sb16, mixer_index),
	STATE_BYTES(struct sb16, mixer),
	STATE(struct sb16, irq_status),
	STATE(struct sb16, mpu_uart),
	STATE_BYTES(struct sb16, mpu_in),
	STATE(struct sb16, mpu_nin, .max = 4),
	STATE_STRUCT(struct sb16, opl, &opl3_state),
	STATE_TIMER(struct sb16, timer),
};

static const struct state_list sb16_state = STATE_LIST("sb16", struct sb16, 1,
	sb16_fields, .before_save = sb16_before_save, .loaded = sb16_loaded);

const struct dev_class sb16_class = {
	.name = "sb16",
	.size = sizeof(struct sb16),
	.init = sb16_init,
	.reset = sb16_reset,
	.fini = sb16_fini,
	.describe = sb16_describe,
	.state = &sb16_state,
};
