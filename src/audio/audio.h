/*
 * audio.h - where sound cards and those who listen meet.
 *
 * A card has streams.  It counts their samples by the machine's clock, whether
 * somebody listens or not, and hands over those that have been played; the
 * mixer brings all streams to one rate, adds them up and passes on what no
 * stream can change any more.  Nothing plays: nothing runs.  Recording is the
 * same the other way round, from a source or from silence.
 *
 * Threads: everything here with the bus lock held, but for sinks' and sources'
 * own threads.  A NULL audio gives NULL streams, and with these every call
 * does nothing: cards need not ask.
 */
#ifndef AUDIO_AUDIO_H
#define AUDIO_AUDIO_H

#include <stdbool.h>
#include <stdint.h>

#define AUDIO_HZ    48000u /* of what is mixed */
#define AUDIO_UNITY 65536u /* a volume that changes nothing; at most 8 */

#define AUDIO_MIN_RATE 2000u
#define AUDIO_MAX_RATE 192000u

struct audio;
struct audio_stream;

enum audio_sample { /* little endian */
	AUDIO_U8,
	AUDIO_S8,
	AUDIO_U16,
	AUDIO_S16,
	AUDIO_S32, /* also 20 and 24 bits at the top */
};

struct audio_format {
	enum audio_sample sample;
	unsigned channels; /* the first two are heard */
	unsigned rate;	   /* frames per second; is brought into the limits */
	unsigned frame;	   /* bytes from frame to frame; 0: without gaps */
};

unsigned audio_frame_bytes(const struct audio_format *f);

/* ---- who listens, and where recordings come from ---- */

struct audio_sink {
	/* n frames of two channels, of which the first is frame `at` since the
	 * machine started; what is left out is silence.  Must not wait. */
	void (*write)(struct audio_sink *s, uint64_t at, const int16_t *frames,
		unsigned n);
	/* Nothing plays any more; may be NULL. */
	void (*idle)(struct audio_sink *s);
	void (*free)(struct audio_sink *s);
};

struct audio_source {
	unsigned rate;
	/* Fills in up to n frames of two channels; fewer: silence follows.
	 * Must not wait. */
	unsigned (*read)(struct audio_source *s, int16_t *frames, unsigned n);
	void (*free)(struct audio_source *s);
};

/* Either may be NULL; both are taken over. */
struct audio *audio_new(struct audio_sink *sink, struct audio_source *source);
/* After all streams have gone. */
void audio_free(struct audio *a);

/* ---- streams ---- */

struct audio_stream *audio_stream_new(struct audio *a);
void audio_stream_free(struct audio_stream *s);

/* Somebody listens: samples are worth being fetched. */
bool audio_stream_heard(const struct audio_stream *s);

/* While it stands or runs. */
void audio_stream_format(
	struct audio_stream *s, const struct audio_format *format);
void audio_stream_volume(struct audio_stream *s, unsigned left, unsigned right);

/* It plays from now on.  One that stopped a moment ago goes on where it
 * ended: between two blocks a loudspeaker does not fall silent. */
void audio_stream_start(struct audio_stream *s, uint64_t now_ns);
bool audio_stream_running(const struct audio_stream *s);
/* The next frames. */
void audio_stream_push(struct audio_stream *s, const void *frames, unsigned n);
void audio_stream_stop(struct audio_stream *s);

/* Record the next n frames in the stream's format. */
void audio_stream_pull(struct audio_stream *s, void *frames, unsigned n);

/* A volume by tenths of a decibel. */
unsigned audio_gain(int db10);

/* Frames that a clock of rate has counted in ns. */
static inline uint64_t audio_frames_of_ns(uint64_t ns, unsigned rate)
{
	return (unsigned __int128)ns * rate / 1000000000u;
}

/* When frame n is over. */
static inline uint64_t audio_ns_of_frames(uint64_t n, unsigned rate)
{
	return ((unsigned __int128)n * 1000000000u + rate - 1) / rate;
}

/* ---- files: wav.c ---- */

/* An empty file, taken over.  Its time begins with the first sound; silence
 * between sounds is a hole.  NULL with errno. */
struct audio_sink *audio_wav_sink(int fd);
/* Taken over; once through, then silence.  NULL: *why, not to be freed. */
struct audio_source *audio_wav_source(int fd, const char **why);

#endif
