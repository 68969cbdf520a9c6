/*
 * virtio_pool.c - virtqueues served by a pool of worker threads; see
 * virtio_pool.h.
 */
#include "dev/virtio/virtio_pool.h"

#include <errno.h>
#include <stdio.h>

#include <glib.h>

static struct virtq *queue_at(void *opaque, unsigned queue)
{
	return &((struct virtio_pool *)opaque)->v->queue[queue];
}

static void slot_init(void *opaque, struct queue_slot *s)
{
	struct virtio_pool *p = opaque;

	((struct virtio_pool_req *)s)->v.bus = p->v->dev.host.bus;
}

static int take(void *opaque, unsigned queue, struct queue_slot *s)
{
	struct virtio_pool_req *r = (struct virtio_pool_req *)s;
	struct virtq *q = queue_at(opaque, queue);

	r->q = q;
	for (;;) {
		int rc = virtq_pop(q, &r->chain);

		if (rc)
			return rc;
		virtq_set_notify(q, true);
		if (!virtq_available(q))
			return q->broken ? -EINVAL : 0;
		virtq_set_notify(q, false);
	}
}

static int64_t serve(void *opaque, struct queue_slot *s)
{
	struct virtio_pool *p = opaque;

	return p->serve(p->v, (struct virtio_pool_req *)s);
}

static int64_t serve_now(void *opaque, struct queue_slot *s)
{
	struct virtio_pool *p = opaque;

	return p->serve_now(p->v, (struct virtio_pool_req *)s);
}

static void untake(void *opaque, struct queue_slot *s)
{
	virtq_unpop(((struct virtio_pool_req *)s)->q);
}

static void put(void *opaque, struct queue_slot *s, int64_t result)
{
	struct virtio_pool_req *r = (struct virtio_pool_req *)s;

	if (result < 0)
		r->q->broken = true;
	else
		virtq_push(r->q, r->chain.head, (uint32_t)result);
}

static bool more(void *opaque, unsigned queue)
{
	return virtq_available(queue_at(opaque, queue));
}

static bool rest(void *opaque, unsigned queue)
{
	struct virtq *q = queue_at(opaque, queue);

	virtq_set_notify(q, true);
	/* One that broke is there to be taken as such. */
	if (!virtq_available(q) && !q->broken)
		return false;
	virtq_set_notify(q, false);
	return true;
}

static bool wants(void *opaque, unsigned queue)
{
	struct virtio *v = ((struct virtio_pool *)opaque)->v;

	return virtq_wants_interrupt(
		&v->queue[queue], virtio_has(v, VIRTIO_F_NOTIFY_ON_EMPTY));
}

static void interrupt(void *opaque, unsigned queue)
{
	virtio_interrupt(
		((struct virtio_pool *)opaque)->v, queue_at(opaque, queue));
}

static void fail(void *opaque)
{
	virtio_fail(((struct virtio_pool *)opaque)->v);
}

static const struct queue_pool_ops virtio_pool_ops = {
	.slot_bytes = sizeof(struct virtio_pool_req),
	.slot_init = slot_init,
	.take = take,
	.serve = serve,
	.serve_now = serve_now,
	.untake = untake,
	.put = put,
	.more = more,
	.rest = rest,
	.wants = wants,
	.interrupt = interrupt,
	.fail = fail,
};

int virtio_pool_plug(struct virtio_pool *p, char *err, unsigned errsize)
{
	int rc = virtio_plug(p->v, err, errsize);

	if (rc)
		return rc;
	p->pool.bus = p->v->dev.host.bus;
	p->pool.ops = &virtio_pool_ops;
	p->pool.opaque = p;
	rc = queue_pool_open(&p->pool);
	if (rc) {
		snprintf(err, errsize, "%s: no worker thread: %s", p->v->dev.id,
			g_strerror(-rc));
		virtio_pool_fini(p);
	}
	return rc;
}

void virtio_pool_fini(struct virtio_pool *p)
{
	virtio_fini(p->v);
	queue_pool_close(&p->pool);
}

void virtio_pool_notify(struct virtio_pool *p, unsigned queue)
{
	struct virtq *q = queue_at(p, queue);

	if (p->serve_now && !q->broken && queue_pool_here(&p->pool, queue))
		return;
	if (!q->broken && queue_pool_notify(&p->pool, queue)) {
		pthread_mutex_lock(&p->pool.lock);
		if (p->pool.busy >> queue & 1)
			virtq_set_notify(q, false);
		pthread_mutex_unlock(&p->pool.lock);
	}
}

/* ---- waiting for what came before ---- */

struct mark {
	struct virtio_pool *p;
	uint16_t avail[VIRTIO_MAX_QUEUES];
};

static bool past(void *opaque)
{
	struct mark *m = opaque;
	struct queue_pool *q = &m->p->pool;

	for (unsigned i = 0; i < m->p->v->nqueues; i++)
		if (!(q->one_by_one >> i & 1) && q->busy >> i & 1 &&
			(int16_t)(queue_at(m->p, i)->last_avail - m->avail[i]) <
				0)
			return false;
	return true;
}

bool virtio_pool_barrier(struct virtio_pool *p, struct virtio_pool_req *r)
{
	struct mark m = {.p = p};

	pthread_mutex_lock(&p->pool.lock);
	for (unsigned i = 0; i < p->v->nqueues; i++) {
		struct virtq *q = queue_at(p, i);

		if (!q->enabled || p->pool.one_by_one >> i & 1)
			continue;
		m.avail[i] = q->last_avail + virtq_available(q);
		p->pool.busy |= 1ull << i;
	}
	pthread_mutex_unlock(&p->pool.lock);
	return queue_pool_barrier(&p->pool, &r->slot, past, &m);
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
