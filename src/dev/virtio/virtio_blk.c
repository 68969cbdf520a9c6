/*
 * virtio_blk.c - a virtio block device (virtio 1.2, 5.2).
 *
 * A notification only wakes a worker thread.  Workers take chains off the
 * queues, do the I/O without any lock, and put the results back.  While there
 * is work on a queue its notifications are off.
 *
 * Locks: the bus lock is taken before ours, never after.  A worker holds ours
 * for the queues only, drops it, and takes the bus lock to interrupt.  stop()
 * runs with the bus lock held, waits until nothing is in flight and starts a
 * new generation; a worker that comes for its interrupt afterwards sees that.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "dev/state.h"
#include "dev/virtio/devices.h"
#include "dev/virtio/virtio_blk.h"

#define BLK_WORKERS    8
#define BLK_QUEUE_SIZE 256
#define BLK_MAX_QUEUES 16
#define BLK_BATCH      8      /* quick requests to one interrupt */
#define BLK_QUICK_NS   50000u /* about what waking a thread takes */

#define BLK_F_SEG_MAX	   2
#define BLK_F_GEOMETRY	   4
#define BLK_F_RO	   5
#define BLK_F_BLK_SIZE	   6
#define BLK_F_FLUSH	   9
#define BLK_F_TOPOLOGY	   10
#define BLK_F_CONFIG_WCE   11
#define BLK_F_MQ	   12
#define BLK_F_DISCARD	   13
#define BLK_F_WRITE_ZEROES 14

struct virtio_blk_config {
	uint64_t capacity;
	uint32_t size_max, seg_max;
	uint16_t cylinders;
	uint8_t heads, sectors;
	uint32_t blk_size;
	uint8_t physical_block_exp, alignment_offset;
	uint16_t min_io_size;
	uint32_t opt_io_size;
	uint8_t writeback, unused0;
	uint16_t num_queues;
	uint32_t max_discard_sectors, max_discard_seg, discard_sector_alignment;
	uint32_t max_write_zeroes_sectors, max_write_zeroes_seg;
	uint8_t write_zeroes_may_unmap, unused1[3];
};

#define BLK_CONFIG_BYTES 60

struct virtio_blk {
	struct virtio v;
	struct blk *blk;
	bool readonly;
	uint8_t writeback; /* the driver's choice, CONFIG_WCE */

	pthread_mutex_t lock; /* covers what follows, and the queues */
	pthread_cond_t work, drained;
	uint64_t busy; /* bit per queue: has work, notifications off */
	bool stopping, quit, write_through;
	unsigned in_flight, sleeping, generation;
	pthread_t worker[BLK_WORKERS];
	unsigned nworkers;
	uint64_t requests, usual_ns; /* how long one takes, of late */
};

/* ---- workers ---- */

/* The next chain of any queue with work, or false.  Ours held. */
static bool virtio_blk_take(struct virtio_blk *d, struct virtio_blk_req *r)
{
	while (d->busy && !d->stopping) {
		unsigned i = __builtin_ctzll(d->busy);
		struct virtq *q = &d->v.queue[i];

		r->q = q;
		switch (virtq_pop(q, &r->chain)) {
		case 1: return true;
		case 0:
			virtq_set_notify(q, true);
			if (!virtq_available(q))
				d->busy &= ~(1ull << i);
			else
				virtq_set_notify(q, false);
			break;
		}
		if (q->broken) {
			d->busy &= ~(1ull << i);
			r->chain.out_bytes = r->chain.in_bytes = 0;
			return true; /* to be reported as a bad request */
		}
	}
	return false;
}

/* More to take than one worker does: wake another.  Not while requests are
 * done sooner than a thread wakes up. */
static void virtio_blk_share(struct virtio_blk *d, struct virtq *q)
{
	if (d->sleeping && d->busy && d->usual_ns >= BLK_QUICK_NS &&
		virtq_available(q))
		pthread_cond_signal(&d->work);
}

/* Interrupts that a worker owes to the driver.  While requests are quick, one
 * for several of them. */
struct virtio_blk_owed {
	uint64_t queues; /* bit per queue */
	unsigned count, generation;
	bool fail;
};

/* Ours held, released meanwhile. */
static void virtio_blk_tell(struct virtio_blk *d, struct virtio_blk_owed *o)
{
	struct virtio *v = &d->v;
	struct bus *bus = v->dev.host.bus;
	bool empty = virtio_has(v, VIRTIO_F_NOTIFY_ON_EMPTY);
	uint64_t tell = 0;

	if (o->generation == d->generation)
		for (uint64_t m = o->queues; m; m &= m - 1) {
			unsigned i = __builtin_ctzll(m);

			if (virtq_wants_interrupt(&v->queue[i], empty))
				tell |= 1ull << i;
		}
	o->queues = o->count = 0;
	if (!tell && !o->fail)
		return;
	pthread_mutex_unlock(&d->lock);
	bus_lock(bus);
	if (o->generation == d->generation) {
		for (uint64_t m = tell; m; m &= m - 1)
			virtio_interrupt(v, &v->queue[__builtin_ctzll(m)]);
		if (o->fail)
			virtio_fail(v);
	}
	bus_unlock(bus);
	o->fail = false;
	pthread_mutex_lock(&d->lock);
}

static void virtio_blk_note_time(struct virtio_blk *d, uint64_t ns)
{
	ns = MIN(ns, 100 * BLK_QUICK_NS);
	d->usual_ns += ((int64_t)ns - (int64_t)d->usual_ns) / 8;
}

/* One request, start to end.  Ours held, released meanwhile. */
static void virtio_blk_serve(struct virtio_blk *d, struct virtio_blk_req *r,
	struct virtio_blk_owed *o)
{
	struct virtq *q = r->q;
	int64_t used, start;

	if (o->count && o->generation != d->generation)
		*o = (struct virtio_blk_owed){0}; /* reset since */
	o->generation = d->generation;
	d->in_flight++;
	d->requests++;
	r->write_through = d->write_through;
	virtio_blk_share(d, q);
	pthread_mutex_unlock(&d->lock);

	start = g_get_monotonic_time();
	used = virtio_blk_do(r);

	pthread_mutex_lock(&d->lock);
	virtio_blk_note_time(d, (g_get_monotonic_time() - start) * 1000);
	if (used < 0) {
		q->broken = true;
		o->fail = true;
	} else {
		virtq_push(q, r->chain.head, used);
		o->queues |= 1ull << (q - d->v.queue);
		o->count++;
	}
	d->in_flight--;
	if (d->stopping && !d->in_flight)
		pthread_cond_broadcast(&d->drained);
	if (o->fail || o->count >= BLK_BATCH || d->usual_ns >= BLK_QUICK_NS)
		virtio_blk_tell(d, o);
}

static void *virtio_blk_worker(void *opaque)
{
	struct virtio_blk *d = opaque;
	struct virtio_blk_req *r = g_new0(struct virtio_blk_req, 1);
	struct virtio_blk_owed owed = {0};

	r->v.bus = d->v.dev.host.bus;
	r->blk = d->blk;
	r->readonly = d->readonly;
	r->serial = d->v.dev.host.serial;
	pthread_mutex_lock(&d->lock);
	while (!d->quit) {
		if (virtio_blk_take(d, r)) {
			virtio_blk_serve(d, r, &owed);
			continue;
		}
		if (owed.count) {
			virtio_blk_tell(d, &owed);
			continue;
		}
		d->sleeping++;
		pthread_cond_wait(&d->work, &d->lock);
		d->sleeping--;
	}
	pthread_mutex_unlock(&d->lock);
	g_free(r);
	return NULL;
}

static int virtio_blk_start_workers(struct virtio_blk *d)
{
	sigset_t all, old;
	int rc = 0;

	/* Signals are for the threads that asked for them. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	while (d->nworkers < BLK_WORKERS && !rc) {
		rc = pthread_create(
			&d->worker[d->nworkers], NULL, virtio_blk_worker, d);
		d->nworkers += !rc;
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return d->nworkers ? 0 : -rc;
}

/* The workers may want the bus lock once more before they can be joined. */
static void virtio_blk_join_workers(struct virtio_blk *d)
{
	struct bus *bus = d->v.dev.host.bus;
	unsigned depth = 0;

	pthread_mutex_lock(&d->lock);
	d->quit = true;
	pthread_cond_broadcast(&d->work);
	pthread_mutex_unlock(&d->lock);
	for (; bus_locked(bus); depth++)
		bus_unlock(bus);
	for (unsigned i = 0; i < d->nworkers; i++)
		pthread_join(d->worker[i], NULL);
	while (depth--)
		bus_lock(bus);
	d->nworkers = 0;
}

/* ---- virtio ---- */

static void virtio_blk_notify(struct virtio *v, unsigned queue)
{
	struct virtio_blk *d = (struct virtio_blk *)v;

	pthread_mutex_lock(&d->lock);
	if (!(d->busy >> queue & 1) && !v->queue[queue].broken) {
		d->busy |= 1ull << queue;
		virtq_set_notify(&v->queue[queue], false);
		if (d->sleeping)
			pthread_cond_signal(&d->work);
	}
	pthread_mutex_unlock(&d->lock);
}

static void virtio_blk_set_cache(struct virtio_blk *d)
{
	struct virtio *v = &d->v;

	/* 5.2.5.2: without FLUSH the driver relies on every write. */
	if (virtio_has(v, BLK_F_CONFIG_WCE))
		d->write_through = !d->writeback;
	else
		d->write_through = !virtio_has(v, BLK_F_FLUSH);
}

static void virtio_blk_start(struct virtio *v)
{
	struct virtio_blk *d = (struct virtio_blk *)v;

	pthread_mutex_lock(&d->lock);
	virtio_blk_set_cache(d);
	pthread_mutex_unlock(&d->lock);
}

static void virtio_blk_stop(struct virtio *v)
{
	struct virtio_blk *d = (struct virtio_blk *)v;

	pthread_mutex_lock(&d->lock);
	d->stopping = true;
	while (d->in_flight)
		pthread_cond_wait(&d->drained, &d->lock);
	d->stopping = false;
	d->busy = 0;
	d->writeback = 1;
	d->generation++;
	pthread_mutex_unlock(&d->lock);
}

static void virtio_blk_config_get(struct virtio *v, uint8_t *config)
{
	struct virtio_blk *d = (struct virtio_blk *)v;
	uint64_t sectors = d->blk->size / 512;
	struct virtio_blk_config c = {
		.capacity = sectors,
		.seg_max = BLK_QUEUE_SIZE - 2,
		.cylinders = MIN(sectors / (16 * 63), 65535),
		.heads = 16,
		.sectors = 63,
		.blk_size = 512,
		.physical_block_exp = 3,
		.min_io_size = 1,
		.writeback = d->writeback,
		.num_queues = v->nqueues,
		.max_discard_sectors = 1u << 22,
		.max_discard_seg = VIRTIO_BLK_MAX_DISCARD_SEG,
		.discard_sector_alignment = 8,
		.max_write_zeroes_sectors = 1u << 22,
		.max_write_zeroes_seg = VIRTIO_BLK_MAX_DISCARD_SEG,
		.write_zeroes_may_unmap = 1,
	};

	memcpy(config, &c, BLK_CONFIG_BYTES);
}

static void virtio_blk_config_set(
	struct virtio *v, unsigned off, const uint8_t *buf, unsigned len)
{
	struct virtio_blk *d = (struct virtio_blk *)v;

	if (off != offsetof(struct virtio_blk_config, writeback) || len != 1 ||
		!virtio_has(v, BLK_F_CONFIG_WCE))
		return;
	pthread_mutex_lock(&d->lock);
	d->writeback = buf[0] & 1;
	virtio_blk_set_cache(d);
	pthread_mutex_unlock(&d->lock);
}

static const struct virtio_type virtio_blk_type = {
	.id = 2,
	.legacy_id = 0x1001,
	.pci_class = 0x010000,
	.config_size = BLK_CONFIG_BYTES,
	.config_get = virtio_blk_config_get,
	.config_set = virtio_blk_config_set,
	.notify = virtio_blk_notify,
	.start = virtio_blk_start,
	.stop = virtio_blk_stop,
};

/* ---- device ---- */

static uint64_t virtio_blk_features(const struct virtio_blk *d, unsigned queues)
{
	uint64_t f = VIRTIO_BIT(BLK_F_SEG_MAX) | VIRTIO_BIT(BLK_F_GEOMETRY) |
		     VIRTIO_BIT(BLK_F_BLK_SIZE) | VIRTIO_BIT(BLK_F_FLUSH) |
		     VIRTIO_BIT(BLK_F_TOPOLOGY) | VIRTIO_BIT(BLK_F_CONFIG_WCE);

	if (queues > 1)
		f |= VIRTIO_BIT(BLK_F_MQ);
	if (d->readonly)
		return f | VIRTIO_BIT(BLK_F_RO);
	f |= VIRTIO_BIT(BLK_F_WRITE_ZEROES);
	if (d->blk->can_discard)
		f |= VIRTIO_BIT(BLK_F_DISCARD);
	return f;
}

static int virtio_blk_init(struct dev *dev, char *err, unsigned errsize)
{
	struct virtio_blk *d = (struct virtio_blk *)dev;
	unsigned queues = CLAMP(dev->host.queues, 1, BLK_MAX_QUEUES);
	int rc;

	if (!dev->host.blk) {
		snprintf(err, errsize, "%s: no disk was given", dev->id);
		return -EINVAL;
	}
	d->blk = dev->host.blk;
	d->readonly = dev->host.readonly || d->blk->readonly;
	d->writeback = 1;
	pthread_mutex_init(&d->lock, NULL);
	pthread_cond_init(&d->work, NULL);
	pthread_cond_init(&d->drained, NULL);
	virtio_init(&d->v, &virtio_blk_type, virtio_blk_features(d, queues),
		queues, BLK_QUEUE_SIZE);
	rc = virtio_plug(&d->v, err, errsize);
	if (rc)
		return rc;
	rc = virtio_blk_start_workers(d);
	if (rc) {
		snprintf(err, errsize, "%s: no worker thread: %s", dev->id,
			g_strerror(-rc));
		virtio_fini(&d->v);
	}
	return rc;
}

static void virtio_blk_reset(struct dev *dev)
{
	struct virtio_blk *d = (struct virtio_blk *)dev;

	virtio_reset(&d->v);
}

static void virtio_blk_fini(struct dev *dev)
{
	struct virtio_blk *d = (struct virtio_blk *)dev;

	virtio_blk_stop(&d->v);
	virtio_blk_join_workers(d);
	virtio_fini(&d->v);
	pthread_cond_destroy(&d->drained);
	pthread_cond_destroy(&d->work);
	pthread_mutex_destroy(&d->lock);
}

static void virtio_blk_describe(struct dev *dev, char *buf, unsigned size)
{
	struct virtio_blk *d = (struct virtio_blk *)dev;
	char common[160];

	virtio_describe(&d->v, common, sizeof(common));
	snprintf(buf, size, "%s, %llu MiB %s%s, %llu requests", common,
		(unsigned long long)(d->blk->size >> 20), d->blk->ops->name,
		d->readonly ? " read-only" : "",
		(unsigned long long)d->requests);
}

/* ---- state ---- */

static bool virtio_blk_idle(void *opaque)
{
	struct virtio_blk *d = opaque;
	bool idle;

	pthread_mutex_lock(&d->lock);
	idle = !d->busy && d->sleeping == d->nworkers;
	pthread_mutex_unlock(&d->lock);
	return idle;
}

static void virtio_blk_drain(struct dev *dev)
{
	dev_wait(dev->host.bus, virtio_blk_idle, dev);
}

static int virtio_blk_loaded(
	void *obj, unsigned version, char *err, unsigned errsize)
{
	virtio_blk_start(obj);
	return 0;
}

static const struct state_field virtio_blk_fields[] = {
	STATE_STRUCT(struct virtio_blk, v, &virtio_state),
	STATE(struct virtio_blk, writeback, .max = 1),
};

static const struct state_list virtio_blk_state = STATE_LIST("virtio-blk",
	struct virtio_blk, 1, virtio_blk_fields, .loaded = virtio_blk_loaded);

const struct dev_class virtio_blk_class = {
	.name = "virtio-blk",
	.size = sizeof(struct virtio_blk),
	.init = virtio_blk_init,
	.reset = virtio_blk_reset,
	.fini = virtio_blk_fini,
	.describe = virtio_blk_describe,
	.state = &virtio_blk_state,
	.drain = virtio_blk_drain,
};
