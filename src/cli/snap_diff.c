/*
 * snap_diff.c - `vmeste diff`: in what two states of a machine differ.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/disk.h"
#include "cli/snap.h"
#include "cli/verb.h"
#include "conf/error.h"
#include "node/folder.h"
#include "node/settings.h"
#include "save/save.h"

/* Beside memory: firmware, and what lies before memory that was added. */
#define RAM_ROOM  (256ull << 20)
#define PLUG_ROOM (2ull << 30)
#define PART_MAX  (2ull << 30)

/* A snapshot, or the machine of now. */
struct side {
	const char *name;
	const struct node_snapshot *s; /* NULL: now */
	char *xml, *state;	       /* state: or NULL */
	GPtrArray *disks;	       /* struct node_disk */
};

struct diff {
	struct cli_words words;
	int output;
};

void *cli_diff_new(void)
{
	struct diff *d = g_new0(struct diff, 1);

	d->words.max = 3;
	return d;
}

static bool set_output(void *ctx, const char *v, GError **err)
{
	static const char *const words[] = {"text", "json", NULL};
	static const struct conf_word_list list = {"output format", words};

	return conf_parse_word(v, &list, &((struct diff *)ctx)->output, err);
}

const struct cli_flag cli_diff_flags[] = {
	{"output", 'o', "FORMAT", "text (default) or json", "text json",
		set_output},
	{NULL},
};

static bool side_open(
	struct side *d, struct snaps *s, const char *name, GError **err)
{
	d->name = name;
	d->disks = node_disks_new();
	if (strcmp(name, "current")) {
		d->s = node_tree_find(s->t, name, err);
		if (!d->s)
			return false;
		d->xml = node_snapshot_path(s->name, d->s->id, "machine.xml");
		if (d->s->ram)
			d->state =
				node_snapshot_path(s->name, d->s->id, "state");
		for (guint i = 0; i < d->s->disks->len; i++) {
			const struct node_disk *k =
				g_ptr_array_index(d->s->disks, i);

			node_disk_add(d->disks, k->drive, k->file);
		}
		return true;
	}
	d->xml = snaps_path(s, "machine.xml");
	if (s->t->saved.file)
		d->state = snaps_path(s, s->t->saved.file);
	for (guint i = 0; i < s->drives->len; i++) {
		const struct snap_drive *k = g_ptr_array_index(s->drives, i);

		node_disk_add(d->disks, k->drive, k->file);
	}
	return true;
}

static void side_close(struct side *d)
{
	g_free(d->xml);
	g_free(d->state);
	if (d->disks)
		g_ptr_array_unref(d->disks);
}

/* ---- settings ---- */

static GPtrArray *lines_of(const char *xml, GError **err)
{
	g_autoptr(node_settings_auto) x = node_settings_read(xml, err);
	g_autoptr(GPtrArray) list = x ? node_settings_list(x, NULL) : NULL;
	GPtrArray *out;

	if (!list)
		return NULL;
	out = g_ptr_array_new_with_free_func(g_free);
	for (guint i = 0; i < list->len; i++) {
		const struct node_setting *s = g_ptr_array_index(list, i);

		g_ptr_array_add(out, g_strdup_printf("%s=%s", s->flag,
					     s->value ? s->value : ""));
	}
	return out;
}

/* Images of disks are told of apart. */
static void add_missing(
	JsonArray *to, const GPtrArray *list, const GPtrArray *in)
{
	for (guint i = 0; i < list->len; i++) {
		const char *line = g_ptr_array_index(list, i);
		bool there = g_str_has_prefix(line, "disk=") ||
			     g_str_has_prefix(line, "floppy=");

		for (guint k = 0; !there && k < in->len; k++)
			there = !strcmp(line, g_ptr_array_index(in, k));
		if (!there)
			json_array_add_string_element(to, line);
	}
}

static bool diff_settings(
	JsonObject *o, const struct side *a, const struct side *b, GError **err)
{
	g_autoptr(GPtrArray) x = lines_of(a->xml, err);
	g_autoptr(GPtrArray) y = x ? lines_of(b->xml, err) : NULL;
	JsonArray *gone = json_array_new(), *come = json_array_new();

	if (y) {
		add_missing(gone, x, y);
		add_missing(come, y, x);
	}
	json_object_set_array_member(o, "settings_a", gone);
	json_object_set_array_member(o, "settings_b", come);
	return y != NULL;
}

/* ---- disks ---- */

static bool diff_disk(struct snaps *s, const char *a, const char *b,
	JsonObject *o, GError **err)
{
	const struct node_image *ia = node_image_find(s->t, a);
	const struct node_image *ib = node_image_find(s->t, b);
	g_autofree char *pa = snaps_path(s, a);
	g_autofree char *pb = snaps_path(s, b);
	struct cli_disk_job *j = cli_disk_new("differ");
	g_autoptr(wire_msg_auto) m = NULL;
	JsonNode *n;

	if (cli_disk_add(j, "a", pa, ia ? ia->format : NULL, false, err) &&
		cli_disk_add(j, "b", pb, ib ? ib->format : NULL, false, err))
		m = cli_disk_run(j, err);
	cli_disk_free(j);
	n = m ? json_object_get_member(m->body, "result") : NULL;
	if (!n || !JSON_NODE_HOLDS_OBJECT(n))
		return false;
	json_object_set_int_member(o, "blocks",
		json_object_get_int_member_with_default(
			json_node_get_object(n), "blocks", 0));
	json_object_set_int_member(o, "size",
		json_object_get_int_member_with_default(
			json_node_get_object(n), "size", 0));
	return true;
}

static bool diff_disks(struct snaps *s, JsonObject *o, const struct side *a,
	const struct side *b, GError **err)
{
	JsonArray *list = json_array_new();
	bool ok = true;

	json_object_set_array_member(o, "disks", list);
	for (guint i = 0; ok && i < a->disks->len; i++) {
		const struct node_disk *d = g_ptr_array_index(a->disks, i);
		const char *other = node_disk_find(b->disks, d->drive);
		JsonObject *e = json_object_new();

		json_object_set_string_member(e, "drive", d->drive);
		json_object_set_string_member(e, "a", d->file);
		json_object_set_string_member(e, "b", other ? other : "");
		if (other && !strcmp(other, d->file))
			json_object_set_int_member(e, "blocks", 0);
		else if (other)
			ok = diff_disk(s, d->file, other, e, err);
		json_array_add_object_element(list, e);
	}
	return ok;
}

/* ---- memory ---- */

/* How much it had, or could have; *room for all else. */
static uint64_t ram_bytes(int fd, uint64_t *room, GError **err)
{
	g_autofree char *text = save_read_settings(fd, err);
	g_autoptr(JsonParser) p = json_parser_new();
	JsonNode *n;
	gint64 bytes = 0, max = 0;

	if (!text || !json_parser_load_from_data(p, text, -1, err))
		return 0;
	n = json_parser_get_root(p);
	if (n && JSON_NODE_HOLDS_OBJECT(n))
		n = json_object_get_member(json_node_get_object(n), "machine");
	if (n && JSON_NODE_HOLDS_OBJECT(n)) {
		JsonObject *o = json_node_get_object(n);

		bytes = json_object_get_int_member_with_default(
			o, "mem_bytes", 0);
		max = json_object_get_int_member_with_default(
			o, "mem_max_bytes", 0);
	}
	*room = RAM_ROOM + (max ? PLUG_ROOM : 0);
	bytes = MAX(bytes, max);
	if (bytes > 0 && bytes < (gint64)1 << 44)
		return (uint64_t)bytes;
	conf_error_set(err, CONF_ERROR_FAILED, NULL, NULL,
		"the state does not tell how much memory it has");
	return 0;
}

/* All its memory, and room behind it; *ram, *pages of memory. */
static bool load_ram(
	const char *path, struct save_ram *ram, uint64_t *pages, GError **err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct save_parts *parts = NULL;
	uint64_t bytes, room = 0;

	*ram = (struct save_ram){0};
	if (fd < 0) {
		conf_error_set_errno(err, errno, NULL, "cannot read %s", path);
		return false;
	}
	bytes = ram_bytes(fd, &room, err);
	*pages = bytes / SAVE_PAGE;
	if (bytes) {
		ram->bytes = bytes + room;
		ram->host = mmap(NULL, ram->bytes, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (ram->host == MAP_FAILED) {
			ram->host = NULL;
			conf_error_set_errno(err, errno, NULL,
				"there is no memory for the states");
		} else {
			parts = save_read(fd, ram, NULL, PART_MAX, 2, err);
		}
	}
	close(fd);
	if (parts)
		save_parts_free(parts);
	return parts != NULL;
}

static bool diff_ram(
	JsonObject *o, const struct side *a, const struct side *b, GError **err)
{
	struct save_ram x = {0}, y = {0};
	uint64_t differ = 0, pages, in_a = 0, in_b = 0;
	bool ok = load_ram(a->state, &x, &in_a, err) &&
		  load_ram(b->state, &y, &in_b, err);

	if (ok) {
		pages = MIN(x.bytes, y.bytes) / SAVE_PAGE;
		for (uint64_t i = 0; i < pages; i++)
			differ +=
				memcmp(x.host + i * SAVE_PAGE,
					y.host + i * SAVE_PAGE, SAVE_PAGE) != 0;
		json_object_set_int_member(
			o, "ram_pages", (gint64)MIN(in_a, in_b));
		json_object_set_int_member(
			o, "ram_pages_differ", (gint64)differ);
	}
	if (x.host)
		munmap(x.host, x.bytes);
	if (y.host)
		munmap(y.host, y.bytes);
	return ok;
}

/* ---- output ---- */

static void print_lines(JsonObject *o, const char *key, char sign)
{
	JsonArray *a = json_object_get_array_member(o, key);

	for (guint i = 0; i < json_array_get_length(a); i++)
		printf("%c %s\n", sign, json_array_get_string_element(a, i));
}

static void print_text(JsonObject *o)
{
	JsonArray *a = json_object_get_array_member(o, "disks");

	print_lines(o, "settings_a", '-');
	print_lines(o, "settings_b", '+');
	for (guint i = 0; i < json_array_get_length(a); i++) {
		JsonObject *d = json_array_get_object_element(a, i);
		gint64 n = json_object_get_int_member_with_default(
			d, "blocks", -1);

		if (n < 0)
			printf("%-8s only in the first\n",
				json_object_get_string_member(d, "drive"));
		else
			printf("%-8s %" G_GINT64_FORMAT
			       " blocks of 4 KiB differ (%.1f MB)\n",
				json_object_get_string_member(d, "drive"), n,
				(double)n * 4096e-6);
	}
	if (json_object_has_member(o, "ram_pages"))
		printf("%-8s %" G_GINT64_FORMAT " of %" G_GINT64_FORMAT
		       " pages differ\n",
			"memory",
			json_object_get_int_member(o, "ram_pages_differ"),
			json_object_get_int_member(o, "ram_pages"));
}

static bool diff(struct snaps *s, const struct diff *d, GError **err)
{
	const char *second = d->words.n > 2 ? d->words.word[2] : "current";
	g_autoptr(JsonNode) node = json_node_new(JSON_NODE_OBJECT);
	JsonObject *o = json_object_new();
	struct side a = {0}, b = {0};
	g_autofree char *text = NULL;
	bool ok;

	json_node_take_object(node, o);
	ok = snaps_drives(s, err) && side_open(&a, s, d->words.word[1], err) &&
	     side_open(&b, s, second, err) && diff_settings(o, &a, &b, err) &&
	     diff_disks(s, o, &a, &b, err) &&
	     (!a.state || !b.state || diff_ram(o, &a, &b, err));
	if (ok && d->output) {
		text = json_to_string(node, TRUE);
		puts(text);
	} else if (ok) {
		print_text(o);
	}
	side_close(&a);
	side_close(&b);
	return ok;
}

int cli_diff(void *ctx, GError **err)
{
	const struct diff *d = ctx;
	struct snaps s;
	bool ok;

	if (d->words.n < 2) {
		conf_error_set(err, CONF_ERROR_USAGE, NULL,
			"vmeste snaps NAME lists the snapshots of a machine; "
			"current is what it is now",
			"give a machine and one or two of its states");
		return CONF_ERROR_USAGE;
	}
	ok = snaps_open(&s, d->words.word[0], err) && diff(&s, d, err);
	snaps_close(&s);
	return ok ? 0 : cli_status(err);
}
