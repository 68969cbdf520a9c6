/*
 * balloon.c - memory that the guest does without.
 *
 * A driver reports what is free by itself; how much the guest may keep is the
 * user's wish, which stands in the settings and which the driver may know late,
 * or never.  It is about memory of the start: what is plugged counts beside it.
 */
#include "conf/error.h"
#include "dev/virtio/virtio_balloon.h"
#include "vmm/priv.h"

static uint32_t wanted(const struct machine *m)
{
	uint64_t ram = m->conf->mem_bytes, keep = m->conf->balloon_bytes;
	uint64_t pages =
		keep && keep < ram ? (ram - keep) / VIRTIO_BALLOON_PAGE : 0;

	return (uint32_t)MIN(pages, UINT32_MAX);
}

void balloon_settle(struct machine *m)
{
	if (m->board.balloon)
		virtio_balloon_want(m->board.balloon, wanted(m));
}

bool balloon_add(struct machine *m, const struct dev_host *h, GError **err)
{
	struct board *b = &m->board;

	/* Nobody asked for it. */
	if (!m->conf->balloon || b->next_slot > b->kind->last_card ||
		b->ndevs == BOARD_MAX_DEVICES)
		return true;
	b->balloon = board_add(m, "virtio-balloon", "balloon", h, err);
	if (!b->balloon)
		return false;
	bus_lock(m->bus);
	virtio_balloon_without(
		b->balloon, !m->conf->balloon_oom, !m->conf->balloon_reporting);
	balloon_settle(m);
	bus_unlock(m->bus);
	return true;
}

bool balloon_set(struct machine *m, uint64_t bytes, GError **err)
{
	uint64_t ram = m->conf->mem_bytes;

	if (!m->board.balloon) {
		conf_error_set(err, CONF_ERROR_CONFLICT, NULL,
			"start it with --balloon on",
			"the machine has no balloon");
		return false;
	}
	if (bytes > ram || (bytes && bytes < CONF_MIN_BALLOON)) {
		g_autofree char *has = conf_format_size(ram);
		g_autofree char *size = conf_format_size(bytes);
		g_autofree char *why = g_strdup_printf(
			"it has %s, and keeps at least 1M", has);

		conf_error_set(err, CONF_ERROR_USAGE, why,
			"write balloon=SIZE, or balloon=on for all of it",
			"the guest cannot keep %s", size);
		return false;
	}
	m->conf->balloon_bytes = bytes;
	bus_lock(m->bus);
	balloon_settle(m);
	bus_unlock(m->bus);
	return true;
}

bool balloon_driven(struct machine *m)
{
	struct virtio_balloon_view v;

	bus_lock(m->bus);
	virtio_balloon_look(m->board.balloon, &v);
	bus_unlock(m->bus);
	return v.driver;
}

static JsonObject *guest_json(const struct virtio_balloon_view *v)
{
	JsonObject *o = json_object_new();

	for (unsigned i = 0; i < VIRTIO_BALLOON_NTAGS; i++)
		if (v->told >> i & 1)
			json_object_set_int_member(o,
				virtio_balloon_tags[i].name,
				(gint64)MIN(v->value[i], (uint64_t)INT64_MAX));
	return o;
}

static gint64 bytes_without(const struct machine *m, uint32_t pages)
{
	uint64_t ram = m->conf->mem_bytes;
	uint64_t gone = (uint64_t)pages * VIRTIO_BALLOON_PAGE;

	return (gint64)(ram - MIN(gone, ram));
}

JsonObject *balloon_json(struct machine *m)
{
	struct virtio_balloon_view v;
	JsonObject *o;

	if (!m->board.balloon)
		return NULL;
	bus_lock(m->bus);
	virtio_balloon_look(m->board.balloon, &v);
	bus_unlock(m->bus);
	o = json_object_new();
	json_object_set_boolean_member(o, "driver", v.driver);
	json_object_set_int_member(o, "target_bytes", bytes_without(m, v.want));
	json_object_set_int_member(o, "actual_bytes", bytes_without(m, v.have));
	json_object_set_int_member(o, "reported_bytes", (gint64)v.reported);
	if (v.told) {
		json_object_set_object_member(o, "guest", guest_json(&v));
		json_object_set_int_member(
			o, "age_ns", (gint64)(bus_host_ns() - v.at_ns));
	}
	return o;
}
