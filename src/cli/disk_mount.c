/*
 * disk_mount.c - an image as files in a folder: disk mount,
 * disk unmount.
 *
 * fusermount3, which is set-uid, mounts and hands the descriptor over by a
 * socket (_FUSE_COMMFD).  It stays until the other end of that socket closes,
 * which vmeste-disk holds, and unmounts then: whatever ends that process leaves
 * no dead folder behind.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "cli/disk.h"
#include "cli/verb.h"
#include "conf/error.h"

#define FUSERMOUNT "fusermount3"
#define COMM_FD	   3
#define PID_XATTR  "user.vmeste.pid"
#define FUSE_TYPE  "fuse.vmeste"
#define END_MS	   120000 /* for flushing an image */

extern char **environ;

struct mounting {
	struct cli_words words;
	bool rw, foreground, others;
	char *format, *snapshot, *key_file;
};

void *cli_disk_mount_new(void)
{
	struct mounting *s = g_new0(struct mounting, 1);

	s->words.max = 2;
	return s;
}

void cli_disk_mount_free(void *ctx)
{
	struct mounting *s = ctx;

	g_free(s->format);
	g_free(s->snapshot);
	g_free(s->key_file);
	cli_words_free(ctx);
}

/* ---- flags ---- */

static bool set_format(void *ctx, const char *v, GError **err)
{
	return cli_set_text(&((struct mounting *)ctx)->format, v);
}

static bool set_key_file(void *ctx, const char *v, GError **err)
{
	return cli_set_text(&((struct mounting *)ctx)->key_file, v);
}

static bool set_snapshot(void *ctx, const char *v, GError **err)
{
	return cli_set_text(&((struct mounting *)ctx)->snapshot, v);
}

static bool set_rw(void *ctx, const char *v, GError **err)
{
	return ((struct mounting *)ctx)->rw = true;
}

static bool set_foreground(void *ctx, const char *v, GError **err)
{
	return ((struct mounting *)ctx)->foreground = true;
}

static bool set_others(void *ctx, const char *v, GError **err)
{
	return ((struct mounting *)ctx)->others = true;
}

const struct cli_flag cli_disk_mount_flags[] = {
	{"rw", 0, NULL, "let the files be written to", NULL, set_rw},
	{"snapshot", 0, "NAME", "show a snapshot inside the image", NULL,
		set_snapshot},
	{"format", 0, "FORMAT", "the image's format, if its name does not say",
		CLI_DISK_FORMATS, set_format},
	{"key-file", 0, "FILE",
		"what opens the disk, which is encrypted (LUKS); -: standard "
		"input",
		"@file", set_key_file},
	{"foreground", 'f', NULL, "stay until Ctrl-C, or until it is unmounted",
		NULL, set_foreground},
	{"allow-other", 0, NULL,
		"let other users in, root among them (needs user_allow_other "
		"in /etc/fuse.conf)",
		NULL, set_others},
	{NULL}};

/* ---- fusermount3 ---- */

static const char *fusermount_path(GError **err)
{
	static const char *const at[] = {
		"/usr/bin/" FUSERMOUNT, "/bin/" FUSERMOUNT};

	for (unsigned i = 0; i < G_N_ELEMENTS(at); i++)
		if (!access(at[i], X_OK))
			return at[i];
	conf_error_set(err, CONF_ERROR_NOT_FOUND,
		"it lets users mount what their own programs show",
		"apt install fuse3", "there is no %s", FUSERMOUNT);
	return NULL;
}

/* What it has written into the file without a name. */
static char *said(int fd)
{
	char text[512];
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

	text[MAX(n, 0)] = '\0';
	return g_strdup(g_strstrip(text));
}

/* comm: its end of the socket, or -1.  What it says goes to `out`. */
static pid_t fusermount_start(
	const char *const *args, int comm, int out, GError **err)
{
	const char *path = fusermount_path(err);
	posix_spawn_file_actions_t fa;
	posix_spawnattr_t attr;
	g_auto(GStrv) env = g_environ_setenv(
		g_get_environ(), "_FUSE_COMMFD", G_STRINGIFY(COMM_FD), TRUE);
	sigset_t none;
	pid_t pid = -1;
	int r;

	if (!path)
		return -1;
	sigemptyset(&none);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_addopen(&fa, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&fa, out, 1);
	posix_spawn_file_actions_adddup2(&fa, out, 2);
	if (comm >= 0)
		posix_spawn_file_actions_adddup2(&fa, comm, COMM_FD);
	posix_spawn_file_actions_addclosefrom_np(&fa, COMM_FD + (comm >= 0));
	r = posix_spawn(&pid, path, &fa, &attr, (char **)(uintptr_t)args, env);
	posix_spawn_file_actions_destroy(&fa);
	posix_spawnattr_destroy(&attr);
	if (!r)
		return pid;
	conf_error_set_errno(err, r, NULL, "cannot start %s", path);
	return -1;
}

/* The descriptor that comes by the socket; -1: it has ended without. */
static int take_fd(int sock)
{
	char byte;
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} c;
	struct iovec iov = {&byte, 1};
	struct msghdr m = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = c.room,
		.msg_controllen = sizeof(c.room)};
	struct cmsghdr *h;
	int fd = -1;

	while (recvmsg(sock, &m, MSG_CMSG_CLOEXEC) < 0)
		if (errno != EINTR)
			return -1;
	h = CMSG_FIRSTHDR(&m);
	if (h && h->cmsg_level == SOL_SOCKET && h->cmsg_type == SCM_RIGHTS)
		memcpy(&fd, CMSG_DATA(h), sizeof(fd));
	return fd;
}

/* An option's value: commas separate options. */
static char *option_text(const char *text)
{
	GString *s = g_string_new(NULL);

	for (; *text; text++) {
		if (*text == ',' || *text == '\\')
			g_string_append_c(s, '\\');
		g_string_append_c(s, *text);
	}
	return g_string_free(s, FALSE);
}

/* struct cli_disk_job */
static bool mount_folder(void *opaque, int fd[2], GError **err)
{
	const struct mounting *s = opaque;
	g_autofree char *source = option_text(s->words.word[0]);
	g_autofree char *options = g_strdup_printf(
		"subtype=vmeste,fsname=%s,auto_unmount,nosuid,nodev,%s%s",
		source, s->rw ? "rw" : "ro", s->others ? ",allow_other" : "");
	const char *const args[] = {
		FUSERMOUNT, "-o", options, "--", s->words.word[1], NULL};
	int out = memfd_create("said", MFD_CLOEXEC), sv[2];
	g_autofree char *why = NULL;
	pid_t pid;

	fd[0] = -1;
	if (out < 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv)) {
		conf_error_set_errno(err, errno, NULL, "cannot make sockets");
		if (out >= 0)
			close(out);
		return false;
	}
	pid = fusermount_start(args, sv[1], out, err);
	close(sv[1]);
	if (pid > 0)
		fd[0] = take_fd(sv[0]);
	fd[1] = sv[0];
	if (fd[0] < 0)
		close(sv[0]);
	if (pid > 0 && fd[0] < 0) {
		waitpid(pid, NULL, 0);
		why = said(out);
		conf_error_set(err, CONF_ERROR_FAILED, why,
			access("/dev/fuse", F_OK)
				? "the host's kernel has no FUSE: modprobe fuse"
				: "it takes a folder of yours, and "
				  "permission to use /dev/fuse",
			"cannot mount %s", s->words.word[1]);
	}
	close(out);
	return fd[0] >= 0;
}

/* ---- mount ---- */

static bool check_folder(const char *dir, GError **err)
{
	struct stat st;

	if (stat(dir, &st)) {
		conf_error_set_errno(err, errno,
			errno == ENOENT ? "make it first: mkdir" : NULL,
			"cannot use the folder %s", dir);
		return false;
	}
	if (S_ISDIR(st.st_mode))
		return true;
	conf_error_set(err, CONF_ERROR_USAGE, NULL, "name a folder",
		"%s is no folder", dir);
	return false;
}

static bool need_two(const struct mounting *s, GError **err)
{
	if (s->words.n == 2)
		return true;
	conf_error_set(err, CONF_ERROR_USAGE, NULL,
		"write for example vmeste disk mount disk.vhd folder",
		s->words.n ? "where to?" : "a file's name is missing");
	return false;
}

/* \040 in /proc is a blank. */
static char *unescape(const char *text)
{
	return g_strcompress(text);
}

/* Is one of ours mounted there? */
static bool is_ours(const char *dir)
{
	g_autofree char *all = NULL;
	g_auto(GStrv) lines = NULL;
	bool ours = false;

	if (!g_file_get_contents("/proc/self/mountinfo", &all, NULL, NULL))
		return true;
	lines = g_strsplit(all, "\n", -1);
	/* The last one on a folder is the one that is seen. */
	for (char **l = lines; *l; l++) {
		g_auto(GStrv) f = g_strsplit(*l, " ", 6);
		g_autofree char *at =
			g_strv_length(f) == 6 ? unescape(f[4]) : NULL;

		if (at && !strcmp(at, dir))
			ours = strstr(f[5], " - " FUSE_TYPE " ") != NULL;
	}
	return ours;
}

static bool unmount(const char *dir, GError **err)
{
	const char *const args[] = {FUSERMOUNT, "-u", "--", dir, NULL};
	int out = memfd_create("said", MFD_CLOEXEC), status = -1;
	pid_t pid = fusermount_start(args, -1, out, err);
	g_autofree char *why = NULL;

	if (pid > 0)
		waitpid(pid, &status, 0);
	if (pid > 0 && status) {
		why = said(out);
		conf_error_set(err, CONF_ERROR_CONFLICT, why,
			"end what uses files in it, and leave the folder",
			"cannot unmount %s", dir);
	}
	close(out);
	return status == 0;
}

/* fusermount3 unmounts what its process left, if it finds it in /etc/mtab. */
static void leave_nothing(const char *dir)
{
	if (dir && is_ours(dir))
		unmount(dir, NULL);
}

int cli_disk_mount(void *ctx, GError **err)
{
	struct mounting *s = ctx;
	struct cli_disk_job *j;
	struct wire_msg *m = NULL;
	g_autofree char *dir = NULL;

	if (!need_two(s, err) || !check_folder(s->words.word[1], err))
		return conf_error_status(*err);
	dir = realpath(s->words.word[1], NULL);
	if (s->rw && s->snapshot) {
		conf_error_set(err, CONF_ERROR_USAGE,
			"snapshots inside an image stay as they are",
			"leave out --rw, or copy it: vmeste disk convert "
			"--snapshot",
			"a snapshot cannot be written to");
		return CONF_ERROR_USAGE;
	}
	j = cli_disk_new("mount");
	j->serves = true;
	j->background = !s->foreground;
	j->mount = mount_folder;
	j->opaque = s;
	json_object_set_int_member(j->body, "uid", getuid());
	json_object_set_int_member(j->body, "gid", getgid());
	if (cli_disk_add(j, "src", s->words.word[0], s->format, s->rw, err) &&
		cli_disk_add_key(j, "src", s->key_file, err)) {
		if (s->snapshot)
			json_object_set_string_member(
				json_object_get_object_member(j->images, "src"),
				"snapshot", s->snapshot);
		m = cli_disk_run(j, err);
		if (s->foreground && m)
			leave_nothing(dir);
	}
	cli_disk_free(j);
	if (!m)
		return conf_error_status(*err);
	wire_msg_free(m);
	return 0;
}

/* ---- unmount ---- */

/* Its process, to be waited for; -1: none. */
static int server_of(const char *dir)
{
	char text[16] = "";
	int pid = 0;

	if (getxattr(dir, PID_XATTR, text, sizeof(text) - 1) > 0)
		pid = atoi(text);
	return pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
}

/* While somebody can still be told that it fails. */
static bool sync_disk(const char *dir, GError **err)
{
	g_autofree char *path = g_build_filename(dir, "disk", NULL);
	int fd = open(path, O_RDWR | O_CLOEXEC);
	int rc = fd >= 0 && fsync(fd) ? errno : 0;

	if (fd >= 0)
		close(fd);
	if (rc)
		conf_error_set_errno(err, rc,
			"make room, or unmount it by fusermount3 -u",
			"cannot write what is in %s", dir);
	return !rc;
}

int cli_disk_unmount(void *ctx, GError **err)
{
	struct mounting *s = ctx;
	g_autofree char *dir =
		s->words.n ? g_canonicalize_filename(s->words.word[0], NULL)
			   : NULL;
	g_autofree char *real = dir ? realpath(dir, NULL) : NULL;
	struct pollfd p = {.events = POLLIN};

	if (s->words.n != 1) {
		conf_error_set(err, CONF_ERROR_USAGE, NULL,
			"write for example vmeste disk unmount folder",
			"which folder?");
		return CONF_ERROR_USAGE;
	}
	/* realpath fails where nobody answers any more. */
	if (real)
		dir = (g_free(dir), g_steal_pointer(&real));
	if (!is_ours(dir)) {
		conf_error_set(err, CONF_ERROR_NOT_FOUND, NULL, NULL,
			"no image is mounted on %s", dir);
		return CONF_ERROR_NOT_FOUND;
	}
	if (!sync_disk(dir, err))
		return conf_error_status(*err);
	p.fd = server_of(dir);
	if (!unmount(dir, err))
		return conf_error_status(*err);
	/* Then the image is whole and nobody's. */
	if (p.fd >= 0) {
		if (poll(&p, 1, END_MS) == 0)
			conf_error_set(err, CONF_ERROR_TIMEOUT, NULL, NULL,
				"the image is still being written");
		close(p.fd);
	}
	return *err ? conf_error_status(*err) : 0;
}
