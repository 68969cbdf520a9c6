/* priv.h - what the files that parse arguments share. */
#ifndef CONF_PRIV_H
#define CONF_PRIV_H

#include <stdbool.h>

#include "conf/error.h"

/* "bad WHAT 'TEXT'", always false. */
static inline bool bad(
	GError **err, const char *what, const char *text, const char *fix)
{
	conf_error_set(
		err, CONF_ERROR_USAGE, NULL, fix, "bad %s '%s'", what, text);
	return false;
}

#endif
