/*
 * ne2000.h - network cards around a DP8390: the NE2000 for ISA, and Realtek's
 * RTL8029AS for PCI.
 */
#ifndef DEV_NET_NE2000_H
#define DEV_NET_NE2000_H

#include "dev/dev.h"

extern const struct dev_class ne2000_class;	/* RTL8029AS */
extern const struct dev_class ne2000_isa_class; /* host.isa_port, isa_irq */

#endif
