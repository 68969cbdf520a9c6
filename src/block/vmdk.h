/*
 * vmdk.h - what the files of the VMDK format share.
 *
 * vmdk.c         the disk: a row of extents, and the text that describes it
 * vmdk_sparse.c  one sparse extent
 * vmdk_stream.c  writing a stream-optimized extent
 * vmdk_make.c    making images
 */
#ifndef BLOCK_VMDK_H
#define BLOCK_VMDK_H

#include "block/bmap.h"

#define VMDK_MAGIC	0x564d444bu /* KDMV */
#define VMDK_AT_END	(~0ull)	    /* of the grain directory's offset */
#define VMDK_GRAIN	(64u << 10)
#define VMDK_GT_ENTRIES 512u
#define VMDK_SPLIT	(2ull << 30) /* bytes of an extent of a split disk */
#define VMDK_TEXT_MAX	(256u << 10)
#define VMDK_EXTENTS	4096
#define VMDK_NO_PARENT	0xffffffffu

/* Bytes of the header of a sparse extent; little-endian. */
enum vmdk_field {
	V_MAGIC = 0,
	V_VERSION = 4,
	V_FLAGS = 8,
	V_CAPACITY = 12, /* sectors, as all below */
	V_GRAIN = 20,
	V_TEXT = 28,
	V_TEXT_SECTORS = 36,
	V_GT_ENTRIES = 44,
	V_RGD = 48,
	V_GD = 56,
	V_OVERHEAD = 64,
	V_UNCLEAN = 72,
	V_NEWLINES = 73, /* \n, space, \r, \n */
	V_COMPRESSION = 77,
};

enum vmdk_flag {
	VMDK_F_NEWLINES = 1 << 0,
	VMDK_F_REDUNDANT = 1 << 1,
	VMDK_F_ZEROS = 1 << 2,
	VMDK_F_PACKED = 1 << 16,
	VMDK_F_MARKERS = 1 << 17,
};

enum vmdk_marker { VMDK_EOS, VMDK_GT, VMDK_GD, VMDK_FOOTER };

struct vmdk_extent {
	uint64_t start, size; /* bytes of the disk */
	struct blk *blk;      /* NULL: zeros */
	uint64_t base;	      /* its first byte in blk */
	char *file;	      /* name, or NULL: this file */
	bool sparse;	      /* blk is a struct bmap over lower */
	struct blk *lower;    /* of a sparse one in a file of its own */
};

struct vmdk {
	struct blk blk;
	struct blk *lower;
	GPtrArray *ext;		      /* struct vmdk_extent * */
	char *text;		      /* the descriptor */
	uint64_t text_off, text_room; /* where it lies; room 0: a whole file */
	char *type, *parent;
	uint32_t cid, parent_cid;
	GMutex cid_lock;
	atomic_bool cid_new;
};

static inline struct vmdk *vmdk_of(struct blk *b)
{
	return (struct vmdk *)b;
}

/* A sparse extent in lower, which stays the caller's.  head: its header, 512
 * bytes. */
struct blk *vmdk_sparse_open(struct blk *lower, const uint8_t *head,
	bool readonly, bool repair, GError **err);
/* The header: where a stream-optimized file has it at the end.  0 or -errno. */
int vmdk_sparse_head(struct blk *lower, uint8_t head[512]);
/* Makes one in an empty file. */
int vmdk_sparse_create(
	struct blk *lower, uint64_t bytes, uint64_t grain, const char *text);
extern const struct blk_ops vmdk_sparse_ops;

/* An empty stream-optimized extent, and writing it: blk_ops.write_packed in
 * any order, then a flush ends it. */
int vmdk_stream_create(struct blk *lower, uint64_t bytes, const char *text);
struct blk *vmdk_stream_open(
	struct blk *lower, const uint8_t *head, GError **err);

bool vmdk_create(struct image_create *c, GError **err);

#endif
