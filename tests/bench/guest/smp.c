/*
 * smp.c - the same work by one thread or several, and what they share.
 *
 * Each row's value is the work of all threads together.
 */
#include "bench.h"
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

struct worker {
	pthread_t thread;
	uint64_t done;
	uint64_t check;
	unsigned index;
	char pad[64];
};

struct smp_row {
	const char *name;
	const char *unit;
	double ops; /* units in a turn */
	void (*turn)(struct worker *w);
	uint64_t *total; /* must be the sum of all turns' work, or NULL */
	uint64_t work;	 /* what one turn adds to it */
};

static volatile bool stop;
static uint64_t counter, guarded, guarded_too;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static volatile int spin;
static const struct smp_row *current;

static void compute(struct worker *w)
{
	uint64_t x = w->index + 1;

	for (int k = 0; k < 10000; k++)
		x = x * 6364136223846793005u + 1442695040888963407u;
	w->check ^= x;
}

static void tables(struct worker *w)
{
	uint32_t table[1024], x = w->index;

	memset(table, 0, sizeof(table));
	for (int k = 0; k < 5000; k++) {
		uint32_t r = bench_random(&x);

		table[r % 1024] += table[r / 1024 % 1024] + r;
	}
	w->check ^= table[w->index];
}

static void calls(struct worker *w)
{
	for (int k = 0; k < 100; k++)
		w->check ^= (uint64_t)syscall(SYS_getppid);
}

static void faults(struct worker *w)
{
	const size_t size = 64 << 12;
	char *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	madvise(p, size, MADV_NOHUGEPAGE);
	for (size_t i = 0; i < size; i += 4096)
		p[i] = (char)w->index;
	munmap(p, size);
}

static void atomic_adds(struct worker *w)
{
	(void)w;
	for (int k = 0; k < 1000; k++)
		__atomic_fetch_add(&counter, 1, __ATOMIC_SEQ_CST);
}

static void mutexes(struct worker *w)
{
	(void)w;
	for (int k = 0; k < 100; k++) {
		pthread_mutex_lock(&mutex);
		guarded++;
		pthread_mutex_unlock(&mutex);
	}
}

static void spins(struct worker *w)
{
	(void)w;
	for (int k = 0; k < 100; k++) {
		while (__atomic_exchange_n(&spin, 1, __ATOMIC_ACQUIRE))
			sched_yield();
		guarded_too++;
		__atomic_store_n(&spin, 0, __ATOMIC_RELEASE);
	}
}

static const struct smp_row rows[] = {
	{"smp_lcg", "Mop/s", 0.01, compute},
	{"smp_tables", "Mop/s", 0.005, tables},
	{"smp_getppid", "call/s", 100, calls},
	{"smp_pagefault", "fault/s", 64, faults},
	{"smp_atomic", "Mop/s", 1e-3, atomic_adds, &counter, 1000},
	{"smp_mutex", "Mlock/s", 1e-4, mutexes, &guarded, 100},
	{"smp_spinlock", "Mlock/s", 1e-4, spins, &guarded_too, 100},
	{NULL},
};

static void *work(void *data)
{
	struct worker *w = data;

	while (!stop) {
		current->turn(w);
		__atomic_store_n(&w->done, w->done + 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

void bench_smp_list(void)
{
	for (const struct smp_row *r = rows; r->name; r++)
		printf("%s smp %s\n", r->name, r->unit);
}

static uint64_t all_done(const struct worker *w, unsigned n)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < n; i++)
		sum += __atomic_load_n(&w[i].done, __ATOMIC_RELAXED);
	return sum;
}

/* The best tenth of a second, as everywhere. */
static double watch(const struct worker *w, unsigned n, double seconds)
{
	double end = bench_now() + seconds, best = 0;

	usleep(20000);
	do {
		uint64_t before = all_done(w, n);
		double start = bench_now(), rate;

		usleep(100000);
		rate = (double)(all_done(w, n) - before) /
		       (bench_now() - start);
		if (rate > best)
			best = rate;
	} while (bench_now() < end);
	return best;
}

int bench_smp(const char *name, double seconds, unsigned threads)
{
	struct worker *w = calloc(threads, sizeof(*w));
	uint64_t turns = 0;
	double best;

	for (current = rows; current->name; current++)
		if (!strcmp(current->name, name))
			break;
	if (!current->name || !w)
		return 2;
	for (unsigned i = 0; i < threads; i++) {
		w[i].index = i;
		pthread_create(&w[i].thread, NULL, work, &w[i]);
	}
	best = watch(w, threads, seconds);
	stop = true;
	for (unsigned i = 0; i < threads; i++) {
		pthread_join(w[i].thread, NULL);
		turns += w[i].done;
	}
	if (current->total && *current->total != turns * current->work) {
		printf("WRONG %s lost updates: %llu of %llu\n", name,
			(unsigned long long)*current->total,
			(unsigned long long)(turns * current->work));
		return 1;
	}
	printf("ROW %s %.6g 0\n", name, best * current->ops);
	free(w);
	return 0;
}
