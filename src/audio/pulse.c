/*
 * pulse.c - sound to and from the user's sound server by libpulse.
 *
 * The connection is made before the jail closes, by the only thread there is;
 * later a thread of its own serves it.  Between that and the mixer stand two
 * rings of frames.  The server plays by its own clock, which is not quite the
 * machine's: what it takes too fast is silence, what it takes too slowly is
 * left out, MAX_MS behind.  While nothing is played or recorded the streams
 * are corked and nobody runs.
 */
#include "audio/pulse.h"

#include <string.h>

#include <glib.h>

#include <pulse/pulseaudio.h>

#define FRAME	   4
#define CONNECT_MS 5000
#define FIRST_MS   40  /* gathered before it plays */
#define MAX_MS	   200 /* more is left out */
#define QUIET_MS   500 /* nobody records any more */
#define RING	   (AUDIO_HZ / 2)
#define MS(n)	   ((n)*AUDIO_HZ / 1000)

struct ring {
	int16_t frame[RING][2];
	unsigned first, n;
};

struct pulse {
	struct audio_sink sink;
	struct audio_source source;
	pa_mainloop *loop;
	pa_context *context;
	pa_stream *play, *record;
	GThread *thread;
	GMutex lock; /* of what follows */
	struct ring out, in;
	bool draining; /* nothing more comes: play what there is */
	bool wanted;   /* somebody records */
	gint64 read_us;
	bool quit;
	/* The thread's. */
	bool playing, recording;
};

/* ---- rings; under the lock ---- */

static void ring_drop(struct ring *r, unsigned n)
{
	n = MIN(n, r->n);
	r->first = (r->first + n) % RING;
	r->n -= n;
}

static void ring_put(struct ring *r, const int16_t *frames, unsigned n)
{
	if (r->n + n > MS(MAX_MS))
		ring_drop(r, r->n + n - MS(MAX_MS) / 2);
	for (unsigned i = 0; i < n && r->n < RING; i++)
		memcpy(r->frame[(r->first + r->n++) % RING], frames + 2 * i,
			FRAME);
}

static unsigned ring_get(struct ring *r, int16_t *frames, unsigned n)
{
	n = MIN(n, r->n);
	for (unsigned i = 0; i < n; i++)
		memcpy(frames + 2 * i, r->frame[(r->first + i) % RING], FRAME);
	ring_drop(r, n);
	return n;
}

/* ---- the thread ---- */

static void stream_cork(pa_stream *s, bool cork)
{
	pa_operation *o = pa_stream_cork(s, cork, NULL, NULL);

	if (o)
		pa_operation_unref(o);
}

/* Under the lock. */
static void pulse_play(struct pulse *p)
{
	int16_t block[480][2];
	size_t room;

	if (!p->play || pa_stream_get_state(p->play) != PA_STREAM_READY)
		return;
	if (!p->playing && p->out.n &&
		(p->draining || p->out.n >= MS(FIRST_MS))) {
		p->playing = true;
		stream_cork(p->play, false);
	}
	while (p->playing && (room = pa_stream_writable_size(p->play)) &&
		room != (size_t)-1) {
		unsigned n = ring_get(&p->out, block[0],
			(unsigned)MIN(room / FRAME, G_N_ELEMENTS(block)));

		if (!n || pa_stream_write(p->play, block, n * FRAME, NULL, 0,
				  PA_SEEK_RELATIVE))
			return;
	}
}

/* The server has played all it had. */
static void pulse_underflow(pa_stream *s, void *opaque)
{
	struct pulse *p = opaque;

	g_mutex_lock(&p->lock);
	if (p->playing && !p->out.n) {
		p->playing = false;
		stream_cork(s, true);
	}
	g_mutex_unlock(&p->lock);
}

static void pulse_recorded(pa_stream *s, size_t bytes, void *opaque)
{
	struct pulse *p = opaque;
	const void *data;

	while (pa_stream_readable_size(s) > 0 &&
		!pa_stream_peek(s, &data, &bytes) && bytes) {
		g_mutex_lock(&p->lock);
		if (data)
			ring_put(&p->in, data,
				(unsigned)MIN(bytes / FRAME, RING));
		g_mutex_unlock(&p->lock);
		pa_stream_drop(s);
	}
}

/* Under the lock. */
static void pulse_record(struct pulse *p)
{
	bool wanted = p->wanted &&
		      g_get_monotonic_time() - p->read_us < QUIET_MS * 1000;

	if (!p->record || pa_stream_get_state(p->record) != PA_STREAM_READY ||
		wanted == p->recording)
		return;
	p->recording = wanted;
	p->wanted = wanted;
	if (!wanted)
		p->in.n = 0;
	stream_cork(p->record, !wanted);
}

static gpointer pulse_thread(gpointer opaque)
{
	struct pulse *p = opaque;
	bool quit = false;

	while (!quit && pa_mainloop_prepare(p->loop, -1) >= 0 &&
		pa_mainloop_poll(p->loop) >= 0 &&
		pa_mainloop_dispatch(p->loop) >= 0) {
		g_mutex_lock(&p->lock);
		pulse_play(p);
		pulse_record(p);
		quit = p->quit;
		g_mutex_unlock(&p->lock);
	}
	return NULL;
}

/* ---- the mixer's side ---- */

static void pulse_sink_write(
	struct audio_sink *s, uint64_t at, const int16_t *frames, unsigned n)
{
	struct pulse *p = (struct pulse *)s;

	g_mutex_lock(&p->lock);
	ring_put(&p->out, frames, n);
	p->draining = false;
	g_mutex_unlock(&p->lock);
	pa_mainloop_wakeup(p->loop);
}

static void pulse_sink_idle(struct audio_sink *s)
{
	struct pulse *p = (struct pulse *)s;

	g_mutex_lock(&p->lock);
	p->draining = true;
	g_mutex_unlock(&p->lock);
	pa_mainloop_wakeup(p->loop);
}

static unsigned pulse_source_read(
	struct audio_source *s, int16_t *frames, unsigned n)
{
	struct pulse *p =
		(struct pulse *)(void *)((char *)s -
					 offsetof(struct pulse, source));
	bool wake;

	g_mutex_lock(&p->lock);
	wake = !p->wanted;
	p->wanted = true;
	p->read_us = g_get_monotonic_time();
	n = ring_get(&p->in, frames, n);
	g_mutex_unlock(&p->lock);
	if (wake)
		pa_mainloop_wakeup(p->loop);
	return n;
}

static void pulse_sink_free(struct audio_sink *s)
{
}

static void pulse_source_free(struct audio_source *s)
{
}

/* ---- life ---- */

static void pulse_free(struct pulse *p)
{
	if (p->thread) {
		g_mutex_lock(&p->lock);
		p->quit = true;
		g_mutex_unlock(&p->lock);
		pa_mainloop_wakeup(p->loop);
		g_thread_join(p->thread);
	}
	if (p->play)
		pa_stream_unref(p->play);
	if (p->record)
		pa_stream_unref(p->record);
	if (p->context) {
		pa_context_disconnect(p->context);
		pa_context_unref(p->context);
	}
	if (p->loop)
		pa_mainloop_free(p->loop);
	g_mutex_clear(&p->lock);
	g_free(p);
}

static void pulse_too_late(pa_mainloop_api *api, pa_time_event *e,
	const struct timeval *tv, void *late)
{
	*(bool *)late = true;
}

static bool pulse_wait_ready(struct pulse *p)
{
	pa_mainloop_api *api = pa_mainloop_get_api(p->loop);
	pa_context_state_t state = PA_CONTEXT_UNCONNECTED;
	pa_time_event *timer;
	struct timeval end;
	bool late = false;

	pa_timeval_add(pa_gettimeofday(&end), CONNECT_MS * PA_USEC_PER_MSEC);
	timer = api->time_new(api, &end, pulse_too_late, &late);
	while (!late &&
		PA_CONTEXT_IS_GOOD(state = pa_context_get_state(p->context)) &&
		state != PA_CONTEXT_READY &&
		pa_mainloop_iterate(p->loop, 1, NULL) >= 0)
		;
	api->time_free(timer);
	return state == PA_CONTEXT_READY;
}

static struct pulse *pulse_open(const char *name, char **why)
{
	struct pulse *p = g_new0(struct pulse, 1);

	g_mutex_init(&p->lock);
	p->loop = pa_mainloop_new();
	if (p->loop)
		p->context = pa_context_new(pa_mainloop_get_api(p->loop), name);
	if (p->context &&
		!pa_context_connect(
			p->context, NULL, PA_CONTEXT_NOAUTOSPAWN, NULL) &&
		pulse_wait_ready(p))
		return p;
	*why = g_strdup(p->context ? pa_strerror(pa_context_errno(p->context))
				   : "there is no memory");
	pulse_free(p);
	return NULL;
}

static pa_stream *pulse_stream(struct pulse *p, const char *name)
{
	const pa_sample_spec spec = {
		.format = PA_SAMPLE_S16NE, .rate = AUDIO_HZ, .channels = 2};

	return pa_stream_new(p->context, name, &spec, NULL);
}

static struct audio_sink *pulse_sink(struct pulse *p)
{
	const pa_buffer_attr want = {.maxlength = (uint32_t)-1,
		.tlength = MS(60) * FRAME,
		.prebuf = 0,
		.minreq = (uint32_t)-1,
		.fragsize = (uint32_t)-1};

	p->sink = (struct audio_sink){.write = pulse_sink_write,
		.idle = pulse_sink_idle,
		.free = pulse_sink_free};
	p->play = pulse_stream(p, "sound");
	if (!p->play)
		return &p->sink;
	pa_stream_set_underflow_callback(p->play, pulse_underflow, p);
	pa_stream_connect_playback(p->play, NULL, &want,
		PA_STREAM_START_CORKED | PA_STREAM_ADJUST_LATENCY, NULL, NULL);
	return &p->sink;
}

static struct audio_source *pulse_source(struct pulse *p)
{
	const pa_buffer_attr want = {.maxlength = (uint32_t)-1,
		.tlength = (uint32_t)-1,
		.prebuf = (uint32_t)-1,
		.minreq = (uint32_t)-1,
		.fragsize = MS(20) * FRAME};

	p->source = (struct audio_source){.rate = AUDIO_HZ,
		.read = pulse_source_read,
		.free = pulse_source_free};
	p->record = pulse_stream(p, "microphone");
	if (!p->record)
		return &p->source;
	pa_stream_set_read_callback(p->record, pulse_recorded, p);
	pa_stream_connect_record(p->record, NULL, &want,
		PA_STREAM_START_CORKED | PA_STREAM_ADJUST_LATENCY);
	return &p->source;
}

static void pulse_start(struct pulse *p)
{
	if (!p->thread)
		p->thread = g_thread_new("pulse", pulse_thread, p);
}

const struct pulse_ops vmeste_pulse_ops = {
	.open = pulse_open,
	.sink = pulse_sink,
	.source = pulse_source,
	.start = pulse_start,
	.free = pulse_free,
};
