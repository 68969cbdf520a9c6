/* dev-timer.c - 8254, RTC, HPET, ACPI power management. */
#include <poll.h>

#include <time.h>

#include "dev-board.h"
#include "dev/state.h"
#include "dev/timer/acpi_pm.h"
#include "dev/timer/hpet.h"
#include "dev/timer/i8254.h"
#include "dev/timer/mc146818.h"

static unsigned line_rises, line_level[BUS_NGSI];

static void line_set(void *opaque, unsigned n, bool level)
{
	if (level && !line_level[n])
		line_rises++;
	line_level[n] = level;
}

/* The board with lines that only count. */
static void board_lines(struct board *b, struct bus_irq *lines)
{
	board_init(b, 1);
	line_rises = 0;
	memset(line_level, 0, sizeof(line_level));
	for (unsigned i = 0; i < BUS_NGSI; i++)
		lines[i] = (struct bus_irq){.set = line_set, .n = i};
	b->host.gsi = lines;
}

static unsigned pit_count(struct board *b, unsigned ch)
{
	unsigned low;

	outb(b, 0x43, ch << 6);
	low = inb(b, 0x40 + ch);
	return low | inb(b, 0x40 + ch) << 8;
}

static uint8_t pit_status(struct board *b, unsigned ch)
{
	outb(b, 0x43, 0xe0 | 2u << ch);
	return inb(b, 0x40 + ch);
}

static void pit_load(struct board *b, unsigned ch, unsigned mode, uint16_t n)
{
	outb(b, 0x43, ch << 6 | 0x30 | mode << 1);
	outb(b, 0x40 + ch, n);
	outb(b, 0x40 + ch, n >> 8);
}

static void test_pit_mode0(void)
{
	struct bus_irq lines[BUS_NGSI];
	struct board b;
	unsigned a;

	board_lines(&b, lines);
	board_add(&b, "i8254");
	pit_load(&b, 0, 0, 11932); /* 10 ms */
	g_assert_cmphex(pit_status(&b, 0) & 0xbf, ==, 0x30);
	a = pit_count(&b, 0);
	g_assert_cmpuint(a, <=, 11932);
	g_assert_cmpuint(pit_count(&b, 0), <=, a);
	g_assert_cmpuint(line_rises, ==, 0);
	board_sleep(&b, 10500);
	g_assert_cmpuint(line_rises, ==, 1);
	g_assert_cmphex(pit_status(&b, 0), ==, 0xb0);
	g_assert_cmpuint(pit_count(&b, 0), >, 11932); /* wrapped, counts on */
	board_sleep(&b, 3000);
	g_assert_cmpuint(line_rises, ==, 1);
	board_fini(&b);
}

static void test_pit_periodic(void)
{
	struct bus_irq lines[BUS_NGSI];
	struct board b;
	uint64_t start;
	unsigned expect;

	board_lines(&b, lines);
	board_add(&b, "i8254");
	for (unsigned mode = 2; mode <= 3; mode++) {
		pit_load(&b, 0, mode, 1193); /* 1 ms */
		g_assert_cmphex(pit_status(&b, 0) & 0x3f, ==, 0x30 | mode << 1);
		line_rises = 0;
		start = bus_clock_ns(b.bus);
		board_sleep(&b, 20000);
		expect = (bus_clock_ns(b.bus) - start) / 1000000;
		/* a busy host may make ticks merge, never multiply */
		g_assert_cmpuint(line_rises, >, 0);
		g_assert_cmpuint(line_rises, <=, expect + 2);
		for (unsigned i = 0; i < 1000; i++) {
			g_assert_cmpuint(pit_count(&b, 0), <=, 1193);
			/* an odd count reaches 0 in mode 3 */
			if (mode == 2)
				g_assert_cmpuint(pit_count(&b, 0), >, 0);
		}
	}
	board_fini(&b);
}

static void test_pit_channel2(void)
{
	struct bus_irq lines[BUS_NGSI];
	struct board b;
	unsigned a, now;

	board_lines(&b, lines);
	board_add(&b, "i8254");
	outb(&b, 0x61, 0x00); /* gate low holds the count */
	pit_load(&b, 2, 0, 59659);
	g_assert_cmphex(inb(&b, 0x61) & 0x21, ==, 0);
	a = pit_count(&b, 2);
	board_sleep(&b, 300);
	g_assert_cmpuint(pit_count(&b, 2), ==, a);
	outb(&b, 0x61, 0x01);
	g_assert_cmphex(inb(&b, 0x61) & 0x21, ==, 0x01);
	board_sleep(&b, 51000);
	g_assert_cmphex(inb(&b, 0x61) & 0x21, ==, 0x21);
	/* mode 1 waits for the gate to rise */
	outb(&b, 0x61, 0x00);
	pit_load(&b, 2, 1, 59659);
	g_assert_cmphex(inb(&b, 0x61) & 0x20, ==, 0x20);
	board_sleep(&b, 300);
	g_assert_cmphex(inb(&b, 0x61) & 0x20, ==, 0x20);
	outb(&b, 0x61, 0x01);
	g_assert_cmphex(inb(&b, 0x61) & 0x20, ==, 0);
	board_sleep(&b, 51000);
	g_assert_cmphex(inb(&b, 0x61) & 0x20, ==, 0x20);
	/* the refresh bit toggles */
	now = a = inb(&b, 0x61) & 0x10;
	board_sleep(&b, 10);
	for (unsigned i = 0; i < 100000 && now == a; i++)
		now = inb(&b, 0x61) & 0x10;
	g_assert_cmpuint(now, !=, a);
	board_fini(&b);
}

static void test_pit_bcd_and_bytes(void)
{
	struct bus_irq lines[BUS_NGSI];
	struct board b;
	unsigned v;

	board_lines(&b, lines);
	board_add(&b, "i8254");
	outb(&b, 0x43, 0x35); /* channel 0, mode 2, BCD */
	outb(&b, 0x40, 0x00);
	outb(&b, 0x40, 0x00); /* 10000 */
	for (unsigned i = 0; i < 1000; i++) {
		v = pit_count(&b, 0);
		g_assert_cmpuint(v & 15, <=, 9);
		g_assert_cmpuint(v >> 4 & 15, <=, 9);
		g_assert_cmpuint(v >> 12, <=, 9);
	}
	outb(&b, 0x43, 0x90); /* channel 2, low byte only, mode 0 */
	outb(&b, 0x61, 0);
	outb(&b, 0x42, 0x55);
	g_assert_cmphex(inb(&b, 0x42), ==, 0x55);
	g_assert_cmphex(inb(&b, 0x42), ==, 0x55);
	/* latched until read */
	outb(&b, 0x43, 0xe8 & ~0x20);
	g_assert_cmphex(inb(&b, 0x42) & 0x3f, ==, 0x10); /* status first */
	g_assert_cmphex(inb(&b, 0x42), ==, 0x55);
	board_fini(&b);
}

/* A new count in mode 2 takes effect when the old has run out. */
static void test_pit_reload(void)
{
	struct bus_irq lines[BUS_NGSI];
	struct board b;
	bool seen_null = false;

	board_lines(&b, lines);
	board_add(&b, "i8254");
	pit_load(&b, 0, 2, 59659); /* 50 ms */
	board_sleep(&b, 1000);
	outb(&b, 0x40, 0x00);
	outb(&b, 0x40, 0x01);
	seen_null = pit_status(&b, 0) & 0x40;
	g_assert_true(seen_null);
	g_assert_cmpuint(pit_count(&b, 0), >, 256);
	board_sleep(&b, 51000);
	g_assert_cmpuint(pit_count(&b, 0), <=, 256);
	g_assert_cmphex(pit_status(&b, 0) & 0x40, ==, 0);
	board_fini(&b);
}

/* ---- RTC ---- */

static uint8_t cmos(struct board *b, uint8_t a)
{
	outb(b, 0x70, a);
	return inb(b, 0x71);
}

static void cmos_set(struct board *b, uint8_t a, uint8_t v)
{
	outb(b, 0x70, a);
	outb(b, 0x71, v);
}

static unsigned bcd(uint8_t v)
{
	return (v >> 4) * 10 + (v & 15);
}

static void test_rtc_time(void)
{
	struct bus_irq lines[BUS_NGSI];
	struct board b;
	time_t now = time(NULL);
	struct tm tm, got = {0};

	board_lines(&b, lines);
	board_add(&b, "mc146818");
	gmtime_r(&now, &tm);
	g_assert_cmphex(cmos(&b, 0x0b), ==, 0x02);
	g_assert_cmphex(cmos(&b, 0x0d), ==, 0x80);
	got.tm_sec = bcd(cmos(&b, 0));
	got.tm_min = bcd(cmos(&b, 2));
	got.tm_hour = bcd(cmos(&b, 4));
	got.tm_mday = bcd(cmos(&b, 7));
	got.tm_mon = bcd(cmos(&b, 8)) - 1;
	got.tm_year = bcd(cmos(&b, 9)) + bcd(cmos(&b, 0x32)) * 100 - 1900;
	g_assert_cmpint(timegm(&got) - now, <=, 1);
	g_assert_cmpint(timegm(&got) - now, >=, 0);
	g_assert_cmpuint(cmos(&b, 6), ==, tm.tm_wday + 1);
	/* set it: 23:59:59, 12-hour binary */
	cmos_set(&b, 0x0b, 0x84);
	cmos_set(&b, 0, 59);
	cmos_set(&b, 2, 59);
	cmos_set(&b, 4, 0x80 | 11);
	cmos_set(&b, 7, 31);
	cmos_set(&b, 8, 12);
	cmos_set(&b, 9, 99);
	cmos_set(&b, 0x32, 19);
	g_assert_cmpuint(cmos(&b, 0), ==, 59);
	cmos_set(&b, 0x0b, 0x04);
	g_assert_cmpuint(cmos(&b, 0), ==, 59);
	board_sleep(&b, 600000);
	g_assert_cmpuint(cmos(&b, 0), ==, 0);
	g_assert_cmpuint(cmos(&b, 4), ==, 12);
	g_assert_cmpuint(cmos(&b, 9), ==, 0);
	g_assert_cmpuint(cmos(&b, 0x32), ==, 20);
	g_assert_cmpuint(cmos(&b, 7), ==, 1);
	board_fini(&b);
}

/* Years that the host's clock has no nanoseconds for. */
static void test_rtc_far(void)
{
	static const struct {
		uint8_t century, year, is_century, is_year;
	} t[] = {{0x22, 0x00, 0x22, 0x00}, {0x99, 0x99, 0x22, 0x55},
		{0x00, 0x00, 0x19, 0x70}, {0xff, 0xff, 0x22, 0x55}};
	struct bus_irq lines[BUS_NGSI];
	struct board b;
	struct dev *d;

	board_lines(&b, lines);
	d = board_add(&b, "mc146818");
	cmos_set(&b, 8, 1);
	cmos_set(&b, 7, 2);
	for (unsigned i = 0; i < G_N_ELEMENTS(t); i++) {
		g_autoptr(GByteArray) a = g_byte_array_new();
		char err[128] = "";
		struct state_in in = {.bus = b.bus, .err = err, .errsize = 128};

		cmos_set(&b, 0x0b, 0x82);
		cmos_set(&b, 9, t[i].year);
		cmos_set(&b, 0x32, t[i].century);
		cmos_set(&b, 0x0b, 0x02);
		g_assert_cmphex(cmos(&b, 9), ==, t[i].is_year);
		g_assert_cmphex(cmos(&b, 0x32), ==, t[i].is_century);
		bus_lock(b.bus);
		g_assert_cmpint(dev_save(d, a, err, sizeof(err)), ==, 0);
		in.p = a->data;
		in.n = a->len;
		g_assert_cmpint(dev_load(d, &in), ==, 0);
		bus_unlock(b.bus);
		g_assert_cmphex(cmos(&b, 0x32), ==, t[i].is_century);
	}
	board_fini(&b);
}

static void test_rtc_interrupts(void)
{
	struct bus_irq lines[BUS_NGSI];
	struct board b;

	board_lines(&b, lines);
	board_add(&b, "mc146818");
	cmos(&b, 0x0c);
	cmos_set(&b, 0x0b, 0x42); /* 1024 Hz */
	board_sleep(&b, 3000);
	g_assert_cmpuint(line_level[8], ==, 1);
	g_assert_cmphex(cmos(&b, 0x0c) & 0xc0, ==, 0xc0);
	g_assert_cmpuint(line_level[8], ==, 0);
	cmos_set(&b, 0x0b, 0x02);
	board_sleep(&b, 2000);
	g_assert_cmpuint(line_level[8], ==, 0);
	g_assert_cmphex(cmos(&b, 0x0c) & 0xc0, ==, 0x40);
	/* alarm with "don't care" everywhere: each second */
	cmos_set(&b, 1, 0xff);
	cmos_set(&b, 3, 0xff);
	cmos_set(&b, 5, 0xff);
	cmos_set(&b, 0x0b, 0x32);
	for (unsigned i = 0; i < 11 && !line_level[8]; i++)
		board_sleep(&b, 100000);
	g_assert_cmphex(cmos(&b, 0x0c) & 0xb0, ==, 0xb0);
	board_fini(&b);
}

static void test_rtc_cmos(void)
{
	struct bus_irq lines[BUS_NGSI];
	struct board b;
	struct dev *d;

	board_lines(&b, lines);
	d = board_add(&b, "mc146818");
	mc146818_set_memory(d, 512 << 20, 5ull << 30);
	mc146818_set_cpus(d, 8);
	mc146818_set_boot(d, (const uint8_t[]){3, 2, 0}, true);
	g_assert_cmphex(cmos(&b, 0x15) | cmos(&b, 0x16) << 8, ==, 640);
	g_assert_cmphex(cmos(&b, 0x17) | cmos(&b, 0x18) << 8, ==, 0xffff);
	g_assert_cmphex(
		cmos(&b, 0x34) | cmos(&b, 0x35) << 8, ==, (496 << 20) >> 16);
	g_assert_cmphex(
		cmos(&b, 0x5b) | cmos(&b, 0x5c) << 8 | cmos(&b, 0x5d) << 16, ==,
		(5ull << 30) >> 16);
	g_assert_cmphex(cmos(&b, 0x5f), ==, 7);
	g_assert_cmphex(cmos(&b, 0x3d), ==, 0x23);
	g_assert_cmphex(cmos(&b, 0x38), ==, 0x01);
	g_assert_cmphex(cmos(&b, 0x10), ==, 0);
	cmos_set(&b, 0x0f, 0x0a);
	bus_lock(b.bus);
	d->cls->reset(d);
	bus_unlock(b.bus);
	g_assert_cmphex(cmos(&b, 0x0f), ==, 0x0a);
	board_fini(&b);
}

/* ---- HPET ---- */

static uint64_t hread(struct board *b, unsigned off, unsigned size)
{
	return bus_mmio_read(b->bus, NULL, HPET_BASE + off, size);
}

static void hwrite(struct board *b, unsigned off, unsigned size, uint64_t v)
{
	bus_mmio_write(b->bus, NULL, HPET_BASE + off, size, v);
}

static void test_hpet_counter(void)
{
	struct bus_irq lines[BUS_NGSI];
	struct board b;
	uint64_t a;

	board_lines(&b, lines);
	board_add(&b, "hpet");
	g_assert_cmphex(hread(&b, 0, 8), ==, 10000000ull << 32 | HPET_ID);
	g_assert_cmphex(hread(&b, 4, 4), ==, 10000000);
	hwrite(&b, 0xf0, 8, 0x123456789);
	g_assert_cmphex(hread(&b, 0xf0, 8), ==, 0x123456789);
	g_assert_cmphex(hread(&b, 0xf4, 4), ==, 1);
	hwrite(&b, 0x10, 4, 1);
	hwrite(&b, 0xf0, 8, 0); /* ignored while running */
	a = hread(&b, 0xf0, 8);
	g_assert_cmphex(a, >=, 0x123456789);
	board_sleep(&b, 1000);
	g_assert_cmpuint(hread(&b, 0xf0, 8) - a, >=, 100000);
	hwrite(&b, 0x10, 4, 0);
	a = hread(&b, 0xf0, 8);
	g_assert_cmpuint(hread(&b, 0xf0, 8), ==, a);
	board_fini(&b);
}

static void test_hpet_timers(void)
{
	struct bus_irq lines[BUS_NGSI];
	struct board b;

	board_lines(&b, lines);
	board_add(&b, "hpet");
	hwrite(&b, 0x10, 4, 1);
	/* timer 1: level, line 20, one shot */
	hwrite(&b, 0x120, 4, 20 << 9 | 4 | 2);
	g_assert_cmphex(
		hread(&b, 0x120, 8), ==, 0x00ff0000ull << 32 | 20 << 9 | 0x26);
	hwrite(&b, 0x128, 8, hread(&b, 0xf0, 8) + 100000);
	g_assert_cmpuint(line_level[20], ==, 0);
	board_sleep(&b, 1500);
	g_assert_cmpuint(line_level[20], ==, 1);
	g_assert_cmphex(hread(&b, 0x20, 4), ==, 2);
	hwrite(&b, 0x20, 4, 2);
	g_assert_cmpuint(line_level[20], ==, 0);
	g_assert_cmphex(hread(&b, 0x20, 4), ==, 0);
	/* timer 0: periodic, edge, line 16, the way drivers set it */
	line_rises = 0;
	hwrite(&b, 0x100, 4, 16 << 9 | 0x100 | 0x40 | 8 | 4);
	hwrite(&b, 0x108, 4, (uint32_t)hread(&b, 0xf0, 4) + 100000);
	hwrite(&b, 0x108, 4, 100000);
	board_sleep(&b, 10500);
	g_assert_cmpuint(line_rises, >, 0);
	g_assert_cmpuint(line_rises, <=, bus_clock_ns(b.bus) / 1000000);
	board_fini(&b);
}

/* A periodic timer that may not interrupt wakes nobody, but its comparator goes
 * on, and it interrupts in time once it may. */
static void test_hpet_quiet(void)
{
	struct bus_irq lines[BUS_NGSI];
	struct board b;
	struct pollfd due;
	uint64_t at, now;

	board_lines(&b, lines);
	board_add(&b, "hpet");
	due = (struct pollfd){.fd = bus_timers_fd(b.bus), .events = POLLIN};
	hwrite(&b, 0x100, 4, 16 << 9 | 0x100 | 0x40 | 8);
	hwrite(&b, 0x108, 4, 50000);
	hwrite(&b, 0x108, 4, 50000);
	hwrite(&b, 0x10, 4, 1);
	g_assert_cmpint(poll(&due, 1, 3), ==, 0);
	now = hread(&b, 0xf0, 8);
	at = hread(&b, 0x108, 8);
	g_assert_cmpuint(now, >=, 300000);
	g_assert_cmpuint(at, >, now);
	g_assert_cmpuint(at % 50000, ==, 0);
	line_rises = 0;
	hwrite(&b, 0x100, 4, 16 << 9 | 0x100 | 8 | 4);
	g_assert_cmpuint(hread(&b, 0x108, 8) % 50000, ==, 0);
	board_sleep(&b, 3000);
	g_assert_cmpuint(line_rises, >, 0);
	hwrite(&b, 0x100, 4, 16 << 9 | 0x100 | 8);
	line_rises = 0;
	board_sleep(&b, 2000);
	g_assert_cmpuint(line_rises, ==, 0);
	board_fini(&b);
}

/* What is due before a register is written has come, however late the host's
 * timer is. */
static void test_hpet_due(void)
{
	struct bus_irq lines[BUS_NGSI];
	struct board b;

	board_lines(&b, lines);
	board_add(&b, "hpet");
	hwrite(&b, 0x10, 4, 1);
	hwrite(&b, 0x120, 4, 17 << 9 | 4);
	hwrite(&b, 0x128, 8, hread(&b, 0xf0, 8) + 1000);
	hwrite(&b, 0x100, 4, 16 << 9 | 0x40 | 8 | 4);
	hwrite(&b, 0x108, 8, hread(&b, 0xf0, 8) + 1000);
	hwrite(&b, 0x108, 8, 50000000);
	g_usleep(100);
	line_rises = 0;
	hwrite(&b, 0x10, 4, 1);
	g_assert_cmpuint(line_rises, ==, 2);
	g_assert_cmpuint(hread(&b, 0x108, 8), >=, 50000000);
	board_sleep(&b, 1000);
	g_assert_cmpuint(line_rises, ==, 2);
	board_fini(&b);
}

static void test_hpet_legacy(void)
{
	struct bus_irq lines[BUS_NGSI];
	struct board b;
	struct dev *h;

	board_lines(&b, lines);
	h = board_add(&b, "hpet");
	b.host.gsi = hpet_gsi(h);
	board_add(&b, "i8254");
	pit_load(&b, 0, 2, 1193);
	board_sleep(&b, 5000);
	g_assert_cmpuint(line_rises, >, 0);
	hwrite(&b, 0x10, 4, 3); /* legacy replacement cuts the PIT off */
	line_rises = 0;
	board_sleep(&b, 5000);
	g_assert_cmpuint(line_rises, ==, 0);
	hwrite(&b, 0x100, 4, 4);
	hwrite(&b, 0x108, 8, hread(&b, 0xf0, 8) + 50000);
	board_sleep(&b, 1500);
	g_assert_cmpuint(line_rises, ==, 1);
	hwrite(&b, 0x10, 4, 1);
	board_sleep(&b, 3000);
	g_assert_cmpuint(line_rises, >, 0);
	board_fini(&b);
}

/* ---- ACPI ---- */

static void test_acpi(void)
{
	struct bus_irq lines[BUS_NGSI];
	struct board b;
	struct dev *d;
	uint32_t t;

	board_lines(&b, lines);
	d = board_add(&b, "acpi_pm");
	g_assert_cmphex(
		pci_config_read(b.host.pci, 0, 0x0b, 0, 4), ==, 0x71138086);
	g_assert_cmphex(
		pci_config_read(b.host.pci, 0, 0x0b, 0x58, 4), ==, 0x02000000);
	g_assert_cmphex(inl(&b, 0x608), ==, 0xffffffff);
	pci_config_write(b.host.pci, 0, 0x0b, 0x40, 4, 0x600 | 1);
	pci_config_write(b.host.pci, 0, 0x0b, 0x80, 1, 1);
	t = inl(&b, 0x608);
	g_assert_cmphex(t, <, 0x1000000);
	board_sleep(&b, 2000);
	g_assert_cmpuint((inl(&b, 0x608) - t) & 0xffffff, >=, 7158);
	/* ACPI on, power button */
	g_assert_cmphex(bus_io_read(b.bus, 0x604, 2), ==, 0);
	outb(&b, 0xb2, ACPI_PM_ENABLE);
	g_assert_cmphex(bus_io_read(b.bus, 0x604, 2), ==, 1);
	bus_io_write(b.bus, 0x602, 2, 0x100);
	bus_lock(b.bus);
	acpi_regs_power_button(acpi_pm_regs(d));
	bus_unlock(b.bus);
	g_assert_cmpuint(line_level[9], ==, 1);
	g_assert_cmphex(bus_io_read(b.bus, 0x600, 2), ==, 0x100);
	bus_io_write(b.bus, 0x600, 2, 0x100);
	g_assert_cmpuint(line_level[9], ==, 0);
	bus_io_write(b.bus, 0x60e, 2, 4);
	bus_lock(b.bus);
	acpi_regs_gpe(acpi_pm_regs(d), 2);
	bus_unlock(b.bus);
	g_assert_cmpuint(line_level[9], ==, 1);
	outb(&b, 0x60c, 4);
	g_assert_cmpuint(line_level[9], ==, 0);
	bus_io_write(b.bus, 0x604, 2, 5 << 10 | 0x2001);
	g_assert_cmpuint(b.poweroffs, ==, 0);
	bus_io_write(b.bus, 0x604, 2, ACPI_PM_S5_TYP << 10 | 0x2001);
	g_assert_cmpuint(b.poweroffs, ==, 1);
	/* nobody answers on the SMBus */
	pci_config_write(b.host.pci, 0, 0x0b, 0x90, 4, 0x700 | 1);
	pci_config_write(b.host.pci, 0, 0x0b, 0xd2, 1, 9);
	outb(&b, 0x702, 0x48);
	g_assert_cmphex(inb(&b, 0x700), ==, 4);
	outb(&b, 0x700, 0xff);
	g_assert_cmphex(inb(&b, 0x700), ==, 0);
	board_fini(&b);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/i8254/mode0", test_pit_mode0);
	g_test_add_func("/i8254/periodic", test_pit_periodic);
	g_test_add_func("/i8254/channel2", test_pit_channel2);
	g_test_add_func("/i8254/bcd", test_pit_bcd_and_bytes);
	g_test_add_func("/i8254/reload", test_pit_reload);
	g_test_add_func("/rtc/time", test_rtc_time);
	g_test_add_func("/rtc/far", test_rtc_far);
	g_test_add_func("/rtc/interrupts", test_rtc_interrupts);
	g_test_add_func("/rtc/cmos", test_rtc_cmos);
	g_test_add_func("/hpet/counter", test_hpet_counter);
	g_test_add_func("/hpet/timers", test_hpet_timers);
	g_test_add_func("/hpet/quiet", test_hpet_quiet);
	g_test_add_func("/hpet/due", test_hpet_due);
	g_test_add_func("/hpet/legacy", test_hpet_legacy);
	g_test_add_func("/acpi", test_acpi);
	return g_test_run();
}
