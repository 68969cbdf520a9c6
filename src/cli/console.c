/*
 * console.c - `vmeste console`: this terminal becomes the first serial port of
 * a machine that runs in the background.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

#include "cli/control.h"
#include "cli/verb.h"
#include "conf/error.h"

#define ESCAPE 1 /* Ctrl-A */

struct console {
	int sock;
	bool escaped;
};

void *cli_console_new(void)
{
	struct cli_words *w = g_new0(struct cli_words, 1);

	w->max = 1;
	return w;
}

static int console_connect(const char *name, GError **err)
{
	g_autofree char *path = cli_control_path(name, ".serial");
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	g_strlcpy(a.sun_path, path, sizeof(a.sun_path));
	if (fd >= 0 && !connect(fd, (struct sockaddr *)&a, sizeof(a)))
		return fd;
	if (fd >= 0)
		close(fd);
	conf_error_set(err, CONF_ERROR_NOT_FOUND,
		"it does not run in the background, or its settings send its "
		"serial port elsewhere",
		"vmeste start NAME", "there is no console of '%s'", name);
	return -1;
}

static bool write_all(int fd, const char *buf, ssize_t n)
{
	while (n > 0) {
		ssize_t done = write(fd, buf, (size_t)n);

		if (done < 0 && errno != EINTR)
			return false;
		if (done > 0) {
			buf += done;
			n -= done;
		}
	}
	return true;
}

/* What is typed, without escapes.  False: Ctrl-A x. */
static bool typed(
	struct console *c, const char *in, ssize_t n, char *out, ssize_t *left)
{
	*left = 0;
	for (ssize_t i = 0; i < n; i++) {
		if (c->escaped && in[i] == 'x')
			return false;
		if (!c->escaped && in[i] == ESCAPE) {
			c->escaped = true;
			continue;
		}
		c->escaped = false;
		out[(*left)++] = in[i];
	}
	return true;
}

/* Until the machine ends or the user leaves. */
static void console_serve(struct console *c)
{
	struct pollfd p[2] = {{0, POLLIN, 0}, {c->sock, POLLIN, 0}};
	char in[512], out[512];
	ssize_t n, left;

	for (;;) {
		if (poll(p, 2, -1) < 0 && errno != EINTR)
			return;
		if (p[1].revents) {
			n = read(c->sock, in, sizeof(in));
			if (n <= 0 || !write_all(1, in, n))
				return;
		}
		if (p[0].revents) {
			n = read(0, in, sizeof(in));
			if (n <= 0)
				p[0].fd = -1; /* go on showing */
			else if (!typed(c, in, n, out, &left) ||
				 !write_all(c->sock, out, left))
				return;
		}
	}
}

int cli_console(void *ctx, GError **err)
{
	const struct cli_words *w = ctx;
	struct console c = {.sock = -1};
	struct termios saved, raw;
	bool tty;

	if (!w->n) {
		conf_error_set(err, CONF_ERROR_USAGE, NULL,
			"vmeste ls lists the machines", "which machine?");
		return CONF_ERROR_USAGE;
	}
	if (cli_control_name_ok(w->word[0], err))
		c.sock = console_connect(w->word[0], err);
	if (c.sock < 0)
		return cli_status(err);
	tty = isatty(0) && !tcgetattr(0, &saved);
	if (tty) {
		fprintf(stderr, "vmeste: Ctrl-A x leaves\n");
		raw = saved;
		cfmakeraw(&raw);
		tcsetattr(0, TCSADRAIN, &raw);
	}
	console_serve(&c);
	if (tty)
		tcsetattr(0, TCSADRAIN, &saved);
	close(c.sock);
	return 0;
}
