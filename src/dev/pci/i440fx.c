/*
 * i440fx.c - 82441FX host bridge: firmware image and memory attributes.
 *
 * Intel 440FX PCIset data sheet 290549-001: 3.2.19 (PAM0-PAM6, 59h-5Fh),
 * 3.2.26 (SMRAM, 72h).
 *
 * 0xc0000-0xfffff are thirteen segments, each with a read and a write enable:
 * enabled, the access goes to RAM; disabled, to PCI, where the firmware image
 * answers reads in its last 128 KiB and nothing answers elsewhere.  What lies
 * over RAM is one region a segment and direction that is mapped while the
 * enable is off.  0xa0000-0xbffff is the display's, whatever that maps there;
 * RAM only while SMRAM is open.
 *
 * The subsystem IDs are those by which firmware knows a QEMU-class board.
 */
#include <errno.h>
#include <string.h>

#include "dev/pci/i440fx.h"
#include "dev/pci/pci_priv.h"

#define I440FX_PAM0	  0x59
#define I440FX_SMRAM	  0x72
#define SMRAM_OPEN	  0x40
#define SMRAM_CLOSED	  0x20
#define SMRAM_LOCK	  0x10
#define I440FX_NSEGMENTS  13
#define I440FX_SHADOW	  0xc0000
#define I440FX_SHADOW_END 0x100000
#define I440FX_PRIO	  2
#define I440FX_SMRAM_PRIO 8 /* over all that a display maps */

struct i440fx {
	struct dev dev;
	struct pci_func pci;
	uint8_t *bios;
	uint32_t bios_bytes;
	struct bus_region bios_region; /* below 4 GiB */
	struct bus_region read[I440FX_NSEGMENTS];
	struct bus_region write[I440FX_NSEGMENTS];
	struct bus_region display, smram;
};

static uint64_t i440fx_nothing_read(
	void *opaque, struct bus_cpu *who, uint64_t off, unsigned size)
{
	return ~0ull;
}

static void i440fx_nothing_write(void *opaque, struct bus_cpu *who,
	uint64_t off, unsigned size, uint64_t val)
{
}

static const struct bus_mmio_ops i440fx_nothing = {
	.read = i440fx_nothing_read,
	.write = i440fx_nothing_write,
};

/* Segment 12 is 0xf0000 with 64 KiB; the others have 16 KiB each. */
static uint32_t i440fx_segment_base(unsigned n)
{
	return I440FX_SHADOW + n * 0x4000;
}

static uint32_t i440fx_segment_bytes(unsigned n)
{
	return n == 12 ? 0x10000 : 0x4000;
}

/* Bit 0: reads, bit 1: writes go to RAM. */
static unsigned i440fx_segment_enable(const struct i440fx *h, unsigned n)
{
	const uint8_t *pam = h->pci.config + I440FX_PAM0;

	if (n == 12)
		return pam[0] >> 4 & 3;
	return pam[1 + n / 2] >> (n & 1 ? 4 : 0) & 3;
}

static void i440fx_show(struct i440fx *h, struct bus_region *r, bool on)
{
	struct bus *b = h->dev.host.bus;

	if (on && !r->mapped)
		bus_region_map(b, r);
	else if (!on)
		bus_region_unmap(b, r);
}

static void i440fx_update(struct i440fx *h)
{
	for (unsigned n = 0; n < I440FX_NSEGMENTS; n++) {
		unsigned enable = i440fx_segment_enable(h, n);

		i440fx_show(h, &h->read[n], !(enable & 1));
		i440fx_show(h, &h->write[n], !(enable & 2));
	}
	i440fx_show(h, &h->smram, h->pci.config[I440FX_SMRAM] & SMRAM_OPEN);
}

static void i440fx_config_written(
	struct pci_func *f, unsigned off, unsigned len)
{
	struct i440fx *h = (struct i440fx *)f->dev;
	uint8_t *smram = &f->config[I440FX_SMRAM];

	/* Once locked, the register cannot be written and is closed. */
	if (*smram & SMRAM_LOCK) {
		*smram &= ~SMRAM_OPEN;
		f->wmask[I440FX_SMRAM] = SMRAM_CLOSED;
	}
	if (off < I440FX_PAM0 + 7 && off + len > I440FX_PAM0)
		i440fx_update(h);
	else if (off <= I440FX_SMRAM && off + len > I440FX_SMRAM)
		i440fx_update(h);
}

static void i440fx_make_segments(struct i440fx *h)
{
	uint32_t shown = h->bios_bytes < 0x20000 ? h->bios_bytes : 0x20000;
	uint32_t rom = I440FX_SHADOW_END - shown;

	for (unsigned n = 0; n < I440FX_NSEGMENTS; n++) {
		uint32_t base = i440fx_segment_base(n);
		struct bus_region r = {
			.name = "shadow",
			.base = base,
			.size = i440fx_segment_bytes(n),
			.prio = I440FX_PRIO,
			.access = BUS_MAP_W,
			.ops = &i440fx_nothing,
		};

		bus_region_unmap(h->dev.host.bus, &h->write[n]);
		bus_region_unmap(h->dev.host.bus, &h->read[n]);
		h->write[n] = r;
		r.access = BUS_MAP_R;
		if (h->bios && base >= rom) {
			r.name = "bios";
			r.ops = NULL;
			r.host = h->bios + h->bios_bytes -
				 (I440FX_SHADOW_END - base);
		}
		h->read[n] = r;
	}
}

int i440fx_set_bios(struct dev *d, uint8_t *image, uint32_t bytes)
{
	struct i440fx *h = (struct i440fx *)d;
	struct bus *b = d->host.bus;

	if (!bytes || bytes % 0x10000 || bytes > 16u << 20)
		return -EINVAL;
	bus_region_unmap(b, &h->bios_region);
	h->bios = image;
	h->bios_bytes = bytes;
	h->bios_region = (struct bus_region){
		.name = "bios",
		.base = (4ull << 30) - bytes,
		.size = bytes,
		.prio = I440FX_PRIO,
		.access = BUS_MAP_R,
		.host = image,
	};
	bus_region_map(b, &h->bios_region);
	i440fx_make_segments(h);
	i440fx_update(h);
	return 0;
}

void i440fx_open_shadow(struct dev *d)
{
	struct i440fx *h = (struct i440fx *)d;

	h->pci.config[I440FX_PAM0] = 0x30;
	memset(h->pci.config + I440FX_PAM0 + 1, 0x33, 6);
	i440fx_update(h);
}

static int i440fx_init(struct dev *d, char *err, unsigned errsize)
{
	struct i440fx *h = (struct i440fx *)d;

	pci_func_init(&h->pci, d,
		&(struct pci_ident){.vendor = 0x8086,
			.device = 0x1237,
			.class_code = 0x060000,
			.revision = 2,
			.sub_vendor = 0x1af4,
			.sub_id = 0x1100});
	h->pci.config_written = i440fx_config_written;
	h->pci.wmask[I440FX_PAM0] = 0x30;
	memset(h->pci.wmask + I440FX_PAM0 + 1, 0x33, 6);
	h->display = (struct bus_region){
		.name = "display",
		.base = 0xa0000,
		.size = 0x20000,
		.prio = 1,
		.access = BUS_MAP_R | BUS_MAP_W,
		.ops = &i440fx_nothing,
	};
	bus_region_map(d->host.bus, &h->display);
	h->smram = (struct bus_region){
		.name = "smram",
		.base = h->display.base,
		.size = h->display.size,
		.prio = I440FX_SMRAM_PRIO,
		.access = BUS_MAP_R | BUS_MAP_W,
	};
	i440fx_make_segments(h);
	return pci_func_plug(&h->pci, d->host.pci, 0);
}

static void i440fx_reset(struct dev *d)
{
	struct i440fx *h = (struct i440fx *)d;

	pci_func_reset(&h->pci);
	/* 3.2.3: memory and bus master enable are hard-wired. */
	h->pci.config[PCI_COMMAND] = PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;
	h->pci.wmask[PCI_COMMAND] = 0;
	memset(h->pci.config + I440FX_PAM0, 0, 7);
	h->pci.config[I440FX_SMRAM] = 0x02;
	h->pci.wmask[I440FX_SMRAM] =
		SMRAM_OPEN | SMRAM_CLOSED | SMRAM_LOCK | 0x08;
	i440fx_update(h);
}

static void i440fx_fini(struct dev *d)
{
	struct i440fx *h = (struct i440fx *)d;
	struct bus *b = d->host.bus;

	for (unsigned n = 0; n < I440FX_NSEGMENTS; n++) {
		bus_region_unmap(b, &h->read[n]);
		bus_region_unmap(b, &h->write[n]);
	}
	bus_region_unmap(b, &h->display);
	bus_region_unmap(b, &h->smram);
	bus_region_unmap(b, &h->bios_region);
	pci_func_unplug(&h->pci);
}

const struct dev_class i440fx_class = {
	.name = "i440fx",
	.size = sizeof(struct i440fx),
	.init = i440fx_init,
	.reset = i440fx_reset,
	.fini = i440fx_fini,
};
