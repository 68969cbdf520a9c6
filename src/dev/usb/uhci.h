/*
 * uhci.h - a UHCI controller: the PIIX3's, or a companion of the ICH9's EHCI.
 */
#ifndef DEV_USB_UHCI_H
#define DEV_USB_UHCI_H

#include "dev/usb/usb.h"

#define UHCI_PORTS 2

enum {			/* host.index */
	UHCI_PIIX3,	/* at function 2 of host.pci_slot */
	UHCI_ICH9,	/* and the next two: at functions 0, 1, 2 */
	UHCI_ALONE = 4, /* in its slot */
};

extern const struct dev_class uhci_class;

struct usb_port *uhci_port(struct dev *d, unsigned n);

#endif
