/*
 * vga_priv.h - what the files of the VGA share.
 *
 * Video memory is interleaved: byte 4 * n + p is byte n of plane p, so that
 * the four planes at one address are one 32-bit word, and 256-colour modes of
 * any size are linear.
 */
#ifndef DEV_VIDEO_VGA_PRIV_H
#define DEV_VIDEO_VGA_PRIV_H

#include "dev/pci/pci.h"
#include "dev/video/vga.h"

/* Register numbers are those of the IBM VGA. */
#define VGA_NSEQ  5
#define VGA_NCRTC 0x19
#define VGA_NGFX  9
#define VGA_NATTR 0x15

enum vga_dispi {
	DISPI_ID,
	DISPI_XRES,
	DISPI_YRES,
	DISPI_BPP,
	DISPI_ENABLE,
	DISPI_BANK,
	DISPI_VIRT_WIDTH,
	DISPI_VIRT_HEIGHT,
	DISPI_X_OFFSET,
	DISPI_Y_OFFSET,
	DISPI_MEMORY, /* in units of 64 KiB; read only */
	DISPI_COUNT,
};

#define DISPI_ENABLED  0x01
#define DISPI_GETCAPS  0x02
#define DISPI_8BIT_DAC 0x20
#define DISPI_LFB      0x40
#define DISPI_NOCLEAR  0x80

/* All that a picture depends on but memory: copied to draw. */
struct vga_regs {
	uint8_t misc, feature;
	uint8_t seq_index, seq[VGA_NSEQ];
	uint8_t crtc_index, crtc[VGA_NCRTC];
	uint8_t gfx_index, gfx[VGA_NGFX];
	uint8_t attr_index, attr[VGA_NATTR]; /* index with bit 5, PAS */
	bool attr_data;			     /* the next write is data */
	uint8_t dac[256][3];
	uint8_t dac_mask, dac_index, dac_part, dac_latch[3];
	bool dac_reading;
	uint16_t dispi_index, dispi[DISPI_COUNT];
};

struct vga {
	struct bus *bus;
	struct pci_func *pci; /* its BAR 0 is ours */
	struct vga_regs r;
	uint32_t latch;
	uint8_t diag; /* bits 5:4 of input status 1 */
	uint8_t *vram;
	uint32_t vram_bytes;
	bool direct; /* memory may be mapped */
	/* Who looks, to be woken by a change. */
	bool armed;
	void (*wake)(void *opaque);
	void *looker;
	struct bus_region window; /* 0xa0000-0xbffff */
	struct bus_region bank;	  /* over it where memory is linear */
	uint8_t edid[128];
};

/* Claims ports and regions, fills BAR 0 of a function that is not plugged in
 * yet.  0 or -errno. */
int vga_init(
	struct vga *v, struct bus *b, struct pci_func *f, uint32_t vram_bytes);
void vga_reset(struct vga *v);
void vga_fini(struct vga *v); /* before the function is unplugged */
void vga_source_init(struct vga *v, struct display_source *out);
/* What of it is saved. */
extern const struct state_list vga_state;
/* The VGA within a device of either class. */
struct vga *vga_of(struct dev *d);

/* The picture may have changed. */
void vga_touched_slow(struct vga *v);

static inline void vga_touched(struct vga *v)
{
	if (__builtin_expect(v->armed, 0))
		vga_touched_slow(v);
}

/* DISPI drives the screen with this many bits a pixel, or 0: the VGA does. */
static inline unsigned vga_dispi_bpp(const struct vga_regs *r)
{
	return r->dispi[DISPI_ENABLE] & DISPI_ENABLED ? r->dispi[DISPI_BPP] : 0;
}

/* ---- vga_regs.c: ports 0x3b4-0x3df ---- */

uint8_t vga_port_read(struct vga *v, uint16_t port);
void vga_port_write(struct vga *v, uint16_t port, uint8_t val);
/* Drop bits that no register has. */
void vga_regs_clip(struct vga_regs *r);

/* ---- vga_mem.c: 0xa0000-0xbffff ---- */

/* off from 0xa0000 */
uint8_t vga_mem_read(struct vga *v, uint32_t off);
void vga_mem_write(struct vga *v, uint32_t off, uint8_t val);
/* Where the window at 0xa0000 is plain memory now: bytes of it (0: it is
 * not) and where in memory. */
uint32_t vga_mem_linear(const struct vga *v, uint32_t *vram_off);
void vga_mem_init(struct vga *v);
/* Map the window to fit the registers. */
void vga_mem_update(struct vga *v);

/* ---- vga_dispi.c ---- */

uint16_t vga_dispi_read(const struct vga *v);
void vga_dispi_write(struct vga *v, uint16_t val);
/* Make registers that were loaded fit the memory. */
void vga_dispi_clip(struct vga *v);
/* Registers of PCI BAR 2. */
extern const struct bus_mmio_ops vga_mmio_ops;
/* With a size that is preferred, below 4096 each. */
void vga_edid(uint8_t edid[128], unsigned width, unsigned height);

#define VGA_WIDTH  1280 /* preferred */
#define VGA_HEIGHT 800

/* ---- vga_draw.c ---- */

void vga_draw(const struct vga_regs *r, const uint8_t *vram,
	uint32_t vram_bytes, struct display_view *view);
bool vga_text(const struct vga_regs *r, const uint8_t *vram,
	uint32_t vram_bytes, struct display_text *t);

#endif
