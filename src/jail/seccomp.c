/*
 * seccomp.c - the system calls that a running machine may make.
 *
 * An allow list; everything else gives EPERM, and what only an intruder
 * would call (execve, ptrace, ...) kills the process.  The filter holds for
 * all threads.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sched.h>
#include <signal.h>
#include <seccomp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "jail/priv.h"

/* Names that this libseccomp does not know are skipped. */
static const char *const base_calls[] = {
	/* memory: guest RAM, the code cache, the heap */
	"mmap", "munmap", "mprotect", "mremap", "madvise", "brk", "msync",
	"membarrier", "mlock", "munlock",
	/* threads, locks, signals */
	"futex", "futex_waitv", "set_robust_list", "rseq", "gettid", "getpid",
	"rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "rt_sigtimedwait",
	"rt_sigpending", "sigaltstack", "exit", "exit_group", "restart_syscall",
	"sched_yield", "sched_getaffinity", "sched_setaffinity", "getcpu",
	"set_tid_address", "arch_prctl",
	/* time */
	"clock_gettime", "clock_getres", "clock_nanosleep", "nanosleep",
	"gettimeofday", "time", "timerfd_create", "timerfd_settime",
	"timerfd_gettime", "timer_create", "timer_settime", "timer_delete",
	"timer_gettime", "timer_getoverrun", "setitimer", "getitimer",
	/* waiting */
	"poll", "ppoll", "select", "pselect6", "epoll_create1", "epoll_ctl",
	"epoll_wait", "epoll_pwait", "epoll_pwait2", "eventfd2", "pipe2",
	/* open descriptors */
	"read", "write", "readv", "writev", "pread64", "pwrite64", "preadv",
	"pwritev", "preadv2", "pwritev2", "lseek", "fsync", "fdatasync",
	"fallocate", "ftruncate", "close", "close_range", "fstat", "dup",
	"dup2", "dup3", "memfd_create", "sync_file_range",
	/* sockets that are open: the wire, serial lines */
	"recvmsg", "sendmsg", "recvfrom", "sendto", "accept", "accept4",
	"shutdown", "getsockopt", "setsockopt", "getsockname", "getpeername",
	/* what libraries ask */
	"getrandom", "uname", "sysinfo", "getuid", "geteuid", "getgid",
	"getegid", "getppid", "getrlimit", "getrusage", "times", NULL};

/* Below a folder's descriptor: of the jail there is nothing else to be found.
 * openat2() says in memory what it wants. */
static const char *const share_calls[] = {"openat2", "getdents64", "statx",
	"mkdirat", "unlinkat", "renameat", "renameat2", "symlinkat",
	"readlinkat", "linkat", "fchmodat", "fchownat", "utimensat", "fstatfs",
	"fgetxattr", "fsetxattr", "flistxattr", "fremovexattr", NULL};

static const char *const net_calls[] = {"bind", "connect", "listen", NULL};

/* With conditions; listed for jail_syscalls(). */
static const char *const checked_calls[] = {"clone", "fcntl", "ioctl",
	"newfstatat", "prctl", "prlimit64", "socketpair", "tgkill", NULL};
static const char *const checked_share_calls[] = {"mknodat", NULL};
static const char *const checked_net_calls[] = {"openat", "socket", NULL};

static const char *const deadly_calls[] = {"execve", "execveat", "ptrace",
	"process_vm_readv", "process_vm_writev", "kexec_load", "init_module",
	"finit_module", "delete_module", "bpf", "mount", "umount2",
	"pivot_root", "chroot", "setns", "unshare", "keyctl", "add_key",
	"request_key", "userfaultfd", "perf_event_open", NULL};

static void add_list(
	scmp_filter_ctx f, uint32_t action, const char *const *names)
{
	for (; *names; names++) {
		int nr = seccomp_syscall_resolve_name(*names);

		if (nr != __NR_SCMP_ERROR)
			seccomp_rule_add(f, action, nr, 0);
	}
}

static void allow_arg(scmp_filter_ctx f, int nr, struct scmp_arg_cmp cmp)
{
	seccomp_rule_add(f, SCMP_ACT_ALLOW, nr, 1, cmp);
}

static void add_ioctls(scmp_filter_ctx f, bool kvm)
{
	static const unsigned long calls[] = {FIONREAD, FIONBIO, TCGETS,
		TIOCGWINSZ, BLKDISCARD, BLKZEROOUT, BLKGETSIZE64};
	int nr = SCMP_SYS(ioctl);

	for (unsigned i = 0; i < sizeof(calls) / sizeof(*calls); i++)
		allow_arg(f, nr, SCMP_A1(SCMP_CMP_EQ, calls[i]));
	/* The type byte of all KVM's calls is 0xae. */
	if (kvm)
		allow_arg(f, nr, SCMP_A1(SCMP_CMP_MASKED_EQ, 0xff00, 0xae00));
}

static void add_fcntls(scmp_filter_ctx f)
{
	static const int calls[] = {F_GETFL, F_SETFL, F_GETFD, F_SETFD,
		F_DUPFD_CLOEXEC, F_ADD_SEALS, F_GET_SEALS, F_OFD_SETLK,
		F_OFD_GETLK};

	for (unsigned i = 0; i < sizeof(calls) / sizeof(*calls); i++)
		allow_arg(f, SCMP_SYS(fcntl),
			SCMP_A1(SCMP_CMP_EQ, (scmp_datum_t)calls[i]));
}

static void add_checked(scmp_filter_ctx f, bool kvm)
{
	/* Threads, not processes.  clone3 hides its flags in memory: ENOSYS
	 * makes the C library use clone. */
	allow_arg(f, SCMP_SYS(clone),
		SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
	seccomp_rule_add(f, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
	/* ... and fork(), by which a running machine is saved: what comes of
	 * it lives in this jail. */
	allow_arg(f, SCMP_SYS(clone),
		SCMP_A0(SCMP_CMP_EQ,
			CLONE_CHILD_CLEARTID | CLONE_CHILD_SETTID | SIGCHLD));
	/* between threads */
	allow_arg(f, SCMP_SYS(socketpair), SCMP_A0(SCMP_CMP_EQ, AF_UNIX));
	add_fcntls(f);
	add_ioctls(f, kvm);
	/* fstat() of the C library; no path is looked at. */
	allow_arg(f, SCMP_SYS(newfstatat),
		SCMP_A3(SCMP_CMP_MASKED_EQ, AT_EMPTY_PATH, AT_EMPTY_PATH));
	allow_arg(f, SCMP_SYS(prctl), SCMP_A0(SCMP_CMP_EQ, PR_SET_NAME));
	allow_arg(f, SCMP_SYS(prctl), SCMP_A0(SCMP_CMP_EQ, PR_SET_PDEATHSIG));
#ifdef PR_SET_VMA
	allow_arg(f, SCMP_SYS(prctl), SCMP_A0(SCMP_CMP_EQ, PR_SET_VMA));
#endif
	/* Signals to our own threads only. */
	allow_arg(f, SCMP_SYS(tgkill),
		SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid()));
	/* Looking at limits, not setting them. */
	allow_arg(f, SCMP_SYS(prlimit64), SCMP_A2(SCMP_CMP_EQ, 0));
}

static void add_net(scmp_filter_ctx f, bool resolver)
{
	add_list(f, SCMP_ACT_ALLOW, net_calls);
	allow_arg(f, SCMP_SYS(socket), SCMP_A0(SCMP_CMP_EQ, AF_INET));
	allow_arg(f, SCMP_SYS(socket), SCMP_A0(SCMP_CMP_EQ, AF_INET6));
	if (!resolver)
		return;
	allow_arg(f, SCMP_SYS(openat),
		SCMP_A2(SCMP_CMP_MASKED_EQ,
			O_ACCMODE | O_CREAT | O_TRUNC | O_PATH, O_RDONLY));
	allow_arg(f, SCMP_SYS(newfstatat), SCMP_A3(SCMP_CMP_EQ, 0));
}

static void add_share(scmp_filter_ctx f)
{
	static const unsigned types[] = {S_IFREG, S_IFIFO, S_IFSOCK};

	add_list(f, SCMP_ACT_ALLOW, share_calls);
	for (unsigned i = 0; i < sizeof(types) / sizeof(*types); i++)
		allow_arg(f, SCMP_SYS(mknodat),
			SCMP_A2(SCMP_CMP_MASKED_EQ, S_IFMT, types[i]));
}

bool jail_seccomp(const struct jail_conf *c, bool resolver)
{
	scmp_filter_ctx f = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int r;

	if (!f) {
		jail_note(c, "jail: no seccomp (out of memory)");
		return false;
	}
	add_list(f, SCMP_ACT_ALLOW, base_calls);
	add_list(f, SCMP_ACT_KILL_PROCESS, deadly_calls);
	add_checked(f, c->kvm);
	if (c->net)
		add_net(f, resolver);
	if (c->share)
		add_share(f);
	seccomp_attr_set(f, SCMP_FLTATR_CTL_TSYNC, 1);
	r = seccomp_load(f);
	seccomp_release(f);
	if (r)
		jail_note(c, "jail: no seccomp (%s)", strerror(-r));
	return !r;
}

const char *const *jail_syscalls(bool net, bool share)
{
	static const char *all[180];
	const char *const *lists[] = {base_calls, checked_calls,
		net ? net_calls : NULL, net ? checked_net_calls : NULL,
		share ? share_calls : NULL, share ? checked_share_calls : NULL};
	unsigned n = 0;

	for (unsigned i = 0; i < 6; i++) {
		for (const char *const *p = lists[i]; p && *p && n < 179; p++)
			all[n++] = *p;
	}
	all[n] = NULL;
	return all;
}
