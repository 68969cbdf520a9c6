/*
 * fork.h - copies of a running machine, for the files of `vmeste fork`.
 *
 * fork.c         the verb: asks the machine, starts the copies
 * fork_copy.c    one copy: what it is called, what it has of its own
 * fork_disks.c   images that the machine and its copies have in common
 */
#ifndef CLI_FORK_H
#define CLI_FORK_H

#include "cli/snap.h"
#include "conf/machine.h"
#include "node/settings.h"

struct fork {
	const char *name;      /* of the machine */
	char *dir;	       /* its folder, or NULL: it has none */
	GPtrArray *names;      /* of the copies */
	struct snaps snaps;    /* if it has a folder */
	int sock;	       /* to the machine */
	int state, ram, nvram; /* files without names, or -1 */
	int result;	       /* what the process says that copies */
	int ready[2];	       /* a byte for each copy when memory is whole */
	enum conf_engine engine;
};

/* ---- fork_disks.c ---- */

/* Disks that the machine writes to get images on top: what there is for the
 * request, its descriptors behind those of fds.  False and *err: they cannot.
 * fork_disks_done follows in any case. */
bool fork_disks_plan(
	struct fork *f, JsonObject *body, GArray *fds, GError **err);
/* They have got them, or not.  Before the copies are made. */
bool fork_disks_done(struct fork *f, GError **err);
/* The same for the copy m in dir: what the machine's disks were is below, in
 * files of its own. Its folder is there. */
bool fork_disks_copy(const struct fork *f, const char *dir,
	struct conf_machine *m, GError **err);
/* machine.xml in the copy's folder, as the machine's, with its disks. */
bool fork_disks_settings(const struct fork *f, const char *name,
	const char *dir, const struct conf_machine *m, GError **err);
void fork_disks_close(struct fork *f);

/* ---- fork_copy.c ---- */

/* The copy's folder, and the machine as it shall be started.  NULL and *err:
 * nothing is left of it. */
struct conf_machine *fork_copy(
	const struct fork *f, const char *name, GError **err);
/* Its folder, if it has one, goes again. */
void fork_copy_drop(const struct fork *f, const char *name);
/* What path is called from the machine's folder, or NULL: it is not there. */
const char *fork_inside(const struct fork *f, const char *path);
/* A file of the machine's folder is one of the folder dir, too. */
bool fork_bring(
	const struct fork *f, const char *dir, const char *file, GError **err);

#endif
