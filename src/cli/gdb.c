/*
 * gdb.c - the socket where a machine waits for gdb.
 *
 * Who connects may read and change everything in the guest: without a host it
 * is the loopback interface.
 */
#include "cli/gdb.h"

#include <errno.h>
#include <netdb.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "conf/error.h"

static const char *unix_path(const struct conf_machine *m)
{
	const char *text = m->gdb.path;

	return text && g_str_has_prefix(text, "unix:") ? text + 5 : NULL;
}

static bool failed(const struct conf_machine *m, int e, GError **err)
{
	conf_error_set_errno(err, e,
		e == EADDRINUSE ? unix_path(m)
					  ? "remove the file or choose another"
					  : "choose another port"
				: NULL,
		"cannot wait for gdb on %s", m->gdb.path);
	return false;
}

static bool bad(const struct conf_machine *m, GError **err)
{
	conf_error_set(err, CONF_ERROR_USAGE, NULL,
		"write 1234, HOST:1234 or unix:PATH", "bad --gdb '%s'",
		m->gdb.path);
	return false;
}

static bool bind_listen(
	struct conf_machine *m, const struct sockaddr *a, socklen_t len)
{
	int one = 1, e;

	m->gdb.fd = socket(a->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (m->gdb.fd < 0)
		return false;
	setsockopt(m->gdb.fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (!bind(m->gdb.fd, a, len) && !listen(m->gdb.fd, 1))
		return true;
	e = errno;
	close(m->gdb.fd);
	m->gdb.fd = -1;
	errno = e;
	return false;
}

static bool listen_unix(struct conf_machine *m, const char *path, GError **err)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	if (!*path || strlen(path) >= sizeof(a.sun_path))
		return bad(m, err);
	memcpy(a.sun_path, path, strlen(path));
	return bind_listen(m, (struct sockaddr *)&a, sizeof(a)) ||
	       failed(m, errno, err);
}

static bool listen_tcp(struct conf_machine *m, GError **err)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
		.ai_flags = AI_PASSIVE | AI_NUMERICSERV};
	g_autofree char *host = g_strdup(m->gdb.path);
	char *colon = strrchr(host, ':');
	const char *port = colon ? colon + 1 : host, *name = "127.0.0.1";
	struct addrinfo *list = NULL;
	unsigned n;
	bool ok;

	if (colon) {
		*colon = '\0';
		name = host;
		if (host[0] == '[' && colon > host && colon[-1] == ']') {
			colon[-1] = '\0';
			name = host + 1;
		}
	}
	if (!*name || !conf_parse_uint(port, "port", 1, 65535, &n, NULL))
		return bad(m, err);
	if (getaddrinfo(name, port, &hints, &list) || !list) {
		conf_error_set(err, CONF_ERROR_USAGE, NULL, NULL,
			"there is no host '%s' to wait for gdb on", name);
		return false;
	}
	ok = bind_listen(m, list->ai_addr, list->ai_addrlen);
	if (!ok)
		failed(m, errno, err);
	freeaddrinfo(list);
	return ok;
}

bool cli_gdb_listen(struct conf_machine *m, GError **err)
{
	const char *path = unix_path(m);

	if (!m->gdb.path)
		return true;
	return path ? listen_unix(m, path, err) : listen_tcp(m, err);
}

void cli_gdb_remove(const struct conf_machine *m)
{
	const char *path = unix_path(m);

	if (path && m->gdb.fd >= 0)
		unlink(path);
}
