/*
 * vhdx_make.c - making and resizing VHDX images, and the names of parents.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "block/vhdx.h"

#define LOG_AT	     VHDX_MB
#define META_AT	     (2 * VHDX_MB)
#define BAT_AT	     (3 * VHDX_MB)
#define BLOCK_SMALL  (2u << 20)
#define BLOCK_LARGE  (32u << 20)
#define SMALL_MAX    (2ull << 40)
#define LOCATOR_MAX  (64u << 10)
#define LOCATOR_ROOM (128u << 10) /* of the metadata region, for two */

/* ---- parents ---- */

static void guid_text(const uint8_t *g, char out[39])
{
	snprintf(out, 39, "{%08x-%04x-%04x-%02x%02x-%02x%02x%02x%02x%02x%02x}",
		get_le32(g), get_le16(g + 4), get_le16(g + 6), g[8], g[9],
		g[10], g[11], g[12], g[13], g[14], g[15]);
}

static bool guid_parse(const char *s, uint8_t g[16])
{
	unsigned a, b, c, d[8];

	if (sscanf(s, "{%8x-%4x-%4x-%2x%2x-%2x%2x%2x%2x%2x%2x}", &a, &b, &c,
		    &d[0], &d[1], &d[2], &d[3], &d[4], &d[5], &d[6],
		    &d[7]) != 11)
		return false;
	put_le32(g, a);
	put_le16(g + 4, (uint16_t)b);
	put_le16(g + 6, (uint16_t)c);
	for (unsigned i = 0; i < 8; i++)
		g[8 + i] = (uint8_t)d[i];
	return true;
}

/* Text number i of a locator: its key or its value. */
static char *locator_text(
	const uint8_t *l, uint32_t len, unsigned i, bool value)
{
	const uint8_t *e = l + 20 + 12 * i;
	uint32_t off = get_le32(e + (value ? 4 : 0));
	uint32_t n = get_le16(e + (value ? 10 : 8));

	return off <= len && n <= len - off ? image_utf16_get(l + off, n, false)
					    : NULL;
}

/* Section 2.6.2.6.  names: relative before absolute. */
bool vhdx_load_locator(struct vhdx *v, GPtrArray *names, GError **err)
{
	g_autofree uint8_t *l = NULL;
	uint32_t n, len = v->locator_bytes;
	bool linked = false;

	if (!v->locator_at || len < 20 || len > LOCATOR_MAX)
		return image_bad(err, "vhdx", "its parent has no name");
	l = g_malloc(len);
	if (blk_pread(v->m.lower, l, len, v->locator_at))
		return image_errno(err, -EIO, "vhdx", "parent's name");
	n = get_le16(l + 18);
	if (memcmp(l, vhdx_guid_locator_type, 16) || 20 + 12 * n > len)
		return image_cannot(
			err, "vhdx", "an unknown way to name its parent");
	for (unsigned i = 0; i < n; i++) {
		g_autofree char *key = locator_text(l, len, i, false);
		g_autofree char *text = locator_text(l, len, i, true);

		if (!key || !text)
			continue;
		if (!strcmp(key, "parent_linkage"))
			linked = guid_parse(text, v->parent_id);
		else if (!strcmp(key, "relative_path"))
			g_ptr_array_insert(names, 0,
				g_strdelimit(g_strdup(text), "\\", '/'));
		else if (!strcmp(key, "absolute_win32_path"))
			g_ptr_array_add(
				names, g_strdelimit(g_strdup(text), "\\", '/'));
	}
	for (guint i = 0; i < names->len; i++) {
		char *s = g_ptr_array_index(names, i);

		while (g_str_has_prefix(s, "./"))
			memmove(s, s + 2, strlen(s) - 1);
	}
	return (names->len && linked) ||
	       image_bad(err, "vhdx", "its parent has no name");
}

static uint32_t put_text(uint8_t *l, uint32_t at, const char *text)
{
	size_t len = 0;
	g_autofree uint8_t *u = image_utf16_put(text, false, &len);

	if (u && at + len <= LOCATOR_MAX)
		memcpy(l + at, u, len);
	return u ? (uint32_t)len : 0;
}

/* The bytes of a locator for c->parent. */
static uint32_t make_locator(uint8_t *l, const struct image_create *c)
{
	char id[39];
	g_autofree char *path =
		g_strdelimit(g_path_is_absolute(c->backing)
				     ? g_strdup(c->backing)
				     : g_strconcat("./", c->backing, NULL),
			"/", '\\');
	const char *const text[] = {"parent_linkage", id,
		g_path_is_absolute(c->backing) ? "absolute_win32_path"
					       : "relative_path",
		path};
	uint32_t at = 20 + 12 * 2;

	guid_text(vhdx_of(c->parent)->head + X_DATA_GUID, id);
	memcpy(l, vhdx_guid_locator_type, 16);
	put_le16(l + 18, 2);
	for (unsigned i = 0; i < 4; i++) {
		uint8_t *e = l + 20 + 12 * (i / 2);
		uint32_t n = put_text(l, at, text[i]);

		put_le32(e + (i % 2 ? 4 : 0), at);
		put_le16(e + (i % 2 ? 10 : 8), (uint16_t)n);
		at += n;
	}
	return at;
}

/* ---- making ---- */

static int write_summed(
	struct blk *b, uint8_t *p, uint32_t len, const uint64_t at[2])
{
	int rc;

	put_le32(p + X_SUM, vhdx_crc(p, len, X_SUM));
	rc = blk_pwrite(b, p, len, at[0]);
	return rc ? rc : blk_pwrite(b, p, len, at[1]);
}

static int write_heads(struct blk *b)
{
	g_autofree uint8_t *h = g_malloc0(VHDX_HEADER);
	int rc;

	memcpy(h, "head", 4);
	image_uuid(h + X_FILE_GUID);
	image_uuid(h + X_DATA_GUID);
	put_le16(h + X_VERSION, 1);
	put_le32(h + X_LOG_BYTES, VHDX_MB);
	put_le64(h + X_LOG, LOG_AT);
	rc = write_summed(
		b, h, VHDX_HEADER, (uint64_t[]){VHDX_HEAD1, VHDX_HEAD1});
	put_le64(h + X_SEQUENCE, 1);
	return rc ? rc
		  : write_summed(b, h, VHDX_HEADER,
			    (uint64_t[]){VHDX_HEAD2, VHDX_HEAD2});
}

static int write_regions(struct blk *b, uint64_t bat_bytes)
{
	g_autofree uint8_t *t = g_malloc0(VHDX_TABLE);
	uint8_t *e = t + 16;

	memcpy(t, "regi", 4);
	put_le32(t + 8, 2);
	memcpy(e, vhdx_guid_bat, 16);
	put_le64(e + 16, BAT_AT);
	put_le32(e + 24, (uint32_t)bat_bytes);
	put_le32(e + 28, 1);
	e += 32;
	memcpy(e, vhdx_guid_meta, 16);
	put_le64(e + 16, META_AT);
	put_le32(e + 24, VHDX_MB);
	put_le32(e + 28, 1);
	return write_summed(
		b, t, VHDX_TABLE, (uint64_t[]){VHDX_REGION1, VHDX_REGION2});
}

struct items {
	uint8_t *t; /* table, then items */
	uint32_t n, at;
};

static uint8_t *add_item(
	struct items *s, const uint8_t *guid, uint32_t len, uint32_t flags)
{
	uint8_t *e = s->t + 32 + 32 * s->n++, *d = s->t + s->at;

	memcpy(e, guid, 16);
	put_le32(e + 16, s->at);
	put_le32(e + 20, len);
	put_le32(e + 24, flags);
	put_le16(s->t + 10, (uint16_t)s->n);
	s->at += (len + 7) & ~7u;
	return d;
}

static int write_meta(const struct image_create *c, uint32_t block)
{
	const uint32_t room = 2 * VHDX_TABLE + LOCATOR_ROOM;
	g_autofree uint8_t *t = g_malloc0(room);
	struct items s = {.t = t, .at = VHDX_TABLE};
	bool fixed = !g_strcmp0(c->kind, "fixed") && !c->parent;
	uint8_t *d;

	memcpy(t, "metadata", 8);
	d = add_item(&s, vhdx_guid_params, 8, 4);
	put_le32(d, block);
	put_le32(d + 4,
		(fixed ? VHDX_F_LEAVE : 0) | (c->parent ? VHDX_F_PARENT : 0));
	put_le64(add_item(&s, vhdx_guid_size, 8, 6), c->size);
	image_uuid(add_item(&s, vhdx_guid_page83, 16, 6));
	put_le32(add_item(&s, vhdx_guid_logical, 4, 6), 512);
	put_le32(add_item(&s, vhdx_guid_physical, 4, 6), 4096);
	if (c->parent) {
		g_autofree uint8_t *l = g_malloc0(LOCATOR_MAX);
		uint32_t len = make_locator(l, c);

		s.at = 2 * VHDX_TABLE;
		memcpy(add_item(&s, vhdx_guid_locator, len, 4), l, len);
	}
	return blk_pwrite(c->lower, t, room, META_AT);
}

static int write_fixed(struct image_create *c, uint32_t block, uint64_t first)
{
	uint64_t n = (c->size + block - 1) / block;
	uint64_t chunk = 512ull * (1u << 23) / block;
	int rc = blk_resize(c->lower, first + n * block);

	for (uint64_t i = 0; i < n && !rc; i++) {
		uint8_t e[8];

		put_le64(e, (first + i * block) | VHDX_FULL);
		rc = blk_pwrite(c->lower, e, 8, BAT_AT + (i + i / chunk) * 8);
	}
	return rc;
}

static int write_all(struct image_create *c, uint32_t block)
{
	static const uint8_t creator[] = "v\0m\0e\0s\0t\0e";
	uint64_t n = (c->size + block - 1) / block;
	uint64_t chunk = 512ull * (1u << 23) / block;
	uint64_t slots = (n + chunk - 1) / chunk * (chunk + 1);
	uint64_t bytes = (slots * 8 + VHDX_MB - 1) & ~(VHDX_MB - 1);
	uint8_t id[512] = "vhdxfile";
	int rc;

	memcpy(id + 8, creator, sizeof(creator));
	rc = blk_resize(c->lower, BAT_AT + bytes);
	if (!rc)
		rc = write_meta(c, block);
	if (!rc)
		rc = write_regions(c->lower, bytes);
	if (!rc)
		rc = write_heads(c->lower);
	if (!rc && !g_strcmp0(c->kind, "fixed") && !c->parent)
		rc = write_fixed(c, block, BAT_AT + bytes);
	return rc ? rc : blk_pwrite(c->lower, id, sizeof(id), 0);
}

static bool check_parent(const struct image_create *c, GError **err)
{
	if (!c->parent || image_format_of(c->parent) == &image_vhdx)
		return true;
	g_set_error(err, G_FILE_ERROR, G_FILE_ERROR_INVAL,
		"a vhdx image can only stand on another vhdx image");
	return false;
}

bool vhdx_create(struct image_create *c, GError **err)
{
	uint32_t block = c->block	       ? c->block
			 : c->size > SMALL_MAX ? BLOCK_LARGE
					       : BLOCK_SMALL;
	int rc;

	c->size = (c->size + 511) & ~511ull;
	if (c->size > VHDX_MAX || !c->size || block < VHDX_MB ||
		block > 256 * VHDX_MB) {
		g_set_error(err, G_FILE_ERROR, G_FILE_ERROR_INVAL,
			"a vhdx image has up to 64 TiB and blocks of 1M to "
			"256M");
		return false;
	}
	if (!check_parent(c, err))
		return false;
	rc = write_all(c, block);
	return !rc || image_errno(err, rc, "vhdx", "first blocks");
}

/* ---- changing ---- */

/* As far as the table has room; its further entries are zeros: not present. */
int vhdx_resize(struct blk *b, uint64_t size)
{
	struct vhdx *v = vhdx_of(b);
	struct bmap *m = &v->m;
	uint64_t n = (size + m->block - 1) / m->block;
	uint8_t le[8];
	int rc;

	if (size < b->size || (n + n / m->chunk) * 8 > v->bat.len ||
		size > VHDX_MAX || size % v->sector)
		return -EOPNOTSUPP;
	pthread_rwlock_wrlock(&m->lock);
	rc = m->cls->begin(m);
	m->begun |= !rc;
	if (!rc)
		rc = bmap_settle(m);
	put_le64(le, size);
	if (!rc)
		rc = blk_pwrite(m->lower, le, 8, v->size_at);
	if (!rc)
		rc = blk_flush(m->lower);
	if (!rc) {
		for (uint64_t p = 0; p < m->npages; p++)
			g_free(m->page[p].data);
		g_free(m->page);
		m->nblocks = n;
		b->size = size;
		rc = bmap_table_at(m, v->bat.off, 512) ? 0 : -EIO;
	}
	pthread_rwlock_unlock(&m->lock);
	return rc;
}

/* A new text beside the old one; then the item's entry, in one sector. */
static int move_locator(struct vhdx *v, const struct image_create *c)
{
	g_autofree uint8_t *l = g_malloc0(LOCATOR_MAX);
	uint32_t len = make_locator(l, c);
	uint64_t at = v->meta.off + 2 * VHDX_TABLE;
	uint8_t e[8];
	int rc;

	if (v->locator_at == at)
		at += LOCATOR_MAX;
	if (at + len > v->meta.off + v->meta.len)
		return -ENOSPC;
	rc = blk_pwrite(v->m.lower, l, LOCATOR_MAX, at);
	if (!rc)
		rc = blk_flush(v->m.lower);
	put_le32(e, (uint32_t)(at - v->meta.off));
	put_le32(e + 4, len);
	if (!rc)
		rc = blk_pwrite(v->m.lower, e, 8, v->locator_entry + 16);
	if (!rc)
		rc = blk_flush(v->m.lower);
	v->locator_at = at;
	return rc;
}

bool vhdx_rebase(struct blk *b, const struct image_create *c, GError **err)
{
	struct vhdx *v = vhdx_of(b);
	uint8_t flags[4];
	int rc;

	if (!check_parent(c, err))
		return false;
	if (c->parent && !v->locator_entry)
		return image_cannot(
			err, "vhdx", "no parent so far: make a new image");
	rc = v->m.cls->begin(&v->m);
	v->m.begun |= !rc;
	if (!rc)
		rc = bmap_settle(&v->m);
	if (!rc && c->parent) {
		rc = move_locator(v, c);
	} else if (!rc) {
		v->flags &= ~(uint32_t)VHDX_F_PARENT;
		put_le32(flags, v->flags);
		rc = blk_pwrite(v->m.lower, flags, 4, v->params_at + 4);
		if (!rc)
			rc = blk_flush(v->m.lower);
	}
	return !rc || image_errno(err, rc, "vhdx", "new parent");
}
