/*
 * disk_queue.c - worker threads for disk controllers; see disk_queue.h.
 *
 * Locks: the bus lock is taken before ours, never after.  A stop raises the
 * generation under the bus lock; a worker that comes to tell of an older one
 * does not touch its job any more.
 */
#include "dev/storage/disk_queue.h"

#include <pthread.h>
#include <signal.h>

#include <glib.h>

#include "dev/dev.h"

#define DISK_QUEUE_MAX_THREADS 8

struct disk_queue {
	struct bus *bus;
	pthread_mutex_t lock; /* covers what follows */
	pthread_cond_t some, idle;
	struct disk_job *first, **last;
	unsigned at_work, generation;
	unsigned to_tell; /* worked on, not told yet */
	bool quit;
	pthread_t thread[DISK_QUEUE_MAX_THREADS];
	unsigned nthreads;
};

/* Ours held, released meanwhile. */
static void disk_queue_serve(struct disk_queue *q, struct dma_iov *v)
{
	struct disk_job *j = q->first;
	unsigned generation = q->generation;

	q->first = j->next;
	if (!q->first)
		q->last = &q->first;
	q->at_work++;
	q->to_tell++;
	pthread_mutex_unlock(&q->lock);

	j->work(j, v);

	pthread_mutex_lock(&q->lock);
	if (!--q->at_work)
		pthread_cond_broadcast(&q->idle);
	pthread_mutex_unlock(&q->lock);

	bus_lock(q->bus);
	if (generation == q->generation)
		j->done(j);
	bus_unlock(q->bus);
	pthread_mutex_lock(&q->lock);
	q->to_tell--;
}

static void *disk_queue_thread(void *opaque)
{
	struct disk_queue *q = opaque;
	struct dma_iov *v = g_new0(struct dma_iov, 1);

	v->bus = q->bus;
	pthread_mutex_lock(&q->lock);
	while (!q->quit) {
		if (q->first)
			disk_queue_serve(q, v);
		else
			pthread_cond_wait(&q->some, &q->lock);
	}
	pthread_mutex_unlock(&q->lock);
	dma_iov_clear(v);
	g_free(v);
	return NULL;
}

struct disk_queue *disk_queue_new(struct bus *b, unsigned threads)
{
	struct disk_queue *q = g_new0(struct disk_queue, 1);
	sigset_t all, old;

	q->bus = b;
	q->last = &q->first;
	pthread_mutex_init(&q->lock, NULL);
	pthread_cond_init(&q->some, NULL);
	pthread_cond_init(&q->idle, NULL);
	/* Signals are for the threads that asked for them. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	threads = MIN(threads, DISK_QUEUE_MAX_THREADS);
	while (q->nthreads < threads && !pthread_create(&q->thread[q->nthreads],
						NULL, disk_queue_thread, q))
		q->nthreads++;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (q->nthreads)
		return q;
	disk_queue_free(q);
	return NULL;
}

void disk_queue_free(struct disk_queue *q)
{
	unsigned depth = 0;

	if (!q)
		return;
	disk_queue_stop(q);
	pthread_mutex_lock(&q->lock);
	q->quit = true;
	pthread_cond_broadcast(&q->some);
	pthread_mutex_unlock(&q->lock);
	/* They may want the bus lock once more. */
	for (; bus_locked(q->bus); depth++)
		bus_unlock(q->bus);
	for (unsigned i = 0; i < q->nthreads; i++)
		pthread_join(q->thread[i], NULL);
	while (depth--)
		bus_lock(q->bus);
	pthread_cond_destroy(&q->idle);
	pthread_cond_destroy(&q->some);
	pthread_mutex_destroy(&q->lock);
	g_free(q);
}

void disk_queue_submit(struct disk_queue *q, struct disk_job *j)
{
	j->next = NULL;
	pthread_mutex_lock(&q->lock);
	*q->last = j;
	q->last = &j->next;
	pthread_cond_signal(&q->some);
	pthread_mutex_unlock(&q->lock);
}

void disk_queue_stop(struct disk_queue *q)
{
	pthread_mutex_lock(&q->lock);
	q->first = NULL;
	q->last = &q->first;
	while (q->at_work)
		pthread_cond_wait(&q->idle, &q->lock);
	q->generation++;
	pthread_mutex_unlock(&q->lock);
}

static bool disk_queue_idle(void *opaque)
{
	struct disk_queue *q = opaque;
	bool idle;

	pthread_mutex_lock(&q->lock);
	idle = !q->first && !q->to_tell;
	pthread_mutex_unlock(&q->lock);
	return idle;
}

void disk_queue_drain(struct disk_queue *q)
{
	dev_wait(q->bus, disk_queue_idle, q);
}
