/*
 * pci_setup.c - assigns PCI resources where no firmware does.
 *
 * Addresses are handed out in order, each aligned to its size; a function is
 * enabled only if everything it asked for fits.  Behind a bridge there is room
 * for cards that come later.
 */
#include "dev/pci/pci_setup.h"
#include "dev/pci/pci_priv.h"

/* The ISA interrupts of PIRQ A..D, and E..H, as the ISA bridges set them for
 * boots without firmware. */
static const uint8_t pci_setup_irqs[4] = {10, 10, 11, 11};

#define BRIDGE_MEM 0x200000 /* at least */
#define BRIDGE_IO  0x1000

struct pci_setup {
	uint64_t mmio, mmio_end;
	uint64_t io, io_end;
	unsigned (*pirq)(unsigned slot, unsigned pin);
	uint8_t last_bus;
};

static bool pci_setup_take(
	uint64_t *at, uint64_t end, uint64_t size, uint64_t *out)
{
	*out = (*at + size - 1) & ~(size - 1);
	if (*out + size > end)
		return false;
	*at = *out + size;
	return true;
}

static void pci_setup_write(
	struct pci_func *f, unsigned off, unsigned size, uint32_t val)
{
	uint8_t bus =
		f->bus->bridge ? f->bus->bridge->config[PCI_SECONDARY] : 0;
	struct pci_bus *root = f->bus;

	while (root->bridge)
		root = root->bridge->bus;
	pci_config_write(root, bus, f->devfn, off, size, val);
}

static bool pci_setup_bar(struct pci_setup *s, struct pci_func *f, unsigned n)
{
	struct pci_bar *bar = &f->bar[n];
	unsigned off = PCI_BAR0 + 4 * n;
	uint64_t addr;

	if (!bar->size)
		return true;
	if (!(bar->io ? pci_setup_take(&s->io, s->io_end, bar->size, &addr)
		      : pci_setup_take(
				&s->mmio, s->mmio_end, bar->size, &addr)))
		return false;
	pci_setup_write(f, off, 4, addr);
	if (bar->mem64)
		pci_setup_write(f, off + 4, 4, addr >> 32);
	return true;
}

static void pci_setup_bus(struct pci_setup *s, struct pci_bus *b);

static void pci_setup_bridge(struct pci_setup *s, struct pci_func *f)
{
	uint64_t mem, io, mem_last, io_last;

	if (!pci_setup_take(&s->mmio, s->mmio_end, 1 << 20, &mem) ||
		!pci_setup_take(&s->io, s->io_end, BRIDGE_IO, &io))
		return;
	s->mmio = mem;
	s->io = io;
	s->last_bus++;
	pci_setup_write(f, PCI_SECONDARY, 1, s->last_bus);
	pci_setup_write(f, PCI_SUBORDINATE, 1, 0xff);
	pci_setup_bus(s, f->secondary);
	pci_setup_write(f, PCI_SUBORDINATE, 1, s->last_bus);
	if (s->mmio < mem + BRIDGE_MEM)
		s->mmio = mem + BRIDGE_MEM;
	if (s->io < io + BRIDGE_IO)
		s->io = io + BRIDGE_IO;
	mem_last = s->mmio - 1;
	io_last = s->io - 1;
	pci_setup_write(f, PCI_MEM_BASE, 2, mem >> 16);
	pci_setup_write(f, PCI_MEM_LIMIT, 2, mem_last >> 16);
	pci_setup_write(f, PCI_PREF_BASE, 2, 0xfff0); /* closed */
	pci_setup_write(f, PCI_IO_BASE, 1, io >> 8);
	pci_setup_write(f, PCI_IO_LIMIT, 1, io_last >> 8);
	s->mmio = (s->mmio + 0xfffff) & ~0xfffffull;
	s->io = (s->io + 0xfff) & ~0xfffull;
}

static void pci_setup_func(struct pci_setup *s, struct pci_func *f)
{
	unsigned slot = f->devfn >> 3, pin = f->irq_pin - 1;
	bool all = true;

	for (unsigned n = 0; n < PCI_NBARS; n++)
		all &= pci_setup_bar(s, f, n);
	for (struct pci_bus *b = f->bus; f->irq_pin && b->bridge;
		b = b->bridge->bus) {
		pin = (slot + pin) & 3;
		slot = b->bridge->devfn >> 3;
	}
	if (f->irq_pin)
		f->config[PCI_INTERRUPT_LINE] =
			pci_setup_irqs[s->pirq(slot, pin) & 3];
	if (f->secondary)
		pci_setup_bridge(s, f);
	if (all)
		pci_setup_write(f, PCI_COMMAND, 2,
			PCI_COMMAND_IO | PCI_COMMAND_MEMORY |
				PCI_COMMAND_MASTER);
}

static void pci_setup_bus(struct pci_setup *s, struct pci_bus *b)
{
	for (unsigned devfn = 0; devfn < 256; devfn++)
		if (b->func[devfn])
			pci_setup_func(s, b->func[devfn]);
}

void pci_setup_assign(struct pci_bus *b, const struct pci_setup_room *r,
	unsigned (*pirq)(unsigned slot, unsigned pin))
{
	struct pci_setup s = {.mmio = r->mmio,
		.mmio_end = r->mmio_end,
		.io = r->io,
		.io_end = r->io_end,
		.pirq = pirq};

	pci_setup_bus(&s, b);
}
