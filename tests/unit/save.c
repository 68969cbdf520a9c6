/* save.c - the file of a saved machine: what is read is what was written. */
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "save/save.h"

#define RAM (5u << 20) /* no whole number of runs */

static uint8_t *ram_new(void)
{
	return mmap(NULL, RAM, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void ram_fill(uint8_t *p, GRand *rnd)
{
	for (unsigned i = 0; i < RAM / 4096; i++)
		if (i % 3 && i / 256 != 2)
			memset(p + i * 4096, g_rand_int(rnd) | 1, 4096);
	p[RAM - 1] = 7;
}

static int write_state(const struct save_ram *ram)
{
	int fd = memfd_create("state", MFD_CLOEXEC);
	g_autoptr(GError) err = NULL;
	struct save_out *o = save_out_new(fd, "{\"a\": 1}", &err);
	g_autoptr(GByteArray) a = g_byte_array_new();

	g_assert_no_error(err);
	g_assert_true(save_out_part(o, "empty", a));
	g_byte_array_append(a, (const guint8 *)"bytes", 5);
	g_assert_true(save_out_part(o, "five", a));
	g_assert_true(save_out_ram(o, ram, 3));
	g_assert_true(save_out_end(o, &err));
	return fd;
}

static void test_round(void)
{
	g_autoptr(GRand) rnd = g_rand_new_with_seed(1);
	struct save_ram from = {ram_new(), RAM}, to = {ram_new(), RAM};
	g_autoptr(save_parts_auto) p = NULL;
	g_autoptr(GError) err = NULL;
	g_autofree char *text = NULL;
	const GByteArray *a;
	int fd;

	ram_fill(from.host, rnd);
	fd = write_state(&from);
	text = save_read_settings(fd, &err);
	g_assert_cmpstr(text, ==, "{\"a\": 1}");
	p = save_read(fd, &to, NULL, 1000, 2, &err);
	g_assert_no_error(err);
	g_assert_true(memcmp(from.host, to.host, RAM) == 0);
	g_assert_cmpstr(save_parts_unused(p), !=, NULL);
	a = save_parts_find(p, "five");
	g_assert_cmpmem(a->data, a->len, "bytes", 5);
	a = save_parts_find(p, "empty");
	g_assert_cmpuint(a->len, ==, 0);
	g_assert_null(save_parts_unused(p));
	g_assert_null(save_parts_find(p, "six"));
	close(fd);
	munmap(from.host, RAM);
	munmap(to.host, RAM);
}

#define EMPTY (2u << 20) /* a whole number of runs */

static bool is_there(const void *opaque, uint64_t off, uint64_t bytes)
{
	g_assert_cmpuint(off % bytes, ==, 0);
	return off >= EMPTY;
}

/* Who says what may be there is believed. */
static void test_there(void)
{
	g_autoptr(GRand) rnd = g_rand_new_with_seed(1);
	struct save_ram from = {ram_new(), RAM, is_there, NULL};
	struct save_ram to = {ram_new(), RAM};
	g_autoptr(save_parts_auto) p = NULL;
	uint8_t zero[4096] = {0};
	int fd;

	ram_fill(from.host, rnd);
	fd = write_state(&from);
	p = save_read(fd, &to, NULL, 1000, 2, NULL);
	g_assert_nonnull(p);
	g_assert_true(
		memcmp(from.host + EMPTY, to.host + EMPTY, RAM - EMPTY) == 0);
	for (unsigned at = 0; at < EMPTY; at += sizeof(zero))
		g_assert_cmpmem(to.host + at, sizeof(zero), zero, sizeof(zero));
	close(fd);
	munmap(from.host, RAM);
	munmap(to.host, RAM);
}

/* Cut anywhere, or a bit flipped: an error, and nothing else. */
static void test_damage(void)
{
	g_autoptr(GRand) rnd = g_rand_new_with_seed(2);
	struct save_ram from = {ram_new(), RAM}, to = {ram_new(), RAM};
	unsigned taken = 0;
	off_t size;
	int fd;

	ram_fill(from.host, rnd);
	fd = write_state(&from);
	size = lseek(fd, 0, SEEK_END);
	for (unsigned i = 0; i < 400; i++) {
		off_t at = g_rand_int_range(rnd, 0, (int)size);
		int bad = memfd_create("bad", MFD_CLOEXEC);
		g_autofree uint8_t *copy = g_malloc((gsize)size);
		g_autoptr(save_parts_auto) p = NULL;
		g_autoptr(GError) err = NULL;
		size_t n = i % 2 ? (size_t)size : (size_t)at;

		g_assert_cmpint(pread(fd, copy, (size_t)size, 0), ==, size);
		copy[at] ^= (uint8_t)(1 << g_rand_int_range(rnd, 0, 8));
		g_assert_cmpint(write(bad, copy, n), ==, (ssize_t)n);
		p = save_read(bad, &to, NULL, 1000, 2, &err);
		/* A few bits mean nothing. */
		if (p)
			g_assert_true(!memcmp(from.host, to.host, RAM));
		else
			g_assert_nonnull(err);
		taken += p != NULL;
		close(bad);
	}
	g_assert_cmpuint(taken, <, 8);
	/* memory of another size, parts that are too long */
	to.bytes -= 4096;
	g_assert_null(save_read(fd, &to, NULL, 1000, 2, NULL));
	g_assert_null(save_read(fd, &from, NULL, 8, 2, NULL));
	close(fd);
	munmap(from.host, RAM);
	munmap(to.host, RAM);
}

/* What no machine ends up with stays out. */
static void test_full(void)
{
	struct save_ram ram = {ram_new(), RAM};
	int fd = memfd_create("full", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	g_autoptr(GError) err = NULL;
	struct save_out *o;

	fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE);
	o = save_out_new(fd, "{}", NULL);
	memset(ram.host, 1, 4096);
	g_assert_false(save_out_ram(o, &ram, 2));
	g_assert_false(save_out_end(o, &err));
	g_assert_nonnull(err);
	close(fd);
	munmap(ram.host, RAM);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/save/round", test_round);
	g_test_add_func("/save/there", test_there);
	g_test_add_func("/save/damage", test_damage);
	g_test_add_func("/save/full", test_full);
	return g_test_run();
}
