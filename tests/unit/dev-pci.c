/* dev-pci.c - PCI bus, MSI-X, host bridge, ISA bridge. */
#include "dev-board.h"
#include "dev/pci/i440fx.h"
#include "dev/pci/ich9.h"
#include "dev/pci/mch.h"
#include "dev/pci/pci_setup.h"
#include "dev/pci/piix3.h"
#include "dev/pci/root_port.h"

static uint64_t probe_read(
	void *opaque, struct bus_cpu *who, uint64_t off, unsigned size)
{
	return 0xa0 + off;
}

static uint32_t probe_in(void *opaque, uint16_t port, unsigned size)
{
	return 0x50 + port;
}

static const struct bus_mmio_ops probe_mmio = {.read = probe_read};
static const struct bus_io_ops probe_ports = {.read = probe_in};

/* A function with an I/O, a 64-bit memory and an MSI-X BAR. */
static void probe_init(struct pci_func *f, struct board *b)
{
	pci_func_init(f, NULL,
		&(struct pci_ident){.vendor = 0x1234,
			.device = 0x5678,
			.class_code = 0xff0000,
			.revision = 1,
			.sub_vendor = 0x1af4,
			.sub_id = 1});
	f->irq_pin = 1;
	f->bar[0] =
		(struct pci_bar){.size = 32, .io = true, .ports = &probe_ports};
	f->bar[2] = (struct pci_bar){
		.size = 0x4000, .mem64 = true, .mmio = &probe_mmio};
	pci_add_msix(f, 4, 3);
	g_assert_cmpint(pci_func_plug(f, b->host.pci, -1), ==, 0);
	pci_func_reset(f);
}

static uint32_t conf(struct board *b, unsigned devfn, unsigned off)
{
	outl(b, 0xcf8, 0x80000000 | devfn << 8 | (off & 0xfc));
	return inl(b, 0xcfc);
}

static void conf_set(struct board *b, unsigned devfn, unsigned off, uint32_t v)
{
	outl(b, 0xcf8, 0x80000000 | devfn << 8 | (off & 0xfc));
	outl(b, 0xcfc, v);
}

static void test_config(void)
{
	struct board b;
	struct pci_func f;

	board_init(&b, 1);
	board_add(&b, "i440fx");
	board_add(&b, "piix3");
	bus_lock(b.bus);
	probe_init(&f, &b);
	bus_unlock(b.bus);
	g_assert_cmphex(conf(&b, 0, 0), ==, 0x12378086);
	g_assert_cmphex(conf(&b, 0, 0x2c), ==, 0x11001af4);
	g_assert_cmphex(conf(&b, 8, 0), ==, 0x70008086);
	g_assert_cmphex(conf(&b, 8, 0x0c), ==, 0x00800000);
	g_assert_cmphex(conf(&b, 9, 0), ==, 0xffffffff);
	g_assert_cmphex(conf(&b, 16, 0), ==, 0x56781234);
	g_assert_cmphex(conf(&b, 16, 8), ==, 0xff000001);
	/* bytes and words */
	outl(&b, 0xcf8, 0x80001000);
	g_assert_cmphex(bus_io_read(b.bus, 0xcfe, 2), ==, 0x5678);
	g_assert_cmphex(inb(&b, 0xcfd), ==, 0x12);
	/* sizing */
	conf_set(&b, 16, 0x10, 0xffffffff);
	g_assert_cmphex(conf(&b, 16, 0x10), ==, 0xffffffe1);
	conf_set(&b, 16, 0x18, 0xffffffff);
	conf_set(&b, 16, 0x1c, 0xffffffff);
	g_assert_cmphex(conf(&b, 16, 0x18), ==, 0xffffc004);
	g_assert_cmphex(conf(&b, 16, 0x1c), ==, 0xffffffff);
	/* read-only */
	conf_set(&b, 16, 0, 0);
	g_assert_cmphex(conf(&b, 16, 0), ==, 0x56781234);
	/* without the enable bit nothing answers */
	outl(&b, 0xcf8, 0x1000);
	g_assert_cmphex(inl(&b, 0xcfc), ==, 0xffffffff);
	/* not bus 0 */
	outl(&b, 0xcf8, 0x80011000);
	g_assert_cmphex(inl(&b, 0xcfc), ==, 0xffffffff);
	bus_lock(b.bus);
	pci_func_unplug(&f);
	bus_unlock(b.bus);
	board_fini(&b);
}

static void test_bars(void)
{
	static const struct pci_setup_room room = {
		0xe0000000, 0xf0000000, 0xc000, 0xd000};
	struct board b;
	struct pci_func f;

	board_init(&b, 1);
	bus_lock(b.bus);
	probe_init(&f, &b);
	bus_unlock(b.bus);
	conf_set(&b, 16, 0x10, 0xc000);
	conf_set(&b, 16, 0x18, 0xe0000000);
	conf_set(&b, 16, 0x1c, 0x1);
	g_assert_cmphex(inb(&b, 0xc004), ==, 0xff);
	conf_set(&b, 16, 0x04, 3);
	g_assert_cmphex(inb(&b, 0xc004), ==, 0x54);
	g_assert_cmphex(bus_mmio_read(b.bus, NULL, 0x1e0000008, 1), ==, 0xa8);
	conf_set(&b, 16, 0x10, 0xd000);
	g_assert_cmphex(inb(&b, 0xc004), ==, 0xff);
	g_assert_cmphex(inb(&b, 0xd001), ==, 0x51);
	/* RAM wins over a BAR */
	conf_set(&b, 16, 0x1c, 0);
	conf_set(&b, 16, 0x18, 0x100000);
	g_assert_cmphex(bus_mmio_read(b.bus, NULL, 0x100000, 1), ==, 0);
	conf_set(&b, 16, 0x04, 0);
	g_assert_cmphex(inb(&b, 0xd001), ==, 0xff);
	/* what firmware would do */
	bus_lock(b.bus);
	pci_setup_assign(b.host.pci, &room, piix3_pirq);
	bus_unlock(b.bus);
	g_assert_cmphex(conf(&b, 16, 4) & 7, ==, 7);
	g_assert_cmphex(conf(&b, 16, 0x10), ==, 0xc001);
	g_assert_cmphex(conf(&b, 16, 0x18), ==, 0xe0000004);
	g_assert_cmphex(conf(&b, 16, 0x20), ==, 0xe0004000);
	bus_lock(b.bus);
	pci_func_unplug(&f);
	bus_unlock(b.bus);
	board_fini(&b);
}

static uint64_t msi_addr;
static uint32_t msi_data;
static unsigned msis;

static void msi_seen(void *opaque, uint64_t addr, uint32_t data)
{
	msi_addr = addr;
	msi_data = data;
	msis++;
}

static void test_msix(void)
{
	const gpa_t table = 0xe0000000;
	struct board b;
	struct pci_func f;

	board_init(&b, 1);
	bus_lock(b.bus);
	probe_init(&f, &b);
	bus_msi_handler(b.bus, msi_seen, NULL);
	bus_unlock(b.bus);
	g_assert_cmphex(conf(&b, 16, 0x34), ==, 0x40);
	g_assert_cmphex(conf(&b, 16, 0x40), ==, 0x00020011);
	g_assert_cmphex(conf(&b, 16, 0x44), ==, 4);
	g_assert_cmphex(conf(&b, 16, 0x48), ==, 0x804);
	conf_set(&b, 16, 0x20, table);
	conf_set(&b, 16, 4, 2);
	g_assert_cmphex(bus_mmio_read(b.bus, NULL, table + 12, 4), ==, 1);
	bus_mmio_write(b.bus, NULL, table + 16, 8, 0xfee02000);
	bus_mmio_write(b.bus, NULL, table + 24, 4, 0x41);
	pci_msix_notify(&f, 1);
	g_assert_cmpuint(msis, ==, 0); /* not enabled */
	conf_set(&b, 16, 0x40, 0x80000000);
	pci_msix_notify(&f, 1); /* masked: pending */
	g_assert_cmpuint(msis, ==, 0);
	g_assert_cmphex(bus_mmio_read(b.bus, NULL, table + 0x800, 8), ==, 2);
	bus_mmio_write(b.bus, NULL, table + 28, 4, 0);
	g_assert_cmpuint(msis, ==, 1);
	g_assert_cmphex(msi_addr, ==, 0xfee02000);
	g_assert_cmphex(msi_data, ==, 0x41);
	g_assert_cmphex(bus_mmio_read(b.bus, NULL, table + 0x800, 8), ==, 0);
	conf_set(&b, 16, 0x40, 0xc0000000);
	pci_msix_notify(&f, 1);
	g_assert_cmpuint(msis, ==, 1);
	conf_set(&b, 16, 0x40, 0x80000000);
	g_assert_cmpuint(msis, ==, 2);
	bus_lock(b.bus);
	pci_func_unplug(&f);
	bus_unlock(b.bus);
	board_fini(&b);
}

static void test_intx(void)
{
	struct board b;
	struct pci_func f, g;

	board_init(&b, 1);
	board_add(&b, "piix3");
	outb(&b, 0x20, 0x11);
	outb(&b, 0x21, 0x20);
	outb(&b, 0x21, 0x04);
	outb(&b, 0x21, 0x01);
	outb(&b, 0xa0, 0x11);
	outb(&b, 0xa1, 0x28);
	outb(&b, 0xa1, 0x02);
	outb(&b, 0xa1, 0x01);
	bus_cpu_wrmsr(bus_cpu_at(b.bus, 0), 0x1b, 0xfee00100);
	bus_lock(b.bus);
	probe_init(&f, &b); /* slot 2, pin A: PIRQ B */
	probe_init(&g, &b); /* slot 3, pin A: PIRQ C */
	pci_set_intx(&f, true);
	bus_unlock(b.bus);
	g_assert_false(board_intr(&b, 0)); /* not routed */
	outb(&b, 0x4d1, 0x0c);
	conf_set(&b, 8, 0x60, 0x0b0b0a0a);
	g_assert_cmpint(board_ack(&b, 0), ==, 0x2a);
	bus_lock(b.bus);
	pci_set_intx(&f, false);
	bus_unlock(b.bus);
	outb(&b, 0xa0, 0x20);
	outb(&b, 0x20, 0x20);
	g_assert_false(board_intr(&b, 0));
	/* two sharing one line */
	conf_set(&b, 8, 0x60, 0x0b0a0a0a);
	bus_lock(b.bus);
	pci_set_intx(&f, true);
	pci_set_intx(&g, true);
	pci_set_intx(&f, false);
	bus_unlock(b.bus);
	g_assert_true(board_intr(&b, 0));
	/* interrupt disable */
	g_assert_cmphex(conf(&b, 24, 4) & 0x80000, ==, 0x80000);
	conf_set(&b, 24, 4, 0x400);
	g_assert_false(board_intr(&b, 0));
	bus_lock(b.bus);
	pci_func_unplug(&f);
	pci_func_unplug(&g);
	bus_unlock(b.bus);
	board_fini(&b);
}

static void test_shadow(void)
{
	struct board b;
	struct dev *h;
	uint8_t *bios = g_malloc(256 << 10);

	for (unsigned i = 0; i < 256 << 10; i++)
		bios[i] = i >> 12;
	board_init(&b, 1);
	h = board_add(&b, "i440fx");
	bus_lock(b.bus);
	g_assert_cmpint(shadow_set_bios(i440fx_shadow(h), bios, 1000), <, 0);
	g_assert_cmpint(
		shadow_set_bios(i440fx_shadow(h), bios, 256 << 10), ==, 0);
	bus_unlock(b.bus);
	g_assert_cmphex(bus_mmio_read(b.bus, NULL, 0xfffff000, 1), ==, 63);
	g_assert_cmphex(bus_mmio_read(b.bus, NULL, 0xfffc0000, 1), ==, 0);
	g_assert_cmphex(bus_mmio_read(b.bus, NULL, 0xff000, 1), ==, 63);
	g_assert_cmphex(bus_mmio_read(b.bus, NULL, 0xe0000, 1), ==, 32);
	g_assert_cmphex(bus_mmio_read(b.bus, NULL, 0xc0000, 1), ==, 0xff);
	g_assert_cmphex(bus_mmio_read(b.bus, NULL, 0xa0000, 4), ==, 0xffffffff);
	bus_mmio_write(b.bus, NULL, 0xff000, 1, 0x99);
	g_assert_cmphex(bus_mmio_read(b.bus, NULL, 0xff000, 1), ==, 63);
	/* write to RAM, read from ROM; then the other way round */
	conf_set(&b, 0, 0x58, 0x00002000);
	bus_mmio_write(b.bus, NULL, 0xff000, 1, 0x99);
	g_assert_cmphex(bus_mmio_read(b.bus, NULL, 0xff000, 1), ==, 63);
	conf_set(&b, 0, 0x58, 0x00001000);
	g_assert_cmphex(bus_mmio_read(b.bus, NULL, 0xff000, 1), ==, 0x99);
	bus_mmio_write(b.bus, NULL, 0xff000, 1, 0x11);
	g_assert_cmphex(bus_mmio_read(b.bus, NULL, 0xff000, 1), ==, 0x99);
	/* 0xc4000-0xc7fff alone */
	conf_set(&b, 0, 0x58, 0x00300000);
	bus_mmio_write(b.bus, NULL, 0xc4000, 1, 0x44);
	bus_mmio_write(b.bus, NULL, 0xc0000, 1, 0x44);
	g_assert_cmphex(bus_mmio_read(b.bus, NULL, 0xc4000, 1), ==, 0x44);
	g_assert_cmphex(bus_mmio_read(b.bus, NULL, 0xc0000, 1), ==, 0xff);
	/* SMRAM open shows the RAM behind the display, lock closes it */
	conf_set(&b, 0, 0x70, 0x004a0000);
	bus_mmio_write(b.bus, NULL, 0xa0000, 1, 0x5a);
	g_assert_cmphex(bus_mmio_read(b.bus, NULL, 0xa0000, 1), ==, 0x5a);
	conf_set(&b, 0, 0x70, 0x001a0000);
	g_assert_cmphex(bus_mmio_read(b.bus, NULL, 0xa0000, 1), ==, 0xff);
	conf_set(&b, 0, 0x70, 0x004a0000);
	g_assert_cmphex(bus_mmio_read(b.bus, NULL, 0xa0000, 1), ==, 0xff);
	board_fini(&b);
	g_free(bios);
}

static void test_reset_port(void)
{
	struct board b;

	board_init(&b, 1);
	board_add(&b, "piix3");
	outl(&b, 0xcf8, 0x80000000);
	outb(&b, 0xcf9, 0x02);
	g_assert_cmphex(inb(&b, 0xcf9), ==, 0x02);
	g_assert_cmpuint(b.resets, ==, 0);
	outb(&b, 0xcf9, 0x06);
	g_assert_cmpuint(b.resets, ==, 1);
	g_assert_cmphex(inl(&b, 0xcf8), ==, 0x80000000);
	board_fini(&b);
}

/* ---- q35 ---- */

#define LPC  (ICH9_SLOT << 3)
#define PORT (ROOT_PORT_SLOT << 3)

static uint32_t ecam(unsigned bus, unsigned devfn, unsigned off)
{
	return MCH_ECAM + (bus << 20 | devfn << 12 | off);
}

/* Configuration space by memory: both ways show the same. */
static void test_ecam(void)
{
	struct board b;
	struct pci_func f;

	board_init(&b, 1);
	bus_lock(b.bus);
	pci_bus_set_express(b.host.pci);
	bus_unlock(b.bus);
	board_add(&b, "mch");
	board_add(&b, "ich9");
	bus_lock(b.bus);
	pci_func_init(&f, NULL, &(struct pci_ident){.vendor = 1, .device = 2});
	f.express_able = true;
	g_assert_cmpint(pci_func_plug(&f, b.host.pci, 3 << 3), ==, 0);
	bus_unlock(b.bus);
	g_assert_cmphex(conf(&b, 0, 0), ==, 0x29c08086);
	g_assert_cmphex(conf(&b, 0, 4), ==, 0x00900006);
	g_assert_cmphex(conf(&b, 0, 0x34), ==, 0xe0);
	g_assert_cmphex(conf(&b, 0, 0x60), ==, 0xe0000000);
	g_assert_cmphex(conf(&b, 0, 0xb0), ==, 0x10);
	g_assert_cmphex(
		bus_mmio_read(b.bus, NULL, ecam(0, 0, 0), 4), ==, 0xffffffff);
	conf_set(&b, 0, 0x64, 0);
	conf_set(&b, 0, 0x60, MCH_ECAM | 1);
	g_assert_cmphex(
		bus_mmio_read(b.bus, NULL, ecam(0, 0, 0), 4), ==, 0x29c08086);
	g_assert_cmphex(
		bus_mmio_read(b.bus, NULL, ecam(0, LPC, 2), 2), ==, 0x2918);
	g_assert_cmphex(bus_mmio_read(b.bus, NULL, ecam(0, LPC, 0), 8), ==,
		0x0210000729188086);
	/* beyond 256 bytes: conventional functions have nothing, an Express
	 * one has an empty list */
	g_assert_cmphex(bus_mmio_read(b.bus, NULL, ecam(0, LPC, 0x100), 4), ==,
		0xffffffff);
	g_assert_cmphex(
		bus_mmio_read(b.bus, NULL, ecam(0, 24, 0x100), 4), ==, 0);
	/* an integrated endpoint, version 2 */
	g_assert_cmphex(conf(&b, 24, 0x40), ==, 0x00920010);
	/* written here, read there */
	bus_mmio_write(b.bus, NULL, ecam(0, 0, 0xdc), 4, 0x12345678);
	g_assert_cmphex(conf(&b, 0, 0xdc), ==, 0x12345678);
	/* PAM */
	bus_mmio_write(b.bus, NULL, ecam(0, 0, 0x91), 1, 0x33);
	bus_mmio_write(b.bus, NULL, 0xc0000, 1, 0x77);
	g_assert_cmphex(bus_mmio_read(b.bus, NULL, 0xc0000, 1), ==, 0x77);
	/* 64 MiB only */
	conf_set(&b, 0, 0x60, MCH_ECAM | 5);
	g_assert_cmphex(bus_mmio_read(b.bus, NULL, ecam(0x40, 0, 0), 4), ==,
		0xffffffff);
	conf_set(&b, 0, 0x60, 0);
	g_assert_cmphex(
		bus_mmio_read(b.bus, NULL, ecam(0, 0, 0), 4), ==, 0xffffffff);
	bus_lock(b.bus);
	pci_func_unplug(&f);
	bus_unlock(b.bus);
	board_fini(&b);
}

static void count_off(void *opaque)
{
	++*(unsigned *)opaque;
}

/* A card comes and is asked for: events, and the slot that goes off. */
static void test_root_port_slot(void)
{
	struct board b;
	struct pci_func f;
	struct dev *port;
	unsigned off = 0, exp, sta;

	board_init(&b, 1);
	bus_lock(b.bus);
	pci_bus_set_express(b.host.pci);
	bus_unlock(b.bus);
	board_add(&b, "ich9");
	port = board_add(&b, "root-port");
	exp = pci_bus_func(b.host.pci, PORT)->express;
	bus_lock(b.bus);
	root_port_watch(port, count_off, &off);
	g_assert_true(root_port_free(port));
	pci_func_init(&f, NULL, &(struct pci_ident){.vendor = 7, .device = 8});
	g_assert_cmpint(pci_func_plug(&f, root_port_bus(port), -1), ==, 0);
	root_port_changed(port);
	g_assert_false(root_port_free(port));
	bus_unlock(b.bus);
	sta = conf(&b, PORT, exp + 0x18) >> 16;
	g_assert_cmphex(sta, ==, 0x0148);
	/* on, with its lamp; what was told is taken back */
	conf_set(&b, PORT, exp + 0x18, 0x01480120);
	g_assert_cmphex(conf(&b, PORT, exp + 0x18) >> 16, ==, 0x0040);
	/* nobody has asked: going off means nothing */
	conf_set(&b, PORT, exp + 0x18, 0x0720);
	conf_set(&b, PORT, exp + 0x18, 0x0120);
	g_assert_cmpuint(off, ==, 0);
	bus_lock(b.bus);
	root_port_ask(port);
	bus_unlock(b.bus);
	g_assert_cmphex(conf(&b, PORT, exp + 0x18) >> 16, ==, 0x0041);
	conf_set(&b, PORT, exp + 0x18, 0x00010520);
	g_assert_cmpuint(off, ==, 0);
	conf_set(&b, PORT, exp + 0x18, 0x0720);
	g_assert_cmpuint(off, ==, 1);
	bus_lock(b.bus);
	g_assert_true(root_port_is_off(port));
	pci_func_unplug(&f);
	root_port_changed(port);
	g_assert_false(root_port_is_off(port));
	bus_unlock(b.bus);
	g_assert_cmphex(conf(&b, PORT, exp + 0x18) >> 16, ==, 0x0108);
	board_fini(&b);
}

/* A card behind a root port: numbers, windows, pins, presence. */
static void test_root_port(void)
{
	struct board b;
	struct pci_func f;
	struct pci_bus *behind, *root;
	unsigned exp;

	board_init(&b, 1);
	root = b.host.pci;
	bus_lock(b.bus);
	pci_bus_set_express(root);
	bus_unlock(b.bus);
	board_add(&b, "ich9");
	behind = root_port_bus(board_add(&b, "root-port"));
	exp = pci_bus_func(root, PORT)->express;
	g_assert_cmphex(conf(&b, PORT, 0), ==, 0x29408086);
	g_assert_cmphex(conf(&b, PORT, 0x0c), ==, 0x00810000);
	g_assert_cmphex(conf(&b, PORT, exp) & 0xffff00ff, ==, 0x01420010);
	g_assert_cmphex(conf(&b, PORT, exp + 0x18) & 0x400000, ==, 0);
	bus_lock(b.bus);
	pci_func_init(&f, NULL, &(struct pci_ident){.vendor = 7, .device = 8});
	f.express_able = true;
	f.irq_pin = 1;
	f.bar[0] = (struct pci_bar){.size = 0x1000, .mmio = &probe_mmio};
	g_assert_cmpint(pci_func_plug(&f, behind, -1), ==, 0);
	bus_unlock(b.bus);
	g_assert_cmphex(conf(&b, PORT, exp + 0x18) & 0x400000, ==, 0x400000);
	/* not numbered yet */
	g_assert_cmphex(pci_config_read(root, 1, 0, 0, 4), ==, 0xffffffff);
	conf_set(&b, PORT, 0x18, 0x00020100);
	g_assert_cmphex(pci_config_read(root, 1, 0, 0, 4), ==, 0x00080007);
	g_assert_cmphex(pci_config_read(root, 2, 0, 0, 4), ==, 0xffffffff);
	g_assert_cmphex(pci_config_read(root, 1, 8, 0, 4), ==, 0xffffffff);
	g_assert_cmphex(pci_config_read(root, 1, 0, 0x40, 4), ==, 0x00020010);
	/* the window lets it through, or not */
	pci_config_write(root, 1, 0, 0x10, 4, 0xc0100000);
	pci_config_write(root, 1, 0, 4, 2, 2);
	g_assert_cmphex(bus_mmio_read(b.bus, NULL, 0xc0100004, 1), ==, 0xff);
	conf_set(&b, PORT, 0x20, 0xc010c010);
	g_assert_cmphex(bus_mmio_read(b.bus, NULL, 0xc0100004, 1), ==, 0xff);
	conf_set(&b, PORT, 4, 7);
	g_assert_cmphex(bus_mmio_read(b.bus, NULL, 0xc0100004, 1), ==, 0xa4);
	conf_set(&b, PORT, 0x20, 0xc020c020);
	g_assert_cmphex(bus_mmio_read(b.bus, NULL, 0xc0100004, 1), ==, 0xff);
	conf_set(&b, PORT, 0x24, 0xc010c010); /* prefetchable, below 4 GiB */
	g_assert_cmphex(bus_mmio_read(b.bus, NULL, 0xc0100004, 1), ==, 0xa4);
	conf_set(&b, PORT, 0x28, 1);
	conf_set(&b, PORT, 0x2c, 1);
	g_assert_cmphex(bus_mmio_read(b.bus, NULL, 0xc0100004, 1), ==, 0xff);
	/* pin A of the card is pin A of slot 1c: PIRQ A */
	outb(&b, 0x20, 0x11);
	outb(&b, 0x21, 0x20);
	outb(&b, 0x21, 0x04);
	outb(&b, 0x21, 0x01);
	bus_cpu_wrmsr(bus_cpu_at(b.bus, 0), 0x1b, 0xfee00100);
	conf_set(&b, LPC, 0x60, 0x80808005);
	outb(&b, 0x4d0, 0x20);
	bus_lock(b.bus);
	pci_set_intx(&f, true);
	bus_unlock(b.bus);
	g_assert_cmpint(board_ack(&b, 0), ==, 0x25);
	bus_lock(b.bus);
	pci_func_unplug(&f);
	bus_unlock(b.bus);
	g_assert_cmphex(conf(&b, PORT, exp + 0x18) & 0x400000, ==, 0);
	board_fini(&b);
}

static unsigned gsi_level[BUS_NGSI];

static void gsi_seen(void *opaque, unsigned n, bool level)
{
	gsi_level[n] = level;
}

/* With an ICH9 whose lines are seen. */
static struct dev *ich9_init(struct board *b)
{
	static struct bus_irq lines[BUS_NGSI];

	board_init(b, 1);
	for (unsigned i = 0; i < BUS_NGSI; i++)
		lines[i] = (struct bus_irq){gsi_seen, NULL, i};
	b->host.gsi = lines;
	return board_add(b, "ich9");
}

static void test_ich9_pirqs(void)
{
	struct board b;
	struct pci_func f;

	ich9_init(&b);
	g_assert_cmphex(conf(&b, LPC, 0), ==, 0x29188086);
	g_assert_cmphex(conf(&b, LPC, 0x40), ==, 1);
	g_assert_cmphex(conf(&b, LPC, 0x60), ==, 0x80808080);
	/* a pin of slot 2: PIRQ G, its own line and an ISA one if routed */
	bus_lock(b.bus);
	probe_init(&f, &b);
	pci_set_intx(&f, true);
	bus_unlock(b.bus);
	g_assert_cmpuint(gsi_level[22], ==, 1);
	g_assert_cmpuint(gsi_level[11], ==, 0);
	conf_set(&b, LPC, 0x68, 0x800b8080);
	g_assert_cmpuint(gsi_level[11], ==, 1);
	bus_lock(b.bus);
	pci_func_unplug(&f);
	g_assert_cmpuint(gsi_level[22] + gsi_level[11], ==, 0);
	/* one of its own slots, wired by D31IR */
	probe_init(&f, &b);
	pci_func_unplug(&f);
	pci_func_init(&f, NULL, &(struct pci_ident){.vendor = 7, .device = 8});
	f.irq_pin = 2;
	g_assert_cmpint(pci_func_plug(&f, b.host.pci, LPC | 2), ==, 0);
	pci_set_intx(&f, true);
	bus_unlock(b.bus);
	g_assert_cmpuint(gsi_level[17], ==, 1);
	conf_set(&b, LPC, 0xf0, ICH9_RCBA | 1);
	g_assert_cmphex(
		bus_mmio_read(b.bus, NULL, ICH9_RCBA + 0x3140, 2), ==, 0x3210);
	bus_mmio_write(b.bus, NULL, ICH9_RCBA + 0x3140, 2, 0x3240);
	g_assert_cmpuint(gsi_level[17], ==, 0);
	g_assert_cmpuint(gsi_level[20], ==, 1);
	bus_lock(b.bus);
	pci_func_unplug(&f);
	bus_unlock(b.bus);
	board_fini(&b);
}

/* ACPI registers: where PMBASE says while ACPI_EN is set. */
static void test_ich9_acpi(void)
{
	struct board b;
	struct dev *d = ich9_init(&b);

	conf_set(&b, LPC, 0x40, 0x600);
	g_assert_cmphex(inl(&b, 0x608), ==, 0xffffffff);
	conf_set(&b, LPC, 0x44, 0x80);
	g_assert_cmphex(inl(&b, 0x608), <, 0x1000000);
	g_assert_cmphex(inl(&b, 0x630), ==, 0x20);
	outb(&b, 0xb2, ACPI_PM_ENABLE);
	bus_io_write(b.bus, 0x602, 2, 0x100);
	bus_lock(b.bus);
	acpi_regs_power_button(ich9_acpi(d));
	bus_unlock(b.bus);
	g_assert_cmpuint(gsi_level[9], ==, 1);
	conf_set(&b, LPC, 0x44, 0x84); /* SCI to line 20 */
	g_assert_cmpuint(gsi_level[9], ==, 0);
	g_assert_cmpuint(gsi_level[20], ==, 1);
	bus_io_write(b.bus, 0x600, 2, 0x100);
	g_assert_cmpuint(gsi_level[20], ==, 0);
	/* event 33 is bit 1 of the second word */
	bus_lock(b.bus);
	acpi_regs_gpe(ich9_acpi(d), 33);
	bus_unlock(b.bus);
	g_assert_cmphex(inl(&b, 0x624), ==, 2);
	outl(&b, 0x62c, 2);
	g_assert_cmpuint(gsi_level[20], ==, 1);
	outl(&b, 0x624, 2);
	g_assert_cmpuint(gsi_level[20], ==, 0);
	bus_io_write(b.bus, 0x604, 2, 7 << 10 | 0x2001);
	g_assert_cmpuint(b.poweroffs, ==, 1);
	outb(&b, 0xcf9, 0x0e);
	g_assert_cmpuint(b.resets, ==, 1);
	board_fini(&b);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/pci/config", test_config);
	g_test_add_func("/pci/bars", test_bars);
	g_test_add_func("/pci/msix", test_msix);
	g_test_add_func("/pci/intx", test_intx);
	g_test_add_func("/i440fx/shadow", test_shadow);
	g_test_add_func("/piix3/reset", test_reset_port);
	g_test_add_func("/mch/ecam", test_ecam);
	g_test_add_func("/ich9/pirqs", test_ich9_pirqs);
	g_test_add_func("/ich9/acpi", test_ich9_acpi);
	g_test_add_func("/root-port/behind", test_root_port);
	g_test_add_func("/root-port/slot", test_root_port_slot);
	return g_test_run();
}
