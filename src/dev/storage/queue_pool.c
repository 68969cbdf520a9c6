/*
 * queue_pool.c - worker threads that serve queues; see queue_pool.h.
 *
 * A worker holds our lock for the queues only, drops it, and takes the bus lock
 * to interrupt.  A stop runs with the bus lock held, waits until nothing is in
 * flight and starts a new generation; a worker that comes for its interrupt
 * afterwards sees that.
 */
#include "dev/storage/queue_pool.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#include <glib.h>

#include "dev/dev.h"

#define POOL_BATCH    8	     /* quick requests to one interrupt */
#define POOL_HERE     4	     /* requests carried out by who notifies */
#define POOL_QUICK_NS 50000u /* about what waking a thread takes */

/* The next request of any queue with work: 1, 0, or -EINVAL for a bad one.
 * Ours held. */
static int queue_pool_take(struct queue_pool *p, struct queue_slot *s)
{
	uint64_t mine;

	while ((mine = p->busy & ~p->serving) && !p->stopping) {
		unsigned i = __builtin_ctzll(mine);
		int rc = p->ops->take(p->opaque, i, s);

		s->queue = i;
		if (rc <= 0)
			p->busy &= ~(1ull << i);
		if (rc)
			return rc;
	}
	return 0;
}

/* More to take than one worker does: wake another.  Not while requests are
 * done sooner than a thread wakes up. */
static void queue_pool_share(struct queue_pool *p, unsigned queue)
{
	if (p->patient && !p->ops->rest(p->opaque, queue))
		p->busy &= ~(1ull << queue);
	if (p->sleeping && p->busy &&
		(p->patient || p->usual_ns >= POOL_QUICK_NS) &&
		p->ops->more(p->opaque, queue))
		pthread_cond_signal(&p->work);
}

/* Interrupts that a worker owes to the driver.  While requests are quick, one
 * for several of them. */
struct queue_pool_owed {
	uint64_t queues; /* bit per queue */
	unsigned count, generation;
	bool fail;
};

/* Ours held, released meanwhile. */
static void queue_pool_tell(struct queue_pool *p, struct queue_pool_owed *o)
{
	uint64_t tell = 0;

	if (o->generation == p->generation)
		for (uint64_t m = o->queues; m; m &= m - 1) {
			unsigned i = __builtin_ctzll(m);

			if (p->ops->wants(p->opaque, i))
				tell |= 1ull << i;
		}
	o->queues = o->count = 0;
	if (!tell && !o->fail)
		return;
	pthread_mutex_unlock(&p->lock);
	bus_lock(p->bus);
	if (o->generation == p->generation) {
		for (uint64_t m = tell; m; m &= m - 1)
			p->ops->interrupt(p->opaque, __builtin_ctzll(m));
		if (o->fail)
			p->ops->fail(p->opaque);
	}
	bus_unlock(p->bus);
	o->fail = false;
	pthread_mutex_lock(&p->lock);
}

static void queue_pool_note_time(struct queue_pool *p, uint64_t ns)
{
	ns = MIN(ns, 100 * POOL_QUICK_NS);
	p->usual_ns += ((int64_t)ns - (int64_t)p->usual_ns) / 8;
}

/* One request, start to end.  Ours held, released meanwhile. */
static void queue_pool_serve(struct queue_pool *p, struct queue_slot *s,
	bool good, struct queue_pool_owed *o)
{
	uint64_t bit = 1ull << s->queue;
	int64_t result = -EINVAL, start;

	if (o->count && o->generation != p->generation)
		*o = (struct queue_pool_owed){0}; /* reset since */
	o->generation = p->generation;
	p->in_flight++;
	p->requests++;
	p->active[s->worker] = p->requests;
	p->at_queue[s->worker] = s->queue;
	p->serving |= bit & p->one_by_one;
	queue_pool_share(p, s->queue);
	pthread_mutex_unlock(&p->lock);

	start = g_get_monotonic_time();
	if (good)
		result = p->ops->serve(p->opaque, s);

	pthread_mutex_lock(&p->lock);
	queue_pool_note_time(p, (g_get_monotonic_time() - start) * 1000);
	p->ops->put(p->opaque, s, result);
	if (result < 0) {
		o->fail = true;
	} else {
		o->queues |= bit;
		o->count++;
	}
	p->in_flight--;
	p->active[s->worker] = 0;
	p->serving &= ~bit;
	if (p->waiters)
		pthread_cond_broadcast(&p->progress);
	if (p->stopping && !p->in_flight)
		pthread_cond_broadcast(&p->drained);
	if (o->fail || o->count >= POOL_BATCH || p->patient ||
		p->usual_ns >= POOL_QUICK_NS)
		queue_pool_tell(p, o);
}

static void *queue_pool_worker(void *opaque)
{
	struct queue_pool *p = opaque;
	struct queue_slot *s = g_malloc0(p->ops->slot_bytes);
	struct queue_pool_owed owed = {0};

	pthread_mutex_lock(&p->lock);
	while (p->worker[s->worker] != pthread_self())
		s->worker++;
	p->ops->slot_init(p->opaque, s);
	while (!p->quit) {
		int rc = queue_pool_take(p, s);

		if (rc) {
			queue_pool_serve(p, s, rc > 0, &owed);
			continue;
		}
		if (owed.count) {
			queue_pool_tell(p, &owed);
			continue;
		}
		p->sleeping++;
		pthread_cond_wait(&p->work, &p->lock);
		p->sleeping--;
	}
	pthread_mutex_unlock(&p->lock);
	g_free(s);
	return NULL;
}

int queue_pool_open(struct queue_pool *p)
{
	sigset_t all, old;
	int rc = 0;

	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->work, NULL);
	pthread_cond_init(&p->drained, NULL);
	pthread_cond_init(&p->progress, NULL);
	/* Signals are for the threads that asked for them. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	p->here = g_malloc0(p->ops->slot_bytes);
	p->ops->slot_init(p->opaque, p->here);
	pthread_mutex_lock(&p->lock);
	while (p->nworkers < QUEUE_POOL_WORKERS && !rc) {
		rc = pthread_create(
			&p->worker[p->nworkers], NULL, queue_pool_worker, p);
		p->nworkers += !rc;
	}
	pthread_mutex_unlock(&p->lock);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return p->nworkers > 1 ? 0 : -rc;
}

/* The workers may want the bus lock once more before they can be joined. */
void queue_pool_close(struct queue_pool *p)
{
	unsigned depth;

	pthread_mutex_lock(&p->lock);
	p->quit = true;
	pthread_cond_broadcast(&p->work);
	pthread_mutex_unlock(&p->lock);
	depth = dev_let_go(p->bus);
	for (unsigned i = 0; i < p->nworkers; i++)
		pthread_join(p->worker[i], NULL);
	dev_take_back(p->bus, depth);
	p->nworkers = 0;
	g_clear_pointer(&p->here, g_free);
	pthread_cond_destroy(&p->progress);
	pthread_cond_destroy(&p->drained);
	pthread_cond_destroy(&p->work);
	pthread_mutex_destroy(&p->lock);
}

/*
 * Waking a thread, and the processor that waits for its interrupt, take longer
 * than a few pages out of the host's page cache.
 */
static bool queue_pool_one_here(
	struct queue_pool *p, unsigned queue, bool *empty, bool *bad)
{
	struct queue_slot *s = p->here;
	int rc = p->ops->take(p->opaque, queue, s);
	int64_t result = -EINVAL;

	s->queue = queue;
	*empty = rc == 0;
	*bad = rc < 0;
	if (!rc)
		return false;
	if (rc > 0)
		result = p->ops->serve_now(p->opaque, s);
	if (result == -EAGAIN) {
		p->ops->untake(p->opaque, s);
		return false;
	}
	p->requests += !*bad;
	p->ops->put(p->opaque, s, result);
	return !*bad;
}

bool queue_pool_here(struct queue_pool *p, unsigned queue)
{
	bool empty = false, bad = false, wants = false;
	unsigned n = 0;

	if (!p->ops->serve_now)
		return false;
	pthread_mutex_lock(&p->lock);
	if (!(p->busy >> queue & 1)) {
		while (n < POOL_HERE &&
			queue_pool_one_here(p, queue, &empty, &bad))
			n++;
		wants = n && p->ops->wants(p->opaque, queue);
	}
	pthread_mutex_unlock(&p->lock);
	if (wants)
		p->ops->interrupt(p->opaque, queue);
	if (bad)
		p->ops->fail(p->opaque);
	return empty || bad;
}

bool queue_pool_notify(struct queue_pool *p, unsigned queue)
{
	bool fresh;

	pthread_mutex_lock(&p->lock);
	fresh = !(p->busy >> queue & 1);
	p->busy |= 1ull << queue;
	if (fresh && p->sleeping)
		pthread_cond_signal(&p->work);
	pthread_mutex_unlock(&p->lock);
	return fresh;
}

void queue_pool_stop(struct queue_pool *p)
{
	pthread_mutex_lock(&p->lock);
	p->stopping = true;
	pthread_cond_broadcast(&p->progress);
	while (p->in_flight)
		pthread_cond_wait(&p->drained, &p->lock);
	p->stopping = false;
	p->busy = 0;
	p->generation++;
	pthread_mutex_unlock(&p->lock);
}

static bool queue_pool_idle(void *opaque)
{
	struct queue_pool *p = opaque;
	bool idle;

	pthread_mutex_lock(&p->lock);
	idle = !p->busy && p->sleeping == p->nworkers;
	pthread_mutex_unlock(&p->lock);
	return idle;
}

void queue_pool_drain(struct queue_pool *p)
{
	dev_wait(p->bus, queue_pool_idle, p);
}

static bool queue_pool_at_work(const struct queue_pool *p, unsigned queue)
{
	for (unsigned i = 0; i < p->nworkers; i++)
		if (p->active[i] && p->at_queue[i] == queue)
			return true;
	return false;
}

void queue_pool_settle(struct queue_pool *p, unsigned queue)
{
	p->waiters++;
	while (queue_pool_at_work(p, queue))
		pthread_cond_wait(&p->progress, &p->lock);
	p->waiters--;
}

/* ---- waiting for what came before ---- */

static bool queue_pool_older(
	const struct queue_pool *p, uint64_t request, unsigned self)
{
	for (unsigned i = 0; i < p->nworkers; i++)
		if (i != self && p->active[i] && p->active[i] <= request)
			return true;
	return false;
}

static bool queue_pool_before(const struct queue_pool *p,
	const struct queue_slot *s, bool (*concerns)(void *opaque, unsigned w),
	void *opaque)
{
	uint64_t mine = p->active[s->worker];

	for (unsigned i = 0; i < p->nworkers; i++)
		if (i != s->worker && p->active[i] && p->active[i] < mine &&
			concerns(opaque, i))
			return true;
	return false;
}

void queue_pool_wait_before(struct queue_pool *p, const struct queue_slot *s,
	bool (*concerns)(void *opaque, unsigned worker), void *opaque)
{
	pthread_mutex_lock(&p->lock);
	p->waiters++;
	while (queue_pool_before(p, s, concerns, opaque))
		pthread_cond_wait(&p->progress, &p->lock);
	p->waiters--;
	pthread_mutex_unlock(&p->lock);
}

bool queue_pool_barrier(struct queue_pool *p, const struct queue_slot *s,
	bool (*past)(void *mark), void *mark)
{
	uint64_t last;
	bool stopped;

	pthread_mutex_lock(&p->lock);
	pthread_cond_broadcast(&p->work);
	p->waiters++;
	while (!p->stopping && !past(mark))
		pthread_cond_wait(&p->progress, &p->lock);
	last = p->requests;
	while (!p->stopping && queue_pool_older(p, last, s->worker))
		pthread_cond_wait(&p->progress, &p->lock);
	p->waiters--;
	stopped = p->stopping;
	pthread_mutex_unlock(&p->lock);
	return !stopped;
}
