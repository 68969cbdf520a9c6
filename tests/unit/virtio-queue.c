/*
 * virtio-queue.c - transport and split rings, honest and hostile, with the
 * entropy device behind them: the simplest there is.
 */
#include "virtio-driver.h"

static void rng_up(struct driver *d, uint64_t features)
{
	struct dev_host host = {0};

	driver_open(d, &virtio_rng_class, &host);
	g_assert_true(driver_negotiate(d, features));
	driver_queue(d, 0, 8);
	driver_go(d);
	g_assert_cmpint(driver_status(d), ==, 15);
}

static void rng_again(struct driver *d, uint64_t features)
{
	g_assert_true(driver_negotiate(d, features));
	driver_queue(d, 0, 8);
	driver_go(d);
}

static void rng_expect(struct driver *d, uint32_t want_id, uint32_t want_len)
{
	uint32_t id, len;

	driver_kick(d, 0);
	g_assert_true(driver_used(d, 0, 1000, &id, &len));
	g_assert_cmpint(id, ==, want_id);
	g_assert_cmpint(len, ==, want_len);
}

static void test_features(void)
{
	struct dev_host host = {0};
	struct driver d;
	uint64_t offered;

	driver_open(&d, &virtio_rng_class, &host);
	g_assert_cmphex(
		pci_config_read(d.pci, 0, d.devfn, 0, 4), ==, 0x10051af4);
	g_assert_cmphex(d.device, ==, 0); /* no configuration, no capability */
	offered = driver_offered(&d);
	g_assert_cmphex(offered, ==, F_V1 | F_INDIRECT | F_EVENT);
	g_assert_false(driver_negotiate(&d, 0)); /* without VERSION_1 */
	g_assert_false(driver_negotiate(&d, F_V1 | 1ull << 40));
	g_assert_true(driver_negotiate(&d, F_V1));
	/* No way back and no change after FEATURES_OK. */
	cput(&d, 8, 4, 0);
	cput(&d, 12, 4, 0xffffffff);
	g_assert_cmphex(cget(&d, 12, 4), ==, 0);
	cput(&d, 0x14, 1, 0);
	g_assert_cmpint(driver_status(&d), ==, 0);
	driver_close(&d);
}

static void test_request(void)
{
	struct driver d;
	uint8_t a[64] = {0}, zero[64] = {0};

	rng_up(&d, F_V1);
	driver_desc(&d, d.q[0].desc, 3, DATA_BASE, 40, D_WRITE | D_NEXT, 5);
	driver_desc(&d, d.q[0].desc, 5, DATA_BASE + 4096, 24, D_WRITE, 0);
	driver_offer(&d, 0, 3);
	rng_expect(&d, 3, 64);
	rd(&d, DATA_BASE, a, 40);
	g_assert_cmpint(memcmp(a, zero, 40), !=, 0);
	rd(&d, DATA_BASE + 4096, a, 24);
	g_assert_cmpint(memcmp(a, zero, 24), !=, 0);
	/* INTx: level in the ISR, cleared by reading it */
	g_assert_cmpint(bus_mmio_read(d.bus, NULL, d.isr, 1), ==, 1);
	g_assert_cmpint(bus_mmio_read(d.bus, NULL, d.isr, 1), ==, 0);
	driver_close(&d);
}

static void test_wrap(void)
{
	struct driver d;

	rng_up(&d, F_V1 | F_EVENT);
	/* Far enough for all 16-bit indices to wrap. */
	for (unsigned i = 0; i < 70000; i++) {
		driver_desc(&d, d.q[0].desc, i % 8, DATA_BASE, 1, D_WRITE, 0);
		driver_offer(&d, 0, i % 8);
		if (i % 4 == 3)
			for (unsigned k = i - 3; k <= i; k++)
				rng_expect(&d, k % 8, 1);
	}
	driver_close(&d);
}

static void test_indirect(void)
{
	struct driver d;
	gpa_t table = DATA_BASE + 0x10000;

	rng_up(&d, F_V1 | F_INDIRECT);
	for (unsigned i = 0; i < 100; i++)
		driver_desc(&d, table, i, DATA_BASE + i * 100, 10,
			D_WRITE | (i < 99 ? D_NEXT : 0), i + 1);
	/* one plain buffer, then a table */
	driver_desc(&d, d.q[0].desc, 0, DATA_BASE, 7, D_WRITE | D_NEXT, 1);
	driver_desc(&d, d.q[0].desc, 1, table, 1600, D_INDIRECT, 0);
	driver_offer(&d, 0, 0);
	rng_expect(&d, 0, 1007);
	driver_close(&d);
}

static void test_msix(void)
{
	struct driver d;
	uint16_t flags = 1;

	rng_up(&d, F_V1);
	driver_msix(&d, 2);
	cput(&d, 0x16, 2, 0);
	cput(&d, 0x1a, 2, 1);
	g_assert_cmphex(cget(&d, 0x1a, 2), ==, 1);
	cput(&d, 0x10, 2, 77); /* there is no such vector */
	g_assert_cmphex(cget(&d, 0x10, 2), ==, 0xffff);
	driver_desc(&d, d.q[0].desc, 0, DATA_BASE, 8, D_WRITE, 0);
	driver_offer(&d, 0, 0);
	rng_expect(&d, 0, 8);
	g_assert_cmpint(d.msis, ==, 1);
	wr(&d, d.q[0].avail, &flags, 2); /* NO_INTERRUPT */
	driver_offer(&d, 0, 0);
	rng_expect(&d, 0, 8);
	g_assert_cmpint(d.msis, ==, 1);
	driver_close(&d);
}

static void test_event_idx(void)
{
	struct driver d;
	uint16_t event = 2, avail_event;

	rng_up(&d, F_V1 | F_EVENT);
	driver_msix(&d, 2);
	cput(&d, 0x16, 2, 0);
	cput(&d, 0x1a, 2, 1);
	wr(&d, d.q[0].avail + 4 + 16, &event, 2); /* used_event */
	driver_desc(&d, d.q[0].desc, 0, DATA_BASE, 8, D_WRITE, 0);
	for (unsigned i = 1; i <= 4; i++) {
		driver_offer(&d, 0, 0);
		rng_expect(&d, 0, 8);
		rd(&d, d.q[0].used + 4 + 64, &avail_event, 2);
		g_assert_cmpint(avail_event, ==, i);
		/* The first always (nothing known yet), then the third. */
		g_assert_cmpint(d.msis, ==, i < 3 ? 1 : 2);
	}
	driver_close(&d);
}

/* virtio 0.9.5 over the I/O BAR. */
static void test_legacy(void)
{
	struct dev_host host = {0};
	struct driver d;
	uint32_t id, len;

	driver_open(&d, &virtio_rng_class, &host);
	bus_io_write(d.bus, BAR_IO + 0x12, 1, 3);
	g_assert_cmphex(bus_io_read(d.bus, BAR_IO, 4), ==, 0x39000000);
	bus_io_write(d.bus, BAR_IO + 4, 4, 0);
	bus_io_write(d.bus, BAR_IO + 0x0e, 2, 0);
	g_assert_cmpint(bus_io_read(d.bus, BAR_IO + 0x0c, 2), ==, 8);
	bus_io_write(d.bus, BAR_IO + 8, 4, RING_BASE >> 12);
	g_assert_cmphex(bus_io_read(d.bus, BAR_IO + 8, 4), ==, RING_BASE >> 12);
	bus_io_write(d.bus, BAR_IO + 0x12, 1, 7);
	d.q[0].size = 8;
	d.q[0].desc = RING_BASE;
	d.q[0].avail = RING_BASE + 128;
	d.q[0].used = RING_BASE + 4096;
	driver_desc(&d, RING_BASE, 2, DATA_BASE, 16, D_WRITE, 0);
	driver_offer(&d, 0, 2);
	bus_io_write(d.bus, BAR_IO + 0x10, 2, 0);
	g_assert_true(driver_used(&d, 0, 1000, &id, &len));
	g_assert_cmpint(id, ==, 2);
	g_assert_cmpint(len, ==, 16);
	g_assert_cmpint(bus_io_read(d.bus, BAR_IO + 0x13, 1), ==, 1);
	g_assert_cmpint(bus_io_read(d.bus, BAR_IO + 0x13, 1), ==, 0);
	bus_io_write(d.bus, BAR_IO + 0x12, 1, 0);
	g_assert_cmpint(bus_io_read(d.bus, BAR_IO + 8, 4), ==, 0);
	driver_close(&d);
}

/* The window in configuration space. */
static void test_window(void)
{
	struct driver d;
	unsigned c;

	rng_up(&d, F_V1);
	c = d.cfg_cap;
	g_assert_cmpint(c, !=, 0);
	bus_lock(d.bus);
	pci_config_write(d.pci, 0, d.devfn, c + 4, 1, 4);
	pci_config_write(d.pci, 0, d.devfn, c + 8, 4, 0x14);
	pci_config_write(d.pci, 0, d.devfn, c + 12, 4, 1);
	g_assert_cmpint(pci_config_read(d.pci, 0, d.devfn, c + 16, 1), ==, 15);
	pci_config_write(d.pci, 0, d.devfn, c + 16, 1, 0);
	bus_unlock(d.bus);
	g_assert_cmpint(driver_status(&d), ==, 0);
	driver_close(&d);
}

/* ---- hostile rings ---- */

static void bad_loop(struct driver *d)
{
	driver_desc(d, d->q[0].desc, 0, DATA_BASE, 4, D_WRITE | D_NEXT, 1);
	driver_desc(d, d->q[0].desc, 1, DATA_BASE, 4, D_WRITE | D_NEXT, 0);
	driver_offer(d, 0, 0);
}

static void bad_head(struct driver *d)
{
	driver_offer(d, 0, 8);
}

static void bad_next(struct driver *d)
{
	driver_desc(d, d->q[0].desc, 0, DATA_BASE, 4, D_WRITE | D_NEXT, 900);
	driver_offer(d, 0, 0);
}

static void bad_index(struct driver *d)
{
	d->q[0].next = 2000;
	driver_offer(d, 0, 0);
}

static void bad_order(struct driver *d)
{
	driver_desc(d, d->q[0].desc, 0, DATA_BASE, 4, D_WRITE | D_NEXT, 1);
	driver_desc(d, d->q[0].desc, 1, DATA_BASE, 4, 0, 0);
	driver_offer(d, 0, 0);
}

static void bad_wrap_address(struct driver *d)
{
	driver_desc(d, d->q[0].desc, 0, -16ull, 4096, D_WRITE, 0);
	driver_offer(d, 0, 0);
}

static void bad_indirect_odd(struct driver *d)
{
	driver_desc(d, d->q[0].desc, 0, DATA_BASE, 17, D_INDIRECT, 0);
	driver_offer(d, 0, 0);
}

static void bad_indirect_empty(struct driver *d)
{
	driver_desc(d, d->q[0].desc, 0, DATA_BASE, 0, D_INDIRECT, 0);
	driver_offer(d, 0, 0);
}

static void bad_indirect_huge(struct driver *d)
{
	driver_desc(d, d->q[0].desc, 0, DATA_BASE, 0xfffffff0, D_INDIRECT, 0);
	driver_offer(d, 0, 0);
}

static void bad_indirect_next(struct driver *d)
{
	driver_desc(d, d->q[0].desc, 0, DATA_BASE, 16, D_INDIRECT | D_NEXT, 1);
	driver_offer(d, 0, 0);
}

static void bad_indirect_nested(struct driver *d)
{
	driver_desc(d, DATA_BASE, 0, DATA_BASE, 16, D_INDIRECT, 0);
	driver_desc(d, d->q[0].desc, 0, DATA_BASE, 16, D_INDIRECT, 0);
	driver_offer(d, 0, 0);
}

static void bad_indirect_loop(struct driver *d)
{
	for (unsigned i = 0; i < 4; i++)
		driver_desc(d, DATA_BASE, i, DATA_BASE, 1, D_WRITE | D_NEXT,
			(i + 1) % 4);
	driver_desc(d, d->q[0].desc, 0, DATA_BASE, 64, D_INDIRECT, 0);
	driver_offer(d, 0, 0);
}

static void bad_indirect_nowhere(struct driver *d)
{
	driver_desc(d, d->q[0].desc, 0, 1ull << 40, 64, D_INDIRECT, 0);
	driver_offer(d, 0, 0);
}

static const struct {
	const char *name;
	void (*make)(struct driver *d);
} bads[] = {
	{"loop", bad_loop},
	{"head", bad_head},
	{"next", bad_next},
	{"index", bad_index},
	{"order", bad_order},
	{"address", bad_wrap_address},
	{"indirect-odd", bad_indirect_odd},
	{"indirect-empty", bad_indirect_empty},
	{"indirect-huge", bad_indirect_huge},
	{"indirect-next", bad_indirect_next},
	{"indirect-nested", bad_indirect_nested},
	{"indirect-loop", bad_indirect_loop},
	{"indirect-nowhere", bad_indirect_nowhere},
};

/* Each asks for a reset, and after the reset all is well. */
static void test_hostile(void)
{
	struct driver d;

	rng_up(&d, F_V1 | F_INDIRECT);
	for (unsigned i = 0; i < G_N_ELEMENTS(bads); i++) {
		g_test_message("%s", bads[i].name);
		rng_again(&d, F_V1 | F_INDIRECT);
		bads[i].make(&d);
		driver_kick(&d, 0);
		g_assert_cmphex(driver_status(&d), ==, 15 | NEEDS_RESET);
		driver_kick(&d, 0);
		rng_again(&d, F_V1 | F_INDIRECT);
		driver_desc(&d, d.q[0].desc, 0, DATA_BASE, 8, D_WRITE, 0);
		driver_offer(&d, 0, 0);
		rng_expect(&d, 0, 8);
	}
	driver_close(&d);
}

/* Buffers and rings outside RAM lose what is written, no more. */
static void test_nowhere(void)
{
	struct driver d;
	struct dev_host host = {0};

	rng_up(&d, F_V1);
	driver_desc(&d, d.q[0].desc, 0, 1ull << 40, 100, D_WRITE, 0);
	driver_offer(&d, 0, 0);
	rng_expect(&d, 0, 100);
	driver_desc(&d, d.q[0].desc, 0, RAM_BYTES - 10, 100, D_WRITE, 0);
	driver_offer(&d, 0, 0);
	rng_expect(&d, 0, 100);
	driver_close(&d);

	driver_open(&d, &virtio_rng_class, &host);
	g_assert_true(driver_negotiate(&d, F_V1));
	cput(&d, 0x20, 8, 1ull << 50);
	cput(&d, 0x28, 8, -4ull);
	cput(&d, 0x30, 8, RAM_BYTES - 3);
	cput(&d, 0x1c, 2, 1);
	driver_go(&d);
	driver_kick(&d, 0);
	driver_kick(&d, 63);
	driver_close(&d);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/virtio/features", test_features);
	g_test_add_func("/virtio/request", test_request);
	g_test_add_func("/virtio/wrap", test_wrap);
	g_test_add_func("/virtio/indirect", test_indirect);
	g_test_add_func("/virtio/msix", test_msix);
	g_test_add_func("/virtio/event-idx", test_event_idx);
	g_test_add_func("/virtio/legacy", test_legacy);
	g_test_add_func("/virtio/window", test_window);
	g_test_add_func("/virtio/hostile", test_hostile);
	g_test_add_func("/virtio/nowhere", test_nowhere);
	return g_test_run();
}
