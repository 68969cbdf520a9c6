/*
 * dirty.c - the dirty log of a machine that runs.
 *
 * Processors stand for the moment of each fetch: what they wrote through what
 * they had cached before is in memory by then, and they begin anew after.
 */
#include <string.h>

#include "conf/error.h"
#include "vmm/priv.h"

static uint64_t dirty_do(
	struct machine *m, enum cpu_dirty what, uint64_t *bitmap, int *error)
{
	struct x86_state *look = aligned_alloc(64, m->ncpus * sizeof(*look));
	bool ran = runloop_hold(m, look);
	uint64_t n = 0;

	free(look);
	bus_lock(m->bus);
	*error = m->engine->dirty(m->vm, what);
	if (what == CPU_DIRTY_START && !*error)
		bus_dirty_start(m->bus);
	else if (what == CPU_DIRTY_FETCH)
		n = bus_dirty_fetch(m->bus, bitmap);
	else
		bus_dirty_stop(m->bus);
	m->dirty_log = what != CPU_DIRTY_STOP && !*error;
	bus_unlock(m->bus);
	if (ran)
		runloop_go(m);
	return n;
}

bool machine_dirty_start(struct machine *m, GError **err)
{
	int e;

	dirty_do(m, CPU_DIRTY_START, NULL, &e);
	if (e < 0)
		conf_error_set(err, CONF_ERROR_UNSUPPORTED, g_strerror(-e),
			NULL, "the engine %s has no dirty log",
			m->engine->name);
	return e == 0;
}

uint64_t machine_dirty_fetch(struct machine *m, uint64_t *bitmap)
{
	int ignored;

	return dirty_do(m, CPU_DIRTY_FETCH, bitmap, &ignored);
}

void machine_dirty_stop(struct machine *m)
{
	int ignored;

	dirty_do(m, CPU_DIRTY_STOP, NULL, &ignored);
}
