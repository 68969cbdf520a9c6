/*
 * hda_codec.h - a codec with one stereo output and one stereo input.
 */
#ifndef DEV_SOUND_HDA_CODEC_H
#define DEV_SOUND_HDA_CODEC_H

#include "dev/state.h"

#define HDA_NODES 6 /* root, function group, DAC, out, ADC, in */

struct hda_node {
	uint16_t format;
	uint8_t stream; /* tag and channel */
	uint8_t pin, power, select, unsol;
	uint8_t amp[2]; /* left, right */
	uint32_t config;
};

struct hda_codec {
	struct hda_node node[HDA_NODES];
	uint32_t subsystem;
};

extern const struct state_list hda_codec_state;

void hda_codec_reset(struct hda_codec *c);
/* One verb (without the codec's address) and its answer. */
uint32_t hda_codec_verb(struct hda_codec *c, uint32_t verb);
/* How loud the stream with this tag is played or recorded, left and right:
 * nothing if it is connected to none. */
void hda_codec_volume(
	const struct hda_codec *c, bool input, unsigned tag, unsigned out[2]);

#endif
