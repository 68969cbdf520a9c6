/*
 * virtio_scsi.h - a virtio SCSI host adapter (virtio 1.2, 5.6) with 16
 * targets, one logical unit each.
 */
#ifndef DEV_VIRTIO_VIRTIO_SCSI_H
#define DEV_VIRTIO_VIRTIO_SCSI_H

#include "dev/dev.h"
#include "dev/storage/scsi.h"

#define VIRTIO_SCSI_TARGETS    16u
#define VIRTIO_SCSI_MAX_QUEUES 8u /* of requests */

extern const struct dev_class virtio_scsi_class; /* "virtio-scsi" */

/* Bus lock held for all of these. */

/* Put a unit at a target; the cable and autosense of c are set here.  A driver
 * that runs is told.  0 or -errno. */
int virtio_scsi_attach(struct dev *d, unsigned target, struct scsi_conf *c);
/* Take it away, and what it had in it; a driver that runs is told. */
struct blk *virtio_scsi_detach(struct dev *d, unsigned target);
/* NULL: nothing is there. */
struct scsi_unit *virtio_scsi_unit(struct dev *d, unsigned target);
/* Its medium is another one: tell the driver. */
void virtio_scsi_changed(struct dev *d, unsigned target);

#endif
