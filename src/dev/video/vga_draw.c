/*
 * vga_draw.c - the picture that the registers make of video memory.
 *
 * IBM PS/2 Hardware Interface Technical Reference, "Video Subsystem": the CRT
 * controller's address counter in byte, word and double-word mode, row scan
 * counter, line compare and panning; shift registers; attribute controller.
 *
 * A picture has as many pixels as the monitor gets dots and lines: 720x400 for
 * 80x25 text, 640x400 for 320x200.  What blinks is shown, the cursor too: a
 * screen at rest stays at rest.
 */
#include <string.h>

#include "dev/video/vga_priv.h"

#define SEQ_8DOTS      0x01 /* register 1 */
#define SEQ_HALF_CLOCK 0x08
#define SEQ_OFF	       0x20
#define SEQ_CHAIN4     0x08 /* register 4 */
#define GFX_PAIRS      0x20 /* register 5: 4-colour shift */
#define GFX_256	       0x40
#define ATTR_GRAPHICS  0x01 /* register 0x10 */
#define ATTR_LINES     0x04
#define ATTR_BLINK     0x08
#define ATTR_PAN_TOP   0x20
#define ATTR_P54       0x80
#define ATTR_PAS       0x20 /* index */
#define LINE_MAX       (DISPLAY_MAX_WIDTH + 64)

/* What stays the same for all lines of a picture. */
struct vga_frame {
	const struct vga_regs *r;
	const uint32_t *words;
	uint32_t mask; /* of a word's number */
	uint32_t colour[256];
	uint32_t ink[16]; /* of attributes and planes */
	unsigned chars, dots, zoom;
	unsigned width, height;
	unsigned rows;	  /* scan lines of a row of characters */
	unsigned repeats; /* scan lines shown for one counted */
	unsigned compare; /* the split begins behind this line */
	unsigned pitch;	  /* address counter, from row to row */
};

/* The beam's state from line to line. */
struct vga_scan {
	unsigned counter; /* address counter at the left */
	unsigned row;	  /* row scan counter */
	unsigned repeat;
	unsigned pan;
};

static void vga_colours(const struct vga_regs *r, uint32_t colour[256])
{
	bool wide = r->dispi[DISPI_ENABLE] & DISPI_8BIT_DAC;

	for (unsigned i = 0; i < 256; i++) {
		const uint8_t *dac = r->dac[i & r->dac_mask];
		uint32_t rgb = 0;

		for (unsigned k = 0; k < 3; k++)
			rgb = rgb << 8 |
			      (wide ? dac[k]
				    : (dac[k] & 63) << 2 | (dac[k] & 63) >> 4);
		colour[i] = rgb;
	}
}

static void vga_inks(struct vga_frame *f)
{
	const uint8_t *a = f->r->attr;

	for (unsigned i = 0; i < 16; i++) {
		uint8_t c = a[i & a[0x12] & 15];

		if (a[0x10] & ATTR_P54)
			c = (c & 15) | (a[0x14] & 15) << 4;
		else
			c = (c & 63) | (a[0x14] & 12) << 4;
		f->ink[i] = f->colour[c];
	}
}

static bool vga_frame_init(struct vga_frame *f, const struct vga_regs *r,
	const uint8_t *vram, uint32_t vram_bytes)
{
	const uint8_t *c = r->crtc;
	bool text = !(r->attr[0x10] & ATTR_GRAPHICS);

	f->r = r;
	f->words = (const uint32_t *)(const void *)vram;
	f->mask = (vram_bytes < 0x40000 ? vram_bytes : 0x40000) / 4 - 1;
	f->chars = c[1] + 1;
	f->dots = text && !(r->seq[1] & SEQ_8DOTS) ? 9 : 8;
	f->zoom = r->seq[1] & SEQ_HALF_CLOCK ? 2 : 1;
	f->width = f->chars * f->dots * f->zoom;
	f->height = (c[0x12] | (c[7] & 2) << 7 | (c[7] & 0x40) << 3) + 1;
	f->rows = (c[9] & 31) + 1;
	f->repeats = c[9] & 0x80 ? 2 : 1;
	f->compare = c[0x18] | (c[7] & 0x10) << 4 | (c[9] & 0x40) << 3;
	f->pitch = c[0x13] * 2;
	vga_colours(r, f->colour);
	vga_inks(f);
	return f->width <= DISPLAY_MAX_WIDTH && f->height <= DISPLAY_MAX_HEIGHT;
}

static struct vga_scan vga_scan_start(const struct vga_frame *f)
{
	const uint8_t *c = f->r->crtc;

	return (struct vga_scan){
		.counter = (c[0xc] << 8 | c[0xd]) + (c[8] >> 5 & 3),
		.row = c[8] & 31,
		.pan = f->r->attr[0x13],
	};
}

static void vga_scan_next(
	const struct vga_frame *f, struct vga_scan *s, unsigned line)
{
	if (line == f->compare) {
		s->counter = s->row = s->repeat = 0;
		if (f->r->attr[0x10] & ATTR_PAN_TOP)
			s->pan = 0;
		return;
	}
	if (++s->repeat < f->repeats)
		return;
	s->repeat = 0;
	/* The counter wraps at 32 even if the last row was passed. */
	if (s->row == f->rows - 1) {
		s->row = 0;
		s->counter += f->pitch;
	} else {
		s->row = (s->row + 1) & 31;
	}
}

/* The four planes at an address counter. */
static uint32_t vga_fetch(
	const struct vga_frame *f, unsigned counter, unsigned row)
{
	const uint8_t *c = f->r->crtc;
	unsigned a = counter & 0xffff;

	if (c[0x14] & 0x40) {
		/* Double words; chain 4 has them side by side. */
		if (!(f->r->seq[4] & SEQ_CHAIN4))
			a = a << 2 | (a >> 14 & 3);
	} else if (!(c[0x17] & 0x40)) {
		a = a << 1 | (a >> (c[0x17] & 0x20 ? 15 : 13) & 1);
	}
	if (!(c[0x17] & 1))
		a = (a & ~0x2000u) | (row & 1) << 13;
	if (!(c[0x17] & 2))
		a = (a & ~0x4000u) | (row & 2) << 13;
	return f->words[a & f->mask];
}

/* The address counter of character n of a line. */
static unsigned vga_counter(
	const struct vga_frame *f, const struct vga_scan *s, unsigned n)
{
	const uint8_t *c = f->r->crtc;

	return s->counter + (n >> (c[0x14] & 0x20 ? 2 : c[0x17] & 8 ? 1 : 0));
}

/* ---- text ---- */

/* Byte offsets of the font that attribute bit 3 set, clear selects. */
static void vga_fonts(const struct vga_regs *r, unsigned font[2])
{
	unsigned s = r->seq[3];
	unsigned map[2] = {(s & 3) | (s >> 2 & 4), (s >> 2 & 3) | (s >> 3 & 4)};

	for (unsigned i = 0; i < 2; i++)
		font[i] = (map[i] & 3) * 0x4000 + (map[i] >> 2) * 0x2000;
}

static bool vga_cursor_row(const struct vga_regs *r, unsigned row)
{
	unsigned from = r->crtc[0xa] & 31, to = r->crtc[0xb] & 31;

	return !(r->crtc[0xa] & 0x20) && row >= from && row <= to;
}

static unsigned vga_cursor_at(const struct vga_regs *r)
{
	return (r->crtc[0xe] << 8 | r->crtc[0xf]) + (r->crtc[0xb] >> 5 & 3);
}

/* One character's dots, leftmost in bit 8. */
static unsigned vga_glyph(
	const struct vga_frame *f, uint32_t word, unsigned font, unsigned row)
{
	uint8_t ch = word, attr = word >> 8;
	unsigned at = font + ch * 32 + row;
	unsigned dots = (f->words[at & f->mask] >> 16 & 0xff) << 1;

	if ((f->r->attr[0x10] & ATTR_LINES) && ch >= 0xc0 && ch <= 0xdf)
		dots |= dots >> 1 & 1;
	if ((attr & 7) == 1 && row == (f->r->crtc[0x14] & 31u))
		dots = 0x1ff;
	return dots;
}

static void vga_text_line(
	const struct vga_frame *f, const struct vga_scan *s, uint32_t *out)
{
	const struct vga_regs *r = f->r;
	bool blink = r->attr[0x10] & ATTR_BLINK;
	unsigned cursor = vga_cursor_row(r, s->row) ? vga_cursor_at(r) : ~0u;
	unsigned font[2];

	vga_fonts(r, font);
	for (unsigned n = 0; n <= f->chars; n++) {
		unsigned at = vga_counter(f, s, n);
		uint32_t word = vga_fetch(f, at, s->row);
		uint8_t attr = word >> 8;
		uint32_t fg = f->ink[attr & 15];
		uint32_t bg = f->ink[attr >> 4 & (blink ? 7 : 15)];
		unsigned dots = vga_glyph(f, word, font[attr >> 3 & 1], s->row);

		if ((at & 0xffff) == (cursor & 0xffff) && cursor != ~0u)
			dots = 0x1ff;
		for (unsigned x = 0; x < f->dots; x++)
			*out++ = dots >> (8 - x) & 1 ? fg : bg;
	}
}

/* ---- graphics ---- */

static void vga_planar(const struct vga_frame *f, uint32_t w, uint32_t *out)
{
	for (int x = 7; x >= 0; x--) {
		unsigned c = (w >> x & 1) | (w >> (x + 7) & 2) |
			     (w >> (x + 14) & 4) | (w >> (x + 21) & 8);

		*out++ = f->ink[c];
	}
}

/* Planes 0 and 2 hold four pixels, then 1 and 3. */
static void vga_pairs(const struct vga_frame *f, uint32_t w, uint32_t *out)
{
	for (unsigned half = 0; half < 2; half++, w >>= 8)
		for (int x = 6; x >= 0; x -= 2)
			*out++ = f->ink[(w >> x & 3) | (w >> (x + 14) & 12)];
}

static void vga_bytes(const struct vga_frame *f, uint32_t w, uint32_t *out)
{
	for (unsigned i = 0; i < 4; i++, w >>= 8)
		out[2 * i] = out[2 * i + 1] = f->colour[w & 0xff];
}

static void vga_graphics_line(
	const struct vga_frame *f, const struct vga_scan *s, uint32_t *out)
{
	uint8_t mode = f->r->gfx[5];

	for (unsigned n = 0; n <= f->chars; n++, out += 8) {
		uint32_t w = vga_fetch(f, vga_counter(f, s, n), s->row);

		if (mode & GFX_256)
			vga_bytes(f, w, out);
		else if (mode & GFX_PAIRS)
			vga_pairs(f, w, out);
		else
			vga_planar(f, w, out);
	}
}

/* Dots by which a line is moved to the left.  Lines of nine dots count 8 as
 * none and 0 as one. */
static unsigned vga_pan(const struct vga_frame *f, const struct vga_scan *s)
{
	unsigned pan = s->pan & 15;

	if (f->dots == 9)
		return pan >= 8 ? 0 : pan + 1;
	return pan & 7;
}

static void vga_zoom(uint32_t *line, unsigned n)
{
	while (n-- > 0)
		line[2 * n] = line[2 * n + 1] = line[n];
}

static void vga_lines(const struct vga_frame *f, struct display_view *view)
{
	bool text = !(f->r->attr[0x10] & ATTR_GRAPHICS);
	struct vga_scan s = vga_scan_start(f);
	uint32_t line[LINE_MAX];

	for (unsigned y = 0; y < f->height; y++) {
		uint32_t *from;

		if (text)
			vga_text_line(f, &s, line);
		else
			vga_graphics_line(f, &s, line);
		from = line + vga_pan(f, &s);
		if (f->zoom == 2)
			vga_zoom(from, f->width / 2);
		display_view_row(view, y, from);
		vga_scan_next(f, &s, y);
	}
}

/* ---- DISPI ---- */

static void dispi_line(const struct vga_regs *r, const uint32_t colour[256],
	const uint8_t *p, uint32_t *out)
{
	unsigned n = r->dispi[DISPI_XRES];

	switch (r->dispi[DISPI_BPP]) {
	case 8:
		for (unsigned x = 0; x < n; x++)
			out[x] = colour[p[x]];
		break;
	case 15:
	case 16:
		for (unsigned x = 0; x < n; x++, p += 2) {
			unsigned w = p[0] | p[1] << 8;
			unsigned six = r->dispi[DISPI_BPP] == 16;
			unsigned red = w >> (10 + six) & 31, blue = w & 31;
			unsigned green = six ? w >> 5 & 63 : w >> 5 & 31;

			green = six ? green << 2 | green >> 4
				    : green << 3 | green >> 2;
			out[x] = (red << 3 | red >> 2) << 16 | green << 8 |
				 (blue << 3 | blue >> 2);
		}
		break;
	case 24:
		for (unsigned x = 0; x < n; x++, p += 3)
			out[x] = p[0] | p[1] << 8 | (uint32_t)p[2] << 16;
		break;
	case 32:
		for (unsigned x = 0; x < n; x++, p += 4)
			out[x] = p[0] | p[1] << 8 | (uint32_t)p[2] << 16;
		break;
	}
}

static void dispi_planar_line(
	const struct vga_frame *f, uint64_t at, uint32_t *out)
{
	const struct vga_regs *r = f->r;

	for (unsigned x = 0; x < r->dispi[DISPI_XRES]; x += 8, at++)
		vga_planar(f, f->words[at & f->mask], out + x);
}

static void vga_draw_dispi(const struct vga_regs *r, const uint8_t *vram,
	uint32_t vram_bytes, struct display_view *view)
{
	const uint16_t *d = r->dispi;
	unsigned bytes = (d[DISPI_BPP] + 7) / 8;
	uint32_t line[LINE_MAX] = {0};
	struct vga_frame f = {.r = r,
		.words = (const uint32_t *)(const void *)vram,
		.mask = vram_bytes / 4 - 1};

	vga_colours(r, f.colour);
	vga_inks(&f);
	display_view_size(view, d[DISPI_XRES], d[DISPI_YRES]);
	for (unsigned y = 0; y < view->height; y++) {
		uint64_t at = (uint64_t)(y + d[DISPI_Y_OFFSET]) *
				      d[DISPI_VIRT_WIDTH] +
			      d[DISPI_X_OFFSET];

		if (d[DISPI_BPP] == 4)
			dispi_planar_line(&f, at / 8, line);
		else if ((at + d[DISPI_XRES]) * bytes <= vram_bytes)
			dispi_line(r, f.colour, vram + at * bytes, line);
		else
			memset(line, 0, sizeof(line));
		display_view_row(view, y, line);
	}
}

/* ---- all ---- */

static bool vga_blank(const struct vga_regs *r)
{
	return (r->seq[1] & SEQ_OFF) || !(r->attr_index & ATTR_PAS);
}

static void vga_draw_blank(const struct vga_regs *r, struct vga_frame *f,
	struct display_view *view)
{
	static const uint32_t black[DISPLAY_MAX_WIDTH];

	if (vga_dispi_bpp(r))
		display_view_size(
			view, r->dispi[DISPI_XRES], r->dispi[DISPI_YRES]);
	else
		display_view_size(view, f->width, f->height);
	for (unsigned y = 0; y < view->height; y++)
		display_view_row(view, y, black);
}

void vga_draw(const struct vga_regs *r, const uint8_t *vram,
	uint32_t vram_bytes, struct display_view *view)
{
	struct vga_frame f;

	view->dirty = false;
	if (!vga_frame_init(&f, r, vram, vram_bytes) && !vga_dispi_bpp(r))
		return;
	if (vga_blank(r)) {
		vga_draw_blank(r, &f, view);
	} else if (vga_dispi_bpp(r)) {
		vga_draw_dispi(r, vram, vram_bytes, view);
	} else {
		display_view_size(view, f.width, f.height);
		vga_lines(&f, view);
	}
}

bool vga_text(const struct vga_regs *r, const uint8_t *vram,
	uint32_t vram_bytes, struct display_text *t)
{
	struct vga_frame f;
	struct vga_scan s;
	unsigned cursor = vga_cursor_at(r);

	vga_frame_init(&f, r, vram, vram_bytes);
	if (vga_dispi_bpp(r) || (r->attr[0x10] & ATTR_GRAPHICS) || vga_blank(r))
		return false;
	s = vga_scan_start(&f);
	t->cols = f.chars;
	t->rows = f.height / (f.rows * f.repeats);
	if (t->cols * t->rows > DISPLAY_MAX_CELLS)
		t->rows = DISPLAY_MAX_CELLS / t->cols;
	t->cursor_col = t->cols;
	t->cursor_row = 0;
	for (unsigned y = 0; y < t->rows; y++, s.counter += f.pitch) {
		for (unsigned x = 0; x < t->cols; x++) {
			unsigned at = vga_counter(&f, &s, x);

			t->cell[y * t->cols + x] = vga_fetch(&f, at, 0);
			if ((at & 0xffff) != (cursor & 0xffff) ||
				(r->crtc[0xa] & 0x20))
				continue;
			t->cursor_col = x;
			t->cursor_row = y;
		}
	}
	return true;
}
