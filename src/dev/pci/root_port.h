/*
 * root_port.h - a PCI Express root port with a slot, of the ICH9's class.
 */
#ifndef DEV_PCI_ROOT_PORT_H
#define DEV_PCI_ROOT_PORT_H

#include "dev/dev.h"

#define ROOT_PORT_SLOT 0x1c
#define ROOT_PORT_MAX  6

/* dev_host.index: 0..5, which is the function of slot 1c. */
extern const struct dev_class root_port_class;

/* The bus that its slot is on. */
struct pci_bus *root_port_bus(struct dev *d);

#endif
