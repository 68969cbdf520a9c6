/*
 * opl3.c - a Yamaha YMF262 (OPL3).
 *
 * YMF262 application manual (registers, 4-operator connections, rhythm); YM3812
 * application manual (envelopes, key scaling, timers); for what happens inside,
 * the tables and counters that M. Gambrell and O. Niemitalo read off a
 * decapsulated chip ("OPLx decapsulated", 2008): sines are kept as logarithms,
 * so that volumes are sums, and an exponential gives the amplitude.
 *
 * An operator (slot) is a phase, an envelope and a waveform.  Slots n and n + 3
 * of a group of six make a channel.
 */
#include "dev/sound/opl3.h"

#include <math.h>
#include <string.h>

#include <glib.h>

#define SILENT	   511u
#define CHANNELS   18u
#define TIMER1_NS  80000u
#define TIMER2_NS  320000u
#define TREMOLO_AT 64u /* samples from step to step */
#define VIBRATO_AT 1024u

/* Register groups, by the offset of the first. */
#define R_MULT	  0x20 /* tremolo, vibrato, sustained, key scaling, multiple */
#define R_LEVEL	  0x40
#define R_ATTACK  0x60
#define R_SUSTAIN 0x80
#define R_WAVE	  0xe0
#define R_FNUM	  0xa0
#define R_KEY	  0xb0
#define R_CONNECT 0xc0
#define R_RHYTHM  0xbd

/* Of the second bank. */
#define R_FOUR 0x04
#define R_NEW  0x05

enum opl3_stage { ATTACK, DECAY, SUSTAIN, RELEASE };

/* What one sample's slots have in common. */
struct moment {
	unsigned tremolo; /* attenuation */
	unsigned vibrato; /* position, 0 to 7 */
	bool odd;	  /* envelopes move on every other sample, ... */
	unsigned zeros;	  /* ... the slower the more zeros end its count */
	unsigned count;
	bool rhythm;
};

/* ---- where things are ---- */

static unsigned slot_offset(unsigned slot)
{
	unsigned n = slot % 18;

	return n / 6 * 8 + n % 6;
}

static uint8_t slot_reg(const struct opl3 *o, unsigned slot, unsigned group)
{
	return o->reg[slot / 18][group + slot_offset(slot)];
}

static unsigned slot_channel(unsigned slot)
{
	unsigned n = slot % 18;

	return slot / 18 * 9 + n / 6 * 3 + n % 3;
}

/* The first of a channel's two. */
static unsigned channel_slot(unsigned channel)
{
	unsigned n = channel % 9;

	return channel / 9 * 18 + n / 3 * 6 + n % 3;
}

static uint8_t channel_reg(
	const struct opl3 *o, unsigned channel, unsigned group)
{
	return o->reg[channel / 9][group + channel % 9];
}

static bool is_new(const struct opl3 *o)
{
	return o->reg[1][R_NEW] & 1;
}

/* Channels 0 to 2 of a bank may take those three further up to themselves. */
static bool is_four(const struct opl3 *o, unsigned channel)
{
	unsigned n = channel % 9;

	return is_new(o) && n < 6 &&
	       o->reg[1][R_FOUR] >> (channel / 9 * 3 + n % 3) & 1;
}

/* Whose frequency and key a channel follows. */
static unsigned channel_leader(const struct opl3 *o, unsigned channel)
{
	return is_four(o, channel) && channel % 9 >= 3 ? channel - 3 : channel;
}

static unsigned channel_fnum(const struct opl3 *o, unsigned channel)
{
	return channel_reg(o, channel, R_FNUM) |
	       (channel_reg(o, channel, R_KEY) & 3u) << 8;
}

static unsigned channel_block(const struct opl3 *o, unsigned channel)
{
	return channel_reg(o, channel, R_KEY) >> 2 & 7;
}

/* ---- keys ---- */

/* Rhythm mode: slots of channels 6 to 8, and the bits of their drums. */
static uint8_t slot_drum(unsigned slot)
{
	switch (slot) {
	case 12:
	case 15: return 0x10; /* bass */
	case 13: return 0x01; /* hi-hat */
	case 16: return 0x08; /* snare */
	case 14: return 0x04; /* tom-tom */
	case 17: return 0x02; /* cymbal */
	}
	return 0;
}

static void opl3_keys(struct opl3 *o)
{
	uint8_t drums = o->reg[0][R_RHYTHM];

	for (unsigned i = 0; i < OPL3_SLOTS; i++) {
		struct opl3_slot *s = &o->slot[i];
		unsigned leader = channel_leader(o, slot_channel(i));
		bool key = channel_reg(o, leader, R_KEY) & 0x20;

		if (drums & 0x20 && drums & slot_drum(i))
			key = true;
		if (key && !s->key)
			s->begin = true;
		s->key = key;
	}
}

/* ---- envelopes ---- */

/* How fast: four times what the register says, and more for high tones. */
static unsigned slot_rate(const struct opl3 *o, unsigned slot, unsigned nibble)
{
	unsigned ch = channel_leader(o, slot_channel(slot));
	unsigned select = o->reg[0][0x08] >> 6 & 1;
	unsigned scale = channel_block(o, ch) << 1 |
			 (channel_fnum(o, ch) >> (9 - select) & 1);

	if (!nibble)
		return 0;
	if (!(slot_reg(o, slot, R_MULT) & 0x10))
		scale >>= 2;
	return MIN(4 * nibble + scale, 63u);
}

/* Steps of the envelope in this sample, as a power of two; 0: none. */
static unsigned envelope_steps(const struct moment *m, unsigned rate)
{
	static const uint8_t pattern[4] = {0x0, 0x1, 0x5, 0x7};
	unsigned high = rate >> 2, low = rate & 3, steps;

	if (!rate)
		return 0;
	if (high < 12) {
		/* One step each time that so many zeros end the counter, and
		 * as many of those in between as the lower bits say. */
		if (!m->odd)
			return 0;
		switch (high + m->zeros) {
		case 12: return 1;
		case 13: return low >> 1;
		case 14: return low & 1;
		}
		return 0;
	}
	steps = (high & 3) + (pattern[low] >> (m->count & 3) & 1);
	steps = MIN(steps, 3u);
	return steps ? steps : m->odd;
}

static void slot_envelope(struct opl3 *o, unsigned slot, const struct moment *m)
{
	struct opl3_slot *s = &o->slot[slot];
	uint8_t attack = slot_reg(o, slot, R_ATTACK);
	uint8_t sustain = slot_reg(o, slot, R_SUSTAIN);
	unsigned target = sustain >> 4, rate, steps;

	if (s->begin) {
		s->begin = false;
		s->phase = 0;
		s->stage = ATTACK;
		if (slot_rate(o, slot, attack >> 4) >= 60)
			s->level = 0;
	}
	if (!s->key)
		s->stage = RELEASE;
	switch (s->stage) {
	case ATTACK:
		rate = slot_rate(o, slot, attack >> 4);
		steps = envelope_steps(m, rate);
		if (!s->level)
			s->stage = DECAY;
		else if (steps && rate < 60)
			s->level += ~(int)s->level >> (4 - steps);
		return;
	case DECAY:
		/* 15 stands for 93 dB instead of 45 */
		if (s->level >> 4 >= (target == 15 ? 31 : target)) {
			s->stage = SUSTAIN;
			return;
		}
		rate = slot_rate(o, slot, attack & 15);
		break;
	case SUSTAIN:
		if (slot_reg(o, slot, R_MULT) & 0x20)
			return; /* as long as the key is down */
				/* fall through */
	default: rate = slot_rate(o, slot, sustain & 15);
	}
	steps = envelope_steps(m, rate);
	if (steps)
		s->level =
			(uint16_t)MIN(s->level + (1u << (steps - 1)), SILENT);
	if (s->level >= 0x1f8)
		s->level = SILENT;
}

/* Attenuation in all: 3/16 dB a step. */
static unsigned slot_attenuation(
	const struct opl3 *o, unsigned slot, const struct moment *m)
{
	static const uint8_t scale[16] = {
		0, 32, 40, 45, 48, 51, 53, 55, 56, 58, 59, 60, 61, 62, 63, 64};
	static const uint8_t shift[4] = {8, 1, 2, 0};
	unsigned ch = channel_leader(o, slot_channel(slot));
	uint8_t level = slot_reg(o, slot, R_LEVEL);
	int key = scale[channel_fnum(o, ch) >> 6] * 4 -
		  (8 - (int)channel_block(o, ch)) * 32;
	unsigned sum = o->slot[slot].level + (level & 63) * 4;

	if (key > 0)
		sum += (unsigned)key >> shift[level >> 6];
	if (slot_reg(o, slot, R_MULT) & 0x80)
		sum += m->tremolo;
	return MIN(sum, SILENT);
}

/* ---- phases ---- */

static void slot_turn(struct opl3 *o, unsigned slot, const struct moment *m)
{
	/* twice the multiple */
	static const uint8_t multiple[16] = {
		1, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 20, 24, 24, 30, 30};
	unsigned ch = channel_leader(o, slot_channel(slot));
	int fnum = (int)channel_fnum(o, ch);
	uint8_t mult = slot_reg(o, slot, R_MULT);

	if (mult & 0x40) {
		int range = fnum >> 7;

		if (!(m->vibrato & 3))
			range = 0;
		else if (m->vibrato & 1)
			range >>= 1;
		if (!(o->reg[0][R_RHYTHM] & 0x40))
			range >>= 1;
		fnum += m->vibrato & 4 ? -range : range;
	}
	o->slot[slot].phase += ((unsigned)fnum << channel_block(o, ch) >> 1) *
				       multiple[mult & 15] >>
			       1;
}

/* ---- waveforms ---- */

/* Logarithm of a waveform's amplitude at a phase of 10 bits; *minus. */
static unsigned wave_log(
	const struct opl3 *o, unsigned wave, unsigned phase, bool *minus)
{
	bool half = phase & 0x200;
	unsigned twice = phase << 1 & 0x3ff;

	*minus = false;
	switch (wave) {
	case 0: *minus = half; break;
	case 1:
		if (half)
			return 0x1000;
		break;
	case 2: break;
	case 3:
		if (phase & 0x100)
			return 0x1000;
		break;
	case 4:
	case 5:
		if (half)
			return 0x1000;
		*minus = wave == 4 && twice & 0x200;
		phase = twice;
		break;
	case 6: *minus = half; return 0;
	case 7:
		*minus = half;
		return (half ? ~phase & 0x1ff : phase & 0x1ff) << 3;
	}
	return o->log_sine[phase & 0x100 ? ~phase & 0xff : phase & 0xff];
}

/* A negative amplitude is the complement of its positive. */
static int wave_amplitude(const struct opl3 *o, unsigned log, bool minus)
{
	unsigned shift = log >> 8;
	int v = shift > 12 ? 0 : o->exponent[log & 0xff] >> shift;

	return minus ? ~v : v;
}

/* phase: the slot's own, or what rhythm makes of it. */
static int slot_sound(struct opl3 *o, unsigned slot, unsigned phase,
	int modulation, const struct moment *m)
{
	struct opl3_slot *s = &o->slot[slot];
	unsigned wave = slot_reg(o, slot, R_WAVE) & (is_new(o) ? 7 : 3);
	unsigned weak = slot_attenuation(o, slot, m);
	bool minus;
	unsigned log;

	s->out[1] = s->out[0];
	/* OPL2 has waveforms only if they are asked for. */
	if (!is_new(o) && !(o->reg[0][0x01] & 0x20))
		wave = 0;
	log = wave_log(o, wave, (phase + (unsigned)modulation) & 0x3ff, &minus);
	s->out[0] = (int16_t)wave_amplitude(o, log + weak * 8, minus);
	if (s->level == SILENT)
		s->out[0] = 0;
	return s->out[0];
}

static unsigned slot_phase(const struct opl3 *o, unsigned slot)
{
	return o->slot[slot].phase >> 9 & 0x3ff;
}

static int slot_feedback(const struct opl3 *o, unsigned slot, unsigned channel)
{
	unsigned fb = channel_reg(o, channel, R_CONNECT) >> 1 & 7;
	const struct opl3_slot *s = &o->slot[slot];

	return fb ? (s->out[0] + s->out[1]) >> (9 - fb) : 0;
}

/* ---- channels ---- */

static int play_two(struct opl3 *o, unsigned channel, const struct moment *m)
{
	unsigned a = channel_slot(channel), b = a + 3;
	bool add = channel_reg(o, channel, R_CONNECT) & 1;
	int first = slot_sound(
		o, a, slot_phase(o, a), slot_feedback(o, a, channel), m);

	if (add)
		return first + slot_sound(o, b, slot_phase(o, b), 0, m);
	return slot_sound(o, b, slot_phase(o, b), first, m);
}

/* Four in a row, two rows, one and a row of three, or one, two, one. */
static int play_four(struct opl3 *o, unsigned channel, const struct moment *m)
{
	unsigned a = channel_slot(channel), b = a + 3;
	unsigned c = channel_slot(channel + 3), d = c + 3;
	unsigned kind = (channel_reg(o, channel, R_CONNECT) & 1) << 1 |
			(channel_reg(o, channel + 3, R_CONNECT) & 1);
	int va = slot_sound(
		o, a, slot_phase(o, a), slot_feedback(o, a, channel), m);
	int vb = slot_sound(o, b, slot_phase(o, b), kind & 2 ? 0 : va, m);
	int vc = slot_sound(o, c, slot_phase(o, c), kind == 1 ? 0 : vb, m);
	int vd = slot_sound(o, d, slot_phase(o, d), kind == 3 ? 0 : vc, m);

	switch (kind) {
	case 0: return vd;
	case 1: return vb + vd;
	case 2: return va + vd;
	}
	return va + vc + vd;
}

/* Channels 6 to 8 as drums, each twice as loud.  Hi-hat and cymbal mix bits of
 * each other's phases; noise makes hi-hat and snare. */
static int play_drums(struct opl3 *o, unsigned channel, const struct moment *m)
{
	unsigned hat = slot_phase(o, 13), cymbal = slot_phase(o, 17), noise;
	bool mixed = ((hat >> 2 ^ hat >> 7) | (hat >> 3 ^ cymbal >> 5) |
			     (cymbal >> 3 ^ cymbal >> 5)) &
		     1;
	int first;

	noise = o->noise & 1;
	switch (channel) {
	case 6:
		first = slot_sound(
			o, 12, slot_phase(o, 12), slot_feedback(o, 12, 6), m);
		if (channel_reg(o, 6, R_CONNECT) & 1)
			first = 0;
		return 2 * slot_sound(o, 15, slot_phase(o, 15), first, m);
	case 7:
		first = slot_sound(o, 13,
			(unsigned)mixed << 9 | (mixed ^ noise ? 0xd0u : 0x34u),
			0, m);
		return 2 *
		       (first + slot_sound(o, 16,
					(hat & 0x100) << 1 |
						((hat >> 8 & 1) ^ noise) << 8,
					0, m));
	}
	first = slot_sound(o, 14, slot_phase(o, 14), 0, m);
	return 2 *
	       (first + slot_sound(o, 17, (unsigned)mixed << 9 | 0x80, 0, m));
}

static bool channel_silent(
	const struct opl3 *o, unsigned channel, unsigned slots)
{
	const struct opl3_slot *s = &o->slot[channel_slot(channel)];

	for (unsigned i = 0; i < slots; i++)
		if (s[3 * (i & 1) + (i >> 1) * 6].level != SILENT ||
			s[3 * (i & 1) + (i >> 1) * 6].out[0])
			return false;
	return true;
}

static int channel_sound(
	struct opl3 *o, unsigned channel, const struct moment *m)
{
	bool four = is_four(o, channel);

	if (m->rhythm && channel >= 6 && channel <= 8)
		return play_drums(o, channel, m);
	if (four && channel % 9 >= 3)
		return 0; /* it is played with another one */
	if (channel_silent(o, channel, four ? 4 : 2))
		return 0;
	return four ? play_four(o, channel, m) : play_two(o, channel, m);
}

/* ---- time ---- */

static void opl3_moment(const struct opl3 *o, struct moment *m)
{
	unsigned t = (unsigned)(o->clock / TREMOLO_AT % 210);
	uint64_t half = o->clock >> 1;

	t = t < 105 ? t : 210 - t;
	m->tremolo = t >> (o->reg[0][R_RHYTHM] & 0x80 ? 2 : 4);
	m->vibrato = (unsigned)(o->clock / VIBRATO_AT & 7);
	m->odd = o->clock & 1;
	m->count = (unsigned)half;
	m->zeros = half & 0x1fff ? (unsigned)__builtin_ctzll(half) + 1 : 0;
	m->rhythm = o->reg[0][R_RHYTHM] & 0x20;
}

static void opl3_sample(struct opl3 *o, int16_t frame[2])
{
	int sum[2] = {0};
	struct moment m;

	opl3_moment(o, &m);
	for (unsigned i = 0; i < OPL3_SLOTS; i++) {
		if (o->slot[i].key || o->slot[i].level != SILENT)
			slot_envelope(o, i, &m);
		if (o->slot[i].level != SILENT || m.rhythm)
			slot_turn(o, i, &m);
	}
	for (unsigned ch = 0; ch < CHANNELS; ch++) {
		int v = channel_sound(o, ch, &m);
		uint8_t to = channel_reg(o, channel_leader(o, ch), R_CONNECT);

		/* without OPL3's registers all is heard on both sides */
		if (!is_new(o) || to & 0x10)
			sum[0] += v;
		if (!is_new(o) || to & 0x20)
			sum[1] += v;
	}
	frame[0] = (int16_t)CLAMP(sum[0], -32768, 32767);
	frame[1] = (int16_t)CLAMP(sum[1], -32768, 32767);
	/* x^23 + x^9 + 1 */
	o->noise = o->noise >> 1 | ((o->noise >> 14 ^ o->noise) & 1) << 22;
	o->clock++;
}

void opl3_make(struct opl3 *o, int16_t *frames, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		opl3_sample(o, frames + 2 * i);
}

bool opl3_sounds(const struct opl3 *o)
{
	for (unsigned i = 0; i < OPL3_SLOTS; i++)
		if (o->slot[i].key || o->slot[i].level != SILENT)
			return true;
	return false;
}

/* ---- registers ---- */

/* Bits 6 and 5: the timers have run over; 7: one of both. */
static uint8_t opl3_status(struct opl3 *o, uint64_t now_ns)
{
	uint8_t control = o->reg[0][0x04];

	for (unsigned i = 0; i < 2; i++) {
		uint64_t length = (256u - o->reg[0][0x02 + i]) *
				  (uint64_t)(i ? TIMER2_NS : TIMER1_NS);

		if (!(control >> i & 1) || now_ns < o->timer_ns[i] + length)
			continue;
		if (!(control & 0x40 >> i))
			o->flags |= 0x40 >> i;
		o->timer_ns[i] += (now_ns - o->timer_ns[i]) / length * length;
	}
	return o->flags ? o->flags | 0x80 : 0;
}

static void opl3_control(struct opl3 *o, uint8_t val, uint8_t was, uint64_t now)
{
	/* It clears the flags, and does nothing else. */
	if (val & 0x80) {
		o->flags = 0;
		o->reg[0][0x04] = was;
		return;
	}
	for (unsigned i = 0; i < 2; i++)
		if (val >> i & 1 && !(was >> i & 1))
			o->timer_ns[i] = now;
}

void opl3_write(struct opl3 *o, unsigned port, uint8_t val, uint64_t now_ns)
{
	unsigned bank = port >> 1 & 1, reg = o->index[bank];
	uint8_t was;

	if (!(port & 1)) {
		o->index[bank] = val;
		return;
	}
	/* The second bank has but one register until it is switched on. */
	if (bank && !is_new(o) && reg != R_NEW)
		return;
	opl3_status(o, now_ns);
	was = o->reg[bank][reg];
	o->reg[bank][reg] = val;
	if (!bank && reg == 0x04)
		opl3_control(o, val, was, now_ns);
	if ((reg & 0xf0) == R_KEY || (bank && reg == R_FOUR))
		opl3_keys(o);
}

/* One port has the status, on an OPL3 without the two bits that OPL2 sets. */
uint8_t opl3_read(struct opl3 *o, unsigned port, uint64_t now_ns)
{
	return port & 3 ? 0xff : opl3_status(o, now_ns);
}

void opl3_reset(struct opl3 *o)
{
	memset(o->reg, 0, sizeof(o->reg));
	memset(o->index, 0, sizeof(o->index));
	memset(o->slot, 0, sizeof(o->slot));
	for (unsigned i = 0; i < OPL3_SLOTS; i++) {
		o->slot[i].level = SILENT;
		o->slot[i].stage = RELEASE;
	}
	o->clock = 0;
	o->noise = 1;
	o->flags = 0;
	o->timer_ns[0] = o->timer_ns[1] = 0;
}

void opl3_init(struct opl3 *o)
{
	for (unsigned i = 0; i < 256; i++) {
		double sine = sin((i + 0.5) * G_PI / 512);

		o->log_sine[i] = (uint16_t)lrint(-256 * log2(sine));
		o->exponent[i] =
			(uint16_t)(2 * lrint(1024 * exp2((255 - i) / 256.0)));
	}
	opl3_reset(o);
}

/* ---- saved states ---- */

static const struct state_field slot_fields[] = {
	STATE(struct opl3_slot, phase),
	STATE(struct opl3_slot, level, .max = SILENT),
	STATE(struct opl3_slot, stage, .max = RELEASE),
	STATE(struct opl3_slot, key),
	STATE(struct opl3_slot, begin),
	STATE_ARRAY(struct opl3_slot, out),
};

static const struct state_list slot_state =
	STATE_LIST("slot", struct opl3_slot, 1, slot_fields);

static const struct state_field opl3_fields[] = {
	STATE_BYTES(struct opl3, reg),
	STATE_BYTES(struct opl3, index),
	STATE_STRUCTS(struct opl3, slot, &slot_state),
	STATE(struct opl3, clock),
	STATE(struct opl3, noise, .min = 1, .max = 0x7fffff),
	STATE_ARRAY(struct opl3, timer_ns),
	STATE(struct opl3, flags, .max = 0x60),
};

const struct state_list opl3_state =
	STATE_LIST("opl3", struct opl3, 1, opl3_fields);
