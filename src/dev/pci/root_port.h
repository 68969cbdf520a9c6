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

/* ---- cards that come and go while the machine runs; lock held ---- */

bool root_port_free(const struct dev *d);
/* A card was plugged into the bus, or out of it. */
void root_port_changed(struct dev *d);
/* Press the slot's button: the guest shall let go of the card.  When it has
 * switched the slot off, off is called, from where it did. */
void root_port_ask(struct dev *d);
void root_port_watch(struct dev *d, void (*off)(void *opaque), void *opaque);
/* It was asked, and has done so. */
bool root_port_is_off(const struct dev *d);

#endif
