/*
 * balloon.h - what a machine says of its balloon and its guest's memory
 * (docs/control.md), for people.
 */
#ifndef CLI_BALLOON_H
#define CLI_BALLOON_H

#include <json-glib/json-glib.h>

/* Of an answer to "status"; NULL: it has none. */
JsonObject *cli_balloon_of(JsonObject *status);
/* Lines of two columns, the first so wide, of such an answer with one. */
void cli_balloon_print(JsonObject *status, int width);
/* Ask the machine until what its guest says is of now, or it says nothing; its
 * answer to "status", to be freed, or NULL. */
struct wire_msg *cli_balloon_ask(const char *name);

#endif
