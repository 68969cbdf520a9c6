/*
 * os.h - profiles of guest systems: hardware that each has drivers for.
 *
 * A profile is a row of "key=value", the keys and values being those of the
 * command line's flags; disk, cdrom and nic say which bus and model drives and
 * cards have that name none.  Beside those, min: memory below which the system
 * does not run.  Profiles set defaults: what the user says counts.
 */
#ifndef CONF_OS_H
#define CONF_OS_H

#include "conf/machine.h"

struct conf_os {
	const char *id, *name;
	const char *family, *more; /* settings; those of more count */
};

extern const struct conf_os conf_os_list[]; /* ends with a NULL id */

/* By its id, or by one of which it is a later point release ("debian12.4").
 * NULL: none. */
const struct conf_os *conf_os_find(const char *id);

/* What the key is set to, where several would do the first one that this
 * program has; NULL: nothing.  Free with g_free. */
char *conf_os_get(const struct conf_os *os, const char *key);

/* The keys, in order, ending with NULL. */
extern const char *const conf_os_keys[];

/* Before anything else is said about the machine: set defaults. */
bool conf_os_apply(
	const struct conf_os *os, struct conf_machine *m, GError **err);
/* After everything: add controllers and cards that the user did not name. */
void conf_os_add(const struct conf_os *os, struct conf_machine *m, bool sound);

#endif
