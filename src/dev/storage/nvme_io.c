/*
 * nvme_io.c - commands of I/O queues (NVM Express 1.4, chapter 6) and where
 * their data are (4.3, 4.4: physical region pages).
 */
#include "dev/storage/nvme_priv.h"

#include <errno.h>
#include <string.h>

#include <glib.h>

enum {
	IO_FLUSH = 0x00,
	IO_WRITE = 0x01,
	IO_READ = 0x02,
	IO_COMPARE = 0x05,
	IO_WRITE_ZEROES = 0x08,
	IO_DATASET = 0x09,
	IO_VERIFY = 0x0c,
};

#define FUA	   (1u << 30) /* of dword 12 */
#define DEALLOCATE (1u << 25)
#define CHUNK	   65536u

/* ---- where data are ---- */

/* Pages in a row become one piece. */
struct run {
	struct dma_iov *v;
	gpa_t at;
	uint64_t len;
	bool fetch;
};

static bool run_flush(struct run *r)
{
	bool ok = !r->len || dma_iov_add(r->v, r->at, r->len, r->fetch);

	r->len = 0;
	return ok;
}

static bool run_add(struct run *r, gpa_t at, uint64_t len)
{
	if (r->len && r->at + r->len == at) {
		r->len += len;
		return true;
	}
	if (!run_flush(r))
		return false;
	r->at = at;
	r->len = len;
	return true;
}

/* A list of pages; its last entry leads to the next list, if there is more.
 * Those begin at a page's start, so each has many entries. */
static uint16_t map_list(
	struct nvme *d, struct run *r, gpa_t list, uint64_t len)
{
	uint32_t page = nvme_page(d);
	uint64_t e;

	if (list & 7)
		return NVME_BAD_PRP;
	while (len) {
		bool last = (list & (page - 1)) == page - 8;
		uint64_t n = MIN(len, page);

		if (!bus_dma_read(d->dev.host.bus, list, &e, sizeof(e)))
			return NVME_TRANSFER;
		if (e & (page - 1))
			return NVME_BAD_PRP;
		if (last && len > page) {
			list = e;
			continue;
		}
		if (!run_add(r, e, n))
			return NVME_TRANSFER;
		list += 8;
		len -= n;
	}
	return NVME_OK;
}

uint16_t nvme_map(struct nvme *d, const struct nvme_cmd *c, uint64_t len,
	struct dma_iov *v, bool fetch)
{
	struct run r = {.v = v, .fetch = fetch};
	uint32_t page = nvme_page(d);
	uint64_t n = MIN(len, page - (c->prp1 & (page - 1)));
	uint16_t status = NVME_OK;

	dma_iov_clear(v);
	if (len > NVME_MAX_BYTES || (c->flags & 0xc0)) /* no SGLs */
		return NVME_BAD_FIELD;
	if (c->prp1 & 3)
		return NVME_BAD_PRP;
	if (!run_add(&r, c->prp1, n))
		return NVME_TRANSFER;
	len -= n;
	if (len > page)
		status = map_list(d, &r, c->prp2, len);
	else if (len && (c->prp2 & (page - 1)))
		status = NVME_BAD_PRP;
	else if (len && !run_add(&r, c->prp2, len))
		status = NVME_TRANSFER;
	if (!status && !run_flush(&r))
		status = NVME_TRANSFER;
	return status;
}

/* ---- commands ---- */

static uint64_t first_block(const struct nvme_cmd *c)
{
	return c->cdw10 | (uint64_t)c->cdw11 << 32;
}

static uint64_t blocks(const struct nvme_cmd *c)
{
	return (c->cdw12 & 0xffff) + 1;
}

static uint16_t check_range(struct nvme *d, uint64_t lba, uint64_t n)
{
	uint64_t size = d->blk->size / NVME_BLOCK;

	return lba < size && n <= size - lba ? NVME_OK : NVME_LBA_RANGE;
}

static uint16_t medium(int rc, bool write)
{
	switch (rc) {
	case 0: return NVME_OK;
	case -ENOSPC: return NVME_CAPACITY;
	case -EROFS: return NVME_READ_ONLY;
	}
	return write ? NVME_WRITE_FAULT : NVME_READ_ERROR;
}

static uint16_t settle(struct nvme *d, const struct nvme_cmd *c, int rc)
{
	if (!rc && (d->write_through || (c->cdw12 & FUA)))
		rc = blk_flush(d->blk);
	return medium(rc, true);
}

static uint16_t io_read(struct nvme *d, struct nvme_slot *s, uint64_t off)
{
	uint64_t n = blocks(&s->cmd);
	uint16_t status = nvme_map(d, &s->cmd, n * NVME_BLOCK, &s->v, false);

	if (status)
		return status;
	status = medium(blk_preadv(d->blk, s->v.iov, (int)s->v.n, off), false);
	if (!status)
		dma_iov_written(&s->v);
	d->reads++;
	d->read_blocks += n;
	return status;
}

static uint16_t io_write(struct nvme *d, struct nvme_slot *s, uint64_t off)
{
	uint64_t n = blocks(&s->cmd);
	uint16_t status = nvme_map(d, &s->cmd, n * NVME_BLOCK, &s->v, true);

	if (status)
		return status;
	d->writes++;
	d->written_blocks += n;
	return settle(
		d, &s->cmd, blk_pwritev(d->blk, s->v.iov, (int)s->v.n, off));
}

static uint16_t io_compare(struct nvme *d, struct nvme_slot *s, uint64_t off)
{
	uint64_t len = blocks(&s->cmd) * NVME_BLOCK;
	uint16_t status = nvme_map(d, &s->cmd, len, &s->v, true);

	for (unsigned i = 0; !status && i < s->v.n; i++) {
		const struct iovec *e = &s->v.iov[i];
		g_autofree uint8_t *got = g_malloc(e->iov_len);

		status = medium(blk_pread(d->blk, got, e->iov_len, off), false);
		if (!status && memcmp(got, e->iov_base, e->iov_len) != 0)
			status = NVME_MISCOMPARE;
		off += e->iov_len;
	}
	return status;
}

/* Nothing of it is kept. */
static uint16_t io_verify(struct nvme *d, struct nvme_slot *s, uint64_t off)
{
	uint64_t left = blocks(&s->cmd) * NVME_BLOCK;
	g_autofree uint8_t *buf = g_malloc(CHUNK);
	int rc = 0;

	while (left && !rc) {
		size_t n = MIN(left, CHUNK);

		rc = blk_pread(d->blk, buf, n, off);
		off += n;
		left -= n;
	}
	return medium(rc, false);
}

static uint16_t io_zeroes(struct nvme *d, struct nvme_slot *s, uint64_t off)
{
	return settle(d, &s->cmd,
		blk_write_zeroes(d->blk, off, blocks(&s->cmd) * NVME_BLOCK,
			s->cmd.cdw12 & DEALLOCATE));
}

/* 6.7: up to 256 ranges of 16 bytes: attributes, blocks, the first. */
static uint16_t io_dataset(struct nvme *d, struct nvme_slot *s)
{
	unsigned n = (s->cmd.cdw10 & 255) + 1;
	uint8_t list[256 * 16], *at = list;
	uint16_t status;
	int rc = 0;

	if (!(s->cmd.cdw11 & 4)) /* hints, of which nothing is made */
		return NVME_OK;
	if (d->readonly)
		return NVME_READ_ONLY;
	status = nvme_map(d, &s->cmd, n * 16, &s->v, true);
	for (unsigned i = 0; !status && i < s->v.n; i++) {
		memcpy(at, s->v.iov[i].iov_base, s->v.iov[i].iov_len);
		at += s->v.iov[i].iov_len;
	}
	for (unsigned i = 0; !status && i < n; i++) {
		uint32_t count;
		uint64_t lba;

		memcpy(&count, list + 16 * i + 4, 4);
		memcpy(&lba, list + 16 * i + 8, 8);
		if (count)
			status = check_range(d, lba, count);
		if (!status)
			rc = blk_discard(d->blk, lba * NVME_BLOCK,
				(uint64_t)count * NVME_BLOCK);
		if (rc)
			status = medium(rc, true);
	}
	return status;
}

static const struct {
	uint16_t (*fn)(struct nvme *d, struct nvme_slot *s, uint64_t off);
	bool writes;
} media_cmds[] = {
	[IO_WRITE] = {io_write, true},
	[IO_READ] = {io_read, false},
	[IO_COMPARE] = {io_compare, false},
	[IO_WRITE_ZEROES] = {io_zeroes, true},
	[IO_VERIFY] = {io_verify, false},
};

static uint16_t io_command(struct nvme *d, struct nvme_slot *s)
{
	const struct nvme_cmd *c = &s->cmd;
	uint16_t status;

	if (c->flags & 3) /* fused */
		return NVME_BAD_FIELD;
	if (c->nsid != 1 && !(c->opcode == IO_FLUSH && c->nsid == UINT32_MAX))
		return NVME_BAD_NAMESPACE;
	if (c->opcode == IO_FLUSH)
		return medium(blk_flush(d->blk), true);
	if (c->opcode == IO_DATASET)
		return io_dataset(d, s);
	if (c->opcode >= G_N_ELEMENTS(media_cmds) || !media_cmds[c->opcode].fn)
		return NVME_BAD_OPCODE;
	if (media_cmds[c->opcode].writes && d->readonly)
		return NVME_READ_ONLY;
	status = check_range(d, first_block(c), blocks(c));
	if (!status)
		status = media_cmds[c->opcode].fn(
			d, s, first_block(c) * NVME_BLOCK);
	return status;
}

/* ---- queues ---- */

static void slot_init(void *opaque, struct queue_slot *s)
{
	((struct nvme_slot *)s)->v.bus = ((struct nvme *)opaque)->dev.host.bus;
}

/* Only as many as the completion queue has room for; when the host has made
 * some, it rings. */
static int take(void *opaque, unsigned queue, struct queue_slot *slot)
{
	struct nvme_slot *s = (struct nvme_slot *)slot;
	struct nvme *d = opaque;
	struct nvme_sq *q = &d->sq[queue + 1];
	struct nvme_cq *cq = &d->cq[q->cq];

	if (!q->there || q->head == q->tail || nvme_cq_room(cq) == 0)
		return 0;
	bus_dma_read(d->dev.host.bus, q->base + q->head * 64ull, &s->cmd,
		sizeof(s->cmd));
	q->head = (q->head + 1) % q->size;
	s->sq_head = q->head;
	cq->reserved++;
	return 1;
}

static int64_t serve(void *opaque, struct queue_slot *slot)
{
	struct nvme_slot *s = (struct nvme_slot *)slot;

	s->status = io_command(opaque, s);
	dma_iov_clear(&s->v);
	return 0;
}

static int64_t serve_now(void *opaque, struct queue_slot *slot)
{
	struct nvme_slot *s = (struct nvme_slot *)slot;
	const struct nvme_cmd *c = &s->cmd;
	struct nvme *d = opaque;
	int rc = -EAGAIN;

	if (c->opcode != IO_READ || (c->flags & 3) || c->nsid != 1 ||
		blocks(c) * NVME_BLOCK > CHUNK ||
		check_range(d, first_block(c), blocks(c)))
		return -EAGAIN;
	if (!nvme_map(d, c, blocks(c) * NVME_BLOCK, &s->v, false))
		rc = blk_preadv_now(d->blk, s->v.iov, (int)s->v.n,
			first_block(c) * NVME_BLOCK);
	if (!rc) {
		dma_iov_written(&s->v);
		s->status = NVME_OK;
		d->reads++;
		d->read_blocks += blocks(c);
	}
	dma_iov_clear(&s->v);
	return rc ? -EAGAIN : 0;
}

static void untake(void *opaque, struct queue_slot *slot)
{
	struct nvme *d = opaque;
	struct nvme_sq *q = &d->sq[slot->queue + 1];

	d->cq[q->cq].reserved--;
	q->head = (q->head + q->size - 1) % q->size;
}

static void put(void *opaque, struct queue_slot *slot, int64_t result)
{
	struct nvme_slot *s = (struct nvme_slot *)slot;
	struct nvme *d = opaque;
	unsigned sq = slot->queue + 1;

	d->cq[d->sq[sq].cq].reserved--;
	if (s->status)
		nvme_note_error(d, sq, &s->cmd, s->status);
	nvme_complete(d, sq, s->sq_head, s->cmd.cid, 0, s->status);
}

static bool more(void *opaque, unsigned queue)
{
	const struct nvme_sq *q = &((struct nvme *)opaque)->sq[queue + 1];

	return q->head != q->tail;
}

static bool wants(void *opaque, unsigned queue)
{
	struct nvme *d = opaque;
	struct nvme_cq *q = &d->cq[d->sq[queue + 1].cq];
	bool fresh = q->told != q->tail;

	q->told = q->tail;
	return fresh && q->irq;
}

static void interrupt(void *opaque, unsigned queue)
{
	struct nvme *d = opaque;

	nvme_update_irq(d, d->sq[queue + 1].cq);
}

/* serve always answers. */
static void fail(void *opaque)
{
}

const struct queue_pool_ops nvme_pool_ops = {
	.slot_bytes = sizeof(struct nvme_slot),
	.slot_init = slot_init,
	.take = take,
	.serve = serve,
	.serve_now = serve_now,
	.untake = untake,
	.put = put,
	.more = more,
	.wants = wants,
	.interrupt = interrupt,
	.fail = fail,
};
