/*
 * board_q35.c - the board `q35`: MCH host bridge with PCI Express
 * configuration space, ICH9 with ISA bridge, AHCI and root ports.
 *
 * PCI slots: 0 host bridge, 2 the display, from 3 cards, 1c four root ports
 * with hot-plug slots, 1f the ISA bridge (function 1 IDE, as the PIIX3 has it,
 * if there are drives on it; function 2 AHCI).  As on the board
 * pc, so that a guest finds its cards where they were there.
 */
#include "dev/pci/ich9.h"
#include "dev/pci/ich9_smbus.h"
#include "dev/pci/mch.h"
#include "dev/pci/pci_setup.h"
#include "dev/pci/root_port.h"
#include "dev/storage/ahci.h"
#include "dev/storage/ide.h"
#include "vmm/priv.h"

#define PM_BASE	    0x600
#define PCI_IO	    0x2000 /* root ports take 4 KiB each */
#define RAM_MANY    MCH_ECAM
#define RAM_MANYLOW 0x80000000u

/* Below configuration space.  Much RAM: round, as firmware expects. */
static uint64_t q35_low_max(const struct conf_machine *c)
{
	return c->mem_bytes >= RAM_MANY ? RAM_MANYLOW : RAM_MANY;
}

static void slot_off(void *opaque)
{
	loop_post(opaque, REQ_CARD);
}

static bool q35_add_ports(
	struct machine *m, const struct dev_host *host, GError **err)
{
	struct dev_host h = *host;

	for (unsigned i = 0; i < CONF_PORT_SLOTS; i++) {
		g_autofree char *id = g_strdup_printf("port%u", i);

		h.index = i;
		m->board.port[i] =
			board_add_class(m, &root_port_class, id, &h, err);
		if (!m->board.port[i])
			return false;
		root_port_watch(m->board.port[i], slot_off, m);
	}
	return true;
}

static bool q35_add_chipset(
	struct machine *m, const struct dev_host *host, GError **err)
{
	struct board *b = &m->board;
	struct dev_host h = *host;

	bus_lock(m->bus);
	pci_bus_set_express(b->pci);
	bus_unlock(m->bus);
	b->host_bridge = board_add_class(m, &mch_class, "host", &h, err);
	if (!b->host_bridge)
		return false;
	b->shadow = mch_shadow(b->host_bridge);
	b->isa = board_add_class(m, &ich9_class, "isa", &h, err);
	if (!b->isa)
		return false;
	b->acpi = ich9_acpi(b->isa);
	if (!q35_add_ports(m, &h, err))
		return false;
	h.pci_slot = ICH9_SLOT;
	h.pci_fn = ICH9_AHCI_FN;
	b->ahci = board_add_class(m, &ahci_class, "ahci", &h, err);
	b->smbus = b->ahci ? board_add_class(
				     m, &ich9_smbus_class, "smbus", &h, err)
			   : NULL;
	return b->smbus != NULL;
}

static void q35_setup(struct machine *m)
{
	static const struct pci_setup_room room = {
		MCH_ECAM + MCH_ECAM_BYTES, BOARD_PCI_END, PCI_IO, BOARD_IO_END};
	struct board *b = &m->board;

	mch_open_ecam(b->host_bridge);
	ich9_setup(b->isa, PM_BASE);
	ich9_smbus_setup(b->smbus);
	if (b->ide)
		ide_enable(b->ide);
	pci_setup_assign(b->pci, &room, ich9_pirq);
}

static void q35_acpi(const struct machine *m, struct fw_acpi_conf *c)
{
	c->q35 = true;
	c->pm_base = PM_BASE;
	c->pci_mem_first = MCH_ECAM + MCH_ECAM_BYTES;
	c->ecam = MCH_ECAM;
	c->rcba = ICH9_RCBA;
}

const struct board_kind board_q35 = {
	.low_max = q35_low_max,
	.add_chipset = q35_add_chipset,
	.setup = q35_setup,
	.acpi = q35_acpi,
	.ecam = MCH_ECAM,
	.last_card = 0x18,
	.isa_slot = ICH9_SLOT,
};
