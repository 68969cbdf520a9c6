/* state-rig.h - any device on a small board, to be saved and loaded. */
#ifndef TESTS_UNIT_STATE_RIG_H
#define TESTS_UNIT_STATE_RIG_H

#include "dev/misc/i8237.h"
#include "dev/state.h"
#include "dev/storage/ahci.h"
#include "dev/storage/fdc.h"
#include "dev/storage/ide.h"
#include "dev/virtio/virtio_mem.h"
#include "disk-rig.h"
#include "share-rig.h"

#define POKE_BAR 0xe0000000u

static inline void rig_drop(void *opaque, uint64_t off, uint64_t bytes)
{
}

/* For a device that gives memory: part of the rig's RAM. */
static const struct virtio_mem_room rig_room = {
	.base = 8u << 20, .bytes = 6u << 20, .drop = rig_drop};

/* Accesses anywhere: what state comes of it is the device's affair. */
static inline void poke(struct board *b, GRand *rnd, unsigned count)
{
	static const uint16_t ports[] = {0x00, 0x08, 0x20, 0x40, 0x60, 0x70,
		0x80, 0xa0, 0xc0, 0x3f8, 0x510, 0x600, 0xcf8, 0x1f0, 0x3f0,
		0x3b8, 0x3c0, 0x3c8, 0x3d0, 0x1ce};

	while (count--) {
		uint16_t port =
			ports[g_rand_int_range(rnd, 0, G_N_ELEMENTS(ports))] +
			g_rand_int_range(rnd, 0, 8);
		uint32_t val = g_rand_int(rnd);

		gpa_t gpa = POKE_BAR + (val & 0xffff & ~3u);

		switch (g_rand_int_range(rnd, 0, 4)) {
		case 0: bus_io_read(b->bus, port, 1); break;
		case 1: bus_io_write(b->bus, port, 1, val & 0xff); break;
		case 2: bus_mmio_read(b->bus, NULL, gpa, 4); break;
		case 3:
			val = g_rand_int(rnd) >> g_rand_int_range(rnd, 0, 32);
			bus_mmio_write(b->bus, NULL, gpa, 4, val);
			break;
		}
	}
}

/* Let a PCI card decode its BARs. */
static inline void decode(struct board *b)
{
	for (unsigned devfn = 8; devfn < 256; devfn++) {
		struct pci_func *f = pci_bus_func(b->host.pci, devfn);

		for (unsigned n = 0; f && n < PCI_NBARS; n++)
			pci_config_write(b->host.pci, 0, devfn, 0x10 + 4 * n, 4,
				f->bar[n].io ? 0xc000 + n * 0x100
					     : POKE_BAR + n * 0x4000);
		if (f)
			pci_config_write(b->host.pci, 0, devfn, 4, 2, 7);
	}
}

static inline void attach(struct board *b, struct dev *d)
{
	struct ata_conf disk = {.id = "disk", .blk = b->host.blk};
	struct ata_conf cd = {.id = "cd", .blk = b->host.blk, .atapi = true};

	if (d->cls == &ide_class) {
		g_assert_cmpint(ide_attach(d, 0, &disk), ==, 0);
		g_assert_cmpint(ide_attach(d, 1, &cd), ==, 0);
	} else if (d->cls == &ahci_class) {
		g_assert_cmpint(ahci_attach(d, 0, &disk), ==, 0);
		g_assert_cmpint(ahci_attach(d, 3, &cd), ==, 0);
	} else if (d->cls == &fdc_class) {
		g_assert_cmpint(fdc_attach(d, 0, b->host.blk, false), ==, 0);
	}
	if (d->cls->reset)
		d->cls->reset(d);
}

static inline void save(struct dev *d, GByteArray *out)
{
	char err[200] = "";

	if (d->cls->drain)
		d->cls->drain(d);
	if (dev_save(d, out, err, sizeof(err)))
		g_error("%s: %s", d->cls->name, err);
}

static inline bool load(struct dev *d, const GByteArray *a, bool good)
{
	char err[200] = "";
	struct state_in in = {d->host.bus, a->data, a->len, err, sizeof(err)};
	int rc = dev_load(d, &in);

	if (good && rc)
		g_error("%s: %s", d->cls->name, err);
	if (rc)
		g_assert_cmpstr(err, !=, "");
	return !rc;
}

struct state_rig {
	struct board b;
	struct dev *d;
};

/* False: the device needs more than this board has. */
static inline bool state_rig_init(
	struct state_rig *r, const struct dev_class *cls)
{
	char err[200] = "";

	board_init(&r->b, 2);
	r->b.host.blk = rig_image(1440 << 10, false);
	r->b.host.dma = board_add(&r->b, "i8237");
	r->b.host.vram_bytes = 1 << 20;
	r->b.host.share = share_of(g_get_tmp_dir(), true, 64);
	r->b.host.mem = &rig_room;
	bus_lock(r->b.bus);
	r->d = cls == &intc_class
		       ? r->b.intc
		       : dev_new(cls, "d", &r->b.host, err, sizeof(err));
	if (r->d) {
		attach(&r->b, r->d);
		decode(&r->b);
		bus_unlock(r->b.bus);
		return true;
	}
	bus_unlock(r->b.bus);
	blk_close(r->b.host.blk);
	share_free(r->b.host.share);
	board_fini(&r->b);
	return false;
}

/* Time stands and the lock is held, or no more. */
static inline void state_rig_stand(struct state_rig *r, bool on)
{
	if (on)
		bus_lock(r->b.bus);
	bus_clock_pause(r->b.bus, on);
	if (!on)
		bus_unlock(r->b.bus);
}

static inline void state_rig_fini(struct state_rig *r)
{
	bus_lock(r->b.bus);
	if (r->d != r->b.intc)
		dev_free(r->d);
	bus_unlock(r->b.bus);
	blk_close(r->b.host.blk);
	share_free(r->b.host.share);
	board_fini(&r->b);
}

#endif
