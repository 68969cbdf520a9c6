/*
 * devices.h - the virtio device classes, for dev_table.c.
 *
 * What they take from struct dev_host: pci and bus always; virtio-blk blk,
 * readonly, serial and queues; virtio-net net and mac; virtio-console chr;
 * virtio-9p share; virtio-balloon ram; virtio-vsock vsock.
 */
#ifndef DEV_VIRTIO_DEVICES_H
#define DEV_VIRTIO_DEVICES_H

#include "dev/dev.h"
#include "display/display.h"

extern const struct dev_class virtio_blk_class;	     /* "virtio-blk" */
extern const struct dev_class virtio_net_class;	     /* "virtio-net" */
extern const struct dev_class virtio_console_class;  /* "virtio-console" */
extern const struct dev_class virtio_rng_class;	     /* "virtio-rng" */
extern const struct dev_class virtio_balloon_class;  /* "virtio-balloon" */
extern const struct dev_class virtio_9p_class;	     /* "virtio-9p" */
extern const struct dev_class virtio_tablet_class;   /* "virtio-tablet" */
extern const struct dev_class virtio_keyboard_class; /* "virtio-keyboard" */
extern const struct dev_class virtio_vsock_class;    /* "virtio-vsock" */

/* Where its pointer's place comes from.  Takes the bus lock. */
void virtio_tablet_input(struct dev *d, struct display_input *out);

/* A key as display/display.h numbers them; false: no driver runs it.  Lock
 * held. */
bool virtio_keyboard_key(struct dev *d, unsigned code, bool down);
/* The guest has been told of all. */
bool virtio_keyboard_idle(const struct dev *d);

#endif
