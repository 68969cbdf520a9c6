/*
 * virtio_mem.c - a virtio memory device (virtio 1.2, 5.15): a region in blocks
 * of 2 MiB, of which the driver plugs as many as it was asked to.
 *
 * The whole region can be used, always.  A block has nothing of the host's
 * until it is written to; when it is unplugged, and again when it is plugged,
 * what it has is dropped, so a guest finds zeros.  Blocks that are not plugged
 * read as zeros too and can be written to: nothing comes of it but that the
 * guest has memory that it was not asked to have, up to the region's size,
 * until the block is plugged or all are unplugged.  So drivers that read such
 * blocks, to dump memory, may; those that know
 * VIRTIO_MEM_F_UNPLUGGED_INACCESSIBLE do not.
 *
 * A reset of the device changes no block; one of the machine unplugs all, while
 * what was asked for stays (5.15.5.2, 5.15.6.2).
 */
#include "dev/virtio/virtio_mem.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <glib.h>

#include "dev/state.h"
#include "dev/virtio/virtio.h"

#define MEM_QUEUE_SIZE 32
#define MEM_AT_ONCE    64u	/* requests; the others wait a moment, */
#define MEM_PAUSE_NS   1000000u /* in which others have the lock */

#define F_UNPLUGGED_INACCESSIBLE 1

enum request {
	REQ_PLUG,
	REQ_UNPLUG,
	REQ_UNPLUG_ALL,
	REQ_STATE,
};

enum response {
	RESP_ACK,
	RESP_NACK,
	RESP_BUSY,
	RESP_ERROR,
};

enum {
	STATE_PLUGGED,
	STATE_UNPLUGGED,
	STATE_MIXED,
};

struct mem_request {
	uint16_t type, zero[3];
	uint64_t addr;
	uint16_t nb_blocks, zero2[3];
};

_Static_assert(sizeof(struct mem_request) == 24, "5.15.6");

struct mem_response {
	uint16_t type, zero[3], state;
};

_Static_assert(sizeof(struct mem_response) == 10, "5.15.6");

struct mem_config {
	uint64_t block_size;
	uint16_t node_id, zero[3];
	uint64_t addr, region_size, usable_region_size, plugged_size,
		requested_size;
};

_Static_assert(sizeof(struct mem_config) == 56, "5.15.4");

struct virtio_mem {
	struct virtio v;
	struct virtio_mem_room room;
	uint64_t ram_offset;
	uint32_t nblocks, nplugged, nasked;
	uint32_t map_bytes;
	uint8_t *map; /* a bit for each block: it is plugged */
	struct bus_timer timer;
	struct virtq_chain chain;
};

/* ---- blocks ---- */

static bool mem_bit(const struct virtio_mem *d, uint32_t n)
{
	return d->map[n / 8] >> n % 8 & 1;
}

/* How many of n blocks are plugged. */
static uint32_t mem_count(
	const struct virtio_mem *d, uint32_t first, uint32_t n)
{
	uint32_t found = 0;

	for (uint32_t i = first; i < first + n; i++)
		found += mem_bit(d, i);
	return found;
}

static void mem_drop(struct virtio_mem *d, uint32_t first, uint32_t n)
{
	d->room.drop(d->room.opaque, d->ram_offset + first * VIRTIO_MEM_BLOCK,
		n * VIRTIO_MEM_BLOCK);
	/* It was written, by us: whoever translated code of it, or copies what
	 * changes, has to know. */
	bus_dma_written(d->v.dev.host.bus,
		d->room.base + first * VIRTIO_MEM_BLOCK, n * VIRTIO_MEM_BLOCK);
}

static void mem_set(struct virtio_mem *d, uint32_t first, uint32_t n, bool on)
{
	for (uint32_t i = first; i < first + n; i++)
		if (on)
			d->map[i / 8] |= (uint8_t)(1u << i % 8);
		else
			d->map[i / 8] &= (uint8_t) ~(1u << i % 8);
	d->nplugged += on ? n : -n;
	mem_drop(d, first, n);
}

/* Also what was written where nothing was plugged goes. */
static void mem_unplug_all(struct virtio_mem *d)
{
	for (uint32_t i = 0, n = 0; d->nplugged && i < d->nblocks; i += n + 1) {
		for (n = 0; i + n < d->nblocks && mem_bit(d, i + n);)
			n++;
		if (n)
			mem_set(d, i, n, false);
	}
	d->room.drop(d->room.opaque, d->ram_offset, d->room.bytes);
}

/* ---- requests ---- */

/* The blocks that it is for; false: it is wrong. */
static bool mem_range(const struct virtio_mem *d, const struct mem_request *q,
	uint32_t *first)
{
	uint64_t off = q->addr - d->room.base;

	if (q->addr < d->room.base || off >= d->room.bytes ||
		off % VIRTIO_MEM_BLOCK || !q->nb_blocks ||
		q->nb_blocks > d->nblocks - off / VIRTIO_MEM_BLOCK)
		return false;
	*first = (uint32_t)(off / VIRTIO_MEM_BLOCK);
	return true;
}

static void mem_serve(struct virtio_mem *d, const struct mem_request *q,
	struct mem_response *r)
{
	uint32_t first = 0, n = q->nb_blocks, plugged;

	r->type = RESP_ERROR;
	if (q->type == REQ_UNPLUG_ALL) {
		mem_unplug_all(d);
		r->type = RESP_ACK;
		return;
	}
	if (q->type > REQ_STATE || !mem_range(d, q, &first))
		return;
	plugged = mem_count(d, first, n);
	if (q->type == REQ_STATE) {
		r->type = RESP_ACK;
		r->state = !plugged	  ? STATE_UNPLUGGED
			   : plugged == n ? STATE_PLUGGED
					  : STATE_MIXED;
	} else if (q->type == REQ_PLUG && !plugged) {
		r->type = d->nplugged + n > d->nasked ? RESP_NACK : RESP_ACK;
		if (r->type == RESP_ACK)
			mem_set(d, first, n, true);
	} else if (q->type == REQ_UNPLUG && plugged == n) {
		r->type = RESP_ACK;
		mem_set(d, first, n, false);
	}
}

static void virtio_mem_notify(struct virtio *v, unsigned queue)
{
	struct virtio_mem *d = (struct virtio_mem *)v;
	struct virtq *q = &v->queue[queue];
	unsigned n = 0;

	while (n < MEM_AT_ONCE && !d->timer.slot &&
		virtq_pop(q, &d->chain) > 0) {
		struct mem_request req = {0};
		struct mem_response resp = {.type = RESP_ERROR};

		if (virtq_read(q, &d->chain, 0, &req, sizeof(req)) ==
			sizeof(req))
			mem_serve(d, &req, &resp);
		virtq_fill(q, d->chain.head,
			(uint32_t)virtq_write(
				q, &d->chain, 0, &resp, sizeof(resp)));
		n++;
	}
	if (n) {
		virtq_publish(q);
		virtio_signal(v, q);
	}
	if (q->broken)
		virtio_fail(v);
	else if (n == MEM_AT_ONCE)
		bus_timer_arm(&d->timer,
			bus_clock_ns(v->dev.host.bus) + MEM_PAUSE_NS);
}

static void virtio_mem_go_on(void *opaque)
{
	virtio_notify(opaque, 0);
}

static void virtio_mem_stop(struct virtio *v)
{
	bus_timer_cancel(&((struct virtio_mem *)v)->timer);
}

static void virtio_mem_config(struct virtio *v, uint8_t *config)
{
	struct virtio_mem *d = (struct virtio_mem *)v;
	struct mem_config c = {.block_size = VIRTIO_MEM_BLOCK,
		.addr = d->room.base,
		.region_size = d->room.bytes,
		.usable_region_size = d->room.bytes,
		.plugged_size = d->nplugged * VIRTIO_MEM_BLOCK,
		.requested_size = d->nasked * VIRTIO_MEM_BLOCK};

	memcpy(config, &c, sizeof(c));
}

static const struct virtio_type virtio_mem_type = {
	.id = 24,
	.pci_class = 0x00ff00,
	.config_size = sizeof(struct mem_config),
	.config_get = virtio_mem_config,
	.notify = virtio_mem_notify,
	.stop = virtio_mem_stop,
};

/* ---- for the machine ---- */

void virtio_mem_ask(struct dev *dev, uint64_t bytes)
{
	struct virtio_mem *d = (struct virtio_mem *)dev;
	uint32_t n = (uint32_t)MIN(bytes / VIRTIO_MEM_BLOCK, d->nblocks);

	if (n == d->nasked)
		return;
	d->nasked = n;
	virtio_config_changed(&d->v);
}

uint64_t virtio_mem_asked(const struct dev *dev)
{
	return ((const struct virtio_mem *)dev)->nasked * VIRTIO_MEM_BLOCK;
}

uint64_t virtio_mem_plugged(const struct dev *dev)
{
	return ((const struct virtio_mem *)dev)->nplugged * VIRTIO_MEM_BLOCK;
}

bool virtio_mem_any(const struct dev *dev, uint64_t from, uint64_t to)
{
	const struct virtio_mem *d = (const struct virtio_mem *)dev;

	to = MIN(to, d->room.bytes);
	for (uint64_t n = from / VIRTIO_MEM_BLOCK; n * VIRTIO_MEM_BLOCK < to;
		n++)
		if (mem_bit(d, (uint32_t)n))
			return true;
	return false;
}

/* ---- life ---- */

static int virtio_mem_init(struct dev *dev, char *err, unsigned errsize)
{
	struct virtio_mem *d = (struct virtio_mem *)dev;
	const struct virtio_mem_room *room = dev->host.mem;
	int64_t off = room ? bus_ram_offset(dev->host.bus, room->base) : -1;
	int rc;

	if (off < 0 || !room->bytes || room->bytes % VIRTIO_MEM_BLOCK ||
		room->base % VIRTIO_MEM_BLOCK ||
		bus_ram_offset(dev->host.bus, room->base + room->bytes - 1) <
			0) {
		g_snprintf(err, errsize, "it has no memory to give");
		return -EINVAL;
	}
	d->room = *room;
	d->ram_offset = (uint64_t)off;
	d->nblocks = (uint32_t)(room->bytes / VIRTIO_MEM_BLOCK);
	d->map_bytes = (d->nblocks + 7) / 8;
	d->map = g_malloc0(d->map_bytes);
	bus_timer_init(&d->timer, dev->host.bus, virtio_mem_go_on, d);
	virtio_init(&d->v, &virtio_mem_type,
		VIRTIO_BIT(F_UNPLUGGED_INACCESSIBLE), 1, MEM_QUEUE_SIZE);
	rc = virtio_plug(&d->v, err, errsize);
	if (rc < 0)
		g_free(d->map);
	return rc;
}

static void virtio_mem_reset(struct dev *dev)
{
	struct virtio_mem *d = (struct virtio_mem *)dev;

	virtio_reset(&d->v);
	mem_unplug_all(d);
}

static void virtio_mem_fini(struct dev *dev)
{
	struct virtio_mem *d = (struct virtio_mem *)dev;

	bus_timer_cancel(&d->timer);
	virtio_fini(&d->v);
	g_free(d->map);
}

static void virtio_mem_describe(struct dev *dev, char *buf, unsigned size)
{
	const struct virtio_mem *d = (const struct virtio_mem *)dev;
	char text[128] = "";

	virtio_describe(&((struct virtio_mem *)dev)->v, text, sizeof(text));
	g_snprintf(buf, size, "%u of %u MiB plugged, %u asked for; %s",
		2 * d->nplugged, 2 * d->nblocks, 2 * d->nasked, text);
}

/* ---- state ---- */

static int virtio_mem_loaded(
	void *obj, unsigned version, char *err, unsigned errsize)
{
	struct virtio_mem *d = obj;

	if (d->nasked > d->nblocks) {
		d->nasked = 0;
		g_snprintf(err, errsize, "it was asked for too much memory");
		return -EINVAL;
	}
	for (uint32_t i = d->nblocks; i < 8 * d->map_bytes; i++)
		if (mem_bit(d, i)) {
			g_snprintf(err, errsize, "it has too much memory");
			return -EINVAL;
		}
	d->nplugged = mem_count(d, 0, d->nblocks);
	return 0;
}

static const struct state_field virtio_mem_fields[] = {
	STATE_STRUCT(struct virtio_mem, v, &virtio_state),
	STATE(struct virtio_mem, nasked),
	STATE_BYTES_AT(struct virtio_mem, map, map_bytes),
	STATE_TIMER(struct virtio_mem, timer),
};

static const struct state_list virtio_mem_state = STATE_LIST("virtio-mem",
	struct virtio_mem, 1, virtio_mem_fields, .loaded = virtio_mem_loaded);

const struct dev_class virtio_mem_class = {
	.name = "virtio-mem",
	.size = sizeof(struct virtio_mem),
	.init = virtio_mem_init,
	.reset = virtio_mem_reset,
	.fini = virtio_mem_fini,
	.describe = virtio_mem_describe,
	.state = &virtio_mem_state,
};
