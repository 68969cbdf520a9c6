/*
 * spawn.h - find and start vmeste-vm and vmeste-disk.
 */
#ifndef CLI_SPAWN_H
#define CLI_SPAWN_H

#include <sys/types.h>

#include <glib.h>

/* A program beside our own, else in the libexec folder.  Free it. */
char *cli_spawn_find(const char *program, GError **err);

/* Starts it with the socket as descriptor WIRE_VM_FD, standard input and
 * output at /dev/null, standard error ours.  -1 and *err. */
pid_t cli_spawn(const char *program, int sock, GError **err);

#endif
