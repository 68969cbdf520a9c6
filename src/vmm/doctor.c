/*
 * doctor.c - what the engines can do on this host, as a report.
 *
 * `vmeste doctor` formats it; the client itself links no engine.
 */
#include "vmm/doctor.h"

#include <stdio.h>
#include <string.h>

#include <glib.h>
#include <json-glib/json-glib.h>

#include "cpu/engine.h"

static JsonObject *report_engine(
	const struct cpu_engine *e, const struct cpu_probe *p)
{
	JsonObject *o = json_object_new();

	json_object_set_string_member(o, "name", e->name);
	json_object_set_boolean_member(o, "usable", p->usable);
	json_object_set_double_member(o, "mips", p->mips);
	json_object_set_string_member(o, "why", p->why);
	json_object_set_string_member(o, "fix", p->fix);
	return o;
}

int vmm_doctor(void)
{
	g_autoptr(JsonNode) node = json_node_new(JSON_NODE_OBJECT);
	JsonObject *o = json_object_new();
	JsonArray *a = json_array_new();
	struct cpu_probe p, kvm = {0}, bt = {0};
	const struct cpu_engine *chosen;
	char why[512] = "";

	for (const struct cpu_engine *const *e = cpu_engines; *e; e++) {
		memset(&p, 0, sizeof(p));
		(*e)->probe(&p);
		if (*e == &cpu_kvm)
			kvm = p;
		else if (*e == &cpu_bt)
			bt = p;
		json_array_add_object_element(a, report_engine(*e, &p));
	}
	chosen = cpu_engine_choose(&kvm, &bt, why, sizeof(why));
	json_object_set_array_member(o, "engines", a);
	json_object_set_string_member(o, "auto", chosen->name);
	json_object_set_string_member(o, "why", why);
	json_node_take_object(node, o);
	g_autofree char *text = json_to_string(node, TRUE);
	return puts(text) < 0 || fflush(stdout);
}
