/*
 * hub.h - a hub with eight ports, at full or high speed.
 */
#ifndef DEV_USB_HUB_H
#define DEV_USB_HUB_H

#include "dev/usb/usb.h"

#define USB_HUB_PORTS 8

extern const struct dev_class usb_hub_class;

#endif
