/*
 * rate.h - from one sampling rate to another.
 *
 * A windowed sinc in steps of 1/RATE_PHASES of a sample, straight lines in
 * between.  Positions are whole numbers: nothing drifts.
 */
#ifndef AUDIO_RATE_H
#define AUDIO_RATE_H

#include <stdbool.h>

#define RATE_PHASES   128
#define RATE_TAPS     24 /* multiplied when the rate falls */
#define RATE_MAX_TAPS 192

struct rate {
	unsigned in, out;
	unsigned taps;
	/* position of the next output behind the middle of the window, in
	 * 1/out of an input sample */
	unsigned at;
	unsigned next;			    /* where in the window */
	float window[2][2 * RATE_MAX_TAPS]; /* twice, to be read in one go */
	float *table;			    /* [RATE_PHASES + 1][taps] */
};

void rate_init(struct rate *r, unsigned in, unsigned out);
void rate_fini(struct rate *r);
/* Forget what went through. */
void rate_clear(struct rate *r);
/* One frame in; then as many out as there are. */
void rate_put(struct rate *r, const float frame[2]);
bool rate_get(struct rate *r, float frame[2]);

#endif
