/*
 * snap_state.c - opening a machine's tree of states, and ending what somebody
 * began who was killed.
 *
 * A disk's new image is on top as soon as it has a header: it is made of a
 * disk that stands, so up to the first write after that both are the same.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/control.h"
#include "cli/disk.h"
#include "cli/snap.h"
#include "cli/stored.h"
#include "conf/error.h"
#include "node/folder.h"
#include "node/settings.h"
#include "save/save.h"

#define ANSWER_MS   20000
#define FLIGHT_US   (15 * G_USEC_PER_SEC)  /* of a request to the machine */
#define WRITING_US  (600 * G_USEC_PER_SEC) /* a state, by a process */
#define FRESH_BYTES (8u << 20) /* a child that has nothing is smaller */
#define SAVED	    "states/saved"
#define SAVED_PART  "states/saved.part"

char *snaps_path(const struct snaps *s, const char *file)
{
	return g_path_is_absolute(file) ? g_strdup(file)
					: g_build_filename(s->dir, file, NULL);
}

char *snaps_file(const struct snaps *s, const char *path)
{
	size_t n = strlen(s->dir);

	if (!strncmp(path, s->dir, n) && path[n] == '/')
		return g_strdup(path + n + 1);
	return g_strdup(path);
}

bool snaps_sync_dir(const struct snaps *s, const char *file, GError **err)
{
	g_autofree char *path = snaps_path(s, file);
	g_autofree char *dir = g_path_get_dirname(path);
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd >= 0 && !fsync(fd)) {
		close(fd);
		return true;
	}
	conf_error_set_errno(err, errno, NULL, "cannot write to %s", dir);
	if (fd >= 0)
		close(fd);
	return false;
}

bool snaps_write(struct snaps *s, GError **err)
{
	return node_tree_write(s->t, s->name, err);
}

/* ---- the drives ---- */

static void drive_free(void *p)
{
	struct snap_drive *d = p;

	g_free(d->drive);
	g_free(d->file);
	g_free(d);
}

bool snaps_drives(struct snaps *s, GError **err)
{
	void *run = cli_run_new();
	const struct conf_machine *m = cli_run_machine(run);
	bool ok = cli_run_stored(run, s->name, NULL, err) &&
		  cli_run_check(run, err);

	g_ptr_array_set_size(s->drives, 0);
	for (guint i = 0; ok && i < m->drives->len; i++) {
		const struct conf_drive *c = g_ptr_array_index(m->drives, i);
		struct snap_drive *d;

		if (c->media == CONF_MEDIA_CDROM || c->readonly ||
			c->snapshot || !c->file.path)
			continue;
		d = g_new0(struct snap_drive, 1);
		d->drive = conf_drive_name(m, i);
		d->file = snaps_file(s, c->file.path);
		d->format = c->format;
		g_ptr_array_add(s->drives, d);
	}
	cli_run_free(run);
	return ok;
}

bool snaps_tops_free(struct snaps *s, GError **err)
{
	for (guint i = 0; i < s->drives->len; i++) {
		const struct snap_drive *d = g_ptr_array_index(s->drives, i);
		const struct node_image *m = node_image_find(s->t, d->file);

		if (!m || (!node_image_named(s->t, m) &&
				  !node_image_children(s->t, m, NULL)))
			continue;
		conf_error_set(err, CONF_ERROR_CONFLICT,
			"snapshots need it as it is",
			"vmeste back to one of them, or let machine.xml name "
			"the image that is on top",
			"%s of '%s' is part of a snapshot: %s", d->drive,
			s->name, d->file);
		return false;
	}
	return true;
}

/* What the running machine says of its disks, or NULL. */
static struct wire_msg *ask_disks(const struct snaps *s, GError **err)
{
	int sock = cli_control_connect(s->name, err);
	struct wire_msg *m = NULL;

	if (sock < 0)
		return NULL;
	m = cli_control_ask(sock, "disks", NULL, -1, ANSWER_MS, err);
	close(sock);
	return m;
}

static JsonArray *disks_of(const struct wire_msg *m)
{
	JsonNode *n = m ? json_object_get_member(m->body, "disks") : NULL;

	return n && JSON_NODE_HOLDS_ARRAY(n) ? json_node_get_array(n) : NULL;
}

/* The path of a drive there, or NULL. */
static const char *path_there(JsonArray *a, const char *drive)
{
	for (guint i = 0; a && i < json_array_get_length(a); i++) {
		JsonObject *o = json_array_get_object_element(a, i);

		if (!strcmp(json_object_get_string_member(o, "name"), drive) &&
			json_object_get_boolean_member(o, "written"))
			return json_object_get_string_member_with_default(
				o, "path", "");
	}
	return NULL;
}

/* The same, when no state of it is being written: somebody who asked for one
 * may have gone. */
static struct wire_msg *ask_disks_idle(const struct snaps *s, GError **err)
{
	gint64 end = g_get_monotonic_time() + WRITING_US;
	struct wire_msg *m;

	while ((m = ask_disks(s, err)) && g_get_monotonic_time() < end &&
		json_object_get_boolean_member_with_default(
			m->body, "writing", FALSE)) {
		wire_msg_free(m);
		g_usleep(50000);
	}
	return m;
}

bool snaps_same_drives(struct snaps *s, GError **err)
{
	g_autoptr(wire_msg_auto) m = ask_disks_idle(s, err);
	JsonArray *a = disks_of(m);
	unsigned there = 0;
	bool same = true;

	if (!m)
		return false;
	for (guint i = 0; a && i < json_array_get_length(a); i++)
		there += json_object_get_boolean_member(
			json_array_get_object_element(a, i), "written");
	for (guint i = 0; i < s->drives->len; i++) {
		const struct snap_drive *d = g_ptr_array_index(s->drives, i);
		g_autofree char *path = snaps_path(s, d->file);

		same &= !g_strcmp0(path_there(a, d->drive), path);
	}
	if (same && there == s->drives->len)
		return true;
	conf_error_set(err, CONF_ERROR_CONFLICT,
		"machine.xml names other disks than it was started with",
		"vmeste restart it, or put the disks back",
		"the running machine '%s' is not what its settings say",
		s->name);
	return false;
}

/* ---- images ---- */

struct node_image *snaps_top(
	struct snaps *s, const struct snap_drive *d, GError **err)
{
	struct node_image *i = node_image_find(s->t, d->file);
	g_autofree char *path = snaps_path(s, d->file);

	if (access(path, F_OK)) {
		conf_error_set_errno(err, errno, "put the image there",
			"cannot use %s of %s", d->drive, path);
		return NULL;
	}
	return i ? i
		 : node_image_add(s->t, d->file,
			   conf_format_words.words[d->format], NULL);
}

/* -flat.vmdk, -s001.vmdk, -f001.vmdk */
static bool is_extent(const char *entry, const char *base)
{
	size_t n = strlen(base), digits;

	if (strncmp(entry, base, n))
		return false;
	entry += n;
	if (!strcmp(entry, "-flat.vmdk"))
		return true;
	if (entry[0] != '-' || (entry[1] != 's' && entry[1] != 'f'))
		return false;
	digits = strspn(entry + 2, "0123456789");
	return digits >= 3 && !strcmp(entry + 2 + digits, ".vmdk");
}

GPtrArray *snaps_image_files(const char *dir, const struct node_image *i)
{
	GPtrArray *list = g_ptr_array_new_with_free_func(g_free);
	g_autofree char *base = g_path_get_basename(i->file);
	g_autofree char *folder = g_path_get_dirname(i->file);
	g_autofree char *full = g_build_filename(dir, folder, NULL);
	g_autoptr(GDir) d = NULL;
	const char *entry;

	if (!strcmp(i->format, "vmdk"))
		d = g_dir_open(full, 0, NULL);
	if (g_str_has_suffix(base, ".vmdk"))
		base[strlen(base) - strlen(".vmdk")] = '\0';
	while (d && (entry = g_dir_read_name(d)))
		if (is_extent(entry, base))
			g_ptr_array_add(
				list, g_build_filename(folder, entry, NULL));
	g_ptr_array_add(list, g_strdup(i->file));
	return list;
}

/* A child of the parent's own format stands beside it. */
static const char *child_format(const struct node_image *on)
{
	static const char *const own[] = {"vhd", "vhdx", "vdi", NULL};
	g_autofree char *dir = g_path_get_dirname(on->file);

	return !strcmp(dir, "disks") && g_strv_contains(own, on->format)
		       ? on->format
		       : "qcow2";
}

struct node_image *snaps_new_image(
	struct snaps *s, const char *drive, const struct node_image *on)
{
	const char *format = child_format(on);

	for (unsigned n = s->t->next;; n++) {
		g_autofree char *file =
			g_strdup_printf("disks/%s-%u.%s", drive, n, format);
		g_autofree char *path = snaps_path(s, file);
		struct node_image *i;

		if (node_image_find(s->t, file) || !access(path, F_OK))
			continue;
		i = node_image_add(s->t, file, format, on->file);
		i->is = NODE_IMAGE_NEW;
		return i;
	}
}

char *snaps_backing_name(const struct snaps *s, const struct node_image *child,
	const struct node_image *on)
{
	g_autofree char *dir = NULL;

	if (g_path_is_absolute(on->file))
		return g_strdup(on->file);
	dir = g_path_get_dirname(on->file);
	return strcmp(dir, "disks") ? g_build_filename("..", on->file, NULL)
				    : g_path_get_basename(on->file);
}

bool snaps_make_image(struct snaps *s, struct node_image *i, GError **err)
{
	struct node_image *on = node_image_find(s->t, i->on);
	g_autofree char *path = snaps_path(s, i->file);
	g_autofree char *below = snaps_path(s, i->on);
	g_autofree char *name = snaps_backing_name(s, i, on);
	struct cli_disk_job *j = cli_disk_new("create");
	g_autoptr(wire_msg_auto) m = NULL;
	bool ok;

	j->bar = false;
	j->sync = true;
	json_object_set_string_member(j->body, "backing", name);
	json_object_set_string_member(j->body, "backing_path", below);
	ok = cli_disk_add(j, "backing", below, on->format, false, err) &&
	     cli_disk_add_new(j, path, i->format, false, err);
	m = ok ? cli_disk_run(j, err) : NULL;
	ok = m && cli_disk_keep(j, err) && snaps_sync_dir(s, i->file, err);
	cli_disk_free(j);
	return ok;
}

/* ---- machine.xml ---- */

/* "disk0": the first element <disk>. */
static bool split_drive(const char *drive, char element[16], unsigned *n)
{
	return sscanf(drive, "%15[a-z]%u", element, n) == 2;
}

bool snaps_set_file(
	struct node_settings *x, const struct node_disk *d, GError **err)
{
	char element[16];
	unsigned n;

	if (split_drive(d->drive, element, &n) &&
		node_settings_set_file(x, element, n, d->file))
		return true;
	conf_error_set(err, CONF_ERROR_FAILED, "somebody has changed the file",
		"put the element back that names it",
		"machine.xml has no %s any more", d->drive);
	return false;
}

bool snaps_set_tops(
	struct snaps *s, const char *from, const GPtrArray *tops, GError **err)
{
	g_autofree char *to = snaps_path(s, "machine.xml");
	g_autoptr(node_settings_auto) x =
		node_settings_read(from ? from : to, err);

	if (!x)
		return false;
	for (guint i = 0; i < tops->len; i++)
		if (!snaps_set_file(x, g_ptr_array_index(tops, i), err))
			return false;
	if (from)
		node_settings_rename(x, s->name);
	return node_settings_write(x, to, err);
}

/* ---- what has happened ---- */

/* Nobody holds the file, so that what it has stays: false. */
bool snaps_is_held(const char *path)
{
	struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	int fd = open(path, O_RDWR | O_CLOEXEC);
	bool held;

	if (fd < 0)
		return false;
	held = fcntl(fd, F_OFD_SETLK, &l) &&
	       (errno == EAGAIN || errno == EACCES);
	close(fd);
	return held;
}

static bool opens(const char *path, const char *format)
{
	struct cli_disk_job *j = cli_disk_new("info");
	g_autoptr(GError) e = NULL;
	g_autoptr(wire_msg_auto) m = NULL;

	j->bar = false;
	if (cli_disk_add(j, "src", path, format, false, &e))
		m = cli_disk_run(j, &e);
	cli_disk_free(j);
	return m && !wire_msg_int(m, "status", 0);
}

/* A request may still be on its way to the machine: until that has had it, it
 * holds the file. */
static bool wait_flight(
	struct snaps *s, const struct node_disk *d, bool *top, GError **err)
{
	gint64 end = g_get_monotonic_time() + FLIGHT_US;
	g_autofree char *path = snaps_path(s, d->file);

	*top = false;
	while (snaps_is_held(path)) {
		g_autoptr(wire_msg_auto) m =
			s->runs ? ask_disks(s, NULL) : NULL;

		if (!g_strcmp0(path_there(disks_of(m), d->drive), path)) {
			*top = true;
			return true;
		}
		if (g_get_monotonic_time() > end) {
			conf_error_set(err, CONF_ERROR_CONFLICT, NULL,
				"try again; vmeste ls shows what runs",
				"somebody uses %s", path);
			return false;
		}
		s->runs = node_state(s->name) == NODE_RUNNING;
		g_usleep(20000);
	}
	return true;
}

/* Is the drive's new image on top now? */
static bool is_top(
	struct snaps *s, const struct node_disk *d, bool *top, GError **err)
{
	const struct node_image *i = node_image_find(s->t, d->file);
	g_autofree char *path = snaps_path(s, d->file);
	struct stat st;

	if (!wait_flight(s, d, top, err))
		return false;
	if (*top || !i || stat(path, &st) || !st.st_size)
		return true;
	*top = opens(path, i->format);
	if (*top || st.st_size < FRESH_BYTES)
		return true;
	conf_error_set(err, CONF_ERROR_FAILED,
		"it was made for a snapshot, and seems to have been written to",
		"vmeste disk info says what is wrong with it", "cannot open %s",
		path);
	return false;
}

static int remove_one(
	const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

void snaps_remove_state(const struct snaps *s, unsigned id)
{
	g_autofree char *dir = node_snapshot_path(s->name, id, NULL);

	nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* Images that came on top are; the others never were. */
static bool settle_tops(struct snaps *s, bool *all, GError **err)
{
	g_autoptr(GPtrArray) tops = node_disks_new();
	const GPtrArray *list = s->t->change->tops;

	*all = true;
	for (guint i = 0; i < list->len; i++) {
		const struct node_disk *d = g_ptr_array_index(list, i);
		struct node_image *m = node_image_find(s->t, d->file);
		bool top;

		if (!is_top(s, d, &top, err))
			return false;
		if (m)
			m->is = top ? NODE_IMAGE_LIVE : NODE_IMAGE_GONE;
		if (top)
			node_disk_add(tops, d->drive, d->file);
		*all &= top;
	}
	return snaps_set_tops(s, NULL, tops, err);
}

static bool finish_snap(struct snaps *s, GError **err)
{
	struct node_change *c = s->t->change;
	struct node_snapshot *n = c->snapshot;
	g_autofree char *state = node_snapshot_path(s->name, n->id, "state");
	bool whole;

	if (!settle_tops(s, &whole, err))
		return false;
	if (whole && (!n->ram || !access(state, F_OK))) {
		n->parent = s->t->current;
		s->t->current = n->id;
		g_ptr_array_add(s->t->snapshots, n);
		c->snapshot = NULL;
	}
	return true;
}

/* UEFI's variables as they were. */
static bool restore_nvram(struct snaps *s, unsigned id, GError **err)
{
	g_autofree char *from = node_snapshot_path(s->name, id, "nvram");
	void *run = cli_run_new();
	const struct conf_machine *m = cli_run_machine(run);
	g_autofree char *data = NULL;
	gsize n = 0;
	bool ok = true;

	if (!access(from, F_OK)) {
		ok = cli_run_stored(run, s->name, NULL, err) &&
		     g_file_get_contents(from, &data, &n, err);
		if (ok && m->nvram.path)
			ok = g_file_set_contents_full(m->nvram.path, data,
				(gssize)n,
				G_FILE_SET_CONTENTS_CONSISTENT |
					G_FILE_SET_CONTENTS_DURABLE,
				0600, err);
	}
	cli_run_free(run);
	return ok;
}

static bool finish_back(struct snaps *s, GError **err)
{
	struct node_change *c = s->t->change;
	struct node_snapshot *n = node_tree_get(s->t, c->id);
	g_autofree char *xml =
		node_snapshot_path(s->name, n->id, "machine.xml");

	if (!snaps_set_tops(s, xml, c->tops, err) ||
		!restore_nvram(s, n->id, err))
		return false;
	for (guint i = 0; i < c->tops->len; i++) {
		const struct node_disk *d = g_ptr_array_index(c->tops, i);
		struct node_image *m = node_image_find(s->t, d->file);

		if (m)
			m->is = NODE_IMAGE_LIVE;
	}
	s->t->current = n->id;
	g_clear_pointer(&s->t->saved.file, g_free);
	s->t->saved.resuming = false;
	if (c->ram) {
		s->t->saved.file = g_strdup_printf("states/%u/state", n->id);
		s->t->saved.time_s = n->time_s;
	}
	return true;
}

/* ---- leftovers ---- */

static bool is_leftover(const struct snaps *s, const char *entry)
{
	g_autofree char *file = g_build_filename("states", entry, NULL);
	guint64 id;

	if (!strcmp(entry, "saved"))
		return g_strcmp0(s->t->saved.file, file) != 0;
	if (!g_ascii_string_to_unsigned(entry, 10, 1, G_MAXINT, &id, NULL))
		return false;
	return !node_tree_get(s->t, (unsigned)id);
}

static void sweep_states(const struct snaps *s)
{
	g_autofree char *dir = snaps_path(s, "states");
	g_autoptr(GDir) d = g_dir_open(dir, 0, NULL);
	const char *entry;

	while (d && (entry = g_dir_read_name(d))) {
		g_autofree char *path = g_build_filename(dir, entry, NULL);

		if (is_leftover(s, entry))
			nftw(path, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	}
}

static void remove_image(const struct snaps *s, const struct node_image *i)
{
	g_autoptr(GPtrArray) files = snaps_image_files(s->dir, i);

	for (guint k = 0; k < files->len; k++) {
		const char *file = g_ptr_array_index(files, k);
		const struct node_image *other = node_image_find(s->t, file);
		g_autofree char *path = snaps_path(s, file);

		if (!other || other == i) /* not what is called like a part */
			unlink(path);
	}
}

static bool sweep(struct snaps *s, GError **err)
{
	bool changed = false;

	for (guint i = s->t->images->len; i--;) {
		struct node_image *m = g_ptr_array_index(s->t->images, i);

		if (m->is == NODE_IMAGE_LIVE)
			continue;
		if (node_is_inside(m->file))
			remove_image(s, m);
		node_image_remove(s->t, m);
		changed = true;
	}
	sweep_states(s);
	return !changed || snaps_write(s, err);
}

bool snaps_finish(struct snaps *s, GError **err)
{
	struct node_change *c = s->t->change;
	bool ok = true;

	if (c) {
		ok = c->kind == NODE_SNAP   ? finish_snap(s, err)
		     : c->kind == NODE_BACK ? finish_back(s, err)
					    : snaps_merge_finish(s, err);
		if (!ok)
			return false;
		g_clear_pointer(&s->t->change, node_change_free);
		ok = snaps_write(s, err);
	}
	return ok && sweep(s, err);
}

/* ---- opening ---- */

/* A machine that was being saved when the client was killed: is it? */
static bool adopt_saved(struct snaps *s, GError **err)
{
	g_autofree char *part = snaps_path(s, SAVED_PART);
	g_autofree char *path = snaps_path(s, SAVED);
	int fd = open(part, O_RDONLY | O_CLOEXEC);
	struct stat st;
	bool whole;

	if (fd < 0)
		return true;
	/* it answers when it is done with that, unless it has ended then */
	if (s->runs) {
		g_autoptr(wire_msg_auto) m = ask_disks(s, NULL);

		s->runs = m || node_state(s->name) == NODE_RUNNING;
	}
	whole = !s->runs && !fstat(fd, &st) && save_is_whole(fd);
	close(fd);
	if (!whole || rename(part, path)) {
		unlink(part);
		return true;
	}
	g_free(s->t->saved.file);
	s->t->saved.file = g_strdup(SAVED);
	s->t->saved.time_s = st.st_mtime;
	s->t->saved.resuming = false;
	return snaps_write(s, err);
}

bool snaps_open(struct snaps *s, const char *name, GError **err)
{
	*s = (struct snaps){.name = name, .lock = -1};
	s->drives = g_ptr_array_new_with_free_func(drive_free);
	if (!cli_control_name_ok(name, err))
		return false;
	if (!node_exists(name)) {
		conf_error_set(err, CONF_ERROR_NOT_FOUND, NULL,
			"vmeste ls lists the machines; vmeste create makes "
			"one",
			"there is no machine '%s' with a folder", name);
		return false;
	}
	s->dir = node_dir(name);
	s->lock = node_tree_lock(name, err);
	if (s->lock >= 0)
		s->t = node_tree_read(name, err);
	if (!s->t)
		return false;
	s->runs = node_state(name) == NODE_RUNNING;
	return adopt_saved(s, err) && snaps_finish(s, err);
}

void snaps_close(struct snaps *s)
{
	if (s->lock >= 0)
		close(s->lock);
	s->lock = -1;
	snaps_live_close(s);
	g_clear_pointer(&s->t, node_tree_free);
	g_clear_pointer(&s->dir, g_free);
	g_clear_pointer(&s->drives, g_ptr_array_unref);
}

struct node_tree *snaps_look(const char *name, GError **err)
{
	return cli_control_name_ok(name, err) ? node_tree_read(name, err)
					      : NULL;
}

/* ---- saved machines ---- */

static bool stamp_of(
	const struct snaps *s, const char *file, struct node_stamp *out)
{
	g_autofree char *path = snaps_path(s, file);
	struct stat st;

	if (stat(path, &st))
		return false;
	out->mtime_ns =
		(gint64)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
	out->bytes = (uint64_t)st.st_size;
	return true;
}

/* Somebody began to go on: did the guest write anything since? */
static bool written_since(const struct snaps *s)
{
	const GPtrArray *list = s->t->saved.disks;

	for (guint i = 0; i < list->len; i++) {
		const struct node_stamp *was = g_ptr_array_index(list, i);
		struct node_stamp now;

		if (!stamp_of(s, was->file, &now) ||
			now.mtime_ns != was->mtime_ns ||
			now.bytes != was->bytes)
			return true;
	}
	return false;
}

char *snaps_saved(struct snaps *s, GError **err)
{
	g_autofree char *path = NULL;

	if (!s->t->saved.file)
		return NULL;
	if (s->t->saved.resuming && written_since(s)) {
		snaps_discard(s, err);
		return NULL;
	}
	path = snaps_path(s, s->t->saved.file);
	if (!access(path, R_OK))
		return g_steal_pointer(&path);
	conf_error_set_errno(err, errno,
		"vmeste start --discard boots it as after a power cut",
		"cannot read the saved state %s", path);
	return NULL;
}

bool snaps_resuming(struct snaps *s, GError **err)
{
	g_ptr_array_set_size(s->t->saved.disks, 0);
	s->t->saved.resuming = true;
	for (guint i = 0; i < s->drives->len; i++) {
		const struct snap_drive *d = g_ptr_array_index(s->drives, i);
		struct node_stamp *n = g_new0(struct node_stamp, 1);

		n->file = g_strdup(d->file);
		stamp_of(s, d->file, n);
		g_ptr_array_add(s->t->saved.disks, n);
	}
	return snaps_write(s, err);
}

bool snaps_discard(struct snaps *s, GError **err)
{
	if (!s->t->saved.file)
		return true;
	g_clear_pointer(&s->t->saved.file, g_free);
	g_ptr_array_set_size(s->t->saved.disks, 0);
	s->t->saved.resuming = false;
	if (!snaps_write(s, err))
		return false;
	sweep_states(s);
	return true;
}

void snaps_still_saved(struct snaps *s)
{
	if (!s->t || !s->t->saved.file || !s->t->saved.resuming ||
		written_since(s))
		return;
	s->t->saved.resuming = false;
	snaps_write(s, NULL); /* else the next start finds that out */
}

bool snaps_resumed(struct snaps *s, GError **err)
{
	return snaps_discard(s, err);
}

int snaps_save_file(struct snaps *s, GError **err)
{
	g_autofree char *dir = snaps_path(s, "states");
	g_autofree char *part = snaps_path(s, SAVED_PART);
	int fd = -1;

	if (!g_mkdir_with_parents(dir, 0700))
		fd = open(part, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		conf_error_set_errno(err, errno, NULL, "cannot write %s", part);
	return fd;
}

bool snaps_set_saved(struct snaps *s, GError **err)
{
	g_autofree char *part = snaps_path(s, SAVED_PART);
	g_autofree char *path = snaps_path(s, SAVED);

	if (rename(part, path)) {
		conf_error_set_errno(err, errno, NULL, "cannot write %s", path);
		return false;
	}
	g_free(s->t->saved.file);
	s->t->saved.file = g_strdup(SAVED);
	s->t->saved.time_s = g_get_real_time() / G_USEC_PER_SEC;
	s->t->saved.resuming = false;
	return snaps_sync_dir(s, SAVED, err) && snaps_write(s, err);
}
