/*
 * copy.c - copying and comparing disks by several threads.
 *
 * Threads take stretches of the disk in turn, without a lock: waiting for one
 * another would cost more than it brings.  Within its stretch a thread steps
 * over what the maps say to be zeros, and does not write zeros that it has
 * read.  A format that is written under a lock of its own is written by one
 * thread only.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "disk/job.h"

#define PIECE	    (2u << 20)
#define STRETCH	    (32u << 20)
#define GRAIN	    4096u /* zeros of so many bytes are left out */
#define THREADS_MAX 4

struct walk {
	const struct disk_copy *c;
	struct blk *a, *b; /* source and destination, or what to compare */
	uint64_t size;
	bool compare;
	struct disk_job *job;
	_Atomic(uint64_t) next;	   /* not taken yet */
	_Atomic(uint64_t) done;	   /* bytes */
	_Atomic(uint64_t) differs; /* the first byte that does */
	_Atomic(int) rc;
	GMutex tell;
};

/* What the disk has at off: zeros, data, or (own_only) nothing. */
static int look(struct walk *w, struct blk *b, uint64_t off, uint64_t len,
	struct blk_extent *e)
{
	if (off >= b->size) {
		*e = (struct blk_extent){BLK_ZERO, len};
		return 0;
	}
	len = MIN(len, b->size - off);
	if (w->c && w->c->own_only)
		return blk_map(b, off, len, e);
	return blk_map_deep(b, off, len, e, NULL);
}

/* Zeros where there may be something. */
static int clear(struct walk *w, uint64_t off, uint64_t len)
{
	if (w->c->dst_zero)
		return 0;
	return blk_write_zeroes(w->b, off, len, true);
}

/* A block is zeros only if all of it is. */
static void whole_blocks(
	const struct walk *w, uint64_t at, struct blk_extent *e)
{
	uint32_t block = w->c->packed;
	uint64_t end = at + e->len;

	if (end < w->size && e->state != BLK_DATA)
		end -= end % block;
	if (end <= at) {
		e->state = BLK_DATA;
		end = at + 1;
	}
	if (e->state == BLK_DATA)
		end = MIN((end + block - 1) / block * block, w->size);
	e->len = end - at;
}

/* What is to be done at off: BLK_DATA is to be read. */
static int what_next(
	struct walk *w, uint64_t off, uint64_t len, struct blk_extent *e)
{
	struct blk_extent f;
	int rc = look(w, w->a, off, len, e);

	if (!rc && w->compare && e->state == BLK_ZERO) {
		rc = look(w, w->b, off, e->len, &f);
		e->len = MIN(e->len, f.len);
		e->state = f.state;
	}
	if (!rc && w->c && w->c->packed)
		whole_blocks(w, off, e);
	return rc;
}

static int read_piece(struct blk *b, uint8_t *buf, uint64_t len, uint64_t off)
{
	struct iovec iov = {buf, len};

	return blk_preadv_clamped(b, &iov, 1, off);
}

/* What of a piece is not zeros. */
static int write_piece(
	struct walk *w, const uint8_t *buf, uint64_t len, uint64_t off)
{
	uint64_t at = 0, end;
	int rc = 0;

	while (at < len && !rc) {
		bool zero = blk_is_zero(buf + at, MIN(GRAIN, len - at));

		for (end = at + GRAIN; end < len; end += GRAIN)
			if (blk_is_zero(buf + end, MIN(GRAIN, len - end)) !=
				zero)
				break;
		end = MIN(end, len);
		if (zero)
			rc = clear(w, off + at, end - at);
		else
			rc = blk_pwrite(w->b, buf + at, end - at, off + at);
		at = end;
	}
	return rc;
}

static int write_packed(
	struct walk *w, const uint8_t *buf, uint64_t len, uint64_t off)
{
	uint32_t block = w->c->packed;
	int rc = 0;

	for (uint64_t at = 0; at < len && !rc; at += block) {
		uint64_t n = MIN(block, len - at);

		if (!blk_is_zero(buf + at, n))
			rc = w->b->ops->write_packed(
				w->b, buf + at, n, off + at);
	}
	return rc;
}

static void compare_piece(struct walk *w, const uint8_t *a, const uint8_t *b,
	uint64_t len, uint64_t off)
{
	uint64_t i = 0, at;

	if (!memcmp(a, b, len))
		return;
	while (a[i] == b[i])
		i++;
	at = atomic_load(&w->differs);
	while (off + i < at &&
		!atomic_compare_exchange_weak(&w->differs, &at, off + i))
		;
}

static int one_piece(struct walk *w, uint8_t *buf, uint64_t len, uint64_t off)
{
	int rc = read_piece(w->a, buf, len, off);

	if (rc)
		return rc;
	if (w->compare) {
		rc = read_piece(w->b, buf + PIECE, len, off);
		if (!rc)
			compare_piece(w, buf, buf + PIECE, len, off);
		return rc;
	}
	return w->c->packed ? write_packed(w, buf, len, off)
			    : write_piece(w, buf, len, off);
}

static void told(struct walk *w, uint64_t len)
{
	uint64_t done = atomic_fetch_add(&w->done, len) + len;

	if (!g_mutex_trylock(&w->tell))
		return;
	disk_progress(w->job, done, w->size);
	g_mutex_unlock(&w->tell);
}

static int one_extent(
	struct walk *w, uint8_t *buf, uint64_t at, const struct blk_extent *e)
{
	uint64_t end = at + e->len;
	int rc = 0;

	if (e->state != BLK_DATA) {
		if (!w->compare && e->state == BLK_ZERO)
			rc = clear(w, at, e->len);
		told(w, e->len);
		return rc;
	}
	while (at < end && !rc) {
		uint64_t len = MIN(end - at, PIECE - at % PIECE);

		rc = one_piece(w, buf, len, at);
		told(w, len);
		at += len;
	}
	return rc;
}

static int one_stretch(struct walk *w, uint8_t *buf, uint64_t at, uint64_t end)
{
	struct blk_extent e;
	int rc = buf ? 0 : -ENOMEM;

	while (at < end && !rc && !atomic_load(&w->rc) &&
		at <= atomic_load(&w->differs)) {
		rc = what_next(w, at, end - at, &e);
		if (!rc)
			rc = one_extent(w, buf, at, &e);
		at += e.len;
	}
	return rc;
}

static void *walker(void *opaque)
{
	struct walk *w = opaque;
	uint8_t *buf = aligned_alloc(4096, 2 * PIECE);

	for (;;) {
		uint64_t at = atomic_fetch_add(&w->next, STRETCH);
		int rc, none = 0;

		if (at >= w->size || atomic_load(&w->rc) ||
			at > atomic_load(&w->differs))
			break;
		rc = one_stretch(w, buf, at, MIN(at + STRETCH, w->size));
		if (rc)
			atomic_compare_exchange_strong(&w->rc, &none, rc);
	}
	free(buf);
	return NULL;
}

static int walk_run(struct walk *w, bool alone)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	int n = alone ? 1 : (int)CLAMP(cpus, 1, THREADS_MAX);
	GThread *t[THREADS_MAX] = {NULL};

	atomic_store(&w->differs, UINT64_MAX);
	g_mutex_init(&w->tell);
	for (int i = 1; i < n; i++)
		t[i] = g_thread_try_new("copy", walker, w, NULL);
	walker(w);
	for (int i = 1; i < n; i++)
		if (t[i])
			g_thread_join(t[i]);
	g_mutex_clear(&w->tell);
	return w->rc;
}

int disk_copy_run(const struct disk_copy *c)
{
	struct walk w = {.c = c,
		.a = c->src,
		.b = c->dst,
		.size = c->size,
		.job = c->job};

	return walk_run(
		&w, c->in_order ||
			    (!c->packed && strcmp(c->dst->ops->name, "raw")));
}

int disk_compare_run(struct disk_job *j, struct blk *a, struct blk *b,
	uint64_t size, uint64_t *at)
{
	struct walk w = {
		.a = a, .b = b, .size = size, .compare = true, .job = j};
	int rc = walk_run(&w, false);

	*at = w.differs;
	return rc;
}
