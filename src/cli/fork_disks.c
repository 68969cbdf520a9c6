/*
 * fork_disks.c - disks that a machine and its copies have in common.
 *
 * At the pause each disk gets a new image on top, for the machine, by the same
 * steps as for a snapshot; that snapshot goes again at once, and what it was
 * of is below from then on.  Each copy has those files in its own folder, by
 * hard links, and an image of its own on top of them.  Nobody writes to them:
 * what merges images leaves alone what has several links.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/control.h"
#include "cli/fork.h"
#include "conf/error.h"
#include "node/folder.h"

#define ANSWER_MS 10000

/* ---- the machine's ---- */

/* Without a folder there is no place for images. */
static bool none_written(struct fork *f, GError **err)
{
	g_autoptr(wire_msg_auto) m =
		cli_control_ask(f->sock, "disks", NULL, -1, ANSWER_MS, err);
	JsonNode *n = m ? json_object_get_member(m->body, "disks") : NULL;
	JsonArray *a =
		n && JSON_NODE_HOLDS_ARRAY(n) ? json_node_get_array(n) : NULL;

	for (guint i = 0; a && i < json_array_get_length(a); i++) {
		JsonObject *o = json_array_get_object_element(a, i);

		if (!json_object_get_boolean_member_with_default(
			    o, "written", FALSE))
			continue;
		conf_error_set(err, CONF_ERROR_UNSUPPORTED,
			"the guest writes to it, and '%s' has no folder in "
			"which its copies could have images of their own",
			"start it with ,snapshot, which throws changes away at "
			"the end, or make a machine that has a folder: vmeste "
			"create",
			"'%s' cannot be forked with %s", f->name,
			json_object_get_string_member_with_default(
				o, "name", "a disk"));
		return false;
	}
	return m != NULL;
}

/* What there is if somebody kills us now. */
static struct node_snapshot *moment(struct snaps *s)
{
	struct node_snapshot *n = node_snapshot_new();

	n->id = s->t->next++;
	n->name = g_strdup_printf("Fork %u", n->id);
	n->time_s = g_get_real_time() / G_USEC_PER_SEC;
	return n;
}

bool fork_disks_plan(
	struct fork *f, JsonObject *body, GArray *fds, GError **err)
{
	struct snaps *s = &f->snaps;

	if (!f->dir)
		return none_written(f, err);
	return snaps_open(s, f->name, err) && snaps_drives(s, err) &&
	       snaps_same_drives(s, err) &&
	       (!s->drives->len ||
		       (snaps_plan(s, moment(s), err) &&
			       snaps_add_overlays(s, body, fds, err)));
}

/* Down to the last: what a copy needs. */
static bool learn_chain(
	struct snaps *s, const struct snap_drive *d, GError **err)
{
	struct node_image *i = snaps_top(s, d, err);

	if (!i)
		return false;
	for (unsigned n = 0; i && n < 200; n++) {
		if (!snaps_learn_backing(s, i, err))
			return false;
		i = node_image_find(s->t, i->on);
	}
	return true;
}

bool fork_disks_done(struct fork *f, GError **err)
{
	struct snaps *s = &f->snaps;
	struct node_change *c = s->t ? s->t->change : NULL;
	unsigned id = c && c->snapshot ? c->snapshot->id : 0;
	struct node_snapshot *n;

	if (!c)
		return true;
	if (!snaps_finish(s, err))
		return false;
	n = node_tree_get(s->t, id);
	if (!n) {
		conf_error_set(err, CONF_ERROR_FAILED, NULL, NULL,
			"the disks of '%s' have got no new images", f->name);
		return false;
	}
	node_tree_drop(s->t, n);
	for (guint i = 0; i < s->drives->len; i++)
		if (!learn_chain(s, g_ptr_array_index(s->drives, i), err))
			return false;
	/* and what the snapshot left in states/ */
	return snaps_write(s, err) && snaps_finish(s, err);
}

void fork_disks_close(struct fork *f)
{
	snaps_close(&f->snaps);
}

/* ---- a copy's ---- */

static const struct snap_drive *find_drive(
	const struct fork *f, const struct conf_machine *m, guint n)
{
	g_autofree char *name = conf_drive_name(m, n);

	for (guint i = 0; f->snaps.drives && i < f->snaps.drives->len; i++) {
		const struct snap_drive *d =
			g_ptr_array_index(f->snaps.drives, i);

		if (!strcmp(d->drive, name))
			return d;
	}
	return NULL;
}

static bool bring_image(const struct fork *f, const char *dir,
	const struct node_image *i, GError **err)
{
	g_autoptr(GPtrArray) files = snaps_image_files(f->dir, i);

	for (guint k = 0; k < files->len; k++)
		if (!fork_bring(f, dir, g_ptr_array_index(files, k), err))
			return false;
	return true;
}

static bool bring_chain(
	const struct fork *f, const char *dir, const char *file, GError **err)
{
	const struct node_image *i = node_image_find(f->snaps.t, file);

	for (unsigned n = 0; i && n < 200; n++) {
		if (node_is_inside(i->file) && !bring_image(f, dir, i, err))
			return false;
		i = node_image_find(f->snaps.t, i->on);
	}
	return true;
}

/* A name that none of the chain has. */
static char *top_path(const char *dir, const char *drive)
{
	for (unsigned n = 1;; n++) {
		char *path =
			g_strdup_printf("%s/disks/%s-%u.qcow2", dir, drive, n);

		if (access(path, F_OK))
			return path;
		g_free(path);
	}
}

bool fork_disks_copy(const struct fork *f, const char *dir,
	struct conf_machine *m, GError **err)
{
	for (guint i = 0; i < m->drives->len; i++) {
		struct conf_drive *d = g_ptr_array_index(m->drives, i);
		const struct snap_drive *s = find_drive(f, m, i);

		if (!s)
			continue;
		if (!bring_chain(f, dir, s->file, err))
			return false;
		d->top.path = top_path(dir, s->drive);
		d->top_backing =
			!node_is_inside(s->file) ? g_strdup(s->file)
			: g_str_has_prefix(s->file, "disks/")
				? g_strdup(s->file + strlen("disks/"))
				: g_build_filename("..", s->file, NULL);
	}
	return true;
}

bool fork_disks_settings(const struct fork *f, const char *name,
	const char *dir, const struct conf_machine *m, GError **err)
{
	g_autofree char *from = node_path(f->name, "machine.xml");
	g_autoptr(GPtrArray) tops = node_disks_new();
	g_autofree char *own = g_strdup(dir);
	struct snaps s = {.name = name, .dir = own, .lock = -1};

	for (guint i = 0; i < m->drives->len; i++) {
		const struct conf_drive *d = g_ptr_array_index(m->drives, i);
		g_autofree char *drive = conf_drive_name(m, i);
		g_autofree char *file =
			d->top.path ? snaps_file(&s, d->top.path) : NULL;

		if (file)
			node_disk_add(tops, drive, file);
	}
	return snaps_set_tops(&s, from, tops, err);
}
