/*
 * virtio_pool.h - virtqueues served by a pool of worker threads
 * (dev/storage/queue_pool.h).  While there is work on a queue its
 * notifications are off.
 */
#ifndef DEV_VIRTIO_VIRTIO_POOL_H
#define DEV_VIRTIO_VIRTIO_POOL_H

#include "dev/storage/dma_iov.h"
#include "dev/storage/queue_pool.h"
#include "dev/virtio/virtio.h"

_Static_assert(DMA_IOV_MAX >= VIRTQ_MAX_SEGS, "a chain fits the vector");

struct virtio_pool_req {
	struct queue_slot slot;
	struct virtq *q; /* only for its bus in virtq_read and virtq_write */
	struct virtq_chain chain;
	struct dma_iov v; /* to be left empty */
};

struct virtio_pool {
	struct queue_pool pool;
	struct virtio *v;
	/* Carry out r->chain.  No lock held; may block.  The bytes for the used
	 * ring, or -EINVAL if the driver broke the rules. */
	int64_t (*serve)(struct virtio *v, struct virtio_pool_req *r);
	/* The same without waiting, or -EAGAIN.  Optional. */
	int64_t (*serve_now)(struct virtio *v, struct virtio_pool_req *r);
};

/* virtio_plug, and the threads.  The last members are set, all else is zero,
 * but one_by_one and patient.  0; else -errno, err says why, and nothing is
 * left.
 */
int virtio_pool_plug(struct virtio_pool *p, char *err, unsigned errsize);

/* virtio_fini, and the end of the threads.  The other functions of a queue_pool
 * are for this one, too. */
void virtio_pool_fini(struct virtio_pool *p);

/* For virtio_type's callback of that name. */
void virtio_pool_notify(struct virtio_pool *p, unsigned queue);

/* From serve, on a queue of one_by_one: wait until all is done that the driver
 * has made available on the other queues so far.  False: the device is being
 * stopped. */
bool virtio_pool_barrier(struct virtio_pool *p, struct virtio_pool_req *r);

/* Bytes [skip, skip + len) of the chain's buffers to read (out) or to write
 * into r->v.  False: that cannot be. */
bool virtio_pool_map(
	struct virtio_pool_req *r, bool out, uint64_t skip, uint64_t len);

#endif
