/*
 * virtio.c - status, features and queues of a virtio device, whatever
 * transport carries them (virtio 1.2, 2 and 3).
 */
#include "dev/virtio/virtio.h"

#include <stdio.h>
#include <string.h>

#include <glib.h>

#define VIRTIO_LEGACY_FEATURES                                                 \
	(VIRTIO_BIT(VIRTIO_F_NOTIFY_ON_EMPTY) | VIRTIO_BIT(VIRTIO_F_ANY_LAYOUT))

void virtio_init(struct virtio *v, const struct virtio_type *type,
	uint64_t features, unsigned nqueues, unsigned queue_size)
{
	g_assert(nqueues <= VIRTIO_MAX_QUEUES);
	g_assert(type->config_size <= VIRTIO_MAX_CONFIG);
	g_assert(queue_size <= VIRTQ_MAX_SIZE);
	v->type = type;
	v->offered = features | VIRTIO_LEGACY_FEATURES |
		     VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC) |
		     VIRTIO_BIT(VIRTIO_F_EVENT_IDX) |
		     VIRTIO_BIT(VIRTIO_F_VERSION_1);
	v->nqueues = nqueues;
	v->queue = g_new0(struct virtq, nqueues);
	for (unsigned i = 0; i < nqueues; i++)
		virtq_init(&v->queue[i], v->dev.host.bus, queue_size);
	virtio_pci_init(v);
}

int virtio_plug(struct virtio *v, char *err, unsigned errsize)
{
	int rc = pci_func_plug(&v->pci, v->dev.host.pci,
		v->dev.host.pci_slot < 0 ? -1 : v->dev.host.pci_slot << 3);

	if (!rc)
		return 0;
	snprintf(err, errsize, "%s: no free PCI slot", v->dev.id);
	g_clear_pointer(&v->queue, g_free);
	return rc;
}

static void virtio_reset_state(struct virtio *v)
{
	if (v->type->stop)
		v->type->stop(v);
	for (unsigned i = 0; i < v->nqueues; i++)
		virtq_reset(&v->queue[i]);
	v->accepted = 0;
	v->offered_sel = v->accepted_sel = 0;
	v->queue_sel = 0;
	v->config_vector = 0xffff;
	v->status = 0;
	v->isr = 0;
	v->legacy = false;
	pci_set_intx(&v->pci, false);
}

void virtio_reset(struct virtio *v)
{
	virtio_reset_state(v);
	pci_func_reset(&v->pci);
}

void virtio_fini(struct virtio *v)
{
	virtio_reset_state(v);
	pci_func_unplug(&v->pci);
	g_clear_pointer(&v->queue, g_free);
}

void virtio_describe(struct virtio *v, char *buf, unsigned size)
{
	snprintf(buf, size, "%s, status %#x, %llu notifies, %llu interrupts",
		!v->status  ? "no driver"
		: v->legacy ? "driver speaks 0.9.5"
			    : "driver speaks 1.x",
		v->status, (unsigned long long)v->notifies,
		(unsigned long long)v->interrupts);
}

/* ---- features and status ---- */

uint32_t virtio_features_word(const struct virtio *v, uint32_t sel)
{
	uint64_t f = v->offered;

	if (!v->legacy)
		f &= ~VIRTIO_LEGACY_FEATURES;
	return sel < 2 ? (uint32_t)(f >> (32 * sel)) : 0;
}

void virtio_accept_word(struct virtio *v, uint32_t sel, uint32_t bits)
{
	if (sel > 1 || (v->status & VIRTIO_S_FEATURES_OK))
		return;
	v->accepted &= ~(0xffffffffull << (32 * sel));
	v->accepted |= (uint64_t)bits << (32 * sel);
}

static bool virtio_features_ok(const struct virtio *v)
{
	uint64_t may = v->offered & ~VIRTIO_LEGACY_FEATURES;

	return !(v->accepted & ~may) && virtio_has(v, VIRTIO_F_VERSION_1);
}

static void virtio_start(struct virtio *v)
{
	if (v->type->start)
		v->type->start(v);
	/* A hasty driver has filled queues before: serve them. */
	for (unsigned i = 0; i < v->nqueues; i++)
		virtio_notify(v, i);
}

void virtio_set_status(struct virtio *v, uint8_t status, bool legacy)
{
	uint8_t old = v->status;

	if (!status) {
		virtio_reset_state(v);
		return;
	}
	if (!old)
		v->legacy = legacy;
	if (v->legacy) {
		v->accepted &= v->offered & 0xffffffff;
	} else if ((status & ~old & VIRTIO_S_FEATURES_OK) &&
		   !virtio_features_ok(v)) {
		status &= ~VIRTIO_S_FEATURES_OK;
	}
	if (!v->legacy && !(status & VIRTIO_S_FEATURES_OK))
		status &= ~VIRTIO_S_DRIVER_OK;
	/* Only a reset takes back what was reached. */
	v->status = status | (old & (VIRTIO_S_NEEDS_RESET | VIRTIO_S_DRIVER_OK |
					    VIRTIO_S_FEATURES_OK));
	if (v->status & ~old & VIRTIO_S_DRIVER_OK)
		virtio_start(v);
}

/* ---- queues ---- */

void virtio_queue_enable(struct virtio *v, struct virtq *q)
{
	if (q->enabled)
		return;
	q->indirect = virtio_has(v, VIRTIO_F_INDIRECT_DESC);
	q->event_idx = virtio_has(v, VIRTIO_F_EVENT_IDX);
	if (!virtq_enable(q))
		virtio_fail(v);
}

void virtio_notify(struct virtio *v, unsigned queue)
{
	if (queue >= v->nqueues || !v->queue[queue].enabled ||
		!virtio_running(v))
		return;
	v->notifies++;
	v->type->notify(v, queue);
}

/* With all queues at rest meanwhile. */
void virtio_queue_disable(struct virtio *v, struct virtq *q)
{
	uint16_t vector = q->vector;

	if (!q->enabled)
		return;
	if (v->type->stop)
		v->type->stop(v);
	virtq_reset(q);
	q->vector = vector;
	if (virtio_running(v))
		virtio_start(v);
}

/* ---- interrupts ---- */

static void virtio_raise(struct virtio *v, uint16_t vector, uint8_t isr)
{
	v->interrupts++;
	if (v->pci.msix.enabled) {
		if (vector < v->pci.msix.nvectors)
			pci_msix_notify(&v->pci, vector);
		return;
	}
	v->isr |= isr;
	pci_set_intx(&v->pci, true);
}

uint8_t virtio_isr_take(struct virtio *v)
{
	uint8_t isr = v->isr;

	v->isr = 0;
	pci_set_intx(&v->pci, false);
	return isr;
}

void virtio_interrupt(struct virtio *v, struct virtq *q)
{
	virtio_raise(v, q->vector, 1);
}

void virtio_signal(struct virtio *v, struct virtq *q)
{
	if (virtq_wants_interrupt(q, virtio_has(v, VIRTIO_F_NOTIFY_ON_EMPTY)))
		virtio_interrupt(v, q);
}

void virtio_config_changed(struct virtio *v)
{
	v->generation++;
	if (v->status & VIRTIO_S_DRIVER_OK)
		virtio_raise(v, v->config_vector, 3);
}

void virtio_fail(struct virtio *v)
{
	if (v->status & VIRTIO_S_NEEDS_RESET)
		return;
	v->status |= VIRTIO_S_NEEDS_RESET;
	virtio_config_changed(v);
}

/* ---- device configuration ---- */

uint64_t virtio_config_read(struct virtio *v, unsigned off, unsigned size)
{
	uint8_t config[VIRTIO_MAX_CONFIG + 8] = {0};
	uint64_t val = 0;

	if (off >= v->type->config_size || size > 8)
		return 0;
	v->type->config_get(v, config);
	memset(config + v->type->config_size, 0, 8);
	memcpy(&val, config + off, size);
	return val;
}

void virtio_config_write(
	struct virtio *v, unsigned off, unsigned size, uint64_t val)
{
	uint8_t buf[8];

	if (!v->type->config_set || size > 8 || off > v->type->config_size ||
		size > v->type->config_size - off)
		return;
	memcpy(buf, &val, sizeof(buf));
	v->type->config_set(v, off, buf, size);
}
