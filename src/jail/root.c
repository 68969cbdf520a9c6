/*
 * root.c - an empty root file system for the machine's process.
 *
 * A small tmpfs becomes the root.  With NAT it holds one file,
 * /etc/resolv.conf, read-only; otherwise nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "jail/priv.h"

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

static bool build(const struct jail_conf *c)
{
	static const char opt[] = "size=64k,nr_inodes=8,mode=0755";
	unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;
	int resolver =
		c->net ? open("/etc/resolv.conf", O_RDONLY | O_CLOEXEC) : -1;
	bool ok;

	ok = !mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) &&
	     !mount("none", PLACE, "tmpfs", flags, opt);
	if (ok && resolver >= 0)
		copy_resolver(resolver);
	if (resolver >= 0)
		close(resolver);
	return ok &&
	       !mount(NULL, PLACE, NULL, MS_REMOUNT | MS_RDONLY | flags, opt);
}

bool jail_root(const struct jail_conf *c)
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
