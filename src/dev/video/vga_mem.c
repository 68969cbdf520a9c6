/*
 * vga_mem.c - video memory as processors see it at 0xa0000-0xbffff.
 *
 * IBM PS/2 Hardware Interface Technical Reference, "Video Memory
 * Organization", "Graphics Controller Registers": map selection, odd/even and
 * chain 4 addressing, write modes 0-3, read modes 0 and 1.
 *
 * Chain 4 is linear here (the word is the address / 4, as on SVGA cards; the
 * IBM one leaves three of four words unused), so that a window in which a
 * byte written is a byte stored can be mapped as memory.
 */
#include <string.h>

#include "dev/video/vga_priv.h"

#define SEQ_SEQUENTIAL 0x04 /* register 4: no odd/even */
#define SEQ_CHAIN4     0x08
#define GFX_ODD_EVEN   0x10 /* register 5: reads */
#define GFX_CHAIN      0x02 /* register 6 */
#define MISC_RAM       0x02
#define MISC_PAGE      0x20 /* set: the low page, in odd/even modes */
#define BANK_BYTES     0x10000u
#define WINDOW_BASE    0xa0000u
#define VGA_PRIO       2 /* over the host bridge's empty window */

/* One bit a plane -> one byte a plane. */
static const uint32_t vga_planes[16] = {0x00000000, 0x000000ff, 0x0000ff00,
	0x0000ffff, 0x00ff0000, 0x00ff00ff, 0x00ffff00, 0x00ffffff, 0xff000000,
	0xff0000ff, 0xff00ff00, 0xff00ffff, 0xffff0000, 0xffff00ff, 0xffffff00,
	0xffffffff};

/* The address within the window that is selected; false: not there. */
static bool vga_mem_select(const struct vga *v, uint32_t *off)
{
	static const struct {
		uint32_t base, bytes;
	} map[4] = {{0, 0x20000}, {0, 0x10000}, {0x10000, 0x8000},
		{0x18000, 0x8000}};
	unsigned n = v->r.gfx[6] >> 2 & 3;

	if (!(v->r.misc & MISC_RAM) || *off < map[n].base ||
		*off - map[n].base >= map[n].bytes)
		return false;
	*off -= map[n].base;
	return true;
}

/* The word of four planes that an address reaches. */
static uint32_t *vga_mem_word(struct vga *v, uint32_t a)
{
	const struct vga_regs *r = &v->r;
	uint32_t word = a;

	if (r->seq[4] & SEQ_CHAIN4)
		word = a >> 2;
	else if (r->gfx[6] & GFX_CHAIN)
		word = (a & ~1u) | !(r->misc & MISC_PAGE);
	/* 64 KiB a plane; more with DISPI's banks only. */
	word = (word & 0xffff) +
	       (vga_dispi_bpp(r) ? r->dispi[DISPI_BANK] : 0) * BANK_BYTES;
	return (uint32_t *)v->vram + (word & (v->vram_bytes / 4 - 1));
}

/* The byte that DISPI's linear modes have at an address, or NULL. */
static uint8_t *vga_mem_banked(struct vga *v, uint32_t off)
{
	uint64_t at = (uint64_t)v->r.dispi[DISPI_BANK] * BANK_BYTES + off;

	return off < BANK_BYTES && at < v->vram_bytes ? v->vram + at : NULL;
}

uint8_t vga_mem_read(struct vga *v, uint32_t off)
{
	const struct vga_regs *r = &v->r;
	unsigned plane = r->gfx[4] & 3;
	uint32_t x;

	if (vga_dispi_bpp(r) > 4) {
		const uint8_t *p = vga_mem_banked(v, off);

		return p ? *p : 0xff;
	}
	if (!vga_mem_select(v, &off))
		return 0xff;
	v->latch = *vga_mem_word(v, off);
	if (r->gfx[5] & 8) {
		x = (v->latch ^ vga_planes[r->gfx[2]]) & vga_planes[r->gfx[7]];
		return ~(x | x >> 8 | x >> 16 | x >> 24);
	}
	if (r->seq[4] & SEQ_CHAIN4)
		plane = off & 3;
	else if (r->gfx[5] & GFX_ODD_EVEN)
		plane = (plane & 2) | (off & 1);
	return v->latch >> 8 * plane;
}

static uint32_t vga_mem_logic(const struct vga *v, uint32_t x)
{
	switch (v->r.gfx[3] >> 3) {
	case 1: return x & v->latch;
	case 2: return x | v->latch;
	case 3: return x ^ v->latch;
	default: return x;
	}
}

/* What a byte written becomes in the four planes. */
static uint32_t vga_mem_compose(const struct vga *v, uint8_t val)
{
	const uint8_t *g = v->r.gfx;
	uint32_t x, mask = g[8] * 0x01010101u;
	unsigned turn = g[3] & 7;
	uint8_t turned = val >> turn | val << (8 - turn);

	switch (g[5] & 3) {
	case 0:
		x = turned * 0x01010101u;
		x = (x & ~vga_planes[g[1]]) | vga_planes[g[0] & g[1]];
		break;
	case 1: return v->latch;
	case 2: x = vga_planes[val & 15]; break;
	default:
		x = vga_planes[g[0]];
		mask &= turned * 0x01010101u;
		break;
	}
	return (vga_mem_logic(v, x) & mask) | (v->latch & ~mask);
}

void vga_mem_write(struct vga *v, uint32_t off, uint8_t val)
{
	const struct vga_regs *r = &v->r;
	unsigned planes = r->seq[2];
	uint32_t *word, mask;

	vga_touched(v);
	if (vga_dispi_bpp(r) > 4) {
		uint8_t *p = vga_mem_banked(v, off);

		if (p)
			*p = val;
		return;
	}
	if (!vga_mem_select(v, &off))
		return;
	if (r->seq[4] & SEQ_CHAIN4)
		planes &= 1u << (off & 3);
	else if (!(r->seq[4] & SEQ_SEQUENTIAL))
		planes &= off & 1 ? 0xa : 0x5;
	mask = vga_planes[planes];
	word = vga_mem_word(v, off);
	*word = (*word & ~mask) | (vga_mem_compose(v, val) & mask);
}

/* ---- as memory ---- */

uint32_t vga_mem_linear(const struct vga *v, uint32_t *vram_off)
{
	const struct vga_regs *r = &v->r;
	const uint8_t *g = r->gfx;

	*vram_off = 0;
	if (!v->direct)
		return 0;
	if (vga_dispi_bpp(r) > 4) {
		*vram_off = r->dispi[DISPI_BANK] * BANK_BYTES;
		return *vram_off + BANK_BYTES <= v->vram_bytes ? BANK_BYTES : 0;
	}
	/* Chain 4 with nothing between the byte written and the byte stored. */
	if (vga_dispi_bpp(r) || !(r->seq[4] & SEQ_CHAIN4) || r->seq[2] != 15 ||
		g[1] || g[3] || (g[5] & 0x0b) || g[8] != 0xff ||
		!(r->misc & MISC_RAM) || (g[6] & 0x0c) > 4)
		return 0;
	return g[6] & 0x0c ? BANK_BYTES : 2 * BANK_BYTES;
}

void vga_mem_update(struct vga *v)
{
	struct bus *b = v->bus;
	uint32_t off, bytes = vga_mem_linear(v, &off);
	unsigned access = BUS_MAP_R | (v->armed ? 0 : BUS_MAP_W);
	bool same = bytes ? v->bank.mapped && v->bank.size == bytes &&
				    v->bank.host == v->vram + off &&
				    v->bank.access == access
			  : !v->bank.mapped;

	if (same)
		return;
	bus_region_unmap(b, &v->bank);
	if (!bytes)
		return;
	v->bank = (struct bus_region){
		.name = "vga-bank",
		.base = WINDOW_BASE,
		.size = bytes,
		.prio = VGA_PRIO + 1,
		.access = access,
		.host = v->vram + off,
	};
	bus_region_map(b, &v->bank);
}

static uint64_t vga_window_read(
	void *opaque, struct bus_cpu *who, uint64_t off, unsigned size)
{
	uint64_t val = 0;

	for (unsigned i = 0; i < size; i++)
		val |= (uint64_t)vga_mem_read(opaque, off + i) << 8 * i;
	return val;
}

static void vga_window_write(void *opaque, struct bus_cpu *who, uint64_t off,
	unsigned size, uint64_t val)
{
	for (unsigned i = 0; i < size; i++)
		vga_mem_write(opaque, off + i, val >> 8 * i);
}

static const struct bus_mmio_ops vga_window_ops = {
	.read = vga_window_read,
	.write = vga_window_write,
};

void vga_mem_init(struct vga *v)
{
	v->window = (struct bus_region){
		.name = "vga",
		.base = WINDOW_BASE,
		.size = 0x20000,
		.prio = VGA_PRIO,
		.access = BUS_MAP_R | BUS_MAP_W,
		.ops = &vga_window_ops,
		.opaque = v,
	};
	bus_region_map(v->bus, &v->window);
}
