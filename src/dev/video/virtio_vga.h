/*
 * virtio_vga.h - a VGA whose function is a virtio GPU too.
 */
#ifndef DEV_VIDEO_VIRTIO_VGA_H
#define DEV_VIDEO_VIRTIO_VGA_H

#include "dev/dev.h"
#include "display/display.h"

struct vga;

extern const struct dev_class virtio_vga_class;

struct vga *virtio_vga_core(struct dev *d);
void virtio_vga_source(struct dev *d, struct display_source *out);

#endif
