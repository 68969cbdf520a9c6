/*
 * root.c - an empty root file system for the machine's process.
 *
 * A small tmpfs becomes the root.  With NAT it holds one file,
 * /etc/resolv.conf, and the folders whose files may be read, all read-only;
 * otherwise nothing.  Shared folders are in it, too, writable if they are.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "jail/priv.h"

/* Where our descriptors are names. */
#define SELF "/self"

/* Any folder that surely exists: we are in our own mount namespace. */
#define PLACE "/tmp"

/* A copy, not a bind mount: links and their targets need not be followed. */
static void copy_resolver(int in)
{
	char buf[8192];
	ssize_t n = read(in, buf, sizeof(buf));
	int out;

	if (n < 0 || mkdir(PLACE "/etc", 0755))
		return;
	out = open(PLACE "/etc/resolv.conf",
		O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
	if (out < 0)
		return;
	/* A cut line would be a wrong name server. */
	while (n > 0 && buf[n - 1] != '\n')
		n--;
	if (write(out, buf, (size_t)n) != n)
		unlink(PLACE "/etc/resolv.conf");
	close(out);
}

static bool is_same(int a, int b)
{
	struct stat s, t;

	return !fstat(a, &s) && !fstat(b, &t) && s.st_dev == t.st_dev &&
	       s.st_ino == t.st_ino;
}

/* fd, which was opened elsewhere, belongs to the old namespace and cannot be
 * mounted; its path opened in ours can, if it still leads to the same. */
static int open_folder(const struct jail_folder *f)
{
	int fd = open(f->path, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || is_same(fd, f->fd))
		return fd;
	close(fd);
	errno = ESTALE;
	return -1;
}

static bool mount_folder(int fd, const char *at, bool writable)
{
	/* What lies on it comes along: it may not be uncovered. */
	struct mount_attr a = {.attr_set = (writable ? 0 : MOUNT_ATTR_RDONLY) |
					   MOUNT_ATTR_NOSUID |
					   MOUNT_ATTR_NODEV |
					   MOUNT_ATTR_NOEXEC};
	char from[32];

	snprintf(from, sizeof(from), "/proc/self/fd/%d", fd);
	if (mkdir(at, 0755) || mount(from, at, NULL, MS_BIND | MS_REC, NULL))
		return false;
	if (!mount_setattr(-1, at, AT_RECURSIVE, &a, sizeof(a)))
		return true;
	umount2(at, MNT_DETACH);
	return false;
}

static void take_folder(struct jail_folder *f, unsigned n, int fd)
{
	char at[32];

	snprintf(f->place, sizeof(f->place), "/folder%u", n);
	snprintf(at, sizeof(at), PLACE "%s", f->place);
	if (fd >= 0 && mount_folder(fd, at, f->writable))
		f->seen = f->place;
	else
		f->errno_ = errno;
}

/* By which what a descriptor holds is opened anew, whatever its name is now. */
static void take_self(struct jail_conf *c)
{
	if (!mkdir(PLACE SELF, 0755) &&
		!mount(JAIL_SELF, PLACE SELF, NULL, MS_BIND, NULL))
		c->self = SELF;
	else
		jail_note(c, "jail: no " JAIL_SELF " (%s)", strerror(errno));
}

static bool build(struct jail_conf *c)
{
	static const char opt[] = "size=64k,nr_inodes=64,mode=0755";
	unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;
	int resolver =
		c->net ? open("/etc/resolv.conf", O_RDONLY | O_CLOEXEC) : -1;
	int folder[JAIL_MAX_FOLDERS];
	bool ok;

	ok = !mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
	/* They may lie below what is covered now. */
	for (unsigned i = 0; i < c->nfolders; i++)
		folder[i] = open_folder(&c->folders[i]);
	ok = ok && !mount("none", PLACE, "tmpfs", flags, opt);
	if (ok && resolver >= 0)
		copy_resolver(resolver);
	if (resolver >= 0)
		close(resolver);
	for (unsigned i = 0; i < c->nfolders; i++) {
		if (ok)
			take_folder(&c->folders[i], i, folder[i]);
		if (folder[i] >= 0)
			close(folder[i]);
	}
	if (ok && c->share)
		take_self(c);
	return ok &&
	       !mount(NULL, PLACE, NULL, MS_REMOUNT | MS_RDONLY | flags, opt);
}

bool jail_root(struct jail_conf *c)
{
	bool in = build(c) && !chdir(PLACE);

	/* pivot_root(".", "."): the old root ends up on top of the new one
	 * and is taken away (pivot_root(2), NOTES). */
	if (in && !syscall(SYS_pivot_root, ".", ".") &&
		!umount2(".", MNT_DETACH) && !chdir("/"))
		return true;
	/* We are in a chroot ourselves: one more, and without capabilities
	 * there is no way back. */
	if (in && !chroot(".") && !chdir("/"))
		return true;
	jail_note(c, "jail: no empty root (%s)", strerror(errno));
	return false;
}
