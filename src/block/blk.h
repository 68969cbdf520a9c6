/*
 * blk.h - a disk image as a row of bytes.
 *
 * Formats (raw, qcow2) and later filters all are a struct blk; a format reads
 * a lower struct blk, never a path.  Calls are synchronous and may be made
 * from several threads at once; devices use worker threads.
 */
#ifndef BLOCK_BLK_H
#define BLOCK_BLK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include <glib.h>

struct blk;

struct blk_ops {
	const char *name;
	/* All: 0 or -errno.  off and the sum of iov are within size. */
	int (*preadv)(
		struct blk *b, const struct iovec *iov, int n, uint64_t off);
	int (*pwritev)(
		struct blk *b, const struct iovec *iov, int n, uint64_t off);
	int (*flush)(struct blk *b);
	int (*discard)(struct blk *b, uint64_t off, uint64_t len); /* or NULL */
	int (*write_zeroes)(struct blk *b, uint64_t off, uint64_t len,
		bool may_unmap);      /* or NULL */
	void (*close)(struct blk *b); /* flushes what it can, frees */
	/* Grow to size bytes, zero filled: formats need it of what lies
	 * beneath.  NULL where it cannot be. */
	int (*resize)(struct blk *b, uint64_t size);
};

struct blk {
	const struct blk_ops *ops;
	uint64_t size; /* bytes, multiple of 512 */
	bool readonly;
	bool can_discard;
};

/* Bounds-checked front doors.  -EROFS on a read-only disk, -EINVAL outside. */
int blk_preadv(struct blk *b, const struct iovec *iov, int n, uint64_t off);
int blk_pwritev(struct blk *b, const struct iovec *iov, int n, uint64_t off);
int blk_pread(struct blk *b, void *buf, size_t len, uint64_t off);
int blk_pwrite(struct blk *b, const void *buf, size_t len, uint64_t off);
int blk_flush(struct blk *b);
int blk_discard(struct blk *b, uint64_t off, uint64_t len);
int blk_write_zeroes(struct blk *b, uint64_t off, uint64_t len, bool unmap);
int blk_resize(struct blk *b, uint64_t size);
void blk_close(struct blk *b);

/* Open a descriptor (regular file or block device; owned afterwards) as raw.
 * NULL and *err. */
struct blk *blk_raw_open(int fd, bool readonly, GError **err);

/* Opens a backing file named inside an image; the caller decides what may be
 * opened.  Returns a descriptor or -1 with *err. */
typedef int (*blk_open_backing)(void *opaque, const char *name, GError **err);

/* qcow2 v2 and v3 over lower (owned afterwards). */
struct blk *blk_qcow2_open(struct blk *lower, bool readonly,
	blk_open_backing open_backing, void *opaque, GError **err);

/* Writes go to an unlinked temporary file; the base stays untouched
 * (the run flag `snapshot`).  base owned afterwards; fd: empty, writable. */
struct blk *blk_cow_open(struct blk *base, int fd, GError **err);

#endif
