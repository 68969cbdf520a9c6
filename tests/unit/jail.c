/*
 * jail.c - a jailed child opens nothing, runs nothing, and still works.
 *
 * Each case runs in a child; its exit status is the verdict.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <pthread.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <glib.h>

#include "jail/jail.h"

/* What is served in the jail, if a test says so. */
static struct jail_folder folder = {.fd = -1};

static int self_fd = -1;

static unsigned enter(bool net)
{
	struct jail_conf c = {.net = net,
		.share = folder.shared,
		.folders = &folder,
		.nfolders = folder.fd >= 0 ? 1 : 0};

	jail_isolate(&c);
	self_fd = c.self ? open(c.self, O_PATH | O_CLOEXEC) : -1;
	return jail_seal(&c);
}

/* As on a host that keeps them for root: then Landlock has to do. */
static bool no_namespaces;

static void forbid_namespaces(void)
{
	scmp_filter_ctx f = seccomp_init(SCMP_ACT_ALLOW);

	seccomp_rule_add(f, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(unshare), 0);
	if (seccomp_load(f))
		_exit(77);
}

/* Exit status of fn in a jailed child; minus the signal if one killed it. */
static int jailed(bool net, int (*fn)(void))
{
	pid_t pid = fork();
	int ws;

	if (pid == 0) {
		if (no_namespaces)
			forbid_namespaces();
		/* Without seccomp there is nothing to see. */
		if (!(enter(net) & JAIL_SECCOMP))
			_exit(77);
		_exit(fn());
	}
	g_assert_cmpint(waitpid(pid, &ws, 0), ==, pid);
	return WIFSIGNALED(ws) ? -WTERMSIG(ws) : WEXITSTATUS(ws);
}

static void expect(bool net, int (*fn)(void), int status)
{
	int r = jailed(net, fn);

	if (r == 77)
		g_test_skip("no seccomp on this host");
	else
		g_assert_cmpint(r, ==, status);
}

static int try_open(void)
{
	static const char *const paths[] = {"/", "/etc/passwd",
		"/proc/self/maps", "/dev/null", "/etc/resolv.conf", "."};

	for (unsigned i = 0; i < G_N_ELEMENTS(paths); i++) {
		if (open(paths[i], O_RDONLY) >= 0)
			return 1;
	}
	return open("/tmp/vmeste-jail-test", O_CREAT | O_WRONLY, 0600) >= 0;
}

static int try_open_net(void)
{
	/* The resolver's file at most. */
	return open("/etc/passwd", O_RDONLY) >= 0 ||
	       open("/dev/null", O_RDONLY) >= 0 ||
	       open("/etc/resolv.conf", O_RDWR) >= 0 ||
	       open("/x", O_CREAT | O_WRONLY, 0600) >= 0;
}

static int open_below(const char *name, int flags)
{
	g_autofree char *path = g_build_filename(folder.seen, name, NULL);

	return open(path, flags | O_CLOEXEC);
}

/* All of the folder, and nothing else by any name. */
static int try_folder(void)
{
	static const char *const out[] = {"../secret", "absolute", "upward",
		"../../etc/passwd", "deep/up", "../..", NULL};

	if (!folder.seen)
		return 1;
	if (open_below("file", O_RDONLY) < 0 ||
		open_below("deep/file", O_RDONLY) < 0 ||
		open_below("inside", O_RDONLY) < 0)
		return 2;
	for (unsigned i = 0; out[i]; i++)
		if (open_below(out[i], O_RDONLY) >= 0)
			return 10 + (int)i;
	if (open_below("file", O_RDWR) >= 0 ||
		open_below("file", O_WRONLY | O_TRUNC) >= 0 ||
		open_below("new", O_WRONLY | O_CREAT) >= 0)
		return 3;
	return try_open_net();
}

static int open2(int dir, const char *name, uint64_t flags, uint64_t mode)
{
	struct open_how how = {.flags = flags | O_CLOEXEC, .mode = mode};

	return (int)syscall(SYS_openat2, dir, name, &how, sizeof(how));
}

/* A shared one: what is in it can be changed, nothing else is in sight. */
static int use_shared(void)
{
	int dir = open2(AT_FDCWD, folder.seen ? folder.seen : "",
		O_PATH | O_DIRECTORY, 0);
	int f = open2(dir, "new", O_CREAT | O_RDWR, 0600), p;
	char name[16];

	if (f < 0 || write(f, "x", 1) != 1 || renameat(dir, "new", dir, "n2") ||
		mkdirat(dir, "d", 0700) || unlinkat(dir, "d", AT_REMOVEDIR))
		return 1;
	p = open2(dir, "n2", O_PATH | O_NOFOLLOW, 0);
	snprintf(name, sizeof(name), "%d", p);
	if (open2(self_fd, name, O_WRONLY, 0) < 0 ||
		fchmodat(self_fd, name, 0, 0) || unlinkat(dir, "n2", 0))
		return 2;
	if (open2(dir, "../secret", O_RDONLY, 0) >= 0 ||
		open2(dir, "upward", O_RDONLY, 0) >= 0 ||
		open2(dir, "absolute", O_RDWR, 0) >= 0 ||
		open2(AT_FDCWD, "/etc/passwd", O_RDONLY, 0) >= 0 ||
		open2(AT_FDCWD, "/proc/self/maps", O_RDONLY, 0) >= 0 ||
		open2(self_fd, "../maps", O_RDONLY, 0) >= 0)
		return 3;
	if (mknodat(dir, "c", S_IFCHR | 0600, 0x103) == 0 ||
		mknodat(dir, "b", S_IFBLK | 0600, 0x800) == 0)
		return 4;
	return 0;
}

static int try_shared(void)
{
	/* This host has neither way of closing the rest. */
	return !folder.seen && folder.errno_ == ENOSYS ? 77 : use_shared();
}

static int try_no_folder(void)
{
	return folder.seen || !folder.errno_;
}

static int try_exec(void)
{
	execl("/bin/true", "true", NULL);
	return 1;
}

/* A copy, which writes a state, lives in the same jail. */
static int try_fork(void)
{
	char bad = 1;
	int p[2];

	if (pipe2(p, 0))
		return 1;
	switch (fork()) {
	case -1: return 2;
	case 0:
		bad = try_open() || kill(getppid(), 0) == 0 ||
		      syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0) >=
			      0;
		_exit(write(p[1], &bad, 1) != 1);
	}
	close(p[1]);
	return read(p[0], &bad, 1) != 1 || bad;
}

static int try_kill(void)
{
	return kill(getppid(), 0) == 0;
}

static int try_sockets(void)
{
	return socket(AF_INET, SOCK_STREAM, 0) >= 0 ||
	       socket(AF_UNIX, SOCK_STREAM, 0) >= 0 ||
	       socket(AF_PACKET, SOCK_RAW, 0) >= 0;
}

static int try_sockets_net(void)
{
	return socket(AF_INET, SOCK_STREAM, 0) < 0 ||
	       socket(AF_UNIX, SOCK_STREAM, 0) >= 0 ||
	       socket(AF_NETLINK, SOCK_RAW, 0) >= 0;
}

static void *thread(void *arg)
{
	return arg;
}

/* What a machine needs does work: executable memory, threads, files that
 * are open. */
static int try_work(void)
{
	static const uint8_t code[] = {0xb8, 42, 0, 0, 0, 0xc3};
	struct stat st;
	pthread_t t;
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return 1;
	memcpy(p, code, sizeof(code));
	if (mprotect(p, 4096, PROT_READ | PROT_EXEC))
		return 2;
	if (((int (*)(void))p)() != 42)
		return 3;
	if (pthread_create(&t, NULL, thread, NULL) || pthread_join(t, NULL))
		return 4;
	if (fstat(1, &st) || getuid() == 0)
		return 5;
	return write(1, "", 0) == 0 ? 42 : 6;
}

static void test_open(void)
{
	expect(false, try_open, 0);
	expect(true, try_open_net, 0);
}

static void put(const char *dir, const char *name)
{
	g_autofree char *path = g_build_filename(dir, name, NULL);

	g_assert_true(g_file_set_contents(path, "x", 1, NULL));
	chmod(path, 0644);
}

static void put_link(const char *dir, const char *name, const char *to)
{
	g_autofree char *path = g_build_filename(dir, name, NULL);

	g_assert_no_errno(symlink(to, path));
}

static void test_folder(void)
{
	g_autofree char *top = g_dir_make_tmp("vmeste-jail-XXXXXX", NULL);
	g_autofree char *dir = g_build_filename(top, "served", NULL);
	g_autofree char *deep = g_build_filename(dir, "deep", NULL);
	g_autofree char *secret = g_build_filename(top, "secret", NULL);
	g_autofree char *rm = g_strdup_printf("rm -r %s", top);

	g_assert_cmpint(g_mkdir_with_parents(deep, 0755), ==, 0);
	chmod(top, 0755);
	put(top, "secret");
	put(dir, "file");
	put(deep, "file");
	put_link(dir, "inside", "deep/file");
	put_link(dir, "upward", "../secret");
	put_link(dir, "absolute", secret);
	put_link(deep, "up", "../../secret");
	folder = (struct jail_folder){
		.path = dir, .fd = open(dir, O_PATH | O_DIRECTORY)};
	expect(true, try_folder, 0);
	/* The same, shared. */
	chmod(dir, 0777);
	folder.shared = folder.writable = true;
	expect(false, try_shared, 0);
	expect(true, try_shared, 0);
	no_namespaces = true;
	expect(false, try_shared, 0);
	no_namespaces = false;
	folder.shared = folder.writable = false;
	/* Not what was opened: somebody has put another one there. */
	close(folder.fd);
	folder.fd = open(top, O_PATH | O_DIRECTORY);
	expect(true, try_no_folder, 0);
	close(folder.fd);
	folder.fd = -1;
	g_assert_cmpint(system(rm), ==, 0);
}

static void test_exec(void)
{
	expect(false, try_exec, -SIGSYS);
	expect(true, try_exec, -SIGSYS);
}

static void test_processes(void)
{
	expect(false, try_fork, 0);
	expect(false, try_kill, 0);
}

static void test_sockets(void)
{
	expect(false, try_sockets, 0);
	expect(true, try_sockets_net, 0);
}

static void test_work(void)
{
	expect(false, try_work, 42);
	expect(true, try_work, 42);
}

static void test_list(void)
{
	static const char *const never[] = {"open", "execve", "ptrace", "fork",
		"vfork", "clone3", "mount", "setns", "bpf", "io_uring_setup",
		NULL};
	g_autoptr(GString) s = g_string_new(NULL);
	const char *const *list = jail_syscalls(true, true);

	for (unsigned i = 0; never[i]; i++)
		g_assert_false(g_strv_contains(list, never[i]));
	for (; *list; list++)
		g_string_append_printf(s, " %s", *list);
	g_test_message("allowed:%s", s->str);
}

static void test_describe(void)
{
	char buf[128];

	jail_describe(JAIL_SECCOMP | JAIL_ROOT, buf, sizeof(buf));
	g_assert_cmpstr(buf, ==, "empty root, seccomp");
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/jail/open", test_open);
	g_test_add_func("/jail/folder", test_folder);
	g_test_add_func("/jail/exec", test_exec);
	g_test_add_func("/jail/processes", test_processes);
	g_test_add_func("/jail/sockets", test_sockets);
	g_test_add_func("/jail/work", test_work);
	g_test_add_func("/jail/list", test_list);
	g_test_add_func("/jail/describe", test_describe);
	return g_test_run();
}
