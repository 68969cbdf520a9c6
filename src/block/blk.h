/*
 * blk.h - a disk image as a row of bytes.
 *
 * Formats (image.h) and filters all are a struct blk; a format reads a lower
 * struct blk, never a path.  Calls are synchronous and may be made
 * from several threads at once; devices use worker threads.
 */
#ifndef BLOCK_BLK_H
#define BLOCK_BLK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include <glib.h>

struct blk;

/* What a stretch of a disk is. */
enum blk_state {
	BLK_DATA,
	BLK_ZERO,  /* reads as zeros */
	BLK_BELOW, /* not in this image: in its backing file, else zeros */
};

struct blk_extent {
	enum blk_state state;
	uint64_t len;
	bool plain;  /* BLK_DATA as it is at byte `at` of the file below */
	bool packed; /* BLK_DATA, compressed */
	uint64_t at;
	struct blk *file; /* BLK_DATA as it is at byte `at` of this, or NULL */
};

/* By what a change to an image is found out. */
struct blk_stamp {
	uint64_t file;	    /* which: the host's number; 0: not known */
	uint64_t dev;	    /* ... on which file system */
	int64_t changed_ns; /* when last, since 1970; the newest of several
			     * files; what is not flushed does not count */
};

/* Bytes of a file, mapped. */
struct blk_view {
	const uint8_t *data;
	void *map;
	size_t bytes; /* of map */
};

struct blk_ops {
	const char *name;
	/* All: 0 or -errno.  off and the sum of iov are within size. */
	int (*preadv)(
		struct blk *b, const struct iovec *iov, int n, uint64_t off);
	int (*pwritev)(
		struct blk *b, const struct iovec *iov, int n, uint64_t off);
	/* Like preadv, but without waiting: what would have to be waited for
	 * is -EAGAIN, with anything in iov.  Or NULL. */
	int (*preadv_now)(
		struct blk *b, const struct iovec *iov, int n, uint64_t off);
	int (*flush)(struct blk *b);
	int (*discard)(struct blk *b, uint64_t off, uint64_t len); /* or NULL */
	int (*write_zeroes)(struct blk *b, uint64_t off, uint64_t len,
		bool may_unmap);      /* or NULL */
	void (*close)(struct blk *b); /* flushes what it can, frees */
	/* Grow to size bytes, zero filled: formats need it of what lies
	 * beneath.  Or shrink, if it can.  NULL where it cannot be. */
	int (*resize)(struct blk *b, uint64_t size);
	/* What lies at off: *e, of at most len bytes.  May be NULL: data. */
	int (*map)(struct blk *b, uint64_t off, uint64_t len,
		struct blk_extent *e);
	/* See blk_stamp.  NULL: what is below says. */
	struct blk_stamp (*stamp)(struct blk *b);
	/* Nobody writes to its own files any more, but for what lies below:
	 * their locks become those of readers.  Or NULL. */
	void (*share)(struct blk *b);
	/* The file below it, or NULL; what it stands on is blk.backing. */
	struct blk *(*below)(struct blk *b);
	/* blk.backing becomes another image that shows the same, or none; no
	 * transfer is under way.  What was there is left alone.  NULL: it stays
	 * what it was when this was opened. */
	void (*set_backing)(struct blk *b, struct blk *backing);
	/* See blk_view.  Or NULL. */
	int (*view)(
		struct blk *b, uint64_t off, size_t len, struct blk_view *v);
	/* One whole block of the format, stored compressed if that is
	 * shorter; what was there must not be written yet.  Or NULL. */
	int (*write_packed)(
		struct blk *b, const void *buf, size_t len, uint64_t off);
};

struct blk {
	const struct blk_ops *ops;
	uint64_t size; /* bytes, multiple of 512 */
	bool readonly;
	bool can_discard;
	bool lent;	     /* blk_close leaves it to whoever owns it */
	struct blk *backing; /* what shines through where BLK_BELOW, or NULL;
			      * owned */
};

/* Bounds-checked front doors.  -EROFS on a read-only disk, -EINVAL outside. */
int blk_preadv(struct blk *b, const struct iovec *iov, int n, uint64_t off);
/* -EAGAIN: not without waiting, or an error that blk_preadv will tell. */
int blk_preadv_now(struct blk *b, const struct iovec *iov, int n, uint64_t off);
int blk_pwritev(struct blk *b, const struct iovec *iov, int n, uint64_t off);
int blk_pread(struct blk *b, void *buf, size_t len, uint64_t off);
int blk_pwrite(struct blk *b, const void *buf, size_t len, uint64_t off);
int blk_flush(struct blk *b);
int blk_discard(struct blk *b, uint64_t off, uint64_t len);
int blk_write_zeroes(struct blk *b, uint64_t off, uint64_t len, bool unmap);
int blk_resize(struct blk *b, uint64_t size);
int blk_map(struct blk *b, uint64_t off, uint64_t len, struct blk_extent *e);
/* The same through all backing files: never BLK_BELOW; *depth (may be NULL) is
 * how many files down. */
int blk_map_deep(struct blk *b, uint64_t off, uint64_t len,
	struct blk_extent *e, unsigned *depth);
/* The same, and holes of the file that BLK_DATA lies in are BLK_ZERO. */
int blk_map_holes(
	struct blk *b, uint64_t off, uint64_t len, struct blk_extent *e);
/*
 * len bytes from `at` on of an extent's file, seen where the host keeps them:
 * for jobs that read much, once.  -EOPNOTSUPP: they are to be read.  Writing
 * there, by anybody, changes what is seen; a file that is cut short or fails
 * meanwhile is a SIGBUS.
 */
int blk_view(struct blk *file, uint64_t at, size_t len, struct blk_view *v);
void blk_unview(struct blk_view *v);
/* Of its own files, not those that it stands on. */
struct blk_stamp blk_stamp(struct blk *b);
/* What an image's end cuts off reads as zeros. */
int blk_preadv_clamped(
	struct blk *b, const struct iovec *iov, int n, uint64_t off);
/* All zeros? */
bool blk_is_zero(const void *buf, size_t len);
void blk_close(struct blk *b);

/* Open a descriptor (regular file or block device; owned afterwards) as raw.
 * NULL and *err. */
struct blk *blk_raw_open(int fd, bool readonly, GError **err);

/* Its flushes do nothing from now on: for files that nobody relies on yet. */
void blk_raw_no_sync(struct blk *b);
/* The lock of the file that the image at b lies in: F_RDLCK, F_WRLCK, F_UNLCK.
 * 0 or -errno; where there are no locks all is granted. */
int blk_raw_lock(struct blk *b, short type);
/* Bytes that the file takes up on the host; 0 if that is not known. */
uint64_t blk_raw_used(struct blk *b);

/* Writes go to an unlinked temporary file; the base stays untouched
 * (the run flag `snapshot`).  base owned afterwards; fd: empty, writable. */
struct blk *blk_cow_open(struct blk *base, int fd, GError **err);
/*
 * What was written so far stays as it is from now on, in the result, which
 * belongs to b; what comes goes to another file.  No transfer may be under way.
 * NULL and *err: nothing has changed.
 */
struct blk *blk_cow_freeze(struct blk *b, int fd, GError **err);
/* The next bytes from off on, aligned to 4 KiB, that are not in the base; false
 * behind the last ones. */
bool blk_cow_next(struct blk *b, uint64_t *off, uint64_t *len);

#endif
