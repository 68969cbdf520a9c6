/*
 * ahci_priv.h - what the two files of the AHCI controller share: ahci.c is the
 * PCI function and the generic registers, ahci_port.c a port.
 */
#ifndef DEV_STORAGE_AHCI_PRIV_H
#define DEV_STORAGE_AHCI_PRIV_H

#include "dev/pci/pci.h"
#include "dev/storage/ahci.h"

#define AHCI_SLOTS 32

struct ahci_port {
	struct ahci *hba;
	unsigned index;
	struct ata_drive drive;
	/* registers */
	uint64_t clb, fb;
	uint32_t is, ie, cmd, tfd, sig, ssts, sctl, serr, sact, ci;
	/* the command that is not queued, at work in this slot; or -1 */
	int slot;
	struct prd prd;
	uint32_t bytes;	   /* moved by PIO */
	gpa_t header;	   /* of the slot */
	bool device_reset; /* SRST stands in the device control */
	bool halted;	   /* by an error, until ST goes */
	bool running;	   /* slots are being looked through */
	uint32_t queued;   /* slots given to the drive as queued commands */
	struct ata_io io[AHCI_SLOTS];
};

struct ahci {
	struct dev dev;
	struct pci_func pci;
	struct ahci_port port[AHCI_PORTS];
	uint32_t ghc, is;
};

extern const struct ata_transport ahci_transport;

/* A port's interrupt state changed; event: something new happened. */
void ahci_update_irq(struct ahci *h, bool event);

uint32_t ahci_port_read(struct ahci_port *p, unsigned reg);
void ahci_port_write(struct ahci_port *p, unsigned reg, uint32_t val);
/* Power-on state of the registers and the link. */
void ahci_port_reset(struct ahci_port *p);
/* Slots may have become ready: bus mastering was switched on. */
void ahci_port_run(struct ahci_port *p);
static inline uint32_t ahci_port_is(const struct ahci_port *p)
{
	/* 3.3.5: bit 6 shows SERR.DIAG.X. */
	return p->is | (p->serr >> 26 & 1) << 6;
}

#endif
