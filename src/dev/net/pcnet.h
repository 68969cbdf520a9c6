/*
 * pcnet.h - AMD Am79C970A (PCnet-PCI II) Ethernet controller.
 */
#ifndef DEV_NET_PCNET_H
#define DEV_NET_PCNET_H

#include "dev/dev.h"

extern const struct dev_class pcnet_class;

#endif
