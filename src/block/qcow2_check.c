/*
 * qcow2_check.c - holding a qcow2 image's counts against what its tables use,
 * and setting them right.
 *
 * Everything that points to a cluster is walked and counted in memory.  A
 * count that is too high loses space (a leak); one that is too low, a pointer
 * out of the file or into a table, or a wrong "mine alone" flag is an error.
 */
#include <errno.h>
#include <string.h>

#include "block/bytes.h"
#include "block/qcow2.h"

#define CLUSTERS_MAX (128u << 20)
#define SAY_MAX	     20 /* lines of one kind */
#define EXT_BITMAPS  0x23852875u

struct check {
	struct qcow2 *q;
	struct image_check *c;
	uint32_t *want; /* references, by cluster */
	uint64_t n, room;
	unsigned said;
	bool mend;
};

static void say(struct check *k, const char *what, uint64_t at)
{
	if (k->said++ < SAY_MAX)
		image_check_say(
			k->c, "%s (%#" G_GINT64_MODIFIER "x)", what, at);
}

static void error(struct check *k, const char *what, uint64_t at)
{
	k->c->errors++;
	say(k, what, at);
}

/* One reference to each cluster of [off, off + bytes).  False: outside. */
static bool use(struct check *k, uint64_t off, uint64_t bytes)
{
	unsigned bits = k->q->cluster_bits;

	if (!bytes)
		return true;
	if (off + bytes < off || (off + bytes - 1) >> bits >= k->n)
		return false;
	for (uint64_t c = off >> bits; c <= (off + bytes - 1) >> bits; c++)
		k->want[c]++;
	return true;
}

static void use_table(
	struct check *k, uint64_t off, uint64_t bytes, const char *what)
{
	if (off % k->q->cluster || !use(k, off, bytes))
		error(k, what, off);
}

/* ---- data ---- */

static bool is_meta(const struct qcow2 *q, uint64_t off)
{
	return g_hash_table_contains(
		q->meta, GSIZE_TO_POINTER(off >> q->cluster_bits));
}

/* A copy of the cluster at off of its own. */
static int part_ways(struct check *k, struct qcow2_entry *v,
	struct qcow2_table **t, uint64_t guest)
{
	struct qcow2 *q = k->q;
	g_autofree uint8_t *buf = g_try_malloc(q->cluster);
	uint64_t c = k->n;
	int rc = buf ? blk_pread(q->lower, buf, q->cluster,
			       v->e & QCOW2_L2_OFFSET)
		     : -ENOMEM;

	if (!rc && c >= k->room)
		rc = -ENOSPC;
	if (!rc)
		rc = blk_resize(q->lower, (c + 1) << q->cluster_bits);
	if (!rc)
		rc = blk_pwrite(
			q->lower, buf, q->cluster, c << q->cluster_bits);
	if (!rc)
		rc = qcow2_l2_for_write(q, guest, t);
	if (rc)
		return rc;
	k->n = c + 1;
	k->want[c] = 1;
	v->e = (v->e & ~QCOW2_L2_OFFSET) | c << q->cluster_bits | QCOW2_COPIED;
	return 0;
}

/* An entry that points nowhere; true if it was changed.  Those of no data have
 * no mark that there is one user of them. */
static bool no_place(struct check *k, uint64_t *e, uint64_t guest, bool active)
{
	if (!(*e & QCOW2_COPIED))
		return false;
	error(k, "data have no place", guest);
	if (!k->mend || !active)
		return false;
	*e &= ~QCOW2_COPIED;
	k->c->mended_errors++;
	return true;
}

/* What entry v uses; true if it was changed. */
static bool check_entry(struct check *k, struct qcow2_entry *v,
	struct qcow2_table **t, uint64_t guest, bool active)
{
	struct qcow2 *q = k->q;
	uint64_t off = v->e & QCOW2_L2_OFFSET, len;

	if (v->e & QCOW2_COMPRESSED) {
		qcow2_packed_place(q, v->e, &off, &len);
		len = MIN(len, (k->n << q->cluster_bits) -
				       MIN(off, k->n << q->cluster_bits));
		if (len && use(k, off, len)) {
			k->c->allocated++;
			return false;
		}
		error(k, "compressed data lie outside the file", guest);
	} else if (!off) {
		return no_place(k, &v->e, guest, active);
	} else if (off % q->cluster) {
		error(k, "data are not aligned", guest);
	} else if (is_meta(q, off)) {
		error(k, "data lie in a table", guest);
		if (!k->mend || !active || part_ways(k, v, t, guest))
			return false;
		k->c->mended_errors++;
		return true;
	} else if (use(k, off, q->cluster)) {
		k->c->allocated++;
		return false;
	} else {
		error(k, "data lie outside the file", guest);
	}
	if (!k->mend || !active)
		return false;
	*v = (struct qcow2_entry){0, 0};
	k->c->mended_errors++;
	return true;
}

static int check_l2(struct check *k, uint64_t off, uint64_t guest, bool active)
{
	struct qcow2 *q = k->q;
	unsigned n = 1u << q->l2_bits;

	for (unsigned i = 0; i < n; i++) {
		uint64_t at = guest + ((uint64_t)i << q->cluster_bits);
		struct qcow2_table *t;
		struct qcow2_entry v;
		int rc = qcow2_cache_get(q, &q->l2, off, false, &t);

		if (rc)
			return rc;
		v = qcow2_l2_get(q, t, i);
		if ((v.e || v.sub) && check_entry(k, &v, &t, at, active))
			qcow2_l2_set(q, t, i, v);
	}
	return 0;
}

static int check_l1(
	struct check *k, struct qcow2_root *r, bool active, const char *what)
{
	struct qcow2 *q = k->q;
	uint64_t per = (uint64_t)q->cluster << q->l2_bits;
	int rc = 0;

	use_table(k, r->off, r->n * 8ull, what);
	for (uint32_t i = 0; i < r->n && !rc; i++) {
		uint64_t e = r->entry[i], off = e & QCOW2_L1_OFFSET;

		if (!off) {
			if (no_place(k, &e, i * per, active))
				qcow2_root_set(r, i, e);
			continue;
		}
		if (off % q->cluster || !use(k, off, q->cluster)) {
			error(k, "an L2 table lies outside the file", off);
			if (k->mend && active) {
				qcow2_root_set(r, i, 0);
				k->c->mended_errors++;
			}
			continue;
		}
		rc = check_l2(k, off, i * per, active);
	}
	return rc;
}

static int check_snapshot(struct check *k, const struct qcow2_snapshot *s)
{
	struct qcow2_root r = {.off = s->l1_off, .n = s->l1_n};
	int rc;

	r.entry = g_try_new0(uint64_t, MAX(r.n, 1));
	if (!r.entry)
		return -ENOMEM;
	rc = blk_pread(k->q->lower, r.entry, r.n * 8ull, r.off);
	for (uint32_t i = 0; i < r.n; i++)
		r.entry[i] = GUINT64_FROM_BE(r.entry[i]);
	if (rc)
		error(k, "a snapshot's L1 table lies outside the file", r.off);
	else
		rc = check_l1(k, &r, false,
			"a snapshot's L1 table lies outside the file");
	g_free(r.entry);
	return rc == -EINVAL ? 0 : rc;
}

/* ---- counts ---- */

static void use_refblocks(struct check *k)
{
	struct qcow2 *q = k->q;

	use_table(k, q->reftable.off, q->reftable.n * 8ull,
		"the reference count table lies outside the file");
	for (uint32_t i = 0; i < q->reftable.n; i++) {
		uint64_t off = q->reftable.entry[i] & ~511ull;

		if (!off || (off % q->cluster == 0 && use(k, off, q->cluster)))
			continue;
		error(k, "reference counts lie outside the file", off);
		if (k->mend) {
			qcow2_root_set(&q->reftable, i, 0);
			k->c->mended_errors++;
		}
	}
}

/* Counts for a range that has none, behind all else. */
static int make_refblock(struct check *k, uint64_t range)
{
	struct qcow2 *q = k->q;
	uint64_t c = k->n;
	struct qcow2_table *t;
	int rc;

	if (c >= k->room || range >= q->reftable.n)
		return -ENOSPC;
	rc = blk_resize(q->lower, (c + 1) << q->cluster_bits);
	if (!rc)
		rc = qcow2_cache_get(
			q, &q->refblocks, c << q->cluster_bits, true, &t);
	if (rc)
		return rc;
	k->n = c + 1;
	k->want[c] = 1;
	qcow2_root_set(&q->reftable, (uint32_t)range, c << q->cluster_bits);
	g_hash_table_add(q->meta, GSIZE_TO_POINTER(c));
	return 0;
}

static int check_count(struct check *k, uint64_t c)
{
	struct qcow2 *q = k->q;
	uint64_t range = c >> q->ref_bits, is = 0;
	int rc = 0;

	if (k->mend && k->want[c] && range < q->reftable.n &&
		!(q->reftable.entry[range] & ~511ull))
		rc = make_refblock(k, range);
	if (!rc)
		rc = qcow2_ref_read(q, c, &is);
	if (rc || is == k->want[c])
		return rc;
	if (is > k->want[c]) {
		k->c->leaks++;
		say(k, "a cluster is counted, and nothing uses it",
			c << q->cluster_bits);
	} else {
		error(k, "a cluster is used more often than it is counted",
			c << q->cluster_bits);
	}
	if (!k->mend)
		return 0;
	rc = qcow2_ref_write(q, c, k->want[c]);
	if (rc)
		return rc;
	if (is > k->want[c])
		k->c->mended_leaks++;
	else
		k->c->mended_errors++;
	return 0;
}

/* ---- the flag that says: written in place ---- */

static bool flag_wrong(const struct check *k, uint64_t e, uint64_t off)
{
	uint64_t c = off >> k->q->cluster_bits;

	return off && c < k->n && !(e & QCOW2_COPIED) == (k->want[c] == 1);
}

static int check_flags_l2(struct check *k, uint64_t off, uint64_t guest)
{
	struct qcow2 *q = k->q;

	for (unsigned i = 0; i < 1u << q->l2_bits; i++) {
		struct qcow2_table *t;
		struct qcow2_entry v;
		int rc = qcow2_cache_get(q, &q->l2, off, false, &t);

		if (rc)
			return rc;
		v = qcow2_l2_get(q, t, i);
		if (v.e & QCOW2_COMPRESSED ||
			!flag_wrong(k, v.e, v.e & QCOW2_L2_OFFSET))
			continue;
		error(k, "data are marked as in use by one, or not, wrongly",
			guest + ((uint64_t)i << q->cluster_bits));
		if (!k->mend)
			continue;
		v.e ^= QCOW2_COPIED;
		qcow2_l2_set(q, t, i, v);
		k->c->mended_errors++;
	}
	return 0;
}

static int check_flags(struct check *k)
{
	struct qcow2_root *r = &k->q->l1;
	uint64_t per = (uint64_t)k->q->cluster << k->q->l2_bits;
	int rc = 0;

	for (uint32_t i = 0; i < r->n && !rc; i++) {
		uint64_t off = r->entry[i] & QCOW2_L1_OFFSET;

		if (!off || off % k->q->cluster ||
			off >> k->q->cluster_bits >= k->n)
			continue;
		if (flag_wrong(k, r->entry[i], off)) {
			error(k,
				"a table is marked as in use by one, or not, "
				"wrongly",
				off);
			if (k->mend) {
				qcow2_root_set(
					r, i, r->entry[i] ^ QCOW2_COPIED);
				k->c->mended_errors++;
			}
		}
		rc = check_flags_l2(k, off, i * per);
	}
	return rc;
}

/* ---- all of it ---- */

/* Bitmaps of other programs use clusters that we do not walk. */
static bool has_bitmaps(const struct qcow2 *q)
{
	uint8_t h[512];
	uint32_t at = q->head.length;

	if (q->version < 3 || blk_pread(q->lower, h, sizeof(h), 0))
		return false;
	while (at + 8 <= sizeof(h)) {
		uint32_t type = get_be32(h + at), len = get_be32(h + at + 4);

		if (!type || len > sizeof(h))
			return false;
		if (type == EXT_BITMAPS)
			return true;
		at += 8 + ((len + 7) & ~7u);
	}
	return false;
}

static int walk(struct check *k)
{
	struct qcow2 *q = k->q;
	int rc = 0;

	use_table(k, 0, q->cluster, "the file is empty");
	use_table(k, q->head.snapshots_off, q->snapshots_bytes,
		"the list of snapshots lies outside the file");
	use_refblocks(k);
	for (guint i = 0; i < q->snapshots->len && !rc; i++)
		rc = check_snapshot(k,
			&g_array_index(q->snapshots, struct qcow2_snapshot, i));
	return rc ? rc
		  : check_l1(k, &q->l1, true,
			    "the L1 table lies outside the file");
}

/* The marks in the header that said that something was wrong. */
static int clear_marks(struct qcow2 *q)
{
	uint8_t be[8];

	if (q->version < 3)
		return 0;
	q->head.incompat &= ~(QCOW2_INCOMPAT_DIRTY | QCOW2_INCOMPAT_CORRUPT);
	put_be64(be, q->head.incompat);
	return blk_pwrite(q->lower, be, 8, Q_INCOMPAT);
}

static int check_all(struct check *k)
{
	struct qcow2 *q = k->q;
	int rc = walk(k);

	/* Counts grow as blocks of counts are added. */
	for (uint64_t c = 0; c < k->n && !rc; c++)
		if (!q->append_only || k->mend)
			rc = check_count(k, c);
	if (!rc)
		rc = check_flags(k);
	if (rc || !k->mend)
		return rc;
	q->append_only = false;
	q->next_free = 1;
	rc = qcow2_settle(q);
	if (!rc && k->c->errors == k->c->mended_errors)
		rc = clear_marks(q);
	return rc ? rc : blk_flush(q->lower);
}

int qcow2_check(struct blk *b, struct image_check *c)
{
	struct qcow2 *q = qcow2_of(b);
	struct check k = {.q = q, .c = c, .mend = c->repair && !b->readonly};
	int rc;

	k.n = (q->lower->size + q->cluster - 1) >> q->cluster_bits;
	k.room = k.n + k.n / 4 + 1024;
	if (k.n > CLUSTERS_MAX)
		return -EFBIG;
	if (has_bitmaps(q)) {
		image_check_say(c, "the image has dirty bitmaps of another "
				   "program: unused space is not looked for");
		k.mend = false;
	}
	k.want = g_try_new0(uint32_t, k.room);
	if (!k.want)
		return -ENOMEM;
	pthread_rwlock_wrlock(&q->lock);
	c->blocks = (b->size + q->cluster - 1) >> q->cluster_bits;
	rc = check_all(&k);
	pthread_rwlock_unlock(&q->lock);
	if (has_bitmaps(q))
		c->leaks = 0;
	g_free(k.want);
	return rc;
}
