/*
 * storage.h - a USB disk or CD drive: mass storage, bulk-only transport.
 */
#ifndef DEV_USB_STORAGE_H
#define DEV_USB_STORAGE_H

#include "dev/usb/usb.h"

/* host.blk: the medium; host.readonly, host.serial.  A disk needs a medium, a
 * CD drive may be empty. */
extern const struct dev_class usb_disk_class, usb_cd_class;

struct scsi_unit *usb_storage_unit(struct dev *d);

#endif
