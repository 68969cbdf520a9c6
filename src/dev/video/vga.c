/*
 * vga.c - the card: PCI function, memory, ports, who looks.
 *
 * PCI 1234:1111 as firmware and drivers know it: BAR 0 video memory, BAR 2
 * registers (vga_dispi.c), an option ROM.
 *
 * Video memory is mapped into the guest, which writes it without our seeing
 * it.  Whoever looks compares; when nothing has changed for a while it arms
 * us, and writes come here until the first one wakes it.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "dev/video/vga_priv.h"

#define VGA_BAR_MMIO 2
#define VGA_MMIO     4096

static struct vga *vga_of(struct dev *d)
{
	return (struct vga *)d;
}

/* ---- who looks ---- */

static void vga_trap(struct vga *v, bool armed)
{
	v->armed = armed;
	pci_bar_trap(&v->pci, 0, armed || !v->direct);
	vga_mem_update(v);
}

void vga_touched_slow(struct vga *v)
{
	vga_trap(v, false);
	if (v->wake)
		v->wake(v->looker);
}

static void vga_source_arm(
	void *opaque, void (*wake)(void *opaque), void *looker)
{
	struct vga *v = opaque;

	bus_lock(v->dev.host.bus);
	v->wake = wake;
	v->looker = looker;
	vga_trap(v, wake != NULL);
	bus_unlock(v->dev.host.bus);
}

static void vga_source_draw(void *opaque, struct display_view *view)
{
	struct vga *v = opaque;
	struct vga_regs r;

	bus_lock(v->dev.host.bus);
	r = v->r;
	bus_unlock(v->dev.host.bus);
	vga_draw(&r, v->vram, v->vram_bytes, view);
}

static bool vga_source_text(void *opaque, struct display_text *t)
{
	struct vga *v = opaque;
	struct vga_regs r;

	bus_lock(v->dev.host.bus);
	r = v->r;
	bus_unlock(v->dev.host.bus);
	return vga_text(&r, v->vram, v->vram_bytes, t);
}

void vga_source(struct dev *d, struct display_source *out)
{
	*out = (struct display_source){.draw = vga_source_draw,
		.text = vga_source_text,
		.arm = vga_source_arm,
		.opaque = d};
}

void vga_set_direct(struct dev *d, bool direct)
{
	vga_of(d)->direct = direct;
	vga_of(d)->pci.bar[0].host = direct ? vga_of(d)->vram : NULL;
	vga_trap(vga_of(d), vga_of(d)->armed);
}

/* ---- memory that is not mapped ---- */

static uint64_t vga_lfb_read(
	void *opaque, struct bus_cpu *who, uint64_t off, unsigned size)
{
	struct vga *v = opaque;
	uint64_t val = ~0ull;

	if (off + size <= v->vram_bytes)
		memcpy(&val, v->vram + off, size);
	return val;
}

static void vga_lfb_write(void *opaque, struct bus_cpu *who, uint64_t off,
	unsigned size, uint64_t val)
{
	struct vga *v = opaque;

	vga_touched(v);
	if (off + size <= v->vram_bytes)
		memcpy(v->vram + off, &val, size);
}

static const struct bus_mmio_ops vga_lfb_ops = {
	.read = vga_lfb_read,
	.write = vga_lfb_write,
};

/* ---- ports ---- */

static uint32_t vga_io_read(void *opaque, uint16_t port, unsigned size)
{
	return vga_port_read(opaque, port);
}

static void vga_io_write(
	void *opaque, uint16_t port, unsigned size, uint32_t val)
{
	vga_port_write(opaque, port, val);
}

static const struct bus_io_ops vga_io_ops = {
	.read = vga_io_read, .write = vga_io_write};

static uint32_t vga_dispi_io_read(void *opaque, uint16_t port, unsigned size)
{
	struct vga *v = opaque;

	return port == 0x1ce ? v->r.dispi_index : vga_dispi_read(v);
}

static void vga_dispi_io_write(
	void *opaque, uint16_t port, unsigned size, uint32_t val)
{
	struct vga *v = opaque;

	if (port == 0x1ce)
		v->r.dispi_index = val;
	else
		vga_dispi_write(v, val);
}

/* Words at 0x1ce and, unaligned, 0x1cf. */
static const struct bus_io_ops vga_dispi_ops = {
	.read = vga_dispi_io_read, .write = vga_dispi_io_write, .sizes = 2};

static const struct {
	uint16_t first, count;
	const struct bus_io_ops *ops;
} vga_ports[] = {
	{0x3b4, 2, &vga_io_ops},
	{0x3ba, 1, &vga_io_ops},
	{0x3c0, 16, &vga_io_ops},
	{0x3d4, 2, &vga_io_ops},
	{0x3da, 1, &vga_io_ops},
	{0x1ce, 3, &vga_dispi_ops},
};

#define VGA_NPORTS (sizeof(vga_ports) / sizeof(vga_ports[0]))

/* ---- life ---- */

static int vga_init_pci(struct vga *v)
{
	struct dev *d = &v->dev;

	pci_func_init(&v->pci, d,
		&(struct pci_ident){.vendor = 0x1234,
			.device = 0x1111,
			.class_code = 0x030000,
			.revision = 2,
			.sub_vendor = 0x1af4,
			.sub_id = 0x1100});
	v->pci.bar[0] = (struct pci_bar){
		.size = v->vram_bytes,
		.prefetch = true,
		.host = v->vram,
		.mmio = &vga_lfb_ops,
		.opaque = v,
	};
	v->pci.bar[VGA_BAR_MMIO] = (struct pci_bar){
		.size = VGA_MMIO,
		.mmio = &vga_mmio_ops,
		.opaque = v,
	};
	return pci_func_plug(&v->pci, d->host.pci,
		d->host.pci_slot < 0 ? -1 : d->host.pci_slot << 3);
}

static int vga_init(struct dev *d, char *err, unsigned errsize)
{
	struct vga *v = vga_of(d);
	int e;

	v->vram_bytes =
		d->host.vram_bytes ? d->host.vram_bytes : VGA_VRAM_DEFAULT;
	v->vram = mmap(NULL, v->vram_bytes, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (v->vram == MAP_FAILED)
		return -errno;
	madvise(v->vram, v->vram_bytes, MADV_DONTDUMP);
	v->direct = true;
	vga_edid(v->edid);
	e = vga_init_pci(v);
	if (e < 0) {
		munmap(v->vram, v->vram_bytes);
		return e;
	}
	for (unsigned i = 0; i < VGA_NPORTS; i++)
		bus_io_claim(d->host.bus, vga_ports[i].first,
			vga_ports[i].count, vga_ports[i].ops, v);
	vga_mem_init(v);
	return 0;
}

static void vga_reset(struct dev *d)
{
	struct vga *v = vga_of(d);

	vga_touched(v);
	pci_func_reset(&v->pci);
	memset(&v->r, 0, sizeof(v->r));
	v->r.dispi[DISPI_ID] = 0xb0c5;
	v->r.dispi[DISPI_MEMORY] = v->vram_bytes >> 16;
	v->r.dac_mask = 0xff;
	v->latch = 0;
	vga_mem_update(v);
}

static void vga_fini(struct dev *d)
{
	struct vga *v = vga_of(d);
	struct bus *b = d->host.bus;

	bus_region_unmap(b, &v->bank);
	bus_region_unmap(b, &v->window);
	for (unsigned i = 0; i < VGA_NPORTS; i++)
		bus_io_release(b, vga_ports[i].first, vga_ports[i].count, v);
	pci_func_unplug(&v->pci);
	munmap(v->vram, v->vram_bytes);
}

const struct dev_class vga_class = {
	.name = "vga",
	.size = sizeof(struct vga),
	.init = vga_init,
	.reset = vga_reset,
	.fini = vga_fini,
};
