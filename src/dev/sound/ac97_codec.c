/*
 * ac97_codec.c - the codec of an AC '97 link.
 *
 * Audio Codec '97 revision 2.3, 5.7 (registers), 5.8 (extended audio), A.2
 * (variable rates); SigmaTel STAC9700 data sheet for identity and what its
 * mixer has.  That chip itself knows 48 kHz only; this one has the variable
 * rates of its successors.
 */
#include "dev/sound/ac97_codec.h"

#include <errno.h>
#include <stdio.h>

#include <glib.h>

#include "audio/audio.h"

#define REG_RESET   0x00
#define REG_MASTER  0x02
#define REG_PCM	    0x18
#define REG_RECORD  0x1c
#define REG_POWER   0x26
#define REG_EXT_ID  0x28
#define REG_EXT	    0x2a
#define REG_DAC	    0x2c
#define REG_ADC	    0x32
#define REG_MIC	    0x34
#define REG_VENDOR1 0x7c
#define REG_VENDOR2 0x7e

#define MUTE	0x8000
#define EXT_VRA 0x0001
#define EXT_VRM 0x0008
#define PR_ADC	0x0100
#define PR_DAC	0x0200

#define RATE_MIN 4000
#define RATE_MAX 48000

/* What registers hold after a reset, and which bits can be written. */
static const struct {
	uint8_t reg;
	uint16_t start, mask;
} registers[] = {
	{REG_RESET, 0x6940, 0}, /* 18 bits both ways, SigmaTel's 3D */
	{REG_MASTER, 0x8000, 0x9f1f},
	{0x04, 0x8000, 0x9f1f}, /* line level */
	{0x06, 0x8000, 0x801f}, /* mono */
	{0x0a, 0x0000, 0x801e}, /* beep */
	{0x0c, 0x8008, 0x801f}, /* phone */
	{0x0e, 0x8008, 0x805f}, /* microphone, 20 dB boost */
	{0x10, 0x8808, 0x9f1f}, /* line in */
	{0x12, 0x8808, 0x9f1f}, /* CD */
	{0x14, 0x8808, 0x9f1f}, /* video */
	{0x16, 0x8808, 0x9f1f}, /* auxiliary */
	{REG_PCM, 0x8808, 0x9f1f},
	{0x1a, 0x0000, 0x0707}, /* record select */
	{REG_RECORD, 0x8000, 0x8f0f},
	{0x20, 0x0000, 0xa380}, /* general purpose */
	{0x22, 0x0000, 0x0003}, /* 3D */
	{REG_POWER, 0x000f, 0xff00},
	{REG_EXT_ID, EXT_VRA | EXT_VRM, 0},
	{REG_EXT, 0x0000, EXT_VRA | EXT_VRM},
	{REG_DAC, RATE_MAX, 0xffff},
	{REG_ADC, RATE_MAX, 0xffff},
	{REG_MIC, RATE_MAX, 0xffff},
	{REG_VENDOR1, 0x8384, 0},
	{REG_VENDOR2, 0x7600, 0},
};

/* Volumes of six bits, of which the highest means "as quiet as it gets". */
static bool is_volume(unsigned reg)
{
	return reg >= REG_MASTER && reg <= 0x06;
}

void ac97_codec_reset(struct ac97_codec *c)
{
	*c = (struct ac97_codec){0};
	for (unsigned i = 0; i < G_N_ELEMENTS(registers); i++)
		c->reg[registers[i].reg / 2] = registers[i].start;
}

uint16_t ac97_codec_read(const struct ac97_codec *c, unsigned reg)
{
	uint16_t val = c->reg[reg / 2 & 63];

	/* 5.7.10: what is powered down is not ready: PR0 the ADCs, PR1 the
	 * DACs, PR2 and PR3 the mixer, PR3 its reference. */
	if ((reg & 0x7e) == REG_POWER)
		val &= 0xff00 | (0x0f & ~(val >> 8 & 3) & ~(val >> 8 & 0xc) &
					~(val >> 9 & 4));
	return val;
}

static void codec_write_ext(struct ac97_codec *c, uint16_t val)
{
	c->reg[REG_EXT / 2] = val & (EXT_VRA | EXT_VRM);
	/* A.2.1: without variable rates all is 48 kHz. */
	if (!(val & EXT_VRA))
		c->reg[REG_DAC / 2] = c->reg[REG_ADC / 2] = RATE_MAX;
	if (!(val & EXT_VRM))
		c->reg[REG_MIC / 2] = RATE_MAX;
}

/* The nearest rate there is. */
static void codec_write_rate(struct ac97_codec *c, unsigned reg, uint16_t val)
{
	uint16_t bit = reg == REG_MIC ? EXT_VRM : EXT_VRA;

	if (c->reg[REG_EXT / 2] & bit)
		c->reg[reg / 2] = CLAMP(val, RATE_MIN, RATE_MAX);
}

void ac97_codec_write(struct ac97_codec *c, unsigned reg, uint16_t val)
{
	uint16_t *r = &c->reg[reg / 2 & 63];

	reg &= 0x7e;
	switch (reg) {
	case REG_RESET: ac97_codec_reset(c); return;
	case REG_EXT: codec_write_ext(c, val); return;
	case REG_DAC:
	case REG_ADC:
	case REG_MIC: codec_write_rate(c, reg, val); return;
	}
	if (is_volume(reg)) {
		val |= val & 0x2000 ? 0x1f00 : 0;
		val |= val & 0x0020 ? 0x001f : 0;
	}
	for (unsigned i = 0; i < G_N_ELEMENTS(registers); i++) {
		uint16_t mask = registers[i].mask;

		if (registers[i].reg == reg)
			*r = (*r & ~mask) | (val & mask);
	}
}

unsigned ac97_codec_dac_rate(const struct ac97_codec *c)
{
	return c->reg[REG_DAC / 2];
}

unsigned ac97_codec_adc_rate(const struct ac97_codec *c)
{
	return c->reg[REG_ADC / 2];
}

unsigned ac97_codec_mic_rate(const struct ac97_codec *c)
{
	return c->reg[REG_MIC / 2];
}

/* 1.5 dB a step, in tenths: master 0 to -46.5, PCM +12 to -34.5. */
void ac97_codec_volume(const struct ac97_codec *c, unsigned out[2])
{
	unsigned master = c->reg[REG_MASTER / 2], pcm = c->reg[REG_PCM / 2];
	bool off = (master | pcm) & MUTE || c->reg[REG_POWER / 2] & PR_DAC;

	for (unsigned i = 0; i < 2; i++) {
		unsigned shift = i ? 0 : 8;
		int db10 = 120 - 15 * (int)(pcm >> shift & 0x1f) -
			   15 * (int)(master >> shift & 0x1f);

		out[i] = off ? 0 : audio_gain(db10);
	}
}

/* 0 to +22.5 dB. */
void ac97_codec_gain(const struct ac97_codec *c, unsigned out[2])
{
	unsigned gain = c->reg[REG_RECORD / 2];
	bool off = gain & MUTE || c->reg[REG_POWER / 2] & PR_ADC;

	for (unsigned i = 0; i < 2; i++)
		out[i] =
			off ? 0
			    : audio_gain(15 * (int)(gain >> (i ? 0 : 8) & 0xf));
}

/* ---- saved states ---- */

static int codec_loaded(
	void *obj, unsigned version, char *err, unsigned errsize)
{
	static const uint8_t rates[] = {REG_DAC, REG_ADC, REG_MIC};
	const struct ac97_codec *c = obj;

	for (unsigned i = 0; i < G_N_ELEMENTS(rates); i++) {
		unsigned rate = c->reg[rates[i] / 2];

		if (rate >= RATE_MIN && rate <= RATE_MAX)
			continue;
		snprintf(err, errsize, "a rate of %u Hz", rate);
		return -EINVAL;
	}
	return 0;
}

static const struct state_field codec_fields[] = {
	STATE_ARRAY(struct ac97_codec, reg),
};

const struct state_list ac97_codec_state = STATE_LIST(
	"codec", struct ac97_codec, 1, codec_fields, .loaded = codec_loaded);
