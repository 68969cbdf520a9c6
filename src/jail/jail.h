/*
 * jail.h - give the machine's process its descriptors, then shut the door.
 *
 * Two steps.  jail_isolate(): while the process has one thread (namespaces,
 * the empty root and Landlock reach all threads only then), after what must
 * still be opened by path (/dev/kvm, shared libraries) is open.  jail_seal():
 * when everything is set up, before the guest's first instruction, from any
 * thread; it holds for all threads, present and future.
 *
 * Mechanisms that the host lacks are left out with a note; each of the others
 * stands alone.  Nothing here fails the machine.
 */
#ifndef JAIL_JAIL_H
#define JAIL_JAIL_H

#include <stdbool.h>
#include <stdint.h>

#define JAIL_MAX_FOLDERS 24

/* A folder whose files can be read: mounted in the empty root, or, where there
 * is none, let through by Landlock. */
struct jail_folder {
	const char *path; /* absolute */
	int fd;		  /* the same folder, as its user opened it */
	bool shared;	  /* all of it may be looked at, not only read */
	bool writable;	  /* and changed */
	/* Set by jail_isolate: its path from now on; NULL: it is not to be
	 * seen, and errno_ says why (EACCES: not by who we have become). */
	const char *seen;
	int errno_;
	char place[16];
};

struct jail_conf {
	bool kvm;   /* allow KVM's ioctls */
	bool net;   /* user NAT: IPv4 and IPv6 sockets, /etc/resolv.conf */
	bool share; /* a folder is shared: files are found and made */
	struct jail_folder *folders; /* with net or share only */
	unsigned nfolders;	     /* at most JAIL_MAX_FOLDERS */
	/* Who a process of root's becomes; 0: nobody. */
	uint32_t uid, gid;
	/* Set by jail_isolate if share: our descriptors as names, or NULL. */
	const char *self;
	/* One line for the user: what is missing and what that means. */
	void (*note)(void *opaque, const char *text);
	void *opaque;
};

enum jail_part {
	JAIL_NAMESPACES = 1 << 0, /* own mount, IPC, UTS (and net) */
	JAIL_ROOT = 1 << 1,	  /* root with /etc/resolv.conf, folders only */
	JAIL_USER = 1 << 2,	  /* not root (any more) */
	JAIL_CAPS = 1 << 3,	  /* no capabilities, nor ways to get them */
	JAIL_NO_NEW_PRIVS = 1 << 4,
	JAIL_LIMITS = 1 << 5,	/* no core dumps, no new processes */
	JAIL_LANDLOCK = 1 << 6, /* no file but those */
	JAIL_SECCOMP = 1 << 7,	/* allow list; the rest gives EPERM */
};

/* Return the parts that hold now. */
unsigned jail_isolate(struct jail_conf *c);
unsigned jail_seal(const struct jail_conf *c);

/* "namespaces, empty root, ..." into buf. */
void jail_describe(unsigned parts, char *buf, unsigned size);

/* The system calls that jail_seal() allows, NULL-terminated, in a static
 * array of the library; those for net or share only if so. */
const char *const *jail_syscalls(bool net, bool share);

#endif
