/*
 * xhci.c - an xHCI 1.0 controller: the PCI function, registers and ports
 * (xHCI 1.2, chapter 5, 4.15 and 4.19).
 *
 * Drivers know it by its class.  It has no streams, no scratch pad, contexts
 * of 32 bytes, and keeps its state through nothing that takes its power.
 */
#include "dev/usb/xhci_priv.h"

#include <stdio.h>
#include <string.h>

#include <glib.h>

#include "dev/pci/pci_priv.h"

#define XHCI_BAR       0
#define XHCI_BAR_BYTES 0x4000u
#define MSIX_BAR       2
#define OPERATIONAL    0x40u
#define PORTS_AT       0x440u
#define PORTS_END      (PORTS_AT + 16 * XHCI_PORTS)
#define RUNTIME	       0x1000u
#define INTERRUPTERS   0x1020u
#define DOORBELLS      0x2000u
#define EXTENDED       0x20u

#define CMD_RUN	     0x001u
#define CMD_RESET    0x002u
#define CMD_SAVE     0x100u
#define CMD_RESTORE  0x200u
#define CMD_WRITABLE 0xc0du

#define STS_HALTED	  0x001u
#define STS_EVENT	  0x008u
#define STS_PORT	  0x010u
#define STS_RESTORE_ERROR 0x400u
#define STS_CLEARABLE	  (0x004u | STS_EVENT | STS_PORT | STS_RESTORE_ERROR)

/* ports: 5.4.8 */
#define PORT_CONNECTED	0x00000001u
#define PORT_ENABLED	0x00000002u
#define PORT_RESET	0x00000010u
#define PORT_LINK	0x000001e0u
#define PORT_POWER	0x00000200u
#define PORT_SPEED	0x00003c00u
#define PORT_STROBE	0x00010000u /* the link state is written too */
#define PORT_CONNECT_CH 0x00020000u
#define PORT_WARM_CH	0x00080000u
#define PORT_RESET_CH	0x00200000u
#define PORT_LINK_CH	0x00400000u
#define PORT_CHANGES	0x00fe0000u
#define PORT_KEPT	0x0e00c000u /* what wakes, indicators */
#define PORT_WARM_RESET 0x80000000u

enum { /* link states */
	LINK_U0 = 0,
	LINK_U3 = 3,
	LINK_DETECT = 5,
	LINK_POLLING = 7,
	LINK_RESUME = 15,
};

#define CRCR_CYCLE 1u
#define CRCR_STOP  6u /* stop, abort */

#define SOON_NS 20000u

bool xhci_running(const struct xhci *x)
{
	return (x->cmd & CMD_RUN) &&
	       (x->pci.config[PCI_COMMAND] & PCI_COMMAND_MASTER);
}

/* ---- going on ---- */

static bool xhci_has_pending(const struct xhci *x)
{
	bool any = x->commands_pending || x->port_events;

	for (unsigned n = 1; n <= XHCI_SLOTS && !any; n++)
		any = x->slot[n].pending;
	return any;
}

void xhci_soon(struct xhci *x)
{
	if (!x->timer.slot && xhci_running(x) && xhci_has_pending(x))
		bus_timer_arm(&x->timer, bus_clock_ns(xhci_bus(x)) + SOON_NS);
}

static void xhci_fire(void *opaque)
{
	struct xhci *x = opaque;

	xhci_port_events(x);
	if (x->commands_pending)
		xhci_commands_run(x);
	for (unsigned n = 1; n <= XHCI_SLOTS; n++) {
		uint32_t todo = x->slot[n].pending;

		for (unsigned e = 1; e < XHCI_EPS; e++)
			if (todo >> e & 1)
				xhci_ep_run(x, &x->slot[n], e);
	}
}

/* ---- ports ---- */

static bool is_super(unsigned n)
{
	return n >= XHCI_SOCKETS;
}

static void port_set_link(struct xhci *x, unsigned n, unsigned state)
{
	x->portsc[n] = (x->portsc[n] & ~PORT_LINK) | state << 5;
}

static unsigned port_link(const struct xhci *x, unsigned n)
{
	return (x->portsc[n] & PORT_LINK) >> 5;
}

/* 4.19.2: an event when the first change bit is set. */
static void port_change(struct xhci *x, unsigned n, uint32_t bits)
{
	if (!(x->portsc[n] & PORT_CHANGES)) {
		x->port_events |= 1u << n;
		x->status |= STS_PORT;
	}
	x->portsc[n] |= bits;
	xhci_port_events(x);
	xhci_soon(x);
}

static void port_set_speed(struct xhci *x, unsigned n)
{
	static const uint8_t ids[USB_NSPEEDS] = {2, 1, 3, 4};
	const struct usb_device *d = x->port[n].device;

	x->portsc[n] &= ~PORT_SPEED;
	if (d)
		x->portsc[n] |= (uint32_t)ids[d->speed] << 10;
}

static void port_connect(struct xhci *x, unsigned n)
{
	x->portsc[n] |= PORT_CONNECTED;
	port_set_speed(x, n);
	if (is_super(n)) { /* the link trains by itself */
		x->portsc[n] |= PORT_ENABLED;
		port_set_link(x, n, LINK_U0);
	} else {
		port_set_link(x, n, LINK_POLLING);
	}
	port_change(x, n, PORT_CONNECT_CH);
}

static void xhci_attached(struct usb_port *p)
{
	port_connect(p->owner, p->index);
}

static void xhci_detached(struct usb_port *p)
{
	struct xhci *x = p->owner;

	x->portsc[p->index] &= ~(PORT_CONNECTED | PORT_ENABLED | PORT_SPEED);
	port_set_link(x, p->index, LINK_DETECT);
	port_change(x, p->index, PORT_CONNECT_CH);
}

static void xhci_ready(struct usb_port *p, struct usb_device *d)
{
	struct xhci *x = p->owner;

	for (unsigned n = 1; n <= XHCI_SLOTS; n++) {
		struct xhci_slot *s = &x->slot[n];

		if (!s->used || xhci_slot_device(x, s) != d)
			continue;
		for (unsigned e = 1; e < XHCI_EPS; e++)
			if (s->ep[e].waits && !x->busy)
				xhci_ep_run(x, s, e);
			else if (s->ep[e].waits)
				s->pending |= 1u << e;
	}
	xhci_soon(x);
}

static void xhci_wakeup(struct usb_port *p)
{
	struct xhci *x = p->owner;

	if (port_link(x, p->index) != LINK_U3)
		return;
	/* A port of USB 3 is there at once, one of USB 2 by software. */
	port_set_link(x, p->index, is_super(p->index) ? LINK_U0 : LINK_RESUME);
	port_change(x, p->index, PORT_LINK_CH);
}

static const struct usb_port_ops xhci_port_ops = {
	.attached = xhci_attached,
	.detached = xhci_detached,
	.ready = xhci_ready,
	.wakeup = xhci_wakeup,
};

static void port_reset(struct xhci *x, unsigned n, bool warm)
{
	struct usb_device *d = x->port[n].device;

	if (!d)
		return;
	usb_device_reset(d);
	x->portsc[n] |= PORT_ENABLED;
	port_set_speed(x, n);
	port_set_link(x, n, LINK_U0);
	port_change(
		x, n, PORT_RESET_CH | (warm && is_super(n) ? PORT_WARM_CH : 0));
}

static void port_link_write(struct xhci *x, unsigned n, unsigned to)
{
	unsigned from = port_link(x, n);

	if (!(x->portsc[n] & PORT_ENABLED))
		return;
	if (to == LINK_U3 && from != LINK_U3) {
		port_set_link(x, n, to);
	} else if (to == LINK_RESUME && from == LINK_U3 && !is_super(n)) {
		port_set_link(x, n, to);
	} else if (to == LINK_U0 && from != LINK_U0) {
		port_set_link(x, n, to);
		port_change(x, n, PORT_LINK_CH);
	}
}

static void port_write(struct xhci *x, unsigned n, uint32_t val)
{
	uint32_t *sc = &x->portsc[n];

	*sc &= ~(val & PORT_CHANGES);
	*sc = (*sc & ~PORT_KEPT) | (val & PORT_KEPT);
	if (val & PORT_RESET) {
		port_reset(x, n, false);
		return;
	}
	if ((val & PORT_WARM_RESET) && is_super(n)) {
		port_reset(x, n, true);
		return;
	}
	if (val & PORT_ENABLED) /* written as one: off */
		*sc &= ~PORT_ENABLED;
	if (val & PORT_STROBE)
		port_link_write(x, n, (val & PORT_LINK) >> 5);
}

struct usb_port *xhci_port(struct dev *d, unsigned n)
{
	return n < XHCI_PORTS ? &((struct xhci *)d)->port[n] : NULL;
}

/* ---- capability registers ---- */

/* Protocol, first port, how many: 7.2. */
static uint32_t extended_read(unsigned word)
{
	const uint32_t usb = 0x20425355, many = XHCI_SOCKETS << 8;
	const uint32_t caps[8] = {0x02000000 | 4 << 8 | 2, usb, many | 1, 0,
		0x03000000 | 2, usb, many | (XHCI_SOCKETS + 1), 0};

	return caps[word & 7];
}

static uint32_t capability_read(unsigned reg)
{
	switch (reg) {
	case 0x00: return 0x01000000 | OPERATIONAL;
	case 0x04:
		return XHCI_SLOTS | XHCI_INTERRUPTERS << 8 | XHCI_PORTS << 24;
	case 0x08: return 4 << 4 | 1;		    /* 16 segments */
	case 0x10: return (EXTENDED / 4) << 16 | 1; /* 64-bit addresses */
	case 0x14: return DOORBELLS;
	case 0x18: return RUNTIME;
	}
	return reg >= EXTENDED && reg < OPERATIONAL
		       ? extended_read((reg - EXTENDED) / 4)
		       : 0;
}

/* ---- operational registers ---- */

static void xhci_hc_reset(struct xhci *x)
{
	bus_timer_cancel(&x->timer);
	x->cmd = x->notify = x->config = x->port_events = 0;
	x->status = STS_HALTED;
	x->dcbaa = x->crcr = 0;
	x->commands = (struct xhci_ring){0};
	x->commands_run = x->commands_pending = false;
	memset(x->intr, 0, sizeof(x->intr));
	for (unsigned n = 0; n < XHCI_INTERRUPTERS; n++)
		x->intr[n].imod = 4000;
	memset(x->slot, 0, sizeof(x->slot));
	for (unsigned n = 0; n < XHCI_PORTS; n++) {
		x->portsc[n] = PORT_POWER | LINK_DETECT << 5;
		if (!x->port[n].device)
			continue;
		usb_device_reset(x->port[n].device);
		port_connect(x, n);
	}
	xhci_update_intx(x);
}

static void xhci_cmd_write(struct xhci *x, uint32_t val)
{
	uint32_t was = x->cmd;

	if (val & CMD_RESET) {
		xhci_hc_reset(x);
		return;
	}
	x->cmd = val & CMD_WRITABLE;
	if (val & CMD_RESTORE) /* there is nothing to restore from */
		x->status |= STS_RESTORE_ERROR;
	if ((val & CMD_RUN) && !(was & CMD_RUN)) {
		x->status &= ~STS_HALTED;
		x->start_ns = bus_clock_ns(xhci_bus(x));
		xhci_port_events(x);
		xhci_soon(x);
	} else if (!(val & CMD_RUN)) {
		x->status |= STS_HALTED;
		x->commands_run = false;
	}
	xhci_update_intx(x);
}

static void set_half(uint64_t *reg, uint32_t val, bool high)
{
	if (high)
		*reg = (uint32_t)*reg | (uint64_t)val << 32;
	else
		*reg = (*reg & ~0xffffffffull) | val;
}

static void crcr_write(struct xhci *x, uint32_t val, bool high)
{
	bool stopped = x->crcr_stopped;

	x->crcr_stopped = !high && (val & CRCR_STOP) && x->commands_run;
	if (x->crcr_stopped)
		xhci_commands_stop(x);
	/* 5.4.5: while it ran, the pointer could not be written. */
	if (x->crcr_stopped || (high && stopped))
		return;
	set_half(&x->crcr, high ? val : val & ~0x3eu, high);
	if (!x->commands_run)
		x->commands = (struct xhci_ring){
			x->crcr & ~63ull, x->crcr & CRCR_CYCLE};
}

static uint32_t operational_read(const struct xhci *x, unsigned reg)
{
	unsigned n = (reg - PORTS_AT) / 16;

	if (reg >= PORTS_AT)
		return reg < PORTS_END && reg % 16 == 0 ? x->portsc[n] : 0;
	switch (reg - OPERATIONAL) {
	case 0x00: return x->cmd;
	case 0x04: return x->status;
	case 0x08: return 1; /* pages of 4 KiB */
	case 0x14: return x->notify;
	case 0x18: return x->commands_run ? 8 : 0;
	case 0x30: return (uint32_t)x->dcbaa;
	case 0x34: return x->dcbaa >> 32;
	case 0x38: return x->config;
	}
	return 0;
}

static void operational_write(struct xhci *x, unsigned reg, uint32_t val)
{
	if (reg >= PORTS_AT) {
		if (reg < PORTS_END && reg % 16 == 0)
			port_write(x, (reg - PORTS_AT) / 16, val);
		return;
	}
	switch (reg - OPERATIONAL) {
	case 0x00: xhci_cmd_write(x, val); break;
	case 0x04: x->status &= ~(val & STS_CLEARABLE); break;
	case 0x14: x->notify = val & 0xffff; break;
	case 0x18: crcr_write(x, val, false); break;
	case 0x1c: crcr_write(x, val, true); break;
	case 0x30: set_half(&x->dcbaa, val & ~63u, false); break;
	case 0x34: set_half(&x->dcbaa, val, true); break;
	case 0x38: x->config = val & 0xff; break;
	}
}

/* ---- runtime registers and doorbells ---- */

static uint32_t runtime_read(const struct xhci *x, unsigned reg)
{
	unsigned n = (reg - INTERRUPTERS) / 32;
	const struct xhci_interrupter *i = &x->intr[n % XHCI_INTERRUPTERS];

	if (reg == RUNTIME && (x->cmd & CMD_RUN))
		return (uint32_t)((bus_clock_ns(xhci_bus(x)) - x->start_ns) /
				  125000) &
		       0x3fff;
	if (reg < INTERRUPTERS || n >= XHCI_INTERRUPTERS)
		return 0;
	switch (reg % 32) {
	case 0x00: return i->iman;
	case 0x04: return i->imod;
	case 0x08: return i->erstsz;
	case 0x10: return (uint32_t)i->erstba;
	case 0x14: return i->erstba >> 32;
	case 0x18: return (uint32_t)i->erdp;
	case 0x1c: return i->erdp >> 32;
	}
	return 0;
}

static void iman_write(struct xhci *x, unsigned n, uint32_t val)
{
	struct xhci_interrupter *i = &x->intr[n];

	i->iman &= ~(val & 1);
	i->iman = (i->iman & 1) | (val & 2);
	if (x->pci.msix.enabled && i->iman == 3 && (x->cmd & 4)) {
		i->iman &= ~1u;
		pci_msix_notify(&x->pci, n);
	}
	xhci_update_intx(x);
}

static void runtime_write(struct xhci *x, unsigned reg, uint32_t val)
{
	unsigned n = (reg - INTERRUPTERS) / 32;
	struct xhci_interrupter *i = &x->intr[n % XHCI_INTERRUPTERS];

	if (reg < INTERRUPTERS || n >= XHCI_INTERRUPTERS)
		return;
	switch (reg % 32) {
	case 0x00: iman_write(x, n, val); break;
	case 0x04: i->imod = val; break;
	case 0x08:
		i->erstsz = val & 0xffff;
		i->loaded = false;
		break;
	case 0x10:
	case 0x14:
		set_half(&i->erstba, reg % 32 == 0x10 ? val & ~63u : val,
			reg % 32 == 0x14);
		i->loaded = false;
		break;
	case 0x18:
		xhci_erdp_write(x, n, (i->erdp & ~0xffffffffull) | (val & ~8u),
			val & 8);
		break;
	case 0x1c:
		xhci_erdp_write(
			x, n, (uint32_t)i->erdp | (uint64_t)val << 32, false);
		break;
	}
}

static void doorbell(struct xhci *x, unsigned n, uint32_t val)
{
	unsigned ep = val & 0xff;
	struct xhci_slot *s = &x->slot[MIN(n, XHCI_SLOTS)];

	if (!xhci_running(x) || n > XHCI_SLOTS)
		return;
	if (!n) {
		x->commands_run = true;
		xhci_commands_run(x);
		return;
	}
	if (!s->used || ep < 1 || ep >= XHCI_EPS)
		return;
	if (s->ep[ep].state == EP_STOPPED) {
		s->ep[ep].state = EP_RUNNING;
		xhci_ep_store(x, s, ep);
	}
	xhci_ep_run(x, s, ep);
}

static uint32_t xhci_reg_read(const struct xhci *x, unsigned reg)
{
	if (reg < OPERATIONAL)
		return capability_read(reg);
	if (reg < RUNTIME)
		return operational_read(x, reg);
	return reg < DOORBELLS ? runtime_read(x, reg) : 0;
}

static void xhci_reg_write(struct xhci *x, unsigned reg, uint32_t val)
{
	if (reg < OPERATIONAL)
		return;
	if (reg < RUNTIME)
		operational_write(x, reg, val);
	else if (reg < DOORBELLS)
		runtime_write(x, reg, val);
	else
		doorbell(x, (reg - DOORBELLS) / 4, val);
}

static uint64_t xhci_read(
	void *opaque, struct bus_cpu *who, uint64_t off, unsigned size)
{
	struct xhci *x = opaque;
	uint64_t val = xhci_reg_read(x, off & ~3u);

	if (size == 8)
		val |= (uint64_t)xhci_reg_read(x, (off & ~3u) + 4) << 32;
	return val >> (off & 3) * 8;
}

static void xhci_write(void *opaque, struct bus_cpu *who, uint64_t off,
	unsigned size, uint64_t val)
{
	struct xhci *x = opaque;

	if (off & 3 || size < 4)
		return;
	xhci_reg_write(x, (unsigned)off, (uint32_t)val);
	if (size == 8)
		xhci_reg_write(x, (unsigned)off + 4, val >> 32);
}

static const struct bus_mmio_ops xhci_ops = {
	.read = xhci_read,
	.write = xhci_write,
};

static void xhci_config_written(struct pci_func *f, unsigned off, unsigned len)
{
	struct xhci *x = (struct xhci *)f->dev;

	xhci_update_intx(x);
	xhci_soon(x);
}

/* ---- life ---- */

static int xhci_init(struct dev *d, char *err, unsigned errsize)
{
	struct xhci *x = (struct xhci *)d;
	int rc;

	pci_func_init(&x->pci, d,
		&(struct pci_ident){.vendor = 0x1b36,
			.device = 0x000d,
			.class_code = 0x0c0330,
			.revision = 1,
			.sub_vendor = 0x1af4,
			.sub_id = 0x1100});
	x->pci.config[0x60] = 0x30; /* USB 3.0 */
	x->pci.config[0x61] = 0x20; /* frames of the usual length */
	x->pci.irq_pin = 1;
	x->pci.config_written = xhci_config_written;
	x->pci.bar[XHCI_BAR] = (struct pci_bar){
		.size = XHCI_BAR_BYTES,
		.mem64 = true,
		.mmio = &xhci_ops,
		.opaque = x,
	};
	pci_add_msix(&x->pci, MSIX_BAR, XHCI_INTERRUPTERS);
	bus_timer_init(&x->timer, d->host.bus, xhci_fire, x);
	for (unsigned n = 0; n < XHCI_PORTS; n++)
		x->port[n] = (struct usb_port){.ops = &xhci_port_ops,
			.owner = x,
			.index = n,
			.number = n % XHCI_SOCKETS + 1,
			.speeds = is_super(n) ? USB_SUPER
					      : USB_LOW | USB_FULL | USB_HIGH};
	rc = pci_func_plug(&x->pci, d->host.pci,
		d->host.pci_slot < 0 ? -1 : d->host.pci_slot << 3);
	if (rc)
		snprintf(err, errsize, "there is no free PCI slot");
	return rc;
}

static void xhci_reset(struct dev *d)
{
	struct xhci *x = (struct xhci *)d;

	pci_func_reset(&x->pci);
	xhci_hc_reset(x);
}

static void xhci_fini(struct dev *d)
{
	struct xhci *x = (struct xhci *)d;

	for (unsigned n = 0; n < XHCI_PORTS; n++)
		if (x->port[n].device)
			usb_detach(x->port[n].device);
	bus_timer_cancel(&x->timer);
	pci_func_unplug(&x->pci);
}

static void xhci_describe(struct dev *d, char *buf, unsigned size)
{
	struct xhci *x = (struct xhci *)d;
	unsigned slots = 0;

	for (unsigned n = 1; n <= XHCI_SLOTS; n++)
		slots += x->slot[n].used;
	snprintf(buf, size, "%s, %u slots, %llu requests, %llu events",
		x->cmd & CMD_RUN ? "runs" : "stands", slots,
		(unsigned long long)x->transfers,
		(unsigned long long)x->events);
}

const struct dev_class xhci_class = {
	.name = "xhci",
	.size = sizeof(struct xhci),
	.init = xhci_init,
	.reset = xhci_reset,
	.fini = xhci_fini,
	.describe = xhci_describe,
	.state = &xhci_state,
};
