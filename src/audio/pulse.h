/*
 * pulse.h - sound to and from the user's sound server, PulseAudio or
 * PipeWire, by libpulse.
 */
#ifndef AUDIO_PULSE_H
#define AUDIO_PULSE_H

#include "audio/audio.h"

struct pulse;

/* A module of its own, vmeste-pulse.so beside the program, as few machines
 * need its libraries. */
struct pulse_ops {
	/* Connect, while files and sockets can be opened; waits a few seconds
	 * at most and makes no thread.  NULL: *why, to be freed. */
	struct pulse *(*open)(const char *name, char **why);
	/* Its ends, to be had once each; they keep it alive. */
	struct audio_sink *(*sink)(struct pulse *p);
	struct audio_source *(*source)(struct pulse *p);
	/* Threads may be made. */
	void (*start)(struct pulse *p);
	/* After its ends. */
	void (*free)(struct pulse *p);
};

/* While files can be opened.  NULL: *why, to be freed. */
const struct pulse_ops *pulse_load(char **why);

/* What the module exports. */
extern const struct pulse_ops vmeste_pulse_ops;

#endif
