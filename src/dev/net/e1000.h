/*
 * e1000.h - Intel 82540EM and 82574L gigabit Ethernet controllers.
 */
#ifndef DEV_NET_E1000_H
#define DEV_NET_E1000_H

#include "dev/dev.h"

extern const struct dev_class e1000_class, e1000e_class;

#endif
