/*
 * trace.c - `vmeste trace`: what the processors of a running machine do.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cli/control.h"
#include "cli/verb.h"
#include "conf/error.h"

#define ANSWER_MS 60000

struct trace {
	struct cli_words words; /* machine */
	uint64_t for_ms;
	unsigned last;
	bool insns;
};

void *cli_trace_new(void)
{
	struct trace *t = g_new0(struct trace, 1);

	t->words.max = 1;
	t->for_ms = 1000;
	t->last = 1 << 16;
	return t;
}

static bool set_for(void *ctx, const char *v, GError **err)
{
	return conf_parse_time(v, &((struct trace *)ctx)->for_ms, err);
}

static bool set_last(void *ctx, const char *v, GError **err)
{
	return conf_parse_uint(v, "number of events", 1, 1 << 20,
		&((struct trace *)ctx)->last, err);
}

static bool set_insns(void *ctx, const char *v, GError **err)
{
	((struct trace *)ctx)->insns = true;
	return true;
}

const struct cli_flag cli_trace_flags[] = {
	{"for", 0, "TIME", "how long to record (default: 1s)", NULL, set_for},
	{"last", 'n', "N", "events of each processor, at most (default: 65536)",
		NULL, set_last},
	{"insns", 'i', NULL,
		"every instruction, disassembled; the guest is interpreted "
		"meanwhile",
		NULL, set_insns},
	{NULL},
};

static struct wire_msg *trace_ask(
	const struct trace *t, int sock, const char *what, int fd, GError **err)
{
	JsonObject *body = json_object_new();

	json_object_set_string_member(body, "do", what);
	json_object_set_int_member(body, "events", t->last);
	json_object_set_boolean_member(body, "insns", t->insns);
	return cli_control_ask(sock, "trace", body, fd, ANSWER_MS, err);
}

static bool copy_out(int fd)
{
	char buf[65536];
	ssize_t n;

	if (lseek(fd, 0, SEEK_SET) < 0)
		return false;
	while ((n = read(fd, buf, sizeof(buf))) > 0)
		if (fwrite(buf, 1, (size_t)n, stdout) != (size_t)n)
			return false;
	return n == 0;
}

static bool trace_run(const struct trace *t, int sock, int fd, GError **err)
{
	g_autoptr(wire_msg_auto) first = trace_ask(t, sock, "start", -1, err);
	g_autoptr(wire_msg_auto) text = NULL, last = NULL;
	bool was_on;

	if (!first)
		return false;
	was_on = json_object_get_boolean_member_with_default(
		first->body, "was_on", FALSE);
	if (!was_on)
		g_usleep(t->for_ms * 1000);
	text = trace_ask(t, sock, "print", fd, err);
	if (!was_on)
		last = trace_ask(t, sock, "stop", -1, NULL);
	return text && copy_out(fd);
}

int cli_trace(void *ctx, GError **err)
{
	const struct trace *t = ctx;
	int sock, fd;
	bool ok;

	if (!t->words.word[0]) {
		conf_error_set(err, CONF_ERROR_USAGE, NULL,
			"vmeste ls lists the machines that run",
			"which machine?");
		return CONF_ERROR_USAGE;
	}
	sock = cli_control_connect(t->words.word[0], err);
	if (sock < 0)
		return conf_error_status(*err);
	fd = memfd_create("trace", MFD_CLOEXEC);
	if (fd < 0) {
		conf_error_set_errno(
			err, errno, NULL, "cannot make a temporary file");
		close(sock);
		return CONF_ERROR_FAILED;
	}
	ok = trace_run(t, sock, fd, err);
	close(fd);
	close(sock);
	return ok ? 0 : err && *err ? conf_error_status(*err) : 1;
}
