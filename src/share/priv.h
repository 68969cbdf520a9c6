/*
 * priv.h - shared by the parts of a file server.
 *
 * A client names files by numbers of its own (fids).  A fid points to a node:
 * a file by where it is, one for each that is in use and each folder on the
 * way to it.  A node holds the file itself by a descriptor (O_PATH) that moves
 * with it; those not in use just now may be closed and are opened again by
 * name, if that still is the same file.
 *
 * Fids never change but in what has a lock: what opens one puts another in its
 * place.
 *
 * Locks: names, then share.lock or a fid's, which is never held across a call
 * to the host's file system (a fid's is).
 */
#ifndef SHARE_PRIV_H
#define SHARE_PRIV_H

#include <errno.h>
#include <pthread.h>
#include <sys/stat.h>

#include "share/p9.h"
#include "share/share.h"

#define SHARE_MAX_NAME	 255
#define SHARE_MAX_DEPTH	 1024	      /* folders in folders */
#define SHARE_MAX_MEMORY (128u << 20) /* of fids and nodes */
#define SHARE_MAX_XATTR	 (64u << 10)
#define SHARE_MAX_XATTRS (8u << 20) /* under way, together */
#define SHARE_NOBODY	 65534

/* The same file: numbers are used again, so the time of birth, too. */
struct share_id {
	uint32_t dev_major, dev_minor;
	uint64_t ino;
	int64_t btime;
	uint32_t btime_ns;
};

struct share_node {
	struct share_node *parent; /* NULL: the root */
	char *name;
	unsigned refs;
	unsigned pins; /* who uses the descriptor */
	int fd;	       /* or -1 */
	bool linked;   /* it is to be found by parent and name */
	bool idle;     /* in share.idle */
	uint32_t type; /* S_IFMT of its mode */
	struct share_id id;
	GList link; /* of share.idle */
};

enum share_fid_kind {
	FID_PATH,  /* not open */
	FID_FILE,  /* fd */
	FID_DIR,   /* fd */
	FID_XATTR, /* value: what is read, or what is being written */
	FID_STALE, /* its file was gone when a state was loaded */
};

struct share_fid {
	struct share *share;
	uint32_t id;
	unsigned refs;
	enum share_fid_kind kind;
	struct share_node *node; /* or NULL: FID_STALE */
	int fd;
	uint32_t flags; /* as it was opened */

	pthread_mutex_t lock; /* covers what follows */
	int lock_fd;	      /* has the client's locks; or -1 */
	int64_t at;	      /* place in the folder; -1: unknown */
	uint8_t *value;
	uint32_t size, filled;
	char *xattr; /* to be set by clunk, with flags; or NULL: being read */
};

struct share {
	char *tag;
	bool readonly;
	int root_fd, self_fd;
	uint32_t uid, gid;	       /* shown */
	uint32_t own_uid, own_gid;     /* the host's */
	uint32_t dev_major, dev_minor; /* of the root */
	unsigned max_open;

	pthread_rwlock_t names;	 /* written by who moves files */
	pthread_mutex_t lock;	 /* covers what follows, and nodes */
	_Atomic(uint32_t) msize; /* 0: no session */
	GHashTable *fids, *nodes;
	struct share_node *root;
	GQueue idle; /* nodes whose descriptor can be closed, oldest first */
	unsigned open;
	size_t memory, xattrs;
	_Atomic(uint64_t) read_bytes, written_bytes;
};

/* One request at work. */
struct share_call {
	struct share *s;
	struct share_request *r;
	struct p9_in in;
	struct p9_out out;
};

/* ---- node.c ---- */

/* A node's descriptor, or -errno, and who holds it. */
struct share_pin {
	struct share *s;
	struct share_node *node;
	int fd;
};

struct share_pin share_pin(struct share *s, struct share_node *n);
void share_unpin(struct share_pin *p);
typedef struct share_pin share_pin_auto;
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(share_pin_auto, share_unpin)

/* Room for one more descriptor: 0 or -ENFILE; and it is not needed. */
int share_reserve(struct share *s);
void share_unreserve(struct share *s, unsigned n);

/* A name that may be created, removed or looked up: 0 or -errno. */
int share_name_ok(const char *name);
/* The file of that name in folder `dir`, with a reference. */
int share_look(struct share *s, struct share_node *dir, const char *name,
	struct share_node **out);
/* The file that was just made and opened there: fd is taken over, and was
 * reserved. */
int share_adopt(struct share *s, struct share_node *dir, const char *name,
	int fd, struct share_node **out);
/* It has got another place, or none. */
void share_moved(struct share *s, struct share_node *from, const char *name,
	struct share_node *to, const char *new_name);
void share_removed(struct share *s, struct share_node *dir, const char *name);
/* Where it is, as "a/b/c"; NULL: nowhere.  Share's lock held. */
char *share_path_locked(const struct share_node *n);

struct share_node *share_node_ref(struct share *s, struct share_node *n);
void share_node_unref(struct share *s, struct share_node *n);
/* Lock held. */
void share_node_unref_locked(struct share *s, struct share_node *n);
int share_root(struct share *s);

/* Open the file behind a descriptor anew; -errno. */
int share_reopen(struct share *s, int fd, uint64_t flags);
/* One name below fd. */
int share_open_at(int fd, const char *name, uint64_t flags, uint32_t mode);

/* ---- fid.c ---- */

struct share_fid *share_fid_get(struct share *s, uint32_t id);
void share_fid_unref(struct share_fid *f);
typedef struct share_fid share_fid_auto;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(share_fid_auto, share_fid_unref)

/* For a node, whose reference it takes, not yet in the table. */
struct share_fid *share_fid_new(
	struct share *s, enum share_fid_kind kind, struct share_node *node);
/* Put it there under that number, in place of old (NULL: of none).  0 or
 * -errno; it has one reference less in either case. */
int share_fid_put(struct share_fid *f, uint32_t id, struct share_fid *old);
/* Out of the table.  NULL: it is not there. */
struct share_fid *share_fid_take(struct share *s, uint32_t id);
void share_fids_clear(struct share *s);
/* Bytes of extended attributes under way: 0 or -ENOSPC. */
int share_xattr_room(struct share *s, size_t n);

/* ---- requests: 0 or -errno ---- */

typedef int share_call_fn(struct share_call *c);

/* names.c */
share_call_fn share_walk, share_mkdir, share_symlink, share_mknod, share_link,
	share_unlinkat, share_remove, share_rename, share_renameat,
	share_readlink;
/* file.c */
share_call_fn share_lopen, share_lcreate, share_read, share_write,
	share_readdir, share_fsync, share_lock, share_getlock;
/* attr.c */
share_call_fn share_getattr, share_setattr, share_statfs, share_xattrwalk,
	share_xattrcreate;
/* What a fid was filled with becomes the attribute. */
int share_xattr_set(struct share_fid *f);
int share_xattr_read(
	struct share_call *c, struct share_fid *f, uint64_t at, uint32_t n);
int share_xattr_write(
	struct share_call *c, struct share_fid *f, uint64_t at, uint32_t n);

/* Open a node's file or folder for fid `id`, in place of old. */
int share_open_fid(struct share_fid *old, uint32_t id, uint32_t flags,
	uint32_t *iounit, struct share_fid **out);

struct p9_qid share_qid(const struct share *s, const struct statx *x);
/* Everything that is asked of a file. */
int share_stat(int fd, struct statx *x);
int share_put_qid(struct share_call *c, int fd);

#endif
