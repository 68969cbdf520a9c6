/*
 * virtio_blk.c - a virtio block device (virtio 1.2, 5.2).
 *
 * Workers (virtio_pool.h) carry out requests (virtio_blk_req.c).
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "dev/state.h"
#include "dev/virtio/devices.h"
#include "dev/virtio/virtio_blk.h"

#define BLK_QUEUE_SIZE 256
#define BLK_MAX_QUEUES 16

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
	struct virtio_pool pool;
	struct virtio_blk_disk disk;
	uint8_t writeback; /* the driver's choice, CONFIG_WCE */
};

/* ---- virtio ---- */

static int64_t virtio_blk_serve(struct virtio *v, struct virtio_pool_req *r)
{
	return virtio_blk_do(&((struct virtio_blk *)v)->disk, r);
}

static int64_t virtio_blk_serve_now(struct virtio *v, struct virtio_pool_req *r)
{
	return virtio_blk_do_now(&((struct virtio_blk *)v)->disk, r);
}

static void virtio_blk_notify(struct virtio *v, unsigned queue)
{
	virtio_pool_notify(&((struct virtio_blk *)v)->pool, queue);
}

static void virtio_blk_set_cache(struct virtio_blk *d)
{
	struct virtio *v = &d->v;

	/* 5.2.5.2: without FLUSH the driver relies on every write. */
	if (virtio_has(v, BLK_F_CONFIG_WCE))
		d->disk.write_through = !d->writeback;
	else
		d->disk.write_through = !virtio_has(v, BLK_F_FLUSH);
}

static void virtio_blk_start(struct virtio *v)
{
	virtio_blk_set_cache((struct virtio_blk *)v);
}

static void virtio_blk_stop(struct virtio *v)
{
	struct virtio_blk *d = (struct virtio_blk *)v;

	queue_pool_stop(&d->pool.pool);
	d->writeback = 1;
}

static void virtio_blk_config_get(struct virtio *v, uint8_t *config)
{
	struct virtio_blk *d = (struct virtio_blk *)v;
	uint64_t sectors = d->disk.blk->size / 512;
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
	d->writeback = buf[0] & 1;
	virtio_blk_set_cache(d);
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
	if (d->disk.readonly)
		return f | VIRTIO_BIT(BLK_F_RO);
	f |= VIRTIO_BIT(BLK_F_WRITE_ZEROES);
	if (d->disk.blk->can_discard)
		f |= VIRTIO_BIT(BLK_F_DISCARD);
	return f;
}

static int virtio_blk_init(struct dev *dev, char *err, unsigned errsize)
{
	struct virtio_blk *d = (struct virtio_blk *)dev;
	unsigned queues = CLAMP(dev->host.queues, 1, BLK_MAX_QUEUES);

	if (!dev->host.blk) {
		snprintf(err, errsize, "%s: no disk was given", dev->id);
		return -EINVAL;
	}
	d->disk.blk = dev->host.blk;
	d->disk.readonly = dev->host.readonly || d->disk.blk->readonly;
	d->writeback = 1;
	d->disk.serial = dev->host.serial;
	virtio_init(&d->v, &virtio_blk_type, virtio_blk_features(d, queues),
		queues, BLK_QUEUE_SIZE);
	d->pool.v = &d->v;
	d->pool.serve = virtio_blk_serve;
	d->pool.serve_now = virtio_blk_serve_now;
	return virtio_pool_plug(&d->pool, err, errsize);
}

static void virtio_blk_reset(struct dev *dev)
{
	struct virtio_blk *d = (struct virtio_blk *)dev;

	virtio_reset(&d->v);
}

static void virtio_blk_fini(struct dev *dev)
{
	struct virtio_blk *d = (struct virtio_blk *)dev;

	virtio_pool_fini(&d->pool);
}

static void virtio_blk_describe(struct dev *dev, char *buf, unsigned size)
{
	struct virtio_blk *d = (struct virtio_blk *)dev;
	char common[160];

	virtio_describe(&d->v, common, sizeof(common));
	snprintf(buf, size, "%s, %llu MiB %s%s, %llu requests", common,
		(unsigned long long)(d->disk.blk->size >> 20),
		d->disk.blk->ops->name, d->disk.readonly ? " read-only" : "",
		(unsigned long long)d->pool.pool.requests);
}

/* ---- state ---- */

static void virtio_blk_drain(struct dev *dev)
{
	queue_pool_drain(&((struct virtio_blk *)dev)->pool.pool);
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
