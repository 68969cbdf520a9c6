/*
 * virtio_blk.h - what the block device's two files share: virtio_blk.c is the
 * device with its worker threads, virtio_blk_req.c carries out one request.
 */
#ifndef DEV_VIRTIO_VIRTIO_BLK_H
#define DEV_VIRTIO_VIRTIO_BLK_H

#include "block/blk.h"
#include "dev/storage/dma_iov.h"
#include "dev/virtio/virtio.h"

#define VIRTIO_BLK_MAX_DISCARD_SEG 64
#define VIRTIO_BLK_ID_BYTES	   20

_Static_assert(DMA_IOV_MAX >= VIRTQ_MAX_SEGS, "a chain fits the vector");

/* One request at work; each worker thread has one.  Too big for a stack. */
struct virtio_blk_req {
	struct blk *blk;
	const char *serial;
	bool readonly, write_through;
	struct virtq *q; /* only for its bus in virtq_read and virtq_write */
	struct virtq_chain chain;
	struct dma_iov v;
};

/* Carry out r->chain.  No lock held; may block.  Writes data and status into
 * guest memory; returns the bytes for the used ring, or -EINVAL if the chain
 * has no room for header and status. */
int64_t virtio_blk_do(struct virtio_blk_req *r);

#endif
