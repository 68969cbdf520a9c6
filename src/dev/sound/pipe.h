/*
 * pipe.h - samples between guest memory and a stream of the mixer, as the
 * sound cards with bus mastering move them.  Lock held.
 */
#ifndef DEV_SOUND_PIPE_H
#define DEV_SOUND_PIPE_H

#include "audio/audio.h"
#include "dev/state.h"

#define SOUND_CHUNK_NS 10000000u /* played in one go, while somebody hears */

/* A buffer may end within a frame: the rest waits for the next one. */
struct sound_pipe {
	struct bus *bus;
	struct audio_stream *s;
	unsigned frame; /* bytes */
	uint8_t quiet;	/* what silence is made of */
	unsigned npart;
	uint8_t part[64];
};

/* Its owner has to set the format again. */
extern const struct state_list sound_pipe_state;

void sound_pipe_init(
	struct sound_pipe *p, struct bus *b, struct audio_stream *s);
void sound_pipe_format(struct sound_pipe *p, const struct audio_format *f);
/* The bytes at gpa are played; absent: the card reads nothing. */
void sound_pipe_play(
	struct sound_pipe *p, gpa_t gpa, unsigned bytes, bool absent);
/* The same with bytes that came some other way. */
void sound_pipe_feed(struct sound_pipe *p, const uint8_t *bytes, unsigned n);
void sound_pipe_take(struct sound_pipe *p, uint8_t *bytes, unsigned n);
void sound_pipe_record(
	struct sound_pipe *p, gpa_t gpa, unsigned bytes, bool absent);

#endif
