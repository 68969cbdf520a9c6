/*
 * vga_mode.c - text mode 3, as the card's firmware would set it, for machines
 * that start a kernel without firmware.
 *
 * Register values: IBM PS/2 Hardware Interface Technical Reference, "VGA
 * register settings", mode 3+ (720x400, 80x25).
 */
#include <string.h>

#include "dev/video/vga_priv.h"

static const uint8_t mode3_seq[VGA_NSEQ] = {0x03, 0x00, 0x03, 0x00, 0x02};
static const uint8_t mode3_crtc[VGA_NCRTC] = {0x5f, 0x4f, 0x50, 0x82, 0x55,
	0x81, 0xbf, 0x1f, 0x00, 0x4f, 0x0d, 0x0e, 0x00, 0x00, 0x00, 0x00, 0x9c,
	0x8e, 0x8f, 0x28, 0x1f, 0x96, 0xb9, 0xa3, 0xff};
static const uint8_t mode3_gfx[VGA_NGFX] = {
	0x00, 0x00, 0x00, 0x00, 0x00, 0x10, 0x0e, 0x00, 0xff};
static const uint8_t mode3_attr[VGA_NATTR] = {0x00, 0x01, 0x02, 0x03, 0x04,
	0x05, 0x14, 0x07, 0x38, 0x39, 0x3a, 0x3b, 0x3c, 0x3d, 0x3e, 0x3f, 0x0c,
	0x00, 0x0f, 0x08, 0x00};

#define MODE3_MISC    0x67
#define MODE3_CELLS   (80 * 25)
#define GLYPHS	      256
#define GLYPH_SPACING 32 /* bytes of plane 2 */

/* Two of the glyphs that every VGA has, where 0x41 and 0x42 belong. */
const uint8_t *vga_find_font(const uint8_t *rom, size_t bytes)
{
	static const uint8_t ab[32] = {0x00, 0x00, 0x10, 0x38, 0x6c, 0xc6, 0xc6,
		0xfe, 0xc6, 0xc6, 0xc6, 0xc6, 0x00, 0x00, 0x00, 0x00, 0x00,
		0x00, 0xfc, 0x66, 0x66, 0x66, 0x7c, 0x66, 0x66, 0x66, 0x66,
		0xfc, 0x00, 0x00, 0x00, 0x00};
	const size_t at = 'A' * DISPLAY_GLYPH_ROWS;
	const size_t all = GLYPHS * DISPLAY_GLYPH_ROWS;

	for (size_t i = 0; i + all <= bytes; i++)
		if (memcmp(rom + i + at, ab, sizeof(ab)) == 0)
			return rom + i;
	return NULL;
}

static void mode3_palette(struct vga_regs *r)
{
	for (unsigned i = 0; i < 64; i++)
		for (unsigned k = 0; k < 3; k++)
			r->dac[i][k] = (i >> (2 - k) & 1) * 0x2a +
				       (i >> (5 - k) & 1) * 0x15;
}

void vga_set_text_mode(struct dev *d, const uint8_t *font)
{
	struct vga *v = vga_of(d);
	struct vga_regs *r = &v->r;
	uint32_t *words = (uint32_t *)(void *)v->vram;

	vga_touched(v);
	r->misc = MODE3_MISC;
	memcpy(r->seq, mode3_seq, sizeof(r->seq));
	memcpy(r->crtc, mode3_crtc, sizeof(r->crtc));
	memcpy(r->gfx, mode3_gfx, sizeof(r->gfx));
	memcpy(r->attr, mode3_attr, sizeof(r->attr));
	r->attr_index = 0x20;
	mode3_palette(r);
	memset(v->vram, 0, 0x40000);
	/* Word mode: cells are at every second address. */
	for (unsigned i = 0; i < MODE3_CELLS; i++)
		words[2 * i] = 0x0720;
	for (unsigned i = 0; i < GLYPHS * DISPLAY_GLYPH_ROWS; i++)
		v->vram[4 * (i / DISPLAY_GLYPH_ROWS * GLYPH_SPACING +
				    i % DISPLAY_GLYPH_ROWS) +
			2] = font[i];
	vga_mem_update(v);
}
