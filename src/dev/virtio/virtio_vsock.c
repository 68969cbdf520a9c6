/*
 * virtio_vsock.c - a virtio socket device (virtio 1.2, 5.10): streams between
 * a guest's programs and the host's.  What they are is in vsock_conn.c; here
 * are the queues that carry their packets.
 *
 * A packet of the driver's may need an answer, and answers need buffers of the
 * driver's: when too many wait for some, no more packets are taken (5.10.6.1).
 *
 * Connections do not outlive a saved state: who goes on from one is told to
 * forget them, and to look at its address again (5.10.6.7).
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "dev/state.h"
#include "dev/virtio/devices.h"
#include "dev/virtio/virtio.h"
#include "dev/virtio/vsock_conn.h"

#define VSOCK_QUEUE_SIZE 256
#define VSOCK_F_STREAM	 0

#define EVENT_TRANSPORT_RESET 0

enum { Q_RX, Q_TX, Q_EVENT, NQUEUES };

struct virtio_vsock {
	struct virtio v;
	struct vsock s;
	bool reset_due; /* the driver is to be told of it */
	struct virtq_chain chain;
	uint8_t data[VSOCK_MAX_PAYLOAD];
};

static bool queue_runs(struct virtio_vsock *d, const struct virtq *q)
{
	return virtio_running(&d->v) && q->enabled && !q->broken;
}

static void queue_done(struct virtio_vsock *d, struct virtq *q, bool any)
{
	if (any) {
		virtq_publish(q);
		virtio_signal(&d->v, q);
	}
	if (q->broken)
		virtio_fail(&d->v);
}

/* ---- from the driver ---- */

static void tx_packet(struct virtio_vsock *d, struct virtq *q)
{
	struct vsock_packet p;

	if (virtq_read(q, &d->chain, 0, &p, sizeof(p)) != sizeof(p))
		return;
	if (p.op != VSOCK_RW)
		p.len = 0;
	if (p.len > sizeof(d->data) ||
		virtq_read(q, &d->chain, sizeof(p), d->data, p.len) != p.len) {
		/* what it says of its length is wrong */
		p.op = VSOCK_INVALID;
		p.len = 0;
	}
	vsock_take(&d->s, &p, d->data);
}

/* False: there is more, for another time. */
static bool tx_all(struct virtio_vsock *d)
{
	struct virtq *q = &d->v.queue[Q_TX];
	unsigned left = q->size;
	bool any = false;

	if (!queue_runs(d, q))
		return true;
	for (; left && !vsock_full(&d->s) && virtq_pop(q, &d->chain) > 0;
		left--) {
		tx_packet(d, q);
		virtq_fill(q, d->chain.head, 0);
		any = true;
	}
	queue_done(d, q, any);
	return left > 0;
}

/* ---- to the driver ---- */

static bool rx_packet(struct virtio_vsock *d, struct virtq *q)
{
	struct vsock_packet p;

	if (d->chain.in_bytes <= sizeof(p)) {
		virtq_fill(q, d->chain.head, 0); /* no room for anything */
		return true;
	}
	if (!vsock_give(&d->s, &p, d->data, d->chain.in_bytes - sizeof(p))) {
		virtq_unpop(q);
		return false;
	}
	virtq_write(q, &d->chain, 0, &p, sizeof(p));
	virtq_write(q, &d->chain, sizeof(p), d->data, p.len);
	virtq_fill(q, d->chain.head, (uint32_t)sizeof(p) + p.len);
	return true;
}

/* Only who has something for it needs to hear of new buffers. */
static bool rx_room(struct virtq *q)
{
	if (q->notify_off)
		virtq_set_notify(q, true);
	return virtq_available(q) > 0;
}

static bool rx_all(struct virtio_vsock *d)
{
	struct virtq *q = &d->v.queue[Q_RX];
	unsigned left = q->size;
	bool any = false;

	if (!queue_runs(d, q))
		return true;
	while (left && vsock_pending(&d->s)) {
		if (virtq_pop(q, &d->chain) <= 0) {
			if (q->broken || !rx_room(q))
				break;
			continue;
		}
		if (!rx_packet(d, q))
			break;
		any = true;
		left--;
	}
	queue_done(d, q, any);
	return left > 0;
}

static void event_all(struct virtio_vsock *d)
{
	struct virtq *q = &d->v.queue[Q_EVENT];
	uint32_t event = EVENT_TRANSPORT_RESET;

	if (!d->reset_due || !queue_runs(d, q))
		return;
	if (virtq_pop(q, &d->chain) > 0) {
		virtq_fill(q, d->chain.head,
			(uint32_t)virtq_write(
				q, &d->chain, 0, &event, sizeof(event)));
		d->reset_due = false;
	}
	queue_done(d, q, !d->reset_due);
}

static void vsock_work(void *opaque)
{
	struct virtio_vsock *d = opaque;
	bool held, done;

	event_all(d);
	done = tx_all(d);
	held = vsock_full(&d->s);
	done &= rx_all(d);
	if ((!done || (held && !vsock_full(&d->s))) && d->s.host)
		d->s.host->again(d->s.host);
}

/* ---- the owner ---- */

static void virtio_vsock_answered(void *opaque, uint32_t id, int fd)
{
	struct virtio_vsock *d = opaque;

	vsock_answered(&d->s, id, fd);
}

static bool virtio_vsock_connect(void *opaque, uint32_t port, int fd)
{
	struct virtio_vsock *d = opaque;

	return virtio_running(&d->v) && vsock_connect(&d->s, port, fd);
}

static void virtio_vsock_ready(void *opaque, uint32_t id, unsigned events)
{
	struct virtio_vsock *d = opaque;

	vsock_ready(&d->s, id, events);
}

/* ---- virtio ---- */

static void virtio_vsock_notify(struct virtio *v, unsigned queue)
{
	struct virtio_vsock *d = (struct virtio_vsock *)v;

	if (queue == Q_RX && !vsock_pending(&d->s))
		virtq_set_notify(&v->queue[Q_RX], false);
	vsock_work(d);
}

static void virtio_vsock_stop(struct virtio *v)
{
	struct virtio_vsock *d = (struct virtio_vsock *)v;

	vsock_clear(&d->s);
	d->reset_due = false;
}

static void virtio_vsock_config_get(struct virtio *v, uint8_t *config)
{
	uint64_t cid = ((struct virtio_vsock *)v)->s.cid;

	memcpy(config, &cid, sizeof(cid));
}

static const struct virtio_type virtio_vsock_type = {
	.id = 19,
	.pci_class = 0x078000,
	.config_size = sizeof(uint64_t),
	.config_get = virtio_vsock_config_get,
	.notify = virtio_vsock_notify,
	.stop = virtio_vsock_stop,
};

/* ---- device ---- */

static int virtio_vsock_init(struct dev *dev, char *err, unsigned errsize)
{
	struct virtio_vsock *d = (struct virtio_vsock *)dev;
	struct dev_vsock *host = dev->host.vsock;
	int rc;

	vsock_init(&d->s, host);
	virtio_init(&d->v, &virtio_vsock_type, VIRTIO_BIT(VSOCK_F_STREAM),
		NQUEUES, VSOCK_QUEUE_SIZE);
	rc = virtio_plug(&d->v, err, errsize);
	if (rc) {
		vsock_fini(&d->s);
	} else if (host) {
		host->answered = virtio_vsock_answered;
		host->connect = virtio_vsock_connect;
		host->ready = virtio_vsock_ready;
		host->work = vsock_work;
		host->dev = d;
	}
	return rc;
}

static void virtio_vsock_reset(struct dev *dev)
{
	virtio_reset(&((struct virtio_vsock *)dev)->v);
}

static void virtio_vsock_fini(struct dev *dev)
{
	struct virtio_vsock *d = (struct virtio_vsock *)dev;

	virtio_fini(&d->v);
	vsock_fini(&d->s);
	if (d->s.host)
		d->s.host->dev = NULL;
}

static void virtio_vsock_describe(struct dev *dev, char *buf, unsigned size)
{
	struct virtio_vsock *d = (struct virtio_vsock *)dev;
	char common[160];

	virtio_describe(&d->v, common, sizeof(common));
	snprintf(buf, size,
		"%s, cid %u, %u connections, %llu before, %llu refused, "
		"bytes: %llu in, %llu out",
		common, d->s.cid, d->s.nconns, (unsigned long long)d->s.opened,
		(unsigned long long)d->s.refused,
		(unsigned long long)d->s.to_guest,
		(unsigned long long)d->s.to_host);
}

/* ---- state ---- */

static int virtio_vsock_loaded(
	void *obj, unsigned version, char *err, unsigned errsize)
{
	struct virtio_vsock *d = obj;

	vsock_clear(&d->s);
	d->reset_due = virtio_running(&d->v);
	if (d->reset_due && d->s.host)
		d->s.host->again(d->s.host);
	return 0;
}

static const struct state_field virtio_vsock_fields[] = {
	STATE_STRUCT(struct virtio_vsock, v, &virtio_state),
	STATE(struct virtio_vsock, s.next_port),
};

static const struct state_list virtio_vsock_state =
	STATE_LIST("virtio-vsock", struct virtio_vsock, 1, virtio_vsock_fields,
		.loaded = virtio_vsock_loaded);

const struct dev_class virtio_vsock_class = {
	.name = "virtio-vsock",
	.size = sizeof(struct virtio_vsock),
	.init = virtio_vsock_init,
	.reset = virtio_vsock_reset,
	.fini = virtio_vsock_fini,
	.describe = virtio_vsock_describe,
	.state = &virtio_vsock_state,
};
