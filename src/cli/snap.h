/*
 * snap.h - a machine's states, for the verbs that work on them.
 *
 * snap.c         taking snapshots, the verbs' flags
 * snap_state.c   opening the tree, and what somebody who was killed left
 * snap_back.c    going back to one
 * snap_merge.c   deleting them: images become part of one another
 * snap_live.c    ... while the machine runs
 * snap_list.c    snaps, tree
 * snap_diff.c    diff
 * copy.c         copy
 *
 * Each change is written down in snapshots.xml before it begins.  From there
 * on it can only be ended (snap_finish), by whoever comes next.
 */
#ifndef CLI_SNAP_H
#define CLI_SNAP_H

#include <sys/stat.h>

#include <json-glib/json-glib.h>

#include "conf/machine.h"
#include "cli/verb.h"
#include "node/settings.h"
#include "node/snapshots.h"

struct snaps {
	const char *name;
	char *dir;
	int lock;     /* of the states, or -1 */
	bool merging; /* the running machine is asked for that by sock */
	int sock;
	struct node_tree *t;
	bool runs;
	uint64_t stood_ns; /* the machine, at most, while images were merged */
	GPtrArray *drives; /* struct snap_drive: those that are written to */
};

/* One that machine.xml names and the guest writes to. */
struct snap_drive {
	char *drive; /* "disk0" */
	char *file;  /* as in snapshots.xml */
	const char *element;
	unsigned index; /* among those */
	enum conf_format format;
};

/* ---- snap_state.c ---- */

/* Locked, read, and what was begun ended.  False and *err; close follows in
 * any case. */
bool snaps_open(struct snaps *s, const char *name, GError **err);
void snaps_close(struct snaps *s);
/* Only for looking: no lock, nothing is ended.  NULL and *err. */
struct node_tree *snaps_look(const char *name, GError **err);

bool snaps_write(struct snaps *s, GError **err);
/* End the change that is written down; take away what is not needed. */
bool snaps_finish(struct snaps *s, GError **err);
/* Fill s->drives anew. */
bool snaps_drives(struct snaps *s, GError **err);
/* May they be written to?  Not what a snapshot has. */
bool snaps_tops_free(struct snaps *s, GError **err);
/* With the running machine's word: they are the same there. */
bool snaps_same_drives(struct snaps *s, GError **err);

char *snaps_path(const struct snaps *s, const char *file); /* absolute */
char *snaps_file(const struct snaps *s, const char *path); /* the reverse */
/* Somebody has a lock on the file. */
bool snaps_is_held(const char *path);
/* Its folder's entries are durable. */
bool snaps_sync_dir(const struct snaps *s, const char *file, GError **err);

/* The files of that image, relative to dir, as file is: itself, last, and a
 * VMDK's extents by the names that VMware gives them. */
GPtrArray *snaps_image_files(const char *dir, const struct node_image *i);
/* A new image's name, free, for a child of `on`; listed as new.  Its format is
 * the parent's own if that can have such children there. */
struct node_image *snaps_new_image(
	struct snaps *s, const char *drive, const struct node_image *on);
/* What the child is to write down for its parent. */
char *snaps_backing_name(const struct snaps *s, const struct node_image *child,
	const struct node_image *on);
/* Make it, of a machine that stands or of images that nobody writes to. */
bool snaps_make_image(struct snaps *s, struct node_image *i, GError **err);
/* The image that a drive has now, listed. */
struct node_image *snaps_top(
	struct snaps *s, const struct snap_drive *d, GError **err);

/* The drive's element names that file. */
bool snaps_set_file(
	struct node_settings *x, const struct node_disk *d, GError **err);
/* machine.xml out of `from` (NULL: itself) with these files on top. */
bool snaps_set_tops(
	struct snaps *s, const char *from, const GPtrArray *tops, GError **err);
/* states/ID with everything in it. */
void snaps_remove_state(const struct snaps *s, unsigned id);

/* ---- snap_back.c ---- */

/* NAME SNAPSHOT, or NAME@SNAPSHOT. */
bool cli_snap_words(struct cli_words *w, GError **err);

/* ---- snap.c ---- */

/* Write down that the drives get new images for n, which becomes the tree's. */
bool snaps_plan(struct snaps *s, struct node_snapshot *n, GError **err);
/* The member overlays of a request for that, and its descriptors behind those
 * that there are. */
bool snaps_add_overlays(
	struct snaps *s, JsonObject *body, GArray *fds, GError **err);

/* ---- snap_merge.c ---- */

/* What the image stands on is known. */
bool snaps_learn_backing(struct snaps *s, struct node_image *i, GError **err);

/* Images that no snapshot names become part of their children, or of what is
 * below.  *left: so many are in use and have to wait. */
bool snaps_merge(struct snaps *s, unsigned *left, GError **err);
/* NODE_MERGE that was begun. */
bool snaps_merge_finish(struct snaps *s, GError **err);
/* The image shows what another one did: it is as old to a saved state. */
void snaps_as_old_as(const char *path, const struct stat *as);

/* ---- snap_live.c ---- */

/* Does the drive stand on it? */
bool snaps_has(const struct snaps *s, const struct snap_drive *d,
	const struct node_image *i);
/* The drive of the running machine that stands on both (b: or NULL), or
 * NULL. */
const struct snap_drive *snaps_live(const struct snaps *s,
	const struct node_image *a, const struct node_image *b);
/* Can from become part of to, of such a drive?  The machine is ready for it.
 * Nothing has changed yet. */
bool snaps_live_open(struct snaps *s, struct node_image *from,
	struct node_image *to, GError **err);
/* Nothing more is asked for: what was not ended is broken off. */
void snaps_live_close(struct snaps *s);
/* What somebody left who was killed is broken off: the files can be read. */
void snaps_live_stop(struct snaps *s);
/* from is part of to now, in the machine and for all that are between it and
 * the top.  If not, *broken_off: none of them knows of it yet. */
bool snaps_live_merge(struct snaps *s, struct node_image *from,
	struct node_image *to, bool *broken_off, GError **err);

/* ---- of saved machines ---- */

/* What the machine shall go on from, absolute, or NULL; the tree must be
 * finished.  *err: it may not. */
char *snaps_saved(struct snaps *s, GError **err);
/* It goes on now; it has. */
bool snaps_resuming(struct snaps *s, GError **err);
bool snaps_resumed(struct snaps *s, GError **err);
/* It did not come to that: nothing has changed. */
void snaps_still_saved(struct snaps *s);
bool snaps_discard(struct snaps *s, GError **err);
/* An empty file for its state; the state is whole, and the machine has ended.
 */
int snaps_save_file(struct snaps *s, GError **err);
bool snaps_set_saved(struct snaps *s, GError **err);

#endif
