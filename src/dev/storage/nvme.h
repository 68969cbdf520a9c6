/*
 * nvme.h - an NVMe 1.4 controller with one namespace.
 *
 * From struct dev_host: bus, pci, blk, readonly, serial.
 */
#ifndef DEV_STORAGE_NVME_H
#define DEV_STORAGE_NVME_H

#include "dev/dev.h"

extern const struct dev_class nvme_class; /* "nvme" */

#endif
