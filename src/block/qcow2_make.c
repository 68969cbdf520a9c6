/*
 * qcow2_make.c - making and resizing qcow2 images, other backing files, and
 * compressed clusters.
 */
#include <errno.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "block/bytes.h"
#include "block/qcow2.h"

#define EXT_FORMAT   0xe2792acau
#define EXT_FEATURES 0x6803f857u
#define L1_MAX	     ((32u << 20) / 8)
#define SECTOR	     512
#define NAME_AT	     1024 /* of a backing file, in the header's cluster */
#define NAME_MAX_LEN 1023

/* ---- making ---- */

struct plan {
	uint32_t cluster, bits, version;
	bool extended;
	uint64_t l1_n, l1_clusters, blocks, table_clusters, used;
};

static bool plan_make(
	const struct image_create *c, struct plan *p, GError **err)
{
	const char *kind = c->kind ? c->kind : "v3";
	uint64_t per_l2, per_block;

	p->version = !strcmp(kind, "v2") ? 2 : 3;
	p->extended = !strcmp(kind, "extended");
	p->cluster = c->block ? c->block : p->extended ? 128u << 10 : 64u << 10;
	p->bits = (uint32_t)g_bit_nth_msf(p->cluster, -1);
	if (p->bits < (p->extended ? 14 : 9) || p->bits > 21 ||
		p->cluster != 1u << p->bits) {
		g_set_error(err, G_FILE_ERROR, G_FILE_ERROR_INVAL,
			"clusters of a qcow2 image have 512 bytes to 2M (with "
			"subclusters 16K to 2M), a power of two");
		return false;
	}
	per_l2 = p->cluster / (p->extended ? 16 : 8);
	p->l1_n = (c->size + p->cluster * per_l2 - 1) / (p->cluster * per_l2);
	p->l1_n = MAX(p->l1_n, 1);
	if (p->l1_n > L1_MAX) {
		g_set_error(err, G_FILE_ERROR, G_FILE_ERROR_INVAL,
			"the qcow2 image would be too large for its clusters\n"
			"  fix:  choose larger ones: --block 2M");
		return false;
	}
	p->l1_clusters = (p->l1_n * 8 + p->cluster - 1) / p->cluster;
	per_block = p->cluster / 2;
	p->blocks = p->table_clusters = 1;
	do {
		p->used = 1 + p->table_clusters + p->blocks + p->l1_clusters;
		p->blocks = (p->used + per_block - 1) / per_block;
		p->table_clusters =
			(p->blocks * 8 + p->cluster - 1) / p->cluster;
	} while (p->used != 1 + p->table_clusters + p->blocks + p->l1_clusters);
	return true;
}

/* The header's first cluster but for a name. */
static void fill_header(
	uint8_t *h, const struct image_create *c, const struct plan *p)
{
	memcpy(h, "QFI\xfb", 4);
	put_be32(h + Q_VERSION, p->version);
	put_be32(h + Q_CLUSTER_BITS, p->bits);
	put_be64(h + Q_SIZE, c->size);
	put_be32(h + Q_L1_SIZE, (uint32_t)p->l1_n);
	put_be64(h + Q_L1, (1 + p->table_clusters + p->blocks) << p->bits);
	put_be64(h + Q_REFTABLE, p->cluster);
	put_be32(h + Q_REFTABLE_CLUSTERS, (uint32_t)p->table_clusters);
	if (p->version < 3)
		return;
	put_be64(h + Q_INCOMPAT, p->extended ? QCOW2_INCOMPAT_EXTENDED_L2 : 0);
	put_be32(h + Q_REF_ORDER, 4);
	put_be32(h + Q_LENGTH, QCOW2_HEADER_V3);
}

/* Backing file's name behind the header (at `at`), its format in an
 * extension. */
static bool fill_backing(uint8_t *h, uint32_t room, uint32_t at,
	const struct image_create *c, GError **err)
{
	uint32_t len = (uint32_t)strlen(c->backing);
	uint32_t ext = get_be32(h + Q_VERSION) < 3 ? QCOW2_HEADER_V2
						   : get_be32(h + Q_LENGTH);
	uint32_t flen = (uint32_t)strlen(c->backing_format);

	if (len > NAME_MAX_LEN || at + len > room || ext + 24 + flen > SECTOR) {
		g_set_error(err, G_FILE_ERROR, G_FILE_ERROR_INVAL,
			"the backing file's name is too long for the qcow2 "
			"image: %s",
			c->backing);
		return false;
	}
	put_be32(h + ext, EXT_FORMAT);
	put_be32(h + ext + 4, flen);
	memcpy(h + ext + 8, c->backing_format, flen);
	put_be64(h + Q_BACKING, at);
	put_be32(h + Q_BACKING_BYTES, len);
	memcpy(h + at, c->backing, len);
	return true;
}

static int write_counts(struct blk *lower, const struct plan *p)
{
	uint64_t bytes = (p->table_clusters + p->blocks) << p->bits;
	g_autofree uint8_t *t = g_try_malloc0(bytes);
	uint8_t *blocks;

	if (!t)
		return -ENOMEM;
	blocks = t + (p->table_clusters << p->bits);
	for (uint64_t i = 0; i < p->blocks; i++)
		put_be64(t + 8 * i, (1 + p->table_clusters + i) << p->bits);
	for (uint64_t i = 0; i < p->used; i++)
		put_be16(blocks + 2 * i, 1);
	return blk_pwrite(lower, t, bytes, p->cluster);
}

bool qcow2_create(struct image_create *c, GError **err)
{
	struct plan p;
	g_autofree uint8_t *h = NULL;
	int rc;

	c->size = (c->size + 511) & ~511ull;
	if (!plan_make(c, &p, err))
		return false;
	h = g_malloc0(p.cluster);
	fill_header(h, c, &p);
	/* As QEMU has it: a name is within the first KiB or two. */
	if (c->backing &&
		!fill_backing(h, p.cluster,
			p.cluster < 2 * NAME_AT ? 256 : NAME_AT, c, err))
		return false;
	rc = blk_resize(c->lower, p.used << p.bits);
	if (!rc)
		rc = write_counts(c->lower, &p);
	if (!rc)
		rc = blk_pwrite(c->lower, h, p.cluster, 0);
	return !rc || image_errno(err, rc, "qcow2", "first clusters");
}

/* ---- another backing file ---- */

/* Extensions other than the format and the names of features, as far as they
 * fit; where they end. */
static uint32_t keep_extensions(
	uint8_t *h, const uint8_t *old, uint32_t from, uint32_t end)
{
	uint32_t at = from, to = from;

	while (at + 8 <= end) {
		uint32_t type = get_be32(old + at);
		uint32_t len = (get_be32(old + at + 4) + 7) & ~7u;

		if (!type || len > end - at - 8)
			break;
		if (type != EXT_FORMAT && type != EXT_FEATURES &&
			to + 8 + len <= SECTOR - 64) {
			memcpy(h + to, old + at, 8 + len);
			to += 8 + len;
		}
		at += 8 + len;
	}
	return to;
}

/* The name goes to a free place first; the first sector then has all that
 * changes. */
bool qcow2_rebase(struct blk *b, const struct image_create *c, GError **err)
{
	struct qcow2 *q = qcow2_of(b);
	uint32_t bytes = MIN(q->cluster, 64u << 10), from, ext, at = 0;
	g_autofree uint8_t *old = g_malloc0(bytes), *h = g_malloc0(bytes);
	uint32_t len = c->backing ? (uint32_t)strlen(c->backing) : 0, flen;
	int rc = qcow2_settle(q);

	if (!rc)
		rc = blk_pread(q->lower, old, bytes, 0);
	if (rc)
		return image_errno(err, rc, "qcow2", "header");
	from = q->version < 3 ? QCOW2_HEADER_V2 : q->head.length;
	memcpy(h, old, from);
	ext = keep_extensions(h, old, from,
		q->head.backing_off ? (uint32_t)q->head.backing_off : bytes);
	if (len) {
		at = q->head.backing_off == NAME_AT ? 2 * NAME_AT : NAME_AT;
		flen = (uint32_t)strlen(c->backing_format);
		if (len > NAME_MAX_LEN || at + len > bytes) {
			g_set_error(err, G_FILE_ERROR, G_FILE_ERROR_INVAL,
				"the backing file's name is too long for the "
				"qcow2 image: %s",
				c->backing);
			return false;
		}
		put_be32(h + ext, EXT_FORMAT);
		put_be32(h + ext + 4, flen);
		memcpy(h + ext + 8, c->backing_format, flen);
		rc = blk_pwrite(q->lower, c->backing, len, at);
		if (!rc)
			rc = blk_flush(q->lower);
	}
	put_be64(h + Q_BACKING, at);
	put_be32(h + Q_BACKING_BYTES, len);
	if (!rc)
		rc = blk_pwrite(q->lower, h, SECTOR, 0);
	if (!rc)
		rc = blk_flush(q->lower);
	q->head.backing_off = at;
	q->head.backing_len = len;
	return !rc || image_errno(err, rc, "qcow2", "header");
}

/* ---- resizing ---- */

/* Clusters in a row, n of them, of which the counts are set. */
static int take_row(struct qcow2 *q, uint64_t n, uint64_t *first)
{
	uint64_t got = 0, c = 0;

	while (got < n) {
		int k = qcow2_take(q, (unsigned)MIN(n - got, 1u << 20), &c);

		if (k < 0)
			return k;
		/* Given back only later, or we would get them again. */
		if (got && c != *first + got) {
			for (uint64_t i = 0; i < got; i++)
				qcow2_free_later(q, *first + i);
			got = 0;
		}
		if (!got)
			*first = c;
		got += (unsigned)k;
	}
	return 0;
}

/* A longer L1 table in a new place; the header then points there. */
static int grow_l1(struct qcow2 *q, uint32_t n)
{
	uint64_t clusters = (n * 8ull + q->cluster - 1) >> q->cluster_bits;
	uint64_t old = (q->l1.n * 8ull + q->cluster - 1) >> q->cluster_bits;
	uint64_t bytes = clusters << q->cluster_bits, c = 0;
	g_autofree uint8_t *t = g_try_malloc0(bytes);
	uint64_t *entry = g_try_new0(uint64_t, n);
	uint8_t field[12];
	int rc = t && entry ? take_row(q, clusters, &c) : -ENOMEM;

	if (rc) {
		g_free(entry);
		return rc;
	}
	for (uint32_t i = 0; i < q->l1.n; i++)
		put_be64(t + 8 * i, entry[i] = q->l1.entry[i]);
	rc = blk_pwrite(q->lower, t, bytes, c << q->cluster_bits);
	if (!rc)
		rc = qcow2_settle(q);
	put_be32(field, n);
	put_be64(field + 4, c << q->cluster_bits);
	if (!rc)
		rc = blk_pwrite(q->lower, field, 12, Q_L1_SIZE);
	if (!rc)
		rc = blk_flush(q->lower);
	if (rc) {
		g_free(entry);
		return rc;
	}
	for (uint64_t i = 0; i < clusters; i++)
		g_hash_table_add(q->meta, GSIZE_TO_POINTER(c + i));
	for (uint64_t i = 0; i < old; i++) {
		uint64_t o = (q->l1.off >> q->cluster_bits) + i;

		g_hash_table_remove(q->meta, GSIZE_TO_POINTER(o));
		qcow2_free_later(q, o);
	}
	g_free(q->l1.entry);
	q->l1.entry = entry;
	q->l1.off = c << q->cluster_bits;
	q->l1.n = n;
	return 0;
}

static int write_size(struct qcow2 *q, uint64_t size)
{
	uint8_t be[8];
	int rc;

	put_be64(be, size);
	rc = blk_pwrite(q->lower, be, 8, Q_SIZE);
	if (!rc)
		rc = blk_flush(q->lower);
	if (!rc)
		q->blk.size = q->head.size = size;
	return rc;
}

/* What lay behind the old end in the last cluster must not come back; nor
 * does a longer backing file shine through. */
static int zero_new(struct blk *b, uint64_t from, uint64_t to)
{
	struct qcow2 *q = qcow2_of(b);
	uint64_t edge = (from + q->cluster - 1) & ~(uint64_t)(q->cluster - 1);

	if (!b->backing || b->backing->size <= from)
		to = MIN(to, edge);
	else
		to = MIN(to, (b->backing->size + q->cluster - 1) &
				     ~(uint64_t)(q->cluster - 1));
	return from < to ? blk_write_zeroes(b, from, to - from, true) : 0;
}

int qcow2_resize(struct blk *b, uint64_t size)
{
	struct qcow2 *q = qcow2_of(b);
	uint64_t old = b->size, per = (uint64_t)q->cluster << q->l2_bits;
	uint64_t n = (size + per - 1) / per;
	int rc = 0;

	if (n > L1_MAX)
		return -EFBIG;
	if (q->snapshots && q->snapshots->len && q->version < 3)
		return -EOPNOTSUPP; /* they do not keep the size */
	if (size < old)
		rc = blk_discard(b, size, old - size);
	pthread_rwlock_wrlock(&q->lock);
	if (!rc)
		rc = qcow2_settle(q);
	if (!rc && n > q->l1.n)
		rc = grow_l1(q, (uint32_t)n);
	if (!rc)
		rc = write_size(q, size);
	if (!rc)
		rc = qcow2_settle(q);
	pthread_rwlock_unlock(&q->lock);
	return rc || size < old ? rc : zero_new(b, old, size);
}

/* ---- compressed clusters ---- */

static size_t pack_zlib(
	const void *in, uint32_t len, uint8_t *out, uint32_t room)
{
	z_stream z = {0};
	union {
		const void *from;
		Bytef *to;
	} p = {.from = in};
	size_t got;

	/* A window of 4 KiB: what every reader of the format can unpack. */
	if (deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -12, 9,
		    Z_DEFAULT_STRATEGY) != Z_OK)
		return 0;
	z.next_in = p.to;
	z.avail_in = len;
	z.next_out = out;
	z.avail_out = room;
	got = deflate(&z, Z_FINISH) == Z_STREAM_END ? room - z.avail_out : 0;
	deflateEnd(&z);
	return got;
}

static size_t pack(
	const struct qcow2 *q, const void *in, uint8_t *out, uint32_t room)
{
	size_t n;

	if (!q->zstd)
		return pack_zlib(in, q->cluster, out, room);
	n = ZSTD_compress(out, room, in, q->cluster, 3);
	return ZSTD_isError(n) ? 0 : n;
}

/* Room for len bytes, which may reach into a second cluster; one reference
 * more for each that it touches. */
static int take_bytes(struct qcow2 *q, uint64_t len, uint64_t *at)
{
	uint64_t c, n, first;
	int rc;

	if (q->pack_at % q->cluster && q->pack_at + len <= q->pack_end) {
		c = q->pack_at >> q->cluster_bits;
		rc = qcow2_ref_read(q, c, &n);
		if (!rc)
			rc = qcow2_ref_write(q, c, n + 1);
		if (!rc) {
			*at = q->pack_at;
			q->pack_at += len;
			return 0;
		}
		if (rc != -EOVERFLOW)
			return rc;
		q->pack_at = q->pack_end = 0;
	}
	rc = qcow2_take(q, 1, &first);
	if (rc < 0)
		return rc;
	/* Go on from the cluster before if it adjoins. */
	if (q->pack_at % q->cluster &&
		first << q->cluster_bits == q->pack_end) {
		c = q->pack_at >> q->cluster_bits;
		rc = qcow2_ref_read(q, c, &n);
		if (!rc)
			rc = qcow2_ref_write(q, c, n + 1);
		if (!rc) {
			*at = q->pack_at;
			q->pack_at += len;
			q->pack_end += q->cluster;
			return 0;
		}
	}
	*at = first << q->cluster_bits;
	q->pack_at = *at + len;
	q->pack_end = *at + q->cluster;
	return 0;
}

static int write_packed_at(
	struct qcow2 *q, const uint8_t *data, uint64_t len, uint64_t off)
{
	unsigned shift = 62 - (q->cluster_bits - 8), i;
	struct qcow2_table *t;
	uint64_t at, more;
	int rc = qcow2_l2_for_write(q, off, &t);

	if (!rc)
		rc = take_bytes(q, len, &at);
	if (!rc)
		rc = blk_pwrite(q->lower, data, len, at);
	if (!rc) /* taking may have moved it */
		rc = qcow2_l2_for_write(q, off, &t);
	if (rc)
		return rc;
	i = qcow2_l2_index(q, off);
	qcow2_drop_entry(q, qcow2_l2_get(q, t, i));
	more = ((at + len - 1) >> 9) - (at >> 9);
	qcow2_l2_set(q, t, i,
		(struct qcow2_entry){at | more << shift | QCOW2_COMPRESSED, 0});
	return 0;
}

int qcow2_write_packed(struct blk *b, const void *buf, size_t len, uint64_t off)
{
	struct qcow2 *q = qcow2_of(b);
	g_autofree uint8_t *out = g_try_malloc(q->cluster);
	g_autofree uint8_t *whole = NULL;
	const void *in = buf;
	size_t n;
	int rc;

	if (off % q->cluster || len > q->cluster || !out)
		return out ? -EINVAL : -ENOMEM;
	if (len < q->cluster) {
		in = whole = g_malloc0(q->cluster);
		memcpy(whole, buf, len);
	}
	n = pack(q, in, out, q->cluster - 1);
	if (!n)
		return blk_pwrite(b, buf, len, off);
	pthread_rwlock_wrlock(&q->lock);
	rc = write_packed_at(q, out, n, off);
	pthread_rwlock_unlock(&q->lock);
	return rc;
}
