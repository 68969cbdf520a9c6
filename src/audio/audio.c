/*
 * audio.c - the mixer: streams of any format into one row of frames.
 *
 * Frames are counted since the machine's clock began.  What is written into
 * the ring can be added to until every running stream has come past it; then
 * it goes to the sink.  A stream that falls behind by half the ring loses what
 * comes late.
 */
#include "audio/audio.h"

#include <math.h>
#include <string.h>

#include <glib.h>

#include "audio/rate.h"

#define RING	   16384u /* frames, a third of a second */
#define BLOCK	   480u	  /* worth handing over */
#define GOES_ON_MS 30u	  /* so short a gap is none */

struct audio_stream {
	struct audio *a;
	struct audio_stream *next;
	struct audio_format f;
	unsigned frame; /* bytes */
	float volume[2];
	struct rate rate; /* to AUDIO_HZ, or from the source's */
	bool recording;	  /* the latter; in = 0: neither yet */
	bool running;
	uint64_t at; /* the frame that comes next */
};

struct audio {
	struct audio_sink *sink;
	struct audio_source *source;
	struct audio_stream *streams;
	uint64_t out; /* the sink has all before this */
	uint64_t end; /* nothing was written from here on */
	bool idle;    /* the sink knows that nothing plays */
	float ring[RING][2];
};

/* ---- samples ---- */

unsigned audio_frame_bytes(const struct audio_format *f)
{
	static const uint8_t bytes[] = {1, 1, 2, 2, 4};

	return f->frame ? f->frame : bytes[f->sample] * f->channels;
}

static unsigned sample_bytes(enum audio_sample sample)
{
	struct audio_format f = {.sample = sample, .channels = 1};

	return audio_frame_bytes(&f);
}

/* As 16 bits would have it. */
static float sample_get(enum audio_sample sample, const uint8_t *p)
{
	uint16_t half;
	uint32_t whole;

	switch (sample) {
	case AUDIO_U8: return (*p - 128) * 256;
	case AUDIO_S8: return (int8_t)*p * 256;
	case AUDIO_S32:
		memcpy(&whole, p, 4);
		return (float)((int32_t)GUINT32_FROM_LE(whole) / 65536.0);
	default: break;
	}
	memcpy(&half, p, 2);
	half = GUINT16_FROM_LE(half);
	return sample == AUDIO_U16 ? (float)(half - 32768)
				   : (float)(int16_t)half;
}

static int16_t sample_clip(float v)
{
	return (int16_t)lrintf(CLAMP(v, -32768.0f, 32767.0f));
}

static void sample_put(enum audio_sample sample, uint8_t *p, float v)
{
	int16_t s = sample_clip(v);
	uint16_t half = GUINT16_TO_LE((uint16_t)s);
	uint32_t whole = GUINT32_TO_LE((uint32_t)s << 16);

	switch (sample) {
	case AUDIO_U8: *p = (uint8_t)((s >> 8) + 128); break;
	case AUDIO_S8: *p = (uint8_t)(s >> 8); break;
	case AUDIO_S32: memcpy(p, &whole, 4); break;
	case AUDIO_U16:
		half = GUINT16_TO_LE((uint16_t)(s + 32768));
		/* fall through */
	case AUDIO_S16: memcpy(p, &half, 2); break;
	}
}

unsigned audio_gain(int db10)
{
	return (unsigned)lrint(
		AUDIO_UNITY * pow(10, CLAMP(db10, -1200, 180) / 200.0));
}

/* ---- the ring ---- */

/* Hand over what comes before `to`; the ring holds no more than it does. */
static void audio_send(struct audio *a, uint64_t to)
{
	uint64_t end = MIN(to, a->out + RING);
	int16_t block[BLOCK * 2];

	while (a->out < end) {
		unsigned n = (unsigned)MIN(end - a->out, BLOCK);

		for (unsigned i = 0; i < n; i++) {
			float *f = a->ring[(a->out + i) % RING];

			block[2 * i] = sample_clip(f[0]);
			block[2 * i + 1] = sample_clip(f[1]);
			f[0] = f[1] = 0;
		}
		a->sink->write(a->sink, a->out, block, n);
		a->out += n;
	}
	a->out = MAX(a->out, to);
}

/* What no stream can change any more goes. */
static void audio_flush(struct audio *a)
{
	uint64_t to = a->end;
	bool running = false;

	for (struct audio_stream *s = a->streams; s; s = s->next) {
		if (!s->running)
			continue;
		running = true;
		to = MIN(to, s->at);
	}
	if (!running || to >= a->out + BLOCK)
		audio_send(a, to);
	if (!running && !a->idle && a->sink->idle)
		a->sink->idle(a->sink);
	a->idle = !running;
}

static void audio_add(struct audio_stream *s, const float frame[2])
{
	struct audio *a = s->a;
	float *f = a->ring[s->at % RING];

	if (s->at >= a->out + RING)
		audio_send(a, s->at - RING / 2);
	if (s->at >= a->out) {
		f[0] += frame[0] * s->volume[0];
		f[1] += frame[1] * s->volume[1];
	}
	s->at++;
	a->end = MAX(a->end, s->at);
}

/* ---- streams ---- */

struct audio_stream *audio_stream_new(struct audio *a)
{
	struct audio_stream *s;

	if (!a)
		return NULL;
	s = g_new0(struct audio_stream, 1);
	s->a = a;
	s->next = a->streams;
	a->streams = s;
	s->volume[0] = s->volume[1] = 1;
	audio_stream_format(s,
		&(struct audio_format){
			.sample = AUDIO_S16, .channels = 2, .rate = AUDIO_HZ});
	return s;
}

void audio_stream_free(struct audio_stream *s)
{
	struct audio_stream **p;

	if (!s)
		return;
	audio_stream_stop(s);
	for (p = &s->a->streams; *p != s;)
		p = &(*p)->next;
	*p = s->next;
	rate_fini(&s->rate);
	g_free(s);
}

bool audio_stream_heard(const struct audio_stream *s)
{
	return s && s->a->sink;
}

bool audio_stream_running(const struct audio_stream *s)
{
	return s && s->running;
}

static void stream_set_rate(struct audio_stream *s, bool recording)
{
	unsigned in = recording ? s->a->source->rate : s->f.rate;
	unsigned out = recording ? s->f.rate : AUDIO_HZ;

	if (s->recording == recording && s->rate.in == in && s->rate.out == out)
		return;
	rate_fini(&s->rate);
	rate_init(&s->rate, in, out);
	s->recording = recording;
}

void audio_stream_format(
	struct audio_stream *s, const struct audio_format *format)
{
	if (!s)
		return;
	s->f = *format;
	s->f.rate = CLAMP(s->f.rate, AUDIO_MIN_RATE, AUDIO_MAX_RATE);
	s->f.channels = MAX(s->f.channels, 1u);
	s->frame = audio_frame_bytes(&s->f);
}

void audio_stream_volume(struct audio_stream *s, unsigned left, unsigned right)
{
	if (!s)
		return;
	s->volume[0] = (float)left / AUDIO_UNITY;
	s->volume[1] = (float)right / AUDIO_UNITY;
}

void audio_stream_start(struct audio_stream *s, uint64_t now_ns)
{
	const unsigned gap = AUDIO_HZ * GOES_ON_MS / 1000;
	struct audio *a;
	uint64_t now;

	if (!audio_stream_heard(s) || s->running)
		return;
	a = s->a;
	now = audio_frames_of_ns(now_ns, AUDIO_HZ);
	s->running = true;
	if (now > s->at + gap || s->at > now + gap) {
		if (s->rate.table)
			rate_clear(&s->rate);
		s->at = now;
	}
	s->at = MAX(s->at, a->out);
	/* Silence till here needs no words. */
	if (a->idle && a->end < s->at)
		a->out = a->end = s->at;
	a->idle = false;
}

void audio_stream_push(struct audio_stream *s, const void *frames, unsigned n)
{
	unsigned right;

	if (!audio_stream_heard(s) || !s->running)
		return;
	stream_set_rate(s, false);
	right = s->f.channels > 1 ? sample_bytes(s->f.sample) : 0;
	for (const uint8_t *p = frames; n; n--, p += s->frame) {
		float frame[2] = {sample_get(s->f.sample, p),
			sample_get(s->f.sample, p + right)};

		rate_put(&s->rate, frame);
		while (rate_get(&s->rate, frame))
			audio_add(s, frame);
	}
	audio_flush(s->a);
}

void audio_stream_stop(struct audio_stream *s)
{
	if (!s || !s->running)
		return;
	s->running = false;
	audio_flush(s->a);
}

/* ---- recording ---- */

static void stream_record(struct audio_stream *s, float frame[2])
{
	int16_t in[2] = {0};

	while (!rate_get(&s->rate, frame)) {
		float f[2];

		if (!s->a->source->read(s->a->source, in, 1))
			in[0] = in[1] = 0;
		f[0] = in[0];
		f[1] = in[1];
		rate_put(&s->rate, f);
	}
}

void audio_stream_pull(struct audio_stream *s, void *frames, unsigned n)
{
	unsigned bytes;

	if (!s)
		return;
	bytes = sample_bytes(s->f.sample);
	if (s->a->source)
		stream_set_rate(s, true);
	for (uint8_t *p = frames; n; n--, p += s->frame) {
		float frame[2] = {0};

		if (s->a->source)
			stream_record(s, frame);
		for (unsigned c = 0; c < s->f.channels; c++)
			sample_put(s->f.sample, p + c * bytes,
				frame[c & 1] * s->volume[c & 1]);
	}
}

/* ---- life ---- */

struct audio *audio_new(struct audio_sink *sink, struct audio_source *source)
{
	struct audio *a = g_new0(struct audio, 1);

	a->sink = sink;
	a->source = source;
	a->idle = true;
	return a;
}

void audio_free(struct audio *a)
{
	if (!a)
		return;
	if (a->sink)
		a->sink->free(a->sink);
	if (a->source)
		a->source->free(a->source);
	g_free(a);
}
