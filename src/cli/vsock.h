/*
 * vsock.h - a machine's sockets to its guest, on the host's side.
 */
#ifndef CLI_VSOCK_H
#define CLI_VSOCK_H

#include "conf/machine.h"

/* Where the host's programs connect, if it has that; its path is absolute then.
 * named: it has a control socket, beside which it is unless it was stated. */
bool cli_vsock_listen(struct conf_machine *m, bool named, GError **err);
/* Remove the socket's file, if we made it. */
void cli_vsock_remove(const struct conf_machine *m);

/* To who listens for that port of the guest's.  Does not wait: -1 if nobody
 * does or (*again) its queue is full. */
int cli_vsock_connect(const struct conf_machine *m, uint32_t port, bool *again);

#endif
