/*
 * block-formats.c - each format that can be written, by random operations
 * against a plain copy in memory, alone and on a backing file, and against
 * qemu-img where that knows the format.
 */
#include "image-rig.h"

struct shape {
	const char *name, *format, *kind, *qemu; /* qemu: its name or NULL */
	const char *qemu_create; /* options for an image of its making */
	uint64_t size;
	uint32_t block;
	bool child; /* can stand on another */
	bool qemu_check;
};

#define M (1ull << 20)

static const struct shape shapes[] = {
	{"raw", "raw", NULL, "raw", "", 12 * M + 512},
	{"qcow2", "qcow2", "v3", "qcow2", "", 12 * M + 512, 0, true, true},
	{"qcow2-v2", "qcow2", "v2", "qcow2", "-o compat=0.10", 12 * M, 0, true,
		true},
	{"qcow2-4k", "qcow2", "v3", "qcow2", "-o cluster_size=4k", 12 * M, 4096,
		true, true},
	{"qcow2-512", "qcow2", "v3", "qcow2", "-o cluster_size=512", 12 * M,
		512, true, true},
	{"qcow2-ext", "qcow2", "extended", "qcow2",
		"-o extended_l2=on,cluster_size=64k", 12 * M + 512, 0, true,
		true},
	{"vhd", "vhd", "dynamic", "vpc", "", 12 * M, 0, true},
	{"vhd-512k", "vhd", "dynamic", "vpc", NULL, 12 * M, 512 << 10, true},
	{"vhd-fixed", "vhd", "fixed", "vpc", "-o subformat=fixed", 12 * M},
	{"vdi", "vdi", "dynamic", "vdi", "", 12 * M + 512, 0, true, true},
	{"vdi-fixed", "vdi", "fixed", "vdi", "-o static=on", 12 * M, 0, false,
		true},
	{"vhdx", "vhdx", "dynamic", "vhdx", "", 12 * M, 0, true, true},
	{"vhdx-fixed", "vhdx", "fixed", "vhdx", "-o subformat=fixed", 12 * M, 0,
		false, true},
	{"vmdk", "vmdk", "sparse", "vmdk", "", 12 * M + 512, 0, true, true},
	{"vmdk-flat", "vmdk", "flat", "vmdk", "-o subformat=monolithicFlat",
		12 * M},
	{"vmdk-split", "vmdk", "split-sparse", "vmdk",
		"-o subformat=twoGbMaxExtentSparse", 12 * M, 0, true, true},
	{"vmdk-split-flat", "vmdk", "split-flat", "vmdk",
		"-o subformat=twoGbMaxExtentFlat", 12 * M},
};

/* ---- random operations ---- */

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
		g_assert_cmpint(blk_pread(m->b, buf, len, off), ==, 0);
		g_assert_cmpint(memcmp(buf, m->want + off, len), ==, 0);
		break;
	case 4: g_assert_cmpint(blk_flush(m->b), ==, 0); break;
	default:
		memset(buf, g_random_int_range(1, 256), len);
		memcpy(buf, &off, 8);
		g_assert_cmpint(blk_pwrite(m->b, buf, len, off), ==, 0);
		memcpy(m->want + off, buf, len);
		break;
	}
}

/* What can be read at once is the same, and much can where a raw file can. */
static void read_now(struct model *m)
{
	static bool host_can;
	uint8_t buf[4096];
	struct iovec iov = {buf, sizeof(buf)};
	unsigned n = 0;

	for (uint64_t at = 0; at + sizeof(buf) <= m->size; at += sizeof(buf)) {
		if (blk_preadv_now(m->b, &iov, 1, at))
			continue;
		g_assert_cmpmem(buf, sizeof(buf), m->want + at, sizeof(buf));
		n++;
	}
	if (!strcmp(m->b->ops->name, "raw"))
		host_can = n > 0;
	else if (host_can)
		g_assert_cmpuint(n, >, m->size / sizeof(buf) / 4);
}

static void read_all(struct model *m)
{
	g_autofree uint8_t *buf = g_malloc(m->size);

	g_assert_cmpint(blk_pread(m->b, buf, m->size, 0), ==, 0);
	g_assert_cmpint(memcmp(buf, m->want, m->size), ==, 0);
	read_now(m);
}

/* So must holes of the file, and what can be seen in it is what is read. */
static void map_holes(struct model *m)
{
	struct blk_extent e;
	struct blk_view v;

	for (uint64_t at = 0; at < m->size; at += e.len) {
		g_assert_cmpint(
			blk_map_holes(m->b, at, m->size - at, &e), ==, 0);
		g_assert_cmpuint(e.len, >, 0);
		if (e.state == BLK_ZERO)
			g_assert_true(blk_is_zero(m->want + at, e.len));
		else if (!blk_view(e.file, e.at, e.len, &v)) {
			g_assert_cmpmem(v.data, e.len, m->want + at, e.len);
			blk_unview(&v);
		} else {
			/* compressed, shared by parts, or cut off */
			g_assert_cmpstr(m->b->ops->name, !=, "raw");
		}
	}
}

/* What a map says are zeros must be, and lengths must add up. */
static void map_all(struct model *m)
{
	struct blk_extent e;

	map_holes(m);

	for (uint64_t at = 0; at < m->size; at += e.len) {
		g_assert_cmpint(
			blk_map_deep(m->b, at, m->size - at, &e, NULL), ==, 0);
		g_assert_cmpuint(e.len, >, 0);
		g_assert_true(e.state == BLK_DATA || e.state == BLK_ZERO);
		if (e.state == BLK_ZERO)
			g_assert_true(blk_is_zero(m->want + at, e.len));
	}
}

static struct blk *open_ok(
	const struct shape *s, const char *name, bool readonly)
{
	g_autoptr(GError) err = NULL;
	struct blk *b = rig_open(name, s->format, readonly, &err);

	g_assert_no_error(err);
	return b;
}

static void check_ours(const struct shape *s, const char *name)
{
	struct blk *b = open_ok(s, name, true);
	const struct image_format *f = image_format_of(b);
	struct image_check c = {0};

	if (f->check) {
		g_assert_cmpint(f->check(b, &c), ==, 0);
		g_assert_cmpuint(c.errors, ==, 0);
		g_assert_cmpuint(c.leaks, ==, 0);
	}
	blk_close(b);
}

static void check_qemu(const struct shape *s, const char *name)
{
	if (s->qemu_check)
		g_assert_cmpint(
			rig_run("qemu-img check -q -f %s %s", s->qemu, name),
			==, 0);
	g_assert_cmpint(rig_run("qemu-img compare -q -f raw -F %s want.raw %s",
				s->qemu, name),
		==, 0);
}

static void exercise(const struct shape *s, const char *name, bool qemu)
{
	struct model m = {open_ok(s, name, false)};
	g_autofree char *raw = rig_path("want.raw");
	unsigned ops = 120;

	m.size = m.b->size;
	m.want = g_malloc(m.size);
	g_assert_cmpint(blk_pread(m.b, m.want, m.size, 0), ==, 0);
	for (unsigned i = 0; i < ops; i++) {
		random_op(&m, i % 8 ? 150000 : 3000000);
		if (i % (ops / 3) == ops / 4) {
			blk_close(m.b);
			m.b = open_ok(s, name, false);
		}
	}
	read_all(&m);
	map_all(&m);
	blk_close(m.b);
	g_assert_true(g_file_set_contents(raw, (char *)m.want, m.size, NULL));
	check_ours(s, name);
	if (qemu)
		check_qemu(s, name);
	m.b = open_ok(s, name, true);
	read_all(&m);
	map_all(&m);
	blk_close(m.b);
	g_free(m.want);
}

/* ---- tests ---- */

static void create_ok(
	const struct shape *s, const char *name, struct image_create *c)
{
	g_autoptr(GError) err = NULL;

	c->kind = s->kind;
	c->block = s->block;
	rig_create(name, s->format, c, &err);
	g_assert_no_error(err);
}

/* A guest's pages are pages of the file. */
static void aligned(const struct shape *s)
{
	struct blk *b = open_ok(s, "t.img", true);
	struct blk_extent e;

	for (uint64_t at = 0; at < b->size && s->block != 512; at += e.len) {
		g_assert_cmpint(blk_map(b, at, b->size - at, &e), ==, 0);
		if (e.state == BLK_DATA && e.file)
			g_assert_cmpuint(e.at % 4096, ==, at % 4096);
	}
	blk_close(b);
}

static void test_ours(const void *data)
{
	const struct shape *s = data;
	struct image_create c = {.size = s->size};

	if (!rig_have_qemu_img())
		return;
	create_ok(s, "t.img", &c);
	g_assert_cmpuint(c.size, >=, s->size);
	exercise(s, "t.img", true);
	aligned(s);
}

static void test_theirs(const void *data)
{
	const struct shape *s = data;

	if (!s->qemu_create) {
		g_test_skip("qemu-img cannot make such an image");
		return;
	}
	if (!rig_have_qemu_img())
		return;
	g_assert_cmpint(rig_run("rm -f t*.img t*.vmdk; qemu-img create -q -f "
				"%s %s t.img %llu && qemu-io -f %s -c "
				"'write -P 7 1M 1M' -c 'write -P 8 5M 9k' "
				"t.img",
				s->qemu, s->qemu_create,
				(unsigned long long)s->size, s->qemu),
		==, 0);
	exercise(s, "t.img", true);
}

/* A child over a parent over a grandparent, all written to before. */
static void test_child(const void *data)
{
	const struct shape *s = data;
	const char *const names[] = {"g.img", "p.img", "t.img"};
	const char *backing = NULL;

	if (!s->child) {
		g_test_skip("no differencing images of this kind");
		return;
	}
	for (unsigned i = 0; i < 3; i++) {
		struct image_create c = {.size = s->size, .backing = backing};

		if (backing) {
			c.parent = open_ok(s, backing, true);
			c.size = c.parent->size;
			c.backing_format = s->format;
		}
		create_ok(s, names[i], &c);
		blk_close(c.parent);
		exercise(s, names[i], false);
		backing = names[i];
		/* VDI looks for its parent by UUID. */
		if (!strcmp(s->format, "vdi"))
			break;
	}
}

/* ---- children of a disk that is in use ---- */

/* What it is the child's format of: its own where that can. */
static const char *child_format(const struct shape *s)
{
	return image_format_find(s->format)->rebase ? s->format : "qcow2";
}

static struct blk *live_child(
	struct model *m, const char *format, const char *name, const char *on)
{
	g_autofree char *p = rig_path(name);
	struct image_child c = {
		.fd = open(p, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600),
		.format = image_format_find(format),
		.name = name,
		.backing = on,
	};
	struct image_open how = {.readonly = true, .no_backing = true};
	g_autoptr(GError) err = NULL;
	struct blk *child, *alone;
	struct blk_extent e;

	g_assert_cmpint(c.fd, >=, 0);
	g_assert_cmpint(blk_flush(m->b), ==, 0);
	child = image_live_child(m->b, &c, &err);
	g_assert_no_error(err);
	/* alone it says that it has nothing, not that all is zeros */
	how.lower = blk_raw_open(open(p, O_RDONLY | O_CLOEXEC), true, &err);
	alone = image_open(c.format, &how, &err);
	g_assert_no_error(err);
	g_assert_cmpint(blk_map(alone, 0, alone->size, &e), ==, 0);
	g_assert_cmpint(e.state, ==, BLK_BELOW);
	blk_close(alone);
	return child;
}

/* What each had when it got a child is in its file, closed or not. */
static void check_layers(const struct shape *s, const char *const *names,
	uint8_t *const *was, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		const char *format = i ? child_format(s) : s->format;
		g_autoptr(GError) err = NULL;
		struct model m = {.want = was[i]};

		if (i && !strcmp(format, "vdi"))
			break; /* is looked for by UUID */
		m.b = rig_open(names[i], format, true, &err);
		g_assert_no_error(err);
		m.size = m.b->size;
		read_all(&m);
		blk_close(m.b);
	}
}

static void test_live(const void *data)
{
	static const char *const names[] = {"l0.img", "l1.img", "l2.img"};
	const struct shape *s = data;
	struct image_create c = {.size = s->size};
	struct model m;
	uint8_t *was[3];

	create_ok(s, names[0], &c);
	m.b = image_live_new(open_ok(s, names[0], false), -1);
	m.size = m.b->size;
	m.want = g_malloc(m.size);
	g_assert_cmpint(blk_pread(m.b, m.want, m.size, 0), ==, 0);
	for (unsigned i = 0; i < 3; i++) {
		struct blk *child;

		for (unsigned k = 0; k < 40; k++)
			random_op(&m, 100000);
		read_all(&m);
		was[i] = g_memdup2(m.want, m.size);
		if (i == 2)
			break;
		/* one that is taken back, and its file used again */
		image_live_drop(live_child(
			&m, child_format(s), names[i + 1], names[i]));
		random_op(&m, 100000);
		memcpy(was[i], m.want, m.size);
		child = live_child(&m, child_format(s), names[i + 1], names[i]);
		image_live_switch(m.b, child, -1);
		check_layers(s, names, was, i + 1);
	}
	g_assert_cmpint(blk_flush(m.b), ==, 0);
	check_layers(s, names, was, 3);
	map_all(&m);
	blk_close(m.b);
	check_layers(s, names, was, 3);
	for (unsigned i = 0; i < 3; i++)
		g_free(was[i]);
	g_free(m.want);
}

/* Sparse images of 2 TiB take no room and can be written at their end. */
static void test_large(const void *data)
{
	const struct shape *s = data;
	uint64_t size = strcmp(s->format, "vhd") ? 2ull << 40 : 2040ull << 30;
	struct image_create c = {.size = size};
	g_autofree char *p = rig_path("t.img");
	uint8_t buf[4096], got[4096];
	struct stat st;
	struct blk *b;

	if (g_strrstr(s->name, "fixed") || g_strrstr(s->name, "split") ||
		g_strrstr(s->name, "flat") || g_strrstr(s->name, "512")) {
		g_test_skip("would take that room");
		return;
	}
	if (s->block == 4096)
		return;
	create_ok(s, "t.img", &c);
	g_assert_cmpuint(c.size, ==, size);
	b = open_ok(s, "t.img", false);
	g_assert_cmpuint(b->size, ==, size);
	memset(buf, 0x5a, sizeof(buf));
	g_assert_cmpint(blk_pwrite(b, buf, 4096, size - 4096), ==, 0);
	g_assert_cmpint(blk_pread(b, got, 4096, size - 4096), ==, 0);
	g_assert_cmpmem(buf, 4096, got, 4096);
	g_assert_cmpint(blk_pread(b, got, 4096, size / 2), ==, 0);
	g_assert_true(blk_is_zero(got, 4096));
	blk_close(b);
	g_assert_cmpint(stat(p, &st), ==, 0);
	g_assert_cmpint(st.st_blocks * 512, <, 20 << 20);
	if (rig_have_qemu_img() && s->qemu_check)
		g_assert_cmpint(rig_run("qemu-img check -q -f %s t.img && "
					"qemu-io -r -f %s -c 'read -P 0x5a "
					"%llu 4k' t.img",
					s->qemu, s->qemu,
					(unsigned long long)size - 4096),
			==, 0);
}

static void test_resize(const void *data)
{
	const struct shape *s = data;
	struct image_create c = {.size = s->size};
	g_autofree uint8_t *buf = g_malloc(s->size + 4 * M);
	g_autofree uint8_t *want = g_malloc0(300 * M);
	struct blk *b;
	uint64_t old;
	int rc;

	create_ok(s, "t.img", &c);
	b = open_ok(s, "t.img", false);
	old = b->size;
	memset(buf, 0x77, old);
	g_assert_cmpint(blk_pwrite(b, buf, old, 0), ==, 0);
	memset(want, 0x77, old);
	/* Past what one table has room for. */
	for (uint64_t size = old + 512; size < 300 * M; size = size * 3) {
		rc = blk_resize(b, size & ~511ull);
		if (rc == -EOPNOTSUPP) {
			g_test_skip("is made anew for that");
			break;
		}
		g_assert_cmpint(rc, ==, 0);
		g_assert_cmpuint(b->size, >=, size & ~511ull);
		if (b->size > 300 * M)
			break;
		g_assert_cmpint(blk_pread(b, buf, old, 0), ==, 0);
		g_assert_cmpmem(buf, old, want, old);
		g_assert_cmpint(blk_pread(b, buf, 512, b->size - 512), ==, 0);
		g_assert_true(blk_is_zero(buf, 512));
		memset(want + b->size - 512, 0x33, 512);
		g_assert_cmpint(
			blk_pwrite(b, want + b->size - 512, 512, b->size - 512),
			==, 0);
	}
	blk_close(b);
	check_ours(s, "t.img");
	if (s->qemu_check && rig_have_qemu_img())
		g_assert_cmpint(
			rig_run("qemu-img check -q -f %s t.img", s->qemu), ==,
			0);
}

/* What a file is remembered to have is forgotten when it changes. */
static void test_holes(void)
{
	g_autofree char *p = rig_path("holes"), *bytes = g_malloc(8 * M);
	struct blk *b;
	struct blk_extent e;

	memset(bytes, 0x55, 8 * M);
	g_assert_true(g_file_set_contents(p, bytes, 8 * M, NULL));
	b = blk_raw_open(open(p, O_RDWR | O_CLOEXEC), false, NULL);
	g_assert_nonnull(b);
	g_assert_cmpint(blk_map(b, 0, 8 * M, &e), ==, 0);
	g_assert_cmpuint(e.len, ==, 8 * M);
	g_assert_cmpint(blk_map(b, 5 * M, M, &e), ==, 0);
	g_assert_cmpuint(e.len, ==, M);
	g_assert_cmpint(blk_discard(b, 4 * M, 2 * M), ==, 0);
	g_assert_cmpint(blk_map(b, 0, 8 * M, &e), ==, 0);
	g_assert_cmpuint(e.len, ==, 4 * M);
	g_assert_cmpint(blk_map(b, 5 * M, 3 * M, &e), ==, 0);
	g_assert_cmpint(e.state, ==, BLK_ZERO);
	g_assert_cmpuint(e.len, ==, M);
	g_assert_cmpint(blk_map(b, 6 * M, 2 * M, &e), ==, 0);
	g_assert_cmpint(e.state, ==, BLK_DATA);
	blk_close(b);
}

static const struct {
	const char *name;
	void (*run)(const void *shape);
} tests[] = {{"ours", test_ours}, {"theirs", test_theirs},
	{"child", test_child}, {"live", test_live}, {"large", test_large},
	{"resize", test_resize}};

int main(int argc, char **argv)
{
	int rc;

	g_test_init(&argc, &argv, NULL);
	rig_init();
	for (unsigned i = 0; i < G_N_ELEMENTS(shapes); i++)
		for (unsigned k = 0; k < G_N_ELEMENTS(tests); k++) {
			g_autofree char *n = g_strdup_printf("/formats/%s/%s",
				shapes[i].name, tests[k].name);

			g_test_add_data_func(n, &shapes[i], tests[k].run);
		}
	g_test_add_func("/formats/raw/holes", test_holes);
	rc = g_test_run();
	rig_fini();
	return rc;
}
