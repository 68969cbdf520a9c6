/*
 * copy.c - copying and comparing disks by several threads.
 *
 * Threads take stretches of the disk in turn, without a lock: waiting for one
 * another would cost more than it brings.  Within its stretch a thread steps
 * over what the maps say to be zeros, and does not write zeros that it has
 * read.  What lies in a row in a file is not read but mapped, which spares
 * one copy of it.  A format that is written under a lock of its own is written
 * by one thread only.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "disk/job.h"

#define PIECE	    (2u << 20)
#define STRETCH	    (32u << 20)
#define GRAIN	    4096u	 /* zeros of so many bytes are left out */
#define VIEW_MIN    (128u << 10) /* less is read sooner than mapped */
#define THREADS_MAX 4

/* The kernel makes its cache of pages as large as a write.  The largest are the
 * ones that a machine with a balloon has given back to its host, where the next
 * touch costs eight times a copy. */
#define WRITE_MAX (256u << 10)

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
	return blk_map_holes(b, off, len, e);
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
	if (end - at > e->len)
		e->file = NULL; /* what follows may lie elsewhere */
	e->len = end - at;
}

/* What lies at one place of one or both disks. */
struct spot {
	struct blk_extent a, b;
};

/* What is to be done at off: extents of one length, BLK_DATA is to be read. */
static int what_next(struct walk *w, uint64_t off, uint64_t len, struct spot *s)
{
	int rc = look(w, w->a, off, len, &s->a);

	if (!rc && w->compare) {
		rc = look(w, w->b, off, s->a.len, &s->b);
		s->a.len = s->b.len = MIN(s->a.len, s->b.len);
	}
	if (!rc && w->c && w->c->packed)
		whole_blocks(w, off, &s->a);
	return rc;
}

/* Some bytes of a disk, mapped or in buf. */
struct piece {
	const uint8_t *p;
	struct blk_view view;
};

/* The bytes at off, which is `in` behind the start of extent e. */
static int get_piece(struct blk *b, const struct blk_extent *e, uint64_t in,
	struct iovec *buf, uint64_t off, struct piece *p)
{
	if (e->file && buf->iov_len >= VIEW_MIN &&
		!blk_view(e->file, e->at + in, buf->iov_len, &p->view)) {
		p->p = p->view.data;
		return 0;
	}
	p->view.map = NULL;
	p->p = buf->iov_base;
	return blk_preadv_clamped(b, buf, 1, off);
}

static void put_piece(struct piece *p)
{
	if (p->view.map)
		blk_unview(&p->view);
}

/* What of a piece is not zeros. */
static int write_piece(
	struct walk *w, const uint8_t *buf, uint64_t len, uint64_t off)
{
	uint64_t at = 0, end, most;
	int rc = 0;

	while (at < len && !rc) {
		bool zero = blk_is_zero(buf + at, MIN(GRAIN, len - at));

		most = zero ? len : MIN(len, at + WRITE_MAX);
		for (end = at + GRAIN; end < most; end += GRAIN)
			if (blk_is_zero(buf + end, MIN(GRAIN, len - end)) !=
				zero)
				break;
		end = MIN(end, most);
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

static void differs_at(struct walk *w, uint64_t off)
{
	uint64_t at = atomic_load(&w->differs);

	while (off < at && !atomic_compare_exchange_weak(&w->differs, &at, off))
		;
}

/* b NULL: zeros. */
static void compare_piece(struct walk *w, const uint8_t *a, const uint8_t *b,
	uint64_t len, uint64_t off)
{
	uint64_t i = 0;

	if (b ? !memcmp(a, b, len) : blk_is_zero(a, len))
		return;
	while (a[i] == (b ? b[i] : 0))
		i++;
	differs_at(w, off + i);
}

/* Where only one disk has data, that must be zeros. */
static int compare_one(struct walk *w, uint8_t *buf, uint64_t len, uint64_t off,
	const struct spot *s, uint64_t in)
{
	bool first = s->a.state == BLK_DATA;
	struct iovec one = {buf, len}, two = {buf + PIECE, len};
	struct piece a, b = {NULL};
	int rc = get_piece(
		first ? w->a : w->b, first ? &s->a : &s->b, in, &one, off, &a);

	if (!rc && first && s->b.state == BLK_DATA)
		rc = get_piece(w->b, &s->b, in, &two, off, &b);
	if (!rc)
		compare_piece(w, a.p, b.p, len, off);
	put_piece(&a);
	put_piece(&b);
	return rc;
}

static int copy_one(struct walk *w, uint8_t *buf, uint64_t len, uint64_t off,
	const struct spot *s, uint64_t in)
{
	struct iovec iov = {buf, len};
	struct piece a;
	int rc = get_piece(w->a, &s->a, in, &iov, off, &a);

	if (!rc)
		rc = w->c->packed ? write_packed(w, a.p, len, off)
				  : write_piece(w, a.p, len, off);
	put_piece(&a);
	return rc;
}

static void told(struct walk *w, uint64_t len)
{
	uint64_t done = atomic_fetch_add(&w->done, len) + len;

	if (!g_mutex_trylock(&w->tell))
		return;
	disk_progress(w->job, done, w->size);
	g_mutex_unlock(&w->tell);
}

static int one_spot(
	struct walk *w, uint8_t *buf, uint64_t at, const struct spot *s)
{
	uint64_t end = at + s->a.len, in = 0;
	bool data = s->a.state == BLK_DATA ||
		    (w->compare && s->b.state == BLK_DATA);
	int rc = 0;

	if (!data) {
		if (!w->compare && s->a.state == BLK_ZERO)
			rc = clear(w, at, s->a.len);
		told(w, s->a.len);
		return rc;
	}
	while (at < end && !rc) {
		uint64_t len = MIN(end - at, PIECE - at % PIECE);

		rc = (w->compare ? compare_one : copy_one)(
			w, buf, len, at, s, in);
		told(w, len);
		at += len;
		in += len;
	}
	return rc;
}

static int one_stretch(struct walk *w, uint8_t *buf, uint64_t at, uint64_t end)
{
	struct spot s;
	int rc = buf ? 0 : -ENOMEM;

	while (at < end && !rc && !atomic_load(&w->rc) &&
		at <= atomic_load(&w->differs)) {
		rc = what_next(w, at, end - at, &s);
		if (!rc)
			rc = one_spot(w, buf, at, &s);
		at += s.a.len;
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
			    (!c->packed && strcmp(c->dst->ops->name, "raw") &&
				    strcmp(c->dst->ops->name, "luks")));
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
