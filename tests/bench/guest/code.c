/*
 * code.c - code that is written while it runs.
 */
#include "bench.h"
#include <string.h>
#include <sys/mman.h>

typedef uint32_t (*function)(uint32_t);

#define PAGES 16
static uint8_t *code;

static bool map_code(void)
{
	code = mmap(NULL, PAGES * 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return code != MAP_FAILED;
}

static function as_function(uint8_t *p)
{
	function f;

	memcpy(&f, &p, sizeof(f));
	return f;
}

/* mov $value, %eax; add %edi, %eax; ret */
static void put_function(uint8_t *p, uint32_t value)
{
	static const uint8_t tail[] = {0x01, 0xf8, 0xc3};

	p[0] = 0xb8;
	memcpy(p + 1, &value, 4);
	memcpy(p + 5, tail, sizeof(tail));
}

/* An immediate is changed before each call. */
static uint64_t patch_call(void)
{
	uint64_t sum = 0;

	put_function(code, 0);
	for (uint32_t i = 0; i < 1000; i++) {
		memcpy(code + 1, &i, 4);
		sum = sum * 3 + as_function(code)(7);
	}
	return sum;
}

/* One of eight functions of a page is written, then all are called. */
static uint64_t patch_one_of(void)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < 8; i++)
		put_function(code + i * 256, i);
	for (uint32_t i = 0; i < 100; i++) {
		put_function(code + i % 8 * 256, i);
		for (uint32_t k = 0; k < 8; k++)
			sum = sum * 3 + as_function(code + k * 256)(k);
	}
	return sum;
}

/* What a just-in-time compiler does: write much, run it a little. */
static uint64_t generate(void)
{
	uint64_t sum = 0;

	for (uint32_t round = 0; round < 4; round++) {
		for (uint32_t i = 0; i < PAGES * 16; i++)
			put_function(code + i * 256, i ^ round);
		for (uint32_t i = 0; i < PAGES * 16; i++)
			sum = sum * 3 + as_function(code + i * 256)(i);
	}
	return sum;
}

/* More code than a translator may keep, each function called once. */
#define MANY (8u << 20)

static bool map_many(void)
{
	code = mmap(NULL, MANY, PROT_READ | PROT_WRITE | PROT_EXEC,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return code != MAP_FAILED;
}

static uint64_t many_pages(void)
{
	uint64_t sum = 0;

	for (uint32_t at = 0; at < MANY; at += 128) {
		put_function(code + at, at);
		sum = sum * 3 + as_function(code + at)(at >> 7);
	}
	return sum;
}

/* Data beside code in one page, as in kernels and old programs. */
static uint64_t data_beside(void)
{
	uint32_t sum = 0;

	memset(code, 0, 4096);
	put_function(code, 5);
	for (uint32_t i = 0; i < 1000; i++) {
		code[2048 + i % 64] = (uint8_t)i;
		sum = as_function(code)(sum) + code[2048 + i * 7 % 64];
	}
	return sum;
}

const struct bench_row rows_code[] = {
	{"smc_patch", "smc", "patch/s", 1000, patch_call, map_code},
	{"smc_one_of_8", "smc", "patch/s", 100, patch_one_of, map_code},
	{"smc_generate", "smc", "func/s", 4 * PAGES * 16, generate, map_code},
	{"smc_pages", "smc", "func/s", MANY / 128, many_pages, map_many},
	{"smc_data", "smc", "write/s", 1000, data_beside, map_code},
	{NULL},
};
