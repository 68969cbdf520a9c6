/*
 * i440fx.h - host bridge 00:00.0 of the board pc.
 */
#ifndef DEV_PCI_I440FX_H
#define DEV_PCI_I440FX_H

#include "dev/pci/shadow.h"

extern const struct dev_class i440fx_class;

/* Its firmware image and memory attributes. */
struct shadow *i440fx_shadow(struct dev *d);

#endif
