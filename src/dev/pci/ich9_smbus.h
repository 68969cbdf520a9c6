/*
 * ich9_smbus.h - the ICH9's SMBus host controller 00:1f.3, with an EEPROM for
 * each memory module.
 */
#ifndef DEV_PCI_ICH9_SMBUS_H
#define DEV_PCI_ICH9_SMBUS_H

#include "dev/dev.h"

#define ICH9_SMBUS_FN 3

extern const struct dev_class ich9_smbus_class;

/* Enable the host, as firmware does.  Lock held. */
void ich9_smbus_setup(struct dev *d);

#endif
