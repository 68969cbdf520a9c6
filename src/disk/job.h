/*
 * job.h - one job on disk images, done in a process of its own.
 *
 * `vmeste disk` opens and locks files; vmeste-disk gets descriptors, shuts the
 * door, and only then looks into images.  Messages (wire/wire.h):
 *
 *   client -> disk  job   {what, images: {role: {fd, path, format, write,
 *                         lazy, key}}, ...}  what to do; each job's own
 *                         members; key: descriptor of what opens LUKS
 *   disk -> client  open  {name, image, write, make}  a file that an image
 *                         names; make: an extent of the image being made,
 *                         or one of the names in the request
 *   client -> disk  opened  {fd: 0, path} or {error, code}
 *   disk -> client  progress {done, total}  bytes
 *   disk -> client  note  {text}
 *   disk -> client  rows  {rows: [...]}  a part of a long answer
 *   disk -> client  mount {}  the image can be used: mount it
 *   client -> disk  opened  two descriptors: of FUSE, and of what unmounts
 *                         when it closes; or {error, code}
 *   disk -> client  ready {status: 0, ...}  it serves; with `background` in
 *                         the job, the client may end
 *   disk -> client  done  {status, message, result: {...}}  last
 */
#ifndef DISK_JOB_H
#define DISK_JOB_H

#include <json-glib/json-glib.h>

#include "block/image.h"
#include "wire/wire.h"

struct disk_job {
	int sock;
	struct wire_msg *msg;
	JsonObject *result;
	gint64 told_us; /* progress */
	/* status of a job that did what it should (compare: 1, they differ) */
	int status;
};

/* Serves one job on the socket; before it touches an image, shut_door(). */
int disk_serve(int sock, void (*shut_door)(void));

/* ---- for jobs ---- */

/* Members of the request, or the default. */
const char *disk_arg(const struct disk_job *j, const char *key);
uint64_t disk_arg_size(const struct disk_job *j, const char *key);
bool disk_arg_bool(const struct disk_job *j, const char *key);

enum disk_open {
	DISK_ALONE = 1 << 0,  /* without backing files */
	DISK_REPAIR = 1 << 1, /* although tables overlap */
	DISK_WHOLE = 1 << 2,  /* what it shows goes elsewhere: tables that a
			       * check finds errors in are refused */
};

/* What the client sent in a role; the caller's.  -1 and *err. */
int disk_fd(struct disk_job *j, const char *role, GError **err);
/* The raw file in a role ("src", "dst"); NULL and *err. */
struct blk *disk_file(struct disk_job *j, const char *role, GError **err);
/* A further file that the request names, made by the client. */
struct blk *disk_file_named(struct disk_job *j, const char *name, GError **err);
bool disk_has(const struct disk_job *j, const char *role);
/* The image in a role, by its stated format. */
struct blk *disk_image(
	struct disk_job *j, const char *role, unsigned how, GError **err);
/* What is made in role dst is to be encrypted (`encrypt`: luks1, luks2): how
 * much of it that takes, 0: it is not. */
uint64_t disk_overhead(const struct disk_job *j);
/* The disk on b, which was just made: b itself, or encrypted on it.  b is
 * consumed. */
struct blk *disk_encrypt(struct disk_job *j, struct blk *b, GError **err);
/* A snapshot inside it, by id or name; readonly. */
struct blk *disk_image_snapshot(
	struct disk_job *j, const char *role, const char *id, GError **err);
/* Was a snapshot stated for the role? */
bool disk_image_has_snapshot(const struct disk_job *j, const char *role);
const struct image_format *disk_format(
	const struct disk_job *j, const char *role, GError **err);
const char *disk_path(const struct disk_job *j, const char *role);
struct image_source disk_source(struct disk_job *j);
/* Open what was just made in role; lower is consumed. */
struct blk *disk_open_made(struct disk_job *j, const char *role,
	struct blk *lower, bool alone, GError **err);

void disk_progress(struct disk_job *j, uint64_t done, uint64_t total);
void disk_note(struct disk_job *j, const char *text);
bool disk_errno(GError **err, int rc, const char *what);
/* For jobs that serve until they are told to end.  Ask the client for n
 * descriptors; they are the caller's. */
bool disk_ask_fds(struct disk_job *j, const char *type, int *fd, unsigned n,
	GError **err);
/* Becomes readable, and stays so, when it has been told to end.  The last to
 * be called before threads are made; closed with the process. */
int disk_stop_fd(void);
/* Tell that it serves; body (or NULL) is consumed.  From then on a job in the
 * background outlives the client. */
bool disk_ready(struct disk_job *j, JsonObject *body, GError **err);

/* ---- copy.c ---- */

struct disk_copy {
	struct blk *src, *dst;
	uint64_t size;	 /* bytes; behind the source's end: zeros */
	bool own_only;	 /* what the source itself has, not what is below */
	bool dst_zero;	 /* the destination reads as zeros so far */
	uint32_t packed; /* write compressed blocks of so many bytes; 0: no */
	bool in_order;
	struct disk_job *job;
};

int disk_copy_run(const struct disk_copy *c);
/* *at: the first byte that differs, UINT64_MAX: none.  size: of both; what is
 * behind an end reads as zeros. */
int disk_compare_run(struct disk_job *j, struct blk *a, struct blk *b,
	uint64_t size, uint64_t *at);

/* Makes the image in role dst in c->lower; size and parent are set. */
bool disk_make(struct disk_job *j, struct image_create *c, GError **err);

/* ---- jobs: jobs.c, change.c, mount.c, serve.c ---- */

bool disk_create(struct disk_job *j, GError **err);
bool disk_info(struct disk_job *j, GError **err);
bool disk_map(struct disk_job *j, GError **err);
bool disk_check(struct disk_job *j, GError **err);
bool disk_compare(struct disk_job *j, GError **err);
bool disk_convert(struct disk_job *j, GError **err);
bool disk_compact(struct disk_job *j, GError **err);
bool disk_resize(struct disk_job *j, GError **err);
bool disk_rebase(struct disk_job *j, GError **err);
bool disk_commit(struct disk_job *j, GError **err);
bool disk_differ(struct disk_job *j, GError **err);
bool disk_mount(struct disk_job *j, GError **err);
bool disk_nbd(struct disk_job *j, GError **err);

#endif
