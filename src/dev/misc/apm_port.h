/*
 * apm_port.h - port 0x8900, through which firmware and test programs power
 * off a virtual machine.
 */
#ifndef DEV_MISC_APM_PORT_H
#define DEV_MISC_APM_PORT_H

#include "dev/dev.h"

extern const struct dev_class apm_port_class;

#endif
