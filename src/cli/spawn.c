/*
 * spawn.c - find and start vmeste-vm and vmeste-disk.
 */
#include "cli/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <unistd.h>

#include "conf/error.h"
#include "wire/wire.h"

extern char **environ;

char *cli_spawn_find(const char *program, GError **err)
{
	g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);
	g_autofree char *dir = self ? g_path_get_dirname(self) : g_strdup("/");
	g_autofree char *beside = g_build_filename(dir, program, NULL);
	g_autofree char *libexec =
		g_build_filename(dir, "..", "libexec", "vmeste", program, NULL);

	if (!access(beside, X_OK))
		return g_steal_pointer(&beside);
	if (!access(libexec, X_OK))
		return g_steal_pointer(&libexec);
	conf_error_set(err, CONF_ERROR_NOT_FOUND,
		"it does the work and stands beside vmeste or in "
		"libexec/vmeste",
		"build or install vmeste again", "no program %s", beside);
	return NULL;
}

/* The child gets default signals, an empty mask and only descriptors 0..3. */
static void set_attributes(posix_spawnattr_t *attr)
{
	sigset_t none, all;

	sigemptyset(&none);
	sigfillset(&all);
	posix_spawnattr_init(attr);
	posix_spawnattr_setsigmask(attr, &none);
	posix_spawnattr_setsigdefault(attr, &all);
	posix_spawnattr_setflags(
		attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
}

pid_t cli_spawn(const char *program, int sock, GError **err)
{
	g_autofree char *path = cli_spawn_find(program, err);
	g_autofree char *name = g_strdup(program);
	char *argv[] = {name, NULL};
	posix_spawn_file_actions_t fa;
	posix_spawnattr_t attr;
	pid_t pid = -1;
	int r;

	if (!path)
		return -1;
	set_attributes(&attr);
	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_addopen(&fa, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&fa, 1, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_adddup2(&fa, sock, WIRE_VM_FD);
	posix_spawn_file_actions_addclosefrom_np(&fa, WIRE_VM_FD + 1);
	r = posix_spawn(&pid, path, &fa, &attr, argv, environ);
	posix_spawn_file_actions_destroy(&fa);
	posix_spawnattr_destroy(&attr);
	if (!r)
		return pid;
	conf_error_set_errno(err, r, NULL, "cannot start %s", path);
	return -1;
}
