/* dev-scsi.c - the SCSI command sets, apart from any cable. */
#include <string.h>

#include "dev/storage/scsi.h"
#include "disk-rig.h"

#define MIB   (1u << 20)
#define ALL   8192u /* bytes of a test's buffer */
#define CHECK SCSI_CHECK_CONDITION

struct host {
	struct scsi_unit u;
	struct blk *blk;
	struct scsi_req r;
	uint8_t buf[ALL];
	uint64_t lun;
};

static void host_open(struct host *h, const struct scsi_conf *c)
{
	memset(h, 0, sizeof(*h));
	g_assert_cmpint(scsi_unit_init(&h->u, c), ==, 0);
}

static void host_open_disk(struct host *h, bool autosense)
{
	struct scsi_conf c = {.id = "disk0",
		.blk = rig_image(MIB, false),
		.cable = SCSI_ON_VIRTIO,
		.autosense = autosense};

	host_open(h, &c);
	h->blk = c.blk;
	scsi_take_attention(&h->u);
}

static void host_close(struct host *h)
{
	scsi_unit_fini(&h->u);
	blk_close(h->blk);
}

/* One command, its data in or out of h->buf, by pieces of an odd size. */
static unsigned go(struct host *h, const uint8_t *cdb, unsigned n)
{
	uint64_t at = 0;

	memset(h->r.cdb, 0, sizeof(h->r.cdb));
	memcpy(h->r.cdb, cdb, n);
	scsi_begin(&h->r, &h->u, h->lun);
	while (scsi_left(&h->r)) {
		size_t len = MIN(scsi_left(&h->r), 700);
		struct iovec iov[2] = {{h->buf + at, len / 2},
			{h->buf + at + len / 2, len - len / 2}};

		g_assert_cmpuint(at + len, <=, ALL);
		if (!scsi_move(&h->r, iov, 2))
			break;
		at += len;
	}
	scsi_end(&h->r);
	g_assert_null(h->r.buf);
	return h->r.status;
}

#define GO(h, ...)                                                             \
	go(h, (const uint8_t[]){__VA_ARGS__},                                  \
		sizeof((const uint8_t[]){__VA_ARGS__}))

#define SENSE(h) (h->r.sense[2] << 16 | h->r.sense[12] << 8 | h->r.sense[13])

/* ---- what is refused, and what is said of it ---- */

static void test_refused(void)
{
	static const struct {
		uint8_t cdb[16];
		uint32_t sense; /* key, code, qualifier */
		int field;	/* or -1 */
	} cases[] = {
		{{0xff}, 0x052000, -1},
		{{0x12, 0, 0x80, 0, 255}, 0x052400, 2},
		{{0x12, 1, 0x55, 0, 255}, 0x052400, 2},
		{{0x28, 0, 0, 0, 8, 0, 0, 0, 1}, 0x052100, -1},
		{{0x28, 0, 0, 0, 7, 255, 0, 0, 2}, 0x052100, -1},
		{{0x28, 0x20, 0, 0, 0, 0, 0, 0, 1}, 0x052400, 1},
		{{0xa8, 0, 0, 0, 0, 0, 0, 1, 0, 1}, 0x052400, 6},
		{{0x88, 0, 255, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 1},
			0x052100, -1},
		{{0x1a, 0, 0xc8, 0, 255}, 0x053900, -1},
		{{0x1a, 0, 0x15, 0, 255}, 0x052400, 2},
		{{0x1a, 0, 0x08, 1, 255}, 0x052400, 3},
		{{0x15, 0x11, 0, 0, 4}, 0x052400, 1},
		{{0x93, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 0x052400, 10},
		{{0x93, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, 0x052400, 1},
		{{0x9e, 0x12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32}, 0x052400,
			1},
		{{0xa0, 0, 3, 0, 0, 0, 0, 0, 0, 16}, 0x052400, 2},
		{{0xa0, 0, 0, 0, 0, 0, 0, 0, 0, 8}, 0x052400, 6},
		{{0x35, 0, 0, 0, 9, 0}, 0x052100, -1},
	};
	g_autofree struct host *h = g_new(struct host, 1);

	host_open_disk(h, true);
	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_test_message("case %u", i);
		g_assert_cmpuint(go(h, cases[i].cdb, 16), ==, CHECK);
		g_assert_cmphex(SENSE(h), ==, cases[i].sense);
		g_assert_cmpuint(h->r.len, ==, 0);
		g_assert_cmpuint(h->r.sense_len, ==, 18);
		if (cases[i].field >= 0) {
			g_assert_cmphex(h->r.sense[15], ==, 0xc0);
			g_assert_cmpuint(
				h->r.sense[17], ==, (unsigned)cases[i].field);
		}
	}
	/* in descriptors, when the host wants them */
	memcpy(h->buf,
		(uint8_t[]){0, 0, 0, 0, 0x0a, 10, 4, 0x10, 0, 0, 0, 0, 0xff,
			0xff, 0, 0},
		16);
	g_assert_cmpuint(GO(h, 0x15, 0x10, 0, 0, 16), ==, SCSI_GOOD);
	g_assert_cmpuint(GO(h, 0x12, 0, 0x80, 0, 255), ==, CHECK);
	g_assert_cmpmem(h->r.sense, h->r.sense_len,
		((uint8_t[]){0x72, 5, 0x24, 0, 0, 0, 0, 8, 2, 6, 0, 0, 0xc0, 0,
			2, 0}),
		16);
	host_close(h);
}

static void test_attention(void)
{
	g_autofree struct host *h = g_new(struct host, 1);

	for (unsigned autosense = 0; autosense < 2; autosense++) {
		host_open_disk(h, autosense);
		scsi_unit_reset(&h->u, SCSI_AT_BUS_RESET);
		scsi_unit_reset(&h->u, SCSI_AT_DEVICE_RESET);
		g_assert_cmpuint(GO(h, 0x12, 0, 0, 0, 36), ==, SCSI_GOOD);
		g_assert_cmpuint(GO(h, 0), ==, CHECK);
		g_assert_cmphex(SENSE(h), ==, 0x062902);
		/* Kept for this, or taken with the status. */
		g_assert_cmpuint(GO(h, 3, 0, 0, 0, 18), ==, SCSI_GOOD);
		g_assert_cmphex(h->buf[2] << 16 | h->buf[12] << 8 | h->buf[13],
			==, autosense ? 0x062903 : 0x062902);
		g_assert_cmpuint(GO(h, 0), ==, autosense ? SCSI_GOOD : CHECK);
		g_assert_cmpuint(GO(h, 0), ==, SCSI_GOOD);
		g_assert_cmpuint(GO(h, 3, 0, 0, 0, 18), ==, SCSI_GOOD);
		g_assert_cmphex(h->buf[2], ==, 0);
		host_close(h);
	}
}

static void test_no_unit(void)
{
	g_autofree struct host *h = g_new(struct host, 1);

	host_open_disk(h, true);
	h->lun = 3;
	g_assert_cmpuint(GO(h, 0), ==, CHECK);
	g_assert_cmphex(SENSE(h), ==, 0x052500);
	g_assert_cmpuint(GO(h, 0x12, 0, 0, 0, 36), ==, SCSI_GOOD);
	g_assert_cmphex(h->buf[0], ==, 0x7f);
	g_assert_cmpuint(
		GO(h, 0xa0, 0, 0, 0, 0, 0, 0, 0, 0, 255), ==, SCSI_GOOD);
	g_assert_cmpuint(h->r.len, ==, 16);
	g_assert_cmpuint(h->buf[3], ==, 8);
	host_close(h);
}

/* ---- what it says of itself ---- */

static void test_inquiry(void)
{
	static const struct {
		uint8_t page, len, first[8], n;
	} pages[] = {
		{0x00, 10, {0, 0, 0, 6, 0, 0x80, 0x83, 0xb0}, 8},
		{0x80, 24, {0, 0x80, 0, 20, 'V', 'M'}, 6},
		{0x83, 40, {0, 0x83, 0, 36, 2, 1, 0, 20}, 8},
		{0xb0, 64, {0, 0xb0, 0, 60, 1, 0, 0, 8}, 8},
		{0xb1, 64, {0, 0xb1, 0, 60, 0, 1}, 6},
		{0xb2, 8, {0, 0xb2, 0, 4, 0, 0xe0, 2, 0}, 8},
	};
	g_autofree struct host *h = g_new(struct host, 1);

	host_open_disk(h, true);
	g_assert_cmpuint(GO(h, 0x12, 0, 0, 1, 0), ==, SCSI_GOOD);
	g_assert_cmpuint(h->r.len, ==, 36);
	g_assert_cmpmem(h->buf, 8, ((uint8_t[]){0, 0, 6, 2, 31, 0, 0, 2}), 8);
	g_assert_cmpmem(h->buf + 8, 12, "VMESTE  DISK", 12);
	for (unsigned i = 0; i < G_N_ELEMENTS(pages); i++) {
		g_assert_cmpuint(
			GO(h, 0x12, 1, pages[i].page, 1, 0), ==, SCSI_GOOD);
		g_assert_cmpuint(h->r.len, ==, pages[i].len);
		g_assert_cmpmem(h->buf, pages[i].n, pages[i].first, pages[i].n);
	}
	/* no more than there is room for */
	g_assert_cmpuint(GO(h, 0x12, 0, 0, 0, 5), ==, SCSI_GOOD);
	g_assert_cmpuint(h->r.len, ==, 5);
	g_assert_cmpuint(GO(h, 0x25), ==, SCSI_GOOD);
	g_assert_cmpmem(h->buf, 8, ((uint8_t[]){0, 0, 7, 255, 0, 0, 2, 0}), 8);
	g_assert_cmpuint(GO(h, 0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32),
		==, SCSI_GOOD);
	g_assert_cmpmem(h->buf, 16,
		((uint8_t[]){
			0, 0, 0, 0, 0, 0, 7, 255, 0, 0, 2, 0, 0, 3, 0x80, 0}),
		16);
	host_close(h);
}

static void test_mode(void)
{
	uint8_t cache[24] = {0, 0, 0, 0, 8, 18};
	g_autofree struct host *h = g_new(struct host, 1);

	host_open_disk(h, true);
	g_assert_cmpuint(GO(h, 0x1a, 0, 8, 0, 255), ==, SCSI_GOOD);
	g_assert_cmpuint(h->r.len, ==, 4 + 8 + 20);
	g_assert_cmpmem(h->buf, 12,
		((uint8_t[]){31, 0, 0x10, 8, 0, 0, 8, 0, 0, 0, 2, 0}), 12);
	g_assert_cmphex(h->buf[14], ==, 4); /* its cache writes back */
	g_assert_cmpuint(GO(h, 0x5a, 8, 0x48, 0, 0, 0, 0, 1, 0), ==, SCSI_GOOD);
	g_assert_cmphex(h->buf[8 + 2], ==, 4); /* may be changed */
	memcpy(h->buf, cache, 24);
	g_assert_cmpuint(GO(h, 0x15, 0x10, 0, 0, 24), ==, SCSI_GOOD);
	g_assert_false(h->u.write_cache);
	/* a bit that cannot be changed, a short page, no such page */
	cache[4 + 12] = 1;
	memcpy(h->buf, cache, 24);
	g_assert_cmpuint(GO(h, 0x15, 0x10, 0, 0, 24), ==, CHECK);
	g_assert_cmphex(SENSE(h), ==, 0x052600);
	g_assert_cmpuint(h->r.sense[17], ==, 16);
	memcpy(h->buf, cache, 24);
	g_assert_cmpuint(GO(h, 0x15, 0x10, 0, 0, 20), ==, CHECK);
	h->buf[4] = 0x3e;
	g_assert_cmpuint(GO(h, 0x15, 0x10, 0, 0, 24), ==, CHECK);
	g_assert_cmpuint(GO(h, 0x15, 0x10, 0, 0, 3), ==, CHECK);
	g_assert_cmphex(SENSE(h), ==, 0x051a00);
	g_assert_cmpuint(GO(h, 0x1a, 0, 0x3f, 0xff, 255), ==, SCSI_GOOD);
	g_assert_cmpuint(h->r.len, ==, 12 + 12 + 16 + 24 + 24 + 20 + 12 + 12);
	/* write protection by software */
	memcpy(h->buf,
		(uint8_t[]){0, 0, 0, 0, 0x0a, 10, 0, 0x10, 8, 0, 0, 0, 0xff,
			0xff, 0, 0},
		16);
	g_assert_cmpuint(GO(h, 0x15, 0x10, 0, 0, 16), ==, SCSI_GOOD);
	g_assert_cmpuint(GO(h, 0x0a, 0, 0, 0, 1), ==, CHECK);
	g_assert_cmphex(SENSE(h), ==, 0x072700);
	host_close(h);
}

/* ---- data ---- */

static void test_read_write(void)
{
	static const struct {
		uint8_t read[16], write[16];
	} forms[] = {
		{{0x08, 0, 1, 5, 3}, {0x0a, 0, 1, 5, 3}},
		{{0x28, 0, 0, 0, 1, 5, 0, 0, 3},
			{0x2a, 8, 0, 0, 1, 5, 0, 0, 3}},
		{{0xa8, 0, 0, 0, 1, 5, 0, 0, 0, 3},
			{0xae, 0, 0, 0, 1, 5, 0, 0, 0, 3}},
		{{0x88, 0, 0, 0, 0, 0, 0, 0, 1, 5, 0, 0, 0, 3},
			{0x8a, 0, 0, 0, 0, 0, 0, 0, 1, 5, 0, 0, 0, 3}},
	};
	g_autofree struct host *h = g_new(struct host, 1);

	host_open_disk(h, true);
	for (unsigned i = 0; i < G_N_ELEMENTS(forms); i++) {
		uint8_t want[3 * 512];

		g_assert_cmpuint(go(h, forms[i].read, 16), ==, SCSI_GOOD);
		g_assert_cmpuint(h->r.moved, ==, 3 * 512);
		g_assert_cmpuint(rig_sector_number(h->buf), ==, 0x105);
		g_assert_cmpuint(rig_sector_number(h->buf + 1024), ==, 0x107);
		memset(h->buf + 4, i + 0x40, 3 * 512 - 8);
		h->buf[512] = 6, h->buf[513] = 1, h->buf[514] = 0;
		h->buf[1024] = 7, h->buf[1025] = 1, h->buf[1026] = 0;
		h->buf[515] = h->buf[1027] = 0;
		memcpy(want, h->buf, sizeof(want));
		g_assert_cmpuint(go(h, forms[i].write, 16), ==, SCSI_GOOD);
		memset(h->buf, 0, ALL);
		g_assert_cmpuint(go(h, forms[i].read, 16), ==, SCSI_GOOD);
		g_assert_cmpmem(h->buf, 1536, want, 1536);
		/* it is the same, and then it is not */
		g_assert_cmpuint(
			GO(h, 0x2f, 2, 0, 0, 1, 5, 0, 0, 3), ==, SCSI_GOOD);
		h->buf[1400] ^= 1;
		g_assert_cmpuint(
			GO(h, 0x2f, 2, 0, 0, 1, 5, 0, 0, 3), ==, CHECK);
		g_assert_cmphex(SENSE(h), ==, 0x0e1d00);
		g_assert_cmpuint(
			GO(h, 0x8f, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8), ==,
			SCSI_GOOD);
	}
	/* 256 blocks by a length of 0; none at all */
	g_assert_cmpuint(GO(h, 0x2a, 0, 0, 0, 0, 0, 0, 0, 0), ==, SCSI_GOOD);
	g_assert_cmpuint(h->r.len, ==, 0);
	memcpy(h->r.cdb, (uint8_t[16]){0x08, 0, 1, 0, 0}, 16);
	scsi_begin(&h->r, &h->u, 0);
	g_assert_cmpuint(h->r.len, ==, 256 * 512);
	g_assert_true(h->r.blocks);
	scsi_drop(&h->r);
	host_close(h);
}

static bool zero_at(struct host *h, unsigned lba)
{
	uint8_t b[512];

	g_assert_cmpint(blk_pread(h->blk, b, 512, lba * 512), ==, 0);
	return !b[0] && !memcmp(b, b + 1, 511);
}

static void test_unmap(void)
{
	g_autofree struct host *h = g_new(struct host, 1);
	uint8_t list[40] = {
		0, 38, 0, 32, [15] = 64, [19] = 64, [30] = 4, [35] = 8};
	uint32_t word;

	host_open_disk(h, true);
	memcpy(h->buf, list, sizeof(list));
	g_assert_cmpuint(GO(h, 0x42, 0, 0, 0, 0, 0, 0, 0, 40), ==, SCSI_GOOD);
	g_assert_false(zero_at(h, 63));
	g_assert_true(zero_at(h, 64));
	g_assert_true(zero_at(h, 127));
	g_assert_false(zero_at(h, 128));
	g_assert_true(zero_at(h, 0x407));
	memcpy(h->buf, list, sizeof(list));
	h->buf[18] = 8; /* 2112 blocks: beyond the end */
	g_assert_cmpuint(GO(h, 0x42, 0, 0, 0, 0, 0, 0, 0, 40), ==, CHECK);
	g_assert_cmphex(SENSE(h), ==, 0x052100);
	g_assert_cmpuint(GO(h, 0x42, 0, 0, 0, 0, 0, 0, 0, 7), ==, CHECK);
	g_assert_cmphex(SENSE(h), ==, 0x051a00);
	/* the same block, no block, zeros */
	memset(h->buf, 0x77, 512);
	g_assert_cmpuint(GO(h, 0x41, 0, 0, 0, 2, 0, 0, 1, 0), ==, SCSI_GOOD);
	g_assert_cmpint(blk_pread(h->blk, &word, 4, 0x2ff * 512), ==, 0);
	g_assert_cmphex(word, ==, 0x77777777);
	g_assert_cmpint(blk_pread(h->blk, &word, 4, 0x300 * 512), ==, 0);
	g_assert_cmphex(word, ==, 0x03000300 & 0xfff);
	g_assert_cmpuint(GO(h, 0x93, 9, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0x80),
		==, SCSI_GOOD);
	g_assert_cmpuint(h->r.len, ==, 0);
	g_assert_true(zero_at(h, 0x27f));
	g_assert_false(zero_at(h, 0x280));
	host_close(h);
}

/* ---- media ---- */

static void test_start_stop(void)
{
	g_autofree struct host *h = g_new(struct host, 1);

	host_open_disk(h, true);
	g_assert_cmpuint(GO(h, 0x1b, 0, 0, 0, 0), ==, SCSI_GOOD);
	g_assert_cmpuint(GO(h, 0x28, 0, 0, 0, 0, 0, 0, 0, 1), ==, CHECK);
	g_assert_cmphex(SENSE(h), ==, 0x020402);
	g_assert_cmpuint(GO(h, 0x1b, 0, 0, 0, 1), ==, SCSI_GOOD);
	g_assert_cmpuint(GO(h, 0), ==, SCSI_GOOD);
	host_close(h);
}

static void test_readonly_and_change(void)
{
	g_autofree struct host *h = g_new(struct host, 1);
	struct blk *one = rig_image(MIB, true), *two = rig_image(MIB, false);
	struct scsi_conf c = {.id = "usb0",
		.blk = one,
		.removable = true,
		.cable = SCSI_ON_USB,
		.autosense = true};
	struct iovec iov = {h->buf, 512};

	host_open(h, &c);
	g_assert_cmpuint(GO(h, 0), ==, CHECK);
	g_assert_cmphex(SENSE(h), ==, 0x062900);
	g_assert_cmpuint(GO(h, 0x0a, 0, 0, 0, 1), ==, CHECK);
	g_assert_cmphex(SENSE(h), ==, 0x072700);
	/* in the midst of a command */
	memcpy(h->r.cdb, (uint8_t[16]){0x28, 0, 0, 0, 0, 0, 0, 0, 2}, 16);
	scsi_begin(&h->r, &h->u, 0);
	g_assert_true(scsi_move(&h->r, &iov, 1));
	g_assert_true(scsi_change_medium(&h->u, two) == one);
	g_assert_false(scsi_move(&h->r, &iov, 1));
	g_assert_cmpuint(scsi_left(&h->r), ==, 0);
	scsi_end(&h->r);
	g_assert_cmphex(SENSE(h), ==, 0x062800);
	/* as if it had been out for a while */
	g_assert_cmpuint(GO(h, 0), ==, CHECK);
	g_assert_cmphex(SENSE(h), ==, 0x023a00);
	g_assert_cmpuint(GO(h, 0), ==, CHECK);
	g_assert_cmphex(SENSE(h), ==, 0x062800);
	g_assert_cmpuint(GO(h, 0x0a, 0, 0, 0, 1), ==, SCSI_GOOD);
	/* locked, then taken out */
	g_assert_true(scsi_eject_button(&h->u));
	g_assert_cmpuint(GO(h, 0x1e, 0, 0, 0, 1), ==, SCSI_GOOD);
	g_assert_false(scsi_eject_button(&h->u));
	g_assert_cmpuint(GO(h, 0x1b, 0, 0, 0, 2), ==, CHECK);
	g_assert_cmphex(SENSE(h), ==, 0x055302);
	g_assert_true(scsi_change_medium(&h->u, NULL) == two);
	g_assert_cmpuint(GO(h, 0x25), ==, CHECK);
	g_assert_cmphex(SENSE(h), ==, 0x023a01);
	blk_close(one);
	blk_close(two);
	host_close(h);
}

/* A disc that ends inside a block; what differs from the drive's ATAPI face,
 * which dev-ide.c tests. */
static void test_cd(void)
{
	g_autofree struct host *h = g_new(struct host, 1);
	struct scsi_conf c = {.id = "cd0",
		.blk = rig_image(5 * 512, true),
		.cd = true,
		.cable = SCSI_ON_USB,
		.autosense = true};

	host_open(h, &c);
	h->blk = c.blk;
	g_assert_cmpuint(GO(h, 0x12, 0, 0, 0, 36), ==, SCSI_GOOD);
	g_assert_cmpmem(h->buf, 4, ((uint8_t[]){5, 0x80, 5, 2}), 4);
	g_assert_cmpuint(GO(h, 0x46, 2, 0, 1, 0, 0, 0, 0, 255), ==, SCSI_GOOD);
	g_assert_cmphex(h->buf[8 + 7], ==, 8); /* on USB */
	g_assert_cmpuint(GO(h, 0), ==, CHECK);
	g_assert_cmphex(SENSE(h), ==, 0x062900);
	g_assert_cmpuint(GO(h, 0x25), ==, SCSI_GOOD);
	g_assert_cmpmem(h->buf, 8, ((uint8_t[]){0, 0, 0, 1, 0, 0, 8, 0}), 8);
	g_assert_cmpuint(GO(h, 0x28, 0, 0, 0, 0, 0, 0, 0, 2), ==, SCSI_GOOD);
	g_assert_cmpuint(rig_sector_number(h->buf + 2048), ==, 4);
	g_assert_cmpuint(h->buf[2560] | h->buf[4095], ==, 0);
	g_assert_cmpuint(GO(h, 0x1a, 0, 0x2a, 0, 255), ==, SCSI_GOOD);
	g_assert_cmpmem(h->buf, 6, ((uint8_t[]){23, 1, 0, 0, 0x2a, 18}), 6);
	g_assert_cmpuint(GO(h, 0x1a, 0, 0x08, 0, 255), ==, CHECK);
	g_assert_cmpuint(GO(h, 0x0a, 0, 0, 0, 1), ==, CHECK);
	g_assert_cmphex(SENSE(h), ==, 0x052000);
	/* the tray goes out with the disc on it */
	g_assert_cmpuint(GO(h, 0x1b, 0, 0, 0, 2), ==, SCSI_GOOD);
	g_assert_cmpuint(GO(h, 0), ==, CHECK);
	g_assert_cmphex(SENSE(h), ==, 0x023a02);
	g_assert_cmpuint(GO(h, 0x1b, 0, 0, 0, 3), ==, SCSI_GOOD);
	g_assert_cmpuint(GO(h, 0), ==, CHECK);
	g_assert_cmphex(SENSE(h), ==, 0x062800);
	g_assert_cmpuint(GO(h, 0), ==, SCSI_GOOD);
	host_close(h);
}

/* ---- by a queue's thread ---- */

struct step {
	struct scsi_job j;
	_Atomic(bool) done;
};

static void step_done(struct disk_job *j)
{
	((struct step *)j)->done = true;
}

static void test_job(void)
{
	g_autofree struct host *h = g_new(struct host, 1);
	struct step s = {0};
	struct disk_queue *q;
	struct rig rig;

	rig_init(&rig);
	host_open_disk(h, true);
	q = disk_queue_new(rig.b.bus, 1);
	memcpy(h->r.cdb, (uint8_t[16]){0x28, 0, 0, 0, 0, 9, 0, 0, 4}, 16);
	scsi_begin(&h->r, &h->u, 0);
	s.j = (struct scsi_job){.job.done = step_done,
		.req = &h->r,
		.max = ALL,
		.buf = h->buf,
		.end = true};
	bus_lock(rig.b.bus);
	scsi_submit(q, &s.j);
	bus_unlock(rig.b.bus);
	RIG_WAIT(s.done);
	g_assert_cmpuint(s.j.moved, ==, 2048);
	g_assert_cmpuint(h->r.status, ==, SCSI_GOOD);
	g_assert_cmpuint(rig_sector_number(h->buf + 1536), ==, 12);
	bus_lock(rig.b.bus);
	disk_queue_free(q);
	bus_unlock(rig.b.bus);
	host_close(h);
	board_fini(&rig.b);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/scsi/refused", test_refused);
	g_test_add_func("/scsi/attention", test_attention);
	g_test_add_func("/scsi/no-unit", test_no_unit);
	g_test_add_func("/scsi/inquiry", test_inquiry);
	g_test_add_func("/scsi/mode", test_mode);
	g_test_add_func("/scsi/read-write", test_read_write);
	g_test_add_func("/scsi/unmap", test_unmap);
	g_test_add_func("/scsi/start-stop", test_start_stop);
	g_test_add_func("/scsi/media", test_readonly_and_change);
	g_test_add_func("/scsi/cd", test_cd);
	g_test_add_func("/scsi/job", test_job);
	return g_test_run();
}
