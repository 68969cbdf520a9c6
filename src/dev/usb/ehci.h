/*
 * ehci.h - the EHCI controller of the ICH9, whose ports lead to companions for
 * devices that are not of high speed.
 */
#ifndef DEV_USB_EHCI_H
#define DEV_USB_EHCI_H

#include "dev/usb/usb.h"

#define EHCI_PORTS	6
#define EHCI_COMPANIONS 3 /* of two ports each */
#define EHCI_FUNCTION	7

/* At function 7 of host.pci_slot. */
extern const struct dev_class ehci_class;

struct usb_port *ehci_port(struct dev *d, unsigned n);
/* Port n's other way leads to p.  Before anything is plugged in. */
void ehci_set_companion(struct dev *d, unsigned n, struct usb_port *p);

#endif
