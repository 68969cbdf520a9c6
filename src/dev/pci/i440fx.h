/*
 * i440fx.h - host bridge 00:00.0 with the firmware image and its shadowing.
 */
#ifndef DEV_PCI_I440FX_H
#define DEV_PCI_I440FX_H

#include "dev/dev.h"

extern const struct dev_class i440fx_class;

/*
 * Give the firmware image: it ends at 4 GiB and its last 128 KiB (or all of
 * it, if smaller) also at 1 MiB.  64 KiB to 16 MiB, a multiple of 64 KiB; the
 * memory stays the caller's and must outlive the device and be page aligned.
 * 0 or -EINVAL.  Lock held.
 */
int i440fx_set_bios(struct dev *d, uint8_t *image, uint32_t bytes);

/* Make 0xc0000-0xfffff plain RAM: boots without firmware, after reset. */
void i440fx_open_shadow(struct dev *d);

#endif
