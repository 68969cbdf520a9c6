/*
 * xhci.h - an xHCI controller: eight sockets, each a port of USB 2 and one of
 * USB 3.
 */
#ifndef DEV_USB_XHCI_H
#define DEV_USB_XHCI_H

#include "dev/usb/usb.h"

#define XHCI_SOCKETS 8u
#define XHCI_PORTS   (2 * XHCI_SOCKETS) /* those of USB 2 come first */

extern const struct dev_class xhci_class;

struct usb_port *xhci_port(struct dev *d, unsigned n);

#endif
