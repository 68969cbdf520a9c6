/*
 * vhd.h - what the files of the VHD format share.
 *
 * vhd.c       opening, reading, writing
 * vhd_make.c  making, resizing, and the names of parents
 */
#ifndef BLOCK_VHD_H
#define BLOCK_VHD_H

#include "block/bmap.h"

#define VHD_NONE    0xffffffffu
#define VHD_BLOCK   (2u << 20)
#define VHD_CHS_MAX (65535ull * 16 * 255)
#define VHD_MAX	    (2040ull << 30) /* bytes */

enum vhd_type { VHD_FIXED = 2, VHD_DYNAMIC = 3, VHD_DIFF = 4 };

/* Bytes of the footer and of the header of dynamic images. */
enum vhd_field {
	FOOT_FEATURES = 8,
	FOOT_VERSION = 12,
	FOOT_DATA = 16,
	FOOT_TIME = 24,
	FOOT_CREATOR = 28,
	FOOT_CREATOR_VERSION = 32,
	FOOT_HOST = 36,
	FOOT_ORIGINAL = 40,
	FOOT_SIZE = 48,
	FOOT_GEOMETRY = 56,
	FOOT_TYPE = 60,
	FOOT_SUM = 64,
	FOOT_UUID = 68,

	HEAD_DATA = 8,
	HEAD_TABLE = 16,
	HEAD_VERSION = 24,
	HEAD_ENTRIES = 28,
	HEAD_BLOCK = 32,
	HEAD_SUM = 36,
	HEAD_PARENT_UUID = 40,
	HEAD_PARENT_TIME = 56,
	HEAD_PARENT_NAME = 64, /* 512 bytes, UTF-16 */
	HEAD_LOCATORS = 576,   /* 8 of 24 bytes */
};

struct vhd {
	struct bmap m;
	uint8_t foot[512], head[1024];
	uint64_t head_off;
	uint32_t type, bitmap; /* bytes of one bitmap, whole sectors */
	bool no_footer;
	uint8_t *full; /* atomic; a bit per block: all its sectors are here */
	char *parent;  /* its name, or NULL */
};

static inline struct vhd *vhd_of(struct blk *b)
{
	return (struct vhd *)b;
}

uint64_t vhd_round(uint64_t sectors, unsigned chs[3]);
uint32_t vhd_checksum(const uint8_t *p, size_t len, size_t field);

/* ---- vhd_make.c ---- */

bool vhd_create(struct image_create *c, GError **err);
int vhd_resize(struct blk *b, uint64_t size);
bool vhd_open_parent(struct vhd *v, const struct image_open *how, GError **err);
bool vhd_rebase(struct blk *b, const struct image_create *c, GError **err);

#endif
