/*
 * pci.c - a PCI bus, its functions' configuration space and address decoding.
 *
 * PCI Local Bus Specification 3.0: 3.2.2.3.2 (configuration mechanism #1, the
 * ports 0xcf8 and 0xcfc), 6.1 and 6.2 (configuration space), 6.2.5 (base
 * addresses), 6.7 (capabilities), 2.2.6 (interrupt pins).
 *
 * A base address decodes while the command register says so; where RAM is,
 * RAM wins, as the host bridge claims it first.  A base address of zero is
 * taken for "not yet assigned".
 */
#include <errno.h>
#include <string.h>

#include <glib.h>

#include "dev/pci/pci_priv.h"

/* Overlays nothing that the board itself decodes. */
#define PCI_MMIO_PRIO 0
#define PCI_MMIO_MAX  (1ull << 52)

/* ---- address decoding ---- */

static uint32_t pci_bar_port_read(void *opaque, uint16_t port, unsigned size)
{
	struct pci_bar *bar = opaque;

	return bar->ports->read
		       ? bar->ports->read(bar->opaque, port - bar->addr, size)
		       : 0xffffffff;
}

static void pci_bar_port_write(
	void *opaque, uint16_t port, unsigned size, uint32_t val)
{
	struct pci_bar *bar = opaque;

	if (bar->ports->write)
		bar->ports->write(bar->opaque, port - bar->addr, size, val);
}

static void pci_bar_map(struct pci_func *f, struct pci_bar *bar, uint64_t addr)
{
	struct bus *b = f->bus->bus;

	bar->addr = addr;
	bar->active = true;
	if (bar->io) {
		bar->io_ops = (struct bus_io_ops){
			.read = pci_bar_port_read,
			.write = pci_bar_port_write,
			.sizes = bar->ports->sizes,
		};
		bus_io_claim(b, addr, bar->size, &bar->io_ops, bar);
		return;
	}
	bar->region = (struct bus_region){
		.name = f->dev ? f->dev->id : "pci",
		.base = addr,
		.size = bar->size,
		.prio = PCI_MMIO_PRIO,
		.access = BUS_MAP_R | BUS_MAP_W,
		.host = bar->host,
		.ops = bar->mmio,
		.opaque = bar->opaque,
	};
	if (bar->host && bar->trap) {
		bar->writes = bar->region;
		bar->writes.access = BUS_MAP_W;
		bar->writes.host = NULL;
		bar->region.access = BUS_MAP_R;
		bus_region_map(b, &bar->writes);
	}
	bus_region_map(b, &bar->region);
}

static void pci_bar_unmap(struct pci_func *f, struct pci_bar *bar)
{
	if (!bar->active)
		return;
	bar->active = false;
	if (bar->io) {
		bus_io_release(f->bus->bus, bar->addr, bar->size, bar);
		return;
	}
	bus_region_unmap(f->bus->bus, &bar->region);
	bus_region_unmap(f->bus->bus, &bar->writes);
}

void pci_bar_trap(struct pci_func *f, unsigned n, bool trap)
{
	struct pci_bar *bar = &f->bar[n];
	bool active = bar->active;

	if (bar->trap == trap && bar->region.host == bar->host)
		return;
	bar->trap = trap;
	pci_bar_unmap(f, bar);
	if (active)
		pci_bar_map(f, bar, bar->addr);
}

/* The address that BAR n holds, or 0 if it does not decode. */
static uint64_t pci_bar_wanted(const struct pci_func *f, unsigned n)
{
	const struct pci_bar *bar = &f->bar[n];
	uint16_t command = pci_get16(f->config + PCI_COMMAND);
	uint64_t addr = pci_get32(f->config + PCI_BAR0 + 4 * n);

	if (!bar->size ||
		!(command & (bar->io ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY)))
		return 0;
	if (bar->mem64)
		addr |= (uint64_t)pci_get32(f->config + PCI_BAR0 + 4 * n + 4)
			<< 32;
	addr &= ~(bar->size - 1);
	if (!pci_bus_passes(f->bus, bar->io, addr, bar->size))
		return 0;
	if (bar->io)
		return addr + bar->size <= 0x10000 ? addr : 0;
	/* All ones is what sizing leaves there for a moment. */
	if (!bar->mem64 && addr + bar->size > 0xffffffff)
		return 0;
	return addr + bar->size <= PCI_MMIO_MAX ? addr : 0;
}

static void pci_rom_remap(struct pci_func *f)
{
	uint32_t reg = pci_get32(f->config + PCI_ROM);
	uint64_t addr = reg & ~(f->rom_size - 1);
	bool on = f->rom && (reg & 1) && addr &&
		  (f->config[PCI_COMMAND] & PCI_COMMAND_MEMORY) &&
		  addr + f->rom_size <= 0xffffffff &&
		  pci_bus_passes(f->bus, false, addr, f->rom_size);

	if (f->rom_region.mapped && on && f->rom_region.base == addr)
		return;
	bus_region_unmap(f->bus->bus, &f->rom_region);
	if (!on)
		return;
	f->rom_region = (struct bus_region){
		.name = "pci-rom",
		.base = addr,
		.size = f->rom_size,
		.prio = PCI_MMIO_PRIO,
		.access = BUS_MAP_R,
		.host = f->rom,
	};
	bus_region_map(f->bus->bus, &f->rom_region);
}

void pci_func_remap(struct pci_func *f)
{
	if (!f->bus)
		return;
	for (unsigned n = 0; n < PCI_NBARS; n++) {
		struct pci_bar *bar = &f->bar[n];
		uint64_t addr = pci_bar_wanted(f, n);

		if (bar->active && bar->addr == addr)
			continue;
		pci_bar_unmap(f, bar);
		if (addr)
			pci_bar_map(f, bar, addr);
	}
	pci_rom_remap(f);
}

/* ---- interrupt pins ---- */

/* Behind a bridge the pins of its slots come out rotated by the slot (PCI to
 * PCI Bridge Architecture 1.2, 9.1). */
static void pci_bus_intx(
	struct pci_bus *b, unsigned slot, unsigned pin, bool level)
{
	for (;;) {
		uint8_t *count = &b->asserted[slot][pin];

		*count += level ? 1 : -1;
		if (*count != level)
			return; /* another function pulls it too */
		if (!b->bridge || !b->bridge->bus)
			break;
		pin = (slot + pin) & 3;
		slot = b->bridge->devfn >> 3;
		b = b->bridge->bus;
	}
	if (b->route)
		b->route(b->route_opaque, slot, pin, level);
}

void pci_func_update_intx(struct pci_func *f)
{
	uint16_t command = pci_get16(f->config + PCI_COMMAND);
	bool out = f->irq_level && !(command & PCI_COMMAND_NO_INTX);

	if (f->irq_level)
		f->config[PCI_STATUS] |= PCI_STATUS_INTX;
	else
		f->config[PCI_STATUS] &= ~PCI_STATUS_INTX;
	if (!f->bus || !f->irq_pin || out == f->irq_out)
		return;
	f->irq_out = out;
	pci_bus_intx(f->bus, f->devfn >> 3, f->irq_pin - 1, out);
}

void pci_set_intx(struct pci_func *f, bool level)
{
	if (f->irq_level == level)
		return;
	f->irq_level = level;
	pci_func_update_intx(f);
}

/* ---- configuration space ---- */

static void pci_bar_set_mask(struct pci_func *f, unsigned n)
{
	struct pci_bar *bar = &f->bar[n];
	unsigned off = PCI_BAR0 + 4 * n;
	uint32_t low = ~(uint32_t)(bar->size - 1);

	if (!bar->size)
		return;
	if (bar->io) {
		pci_put32(f->wmask + off, low & ~3u);
		f->config[off] |= 1;
		return;
	}
	pci_put32(f->wmask + off, low & ~15u);
	f->config[off] |= (bar->mem64 ? 4 : 0) | (bar->prefetch ? 8 : 0);
	if (bar->mem64 && n + 1 < PCI_NBARS)
		pci_put32(f->wmask + off + 4, ~((bar->size - 1) >> 32));
}

void pci_func_init(
	struct pci_func *f, struct dev *d, const struct pci_ident *id)
{
	memset(f, 0, sizeof(*f));
	f->dev = d;
	pci_put16(f->config + PCI_VENDOR_ID, id->vendor);
	pci_put16(f->config + PCI_DEVICE_ID, id->device);
	pci_put32(f->config + PCI_REVISION, id->class_code << 8 | id->revision);
	pci_put16(f->config + PCI_SUB_VENDOR, id->sub_vendor);
	pci_put16(f->config + PCI_SUB_ID, id->sub_id);
	f->next_cap = PCI_FIRST_CAP;
	pci_put16(f->wmask + PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MEMORY |
						  PCI_COMMAND_MASTER |
						  PCI_COMMAND_NO_INTX);
	f->wmask[0x0c] = 0xff; /* cache line size */
	f->wmask[0x0d] = 0xff; /* latency timer */
	f->wmask[PCI_INTERRUPT_LINE] = 0xff;
}

void pci_set_rom(struct pci_func *f, uint8_t *rom, uint32_t size)
{
	f->rom = rom;
	f->rom_size = size;
	pci_put32(f->wmask + PCI_ROM, ~(size - 1) | 1);
}

int pci_func_plug(struct pci_func *f, struct pci_bus *b, int devfn)
{
	for (int slot = b->bridge ? 0 : 2; devfn < 0 && slot < 32; slot++)
		if (!b->func[slot << 3])
			devfn = slot << 3;
	if (devfn < 0)
		return -ENOSPC;
	if (devfn > 255 || b->func[devfn])
		return -EBUSY;
	f->bus = b;
	f->devfn = devfn;
	f->config[PCI_INTERRUPT_PIN] = f->irq_pin;
	if (f->express_able && b->express && !f->express)
		pci_add_express(f, b->bridge ? PCI_EXPRESS_ENDPOINT
					     : PCI_EXPRESS_INTEGRATED);
	for (unsigned n = 0; n < PCI_NBARS; n++)
		pci_bar_set_mask(f, n);
	if (f->rom)
		pci_set_rom(f, f->rom, f->rom_size);
	b->func[devfn] = f;
	return 0;
}

void pci_func_unplug(struct pci_func *f)
{
	if (!f->bus)
		return;
	pci_set_intx(f, false);
	for (unsigned n = 0; n < PCI_NBARS; n++)
		pci_bar_unmap(f, &f->bar[n]);
	bus_region_unmap(f->bus->bus, &f->rom_region);
	f->bus->func[f->devfn] = NULL;
	f->bus = NULL;
	g_free(f->msix.table);
	g_free(f->msix.pending);
	f->msix = (struct pci_msix){0};
}

/* The bits of a base address that say what it is stay. */
static void pci_bar_clear(struct pci_func *f, unsigned off)
{
	for (unsigned i = 0; i < 4; i++)
		f->config[off + i] &= ~f->wmask[off + i];
}

void pci_func_reset(struct pci_func *f)
{
	pci_put16(f->config + PCI_COMMAND, 0);
	f->config[0x0c] = f->config[0x0d] = 0;
	f->config[PCI_INTERRUPT_LINE] = 0;
	for (unsigned n = 0; n < PCI_NBARS; n++)
		pci_bar_clear(f, PCI_BAR0 + 4 * n);
	pci_bar_clear(f, PCI_ROM);
	pci_set_intx(f, false);
	pci_express_reset(f);
	if (f->msi_cap)
		f->config[f->msi_cap + 2] &= ~1;
	if (f->msix.nvectors) {
		f->config[f->msix.cap + 3] &= 0x3f;
		memset(f->msix.pending, 0, (f->msix.nvectors + 63) / 64 * 8);
		for (unsigned i = 0; i < f->msix.nvectors; i++) {
			memset(f->msix.table + 16 * i, 0, 16);
			f->msix.table[16 * i + 12] = 1;
		}
		pci_msix_config_written(f);
	}
	pci_func_remap(f);
}

unsigned pci_add_cap(struct pci_func *f, uint8_t id, unsigned len)
{
	unsigned at = f->next_cap;

	g_assert(at + len <= PCI_CONFIG_SIZE);
	f->config[at] = id;
	f->config[at + 1] = f->config[PCI_CAP_POINTER];
	f->config[PCI_CAP_POINTER] = at;
	f->config[PCI_STATUS] |= PCI_STATUS_CAPS;
	f->next_cap = (at + len + 3) & ~3u;
	return at;
}

static uint32_t pci_func_config_read(
	struct pci_func *f, unsigned off, unsigned size)
{
	uint32_t val = 0;

	if (f->config_reading)
		f->config_reading(f, off, size);
	for (unsigned i = 0; i < size; i++)
		val |= (uint32_t)f->config[off + i] << (8 * i);
	return val;
}

static bool pci_touches(
	unsigned off, unsigned size, unsigned first, unsigned last)
{
	return off <= last && off + size > first;
}

static void pci_func_config_write(
	struct pci_func *f, unsigned off, unsigned size, uint32_t val)
{
	for (unsigned i = 0; i < size; i++) {
		uint8_t v = val >> (8 * i), w = f->wmask[off + i];
		uint8_t *c = &f->config[off + i];

		*c = (*c & ~w) | (v & w);
		*c &= ~(v & f->w1cmask[off + i]);
	}
	if (pci_touches(off, size, PCI_COMMAND, PCI_COMMAND + 1)) {
		pci_func_remap(f);
		pci_func_update_intx(f);
	} else if (pci_touches(off, size, PCI_BAR0, PCI_BAR0 + 23) ||
		   pci_touches(off, size, PCI_ROM, PCI_ROM + 3)) {
		pci_func_remap(f);
	}
	if (f->secondary && pci_touches(off, size, PCI_COMMAND, PCI_ROM + 3))
		pci_bus_remap(f->secondary);
	if (f->msix.nvectors &&
		pci_touches(off, size, f->msix.cap + 2, f->msix.cap + 3))
		pci_msix_config_written(f);
	if (f->config_written)
		f->config_written(f, off, size);
}

static struct pci_func *pci_config_func(struct pci_bus *b, uint8_t bus,
	uint8_t devfn, unsigned off, unsigned size)
{
	if ((size != 1 && size != 2 && size != 4) ||
		off + size > PCI_EXPRESS_SIZE)
		return NULL;
	b = pci_bus_number(b, bus);
	return b ? b->func[devfn] : NULL;
}

uint32_t pci_config_read(struct pci_bus *b, uint8_t bus, uint8_t devfn,
	unsigned off, unsigned size)
{
	struct pci_func *f = pci_config_func(b, bus, devfn, off, size);

	if (f && off + size <= PCI_CONFIG_SIZE)
		return pci_func_config_read(f, off, size);
	/* A list of extended capabilities that ends at once (7.6.2). */
	if (f && f->express && off >= PCI_CONFIG_SIZE)
		return 0;
	return 0xffffffff >> (32 - 8 * (size & 7));
}

void pci_config_write(struct pci_bus *b, uint8_t bus, uint8_t devfn,
	unsigned off, unsigned size, uint32_t val)
{
	struct pci_func *f = pci_config_func(b, bus, devfn, off, size);

	if (f && off + size <= PCI_CONFIG_SIZE)
		pci_func_config_write(f, off, size, val);
}

/* ---- configuration mechanism #1 ---- */

#define PCI_ADDRESS_ENABLE 0x80000000u
#define PCI_ADDRESS_MASK   0x80fffffcu

static uint32_t pci_address_read(void *opaque, uint16_t port, unsigned size)
{
	struct pci_bus *b = opaque;

	if (size == 4)
		return b->address;
	if (port == 0xcf9 && size == 1 && b->cf9_read)
		return b->cf9_read(b->cf9_opaque);
	return 0xffffffff;
}

static void pci_address_write(
	void *opaque, uint16_t port, unsigned size, uint32_t val)
{
	struct pci_bus *b = opaque;

	if (size == 4)
		b->address = val & PCI_ADDRESS_MASK;
	else if (port == 0xcf9 && size == 1 && b->cf9_write)
		b->cf9_write(b->cf9_opaque, val);
}

static uint32_t pci_data_read(void *opaque, uint16_t port, unsigned size)
{
	struct pci_bus *b = opaque;
	uint32_t a = b->address;

	if (!(a & PCI_ADDRESS_ENABLE))
		return 0xffffffff;
	return pci_config_read(
		b, a >> 16, a >> 8, (a & 0xfc) | (port & 3), size);
}

static void pci_data_write(
	void *opaque, uint16_t port, unsigned size, uint32_t val)
{
	struct pci_bus *b = opaque;
	uint32_t a = b->address;

	if (a & PCI_ADDRESS_ENABLE)
		pci_config_write(
			b, a >> 16, a >> 8, (a & 0xfc) | (port & 3), size, val);
}

static const struct bus_io_ops pci_address_ops = {
	.read = pci_address_read,
	.write = pci_address_write,
	.sizes = 1 | 2 | 4,
};

static const struct bus_io_ops pci_data_ops = {
	.read = pci_data_read,
	.write = pci_data_write,
	.sizes = 1 | 2 | 4,
};

/* ---- the bus ---- */

struct pci_bus *pci_bus_new(struct bus *bus)
{
	struct pci_bus *b = g_new0(struct pci_bus, 1);

	b->bus = bus;
	bus_io_claim(bus, 0xcf8, 4, &pci_address_ops, b);
	bus_io_claim(bus, 0xcfc, 4, &pci_data_ops, b);
	return b;
}

void pci_bus_free(struct pci_bus *b)
{
	if (!b)
		return;
	if (b->bridge) {
		b->bridge->secondary = NULL;
		if (b->bridge->bus)
			b->bridge->bus->nbridges--;
	} else {
		bus_io_release(b->bus, 0xcf8, 4, b);
		bus_io_release(b->bus, 0xcfc, 4, b);
	}
	g_free(b);
}

void pci_bus_set_express(struct pci_bus *b)
{
	b->express = true;
}

void pci_bus_set_route(struct pci_bus *b,
	void (*set)(void *opaque, unsigned slot, unsigned pin, bool level),
	void *opaque)
{
	b->route = set;
	b->route_opaque = opaque;
}

void pci_bus_set_cf9(struct pci_bus *b, uint8_t (*read)(void *opaque),
	void (*write)(void *opaque, uint8_t val), void *opaque)
{
	b->cf9_read = read;
	b->cf9_write = write;
	b->cf9_opaque = opaque;
}

struct pci_func *pci_bus_func(struct pci_bus *b, unsigned devfn)
{
	return devfn < 256 ? b->func[devfn] : NULL;
}
