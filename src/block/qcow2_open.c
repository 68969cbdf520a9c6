/*
 * qcow2_open.c - opening a qcow2 image, versions 2 and 3.
 *
 * The header is hostile input: every size and offset is bounded before use,
 * and what is not understood is refused by name.  For writing, the tables must
 * not overlap one another.
 */
#include "block/qcow2.h"

#include <errno.h>
#include <string.h>

#define L1_MAX_BYTES	 (32u << 20)
#define REFTABLE_MAX	 (8u << 20)
#define BACKING_NAME_MAX 1023
#define L2_CACHE_BYTES	 (16u << 20)
#define REF_CACHE_BYTES	 (1u << 20)
#define HEADER_V2	 72
#define HEADER_V3	 104
#define HEADER_AUTOCLEAR 88
#define EXT_END		 0
#define EXT_FORMAT	 0xe2792acau
#define EXT_MAX		 64

#define INCOMPAT_DIRTY	     (1ull << 0)
#define INCOMPAT_CORRUPT     (1ull << 1)
#define INCOMPAT_DATA_FILE   (1ull << 2)
#define INCOMPAT_COMPRESSION (1ull << 3)
#define INCOMPAT_EXTENDED_L2 (1ull << 4)

struct qcow2_header {
	uint32_t version, cluster_bits, crypt, l1_size, reftable_clusters;
	uint32_t backing_len, ref_order, length, nb_snapshots;
	uint64_t backing_off, size, l1_off, reftable_off;
	uint64_t incompat, autoclear;
	uint8_t compression;
};

static bool qcow2_bad(GError **err, const char *what)
{
	g_set_error(err, G_FILE_ERROR, G_FILE_ERROR_INVAL,
		"the qcow2 image is damaged: %s\n"
		"  fix:  try `qemu-img check -r all` on a copy of it",
		what);
	return false;
}

static bool qcow2_cannot(GError **err, const char *what)
{
	g_set_error(err, G_FILE_ERROR, G_FILE_ERROR_NOSYS,
		"the qcow2 image uses %s, which is not supported\n"
		"  fix:  convert it: qemu-img convert -O qcow2 OLD NEW",
		what);
	return false;
}

static bool qcow2_errno(GError **err, int rc, const char *what)
{
	g_set_error(err, G_FILE_ERROR, g_file_error_from_errno(-rc),
		"cannot read the qcow2 image's %s: %s", what, g_strerror(-rc));
	return false;
}

/* ---- header ---- */

static uint32_t be32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, 4);
	return GUINT32_FROM_BE(v);
}

static uint64_t be64(const uint8_t *p)
{
	return (uint64_t)be32(p) << 32 | be32(p + 4);
}

static bool qcow2_parse(const uint8_t *p, struct qcow2_header *h, GError **err)
{
	if (memcmp(p, "QFI\xfb", 4)) {
		g_set_error(err, G_FILE_ERROR, G_FILE_ERROR_INVAL,
			"this is not a qcow2 image\n"
			"  fix:  say which format it has: format=raw");
		return false;
	}
	*h = (struct qcow2_header){
		.version = be32(p + 4),
		.backing_off = be64(p + 8),
		.backing_len = be32(p + 16),
		.cluster_bits = be32(p + 20),
		.size = be64(p + 24),
		.crypt = be32(p + 32),
		.l1_size = be32(p + 36),
		.l1_off = be64(p + 40),
		.reftable_off = be64(p + 48),
		.reftable_clusters = be32(p + 56),
		.nb_snapshots = be32(p + 60),
		.ref_order = 4,
		.length = HEADER_V2,
	};
	if (h->version < 3)
		return true;
	h->incompat = be64(p + 72);
	h->autoclear = be64(p + HEADER_AUTOCLEAR);
	h->ref_order = be32(p + 96);
	h->length = be32(p + 100);
	if (h->length > HEADER_V3)
		h->compression = p[HEADER_V3];
	return true;
}

static bool qcow2_check_features(
	const struct qcow2_header *h, bool readonly, GError **err)
{
	const uint64_t known =
		INCOMPAT_DIRTY | INCOMPAT_CORRUPT | INCOMPAT_COMPRESSION;
	g_autofree char *unknown = NULL;

	if (h->version != 2 && h->version != 3)
		return qcow2_cannot(err, "an unknown version of the format");
	if (h->crypt)
		return qcow2_cannot(err, "encryption");
	if (h->incompat & INCOMPAT_DATA_FILE)
		return qcow2_cannot(err, "an external data file");
	if (h->incompat & INCOMPAT_EXTENDED_L2)
		return qcow2_cannot(err, "subclusters (extended_l2)");
	if (h->compression > 1)
		return qcow2_cannot(err, "an unknown compression");
	if (h->incompat & ~known) {
		unknown = g_strdup_printf("feature bits %#llx",
			(unsigned long long)(h->incompat & ~known));
		return qcow2_cannot(err, unknown);
	}
	if ((h->incompat & INCOMPAT_CORRUPT) && !readonly)
		return qcow2_bad(err, "it is marked as corrupt, and may only "
				      "be opened readonly");
	return true;
}

static bool qcow2_check_sizes(const struct qcow2_header *h, GError **err)
{
	uint64_t cluster, per_l1;

	if (h->cluster_bits < 9 || h->cluster_bits > 21)
		return qcow2_bad(err, "its cluster size is impossible");
	if (h->ref_order > 6)
		return qcow2_bad(err, "its reference counts are too wide");
	cluster = 1ull << h->cluster_bits;
	if (h->version >= 3 && (h->length < HEADER_V3 || h->length > cluster))
		return qcow2_bad(err, "its header's length is impossible");
	if (h->size > INT64_MAX)
		return qcow2_bad(err, "its disk is too large");
	per_l1 = cluster * (cluster / 8);
	if (h->l1_size > L1_MAX_BYTES / 8 ||
		(h->size + per_l1 - 1) / per_l1 > h->l1_size)
		return qcow2_bad(err, "its L1 table does not fit its size");
	if (!h->reftable_clusters ||
		h->reftable_clusters > REFTABLE_MAX / cluster + 1 ||
		h->reftable_clusters * cluster > REFTABLE_MAX + cluster)
		return qcow2_bad(err, "its reference count table's size is "
				      "impossible");
	if (h->l1_off % cluster || h->reftable_off % cluster ||
		h->l1_off > INT64_MAX || h->reftable_off > INT64_MAX)
		return qcow2_bad(err, "its tables are not aligned");
	if (h->backing_off &&
		(h->backing_len > BACKING_NAME_MAX ||
			h->backing_off > cluster ||
			h->backing_len > cluster - h->backing_off))
		return qcow2_bad(err, "its backing file's name is out of "
				      "bounds");
	return true;
}

/* ---- tables ---- */

static bool qcow2_load_root(struct qcow2 *q, struct qcow2_root *r, uint64_t off,
	uint32_t n, const char *what, GError **err)
{
	int rc;

	r->off = off;
	r->n = n;
	r->entry = g_try_new0(uint64_t, MAX(n, 1));
	rc = r->entry ? blk_pread(q->lower, r->entry, n * 8ull, off) : -ENOMEM;
	if (rc)
		return qcow2_errno(err, rc == -EINVAL ? -EIO : rc, what);
	for (uint32_t i = 0; i < n; i++)
		r->entry[i] = GUINT64_FROM_BE(r->entry[i]);
	return true;
}

static bool qcow2_add_meta(
	struct qcow2 *q, uint64_t off, uint64_t bytes, bool strict)
{
	uint64_t first = off >> q->cluster_bits;
	uint64_t end = (off + bytes + q->cluster - 1) >> q->cluster_bits;

	if (strict && (off % q->cluster || off + bytes > q->lower->size))
		return false;
	for (uint64_t c = first; c < end; c++)
		if (!g_hash_table_add(q->meta, GSIZE_TO_POINTER(c)) && strict)
			return false;
	return true;
}

static bool qcow2_note_tables(struct qcow2 *q, GError **err)
{
	bool strict = !q->blk.readonly;
	bool ok = qcow2_add_meta(q, 0, q->cluster, false) &&
		  qcow2_add_meta(q, q->l1.off, q->l1.n * 8ull, strict) &&
		  qcow2_add_meta(
			  q, q->reftable.off, q->reftable.n * 8ull, strict);

	for (uint32_t i = 0; ok && i < q->reftable.n; i++)
		if (q->reftable.entry[i] & ~511ull)
			ok = qcow2_add_meta(q, q->reftable.entry[i] & ~511ull,
				q->cluster, strict);
	for (uint32_t i = 0; ok && i < q->l1.n; i++)
		if (q->l1.entry[i] & QCOW2_L1_OFFSET)
			ok = qcow2_add_meta(q, q->l1.entry[i] & QCOW2_L1_OFFSET,
				q->cluster, strict);
	return ok || qcow2_bad(err, "its tables overlap or lie outside the "
				    "file");
}

/* ---- backing file ---- */

/* The format that the image states for its backing file, or NULL. */
static char *qcow2_backing_format(
	const uint8_t *head, const struct qcow2_header *h)
{
	uint64_t at = h->length, end = h->backing_off;

	for (unsigned i = 0; i < EXT_MAX && at + 8 <= end; i++) {
		uint32_t type = be32(head + at), len = be32(head + at + 4);

		at += 8;
		if (type == EXT_END || len > end - at)
			break;
		if (type == EXT_FORMAT)
			return g_strndup((const char *)head + at, len);
		at += (len + 7ull) & ~7ull;
	}
	return NULL;
}

struct qcow2_how {
	blk_open_backing open;
	void *opaque;
	unsigned depth;
};

static struct blk *qcow2_open_at(struct blk *lower, bool readonly,
	const struct qcow2_how *how, GError **err);

static bool qcow2_open_backing(struct qcow2 *q, const uint8_t *head,
	const struct qcow2_header *h, const struct qcow2_how *how, GError **err)
{
	g_autofree char *name = NULL, *format = NULL;
	struct qcow2_how next = *how;
	int fd;

	if (!h->backing_off || !h->backing_len)
		return true;
	name = g_strndup((const char *)head + h->backing_off, h->backing_len);
	format = qcow2_backing_format(head, h);
	if (!how->open || ++next.depth > QCOW2_MAX_DEPTH)
		return qcow2_cannot(err, how->open
						 ? "more than 64 backing files"
						 : "a backing file");
	if (!format || (strcmp(format, "raw") && strcmp(format, "qcow2"))) {
		g_set_error(err, G_FILE_ERROR, G_FILE_ERROR_INVAL,
			"the format of backing file %s is %s\n"
			"  why:  a guest that can write a disk must not "
			"choose how it is read\n"
			"  fix:  qemu-img rebase -u -b %s -F raw|qcow2 IMAGE",
			name, format ? format : "not stated", name);
		return false;
	}
	fd = how->open(how->opaque, name, err);
	if (fd < 0)
		return false;
	q->backing = blk_raw_open(fd, true, err);
	if (q->backing && !strcmp(format, "qcow2"))
		q->backing = qcow2_open_at(q->backing, true, &next, err);
	if (!q->backing)
		g_prefix_error(err, "backing file %s: ", name);
	return q->backing != NULL;
}

/* ---- all of it ---- */

static void qcow2_take_header(struct qcow2 *q, const struct qcow2_header *h)
{
	q->version = h->version;
	q->cluster_bits = h->cluster_bits;
	q->cluster = 1u << h->cluster_bits;
	q->l2_bits = h->cluster_bits - 3;
	q->ref_order = h->ref_order;
	q->ref_bits = h->cluster_bits + 3 - h->ref_order;
	q->zstd = h->compression == 1;
	q->append_only = h->incompat & INCOMPAT_DIRTY;
	q->blk.size = h->size & ~511ull;
	q->next_free = q->append_only ? (q->lower->size + q->cluster - 1) >>
						q->cluster_bits
				      : 1;
}

/* What we do not keep up with must not be believed by others afterwards. */
static bool qcow2_clear_autoclear(
	struct qcow2 *q, const struct qcow2_header *h, GError **err)
{
	uint64_t none = 0;
	int rc = 0;

	if (!q->blk.readonly && h->autoclear)
		rc = blk_pwrite(q->lower, &none, 8, HEADER_AUTOCLEAR);
	return !rc || qcow2_errno(err, rc, "header, to change it");
}

static bool qcow2_setup(
	struct qcow2 *q, const struct qcow2_how *how, GError **err)
{
	g_autofree uint8_t *head = g_malloc0(2u << 20);
	uint64_t have = MIN(q->lower->size, 2u << 20);
	struct qcow2_header h;
	int rc = blk_pread(q->lower, head, have, 0);

	if (rc)
		return qcow2_errno(err, rc, "header");
	if (!qcow2_parse(head, &h, err) ||
		!qcow2_check_features(&h, q->blk.readonly, err) ||
		!qcow2_check_sizes(&h, err))
		return false;
	qcow2_take_header(q, &h);
	if (!qcow2_load_root(q, &q->l1, h.l1_off, h.l1_size, "L1 table", err) ||
		!qcow2_load_root(q, &q->reftable, h.reftable_off,
			h.reftable_clusters * (q->cluster / 8),
			"reference count table", err) ||
		!qcow2_note_tables(q, err))
		return false;
	if (!qcow2_cache_init(q, &q->l2, q->l1.n, L2_CACHE_BYTES) ||
		!qcow2_cache_init(
			q, &q->refblocks, q->reftable.n, REF_CACHE_BYTES))
		return qcow2_errno(err, -ENOMEM, "tables");
	return qcow2_clear_autoclear(q, &h, err) &&
	       qcow2_open_backing(q, head, &h, how, err);
}

static struct blk *qcow2_open_at(struct blk *lower, bool readonly,
	const struct qcow2_how *how, GError **err)
{
	struct qcow2 *q = g_new0(struct qcow2, 1);

	q->blk.ops = &qcow2_ops;
	q->blk.readonly = readonly;
	q->blk.can_discard = true;
	q->lower = lower;
	q->meta = g_hash_table_new(NULL, NULL);
	q->frees = g_array_new(FALSE, FALSE, sizeof(uint64_t));
	pthread_rwlock_init(&q->lock, NULL);
	pthread_mutex_init(&q->cache_lock, NULL);
	pthread_mutex_init(&q->unpacked_lock, NULL);
	if (qcow2_setup(q, how, err))
		return &q->blk;
	q->blk.readonly = true; /* nothing to write back */
	blk_close(&q->blk);
	return NULL;
}

struct blk *blk_qcow2_open(struct blk *lower, bool readonly,
	blk_open_backing open_backing, void *opaque, GError **err)
{
	const struct qcow2_how how = {open_backing, opaque, 0};

	return qcow2_open_at(lower, readonly, &how, err);
}
