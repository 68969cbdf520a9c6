/*
 * vsock.c - the host's side of the guest's virtio sockets.
 *
 * Who connects to the machine's socket writes "CONNECT PORT\n" and is handed
 * to the device.  What the guest connects to is found by the client, which can
 * see files: it is asked over the wire, and sends a connected socket back.
 *
 * All sockets are in one epoll descriptor, which the loop looks at; they are
 * told of by edges, so that what nobody can read now wakes nobody.  A socket is
 * taken out before it is closed: a process that writes a state has it, too.
 *
 * Threads: the device asks on any thread, with the bus lock held, which guards
 * `asks`; the rest is the loop's.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <glib-unix.h>

#include "dev/vsock.h"
#include "vmm/priv.h"

#define MAX_GREETERS 64 /* who have not said yet what they want */
#define MAX_ASKED    32 /* questions on the wire */
#define MAX_EVENTS   64
#define LINE_BYTES   32
#define AGAIN_MS     10 /* until a listener with a full queue is asked again */
#define MAX_TRIES    500
#define WANT_FILES   4096

/* What an epoll event is of: this, or the device's connection. */
#define EV_LISTENER (1ull << 32)
#define EV_GREETER  (2ull << 32) /* and its place */

struct ask {
	uint32_t port, id;
	unsigned tries;
};

struct vsock {
	struct dev_vsock host; /* first */
	struct machine *m;
	int epoll, listener;
	GSource *source, *bell, *later;
	GQueue asks;	   /* of struct ask: not asked yet, or to be again */
	GHashTable *asked; /* struct ask by id: on the wire */
	int greeter[MAX_GREETERS]; /* -1: none */
	unsigned next_greeter;
};

static void vsock_ring(struct vsock *v)
{
	if (v->bell)
		g_source_set_ready_time(v->bell, 0);
}

/* ---- for the device ---- */

static void host_ask(struct dev_vsock *s, uint32_t port, uint32_t id)
{
	struct vsock *v = (struct vsock *)s;
	struct ask *a = g_new0(struct ask, 1);

	a->port = port;
	a->id = id;
	g_queue_push_tail(&v->asks, a);
	vsock_ring(v);
}

static void vsock_add(struct vsock *v, int fd, uint32_t events, uint64_t what)
{
	struct epoll_event e = {.events = events | EPOLLET, .data.u64 = what};

	if (epoll_ctl(v->epoll, EPOLL_CTL_ADD, fd, &e) && errno == EEXIST)
		epoll_ctl(v->epoll, EPOLL_CTL_MOD, fd, &e);
}

static void host_watch(struct dev_vsock *s, int fd, uint32_t id, bool out)
{
	vsock_add((struct vsock *)s, fd, EPOLLIN | (out ? EPOLLOUT : 0), id);
}

static void host_close(struct dev_vsock *s, int fd)
{
	struct vsock *v = (struct vsock *)s;

	epoll_ctl(v->epoll, EPOLL_CTL_DEL, fd, NULL);
	shutdown(fd, SHUT_RDWR);
	close(fd);
}

static void host_again(struct dev_vsock *s)
{
	vsock_ring((struct vsock *)s);
}

/* ---- who the guest wants ---- */

static gboolean vsock_later(gpointer opaque)
{
	struct vsock *v = opaque;

	g_source_set_ready_time(v->later, -1);
	if (v->listener >= 0)
		vsock_add(v, v->listener, EPOLLIN, EV_LISTENER);
	vsock_ring(v);
	return G_SOURCE_CONTINUE;
}

static void vsock_not_now(struct vsock *v)
{
	g_source_set_ready_time(
		v->later, g_get_monotonic_time() + AGAIN_MS * 1000);
}

/* Ask the client, for some at a time: the wire has room for as many. */
static void vsock_send_asks(struct vsock *v)
{
	while (g_hash_table_size(v->asked) < MAX_ASKED) {
		struct ask *a;

		bus_lock(v->m->bus);
		a = g_queue_pop_head(&v->asks);
		bus_unlock(v->m->bus);
		if (!a)
			return;
		g_hash_table_insert(v->asked, GUINT_TO_POINTER(a->id), a);
		v->m->host.connect_port(v->m->host.opaque, a->port, a->id);
	}
}

void machine_connected(struct machine *m, uint32_t id, int fd, bool again)
{
	struct vsock *v = m->vsock;
	gpointer key = GUINT_TO_POINTER(id);
	struct ask *a = v ? g_hash_table_lookup(v->asked, key) : NULL;

	if (!a) {
		if (fd >= 0)
			close(fd);
		return;
	}
	g_hash_table_steal(v->asked, key);
	if (fd < 0 && again && ++a->tries < MAX_TRIES) {
		bus_lock(m->bus);
		g_queue_push_tail(&v->asks, a);
		bus_unlock(m->bus);
		vsock_not_now(v);
		return;
	}
	g_free(a);
	if (fd >= 0)
		g_unix_set_fd_nonblocking(fd, TRUE, NULL);
	bus_lock(m->bus);
	v->host.answered(v->host.dev, id, fd);
	v->host.work(v->host.dev);
	bus_unlock(m->bus);
	if (v->asks.length)
		vsock_ring(v);
}

static gboolean bell_rung(gpointer opaque)
{
	struct vsock *v = opaque;

	g_source_set_ready_time(v->bell, -1);
	bus_lock(v->m->bus);
	v->host.work(v->host.dev);
	bus_unlock(v->m->bus);
	vsock_send_asks(v);
	return G_SOURCE_CONTINUE;
}

static gboolean ready_time_dispatch(GSource *s, GSourceFunc fn, gpointer opaque)
{
	return fn(opaque);
}

static GSourceFuncs ready_time_funcs = {.dispatch = ready_time_dispatch};

/* ---- who wants the guest ---- */

static void greeter_close(struct vsock *v, unsigned n)
{
	if (v->greeter[n] >= 0)
		host_close(&v->host, v->greeter[n]);
	v->greeter[n] = -1;
}

static bool greeting_port(const char *line, uint32_t *port)
{
	static const char word[] = "CONNECT ";
	const char *digits = line + strlen(word);
	unsigned n;

	if (strncmp(line, word, strlen(word)) ||
		!conf_parse_uint(digits, "port", 0, UINT32_MAX, &n, NULL))
		return false;
	*port = n;
	return true;
}

/* The line and nothing behind it: that is the guest's. */
static int greeter_line(int fd, char line[LINE_BYTES + 1])
{
	ssize_t n = recv(fd, line, LINE_BYTES, MSG_PEEK | MSG_DONTWAIT);
	char *end = n > 0 ? memchr(line, '\n', (size_t)n) : NULL;

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -1;
	if (!end)
		return n == 0 || n == LINE_BYTES ? -1 : 0;
	n = end - line + 1;
	if (recv(fd, line, (size_t)n, MSG_DONTWAIT) != n)
		return -1;
	*end = '\0';
	if (end > line && end[-1] == '\r')
		end[-1] = '\0';
	return 1;
}

static void greeter_ready(struct vsock *v, unsigned n)
{
	char line[LINE_BYTES + 1];
	int fd = v->greeter[n];
	uint32_t port;
	int rc = fd < 0 ? 0 : greeter_line(fd, line);
	bool taken = false;

	if (!rc)
		return;
	if (rc > 0 && greeting_port(line, &port)) {
		bus_lock(v->m->bus);
		taken = v->host.connect(v->host.dev, port, fd);
		bus_unlock(v->m->bus);
	}
	if (taken)
		v->greeter[n] = -1;
	else
		greeter_close(v, n);
}

/* If too many have nothing to say, the one that was silent longest goes. */
static void vsock_accept(struct vsock *v)
{
	for (unsigned left = MAX_GREETERS; left; left--) {
		int fd = accept4(
			v->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		unsigned n = v->next_greeter;

		if (fd < 0) {
			if (errno != EAGAIN) /* no descriptor left, perhaps */
				vsock_not_now(v);
			return;
		}
		v->next_greeter = (n + 1) % MAX_GREETERS;
		greeter_close(v, n);
		v->greeter[n] = fd;
		vsock_add(v, fd, EPOLLIN, EV_GREETER | n);
	}
	/* More may wait: be told again. */
	vsock_add(v, v->listener, EPOLLIN, EV_LISTENER);
}

static void vsock_event(struct vsock *v, const struct epoll_event *e)
{
	unsigned events = 0;

	if (e->data.u64 == EV_LISTENER) {
		vsock_accept(v);
	} else if (e->data.u64 & EV_GREETER) {
		greeter_ready(v, (uint32_t)e->data.u64 % MAX_GREETERS);
	} else {
		events |= e->events & EPOLLIN ? DEV_VSOCK_IN : 0;
		events |= e->events & EPOLLOUT ? DEV_VSOCK_OUT : 0;
		events |= e->events & (EPOLLHUP | EPOLLERR) ? DEV_VSOCK_HUP : 0;
		v->host.ready(v->host.dev, (uint32_t)e->data.u64, events);
	}
}

static gboolean epoll_ready(gint fd, GIOCondition cond, gpointer opaque)
{
	struct epoll_event e[MAX_EVENTS];
	struct vsock *v = opaque;
	int n = epoll_wait(fd, e, MAX_EVENTS, 0);

	bus_lock(v->m->bus);
	for (int i = 0; i < n; i++)
		vsock_event(v, &e[i]);
	v->host.work(v->host.dev);
	bus_unlock(v->m->bus);
	return G_SOURCE_CONTINUE;
}

/* ---- life ---- */

static GSource *ready_time_source(struct vsock *v, GSourceFunc fn)
{
	GSource *s = g_source_new(&ready_time_funcs, sizeof(GSource));

	g_source_set_callback(s, fn, v, NULL);
	g_source_attach(s, v->m->host.loop);
	return s;
}

/* A connection is a descriptor. */
static void want_files(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) || r.rlim_cur >= WANT_FILES)
		return;
	r.rlim_cur = MIN((rlim_t)WANT_FILES, r.rlim_max);
	setrlimit(RLIMIT_NOFILE, &r);
}

bool vsock_open(struct machine *m, const struct dev_host *h, GError **err)
{
	struct conf_vsock *conf = &m->conf->vsock;
	struct dev_host own = *h;
	struct vsock *v;

	if (!conf->on)
		return true;
	want_files();
	v = m->vsock = g_new0(struct vsock, 1);
	v->m = m;
	v->host = (struct dev_vsock){.cid = conf->cid,
		.ask = host_ask,
		.watch = host_watch,
		.close = host_close,
		.again = host_again};
	v->listener = media_take_fd(&conf->socket);
	v->epoll = epoll_create1(EPOLL_CLOEXEC);
	v->asked = g_hash_table_new_full(NULL, NULL, NULL, g_free);
	for (unsigned i = 0; i < MAX_GREETERS; i++)
		v->greeter[i] = -1;
	v->bell = ready_time_source(v, bell_rung);
	v->later = ready_time_source(v, vsock_later);
	own.vsock = &v->host;
	if (v->epoll < 0)
		return fw_error(err, g_strerror(errno), NULL,
			"cannot watch the guest's sockets");
	return board_add(m, "virtio-vsock", "vsock", &own, err) != NULL;
}

void vsock_start(struct machine *m)
{
	struct vsock *v = m->vsock;

	if (!v)
		return;
	v->source = g_unix_fd_source_new(v->epoll, G_IO_IN);
	/* It does not; see loop.c. */
	g_source_set_can_recurse(v->source, TRUE);
	g_source_set_callback(v->source, G_SOURCE_FUNC(epoll_ready), v, NULL);
	g_source_attach(v->source, m->host.loop);
	if (v->listener < 0)
		return;
	g_unix_set_fd_nonblocking(v->listener, TRUE, NULL);
	vsock_add(v, v->listener, EPOLLIN, EV_LISTENER);
}

void vsock_stop(struct machine *m)
{
	struct vsock *v = m->vsock;
	GSource **sources[3];

	if (!v)
		return;
	sources[0] = &v->source;
	sources[1] = &v->bell;
	sources[2] = &v->later;
	for (unsigned i = 0; i < G_N_ELEMENTS(sources); i++) {
		if (!*sources[i])
			continue;
		g_source_destroy(*sources[i]);
		g_source_unref(*sources[i]);
		*sources[i] = NULL;
	}
}

void vsock_close(struct machine *m)
{
	struct vsock *v = m->vsock;

	if (!v)
		return;
	for (unsigned i = 0; i < MAX_GREETERS; i++)
		greeter_close(v, i);
	if (v->listener >= 0)
		close(v->listener);
	if (v->epoll >= 0)
		close(v->epoll);
	g_queue_clear_full(&v->asks, g_free);
	g_hash_table_unref(v->asked);
	g_free(v);
	m->vsock = NULL;
}
