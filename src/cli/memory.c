/*
 * memory.c - memory that comes and goes while a machine runs.
 */
#include "cli/memory.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/control.h"

#define ANSWER_MS 10000

/* What it has, shall have, may have. */
static const char *const keys[] = {
	"mem_bytes", "mem_asked_bytes", "mem_max_bytes"};

/* NULL: it does not run, or its memory cannot change. */
static struct wire_msg *ask(const char *name)
{
	g_autoptr(wire_msg_auto) m = NULL;
	int sock = cli_control_try(name, "status", ANSWER_MS, &m);

	if (sock >= 0)
		close(sock);
	return m && wire_msg_int(m, "mem_max_bytes", 0) >
				       wire_msg_int(m, "mem_start_bytes", 0)
		       ? g_steal_pointer(&m)
		       : NULL;
}

bool cli_memory_changes(const char *name, const char *what)
{
	g_autoptr(wire_msg_auto) m = NULL;

	if (!g_str_has_prefix(what, "mem=") || !what[4] || strchr(what, ','))
		return false;
	m = ask(name);
	return m != NULL;
}

char *cli_memory_keep(const struct node_settings *s, const char *size)
{
	g_autoptr(GPtrArray) list = node_settings_list(s, NULL);
	const char *max = NULL;

	for (guint i = 0; i < list->len; i++) {
		const struct node_setting *one = g_ptr_array_index(list, i);

		if (!strcmp(one->flag, "mem"))
			max = strstr(one->value, "max=");
	}
	return max && !strchr(size, ',') ? g_strdup_printf("%s,%s", size, max)
					 : g_strdup(size);
}

void cli_memory_text(const char *name)
{
	g_autoptr(wire_msg_auto) m = ask(name);
	g_autofree char *has = NULL, *asked = NULL;

	if (!m)
		return;
	has = conf_format_size((uint64_t)wire_msg_int(m, keys[0], 0));
	asked = conf_format_size((uint64_t)wire_msg_int(m, keys[1], 0));
	printf("%-12s has %s, shall have %s\n", "memory", has, asked);
}

void cli_memory_json(const char *name, JsonObject *o)
{
	g_autoptr(wire_msg_auto) m = ask(name);

	if (m)
		cli_memory_list(o, m, NULL);
}

void cli_memory_list(JsonObject *o, const struct wire_msg *status,
	const struct conf_machine *m)
{
	uint64_t mem = m ? m->mem_bytes : 0;
	uint64_t stored[] = {mem, mem, m ? MAX(mem, m->mem_max_bytes) : 0};

	for (unsigned i = 0; i < G_N_ELEMENTS(keys); i++)
		json_object_set_int_member(o, keys[i],
			status ? wire_msg_int(status, keys[i], 0)
			       : (gint64)stored[i]);
}
