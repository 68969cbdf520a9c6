/*
 * state.c - a saved machine's description, and what flags change of it.
 *
 * Both are compared as JSON: what the flags have unlike a machine without any
 * was stated.
 */
#include "cli/state.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "conf/error.h"
#include "save/save.h"

/* What a guest cannot see, and may be other than it was. */
static const char *const host_side[] = {"name", "engine", "irqchip",
	"code_cache_bytes", "change", "display", "display_addr",
	"display_password", "gdb", "gdb_wait", "trace", "trace_events",
	"trace_insns", "paused", "no_reboot", "timeout_ms", "verbose",
	"clock_stands", "genid_value", "balloon_bytes", NULL};

/* Of the run that was saved, not of the machine. */
static const char *const forgotten[] = {"control", "gdb", "gdb_wait", "trace",
	"trace_events", "trace_insns", "paused", "screen", "state",
	"timeout_ms", "verbose", "vga_rom", "clock_stands", "genid_value",
	"ram", "ram_ready", "copy", NULL};

/* Members of drives and cards that a guest can see. */
static const char *const drive_seen[] = {
	"media", "bus", "readonly", "snapshot", NULL};
/* What a machine that has a folder has in it, which may have moved. */
static const char *const files[] = {"kernel", "initrd", "nvram", NULL};
static const char *const nic_seen[] = {"model", NULL};
static const char *const share_seen[] = {"tag", "readonly", NULL};

/* ---- reading ---- */

static bool unreadable(const char *path, const char *why, GError **err)
{
	conf_error_set(err, CONF_ERROR_FAILED, why, NULL,
		"cannot go on from %s", path);
	return false;
}

static JsonNode *read_machine(int fd, const char *path, GError **err)
{
	g_autoptr(JsonParser) p = json_parser_new();
	g_autofree char *text = save_read_settings(fd, err);
	JsonNode *root, *m;

	if (!text) {
		g_prefix_error(err, "%s: ", path);
		return NULL;
	}
	if (!json_parser_load_from_data(p, text, -1, NULL)) {
		unreadable(path, "its settings are damaged", err);
		return NULL;
	}
	root = json_parser_get_root(p);
	m = root && JSON_NODE_HOLDS_OBJECT(root)
		    ? json_object_get_member(
			      json_node_get_object(root), "machine")
		    : NULL;
	if (m && JSON_NODE_HOLDS_OBJECT(m))
		return json_node_copy(m);
	unreadable(path, "it has no settings", err);
	return NULL;
}

/* ---- what flags say ---- */

static bool refuse(const char *what, GError **err)
{
	conf_error_set(err, CONF_ERROR_CONFLICT,
		"the guest has seen what it was when it was saved",
		"leave the flag out: the state has all settings",
		"the saved machine has another %s", what);
	return false;
}

static bool same(JsonNode *a, JsonNode *b)
{
	return a && b ? json_node_equal(a, b) : a == b;
}

static JsonObject *element(JsonArray *a, guint i)
{
	JsonNode *n = json_array_get_element(a, i);

	return JSON_NODE_HOLDS_OBJECT(n) ? json_node_get_object(n) : NULL;
}

/* Lists of the same length, whose elements look the same to the guest; then
 * what[] of each is taken over. */
static bool merge_list(JsonNode *to, JsonNode *from, const char *const *seen,
	const char *taken)
{
	JsonArray *t, *f;

	if (!to || !JSON_NODE_HOLDS_ARRAY(to))
		return false;
	t = json_node_get_array(to);
	f = json_node_get_array(from);
	if (json_array_get_length(t) != json_array_get_length(f))
		return false;
	for (guint i = 0; i < json_array_get_length(t); i++) {
		JsonObject *a = element(t, i), *b = element(f, i);
		JsonNode *n;

		for (const char *const *k = seen; a && *k; k++)
			if (!same(json_object_get_member(a, *k),
				    json_object_get_member(b, *k)))
				return false;
		n = a ? json_object_get_member(b, taken) : NULL;
		if (n)
			json_object_set_member(a, taken, json_node_copy(n));
	}
	return true;
}

/* Where images are now, and in what format. */
static bool merge_drives(JsonNode *to, JsonNode *from)
{
	return merge_list(to, from, drive_seen, "file") &&
	       merge_list(to, from, drive_seen, "format") &&
	       merge_list(to, from, drive_seen, "key");
}

/* Serial lines: as many, wherever they go.  A virtio console is there or
 * not. */
static bool merge_serial(JsonObject *to, const char *key, JsonNode *from)
{
	JsonNode *was = json_object_get_member(to, key);

	if (JSON_NODE_HOLDS_ARRAY(from)) {
		if (!was || !JSON_NODE_HOLDS_ARRAY(was) ||
			json_array_get_length(json_node_get_array(was)) !=
				json_array_get_length(
					json_node_get_array(from)))
			return false;
	} else if (!was || !JSON_NODE_HOLDS_OBJECT(was) ||
		   !g_strcmp0(json_object_get_string_member_with_default(
				      json_node_get_object(was), "kind", ""),
			   "none")) {
		return false;
	}
	json_object_set_member(to, key, json_node_copy(from));
	return true;
}

static bool merge_member(JsonObject *to, const char *key, JsonNode *n,
	bool lenient, GError **err)
{
	bool ok;

	if (g_strv_contains(host_side, key) ||
		(lenient && g_strv_contains(files, key))) {
		json_object_set_member(to, key, json_node_copy(n));
		return true;
	}
	if (!strcmp(key, "state"))
		return true;
	if (!strcmp(key, "drives"))
		return merge_drives(json_object_get_member(to, key), n) ||
		       refuse(key, err);
	else if (!strcmp(key, "nics"))
		ok = merge_list(json_object_get_member(to, key), n, nic_seen,
			"forwards");
	else if (!strcmp(key, "shares"))
		ok = merge_list(json_object_get_member(to, key), n, share_seen,
			"folder");
	else if (!strcmp(key, "serial") || !strcmp(key, "console") ||
		 !strcmp(key, "debugcon"))
		ok = merge_serial(to, key, n);
	else if (!strcmp(key, "vsock") && json_object_has_member(to, key)) {
		/* its driver is told that it goes on elsewhere */
		json_object_set_member(to, key, json_node_copy(n));
		ok = true;
	} else
		ok = same(json_object_get_member(to, key), n);
	return ok || lenient || refuse(key, err);
}

static void forget(JsonObject *o)
{
	for (const char *const *k = forgotten; *k; k++)
		if (json_object_has_member(o, *k))
			json_object_remove_member(o, *k);
}

static bool merge(JsonObject *to, const struct conf_machine *m, bool lenient,
	GError **err)
{
	g_autoptr(conf_machine_auto) plain = conf_machine_new();
	g_autoptr(JsonNode) flags = conf_machine_to_json(m, NULL);
	g_autoptr(JsonNode) none = conf_machine_to_json(plain, NULL);
	JsonObject *f = json_node_get_object(flags);
	JsonObject *d = json_node_get_object(none);
	g_autoptr(GList) keys = json_object_get_members(f);

	forget(to);
	for (GList *k = keys; k; k = k->next) {
		JsonNode *n = json_object_get_member(f, k->data);

		if (!same(n, json_object_get_member(d, k->data)) &&
			!merge_member(to, k->data, n, lenient, err))
			return false;
	}
	return true;
}

/* ---- files that have moved with the state ---- */

static void find_again(struct conf_file *f, const char *dir)
{
	g_autofree char *base = NULL, *here = NULL;

	if (!f->path || !access(f->path, F_OK))
		return;
	base = g_path_get_basename(f->path);
	here = g_build_filename(dir, base, NULL);
	if (access(here, F_OK))
		return;
	g_free(f->path);
	f->path = g_steal_pointer(&here);
}

static void find_files(struct conf_machine *m, const char *state)
{
	g_autofree char *dir = g_path_get_dirname(state);

	find_again(&m->kernel, dir);
	find_again(&m->initrd, dir);
	for (guint i = 0; i < m->drives->len; i++) {
		struct conf_drive *d = g_ptr_array_index(m->drives, i);

		find_again(&d->file, dir);
	}
}

/* What is opened anew each time. */
static void forget_files(struct conf_machine *m)
{
	for (guint i = 0; i < m->drives->len; i++) {
		struct conf_drive *d = g_ptr_array_index(m->drives, i);

		conf_file_clear(&d->cow);
	}
	for (guint i = 0; i < m->nics->len; i++) {
		struct conf_nic *n = g_ptr_array_index(m->nics, i);

		conf_file_clear(&n->rom);
	}
}

struct conf_machine *cli_state_machine(
	const struct conf_machine *m, bool lenient, bool *named, GError **err)
{
	const char *path = m->state.path;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	g_autoptr(JsonNode) node = NULL;
	struct conf_machine *out = NULL;

	if (fd < 0) {
		conf_error_set_errno(err, errno,
			"check the path given to --state", "cannot open %s",
			path);
		return NULL;
	}
	node = read_machine(fd, path, err);
	if (node) {
		*named = json_object_has_member(
			json_node_get_object(node), "control");
		if (merge(json_node_get_object(node), m, lenient, err))
			out = conf_machine_from_json(node, NULL, 0, err);
	}
	if (!out) {
		close(fd);
		return NULL;
	}
	out->state.path = g_strdup(path);
	out->state.fd = fd;
	find_files(out, path);
	forget_files(out);
	return out;
}

struct conf_machine *cli_state_copy(int fd, GError **err)
{
	g_autoptr(JsonNode) node = read_machine(fd, "the copy", err);
	struct conf_machine *m = NULL;

	if (node) {
		forget(json_node_get_object(node));
		m = conf_machine_from_json(node, NULL, 0, err);
	}
	if (m)
		forget_files(m);
	return m;
}
