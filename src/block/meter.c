/*
 * meter.c - counting and limits.
 *
 * Each limit has the time at which the next request may begin.  A request puts
 * it off by what it costs at that rate; time that nobody used counts for
 * burst_ms at most.  So a request of any size begins at once if nobody was
 * before it, and pays afterwards.
 */
#include "block/meter.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "block/iov.h"

#define SECOND_NS 1000000000ull

struct count {
	_Atomic(uint64_t) requests, bytes, ns;
};

struct meter {
	struct blk blk;
	struct blk *below;
	struct count count[METER_NWHAT];
	_Atomic(uint64_t) held_ns;
	atomic_bool limited;

	pthread_mutex_t lock; /* covers what follows */
	pthread_cond_t cond;
	struct meter_limits limits;
	bool hurry;
	uint64_t requests_at, bytes_at; /* when the next may begin, ns */
	uint64_t next, serving;		/* numbers of those who wait */
};

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * SECOND_NS + (uint64_t)t.tv_nsec;
}

/* ---- limits ---- */

/* When a request may begin.  Lock held. */
static uint64_t begin_at(const struct meter *t)
{
	uint64_t at = 0;

	if (t->hurry)
		return 0;
	if (t->limits.iops)
		at = t->requests_at;
	if (t->limits.bps)
		at = MAX(at, t->bytes_at);
	return at;
}

static void pay(uint64_t *at, uint64_t earliest, uint64_t n, uint64_t rate)
{
	*at = MAX(*at, earliest);
	if (rate)
		*at += (uint64_t)((double)n / (double)rate * 1e9);
}

/* Lock held; released while sleeping. */
static void sleep_until(struct meter *t, uint64_t at)
{
	const struct timespec end = {
		(time_t)(at / SECOND_NS), (long)(at % SECOND_NS)};

	pthread_cond_timedwait(&t->cond, &t->lock, &end);
}

/* One's turn, and the time for it. */
static void hold_back(struct meter *t, uint64_t bytes)
{
	uint64_t start = now_ns(), now = start, mine, at, burst;

	pthread_mutex_lock(&t->lock);
	mine = t->next++;
	for (;;) {
		at = begin_at(t);
		now = now_ns();
		if (mine != t->serving)
			pthread_cond_wait(&t->cond, &t->lock);
		else if (at > now)
			sleep_until(t, at);
		else
			break;
	}
	t->serving++;
	burst = MIN(now, t->limits.burst_ms * 1000000);
	pay(&t->requests_at, now - burst, 1, t->limits.iops);
	pay(&t->bytes_at, now - burst, bytes, t->limits.bps);
	pthread_cond_broadcast(&t->cond);
	pthread_mutex_unlock(&t->lock);
	atomic_fetch_add_explicit(
		&t->held_ns, now - start, memory_order_relaxed);
}

/* The time a request began. */
static uint64_t meter_begin(struct meter *t, uint64_t bytes)
{
	uint64_t start = now_ns();

	if (atomic_load_explicit(&t->limited, memory_order_relaxed))
		hold_back(t, bytes);
	return start;
}

static int meter_end(struct meter *t, enum meter_what what, uint64_t bytes,
	uint64_t start, int rc)
{
	struct count *c = &t->count[what];

	atomic_fetch_add_explicit(&c->requests, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&c->bytes, bytes, memory_order_relaxed);
	atomic_fetch_add_explicit(
		&c->ns, now_ns() - start, memory_order_relaxed);
	return rc;
}

/* ---- operations ---- */

static int meter_preadv(
	struct blk *b, const struct iovec *iov, int n, uint64_t off)
{
	struct meter *t = (struct meter *)b;
	uint64_t len = iov_bytes(iov, n), start = meter_begin(t, len);

	return meter_end(
		t, METER_READ, len, start, blk_preadv(t->below, iov, n, off));
}

static int meter_preadv_now(
	struct blk *b, const struct iovec *iov, int n, uint64_t off)
{
	struct meter *t = (struct meter *)b;
	uint64_t start;
	int rc;

	if (atomic_load_explicit(&t->limited, memory_order_relaxed))
		return -EAGAIN;
	start = now_ns();
	rc = blk_preadv_now(t->below, iov, n, off);
	return rc ? rc : meter_end(t, METER_READ, iov_bytes(iov, n), start, 0);
}

static int meter_pwritev(
	struct blk *b, const struct iovec *iov, int n, uint64_t off)
{
	struct meter *t = (struct meter *)b;
	uint64_t len = iov_bytes(iov, n), start = meter_begin(t, len);

	return meter_end(
		t, METER_WRITE, len, start, blk_pwritev(t->below, iov, n, off));
}

static int meter_flush(struct blk *b)
{
	struct meter *t = (struct meter *)b;
	uint64_t start = now_ns();

	return meter_end(t, METER_FLUSH, 0, start, blk_flush(t->below));
}

/* Costs a request, and no bytes: none are moved. */
static int meter_discard(struct blk *b, uint64_t off, uint64_t len)
{
	struct meter *t = (struct meter *)b;
	uint64_t start = meter_begin(t, 0);

	return meter_end(
		t, METER_DISCARD, len, start, blk_discard(t->below, off, len));
}

static int meter_write_zeroes(
	struct blk *b, uint64_t off, uint64_t len, bool may_unmap)
{
	struct meter *t = (struct meter *)b;
	uint64_t start = meter_begin(t, 0);

	return meter_end(t, METER_WRITE, len, start,
		blk_write_zeroes(t->below, off, len, may_unmap));
}

static int meter_map(
	struct blk *b, uint64_t off, uint64_t len, struct blk_extent *e)
{
	return blk_map_deep(((struct meter *)b)->below, off, len, e, NULL);
}

static int meter_resize(struct blk *b, uint64_t size)
{
	int rc = blk_resize(((struct meter *)b)->below, size);

	if (!rc)
		b->size = size;
	return rc;
}

static struct blk *meter_below(struct blk *b)
{
	return ((struct meter *)b)->below;
}

static void meter_close(struct blk *b)
{
	struct meter *t = (struct meter *)b;

	blk_close(t->below);
	pthread_cond_destroy(&t->cond);
	pthread_mutex_destroy(&t->lock);
	g_free(t);
}

static const struct blk_ops meter_ops = {
	.name = "meter",
	.preadv = meter_preadv,
	.preadv_now = meter_preadv_now,
	.pwritev = meter_pwritev,
	.flush = meter_flush,
	.discard = meter_discard,
	.write_zeroes = meter_write_zeroes,
	.close = meter_close,
	.resize = meter_resize,
	.map = meter_map,
	.below = meter_below,
};

/* ---- from outside ---- */

void meter_limit(struct blk *b, const struct meter_limits *limits)
{
	struct meter *t = (struct meter *)b;

	pthread_mutex_lock(&t->lock);
	t->limits = *limits;
	/* What was owed at another rate is forgiven. */
	t->requests_at = t->bytes_at = 0;
	atomic_store(&t->limited, limits->iops || limits->bps);
	pthread_cond_broadcast(&t->cond);
	pthread_mutex_unlock(&t->lock);
}

void meter_hurry(struct blk *b, bool on)
{
	struct meter *t = (struct meter *)b;

	pthread_mutex_lock(&t->lock);
	t->hurry = on;
	pthread_cond_broadcast(&t->cond);
	pthread_mutex_unlock(&t->lock);
}

void meter_stat(struct blk *b, struct meter_stat *s)
{
	struct meter *t = (struct meter *)b;

	for (unsigned i = 0; i < METER_NWHAT; i++)
		s->count[i] =
			(struct meter_count){atomic_load(&t->count[i].requests),
				atomic_load(&t->count[i].bytes),
				atomic_load(&t->count[i].ns)};
	s->held_ns = atomic_load(&t->held_ns);
}

struct blk *meter_new(struct blk *below, const struct meter_limits *limits)
{
	struct meter *t = g_new0(struct meter, 1);
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&t->cond, &attr);
	pthread_condattr_destroy(&attr);
	pthread_mutex_init(&t->lock, NULL);
	t->blk.ops = &meter_ops;
	t->blk.size = below->size;
	t->blk.readonly = below->readonly;
	t->blk.can_discard = below->can_discard;
	t->below = below;
	meter_limit(&t->blk, limits);
	return &t->blk;
}
