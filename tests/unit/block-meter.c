/*
 * block-meter.c - limits of a drive, by a clock of the test's own.
 *
 * The linker hands calls for the time, and for waiting up to a time, to the
 * functions below: waiting is a leap of the clock, so all times are exact.
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

#include <glib.h>

#include "block/meter.h"

#define MS     1000000ull
#define SECOND (1000 * MS)
#define K      1000ull

static uint64_t now = 1000 * SECOND;

int __wrap_clock_gettime(clockid_t id, struct timespec *t);
int __wrap_pthread_cond_timedwait(
	pthread_cond_t *c, pthread_mutex_t *m, const struct timespec *end);

int __wrap_clock_gettime(clockid_t id, struct timespec *t)
{
	g_assert_cmpint(id, ==, CLOCK_MONOTONIC);
	*t = (struct timespec){(time_t)(now / SECOND), (long)(now % SECOND)};
	return 0;
}

int __wrap_pthread_cond_timedwait(
	pthread_cond_t *c, pthread_mutex_t *m, const struct timespec *end)
{
	uint64_t at = (uint64_t)end->tv_sec * SECOND + (uint64_t)end->tv_nsec;

	g_assert_cmpuint(at, >, now);
	now = at;
	return ETIMEDOUT;
}

/* ---- a disk that takes no time ---- */

static int any_iov(struct blk *b, const struct iovec *iov, int n, uint64_t off)
{
	return 0;
}

static int any_flush(struct blk *b)
{
	return 0;
}

static int any_range(struct blk *b, uint64_t off, uint64_t len)
{
	return 0;
}

static void any_close(struct blk *b)
{
	g_free(b);
}

static const struct blk_ops any_ops = {
	.name = "any",
	.preadv = any_iov,
	.preadv_now = any_iov,
	.pwritev = any_iov,
	.flush = any_flush,
	.discard = any_range,
	.close = any_close,
};

static struct blk *metered(const struct meter_limits *limits)
{
	struct blk *b = g_new0(struct blk, 1);

	b->ops = &any_ops;
	b->size = 1u << 30;
	b->can_discard = true;
	return meter_new(b, limits);
}

/* ---- when requests begin ---- */

enum what { END, READ, WRITE, DISCARD, FLUSH, IDLE };

struct step {
	enum what what;
	uint64_t n;	/* bytes; of IDLE: ms */
	uint64_t at_ms; /* it ends, since the start; of IDLE: nothing */
	unsigned times; /* 0: once */
};

struct row {
	const char *name;
	struct meter_limits limits;
	struct step step[8];
};

static const struct row rows[] = {
	{"no limit", {0, 0, 100}, {{READ, 1 << 20, 0, 100}}},
	{"ten requests a second", {10, 0, 0},
		{{READ, 512, 0}, {WRITE, 1 << 20, 100}, {DISCARD, 512, 200},
			{READ, 512, 300}}},
	{"flushes cost nothing", {10, 0, 0},
		{{READ, 512, 0}, {FLUSH, 0, 0, 9}, {READ, 512, 100},
			{FLUSH, 0, 100, 9}}},
	{"a megabyte a second", {0, 1000 * K, 0},
		{{READ, 512 * K, 0}, {WRITE, 512 * K, 512},
			{WRITE, 2048 * K, 1024}, {READ, 512, 3072}}},
	{"a large one waits for others, not for itself", {0, 1000 * K, 0},
		{{READ, 10240 * K, 0}, {READ, 512, 10240}}},
	{"discards cost no bytes", {0, 1000 * K, 0},
		{{DISCARD, 10240 * K, 0, 5}, {READ, 512, 0}}},
	{"both", {10, 1000 * K, 0},
		{{READ, 512, 0}, {READ, 1024 * K, 100}, {READ, 512, 1124},
			{READ, 512, 1224}}},
	{"what was not used counts for the burst", {10, 0, 1000},
		{{IDLE, 60000}, {READ, 512, 60000, 11}, {READ, 512, 60100},
			{READ, 512, 60200}}},
	{"and for no more", {10, 0, 200},
		{{IDLE, 60000}, {READ, 512, 60000, 3}, {READ, 512, 60100},
			{IDLE, 60000}, {READ, 512, 120100, 3},
			{READ, 512, 120200}}},
	{"of bytes, too", {0, 1000 * K, 1000},
		{{IDLE, 60000}, {WRITE, 512 * K, 60000, 2},
			{WRITE, 512 * K, 60024}, {READ, 512, 60536}}},
	{"idleness without a burst", {10, 0, 0},
		{{READ, 512, 0}, {IDLE, 60000}, {READ, 512, 60000},
			{READ, 512, 60100}}},
	{"one in a fortnight", {0, 1, 0},
		{{WRITE, 1209600, 0}, {READ, 512, 1209600 * K}}},
};

static int one(struct blk *b, const struct step *s)
{
	struct iovec iov = {NULL, s->n};

	switch (s->what) {
	case READ: return blk_preadv(b, &iov, 1, 0);
	case WRITE: return blk_pwritev(b, &iov, 1, 0);
	case DISCARD: return blk_discard(b, 0, s->n);
	case FLUSH: return blk_flush(b);
	case IDLE: now += s->n * MS; return 0;
	case END: break;
	}
	return -EINVAL;
}

static void test_times(const void *opaque)
{
	const struct row *r = opaque;
	struct blk *b = metered(&r->limits);
	uint64_t start = now, idle = 0, requests = 0;
	struct meter_stat stat;

	for (const struct step *s = r->step; s->what != END; s++) {
		for (unsigned i = 0; i < MAX(s->times, 1); i++) {
			g_assert_cmpint(one(b, s), ==, 0);
			if (s->what != IDLE)
				g_assert_cmpuint(
					(now - start) / MS, ==, s->at_ms);
		}
		idle += s->what == IDLE ? s->n * MS : 0;
		requests += s->what == IDLE ? 0 : MAX(s->times, 1);
	}
	meter_stat(b, &stat);
	g_assert_cmpuint(stat.held_ns, ==, now - start - idle);
	for (unsigned i = 0; i < METER_NWHAT; i++)
		requests -= stat.count[i].requests;
	g_assert_cmpuint(requests, ==, 0);
	blk_close(b);
}

/* ---- changes ---- */

static void test_change(void)
{
	const struct meter_limits none = {0}, ten = {10, 0, 0};
	struct blk *b = metered(&ten);
	const struct step s = {READ, 512, 0};
	uint64_t start = now;
	struct iovec iov = {NULL, 512};

	/* nothing is owed at another rate, or without one */
	one(b, &s);
	meter_limit(b, &ten);
	one(b, &s);
	g_assert_cmpuint(now, ==, start);
	g_assert_cmpint(blk_preadv_now(b, &iov, 1, 0), ==, -EAGAIN);
	meter_limit(b, &none);
	for (unsigned i = 0; i < 100; i++)
		one(b, &s);
	g_assert_cmpint(blk_preadv_now(b, &iov, 1, 0), ==, 0);
	g_assert_cmpuint(now, ==, start);
	/* in a hurry nobody waits, and what is owed is owed still */
	meter_limit(b, &ten);
	meter_hurry(b, true);
	for (unsigned i = 0; i < 20; i++)
		one(b, &s);
	g_assert_cmpuint(now, ==, start);
	meter_hurry(b, false);
	one(b, &s);
	g_assert_cmpuint(now, ==, start + 2 * SECOND);
	blk_close(b);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autofree char *path =
			g_strdup_printf("/meter/%s", rows[i].name);

		g_test_add_data_func(path, &rows[i], test_times);
	}
	g_test_add_func("/meter/changes", test_change);
	return g_test_run();
}
