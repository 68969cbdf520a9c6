/*
 * sys.c - what the kernel does: calls, faults, signals, pipes, switches,
 * processes.
 *
 * A call that fails changes the check value.
 */
#include "bench.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int zero = -1;

static uint64_t getppid_call(void)
{
	long first = syscall(SYS_getppid);
	uint64_t same = 0;

	for (int i = 0; i < 1000; i++)
		same += syscall(SYS_getppid) == first;
	return same;
}

static uint64_t clock_call(void)
{
	struct timespec t;
	uint64_t good = 0;

	for (int i = 0; i < 1000; i++)
		good += !clock_gettime(CLOCK_MONOTONIC, &t);
	return good;
}

static uint64_t rdtsc_loop(void)
{
	uint64_t last = 0, back = 0;

	for (int i = 0; i < 1000; i++) {
		uint64_t now = __builtin_ia32_rdtsc();

		back += now < last;
		last = now;
	}
	return back;
}

static bool open_zero(void)
{
	zero = open("/dev/zero", O_RDONLY);
	return zero >= 0;
}

static uint64_t read_byte(void)
{
	char byte[1];
	uint64_t n = 0;

	for (int i = 0; i < 1000; i++)
		n += read(zero, byte, 1) == 1;
	return n;
}

static uint64_t read_page(void)
{
	static char page[4096];
	uint64_t n = 0;

	for (int i = 0; i < 1000; i++)
		n += read(zero, page, sizeof(page)) == sizeof(page);
	return n;
}

static uint64_t open_stat(void)
{
	struct stat s;
	uint64_t n = 0;

	for (int i = 0; i < 200; i++) {
		int fd = open("/dev/null", O_RDONLY);

		n += !fstat(fd, &s) && !stat("/proc/self", &s);
		close(fd);
	}
	return n;
}

static uint64_t page_fault(void)
{
	const size_t size = 1 << 20;
	char *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t sum = 0;

	madvise(p, size, MADV_NOHUGEPAGE);
	for (size_t i = 0; i < size; i += 4096) {
		sum += (uint64_t)p[i] + 1;
		p[i] = 1;
	}
	munmap(p, size);
	return sum;
}

static uint64_t map_unmap(void)
{
	uint64_t n = 0;

	for (int i = 0; i < 100; i++) {
		char *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		*p = 1;
		n += !munmap(p, 4096);
	}
	return n;
}

static uint64_t protect(void)
{
	static char *p;
	uint64_t n = 0;

	if (!p)
		p = bench_alloc(4096);
	for (int i = 0; i < 100; i++) {
		n += !mprotect(p, 4096, PROT_READ);
		n += !mprotect(p, 4096, PROT_READ | PROT_WRITE);
		p[i]++;
	}
	return n;
}

static volatile sig_atomic_t signals;

static void count_signal(int s)
{
	(void)s;
	signals++;
}

static uint64_t signal_self(void)
{
	int before;

	signal(SIGUSR1, count_signal);
	before = signals;
	for (int i = 0; i < 100; i++)
		kill(getpid(), SIGUSR1);
	return (uint64_t)(signals - before);
}

/* A child that sends back each byte; it ends with its parent's end. */
static int to_child = -1, from_child = -1;
static pid_t child;

static bool start_echo(void)
{
	int there[2], back[2];
	char byte;

	if (pipe(there) || pipe(back))
		return false;
	child = fork();
	if (!child) {
		close(there[1]);
		close(back[0]);
		while (read(there[0], &byte, 1) == 1)
			if (write(back[1], &byte, 1) != 1)
				break;
		_exit(0);
	}
	close(there[0]);
	close(back[1]);
	to_child = there[1];
	from_child = back[0];
	return child > 0;
}

static void end_child(void)
{
	close(to_child);
	close(from_child);
	waitpid(child, NULL, 0);
}

static uint64_t ping_pong(void)
{
	uint64_t n = 0;
	char byte = 1;

	for (int i = 0; i < 50; i++)
		n += write(to_child, &byte, 1) == 1 &&
		     read(from_child, &byte, 1) == 1;
	return n;
}

static uint64_t pipe_through(void)
{
	static int ends[2] = {-1, -1};
	static char data[4096];
	uint64_t n = 0;

	if (ends[0] < 0 && pipe(ends))
		return 0;
	for (int i = 0; i < 100; i++)
		n += write(ends[1], data, sizeof(data)) == sizeof(data) &&
		     read(ends[0], data, sizeof(data)) == sizeof(data);
	return n;
}

/* Two processes that give way to one another on one processor. */
static volatile uint32_t *yielding;

static bool start_yielder(void)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	sched_setaffinity(0, sizeof(one), &one);
	yielding = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	child = fork();
	if (!child) {
		while (!*yielding)
			sched_yield();
		_exit(0);
	}
	return child > 0;
}

static void end_yielder(void)
{
	*yielding = 1;
	waitpid(child, NULL, 0);
}

static uint64_t yield(void)
{
	uint64_t n = 0;

	for (int i = 0; i < 200; i++)
		n += !sched_yield();
	return n;
}

static uint64_t futex_wake(void)
{
	static uint32_t word;
	uint64_t n = 0;

	for (int i = 0; i < 1000; i++)
		n += !syscall(
			SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
	return n;
}

const struct bench_row rows_sys[] = {
	{"getppid", "sys", "call/s", 1000, getppid_call},
	{"clock_gettime", "sys", "call/s", 1000, clock_call},
	{"rdtsc", "sys", "op/s", 1000, rdtsc_loop},
	{"read_zero_1", "sys", "call/s", 1000, read_byte, open_zero},
	{"read_zero_4K", "sys", "call/s", 1000, read_page, open_zero},
	{"open_stat", "sys", "round/s", 200, open_stat},
	{"pagefault", "sys", "fault/s", 256, page_fault},
	{"mmap_munmap", "sys", "pair/s", 100, map_unmap},
	{"mprotect", "sys", "pair/s", 100, protect},
	{"signal", "sys", "signal/s", 100, signal_self},
	{"pipe_pingpong", "sys", "round/s", 50, ping_pong, start_echo,
		end_child},
	{"pipe_4K", "sys", "round/s", 100, pipe_through},
	{"ctx_switch", "sys", "yield/s", 200, yield, start_yielder,
		end_yielder},
	{"futex", "sys", "call/s", 1000, futex_wake},
	{NULL},
};

static uint64_t fork_wait(void)
{
	uint64_t sum = 0;

	for (int i = 0; i < 5; i++) {
		int status = 0;
		pid_t p = fork();

		if (!p)
			_exit(i + 1);
		waitpid(p, &status, 0);
		sum += (uint64_t)WEXITSTATUS(status);
	}
	return sum;
}

static void exec_self(void)
{
	execl("/proc/self/exe", "bench", "true", (char *)NULL);
	_exit(1);
}

static uint64_t wait_for(pid_t p)
{
	int status = 1;

	waitpid(p, &status, 0);
	return status == 0;
}

static uint64_t fork_exec(void)
{
	pid_t p = fork();

	if (!p)
		exec_self();
	return wait_for(p);
}

static uint64_t vfork_exec(void)
{
	pid_t p = vfork();

	if (!p)
		exec_self();
	return wait_for(p);
}

const struct bench_row rows_exec[] = {
	{"fork", "exec", "fork/s", 5, fork_wait},
	{"fork_exec", "exec", "exec/s", 1, fork_exec},
	{"vfork_exec", "exec", "exec/s", 1, vfork_exec},
	{NULL},
};
