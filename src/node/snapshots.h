/*
 * snapshots.h - the states of a machine that have names, as a tree, and the
 * images that its disks are made of.
 *
 * All of it is one file, snapshots.xml beside machine.xml, which is replaced
 * as a whole; states/ID/ has what is large.  A change of several files is
 * written down before it begins (struct node_change), so that whoever comes
 * next can end it or take it back.
 *
 * Paths are relative to the machine's folder if they are in it.  One thread;
 * node_tree_lock keeps others away.  Errors are CONF_ERRORs.
 */
#ifndef NODE_SNAPSHOTS_H
#define NODE_SNAPSHOTS_H

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#define NODE_MAX_SNAPSHOTS 1000
#define NODE_MAX_NAME	   100 /* bytes of a snapshot's name */
#define NODE_MAX_NOTE	   4000

/* What a drive ("disk0") had or has. */
struct node_disk {
	char *drive, *file;
};

struct node_snapshot {
	unsigned id;		    /* from 1 on, never used twice */
	unsigned parent;	    /* 0: none */
	char *name, *note;	    /* note: or NULL */
	gint64 time_s;		    /* UTC */
	bool ram;		    /* there is a state to go on from */
	uint64_t bytes;		    /* of it */
	uint64_t stood_ns, took_ns; /* the machine; the writing of the state */
	GPtrArray *disks;	    /* struct node_disk */
};

enum node_image_is {
	NODE_IMAGE_LIVE,
	NODE_IMAGE_NEW,	 /* being made: what is left of that goes */
	NODE_IMAGE_GONE, /* to be removed */
};

/* An image of a chain.  Those outside of the folder are never removed. */
struct node_image {
	char *file, *format;
	char *on; /* the file of what is below, or NULL */
	enum node_image_is is;
};

enum node_change_kind {
	NODE_SNAP,  /* take: snapshot becomes part of the tree */
	NODE_BACK,  /* make id what the machine is */
	NODE_MERGE, /* from becomes part of to, below it */
};

struct node_change {
	enum node_change_kind kind;
	struct node_snapshot *snapshot; /* NODE_SNAP */
	unsigned id;			/* NODE_BACK */
	bool ram;			/* with its memory */
	char *from, *to;		/* NODE_MERGE */
	GPtrArray *tops; /* struct node_disk: what comes on top */
};

/* The machine as it was saved, to go on from. */
struct node_saved {
	char *file; /* NULL: it is not saved */
	gint64 time_s;
	bool resuming;	  /* somebody went on from it, perhaps */
	GPtrArray *disks; /* then: struct node_stamp of what is on top */
};

struct node_stamp {
	char *file;
	gint64 mtime_ns;
	uint64_t bytes;
};

struct node_tree {
	unsigned current; /* what the machine of now comes of, or 0 */
	unsigned next;	  /* id */
	struct node_saved saved;
	GPtrArray *snapshots;	    /* struct node_snapshot, parents first */
	GPtrArray *images;	    /* struct node_image */
	struct node_change *change; /* or NULL */
};

/* Alone with the machine's states, as long as the descriptor is open.  Waits
 * for a few seconds.  -1 and *err: somebody else is at it. */
int node_tree_lock(const char *name, GError **err);

/* Of a machine that has none: empty.  NULL and *err if it is damaged. */
struct node_tree *node_tree_read(const char *name, GError **err);
struct node_tree *node_tree_parse(
	const char *text, gsize n, const char *path, GError **err);
/* Durable, all or nothing. */
bool node_tree_write(const struct node_tree *t, const char *name, GError **err);
char *node_tree_text(const struct node_tree *t);
void node_tree_free(struct node_tree *t);

struct node_snapshot *node_snapshot_new(void);
void node_snapshot_free(void *s);
/* By name, or by number if none is called so; NULL and *err (not found). */
struct node_snapshot *node_tree_find(
	const struct node_tree *t, const char *name, GError **err);
struct node_snapshot *node_tree_get(const struct node_tree *t, unsigned id);
/* May one be called so?  It is usable, and none is yet. */
bool node_tree_name_ok(
	const struct node_tree *t, const char *name, GError **err);
/* Out of the tree: its children hang on its parent.  Frees it. */
void node_tree_drop(struct node_tree *t, struct node_snapshot *s);

/* file is one of folder's own? */
bool node_is_inside(const char *file);
void node_disk_add(GPtrArray *to, const char *drive, const char *file);
/* The file, or NULL. */
const char *node_disk_find(const GPtrArray *disks, const char *drive);
GPtrArray *node_disks_new(void);

struct node_image *node_image_find(const struct node_tree *t, const char *file);
/* The one of that file, made if there is none. */
struct node_image *node_image_add(struct node_tree *t, const char *file,
	const char *format, const char *on);
void node_image_remove(struct node_tree *t, struct node_image *i);
/* How many images are on it; one of them in *child (may be NULL). */
unsigned node_image_children(const struct node_tree *t,
	const struct node_image *i, struct node_image **child);
/* Does a snapshot have it? */
bool node_image_named(const struct node_tree *t, const struct node_image *i);

struct node_change *node_change_new(enum node_change_kind kind);
void node_change_free(struct node_change *c);

/* The folder of a snapshot's files, or one of them (NULL: itself). */
char *node_snapshot_path(const char *name, unsigned id, const char *file);

typedef struct node_tree node_tree_auto;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(node_tree_auto, node_tree_free)

#endif
