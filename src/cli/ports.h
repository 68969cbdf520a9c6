/*
 * ports.h - may the host ports that a machine forwards be used?
 */
#ifndef CLI_PORTS_H
#define CLI_PORTS_H

#include "conf/machine.h"

/* Tries each and lets go again: tells the user early and exactly; the
 * machine's process binds them for good. */
bool cli_ports_check(const struct conf_machine *m, GError **err);

#endif
