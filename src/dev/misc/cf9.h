/*
 * cf9.h - the reset control register, port 0xcf9, of Intel's south bridges.
 */
#ifndef DEV_MISC_CF9_H
#define DEV_MISC_CF9_H

#include "dev/pci/pci.h"

struct cf9 {
	struct bus *bus;
	uint8_t mask; /* bits that can be set */
	uint8_t val;
};

/* On the host bridge's address register, amid which the port lies. */
void cf9_init(struct cf9 *c, struct pci_bus *pci, struct bus *b, uint8_t mask);
void cf9_fini(struct pci_bus *pci);

#endif
