/*
 * ahci.c - an AHCI 1.3.1 controller of the ICH9's class (8086:2922): the PCI
 * function and the generic host registers (AHCI 1.3.1, chapters 2 and 3.1).
 */
#include "dev/storage/ahci.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "dev/pci/pci_priv.h"
#include "dev/state.h"
#include "dev/storage/ahci_priv.h"

#define AHCI_BAR       5
#define AHCI_BAR_BYTES 4096
#define PORT_BASE      0x100
#define PORT_BYTES     0x80

/* 64-bit addresses, NCQ, command list override, 3 Gb/s, AHCI only, 32 slots */
#define AHCI_CAP                                                               \
	(1u << 31 | 1u << 30 | 1u << 24 | 2u << 20 | 1u << 18 |                \
		(AHCI_SLOTS - 1) << 8 | (AHCI_PORTS - 1))
#define AHCI_VERSION 0x00010301u

#define GHC_HR 0x00000001u
#define GHC_IE 0x00000002u
#define GHC_AE 0x80000000u

void ahci_update_irq(struct ahci *h, bool event)
{
	bool line;

	for (unsigned i = 0; i < AHCI_PORTS; i++)
		if (ahci_port_is(&h->port[i]) & h->port[i].ie)
			h->is |= 1u << i;
	line = h->is && (h->ghc & GHC_IE);
	if (!pci_msi_enabled(&h->pci)) {
		pci_set_intx(&h->pci, line);
		return;
	}
	pci_set_intx(&h->pci, false);
	if (line && event)
		pci_msi_notify(&h->pci);
}

/* 10.4.3: everything but where the ports' lists are. */
static void ahci_hba_reset(struct ahci *h)
{
	h->ghc = GHC_AE;
	h->is = 0;
	for (unsigned i = 0; i < AHCI_PORTS; i++)
		ahci_port_reset(&h->port[i]);
	ahci_update_irq(h, false);
}

static uint32_t ahci_generic_read(const struct ahci *h, unsigned reg)
{
	switch (reg) {
	case 0x00: return AHCI_CAP;
	case 0x04: return h->ghc;
	case 0x08: return h->is;
	case 0x0c: return (1u << AHCI_PORTS) - 1;
	case 0x10: return AHCI_VERSION;
	}
	return 0;
}

static void ahci_generic_write(struct ahci *h, unsigned reg, uint32_t val)
{
	switch (reg) {
	case 0x04:
		if (val & GHC_HR) {
			ahci_hba_reset(h);
			return;
		}
		h->ghc = GHC_AE | (val & GHC_IE);
		ahci_update_irq(h, true);
		break;
	case 0x08:
		h->is &= ~val;
		ahci_update_irq(h, false);
		break;
	}
}

static uint32_t ahci_reg_read(struct ahci *h, unsigned reg)
{
	unsigned n = (reg - PORT_BASE) / PORT_BYTES;

	if (reg < PORT_BASE)
		return ahci_generic_read(h, reg);
	return n < AHCI_PORTS ? ahci_port_read(&h->port[n], reg % PORT_BYTES)
			      : 0;
}

static void ahci_reg_write(struct ahci *h, unsigned reg, uint32_t val)
{
	unsigned n = (reg - PORT_BASE) / PORT_BYTES;

	if (reg < PORT_BASE)
		ahci_generic_write(h, reg, val);
	else if (n < AHCI_PORTS)
		ahci_port_write(&h->port[n], reg % PORT_BYTES, val);
}

/* Registers are double words; other sizes read parts of them. */
static uint64_t ahci_read(
	void *opaque, struct bus_cpu *who, uint64_t off, unsigned size)
{
	struct ahci *h = opaque;
	unsigned shift = (off & 3) * 8;
	uint64_t val = ahci_reg_read(h, off & ~3u);

	if (size == 8)
		val |= (uint64_t)ahci_reg_read(h, (off & ~3u) + 4) << 32;
	return val >> shift;
}

static void ahci_write(void *opaque, struct bus_cpu *who, uint64_t off,
	unsigned size, uint64_t val)
{
	struct ahci *h = opaque;

	if (off & 3 || size < 4)
		return; /* 3: software shall not */
	ahci_reg_write(h, off, val);
	if (size == 8)
		ahci_reg_write(h, off + 4, val >> 32);
}

static const struct bus_mmio_ops ahci_ops = {
	.read = ahci_read,
	.write = ahci_write,
};

static void ahci_config_written(struct pci_func *f, unsigned off, unsigned len)
{
	struct ahci *h = (struct ahci *)f->dev;

	if (f->config[PCI_COMMAND] & PCI_COMMAND_MASTER)
		for (unsigned i = 0; i < AHCI_PORTS; i++)
			ahci_port_run(&h->port[i]);
	ahci_update_irq(h, false);
}

static int ahci_init(struct dev *d, char *err, unsigned errsize)
{
	struct ahci *h = (struct ahci *)d;

	pci_func_init(&h->pci, d,
		&(struct pci_ident){.vendor = 0x8086,
			.device = 0x2922,
			.class_code = 0x010601,
			.revision = 2,
			.sub_vendor = 0x1af4,
			.sub_id = 0x1100});
	h->pci.irq_pin = 1;
	h->pci.config_written = ahci_config_written;
	h->pci.bar[AHCI_BAR] = (struct pci_bar){
		.size = AHCI_BAR_BYTES,
		.mmio = &ahci_ops,
		.opaque = h,
	};
	pci_add_msi(&h->pci);
	for (unsigned i = 0; i < AHCI_PORTS; i++) {
		h->port[i].hba = h;
		h->port[i].index = i;
	}
	return pci_func_plug(&h->pci, d->host.pci,
		d->host.pci_slot < 0
			? -1
			: (int)(d->host.pci_slot << 3 | d->host.pci_fn));
}

int ahci_attach(struct dev *d, unsigned n, const struct ata_conf *c)
{
	struct ahci *h = (struct ahci *)d;
	struct ahci_port *p = &h->port[n];
	int rc;

	if (p->drive.present)
		return -EBUSY;
	p->drive.port = p;
	rc = ata_init(&p->drive, d, &ahci_transport, c);
	if (!rc)
		ahci_port_reset(p);
	return rc;
}

struct ata_drive *ahci_drive(struct dev *d, unsigned n)
{
	struct ahci *h = (struct ahci *)d;

	return &h->port[n].drive;
}

static void ahci_reset(struct dev *d)
{
	struct ahci *h = (struct ahci *)d;

	pci_func_reset(&h->pci);
	for (unsigned i = 0; i < AHCI_PORTS; i++) {
		h->port[i].clb = h->port[i].fb = 0;
		ata_power_on(&h->port[i].drive);
	}
	ahci_hba_reset(h);
}

static void ahci_fini(struct dev *d)
{
	struct ahci *h = (struct ahci *)d;

	for (unsigned i = 0; i < AHCI_PORTS; i++)
		ata_fini(&h->port[i].drive);
	pci_func_unplug(&h->pci);
}

static void ahci_describe(struct dev *d, char *buf, unsigned size)
{
	struct ahci *h = (struct ahci *)d;
	unsigned at = 0;

	for (unsigned i = 0; i < AHCI_PORTS; i++) {
		if (!h->port[i].drive.present || at >= size)
			continue;
		at += snprintf(
			buf + at, size - at, "%s%u: ", at ? "; " : "", i);
		if (at < size)
			ata_describe(&h->port[i].drive, buf + at, size - at);
		at = strlen(buf);
	}
}

/* ---- state ---- */

static void ahci_drain(struct dev *d)
{
	for (unsigned i = 0; i < AHCI_PORTS; i++)
		ata_drain_all(ahci_drive(d, i));
}

static int ahci_port_loaded(
	void *obj, unsigned version, char *err, unsigned errsize)
{
	struct ahci_port *p = obj;

	/* Slots are served at once: no transfer waits for the host. */
	if (p->drive.phase == ATA_IDLE)
		return 0;
	snprintf(err, errsize, "a command is half done");
	return -EINVAL;
}

static const struct state_field ahci_port_fields[] = {
	STATE_STRUCT(struct ahci_port, drive, &ata_state),
	STATE(struct ahci_port, clb),
	STATE(struct ahci_port, fb),
	STATE(struct ahci_port, is),
	STATE(struct ahci_port, ie),
	STATE(struct ahci_port, cmd),
	STATE(struct ahci_port, tfd),
	STATE(struct ahci_port, sig),
	STATE(struct ahci_port, ssts),
	STATE(struct ahci_port, sctl),
	STATE(struct ahci_port, serr),
	STATE(struct ahci_port, sact),
	STATE(struct ahci_port, ci),
	STATE(struct ahci_port, device_reset),
	STATE(struct ahci_port, halted),
};

static const struct state_list ahci_port_state = STATE_LIST("port",
	struct ahci_port, 1, ahci_port_fields, .loaded = ahci_port_loaded);

static const struct state_field ahci_fields[] = {
	STATE_STRUCT(struct ahci, pci, &pci_func_state),
	STATE_STRUCTS(struct ahci, port, &ahci_port_state),
	STATE(struct ahci, ghc),
	STATE(struct ahci, is),
};

static const struct state_list ahci_state =
	STATE_LIST("ahci", struct ahci, 1, ahci_fields);

const struct dev_class ahci_class = {
	.name = "ahci",
	.size = sizeof(struct ahci),
	.init = ahci_init,
	.reset = ahci_reset,
	.fini = ahci_fini,
	.describe = ahci_describe,
	.state = &ahci_state,
	.drain = ahci_drain,
};
