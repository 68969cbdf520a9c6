/*
 * loop.c - the control loop's own sources: timers of the bus and a doorbell
 * by which other threads ask for something.
 */
#include <glib-unix.h>

#include "vmm/priv.h"

static gboolean timers_due(gint fd, GIOCondition cond, gpointer opaque)
{
	struct machine *m = opaque;

	bus_timers_run(m->bus);
	return G_SOURCE_CONTINUE;
}

static gboolean doorbell_rung(gpointer opaque)
{
	struct machine *m = opaque;

	g_source_set_ready_time(m->doorbell, -1);
	machine_serve(m, atomic_exchange(&m->requests, 0));
	return G_SOURCE_CONTINUE;
}

static gboolean doorbell_dispatch(GSource *s, GSourceFunc fn, gpointer opaque)
{
	return fn(opaque);
}

static GSourceFuncs doorbell_funcs = {.dispatch = doorbell_dispatch};

void loop_post(struct machine *m, unsigned requests)
{
	atomic_fetch_or(&m->requests, requests);
	g_source_set_ready_time(m->doorbell, 0);
}

static void watchdog_fired(struct machine *m)
{
	static const unsigned request[] = {
		[CONF_WATCHDOG_RESET] = REQ_RESET,
		[CONF_WATCHDOG_POWEROFF] = REQ_POWEROFF,
		[CONF_WATCHDOG_PAUSE] = REQ_PAUSE,
		[CONF_WATCHDOG_NMI] = REQ_NMI,
		[CONF_WATCHDOG_NOTHING] = 0,
	};

	if (m->conf->watchdog_action != CONF_WATCHDOG_NMI &&
		m->conf->watchdog_action != CONF_WATCHDOG_NOTHING)
		runloop_halt_soon(m);
	loop_post(m, REQ_WATCHDOG | request[m->conf->watchdog_action]);
}

/* A device wants something of the whole machine: the processors stop where
 * they are, the rest happens on the loop. */
static void bus_asks(void *opaque, enum bus_request r)
{
	struct machine *m = opaque;

	switch (r) {
	case BUS_REQ_RESET:
		runloop_halt_soon(m);
		loop_post(m, REQ_RESET);
		break;
	case BUS_REQ_POWEROFF:
		runloop_halt_soon(m);
		loop_post(m, REQ_POWEROFF);
		break;
	case BUS_REQ_WAKEUP: break; /* never sleeps */
	case BUS_REQ_WATCHDOG: watchdog_fired(m); break;
	}
}

bool loop_init(struct machine *m, GError **err)
{
	m->timers = g_unix_fd_source_new(bus_timers_fd(m->bus), G_IO_IN);
	g_source_set_priority(m->timers, G_PRIORITY_HIGH);
	/* It does not; but otherwise GLib takes the descriptor out of the loop
	 * for each dispatch, and wakes the loop twice. */
	g_source_set_can_recurse(m->timers, TRUE);
	g_source_set_callback(m->timers, G_SOURCE_FUNC(timers_due), m, NULL);
	g_source_attach(m->timers, m->host.loop);
	m->doorbell = g_source_new(&doorbell_funcs, sizeof(GSource));
	g_source_set_callback(m->doorbell, doorbell_rung, m, NULL);
	g_source_attach(m->doorbell, m->host.loop);
	bus_request_handler(m->bus, bus_asks, m);
	return true;
}

void loop_fini(struct machine *m)
{
	GSource **sources[] = {&m->timers, &m->doorbell};

	for (unsigned i = 0; i < G_N_ELEMENTS(sources); i++) {
		if (!*sources[i])
			continue;
		g_source_destroy(*sources[i]);
		g_source_unref(*sources[i]);
		*sources[i] = NULL;
	}
}
