/*
 * control.c - running machines by name.
 */
#include "cli/control.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "cli/verb.h"
#include "conf/error.h"
#include "node/folder.h"

#define NAME_MAX_LEN 60
#define SUFFIX	     ".sock"

bool cli_control_name_ok(const char *name, GError **err)
{
	size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz"
				"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");

	if (n && n <= NAME_MAX_LEN && !name[n] && g_ascii_isalnum(name[0]))
		return true;
	conf_error_set(err, CONF_ERROR_USAGE,
		"a name has up to 60 letters, digits, '.', '_' and '-', and "
		"begins with a letter or a digit",
		NULL, "'%s' cannot be a machine's name", name);
	return false;
}

/* ---- the folder ---- */

static bool writable_dir(const char *path)
{
	return path && path[0] == '/' && !access(path, W_OK | X_OK) &&
	       g_file_test(path, G_FILE_TEST_IS_DIR);
}

static char *dir_path(void)
{
	const char *xdg = g_getenv("XDG_RUNTIME_DIR");
	g_autofree char *run = g_strdup_printf("/run/user/%u", getuid());

	if (writable_dir(xdg))
		return g_build_filename(xdg, "vmeste", NULL);
	if (writable_dir(run))
		return g_build_filename(run, "vmeste", NULL);
	return g_strdup_printf("/tmp/vmeste-%u", getuid());
}

/* Somebody else may have made it in /tmp before us. */
static bool dir_check(const char *dir, int fd, GError **err)
{
	struct stat st;

	if (!fstat(fd, &st) && S_ISDIR(st.st_mode) && st.st_uid == getuid() &&
		!(st.st_mode & 077))
		return true;
	conf_error_set(err, CONF_ERROR_DENIED,
		"it must be a folder of yours that nobody else can enter",
		"remove it, or set XDG_RUNTIME_DIR to a folder of your own",
		"%s is not safe", dir);
	return false;
}

/* The folder, made if need be, locked against others who look for sockets of
 * the dead; the lock goes with the descriptor. */
static int dir_open(char **path, GError **err)
{
	g_autofree char *dir = dir_path();
	int fd;

	if (mkdir(dir, 0700) && errno != EEXIST) {
		conf_error_set_errno(err, errno,
			"set XDG_RUNTIME_DIR to a folder that you can write to",
			"cannot make the folder %s", dir);
		return -1;
	}
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0) {
		conf_error_set_errno(
			err, errno, NULL, "cannot open the folder %s", dir);
		return -1;
	}
	if (!dir_check(dir, fd, err) || flock(fd, LOCK_EX)) {
		close(fd);
		return -1;
	}
	*path = g_steal_pointer(&dir);
	return fd;
}

char *cli_control_path(const char *name, const char *suffix)
{
	g_autofree char *dir = dir_path();

	return g_strdup_printf("%s/%s%s", dir, name, suffix);
}

/* ---- sockets ---- */

static bool sock_address(
	struct sockaddr_un *a, const char *dir, const char *name, GError **err)
{
	g_autofree char *path = g_strdup_printf("%s/%s" SUFFIX, dir, name);

	memset(a, 0, sizeof(*a));
	a->sun_family = AF_UNIX;
	if (strlen(path) < sizeof(a->sun_path)) {
		memcpy(a->sun_path, path, strlen(path));
		return true;
	}
	conf_error_set(err, CONF_ERROR_USAGE,
		"a socket's path has at most 107 bytes",
		"choose a shorter name or XDG_RUNTIME_DIR",
		"the path %s is too long", path);
	return false;
}

/* A socket that is connected, or -1: nobody listens. */
static int sock_connect(const struct sockaddr_un *a)
{
	int fd = socket(
		AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -1;
	/* EAGAIN: so many wait that it must be alive. */
	if (!connect(fd, (const struct sockaddr *)a, sizeof(*a)) ||
		errno == EAGAIN)
		return fd;
	close(fd);
	return -1;
}

static int sock_listen(const struct sockaddr_un *a, GError **err)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	unlink(a->sun_path);
	if (fd >= 0 && !bind(fd, (const struct sockaddr *)a, sizeof(*a)) &&
		!chmod(a->sun_path, 0600) && !listen(fd, 8))
		return fd;
	conf_error_set_errno(
		err, errno, NULL, "cannot listen on %s", a->sun_path);
	if (fd >= 0)
		close(fd);
	return -1;
}

pid_t cli_control_pid(int sock)
{
	struct ucred u = {0};
	socklen_t len = sizeof(u);

	return getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &u, &len) ? 0 : u.pid;
}

bool cli_control_listen(struct conf_machine *m, GError **err)
{
	g_autofree char *dir = NULL;
	struct sockaddr_un a;
	int lock = dir_open(&dir, err), other;
	bool ok = false;

	if (lock < 0)
		return false;
	if (sock_address(&a, dir, m->name, err)) {
		other = sock_connect(&a);
		if (other >= 0) {
			conf_error_set(err, CONF_ERROR_CONFLICT, NULL,
				"choose another --name, or stop it: vmeste "
				"stop NAME",
				"a machine '%s' runs already (process %d)",
				m->name, (int)cli_control_pid(other));
			close(other);
		} else {
			m->control.fd = sock_listen(&a, err);
			ok = m->control.fd >= 0;
		}
	}
	if (ok)
		m->control.path = g_strdup(a.sun_path);
	close(lock);
	return ok;
}

void cli_control_remove(const struct conf_machine *m)
{
	if (m->control.path && m->control.fd >= 0)
		unlink(m->control.path);
}

int cli_control_connect(const char *name, GError **err)
{
	g_autofree char *dir = dir_path();
	struct sockaddr_un a;
	int fd;

	if (!cli_control_name_ok(name, err) ||
		!sock_address(&a, dir, name, err))
		return -1;
	fd = sock_connect(&a);
	if (fd < 0)
		conf_error_set(err, CONF_ERROR_NOT_FOUND, NULL,
			"vmeste ls lists those that run; a machine is named "
			"by vmeste run --name",
			"no machine '%s' runs", name);
	return fd;
}

GPtrArray *cli_control_names(GError **err)
{
	g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
	g_autofree char *dir = NULL;
	int lock = dir_open(&dir, err);
	g_autoptr(GDir) d = lock < 0 ? NULL : g_dir_open(dir, 0, err);
	const char *entry;

	while (d && (entry = g_dir_read_name(d))) {
		g_autofree char *name = g_strdup(entry);
		struct sockaddr_un a;
		int fd;

		if (!g_str_has_suffix(name, SUFFIX))
			continue;
		name[strlen(name) - strlen(SUFFIX)] = '\0';
		if (!sock_address(&a, dir, name, NULL))
			continue;
		fd = sock_connect(&a);
		if (fd >= 0) {
			close(fd);
			g_ptr_array_add(names, g_steal_pointer(&name));
		} else if (errno == ECONNREFUSED) {
			unlink(a.sun_path);
		}
	}
	if (lock >= 0)
		close(lock);
	node_sort_names(names);
	return d ? g_steal_pointer(&names) : NULL;
}

/* ---- asking ---- */

static struct wire_msg *answer_check(struct wire_msg *msg, GError **err)
{
	g_autoptr(wire_msg_auto) m = msg;
	const char *text = wire_msg_string(m, "message");

	if (!strcmp(m->type, "ok"))
		return g_steal_pointer(&m);
	g_set_error(err, CONF_ERROR,
		CLAMP((int)wire_msg_int(m, "status", 1), 1, 255), "%s",
		text ? text : "the machine refuses");
	return NULL;
}

struct wire_msg *cli_control_ask(int sock, const char *type, JsonObject *body,
	int fd, int timeout_ms, GError **err)
{
	g_autoptr(GArray) fds = g_array_new(FALSE, FALSE, sizeof(int));

	if (fd >= 0)
		g_array_append_val(fds, fd);
	return cli_control_ask_fds(sock, type, body, fds, timeout_ms, err);
}

int cli_control_try(const char *name, const char *type, int timeout_ms,
	struct wire_msg **answer)
{
	int sock = cli_control_connect(name, NULL);

	*answer = sock < 0 ? NULL
			   : cli_control_ask(
				     sock, type, NULL, -1, timeout_ms, NULL);
	return sock;
}

struct wire_msg *cli_control_ask_fds(int sock, const char *type,
	JsonObject *body, const GArray *fds, int timeout_ms, GError **err)
{
	struct pollfd p = {.fd = sock, .events = POLLIN};
	struct wire_msg *m;
	int n;

	if (!wire_send(sock, type, body, (const int *)(void *)fds->data,
		    fds->len, err))
		return NULL;
	do
		n = poll(&p, 1, timeout_ms);
	while (n < 0 && errno == EINTR);
	if (n == 0) {
		conf_error_set(err, CONF_ERROR_TIMEOUT, NULL, NULL,
			"the machine does not answer");
		return NULL;
	}
	m = wire_recv(sock, err);
	if (m)
		return answer_check(m, err);
	if (err && !*err)
		conf_error_set(err, CONF_ERROR_FAILED, "it has ended", NULL,
			"the machine is gone");
	return NULL;
}

int cli_control_to_file(void *ctx,
	bool (*ask)(void *ctx, int sock, int fd, GError **err), GError **err)
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
	ok = ask(ctx, sock, fd, err);
	if (ok && (fsync(fd) || rename(temp, w->word[1]))) {
		conf_error_set_errno(
			err, errno, NULL, "cannot write %s", w->word[1]);
		ok = false;
	}
	if (!ok)
		unlink(temp);
	close(fd);
	close(sock);
	return ok ? 0 : conf_error_status(*err);
}
