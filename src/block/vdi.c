/*
 * vdi.c - VirtualBox disk images, version 1.1: dynamic, fixed, differencing.
 *
 * All numbers are little-endian.  Sector 0 is the header; then comes a table
 * of 32-bit block numbers (~0: not here, ~1: zeros), then the blocks.  Block
 * number n of the file lies at data + n * block size.
 *
 * Other programs put a new block at number `allocated` of the header, so that
 * count is written before the table: a cut may leave it too high, never too
 * low.  As each block keeps its place, count and table agree otherwise.
 *
 * A differencing image knows its parent by UUID only; the file is looked for
 * by that (a name of the form vdi:UUID).
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "block/bmap.h"
#include "block/bytes.h"

#define VDI_SIGNATURE 0xbeda107fu
#define VDI_VERSION   0x00010001u
#define VDI_NONE      0xffffffffu
#define VDI_ZERO      0xfffffffeu
#define VDI_BLOCK     (1u << 20)

enum vdi_field {
	F_SIGNATURE = 0x40,
	F_VERSION = 0x44,
	F_HEADER_BYTES = 0x48,
	F_TYPE = 0x4c,
	F_TABLE = 0x154,
	F_DATA = 0x158,
	F_GEOMETRY = 0x15c, /* cylinders, heads, sectors */
	F_SECTOR = 0x168,
	F_SIZE = 0x170,
	F_BLOCK = 0x178,
	F_EXTRA = 0x17c,
	F_BLOCKS = 0x180,
	F_ALLOCATED = 0x184,
	F_UUID = 0x188,
	F_UUID_MODIFY = 0x198,
	F_UUID_PARENT = 0x1a8,
	F_UUID_PARENT_MODIFY = 0x1b8,
};

enum vdi_type { VDI_DYNAMIC = 1, VDI_FIXED = 2, VDI_DIFF = 4 };

struct vdi {
	struct bmap m;
	uint8_t head[512];
	uint32_t type, data;
	char *parent; /* vdi:UUID or NULL */
};

static struct vdi *vdi_of(struct blk *b)
{
	return (struct vdi *)b;
}

static struct bmap_spot vdi_decode(
	const struct bmap *m, uint64_t block, uint64_t entry)
{
	const struct vdi *v = (const struct vdi *)m;
	struct bmap_spot s = {BMAP_BELOW, 0};

	if (entry == VDI_NONE)
		return s;
	s.kind = BMAP_ZERO;
	if (entry == VDI_ZERO)
		return s;
	s.off = v->data + entry * m->block;
	s.kind = s.off + m->block <= m->lower->size ? BMAP_DATA : BMAP_BAD;
	return s;
}

static bool vdi_encode(const struct bmap *m, uint64_t block, struct bmap_spot s,
	uint64_t *entry)
{
	const struct vdi *v = (const struct vdi *)m;

	if (s.kind != BMAP_DATA) {
		*entry = s.kind == BMAP_ZERO ? VDI_ZERO : VDI_NONE;
		return true;
	}
	*entry = (s.off - v->data) / m->block;
	return *entry < VDI_ZERO;
}

static int vdi_write_head(struct vdi *v)
{
	return blk_pwrite(v->m.lower, v->head, sizeof(v->head), 0);
}

/* Children must see that the content is no longer what they were made on. */
static int vdi_begin(struct bmap *m)
{
	struct vdi *v = (struct vdi *)m;

	image_uuid(v->head + F_UUID_MODIFY);
	return vdi_write_head(v);
}

static int vdi_before(struct bmap *m)
{
	struct vdi *v = (struct vdi *)m;
	uint32_t n = (uint32_t)((m->end - v->data) / m->block);

	if (get_le32(v->head + F_ALLOCATED) == n)
		return 0;
	put_le32(v->head + F_ALLOCATED, n);
	return vdi_write_head(v);
}

static void vdi_close(struct blk *b)
{
	struct vdi *v = vdi_of(b);

	bmap_fini(&v->m);
	blk_close(b->backing);
	g_free(v->parent);
	g_free(v);
}

static const struct blk_ops vdi_ops = {
	.name = "vdi",
	.preadv = bmap_preadv,
	.preadv_now = bmap_preadv_now,
	.below = bmap_below,
	.set_backing = bmap_set_backing,
	.pwritev = bmap_pwritev,
	.flush = bmap_flush,
	.discard = bmap_discard,
	.write_zeroes = bmap_write_zeroes,
	.map = bmap_map,
	.close = vdi_close,
};

static const struct bmap_class vdi_class = {
	.format = "vdi",
	.decode = vdi_decode,
	.encode = vdi_encode,
	.place = bmap_place,
	.begin = vdi_begin,
	.before = vdi_before,
};

/* ---- opening ---- */

static bool vdi_check_head(const struct vdi *v, GError **err)
{
	const uint8_t *h = v->head;
	uint64_t size = get_le64(h + F_SIZE);
	uint32_t block = get_le32(h + F_BLOCK);

	if (get_le32(h + F_SIGNATURE) != VDI_SIGNATURE) {
		g_set_error(err, G_FILE_ERROR, G_FILE_ERROR_INVAL,
			"this is not a vdi image\n"
			"  fix:  say which format it has: format=raw");
		return false;
	}
	if (get_le32(h + F_VERSION) != VDI_VERSION)
		return image_cannot(err, "vdi", "another version than 1.1");
	if (v->type != VDI_DYNAMIC && v->type != VDI_FIXED &&
		v->type != VDI_DIFF)
		return image_cannot(err, "vdi", "an unknown type");
	if (get_le32(h + F_EXTRA))
		return image_cannot(err, "vdi", "extra bytes in blocks");
	if (block < 4096 || block > 64u << 20 || (block & (block - 1)))
		return image_bad(err, "vdi", "its block size is impossible");
	if (size > (uint64_t)get_le32(h + F_BLOCKS) * block || size % 512)
		return image_bad(err, "vdi", "its size does not fit its table");
	if (v->data % 512 || get_le32(h + F_TABLE) < 512 ||
		get_le32(h + F_TABLE) % 512)
		return image_bad(err, "vdi", "its tables are not aligned");
	return true;
}

static bool vdi_open_parent(
	struct vdi *v, const struct image_open *how, GError **err)
{
	const uint8_t *id = v->head + F_UUID_PARENT;
	char text[33];

	if (v->type != VDI_DIFF)
		return true;
	for (unsigned i = 0; i < 16; i++)
		snprintf(text + 2 * i, 3, "%02x", id[i]);
	v->parent = g_strconcat("vdi:", text, NULL);
	if (how->no_backing)
		return true;
	v->m.blk.backing = image_open_backing(how, v->parent, &image_vdi, err);
	v->m.below = v->m.blk.backing;
	return v->m.below &&
	       image_check_parent(v->m.below, id, IMAGE_ID_BYTES, err);
}

static bool vdi_setup(struct vdi *v, const struct image_open *how, GError **err)
{
	struct bmap *m = &v->m;
	uint64_t table;
	int rc = blk_pread(m->lower, v->head, sizeof(v->head), 0);

	if (rc)
		return image_errno(err, rc, "vdi", "header");
	v->type = get_le32(v->head + F_TYPE);
	v->data = get_le32(v->head + F_DATA);
	if (!vdi_check_head(v, err))
		return false;
	table = get_le32(v->head + F_TABLE);
	m->block = get_le32(v->head + F_BLOCK);
	m->blk.size = get_le64(v->head + F_SIZE);
	m->nblocks = (m->blk.size + m->block - 1) / m->block;
	m->data_min = v->data;
	if (!bmap_table_at(m, table, 1024))
		return image_bad(err, "vdi", "its block table is not whole");
	if (table + m->nblocks * 4 > v->data)
		return image_bad(
			err, "vdi", "its block table and its blocks overlap");
	if (!vdi_open_parent(v, how, err))
		return false;
	/* Whole blocks behind the file, whatever the header counts. */
	m->end = MAX(m->lower->size, v->data) - v->data;
	m->end = v->data + (m->end + m->block - 1) / m->block * m->block;
	return bmap_ready(m, how->repair, err);
}

static struct blk *vdi_open(struct image_open *how, GError **err)
{
	struct vdi *v = g_new0(struct vdi, 1);

	v->m.blk.ops = &vdi_ops;
	v->m.blk.readonly = how->readonly;
	v->m.blk.can_discard = true;
	v->m.cls = &vdi_class;
	v->m.lower = how->lower;
	v->m.width = 4;
	bmap_init(&v->m);
	if (vdi_setup(v, how, err))
		return &v->m.blk;
	v->m.blk.readonly = true;
	vdi_close(&v->m.blk);
	return NULL;
}

static bool vdi_probe(const uint8_t *head, const uint8_t *tail)
{
	return get_le32(head + F_SIGNATURE) == VDI_SIGNATURE;
}

/* ---- making ---- */

static bool vdi_set_parent(
	uint8_t *h, const struct image_create *c, GError **err)
{
	if (image_format_of(c->parent) != &image_vdi) {
		g_set_error(err, G_FILE_ERROR, G_FILE_ERROR_INVAL,
			"a vdi image can only stand on another vdi image");
		return false;
	}
	return image_vdi.identity(c->parent, h + F_UUID_PARENT);
}

static void vdi_make_head(uint8_t *h, const struct image_create *c,
	uint32_t type, uint32_t blocks)
{
	static const char text[] = "<<< Oracle VM VirtualBox Disk Image >>>\n";
	uint32_t table = 1u << 20;
	uint32_t data = (table + blocks * 4 + VDI_BLOCK - 1) & -VDI_BLOCK;
	uint64_t cylinders = c->size / (16 * 63 * 512);

	memcpy(h, text, sizeof(text));
	put_le32(h + F_SIGNATURE, VDI_SIGNATURE);
	put_le32(h + F_VERSION, VDI_VERSION);
	put_le32(h + F_HEADER_BYTES, 0x190);
	put_le32(h + F_TYPE, type);
	put_le32(h + F_TABLE, table);
	put_le32(h + F_DATA, data);
	put_le32(h + F_GEOMETRY, (uint32_t)MIN(cylinders, 16383));
	put_le32(h + F_GEOMETRY + 4, 16);
	put_le32(h + F_GEOMETRY + 8, 63);
	put_le32(h + F_SECTOR, 512);
	put_le64(h + F_SIZE, c->size);
	put_le32(h + F_BLOCK, VDI_BLOCK);
	put_le32(h + F_BLOCKS, blocks);
	image_uuid(h + F_UUID);
	image_uuid(h + F_UUID_MODIFY);
}

static int vdi_write_fixed(struct blk *lower, uint8_t *h, uint32_t blocks)
{
	uint64_t data = get_le32(h + F_DATA), table = get_le32(h + F_TABLE);
	g_autofree uint8_t *t = g_malloc(blocks * 4ull);
	int rc;

	for (uint32_t i = 0; i < blocks; i++)
		put_le32(t + i * 4ull, i);
	put_le32(h + F_ALLOCATED, blocks);
	rc = blk_resize(lower, data + (uint64_t)blocks * VDI_BLOCK);
	return rc ? rc : blk_pwrite(lower, t, blocks * 4ull, table);
}

static bool vdi_create(struct image_create *c, GError **err)
{
	bool fixed = !g_strcmp0(c->kind, "fixed");
	uint64_t blocks = (c->size + VDI_BLOCK - 1) / VDI_BLOCK;
	uint8_t h[512] = {0};
	int rc;

	if (blocks > 0x3fffffff / 4) {
		g_set_error(err, G_FILE_ERROR, G_FILE_ERROR_INVAL,
			"a vdi image has at most 255 TiB");
		return false;
	}
	c->size = (c->size + 511) & ~511ull;
	vdi_make_head(h, c,
		c->parent ? VDI_DIFF
		: fixed	  ? VDI_FIXED
			  : VDI_DYNAMIC,
		(uint32_t)blocks);
	if (c->parent && !vdi_set_parent(h, c, err))
		return false;
	rc = blk_resize(c->lower, get_le32(h + F_DATA));
	if (!rc && fixed && !c->parent)
		rc = vdi_write_fixed(c->lower, h, (uint32_t)blocks);
	else if (!rc)
		rc = bmap_write_table(c->lower, get_le32(h + F_TABLE),
			(blocks * 4 + 511) & ~511ull, 0xff);
	if (!rc)
		rc = blk_pwrite(c->lower, h, sizeof(h), 0);
	return !rc || image_errno(err, rc, "vdi", "first blocks");
}

/* ---- telling ---- */

static void vdi_describe(struct blk *b, struct image_info *i)
{
	struct vdi *v = vdi_of(b);

	i->kind = v->type == VDI_FIXED	? "fixed"
		  : v->type == VDI_DIFF ? "differencing"
					: "dynamic";
	i->block = v->m.block;
	i->backing = g_strdup(v->parent);
	i->backing_format = v->parent ? g_strdup("vdi") : NULL;
	image_info_fact(i, "blocks", "%u", get_le32(v->head + F_BLOCKS));
	image_info_fact(
		i, "allocated blocks", "%u", get_le32(v->head + F_ALLOCATED));
}

static bool vdi_identity(struct blk *b, uint8_t id[IMAGE_ID_BYTES])
{
	memcpy(id, vdi_of(b)->head + F_UUID, IMAGE_ID_BYTES);
	return true;
}

static int vdi_check(struct blk *b, struct image_check *c)
{
	struct vdi *v = vdi_of(b);
	int rc;
	uint64_t says = get_le32(v->head + F_ALLOCATED);

	rc = bmap_check(&v->m, c);
	if (!rc && says > c->allocated && !c->leaks)
		c->leaks = says - c->allocated;
	if (!rc && says < c->allocated) {
		image_check_say(c, "the header counts %u blocks, %u are there",
			(unsigned)says, (unsigned)c->allocated);
		c->errors++;
		if (c->repair) {
			rc = vdi_before(&v->m);
			c->mended_errors += !rc;
		}
	}
	return rc;
}

static bool vdi_rebase(
	struct blk *b, const struct image_create *c, GError **err)
{
	struct vdi *v = vdi_of(b);
	int rc;

	if (c->parent) {
		if (!vdi_set_parent(v->head, c, err))
			return false;
	} else {
		memset(v->head + F_UUID_PARENT, 0, IMAGE_ID_BYTES);
	}
	v->type = c->parent ? VDI_DIFF : VDI_DYNAMIC;
	put_le32(v->head + F_TYPE, v->type);
	rc = vdi_write_head(v);
	return !rc || image_errno(err, rc, "vdi", "header");
}

static const char *const vdi_kinds[] = {"dynamic", "fixed", NULL};

const struct image_format image_vdi = {
	.name = "vdi",
	.suffix = ".vdi",
	.summary = "VirtualBox",
	.kinds = vdi_kinds,
	.probe = vdi_probe,
	.open = vdi_open,
	.create = vdi_create,
	.describe = vdi_describe,
	.check = vdi_check,
	.identity = vdi_identity,
	.rebase = vdi_rebase,
};
