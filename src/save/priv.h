/* priv.h - the bytes of a state's file; all numbers are little-endian. */
#ifndef SAVE_PRIV_H
#define SAVE_PRIV_H

#include "save/save.h"

#define SAVE_MAGIC     "vmstate\x1a"
#define SAVE_RUN_PAGES 256u /* of a chunk of memory */
#define SAVE_SUM_BYTES 32u

struct save_head {
	char magic[8];
	uint32_t version;
	uint32_t settings_bytes;
	uint8_t zero[16];
	uint8_t sum[SAVE_SUM_BYTES]; /* SHA-256 of the settings */
};

_Static_assert(sizeof(struct save_head) == 64, "as it stands in the file");

enum save_type {
	SAVE_TYPE_END,	/* struct save_tail */
	SAVE_TYPE_PART, /* length of its name u8, name, bytes */
	SAVE_TYPE_RAM,	/* struct save_run, pages */
	SAVE_TYPE_DISK, /* length of its name u8, name, where u64, bytes */
	SAVE_NTYPES,
};

/* Before each chunk, which is one zstd frame with a checksum. */
struct save_chunk {
	uint32_t type;
	uint32_t stored; /* bytes of the frame */
	uint64_t bytes;	 /* in it */
};

struct save_run {
	uint64_t first; /* page */
	uint32_t npages, zero;
	uint8_t there[SAVE_RUN_PAGES / 8]; /* bit per page: it follows */
};

struct save_tail {
	uint64_t chunks; /* before this one */
	uint64_t pages;	 /* of memory, that were there */
};

#define SAVE_DISK_MAX (1u + SAVE_MAX_NAME + 8 + SAVE_DISK_BYTES)
#define SAVE_RUN_MAX  (sizeof(struct save_run) + SAVE_RUN_PAGES * SAVE_PAGE)

#endif
