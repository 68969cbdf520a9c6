/*
 * qcow2.c - reading and writing a qcow2 image.
 *
 * A guest range is taken apart into runs of clusters of one kind that lie in a
 * row.  Writing into clusters of our own only moves data; everything else gets
 * new clusters, written whole (what the guest does not write of them comes
 * from where it was), before the tables point there.
 */
#include "block/qcow2.h"

#include <errno.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "block/iov.h"

#define RUN_MAX	  256	     /* clusters looked up at once */
#define TAKE_MAX  (4u << 20) /* bytes allocated at once */
#define FREES_MAX 4096	     /* clusters waiting before we settle */

enum qcow2_kind { Q_HOLE, Q_ZEROS, Q_DATA, Q_PACKED, Q_MIXED };

struct qcow2_run {
	enum qcow2_kind kind;
	bool own;	/* may be written in place */
	uint64_t off;	/* in the file, of the first byte asked for */
	uint64_t entry; /* Q_PACKED */
	uint64_t len;
};

static enum qcow2_kind qcow2_kind_of(
	const struct qcow2 *q, struct qcow2_entry v)
{
	if (v.e & QCOW2_COMPRESSED)
		return Q_PACKED;
	if (q->extended) {
		if (!v.sub)
			return Q_HOLE;
		if ((uint32_t)v.sub == ~0u && !(v.sub >> 32))
			return Q_DATA;
		return v.sub >> 32 == ~0u && !(uint32_t)v.sub ? Q_ZEROS
							      : Q_MIXED;
	}
	if (q->version >= 3 && (v.e & QCOW2_ZERO))
		return Q_ZEROS;
	return v.e & QCOW2_L2_OFFSET ? Q_DATA : Q_HOLE;
}

/* May cluster data lie there? */
static bool qcow2_data_ok(const struct qcow2 *q, uint64_t off)
{
	return off && off % q->cluster == 0 &&
	       !g_hash_table_contains(
		       q->meta, GSIZE_TO_POINTER(off >> q->cluster_bits));
}

/* Does entry v, i clusters behind the first of run r, continue it? */
static bool qcow2_continues(const struct qcow2 *q, const struct qcow2_run *r,
	struct qcow2_entry v, uint64_t first_off, unsigned i)
{
	if (r->kind == Q_PACKED || qcow2_kind_of(q, v) != r->kind)
		return false;
	if (r->kind != Q_DATA)
		return true;
	return (v.e & QCOW2_L2_OFFSET) ==
		       first_off + ((uint64_t)i << q->cluster_bits) &&
	       !(v.e & QCOW2_COPIED) == !r->own;
}

/* What subcluster i of a mixed cluster is. */
static enum qcow2_kind qcow2_sub_kind(uint64_t sub, unsigned i)
{
	if (sub >> (32 + i) & 1)
		return Q_ZEROS;
	return sub >> i & 1 ? Q_DATA : Q_HOLE;
}

/* A run within one cluster whose subclusters differ. */
static void qcow2_sub_run(const struct qcow2 *q, uint64_t sub, uint64_t in,
	uint64_t len, struct qcow2_run *r)
{
	uint32_t bytes = q->cluster / 32;
	unsigned i = (unsigned)(in / bytes), end = i + 1;

	r->kind = qcow2_sub_kind(sub, i);
	while (end < 32 && qcow2_sub_kind(sub, end) == r->kind)
		end++;
	r->len = MIN(len, (uint64_t)end * bytes - in);
}

/* The run at guest offset off, at most len bytes.  q->lock held. */
static int qcow2_find_run(
	struct qcow2 *q, uint64_t off, uint64_t len, struct qcow2_run *r)
{
	uint64_t in = off & (q->cluster - 1);
	uint64_t want = (in + len + q->cluster - 1) >> q->cluster_bits;
	struct qcow2_entry v[RUN_MAX];
	int n;

	pthread_mutex_lock(&q->cache_lock);
	n = qcow2_l2_read(q, off, v, MIN(want, RUN_MAX));
	pthread_mutex_unlock(&q->cache_lock);
	if (n < 0)
		return n;
	r->kind = qcow2_kind_of(q, v[0]);
	r->own = v[0].e & QCOW2_COPIED;
	r->entry = v[0].e;
	r->off = (v[0].e & QCOW2_L2_OFFSET) + in;
	for (int i = 1; i < n; i++)
		if (!qcow2_continues(q, r, v[i], r->off - in, i))
			n = i;
	if (r->kind == Q_MIXED) {
		n = 1;
		qcow2_sub_run(q, v[0].sub, in, len, r);
	} else {
		r->len = MIN(len, ((uint64_t)n << q->cluster_bits) - in);
	}
	if (r->kind != Q_DATA)
		return 0;
	for (int i = 0; i < n; i++)
		if (!qcow2_data_ok(q, v[i].e & QCOW2_L2_OFFSET))
			return -EIO;
	return 0;
}

/* ---- reading ---- */

static bool qcow2_inflate(
	const uint8_t *in, size_t in_len, uint8_t *out, size_t out_len)
{
	z_stream z = {0};
	union {
		const uint8_t *from;
		Bytef *to;
	} p = {.from = in}; /* zlib's pointer is not const */
	int rc;

	if (inflateInit2(&z, -15) != Z_OK)
		return false;
	z.next_in = p.to;
	z.avail_in = in_len;
	z.next_out = out;
	z.avail_out = out_len;
	rc = inflate(&z, Z_FINISH);
	inflateEnd(&z);
	/* What fills the last sector behind the stream may be left. */
	return (rc == Z_STREAM_END || rc == Z_BUF_ERROR) && !z.avail_out;
}

static bool qcow2_unzstd(
	const uint8_t *in, size_t in_len, uint8_t *out, size_t out_len)
{
	ZSTD_DCtx *z = ZSTD_createDCtx();
	ZSTD_inBuffer i = {in, in_len, 0};
	ZSTD_outBuffer o = {out, out_len, 0};

	while (z && o.pos < o.size) {
		size_t before = i.pos + o.pos;

		if (ZSTD_isError(ZSTD_decompressStream(z, &o, &i)) ||
			i.pos + o.pos == before)
			break;
	}
	ZSTD_freeDCtx(z);
	return o.pos == o.size;
}

void qcow2_packed_place(
	const struct qcow2 *q, uint64_t e, uint64_t *off, uint64_t *len)
{
	unsigned shift = 62 - (q->cluster_bits - 8);
	uint64_t sectors =
		((e & ~(QCOW2_COPIED | QCOW2_COMPRESSED)) >> shift) + 1;

	*off = e & ((1ull << shift) - 1);
	*len = sectors * 512 - (*off & 511);
}

/* Unpack into q->unpacked_data.  unpacked_lock held. */
static int qcow2_unpack(struct qcow2 *q, uint64_t e)
{
	uint64_t off, len;
	g_autofree uint8_t *in = NULL;
	struct iovec iov;
	bool ok;
	int rc;

	if (q->unpacked == e)
		return 0;
	qcow2_packed_place(q, e, &off, &len);
	in = g_try_malloc(len);
	if (!q->unpacked_data)
		q->unpacked_data = g_try_malloc(q->cluster);
	if (!in || !q->unpacked_data)
		return -ENOMEM;
	iov = (struct iovec){in, len};
	rc = blk_preadv_clamped(q->lower, &iov, 1, off);
	if (rc)
		return rc;
	q->unpacked = 0;
	ok = q->zstd ? qcow2_unzstd(in, len, q->unpacked_data, q->cluster)
		     : qcow2_inflate(in, len, q->unpacked_data, q->cluster);
	if (ok)
		q->unpacked = e;
	return ok ? 0 : -EIO;
}

static int qcow2_read_packed(struct qcow2 *q, const struct iovec *iov, int n,
	uint64_t off, const struct qcow2_run *r)
{
	int rc;

	pthread_mutex_lock(&q->unpacked_lock);
	rc = qcow2_unpack(q, r->entry);
	if (!rc)
		iov_fill(iov, n, 0, q->unpacked_data + (off & (q->cluster - 1)),
			r->len);
	pthread_mutex_unlock(&q->unpacked_lock);
	return rc;
}

static int qcow2_read_run(struct qcow2 *q, const struct iovec *iov, int n,
	uint64_t off, const struct qcow2_run *r)
{
	switch (r->kind) {
	case Q_DATA:
		/* The file may end inside its last cluster, not before. */
		if (qcow2_align(q, r->off + r->len - 1) >= q->lower->size)
			return -EIO;
		return blk_preadv_clamped(q->lower, iov, n, r->off);
	case Q_PACKED: return qcow2_read_packed(q, iov, n, off, r);
	case Q_HOLE:
		if (q->blk.backing)
			return blk_preadv_clamped(q->blk.backing, iov, n, off);
		break;
	case Q_ZEROS: break;
	case Q_MIXED: return -EIO; /* runs are not */
	}
	iov_zero(iov, n);
	return 0;
}

/* q->lock held. */
static int qcow2_read_locked(
	struct qcow2 *q, const struct iovec *iov, int n, uint64_t off)
{
	g_autofree struct iovec *part = g_new(struct iovec, n);
	uint64_t len = iov_bytes(iov, n), done = 0;
	struct qcow2_run r;
	int rc = 0;

	while (done < len && !rc) {
		rc = qcow2_find_run(q, off + done, len - done, &r);
		if (rc)
			break;
		rc = qcow2_read_run(q, part,
			iov_slice(iov, n, done, r.len, part), off + done, &r);
		done += r.len;
	}
	return rc;
}

static int qcow2_preadv(
	struct blk *b, const struct iovec *iov, int n, uint64_t off)
{
	struct qcow2 *q = qcow2_of(b);
	int rc;

	pthread_rwlock_rdlock(&q->lock);
	rc = qcow2_read_locked(q, iov, n, off);
	pthread_rwlock_unlock(&q->lock);
	return rc;
}

/* q->lock held. */
static int qcow2_read_now(
	struct qcow2 *q, const struct iovec *iov, int n, uint64_t off)
{
	uint64_t len = iov_bytes(iov, n);
	struct qcow2_run r;
	bool cached;

	if (pthread_mutex_trylock(&q->cache_lock))
		return -EAGAIN;
	cached = qcow2_l2_cached(q, off);
	pthread_mutex_unlock(&q->cache_lock);
	if (!cached || qcow2_find_run(q, off, len, &r) || r.len != len)
		return -EAGAIN;
	if (r.kind == Q_DATA)
		return blk_preadv_now(q->lower, iov, n, r.off);
	if (r.kind == Q_HOLE && q->blk.backing)
		return blk_preadv_now(q->blk.backing, iov, n, off);
	if (r.kind != Q_HOLE && r.kind != Q_ZEROS)
		return -EAGAIN;
	iov_zero(iov, n);
	return 0;
}

static int qcow2_preadv_now(
	struct blk *b, const struct iovec *iov, int n, uint64_t off)
{
	struct qcow2 *q = qcow2_of(b);
	int rc = -EAGAIN;

	if (pthread_rwlock_tryrdlock(&q->lock))
		return rc;
	rc = qcow2_read_now(q, iov, n, off);
	pthread_rwlock_unlock(&q->lock);
	return rc;
}

/* ---- writing ---- */

void qcow2_drop_entry(struct qcow2 *q, struct qcow2_entry v)
{
	uint64_t off, len;

	if (v.e & QCOW2_COMPRESSED) {
		qcow2_packed_place(q, v.e, &off, &len);
		for (uint64_t c = off >> q->cluster_bits;
			c <= (off + len - 1) >> q->cluster_bits; c++)
			qcow2_free_later(q, c);
	} else if (v.e & QCOW2_L2_OFFSET) {
		/* Zeros may keep a cluster for later. */
		qcow2_free_later(q, (v.e & QCOW2_L2_OFFSET) >> q->cluster_bits);
	}
}

/* How many clusters from off on need a new place, at most n, in one L2
 * table. */
static int qcow2_count_foreign(struct qcow2 *q, uint64_t off, unsigned n)
{
	struct qcow2_entry v[RUN_MAX];
	int got = qcow2_l2_read(q, off, v, MIN(n, RUN_MAX)), i;

	for (i = 0; i < got; i++)
		if (qcow2_kind_of(q, v[i]) == Q_DATA && (v[i].e & QCOW2_COPIED))
			break;
	return got < 0 ? got : i;
}

/* The disk's bytes around [off, off+len) up to cluster borders: old content
 * before and behind. */
struct qcow2_edges {
	uint8_t *buf;
	uint32_t head, tail;
};

static int qcow2_read_edges(
	struct qcow2 *q, uint64_t off, uint64_t len, struct qcow2_edges *ed)
{
	uint64_t end = off + len, border;
	struct iovec iov;
	int rc = 0;

	ed->head = off & (q->cluster - 1);
	border = qcow2_align(q, end + q->cluster - 1);
	ed->tail = border - end;
	ed->buf = NULL;
	if (!ed->head && !ed->tail)
		return 0;
	ed->buf = g_try_malloc0((size_t)ed->head + ed->tail);
	if (!ed->buf)
		return -ENOMEM;
	iov = (struct iovec){ed->buf, ed->head};
	if (ed->head)
		rc = qcow2_read_locked(q, &iov, 1, off - ed->head);
	/* The disk may end inside its last cluster. */
	iov.iov_base = ed->buf + ed->head;
	iov.iov_len = end < q->blk.size ? MIN(ed->tail, q->blk.size - end) : 0;
	if (!rc && iov.iov_len)
		rc = qcow2_read_locked(q, &iov, 1, end);
	return rc;
}

/* Point the entries of n clusters from guest offset off on to host clusters
 * from c on. */
static int qcow2_link(struct qcow2 *q, uint64_t off, uint64_t c, unsigned n)
{
	struct qcow2_table *t;
	int rc = qcow2_l2_for_write(q, off, &t);

	for (unsigned i = 0; !rc && i < n; i++) {
		unsigned at = qcow2_l2_index(q, off) + i;

		qcow2_drop_entry(q, qcow2_l2_get(q, t, at));
		qcow2_l2_set(q, t, at,
			(struct qcow2_entry){
				(c + i) << q->cluster_bits | QCOW2_COPIED,
				~0u});
	}
	return rc;
}

static int qcow2_write_new(struct qcow2 *q, const struct iovec *iov, int n,
	uint64_t off, uint64_t c)
{
	uint64_t len = iov_bytes(iov, n);
	g_autofree struct iovec *all = g_new(struct iovec, n + 2);
	struct qcow2_edges ed;
	int m = 0, rc = qcow2_read_edges(q, off, len, &ed);

	if (ed.head)
		all[m++] = (struct iovec){ed.buf, ed.head};
	memcpy(all + m, iov, n * sizeof(*iov));
	m += n;
	if (ed.tail)
		all[m++] = (struct iovec){ed.buf + ed.head, ed.tail};
	if (!rc)
		rc = blk_pwritev(q->lower, all, m, c << q->cluster_bits);
	g_free(ed.buf);
	return rc;
}

/* Write the start of [off, off+len) into new clusters; how many bytes, or
 * -errno.  Alone. */
static int64_t qcow2_write_alloc(struct qcow2 *q, const struct iovec *iov,
	int n, uint64_t off, uint64_t len)
{
	uint64_t in = off & (q->cluster - 1), c;
	g_autofree struct iovec *part = g_new(struct iovec, n);
	struct qcow2_table *t;
	int got, rc;

	len = MIN(len, MAX(TAKE_MAX, q->cluster) - in);
	rc = qcow2_l2_for_write(q, off, &t);
	if (rc)
		return rc;
	got = qcow2_count_foreign(
		q, off, (in + len + q->cluster - 1) >> q->cluster_bits);
	if (got <= 0)
		return got;
	got = qcow2_take(q, got, &c);
	if (got < 0)
		return got;
	len = MIN(len, ((uint64_t)got << q->cluster_bits) - in);
	rc = qcow2_write_new(q, part, iov_slice(iov, n, 0, len, part), off, c);
	if (!rc)
		rc = qcow2_link(q, off, c, got);
	if (rc) {
		qcow2_untake(q, c, got);
		return rc;
	}
	return len;
}

/* A step of a write under the shared lock, if its clusters are our own.  0: it
 * needs the lock alone. */
static int64_t qcow2_write_in_place(struct qcow2 *q, const struct iovec *iov,
	int n, uint64_t off, uint64_t len)
{
	g_autofree struct iovec *part = g_new(struct iovec, n);
	struct qcow2_run r;
	int rc;

	rc = qcow2_find_run(q, off, len, &r);
	if (rc || r.kind != Q_DATA || !r.own)
		return rc;
	/* The file may end inside what the tables promise. */
	if (r.off + r.len > q->lower->size)
		return 0;
	rc = blk_pwritev(
		q->lower, part, iov_slice(iov, n, 0, r.len, part), r.off);
	return rc ? rc : (int64_t)r.len;
}

static int64_t qcow2_write_alone(struct qcow2 *q, const struct iovec *iov,
	int n, uint64_t off, uint64_t len)
{
	struct qcow2_run r;
	int64_t rc = qcow2_find_run(q, off, len, &r);

	if (rc)
		return rc;
	if (r.kind != Q_DATA || !r.own)
		return qcow2_write_alloc(q, iov, n, off, len);
	if (r.off + r.len > q->lower->size) {
		/* Not farther than counted clusters would go. */
		if (r.off > q->lower->size + (1ull << 40))
			return -EIO;
		rc = blk_resize(
			q->lower, (r.off + r.len + q->cluster) & ~511ull);
		if (rc)
			return rc;
	}
	return qcow2_write_in_place(q, iov, n, off, len);
}

static int qcow2_pwritev(
	struct blk *b, const struct iovec *iov, int n, uint64_t off)
{
	struct qcow2 *q = qcow2_of(b);
	g_autofree struct iovec *rest = g_new(struct iovec, n);
	uint64_t len = iov_bytes(iov, n), done = 0;

	while (done < len) {
		int m = iov_slice(iov, n, done, len - done, rest);
		int64_t rc;

		pthread_rwlock_rdlock(&q->lock);
		rc = qcow2_write_in_place(q, rest, m, off + done, len - done);
		pthread_rwlock_unlock(&q->lock);
		if (!rc) {
			pthread_rwlock_wrlock(&q->lock);
			rc = qcow2_write_alone(
				q, rest, m, off + done, len - done);
			if (rc >= 0 && q->frees->len > FREES_MAX)
				qcow2_settle(q);
			pthread_rwlock_unlock(&q->lock);
		}
		if (rc < 0)
			return rc;
		done += rc;
	}
	return 0;
}

/* ---- flushing ---- */

int qcow2_settle(struct qcow2 *q)
{
	int rc = qcow2_write_back(q);

	if (!rc)
		rc = blk_flush(q->lower);
	if (!rc && q->frees->len)
		rc = qcow2_free_now(q);
	return rc;
}

static int qcow2_flush(struct blk *b)
{
	struct qcow2 *q = qcow2_of(b);
	bool dirty;
	int rc;

	if (b->readonly)
		return 0;
	pthread_rwlock_rdlock(&q->lock);
	pthread_mutex_lock(&q->cache_lock);
	dirty = qcow2_meta_dirty(q);
	pthread_mutex_unlock(&q->cache_lock);
	rc = dirty ? 0 : blk_flush(q->lower);
	pthread_rwlock_unlock(&q->lock);
	if (!dirty)
		return rc;
	pthread_rwlock_wrlock(&q->lock);
	rc = qcow2_settle(q);
	pthread_rwlock_unlock(&q->lock);
	return rc;
}

/* ---- discarding and zeroing whole clusters ---- */

static bool qcow2_same(struct qcow2_entry a, struct qcow2_entry b)
{
	return a.e == b.e && a.sub == b.sub;
}

/* An entry that reads as zeros, with the cluster at e (or 0) kept. */
static struct qcow2_entry qcow2_zeros(const struct qcow2 *q, uint64_t e)
{
	if (q->extended)
		return (struct qcow2_entry){e, (uint64_t)~0u << 32};
	return (struct qcow2_entry){e | QCOW2_ZERO, 0};
}

/* What a cluster's entry becomes when its content is given up; the same if it
 * must stay.  zero: it must read as zeros. */
static struct qcow2_entry qcow2_emptied(
	const struct qcow2 *q, struct qcow2_entry v, bool zero, bool unmap)
{
	enum qcow2_kind kind = qcow2_kind_of(q, v);

	if (kind == Q_ZEROS && !(v.e & QCOW2_L2_OFFSET))
		return v;
	if (kind == Q_HOLE && (!zero || !q->blk.backing))
		return v;
	if (!q->blk.backing && (unmap || kind != Q_DATA))
		return (struct qcow2_entry){0, 0};
	if (q->version < 3)
		return v;
	if (!unmap && kind == Q_DATA && (v.e & QCOW2_COPIED))
		return qcow2_zeros(q, v.e);
	return qcow2_zeros(q, 0);
}

/* Whole clusters from off on, of one L2 table, at most n; how many. */
static int qcow2_empty(
	struct qcow2 *q, uint64_t off, unsigned n, bool zero, bool unmap)
{
	unsigned first = qcow2_l2_index(q, off);
	struct qcow2_table *t;
	struct qcow2_entry v[RUN_MAX];
	bool change = false;
	int got = qcow2_l2_read(q, off, v, MIN(n, RUN_MAX)), rc;

	for (int i = 0; i < got; i++)
		change |=
			!qcow2_same(qcow2_emptied(q, v[i], zero, unmap), v[i]);
	if (got < 0 || !change)
		return got;
	rc = qcow2_l2_for_write(q, off, &t);
	if (rc)
		return rc;
	for (int i = 0; i < got; i++) {
		struct qcow2_entry w = qcow2_emptied(q, v[i], zero, unmap);

		if (qcow2_same(w, v[i]))
			continue;
		if (!(w.e & QCOW2_L2_OFFSET))
			qcow2_drop_entry(q, v[i]);
		qcow2_l2_set(q, t, first + i, w);
	}
	return got;
}

static int qcow2_empty_range(
	struct qcow2 *q, uint64_t off, uint64_t end, bool zero, bool unmap)
{
	int n = 0;

	pthread_rwlock_wrlock(&q->lock);
	for (; off < end && n >= 0; off += (uint64_t)n << q->cluster_bits) {
		n = qcow2_empty(q, off,
			MIN((end - off) >> q->cluster_bits, RUN_MAX), zero,
			unmap);
		if (n >= 0 && q->frees->len > FREES_MAX)
			qcow2_settle(q);
		if (n < 0)
			break;
	}
	pthread_rwlock_unlock(&q->lock);
	return MIN(n, 0);
}

static int qcow2_discard(struct blk *b, uint64_t off, uint64_t len)
{
	struct qcow2 *q = qcow2_of(b);
	uint64_t end = off + len;

	if (end != b->size)
		end = qcow2_align(q, end);
	else
		end = qcow2_align(q, end + q->cluster - 1);
	off = qcow2_align(q, off + q->cluster - 1);
	return off < end ? qcow2_empty_range(q, off, end, false, true) : 0;
}

static int qcow2_zero_part(struct blk *b, uint64_t off, uint64_t len)
{
	g_autofree uint8_t *zero = len ? g_try_malloc0(len) : NULL;
	struct iovec iov = {zero, len};

	if (len && !zero)
		return -ENOMEM;
	return len ? qcow2_pwritev(b, &iov, 1, off) : 0;
}

static int qcow2_write_zeroes(
	struct blk *b, uint64_t off, uint64_t len, bool may_unmap)
{
	struct qcow2 *q = qcow2_of(b);
	uint64_t end = off + len;
	uint64_t first = qcow2_align(q, off + q->cluster - 1);
	uint64_t last = qcow2_align(q, end);
	int rc;

	if (q->version < 3 && (q->blk.backing || !may_unmap))
		return -EOPNOTSUPP;
	if (first >= last)
		return qcow2_zero_part(b, off, len);
	rc = qcow2_zero_part(b, off, first - off);
	if (!rc)
		rc = qcow2_empty_range(q, first, last, true, may_unmap);
	return rc ? rc : qcow2_zero_part(b, last, end - last);
}

static int qcow2_map(
	struct blk *b, uint64_t off, uint64_t len, struct blk_extent *e)
{
	struct qcow2 *q = qcow2_of(b);
	struct qcow2_run r;
	int rc;

	pthread_rwlock_rdlock(&q->lock);
	rc = qcow2_find_run(q, off, len, &r);
	pthread_rwlock_unlock(&q->lock);
	if (rc)
		return rc;
	e->len = r.len;
	e->plain = r.kind == Q_DATA;
	e->packed = r.kind == Q_PACKED;
	e->at = r.off;
	e->file = e->plain ? q->lower : NULL;
	if (r.kind == Q_ZEROS)
		e->state = BLK_ZERO;
	else if (r.kind == Q_HOLE)
		e->state = q->backing_name ? BLK_BELOW : BLK_ZERO;
	return 0;
}

static struct blk *qcow2_below(struct blk *b)
{
	return qcow2_of(b)->lower;
}

static void qcow2_set_backing(struct blk *b, struct blk *backing)
{
	b->backing = backing;
}

static void qcow2_close(struct blk *b)
{
	struct qcow2 *q = qcow2_of(b);

	if (!b->readonly && !qcow2_settle(q))
		qcow2_settle(q); /* the counts of what became free */
	qcow2_cache_fini(&q->l2);
	qcow2_cache_fini(&q->refblocks);
	blk_close(q->blk.backing);
	blk_close(q->lower);
	g_free(q->l1.entry);
	g_free(q->reftable.entry);
	g_free(q->unpacked_data);
	g_hash_table_destroy(q->meta);
	g_array_free(q->frees, TRUE);
	qcow2_snapshots_free(q);
	g_free(q->backing_name);
	g_free(q->backing_format);
	pthread_mutex_destroy(&q->unpacked_lock);
	pthread_mutex_destroy(&q->cache_lock);
	pthread_rwlock_destroy(&q->lock);
	g_free(q);
}

const struct blk_ops qcow2_ops = {
	.name = "qcow2",
	.preadv = qcow2_preadv,
	.preadv_now = qcow2_preadv_now,
	.below = qcow2_below,
	.set_backing = qcow2_set_backing,
	.pwritev = qcow2_pwritev,
	.flush = qcow2_flush,
	.discard = qcow2_discard,
	.write_zeroes = qcow2_write_zeroes,
	.map = qcow2_map,
	.resize = qcow2_resize,
	.write_packed = qcow2_write_packed,
	.close = qcow2_close,
};
