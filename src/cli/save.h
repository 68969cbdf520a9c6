/*
 * save.h - the state of a running machine into a file.
 */
#ifndef CLI_SAVE_H
#define CLI_SAVE_H

#include <stdbool.h>
#include <stdint.h>

#include <json-glib/json-glib.h>

struct cli_save_figures {
	uint64_t bytes, ns; /* written, and how long that took */
	uint64_t stood_ns;  /* the machine, meanwhile */
};

void cli_save_say(const struct cli_save_figures *f);
/*
 * Into the empty file fd, while it goes on; returns when all is written.  body:
 * what else the request has (docs/control.md), consumed; more: its
 * descriptors, of which the first is number 2, closed.
 */
bool cli_save_running(int sock, int fd, JsonObject *body, const GArray *more,
	struct cli_save_figures *f, GError **err);

#endif
