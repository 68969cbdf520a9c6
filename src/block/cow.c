/*
 * cow.c - writes that leave the disk beneath untouched.
 *
 * Every 4 KiB block that was ever written lives in a sparse file at its own
 * offset; a bitmap in memory says which.  Nothing of it survives the machine.
 *
 * Invariant: a block's bit is set only once the whole block is in the file.
 * Transfers hold the lock shared; a write that covers part of a block which is
 * not there yet must first copy it, and holds the lock alone.
 */
#include "block/blk.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "block/iov.h"

#define COW_BLOCK 4096u

struct cow {
	struct blk blk;
	struct blk *base, *top;
	pthread_rwlock_t lock;
	_Atomic(uint64_t) *present; /* a bit per block */
};

static bool cow_has(struct cow *c, uint64_t block)
{
	return atomic_load_explicit(
		       &c->present[block / 64], memory_order_acquire) >>
		       (block % 64) &
	       1;
}

static void cow_mark(struct cow *c, uint64_t first, uint64_t end)
{
	for (uint64_t i = first; i < end; i++)
		atomic_fetch_or_explicit(&c->present[i / 64], 1ull << (i % 64),
			memory_order_release);
}

static int cow_preadv(
	struct blk *b, const struct iovec *iov, int n, uint64_t off)
{
	struct cow *c = (struct cow *)b;
	g_autofree struct iovec *part = g_new(struct iovec, n);
	uint64_t len = iov_bytes(iov, n), done = 0;
	int rc = 0;

	pthread_rwlock_rdlock(&c->lock);
	while (done < len && !rc) {
		uint64_t at = off + done, block = at / COW_BLOCK;
		bool has = cow_has(c, block);
		uint64_t end = block + 1;
		uint64_t run;
		int m;

		while (end * COW_BLOCK < off + len && cow_has(c, end) == has)
			end++;
		run = MIN(end * COW_BLOCK, off + len) - at;
		m = iov_slice(iov, n, done, run, part);
		rc = blk_preadv(has ? c->top : c->base, part, m, at);
		done += run;
	}
	pthread_rwlock_unlock(&c->lock);
	return rc;
}

/* What lies in one file, if nobody writes. */
static int cow_preadv_now(
	struct blk *b, const struct iovec *iov, int n, uint64_t off)
{
	struct cow *c = (struct cow *)b;
	uint64_t end = off + iov_bytes(iov, n), block = off / COW_BLOCK;
	bool has = cow_has(c, block);
	int rc = -EAGAIN;

	if (pthread_rwlock_tryrdlock(&c->lock))
		return rc;
	while (block * COW_BLOCK < end && cow_has(c, block) == has)
		block++;
	if (block * COW_BLOCK >= end)
		rc = blk_preadv_now(has ? c->top : c->base, iov, n, off);
	pthread_rwlock_unlock(&c->lock);
	return rc;
}

/* The other file is nobody else's. */
static struct blk *cow_below(struct blk *b)
{
	return ((struct cow *)b)->base;
}

/* Bring block wholly into the top file.  Lock held alone. */
static int cow_fill(struct cow *c, uint64_t block)
{
	uint8_t buf[COW_BLOCK];
	uint64_t at = block * COW_BLOCK;
	size_t len = MIN(COW_BLOCK, c->blk.size - at);
	int rc;

	if (cow_has(c, block))
		return 0;
	rc = blk_pread(c->base, buf, len, at);
	if (!rc)
		rc = blk_pwrite(c->top, buf, len, at);
	if (!rc)
		cow_mark(c, block, block + 1);
	return rc;
}

/* Does a range begin or end inside a block that is not there? */
static bool cow_must_fill(struct cow *c, uint64_t off, uint64_t end)
{
	if (off % COW_BLOCK && !cow_has(c, off / COW_BLOCK))
		return true;
	return end % COW_BLOCK && end != c->blk.size &&
	       !cow_has(c, end / COW_BLOCK);
}

static int cow_fill_edges(struct cow *c, uint64_t off, uint64_t end)
{
	int rc = 0;

	if (off % COW_BLOCK)
		rc = cow_fill(c, off / COW_BLOCK);
	if (!rc && end % COW_BLOCK && end != c->blk.size)
		rc = cow_fill(c, end / COW_BLOCK);
	return rc;
}

/* Lock [off, end) for writing it as a whole: shared, or alone with the edge
 * blocks brought in. */
static int cow_begin(struct cow *c, uint64_t off, uint64_t end)
{
	int rc = 0;

	pthread_rwlock_rdlock(&c->lock);
	if (!cow_must_fill(c, off, end))
		return 0;
	pthread_rwlock_unlock(&c->lock);
	pthread_rwlock_wrlock(&c->lock);
	rc = cow_fill_edges(c, off, end);
	if (rc)
		pthread_rwlock_unlock(&c->lock);
	return rc;
}

static void cow_end(struct cow *c, uint64_t off, uint64_t end, int rc)
{
	if (!rc)
		cow_mark(c, off / COW_BLOCK, (end + COW_BLOCK - 1) / COW_BLOCK);
	pthread_rwlock_unlock(&c->lock);
}

static int cow_pwritev(
	struct blk *b, const struct iovec *iov, int n, uint64_t off)
{
	struct cow *c = (struct cow *)b;
	uint64_t end = off + iov_bytes(iov, n);
	int rc = cow_begin(c, off, end);

	if (rc)
		return rc;
	rc = blk_pwritev(c->top, iov, n, off);
	cow_end(c, off, end, rc);
	return rc;
}

static int cow_write_zeroes(
	struct blk *b, uint64_t off, uint64_t len, bool unmap)
{
	struct cow *c = (struct cow *)b;
	int rc = cow_begin(c, off, off + len);

	if (rc)
		return rc;
	rc = blk_write_zeroes(c->top, off, len, true);
	cow_end(c, off, off + len, rc);
	return rc;
}

/* Give space back: the blocks become holes in the file. */
static int cow_discard(struct blk *b, uint64_t off, uint64_t len)
{
	uint64_t first = (off + COW_BLOCK - 1) / COW_BLOCK * COW_BLOCK;
	uint64_t end = (off + len) / COW_BLOCK * COW_BLOCK;

	return first < end ? cow_write_zeroes(b, first, end - first, true) : 0;
}

/* Nothing here outlives the machine, so nothing needs to reach the medium. */
static int cow_flush(struct blk *b)
{
	return 0;
}

static void cow_free(struct cow *c)
{
	pthread_rwlock_destroy(&c->lock);
	g_free(c->present);
	g_free(c);
}

static void cow_close(struct blk *b)
{
	struct cow *c = (struct cow *)b;

	blk_close(c->top);
	blk_close(c->base);
	cow_free(c);
}

static const struct blk_ops cow_ops = {
	.name = "cow",
	.preadv = cow_preadv,
	.preadv_now = cow_preadv_now,
	.below = cow_below,
	.pwritev = cow_pwritev,
	.flush = cow_flush,
	.discard = cow_discard,
	.write_zeroes = cow_write_zeroes,
	.close = cow_close,
};

/* Over base, which stays the caller's, into fd, which does not. */
static struct cow *cow_new(struct blk *base, int fd, GError **err)
{
	struct blk *top = blk_raw_open(fd, false, err);
	uint64_t words = base->size / COW_BLOCK / 64 + 1;
	struct cow *c;
	int rc;

	if (!top)
		return NULL;
	c = g_new0(struct cow, 1);
	c->present = g_try_malloc0_n(words, sizeof(*c->present));
	pthread_rwlock_init(&c->lock, NULL);
	rc = c->present ? blk_resize(top, base->size) : -ENOMEM;
	if (rc) {
		g_set_error(err, G_FILE_ERROR, g_file_error_from_errno(-rc),
			"cannot make the temporary copy of the disk: %s",
			g_strerror(-rc));
		blk_close(top);
		cow_free(c);
		return NULL;
	}
	c->blk.ops = &cow_ops;
	c->blk.size = base->size;
	c->blk.can_discard = true;
	c->base = base;
	c->top = top;
	return c;
}

struct blk *blk_cow_open(struct blk *base, int fd, GError **err)
{
	struct cow *c = cow_new(base, fd, err);

	if (c)
		return &c->blk;
	blk_close(base);
	return NULL;
}

/* The new object takes over what there is, *b goes on over it. */
struct blk *blk_cow_freeze(struct blk *b, int fd, GError **err)
{
	struct cow *c = (struct cow *)b, *old = cow_new(b, fd, err);
	_Atomic(uint64_t) *fresh;
	struct blk *top;

	if (!old)
		return NULL;
	pthread_rwlock_wrlock(&c->lock);
	fresh = old->present;
	top = old->top;
	old->present = c->present;
	old->top = c->top;
	old->base = c->base;
	old->blk.readonly = true;
	c->present = fresh;
	c->top = top;
	c->base = &old->blk;
	pthread_rwlock_unlock(&c->lock);
	return &old->blk;
}

/* In this layer, or one beneath that is no base? */
static bool cow_changed(struct cow *c, uint64_t block)
{
	while (!cow_has(c, block)) {
		if (c->base->ops != &cow_ops)
			return false;
		c = (struct cow *)c->base;
	}
	return true;
}

bool blk_cow_next(struct blk *b, uint64_t *off, uint64_t *len)
{
	struct cow *c = (struct cow *)b;
	uint64_t n = (b->size + COW_BLOCK - 1) / COW_BLOCK;
	uint64_t at = *off / COW_BLOCK, end;

	while (at < n && !cow_changed(c, at))
		at++;
	if (at == n)
		return false;
	for (end = at + 1; end < n && cow_changed(c, end);)
		end++;
	*off = at * COW_BLOCK;
	*len = MIN(end * COW_BLOCK, b->size) - *off;
	return true;
}
