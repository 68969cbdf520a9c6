/*
 * rate.c - from one sampling rate to another.
 */
#include "audio/rate.h"

#include <math.h>
#include <string.h>

#include <glib.h>

/* Of the lower one of the two half rates: room for the filter's slope. */
#define PASS 0.94

static double rate_kernel(double x, double cut, double half)
{
	double w = x / half, y = G_PI * cut * x;

	if (fabs(w) >= 1)
		return 0;
	/* Blackman's window */
	w = 0.42 + 0.5 * cos(G_PI * w) + 0.08 * cos(2 * G_PI * w);
	return w * cut * (fabs(y) < 1e-9 ? 1 : sin(y) / y);
}

/* One row: weights of the window for an output that is f of a sample behind
 * its middle.  Together they are 1, so that silence stays silence. */
static void rate_row(const struct rate *r, float *row, double f, double cut)
{
	double sum = 0, half = r->taps / 2;
	double w[RATE_MAX_TAPS];

	for (unsigned i = 0; i < r->taps; i++) {
		w[i] = rate_kernel(i - (half - 1) - f, cut, half);
		sum += w[i];
	}
	for (unsigned i = 0; i < r->taps; i++)
		row[i] = (float)(w[i] / sum);
}

void rate_init(struct rate *r, unsigned in, unsigned out)
{
	unsigned factor = (in + out - 1) / out;
	double cut = PASS * MIN(1.0, (double)out / in);

	*r = (struct rate){.in = in, .out = out};
	r->taps = MIN(RATE_TAPS * factor, (unsigned)RATE_MAX_TAPS);
	rate_clear(r);
	if (in == out)
		return;
	r->table = g_new(float, (RATE_PHASES + 1) * r->taps);
	for (unsigned p = 0; p <= RATE_PHASES; p++)
		rate_row(r, r->table + p * r->taps, p / (double)RATE_PHASES,
			cut);
}

void rate_fini(struct rate *r)
{
	g_clear_pointer(&r->table, g_free);
}

void rate_clear(struct rate *r)
{
	memset(r->window, 0, sizeof(r->window));
	r->next = 0;
	r->at = r->out;
}

void rate_put(struct rate *r, const float frame[2])
{
	for (unsigned c = 0; c < 2; c++)
		r->window[c][r->next] = r->window[c][r->next + r->taps] =
			frame[c];
	r->next = (r->next + 1) % r->taps;
	r->at -= r->out;
}

bool rate_get(struct rate *r, float frame[2])
{
	unsigned last = (r->next + r->taps - 1) % r->taps;
	float phase = (float)r->at * RATE_PHASES / (float)r->out;
	unsigned row = (unsigned)phase;
	const float *a, *b, *w;
	float between;

	if (r->at >= r->out)
		return false;
	r->at += r->in;
	if (!r->table) {
		frame[0] = r->window[0][last];
		frame[1] = r->window[1][last];
		return true;
	}
	row = MIN(row, RATE_PHASES - 1u);
	between = phase - (float)row;
	a = r->table + row * r->taps;
	b = a + r->taps;
	for (unsigned c = 0; c < 2; c++) {
		float x = 0, y = 0;

		w = r->window[c] + r->next;
		for (unsigned i = 0; i < r->taps; i++) {
			x += a[i] * w[i];
			y += b[i] * w[i];
		}
		frame[c] = x + (y - x) * between;
	}
	return true;
}
