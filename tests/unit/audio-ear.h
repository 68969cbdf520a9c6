/* audio-ear.h - a sink that remembers, for tests of sound. */
#ifndef TESTS_UNIT_AUDIO_EAR_H
#define TESTS_UNIT_AUDIO_EAR_H

#include <math.h>
#include <string.h>

#include <glib.h>

#include "audio/audio.h"

#define EAR_FRAMES (AUDIO_HZ * 4)

struct ear {
	struct audio_sink sink;
	int16_t frame[EAR_FRAMES][2]; /* from the first one heard */
	bool begun;
	uint64_t first, n, idle;
};

static inline void ear_write(
	struct audio_sink *s, uint64_t at, const int16_t *frames, unsigned n)
{
	struct ear *e = (struct ear *)s;

	if (!e->begun)
		e->first = at;
	e->begun = true;
	g_assert_cmpuint(at, >=, e->first + e->n); /* never back */
	e->n = at - e->first;
	for (unsigned i = 0; i < n && e->n < EAR_FRAMES; i++)
		memcpy(e->frame[e->n++], frames + 2 * i, 4);
}

static inline void ear_idle(struct audio_sink *s)
{
	((struct ear *)s)->idle++;
}

static inline void ear_free(struct audio_sink *s)
{
}

static inline struct ear *ear_new(void)
{
	struct ear *e = g_new0(struct ear, 1);

	e->sink.write = ear_write;
	e->sink.idle = ear_idle;
	e->sink.free = ear_free;
	return e;
}

/* How strong a tone of hz is in n frames from `from`. */
static inline double ear_tone(const struct ear *e, unsigned channel, double hz,
	unsigned from, unsigned n)
{
	double re = 0, im = 0;

	g_assert_cmpuint(from + n, <=, e->n);
	for (unsigned i = 0; i < n; i++) {
		double w = 2 * G_PI * hz * i / AUDIO_HZ;

		re += e->frame[from + i][channel] * cos(w);
		im += e->frame[from + i][channel] * sin(w);
	}
	return 2 * hypot(re, im) / n;
}

/* What is left of n frames without that tone: root mean square. */
static inline double ear_noise(const struct ear *e, unsigned channel, double hz,
	unsigned from, unsigned n)
{
	double all = 0, tone = ear_tone(e, channel, hz, from, n);

	for (unsigned i = 0; i < n; i++)
		all += (double)e->frame[from + i][channel] *
		       e->frame[from + i][channel];
	all = all / n - tone * tone / 2;
	return sqrt(MAX(all, 0));
}

#endif
