/*
 * lsi.h - an LSI 53C895A: a host adapter for parallel SCSI with 15 targets, one
 * logical unit each.
 */
#ifndef DEV_STORAGE_LSI_H
#define DEV_STORAGE_LSI_H

#include "dev/dev.h"
#include "dev/storage/scsi.h"

#define LSI_TARGETS 16u
#define LSI_HOST    7u /* its own number on the bus, as a rule */

extern const struct dev_class lsi_class; /* "lsi53c895a" */

/* Put a unit at a target, before the machine runs; the cable and autosense of c
 * are set here.  0 or -errno.  Lock held. */
int lsi_attach(struct dev *d, unsigned target, struct scsi_conf *c);
/* NULL: nothing is there. */
struct scsi_unit *lsi_unit(struct dev *d, unsigned target);

#endif
