/*
 * vhdx.h - what the files of the VHDX format share.
 *
 * vhdx.c       opening, reading, writing
 * vhdx_log.c   the log of another program that was cut off
 * vhdx_make.c  making, resizing, parents
 *
 * [MS-VHDX]: "Virtual Hard Disk v2 (VHDX) File Format", Microsoft.
 */
#ifndef BLOCK_VHDX_H
#define BLOCK_VHDX_H

#include "block/bmap.h"
#include "block/bytes.h"

#define VHDX_MB	     (1ull << 20)
#define VHDX_HEADER  4096u
#define VHDX_HEAD1   (64u << 10)
#define VHDX_HEAD2   (128u << 10)
#define VHDX_REGION1 (192u << 10)
#define VHDX_REGION2 (256u << 10)
#define VHDX_TABLE   (64u << 10) /* bytes of region and metadata tables */
#define VHDX_MAX     (64ull << 40)

enum vhdx_field { /* of a header */
	X_SUM = 4,
	X_SEQUENCE = 8,
	X_FILE_GUID = 16,
	X_DATA_GUID = 32,
	X_LOG_GUID = 48,
	X_LOG_VERSION = 64,
	X_VERSION = 66,
	X_LOG_BYTES = 68,
	X_LOG = 72,
};

enum vhdx_state {
	VHDX_NOT_PRESENT,
	VHDX_UNDEFINED,
	VHDX_ZERO,
	VHDX_UNMAPPED,
	VHDX_FULL = 6,
	VHDX_PART = 7,
};

struct vhdx_span {
	uint64_t off, len;
};

struct vhdx {
	struct bmap m;
	uint8_t head[VHDX_HEADER];
	bool second; /* head is the second of the two */
	struct vhdx_span bat, meta;
	/* Items of the metadata region, bytes of the file; 0: none. */
	uint64_t params_at, size_at, locator_at, locator_entry;
	uint32_t locator_bytes;
	uint32_t flags, sector;
	char *parent;
	uint8_t parent_id[16];
};

enum { VHDX_F_LEAVE = 1, VHDX_F_PARENT = 2 };

/* GUIDs as they lie in files. */
extern const uint8_t vhdx_guid_bat[16], vhdx_guid_meta[16],
	vhdx_guid_params[16], vhdx_guid_size[16], vhdx_guid_page83[16],
	vhdx_guid_logical[16], vhdx_guid_physical[16], vhdx_guid_locator[16],
	vhdx_guid_locator_type[16];

static inline struct vhdx *vhdx_of(struct blk *b)
{
	return (struct vhdx *)b;
}

/* CRC-32C of len bytes, of which the four at `field` count as zeros. */
uint32_t vhdx_crc(const uint8_t *p, size_t len, size_t field);

/* Writes v->head to the other place with a higher number, and syncs. */
int vhdx_write_head(struct vhdx *v);

/* ---- vhdx_log.c ---- */

/* What the log has that is not in its place yet: the file below with that,
 * written there unless readonly.  NULL and *err (lower is closed). */
struct blk *vhdx_replay(
	struct blk *lower, const uint8_t *head, bool readonly, GError **err);

/* ---- vhdx_make.c ---- */

bool vhdx_create(struct image_create *c, GError **err);
int vhdx_resize(struct blk *b, uint64_t size);
bool vhdx_rebase(struct blk *b, const struct image_create *c, GError **err);
bool vhdx_load_locator(struct vhdx *v, GPtrArray *names, GError **err);

#endif
