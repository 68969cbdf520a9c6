/*
 * parts.h - the partitions of a disk: MBR with logical ones (they number from
 * 5), and GPT.  What a guest has written there is hostile: only what lies
 * within the disk counts, and lists that run in circles end.
 */
#ifndef DISK_PARTS_H
#define DISK_PARTS_H

#include "block/blk.h"

#define DISK_PARTS_MAX 256

struct disk_part {
	unsigned number;   /* as Linux numbers them: 1 is sda1 */
	uint64_t off, len; /* bytes; within the disk */
};

/* GArray of struct disk_part, by number; empty: no table.  Or NULL and *err:
 * the disk cannot be read. */
GArray *disk_parts_read(struct blk *b, GError **err);

#endif
