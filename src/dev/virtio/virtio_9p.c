/*
 * virtio_9p.c - a folder of the host for the guest: the transport of 9P by a
 * virtqueue (virtio 1.2, 5.14 has its number only; Linux's net/9p and the
 * device that it was written for say that a chain is one request and room for
 * its answer, and that the configuration is the tag's length and the tag).
 *
 * Workers (virtio_pool.h) have requests served by share/share.h; data goes
 * between files and guest RAM directly.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "dev/state.h"
#include "dev/virtio/devices.h"
#include "dev/virtio/virtio_pool.h"
#include "share/share.h"

#define P9_QUEUE_SIZE  128
#define P9_F_MOUNT_TAG 0

struct virtio_9p {
	struct virtio v;
	struct virtio_pool pool;
	/* What each worker is at, by its number; -1: nobody knows. */
	_Atomic(int) tag[QUEUE_POOL_WORKERS];
};

struct p9_config {
	uint16_t len;
	char tag[SHARE_MAX_TAG];
};

/* ---- requests ---- */

struct p9_work {
	struct share_request r;
	struct virtio_9p *d;
	struct virtio_pool_req *req;
	uint16_t flushed;
};

static struct p9_work *work_of(struct share_request *r)
{
	return (struct p9_work *)r;
}

static bool virtio_9p_map(
	struct share_request *r, bool out, uint64_t skip, uint64_t len)
{
	struct virtio_pool_req *req = work_of(r)->req;

	if (!virtio_pool_map(req, out, skip, len))
		return false;
	r->iov = req->v.iov;
	r->niov = req->v.n;
	return true;
}

/* Is that worker at what is flushed, or might it be? */
static bool virtio_9p_concerns(void *opaque, unsigned worker)
{
	const struct p9_work *w = opaque;
	int tag = w->d->tag[worker];

	return tag < 0 || w->flushed == 0xffff || tag == w->flushed;
}

static void virtio_9p_flush(struct share_request *r, uint16_t tag)
{
	struct p9_work *w = work_of(r);

	w->flushed = tag;
	queue_pool_wait_before(
		&w->d->pool.pool, &w->req->slot, virtio_9p_concerns, w);
}

static int64_t virtio_9p_serve(struct virtio *v, struct virtio_pool_req *req)
{
	struct virtio_9p *d = (struct virtio_9p *)v;
	struct share *s = v->dev.host.share;
	uint8_t msg[SHARE_MAX_REQUEST], reply[SHARE_MAX_REPLY];
	struct p9_work w = {.d = d, .req = req};
	size_t n;

	w.r = (struct share_request){.msg = msg,
		.total = req->chain.out_bytes,
		.reply = reply,
		.room = req->chain.in_bytes,
		.map = virtio_9p_map,
		.flush = virtio_9p_flush};
	w.r.len = virtq_read(req->q, &req->chain, 0, msg, sizeof(msg));
	if (w.r.len < SHARE_MIN_MESSAGE || w.r.room < SHARE_MIN_REPLY)
		return -EINVAL;
	d->tag[req->slot.worker] = share_request_tag(msg);
	n = share_serve(s, &w.r);
	if (w.r.data)
		dma_iov_written(&req->v);
	dma_iov_clear(&req->v);
	virtq_write(req->q, &req->chain, 0, reply, n);
	d->tag[req->slot.worker] = -1;
	return (int64_t)(n + w.r.data);
}

/* ---- virtio ---- */

static void virtio_9p_notify(struct virtio *v, unsigned queue)
{
	virtio_pool_notify(&((struct virtio_9p *)v)->pool, queue);
}

static void virtio_9p_stop(struct virtio *v)
{
	queue_pool_stop(&((struct virtio_9p *)v)->pool.pool);
	share_reset(v->dev.host.share);
}

static void virtio_9p_config_get(struct virtio *v, uint8_t *config)
{
	const char *tag = share_tag(v->dev.host.share);
	struct p9_config c = {.len = (uint16_t)strlen(tag)};

	memcpy(c.tag, tag, MIN(c.len, sizeof(c.tag)));
	memcpy(config, &c, sizeof(c));
}

static const struct virtio_type virtio_9p_type = {
	.id = 9,
	.legacy_id = 0x1009,
	.pci_class = 0x00ff00,
	.config_size = sizeof(struct p9_config),
	.config_get = virtio_9p_config_get,
	.notify = virtio_9p_notify,
	.stop = virtio_9p_stop,
};

/* ---- device ---- */

static int virtio_9p_init(struct dev *dev, char *err, unsigned errsize)
{
	struct virtio_9p *d = (struct virtio_9p *)dev;

	if (!dev->host.share) {
		snprintf(err, errsize, "%s: no folder was given", dev->id);
		return -EINVAL;
	}
	for (unsigned i = 0; i < QUEUE_POOL_WORKERS; i++)
		d->tag[i] = -1;
	virtio_init(&d->v, &virtio_9p_type, VIRTIO_BIT(P9_F_MOUNT_TAG), 1,
		P9_QUEUE_SIZE);
	d->pool.v = &d->v;
	d->pool.serve = virtio_9p_serve;
	d->pool.pool.patient = true;
	return virtio_pool_plug(&d->pool, err, errsize);
}

static void virtio_9p_reset(struct dev *dev)
{
	virtio_reset(&((struct virtio_9p *)dev)->v);
}

static void virtio_9p_fini(struct dev *dev)
{
	struct virtio_9p *d = (struct virtio_9p *)dev;

	virtio_pool_fini(&d->pool);
}

static void virtio_9p_describe(struct dev *dev, char *buf, unsigned size)
{
	struct virtio_9p *d = (struct virtio_9p *)dev;
	struct share_counts n;
	char common[160];

	share_count(dev->host.share, &n);
	virtio_describe(&d->v, common, sizeof(common));
	snprintf(buf, size,
		"%s, tag %s%s, %u files known, %u open, %llu requests, "
		"%llu KiB read, %llu KiB written",
		common, share_tag(dev->host.share),
		share_readonly(dev->host.share) ? " read-only" : "", n.fids,
		n.open, (unsigned long long)d->pool.pool.requests,
		(unsigned long long)n.read_bytes >> 10,
		(unsigned long long)n.written_bytes >> 10);
}

/* ---- state ---- */

static void virtio_9p_drain(struct dev *dev)
{
	queue_pool_drain(&((struct virtio_9p *)dev)->pool.pool);
}

static void virtio_9p_get_session(const void *obj, GByteArray *out)
{
	share_save(((const struct virtio_9p *)obj)->v.dev.host.share, out);
}

static int virtio_9p_put_session(
	void *obj, const struct state_bytes *from, char *err, unsigned errsize)
{
	return share_load(((struct virtio_9p *)obj)->v.dev.host.share, from->p,
		from->n, from->apply, err, errsize);
}

static const struct state_blob virtio_9p_session = {
	virtio_9p_get_session, virtio_9p_put_session, SHARE_MAX_STATE};

static const struct state_field virtio_9p_fields[] = {
	STATE_STRUCT(struct virtio_9p, v, &virtio_state),
	STATE_BLOB("session", &virtio_9p_session),
};

static const struct state_list virtio_9p_state =
	STATE_LIST("virtio-9p", struct virtio_9p, 1, virtio_9p_fields);

const struct dev_class virtio_9p_class = {
	.name = "virtio-9p",
	.size = sizeof(struct virtio_9p),
	.init = virtio_9p_init,
	.reset = virtio_9p_reset,
	.fini = virtio_9p_fini,
	.describe = virtio_9p_describe,
	.state = &virtio_9p_state,
	.drain = virtio_9p_drain,
};
