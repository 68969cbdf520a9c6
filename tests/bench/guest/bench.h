/*
 * bench.h - what the guest benchmark's parts share.
 *
 * A row is a batch of fixed work.  Each batch of a row does exactly the same
 * and returns the same check value, so that an engine that computes wrongly
 * but fast is noticed: in one run batches are compared with one another, and
 * the host's side compares the value with that of the bare processor.
 */
#ifndef BENCH_H
#define BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bench_row {
	const char *name;
	const char *group; /* int, fp, sys, exec, smc, smp, disk */
	const char *unit;  /* of what is done in a second */
	double ops;	   /* units in a batch */
	uint64_t (*batch)(void);
	bool (*setup)(void);	/* false: not possible here */
	void (*teardown)(void); /* or NULL */
};

extern const struct bench_row rows_int[], rows_mem[], rows_fp[], rows_sys[],
	rows_exec[], rows_code[];

/* One step of a small generator: the same numbers everywhere. */
static inline uint32_t bench_random(uint32_t *state)
{
	*state = *state * 1664525 + 1013904223;
	return *state >> 8;
}

/* Mix a value into a check. */
static inline uint64_t bench_mix(uint64_t check, uint64_t value)
{
	check = (check ^ value) * 0x9e3779b97f4a7c15u;
	return check ^ check >> 29;
}

double bench_now(void); /* seconds, monotonic */

/* Memory that is there before the clock starts; ends the program if none. */
void *bench_alloc(size_t bytes);

/* smp.c: rows with threads. */
int bench_smp(const char *name, double seconds, unsigned threads);
void bench_smp_list(void);

/* disk.c: rows on a block device or file; writes over it. */
/* row NULL: all. */
int bench_disk(const char *path, double seconds, const char *row);

/* net.c: tx, rx or rr with a server. */
int bench_net(const char *way, const char *host, unsigned port, double seconds);

#endif
