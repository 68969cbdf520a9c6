/*
 * mem.c - integer programs that live on memory: chases, copies, tables.
 *
 * Built as int.c is.
 */
#include "bench.h"
#include <string.h>

static uint32_t *chain;
static uint32_t chain_length;

/* One cycle through all nodes in random order, a node per 8 bytes. */
static void make_chain(size_t bytes)
{
	uint32_t x = 9;

	chain_length = (uint32_t)(bytes / 8);
	chain = bench_alloc(bytes);
	for (uint32_t i = 0; i < chain_length; i++)
		chain[2 * i] = i;
	for (uint32_t i = chain_length - 1; i; i--) {
		uint32_t j = (uint32_t)((uint64_t)bench_random(&x) * i >> 24);
		uint32_t t = chain[2 * i];

		chain[2 * i] = chain[2 * j];
		chain[2 * j] = t;
	}
}

static bool small_chain(void)
{
	make_chain(64 << 10);
	return true;
}

static bool large_chain(void)
{
	make_chain(8 << 20);
	return true;
}

static uint64_t chase(void)
{
	uint32_t at = 0;
	uint64_t check = 0;

	for (uint32_t i = 0; i < chain_length; i++) {
		at = chain[2 * at];
		check += at ^ i;
	}
	return check + at;
}

static uint8_t text[64 << 10], copied[64 << 10];

static bool make_text(void)
{
	uint32_t x = 4;

	for (size_t i = 0; i < sizeof(text); i++) {
		uint32_t r = bench_random(&x) % 9;

		text[i] = (uint8_t)(r ? 'a' + r : ' ');
	}
	return true;
}

static uint64_t copy8(void)
{
	for (size_t i = 0; i < sizeof(text); i++)
		copied[i] = text[i];
	return copied[17] + copied[65000];
}

/* String instructions one by one in a loop, as libc's sorting does it. */
static uint64_t movs_loop(void)
{
	const uint8_t *from = text;
	uint8_t *to = copied;

	while (to < copied + sizeof(copied))
		__asm__ volatile("movsq\n\tmovsl\n\tmovsl"
				 : "+S"(from), "+D"(to)::"memory");
	return copied[5] + copied[60000] + (uint64_t)(from - text);
}

static uint64_t scan(void)
{
	unsigned words = 0, in = 0;

	for (size_t i = 0; i < sizeof(text); i++) {
		unsigned letter = text[i] != ' ';

		words += letter & ~in;
		in = letter;
	}
	return words;
}

__attribute__((noinline)) static size_t length(const uint8_t *s)
{
	const uint8_t *p = s;

	while (*p)
		p++;
	return (size_t)(p - s);
}

static bool make_strings(void)
{
	make_text();
	for (size_t i = 0; i < sizeof(text); i += 1 + i % 61)
		text[i] = 0;
	text[sizeof(text) - 1] = 0;
	return true;
}

static uint64_t strings(void)
{
	uint64_t check = 0;

	for (size_t i = 0; i < sizeof(text);) {
		size_t n = length(text + i);

		check = check * 5 + n;
		i += n + 1;
	}
	return check;
}

#define SLOTS (1u << 16)
static uint64_t *slots;

static bool make_table(void)
{
	slots = bench_alloc(SLOTS * 2 * sizeof(*slots));
	return true;
}

static uint64_t hash_insert(void)
{
	uint64_t check = 0;
	uint32_t x = 77;

	memset(slots, 0, SLOTS * 2 * sizeof(*slots));
	for (uint32_t n = 0; n < 20000; n++) {
		uint64_t key = bench_random(&x) % 15000 + 1;
		uint64_t at = key * 0x9e3779b97f4a7c15u >> 48;

		while (slots[2 * at] && slots[2 * at] != key)
			at = (at + 1) % SLOTS;
		slots[2 * at] = key;
		slots[2 * at + 1] += n;
		check += at;
	}
	return check;
}

struct node {
	struct node *child[2];
	uint32_t key, count;
};
#define NODES 8192
static struct node *nodes;

static bool make_nodes(void)
{
	nodes = bench_alloc(NODES * sizeof(*nodes));
	return true;
}

static uint64_t tree(void)
{
	struct node *root = NULL;
	uint32_t x = 5, used = 0;
	uint64_t check = 0;

	for (int n = 0; n < 12000; n++) {
		struct node **at = &root;
		uint32_t key = bench_random(&x) & 8191, depth = 0;

		for (; *at && (*at)->key != key; depth++)
			at = &(*at)->child[key > (*at)->key];
		if (!*at) {
			*at = &nodes[used++];
			**at = (struct node){.key = key};
		}
		(*at)->count++;
		check += depth;
	}
	return check;
}

static uint32_t *wide;
#define WIDE (64u << 20)

static bool make_wide(void)
{
	wide = bench_alloc(WIDE);
	for (uint32_t i = 0; i < WIDE / 4; i += 1024)
		wide[i] = i;
	return true;
}

static uint64_t random_reads(void)
{
	uint32_t x = 1;
	uint64_t sum = 0;

	for (int i = 0; i < 100000; i++) {
		x = x * 1664525 + 1013904223;
		sum += wide[(x >> 4) % (WIDE / 4)];
	}
	return sum;
}

static uint64_t sieve(void)
{
	unsigned count = 0;

	memset(copied, 0, sizeof(copied));
	for (size_t i = 2; i < sizeof(copied); i++) {
		if (copied[i])
			continue;
		count++;
		for (size_t j = i * i; j < sizeof(copied); j += i)
			copied[j] = 1;
	}
	return count;
}

const struct bench_row rows_mem[] = {
	{"chase64K", "int", "Mop/s", 8192e-6, chase, small_chain},
	{"chase8M", "int", "Mop/s", 1.048576, chase, large_chain},
	{"random64M", "int", "Mop/s", 0.1, random_reads, make_wide},
	{"copy8", "int", "MB/s", 0.065536, copy8, make_text},
	{"movs_loop", "int", "MB/s", 0.065536, movs_loop, make_text},
	{"scan", "int", "MB/s", 0.065536, scan, make_text},
	{"strlen", "int", "MB/s", 0.065536, strings, make_strings},
	{"hashins", "int", "Mop/s", 0.02, hash_insert, make_table},
	{"bintree", "int", "Mop/s", 0.012, tree, make_nodes},
	{"sieve", "int", "run/s", 1, sieve},
	{NULL},
};
