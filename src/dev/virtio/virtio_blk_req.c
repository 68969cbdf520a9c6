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
#define MAX_BYTES (256u << 20) /* of data in one request */

struct blk_header {
	uint32_t type, ioprio;
	uint64_t sector;
};

struct blk_range {
	uint64_t sector;
	uint32_t num_sectors, flags;
};

/* ---- guest buffers as an I/O vector ---- */

/* Bytes [skip, skip + len) of n segments into r->v.  fetch: the disk will
 * read them. */
static bool blk_req_map(struct virtio_blk_req *r, const struct virtq_seg *seg,
	unsigned n, uint64_t skip, uint64_t len, bool fetch)
{
	dma_iov_clear(&r->v);
	for (unsigned i = 0; i < n && len; i++) {
		uint64_t l = seg[i].len;

		if (skip >= l) {
			skip -= l;
			continue;
		}
		l = MIN(l - skip, len);
		if (!dma_iov_add(&r->v, seg[i].gpa + skip, l, fetch))
			return false;
		len -= l;
		skip = 0;
	}
	return true;
}

/* ---- the kinds of requests ---- */

static bool blk_req_range(
	struct virtio_blk_req *r, uint64_t sector, uint64_t bytes)
{
	return bytes % SECTOR == 0 && bytes <= MAX_BYTES &&
	       sector <= r->blk->size / SECTOR &&
	       bytes <= r->blk->size - sector * SECTOR;
}

static uint8_t blk_req_read(
	struct virtio_blk_req *r, uint64_t sector, int64_t *used)
{
	struct virtq_chain *c = &r->chain;
	uint64_t len = c->in_bytes - 1;
	uint8_t status = S_IOERR;

	if (!blk_req_range(r, sector, len))
		return S_IOERR;
	if (blk_req_map(r, c->seg + c->nout, c->nin, 0, len, false) &&
		!blk_preadv(r->blk, r->v.iov, (int)r->v.n, sector * SECTOR)) {
		dma_iov_written(&r->v);
		*used += len;
		status = S_OK;
	}
	dma_iov_clear(&r->v);
	return status;
}

static uint8_t blk_req_write(struct virtio_blk_req *r, uint64_t sector)
{
	struct virtq_chain *c = &r->chain;
	uint64_t len = c->out_bytes - sizeof(struct blk_header);
	int rc = -EIO;

	if (r->readonly || !blk_req_range(r, sector, len))
		return S_IOERR;
	if (blk_req_map(
		    r, c->seg, c->nout, sizeof(struct blk_header), len, true))
		rc = blk_pwritev(
			r->blk, r->v.iov, (int)r->v.n, sector * SECTOR);
	if (!rc && r->write_through)
		rc = blk_flush(r->blk);
	dma_iov_clear(&r->v);
	return rc ? S_IOERR : S_OK;
}

static uint8_t blk_req_one_range(
	struct virtio_blk_req *r, uint32_t type, const struct blk_range *g)
{
	uint64_t bytes = (uint64_t)g->num_sectors * SECTOR;
	bool unmap = g->flags & WRITE_ZEROES_F_UNMAP;
	int rc;

	if ((g->flags & ~(uint32_t)WRITE_ZEROES_F_UNMAP) ||
		(type == T_DISCARD && g->flags))
		return S_UNSUPP;
	if (g->sector > r->blk->size / SECTOR ||
		bytes > r->blk->size - g->sector * SECTOR)
		return S_IOERR;
	rc = type == T_DISCARD ? blk_discard(r->blk, g->sector * SECTOR, bytes)
			       : blk_write_zeroes(r->blk, g->sector * SECTOR,
					 bytes, unmap);
	return rc ? S_IOERR : S_OK;
}

static uint8_t blk_req_ranges(struct virtio_blk_req *r, uint32_t type)
{
	struct blk_range g[VIRTIO_BLK_MAX_DISCARD_SEG];
	uint64_t len = r->chain.out_bytes - sizeof(struct blk_header);
	uint8_t status = S_OK;

	if (r->readonly || !len || len % sizeof(g[0]) || len > sizeof(g))
		return S_IOERR;
	virtq_read(r->q, &r->chain, sizeof(struct blk_header), g, len);
	for (unsigned i = 0; i < len / sizeof(g[0]) && status == S_OK; i++)
		status = blk_req_one_range(r, type, &g[i]);
	if (status == S_OK && r->write_through && blk_flush(r->blk))
		status = S_IOERR;
	return status;
}

static uint8_t blk_req_get_id(struct virtio_blk_req *r, int64_t *used)
{
	char id[VIRTIO_BLK_ID_BYTES] = {0};
	size_t len = MIN(r->chain.in_bytes - 1, sizeof(id));

	strncpy(id, r->serial ? r->serial : "", sizeof(id));
	virtq_write(r->q, &r->chain, 0, id, len);
	*used += len;
	return S_OK;
}

int64_t virtio_blk_do(struct virtio_blk_req *r)
{
	struct virtq_chain *c = &r->chain;
	struct blk_header h;
	int64_t used = 1;
	uint8_t status;

	if (c->in_bytes < 1 ||
		virtq_read(r->q, c, 0, &h, sizeof(h)) != sizeof(h))
		return -EINVAL;
	switch (h.type) {
	case T_IN: status = blk_req_read(r, h.sector, &used); break;
	case T_OUT: status = blk_req_write(r, h.sector); break;
	case T_FLUSH: status = blk_flush(r->blk) ? S_IOERR : S_OK; break;
	case T_GET_ID: status = blk_req_get_id(r, &used); break;
	case T_DISCARD:
	case T_WRITE_ZEROES: status = blk_req_ranges(r, h.type); break;
	default: status = S_UNSUPP; break;
	}
	virtq_write(r->q, c, c->in_bytes - 1, &status, 1);
	return used;
}
