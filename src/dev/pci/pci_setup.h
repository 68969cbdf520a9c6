/*
 * pci_setup.h - what firmware does to PCI, for boots without firmware.
 */
#ifndef DEV_PCI_PCI_SETUP_H
#define DEV_PCI_PCI_SETUP_H

#include "dev/pci/pci.h"

struct pci_setup_room {
	uint64_t mmio, mmio_end; /* first and behind the last address */
	uint16_t io, io_end;
};

/* Give every BAR of bus 0 and of the buses behind its bridges an address, the
 * interrupt line register its ISA interrupt, bridges their numbers and
 * windows, and enable decoding.  pirq: which of PIRQ A.. a pin (0..3) of a
 * slot of bus 0 is wired to.  Functions whose BARs do not fit stay disabled.
 * Lock held. */
void pci_setup_assign(struct pci_bus *b, const struct pci_setup_room *r,
	unsigned (*pirq)(unsigned slot, unsigned pin));

#endif
