/*
 * virtio_rng.c - a virtio entropy device (virtio 1.2, 5.4) fed by the host's
 * getrandom(2).
 *
 * A guest gets at most 64 KiB every 10 ms, so that it cannot keep a host
 * processor busy with nothing but random numbers.
 */
#include <sys/random.h>

#include <glib.h>

#include "dev/state.h"
#include "dev/virtio/devices.h"
#include "dev/virtio/virtio.h"

#define RNG_QUEUE_SIZE	8
#define RNG_PERIOD_NS	10000000ull
#define RNG_BYTES	65536u
#define RNG_CHUNK_BYTES 256u /* what getrandom gives whole */

struct virtio_rng {
	struct virtio v;
	struct bus_timer timer;
	uint32_t budget;
	struct virtq_chain chain;
};

/* Fill the chain from the budget; how many bytes. */
static uint32_t virtio_rng_fill(struct virtio_rng *d, struct virtq *q)
{
	uint8_t buf[RNG_CHUNK_BYTES];
	uint32_t want = MIN(d->chain.in_bytes, d->budget);
	uint32_t done = 0;

	while (done < want) {
		ssize_t n = getrandom(buf, MIN(sizeof(buf), want - done), 0);

		if (n <= 0)
			break;
		virtq_write(q, &d->chain, done, buf, n);
		done += n;
	}
	d->budget -= done;
	return done;
}

static void virtio_rng_notify(struct virtio *v, unsigned queue)
{
	struct virtio_rng *d = (struct virtio_rng *)v;
	struct virtq *q = &v->queue[queue];
	bool any = false;

	while (d->budget && virtq_pop(q, &d->chain) > 0) {
		virtq_fill(q, d->chain.head, virtio_rng_fill(d, q));
		any = true;
	}
	if (any) {
		virtq_publish(q);
		virtio_signal(v, q);
	}
	if (q->broken)
		virtio_fail(v);
	else if (d->budget < RNG_BYTES && !d->timer.slot)
		bus_timer_arm(&d->timer,
			bus_clock_ns(v->dev.host.bus) + RNG_PERIOD_NS);
}

static void virtio_rng_refill(void *opaque)
{
	struct virtio_rng *d = opaque;

	d->budget = RNG_BYTES;
	virtio_notify(&d->v, 0);
}

static void virtio_rng_stop(struct virtio *v)
{
	struct virtio_rng *d = (struct virtio_rng *)v;

	bus_timer_cancel(&d->timer);
	d->budget = RNG_BYTES;
}

static const struct virtio_type virtio_rng_type = {
	.id = 4,
	.legacy_id = 0x1005,
	.pci_class = 0x00ff00,
	.notify = virtio_rng_notify,
	.stop = virtio_rng_stop,
};

static int virtio_rng_init(struct dev *dev, char *err, unsigned errsize)
{
	struct virtio_rng *d = (struct virtio_rng *)dev;

	bus_timer_init(&d->timer, dev->host.bus, virtio_rng_refill, d);
	virtio_init(&d->v, &virtio_rng_type, 0, 1, RNG_QUEUE_SIZE);
	return virtio_plug(&d->v, err, errsize);
}

static void virtio_rng_reset(struct dev *dev)
{
	virtio_reset(&((struct virtio_rng *)dev)->v);
}

static void virtio_rng_fini(struct dev *dev)
{
	virtio_fini(&((struct virtio_rng *)dev)->v);
}

static void virtio_rng_describe(struct dev *dev, char *buf, unsigned size)
{
	virtio_describe(&((struct virtio_rng *)dev)->v, buf, size);
}

/* ---- state ---- */

static const struct state_field virtio_rng_fields[] = {
	STATE_STRUCT(struct virtio_rng, v, &virtio_state),
	STATE(struct virtio_rng, budget, .max = RNG_BYTES),
	STATE_TIMER(struct virtio_rng, timer),
};

static const struct state_list virtio_rng_state =
	STATE_LIST("virtio-rng", struct virtio_rng, 1, virtio_rng_fields);

const struct dev_class virtio_rng_class = {
	.name = "virtio-rng",
	.size = sizeof(struct virtio_rng),
	.init = virtio_rng_init,
	.reset = virtio_rng_reset,
	.fini = virtio_rng_fini,
	.describe = virtio_rng_describe,
	.state = &virtio_rng_state,
};
