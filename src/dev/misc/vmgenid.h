/*
 * vmgenid.h - the virtual machine's generation id: 16 bytes in memory that
 * change when a guest finds itself in the past or beside itself.
 */
#ifndef DEV_MISC_VMGENID_H
#define DEV_MISC_VMGENID_H

#include "dev/dev.h"

#define VMGENID_BASE  0xfeda0000u /* a page of its own, reserved */
#define VMGENID_BYTES 16
/* The event that tells of a change: reserved in the PIIX4 (82371AB data sheet,
 * 7.1.5) and in the ICH9 (its data sheet, 13.8.3.8). */
#define VMGENID_GPE 15

extern const struct dev_class vmgenid_class;

/* False: it is that already.  The guest is told by VMGENID_GPE, which is the
 * caller's to raise.  Lock held. */
bool vmgenid_set(struct dev *d, const uint8_t id[VMGENID_BYTES]);
const uint8_t *vmgenid_get(const struct dev *d);

#endif
