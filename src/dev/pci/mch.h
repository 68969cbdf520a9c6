/*
 * mch.h - host bridge 00:00.0 of the board q35.
 */
#ifndef DEV_PCI_MCH_H
#define DEV_PCI_MCH_H

#include "dev/pci/shadow.h"

#define MCH_ECAM       0xb0000000u /* where firmware for QEMU-class boards */
#define MCH_ECAM_BYTES 0x10000000u /* puts configuration space */

extern const struct dev_class mch_class;

/* Its firmware image and memory attributes. */
struct shadow *mch_shadow(struct dev *d);
/* Put configuration space at MCH_ECAM, as firmware does; after reset. */
void mch_open_ecam(struct dev *d);

#endif
