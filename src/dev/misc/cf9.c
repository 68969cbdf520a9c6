/*
 * cf9.c - reset control register: Intel 82371SB data sheet 290550-002,
 * 2.5.6.3; Intel ICH9 data sheet 316972, 13.7.5.
 */
#include "dev/misc/cf9.h"

#include "dev/misc/cpu_init.h"

#define CF9_HARD  0x02 /* with CF9_RESET: hard reset, else INIT */
#define CF9_RESET 0x04

static uint8_t cf9_read(void *opaque)
{
	struct cf9 *c = opaque;

	return c->val;
}

static void cf9_write(void *opaque, uint8_t val)
{
	struct cf9 *c = opaque;
	bool rise = (val & CF9_RESET) && !(c->val & CF9_RESET);

	c->val = val & c->mask;
	if (!rise)
		return;
	if (val & CF9_HARD)
		bus_request(c->bus, BUS_REQ_RESET);
	else
		cpu_init_pulse(c->bus);
}

void cf9_init(struct cf9 *c, struct pci_bus *pci, struct bus *b, uint8_t mask)
{
	c->bus = b;
	c->mask = mask;
	pci_bus_set_cf9(pci, cf9_read, cf9_write, c);
}

void cf9_fini(struct pci_bus *pci)
{
	pci_bus_set_cf9(pci, NULL, NULL, NULL);
}
