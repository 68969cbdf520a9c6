/*
 * stat.c - what a machine is made of and what it counts.
 */
#include <string.h>

#include "block/meter.h"
#include "vmm/priv.h"

void stat_info(struct machine *m, GString *out)
{
	g_string_append_printf(out,
		"machine %s: engine %s (%s), %u processors %s, %" PRIu64
		" MiB, up %.1f s, %u resets\n",
		m->conf->name, m->engine->name, m->engine_why, m->ncpus,
		m->model.name, memory_bytes(m) >> 20,
		(double)bus_clock_ns(m->bus) / 1e9, m->resets);
	bus_lock(m->bus);
	for (unsigned i = 0; i < m->board.ndevs; i++) {
		struct dev *d = m->board.dev[i];
		char text[256] = "";

		if (d->cls->describe)
			d->cls->describe(d, text, sizeof(text));
		g_string_append_printf(
			out, "%-9s %-15s %s\n", d->id, d->cls->name, text);
	}
	bus_unlock(m->bus);
}

static void stat_list(GString *out, const char *who, const struct cpu_stats *s)
{
	for (unsigned i = 0; i < MIN(s->n, s->room); i++)
		g_string_append_printf(out, "%s.%s.%s %" PRIu64 "\n", who,
			s->list[i].group, s->list[i].name, s->list[i].value);
}

void stat_print(struct machine *m, GString *out)
{
	g_autofree struct cpu_stat *list =
		g_new(struct cpu_stat, CPU_STATS_MAX);
	struct cpu_stats s = {list, CPU_STATS_MAX, 0};
	char who[16];

	if (m->engine->vm_stats) {
		m->engine->vm_stats(m->vm, &s);
		stat_list(out, "vm", &s);
	}
	for (unsigned i = 0; i < m->ncpus; i++) {
		s.n = 0;
		m->engine->stats(m->run.vcpu[i].cpu, &s);
		g_snprintf(who, sizeof(who), "cpu%u", i);
		stat_list(out, who, &s);
	}
}

static void stat_add(JsonObject *o, const struct cpu_stats *s)
{
	for (unsigned i = 0; i < MIN(s->n, s->room); i++) {
		g_autofree char *key = g_strdup_printf(
			"%s.%s", s->list[i].group, s->list[i].name);
		JsonNode *was = json_object_get_member(o, key);
		uint64_t v = s->list[i].value;

		if (was)
			v += (uint64_t)json_node_get_int(was);
		if (v)
			json_object_set_int_member(o, key, (gint64)v);
	}
}

static void stat_put(
	JsonObject *o, const char *drive, const char *name, uint64_t v)
{
	g_autofree char *key = g_strdup_printf("%s.%s", drive, name);

	if (v)
		json_object_set_int_member(o, key, (gint64)v);
}

static void stat_drives(struct machine *m, JsonObject *o)
{
	static const char *const names[METER_NWHAT][3] = {
		{"reads", "read_bytes", "read_ns"},
		{"writes", "write_bytes", "write_ns"},
		{"discards", "discard_bytes", "discard_ns"},
		{"flushes", NULL, "flush_ns"}};

	for (unsigned i = 0; i < m->board.ndrives; i++) {
		const struct board_drive *d = &m->board.drive[i];
		struct meter_stat s;

		if (!d->blk)
			continue;
		meter_stat(d->blk, &s);
		for (unsigned k = 0; k < METER_NWHAT; k++) {
			const struct meter_count *c = &s.count[k];

			stat_put(o, d->name, names[k][0], c->requests);
			if (names[k][1])
				stat_put(o, d->name, names[k][1], c->bytes);
			stat_put(o, d->name, names[k][2], c->ns);
		}
		stat_put(o, d->name, "held_ns", s.held_ns);
	}
}

/* Of what comes and goes. */
static void stat_memory(struct machine *m, JsonObject *o)
{
	if (!m->board.mem)
		return;
	bus_lock(m->bus);
	stat_put(o, "memory", "asked_bytes", virtio_mem_asked(m->board.mem));
	stat_put(
		o, "memory", "plugged_bytes", virtio_mem_plugged(m->board.mem));
	bus_unlock(m->bus);
}

JsonObject *stat_json(struct machine *m, int cpu)
{
	g_autofree struct cpu_stat *list =
		g_new(struct cpu_stat, CPU_STATS_MAX);
	struct cpu_stats s = {list, CPU_STATS_MAX, 0};
	JsonObject *o = json_object_new();

	if (m->engine->vm_stats) {
		m->engine->vm_stats(m->vm, &s);
		stat_add(o, &s);
	}
	if (cpu < 0) {
		stat_drives(m, o);
		stat_memory(m, o);
	}
	for (unsigned i = 0; i < m->ncpus; i++) {
		if (cpu >= 0 && i != (unsigned)cpu)
			continue;
		s.n = 0;
		m->engine->stats(m->run.vcpu[i].cpu, &s);
		stat_add(o, &s);
	}
	return o;
}

void stat_registers(struct machine *m, GString *out)
{
	g_autofree struct x86_state *s = g_new0(struct x86_state, m->ncpus);
	char text[2048];

	if (m->ended)
		return;
	runloop_look(m, s);
	for (unsigned i = 0; i < m->ncpus; i++) {
		x86_state_print(&s[i], text, sizeof(text));
		g_string_append_printf(out, "cpu %u events %x\n%s", i,
			atomic_load(&bus_cpu_at(m->bus, i)->events), text);
	}
}
