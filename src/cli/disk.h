/*
 * disk.h - one job on images, done by vmeste-disk (disk/job.h there says what
 * is spoken).
 */
#ifndef CLI_DISK_H
#define CLI_DISK_H

#include <signal.h>

#include "conf/machine.h"
#include "wire/wire.h"

/* For completion. */
#define CLI_DISK_FORMATS "raw qcow2 vhd vhdx vdi vmdk parallels dmg"

struct cli_disk_job {
	JsonObject *body;   /* of the request; consumed by cli_disk_run */
	JsonObject *images; /* in it */
	GArray *fds;	    /* int */
	const char *top;    /* the image that may name files */
	bool top_writable;
	const char *target; /* the file that is made, or NULL */
	bool sync;	    /* it must be on the medium before it is named */
	GPtrArray *made;    /* char *: temporary names, final names, by turns */
	GPtrArray *more;    /* char *: further files that the job makes */
	int sigfd;	    /* those that cancel come here from the start */
	sigset_t signals;   /* the mask before */
	bool bar;	    /* show how far it is */
	void (*rows)(void *opaque, JsonArray *rows);
	/* A job that serves until a signal ends it in order. */
	bool serves;
	bool background; /* it goes on without us */
	/* Mounts: descriptors of FUSE, and of what unmounts when it closes. */
	bool (*mount)(void *opaque, int fd[2], GError **err);
	void (*ready)(void *opaque, const struct wire_msg *m);
	void *opaque;
};

struct cli_disk_job *cli_disk_new(const char *what);
/* Removes what was made and not kept. */
void cli_disk_free(struct cli_disk_job *j);

/* The image at path in a role, opened and locked.  format NULL: by name. */
bool cli_disk_add(struct cli_disk_job *j, const char *role, const char *path,
	const char *format, bool writable, GError **err);
/* What opens LUKS on the image in a role; path NULL: nothing. */
bool cli_disk_add_key(struct cli_disk_job *j, const char *role,
	const char *path, GError **err);
/* Any other descriptor; consumed. */
void cli_disk_add_fd(struct cli_disk_job *j, const char *role, int fd);
/* A new file, which gets its name only when all is done. */
bool cli_disk_add_new(struct cli_disk_job *j, const char *path,
	const char *format, bool replace, GError **err);

/* Is there no such file yet, or may it be replaced? */
bool cli_disk_may_make(const char *path, bool replace, GError **err);

/* The last message, or NULL and *err (also when the job failed). */
struct wire_msg *cli_disk_run(struct cli_disk_job *j, GError **err);
/* How far some work is, on a terminal; away with that. */
void cli_disk_bar(gint64 began_us, double done, double total);
void cli_disk_bar_clear(void);
/* Give what was made its final names. */
bool cli_disk_keep(struct cli_disk_job *j, GError **err);

#endif
