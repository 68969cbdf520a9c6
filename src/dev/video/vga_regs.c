/*
 * vga_regs.c - the VGA's registers at ports 0x3b4-0x3df.
 *
 * IBM PS/2 Hardware Interface Technical Reference, "Video Subsystem": general
 * registers, sequencer, CRT controller, graphics controller, attribute
 * controller, digital-to-analog converter.  Bits that do not exist read 0.
 */
#include "dev/video/vga_priv.h"

static const uint8_t vga_seq_bits[VGA_NSEQ] = {0x03, 0x3d, 0x0f, 0x3f, 0x0e};
static const uint8_t vga_gfx_bits[VGA_NGFX] = {
	0x0f, 0x0f, 0x0f, 0x1f, 0x03, 0x7b, 0x0f, 0x0f, 0xff};

#define CRTC_PROTECT  0x80 /* in register 0x11 */
#define CRTC_OVERFLOW 7
#define CRTC_LC8      0x10 /* in it: not protected */
#define CRTC_LATCH    0x22
#define CRTC_ATTR     0x24
#define ATTR_PAS      0x20

/* ---- where the beam is ---- */

#define STS1_OFF   0x01 /* the display is not enabled at this moment */
#define STS1_RETR  0x08 /* vertical retrace */
#define STS1_DIAG  0x30
#define STS0_SENSE 0x10

struct vga_beam {
	unsigned line, character; /* now */
	unsigned lines;		  /* per frame */
};

static struct vga_beam vga_beam(const struct vga *v)
{
	const uint8_t *c = v->r.crtc;
	unsigned dots = v->r.seq[1] & 1 ? 8 : 9;
	uint64_t hz = (v->r.misc >> 2 & 3) == 1 ? 28322000 : 25175000;
	struct vga_beam b;
	uint64_t chars;

	if (v->r.seq[1] & 8)
		dots *= 2;
	b.lines = (c[6] | (c[7] & 1) << 8 | (c[7] & 0x20) << 4) + 2;
	/* Characters since the machine started; seconds apart, or the product
	 * would not fit. */
	chars = bus_clock_ns(v->bus);
	chars = chars / 1000000000 % 3600 * (hz / dots) +
		chars % 1000000000 * (hz / dots) / 1000000000;
	b.character = chars % (c[0] + 5u);
	b.line = chars / (c[0] + 5u) % b.lines;
	return b;
}

static uint8_t vga_status1(struct vga *v)
{
	const uint8_t *c = v->r.crtc;
	struct vga_beam b = vga_beam(v);
	unsigned shown = c[0x12] | (c[7] & 2) << 7 | (c[7] & 0x40) << 3;
	unsigned from = c[0x10] | (c[7] & 4) << 6 | (c[7] & 0x80) << 2;
	unsigned len = (c[0x11] - from) & 15;
	uint8_t val = 0;

	if (b.line > shown || b.character > c[1])
		val |= STS1_OFF;
	else
		v->diag ^= STS1_DIAG;
	if (b.line >= from && b.line < from + (len ? len : 16))
		val |= STS1_RETR;
	return val | v->diag;
}

/* The comparator sees whether the colour that is shown is bright enough: how
 * BIOSes tell a colour monitor. */
static uint8_t vga_status0(const struct vga *v)
{
	const uint8_t *rgb = v->r.dac[0];

	return rgb[0] + rgb[1] + rgb[2] < 0x4e ? STS0_SENSE : 0;
}

/* ---- CRT controller ---- */

static uint8_t vga_crtc_read(const struct vga *v)
{
	unsigned i = v->r.crtc_index;

	if (i < VGA_NCRTC)
		return v->r.crtc[i];
	if (i == CRTC_LATCH)
		return v->latch >> 8 * (v->r.gfx[4] & 3);
	if (i == CRTC_ATTR)
		return v->r.attr_data ? 0x80 : 0;
	return 0;
}

static void vga_crtc_write(struct vga *v, uint8_t val)
{
	unsigned i = v->r.crtc_index;
	uint8_t *c = v->r.crtc;

	if (i >= VGA_NCRTC)
		return;
	if (i <= CRTC_OVERFLOW && (c[0x11] & CRTC_PROTECT)) {
		if (i == CRTC_OVERFLOW)
			c[i] = (c[i] & ~CRTC_LC8) | (val & CRTC_LC8);
		return;
	}
	c[i] = val;
}

/* ---- attribute controller ---- */

static const uint8_t vga_attr_bits[] = {[0x10] = 0xef,
	[0x11] = 0xff,
	[0x12] = 0x3f,
	[0x13] = 0x0f,
	[0x14] = 0x0f};

static void vga_attr_write(struct vga *v, uint8_t val)
{
	unsigned i = v->r.attr_index & 0x1f;

	v->r.attr_data = !v->r.attr_data;
	if (v->r.attr_data) {
		v->r.attr_index = val & (ATTR_PAS | 0x1f);
		return;
	}
	/* The palette belongs to the screen while that is on. */
	if (i < 16 && !(v->r.attr_index & ATTR_PAS))
		v->r.attr[i] = val & 0x3f;
	else if (i >= 16 && i < VGA_NATTR)
		v->r.attr[i] = val & vga_attr_bits[i];
}

static uint8_t vga_attr_read(const struct vga *v)
{
	unsigned i = v->r.attr_index & 0x1f;

	return i < VGA_NATTR ? v->r.attr[i] : 0;
}

/* ---- digital-to-analog converter ---- */

static void vga_dac_write(struct vga *v, uint8_t val)
{
	struct vga_regs *r = &v->r;
	bool wide = r->dispi[DISPI_ENABLE] & DISPI_8BIT_DAC;

	r->dac_latch[r->dac_part++] = wide ? val : val & 0x3f;
	if (r->dac_part < 3)
		return;
	for (unsigned i = 0; i < 3; i++)
		r->dac[r->dac_index][i] = r->dac_latch[i];
	r->dac_part = 0;
	r->dac_index++;
}

static uint8_t vga_dac_read(struct vga *v)
{
	struct vga_regs *r = &v->r;
	uint8_t val = r->dac[r->dac_index][r->dac_part++];

	if (r->dac_part == 3) {
		r->dac_part = 0;
		r->dac_index++;
	}
	return val;
}

static void vga_dac_seek(struct vga *v, uint8_t index, bool reading)
{
	v->r.dac_index = index;
	v->r.dac_part = 0;
	v->r.dac_reading = reading;
}

/* ---- ports ---- */

/* The CRT controller's ports and input status 1 follow the miscellaneous
 * output register: 0x3dx in colour, 0x3bx in monochrome. */
static bool vga_port_hidden(const struct vga *v, uint16_t port)
{
	bool colour = v->r.misc & 1;

	return (port < 0x3c0 && colour) || (port >= 0x3d0 && !colour);
}

uint8_t vga_port_read(struct vga *v, uint16_t port)
{
	struct vga_regs *r = &v->r;

	if (vga_port_hidden(v, port))
		return 0xff;
	switch (port) {
	case 0x3b4:
	case 0x3d4: return r->crtc_index;
	case 0x3b5:
	case 0x3d5: return vga_crtc_read(v);
	case 0x3ba:
	case 0x3da: r->attr_data = false; return vga_status1(v);
	case 0x3c0: return r->attr_index;
	case 0x3c1: return vga_attr_read(v);
	case 0x3c2: return vga_status0(v);
	case 0x3c3: return 1; /* always enabled */
	case 0x3c4: return r->seq_index;
	case 0x3c5: return r->seq_index < VGA_NSEQ ? r->seq[r->seq_index] : 0;
	case 0x3c6: return r->dac_mask;
	case 0x3c7: return r->dac_reading ? 3 : 0;
	case 0x3c8: return r->dac_index;
	case 0x3c9: return vga_dac_read(v);
	case 0x3ca: return r->feature;
	case 0x3cc: return r->misc;
	case 0x3ce: return r->gfx_index;
	case 0x3cf: return r->gfx_index < VGA_NGFX ? r->gfx[r->gfx_index] : 0;
	default: return 0xff;
	}
}

static void vga_seq_write(struct vga *v, uint8_t val)
{
	unsigned i = v->r.seq_index;

	if (i < VGA_NSEQ)
		v->r.seq[i] = val & vga_seq_bits[i];
}

static void vga_gfx_write(struct vga *v, uint8_t val)
{
	unsigned i = v->r.gfx_index;

	if (i < VGA_NGFX)
		v->r.gfx[i] = val & vga_gfx_bits[i];
}

void vga_regs_clip(struct vga_regs *r)
{
	for (unsigned i = 0; i < VGA_NSEQ; i++)
		r->seq[i] &= vga_seq_bits[i];
	for (unsigned i = 0; i < VGA_NGFX; i++)
		r->gfx[i] &= vga_gfx_bits[i];
	for (unsigned i = 0; i < VGA_NATTR; i++)
		r->attr[i] &= i < 16 ? 0x3f : vga_attr_bits[i];
	r->seq_index &= 7;
	r->crtc_index &= 0x3f;
	r->gfx_index &= 0x0f;
	r->attr_index &= ATTR_PAS | 0x1f;
}

void vga_port_write(struct vga *v, uint16_t port, uint8_t val)
{
	struct vga_regs *r = &v->r;

	if (vga_port_hidden(v, port))
		return;
	vga_touched(v);
	switch (port) {
	case 0x3b4:
	case 0x3d4: r->crtc_index = val & 0x3f; break;
	case 0x3b5:
	case 0x3d5: vga_crtc_write(v, val); break;
	case 0x3ba:
	case 0x3da: r->feature = val & 0x0b; break;
	case 0x3c0: vga_attr_write(v, val); break;
	case 0x3c2: r->misc = val & 0xef; break;
	case 0x3c4: r->seq_index = val & 7; break;
	case 0x3c5: vga_seq_write(v, val); break;
	case 0x3c6: r->dac_mask = val; break;
	case 0x3c7: vga_dac_seek(v, val, true); break;
	case 0x3c8: vga_dac_seek(v, val, false); break;
	case 0x3c9: vga_dac_write(v, val); break;
	case 0x3ce: r->gfx_index = val & 0x0f; break;
	case 0x3cf: vga_gfx_write(v, val); break;
	}
	vga_mem_update(v);
}
