/*
 * dump.c - `vmeste dump`: the memory of a running machine into a file.
 *
 * The machine writes into a temporary file beside FILE, which gets its name
 * only when it is whole.
 */
#include <stdio.h>

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

static bool dump_ask(void *ctx, int sock, int fd, GError **err)
{
	const struct dump *d = ctx;
	JsonObject *body = json_object_new();
	g_autoptr(wire_msg_auto) m = NULL;

	json_object_set_boolean_member(body, "virtual", d->virtual);
	m = cli_control_ask(sock, "dump", body, fd, -1, err);
	if (!m)
		return false;
	if (json_object_get_boolean_member_with_default(m->body, "cut", FALSE))
		fprintf(stderr, "vmeste: the guest has more mappings than a "
				"core file can hold; some are left out\n");
	return true;
}

int cli_dump(void *ctx, GError **err)
{
	return cli_control_to_file(ctx, dump_ask, err);
}
