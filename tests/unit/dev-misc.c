/* dev-misc.c - fw_cfg, keyboard controller, port 0x92, rubbish everywhere. */
#include "dev-board.h"
#include "dev/input/i8042.h"
#include "dev/misc/fw_cfg.h"
#include "dev/misc/testdev.h"
#include "dev/misc/vmgenid.h"
#include "dev/pci/i440fx.h"

static void fw_select(struct board *b, uint16_t key)
{
	bus_io_write(b->bus, 0x510, 2, key);
}

static uint32_t fw_be32(struct board *b)
{
	uint32_t v = 0;

	for (unsigned i = 0; i < 4; i++)
		v = v << 8 | inb(b, 0x511);
	return v;
}

static void test_fw_cfg_ports(void)
{
	struct board b;
	struct dev *d;
	char name[56];
	uint32_t len;
	unsigned key;

	board_init(&b, 1);
	d = board_add(&b, "fw_cfg");
	fw_cfg_add_u16(d, FW_CFG_NB_CPUS, 4);
	g_assert_cmpint(fw_cfg_add_file(d, "etc/one", "1", 1), ==, 0);
	g_assert_cmpint(fw_cfg_add_file(d, "etc/two", "abc", 3), ==, 0);
	g_assert_cmpint(fw_cfg_add_file(d, "etc/one", "xy", 2), ==, 0);
	fw_select(&b, FW_CFG_SIGNATURE);
	g_assert_cmphex(fw_be32(&b), ==, 0x51454d55); /* QEMU */
	g_assert_cmphex(inb(&b, 0x511), ==, 0);	      /* past the end */
	fw_select(&b, FW_CFG_ID);
	g_assert_cmphex(inb(&b, 0x511), ==, 3);
	fw_select(&b, FW_CFG_NB_CPUS);
	g_assert_cmphex(inb(&b, 0x511), ==, 4);
	fw_select(&b, FW_CFG_FILE_DIR);
	g_assert_cmpuint(fw_be32(&b), ==, 2);
	len = fw_be32(&b);
	key = fw_be32(&b) >> 16;
	for (unsigned i = 0; i < sizeof(name); i++)
		name[i] = inb(&b, 0x511);
	g_assert_cmpstr(name, ==, "etc/one");
	g_assert_cmpuint(len, ==, 2);
	fw_select(&b, key);
	g_assert_cmpint(inb(&b, 0x511), ==, 'x');
	fw_select(&b, 0xbfff);
	g_assert_cmphex(inb(&b, 0x511), ==, 0);
	board_fini(&b);
}

static void fw_dma(
	struct board *b, uint32_t control, uint32_t len, uint64_t addr)
{
	struct {
		uint32_t control, len;
		uint64_t addr;
	} req = {GUINT32_TO_BE(control), GUINT32_TO_BE(len),
		GUINT64_TO_BE(addr)};

	bus_dma_write(b->bus, 0x1000, &req, sizeof(req));
	outl(b, 0x514, 0);
	outl(b, 0x518, GUINT32_TO_BE(0x1000));
}

static unsigned fw_written;

static void fw_was_written(void *opaque, const void *data, size_t len)
{
	fw_written++;
	g_assert_cmpmem(data, len, "aZZd", 4);
}

static void test_fw_cfg_dma(void)
{
	struct board b;
	struct dev *d;
	char buf[8];
	uint32_t status;

	board_init(&b, 1);
	d = board_add(&b, "fw_cfg");
	g_assert_cmphex(inl(&b, 0x514), ==, 0x554d4551);
	g_assert_cmphex(inl(&b, 0x518), ==, 0x47464320);
	fw_cfg_add_writable(d, "opt/w", "abcd", 4, fw_was_written, NULL);
	fw_dma(&b, 0x20 << 16 | 8 | 2, 6, 0x2000);
	bus_dma_read(b.bus, 0x1000, &status, 4);
	g_assert_cmphex(status, ==, 0);
	bus_dma_read(b.bus, 0x2000, buf, 6);
	g_assert_cmpmem(buf, 6, "abcd\0\0", 6);
	/* skip one, write two */
	bus_dma_write(b.bus, 0x2000, "ZZ", 2);
	fw_dma(&b, 0x20 << 16 | 8 | 4, 1, 0);
	fw_dma(&b, 16, 2, 0x2000);
	g_assert_cmpuint(fw_written, ==, 1);
	/* beyond the end, read-only item, no memory there */
	fw_dma(&b, 16, 2, 0x2000);
	bus_dma_read(b.bus, 0x1000, &status, 4);
	g_assert_cmphex(status, ==, GUINT32_TO_BE(1));
	fw_dma(&b, 8 | 16, 1, 0x2000);
	bus_dma_read(b.bus, 0x1000, &status, 4);
	g_assert_cmphex(status, ==, GUINT32_TO_BE(1));
	fw_dma(&b, 8 | 2, 0xffffffff, 0x2000);
	bus_dma_read(b.bus, 0x1000, &status, 4);
	g_assert_cmphex(status, ==, GUINT32_TO_BE(1));
	g_assert_cmpuint(fw_written, ==, 1);
	board_fini(&b);
}

/* ---- keyboard controller ---- */

static int kbc_read(struct board *b)
{
	return inb(b, 0x64) & 1 ? inb(b, 0x60) : -1;
}

static void test_i8042_controller(void)
{
	struct board b;

	board_init(&b, 1);
	board_add(&b, "i8042");
	g_assert_cmphex(inb(&b, 0x64) & 3, ==, 0);
	outb(&b, 0x64, 0xaa);
	g_assert_cmphex(kbc_read(&b), ==, 0x55);
	g_assert_cmphex(inb(&b, 0x64) & 4, ==, 4);
	outb(&b, 0x64, 0xab);
	g_assert_cmphex(kbc_read(&b), ==, 0);
	outb(&b, 0x64, 0x60);
	outb(&b, 0x60, 0x30);
	outb(&b, 0x64, 0x20);
	g_assert_cmphex(kbc_read(&b), ==, 0x30);
	/* loop for the mouse port */
	outb(&b, 0x64, 0xd3);
	outb(&b, 0x60, 0xa5);
	g_assert_cmphex(inb(&b, 0x64) & 0x21, ==, 0x21);
	g_assert_cmphex(kbc_read(&b), ==, 0xa5);
	/* A20 */
	outb(&b, 0x64, 0xd1);
	outb(&b, 0x60, 0xdd);
	g_assert_cmphex(bus_a20_mask(b.bus), ==, ~(1ull << 20));
	outb(&b, 0x64, 0xd0);
	g_assert_cmphex(kbc_read(&b) & 2, ==, 0);
	outb(&b, 0x64, 0xdf);
	g_assert_cmphex(bus_a20_mask(b.bus), ==, ~0ull);
	outb(&b, 0x64, 0xfe);
	g_assert_cmpuint(b.resets, ==, 1);
	board_fini(&b);
}

static void test_i8042_keyboard(void)
{
	struct board b;
	struct dev *d;

	board_init(&b, 1);
	d = board_add(&b, "i8042");
	outb(&b, 0x60, 0xff);
	g_assert_cmphex(kbc_read(&b), ==, 0xfa);
	g_assert_cmphex(kbc_read(&b), ==, 0xaa);
	g_assert_cmpint(kbc_read(&b), ==, -1);
	outb(&b, 0x60, 0xf2);
	g_assert_cmphex(kbc_read(&b), ==, 0xfa);
	g_assert_cmphex(kbc_read(&b), ==, 0xab);
	g_assert_cmphex(kbc_read(&b), ==, 0x41); /* 0x83 translated */
	outb(&b, 0x60, 0xed);
	g_assert_cmphex(kbc_read(&b), ==, 0xfa);
	outb(&b, 0x60, 0x07);
	g_assert_cmphex(kbc_read(&b), ==, 0xfa);
	bus_lock(b.bus);
	i8042_key(d, 0x1e, true); /* A */
	i8042_key(d, 0x1e, false);
	i8042_key(d, 0xcb, true); /* left */
	i8042_key(d, 0xcb, false);
	bus_unlock(b.bus);
	g_assert_cmphex(kbc_read(&b), ==, 0x1e);
	g_assert_cmphex(kbc_read(&b), ==, 0x9e);
	g_assert_cmphex(kbc_read(&b), ==, 0xe0);
	g_assert_cmphex(kbc_read(&b), ==, 0x4b);
	g_assert_cmphex(kbc_read(&b), ==, 0xe0);
	g_assert_cmphex(kbc_read(&b), ==, 0xcb);
	/* untranslated: set 2 */
	outb(&b, 0x64, 0x60);
	outb(&b, 0x60, 0x01);
	bus_lock(b.bus);
	i8042_key(d, 0x1e, false);
	bus_unlock(b.bus);
	g_assert_cmphex(kbc_read(&b), ==, 0xf0);
	g_assert_cmphex(kbc_read(&b), ==, 0x1c);
	/* a full queue still answers commands */
	bus_lock(b.bus);
	for (unsigned i = 0; i < 200; i++)
		i8042_key(d, 0x1e, true);
	bus_unlock(b.bus);
	outb(&b, 0x60, 0xee);
	while (inb(&b, 0x64) & 1)
		if (inb(&b, 0x60) == 0xee)
			break;
	g_assert_cmpint(kbc_read(&b), ==, -1);
	board_fini(&b);
}

/* Every make code survives set 2 and back. */
static void test_i8042_translation(void)
{
	struct board b;
	struct dev *d;

	board_init(&b, 1);
	d = board_add(&b, "i8042");
	for (unsigned code = 1; code < 0x59; code++) {
		bus_lock(b.bus);
		i8042_key(d, code, true);
		i8042_key(d, code, false);
		bus_unlock(b.bus);
		g_assert_cmphex(kbc_read(&b), ==, code);
		g_assert_cmphex(kbc_read(&b), ==, code | 0x80);
	}
	board_fini(&b);
}

static void set3_expect(
	struct board *b, struct dev *d, unsigned code, int make, int up)
{
	bus_lock(b->bus);
	i8042_key(d, code, true);
	i8042_key(d, code, false);
	bus_unlock(b->bus);
	g_assert_cmphex(kbc_read(b), ==, make);
	if (up) {
		g_assert_cmphex(kbc_read(b), ==, 0xf0);
		g_assert_cmphex(kbc_read(b), ==, make);
	}
	g_assert_cmpint(kbc_read(b), ==, -1);
}

static void kbd_send(struct board *b, uint8_t val)
{
	outb(b, 0x60, val);
	g_assert_cmphex(kbc_read(b), ==, 0xfa);
}

/* One byte a key, and types of keys. */
static void test_i8042_set3(void)
{
	struct board b;
	struct dev *d;

	board_init(&b, 1);
	d = board_add(&b, "i8042");
	outb(&b, 0x64, 0x60);
	outb(&b, 0x60, 0x01); /* not translated */
	kbd_send(&b, 0xf0);
	kbd_send(&b, 3);
	kbd_send(&b, 0xf0);
	kbd_send(&b, 0);
	g_assert_cmphex(kbc_read(&b), ==, 3);
	set3_expect(&b, d, 0x1e, 0x1c, false); /* A */
	set3_expect(&b, d, 0x2a, 0x12, true);  /* Shift */
	set3_expect(&b, d, 0xcb, 0x61, false); /* left */
	set3_expect(&b, d, I8042_KEY_PAUSE, 0x62, false);
	kbd_send(&b, 0xfa);
	set3_expect(&b, d, 0x1e, 0x1c, true);
	set3_expect(&b, d, 0xcb, 0x61, true);
	kbd_send(&b, 0xf9);
	set3_expect(&b, d, 0x2a, 0x12, false);
	kbd_send(&b, 0xfc);
	kbd_send(&b, 0x61);
	kbd_send(&b, 0x1c);
	kbd_send(&b, 0xf4);
	set3_expect(&b, d, 0xcb, 0x61, true);
	set3_expect(&b, d, 0x1e, 0x1c, true);
	set3_expect(&b, d, 0x30, 0x32, false);
	board_fini(&b);
}

static void mouse(struct board *b, uint8_t val)
{
	outb(b, 0x64, 0xd4);
	outb(b, 0x60, val);
	g_assert_cmphex(inb(b, 0x64) & 0x21, ==, 0x21);
	g_assert_cmphex(kbc_read(b), ==, 0xfa);
}

static void test_i8042_mouse(void)
{
	struct board b;
	struct dev *d;

	board_init(&b, 1);
	d = board_add(&b, "i8042");
	mouse(&b, 0xff);
	g_assert_cmphex(kbc_read(&b), ==, 0xaa);
	g_assert_cmphex(kbc_read(&b), ==, 0x00);
	mouse(&b, 0xf2);
	g_assert_cmphex(kbc_read(&b), ==, 0x00);
	/* the knock for a wheel */
	for (unsigned i = 0; i < 3; i++) {
		mouse(&b, 0xf3);
		outb(&b, 0x64, 0xd4);
		outb(&b, 0x60, (const uint8_t[]){200, 100, 80}[i]);
		g_assert_cmphex(kbc_read(&b), ==, 0xfa);
	}
	mouse(&b, 0xf2);
	g_assert_cmphex(kbc_read(&b), ==, 0x03);
	mouse(&b, 0xf4);
	bus_lock(b.bus);
	i8042_mouse(d, 5, 3, 1, 1);
	bus_unlock(b.bus);
	g_assert_cmphex(kbc_read(&b), ==, 0x29);
	g_assert_cmphex(kbc_read(&b), ==, 5);
	g_assert_cmphex(kbc_read(&b), ==, 0xfd);
	g_assert_cmphex(kbc_read(&b), ==, 0xff);
	g_assert_cmpint(kbc_read(&b), ==, -1);
	board_fini(&b);
}

static void test_port92(void)
{
	struct board b;

	board_init(&b, 1);
	board_add(&b, "port92");
	g_assert_cmphex(inb(&b, 0x92), ==, 0x02);
	outb(&b, 0x92, 0x00);
	g_assert_cmphex(bus_a20_mask(b.bus), ==, ~(1ull << 20));
	outb(&b, 0x92, 0x02);
	g_assert_cmphex(bus_a20_mask(b.bus), ==, ~0ull);
	g_assert_cmpuint(b.resets, ==, 0);
	outb(&b, 0x92, 0x03);
	g_assert_cmpuint(b.resets, ==, 1);
	board_fini(&b);
}

/* With firmware at the reset vector only the processors are reset. */
static void test_soft_reset(void)
{
	struct board b;
	struct dev *h;
	uint8_t *bios = g_malloc0(64 << 10);

	bios[0xfff0] = 0xea;
	board_init(&b, 2);
	h = board_add(&b, "i440fx");
	board_add(&b, "port92");
	board_add(&b, "i8042");
	board_add(&b, "piix3");
	bus_lock(b.bus);
	shadow_set_bios(i440fx_shadow(h), bios, 64 << 10);
	bus_unlock(b.bus);
	for (unsigned i = 0; i < 3; i++) {
		if (i == 0)
			outb(&b, 0x92, 0x01);
		else if (i == 1)
			outb(&b, 0x64, 0xfe);
		else
			outb(&b, 0xcf9, 0x04);
		for (unsigned c = 0; c < 2; c++) {
			struct bus_cpu *cpu = bus_cpu_at(b.bus, c);

			g_assert_true(cpu->events & BUS_EV_INIT);
			bus_cpu_clear(cpu, BUS_EV_INIT);
		}
	}
	g_assert_cmpuint(b.resets, ==, 0);
	g_assert_cmphex(inb(&b, 0x92) & 1, ==, 1);
	outb(&b, 0xcf9, 0x02);
	outb(&b, 0xcf9, 0x06);
	g_assert_cmpuint(b.resets, ==, 1);
	board_fini(&b);
	g_free(bios);
}

static void test_apm_port(void)
{
	struct board b;

	board_init(&b, 1);
	board_add(&b, "apm-port");
	for (const char *p = "ShutShutdow"; *p; p++)
		outb(&b, 0x8900, *p);
	g_assert_cmpuint(b.poweroffs, ==, 0);
	outb(&b, 0x8900, 'n');
	g_assert_cmpuint(b.poweroffs, ==, 1);
	board_fini(&b);
}

static void test_testdev(void)
{
	struct board b;
	struct dev *d;

	board_init(&b, 1);
	d = board_add(&b, "testdev");
	outl(&b, 0xe0, 0x12345678);
	g_assert_cmphex(inb(&b, 0xe1), ==, 0x56);
	bus_mmio_write(b.bus, NULL, 0xff000010, 8, 0x1122334455667788);
	g_assert_cmphex(
		bus_mmio_read(b.bus, NULL, 0xff000014, 4), ==, 0x11223344);
	bus_mmio_write(b.bus, bus_cpu_at(b.bus, 0), 0xfee000f0, 4, 0x1ff);
	bus_mmio_write(b.bus, NULL, 0xfec00000, 4, 0x10 + 2 * 14);
	bus_mmio_write(b.bus, NULL, 0xfec00010, 4, 0x76);
	outb(&b, 0x200e, 1);
	outb(&b, 0x200e, 0);
	g_assert_cmpint(board_ack(&b, 0), ==, 0x76);
	outb(&b, 0xf4, 3);
	g_assert_cmpuint(b.poweroffs, ==, 1);
	g_assert_cmpint(testdev_exit_code(d), ==, 3);
	board_fini(&b);
}

#define WDT	 0xe0000000u
#define WDT_FN	 (2 << 3)
#define WDT_LOCK 0x68

static void watchdog_write(struct board *b, unsigned reg, uint32_t val)
{
	bus_mmio_write(b->bus, NULL, WDT + 0x0c, 2, 0x80);
	bus_mmio_write(b->bus, NULL, WDT + 0x0c, 2, 0x86);
	bus_mmio_write(b->bus, NULL, WDT + reg, reg < 8 ? 4 : 2, val);
}

/* Two stages of a millisecond; a register takes a write behind the sequence
 * only. */
static void test_watchdog(void)
{
	struct board b;
	struct pci_bus *p;

	board_init(&b, 1);
	board_add(&b, "i6300esb");
	p = b.host.pci;
	g_assert_cmphex(pci_config_read(p, 0, WDT_FN, 0, 4), ==, 0x25ab8086);
	pci_config_write(p, 0, WDT_FN, 0x10, 4, WDT);
	pci_config_write(p, 0, WDT_FN, 4, 2, 2);
	g_assert_cmphex(bus_mmio_read(b.bus, NULL, WDT, 4), ==, 0xfffff);
	bus_mmio_write(b.bus, NULL, WDT, 4, 1);
	g_assert_cmphex(bus_mmio_read(b.bus, NULL, WDT, 4), ==, 0xfffff);
	watchdog_write(&b, 0, 1);
	watchdog_write(&b, 4, 1);
	bus_mmio_write(b.bus, NULL, WDT + 4, 4, 7);
	g_assert_cmphex(bus_mmio_read(b.bus, NULL, WDT, 4), ==, 1);
	g_assert_cmphex(bus_mmio_read(b.bus, NULL, WDT + 4, 4), ==, 1);
	/* off; then it fires once and says so */
	board_sleep(&b, 5000);
	g_assert_cmpuint(b.watchdogs, ==, 0);
	pci_config_write(p, 0, WDT_FN, 0x60, 2, 3);
	pci_config_write(p, 0, WDT_FN, WDT_LOCK, 1, 2);
	board_sleep(&b, 5000);
	g_assert_cmpuint(b.watchdogs, ==, 1);
	g_assert_cmphex(bus_mmio_read(b.bus, NULL, WDT + 12, 2), ==, 0x200);
	g_assert_cmphex(bus_mmio_read(b.bus, NULL, WDT + 8, 4), ==, 1);
	/* a reset leaves the notice, which is cleared by writing it */
	bus_lock(b.bus);
	b.devs[0]->cls->reset(b.devs[0]);
	bus_unlock(b.bus);
	pci_config_write(p, 0, WDT_FN, 0x10, 4, WDT);
	pci_config_write(p, 0, WDT_FN, 4, 2, 2);
	g_assert_cmphex(bus_mmio_read(b.bus, NULL, WDT + 12, 2), ==, 0x200);
	watchdog_write(&b, 12, 0x200);
	g_assert_cmphex(bus_mmio_read(b.bus, NULL, WDT + 12, 2), ==, 0);
	/* without output, and locked */
	watchdog_write(&b, 0, 1);
	watchdog_write(&b, 4, 1);
	pci_config_write(p, 0, WDT_FN, 0x60, 2, 0x23);
	pci_config_write(p, 0, WDT_FN, WDT_LOCK, 1, 3);
	pci_config_write(p, 0, WDT_FN, WDT_LOCK, 1, 0);
	g_assert_cmphex(pci_config_read(p, 0, WDT_FN, WDT_LOCK, 1), ==, 3);
	board_sleep(&b, 5000);
	g_assert_cmpuint(b.watchdogs, ==, 1);
	g_assert_cmphex(bus_mmio_read(b.bus, NULL, WDT + 12, 2), ==, 0x200);
	board_fini(&b);
}

/* ---- generation id ---- */

static void test_vmgenid(void)
{
	static const uint8_t id[VMGENID_BYTES] = {1, 2, 3, [15] = 16};
	uint8_t seen[VMGENID_BYTES];
	struct bus_page page;
	struct board b;
	struct dev *d;

	board_init(&b, 1);
	d = board_add(&b, "vmgenid");
	bus_lock(b.bus);
	g_assert_true(vmgenid_set(d, id));
	g_assert_false(vmgenid_set(d, id));
	bus_unlock(b.bus);
	g_assert_true(bus_dma_read(b.bus, VMGENID_BASE, seen, sizeof(seen)));
	g_assert_cmpmem(seen, sizeof(seen), id, sizeof(id));
	/* memory, which cannot be written */
	bus_resolve(b.bus, VMGENID_BASE, &page);
	g_assert_nonnull(page.read);
	g_assert_null(page.write);
	bus_mmio_write(b.bus, NULL, VMGENID_BASE, 4, 0xffffffff);
	g_assert_cmphex(
		bus_mmio_read(b.bus, NULL, VMGENID_BASE, 4), ==, 0x00030201);
	board_fini(&b);
}

/* Anything may be written anywhere; nothing breaks or takes for ever. */
static void test_rubbish(gconstpointer opaque)
{
	static const char *const classes[] = {"hpet", "i8254", "mc146818",
		"uart16550", "debugcon", "i8042", "port92", "fw_cfg",
		"vmgenid"};
	const char *const *chipset = opaque;
	static const uint16_t ports[] = {0x20, 0x40, 0x60, 0x70, 0x92, 0xa0,
		0xb2, 0x3f8, 0x402, 0x4d0, 0x510, 0x514, 0x600, 0x700, 0xcf8,
		0xcfc};
	static const gpa_t pages[] = {0xfec00000, 0xfed00000, 0xfee00000,
		0xfec00000, 0xfed00100, 0xfee00300, 0xb0000000, 0xb00f8000,
		0xb00f8060, 0xb00e0000, 0xb00e0018, 0xb0100000, 0xfed1f100,
		VMGENID_BASE};
	struct board b;
	GRand *r = g_rand_new_with_seed(20);

	board_init(&b, 3);
	for (unsigned i = 0; i < G_N_ELEMENTS(classes); i++)
		board_add(&b, classes[i]);
	for (; *chipset; chipset++)
		board_add(&b, *chipset);
	/* where firmware puts a q35's configuration spaces */
	pci_config_write(b.host.pci, 0, 0, 0x60, 4, 0xb0000001);
	pci_config_write(b.host.pci, 0, 0xf8, 0xf0, 4, 0xfed1c001);
	for (unsigned i = 0; i < 300000; i++) {
		unsigned size = 1u << g_rand_int_range(r, 0, 3);
		uint16_t port =
			ports[g_rand_int_range(r, 0, G_N_ELEMENTS(ports))] +
			g_rand_int_range(r, 0, 8);
		gpa_t at = pages[g_rand_int_range(r, 0, G_N_ELEMENTS(pages))] +
			   (g_rand_int(r) & 0x7c);
		struct bus_cpu *c =
			bus_cpu_at(b.bus, g_rand_int_range(r, 0, 3));
		uint64_t v;

		switch (g_rand_int_range(r, 0, 8)) {
		case 0: bus_io_read(b.bus, port, size); break;
		case 1: bus_io_write(b.bus, port, size, g_rand_int(r)); break;
		case 2: bus_mmio_read(b.bus, c, at, size * 2); break;
		case 3: bus_mmio_write(b.bus, c, at, 4, g_rand_int(r)); break;
		case 4:
			bus_cpu_rdmsr(c, 0x800 + (g_rand_int(r) & 0xff), &v);
			break;
		case 5:
			bus_cpu_wrmsr(c,
				g_rand_int(r) & 1
					? 0x6e0
					: 0x800 + (g_rand_int(r) & 0xff),
				g_rand_int(r));
			break;
		case 6: bus_cpu_ack_interrupt(c); break;
		case 7:
			if (!(g_rand_int(r) & 0xff))
				bus_timers_run(b.bus);
		}
	}
	g_rand_free(r);
	board_fini(&b);
}

int main(int argc, char **argv)
{
	static const char *const pc[] = {"i440fx", "piix3", "acpi_pm", NULL};
	static const char *const q35[] = {
		"mch", "ich9", "root-port", "i6300esb", NULL};

	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/vmgenid", test_vmgenid);
	g_test_add_func("/fw_cfg/ports", test_fw_cfg_ports);
	g_test_add_func("/fw_cfg/dma", test_fw_cfg_dma);
	g_test_add_func("/i8042/controller", test_i8042_controller);
	g_test_add_func("/i8042/keyboard", test_i8042_keyboard);
	g_test_add_func("/i8042/translation", test_i8042_translation);
	g_test_add_func("/i8042/set3", test_i8042_set3);
	g_test_add_func("/i8042/mouse", test_i8042_mouse);
	g_test_add_func("/port92", test_port92);
	g_test_add_func("/soft-reset", test_soft_reset);
	g_test_add_func("/apm-port", test_apm_port);
	g_test_add_func("/testdev", test_testdev);
	g_test_add_func("/i6300esb", test_watchdog);
	g_test_add_data_func("/rubbish/pc", pc, test_rubbish);
	g_test_add_data_func("/rubbish/q35", q35, test_rubbish);
	return g_test_run();
}
