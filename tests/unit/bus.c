/* The bus: map priorities, DMA, ports, timers, events. */
#include <poll.h>
#include <string.h>

#include <glib.h>

#include "bus/bus.h"

#define MIB (1ull << 20)
#define GIB (1ull << 30)

static uint64_t dev_read(
	void *opaque, struct bus_cpu *who, uint64_t off, unsigned size)
{
	return 0x1122334455667788ull + off;
}

static void dev_write(void *opaque, struct bus_cpu *who, uint64_t off,
	unsigned size, uint64_t val)
{
	*(uint64_t *)opaque = val + (off << 32);
}

static const struct bus_mmio_ops dev_ops = {dev_read, dev_write};

static void test_ram(void)
{
	struct bus *b = bus_new(64 * MIB, 32 * MIB);
	uint8_t buf[8] = "abcdefg";

	g_assert_cmpint(bus_ram_offset(b, 0), ==, 0);
	g_assert_cmpint(bus_ram_offset(b, 32 * MIB), ==, -1);
	g_assert_cmpint(bus_ram_offset(b, 4 * GIB), ==, 32 * MIB);
	g_assert_cmpint(bus_ram_offset(b, 4 * GIB + 32 * MIB), ==, -1);
	g_assert_true(bus_dma_write(b, 4095, buf, 8));
	memset(buf, 0, 8);
	g_assert_true(bus_dma_read(b, 4095, buf, 8));
	g_assert_cmpstr((char *)buf, ==, "abcdefg");
	/* crossing into nothing: the part that exists is done */
	g_assert_false(bus_dma_read(b, 32 * MIB - 4, buf, 8));
	g_assert_cmpint(buf[7], ==, 0xff);
	g_assert_null(bus_dma_map(b, 32 * MIB - 4, 8));
	g_assert_nonnull(bus_dma_map(b, 32 * MIB - 8, 8));
	g_assert_null(bus_dma_map(b, ~0ull - 3, 8));
	g_assert_cmphex(bus_mmio_read(b, NULL, 0xf0000000, 4), ==, 0xffffffff);
	bus_free(b);
}

static void test_overlay(void)
{
	struct bus *b = bus_new(4 * MIB, 4 * MIB);
	uint64_t got = 0;
	uint8_t rom[0x10000];
	struct bus_region dev = {.name = "dev",
		.base = 0xa0000,
		.size = 0x20000,
		.prio = 1,
		.access = BUS_MAP_R | BUS_MAP_W,
		.ops = &dev_ops,
		.opaque = &got};
	struct bus_region shadow = {.name = "rom",
		.base = 0xf0000,
		.size = 0x10000,
		.prio = 2,
		.access = BUS_MAP_R,
		.host = rom};
	struct bus_page pg;
	struct bus_range r[4];

	memset(rom, 0x5a, sizeof(rom));
	bus_lock(b);
	bus_region_map(b, &dev);
	bus_region_map(b, &shadow);
	bus_unlock(b);
	bus_resolve(b, 0xa0123, &pg);
	g_assert_null(pg.read);
	g_assert_cmpint(pg.ram, ==, -1);
	g_assert_cmphex(bus_mmio_read(b, NULL, 0xa0001, 1), ==, 0x89);
	bus_mmio_write(b, NULL, 0xa0004, 2, 0x1beef);
	g_assert_cmphex(got, ==, 0x40000beefull);
	/* reads from ROM, writes to the RAM beneath */
	bus_resolve(b, 0xf0000, &pg);
	g_assert_true(pg.read == rom);
	g_assert_true(pg.write == bus_ram(b)->host + 0xf0000);
	g_assert_cmpint(pg.ram, ==, -1);
	g_assert_true(bus_dma_write(b, 0xf0010, "x", 1));
	bus_dma_read(b, 0xf0010, &got, 1);
	g_assert_cmphex(got & 0xff, ==, 0x5a);
	g_assert_null(bus_dma_map(b, 0xeffff, 2));
	bus_lock(b);
	bus_region_unmap(b, &shadow);
	bus_unlock(b);
	bus_dma_read(b, 0xf0010, &got, 1);
	g_assert_cmphex(got & 0xff, ==, 'x');
	bus_resolve(b, 0xf0000, &pg);
	g_assert_cmpint(pg.ram, ==, 0xf0000);
	bus_lock(b);
	g_assert_cmpuint(bus_ranges(b, r, 4), ==, 2);
	bus_region_map(b, &shadow);
	g_assert_cmpuint(bus_ranges(b, r, 4), ==, 4);
	bus_unlock(b);
	g_assert_cmphex(r[0].size, ==, 0xa0000);
	g_assert_cmphex(r[1].base, ==, 0xc0000);
	g_assert_cmphex(r[1].size, ==, 0x30000);
	g_assert_true(r[2].host == rom && !r[2].writable);
	g_assert_cmphex(r[3].size, ==, 3 * MIB);
	bus_free(b);
}

static uint32_t port_read(void *opaque, uint16_t port, unsigned size)
{
	return 0xa0 + (port & 0xf) + GPOINTER_TO_UINT(opaque);
}

static const struct bus_io_ops bytes_only = {.read = port_read};
static const struct bus_io_ops words = {.read = port_read, .sizes = 3};

static void test_ports(void)
{
	struct bus *b = bus_new(MIB, MIB);

	bus_lock(b);
	bus_io_claim(b, 0x100, 4, &bytes_only, NULL);
	g_assert_cmphex(bus_io_read(b, 0x100, 4), ==, 0xa3a2a1a0);
	g_assert_cmphex(bus_io_read(b, 0x102, 4), ==, 0xffffa3a2);
	bus_io_claim(b, 0x102, 2, &words, GUINT_TO_POINTER(0x100));
	g_assert_cmphex(bus_io_read(b, 0x102, 2), ==, 0x1a2);
	g_assert_cmphex(bus_io_read(b, 0x103, 2), ==, 0xffa3);
	bus_io_release(b, 0x102, 2, GUINT_TO_POINTER(0x100));
	g_assert_cmphex(bus_io_read(b, 0x102, 2), ==, 0xa3a2);
	g_assert_cmphex(bus_io_read(b, 0xffff, 4), ==, 0xffffffff);
	bus_unlock(b);
	bus_free(b);
}

static GString *fired;

static void fire(void *opaque)
{
	g_string_append(fired, opaque);
}

static void test_timers(void)
{
	struct bus *b = bus_new(MIB, MIB);
	struct bus_timer t[4];
	const char *names[] = {"a", "b", "c", "d"};
	uint64_t now;
	struct pollfd p = {.fd = bus_timers_fd(b), .events = POLLIN};

	fired = g_string_new("");
	bus_lock(b);
	now = bus_clock_ns(b);
	for (int i = 0; i < 4; i++) {
		bus_timer_init(&t[i], b, fire, (void *)(uintptr_t)names[i]);
		bus_timer_arm(&t[i], now + 4000 - i * 1000);
	}
	bus_timer_cancel(&t[2]);
	bus_timer_arm(&t[0], now + 1500);
	bus_unlock(b);
	g_assert_cmpint(poll(&p, 1, 5000), ==, 1);
	while (fired->len < 3)
		bus_timers_run(b);
	g_assert_cmpstr(fired->str, ==, "dab");
	g_string_free(fired, true);
	bus_lock(b);
	bus_clock_pause(b, true);
	now = bus_clock_ns(b);
	g_usleep(1000);
	g_assert_cmpuint(bus_clock_ns(b), ==, now);
	bus_clock_pause(b, false);
	g_assert_cmpuint(bus_clock_ns(b) - now, <, 1000000000);
	bus_unlock(b);
	bus_free(b);
}

static void *raiser(void *opaque)
{
	g_usleep(1000);
	bus_cpu_raise(opaque, BUS_EV_NMI);
	return NULL;
}

static void test_events(void)
{
	struct bus *b = bus_new(MIB, MIB);
	struct bus_cpu *c = bus_cpu_new(b, 7);
	GThread *t = g_thread_new("raiser", raiser, c);

	bus_cpu_wait(c, BUS_EV_NMI);
	g_thread_join(t);
	g_assert_cmphex(c->events, ==, BUS_EV_NMI);
	bus_cpu_clear(c, BUS_EV_NMI);
	g_assert_cmpint(bus_cpu_ack_interrupt(c), ==, -1);
	bus_free(b);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/bus/ram", test_ram);
	g_test_add_func("/bus/overlay", test_overlay);
	g_test_add_func("/bus/ports", test_ports);
	g_test_add_func("/bus/timers", test_timers);
	g_test_add_func("/bus/events", test_events);
	return g_test_run();
}
