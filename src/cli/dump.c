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
	char *name, *file;
	bool virtual;
};

void *cli_dump_new(void)
{
	return g_new0(struct dump, 1);
}

void cli_dump_free(void *ctx)
{
	struct dump *d = ctx;

	g_free(d->name);
	g_free(d->file);
	g_free(d);
}

bool cli_dump_positional(void *ctx, const char *word, GError **err)
{
	struct dump *d = ctx;

	if (!d->name) {
		d->name = g_strdup(word);
	} else if (!d->file) {
		d->file = g_strdup(word);
	} else {
		conf_error_set(err, CONF_ERROR_USAGE, NULL, NULL,
			"too many arguments: '%s'", word);
		return false;
	}
	return true;
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
	if (!fsync(fd) && !rename(temp, d->file))
		return true;
	conf_error_set_errno(err, errno, NULL, "cannot write %s", d->file);
	return false;
}

int cli_dump(void *ctx, GError **err)
{
	const struct dump *d = ctx;
	g_autofree char *temp = g_strdup_printf("%s.XXXXXX", d->file);
	int sock, fd;
	bool ok;

	if (!d->file) {
		conf_error_set(err, CONF_ERROR_USAGE, NULL,
			"vmeste ls lists the machines that run",
			"give a machine and a file");
		return CONF_ERROR_USAGE;
	}
	sock = cli_control_connect(d->name, err);
	if (sock < 0)
		return conf_error_status(*err);
	fd = g_mkstemp_full(temp, O_RDWR | O_CLOEXEC, 0600);
	if (fd < 0) {
		conf_error_set_errno(err, errno,
			"name a file in a folder that you can write to",
			"cannot write %s", d->file);
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
