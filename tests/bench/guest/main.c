/*
 * bench - the guest benchmark's program; static, the same in guest and host.
 *
 *   bench list                     rows with group and unit
 *   bench row NAME SECONDS         run one: "ROW name value check"
 *   bench smp NAME SECONDS N       with N threads
 *   bench time SECONDS COMMAND...  the shortest run of a command, in seconds
 *   bench text BYTES               the same text each time, to stdout
 *   bench disk PATH SECONDS [ROW]  disk rows, or one; writes over PATH
 *   bench net tx|rx|rr HOST PORT SECONDS
 *   bench clock                    monotonic seconds
 *   bench true                     do nothing, for those who time exec
 *
 * Time is cut into windows of at least a tenth of a second and the best
 * window counts: what other programs on the host take away hits some windows
 * only.
 */
#include "bench.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WINDOW 0.1

static const struct bench_row *const tables[] = {
	rows_int,
	rows_mem,
	rows_fp,
	rows_sys,
	rows_exec,
	rows_code,
};

double bench_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec * 1e-9;
}

void *bench_alloc(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (p == MAP_FAILED) {
		perror("mmap");
		exit(1);
	}
	return p;
}

static int list(void)
{
	for (size_t t = 0; t < sizeof(tables) / sizeof(*tables); t++)
		for (const struct bench_row *r = tables[t]; r->name; r++)
			printf("%s %s %s\n", r->name, r->group, r->unit);
	bench_smp_list();
	return 0;
}

static const struct bench_row *find(const char *name)
{
	for (size_t t = 0; t < sizeof(tables) / sizeof(*tables); t++)
		for (const struct bench_row *r = tables[t]; r->name; r++)
			if (!strcmp(r->name, name))
				return r;
	return NULL;
}

/* Batches per second in the best window. */
static double measure(const struct bench_row *r, double seconds, uint64_t check)
{
	double end = bench_now() + seconds, best = 0;

	do {
		double start = bench_now(), took;
		uint64_t n = 0;

		do {
			if (r->batch() != check) {
				printf("WRONG %s differs between batches\n",
					r->name);
				exit(1);
			}
			n++;
			took = bench_now() - start;
		} while (took < WINDOW && took < seconds);
		if (n / took > best)
			best = n / took;
	} while (bench_now() < end);
	return best;
}

static int row(const char *name, double seconds)
{
	const struct bench_row *r = find(name);
	uint64_t check;
	double best;

	if (!r) {
		fprintf(stderr, "no row %s\n", name);
		return 2;
	}
	if (r->setup && !r->setup()) {
		printf("NA %s\n", name);
		return 0;
	}
	check = r->batch();
	best = measure(r, seconds, check);
	if (r->teardown)
		r->teardown();
	printf("ROW %s %.6g %016llx\n", name, best * r->ops,
		(unsigned long long)check);
	return 0;
}

static int run_quietly(char **words)
{
	pid_t p = vfork();
	int status = 0;

	if (!p) {
		int null = open("/dev/null", O_RDWR);

		dup2(null, 0);
		dup2(null, 1);
		dup2(null, 2);
		execvp(words[0], words);
		_exit(127);
	}
	waitpid(p, &status, 0);
	return status;
}

static int time_command(double seconds, char **words)
{
	double end = bench_now() + seconds, best = 0;

	do {
		double start = bench_now(), took;

		if (run_quietly(words)) {
			fprintf(stderr, "%s failed\n", words[0]);
			return 1;
		}
		took = bench_now() - start;
		if (!best || took < best)
			best = took;
	} while (bench_now() < end);
	printf("%.6g\n", best);
	return 0;
}

/* Words of a small vocabulary: compresses as prose does, about 3:1. */
static int text(size_t bytes)
{
	static char out[1 << 16];
	uint32_t x = 1;
	size_t n = 0;

	while (bytes) {
		unsigned word = bench_random(&x) % 3000, length = 2 + word % 9;

		for (unsigned i = 0; i < length && n < sizeof(out); i++)
			out[n++] = (char)('a' + (word >> i % 5) * 7 % 26);
		if (n < sizeof(out))
			out[n++] = bench_random(&x) % 12 ? ' ' : '\n';
		if (n == sizeof(out) || n >= bytes) {
			size_t now = n < bytes ? n : bytes;

			if (fwrite(out, 1, now, stdout) != now)
				return 1;
			bytes -= now;
			n = 0;
		}
	}
	return 0;
}

int main(int argc, char **argv)
{
	const char *verb = argc > 1 ? argv[1] : "";

	if (!strcmp(verb, "true"))
		return 0;
	if (!strcmp(verb, "list"))
		return list();
	if (!strcmp(verb, "row") && argc == 4)
		return row(argv[2], atof(argv[3]));
	if (!strcmp(verb, "smp") && argc == 5)
		return bench_smp(
			argv[2], atof(argv[3]), (unsigned)atoi(argv[4]));
	if (!strcmp(verb, "time") && argc > 3)
		return time_command(atof(argv[2]), argv + 3);
	if (!strcmp(verb, "text") && argc == 3)
		return text((size_t)atoll(argv[2]));
	if (!strcmp(verb, "disk") && (argc == 4 || argc == 5))
		return bench_disk(argv[2], atof(argv[3]), argv[4]);
	if (!strcmp(verb, "net") && argc == 6)
		return bench_net(argv[2], argv[3], (unsigned)atoi(argv[4]),
			atof(argv[5]));
	if (!strcmp(verb, "clock")) {
		printf("%.6f\n", bench_now());
		return 0;
	}
	fputs("usage: see the head of main.c\n", stderr);
	return 2;
}
