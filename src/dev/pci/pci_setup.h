/*
 * pci_setup.h - what firmware does to PCI, for boots without firmware.
 */
#ifndef DEV_PCI_PCI_SETUP_H
#define DEV_PCI_PCI_SETUP_H

#include "dev/pci/pci.h"

/* Give every BAR of bus 0 an address from [mmio, mmio_end) or [io, io_end),
 * the interrupt line register its ISA interrupt, and enable decoding.
 * Functions whose BARs do not fit stay disabled.  Lock held. */
void pci_setup_assign(struct pci_bus *b, uint64_t mmio, uint64_t mmio_end,
	uint16_t io, uint16_t io_end);

#endif
