/*
 * chip-fuzz.c - what is on the board itself, and all else whose registers are
 * its whole interface, under a driver gone mad (dev-fuzz.h): any register of
 * the ports, memory and configuration spaces that a kind names; bytes, keys
 * and interrupts from outside meanwhile.
 */
#include "dev-fuzz.h"

#include "dev/chardev.h"
#include "dev/input/gameport.h"
#include "dev/input/i8042.h"
#include "dev/misc/flash.h"
#include "dev/misc/fw_cfg.h"
#include "dev/misc/i8237.h"
#include "dev/misc/vmgenid.h"
#include "dev/pci/ich9.h"
#include "dev/pci/mch.h"
#include "dev/pci/piix3.h"
#include "dev/pci/root_port.h"
#include "dev/sound/speaker.h"
#include "dev/timer/acpi_pm.h"
#include "dev/timer/hpet.h"
#include "dev/timer/i8254.h"

#define MAX_CLASSES 6
#define MAX_PORTS   6
#define MAX_MMIO    3
#define TABLES	    0x100000u
#define FLASH_AT    0xff800000u
#define PM_BASE	    0x600

struct chip {
	const char *class[MAX_CLASSES]; /* the first is looked at */
	struct {
		uint16_t first, count;
	} port[MAX_PORTS];
	struct {
		uint32_t first, bytes;
	} mmio[MAX_MMIO];
	void (*prepare)(struct fuzz *f); /* before any is made */
	void (*made)(struct fuzz *f, unsigned n, struct dev *d);
	void (*event)(struct fuzz *f); /* from outside */
};

/* Where what a guest sends goes. */
struct peer {
	const struct chip *chip;
	struct dev *dev[MAX_CLASSES];
	struct dev_chardev chr;
	struct fuzz *fuzz;
	unsigned written;
};

static struct peer *peer(struct fuzz *f)
{
	return f->own;
}

/* ---- bytes ---- */

static size_t peer_write(struct dev_chardev *c, const uint8_t *buf, size_t len)
{
	struct peer *p = c->owner;

	p->written += len;
	return below(p->fuzz, 8) ? len : below(p->fuzz, len + 1);
}

static void peer_accept(struct dev_chardev *c)
{
}

static void chr_prepare(struct fuzz *f)
{
	peer(f)->chr = (struct dev_chardev){.write = peer_write,
		.accept_input = peer_accept,
		.owner = f->own};
	f->r.b.host.chr = &peer(f)->chr;
}

static void chr_event(struct fuzz *f)
{
	struct dev_chardev *c = &peer(f)->chr;
	uint8_t buf[64];

	for (unsigned i = 0; i < sizeof(buf); i++)
		buf[i] = byte(f);
	bus_lock(f->r.b.bus);
	if (c->receive && below(f, 2))
		c->receive(c->opaque, buf,
			MIN(c->can_receive(c->opaque),
				1 + below(f, sizeof(buf))));
	else if (c->writable)
		c->writable(c->opaque);
	bus_unlock(f->r.b.bus);
}

/* ---- keys, sticks ---- */

static void keys_event(struct fuzz *f)
{
	bus_lock(f->r.b.bus);
	if (below(f, 2))
		i8042_key(f->dev, below(f, 0x101), below(f, 2));
	else
		i8042_mouse(f->dev, (int)rnd(f) >> below(f, 32),
			(int)below(f, 512) - 256, (int)below(f, 32) - 16,
			below(f, 32));
	bus_unlock(f->r.b.bus);
}

static void stick_event(struct fuzz *f)
{
	int axis[GAMEPORT_AXES];

	for (unsigned i = 0; i < GAMEPORT_AXES; i++)
		axis[i] = (int)below(f, GAMEPORT_MAX + 2) - 1;
	bus_lock(f->r.b.bus);
	gameport_set(f->dev, axis, below(f, 16));
	bus_unlock(f->r.b.bus);
}

/* ---- interrupt controllers ---- */

static void intc_prepare(struct fuzz *f)
{
	bus_lock(f->r.b.bus);
	intc_set_features(f->r.b.intc, 40, true, true);
	intc_set_paravirt(f->r.b.intc, ~0u, 2000000000);
	bus_unlock(f->r.b.bus);
	f->dev = f->r.b.intc;
	f->r.b.host.gsi = intc_gsi(f->r.b.intc);
}

static void msr_event(struct fuzz *f, struct bus_cpu *c)
{
	static const uint32_t some[] = {0x1b, 0x6e0, 0x11, 0x12, 0x4b564d00,
		0x4b564d01, 0x4b564d02, 0x4b564d03, 0x4b564d04, 0x4b564d05,
		0x4b564d06, 0x4b564d07};
	uint32_t msr = below(f, 2) ? 0x800 + below(f, 0x40)
				   : some[below(f, G_N_ELEMENTS(some))];
	uint64_t val = below(f, 2) ? address(f) | below(f, 4)
				   : (uint64_t)rnd(f) << 32 | rnd(f);

	if (below(f, 4))
		bus_cpu_wrmsr(c, msr, val);
	else
		bus_cpu_rdmsr(c, msr, &val);
}

static void intc_event(struct fuzz *f)
{
	struct bus *b = f->r.b.bus;
	struct bus_cpu *c = bus_cpu_at(b, 0);
	const uint64_t arg[4] = {
		rnd(f), byte(f), address(f), (uint64_t)rnd(f) << 32};

	switch (below(f, 8)) {
	case 0:
	case 1: msr_event(f, c); break;
	case 2: bus_cpu_hypercall(c, below(f, 16), arg, below(f, 2)); break;
	case 3: bus_cpu_set_tpr(c, below(f, 16)); break;
	case 4: bus_cpu_ack_interrupt(c); break;
	case 5: bus_x87_error(b, below(f, 2)); break;
	default:
		bus_lock(b);
		if (below(f, 2))
			bus_irq_set(&f->r.b.host.gsi[below(f, BUS_NGSI)],
				below(f, 2));
		else
			bus_msi_send(
				b, 0xfee00000 | (rnd(f) & 0xffffc), rnd(f));
		bus_unlock(b);
	}
	bus_cpu_clear(c, BUS_EV_INIT | BUS_EV_SIPI | BUS_EV_NMI);
}

/* ---- firmware's channel, flash ---- */

static void told(void *opaque, const void *data, size_t len)
{
	*(unsigned *)opaque += len;
}

static void cfg_made(struct fuzz *f, unsigned n, struct dev *d)
{
	static const uint8_t data[5000];

	fw_cfg_add_key(d, FW_CFG_SIGNATURE, "QEMU", 4);
	fw_cfg_add_u64(d, FW_CFG_RAM_SIZE, FUZZ_RAM);
	for (unsigned i = 0; i < 8; i++) {
		g_autofree char *name = g_strdup_printf("opt/%u", i);

		fw_cfg_add_file(d, name, data, below(f, sizeof(data)));
	}
	fw_cfg_add_writable(d, "etc/taken", data, 100, told, &peer(f)->written);
}

/* A request for DMA where drivers have it. */
static void cfg_event(struct fuzz *f)
{
	uint32_t r[4] = {
		GUINT32_TO_BE((0x19 + below(f, 16)) << 16 | below(f, 32)),
		GUINT32_TO_BE(below(f, 8) ? below(f, 6000) : rnd(f)),
		below(f, 32) ? 0 : rnd(f), GUINT32_TO_BE(address(f))};

	bus_dma_write(f->r.b.bus, TABLES, r, sizeof(r));
	bus_io_write(f->r.b.bus, 0x518, 4, GUINT32_TO_BE(TABLES));
}

static void flash_prepare(struct fuzz *f)
{
	f->r.b.host.blk = f->media[0] = rig_image(64 << 10, false);
}

static void flash_made(struct fuzz *f, unsigned n, struct dev *d)
{
	if (n)
		return;
	bus_lock(f->r.b.bus);
	flash_map(d, FLASH_AT);
	bus_unlock(f->r.b.bus);
}

/* ---- chips that hang on others ---- */

/* The loudspeaker is made before what it hangs on is known to exist. */
static void beep_made(struct fuzz *f, unsigned n, struct dev *d)
{
	if (n != 1)
		return;
	bus_lock(f->r.b.bus);
	speaker_attach(d, f->dev);
	bus_unlock(f->r.b.bus);
}

static void hpet_made(struct fuzz *f, unsigned n, struct dev *d)
{
	if (!n)
		f->r.b.host.gsi = hpet_gsi(d);
}

/* A floppy transfer that never comes: what others ask of it. */
static void dma_event(struct fuzz *f)
{
	uint8_t buf[256] = {0};
	bool tc;

	bus_lock(f->r.b.bus);
	i8237_request(f->dev, below(f, 8), below(f, 2));
	i8237_transfer(
		f->dev, below(f, 8), buf, 2 * below(f, sizeof(buf) / 2), &tc);
	if (!below(f, 16))
		i8237_cascade(f->dev);
	bus_unlock(f->r.b.bus);
}

static void pc_made(struct fuzz *f, unsigned n, struct dev *d)
{
	bus_lock(f->r.b.bus);
	if (d->cls == &acpi_pm_class)
		acpi_pm_set_base(d, PM_BASE);
	else if (d->cls == &piix3_class)
		piix3_route_default(d);
	bus_unlock(f->r.b.bus);
}

static void q35_prepare(struct fuzz *f)
{
	bus_lock(f->r.b.bus);
	pci_bus_set_express(f->r.b.host.pci);
	bus_unlock(f->r.b.bus);
}

/* The card goes behind the root port. */
static void q35_made(struct fuzz *f, unsigned n, struct dev *d)
{
	bus_lock(f->r.b.bus);
	if (d->cls == &ich9_class) {
		ich9_setup(d, PM_BASE);
	} else if (d->cls == &mch_class) {
		mch_open_ecam(d);
	} else if (d->cls == &root_port_class) {
		f->r.b.host.pci = root_port_bus(d);
		f->r.b.host.pci_slot = 0;
	}
	bus_unlock(f->r.b.bus);
}

static void board_event(struct fuzz *f)
{
	struct dev *d = peer(f)->dev[below(f, MAX_CLASSES)];

	bus_lock(f->r.b.bus);
	if (d && d->cls == &acpi_pm_class)
		acpi_regs_gpe(acpi_pm_regs(d), below(f, 64));
	else if (d && d->cls == &ich9_class)
		acpi_regs_gpe(ich9_acpi(d), below(f, 64));
	else if (d && d->cls == &root_port_class && below(f, 2))
		root_port_ask(d);
	else if (d && d->cls == &root_port_class)
		root_port_changed(d);
	if (d && d->cls->reset && !below(f, 16))
		d->cls->reset(d);
	bus_unlock(f->r.b.bus);
}

/* ---- what is done to all ---- */

static void chip_open(struct fuzz *f)
{
	struct pci_bus *root = f->r.b.host.pci;
	const struct chip *c = f->kind->of;
	struct peer *p = g_new0(struct peer, 1);

	*p = (struct peer){.chip = c, .fuzz = f};
	f->own = p;
	if (c->prepare)
		c->prepare(f);
	for (unsigned n = 0; n < MAX_CLASSES && c->class[n]; n++) {
		p->dev[n] = board_add(&f->r.b, c->class[n]);
		if (!n)
			f->dev = p->dev[0];
		if (c->made)
			c->made(f, n, p->dev[n]);
	}
	f->r.b.host.pci = root;
}

static void chip_awake(struct fuzz *f)
{
	for (unsigned devfn = 0; devfn < 256; devfn++) {
		struct pci_func *p = pci_bus_func(f->r.b.host.pci, devfn);

		for (unsigned n = 0; p && n < PCI_NBARS; n++)
			if (p->bar[n].size)
				config_write(f, devfn, 0x10 + 4 * n, 4,
					p->bar[n].io ? FUZZ_IO + n * 0x100
						     : FUZZ_MMIO + n * 0x10000);
		if (p)
			config_write(f, devfn, 4, 2, 7);
	}
}

static uint16_t some_port(struct fuzz *f)
{
	const struct chip *c = peer(f)->chip;
	unsigned n = below(f, MAX_PORTS);

	return c->port[n].count ? c->port[n].first + below(f, c->port[n].count)
				: FUZZ_IO + below(f, 0x200);
}

/* An eighth of all are not aligned. */
static uint32_t some_memory(struct fuzz *f, unsigned size)
{
	const struct chip *c = peer(f)->chip;
	unsigned n = below(f, MAX_MMIO);
	uint32_t first = c->mmio[n].bytes ? c->mmio[n].first : FUZZ_MMIO;
	uint32_t off = below(f, c->mmio[n].bytes ? c->mmio[n].bytes : 0x20000);

	if (below(f, 8))
		off &= ~(size - 1);
	/* a processor splits what crosses a page */
	return first + ((off & 4095) + size > 4096 ? off & ~7u : off);
}

static uint64_t some_value(struct fuzz *f)
{
	switch (below(f, 4)) {
	case 0: return rnd(f);
	case 1: return (uint64_t)rnd(f) << 32 | rnd(f);
	case 2: return 1ull << below(f, 64);
	default: return byte(f);
	}
}

static void some_config(struct fuzz *f)
{
	unsigned n = below(f, 256), i = 0;
	unsigned devfn = 0, off = below(f, 256);

	for (devfn = n; i < 256; i++, devfn = (devfn + 1) & 255)
		if (pci_bus_func(f->r.b.host.pci, devfn))
			break;
	if (off >= 0x10 && off < 0x28 && below(f, 16))
		return; /* leave BARs, mostly */
	config_write(f, devfn, off, 1u << below(f, 3), some_value(f));
}

static void chip_many(struct fuzz *f)
{
	static const uint8_t sizes[] = {1, 2, 4};
	uint32_t buf[64];

	for (unsigned i = 0; i < G_N_ELEMENTS(buf); i++)
		buf[i] = rnd(f);
	bus_io_many(f->r.b.bus, some_port(f), sizes[below(f, 3)], buf,
		below(f, 64), below(f, 2));
}

static void chip_round(struct fuzz *f)
{
	struct bus *b = f->r.b.bus;
	unsigned size = 1u << below(f, 4);

	switch (below(f, 16)) {
	case 0:
	case 1:
	case 2:
	case 3: port_write(f, some_port(f), some_value(f)); break;
	case 4:
	case 5: port_read(f, some_port(f)); break;
	case 6:
	case 7:
	case 8:
		bus_mmio_write(
			b, NULL, some_memory(f, size), size, some_value(f));
		break;
	case 9: bus_mmio_read(b, NULL, some_memory(f, size), size); break;
	case 10: some_config(f); break;
	case 11:
		if (!below(f, 8))
			chip_many(f);
		break;
	case 12: bus_timers_run(b); break;
	case 13:
		if (!below(f, 100))
			chip_awake(f);
		break;
	default:
		if (peer(f)->chip->event)
			peer(f)->chip->event(f);
	}
}

/* ---- the kinds ---- */

#define CHIP(name, ...)                                                        \
	{                                                                      \
		name, chip_open, chip_awake, chip_round, NULL,                 \
			&(const struct chip)                                   \
		{                                                              \
			__VA_ARGS__                                            \
		}                                                              \
	}

static const struct kind kinds[] = {
	CHIP("intc", {NULL}, {{0x20, 2}, {0xa0, 2}, {0x4d0, 2}, {0xf0, 1}},
		{{0xfec00000, 0x50}, {0xfee00000, 0x400}},
		.prepare = intc_prepare, .event = intc_event),
	CHIP("i8254", {"i8254", "speaker"}, {{0x40, 4}, {0x61, 1}, {0x42, 2}},
		.made = beep_made),
	CHIP("mc146818", {"mc146818"}, {{0x70, 2}, {0x70, 1}}),
	CHIP("hpet", {"hpet", "i8254", "mc146818"},
		{{0x40, 4}, {0x61, 1}, {0x70, 2}}, {{0xfed00000, 0x400}},
		.made = hpet_made),
	CHIP("i8237", {"i8237"}, {{0, 16}, {0xc0, 32}, {0x80, 16}},
		.event = dma_event),
	CHIP("pc-chipset", {"i440fx", "piix3", "acpi_pm"},
		{{0xcf8, 8}, {PM_BASE, 64}, {0xb2, 2}},
		{{0xa0000, 0x60000}, {0xfffc0000, 0x40000}}, .made = pc_made,
		.event = board_event),
	CHIP("q35-chipset",
		{"mch", "ich9", "ahci", "ich9-smbus", "root-port",
			"virtio-rng"},
		{{0xcf8, 8}, {PM_BASE, 128}, {0xb2, 2}, {PM_BASE + 0x60, 32}},
		{{MCH_ECAM, 0x200000}, {MCH_ECAM + (0x1c << 15), 0x1000},
			{ICH9_RCBA, 0x4000}},
		.prepare = q35_prepare, .made = q35_made, .event = board_event),
	CHIP("uart16550", {"uart16550"}, {{0x3f8, 8}}, .prepare = chr_prepare,
		.event = chr_event),
	CHIP("lpt", {"lpt"}, {{0x378, 8}, {0x778, 3}}, .prepare = chr_prepare,
		.event = chr_event),
	CHIP("debugcon", {"debugcon"}, {{0x402, 1}, {0xe9, 1}},
		.prepare = chr_prepare, .event = chr_event),
	CHIP("gameport", {"gameport"}, {{0x201, 1}}, .event = stick_event),
	CHIP("i8042", {"i8042"}, {{0x60, 1}, {0x64, 1}}, .event = keys_event),
	CHIP("ports", {"port92", "apm-port", "testdev"},
		{{0x92, 1}, {0xb0, 4}, {0xe0, 4}, {0xf4, 4}, {0x2000, 24}}),
	CHIP("fw_cfg", {"fw_cfg"}, {{0x510, 2}, {0x514, 8}}, .made = cfg_made,
		.event = cfg_event),
	CHIP("flash", {"flash", "vmgenid"},
		.mmio = {{FLASH_AT, 64 << 10}, {VMGENID_BASE, 4096}},
		.prepare = flash_prepare, .made = flash_made),
	CHIP("i6300esb", {"i6300esb"}, .mmio = {{FUZZ_MMIO, 16}}),
	{NULL},
};

FUZZ_MAIN(kinds)
