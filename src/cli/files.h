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

/* A backing file of an image in dir(image): read-only, shared lock.
 * Descriptor or -1 with *err; *path (free it) is what was opened. */
int cli_files_open_backing(
	const char *image, const char *name, char **path, GError **err);

#endif
