/*
 * virtio_net.c - a virtio network card (virtio 1.2, 5.1).
 *
 * Queues: pairs of receive and transmit, then control, which a driver that
 * knows of one pair only finds behind the first.  Frames are sent from the
 * vCPU thread that notified, a bounded number at a time; the rest follows from
 * the control loop.  A receive queue's notifications are on only while a frame
 * waits for room.
 *
 * With several pairs in use a frame goes to the one that its connection's last
 * frame out came from (5.1.6.5.5.1).
 *
 * What libslirp makes has right checksums, so the driver need not check them,
 * and the driver's checksums are filled in here, in host code.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <glib.h>

#include "dev/net/card.h"
#include "dev/state.h"
#include "dev/virtio/devices.h"
#include "dev/virtio/net_offload.h"
#include "dev/virtio/virtio.h"
#include "net/inet.h"
#include "net/net.h"

#define NET_QUEUE_SIZE 256
#define NET_TX_BUDGET  256
#define NET_MAX_MACS   64
#define NET_MAX_PAIRS  8
#define NET_FLOWS      256 /* that share a pair with no others */

#define NET_F_CSUM	    0
#define NET_F_GUEST_CSUM    1
#define NET_F_MAC	    5
#define NET_F_GUEST_TSO4    7
#define NET_F_HOST_TSO4	    11
#define NET_F_MRG_RXBUF	    15
#define NET_F_STATUS	    16
#define NET_F_CTRL_VQ	    17
#define NET_F_CTRL_RX	    18
#define NET_F_CTRL_RX_EXTRA 20
#define NET_F_MQ	    22
#define NET_F_CTRL_MAC_ADDR 23

struct net_config {
	uint8_t mac[6];
	uint16_t status, max_pairs;
};

/* 5.1.6.5: what the control queue sets */
struct net_filter {
	bool promisc, allmulti, alluni, nomulti, nouni, nobcast;
	bool macs_overflow; /* more than we keep: let all of them pass */
	unsigned nmacs;
	uint8_t mac[NET_MAX_MACS][6];
};

struct virtio_net {
	struct virtio v;
	struct net_port *port;
	uint8_t mac[6], factory_mac[6];
	struct net_filter filter;
	unsigned max_pairs;
	uint16_t pairs;		 /* in use */
	uint8_t flow[NET_FLOWS]; /* pair by hash of the connection */
	struct bus_timer tx_timer;
	uint64_t rx_frames, tx_frames, dropped;
	bool rx_hopeless; /* the frame at hand will never fit */
	/* Sending may receive before it returns: nothing is shared. */
	struct virtq_chain tx, ctrl, rx_first, rx_next;
	uint16_t rx_head[VIRTQ_MAX_SIZE];
	uint32_t rx_len[VIRTQ_MAX_SIZE];
	uint8_t tx_frame[NET_MAX_FRAME];
	uint8_t rx_frame[NET_MAX_FRAME + 12]; /* with its header */
};

static struct virtq *virtio_net_rx_queue(struct virtio_net *d, unsigned pair)
{
	return &d->v.queue[2 * pair];
}

static struct virtq *virtio_net_tx_queue(struct virtio_net *d, unsigned pair)
{
	return &d->v.queue[2 * pair + 1];
}

/* 5.1.2 */
static unsigned virtio_net_ctrl_index(const struct virtio_net *d)
{
	return virtio_has(&d->v, NET_F_MQ) ? 2 * d->max_pairs : 2;
}

/* The same number for both directions of a connection. */
static unsigned virtio_net_flow(const uint8_t *frame, size_t len)
{
	struct inet_frame f;
	uint32_t h = 0;

	if (!inet_parse(&f, frame, len))
		return 0;
	for (size_t at = f.l3 + (f.ipv4 ? 12 : 8);
		at < f.l3 + (f.ipv4 ? 20 : 40); at += 4)
		h ^= inet_get32(frame + at);
	if (f.data) /* not of fragments: their pieces belong together */
		h += inet_get16(frame + f.l4) ^ inet_get16(frame + f.l4 + 2);
	return h * 0x9e3779b1u >> 24; /* of 256: NET_FLOWS */
}

/* Before 1.0 and without merging, num_buffers is not there. */
static unsigned virtio_net_header_bytes(const struct virtio_net *d)
{
	return virtio_has(&d->v, NET_F_MRG_RXBUF) ||
			       virtio_has(&d->v, VIRTIO_F_VERSION_1)
		       ? 12
		       : 10;
}

/* ---- transmit ---- */

static void virtio_net_send(
	struct virtio_net *d, struct virtq *q, unsigned pair)
{
	struct net_offload_header h = {0};
	unsigned hlen = virtio_net_header_bytes(d);
	uint64_t len = d->tx.out_bytes - hlen;

	if (d->tx.out_bytes < hlen + ETH_HEADER || len > sizeof(d->tx_frame)) {
		d->dropped++;
		return;
	}
	virtq_read(q, &d->tx, 0, &h, hlen);
	virtq_read(q, &d->tx, hlen, d->tx_frame, len);
	if (!net_offload_tx(&h, d->tx_frame, len)) {
		d->dropped++;
		return;
	}
	d->tx_frames++;
	if (d->pairs > 1)
		d->flow[virtio_net_flow(d->tx_frame, len)] = pair;
	if (d->port)
		d->port->send(d->port, d->tx_frame, len);
}

static void virtio_net_tx(struct virtio_net *d, unsigned pair)
{
	struct virtq *q = virtio_net_tx_queue(d, pair);
	unsigned n = 0;
	int rc = 0;

	virtq_set_notify(q, false);
	for (;;) {
		while (n < NET_TX_BUDGET && (rc = virtq_pop(q, &d->tx)) > 0) {
			virtio_net_send(d, q, pair);
			virtq_fill(q, d->tx.head, 0);
			n++;
		}
		if (n == NET_TX_BUDGET || rc < 0)
			break;
		virtq_set_notify(q, true);
		if (!virtq_available(q))
			break;
		virtq_set_notify(q, false);
	}
	if (n) {
		virtq_publish(q);
		virtio_signal(&d->v, q);
	}
	if (q->broken)
		virtio_fail(&d->v);
	else if (n == NET_TX_BUDGET)
		bus_timer_arm(&d->tx_timer, bus_clock_ns(d->v.dev.host.bus));
}

static void virtio_net_tx_more(void *opaque)
{
	struct virtio_net *d = opaque;

	for (unsigned i = 0; i < d->max_pairs; i++)
		virtio_notify(&d->v, 2 * i + 1);
}

/* ---- receive ---- */

static bool virtio_net_mac_listed(
	const struct net_filter *f, const uint8_t *mac)
{
	if (f->macs_overflow)
		return true;
	for (unsigned i = 0; i < f->nmacs; i++)
		if (!memcmp(f->mac[i], mac, 6))
			return true;
	return false;
}

static bool virtio_net_wanted(const struct virtio_net *d, const uint8_t *frame)
{
	static const uint8_t broadcast[6] = {255, 255, 255, 255, 255, 255};
	const struct net_filter *f = &d->filter;

	if (f->promisc)
		return true;
	if (!memcmp(frame, broadcast, 6))
		return !f->nobcast;
	if (frame[0] & 1)
		return !f->nomulti &&
		       (f->allmulti || virtio_net_mac_listed(f, frame));
	return !f->nouni && (f->alluni || !memcmp(frame, d->mac, 6) ||
				    virtio_net_mac_listed(f, frame));
}

/* Put a frame with its header into chains; how many, 0 if they do not hold it
 * (then none is taken).  The first one's header gets that number. */
static unsigned virtio_net_gather(
	struct virtio_net *d, struct virtq *q, const uint8_t *buf, size_t total)
{
	bool merge = virtio_has(&d->v, NET_F_MRG_RXBUF);
	struct virtq_chain *c = &d->rx_first;
	uint16_t n = 0;
	size_t done = 0;

	while (done < total && n < q->size && (!n || merge)) {
		size_t put;

		if (virtq_pop(q, c) <= 0)
			break;
		put = virtq_write(q, c, 0, buf + done, total - done);
		d->rx_head[n] = c->head;
		d->rx_len[n++] = put;
		done += put;
		c = &d->rx_next;
	}
	if (done == total) {
		virtq_write(q, &d->rx_first, 10, &n,
			virtio_net_header_bytes(d) - 10);
		return n;
	}
	for (unsigned i = n; i; i--)
		virtq_unpop(q);
	/* What a full queue or an unmergeable buffer does not hold never
	 * fits. */
	d->rx_hopeless = n && (!merge || n == q->size);
	return 0;
}

/* As gather; on 0 the driver has been asked to tell of more room. */
static unsigned virtio_net_find_room(
	struct virtio_net *d, struct virtq *q, const uint8_t *buf, size_t total)
{
	for (unsigned tries = 0; tries < 8; tries++) {
		unsigned n = virtio_net_gather(d, q, buf, total);
		uint16_t seen = q->avail_seen;

		if (n || d->rx_hopeless || q->broken)
			return n;
		virtq_set_notify(q, true);
		virtq_available(q);
		if (q->avail_seen == seen)
			return 0;
		virtq_set_notify(q, false);
	}
	d->rx_hopeless = true;
	return 0;
}

static struct virtq *virtio_net_choose(
	struct virtio_net *d, const uint8_t *frame, size_t len)
{
	unsigned pair = d->pairs > 1 ? d->flow[virtio_net_flow(frame, len)] : 0;

	if (pair < d->pairs && virtio_net_rx_queue(d, pair)->enabled)
		return virtio_net_rx_queue(d, pair);
	return virtio_net_rx_queue(d, 0);
}

static bool virtio_net_take(struct virtio_net *d,
	const struct net_offload_header *h, const uint8_t *frame, size_t len)
{
	struct virtq *q = virtio_net_choose(d, frame, len);
	unsigned hlen = virtio_net_header_bytes(d), n;

	if (!virtio_running(&d->v) || !q->enabled || len < ETH_HEADER ||
		len + hlen > sizeof(d->rx_frame) ||
		!virtio_net_wanted(d, frame))
		return true;
	memcpy(d->rx_frame, h, hlen);
	memcpy(d->rx_frame + hlen, frame, len);
	d->rx_hopeless = false;
	n = virtio_net_find_room(d, q, d->rx_frame, len + hlen);
	if (q->broken) {
		virtio_fail(&d->v);
		return true;
	}
	d->dropped += d->rx_hopeless;
	if (!n)
		return d->rx_hopeless;
	for (unsigned i = 0; i < n; i++)
		virtq_fill(q, d->rx_head[i], d->rx_len[i]);
	virtq_publish(q);
	virtio_signal(&d->v, q);
	d->rx_frames++;
	return true;
}

static bool virtio_net_receive(void *opaque, const uint8_t *frame, size_t len)
{
	struct virtio_net *d = opaque;
	struct net_offload_header h = {.num_buffers = 1};

	if (virtio_has(&d->v, NET_F_GUEST_CSUM) && d->port->checksums_good)
		h.flags = NET_HDR_F_DATA_VALID;
	return virtio_net_take(d, &h, frame, len);
}

/* One large segment of plain TCP/IPv4. */
static bool virtio_net_receive_tcp(
	void *opaque, const uint8_t *frame, size_t len, uint16_t mss)
{
	struct net_offload_header h = {
		.flags = NET_HDR_F_NEEDS_CSUM,
		.gso_type = NET_HDR_GSO_TCPV4,
		.hdr_len = ETH_HEADER + 20 + (frame[ETH_HEADER + 32] >> 4) * 4,
		.gso_size = mss,
		.csum_start = ETH_HEADER + 20,
		.csum_offset = 16,
		.num_buffers = 1,
	};

	return virtio_net_take(opaque, &h, frame, len);
}

/* ---- control, 5.1.6.5 ---- */

#define CTRL_RX		 0
#define CTRL_MAC	 1
#define CTRL_MAC_TABLE	 0
#define CTRL_MAC_ADDR	 1
#define CTRL_MQ		 4
#define CTRL_MQ_PAIRS	 0
#define CTRL_OK		 0
#define CTRL_ERR	 1
#define CTRL_MAX_ENTRIES 65536

static uint8_t virtio_net_ctrl_rx(
	struct virtio_net *d, struct virtq *q, uint8_t cmd)
{
	struct net_filter *f = &d->filter;
	bool *flag[] = {&f->promisc, &f->allmulti, &f->alluni, &f->nomulti,
		&f->nouni, &f->nobcast};
	uint8_t on;

	if (cmd >= G_N_ELEMENTS(flag) ||
		virtq_read(q, &d->ctrl, 2, &on, 1) != 1)
		return CTRL_ERR;
	*flag[cmd] = on;
	return CTRL_OK;
}

/* Two tables, of unicast and multicast addresses: a count and the entries. */
static uint8_t virtio_net_ctrl_table(struct virtio_net *d, struct virtq *q)
{
	struct net_filter *f = &d->filter;
	uint64_t off = 2;
	uint32_t n;

	f->nmacs = 0;
	f->macs_overflow = false;
	for (unsigned t = 0; t < 2; t++) {
		if (virtq_read(q, &d->ctrl, off, &n, 4) != 4 ||
			n > CTRL_MAX_ENTRIES ||
			off + 4 + 6ull * n > d->ctrl.out_bytes)
			return CTRL_ERR;
		off += 4;
		if (n > NET_MAX_MACS - f->nmacs) {
			f->macs_overflow = true;
		} else {
			virtq_read(q, &d->ctrl, off, f->mac[f->nmacs], 6 * n);
			f->nmacs += n;
		}
		off += 6ull * n;
	}
	return CTRL_OK;
}

static uint8_t virtio_net_ctrl_mac(
	struct virtio_net *d, struct virtq *q, uint8_t cmd)
{
	uint8_t mac[6];

	if (cmd == CTRL_MAC_TABLE)
		return virtio_net_ctrl_table(d, q);
	if (cmd != CTRL_MAC_ADDR || virtq_read(q, &d->ctrl, 2, mac, 6) != 6)
		return CTRL_ERR;
	memcpy(d->mac, mac, 6);
	return CTRL_OK;
}

static uint8_t virtio_net_ctrl_pairs(
	struct virtio_net *d, struct virtq *q, uint8_t cmd)
{
	uint16_t n;

	if (cmd != CTRL_MQ_PAIRS || !virtio_has(&d->v, NET_F_MQ) ||
		virtq_read(q, &d->ctrl, 2, &n, 2) != 2 || n < 1 ||
		n > d->max_pairs)
		return CTRL_ERR;
	d->pairs = n;
	return CTRL_OK;
}

static void virtio_net_ctrl(struct virtio_net *d)
{
	struct virtq *q = &d->v.queue[virtio_net_ctrl_index(d)];

	for (unsigned left = q->size; left && virtq_pop(q, &d->ctrl) > 0;
		left--) {
		uint8_t cmd[2] = {0xff, 0}, ack = CTRL_ERR;

		if (d->ctrl.in_bytes < 1) {
			q->broken = true;
			break;
		}
		virtq_read(q, &d->ctrl, 0, cmd, 2);
		if (cmd[0] == CTRL_RX)
			ack = virtio_net_ctrl_rx(d, q, cmd[1]);
		else if (cmd[0] == CTRL_MAC)
			ack = virtio_net_ctrl_mac(d, q, cmd[1]);
		else if (cmd[0] == CTRL_MQ)
			ack = virtio_net_ctrl_pairs(d, q, cmd[1]);
		virtq_write(q, &d->ctrl, 0, &ack, 1);
		virtq_push(q, d->ctrl.head, 1);
		virtio_signal(&d->v, q);
	}
	if (q->broken)
		virtio_fail(&d->v);
}

/* ---- virtio ---- */

static void virtio_net_notify(struct virtio *v, unsigned queue)
{
	struct virtio_net *d = (struct virtio_net *)v;

	if (queue == virtio_net_ctrl_index(d)) {
		virtio_net_ctrl(d);
	} else if (queue & 1) {
		virtio_net_tx(d, queue / 2);
	} else {
		virtq_set_notify(&v->queue[queue], false);
		if (d->port && d->port->ready)
			d->port->ready(d->port);
	}
}

static void virtio_net_stop(struct virtio *v)
{
	struct virtio_net *d = (struct virtio_net *)v;

	bus_timer_cancel(&d->tx_timer);
	if (d->port)
		d->port->receive_tcp = NULL;
	memset(&d->filter, 0, sizeof(d->filter));
	/* 5.1.6.5.1: until the driver filters, all comes in. */
	d->filter.promisc = true;
	d->pairs = 1;
	memset(d->flow, 0, sizeof(d->flow));
	memcpy(d->mac, d->factory_mac, 6);
}

static void virtio_net_start(struct virtio *v)
{
	struct virtio_net *d = (struct virtio_net *)v;

	d->filter.promisc = !virtio_has(v, NET_F_CTRL_RX);
	if (d->port && virtio_has(v, NET_F_GUEST_TSO4))
		d->port->receive_tcp = virtio_net_receive_tcp;
}

static void virtio_net_config_get(struct virtio *v, uint8_t *config)
{
	struct virtio_net *d = (struct virtio_net *)v;
	struct net_config c = {
		.status = 1 /* link up */, .max_pairs = d->max_pairs};

	memcpy(c.mac, d->mac, 6);
	memcpy(config, &c, sizeof(c));
}

/* 0.9.5 drivers set their address here. */
static void virtio_net_config_set(
	struct virtio *v, unsigned off, const uint8_t *buf, unsigned len)
{
	struct virtio_net *d = (struct virtio_net *)v;

	if (v->legacy && off + len <= 6)
		memcpy(d->mac + off, buf, len);
}

static const struct virtio_type virtio_net_type = {
	.id = 1,
	.legacy_id = 0x1000,
	.pci_class = 0x020000,
	.config_size = sizeof(struct net_config),
	.config_get = virtio_net_config_get,
	.config_set = virtio_net_config_set,
	.notify = virtio_net_notify,
	.start = virtio_net_start,
	.stop = virtio_net_stop,
};

/* ---- device ---- */

static uint64_t virtio_net_features(const struct net_port *port, unsigned pairs)
{
	uint64_t f = VIRTIO_BIT(NET_F_CSUM) | VIRTIO_BIT(NET_F_MAC) |
		     VIRTIO_BIT(NET_F_MRG_RXBUF) | VIRTIO_BIT(NET_F_STATUS) |
		     VIRTIO_BIT(NET_F_CTRL_VQ) | VIRTIO_BIT(NET_F_CTRL_RX) |
		     VIRTIO_BIT(NET_F_CTRL_RX_EXTRA) |
		     VIRTIO_BIT(NET_F_CTRL_MAC_ADDR);

	if (pairs > 1)
		f |= VIRTIO_BIT(NET_F_MQ);
	if (port && port->checksums_good)
		f |= VIRTIO_BIT(NET_F_GUEST_CSUM);
	if (port && port->checksums_good && port->large_receive)
		f |= VIRTIO_BIT(NET_F_GUEST_TSO4);
	if (port && port->large_send)
		f |= VIRTIO_BIT(NET_F_HOST_TSO4);
	return f;
}

static int virtio_net_init(struct dev *dev, char *err, unsigned errsize)
{
	struct virtio_net *d = (struct virtio_net *)dev;
	int rc;

	card_choose_mac(d->factory_mac, &dev->host);
	memcpy(d->mac, d->factory_mac, 6);
	bus_timer_init(&d->tx_timer, dev->host.bus, virtio_net_tx_more, d);
	d->max_pairs = CLAMP(dev->host.queues, 1, NET_MAX_PAIRS);
	virtio_init(&d->v, &virtio_net_type,
		virtio_net_features(dev->host.net, d->max_pairs),
		2 * d->max_pairs + 1, NET_QUEUE_SIZE);
	rc = virtio_plug(&d->v, err, errsize);
	d->port = dev->host.net;
	if (rc || !d->port)
		return rc;
	d->port->opaque = d;
	d->port->receive = virtio_net_receive;
	return 0;
}

static void virtio_net_reset(struct dev *dev)
{
	virtio_reset(&((struct virtio_net *)dev)->v);
}

static void virtio_net_fini(struct dev *dev)
{
	struct virtio_net *d = (struct virtio_net *)dev;

	if (d->port)
		d->port->receive = NULL;
	virtio_fini(&d->v);
}

static void virtio_net_describe(struct dev *dev, char *buf, unsigned size)
{
	struct virtio_net *d = (struct virtio_net *)dev;
	char common[160];

	virtio_describe(&d->v, common, sizeof(common));
	snprintf(buf, size,
		"%s, %u of %u queue pairs, %llu frames in, %llu out, "
		"%llu dropped",
		common, d->pairs, d->max_pairs,
		(unsigned long long)d->rx_frames,
		(unsigned long long)d->tx_frames,
		(unsigned long long)d->dropped);
}

/* ---- state ---- */

static int virtio_net_loaded(
	void *obj, unsigned version, char *err, unsigned errsize)
{
	struct virtio_net *d = obj;

	if (!d->pairs || d->pairs > d->max_pairs) {
		snprintf(err, errsize, "it uses %u queue pairs", d->pairs);
		return -EINVAL;
	}
	if (d->port && virtio_running(&d->v) &&
		virtio_has(&d->v, NET_F_GUEST_TSO4))
		d->port->receive_tcp = virtio_net_receive_tcp;
	return 0;
}

static const struct state_field virtio_net_fields[] = {
	STATE_STRUCT(struct virtio_net, v, &virtio_state),
	STATE_BYTES(struct virtio_net, mac),
	STATE(struct virtio_net, filter.promisc),
	STATE(struct virtio_net, filter.allmulti),
	STATE(struct virtio_net, filter.alluni),
	STATE(struct virtio_net, filter.nomulti),
	STATE(struct virtio_net, filter.nouni),
	STATE(struct virtio_net, filter.nobcast),
	STATE(struct virtio_net, filter.macs_overflow),
	STATE(struct virtio_net, filter.nmacs, .max = NET_MAX_MACS),
	STATE_BYTES(struct virtio_net, filter.mac),
	STATE_TIMER(struct virtio_net, tx_timer),
	STATE(struct virtio_net, pairs, .since = 2),
	STATE_BYTES(struct virtio_net, flow, .since = 2),
};

static const struct state_list virtio_net_state = STATE_LIST("virtio-net",
	struct virtio_net, 2, virtio_net_fields, .loaded = virtio_net_loaded);

const struct dev_class virtio_net_class = {
	.name = "virtio-net",
	.size = sizeof(struct virtio_net),
	.init = virtio_net_init,
	.reset = virtio_net_reset,
	.fini = virtio_net_fini,
	.describe = virtio_net_describe,
	.state = &virtio_net_state,
};
