/*
 * listen.c - sockets where a machine waits for others.
 *
 * Who connects may do much to the guest: without a host it is the loopback
 * interface.
 */
#include "cli/listen.h"

#include <errno.h>
#include <netdb.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "conf/error.h"

static const char *unix_path(const struct conf_file *f)
{
	const char *text = f->path;

	return text && g_str_has_prefix(text, "unix:") ? text + 5 : NULL;
}

static bool failed(
	const struct conf_file *f, const char *flag, int e, GError **err)
{
	conf_error_set_errno(err, e,
		e == EADDRINUSE ? unix_path(f)
					  ? "remove the file or choose another"
					  : "choose another port"
				: NULL,
		"cannot wait for %s on %s", flag, f->path);
	return false;
}

static bool bad(const struct conf_file *f, const char *flag, GError **err)
{
	conf_error_set(err, CONF_ERROR_USAGE, NULL,
		"write 1234, HOST:1234 or unix:PATH", "bad %s '%s'", flag,
		f->path);
	return false;
}

static bool bind_listen(
	struct conf_file *f, const struct sockaddr *a, socklen_t len)
{
	int one = 1, e;

	f->fd = socket(a->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (f->fd < 0)
		return false;
	setsockopt(f->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (!bind(f->fd, a, len) && !listen(f->fd, 4))
		return true;
	e = errno;
	close(f->fd);
	f->fd = -1;
	errno = e;
	return false;
}

static bool listen_unix(struct conf_file *f, const char *flag, GError **err)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	const char *path = unix_path(f);

	if (!*path || strlen(path) >= sizeof(a.sun_path))
		return bad(f, flag, err);
	memcpy(a.sun_path, path, strlen(path));
	return bind_listen(f, (struct sockaddr *)&a, sizeof(a)) ||
	       failed(f, flag, errno, err);
}

static bool listen_tcp(struct conf_file *f, const char *flag, GError **err)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
		.ai_flags = AI_PASSIVE | AI_NUMERICSERV};
	g_autofree char *host = g_strdup(f->path);
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
		return bad(f, flag, err);
	if (getaddrinfo(name, port, &hints, &list) || !list) {
		conf_error_set(err, CONF_ERROR_USAGE, NULL, NULL,
			"there is no host '%s' to wait for %s on", name, flag);
		return false;
	}
	ok = bind_listen(f, list->ai_addr, list->ai_addrlen);
	if (!ok)
		failed(f, flag, errno, err);
	freeaddrinfo(list);
	return ok;
}

bool cli_listen(struct conf_file *f, const char *flag, GError **err)
{
	return unix_path(f) ? listen_unix(f, flag, err)
			    : listen_tcp(f, flag, err);
}

void cli_listen_remove(const struct conf_file *f)
{
	const char *path = unix_path(f);

	if (path && f->fd >= 0)
		unlink(path);
}
