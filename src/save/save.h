/*
 * save.h - the file of a saved machine: settings, named parts, memory.
 *
 * docs/formats.md has the bytes.  Who reads treats the file as hostile: all
 * lengths are bounded before anything is allocated, all that matters is
 * checksummed, and nothing of it is used before the end was seen, but for
 * memory of a machine that does not run yet.
 */
#ifndef SAVE_SAVE_H
#define SAVE_SAVE_H

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#define SAVE_VERSION	  2 /* 2: disks */
#define SAVE_MAX_SETTINGS (1u << 20)
#define SAVE_MAX_NAME	  63
#define SAVE_PAGE	  4096u
#define SAVE_DISK_BYTES	  (256u << 10) /* of a disk, at a time */

/* The machine's memory: one mapping, a whole number of pages. */
struct save_ram {
	uint8_t *host;
	uint64_t bytes;
	/* While writing: may there be anything but zeros in these?  Any thread;
	 * NULL: anywhere. */
	bool (*there)(const void *opaque, uint64_t off, uint64_t bytes);
	const void *opaque;
};

/* ---- writing ---- */

struct save_out;

/* fd: an empty ordinary file, lent.  settings: JSON.  NULL and *err. */
struct save_out *save_out_new(int fd, const char *settings, GError **err);
bool save_out_part(struct save_out *o, const char *name, const GByteArray *a);
/* At most SAVE_DISK_BYTES of what a disk has beside its base. */
bool save_out_disk(struct save_out *o, const char *name, uint64_t off,
	const void *buf, size_t n);
/* All pages that are not zeros, by so many threads. */
bool save_out_ram(
	struct save_out *o, const struct save_ram *ram, unsigned threads);
/* Whole: false and *err if it, or anything before, failed.  Frees. */
bool save_out_end(struct save_out *o, GError **err);
/* Bytes written so far. */
uint64_t save_out_bytes(const struct save_out *o);

/* ---- reading ---- */

/* What the file begins with: the settings, NULL and *err if it is no state, or
 * one of a newer version.  Free with g_free. */
char *save_read_settings(int fd, GError **err);

/* Does it look like one to its end?  Content is not looked at. */
bool save_is_whole(int fd);

struct save_parts; /* by name */

/* Takes what a disk has beside its base; 0 or -errno.  name: any. */
struct save_disks {
	int (*write)(void *opaque, const char *name, uint64_t off,
		const void *buf, size_t n);
	void *opaque;
};

/* All that follows: memory, of which what is zero is not touched, and parts, of
 * part_max bytes each and all together at most.  NULL and *err: then memory is
 * undefined. */
struct save_parts *save_read(int fd, const struct save_ram *ram,
	const struct save_disks *disks, uint64_t part_max, unsigned threads,
	GError **err);
/* NULL: there is none.  Owned by *p. */
const GByteArray *save_parts_find(const struct save_parts *p, const char *name);
/* A part that nobody has asked for by save_parts_find, or NULL. */
const char *save_parts_unused(const struct save_parts *p);
void save_parts_free(struct save_parts *p);

typedef struct save_parts save_parts_auto;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(save_parts_auto, save_parts_free)

#endif
