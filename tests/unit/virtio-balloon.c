/*
 * virtio-balloon.c - the memory balloon driven through its rings: what goes
 * back to the host and what does not, page numbers of a hostile driver, both
 * ways to number its queues, statistics.
 */
#include "virtio-driver.h"

#include <sys/mman.h>

#include "dev/virtio/virtio_balloon.h"
#include "dev/virtio/virtio_ram.h"

#define PAGE	   4096u
#define F_STATS	   (1ull << 1)
#define F_OOM	   (1ull << 2)
#define F_POISON   (1ull << 4)
#define F_REPORT   (1ull << 5)
#define INFLATE	   0
#define DEFLATE	   1
#define STATS	   2
#define C_WANT	   0
#define C_ACTUAL   4
#define C_POISON   12
#define MAX_RUNS   64
#define FIRST	   0x600000u /* pages that are given away, from here on */
#define FIRST_PAGE (FIRST / PAGE)

struct run {
	uint64_t off, bytes;
};

struct rig {
	struct driver d;
	struct dev_ram ram;
	struct run run[MAX_RUNS];
	unsigned nruns;
};

/* As the machine does it, and noted. */
static void discard(void *opaque, uint64_t off, uint64_t bytes)
{
	struct rig *r = opaque;
	const struct bus_ram *ram = bus_ram(r->d.bus);

	g_assert_cmpuint(off % PAGE | bytes % PAGE, ==, 0);
	g_assert_cmpuint(off + bytes, <=, ram->bytes);
	g_assert_cmpint(madvise(ram->host + off, bytes, MADV_DONTNEED), ==, 0);
	if (r->nruns < MAX_RUNS)
		r->run[r->nruns++] = (struct run){off, bytes};
}

static void up(struct rig *r, uint64_t without)
{
	struct dev_host host = {0};

	*r = (struct rig){.ram = {discard, r}};
	host.ram = &r->ram;
	driver_open(&r->d, &virtio_balloon_class, &host);
	g_assert_true(
		driver_negotiate(&r->d, driver_offered(&r->d) & ~without));
	for (unsigned i = 0; i < 5; i++)
		driver_queue(&r->d, i, 128);
	driver_go(&r->d);
	memset(bus_ram(r->d.bus)->host + FIRST, 0xee, 0x800000);
}

static void down(struct rig *r)
{
	driver_close(&r->d);
}

static void config_put(struct rig *r, unsigned off, uint32_t v)
{
	bus_mmio_write(r->d.bus, NULL, r->d.device + off, 4, v);
}

static uint32_t config_get(struct rig *r, unsigned off)
{
	return (uint32_t)bus_mmio_read(r->d.bus, NULL, r->d.device + off, 4);
}

/* Offer one buffer, of a request that is answered at once. */
static void give(
	struct rig *r, unsigned queue, gpa_t at, uint32_t len, unsigned flags)
{
	uint32_t id, used;

	r->nruns = 0;
	driver_desc(&r->d, r->d.q[queue].desc, 0, at, len, flags, 0);
	driver_offer(&r->d, queue, 0);
	driver_kick(&r->d, queue);
	g_assert_true(driver_used(&r->d, queue, 0, &id, &used));
	g_assert_cmpuint(used, ==, 0);
}

static void give_pages(
	struct rig *r, unsigned queue, const uint32_t *pfn, unsigned n)
{
	wr(&r->d, DATA_BASE, pfn, n * sizeof(*pfn));
	give(r, queue, DATA_BASE, n * sizeof(*pfn), 0);
}

static bool page_is(struct rig *r, uint32_t page, uint8_t byte)
{
	const uint8_t *p = bus_ram(r->d.bus)->host + (uint64_t)page * PAGE;

	return p[0] == byte && !memcmp(p, p + 1, PAGE - 1);
}

static void expect_runs(struct rig *r, const struct run *want, unsigned n)
{
	g_assert_cmpuint(r->nruns, ==, n);
	for (unsigned i = 0; i < n; i++) {
		g_assert_cmphex(r->run[i].off, ==, want[i].off);
		g_assert_cmphex(r->run[i].bytes, ==, want[i].bytes);
	}
}

/* Runs are found in any order; what is no RAM is nothing. */
static void test_inflate(void)
{
	static const uint32_t pfn[] = {FIRST_PAGE + 9, FIRST_PAGE + 3,
		FIRST_PAGE + 2, 0xffffffff, FIRST_PAGE + 4, RAM_BYTES / PAGE,
		FIRST_PAGE + 3, FIRST_PAGE, 0xfe010, 0x100000};
	static const struct run runs[] = {{FIRST, PAGE},
		{FIRST + 2 * PAGE, 3 * PAGE}, {FIRST + 9 * PAGE, PAGE}};
	struct rig r;

	up(&r, 0);
	give_pages(&r, INFLATE, pfn, G_N_ELEMENTS(pfn));
	expect_runs(&r, runs, G_N_ELEMENTS(runs));
	for (uint32_t i = 0; i < 12; i++)
		g_assert_true(page_is(&r, FIRST_PAGE + i,
			i == 0 || (i >= 2 && i <= 4) || i == 9 ? 0 : 0xee));
	/* they come back by being used */
	give_pages(&r, DEFLATE, pfn, G_N_ELEMENTS(pfn));
	expect_runs(&r, NULL, 0);
	down(&r);
}

struct heard {
	struct bus_listener l;
	gpa_t gpa;
	size_t len;
	unsigned n;
};

static void hear(void *opaque, gpa_t gpa, size_t len)
{
	struct heard *h = opaque;

	h->gpa = gpa;
	h->len = len;
	h->n++;
}

/* Engines hear of pages that they hold code of; the dirty log has them all;
 * what lies under something else stays. */
static void test_others(void)
{
	static uint8_t rom[PAGE];
	static const uint32_t pfn[] = {
		FIRST_PAGE, FIRST_PAGE + 1, FIRST_PAGE + 2, FIRST_PAGE + 3};
	static const struct run around[] = {
		{FIRST, PAGE}, {FIRST + 2 * PAGE, 2 * PAGE}};
	struct bus_region over = {.name = "rom",
		.base = FIRST + PAGE,
		.size = PAGE,
		.prio = 1,
		.access = BUS_MAP_R,
		.host = rom};
	struct heard h = {.l = {.opaque = &h, .ram_written = hear}};
	uint64_t dirty[RAM_BYTES / PAGE / 64];
	_Atomic(uint8_t) *flags;
	struct rig r;

	up(&r, 0);
	flags = bus_page_flags(r.d.bus);
	bus_listen(r.d.bus, &h.l);
	bus_dirty_start(r.d.bus);
	give_pages(&r, INFLATE, pfn, 4);
	g_assert_cmpuint(h.n, ==, 0);
	flags[FIRST_PAGE + 2] |= BUS_PAGE_CODE;
	give_pages(&r, INFLATE, pfn, 4);
	g_assert_cmpuint(h.n, ==, 1);
	g_assert_cmphex(h.gpa, ==, FIRST);
	g_assert_cmphex(h.len, ==, 4 * PAGE);
	bus_dirty_fetch(r.d.bus, dirty);
	g_assert_cmphex(dirty[FIRST_PAGE / 64] & 31, ==, 15);
	bus_dirty_stop(r.d.bus);
	bus_unlisten(r.d.bus, &h.l);
	memset(bus_ram(r.d.bus)->host + FIRST, 0xee, 4 * PAGE);
	bus_lock(r.d.bus);
	bus_region_map(r.d.bus, &over);
	bus_unlock(r.d.bus);
	give_pages(&r, INFLATE, pfn, 4);
	expect_runs(&r, around, G_N_ELEMENTS(around));
	g_assert_true(page_is(&r, FIRST_PAGE + 1, 0xee));
	bus_lock(r.d.bus);
	bus_region_unmap(r.d.bus, &over);
	bus_unlock(r.d.bus);
	down(&r);
}

/* Buffers of any bounds: the whole pages in them. */
static void test_report(void)
{
	static const struct run two = {FIRST, 2u << 20};
	static const struct run inner = {FIRST + PAGE, PAGE};
	static const struct {
		uint64_t without;
		unsigned queue;
	} numbers[] = {{0, 3}, {0, 4}, {F_STATS, 2}, {F_POISON | F_OOM, 3}};
	struct rig r;

	for (unsigned i = 0; i < G_N_ELEMENTS(numbers); i++) {
		up(&r, numbers[i].without);
		give(&r, numbers[i].queue, FIRST, 2u << 20, D_WRITE);
		expect_runs(&r, &two, 1);
		give(&r, numbers[i].queue, FIRST + 1, 2 * PAGE + 5, D_WRITE);
		expect_runs(&r, &inner, 1);
		give(&r, numbers[i].queue, RAM_BYTES - 1, 0xfffff000, D_WRITE);
		expect_runs(&r, NULL, 0);
		down(&r);
	}
	/* a device without it has no such queue */
	up(&r, F_REPORT);
	driver_desc(&r.d, r.d.q[3].desc, 0, FIRST, PAGE, D_WRITE, 0);
	driver_offer(&r.d, 3, 0);
	driver_kick(&r.d, 3);
	g_assert_false(driver_used(&r.d, 3, 0, &(uint32_t){0}, &(uint32_t){0}));
	down(&r);
}

/* Free pages that hold a pattern keep it; zeros may come back as zeros. */
static void test_poison(void)
{
	static const struct run one = {FIRST, PAGE};
	const uint32_t pfn = FIRST_PAGE;
	struct rig r;

	up(&r, 0);
	config_put(&r, C_POISON, 0xaaaaaaaa);
	g_assert_cmphex(config_get(&r, C_POISON), ==, 0xaaaaaaaa);
	give(&r, 3, FIRST, PAGE, D_WRITE);
	expect_runs(&r, NULL, 0);
	g_assert_true(page_is(&r, FIRST_PAGE, 0xee));
	/* its driver writes the pattern when it takes them out */
	give_pages(&r, INFLATE, &pfn, 1);
	expect_runs(&r, &one, 1);
	config_put(&r, C_POISON, 0);
	give(&r, 3, FIRST, PAGE, D_WRITE);
	expect_runs(&r, &one, 1);
	down(&r);
	up(&r, F_POISON); /* then it says nothing */
	config_put(&r, C_POISON, 0xaaaaaaaa);
	g_assert_cmphex(config_get(&r, C_POISON), ==, 0);
	give(&r, 3, FIRST, PAGE, D_WRITE);
	expect_runs(&r, &one, 1);
	down(&r);
}

static struct virtio_balloon_view look(struct rig *r)
{
	struct virtio_balloon_view v;

	bus_lock(r->d.bus);
	virtio_balloon_look(r->d.dev, &v);
	bus_unlock(r->d.bus);
	return v;
}

static void want(struct rig *r, uint32_t pages)
{
	bus_lock(r->d.bus);
	virtio_balloon_want(r->d.dev, pages);
	bus_unlock(r->d.bus);
}

static void test_size(void)
{
	struct virtio_balloon_view v;
	struct rig r;
	unsigned msis;

	up(&r, 0);
	driver_msix(&r.d, 6);
	cput(&r.d, 0x10, 2, 0);
	msis = r.d.msis;
	want(&r, 100);
	g_assert_cmpuint(r.d.msis, ==, msis + 1);
	want(&r, 100); /* nothing new */
	g_assert_cmpuint(r.d.msis, ==, msis + 1);
	g_assert_cmpuint(config_get(&r, C_WANT), ==, 100);
	config_put(&r, C_WANT, 7); /* not the driver's */
	g_assert_cmpuint(config_get(&r, C_WANT), ==, 100);
	config_put(&r, C_ACTUAL, 60);
	v = look(&r);
	g_assert_true(v.driver && v.want == 100 && v.have == 60 && !v.told);
	config_put(&r, C_ACTUAL, 0xfffffff0);
	g_assert_cmpuint(look(&r).have, ==, RAM_BYTES / PAGE);
	/* the wish outlives a driver, what it did does not */
	cput(&r.d, 0x14, 1, 0);
	v = look(&r);
	g_assert_true(!v.driver && v.want == 100 && v.have == 0);
	down(&r);
}

static void test_offer(void)
{
	struct rig r;

	up(&r, 0);
	bus_lock(r.d.bus);
	virtio_balloon_without(r.d.dev, true, false);
	g_assert_cmphex(
		driver_offered(&r.d) & 0x3f, ==, F_STATS | F_POISON | F_REPORT);
	virtio_balloon_without(r.d.dev, false, true);
	g_assert_cmphex(driver_offered(&r.d) & 0x3f, ==, F_STATS | F_POISON);
	bus_unlock(r.d.bus);
	down(&r);
}

static void fill_stats(struct rig *r, uint64_t free, uint64_t faults)
{
	const struct {
		uint16_t tag;
		uint64_t value;
	} s[] = {{4, free}, {3, faults}, {999, 1}, {6, UINT64_MAX}};
	uint8_t buf[10 * G_N_ELEMENTS(s) + 7] = {0};

	for (unsigned i = 0; i < G_N_ELEMENTS(s); i++) {
		memcpy(buf + 10 * i, &s[i].tag, 2);
		memcpy(buf + 10 * i + 2, &s[i].value, 8);
	}
	wr(&r->d, DATA_BASE, buf, sizeof(buf));
	driver_desc(&r->d, r->d.q[STATS].desc, 0, DATA_BASE, sizeof(buf), 0, 0);
	driver_offer(&r->d, STATS, 0);
	driver_kick(&r->d, STATS);
}

/* The buffer comes back when somebody asks, and not before. */
static void test_stats(void)
{
	struct virtio_balloon_view v;
	uint32_t id, len;
	struct rig r;

	up(&r, 0);
	look(&r); /* there is no buffer yet */
	fill_stats(&r, 5000, 77);
	g_assert_false(driver_used(&r.d, STATS, 0, &id, &len));
	v = look(&r);
	g_assert_cmphex(v.told, ==, 1u << 4 | 1u << 3);
	g_assert_cmpuint(v.value[4], ==, 5000);
	g_assert_cmpuint(v.value[3], ==, 77);
	g_assert_true(v.at_ns && v.at_ns <= bus_host_ns());
	g_assert_true(driver_used(&r.d, STATS, 0, &id, &len));
	look(&r); /* it is still at work */
	g_assert_false(driver_used(&r.d, STATS, 0, &id, &len));
	fill_stats(&r, 6000, 78);
	g_assert_cmpuint(look(&r).value[4], ==, 6000);
	g_assert_true(driver_used(&r.d, STATS, 0, &id, &len));
	down(&r);
}

/* All of the address space, many times: bounded. */
static void test_hostile(void)
{
	uint32_t id, len;
	struct rig r;

	up(&r, 0);
	for (unsigned q = INFLATE; q <= 4; q++) {
		if (q == DEFLATE || q == STATS)
			continue;
		for (unsigned i = 0; i < 64; i++)
			driver_desc(&r.d, 0x800000, i, 0x700000, 0xffffffff,
				(q ? D_WRITE : 0) | (i < 63 ? D_NEXT : 0),
				i + 1);
		driver_desc(&r.d, r.d.q[q].desc, 0, 0x800000, 64 * 16,
			D_INDIRECT, 0);
		driver_offer(&r.d, q, 0);
		driver_kick(&r.d, q);
		g_assert_true(driver_used(&r.d, q, 1000, &id, &len));
	}
	/* more than fits one go: the rest follows */
	driver_desc(&r.d, r.d.q[3].desc, 0, FIRST, 8u << 20, D_WRITE, 0);
	for (unsigned i = 0; i < 100; i++)
		driver_offer(&r.d, 3, 0);
	driver_kick(&r.d, 3);
	for (unsigned i = 0; i < 100; i++)
		g_assert_true(driver_used(&r.d, 3, 5000, &id, &len));
	g_assert_cmpuint(look(&r).reported, >=, 800ull << 20);
	g_assert_cmpint(driver_status(&r.d), ==, 15);
	down(&r);
}

/* The two pieces of RAM, and what lies between. */
static void test_ram(void)
{
	static const uint64_t mib = 1 << 20, high = 4ull << 30;
	static const struct {
		gpa_t gpa;
		uint64_t len;
		unsigned n;
		struct run run[2];
	} rows[] = {
		{0, 16 * mib, 1, {{0, 8 * mib}}},
		{high, mib, 1, {{8 * mib, mib}}},
		{high + 7 * mib, 2 * mib, 1, {{15 * mib, mib}}},
		{0, high + mib, 2, {{0, 8 * mib}, {8 * mib, mib}}},
		{8 * mib, high - 8 * mib, 0, {{0}}},
		{high + 8 * mib, mib, 0, {{0}}},
		{UINT64_MAX - PAGE, PAGE, 0, {{0}}},
		{UINT64_MAX - 5, 3, 0, {{0}}},
		{mib, UINT64_MAX, 0, {{0}}},
		{mib + 1, 2 * PAGE - 2, 0, {{0}}},
	};
	struct rig r = {.ram = {discard, &r}};
	struct dev d = {.host.ram = &r.ram};

	d.host.bus = r.d.bus = bus_new(16 * mib, 8 * mib);
	bus_lock(r.d.bus);
	for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
		r.nruns = 0;
		virtio_ram_discard(&d, rows[i].gpa, rows[i].len);
		expect_runs(&r, rows[i].run, rows[i].n);
	}
	bus_unlock(r.d.bus);
	bus_free(r.d.bus);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/balloon/inflate", test_inflate);
	g_test_add_func("/balloon/others", test_others);
	g_test_add_func("/balloon/report", test_report);
	g_test_add_func("/balloon/poison", test_poison);
	g_test_add_func("/balloon/size", test_size);
	g_test_add_func("/balloon/offer", test_offer);
	g_test_add_func("/balloon/stats", test_stats);
	g_test_add_func("/balloon/hostile", test_hostile);
	g_test_add_func("/balloon/ram", test_ram);
	return g_test_run();
}
