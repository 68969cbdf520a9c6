/*
 * source.c - libslirp's descriptors and timers as a source of a main loop.
 *
 * libslirp names its descriptors anew before every sleep.  The poll entries
 * live in one array which stays registered with the loop as long as the n-th
 * descriptor is the same as last time, which is nearly always.
 *
 * A vCPU thread that feeds a frame may open a socket or give one something to
 * wait for while the loop sleeps with the old set: net_source_wake.
 */
#include "net/source.h"

#include <stdatomic.h>

/* libslirp bounds its sockets by the process's descriptors; this bounds us. */
#define NET_SOURCE_MAX_FDS 4096

struct net_timer {
	struct net_source *source;
	SlirpTimerId id;
	void *cb_opaque;
	int64_t expire_ms; /* -1 = not armed */
};

struct net_source {
	GSource base;
	Slirp *slirp;
	void (*lock)(void *);
	void (*unlock)(void *);
	void *lock_opaque;
	void (*idle)(void *);
	void *idle_opaque;
	GPtrArray *fds; /* of GPollFD, registered up to nregistered */
	unsigned nfds;	/* named for this sleep */
	unsigned nregistered;
	GPtrArray *timers; /* of struct net_timer */
	uint32_t timeout_ms;
	atomic_bool sleeping;
};

static int64_t net_source_now_ms(void)
{
	return g_get_monotonic_time() / 1000;
}

static const struct {
	int slirp;
	GIOCondition glib;
} net_source_events[] = {
	{SLIRP_POLL_IN, G_IO_IN},
	{SLIRP_POLL_OUT, G_IO_OUT},
	{SLIRP_POLL_PRI, G_IO_PRI},
	{SLIRP_POLL_ERR, G_IO_ERR},
	{SLIRP_POLL_HUP, G_IO_HUP},
};

static int net_source_add_poll(int fd, int events, void *opaque)
{
	struct net_source *s = opaque;
	GPollFD *p;

	if (s->nfds == NET_SOURCE_MAX_FDS)
		return -1;
	if (s->nfds == s->fds->len)
		g_ptr_array_add(s->fds, g_new0(GPollFD, 1));
	p = g_ptr_array_index(s->fds, s->nfds);
	if (s->nfds < s->nregistered && p->fd != fd) {
		g_source_remove_poll(&s->base, p);
		p->fd = fd;
		g_source_add_poll(&s->base, p);
	} else if (s->nfds >= s->nregistered) {
		p->fd = fd;
		g_source_add_poll(&s->base, p);
		s->nregistered++;
	}
	p->events = 0;
	p->revents = 0;
	for (unsigned i = 0; i < G_N_ELEMENTS(net_source_events); i++)
		if (events & net_source_events[i].slirp)
			p->events |= net_source_events[i].glib;
	return s->nfds++;
}

static int net_source_revents(int idx, void *opaque)
{
	struct net_source *s = opaque;
	const GPollFD *p;
	int ev = 0;

	if (idx < 0 || (unsigned)idx >= s->nfds)
		return 0;
	p = g_ptr_array_index(s->fds, idx);
	for (unsigned i = 0; i < G_N_ELEMENTS(net_source_events); i++)
		if (p->revents & net_source_events[i].glib)
			ev |= net_source_events[i].slirp;
	return ev;
}

static void net_source_timer_wait(struct net_source *s, uint32_t *timeout)
{
	int64_t now = net_source_now_ms();

	for (unsigned i = 0; i < s->timers->len; i++) {
		const struct net_timer *t = g_ptr_array_index(s->timers, i);

		if (t->expire_ms >= 0 && t->expire_ms - now < *timeout)
			*timeout = MAX(t->expire_ms - now, 0);
	}
}

static gboolean net_source_prepare(GSource *g, int *timeout)
{
	struct net_source *s = (struct net_source *)g;
	uint32_t ms = G_MAXINT;

	*timeout = -1;
	if (!s->slirp)
		return FALSE;
	s->lock(s->lock_opaque);
	s->nfds = 0;
	slirp_pollfds_fill(s->slirp, &ms, net_source_add_poll, s);
	while (s->nregistered > s->nfds)
		g_source_remove_poll(
			g, g_ptr_array_index(s->fds, --s->nregistered));
	net_source_timer_wait(s, &ms);
	s->timeout_ms = ms;
	atomic_store(&s->sleeping, true);
	s->unlock(s->lock_opaque);
	if (ms < G_MAXINT)
		*timeout = ms;
	return FALSE;
}

static gboolean net_source_check(GSource *g)
{
	struct net_source *s = (struct net_source *)g;
	bool due = s->timeout_ms < G_MAXINT;

	atomic_store(&s->sleeping, false);
	for (unsigned i = 0; i < s->nfds && !due; i++)
		due = ((GPollFD *)g_ptr_array_index(s->fds, i))->revents;
	return s->slirp && due;
}

static void net_source_run_timers(struct net_source *s)
{
	int64_t now = net_source_now_ms();

	for (unsigned i = 0; i < s->timers->len; i++) {
		struct net_timer *t = g_ptr_array_index(s->timers, i);

		if (t->expire_ms < 0 || t->expire_ms > now)
			continue;
		t->expire_ms = -1;
		slirp_handle_timer(s->slirp, t->id, t->cb_opaque);
	}
}

static gboolean net_source_dispatch(GSource *g, GSourceFunc fn, void *data)
{
	struct net_source *s = (struct net_source *)g;

	s->lock(s->lock_opaque);
	slirp_pollfds_poll(s->slirp, 0, net_source_revents, s);
	net_source_run_timers(s);
	if (s->idle)
		s->idle(s->idle_opaque);
	s->unlock(s->lock_opaque);
	return G_SOURCE_CONTINUE;
}

static void net_source_finalize(GSource *g)
{
	struct net_source *s = (struct net_source *)g;

	g_ptr_array_free(s->fds, TRUE);
	g_ptr_array_free(s->timers, TRUE);
}

static GSourceFuncs net_source_funcs = {
	.prepare = net_source_prepare,
	.check = net_source_check,
	.dispatch = net_source_dispatch,
	.finalize = net_source_finalize,
};

struct net_source *net_source_new(GMainContext *loop, void (*lock)(void *),
	void (*unlock)(void *), void *lock_opaque)
{
	GSource *g = g_source_new(&net_source_funcs, sizeof(struct net_source));
	struct net_source *s = (struct net_source *)g;

	s->lock = lock;
	s->unlock = unlock;
	s->lock_opaque = lock_opaque;
	s->fds = g_ptr_array_new_with_free_func(g_free);
	s->timers = g_ptr_array_new();
	g_source_set_name(g, "net-user");
	g_source_attach(g, loop);
	return s;
}

void net_source_set_slirp(struct net_source *s, Slirp *slirp)
{
	s->slirp = slirp;
}

void net_source_on_idle(
	struct net_source *s, void (*idle)(void *), void *opaque)
{
	s->idle = idle;
	s->idle_opaque = opaque;
}

void net_source_free(struct net_source *s)
{
	g_source_destroy(&s->base);
	g_source_unref(&s->base);
}

void net_source_wake(struct net_source *s)
{
	if (atomic_exchange(&s->sleeping, false))
		g_main_context_wakeup(g_source_get_context(&s->base));
}

struct net_timer *net_timer_new(
	struct net_source *s, SlirpTimerId id, void *cb_opaque)
{
	struct net_timer *t = g_new0(struct net_timer, 1);

	t->source = s;
	t->id = id;
	t->cb_opaque = cb_opaque;
	t->expire_ms = -1;
	g_ptr_array_add(s->timers, t);
	return t;
}

void net_timer_mod(struct net_timer *t, int64_t expire_ms)
{
	t->expire_ms = MAX(expire_ms, 0);
	net_source_wake(t->source);
}

void net_timer_free(struct net_timer *t)
{
	g_ptr_array_remove(t->source->timers, t);
	g_free(t);
}
