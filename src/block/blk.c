/*
 * blk.c - the front doors of a disk image: every range is checked here once,
 * so that formats may rely on it.
 */
#include "block/blk.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "block/iov.h"

#define BLK_ZERO_CHUNK (64u * 1024)

static bool blk_range_ok(const struct blk *b, uint64_t off, uint64_t len)
{
	return off <= b->size && len <= b->size - off;
}

static int blk_iov_bytes(const struct iovec *iov, int n, uint64_t *len)
{
	uint64_t sum = 0;

	for (int i = 0; i < n; i++)
		if (__builtin_add_overflow(sum, iov[i].iov_len, &sum))
			return -EINVAL;
	*len = sum;
	return 0;
}

int blk_preadv(struct blk *b, const struct iovec *iov, int n, uint64_t off)
{
	uint64_t len;

	if (n < 0 || blk_iov_bytes(iov, n, &len) || !blk_range_ok(b, off, len))
		return -EINVAL;
	return len ? b->ops->preadv(b, iov, n, off) : 0;
}

int blk_preadv_now(struct blk *b, const struct iovec *iov, int n, uint64_t off)
{
	uint64_t len;

	if (!b->ops->preadv_now || n < 0 || blk_iov_bytes(iov, n, &len) ||
		!len || !blk_range_ok(b, off, len))
		return -EAGAIN;
	return b->ops->preadv_now(b, iov, n, off) ? -EAGAIN : 0;
}

int blk_pwritev(struct blk *b, const struct iovec *iov, int n, uint64_t off)
{
	uint64_t len;

	if (b->readonly)
		return -EROFS;
	if (n < 0 || blk_iov_bytes(iov, n, &len) || !blk_range_ok(b, off, len))
		return -EINVAL;
	return len ? b->ops->pwritev(b, iov, n, off) : 0;
}

int blk_pread(struct blk *b, void *buf, size_t len, uint64_t off)
{
	struct iovec iov = {buf, len};

	return blk_preadv(b, &iov, 1, off);
}

int blk_pwrite(struct blk *b, const void *buf, size_t len, uint64_t off)
{
	union {
		const void *in;
		void *out;
	} p = {.in = buf}; /* iovec has no const; writing does not touch it */
	struct iovec iov = {p.out, len};

	return blk_pwritev(b, &iov, 1, off);
}

int blk_flush(struct blk *b)
{
	return b->ops->flush ? b->ops->flush(b) : 0;
}

/* Discarding is advice: what cannot do it succeeds and does nothing. */
int blk_discard(struct blk *b, uint64_t off, uint64_t len)
{
	if (b->readonly)
		return -EROFS;
	if (!blk_range_ok(b, off, len))
		return -EINVAL;
	if (!len || !b->ops->discard)
		return 0;
	return b->ops->discard(b, off, len);
}

static int blk_zero_by_writing(struct blk *b, uint64_t off, uint64_t len)
{
	static const uint8_t zero[BLK_ZERO_CHUNK];

	while (len) {
		size_t n = len < sizeof(zero) ? len : sizeof(zero);
		int rc = blk_pwrite(b, zero, n, off);

		if (rc)
			return rc;
		off += n;
		len -= n;
	}
	return 0;
}

int blk_write_zeroes(struct blk *b, uint64_t off, uint64_t len, bool unmap)
{
	int rc = -EOPNOTSUPP;

	if (b->readonly)
		return -EROFS;
	if (!blk_range_ok(b, off, len))
		return -EINVAL;
	if (!len)
		return 0;
	if (b->ops->write_zeroes)
		rc = b->ops->write_zeroes(b, off, len, unmap);
	return rc == -EOPNOTSUPP ? blk_zero_by_writing(b, off, len) : rc;
}

int blk_resize(struct blk *b, uint64_t size)
{
	if (b->readonly)
		return -EROFS;
	if (size % 512)
		return -EINVAL;
	if (size == b->size)
		return 0;
	return b->ops->resize ? b->ops->resize(b, size) : -EOPNOTSUPP;
}

int blk_map(struct blk *b, uint64_t off, uint64_t len, struct blk_extent *e)
{
	if (!len || !blk_range_ok(b, off, len))
		return -EINVAL;
	*e = (struct blk_extent){.state = BLK_DATA, .len = len};
	return b->ops->map ? b->ops->map(b, off, len, e) : 0;
}

int blk_map_deep(struct blk *b, uint64_t off, uint64_t len,
	struct blk_extent *e, unsigned *depth)
{
	unsigned d = 0;
	int rc;

	while (!(rc = blk_map(b, off, len, e)) && e->state == BLK_BELOW) {
		len = e->len;
		b = b->backing;
		if (!b || off >= b->size) {
			*e = (struct blk_extent){BLK_ZERO, len};
			break;
		}
		len = MIN(len, b->size - off);
		d++;
	}
	if (depth)
		*depth = d;
	return rc;
}

int blk_map_holes(
	struct blk *b, uint64_t off, uint64_t len, struct blk_extent *e)
{
	struct blk_extent below;
	int rc = blk_map_deep(b, off, len, e, NULL);

	if (rc || e->state != BLK_DATA || !e->file || e->file == b)
		return rc;
	if (blk_map_deep(e->file, e->at, e->len, &below, NULL))
		return 0; /* the end may be cut off */
	e->len = below.len;
	e->state = below.state;
	return 0;
}

struct blk_stamp blk_stamp(struct blk *b)
{
	while (b && !b->ops->stamp)
		b = b->ops->below ? b->ops->below(b) : NULL;
	return b ? b->ops->stamp(b) : (struct blk_stamp){0};
}

int blk_view(struct blk *file, uint64_t at, size_t len, struct blk_view *v)
{
	if (!file || !file->ops->view || !len || !blk_range_ok(file, at, len))
		return -EOPNOTSUPP;
	return file->ops->view(file, at, len, v);
}

void blk_unview(struct blk_view *v)
{
	munmap(v->map, v->bytes);
}

int blk_preadv_clamped(
	struct blk *b, const struct iovec *iov, int n, uint64_t off)
{
	uint64_t len = iov_bytes(iov, n);
	g_autofree struct iovec *part = NULL;
	uint64_t have = off < b->size ? MIN(len, b->size - off) : 0;
	int m, rc = 0;

	if (have == len)
		return blk_preadv(b, iov, n, off);
	part = g_new(struct iovec, n);
	m = iov_slice(iov, n, 0, have, part);
	if (m)
		rc = blk_preadv(b, part, m, off);
	m = iov_slice(iov, n, have, len - have, part);
	iov_zero(part, m);
	return rc;
}

bool blk_is_zero(const void *buf, size_t len)
{
	const uint8_t *p = buf;

	return !len || (!p[0] && !memcmp(p, p + 1, len - 1));
}

void blk_close(struct blk *b)
{
	if (b && !b->lent)
		b->ops->close(b);
}
