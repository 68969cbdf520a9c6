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

#include "block/bytes.h"

#define L1_MAX_BYTES	 (32u << 20)
#define REFTABLE_MAX	 (8u << 20)
#define BACKING_NAME_MAX 1023
#define L2_CACHE_BYTES	 (16u << 20)
#define REF_CACHE_BYTES	 (1u << 20)
#define EXT_END		 0
#define EXT_FORMAT	 0xe2792acau
#define EXT_MAX		 64

static bool qcow2_bad(GError **err, const char *what)
{
	return image_bad(err, "qcow2", what);
}

static bool qcow2_cannot(GError **err, const char *what)
{
	return image_cannot(err, "qcow2", what);
}

static bool qcow2_errno(GError **err, int rc, const char *what)
{
	return image_errno(err, rc, "qcow2", what);
}

/* ---- header ---- */

static bool qcow2_parse(const uint8_t *p, struct qcow2_header *h, GError **err)
{
	if (memcmp(p, "QFI\xfb", 4)) {
		g_set_error(err, G_FILE_ERROR, G_FILE_ERROR_INVAL,
			"this is not a qcow2 image\n"
			"  fix:  say which format it has: format=raw");
		return false;
	}
	*h = (struct qcow2_header){
		.version = get_be32(p + 4),
		.backing_off = get_be64(p + 8),
		.backing_len = get_be32(p + 16),
		.cluster_bits = get_be32(p + 20),
		.size = get_be64(p + 24),
		.crypt = get_be32(p + 32),
		.l1_size = get_be32(p + 36),
		.l1_off = get_be64(p + 40),
		.reftable_off = get_be64(p + 48),
		.reftable_clusters = get_be32(p + 56),
		.nb_snapshots = get_be32(p + 60),
		.snapshots_off = get_be64(p + 64),
		.ref_order = 4,
		.length = QCOW2_HEADER_V2,
	};
	if (h->version < 3)
		return true;
	h->incompat = get_be64(p + 72);
	h->autoclear = get_be64(p + Q_AUTOCLEAR);
	h->ref_order = get_be32(p + 96);
	h->length = get_be32(p + 100);
	if (h->length > QCOW2_HEADER_V3)
		h->compression = p[QCOW2_HEADER_V3];
	return true;
}

static bool qcow2_check_features(
	const struct qcow2_header *h, bool readonly, GError **err)
{
	const uint64_t known = QCOW2_INCOMPAT_DIRTY | QCOW2_INCOMPAT_CORRUPT |
			       QCOW2_INCOMPAT_COMPRESSION |
			       QCOW2_INCOMPAT_EXTENDED_L2;
	g_autofree char *unknown = NULL;

	if (h->version != 2 && h->version != 3)
		return qcow2_cannot(err, "an unknown version of the format");
	if (h->crypt)
		return qcow2_cannot(err, "encryption");
	if (h->incompat & QCOW2_INCOMPAT_DATA_FILE)
		return qcow2_cannot(err, "an external data file");
	if (h->compression > 1)
		return qcow2_cannot(err, "an unknown compression");
	if (h->incompat & ~known) {
		unknown = g_strdup_printf("feature bits %#llx",
			(unsigned long long)(h->incompat & ~known));
		return qcow2_cannot(err, unknown);
	}
	if ((h->incompat & QCOW2_INCOMPAT_CORRUPT) && !readonly)
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
	if (h->version >= 3 &&
		(h->length < QCOW2_HEADER_V3 || h->length > cluster))
		return qcow2_bad(err, "its header's length is impossible");
	if (h->size > INT64_MAX)
		return qcow2_bad(err, "its disk is too large");
	if (h->incompat & QCOW2_INCOMPAT_EXTENDED_L2 && h->cluster_bits < 14)
		return qcow2_bad(err, "its clusters are too small for "
				      "subclusters");
	per_l1 =
		cluster *
		(cluster / (h->incompat & QCOW2_INCOMPAT_EXTENDED_L2 ? 16 : 8));
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

static bool qcow2_note_tables(struct qcow2 *q, bool repair, GError **err)
{
	bool strict = !q->blk.readonly && !repair;
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
		uint32_t type = get_be32(head + at),
			 len = get_be32(head + at + 4);

		at += 8;
		if (type == EXT_END || len > end - at)
			break;
		if (type == EXT_FORMAT)
			return g_strndup((const char *)head + at, len);
		at += (len + 7ull) & ~7ull;
	}
	return NULL;
}

static bool qcow2_open_backing(struct qcow2 *q, const uint8_t *head,
	const struct image_open *how, GError **err)
{
	const struct qcow2_header *h = &q->head;
	const struct image_format *f;

	if (!h->backing_off || !h->backing_len)
		return true;
	q->backing_name =
		g_strndup((const char *)head + h->backing_off, h->backing_len);
	q->backing_format = qcow2_backing_format(head, h);
	if (how->no_backing)
		return true;
	f = image_format_find(q->backing_format);
	if (!f) {
		g_set_error(err, G_FILE_ERROR, G_FILE_ERROR_INVAL,
			"the format of backing file %s is %s\n"
			"  why:  a guest that can write a disk must not "
			"choose how it is read\n"
			"  fix:  vmeste disk rebase --unsafe --backing %s "
			"--backing-format raw|qcow2 IMAGE",
			q->backing_name,
			q->backing_format ? q->backing_format : "not stated",
			q->backing_name);
		return false;
	}
	q->blk.backing = image_open_backing(how, q->backing_name, f, err);
	return q->blk.backing != NULL;
}

/* ---- all of it ---- */

static void qcow2_take_header(struct qcow2 *q, const struct qcow2_header *h)
{
	q->version = h->version;
	q->cluster_bits = h->cluster_bits;
	q->cluster = 1u << h->cluster_bits;
	q->extended = h->incompat & QCOW2_INCOMPAT_EXTENDED_L2;
	q->l2_bits = h->cluster_bits - (q->extended ? 4 : 3);
	q->ref_order = h->ref_order;
	q->ref_bits = h->cluster_bits + 3 - h->ref_order;
	q->zstd = h->compression == 1;
	q->append_only = h->incompat & QCOW2_INCOMPAT_DIRTY;
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
		rc = blk_pwrite(q->lower, &none, 8, Q_AUTOCLEAR);
	return !rc || qcow2_errno(err, rc, "header, to change it");
}

/* Snapshots share clusters with the disk, and an own L1 table each. */
static bool qcow2_take_snapshots(
	struct qcow2 *q, const struct image_open *how, GError **err)
{
	const struct qcow2_snapshot *s;

	if (!qcow2_snapshots_load(q)) {
		if (q->blk.readonly && !how->snapshot)
			return true;
		return qcow2_bad(err, "its list of snapshots is not whole");
	}
	if (!how->snapshot)
		return true;
	s = qcow2_snapshot_find(q, how->snapshot);
	if (!s) {
		g_set_error(err, G_FILE_ERROR, G_FILE_ERROR_NOENT,
			"the image has no snapshot %s\n"
			"  fix:  vmeste disk info lists them",
			how->snapshot);
		return false;
	}
	q->blk.size = s->size;
	g_free(q->l1.entry);
	return qcow2_load_root(
		q, &q->l1, s->l1_off, s->l1_n, "snapshot's L1 table", err);
}

static bool qcow2_setup(
	struct qcow2 *q, const struct image_open *how, GError **err)
{
	g_autofree uint8_t *head = g_malloc0(2u << 20);
	uint64_t have = MIN(q->lower->size, 2u << 20);
	struct qcow2_header *h = &q->head;
	int rc = blk_pread(q->lower, head, have, 0);

	if (rc)
		return qcow2_errno(err, rc, "header");
	if (!qcow2_parse(head, h, err) ||
		!qcow2_check_features(h, q->blk.readonly || how->repair, err) ||
		!qcow2_check_sizes(h, err))
		return false;
	qcow2_take_header(q, h);
	if (!qcow2_load_root(
		    q, &q->l1, h->l1_off, h->l1_size, "L1 table", err) ||
		!qcow2_load_root(q, &q->reftable, h->reftable_off,
			h->reftable_clusters * (q->cluster / 8),
			"reference count table", err) ||
		!qcow2_take_snapshots(q, how, err) ||
		!qcow2_note_tables(q, how->repair, err))
		return false;
	if (!qcow2_cache_init(q, &q->l2, q->l1.n, L2_CACHE_BYTES) ||
		!qcow2_cache_init(
			q, &q->refblocks, q->reftable.n, REF_CACHE_BYTES))
		return qcow2_errno(err, -ENOMEM, "tables");
	return qcow2_clear_autoclear(q, h, err) &&
	       qcow2_open_backing(q, head, how, err);
}

static struct blk *qcow2_open(struct image_open *how, GError **err)
{
	struct qcow2 *q = g_new0(struct qcow2, 1);

	q->blk.ops = &qcow2_ops;
	q->blk.readonly = how->readonly || how->snapshot;
	q->blk.can_discard = true;
	q->lower = how->lower;
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

static bool qcow2_probe(const uint8_t *head, const uint8_t *tail)
{
	return !memcmp(head, "QFI\xfb", 4);
}

/* ---- telling ---- */

static void qcow2_describe(struct blk *b, struct image_info *i)
{
	struct qcow2 *q = qcow2_of(b);

	i->kind = q->extended ? "extended" : q->version == 2 ? "v2" : "v3";
	i->block = q->cluster;
	i->backing = g_strdup(q->backing_name);
	i->backing_format = g_strdup(q->backing_format);
	image_info_fact(i, "compression", "%s", q->zstd ? "zstd" : "zlib");
	image_info_fact(i, "refcount bits", "%u", 1u << q->ref_order);
	if (q->append_only)
		image_info_fact(i, "state", "was not closed");
	if (q->head.incompat & QCOW2_INCOMPAT_CORRUPT)
		image_info_fact(i, "state", "marked as corrupt");
	for (guint k = 0; q->snapshots && k < q->snapshots->len; k++) {
		const struct qcow2_snapshot *s =
			&g_array_index(q->snapshots, struct qcow2_snapshot, k);
		struct image_snapshot *o = g_new0(struct image_snapshot, 1);

		o->id = g_strdup(s->id);
		o->name = g_strdup(s->name);
		o->size = s->size;
		o->state_bytes = s->state_bytes;
		o->date_s = s->date_s;
		g_ptr_array_add(i->snapshots, o);
	}
}

static const char *const qcow2_kinds[] = {"v3", "v2", "extended", NULL};

const struct image_format image_qcow2 = {
	.name = "qcow2",
	.suffix = ".qcow2",
	.summary = "QEMU",
	.kinds = qcow2_kinds,
	.probe = qcow2_probe,
	.open = qcow2_open,
	.create = qcow2_create,
	.describe = qcow2_describe,
	.check = qcow2_check,
	.rebase = qcow2_rebase,
};
