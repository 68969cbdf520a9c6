/*
 * virtio_balloon.c - the traditional memory balloon (virtio 1.2, 5.5).
 *
 * Memory comes back by two ways.  The host says how many pages the balloon
 * shall have, and the guest's driver puts some in (inflate) or takes some out
 * (deflate).  And, without anybody's doing, the driver reports runs of pages
 * that have been free for a while, and uses them again when it likes.
 *
 * Taking pages out needs no work here: they are there again when the guest
 * touches them.
 *
 * The statistics queue has one buffer, which the driver fills each time that it
 * gets it back: it stays in the ring until somebody wants to know.
 *
 * Queues 2 to 4 are statistics, hints (not offered) and reports.  Drivers that
 * are older than that wording of the specification, Linux's among them, number
 * only those that they use: reports are what comes behind the others.
 */
#include "dev/virtio/virtio_balloon.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <glib.h>

#include "dev/state.h"
#include "dev/virtio/devices.h"
#include "dev/virtio/virtio.h"
#include "dev/virtio/virtio_ram.h"

#define BALLOON_QUEUES	   5
#define BALLOON_QUEUE_SIZE 128
#define BALLOON_BATCH	   1024 /* page numbers, sorted together */
/* Page numbers of one request; Linux sends 256, Windows 1024. */
#define BALLOON_MAX_PFNS 65536u
/* Pages in one go; then others get the lock. */
#define BALLOON_BUDGET 32768

#define BALLOON_F_STATS_VQ	 1
#define BALLOON_F_DEFLATE_ON_OOM 2
#define BALLOON_F_PAGE_POISON	 4
#define BALLOON_F_REPORTING	 5

#define STAT_BYTES 10 /* tag16 value64 */
#define STAT_MAX   64 /* looked at */

struct balloon_config {
	uint32_t num_pages, actual, hint_cmd_id, poison_val;
};

struct virtio_balloon {
	struct virtio v;
	uint32_t want;	 /* num_pages */
	uint32_t actual; /* by the driver's account */
	uint32_t poison;
	struct bus_timer more;
	/* for people */
	uint64_t reported, stats_ns;
	uint32_t told;
	uint64_t value[VIRTIO_BALLOON_NTAGS];
	struct virtq_chain chain;
	uint32_t pfn[BALLOON_BATCH];
};

const struct virtio_balloon_tag virtio_balloon_tags[VIRTIO_BALLOON_NTAGS] = {
	{"swapped_in_bytes", true},
	{"swapped_out_bytes", true},
	{"major_faults", false},
	{"minor_faults", false},
	{"free_bytes", true},
	{"total_bytes", true},
	{"available_bytes", true},
	{"caches_bytes", true},
	{"huge_pages_given", false},
	{"huge_pages_refused", false},
	{"oom_kills", false},
	{"allocation_stalls", false},
	{"scanned_in_background", false},
	{"scanned_in_need", false},
	{"reclaimed_in_background", false},
	{"reclaimed_in_need", false},
};

enum balloon_role {
	ROLE_INFLATE,
	ROLE_DEFLATE,
	ROLE_STATS,
	ROLE_REPORT,
	ROLE_NONE,
};

static enum balloon_role balloon_role(const struct virtio *v, unsigned queue)
{
	if (queue < 2)
		return queue ? ROLE_DEFLATE : ROLE_INFLATE;
	if (queue == 2 && virtio_has(v, BALLOON_F_STATS_VQ))
		return ROLE_STATS;
	return virtio_has(v, BALLOON_F_REPORTING) ? ROLE_REPORT : ROLE_NONE;
}

/* ---- pages ---- */

static int balloon_compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

/* Runs of them, so that huge pages come free as a whole. */
static void balloon_discard(struct virtio_balloon *d, unsigned n)
{
	qsort(d->pfn, n, sizeof(d->pfn[0]), balloon_compare);
	for (unsigned i = 0, k; i < n; i = k) {
		for (k = i + 1; k < n && d->pfn[k] - d->pfn[k - 1] <= 1; k++)
			;
		virtio_ram_discard(&d->v.dev,
			(gpa_t)d->pfn[i] * VIRTIO_BALLOON_PAGE,
			(d->pfn[k - 1] - d->pfn[i] + 1ull) *
				VIRTIO_BALLOON_PAGE);
	}
}

/* Page numbers to be read; how many there were. */
static uint64_t balloon_inflate(struct virtio_balloon *d, struct virtq *q)
{
	uint64_t end = MIN(d->chain.out_bytes / 4, BALLOON_MAX_PFNS) * 4;
	uint64_t at = 0;

	while (at < end) {
		size_t n = virtq_read(q, &d->chain, at, d->pfn,
			MIN(sizeof(d->pfn), end - at));

		balloon_discard(d, n / 4);
		at += n;
	}
	return at / 4;
}

/* The buffers are the pages themselves.  Those that the driver has filled with
 * something must have that when it looks again (5.5.6.6): then they stay. */
static uint64_t balloon_report(struct virtio_balloon *d)
{
	uint64_t left = bus_ram(d->v.dev.host.bus)->bytes, done = 0;
	const struct virtq_chain *c = &d->chain;

	if (virtio_has(&d->v, BALLOON_F_PAGE_POISON) && d->poison)
		return 0;
	for (unsigned i = c->nout; i < c->nout + c->nin; i++) {
		uint64_t n = MIN(c->seg[i].len, left - done);

		virtio_ram_discard(&d->v.dev, c->seg[i].gpa, n);
		done += n;
	}
	d->reported += done;
	return done / VIRTIO_BALLOON_PAGE;
}

static void balloon_pages(
	struct virtio_balloon *d, struct virtq *q, enum balloon_role role)
{
	uint64_t work = 0;
	bool any = false;

	while (work < BALLOON_BUDGET && virtq_pop(q, &d->chain) > 0) {
		if (role == ROLE_INFLATE)
			work += balloon_inflate(d, q);
		else if (role == ROLE_REPORT)
			work += balloon_report(d);
		work++;
		virtq_fill(q, d->chain.head, 0);
		any = true;
	}
	if (any) {
		virtq_publish(q);
		virtio_signal(&d->v, q);
	}
	if (q->broken)
		virtio_fail(&d->v);
	else if (work >= BALLOON_BUDGET)
		bus_timer_arm(&d->more, bus_clock_ns(d->v.dev.host.bus));
}

static void balloon_more(void *opaque)
{
	struct virtio_balloon *d = opaque;

	for (unsigned i = 0; i < BALLOON_QUEUES; i++)
		virtio_notify(&d->v, i);
}

/* ---- statistics ---- */

static void balloon_parse_stats(
	struct virtio_balloon *d, const uint8_t *p, size_t len)
{
	d->told = 0;
	d->stats_ns = bus_host_ns();
	for (; len >= STAT_BYTES; p += STAT_BYTES, len -= STAT_BYTES) {
		uint64_t value;
		uint16_t tag;

		memcpy(&tag, p, 2);
		memcpy(&value, p + 2, 8);
		if (tag >= VIRTIO_BALLOON_NTAGS || value == UINT64_MAX)
			continue;
		d->told |= 1u << tag;
		d->value[tag] = value;
	}
}

static void balloon_read_stats(struct virtio_balloon *d, struct virtq *q)
{
	uint8_t buf[STAT_MAX * STAT_BYTES];

	if (virtq_pop(q, &d->chain) > 0) {
		balloon_parse_stats(
			d, buf, virtq_read(q, &d->chain, 0, buf, sizeof(buf)));
		virtq_unpop(q);
	}
	if (q->broken)
		virtio_fail(&d->v);
}

/* Give the buffer back, so that it comes with new ones. */
static void balloon_ask(struct virtio_balloon *d)
{
	struct virtq *q = &d->v.queue[2];

	if (!virtio_running(&d->v) || !q->enabled ||
		balloon_role(&d->v, 2) != ROLE_STATS)
		return;
	if (virtq_pop(q, &d->chain) > 0) {
		virtq_push(q, d->chain.head, 0);
		virtio_signal(&d->v, q);
	}
	if (q->broken)
		virtio_fail(&d->v);
}

void virtio_balloon_look(struct dev *dev, struct virtio_balloon_view *out)
{
	struct virtio_balloon *d = (struct virtio_balloon *)dev;
	uint64_t pages = bus_ram(dev->host.bus)->bytes / VIRTIO_BALLOON_PAGE;

	*out = (struct virtio_balloon_view){.driver = virtio_running(&d->v),
		.want = d->want,
		.have = (uint32_t)MIN(d->actual, pages),
		.reported = d->reported,
		.told = d->told,
		.at_ns = d->stats_ns};
	memcpy(out->value, d->value, sizeof(d->value));
	balloon_ask(d);
}

void virtio_balloon_want(struct dev *dev, uint32_t pages)
{
	struct virtio_balloon *d = (struct virtio_balloon *)dev;

	if (d->want == pages)
		return;
	d->want = pages;
	virtio_config_changed(&d->v);
}

/* ---- virtio ---- */

static void balloon_notify(struct virtio *v, unsigned queue)
{
	struct virtio_balloon *d = (struct virtio_balloon *)v;
	enum balloon_role role = balloon_role(v, queue);

	if (role == ROLE_STATS)
		balloon_read_stats(d, &v->queue[queue]);
	else if (role != ROLE_NONE)
		balloon_pages(d, &v->queue[queue], role);
}

static void balloon_config_get(struct virtio *v, uint8_t *config)
{
	const struct virtio_balloon *d = (struct virtio_balloon *)v;
	struct balloon_config c = {.num_pages = d->want,
		.actual = d->actual,
		.poison_val = d->poison};

	memcpy(config, &c, sizeof(c));
}

/* Drivers of 0.9.5 write byte by byte. */
static void balloon_config_set(
	struct virtio *v, unsigned off, const uint8_t *buf, unsigned len)
{
	struct virtio_balloon *d = (struct virtio_balloon *)v;
	struct balloon_config c;
	uint8_t bytes[sizeof(c)];

	balloon_config_get(v, bytes);
	memcpy(bytes + off, buf, len);
	memcpy(&c, bytes, sizeof(c));
	d->actual = c.actual;
	if (virtio_has(v, BALLOON_F_PAGE_POISON))
		d->poison = c.poison_val;
}

/* All memory is the guest's again. */
static void balloon_stop(struct virtio *v)
{
	struct virtio_balloon *d = (struct virtio_balloon *)v;

	bus_timer_cancel(&d->more);
	d->actual = d->poison = 0;
	d->told = 0;
}

static const struct virtio_type balloon_type = {
	.id = 5,
	.legacy_id = 0x1002,
	.pci_class = 0x00ff00,
	.config_size = sizeof(struct balloon_config),
	.config_get = balloon_config_get,
	.config_set = balloon_config_set,
	.notify = balloon_notify,
	.stop = balloon_stop,
};

/* ---- device ---- */

static int balloon_init(struct dev *dev, char *err, unsigned errsize)
{
	struct virtio_balloon *d = (struct virtio_balloon *)dev;

	bus_timer_init(&d->more, dev->host.bus, balloon_more, d);
	virtio_init(&d->v, &balloon_type,
		VIRTIO_BIT(BALLOON_F_STATS_VQ) |
			VIRTIO_BIT(BALLOON_F_DEFLATE_ON_OOM) |
			VIRTIO_BIT(BALLOON_F_PAGE_POISON) |
			VIRTIO_BIT(BALLOON_F_REPORTING),
		BALLOON_QUEUES, BALLOON_QUEUE_SIZE);
	return virtio_plug(&d->v, err, errsize);
}

void virtio_balloon_without(struct dev *dev, bool oom, bool reporting)
{
	struct virtio_balloon *d = (struct virtio_balloon *)dev;

	if (oom)
		d->v.offered &= ~VIRTIO_BIT(BALLOON_F_DEFLATE_ON_OOM);
	if (reporting)
		d->v.offered &= ~VIRTIO_BIT(BALLOON_F_REPORTING);
}

static void balloon_reset(struct dev *dev)
{
	virtio_reset(&((struct virtio_balloon *)dev)->v);
}

static void balloon_fini(struct dev *dev)
{
	virtio_fini(&((struct virtio_balloon *)dev)->v);
}

static void balloon_describe(struct dev *dev, char *buf, unsigned size)
{
	struct virtio_balloon *d = (struct virtio_balloon *)dev;
	char common[160];

	virtio_describe(&d->v, common, sizeof(common));
	snprintf(buf, size,
		"%s, %u MiB of %u MiB in it, %llu MiB reported free", common,
		d->actual >> 8, d->want >> 8,
		(unsigned long long)(d->reported >> 20));
}

/* ---- state ---- */

static const struct state_field balloon_fields[] = {
	STATE_STRUCT(struct virtio_balloon, v, &virtio_state),
	STATE(struct virtio_balloon, want),
	STATE(struct virtio_balloon, actual),
	STATE(struct virtio_balloon, poison),
	STATE_TIMER(struct virtio_balloon, more),
};

static const struct state_list balloon_state =
	STATE_LIST("virtio-balloon", struct virtio_balloon, 1, balloon_fields);

const struct dev_class virtio_balloon_class = {
	.name = "virtio-balloon",
	.size = sizeof(struct virtio_balloon),
	.init = balloon_init,
	.reset = balloon_reset,
	.fini = balloon_fini,
	.describe = balloon_describe,
	.state = &balloon_state,
};
