/*
 * virtqueue.h - split virtqueues, the device's side (virtio 1.2, 2.7).
 *
 * A queue's rings are guest memory that the driver may fill with anything, at
 * any time.  Every index and descriptor is read once into our own memory and
 * checked there.  What breaks the rules marks the queue broken, for good until
 * reset; the owner then asks the driver for a reset.
 *
 * Threads: a queue belongs to one thread at a time; its owner sees to that.
 */
#ifndef DEV_VIRTIO_VIRTQUEUE_H
#define DEV_VIRTIO_VIRTQUEUE_H

#include "bus/bus.h"

#define VIRTQ_MAX_SIZE 1024 /* entries; a power of two */
#define VIRTQ_MAX_SEGS 1024 /* buffers of one chain, indirect ones included */

struct virtq {
	struct bus *bus;
	uint16_t max_size; /* offered */
	uint16_t size;	   /* chosen by the driver, 1..max_size */
	uint16_t vector;   /* MSI-X, or 0xffff */
	bool enabled, broken;
	bool event_idx, indirect; /* negotiated */
	gpa_t desc, avail, used;
	/* The rings mapped; NULL where they are not plain RAM (SeaBIOS puts
	 * them in shadowed ROM space): then they are copied piecewise. */
	uint8_t *hdesc, *havail, *hused;
	uint16_t last_avail;	 /* next entry of the available ring */
	uint16_t avail_seen;	 /* its index as last read */
	uint16_t used_idx;	 /* published */
	uint16_t pending;	 /* filled but not published */
	uint16_t signalled_used; /* used_idx at the last look for an
				    interrupt */
	bool signalled_valid;
	bool notify_off; /* we asked the driver not to notify */
};

struct virtq_seg {
	gpa_t gpa;
	uint32_t len;
};

/* One request: nout buffers to read, then nin buffers to write. */
struct virtq_chain {
	uint16_t head;
	unsigned nout, nin;
	uint64_t out_bytes, in_bytes;
	struct virtq_seg seg[VIRTQ_MAX_SEGS];
};

void virtq_init(struct virtq *q, struct bus *bus, uint16_t max_size);
void virtq_reset(struct virtq *q);
/* Take the addresses and size as they are now.  legacy: lay the rings out from
 * desc on as virtio 0.9.5 does.  false: they make no sense. */
bool virtq_enable(struct virtq *q);
void virtq_legacy_layout(struct virtq *q, gpa_t desc);

/* The rings where they are now. */
void virtq_map_rings(struct virtq *q);

/* Next chain: 1, 0 if there is none, -EINVAL if the queue is broken. */
int virtq_pop(struct virtq *q, struct virtq_chain *c);
/* Give the last popped chain back as if it had not been popped. */
void virtq_unpop(struct virtq *q);
/* Entries that the driver has made available and were not popped. */
unsigned virtq_available(struct virtq *q);

/* Put a finished chain into the used ring, unpublished; then publish all. */
void virtq_fill(struct virtq *q, uint16_t head, uint32_t len);
void virtq_publish(struct virtq *q);
static inline void virtq_push(struct virtq *q, uint16_t head, uint32_t len)
{
	virtq_fill(q, head, len);
	virtq_publish(q);
}

/* After publishing: does the driver want an interrupt?  (2.7.7) */
bool virtq_wants_interrupt(struct virtq *q, bool notify_on_empty);

/* Ask the driver to notify us or not.  After turning it on the owner must look
 * at virtq_available again. */
void virtq_set_notify(struct virtq *q, bool on);

/* Copy len bytes from or to the chain's readable or writable part, from byte
 * off of it on; how many there were. */
size_t virtq_read(struct virtq *q, const struct virtq_chain *c, uint64_t off,
	void *buf, size_t len);
size_t virtq_write(struct virtq *q, const struct virtq_chain *c, uint64_t off,
	const void *buf, size_t len);

#endif
