/*
 * queue_pool.h - worker threads that serve up to 64 queues of a controller.
 *
 * A notification only wakes a worker.  Workers take requests off the queues,
 * carry them out without any lock, put the results back, and interrupt: once
 * for several requests while those are quick.
 *
 * Locks: the bus lock is taken before the pool's, never after.
 */
#ifndef DEV_STORAGE_QUEUE_POOL_H
#define DEV_STORAGE_QUEUE_POOL_H

#include <pthread.h>

#include "bus/bus.h"

#define QUEUE_POOL_WORKERS 8

struct queue_pool;

/* What a worker is at; the first member of the controller's own.  Too big for
 * a stack. */
struct queue_slot {
	unsigned queue, worker;
};

/* opaque is the pool's; what runs with the pool's lock is quick. */
struct queue_pool_ops {
	uint32_t slot_bytes;
	void (*slot_init)(void *opaque, struct queue_slot *s);
	/* Pool's lock: the next request of a queue into the slot.  1; 0: there
	 * is none, the queue will notify; -EINVAL: the driver broke the rules.
	 */
	int (*take)(void *opaque, unsigned queue, struct queue_slot *s);
	/* No lock; may block.  The result, negative: the rules were broken. */
	int64_t (*serve)(void *opaque, struct queue_slot *s);
	/* Bus and pool's lock: the same without waiting, or -EAGAIN: then the
	 * request is put back by untake.  Or both NULL. */
	int64_t (*serve_now)(void *opaque, struct queue_slot *s);
	void (*untake)(void *opaque, struct queue_slot *s);
	/* Pool's lock: tell the driver the result, which may be negative. */
	void (*put)(void *opaque, struct queue_slot *s, int64_t result);
	/* Pool's lock: is more there to take?  A hint. */
	bool (*more)(void *opaque, unsigned queue);
	/* Pool's lock: if nothing is there to take, let the queue notify again:
	 * false.  For pools with patient. */
	bool (*rest)(void *opaque, unsigned queue);
	/* Pool's lock: after put; is an interrupt wanted? */
	bool (*wants)(void *opaque, unsigned queue);
	/* Bus lock. */
	void (*interrupt)(void *opaque, unsigned queue);
	void (*fail)(void *opaque); /* the rules were broken */
};

struct queue_pool {
	struct bus *bus;
	const struct queue_pool_ops *ops;
	void *opaque;
	uint64_t one_by_one; /* bit per queue: no two of its at a time */
	/* Any request may take long: none waits for another, nor does the
	 * driver to hear of one. */
	bool patient;

	pthread_mutex_t lock; /* covers what follows, and the queues */
	pthread_cond_t work, drained, progress;
	uint64_t busy;	  /* bit per queue: has work, need not notify */
	uint64_t serving; /* those of one_by_one that are being served */
	bool stopping, quit;
	unsigned in_flight, sleeping, generation, waiters;
	pthread_t worker[QUEUE_POOL_WORKERS];
	uint64_t active[QUEUE_POOL_WORKERS]; /* which request, or 0 */
	uint8_t at_queue[QUEUE_POOL_WORKERS];
	unsigned nworkers;
	struct queue_slot *here;     /* for who notifies */
	uint64_t requests, usual_ns; /* how long one takes, of late */
};

/* The first four members are set, all else is zero.  0 or -errno: no threads.
 */
int queue_pool_open(struct queue_pool *p);
/* After the last stop, also if it could not be opened.  Bus lock held, released
 * meanwhile. */
void queue_pool_close(struct queue_pool *p);

/* Carry out what is on the queue and needs no waiting, here and now.  True:
 * that was all.  Otherwise queue_pool_notify has to follow.  Bus lock held. */
bool queue_pool_here(struct queue_pool *p, unsigned queue);
/* Work may be waiting.  True: it was not known yet. */
bool queue_pool_notify(struct queue_pool *p, unsigned queue);
/* Waits until nothing is in flight; nobody is interrupted any more for what
 * was. */
void queue_pool_stop(struct queue_pool *p);
/* For dev_class's: waits until all is done that the driver asked for. */
void queue_pool_drain(struct queue_pool *p);
/* Pool's lock held, let go meanwhile: wait until no request of the queue is at
 * work. */
void queue_pool_settle(struct queue_pool *p, unsigned queue);

/*
 * From serve, on a queue of one_by_one: wait until past says that all that came
 * before has been taken (pool's lock held), and until that is done.  False: the
 * controller is being stopped.
 */
bool queue_pool_barrier(struct queue_pool *p, const struct queue_slot *s,
	bool (*past)(void *mark), void *mark);
/* From serve: wait until the requests that were taken before this one and
 * concern it, by the worker that is at them, are done and put. */
void queue_pool_wait_before(struct queue_pool *p, const struct queue_slot *s,
	bool (*concerns)(void *opaque, unsigned worker), void *opaque);

#endif
