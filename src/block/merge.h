/*
 * merge.h - an image becomes part of the one above it, or of the one below.
 *
 * Both only add to one image what it need not have for anybody who reads the
 * chain from above, so what that shows stays the same at any moment; either can
 * be broken off and begun again.  Others may read the chain meanwhile through
 * the same objects.
 */
#ifndef BLOCK_MERGE_H
#define BLOCK_MERGE_H

#include "block/blk.h"

struct blk_merge_told {
	/* How far it is, now and then; false: break off (-ECANCELED). */
	bool (*told)(void *opaque, uint64_t done, uint64_t total);
	void *opaque;
};

/* Down: what src itself has goes into dst, which src stands on. */
int blk_merge_down(
	struct blk *src, struct blk *dst, const struct blk_merge_told *t);
/* Up: into top goes what it shows now, and would not show on `now` (NULL:
 * nothing). */
int blk_merge_up(
	struct blk *top, struct blk *now, const struct blk_merge_told *t);
/* What is in the file is on the medium, the room that became free too. */
int blk_merge_flush(struct blk *b);

#endif
