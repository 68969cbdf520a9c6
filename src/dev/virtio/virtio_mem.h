/*
 * virtio_mem.h - memory that comes and goes while the machine runs.
 */
#ifndef DEV_VIRTIO_VIRTIO_MEM_H
#define DEV_VIRTIO_VIRTIO_MEM_H

#include "dev/dev.h"

#define VIRTIO_MEM_BLOCK (2ull << 20)

/* Where it may be, as a board gives it to the device (dev_host.mem): RAM of
 * the bus that nobody else tells the guest of. */
struct virtio_mem_room {
	gpa_t base;	/* both whole blocks */
	uint64_t bytes; /* 0: there is no such device */
	/* Memory from a RAM offset on goes back to the host and reads as zeros.
	 * Lock held. */
	void (*drop)(void *opaque, uint64_t ram_offset, uint64_t bytes);
	void *opaque;
};

extern const struct dev_class virtio_mem_class; /* "virtio-mem" */

/* Ask the guest to have so much of it, in whole blocks; what is more than there
 * is counts as all.  Lock held. */
void virtio_mem_ask(struct dev *d, uint64_t bytes);
/* Lock held. */
uint64_t virtio_mem_asked(const struct dev *d);
uint64_t virtio_mem_plugged(const struct dev *d);
/* Is anything plugged between these, from the region's start?  Lock held, or
 * processors stand. */
bool virtio_mem_any(const struct dev *d, uint64_t from, uint64_t to);

#endif
