/*
 * virtio_pool.c - worker threads that serve a device's queues; see
 * virtio_pool.h.
 *
 * Locks: the bus lock is taken before ours, never after.  A worker holds ours
 * for the queues only, drops it, and takes the bus lock to interrupt.  A stop
 * runs with the bus lock held, waits until nothing is in flight and starts a
 * new generation; a worker that comes for its interrupt afterwards sees that.
 */
#include "dev/virtio/virtio_pool.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

#include <glib.h>

#define POOL_BATCH    8	     /* quick requests to one interrupt */
#define POOL_QUICK_NS 50000u /* about what waking a thread takes */

/* The next chain of any queue with work, or false.  Ours held. */
static bool virtio_pool_take(struct virtio_pool *p, struct virtio_pool_req *r)
{
	uint64_t mine;

	while ((mine = p->busy & ~p->serving) && !p->stopping) {
		unsigned i = __builtin_ctzll(mine);
		struct virtq *q = &p->v->queue[i];

		r->q = q;
		switch (virtq_pop(q, &r->chain)) {
		case 1: return true;
		case 0:
			virtq_set_notify(q, true);
			if (!virtq_available(q))
				p->busy &= ~(1ull << i);
			else
				virtq_set_notify(q, false);
			break;
		}
		if (q->broken) {
			p->busy &= ~(1ull << i);
			r->chain.out_bytes = r->chain.in_bytes = 0;
			return true; /* to be reported as a bad request */
		}
	}
	return false;
}

/* More to take than one worker does: wake another.  Not while requests are
 * done sooner than a thread wakes up. */
static void virtio_pool_share(struct virtio_pool *p, struct virtq *q)
{
	if (p->sleeping && p->busy && p->usual_ns >= POOL_QUICK_NS &&
		virtq_available(q))
		pthread_cond_signal(&p->work);
}

/* Interrupts that a worker owes to the driver.  While requests are quick, one
 * for several of them. */
struct virtio_pool_owed {
	uint64_t queues; /* bit per queue */
	unsigned count, generation;
	bool fail;
};

/* Ours held, released meanwhile. */
static void virtio_pool_tell(struct virtio_pool *p, struct virtio_pool_owed *o)
{
	struct virtio *v = p->v;
	struct bus *bus = v->dev.host.bus;
	bool empty = virtio_has(v, VIRTIO_F_NOTIFY_ON_EMPTY);
	uint64_t tell = 0;

	if (o->generation == p->generation)
		for (uint64_t m = o->queues; m; m &= m - 1) {
			unsigned i = __builtin_ctzll(m);

			if (virtq_wants_interrupt(&v->queue[i], empty))
				tell |= 1ull << i;
		}
	o->queues = o->count = 0;
	if (!tell && !o->fail)
		return;
	pthread_mutex_unlock(&p->lock);
	bus_lock(bus);
	if (o->generation == p->generation) {
		for (uint64_t m = tell; m; m &= m - 1)
			virtio_interrupt(v, &v->queue[__builtin_ctzll(m)]);
		if (o->fail)
			virtio_fail(v);
	}
	bus_unlock(bus);
	o->fail = false;
	pthread_mutex_lock(&p->lock);
}

static void virtio_pool_note_time(struct virtio_pool *p, uint64_t ns)
{
	ns = MIN(ns, 100 * POOL_QUICK_NS);
	p->usual_ns += ((int64_t)ns - (int64_t)p->usual_ns) / 8;
}

/* One request, start to end.  Ours held, released meanwhile. */
static void virtio_pool_serve(struct virtio_pool *p, struct virtio_pool_req *r,
	struct virtio_pool_owed *o)
{
	struct virtq *q = r->q;
	uint64_t bit = 1ull << (q - p->v->queue);
	int64_t used, start;

	if (o->count && o->generation != p->generation)
		*o = (struct virtio_pool_owed){0}; /* reset since */
	o->generation = p->generation;
	p->in_flight++;
	p->requests++;
	p->active[r->worker] = p->requests;
	p->serving |= bit & p->one_by_one;
	virtio_pool_share(p, q);
	pthread_mutex_unlock(&p->lock);

	start = g_get_monotonic_time();
	used = p->serve(p->v, r);

	pthread_mutex_lock(&p->lock);
	virtio_pool_note_time(p, (g_get_monotonic_time() - start) * 1000);
	if (used < 0) {
		q->broken = true;
		o->fail = true;
	} else {
		virtq_push(q, r->chain.head, used);
		o->queues |= bit;
		o->count++;
	}
	p->in_flight--;
	p->active[r->worker] = 0;
	p->serving &= ~bit;
	if (p->barriers)
		pthread_cond_broadcast(&p->progress);
	if (p->stopping && !p->in_flight)
		pthread_cond_broadcast(&p->drained);
	if (o->fail || o->count >= POOL_BATCH || p->usual_ns >= POOL_QUICK_NS)
		virtio_pool_tell(p, o);
}

static void *virtio_pool_worker(void *opaque)
{
	struct virtio_pool *p = opaque;
	struct virtio_pool_req *r = g_new0(struct virtio_pool_req, 1);
	struct virtio_pool_owed owed = {0};

	r->v.bus = p->v->dev.host.bus;
	pthread_mutex_lock(&p->lock);
	while (p->worker[r->worker] != pthread_self())
		r->worker++;
	while (!p->quit) {
		if (virtio_pool_take(p, r)) {
			virtio_pool_serve(p, r, &owed);
			continue;
		}
		if (owed.count) {
			virtio_pool_tell(p, &owed);
			continue;
		}
		p->sleeping++;
		pthread_cond_wait(&p->work, &p->lock);
		p->sleeping--;
	}
	pthread_mutex_unlock(&p->lock);
	g_free(r);
	return NULL;
}

int virtio_pool_open(struct virtio_pool *p)
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
	pthread_mutex_lock(&p->lock);
	while (p->nworkers < VIRTIO_POOL_WORKERS && !rc) {
		rc = pthread_create(
			&p->worker[p->nworkers], NULL, virtio_pool_worker, p);
		p->nworkers += !rc;
	}
	pthread_mutex_unlock(&p->lock);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return p->nworkers > 1 ? 0 : -rc;
}

/* The workers may want the bus lock once more before they can be joined. */
void virtio_pool_close(struct virtio_pool *p)
{
	struct bus *bus = p->v->dev.host.bus;
	unsigned depth = 0;

	pthread_mutex_lock(&p->lock);
	p->quit = true;
	pthread_cond_broadcast(&p->work);
	pthread_mutex_unlock(&p->lock);
	for (; bus_locked(bus); depth++)
		bus_unlock(bus);
	for (unsigned i = 0; i < p->nworkers; i++)
		pthread_join(p->worker[i], NULL);
	while (depth--)
		bus_lock(bus);
	p->nworkers = 0;
	pthread_cond_destroy(&p->progress);
	pthread_cond_destroy(&p->drained);
	pthread_cond_destroy(&p->work);
	pthread_mutex_destroy(&p->lock);
}

void virtio_pool_notify(struct virtio_pool *p, unsigned queue)
{
	struct virtq *q = &p->v->queue[queue];

	pthread_mutex_lock(&p->lock);
	if (!(p->busy >> queue & 1) && !q->broken) {
		p->busy |= 1ull << queue;
		virtq_set_notify(q, false);
		if (p->sleeping)
			pthread_cond_signal(&p->work);
	}
	pthread_mutex_unlock(&p->lock);
}

void virtio_pool_stop(struct virtio_pool *p)
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

static bool virtio_pool_idle(void *opaque)
{
	struct virtio_pool *p = opaque;
	bool idle;

	pthread_mutex_lock(&p->lock);
	idle = !p->busy && p->sleeping == p->nworkers;
	pthread_mutex_unlock(&p->lock);
	return idle;
}

void virtio_pool_drain(struct virtio_pool *p)
{
	dev_wait(p->v->dev.host.bus, virtio_pool_idle, p);
}

/* ---- waiting for what came before ---- */

struct virtio_pool_mark {
	uint16_t avail[VIRTIO_MAX_QUEUES];
	uint64_t request; /* 0: not all has been taken off the queues yet */
};

static bool virtio_pool_past(
	struct virtio_pool *p, struct virtio_pool_mark *m, unsigned self)
{
	for (unsigned i = 0; i < p->v->nqueues && !m->request; i++)
		if (!(p->one_by_one >> i & 1) && p->busy >> i & 1 &&
			(int16_t)(p->v->queue[i].last_avail - m->avail[i]) < 0)
			return false;
	if (!m->request)
		m->request = p->requests;
	for (unsigned i = 0; i < p->nworkers; i++)
		if (i != self && p->active[i] && p->active[i] <= m->request)
			return false;
	return true;
}

bool virtio_pool_barrier(struct virtio_pool *p, struct virtio_pool_req *r)
{
	struct virtio_pool_mark m = {0};
	bool stopped;

	pthread_mutex_lock(&p->lock);
	for (unsigned i = 0; i < p->v->nqueues; i++) {
		struct virtq *q = &p->v->queue[i];

		if (!q->enabled || p->one_by_one >> i & 1)
			continue;
		m.avail[i] = q->last_avail + virtq_available(q);
		p->busy |= 1ull << i;
	}
	pthread_cond_broadcast(&p->work);
	p->barriers++;
	while (!p->stopping && !virtio_pool_past(p, &m, r->worker))
		pthread_cond_wait(&p->progress, &p->lock);
	p->barriers--;
	stopped = p->stopping;
	pthread_mutex_unlock(&p->lock);
	return !stopped;
}

/* ---- guest buffers as an I/O vector ---- */

bool virtio_pool_map(
	struct virtio_pool_req *r, bool out, uint64_t skip, uint64_t len)
{
	const struct virtq_seg *seg = r->chain.seg + (out ? 0 : r->chain.nout);
	unsigned n = out ? r->chain.nout : r->chain.nin;

	dma_iov_clear(&r->v);
	for (unsigned i = 0; i < n && len; i++) {
		uint64_t l = seg[i].len;

		if (skip >= l) {
			skip -= l;
			continue;
		}
		l = MIN(l - skip, len);
		if (!dma_iov_add(&r->v, seg[i].gpa + skip, l, out))
			return false;
		len -= l;
		skip = 0;
	}
	return true;
}
