/*
 * qcow2.h - what the files of the qcow2 format share.
 *
 * qcow2.c       reading, writing, discarding
 * qcow2_open.c  the header, checked as hostile input
 * qcow2_table.c L1 and L2 tables, their cache, and the order of writing back
 * qcow2_ref.c   reference counts: taking and freeing clusters
 * qcow2_make.c  making and resizing images, other backing files, compressing
 * qcow2_snap.c  snapshots inside an image, for reading
 * qcow2_check.c holding the counts against what the tables use
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

#include "block/image.h"

#define QCOW2_L1_OFFSET	 0x00fffffffffffe00ull
#define QCOW2_L2_OFFSET	 0x00fffffffffffe00ull
#define QCOW2_COPIED	 (1ull << 63) /* refcount is exactly one */
#define QCOW2_COMPRESSED (1ull << 62)
#define QCOW2_ZERO	 1ull
#define QCOW2_WAYS	 4

#define QCOW2_HEADER_V2 72
#define QCOW2_HEADER_V3 104

#define QCOW2_INCOMPAT_DIRTY	   (1ull << 0)
#define QCOW2_INCOMPAT_CORRUPT	   (1ull << 1)
#define QCOW2_INCOMPAT_DATA_FILE   (1ull << 2)
#define QCOW2_INCOMPAT_COMPRESSION (1ull << 3)
#define QCOW2_INCOMPAT_EXTENDED_L2 (1ull << 4)

enum qcow2_field { /* of the header, big-endian */
	Q_VERSION = 4,
	Q_BACKING = 8,
	Q_BACKING_BYTES = 16,
	Q_CLUSTER_BITS = 20,
	Q_SIZE = 24,
	Q_CRYPT = 32,
	Q_L1_SIZE = 36,
	Q_L1 = 40,
	Q_REFTABLE = 48,
	Q_REFTABLE_CLUSTERS = 56,
	Q_SNAPSHOT_COUNT = 60,
	Q_SNAPSHOTS = 64,
	Q_INCOMPAT = 72,
	Q_AUTOCLEAR = 88,
	Q_REF_ORDER = 96,
	Q_LENGTH = 100,
	Q_COMPRESSION = 104,
};

/* An entry of an L2 table.  sub: of extended entries, a bit per subcluster:
 * lower half allocated, upper half zeros. */
struct qcow2_entry {
	uint64_t e, sub;
};

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

struct qcow2_snapshot {
	uint64_t l1_off, size, state_bytes;
	uint32_t l1_n, date_s;
	char *id, *name;
};

struct qcow2_header {
	uint32_t version, cluster_bits, crypt, l1_size, reftable_clusters;
	uint32_t backing_len, ref_order, length, nb_snapshots;
	uint64_t backing_off, size, l1_off, reftable_off, snapshots_off;
	uint64_t incompat, autoclear;
	uint8_t compression;
};

struct qcow2 {
	struct blk blk;
	struct qcow2_header head;
	struct blk *lower;
	pthread_rwlock_t lock;
	pthread_mutex_t cache_lock;
	unsigned version, cluster_bits, l2_bits, ref_order, ref_bits;
	uint32_t cluster;		     /* bytes */
	bool zstd;			     /* else zlib */
	bool extended;			     /* L2 entries with subclusters */
	char *backing_name, *backing_format; /* or NULL */
	GArray *snapshots;		     /* struct qcow2_snapshot */
	uint64_t snapshots_bytes;	     /* of their table */
	uint64_t pack_at, pack_end;	     /* room for compressed clusters */
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
int qcow2_l2_read(
	struct qcow2 *q, uint64_t off, struct qcow2_entry *entry, unsigned n);
/* Would that have to be read from the file? */
bool qcow2_l2_cached(struct qcow2 *q, uint64_t off);
/* The table for changing entries at off.  Alone. */
int qcow2_l2_for_write(struct qcow2 *q, uint64_t off, struct qcow2_table **out);
static inline unsigned qcow2_l2_index(const struct qcow2 *q, uint64_t off)
{
	return off >> q->cluster_bits & ((1u << q->l2_bits) - 1);
}
struct qcow2_entry qcow2_l2_get(
	const struct qcow2 *q, const struct qcow2_table *t, unsigned i);
void qcow2_l2_set(const struct qcow2 *q, struct qcow2_table *t, unsigned i,
	struct qcow2_entry v);

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
/* The count of a cluster; set it (in memory, as all changes). */
int qcow2_ref_read(struct qcow2 *q, uint64_t cluster, uint64_t *n);
int qcow2_ref_write(struct qcow2 *q, uint64_t cluster, uint64_t n);

/* ---- qcow2.c ---- */

extern const struct blk_ops qcow2_ops;
/* Write back, sync, free. */
int qcow2_settle(struct qcow2 *q);
/* One reference less for each cluster that entry e points to. */
void qcow2_drop_entry(struct qcow2 *q, struct qcow2_entry e);
/* A compressed cluster: offset in the low bits, above them the number of
 * further 512-byte sectors that it reaches into. */
void qcow2_packed_place(
	const struct qcow2 *q, uint64_t e, uint64_t *off, uint64_t *len);

/* ---- qcow2_make.c ---- */

bool qcow2_create(struct image_create *c, GError **err);
int qcow2_resize(struct blk *b, uint64_t size);
bool qcow2_rebase(struct blk *b, const struct image_create *c, GError **err);
int qcow2_write_packed(
	struct blk *b, const void *buf, size_t len, uint64_t off);

/* ---- qcow2_snap.c ---- */

/* The list, or false if it is damaged. */
bool qcow2_snapshots_load(struct qcow2 *q);
void qcow2_snapshots_free(struct qcow2 *q);
/* By id or name; NULL. */
const struct qcow2_snapshot *qcow2_snapshot_find(
	const struct qcow2 *q, const char *name);

/* ---- qcow2_check.c ---- */

int qcow2_check(struct blk *b, struct image_check *c);

#endif
