/*
 * ac97_codec.h - the codec: a SigmaTel STAC9700's registers, with variable
 * rates (Audio Codec '97 revision 2.3, chapter 5 and appendix A).
 */
#ifndef DEV_SOUND_AC97_CODEC_H
#define DEV_SOUND_AC97_CODEC_H

#include "dev/state.h"

struct ac97_codec {
	uint16_t reg[64];
};

extern const struct state_list ac97_codec_state;

void ac97_codec_reset(struct ac97_codec *c);
uint16_t ac97_codec_read(const struct ac97_codec *c, unsigned reg);
void ac97_codec_write(struct ac97_codec *c, unsigned reg, uint16_t val);

/* Frames per second of what is played, recorded, and of the microphone's own
 * converter. */
unsigned ac97_codec_dac_rate(const struct ac97_codec *c);
unsigned ac97_codec_adc_rate(const struct ac97_codec *c);
unsigned ac97_codec_mic_rate(const struct ac97_codec *c);
/* How loud, of AUDIO_UNITY, left and right. */
void ac97_codec_volume(const struct ac97_codec *c, unsigned out[2]);
void ac97_codec_gain(const struct ac97_codec *c, unsigned out[2]);

#endif
