/* dev-ahci.c - AHCI: ports, command lists, FISes, queued commands, MSI. */
#include <errno.h>
#include <malloc.h>

#include "disk-rig.h"

#include "dev/storage/ahci.h"

#define SECTORS	 4096u
#define CD_BYTES (300u * 2048)
#define ABAR	 0xfe000000u
#define DEVFN	 (2 << 3)
#define LIST	 0x10000u
#define FISES	 0x11000u
#define TABLES	 0x20000u /* 4 KiB a slot */
#define DATA_AT	 0x80000u
#define CD_PORT	 3

struct ahci_rig {
	struct rig r;
	struct dev *ahci;
	struct blk *disk, *cd;
	unsigned port;
	_Atomic(unsigned) msis;
};

static uint32_t rd(struct ahci_rig *t, unsigned reg)
{
	return bus_mmio_read(t->r.b.bus, NULL, ABAR + reg, 4);
}

static void wr(struct ahci_rig *t, unsigned reg, uint32_t val)
{
	bus_mmio_write(t->r.b.bus, NULL, ABAR + reg, 4, val);
}

static uint32_t prd(struct ahci_rig *t, unsigned reg)
{
	return rd(t, 0x100 + 0x80 * t->port + reg);
}

static void pwr(struct ahci_rig *t, unsigned reg, uint32_t val)
{
	wr(t, 0x100 + 0x80 * t->port + reg, val);
}

static void msi(void *opaque, uint64_t addr, uint32_t data)
{
	struct ahci_rig *t = opaque;

	g_assert_cmphex(addr, ==, 0xfee00000);
	g_assert_cmphex(data, ==, 0x4041);
	t->msis++;
}

static void port_start(struct ahci_rig *t, unsigned port)
{
	t->port = port;
	pwr(t, 0x00, LIST);
	pwr(t, 0x08, FISES);
	pwr(t, 0x30, 0xffffffff);
	pwr(t, 0x10, 0xffffffff);
	pwr(t, 0x14, 0x7dc0007f);
	pwr(t, 0x18, 0x16);
	pwr(t, 0x18, 0x17);
	g_assert_cmphex(prd(t, 0x18) & 0xc000, ==, 0xc000);
}

static void up(struct ahci_rig *t)
{
	struct ata_conf disk = {.id = "disk0"};
	struct ata_conf cd = {.id = "cd0", .atapi = true, .readonly = true};

	rig_init(&t->r);
	t->msis = 0;
	t->ahci = board_add(&t->r.b, "ahci");
	disk.blk = t->disk = rig_image(SECTORS * 512, false);
	cd.blk = t->cd = rig_image(CD_BYTES, true);
	bus_lock(t->r.b.bus);
	g_assert_cmpint(ahci_attach(t->ahci, 0, &disk), ==, 0);
	g_assert_cmpint(ahci_attach(t->ahci, 0, &disk), ==, -EBUSY);
	g_assert_cmpint(ahci_attach(t->ahci, CD_PORT, &cd), ==, 0);
	pci_config_write(t->r.b.host.pci, 0, DEVFN, 0x24, 4, ABAR);
	pci_config_write(t->r.b.host.pci, 0, DEVFN, 4, 2, 6);
	bus_unlock(t->r.b.bus);
	wr(t, 4, 0x80000002);
	port_start(t, 0);
}

static void down(struct ahci_rig *t)
{
	board_fini(&t->r.b);
	blk_close(t->disk);
	blk_close(t->cd);
}

/* ---- commands ---- */

struct command {
	uint8_t command;
	uint16_t feature, count;
	uint64_t lba;
	unsigned slot;
	bool write;
	const char *cdb; /* or NULL */
};

/* Regions that come after one another at DATA_AT. */
static void slot_fill(struct ahci_rig *t, const struct command *c,
	const uint32_t *bytes, unsigned n)
{
	uint32_t table = TABLES + c->slot * 4096, at = DATA_AT;
	uint32_t head[8] = {
		5 | (c->write ? 1 << 6 : 0) | (c->cdb ? 1 << 5 : 0) | n << 16,
		0xdead, table};
	uint8_t fis[64] = {0x27, 0x80, c->command, c->feature, c->lba,
		c->lba >> 8, c->lba >> 16, 0x40, c->lba >> 24, c->lba >> 32,
		c->lba >> 40, c->feature >> 8, c->count, c->count >> 8};

	bus_dma_write(t->r.b.bus, LIST + 32 * c->slot, head, sizeof(head));
	bus_dma_write(t->r.b.bus, table, fis, sizeof(fis));
	if (c->cdb)
		bus_dma_write(t->r.b.bus, table + 0x40, c->cdb, 12);
	for (unsigned i = 0; i < n; i++) {
		uint32_t e[4] = {at, 0, 0, bytes[i] - 1};

		bus_dma_write(t->r.b.bus, table + 0x80 + 16 * i, e, sizeof(e));
		at += bytes[i];
	}
}

static void issue(struct ahci_rig *t, const struct command *c,
	const uint32_t *bytes, unsigned n)
{
	slot_fill(t, c, bytes, n);
	pwr(t, 0x38, 1u << c->slot);
}

#define ONE(n) ((const uint32_t[]){n}), 1

static void finish(struct ahci_rig *t, unsigned slot)
{
	RIG_WAIT(!(prd(t, 0x38) >> slot & 1) || prd(t, 0x10) & 1u << 30);
}

static uint32_t transferred(struct ahci_rig *t, unsigned slot)
{
	uint32_t n;

	bus_dma_read(t->r.b.bus, LIST + 32 * slot + 4, &n, 4);
	return n;
}

static uint32_t data_sector(struct ahci_rig *t, unsigned n)
{
	uint8_t b[4];

	bus_dma_read(t->r.b.bus, DATA_AT + n * 512, b, 4);
	return rig_sector_number(b);
}

/* ---- tests ---- */

static void test_registers(void)
{
	struct ahci_rig t;

	up(&t);
	g_assert_cmphex(rd(&t, 0) & 0xc0041f1f, ==, 0xc0041f05);
	g_assert_cmphex(rd(&t, 0x0c), ==, 0x3f);
	g_assert_cmphex(prd(&t, 0x24), ==, 0x101);
	g_assert_cmphex(prd(&t, 0x28), ==, 0x123);
	g_assert_cmphex(prd(&t, 0x20), ==, 0x150);
	t.port = CD_PORT;
	g_assert_cmphex(prd(&t, 0x24), ==, 0xeb140101);
	t.port = 1;
	g_assert_cmphex(prd(&t, 0x28), ==, 0);
	g_assert_cmphex(prd(&t, 0x20), ==, 0x7f);
	/* COMRESET */
	t.port = 0;
	pwr(&t, 0x18, 6);
	pwr(&t, 0x30, 0xffffffff);
	pwr(&t, 0x2c, 0x301);
	g_assert_cmphex(prd(&t, 0x28), ==, 0);
	g_assert_cmphex(prd(&t, 0x20) & 0x80, ==, 0x80);
	pwr(&t, 0x2c, 0x300);
	g_assert_cmphex(prd(&t, 0x28), ==, 0x123);
	g_assert_cmphex(prd(&t, 0x30), ==, 1u << 26);
	g_assert_cmphex(prd(&t, 0x10) & 0x40, ==, 0x40);
	pwr(&t, 0x30, 1u << 26);
	g_assert_cmphex(prd(&t, 0x10) & 0x40, ==, 0);
	/* the whole controller */
	wr(&t, 4, 1);
	g_assert_cmphex(rd(&t, 4), ==, 0x80000000);
	g_assert_cmphex(prd(&t, 0x14), ==, 0);
	down(&t);
}

static void test_transfer(void)
{
	static const struct {
		struct command c;
		uint32_t bytes[4];
		unsigned n;
	} cases[] = {
		{{.command = 0x25, .lba = 70, .count = 20, .slot = 3},
			{1000, 24, 8192, 2048}, 4},
		{{.command = 0xc8, .lba = 5, .count = 1}, {512}, 1},
		{{.command = 0x20, .lba = 9, .count = 8, .slot = 31}, {2, 4094},
			2}, /* PIO */
		{{.command = 0x24, .lba = 100, .count = 600, .slot = 1},
			{600 * 512}, 1},
	};
	struct ahci_rig t;

	up(&t);
	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
		const struct command *c = &cases[i].c;

		pwr(&t, 0x10, 0xffffffff);
		wr(&t, 8, 1);
		issue(&t, c, cases[i].bytes, cases[i].n);
		finish(&t, c->slot);
		g_assert_cmphex(prd(&t, 0x10) & 3, !=, 0);
		g_assert_cmphex(prd(&t, 0x10) & 0x7d000000, ==, 0);
		g_assert_cmphex(rd(&t, 8), ==, 1);
		g_assert_cmpuint(transferred(&t, c->slot), ==, c->count * 512u);
		for (unsigned s = 0; s < c->count; s++)
			g_assert_cmpuint(data_sector(&t, s), ==, c->lba + s);
	}
	down(&t);
}

static void test_write(void)
{
	static const uint8_t commands[] = {0x35, 0xca, 0x30, 0x3d};
	struct ahci_rig t;
	uint8_t buf[4096], got[4096];

	up(&t);
	for (unsigned i = 0; i < G_N_ELEMENTS(commands); i++) {
		struct command c = {.command = commands[i],
			.lba = 50 + i,
			.count = 8,
			.write = true};

		memset(buf, 0x30 + i, sizeof(buf));
		bus_dma_write(t.r.b.bus, DATA_AT, buf, sizeof(buf));
		issue(&t, &c, ONE(4096));
		finish(&t, 0);
		blk_pread(t.disk, got, 4096, c.lba * 512);
		g_assert_cmpmem(got, 4096, buf, 4096);
	}
	down(&t);
}

/* Many at once, told by Set Device Bits FISes. */
static void test_queued(void)
{
	struct ahci_rig t;
	uint8_t b[4];

	up(&t);
	for (unsigned i = 0; i < 16; i++) {
		struct command c = {.command = 0x60,
			.feature = 8,
			.count = i << 3,
			.lba = 1000 - 8 * i,
			.slot = i};
		uint32_t e[4] = {DATA_AT + i * 4096, 0, 0, 4095};

		slot_fill(&t, &c, NULL, 0);
		e[3] = 4095;
		bus_dma_write(t.r.b.bus, TABLES + i * 4096 + 0x80, e, 16);
		bus_dma_write(t.r.b.bus, LIST + 32 * i + 2, &(uint16_t){1}, 2);
	}
	pwr(&t, 0x34, 0xffff);
	pwr(&t, 0x38, 0xffff);
	RIG_WAIT(!prd(&t, 0x34));
	g_assert_cmphex(prd(&t, 0x38), ==, 0);
	g_assert_cmphex(prd(&t, 0x10) & 8, ==, 8);
	for (unsigned i = 0; i < 16; i++)
		g_assert_cmpuint(data_sector(&t, 8 * i), ==, 1000 - 8 * i);
	bus_dma_read(t.r.b.bus, FISES + 0x58, b, 4);
	g_assert_cmphex(b[0], ==, 0xa1);
	g_assert_cmphex(b[2], ==, 0x50);
	down(&t);
}

/* The log says which one; all others wait for the port to be restarted. */
static void test_queued_error(void)
{
	struct ahci_rig t;
	struct command bad = {.command = 0x61,
		.feature = 8,
		.count = 5 << 3,
		.lba = SECTORS - 1,
		.slot = 5,
		.write = true};
	struct command log = {.command = 0x2f, .lba = 0x10, .count = 1};
	uint8_t page[512], sum = 0;

	up(&t);
	slot_fill(&t, &bad, ONE(4096));
	pwr(&t, 0x34, 1 << 5);
	pwr(&t, 0x38, 1 << 5);
	finish(&t, 5);
	g_assert_cmphex(prd(&t, 0x10) & 1u << 30, ==, 1u << 30);
	g_assert_cmphex(prd(&t, 0x20), ==, 0x1051);
	g_assert_cmphex(prd(&t, 0x38), ==, 1 << 5);
	/* nothing else goes before ST was cleared */
	pwr(&t, 0x38, 1);
	g_assert_cmphex(prd(&t, 0x38), ==, 1 << 5 | 1);
	pwr(&t, 0x18, 0x16);
	g_assert_cmphex(prd(&t, 0x38) | prd(&t, 0x34), ==, 0);
	pwr(&t, 0x10, 0xffffffff);
	pwr(&t, 0x18, 0x17);
	issue(&t, &log, ONE(512));
	finish(&t, 0);
	bus_dma_read(t.r.b.bus, DATA_AT, page, 512);
	for (unsigned i = 0; i < 512; i++)
		sum += page[i];
	g_assert_cmphex(sum, ==, 0);
	g_assert_cmphex(page[0], ==, 5);
	g_assert_cmphex(page[3], ==, 0x10);
	down(&t);
}

static void test_errors(void)
{
	struct ahci_rig t;
	struct command far = {.command = 0x25, .lba = SECTORS, .count = 1};
	struct command read = {.command = 0x25, .count = 8, .slot = 2};

	up(&t);
	issue(&t, &far, ONE(512));
	finish(&t, 0);
	g_assert_cmphex(prd(&t, 0x20), ==, 0x1051);
	g_assert_cmphex(prd(&t, 0x38), ==, 1);
	pwr(&t, 0x18, 0x16);
	pwr(&t, 0x10, 0xffffffff);
	pwr(&t, 0x18, 0x17);
	/* a table that is too short, and none at all */
	issue(&t, &read, ONE(1024));
	finish(&t, 2);
	g_assert_cmphex(prd(&t, 0x10) & 1 << 24, ==, 1 << 24);
	g_assert_cmpuint(transferred(&t, 2), ==, 1024);
	pwr(&t, 0x10, 0xffffffff);
	issue(&t, &read, NULL, 0);
	finish(&t, 2);
	g_assert_cmphex(prd(&t, 0x10) & 1 << 24, ==, 1 << 24);
	/* not a master */
	bus_lock(t.r.b.bus);
	pci_config_write(t.r.b.host.pci, 0, DEVFN, 4, 2, 2);
	bus_unlock(t.r.b.bus);
	issue(&t, &read, ONE(4096));
	g_assert_cmphex(prd(&t, 0x38), ==, 4);
	bus_lock(t.r.b.bus);
	pci_config_write(t.r.b.host.pci, 0, DEVFN, 4, 2, 6);
	bus_unlock(t.r.b.bus);
	finish(&t, 2);
	down(&t);
}

static void test_software_reset(void)
{
	struct ahci_rig t;
	struct command c = {.slot = 0};
	uint8_t fis[20];

	up(&t);
	slot_fill(&t, &c, NULL, 0);
	memset(fis, 0, sizeof(fis));
	fis[0] = 0x27;
	fis[15] = 4;
	bus_dma_write(t.r.b.bus, TABLES, fis, sizeof(fis));
	pwr(&t, 0x38, 1);
	g_assert_cmphex(prd(&t, 0x38), ==, 0);
	fis[15] = 0;
	bus_dma_write(t.r.b.bus, TABLES, fis, sizeof(fis));
	pwr(&t, 0x38, 1);
	g_assert_cmphex(prd(&t, 0x38), ==, 0);
	g_assert_cmphex(prd(&t, 0x20), ==, 0x150);
	bus_dma_read(t.r.b.bus, FISES + 0x40, fis, sizeof(fis));
	g_assert_cmphex(fis[0], ==, 0x34);
	g_assert_cmphex(fis[12], ==, 1);
	down(&t);
}

static void test_cd(void)
{
	static const char tur[12], read[12] = {0x28, 0, 0, 0, 0, 9, 0, 0, 2};
	struct ahci_rig t;
	struct command c = {.command = 0xa0, .cdb = tur};

	up(&t);
	port_start(&t, CD_PORT);
	issue(&t, &c, NULL, 0);
	finish(&t, 0);
	g_assert_cmphex(prd(&t, 0x20), ==, 0x6441); /* unit attention */
	pwr(&t, 0x18, 0x16);
	pwr(&t, 0x10, 0xffffffff);
	pwr(&t, 0x18, 0x17);
	issue(&t, &c, NULL, 0);
	finish(&t, 0);
	g_assert_cmphex(prd(&t, 0x20) & 0xff, ==, 0x40);
	c.cdb = read;
	for (unsigned dma = 0; dma < 2; dma++) {
		c.feature = dma;
		c.lba = 0x200000; /* blocks of 8 KiB */
		issue(&t, &c, ONE(4096));
		finish(&t, 0);
		g_assert_cmpuint(transferred(&t, 0), ==, 4096);
		g_assert_cmpuint(data_sector(&t, 0), ==, 36);
		g_assert_cmpuint(data_sector(&t, 4), ==, 40);
		bus_dma_write(t.r.b.bus, DATA_AT, (char[8]){0}, 8);
	}
	down(&t);
}

/* An answer that has no room is forgotten, not kept with all before it. */
static void test_cd_short(void)
{
	static const char inquiry[12] = {0x12, 0, 0, 0, 36};
	struct ahci_rig t;
	struct command c = {.command = 0xa0, .feature = 1, .cdb = inquiry};
	size_t before = 0;

	up(&t);
	port_start(&t, CD_PORT);
	for (unsigned i = 0; i < 2000; i++) {
		if (i == 1000) /* what is allocated but once, is */
			before = mallinfo2().uordblks;
		issue(&t, &c, ONE(8));
		finish(&t, 0);
		g_assert_cmpuint(transferred(&t, 0), ==, 8);
		g_assert_cmphex(prd(&t, 0x10) & 1 << 24, !=, 0); /* overflow */
	}
	g_assert_cmpuint(mallinfo2().uordblks, <, before + (64u << 10));
	down(&t);
}

static void test_msi(void)
{
	struct ahci_rig t;
	struct command c = {.command = 0x25, .count = 1};
	unsigned cap;

	up(&t);
	issue(&t, &c, ONE(512));
	finish(&t, 0);
	g_assert_cmpuint(t.msis, ==, 0);
	pwr(&t, 0x10, 0xffffffff);
	wr(&t, 8, 0xffffffff);
	bus_lock(t.r.b.bus);
	bus_msi_handler(t.r.b.bus, msi, &t);
	cap = pci_config_read(t.r.b.host.pci, 0, DEVFN, 0x34, 1);
	g_assert_cmphex(
		pci_config_read(t.r.b.host.pci, 0, DEVFN, cap, 1), ==, 5);
	pci_config_write(t.r.b.host.pci, 0, DEVFN, cap + 4, 4, 0xfee00000);
	pci_config_write(t.r.b.host.pci, 0, DEVFN, cap + 12, 2, 0x4041);
	pci_config_write(t.r.b.host.pci, 0, DEVFN, cap + 2, 2, 1);
	bus_unlock(t.r.b.bus);
	issue(&t, &c, ONE(512));
	RIG_WAIT(t.msis == 1);
	down(&t);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/ahci/registers", test_registers);
	g_test_add_func("/ahci/transfer", test_transfer);
	g_test_add_func("/ahci/write", test_write);
	g_test_add_func("/ahci/queued", test_queued);
	g_test_add_func("/ahci/queued-error", test_queued_error);
	g_test_add_func("/ahci/errors", test_errors);
	g_test_add_func("/ahci/software-reset", test_software_reset);
	g_test_add_func("/ahci/cd", test_cd);
	g_test_add_func("/ahci/cd-short", test_cd_short);
	g_test_add_func("/ahci/msi", test_msi);
	return g_test_run();
}
