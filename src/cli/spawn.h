/*
 * spawn.h - find and start vmeste-vm.
 */
#ifndef CLI_SPAWN_H
#define CLI_SPAWN_H

#include <sys/types.h>

#include <glib.h>

/* Beside our own executable, else in the libexec folder.  Free it. */
char *cli_spawn_find(GError **err);

/* Starts it with the socket as descriptor WIRE_VM_FD, standard input and
 * output at /dev/null, standard error ours.  -1 and *err. */
pid_t cli_spawn_vm(int sock, GError **err);

#endif
