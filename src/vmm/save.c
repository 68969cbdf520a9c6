/*
 * save.c - a machine into a file, and out of it.
 *
 * The file begins with the machine's description, by which the client makes it
 * again; then come the parts (state.c) and memory.
 */
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

static struct save_ram memory(const struct machine *m)
{
	const struct bus_ram *r = bus_ram(m->bus);

	return (struct save_ram){.host = r->host, .bytes = r->bytes};
}

/* ---- settings ---- */

/* What a guest writes must still be there when it goes on. */
static bool disks_stay(const struct machine *m, GError **err)
{
	for (unsigned i = 0; i < m->board.ndrives; i++) {
		const struct board_drive *d = &m->board.drive[i];

		if (!d->conf->snapshot)
			continue;
		conf_error_set(err, CONF_ERROR_UNSUPPORTED,
			"what was written to it is thrown away when the "
			"machine ends",
			"use an overlay instead of ,snapshot: vmeste disk "
			"create -b BASE",
			"the machine cannot be saved with %s,snapshot",
			d->name);
		return false;
	}
	return true;
}

/* Sizes of the disks, by which another one is found out. */
static JsonArray *disks_to_json(const struct machine *m)
{
	JsonArray *a = json_array_new();

	for (unsigned i = 0; i < m->board.ndrives; i++) {
		const struct board_drive *d = &m->board.drive[i];
		JsonObject *o = json_object_new();

		json_object_set_string_member(o, "name", d->name);
		json_object_set_int_member(
			o, "bytes", d->blk ? (gint64)d->blk->size : -1);
		json_array_add_object_element(a, o);
	}
	return a;
}

static char *settings_text(struct machine *m)
{
	g_autoptr(GDateTime) now = g_date_time_new_now_utc();
	g_autofree char *when = g_date_time_format_iso8601(now);
	JsonObject *o = json_object_new();
	g_autoptr(JsonNode) node = json_node_new(JSON_NODE_OBJECT);
	JsonNode *machine;

	g_free(m->conf->model);
	m->conf->model = model_to_text(&m->model);
	json_object_set_string_member(o, "by", "vmeste " VMESTE_VERSION);
	json_object_set_string_member(o, "saved", when);
	json_object_set_string_member(o, "engine", m->engine->name);
	machine = conf_machine_to_json(m->conf, NULL);
	/* What was left to us is now stated. */
	json_object_set_string_member(json_node_get_object(machine), "pointer",
		conf_pointer_words.words[m->board.tablet ? CONF_POINTER_TABLET
							 : CONF_POINTER_PS2]);
	json_object_set_member(o, "machine", machine);
	json_object_set_array_member(o, "disks", disks_to_json(m));
	json_node_take_object(node, o);
	return json_to_string(node, TRUE);
}

/* ---- saving ---- */

static bool put_part(void *opaque, const char *name, const GByteArray *a)
{
	return save_out_part(opaque, name, a);
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
	g_autofree char *text = settings_text(m);
	struct save_ram ram = memory(m);
	struct save_out *o = save_out_new(fd, text, err);
	bool ok;

	if (!o)
		return false;
	ok = state_save_parts(m, put_part, o, err) &&
	     save_out_ram(o, &ram, threads());
	f->bytes = save_out_bytes(o);
	/* Whatever failed before stands in *err already. */
	return save_out_end(o, err && *err ? NULL : err) && ok &&
	       flush_disks(m, err);
}

bool machine_save(
	struct machine *m, int fd, struct save_figures *f, GError **err)
{
	gint64 start = g_get_monotonic_time();
	struct stat st;
	bool ok;

	*f = (struct save_figures){0};
	if (fstat(fd, &st) || !S_ISREG(st.st_mode)) {
		conf_error_set(err, CONF_ERROR_USAGE, NULL, NULL,
			"no file to save the machine to");
		return false;
	}
	if (!disks_stay(m, err))
		return false;
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

/* ---- going on ---- */

static bool disk_fits(const struct machine *m, JsonObject *o, GError **err)
{
	const char *name =
		json_object_get_string_member_with_default(o, "name", "");
	gint64 want = json_object_get_int_member_with_default(o, "bytes", -1);

	for (unsigned i = 0; i < m->board.ndrives; i++) {
		const struct board_drive *d = &m->board.drive[i];
		gint64 have = d->blk ? (gint64)d->blk->size : -1;

		if (strcmp(d->name, name) || have == want)
			continue;
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

bool machine_load(struct machine *m, GError **err)
{
	int fd = m->conf->state.fd;
	struct save_ram ram = memory(m);
	g_autoptr(save_parts_auto) parts = NULL;

	if (!disks_fit(m, fd, err))
		return false;
	parts = save_read(
		fd, &ram, m->conf->vram_bytes + PART_ROOM, threads(), err);
	return parts && state_load_parts(m, parts, err);
}
