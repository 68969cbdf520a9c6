/*
 * virtqueue.c - split virtqueues, the device's side (virtio 1.2, 2.7).
 *
 * Rings:  desc   16 * size         addr64 len32 flags16 next16
 *         avail  6 + 2 * size      flags idx ring[size] used_event
 *         used   6 + 8 * size      flags idx ring[size] {id32 len32}
 *                                  avail_event
 * Index arithmetic is modulo 65536.  Invariants: at most size entries lie
 * between last_avail and the driver's index; a chain has at most
 * VIRTQ_MAX_SEGS buffers, so loops end.
 */
#include "dev/virtio/virtqueue.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include <glib.h>

#define DESC_F_NEXT	1
#define DESC_F_WRITE	2
#define DESC_F_INDIRECT 4

#define AVAIL_F_NO_INTERRUPT 1
#define USED_F_NO_NOTIFY     1

struct vring_desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next;
};

struct vring_used_elem {
	uint32_t id, len;
};

void virtq_init(struct virtq *q, struct bus *bus, uint16_t max_size)
{
	memset(q, 0, sizeof(*q));
	q->bus = bus;
	q->max_size = max_size;
	virtq_reset(q);
}

void virtq_reset(struct virtq *q)
{
	struct bus *bus = q->bus;
	uint16_t max_size = q->max_size;

	memset(q, 0, sizeof(*q));
	q->bus = bus;
	q->max_size = q->size = max_size;
	q->vector = 0xffff;
}

/* Device memory of our own process; aligned, so that accesses are whole. */
static uint8_t *virtq_map(
	struct virtq *q, gpa_t gpa, size_t len, unsigned align)
{
	return gpa % align ? NULL : bus_dma_map(q->bus, gpa, len);
}

void virtq_map_rings(struct virtq *q)
{
	unsigned n = q->size;

	q->hdesc = virtq_map(q, q->desc, 16 * n, 16);
	q->havail = virtq_map(q, q->avail, 6 + 2 * n, 2);
	q->hused = virtq_map(q, q->used, 6 + 8 * n, 4);
}

bool virtq_enable(struct virtq *q)
{
	unsigned n = q->size;

	if (!n || n > q->max_size || (n & (n - 1)))
		return false;
	virtq_map_rings(q);
	q->last_avail = q->avail_seen = q->used_idx = 0;
	q->pending = 0;
	q->signalled_valid = false;
	q->enabled = true;
	q->broken = false;
	return true;
}

/* virtio 1.2, 2.7.2: one run of memory, the used ring on a 4 KiB boundary. */
void virtq_legacy_layout(struct virtq *q, gpa_t desc)
{
	q->desc = desc;
	q->avail = desc + 16 * q->size;
	q->used = (q->avail + 6 + 2 * q->size + 4095) & ~4095ull;
}

/* ---- ring fields ---- */

static uint16_t virtq_get16(
	struct virtq *q, const uint8_t *host, gpa_t gpa, unsigned off)
{
	uint16_t v;

	if (host)
		return __atomic_load_n(
			(const uint16_t *)(const void *)(host + off),
			__ATOMIC_ACQUIRE);
	bus_dma_read(q->bus, gpa + off, &v, sizeof(v));
	return v;
}

static void virtq_put16(
	struct virtq *q, uint8_t *host, gpa_t gpa, unsigned off, uint16_t v)
{
	if (host) {
		__atomic_store_n(
			(uint16_t *)(void *)(host + off), v, __ATOMIC_RELEASE);
		bus_dma_written(q->bus, gpa + off, sizeof(v));
	} else {
		bus_dma_write(q->bus, gpa + off, &v, sizeof(v));
	}
}

static uint16_t virtq_used_event(struct virtq *q)
{
	return virtq_get16(q, q->havail, q->avail, 4 + 2 * q->size);
}

static void virtq_put_avail_event(struct virtq *q, uint16_t v)
{
	virtq_put16(q, q->hused, q->used, 4 + 8 * q->size, v);
}

unsigned virtq_available(struct virtq *q)
{
	uint16_t n;

	if (!q->enabled || q->broken)
		return 0;
	q->avail_seen = virtq_get16(q, q->havail, q->avail, 2);
	n = q->avail_seen - q->last_avail;
	if (n > q->size) {
		q->broken = true;
		return 0;
	}
	return n;
}

/* ---- chains ---- */

/* Where descriptors come from: the ring itself or an indirect table. */
struct virtq_table {
	const uint8_t *host;
	gpa_t gpa;
	unsigned n;
	bool indirect;
};

static bool virtq_read_desc(struct virtq *q, const struct virtq_table *t,
	unsigned i, struct vring_desc *d)
{
	if (i >= t->n)
		return false;
	if (!t->host)
		return bus_dma_read(q->bus, t->gpa + 16ull * i, d, sizeof(*d));
	/* Two plain loads: the compiler must not come back for a second
	 * look. */
	for (unsigned k = 0; k < 2; k++) {
		uint64_t half = __atomic_load_n(
			(const uint64_t *)(const void *)(t->host + 16ull * i) +
				k,
			__ATOMIC_RELAXED);

		memcpy((uint8_t *)d + 8 * k, &half, 8);
	}
	return true;
}

static bool virtq_add_seg(struct virtq_chain *c, const struct vring_desc *d)
{
	unsigned n = c->nout + c->nin;

	if (!d->len)
		return true; /* carries nothing */
	if (n == VIRTQ_MAX_SEGS || d->addr + d->len < d->addr)
		return false;
	c->seg[n].gpa = d->addr;
	c->seg[n].len = d->len;
	if (d->flags & DESC_F_WRITE) {
		c->nin++;
		c->in_bytes += d->len;
	} else if (c->nin) {
		return false; /* 2.7.4.2: readable ones come first */
	} else {
		c->nout++;
		c->out_bytes += d->len;
	}
	return true;
}

/* 2.7.5.3: the rest of the chain is in a table of its own. */
static bool virtq_enter_indirect(
	struct virtq *q, struct virtq_table *t, const struct vring_desc *d)
{
	if (!q->indirect || t->indirect || (d->flags & DESC_F_NEXT) ||
		!d->len || d->len % 16 || d->len / 16 > VIRTQ_MAX_SEGS)
		return false;
	t->gpa = d->addr;
	t->n = d->len / 16;
	t->host = virtq_map(q, d->addr, d->len, 8);
	t->indirect = true;
	return true;
}

static bool virtq_walk(struct virtq *q, struct virtq_chain *c)
{
	struct virtq_table t = {q->hdesc, q->desc, q->size, false};
	unsigned i = c->head, left = q->size;
	struct vring_desc d;

	for (; left; left--) {
		if (!virtq_read_desc(q, &t, i, &d))
			return false;
		if (d.flags & DESC_F_INDIRECT) {
			if (!virtq_enter_indirect(q, &t, &d))
				return false;
			i = 0;
			left = t.n + 1;
			continue;
		}
		if (!virtq_add_seg(c, &d))
			return false;
		if (!(d.flags & DESC_F_NEXT))
			return true;
		i = d.next;
	}
	return false; /* a loop */
}

int virtq_pop(struct virtq *q, struct virtq_chain *c)
{
	if (q->broken)
		return -EINVAL;
	if (q->last_avail == q->avail_seen && !virtq_available(q))
		return q->broken ? -EINVAL : 0;
	c->head = virtq_get16(q, q->havail, q->avail,
		4 + 2 * (q->last_avail & (q->size - 1)));
	c->nout = c->nin = 0;
	c->out_bytes = c->in_bytes = 0;
	if (c->head >= q->size || !virtq_walk(q, c)) {
		q->broken = true;
		return -EINVAL;
	}
	q->last_avail++;
	if (q->event_idx && !q->notify_off)
		virtq_put_avail_event(q, q->last_avail);
	return 1;
}

void virtq_unpop(struct virtq *q)
{
	q->last_avail--;
}

/* ---- used ring ---- */

void virtq_fill(struct virtq *q, uint16_t head, uint32_t len)
{
	uint16_t slot = (uint16_t)(q->used_idx + q->pending) & (q->size - 1);
	struct vring_used_elem e = {head, len};

	if (q->hused) {
		memcpy(q->hused + 4 + 8 * slot, &e, sizeof(e));
		bus_dma_written(q->bus, q->used + 4 + 8 * slot, sizeof(e));
	} else {
		bus_dma_write(q->bus, q->used + 4 + 8 * slot, &e, sizeof(e));
	}
	q->pending++;
}

void virtq_publish(struct virtq *q)
{
	uint16_t before = q->used_idx;

	if (!q->pending)
		return;
	q->used_idx += q->pending;
	/* The driver's event index may have been passed a whole round ago. */
	if ((uint16_t)(q->used_idx - q->signalled_used) <
		(uint16_t)(q->used_idx - before))
		q->signalled_valid = false;
	q->pending = 0;
	virtq_put16(q, q->hused, q->used, 2, q->used_idx);
}

bool virtq_wants_interrupt(struct virtq *q, bool notify_on_empty)
{
	uint16_t before = q->signalled_used, now = q->used_idx;
	bool valid = q->signalled_valid;

	/* Our used index must be out before the driver's wish is read. */
	atomic_thread_fence(memory_order_seq_cst);
	if (notify_on_empty && !virtq_available(q))
		return true;
	if (!q->event_idx)
		return !(virtq_get16(q, q->havail, q->avail, 0) &
			 AVAIL_F_NO_INTERRUPT);
	q->signalled_used = now;
	q->signalled_valid = true;
	/* 2.7.10: event lies in [before, now) */
	return !valid || (uint16_t)(now - virtq_used_event(q) - 1) <
				 (uint16_t)(now - before);
}

void virtq_set_notify(struct virtq *q, bool on)
{
	q->notify_off = !on;
	if (q->event_idx) {
		/* Off: the index stays behind and is not reached again soon. */
		if (on)
			virtq_put_avail_event(q, q->avail_seen);
	} else {
		virtq_put16(q, q->hused, q->used, 0, on ? 0 : USED_F_NO_NOTIFY);
	}
	if (on)
		atomic_thread_fence(memory_order_seq_cst);
}

/* ---- bytes ---- */

size_t virtq_read(struct virtq *q, const struct virtq_chain *c, uint64_t off,
	void *buf, size_t len)
{
	uint8_t *to = buf;
	size_t done = 0;

	for (unsigned i = 0; i < c->nout && done < len; i++) {
		const struct virtq_seg *s = &c->seg[i];
		size_t n;

		if (off >= s->len) {
			off -= s->len;
			continue;
		}
		n = MIN(len - done, s->len - off);
		bus_dma_read(q->bus, s->gpa + off, to + done, n);
		done += n;
		off = 0;
	}
	return done;
}

size_t virtq_write(struct virtq *q, const struct virtq_chain *c, uint64_t off,
	const void *buf, size_t len)
{
	const uint8_t *from = buf;
	size_t done = 0;

	for (unsigned i = c->nout; i < c->nout + c->nin && done < len; i++) {
		const struct virtq_seg *s = &c->seg[i];
		size_t n;

		if (off >= s->len) {
			off -= s->len;
			continue;
		}
		n = MIN(len - done, s->len - off);
		bus_dma_write(q->bus, s->gpa + off, from + done, n);
		done += n;
		off = 0;
	}
	return done;
}
