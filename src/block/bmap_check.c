/*
 * bmap_check.c - do the blocks of a file lie apart: asked before writing, and
 * by check, which can mend it.
 */
#include <errno.h>

#include "block/bmap.h"

struct bmap_place {
	uint64_t off, block;
};

static int place_compare(const void *a, const void *b)
{
	const struct bmap_place *x = a, *y = b;

	return x->off < y->off ? -1 : x->off > y->off;
}

/* All places that entries point to, sorted.  NULL and *rc. */
static GArray *bmap_places(struct bmap *m, uint64_t *bad, int *rc)
{
	GArray *a = g_array_new(FALSE, FALSE, sizeof(struct bmap_place));

	*bad = 0;
	*rc = 0;
	for (uint64_t i = 0; i < m->nblocks && !*rc; i++) {
		struct bmap_spot s;

		*rc = bmap_spot(m, i, &s);
		if (*rc)
			break;
		if (s.kind == BMAP_BAD)
			++*bad;
		if (s.kind == BMAP_DATA || s.kind == BMAP_PART) {
			struct bmap_place p = {s.off, i};

			g_array_append_val(a, p);
		}
	}
	if (*rc)
		g_clear_pointer(&a, g_array_unref);
	else
		g_array_sort(a, place_compare);
	return a;
}

static struct bmap_place *place_at(GArray *a, guint i)
{
	return &g_array_index(a, struct bmap_place, i);
}

static bool overlaps(const struct bmap *m, GArray *a, guint i)
{
	return i && place_at(a, i)->off <
			    place_at(a, i - 1)->off + m->block + m->cls->gap;
}

bool bmap_ready(struct bmap *m, bool repair, GError **err)
{
	uint64_t bad, end;
	GArray *a;
	int rc;
	bool ok = true;

	if (m->blk.readonly)
		return true;
	a = bmap_places(m, &bad, &rc);
	if (!a)
		return image_errno(err, rc, m->cls->format, "block table");
	if (bad && !repair)
		ok = image_bad(err, m->cls->format,
			"its block table points outside the file");
	for (guint i = 1; i < a->len && ok && !repair; i++)
		if (overlaps(m, a, i))
			ok = image_bad(
				err, m->cls->format, "its blocks overlap");
	end = a->len ? place_at(a, a->len - 1)->off + m->block : 0;
	m->end = MAX(m->end, MAX(end, m->data_min));
	g_array_unref(a);
	return ok;
}

/* Two blocks at one place: the second gets a copy of its own. */
static int bmap_part_ways(struct bmap *m, const struct bmap_place *p)
{
	g_autofree uint8_t *buf = g_try_malloc(m->block);
	struct iovec iov = {buf, m->block};
	uint64_t at;
	int rc = buf ? bmap_begin(m) : -ENOMEM;

	if (!rc)
		rc = blk_preadv_clamped(m->lower, &iov, 1, p->off);
	if (!rc)
		rc = m->cls->place(m, 1, &at);
	if (!rc)
		rc = blk_pwrite(m->lower, buf, m->block, at);
	return rc ? rc : bmap_point(m, p->block, 1, at);
}

static int bmap_mend_bad(struct bmap *m, struct image_check *c)
{
	struct bmap_spot s;
	uint64_t e = 0;
	int rc = bmap_begin(m);

	for (uint64_t i = 0; i < m->nblocks && !rc; i++) {
		rc = bmap_spot(m, i, &s);
		if (rc || s.kind != BMAP_BAD)
			continue;
		if (!m->cls->encode(
			    m, i, (struct bmap_spot){BMAP_BELOW, 0}, &e))
			return -EIO;
		rc = bmap_set(m, i, e);
		c->mended_errors += !rc;
	}
	return rc;
}

static int bmap_check_overlaps(struct bmap *m, GArray *a, struct image_check *c)
{
	int rc = 0;

	for (guint i = 1; i < a->len && !rc; i++) {
		const struct bmap_place *p = place_at(a, i);

		if (!overlaps(m, a, i))
			continue;
		c->errors++;
		image_check_say(c,
			"blocks %" G_GUINT64_FORMAT " and %" G_GUINT64_FORMAT
			" lie at one place (byte %" G_GUINT64_FORMAT ")",
			place_at(a, i - 1)->block, p->block, p->off);
		if (c->repair)
			rc = bmap_part_ways(m, p);
		c->mended_errors += c->repair && !rc;
	}
	return rc;
}

int bmap_check(struct bmap *m, struct image_check *c)
{
	uint64_t bad, used;
	GArray *a;
	int rc;

	pthread_rwlock_wrlock(&m->lock);
	a = bmap_places(m, &bad, &rc);
	if (a) {
		c->blocks = m->nblocks;
		c->allocated = a->len;
		used = a->len ? place_at(a, a->len - 1)->off + m->block
			      : m->data_min;
		if (bad)
			image_check_say(c,
				"%" G_GUINT64_FORMAT " entries of the block "
				"table point outside the file",
				bad);
		c->errors += bad;
		rc = bmap_check_overlaps(m, a, c);
		if (!rc && bad && c->repair)
			rc = bmap_mend_bad(m, c);
		/* What a cut left behind the last block. */
		if (m->end > used && m->end - used >= m->block)
			c->leaks += (m->end - used) / m->block;
		g_array_unref(a);
	}
	if (!rc && c->repair)
		rc = bmap_settle(m);
	pthread_rwlock_unlock(&m->lock);
	return rc;
}
