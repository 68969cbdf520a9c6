/*
 * jail.c - rights, namespaces and limits of the machine's process.
 */
#include "jail/jail.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "jail/priv.h"

#define NOBODY 65534

/* What jail_isolate() reached: jail_seal() builds on it. */
static unsigned isolated;

void jail_note(const struct jail_conf *c, const char *format, ...)
{
	char text[256];
	va_list ap;

	if (!c->note)
		return;
	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	c->note(c->opaque, text);
}

static bool write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool ok = fd >= 0 &&
		  write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return ok;
}

/* An ordinary user stays who he is inside his user namespace. */
static void map_user(uid_t uid, gid_t gid)
{
	char text[64];

	write_text("/proc/self/setgroups", "deny");
	snprintf(text, sizeof(text), "%u %u 1", (unsigned)uid, (unsigned)uid);
	write_text("/proc/self/uid_map", text);
	snprintf(text, sizeof(text), "%u %u 1", (unsigned)gid, (unsigned)gid);
	write_text("/proc/self/gid_map", text);
}

static bool enter_namespaces(const struct jail_conf *c)
{
	int flags = CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS;
	uid_t uid = geteuid();
	gid_t gid = getegid();

	if (!c->net)
		flags |= CLONE_NEWNET;
	if (uid)
		flags |= CLONE_NEWUSER;
	if (unshare(flags)) {
		jail_note(c, "jail: no namespaces (%s)", strerror(errno));
		return false;
	}
	if (uid)
		map_user(uid, gid);
	return true;
}

static bool drop_user(const struct jail_conf *c)
{
	uid_t uid = c->uid ? c->uid : NOBODY;
	gid_t gid = c->uid && c->gid ? c->gid : NOBODY;

	if (geteuid())
		return true;
	if (setgroups(0, NULL) || setresgid(gid, gid, gid) ||
		setresuid(uid, uid, uid)) {
		jail_note(c, "jail: stays root (%s)", strerror(errno));
		return false;
	}
	return true;
}

static bool drop_caps(const struct jail_conf *c)
{
	struct __user_cap_header_struct h = {
		.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct d[2] = {0};

	for (int cap = 0; cap <= CAP_LAST_CAP; cap++)
		prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	if (syscall(SYS_capset, &h, d)) {
		jail_note(c, "jail: keeps capabilities (%s)", strerror(errno));
		return false;
	}
	return true;
}

/* Without an empty root they stay where they are, for Landlock to let them
 * through: no other file can be reached from there by any name. */
static void keep_folders(struct jail_conf *c)
{
	if (c->share)
		c->self = JAIL_SELF;
	for (unsigned i = 0; i < c->nfolders; i++) {
		struct jail_folder *f = &c->folders[i];
		struct stat s, t;

		if (!stat(f->path, &s) && !fstat(f->fd, &t) &&
			s.st_dev == t.st_dev && s.st_ino == t.st_ino)
			f->seen = f->path;
		else
			f->errno_ = ESTALE;
	}
}

/* By who we are now. */
static void check_folders(const struct jail_conf *c, bool closed)
{
	for (unsigned i = 0; i < c->nfolders; i++) {
		struct jail_folder *f = &c->folders[i];
		int want = X_OK | (f->shared ? R_OK : 0) |
			   (f->writable ? W_OK : 0);

		if (f->seen && (!closed || access(f->seen, want))) {
			f->errno_ = closed ? errno : ENOSYS;
			f->seen = NULL;
		}
	}
}

unsigned jail_isolate(struct jail_conf *c)
{
	unsigned parts = 0;
	int parent_signal = 0;

	prctl(PR_GET_PDEATHSIG, &parent_signal);
	if (enter_namespaces(c)) {
		parts |= JAIL_NAMESPACES;
		if (jail_root(c))
			parts |= JAIL_ROOT;
	}
	if (!(parts & JAIL_ROOT))
		keep_folders(c);
	/* The bounding set must go while there still is CAP_SETPCAP. */
	for (int cap = 0; cap <= CAP_LAST_CAP; cap++)
		prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
	if (drop_user(c))
		parts |= JAIL_USER;
	if (drop_caps(c))
		parts |= JAIL_CAPS;
	if (!prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		parts |= JAIL_NO_NEW_PRIVS;
	/* While there is one thread: it holds for those made after it. */
	if (jail_landlock(c))
		parts |= JAIL_LANDLOCK;
	check_folders(c, parts & (JAIL_ROOT | JAIL_LANDLOCK));
	/* A change of user forgets it. */
	if (parent_signal)
		prctl(PR_SET_PDEATHSIG, parent_signal);
	isolated = parts;
	return parts;
}

static bool set_limits(const struct jail_conf *c)
{
	struct rlimit zero = {0, 0};
	bool ok = !setrlimit(RLIMIT_CORE, &zero);

	/* Writes beyond a limit are errors, not deaths. */
	signal(SIGXFSZ, SIG_IGN);
	if (!ok)
		jail_note(c, "jail: no limits (%s)", strerror(errno));
	return ok;
}

unsigned jail_seal(const struct jail_conf *c)
{
	unsigned parts = isolated;
	bool closed;

	if (!prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		parts |= JAIL_NO_NEW_PRIVS;
	if (set_limits(c))
		parts |= JAIL_LIMITS;
	/* Names are resolved by reading /etc/resolv.conf now and then; that
	 * is let through only if no other file is to be seen. */
	closed = parts & (JAIL_ROOT | JAIL_LANDLOCK);
	if (c->net && !closed)
		jail_note(c, "jail: the guest's name server 10.0.2.3 may not "
			     "work, for /etc/resolv.conf is shut off");
	if (jail_seccomp(c, c->net && closed))
		parts |= JAIL_SECCOMP;
	return parts;
}

void jail_describe(unsigned parts, char *buf, unsigned size)
{
	static const char *const names[] = {"namespaces", "empty root",
		"not root", "no capabilities", "no new privileges", "limits",
		"Landlock", "seccomp"};
	unsigned at = 0;

	if (size)
		buf[0] = '\0';
	for (unsigned i = 0; i < sizeof(names) / sizeof(*names); i++) {
		int n;

		if (!(parts & 1u << i) || at >= size)
			continue;
		n = snprintf(
			buf + at, size - at, "%s%s", at ? ", " : "", names[i]);
		at += n > 0 ? (unsigned)n : 0;
	}
}
