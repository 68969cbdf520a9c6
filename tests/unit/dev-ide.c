/* dev-ide.c - IDE: registers, PIO, bus mastering, ATAPI, through the ports. */
#include <errno.h>

#include "disk-rig.h"

#include "dev/storage/ide.h"

#define SECTORS	 (20u * 16 * 63)
#define CD_BYTES (300u * 2048)
#define BM	 0xc000
#define PRD_AT	 0x10000
#define DATA_AT	 0x20000

enum {
	DATA = 0,
	ERROR = 1,
	COUNT = 2,
	LBA0 = 3,
	LBA1 = 4,
	LBA2 = 5,
	DEVICE = 6,
	STATUS = 7,
};

struct ide_rig {
	struct rig r;
	struct dev *ide;
	struct blk *disk, *cd;
	uint16_t port; /* of the channel under test */
};

static void up(struct ide_rig *t)
{
	struct ata_conf disk = {.id = "disk0", .serial = "S1"};
	struct ata_conf cd = {.id = "cd0", .atapi = true, .readonly = true};

	rig_init(&t->r);
	t->ide = board_add(&t->r.b, "ide");
	disk.blk = t->disk = rig_image(SECTORS * 512, false);
	cd.blk = t->cd = rig_image(CD_BYTES, true);
	bus_lock(t->r.b.bus);
	g_assert_cmpint(ide_attach(t->ide, 0, &disk), ==, 0);
	g_assert_cmpint(ide_attach(t->ide, 0, &disk), ==, -EBUSY);
	g_assert_cmpint(ide_attach(t->ide, 3, &cd), ==, 0);
	ide_enable(t->ide);
	pci_config_write(t->r.b.host.pci, 0, 9, 0x20, 4, BM);
	pci_config_write(t->r.b.host.pci, 0, 9, 4, 2, 5);
	bus_unlock(t->r.b.bus);
	t->port = 0x1f0;
}

static void down(struct ide_rig *t)
{
	struct blk *now = ide_drive(t->ide, 3)->blk;

	board_fini(&t->r.b);
	blk_close(t->disk);
	if (now != t->cd)
		blk_close(now);
	blk_close(t->cd);
}

static uint8_t in(struct ide_rig *t, unsigned reg)
{
	return inb(&t->r.b, t->port + reg);
}

static void out(struct ide_rig *t, unsigned reg, uint8_t val)
{
	outb(&t->r.b, t->port + reg, val);
}

static uint8_t alt(struct ide_rig *t)
{
	return inb(&t->r.b, t->port + 0x206);
}

static unsigned line(const struct ide_rig *t)
{
	return t->port == 0x1f0 ? 14 : 15;
}

static uint8_t settle(struct ide_rig *t)
{
	RIG_WAIT(!(alt(t) & ATA_BSY));
	return alt(t);
}

static void address(struct ide_rig *t, uint64_t lba, unsigned n, bool ext)
{
	if (ext) {
		out(t, COUNT, n >> 8);
		out(t, LBA0, lba >> 24);
		out(t, LBA1, lba >> 32);
		out(t, LBA2, lba >> 40);
	}
	out(t, COUNT, n);
	out(t, LBA0, lba);
	out(t, LBA1, lba >> 8);
	out(t, LBA2, lba >> 16);
	out(t, DEVICE, 0xe0 | (ext ? 0 : lba >> 24 & 15));
}

static void in_words(struct ide_rig *t, void *buf, unsigned bytes)
{
	/* whole sectors as REP INSW has them */
	if (bytes == 512) {
		bus_io_many(t->r.b.bus, t->port, 2, buf, 256, false);
		return;
	}
	for (unsigned i = 0; i < bytes; i += 2) {
		uint16_t w = bus_io_read(t->r.b.bus, t->port, 2);

		memcpy((uint8_t *)buf + i, &w, 2);
	}
}

static void out_longs(struct ide_rig *t, const void *buf, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i += 4) {
		uint32_t v;

		memcpy(&v, (const uint8_t *)buf + i, 4);
		bus_io_write(t->r.b.bus, t->port, 4, v);
	}
}

static uint8_t command(struct ide_rig *t, uint8_t c)
{
	out(t, STATUS, c);
	return settle(t);
}

/* ---- registers ---- */

static void test_absent(void)
{
	struct ide_rig t;

	up(&t);
	g_assert_cmphex(in(&t, STATUS), ==, 0x50);
	/* drive 0 answers for drive 1 */
	out(&t, DEVICE, 0xb0);
	out(&t, COUNT, 0x55);
	g_assert_cmphex(in(&t, COUNT), ==, 0x55);
	g_assert_cmphex(in(&t, STATUS), ==, 0);
	g_assert_cmphex(command(&t, 0xec), ==, 0);
	out(&t, DEVICE, 0xa0);
	g_assert_cmphex(in(&t, STATUS), ==, 0x50);
	/* no drive 0, but a drive 1 */
	t.port = 0x170;
	g_assert_cmphex(in(&t, STATUS), ==, 0);
	out(&t, DEVICE, 0xb0);
	g_assert_cmphex(in(&t, LBA1), ==, 0x14);
	g_assert_cmphex(in(&t, LBA2), ==, 0xeb);
	/* the ports go away with their enable */
	bus_lock(t.r.b.bus);
	pci_config_write(t.r.b.host.pci, 0, 9, 0x42, 2, 0);
	bus_unlock(t.r.b.bus);
	g_assert_cmphex(in(&t, STATUS), ==, 0xff);
	down(&t);
}

static void test_floating(void)
{
	struct rig r;
	struct dev *d;

	rig_init(&r);
	d = board_add(&r.b, "ide");
	bus_lock(r.b.bus);
	ide_enable(d);
	pci_config_write(r.b.host.pci, 0, 9, 4, 2, 5);
	bus_unlock(r.b.bus);
	g_assert_cmphex(inb(&r.b, 0x1f7), ==, 0x7f);
	outb(&r.b, 0x1f2, 0x55);
	g_assert_cmphex(inb(&r.b, 0x1f2), ==, 0x7f);
	board_fini(&r.b);
}

static void test_reset(void)
{
	struct ide_rig t;

	up(&t);
	address(&t, 5, 1, false);
	command(&t, 0x20);
	g_assert_true(t.r.level[14]);
	outb(&t.r.b, 0x3f6, 4);
	g_assert_false(t.r.level[14]);
	g_assert_cmphex(in(&t, STATUS), ==, 0x80);
	out(&t, COUNT, 9);
	outb(&t.r.b, 0x3f6, 2);
	g_assert_cmphex(in(&t, STATUS), ==, 0x50);
	g_assert_cmphex(in(&t, ERROR), ==, 1);
	g_assert_cmphex(in(&t, COUNT), ==, 1);
	g_assert_cmphex(in(&t, LBA0), ==, 1);
	g_assert_cmphex(in(&t, LBA1), ==, 0);
	/* without interrupts: the wish waits for nIEN to go */
	address(&t, 5, 1, false);
	command(&t, 0x20);
	g_assert_false(t.r.level[14]);
	outb(&t.r.b, 0x3f6, 0);
	g_assert_true(t.r.level[14]);
	in(&t, STATUS);
	g_assert_false(t.r.level[14]);
	outb(&t.r.b, 0x3f6, 4);
	outb(&t.r.b, 0x3f6, 0);
	/* both do the diagnosis, drive 0 is selected */
	out(&t, DEVICE, 0xb0);
	out(&t, STATUS, 0x90);
	g_assert_true(t.r.level[14]);
	g_assert_cmphex(in(&t, DEVICE) & 0x10, ==, 0);
	down(&t);
}

static void test_hob(void)
{
	struct ide_rig t;

	up(&t);
	out(&t, LBA0, 0x12);
	out(&t, LBA0, 0x34);
	g_assert_cmphex(in(&t, LBA0), ==, 0x34);
	outb(&t.r.b, 0x3f6, 0x80);
	g_assert_cmphex(in(&t, LBA0), ==, 0x12);
	out(&t, COUNT, 1); /* any write ends it */
	g_assert_cmphex(in(&t, LBA0), ==, 0x34);
	/* a busy or waiting drive takes no writes */
	address(&t, 1, 1, false);
	command(&t, 0x20);
	out(&t, LBA0, 0x77);
	g_assert_cmphex(in(&t, LBA0), ==, 1);
	down(&t);
}

static uint16_t word(const uint8_t *id, unsigned n)
{
	return id[2 * n] | id[2 * n + 1] << 8;
}

static void test_identify(void)
{
	struct ide_rig t;
	uint8_t id[512], sum = 0;

	up(&t);
	g_assert_cmphex(command(&t, 0xec), ==, 0x58);
	in_words(&t, id, 512);
	g_assert_cmphex(in(&t, STATUS), ==, 0x50);
	for (unsigned i = 0; i < 512; i++)
		sum += id[i];
	g_assert_cmphex(sum, ==, 0);
	g_assert_cmpuint(word(id, 1), ==, 20);
	g_assert_cmpuint(word(id, 60) | word(id, 61) << 16, ==, SECTORS);
	g_assert_cmpuint(word(id, 100), ==, SECTORS);
	g_assert_cmpmem(id + 20, 4, "1S  ", 4);
	g_assert_cmphex(word(id, 83) & 0xc400, ==, 0x4400);
	g_assert_cmphex(word(id, 85) & 0x20, ==, 0x20);
	g_assert_cmphex(word(id, 76), ==, 0);
	/* write cache off, MWDMA2, translation of 4 heads and 32 sectors */
	out(&t, ERROR, 0x82);
	g_assert_cmphex(command(&t, 0xef), ==, 0x50);
	out(&t, ERROR, 3);
	out(&t, COUNT, 0x22);
	g_assert_cmphex(command(&t, 0xef), ==, 0x50);
	out(&t, COUNT, 32);
	out(&t, DEVICE, 0xa3);
	g_assert_cmphex(command(&t, 0x91), ==, 0x50);
	out(&t, COUNT, 8);
	g_assert_cmphex(command(&t, 0xc6), ==, 0x50);
	command(&t, 0xec);
	in_words(&t, id, 512);
	g_assert_cmphex(word(id, 85) & 0x20, ==, 0);
	g_assert_cmphex(word(id, 63), ==, 0x0407);
	g_assert_cmpuint(word(id, 54), ==, SECTORS / (4 * 32));
	g_assert_cmpuint(word(id, 55), ==, 4);
	g_assert_cmpuint(word(id, 56), ==, 32);
	g_assert_cmphex(word(id, 59), ==, 0x108);
	down(&t);
}

/* ---- reading and writing ---- */

struct rw_case {
	uint8_t command;
	uint64_t lba;
	unsigned n;
	bool chs, ext;
	unsigned per_irq; /* sectors */
};

/* Address as the case has it; CHS under the default translation. */
static void rw_address(struct ide_rig *t, const struct rw_case *c)
{
	address(t, c->lba, c->n, c->ext);
	if (!c->chs)
		return;
	out(t, LBA0, c->lba % 63 + 1);
	out(t, LBA1, c->lba / (16 * 63));
	out(t, LBA2, c->lba / (16 * 63) >> 8);
	out(t, DEVICE, 0xa0 | (c->lba / 63 % 16));
}

static void test_pio_read(void)
{
	static const struct rw_case cases[] = {
		{0x20, 0, 1, false, false, 1},
		{0x20, 1000, 3, true, false, 1},
		{0x21, SECTORS - 2, 2, true, false, 1},
		{0x20, 17, 256, false, false, 1},
		{0x24, 300, 600, false, true, 1},
		{0xc4, 100, 20, false, false, 8},
		{0x29, 7, 300, false, true, 8},
	};
	struct ide_rig t;
	uint8_t buf[512];

	up(&t);
	out(&t, COUNT, 8);
	command(&t, 0xc6);
	in(&t, STATUS);
	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
		const struct rw_case *c = &cases[i];
		unsigned before = t.r.rises[14];

		rw_address(&t, c);
		command(&t, c->command);
		for (unsigned s = 0; s < c->n; s++) {
			if (s % c->per_irq == 0) {
				settle(&t);
				g_assert_cmphex(in(&t, STATUS), ==, 0x58);
			}
			in_words(&t, buf, 512);
			g_assert_cmpuint(
				rig_sector_number(buf), ==, c->lba + s);
			g_assert_cmphex(
				buf[511], ==, (uint8_t)((c->lba + s) * 7));
		}
		g_assert_cmphex(settle(&t), ==, 0x50);
		g_assert_cmpuint(t.r.rises[14] - before, ==,
			(c->n + c->per_irq - 1) / c->per_irq);
	}
	down(&t);
}

static void test_pio_write(void)
{
	static const struct rw_case cases[] = {
		{0x30, 3, 2, false, false, 1},
		{0x34, 5, 300, false, true, 1},
		{0xc5, 1, 17, true, false, 8},
		{0x39, 1, 17, false, true, 8},
		{0xce, 11, 8, false, true, 8},
	};
	struct ide_rig t;
	uint8_t buf[512], got[512];

	up(&t);
	out(&t, COUNT, 8);
	command(&t, 0xc6);
	in(&t, STATUS);
	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
		const struct rw_case *c = &cases[i];
		unsigned before = t.r.rises[14];

		rw_address(&t, c);
		/* the first block is taken without an interrupt */
		g_assert_cmphex(command(&t, c->command), ==, 0x58);
		g_assert_cmpuint(t.r.rises[14], ==, before);
		for (unsigned s = 0; s < c->n; s++) {
			memset(buf, s + 100 * i, 512);
			if (s % c->per_irq == 0) {
				settle(&t);
				in(&t, STATUS);
			}
			out_longs(&t, buf, 512);
		}
		g_assert_cmphex(settle(&t), ==, 0x50);
		g_assert_cmpuint(t.r.rises[14] - before, ==,
			(c->n + c->per_irq - 1) / c->per_irq);
		for (unsigned s = 0; s < c->n; s++) {
			memset(buf, s + 100 * i, 512);
			blk_pread(t.disk, got, 512, (c->lba + s) * 512);
			g_assert_cmpmem(buf, 512, got, 512);
		}
	}
	down(&t);
}

static void test_errors(void)
{
	static const struct {
		uint8_t command;
		uint64_t lba;
		unsigned n;
		bool ext;
		uint8_t error;
	} cases[] = {
		{0x20, SECTORS, 1, false, 0x10},
		{0x20, SECTORS - 1, 2, false, 0x10},
		{0x25, 1ull << 40, 1, true, 0x10},
		{0xc8, 0x0fffffff, 0, false, 0x10},
		{0x40, SECTORS, 1, false, 0x10},
		{0xc4, 0, 1, false, 0x04}, /* no multiple mode yet */
		{0xc6, 0, 3, false, 0x04},
		{0xa0, 0, 0, false, 0x04},
		{0xa1, 0, 0, false, 0x04},
		{0x08, 0, 0, false, 0x04},
		{0xb0, 0xc24e00, 0, false, 0x04},
		{0x00, 0, 0, false, 0x04},
		{0x60, 0, 0, false, 0x04},
		{0xff, 0, 0, false, 0x04},
	};
	struct ide_rig t;

	up(&t);
	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
		address(&t, cases[i].lba, cases[i].n, cases[i].ext);
		g_assert_cmphex(command(&t, cases[i].command), ==, 0x51);
		g_assert_cmphex(in(&t, ERROR), ==, cases[i].error);
	}
	/* sector 0 and heads that the translation has not */
	out(&t, COUNT, 1);
	out(&t, LBA0, 0);
	out(&t, DEVICE, 0xa0);
	g_assert_cmphex(command(&t, 0x20), ==, 0x51);
	g_assert_cmphex(in(&t, ERROR), ==, 0x10);
	down(&t);
}

static void test_others(void)
{
	struct ide_rig t;
	uint8_t buf[512], sum = 0;

	up(&t);
	address(&t, 0, 0, false);
	command(&t, 0xf8);
	g_assert_cmphex(in(&t, LBA0), ==, (SECTORS - 1) & 0xff);
	g_assert_cmphex(in(&t, LBA1), ==, (SECTORS - 1) >> 8);
	/* flush, verify, power */
	g_assert_cmphex(command(&t, 0xe7), ==, 0x50);
	address(&t, 9, 100, false);
	g_assert_cmphex(command(&t, 0x40), ==, 0x50);
	command(&t, 0xe5);
	g_assert_cmphex(in(&t, COUNT), ==, 0xff);
	command(&t, 0xe0);
	command(&t, 0xe5);
	g_assert_cmphex(in(&t, COUNT), ==, 0x00);
	/* SMART: healthy; its data add up to zero */
	address(&t, 0xc24f00, 1, false);
	out(&t, ERROR, 0xda);
	g_assert_cmphex(command(&t, 0xb0), ==, 0x50);
	g_assert_cmphex(in(&t, LBA1) | in(&t, LBA2) << 8, ==, 0xc24f);
	out(&t, ERROR, 0xd0);
	g_assert_cmphex(command(&t, 0xb0), ==, 0x58);
	in_words(&t, buf, 512);
	for (unsigned i = 0; i < 512; i++)
		sum += buf[i];
	g_assert_cmphex(sum, ==, 0);
	/* what is written into the buffer is read from it */
	command(&t, 0xe8);
	memset(buf, 0x5c, 512);
	out_longs(&t, buf, 512);
	command(&t, 0xe4);
	memset(buf, 0, 512);
	in_words(&t, buf, 512);
	g_assert_cmphex(buf[0], ==, 0x5c);
	/* asleep: deaf to all but a reset */
	command(&t, 0xe6);
	in(&t, STATUS);
	out(&t, COUNT, 77);
	command(&t, 0xe5);
	g_assert_cmphex(in(&t, COUNT), ==, 77);
	down(&t);
}

/* REP INS and OUTS: blocks and what goes beyond them, other registers. */
static void test_many(void)
{
	struct ide_rig t;
	uint8_t buf[1100], got[512];
	uint32_t more[2] = {0, 0};

	up(&t);
	address(&t, 30, 2, false);
	command(&t, 0x20);
	memset(buf, 0, sizeof(buf));
	/* 6 bytes more than there are, in double words */
	bus_io_write(t.r.b.bus, t.port + 2, 1, 0);
	bus_io_read(t.r.b.bus, t.port, 2);
	bus_io_many(t.r.b.bus, t.port, 4, buf, 1032 / 4, false);
	g_assert_cmphex(settle(&t), ==, 0x50);
	g_assert_cmphex(buf[0], ==, 0);
	g_assert_cmphex(buf[507], ==, (uint8_t)(30 * 7));
	memset(buf, 0x21, sizeof(buf));
	address(&t, 40, 2, false);
	command(&t, 0x30);
	bus_io_many(t.r.b.bus, t.port, 2, buf, 512, true);
	g_assert_cmphex(settle(&t), ==, 0x50);
	blk_pread(t.disk, got, 512, 41 * 512);
	g_assert_cmpmem(got, 512, buf, 512);
	/* a register, and a port that has no such call */
	out(&t, COUNT, 0x55);
	bus_io_many(t.r.b.bus, t.port + COUNT, 1, more, 3, false);
	g_assert_cmphex(more[0], ==, 0x555555);
	bus_io_many(t.r.b.bus, 0x9000, 2, more, 2, false);
	g_assert_cmphex(more[0], ==, 0xffffffff);
	down(&t);
}

/* ---- bus master ---- */

static void prd(
	struct ide_rig *t, unsigned n, uint32_t at, uint32_t len, bool last)
{
	uint32_t e[2] = {at, (len & 0xffff) | (last ? 0x80000000u : 0)};

	bus_dma_write(t->r.b.bus, PRD_AT + 8 * n, e, sizeof(e));
}

static void bm_start(struct ide_rig *t, unsigned ch, bool read)
{
	outl(&t->r.b, BM + 8 * ch + 4, PRD_AT);
	outb(&t->r.b, BM + 8 * ch + 2, 6);
	outb(&t->r.b, BM + 8 * ch, read ? 8 : 0);
	outb(&t->r.b, BM + 8 * ch, read ? 9 : 1);
}

static uint8_t bm_status(struct ide_rig *t, unsigned ch)
{
	return inb(&t->r.b, BM + 8 * ch + 2);
}

static void test_dma(void)
{
	struct ide_rig t;
	uint8_t buf[40 * 512], got[512];

	up(&t);
	/* regions of odd places and lengths, one more than needed */
	prd(&t, 0, DATA_AT + 2, 1000, false);
	prd(&t, 1, DATA_AT + 0x4000, 24 + 512 * 30, false);
	prd(&t, 2, DATA_AT + 0x10000, 0, true);
	address(&t, 50, 40, true);
	g_assert_cmphex(command(&t, 0x25), ==, 0x58);
	bm_start(&t, 0, true);
	RIG_WAIT(t.r.level[14]);
	/* still active: a region is left over */
	g_assert_cmphex(bm_status(&t, 0), ==, 5);
	outb(&t.r.b, BM, 0);
	g_assert_cmphex(bm_status(&t, 0), ==, 4);
	g_assert_cmphex(in(&t, STATUS), ==, 0x50);
	bus_dma_read(t.r.b.bus, DATA_AT + 2, buf, 1000);
	bus_dma_read(t.r.b.bus, DATA_AT + 0x4000, buf + 1000, 24 + 512 * 30);
	bus_dma_read(t.r.b.bus, DATA_AT + 0x10000, buf + 32 * 512, 8 * 512);
	for (unsigned i = 0; i < 40; i++)
		g_assert_cmpuint(rig_sector_number(buf + 512 * i), ==, 50 + i);
	/* write; started before the command */
	prd(&t, 0, DATA_AT, 4096, true);
	memset(buf, 0x99, 4096);
	bus_dma_write(t.r.b.bus, DATA_AT, buf, 4096);
	bm_start(&t, 0, false);
	address(&t, 60, 8, false);
	out(&t, STATUS, 0xca);
	RIG_WAIT(t.r.level[14]);
	g_assert_cmphex(bm_status(&t, 0), ==, 4);
	blk_pread(t.disk, got, 512, 67 * 512);
	g_assert_cmphex(got[300], ==, 0x99);
	in(&t, STATUS);
	down(&t);
}

/* 3.1: neither active nor interrupting; the drive waits until it is reset. */
static void test_dma_short(void)
{
	struct ide_rig t;
	uint8_t buf[512];

	up(&t);
	prd(&t, 0, DATA_AT, 700, true);
	address(&t, 8, 4, false);
	command(&t, 0xc8);
	bm_start(&t, 0, true);
	RIG_WAIT(!(bm_status(&t, 0) & 1));
	g_assert_cmphex(bm_status(&t, 0), ==, 0);
	g_assert_false(t.r.level[14]);
	g_assert_cmphex(alt(&t) & 0x08, ==, 0x08);
	bus_dma_read(t.r.b.bus, DATA_AT, buf, 512);
	g_assert_cmpuint(rig_sector_number(buf), ==, 8);
	outb(&t.r.b, 0x3f6, 4);
	outb(&t.r.b, 0x3f6, 0);
	g_assert_cmphex(settle(&t), ==, 0x50);
	/* not a master: nothing happens until it is one */
	bus_lock(t.r.b.bus);
	pci_config_write(t.r.b.host.pci, 0, 9, 4, 2, 1);
	bus_unlock(t.r.b.bus);
	prd(&t, 0, DATA_AT, 2048, true);
	address(&t, 8, 4, false);
	command(&t, 0xc8);
	bm_start(&t, 0, true);
	g_usleep(2000);
	g_assert_cmphex(bm_status(&t, 0), ==, 1);
	bus_lock(t.r.b.bus);
	pci_config_write(t.r.b.host.pci, 0, 9, 4, 2, 5);
	bus_unlock(t.r.b.bus);
	RIG_WAIT(t.r.level[14]);
	down(&t);
}

static void test_trim(void)
{
	struct ide_rig t;
	uint8_t buf[512] = {0};
	uint64_t range = 64 | 16ull << 48;

	up(&t);
	memcpy(buf, &range, 8);
	bus_dma_write(t.r.b.bus, DATA_AT, buf, 512);
	prd(&t, 0, DATA_AT, 512, true);
	out(&t, ERROR, 1);
	address(&t, 0, 1, true);
	command(&t, 0x06);
	bm_start(&t, 0, false);
	RIG_WAIT(t.r.level[14]);
	g_assert_cmphex(in(&t, STATUS), ==, 0x50);
	blk_pread(t.disk, buf, 512, 70 * 512);
	g_assert_cmpuint(rig_sector_number(buf), ==, 0);
	blk_pread(t.disk, buf, 512, 80 * 512);
	g_assert_cmpuint(rig_sector_number(buf), ==, 80);
	down(&t);
}

/* ---- ATAPI ---- */

/* Send a packet; n bytes at most come back; how many did, or -sense key. */
static int packet(struct ide_rig *t, const char *cdb, void *buf, int n)
{
	int got = 0;

	out(t, ERROR, 0);
	out(t, LBA1, 0);
	out(t, LBA2, 8);
	g_assert_cmphex(command(t, 0xa0), ==, 0x48);
	g_assert_cmphex(in(t, COUNT) & 3, ==, 1);
	out_longs(t, cdb, 12);
	while (settle(t) & 8) {
		unsigned len = in(t, LBA1) | in(t, LBA2) << 8;
		uint8_t part[2048];

		g_assert_cmphex(in(t, COUNT) & 3, ==, 2);
		g_assert_true(t->r.level[line(t)]);
		g_assert_cmpuint(len, <=, sizeof(part));
		in_words(t, part, len);
		g_assert_cmpint(got + (int)len, <=, n);
		memcpy((uint8_t *)buf + got, part, len);
		got += len;
	}
	g_assert_cmphex(in(t, COUNT) & 3, ==, 3);
	g_assert_true(t->r.level[line(t)]);
	if (in(t, STATUS) & 1)
		return -(in(t, ERROR) >> 4);
	return got;
}

#define CDB(...) ((const char[12]){__VA_ARGS__})

static void expect_sense(struct ide_rig *t, unsigned key, unsigned asc)
{
	uint8_t s[18];

	g_assert_cmpint(packet(t, CDB(3, 0, 0, 0, 18), s, 18), ==, 18);
	g_assert_cmphex(s[2], ==, key);
	g_assert_cmphex(s[12], ==, asc);
}

static void cd_select(struct ide_rig *t)
{
	t->port = 0x170;
	out(t, DEVICE, 0xb0);
	/* power-on, once */
	g_assert_cmpint(packet(t, CDB(0), NULL, 0), ==, -6);
	expect_sense(t, 6, 0x29);
	g_assert_cmpint(packet(t, CDB(0), NULL, 0), ==, 0);
}

static void test_cd(void)
{
	struct ide_rig t;
	uint8_t b[8192];

	up(&t);
	t.port = 0x170;
	out(&t, DEVICE, 0xb0);
	g_assert_cmphex(command(&t, 0xec), ==, 0x01);
	g_assert_cmphex(in(&t, LBA2), ==, 0xeb);
	command(&t, 0xa1);
	in_words(&t, b, 512);
	g_assert_cmphex(word(b, 0), ==, 0x85c0);
	cd_select(&t);
	g_assert_cmpint(packet(&t, CDB(0x12, 0, 0, 0, 36), b, 36), ==, 36);
	g_assert_cmpmem(b + 8, 6, "VMESTE", 6);
	g_assert_cmpint(packet(&t, CDB(0x25), b, 8), ==, 8);
	g_assert_cmpuint(b[2] << 8 | b[3], ==, 299);
	/* READ(10) of 3 from 20, READ(12), READ CD */
	memset(b, 0, sizeof(b));
	g_assert_cmpint(packet(&t, CDB(0x28, 0, 0, 0, 0, 20, 0, 0, 3), b, 8192),
		==, 6144);
	g_assert_cmpuint(rig_sector_number(b), ==, 80);
	g_assert_cmpuint(rig_sector_number(b + 4096), ==, 88);
	g_assert_cmpint(
		packet(&t, CDB(0xa8, 0, 0, 0, 1, 0, 0, 0, 0, 1), b, 8192), ==,
		2048);
	g_assert_cmpuint(rig_sector_number(b), ==, 1024);
	g_assert_cmpint(
		packet(&t, CDB(0xbe, 0, 0, 0, 0, 7, 0, 0, 1, 0x10), b, 8192),
		==, 2048);
	g_assert_cmpuint(rig_sector_number(b), ==, 28);
	/* beyond the end; no such command */
	g_assert_cmpint(packet(&t, CDB(0x28, 0, 0, 0, 1, 43, 0, 0, 2), b, 8192),
		==, -5);
	expect_sense(&t, 5, 0x21);
	g_assert_cmpint(packet(&t, CDB(0x7f), b, 8), ==, -5);
	expect_sense(&t, 5, 0x20);
	expect_sense(&t, 0, 0);
	down(&t);
}

static void test_cd_info(void)
{
	static const struct {
		char cdb[12];
		int len;
		unsigned at;
		uint8_t is;
	} cases[] = {
		{{0x43, 2, 0, 0, 0, 0, 0, 1, 0}, 20, 14, 0xaa},
		{{0x43, 0, 0, 0, 0, 0, (char)0xaa, 1, 0}, 12, 6, 0xaa},
		{{0x43, 0, 1, 0, 0, 0, 0, 1, 0}, 12, 3, 1},
		{{0x43, 0, 2, 0, 0, 0, 0, 1, 0}, 48, 7, 0xa0},
		{{0x43, 0, 0, 0, 0, 0, 1, 0, 4}, 4, 1, 18},
		{{0x46, 2, 0, 0, 0, 0, 0, 1, 0}, 20, 7, 8},
		{{0x46, 2, 0, 3, 0, 0, 0, 1, 0}, 16, 12, 0x29},
		{{0x4a, 1, 0, 0, 0x10, 0, 0, 1, 0}, 8, 5, 2},
		{{0x4a, 1, 0, 0, 2, 0, 0, 1, 0}, 4, 2, 0x80},
		{{0x51, 0, 0, 0, 0, 0, 0, 1, 0}, 34, 2, 0x0e},
		{{0x52, 1, 0, 0, 0, 1, 0, 1, 0}, 36, 27, 300 & 0xff},
		{{0x5a, 0, 0x2a, 0, 0, 0, 0, 1, 0}, 28, 14, 0x29},
		{{0x5a, 0, 0x3f, 0, 0, 0, 0, 1, 0}, 60, 8, 0x01},
		{{(char)0xbd, 0, 0, 0, 0, 0, 0, 0, 0, 8}, 8, 1, 0},
		{{0x42, 0, 0x40, 1, 0, 0, 0, 0, 16}, 16, 6, 1},
		{{0x23, 0, 0, 0, 0, 0, 0, 0, 12}, 12, 8, 2},
		{{0x43, 0, 3, 0, 0, 0, 0, 1, 0}, -5, 0, 0},
		{{0x5a, 0, 0x05, 0, 0, 0, 0, 1, 0}, -5, 0, 0},
		{{(char)0xad, 0, 0, 0, 0, 0, 0, 0, 8, 0}, -5, 0, 0},
	};
	struct ide_rig t;
	uint8_t b[2048];

	up(&t);
	cd_select(&t);
	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
		memset(b, 0, sizeof(b));
		g_assert_cmpint(packet(&t, cases[i].cdb, b, sizeof(b)), ==,
			cases[i].len);
		if (cases[i].len > 0)
			g_assert_cmphex(b[cases[i].at], ==, cases[i].is);
	}
	down(&t);
}

static void test_cd_dma(void)
{
	struct ide_rig t;
	uint8_t b[2048];

	up(&t);
	cd_select(&t);
	prd(&t, 0, DATA_AT, 8192, true);
	out(&t, ERROR, 1);
	out(&t, LBA1, 0xff);
	out(&t, LBA2, 0xff);
	command(&t, 0xa0);
	out_longs(&t, CDB(0x28, 0, 0, 0, 0, 33, 0, 0, 4), 12);
	in(&t, STATUS);
	bm_start(&t, 1, true);
	RIG_WAIT(t.r.level[15]);
	g_assert_cmphex(bm_status(&t, 1), ==, 4);
	g_assert_cmphex(in(&t, STATUS), ==, 0x40);
	bus_dma_read(t.r.b.bus, DATA_AT + 6144, b, 2048);
	g_assert_cmpuint(rig_sector_number(b), ==, 36 * 4);
	/* an answer by DMA; what is left of the region stays */
	out(&t, ERROR, 1);
	command(&t, 0xa0);
	out_longs(&t, CDB(0x12, 0, 0, 0, 36), 12);
	bm_start(&t, 1, true);
	RIG_WAIT(t.r.level[15] && bm_status(&t, 1) & 4);
	g_assert_cmphex(bm_status(&t, 1), ==, 5);
	bus_dma_read(t.r.b.bus, DATA_AT + 8, b, 6);
	g_assert_cmpmem(b, 6, "VMESTE", 6);
	down(&t);
}

static struct blk *change(struct ide_rig *t, struct blk *blk)
{
	struct blk *old;

	bus_lock(t->r.b.bus);
	old = scsi_change_medium(&ide_drive(t->ide, 3)->scsi, blk);
	bus_unlock(t->r.b.bus);
	return old;
}

static uint8_t media_event(struct ide_rig *t)
{
	uint8_t b[8];

	g_assert_cmpint(
		packet(t, CDB(0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8), b, 8), ==, 8);
	return b[4] << 4 | b[5];
}

static void test_cd_change(void)
{
	struct ide_rig t;
	uint8_t b[8];

	up(&t);
	cd_select(&t);
	/* swapped: no disc once, then another one */
	g_assert_true(change(&t, rig_image(100 * 2048, true)) == t.cd);
	g_assert_cmpint(packet(&t, CDB(0x25), b, 8), ==, -2);
	g_assert_cmphex(media_event(&t), ==, 0x22);
	g_assert_cmpint(packet(&t, CDB(0x25), b, 8), ==, -6);
	expect_sense(&t, 6, 0x28);
	g_assert_cmpint(packet(&t, CDB(0x25), b, 8), ==, 8);
	g_assert_cmpuint(b[3], ==, 99);
	/* locked: the button only asks */
	packet(&t, CDB(0x1e, 0, 0, 0, 1), NULL, 0);
	bus_lock(t.r.b.bus);
	g_assert_false(scsi_eject_button(&ide_drive(t.ide, 3)->scsi));
	bus_unlock(t.r.b.bus);
	g_assert_cmphex(media_event(&t), ==, 0x12);
	g_assert_cmpint(packet(&t, CDB(0x1b, 0, 0, 0, 2), NULL, 0), ==, -5);
	expect_sense(&t, 5, 0x53);
	packet(&t, CDB(0x1e, 0, 0, 0, 0), NULL, 0);
	/* the guest opens the tray, and closes it */
	g_assert_cmpint(packet(&t, CDB(0x1b, 0, 0, 0, 2), NULL, 0), ==, 0);
	g_assert_cmphex(media_event(&t), ==, 0x31);
	g_assert_cmpint(packet(&t, CDB(0), NULL, 0), ==, -2);
	expect_sense(&t, 2, 0x3a);
	g_assert_cmpint(packet(&t, CDB(0x1b, 0, 0, 0, 3), NULL, 0), ==, 0);
	g_assert_cmpint(packet(&t, CDB(0), NULL, 0), ==, -6);
	g_assert_cmpint(packet(&t, CDB(0), NULL, 0), ==, 0);
	/* swapped; who polls is not told that it was gone */
	blk_close(change(&t, rig_image(50 * 2048, true)));
	g_assert_cmphex(media_event(&t), ==, 0x22);
	g_assert_cmpint(packet(&t, CDB(0), NULL, 0), ==, -6);
	g_assert_cmpint(packet(&t, CDB(0), NULL, 0), ==, 0);
	/* taken out */
	blk_close(change(&t, NULL));
	g_assert_cmpint(packet(&t, CDB(0), NULL, 0), ==, -2);
	g_assert_cmphex(media_event(&t), ==, 0x30);
	down(&t);
}

/* A medium that goes in the midst of a transfer. */
static void test_cd_snatch(void)
{
	struct ide_rig t;
	uint16_t w[1024];
	unsigned n;

	up(&t);
	cd_select(&t);
	out(&t, ERROR, 0);
	out(&t, LBA2, 8);
	command(&t, 0xa0);
	out_longs(&t, CDB(0x28, 0, 0, 0, 0, 0, 0, 0, 100), 12);
	settle(&t);
	in_words(&t, w, 1000);
	change(&t, NULL);
	/* What is in the drive's buffer comes, and then no more. */
	in_words(&t, w, 1048);
	for (n = 1; settle(&t) == 0x48 && n < 100; n++)
		in_words(&t, w, 2048);
	g_assert_cmpuint(n, ==, ATA_BUFFER / 2048);
	g_assert_cmphex(settle(&t), ==, 0x41);
	g_assert_cmphex(in(&t, ERROR) >> 4, ==, 6);
	down(&t);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/ide/absent", test_absent);
	g_test_add_func("/ide/floating", test_floating);
	g_test_add_func("/ide/reset", test_reset);
	g_test_add_func("/ide/hob", test_hob);
	g_test_add_func("/ide/identify", test_identify);
	g_test_add_func("/ide/pio-read", test_pio_read);
	g_test_add_func("/ide/pio-write", test_pio_write);
	g_test_add_func("/ide/errors", test_errors);
	g_test_add_func("/ide/others", test_others);
	g_test_add_func("/ide/many", test_many);
	g_test_add_func("/ide/dma", test_dma);
	g_test_add_func("/ide/dma-short", test_dma_short);
	g_test_add_func("/ide/trim", test_trim);
	g_test_add_func("/ide/cd", test_cd);
	g_test_add_func("/ide/cd-info", test_cd_info);
	g_test_add_func("/ide/cd-dma", test_cd_dma);
	g_test_add_func("/ide/cd-change", test_cd_change);
	g_test_add_func("/ide/cd-snatch", test_cd_snatch);
	return g_test_run();
}
