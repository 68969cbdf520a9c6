/* dev-lsi.c - the LSI 53C895A: its SCRIPTS processor and the bus behind it. */
#include "dev/storage/lsi.h"
#include "disk-rig.h"

#define REGS 0xfe000000u
#define RAM  0xfe010000u
#define CODE 0x100000u
#define DATA 0x200000u

#define DSTAT  0x0c
#define ISTAT  0x14
#define DSP    0x2c
#define DSPS   0x30
#define SCRA   0x34
#define DIEN   0x39
#define SIST0  0x42
#define SIST1  0x43
#define CCNTL0 0x56

/* instructions */
#define SELECT_ATN(id) 0x41000000u | (id) << 16
#define MOVE(ph, n)    (uint32_t)(ph) << 24 | (n)
#define WAIT_DISC      0x48000000u
#define WAIT_RESELECT  0x50000000u
#define CLEAR_ACK      0x60000040u
#define JUMP	       0x80080000u
#define INT	       0x98080000u

enum { DO, DI, CMD, ST, MO = 6, MI };

struct host {
	struct rig r;
	struct dev *dev;
	struct blk *disk, *cd;
};

static uint32_t in(struct host *h, unsigned reg, unsigned size)
{
	return (uint32_t)bus_mmio_read(h->r.b.bus, NULL, REGS + reg, size);
}

static void out(struct host *h, unsigned reg, unsigned size, uint32_t v)
{
	bus_mmio_write(h->r.b.bus, NULL, REGS + reg, size, v);
}

static void up(struct host *h)
{
	struct scsi_conf c = {.id = "disk0"};
	unsigned devfn = 5 << 3;
	struct pci_bus *p;

	memset(h, 0, sizeof(*h));
	rig_init(&h->r);
	h->r.b.host.pci_slot = 5;
	h->dev = board_add(&h->r.b, "lsi53c895a");
	p = h->r.b.host.pci;
	bus_lock(h->r.b.bus);
	c.blk = h->disk = rig_image(1 << 20, false);
	g_assert_cmpint(lsi_attach(h->dev, 2, &c), ==, 0);
	g_assert_cmpint(lsi_attach(h->dev, 2, &c), ==, -EBUSY);
	g_assert_cmpint(lsi_attach(h->dev, 7, &c), ==, -EINVAL);
	c.cd = true;
	c.blk = h->cd = rig_image(1 << 20, true);
	g_assert_cmpint(lsi_attach(h->dev, 15, &c), ==, 0);
	pci_config_write(p, 0, devfn, 0x14, 4, REGS);
	pci_config_write(p, 0, devfn, 0x18, 4, RAM);
	pci_config_write(p, 0, devfn, 4, 2, 6);
	bus_unlock(h->r.b.bus);
}

static void down(struct host *h)
{
	board_fini(&h->r.b);
	blk_close(h->disk);
	blk_close(h->cd);
}

static void put(struct host *h, uint32_t at, const void *p, unsigned n)
{
	bus_dma_write(h->r.b.bus, at, p, n);
}

/* Run words of SCRIPTS until they interrupt; DSTAT without the FIFO's bit. */
static unsigned run_at(
	struct host *h, uint32_t at, const uint32_t *code, unsigned n)
{
	put(h, at, code, 4 * n);
	out(h, DSP, 4, at);
	RIG_WAIT(in(h, ISTAT, 1) & 3);
	return in(h, DSTAT, 1) & 0x7f;
}

#define RUN(h, ...)                                                            \
	run_at(h, CODE, (const uint32_t[]){__VA_ARGS__},                       \
		sizeof((const uint32_t[]){__VA_ARGS__}) / 4)

static void test_registers(void)
{
	struct host h;

	up(&h);
	/* as Linux's driver looks whether the chip is there */
	g_assert_cmphex(in(&h, DSTAT, 4) & 0xe2f0fffd, ==, 0x02000080);
	out(&h, SCRA, 4, 0x12345678);
	g_assert_cmphex(in(&h, SCRA + 1, 2), ==, 0x3456);
	/* the bus's reset, seen and told */
	out(&h, 0x01, 1, 8);
	g_assert_cmphex(in(&h, 0x0d, 1), ==, 2);
	g_assert_cmphex(in(&h, ISTAT, 1), ==, 2);
	g_assert_cmphex(in(&h, SIST0, 2), ==, 0x0002);
	g_assert_cmphex(in(&h, ISTAT, 1), ==, 0);
	out(&h, ISTAT, 1, 0x40);
	g_assert_cmphex(in(&h, SCRA, 4), ==, 0);
	/* the timer, of 217 us */
	out(&h, 0x49, 1, 1);
	RIG_WAIT((bus_timers_run(h.r.b.bus), in(&h, ISTAT, 1) == 2));
	g_assert_cmphex(in(&h, SIST1, 1), ==, 2);
	down(&h);
}

/* A command with data; what is in CDB, and how it goes on. */
static unsigned command(struct host *h, unsigned id, const uint8_t *cdb,
	unsigned ph, unsigned n)
{
	static const uint8_t identify = 0xc0;

	put(h, DATA, &identify, 1);
	put(h, DATA + 16, cdb, 10);
	return RUN(h, SELECT_ATN(id), 0, MOVE(MO, 1), DATA, MOVE(CMD, 10),
		DATA + 16, MOVE(ph, n), DATA + 0x1000, MOVE(ST, 1), DATA + 64,
		MOVE(MI, 1), DATA + 65, CLEAR_ACK, 0, WAIT_DISC, 0, INT, 77);
}

static void test_commands(void)
{
	static const uint8_t inquiry[10] = {0x12, 0, 0, 0, 36},
			     sense[10] = {3, 0, 0, 0, 18},
			     read[10] = {0x28, 0, 0, 0, 0, 9, 0, 0, 4},
			     write[10] = {0x2a, 0, 0, 0, 0, 20, 0, 0, 4};
	struct host h;
	uint8_t b[2048];

	up(&h);
	g_assert_cmphex(command(&h, 2, inquiry, DI, 36), ==, 4);
	g_assert_cmpuint(in(&h, DSPS, 4), ==, 77);
	bus_dma_read(h.r.b.bus, DATA + 0x1000, b, 36);
	g_assert_cmpmem(b + 8, 12, "VMESTE  DISK", 12);
	g_assert_cmphex(b[7], ==, 0x32);
	bus_dma_read(h.r.b.bus, DATA + 64, b, 2);
	g_assert_cmphex(b[0] | b[1], ==, 0);
	/* It was reset: the status comes instead of data; sense data wait. */
	g_assert_cmphex(command(&h, 2, read, DI, 2048), ==, 0);
	g_assert_cmphex(in(&h, SIST0, 1), ==, 0x80);
	g_assert_cmphex(RUN(&h, MOVE(ST, 1), DATA + 64, MOVE(MI, 1), DATA + 65,
				WAIT_DISC, 0, INT, 0),
		==, 4);
	bus_dma_read(h.r.b.bus, DATA + 64, b, 1);
	g_assert_cmphex(b[0], ==, 2);
	g_assert_cmphex(command(&h, 2, sense, DI, 18), ==, 4);
	bus_dma_read(h.r.b.bus, DATA + 0x1000, b, 18);
	g_assert_cmphex(b[2] << 8 | b[12], ==, 0x629);
	g_assert_cmphex(command(&h, 2, read, DI, 2048), ==, 4);
	bus_dma_read(h.r.b.bus, DATA + 0x1000, b, 2048);
	g_assert_cmpuint(rig_sector_number(b + 1536), ==, 12);
	g_assert_cmphex(command(&h, 2, write, DO, 2048), ==, 4);
	g_assert_cmpint(blk_pread(h.disk, b, 512, 23 * 512), ==, 0);
	g_assert_cmpuint(rig_sector_number(b), ==, 12);
	/* SeaBIOS: without ATN, and nothing where no data are */
	g_assert_cmphex(RUN(&h, 0x40020000, 0, MOVE(MO, 1), DATA, MOVE(CMD, 6),
				DATA + 128, MOVE(DO, 0), 0, MOVE(ST, 1),
				DATA + 64, MOVE(MI, 1), DATA + 65, INT, 5),
		==, 4);
	down(&h);
}

static void test_absent(void)
{
	struct host h;

	up(&h);
	/* Found when the bus is used; there DSP stands. */
	g_assert_cmphex(RUN(&h, SELECT_ATN(3), 0, 0x78340100, 0, MOVE(MO, 1),
				DATA, INT, 0),
		==, 0);
	g_assert_cmphex(in(&h, SIST0, 2), ==, 0x0400);
	g_assert_cmphex(in(&h, DSP, 4), ==, CODE + 24);
	g_assert_cmphex(in(&h, SCRA, 1), ==, 1);
	down(&h);
}

static void test_mismatch(void)
{
	static const uint8_t inquiry[10] = {0x12, 0, 0, 0, 20};
	struct host h;

	up(&h);
	out(&h, CCNTL0, 1, 0xc0);
	put(&h, CODE + 0x100, (const uint32_t[]){INT, 1}, 8);
	put(&h, CODE + 0x200, (const uint32_t[]){INT, 2}, 8);
	out(&h, 0xc0, 4, CODE + 0x100);
	out(&h, 0xc4, 4, CODE + 0x200);
	g_assert_cmphex(command(&h, 2, inquiry, DI, 36), ==, 4);
	g_assert_cmpuint(in(&h, DSPS, 4), ==, 2);
	g_assert_cmphex(in(&h, 0xcc, 4), ==, DATA + 0x1000 + 20);
	g_assert_cmpuint(in(&h, 0xc8, 4), ==, 16);
	g_assert_cmphex(in(&h, 0xd4, 4), ==, CODE + 24);
	g_assert_cmphex(in(&h, 0x0e, 1) & 7, ==, ST);
	down(&h);
}

/* ISTAT says what is connected; negotiated as far as it goes. */
static void test_messages(void)
{
	static const uint8_t sdtr[] = {0xc0, 0x20, 5, 1, 3, 1, 8, 99},
			     reset = 0x0c;
	uint8_t b[8];
	struct host h;

	up(&h);
	put(&h, DATA, sdtr, sizeof(sdtr));
	g_assert_cmphex(RUN(&h, SELECT_ATN(15), 0, MOVE(MO, 8), DATA,
				MOVE(MI, 5), DATA + 64, INT, 0),
		==, 4);
	bus_dma_read(h.r.b.bus, DATA + 64, b, 5);
	g_assert_cmpmem(b, 5, ((uint8_t[]){1, 3, 1, 10, 31}), 5);
	g_assert_cmphex(in(&h, ISTAT, 1), ==, 8);
	g_assert_cmphex(in(&h, 0x0e, 1) & 7, ==, CMD);
	put(&h, DATA, &reset, 1);
	g_assert_cmphex(
		RUN(&h, 0x58000008, 0, MOVE(MO, 1), DATA, WAIT_DISC, 0, INT, 0),
		==, 4);
	g_assert_cmphex(in(&h, ISTAT, 1), ==, 0);
	down(&h);
}

static void test_arithmetic(void)
{
	static const struct {
		unsigned op;
		uint8_t a, b, carry, want, carry_out;
	} cases[] = {
		{0, 0x12, 0x34, 0, 0x34, 0},
		{1, 0x81, 0, 1, 0x03, 1},
		{2, 0x12, 0x30, 0, 0x32, 0},
		{3, 0x12, 0x30, 0, 0x22, 0},
		{4, 0x12, 0x30, 0, 0x10, 0},
		{5, 0x03, 0, 1, 0x81, 1},
		{6, 0xff, 0x02, 1, 0x01, 1},
		{7, 0xff, 0x02, 1, 0x02, 1},
		{7, 0x10, 0x02, 0, 0x12, 0},
	};
	struct host h;

	up(&h);
	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
		uint32_t set = cases[i].carry ? 0x58000400 : 0x60000400;

		out(&h, SCRA, 1, cases[i].a);
		/* INT 1 if there is a carry, INT 2 if not */
		g_assert_cmphex(RUN(&h, set, 0,
					0x78340000 | cases[i].op << 24 |
						cases[i].b << 8,
					0, 0x98280000, 1, INT, 2),
			==, 4);
		g_assert_cmphex(in(&h, SCRA, 1), ==, cases[i].want);
		g_assert_cmpuint(
			in(&h, DSPS, 4), ==, cases[i].carry_out ? 1 : 2);
	}
	/* to SFBR, compared under a mask; SFBR as the operand */
	out(&h, SCRA, 1, 0x5a);
	g_assert_cmphex(RUN(&h, 0x72340000, 0, 0x980c0f50, 3, INT, 4), ==, 4);
	g_assert_cmpuint(in(&h, DSPS, 4), ==, 3);
	g_assert_cmphex(RUN(&h, 0x6a350000, 0, INT, 0), ==, 4);
	g_assert_cmphex(in(&h, SCRA + 1, 1), ==, 0x5a);
	down(&h);
}

static void test_memory(void)
{
	static const uint32_t words[] = {0x11223344, 0x55667788};
	uint32_t got[2];
	struct host h;

	up(&h);
	put(&h, DATA, words, 8);
	/* memory to memory, DSA-relative load, store; out of its own RAM */
	out(&h, 0x10, 4, DATA + 8);
	g_assert_cmphex(run_at(&h, RAM,
				(const uint32_t[]){0xc0000008, DATA, DATA + 100,
					0xf1340004, 0xfffffffc, 0xe0340002,
					DATA + 200, INT, 0},
				9),
		==, 4);
	bus_dma_read(h.r.b.bus, DATA + 100, got, 8);
	g_assert_cmpmem(got, 8, words, 8);
	g_assert_cmphex(in(&h, SCRA, 4), ==, 0x55667788);
	bus_dma_read(h.r.b.bus, DATA + 200, got, 4);
	g_assert_cmphex(got[0] & 0xffff, ==, 0x7788);
	/* a register by its address */
	g_assert_cmphex(RUN(&h, 0xc0000004, DATA, REGS + SCRA, INT, 0), ==, 4);
	g_assert_cmphex(in(&h, SCRA, 4), ==, 0x11223344);
	/* call and return, NOP, a jump that is relative */
	put(&h, CODE + 0x100, (const uint32_t[]){0x90080000, 0}, 8);
	g_assert_cmphex(RUN(&h, 0x88080000, CODE + 0x100, 0x80000000, 0,
				0x80880000, 8, INT, 1, INT, 9),
		==, 4);
	g_assert_cmpuint(in(&h, DSPS, 4), ==, 9);
	g_assert_cmphex(RUN(&h, 0xe1340005, DATA), ==, 1); /* illegal */
	down(&h);
}

static void test_waiting(void)
{
	struct host h;

	up(&h);
	/* without end: the host goes on, and can end it */
	put(&h, CODE, (const uint32_t[]){JUMP, CODE}, 8);
	out(&h, DSP, 4, CODE);
	g_assert_cmphex(in(&h, 0x15, 1), ==, 2);
	bus_timers_run(h.r.b.bus);
	out(&h, ISTAT, 1, 0x80);
	g_assert_cmphex(in(&h, DSTAT, 1), ==, 0x90);
	/* until it is signalled */
	put(&h, CODE, (const uint32_t[]){WAIT_RESELECT, CODE + 0x100}, 8);
	put(&h, CODE + 0x100, (const uint32_t[]){INT, 6}, 8);
	out(&h, DSP, 4, CODE);
	g_assert_cmphex(in(&h, ISTAT, 1), ==, 0);
	out(&h, ISTAT, 1, 0x20);
	g_assert_cmphex(in(&h, ISTAT, 1), ==, 0x21);
	g_assert_cmphex(in(&h, 0x1a, 1) & 0x40, ==, 0x40);
	g_assert_cmphex(in(&h, ISTAT, 1), ==, 1);
	g_assert_cmphex(in(&h, DSTAT, 1), ==, 0x84);
	/* on the fly */
	g_assert_cmphex(RUN(&h, 0x98180000, 0, INT, 0), ==, 4);
	g_assert_cmphex(in(&h, ISTAT, 1), ==, 4);
	out(&h, ISTAT, 1, 4);
	g_assert_cmphex(in(&h, ISTAT, 1), ==, 0);
	down(&h);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/lsi/registers", test_registers);
	g_test_add_func("/lsi/commands", test_commands);
	g_test_add_func("/lsi/absent", test_absent);
	g_test_add_func("/lsi/mismatch", test_mismatch);
	g_test_add_func("/lsi/messages", test_messages);
	g_test_add_func("/lsi/arithmetic", test_arithmetic);
	g_test_add_func("/lsi/memory", test_memory);
	g_test_add_func("/lsi/waiting", test_waiting);
	return g_test_run();
}
