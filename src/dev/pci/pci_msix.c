/*
 * pci_msix.c - MSI-X: table and pending bits in a BAR of their own.
 *
 * PCI Local Bus Specification 3.0, 6.8.2.  Table at 0, pending bit array at
 * 0x800 of the BAR, so at most 128 vectors.  A vector that is notified while
 * masked becomes pending and is sent when its mask goes.
 */
#include <string.h>

#include <glib.h>

#include "dev/pci/pci_priv.h"

#define MSIX_PBA	 0x800
#define MSIX_MAX	 (MSIX_PBA / 16)
#define MSIX_BAR_SIZE	 0x1000
#define MSIX_ENABLE	 0x80 /* in the high byte of message control */
#define MSIX_FUNC_MASK	 0x40
#define MSIX_VECTOR_MASK 1

static bool pci_msix_vector_masked(const struct pci_func *f, unsigned n)
{
	return f->msix.masked ||
	       (f->msix.table[16 * n + 12] & MSIX_VECTOR_MASK);
}

static void pci_msix_send(struct pci_func *f, unsigned n)
{
	const uint8_t *e = f->msix.table + 16 * n;
	uint64_t addr = pci_get32(e) | (uint64_t)pci_get32(e + 4) << 32;

	bus_msi_send(f->bus->bus, addr & ~3ull, pci_get32(e + 8));
}

static void pci_msix_flush(struct pci_func *f, unsigned n)
{
	uint64_t bit = 1ull << (n & 63);

	if (!(f->msix.pending[n / 64] & bit) || !f->msix.enabled ||
		pci_msix_vector_masked(f, n))
		return;
	f->msix.pending[n / 64] &= ~bit;
	pci_msix_send(f, n);
}

void pci_msix_notify(struct pci_func *f, unsigned n)
{
	if (!f->msix.enabled || n >= f->msix.nvectors || !f->bus)
		return;
	if (pci_msix_vector_masked(f, n))
		f->msix.pending[n / 64] |= 1ull << (n & 63);
	else
		pci_msix_send(f, n);
}

void pci_msix_control(struct pci_func *f)
{
	uint8_t control = f->config[f->msix.cap + 3];

	f->msix.enabled = control & MSIX_ENABLE;
	f->msix.masked = control & MSIX_FUNC_MASK;
}

void pci_msix_config_written(struct pci_func *f)
{
	pci_msix_control(f);
	for (unsigned i = 0; i < f->msix.nvectors; i++)
		pci_msix_flush(f, i);
}

static uint64_t pci_msix_read(
	void *opaque, struct bus_cpu *who, uint64_t off, unsigned size)
{
	struct pci_func *f = opaque;
	const uint8_t *from = NULL;
	uint64_t val = 0;

	if (off + size <= 16ull * f->msix.nvectors)
		from = f->msix.table + off;
	else if (off >= MSIX_PBA &&
		 off + size <= MSIX_PBA + (f->msix.nvectors + 63) / 64 * 8)
		from = (const uint8_t *)f->msix.pending + (off - MSIX_PBA);
	if (from)
		memcpy(&val, from, size);
	return val;
}

static void pci_msix_write(void *opaque, struct bus_cpu *who, uint64_t off,
	unsigned size, uint64_t val)
{
	struct pci_func *f = opaque;
	unsigned n = off / 16;

	if (off + size > 16ull * f->msix.nvectors || (off & (size - 1)))
		return;
	memcpy(f->msix.table + off, &val, size);
	/* Only the mask bit of vector control exists. */
	f->msix.table[16 * n + 12] &= MSIX_VECTOR_MASK;
	memset(f->msix.table + 16 * n + 13, 0, 3);
	pci_msix_flush(f, n);
}

static const struct bus_mmio_ops pci_msix_ops = {
	.read = pci_msix_read,
	.write = pci_msix_write,
};

void pci_add_msix(struct pci_func *f, unsigned bar, unsigned n)
{
	unsigned cap = pci_add_cap(f, PCI_CAP_ID_MSIX, 12);

	g_assert(n >= 1 && n <= MSIX_MAX && bar < PCI_NBARS);
	f->msix.nvectors = n;
	f->msix.cap = cap;
	f->msix.bar = bar;
	f->msix.table = g_malloc0(16 * n);
	f->msix.pending = g_new0(uint64_t, (n + 63) / 64);
	for (unsigned i = 0; i < n; i++)
		f->msix.table[16 * i + 12] = MSIX_VECTOR_MASK;
	pci_put16(f->config + cap + 2, n - 1);
	f->wmask[cap + 3] = MSIX_ENABLE | MSIX_FUNC_MASK;
	pci_put32(f->config + cap + 4, bar);
	pci_put32(f->config + cap + 8, MSIX_PBA | bar);
	f->bar[bar] = (struct pci_bar){
		.size = MSIX_BAR_SIZE,
		.mmio = &pci_msix_ops,
		.opaque = f,
	};
}
