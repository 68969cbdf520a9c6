/*
 * virtio_console.c - a virtio console with one port, hvc0 (virtio 1.2, 5.3).
 *
 * Queues: 0 input and 1 output of port 0, 2 and 3 control messages to and from
 * the driver, used only with the multiport feature.
 *
 * Output that the host does not take at once stays in its chain, which is
 * given back when all of it has gone.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <glib.h>

#include "dev/chardev.h"
#include "dev/state.h"
#include "dev/virtio/devices.h"
#include "dev/virtio/virtio.h"

#define CONSOLE_QUEUE_SIZE  128
#define CONSOLE_F_MULTIPORT 1
#define CONSOLE_F_EMERG	    2

enum { Q_IN, Q_OUT, Q_CTRL_IN, Q_CTRL_OUT, NQUEUES };

/* control events, 5.3.6.2 */
#define EV_DEVICE_READY 0
#define EV_PORT_ADD	1
#define EV_PORT_READY	3
#define EV_CONSOLE_PORT 4
#define EV_PORT_OPEN	6

#define CONSOLE_MAX_MESSAGES 8
#define CONSOLE_CHUNK_BYTES  4096

struct console_message {
	uint32_t id;
	uint16_t event, value;
};

struct virtio_console {
	struct virtio v;
	struct dev_chardev *chr;
	struct console_message message[CONSOLE_MAX_MESSAGES];
	unsigned nmessages; /* to the driver, oldest first */
	bool sending;	    /* out holds a chain, sent up to out_off */
	uint64_t out_off;
	struct virtq_chain out, in;
};

struct virtio_console_config {
	uint16_t cols, rows;
	uint32_t max_nr_ports, emerg_wr;
};

static void virtio_console_broken(struct virtio_console *d, struct virtq *q)
{
	if (q->broken)
		virtio_fail(&d->v);
}

/* ---- output ---- */

/* More of the chain in d->out; false when the host takes no more now. */
static bool virtio_console_send(struct virtio_console *d, struct virtq *q)
{
	uint8_t buf[CONSOLE_CHUNK_BYTES];

	while (d->out_off < d->out.out_bytes) {
		size_t n = virtq_read(q, &d->out, d->out_off, buf, sizeof(buf));
		size_t took = d->chr ? d->chr->write(d->chr, buf, n) : n;

		d->out_off += took;
		if (took < n)
			return false;
	}
	return true;
}

static void virtio_console_output(struct virtio_console *d)
{
	struct virtq *q = &d->v.queue[Q_OUT];
	bool any = false;

	for (unsigned budget = q->size; budget; budget--) {
		if (!d->sending) {
			if (virtq_pop(q, &d->out) <= 0)
				break;
			d->sending = true;
			d->out_off = 0;
		}
		if (!virtio_console_send(d, q))
			break;
		d->sending = false;
		virtq_fill(q, d->out.head, 0);
		any = true;
	}
	if (any) {
		virtq_publish(q);
		virtio_signal(&d->v, q);
	}
	virtio_console_broken(d, q);
}

static void virtio_console_writable(void *opaque)
{
	struct virtio_console *d = opaque;

	if (virtio_running(&d->v) && d->v.queue[Q_OUT].enabled)
		virtio_console_output(d);
}

/* ---- input ---- */

static size_t virtio_console_can_receive(void *opaque)
{
	struct virtio_console *d = opaque;
	struct virtq *q = &d->v.queue[Q_IN];

	if (!virtio_running(&d->v) || !q->enabled || virtq_pop(q, &d->in) <= 0)
		return 0;
	virtq_unpop(q);
	return MIN(d->in.in_bytes, CONSOLE_CHUNK_BYTES);
}

static void virtio_console_receive(void *opaque, const uint8_t *buf, size_t len)
{
	struct virtio_console *d = opaque;
	struct virtq *q = &d->v.queue[Q_IN];

	if (!virtio_running(&d->v) || !q->enabled)
		return;
	while (len && virtq_pop(q, &d->in) > 0) {
		size_t n = virtq_write(q, &d->in, 0, buf, len);

		virtq_fill(q, d->in.head, n);
		buf += n;
		len -= n;
	}
	virtq_publish(q);
	virtio_signal(&d->v, q);
	virtio_console_broken(d, q);
}

/* ---- control ---- */

static void virtio_console_flush_messages(struct virtio_console *d)
{
	struct virtq *q = &d->v.queue[Q_CTRL_IN];
	unsigned sent = 0;

	if (!q->enabled)
		return;
	while (sent < d->nmessages && virtq_pop(q, &d->in) > 0) {
		virtq_fill(q, d->in.head,
			virtq_write(q, &d->in, 0, &d->message[sent],
				sizeof(d->message[0])));
		sent++;
	}
	if (sent) {
		d->nmessages -= sent;
		memmove(d->message, d->message + sent,
			d->nmessages * sizeof(d->message[0]));
		virtq_publish(q);
		virtio_signal(&d->v, q);
	}
	virtio_console_broken(d, q);
}

static void virtio_console_tell(
	struct virtio_console *d, uint16_t event, uint16_t value)
{
	if (d->nmessages < CONSOLE_MAX_MESSAGES)
		d->message[d->nmessages++] = (struct console_message){
			.event = event,
			.value = value,
		};
}

static void virtio_console_control(
	struct virtio_console *d, const struct console_message *m)
{
	if (m->event == EV_DEVICE_READY && m->value == 1) {
		virtio_console_tell(d, EV_PORT_ADD, 1);
	} else if (m->event == EV_PORT_READY && m->value == 1 && m->id == 0) {
		virtio_console_tell(d, EV_CONSOLE_PORT, 1);
		virtio_console_tell(d, EV_PORT_OPEN, 1);
	}
}

static void virtio_console_take_control(struct virtio_console *d)
{
	struct virtq *q = &d->v.queue[Q_CTRL_OUT];
	struct console_message m;

	for (unsigned budget = q->size; budget && virtq_pop(q, &d->out) > 0;
		budget--) {
		if (virtq_read(q, &d->out, 0, &m, sizeof(m)) == sizeof(m))
			virtio_console_control(d, &m);
		virtq_push(q, d->out.head, 0);
		virtio_signal(&d->v, q);
	}
	virtio_console_broken(d, q);
	virtio_console_flush_messages(d);
}

/* ---- virtio ---- */

static void virtio_console_notify(struct virtio *v, unsigned queue)
{
	struct virtio_console *d = (struct virtio_console *)v;

	switch (queue) {
	case Q_IN:
		if (d->chr && d->chr->accept_input)
			d->chr->accept_input(d->chr);
		break;
	case Q_OUT: virtio_console_output(d); break;
	case Q_CTRL_IN: virtio_console_flush_messages(d); break;
	case Q_CTRL_OUT: virtio_console_take_control(d); break;
	}
}

static void virtio_console_stop(struct virtio *v)
{
	struct virtio_console *d = (struct virtio_console *)v;

	d->sending = false;
	d->nmessages = 0;
}

static void virtio_console_config_get(struct virtio *v, uint8_t *config)
{
	struct virtio_console_config c = {.max_nr_ports = 1};

	memcpy(config, &c, sizeof(c));
}

/* 5.3.5: a byte for a dying guest, written without any queue. */
static void virtio_console_config_set(
	struct virtio *v, unsigned off, const uint8_t *buf, unsigned len)
{
	struct virtio_console *d = (struct virtio_console *)v;

	if (off == offsetof(struct virtio_console_config, emerg_wr) && d->chr)
		d->chr->write(d->chr, buf, 1);
}

static const struct virtio_type virtio_console_type = {
	.id = 3,
	.legacy_id = 0x1003,
	.pci_class = 0x078000,
	.config_size = sizeof(struct virtio_console_config),
	.config_get = virtio_console_config_get,
	.config_set = virtio_console_config_set,
	.notify = virtio_console_notify,
	.stop = virtio_console_stop,
};

/* ---- device ---- */

static int virtio_console_init(struct dev *dev, char *err, unsigned errsize)
{
	struct virtio_console *d = (struct virtio_console *)dev;
	int rc;

	virtio_init(&d->v, &virtio_console_type,
		VIRTIO_BIT(CONSOLE_F_MULTIPORT) | VIRTIO_BIT(CONSOLE_F_EMERG),
		NQUEUES, CONSOLE_QUEUE_SIZE);
	rc = virtio_plug(&d->v, err, errsize);
	d->chr = dev->host.chr;
	if (rc || !d->chr)
		return rc;
	d->chr->can_receive = virtio_console_can_receive;
	d->chr->receive = virtio_console_receive;
	d->chr->writable = virtio_console_writable;
	d->chr->opaque = d;
	return 0;
}

static void virtio_console_reset(struct dev *dev)
{
	virtio_reset(&((struct virtio_console *)dev)->v);
}

static void virtio_console_fini(struct dev *dev)
{
	struct virtio_console *d = (struct virtio_console *)dev;

	if (d->chr) {
		d->chr->can_receive = NULL;
		d->chr->receive = NULL;
		d->chr->writable = NULL;
	}
	virtio_fini(&d->v);
}

static void virtio_console_describe(struct dev *dev, char *buf, unsigned size)
{
	virtio_describe(&((struct virtio_console *)dev)->v, buf, size);
}

/* ---- state ---- */

/* Take the chain that is being sent once more. */
static int virtio_console_loaded(
	void *obj, unsigned version, char *err, unsigned errsize)
{
	struct virtio_console *d = obj;
	struct virtq *q = &d->v.queue[Q_OUT];

	if (!d->sending)
		return 0;
	virtq_unpop(q);
	if (q->enabled && virtq_pop(q, &d->out) > 0)
		return 0;
	snprintf(err, errsize, "what it sends is not there");
	return -EINVAL;
}

static const struct state_field console_message_fields[] = {
	STATE(struct console_message, id),
	STATE(struct console_message, event),
	STATE(struct console_message, value),
};

static const struct state_list console_message_state = STATE_LIST(
	"message", struct console_message, 1, console_message_fields);

static const struct state_field virtio_console_fields[] = {
	STATE_STRUCT(struct virtio_console, v, &virtio_state),
	STATE_STRUCTS(struct virtio_console, message, &console_message_state),
	STATE(struct virtio_console, nmessages, .max = CONSOLE_MAX_MESSAGES),
	STATE(struct virtio_console, sending),
	STATE(struct virtio_console, out_off),
};

static const struct state_list virtio_console_state =
	STATE_LIST("virtio-console", struct virtio_console, 1,
		virtio_console_fields, .loaded = virtio_console_loaded);

const struct dev_class virtio_console_class = {
	.name = "virtio-console",
	.size = sizeof(struct virtio_console),
	.init = virtio_console_init,
	.reset = virtio_console_reset,
	.fini = virtio_console_fini,
	.describe = virtio_console_describe,
	.state = &virtio_console_state,
};
