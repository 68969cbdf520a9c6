/*
 * merge.c - images below those that the guest writes to become part of one
 * another while the machine runs.
 *
 * It is this process that moves the data, for it has the images open: whatever
 * the guest reads comes from the same objects, under their locks, so that no
 * view of a format's tables can be out of date.  Of the two images next to one
 * another the one that takes in the other (`to`) is opened anew for writing,
 * and locked for that: first it has the lock of readers together with the old
 * descriptor, then it alone the one of a writer, so nobody gets in between.  At
 * a short stop the chain gets the new object.  A thread copies; what the chain
 * shows stays the same at any moment.  At a second stop those that are above
 * are told their new parent, and the other image is taken out.
 *
 * Until then no header has changed, so all can be broken off at any time, and
 * is, by whatever else wants the disks.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "block/merge.h"
#include "conf/error.h"
#include "vmm/priv.h"

#define MAX_TOLD 64

struct merge {
	struct board_drive *drive;
	struct blk *from, *to; /* of the chain; to is open for writing */
	bool up;
	GThread *thread;
	atomic_bool stop, ended;
	_Atomic(uint64_t) done, total;
	int rc; /* when ended */
};

static bool refuse(GError **err, int code, const char *what)
{
	conf_error_set(
		err, code, NULL, NULL, "the images cannot be merged: %s", what);
	return false;
}

/* ---- stopping ---- */

void merge_stop(struct machine *m)
{
	struct merge *g = m->merge;

	if (!g)
		return;
	atomic_store(&g->stop, true);
	if (g->thread)
		g_thread_join(g->thread);
	/* What cannot be written is not relied on by anything in the file. */
	blk_merge_flush(g->to);
	g->to->readonly = true;
	blk_raw_lock(g->to, F_RDLCK);
	g_free(g);
	m->merge = NULL;
}

/* ---- opening ---- */

static struct blk *find_image(struct board_drive *d, int fd)
{
	struct stat st;

	if (fd < 0 || fstat(fd, &st) || !S_ISREG(st.st_mode))
		return NULL;
	for (struct blk *b = image_live_top(d->image); b; b = b->backing) {
		struct blk_stamp s = blk_stamp(b);

		if (s.file == st.st_ino && s.dev == st.st_dev)
			return b;
	}
	return NULL;
}

static int fd_at(const struct merge_ask *q, gint64 i)
{
	return i >= 0 && i < q->nfds ? q->fds[i] : -1;
}

static int take_fd(struct merge_ask *q, gint64 i)
{
	int fd = fd_at(q, i);

	if (fd >= 0)
		q->fds[i] = -1;
	return fd;
}

/* The new descriptor of an image gets the lock that the old one has, for a
 * writer.  False: as it was. */
static bool hand_over(struct blk *old, struct blk *lower, GError **err)
{
	if (!blk_raw_lock(lower, F_RDLCK) && !blk_raw_lock(old, F_UNLCK) &&
		!blk_raw_lock(lower, F_WRLCK))
		return true;
	blk_raw_lock(old, F_RDLCK);
	conf_error_set(err, CONF_ERROR_CONFLICT,
		"another machine, or a mount, has one of them open, too",
		"end that; then vmeste snaps merge NAME",
		"the images cannot be merged");
	return false;
}

/* The image anew on fd, for writing, with the lock of a writer. */
static struct blk *open_again(struct blk *old, int fd, GError **err)
{
	struct blk *lower = blk_raw_open(fd, false, err), *b;

	if (!lower)
		return NULL;
	if (!hand_over(old, lower, err)) {
		blk_close(lower);
		return NULL;
	}
	b = image_live_again(old, lower, err);
	if (!b)
		blk_raw_lock(old, F_RDLCK);
	return b;
}

static bool may_merge(const struct merge *g, struct blk *to, GError **err)
{
	const struct blk *top = image_live_top(g->drive->image);
	const struct blk *end = (g->up ? g->from : to)->backing;
	/* one file, of which the lock can be handed over */
	bool can = !blk_raw_lock(to, F_RDLCK);

	if (to == top || g->from == top ||
		(g->up ? to : g->from)->backing != (g->up ? g->from : to))
		return refuse(err, CONF_ERROR_CONFLICT,
			"they do not lie below one another below the top");
	if (!g->up && g->from->size > to->size)
		return refuse(err, CONF_ERROR_UNSUPPORTED,
			"the one below is smaller");
	for (const struct blk *b = top; b != end; b = b->backing)
		can &= image_live_movable(b);
	return can || refuse(err, CONF_ERROR_UNSUPPORTED,
			      "not while the machine runs, by their format");
}

static const char *state_of(const struct merge *g)
{
	if (!g->thread)
		return "open";
	return atomic_load(&g->ended) ? "copied" : "copying";
}

/* The same again, of somebody who asked before and is gone? */
static bool goes_on(struct machine *m, const struct merge *q, struct blk *to)
{
	const struct merge *g = m->merge;

	return g && g->drive == q->drive && g->from == q->from && g->to == to &&
	       g->up == q->up && !(atomic_load(&g->ended) && g->rc);
}

static void put_image(struct machine *m, struct board_drive *d, struct blk *old,
	struct blk *now)
{
	machine_hold(m, MACHINE_HOLD_SAVE);
	state_drain(m);
	image_live_put(d->image, old, now);
	machine_release(m, MACHINE_HOLD_SAVE);
}

/* Without the other one they are as they are to be. */
static bool is_merged(
	const struct merge *g, const struct blk *to, int fd, GError **err)
{
	const struct blk *next = find_image(g->drive, fd);

	if (g->up ? to->backing == next : next && next->backing == to)
		return true;
	return refuse(
		err, CONF_ERROR_CONFLICT, "the disk does not stand on them");
}

bool merge_open(struct machine *m, struct merge_ask *q, GError **err)
{
	struct merge g = {.up = q->up};
	struct blk *to, *now;
	int fd;

	g.drive = overlay_drive(m, q->drive);
	if (!g.drive)
		return refuse(err, CONF_ERROR_NOT_FOUND,
			"there is no such disk that is written to");
	g.from = find_image(g.drive, fd_at(q, q->from));
	to = find_image(g.drive, fd_at(q, q->to));
	if (!to)
		return refuse(err, CONF_ERROR_CONFLICT,
			"the disk does not stand on them");
	q->state = g.from ? "open" : "merged";
	if (!g.from)
		return is_merged(&g, to, fd_at(q, q->next), err);
	if (goes_on(m, &g, to)) {
		q->state = state_of(m->merge);
		return true;
	}
	merge_stop(m);
	if (!may_merge(&g, to, err))
		return false;
	fd = take_fd(q, q->to);
	now = open_again(to, fd, err);
	if (!now)
		return false;
	put_image(m, g.drive, to, now);
	g.to = now;
	m->merge = g_memdup2(&g, sizeof(g));
	return true;
}

/* ---- copying ---- */

/* struct blk_merge_told */
static bool told(void *opaque, uint64_t done, uint64_t total)
{
	struct merge *g = opaque;

	atomic_store(&g->total, total);
	atomic_store(&g->done, done);
	return !atomic_load(&g->stop);
}

static void *copy_thread(void *opaque)
{
	struct merge *g = opaque;
	const struct blk_merge_told t = {told, g};

	if (g->up)
		g->rc = blk_merge_up(g->to, g->from->backing, &t);
	else
		g->rc = blk_merge_down(g->from, g->to, &t);
	/* so that nobody stands for that at the end */
	if (!g->rc)
		blk_flush(g->drive->image);
	atomic_store(&g->ended, true);
	return NULL;
}

static bool running(struct machine *m, GError **err)
{
	if (m->merge)
		return true;
	return refuse(err, CONF_ERROR_CONFLICT,
		"that was stopped, for something else needed the disks");
}

bool merge_copy(struct machine *m, GError **err)
{
	struct merge *g = m->merge;

	if (!running(m, err))
		return false;
	if (!g->thread)
		g->thread = g_thread_try_new("merge", copy_thread, g, err);
	return g->thread != NULL;
}

bool merge_look(struct machine *m, struct merge_ask *q, GError **err)
{
	struct merge *g = m->merge;
	int rc;

	if (!running(m, err))
		return false;
	q->state = state_of(g);
	q->done = atomic_load(&g->done);
	q->total = atomic_load(&g->total);
	rc = atomic_load(&g->ended) ? g->rc : 0;
	if (!rc)
		return true;
	merge_stop(m);
	conf_error_set_errno(err, -rc, NULL, "the images cannot be merged");
	return false;
}

/* ---- ending ---- */

/* One that is told what it stands on. */
struct told_one {
	struct blk *old, *now; /* old NULL: now is in the chain already */
	const char *backing, *backing_path;
};

struct telling {
	struct merge *g;
	unsigned n;
	struct told_one one[MAX_TOLD];
};

/* Between the top and the pair. */
static bool is_above(const struct merge *g, const struct blk *b)
{
	const struct blk *i = image_live_top(g->drive->image)->backing;

	while (i != b && i != (g->up ? g->to : g->from))
		i = i->backing;
	return i == b && i != (g->up ? g->to : g->from);
}

static bool parse_one(
	struct telling *t, JsonObject *o, struct merge_ask *q, GError **err)
{
	struct told_one *one = &t->one[t->n];
	const char *which = overlay_text(o, "image");
	JsonNode *n = json_object_get_member(o, "fd");
	gint64 i = n && JSON_NODE_HOLDS_VALUE(n) ? json_node_get_int(n) : -1;

	*one = (struct told_one){.backing = overlay_text(o, "backing"),
		.backing_path = overlay_text(o, "backing_path")};
	t->n++;
	if (!g_strcmp0(which, "to") && t->g->up) {
		one->now = t->g->to;
		return true;
	}
	if (!g_strcmp0(which, "top")) {
		one->now = image_live_top(t->g->drive->image);
		return true;
	}
	one->old = find_image(t->g->drive, fd_at(q, i));
	if (!one->old || !is_above(t->g, one->old)) {
		one->old = NULL;
		return refuse(err, CONF_ERROR_CONFLICT,
			"what is to be told is not above them");
	}
	one->now = open_again(one->old, take_fd(q, i), err);
	return one->now != NULL;
}

static bool parse(struct telling *t, struct merge_ask *q, GError **err)
{
	JsonArray *a = q->tell && JSON_NODE_HOLDS_ARRAY(q->tell)
			       ? json_node_get_array(q->tell)
			       : NULL;

	for (guint i = 0; a && i < json_array_get_length(a); i++) {
		JsonNode *e = json_array_get_element(a, i);

		if (t->n == MAX_TOLD || !JSON_NODE_HOLDS_OBJECT(e))
			return refuse(err, CONF_ERROR_USAGE, "a bad list");
		if (!parse_one(t, json_node_get_object(e), q, err))
			return false;
	}
	return true;
}

/* Those that come later stand on those that come before. */
static bool tell_all(struct telling *t, GError **err)
{
	struct blk *below = t->g->to;

	for (unsigned i = 0; i < t->n; i++) {
		struct blk *b = t->one[i].now;
		const struct image_format *f = image_format_of(b);
		struct blk *on = b == t->g->to ? t->g->from->backing : below;
		struct image_create c = {.backing = t->one[i].backing,
			.backing_path = t->one[i].backing_path,
			.size = b->size,
			.parent = on};

		if (!on != !c.backing || !f || !f->rebase)
			return refuse(err, CONF_ERROR_CONFLICT,
				"there is something below that has no name");
		if (on)
			c.backing_format = image_format_of(on)->name;
		if (!f->rebase(b, &c, err))
			return false;
		below = b;
	}
	return true;
}

/* They are only read from now on. */
static void at_rest(struct blk *b)
{
	b->readonly = true;
	blk_raw_lock(b, F_RDLCK);
}

static void put_all(struct telling *t)
{
	struct merge *g = t->g;

	for (unsigned i = 0; i < t->n; i++)
		if (t->one[i].old) {
			image_live_put(
				g->drive->image, t->one[i].old, t->one[i].now);
			at_rest(t->one[i].now);
			t->one[i].old = NULL;
		}
	image_live_put(g->drive->image, g->from, NULL);
	at_rest(g->to);
}

static void drop_all(struct telling *t)
{
	for (unsigned i = 0; i < t->n; i++)
		if (t->one[i].old && t->one[i].now) {
			blk_raw_lock(t->one[i].now, F_UNLCK);
			blk_raw_lock(t->one[i].old, F_RDLCK);
			image_live_forget(t->one[i].now);
		}
}

bool merge_end(struct machine *m, struct merge_ask *q, GError **err)
{
	struct telling t = {.g = m->merge};
	gint64 start;
	bool ok;

	if (!running(m, err))
		return false;
	if (!t.g->thread || !atomic_load(&t.g->ended) || t.g->rc)
		return refuse(err, CONF_ERROR_CONFLICT, "nothing is copied");
	ok = parse(&t, q, err);
	start = g_get_monotonic_time();
	if (ok) {
		machine_hold(m, MACHINE_HOLD_SAVE);
		state_drain(m);
		ok = tell_all(&t, err);
		if (ok)
			put_all(&t);
		machine_release(m, MACHINE_HOLD_SAVE);
	}
	q->ns = (uint64_t)(g_get_monotonic_time() - start) * 1000;
	if (!ok) {
		drop_all(&t);
		return false;
	}
	g_thread_join(t.g->thread);
	g_free(t.g);
	m->merge = NULL;
	return true;
}
