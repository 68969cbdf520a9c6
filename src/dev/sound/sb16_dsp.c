/*
 * sb16_dsp.c - the Sound Blaster 16's digital sound processor, version 4.05.
 *
 * Creative, "Sound Blaster Series Hardware Programming Guide" (1994): chapter
 * 2 (reset, reading and writing), 3 (digitized sound: single-cycle and
 * auto-initialize DMA, ADPCM, direct), 6 (commands).
 *
 * A transfer runs at its rate by the machine's clock, as long as the DMA
 * controller lets it: a masked channel makes the card wait.
 */
#include <string.h>

#include <glib.h>

#include "dev/misc/i8237.h"
#include "dev/sound/sb16_priv.h"

#define VERSION	   0x0405
#define CHUNK	   4096u
#define DIRECT_HZ  48000u
#define SOONEST_NS 20000u
#define WAIT_NS	   2000000u
#define QUIET_NS   50000000u /* without a direct sample: it has ended */

enum { ENGINE_8, ENGINE_16 };

static bool is_wide(const struct sb_engine *e)
{
	return e == &e->card->engine[ENGINE_16];
}

static unsigned engine_units(const struct sb_engine *e)
{
	return e->stereo ? 2 : 1;
}

/* Samples that a byte of ADPCM holds. */
static unsigned engine_samples(const struct sb_engine *e)
{
	static const uint8_t samples[5] = {1, 1, 4, 3, 2};

	return samples[e->adpcm];
}

/* The mixer's register 0x81 says where; 16 bits may go by an 8-bit channel. */
static int engine_channel(const struct sb_engine *e)
{
	uint8_t set = e->card->mixer[0x81];

	if (is_wide(e) && set & 0xe0)
		return set & 0x20 ? 5 : set & 0x40 ? 6 : 7;
	return set & 1 ? 0 : set & 2 ? 1 : set & 8 ? 3 : -1;
}

/* ---- output of the DSP ---- */

static void dsp_answer(struct sb16 *s, uint8_t val)
{
	if (s->nout < SB_OUT_BYTES)
		s->out[s->nout++] = val;
}

uint8_t sb_dsp_read(struct sb16 *s)
{
	if (s->nout) {
		s->last_out = s->out[0];
		s->nout--;
		memmove(s->out, s->out + 1, s->nout);
	}
	return s->last_out;
}

/* ---- transfers ---- */

static void engine_format(const struct sb_engine *e, struct audio_format *f)
{
	*f = (struct audio_format){
		.channels = engine_units(e), .rate = e->rate};
	if (is_wide(e))
		f->sample = e->is_signed ? AUDIO_S16 : AUDIO_U16;
	else
		f->sample = e->is_signed ? AUDIO_S8 : AUDIO_U8;
	if (e->adpcm)
		f->sample = AUDIO_S16;
}

static void engine_clock(struct sb_engine *e)
{
	struct audio_format f;

	engine_format(e, &f);
	sound_pipe_format(&e->pipe, &f);
	e->start_ns = bus_clock_ns(e->card->dev.host.bus);
	e->units = 0;
	if (e->active && !e->paused && !e->input)
		audio_stream_start(e->pipe.s, e->start_ns);
}

static void engine_stop(struct sb_engine *e)
{
	e->active = false;
	audio_stream_stop(e->pipe.s);
}

/* One sample of n bits: the step grows with loud ones and shrinks with zeros,
 * two bits begin further up. */
static int16_t adpcm_sample(struct sb_engine *e, unsigned code, unsigned n)
{
	unsigned size = code & ((1u << (n - 1)) - 1);
	unsigned shift = 7 + e->step + (e->adpcm == 2 ? 2 : 0);
	int delta = (int)(size << shift), v = e->predictor;

	v += code >> (n - 1) & 1 ? -delta : delta;
	e->predictor = (int16_t)CLAMP(v, -32768, 32767);
	if (size >= 2 * n - 3 && e->step < 3)
		e->step++;
	else if (!size && e->step)
		e->step--;
	return e->predictor;
}

/* Up to four samples of one byte. */
static unsigned adpcm_byte(struct sb_engine *e, uint8_t b, int16_t out[4])
{
	switch (e->adpcm) {
	case 4:
		out[0] = adpcm_sample(e, b >> 4, 4);
		out[1] = adpcm_sample(e, b & 15, 4);
		return 2;
	case 3: /* "2.6 bits": three, three, two */
		out[0] = adpcm_sample(e, b >> 5, 3);
		out[1] = adpcm_sample(e, b >> 2 & 7, 3);
		out[2] = adpcm_sample(e, b & 3, 2);
		return 3;
	}
	for (unsigned i = 0; i < 4; i++)
		out[i] = adpcm_sample(e, b >> (6 - 2 * i) & 3, 2);
	return 4;
}

static void engine_hear(struct sb_engine *e, const uint8_t *buf, unsigned n)
{
	int16_t out[4];

	e->card->played += n;
	if (!e->adpcm) {
		sound_pipe_feed(&e->pipe, buf, n);
		return;
	}
	for (; n; n--, buf++) {
		unsigned k;

		if (e->reference) {
			e->reference = false;
			e->predictor = (int16_t)((*buf - 128) * 256);
			e->step = 0;
			continue;
		}
		k = adpcm_byte(e, *buf, out);
		sound_pipe_feed(&e->pipe, (const uint8_t *)out, k * 2);
	}
}

static bool engine_may_move(const struct sb_engine *e)
{
	int channel = engine_channel(e);

	return channel >= 0 &&
	       i8237_ready(e->card->dev.host.dma, (unsigned)channel);
}

/* Up to n bytes through the DMA channel; how many went. */
static unsigned engine_move(struct sb_engine *e, unsigned n)
{
	struct dev *dma = e->card->dev.host.dma;
	int channel = engine_channel(e);
	uint8_t buf[CHUNK] = {0};
	unsigned done;
	bool tc;

	n = MIN(n, CHUNK);
	if (e->silence) {
		memset(buf, e->is_signed ? 0 : 0x80, n);
		engine_hear(e, buf, n);
		return n;
	}
	if (!engine_may_move(e))
		return 0;
	if (!e->input) {
		done = i8237_transfer(dma, (unsigned)channel, buf, n, &tc);
		engine_hear(e, buf, done);
		return done;
	}
	sound_pipe_take(&e->pipe, buf, n);
	return i8237_transfer(dma, (unsigned)channel, buf, n, &tc);
}

static void engine_block_over(struct sb_engine *e)
{
	struct sb16 *s = e->card;

	sb_set_irq(s, is_wide(e) ? SB_IRQ_16 : SB_IRQ_8, true);
	if (e->automatic && !e->last)
		e->left = e->block;
	else
		engine_stop(e);
}

static void engine_advance(struct sb_engine *e, uint64_t now)
{
	unsigned wide = is_wide(e);
	uint64_t due;

	if (!e->active || e->paused || now <= e->start_ns)
		return;
	due = audio_frames_of_ns(now - e->start_ns, e->rate) * engine_units(e) /
	      engine_samples(e);
	due = due > e->units ? due - e->units : 0;
	/* After a long stop of the host nobody misses more. */
	due = MIN(due, e->rate * 2ull);
	while (due && e->active) {
		uint32_t n = (uint32_t)MIN(due, e->left);
		unsigned done = engine_move(e, n << wide) >> wide;

		if (!done) {
			engine_clock(e); /* it waits for the DMA controller */
			return;
		}
		e->left -= done;
		e->units += done;
		due -= done;
		if (!e->left)
			engine_block_over(e);
	}
}

static void engine_start(struct sb_engine *e, uint32_t block)
{
	e->block = e->left = block;
	e->active = true;
	e->paused = e->last = false;
	engine_clock(e);
	sb_dsp_tune(e->card);
	sb_arm(e->card);
}

static void engine_pause(struct sb_engine *e, bool pause)
{
	if (!e->active || e->paused == pause)
		return;
	e->paused = pause;
	if (pause)
		audio_stream_stop(e->pipe.s);
	else
		engine_clock(e);
}

static uint64_t engine_due(const struct sb_engine *e, uint64_t now)
{
	uint64_t units = (e->units + e->left) * engine_samples(e);
	unsigned per = engine_units(e);
	uint64_t end = e->start_ns +
		       audio_ns_of_frames((units + per - 1) / per, e->rate);

	if (audio_stream_heard(e->pipe.s))
		end = MIN(end, now + SOUND_CHUNK_NS);
	/* Nobody says when a channel is unmasked. */
	if (!e->silence && !engine_may_move(e))
		end = now + WAIT_NS;
	return MAX(end, now + SOONEST_NS);
}

/* ---- direct output ---- */

static void direct_advance(struct sb16 *s, uint64_t now)
{
	uint8_t buf[256];
	uint64_t due;

	if (!s->direct_on || now <= s->direct_ns)
		return;
	due = audio_frames_of_ns(now, DIRECT_HZ) -
	      audio_frames_of_ns(s->direct_ns, DIRECT_HZ);
	due = MIN(due, DIRECT_HZ);
	memset(buf, s->direct, sizeof(buf));
	for (; due; due -= MIN(due, sizeof(buf)))
		audio_stream_push(
			s->direct_stream, buf, (unsigned)MIN(due, sizeof(buf)));
	if (now > s->direct_put_ns + QUIET_NS) {
		s->direct_on = false;
		audio_stream_stop(s->direct_stream);
	}
	s->direct_ns = now;
}

static void direct_put(struct sb16 *s, uint8_t val)
{
	uint64_t now = bus_clock_ns(s->dev.host.bus);

	direct_advance(s, now);
	s->direct = val;
	s->direct_ns = s->direct_put_ns = now;
	if (!s->direct_on)
		audio_stream_start(s->direct_stream, now);
	s->direct_on = true;
	sb_arm(s);
}

/* ---- commands ---- */

/* 3.9: by time constant: 256 minus microseconds a sample. */
static unsigned dsp_rate(const struct sb16 *s, bool stereo)
{
	unsigned rate = s->rate;

	if (!s->rate_set)
		rate = 1000000 / (256u - s->constant) / (stereo ? 2 : 1);
	return CLAMP(rate, AUDIO_MIN_RATE, 48000u);
}

/* The old commands, for 8 bits without sign. */
static void dsp_start_old(
	struct sb16 *s, bool automatic, bool input, unsigned adpcm)
{
	struct sb_engine *e = &s->engine[ENGINE_8];
	uint32_t length =
		automatic ? s->block : s->arg[0] | (uint32_t)s->arg[1] << 8;

	engine_stop(e);
	e->adpcm = (uint8_t)adpcm;
	e->input = input;
	e->automatic = automatic;
	/* The Sound Blaster Pro's switch for two channels is in its mixer. */
	e->stereo = !adpcm && s->mixer[0x0e] & 2;
	e->is_signed = e->silence = e->reference = false;
	e->rate = dsp_rate(s, e->stereo);
	if (adpcm && !automatic)
		e->step = 0;
	engine_start(e, length + 1);
}

/* B0 to CF: direction, automatic; then mode and length. */
static void dsp_start_new(struct sb16 *s, uint8_t command)
{
	struct sb_engine *e =
		&s->engine[command >> 4 == 0xb ? ENGINE_16 : ENGINE_8];

	engine_stop(e);
	e->adpcm = 0;
	e->silence = e->reference = false;
	e->input = command & 8;
	e->automatic = command & 4;
	e->stereo = s->arg[0] & 0x20;
	e->is_signed = s->arg[0] & 0x10;
	/* A time constant counts samples, a rate frames. */
	e->rate = dsp_rate(s, e->stereo);
	engine_start(e, (s->arg[1] | (uint32_t)s->arg[2] << 8) + 1);
}

static void dsp_start_adpcm(struct sb16 *s, uint8_t command)
{
	unsigned bits = (command & 0xf0) == 0x10 ? 2 : command & 2 ? 3 : 4;
	bool automatic = (command & 0x0f) >= 0x0d;
	bool reference = command & 1;

	dsp_start_old(s, automatic, false, bits);
	s->engine[ENGINE_8].reference = reference;
}

static void dsp_silence(struct sb16 *s)
{
	struct sb_engine *e = &s->engine[ENGINE_8];

	engine_stop(e);
	e->adpcm = 0;
	e->silence = true;
	e->input = e->automatic = e->stereo = e->is_signed = e->reference =
		false;
	e->rate = dsp_rate(s, false);
	engine_start(e, (s->arg[0] | (uint32_t)s->arg[1] << 8) + 1);
}

/* E2: a sum of sums, put out by DMA; programs ask so for a genuine card. */
static void dsp_identify_dma(struct sb16 *s)
{
	static const int16_t add[4][9] = {
		{0x01, -0x02, -0x04, 0x08, -0x10, 0x20, 0x40, -0x80, -106},
		{-0x01, 0x02, -0x04, 0x08, 0x10, -0x20, 0x40, -0x80, 165},
		{-0x01, 0x02, 0x04, -0x08, 0x10, -0x20, -0x40, 0x80, -151},
		{0x01, -0x02, 0x04, -0x08, -0x10, 0x20, -0x40, 0x80, 90}};
	int channel = engine_channel(&s->engine[ENGINE_8]);
	bool tc;

	for (unsigned i = 0; i < 8; i++)
		if (s->arg[0] >> i & 1)
			s->e2_sum += (uint8_t)add[s->e2_count & 3][i];
	s->e2_sum += (uint8_t)add[s->e2_count & 3][8];
	s->e2_count++;
	if (channel >= 0)
		i8237_transfer(
			s->dev.host.dma, (unsigned)channel, &s->e2_sum, 1, &tc);
}

static void dsp_identify(struct sb16 *s, uint8_t command)
{
	static const char name[] =
		"COPYRIGHT (C) CREATIVE TECHNOLOGY LTD, 1992.";

	switch (command) {
	case 0xe0: dsp_answer(s, ~s->arg[0]); break;
	case 0xe1:
		dsp_answer(s, VERSION >> 8);
		dsp_answer(s, VERSION & 0xff);
		break;
	case 0xe2: dsp_identify_dma(s); break;
	case 0xe3:
		for (unsigned i = 0; i < sizeof(name); i++)
			dsp_answer(s, (uint8_t)name[i]);
		break;
	case 0xe4: s->test = s->arg[0]; break;
	case 0xe8: dsp_answer(s, s->test); break;
	}
}

static void dsp_set_rate(struct sb16 *s, uint8_t command)
{
	if (command == 0x40) {
		s->constant = s->arg[0];
		s->rate_set = false;
		return;
	}
	s->rate_set = true;
	/* DSP 4 has one rate for both; 42 is there for symmetry. */
	s->rate = (uint16_t)(s->arg[0] << 8 | s->arg[1]);
}

/* D0 to DA: pause, go on, end at the block's end; the speaker. */
static void dsp_control(struct sb16 *s, uint8_t command)
{
	struct sb_engine *e8 = &s->engine[ENGINE_8];
	struct sb_engine *e16 = &s->engine[ENGINE_16];

	switch (command) {
	case 0x45:
	case 0xd4: engine_pause(e8, false); break;
	case 0x47:
	case 0xd6: engine_pause(e16, false); break;
	case 0xd0: engine_pause(e8, true); break;
	case 0xd5: engine_pause(e16, true); break;
	case 0xd1: s->speaker = true; break;
	case 0xd3: s->speaker = false; break;
	case 0xd8: dsp_answer(s, s->speaker ? 0xff : 0); break;
	case 0xd9: e16->last = true; break;
	case 0xda: e8->last = true; break;
	}
	sb_arm(s);
}

/* 8-bit transfers by the commands of older cards. */
static bool dsp_transfer(struct sb16 *s, uint8_t command)
{
	switch (command) {
	case 0x14:
	case 0x15: dsp_start_old(s, false, false, 0); return true;
	case 0x91:
		s->arg[0] = s->block & 0xff, s->arg[1] = s->block >> 8 & 0xff;
		dsp_start_old(s, false, false, 0);
		return true;
	case 0x1c:
	case 0x90: dsp_start_old(s, true, false, 0); return true;
	case 0x24: dsp_start_old(s, false, true, 0); return true;
	case 0x99:
		s->arg[0] = s->block & 0xff, s->arg[1] = s->block >> 8 & 0xff;
		dsp_start_old(s, false, true, 0);
		return true;
	case 0x2c:
	case 0x98: dsp_start_old(s, true, true, 0); return true;
	case 0x16:
	case 0x17:
	case 0x1f:
	case 0x74:
	case 0x75:
	case 0x76:
	case 0x77:
	case 0x7d:
	case 0x7f: dsp_start_adpcm(s, command); return true;
	case 0x80: dsp_silence(s); return true;
	}
	return false;
}

static void dsp_carry_out(struct sb16 *s, uint8_t command)
{
	if (command >> 4 == 0xb || command >> 4 == 0xc) {
		dsp_start_new(s, command);
		return;
	}
	if (command >> 4 == 0xe) {
		dsp_identify(s, command);
		return;
	}
	if (command >> 4 == 0xd || command == 0x45 || command == 0x47) {
		dsp_control(s, command);
		return;
	}
	if (dsp_transfer(s, command))
		return;
	switch (command) {
	case 0x0f: dsp_answer(s, 0); break; /* there is no ASP */
	case 0x10: direct_put(s, s->arg[0]); break;
	case 0x20: dsp_answer(s, 0x80); break;
	case 0x34:
	case 0x35:
	case 0x36:
	case 0x37: s->midi_uart = true; break;
	case 0x38: s->midi++; break;
	case 0x40:
	case 0x41:
	case 0x42: dsp_set_rate(s, command); break;
	case 0x48: s->block = s->arg[0] | (uint32_t)s->arg[1] << 8; break;
	case 0xa0: s->mixer[0x0e] &= ~2; break;
	case 0xa8: s->mixer[0x0e] |= 2; break;
	case 0xf2: sb_set_irq(s, SB_IRQ_8, true); break;
	case 0xf3: sb_set_irq(s, SB_IRQ_16, true); break;
	case 0xf8: dsp_answer(s, 0); break;
	case 0xfb: /* which transfers run */
		dsp_answer(s, s->engine[0].active | s->engine[1].active << 2);
		break;
	case 0xfc: dsp_answer(s, 0); break;
	}
}

static unsigned dsp_args(uint8_t command)
{
	static const struct {
		uint8_t command, args;
	} some[] = {{0x04, 1}, {0x05, 2}, {0x0e, 2}, {0x0f, 1}, {0x10, 1},
		{0x14, 2}, {0x15, 2}, {0x16, 2}, {0x17, 2}, {0x24, 2},
		{0x38, 1}, {0x40, 1}, {0x41, 2}, {0x42, 2}, {0x48, 2},
		{0x74, 2}, {0x75, 2}, {0x76, 2}, {0x77, 2}, {0x80, 2},
		{0xe0, 1}, {0xe2, 1}, {0xe4, 1}, {0xf9, 1}};

	if (command >> 4 == 0xb || command >> 4 == 0xc)
		return 3;
	for (unsigned i = 0; i < G_N_ELEMENTS(some); i++)
		if (some[i].command == command)
			return some[i].args;
	return 0;
}

void sb_dsp_write(struct sb16 *s, uint8_t val)
{
	if (s->midi_uart) {
		s->midi++; /* until a reset all is MIDI */
		return;
	}
	if (!s->busy_with) {
		s->command = val;
		s->nargs = 0;
		s->need = (uint8_t)dsp_args(val);
	} else if (s->nargs < SB_MAX_ARGS) {
		s->arg[s->nargs++] = val;
	}
	s->busy_with = s->nargs < s->need;
	if (!s->busy_with)
		dsp_carry_out(s, s->command);
}

/* ---- the whole ---- */

void sb_dsp_advance(struct sb16 *s, uint64_t now)
{
	for (unsigned i = 0; i < 2; i++)
		engine_advance(&s->engine[i], now);
	direct_advance(s, now);
}

uint64_t sb_dsp_due(const struct sb16 *s, uint64_t now)
{
	uint64_t at = UINT64_MAX;

	for (unsigned i = 0; i < 2; i++)
		if (s->engine[i].active && !s->engine[i].paused)
			at = MIN(at, engine_due(&s->engine[i], now));
	if (s->direct_on)
		at = MIN(at, now + SOUND_CHUNK_NS);
	return at;
}

void sb_dsp_tune(struct sb16 *s)
{
	unsigned v[2];

	sb_volume(s, 0x32, v);
	for (unsigned i = 0; i < 2; i++)
		if (s->engine[i].input)
			audio_stream_volume(
				s->engine[i].pipe.s, AUDIO_UNITY, AUDIO_UNITY);
		else
			audio_stream_volume(s->engine[i].pipe.s, v[0], v[1]);
	audio_stream_volume(s->direct_stream, v[0], v[1]);
}

void sb_dsp_resume(struct sb16 *s)
{
	uint64_t now = bus_clock_ns(s->dev.host.bus);

	for (unsigned i = 0; i < 2; i++) {
		struct sb_engine *e = &s->engine[i];

		if (e->active && !e->left)
			e->left = 1;
		engine_clock(e);
	}
	s->direct_ns = s->direct_put_ns = now;
	if (s->direct_on)
		audio_stream_start(s->direct_stream, now);
	sb_dsp_tune(s);
}

/* 2.2: also what ends high-speed transfers. */
void sb_dsp_reset(struct sb16 *s)
{
	for (unsigned i = 0; i < 2; i++) {
		struct sb_engine *e = &s->engine[i];

		engine_stop(e);
		e->paused = e->input = e->automatic = e->stereo = false;
		e->is_signed = e->silence = e->last = e->reference = false;
		e->adpcm = e->step = 0;
		e->predictor = 0;
		e->block = e->left = 1;
		e->rate = 11025;
		e->pipe.npart = 0;
		engine_clock(e);
	}
	audio_stream_stop(s->direct_stream);
	s->direct_on = s->busy_with = s->midi_uart = s->speaker = false;
	s->nout = s->nargs = s->need = 0;
	s->rate_set = false;
	s->rate = 11025;
	s->constant = 0xa5; /* 11 kHz */
	s->block = 0x7ff;
	s->e2_sum = 0xaa;
	s->e2_count = 0;
	sb_set_irq(s, SB_IRQ_8 | SB_IRQ_16, false);
}

void sb_dsp_init(struct sb16 *s)
{
	const struct audio_format f = {
		.sample = AUDIO_U8, .channels = 1, .rate = DIRECT_HZ};

	for (unsigned i = 0; i < 2; i++) {
		s->engine[i].card = s;
		sound_pipe_init(&s->engine[i].pipe, s->dev.host.bus,
			audio_stream_new(s->dev.host.audio));
	}
	s->direct_stream = audio_stream_new(s->dev.host.audio);
	audio_stream_format(s->direct_stream, &f);
}

void sb_dsp_fini(struct sb16 *s)
{
	for (unsigned i = 0; i < 2; i++)
		audio_stream_free(s->engine[i].pipe.s);
	audio_stream_free(s->direct_stream);
}

/* ---- saved states ---- */

static const struct state_field engine_fields[] = {
	STATE(struct sb_engine, active),
	STATE(struct sb_engine, paused),
	STATE(struct sb_engine, input),
	STATE(struct sb_engine, automatic),
	STATE(struct sb_engine, stereo),
	STATE(struct sb_engine, is_signed),
	STATE(struct sb_engine, silence),
	STATE(struct sb_engine, last),
	STATE(struct sb_engine, adpcm, .max = 4),
	STATE(struct sb_engine, reference),
	STATE(struct sb_engine, step, .max = 3),
	STATE(struct sb_engine, predictor),
	STATE(struct sb_engine, block, .min = 1, .max = 0x10000),
	STATE(struct sb_engine, left, .min = 0, .max = 0x10000),
	STATE(struct sb_engine, rate, .min = AUDIO_MIN_RATE, .max = 48000),
	STATE_STRUCT(struct sb_engine, pipe, &sound_pipe_state),
};

const struct state_list sb_engine_state =
	STATE_LIST("engine", struct sb_engine, 1, engine_fields);
