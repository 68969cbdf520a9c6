/*
 * qcow2_ref.c - reference counts of clusters: taking and freeing them.
 *
 * Counts lie in blocks of one cluster each, found through a table.  A range of
 * clusters that has no block yet is free as a whole; its block is put into the
 * range's first cluster, which it then counts itself.
 */
#include "block/qcow2.h"

#include <errno.h>
#include <string.h>

#define REFTABLE_MAX_BYTES (8u << 20)
#define HEADER_REFTABLE	   48

#define REF_OFFSET 0xfffffffffffffe00ull

/* ---- one count ---- */

static uint64_t ref_get(
	const struct qcow2 *q, const struct qcow2_table *t, unsigned i)
{
	unsigned bits = 1u << q->ref_order;
	uint64_t v = 0;

	if (bits < 8)
		return t->data[i * bits / 8] >> (i * bits % 8) &
		       ((1u << bits) - 1);
	for (unsigned k = 0; k < bits / 8; k++)
		v = v << 8 | t->data[i * (bits / 8) + k];
	return v;
}

static void ref_set(
	const struct qcow2 *q, struct qcow2_table *t, unsigned i, uint64_t v)
{
	unsigned bits = 1u << q->ref_order;
	unsigned at = i * bits / 8, shift = i * bits % 8;
	unsigned n = MAX(bits / 8, 1);

	if (bits < 8) {
		uint8_t mask = ((1u << bits) - 1) << shift;

		t->data[at] = (t->data[at] & ~mask) | (v << shift & mask);
	} else {
		for (unsigned k = n; k-- > 0; v >>= 8)
			t->data[at + k] = v;
	}
	qcow2_table_dirty(t, at, n);
}

/* ---- blocks ---- */

static bool ref_is_meta(const struct qcow2 *q, uint64_t c)
{
	return g_hash_table_contains(q->meta, GSIZE_TO_POINTER(c));
}

static int ref_grow_file(struct qcow2 *q, uint64_t end)
{
	uint64_t step = 1u << 20;
	uint64_t bytes = end << q->cluster_bits;

	if (bytes <= q->lower->size)
		return 0;
	return blk_resize(q->lower, (bytes + step - 1) & ~(step - 1));
}

/* A block for a range that has none. */
static int ref_new_block(
	struct qcow2 *q, uint64_t range, struct qcow2_table **out)
{
	uint64_t c = range << q->ref_bits;
	int rc;

	if (ref_is_meta(q, c))
		return -EIO; /* the counts contradict the tables */
	rc = ref_grow_file(q, c + 1);
	if (!rc)
		rc = qcow2_cache_get(
			q, &q->refblocks, c << q->cluster_bits, true, out);
	if (rc)
		return rc;
	ref_set(q, *out, 0, 1);
	qcow2_root_set(&q->reftable, range, c << q->cluster_bits);
	g_hash_table_add(q->meta, GSIZE_TO_POINTER(c));
	return 0;
}

/* ---- a larger table ---- */

/* How many blocks the new table and those blocks themselves need, when they
 * begin at a range's first cluster. */
static unsigned ref_blocks_for(const struct qcow2 *q, uint64_t table_clusters)
{
	uint64_t per = 1ull << q->ref_bits;
	uint64_t k = 1;

	while (k * per < k + table_clusters)
		k++;
	return k;
}

static int ref_write_new_blocks(
	struct qcow2 *q, uint64_t first, unsigned k, uint64_t used)
{
	for (unsigned b = 0; b < k; b++) {
		uint64_t per = 1ull << q->ref_bits;
		struct qcow2_table *t;
		int rc = qcow2_cache_get(q, &q->refblocks,
			(first + b) << q->cluster_bits, true, &t);

		if (rc)
			return rc;
		for (uint64_t i = 0; i < per && b * per + i < used; i++)
			ref_set(q, t, i, 1);
	}
	return qcow2_write_back(q);
}

static int ref_point_header(struct qcow2 *q, uint64_t off, uint32_t clusters)
{
	uint64_t be_off = GUINT64_TO_BE(off);
	uint32_t be_n = GUINT32_TO_BE(clusters);
	uint8_t field[12];
	int rc;

	memcpy(field, &be_off, 8);
	memcpy(field + 8, &be_n, 4);
	rc = blk_flush(q->lower);
	if (!rc)
		rc = blk_pwrite(
			q->lower, field, sizeof(field), HEADER_REFTABLE);
	return rc ? rc : blk_flush(q->lower);
}

static int ref_write_table(
	struct qcow2 *q, uint64_t off, const struct qcow2_root *r)
{
	g_autofree uint64_t *be = g_try_new(uint64_t, r->n);

	if (!be)
		return -ENOMEM;
	for (uint32_t i = 0; i < r->n; i++)
		be[i] = GUINT64_TO_BE(r->entry[i]);
	return blk_pwrite(q->lower, be, r->n * 8ull, off);
}

/* The table is full: make one twice as large behind all that is counted, with
 * the blocks that count it, and only then let the header point there. */
static int ref_grow_table(struct qcow2 *q)
{
	struct qcow2_root old = q->reftable, new = {0};
	uint64_t first = (uint64_t)old.n << q->ref_bits;
	uint32_t old_clusters = old.n * 8ull >> q->cluster_bits;
	uint32_t clusters = MAX(old_clusters * 2, 1);
	unsigned k = ref_blocks_for(q, clusters);
	int rc;

	while ((clusters * (uint64_t)q->cluster) / 8 < (uint64_t)old.n + k)
		k = ref_blocks_for(q, clusters *= 2);
	if ((uint64_t)clusters << q->cluster_bits > REFTABLE_MAX_BYTES)
		return -EFBIG;
	new.n = (uint64_t)clusters * q->cluster / 8;
	new.off = (first + k) << q->cluster_bits;
	new.entry = g_try_new0(uint64_t, new.n);
	if (!new.entry)
		return -ENOMEM;
	memcpy(new.entry, old.entry, old.n * 8ull);
	for (unsigned b = 0; b < k; b++)
		new.entry[old.n + b] = (first + b) << q->cluster_bits;
	rc = ref_grow_file(q, first + k + clusters);
	if (!rc)
		rc = ref_write_new_blocks(q, first, k, k + clusters);
	if (!rc)
		rc = ref_write_table(q, new.off, &new);
	if (!rc)
		rc = ref_point_header(q, new.off, clusters);
	if (rc) {
		for (unsigned b = 0; b < k; b++)
			qcow2_cache_forget(
				&q->refblocks, (first + b) << q->cluster_bits);
		g_free(new.entry);
		return rc;
	}
	for (uint64_t c = first; c < first + k + clusters; c++)
		g_hash_table_add(q->meta, GSIZE_TO_POINTER(c));
	for (uint32_t i = 0; i < old_clusters; i++) {
		uint64_t c = (old.off >> q->cluster_bits) + i;

		g_hash_table_remove(q->meta, GSIZE_TO_POINTER(c));
		qcow2_free_later(q, c);
	}
	q->reftable = new;
	g_free(old.entry);
	return 0;
}

/* The block that counts cluster c.  make: if there is none, else *out is
 * NULL. */
static int ref_block(
	struct qcow2 *q, uint64_t c, bool make, struct qcow2_table **out)
{
	uint64_t range = c >> q->ref_bits, off;
	int rc;

	*out = NULL;
	if (range >= q->reftable.n) {
		if (!make)
			return 0;
		rc = ref_grow_table(q);
		if (rc)
			return rc;
		if (range >= q->reftable.n)
			return -EFBIG;
	}
	off = q->reftable.entry[range] & REF_OFFSET;
	if (off)
		return qcow2_cache_get(q, &q->refblocks, off, false, out);
	return make ? ref_new_block(q, range, out) : 0;
}

/* ---- taking ---- */

static int ref_take_at_end(struct qcow2 *q, unsigned want, uint64_t *first)
{
	int rc = ref_grow_file(q, q->next_free + want);

	if (rc)
		return rc;
	*first = q->next_free;
	q->next_free = *first + want;
	return want;
}

/* The first free cluster at or behind next_free. */
static int ref_find(struct qcow2 *q, uint64_t *c, struct qcow2_table **out)
{
	uint64_t mask = (1ull << q->ref_bits) - 1;
	int rc;

	for (;; q->next_free++) {
		rc = ref_block(q, q->next_free, true, out);
		if (rc)
			return rc;
		while ((q->next_free & mask) != mask &&
			ref_get(q, *out, q->next_free & mask))
			q->next_free++;
		if (!ref_get(q, *out, q->next_free & mask))
			break;
	}
	*c = q->next_free;
	return 0;
}

int qcow2_take(struct qcow2 *q, unsigned want, uint64_t *first)
{
	uint64_t mask = (1ull << q->ref_bits) - 1;
	struct qcow2_table *t;
	uint64_t room;
	unsigned n = 0;
	int rc;

	if (q->append_only)
		return ref_take_at_end(q, want, first);
	rc = ref_find(q, first, &t);
	if (rc)
		return rc;
	/* As many as follow in the same block. */
	room = mask + 1 - (*first & mask);
	while (n < want && n < room && !ref_get(q, t, (*first + n) & mask)) {
		if (ref_is_meta(q, *first + n))
			return -EIO;
		n++;
	}
	rc = ref_grow_file(q, *first + n);
	if (rc)
		return rc;
	for (unsigned i = 0; i < n; i++)
		ref_set(q, t, (*first + i) & mask, 1);
	q->next_free = *first + n;
	return n;
}

/* ---- freeing ---- */

/* One reference less; *gone: that was the last. */
static int ref_drop(struct qcow2 *q, uint64_t c, bool *gone)
{
	uint64_t mask = (1ull << q->ref_bits) - 1;
	struct qcow2_table *t;
	uint64_t n;
	int rc;

	*gone = false;
	if (q->append_only)
		return 0;
	rc = ref_block(q, c, false, &t);
	if (rc || !t)
		return rc;
	n = ref_get(q, t, c & mask);
	if (!n || ref_is_meta(q, c))
		return 0; /* was wrong before us */
	ref_set(q, t, c & mask, n - 1);
	if (n == 1) {
		*gone = true;
		q->next_free = MIN(q->next_free, c);
	}
	return 0;
}

int qcow2_ref_read(struct qcow2 *q, uint64_t c, uint64_t *n)
{
	struct qcow2_table *t;
	int rc = ref_block(q, c, false, &t);

	*n = rc || !t ? 0 : ref_get(q, t, c & ((1ull << q->ref_bits) - 1));
	return rc;
}

int qcow2_ref_write(struct qcow2 *q, uint64_t c, uint64_t n)
{
	struct qcow2_table *t;
	int rc = ref_block(q, c, true, &t);

	if (!rc && q->ref_order < 6 && n >> (1u << q->ref_order))
		rc = -EOVERFLOW;
	if (!rc)
		ref_set(q, t, c & ((1ull << q->ref_bits) - 1), n);
	return rc;
}

void qcow2_untake(struct qcow2 *q, uint64_t first, unsigned n)
{
	bool gone;

	for (unsigned i = 0; i < n; i++)
		ref_drop(q, first + i, &gone);
}

void qcow2_free_later(struct qcow2 *q, uint64_t cluster)
{
	g_array_append_val(q->frees, cluster);
}

static int ref_compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

int qcow2_free_now(struct qcow2 *q)
{
	uint64_t run = 0, run_end = 0;
	int rc = 0;

	g_array_sort(q->frees, ref_compare);
	for (unsigned i = 0; i < q->frees->len; i++) {
		uint64_t c = g_array_index(q->frees, uint64_t, i);
		bool gone;

		rc = ref_drop(q, c, &gone);
		if (rc)
			break;
		if (!gone)
			continue;
		if (c == run_end) {
			run_end++;
			continue;
		}
		blk_discard(q->lower, run << q->cluster_bits,
			(run_end - run) << q->cluster_bits);
		run = c;
		run_end = c + 1;
	}
	blk_discard(q->lower, run << q->cluster_bits,
		(run_end - run) << q->cluster_bits);
	g_array_set_size(q->frees, 0);
	return rc;
}
