/* disk-parts.c - partition tables: good ones, damaged ones, at random. */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>

#include "block/bytes.h"
#include "disk/parts.h"

#define SIZE (4u << 20)

static struct blk *disk_of(const uint8_t *bytes)
{
	int fd = memfd_create("disk", MFD_CLOEXEC);

	g_assert_cmpint(write(fd, bytes, SIZE), ==, SIZE);
	return blk_raw_open(fd, true, NULL);
}

/* "1:2048+100 5:..." in sectors. */
static char *parts_of(const uint8_t *bytes)
{
	struct blk *b = disk_of(bytes);
	GArray *parts = disk_parts_read(b, NULL);
	GString *s = g_string_new(NULL);

	g_assert_nonnull(parts);
	for (guint i = 0; i < parts->len; i++) {
		struct disk_part *p =
			&g_array_index(parts, struct disk_part, i);

		g_assert_cmpuint(p->len, >, 0);
		g_assert_cmpuint(p->off + p->len, <=, SIZE);
		g_string_append_printf(s, "%s%u:%u+%u", i ? " " : "", p->number,
			(unsigned)(p->off / 512), (unsigned)(p->len / 512));
	}
	g_array_unref(parts);
	blk_close(b);
	return g_string_free(s, FALSE);
}

static void entry(uint8_t *disk, unsigned sector, unsigned n, uint8_t type,
	uint32_t first, uint32_t count)
{
	uint8_t *s = disk + sector * 512, *e = s + 446 + 16 * n;

	e[4] = type;
	put_le32(e + 8, first);
	put_le32(e + 12, count);
	s[510] = 0x55;
	s[511] = 0xaa;
}

static void gpt(uint8_t *disk, unsigned unit, unsigned lba, unsigned list)
{
	uint8_t *h = disk + (size_t)lba * unit, *e = disk + (size_t)list * unit;

	memset(e, 0, 128 * 128);
	e[0] = 1;
	put_le64(e + 32, 40);
	put_le64(e + 40, 47);
	e[2 * 128] = 1;
	put_le64(e + 2 * 128 + 32, 60);
	put_le64(e + 2 * 128 + 40, 59); /* none: ends before it begins */
	e[3 * 128] = 1;
	put_le64(e + 3 * 128 + 32, 64);
	put_le64(e + 3 * 128 + 40, UINT64_MAX - 1);
	memset(h, 0, unit);
	memcpy(h, "EFI PART", 8);
	put_le32(h + 12, 92);
	put_le64(h + 24, lba);
	put_le64(h + 72, list);
	put_le32(h + 80, 128);
	put_le32(h + 84, 128);
	put_le32(h + 88, (uint32_t)crc32(0, e, 128 * 128));
	put_le32(h + 16, (uint32_t)crc32(0, h, 92));
	entry(disk, 0, 0, 0xee, 1, SIZE / 512 - 1);
}

static void test_none(void)
{
	g_autofree uint8_t *d = g_malloc0(SIZE);
	g_autofree char *none = parts_of(d), *boot = NULL;

	g_assert_cmpstr(none, ==, "");
	/* the boot sector of a file system: text where flags would be */
	memset(d, 'x', 510);
	entry(d, 0, 0, 0x83, 64, 64);
	boot = parts_of(d);
	g_assert_cmpstr(boot, ==, "");
}

static void test_mbr(void)
{
	g_autofree uint8_t *d = g_malloc0(SIZE);
	g_autofree char *text = NULL;

	entry(d, 0, 0, 0x07, 64, 100);
	entry(d, 0, 1, 0x05, 1000, 3000);
	entry(d, 0, 2, 0x83, 0xffffffff, 1);
	entry(d, 0, 3, 0x83, 8000, 0xffffffff);
	entry(d, 1000, 0, 0x83, 10, 50);
	entry(d, 1000, 1, 0x05, 100, 200);
	entry(d, 1100, 0, 0x83, 10, 60);
	entry(d, 1100, 1, 0x05, 100, 200); /* itself */
	text = parts_of(d);
	g_assert_cmpstr(text, ==, "1:64+100 4:8000+192 5:1010+50 6:1110+60");
}

static void test_gpt(void)
{
	static const char want512[] = "1:40+8 4:64+8128",
			  want4096[] = "1:320+64 4:512+7680";
	g_autofree uint8_t *d = g_malloc0(SIZE), *large = g_malloc0(SIZE);
	g_autofree char *first = NULL, *second = NULL, *third = NULL;

	gpt(d, 512, 1, 2);
	gpt(d, 512, SIZE / 512 - 1, SIZE / 512 - 33);
	first = parts_of(d);
	g_assert_cmpstr(first, ==, want512);
	d[512 + 60]++; /* the checksum tells */
	second = parts_of(d);
	g_assert_cmpstr(second, ==, want512);
	gpt(large, 4096, 1, 2);
	third = parts_of(large);
	g_assert_cmpstr(third, ==, want4096);
}

/* Whatever stands there, what comes out lies within the disk. */
static void test_random(void)
{
	g_autofree uint8_t *d = g_malloc0(SIZE);
	g_autoptr(GRand) r = g_rand_new_with_seed(7);

	gpt(d, 512, 1, 2);
	for (unsigned i = 0; i < 300; i++) {
		for (unsigned k = 0; k < 4; k++)
			entry(d, k ? 8 * (i % 7) : 0, k,
				k == 1 ? 5 : (uint8_t)g_rand_int(r),
				g_rand_int_range(r, 0, 9000) / (1 + i % 900),
				g_rand_int(r) >> g_rand_int_range(r, 0, 32));
		g_free(parts_of(d));
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/parts/none", test_none);
	g_test_add_func("/parts/mbr", test_mbr);
	g_test_add_func("/parts/gpt", test_gpt);
	g_test_add_func("/parts/random", test_random);
	return g_test_run();
}
