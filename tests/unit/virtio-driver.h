/*
 * virtio-driver.h - a guest's driver for tests: rings in the RAM of a bus, the
 * device reached through PCI as any guest would.
 */
#ifndef TESTS_VIRTIO_DRIVER_H
#define TESTS_VIRTIO_DRIVER_H

#include <string.h>

#include <glib.h>

#include "bus/bus.h"
#include "dev/pci/pci.h"
#include "dev/virtio/devices.h"

#ifndef RAM_BYTES
#define RAM_BYTES (16u << 20)
#endif
#define RING_BASE  0x100000u /* 64 KiB a queue */
#define DATA_BASE  0x400000u
#define BAR_IO	   0xc000u
#define BAR_MSIX   0xfe000000u
#define BAR_MODERN 0xfe010000u

#define D_NEXT	   1
#define D_WRITE	   2
#define D_INDIRECT 4

struct driver {
	struct bus *bus;
	struct pci_bus *pci;
	struct dev *dev;
	unsigned devfn;
	uint64_t common, notify, isr, device;
	unsigned cfg_cap;
	struct driver_queue {
		unsigned size;
		gpa_t desc, avail, used;
		uint16_t next, seen;
	} q[8];
	_Atomic(unsigned) msis;
};

static void driver_msi(void *opaque, uint64_t addr, uint32_t data)
{
	((struct driver *)opaque)->msis++;
}

static void wr(struct driver *d, gpa_t gpa, const void *p, size_t len)
{
	g_assert_true(bus_dma_write(d->bus, gpa, p, len));
}

static void rd(struct driver *d, gpa_t gpa, void *p, size_t len)
{
	g_assert_true(bus_dma_read(d->bus, gpa, p, len));
}

static void driver_find_caps(struct driver *d)
{
	unsigned at = pci_config_read(d->pci, 0, d->devfn, 0x34, 1);

	for (; at; at = pci_config_read(d->pci, 0, d->devfn, at + 1, 1)) {
		uint64_t where = BAR_MODERN + pci_config_read(d->pci, 0,
						      d->devfn, at + 8, 4);

		if (pci_config_read(d->pci, 0, d->devfn, at, 1) != 9)
			continue;
		switch (pci_config_read(d->pci, 0, d->devfn, at + 3, 1)) {
		case 1: d->common = where; break;
		case 2: d->notify = where; break;
		case 3: d->isr = where; break;
		case 4: d->device = where; break;
		case 5: d->cfg_cap = at; break;
		}
	}
}

static void driver_open(
	struct driver *d, const struct dev_class *cls, struct dev_host *host)
{
	char err[128];

	memset(d, 0, sizeof(*d));
	d->bus = bus_new(RAM_BYTES, RAM_BYTES);
	bus_lock(d->bus);
	d->pci = pci_bus_new(d->bus);
	bus_msi_handler(d->bus, driver_msi, d);
	host->bus = d->bus;
	host->pci = d->pci;
	host->pci_slot = 5;
	d->devfn = 5 << 3;
	d->dev = dev_new(cls, "test", host, err, sizeof(err));
	g_assert_nonnull(d->dev);
	pci_config_write(d->pci, 0, d->devfn, 0x10, 4, BAR_IO);
	pci_config_write(d->pci, 0, d->devfn, 0x14, 4, BAR_MSIX);
	pci_config_write(d->pci, 0, d->devfn, 0x20, 4, BAR_MODERN);
	pci_config_write(d->pci, 0, d->devfn, 0x24, 4, 0);
	pci_config_write(d->pci, 0, d->devfn, 4, 2, 7);
	driver_find_caps(d);
	bus_unlock(d->bus);
}

static void driver_close(struct driver *d)
{
	bus_lock(d->bus);
	dev_free(d->dev);
	pci_bus_free(d->pci);
	bus_unlock(d->bus);
	bus_free(d->bus);
}

static uint64_t cget(struct driver *d, unsigned off, unsigned size)
{
	return bus_mmio_read(d->bus, NULL, d->common + off, size);
}

static void cput(struct driver *d, unsigned off, unsigned size, uint64_t v)
{
	bus_mmio_write(d->bus, NULL, d->common + off, size, v);
}

static uint8_t driver_status(struct driver *d)
{
	return cget(d, 0x14, 1);
}

static uint64_t driver_offered(struct driver *d)
{
	uint64_t f;

	cput(d, 0, 4, 0);
	f = cget(d, 4, 4);
	cput(d, 0, 4, 1);
	return f | cget(d, 4, 4) << 32;
}

/* Reset and offer features; does the device take them? */
static bool driver_negotiate(struct driver *d, uint64_t features)
{
	cput(d, 0x14, 1, 0);
	g_assert_cmpint(driver_status(d), ==, 0);
	cput(d, 0x14, 1, 3);
	for (unsigned i = 0; i < 2; i++) {
		cput(d, 8, 4, i);
		cput(d, 12, 4, features >> (32 * i) & 0xffffffff);
	}
	cput(d, 0x14, 1, 11);
	return driver_status(d) == 11;
}

static void driver_queue(struct driver *d, unsigned i, unsigned size)
{
	struct driver_queue *q = &d->q[i];
	uint8_t zero[4096] = {0};

	q->size = size;
	q->desc = RING_BASE + i * 0x10000;
	q->avail = q->desc + 0x4000;
	q->used = q->desc + 0x8000;
	q->next = q->seen = 0;
	for (unsigned k = 0; k < 16; k++)
		wr(d, q->desc + k * 4096, zero, sizeof(zero));
	cput(d, 0x16, 2, i);
	cput(d, 0x18, 2, size);
	cput(d, 0x20, 8, q->desc);
	cput(d, 0x28, 4, q->avail);
	cput(d, 0x2c, 4, 0);
	cput(d, 0x30, 8, q->used);
	cput(d, 0x1c, 2, 1);
	g_assert_cmpint(cget(d, 0x1c, 2), ==, 1);
}

static void driver_go(struct driver *d)
{
	cput(d, 0x14, 1, 15);
}

static inline void driver_msix(struct driver *d, unsigned vectors)
{
	unsigned at = pci_config_read(d->pci, 0, d->devfn, 0x34, 1);

	while (pci_config_read(d->pci, 0, d->devfn, at, 1) != 0x11)
		at = pci_config_read(d->pci, 0, d->devfn, at + 1, 1);
	bus_lock(d->bus);
	pci_config_write(d->pci, 0, d->devfn, at + 2, 2, 0x8000);
	bus_unlock(d->bus);
	for (unsigned i = 0; i < vectors; i++)
		bus_mmio_write(d->bus, NULL, BAR_MSIX + 16 * i + 12, 4, 0);
}

struct driver_desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next;
};

static void driver_put_desc(
	struct driver *d, gpa_t table, unsigned i, struct driver_desc e)
{
	wr(d, table + 16 * i, &e, sizeof(e));
}

/* Descriptor i of a table: address, length, flags, next. */
#define driver_desc(d, table, i, ...)                                          \
	driver_put_desc(d, table, i, (struct driver_desc){__VA_ARGS__})

static void driver_kick(struct driver *d, unsigned i)
{
	bus_mmio_write(d->bus, NULL, d->notify + 4 * i, 2, i);
}

/* Make the chain at head available, without telling. */
static void driver_offer(struct driver *d, unsigned i, uint16_t head)
{
	struct driver_queue *q = &d->q[i];

	wr(d, q->avail + 4 + 2 * (q->next % q->size), &head, 2);
	q->next++;
	wr(d, q->avail + 2, &q->next, 2);
}

/* The next used element, if there is one within ms milliseconds. */
static bool driver_used(
	struct driver *d, unsigned i, unsigned ms, uint32_t *id, uint32_t *len)
{
	struct driver_queue *q = &d->q[i];
	int64_t end = g_get_monotonic_time() + ms * 1000;
	uint16_t idx;

	for (;;) {
		rd(d, q->used + 2, &idx, 2);
		if (idx != q->seen)
			break;
		bus_timers_run(d->bus); /* as the control loop would */
		if (g_get_monotonic_time() > end)
			return false;
		g_usleep(50);
	}
	rd(d, q->used + 4 + 8 * (q->seen % q->size), id, 4);
	rd(d, q->used + 8 + 8 * (q->seen % q->size), len, 4);
	q->seen++;
	return true;
}

/* Wait until the status byte has or has not the bit. */
static inline bool driver_wait_status(struct driver *d, uint8_t bit)
{
	for (unsigned i = 0; i < 20000; i++) {
		if (driver_status(d) & bit)
			return true;
		g_usleep(50);
	}
	return false;
}

#define F_INDIRECT  (1ull << 28)
#define F_EVENT	    (1ull << 29)
#define F_V1	    (1ull << 32)
#define NEEDS_RESET 0x40

#endif
