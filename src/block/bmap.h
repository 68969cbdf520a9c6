/*
 * bmap.h - disks that lie in a file block by block, found through one table.
 *
 * VHD, VDI, VHDX, VMDK and Parallels images all are that: a table with an entry
 * for each block of the disk, which says where in the file it lies, or that it
 * does not.  What differs is a struct bmap_class; the rest is bmap.c.
 *
 * Rules that keep an image whole whatever write a power cut ends at:
 *  - New blocks lie behind all that the file ever had, so they are zeros.
 *  - Entries change in memory only.  A flush writes
 *	data, what bmap_class.before adds -> sync -> table -> sync
 *    so no entry points to what is not there yet.  Each entry stands for
 *    itself, so it does not matter which sectors of the table arrive.
 *  - Blocks never lose their place: what is discarded becomes a hole in the
 *    file below.
 * A cut leaves room at the end of the file that nothing points to, at worst.
 *
 * Locks: bmap.lock shared for what moves data only, alone for what changes the
 * table.
 */
#ifndef BLOCK_BMAP_H
#define BLOCK_BMAP_H

#include <pthread.h>
#include <stdatomic.h>

#include "block/image.h"

enum bmap_kind {
	BMAP_BELOW, /* not here: the backing file's, or zeros */
	BMAP_ZERO,
	BMAP_DATA,
	BMAP_PART,   /* some sectors are here, the others below */
	BMAP_PACKED, /* compressed */
	BMAP_BAD,    /* points nowhere */
};

struct bmap_spot {
	enum bmap_kind kind;
	uint64_t off; /* in the file */
};

struct bmap;
struct bmap_page;

struct bmap_class {
	const char *format;
	/* What an entry of the table says. */
	struct bmap_spot (*decode)(
		const struct bmap *m, uint64_t block, uint64_t entry);
	/* BMAP_ZERO or BMAP_DATA; false: the format has no such thing. */
	bool (*encode)(const struct bmap *m, uint64_t block,
		struct bmap_spot spot, uint64_t *entry);
	/* Room at the end of the file for n blocks in a row (1 if only_one),
	 * which reads as zeros; m->end moves.  0 or -errno. */
	int (*place)(struct bmap *m, unsigned n, uint64_t *off);
	bool only_one;
	/* Before the first change since the image was opened; may be NULL. */
	int (*begin)(struct bmap *m);
	/* What must be durable before the table is; may be NULL. */
	int (*before)(struct bmap *m);
	/* A place for a page that has none; its content is in memory.  The
	 * table of pages may point to it in `after` only.  May be NULL. */
	int (*make_page)(struct bmap *m, struct bmap_page *p);
	int (*after)(struct bmap *m);
	/* Of BMAP_PART: a bit per sector, first sector lowest, set: here. */
	int (*part)(
		struct bmap *m, uint64_t block, uint64_t off, uint8_t *bits);
	/* All sectors are here now, and durable; may be NULL. */
	int (*whole)(struct bmap *m, uint64_t block, uint64_t off);
	/* Of BMAP_PACKED: the block's content. */
	int (*unpack)(
		struct bmap *m, uint64_t block, uint64_t off, uint8_t *out);
	/* Bytes in front of each block that belong to it. */
	uint32_t gap;
};

/* A piece of the table. */
struct bmap_page {
	uint64_t off, copy; /* in the file; 0: none (no copy) */
	_Atomic(uint8_t *) data;
	uint32_t dirty, dirty_end; /* bytes */
};

struct bmap {
	struct blk blk;
	const struct bmap_class *cls;
	struct blk *lower;
	bool lends_lower; /* closed by somebody else */
	/* What shines through, from byte below_off on; not owned (blk.backing
	 * is). */
	struct blk *below;
	uint64_t below_off;
	uint32_t block; /* bytes */
	uint64_t nblocks;
	uint64_t chunk; /* after so many entries one is skipped; 0: never */
	unsigned width; /* bytes of an entry */
	bool big_endian;
	uint32_t per_page; /* entries */
	uint64_t npages;
	struct bmap_page *page;
	uint64_t data_min; /* no block lies before */
	uint64_t end;	   /* nothing lies behind; new blocks do */
	bool begun;
	pthread_rwlock_t lock;
	pthread_mutex_t load_lock;
	atomic_bool dirty;
	/* one unpacked block */
	pthread_mutex_t unpacked_lock;
	uint64_t unpacked; /* block + 1, or 0 */
	uint8_t *unpacked_data;
};

/* For bmap_class, as far as a format has no own. */
int bmap_preadv(struct blk *b, const struct iovec *iov, int n, uint64_t off);
int bmap_preadv_now(
	struct blk *b, const struct iovec *iov, int n, uint64_t off);
int bmap_pwritev(struct blk *b, const struct iovec *iov, int n, uint64_t off);
int bmap_flush(struct blk *b);
int bmap_discard(struct blk *b, uint64_t off, uint64_t len);
int bmap_write_zeroes(struct blk *b, uint64_t off, uint64_t len, bool unmap);
struct blk *bmap_below(struct blk *b);
void bmap_set_backing(struct blk *b, struct blk *backing);
int bmap_map(struct blk *b, uint64_t off, uint64_t len, struct blk_extent *e);
/* Writes what is left and frees all but the struct itself and the backing. */
void bmap_fini(struct bmap *m);

/* m zeroed, with cls, lower, block, nblocks, width, blk.size set: the locks. */
void bmap_init(struct bmap *m);
/* The table, in one piece at off.  False: it is not within the file. */
bool bmap_table_at(struct bmap *m, uint64_t off, uint32_t per_page);
/* Pages that are to be placed one by one. */
bool bmap_table_pages(struct bmap *m, uint32_t per_page);
/* For writing: where the file's blocks end, and that none overlap. */
bool bmap_ready(struct bmap *m, bool repair, GError **err);

/* -EIO and the like are negative. */
int bmap_entry(struct bmap *m, uint64_t block, uint64_t *entry);
int bmap_spot(struct bmap *m, uint64_t block, struct bmap_spot *s);
int bmap_set(struct bmap *m, uint64_t block, uint64_t entry);
/* Before the first change, lock held alone. */
int bmap_begin(struct bmap *m);
/* n entries from block on point to n new places from at on; lock held alone. */
int bmap_point(struct bmap *m, uint64_t block, unsigned n, uint64_t at);
/* Entries to new places in order; lock held alone. */
int bmap_settle(struct bmap *m);
/* Plain room at the end of the file: what most formats place. */
int bmap_place(struct bmap *m, unsigned n, uint64_t *off);

/* image_format.check of formats that have nothing further. */
int bmap_check(struct bmap *m, struct image_check *c);

/* A new file's table at off: n entries of width bytes, each being fill. */
int bmap_write_table(
	struct blk *lower, uint64_t off, uint64_t bytes, uint8_t fill);

#endif
