/*
 * virtio_blk_req.c - one request of a virtio block device (virtio 1.2, 5.2.6):
 * a 16-byte header to read, data, and one status byte to write.
 *
 * Data moves between the disk and guest RAM directly.  Buffers that are not
 * plain RAM (shadowed ROM, device memory) go through a bounce buffer.
 */
#include "dev/virtio/virtio_blk.h"

#include <errno.h>
#include <string.h>

#define T_IN	       0
#define T_OUT	       1
#define T_FLUSH	       4
#define T_GET_ID       8
#define T_DISCARD      11
#define T_WRITE_ZEROES 13

#define S_OK	 0
#define S_IOERR	 1
#define S_UNSUPP 2

#define WRITE_ZEROES_F_UNMAP 1

#define SECTOR	  512u
#define NOW_BYTES (64u << 10)  /* read without waiting, at most */
#define MAX_BYTES (256u << 20) /* of data in one request */

struct blk_header {
	uint32_t type, ioprio;
	uint64_t sector;
};

struct blk_range {
	uint64_t sector;
	uint32_t num_sectors, flags;
};

/* ---- the kinds of requests ---- */

static bool blk_req_range(
	const struct virtio_blk_disk *d, uint64_t sector, uint64_t bytes)
{
	return bytes % SECTOR == 0 && bytes <= MAX_BYTES &&
	       sector <= d->blk->size / SECTOR &&
	       bytes <= d->blk->size - sector * SECTOR;
}

static uint8_t blk_req_read(const struct virtio_blk_disk *d,
	struct virtio_pool_req *r, uint64_t sector, int64_t *used)
{
	struct virtq_chain *c = &r->chain;
	uint64_t len = c->in_bytes - 1;
	uint8_t status = S_IOERR;

	if (!blk_req_range(d, sector, len))
		return S_IOERR;
	if (virtio_pool_map(r, false, 0, len) &&
		!blk_preadv(d->blk, r->v.iov, (int)r->v.n, sector * SECTOR)) {
		dma_iov_written(&r->v);
		*used += len;
		status = S_OK;
	}
	dma_iov_clear(&r->v);
	return status;
}

static uint8_t blk_req_write(const struct virtio_blk_disk *d,
	struct virtio_pool_req *r, uint64_t sector)
{
	struct virtq_chain *c = &r->chain;
	uint64_t len = c->out_bytes - sizeof(struct blk_header);
	int rc = -EIO;

	if (d->readonly || !blk_req_range(d, sector, len))
		return S_IOERR;
	if (virtio_pool_map(r, true, sizeof(struct blk_header), len))
		rc = blk_pwritev(
			d->blk, r->v.iov, (int)r->v.n, sector * SECTOR);
	if (!rc && d->write_through)
		rc = blk_flush(d->blk);
	dma_iov_clear(&r->v);
	return rc ? S_IOERR : S_OK;
}

static uint8_t blk_req_one_range(const struct virtio_blk_disk *d,
	struct virtio_pool_req *r, uint32_t type, const struct blk_range *g)
{
	uint64_t bytes = (uint64_t)g->num_sectors * SECTOR;
	bool unmap = g->flags & WRITE_ZEROES_F_UNMAP;
	int rc;

	if ((g->flags & ~(uint32_t)WRITE_ZEROES_F_UNMAP) ||
		(type == T_DISCARD && g->flags))
		return S_UNSUPP;
	if (g->sector > d->blk->size / SECTOR ||
		bytes > d->blk->size - g->sector * SECTOR)
		return S_IOERR;
	rc = type == T_DISCARD ? blk_discard(d->blk, g->sector * SECTOR, bytes)
			       : blk_write_zeroes(d->blk, g->sector * SECTOR,
					 bytes, unmap);
	return rc ? S_IOERR : S_OK;
}

static uint8_t blk_req_ranges(const struct virtio_blk_disk *d,
	struct virtio_pool_req *r, uint32_t type)
{
	struct blk_range g[VIRTIO_BLK_MAX_DISCARD_SEG];
	uint64_t len = r->chain.out_bytes - sizeof(struct blk_header);
	uint8_t status = S_OK;

	if (d->readonly || !len || len % sizeof(g[0]) || len > sizeof(g))
		return S_IOERR;
	virtq_read(r->q, &r->chain, sizeof(struct blk_header), g, len);
	for (unsigned i = 0; i < len / sizeof(g[0]) && status == S_OK; i++)
		status = blk_req_one_range(d, r, type, &g[i]);
	if (status == S_OK && d->write_through && blk_flush(d->blk))
		status = S_IOERR;
	return status;
}

static uint8_t blk_req_get_id(const struct virtio_blk_disk *d,
	struct virtio_pool_req *r, int64_t *used)
{
	char id[VIRTIO_BLK_ID_BYTES] = {0};
	size_t len = MIN(r->chain.in_bytes - 1, sizeof(id));

	strncpy(id, d->serial ? d->serial : "", sizeof(id));
	virtq_write(r->q, &r->chain, 0, id, len);
	*used += len;
	return S_OK;
}

int64_t virtio_blk_do(
	const struct virtio_blk_disk *d, struct virtio_pool_req *r)
{
	struct virtq_chain *c = &r->chain;
	struct blk_header h;
	int64_t used = 1;
	uint8_t status;

	if (c->in_bytes < 1 ||
		virtq_read(r->q, c, 0, &h, sizeof(h)) != sizeof(h))
		return -EINVAL;
	switch (h.type) {
	case T_IN: status = blk_req_read(d, r, h.sector, &used); break;
	case T_OUT: status = blk_req_write(d, r, h.sector); break;
	case T_FLUSH: status = blk_flush(d->blk) ? S_IOERR : S_OK; break;
	case T_GET_ID: status = blk_req_get_id(d, r, &used); break;
	case T_DISCARD:
	case T_WRITE_ZEROES: status = blk_req_ranges(d, r, h.type); break;
	default: status = S_UNSUPP; break;
	}
	virtq_write(r->q, c, c->in_bytes - 1, &status, 1);
	return used;
}

int64_t virtio_blk_do_now(
	const struct virtio_blk_disk *d, struct virtio_pool_req *r)
{
	struct virtq_chain *c = &r->chain;
	uint64_t len = c->in_bytes - 1;
	uint8_t status = S_OK;
	struct blk_header h;
	int rc = -EAGAIN;

	if (c->in_bytes < 1 || len > NOW_BYTES ||
		virtq_read(r->q, c, 0, &h, sizeof(h)) != sizeof(h) ||
		h.type != T_IN || !blk_req_range(d, h.sector, len))
		return -EAGAIN;
	if (virtio_pool_map(r, false, 0, len))
		rc = blk_preadv_now(
			d->blk, r->v.iov, (int)r->v.n, h.sector * SECTOR);
	if (!rc)
		dma_iov_written(&r->v);
	dma_iov_clear(&r->v);
	if (rc)
		return -EAGAIN;
	virtq_write(r->q, c, c->in_bytes - 1, &status, 1);
	return (int64_t)c->in_bytes;
}
