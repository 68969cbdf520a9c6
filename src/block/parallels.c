/*
 * parallels.c - Parallels' expanding disks (.hdd, .hds), for reading.
 *
 * A header of 64 bytes, little-endian, then a table of 32-bit places: sectors
 * in the older form, blocks in the newer one ("Ext").  0: not here.
 */
#include <errno.h>
#include <string.h>

#include "block/bmap.h"
#include "block/bytes.h"

enum parallels_field {
	P_VERSION = 16,
	P_TRACKS = 28, /* sectors of a block */
	P_ENTRIES = 32,
	P_SECTORS = 36,
	P_INUSE = 44,
	P_DATA = 48,
	P_TABLE = 64,
};

#define INUSE 0x746f6e59u

struct parallels {
	struct bmap m;
	uint8_t head[64];
	uint32_t unit; /* bytes that an entry counts */
};

static struct bmap_spot parallels_decode(
	const struct bmap *m, uint64_t block, uint64_t entry)
{
	const struct parallels *p = (const struct parallels *)m;
	struct bmap_spot s = {BMAP_BELOW, entry * p->unit};

	if (entry)
		s.kind = s.off < m->data_min || s.off >= m->lower->size
				 ? BMAP_BAD
				 : BMAP_DATA;
	return s;
}

static void parallels_close(struct blk *b)
{
	bmap_fini((struct bmap *)b);
	g_free(b);
}

static const struct blk_ops parallels_ops = {
	.name = "parallels",
	.preadv = bmap_preadv,
	.preadv_now = bmap_preadv_now,
	.below = bmap_below,
	.pwritev = bmap_pwritev,
	.map = bmap_map,
	.close = parallels_close,
};

static const struct bmap_class parallels_class = {
	.format = "parallels",
	.decode = parallels_decode,
};

static bool parallels_probe(const uint8_t *head, const uint8_t *tail)
{
	return !memcmp(head, "WithoutFreeSpace", 16) ||
	       !memcmp(head, "WithouFreSpacExt", 16);
}

static bool parallels_setup(struct parallels *p, GError **err)
{
	struct bmap *m = &p->m;
	const uint8_t *h = p->head;
	int rc = blk_pread(m->lower, p->head, sizeof(p->head), 0);
	uint64_t sectors, block;
	bool ext;

	if (rc)
		return image_errno(err, rc, "parallels", "header");
	if (!parallels_probe(h, NULL)) {
		g_set_error(err, G_FILE_ERROR, G_FILE_ERROR_INVAL,
			"this is not a parallels image\n"
			"  fix:  say which format it has: format=raw");
		return false;
	}
	if (get_le32(h + P_VERSION) != 2)
		return image_cannot(err, "parallels", "an unknown version");
	ext = h[6] == 'F';
	sectors = ext ? get_le64(h + P_SECTORS) : get_le32(h + P_SECTORS);
	block = get_le32(h + P_TRACKS) * 512ull;
	if (!block || block > 256u << 20 || sectors >> 50)
		return image_bad(err, "parallels", "its sizes are impossible");
	m->block = (uint32_t)block;
	p->unit = ext ? m->block : 512;
	m->blk.size = sectors * 512;
	m->nblocks = (m->blk.size + block - 1) / block;
	m->data_min = P_TABLE + m->nblocks * 4;
	if (m->nblocks > get_le32(h + P_ENTRIES) ||
		!bmap_table_at(m, P_TABLE, 1024))
		return image_bad(
			err, "parallels", "its block table is not whole");
	return true;
}

static struct blk *parallels_open(struct image_open *how, GError **err)
{
	struct parallels *p = g_new0(struct parallels, 1);

	p->m.blk.ops = &parallels_ops;
	p->m.blk.readonly = true;
	p->m.cls = &parallels_class;
	p->m.lower = how->lower;
	p->m.width = 4;
	bmap_init(&p->m);
	if (!how->readonly)
		image_cannot(err, "parallels",
			"a format that can only be read: convert it");
	else if (parallels_setup(p, err))
		return &p->m.blk;
	parallels_close(&p->m.blk);
	return NULL;
}

static void parallels_describe(struct blk *b, struct image_info *i)
{
	struct parallels *p = (struct parallels *)b;

	i->kind = "expanding";
	i->block = p->m.block;
	if (get_le32(p->head + P_INUSE) == INUSE)
		image_info_fact(i, "state", "was not closed");
}

static int parallels_check(struct blk *b, struct image_check *c)
{
	return bmap_check((struct bmap *)b, c);
}

const struct image_format image_parallels = {
	.name = "parallels",
	.suffix = ".hdd",
	.summary = "Parallels, read only",
	.probe = parallels_probe,
	.open = parallels_open,
	.describe = parallels_describe,
	.check = parallels_check,
};
