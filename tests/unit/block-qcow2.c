/*
 * block-qcow2.c - qcow2 images against qemu-img: random operations on an image
 * and on a plain copy in memory must agree, and qemu-img must find the image
 * whole and equal.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <glib.h>

#include "block/image.h"

static char *dir;

static char *path(const char *name)
{
	return g_build_filename(dir, name, NULL);
}

static bool run(const char *fmt, ...)
{
	va_list ap;
	g_autofree char *cmd = NULL, *out = NULL, *errs = NULL;
	const char *argv[] = {"sh", "-c", NULL, NULL};
	int status = -1;

	va_start(ap, fmt);
	cmd = g_strdup_vprintf(fmt, ap);
	va_end(ap);
	argv[2] = cmd;
	if (!g_spawn_sync(dir, (char **)(void *)argv, NULL, G_SPAWN_SEARCH_PATH,
		    NULL, NULL, &out, &errs, &status, NULL))
		return false;
	if (status)
		g_test_message("%s: %s%s", cmd, out, errs);
	return status == 0;
}

static bool have_qemu_img(void)
{
	g_autofree char *p = g_find_program_in_path("qemu-img");

	if (!p)
		g_test_skip("qemu-img is not installed (package qemu-utils)");
	return p != NULL;
}

static struct blk *open_named(void *opaque, const char *from, const char *name,
	bool writable, char **real, GError **err)
{
	g_autofree char *p = path(name);
	int fd = open(p, (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC);

	if (fd < 0)
		g_set_error(err, G_FILE_ERROR, G_FILE_ERROR_NOENT,
			"%s is not there", name);
	return fd < 0 ? NULL : blk_raw_open(fd, !writable, err);
}

static struct blk *open_image(const char *name, bool readonly, GError **err)
{
	static const struct image_source source = {open_named, NULL};
	g_autofree char *p = path(name);
	int fd = open(p, (readonly ? O_RDONLY : O_RDWR) | O_CLOEXEC);
	struct image_open how = {.readonly = readonly, .source = &source};

	g_assert_cmpint(fd, >=, 0);
	how.lower = blk_raw_open(fd, readonly, err);
	g_assert_nonnull(how.lower);
	return image_open(&image_qcow2, &how, err);
}

struct model {
	struct blk *b;
	uint8_t *want;
	uint64_t size;
};

static void random_op(struct model *m, unsigned max)
{
	uint64_t off = (uint64_t)g_random_int_range(0, m->size / 512) * 512;
	uint64_t len = (uint64_t)g_random_int_range(1, max / 512) * 512;
	g_autofree uint8_t *buf = NULL;

	len = MIN(len, m->size - off);
	buf = g_malloc(len);
	switch (g_random_int_range(0, 10)) {
	case 0:
		g_assert_cmpint(
			blk_write_zeroes(m->b, off, len, g_random_boolean()),
			==, 0);
		memset(m->want + off, 0, len);
		break;
	case 1: /* what discarding leaves is not said: take what we find */
		g_assert_cmpint(blk_discard(m->b, off, len), ==, 0);
		g_assert_cmpint(
			blk_pread(m->b, m->want + off, len, off), ==, 0);
		break;
	case 2:
	case 3:
	case 4:
		g_assert_cmpint(blk_pread(m->b, buf, len, off), ==, 0);
		g_assert_cmpint(memcmp(buf, m->want + off, len), ==, 0);
		break;
	case 5: g_assert_cmpint(blk_flush(m->b), ==, 0); break;
	default:
		memset(buf, g_random_int_range(1, 256), len);
		memcpy(buf, &off, 8);
		g_assert_cmpint(blk_pwrite(m->b, buf, len, off), ==, 0);
		memcpy(m->want + off, buf, len);
		break;
	}
}

static void read_all(struct model *m)
{
	g_autofree uint8_t *buf = g_malloc(m->size);

	g_assert_cmpint(blk_pread(m->b, buf, m->size, 0), ==, 0);
	g_assert_cmpint(memcmp(buf, m->want, m->size), ==, 0);
}

/* image: t.qcow2, made by the caller. */
static void exercise(unsigned ops, unsigned max)
{
	struct model m = {open_image("t.qcow2", false, NULL)};
	g_autofree char *raw = path("want.raw");

	g_assert_nonnull(m.b);
	m.size = m.b->size;
	m.want = g_malloc(m.size);
	g_assert_cmpint(blk_pread(m.b, m.want, m.size, 0), ==, 0);
	for (unsigned i = 0; i < ops; i++) {
		random_op(&m, max);
		if (i % (ops / 3) == ops / 4) {
			blk_close(m.b);
			m.b = open_image("t.qcow2", false, NULL);
			g_assert_nonnull(m.b);
		}
	}
	read_all(&m);
	blk_close(m.b);
	g_assert_true(g_file_set_contents(raw, (char *)m.want, m.size, NULL));
	g_assert_true(run("qemu-img check -q -f qcow2 t.qcow2"));
	g_assert_true(run("qemu-img compare -q -f raw -F qcow2 want.raw "
			  "t.qcow2"));
	m.b = open_image("t.qcow2", true, NULL);
	read_all(&m);
	blk_close(m.b);
	g_free(m.want);
}

struct shape {
	const char *name, *options, *size;
	unsigned ops, max;
};

static const struct shape shapes[] = {
	{"64k", "compat=1.1", "20M", 150, 150000},
	{"v2", "compat=0.10", "20M", 150, 150000},
	{"512", "cluster_size=512", "24M", 400, 60000},
	{"2m", "cluster_size=2M", "25M", 40, 3000000},
	{"ref1", "cluster_size=4k,refcount_bits=1", "20M", 150, 150000},
	{"ref64", "cluster_size=1k,refcount_bits=64", "20M", 150, 150000},
	{"lazy", "lazy_refcounts=on", "20M", 150, 150000},
	{"odd", "cluster_size=64k", "1234432", 200, 100000},
	{"full", "preallocation=metadata", "8M", 200, 100000},
};

static void test_shape(const void *data)
{
	const struct shape *s = data;

	if (!have_qemu_img())
		return;
	g_assert_true(run("rm -f t.qcow2; qemu-img create -q -f qcow2 -o %s "
			  "t.qcow2 %s",
		s->options, s->size));
	exercise(s->ops, s->max);
}

static void make_base(void)
{
	g_assert_true(run("head -c 10000000 /dev/urandom > base.raw; "
			  "truncate -s 12000256 base.raw"));
}

static void test_backing(const void *data)
{
	const char *base = data;

	if (!have_qemu_img())
		return;
	make_base();
	g_assert_true(run("rm -f t.qcow2 base.qcow2; "
			  "qemu-img convert -f raw -O qcow2 base.raw "
			  "base.qcow2; qemu-img create -q -f qcow2 -b base.%s "
			  "-F %s t.qcow2 16M",
		base, base));
	exercise(120, 200000);
}

static void test_compressed(const void *data)
{
	if (!have_qemu_img())
		return;
	make_base();
	g_assert_true(run("rm -f t.qcow2; for i in 1 2 3 4 5 6 7 8; do seq 1 "
			  "200000; done > base.raw; truncate -s 12M base.raw; "
			  "qemu-img convert -c -f raw -O qcow2 -o "
			  "compression_type=%s base.raw t.qcow2",
		(const char *)data));
	exercise(120, 200000);
}

static void test_snapshot(void)
{
	if (!have_qemu_img())
		return;
	make_base();
	g_assert_true(run("rm -f t.qcow2; qemu-img convert -f raw -O qcow2 "
			  "base.raw t.qcow2; qemu-img snapshot -c one "
			  "t.qcow2"));
	exercise(120, 200000);
	g_assert_true(run("qemu-img snapshot -a one t.qcow2 && qemu-img "
			  "compare -q -f raw -F qcow2 base.raw t.qcow2"));
}

/* ---- refusals ---- */

static void poke(const char *name, unsigned off, const void *what, size_t len)
{
	g_autofree char *p = path(name);
	int fd = open(p, O_RDWR | O_CLOEXEC);

	g_assert_cmpint(pwrite(fd, what, len, off), ==, len);
	close(fd);
}

/* Keep t.qcow2 as it is now, or put that back. */
static char *kept;
static size_t kept_len;

static void keep(void)
{
	g_autofree char *p = path("t.qcow2");

	g_clear_pointer(&kept, g_free);
	g_assert_true(g_file_get_contents(p, &kept, &kept_len, NULL));
}

static void put_back(void)
{
	g_autofree char *p = path("t.qcow2");

	g_assert_true(g_file_set_contents(p, kept, kept_len, NULL));
}

static void expect_refusal(const char *word)
{
	g_autoptr(GError) err = NULL;
	struct blk *b = open_image("t.qcow2", false, &err);

	g_assert_null(b);
	g_assert_nonnull(err);
	g_test_message("%s", err->message);
	g_assert_nonnull(strstr(err->message, word));
}

static const struct {
	unsigned off;
	uint8_t byte;
	const char *word;
} wrongs[] = {
	{0, 'X', "not a qcow2"},
	{7, 9, "version"},
	{35, 1, "encryption"},
	{79, 4, "data file"},
	{79, 2, "corrupt"},
	{78, 0x10, "feature bits"},
	{23, 40, "cluster size"},
	{23, 3, "cluster size"},
	{36, 0xff, "L1 table"},
	{39, 0, "L1 table"},
	{47, 1, "not aligned"},
	{40, 0x7f, "L1 table"},
	{56, 0xff, "count table"},
	{59, 0, "count table"},
	{99, 9, "too wide"},
	{45, 0, "overlap"},
};

static void test_wrong(void)
{
	if (!have_qemu_img())
		return;
	g_assert_true(run("rm -f t.qcow2; qemu-img create -q -f qcow2 "
			  "t.qcow2 20M"));
	keep();
	for (unsigned i = 0; i < G_N_ELEMENTS(wrongs); i++) {
		put_back();
		poke("t.qcow2", wrongs[i].off, &wrongs[i].byte, 1);
		expect_refusal(wrongs[i].word);
	}
	g_assert_true(run("truncate -s 10 t.qcow2"));
	expect_refusal("qcow2");
}

/* Any bytes at all in header and tables: errors, no crash and no endless
 * work. */
static void test_rubbish(void)
{
	if (!have_qemu_img())
		return;
	g_assert_true(run("rm -f t.qcow2; qemu-img create -q -f qcow2 -o "
			  "cluster_size=4k t.qcow2 2M; qemu-io -c "
			  "'write 0 300k' t.qcow2"));
	keep();
	for (unsigned i = 0; i < 200; i++) {
		uint8_t byte = g_random_int();
		struct blk *b;
		uint8_t buf[4096];

		if (i % 20 == 0)
			put_back();
		poke("t.qcow2",
			g_random_boolean() ? g_random_int_range(0, 120)
					   : g_random_int_range(0, 30000),
			&byte, 1);
		b = open_image("t.qcow2", i & 1, NULL);
		if (!b)
			continue;
		for (uint64_t off = 0; off < MIN(b->size, 1u << 20);
			off += sizeof(buf)) {
			blk_pread(b, buf, sizeof(buf), off);
			blk_pwrite(b, buf, sizeof(buf), off);
		}
		blk_close(b);
	}
}

/* An image left dirty by a crash with lazy counts: usable, nothing lost. */
static void test_dirty(void)
{
	uint8_t one = 1;

	if (!have_qemu_img())
		return;
	g_assert_true(run("rm -f t.qcow2; qemu-img create -q -f qcow2 -o "
			  "lazy_refcounts=on t.qcow2 20M; qemu-io -c "
			  "'write -P 7 1M 1M' t.qcow2"));
	poke("t.qcow2", 79, &one, 1);
	struct blk *b = open_image("t.qcow2", false, NULL);
	uint8_t buf[512], want[512];

	g_assert_nonnull(b);
	memset(want, 9, sizeof(want));
	g_assert_cmpint(blk_pwrite(b, want, 512, 5 << 20), ==, 0);
	g_assert_cmpint(blk_pread(b, buf, 512, 1 << 20), ==, 0);
	g_assert_cmpint(buf[0], ==, 7);
	blk_close(b);
	g_assert_true(run("qemu-img check -q -r all t.qcow2; qemu-io -c 'read "
			  "-P 9 5M 512' -c 'read -P 7 1M 1M' t.qcow2"));
}

int main(int argc, char **argv)
{
	int rc;

	g_test_init(&argc, &argv, NULL);
	/* In memory, where syncing costs nothing, if there is such a place. */
	if (!g_getenv("TMPDIR") && !access("/dev/shm", W_OK))
		g_setenv("TMPDIR", "/dev/shm", TRUE);
	dir = g_dir_make_tmp("vmeste-qcow2-XXXXXX", NULL);
	for (unsigned i = 0; i < G_N_ELEMENTS(shapes); i++) {
		g_autofree char *n =
			g_strdup_printf("/block/qcow2/%s", shapes[i].name);

		g_test_add_data_func(n, &shapes[i], test_shape);
	}
	g_test_add_data_func("/block/qcow2/backing-raw", "raw", test_backing);
	g_test_add_data_func(
		"/block/qcow2/backing-qcow2", "qcow2", test_backing);
	g_test_add_data_func("/block/qcow2/zlib", "zlib", test_compressed);
	g_test_add_data_func("/block/qcow2/zstd", "zstd", test_compressed);
	g_test_add_func("/block/qcow2/snapshot", test_snapshot);
	g_test_add_func("/block/qcow2/wrong", test_wrong);
	g_test_add_func("/block/qcow2/rubbish", test_rubbish);
	g_test_add_func("/block/qcow2/dirty", test_dirty);
	rc = g_test_run();
	run("rm -rf %s", dir);
	g_free(dir);
	return rc;
}
