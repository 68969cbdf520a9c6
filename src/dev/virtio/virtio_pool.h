/*
 * virtio_pool.h - worker threads that serve a device's queues.
 *
 * A notification only wakes a worker.  Workers take chains off the queues,
 * call the device without any lock, and put the results back.  While there is
 * work on a queue its notifications are off.
 */
#ifndef DEV_VIRTIO_VIRTIO_POOL_H
#define DEV_VIRTIO_VIRTIO_POOL_H

#include "dev/storage/dma_iov.h"
#include "dev/virtio/virtio.h"

#define VIRTIO_POOL_WORKERS 8

_Static_assert(DMA_IOV_MAX >= VIRTQ_MAX_SEGS, "a chain fits the vector");

/* One request at work; each worker thread has one.  Too big for a stack. */
struct virtio_pool_req {
	struct virtq *q; /* only for its bus in virtq_read and virtq_write */
	struct virtq_chain chain;
	struct dma_iov v; /* to be left empty */
	unsigned worker;  /* number of the thread */
};

struct virtio_pool {
	struct virtio *v;
	/* Carry out r->chain.  No lock held; may block.  The bytes for the used
	 * ring, or -EINVAL if the driver broke the rules. */
	int64_t (*serve)(struct virtio *v, struct virtio_pool_req *r);
	uint64_t one_by_one; /* bit per queue: no two of its at a time */

	pthread_mutex_t lock; /* covers what follows, and the queues */
	pthread_cond_t work, drained, progress;
	uint64_t busy;	  /* bit per queue: has work, notifications off */
	uint64_t serving; /* those of one_by_one that are being served */
	bool stopping, quit;
	unsigned in_flight, sleeping, generation, barriers;
	pthread_t worker[VIRTIO_POOL_WORKERS];
	uint64_t active[VIRTIO_POOL_WORKERS]; /* which request, or 0 */
	unsigned nworkers;
	uint64_t requests, usual_ns; /* how long one takes, of late */
};

/* v and serve are set, all else is zero.  0 or -errno: no threads. */
int virtio_pool_open(struct virtio_pool *p);
/* After the last stop, also if it could not be opened.  Bus lock held, released
 * meanwhile. */
void virtio_pool_close(struct virtio_pool *p);

/* For the virtio_type's callbacks of these names. */
void virtio_pool_notify(struct virtio_pool *p, unsigned queue);
/* Waits until nothing is in flight. */
void virtio_pool_stop(struct virtio_pool *p);
/* For dev_class's: waits until all is done that the driver asked for. */
void virtio_pool_drain(struct virtio_pool *p);

/*
 * From serve, on a queue of one_by_one: wait until all that the driver has
 * made available on the other queues so far is done.  False: the device is
 * being stopped.
 */
bool virtio_pool_barrier(struct virtio_pool *p, struct virtio_pool_req *r);

/* Bytes [skip, skip + len) of the chain's buffers to read (out) or to write
 * into r->v.  False: that cannot be. */
bool virtio_pool_map(
	struct virtio_pool_req *r, bool out, uint64_t skip, uint64_t len);

#endif
