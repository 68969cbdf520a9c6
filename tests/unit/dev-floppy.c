/* dev-floppy.c - DMA controllers and the floppy controller, by their ports. */
#include <errno.h>

#include "disk-rig.h"

#include "dev/misc/i8237.h"
#include "dev/storage/fdc.h"

#define DMA_AT 0x30000

struct floppy_rig {
	struct rig r;
	struct dev *dma, *fdc;
	struct blk *disc;
};

static void up(struct floppy_rig *t, uint64_t bytes, bool readonly)
{
	rig_init(&t->r);
	t->dma = board_add(&t->r.b, "i8237");
	t->r.b.host.dma = t->dma;
	t->fdc = board_add(&t->r.b, "fdc");
	t->disc = bytes ? rig_image(bytes, readonly) : NULL;
	bus_lock(t->r.b.bus);
	g_assert_cmpint(fdc_attach(t->fdc, 0, t->disc, readonly), ==, 0);
	i8237_cascade(t->dma);
	bus_unlock(t->r.b.bus);
}

static void down(struct floppy_rig *t)
{
	board_fini(&t->r.b);
	blk_close(t->disc);
}

static void out(struct floppy_rig *t, uint16_t port, uint8_t val)
{
	outb(&t->r.b, port, val);
}

static uint8_t in(struct floppy_rig *t, uint16_t port)
{
	return inb(&t->r.b, port);
}

/* ---- 8237 ---- */

/* Program channel n as a driver does. */
static void dma_program(struct floppy_rig *t, unsigned n, uint8_t mode,
	uint32_t at, unsigned count)
{
	static const uint8_t page[8] = {
		0x87, 0x83, 0x81, 0x82, 0x8f, 0x8b, 0x89, 0x8a};
	unsigned shift = n / 4, base = n / 4 ? 0xc0 : 0;
	unsigned addr = n / 4 ? at >> 1 : at;

	out(t, base + (10 << shift), 4 | (n & 3));
	out(t, base + (12 << shift), 0);
	out(t, base + (11 << shift), mode | (n & 3));
	out(t, base + ((2 * (n & 3)) << shift), addr);
	out(t, base + ((2 * (n & 3)) << shift), addr >> 8);
	out(t, base + ((2 * (n & 3) + 1) << shift), count - 1);
	out(t, base + ((2 * (n & 3) + 1) << shift), (count - 1) >> 8);
	out(t, page[n], at >> 16);
	out(t, base + (10 << shift), n & 3);
}

static unsigned dma_run(
	struct floppy_rig *t, unsigned n, void *buf, unsigned len, bool *tc)
{
	unsigned done;

	bus_lock(t->r.b.bus);
	done = i8237_transfer(t->dma, n, buf, len, tc);
	bus_unlock(t->r.b.bus);
	return done;
}

static void test_dma_modes(void)
{
	static const struct {
		unsigned channel;
		uint8_t mode;
		uint32_t at;
		unsigned count, len, moved; /* units, bytes, bytes */
		bool tc, again;		    /* terminal count; goes on */
		uint8_t first, last;	    /* where the bytes landed */
	} cases[] = {
		{2, 0x44, 0x21000, 16, 16, 16, true, false, 0, 15},
		{2, 0x44, 0x21000, 16, 10, 10, false, true, 0, 9},
		{1, 0x54, 0x21000, 16, 16, 16, true, true, 0, 15},  /* auto */
		{3, 0x64, 0x2100f, 16, 16, 16, true, false, 15, 0}, /* down */
		{5, 0x44, 0x21000, 8, 16, 16, true, false, 0, 15},
		{6, 0x44, 0x21000, 8, 15, 14, false, true, 0, 13},
		{2, 0x40, 0x21000, 16, 16, 16, true, false, 0xee, 0xee},
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
		struct floppy_rig t;
		uint8_t buf[16], mem[16];
		unsigned n = cases[i].channel;
		bool tc;

		up(&t, 0, false);
		memset(mem, 0xee, 16);
		bus_dma_write(t.r.b.bus, 0x21000, mem, 16);
		for (unsigned k = 0; k < 16; k++)
			buf[k] = k;
		g_assert_cmpuint(dma_run(&t, n, buf, 16, &tc), ==, 0);
		dma_program(&t, n, cases[i].mode, cases[i].at, cases[i].count);
		g_assert_cmpuint(dma_run(&t, n, buf, cases[i].len, &tc), ==,
			cases[i].moved);
		g_assert_cmpint(tc, ==, cases[i].tc);
		bus_dma_read(t.r.b.bus, 0x21000, mem, 16);
		g_assert_cmphex(mem[0], ==, cases[i].first);
		g_assert_cmphex(mem[cases[i].moved - 1], ==, cases[i].last);
		/* status shows it once; the channel masks itself */
		g_assert_cmphex(in(&t, n / 4 ? 0xd0 : 8) >> (n & 3) & 1, ==,
			cases[i].tc);
		g_assert_cmphex(in(&t, n / 4 ? 0xd0 : 8) & 15, ==, 0);
		bus_lock(t.r.b.bus);
		g_assert_cmpint(i8237_ready(t.dma, n), ==, cases[i].again);
		bus_unlock(t.r.b.bus);
		down(&t);
	}
}

static void test_dma_registers(void)
{
	struct floppy_rig t;
	uint8_t b[4] = {1, 2, 3, 4};
	bool tc;

	up(&t, 0, false);
	/* 64 KiB wrap within the page; from memory */
	bus_dma_write(t.r.b.bus, 0x2fffe, b, 2);
	bus_dma_write(t.r.b.bus, 0x20000, b + 2, 2);
	dma_program(&t, 2, 0x48, 0x2fffe, 4);
	memset(b, 0, 4);
	g_assert_cmpuint(dma_run(&t, 2, b, 4, &tc), ==, 4);
	g_assert_cmpmem(b, 4, "\1\2\3\4", 4);
	/* current address and count, low byte first */
	dma_program(&t, 1, 0x44, 0x21234, 0x100);
	g_assert_cmpuint(dma_run(&t, 1, b, 4, &tc), ==, 4);
	out(&t, 12, 0);
	g_assert_cmphex(in(&t, 2), ==, 0x38);
	g_assert_cmphex(in(&t, 2), ==, 0x12);
	g_assert_cmphex(in(&t, 3), ==, 0xfb);
	/* masks, disable, no cascade */
	g_assert_cmphex(in(&t, 15) & 15, ==, 13);
	out(&t, 8, 4);
	g_assert_cmpuint(dma_run(&t, 1, b, 1, &tc), ==, 0);
	out(&t, 8, 0);
	out(&t, 0xd4, 4);
	g_assert_cmpuint(dma_run(&t, 1, b, 1, &tc), ==, 0);
	out(&t, 0xd4, 0);
	g_assert_cmpuint(dma_run(&t, 1, b, 1, &tc), ==, 1);
	out(&t, 13, 0);
	g_assert_cmphex(in(&t, 15) & 15, ==, 15);
	out(&t, 14, 0);
	g_assert_cmphex(in(&t, 15) & 15, ==, 0);
	out(&t, 0x84, 0x5a);
	g_assert_cmphex(in(&t, 0x84), ==, 0x5a);
	down(&t);
}

/* ---- the floppy controller ---- */

/* The controller's timers run, too. */
static void wait_msr(struct floppy_rig *t, uint8_t mask, uint8_t want)
{
	for (unsigned i = 0; i < 5000; i++) {
		if ((in(t, 0x3f4) & mask) == want)
			return;
		board_sleep(&t->r.b, 100);
	}
	g_assert_cmphex(in(t, 0x3f4) & mask, ==, want);
}

static void fifo(struct floppy_rig *t, uint8_t val)
{
	wait_msr(t, 0xc0, 0x80);
	out(t, 0x3f5, val);
}

static unsigned result(struct floppy_rig *t, uint8_t *r)
{
	unsigned n = 0;

	wait_msr(t, 0xd0, 0xd0);
	while ((in(t, 0x3f4) & 0xd0) == 0xd0 && n < 16)
		r[n++] = in(t, 0x3f5);
	return n;
}

static unsigned command(
	struct floppy_rig *t, const char *bytes, unsigned n, uint8_t *r)
{
	for (unsigned i = 0; i < n; i++)
		fifo(t, bytes[i]);
	return r ? result(t, r) : 0;
}

#define CMD(t, r, ...)                                                         \
	command(t, (const char[]){__VA_ARGS__},                                \
		sizeof((const char[]){__VA_ARGS__}), r)

static void wait_irq(struct floppy_rig *t)
{
	for (unsigned i = 0; i < 1000 && !t->r.level[6]; i++)
		board_sleep(&t->r.b, 200);
	g_assert_true(t->r.level[6]);
}

/* Reset, four SENSE INTERRUPTs, motor of A on, rate. */
static void start(struct floppy_rig *t, uint8_t rate)
{
	uint8_t r[16];

	out(t, 0x3f2, 0x00);
	g_assert_cmphex(in(t, 0x3f4), ==, 0);
	out(t, 0x3f2, 0x1c);
	wait_irq(t);
	for (unsigned i = 0; i < 4; i++) {
		g_assert_cmpuint(CMD(t, r, 8), ==, 2);
		g_assert_cmphex(r[0], ==, 0xc0 | i);
		g_assert_false(t->r.level[6]);
	}
	g_assert_cmpuint(CMD(t, r, 8), ==, 1);
	g_assert_cmphex(r[0], ==, 0x80);
	CMD(t, NULL, 3, (char)0xaf, 2);
	out(t, 0x3f7, rate);
}

static void seek(struct floppy_rig *t, uint8_t to)
{
	uint8_t r[16];

	CMD(t, NULL, 0x0f, 0, (char)to);
	g_assert_cmphex(in(t, 0x3f4), ==, 0x81);
	wait_irq(t);
	g_assert_cmpuint(CMD(t, r, 8), ==, 2);
	g_assert_cmphex(r[0], ==, 0x20);
	g_assert_cmphex(r[1], ==, to);
}

static void test_reset(void)
{
	struct floppy_rig t;
	uint8_t r[16];

	up(&t, 1440 << 10, false);
	start(&t, 0);
	CMD(&t, r, 0x10);
	g_assert_cmphex(r[0], ==, 0x90);
	CMD(&t, r, 0x18);
	g_assert_cmphex(r[0], ==, 0x41);
	CMD(&t, r, (char)0xff);
	g_assert_cmphex(r[0], ==, 0x80);
	/* CONFIGURE survives a reset when locked */
	CMD(&t, NULL, 0x13, 0, 0x57, 0x11);
	CMD(&t, r, (char)0x94);
	g_assert_cmphex(r[0], ==, 0x10);
	CMD(&t, NULL, 0x12, (char)0x84);
	out(&t, 0x3f4, 0x80);
	g_assert_cmpuint(CMD(&t, r, 0x0e), ==, 10);
	g_assert_cmphex(r[8], ==, 0x57);
	g_assert_cmphex(r[7], ==, 0x84);
	g_assert_cmphex(r[4], ==, 0xaf);
	/* SAVE, RESTORE; DRIVE SPECIFICATION */
	g_assert_cmpuint(CMD(&t, r, 0x2e), ==, 16);
	CMD(&t, NULL, 0x4e, 0, 0, 9, 8, 7, 6, 1, 2, 18, 0, 0, 0, 0, 0, 0, 0);
	g_assert_cmpuint(CMD(&t, r, 0x0e), ==, 10);
	g_assert_cmphex(r[0], ==, 9);
	g_assert_cmpuint(CMD(&t, r, (char)0x8e, 1, 2, (char)0x80), ==, 4);
	CMD(&t, NULL, (char)0x8e, (char)0xc0);
	g_assert_cmphex(in(&t, 0x3f4), ==, 0x80);
	down(&t);
}

static void test_change_line(void)
{
	struct floppy_rig t;
	struct blk *old, *other = rig_image(720 << 10, true);

	up(&t, 1440 << 10, false);
	start(&t, 0);
	g_assert_cmphex(in(&t, 0x3f7), ==, 0x80);
	seek(&t, 0); /* no step: nothing changes */
	g_assert_cmphex(in(&t, 0x3f7), ==, 0x80);
	seek(&t, 1);
	g_assert_cmphex(in(&t, 0x3f7), ==, 0);
	bus_lock(t.r.b.bus);
	g_assert_cmpint(fdc_change(t.fdc, 0, NULL, false, &old), ==, 0);
	bus_unlock(t.r.b.bus);
	seek(&t, 5); /* no disc: it stays */
	g_assert_cmphex(in(&t, 0x3f7), ==, 0x80);
	bus_lock(t.r.b.bus);
	g_assert_cmpint(fdc_change(t.fdc, 0, other, false, &old), ==, 0);
	g_assert_null(old);
	bus_unlock(t.r.b.bus);
	seek(&t, 4);
	g_assert_cmphex(in(&t, 0x3f7), ==, 0);
	bus_lock(t.r.b.bus);
	other = rig_image(360 << 10, true);
	g_assert_cmpint(fdc_change(t.fdc, 0, other, false, &old), ==, -EINVAL);
	bus_unlock(t.r.b.bus);
	blk_close(other);
	bus_lock(t.r.b.bus);
	fdc_change(t.fdc, 0, NULL, false, &old);
	bus_unlock(t.r.b.bus);
	blk_close(old);
	down(&t);
}

struct read_case {
	unsigned kb, rate, track, heads, spt;
};

static const struct read_case formats[] = {
	{160, 2, 39, 1, 8},
	{180, 2, 3, 1, 9},
	{320, 2, 39, 2, 8},
	{360, 2, 7, 2, 9},
	{720, 2, 79, 2, 9},
	{1200, 0, 79, 2, 15},
	{1440, 0, 50, 2, 18},
	{1680, 0, 79, 2, 21},
	{2880, 3, 79, 2, 36},
};

/* Both sides of a track at once, and at the wrong rate not at all. */
static void test_formats(void)
{
	for (unsigned i = 0; i < G_N_ELEMENTS(formats); i++) {
		const struct read_case *c = &formats[i];
		unsigned n = c->spt * c->heads;
		struct floppy_rig t;
		uint8_t r[16], buf[512];

		up(&t, c->kb << 10, true);
		start(&t, c->rate);
		seek(&t, c->track);
		dma_program(&t, 2, 0x46, DMA_AT, n * 512);
		CMD(&t, r, (char)0xe6, 0, (char)c->track, 0, 1, 2, (char)c->spt,
			0x1b, (char)0xff);
		g_assert_cmphex(r[0], ==, 0);
		g_assert_cmphex(r[1] | r[2], ==, 0);
		g_assert_cmpuint(r[5], ==, 1);
		for (unsigned s = 0; s < n; s++) {
			bus_dma_read(t.r.b.bus, DMA_AT + 512 * s, buf, 512);
			g_assert_cmpuint(
				rig_sector_number(buf), ==, c->track * n + s);
		}
		out(&t, 0x3f7, c->rate ^ 1);
		CMD(&t, r, (char)0xe6, 0, (char)c->track, 0, 1, 2, (char)c->spt,
			0x1b, (char)0xff);
		g_assert_cmphex(r[0], ==, 0x40);
		g_assert_cmphex(r[1], ==, 0x01);
		down(&t);
	}
}

static void test_read_ends(void)
{
	static const struct {
		unsigned dma; /* bytes until terminal count */
		uint8_t cmd[9], st0, st1, st2, chrn[4];
	} cases[] = {
		/* terminal count within a sector, at the end of a side, of
		 * the cylinder */
		{700, {0xe6, 0, 10, 0, 3, 2, 18}, 0, 0, 0, {10, 0, 5, 2}},
		{512, {0x46, 0, 10, 0, 18, 2, 18}, 0, 0, 0, {11, 0, 1, 2}},
		{512, {0xe6, 0, 10, 0, 18, 2, 18}, 0, 0, 0, {10, 1, 1, 2}},
		{512, {0xe6, 4, 10, 1, 18, 2, 18}, 0x04, 0, 0, {11, 0, 1, 2}},
		/* past the end, without it */
		{9999, {0x46, 0, 10, 0, 18, 2, 18}, 0x40, 0x80, 0,
			{11, 0, 1, 2}},
		/* wrong cylinder, head, size, sector */
		{512, {0x46, 0, 9, 0, 1, 2, 18}, 0x40, 4, 0x10, {9, 0, 1, 2}},
		{512, {0x46, 0, 10, 1, 1, 2, 18}, 0x40, 4, 0, {10, 1, 1, 2}},
		{512, {0x46, 0, 10, 0, 1, 3, 18}, 0x40, 4, 0, {10, 0, 1, 3}},
		{512, {0x46, 0, 10, 0, 19, 2, 20}, 0x40, 4, 0, {10, 0, 19, 2}},
		{512, {0x06, 0, 10, 0, 1, 2, 18}, 0x40, 1, 0, {10, 0, 1, 2}},
		/* deleted; verify; a whole track */
		{9999, {0x4c, 0, 10, 0, 1, 2, 18}, 0, 0, 0x40, {10, 0, 2, 2}},
		{512, {0x56, 0, 10, 0, 1, 2, 18}, 0, 0, 0, {11, 0, 1, 2}},
		{512, {0xd6, 0, 10, 0, 1, 2, 18, 0, 3}, 0, 0, 0, {11, 0, 1, 2}},
		{512, {0x42, 0, 10, 0, 9, 2, 18}, 0, 0, 0, {10, 0, 2, 2}},
		/* a drive that is not there */
		{512, {0x46, 1, 0, 0, 1, 2, 18}, 0x41, 1, 0, {0, 0, 1, 2}},
	};
	struct floppy_rig t;
	uint8_t r[16];

	up(&t, 1440 << 10, true);
	start(&t, 0);
	seek(&t, 10);
	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
		dma_program(&t, 2, 0x46, DMA_AT, cases[i].dma);
		g_assert_cmpuint(
			command(&t, (const char *)cases[i].cmd, 9, r), ==, 7);
		g_assert_cmphex(r[0], ==, cases[i].st0);
		g_assert_cmphex(r[1], ==, cases[i].st1);
		g_assert_cmphex(r[2], ==, cases[i].st2);
		g_assert_cmpmem(r + 3, 4, cases[i].chrn, 4);
	}
	/* a masked channel is an overrun */
	out(&t, 10, 6);
	CMD(&t, r, 0x46, 0, 10, 0, 1, 2, 18, 0, 0);
	g_assert_cmphex(r[1], ==, 0x10);
	/* write protected */
	CMD(&t, r, 0x45, 0, 10, 0, 1, 2, 18, 0, 0);
	g_assert_cmphex(r[1], ==, 2);
	CMD(&t, r, 4, 0);
	g_assert_cmphex(r[0], ==, 0x68);
	down(&t);
}

static void test_write_format(void)
{
	struct floppy_rig t;
	uint8_t r[16], buf[2048], ids[18 * 4];

	/* 100 sectors short: it grows where it is written */
	up(&t, (1440 << 10) - 100 * 512, false);
	start(&t, 0);
	seek(&t, 3);
	memset(buf, 0xa5, sizeof(buf));
	bus_dma_write(t.r.b.bus, DMA_AT, buf, sizeof(buf));
	dma_program(&t, 2, 0x4a, DMA_AT, 1300);
	CMD(&t, r, (char)0xc5, 0, 3, 0, 17, 2, 18, 0x1b, 0);
	g_assert_cmphex(r[0] | r[1] | r[2], ==, 0);
	g_assert_cmpuint(r[4], ==, 1);
	blk_pread(t.disc, buf, 2048, (3 * 36 + 16) * 512);
	g_assert_cmphex(buf[1299], ==, 0xa5);
	g_assert_cmphex(buf[1300], ==, 0); /* the rest of the sector */
	g_assert_cmpuint(rig_sector_number(buf + 1536), ==, 3 * 36 + 19);
	for (unsigned i = 0; i < 18; i++)
		memcpy(ids + 4 * i, (uint8_t[]){79, 1, i + 1, 2}, 4);
	bus_dma_write(t.r.b.bus, DMA_AT, ids, sizeof(ids));
	seek(&t, 79);
	dma_program(&t, 2, 0x4a, DMA_AT, sizeof(ids));
	g_assert_cmpuint(CMD(&t, r, 0x4d, 4, 2, 18, 0x54, (char)0xf6), ==, 7);
	g_assert_cmphex(r[0], ==, 4);
	g_assert_cmpuint(t.disc->size, ==, 1440 << 10);
	blk_pread(t.disc, buf, 512, (79 * 36 + 35) * 512);
	g_assert_cmphex(buf[511], ==, 0xf6);
	/* the next ID under the head */
	CMD(&t, r, 0x4a, 4);
	g_assert_cmphex(r[0], ==, 4);
	g_assert_cmpuint(r[3], ==, 79);
	CMD(&t, buf, 0x4a, 4);
	g_assert_cmpuint(buf[5], ==, r[5] + 1);
	down(&t);
}

static void test_scan(void)
{
	static const struct {
		uint8_t code, fill, st2;
	} cases[] = {
		{0x51, 70, 0x08}, /* sector 10's filling is 10 * 7 */
		{0x51, 71, 0x04},
		{0x51, 0xff, 0x08},
		{0x59, 71, 0},
		{0x59, 69, 0x04},
		{0x5d, 69, 0},
		{0x5d, 71, 0x04},
	};
	struct floppy_rig t;
	uint8_t r[16], buf[512];

	up(&t, 1440 << 10, true);
	start(&t, 0);
	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
		memset(buf, cases[i].fill, 512);
		/* the number at its start matches anything */
		memset(buf, 0xff, 4);
		bus_dma_write(t.r.b.bus, DMA_AT, buf, 512);
		dma_program(&t, 2, 0x4a, DMA_AT, 512);
		CMD(&t, r, (char)cases[i].code, 0, 0, 0, 11, 2, 11, 0x1b, 1);
		g_assert_cmphex(r[2], ==, cases[i].st2);
	}
	down(&t);
}

/* Without DMA each byte goes through the FIFO with an interrupt of its own. */
static void test_fifo(void)
{
	struct floppy_rig t;
	uint8_t r[16], buf[512];

	up(&t, 1440 << 10, false);
	start(&t, 0);
	CMD(&t, NULL, 3, (char)0xaf, 3);
	for (unsigned i = 0; i < 9; i++)
		fifo(&t, (const uint8_t[]){
				 0x46, 0, 0, 0, 5, 2, 5, 0x1b, 0xff}[i]);
	for (unsigned i = 0; i < 512; i++) {
		wait_irq(&t);
		g_assert_cmphex(in(&t, 0x3f4) & 0xf0, ==, 0xf0);
		buf[i] = in(&t, 0x3f5);
	}
	g_assert_cmpuint(rig_sector_number(buf), ==, 4);
	g_assert_cmpuint(result(&t, r), ==, 7);
	g_assert_cmphex(r[1], ==, 0x80); /* there is no terminal count */
	for (unsigned i = 0; i < 9; i++)
		fifo(&t, (const uint8_t[]){
				 0x45, 0, 0, 0, 5, 2, 5, 0x1b, 0xff}[i]);
	for (unsigned i = 0; i < 512; i++) {
		wait_irq(&t);
		wait_msr(&t, 0xf0, 0xb0);
		out(&t, 0x3f5, 0x3c);
	}
	g_assert_cmpuint(result(&t, r), ==, 7);
	blk_pread(t.disc, buf, 512, 4 * 512);
	g_assert_cmphex(buf[511], ==, 0x3c);
	down(&t);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/8237/modes", test_dma_modes);
	g_test_add_func("/8237/registers", test_dma_registers);
	g_test_add_func("/fdc/reset", test_reset);
	g_test_add_func("/fdc/change-line", test_change_line);
	g_test_add_func("/fdc/formats", test_formats);
	g_test_add_func("/fdc/read-ends", test_read_ends);
	g_test_add_func("/fdc/write-format", test_write_format);
	g_test_add_func("/fdc/scan", test_scan);
	g_test_add_func("/fdc/fifo", test_fifo);
	return g_test_run();
}
