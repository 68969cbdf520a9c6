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

void sound_pipe_format(struct sound_pipe *p, const struct audio_format *f)
{
	audio_stream_format(p->s, f);
	p->frame = MIN(audio_frame_bytes(f), (unsigned)sizeof(p->part));
	p->npart %= p->frame;
}

static const struct state_field pipe_fields[] = {
	STATE(struct sound_pipe, npart, .max = 63),
	STATE_BYTES(struct sound_pipe, part),
};

const struct state_list sound_pipe_state =
	STATE_LIST("pipe", struct sound_pipe, 1, pipe_fields);

void sound_pipe_play(
	struct sound_pipe *p, gpa_t gpa, unsigned bytes, bool absent)
{
	uint8_t buf[BLOCK + sizeof(p->part)];

	if (!audio_stream_heard(p->s)) {
		p->npart = (p->npart + bytes) % p->frame;
		return;
	}
	while (bytes) {
		unsigned n = MIN(bytes, BLOCK), have = p->npart + n;

		memcpy(buf, p->part, p->npart);
		if (absent)
			memset(buf + p->npart, 0, n);
		else
			bus_dma_read(p->bus, gpa, buf + p->npart, n);
		audio_stream_push(p->s, buf, have / p->frame);
		p->npart = have % p->frame;
		memcpy(p->part, buf + have - p->npart, p->npart);
		gpa += n;
		bytes -= n;
	}
}

/* npart: bytes of the last frame that are still to be written. */
void sound_pipe_record(
	struct sound_pipe *p, gpa_t gpa, unsigned bytes, bool absent)
{
	uint8_t buf[BLOCK + 2 * sizeof(p->part)];

	while (bytes) {
		unsigned n = MIN(bytes, BLOCK), frames = 0, have;

		memcpy(buf, p->part, p->npart);
		if (n > p->npart)
			frames = (n - p->npart + p->frame - 1) / p->frame;
		have = p->npart + frames * p->frame;
		memset(buf + p->npart, 0, have - p->npart);
		audio_stream_pull(p->s, buf + p->npart, frames);
		if (!absent)
			bus_dma_write(p->bus, gpa, buf, n);
		p->npart = have - n;
		memcpy(p->part, buf + n, p->npart);
		gpa += n;
		bytes -= n;
	}
}
