/*
 * snap.c - `vmeste snap`: take a snapshot.
 *
 * Of a machine that runs: its disks get new images on top at a short pause,
 * and the process that has a copy of its memory writes the state while it goes
 * on.  Of one that is off: new images, and the saved state if there is one.
 */
#include "cli/snap.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/control.h"
#include "cli/png.h"
#include "cli/save.h"
#include "cli/stored.h"
#include "cli/verb.h"
#include "conf/error.h"
#include "node/folder.h"

#define ANSWER_MS   60000
#define THUMB_WIDTH 320u

struct snap {
	struct cli_words words; /* machine, what to call it */
	char *note;
	bool disk_only;
};

void *cli_snap_new(void)
{
	struct snap *s = g_new0(struct snap, 1);

	s->words.max = 2;
	return s;
}

void cli_snap_free(void *ctx)
{
	g_free(((struct snap *)ctx)->note);
	cli_words_free(ctx);
}

static bool set_note(void *ctx, const char *v, GError **err)
{
	struct snap *s = ctx;

	for (const char *p = v; *p; p++)
		if ((unsigned char)*p < ' ' && *p != '\n' && *p != '\t')
			v = NULL, p = "";
	if (!v || strlen(v) > NODE_MAX_NOTE || !g_utf8_validate(v, -1, NULL)) {
		conf_error_set(err, CONF_ERROR_USAGE, NULL,
			"write up to 4000 bytes of UTF-8 without control "
			"characters",
			"such a note cannot be kept");
		return false;
	}
	return cli_set_text(&s->note, v);
}

static bool set_disk_only(void *ctx, const char *v, GError **err)
{
	((struct snap *)ctx)->disk_only = true;
	return true;
}

const struct cli_flag cli_snap_flags[] = {
	{"note", 0, "TEXT", "what there is to say of it", NULL, set_note},
	{"disk-only", 0, NULL,
		"without memory: going back to it is like a power cut at that "
		"moment",
		NULL, set_disk_only},
	{NULL},
};

/* ---- what is small ---- */

static bool copy_file(const char *from, const char *to, GError **err)
{
	g_autofree char *data = NULL;
	g_autoptr(GError) e = NULL;
	gsize n;

	if (g_file_get_contents(from, &data, &n, &e) &&
		g_file_set_contents_full(to, data, (gssize)n,
			G_FILE_SET_CONTENTS_CONSISTENT |
				G_FILE_SET_CONTENTS_DURABLE,
			0600, &e))
		return true;
	conf_error_set(err, CONF_ERROR_FAILED, e->message, NULL,
		"cannot copy %s", from);
	return false;
}

/* The variable store of machine.xml, or NULL. */
static char *nvram_of(const struct snaps *s)
{
	void *run = cli_run_new();
	const struct conf_machine *m = cli_run_machine(run);
	char *path = NULL;

	if (cli_run_stored(run, s->name, NULL, NULL) &&
		m->firmware == CONF_FIRMWARE_UEFI && m->nvram_keep &&
		m->nvram.path && !access(m->nvram.path, R_OK))
		path = g_strdup(m->nvram.path);
	cli_run_free(run);
	return path;
}

static uint32_t average(const uint32_t *p, unsigned stride, unsigned k)
{
	unsigned sum[3] = {0};

	for (unsigned y = 0; y < k; y++)
		for (unsigned x = 0; x < k; x++)
			for (unsigned c = 0; c < 3; c++)
				sum[c] += p[y * stride + x] >> (8 * c) & 0xff;
	return sum[0] / (k * k) | sum[1] / (k * k) << 8 |
	       sum[2] / (k * k) << 16;
}

static void write_thumb(
	const char *path, const uint32_t *p, unsigned w, unsigned h)
{
	unsigned k = MAX((w + THUMB_WIDTH - 1) / THUMB_WIDTH, 1u);
	unsigned tw = w / k, th = h / k;
	g_autofree uint32_t *to = g_new(uint32_t, (gsize)tw * th + 1);

	for (unsigned y = 0; y < th; y++)
		for (unsigned x = 0; x < tw; x++)
			to[y * tw + x] = average(p + y * k * w + x * k, w, k);
	if (tw && th)
		cli_png_write(path, to, tw, th, NULL);
}

/* A small picture of its screen; one that has none goes without. */
static void thumb(const struct snaps *s, int sock, unsigned id)
{
	g_autofree char *path = node_snapshot_path(s->name, id, "screen.png");
	int fd = memfd_create("picture", MFD_CLOEXEC);
	g_autoptr(wire_msg_auto) m =
		fd < 0 ? NULL
		       : cli_control_ask(
				 sock, "screenshot", NULL, fd, ANSWER_MS, NULL);
	gint64 w = m ? wire_msg_int(m, "width", 0) : 0;
	gint64 h = m ? wire_msg_int(m, "height", 0) : 0;
	size_t n = (size_t)(w * h * 4);
	void *p = MAP_FAILED;

	if (w > 0 && h > 0 && w <= 16384 && h <= 16384 &&
		lseek(fd, 0, SEEK_END) == (off_t)n)
		p = mmap(NULL, n, PROT_READ, MAP_PRIVATE, fd, 0);
	if (p != MAP_FAILED) {
		write_thumb(path, p, (unsigned)w, (unsigned)h);
		munmap(p, n);
	}
	if (fd >= 0)
		close(fd);
}

/* ---- of a machine that runs ---- */

struct request {
	JsonObject *body;
	GArray *fds;   /* int */
	unsigned base; /* number of the first */
};

static int add_file(
	struct request *q, const char *path, bool locked, GError **err)
{
	struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0) {
		conf_error_set_errno(err, errno, NULL, "cannot make %s", path);
		return -1;
	}
	if (locked)
		fcntl(fd, F_OFD_SETLK, &l); /* nobody else knows it yet */
	g_array_append_val(q->fds, fd);
	return (int)(q->base + q->fds->len - 1);
}

/* What the page cache has goes to the medium now, so that the machine need not
 * stand for that. */
static void sync_file(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd >= 0) {
		fdatasync(fd);
		close(fd);
	}
}

static bool add_overlay(struct snaps *s, struct request *q, JsonArray *to,
	const struct node_disk *top, GError **err)
{
	struct node_image *i = node_image_find(s->t, top->file);
	struct node_image *on = node_image_find(s->t, i->on);
	g_autofree char *path = snaps_path(s, i->file);
	g_autofree char *below = snaps_path(s, on->file);
	g_autofree char *name = snaps_backing_name(s, i, on);
	JsonObject *o = json_object_new();
	int fd;

	json_array_add_object_element(to, o);
	fd = add_file(q, path, true, err);
	if (fd < 0)
		return false;
	sync_file(below);
	json_object_set_string_member(o, "drive", top->drive);
	json_object_set_int_member(o, "fd", fd);
	json_object_set_string_member(o, "path", path);
	json_object_set_string_member(o, "backing", name);
	json_object_set_string_member(o, "backing_path", below);
	json_object_set_string_member(o, "format", i->format);
	return snaps_sync_dir(s, i->file, err);
}

static bool add_overlays(struct snaps *s, struct request *q, GError **err)
{
	const struct node_change *c = s->t->change;
	JsonArray *list = json_array_new();

	json_object_set_array_member(q->body, "overlays", list);
	for (guint i = 0; i < c->tops->len; i++)
		if (!add_overlay(
			    s, q, list, g_ptr_array_index(c->tops, i), err))
			return false;
	return true;
}

bool snaps_add_overlays(
	struct snaps *s, JsonObject *body, GArray *fds, GError **err)
{
	struct request q = {.body = body, .fds = fds};

	return add_overlays(s, &q, err);
}

static bool make_request(struct snaps *s, struct request *q, GError **err)
{
	const struct node_change *c = s->t->change;
	g_autofree char *nvram = nvram_of(s);
	g_autofree char *copy =
		node_snapshot_path(s->name, c->snapshot->id, "nvram");
	int fd;

	if (!add_overlays(s, q, err))
		return false;
	if (!nvram)
		return true;
	fd = add_file(q, copy, false, err);
	json_object_set_int_member(q->body, "nvram", fd);
	return fd >= 0;
}

static bool ask_state(struct snaps *s, int sock, struct request *q,
	struct cli_save_figures *f, GError **err)
{
	struct node_snapshot *n = s->t->change->snapshot;
	g_autofree char *part =
		node_snapshot_path(s->name, n->id, "state.part");
	g_autofree char *state = node_snapshot_path(s->name, n->id, "state");
	int fd = open(part, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	bool ok;

	if (fd < 0) {
		conf_error_set_errno(err, errno, NULL, "cannot make %s", part);
		json_object_unref(q->body);
		return false;
	}
	ok = cli_save_running(sock, fd, q->body, q->fds, f, err);
	g_array_set_size(q->fds, 0); /* closed */
	if (ok && (fsync(fd) || rename(part, state))) {
		conf_error_set_errno(
			err, errno, NULL, "cannot write %s", state);
		ok = false;
	}
	close(fd);
	n->bytes = f->bytes;
	n->stood_ns = f->stood_ns;
	n->took_ns = f->ns;
	return ok;
}

static bool ask_disks(
	int sock, struct request *q, struct cli_save_figures *f, GError **err)
{
	g_autoptr(wire_msg_auto) m = cli_control_ask_fds(
		sock, "overlay", q->body, q->fds, ANSWER_MS, err);

	f->stood_ns = m ? (uint64_t)wire_msg_int(m, "ns", 0) : 0;
	return m != NULL;
}

static bool take_running(
	struct snaps *s, struct cli_save_figures *f, GError **err)
{
	bool ram = s->t->change->snapshot->ram;
	struct request q = {.base = ram ? 2 : 0};
	int sock = cli_control_connect(s->name, err);
	bool ok;

	if (sock < 0)
		return false;
	q.body = json_object_new();
	q.fds = g_array_new(FALSE, FALSE, sizeof(int));
	thumb(s, sock, s->t->change->snapshot->id);
	ok = make_request(s, &q, err);
	if (!ok)
		json_object_unref(q.body);
	else
		ok = ram ? ask_state(s, sock, &q, f, err)
			 : ask_disks(sock, &q, f, err);
	for (guint i = 0; i < q.fds->len; i++)
		close(g_array_index(q.fds, int, i));
	g_array_unref(q.fds);
	close(sock);
	return ok;
}

/* ---- of one that is off ---- */

static bool take_off(struct snaps *s, GError **err)
{
	const struct node_change *c = s->t->change;
	g_autofree char *nvram = nvram_of(s);
	g_autofree char *copy =
		node_snapshot_path(s->name, c->snapshot->id, "nvram");
	g_autofree char *state =
		node_snapshot_path(s->name, c->snapshot->id, "state");
	g_autofree char *saved =
		c->snapshot->ram ? snaps_path(s, s->t->saved.file) : NULL;

	struct stat st;

	if (nvram && !copy_file(nvram, copy, err))
		return false;
	if (saved && !stat(saved, &st))
		c->snapshot->bytes = (uint64_t)st.st_size;
	/* before the images: what is there when they are is all there is */
	if (saved && link(saved, state)) {
		conf_error_set_errno(err, errno, NULL,
			"cannot keep the saved state %s", saved);
		return false;
	}
	for (guint i = 0; i < c->tops->len; i++) {
		const struct node_disk *d = g_ptr_array_index(c->tops, i);

		if (!snaps_make_image(s, node_image_find(s->t, d->file), err))
			return false;
	}
	return true;
}

/* ---- both ---- */

static char *free_name(const struct node_tree *t, unsigned id)
{
	for (unsigned n = id;; n++) {
		char *name = g_strdup_printf("Snapshot %u", n);

		if (node_tree_name_ok(t, name, NULL))
			return name;
		g_free(name);
	}
}

static struct node_snapshot *new_snapshot(
	struct snaps *s, const char *name, const char *note)
{
	struct node_snapshot *n = node_snapshot_new();

	n->id = s->t->next++;
	n->name = name ? g_strdup(name) : free_name(s->t, n->id);
	n->note = g_strdup(note);
	n->time_s = g_get_real_time() / G_USEC_PER_SEC;
	return n;
}

static bool make_folder(struct snaps *s, unsigned id, GError **err)
{
	g_autofree char *dir = node_snapshot_path(s->name, id, NULL);
	g_autofree char *copy = node_snapshot_path(s->name, id, "machine.xml");
	g_autofree char *xml = snaps_path(s, "machine.xml");
	struct stat st;

	snaps_remove_state(s, id); /* of one that was never written down */
	if (g_mkdir_with_parents(dir, 0700)) {
		conf_error_set_errno(err, errno, NULL, "cannot make %s", dir);
		return false;
	}
	if (!stat(xml, &st) && !st.st_size)
		return g_file_set_contents(copy, "", 0, err);
	return copy_file(xml, copy, err);
}

/* All that will change is written down. */
bool snaps_plan(struct snaps *s, struct node_snapshot *n, GError **err)
{
	struct node_change *c = node_change_new(NODE_SNAP);

	c->snapshot = n;
	for (guint i = 0; i < s->drives->len; i++) {
		const struct snap_drive *d = g_ptr_array_index(s->drives, i);
		struct node_image *top = snaps_top(s, d, err), *child;

		if (!top) {
			node_change_free(c);
			return false;
		}
		node_disk_add(n->disks, d->drive, top->file);
		child = snaps_new_image(s, d->drive, top);
		node_disk_add(c->tops, d->drive, child->file);
	}
	s->t->change = c;
	return make_folder(s, n->id, err) && snaps_write(s, err);
}

static bool too_many(const struct snaps *s, GError **err)
{
	if (s->t->snapshots->len < NODE_MAX_SNAPSHOTS)
		return false;
	conf_error_set(err, CONF_ERROR_CONFLICT, NULL,
		"delete some: vmeste snaps rm NAME SNAPSHOT",
		"a machine has at most %d snapshots", NODE_MAX_SNAPSHOTS);
	return true;
}

/* What failed is taken back as far as it came. */
static bool give_up(struct snaps *s)
{
	g_autoptr(GError) e = NULL;

	if (!snaps_finish(s, &e) && e)
		fprintf(stderr, "vmeste: %s\n", e->message);
	return false;
}

static bool take(struct snaps *s, const struct snap *o, GError **err)
{
	const char *name = o->words.word[1];
	struct cli_save_figures f = {0};
	struct node_snapshot *n;
	unsigned id;
	bool ok;

	if (too_many(s, err) || (name && !node_tree_name_ok(s->t, name, err)) ||
		!snaps_drives(s, err) ||
		(s->runs && !snaps_same_drives(s, err)))
		return false;
	n = new_snapshot(s, name, o->note);
	n->ram = !o->disk_only && (s->runs || s->t->saved.file);
	id = n->id;
	if (!snaps_plan(s, n, err))
		return s->t->change ? give_up(s) : false;
	ok = s->runs ? take_running(s, &f, err) : take_off(s, err);
	if (!ok)
		return give_up(s);
	if (!snaps_finish(s, err))
		return false;
	n = node_tree_get(s->t, id);
	if (!n) {
		conf_error_set(err, CONF_ERROR_FAILED, NULL, NULL,
			"the snapshot is not whole");
		return false;
	}
	if (f.bytes)
		cli_save_say(&f);
	else if (f.stood_ns)
		fprintf(stderr, "vmeste: the machine stood for %.1f ms\n",
			(double)f.stood_ns * 1e-6);
	printf("%s\n", n->name);
	return true;
}

int cli_snap(void *ctx, GError **err)
{
	struct snap *o = ctx;
	struct snaps s;
	bool ok;

	if (!o->words.n) {
		conf_error_set(err, CONF_ERROR_USAGE, NULL,
			"vmeste ls lists the machines", "which machine?");
		return CONF_ERROR_USAGE;
	}
	ok = snaps_open(&s, o->words.word[0], err) && take(&s, o, err);
	snaps_close(&s);
	return ok ? 0 : cli_status(err);
}
