/*
 * ide.h - the IDE function of the PIIX3 (00:01.1, unless dev_host says where):
 * two cables with two drives each at the ports that every PC has them.
 */
#ifndef DEV_STORAGE_IDE_H
#define DEV_STORAGE_IDE_H

#include "dev/storage/ata.h"

#define IDE_DEVFN  (1 << 3 | 1)
#define IDE_FN	   1 /* of the ISA bridge's slot */
#define IDE_DRIVES 4 /* first the two of the first channel */

extern const struct dev_class ide_class;

/* Put a drive on a cable; once each.  0 or -errno.  Lock held. */
int ide_attach(struct dev *d, unsigned n, const struct ata_conf *c);
struct ata_drive *ide_drive(struct dev *d, unsigned n);

/* Decode the ports, as firmware has it done.  Lock held. */
void ide_enable(struct dev *d);

#endif
