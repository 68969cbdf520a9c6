/*
 * vga.c - the card: PCI function, memory, ports, who looks.
 *
 * PCI 1234:1111 as firmware and drivers know it: BAR 0 video memory, BAR 2
 * registers (vga_dispi.c), an option ROM; the virtio GPU has the same.
 *
 * Video memory is mapped into the guest, which writes it without our seeing
 * it.  Whoever looks compares; when nothing has changed for a while it arms
 * us, and writes come here until the first one wakes it.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "dev/state.h"
#include "dev/video/vga_priv.h"
#include "dev/video/virtio_vga.h"

#define VGA_BAR_MMIO 2
#define VGA_MMIO     4096

struct vga_card {
	struct dev dev;
	struct pci_func pci;
	struct vga vga;
};

struct vga *vga_of(struct dev *d)
{
	return d->cls == &virtio_vga_class ? virtio_vga_core(d)
					   : &((struct vga_card *)d)->vga;
}

/* ---- who looks ---- */

static void vga_trap(struct vga *v, bool armed)
{
	v->armed = armed;
	pci_bar_trap(v->pci, 0, armed || !v->direct);
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

	bus_lock(v->bus);
	v->wake = wake;
	v->looker = looker;
	vga_trap(v, wake != NULL);
	bus_unlock(v->bus);
}

static void vga_source_draw(void *opaque, struct display_view *view)
{
	struct vga *v = opaque;
	struct vga_regs r;

	bus_lock(v->bus);
	r = v->r;
	bus_unlock(v->bus);
	vga_draw(&r, v->vram, v->vram_bytes, view);
}

static bool vga_source_text(void *opaque, struct display_text *t)
{
	struct vga *v = opaque;
	struct vga_regs r;

	bus_lock(v->bus);
	r = v->r;
	bus_unlock(v->bus);
	return vga_text(&r, v->vram, v->vram_bytes, t);
}

void vga_source_init(struct vga *v, struct display_source *out)
{
	*out = (struct display_source){.draw = vga_source_draw,
		.text = vga_source_text,
		.arm = vga_source_arm,
		.opaque = v};
}

void vga_source(struct dev *d, struct display_source *out)
{
	if (d->cls == &virtio_vga_class)
		virtio_vga_source(d, out);
	else
		vga_source_init(vga_of(d), out);
}

void vga_set_direct(struct dev *d, bool direct)
{
	struct vga *v = vga_of(d);

	v->direct = direct;
	v->pci->bar[0].host = direct ? v->vram : NULL;
	vga_trap(v, v->armed);
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

int vga_init(
	struct vga *v, struct bus *b, struct pci_func *f, uint32_t vram_bytes)
{
	v->bus = b;
	v->pci = f;
	v->vram_bytes = vram_bytes ? vram_bytes : VGA_VRAM_DEFAULT;
	v->vram = mmap(NULL, v->vram_bytes, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (v->vram == MAP_FAILED)
		return -errno;
	madvise(v->vram, v->vram_bytes, MADV_DONTDUMP);
	v->direct = true;
	vga_edid(v->edid, VGA_WIDTH, VGA_HEIGHT);
	f->bar[0] = (struct pci_bar){
		.size = v->vram_bytes,
		.prefetch = true,
		.host = v->vram,
		.mmio = &vga_lfb_ops,
		.opaque = v,
	};
	f->bar[VGA_BAR_MMIO] = (struct pci_bar){
		.size = VGA_MMIO,
		.mmio = &vga_mmio_ops,
		.opaque = v,
	};
	for (unsigned i = 0; i < VGA_NPORTS; i++)
		bus_io_claim(b, vga_ports[i].first, vga_ports[i].count,
			vga_ports[i].ops, v);
	vga_mem_init(v);
	return 0;
}

void vga_reset(struct vga *v)
{
	vga_touched(v);
	memset(&v->r, 0, sizeof(v->r));
	v->r.dispi[DISPI_ID] = 0xb0c5;
	v->r.dispi[DISPI_MEMORY] = v->vram_bytes >> 16;
	v->r.dac_mask = 0xff;
	v->latch = 0;
	vga_mem_update(v);
}

void vga_fini(struct vga *v)
{
	v->armed = false;
	bus_region_unmap(v->bus, &v->bank);
	bus_region_unmap(v->bus, &v->window);
	for (unsigned i = 0; i < VGA_NPORTS; i++)
		bus_io_release(
			v->bus, vga_ports[i].first, vga_ports[i].count, v);
}

static int vga_card_init(struct dev *d, char *err, unsigned errsize)
{
	struct vga_card *c = (struct vga_card *)d;
	int e;

	pci_func_init(&c->pci, d,
		&(struct pci_ident){.vendor = 0x1234,
			.device = 0x1111,
			.class_code = 0x030000,
			.revision = 2,
			.sub_vendor = 0x1af4,
			.sub_id = 0x1100});
	e = vga_init(&c->vga, d->host.bus, &c->pci, d->host.vram_bytes);
	if (e < 0)
		return e;
	e = pci_func_plug(&c->pci, d->host.pci,
		d->host.pci_slot < 0 ? -1 : d->host.pci_slot << 3);
	if (e < 0) {
		vga_fini(&c->vga);
		munmap(c->vga.vram, c->vga.vram_bytes);
	}
	return e;
}

static void vga_card_reset(struct dev *d)
{
	pci_func_reset(&((struct vga_card *)d)->pci);
	vga_reset(vga_of(d));
}

static void vga_card_fini(struct dev *d)
{
	struct vga_card *c = (struct vga_card *)d;

	vga_fini(&c->vga);
	pci_func_unplug(&c->pci);
	munmap(c->vga.vram, c->vga.vram_bytes);
}

/* ---- state ---- */

static const struct state_field vga_card_fields[] = {
	STATE_STRUCT(struct vga_card, pci, &pci_func_state),
	STATE_STRUCT(struct vga_card, vga, &vga_state),
};

static const struct state_list vga_card_state =
	STATE_LIST("vga", struct vga_card, 1, vga_card_fields);

const struct dev_class vga_class = {
	.name = "vga",
	.size = sizeof(struct vga_card),
	.init = vga_card_init,
	.reset = vga_card_reset,
	.fini = vga_card_fini,
	.state = &vga_card_state,
};
