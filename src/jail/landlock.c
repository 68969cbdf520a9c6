/*
 * landlock.c - no access to the file system, by Landlock.
 *
 * The raw interface (linux/landlock.h of Debian 12 knows version 2): every
 * right that the running kernel knows is handled and none is granted, but for
 * reading /etc/resolv.conf and what is in folders, with NAT, and what a shared
 * folder needs in it.  Open descriptors keep their rights.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "jail/priv.h"

/* Rights of file systems by version of the interface: 13 in version 1, then
 * REFER, TRUNCATE, (network only), IOCTL_DEV. */
static uint64_t rights_of(long abi)
{
	static const unsigned bits[] = {0, 13, 14, 15, 15, 16};
	unsigned n = abi >= 5 ? 5 : (unsigned)abi;

	return (1ull << bits[n]) - 1;
}

#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ull << 14)
#endif

/* Everything below a shared folder but running it and making devices. */
#define RIGHTS_LOOK (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define RIGHTS_CHANGE                                                          \
	(RIGHTS_LOOK | LANDLOCK_ACCESS_FS_WRITE_FILE |                         \
		LANDLOCK_ACCESS_FS_REMOVE_DIR |                                \
		LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_DIR | \
		LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK |   \
		LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_SYM |   \
		LANDLOCK_ACCESS_FS_REFER | LANDLOCK_ACCESS_FS_TRUNCATE)

static void allow(int ruleset, const char *path, uint64_t rights)
{
	struct landlock_path_beneath_attr a = {.allowed_access = rights,
		.parent_fd = open(path, O_PATH | O_CLOEXEC)};

	if (a.parent_fd < 0)
		return;
	syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &a,
		0);
	close(a.parent_fd);
}

static uint64_t rights_in(const struct jail_folder *f)
{
	return f->writable ? RIGHTS_CHANGE
	       : f->shared ? RIGHTS_LOOK
			   : LANDLOCK_ACCESS_FS_READ_FILE;
}

bool jail_landlock(const struct jail_conf *c)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0,
		LANDLOCK_CREATE_RULESET_VERSION);
	struct landlock_ruleset_attr a = {0};
	long ruleset;
	bool ok;

	if (abi <= 0) {
		jail_note(c, "jail: no Landlock (%s)", strerror(errno));
		return false;
	}
	a.handled_access_fs = rights_of(abi);
	ruleset = syscall(SYS_landlock_create_ruleset, &a, sizeof(a), 0);
	if (ruleset < 0) {
		jail_note(c, "jail: no Landlock rules (%s)", strerror(errno));
		return false;
	}
	if (c->net)
		allow((int)ruleset, "/etc/resolv.conf",
			LANDLOCK_ACCESS_FS_READ_FILE);
	for (unsigned i = 0; i < c->nfolders; i++)
		if (c->folders[i].seen)
			allow((int)ruleset, c->folders[i].seen,
				rights_in(&c->folders[i]) &
					a.handled_access_fs);
	ok = !syscall(SYS_landlock_restrict_self, (int)ruleset, 0);
	if (!ok)
		jail_note(c, "jail: Landlock refused (%s)", strerror(errno));
	close((int)ruleset);
	return ok;
}
