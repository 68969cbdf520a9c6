/*
 * session.c - start the machine's process, serve it, wait for its end.
 *
 * One poll loop over the wire, signals and the time limit.  The terminal is
 * made raw here and restored here, whatever becomes of the machine's process.
 */
#include "cli/session.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "cli/files.h"
#include "cli/spawn.h"
#include "cli/vsock.h"
#include "conf/error.h"
#include "wire/wire.h"

#define GRACE_US (3 * G_USEC_PER_SEC) /* from stop to kill */

struct terminal {
	bool is_tty;
	struct termios saved;
	int flags[2]; /* of standard input and output; -1 = closed */
};

struct session {
	struct conf_machine *m;
	int sock, sigfd;
	pid_t pid;
	gint64 deadline_us; /* 0 = none */
	int signal;	    /* that ended us, or 0 */
	bool stopping, timed_out, started;
	bool exit_seen; /* the machine said how it ended */
	int status;
	char *message; /* of it, or NULL */
	void (*on_started)(void *);
	void *opaque;
};

/* ---- the terminal ---- */

static bool uses_stdio(const struct conf_machine *m)
{
	if (m->console.kind == CONF_SERIAL_STDIO ||
		m->debugcon.kind == CONF_SERIAL_STDIO)
		return true;
	for (guint i = 0; i < m->serial->len; i++) {
		const struct conf_serial *s = g_ptr_array_index(m->serial, i);

		if (s->kind == CONF_SERIAL_STDIO)
			return true;
	}
	return false;
}

static void terminal_raw(struct terminal *t, const struct conf_machine *m)
{
	struct termios raw;

	t->flags[0] = fcntl(0, F_GETFL);
	t->flags[1] = fcntl(1, F_GETFL);
	t->is_tty = uses_stdio(m) && isatty(0) && !tcgetattr(0, &t->saved);
	if (!t->is_tty)
		return;
	raw = t->saved;
	cfmakeraw(&raw);
	tcsetattr(0, TCSADRAIN, &raw);
}

/* The machine's process may have made the shared descriptions non-blocking. */
static void terminal_restore(const struct terminal *t)
{
	for (int i = 0; i < 2; i++) {
		if (t->flags[i] >= 0)
			fcntl(i, F_SETFL, t->flags[i]);
	}
	if (t->is_tty)
		tcsetattr(0, TCSADRAIN, &t->saved);
}

/* ---- what the machine says ---- */

/* In raw mode a line needs its carriage return. */
static void say(const char *text)
{
	fprintf(stderr, "vmeste: %s%s\n", text, isatty(2) ? "\r" : "");
}

static bool send_start(struct session *s, bool tty, GError **err)
{
	g_autoptr(GArray) fds = g_array_new(FALSE, FALSE, sizeof(int));
	bool ok;
	JsonObject *body = json_object_new();

	json_object_set_member(
		body, "machine", conf_machine_to_json(s->m, fds));
	json_object_set_boolean_member(body, "tty", tty);
	ok = wire_send(s->sock, "start", body, (const int *)(void *)fds->data,
		fds->len, err);
	/* Media come and go: their locks are the machine's alone. */
	for (guint i = 0; i < s->m->drives->len; i++) {
		struct conf_drive *d = g_ptr_array_index(s->m->drives, i);

		if (d->file.fd >= 0)
			close(d->file.fd);
		d->file.fd = -1;
	}
	return ok;
}

static void answer_open(struct session *s, const struct wire_msg *msg)
{
	gint64 n = wire_msg_int(msg, "drive", -1);
	const char *name = wire_msg_string(msg, "name");
	const char *image = wire_msg_string(msg, "image");
	JsonObject *body = json_object_new();
	g_autoptr(GError) err = NULL;
	g_autofree char *path = NULL;
	int fd = -1;

	/* Nothing is opened for a machine whose guest already runs. */
	if (name && !s->started && n >= 0 && n < s->m->drives->len) {
		const struct conf_drive *d =
			g_ptr_array_index(s->m->drives, (guint)n);

		fd = cli_files_open_named(
			&(struct cli_named){.top = d->file.path,
				.from = image ? image : d->file.path,
				.name = name,
				.top_writable = !d->readonly && !d->snapshot &&
						!d->top.path,
				.writable =
					json_object_get_boolean_member_with_default(
						msg->body, "write", FALSE)},
			&path, &err);
	}
	if (fd >= 0) {
		json_object_set_int_member(body, "fd", 0);
		json_object_set_string_member(body, "path", path);
	} else {
		json_object_set_string_member(
			body, "error", err ? err->message : "not allowed");
		json_object_set_int_member(body, "code",
			err ? conf_error_status(err) : CONF_ERROR_DENIED);
	}
	wire_send(s->sock, "opened", body, &fd, fd >= 0, NULL);
	if (fd >= 0)
		close(fd);
}

/* The guest wants who listens at a port: nothing but sockets whose names begin
 * like the machine's, and nothing is waited for. */
static void answer_connect(struct session *s, const struct wire_msg *msg)
{
	gint64 port = wire_msg_int(msg, "port", -1);
	JsonObject *body = json_object_new();
	bool again = false;
	int fd = -1;

	if (port >= 0 && port <= UINT32_MAX)
		fd = cli_vsock_connect(s->m, (uint32_t)port, &again);
	json_object_set_int_member(body, "id", wire_msg_int(msg, "id", 0));
	json_object_set_boolean_member(body, "again", again);
	wire_send(s->sock, "connected", body, &fd, fd >= 0, NULL);
	if (fd >= 0)
		close(fd);
}

static void on_running(struct session *s, const struct wire_msg *msg)
{
	const char *engine = wire_msg_string(msg, "engine");
	const char *why = wire_msg_string(msg, "why");

	if (!s->started && s->on_started)
		s->on_started(s->opaque);
	s->started = true;
	if (s->m->verbose && engine) {
		g_autofree char *text = g_strdup_printf("engine %s%s%s", engine,
			why ? ": " : "", why ? why : "");

		say(text);
	}
}

static void on_message(struct session *s, const struct wire_msg *msg)
{
	const char *text = wire_msg_string(msg, "text");

	if (!strcmp(msg->type, "note") && text)
		say(text);
	else if (!strcmp(msg->type, "open"))
		answer_open(s, msg);
	else if (!strcmp(msg->type, "connect"))
		answer_connect(s, msg);
	else if (!strcmp(msg->type, "running"))
		on_running(s, msg);
	else if (!strcmp(msg->type, "exit")) {
		s->exit_seen = true;
		s->status = (int)wire_msg_int(msg, "status", 1) & 0xff;
		g_free(s->message);
		s->message = g_strdup(wire_msg_string(msg, "message"));
	}
}

/* ---- ending ---- */

static void begin_stop(struct session *s)
{
	if (s->stopping)
		return;
	s->stopping = true;
	s->deadline_us = g_get_monotonic_time() + GRACE_US;
	wire_send(s->sock, "stop", NULL, NULL, 0, NULL);
	kill(s->pid, SIGTERM);
}

static void on_deadline(struct session *s)
{
	if (s->stopping) {
		kill(s->pid, SIGKILL);
		s->deadline_us = 0;
		return;
	}
	s->timed_out = true;
	begin_stop(s);
}

static void on_signal(struct session *s)
{
	struct signalfd_siginfo si;

	if (read(s->sigfd, &si, sizeof(si)) != sizeof(si))
		return;
	/* A second one is for the impatient. */
	if (s->stopping && s->signal)
		kill(s->pid, SIGKILL);
	s->signal = (int)si.ssi_signo;
	begin_stop(s);
}

static int poll_timeout(const struct session *s)
{
	gint64 left;

	if (!s->deadline_us)
		return -1;
	left = (s->deadline_us - g_get_monotonic_time() + 999) / 1000;
	return (int)CLAMP(left, 0, G_MAXINT);
}

/* Until the machine's process closes the wire, which it does by ending. */
static void serve(struct session *s)
{
	struct pollfd p[2] = {{s->sock, POLLIN, 0}, {s->sigfd, POLLIN, 0}};

	for (;;) {
		int n = poll(p, 2, poll_timeout(s));

		if (n < 0 && errno != EINTR)
			return;
		if (n == 0)
			on_deadline(s);
		if (n <= 0)
			continue;
		if (p[1].revents)
			on_signal(s);
		if (p[0].revents) {
			g_autoptr(GError) err = NULL;
			g_autoptr(wire_msg_auto) m = wire_recv(s->sock, &err);

			if (!m)
				return;
			on_message(s, m);
		}
	}
}

/* The wire is closed; the process ends now, or is made to. */
static int reap(struct session *s)
{
	gint64 end = g_get_monotonic_time() + GRACE_US;
	int ws = 0;

	while (waitpid(s->pid, &ws, WNOHANG) == 0) {
		if (g_get_monotonic_time() > end)
			kill(s->pid, SIGKILL);
		g_usleep(1000);
	}
	return ws;
}

static int ended(const struct session *s, int ws, GError **err)
{
	if (s->timed_out) {
		g_autofree char *what = g_strdup_printf(
			"%.3g", (double)s->m->timeout_ms / 1000);

		conf_error_set(err, CONF_ERROR_TIMEOUT,
			"the guest had not powered off by then",
			"give --timeout a longer time, or none",
			"timeout after %s seconds", what);
		return CONF_ERROR_TIMEOUT;
	}
	if (s->signal) {
		g_set_error(err, CONF_ERROR, CONF_ERROR_FAILED,
			"stopped by signal %d (%s)", s->signal,
			strsignal(s->signal));
		return 128 + s->signal;
	}
	if (s->exit_seen) {
		if (s->status && s->message)
			g_set_error_literal(
				err, CONF_ERROR, s->status, s->message);
		else if (s->status)
			g_set_error(err, CONF_ERROR, s->status,
				"the machine ended with status %d", s->status);
		return s->status;
	}
	if (WIFSIGNALED(ws))
		conf_error_set(err, CONF_ERROR_FAILED, strsignal(WTERMSIG(ws)),
			"run again with --verbose and report it",
			"the machine's process was killed by signal %d",
			WTERMSIG(ws));
	else
		conf_error_set(err, CONF_ERROR_FAILED,
			"its process ended without a word",
			"run again with --verbose and report it",
			"the machine was lost (status %d)", WEXITSTATUS(ws));
	return CONF_ERROR_FAILED;
}

static int open_signals(sigset_t *old)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGQUIT);
	sigprocmask(SIG_BLOCK, &set, old);
	return signalfd(-1, &set, SFD_CLOEXEC);
}

static bool start(struct session *s, GError **err)
{
	int sv[2], r = wire_pair(sv);

	if (r) {
		conf_error_set_errno(err, -r, NULL, "cannot make a socket");
		return false;
	}
	s->sock = sv[0];
	s->pid = cli_spawn("vmeste-vm", sv[1], err);
	close(sv[1]);
	return s->pid > 0;
}

int cli_session_run(struct conf_machine *m, GError **err)
{
	return cli_session_run_with(m, NULL, NULL, err);
}

int cli_session_run_with(struct conf_machine *m, void (*started)(void *),
	void *opaque, GError **err)
{
	struct session s = {
		.m = m, .sock = -1, .on_started = started, .opaque = opaque};
	struct terminal t;
	sigset_t old;
	int status = CONF_ERROR_FAILED, ws;

	s.sigfd = open_signals(&old);
	if (m->timeout_ms)
		s.deadline_us =
			g_get_monotonic_time() + (gint64)m->timeout_ms * 1000;
	terminal_raw(&t, m);
	if (start(&s, err)) {
		/* If it is gone already, waiting for it tells why. */
		send_start(&s, t.is_tty, NULL);
		serve(&s);
		ws = reap(&s);
		status = ended(&s, ws, err);
	} else if (err && *err) {
		status = conf_error_status(*err);
	}
	terminal_restore(&t);
	if (s.sock >= 0)
		close(s.sock);
	close(s.sigfd);
	sigprocmask(SIG_SETMASK, &old, NULL);
	cli_files_remove(m);
	g_free(s.message);
	return status;
}
