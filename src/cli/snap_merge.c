/*
 * snap_merge.c - `vmeste snaps rm`, `snaps merge`: images that no snapshot
 * names any more become part of what is beside them in their chain.
 *
 * Up: a child takes over what it shows of its parent, and stands on what that
 * stood on.  Down: what a child has goes into the parent that nobody else
 * needs, which takes the child's place.  Neither changes what any image above
 * shows, at any moment, so both can be begun again after a crash.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/control.h"
#include "cli/disk.h"
#include "cli/snap.h"
#include "cli/verb.h"
#include "conf/error.h"
#include "node/folder.h"

#define MAX_DEPTH 64
#define GONE_MS	  15000
#define SMALL	  (64u << 11) /* of 512 bytes: what is moved at once */

/* ---- jobs ---- */

static bool run_job(struct cli_disk_job *j, bool ok, GError **err)
{
	g_autoptr(wire_msg_auto) m = ok ? cli_disk_run(j, err) : NULL;

	cli_disk_free(j);
	return m != NULL;
}

void snaps_as_old_as(const char *path, const struct stat *as)
{
	const struct timespec t[2] = {as->st_atim, as->st_mtim};

	utimensat(AT_FDCWD, path, t, 0);
}

/* The image stands on `on` (NULL: nothing) from now on; unsafe: its content is
 * right already. */
static bool rebase(struct snaps *s, const struct node_image *i, const char *on,
	bool unsafe, GError **err)
{
	const struct node_image *below = node_image_find(s->t, on);
	g_autofree char *path = snaps_path(s, i->file);
	g_autofree char *full = on ? snaps_path(s, on) : NULL;
	g_autofree char *name = below ? snaps_backing_name(s, i, below) : NULL;
	struct cli_disk_job *j = cli_disk_new("rebase");
	struct stat old;
	bool ok = !stat(path, &old);

	json_object_set_boolean_member(j->body, "unsafe", unsafe);
	ok = cli_disk_add(j, "src", path, i->format, true, err) && ok;
	if (ok && on) {
		json_object_set_string_member(j->body, "backing", name);
		json_object_set_string_member(j->body, "backing_path", full);
		ok = cli_disk_add(j, "backing", full,
			below ? below->format : NULL, false, err);
	}
	ok = run_job(j, ok, err);
	if (ok)
		snaps_as_old_as(path, &old);
	return ok;
}

static bool commit(struct snaps *s, const struct node_image *from,
	const struct node_image *to, GError **err)
{
	g_autofree char *src = snaps_path(s, from->file);
	g_autofree char *dst = snaps_path(s, to->file);
	struct cli_disk_job *j = cli_disk_new("commit");
	/* the child names its parent, which is open already: it comes alone */
	bool ok = cli_disk_add(j, "dst", dst, to->format, true, err) &&
		  cli_disk_add(j, "src", src, from->format, false, err);
	struct stat old;

	ok = run_job(j, ok, err);
	if (ok && !stat(src, &old))
		snaps_as_old_as(dst, &old);
	return ok;
}

/* ---- references ---- */

static void replace(GPtrArray *disks, const char *from, const char *to)
{
	for (guint i = 0; i < disks->len; i++) {
		struct node_disk *d = g_ptr_array_index(disks, i);

		if (strcmp(d->file, from))
			continue;
		g_free(d->file);
		d->file = g_strdup(to);
	}
}

/* Children of `from` stand on `to`: on the same, or on another that shows the
 * same but has another identity now.  Being told so gives a VHDX another one
 * itself, so that its children are told next. */
static bool adopt(struct snaps *s, const char *from, struct node_image *to,
	unsigned depth, GError **err)
{
	if (depth > MAX_DEPTH) {
		conf_error_set(err, CONF_ERROR_FAILED,
			"images stand on one another in a circle", NULL,
			"snapshots.xml of '%s' is damaged", s->name);
		return false;
	}
	for (guint i = 0; i < s->t->images->len; i++) {
		struct node_image *g = g_ptr_array_index(s->t->images, i);

		if (g_strcmp0(g->on, from) != 0 || g == to ||
			g->is != NODE_IMAGE_LIVE)
			continue;
		/* the running machine has told those that it has */
		if ((strcmp(from, to->file) || strcmp(g->format, "qcow2")) &&
			!snaps_live(s, g, NULL) &&
			!rebase(s, g, to->file, true, err))
			return false;
		g_free(g->on);
		g->on = g_strdup(to->file);
		if (strcmp(g->format, "qcow2") &&
			!adopt(s, g->file, g, depth + 1, err))
			return false;
	}
	return true;
}

/* live: the machine has moved the data. */
static bool merge_up(struct snaps *s, struct node_image *from,
	struct node_image *to, bool live, GError **err)
{
	if ((!live && !rebase(s, to, from->on, false, err)) ||
		!adopt(s, to->file, to, 0, err))
		return false;
	g_free(to->on);
	to->on = g_strdup(from->on);
	if (!node_image_children(s->t, from, NULL) &&
		node_is_inside(from->file))
		from->is = NODE_IMAGE_GONE;
	return true;
}

static bool merge_down(struct snaps *s, struct node_image *from,
	struct node_image *to, bool live, GError **err)
{
	g_autoptr(GPtrArray) tops = node_disks_new();

	/* before its children leave it */
	if ((!live && !commit(s, from, to, err)) ||
		!adopt(s, from->file, to, 0, err))
		return false;
	for (guint i = 0; i < s->drives->len; i++) {
		const struct snap_drive *d = g_ptr_array_index(s->drives, i);

		if (!strcmp(d->file, from->file))
			node_disk_add(tops, d->drive, to->file);
	}
	if (tops->len && !snaps_set_tops(s, NULL, tops, err))
		return false;
	for (guint i = 0; i < s->t->snapshots->len; i++) {
		struct node_snapshot *n = g_ptr_array_index(s->t->snapshots, i);

		replace(n->disks, from->file, to->file);
	}
	from->is = NODE_IMAGE_GONE;
	return true;
}

/* Parents of such are found again by what changes when they are written to:
 * what has begun has to be ended. */
static bool must_end(const struct node_image *to)
{
	return strcmp(to->format, "raw") && strcmp(to->format, "qcow2") &&
	       strcmp(to->format, "vhd");
}

/* The machine has ended meanwhile: its files are free. */
static bool has_ended(struct snaps *s, const struct node_image *to)
{
	g_autofree char *path = snaps_path(s, to->file);
	gint64 end = g_get_monotonic_time() + GONE_MS * 1000;

	struct wire_msg *m;
	int sock = cli_control_try(s->name, "status", GONE_MS, &m);

	if (sock >= 0)
		close(sock);
	if (m)
		wire_msg_free(m);
	if (m || !node_wait_off(s->name, GONE_MS))
		return false;
	s->runs = false;
	while (snaps_is_held(path) && g_get_monotonic_time() < end)
		g_usleep(20000);
	return true;
}

/* False and *err, or *live: it has been done. */
static bool merge_live(struct snaps *s, struct node_image *from,
	struct node_image *to, bool *live, GError **err)
{
	g_autoptr(GError) e = NULL;
	bool broken_off;

	*live = snaps_live(s, from, to);
	if (!*live || snaps_live_merge(s, from, to, &broken_off, &e))
		return true;
	*live = false;
	if (has_ended(s, to))
		return true;
	if (broken_off && !must_end(to)) {
		g_clear_pointer(&s->t->change, node_change_free);
		snaps_write(s, NULL);
	}
	g_propagate_error(err, g_steal_pointer(&e));
	return false;
}

bool snaps_merge_finish(struct snaps *s, GError **err)
{
	const struct node_change *c = s->t->change;
	struct node_image *from = node_image_find(s->t, c->from);
	struct node_image *to = node_image_find(s->t, c->to);
	bool live;

	if (!snaps_drives(s, err) || !merge_live(s, from, to, &live, err))
		return false;
	return g_strcmp0(from->on, to->file)
		       ? merge_up(s, from, to, live, err)
		       : merge_down(s, from, to, live, err);
}

/* ---- what to do ---- */

static bool is_top(const struct snaps *s, const struct node_image *i)
{
	for (guint k = 0; k < s->drives->len; k++) {
		const struct snap_drive *d = g_ptr_array_index(s->drives, k);

		if (!strcmp(d->file, i->file))
			return true;
	}
	return false;
}

static uint64_t used(const struct snaps *s, const struct node_image *i)
{
	g_autofree char *path = snaps_path(s, i->file);
	struct stat st;

	return stat(path, &st) ? 0 : (uint64_t)st.st_blocks;
}

/* One that came with the machine may stand on something itself. */
bool snaps_learn_backing(struct snaps *s, struct node_image *i, GError **err)
{
	g_autofree char *path = snaps_path(s, i->file);
	g_autofree char *full = NULL, *file = NULL;
	struct cli_disk_job *j;
	g_autoptr(wire_msg_auto) m = NULL;
	JsonNode *n;
	JsonObject *o;
	const char *backing;

	if (i->on || !strcmp(i->format, "raw"))
		return true;
	j = cli_disk_new("info");
	j->bar = false;
	if (cli_disk_add(j, "src", path, i->format, false, err))
		m = cli_disk_run(j, err);
	cli_disk_free(j);
	n = m ? json_object_get_member(m->body, "result") : NULL;
	if (!n || !JSON_NODE_HOLDS_OBJECT(n))
		return false;
	o = json_node_get_object(n);
	backing =
		json_object_get_string_member_with_default(o, "backing", NULL);
	if (!backing)
		return true;
	full = g_path_get_dirname(path);
	file = g_canonicalize_filename(backing, full);
	i->on = snaps_file(s, file);
	node_image_add(s->t, i->on,
		json_object_get_string_member_with_default(
			o, "backing-format", i->format),
		NULL);
	return true;
}

/* No error in its tables: what it shows can go elsewhere. */
static bool is_whole(struct snaps *s, const struct node_image *i, GError **err)
{
	g_autofree char *path = snaps_path(s, i->file);
	struct cli_disk_job *j;
	g_autoptr(wire_msg_auto) m = NULL;

	if (!strcmp(i->format, "raw"))
		return true;
	j = cli_disk_new("check");
	j->bar = false;
	if (cli_disk_add(j, "src", path, i->format, false, err))
		m = cli_disk_run(j, err);
	cli_disk_free(j);
	if (m && wire_msg_int(m, "status", 0))
		conf_error_set(err, CONF_ERROR_FAILED,
			"what it shows may be wrong",
			"vmeste disk check --repair, on a copy, mends what can "
			"be",
			"the image %s is damaged", path);
	return m && !wire_msg_int(m, "status", 0);
}

static bool merge_one(struct snaps *s, struct node_image *from,
	struct node_image *to, GError **err)
{
	bool live = snaps_live(s, from, to);
	g_autoptr(GError) e = NULL;

	if (live)
		snaps_live_stop(s);
	if (live &&
		!(is_whole(s, from, &e) && is_whole(s, to, &e) &&
			snaps_live_open(s, from, to, &e)) &&
		!has_ended(s, to)) {
		g_propagate_error(err, g_steal_pointer(&e));
		return false;
	}
	s->t->change = node_change_new(NODE_MERGE);
	s->t->change->from = g_strdup(from->file);
	s->t->change->to = g_strdup(to->file);
	return snaps_write(s, err) && snaps_finish(s, err);
}

/* Copies of the machine have the file, too (fork_copy.c): it stays as it is
 * until they are gone. */
static bool is_shared(const struct snaps *s, const struct node_image *i)
{
	g_autofree char *path = snaps_path(s, i->file);
	struct stat st;

	return !stat(path, &st) && st.st_nlink > 1;
}

/* A child that the running machine does not have, if there is one. */
static struct node_image *child_of(struct snaps *s, const struct node_image *m)
{
	struct node_image *child = NULL;

	for (guint i = 0; i < s->t->images->len; i++) {
		struct node_image *c = g_ptr_array_index(s->t->images, i);

		if (c->is == NODE_IMAGE_LIVE && !g_strcmp0(c->on, m->file) &&
			(!child || !snaps_live(s, c, NULL)))
			child = c;
	}
	return child;
}

struct pair {
	struct node_image *from, *to;
};

/* m and what is next to it; whatever moves less. */
static struct pair pair_of(struct snaps *s, struct node_image *m)
{
	struct node_image *child = child_of(s, m);

	if (node_image_children(s->t, m, NULL) == 1 &&
		node_is_inside(child->file) &&
		used(s, child) < used(s, m) + SMALL)
		return (struct pair){child, m};
	return (struct pair){m, child};
}

/* The machine writes to one of them, or has them twice. */
static bool in_use(struct snaps *s, const struct pair *p)
{
	unsigned n = 0;

	if (!s->runs || !snaps_live(s, p->from, p->to))
		return false;
	for (guint i = 0; i < s->drives->len; i++)
		n += snaps_has(s, g_ptr_array_index(s->drives, i), p->to);
	return n != 1 || is_top(s, p->from) || is_top(s, p->to);
}

/* An image that nobody names but its children, and may be merged; *p with
 * what.  not: those for which that cannot be while the machine runs. */
static bool next_pair(
	struct snaps *s, GHashTable * not, unsigned *left, struct pair *p)
{
	*left = 0;
	for (guint i = 0; i < s->t->images->len; i++) {
		struct node_image *m = g_ptr_array_index(s->t->images, i);

		if (m->is != NODE_IMAGE_LIVE || !node_is_inside(m->file) ||
			node_image_named(s->t, m) || is_top(s, m) ||
			!node_image_children(s->t, m, NULL) || is_shared(s, m))
			continue;
		*p = pair_of(s, m);
		if (!g_hash_table_contains(not, m->file) && !in_use(s, p))
			return true;
		++*left;
	}
	return false;
}

static bool merge_pair(
	struct snaps *s, const struct pair *p, GHashTable * not, GError **err)
{
	bool live = snaps_live(s, p->from, p->to);
	g_autoptr(GError) e = NULL;
	struct node_image *m =
		g_strcmp0(p->from->on, p->to->file) ? p->from : p->to;

	if (!snaps_learn_backing(s, m, err))
		return false;
	if (merge_one(s, p->from, p->to, &e))
		return snaps_drives(s, err);
	if (live && !s->t->change &&
		g_error_matches(e, CONF_ERROR, CONF_ERROR_UNSUPPORTED)) {
		g_hash_table_add(not, g_strdup(m->file));
		return true;
	}
	g_propagate_error(err, g_steal_pointer(&e));
	return false;
}

bool snaps_merge(struct snaps *s, unsigned *left, GError **err)
{
	g_autoptr(GHashTable) not =
		g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	struct pair p;

	if (!snaps_drives(s, err))
		return false;
	while (next_pair(s, not, left, &p))
		if (!merge_pair(s, &p, not, err))
			return false;
	return true;
}

/* ---- deleting ---- */

/* What goes on from its memory keeps that. */
static bool keep_saved(
	struct snaps *s, const struct node_snapshot *n, GError **err)
{
	g_autofree char *file = g_strdup_printf("states/%u/state", n->id);
	g_autofree char *from = snaps_path(s, file);
	g_autofree char *to = snaps_path(s, "states/saved");

	if (g_strcmp0(s->t->saved.file, file) != 0)
		return true;
	unlink(to);
	if (link(from, to)) {
		conf_error_set_errno(
			err, errno, NULL, "cannot keep the saved state");
		return false;
	}
	g_free(s->t->saved.file);
	s->t->saved.file = g_strdup("states/saved");
	return true;
}

/* Images that only it had. */
static void drop_disks(struct snaps *s, const GPtrArray *files)
{
	for (guint i = 0; i < files->len; i++) {
		const struct node_disk *d = g_ptr_array_index(files, i);
		struct node_image *m = node_image_find(s->t, d->file);

		if (m && node_is_inside(m->file) && !is_top(s, m) &&
			!node_image_named(s->t, m) &&
			!node_image_children(s->t, m, NULL))
			m->is = NODE_IMAGE_GONE;
	}
}

static bool drop_one(struct snaps *s, struct node_snapshot *n, GError **err)
{
	g_autoptr(GPtrArray) disks = g_ptr_array_ref(n->disks);

	if (!keep_saved(s, n, err))
		return false;
	node_tree_drop(s->t, n);
	drop_disks(s, disks);
	return true;
}

static bool is_below(
	const struct snaps *s, const struct node_snapshot *n, unsigned of)
{
	while (n && n->id != of)
		n = node_tree_get(s->t, n->parent);
	return n != NULL;
}

/* Its children first, then itself. */
static bool drop_tree(struct snaps *s, unsigned id, GError **err)
{
	for (guint i = s->t->snapshots->len; i--;) {
		struct node_snapshot *n = g_ptr_array_index(s->t->snapshots, i);

		if (is_below(s, n, id) && !drop_one(s, n, err))
			return false;
	}
	return true;
}

struct rm {
	struct cli_words words;
	bool children;
};

static bool finish(struct snaps *s, GError **err)
{
	unsigned left = 0;

	if (!snaps_write(s, err) || !snaps_finish(s, err) ||
		!snaps_merge(s, &left, err))
		return false;
	if (s->stood_ns)
		fprintf(stderr, "vmeste: the machine stood for %.1f ms\n",
			(double)s->stood_ns * 1e-6);
	if (left)
		fprintf(stderr,
			"vmeste: images that wait for the next snapshot that "
			"is deleted, or until the machine is off and vmeste "
			"snaps merge %s: %u\n",
			s->name, left);
	return true;
}

static bool rm(struct snaps *s, const struct rm *o, GError **err)
{
	struct node_snapshot *n = node_tree_find(s->t, o->words.word[1], err);

	if (!n || !snaps_drives(s, err))
		return false;
	if (!(o->children ? drop_tree(s, n->id, err) : drop_one(s, n, err)))
		return false;
	return finish(s, err);
}

void *cli_snaps_rm_new(void)
{
	struct rm *r = g_new0(struct rm, 1);

	r->words.max = 2;
	return r;
}

static bool set_children(void *ctx, const char *v, GError **err)
{
	((struct rm *)ctx)->children = true;
	return true;
}

const struct cli_flag cli_snaps_rm_flags[] = {
	{"children", 'c', NULL, "all that was taken after it, too", NULL,
		set_children},
	{NULL},
};

int cli_snaps_rm(void *ctx, GError **err)
{
	struct rm *o = ctx;
	struct snaps s;
	bool ok;

	if (!cli_snap_words(&o->words, err))
		return CONF_ERROR_USAGE;
	ok = snaps_open(&s, o->words.word[0], err) && rm(&s, o, err);
	snaps_close(&s);
	return ok ? 0 : cli_status(err);
}

int cli_snaps_merge(void *ctx, GError **err)
{
	const struct cli_words *w = ctx;
	struct snaps s;
	bool ok;

	if (!w->n) {
		conf_error_set(err, CONF_ERROR_USAGE, NULL,
			"vmeste ls lists the machines", "which machine?");
		return CONF_ERROR_USAGE;
	}
	ok = snaps_open(&s, w->word[0], err) && finish(&s, err);
	snaps_close(&s);
	return ok ? 0 : cli_status(err);
}
