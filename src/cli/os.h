/*
 * os.h - profiles of guest systems: one by its id, or all of them shown.
 */
#ifndef CLI_OS_H
#define CLI_OS_H

#include "conf/os.h"

/* NULL and *err, which names the nearest. */
const struct conf_os *cli_os_find(const char *id, GError **err);

/* `vmeste help os`: a table, or JSON. */
void cli_os_print(bool json);

#endif
