/*
 * virtio_pci_legacy.c - the registers of virtio 0.9.5 in I/O BAR 0 (virtio
 * 1.2, 4.1.4.10), for drivers from before virtio 1.0.
 *
 * With MSI-X on, two vector registers come before the device configuration.
 */
#include <string.h>

#include "dev/virtio/virtio.h"

enum {
	L_DEVICE_FEATURES = 0x00,
	L_DRIVER_FEATURES = 0x04,
	L_QUEUE_ADDRESS = 0x08,
	L_QUEUE_SIZE = 0x0c,
	L_QUEUE_SELECT = 0x0e,
	L_QUEUE_NOTIFY = 0x10,
	L_DEVICE_STATUS = 0x12,
	L_ISR_STATUS = 0x13,
	L_CONFIG_VECTOR = 0x14,
	L_QUEUE_VECTOR = 0x16,
};

#define L_PAGE_SHIFT 12

static unsigned virtio_legacy_config_start(const struct virtio *v)
{
	return v->pci.msix.enabled ? 0x18 : 0x14;
}

static uint32_t virtio_legacy_reg(struct virtio *v, unsigned off)
{
	struct virtq *q = virtio_selected(v);

	switch (off) {
	case L_DEVICE_FEATURES: return v->offered;
	case L_DRIVER_FEATURES: return v->accepted;
	case L_QUEUE_ADDRESS:
		return q && q->enabled ? q->desc >> L_PAGE_SHIFT : 0;
	case L_QUEUE_SIZE: return q ? q->max_size : 0;
	case L_QUEUE_SELECT: return v->queue_sel;
	case L_DEVICE_STATUS: return v->status;
	case L_ISR_STATUS: return virtio_isr_take(v);
	case L_CONFIG_VECTOR: return v->config_vector;
	case L_QUEUE_VECTOR: return q ? q->vector : 0xffff;
	default: return 0;
	}
}

static uint32_t virtio_legacy_read(void *opaque, uint16_t port, unsigned size)
{
	struct virtio *v = opaque;
	unsigned start = virtio_legacy_config_start(v);

	if (port >= start)
		return virtio_config_read(v, port - start, size);
	return virtio_legacy_reg(v, port);
}

/* A page number sets the queue up, 0 takes it down. */
static void virtio_legacy_queue_address(struct virtio *v, uint32_t page)
{
	struct virtq *q = virtio_selected(v);

	if (!q)
		return;
	if (!page) {
		virtio_queue_disable(v, q);
	} else if (!q->enabled) {
		virtq_legacy_layout(q, (gpa_t)page << L_PAGE_SHIFT);
		virtio_queue_enable(v, q);
	}
}

static void virtio_legacy_write(
	void *opaque, uint16_t port, unsigned size, uint32_t val)
{
	struct virtio *v = opaque;
	struct virtq *q = virtio_selected(v);
	unsigned start = virtio_legacy_config_start(v);

	if (port >= start) {
		virtio_config_write(v, port - start, size, val);
		return;
	}
	switch (port) {
	case L_DRIVER_FEATURES:
		virtio_accept_word(v, 0, val & v->offered);
		break;
	case L_QUEUE_ADDRESS: virtio_legacy_queue_address(v, val); break;
	case L_QUEUE_SELECT: v->queue_sel = val; break;
	case L_QUEUE_NOTIFY: virtio_notify(v, val & 0xffff); break;
	case L_DEVICE_STATUS: virtio_set_status(v, val, true); break;
	case L_CONFIG_VECTOR:
		v->config_vector = virtio_pci_vector(v, val);
		break;
	case L_QUEUE_VECTOR:
		if (q)
			q->vector = virtio_pci_vector(v, val);
		break;
	}
}

const struct bus_io_ops virtio_pci_legacy_ops = {
	.read = virtio_legacy_read,
	.write = virtio_legacy_write,
	.sizes = 1 | 2 | 4,
};
