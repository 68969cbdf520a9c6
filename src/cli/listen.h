/*
 * listen.h - sockets where a machine waits for others.
 */
#ifndef CLI_LISTEN_H
#define CLI_LISTEN_H

#include "conf/machine.h"

/*
 * f->path says where: [HOST:]PORT (without a host: the loopback interface) or
 * unix:PATH; a file by that name that nobody listens on is not removed.  The
 * socket goes to f->fd.  flag, as "--gdb": for messages.
 */
bool cli_listen(struct conf_file *f, const char *flag, GError **err);
/* Remove the socket's file, if we made it. */
void cli_listen_remove(const struct conf_file *f);

#endif
