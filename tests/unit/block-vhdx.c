/*
 * block-vhdx.c - logs of VHDX images, made by hand after [MS-VHDX] 2.3, as
 * programs leave them that are cut off; qemu-img must replay the same, but
 * where it begins before the tail, goes on over a gap in the numbers, or
 * leaves out an entry around the ring's end.
 */
#include "image-rig.h"

#include "block/vhdx.h"

#define PAGE   4096u
#define LOG_AT (1u << 20) /* where our images have it */
#define LOG    (1u << 20)
#define BLOCK  (1u << 20)

/* What one entry of the log does. */
struct item {
	uint32_t at;   /* in the ring */
	uint64_t seq;  /* 0: no further one */
	uint32_t tail; /* where the run begins */
	char kind;     /* 'd'ata, 'z'eros */
	unsigned page; /* of the disk's first block, */
	unsigned n;    /* so many */
	uint8_t fill;
	enum { GOOD, BAD_SUM, BAD_GUID, BAD_DATA, FILE_LONGER } what;
};

static const uint8_t guid[16] = "a log's own guid";

/* The page as data, with what signature and numbers take in the descriptor:
 * 2.3.1.3, 2.3.1.4. */
static void put_data(uint8_t *desc, uint8_t *sector, const struct item *e,
	unsigned i, uint64_t file_off)
{
	uint8_t page[PAGE];

	memset(page, e->fill, PAGE);
	page[0] = 0xaa;
	page[PAGE - 1] = 0xbb;
	memcpy(desc, "desc", 4);
	memcpy(desc + 4, page + PAGE - 4, 4);
	memcpy(desc + 8, page, 8);
	put_le64(desc + 16, file_off);
	put_le64(desc + 24, e->seq);
	memcpy(sector, page, PAGE);
	memcpy(sector, "data", 4);
	put_le32(sector + 4, (uint32_t)(e->seq >> 32));
	put_le32(sector + PAGE - 4,
		(uint32_t)e->seq + (e->what == BAD_DATA && !i));
}

/* 2.3.1.1 */
static void put_entry(
	uint8_t *ring, const struct item *e, uint64_t data, uint64_t file)
{
	uint32_t len = PAGE + (e->kind == 'd' ? e->n * PAGE : 0);
	g_autofree uint8_t *b = g_malloc0(len);
	unsigned n = e->kind == 'd' ? e->n : 1;

	memcpy(b, "loge", 4);
	put_le32(b + 8, len);
	put_le32(b + 12, e->tail);
	put_le64(b + 16, e->seq);
	put_le32(b + 24, n);
	memcpy(b + 32, guid, 16);
	b[32] ^= e->what == BAD_GUID;
	put_le64(b + 48, file + (e->what == FILE_LONGER ? BLOCK : 0));
	put_le64(b + 56, file);
	for (unsigned i = 0; i < n; i++) {
		uint8_t *d = b + 64 + 32 * i;
		uint64_t off = data + (uint64_t)(e->page + i) * PAGE;

		if (e->kind == 'd') {
			put_data(d, b + PAGE * (i + 1), e, i, off);
			continue;
		}
		memcpy(d, "zero", 4);
		put_le64(d + 8, (uint64_t)e->n * PAGE);
		put_le64(d + 16, off);
		put_le64(d + 24, e->seq);
	}
	put_le32(b + 4, vhdx_crc(b, len, 4) ^ (e->what == BAD_SUM));
	for (uint32_t i = 0; i < len; i++)
		ring[(e->at + i) % LOG] = b[i];
}

/* An image whose first block is full of 0x11, with a log. */
static void make(const struct item *items)
{
	struct image_create c = {.size = 4 * BLOCK, .block = BLOCK};
	g_autofree uint8_t *fill = g_malloc(BLOCK), *ring = g_malloc0(LOG);
	g_autofree char *path = rig_path("t.vhdx");
	struct blk_extent x;
	struct blk *b;
	uint64_t file;

	g_assert_true(rig_create("t.vhdx", "vhdx", &c, NULL));
	b = rig_open("t.vhdx", "vhdx", false, NULL);
	memset(fill, 0x11, BLOCK);
	g_assert_cmpint(blk_pwrite(b, fill, BLOCK, 0), ==, 0);
	g_assert_cmpint(blk_flush(b), ==, 0);
	g_assert_cmpint(blk_map(b, 0, BLOCK, &x), ==, 0);
	blk_close(b);
	b = blk_raw_open(open(path, O_RDWR | O_CLOEXEC), false, NULL);
	file = b->size;
	for (; items->seq; items++)
		put_entry(ring, items, x.at, file);
	g_assert_cmpint(blk_pwrite(b, ring, LOG, LOG_AT), ==, 0);
	for (unsigned i = 0; i < 2; i++) {
		uint64_t at = i ? VHDX_HEAD2 : VHDX_HEAD1;
		uint8_t h[VHDX_HEADER];

		g_assert_cmpint(blk_pread(b, h, sizeof(h), at), ==, 0);
		g_assert_cmpuint(get_le64(h + X_LOG), ==, LOG_AT);
		g_assert_cmpuint(get_le32(h + X_LOG_BYTES), ==, LOG);
		memcpy(h + X_LOG_GUID, guid, 16);
		put_le32(h + X_SUM, vhdx_crc(h, VHDX_HEADER, X_SUM));
		g_assert_cmpint(blk_pwrite(b, h, sizeof(h), at), ==, 0);
	}
	blk_close(b);
}

/* What pages 0 to 7 show: a letter each. */
static void show(struct blk *b, char *out)
{
	for (unsigned i = 0; i < 8; i++) {
		uint8_t p[PAGE];

		g_assert_cmpint(blk_pread(b, p, PAGE, i * PAGE), ==, 0);
		out[i] = p[1] == 0x11 ? '.' : p[1] ? (char)p[1] : '0';
		/* The bytes that travel in the descriptor. */
		if (g_ascii_isalpha(out[i])) {
			g_assert_cmphex(p[0], ==, 0xaa);
			g_assert_cmphex(p[PAGE - 1], ==, 0xbb);
		}
	}
	out[8] = '\0';
}

struct log_case {
	const char *name;
	struct item items[6];
	const char *want;  /* pages, or NULL: it is refused, */
	const char *error; /* saying so */
	bool no_qemu;	   /* sees that otherwise */
};

#define K PAGE

static const struct log_case cases[] = {
	{"data", {{0, 7, 0, 'd', 1, 2, 'a', GOOD}}, ".aa....."},
	{"zeros", {{0, 7, 0, 'z', 2, 3, 0, GOOD}}, "..000..."},
	{"in-order",
		{{0, 7, 0, 'd', 0, 3, 'a', GOOD},
			{4 * K, 8, 0, 'z', 1, 1, 0, GOOD},
			{5 * K, 9, 0, 'd', 2, 2, 'b', GOOD}},
		"a0bb...."},
	{"only-from-the-tail",
		{{0, 7, 0, 'd', 0, 1, 'a', GOOD},
			{2 * K, 8, 2 * K, 'd', 1, 1, 'b', GOOD}},
		".b......", NULL, true},
	{"newest-run",
		{{0, 7, 0, 'd', 0, 1, 'a', GOOD},
			{64 * K, 20, 64 * K, 'd', 1, 1, 'b', GOOD}},
		".b......"},
	{"torn-end",
		{{0, 7, 0, 'd', 0, 1, 'a', GOOD},
			{2 * K, 8, 0, 'd', 1, 1, 'b', GOOD},
			{4 * K, 9, 0, 'd', 2, 1, 'c', BAD_SUM}},
		"ab......"},
	{"gap-in-numbers",
		{{0, 7, 0, 'd', 0, 1, 'a', GOOD},
			{2 * K, 9, 2 * K, 'd', 1, 1, 'b', GOOD}},
		".b......", NULL, true},
	{"around-the-end",
		{{LOG - 2 * K, 7, LOG - 2 * K, 'd', 0, 3, 'a', GOOD},
			{2 * K, 8, LOG - 2 * K, 'd', 4, 1, 'b', GOOD}},
		"aaa.b...", NULL, true},
	{"number-over-32-bits", {{0, 0x1234567890, 0, 'd', 7, 1, 'a', GOOD}},
		".......a"},
	{"another-program's", {{0, 7, 0, 'd', 0, 1, 'a', BAD_GUID}}, NULL,
		"log", true},
	{"nothing-valid", {{0, 7, 0, 'd', 0, 1, 'a', BAD_SUM}}, NULL, "log",
		true},
	{"data-of-another-entry", {{0, 7, 0, 'd', 0, 1, 'a', BAD_DATA}}, NULL,
		"log", true},
	{"file-was-longer", {{0, 7, 0, 'd', 0, 1, 'a', FILE_LONGER}}, NULL,
		"truncated", true},
	{"tail-outside", {{0, 7, 8 * K, 'd', 0, 1, 'a', GOOD}}, NULL, "log",
		true},
};

static void refused(bool readonly, const char *why)
{
	g_autoptr(GError) err = NULL;

	g_assert_null(rig_open("t.vhdx", "vhdx", readonly, &err));
	g_assert_nonnull(strstr(err->message, why));
}

/* For reading only nothing is written; for writing it is, and once. */
static void test_log(const void *data)
{
	const struct log_case *c = data;
	g_autofree char *path = rig_path("t.vhdx");
	g_autofree char *before = NULL, *after = NULL;
	char got[9];
	gsize n, m;

	make(c->items);
	g_file_get_contents(path, &before, &n, NULL);
	if (!c->want) {
		refused(true, c->error);
		refused(false, c->error);
	}
	for (unsigned pass = 0; pass < 3 && c->want; pass++) {
		struct blk *b = rig_open("t.vhdx", "vhdx", pass == 0, NULL);

		g_assert_nonnull(b);
		show(b, got);
		g_assert_cmpstr(got, ==, c->want);
		blk_close(b);
		g_file_get_contents(path, &after, &m, NULL);
		if (!pass)
			g_assert_cmpmem(before, n, after, m);
		g_clear_pointer(&after, g_free);
	}
	if (!c->want) {
		g_file_get_contents(path, &after, &m, NULL);
		g_assert_cmpmem(before, n, after, m);
	}
}

static void test_qemu(const void *data)
{
	const struct log_case *c = data;
	g_autofree char *raw = rig_path("t.raw");
	char got[9];
	struct blk *b;

	if (c->no_qemu || !rig_have_qemu_img())
		return;
	make(c->items);
	g_assert_cmpint(rig_run("qemu-img check -q -r all -f vhdx t.vhdx && "
				"qemu-img convert -f vhdx -O raw t.vhdx t.raw"),
		==, 0);
	b = blk_raw_open(open(raw, O_RDONLY | O_CLOEXEC), true, NULL);
	show(b, got);
	g_assert_cmpstr(got, ==, c->want);
	blk_close(b);
}

/* Entries that ask for far more work than they are long. */
static void test_much(void)
{
	struct item items[6] = {{0, 7, 0, 'z', 0, 30000, 0, GOOD}};
	g_autofree char *path = rig_path("t.vhdx");
	g_autofree uint8_t *e = g_malloc0(LOG);
	unsigned n = (LOG - 64) / 32;
	int fd;

	make(items);
	fd = open(path, O_RDWR | O_CLOEXEC);
	g_assert_cmpint(pread(fd, e, PAGE, LOG_AT), ==, PAGE);
	for (unsigned i = 1; i < n; i++)
		memcpy(e + 64 + 32 * i, e + 64, 32);
	put_le32(e + 24, n);
	put_le32(e + 8, LOG);
	put_le32(e + 4, vhdx_crc(e, LOG, 4));
	g_assert_cmpint(pwrite(fd, e, LOG, LOG_AT), ==, LOG);
	close(fd);
	refused(true, "log");
	refused(false, "log");
}

int main(int argc, char **argv)
{
	int rc;

	g_test_init(&argc, &argv, NULL);
	rig_init();
	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autofree char *a =
			g_strdup_printf("/vhdx/log/%s", cases[i].name);
		g_autofree char *b =
			g_strdup_printf("/vhdx/log/%s/qemu", cases[i].name);

		g_test_add_data_func(a, &cases[i], test_log);
		if (!cases[i].no_qemu)
			g_test_add_data_func(b, &cases[i], test_qemu);
	}
	g_test_add_func("/vhdx/log/much", test_much);
	rc = g_test_run();
	rig_fini();
	return rc;
}
