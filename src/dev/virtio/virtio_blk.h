/*
 * virtio_blk.h - what the block device's two files share: virtio_blk.c is the
 * device, virtio_blk_req.c carries out one request.
 */
#ifndef DEV_VIRTIO_VIRTIO_BLK_H
#define DEV_VIRTIO_VIRTIO_BLK_H

#include "block/blk.h"
#include "dev/virtio/virtio_pool.h"

#define VIRTIO_BLK_MAX_DISCARD_SEG 64
#define VIRTIO_BLK_ID_BYTES	   20

struct virtio_blk_disk {
	struct blk *blk;
	const char *serial; /* or NULL */
	bool readonly;
	_Atomic(bool) write_through;
};

/* As a pool's serve; -EINVAL: no room for header and status. */
int64_t virtio_blk_do(
	const struct virtio_blk_disk *d, struct virtio_pool_req *r);

/* As its serve_now. */
int64_t virtio_blk_do_now(
	const struct virtio_blk_disk *d, struct virtio_pool_req *r);

#endif
