/*
 * disk_job.c - start vmeste-disk, serve it, show how far it is.
 *
 * A file that is made has another name until all is done: what is broken off
 * leaves nothing behind.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/disk.h"
#include "cli/files.h"
#include "cli/spawn.h"
#include "conf/error.h"
#include "conf/options.h"
#include "conf/parse.h"

#define BAR 30 /* characters */

struct cli_disk_job *cli_disk_new(const char *what)
{
	struct cli_disk_job *j = g_new0(struct cli_disk_job, 1);
	sigset_t set;

	j->body = json_object_new();
	j->images = json_object_new();
	j->fds = g_array_new(FALSE, FALSE, sizeof(int));
	j->made = g_ptr_array_new_with_free_func(g_free);
	j->more = g_ptr_array_new_with_free_func(g_free);
	json_object_set_string_member(j->body, "what", what);
	json_object_set_object_member(j->body, "images", j->images);
	j->bar = isatty(2);
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, &j->signals);
	j->sigfd = signalfd(-1, &set, SFD_CLOEXEC);
	return j;
}

void cli_disk_free(struct cli_disk_job *j)
{
	if (!j)
		return;
	for (guint i = 0; i + 1 < j->made->len; i += 2)
		unlink(g_ptr_array_index(j->made, i));
	for (guint i = 0; i < j->fds->len; i++)
		close(g_array_index(j->fds, int, i));
	if (j->body)
		json_object_unref(j->body);
	if (j->sigfd >= 0)
		close(j->sigfd);
	sigprocmask(SIG_SETMASK, &j->signals, NULL);
	g_ptr_array_free(j->made, TRUE);
	g_ptr_array_free(j->more, TRUE);
	g_array_free(j->fds, TRUE);
	g_free(j);
}

/* ---- files ---- */

static JsonObject *add_role(struct cli_disk_job *j, const char *role,
	const char *path, const char *format, int fd)
{
	JsonObject *o = json_object_new();

	if (!format)
		format = conf_format_words.words[conf_format_by_name(path)];
	json_object_set_int_member(o, "fd", j->fds->len);
	json_object_set_string_member(o, "path", path);
	json_object_set_string_member(o, "format", format);
	json_object_set_object_member(j->images, role, o);
	g_array_append_val(j->fds, fd);
	return o;
}

void cli_disk_add_fd(struct cli_disk_job *j, const char *role, int fd)
{
	JsonObject *o = json_object_new();

	json_object_set_int_member(o, "fd", j->fds->len);
	json_object_set_object_member(j->images, role, o);
	g_array_append_val(j->fds, fd);
}

bool cli_disk_add_key(struct cli_disk_job *j, const char *role,
	const char *path, GError **err)
{
	int fd = path ? cli_files_open_key(path, err) : -1;

	if (fd < 0)
		return !path;
	json_object_set_int_member(
		json_object_get_object_member(j->images, role), "key",
		j->fds->len);
	g_array_append_val(j->fds, fd);
	return true;
}

bool cli_disk_add(struct cli_disk_job *j, const char *role, const char *path,
	const char *format, bool writable, GError **err)
{
	int fd = cli_files_open_image(path, writable, err);

	if (fd < 0)
		return false;
	if (!j->top) {
		j->top = path;
		j->top_writable = writable;
	}
	json_object_set_boolean_member(
		add_role(j, role, path, format, fd), "write", writable);
	return true;
}

/* A new file that will be called path.  Descriptor or -1. */
static int make_file(struct cli_disk_job *j, const char *path, GError **err)
{
	g_autofree char *dir = g_path_get_dirname(path);
	g_autofree char *base = g_path_get_basename(path);
	g_autofree char *hidden =
		g_strdup_printf(".%s.%d.part", base, (int)getpid());
	g_autofree char *name = g_build_filename(dir, hidden, NULL);
	int fd = open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);

	if (fd < 0) {
		conf_error_set_errno(err, errno,
			"choose a folder that you can write to",
			"cannot make %s", path);
		return -1;
	}
	g_ptr_array_add(j->made, g_steal_pointer(&name));
	g_ptr_array_add(j->made, g_strdup(path));
	return fd;
}

bool cli_disk_may_make(const char *path, bool replace, GError **err)
{
	if (replace || access(path, F_OK))
		return true;
	conf_error_set(err, CONF_ERROR_CONFLICT, NULL,
		"choose another name, or add --force", "%s exists", path);
	return false;
}

bool cli_disk_add_new(struct cli_disk_job *j, const char *path,
	const char *format, bool replace, GError **err)
{
	JsonObject *o;
	int fd;

	if (!cli_disk_may_make(path, replace, err))
		return false;
	fd = make_file(j, path, err);
	if (fd < 0)
		return false;
	o = add_role(j, "dst", path, format, fd);
	json_object_set_boolean_member(o, "write", TRUE);
	json_object_set_boolean_member(o, "lazy", TRUE);
	j->target = path;
	return true;
}

/* Extents lie beside their image and are called like it. */
static int make_extent(struct cli_disk_job *j, const char *name, GError **err)
{
	g_autofree char *dir = NULL, *stem = NULL, *path = NULL;

	for (guint i = 1; i < j->more->len; i++) {
		const char *p = g_ptr_array_index(j->more, i);

		const char *slash = strrchr(p, '/');

		if (!strcmp(slash ? slash + 1 : p, name))
			return make_file(j, p, err);
	}
	if (j->target) {
		dir = g_path_get_dirname(j->target);
		stem = g_path_get_basename(j->target);
		if (g_str_has_suffix(stem, ".vmdk"))
			stem[strlen(stem) - strlen(".vmdk")] = '\0';
	}
	if (!stem || strchr(name, '/') || !g_str_has_prefix(name, stem) ||
		!g_str_has_suffix(name, ".vmdk")) {
		conf_error_set(err, CONF_ERROR_DENIED, NULL, NULL,
			"will not make %s", name);
		return -1;
	}
	path = g_build_filename(dir, name, NULL);
	return make_file(j, path, err);
}

/* What we have just made is not there under its name yet. */
static int open_made(struct cli_disk_job *j, const char *name)
{
	for (guint i = 0; i + 1 < j->made->len; i += 2) {
		g_autofree char *base =
			g_path_get_basename(g_ptr_array_index(j->made, i + 1));

		if (!strcmp(base, name))
			return open(g_ptr_array_index(j->made, i),
				O_RDWR | O_CLOEXEC);
	}
	return -1;
}

static void answer_open(
	struct cli_disk_job *j, int sock, const struct wire_msg *msg)
{
	const char *name = wire_msg_string(msg, "name");
	const char *image = wire_msg_string(msg, "image");
	bool write = json_object_get_boolean_member_with_default(
		msg->body, "write", FALSE);
	JsonObject *body = json_object_new();
	g_autoptr(GError) err = NULL;
	g_autofree char *path = NULL;
	int fd = -1;

	if (name && json_object_get_boolean_member_with_default(
			    msg->body, "make", FALSE)) {
		fd = make_extent(j, name, &err);
	} else if (name && write && j->target) {
		fd = open_made(j, name);
	} else if (name) {
		const struct cli_named n = {.top = j->top ? j->top : "",
			.from = image	 ? image
				: j->top ? j->top
					 : "",
			.name = name,
			.top_writable = j->top_writable,
			.writable = write};

		fd = cli_files_open_named(&n, &path, &err);
	}
	if (fd >= 0) {
		json_object_set_int_member(body, "fd", 0);
		json_object_set_string_member(body, "path", path ? path : name);
	} else {
		json_object_set_string_member(
			body, "error", err ? err->message : "not allowed");
		json_object_set_int_member(body, "code",
			err ? conf_error_status(err) : CONF_ERROR_DENIED);
	}
	wire_send(sock, "opened", body, &fd, fd >= 0, NULL);
	if (fd >= 0)
		close(fd);
}

static void answer_mount(struct cli_disk_job *j, int sock)
{
	JsonObject *body = json_object_new();
	g_autoptr(GError) err = NULL;
	int fd[2];
	bool ok = j->mount && j->mount(j->opaque, fd, &err);

	if (!ok) {
		json_object_set_string_member(
			body, "error", err ? err->message : "not allowed");
		json_object_set_int_member(body, "code",
			err ? conf_error_status(err) : CONF_ERROR_DENIED);
	}
	wire_send(sock, "opened", body, fd, ok ? 2 : 0, NULL);
	for (unsigned i = 0; ok && i < 2; i++)
		close(fd[i]);
}

bool cli_disk_keep(struct cli_disk_job *j, GError **err)
{
	/* The image itself comes last: its extents are there by then. */
	for (guint i = j->made->len; i >= 2; i -= 2) {
		const char *from = g_ptr_array_index(j->made, i - 2);
		const char *to = g_ptr_array_index(j->made, i - 1);
		int fd = j->sync ? open(from, O_RDWR | O_CLOEXEC) : -1;

		if (fd >= 0 && (fsync(fd) || close(fd))) {
			conf_error_set_errno(
				err, errno, NULL, "cannot write %s", to);
			return false;
		}
		if (rename(from, to)) {
			conf_error_set_errno(
				err, errno, NULL, "cannot make %s", to);
			return false;
		}
	}
	g_ptr_array_set_size(j->made, 0);
	return true;
}

/* ---- how far ---- */

struct serve {
	struct cli_disk_job *j;
	int sock;
	pid_t pid;
	gint64 began_us;
	bool stopped;
	bool left; /* it goes on without us */
	struct wire_msg *done;
};

static bool bar_drawn;

void cli_disk_bar_clear(void)
{
	if (bar_drawn)
		fputs("\r\033[K", stderr);
	bar_drawn = false;
}

void cli_disk_bar(gint64 began_us, double done, double total)
{
	double took = (double)(g_get_monotonic_time() - began_us) / 1e6;
	double part = total > 0 ? CLAMP(done / total, 0, 1) : 0;
	int n = (int)(part * BAR);
	unsigned left =
		part > 0.001 ? (unsigned)(took / part * (1 - part) + 0.5) : 0;

	if (!isatty(2))
		return;
	fprintf(stderr, "\r[%.*s%*s] %3d%%", n,
		"##############################", BAR - n, "",
		(int)(part * 100));
	if (part > 0.001)
		fprintf(stderr, "  %u:%02u left ", left / 60, left % 60);
	fflush(stderr);
	bar_drawn = true;
}

/* ---- the talk ---- */

static void on_message(struct serve *s, struct wire_msg *m)
{
	JsonNode *rows = json_object_get_member(m->body, "rows");
	const char *text = wire_msg_string(m, "text");

	if (!strcmp(m->type, "open")) {
		answer_open(s->j, s->sock, m);
	} else if (!strcmp(m->type, "progress")) {
		if (s->j->bar)
			cli_disk_bar(s->began_us,
				(double)wire_msg_int(m, "done", 0),
				(double)wire_msg_int(m, "total", 1));
	} else if (!strcmp(m->type, "note") && text) {
		cli_disk_bar_clear();
		fprintf(stderr, "vmeste: %s\n", text);
	} else if (!strcmp(m->type, "rows") && rows && s->j->rows &&
		   JSON_NODE_HOLDS_ARRAY(rows)) {
		s->j->rows(s->j->opaque, json_node_get_array(rows));
	} else if (!strcmp(m->type, "mount")) {
		answer_mount(s->j, s->sock);
	} else if (!strcmp(m->type, "ready")) {
		if (s->j->ready)
			s->j->ready(s->j->opaque, m);
		s->left = s->j->background;
	}
	if (!strcmp(m->type, "done") || s->left) {
		s->done = m;
		return;
	}
	wire_msg_free(m);
}

static bool serve_one(struct serve *s, GError **err)
{
	struct pollfd p[2] = {{s->sock, POLLIN, 0}, {s->j->sigfd, POLLIN, 0}};
	struct signalfd_siginfo si;
	struct wire_msg *m;

	if (poll(p, 2, -1) < 0)
		return errno == EINTR;
	if (p[1].revents && read(s->j->sigfd, &si, sizeof(si)) == sizeof(si)) {
		s->stopped = !s->j->serves;
		kill(s->pid, SIGTERM);
		return s->j->serves;
	}
	if (!p[0].revents)
		return true;
	m = wire_recv(s->sock, err);
	if (m)
		on_message(s, m);
	return m && !s->done;
}

static void serve_all(struct serve *s, GError **err)
{
	int status;

	while (serve_one(s, err))
		;
	cli_disk_bar_clear();
	if (!s->left)
		waitpid(s->pid, &status, 0);
}

/* How it ended, if not well. */
static bool ended_well(struct serve *s, GError **err)
{
	const char *text = s->done ? wire_msg_string(s->done, "message") : NULL;

	if (s->stopped)
		conf_error_set(err, CONF_ERROR_FAILED, NULL, NULL, "cancelled");
	else if (!s->done && (!err || !*err))
		conf_error_set(err, CONF_ERROR_FAILED,
			"its process ended: the image may be made to harm",
			NULL, "the work was not done");
	else if (text)
		g_set_error(err, CONF_ERROR,
			(int)wire_msg_int(s->done, "status", 1), "%s", text);
	else
		return true;
	return false;
}

struct wire_msg *cli_disk_run(struct cli_disk_job *j, GError **err)
{
	struct serve s = {.j = j, .began_us = g_get_monotonic_time()};
	JsonObject *body = g_steal_pointer(&j->body);
	int sv[2];
	bool ok;

	if (wire_pair(sv)) {
		json_object_unref(body);
		conf_error_set_errno(err, errno, NULL, "cannot make sockets");
		return NULL;
	}
	if (j->background)
		json_object_set_boolean_member(body, "background", TRUE);
	s.sock = sv[0];
	s.pid = cli_spawn("vmeste-disk", sv[1], err);
	close(sv[1]);
	ok = s.pid > 0;
	if (ok)
		ok = wire_send(sv[0], "job", body,
			(const int *)(void *)j->fds->data, j->fds->len, err);
	else
		json_object_unref(body);
	if (s.pid > 0)
		serve_all(&s, ok ? err : NULL);
	close(sv[0]);
	if (ok && ended_well(&s, err))
		return s.done;
	if (s.done)
		wire_msg_free(s.done);
	return NULL;
}
