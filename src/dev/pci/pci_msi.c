/*
 * pci_msi.c - MSI with one vector (PCI Local Bus Specification 3.0, 6.8.1):
 * 64-bit address, no masks.
 */
#include "dev/pci/pci_priv.h"

#define MSI_ENABLE 0x01
#define MSI_64BIT  0x80

void pci_add_msi(struct pci_func *f)
{
	unsigned cap = pci_add_cap(f, PCI_CAP_ID_MSI, 14);

	f->msi_cap = cap;
	f->config[cap + 2] = MSI_64BIT;
	f->wmask[cap + 2] = MSI_ENABLE;
	pci_put32(f->wmask + cap + 4, ~3u);
	pci_put32(f->wmask + cap + 8, ~0u);
	pci_put16(f->wmask + cap + 12, 0xffff);
}

bool pci_msi_enabled(const struct pci_func *f)
{
	return f->msi_cap && (f->config[f->msi_cap + 2] & MSI_ENABLE);
}

void pci_msi_notify(struct pci_func *f)
{
	const uint8_t *c = f->config + f->msi_cap;

	if (pci_msi_enabled(f) && f->bus)
		bus_msi_send(f->bus->bus,
			pci_get32(c + 4) | (uint64_t)pci_get32(c + 8) << 32,
			pci_get16(c + 12));
}
