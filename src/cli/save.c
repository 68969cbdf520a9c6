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

#include <glib-unix.h>

#include "cli/control.h"
#include "cli/files.h"
#include "cli/save.h"
#include "cli/snap.h"
#include "cli/verb.h"
#include "conf/error.h"
#include "node/folder.h"

#define GONE_MS	    60000 /* to end, when all is written */
#define MAX_SCRATCH 16	  /* drives that are ,snapshot */

struct save {
	struct cli_words words; /* machine, file */
	bool running;
};

void *cli_save_new(void)
{
	struct save *s = g_new0(struct save, 1);

	s->words.max = 2;
	return s;
}

static bool set_running(void *ctx, const char *v, GError **err)
{
	((struct save *)ctx)->running = true;
	return true;
}

const struct cli_flag cli_save_flags[] = {
	{"running", 0, NULL,
		"let the machine go on meanwhile and after; it stands for a "
		"moment only, its disks have to be ,readonly or ,snapshot",
		NULL, set_running},
	{NULL},
};

static bool wait_gone(int sock, GError **err)
{
	struct pollfd p = {.fd = sock, .events = POLLIN};

	if (poll(&p, 1, GONE_MS) > 0)
		return true;
	conf_error_set(err, CONF_ERROR_TIMEOUT, NULL, NULL,
		"the machine is saved, but does not end");
	return false;
}

void cli_save_say(const struct cli_save_figures *f)
{
	g_autofree char *stood =
		f->stood_ns ? g_strdup_printf("; the machine stood for %.1f ms",
				      (double)f->stood_ns * 1e-6)
			    : NULL;

	fprintf(stderr, "vmeste: %.1f MB in %.2f s%s\n",
		(double)f->bytes * 1e-6, (double)f->ns * 1e-9,
		stood ? stood : "");
}

/* It ends. */
static bool save_end(int sock, int fd, GError **err)
{
	g_autoptr(wire_msg_auto) m =
		cli_control_ask(sock, "save", NULL, fd, -1, err);
	struct cli_save_figures f = {0};

	if (!m || !wait_gone(sock, err))
		return false;
	f.bytes = (uint64_t)wire_msg_int(m, "bytes", 0);
	f.ns = (uint64_t)wire_msg_int(m, "ns", 0);
	cli_save_say(&f);
	return true;
}

/* What the process says that writes the state: vmm/priv.h has the same. */
struct snapshot_result {
	uint64_t ok, bytes, ns;
	char message[232];
};

static bool snapshot_wait(int from, struct cli_save_figures *f, GError **err)
{
	struct snapshot_result r = {0};
	ssize_t n = read(from, &r, sizeof(r));

	f->bytes = r.bytes;
	f->ns = r.ns;
	if (n == sizeof(r) && r.ok)
		return true;
	r.message[sizeof(r.message) - 1] = '\0';
	if (n == sizeof(r))
		g_set_error_literal(
			err, CONF_ERROR, CONF_ERROR_FAILED, r.message);
	else
		conf_error_set(err, CONF_ERROR_FAILED,
			"the process that wrote it was killed", NULL,
			"the state is not whole");
	return false;
}

/* Files for what is written to ,snapshot drives from now on. */
static bool add_scratch(GArray *fds, GError **err)
{
	for (unsigned i = 0; i < MAX_SCRATCH; i++) {
		struct conf_file f = {.fd = -1};
		bool ok = cli_files_scratch(&f, err);

		if (ok)
			g_array_append_val(fds, f.fd);
		g_free(f.path);
		if (!ok)
			return false;
	}
	return true;
}

static bool ask_running(int sock, JsonObject *body, GArray *fds, int from,
	struct cli_save_figures *f, GError **err)
{
	g_autoptr(wire_msg_auto) m = NULL;

	json_object_set_boolean_member(body, "running", TRUE);
	m = cli_control_ask_fds(sock, "save", body, fds, -1, err);
	/* All but the file itself are the machine's now. */
	for (guint i = 1; i < fds->len; i++)
		close(g_array_index(fds, int, i));
	f->stood_ns = m ? (uint64_t)wire_msg_int(m, "ns", 0) : 0;
	return m && snapshot_wait(from, f, err);
}

bool cli_save_running(int sock, int fd, JsonObject *body, const GArray *more,
	struct cli_save_figures *f, GError **err)
{
	g_autoptr(GArray) fds = g_array_new(FALSE, FALSE, sizeof(int));
	int result[2];
	bool ok;

	*f = (struct cli_save_figures){0};
	if (!g_unix_open_pipe(result, FD_CLOEXEC, err)) {
		json_object_unref(body);
		return false;
	}
	g_array_append_val(fds, fd);
	g_array_append_val(fds, result[1]);
	if (more)
		g_array_append_vals(fds, more->data, more->len);
	ok = add_scratch(fds, err);
	if (ok)
		ok = ask_running(sock, body, fds, result[0], f, err);
	else
		json_object_unref(body);
	close(result[0]);
	return ok;
}

/* It goes on. */
static bool save_running(int sock, int fd, GError **err)
{
	struct cli_save_figures f;

	if (!cli_save_running(sock, fd, json_object_new(), NULL, &f, err))
		return false;
	cli_save_say(&f);
	return true;
}

/* ---- a machine that has a folder ---- */

static bool stored_into(struct snaps *s, int fd, GError **err)
{
	int sock = cli_control_connect(s->name, err);
	bool ok = sock >= 0 && save_end(sock, fd, err);

	if (sock >= 0)
		close(sock);
	if (ok && fsync(fd)) {
		conf_error_set_errno(
			err, errno, NULL, "cannot write the state");
		return false;
	}
	if (ok && !node_wait_off(s->name, GONE_MS)) {
		conf_error_set(err, CONF_ERROR_TIMEOUT, NULL, NULL,
			"the machine is saved, but does not end");
		return false;
	}
	return ok && snaps_set_saved(s, err);
}

static bool save_stored(struct snaps *s, const char *name, GError **err)
{
	int fd;
	bool ok;

	if (!snaps_open(s, name, err))
		return false;
	if (!s->runs) {
		conf_error_set(err, CONF_ERROR_NOT_FOUND, NULL,
			"vmeste start it first",
			s->t->saved.file ? "the machine '%s' is saved already"
					 : "the machine '%s' does not run",
			name);
		return false;
	}
	fd = snaps_save_file(s, err);
	if (fd < 0)
		return false;
	ok = stored_into(s, fd, err);
	close(fd);
	return ok;
}

static bool save_ask(void *ctx, int sock, int fd, GError **err)
{
	const struct save *s = ctx;

	return (s->running ? save_running : save_end)(sock, fd, err);
}

int cli_save(void *ctx, GError **err)
{
	const struct save *one = ctx;
	struct snaps s;
	bool ok;

	if (one->words.n == 1 && !one->running &&
		node_exists(one->words.word[0])) {
		ok = save_stored(&s, one->words.word[0], err);
		snaps_close(&s);
		return ok ? 0 : cli_status(err);
	}
	return cli_control_to_file(ctx, save_ask, err);
}
