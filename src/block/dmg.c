/*
 * dmg.c - Apple disk images (UDIF), for reading: zero, raw and zlib chunks; the
 * other compressions are refused.
 *
 * The last 512 bytes ("koly", big-endian) say where an XML property list lies;
 * each <data> of it that decodes to a "mish" table lists chunks: kind, sectors
 * of the disk, bytes of the file.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "block/bytes.h"
#include "block/image.h"
#include "block/iov.h"

#define XML_MAX	   (16u << 20)
#define CHUNKS_MAX (4u << 20)
#define CHUNK_MAX  (64u << 20) /* bytes of one that is packed */
#define MISH	   204	       /* bytes of its header, and */
#define ENTRY	   40	       /* of an entry */

enum koly_field {
	K_DATA = 24,
	K_DATA_BYTES = 32,
	K_XML = 216,
	K_XML_BYTES = 224,
	K_SECTORS = 492
};
enum chunk_kind {
	C_ZERO,
	C_RAW,
	C_IGNORE,
	C_ZLIB = 0x80000005u,
	C_COMMENT = 0x7ffffffeu,
	C_END = 0xffffffffu
};

struct chunk {
	uint64_t start, len;  /* bytes of the disk */
	uint64_t off, packed; /* bytes of the file */
	uint32_t kind;
};

struct dmg {
	struct blk blk;
	struct blk *lower;
	GArray *chunks;
	uint64_t data; /* where data begin */
	GMutex lock;
	guint unpacked; /* chunk + 1 */
	uint8_t *buf;
};

static struct chunk *chunk_at(const struct dmg *d, guint i)
{
	return &g_array_index(d->chunks, struct chunk, i);
}

/* The chunk that has off, or the first behind it. */
static guint chunk_find(const struct dmg *d, uint64_t off)
{
	guint lo = 0, hi = d->chunks->len;

	while (lo < hi) {
		guint mid = (lo + hi) / 2;
		const struct chunk *c = chunk_at(d, mid);

		if (c->start + c->len <= off)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* ---- reading ---- */

static int dmg_unpack(struct dmg *d, guint i)
{
	const struct chunk *c = chunk_at(d, i);
	g_autofree uint8_t *in = NULL;
	uLongf got = c->len;
	int rc;

	if (d->unpacked == i + 1)
		return 0;
	d->unpacked = 0;
	g_free(d->buf);
	d->buf = g_try_malloc(c->len);
	in = g_try_malloc(c->packed);
	if (!d->buf || !in)
		return -ENOMEM;
	rc = blk_pread(d->lower, in, c->packed, c->off);
	if (rc)
		return -EIO;
	if (uncompress(d->buf, &got, in, c->packed) != Z_OK || got != c->len)
		return -EIO;
	d->unpacked = i + 1;
	return 0;
}

static int dmg_read_chunk(
	struct dmg *d, guint i, const struct iovec *iov, int n, uint64_t off)
{
	const struct chunk *c = chunk_at(d, i);
	int rc;

	if (c->kind == C_RAW)
		return blk_preadv_clamped(
			d->lower, iov, n, c->off + (off - c->start));
	if (c->kind != C_ZLIB) {
		iov_zero(iov, n);
		return 0;
	}
	g_mutex_lock(&d->lock);
	rc = dmg_unpack(d, i);
	if (!rc)
		iov_fill(iov, n, 0, d->buf + (off - c->start),
			iov_bytes(iov, n));
	g_mutex_unlock(&d->lock);
	return rc;
}

static int dmg_preadv(
	struct blk *b, const struct iovec *iov, int n, uint64_t off)
{
	struct dmg *d = (struct dmg *)b;
	g_autofree struct iovec *part = g_new(struct iovec, n);
	uint64_t len = iov_bytes(iov, n), done = 0, run;
	int rc = 0;

	while (done < len && !rc) {
		guint i = chunk_find(d, off + done);
		const struct chunk *c =
			i < d->chunks->len ? chunk_at(d, i) : NULL;
		uint64_t at = off + done;
		int m;

		if (!c || c->start > at) { /* nothing is said of it */
			run = MIN(len - done, c ? c->start - at : UINT64_MAX);
			m = iov_slice(iov, n, done, run, part);
			iov_zero(part, m);
		} else {
			run = MIN(len - done, c->start + c->len - at);
			m = iov_slice(iov, n, done, run, part);
			rc = dmg_read_chunk(d, i, part, m, at);
		}
		done += run;
	}
	return rc;
}

static int dmg_map(
	struct blk *b, uint64_t off, uint64_t len, struct blk_extent *e)
{
	struct dmg *d = (struct dmg *)b;
	guint i = chunk_find(d, off);
	const struct chunk *c = i < d->chunks->len ? chunk_at(d, i) : NULL;

	if (!c || c->start > off) {
		e->state = BLK_ZERO;
		e->len = MIN(len, c ? c->start - off : UINT64_MAX);
		return 0;
	}
	e->len = MIN(len, c->start + c->len - off);
	e->packed = c->kind == C_ZLIB;
	if (c->kind != C_ZLIB && c->kind != C_RAW)
		e->state = BLK_ZERO;
	return 0;
}

static void dmg_close(struct blk *b)
{
	struct dmg *d = (struct dmg *)b;

	g_array_free(d->chunks, TRUE);
	g_mutex_clear(&d->lock);
	g_free(d->buf);
	blk_close(d->lower);
	g_free(d);
}

static const struct blk_ops dmg_ops = {
	.name = "dmg",
	.preadv = dmg_preadv,
	.map = dmg_map,
	.close = dmg_close,
};

/* ---- opening ---- */

static bool dmg_take_chunk(
	struct dmg *d, const uint8_t *e, uint64_t first, GError **err)
{
	struct chunk c = {.kind = get_be32(e)};
	uint64_t start = first + get_be64(e + 8), sectors = get_be64(e + 16);
	uint64_t off = get_be64(e + 24);

	if (c.kind == C_COMMENT || c.kind == C_END || !sectors)
		return true;
	if (c.kind != C_ZERO && c.kind != C_RAW && c.kind != C_IGNORE &&
		c.kind != C_ZLIB)
		return image_cannot(err, "dmg", "an unknown compression");
	c.start = start * 512;
	c.len = sectors * 512;
	c.off = d->data + off;
	c.packed = get_be64(e + 32);
	if (start >> 50 || sectors >> 50 || off >> 60 || c.packed >> 40 ||
		(c.kind == C_ZLIB &&
			(c.len > CHUNK_MAX || c.packed > CHUNK_MAX)) ||
		(c.kind != C_ZERO && c.kind != C_IGNORE &&
			c.off + c.packed > d->lower->size))
		return image_bad(err, "dmg", "a chunk lies outside the file");
	g_array_append_val(d->chunks, c);
	return d->chunks->len <= CHUNKS_MAX ||
	       image_bad(err, "dmg", "it has too many chunks");
}

static bool dmg_take_table(
	struct dmg *d, const uint8_t *t, gsize len, GError **err)
{
	uint32_t n;

	if (len < MISH || memcmp(t, "mish", 4))
		return true;
	n = get_be32(t + 200);
	if (n > (len - MISH) / ENTRY)
		return image_bad(err, "dmg", "a table is not whole");
	for (uint32_t i = 0; i < n; i++)
		if (!dmg_take_chunk(d, t + MISH + ENTRY * (gsize)i,
			    get_be64(t + 8), err))
			return false;
	return true;
}

static bool dmg_take_xml(struct dmg *d, char *xml, GError **err)
{
	char *end;

	for (char *p = xml; (p = strstr(p, "<data>")); p = end + 1) {
		g_autofree guchar *t = NULL;
		gsize len;

		p += strlen("<data>");
		end = strstr(p, "</data>");
		if (!end)
			break;
		*end = '\0';
		t = g_base64_decode(p, &len);
		if (!dmg_take_table(d, t, len, err))
			return false;
	}
	return d->chunks->len || image_bad(err, "dmg", "it has no chunks");
}

static int chunk_compare(const void *a, const void *b)
{
	const struct chunk *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

static bool dmg_setup(struct dmg *d, GError **err)
{
	uint8_t end[1024], *k = end + 512;
	g_autofree char *xml = NULL;
	uint64_t at, len;
	int rc = d->lower->size < 1024 ? -EINVAL
				       : blk_pread(d->lower, end, 1024,
						 d->lower->size - 1024);

	if (rc)
		return image_errno(err, rc, "dmg", "trailer");
	/* The file may end anywhere in its last sector. */
	while (k > end && memcmp(k, "koly\0\0\0\4\0\0\2", 12))
		k--;
	if (k == end) {
		g_set_error(err, G_FILE_ERROR, G_FILE_ERROR_INVAL,
			"this is not a dmg image\n"
			"  fix:  say which format it has: format=raw");
		return false;
	}
	at = get_be64(k + K_XML);
	len = get_be64(k + K_XML_BYTES);
	d->data = get_be64(k + K_DATA);
	if (!len || len > XML_MAX || at > d->lower->size || d->data >> 60)
		return image_bad(err, "dmg", "its tables are missing");
	xml = g_malloc0(len + 1);
	rc = blk_pread(d->lower, xml, len, at);
	if (rc)
		return image_errno(err, rc, "dmg", "tables");
	if (!dmg_take_xml(d, xml, err))
		return false;
	g_array_sort(d->chunks, chunk_compare);
	for (guint i = 0; i < d->chunks->len; i++) {
		const struct chunk *c = chunk_at(d, i);

		if (i && c->start < chunk_at(d, i - 1)->start +
					    chunk_at(d, i - 1)->len)
			return image_bad(err, "dmg", "its chunks overlap");
		d->blk.size = c->start + c->len;
	}
	at = get_be64(k + K_SECTORS);
	if (at >> 50)
		return image_bad(err, "dmg", "its size is impossible");
	d->blk.size = MAX(d->blk.size, at * 512);
	return true;
}

static struct blk *dmg_open(struct image_open *how, GError **err)
{
	struct dmg *d = g_new0(struct dmg, 1);

	d->blk.ops = &dmg_ops;
	d->blk.readonly = true;
	d->lower = how->lower;
	d->chunks = g_array_new(FALSE, FALSE, sizeof(struct chunk));
	g_mutex_init(&d->lock);
	if (!how->readonly)
		image_cannot(err, "dmg",
			"a format that can only be read: convert it");
	else if (dmg_setup(d, err))
		return &d->blk;
	dmg_close(&d->blk);
	return NULL;
}

static bool dmg_probe(const uint8_t *head, const uint8_t *tail)
{
	for (unsigned i = 0; i < 500; i++)
		if (!memcmp(tail + i, "koly", 4))
			return true;
	return false;
}

const struct image_format image_dmg = {
	.name = "dmg",
	.suffix = ".dmg",
	.summary = "Apple, read only",
	.probe = dmg_probe,
	.open = dmg_open,
};
