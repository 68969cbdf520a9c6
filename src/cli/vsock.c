/*
 * vsock.c - a machine's sockets to its guest, on the host's side; and `vmeste
 * vsock`, which joins them with standard input and output.
 *
 * Programs of the host connect to PATH and write "CONNECT PORT\n"; they get
 * "OK PORT\n" when the guest has accepted.  Who wants to be found by the guest
 * at port P listens on PATH_P, which only this process can see: the machine's
 * has no files, and asks for each.
 */
#include "cli/vsock.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "cli/control.h"
#include "cli/verb.h"
#include "conf/error.h"

#define ANSWER_MS  10000
#define BUF_BYTES  65536
#define LINE_BYTES 64

/* ---- sockets ---- */

static bool address(struct sockaddr_un *a, const char *path)
{
	memset(a, 0, sizeof(*a));
	a->sun_family = AF_UNIX;
	if (strlen(path) >= sizeof(a->sun_path))
		return false;
	memcpy(a->sun_path, path, strlen(path));
	return true;
}

/* A socket that is connected; -1 with errno. */
static int join(const char *path, int flags)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0), e;
	struct sockaddr_un a;

	if (fd >= 0 && address(&a, path) &&
		!connect(fd, (const struct sockaddr *)&a, sizeof(a)))
		return fd;
	e = errno;
	if (fd >= 0)
		close(fd);
	errno = e;
	return -1;
}

static bool in_use(const char *path, GError **err)
{
	int fd = join(path, SOCK_NONBLOCK);
	pid_t pid = fd >= 0 ? cli_control_pid(fd) : 0;
	g_autofree char *by =
		pid ? g_strdup_printf(" (process %d)", (int)pid) : NULL;
	bool alive = fd >= 0 || errno == EAGAIN;

	if (fd >= 0)
		close(fd);
	if (alive)
		conf_error_set(err, CONF_ERROR_CONFLICT,
			"each machine needs a socket of its own",
			"choose another --vsock unix:PATH, or stop the other "
			"machine",
			"somebody listens on %s already%s", path, by ? by : "");
	else
		conf_error_set(err, CONF_ERROR_CONFLICT,
			"nobody listens there, but something has that name",
			"remove it or choose another path",
			"cannot listen on %s", path);
	return false;
}

static int listen_on(const char *path, int queue, GError **err)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un a;

	if (fd >= 0 && address(&a, path) &&
		!bind(fd, (const struct sockaddr *)&a, sizeof(a)) &&
		!chmod(path, 0600) && !listen(fd, queue))
		return fd;
	if (errno == EADDRINUSE)
		in_use(path, err);
	else
		conf_error_set_errno(err, errno, "check the path",
			"cannot listen on %s", path);
	if (fd >= 0)
		close(fd);
	return -1;
}

static bool check_length(const char *path, GError **err)
{
	if (strlen(path) <= CONF_VSOCK_PATH_MAX)
		return true;
	conf_error_set(err, CONF_ERROR_USAGE,
		"a socket's path has at most 107 bytes, and sockets of ports "
		"are called PATH_PORT",
		"choose one of at most 96 bytes: --vsock unix:PATH",
		"the path %s is too long", path);
	return false;
}

bool cli_vsock_listen(struct conf_machine *m, bool named, GError **err)
{
	struct conf_vsock *v = &m->vsock;
	char *path;

	if (!v->on)
		return true;
	if (!v->stated && !named) {
		conf_error_set(err, CONF_ERROR_USAGE,
			"its socket is named after the machine",
			"add --name NAME, or write --vsock unix:PATH",
			"--vsock on without --name");
		return false;
	}
	path = v->stated ? g_canonicalize_filename(v->socket.path, NULL)
			 : cli_control_path(m->name, ".vsock");
	g_free(v->socket.path);
	v->socket.path = path;
	if (!check_length(path, err))
		return false;
	if (!v->stated)
		unlink(path); /* we hold the machine's name */
	v->socket.fd = listen_on(path, SOMAXCONN, err);
	return v->socket.fd >= 0;
}

void cli_vsock_remove(const struct conf_machine *m)
{
	if (m->vsock.socket.path && m->vsock.socket.fd >= 0)
		unlink(m->vsock.socket.path);
}

int cli_vsock_connect(const struct conf_machine *m, uint32_t port, bool *again)
{
	g_autofree char *path =
		g_strdup_printf("%s_%u", m->vsock.socket.path, port);
	int fd = m->vsock.on ? join(path, SOCK_NONBLOCK) : -1;

	*again = m->vsock.on && fd < 0 && errno == EAGAIN;
	return fd;
}

/* ---- vmeste vsock ---- */

struct ask {
	struct cli_words words; /* machine, port */
	bool listen;
};

/* One direction. */
struct flow {
	int from, to;
	size_t n, at;
	bool ended;
	char buf[BUF_BYTES];
};

void *cli_vsock_new(void)
{
	struct ask *a = g_new0(struct ask, 1);

	a->words.max = 2;
	return a;
}

static bool set_listen(void *ctx, const char *v, GError **err)
{
	((struct ask *)ctx)->listen = true;
	return true;
}

const struct cli_flag cli_vsock_flags[] = {
	{"listen", 0, NULL,
		"wait until a program of the guest's connects to that port of "
		"the host (context 2)",
		NULL, set_listen},
	{NULL},
};

/* Where the machine's socket is; NULL and *err. */
static char *find_path(const char *name, GError **err)
{
	int sock = cli_control_connect(name, err);
	g_autoptr(wire_msg_auto) m =
		sock < 0 ? NULL
			 : cli_control_ask(
				   sock, "status", NULL, -1, ANSWER_MS, err);
	const char *path = m ? wire_msg_string(m, "vsock") : NULL;

	if (sock >= 0)
		close(sock);
	if (m && !path)
		conf_error_set(err, CONF_ERROR_UNSUPPORTED,
			"it has no device for them",
			"start it with --vsock on, or: vmeste set NAME "
			"vsock=on",
			"'%s' has no sockets to its guest", name);
	return g_strdup(path);
}

/* The guest's program has accepted when the line has come. */
static bool greet(int fd, unsigned port, GError **err)
{
	g_autofree char *ask = g_strdup_printf("CONNECT %u\n", port);
	char line[LINE_BYTES] = "";
	size_t n = 0;

	if (send(fd, ask, strlen(ask), MSG_NOSIGNAL) < 0)
		return false;
	while (n + 1 < sizeof(line) && recv(fd, line + n, 1, 0) == 1 &&
		line[n] != '\n')
		n++;
	if (g_str_has_prefix(line, "OK "))
		return true;
	conf_error_set(err, CONF_ERROR_NOT_FOUND,
		"no program of the guest's listens there, or its driver does "
		"not run",
		"modprobe vmw_vsock_virtio_transport loads the driver of "
		"Linux",
		"the guest does not answer at port %u", port);
	return false;
}

static int accept_one(const char *path, unsigned port, GError **err)
{
	g_autofree char *at = g_strdup_printf("%s_%u", path, port);
	int s = listen_on(at, 1, err), fd;

	if (s < 0)
		return -1;
	do
		fd = accept4(s, NULL, NULL, SOCK_CLOEXEC);
	while (fd < 0 && errno == EINTR);
	close(s);
	unlink(at);
	return fd;
}

static int open_stream(const struct ask *a, unsigned port, GError **err)
{
	g_autofree char *path = find_path(a->words.word[0], err);
	int fd = -1;

	if (!path)
		return -1;
	if (a->listen)
		return accept_one(path, port, err);
	fd = join(path, 0);
	if (fd < 0)
		conf_error_set_errno(
			err, errno, NULL, "cannot connect to %s", path);
	if (fd >= 0 && !greet(fd, port, err)) {
		close(fd);
		fd = -1;
	}
	return fd;
}

static void flow_fill(struct flow *f)
{
	ssize_t n = read(f->from, f->buf, sizeof(f->buf));

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	f->ended = n <= 0;
	f->n = n > 0 ? (size_t)n : 0;
	f->at = 0;
}

/* As much as does not block. */
static bool flow_drain(struct flow *f)
{
	ssize_t n = write(f->to, f->buf + f->at, MIN(f->n - f->at, PIPE_BUF));

	if (n < 0)
		return errno == EINTR || errno == EAGAIN;
	f->at += (size_t)n;
	if (f->at == f->n)
		f->at = f->n = 0;
	return true;
}

/* False: nobody takes it any more. */
static bool flow_move(struct flow *f, const struct pollfd *p)
{
	if (f->n)
		return !p->revents || flow_drain(f);
	if (!f->ended && p->revents)
		flow_fill(f);
	return true;
}

static struct pollfd flow_poll(const struct flow *f)
{
	if (f->n)
		return (struct pollfd){f->to, POLLOUT, 0};
	return (struct pollfd){f->ended ? -1 : f->from, POLLIN, 0};
}

/* Until the guest's end is closed. */
static void flow_both(int fd)
{
	struct flow *in = g_new0(struct flow, 1), *out = g_new0(struct flow, 1);
	bool told = false;

	in->to = out->from = fd;
	out->to = 1;
	while (!out->ended || out->n) {
		struct pollfd p[2] = {flow_poll(in), flow_poll(out)};

		if (poll(p, 2, -1) < 0 && errno != EINTR)
			break;
		if (!flow_move(in, &p[0])) {
			in->ended = true;
			in->n = 0;
		}
		if (!flow_move(out, &p[1]))
			break;
		if (in->ended && !in->n && !told) {
			shutdown(fd, SHUT_WR);
			told = true;
		}
	}
	g_free(in);
	g_free(out);
}

int cli_vsock(void *ctx, GError **err)
{
	const struct ask *a = ctx;
	unsigned port;
	int fd;

	if (a->words.n < 2) {
		conf_error_set(err, CONF_ERROR_USAGE, NULL,
			"vmeste ls lists the machines that run",
			"give a machine and a port");
		return CONF_ERROR_USAGE;
	}
	if (!conf_parse_uint(a->words.word[1], "port", 0, CONF_VSOCK_CID_MAX,
		    &port, err))
		return CONF_ERROR_USAGE;
	fd = open_stream(a, port, err);
	if (fd < 0)
		return cli_status(err);
	signal(SIGPIPE, SIG_IGN);
	flow_both(fd);
	close(fd);
	return 0;
}
