/*
 * virtio_pci.c - virtio over PCI, the modern interface (virtio 1.2, 4.1).
 *
 * BAR 0  I/O, the 0.9.5 registers (virtio_pci_legacy.c)
 * BAR 1  memory, MSI-X: one vector per queue and one for configuration
 * BAR 4  memory, 64 bit:  0x0000 common configuration
 *                         0x1000 ISR status
 *                         0x2000 device configuration
 *                         0x3000 notifications, 4 bytes a queue
 * Five vendor capabilities point into BAR 4; the last is a window onto it
 * from configuration space.
 */
#include <string.h>

#include <glib.h>

#include "dev/virtio/virtio.h"

#define VIRTIO_PCI_VENDOR 0x1af4

#define BAR_COMMON   0x0000
#define BAR_ISR	     0x1000
#define BAR_DEVICE   0x2000
#define BAR_NOTIFY   0x3000
#define BAR_BYTES    0x4000
#define NOTIFY_MULT  4
#define LEGACY_BYTES 128

#define CAP_VENDOR 0x09
#define CAP_BYTES  16
#define CAP_COMMON 1
#define CAP_NOTIFY 2
#define CAP_ISR	   3
#define CAP_DEVICE 4
#define CAP_PCI	   5

/* struct virtio_pci_common_cfg, 4.1.4.3 */
enum {
	C_DEVICE_FEATURE_SELECT = 0x00,
	C_DEVICE_FEATURE = 0x04,
	C_DRIVER_FEATURE_SELECT = 0x08,
	C_DRIVER_FEATURE = 0x0c,
	C_CONFIG_MSIX_VECTOR = 0x10,
	C_NUM_QUEUES = 0x12,
	C_DEVICE_STATUS = 0x14,
	C_CONFIG_GENERATION = 0x15,
	C_QUEUE_SELECT = 0x16,
	C_QUEUE_SIZE = 0x18,
	C_QUEUE_MSIX_VECTOR = 0x1a,
	C_QUEUE_ENABLE = 0x1c,
	C_QUEUE_NOTIFY_OFF = 0x1e,
	C_QUEUE_DESC = 0x20,
	C_QUEUE_DRIVER = 0x28,
	C_QUEUE_DEVICE = 0x30,
	C_BYTES = 0x38,
};

/* The vector as it will be read back: NO_VECTOR if we have not that many. */
uint16_t virtio_pci_vector(const struct virtio *v, uint16_t vector)
{
	return vector < v->pci.msix.nvectors ? vector : 0xffff;
}

static void virtio_common_image_queue(struct virtio *v, uint8_t *c)
{
	struct virtq *q = virtio_selected(v);
	uint16_t size, vector, enable, off;

	if (!q)
		return; /* queue_size 0: there is no such queue */
	size = q->size;
	vector = q->vector;
	enable = q->enabled;
	off = v->queue_sel;
	memcpy(c + C_QUEUE_SIZE, &size, 2);
	memcpy(c + C_QUEUE_MSIX_VECTOR, &vector, 2);
	memcpy(c + C_QUEUE_ENABLE, &enable, 2);
	memcpy(c + C_QUEUE_NOTIFY_OFF, &off, 2);
	memcpy(c + C_QUEUE_DESC, &q->desc, 8);
	memcpy(c + C_QUEUE_DRIVER, &q->avail, 8);
	memcpy(c + C_QUEUE_DEVICE, &q->used, 8);
}

static uint64_t virtio_common_read(
	struct virtio *v, unsigned off, unsigned size)
{
	uint8_t c[C_BYTES + 8] = {0};
	uint32_t offered = virtio_features_word(v, v->offered_sel);
	uint32_t accepted =
		v->accepted_sel > 1 ? 0 : v->accepted >> (32 * v->accepted_sel);
	uint16_t nq = v->nqueues;
	uint64_t val = 0;

	if (off >= C_BYTES)
		return 0;
	memcpy(c + C_DEVICE_FEATURE_SELECT, &v->offered_sel, 4);
	memcpy(c + C_DEVICE_FEATURE, &offered, 4);
	memcpy(c + C_DRIVER_FEATURE_SELECT, &v->accepted_sel, 4);
	memcpy(c + C_DRIVER_FEATURE, &accepted, 4);
	memcpy(c + C_CONFIG_MSIX_VECTOR, &v->config_vector, 2);
	memcpy(c + C_NUM_QUEUES, &nq, 2);
	c[C_DEVICE_STATUS] = v->status;
	c[C_CONFIG_GENERATION] = v->generation;
	memcpy(c + C_QUEUE_SELECT, &v->queue_sel, 2);
	virtio_common_image_queue(v, c);
	memcpy(&val, c + off, size);
	return val;
}

/* A 64-bit field is written whole or by 32-bit halves. */
static void virtio_set_address(
	gpa_t *field, unsigned half, unsigned size, uint64_t val)
{
	if (size == 8 && !half)
		*field = val;
	else if (size == 4)
		*field = (*field & ~(0xffffffffull << (8 * half))) |
			 (val & 0xffffffff) << (8 * half);
}

static void virtio_common_write_queue(
	struct virtio *v, unsigned off, unsigned size, uint64_t val)
{
	struct virtq *q = virtio_selected(v);

	if (!q)
		return;
	if (off == C_QUEUE_MSIX_VECTOR) {
		q->vector = virtio_pci_vector(v, val);
		return;
	}
	if (q->enabled)
		return; /* 4.1.4.3.2: not to be changed any more */
	switch (off) {
	case C_QUEUE_SIZE:
		if (val && val <= q->max_size && !(val & (val - 1)))
			q->size = val;
		break;
	case C_QUEUE_ENABLE:
		if (val == 1)
			virtio_queue_enable(v, q);
		break;
	case C_QUEUE_DESC:
	case C_QUEUE_DESC + 4:
		virtio_set_address(&q->desc, off & 4, size, val);
		break;
	case C_QUEUE_DRIVER:
	case C_QUEUE_DRIVER + 4:
		virtio_set_address(&q->avail, off & 4, size, val);
		break;
	case C_QUEUE_DEVICE:
	case C_QUEUE_DEVICE + 4:
		virtio_set_address(&q->used, off & 4, size, val);
		break;
	}
}

static void virtio_common_write(
	struct virtio *v, unsigned off, unsigned size, uint64_t val)
{
	switch (off) {
	case C_DEVICE_FEATURE_SELECT: v->offered_sel = val; break;
	case C_DRIVER_FEATURE_SELECT: v->accepted_sel = val; break;
	case C_DRIVER_FEATURE:
		virtio_accept_word(v, v->accepted_sel, val);
		break;
	case C_CONFIG_MSIX_VECTOR:
		v->config_vector = virtio_pci_vector(v, val);
		break;
	case C_DEVICE_STATUS: virtio_set_status(v, val, false); break;
	case C_QUEUE_SELECT: v->queue_sel = val; break;
	default: virtio_common_write_queue(v, off, size, val); break;
	}
}

static uint64_t virtio_pci_read(
	void *opaque, struct bus_cpu *who, uint64_t off, unsigned size)
{
	struct virtio *v = opaque;

	switch (off & ~0xfffull) {
	case BAR_COMMON: return virtio_common_read(v, off, size);
	case BAR_ISR: return off == BAR_ISR ? virtio_isr_take(v) : 0;
	case BAR_DEVICE: return virtio_config_read(v, off - BAR_DEVICE, size);
	default: return 0;
	}
}

static void virtio_pci_write(void *opaque, struct bus_cpu *who, uint64_t off,
	unsigned size, uint64_t val)
{
	struct virtio *v = opaque;

	switch (off & ~0xfffull) {
	case BAR_COMMON: virtio_common_write(v, off, size, val); break;
	case BAR_DEVICE:
		virtio_config_write(v, off - BAR_DEVICE, size, val);
		break;
	case BAR_NOTIFY:
		virtio_notify(v, (off - BAR_NOTIFY) / NOTIFY_MULT);
		break;
	}
}

static const struct bus_mmio_ops virtio_pci_ops = {
	.read = virtio_pci_read,
	.write = virtio_pci_write,
};

/* ---- capabilities ---- */

static uint8_t *virtio_pci_cap(struct pci_func *f, uint8_t type, uint32_t off,
	uint32_t len, unsigned cap_bytes)
{
	uint8_t *c = f->config + pci_add_cap(f, CAP_VENDOR, cap_bytes);

	c[2] = cap_bytes;
	c[3] = type;
	c[4] = 4; /* BAR */
	memcpy(c + 8, &off, 4);
	memcpy(c + 12, &len, 4);
	return c;
}

/* The PCI configuration access capability: bar, offset and length say where,
 * the four bytes behind are the data (4.1.4.9).  Returns the length, or 0. */
static unsigned virtio_pci_window(struct virtio *v, uint32_t *off)
{
	const uint8_t *c = v->pci.config + v->window;
	uint32_t len;

	memcpy(off, c + 8, 4);
	memcpy(&len, c + 12, 4);
	if (c[4] != 4 || (len != 1 && len != 2 && len != 4) || *off % len ||
		*off >= BAR_BYTES)
		return 0;
	return len;
}

static bool virtio_pci_in_window(struct virtio *v, unsigned off, unsigned len)
{
	unsigned data = v->window + CAP_BYTES;

	return off + len > data && off < data + 4;
}

static void virtio_pci_config_reading(
	struct pci_func *f, unsigned off, unsigned len)
{
	struct virtio *v = (struct virtio *)f->dev;
	uint32_t at, val;
	unsigned n;

	if (!virtio_pci_in_window(v, off, len))
		return;
	n = virtio_pci_window(v, &at);
	if (!n)
		return;
	val = virtio_pci_read(v, NULL, at, n);
	memcpy(f->config + v->window + CAP_BYTES, &val, 4);
}

static void virtio_pci_config_written(
	struct pci_func *f, unsigned off, unsigned len)
{
	struct virtio *v = (struct virtio *)f->dev;
	uint32_t at, val;
	unsigned n;

	if (!virtio_pci_in_window(v, off, len))
		return;
	n = virtio_pci_window(v, &at);
	if (!n)
		return;
	memcpy(&val, f->config + v->window + CAP_BYTES, 4);
	virtio_pci_write(
		v, NULL, at, n, n == 4 ? val : val & ((1u << (8 * n)) - 1));
}

static void virtio_pci_caps(struct virtio *v)
{
	struct pci_func *f = &v->pci;
	uint32_t mult = NOTIFY_MULT;
	unsigned at;
	uint8_t *c;

	virtio_pci_cap(f, CAP_COMMON, BAR_COMMON, C_BYTES, CAP_BYTES);
	virtio_pci_cap(f, CAP_ISR, BAR_ISR, 1, CAP_BYTES);
	if (v->type->config_size) /* Linux refuses an empty one */
		virtio_pci_cap(f, CAP_DEVICE, BAR_DEVICE, v->type->config_size,
			CAP_BYTES);
	c = virtio_pci_cap(f, CAP_NOTIFY, BAR_NOTIFY, v->nqueues * NOTIFY_MULT,
		CAP_BYTES + 4);
	memcpy(c + CAP_BYTES, &mult, 4);
	c = virtio_pci_cap(f, CAP_PCI, 0, 0, CAP_BYTES + 4);
	c[4] = 0;
	v->window = at = c - f->config;
	memset(f->wmask + at + 4, 0xff, 1);
	memset(f->wmask + at + 8, 0xff, 12);
	f->config_written = virtio_pci_config_written;
	f->config_reading = virtio_pci_config_reading;
}

void virtio_pci_init(struct virtio *v)
{
	struct pci_func *f = &v->pci;
	uint16_t legacy = v->type->legacy_id;

	pci_func_init(f, &v->dev,
		&(struct pci_ident){.vendor = VIRTIO_PCI_VENDOR,
			.device = legacy ? legacy : 0x1040 + v->type->id,
			.revision = legacy ? 0 : 1,
			.class_code = v->type->pci_class,
			.sub_vendor = VIRTIO_PCI_VENDOR,
			.sub_id = v->type->id});
	f->irq_pin = 1;
	f->express_able = true;
	f->config[0x3d] = 1;
	if (legacy)
		f->bar[0] = (struct pci_bar){
			.size = LEGACY_BYTES,
			.io = true,
			.ports = &virtio_pci_legacy_ops,
			.opaque = v,
		};
	f->bar[4] = (struct pci_bar){
		.size = BAR_BYTES,
		.mem64 = true,
		.mmio = &virtio_pci_ops,
		.opaque = v,
	};
	pci_add_msix(f, 1, v->nqueues + 1);
	virtio_pci_caps(v);
}
