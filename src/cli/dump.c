/*
 * dump.c - `vmeste dump`: the memory of a running machine into a file.
 *
 * The machine writes into a temporary file beside FILE, which gets its name
 * only when it is whole.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/control.h"
#include "cli/verb.h"
#include "conf/error.h"

struct dump {
	struct cli_words words; /* machine, file */
	bool virtual;
};

void *cli_dump_new(void)
{
	struct dump *d = g_new0(struct dump, 1);

	d->words.max = 2;
	return d;
}

static bool set_virtual(void *ctx, const char *v, GError **err)
{
	((struct dump *)ctx)->virtual = true;
	return true;
}

const struct cli_flag cli_dump_flags[] = {
	{"virtual", 0, NULL,
		"at the addresses where processor 0 has it mapped, not at the "
		"physical ones",
		NULL, set_virtual},
	{NULL},
};

static bool dump_ask(
	const struct dump *d, int sock, int fd, const char *temp, GError **err)
{
	JsonObject *body = json_object_new();
	g_autoptr(wire_msg_auto) m = NULL;

	json_object_set_boolean_member(body, "virtual", d->virtual);
	m = cli_control_ask(sock, "dump", body, fd, -1, err);
	if (!m)
		return false;
	if (json_object_get_boolean_member_with_default(m->body, "cut", FALSE))
		fprintf(stderr, "vmeste: the guest has more mappings than a "
				"core file can hold; some are left out\n");
	if (!fsync(fd) && !rename(temp, d->words.word[1]))
		return true;
	conf_error_set_errno(
		err, errno, NULL, "cannot write %s", d->words.word[1]);
	return false;
}

int cli_dump(void *ctx, GError **err)
{
	const struct dump *d = ctx;
	g_autofree char *temp = g_strdup_printf("%s.XXXXXX", d->words.word[1]);
	int sock, fd;
	bool ok;

	if (!d->words.word[1]) {
		conf_error_set(err, CONF_ERROR_USAGE, NULL,
			"vmeste ls lists the machines that run",
			"give a machine and a file");
		return CONF_ERROR_USAGE;
	}
	sock = cli_control_connect(d->words.word[0], err);
	if (sock < 0)
		return conf_error_status(*err);
	fd = g_mkstemp_full(temp, O_RDWR | O_CLOEXEC, 0600);
	if (fd < 0) {
		conf_error_set_errno(err, errno,
			"name a file in a folder that you can write to",
			"cannot write %s", d->words.word[1]);
		close(sock);
		return conf_error_status(*err);
	}
	ok = dump_ask(d, sock, fd, temp, err);
	if (!ok)
		unlink(temp);
	close(fd);
	close(sock);
	return ok ? 0 : conf_error_status(*err);
}
