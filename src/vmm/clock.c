/*
 * clock.c - the guest's clock catches up with the time that it was away.
 *
 * A jump over hours would be right, but guests do not bear it: their counters
 * wrap, and what watches for stalls bites.  So time goes on in steps, each a
 * moment after the one before, a hundred to a thousand times as fast as it
 * should until nothing is missing.
 */
#include "vmm/priv.h"

#define STEP_MS	    15
#define STEPS	    300
#define MIN_STEP_NS 2000000000ull  /* half a turn of the shortest counter */
#define MAX_STEP_NS 15000000000ull /* less than what looks like a stall */

struct catch_up {
	GSource *source;
	uint64_t owed_ns, step_ns;
};

/* Processors and time stand. */
static void clock_skip(struct machine *m, uint64_t ns)
{
	uint64_t ticks = (uint64_t)((double)ns * 1e-9 * (double)m->tsc_hz);

	bus_clock_move(m->bus, bus_clock_ns(m->bus) + ns, ticks);
}

static void clock_step(struct machine *m)
{
	struct catch_up *c = m->catch_up;
	uint64_t ns = MIN(c->step_ns, c->owed_ns);

	runloop_pause(m);
	bus_lock(m->bus);
	bus_clock_pause(m->bus, true);
	clock_skip(m, ns);
	bus_unlock(m->bus);
	c->owed_ns -= ns;
	machine_go(m);
}

static gboolean clock_due(gpointer opaque)
{
	struct machine *m = opaque;

	/* Who stops it to look at a request lets it go. */
	if (!m->ended && !m->holds && !atomic_load(&m->requests))
		clock_step(m);
	if (m->catch_up->owed_ns && !m->ended)
		return G_SOURCE_CONTINUE;
	clock_fini(m);
	return G_SOURCE_REMOVE;
}

void clock_owe(struct machine *m, uint64_t ns)
{
	struct catch_up *c = m->catch_up;

	if (!c) {
		c = m->catch_up = g_new0(struct catch_up, 1);
		c->source = g_timeout_source_new(STEP_MS);
		g_source_set_callback(c->source, clock_due, m, NULL);
		g_source_attach(c->source, m->host.loop);
	}
	c->owed_ns += ns;
	c->step_ns = CLAMP(c->owed_ns / STEPS, MIN_STEP_NS, MAX_STEP_NS);
}

uint64_t clock_owed_ns(const struct machine *m)
{
	return m->catch_up ? m->catch_up->owed_ns : 0;
}

void clock_fini(struct machine *m)
{
	if (!m->catch_up)
		return;
	g_source_destroy(m->catch_up->source);
	g_source_unref(m->catch_up->source);
	g_clear_pointer(&m->catch_up, g_free);
}
