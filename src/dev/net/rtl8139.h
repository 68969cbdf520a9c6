/*
 * rtl8139.h - Realtek RTL8139 fast Ethernet controllers.
 */
#ifndef DEV_NET_RTL8139_H
#define DEV_NET_RTL8139_H

#include "dev/dev.h"

extern const struct dev_class rtl8139_class;  /* C+ */
extern const struct dev_class rtl8139c_class; /* C: no descriptor rings */

#endif
