/* dev-ich9.c - the ICH9's TCO watchdog and SMBus controller. */
#include "dev-board.h"
#include "dev/pci/ich9.h"
#include "dev/pci/ich9_smbus.h"

#define PM  0x600
#define TCO (PM + 0x60)
#define SMB 0x700
#define GCS (ICH9_RCBA + 0x3410)

/* Time leaps, and timers see it. */
static void leap(struct board *b, unsigned ms)
{
	bus_lock(b->bus);
	bus_clock_pause(b->bus, true);
	bus_clock_move(b->bus, bus_clock_ns(b->bus) + ms * 1000000ull, 0);
	bus_clock_pause(b->bus, false);
	bus_unlock(b->bus);
	bus_timers_run(b->bus);
}

static uint16_t tco(struct board *b, unsigned reg)
{
	return bus_io_read(b->bus, TCO + reg, 2);
}

static void tco_set(struct board *b, unsigned reg, uint16_t val)
{
	bus_io_write(b->bus, TCO + reg, 2, val);
}

static struct dev *tco_init(struct board *b)
{
	struct dev *d;

	board_init(b, 1);
	d = board_add(b, "ich9");
	bus_lock(b->bus);
	ich9_setup(d, PM);
	bus_unlock(b->bus);
	return d;
}

static void no_reboot(struct board *b, bool on)
{
	bus_mmio_write(b->bus, NULL, GCS, 4, on ? 0x20 : 0);
	g_assert_cmphex(
		bus_mmio_read(b->bus, NULL, GCS, 4) & 0x20, ==, on ? 0x20 : 0);
}

/* Ten ticks twice, then it bites; what says so outlives the reset. */
static void test_tco_bites(void)
{
	struct board b;
	struct dev *d = tco_init(&b);

	g_assert_cmphex(tco(&b, 0x12), ==, 4);
	tco_set(&b, 0x08, 0x0800);
	tco_set(&b, 0x12, 10);
	tco_set(&b, 0x00, 1);
	g_assert_cmpuint(tco(&b, 0), ==, 10);
	no_reboot(&b, false);
	leap(&b, 100000);
	g_assert_cmpuint(tco(&b, 0), ==, 10); /* it is halted */
	g_assert_cmphex(tco(&b, 4), ==, 0);
	tco_set(&b, 0x08, 0);
	leap(&b, 3000);
	g_assert_cmpuint(tco(&b, 0), <=, 5);
	tco_set(&b, 0x00, 1); /* fed */
	leap(&b, 5500);
	g_assert_cmphex(tco(&b, 4), ==, 0);
	leap(&b, 600);
	g_assert_cmphex(tco(&b, 4), ==, 8);
	g_assert_cmphex(tco(&b, 6), ==, 0);
	g_assert_cmpuint(b.watchdogs, ==, 0);
	tco_set(&b, 0x04, 8); /* seen, but not fed */
	g_assert_cmphex(tco(&b, 4), ==, 0);
	leap(&b, 6100);
	g_assert_cmpuint(b.watchdogs, ==, 1);
	bus_lock(b.bus);
	d->cls->reset(d);
	ich9_setup(d, PM);
	bus_unlock(b.bus);
	g_assert_cmphex(tco(&b, 4), ==, 0);
	g_assert_cmphex(tco(&b, 6), ==, 2);
	tco_set(&b, 6, 2);
	g_assert_cmphex(tco(&b, 6), ==, 0);
	board_fini(&b);
}

static void test_tco_no_reboot(void)
{
	struct board b;

	tco_init(&b);
	leap(&b, 60000);
	g_assert_cmphex(tco(&b, 4), ==, 8);
	g_assert_cmphex(tco(&b, 6), ==, 2);
	g_assert_cmpuint(b.watchdogs, ==, 0);
	/* its lock stays */
	tco_set(&b, 8, 0x1000);
	tco_set(&b, 8, 0);
	g_assert_cmphex(tco(&b, 8), ==, 0x1000);
	/* a byte leaves the other one alone */
	outb(&b, TCO + 0x13, 2);
	g_assert_cmphex(tco(&b, 0x12), ==, 0x204);
	board_fini(&b);
}

/* ---- SMBus ---- */

static void smb_init(struct board *b)
{
	tco_init(b);
	board_add(b, "ich9-smbus");
	bus_lock(b->bus);
	pci_config_write(b->host.pci, 0, 0xfb, 0x20, 4, SMB);
	pci_config_write(b->host.pci, 0, 0xfb, 0x04, 2, 1);
	bus_unlock(b->bus);
}

/* Status after a transaction, which is taken back. */
static uint8_t smb(struct board *b, uint8_t slave, uint8_t cmd, uint8_t count)
{
	uint8_t sts;

	outb(b, SMB + 4, slave);
	outb(b, SMB + 3, cmd);
	outb(b, SMB + 2, 0x40 | count);
	sts = inb(b, SMB) & ~0x40;
	outb(b, SMB, sts);
	return sts;
}

static uint8_t module_byte(struct board *b, unsigned n, uint8_t at)
{
	g_assert_cmphex(smb(b, 0xa1 | n << 1, at, 2 << 2), ==, 0x02);
	return inb(b, SMB + 5);
}

static void test_smbus_modules(void)
{
	struct board b;
	uint8_t sum = 0;

	smb_init(&b);
	g_assert_cmphex(
		pci_config_read(b.host.pci, 0, 0xfb, 0, 4), ==, 0x29308086);
	/* nobody at 0x30; 16 MiB are less than a module */
	g_assert_cmphex(smb(&b, 0x61, 0, 2 << 2), ==, 0x04);
	g_assert_cmphex(smb(&b, 0xa1, 0, 2 << 2), ==, 0x04);
	board_fini(&b);
	memset(&b, 0, sizeof(b));
	b.bus = bus_new(384 << 20, 3ull << 30);
	bus_lock(b.bus);
	b.host = (struct dev_host){
		.bus = b.bus, .pci = pci_bus_new(b.bus), .pci_slot = -1};
	bus_unlock(b.bus);
	board_add(&b, "ich9-smbus");
	bus_lock(b.bus);
	pci_config_write(b.host.pci, 0, 0xfb, 0x20, 4, SMB);
	pci_config_write(b.host.pci, 0, 0xfb, 0x04, 2, 1);
	bus_unlock(b.bus);
	/* 256 and 128 MiB of DDR2, sums right */
	g_assert_cmphex(module_byte(&b, 0, 2), ==, 8);
	g_assert_cmphex(module_byte(&b, 0, 31), ==, 0x40);
	g_assert_cmphex(module_byte(&b, 1, 31), ==, 0x20);
	for (unsigned i = 0; i < 63; i++)
		sum += module_byte(&b, 0, i);
	g_assert_cmphex(module_byte(&b, 0, 63), ==, sum);
	/* a word, and the byte behind it without an address */
	g_assert_cmphex(smb(&b, 0xa1, 2, 3 << 2), ==, 0x02);
	g_assert_cmphex(inb(&b, SMB + 5) | inb(&b, SMB + 6) << 8, ==, 0x0e08);
	g_assert_cmphex(smb(&b, 0xa1, 0, 1 << 2), ==, 0x02);
	g_assert_cmphex(inb(&b, SMB + 5), ==, 10);
	/* writing changes nothing */
	outb(&b, SMB + 5, 0x99);
	g_assert_cmphex(smb(&b, 0xa0, 2, 2 << 2), ==, 0x02);
	g_assert_cmphex(module_byte(&b, 0, 2), ==, 8);
	bus_lock(b.bus);
	dev_free(b.devs[0]);
	pci_bus_free(b.host.pci);
	bus_unlock(b.bus);
	bus_free(b.bus);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/tco/bites", test_tco_bites);
	g_test_add_func("/tco/no-reboot", test_tco_no_reboot);
	g_test_add_func("/smbus/modules", test_smbus_modules);
	return g_test_run();
}
