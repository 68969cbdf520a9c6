/*
 * gdb.h - the socket where a machine waits for gdb.
 */
#ifndef CLI_GDB_H
#define CLI_GDB_H

#include "conf/machine.h"

/* Listen on m->gdb.path: "PORT", "HOST:PORT", "[IPV6]:PORT", "unix:PATH"; a
 * bare port is that of 127.0.0.1. */
bool cli_gdb_listen(struct conf_machine *m, GError **err);
/* Remove what it put into the file system. */
void cli_gdb_remove(const struct conf_machine *m);

#endif
