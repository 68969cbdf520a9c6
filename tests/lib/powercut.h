/*
 * powercut.h - a disk that remembers each write and flush, so that an image on
 * it can be looked at as any power cut would have left it.
 *
 * The recording filter keeps the content at the start and a log.  A cut comes
 * after the first n entries of the log: what was written before the last flush
 * among them is there; of what came after it, any sectors are (a drive with a
 * cache writes as it likes), or exactly all (a process was killed).  The size
 * is that of the file's last change, or of any since the flush.
 */
#ifndef TESTS_POWERCUT_H
#define TESTS_POWERCUT_H

#include "block/blk.h"

#define POWERCUT_SECTOR 512u

enum powercut_kind { CUT_WRITE, CUT_ZERO, CUT_RESIZE, CUT_FLUSH };

struct powercut_entry {
	const struct powercut *of; /* whose */
	enum powercut_kind kind;
	uint64_t off, len; /* CUT_RESIZE: off is the new size */
	uint8_t *data;
};

struct powercut {
	struct blk blk; /* the recording filter */
	uint8_t *now;
	uint64_t room;
	uint8_t *start; /* content when recording began */
	uint64_t start_size;
	GArray *log; /* one for all files of a disk */
	bool first;  /* owns it */
};

/* Room for images of so many bytes; content (len bytes) at the start. */
struct powercut *powercut_new(uint64_t room, const void *content, uint64_t len);
/* Another file, with the same log: it comes down at the same cuts, but a flush
 * is of one file. */
struct powercut *powercut_beside(
	struct powercut *p, uint64_t room, const void *content, uint64_t len);
void powercut_free(struct powercut *p); /* the first of them last */

/* The file after a cut behind entry n - 1: into out (room bytes, zeroed), its
 * size.  any: sectors since the last flush are there or not, at random. */
uint64_t powercut_replay(
	const struct powercut *p, unsigned n, bool any, GRand *r, uint8_t *out);

/* A read-write disk over len bytes of memory that may grow to room. */
struct blk *powercut_memory(uint8_t *bytes, uint64_t len, uint64_t room);

#endif
