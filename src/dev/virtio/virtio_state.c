/*
 * virtio_state.c - what of a virtio device and its queues is saved.
 *
 * Whoever works on queues in other threads has been drained, so no chain is
 * under way but those that a device keeps itself.
 */
#include <errno.h>
#include <stdio.h>

#include "dev/state.h"
#include "dev/virtio/virtio.h"

static int virtq_loaded(
	void *obj, unsigned version, char *err, unsigned errsize)
{
	struct virtq *q = obj;

	if (!q->size || q->size > q->max_size || (q->size & (q->size - 1))) {
		snprintf(err, errsize, "it has %u entries", q->size);
		return -EINVAL;
	}
	if (q->enabled)
		virtq_map_rings(q);
	return 0;
}

static const struct state_field virtq_fields[] = {
	STATE(struct virtq, size),
	STATE(struct virtq, vector),
	STATE(struct virtq, enabled),
	STATE(struct virtq, broken),
	STATE(struct virtq, event_idx),
	STATE(struct virtq, indirect),
	STATE(struct virtq, desc),
	STATE(struct virtq, avail),
	STATE(struct virtq, used),
	STATE(struct virtq, last_avail),
	STATE(struct virtq, avail_seen),
	STATE(struct virtq, used_idx),
	STATE(struct virtq, signalled_used),
	STATE(struct virtq, signalled_valid),
	STATE(struct virtq, notify_off),
};

static const struct state_list virtq_state = STATE_LIST(
	"queue", struct virtq, 1, virtq_fields, .loaded = virtq_loaded);

static int virtio_loaded(
	void *obj, unsigned version, char *err, unsigned errsize)
{
	struct virtio *v = obj;
	uint64_t more = v->accepted & ~v->offered;

	if (!more || !(v->status & VIRTIO_S_FEATURES_OK))
		return 0;
	snprintf(err, errsize,
		"its driver uses what is not offered here: features %#llx",
		(unsigned long long)more);
	return -EINVAL;
}

static const struct state_field virtio_fields[] = {
	STATE_STRUCT(struct virtio, pci, &pci_func_state),
	STATE(struct virtio, accepted),
	STATE(struct virtio, offered_sel),
	STATE(struct virtio, accepted_sel),
	STATE(struct virtio, queue_sel),
	STATE(struct virtio, config_vector),
	STATE(struct virtio, status),
	STATE(struct virtio, isr),
	STATE(struct virtio, generation),
	STATE(struct virtio, legacy),
	STATE_STRUCTS_AT(struct virtio, queue, nqueues, &virtq_state),
};

const struct state_list virtio_state = STATE_LIST(
	"virtio", struct virtio, 1, virtio_fields, .loaded = virtio_loaded);
