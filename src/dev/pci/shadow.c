/*
 * shadow.c - PAM and SMRAM registers of Intel's host bridges.
 *
 * Intel 440FX PCIset data sheet 290549-001: 3.2.19 (PAM0-PAM6), 3.2.26
 * (SMRAM); Intel 3 Series Express Chipset data sheet 316966, D0:F0, has the
 * same bits elsewhere.
 *
 * What lies over RAM is one region a segment and direction that is mapped
 * while the enable is off.
 */
#include "dev/pci/shadow.h"

#include <errno.h>
#include <string.h>

#include "dev/pci/pci_priv.h"

#define SMRAM_OPEN	 0x40
#define SMRAM_CLOSED	 0x20
#define SMRAM_LOCK	 0x10
#define SMRAM_ENABLE	 0x08
#define SMRAM_RESET	 0x02
#define SHADOW_BASE	 0xc0000
#define SHADOW_END	 0x100000
#define SHADOW_ROM	 0x20000
#define SHADOW_PRIO	 2
#define SHADOW_OPEN_PRIO 8 /* over all that a display maps */

static uint64_t shadow_nothing_read(
	void *opaque, struct bus_cpu *who, uint64_t off, unsigned size)
{
	return ~0ull;
}

static void shadow_nothing_write(void *opaque, struct bus_cpu *who,
	uint64_t off, unsigned size, uint64_t val)
{
}

static const struct bus_mmio_ops shadow_nothing = {
	.read = shadow_nothing_read,
	.write = shadow_nothing_write,
};

/* Segment 12 is 0xf0000 with 64 KiB; the others have 16 KiB each. */
static uint32_t shadow_segment_base(unsigned n)
{
	return SHADOW_BASE + n * 0x4000;
}

static uint32_t shadow_segment_bytes(unsigned n)
{
	return n == 12 ? 0x10000 : 0x4000;
}

/* Bit 0: reads, bit 1: writes go to RAM. */
static unsigned shadow_segment_enable(const struct shadow *s, unsigned n)
{
	const uint8_t *pam = s->f->config + s->pam0;

	if (n == 12)
		return pam[0] >> 4 & 3;
	return pam[1 + n / 2] >> (n & 1 ? 4 : 0) & 3;
}

static struct bus *shadow_bus(const struct shadow *s)
{
	return s->f->dev->host.bus;
}

static void shadow_show(struct shadow *s, struct bus_region *r, bool on)
{
	if (on && !r->mapped)
		bus_region_map(shadow_bus(s), r);
	else if (!on)
		bus_region_unmap(shadow_bus(s), r);
}

static void shadow_update(struct shadow *s)
{
	for (unsigned n = 0; n < SHADOW_NSEGMENTS; n++) {
		unsigned enable = shadow_segment_enable(s, n);

		shadow_show(s, &s->read[n], !(enable & 1));
		shadow_show(s, &s->write[n], !(enable & 2));
	}
	shadow_show(s, &s->open, s->f->config[s->smram] & SMRAM_OPEN);
}

void shadow_written(struct shadow *s, unsigned off, unsigned len)
{
	uint8_t *smram = &s->f->config[s->smram];

	/* Once locked, the register cannot be written and is closed. */
	if (*smram & SMRAM_LOCK) {
		*smram &= ~SMRAM_OPEN;
		s->f->wmask[s->smram] = SMRAM_CLOSED;
	}
	if (off < s->pam0 + 7 && off + len > s->pam0)
		shadow_update(s);
	else if (off <= s->smram && off + len > s->smram)
		shadow_update(s);
}

static void shadow_make_segments(struct shadow *s)
{
	uint32_t shown =
		s->bios_bytes < SHADOW_ROM ? s->bios_bytes : SHADOW_ROM;
	uint32_t rom = SHADOW_END - shown;

	for (unsigned n = 0; n < SHADOW_NSEGMENTS; n++) {
		uint32_t base = shadow_segment_base(n);
		struct bus_region r = {
			.name = "shadow",
			.base = base,
			.size = shadow_segment_bytes(n),
			.prio = SHADOW_PRIO,
			.access = BUS_MAP_W,
			.ops = &shadow_nothing,
		};

		bus_region_unmap(shadow_bus(s), &s->write[n]);
		bus_region_unmap(shadow_bus(s), &s->read[n]);
		s->write[n] = r;
		r.access = BUS_MAP_R;
		if (s->bios && base >= rom) {
			r.name = "bios";
			r.ops = NULL;
			r.host = s->bios + s->bios_bytes - (SHADOW_END - base);
		}
		s->read[n] = r;
	}
}

int shadow_set_bios(struct shadow *s, uint8_t *image, uint32_t bytes)
{
	struct bus *b = shadow_bus(s);

	if (!bytes || bytes % BUS_PAGE_SIZE || bytes > 16u << 20)
		return -EINVAL;
	bus_region_unmap(b, &s->bios_region);
	s->bios = image;
	s->bios_bytes = bytes;
	s->bios_region = (struct bus_region){
		.name = "bios",
		.base = (4ull << 30) - bytes,
		.size = bytes,
		.prio = SHADOW_PRIO,
		.access = BUS_MAP_R,
		.host = image,
	};
	bus_region_map(b, &s->bios_region);
	shadow_make_segments(s);
	shadow_update(s);
	return 0;
}

void shadow_open(struct shadow *s)
{
	s->f->config[s->pam0] = 0x30;
	memset(s->f->config + s->pam0 + 1, 0x33, 6);
	shadow_update(s);
}

void shadow_init(
	struct shadow *s, struct pci_func *f, unsigned pam0, unsigned smram)
{
	s->f = f;
	s->pam0 = pam0;
	s->smram = smram;
	f->wmask[pam0] = 0x30;
	memset(f->wmask + pam0 + 1, 0x33, 6);
	s->display = (struct bus_region){
		.name = "display",
		.base = 0xa0000,
		.size = 0x20000,
		.prio = 1,
		.access = BUS_MAP_R | BUS_MAP_W,
		.ops = &shadow_nothing,
	};
	bus_region_map(shadow_bus(s), &s->display);
	s->open = (struct bus_region){
		.name = "smram",
		.base = s->display.base,
		.size = s->display.size,
		.prio = SHADOW_OPEN_PRIO,
		.access = BUS_MAP_R | BUS_MAP_W,
	};
	shadow_make_segments(s);
}

void shadow_reset(struct shadow *s)
{
	memset(s->f->config + s->pam0, 0, 7);
	s->f->config[s->smram] = SMRAM_RESET;
	s->f->wmask[s->smram] =
		SMRAM_OPEN | SMRAM_CLOSED | SMRAM_LOCK | SMRAM_ENABLE;
	shadow_update(s);
}

void shadow_fini(struct shadow *s)
{
	struct bus *b = shadow_bus(s);

	for (unsigned n = 0; n < SHADOW_NSEGMENTS; n++) {
		bus_region_unmap(b, &s->read[n]);
		bus_region_unmap(b, &s->write[n]);
	}
	bus_region_unmap(b, &s->display);
	bus_region_unmap(b, &s->open);
	bus_region_unmap(b, &s->bios_region);
}
