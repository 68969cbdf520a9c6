/*
 * live.c - a disk that stays what it is while its image gets a child.
 *
 * Devices hold this object; all it does is pass on to the top image of the
 * chain.  The switch happens while nothing is under way, so a transfer takes no
 * lock.  blk.backing is the top's, lent for maps.
 */
#include "block/image.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

struct live {
	struct blk blk;
	struct blk *top; /* owned */
	int lock;	 /* shares the lock of its file, or -1 */
};

static struct live *live_of(struct blk *b)
{
	return (struct live *)b;
}

static int live_preadv(
	struct blk *b, const struct iovec *iov, int n, uint64_t off)
{
	struct blk *t = live_of(b)->top;

	return t->ops->preadv(t, iov, n, off);
}

static int live_preadv_now(
	struct blk *b, const struct iovec *iov, int n, uint64_t off)
{
	struct blk *t = live_of(b)->top;

	return t->ops->preadv_now ? t->ops->preadv_now(t, iov, n, off)
				  : -EAGAIN;
}

static int live_pwritev(
	struct blk *b, const struct iovec *iov, int n, uint64_t off)
{
	struct blk *t = live_of(b)->top;

	return t->ops->pwritev(t, iov, n, off);
}

static int live_flush(struct blk *b)
{
	return blk_flush(live_of(b)->top);
}

static int live_discard(struct blk *b, uint64_t off, uint64_t len)
{
	return blk_discard(live_of(b)->top, off, len);
}

static int live_write_zeroes(
	struct blk *b, uint64_t off, uint64_t len, bool unmap)
{
	return blk_write_zeroes(live_of(b)->top, off, len, unmap);
}

static int live_map(
	struct blk *b, uint64_t off, uint64_t len, struct blk_extent *e)
{
	return blk_map(live_of(b)->top, off, len, e);
}

static struct blk *live_below(struct blk *b)
{
	return live_of(b)->top;
}

static void live_close(struct blk *b)
{
	struct live *l = live_of(b);

	blk_close(l->top);
	if (l->lock >= 0)
		close(l->lock);
	g_free(l);
}

static const struct blk_ops live_ops = {
	.name = "live",
	.preadv = live_preadv,
	.pwritev = live_pwritev,
	.preadv_now = live_preadv_now,
	.below = live_below,
	.flush = live_flush,
	.discard = live_discard,
	.write_zeroes = live_write_zeroes,
	.map = live_map,
	.close = live_close,
};

struct blk *image_live_new(struct blk *top, int lock)
{
	struct live *l = g_new0(struct live, 1);

	l->blk.ops = &live_ops;
	l->blk.size = top->size;
	l->blk.readonly = top->readonly;
	l->blk.can_discard = top->can_discard;
	l->top = top;
	l->lock = lock;
	l->blk.backing = top->backing;
	return &l->blk;
}

struct blk *image_live_top(struct blk *b)
{
	return b && b->ops == &live_ops ? live_of(b)->top : NULL;
}

static unsigned depth_of(const struct blk *b)
{
	unsigned n = 0;

	while ((b = b->backing))
		n++;
	return n;
}

static struct blk *open_child(struct blk *top, const struct image_format *f,
	struct blk *lower, GError **err)
{
	struct image_open how = {.lower = lower, .parent = top};
	struct blk *child;

	/* What fails must not take it along. */
	top->lent = true;
	child = image_open(f, &how, err);
	top->lent = false;
	return child;
}

struct blk *image_live_child(
	struct blk *b, const struct image_child *c, GError **err)
{
	struct blk *top = image_live_top(b), *lower, *child = NULL;
	struct image_create how = {.size = top->size,
		.name = c->name,
		.backing = c->backing,
		.backing_path = c->backing_path,
		.backing_format = top->ops->name,
		.parent = top};

	if (depth_of(top) + 2 > IMAGE_MAX_DEPTH) {
		g_set_error(err, G_FILE_ERROR, G_FILE_ERROR_LOOP,
			"it has %d images below one another already\n"
			"  fix:  delete snapshots that are not needed: their "
			"images are merged then",
			IMAGE_MAX_DEPTH);
		return NULL;
	}
	lower = blk_raw_open(c->fd, false, err);
	if (!lower)
		return NULL;
	how.lower = lower;
	if (c->format->create(&how, err))
		child = open_child(
			top, c->format, g_steal_pointer(&lower), err);
	blk_close(lower);
	if (child && child->size != b->size) {
		g_set_error(err, G_FILE_ERROR, G_FILE_ERROR_INVAL,
			"a %s child cannot have the size of its disk",
			c->format->name);
		image_live_drop(child);
		child = NULL;
	}
	return child;
}

void image_live_drop(struct blk *child)
{
	struct blk *top = child->backing;

	top->lent = true;
	blk_close(child);
	top->lent = false;
}

/* From one writer to many readers; never refused. */
static void share(int fd)
{
	struct flock l = {.l_type = F_RDLCK, .l_whence = SEEK_SET};

	if (fd < 0)
		return;
	fcntl(fd, F_OFD_SETLK, &l); /* or a file system without locks */
	close(fd);
}

void image_live_switch(struct blk *b, struct blk *child, int lock)
{
	struct live *l = live_of(b);

	l->top->readonly = true;
	if (l->top->ops->share)
		l->top->ops->share(l->top);
	l->top = child;
	l->blk.backing = child->backing;
	share(l->lock);
	l->lock = lock;
}

/* ---- images below the top ---- */

bool image_live_movable(const struct blk *b)
{
	return !b->backing || b->ops->set_backing;
}

struct blk *image_live_again(struct blk *old, struct blk *lower, GError **err)
{
	const struct image_format *f = image_format_of(old);
	struct image_open how = {
		.lower = lower, .readonly = false, .no_backing = true};
	struct blk *b = image_open(f, &how, err);

	if (b && (b->size != old->size || b->readonly)) {
		g_set_error(err, G_FILE_ERROR, G_FILE_ERROR_INVAL,
			b->readonly ? "the %s image cannot be written to"
				    : "the %s image has another size",
			f->name);
		blk_close(b);
		b = NULL;
	}
	if (b && old->backing)
		b->ops->set_backing(b, old->backing);
	return b;
}

void image_live_forget(struct blk *b)
{
	if (b->backing)
		b->ops->set_backing(b, NULL);
	blk_close(b);
}

void image_live_put(struct blk *b, struct blk *old, struct blk *now)
{
	struct live *l = live_of(b);
	struct blk *above = l->top;

	while (above->backing != old)
		above = above->backing;
	if (now && old->backing) /* another than when it was opened, perhaps */
		now->ops->set_backing(now, old->backing);
	above->ops->set_backing(above, now ? now : old->backing);
	l->blk.backing = l->top->backing;
	image_live_forget(old);
}
