/*
 * piix3.c - 82371SB (PIIX3) function 0: PCI to ISA bridge.
 *
 * Intel 82371SB data sheet 290550-002: 2.2.7 (PIRQRC[A:D], 60h-63h).  The
 * interrupt pins of slot n are wired to PIRQ (n + pin - 1) mod 4, so that
 * those of slot 1 are A, B, C, D.
 *
 * A PIRQ that is not routed leads nowhere; several may share an interrupt,
 * which is then high while one of them is.
 */
#include "dev/misc/cf9.h"
#include "dev/pci/pci_priv.h"
#include "dev/pci/piix3.h"
#include "dev/state.h"

#define PIIX3_PIRQRC	0x60
#define PIRQRC_DISABLED 0x80

#define PIIX3_RC_BITS 0x06

struct piix3 {
	struct dev dev;
	struct pci_func pci;
	uint8_t pulled[4]; /* how many slot pins pull a PIRQ */
	uint16_t levels;   /* of the ISA interrupts driven from here */
	struct cf9 reset_control;
};

static uint16_t piix3_levels(const struct piix3 *p)
{
	uint16_t levels = 0;

	for (unsigned i = 0; i < 4; i++) {
		uint8_t rc = p->pci.config[PIIX3_PIRQRC + i];

		if (p->pulled[i] && !(rc & PIRQRC_DISABLED))
			levels |= 1u << (rc & 15);
	}
	/* 0, 1, 2, 8 and 13 are reserved in the register. */
	return levels & ~(1u << 0 | 1u << 1 | 1u << 2 | 1u << 8 | 1u << 13);
}

static void piix3_update(struct piix3 *p)
{
	uint16_t levels = piix3_levels(p), diff = levels ^ p->levels;

	p->levels = levels;
	for (unsigned n = 0; n < 16; n++)
		if (diff & (1u << n))
			bus_irq_set(&p->dev.host.gsi[n], levels & (1u << n));
}

static void piix3_route(void *opaque, unsigned slot, unsigned pin, bool level)
{
	struct piix3 *p = opaque;

	p->pulled[piix3_pirq(slot, pin)] += level ? 1 : -1;
	piix3_update(p);
}

static void piix3_config_written(struct pci_func *f, unsigned off, unsigned len)
{
	if (off < PIIX3_PIRQRC + 4 && off + len > PIIX3_PIRQRC)
		piix3_update((struct piix3 *)f->dev);
}

void piix3_route_default(struct dev *d)
{
	static const uint8_t irqs[4] = {10, 10, 11, 11};
	struct piix3 *p = (struct piix3 *)d;

	for (unsigned i = 0; i < 4; i++)
		p->pci.config[PIIX3_PIRQRC + i] = irqs[i];
	bus_io_write(d->host.bus, 0x4d1, 1, 1u << (10 - 8) | 1u << (11 - 8));
	piix3_update(p);
}

static int piix3_init(struct dev *d, char *err, unsigned errsize)
{
	struct piix3 *p = (struct piix3 *)d;

	pci_func_init(&p->pci, d,
		&(struct pci_ident){.vendor = 0x8086,
			.device = 0x7000,
			.class_code = 0x060100,
			.sub_vendor = 0x1af4,
			.sub_id = 0x1100});
	p->pci.config[PCI_HEADER_TYPE] = 0x80; /* has more functions */
	p->pci.config_written = piix3_config_written;
	for (unsigned i = 0; i < 4; i++)
		p->pci.wmask[PIIX3_PIRQRC + i] = 0x8f;
	pci_bus_set_route(d->host.pci, piix3_route, p);
	cf9_init(&p->reset_control, d->host.pci, d->host.bus, PIIX3_RC_BITS);
	return pci_func_plug(&p->pci, d->host.pci, 1 << 3);
}

static void piix3_reset(struct dev *d)
{
	struct piix3 *p = (struct piix3 *)d;

	pci_func_reset(&p->pci);
	/* 2.2.3: always a master that decodes. */
	p->pci.config[PCI_COMMAND] =
		PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;
	p->pci.wmask[PCI_COMMAND] = 0;
	for (unsigned i = 0; i < 4; i++)
		p->pci.config[PIIX3_PIRQRC + i] = PIRQRC_DISABLED;
	p->reset_control.val = 0;
	piix3_update(p);
}

static void piix3_fini(struct dev *d)
{
	struct piix3 *p = (struct piix3 *)d;

	pci_bus_set_route(d->host.pci, NULL, NULL);
	cf9_fini(d->host.pci);
	pci_func_unplug(&p->pci);
}

/* ---- state ---- */

static const struct state_field piix3_fields[] = {
	STATE_STRUCT(struct piix3, pci, &pci_func_state),
	STATE_BYTES(struct piix3, pulled),
	STATE(struct piix3, levels),
	STATE(struct piix3, reset_control.val, .max = PIIX3_RC_BITS),
};

static const struct state_list piix3_state =
	STATE_LIST("piix3", struct piix3, 1, piix3_fields);

const struct dev_class piix3_class = {
	.name = "piix3",
	.size = sizeof(struct piix3),
	.init = piix3_init,
	.reset = piix3_reset,
	.fini = piix3_fini,
	.state = &piix3_state,
};
