/*
 * vmm-ram.c - memory that goes back to the host, of a machine that shares some
 * with others: the file's old contents must not come back.
 */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm/priv.h"

#define PAGE  4096u
#define BLOCK (2u << 20)
#define BYTES (64 * BLOCK)

struct rig {
	struct machine m;
	struct conf_machine *conf;
	uint8_t *ram;
	int fd;
};

/* The file has something in every other block but the last four. */
static void up(struct rig *r)
{
	memset(r, 0, sizeof(*r));
	r->m.conf = r->conf = conf_machine_new();
	r->m.bus = bus_new(BYTES, BYTES);
	r->ram = bus_ram(r->m.bus)->host;
	r->fd = memfd_create("ram", MFD_CLOEXEC);
	g_assert_cmpint(ftruncate(r->fd, BYTES), ==, 0);
	for (uint64_t at = 0; at < BYTES - 4 * BLOCK; at += 2 * BLOCK)
		for (uint64_t p = 0; p < BLOCK; p += PAGE)
			g_assert_cmpint(
				pwrite(r->fd, "file", 4, at + p), ==, 4);
	g_assert_true(ram_share(&r->m, r->fd, NULL));
}

static void down(struct rig *r)
{
	bus_free(r->m.bus);
	g_free(r->m.ram_shared);
	conf_machine_free(r->conf);
	close(r->fd);
}

static void expect(struct rig *r, uint64_t at, const char *text)
{
	g_assert_cmpstr((char *)r->ram + at, ==, text);
}

static void test_own(void)
{
	struct rig r = {.m.bus = bus_new(BYTES, BYTES)};

	r.ram = bus_ram(r.m.bus)->host;
	strcpy((char *)r.ram, "before");
	strcpy((char *)r.ram + PAGE, "in it");
	strcpy((char *)r.ram + 2 * PAGE, "behind");
	ram_discard(&r.m, PAGE, PAGE);
	expect(&r, 0, "before");
	expect(&r, PAGE, "");
	expect(&r, 2 * PAGE, "behind");
	bus_free(r.m.bus);
}

static void test_shared(void)
{
	static const struct run {
		uint64_t at, bytes;
	} runs[] = {{0, PAGE}, {5 * PAGE, 3 * PAGE}, {2 * BLOCK, BLOCK},
		{4 * BLOCK - PAGE, 2 * PAGE},
		{6 * BLOCK - BLOCK / 2, 5 * BLOCK}};
	g_autofree bool *gone = g_new0(bool, BYTES / PAGE);
	struct rig r;

	up(&r);
	strcpy((char *)r.ram + 2 * BLOCK, "own");
	strcpy((char *)r.ram + 6 * PAGE, "own");
	for (unsigned round = 0; round < 2; round++) {
		for (unsigned i = 0; i < G_N_ELEMENTS(runs); i++) {
			ram_discard(&r.m, runs[i].at, runs[i].bytes);
			for (uint64_t k = 0; k < runs[i].bytes; k += PAGE)
				gone[(runs[i].at + k) / PAGE] = true;
		}
		for (uint64_t at = 0; at < BYTES; at += PAGE) {
			bool full = at < BYTES - 4 * BLOCK &&
				    at / BLOCK % 2 == 0 && !gone[at / PAGE];

			expect(&r, at, full ? "file" : "");
		}
		/* what is written then goes as well */
		for (unsigned i = 0; i < G_N_ELEMENTS(runs); i++)
			strcpy((char *)r.ram + runs[i].at, "again");
		for (unsigned i = 0; i < G_N_ELEMENTS(runs); i++)
			expect(&r, runs[i].at, "again");
	}
	down(&r);
}

/* Page by page: no more mappings than a process may have, and what cannot go
 * stays. */
static void test_scattered(void)
{
	unsigned kept = 0, gone = 0;
	struct rig r;

	up(&r);
	r.m.ram_cuts = 15000;
	for (uint64_t at = 0; at < BYTES - 4 * BLOCK; at += 2 * PAGE) {
		if (at / BLOCK % 2)
			continue;
		strcpy((char *)r.ram + at, "mine");
		ram_discard(&r.m, at, PAGE);
		kept += !strcmp((char *)r.ram + at, "mine");
		gone += !r.ram[at];
		expect(&r, at + PAGE, "file");
	}
	g_assert_cmpuint(gone, ==, 1384);
	g_assert_cmpuint(kept, ==, 30 * BLOCK / (2 * PAGE) - gone);
	down(&r);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/ram/own", test_own);
	g_test_add_func("/ram/shared", test_shared);
	g_test_add_func("/ram/scattered", test_scattered);
	return g_test_run();
}
