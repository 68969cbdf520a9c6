/*
 * vhdx.c - VHDX images: fixed, dynamic, differencing.
 *
 * Two headers, of which that with the higher number holds; two equal region
 * tables, which say where metadata and block table lie; blocks of whole
 * megabytes.  Section numbers are those of [MS-VHDX].
 *
 * We do not write the log: an entry of the block table is eight bytes of one
 * sector, is written after what it points to is durable, and stands for
 * itself.  What another program left in the log is brought to its place first.
 *
 * In a differencing image the first write to a block brings in the whole
 * block, and it becomes fully present; bitmaps are only ever read.
 */
#include "block/vhdx.h"

#include <errno.h>
#include <string.h>

#define REGIONS_MAX 2047
#define ITEMS_MAX   2047

const uint8_t vhdx_guid_bat[16] = {0x66, 0x77, 0xc2, 0x2d, 0x23, 0xf6, 0x00,
	0x42, 0x9d, 0x64, 0x11, 0x5e, 0x9b, 0xfd, 0x4a, 0x08};
const uint8_t vhdx_guid_meta[16] = {0x06, 0xa2, 0x7c, 0x8b, 0x90, 0x47, 0x9a,
	0x4b, 0xb8, 0xfe, 0x57, 0x5f, 0x05, 0x0f, 0x88, 0x6e};
const uint8_t vhdx_guid_params[16] = {0x37, 0x67, 0xa1, 0xca, 0x36, 0xfa, 0x43,
	0x4d, 0xb3, 0xb6, 0x33, 0xf0, 0xaa, 0x44, 0xe7, 0x6b};
const uint8_t vhdx_guid_size[16] = {0x24, 0x42, 0xa5, 0x2f, 0x1b, 0xcd, 0x76,
	0x48, 0xb2, 0x11, 0x5d, 0xbe, 0xd8, 0x3b, 0xf4, 0xb8};
const uint8_t vhdx_guid_page83[16] = {0xab, 0x12, 0xca, 0xbe, 0xe6, 0xb2, 0x23,
	0x45, 0x93, 0xef, 0xc3, 0x09, 0xe0, 0x00, 0xc7, 0x46};
const uint8_t vhdx_guid_logical[16] = {0x1d, 0xbf, 0x41, 0x81, 0x6f, 0xa9, 0x09,
	0x47, 0xba, 0x47, 0xf2, 0x33, 0xa8, 0xfa, 0xab, 0x5f};
const uint8_t vhdx_guid_physical[16] = {0xc7, 0x48, 0xa3, 0xcd, 0x5d, 0x44,
	0x71, 0x44, 0x9c, 0xc9, 0xe9, 0x88, 0x52, 0x51, 0xc5, 0x56};
const uint8_t vhdx_guid_locator[16] = {0x2d, 0x5f, 0xd3, 0xa8, 0x0b, 0xb3, 0x4d,
	0x45, 0xab, 0xf7, 0xd3, 0xd8, 0x48, 0x34, 0xab, 0x0c};
const uint8_t vhdx_guid_locator_type[16] = {0xb7, 0xef, 0x4a, 0xb0, 0x9e, 0xd1,
	0x81, 0x4a, 0xb7, 0x89, 0x25, 0xb8, 0xe9, 0x44, 0x59, 0x13};

uint32_t vhdx_crc(const uint8_t *p, size_t len, size_t field)
{
	static uint32_t table[256];
	static gsize ready;
	uint32_t crc = ~0u;

	if (g_once_init_enter(&ready)) {
		for (uint32_t i = 0; i < 256; i++) {
			uint32_t c = i;

			for (unsigned k = 0; k < 8; k++)
				c = c & 1 ? c >> 1 ^ 0x82f63b78u : c >> 1;
			table[i] = c;
		}
		g_once_init_leave(&ready, 1);
	}
	for (size_t i = 0; i < len; i++) {
		uint8_t b = i >= field && i < field + 4 ? 0 : p[i];

		crc = table[(crc ^ b) & 0xff] ^ crc >> 8;
	}
	return ~crc;
}

static bool crc_ok(const uint8_t *p, size_t len)
{
	return get_le32(p + X_SUM) == vhdx_crc(p, len, X_SUM);
}

int vhdx_write_head(struct vhdx *v)
{
	int rc;

	put_le64(v->head + X_SEQUENCE, get_le64(v->head + X_SEQUENCE) + 1);
	put_le32(v->head + X_SUM, vhdx_crc(v->head, VHDX_HEADER, X_SUM));
	v->second = !v->second;
	rc = blk_pwrite(v->m.lower, v->head, VHDX_HEADER,
		v->second ? VHDX_HEAD2 : VHDX_HEAD1);
	return rc ? rc : blk_flush(v->m.lower);
}

/* ---- blocks ---- */

static bool touches(uint64_t off, uint64_t len, const struct vhdx_span *s)
{
	return off < s->off + s->len && s->off < off + len;
}

static struct bmap_spot vhdx_decode(
	const struct bmap *m, uint64_t block, uint64_t entry)
{
	const struct vhdx *v = (const struct vhdx *)m;
	struct bmap_spot s = {BMAP_BELOW, entry >> 20 << 20};

	switch (entry & 7) {
	case VHDX_NOT_PRESENT: return s;
	case VHDX_UNDEFINED:
	case VHDX_ZERO:
	case VHDX_UNMAPPED: s.kind = BMAP_ZERO; return s;
	case VHDX_FULL: s.kind = BMAP_DATA; break;
	case VHDX_PART:
		s.kind = v->flags & VHDX_F_PARENT ? BMAP_PART : BMAP_BAD;
		break;
	default: s.kind = BMAP_BAD;
	}
	if (s.off < VHDX_MB || s.off + m->block > m->lower->size ||
		touches(s.off, m->block, &v->bat) ||
		touches(s.off, m->block, &v->meta))
		s.kind = BMAP_BAD;
	return s;
}

static bool vhdx_encode(const struct bmap *m, uint64_t block,
	struct bmap_spot s, uint64_t *entry)
{
	*entry = s.kind == BMAP_DATA   ? s.off | VHDX_FULL
		 : s.kind == BMAP_ZERO ? VHDX_ZERO
				       : VHDX_NOT_PRESENT;
	return true;
}

/* Section 2.5.1.2: after each chunk of payload entries, one for a megabyte of
 * bits, a bit per sector. */
static int vhdx_part(
	struct bmap *m, uint64_t block, uint64_t off, uint8_t *bits)
{
	struct vhdx *v = (struct vhdx *)m;
	uint64_t slot = (block / m->chunk + 1) * (m->chunk + 1) - 1;
	uint32_t n = m->block / v->sector, per = v->sector / 512;
	uint64_t first = block % m->chunk * n;
	g_autofree uint8_t *in = g_try_malloc(n / 8);
	uint8_t le[8];
	int rc = in ? blk_pread(m->lower, le, 8, v->bat.off + slot * 8)
		    : -ENOMEM;
	uint64_t e = get_le64(le);

	if (rc)
		return rc;
	if ((e & 7) != VHDX_FULL)
		return -EIO;
	if (blk_pread(m->lower, in, n / 8, (e >> 20 << 20) + first / 8))
		return -EIO;
	if (per == 1) {
		memcpy(bits, in, n / 8);
		return 0;
	}
	for (uint32_t i = 0; i < n * per; i++)
		bits[i / 8] |= (in[i / per / 8] >> (i / per % 8) & 1)
			       << (i % 8);
	return 0;
}

/* Section 2.2.2: others must see that the file, and its content, changed. */
static int vhdx_begin(struct bmap *m)
{
	struct vhdx *v = (struct vhdx *)m;

	image_uuid(v->head + X_FILE_GUID);
	image_uuid(v->head + X_DATA_GUID);
	return vhdx_write_head(v);
}

static void vhdx_close(struct blk *b)
{
	struct vhdx *v = vhdx_of(b);

	bmap_fini(&v->m);
	blk_close(b->backing);
	g_free(v->parent);
	g_free(v);
}

static const struct blk_ops vhdx_ops = {
	.name = "vhdx",
	.preadv = bmap_preadv,
	.preadv_now = bmap_preadv_now,
	.below = bmap_below,
	.set_backing = bmap_set_backing,
	.pwritev = bmap_pwritev,
	.flush = bmap_flush,
	.discard = bmap_discard,
	.write_zeroes = bmap_write_zeroes,
	.map = bmap_map,
	.resize = vhdx_resize,
	.close = vhdx_close,
};

static const struct bmap_class vhdx_class = {
	.format = "vhdx",
	.decode = vhdx_decode,
	.encode = vhdx_encode,
	.place = bmap_place,
	.begin = vhdx_begin,
	.part = vhdx_part,
};

/* ---- opening ---- */

static bool head_ok(const uint8_t *h)
{
	return !memcmp(h, "head", 4) && crc_ok(h, VHDX_HEADER) &&
	       get_le16(h + X_VERSION) == 1;
}

static bool vhdx_load_head(struct vhdx *v, GError **err)
{
	struct blk *lower = v->m.lower;
	g_autofree uint8_t *h = g_malloc0(3 * VHDX_HEADER);
	uint8_t *one = h, *two = h + VHDX_HEADER;
	bool ok1, ok2;

	if (lower->size < VHDX_MB)
		return image_bad(err, "vhdx", "it is too short");
	if (blk_pread(lower, h + 2 * VHDX_HEADER, 8, 0) ||
		blk_pread(lower, one, VHDX_HEADER, VHDX_HEAD1) ||
		blk_pread(lower, two, VHDX_HEADER, VHDX_HEAD2))
		return image_errno(err, -EIO, "vhdx", "header");
	if (memcmp(h + 2 * VHDX_HEADER, "vhdxfile", 8)) {
		g_set_error(err, G_FILE_ERROR, G_FILE_ERROR_INVAL,
			"this is not a vhdx image\n"
			"  fix:  say which format it has: format=raw");
		return false;
	}
	ok1 = head_ok(one);
	ok2 = head_ok(two);
	if (!ok1 && !ok2)
		return image_bad(err, "vhdx", "both its headers are wrong");
	v->second = ok2 && (!ok1 || get_le64(two + X_SEQUENCE) >
					    get_le64(one + X_SEQUENCE));
	memcpy(v->head, v->second ? two : one, VHDX_HEADER);
	return true;
}

static bool vhdx_regions_ok(const uint8_t *t)
{
	return !memcmp(t, "regi", 4) && crc_ok(t, VHDX_TABLE) &&
	       get_le32(t + 8) <= REGIONS_MAX;
}

static bool vhdx_take_region(struct vhdx *v, const uint8_t *e, GError **err)
{
	struct vhdx_span s = {get_le64(e + 16), get_le32(e + 24)};

	if (!memcmp(e, vhdx_guid_bat, 16))
		v->bat = s;
	else if (!memcmp(e, vhdx_guid_meta, 16))
		v->meta = s;
	else if (get_le32(e + 28) & 1)
		return image_cannot(err, "vhdx", "an unknown region");
	else
		return true;
	if (s.off < VHDX_MB || s.off % VHDX_MB || s.off > v->m.lower->size ||
		s.len > v->m.lower->size - s.off)
		return image_bad(
			err, "vhdx", "its regions lie outside the file");
	return true;
}

static bool vhdx_load_regions(struct vhdx *v, GError **err)
{
	static const uint32_t places[] = {VHDX_REGION1, VHDX_REGION2};
	g_autofree uint8_t *t = g_malloc0(VHDX_TABLE);
	bool found = false;

	for (unsigned i = 0; i < 2 && !found; i++)
		found = !blk_pread(v->m.lower, t, VHDX_TABLE, places[i]) &&
			vhdx_regions_ok(t);
	if (!found)
		return image_bad(err, "vhdx", "its region tables are wrong");
	for (uint32_t i = 0; i < get_le32(t + 8); i++)
		if (!vhdx_take_region(v, t + 16 + 32 * i, err))
			return false;
	if (!v->bat.len || v->meta.len < VHDX_TABLE ||
		touches(v->bat.off, v->bat.len, &v->meta))
		return image_bad(err, "vhdx", "a region is missing");
	return true;
}

static bool vhdx_take_item(
	struct vhdx *v, const uint8_t *e, uint64_t entry, GError **err)
{
	uint32_t off = get_le32(e + 16), len = get_le32(e + 20);
	uint64_t at = v->meta.off + off;
	uint8_t d[16] = {0};

	if (off > v->meta.len || len > v->meta.len - off)
		return image_bad(
			err, "vhdx", "its metadata lie outside their region");
	if (blk_pread(v->m.lower, d, MIN(len, 16), at))
		return image_errno(err, -EIO, "vhdx", "metadata");
	if (!memcmp(e, vhdx_guid_params, 16) && len >= 8) {
		v->params_at = at;
		v->m.block = get_le32(d);
		v->flags = get_le32(d + 4);
	} else if (!memcmp(e, vhdx_guid_size, 16) && len >= 8) {
		v->size_at = at;
		v->m.blk.size = get_le64(d);
	} else if (!memcmp(e, vhdx_guid_logical, 16) && len >= 4) {
		v->sector = get_le32(d);
	} else if (!memcmp(e, vhdx_guid_locator, 16)) {
		v->locator_at = at;
		v->locator_bytes = len;
		v->locator_entry = entry;
	} else if (memcmp(e, vhdx_guid_page83, 16) &&
		   memcmp(e, vhdx_guid_physical, 16) && get_le32(e + 24) & 4) {
		return image_cannot(err, "vhdx", "unknown metadata");
	}
	return true;
}

static bool vhdx_load_meta(struct vhdx *v, GError **err)
{
	g_autofree uint8_t *t = g_malloc0(VHDX_TABLE);
	uint32_t n;

	if (blk_pread(v->m.lower, t, VHDX_TABLE, v->meta.off))
		return image_errno(err, -EIO, "vhdx", "metadata");
	n = get_le16(t + 10);
	if (memcmp(t, "metadata", 8) || n > ITEMS_MAX)
		return image_bad(err, "vhdx", "its metadata are wrong");
	for (uint32_t i = 0; i < n; i++)
		if (!vhdx_take_item(
			    v, t + 32 + 32 * i, v->meta.off + 32 + 32 * i, err))
			return false;
	if (!v->params_at || !v->size_at ||
		(v->sector != 512 && v->sector != 4096))
		return image_bad(err, "vhdx", "its metadata are not whole");
	if (v->m.block < VHDX_MB || v->m.block > 256 * VHDX_MB ||
		(v->m.block & (v->m.block - 1)))
		return image_bad(err, "vhdx", "its block size is impossible");
	if (!v->m.blk.size || v->m.blk.size > VHDX_MAX ||
		v->m.blk.size % v->sector)
		return image_bad(err, "vhdx", "its size is impossible");
	return true;
}

static bool vhdx_open_parent(
	struct vhdx *v, const struct image_open *how, GError **err)
{
	g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
	struct image_names list = {0};

	if (!(v->flags & VHDX_F_PARENT))
		return true;
	if (!vhdx_load_locator(v, names, err))
		return false;
	v->parent = g_strdup(g_ptr_array_index(names, 0));
	if (how->no_backing)
		return true;
	list.name = (const char *const *)names->pdata;
	list.n = names->len;
	v->m.below = image_open_parent(how, &list, &image_vhdx, err);
	v->m.blk.backing = v->m.below;
	return v->m.below &&
	       image_check_parent(v->m.below, v->parent_id, 16, err);
}

static bool vhdx_settle_log(struct vhdx *v, bool readonly, GError **err)
{
	static const uint8_t none[16];

	if (!memcmp(v->head + X_LOG_GUID, none, 16))
		return true;
	v->m.lower = vhdx_replay(v->m.lower, v->head, readonly, err);
	if (!v->m.lower)
		return false;
	if (readonly)
		return true;
	memset(v->head + X_LOG_GUID, 0, 16);
	return !vhdx_write_head(v) || image_errno(err, -EIO, "vhdx", "header");
}

static bool vhdx_setup(
	struct vhdx *v, const struct image_open *how, GError **err)
{
	struct bmap *m = &v->m;
	uint64_t end;

	if (!vhdx_load_head(v, err) ||
		!vhdx_settle_log(v, how->readonly, err) ||
		!vhdx_load_regions(v, err) || !vhdx_load_meta(v, err))
		return false;
	m->nblocks = (m->blk.size + m->block - 1) / m->block;
	m->chunk = (uint64_t)v->sector * (1u << 23) / m->block;
	if (!bmap_table_at(m, v->bat.off, 512) ||
		(m->nblocks + (m->nblocks - 1) / m->chunk) * 8 > v->bat.len)
		return image_bad(err, "vhdx", "its block table is too short");
	if (!vhdx_open_parent(v, how, err))
		return false;
	end = get_le64(v->head + X_LOG) + get_le32(v->head + X_LOG_BYTES);
	end = MAX(end, MAX(v->bat.off + v->bat.len, v->meta.off + v->meta.len));
	m->data_min = VHDX_MB;
	m->end = (MAX(end, m->lower->size) + VHDX_MB - 1) & ~(VHDX_MB - 1);
	return bmap_ready(m, how->repair, err);
}

static struct blk *vhdx_open(struct image_open *how, GError **err)
{
	struct vhdx *v = g_new0(struct vhdx, 1);

	v->m.blk.ops = &vhdx_ops;
	v->m.blk.readonly = how->readonly;
	v->m.blk.can_discard = true;
	v->m.cls = &vhdx_class;
	v->m.lower = how->lower;
	v->m.width = 8;
	bmap_init(&v->m);
	if (vhdx_setup(v, how, err))
		return &v->m.blk;
	v->m.blk.readonly = true;
	vhdx_close(&v->m.blk);
	return NULL;
}

static bool vhdx_probe(const uint8_t *head, const uint8_t *tail)
{
	return !memcmp(head, "vhdxfile", 8);
}

static void vhdx_describe(struct blk *b, struct image_info *i)
{
	struct vhdx *v = vhdx_of(b);

	i->kind = v->flags & VHDX_F_PARENT  ? "differencing"
		  : v->flags & VHDX_F_LEAVE ? "fixed"
					    : "dynamic";
	i->block = v->m.block;
	i->backing = g_strdup(v->parent);
	i->backing_format = v->parent ? g_strdup("vhdx") : NULL;
	image_info_fact(i, "sector", "%u", v->sector);
}

static bool vhdx_identity(struct blk *b, uint8_t id[IMAGE_ID_BYTES])
{
	memset(id, 0, IMAGE_ID_BYTES);
	memcpy(id, vhdx_of(b)->head + X_DATA_GUID, 16);
	return true;
}

static int vhdx_check(struct blk *b, struct image_check *c)
{
	return bmap_check(&vhdx_of(b)->m, c);
}

static const char *const vhdx_kinds[] = {"dynamic", "fixed", NULL};

const struct image_format image_vhdx = {
	.name = "vhdx",
	.suffix = ".vhdx",
	.summary = "Hyper-V since 2012",
	.kinds = vhdx_kinds,
	.probe = vhdx_probe,
	.open = vhdx_open,
	.create = vhdx_create,
	.describe = vhdx_describe,
	.check = vhdx_check,
	.identity = vhdx_identity,
	.rebase = vhdx_rebase,
};
