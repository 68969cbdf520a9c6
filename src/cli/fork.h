/*
 * fork.h - copies of a running machine, for the files of `vmeste fork`.
 *
 * fork.c         the verb: asks the machine, starts the copies
 * fork_copy.c    one copy: what it is called, what it has of its own
 * fork_disks.c   images that the machine and its copies have in common
 */
#ifndef CLI_FORK_H
#define CLI_FORK_H

#include "conf/machine.h"
#include "node/settings.h"

struct fork {
	const char *name;  /* of the machine */
	char *dir;	   /* its folder, or NULL: it has none */
	GPtrArray *names;  /* of the copies */
	GPtrArray *drives; /* struct fork_drive: those that are written to */
	int sock;	   /* to the machine */
	int state, ram, nvram; /* files without names, or -1 */
	enum conf_engine engine;
};

/* A disk that the machine writes to; file is what it has and its copies get,
 * from the copy on below images of their own. */
struct fork_drive {
	char *drive;	/* "disk0" */
	unsigned index; /* among the machine's drives */
	char *file;
};

/* ---- fork_copy.c ---- */

/* The copy's folder, and the machine as it shall be started.  NULL and *err:
 * nothing is left of it. */
struct conf_machine *fork_copy(
	const struct fork *f, const char *name, GError **err);
/* Its folder, if it has one, goes again. */
void fork_copy_drop(const struct fork *f, const char *name);

#endif
