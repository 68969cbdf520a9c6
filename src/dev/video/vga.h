/*
 * vga.h - a VGA with VBE by bochs' DISPI interface, PCI 1234:1111.
 */
#ifndef DEV_VIDEO_VGA_H
#define DEV_VIDEO_VGA_H

#include "dev/dev.h"
#include "display/display.h"

extern const struct dev_class vga_class;

/* dev_host.vram_bytes: a power of two. */
#define VGA_VRAM_DEFAULT (16u << 20)
#define VGA_VRAM_MIN	 (1u << 20)
#define VGA_VRAM_MAX	 (256u << 20)

/* What draws it.  Its callbacks take the bus lock. */
void vga_source(struct dev *d, struct display_source *out);

/* Processors write its memory directly where they can (the default), or every
 * access comes here.  Lock held. */
void vga_set_direct(struct dev *d, bool direct);

/*
 * The 8x16 font within a VGA BIOS image: 256 glyphs of 16 bytes, or NULL.
 */
const uint8_t *vga_find_font(const uint8_t *rom, size_t bytes);

/* Text mode 3 with that font, as firmware leaves it.  Lock held. */
void vga_set_text_mode(struct dev *d, const uint8_t *font);

#endif
