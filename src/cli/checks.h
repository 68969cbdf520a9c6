/*
 * checks.h - what `vmeste doctor` looks at.
 */
#ifndef CLI_CHECKS_H
#define CLI_CHECKS_H

#include <glib.h>
#include <json-glib/json-glib.h>

enum check_state {
	CHECK_OK,
	CHECK_NOTE, /* something is missing, machines run all the same */
	CHECK_BAD,  /* machines cannot run */
};

struct check {
	const char *name;
	enum check_state state;
	char *text; /* one line */
	char *fix;  /* or NULL */
};

/* All checks of the host (struct check), the client's own ones. */
GPtrArray *cli_checks_host(void);

/* Turn the report of `vmeste-vm --doctor` into checks. */
void cli_checks_engines(GPtrArray *list, JsonObject *report);

struct check *cli_check_add(GPtrArray *list, const char *name,
	enum check_state state, const char *fix, const char *format, ...)
	G_GNUC_PRINTF(5, 6);

#endif
