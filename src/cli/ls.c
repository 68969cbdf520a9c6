/*
 * ls.c - `vmeste ls`: the machines that run.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/balloon.h"
#include "cli/control.h"
#include "cli/memory.h"
#include "cli/stored.h"
#include "cli/verb.h"
#include "conf/error.h"
#include "node/folder.h"

#define ANSWER_MS 2000

enum ls_output {
	LS_TABLE,
	LS_JSON,
	LS_NAME,
};

struct ls {
	int output;
};

static bool set_output(void *ctx, const char *v, GError **err)
{
	static const char *const words[] = {"table", "json", "name", NULL};
	static const struct conf_word_list list = {"output format", words};

	return conf_parse_word(v, &list, &((struct ls *)ctx)->output, err);
}

const struct cli_flag cli_ls_flags[] = {
	{"output", 'o', "FORMAT", "table (default), json or name",
		"table json name", set_output},
	{NULL},
};

void *cli_ls_new(void)
{
	return g_new0(struct ls, 1);
}

/* What the machine says of itself; only its name if it says nothing. */
static JsonObject *ls_ask(const char *name)
{
	JsonObject *o = json_object_new();
	g_autoptr(wire_msg_auto) m = NULL;
	int sock = cli_control_try(name, "status", ANSWER_MS, &m);
	const char *state = m ? wire_msg_string(m, "state") : NULL;
	const char *engine = m ? wire_msg_string(m, "engine") : NULL;
	const char *genid = m ? wire_msg_string(m, "genid") : NULL;
	JsonObject *balloon = m ? cli_balloon_of(m->body) : NULL;
	pid_t pid = sock < 0 ? 0 : node_pid(name);

	if (!pid && sock >= 0)
		pid = cli_control_pid(sock); /* transient */

	json_object_set_string_member(o, "name", name);
	json_object_set_string_member(o, "state", state ? state : "silent");
	json_object_set_string_member(o, "engine", engine ? engine : "-");
	json_object_set_int_member(
		o, "cpus", m ? wire_msg_int(m, "cpus", 0) : 0);
	cli_memory_list(o, m, NULL);
	json_object_set_int_member(
		o, "uptime_ns", m ? wire_msg_int(m, "uptime_ns", 0) : 0);
	json_object_set_int_member(o, "pid", pid);
	json_object_set_string_member(o, "genid", genid ? genid : "");
	if (balloon)
		json_object_set_object_member(
			o, "balloon", json_object_ref(balloon));
	if (sock >= 0)
		close(sock);
	return o;
}

/* One that does not run, from its settings. */
static JsonObject *ls_stored(const char *name)
{
	JsonObject *o = json_object_new();
	void *run = cli_run_new();
	const struct conf_machine *m = cli_run_machine(run);
	bool ok = cli_run_stored(run, name, NULL, NULL);

	json_object_set_string_member(o, "name", name);
	json_object_set_string_member(
		o, "state", ok ? cli_stored_state(name) : "broken");
	json_object_set_string_member(o, "engine", "-");
	json_object_set_int_member(o, "cpus", ok ? conf_machine_ncpus(m) : 0);
	cli_memory_list(o, NULL, ok ? m : NULL);
	json_object_set_int_member(o, "uptime_ns", 0);
	json_object_set_int_member(o, "pid", 0);
	json_object_set_string_member(o, "genid", "");
	cli_run_free(run);
	return o;
}

/* Those that run, and those that have a folder. */
static GPtrArray *ls_names(GHashTable **running, GError **err)
{
	GPtrArray *names = cli_control_names(err);
	g_autoptr(GPtrArray) stored = names ? node_names(err) : NULL;

	if (!stored)
		return NULL;
	*running = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	for (guint i = 0; i < names->len; i++)
		g_hash_table_add(
			*running, g_strdup(g_ptr_array_index(names, i)));
	for (guint i = 0; i < stored->len; i++) {
		const char *name = g_ptr_array_index(stored, i);

		if (!g_hash_table_contains(*running, name))
			g_ptr_array_add(names, g_strdup(name));
	}
	node_sort_names(names);
	return names;
}

static void ls_row(JsonObject *o)
{
	gint64 s = json_object_get_int_member(o, "uptime_ns") / 1000000000;
	g_autofree char *mem = conf_format_size(
		(uint64_t)json_object_get_int_member(o, "mem_bytes"));
	g_autofree char *up = g_strdup_printf("%" G_GINT64_FORMAT ":%02d:%02d",
		s / 3600, (int)(s / 60 % 60), (int)(s % 60));

	printf("%-16s %-4s %-9s %4d %7s %-8s %9s %7d\n",
		json_object_get_string_member(o, "name"), "vm",
		json_object_get_string_member(o, "state"),
		(int)json_object_get_int_member(o, "cpus"), mem,
		json_object_get_string_member(o, "engine"), up,
		(int)json_object_get_int_member(o, "pid"));
}

static void ls_json(JsonArray *list)
{
	g_autoptr(JsonNode) node = json_node_new(JSON_NODE_ARRAY);
	g_autofree char *text = NULL;

	json_node_set_array(node, list);
	text = json_to_string(node, TRUE);
	puts(text);
}

int cli_ls(void *ctx, GError **err)
{
	const struct ls *l = ctx;
	g_autoptr(GHashTable) running = NULL;
	g_autoptr(GPtrArray) names = ls_names(&running, err);
	JsonArray *list;

	if (!names)
		return err && *err ? conf_error_status(*err) : 1;
	list = json_array_new();
	for (guint i = 0; i < names->len; i++) {
		const char *name = g_ptr_array_index(names, i);

		if (l->output == LS_NAME)
			puts(name);
		else
			json_array_add_object_element(
				list, g_hash_table_contains(running, name)
					      ? ls_ask(name)
					      : ls_stored(name));
	}
	if (l->output == LS_JSON)
		ls_json(list);
	if (l->output == LS_TABLE)
		printf("%-16s %-4s %-9s %4s %7s %-8s %9s %7s\n", "NAME", "TYPE",
			"STATE", "CPU", "MEM", "ENGINE", "UP", "PID");
	for (guint i = 0; l->output == LS_TABLE && i < names->len; i++)
		ls_row(json_array_get_object_element(list, i));
	json_array_unref(list);
	return 0;
}
