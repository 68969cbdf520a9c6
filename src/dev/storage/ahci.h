/*
 * ahci.h - an AHCI controller with six ports, one drive each.
 */
#ifndef DEV_STORAGE_AHCI_H
#define DEV_STORAGE_AHCI_H

#include "dev/storage/ata.h"

#define AHCI_PORTS 6

extern const struct dev_class ahci_class;

/* Put a drive on a port; once each.  0 or -errno.  Lock held. */
int ahci_attach(struct dev *d, unsigned n, const struct ata_conf *c);
struct ata_drive *ahci_drive(struct dev *d, unsigned n);

#endif
