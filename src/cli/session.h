/*
 * session.h - one run of a machine as its client sees it.
 */
#ifndef CLI_SESSION_H
#define CLI_SESSION_H

#include "conf/machine.h"

/* Starts vmeste-vm with the machine (files open), serves it, waits for its
 * end.  The exit status; *err is set unless the guest powered off. */
int cli_session_run(struct conf_machine *m, GError **err);
/* The same; started is called once, when the guest runs. */
int cli_session_run_with(struct conf_machine *m, void (*started)(void *),
	void *opaque, GError **err);

#endif
