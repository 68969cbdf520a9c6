/*
 * pci_bridge.c - buses behind bridges.
 *
 * PCI to PCI Bridge Architecture Specification 1.2: 3.1.2 (configuration
 * cycles pass by bus number), 3.2 (header type 1), 4 (windows).  Ways down
 * only: what devices behind a bridge read and write of memory passes freely.
 */
#include <string.h>

#include <glib.h>

#include "dev/pci/pci_priv.h"

#define WINDOW_64BIT 1 /* in the low bits of a prefetchable base */

static uint64_t pci_bridge_pref(const uint8_t *c, unsigned low, unsigned high)
{
	return (uint64_t)pci_get32(c + high) << 32 |
	       (uint64_t)(pci_get16(c + low) & 0xfff0) << 16;
}

static bool pci_bridge_passes(
	const struct pci_func *f, bool io, uint64_t addr, uint64_t size)
{
	const uint8_t *c = f->config;
	uint64_t last = addr + size - 1;
	uint64_t base, limit;

	if (!(c[PCI_COMMAND] & (io ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY)))
		return false;
	if (io) {
		base = (c[PCI_IO_BASE] & 0xf0) << 8;
		limit = (c[PCI_IO_LIMIT] & 0xf0) << 8 | 0xfff;
		return addr >= base && last <= limit;
	}
	base = (uint64_t)(pci_get16(c + PCI_MEM_BASE) & 0xfff0) << 16;
	limit = (uint64_t)(pci_get16(c + PCI_MEM_LIMIT) & 0xfff0) << 16 |
		0xfffff;
	if (addr >= base && last <= limit)
		return true;
	base = pci_bridge_pref(c, PCI_PREF_BASE, PCI_PREF_BASE_HI);
	limit = pci_bridge_pref(c, PCI_PREF_LIMIT, PCI_PREF_LIMIT_HI) | 0xfffff;
	return addr >= base && last <= limit;
}

bool pci_bus_passes(
	const struct pci_bus *b, bool io, uint64_t addr, uint64_t size)
{
	for (; b && b->bridge; b = b->bridge->bus)
		if (!pci_bridge_passes(b->bridge, io, addr, size))
			return false;
	return true;
}

void pci_bus_remap(struct pci_bus *b)
{
	for (unsigned i = 0; i < 256; i++) {
		struct pci_func *f = b->func[i];

		if (!f)
			continue;
		pci_func_remap(f);
		if (f->secondary)
			pci_bus_remap(f->secondary);
	}
}

/* The bridge on b behind which that bus is. */
static struct pci_func *pci_bridge_to(const struct pci_bus *b, uint8_t number)
{
	for (unsigned i = 0; b->nbridges && i < 256; i++) {
		struct pci_func *f = b->func[i];

		if (f && f->secondary && f->config[PCI_SECONDARY] &&
			number >= f->config[PCI_SECONDARY] &&
			number <= f->config[PCI_SUBORDINATE])
			return f;
	}
	return NULL;
}

struct pci_bus *pci_bus_number(struct pci_bus *b, uint8_t number)
{
	struct pci_func *f;

	if (!number)
		return b;
	for (;;) {
		f = pci_bridge_to(b, number);
		if (!f)
			return NULL;
		b = f->secondary;
		if (f->config[PCI_SECONDARY] == number)
			return b;
	}
}

/* Numbers and windows can be written; the prefetchable one has 64 bits. */
static void pci_bridge_header(struct pci_func *f)
{
	uint8_t *c = f->config, *w = f->wmask;

	c[PCI_HEADER_TYPE] = (c[PCI_HEADER_TYPE] & 0x80) | 1;
	memset(c + PCI_SUB_VENDOR, 0, 4);
	memset(w + 0x18, 0xff, 4); /* numbers, secondary latency timer */
	w[0x1b] = 0;
	w[PCI_IO_BASE] = w[PCI_IO_LIMIT] = 0xf0;
	for (unsigned at = PCI_MEM_BASE; at <= PCI_PREF_LIMIT; at += 2)
		pci_put16(w + at, 0xfff0);
	c[PCI_PREF_BASE] = c[PCI_PREF_LIMIT] = WINDOW_64BIT;
	memset(w + PCI_PREF_BASE_HI, 0xff, 8);
	/* parity, SERR, ISA, VGA, 16-bit VGA, reset */
	w[PCI_BRIDGE_CONTROL] = 0x5f;
}

struct pci_bus *pci_bus_new_behind(struct pci_func *bridge)
{
	struct pci_bus *b = g_new0(struct pci_bus, 1);

	b->bus = bridge->bus->bus;
	b->bridge = bridge;
	b->express = bridge->bus->express;
	bridge->secondary = b;
	bridge->bus->nbridges++;
	pci_bridge_header(bridge);
	return b;
}
