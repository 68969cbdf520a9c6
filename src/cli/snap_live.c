/*
 * snap_live.c - images in the chain of a running machine become part of one
 * another: the machine does it (vmm/merge.c), we open the files, show how far
 * it is, and know what lies on what.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cli/control.h"
#include "cli/disk.h"
#include "cli/snap.h"
#include "conf/error.h"

#define ANSWER_MS 60000
#define LOOK_MS	  100 /* at most, between two looks */
#define MAX_CHAIN 200

/* ---- the chain ---- */

static GPtrArray *chain_of(const struct snaps *s, const struct snap_drive *d)
{
	GPtrArray *chain = g_ptr_array_new();
	struct node_image *m = node_image_find(s->t, d->file);

	for (; m && chain->len < MAX_CHAIN; m = node_image_find(s->t, m->on))
		g_ptr_array_add(chain, m);
	return chain;
}

static bool has(GPtrArray *chain, const struct node_image *i)
{
	return g_ptr_array_find(chain, i, NULL);
}

bool snaps_has(const struct snaps *s, const struct snap_drive *d,
	const struct node_image *i)
{
	g_autoptr(GPtrArray) chain = chain_of(s, d);

	return has(chain, i);
}

const struct snap_drive *snaps_live(const struct snaps *s,
	const struct node_image *a, const struct node_image *b)
{
	const struct snap_drive *found = NULL;

	for (guint k = 0; s->runs && k < s->drives->len; k++) {
		const struct snap_drive *d = g_ptr_array_index(s->drives, k);

		if (!found && snaps_has(s, d, a) && (!b || snaps_has(s, d, b)))
			found = d;
	}
	return found;
}

/* ---- requests ---- */

struct live {
	struct snaps *s;
	const struct snap_drive *drive;
	struct node_image *from, *to;
	bool up;
	GPtrArray *chain;
	GPtrArray *told; /* struct node_image: below the top */
	GArray *times;	 /* struct stat: theirs */
	GArray *fds;	 /* int, for the next request */
};

static void live_init(struct live *l, struct snaps *s, struct node_image *from,
	struct node_image *to)
{
	*l = (struct live){.s = s, .from = from, .to = to};
	l->drive = snaps_live(s, from, to);
	l->up = g_strcmp0(from->on, to->file) != 0;
	l->chain = chain_of(s, l->drive);
	l->told = g_ptr_array_new();
	l->times = g_array_new(FALSE, FALSE, sizeof(struct stat));
	l->fds = g_array_new(FALSE, FALSE, sizeof(int));
}

static void close_fds(struct live *l)
{
	for (guint i = 0; i < l->fds->len; i++)
		close(g_array_index(l->fds, int, i));
	g_array_set_size(l->fds, 0);
}

static void live_fini(struct live *l)
{
	close_fds(l);
	g_ptr_array_unref(l->chain);
	g_ptr_array_unref(l->told);
	g_array_unref(l->times);
	g_array_unref(l->fds);
}

static struct wire_msg *ask(
	struct live *l, const char *what, JsonObject *body, GError **err)
{
	struct wire_msg *m;

	if (!body)
		body = json_object_new();
	json_object_set_string_member(body, "do", what);
	m = cli_control_ask_fds(
		l->s->sock, "merge", body, l->fds, ANSWER_MS, err);
	close_fds(l);
	return m;
}

static void stop_it(struct live *l)
{
	g_autoptr(wire_msg_auto) m = ask(l, "stop", NULL, NULL);
}

/* A descriptor for the machine, with the lock of readers if it is to be written
 * to: it makes that one of a writer.  Its number, or -1. */
static int add_image(
	struct live *l, const struct node_image *i, bool write, GError **err)
{
	g_autofree char *path = snaps_path(l->s, i->file);
	struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET};
	int fd = open(path, (write ? O_RDWR : O_RDONLY) | O_CLOEXEC);

	if (fd < 0) {
		conf_error_set_errno(err, errno, NULL, "cannot open %s", path);
		return -1;
	}
	if (write)
		fcntl(fd, F_OFD_SETLK, &lock); /* the machine finds out */
	g_array_append_val(l->fds, fd);
	return (int)l->fds->len - 1;
}

static void stood(struct live *l, const struct wire_msg *m)
{
	uint64_t ns = m ? (uint64_t)wire_msg_int(m, "ns", 0) : 0;

	l->s->stood_ns = MAX(l->s->stood_ns, ns);
}

/* What is begun ends when the machine sees us go. */
static bool connected(struct live *l, GError **err)
{
	if (!l->s->merging)
		l->s->sock = cli_control_connect(l->s->name, err);
	l->s->merging = l->s->sock >= 0;
	return l->s->merging;
}

void snaps_live_close(struct snaps *s)
{
	if (s->merging)
		close(s->sock);
	s->merging = false;
}

/* What lies next to `to` when from is gone, or NULL. */
static struct node_image *next_of(struct live *l)
{
	guint k = 0;

	if (l->up)
		return node_image_find(l->s->t, l->from->on);
	g_ptr_array_find(l->chain, l->from, &k);
	return k ? g_ptr_array_index(l->chain, k - 1) : NULL;
}

/* The machine has both open; *state: how far it is. */
static bool open_both(struct live *l, char **state, GError **err)
{
	const struct node_image *next = next_of(l);
	g_autoptr(wire_msg_auto) m = NULL;
	JsonObject *o;
	int to, from, other;

	if (!connected(l, err))
		return false;
	to = add_image(l, l->to, true, err);
	from = to < 0 ? -1 : add_image(l, l->from, false, err);
	other = from < 0 || !next ? -1 : add_image(l, next, false, err);
	if (from < 0 || (next && other < 0))
		return false;
	o = json_object_new();
	json_object_set_string_member(o, "drive", l->drive->drive);
	json_object_set_int_member(o, "to", to);
	json_object_set_int_member(o, "from", from);
	json_object_set_int_member(o, "next", other);
	json_object_set_boolean_member(o, "up", l->up);
	m = ask(l, "open", o, err);
	stood(l, m);
	if (m)
		*state = g_strdup(wire_msg_string(m, "state"));
	return m != NULL;
}

bool snaps_live_open(struct snaps *s, struct node_image *from,
	struct node_image *to, GError **err)
{
	g_autofree char *state = NULL;
	struct live l;
	bool ok;

	live_init(&l, s, from, to);
	ok = open_both(&l, &state, err);
	live_fini(&l);
	return ok;
}

void snaps_live_stop(struct snaps *s)
{
	struct live l = {.s = s};

	l.fds = g_array_new(FALSE, FALSE, sizeof(int));
	if (connected(&l, NULL))
		stop_it(&l);
	g_array_unref(l.fds);
	snaps_live_close(s);
}

/* ---- copying ---- */

/* False: somebody wants it to end. */
static bool rest(const sigset_t *set, long ms)
{
	const struct timespec t = {.tv_nsec = ms * 1000000};

	return sigtimedwait(set, NULL, &t) < 0;
}

static bool watch(struct live *l, const sigset_t *set, GError **err)
{
	gint64 began = g_get_monotonic_time();
	long ms = 1;

	for (;;) {
		g_autoptr(wire_msg_auto) m = ask(l, "look", NULL, err);

		if (!m)
			return false;
		if (g_strcmp0(wire_msg_string(m, "state"), "copying") != 0)
			return true;
		cli_disk_bar(began, (double)wire_msg_int(m, "done", 0),
			(double)wire_msg_int(m, "total", 1));
		if (!rest(set, ms))
			break;
		ms = MIN(ms * 2, LOOK_MS);
	}
	stop_it(l);
	conf_error_set(err, CONF_ERROR_FAILED, NULL,
		"vmeste snaps merge NAME goes on", "cancelled");
	return false;
}

static bool copy(struct live *l, GError **err)
{
	g_autoptr(wire_msg_auto) m = NULL;
	sigset_t set, old;
	bool ok;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, &old);
	m = ask(l, "copy", NULL, err);
	ok = m && watch(l, &set, err);
	cli_disk_bar_clear();
	sigprocmask(SIG_SETMASK, &old, NULL);
	return ok;
}

/* ---- ending ---- */

static bool tell(struct live *l, JsonArray *to, const struct node_image *i,
	const char *which, const char *on, GError **err)
{
	const struct node_image *below = node_image_find(l->s->t, on);
	JsonObject *o = json_object_new();
	int fd = -1;

	json_array_add_object_element(to, o);
	if (below) {
		g_autofree char *full = snaps_path(l->s, on);
		g_autofree char *name = snaps_backing_name(l->s, i, below);

		json_object_set_string_member(o, "backing", name);
		json_object_set_string_member(o, "backing_path", full);
	}
	if (which) {
		json_object_set_string_member(o, "image", which);
		return true;
	}
	fd = add_image(l, i, true, err);
	json_object_set_int_member(o, "fd", fd);
	return fd >= 0;
}

/* Who is above writes down who its parent is: by name, or by an identity that
 * changes when it is written to, as it now is. */
static bool tell_above(struct live *l, JsonArray *to, GError **err)
{
	guint k;
	bool must = !l->up;
	const char *on = l->to->file;

	g_ptr_array_find(l->chain, l->up ? l->to : l->from, &k);
	while (k--) {
		struct node_image *i = g_ptr_array_index(l->chain, k);
		g_autofree char *path = snaps_path(l->s, i->file);
		struct stat st;

		if (!must && !strcmp(i->format, "qcow2"))
			break;
		if (!tell(l, to, i, k ? NULL : "top", on, err))
			return false;
		if (k && !stat(path, &st)) {
			g_ptr_array_add(l->told, i);
			g_array_append_val(l->times, st);
		}
		if (!strcmp(i->format, "qcow2"))
			break;
		must = false;
		on = i->file;
	}
	return true;
}

static bool end(struct live *l, GError **err)
{
	JsonArray *list = json_array_new();
	JsonObject *o = json_object_new();
	g_autoptr(wire_msg_auto) m = NULL;

	json_object_set_array_member(o, "tell", list);
	if ((l->up && !tell(l, list, l->to, "to", l->from->on, err)) ||
		!tell_above(l, list, err)) {
		json_object_unref(o);
		return false;
	}
	m = ask(l, "end", o, err);
	stood(l, m);
	return m != NULL;
}

static bool merge(struct live *l, bool *broken_off, GError **err)
{
	g_autofree char *state = NULL;

	*broken_off = true;
	if (!open_both(l, &state, err))
		return false;
	if (!g_strcmp0(state, "merged"))
		return true;
	if (!copy(l, err))
		return false;
	*broken_off = false;
	return end(l, err);
}

bool snaps_live_merge(struct snaps *s, struct node_image *from,
	struct node_image *to, bool *broken_off, GError **err)
{
	g_autofree char *as = NULL, *path = snaps_path(s, to->file);
	struct stat old;
	struct live l;
	bool ok, known;

	live_init(&l, s, from, to);
	as = snaps_path(s, l.up ? to->file : from->file);
	known = !stat(as, &old);
	ok = merge(&l, broken_off, err);
	if (ok && known)
		snaps_as_old_as(path, &old);
	for (guint i = 0; ok && i < l.told->len; i++) {
		const struct node_image *t = g_ptr_array_index(l.told, i);
		g_autofree char *file = snaps_path(s, t->file);

		snaps_as_old_as(file, &g_array_index(l.times, struct stat, i));
	}
	live_fini(&l);
	snaps_live_close(s);
	return ok;
}
