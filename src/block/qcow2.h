/*
 * qcow2.h - what the files of the qcow2 format share.
 *
 * qcow2.c       reading, writing, discarding
 * qcow2_open.c  the header, checked as hostile input
 * qcow2_table.c L1 and L2 tables, their cache, and the order of writing back
 * qcow2_ref.c   reference counts: taking and freeing clusters
 *
 * Locks: q->lock is held shared by transfers that change no metadata, alone by
 * those that do.  Under the shared lock the table cache is covered by
 * cache_lock.
 *
 * What is durable when (so that a cut at any write leaves the image whole):
 * metadata changes only in memory, until it is written back in the order
 *	data, reference count blocks -> sync -> reference count table -> sync
 *	-> L2 tables -> sync -> L1 table -> sync -> clusters that became free
 * A cut in between loses space at worst, which a check gives back.
 */
#ifndef BLOCK_QCOW2_H
#define BLOCK_QCOW2_H

#include <pthread.h>

#include "block/blk.h"

#define QCOW2_MAX_DEPTH 64 /* backing files below one another */

#define QCOW2_L1_OFFSET	 0x00fffffffffffe00ull
#define QCOW2_L2_OFFSET	 0x00fffffffffffe00ull
#define QCOW2_COPIED	 (1ull << 63) /* refcount is exactly one */
#define QCOW2_COMPRESSED (1ull << 62)
#define QCOW2_ZERO	 1ull
#define QCOW2_WAYS	 4

struct qcow2_table {
	uint64_t off;		   /* in the file; 0 = unused slot */
	uint64_t tick;		   /* last use */
	uint32_t dirty, dirty_end; /* bytes [dirty, dirty_end) to write */
	uint8_t *data;		   /* one cluster, as in the file */
};

struct qcow2_cache {
	unsigned nsets;
	uint64_t tick;
	struct qcow2_table *slot; /* nsets * QCOW2_WAYS */
};

/* A table of 64-bit offsets held in memory as a whole. */
struct qcow2_root {
	uint64_t off;
	uint32_t n;
	uint64_t *entry; /* host byte order */
	uint32_t dirty, dirty_end;
};

struct qcow2 {
	struct blk blk;
	struct blk *lower, *backing;
	pthread_rwlock_t lock;
	pthread_mutex_t cache_lock;
	unsigned version, cluster_bits, l2_bits, ref_order, ref_bits;
	uint32_t cluster; /* bytes */
	bool zstd;	  /* else zlib */
	/* The image says its counts may be too low (lazy refcounts after a
	 * crash): believe none, take clusters from the end only. */
	bool append_only;
	struct qcow2_root l1, reftable;
	struct qcow2_cache l2, refblocks;
	uint64_t next_free; /* no free cluster lies before */
	GHashTable *meta;   /* numbers of clusters that hold tables */
	GArray *frees;	    /* uint64_t cluster numbers to free when durable */
	pthread_mutex_t unpacked_lock;
	uint64_t unpacked; /* L2 entry of what is in unpacked_data, or 0 */
	uint8_t *unpacked_data;
};

static inline struct qcow2 *qcow2_of(struct blk *b)
{
	return (struct qcow2 *)b;
}

static inline uint64_t qcow2_align(const struct qcow2 *q, uint64_t off)
{
	return off & ~(uint64_t)(q->cluster - 1);
}

/* ---- qcow2_table.c: alone, or shared with cache_lock ---- */

bool qcow2_cache_init(struct qcow2 *q, struct qcow2_cache *c, uint64_t tables,
	uint64_t max_bytes);
void qcow2_cache_fini(struct qcow2_cache *c);
/* Load the table at off, or make it new and zero.  0 or -errno. */
int qcow2_cache_get(struct qcow2 *q, struct qcow2_cache *c, uint64_t off,
	bool fresh, struct qcow2_table **out);
void qcow2_table_dirty(struct qcow2_table *t, uint32_t at, uint32_t len);
/* Drop without writing: its cluster is no longer a table. */
void qcow2_cache_forget(struct qcow2_cache *c, uint64_t off);
void qcow2_root_set(struct qcow2_root *r, uint32_t i, uint64_t v);

/* The L2 entries from guest offset off on, at most n, host byte order; how
 * many (at least 1, those of one table), or -errno. */
int qcow2_l2_read(struct qcow2 *q, uint64_t off, uint64_t *entry, unsigned n);
/* The table for changing entries at off.  Alone. */
int qcow2_l2_for_write(struct qcow2 *q, uint64_t off, struct qcow2_table **out);
static inline unsigned qcow2_l2_index(const struct qcow2 *q, uint64_t off)
{
	return off >> q->cluster_bits & ((1u << q->l2_bits) - 1);
}
uint64_t qcow2_l2_get(const struct qcow2_table *t, unsigned i);
void qcow2_l2_set(struct qcow2_table *t, unsigned i, uint64_t v);

bool qcow2_meta_dirty(const struct qcow2 *q);
/* Write everything back in order; not synced at the end. */
int qcow2_write_back(struct qcow2 *q);

/* ---- qcow2_ref.c: alone ---- */

/* Take up to want clusters in a row; *first is a cluster number.  How many, or
 * -errno. */
int qcow2_take(struct qcow2 *q, unsigned want, uint64_t *first);
/* Give back what qcow2_take gave and nothing points to. */
void qcow2_untake(struct qcow2 *q, uint64_t first, unsigned n);
/* One reference less, once the metadata that had it is durable. */
void qcow2_free_later(struct qcow2 *q, uint64_t cluster);
/* After write-back and sync. */
int qcow2_free_now(struct qcow2 *q);

/* ---- qcow2.c ---- */

extern const struct blk_ops qcow2_ops;
/* Write back, sync, free. */
int qcow2_settle(struct qcow2 *q);

#endif
