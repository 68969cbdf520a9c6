/*
 * copy.c - copying and comparing disks by several threads.
 *
 * Threads take pieces of the disk in turn; what the maps say to be zeros is
 * stepped over without being read, and what is read and is zeros is not
 * written.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "disk/job.h"

#define PIECE	    (2u << 20)
#define GRAIN	    4096u /* zeros of so many bytes are left out */
#define THREADS_MAX 4

struct walk {
	const struct disk_copy *c;
	struct blk *a, *b; /* source and destination, or what to compare */
	uint64_t size;
	bool compare;
	GMutex lock;
	uint64_t next;	  /* not taken yet */
	uint64_t run_end; /* of the extent that next is in */
	uint64_t done;	  /* bytes */
	uint64_t differs; /* the first byte that does */
	int rc;
	struct disk_job *job;
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
static void whole_blocks(const struct walk *w, struct blk_extent *e)
{
	uint32_t block = w->c->packed;
	uint64_t end = w->next + e->len;

	if (end < w->size && e->state != BLK_DATA)
		end -= end % block;
	if (end <= w->next) {
		e->state = BLK_DATA;
		end = w->next + 1;
	}
	if (e->state == BLK_DATA)
		end = MIN((end + block - 1) / block * block, w->size);
	e->len = end - w->next;
}

/* Step over what needs no reading.  lock held; 0 or -errno. */
static int step_over(struct walk *w)
{
	struct blk_extent e, f;
	int rc = 0;

	while (w->next < w->size && w->next >= w->run_end) {
		rc = look(w, w->a, w->next, w->size - w->next, &e);
		if (!rc && w->compare && e.state == BLK_ZERO) {
			rc = look(w, w->b, w->next, e.len, &f);
			e.len = MIN(e.len, f.len);
			e.state = f.state;
		}
		if (rc)
			return rc;
		if (w->c && w->c->packed)
			whole_blocks(w, &e);
		if (e.state == BLK_DATA) {
			w->run_end = w->next + e.len;
			return 0;
		}
		if (!w->compare && e.state == BLK_ZERO)
			rc = clear(w, w->next, e.len);
		if (rc)
			return rc;
		w->next += e.len;
		w->done += e.len;
	}
	return 0;
}

/* The next piece to read; false: there is none. */
static bool take(struct walk *w, uint64_t *off, uint64_t *len)
{
	uint64_t end;
	int rc;

	g_mutex_lock(&w->lock);
	rc = w->rc ? w->rc : step_over(w);
	if (rc)
		w->rc = rc;
	*off = w->next;
	end = MIN(MIN(w->run_end, w->size), w->next - w->next % PIECE + PIECE);
	*len = rc || w->next >= w->size || w->next > w->differs ? 0
								: end - w->next;
	w->next += *len;
	g_mutex_unlock(&w->lock);
	return *len > 0;
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
	uint64_t i = 0;

	if (!memcmp(a, b, len))
		return;
	while (a[i] == b[i])
		i++;
	g_mutex_lock(&w->lock);
	w->differs = MIN(w->differs, off + i);
	g_mutex_unlock(&w->lock);
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

static void *walker(void *opaque)
{
	struct walk *w = opaque;
	uint8_t *buf = aligned_alloc(4096, 2 * PIECE);
	uint64_t off, len;

	while (take(w, &off, &len)) {
		int rc = buf ? one_piece(w, buf, len, off) : -ENOMEM;

		g_mutex_lock(&w->lock);
		w->done += len;
		if (rc && !w->rc)
			w->rc = rc;
		disk_progress(w->job, w->done, w->size);
		g_mutex_unlock(&w->lock);
	}
	free(buf);
	return NULL;
}

static int walk_run(struct walk *w, bool alone)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	int n = alone ? 1 : (int)CLAMP(cpus, 1, THREADS_MAX);
	GThread *t[THREADS_MAX] = {NULL};

	w->differs = UINT64_MAX;
	g_mutex_init(&w->lock);
	for (int i = 1; i < n; i++)
		t[i] = g_thread_try_new("copy", walker, w, NULL);
	walker(w);
	for (int i = 1; i < n; i++)
		if (t[i])
			g_thread_join(t[i]);
	g_mutex_clear(&w->lock);
	return w->rc;
}

int disk_copy_run(const struct disk_copy *c)
{
	struct walk w = {.c = c,
		.a = c->src,
		.b = c->dst,
		.size = c->size,
		.job = c->job};

	return walk_run(&w, c->in_order);
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
