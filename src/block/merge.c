/*
 * merge.c - moving what an image has into the one above or below it.
 */
#include "block/merge.h"

#include <errno.h>
#include <string.h>

#define PIECE	(64u << 10)
#define STRETCH (64u << 20) /* looked at in a map at once */
#define GRAIN	4096u	    /* zeros of so many bytes are not written */

struct merge {
	struct blk *src, *dst;
	const struct blk_merge_told *told;
	uint8_t *buf, *other; /* PIECE each */
	uint64_t size;
};

static int tell(const struct merge *m, uint64_t at)
{
	return m->told->told(m->told->opaque, at, m->size) ? 0 : -ECANCELED;
}

/* What of a piece is zeros is not written as data. */
static int write_piece(
	struct blk *b, const uint8_t *p, uint64_t len, uint64_t off)
{
	uint64_t at = 0, end;
	int rc = 0;

	for (; at < len && !rc; at = end) {
		bool zero = blk_is_zero(p + at, MIN(GRAIN, len - at));

		for (end = at + GRAIN; end < len; end += GRAIN)
			if (blk_is_zero(p + end, MIN(GRAIN, len - end)) != zero)
				break;
		end = MIN(end, len);
		rc = zero ? blk_write_zeroes(b, off + at, end - at, true)
			  : blk_pwrite(b, p + at, end - at, off + at);
	}
	return rc;
}

/* Pieces of [at, end), which one extent is. */
static int pieces(struct merge *m, uint64_t at, uint64_t end,
	int (*one)(struct merge *m, uint64_t at, uint64_t len))
{
	int rc = 0;

	while (at < end && !rc) {
		uint64_t len = MIN(end - at, PIECE - at % PIECE);

		rc = one(m, at, len);
		at += len;
		if (!rc)
			rc = tell(m, at);
	}
	return rc;
}

/* ---- down ---- */

static int down_piece(struct merge *m, uint64_t at, uint64_t len)
{
	int rc = blk_pread(m->src, m->buf, len, at);

	return rc ? rc : write_piece(m->dst, m->buf, len, at);
}

static int down_zero(struct merge *m, uint64_t at, uint64_t len)
{
	return blk_write_zeroes(m->dst, at, len, true);
}

int blk_merge_down(
	struct blk *src, struct blk *dst, const struct blk_merge_told *t)
{
	g_autofree uint8_t *buf = g_malloc(PIECE);
	struct merge m = {.src = src,
		.dst = dst,
		.told = t,
		.buf = buf,
		.size = src->size};
	struct blk_extent e;
	int rc = 0;

	for (uint64_t at = 0; at < m.size && !rc; at += e.len) {
		rc = blk_map(src, at, MIN(STRETCH, m.size - at), &e);
		if (!rc && e.state != BLK_BELOW)
			rc = pieces(&m, at, at + e.len,
				e.state == BLK_ZERO ? down_zero : down_piece);
		if (!rc)
			rc = tell(&m, at + e.len);
	}
	return rc ? rc : blk_merge_flush(dst);
}

/* ---- up ---- */

static int up_piece(struct merge *m, uint64_t at, uint64_t len)
{
	struct iovec old = {m->buf, len}, new = {m->other, len};
	int rc = blk_preadv(m->dst, &old, 1, at);

	if (!rc && m->src)
		rc = blk_preadv_clamped(m->src, &new, 1, at);
	else
		memset(m->other, 0, len);
	if (rc || !memcmp(m->buf, m->other, len))
		return rc;
	return blk_is_zero(m->buf, len)
		       ? blk_write_zeroes(m->dst, at, len, false)
		       : blk_pwrite(m->dst, m->buf, len, at);
}

/* Where the image between has nothing itself, both show the same. */
static int up_same(struct merge *m, uint64_t at, uint64_t *len, bool *same)
{
	struct blk *mid = m->dst->backing;
	struct blk_extent e;
	int rc;

	*same = false;
	if (!mid || mid->backing != m->src || at >= mid->size)
		return 0;
	rc = blk_map(mid, at, MIN(*len, mid->size - at), &e);
	if (rc)
		return rc;
	*len = e.len;
	*same = e.state == BLK_BELOW || (e.state == BLK_ZERO && !m->src);
	return 0;
}

static int up_extent(struct merge *m, uint64_t at, uint64_t end)
{
	uint64_t len;
	bool same;
	int rc = 0;

	for (; at < end && !rc; at += len) {
		len = end - at;
		rc = up_same(m, at, &len, &same);
		if (!rc && !same)
			rc = pieces(m, at, at + len, up_piece);
		if (!rc)
			rc = tell(m, at + len);
	}
	return rc;
}

int blk_merge_up(
	struct blk *top, struct blk *now, const struct blk_merge_told *t)
{
	g_autofree uint8_t *buf = g_malloc(PIECE), *other = g_malloc(PIECE);
	struct merge m = {.src = now,
		.dst = top,
		.told = t,
		.buf = buf,
		.other = other,
		.size = top->size};
	struct blk_extent e;
	int rc = 0;

	for (uint64_t at = 0; at < m.size && !rc; at += e.len) {
		rc = blk_map(top, at, MIN(STRETCH, m.size - at), &e);
		if (!rc && e.state == BLK_BELOW)
			rc = up_extent(&m, at, at + e.len);
		if (!rc)
			rc = tell(&m, at + e.len);
	}
	return rc ? rc : blk_merge_flush(top);
}

int blk_merge_flush(struct blk *b)
{
	int rc = blk_flush(b);

	return rc ? rc : blk_flush(b);
}
