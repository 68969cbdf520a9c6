/*
 * virtio_ram.h - memory that a guest gives back: of virtio-balloon, and of
 * whoever else does so.
 */
#ifndef DEV_VIRTIO_VIRTIO_RAM_H
#define DEV_VIRTIO_VIRTIO_RAM_H

#include "dev/dev.h"

/*
 * The guest does without [gpa, gpa + len) until it touches it again; then it
 * is zero or what it was.  Any numbers: only whole pages of plain RAM go to the
 * host, not what lies under ROM, devices or nothing.  Lock held.
 */
void virtio_ram_discard(struct dev *d, gpa_t gpa, uint64_t len);

#endif
