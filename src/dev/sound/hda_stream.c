/*
 * hda_stream.c - the streams' DMA engines (High Definition Audio Specification
 * 1.0a, 3.3.35 to 3.3.46 registers, 3.6 buffer descriptor lists and positions,
 * 3.7.1 formats).
 *
 * As in ac97.c a position follows from the clock.  While drivers have it
 * written to memory, where reading it tells us nothing, a timer does so each
 * POSITION_NS.
 */
#include <string.h>

#include <glib.h>

#include "dev/sound/hda_priv.h"

#define POSITION_NS 1000000u
#define SOONEST_NS  100000u
#define MAX_BUFFERS 8192u /* begun at a time */

static unsigned sd(unsigned n, unsigned reg)
{
	return HDA_SD + n * HDA_SD_SIZE + reg;
}

static unsigned stream_number(const struct hda_stream *s)
{
	return (unsigned)(s - s->hda->stream);
}

static bool is_input(unsigned n)
{
	return n < HDA_INPUTS;
}

/* ---- formats ---- */

/* 3.7.1: base rate, times, through, bits, channels. */
static void stream_format(
	const struct hda *h, unsigned n, struct audio_format *f)
{
	static const enum audio_sample sample[8] = {AUDIO_U8, AUDIO_S16,
		AUDIO_S32, AUDIO_S32, AUDIO_S32, AUDIO_S16, AUDIO_S16,
		AUDIO_S16};
	unsigned fmt = hda_get(h, sd(n, SD_FMT), 2);
	unsigned rate = fmt & 0x4000 ? 44100 : 48000;

	rate = rate * ((fmt >> 11 & 3) + 1) / ((fmt >> 8 & 7) + 1);
	*f = (struct audio_format){.sample = sample[fmt >> 4 & 7],
		.channels = (fmt & 15) + 1,
		.rate = rate};
}

void hda_stream_clock(struct hda *h, unsigned n)
{
	struct hda_stream *s = &h->stream[n];
	struct audio_format f;

	stream_format(h, n, &f);
	sound_pipe_format(&s->pipe, &f);
	s->rate = f.rate;
	s->frame = audio_frame_bytes(&f);
	s->frames = 0;
	s->start_ns = bus_clock_ns(h->dev.host.bus);
	if (s->moves && !is_input(n))
		audio_stream_start(s->pipe.s, s->start_ns);
}

void hda_streams_tune(struct hda *h)
{
	for (unsigned n = 0; n < HDA_STREAMS; n++) {
		unsigned tag = hda_get(h, sd(n, SD_CTL) + 2, 1) >> 4, v[2];

		hda_codec_volume(&h->codec, is_input(n), tag, v);
		audio_stream_volume(h->stream[n].pipe.s, v[0], v[1]);
	}
}

/* ---- buffers ---- */

static void stream_fetch(struct hda_stream *s)
{
	struct hda *h = s->hda;
	uint64_t at =
		hda_get_address(h, sd(stream_number(s), SD_BDP)) & ~127ull;
	uint64_t desc[2] = {0};

	if (hda_masters(h))
		bus_dma_read(h->dev.host.bus, at + 16u * s->index, desc,
			sizeof(desc));
	s->addr = GUINT64_FROM_LE(desc[0]);
	s->len = GUINT64_FROM_LE(desc[1]) & 0xffffffff;
	s->ioc = GUINT64_FROM_LE(desc[1]) >> 32 & 1;
	s->at = 0;
	s->fetched = true;
}

/* The buffer is done: true if that interrupts. */
static bool stream_next(struct hda_stream *s)
{
	struct hda *h = s->hda;
	unsigned n = stream_number(s);
	bool ioc = s->ioc;

	if (ioc)
		h->reg[sd(n, SD_STS)] |= SD_STS_BCIS;
	s->index = s->index >= hda_get(h, sd(n, SD_LVI), 1) ? 0 : s->index + 1;
	stream_fetch(s);
	return ioc;
}

static void stream_move(struct hda_stream *s, uint32_t bytes)
{
	struct hda *h = s->hda;
	unsigned n = stream_number(s);
	uint32_t lpib = hda_get(h, sd(n, SD_LPIB), 4) + bytes;
	uint32_t cbl = hda_get(h, sd(n, SD_CBL), 4);
	bool absent = !hda_masters(h);

	if (is_input(n))
		sound_pipe_record(&s->pipe, s->addr + s->at, bytes, absent);
	else
		sound_pipe_play(&s->pipe, s->addr + s->at, bytes, absent);
	s->at += bytes;
	h->moved += bytes;
	/* 3.3.38: the position wraps at the cyclic buffer's length. */
	if (cbl && lpib >= cbl)
		lpib %= cbl;
	hda_put(h, sd(n, SD_LPIB), 4, lpib);
}

/* 3.6.1: the eight bytes of each stream in the position buffer. */
static void stream_tell_position(const struct hda *h, unsigned n)
{
	uint64_t base = hda_get_address(h, HDA_DPBASE);
	uint32_t lpib = GUINT32_TO_LE(hda_get(h, sd(n, SD_LPIB), 4));

	if (base & 1 && hda_masters(h))
		bus_dma_write(h->dev.host.bus, (base & ~127ull) + 8u * n, &lpib,
			sizeof(lpib));
}

static bool stream_advance(struct hda *h, unsigned n, uint64_t now)
{
	struct hda_stream *s = &h->stream[n];
	uint64_t frames, bytes;
	unsigned buffers = 0;
	bool event = false;

	if (!s->moves || now <= s->start_ns)
		return false;
	frames = audio_frames_of_ns(now - s->start_ns, s->rate) - s->frames;
	/* After a long stop of the host nobody misses more. */
	bytes = MIN(frames, s->rate) * s->frame;
	s->frames += frames;
	if (!s->fetched)
		stream_fetch(s);
	while (bytes && buffers < MAX_BUFFERS) {
		uint32_t some = (uint32_t)MIN(bytes, s->len - s->at);

		if (some)
			stream_move(s, some);
		bytes -= some;
		if (s->at < s->len)
			continue;
		event |= stream_next(s);
		buffers++;
	}
	if (bytes) {
		/* Too many, too small: a bad list ends it. */
		h->reg[sd(n, SD_STS)] |= SD_STS_DESE;
		s->moves = false;
		audio_stream_stop(s->pipe.s);
		event = true;
	}
	stream_tell_position(h, n);
	return event;
}

bool hda_streams_advance(struct hda *h)
{
	uint64_t now = bus_clock_ns(h->dev.host.bus);
	bool event = false;

	for (unsigned n = 0; n < HDA_STREAMS; n++)
		event |= stream_advance(h, n, now);
	return event;
}

static uint64_t stream_due_ns(struct hda_stream *s, uint64_t now)
{
	uint64_t left, end;

	if (!s->fetched)
		stream_fetch(s);
	left = (s->len - s->at + s->frame - 1) / s->frame;
	end = s->start_ns + audio_ns_of_frames(s->frames + left, s->rate);
	if (audio_stream_heard(s->pipe.s))
		end = MIN(end, now + SOUND_CHUNK_NS);
	if (s->hda->reg[HDA_DPBASE] & 1)
		end = MIN(end, now + POSITION_NS);
	return MAX(end, now + SOONEST_NS);
}

void hda_streams_arm(struct hda *h)
{
	uint64_t at = UINT64_MAX, now = bus_clock_ns(h->dev.host.bus);

	for (unsigned n = 0; n < HDA_STREAMS; n++)
		if (h->stream[n].moves)
			at = MIN(at, stream_due_ns(&h->stream[n], now));
	if (at == UINT64_MAX)
		bus_timer_cancel(&h->timer);
	else
		bus_timer_arm(&h->timer, at);
}

/* ---- control ---- */

void hda_stream_init(struct hda *h, unsigned n)
{
	struct hda_stream *s = &h->stream[n];

	s->hda = h;
	sound_pipe_init(
		&s->pipe, h->dev.host.bus, audio_stream_new(h->dev.host.audio));
}

void hda_stream_reset(struct hda *h, unsigned n)
{
	struct hda_stream *s = &h->stream[n];

	audio_stream_stop(s->pipe.s);
	memset(h->reg + sd(n, 0), 0, HDA_SD_SIZE);
	hda_put(h, sd(n, 0x10), 2, is_input(n) ? 0x77 : 0xbf); /* FIFO */
	s->moves = s->fetched = s->ioc = false;
	s->index = 0;
	s->at = s->len = 0;
	s->addr = 0;
	s->pipe.npart = 0;
	hda_stream_clock(h, n);
}

void hda_stream_control(struct hda *h, unsigned n)
{
	struct hda_stream *s = &h->stream[n];
	uint8_t ctl = h->reg[sd(n, SD_CTL)];
	bool held = hda_get(h, HDA_SSYNC, 4) >> n & 1, moves;

	/* 3.3.35: the reset is there until software takes it back. */
	if (ctl & SD_CTL_SRST) {
		hda_stream_reset(h, n);
		h->reg[sd(n, SD_CTL)] = SD_CTL_SRST;
		return;
	}
	if (ctl & SD_CTL_RUN)
		h->reg[sd(n, SD_STS)] |= SD_STS_RDY;
	else
		h->reg[sd(n, SD_STS)] &= ~SD_STS_RDY;
	moves = ctl & SD_CTL_RUN && !held;
	if (moves == s->moves)
		return;
	s->moves = moves;
	if (moves)
		hda_stream_clock(h, n);
	else
		audio_stream_stop(s->pipe.s);
}

/* ---- saved states ---- */

static const struct state_field stream_fields[] = {
	STATE(struct hda_stream, moves),
	STATE(struct hda_stream, index),
	STATE(struct hda_stream, ioc),
	STATE(struct hda_stream, fetched),
	STATE(struct hda_stream, at),
	STATE(struct hda_stream, len),
	STATE(struct hda_stream, addr),
	STATE_STRUCT(struct hda_stream, pipe, &sound_pipe_state),
};

const struct state_list hda_stream_state =
	STATE_LIST("stream", struct hda_stream, 1, stream_fields);
