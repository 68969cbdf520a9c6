/*
 * os.c - `vmeste help os`, and --os.
 */
#include "cli/os.h"

#include <stdio.h>

#include "cli/verb.h"
#include "conf/error.h"

const struct conf_os *cli_os_find(const char *id, GError **err)
{
	const struct conf_os *os = conf_os_find(id);
	g_autoptr(GPtrArray) ids = g_ptr_array_new();
	g_autofree char *fix = NULL;
	const char *near;

	if (os)
		return os;
	for (os = conf_os_list; os->id; os++)
		g_ptr_array_add(ids, (char *)(uintptr_t)os->id);
	g_ptr_array_add(ids, NULL);
	near = cli_nearest(id, (const char *const *)ids->pdata);
	fix = near ? g_strdup_printf("did you mean %s? 'vmeste help os' lists "
				     "all",
			     near)
		   : g_strdup("'vmeste help os' lists all; 'other' is none "
			      "of them");
	conf_error_set(err, CONF_ERROR_NOT_FOUND, NULL, fix,
		"unknown guest system '%s'", id);
	return NULL;
}

static void print_table(void)
{
	static const char *const keys[] = {
		"mem", "board", "firmware", "disk", "nic", "sound", "rtc"};

	printf("%-20s %-6s %-5s %-8s %-6s %-10s %-5s %-9s  %s\n", "OS", "MEM",
		"BOARD", "FIRMWARE", "DISK", "NIC", "SOUND", "RTC", "NAME");
	for (const struct conf_os *os = conf_os_list; os->id; os++) {
		static const int width[] = {6, 5, 8, 6, 10, 5, 9};

		printf("%-20s ", os->id);
		for (unsigned i = 0; i < G_N_ELEMENTS(keys); i++) {
			g_autofree char *v = conf_os_get(os, keys[i]);

			printf("%-*s ", width[i], v ? v : "-");
		}
		printf(" %s\n", os->name);
	}
}

static JsonNode *os_json(const struct conf_os *os)
{
	JsonNode *node = json_node_new(JSON_NODE_OBJECT);
	JsonObject *o = json_object_new();

	json_object_set_string_member(o, "id", os->id);
	json_object_set_string_member(o, "name", os->name);
	for (unsigned i = 0; conf_os_keys[i]; i++) {
		g_autofree char *v = conf_os_get(os, conf_os_keys[i]);

		if (v)
			json_object_set_string_member(o, conf_os_keys[i], v);
	}
	json_node_take_object(node, o);
	return node;
}

static void print_json(void)
{
	g_autoptr(JsonNode) node = json_node_new(JSON_NODE_ARRAY);
	g_autoptr(JsonGenerator) g = json_generator_new();
	JsonArray *list = json_array_new();
	g_autofree char *text = NULL;

	for (const struct conf_os *os = conf_os_list; os->id; os++)
		json_array_add_element(list, os_json(os));
	json_node_take_array(node, list);
	json_generator_set_pretty(g, TRUE);
	json_generator_set_root(g, node);
	text = json_generator_to_data(g, NULL);
	puts(text);
}

void cli_os_print(bool json)
{
	if (json)
		print_json();
	else
		print_table();
}
