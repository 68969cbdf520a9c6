/*
 * memory.h - memory that comes and goes, as `set`, `show` and `ls` tell of it.
 */
#ifndef CLI_MEMORY_H
#define CLI_MEMORY_H

#include "conf/machine.h"
#include "node/settings.h"
#include "wire/wire.h"

/* "mem=SIZE" of a machine that runs and was started with room for more. */
bool cli_memory_changes(const char *name, const char *what);
/* What mem=SIZE makes of the setting: a max that it has stays, unless it is
 * stated.  Free with g_free. */
char *cli_memory_keep(const struct node_settings *s, const char *size);

/* A line of `show`, and members; nothing if it does not run or cannot change.
 */
void cli_memory_text(const char *name);
void cli_memory_json(const char *name, JsonObject *o);
/* Members of `ls`: out of the answer to "status", or the settings, or zeros. */
void cli_memory_list(JsonObject *o, const struct wire_msg *status,
	const struct conf_machine *m);

#endif
