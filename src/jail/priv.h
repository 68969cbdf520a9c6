/*
 * priv.h - shared by the parts of the jail.
 */
#ifndef JAIL_PRIV_H
#define JAIL_PRIV_H

#include "jail/jail.h"

#define JAIL_SELF "/proc/self/fd"

void jail_note(const struct jail_conf *c, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Each returns whether it holds now. */
bool jail_landlock(const struct jail_conf *c);
/* resolver: opening files for reading is let through (the file system is
 * closed by other means). */
bool jail_seccomp(const struct jail_conf *c, bool resolver);
/* With the folders in it: each has its .seen then, or .errno_. */
bool jail_root(struct jail_conf *c);

#endif
