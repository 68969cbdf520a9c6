/*
 * virtio.h - what all virtio devices share: status, features, queues and the
 * PCI transport (virtio 1.2, 2 and 4.1).
 *
 * A device embeds struct virtio, whose first member is the struct dev, and
 * describes itself by a const struct virtio_type.  Older devices are
 * transitional: a driver may speak virtio 1.x over memory BAR 4 or 0.9.5 over
 * I/O BAR 0.
 *
 * Threads: everything here runs with the bus lock held unless it says
 * otherwise.  A device that works on its queues in other threads stops them
 * in its stop callback.
 */
#ifndef DEV_VIRTIO_VIRTIO_H
#define DEV_VIRTIO_VIRTIO_H

#include "dev/pci/pci.h"
#include "dev/virtio/virtqueue.h"

#define VIRTIO_MAX_QUEUES 64
#define VIRTIO_MAX_CONFIG 136

#define VIRTIO_F_NOTIFY_ON_EMPTY 24 /* 0.9.5 only */
#define VIRTIO_F_ANY_LAYOUT	 27
#define VIRTIO_F_INDIRECT_DESC	 28
#define VIRTIO_F_EVENT_IDX	 29
#define VIRTIO_F_VERSION_1	 32

#define VIRTIO_BIT(n) (1ull << (n))

/* device status (2.1) */
#define VIRTIO_S_ACKNOWLEDGE 0x01
#define VIRTIO_S_DRIVER	     0x02
#define VIRTIO_S_DRIVER_OK   0x04
#define VIRTIO_S_FEATURES_OK 0x08
#define VIRTIO_S_NEEDS_RESET 0x40
#define VIRTIO_S_FAILED	     0x80

struct virtio;

struct virtio_type {
	uint16_t id; /* 1 network, 2 block, 3 console, 4 entropy, 18 input,
		       19 socket */
	/* PCI device id of the transitional device; 0: it speaks 1.x only. */
	uint16_t legacy_id;
	uint32_t pci_class;
	unsigned config_size;
	/* The device's configuration as it is now, config_size bytes. */
	void (*config_get)(struct virtio *v, uint8_t *config);
	/* The driver wrote len bytes at off (within config_size).  Optional. */
	void (*config_set)(struct virtio *v, unsigned off, const uint8_t *buf,
		unsigned len);
	/* Work may be waiting on a queue that is enabled and running. */
	void (*notify)(struct virtio *v, unsigned queue);
	/* The driver said DRIVER_OK; features are final.  Optional. */
	void (*start)(struct virtio *v);
	/* Before reset: on return no other thread touches the queues and
	 * nothing is on its way into guest memory.  Optional. */
	void (*stop)(struct virtio *v);
};

struct virtio {
	struct dev dev;
	struct pci_func pci;
	const struct virtio_type *type;
	uint64_t offered, accepted; /* feature bits */
	uint32_t offered_sel, accepted_sel;
	uint16_t queue_sel, config_vector;
	uint8_t status, isr, generation;
	uint8_t window; /* config space offset of the access capability */
	bool legacy;	/* the driver speaks 0.9.5 */
	unsigned nqueues;
	struct virtq *queue;
	uint64_t notifies, interrupts; /* counters */
};

/* nqueues queues of queue_size; VIRTIO_F_* of the transport are added to
 * features.  Then plug it in: 0 or -errno with a line in err. */
void virtio_init(struct virtio *v, const struct virtio_type *type,
	uint64_t features, unsigned nqueues, unsigned queue_size);
int virtio_plug(struct virtio *v, char *err, unsigned errsize);
void virtio_reset(struct virtio *v);
void virtio_fini(struct virtio *v);
void virtio_describe(struct virtio *v, char *buf, unsigned size);
/* What of it is saved, queues included; for its device's list. */
extern const struct state_list virtio_state;

static inline bool virtio_has(const struct virtio *v, unsigned feature)
{
	return v->accepted >> feature & 1;
}

static inline bool virtio_running(const struct virtio *v)
{
	return (v->status & (VIRTIO_S_DRIVER_OK | VIRTIO_S_NEEDS_RESET)) ==
	       VIRTIO_S_DRIVER_OK;
}

/* Interrupt for queue q, if the driver wants one now.  After publishing. */
void virtio_signal(struct virtio *v, struct virtq *q);
/* Interrupt for queue q without asking. */
void virtio_interrupt(struct virtio *v, struct virtq *q);
void virtio_config_changed(struct virtio *v);
/* The driver broke the rules: ask it for a reset (2.1.1). */
void virtio_fail(struct virtio *v);

/* ---- for transports ---- */

uint32_t virtio_features_word(const struct virtio *v, uint32_t sel);
void virtio_accept_word(struct virtio *v, uint32_t sel, uint32_t bits);
void virtio_set_status(struct virtio *v, uint8_t status, bool legacy);
void virtio_queue_enable(struct virtio *v, struct virtq *q);
/* 0.9.5 can take one queue away. */
void virtio_queue_disable(struct virtio *v, struct virtq *q);
void virtio_notify(struct virtio *v, unsigned queue);
uint8_t virtio_isr_take(struct virtio *v);
uint64_t virtio_config_read(struct virtio *v, unsigned off, unsigned size);
void virtio_config_write(
	struct virtio *v, unsigned off, unsigned size, uint64_t val);
static inline struct virtq *virtio_selected(struct virtio *v)
{
	return v->queue_sel < v->nqueues ? &v->queue[v->queue_sel] : NULL;
}

/* virtio_pci.c */
void virtio_pci_init(struct virtio *v);

/* virtio_pci_legacy.c: ports of BAR 0 */
extern const struct bus_io_ops virtio_pci_legacy_ops;
uint16_t virtio_pci_vector(const struct virtio *v, uint16_t vector);

#endif
