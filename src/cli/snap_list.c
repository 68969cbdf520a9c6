/*
 * snap_list.c - `vmeste snaps`, `tree`: what states a machine has.
 */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/snap.h"
#include "cli/stored.h"
#include "cli/verb.h"
#include "conf/error.h"
#include "node/folder.h"

struct list {
	struct cli_words words;
	int output;
};

void *cli_snaps_new(void)
{
	struct list *l = g_new0(struct list, 1);

	l->words.max = 1;
	return l;
}

static bool set_output(void *ctx, const char *v, GError **err)
{
	static const char *const words[] = {"table", "json", "name", NULL};
	static const struct conf_word_list list = {"output format", words};

	return conf_parse_word(v, &list, &((struct list *)ctx)->output, err);
}

const struct cli_flag cli_snaps_flags[] = {
	{"output", 'o', "FORMAT", "table (default), json or name",
		"table json name", set_output},
	{NULL},
};

static struct node_tree *list_read(const struct list *l, GError **err)
{
	const char *name = l->words.word[0];

	if (!l->words.n) {
		conf_error_set(err, CONF_ERROR_USAGE, NULL,
			"vmeste ls lists the machines", "which machine?");
		return NULL;
	}
	if (node_exists(name))
		return snaps_look(name, err);
	conf_error_set(err, CONF_ERROR_NOT_FOUND, NULL,
		"vmeste ls lists the machines; vmeste create makes one",
		"there is no machine '%s' with a folder", name);
	return NULL;
}

static char *local_time(gint64 s, const char *format)
{
	g_autoptr(GDateTime) t = g_date_time_new_from_unix_local(s);

	return t ? g_date_time_format(t, format) : g_strdup("-");
}

/* On the host: its memory, and images that it alone is made of. */
static uint64_t bytes_of(const char *name, const struct node_snapshot *s)
{
	g_autofree char *state = node_snapshot_path(name, s->id, "state");
	uint64_t sum = 0;
	struct stat st;

	if (s->ram && !stat(state, &st))
		sum += (uint64_t)st.st_blocks * 512;
	for (guint i = 0; i < s->disks->len; i++) {
		const struct node_disk *d = g_ptr_array_index(s->disks, i);
		g_autofree char *path = g_path_is_absolute(d->file)
						? g_strdup(d->file)
						: node_path(name, d->file);

		if (!stat(path, &st))
			sum += (uint64_t)st.st_blocks * 512;
	}
	return sum;
}

static char *size_text(uint64_t bytes)
{
	if (bytes >= 10ull << 30)
		return g_strdup_printf("%.0fG", (double)bytes / (1 << 30));
	return g_strdup_printf("%.1fM", (double)bytes / (1 << 20));
}

static void print_table(const char *name, const struct node_tree *t)
{
	printf("%-4s %-24s %-17s %7s %9s  %s\n", "ID", "NAME", "TIME", "RAM",
		"SIZE", "NOTE");
	for (guint i = 0; i < t->snapshots->len; i++) {
		const struct node_snapshot *s =
			g_ptr_array_index(t->snapshots, i);
		g_autofree char *when = local_time(s->time_s, "%Y-%m-%d %H:%M");
		g_autofree char *size = size_text(bytes_of(name, s));
		g_autofree char *ram =
			s->ram ? size_text(s->bytes) : g_strdup("-");
		g_auto(GStrv) line =
			g_strsplit(s->note ? s->note : "", "\n", 2);

		printf("%-4u %-24s %-17s %7s %9s  %s%s\n", s->id, s->name, when,
			ram, size, t->current == s->id ? "(current) " : "",
			line[0] ? line[0] : "");
	}
}

static void print_json(const char *name, const struct node_tree *t)
{
	g_autoptr(JsonNode) node = json_node_new(JSON_NODE_OBJECT);
	JsonObject *o = json_object_new(), *one, *disks;
	JsonArray *a = json_array_new();
	g_autofree char *text = NULL;

	json_object_set_int_member(o, "current", t->current);
	json_object_set_boolean_member(o, "saved", t->saved.file != NULL);
	for (guint i = 0; i < t->snapshots->len; i++) {
		const struct node_snapshot *s =
			g_ptr_array_index(t->snapshots, i);
		g_autoptr(GDateTime) when =
			g_date_time_new_from_unix_utc(s->time_s);
		g_autofree char *iso =
			when ? g_date_time_format_iso8601(when) : NULL;

		one = json_object_new();
		disks = json_object_new();
		json_object_set_int_member(one, "id", s->id);
		json_object_set_int_member(one, "parent", s->parent);
		json_object_set_string_member(one, "name", s->name);
		json_object_set_string_member(
			one, "note", s->note ? s->note : "");
		json_object_set_string_member(one, "time", iso ? iso : "");
		json_object_set_boolean_member(one, "ram", s->ram);
		json_object_set_int_member(one, "ram_bytes", (gint64)s->bytes);
		json_object_set_int_member(
			one, "stood_ns", (gint64)s->stood_ns);
		json_object_set_int_member(one, "took_ns", (gint64)s->took_ns);
		json_object_set_int_member(
			one, "bytes", (gint64)bytes_of(name, s));
		for (guint k = 0; k < s->disks->len; k++) {
			const struct node_disk *d =
				g_ptr_array_index(s->disks, k);

			json_object_set_string_member(disks, d->drive, d->file);
		}
		json_object_set_object_member(one, "disks", disks);
		json_array_add_object_element(a, one);
	}
	json_object_set_array_member(o, "snapshots", a);
	json_node_take_object(node, o);
	text = json_to_string(node, TRUE);
	puts(text);
}

int cli_snaps(void *ctx, GError **err)
{
	const struct list *l = ctx;
	g_autoptr(node_tree_auto) t = list_read(l, err);

	if (!t)
		return cli_status(err);
	if (l->output == 1)
		print_json(l->words.word[0], t);
	else if (l->output == 2)
		for (guint i = 0; i < t->snapshots->len; i++)
			puts(((struct node_snapshot *)g_ptr_array_index(
				      t->snapshots, i))
					->name);
	else
		print_table(l->words.word[0], t);
	return 0;
}

/* ---- the tree ---- */

struct drawing {
	const char *name;
	const struct node_tree *t;
	char bars[5 * NODE_MAX_SNAPSHOTS + 8];
};

static uint64_t since_bytes(const struct drawing *d)
{
	uint64_t sum = 0;
	void *run = cli_run_new();
	const struct conf_machine *m = cli_run_machine(run);
	struct stat st;

	if (cli_run_stored(run, d->name, NULL, NULL))
		for (guint i = 0; i < m->drives->len; i++) {
			const struct conf_drive *c =
				g_ptr_array_index(m->drives, i);

			if (c->media == CONF_MEDIA_DISK && !c->readonly &&
				!c->snapshot && c->file.path &&
				!stat(c->file.path, &st))
				sum += (uint64_t)st.st_blocks * 512;
		}
	cli_run_free(run);
	return sum;
}

static void draw_current(const struct drawing *d)
{
	g_autofree char *since = size_text(since_bytes(d));

	printf("%s└─ ● current (%s)  +%s\n", d->bars, cli_stored_state(d->name),
		since);
}

static void draw_one(
	const struct drawing *d, const struct node_snapshot *s, bool last)
{
	g_autofree char *when = local_time(s->time_s, "%Y-%m-%d %H:%M");
	g_autofree char *ram = s->ram ? size_text(s->bytes) : NULL;

	printf("%s%s─ %s  %s%s%s\n", d->bars, last ? "└" : "├", s->name, when,
		ram ? "  RAM " : "", ram ? ram : "");
}

static bool has_more(const struct drawing *d, unsigned parent, guint from)
{
	for (guint i = from; i < d->t->snapshots->len; i++) {
		const struct node_snapshot *s =
			g_ptr_array_index(d->t->snapshots, i);

		if (s->parent == parent)
			return true;
	}
	return d->t->current == parent;
}

/* Snapshots below one, at most NODE_MAX_SNAPSHOTS deep. */
static void draw_below(struct drawing *d, unsigned parent)
{
	size_t n = strlen(d->bars);

	for (guint i = 0; i < d->t->snapshots->len; i++) {
		const struct node_snapshot *s =
			g_ptr_array_index(d->t->snapshots, i);
		bool last;

		if (s->parent != parent)
			continue;
		last = !has_more(d, parent, i + 1);
		draw_one(d, s, last);
		g_strlcat(d->bars, last ? "   " : "│  ", sizeof(d->bars));
		draw_below(d, s->id);
		d->bars[n] = '\0';
	}
	if (d->t->current == parent)
		draw_current(d);
}

int cli_tree(void *ctx, GError **err)
{
	const struct list *l = ctx;
	g_autoptr(node_tree_auto) t = list_read(l, err);
	struct drawing *d;

	if (!t)
		return cli_status(err);
	d = g_new0(struct drawing, 1);
	d->name = l->words.word[0];
	d->t = t;
	puts(d->name);
	draw_below(d, 0);
	g_free(d);
	return 0;
}
