/*
 * disk.c - the verbs of disk images.
 */
#include "cli/disk.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/verb.h"
#include "conf/error.h"
#include "conf/parse.h"

struct disk {
	struct cli_words words;
	bool json, force, repair, unsafe, shrink, compress, sync, quiet,
		encrypt, luks1;
	char *format, *from_format, *kind, *block, *backing, *backing_format,
		*snapshot, *key_file, *from_key_file;
	unsigned count;
};

static void *disk_new(unsigned max)
{
	struct disk *d = g_new0(struct disk, 1);

	d->words.max = max;
	return d;
}

void *cli_disk_new_1(void)
{
	return disk_new(1);
}

void *cli_disk_new_2(void)
{
	return disk_new(2);
}

void cli_disk_ctx_free(void *ctx)
{
	struct disk *d = ctx;
	char *text[] = {d->format, d->from_format, d->kind, d->block,
		d->backing, d->backing_format, d->snapshot, d->key_file,
		d->from_key_file};

	for (unsigned i = 0; i < G_N_ELEMENTS(text); i++)
		g_free(text[i]);
	cli_words_free(ctx);
}

/* ---- flags ---- */

#define SET_TEXT(field)                                                        \
	static bool set_##field(void *ctx, const char *v, GError **err)        \
	{                                                                      \
		return cli_set_text(&((struct disk *)ctx)->field, v);          \
	}
#define SET_TRUE(field)                                                        \
	static bool set_##field(void *ctx, const char *v, GError **err)        \
	{                                                                      \
		((struct disk *)ctx)->field = true;                            \
		return true;                                                   \
	}

SET_TEXT(format)
SET_TEXT(from_format)
SET_TEXT(kind)
SET_TEXT(block)
SET_TEXT(backing)
SET_TEXT(backing_format)
SET_TEXT(snapshot)
SET_TEXT(key_file)
SET_TEXT(from_key_file)
SET_TRUE(encrypt)
SET_TRUE(luks1)
SET_TRUE(force)
SET_TRUE(repair)
SET_TRUE(unsafe)
SET_TRUE(shrink)
SET_TRUE(compress)
SET_TRUE(sync)
SET_TRUE(quiet)

static bool set_count(void *ctx, const char *v, GError **err)
{
	return conf_parse_uint(
		v, "count", 1, 1000, &((struct disk *)ctx)->count, err);
}

static bool set_output(void *ctx, const char *v, GError **err)
{
	struct disk *d = ctx;

	d->json = !strcmp(v, "json");
	if (d->json || !strcmp(v, "table"))
		return true;
	conf_error_set(err, CONF_ERROR_USAGE, NULL, "choose table or json",
		"unknown output '%s'", v);
	return false;
}

#define FORMATS CLI_DISK_FORMATS
#define FORMAT                                                                 \
	{                                                                      \
		"format", 0, "FORMAT",                                         \
			"the image's format, if its name does not say",        \
			FORMATS, set_format                                    \
	}
#define OUTPUT                                                                 \
	{                                                                      \
		"output", 'o', "FORM", "table or json", "table json",          \
			set_output                                             \
	}
#define KIND                                                                   \
	{                                                                      \
		"kind", 0, "KIND",                                             \
			"raw: sparse, full; qcow2: v3, v2, extended; vhd, "    \
			"vhdx, vdi: dynamic, fixed; vmdk: sparse, flat, "      \
			"split-sparse, split-flat, stream",                    \
			"sparse full v3 v2 extended dynamic fixed flat "       \
			"split-sparse split-flat stream",                      \
			set_kind                                               \
	}
#define BLOCK                                                                  \
	{                                                                      \
		"block", 0, "SIZE", "bytes of a block, cluster or grain",      \
			NULL, set_block                                        \
	}
#define FORCE                                                                  \
	{                                                                      \
		"force", 0, NULL, "replace a file of that name", NULL,         \
			set_force                                              \
	}
#define KEY_FILE(name, setter, help)                                           \
	{                                                                      \
		name, 0, "FILE", help, "@file", setter                         \
	}
#define ENCRYPT                                                                \
	{"encrypt", 0, NULL,                                                   \
		"encrypt it (LUKS2, AES-XTS with 512 bits, Argon2id)", NULL,   \
		set_encrypt},                                                  \
		{"luks1", 0, NULL,                                             \
			"encrypt it so that older programs can open it, QEMU " \
			"too",                                                 \
			NULL, set_luks1},                                      \
		KEY_FILE("key-file", set_key_file,                             \
			"what opens the new disk: all bytes of the file; -: "  \
			"of standard input")
#define QUIET                                                                  \
	{                                                                      \
		"quiet", 'q', NULL, "no progress bar", NULL, set_quiet         \
	}
#define BACKING(help)                                                          \
	{"backing", 0, "FILE", help, "@file", set_backing},                    \
	{                                                                      \
		"backing-format", 0, "FORMAT",                                 \
			"its format, if its name does not say", FORMATS,       \
			set_backing_format                                     \
	}

const struct cli_flag cli_disk_create_flags[] = {FORMAT, KIND, BLOCK,
	BACKING("stand on this image: only what differs is written here"),
	{"count", 0, "N", "make N of them: NAME-1, NAME-2, ...", NULL,
		set_count},
	ENCRYPT, FORCE, {NULL}};
const struct cli_flag cli_disk_info_flags[] = {FORMAT, OUTPUT, {NULL}};
const struct cli_flag cli_disk_map_flags[] = {FORMAT, OUTPUT, {NULL}};
const struct cli_flag cli_disk_check_flags[] = {FORMAT,
	{"repair", 0, NULL, "mend what is wrong, give back what is unused",
		NULL, set_repair},
	OUTPUT, {NULL}};
const struct cli_flag cli_disk_compare_flags[] = {
	{"from-format", 0, "FORMAT", "format of the first image", FORMATS,
		set_from_format},
	{"format", 0, "FORMAT", "format of the second image", FORMATS,
		set_format},
	KEY_FILE("from-key-file", set_from_key_file,
		"what opens the first, encrypted one"),
	KEY_FILE("key-file", set_key_file,
		"what opens the second, encrypted one"),
	OUTPUT, QUIET, {NULL}};
const struct cli_flag cli_disk_convert_flags[] = {
	{"from-format", 0, "FORMAT", "format of the source", FORMATS,
		set_from_format},
	{"format", 0, "FORMAT", "format of the new image", FORMATS, set_format},
	KIND, BLOCK,
	{"compress", 'c', NULL, "compress (qcow2, vmdk stream)", NULL,
		set_compress},
	{"snapshot", 0, "NAME", "copy a snapshot inside the source", NULL,
		set_snapshot},
	KEY_FILE("from-key-file", set_from_key_file,
		"what opens the source, which is encrypted"),
	ENCRYPT,
	{"sync", 0, NULL, "return when all is on the medium", NULL, set_sync},
	FORCE, QUIET, {NULL}};
const struct cli_flag cli_disk_compact_flags[] = {FORMAT, QUIET, {NULL}};
const struct cli_flag cli_disk_resize_flags[] = {FORMAT,
	{"shrink", 0, NULL, "let it become smaller, and lose its end", NULL,
		set_shrink},
	QUIET, {NULL}};
const struct cli_flag cli_disk_rebase_flags[] = {FORMAT,
	BACKING("stand on this image; without it: on none"),
	{"unsafe", 0, NULL, "change the name only, copy nothing", NULL,
		set_unsafe},
	QUIET, {NULL}};

/* ---- jobs ---- */

static bool need(
	const struct disk *d, unsigned n, const char *usage, GError **err)
{
	g_autofree char *fix = NULL;

	if (d->words.n >= n)
		return true;
	fix = g_strdup_printf("write for example vmeste disk %s", usage);
	conf_error_set(
		err, CONF_ERROR_USAGE, NULL, fix, "a file's name is missing");
	return false;
}

/* Runs and frees j; the exit status.  *answer: its last message. */
static int finish(struct disk *d, struct cli_disk_job *j, bool ok,
	struct wire_msg **answer, GError **err)
{
	struct wire_msg *m = NULL;
	int status;

	if (d->quiet)
		j->bar = false;
	if (ok)
		m = cli_disk_run(j, err);
	status = m ? (int)wire_msg_int(m, "status", 1) : 1;
	if (m && !status && !cli_disk_keep(j, err))
		status = CONF_ERROR_FAILED;
	if (err && *err)
		status = conf_error_status(*err);
	cli_disk_free(j);
	if (answer)
		*answer = m;
	else if (m)
		wire_msg_free(m);
	return status;
}

static JsonObject *result_of(const struct wire_msg *m)
{
	JsonNode *n = m ? json_object_get_member(m->body, "result") : NULL;

	return n && JSON_NODE_HOLDS_OBJECT(n) ? json_node_get_object(n) : NULL;
}

static void print_json(JsonObject *o)
{
	g_autoptr(JsonNode) node = json_node_new(JSON_NODE_OBJECT);
	g_autofree char *text = NULL;

	json_node_set_object(node, o);
	text = json_to_string(node, TRUE);
	puts(text);
}

static bool put_size(
	JsonObject *body, const char *key, const char *text, GError **err)
{
	uint64_t v;

	if (!text)
		return true;
	if (!conf_parse_size(text, &v, err))
		return false;
	json_object_set_int_member(body, key, (gint64)v);
	return true;
}

static void put_text(JsonObject *body, const char *key, const char *text)
{
	if (text)
		json_object_set_string_member(body, key, text);
}

/* The backing file, as it will be named in the image at path. */
static bool add_backing(
	struct disk *d, struct cli_disk_job *j, const char *path, GError **err)
{
	g_autofree char *dir = g_path_get_dirname(path);
	g_autofree char *there = NULL, *full = NULL;

	if (!d->backing)
		return true;
	/* As in the image: relative to its folder. */
	there = g_path_is_absolute(d->backing)
			? g_strdup(d->backing)
			: g_build_filename(dir, d->backing, NULL);
	if (access(there, R_OK) && !access(d->backing, R_OK)) {
		conf_error_set(err, CONF_ERROR_NOT_FOUND,
			"a backing file's name is looked for in the folder of "
			"the image that names it",
			"give it relative to there, or beginning with /",
			"there is no %s", there);
		return false;
	}
	full = g_canonicalize_filename(there, NULL);
	json_object_set_string_member(j->body, "backing", d->backing);
	json_object_set_string_member(j->body, "backing_path", full);
	return cli_disk_add(j, "backing", there, d->backing_format, false, err);
}

/* With d->count: a-1.vhd, a-2.vhd, ...; the first is dst, the others are asked
 * for by name. */
static bool add_created(struct disk *d, struct cli_disk_job *j, GError **err)
{
	const char *path = d->words.word[0];
	const char *dot = strrchr(path, '.'), *slash = strrchr(path, '/');
	size_t stem = dot && dot > slash ? (size_t)(dot - path) : strlen(path);
	JsonArray *names;

	if (!d->count)
		return cli_disk_add_new(j, path, d->format, d->force, err);
	names = json_array_new();
	for (unsigned i = 1; i <= d->count; i++) {
		char *p = g_strdup_printf(
			"%.*s-%u%s", (int)stem, path, i, path + stem);
		g_autofree char *name = g_path_get_basename(p);

		g_ptr_array_add(j->more, p);
		json_array_add_string_element(names, name);
	}
	json_object_set_array_member(j->body, "names", names);
	for (guint i = 0; i < j->more->len; i++)
		if (!cli_disk_may_make(
			    g_ptr_array_index(j->more, i), d->force, err))
			return false;
	if (!cli_disk_add_new(
		    j, g_ptr_array_index(j->more, 0), d->format, d->force, err))
		return false;
	j->target = path; /* extents of all of them begin so */
	return true;
}

/* What is made in role dst is encrypted, if that is asked for. */
static bool add_encryption(struct disk *d, struct cli_disk_job *j, GError **err)
{
	bool on = d->encrypt || d->luks1;

	if (!on && !d->key_file)
		return true;
	if (!on || !d->key_file) {
		conf_error_set(err, CONF_ERROR_USAGE, NULL,
			on ? "add --key-file FILE; head -c 64 /dev/urandom "
			     "makes a good one"
			   : "add --encrypt",
			on ? "what shall open the encrypted disk?"
			   : "a key file, but nothing is to be encrypted");
		return false;
	}
	if (d->backing || d->count) {
		conf_error_set(err, CONF_ERROR_USAGE,
			"a child of an encrypted image is encrypted with it, "
			"by the same key",
			"leave out --encrypt and --key-file",
			"%s with --encrypt",
			d->backing ? "--backing" : "--count");
		return false;
	}
	put_text(j->body, "encrypt", d->luks1 ? "luks1" : "luks2");
	return cli_disk_add_key(j, "dst", d->key_file, err);
}

int cli_disk_create(void *ctx, GError **err)
{
	struct disk *d = ctx;
	struct cli_disk_job *j;
	bool ok;

	if (!need(d, 1, "create disk.vhd 20G", err))
		return CONF_ERROR_USAGE;
	j = cli_disk_new("create");
	put_text(j->body, "kind", d->kind);
	ok = put_size(j->body, "block", d->block, err) &&
	     put_size(j->body, "size", d->words.word[1], err) &&
	     add_backing(d, j, d->words.word[0], err) &&
	     add_created(d, j, err) && add_encryption(d, j, err);
	return finish(d, j, ok, NULL, err);
}

/* ---- info ---- */

static void print_size(const char *name, gint64 bytes)
{
	static const char unit[] = "KMGT";
	double v = (double)bytes;
	int u = -1;

	for (; v >= 1024 && u < 3; u++)
		v /= 1024;
	if (u < 0)
		printf("%-16s %" PRId64 "\n", name, (int64_t)bytes);
	else
		printf("%-16s %.4g%c (%" PRId64 " bytes)\n", name, v, unit[u],
			(int64_t)bytes);
}

static void print_snapshots(JsonArray *a)
{
	printf("snapshots:\n  %-6s %-24s %-20s %8s %8s\n", "ID", "NAME", "DATE",
		"DISK", "STATE");
	for (guint i = 0; i < json_array_get_length(a); i++) {
		JsonObject *s = json_array_get_object_element(a, i);
		g_autofree char *size = conf_format_size(
			(uint64_t)json_object_get_int_member(s, "size"));
		g_autofree char *state = conf_format_size(
			(uint64_t)json_object_get_int_member(s, "state"));
		time_t t = (time_t)json_object_get_int_member(s, "date");
		struct tm tm;
		char date[32] = "-";

		if (localtime_r(&t, &tm))
			strftime(date, sizeof(date), "%Y-%m-%d %H:%M:%S", &tm);
		printf("  %-6s %-24s %-20s %8s %8s\n",
			json_object_get_string_member(s, "id"),
			json_object_get_string_member(s, "name"), date, size,
			state);
	}
}

static void print_member(
	JsonObject *o, const char *name, JsonNode *n, gpointer unused)
{
	if (JSON_NODE_HOLDS_ARRAY(n) && !strcmp(name, "snapshots"))
		print_snapshots(json_node_get_array(n));
	else if (JSON_NODE_HOLDS_ARRAY(n))
		for (guint i = 0;
			i < json_array_get_length(json_node_get_array(n)); i++)
			printf("%-16s %s\n", name,
				json_array_get_string_element(
					json_node_get_array(n), i));
	else if (json_node_get_value_type(n) == G_TYPE_STRING)
		printf("%-16s %s\n", name, json_node_get_string(n));
	else if (json_node_get_value_type(n) == G_TYPE_INT64)
		print_size(name, json_node_get_int(n));
}

int cli_disk_info(void *ctx, GError **err)
{
	struct disk *d = ctx;
	struct cli_disk_job *j;
	struct wire_msg *m;
	JsonObject *o;
	int status;
	bool ok;

	if (!need(d, 1, "info disk.vhd", err))
		return CONF_ERROR_USAGE;
	j = cli_disk_new("info");
	json_object_set_boolean_member(j->body, "guess", !d->format);
	ok = cli_disk_add(j, "src", d->words.word[0], d->format, false, err);
	status = finish(d, j, ok, &m, err);
	o = result_of(m);
	if (o && d->json)
		print_json(json_object_ref(o));
	else if (o && !status) {
		printf("%-16s %s\n", "image", d->words.word[0]);
		json_object_foreach_member(
			o, (JsonObjectForeach)print_member, NULL);
	}
	if (m)
		wire_msg_free(m);
	return status;
}

/* ---- map ---- */

struct map {
	bool json, first;
};

static void print_row(JsonObject *o)
{
	bool zero = json_object_get_boolean_member(o, "zero");
	gint64 off = json_object_get_int_member_with_default(o, "offset", -1);

	printf("%#16" PRIx64 " %#14" PRIx64 " %5d  %-10s",
		(uint64_t)json_object_get_int_member(o, "start"),
		(uint64_t)json_object_get_int_member(o, "length"),
		(int)json_object_get_int_member(o, "depth"),
		zero					      ? "zero"
		: json_object_get_boolean_member(o, "packed") ? "compressed"
							      : "data");
	if (off >= 0)
		printf(" %#" PRIx64, (uint64_t)off);
	putchar('\n');
}

static void print_rows(void *opaque, JsonArray *rows)
{
	struct map *p = opaque;

	for (guint i = 0; i < json_array_get_length(rows); i++) {
		JsonObject *o = json_array_get_object_element(rows, i);

		if (!p->json) {
			print_row(o);
			continue;
		}
		g_autoptr(JsonNode) n = json_node_new(JSON_NODE_OBJECT);
		g_autofree char *text = NULL;

		json_node_set_object(n, o);
		text = json_to_string(n, FALSE);
		printf("%s\n  %s", p->first ? "" : ",", text);
		p->first = false;
	}
}

int cli_disk_map(void *ctx, GError **err)
{
	struct disk *d = ctx;
	struct map p = {d->json, true};
	struct cli_disk_job *j;
	int status;
	bool ok;

	if (!need(d, 1, "map disk.qcow2", err))
		return CONF_ERROR_USAGE;
	j = cli_disk_new("map");
	j->rows = print_rows;
	j->opaque = &p;
	ok = cli_disk_add(j, "src", d->words.word[0], d->format, false, err);
	if (d->json)
		putchar('[');
	else
		printf("%16s %14s %5s  %-10s %s\n", "START", "LENGTH", "DEPTH",
			"WHAT", "OFFSET");
	status = finish(d, j, ok, NULL, err);
	if (d->json)
		puts("\n]");
	return status;
}

/* ---- check, compare ---- */

static void print_check(JsonObject *o)
{
	gint64 errors = json_object_get_int_member(o, "errors");
	gint64 leaks = json_object_get_int_member(o, "leaks");
	gint64 mended = json_object_get_int_member(o, "mended-errors");
	gint64 given = json_object_get_int_member(o, "mended-leaks");

	if (!json_object_get_boolean_member(o, "checked"))
		puts("nothing in this format can be wrong");
	else if (!errors && !leaks)
		puts("no errors");
	if (errors)
		printf("%" PRId64 " errors, %" PRId64 " mended\n",
			(int64_t)errors, (int64_t)mended);
	if (leaks)
		printf("%" PRId64 " blocks that nothing uses, %" PRId64
		       " given back\n",
			(int64_t)leaks, (int64_t)given);
}

int cli_disk_check(void *ctx, GError **err)
{
	struct disk *d = ctx;
	struct cli_disk_job *j;
	struct wire_msg *m;
	JsonObject *o;
	int status;
	bool ok;

	if (!need(d, 1, "check disk.qcow2", err))
		return CONF_ERROR_USAGE;
	j = cli_disk_new("check");
	json_object_set_boolean_member(j->body, "repair", d->repair);
	ok = cli_disk_add(
		j, "src", d->words.word[0], d->format, d->repair, err);
	status = finish(d, j, ok, &m, err);
	o = result_of(m);
	if (o && d->json)
		print_json(json_object_ref(o));
	else if (o)
		print_check(o);
	if (m)
		wire_msg_free(m);
	return status;
}

int cli_disk_compare(void *ctx, GError **err)
{
	struct disk *d = ctx;
	struct cli_disk_job *j;
	struct wire_msg *m;
	JsonObject *o;
	int status;
	bool ok;

	if (!need(d, 2, "compare a.vhd b.qcow2", err))
		return CONF_ERROR_USAGE;
	j = cli_disk_new("compare");
	ok = cli_disk_add(
		     j, "a", d->words.word[0], d->from_format, false, err) &&
	     cli_disk_add(j, "b", d->words.word[1], d->format, false, err) &&
	     cli_disk_add_key(j, "a", d->from_key_file, err) &&
	     cli_disk_add_key(j, "b", d->key_file, err);
	status = finish(d, j, ok, &m, err);
	o = result_of(m);
	if (o && d->json)
		print_json(json_object_ref(o));
	else if (o && json_object_get_boolean_member(o, "equal"))
		puts("equal");
	else if (o)
		printf("they differ at byte %" PRId64 "\n",
			(int64_t)json_object_get_int_member(o, "differs-at"));
	if (m)
		wire_msg_free(m);
	return status;
}

/* ---- convert, compact, resize, rebase ---- */

int cli_disk_convert(void *ctx, GError **err)
{
	struct disk *d = ctx;
	struct cli_disk_job *j;
	bool ok;

	if (!need(d, 2, "convert old.vhd new.qcow2", err))
		return CONF_ERROR_USAGE;
	j = cli_disk_new("convert");
	j->sync = d->sync;
	put_text(j->body, "kind", d->kind);
	json_object_set_boolean_member(j->body, "compress", d->compress);
	ok = put_size(j->body, "block", d->block, err) &&
	     cli_disk_add(
		     j, "src", d->words.word[0], d->from_format, false, err) &&
	     cli_disk_add_key(j, "src", d->from_key_file, err) &&
	     cli_disk_add_new(j, d->words.word[1], d->format, d->force, err) &&
	     add_encryption(d, j, err);
	if (ok && d->snapshot)
		json_object_set_string_member(
			json_object_get_object_member(j->images, "src"),
			"snapshot", d->snapshot);
	return finish(d, j, ok, NULL, err);
}

/* The image anew beside itself, then in its place. */
static int remake(struct disk *d, struct cli_disk_job *j, GError **err)
{
	const char *path = d->words.word[0];
	bool ok = cli_disk_add(j, "src", path, d->format, true, err) &&
		  cli_disk_add_new(j, path, d->format, true, err);

	j->sync = true;
	return finish(d, j, ok, NULL, err);
}

int cli_disk_compact(void *ctx, GError **err)
{
	struct disk *d = ctx;

	if (!need(d, 1, "compact disk.vhd", err))
		return CONF_ERROR_USAGE;
	return remake(d, cli_disk_new("compact"), err);
}

static struct cli_disk_job *resize_job(struct disk *d, GError **err)
{
	struct cli_disk_job *j = cli_disk_new("resize");
	const char *size = d->words.word[1];

	if (size[0] == '+') {
		json_object_set_boolean_member(j->body, "relative", TRUE);
		size++;
	}
	json_object_set_boolean_member(j->body, "shrink", d->shrink);
	if (put_size(j->body, "size", size, err))
		return j;
	cli_disk_free(j);
	return NULL;
}

int cli_disk_resize(void *ctx, GError **err)
{
	struct disk *d = ctx;
	struct cli_disk_job *j;
	struct wire_msg *m;
	bool anew;
	int status;

	if (!need(d, 2, "resize disk.vhd +10G", err))
		return CONF_ERROR_USAGE;
	j = resize_job(d, err);
	if (!j)
		return CONF_ERROR_USAGE;
	status = finish(d, j,
		cli_disk_add(j, "src", d->words.word[0], d->format, true, err),
		&m, err);
	anew = !status && json_object_get_boolean_member_with_default(
				  result_of(m), "remake", FALSE);
	if (m)
		wire_msg_free(m);
	j = anew ? resize_job(d, err) : NULL;
	return j ? remake(d, j, err) : status;
}

int cli_disk_rebase(void *ctx, GError **err)
{
	struct disk *d = ctx;
	struct cli_disk_job *j;
	bool ok;

	if (!need(d, 1, "rebase --backing base.vhd disk.vhd", err))
		return CONF_ERROR_USAGE;
	j = cli_disk_new("rebase");
	json_object_set_boolean_member(j->body, "unsafe", d->unsafe);
	ok = cli_disk_add(j, "src", d->words.word[0], d->format, true, err) &&
	     add_backing(d, j, d->words.word[0], err);
	return finish(d, j, ok, NULL, err);
}
