/*
 * folder.c - the folders of machines, and who runs them.
 */
#include "node/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/error.h"

#define WAIT_US 2000000

static char *home(void)
{
	const char *own = g_getenv("VMESTE_HOME");

	if (own && *own)
		return g_canonicalize_filename(own, NULL);
	return g_build_filename(g_get_user_data_dir(), "vmeste", NULL);
}

char *node_dir(const char *name)
{
	g_autofree char *all = home();

	return g_build_filename(all, name, NULL);
}

char *node_path(const char *name, const char *file)
{
	g_autofree char *dir = node_dir(name);

	return g_build_filename(dir, file, NULL);
}

bool node_exists(const char *name)
{
	g_autofree char *xml = node_path(name, "machine.xml");

	return g_file_test(xml, G_FILE_TEST_IS_REGULAR);
}

static gint by_name(gconstpointer a, gconstpointer b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

void node_sort_names(GPtrArray *names)
{
	g_ptr_array_sort(names, by_name);
}

GPtrArray *node_names(GError **err)
{
	GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
	g_autofree char *all = home();
	g_autoptr(GDir) d = g_dir_open(all, 0, NULL);
	const char *entry;

	while (d && (entry = g_dir_read_name(d)))
		if (*entry != '.' && node_exists(entry))
			g_ptr_array_add(names, g_strdup(entry));
	node_sort_names(names);
	return names;
}

/* ---- who runs it ---- */

static int open_run(const char *name, int flags)
{
	g_autofree char *path = node_path(name, "run");

	return open(path, flags | O_CLOEXEC | O_NOFOLLOW, 0600);
}

enum node_state node_state(const char *name)
{
	int fd = open_run(name, O_RDONLY);
	enum node_state state = NODE_OFF;
	struct stat st;

	if (fd < 0)
		return NODE_OFF;
	if (flock(fd, LOCK_SH | LOCK_NB))
		state = NODE_RUNNING;
	else if (!fstat(fd, &st) && st.st_nlink)
		state = NODE_CRASHED;
	close(fd);
	return state;
}

bool node_wait_off(const char *name, unsigned ms)
{
	gint64 end = g_get_monotonic_time() + (gint64)ms * 1000;

	while (node_state(name) == NODE_RUNNING) {
		if (g_get_monotonic_time() > end)
			return false;
		g_usleep(5000);
	}
	return true;
}

static int running_pid(int fd)
{
	char text[32] = "";

	if (pread(fd, text, sizeof(text) - 1, 0) <= 0)
		return 0;
	return atoi(text);
}

pid_t node_pid(const char *name)
{
	int fd = open_run(name, O_RDONLY);
	pid_t pid = fd < 0 ? 0 : running_pid(fd);

	if (fd >= 0)
		close(fd);
	return pid;
}

void node_runs(int lock, pid_t pid)
{
	char text[32];
	int n = snprintf(text, sizeof(text), "%d\n", (int)pid);

	if (ftruncate(lock, 0) || pwrite(lock, text, (size_t)n, 0) != n)
		return; /* only a message will lack it */
}

/* The file may have been removed by the one that held it. */
static bool same_file(const char *name, int fd)
{
	g_autofree char *path = node_path(name, "run");
	struct stat a, b;

	return !fstat(fd, &a) && !stat(path, &b) && a.st_ino == b.st_ino &&
	       a.st_dev == b.st_dev;
}

int node_begin(const char *name, GError **err)
{
	gint64 end = g_get_monotonic_time() + WAIT_US;
	int pid = 0;

	do {
		int fd = open_run(name, O_RDWR | O_CREAT);

		if (fd < 0) {
			conf_error_set_errno(err, errno, NULL,
				"cannot write to the folder of '%s'", name);
			return -1;
		}
		if (!flock(fd, LOCK_EX | LOCK_NB) && same_file(name, fd)) {
			node_runs(fd, getpid());
			return fd;
		}
		pid = running_pid(fd);
		close(fd);
		g_usleep(20000);
	} while (g_get_monotonic_time() < end);
	conf_error_set(err, CONF_ERROR_CONFLICT, NULL,
		"vmeste ls shows it; vmeste stop ends it",
		"the machine '%s' runs already (process %d)", name, pid);
	return -1;
}

void node_end(const char *name, int lock, int status, const char *message)
{
	g_autofree char *run = node_path(name, "run");
	g_autofree char *last = node_path(name, "logs/last");
	g_autofree char *text = g_strdup_printf("%d\n%s%s", status,
		message ? message : "", message ? "\n" : "");

	g_file_set_contents(last, text, -1, NULL);
	unlink(run);
	close(lock);
}

bool node_last(const char *name, int *status, char **message)
{
	g_autofree char *last = node_path(name, "logs/last");
	g_autofree char *text = NULL;
	char *line;

	if (!g_file_get_contents(last, &text, NULL, NULL))
		return false;
	*status = atoi(text);
	line = strchr(text, '\n');
	*message = line && line[1] ? g_strdup(g_strchomp(line + 1)) : NULL;
	return true;
}

/* ---- making and removing ---- */

bool node_create(const char *name, GError **err)
{
	g_autofree char *all = home();
	g_autofree char *dir = node_dir(name);
	g_autofree char *disks = node_path(name, "disks");
	g_autofree char *logs = node_path(name, "logs");

	if (g_mkdir_with_parents(all, 0700) || mkdir(dir, 0700)) {
		if (errno == EEXIST)
			conf_error_set(err, CONF_ERROR_CONFLICT, NULL,
				"choose another name, or remove it: vmeste rm "
				"NAME",
				"there is a machine '%s' already (%s)", name,
				dir);
		else
			conf_error_set_errno(err, errno,
				"set VMESTE_HOME to a folder that you can "
				"write to",
				"cannot make the folder %s", dir);
		return false;
	}
	if (!mkdir(disks, 0700) && !mkdir(logs, 0700))
		return true;
	conf_error_set_errno(
		err, errno, NULL, "cannot make folders in %s", dir);
	return false;
}

static int remove_one(
	const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

void node_discard(const char *name)
{
	g_autofree char *dir = node_dir(name);

	nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* Nobody runs it, and nobody will until the descriptor is closed. */
static int claim(const char *name, GError **err)
{
	if (node_exists(name))
		return node_begin(name, err);
	conf_error_set(err, CONF_ERROR_NOT_FOUND, NULL,
		"vmeste ls lists the machines", "there is no machine '%s'",
		name);
	return -1;
}

bool node_remove(const char *name, GError **err)
{
	g_autofree char *dir = node_dir(name);
	int lock = claim(name, err), failed = 0;

	if (lock < 0)
		return false;
	/* links are removed, not followed */
	if (nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS))
		failed = errno;
	close(lock);
	if (failed)
		conf_error_set_errno(
			err, failed, NULL, "cannot remove all of %s", dir);
	return !failed;
}

bool node_rename(const char *name, const char *to, GError **err)
{
	g_autofree char *from = node_dir(name);
	g_autofree char *dir = node_dir(to);
	g_autofree char *run = NULL;
	int lock = claim(name, err), failed = 0;

	if (lock < 0)
		return false;
	if (g_file_test(dir, G_FILE_TEST_EXISTS))
		failed = EEXIST;
	else if (rename(from, dir))
		failed = errno;
	run = node_path(failed ? name : to, "run");
	unlink(run);
	close(lock);
	if (failed)
		conf_error_set_errno(err, failed, NULL,
			"cannot rename '%s' to '%s'", name, to);
	return !failed;
}
