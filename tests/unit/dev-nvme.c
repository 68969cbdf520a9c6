/* dev-nvme.c - the NVMe controller, driven through its queues. */
#include "dev/storage/nvme.h"
#include "disk-rig.h"

#define MIB   (1u << 20)
#define BAR   0xfe000000u
#define MSIX  0xfe010000u
#define SQ(n) (0x100000u + (n)*0x10000u)
#define CQ(n) (SQ(n) + 0x8000u)
#define DATA  0x400000u
#define LIST  0x500000u
#define SIZE  8u /* entries of each queue */

struct host {
	struct rig r;
	struct blk *blk;
	unsigned devfn;
	struct {
		uint16_t tail, head;
		bool phase;
	} q[3];
	_Atomic(unsigned) msis;
	uint32_t result;
};

static uint32_t in(struct host *h, uint32_t off)
{
	return (uint32_t)bus_mmio_read(h->r.b.bus, NULL, BAR + off, 4);
}

static void out(struct host *h, uint32_t off, uint32_t v)
{
	bus_mmio_write(h->r.b.bus, NULL, BAR + off, 4, v);
}

static void config(struct host *h, unsigned off, unsigned size, uint32_t v)
{
	bus_lock(h->r.b.bus);
	pci_config_write(h->r.b.host.pci, 0, h->devfn, off, size, v);
	bus_unlock(h->r.b.bus);
}

static void count_msi(void *opaque, uint64_t addr, uint32_t data)
{
	((struct host *)opaque)->msis++;
}

static void enable(struct host *h)
{
	out(h, 0x24, (SIZE - 1) << 16 | (SIZE - 1));
	bus_mmio_write(h->r.b.bus, NULL, BAR + 0x28, 8, SQ(0));
	bus_mmio_write(h->r.b.bus, NULL, BAR + 0x30, 8, CQ(0));
	out(h, 0x14, 0x00460001);
	memset(h->q, 0, sizeof(h->q));
	for (unsigned i = 0; i < 3; i++) {
		uint8_t zero[4096] = {0};

		h->q[i].phase = true;
		bus_dma_write(h->r.b.bus, CQ(i), zero, sizeof(zero));
	}
}

static void up(struct host *h, bool readonly)
{
	struct pci_func *f;

	memset(h, 0, sizeof(*h));
	rig_init(&h->r);
	bus_msi_handler(h->r.b.bus, count_msi, h);
	h->blk = h->r.b.host.blk = rig_image(MIB, readonly);
	h->r.b.host.serial = "S1";
	h->r.b.host.pci_slot = 5;
	h->devfn = 5 << 3;
	board_add(&h->r.b, "nvme");
	f = pci_bus_func(h->r.b.host.pci, h->devfn);
	g_assert_cmphex(f->config[9] | f->config[10] << 8 | f->config[11] << 16,
		==, 0x010802);
	config(h, 0x10, 4, BAR);
	config(h, 0x14, 4, 0);
	config(h, 0x20, 4, MSIX);
	config(h, 4, 2, 6);
	enable(h);
}

static void down(struct host *h)
{
	board_fini(&h->r.b);
	blk_close(h->blk);
}

static void put(struct host *h, unsigned q, const uint32_t c[16])
{
	bus_dma_write(h->r.b.bus, SQ(q) + 64 * h->q[q].tail, c, 64);
	h->q[q].tail = (h->q[q].tail + 1) % SIZE;
}

/* The next completion: its status. */
static unsigned get(struct host *h, unsigned q)
{
	uint32_t e[4] = {0};

	RIG_WAIT((bus_dma_read(h->r.b.bus, CQ(q) + 16 * h->q[q].head, e, 16),
		(e[3] >> 16 & 1) == h->q[q].phase));
	h->q[q].head = (h->q[q].head + 1) % SIZE;
	if (!h->q[q].head)
		h->q[q].phase = !h->q[q].phase;
	out(h, 0x1004 + 8 * q, h->q[q].head);
	g_assert_cmpuint(e[2] >> 16, ==, q);
	h->result = e[0];
	return e[3] >> 17 & 0x7ff;
}

static unsigned go(struct host *h, unsigned q, const uint32_t c[16])
{
	put(h, q, c);
	out(h, 0x1000 + 8 * q, h->q[q].tail);
	return get(h, q);
}

#define GO(h, q, ...) go(h, q, (const uint32_t[16]){__VA_ARGS__})

static void make_queues(struct host *h)
{
	uint32_t more = (SIZE - 1) << 16;

	for (unsigned q = 1; q < 3; q++) {
		g_assert_cmphex(
			GO(h, 0, 5, [6] = CQ(q), [10] = q | more, [11] = 3), ==,
			0);
		g_assert_cmphex(GO(h, 0, 1, [6] = SQ(q), [10] = q | more,
					[11] = 1 | q << 16),
			==, 0);
	}
}

static void test_registers(void)
{
	struct host h;

	up(&h, false);
	g_assert_cmphex(in(&h, 0), ==, 0x140103ff);
	g_assert_cmphex(in(&h, 4), ==, 0x00400020);
	g_assert_cmphex(in(&h, 8), ==, 0x00010400);
	g_assert_cmphex(in(&h, 0x1c), ==, 1);
	g_assert_cmphex(in(&h, 0x28), ==, SQ(0));
	/* shutting down */
	out(&h, 0x14, 0x00464001);
	RIG_WAIT((in(&h, 0x1c) & 0xc) == 8);
	out(&h, 0x14, 0);
	g_assert_cmphex(in(&h, 0x1c), ==, 0);
	/* pages of 2 GiB: it cannot */
	out(&h, 0x14, 0x00460781);
	g_assert_cmphex(in(&h, 0x1c), ==, 2);
	down(&h);
}

static void test_identify(void)
{
	uint8_t b[4096];
	struct host h;

	up(&h, false);
	g_assert_cmphex(GO(&h, 0, 6, [6] = DATA, [10] = 1), ==, 0);
	bus_dma_read(h.r.b.bus, DATA, b, sizeof(b));
	g_assert_cmpmem(b + 4, 4, "S1  ", 4);
	g_assert_cmpuint(b[516], ==, 1);
	/* in two pieces, the second in another page */
	g_assert_cmphex(
		GO(&h, 0, 6,
			1, [6] = DATA + 4000, [8] = DATA + 0x4000, [10] = 0),
		==, 0);
	bus_dma_read(h.r.b.bus, DATA + 4000, b, 96);
	bus_dma_read(h.r.b.bus, DATA + 0x4000, b + 96, 4000);
	g_assert_cmpuint(b[1] << 8 | b[0], ==, MIB / 512);
	g_assert_cmpuint(b[130], ==, 9);
	g_assert_cmphex(GO(&h, 0, 6, 2, [6] = DATA), ==, 0x00b);
	g_assert_cmphex(GO(&h, 0, 6, 1, [6] = DATA, [10] = 3), ==, 0);
	bus_dma_read(h.r.b.bus, DATA, b, 4);
	g_assert_cmpmem(b, 2, "\1\10", 2);
	g_assert_cmphex(GO(&h, 0, 6, 1, [6] = DATA, [10] = 0x77), ==, 2);
	g_assert_cmphex(GO(&h, 0, 6, 1, [6] = DATA + 1, [10] = 0), ==, 0x13);
	g_assert_cmphex(GO(&h, 0, 0x7f), ==, 1);
	/* logs: errors, health */
	g_assert_cmphex(GO(&h, 0, 2, [6] = DATA, [10] = 1 | 31 << 16), ==, 0);
	bus_dma_read(h.r.b.bus, DATA, b, 128);
	g_assert_cmpuint(b[0], ==, 4);
	g_assert_cmpuint(b[12] >> 1, ==, 1);
	g_assert_cmphex(GO(&h, 0, 2, [6] = DATA, [10] = 2 | 127 << 16), ==, 0);
	g_assert_cmphex(
		GO(&h, 0, 2, [6] = DATA, [10] = 9 | 127 << 16), ==, 0x109);
	down(&h);
}

static void test_features(void)
{
	struct host h;

	up(&h, false);
	g_assert_cmphex(GO(&h, 0, 9, [10] = 7, [11] = 3 | 3 << 16), ==, 0);
	g_assert_cmphex(h.result, ==, 63 | 63 << 16);
	g_assert_cmphex(GO(&h, 0, 10, [10] = 6), ==, 0);
	g_assert_cmphex(h.result, ==, 1);
	g_assert_cmphex(GO(&h, 0, 9, [10] = 6, [11] = 0), ==, 0);
	g_assert_cmphex(GO(&h, 0, 10, [10] = 6), ==, 0);
	g_assert_cmphex(h.result, ==, 0);
	g_assert_cmphex(GO(&h, 0, 10, [10] = 6 | 1 << 8), ==, 0);
	g_assert_cmphex(h.result, ==, 1);
	g_assert_cmphex(GO(&h, 0, 9, [10] = 6 | 1u << 31), ==, 0x10d);
	g_assert_cmphex(GO(&h, 0, 9, [10] = 0x55), ==, 2);
	make_queues(&h);
	g_assert_cmphex(GO(&h, 0, 9, [10] = 7, [11] = 0), ==, 0x00c);
	down(&h);
}

static void test_queues(void)
{
	static const struct {
		uint32_t op, prp, cdw10, cdw11;
		unsigned status;
	} cases[] = {
		{5, DATA, 0 | 7 << 16, 1, 0x101},
		{5, DATA, 99 | 7 << 16, 1, 0x101},
		{5, DATA, 1 | 7 << 16, 1, 0x101}, /* is there */
		{5, DATA, 3 | 0 << 16, 1, 0x102},
		{5, DATA, 3 | 1024 << 16, 1, 0x102},
		{5, DATA, 3 | 7 << 16, 0, 0x002},
		{5, DATA + 512, 3 | 7 << 16, 1, 0x013},
		{5, DATA, 3 | 7 << 16, 3 | 99 << 16, 0x108},
		{1, DATA, 3 | 7 << 16, 1 | 9 << 16, 0x100},
		{1, DATA, 1 | 7 << 16, 1 | 1 << 16, 0x101},
		{4, 0, 1, 0, 0x10c}, /* its queue is still there */
		{0, 0, 9, 0, 0x101},
		{0, 0, 1, 0, 0},
		{4, 0, 1, 0, 0},
		{4, 0, 1, 0, 0x101},
	};
	struct host h;

	up(&h, false);
	make_queues(&h);
	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++)
		g_assert_cmphex(
			GO(&h, 0, cases[i].op, [6] = cases[i].prp,
				[10] = cases[i].cdw10, [11] = cases[i].cdw11),
			==, cases[i].status);
	/* a bell of no queue: an event, told when somebody asks */
	out(&h, 0x1000 + 8 * 9, 1);
	g_assert_cmphex(GO(&h, 0, 12), ==, 0);
	g_assert_cmphex(h.result, ==, 0x010000);
	/* and no other, until the log was read */
	put(&h, 0, (const uint32_t[16]){12});
	out(&h, 0x1000, h.q[0].tail);
	out(&h, 0x1000 + 8 * 2, 99);
	g_assert_cmphex(GO(&h, 0, 2, [6] = DATA, [10] = 1), ==, 0);
	g_assert_cmphex(get(&h, 0), ==, 0);
	g_assert_cmphex(h.result, ==, 0x010100);
	down(&h);
}

static void test_io(void)
{
	uint64_t list[40];
	uint8_t b[512];
	uint32_t range[4] = {0, 16, 32, 0};
	struct host h;

	up(&h, false);
	make_queues(&h);
	/* a page, two, a list: 20 KiB from byte 512 of a page on */
	for (unsigned i = 0; i < 40; i++)
		list[i] = DATA + 0x20000 + 0x2000 * i;
	bus_dma_write(h.r.b.bus, LIST, list, sizeof(list));
	g_assert_cmphex(GO(&h, 1, 2, 1, [6] = DATA, [10] = 5), ==, 0);
	bus_dma_read(h.r.b.bus, DATA, b, 4);
	g_assert_cmpuint(rig_sector_number(b), ==, 5);
	g_assert_cmphex(
		GO(&h, 1, 2,
			1, [6] = DATA + 512, [8] = LIST, [10] = 100, [12] = 39),
		==, 0);
	bus_dma_read(h.r.b.bus, DATA + 4096 - 512, b, 4);
	g_assert_cmpuint(rig_sector_number(b), ==, 106);
	bus_dma_read(h.r.b.bus, DATA + 0x24000 + 512, b, 4);
	g_assert_cmpuint(rig_sector_number(b), ==, 124);
	/* written, with FUA; compared */
	memset(b, 0x5a, sizeof(b));
	bus_dma_write(h.r.b.bus, DATA, b, 512);
	g_assert_cmphex(
		GO(&h, 2, 1, 1, [6] = DATA, [10] = 9, [12] = 1u << 30), ==, 0);
	memset(b, 0, sizeof(b));
	g_assert_cmpint(blk_pread(h.blk, b, 512, 9 * 512), ==, 0);
	g_assert_cmphex(b[100], ==, 0x5a);
	g_assert_cmphex(GO(&h, 2, 5, 1, [6] = DATA, [10] = 9), ==, 0);
	g_assert_cmphex(GO(&h, 2, 5, 1, [6] = DATA, [10] = 10), ==, 0x285);
	g_assert_cmphex(GO(&h, 2, 12, 1, [10] = 9, [12] = 100), ==, 0);
	g_assert_cmphex(GO(&h, 2, 0, UINT32_MAX), ==, 0);
	/* deallocated, zeroed */
	bus_dma_write(h.r.b.bus, DATA, range, sizeof(range));
	g_assert_cmphex(GO(&h, 1, 9, 1, [6] = DATA, [11] = 4), ==, 0);
	g_assert_cmpint(blk_pread(h.blk, b, 512, 47 * 512), ==, 0);
	g_assert_cmpuint(b[0], ==, 0);
	g_assert_cmpint(blk_pread(h.blk, b, 512, 48 * 512), ==, 0);
	g_assert_cmpuint(b[0], ==, 48);
	g_assert_cmphex(GO(&h, 1, 8, 1, [10] = 48, [12] = 7), ==, 0);
	g_assert_cmpint(blk_pread(h.blk, b, 512, 55 * 512), ==, 0);
	g_assert_cmpuint(b[0], ==, 0);
	down(&h);
}

static void test_io_refused(void)
{
	static const struct {
		uint32_t c[16];
		unsigned status;
	} cases[] = {
		{{2, 1, [6] = DATA, [10] = MIB / 512}, 0x080},
		{{2, 1, [6] = DATA, [10] = MIB / 512 - 1, [12] = 1}, 0x080},
		{{2, 1, [6] = DATA, [11] = 1}, 0x080},
		{{2, 2, [6] = DATA}, 0x00b},
		{{2 | 1 << 8, 1, [6] = DATA}, 0x002},
		{{2 | 1 << 14, 1, [6] = DATA}, 0x002},
		{{0x44, 1, [6] = DATA}, 0x001},
		{{2, 1, [6] = DATA + 2}, 0x013},
		{{2, 1, [6] = DATA, [8] = DATA + 4, [12] = 15}, 0x013},
		{{2, 1, [6] = DATA, [8] = LIST + 4, [12] = 99}, 0x013},
		{{1, 1, [6] = DATA}, 0x182},
		{{8, 1}, 0x182},
		{{9, 1, [6] = DATA, [11] = 4}, 0x182},
	};
	struct host h;

	up(&h, true);
	make_queues(&h);
	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++)
		g_assert_cmphex(go(&h, 1, cases[i].c), ==, cases[i].status);
	down(&h);
}

/* More commands than completions have room for; interrupts of both kinds. */
static void test_full(void)
{
	struct host h;

	up(&h, false);
	make_queues(&h);
	for (unsigned i = 0; i < SIZE - 1; i++)
		put(&h, 1, (const uint32_t[16]){2, 1, [6] = DATA});
	out(&h, 0x1008, h.q[1].tail);
	for (unsigned i = 0; i < SIZE - 1; i++)
		g_assert_cmphex(get(&h, 1), ==, 0);
	/* By message, when they are on. */
	{
		unsigned at =
			pci_config_read(h.r.b.host.pci, 0, h.devfn, 0x34, 1);

		while (pci_config_read(h.r.b.host.pci, 0, h.devfn, at, 1) !=
			0x11)
			at = pci_config_read(
				h.r.b.host.pci, 0, h.devfn, at + 1, 1);
		config(&h, at + 2, 2, 0x8000);
		bus_mmio_write(h.r.b.bus, NULL, MSIX + 12, 4, 0);
	}
	/* None comes if the completion is taken before. */
	put(&h, 1, (const uint32_t[16]){2, 1, [6] = DATA});
	out(&h, 0x1008, h.q[1].tail);
	RIG_WAIT(h.msis > 0);
	g_assert_cmphex(get(&h, 1), ==, 0);
	down(&h);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/nvme/registers", test_registers);
	g_test_add_func("/nvme/identify", test_identify);
	g_test_add_func("/nvme/features", test_features);
	g_test_add_func("/nvme/queues", test_queues);
	g_test_add_func("/nvme/io", test_io);
	g_test_add_func("/nvme/io-refused", test_io_refused);
	g_test_add_func("/nvme/full", test_full);
	return g_test_run();
}
