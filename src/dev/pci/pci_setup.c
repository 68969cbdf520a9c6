/*
 * pci_setup.c - assigns PCI resources where no firmware does.
 *
 * Addresses are handed out in order, each aligned to its size; a function is
 * enabled only if everything it asked for fits.
 */
#include "dev/pci/pci_priv.h"
#include "dev/pci/pci_setup.h"

/* The ISA interrupts of PIRQ A..D as piix3_route_default() sets them. */
static const uint8_t pci_setup_irqs[4] = {10, 10, 11, 11};

struct pci_setup {
	uint64_t mmio, mmio_end;
	uint64_t io, io_end;
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
	pci_config_write(f->bus, 0, f->devfn, off, 4, addr);
	if (bar->mem64)
		pci_config_write(f->bus, 0, f->devfn, off + 4, 4, addr >> 32);
	return true;
}

static void pci_setup_func(struct pci_setup *s, struct pci_func *f)
{
	unsigned slot = f->devfn >> 3;
	bool all = true;

	for (unsigned n = 0; n < PCI_NBARS; n++)
		all &= pci_setup_bar(s, f, n);
	if (f->irq_pin)
		f->config[PCI_INTERRUPT_LINE] =
			pci_setup_irqs[(slot + f->irq_pin + 2) & 3];
	if (all)
		pci_config_write(f->bus, 0, f->devfn, PCI_COMMAND, 2,
			PCI_COMMAND_IO | PCI_COMMAND_MEMORY |
				PCI_COMMAND_MASTER);
}

void pci_setup_assign(struct pci_bus *b, uint64_t mmio, uint64_t mmio_end,
	uint16_t io, uint16_t io_end)
{
	struct pci_setup s = {mmio, mmio_end, io, io_end};

	for (unsigned devfn = 0; devfn < 256; devfn++)
		if (b->func[devfn])
			pci_setup_func(&s, b->func[devfn]);
}
