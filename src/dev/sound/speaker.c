/*
 * speaker.c - the loudspeaker of a PC: channel 2 of the interval timer through
 * bit 1 of port 0x61.
 *
 * A sample is how long the line was high in its 25 ticks, so tones above what
 * samples can hold, and sounds made by changing pulse widths, come out as a
 * cone would give them.  What does not move is silence.
 */
#include "dev/sound/speaker.h"

#include <math.h>

#include <glib.h>

#include "audio/audio.h"
#include "dev/state.h"
#include "dev/timer/i8254.h"

#define LOUD	 8000.0
#define KEEP	 0.995	    /* of what a cone forgets from sample to sample */
#define QUIET_NS 100000000u /* without a change */
#define CHUNK_NS 10000000u

struct speaker {
	struct dev dev;
	struct dev *pit;
	struct audio_stream *stream;
	struct bus_timer timer;
	uint64_t at; /* next sample */
	uint64_t changed_ns;
	double level, out; /* of the last sample */
};

static uint64_t speaker_tick(uint64_t sample)
{
	return (unsigned __int128)sample * I8254_HZ / AUDIO_HZ;
}

static int16_t speaker_sample(struct speaker *s)
{
	uint64_t from = speaker_tick(s->at), to = speaker_tick(++s->at);
	double level = LOUD * (double)i8254_speaker_high(s->pit, from, to) /
		       (double)(to - from);

	s->out = level - s->level + KEEP * s->out;
	s->level = level;
	return (int16_t)lrint(CLAMP(s->out, -32768.0, 32767.0));
}

static void speaker_advance(struct speaker *s, uint64_t now)
{
	uint64_t end = audio_frames_of_ns(now, AUDIO_HZ);
	int16_t buf[256];

	if (!audio_stream_running(s->stream))
		return;
	/* After a long stop of the host nobody misses more. */
	if (end > s->at + AUDIO_HZ)
		s->at = end - AUDIO_HZ;
	while (s->at < end) {
		unsigned n = (unsigned)MIN(end - s->at, G_N_ELEMENTS(buf));

		for (unsigned i = 0; i < n; i++)
			buf[i] = speaker_sample(s);
		audio_stream_push(s->stream, buf, n);
	}
}

static void speaker_fire(void *opaque)
{
	struct speaker *s = opaque;
	uint64_t now = bus_clock_ns(s->dev.host.bus);

	if (!s->pit)
		return;
	speaker_advance(s, now);
	if (!i8254_speaks(s->pit) && now > s->changed_ns + QUIET_NS)
		audio_stream_stop(s->stream);
	else
		bus_timer_arm(&s->timer, now + CHUNK_NS);
}

/* Until now it was as it was; from now on something may be heard. */
static void speaker_change(void *opaque, bool done)
{
	struct speaker *s = opaque;
	uint64_t now = bus_clock_ns(s->dev.host.bus);

	speaker_advance(s, now);
	if (!done || !audio_stream_heard(s->stream) ||
		(!i8254_speaker_on(s->pit) && !audio_stream_running(s->stream)))
		return;
	s->changed_ns = now;
	if (audio_stream_running(s->stream))
		return;
	audio_stream_start(s->stream, now);
	s->at = audio_frames_of_ns(now, AUDIO_HZ);
	s->level = s->out = 0;
	bus_timer_arm(&s->timer, now + CHUNK_NS);
}

void speaker_attach(struct dev *d, struct dev *pit)
{
	struct speaker *s = (struct speaker *)d;

	s->pit = pit;
	i8254_set_speaker(pit, speaker_change, s);
}

static int speaker_init(struct dev *d, char *err, unsigned errsize)
{
	static const struct audio_format f = {
		.sample = AUDIO_S16, .channels = 1, .rate = AUDIO_HZ};
	struct speaker *s = (struct speaker *)d;

	s->stream = audio_stream_new(d->host.audio);
	audio_stream_format(s->stream, &f);
	bus_timer_init(&s->timer, d->host.bus, speaker_fire, s);
	return 0;
}

static void speaker_reset(struct dev *d)
{
	struct speaker *s = (struct speaker *)d;

	bus_timer_cancel(&s->timer);
	audio_stream_stop(s->stream);
}

static void speaker_fini(struct dev *d)
{
	struct speaker *s = (struct speaker *)d;

	if (s->pit)
		i8254_set_speaker(s->pit, NULL, NULL);
	speaker_reset(d);
	audio_stream_free(s->stream);
}

/* All that is heard follows from the timer; it goes on if it did. */
static int speaker_loaded(
	void *obj, unsigned version, char *err, unsigned errsize)
{
	struct speaker *s = obj;

	if (s->pit && i8254_speaks(s->pit))
		speaker_change(s, true);
	return 0;
}

static const struct state_field speaker_fields[] = {
	STATE_TIMER(struct speaker, timer),
};

static const struct state_list speaker_state = STATE_LIST(
	"speaker", struct speaker, 1, speaker_fields, .loaded = speaker_loaded);

const struct dev_class speaker_class = {
	.name = "speaker",
	.size = sizeof(struct speaker),
	.init = speaker_init,
	.reset = speaker_reset,
	.fini = speaker_fini,
	.state = &speaker_state,
};
