/*
 * block-cut.c - power cuts under a qcow2 image.
 *
 * The image lies on a lower disk that keeps what was written apart from what
 * was flushed.  A cut leaves all that was flushed and any sectors of the rest.
 * Afterwards qemu-img must find nothing worse than lost space, and all that
 * the guest flushed and did not touch since must be there.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <glib.h>

#include "block/image.h"

#define MAX_BYTES (48u << 20)
#define SECTOR	  512

struct platter {
	struct blk blk;
	uint8_t *now, *durable;
	uint8_t *touched; /* a byte a sector: written since the flush */
};

static int platter_preadv(
	struct blk *b, const struct iovec *iov, int n, uint64_t off)
{
	struct platter *p = (struct platter *)b;

	for (int i = 0; i < n; i++) {
		memcpy(iov[i].iov_base, p->now + off, iov[i].iov_len);
		off += iov[i].iov_len;
	}
	return 0;
}

static int platter_pwritev(
	struct blk *b, const struct iovec *iov, int n, uint64_t off)
{
	struct platter *p = (struct platter *)b;

	for (int i = 0; i < n; i++) {
		uint64_t end = off + iov[i].iov_len;

		memcpy(p->now + off, iov[i].iov_base, iov[i].iov_len);
		for (uint64_t s = off / SECTOR; s * SECTOR < end; s++)
			p->touched[s] = 1;
		off = end;
	}
	return 0;
}

static int platter_discard(struct blk *b, uint64_t off, uint64_t len)
{
	struct platter *p = (struct platter *)b;

	memset(p->now + off, 0, len);
	memset(p->touched + off / SECTOR, 1, len / SECTOR);
	return 0;
}

static int platter_flush(struct blk *b)
{
	struct platter *p = (struct platter *)b;

	for (uint64_t s = 0; s < MAX_BYTES / SECTOR; s++)
		if (p->touched[s])
			memcpy(p->durable + s * SECTOR, p->now + s * SECTOR,
				SECTOR);
	memset(p->touched, 0, MAX_BYTES / SECTOR);
	return 0;
}

static int platter_resize(struct blk *b, uint64_t size)
{
	if (size > MAX_BYTES)
		return -ENOSPC;
	b->size = size;
	return 0;
}

static void platter_close(struct blk *b)
{
}

static const struct blk_ops platter_ops = {
	.name = "platter",
	.preadv = platter_preadv,
	.pwritev = platter_pwritev,
	.discard = platter_discard,
	.flush = platter_flush,
	.resize = platter_resize,
	.close = platter_close,
};

static void platter_cut(struct platter *p)
{
	for (uint64_t s = 0; s < MAX_BYTES / SECTOR; s++)
		if (p->touched[s] && g_random_boolean())
			memcpy(p->durable + s * SECTOR, p->now + s * SECTOR,
				SECTOR);
}

static char *dir;

static int run(const char *fmt, ...)
{
	va_list ap;
	g_autofree char *cmd = NULL, *out = NULL, *errs = NULL;
	const char *argv[] = {"sh", "-c", NULL, NULL};
	int status = -1;

	va_start(ap, fmt);
	cmd = g_strdup_vprintf(fmt, ap);
	va_end(ap);
	argv[2] = cmd;
	g_assert_true(g_spawn_sync(dir, (char **)(void *)argv, NULL,
		G_SPAWN_SEARCH_PATH, NULL, NULL, &out, &errs, &status, NULL));
	if (status)
		g_test_message("%s: %s%s", cmd, out, errs);
	return status >> 8;
}

/* The disk as the guest knows it: what it wrote, and of which sectors it may
 * be sure. */
struct guest {
	struct blk *b;
	uint8_t *want;
	uint8_t *unsure; /* written since the last flush */
};

static void guest_op(struct guest *g)
{
	uint64_t sectors = g->b->size / SECTOR;
	uint64_t s = g_random_int_range(0, sectors);
	uint64_t most = MIN(120, sectors - s);
	uint64_t n = g_random_int_range(1, most + 1);
	g_autofree uint8_t *buf = g_malloc(n * SECTOR);

	switch (g_random_int_range(0, 8)) {
	case 0:
		g_assert_cmpint(blk_flush(g->b), ==, 0);
		memset(g->unsure, 0, sectors);
		return;
	case 1:
		memset(buf, 0, n * SECTOR);
		g_assert_cmpint(blk_write_zeroes(g->b, s * SECTOR, n * SECTOR,
					g_random_boolean()),
			==, 0);
		break;
	case 2:
		g_assert_cmpint(
			blk_discard(g->b, s * SECTOR, n * SECTOR), ==, 0);
		memset(g->unsure + s, 2, n);
		g_assert_cmpint(
			blk_pread(g->b, buf, n * SECTOR, s * SECTOR), ==, 0);
		break;
	default:
		memset(buf, g_random_int_range(1, 255), n * SECTOR);
		g_assert_cmpint(
			blk_pwrite(g->b, buf, n * SECTOR, s * SECTOR), ==, 0);
	}
	memcpy(g->want + s * SECTOR, buf, n * SECTOR);
	memset(g->unsure + s, 1, n);
}

static void guest_verify(struct guest *g, const char *file)
{
	g_autofree uint8_t *got = g_malloc(g->b->size);
	g_autoptr(GError) err = NULL;
	g_autofree char *p = g_build_filename(dir, file, NULL);
	struct image_open how = {
		.lower =
			blk_raw_open(open(p, O_RDONLY | O_CLOEXEC), true, &err),
		.readonly = true};
	struct blk *q = image_open(&image_qcow2, &how, &err);

	g_assert_no_error(err);
	g_assert_cmpint(blk_pread(q, got, q->size, 0), ==, 0);
	for (uint64_t s = 0; s < q->size / SECTOR; s++)
		if (!g->unsure[s] &&
			memcmp(got + s * SECTOR, g->want + s * SECTOR, SECTOR))
			g_error("sector %llu was flushed and is lost",
				(unsigned long long)s);
	blk_close(q);
}

static void one_cut(const char *content, size_t len)
{
	struct platter p = {.blk = {.ops = &platter_ops}};
	struct image_open how = {0};
	struct guest g;
	g_autofree char *file = g_build_filename(dir, "cut.qcow2", NULL);
	int rc;

	p.now = g_malloc0(MAX_BYTES);
	p.durable = g_malloc0(MAX_BYTES);
	p.touched = g_malloc0(MAX_BYTES / SECTOR);
	memcpy(p.now, content, len);
	memcpy(p.durable, content, len);
	p.blk.size = (len + 511) & ~511ull;
	how.lower = &p.blk;
	g.b = image_open(&image_qcow2, &how, NULL);
	g_assert_nonnull(g.b);
	g.want = g_malloc(g.b->size);
	g.unsure = g_malloc0(g.b->size / SECTOR);
	g_assert_cmpint(blk_pread(g.b, g.want, g.b->size, 0), ==, 0);
	for (int i = g_random_int_range(10, 100); i; i--)
		guest_op(&g);
	platter_cut(&p);
	g_assert_true(
		g_file_set_contents(file, (char *)p.durable, p.blk.size, NULL));
	rc = run("qemu-img check -q -f qcow2 cut.qcow2");
	g_assert_true(rc == 0 || rc == 3); /* 3: clusters leaked, no more */
	guest_verify(&g, "cut.qcow2");
	blk_close(g.b);
	g_free(p.now);
	g_free(p.durable);
	g_free(p.touched);
	g_free(g.want);
	g_free(g.unsure);
}

static void test_cut(const void *data)
{
	g_autofree char *tool = g_find_program_in_path("qemu-img");
	g_autofree char *content = NULL, *file = NULL;
	size_t len;

	if (!tool) {
		g_test_skip("qemu-img is not installed (package qemu-utils)");
		return;
	}
	g_assert_cmpint(run("rm -f t.qcow2; qemu-img create -q -f qcow2 -o %s "
			    "t.qcow2 10M && qemu-io -c 'write -P 5 1M 2M' "
			    "t.qcow2 && qemu-img snapshot -c one t.qcow2",
				(const char *)data),
		==, 0);
	file = g_build_filename(dir, "t.qcow2", NULL);
	g_assert_true(g_file_get_contents(file, &content, &len, NULL));
	for (unsigned i = 0; i < 5; i++)
		one_cut(content, len);
}

int main(int argc, char **argv)
{
	int rc;

	g_test_init(&argc, &argv, NULL);
	if (!g_getenv("TMPDIR") && !access("/dev/shm", W_OK))
		g_setenv("TMPDIR", "/dev/shm", TRUE);
	dir = g_dir_make_tmp("vmeste-cut-XXXXXX", NULL);
	g_test_add_data_func("/block/cut/64k", "cluster_size=64k", test_cut);
	g_test_add_data_func("/block/cut/4k", "cluster_size=4k", test_cut);
	g_test_add_data_func("/block/cut/512", "cluster_size=512", test_cut);
	g_test_add_data_func("/block/cut/v2", "compat=0.10", test_cut);
	rc = g_test_run();
	run("rm -rf %s", dir);
	g_free(dir);
	return rc;
}
