/*
 * files.h - open everything that a machine names, in the client, with the
 * user's rights; the machine's process then opens nothing.
 */
#ifndef CLI_FILES_H
#define CLI_FILES_H

#include "conf/machine.h"

/* Opens kernel, initrd, firmware, drives (with locks: a writable image
 * belongs to one machine), serial files and sockets, standard input and
 * output.  Descriptors are put into *m. */
bool cli_files_open(struct conf_machine *m, GError **err);

/* One drive's image, with its lock. */
bool cli_files_open_drive(struct conf_drive *d, GError **err);

/* Removes what cli_files_open put into the file system (sockets). */
void cli_files_remove(const struct conf_machine *m);

/* An image of its own: with a lock, as machines take it.  -1 and *err. */
int cli_files_open_image(const char *path, bool writable, GError **err);

/* A file that an image names: a backing file, or an extent. */
struct cli_named {
	const char *top;  /* the image that the user named */
	const char *from; /* the image that names it */
	const char *name;
	bool top_writable, writable;
};

/* Where it is looked for: relative to the folder of `from`; vdi:UUID is the
 * .vdi file there that has it.  NULL and *err. */
char *cli_files_find_named(const struct cli_named *n, GError **err);
/* Read-only with a shared lock; or writable, which only extents of a writable
 * top may be: files beside it whose names begin like its own.  Descriptor or
 * -1 with *err; *path (free it) is what was opened. */
int cli_files_open_named(const struct cli_named *n, char **path, GError **err);

/* What is in a key file, in a file without a name: it can be read again, and
 * from its start.  "-" is standard input.  -1 and *err. */
int cli_files_open_key(const char *path, GError **err);

/* An empty file without a name. */
bool cli_files_scratch(struct conf_file *f, GError **err);
/* Paths that mean the same from any folder. */
void cli_files_absolute(struct conf_machine *m);

#endif
