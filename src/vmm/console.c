/*
 * console.c - consoles: input with escapes on the control loop, output by a
 * writer thread over a ring.
 *
 * Locks: ring_lock may be taken under the bus lock; nothing is taken under it.
 * The writer gathers for WRITER_GATHER_US after the first byte, because a UART
 * gives one byte at a time and waking a thread for each is dear.
 */
#include "vmm/console.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <glib-unix.h>

#define RING_BYTES	 (64u << 10)
#define PENDING_BYTES	 4096u
#define WRITER_GATHER_US 300
#define FLUSH_MS	 2000
#define LINE_MAX_BYTES	 256
#define ESCAPE		 0x01 /* Ctrl-A */

struct console {
	struct dev_chardev chr; /* first */
	struct console_owner owner;
	enum conf_serial_kind kind;
	int in_fd, out_fd, listen_fd;
	bool tty;

	/* output */
	pthread_t thread;
	bool started;
	pthread_mutex_t ring_lock;
	pthread_cond_t ring_cond;
	uint8_t *ring;
	unsigned head, used;
	bool idle, stop, broken, starved;

	/* input: the control loop's */
	GSource *in_source, *listen_source;
	uint8_t pending[PENDING_BYTES]; /* on its way to the guest */
	unsigned npending;
	struct console_escape escape;
	bool monitor;
	GString *line;
	GSource *bell; /* rung by device and writer */
	_Atomic(unsigned) rung;
};

enum { RUNG_INPUT = 1, RUNG_WRITABLE = 2 };

static void console_watch_input(struct console *c);

enum console_act console_escape_feed(struct console_escape *e, uint8_t byte)
{
	if (!e->prefix) {
		e->prefix = byte == ESCAPE;
		return e->prefix ? CONSOLE_SWALLOW : CONSOLE_PASS;
	}
	e->prefix = false;
	switch (byte) {
	case 'x': return CONSOLE_LEAVE;
	case 'c': return CONSOLE_MONITOR;
	case 'h':
	case '?': return CONSOLE_HELP;
	case 'a': /* as typed where Ctrl-A is hard to repeat */
	case ESCAPE: return CONSOLE_PASS;
	default: return CONSOLE_SWALLOW;
	}
}

static void console_ring(struct console *c, unsigned what)
{
	atomic_fetch_or(&c->rung, what);
	g_source_set_ready_time(c->bell, 0);
}

/* ---- output ---- */

static size_t console_write(
	struct dev_chardev *chr, const uint8_t *buf, size_t len)
{
	struct console *c = (struct console *)chr;
	size_t n, first;

	pthread_mutex_lock(&c->ring_lock);
	if (c->broken || c->out_fd < 0) {
		pthread_mutex_unlock(&c->ring_lock);
		return len; /* nobody listens */
	}
	n = MIN(len, RING_BYTES - c->used);
	first = MIN(n, RING_BYTES - (c->head + c->used) % RING_BYTES);
	memcpy(c->ring + (c->head + c->used) % RING_BYTES, buf, first);
	memcpy(c->ring, buf + first, n - first);
	c->used += (unsigned)n;
	c->starved = n < len;
	if (c->idle)
		pthread_cond_signal(&c->ring_cond);
	pthread_mutex_unlock(&c->ring_lock);
	return n;
}

/* One write without the lock for what may block, with it for sockets, whose
 * descriptor the control loop may close. */
static ssize_t writer_put(struct console *c, const uint8_t *buf, unsigned n)
{
	ssize_t done;

	if (c->kind == CONF_SERIAL_UNIX)
		return send(c->out_fd, buf, n, MSG_DONTWAIT | MSG_NOSIGNAL);
	pthread_mutex_unlock(&c->ring_lock);
	done = write(c->out_fd, buf, n);
	if (done < 0 && errno == EAGAIN) {
		struct pollfd p = {.fd = c->out_fd, .events = POLLOUT};

		poll(&p, 1, 100);
		errno = EINTR;
	}
	pthread_mutex_lock(&c->ring_lock);
	return done;
}

static void writer_nap(struct console *c, long us)
{
	struct timespec t = {.tv_nsec = us * 1000};

	pthread_mutex_unlock(&c->ring_lock);
	nanosleep(&t, NULL);
	pthread_mutex_lock(&c->ring_lock);
}

static void writer_drain(struct console *c)
{
	unsigned n = MIN(c->used, RING_BYTES - c->head);
	ssize_t done;

	if (c->out_fd < 0) {
		c->used = 0;
		return;
	}
	done = writer_put(c, c->ring + c->head, n);
	if (done < 0 && errno == EINTR)
		return;
	if (done < 0 && errno == EAGAIN) {
		writer_nap(c, 10000);
		return;
	}
	if (done < 0) { /* the reader is gone */
		c->broken = c->kind != CONF_SERIAL_UNIX;
		done = c->used;
	}
	if ((unsigned)done > c->used) /* the socket changed meanwhile */
		done = c->used;
	c->head = (c->head + (unsigned)done) % RING_BYTES;
	c->used -= (unsigned)done;
	if (c->starved) {
		c->starved = false;
		console_ring(c, RUNG_WRITABLE);
	}
	pthread_cond_broadcast(&c->ring_cond);
}

static void *writer(void *opaque)
{
	struct console *c = opaque;

	pthread_mutex_lock(&c->ring_lock);
	for (;;) {
		c->idle = true;
		while (!c->used && !c->stop)
			pthread_cond_wait(&c->ring_cond, &c->ring_lock);
		c->idle = false;
		if (c->stop && !c->used)
			break;
		if (!c->stop && c->used < 256)
			writer_nap(c, WRITER_GATHER_US);
		while (c->used)
			writer_drain(c);
	}
	pthread_mutex_unlock(&c->ring_lock);
	return NULL;
}

/* ---- input ---- */

static const char help_text[] =
	"\r\nCtrl-A x  leave: the machine ends at once\r\n"
	"Ctrl-A c  monitor (and back)\r\n"
	"Ctrl-A a  send Ctrl-A to the guest\r\n"
	"Ctrl-A h  this help\r\n";

/* To the terminal beside the guest's output, never into it. */
static void say(const char *text)
{
	ssize_t n = write(STDERR_FILENO, text, strlen(text));

	(void)n;
}

static void monitor_toggle(struct console *c)
{
	c->monitor = !c->monitor;
	g_string_truncate(c->line, 0);
	say(c->monitor ? "\r\n(vmeste) " : "\r\n");
}

static void monitor_byte(struct console *c, uint8_t byte)
{
	char echo[2] = {(char)byte, 0};

	if (byte == '\r' || byte == '\n') {
		say("\r\n");
		c->owner.command(c->owner.opaque, c->line->str);
		g_string_truncate(c->line, 0);
		if (c->monitor)
			say("(vmeste) ");
	} else if (byte == 0x7f || byte == '\b') {
		if (c->line->len) {
			g_string_truncate(c->line, c->line->len - 1);
			say("\b \b");
		}
	} else if (byte >= 0x20 && c->line->len < LINE_MAX_BYTES) {
		g_string_append_c(c->line, (char)byte);
		if (c->tty)
			say(echo);
	}
}

static void input_byte(struct console *c, uint8_t byte)
{
	enum console_act act = CONSOLE_PASS;

	if (c->kind == CONF_SERIAL_STDIO)
		act = console_escape_feed(&c->escape, byte);
	switch (act) {
	case CONSOLE_LEAVE: c->owner.leave(c->owner.opaque); break;
	case CONSOLE_MONITOR: monitor_toggle(c); break;
	case CONSOLE_HELP: say(help_text); break;
	case CONSOLE_SWALLOW: break;
	case CONSOLE_PASS:
		if (c->monitor)
			monitor_byte(c, byte);
		else if (c->npending < PENDING_BYTES)
			c->pending[c->npending++] = byte;
		break;
	}
}

/* Hand over as much as the device takes. */
static void input_deliver(struct console *c)
{
	struct dev_chardev *chr = &c->chr;
	size_t n;

	bus_lock(c->owner.bus);
	if (!chr->can_receive || !chr->receive) {
		c->npending = 0; /* output only */
	} else {
		while (c->npending) {
			n = MIN(chr->can_receive(chr->opaque), c->npending);
			if (!n)
				break;
			chr->receive(chr->opaque, c->pending, n);
			c->npending -= (unsigned)n;
			memmove(c->pending, c->pending + n, c->npending);
		}
	}
	bus_unlock(c->owner.bus);
}

static void source_clear(GSource **s)
{
	if (*s) {
		g_source_destroy(*s);
		g_source_unref(*s);
		*s = NULL;
	}
}

static void client_gone(struct console *c)
{
	source_clear(&c->in_source);
	if (c->kind != CONF_SERIAL_UNIX)
		return; /* end of input: the guest runs on */
	pthread_mutex_lock(&c->ring_lock);
	close(c->out_fd);
	c->out_fd = c->in_fd = -1;
	c->used = 0;
	pthread_mutex_unlock(&c->ring_lock);
}

static gboolean input_ready(gint fd, GIOCondition cond, gpointer opaque)
{
	struct console *c = opaque;
	uint8_t buf[256];
	unsigned room = PENDING_BYTES - c->npending;
	/* A person may want to leave a guest that takes no input: bytes of a
	 * terminal beyond what fits are dropped, escapes are still seen. */
	ssize_t n =
		read(fd, buf, c->tty ? sizeof(buf) : MIN(room, sizeof(buf)));

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return G_SOURCE_CONTINUE;
	if (n <= 0) {
		client_gone(c);
		return G_SOURCE_REMOVE;
	}
	for (ssize_t i = 0; i < n; i++)
		input_byte(c, buf[i]);
	input_deliver(c);
	if (!c->tty && c->npending == PENDING_BYTES)
		source_clear(&c->in_source); /* until the guest takes some */
	return G_SOURCE_CONTINUE;
}

static void console_watch_input(struct console *c)
{
	if (c->in_source || c->in_fd < 0)
		return;
	c->in_source =
		g_unix_fd_source_new(c->in_fd, G_IO_IN | G_IO_HUP | G_IO_ERR);
	g_source_set_callback(
		c->in_source, G_SOURCE_FUNC(input_ready), c, NULL);
	g_source_attach(c->in_source, c->owner.loop);
}

static gboolean client_ready(gint fd, GIOCondition cond, gpointer opaque)
{
	struct console *c = opaque;
	int s = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (s < 0)
		return G_SOURCE_CONTINUE;
	if (c->in_fd >= 0) { /* one at a time */
		close(s);
		return G_SOURCE_CONTINUE;
	}
	pthread_mutex_lock(&c->ring_lock);
	c->in_fd = c->out_fd = s;
	c->used = 0;
	pthread_mutex_unlock(&c->ring_lock);
	console_watch_input(c);
	return G_SOURCE_CONTINUE;
}

static void console_accept_input(struct dev_chardev *chr)
{
	console_ring((struct console *)chr, RUNG_INPUT);
}

static gboolean bell_rung(gpointer opaque)
{
	struct console *c = opaque;
	unsigned what;

	g_source_set_ready_time(c->bell, -1);
	what = atomic_exchange(&c->rung, 0);
	if (what & RUNG_WRITABLE && c->chr.writable) {
		bus_lock(c->owner.bus);
		c->chr.writable(c->chr.opaque);
		bus_unlock(c->owner.bus);
	}
	if (what & RUNG_INPUT && c->npending) {
		input_deliver(c);
		if (c->npending < PENDING_BYTES && !c->in_source && c->started)
			console_watch_input(c);
	}
	return G_SOURCE_CONTINUE;
}

static gboolean bell_dispatch(GSource *s, GSourceFunc fn, gpointer opaque)
{
	return fn(opaque);
}

static GSourceFuncs bell_funcs = {.dispatch = bell_dispatch};

/* ---- life ---- */

static int take(int *fd)
{
	int v = *fd;

	*fd = -1;
	return v;
}

struct console *console_new(
	struct conf_serial *conf, const struct console_owner *owner)
{
	struct console *c = g_new0(struct console, 1);

	c->owner = *owner;
	c->kind = conf->kind;
	c->in_fd = take(&conf->in_fd);
	c->out_fd = take(&conf->file.fd);
	c->listen_fd = -1;
	if (c->kind == CONF_SERIAL_UNIX) {
		c->listen_fd = c->out_fd;
		c->out_fd = -1;
	}
	c->tty = c->in_fd >= 0 && isatty(c->in_fd);
	c->ring = g_malloc(RING_BYTES);
	c->line = g_string_new(NULL);
	pthread_mutex_init(&c->ring_lock, NULL);
	pthread_cond_init(&c->ring_cond, NULL);
	c->chr.write = console_write;
	c->chr.accept_input = console_accept_input;
	c->chr.owner = c;
	c->bell = g_source_new(&bell_funcs, sizeof(GSource));
	g_source_set_callback(c->bell, bell_rung, c, NULL);
	g_source_attach(c->bell, owner->loop);
	return c;
}

bool console_start(struct console *c, GError **err)
{
	int e = pthread_create(&c->thread, NULL, writer, c);

	if (e) {
		g_set_error(err, G_FILE_ERROR, 0,
			"cannot start a console's thread: %s", g_strerror(e));
		return false;
	}
	c->started = true;
	console_watch_input(c);
	if (c->listen_fd >= 0) {
		c->listen_source = g_unix_fd_source_new(c->listen_fd, G_IO_IN);
		g_source_set_callback(
			c->listen_source, G_SOURCE_FUNC(client_ready), c, NULL);
		g_source_attach(c->listen_source, c->owner.loop);
	}
	return true;
}

struct dev_chardev *console_chardev(struct console *c)
{
	return &c->chr;
}

/* The writer ends when the ring is empty; one that hangs in a write to a
 * reader that does not read is left behind (the process ends soon). */
static bool writer_finish(struct console *c)
{
	struct timespec until;
	bool drained = true;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += FLUSH_MS / 1000;
	pthread_mutex_lock(&c->ring_lock);
	c->stop = true;
	pthread_cond_broadcast(&c->ring_cond);
	while (c->used && drained)
		drained = pthread_cond_timedwait(&c->ring_cond, &c->ring_lock,
				  &until) != ETIMEDOUT;
	pthread_mutex_unlock(&c->ring_lock);
	if (drained)
		pthread_join(c->thread, NULL);
	return drained;
}

void console_free(struct console *c)
{
	if (!c)
		return;
	source_clear(&c->in_source);
	source_clear(&c->listen_source);
	if (c->started && !writer_finish(c))
		return; /* the writer still uses it */
	source_clear(&c->bell);
	if (c->in_fd >= 0 && c->in_fd != c->out_fd)
		close(c->in_fd);
	if (c->out_fd >= 0)
		close(c->out_fd);
	if (c->listen_fd >= 0)
		close(c->listen_fd);
	pthread_mutex_destroy(&c->ring_lock);
	pthread_cond_destroy(&c->ring_cond);
	g_string_free(c->line, TRUE);
	g_free(c->ring);
	g_free(c);
}
