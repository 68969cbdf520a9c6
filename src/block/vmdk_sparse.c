/*
 * vmdk_sparse.c - a sparse extent of a VMDK.
 *
 * "Virtual Disk Format 5.0", VMware 2011, "Hosted Sparse Extents".  A grain
 * directory points to grain tables of 512 32-bit sector numbers (0: not here,
 * 1: zeros, if a flag says so), which mostly exist twice.  A grain of a
 * stream-optimized extent is compressed and stands behind a marker.
 */
#include <errno.h>
#include <string.h>
#include <zlib.h>

#include "block/bytes.h"
#include "block/vmdk.h"

#define MARKER 12 /* bytes before a compressed grain: sector, length */

struct sparse {
	struct bmap m;
	uint8_t head[512];
	uint32_t flags;
	uint64_t gd, rgd; /* bytes; rgd 0: none */
	bool gd_dirty;
};

static struct bmap_spot sparse_decode(
	const struct bmap *m, uint64_t block, uint64_t entry)
{
	const struct sparse *s = (const struct sparse *)m;
	struct bmap_spot r = {BMAP_BELOW, 0};

	if (!entry)
		return r;
	r.kind = BMAP_ZERO;
	if (entry == 1 && s->flags & VMDK_F_ZEROS)
		return r;
	r.off = entry * 512;
	r.kind = s->flags & VMDK_F_PACKED ? BMAP_PACKED : BMAP_DATA;
	if (r.off < m->data_min || r.off >= m->lower->size)
		r.kind = BMAP_BAD;
	return r;
}

static bool sparse_encode(const struct bmap *m, uint64_t block,
	struct bmap_spot r, uint64_t *entry)
{
	const struct sparse *s = (const struct sparse *)m;

	*entry = r.kind == BMAP_DATA ? r.off / 512 : r.kind == BMAP_ZERO;
	if (r.kind == BMAP_ZERO)
		return s->flags & VMDK_F_ZEROS;
	return *entry <= 0xffffffffu;
}

/* Grain tables behind all else, one after the other. */
static int sparse_make_page(struct bmap *m, struct bmap_page *p)
{
	struct sparse *s = (struct sparse *)m;
	uint64_t bytes = (m->per_page * 4 + 511) & ~511u;
	uint64_t end = m->end + bytes * (s->rgd ? 2 : 1);
	int rc;

	end = (end + m->block - 1) / m->block * m->block;
	if (end / 512 > 0xffffffffu)
		return -EFBIG;
	rc = blk_resize(m->lower, end);
	if (rc)
		return rc;
	p->off = m->end;
	p->copy = s->rgd ? m->end + bytes : 0;
	m->end = end;
	p->dirty = 0;
	p->dirty_end = m->per_page * 4;
	s->gd_dirty = true;
	return 0;
}

static int sparse_after(struct bmap *m)
{
	struct sparse *s = (struct sparse *)m;
	g_autofree uint8_t *gd = NULL;
	int rc;

	if (!s->gd_dirty)
		return 0;
	gd = g_try_malloc(m->npages * 8);
	if (!gd)
		return -ENOMEM;
	for (uint64_t p = 0; p < m->npages; p++) {
		put_le32(gd + 4 * p, (uint32_t)(m->page[p].off / 512));
		put_le32(gd + 4 * (m->npages + p),
			(uint32_t)(m->page[p].copy / 512));
	}
	rc = blk_pwrite(m->lower, gd, m->npages * 4, s->gd);
	if (!rc && s->rgd)
		rc = blk_pwrite(
			m->lower, gd + 4 * m->npages, m->npages * 4, s->rgd);
	if (!rc)
		rc = blk_flush(m->lower);
	s->gd_dirty = rc != 0;
	return rc;
}

static int sparse_unpack(
	struct bmap *m, uint64_t block, uint64_t off, uint8_t *out)
{
	uint8_t marker[MARKER];
	g_autofree uint8_t *in = NULL;
	uint64_t left = m->blk.size - block * m->block;
	uint32_t len;
	uLongf got = m->block;
	int rc = blk_pread(m->lower, marker, MARKER, off);

	if (rc)
		return -EIO;
	len = get_le32(marker + 8);
	if (get_le64(marker) * 512 != block * m->block || !len ||
		len > compressBound(m->block))
		return -EIO;
	in = g_try_malloc(len);
	if (!in)
		return -ENOMEM;
	if (blk_pread(m->lower, in, len, off + MARKER) ||
		uncompress(out, &got, in, len) != Z_OK ||
		got < MIN(left, m->block))
		return -EIO;
	memset(out + got, 0, m->block - got);
	return 0;
}

static void sparse_close(struct blk *b)
{
	struct sparse *s = (struct sparse *)b;

	bmap_fini(&s->m);
	g_free(s);
}

const struct blk_ops vmdk_sparse_ops = {
	.name = "vmdk-extent",
	.preadv = bmap_preadv,
	.preadv_now = bmap_preadv_now,
	.below = bmap_below,
	.pwritev = bmap_pwritev,
	.flush = bmap_flush,
	.discard = bmap_discard,
	.write_zeroes = bmap_write_zeroes,
	.map = bmap_map,
	.close = sparse_close,
};

static const struct bmap_class sparse_class = {
	.format = "vmdk",
	.decode = sparse_decode,
	.encode = sparse_encode,
	.place = bmap_place,
	.make_page = sparse_make_page,
	.after = sparse_after,
	.unpack = sparse_unpack,
};

/* ---- opening ---- */

int vmdk_sparse_head(struct blk *lower, uint8_t head[512])
{
	uint8_t foot[512];
	int rc = blk_pread(lower, head, 512, 0);

	if (rc || get_le32(head) != VMDK_MAGIC ||
		get_le64(head + V_GD) != VMDK_AT_END || lower->size < 3 * 512)
		return rc;
	rc = blk_pread(lower, foot, 512, lower->size - 1024);
	if (!rc && get_le32(foot) == VMDK_MAGIC)
		memcpy(head, foot, 512);
	return rc;
}

static bool sparse_check_head(const struct sparse *s, GError **err)
{
	const uint8_t *h = s->head;
	uint64_t grain = get_le64(h + V_GRAIN);
	uint32_t per = get_le32(h + V_GT_ENTRIES);

	if (get_le32(h + V_VERSION) < 1 || get_le32(h + V_VERSION) > 3)
		return image_cannot(err, "vmdk", "an unknown version");
	if (grain < 8 || grain > 65536 || (grain & (grain - 1)))
		return image_bad(err, "vmdk", "its grain size is impossible");
	if (per < 1 || per > 4096)
		return image_bad(err, "vmdk",
			"its grain tables' size is "
			"impossible");
	if (!get_le64(h + V_CAPACITY) || get_le64(h + V_CAPACITY) >> 50)
		return image_bad(err, "vmdk", "its size is impossible");
	if (s->flags & VMDK_F_PACKED && get_le16(h + V_COMPRESSION) != 1)
		return image_cannot(err, "vmdk", "an unknown compression");
	return true;
}

/* The grain tables' places out of one directory. */
static bool sparse_load_dir(struct sparse *s, uint64_t at, bool copy)
{
	struct bmap *m = &s->m;
	g_autofree uint8_t *gd = g_try_malloc(m->npages * 4);

	if (!gd || blk_pread(m->lower, gd, m->npages * 4, at))
		return false;
	for (uint64_t p = 0; p < m->npages; p++) {
		uint64_t off = get_le32(gd + 4 * p) * 512ull;

		if (off && off + m->per_page * 4 > m->lower->size &&
			(off >= m->lower->size || !m->blk.readonly))
			return false;
		*(copy ? &m->page[p].copy : &m->page[p].off) = off;
	}
	return true;
}

static bool sparse_load(struct sparse *s, GError **err)
{
	struct bmap *m = &s->m;
	uint64_t gd = get_le64(s->head + V_GD);
	uint64_t rgd = get_le64(s->head + V_RGD);
	uint32_t per = get_le32(s->head + V_GT_ENTRIES);
	uint64_t tables = (m->nblocks + per - 1) / per;

	if (gd == VMDK_AT_END)
		return image_bad(err, "vmdk", "its end is missing");
	if (gd >= m->lower->size / 512 ||
		tables * 4 > m->lower->size - gd * 512)
		return image_bad(err, "vmdk", "its directory is not whole");
	s->gd = gd * 512;
	if (!bmap_table_pages(m, per))
		return image_errno(err, -ENOMEM, "vmdk", "tables");
	if (!sparse_load_dir(s, s->gd, false))
		return image_bad(
			err, "vmdk", "its directory points outside the file");
	if (!(s->flags & VMDK_F_REDUNDANT) || s->flags & VMDK_F_PACKED)
		return true;
	s->rgd = rgd < m->lower->size / 512 ? rgd * 512 : 0;
	if (!m->blk.readonly && (!s->rgd || !sparse_load_dir(s, s->rgd, true)))
		return image_bad(err, "vmdk",
			"its second directory points outside the file");
	return true;
}

struct blk *vmdk_sparse_open(struct blk *lower, const uint8_t *head,
	bool readonly, bool repair, GError **err)
{
	struct sparse *s = g_new0(struct sparse, 1);
	struct bmap *m = &s->m;
	bool ok;

	memcpy(s->head, head, 512);
	s->flags = get_le32(head + V_FLAGS);
	m->blk.ops = &vmdk_sparse_ops;
	m->blk.readonly = readonly;
	m->blk.can_discard = true;
	m->cls = &sparse_class;
	m->lower = lower;
	m->lends_lower = true;
	m->width = 4;
	m->block = (uint32_t)get_le64(head + V_GRAIN) * 512;
	bmap_init(m);
	ok = sparse_check_head(s, err);
	if (ok) {
		m->blk.size = get_le64(head + V_CAPACITY) * 512;
		m->nblocks = (m->blk.size + m->block - 1) / m->block;
		m->data_min = s->flags & VMDK_F_PACKED
				      ? 512
				      : get_le64(head + V_OVERHEAD) * 512;
		m->end = (lower->size + m->block - 1) / m->block * m->block;
		if (s->flags & VMDK_F_PACKED && !readonly)
			ok = image_cannot(err, "vmdk",
				"a stream-optimized extent, which can only be "
				"read");
	}
	if (ok && sparse_load(s, err) && bmap_ready(m, repair, err))
		return &m->blk;
	m->blk.readonly = true;
	sparse_close(&m->blk);
	return NULL;
}

/* ---- making ---- */

static int write_dir(
	struct blk *lower, uint64_t at, uint64_t first, uint64_t tables)
{
	g_autofree uint8_t *gd = g_malloc0(tables * 4 + 512);
	uint32_t sectors = VMDK_GT_ENTRIES * 4 / 512;

	for (uint64_t i = 0; i < tables; i++)
		put_le32(gd + 4 * i, (uint32_t)(first + i * sectors));
	return blk_pwrite(lower, gd, tables * 4, at * 512);
}

int vmdk_sparse_create(
	struct blk *lower, uint64_t bytes, uint64_t grain, const char *text)
{
	uint64_t text_sectors = text ? 20 : 0;
	uint64_t blocks = (bytes + grain - 1) / grain;
	uint64_t tables = (blocks + VMDK_GT_ENTRIES - 1) / VMDK_GT_ENTRIES;
	uint64_t dir = (tables * 4 + 511) / 512, gts = tables * 4;
	uint64_t rgd = 1 + text_sectors, gd = rgd + dir + gts;
	uint64_t data = gd + dir + gts, per = grain / 512;
	uint8_t h[512] = {0};
	int rc;

	data = (data + per - 1) / per * per;
	put_le32(h, VMDK_MAGIC);
	put_le32(h + V_VERSION, 1);
	put_le32(h + V_FLAGS, VMDK_F_NEWLINES | VMDK_F_REDUNDANT);
	put_le64(h + V_CAPACITY, bytes / 512);
	put_le64(h + V_GRAIN, per);
	put_le64(h + V_TEXT, text ? 1 : 0);
	put_le64(h + V_TEXT_SECTORS, text_sectors);
	put_le32(h + V_GT_ENTRIES, VMDK_GT_ENTRIES);
	put_le64(h + V_RGD, rgd);
	put_le64(h + V_GD, gd);
	put_le64(h + V_OVERHEAD, data);
	memcpy(h + V_NEWLINES, "\n \r\n", 4);
	rc = blk_resize(lower, data * 512);
	if (!rc)
		rc = write_dir(lower, rgd, rgd + dir, tables);
	if (!rc)
		rc = write_dir(lower, gd, gd + dir, tables);
	if (!rc && text)
		rc = blk_pwrite(lower, text, strlen(text), 512);
	return rc ? rc : blk_pwrite(lower, h, 512, 0);
}
