/*
 * uhci.c - a UHCI controller: registers, ports, interrupts (UHCI Design Guide
 * 1.1, chapter 2; 82371SB data sheet 290550-002, 2.4; ICH9 data sheet
 * 316972-004, chapters 16 and 13.1 for the PCI side).
 */
#include "dev/usb/uhci_priv.h"

#include <stdio.h>

#include <glib.h>

#include "dev/pci/pci_priv.h"

#define UHCI_BAR 4

#define CMD_RUN	       0x0001
#define CMD_RESET      0x0002
#define CMD_BUS_RESET  0x0004
#define CMD_SUSPEND    0x0008
#define CMD_RESUME     0x0010
#define CMD_CONFIGURED 0x0040
#define CMD_WRITABLE   0x00ff

/* interrupt enable */
#define EN_ERROR  0x01
#define EN_RESUME 0x02

/* ports: 2.1.7 */
#define PORT_CONNECTED	0x0001
#define PORT_CONNECT_CH 0x0002
#define PORT_ENABLED	0x0004
#define PORT_ENABLE_CH	0x0008
#define PORT_LINE_FULL	0x0010 /* what idles high */
#define PORT_LINE_LOW	0x0020
#define PORT_RESUME	0x0040
#define PORT_ONE	0x0080
#define PORT_LOW	0x0100
#define PORT_RESET	0x0200
#define PORT_SUSPEND	0x1000
#define PORT_WRITABLE	(PORT_ENABLED | PORT_RESUME | PORT_RESET | PORT_SUSPEND)

#define LEGSUP	       0xc0
#define LEGSUP_DEFAULT 0x2000 /* the interrupt goes to its PIRQ */

#define FRAME_STEPS 2048u
#define FRAME_BYTES 32768u /* at once; a millisecond of the bus has 1500 */

static void uhci_update_irq(struct uhci *u)
{
	uint16_t s = u->status, e = u->enable;
	bool line = (u->causes & e) ||
		    ((s & UHCI_STS_ERROR) && (e & EN_ERROR)) ||
		    ((s & UHCI_STS_RESUME) && (e & EN_RESUME)) ||
		    (s & (UHCI_STS_PCI | UHCI_STS_PROC));

	pci_set_intx(&u->pci,
		line && (pci_get16(u->pci.config + LEGSUP) & LEGSUP_DEFAULT));
}

/* ---- frames ---- */

static void uhci_fire(void *opaque)
{
	struct uhci *u = opaque;
	uint64_t now = usb_pace_now(&u->pace);
	struct uhci_budget left = {FRAME_STEPS, FRAME_BYTES};
	bool moved = false, again = true;

	if (now - u->pace.frame > PACE_MAX_FRAMES)
		u->pace.frame = now - PACE_MAX_FRAMES;
	else if (now == u->pace.frame)
		u->pace.frame--;
	if (u->pci.config[PCI_COMMAND] & PCI_COMMAND_MASTER)
		while (u->pace.frame != now && left.bytes && left.steps)
			moved |= uhci_sched_frame(
				u, (unsigned)++u->pace.frame, &left);
	/* Where the bus would take its time. */
	while (moved && again && left.bytes && left.steps)
		again = uhci_sched_frame(u, (unsigned)now, &left);
	u->pace.frame = now;
	if (!(u->cmd & CMD_RUN))
		usb_pace_stop(&u->pace);
	usb_pace_next(&u->pace, moved);
	uhci_update_irq(u);
}

static void uhci_run(struct uhci *u, bool run)
{
	if (run == u->pace.running)
		return;
	if (run) {
		u->status &= ~UHCI_STS_HALTED;
		usb_pace_start(&u->pace, u->pace.frame);
	} else {
		usb_pace_stop(&u->pace);
		u->status |= UHCI_STS_HALTED;
	}
}

/* ---- ports ---- */

static void uhci_resumed(struct uhci *u)
{
	u->status |= UHCI_STS_RESUME;
	if (u->cmd & CMD_SUSPEND)
		u->cmd |= CMD_RESUME;
	uhci_update_irq(u);
}

static void uhci_attached(struct usb_port *p)
{
	struct uhci *u = p->owner;
	uint16_t *sc = &u->portsc[p->index];

	*sc &= ~(PORT_LOW | PORT_ENABLED | PORT_LINE_LOW | PORT_LINE_FULL);
	*sc |= PORT_CONNECTED | PORT_CONNECT_CH;
	*sc |= p->device->speed == USB_SPEED_LOW ? PORT_LOW | PORT_LINE_LOW
						 : PORT_LINE_FULL;
	if (u->cmd & CMD_SUSPEND)
		uhci_resumed(u);
	usb_pace_poke(&u->pace);
}

static void uhci_detached(struct usb_port *p)
{
	struct uhci *u = p->owner;
	uint16_t *sc = &u->portsc[p->index];

	if (*sc & PORT_ENABLED)
		*sc |= PORT_ENABLE_CH;
	*sc &= PORT_ONE | PORT_ENABLE_CH | PORT_RESET;
	*sc |= PORT_CONNECT_CH;
	if (u->cmd & CMD_SUSPEND)
		uhci_resumed(u);
	usb_pace_poke(&u->pace);
}

static void uhci_ready(struct usb_port *p, struct usb_device *d)
{
	struct uhci *u = p->owner;

	usb_pace_poke(&u->pace);
}

static void uhci_wakeup(struct usb_port *p)
{
	struct uhci *u = p->owner;

	if (u->portsc[p->index] & PORT_SUSPEND) {
		u->portsc[p->index] |= PORT_RESUME;
		uhci_resumed(u);
	} else if (u->cmd & CMD_SUSPEND) {
		uhci_resumed(u);
	}
}

static const struct usb_port_ops uhci_port_ops = {
	.attached = uhci_attached,
	.detached = uhci_detached,
	.ready = uhci_ready,
	.wakeup = uhci_wakeup,
};

static void uhci_port_write(struct uhci *u, unsigned n, uint16_t val)
{
	uint16_t *sc = &u->portsc[n], was = *sc;
	struct usb_device *d = u->port[n].device;

	*sc &= ~(val & (PORT_CONNECT_CH | PORT_ENABLE_CH));
	*sc = (*sc & ~PORT_WRITABLE) | (val & PORT_WRITABLE);
	if (!d || (val & PORT_RESET))
		*sc &= ~PORT_ENABLED;
	if (d && (val & PORT_RESET) && !(was & PORT_RESET))
		usb_device_reset(d);
	/* Resuming has ended. */
	if ((was & PORT_RESUME) && !(val & PORT_RESUME))
		*sc &= ~PORT_SUSPEND;
}

struct usb_port *uhci_port(struct dev *d, unsigned n)
{
	return n < UHCI_PORTS ? &((struct uhci *)d)->port[n] : NULL;
}

/* ---- registers ---- */

static void uhci_hc_reset(struct uhci *u)
{
	usb_pace_stop(&u->pace);
	u->cmd = 0;
	u->status = UHCI_STS_HALTED;
	u->enable = u->causes = 0;
	u->list = 0;
	u->sof = 0x40;
	u->pace.frame = 0;
	for (unsigned i = 0; i < UHCI_PORTS; i++) {
		u->portsc[i] = PORT_ONE;
		if (u->port[i].device) {
			usb_device_reset(u->port[i].device);
			uhci_attached(&u->port[i]);
		}
	}
	uhci_update_irq(u);
}

static void uhci_cmd_write(struct uhci *u, uint16_t val)
{
	uint16_t was = u->cmd;

	if (val & CMD_RESET) {
		uhci_hc_reset(u);
		return;
	}
	u->cmd = val & CMD_WRITABLE;
	if ((val & CMD_BUS_RESET) && !(was & CMD_BUS_RESET))
		for (unsigned i = 0; i < UHCI_PORTS; i++) {
			u->portsc[i] &= ~(PORT_ENABLED | PORT_SUSPEND);
			if (u->port[i].device)
				usb_device_reset(u->port[i].device);
		}
	uhci_run(u, val & CMD_RUN);
}

static uint32_t uhci_reg_read(struct uhci *u, unsigned reg)
{
	switch (reg) {
	case 0x00: return u->cmd;
	case 0x02: return u->status;
	case 0x04: return u->enable;
	case 0x06: return usb_pace_now(&u->pace) & 0x7ff;
	case 0x08: return u->list & 0xffff;
	case 0x0a: return u->list >> 16;
	case 0x0c: return u->sof;
	case 0x10: return u->portsc[0];
	case 0x12: return u->portsc[1];
	}
	return reg < 0x10 ? 0 : 0xff7f; /* no such port: bit 7 tells */
}

static void uhci_status_write(struct uhci *u, uint16_t val)
{
	u->status &= ~(val & 0x1f);
	if (val & UHCI_STS_INT)
		u->causes = 0;
	uhci_update_irq(u);
}

static void uhci_reg_write(struct uhci *u, unsigned reg, uint16_t val)
{
	switch (reg) {
	case 0x00: uhci_cmd_write(u, val); break;
	case 0x02: uhci_status_write(u, val); break;
	case 0x04:
		u->enable = val & 15;
		uhci_update_irq(u);
		break;
	case 0x06:
		if (u->status & UHCI_STS_HALTED)
			u->pace.frame = val & 0x7ff;
		break;
	case 0x08: u->list = (u->list & 0xffff0000) | (val & 0xf000); break;
	case 0x0a: u->list = (u->list & 0xffff) | (uint32_t)val << 16; break;
	case 0x0c: u->sof = val & 0x7f; break;
	case 0x10: uhci_port_write(u, 0, val); break;
	case 0x12: uhci_port_write(u, 1, val); break;
	}
	usb_pace_poke(&u->pace);
}

/* Registers are words; the bus does not split accesses to us. */
static uint32_t uhci_read_ports(void *opaque, uint16_t port, unsigned size)
{
	struct uhci *u = opaque;
	uint32_t val = uhci_reg_read(u, port & ~1u);

	if (size == 4)
		return val | uhci_reg_read(u, (port & ~1u) + 2) << 16;
	return val >> (port & 1) * 8;
}

static void uhci_write_ports(
	void *opaque, uint16_t port, unsigned size, uint32_t val)
{
	struct uhci *u = opaque;

	/* Bytes only where a register is one. */
	if (size == 1 && port != 0x0c)
		return;
	uhci_reg_write(u, port & ~1u, (uint16_t)val);
	if (size == 4)
		uhci_reg_write(u, (port & ~1u) + 2, val >> 16);
}

static const struct bus_io_ops uhci_ops = {
	.read = uhci_read_ports,
	.write = uhci_write_ports,
	.sizes = 1 | 2 | 4,
};

static void uhci_config_written(struct pci_func *f, unsigned off, unsigned len)
{
	struct uhci *u = (struct uhci *)f->dev;

	uhci_update_irq(u);
	usb_pace_poke(&u->pace);
}

/* ---- life ---- */

/* Function and interrupt pin of each: the PIIX3's, the three of the ICH9, and
 * one like the PIIX3's that stands alone. */
static const struct uhci_place {
	uint16_t device;
	uint8_t function, pin, revision;
} uhci_places[] = {{0x7020, 2, 4, 0}, {0x2934, 0, 1, 3}, {0x2935, 1, 2, 3},
	{0x2936, 2, 3, 3}, {0x7020, 0, 1, 0}};

static int uhci_init(struct dev *d, char *err, unsigned errsize)
{
	struct uhci *u = (struct uhci *)d;
	const struct uhci_place *at =
		&uhci_places[MIN(d->host.index, G_N_ELEMENTS(uhci_places) - 1)];
	int rc;

	pci_func_init(&u->pci, d,
		&(struct pci_ident){.vendor = 0x8086,
			.device = at->device,
			.class_code = 0x0c0300,
			.revision = at->revision,
			.sub_vendor = 0x1af4,
			.sub_id = 0x1100});
	u->pci.config[0x60] = 0x10; /* USB 1.0 */
	if (d->host.index == UHCI_ICH9)
		u->pci.config[PCI_HEADER_TYPE] = 0x80; /* has more functions */
	/* 2.2.21: what is trapped, and where the interrupt goes */
	pci_put16(u->pci.config + LEGSUP, LEGSUP_DEFAULT);
	pci_put16(u->pci.wmask + LEGSUP, 0x20bf);
	u->pci.irq_pin = at->pin;
	u->pci.config_written = uhci_config_written;
	u->pci.bar[UHCI_BAR] = (struct pci_bar){
		.size = 32,
		.io = true,
		.ports = &uhci_ops,
		.opaque = u,
	};
	usb_pace_init(&u->pace, d->host.bus, uhci_fire, u);
	for (unsigned i = 0; i < UHCI_PORTS; i++)
		u->port[i] = (struct usb_port){.ops = &uhci_port_ops,
			.owner = u,
			.index = i,
			.number = i + 1,
			.speeds = USB_LOW | USB_FULL};
	rc = pci_func_plug(&u->pci, d->host.pci,
		d->host.pci_slot < 0 ? -1
				     : d->host.pci_slot << 3 | at->function);
	if (rc)
		snprintf(err, errsize, "there is no free PCI slot");
	return rc;
}

static void uhci_reset(struct dev *d)
{
	struct uhci *u = (struct uhci *)d;

	pci_func_reset(&u->pci);
	pci_put16(u->pci.config + LEGSUP, LEGSUP_DEFAULT);
	uhci_hc_reset(u);
}

static void uhci_fini(struct dev *d)
{
	struct uhci *u = (struct uhci *)d;

	for (unsigned i = 0; i < UHCI_PORTS; i++)
		if (u->port[i].device)
			usb_detach(u->port[i].device);
	usb_pace_stop(&u->pace);
	pci_func_unplug(&u->pci);
}

static void uhci_describe(struct dev *d, char *buf, unsigned size)
{
	struct uhci *u = (struct uhci *)d;

	snprintf(buf, size,
		"%s, frame %u, ports 0x%04x 0x%04x, %llu frames, %llu "
		"transactions",
		u->pace.running ? "runs" : "stands",
		(unsigned)(usb_pace_now(&u->pace) & 0x7ff), u->portsc[0],
		u->portsc[1], (unsigned long long)u->frames,
		(unsigned long long)u->transactions);
}

/* ---- state ---- */

static const struct state_field uhci_fields[] = {
	STATE_STRUCT(struct uhci, pci, &pci_func_state),
	STATE_STRUCT(struct uhci, pace, &usb_pace_state),
	STATE(struct uhci, cmd),
	STATE(struct uhci, status),
	STATE(struct uhci, enable),
	STATE_ARRAY(struct uhci, portsc),
	STATE(struct uhci, list),
	STATE(struct uhci, sof),
	STATE(struct uhci, causes),
};

static const struct state_list uhci_state =
	STATE_LIST("uhci", struct uhci, 1, uhci_fields);

const struct dev_class uhci_class = {
	.name = "uhci",
	.size = sizeof(struct uhci),
	.init = uhci_init,
	.reset = uhci_reset,
	.fini = uhci_fini,
	.describe = uhci_describe,
	.state = &uhci_state,
};
