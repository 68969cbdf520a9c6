/*
 * sound.h - sound cards, and where their sound goes.
 *
 * The strings and descriptors of a struct conf_audio are the machine's.
 */
#ifndef CONF_SOUND_H
#define CONF_SOUND_H

#include <stdbool.h>

#include <glib.h>

#include "conf/parse.h"

#define CONF_MAX_SOUND 4

struct conf_machine;

enum conf_sound_model {
	CONF_SOUND_AC97, /* Intel 82801AA */
	CONF_SOUND_HDA,	 /* Intel High Definition Audio */
	CONF_SOUND_SB16, /* Sound Blaster 16 with OPL3, ISA */
};

struct conf_sound {
	enum conf_sound_model model;
	/* sb16: where it stands. */
	unsigned port, irq, dma, dma16;
};

enum conf_audio_kind {
	CONF_AUDIO_NONE,
	CONF_AUDIO_WAV,
	CONF_AUDIO_PULSE, /* the user's sound server */
};

extern const struct conf_word_list conf_sound_words, conf_audio_words;

/* "ac97", "hda", "sb16,port=220,irq=5,dma=1,dma16=5": one more card. */
bool conf_sound_parse(struct conf_machine *m, const char *text, GError **err);
/* "none", "wav:FILE", "pulse"; source=wav:FILE|pulse */
bool conf_audio_parse(struct conf_machine *m, const char *text, GError **err);
bool conf_sound_check(const struct conf_machine *m, GError **err);
/* Of a card that comes over the wire. */
bool conf_sound_possible(const struct conf_sound *s);

#endif
