/*
 * vhd.c - Virtual Hard Disk images: fixed, dynamic, differencing.
 *
 * "Virtual Hard Disk Image Format Specification", version 1.0, Microsoft 2006.
 * All numbers are big-endian.  A fixed image is the disk and a footer of 512
 * bytes behind it.  The others begin with a copy of the footer and a header;
 * then come a table of sector numbers and, in any order, blocks, each behind a
 * bitmap of its sectors; the footer ends the file.
 *
 * In a dynamic image the bitmap says nothing that zeros do not say: all bits
 * are set as the block is made.  In a differencing one, a sector whose bit is
 * clear is the parent's.  We bring in the whole block at the first write to it
 * and set all bits; of blocks that others left partial, those sectors that are
 * missing are brought in and synced before the bits are set.
 *
 * A new block takes the footer's place, and the footer moves behind it.  A cut
 * may leave no footer: the copy at the file's start is then used.  Blocks may
 * lie at any sector; ours are such that a guest's pages are pages of the file,
 * which small writes are much faster for.
 */
#include "block/vhd.h"

#include <errno.h>
#include <string.h>

#include "block/bytes.h"

#define PAGE 4096ull

/* ---- geometry: the specification's appendix ---- */

static void vhd_geometry(uint64_t sectors, unsigned chs[3])
{
	uint64_t tracks;
	unsigned spt = 17, heads;

	sectors = MIN(sectors, VHD_CHS_MAX);
	if (sectors >= 65535ull * 16 * 63) {
		spt = 255;
		heads = 16;
		tracks = sectors / spt;
	} else {
		tracks = sectors / spt;
		heads = MAX((tracks + 1023) / 1024, 4);
		if (tracks >= heads * 1024ull || heads > 16) {
			spt = 31;
			heads = 16;
			tracks = sectors / spt;
		}
		if (tracks >= heads * 1024ull) {
			spt = 63;
			heads = 16;
			tracks = sectors / spt;
		}
	}
	chs[0] = (unsigned)(tracks / heads);
	chs[1] = heads;
	chs[2] = spt;
}

/* Of the smallest disk by geometry that has at least so many sectors; larger
 * ones than a geometry can say keep their size. */
uint64_t vhd_round(uint64_t sectors, unsigned chs[3])
{
	uint64_t got;

	/* A cylinder's worth of steps at most. */
	for (uint64_t want = sectors; want <= VHD_CHS_MAX; want++) {
		vhd_geometry(want, chs);
		got = (uint64_t)chs[0] * chs[1] * chs[2];
		if (got >= sectors)
			return got;
	}
	vhd_geometry(sectors, chs);
	return sectors;
}

uint32_t vhd_checksum(const uint8_t *p, size_t len, size_t field)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < len; i++)
		if (i < field || i >= field + 4)
			sum += p[i];
	return ~sum;
}

static bool vhd_sum_ok(const uint8_t *p, size_t len, size_t field)
{
	return get_be32(p + field) == vhd_checksum(p, len, field);
}

/* ---- dynamic images ---- */

static bool vhd_full(const struct vhd *v, uint64_t block)
{
	return __atomic_load_n(&v->full[block / 8], __ATOMIC_ACQUIRE) >>
		       (block % 8) &
	       1;
}

static void vhd_set_full(const struct vhd *v, uint64_t block)
{
	__atomic_fetch_or(&v->full[block / 8], (uint8_t)(1u << (block % 8)),
		__ATOMIC_RELEASE);
}

/* Does a block at off lie over the header or the table? */
static bool vhd_in_tables(const struct vhd *v, uint64_t off)
{
	uint64_t end = off + v->bitmap + v->m.block;
	uint64_t table = get_be64(v->head + HEAD_TABLE);
	uint64_t bytes = get_be32(v->head + HEAD_ENTRIES) * 4ull;

	return (off < v->head_off + 1024 && v->head_off < end) ||
	       (off < table + bytes && table < end);
}

static struct bmap_spot vhd_decode(
	const struct bmap *m, uint64_t block, uint64_t entry)
{
	const struct vhd *v = (const struct vhd *)m;
	struct bmap_spot s = {BMAP_BELOW, 0};

	if (entry == VHD_NONE)
		return s;
	s.off = entry * 512 + v->bitmap;
	if (entry * 512 < m->data_min || vhd_in_tables(v, entry * 512) ||
		s.off + m->block > m->lower->size)
		s.kind = BMAP_BAD;
	else
		s.kind = v->type == VHD_DIFF && !vhd_full(v, block) ? BMAP_PART
								    : BMAP_DATA;
	return s;
}

static bool vhd_encode(const struct bmap *m, uint64_t block, struct bmap_spot s,
	uint64_t *entry)
{
	const struct vhd *v = (const struct vhd *)m;

	if (s.kind == BMAP_ZERO)
		return false;
	*entry = VHD_NONE;
	if (s.kind == BMAP_BELOW)
		return true;
	*entry = (s.off - v->bitmap) / 512;
	/* We place whole blocks only. */
	if (v->type == VHD_DIFF)
		vhd_set_full(v, block);
	return *entry < VHD_NONE;
}

static int vhd_write_bitmap(struct vhd *v, uint64_t at)
{
	g_autofree uint8_t *ones = g_try_malloc(v->bitmap);

	if (!ones)
		return -ENOMEM;
	memset(ones, 0xff, v->bitmap);
	return blk_pwrite(v->m.lower, ones, v->bitmap, at);
}

/* A block where the footer is, or a little behind, and the footer behind it. */
static int vhd_place(struct bmap *m, unsigned n, uint64_t *off)
{
	struct vhd *v = (struct vhd *)m;
	uint64_t data = (m->end + v->bitmap + PAGE - 1) & ~(PAGE - 1);
	uint64_t end = data + m->block;
	int rc = blk_resize(m->lower, end + 512);

	if (!rc)
		rc = blk_pwrite(m->lower, v->foot, 512, end);
	if (!rc)
		rc = vhd_write_bitmap(v, data - v->bitmap);
	if (rc)
		return rc;
	*off = data;
	m->end = end;
	return 0;
}

static int vhd_part(struct bmap *m, uint64_t block, uint64_t off, uint8_t *bits)
{
	struct vhd *v = (struct vhd *)m;
	uint32_t bytes = m->block / 512 / 8;
	g_autofree uint8_t *be = g_try_malloc(v->bitmap);
	bool full = true;
	int rc = be ? blk_pread(m->lower, be, v->bitmap, off - v->bitmap)
		    : -ENOMEM;

	if (rc)
		return rc;
	for (uint32_t i = 0; i < bytes; i++) {
		uint8_t in = be[i];

		/* The first sector is the highest bit here. */
		in = (uint8_t)(in >> 4 | in << 4);
		in = (uint8_t)((in & 0xcc) >> 2 | (in & 0x33) << 2);
		bits[i] = (uint8_t)((in & 0xaa) >> 1 | (in & 0x55) << 1);
		full &= bits[i] == 0xff;
	}
	if (full)
		vhd_set_full(v, block);
	return 0;
}

static int vhd_whole(struct bmap *m, uint64_t block, uint64_t off)
{
	struct vhd *v = (struct vhd *)m;
	int rc = vhd_write_bitmap(v, off - v->bitmap);

	if (!rc)
		vhd_set_full(v, block);
	return rc;
}

/* The footer must be there again, wherever we found it. */
static int vhd_begin(struct bmap *m)
{
	struct vhd *v = (struct vhd *)m;
	int rc = 0;

	if (m->end + 512 > m->lower->size)
		rc = blk_resize(m->lower, m->end + 512);
	return rc ? rc : blk_pwrite(m->lower, v->foot, 512, m->end);
}

static void vhd_close(struct blk *b)
{
	struct vhd *v = vhd_of(b);

	bmap_fini(&v->m);
	blk_close(b->backing);
	g_free(v->full);
	g_free(v->parent);
	g_free(v);
}

static const struct blk_ops vhd_ops = {
	.name = "vhd",
	.preadv = bmap_preadv,
	.preadv_now = bmap_preadv_now,
	.below = bmap_below,
	.set_backing = bmap_set_backing,
	.pwritev = bmap_pwritev,
	.flush = bmap_flush,
	.discard = bmap_discard,
	.write_zeroes = bmap_write_zeroes,
	.map = bmap_map,
	.resize = vhd_resize,
	.close = vhd_close,
};

static const struct bmap_class vhd_class = {
	.format = "vhd",
	.decode = vhd_decode,
	.encode = vhd_encode,
	.place = vhd_place,
	.only_one = true,
	.begin = vhd_begin,
	.part = vhd_part,
	.whole = vhd_whole,
	.gap = 512, /* at least */
};

/* ---- fixed images: what lies below, without the footer ---- */

static int fixed_preadv(
	struct blk *b, const struct iovec *iov, int n, uint64_t off)
{
	return blk_preadv(vhd_of(b)->m.lower, iov, n, off);
}

static int fixed_preadv_now(
	struct blk *b, const struct iovec *iov, int n, uint64_t off)
{
	return blk_preadv_now(vhd_of(b)->m.lower, iov, n, off);
}

static int fixed_pwritev(
	struct blk *b, const struct iovec *iov, int n, uint64_t off)
{
	return blk_pwritev(vhd_of(b)->m.lower, iov, n, off);
}

static int fixed_flush(struct blk *b)
{
	return blk_flush(vhd_of(b)->m.lower);
}

static int fixed_discard(struct blk *b, uint64_t off, uint64_t len)
{
	return blk_discard(vhd_of(b)->m.lower, off, len);
}

static int fixed_write_zeroes(
	struct blk *b, uint64_t off, uint64_t len, bool unmap)
{
	return blk_write_zeroes(vhd_of(b)->m.lower, off, len, unmap);
}

static int fixed_map(
	struct blk *b, uint64_t off, uint64_t len, struct blk_extent *e)
{
	return blk_map(vhd_of(b)->m.lower, off, len, e);
}

static const struct blk_ops fixed_ops = {
	.name = "vhd",
	.preadv = fixed_preadv,
	.preadv_now = fixed_preadv_now,
	.below = bmap_below,
	.pwritev = fixed_pwritev,
	.flush = fixed_flush,
	.discard = fixed_discard,
	.write_zeroes = fixed_write_zeroes,
	.map = fixed_map,
	.resize = vhd_resize,
	.close = vhd_close,
};

/* ---- opening ---- */

static bool vhd_is_footer(const uint8_t *f)
{
	return !memcmp(f, "conectix", 8) && vhd_sum_ok(f, 512, FOOT_SUM);
}

/* The footer at the end, else its copy. */
static bool vhd_find_footer(struct vhd *v, GError **err)
{
	struct blk *lower = v->m.lower;
	uint64_t size = lower->size;
	uint8_t head[512];

	if (size < 512 || blk_pread(lower, v->foot, 512, size - 512) ||
		blk_pread(lower, head, 512, 0)) {
		image_bad(err, "vhd", "it is too short");
		return false;
	}
	if (vhd_is_footer(v->foot))
		return true;
	v->no_footer = true;
	if (vhd_is_footer(head) && get_be32(head + FOOT_TYPE) != VHD_FIXED) {
		memcpy(v->foot, head, 512);
		return true;
	}
	if (!memcmp(head, "conectix", 8) || !memcmp(v->foot, "conectix", 8))
		return image_bad(err, "vhd", "its footer's checksum is wrong");
	g_set_error(err, G_FILE_ERROR, G_FILE_ERROR_INVAL,
		"this is not a vhd image\n"
		"  fix:  say which format it has: format=raw");
	return false;
}

static bool vhd_check_header(const struct vhd *v, GError **err)
{
	const uint8_t *h = v->head;
	uint32_t block = get_be32(h + HEAD_BLOCK);

	if (memcmp(h, "cxsparse", 8) || !vhd_sum_ok(h, 1024, HEAD_SUM))
		return image_bad(err, "vhd", "its header is wrong");
	if (get_be32(h + HEAD_VERSION) != 0x00010000)
		return image_cannot(err, "vhd", "an unknown version");
	if (block < 4096 || block > 256u << 20 || (block & (block - 1)))
		return image_bad(err, "vhd", "its block size is impossible");
	if (v->m.blk.size > (uint64_t)block * get_be32(h + HEAD_ENTRIES))
		return image_bad(err, "vhd", "its table does not fit its size");
	return true;
}

static bool vhd_setup_dynamic(
	struct vhd *v, const struct image_open *how, GError **err)
{
	struct bmap *m = &v->m;
	uint64_t at = get_be64(v->foot + FOOT_DATA), table, end;
	int rc = blk_pread(m->lower, v->head, sizeof(v->head), at);

	if (rc)
		return image_errno(err, rc, "vhd", "header");
	v->head_off = at;
	if (!vhd_check_header(v, err))
		return false;
	m->block = get_be32(v->head + HEAD_BLOCK);
	m->nblocks = (m->blk.size + m->block - 1) / m->block;
	v->bitmap = (m->block / 512 / 8 + 511) & ~511u;
	table = get_be64(v->head + HEAD_TABLE);
	end = table + get_be32(v->head + HEAD_ENTRIES) * 4ull;
	if (table % 512 || end < table || !bmap_table_at(m, table, 1024))
		return image_bad(err, "vhd", "its block table is not whole");
	m->data_min = 512; /* header and table may lie anywhere */
	v->full = g_try_malloc0(m->nblocks / 8 + 1);
	if (!v->full)
		return image_errno(err, -ENOMEM, "vhd", "table");
	if (v->type == VHD_DIFF && !vhd_open_parent(v, how, err))
		return false;
	end = m->lower->size - (v->no_footer ? 0 : 512);
	m->end = (MAX(end, table + m->nblocks * 4) + 511) & ~511ull;
	return bmap_ready(m, how->repair, err);
}

static bool vhd_setup(struct vhd *v, const struct image_open *how, GError **err)
{
	uint64_t size;

	if (!vhd_find_footer(v, err))
		return false;
	v->type = get_be32(v->foot + FOOT_TYPE);
	size = get_be64(v->foot + FOOT_SIZE);
	if (size % 512 || size > 1ull << 50)
		return image_bad(err, "vhd", "its size is impossible");
	v->m.blk.size = size;
	switch (v->type) {
	case VHD_FIXED:
		v->m.blk.ops = &fixed_ops;
		if (size > v->m.lower->size - 512)
			return image_bad(err, "vhd", "it is truncated");
		return true;
	case VHD_DYNAMIC:
	case VHD_DIFF: return vhd_setup_dynamic(v, how, err);
	default: return image_cannot(err, "vhd", "an unknown type");
	}
}

static struct blk *vhd_open(struct image_open *how, GError **err)
{
	struct vhd *v = g_new0(struct vhd, 1);

	v->m.blk.ops = &vhd_ops;
	v->m.blk.readonly = how->readonly;
	v->m.blk.can_discard = true;
	v->m.cls = &vhd_class;
	v->m.lower = how->lower;
	v->m.width = 4;
	v->m.big_endian = true;
	bmap_init(&v->m);
	if (vhd_setup(v, how, err))
		return &v->m.blk;
	v->m.blk.readonly = true;
	vhd_close(&v->m.blk);
	return NULL;
}

static bool vhd_probe(const uint8_t *head, const uint8_t *tail)
{
	return vhd_is_footer(tail) ||
	       (vhd_is_footer(head) && get_be32(head + FOOT_TYPE) != VHD_FIXED);
}

/* ---- telling ---- */

static void vhd_describe(struct blk *b, struct image_info *i)
{
	struct vhd *v = vhd_of(b);
	const uint8_t *g = v->foot + FOOT_GEOMETRY;

	i->kind = v->type == VHD_FIXED	? "fixed"
		  : v->type == VHD_DIFF ? "differencing"
					: "dynamic";
	i->block = v->m.block;
	i->backing = g_strdup(v->parent);
	i->backing_format = v->parent ? g_strdup("vhd") : NULL;
	image_info_fact(i, "geometry", "%u/%u/%u", get_be16(g), g[2], g[3]);
	image_info_fact(
		i, "creator", "%.4s", (const char *)v->foot + FOOT_CREATOR);
	if (v->no_footer)
		image_info_fact(i, "footer", "missing at the end");
}

static bool vhd_identity(struct blk *b, uint8_t id[IMAGE_ID_BYTES])
{
	memset(id, 0, IMAGE_ID_BYTES);
	memcpy(id, vhd_of(b)->foot + FOOT_UUID, 16);
	return true;
}

static int vhd_check(struct blk *b, struct image_check *c)
{
	struct vhd *v = vhd_of(b);
	int rc = 0;

	if (v->type != VHD_FIXED)
		rc = bmap_check(&v->m, c);
	if (rc || !v->no_footer)
		return rc;
	/* Nothing is lost by it: the copy at the start has all. */
	image_check_say(c, "the footer is missing at the file's end");
	c->leaks++;
	if (c->repair) {
		rc = vhd_begin(&v->m);
		if (!rc)
			rc = blk_flush(v->m.lower);
		c->mended_leaks += !rc;
		v->no_footer = rc != 0;
	}
	return rc;
}

static const char *const vhd_kinds[] = {"dynamic", "fixed", NULL};

const struct image_format image_vhd = {
	.name = "vhd",
	.alias = "vpc",
	.suffix = ".vhd",
	.summary = "Virtual PC, Virtual Server, Hyper-V",
	.kinds = vhd_kinds,
	.usual_size = 127ull << 30,
	.probe = vhd_probe,
	.open = vhd_open,
	.create = vhd_create,
	.describe = vhd_describe,
	.check = vhd_check,
	.identity = vhd_identity,
	.rebase = vhd_rebase,
};
