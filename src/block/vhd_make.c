/*
 * vhd_make.c - making and resizing VHD images, and the names of parents.
 *
 * What does not fit into one sector is written to a new place first; then one
 * sector is changed that points there.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "block/bytes.h"
#include "block/vhd.h"

#define VHD_EPOCH     946684800	  /* 2000-01-01 UTC */
#define LOCATOR_MAX   4096	  /* bytes of a name */
#define LOCATOR_BYTES 1024	  /* room for one in the file */
#define CODE_RELATIVE 0x57327275u /* W2ru */
#define CODE_ABSOLUTE 0x57326b75u /* W2ku */
#define CODE_MAC      0x4d616358u /* MacX */

static void foot_sum(uint8_t *f)
{
	put_be32(f + FOOT_SUM, vhd_checksum(f, 512, FOOT_SUM));
}

static void head_sum(uint8_t *h)
{
	put_be32(h + HEAD_SUM, vhd_checksum(h, 1024, HEAD_SUM));
}

/* The sizes of footer f for a disk of so many bytes; what it becomes. */
static uint64_t foot_size(uint8_t *f, uint64_t bytes)
{
	unsigned chs[3];
	uint64_t size = vhd_round((bytes + 511) / 512, chs) * 512;

	put_be64(f + FOOT_SIZE, size);
	put_be16(f + FOOT_GEOMETRY, (uint16_t)chs[0]);
	f[FOOT_GEOMETRY + 2] = (uint8_t)chs[1];
	f[FOOT_GEOMETRY + 3] = (uint8_t)chs[2];
	return size;
}

static void make_footer(uint8_t *f, struct image_create *c, uint32_t type)
{
	memcpy(f, "conectix", 8);
	put_be32(f + FOOT_FEATURES, 2);
	put_be32(f + FOOT_VERSION, 0x00010000);
	put_be64(f + FOOT_DATA, type == VHD_FIXED ? ~0ull : 512);
	put_be32(f + FOOT_TIME, (uint32_t)(time(NULL) - VHD_EPOCH));
	memcpy(f + FOOT_CREATOR, "vmst", 4);
	put_be32(f + FOOT_CREATOR_VERSION, 0x00010000);
	memcpy(f + FOOT_HOST, "Wi2k", 4);
	/* A child must be just as large. */
	if (c->parent)
		put_be64(f + FOOT_SIZE, c->size),
			memcpy(f + FOOT_GEOMETRY,
				vhd_of(c->parent)->foot + FOOT_GEOMETRY, 4);
	else
		c->size = foot_size(f, c->size);
	put_be64(f + FOOT_ORIGINAL, c->size);
	put_be32(f + FOOT_TYPE, type);
	image_uuid(f + FOOT_UUID);
	foot_sum(f);
}

/* ---- names of parents ---- */

/* A name as Windows writes it, as ours. */
static char *vhd_unix_name(char *name)
{
	g_strdelimit(name, "\\", '/');
	while (g_str_has_prefix(name, "./"))
		memmove(name, name + 2, strlen(name) - 1);
	return name;
}

static void add_locator(
	struct vhd *v, const uint8_t *l, uint32_t code, GPtrArray *names)
{
	uint32_t len = get_be32(l + 8);
	uint64_t at = get_be64(l + 16);
	g_autofree uint8_t *data = NULL;
	char *name;

	if (get_be32(l) != code || !len || len > LOCATOR_MAX)
		return;
	data = g_malloc0(len + 1);
	if (blk_pread(v->m.lower, data, len, at))
		return;
	if (code == CODE_MAC)
		name = g_filename_from_uri((const char *)data, NULL, NULL);
	else
		name = image_utf16_get(data, len, false);
	if (name && *name && strlen(name) < LOCATOR_MAX)
		g_ptr_array_add(names, vhd_unix_name(name));
	else
		g_free(name);
}

/* What the parent may be called, the likeliest first. */
static GPtrArray *parent_names(struct vhd *v)
{
	static const uint32_t codes[] = {
		CODE_RELATIVE, CODE_ABSOLUTE, CODE_MAC};
	GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
	char *name;

	for (unsigned k = 0; k < G_N_ELEMENTS(codes); k++)
		for (unsigned i = 0; i < 8; i++)
			add_locator(v, v->head + HEAD_LOCATORS + 24 * i,
				codes[k], names);
	name = image_utf16_get(v->head + HEAD_PARENT_NAME, 512, true);
	if (name && *name)
		g_ptr_array_add(names, vhd_unix_name(name));
	else
		g_free(name);
	return names;
}

bool vhd_open_parent(struct vhd *v, const struct image_open *how, GError **err)
{
	g_autoptr(GPtrArray) names = parent_names(v);
	unsigned which = 0;
	const struct image_names list = {
		(const char *const *)names->pdata, names->len, &which};

	if (!names->len)
		return image_bad(err, "vhd", "its parent has no name");
	v->parent = g_strdup(g_ptr_array_index(names, 0));
	if (how->no_backing)
		return true;
	v->m.below = image_open_parent(how, &list, &image_vhd, err);
	v->m.blk.backing = v->m.below;
	if (!v->m.below)
		return false;
	g_free(v->parent);
	v->parent = g_strdup(g_ptr_array_index(names, which));
	return image_check_parent(
		v->m.below, v->head + HEAD_PARENT_UUID, 16, err);
}

/* One locator and its text, at byte `at` of the file. */
static int put_locator(struct blk *lower, uint8_t *l, uint32_t code,
	const char *name, uint64_t at)
{
	g_autofree char *dos = g_strdelimit(g_strdup(name), "/", '\\');
	g_autofree uint8_t *text = NULL;
	uint8_t room[LOCATOR_BYTES] = {0};
	size_t len = 0;

	text = image_utf16_put(dos, false, &len);
	if (!text || len > LOCATOR_BYTES)
		return -ENAMETOOLONG;
	memcpy(room, text, len);
	put_be32(l, code);
	put_be32(l + 4, LOCATOR_BYTES / 512);
	put_be32(l + 8, (uint32_t)len);
	put_be64(l + 16, at);
	return blk_pwrite(lower, room, sizeof(room), at);
}

/* Header h of a child of c->parent; the locators' texts from at on. */
static int put_parent(struct blk *lower, uint8_t *h,
	const struct image_create *c, uint64_t at)
{
	const struct vhd *p = vhd_of(c->parent);
	g_autofree char *base = g_path_get_basename(c->backing);
	g_autofree uint8_t *text = NULL;
	g_autofree char *relative = NULL;
	uint8_t *l = h + HEAD_LOCATORS;
	size_t len = 0;
	int rc = 0;

	memcpy(h + HEAD_PARENT_UUID, p->foot + FOOT_UUID, 16);
	memcpy(h + HEAD_PARENT_TIME, p->foot + FOOT_TIME, 4);
	memset(h + HEAD_PARENT_NAME, 0, 512);
	memset(l, 0, 8 * 24);
	text = image_utf16_put(base, true, &len);
	if (text)
		memcpy(h + HEAD_PARENT_NAME, text, MIN(len, 510));
	if (!g_path_is_absolute(c->backing)) {
		relative = g_strconcat("./", c->backing, NULL);
		rc = put_locator(lower, l, CODE_RELATIVE, relative, at);
		l += 24;
	}
	if (!rc && (c->backing_path || !relative))
		rc = put_locator(lower, l, CODE_ABSOLUTE,
			relative ? c->backing_path : c->backing,
			at + LOCATOR_BYTES);
	return rc;
}

/* ---- making ---- */

static bool check_create(const struct image_create *c, GError **err)
{
	if (c->size > VHD_MAX) {
		g_set_error(err, G_FILE_ERROR, G_FILE_ERROR_INVAL,
			"a vhd image has at most 2040 GiB\n"
			"  fix:  make a vhdx image");
		return false;
	}
	if (c->parent && image_format_of(c->parent) != &image_vhd) {
		g_set_error(err, G_FILE_ERROR, G_FILE_ERROR_INVAL,
			"a vhd image can only stand on another vhd image");
		return false;
	}
	return true;
}

static int create_fixed(struct image_create *c)
{
	uint8_t f[512] = {0};
	int rc;

	make_footer(f, c, VHD_FIXED);
	rc = blk_resize(c->lower, c->size + 512);
	return rc ? rc : blk_pwrite(c->lower, f, 512, c->size);
}

static int create_dynamic(struct image_create *c)
{
	uint8_t f[512] = {0}, h[1024] = {0};
	uint32_t block = c->block ? c->block : VHD_BLOCK;
	uint64_t entries, table = 512 + 1024, bytes, end;
	int rc;

	make_footer(f, c, c->parent ? VHD_DIFF : VHD_DYNAMIC);
	entries = (c->size + block - 1) / block;
	bytes = (entries * 4 + 511) & ~511ull;
	memcpy(h, "cxsparse", 8);
	put_be64(h + HEAD_DATA, ~0ull);
	put_be64(h + HEAD_TABLE, table);
	put_be32(h + HEAD_VERSION, 0x00010000);
	put_be32(h + HEAD_ENTRIES, (uint32_t)entries);
	put_be32(h + HEAD_BLOCK, block);
	end = table + bytes + (c->parent ? 2 * LOCATOR_BYTES : 0);
	rc = blk_resize(c->lower, end + 512);
	if (!rc && c->parent)
		rc = put_parent(c->lower, h, c, table + bytes);
	head_sum(h);
	if (!rc)
		rc = bmap_write_table(c->lower, table, bytes, 0xff);
	if (!rc)
		rc = blk_pwrite(c->lower, h, sizeof(h), 512);
	if (!rc)
		rc = blk_pwrite(c->lower, f, 512, end);
	return rc ? rc : blk_pwrite(c->lower, f, 512, 0);
}

bool vhd_create(struct image_create *c, GError **err)
{
	int rc;

	if (!check_create(c, err))
		return false;
	if (c->block && (c->block < 4096 || c->block > 256u << 20)) {
		g_set_error(err, G_FILE_ERROR, G_FILE_ERROR_INVAL,
			"blocks of a vhd image have 4K to 256M");
		return false;
	}
	if (!g_strcmp0(c->kind, "fixed") && !c->parent)
		rc = create_fixed(c);
	else
		rc = create_dynamic(c);
	return !rc || image_errno(err, rc, "vhd", "first blocks");
}

/* ---- changing: alone, all settled ---- */

/* Both footers, the copy first: one of them is whole at any time. */
static int write_footers(struct vhd *v)
{
	int rc;

	foot_sum(v->foot);
	rc = blk_pwrite(v->m.lower, v->foot, 512, 0);
	if (!rc)
		rc = blk_flush(v->m.lower);
	if (!rc)
		rc = blk_pwrite(v->m.lower, v->foot, 512, v->m.end);
	return rc ? rc : blk_flush(v->m.lower);
}

/* Room at the end for something that is no block: where. */
static int take_room(struct vhd *v, uint64_t bytes, uint64_t *at)
{
	uint64_t end = v->m.end + ((bytes + 511) & ~511ull);
	int rc = blk_resize(v->m.lower, end + 512);

	if (!rc)
		rc = blk_pwrite(v->m.lower, v->foot, 512, end);
	/* Where the footer was is not zeros. */
	if (!rc)
		rc = blk_write_zeroes(v->m.lower, v->m.end, 512, false);
	*at = v->m.end;
	v->m.end = end;
	return rc;
}

/* A longer table behind all else, for entries blocks. */
static int move_table(struct vhd *v, uint64_t entries)
{
	struct bmap *m = &v->m;
	uint64_t bytes = (entries * 4 + 511) & ~511ull, at, e;
	int rc = take_room(v, bytes, &at);

	if (!rc)
		rc = bmap_write_table(m->lower, at, bytes, 0xff);
	for (uint64_t i = 0; i < m->nblocks && !rc; i++) {
		uint8_t be[4];

		rc = bmap_entry(m, i, &e);
		put_be32(be, (uint32_t)e);
		if (!rc && e != VHD_NONE)
			rc = blk_pwrite(m->lower, be, 4, at + i * 4);
	}
	if (!rc)
		rc = blk_flush(m->lower);
	if (rc)
		return rc;
	put_be64(v->head + HEAD_TABLE, at);
	put_be32(v->head + HEAD_ENTRIES, (uint32_t)entries);
	head_sum(v->head);
	/* All that has changed is in the header's first sector. */
	rc = blk_pwrite(m->lower, v->head, 512, v->head_off);
	return rc ? rc : blk_flush(m->lower);
}

static int resize_dynamic(struct vhd *v, uint64_t size)
{
	struct bmap *m = &v->m;
	uint64_t entries = (size + m->block - 1) / m->block;
	uint8_t *full;
	int rc = vhd_of(&m->blk)->m.cls->begin(m);

	m->begun |= !rc;
	if (!rc)
		rc = bmap_settle(m);
	if (!rc && entries > get_be32(v->head + HEAD_ENTRIES))
		rc = move_table(v, entries);
	if (rc)
		return rc;
	full = g_try_malloc0(entries / 8 + 1);
	if (!full)
		return -ENOMEM;
	g_free(v->full); /* found out again, block by block */
	v->full = full;
	for (uint64_t p = 0; p < m->npages; p++)
		g_free(m->page[p].data);
	g_free(m->page);
	m->nblocks = entries;
	return bmap_table_at(m, get_be64(v->head + HEAD_TABLE), 1024) ? 0
								      : -EIO;
}

static int resize_fixed(struct vhd *v, uint64_t size)
{
	uint64_t old = v->m.blk.size;
	int rc = blk_resize(v->m.lower, size + 512);

	if (!rc)
		rc = blk_pwrite(v->m.lower, v->foot, 512, size);
	if (!rc)
		rc = blk_flush(v->m.lower);
	return rc ? rc : blk_write_zeroes(v->m.lower, old, 512, false);
}

int vhd_resize(struct blk *b, uint64_t size)
{
	struct vhd *v = vhd_of(b);
	int rc;

	if (size < b->size)
		return -EOPNOTSUPP;
	if (size > VHD_MAX)
		return -EFBIG;
	pthread_rwlock_wrlock(&v->m.lock);
	size = foot_size(v->foot, size);
	foot_sum(v->foot);
	if (v->type == VHD_FIXED) {
		rc = resize_fixed(v, size);
	} else {
		rc = resize_dynamic(v, size);
		if (!rc)
			rc = write_footers(v);
	}
	if (!rc)
		b->size = size;
	pthread_rwlock_unlock(&v->m.lock);
	return rc;
}

/* A header of its own for the new parent, then the footers point to it. */
static int rebase_to(struct vhd *v, const struct image_create *c)
{
	uint64_t at;
	int rc = v->m.cls->begin(&v->m);

	if (!rc)
		rc = bmap_settle(&v->m);
	if (!rc)
		rc = take_room(v, 1024 + 2 * LOCATOR_BYTES, &at);
	if (!rc && c->parent)
		rc = put_parent(v->m.lower, v->head, c, at + 1024);
	if (!rc && !c->parent)
		memset(v->head + HEAD_PARENT_UUID, 0, 1024 - HEAD_PARENT_UUID);
	head_sum(v->head);
	if (!rc)
		rc = blk_pwrite(v->m.lower, v->head, 1024, at);
	if (!rc)
		rc = blk_flush(v->m.lower);
	if (rc)
		return rc;
	v->head_off = at;
	v->type = c->parent ? VHD_DIFF : VHD_DYNAMIC;
	put_be64(v->foot + FOOT_DATA, at);
	put_be32(v->foot + FOOT_TYPE, v->type);
	return write_footers(v);
}

bool vhd_rebase(struct blk *b, const struct image_create *c, GError **err)
{
	struct vhd *v = vhd_of(b);
	int rc;

	if (v->type == VHD_FIXED)
		return image_cannot(err, "vhd", "no parent: it is fixed");
	if (!check_create(c, err))
		return false;
	rc = rebase_to(v, c);
	return !rc || image_errno(err, rc, "vhd", "new parent");
}
