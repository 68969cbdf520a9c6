/*
 * doctor.c - `vmeste doctor`: checks with what to do about them.
 *
 * The client links no engine; vmeste-vm --doctor measures them and prints
 * {"engines": [{name, usable, mips, why, fix}], "auto": name, "why": text}.
 */
#include <stdio.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "cli/checks.h"
#include "cli/spawn.h"
#include "cli/verb.h"
#include "conf/error.h"
#include "conf/parse.h"

enum doctor_output {
	DOCTOR_TABLE,
	DOCTOR_JSON,
};

struct doctor {
	int output;
};

static bool set_output(void *ctx, const char *v, GError **err)
{
	static const char *const words[] = {"table", "json", NULL};
	static const struct conf_word_list list = {"output format", words};

	return conf_parse_word(v, &list, &((struct doctor *)ctx)->output, err);
}

const struct cli_flag cli_doctor_flags[] = {
	{"output", 'o', "FORMAT", "table (default) or json", "table json",
		set_output},
	{NULL},
};

void *cli_doctor_new(void)
{
	return g_new0(struct doctor, 1);
}

/* Runs vmeste-vm --doctor; false and a check of its own if that fails. */
static bool ask_engines(GPtrArray *list)
{
	g_autoptr(GError) err = NULL;
	g_autofree char *vm = cli_spawn_find("vmeste-vm", &err), *out = NULL;
	char *argv[] = {vm, (char *)(uintptr_t) "--doctor", NULL};
	g_autoptr(JsonNode) node = NULL;
	int ws = 0;

	if (vm &&
		g_spawn_sync(NULL, argv, NULL, G_SPAWN_STDERR_TO_DEV_NULL, NULL,
			NULL, &out, NULL, &ws, &err) &&
		g_spawn_check_wait_status(ws, &err))
		node = json_from_string(out, &err);
	if (!node || !JSON_NODE_HOLDS_OBJECT(node)) {
		cli_check_add(list, "engines", CHECK_BAD,
			"build or install vmeste again",
			"vmeste-vm does not answer: %s",
			err ? err->message : "no report");
		return false;
	}
	cli_checks_engines(list, json_node_get_object(node));
	return true;
}

static void print_table(GPtrArray *list)
{
	static const char *const marks[] = {
		[CHECK_OK] = "✓", [CHECK_NOTE] = "✗", [CHECK_BAD] = "✗"};
	static const char *const colours[] = {[CHECK_OK] = "\033[32m",
		[CHECK_NOTE] = "\033[33m",
		[CHECK_BAD] = "\033[31m"};
	bool colour = isatty(1) && !g_getenv("NO_COLOR");

	for (guint i = 0; i < list->len; i++) {
		const struct check *c = g_ptr_array_index(list, i);

		printf("%s%s%s %-14s %s\n", colour ? colours[c->state] : "",
			marks[c->state], colour ? "\033[0m" : "", c->name,
			c->text);
		if (c->fix)
			printf("  %-14s fix: %s\n", "", c->fix);
	}
}

static void print_json(GPtrArray *list)
{
	static const char *const states[] = {
		[CHECK_OK] = "ok", [CHECK_NOTE] = "note", [CHECK_BAD] = "bad"};
	g_autoptr(JsonNode) node = json_node_new(JSON_NODE_OBJECT);
	g_autofree char *text = NULL;
	JsonObject *o = json_object_new();
	JsonArray *a = json_array_new();

	for (guint i = 0; i < list->len; i++) {
		const struct check *c = g_ptr_array_index(list, i);
		JsonObject *j = json_object_new();

		json_object_set_string_member(j, "name", c->name);
		json_object_set_string_member(j, "state", states[c->state]);
		json_object_set_string_member(j, "text", c->text);
		if (c->fix)
			json_object_set_string_member(j, "fix", c->fix);
		json_array_add_object_element(a, j);
	}
	json_object_set_array_member(o, "checks", a);
	json_node_take_object(node, o);
	text = json_to_string(node, TRUE);
	puts(text);
}

int cli_doctor(void *ctx, GError **err)
{
	g_autoptr(GPtrArray) list = cli_checks_host();
	bool bad = false;

	ask_engines(list);
	for (guint i = 0; i < list->len; i++) {
		const struct check *c = g_ptr_array_index(list, i);

		bad |= c->state == CHECK_BAD;
	}
	if (((struct doctor *)ctx)->output == DOCTOR_JSON)
		print_json(list);
	else
		print_table(list);
	if (!bad)
		return 0;
	if (((struct doctor *)ctx)->output == DOCTOR_TABLE)
		puts("Machines cannot run here yet: see the fixes above.");
	return CONF_ERROR_FAILED;
}
