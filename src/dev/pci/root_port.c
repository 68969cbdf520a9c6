/*
 * root_port.c - the ICH9's PCI Express root ports 1c.0 to 1c.5, each with a
 * slot in which cards may come and go.
 *
 * Intel ICH9 data sheet 316972, chapter 20 (D28:F0-F5); PCI Express Base
 * Specification 4.0, 7.5.3.9 (slot registers), 6.7 (hot plug).  Commands to
 * the slot's controller are carried out at once, so there is no notice when
 * they are (No Command Completed Support).
 */
#include "dev/pci/root_port.h"

#include <string.h>

#include "dev/pci/pci_priv.h"
#include "dev/state.h"

#define EXP_FLAGS_SLOT 0x0100
#define EXP_FLAGS      0x02
#define EXP_LNKCAP     0x0c
#define EXP_LNKSTA     0x12
#define EXP_SLTCAP     0x14
#define EXP_SLTCTL     0x18
#define EXP_SLTSTA     0x1a
#define EXP_RTCTL      0x1c
#define EXP_RTSTA      0x20

#define LNKCAP_ACTIVE_REPORTED 0x00100000
#define LNKCAP_PORT(n)	       ((uint32_t)(n) << 24)
#define LNKSTA_ACTIVE	       0x2000
/* Attention button, power controller, both indicators, surprise, hot plug */
#define SLTCAP_BITS	 0x0000007bu
#define SLTCAP_NCCS	 0x00040000u
#define SLTCAP_SLOT(n)	 ((uint32_t)(n) << 19)
#define SLTCTL_BITS	 0x17ff
#define SLTCTL_RESET	 0x07c0 /* indicators and power off */
#define SLTCTL_HPIE	 0x0020
#define SLTCTL_EVENTS	 0x100f
#define SLTCTL_POWER_OFF 0x0400
#define SLTCTL_LAMP	 0x0300 /* the power indicator; all set: off */
#define SLTSTA_BUTTON	 0x0001
#define SLTSTA_PDC	 0x0008
#define SLTSTA_W1C	 0x011f
#define SLTSTA_DLLSC	 0x0100
#define SLTSTA_PRESENT	 0x0040
#define RTCTL_BITS	 0x000f

struct root_port {
	struct dev dev;
	struct pci_func pci;
	struct pci_bus *behind;
	bool event; /* what the interrupt says */
	bool asked; /* the button was pressed, the card is still there */
	void (*off)(void *opaque);
	void *off_opaque;
};

struct pci_bus *root_port_bus(struct dev *d)
{
	return ((struct root_port *)d)->behind;
}

static void root_port_set16(struct pci_func *f, unsigned reg, uint16_t v)
{
	pci_put16(f->config + f->express + reg, v);
}

static uint16_t root_port_get16(const struct pci_func *f, unsigned reg)
{
	return pci_get16(f->config + f->express + reg);
}

/* Is there a card? */
static void root_port_config_reading(
	struct pci_func *f, unsigned off, unsigned len)
{
	struct root_port *p = (struct root_port *)f->dev;
	uint16_t sta = root_port_get16(f, EXP_SLTSTA) & ~SLTSTA_PRESENT;
	uint16_t lnk = root_port_get16(f, EXP_LNKSTA) & ~LNKSTA_ACTIVE;
	bool there = p->behind && p->behind->func[0];

	root_port_set16(f, EXP_SLTSTA, sta | (there ? SLTSTA_PRESENT : 0));
	root_port_set16(f, EXP_LNKSTA, lnk | (there ? LNKSTA_ACTIVE : 0));
}

static void root_port_update(struct root_port *p)
{
	uint16_t ctl = root_port_get16(&p->pci, EXP_SLTCTL);
	uint16_t sta = root_port_get16(&p->pci, EXP_SLTSTA);
	uint16_t events = sta & 0x0f;
	bool event;

	if (sta & SLTSTA_DLLSC)
		events |= 0x1000;
	event = (ctl & SLTCTL_HPIE) && (events & ctl & SLTCTL_EVENTS);
	if (pci_msi_enabled(&p->pci)) {
		pci_set_intx(&p->pci, false);
		if (event && !p->event)
			pci_msi_notify(&p->pci);
	} else {
		pci_set_intx(&p->pci, event);
	}
	p->event = event;
}

/* ---- cards that come and go ---- */

bool root_port_free(const struct dev *d)
{
	return !((const struct root_port *)d)->behind->func[0];
}

static void root_port_tell(struct root_port *p, uint16_t events)
{
	root_port_set16(&p->pci, EXP_SLTSTA,
		root_port_get16(&p->pci, EXP_SLTSTA) | events);
	root_port_update(p);
}

void root_port_changed(struct dev *d)
{
	struct root_port *p = (struct root_port *)d;

	p->asked = false;
	root_port_tell(p, SLTSTA_PDC | SLTSTA_DLLSC);
}

void root_port_ask(struct dev *d)
{
	struct root_port *p = (struct root_port *)d;

	p->asked = true;
	root_port_tell(p, SLTSTA_BUTTON);
}

void root_port_watch(struct dev *d, void (*off)(void *opaque), void *opaque)
{
	struct root_port *p = (struct root_port *)d;

	p->off = off;
	p->off_opaque = opaque;
}

/* No power, and the lamp that says that the card may be taken out. */
bool root_port_is_off(const struct dev *d)
{
	const struct root_port *p = (const struct root_port *)d;
	uint16_t ctl = root_port_get16(&p->pci, EXP_SLTCTL);

	return p->asked && (ctl & SLTCTL_POWER_OFF) &&
	       (ctl & SLTCTL_LAMP) == SLTCTL_LAMP;
}

/* A reset of the bus resets all behind it (PCI to PCI Bridge 1.2, 3.2.5.17). */
static void root_port_reset_behind(struct root_port *p)
{
	for (unsigned i = 0; i < 256; i++) {
		struct pci_func *f = p->behind->func[i];

		if (f && f->dev && f->dev->cls->reset)
			f->dev->cls->reset(f->dev);
	}
}

static void root_port_config_written(
	struct pci_func *f, unsigned off, unsigned len)
{
	struct root_port *p = (struct root_port *)f->dev;

	if (off <= PCI_BRIDGE_CONTROL && off + len > PCI_BRIDGE_CONTROL &&
		(f->config[PCI_BRIDGE_CONTROL] & PCI_BRIDGE_RESET))
		root_port_reset_behind(p);
	root_port_update(p);
	if (p->off && root_port_is_off(&p->dev))
		p->off(p->off_opaque);
}

static void root_port_add_slot(struct root_port *p)
{
	struct pci_func *f = &p->pci;
	unsigned n = p->dev.host.index + 1;
	unsigned cap = pci_add_express(f, PCI_EXPRESS_ROOT_PORT);
	uint8_t *c = f->config + cap, *w = f->wmask + cap;

	pci_put16(c + EXP_FLAGS, pci_get16(c + EXP_FLAGS) | EXP_FLAGS_SLOT);
	pci_put32(c + EXP_LNKCAP, pci_get32(c + EXP_LNKCAP) |
					  LNKCAP_ACTIVE_REPORTED |
					  LNKCAP_PORT(n));
	pci_put32(c + EXP_SLTCAP, SLTCAP_BITS | SLTCAP_NCCS | SLTCAP_SLOT(n));
	pci_put16(w + EXP_SLTCTL, SLTCTL_BITS);
	pci_put16(f->w1cmask + cap + EXP_SLTSTA, SLTSTA_W1C);
	pci_put16(w + EXP_RTCTL, RTCTL_BITS);
	f->w1cmask[cap + EXP_RTSTA + 2] = 1; /* PME status */
}

static int root_port_init(struct dev *d, char *err, unsigned errsize)
{
	struct root_port *p = (struct root_port *)d;
	struct pci_func *f = &p->pci;
	int e;

	pci_func_init(f, d,
		&(struct pci_ident){.vendor = 0x8086,
			.device = 0x2940 + 2 * d->host.index,
			.class_code = 0x060400,
			.revision = 2});
	f->config[PCI_HEADER_TYPE] = 0x80;
	f->irq_pin = d->host.index % 4 + 1;
	f->config_reading = root_port_config_reading;
	f->config_written = root_port_config_written;
	pci_add_msi(f);
	root_port_add_slot(p);
	e = pci_func_plug(f, d->host.pci, ROOT_PORT_SLOT << 3 | d->host.index);
	if (!e)
		p->behind = pci_bus_new_behind(f);
	return e;
}

static void root_port_reset(struct dev *d)
{
	struct root_port *p = (struct root_port *)d;
	struct pci_func *f = &p->pci;
	unsigned sta = f->express + EXP_SLTSTA;

	pci_func_reset(f);
	memset(f->config + PCI_PREF_BASE_HI, 0, 8);
	f->config[PCI_BRIDGE_CONTROL] = 0;
	root_port_set16(f, EXP_SLTCTL, SLTCTL_RESET);
	pci_put16(f->config + sta, pci_get16(f->config + sta) & ~SLTSTA_W1C);
	pci_put32(f->config + f->express + EXP_RTSTA, 0);
	root_port_set16(f, EXP_RTCTL, 0);
	p->event = false;
	pci_bus_remap(p->behind);
}

static void root_port_fini(struct dev *d)
{
	struct root_port *p = (struct root_port *)d;

	pci_bus_free(p->behind);
	pci_func_unplug(&p->pci);
}

/* ---- state ---- */

static const struct state_field root_port_fields[] = {
	STATE_STRUCT(struct root_port, pci, &pci_func_state),
	STATE(struct root_port, event),
	STATE(struct root_port, asked, .since = 2),
};

static const struct state_list root_port_state =
	STATE_LIST("root-port", struct root_port, 2, root_port_fields);

const struct dev_class root_port_class = {
	.name = "root-port",
	.size = sizeof(struct root_port),
	.init = root_port_init,
	.reset = root_port_reset,
	.fini = root_port_fini,
	.state = &root_port_state,
};
