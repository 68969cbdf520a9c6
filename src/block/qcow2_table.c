/*
 * qcow2_table.c - L1 and L2 tables, the cache of L2 tables and reference count
 * blocks, and the order in which changes reach the file.
 */
#include "block/qcow2.h"

#include <errno.h>
#include <string.h>

#include "block/bytes.h"

/* ---- cache ---- */

bool qcow2_cache_init(struct qcow2 *q, struct qcow2_cache *c, uint64_t tables,
	uint64_t max_bytes)
{
	uint64_t n = MIN(tables, max_bytes >> q->cluster_bits);

	c->nsets = MAX((n + QCOW2_WAYS - 1) / QCOW2_WAYS, 1);
	c->slot = g_try_new0(struct qcow2_table, c->nsets * QCOW2_WAYS);
	return c->slot != NULL;
}

void qcow2_cache_fini(struct qcow2_cache *c)
{
	for (unsigned i = 0; c->slot && i < c->nsets * QCOW2_WAYS; i++)
		g_free(c->slot[i].data);
	g_clear_pointer(&c->slot, g_free);
}

static struct qcow2_table *qcow2_cache_set(
	struct qcow2 *q, struct qcow2_cache *c, uint64_t off)
{
	return &c->slot[(off >> q->cluster_bits) % c->nsets * QCOW2_WAYS];
}

/* An unused slot, the oldest clean one, or the oldest. */
static struct qcow2_table *qcow2_cache_victim(struct qcow2_table *set)
{
	struct qcow2_table *v = &set[0];

	for (unsigned i = 0; i < QCOW2_WAYS; i++) {
		struct qcow2_table *t = &set[i];

		if (!t->off)
			return t;
		if (!v->dirty_end == !t->dirty_end ? t->tick < v->tick
						   : !t->dirty_end)
			v = t;
	}
	return v;
}

static int qcow2_table_write(struct qcow2 *q, struct qcow2_table *t)
{
	int rc;

	if (!t->off || !t->dirty_end)
		return 0;
	rc = blk_pwrite(q->lower, t->data + t->dirty, t->dirty_end - t->dirty,
		t->off + t->dirty);
	if (!rc)
		t->dirty = t->dirty_end = 0;
	return rc;
}

int qcow2_cache_get(struct qcow2 *q, struct qcow2_cache *c, uint64_t off,
	bool fresh, struct qcow2_table **out)
{
	struct qcow2_table *set = qcow2_cache_set(q, c, off), *t;
	int rc = 0;

	if (fresh) /* what the cluster was before */
		qcow2_cache_forget(c, off);
	for (unsigned i = 0; i < QCOW2_WAYS; i++)
		if (set[i].off == off) {
			set[i].tick = ++c->tick;
			*out = &set[i];
			return 0;
		}
	t = qcow2_cache_victim(set);
	/* A count block may be written early, an L2 table only in order. */
	if (t->dirty_end)
		rc = c == &q->l2 ? qcow2_write_back(q)
				 : qcow2_table_write(q, t);
	if (rc)
		return rc;
	t->off = 0;
	if (!t->data)
		t->data = g_try_malloc(q->cluster);
	if (!t->data)
		return -ENOMEM;
	if (fresh) {
		memset(t->data, 0, q->cluster);
		t->dirty = 0;
		t->dirty_end = q->cluster;
	} else {
		rc = off % q->cluster
			     ? -EIO
			     : blk_pread(q->lower, t->data, q->cluster, off);
		if (rc)
			return rc == -EINVAL ? -EIO : rc;
	}
	t->off = off;
	t->tick = ++c->tick;
	*out = t;
	return 0;
}

void qcow2_table_dirty(struct qcow2_table *t, uint32_t at, uint32_t len)
{
	if (!t->dirty_end) {
		t->dirty = at;
		t->dirty_end = at + len;
	} else {
		t->dirty = MIN(t->dirty, at);
		t->dirty_end = MAX(t->dirty_end, at + len);
	}
}

void qcow2_cache_forget(struct qcow2_cache *c, uint64_t off)
{
	for (unsigned i = 0; i < c->nsets * QCOW2_WAYS; i++)
		if (c->slot[i].off == off) {
			c->slot[i].off = 0;
			c->slot[i].dirty = c->slot[i].dirty_end = 0;
		}
}

void qcow2_root_set(struct qcow2_root *r, uint32_t i, uint64_t v)
{
	r->entry[i] = v;
	if (!r->dirty_end) {
		r->dirty = i;
		r->dirty_end = i + 1;
	} else {
		r->dirty = MIN(r->dirty, i);
		r->dirty_end = MAX(r->dirty_end, i + 1);
	}
}

/* ---- writing back ---- */

static bool qcow2_cache_dirty(const struct qcow2_cache *c)
{
	for (unsigned i = 0; c->slot && i < c->nsets * QCOW2_WAYS; i++)
		if (c->slot[i].dirty_end)
			return true;
	return false;
}

bool qcow2_meta_dirty(const struct qcow2 *q)
{
	return q->l1.dirty_end || q->reftable.dirty_end || q->frees->len ||
	       qcow2_cache_dirty(&q->l2) || qcow2_cache_dirty(&q->refblocks);
}

static int qcow2_cache_write(struct qcow2 *q, struct qcow2_cache *c)
{
	int rc = 0;

	for (unsigned i = 0; i < c->nsets * QCOW2_WAYS && !rc; i++)
		rc = qcow2_table_write(q, &c->slot[i]);
	return rc;
}

static int qcow2_root_write(struct qcow2 *q, struct qcow2_root *r)
{
	uint32_t n = r->dirty_end - r->dirty;
	g_autofree uint64_t *be = NULL;
	int rc;

	if (!n)
		return 0;
	be = g_try_new(uint64_t, n);
	if (!be)
		return -ENOMEM;
	for (uint32_t i = 0; i < n; i++)
		be[i] = GUINT64_TO_BE(r->entry[r->dirty + i]);
	rc = blk_pwrite(q->lower, be, n * 8ull, r->off + r->dirty * 8ull);
	if (!rc)
		r->dirty = r->dirty_end = 0;
	return rc;
}

int qcow2_write_back(struct qcow2 *q)
{
	bool table = q->reftable.dirty_end, l1 = q->l1.dirty_end;
	int rc = qcow2_cache_write(q, &q->refblocks);

	if (!rc && (table || l1 || qcow2_cache_dirty(&q->l2)))
		rc = blk_flush(q->lower);
	if (!rc && table) {
		rc = qcow2_root_write(q, &q->reftable);
		if (!rc)
			rc = blk_flush(q->lower);
	}
	if (!rc)
		rc = qcow2_cache_write(q, &q->l2);
	if (!rc && l1) {
		rc = blk_flush(q->lower);
		if (!rc)
			rc = qcow2_root_write(q, &q->l1);
	}
	return rc;
}

/* ---- L2 ---- */

struct qcow2_entry qcow2_l2_get(
	const struct qcow2 *q, const struct qcow2_table *t, unsigned i)
{
	if (q->extended)
		return (struct qcow2_entry){get_be64(t->data + 16ull * i),
			get_be64(t->data + 16ull * i + 8)};
	return (struct qcow2_entry){get_be64(t->data + 8ull * i), 0};
}

void qcow2_l2_set(const struct qcow2 *q, struct qcow2_table *t, unsigned i,
	struct qcow2_entry v)
{
	unsigned bytes = q->extended ? 16 : 8;

	put_be64(t->data + bytes * i, v.e);
	if (q->extended)
		put_be64(t->data + bytes * i + 8, v.sub);
	qcow2_table_dirty(t, bytes * i, bytes);
}

static uint32_t qcow2_l1_index(const struct qcow2 *q, uint64_t off)
{
	return off >> (q->cluster_bits + q->l2_bits);
}

int qcow2_l2_read(
	struct qcow2 *q, uint64_t off, struct qcow2_entry *entry, unsigned n)
{
	uint64_t l1 = q->l1.entry[qcow2_l1_index(q, off)];
	unsigned first = qcow2_l2_index(q, off);
	struct qcow2_table *t;
	int rc;

	n = MIN(n, (1u << q->l2_bits) - first);
	if (!(l1 & QCOW2_L1_OFFSET)) {
		memset(entry, 0, n * sizeof(*entry));
		return n;
	}
	rc = qcow2_cache_get(q, &q->l2, l1 & QCOW2_L1_OFFSET, false, &t);
	if (rc)
		return rc;
	for (unsigned i = 0; i < n; i++)
		entry[i] = qcow2_l2_get(q, t, first + i);
	return n;
}

bool qcow2_l2_cached(struct qcow2 *q, uint64_t off)
{
	uint64_t at = q->l1.entry[qcow2_l1_index(q, off)] & QCOW2_L1_OFFSET;
	const struct qcow2_table *set = qcow2_cache_set(q, &q->l2, at);
	bool has = !at;

	for (unsigned i = 0; i < QCOW2_WAYS; i++)
		has |= set[i].off == at;
	return has;
}

/* A table of our own in place of none, or of one that a snapshot shares. */
static int qcow2_l2_replace(
	struct qcow2 *q, uint32_t i, uint64_t old, struct qcow2_table **out)
{
	g_autofree uint8_t *copy = NULL;
	struct qcow2_table *t;
	uint64_t c;
	int rc;

	if (old) {
		rc = qcow2_cache_get(q, &q->l2, old, false, &t);
		if (rc)
			return rc;
		copy = g_memdup2(t->data, q->cluster);
	}
	rc = qcow2_take(q, 1, &c);
	if (rc < 0)
		return rc;
	rc = qcow2_cache_get(q, &q->l2, c << q->cluster_bits, true, &t);
	if (rc) {
		qcow2_untake(q, c, 1);
		return rc;
	}
	if (old) {
		memcpy(t->data, copy, q->cluster);
		g_hash_table_remove(
			q->meta, GSIZE_TO_POINTER(old >> q->cluster_bits));
		qcow2_free_later(q, old >> q->cluster_bits);
	}
	g_hash_table_add(q->meta, GSIZE_TO_POINTER(c));
	qcow2_root_set(&q->l1, i, c << q->cluster_bits | QCOW2_COPIED);
	*out = t;
	return 0;
}

int qcow2_l2_for_write(struct qcow2 *q, uint64_t off, struct qcow2_table **out)
{
	uint32_t i = qcow2_l1_index(q, off);
	uint64_t l1 = q->l1.entry[i];

	if (l1 & QCOW2_COPIED && l1 & QCOW2_L1_OFFSET)
		return qcow2_cache_get(
			q, &q->l2, l1 & QCOW2_L1_OFFSET, false, out);
	return qcow2_l2_replace(q, i, l1 & QCOW2_L1_OFFSET, out);
}
