/*
 * control.h - running machines by name: where their sockets are, making one,
 * finding them, asking them.
 *
 * The folder is the user's own (0700): $XDG_RUNTIME_DIR/vmeste, else
 * /run/user/UID/vmeste, else /tmp/vmeste-UID.  NAME.sock in it is the control
 * socket of machine NAME (wire/wire.h); whether somebody listens there says
 * whether it runs, so what a killed machine leaves does no harm.
 */
#ifndef CLI_CONTROL_H
#define CLI_CONTROL_H

#include <sys/types.h>

#include "conf/machine.h"
#include "wire/wire.h"

/* Letters, digits, ".", "_", "-"; the first a letter or a digit; up to 60. */
bool cli_control_name_ok(const char *name, GError **err);

/* Listen for requests to m->name: m->control.  False and *err (conflict) if a
 * machine of that name runs. */
bool cli_control_listen(struct conf_machine *m, GError **err);
/* Remove the socket that cli_control_listen made. */
void cli_control_remove(const struct conf_machine *m);

/* NAME and a suffix in the folder of the sockets, which is there after
 * cli_control_listen. */
char *cli_control_path(const char *name, const char *suffix);

/* Connect to a running machine: the socket, or -1 with *err (not found). */
int cli_control_connect(const char *name, GError **err);
/* Names of running machines, sorted; sockets of dead ones are removed. */
GPtrArray *cli_control_names(GError **err);
/* Who listens at the other end, 0 if the host does not say. */
pid_t cli_control_pid(int sock);

/* One request (fd: a descriptor for it, or -1) and its answer; body is
 * consumed.  NULL and *err if the machine
 * refuses, is silent for too long or goes.  timeout_ms < 0: wait for ever.
 * _fds: descriptors (int) for it. */
struct wire_msg *cli_control_ask_fds(int sock, const char *type,
	JsonObject *body, const GArray *fds, int timeout_ms, GError **err);
struct wire_msg *cli_control_ask(int sock, const char *type, JsonObject *body,
	int fd, int timeout_ms, GError **err);
/* One request to a machine that need not be there: its socket, to be closed, or
 * -1; *answer (free it) is NULL if there was none. */
int cli_control_try(const char *name, const char *type, int timeout_ms,
	struct wire_msg **answer);

/*
 * A running machine writes a file: ctx begins with struct cli_words, machine
 * and file.  ask gets it to write into a temporary file beside that one, which
 * gets its name only when it is whole.  The exit status.
 */
int cli_control_to_file(void *ctx,
	bool (*ask)(void *ctx, int sock, int fd, GError **err), GError **err);

#endif
