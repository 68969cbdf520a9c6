/*
 * jobs.c - jobs that make or look at images: create, info, map, check,
 * compare.
 */
#include <errno.h>
#include <string.h>

#include "block/luks.h"
#include "conf/error.h"
#include "disk/job.h"

#define ROWS_MAX 200 /* of one message */

static bool is_kind(
	const struct image_format *f, const char *kind, GError **err)
{
	g_autofree char *all = NULL, *fix = NULL;

	for (unsigned i = 0; kind && f->kinds && f->kinds[i]; i++)
		if (!strcmp(kind, f->kinds[i]))
			return true;
	if (!kind)
		return true;
	all = f->kinds ? g_strjoinv(", ", (char **)(uintptr_t)f->kinds)
		       : g_strdup("none");
	fix = g_strdup_printf("one of: %s", all);
	conf_error_set(err, CONF_ERROR_USAGE, NULL, fix,
		"%s images have no kind '%s'", f->name, kind);
	return false;
}

/* Makes the image in role dst: c's size and parent are set. */
bool disk_make(struct disk_job *j, struct image_create *c, GError **err)
{
	const struct image_format *f = disk_format(j, "dst", err);
	struct image_source source = disk_source(j);
	const char *path = disk_path(j, "dst");
	g_autofree char *name = path ? g_path_get_basename(path) : NULL;
	uint64_t block = disk_arg_size(j, "block");

	if (!f)
		return false;
	if (!f->create) {
		conf_error_set(err, CONF_ERROR_UNSUPPORTED, NULL,
			"choose raw, qcow2, vhd, vhdx, vdi or vmdk",
			"%s images can only be read", f->name);
		return false;
	}
	if (!c->kind)
		c->kind = disk_arg(j, "kind");
	if (!is_kind(f, c->kind, err))
		return false;
	if (block & (block - 1) || block > 256u << 20) {
		conf_error_set(err, CONF_ERROR_USAGE, NULL, NULL,
			"blocks have a power of two of bytes, up to 256M");
		return false;
	}
	if (!c->block)
		c->block = (uint32_t)block;
	if (!c->name)
		c->name = name;
	c->source = &source;
	return f->create(c, err);
}

/* ---- create ---- */

/* The first is role dst; name: of the others, or NULL. */
static bool create_one(struct disk_job *j, const struct image_create *how,
	const char *name, bool first, GError **err)
{
	struct image_create c = *how;
	struct blk *b;
	bool ok;

	c.lower = first ? disk_file(j, "dst", err)
			: disk_file_named(j, name, err);
	c.name = name;
	c.size += disk_overhead(j);
	ok = c.lower && disk_make(j, &c, err);
	json_object_set_int_member(
		j->result, "size", (gint64)(c.size - disk_overhead(j)));
	if (ok && disk_overhead(j)) {
		b = disk_open_made(j, "dst", c.lower, false, err);
		if (b)
			b = disk_encrypt(j, b, err);
		blk_close(b);
		return b != NULL;
	}
	blk_close(c.lower);
	return ok;
}

static bool create_all(
	struct disk_job *j, const struct image_create *c, GError **err)
{
	JsonNode *n = json_object_get_member(j->msg->body, "names");
	JsonArray *a =
		n && JSON_NODE_HOLDS_ARRAY(n) ? json_node_get_array(n) : NULL;
	guint count = a ? json_array_get_length(a) : 1;
	bool ok = true;

	for (guint i = 0; i < count && ok; i++) {
		const char *name =
			a ? json_array_get_string_element(a, i) : NULL;

		ok = create_one(j, c, name, i == 0, err);
		disk_progress(j, i, count);
	}
	return ok;
}

bool disk_create(struct disk_job *j, GError **err)
{
	struct image_create c = {.size = disk_arg_size(j, "size"),
		.backing = disk_arg(j, "backing"),
		.backing_path = disk_arg(j, "backing_path")};
	const struct image_format *f = disk_format(j, "dst", err);
	bool ok;

	if (!f)
		return false;
	if (c.backing) {
		c.parent = disk_image(j, "backing", 0, err);
		if (!c.parent)
			return false;
		c.backing_format = image_format_of(c.parent)->name;
		if (!c.size)
			c.size = c.parent->size;
	}
	if (!c.size)
		c.size = f->usual_size;
	if (!c.size) {
		blk_close(c.parent);
		conf_error_set(err, CONF_ERROR_USAGE, NULL,
			"write for example 20G behind the file's name",
			"how large shall the disk be?");
		return false;
	}
	ok = create_all(j, &c, err);
	blk_close(c.parent);
	return ok;
}

/* ---- info ---- */

static void put_facts(JsonObject *o, const struct image_info *i)
{
	JsonArray *a = json_array_new(), *x = json_array_new();

	for (guint k = 0; k + 1 < i->facts->len; k += 2)
		json_object_set_string_member(o, g_ptr_array_index(i->facts, k),
			g_ptr_array_index(i->facts, k + 1));
	for (guint k = 0; k < MIN(i->snapshots->len, ROWS_MAX); k++) {
		const struct image_snapshot *s =
			g_ptr_array_index(i->snapshots, k);
		JsonObject *e = json_object_new();

		json_object_set_string_member(e, "id", s->id);
		json_object_set_string_member(e, "name", s->name);
		json_object_set_int_member(e, "size", (gint64)s->size);
		json_object_set_int_member(e, "state", (gint64)s->state_bytes);
		json_object_set_int_member(e, "date", (gint64)s->date_s);
		json_array_add_object_element(a, e);
	}
	for (guint k = 0; k < MIN(i->extents->len, ROWS_MAX); k++)
		json_array_add_string_element(
			x, g_ptr_array_index(i->extents, k));
	if (i->snapshots->len)
		json_object_set_array_member(o, "snapshots", a);
	else
		json_array_unref(a);
	if (i->extents->len)
		json_object_set_array_member(o, "extents", x);
	else
		json_array_unref(x);
}

static void put_info(JsonObject *o, struct blk *b)
{
	struct image_info *i = image_info_new(b);
	const struct image_format *f = image_format_of(b);

	json_object_set_string_member(o, "format", f ? f->name : "raw");
	if (i->kind)
		json_object_set_string_member(o, "kind", i->kind);
	json_object_set_int_member(o, "size", (gint64)b->size);
	if (i->block)
		json_object_set_int_member(o, "block", i->block);
	if (i->backing)
		json_object_set_string_member(o, "backing", i->backing);
	if (i->backing_format)
		json_object_set_string_member(
			o, "backing-format", i->backing_format);
	put_facts(o, i);
	image_info_free(i);
}

/* The only place where a format is guessed: to be told to a person. */
bool disk_info(struct disk_job *j, GError **err)
{
	struct image_source source = disk_source(j);
	struct image_open how = {.readonly = true,
		.no_backing = true,
		.source = &source,
		.path = disk_path(j, "src")};
	const struct image_format *f = NULL, *seems;
	struct blk *b;

	if (!disk_arg_bool(j, "guess")) {
		f = disk_format(j, "src", err);
		if (!f)
			return false;
	}
	how.lower = disk_file(j, "src", err);
	if (!how.lower)
		return false;
	seems = image_probe(how.lower);
	json_object_set_int_member(
		j->result, "file-size", (gint64)how.lower->size);
	json_object_set_int_member(
		j->result, "disk-usage", (gint64)blk_raw_used(how.lower));
	b = image_open(f ? f : seems, &how, err);
	if (!b)
		return false;
	put_info(j->result, b);
	if (luks_probe(b))
		json_object_set_string_member(
			j->result, "looks-encrypted", luks_probe(b));
	if (!f)
		json_object_set_boolean_member(j->result, "guessed", TRUE);
	blk_close(b);
	return true;
}

/* ---- map ---- */

static void send_rows(struct disk_job *j, JsonArray *rows)
{
	JsonObject *body = json_object_new();

	json_object_set_array_member(body, "rows", rows);
	wire_send(j->sock, "rows", body, NULL, 0, NULL);
}

static void add_row(JsonArray *rows, uint64_t at, const struct blk_extent *e,
	unsigned depth)
{
	JsonObject *o = json_object_new();

	json_object_set_int_member(o, "start", (gint64)at);
	json_object_set_int_member(o, "length", (gint64)e->len);
	json_object_set_int_member(o, "depth", depth);
	json_object_set_boolean_member(o, "zero", e->state == BLK_ZERO);
	json_object_set_boolean_member(o, "packed", e->packed);
	if (e->plain && e->state == BLK_DATA)
		json_object_set_int_member(o, "offset", (gint64)e->at);
	json_array_add_object_element(rows, o);
}

/* Does e, at byte at, go on where *last ends? */
static bool joins(const struct blk_extent *last, unsigned last_depth,
	const struct blk_extent *e, unsigned depth)
{
	return last->len && last->state == e->state && last_depth == depth &&
	       last->plain == e->plain && last->packed == e->packed &&
	       (!e->plain || last->at + last->len == e->at);
}

bool disk_map(struct disk_job *j, GError **err)
{
	struct blk *b = disk_image(j, "src", 0, err);
	JsonArray *rows = json_array_new();
	struct blk_extent last = {0}, e;
	unsigned depth = 0, last_depth = 0;
	uint64_t from = 0;
	int rc = 0;

	for (uint64_t at = 0; b && at < b->size && !rc; at += e.len) {
		rc = blk_map_deep(b, at, b->size - at, &e, &depth);
		if (rc)
			break;
		if (joins(&last, last_depth, &e, depth)) {
			last.len += e.len;
			continue;
		}
		if (last.len)
			add_row(rows, from, &last, last_depth);
		if (json_array_get_length(rows) >= ROWS_MAX) {
			send_rows(j, rows);
			rows = json_array_new();
		}
		from = at;
		last = e;
		last_depth = depth;
	}
	if (last.len && !rc)
		add_row(rows, from, &last, last_depth);
	send_rows(j, rows);
	blk_close(b);
	return b && (!rc || disk_errno(err, rc, "cannot read the tables"));
}

/* ---- check ---- */

static void say(void *opaque, const char *text)
{
	disk_note(opaque, text);
}

bool disk_check(struct disk_job *j, GError **err)
{
	bool repair = disk_arg_bool(j, "repair");
	struct image_check c = {.repair = repair, .say = say, .opaque = j};
	struct blk *b = disk_image(
		j, "src", DISK_ALONE | (repair ? DISK_REPAIR : 0), err);
	const struct image_format *f = b ? image_format_of(b) : NULL;
	JsonObject *o = j->result;
	int rc = 0;

	if (!b)
		return false;
	if (f && f->check)
		rc = f->check(b, &c);
	blk_close(b);
	if (rc)
		return disk_errno(err, rc, "cannot check the image");
	json_object_set_boolean_member(o, "checked", f && f->check);
	json_object_set_int_member(o, "errors", (gint64)c.errors);
	json_object_set_int_member(o, "leaks", (gint64)c.leaks);
	json_object_set_int_member(o, "mended-errors", (gint64)c.mended_errors);
	json_object_set_int_member(o, "mended-leaks", (gint64)c.mended_leaks);
	json_object_set_int_member(o, "allocated", (gint64)c.allocated);
	json_object_set_int_member(o, "blocks", (gint64)c.blocks);
	if (c.errors > c.mended_errors)
		j->status = CONF_ERROR_FAILED;
	return true;
}

/* ---- compare ---- */

#define DIFFER_BLOCK 4096u
#define DIFFER_PIECE (256u << 10)

/* Blocks of a piece that are not the same. */
static uint64_t count_blocks(const uint8_t *a, const uint8_t *b, uint64_t len)
{
	uint64_t n = 0;

	for (uint64_t at = 0; at < len; at += DIFFER_BLOCK)
		n += memcmp(a + at, b + at, MIN(DIFFER_BLOCK, len - at)) != 0;
	return n;
}

/* Zeros in both, as far as the maps know. */
static int both_zero(struct blk *a, struct blk *b, uint64_t at, uint64_t *len)
{
	struct blk_extent e[2];
	struct blk *const of[] = {a, b};

	for (unsigned i = 0; i < 2; i++) {
		e[i] = (struct blk_extent){BLK_ZERO, *len};
		if (at < of[i]->size) {
			int rc = blk_map_deep(of[i], at,
				MIN(*len, of[i]->size - at), &e[i], NULL);

			if (rc)
				return rc;
		}
		if (e[i].state != BLK_ZERO)
			return 0;
		*len = MIN(*len, e[i].len);
	}
	return 1;
}

/* How much of two disks is not the same. */
bool disk_differ(struct disk_job *j, GError **err)
{
	struct blk *a = disk_image(j, "a", 0, err);
	struct blk *b = a ? disk_image(j, "b", 0, err) : NULL;
	g_autofree uint8_t *buf = g_malloc(2 * DIFFER_PIECE);
	uint64_t size = b ? MAX(a->size, b->size) : 0, blocks = 0, len;
	bool ok = b != NULL;
	int rc = 0;

	for (uint64_t at = 0; at < size && rc >= 0; at += len) {
		struct iovec ia, ib;

		disk_progress(j, at, size);
		len = size - at;
		rc = both_zero(a, b, at, &len);
		if (rc)
			continue;
		len = MIN(len, DIFFER_PIECE - at % DIFFER_PIECE);
		ia = (struct iovec){buf, len};
		ib = (struct iovec){buf + DIFFER_PIECE, len};
		rc = blk_preadv_clamped(a, &ia, 1, at);
		if (!rc)
			rc = blk_preadv_clamped(b, &ib, 1, at);
		blocks += count_blocks(buf, buf + DIFFER_PIECE, len);
	}
	json_object_set_int_member(j->result, "blocks", (gint64)blocks);
	json_object_set_int_member(
		j->result, "bytes", (gint64)(blocks * DIFFER_BLOCK));
	json_object_set_int_member(j->result, "size", (gint64)size);
	blk_close(a);
	blk_close(b);
	return ok && (rc >= 0 || disk_errno(err, rc, "cannot read the images"));
}

bool disk_compare(struct disk_job *j, GError **err)
{
	struct blk *a = disk_image(j, "a", 0, err);
	struct blk *b = a ? disk_image(j, "b", 0, err) : NULL;
	uint64_t at = UINT64_MAX;
	int rc = 0;

	if (b) {
		rc = disk_compare_run(j, a, b, MAX(a->size, b->size), &at);
		if (a->size != b->size)
			disk_note(j, "the disks differ in size");
		json_object_set_boolean_member(
			j->result, "equal", at == UINT64_MAX);
		if (at != UINT64_MAX)
			json_object_set_int_member(
				j->result, "differs-at", (gint64)at);
		j->status = at == UINT64_MAX ? 0 : CONF_ERROR_FAILED;
	}
	blk_close(a);
	blk_close(b);
	return b && (!rc || disk_errno(err, rc, "cannot read the images"));
}
