/*
 * save.c - a machine into a file, and out of it.
 *
 * The file begins with the machine's description, by which the client makes it
 * again; then come the parts (state.c) and memory.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/error.h"
#include "save/save.h"
#include "vmm/priv.h"

#define PART_ROOM (512ull << 20) /* beside video memory */

static unsigned threads(void)
{
	return (unsigned)CLAMP(sysconf(_SC_NPROCESSORS_ONLN), 1, 8);
}

static bool there(const void *opaque, uint64_t off, uint64_t bytes)
{
	return memory_there(opaque, off, bytes);
}

static struct save_ram memory(const struct machine *m)
{
	const struct bus_ram *r = bus_ram(m->bus);

	return (struct save_ram){.host = r->host,
		.bytes = r->bytes,
		.there = there,
		.opaque = m};
}

/* ---- settings ---- */

/* Sizes of the disks, by which another one is found out, and, if they are at
 * rest, when they were last changed. */
static JsonArray *disks_to_json(const struct machine *m, bool rest)
{
	JsonArray *a = json_array_new();

	for (unsigned i = 0; i < m->board.ndrives; i++) {
		const struct board_drive *d = &m->board.drive[i];
		JsonObject *o = json_object_new();

		json_object_set_string_member(o, "name", d->name);
		json_object_set_int_member(
			o, "bytes", d->blk ? (gint64)d->blk->size : -1);
		if (rest && d->blk) {
			struct blk_stamp s = blk_stamp(d->blk);

			json_object_set_int_member(o, "file", (gint64)s.file);
			json_object_set_int_member(o, "changed", s.changed_ns);
		}
		json_array_add_object_element(a, o);
	}
	return a;
}

static char *settings_text(struct machine *m, bool rest)
{
	g_autoptr(GDateTime) now = g_date_time_new_now_utc();
	g_autofree char *when = g_date_time_format_iso8601(now);
	JsonObject *o = json_object_new();
	g_autoptr(JsonNode) node = json_node_new(JSON_NODE_OBJECT);
	JsonNode *machine;

	g_free(m->conf->model);
	m->conf->model = model_to_text(&m->model);
	usb_tree_note(m);
	json_object_set_string_member(o, "by", "vmeste " VMESTE_VERSION);
	json_object_set_string_member(o, "saved", when);
	json_object_set_string_member(o, "engine", m->engine->name);
	machine = conf_machine_to_json(m->conf, NULL);
	usb_tree_end(m);
	/* What was left to us is now stated. */
	if (m->conf->pointer == CONF_POINTER_AUTO)
		json_object_set_string_member(json_node_get_object(machine),
			"pointer",
			conf_pointer_words
				.words[m->board.tablet ? CONF_POINTER_TABLET
						       : CONF_POINTER_PS2]);
	json_object_set_member(o, "machine", machine);
	json_object_set_array_member(o, "disks", disks_to_json(m, rest));
	json_node_take_object(node, o);
	return json_to_string(node, TRUE);
}

/* ---- saving ---- */

static bool put_part(void *opaque, const char *name, const GByteArray *a)
{
	return save_out_part(opaque, name, a);
}

/* What a ,snapshot drive has beside its base. */
static bool put_disk(
	struct save_out *o, const char *name, struct blk *b, uint8_t *buf)
{
	uint64_t off = 0, len;

	while (blk_cow_next(b, &off, &len)) {
		len = MIN(len, SAVE_DISK_BYTES);
		if (blk_pread(b, buf, len, off) ||
			!save_out_disk(o, name, off, buf, len))
			return false;
		off += len;
	}
	return true;
}

static bool put_disks(const struct machine *m, struct save_out *o)
{
	g_autofree uint8_t *buf = g_malloc(SAVE_DISK_BYTES);

	for (unsigned i = 0; i < m->board.ndrives; i++) {
		const struct board_drive *d = &m->board.drive[i];

		if (d->blk && d->conf->snapshot &&
			!put_disk(o, d->name, d->frozen ? d->frozen : d->image,
				buf))
			return false;
	}
	return true;
}

static bool flush_disks(struct machine *m, GError **err)
{
	for (unsigned i = 0; i < m->board.ndrives; i++) {
		struct board_drive *d = &m->board.drive[i];
		int rc = d->blk && !d->blk->readonly ? blk_flush(d->blk) : 0;

		if (rc < 0) {
			conf_error_set_errno(err, -rc, NULL,
				"what was written to %s cannot be kept",
				d->name);
			return false;
		}
	}
	return true;
}

static bool save_held(
	struct machine *m, int fd, struct save_figures *f, GError **err)
{
	g_autofree char *text = NULL;
	struct save_ram ram = memory(m);
	struct save_out *o;
	bool ok;

	if (!flush_disks(m, err))
		return false;
	text = settings_text(m, true);
	o = save_out_new(fd, text, err);
	if (!o)
		return false;
	ok = state_save_processors(m, put_part, o) &&
	     state_save_devices(m, put_part, o) && put_disks(m, o) &&
	     save_out_ram(o, &ram, threads());
	f->bytes = save_out_bytes(o);
	/* Whatever failed before stands in *err already. */
	return save_out_end(o, err && *err ? NULL : err) && ok;
}

static bool is_file(int fd, GError **err)
{
	struct stat st;

	if (!fstat(fd, &st) && S_ISREG(st.st_mode))
		return true;
	conf_error_set(err, CONF_ERROR_USAGE, NULL, NULL,
		"no file to save the machine to");
	return false;
}

bool machine_save(
	struct machine *m, int fd, struct save_figures *f, GError **err)
{
	gint64 start = g_get_monotonic_time();
	bool ok;

	*f = (struct save_figures){0};
	if (!is_file(fd, err))
		return false;
	if (!state_can(m, err))
		return false;
	merge_stop(m);
	machine_hold(m, MACHINE_HOLD_SAVE);
	state_drain(m);
	ok = save_held(m, fd, f, err);
	f->ns = (uint64_t)(g_get_monotonic_time() - start) * 1000;
	if (ok)
		machine_quit(m, 0, NULL);
	else
		machine_release(m, MACHINE_HOLD_SAVE);
	return ok;
}

/* ---- while it goes on ---- */

/*
 * fork() is the copy: the child has all memory as it was at that moment, the
 * kernel copies the pages that the guest then writes.  The child has this one
 * thread, which holds the bus lock, and touches nothing of the host's but the
 * two descriptors.
 */

static gint64 now_us(void)
{
	return g_get_monotonic_time();
}

/* Does the one before still write? */
bool machine_snapshot_busy(struct machine *m)
{
	char c;

	if (m->snapshot && read(m->snapshot, &c, 1) == 0) {
		close(m->snapshot);
		m->snapshot = 0;
	}
	return m->snapshot != 0;
}

struct taken {
	GPtrArray *names, *bytes;
};

static bool keep_part(void *opaque, const char *name, const GByteArray *a)
{
	struct taken *t = opaque;
	GByteArray *b = g_byte_array_sized_new(a->len);

	g_byte_array_append(b, a->data, a->len);
	g_ptr_array_add(t->names, g_strdup(name));
	g_ptr_array_add(t->bytes, b);
	return true;
}

static bool say_result(int fd, struct snapshot_result *r, bool ok)
{
	r->ok = ok;
	return write(fd, r, sizeof(*r)) == sizeof(*r) && ok;
}

/* The child's life. */
G_GNUC_NORETURN static void snapshot_write(struct machine *m,
	const struct taken *t, const char *settings, const int fds[3])
{
	struct snapshot_result r = {.message = "a device failed"};
	struct save_ram ram = memory(m);
	gint64 start = now_us();
	GError *err = NULL;
	struct save_out *o = save_out_new(fds[0], settings, &err);
	bool ok = o;

	for (guint i = 0; ok && i < t->names->len; i++)
		ok = save_out_part(o, g_ptr_array_index(t->names, i),
			g_ptr_array_index(t->bytes, i));
	ok = ok && state_save_devices(m, put_part, o) && put_disks(m, o);
	if (ok && fds[2] < 0)
		ok = save_out_ram(o, &ram, MAX(threads() / 2, 1u));
	if (o) {
		r.bytes = save_out_bytes(o);
		ok = save_out_end(o, &err) && ok;
	}
	r.ns = (uint64_t)(now_us() - start) * 1000;
	if (err)
		g_strlcpy(r.message, err->message, sizeof(r.message));
	ok = say_result(fds[1], &r, ok);
	if (ok && fds[2] >= 0) {
		/* somebody waits for it */
		ok = ram_write(m, fds[2], threads());
		r.ns = (uint64_t)(now_us() - start) * 1000;
		g_strlcpy(r.message, "its memory cannot be copied",
			sizeof(r.message));
		ok = say_result(fds[1], &r, ok);
	}
	_exit(!ok);
}

static int compare_fds(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

/* In the child: whoever waits for the machine's end must not wait for us. */
static void keep_only(const struct machine *m, const int fds[4])
{
	int keep[4 + BOARD_MAX_LAYERS], from = 0;
	unsigned n = 0;

	for (unsigned i = 0; i < 4; i++)
		if (fds[i] >= 0)
			keep[n++] = fds[i];
	for (unsigned i = 0; i < m->nlayers; i++)
		keep[n++] = m->layer[i];
	qsort(keep, n, sizeof(keep[0]), compare_fds);
	for (unsigned i = 0; i < n; i++) {
		if (keep[i] > from)
			close_range((unsigned)from, (unsigned)keep[i] - 1, 0);
		from = keep[i] + 1;
	}
	close_range((unsigned)from, ~0u, 0);
}

/* What ,snapshot drives have so far stays as it is; they go on elsewhere. */
static bool freeze_disks(
	struct machine *m, int *fds, unsigned nfds, GError **err)
{
	for (unsigned i = 0, n = 2; i < m->board.ndrives; i++) {
		struct board_drive *d = &m->board.drive[i];
		int fd;

		if (!d->blk || !d->conf->snapshot)
			continue;
		while (n < nfds && fds[n] < 0)
			n++;
		if (n == nfds || m->nlayers == BOARD_MAX_LAYERS) {
			conf_error_set(err, CONF_ERROR_UNSUPPORTED,
				"each leaves a layer of its ,snapshot drives",
				"save without --running",
				"too many states of the machine were taken");
			return false;
		}
		fd = fds[n];
		fds[n++] = -1;
		d->frozen = blk_cow_freeze(d->image, fd, err);
		if (!d->frozen)
			return false;
		m->layer[m->nlayers++] = fd;
	}
	return true;
}

static bool snapshot_fork(struct machine *m, const struct taken *t,
	const char *settings, const int fds[3], GError **err)
{
	int busy[2];
	pid_t pid;

	if (pipe2(busy, O_CLOEXEC | O_NONBLOCK)) {
		conf_error_set_errno(err, errno, NULL, "cannot make a pipe");
		return false;
	}
	bus_lock(m->bus);
	pid = fork();
	if (!pid) {
		keep_only(m, (const int[4]){fds[0], fds[1], fds[2], busy[1]});
		snapshot_write(m, t, settings, fds);
	}
	bus_unlock(m->bus);
	close(busy[1]);
	if (pid > 0) {
		m->snapshot = busy[0];
		return true;
	}
	conf_error_set_errno(err, errno,
		"save without --running, or give the host more memory",
		"cannot copy the machine's memory");
	close(busy[0]);
	return false;
}

/* At the pause: all that must be of one moment. */
static bool snapshot_take(struct machine *m, struct snapshot_ask *q,
	struct overlays *o, struct taken *t, const char *settings, GError **err)
{
	int fds[3] = {q->fds[0], q->fds[1], -1};

	if (q->ram >= 2 && (unsigned)q->ram < q->nfds)
		fds[2] = q->fds[q->ram];
	if (fds[2] >= 0)
		q->fds[q->ram] = -1; /* not for drives */
	if (!overlay_nvram(m, q, err) || !overlays_make(o, err))
		return false;
	if (freeze_disks(m, q->fds, q->nfds, err) &&
		state_save_processors(m, keep_part, t) &&
		snapshot_fork(m, t, settings, fds, err)) {
		overlays_switch(o);
		return true;
	}
	overlays_drop(o);
	return false;
}

static bool snapshot_may(
	struct machine *m, const struct snapshot_ask *q, GError **err)
{
	if (q->nfds < 2 || !is_file(q->fds[0], err) || !state_can(m, err))
		return false;
	if (!machine_snapshot_busy(m))
		return true;
	conf_error_set(err, CONF_ERROR_CONFLICT, NULL, "wait until it is done",
		"another state of the machine is being written");
	return false;
}

bool machine_snapshot(struct machine *m, struct snapshot_ask *q,
	struct save_figures *f, GError **err)
{
	g_autofree char *settings = NULL;
	struct overlays o = {0};
	struct taken t = {0};
	gint64 start;
	bool ok;

	*f = (struct save_figures){0};
	ok = snapshot_may(m, q, err) &&
	     overlays_parse(m, &o, q->overlays, q->fds, q->nfds, err);
	if (!ok) {
		overlays_fini(&o);
		return false;
	}
	settings = settings_text(m, false);
	t.names = g_ptr_array_new_with_free_func(g_free);
	t.bytes = g_ptr_array_new_with_free_func(
		(GDestroyNotify)g_byte_array_unref);
	merge_stop(m);
	start = now_us();
	machine_hold(m, MACHINE_HOLD_SAVE);
	state_drain(m);
	ok = snapshot_take(m, q, &o, &t, settings, err);
	for (unsigned i = 0; i < m->board.ndrives; i++)
		m->board.drive[i].frozen = NULL; /* the child has it */
	machine_release(m, MACHINE_HOLD_SAVE);
	f->ns = (uint64_t)(now_us() - start) * 1000;
	overlays_fini(&o);
	g_ptr_array_unref(t.names);
	g_ptr_array_unref(t.bytes);
	return ok;
}

/* ---- going on ---- */

static char *time_text(gint64 ns)
{
	g_autoptr(GDateTime) t = g_date_time_new_from_unix_utc(ns / 1000000000);
	g_autofree char *s =
		t ? g_date_time_format(t, "%Y-%m-%d %H:%M:%S") : NULL;

	return g_strdup_printf(
		"%s.%09u UTC", s ? s : "?", (unsigned)(ns % 1000000000));
}

/*
 * Memory has what files were like: it must not meet others.  Children that were
 * put on top since, to keep what was, come before the file itself; a copy of
 * the file elsewhere is of the same time.
 */
static bool disk_unchanged(
	const struct board_drive *d, JsonObject *o, GError **err)
{
	gint64 was = json_object_get_int_member_with_default(o, "changed", 0);
	guint64 file =
		(guint64)json_object_get_int_member_with_default(o, "file", 0);
	struct blk_stamp now =
		d->blk ? blk_stamp(d->blk) : (struct blk_stamp){0};
	g_autofree char *then = NULL, *why = NULL, *fix = NULL;

	for (struct blk *b = d->blk ? d->image : NULL; b; b = b->backing)
		if (blk_stamp(b).file == file) {
			now = blk_stamp(b);
			break;
		}
	if (was <= 0 || !now.changed_ns || now.changed_ns == was)
		return true;
	then = time_text(was);
	why = g_strdup_printf("its file was last changed at %s then", then);
	fix = g_strdup_printf(
		"boot the disk without the state; or, if the file "
		"was only copied: touch -d '%s' FILE",
		then);
	conf_error_set(err, CONF_ERROR_CONFLICT, why, fix,
		"%s was written to since the machine was saved", d->name);
	return false;
}

static bool disk_fits(const struct machine *m, JsonObject *o, GError **err)
{
	const char *name =
		json_object_get_string_member_with_default(o, "name", "");
	gint64 want = json_object_get_int_member_with_default(o, "bytes", -1);

	for (unsigned i = 0; i < m->board.ndrives; i++) {
		const struct board_drive *d = &m->board.drive[i];
		gint64 have = d->blk ? (gint64)d->blk->size : -1;

		if (strcmp(d->name, name))
			continue;
		if (have == want)
			return disk_unchanged(d, o, err);
		conf_error_set(err, CONF_ERROR_CONFLICT,
			want < 0   ? "it was empty"
			: have < 0 ? "there was a disc in it"
				   : "it had another size",
			"give it the disk that it was saved with",
			"%s is not what it was when the machine was saved",
			d->name);
		return false;
	}
	return true;
}

static bool disks_fit(const struct machine *m, int fd, GError **err)
{
	g_autofree char *text = save_read_settings(fd, err);
	g_autoptr(JsonParser) p = json_parser_new();
	JsonNode *root, *list;
	JsonArray *a;

	if (!text)
		return false;
	if (!json_parser_load_from_data(p, text, -1, NULL))
		return true; /* the client has read them */
	root = json_parser_get_root(p);
	list = root && JSON_NODE_HOLDS_OBJECT(root)
		       ? json_object_get_member(
				 json_node_get_object(root), "disks")
		       : NULL;
	if (!list || !JSON_NODE_HOLDS_ARRAY(list))
		return true;
	a = json_node_get_array(list);
	for (guint i = 0; i < json_array_get_length(a); i++) {
		JsonNode *e = json_array_get_element(a, i);

		if (JSON_NODE_HOLDS_OBJECT(e) &&
			!disk_fits(m, json_node_get_object(e), err))
			return false;
	}
	return true;
}

static int take_disk(
	void *opaque, const char *name, uint64_t off, const void *buf, size_t n)
{
	struct machine *m = opaque;

	for (unsigned i = 0; i < m->board.ndrives; i++) {
		struct board_drive *d = &m->board.drive[i];

		if (d->blk && d->conf->snapshot && !strcmp(d->name, name))
			return blk_pwrite(d->image, buf, n, off);
	}
	return -ENOENT;
}

static void tell_apart(struct machine *m)
{
	bus_lock(m->bus);
	for (unsigned i = 0; i < m->board.ndevs; i++) {
		struct dev *d = m->board.dev[i];

		if (d->cls->copied)
			d->cls->copied(d);
	}
	bus_unlock(m->bus);
}

bool machine_load(struct machine *m, GError **err)
{
	struct save_disks disks = {.write = take_disk, .opaque = m};
	int fd = m->conf->state.fd;
	struct save_ram ram = memory(m);
	g_autoptr(save_parts_auto) parts = NULL;

	if (!disks_fit(m, fd, err) ||
		(m->conf->ram.fd >= 0 && !ram_share(m, m->conf->ram.fd, err)))
		return false;
	parts = save_read(fd, &ram, &disks, m->conf->vram_bytes + PART_ROOM,
		threads(), err);
	if (!parts || !state_load_parts(m, parts, err))
		return false;
	if (m->conf->copy)
		tell_apart(m);
	return true;
}
