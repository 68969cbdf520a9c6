/*
 * disk-fuzz.c - disk controllers under a driver gone mad: any register, any
 * command, descriptors that point anywhere, discs that come and go.
 *
 *	disk-fuzz ide|ahci|floppy ROUNDS [SEED]
 *
 * It must neither crash nor hang, and its memory stays bounded.  The seed is
 * printed; threads make runs differ all the same.
 */
#include "dev-fuzz.h"

#include "dev/misc/i8237.h"
#include "dev/storage/ahci.h"
#include "dev/storage/fdc.h"
#include "dev/storage/ide.h"

#define DISK_BYTES (2u << 20)
#define BM	   FUZZ_IO
#define ABAR	   FUZZ_MMIO
#define TABLES	   0x100000u /* where descriptors are, as a rule */

/* Entries of 8 or 16 bytes: an address here and there, a length, flags. */
static void make_tables(struct fuzz *f, unsigned stride)
{
	uint32_t at = TABLES + below(f, 64) * 1024;

	for (unsigned i = 0; i < 1 + below(f, 64); i++) {
		uint32_t e[4] = {address(f), below(f, 4) ? 0 : rnd(f)};
		uint32_t len = below(f, 4) ? below(f, 8192) : rnd(f);

		e[stride / 4 - 1] = len | (below(f, 16) ? 0 : 1u << 31);
		bus_dma_write(f->r.b.bus, at + i * stride, e, stride);
	}
}

static struct blk *some_disc(struct fuzz *f)
{
	return below(f, 3) ? rig_image(2048 * (1 + below(f, 500)), true) : NULL;
}

/* Put another disc, or none, into a CD drive. */
static void change_cd(struct fuzz *f, struct ata_drive *d, struct blk **slot)
{
	struct blk *next = some_disc(f), *old;

	bus_lock(f->r.b.bus);
	scsi_eject_button(&d->scsi);
	old = scsi_change_medium(&d->scsi, next);
	bus_unlock(f->r.b.bus);
	*slot = next;
	blk_close(old);
}

static uint8_t ata_command_code(struct fuzz *f, bool cd)
{
	static const uint8_t codes[] = {0x06, 0x08, 0x20, 0x24, 0x25, 0x29,
		0x2f, 0x30, 0x34, 0x35, 0x39, 0x3d, 0x40, 0x47, 0x60, 0x61,
		0x90, 0x91, 0xa0, 0xa0, 0xa0, 0xa1, 0xb0, 0xc4, 0xc5, 0xc6,
		0xc8, 0xca, 0xe4, 0xe7, 0xe8, 0xec, 0xef, 0xf8};

	if (cd && below(f, 4))
		return 0xa0;
	return below(f, 8) ? codes[below(f, sizeof(codes))] : rnd(f);
}

static void make_cdb(struct fuzz *f, uint8_t cdb[16])
{
	static const uint8_t codes[] = {0x00, 0x03, 0x12, 0x1b, 0x1e, 0x23,
		0x25, 0x28, 0x28, 0x42, 0x43, 0x46, 0x4a, 0x51, 0x52, 0x55,
		0x5a, 0xa8, 0xad, 0xb9, 0xbd, 0xbe};

	for (unsigned i = 0; i < 16; i++)
		cdb[i] = byte(f);
	if (below(f, 2)) /* an address on the disc */
		memset(cdb + 1, 0, 7);
	cdb[0] = below(f, 8) ? codes[below(f, sizeof(codes))] : rnd(f);
}

/* ---- IDE ---- */

static void ide_open(struct fuzz *f)
{
	struct ata_conf c = {.id = "d"};

	f->dev = board_add(&f->r.b, "ide");
	bus_lock(f->r.b.bus);
	for (unsigned n = 0; n < 3; n++) {
		c.atapi = n == 1;
		c.blk = f->media[n] = rig_image(DISK_BYTES, n == 1);
		g_assert_cmpint(ide_attach(f->dev, n, &c), ==, 0);
	}
	bus_unlock(f->r.b.bus);
}

static void ide_awake(struct fuzz *f)
{
	bus_lock(f->r.b.bus);
	ide_enable(f->dev);
	bus_unlock(f->r.b.bus);
	config_write(f, 9, 0x20, 4, BM);
	config_write(f, 9, 4, 2, below(f, 16) ? 5 : rnd(f));
}

/* Addresses mostly on the disk. */
static void ide_command(struct fuzz *f, uint16_t base, unsigned unit)
{
	bool sane = below(f, 4);
	uint8_t cdb[16];

	for (unsigned i = 1; i < 6; i++)
		for (unsigned k = 0; k < 2; k++)
			bus_io_write(f->r.b.bus, base + i, 1,
				sane && (i > 4 || !k) ? 0 : byte(f));
	bus_io_write(f->r.b.bus, base + 6, 1,
		0x40 | unit << 4 | (sane ? 0 : byte(f) & 0x4f));
	bus_io_write(f->r.b.bus, base + 7, 1,
		ata_command_code(f, base == 0x1f0 && unit));
	make_cdb(f, cdb);
	for (unsigned i = 0; i < 12 && below(f, 32); i += 2)
		bus_io_write(f->r.b.bus, base, 2, cdb[i] | cdb[i + 1] << 8);
}

/* One after the other, so that what is pending gets told. */
static void ide_commands(struct fuzz *f, uint16_t base)
{
	unsigned unit = below(f, 2);

	for (unsigned n = 1 + below(f, 6); n; n--) {
		ide_command(f, base, unit);
		if (below(f, 2))
			g_usleep(50);
	}
}

static void ide_round(struct fuzz *f)
{
	uint16_t base = below(f, 2) ? 0x1f0 : 0x170;
	unsigned ch = base == 0x170;

	switch (below(f, 12)) {
	case 0: port_write(f, base + below(f, 8), byte(f)); break;
	case 1: port_read(f, base + below(f, 8)); break;
	case 2:
		if (below(f, 2))
			break;
		bus_io_write(f->r.b.bus, base + 0x206, 1, byte(f) | 4);
		bus_io_write(f->r.b.bus, base + 0x206, 1, byte(f) & ~4);
		break;
	case 3:
	case 4: ide_commands(f, base); break;
	case 5:
		make_tables(f, 8);
		bus_io_write(f->r.b.bus, BM + 8 * ch + 4, 4,
			TABLES + below(f, 64) * 1024);
		break;
	case 6: port_write(f, BM + below(f, 16), byte(f)); break;
	case 7: bus_io_write(f->r.b.bus, BM + 8 * ch, 1, below(f, 16)); break;
	case 8:
		for (unsigned n = below(f, 600); n; n--)
			port_read(f, base);
		break;
	case 9:
		for (unsigned n = below(f, 600); n; n--)
			port_write(f, base, rnd(f));
		break;
	case 10:
		if (!below(f, 20))
			change_cd(f, ide_drive(f->dev, 1), &f->media[1]);
		break;
	case 11:
		if (!below(f, 20))
			ide_awake(f);
		break;
	}
}

/* ---- AHCI ---- */

static void ahci_open(struct fuzz *f)
{
	struct ata_conf c = {.id = "d"};

	f->dev = board_add(&f->r.b, "ahci");
	bus_lock(f->r.b.bus);
	for (unsigned n = 0; n < 3; n++) {
		c.atapi = n == 1;
		c.blk = f->media[n] = rig_image(DISK_BYTES, n == 1);
		g_assert_cmpint(ahci_attach(f->dev, n, &c), ==, 0);
	}
	bus_unlock(f->r.b.bus);
}

static void ahci_write(struct fuzz *f, unsigned reg, uint32_t val)
{
	bus_mmio_write(f->r.b.bus, NULL, ABAR + reg, 4, val);
}

static void ahci_awake(struct fuzz *f)
{
	config_write(f, 2 << 3, 0x24, 4, ABAR);
	config_write(f, 2 << 3, 4, 2, below(f, 16) ? 6 : rnd(f));
	ahci_write(f, 4, 0x80000002);
	for (unsigned n = 0; n < 3; n++) {
		ahci_write(f, 0x100 + 0x80 * n, TABLES);
		ahci_write(f, 0x108 + 0x80 * n, TABLES + 0x8000);
		ahci_write(f, 0x118 + 0x80 * n, 0x16);
		ahci_write(f, 0x118 + 0x80 * n, 0x17);
	}
}

static void ahci_slot(struct fuzz *f, unsigned slot, bool cd)
{
	uint32_t table = TABLES + 0x10000 + slot * 0x1000;
	uint32_t head[4] = {rnd(f) & 0xff, 0, table, below(f, 32) ? 0 : rnd(f)};
	bool sane = below(f, 4);
	uint8_t fis[80];

	head[0] |= (below(f, 16) ? below(f, 64) : 0xffff) << 16;
	for (unsigned i = 0; i < sizeof(fis); i++)
		fis[i] = sane && i > 5 ? 0 : byte(f);
	make_cdb(f, fis + 64);
	fis[0] = below(f, 16) ? 0x27 : rnd(f);
	fis[1] = below(f, 16) ? 0x80 : rnd(f);
	fis[2] = ata_command_code(f, cd);
	if (fis[2] == 0x60 || fis[2] == 0x61)
		fis[12] = slot << 3;
	else if (sane)
		fis[12] = below(f, 16);
	bus_dma_write(f->r.b.bus, TABLES + slot * 32, head, sizeof(head));
	bus_dma_write(f->r.b.bus, table, fis, sizeof(fis));
	for (unsigned i = 0; i < 8; i++) {
		uint32_t e[4] = {address(f), below(f, 32) ? 0 : rnd(f), rnd(f),
			below(f, 4) ? below(f, 8192) : rnd(f)};

		bus_dma_write(f->r.b.bus, table + 0x80 + i * 16, e, sizeof(e));
	}
}

static void ahci_round(struct fuzz *f)
{
	unsigned port = 0x100 + 0x80 * below(f, 4), slot = below(f, 32);

	switch (below(f, 8)) {
	case 0:
	case 1:
	case 2:
		if (below(f, 2)) { /* after an error */
			ahci_write(f, port + 0x18, 0x16);
			ahci_write(f, port + 0x18, 0x17);
		}
		ahci_slot(f, slot, port == 0x180);
		if (below(f, 2))
			ahci_write(f, port + 0x34, 1u << slot);
		ahci_write(f, port + 0x38, 1u << slot);
		break;
	case 3: ahci_write(f, port + 0x38, rnd(f)); break;
	case 4:
		if (!below(f, 4))
			ahci_write(f, port + 4 * below(f, 32), rnd(f));
		break;
	case 5:
		bus_mmio_read(f->r.b.bus, NULL, ABAR + below(f, 4088),
			1u << below(f, 4));
		break;
	case 6:
		if (!below(f, 6))
			change_cd(f, ahci_drive(f->dev, 1), &f->media[1]);
		break;
	case 7:
		if (!below(f, 20))
			ahci_awake(f);
		for (unsigned n = 0; n < 3; n++) {
			ahci_write(f, 0x118 + 0x80 * n, 0x16);
			ahci_write(f, 0x118 + 0x80 * n, 0x17);
		}
		break;
	}
}

/* ---- floppy ---- */

static void floppy_open(struct fuzz *f)
{
	f->dma = board_add(&f->r.b, "i8237");
	f->r.b.host.dma = f->dma;
	f->dev = board_add(&f->r.b, "fdc");
	f->media[0] = rig_image(1440 << 10, false);
	bus_lock(f->r.b.bus);
	fdc_attach(f->dev, 0, f->media[0], false);
	fdc_attach(f->dev, 1, NULL, false);
	bus_unlock(f->r.b.bus);
}

static void floppy_awake(struct fuzz *f)
{
	bus_lock(f->r.b.bus);
	i8237_cascade(f->dma);
	bus_unlock(f->r.b.bus);
	bus_io_write(f->r.b.bus, 0x3f2, 1, 0);
	bus_io_write(f->r.b.bus, 0x3f2, 1, below(f, 8) ? 0x3c : byte(f));
	bus_io_write(f->r.b.bus, 0x3f7, 1, below(f, 4));
	g_usleep(300); /* the reset */
	bus_timers_run(f->r.b.bus);
	for (unsigned i = 0; i < 3; i++)
		bus_io_write(f->r.b.bus, 0x3f5, 1,
			((const uint8_t[]){3, 0xaf, !below(f, 4)})[i]);
}

static void floppy_command(struct fuzz *f)
{
	static const uint8_t codes[][2] = {{0x46, 9}, {0xe6, 9}, {0x45, 9},
		{0xc5, 9}, {0x4c, 9}, {0x49, 9}, {0x42, 9}, {0x56, 9},
		{0x4d, 6}, {0x51, 9}, {0x59, 9}, {0x5d, 9}, {0x07, 2},
		{0x08, 1}, {0x0f, 3}, {0x8f, 3}, {0x4a, 2}, {0x0e, 1},
		{0x13, 4}, {0x2e, 1}, {0x8e, 3}};
	const uint8_t *code = codes[below(f, G_N_ELEMENTS(codes))];
	unsigned head = below(f, 2);
	uint8_t c[9] = {code[0], head << 2, below(f, 8) ? 0 : below(f, 3), head,
		below(f, 20), 2, 18, 0x1b, 0xff};

	/* mostly the rate of the disc */
	if (f->media[0])
		bus_io_write(f->r.b.bus, 0x3f7, 1,
			below(f, 8) ? fdc_format(f->media[0]->size)->rate
				    : below(f, 4));
	for (unsigned n = 16; n; n--) /* what the last one left */
		bus_io_read(f->r.b.bus, 0x3f5, 1);
	for (unsigned i = 0; i < code[1]; i++)
		bus_io_write(
			f->r.b.bus, 0x3f5, 1, below(f, 40) ? c[i] : byte(f));
}

static void floppy_dma(struct fuzz *f)
{
	struct bus *b = f->r.b.bus;

	bus_io_write(b, 11, 1, below(f, 2) ? 0x46 : 0x4a);
	bus_io_write(b, 12, 1, 0);
	for (unsigned i = 0; i < 4; i++)
		bus_io_write(b, 4 + i / 2, 1, byte(f));
	bus_io_write(b, 0x81, 1, byte(f));
	bus_io_write(b, 10, 1, below(f, 32) ? 2 : 6);
}

static void floppy_change(struct fuzz *f)
{
	static const unsigned kb[] = {160, 360, 720, 1200, 1440, 1680, 2880};
	struct blk *next =
		below(f, 3) ? rig_image(kb[below(f, 7)] << 10, below(f, 2))
			    : NULL;
	struct blk *old = next;

	bus_lock(f->r.b.bus);
	if (fdc_change(f->dev, 0, next, false, &old) == 0)
		f->media[0] = next;
	bus_unlock(f->r.b.bus);
	blk_close(old);
}

static void floppy_round(struct fuzz *f)
{
	switch (below(f, 8)) {
	case 0:
		if (!below(f, 8))
			port_write(f, 0x3f2 + below(f, 6), byte(f));
		break;
	case 1: port_read(f, 0x3f2 + below(f, 6)); break;
	case 2: floppy_command(f); break;
	case 3: floppy_dma(f); break;
	case 4:
		if (!below(f, 4))
			port_write(f,
				below(f, 2) ? below(f, 16)
					    : 0xc0 + below(f, 32),
				byte(f));
		break;
	case 5:
		for (unsigned n = below(f, 40); n; n--)
			bus_io_read(f->r.b.bus, 0x3f5, 1);
		break;
	case 6:
		if (!below(f, 30))
			floppy_change(f);
		break;
	case 7:
		if (!below(f, 3))
			floppy_awake(f);
		break;
	}
}

/* ---- all ---- */

static const struct kind kinds[] = {
	{"ide", ide_open, ide_awake, ide_round},
	{"ahci", ahci_open, ahci_awake, ahci_round},
	{"floppy", floppy_open, floppy_awake, floppy_round},
	{NULL},
};

FUZZ_MAIN(kinds)
