/* dev-pci.c - PCI bus, MSI-X, host bridge, ISA bridge. */
#include "dev-board.h"
#include "dev/pci/i440fx.h"
#include "dev/pci/pci_setup.h"
#include "dev/pci/piix3.h"

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
	pci_setup_assign(b.host.pci, 0xe0000000, 0xf0000000, 0xc000, 0xd000);
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

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/pci/config", test_config);
	g_test_add_func("/pci/bars", test_bars);
	g_test_add_func("/pci/msix", test_msix);
	g_test_add_func("/pci/intx", test_intx);
	g_test_add_func("/i440fx/shadow", test_shadow);
	g_test_add_func("/piix3/reset", test_reset_port);
	return g_test_run();
}
