/*
 * ccid.h - a USB smart-card reader with one slot (Integrated Circuit(s) Cards
 * Interface Devices 1.1), whose card is a program at the other end of a
 * socket.
 */
#ifndef DEV_USB_CCID_H
#define DEV_USB_CCID_H

#include "dev/usb/usb.h"

/* host.chr: the line to the card, as docs/usb.md says. */
extern const struct dev_class usb_ccid_class;

#endif
