/*
 * image.h - the formats of disk images: opening, making, telling, checking.
 *
 * A format is always stated.  Only image_probe() looks at bytes, and only for
 * telling a person what a file seems to be: a guest writes any bytes it likes
 * to the start of a raw disk.
 *
 * An image may name others: backing files, and the extents of a VMDK.  They
 * are opened through struct image_source by whoever may open files.
 */
#ifndef BLOCK_IMAGE_H
#define BLOCK_IMAGE_H

#include "block/blk.h"

#define IMAGE_MAX_DEPTH 64 /* backing files below one another */
#define IMAGE_ID_BYTES	32

struct image_source {
	/* The file that the image at path from (NULL: the one opened first)
	 * names, as raw, and in *path (free it) what it is called.
	 * writable: an extent of a writable image.  NULL and *err. */
	struct blk *(*open)(void *opaque, const char *from, const char *name,
		bool writable, char **path, GError **err);
	void *opaque;
};

struct image_open {
	struct blk *lower; /* the file as raw; consumed in any case */
	bool readonly;
	bool no_backing;      /* show only what this file itself has */
	bool repair;	      /* open for writing although tables overlap */
	const char *snapshot; /* inside the image, by id or name; readonly */
	const char *path;     /* of the file, or NULL */
	const struct image_source *source; /* or NULL: opens nothing */
	unsigned depth;
	struct blk *parent; /* the backing file, open already; or NULL */
	bool must_be_set; /* a chain: a format that is not stated is refused */
};

struct image_create {
	struct blk *lower; /* empty and writable; stays the caller's */
	uint64_t size;	   /* rounded up as the format must */
	const char *kind;  /* one of the format's words, or NULL */
	uint32_t block;	   /* bytes of a cluster or block; 0: usual */
	const char *name;  /* what the file will be called, without folders */
	/* A child of another image: its name as written into this one, the
	 * same as an absolute path (or NULL), its format, itself. */
	const char *backing, *backing_path, *backing_format;
	struct blk *parent;
	const struct image_source *source; /* makes extents */
};

struct image_info {
	const char *kind;
	uint32_t block; /* bytes, 0: none */
	char *backing, *backing_format;
	GPtrArray *facts;     /* char *: key, value, key, value */
	GPtrArray *snapshots; /* struct image_snapshot */
	GPtrArray *extents;   /* char *: names of further files */
};

struct image_snapshot {
	char *id, *name;
	uint64_t size, state_bytes, date_s;
};

struct image_check {
	bool repair;
	/* One line for the user: what is wrong. */
	void (*say)(void *opaque, const char *text);
	void *opaque;
	/* found; of those, how many are mended */
	uint64_t errors, leaks, mended_errors, mended_leaks;
	uint64_t allocated, blocks; /* of the format */
};

struct image_format {
	const char *name, *alias; /* "vhd", "vpc" */
	const char *suffix;	  /* ".vhd", or NULL */
	const char *summary;
	const char *const *kinds; /* the first is what one gets; NULL-ended */
	uint64_t usual_size;	  /* of a new image that states none, or 0 */
	bool (*probe)(const uint8_t *head, const uint8_t *tail); /* 512 each */
	struct blk *(*open)(struct image_open *how, GError **err);
	bool (*create)(struct image_create *c, GError **err); /* or NULL */
	void (*describe)(struct blk *b, struct image_info *i);
	/* 0 or -errno; NULL: there is nothing to check. */
	int (*check)(struct blk *b, struct image_check *c);
	/* Who it is, for children; false: nothing lies there. */
	bool (*identity)(struct blk *b, uint8_t id[IMAGE_ID_BYTES]);
	/* Name another backing file (c->backing NULL: none). */
	bool (*rebase)(
		struct blk *b, const struct image_create *c, GError **err);
};

extern const struct image_format *const image_formats[]; /* NULL-ended */
const struct image_format *image_format_find(const char *name);
const struct image_format *image_format_of(const struct blk *b);
/* By what the file's name ends with; raw else. */
const struct image_format *image_format_by_name(const char *path);
/* What a file seems to be. */
const struct image_format *image_probe(struct blk *lower);

/* *how->lower is consumed.  NULL and *err. */
struct blk *image_open(
	const struct image_format *f, struct image_open *how, GError **err);
/* For formats: the file that an image opened by how names. */
struct blk *image_open_file(const struct image_open *how, const char *name,
	bool readonly, char **path, GError **err);
struct blk *image_open_backing(const struct image_open *how, const char *name,
	const struct image_format *f, GError **err);
/* The same by the first of several names that there is a file of; *which (or
 * NULL): that.  What is wrong with that file, or below it, is no reason to try
 * the others: with two names each, a loop would be gone round in 2^64
 * ways. */
struct image_names {
	const char *const *name;
	unsigned n;
	unsigned *which;
};
struct blk *image_open_parent(const struct image_open *how,
	const struct image_names *names, const struct image_format *f,
	GError **err);
/* Is the backing file the one that id (bytes of it) was taken of? */
bool image_check_parent(
	struct blk *parent, const uint8_t *id, unsigned bytes, GError **err);

/*
 * A disk whose image can get a child while it is in use: what the child shows
 * is what the image has then, what is written goes to the child.
 *
 * image_live_new takes top over, and lock: a descriptor of its file, or -1; its
 * lock is for one writer, and from the switch on for many readers.  A child is
 * made in an empty file (fd: consumed) and shows what b shows; nothing changes
 * for b until image_live_switch, and image_live_drop takes the child back.
 * Between making it and that, no transfer may be under way and b must be
 * flushed.
 */
struct image_child {
	int fd;
	const struct image_format *format;
	const char *name; /* what the file is called, without folders */
	const char *backing, *backing_path; /* as in struct image_create */
};

struct blk *image_live_new(struct blk *top, int lock);
/* NULL: b is none. */
struct blk *image_live_top(struct blk *b);
struct blk *image_live_child(
	struct blk *b, const struct image_child *c, GError **err);
void image_live_drop(struct blk *child);
/* lock: of the child's file, taken over. */
void image_live_switch(struct blk *b, struct blk *child, int lock);

/*
 * Images below the top of such a disk, which only are read, can be opened anew:
 * for writing, or because they are to be told what they stand on.
 * image_live_again opens the image that old is, on lower (consumed); it stands
 * on what old does, whatever its file says.  Nothing changes for b until
 * image_live_put, while no transfer is under way: then now is where old was, or
 * (NULL) what old stands on is, and old is closed.
 */
struct blk *image_live_again(struct blk *old, struct blk *lower, GError **err);
/* Can what stands on others be told to stand on another? */
bool image_live_movable(const struct blk *b);
void image_live_put(struct blk *b, struct blk *old, struct blk *now);
/* Closed without what it stands on. */
void image_live_forget(struct blk *b);

struct image_info *image_info_new(struct blk *b);
void image_info_free(struct image_info *i);
void image_info_fact(struct image_info *i, const char *key, const char *format,
	...) G_GNUC_PRINTF(3, 4);
void image_check_say(struct image_check *c, const char *format, ...)
	G_GNUC_PRINTF(2, 3);

/* *err as formats word it. */
bool image_bad(GError **err, const char *format, const char *what);
bool image_cannot(GError **err, const char *format, const char *what);
bool image_errno(GError **err, int rc, const char *format, const char *what);

/* UTF-16 as it lies in files; no library that must be loaded.  Up to a zero;
 * NULL: it is none. */
char *image_utf16_get(const uint8_t *p, size_t bytes, bool big_endian);
/* len: bytes; free it; NULL: text is no UTF-8. */
uint8_t *image_utf16_put(const char *text, bool big_endian, size_t *len);

/* Random bytes of a version 4 UUID (RFC 4122). */
void image_uuid(uint8_t id[16]);

extern const struct image_format image_raw, image_qcow2, image_vhd, image_vhdx,
	image_vdi, image_vmdk, image_parallels, image_dmg;

#endif
