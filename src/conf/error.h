/*
 * error.h - errors that say what, why and how to mend.
 *
 * The code of a CONF_ERROR is the exit status of the program that reports it.
 * The message is one line of what, then optionally "  why:  ..." and
 * "  fix:  ..." lines, so printing "error: " and the message is all that a
 * program does.
 */
#ifndef CONF_ERROR_H
#define CONF_ERROR_H

#include <glib.h>

#define CONF_ERROR (conf_error_quark())

enum conf_error_code {
	CONF_ERROR_FAILED = 1,
	CONF_ERROR_USAGE = 2,
	CONF_ERROR_NOT_FOUND = 3,
	CONF_ERROR_CONFLICT = 4, /* exists already, in use */
	CONF_ERROR_DENIED = 5,
	CONF_ERROR_TIMEOUT = 6,
	CONF_ERROR_PARTIAL = 7,
	CONF_ERROR_UNSUPPORTED = 8,
};

GQuark conf_error_quark(void);

/* why and fix may be NULL.  The format is that of the what line. */
void conf_error_set(GError **err, enum conf_error_code code, const char *why,
	const char *fix, const char *what, ...) G_GNUC_PRINTF(5, 6);

/* From errno: ENOENT -> not found, EACCES/EPERM -> denied, EBUSY/EADDRINUSE/
 * EEXIST -> conflict, else failed; why is the text of the errno. */
void conf_error_set_errno(GError **err, int errnum, const char *fix,
	const char *what, ...) G_GNUC_PRINTF(4, 5);

/* Exit status for any error: its code if it is a CONF_ERROR, else 1. */
int conf_error_status(const GError *err);

#endif
