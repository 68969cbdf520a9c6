/*
 * pipe.c - samples between guest memory and a stream of the mixer.
 */
#include "dev/sound/pipe.h"

#include <string.h>

#include <glib.h>

#define BLOCK 4096u

void sound_pipe_init(
	struct sound_pipe *p, struct bus *b, struct audio_stream *s)
{
	*p = (struct sound_pipe){.bus = b, .s = s, .frame = 4};
}

void sound_pipe_feed(struct sound_pipe *p, const uint8_t *bytes, unsigned n)
{
	while (n) {
		uint8_t buf[BLOCK + sizeof(p->part)];
		unsigned some = MIN(n, BLOCK), have = p->npart + some;

		memcpy(buf, p->part, p->npart);
		memcpy(buf + p->npart, bytes, some);
		audio_stream_push(p->s, buf, have / p->frame);
		p->npart = have % p->frame;
		memcpy(p->part, buf + have - p->npart, p->npart);
		bytes += some;
		n -= some;
	}
}

/* npart: bytes of the last frame that are still to be taken. */
void sound_pipe_take(struct sound_pipe *p, uint8_t *bytes, unsigned n)
{
	while (n) {
		uint8_t buf[BLOCK + 2 * sizeof(p->part)];
		unsigned some = MIN(n, BLOCK), frames = 0, have;

		memcpy(buf, p->part, p->npart);
		if (some > p->npart)
			frames = (some - p->npart + p->frame - 1) / p->frame;
		have = p->npart + frames * p->frame;
		memset(buf + p->npart, p->quiet, have - p->npart);
		audio_stream_pull(p->s, buf + p->npart, frames);
		memcpy(bytes, buf, some);
		p->npart = have - some;
		memcpy(p->part, buf + some, p->npart);
		bytes += some;
		n -= some;
	}
}

void sound_pipe_play(
	struct sound_pipe *p, gpa_t gpa, unsigned bytes, bool absent)
{
	uint8_t buf[BLOCK] = {0};

	if (!audio_stream_heard(p->s)) {
		p->npart = (p->npart + bytes) % p->frame;
		return;
	}
	while (bytes) {
		unsigned n = MIN(bytes, BLOCK);

		if (!absent)
			bus_dma_read(p->bus, gpa, buf, n);
		sound_pipe_feed(p, buf, n);
		gpa += n;
		bytes -= n;
	}
}

void sound_pipe_record(
	struct sound_pipe *p, gpa_t gpa, unsigned bytes, bool absent)
{
	uint8_t buf[BLOCK];

	while (bytes) {
		unsigned n = MIN(bytes, BLOCK);

		sound_pipe_take(p, buf, n);
		if (!absent)
			bus_dma_write(p->bus, gpa, buf, n);
		gpa += n;
		bytes -= n;
	}
}

void sound_pipe_format(struct sound_pipe *p, const struct audio_format *f)
{
	audio_stream_format(p->s, f);
	p->frame = MIN(audio_frame_bytes(f), (unsigned)sizeof(p->part));
	p->npart %= p->frame;
	p->quiet = f->sample == AUDIO_U8 ? 0x80 : 0;
}

static const struct state_field pipe_fields[] = {
	STATE(struct sound_pipe, npart, .max = 63),
	STATE_BYTES(struct sound_pipe, part),
};

const struct state_list sound_pipe_state =
	STATE_LIST("pipe", struct sound_pipe, 1, pipe_fields);
