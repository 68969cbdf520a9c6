/*
 * vga_dispi.c - bochs' display interface: modes beyond the VGA's.
 *
 * Bochs' vbe_dispi documentation, versions 0xb0c0-0xb0c5: an index and a data
 * register at ports 0x1ce and 0x1cf.  The same registers and the VGA's are in
 * PCI BAR 2, where QEMU's standard-vga documentation puts them:
 *
 *   0x000 EDID   0x400 VGA ports from 0x3c0   0x500 DISPI, 2 bytes each
 *   0x600 length of this block, byte order
 */
#include <string.h>

#include "dev/video/vga_priv.h"

#define DISPI_ID0 0xb0c0
#define DISPI_ID5 0xb0c5

#define MMIO_PORTS	  0x400
#define MMIO_PORTS_END	  0x420
#define MMIO_DISPI	  0x500
#define MMIO_EXT	  0x600
#define MMIO_EXT_BYTES	  8
#define BYTE_ORDER_LITTLE 0x1e1e1e1eu

static uint32_t dispi_row_bytes(const struct vga_regs *r, uint32_t pixels)
{
	unsigned bpp = r->dispi[DISPI_BPP];

	/* four bits are a bit in each of four planes */
	return bpp == 4 ? pixels / 2 : pixels * ((bpp + 7) / 8);
}

/* Make what the guest wrote fit the memory. */
static void dispi_fit(struct vga *v)
{
	uint16_t *d = v->r.dispi;
	uint32_t rows;

	if (d[DISPI_BPP] != 4 && d[DISPI_BPP] != 15 && d[DISPI_BPP] != 16 &&
		d[DISPI_BPP] != 24 && d[DISPI_BPP] != 32)
		d[DISPI_BPP] = 8;
	d[DISPI_XRES] &= ~7;
	if (d[DISPI_XRES] > DISPLAY_MAX_WIDTH)
		d[DISPI_XRES] = DISPLAY_MAX_WIDTH;
	if (d[DISPI_XRES] < 8)
		d[DISPI_XRES] = 8;
	if (d[DISPI_YRES] > DISPLAY_MAX_HEIGHT)
		d[DISPI_YRES] = DISPLAY_MAX_HEIGHT;
	if (d[DISPI_YRES] < 1)
		d[DISPI_YRES] = 1;
	d[DISPI_VIRT_WIDTH] &= ~7;
	if (d[DISPI_VIRT_WIDTH] < d[DISPI_XRES])
		d[DISPI_VIRT_WIDTH] = d[DISPI_XRES];
	rows = v->vram_bytes / dispi_row_bytes(&v->r, d[DISPI_VIRT_WIDTH]);
	if (rows < d[DISPI_YRES]) {
		d[DISPI_VIRT_WIDTH] = d[DISPI_XRES];
		rows = v->vram_bytes / dispi_row_bytes(&v->r, d[DISPI_XRES]);
	}
	if (rows < d[DISPI_YRES])
		d[DISPI_YRES] = rows;
	d[DISPI_VIRT_HEIGHT] = rows > 0xffff ? 0xffff : rows;
	if (d[DISPI_X_OFFSET] > d[DISPI_VIRT_WIDTH] - d[DISPI_XRES])
		d[DISPI_X_OFFSET] = d[DISPI_VIRT_WIDTH] - d[DISPI_XRES];
	if (d[DISPI_Y_OFFSET] > rows - d[DISPI_YRES])
		d[DISPI_Y_OFFSET] = rows - d[DISPI_YRES];
}

static void dispi_enable(struct vga *v, uint16_t val)
{
	uint16_t *d = v->r.dispi;
	bool was = d[DISPI_ENABLE] & DISPI_ENABLED;

	d[DISPI_ENABLE] =
		val & (DISPI_ENABLED | DISPI_GETCAPS | DISPI_8BIT_DAC |
			      DISPI_LFB | DISPI_NOCLEAR);
	if (!(val & DISPI_ENABLED)) {
		d[DISPI_BANK] = 0;
		return;
	}
	if (was)
		return;
	d[DISPI_VIRT_WIDTH] = 0;
	d[DISPI_X_OFFSET] = d[DISPI_Y_OFFSET] = 0;
	d[DISPI_BANK] = 0;
	dispi_fit(v);
	if (!(val & DISPI_NOCLEAR))
		memset(v->vram, 0,
			(size_t)dispi_row_bytes(&v->r, d[DISPI_XRES]) *
				d[DISPI_YRES]);
}

static bool dispi_bank_ok(const struct vga *v, uint16_t bank)
{
	unsigned bytes = v->r.dispi[DISPI_BPP] == 4 ? 4 * 0x10000 : 0x10000;

	return (uint64_t)(bank + 1) * bytes <= v->vram_bytes;
}

void vga_dispi_clip(struct vga *v)
{
	uint16_t *d = v->r.dispi;

	d[DISPI_MEMORY] = v->vram_bytes >> 16;
	d[DISPI_ENABLE] &= DISPI_ENABLED | DISPI_GETCAPS | DISPI_8BIT_DAC |
			   DISPI_LFB | DISPI_NOCLEAR;
	if (d[DISPI_ENABLE] & DISPI_ENABLED)
		dispi_fit(v);
	if (!dispi_bank_ok(v, d[DISPI_BANK]))
		d[DISPI_BANK] = 0;
}

static void dispi_write(struct vga *v, unsigned index, uint16_t val)
{
	uint16_t *d = v->r.dispi;

	vga_touched(v);
	switch (index) {
	case DISPI_ID:
		if (val >= DISPI_ID0 && val <= DISPI_ID5)
			d[index] = val;
		break;
	case DISPI_ENABLE: dispi_enable(v, val); break;
	case DISPI_BANK:
		if (dispi_bank_ok(v, val))
			d[index] = val;
		break;
	case DISPI_XRES:
	case DISPI_YRES:
	case DISPI_BPP:
	case DISPI_VIRT_WIDTH:
	case DISPI_X_OFFSET:
	case DISPI_Y_OFFSET:
		d[index] = val;
		/* Set beforehand they may not fit together yet. */
		if (d[DISPI_ENABLE] & DISPI_ENABLED)
			dispi_fit(v);
		break;
	default: break;
	}
	vga_mem_update(v);
}

static uint16_t dispi_read(const struct vga *v, unsigned index)
{
	const uint16_t *d = v->r.dispi;

	if (d[DISPI_ENABLE] & DISPI_GETCAPS) {
		switch (index) {
		case DISPI_XRES: return DISPLAY_MAX_WIDTH;
		case DISPI_YRES: return DISPLAY_MAX_HEIGHT;
		case DISPI_BPP: return 32;
		}
	}
	return index < DISPI_COUNT ? d[index] : 0;
}

uint16_t vga_dispi_read(const struct vga *v)
{
	return dispi_read(v, v->r.dispi_index);
}

void vga_dispi_write(struct vga *v, uint16_t val)
{
	dispi_write(v, v->r.dispi_index, val);
}

/* ---- PCI BAR 2 ---- */

static uint64_t vga_mmio_byte(struct vga *v, uint64_t off)
{
	static const uint32_t ext[2] = {MMIO_EXT_BYTES, BYTE_ORDER_LITTLE};

	if (off < sizeof(v->edid))
		return v->edid[off];
	if (off < MMIO_PORTS)
		return 0;
	if (off < MMIO_PORTS_END)
		return vga_port_read(v, 0x3c0 + off - MMIO_PORTS);
	if (off >= MMIO_DISPI && off < MMIO_DISPI + 2 * DISPI_COUNT)
		return (uint8_t)(dispi_read(v, (off - MMIO_DISPI) / 2) >>
				 8 * (off & 1));
	if (off >= MMIO_EXT && off < MMIO_EXT + MMIO_EXT_BYTES)
		return ((const uint8_t *)ext)[off - MMIO_EXT];
	return 0;
}

static uint64_t vga_mmio_read(
	void *opaque, struct bus_cpu *who, uint64_t off, unsigned size)
{
	uint64_t val = 0;

	for (unsigned i = 0; i < size; i++)
		val |= vga_mmio_byte(opaque, off + i) << 8 * i;
	return val;
}

static void vga_mmio_write(void *opaque, struct bus_cpu *who, uint64_t off,
	unsigned size, uint64_t val)
{
	struct vga *v = opaque;

	if (off >= MMIO_PORTS && off + size <= MMIO_PORTS_END) {
		for (unsigned i = 0; i < size; i++)
			vga_port_write(
				v, 0x3c0 + off - MMIO_PORTS + i, val >> 8 * i);
	} else if (off >= MMIO_DISPI &&
		   off + size <= MMIO_DISPI + 2 * DISPI_COUNT && size >= 2) {
		for (unsigned i = 0; i < size; i += 2)
			dispi_write(
				v, (off - MMIO_DISPI + i) / 2, val >> 8 * i);
	}
}

const struct bus_mmio_ops vga_mmio_ops = {
	.read = vga_mmio_read,
	.write = vga_mmio_write,
};
