/*
 * pci_express.c - the PCI Express capability (PCI Express Base Specification
 * 4.0, 7.5.3).
 *
 * Version 2, 60 bytes.  A link has one lane at 2.5 GT/s, is always up and
 * saves no power; payloads are of 128 bytes.  Only what software writes and
 * reads back is here: no transaction can fail.
 */
#include "dev/pci/pci_priv.h"

#define EXP_BYTES   0x3c
#define EXP_FLAGS   0x02
#define EXP_DEVCAP  0x04
#define EXP_DEVCTL  0x08
#define EXP_DEVSTA  0x0a
#define EXP_LNKCAP  0x0c
#define EXP_LNKCTL  0x10
#define EXP_LNKSTA  0x12
#define EXP_LNKCTL2 0x30

#define EXP_VERSION	 2
#define DEVCAP_ROLE	 0x8000 /* role-based error reporting */
#define DEVCTL_RESET	 0x2810 /* no snoop, 512-byte reads, relaxed order */
#define DEVCTL_BITS	 0x7eff
#define DEVSTA_W1C	 0x000f
#define LINK_X1_2_5GT	 0x0011
#define LNKCTL_BITS	 0x0fdb
#define LNKSTA_SLOTCLOCK 0x1000

unsigned pci_add_express(struct pci_func *f, enum pci_express_type type)
{
	unsigned cap = pci_add_cap(f, PCI_CAP_ID_EXP, EXP_BYTES);
	uint8_t *c = f->config + cap, *w = f->wmask + cap;

	f->express = cap;
	pci_put16(c + EXP_FLAGS, EXP_VERSION | type << 4);
	pci_put32(c + EXP_DEVCAP, DEVCAP_ROLE);
	pci_put16(c + EXP_DEVCTL, DEVCTL_RESET);
	pci_put16(w + EXP_DEVCTL, DEVCTL_BITS);
	f->w1cmask[cap + EXP_DEVSTA] = DEVSTA_W1C;
	if (type == PCI_EXPRESS_INTEGRATED)
		return cap; /* no link: those registers are zero */
	pci_put32(c + EXP_LNKCAP, LINK_X1_2_5GT);
	pci_put16(w + EXP_LNKCTL, LNKCTL_BITS);
	pci_put16(c + EXP_LNKSTA, LINK_X1_2_5GT | LNKSTA_SLOTCLOCK);
	pci_put16(c + EXP_LNKCTL2, 1); /* target speed 2.5 GT/s */
	return cap;
}

void pci_express_reset(struct pci_func *f)
{
	uint8_t *c = f->config + f->express;

	if (!f->express)
		return;
	pci_put16(c + EXP_DEVCTL, DEVCTL_RESET);
	pci_put16(c + EXP_LNKCTL, 0);
}
