/*
 * overlay.c - new images on top of the disks of a machine that stands.
 *
 * All disks get theirs, or none.  First the images are flushed and their
 * children made, which changes nothing: a child is empty and shows what its
 * parent has.  Then they are switched, which cannot fail.  A child's file that
 * has a header is therefore always as good as its parent, and one that has
 * none was never written to: what is left of a process that was killed in
 * between can be told by that.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/error.h"
#include "vmm/priv.h"

bool overlay_writable(const struct board_drive *d)
{
	return d->blk && !d->blk->readonly && !d->conf->snapshot;
}

struct board_drive *overlay_drive(struct machine *m, const char *name)
{
	for (unsigned i = 0; name && i < m->board.ndrives; i++) {
		struct board_drive *d = &m->board.drive[i];

		if (!strcmp(d->name, name))
			return overlay_writable(d) && image_live_top(d->image)
				       ? d
				       : NULL;
	}
	return NULL;
}

const char *overlay_text(JsonObject *o, const char *key)
{
	JsonNode *n = json_object_get_member(o, key);

	return n && JSON_NODE_HOLDS_VALUE(n) &&
			       json_node_get_value_type(n) == G_TYPE_STRING
		       ? json_node_get_string(n)
		       : NULL;
}

static int take_fd(JsonObject *o, int *fds, unsigned nfds)
{
	JsonNode *n = json_object_get_member(o, "fd");
	gint64 i = n && JSON_NODE_HOLDS_VALUE(n) ? json_node_get_int(n) : -1;
	int fd = i >= 0 && i < nfds ? fds[i] : -1;

	if (fd >= 0)
		fds[i] = -1;
	return fd;
}

/* An ordinary file with nothing in it. */
static bool is_empty(int fd)
{
	struct stat st;

	return !fstat(fd, &st) && S_ISREG(st.st_mode) && !st.st_size;
}

static bool bad(GError **err, const char *what, const char *drive)
{
	conf_error_set(err, CONF_ERROR_USAGE, NULL, NULL,
		"the new image of %s: %s", drive ? drive : "a disk", what);
	return false;
}

static bool parse_one(struct machine *m, JsonObject *o, struct overlay *out,
	int *fds, unsigned nfds, GError **err)
{
	const char *drive = overlay_text(o, "drive"),
		   *path = overlay_text(o, "path");
	const char *backing = overlay_text(o, "backing");

	*out = (struct overlay){.fd = take_fd(o, fds, nfds),
		.drive = overlay_drive(m, drive),
		.format = CONF_FORMAT_QCOW2,
		.path = path,
		.backing = backing,
		.backing_path = overlay_text(o, "backing_path")};
	if (out->fd < 0 || !is_empty(out->fd))
		return bad(err, "no empty file", drive);
	if (!out->drive)
		return bad(
			err, "there is no such disk that is written to", drive);
	if (!path || !backing || !*backing)
		return bad(err, "no path, or no name of what is below", drive);
	if (overlay_text(o, "format")) {
		int word;

		if (!conf_parse_word(overlay_text(o, "format"),
			    &conf_format_words, &word, err))
			return false;
		out->format = (enum conf_format)word;
	}
	out->image = image_format_find(conf_format_words.words[out->format]);
	if (out->image && out->image->create && out->image->rebase)
		return true;
	return bad(err, "its format has no children", drive);
}

/* Each disk that is written to once, no other. */
static bool complete(
	const struct machine *m, const struct overlays *o, GError **err)
{
	for (unsigned i = 0; i < m->board.ndrives; i++) {
		const struct board_drive *d = &m->board.drive[i];
		unsigned n = 0;

		for (unsigned k = 0; k < o->n; k++)
			n += o->one[k].drive == d;
		if (n == overlay_writable(d))
			continue;
		conf_error_set(err, CONF_ERROR_UNSUPPORTED,
			"the guest goes on writing to it, and the state would "
			"not fit it any more",
			"save without --running, or give it ,snapshot; of a "
			"machine that has a folder take a snapshot: vmeste "
			"snap NAME",
			"the machine cannot be saved with %s while it runs",
			d->name);
		return false;
	}
	return true;
}

bool overlays_parse(struct machine *m, struct overlays *o, JsonNode *list,
	int *fds, unsigned nfds, GError **err)
{
	JsonArray *a = list && JSON_NODE_HOLDS_ARRAY(list)
			       ? json_node_get_array(list)
			       : NULL;

	*o = (struct overlays){0};
	for (guint i = 0; a && i < json_array_get_length(a); i++) {
		JsonNode *e = json_array_get_element(a, i);

		if (o->n == CONF_MAX_DRIVES || !JSON_NODE_HOLDS_OBJECT(e))
			return bad(err, "one for each disk", NULL);
		if (!parse_one(m, json_node_get_object(e), &o->one[o->n++], fds,
			    nfds, err))
			return false;
	}
	return complete(m, o, err);
}

void overlays_fini(struct overlays *o)
{
	for (unsigned i = 0; i < o->n; i++)
		if (o->one[i].fd >= 0)
			close(o->one[i].fd);
	o->n = 0;
}

static bool make_one(struct overlay *o, GError **err)
{
	g_autofree char *name = g_path_get_basename(o->path);
	struct image_child c = {.fd = fcntl(o->fd, F_DUPFD_CLOEXEC, 3),
		.format = o->image,
		.name = name,
		.backing = o->backing,
		.backing_path = o->backing_path};
	struct blk *b = o->drive->image;
	int rc = blk_flush(b);

	/* what became free by the first; a raw one has no such */
	if (!rc && strcmp(image_live_top(b)->ops->name, "raw"))
		rc = blk_flush(b);
	if (rc || c.fd < 0) {
		if (c.fd >= 0)
			close(c.fd);
		conf_error_set_errno(err, rc ? -rc : errno, NULL,
			"what was written to %s cannot be kept",
			o->drive->name);
		return false;
	}
	/* the guest's next flush is its header's, too */
	o->child = image_live_child(b, &c, err);
	if (!o->child)
		g_prefix_error(err, "a new image for %s: ", o->drive->name);
	return o->child != NULL;
}

bool overlays_make(struct overlays *o, GError **err)
{
	for (unsigned i = 0; i < o->n; i++)
		if (!make_one(&o->one[i], err)) {
			overlays_drop(o);
			return false;
		}
	return true;
}

void overlays_drop(struct overlays *o)
{
	for (unsigned i = 0; i < o->n; i++) {
		if (o->one[i].child)
			image_live_drop(o->one[i].child);
		o->one[i].child = NULL;
		/* Without a header it was never there. */
		if (ftruncate(o->one[i].fd, 0))
			continue; /* it is as good as its parent */
	}
}

void overlays_switch(struct overlays *o)
{
	for (unsigned i = 0; i < o->n; i++) {
		struct overlay *v = &o->one[i];
		struct conf_drive *c = v->drive->conf;

		image_live_switch(v->drive->image, v->child, v->fd);
		v->fd = -1;
		v->child = NULL;
		g_free(c->file.path);
		c->file.path = g_strdup(v->path);
		c->format = v->format;
	}
}

/* What UEFI has for variables at this moment. */
bool overlay_nvram(struct machine *m, struct snapshot_ask *q, GError **err)
{
	struct blk *b = m->board.nvram;
	int fd = q->nvram >= 0 && (unsigned)q->nvram < q->nfds
			 ? q->fds[q->nvram]
			 : -1;
	g_autofree uint8_t *buf = NULL;
	int rc;

	if (fd < 0 || !b)
		return true;
	q->fds[q->nvram] = -1;
	buf = g_malloc(b->size);
	rc = blk_pread(b, buf, b->size, 0);
	if (!rc && write(fd, buf, b->size) != (ssize_t)b->size)
		rc = -EIO;
	close(fd);
	if (rc)
		conf_error_set_errno(err, -rc, NULL,
			"cannot write a copy of UEFI's variables");
	return !rc;
}

bool machine_overlay(
	struct machine *m, struct snapshot_ask *q, uint64_t *ns, GError **err)
{
	gint64 start = g_get_monotonic_time();
	struct overlays o;
	bool ok = overlays_parse(m, &o, q->overlays, q->fds, q->nfds, err);

	if (ok) {
		merge_stop(m);
		machine_hold(m, MACHINE_HOLD_SAVE);
		state_drain(m);
		ok = overlay_nvram(m, q, err) && overlays_make(&o, err);
		if (ok)
			overlays_switch(&o);
		machine_release(m, MACHINE_HOLD_SAVE);
	}
	overlays_fini(&o);
	*ns = (uint64_t)(g_get_monotonic_time() - start) * 1000;
	return ok;
}

void disks_json(struct machine *m, JsonArray *to)
{
	for (unsigned i = 0; i < m->board.ndrives; i++) {
		const struct board_drive *d = &m->board.drive[i];
		JsonObject *o = json_object_new();

		json_object_set_string_member(o, "name", d->name);
		if (d->blk)
			json_object_set_string_member(
				o, "path", d->conf->file.path);
		json_object_set_string_member(
			o, "format", conf_format_words.words[d->conf->format]);
		json_object_set_int_member(
			o, "bytes", d->blk ? (gint64)d->blk->size : 0);
		json_object_set_boolean_member(
			o, "written", overlay_writable(d));
		json_array_add_object_element(to, o);
	}
}
