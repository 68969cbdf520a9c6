/*
 * save.c - `vmeste save`: a running machine into a file.
 *
 * The machine writes into a temporary file beside FILE, which gets its name
 * only when it is whole and the machine has let go of its disks.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include "cli/control.h"
#include "cli/verb.h"
#include "conf/error.h"

#define GONE_MS 60000 /* to end, when all is written */

void *cli_save_new(void)
{
	struct cli_words *w = g_new0(struct cli_words, 1);

	w->max = 2;
	return w;
}

static bool wait_gone(int sock, GError **err)
{
	struct pollfd p = {.fd = sock, .events = POLLIN};

	if (poll(&p, 1, GONE_MS) > 0)
		return true;
	conf_error_set(err, CONF_ERROR_TIMEOUT, NULL, NULL,
		"the machine is saved, but does not end");
	return false;
}

static bool save_ask(
	int sock, int fd, const char *temp, const char *file, GError **err)
{
	g_autoptr(wire_msg_auto) m =
		cli_control_ask(sock, "save", NULL, fd, -1, err);

	if (!m || !wait_gone(sock, err))
		return false;
	if (fsync(fd) || rename(temp, file)) {
		conf_error_set_errno(err, errno, NULL, "cannot write %s", file);
		return false;
	}
	fprintf(stderr, "vmeste: %.1f MB in %.2f s\n",
		(double)wire_msg_int(m, "bytes", 0) * 1e-6,
		(double)wire_msg_int(m, "ns", 0) * 1e-9);
	return true;
}

int cli_save(void *ctx, GError **err)
{
	const struct cli_words *w = ctx;
	g_autofree char *temp = g_strdup_printf("%s.XXXXXX", w->word[1]);
	int sock, fd;
	bool ok;

	if (!w->word[1]) {
		conf_error_set(err, CONF_ERROR_USAGE, NULL,
			"vmeste ls lists the machines that run",
			"give a machine and a file");
		return CONF_ERROR_USAGE;
	}
	sock = cli_control_connect(w->word[0], err);
	if (sock < 0)
		return conf_error_status(*err);
	fd = g_mkstemp_full(temp, O_RDWR | O_CLOEXEC, 0600);
	if (fd < 0) {
		conf_error_set_errno(err, errno,
			"name a file in a folder that you can write to",
			"cannot write %s", w->word[1]);
		close(sock);
		return conf_error_status(*err);
	}
	ok = save_ask(sock, fd, temp, w->word[1], err);
	if (!ok)
		unlink(temp);
	close(fd);
	close(sock);
	return ok ? 0 : conf_error_status(*err);
}
