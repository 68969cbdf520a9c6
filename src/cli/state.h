/*
 * state.h - a machine out of a saved state: `vmeste run --state FILE`.
 */
#ifndef CLI_STATE_H
#define CLI_STATE_H

#include "conf/machine.h"

/*
 * The machine that m->state names, with what flags (all else in *m) say of the
 * host's side instead: name, engine, consoles, display, ports, where disks are.
 * What a guest has seen cannot be changed: NULL and *err.  The file is open in
 * the result.  *named: it had a control socket.  lenient: what cannot be
 * changed is left as the state has it, and files are where *m says.
 */
struct conf_machine *cli_state_machine(
	const struct conf_machine *m, bool lenient, bool *named, GError **err);

/* The same for one that shall go on as another machine: as it was, with
 * nothing open. */
struct conf_machine *cli_state_copy(int fd, GError **err);

#endif
