/*
 * source.c - libslirp's descriptors and timers as a source of a main loop.
 *
 * libslirp names its descriptors anew before every sleep.  They lie in an
 * epoll set, changed only where they differ from last time; the loop polls just
 * that.  (Each poll entry added to a GLib loop wakes it: doing that before
 * every sleep would keep it from ever sleeping.)
 *
 * A vCPU thread that feeds a frame may open a socket or give one something to
 * wait for while the loop sleeps with the old set: net_source_wake.
 */
#include "net/source.h"

#include <stdatomic.h>
#include <sys/epoll.h>
#include <unistd.h>

/* libslirp bounds its sockets by the process's descriptors; this bounds us. */
#define NET_SOURCE_MAX_FDS 65536
#define NET_SOURCE_BATCH   64

struct net_timer {
	struct net_source *source;
	SlirpTimerId id;
	void *cb_opaque;
	int64_t expire_ms; /* -1 = not armed */
};

/* What is known of one descriptor, by its number. */
struct net_fd {
	int idx;	/* libslirp's, valid in its round */
	unsigned round; /* named last in */
	uint32_t set;	/* events registered with epoll, 0 = not */
	uint32_t got;	/* events that epoll reported */
};

struct net_source {
	GSource base;
	Slirp *slirp;
	void (*lock)(void *);
	void (*unlock)(void *);
	void *lock_opaque;
	void (*idle)(void *);
	void *idle_opaque;
	GPollFD epoll;
	GArray *fd;	      /* of struct net_fd */
	GArray *now, *before; /* int: descriptors named in this, last round */
	unsigned round;
	GPtrArray *timers; /* of struct net_timer */
	int64_t due_ms;	   /* G_MAXINT64: nothing is to be done */
	atomic_bool sleeping;
};

static int64_t net_source_now_ms(void)
{
	return g_get_monotonic_time() / 1000;
}

static const struct {
	int slirp;
	uint32_t epoll;
} net_source_events[] = {
	{SLIRP_POLL_IN, EPOLLIN},
	{SLIRP_POLL_OUT, EPOLLOUT},
	{SLIRP_POLL_PRI, EPOLLPRI},
	{SLIRP_POLL_ERR, EPOLLERR},
	{SLIRP_POLL_HUP, EPOLLHUP},
};

static struct net_fd *net_source_fd(struct net_source *s, int fd)
{
	if (fd < 0 || fd >= NET_SOURCE_MAX_FDS)
		return NULL;
	if ((unsigned)fd >= s->fd->len)
		g_array_set_size(s->fd, fd + 1);
	return &g_array_index(s->fd, struct net_fd, fd);
}

/* The kernel forgets a descriptor that is closed; its number may come back. */
static void net_source_set(
	struct net_source *s, int fd, struct net_fd *f, uint32_t events)
{
	struct epoll_event e = {.events = events, .data.fd = fd};

	if (f->set == events)
		return;
	if (!events)
		epoll_ctl(s->epoll.fd, EPOLL_CTL_DEL, fd, NULL);
	else if (epoll_ctl(s->epoll.fd, EPOLL_CTL_ADD, fd, &e))
		epoll_ctl(s->epoll.fd, EPOLL_CTL_MOD, fd, &e);
	f->set = events;
}

void net_source_forget(struct net_source *s, int fd)
{
	struct net_fd *f = net_source_fd(s, fd);

	if (f && f->set)
		net_source_set(s, fd, f, 0);
}

static int net_source_add_poll(int fd, int events, void *opaque)
{
	struct net_source *s = opaque;
	struct net_fd *f = net_source_fd(s, fd);
	uint32_t want = 0;

	if (!f)
		return -1;
	for (unsigned i = 0; i < G_N_ELEMENTS(net_source_events); i++)
		if (events & net_source_events[i].slirp)
			want |= net_source_events[i].epoll;
	net_source_set(s, fd, f, want);
	f->idx = s->now->len;
	f->round = s->round;
	f->got = 0;
	g_array_append_val(s->now, fd);
	return f->idx;
}

static int net_source_revents(int idx, void *opaque)
{
	struct net_source *s = opaque;
	const struct net_fd *f;
	int ev = 0;

	if (idx < 0 || (unsigned)idx >= s->now->len)
		return 0;
	f = net_source_fd(s, g_array_index(s->now, int, idx));
	for (unsigned i = 0; i < G_N_ELEMENTS(net_source_events); i++)
		if (f->got & net_source_events[i].epoll)
			ev |= net_source_events[i].slirp;
	return ev;
}

/* Ask libslirp for its descriptors, and let go of those it names no more. */
static void net_source_fill(struct net_source *s, uint32_t *ms)
{
	GArray *old = s->now;

	s->now = s->before;
	s->before = old;
	g_array_set_size(s->now, 0);
	s->round++;
	slirp_pollfds_fill(s->slirp, ms, net_source_add_poll, s);
	for (unsigned i = 0; i < old->len; i++) {
		int fd = g_array_index(old, int, i);
		struct net_fd *f = net_source_fd(s, fd);

		if (f->round != s->round)
			net_source_set(s, fd, f, 0);
	}
}

static void net_source_collect(struct net_source *s)
{
	struct epoll_event e[NET_SOURCE_BATCH];
	int n = epoll_wait(s->epoll.fd, e, NET_SOURCE_BATCH, 0);

	for (int i = 0; i < n; i++)
		net_source_fd(s, e[i].data.fd)->got = e[i].events;
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
	net_source_fill(s, &ms);
	net_source_timer_wait(s, &ms);
	s->due_ms = ms < G_MAXINT ? net_source_now_ms() + ms : G_MAXINT64;
	atomic_store(&s->sleeping, true);
	s->unlock(s->lock_opaque);
	if (ms < G_MAXINT)
		*timeout = ms;
	return FALSE;
}

static gboolean net_source_check(GSource *g)
{
	struct net_source *s = (struct net_source *)g;
	bool due = s->epoll.revents || s->due_ms <= net_source_now_ms();

	atomic_store(&s->sleeping, false);
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
	net_source_collect(s);
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

	g_array_free(s->fd, TRUE);
	g_array_free(s->now, TRUE);
	g_array_free(s->before, TRUE);
	close(s->epoll.fd);
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
	s->fd = g_array_new(FALSE, TRUE, sizeof(struct net_fd));
	s->now = g_array_new(FALSE, FALSE, sizeof(int));
	s->before = g_array_new(FALSE, FALSE, sizeof(int));
	s->epoll.fd = epoll_create1(EPOLL_CLOEXEC);
	s->epoll.events = G_IO_IN;
	g_source_add_poll(g, &s->epoll);
	s->timers = g_ptr_array_new();
	g_source_set_name(g, "net-user");
	/* It does not; but otherwise GLib takes its descriptor out of the loop
	 * while it is dispatched, and wakes the loop twice. */
	g_source_set_can_recurse(g, TRUE);
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
