/*
 * hda_codec.c - a codec with one stereo output and one stereo input.
 *
 * High Definition Audio Specification 1.0a, 7.3.3 (verbs) and 7.3.4
 * (parameters).  Nodes: 1 the audio function group, 2 DAC -> 3 line out, 5 line
 * in -> 4 ADC, as in QEMU's codec of that identity.
 */
#include "dev/sound/hda_codec.h"

#include <glib.h>

#include "audio/audio.h"

enum { NODE_ROOT, NODE_GROUP, NODE_DAC, NODE_OUT, NODE_ADC, NODE_IN };

/* 74 steps of 1 dB below 0 dB, and mute. */
#define AMP_CAPS  0x80034a4au
#define AMP_STEPS 0x4a
#define AMP_MUTE  0x80

#define PIN_OUT 0x40
#define PIN_IN	0x20

static const struct {
	uint8_t node, parameter;
	uint32_t value;
} parameters[] = {
	{NODE_ROOT, 0x00, 0x1af40022},
	{NODE_ROOT, 0x02, 0x00100101},
	{NODE_ROOT, 0x04, 0x00010001}, /* nodes: first, how many */
	{NODE_GROUP, 0x04, 0x00020004},
	{NODE_GROUP, 0x05, 0x00000001}, /* audio */
	{NODE_GROUP, 0x08, 0x00000808}, /* delays */
	{NODE_GROUP, 0x0a, 0x001e07ff}, /* 8 to 192 kHz, 16 to 32 bits */
	{NODE_GROUP, 0x0b, 0x00000001}, /* PCM */
	{NODE_GROUP, 0x0d, AMP_CAPS},
	{NODE_GROUP, 0x0f, 0x00000009}, /* D0, D3 */
	{NODE_GROUP, 0x12, AMP_CAPS},
	{NODE_DAC, 0x09, 0x0000000d}, /* stereo, an amplifier of its own */
	{NODE_DAC, 0x0a, 0x001e07ff},
	{NODE_DAC, 0x0b, 0x00000001},
	{NODE_DAC, 0x12, AMP_CAPS},
	{NODE_OUT, 0x09, 0x00400101}, /* a pin with a connection list */
	{NODE_OUT, 0x0c, 0x00000010},
	{NODE_OUT, 0x0e, 0x00000001},
	{NODE_ADC, 0x09, 0x0010010b},
	{NODE_ADC, 0x0a, 0x001e07ff},
	{NODE_ADC, 0x0b, 0x00000001},
	{NODE_ADC, 0x0d, AMP_CAPS},
	{NODE_ADC, 0x0e, 0x00000001},
	{NODE_IN, 0x09, 0x00400001},
	{NODE_IN, 0x0c, 0x00000020},
};

static bool is_converter(unsigned n)
{
	return n == NODE_DAC || n == NODE_ADC;
}

static bool is_pin(unsigned n)
{
	return n == NODE_OUT || n == NODE_IN;
}

/* Of what a function reset leaves: the pins' configuration. */
static void codec_function_reset(struct hda_codec *c)
{
	for (unsigned i = 0; i < HDA_NODES; i++) {
		struct hda_node *n = &c->node[i];

		*n = (struct hda_node){.config = n->config};
		n->format = is_converter(i) ? 0x11 : 0; /* 48 kHz, 16, stereo */
		n->amp[0] = n->amp[1] =
			is_converter(i) ? AMP_MUTE | AMP_STEPS : 0;
	}
}

void hda_codec_reset(struct hda_codec *c)
{
	codec_function_reset(c);
	/* Jacks at the back: green line out, blue line in. */
	c->node[NODE_OUT].config = 0x01014010;
	c->node[NODE_IN].config = 0x01813020;
	c->subsystem = 0x1af40022;
}

static uint32_t codec_parameter(unsigned node, unsigned parameter)
{
	for (unsigned i = 0; i < G_N_ELEMENTS(parameters); i++)
		if (parameters[i].node == node &&
			parameters[i].parameter == parameter)
			return parameters[i].value;
	return 0;
}

/* 7.3.3.7: which amplifier, which of its sides, mute and gain. */
static void node_set_amp(struct hda_node *n, unsigned node, unsigned val)
{
	unsigned side = node == NODE_DAC ? 0x8000 : 0x4000;

	if (!is_converter(node) || !(val & side) || val & 0x0f00)
		return;
	for (unsigned i = 0; i < 2; i++)
		if (val & (i ? 0x1000 : 0x2000))
			n->amp[i] =
				(val & AMP_MUTE) | MIN(val & 0x7f, AMP_STEPS);
}

static uint32_t node_amp(const struct hda_node *n, unsigned node, unsigned val)
{
	bool output = val & 0x8000;

	if (!is_converter(node) || output != (node == NODE_DAC) || val & 0xf)
		return 0;
	return n->amp[val & 0x2000 ? 0 : 1];
}

static uint32_t node_get(
	const struct hda_codec *c, unsigned node, unsigned verb, unsigned val)
{
	const struct hda_node *n = &c->node[node];

	switch (verb) {
	case 0xf00: return codec_parameter(node, val);
	case 0xf01: return n->select;
	case 0xf02: /* connections, of which each list has one */
		return val		  ? 0
		       : node == NODE_OUT ? NODE_DAC
		       : node == NODE_ADC ? NODE_IN
					  : 0;
	case 0xf05: return n->power << 4 | n->power;
	case 0xf06: return n->stream;
	case 0xf07: return n->pin;
	case 0xf08: return n->unsol;
	case 0xf09: return is_pin(node) ? 1u << 31 : 0; /* plugged in */
	case 0xf1c: return n->config;
	case 0xf20: return node == NODE_GROUP ? c->subsystem : 0;
	}
	return 0;
}

static void put_byte(uint32_t *word, unsigned n, uint8_t val)
{
	*word = (*word & ~(0xffu << 8 * n)) | (uint32_t)val << 8 * n;
}

static void node_set(
	struct hda_codec *c, unsigned node, unsigned verb, uint8_t val)
{
	struct hda_node *n = &c->node[node];

	switch (verb) {
	case 0x705: n->power = val & 3; break;
	case 0x706: n->stream = is_converter(node) ? val : 0; break;
	case 0x707: n->pin = is_pin(node) ? val & 0xe7 : 0; break;
	case 0x708: n->unsol = val & 0xbf; break;
	case 0x71c:
	case 0x71d:
	case 0x71e:
	case 0x71f:
		if (is_pin(node))
			put_byte(&n->config, verb - 0x71c, val);
		break;
	case 0x720:
	case 0x721:
	case 0x722:
	case 0x723:
		if (node == NODE_GROUP)
			put_byte(&c->subsystem, verb - 0x720, val);
		break;
	case 0x7ff:
		if (node == NODE_GROUP)
			codec_function_reset(c);
		break;
	}
}

/* Bits 26:20 node; 19:8 a verb with 8 bits, or 19:16 one with 16. */
uint32_t hda_codec_verb(struct hda_codec *c, uint32_t verb)
{
	unsigned node = verb >> 20 & 0x7f, code = verb >> 8 & 0xfff;
	struct hda_node *n;

	if (verb >> 27 & 1 || node >= HDA_NODES)
		return 0;
	n = &c->node[node];
	switch (code >> 8) {
	case 0x2:
		if (is_converter(node))
			n->format = verb & 0xffff;
		return 0;
	case 0x3: node_set_amp(n, node, verb & 0xffff); return 0;
	case 0x7: node_set(c, node, code, verb & 0xff); return 0;
	case 0xa: return n->format;
	case 0xb: return node_amp(n, node, verb & 0xffff);
	case 0xf: return node_get(c, node, code, verb & 0xff);
	}
	return 0;
}

void hda_codec_volume(
	const struct hda_codec *c, bool input, unsigned tag, unsigned out[2])
{
	const struct hda_node *n = &c->node[input ? NODE_ADC : NODE_DAC];
	const struct hda_node *pin = &c->node[input ? NODE_IN : NODE_OUT];
	bool on = tag && n->stream >> 4 == tag &&
		  pin->pin & (input ? PIN_IN : PIN_OUT) && !n->power &&
		  !c->node[NODE_GROUP].power;

	for (unsigned i = 0; i < 2; i++)
		out[i] = on && !(n->amp[i] & AMP_MUTE)
				 ? audio_gain(10 * ((int)n->amp[i] - AMP_STEPS))
				 : 0;
}

static const struct state_field node_fields[] = {
	STATE(struct hda_node, format),
	STATE(struct hda_node, stream),
	STATE(struct hda_node, pin),
	STATE(struct hda_node, power, .max = 3),
	STATE(struct hda_node, select),
	STATE(struct hda_node, unsol),
	STATE_BYTES(struct hda_node, amp),
	STATE(struct hda_node, config),
};

static const struct state_list node_state =
	STATE_LIST("node", struct hda_node, 1, node_fields);

static const struct state_field codec_fields[] = {
	STATE_STRUCTS(struct hda_codec, node, &node_state),
	STATE(struct hda_codec, subsystem),
};

const struct state_list hda_codec_state =
	STATE_LIST("codec", struct hda_codec, 1, codec_fields);
