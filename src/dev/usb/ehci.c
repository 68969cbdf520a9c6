/*
 * ehci.c - an EHCI controller: registers, ports and who owns them, interrupts
 * (EHCI 1.0, chapter 2; ICH9 data sheet 316972-004, chapter 17).
 *
 * Unlike the ICH9 it takes 32-bit addresses only, and has no debug port.
 */
#include "dev/usb/ehci_priv.h"

#include <stdio.h>

#include <glib.h>

#include "dev/pci/pci_priv.h"

#define EHCI_BAR       0
#define EHCI_BAR_BYTES 1024u
#define OPERATIONAL    0x20u
#define PORTS_AT       0x64u

/* six ports, two for each of three companions */
#define HCSPARAMS                                                              \
	(EHCI_PORTS | (EHCI_PORTS / EHCI_COMPANIONS) << 8 |                    \
		EHCI_COMPANIONS << 12)
/* whole frames are cached; extended capabilities at LEGSUP */
#define HCCPARAMS 0x00006880u

#define LEGSUP 0x68 /* in configuration space: 2.1.7 */

#define CMD_RESET	0x00000002u
#define CMD_LIGHT_RESET 0x00000080u
#define CMD_WRITABLE	0x00ff0071u
#define CMD_DEFAULT	0x00080000u

#define STS_HALTED   0x00001000u
#define STS_PERIODIC 0x00004000u
#define STS_ASYNC    0x00008000u
#define STS_EVENTS   0x0000003fu

/* ports: 2.3.9 */
#define PORT_CONNECTED	0x00000001u
#define PORT_CONNECT_CH 0x00000002u
#define PORT_ENABLED	0x00000004u
#define PORT_ENABLE_CH	0x00000008u
#define PORT_OVER_CH	0x00000020u
#define PORT_RESUME	0x00000040u
#define PORT_SUSPEND	0x00000080u
#define PORT_RESET	0x00000100u
#define PORT_LINE_K	0x00000400u
#define PORT_LINE_J	0x00000800u
#define PORT_POWER	0x00001000u
#define PORT_OWNER	0x00002000u
#define PORT_KEPT	0x007fc000u /* indicators, tests, what wakes */

#define LOOK_STEPS 4096u
#define LOOK_BYTES (256u * 1024) /* at once */

static void ehci_update_irq(struct ehci *e)
{
	pci_set_intx(&e->pci, e->status & e->enable & STS_EVENTS);
}

/* ---- the lists ---- */

static bool ehci_busy(const struct ehci *e)
{
	return (e->cmd & EHCI_CMD_RUN) &&
	       ((e->cmd & (EHCI_CMD_PERIODIC | EHCI_CMD_ASYNC |
				  EHCI_CMD_DOORBELL)) ||
		       (e->enable & EHCI_STS_ROLLOVER));
}

static bool ehci_frames(struct ehci *e, uint64_t now, struct ehci_budget *left)
{
	bool moved = false;

	if (now - e->pace.frame > PACE_MAX_FRAMES)
		e->pace.frame = now - PACE_MAX_FRAMES;
	while (e->pace.frame != now && left->steps && left->bytes)
		moved |= ehci_sched_frame(e, (unsigned)++e->pace.frame, left);
	return moved;
}

static void ehci_fire(void *opaque)
{
	struct ehci *e = opaque;
	uint64_t now = usb_pace_now(&e->pace), last = e->pace.frame;
	struct ehci_budget left = {LOOK_STEPS, LOOK_BYTES};
	bool master = e->pci.config[PCI_COMMAND] & PCI_COMMAND_MASTER;
	bool moved = false, again = true;

	if (master && (e->cmd & EHCI_CMD_PERIODIC))
		moved = ehci_frames(e, now, &left);
	if (now / 1024 != last / 1024)
		e->status |= EHCI_STS_ROLLOVER;
	e->pace.frame = now;
	while (again && master && (e->cmd & EHCI_CMD_ASYNC) && left.steps &&
		left.bytes) {
		again = ehci_sched_async(e, &left);
		moved |= again;
	}
	/* Nothing is cached, so the list is left behind at once. */
	if (e->cmd & EHCI_CMD_DOORBELL) {
		e->cmd &= ~EHCI_CMD_DOORBELL;
		e->status |= EHCI_STS_ADVANCE;
	}
	if (ehci_busy(e))
		usb_pace_next(&e->pace, moved);
	ehci_update_irq(e);
}

static void ehci_poke(struct ehci *e)
{
	if (ehci_busy(e))
		usb_pace_poke(&e->pace);
}

/* ---- ports ---- */

struct usb_device *ehci_find(struct ehci *e, uint8_t address)
{
	struct usb_device *d = NULL;

	for (unsigned i = 0; i < EHCI_PORTS && !d; i++)
		if ((e->portsc[i] & (PORT_ENABLED | PORT_SUSPEND)) ==
			PORT_ENABLED)
			d = usb_device_find(e->port[i].device, address);
	return d;
}

static void ehci_port_changed(struct ehci *e, unsigned n, uint32_t bits)
{
	e->portsc[n] |= bits;
	e->status |= EHCI_STS_PORT;
	ehci_update_irq(e);
	ehci_poke(e);
}

static bool ehci_owns(const struct ehci *e, unsigned n)
{
	return e->configured && !(e->portsc[n] & PORT_OWNER);
}

/* 4.2: to the companion, or from it. */
static void ehci_route(struct ehci *e, unsigned n)
{
	struct usb_port *p = &e->port[n], *c = p->companion;
	bool own = ehci_owns(e, n) || !c;
	struct usb_device *d = own && c ? c->device : p->device;

	if (!d || (own && !c))
		return;
	usb_detach(d);
	usb_attach(own ? p : c, d);
}

static void ehci_attached(struct usb_port *p)
{
	struct ehci *e = p->owner;
	unsigned n = p->index;

	if (!ehci_owns(e, n) && p->companion) {
		struct usb_device *d = p->device;

		p->device = NULL;
		d->port = NULL;
		usb_attach(p->companion, d);
		return;
	}
	e->portsc[n] &= ~(PORT_LINE_J | PORT_LINE_K);
	e->portsc[n] |=
		p->device->speed == USB_SPEED_LOW ? PORT_LINE_K : PORT_LINE_J;
	ehci_port_changed(e, n, PORT_CONNECTED | PORT_CONNECT_CH);
}

static void ehci_detached(struct usb_port *p)
{
	struct ehci *e = p->owner;
	uint32_t *sc = &e->portsc[p->index];

	if (!(*sc & PORT_CONNECTED))
		return;
	if (*sc & PORT_ENABLED)
		*sc |= PORT_ENABLE_CH;
	*sc &= ~(PORT_CONNECTED | PORT_ENABLED | PORT_SUSPEND | PORT_RESUME |
		 PORT_LINE_J | PORT_LINE_K);
	ehci_port_changed(e, p->index, PORT_CONNECT_CH);
}

static void ehci_ready(struct usb_port *p, struct usb_device *d)
{
	ehci_poke(p->owner);
}

static void ehci_wakeup(struct usb_port *p)
{
	struct ehci *e = p->owner;

	if (e->portsc[p->index] & PORT_SUSPEND)
		ehci_port_changed(e, p->index, PORT_RESUME);
}

/* 4.2.2: what is plugged in next is looked at here first. */
static void ehci_returned(struct usb_port *p)
{
	struct ehci *e = p->owner;

	if (e->configured)
		e->portsc[p->index] &= ~PORT_OWNER;
}

static const struct usb_port_ops ehci_port_ops = {
	.attached = ehci_attached,
	.detached = ehci_detached,
	.ready = ehci_ready,
	.wakeup = ehci_wakeup,
	.returned = ehci_returned,
};

static void ehci_port_reset(struct ehci *e, unsigned n, bool begin)
{
	struct usb_device *d = e->port[n].device;

	e->portsc[n] &= ~(PORT_ENABLED | PORT_SUSPEND | PORT_RESUME);
	if (!d)
		return;
	if (begin) {
		usb_device_reset(d);
	} else if (d->speed == USB_SPEED_HIGH) {
		e->portsc[n] &= ~PORT_LINE_J;
		e->portsc[n] |= PORT_ENABLED;
	}
}

static void ehci_port_suspend(uint32_t *sc, uint32_t val)
{
	if ((val & PORT_SUSPEND) && (*sc & PORT_ENABLED))
		*sc |= PORT_SUSPEND;
	if ((val & PORT_RESUME) && (*sc & PORT_SUSPEND))
		*sc |= PORT_RESUME;
	else if (!(val & PORT_RESUME) && (*sc & PORT_RESUME))
		*sc &= ~(PORT_RESUME | PORT_SUSPEND);
}

static void ehci_port_write(struct ehci *e, unsigned n, uint32_t val)
{
	uint32_t *sc = &e->portsc[n], was = *sc;

	*sc &= ~(val & (PORT_CONNECT_CH | PORT_ENABLE_CH | PORT_OVER_CH));
	*sc = (*sc & ~PORT_KEPT) | (val & PORT_KEPT);
	if (e->configured && ((was ^ val) & PORT_OWNER)) {
		*sc ^= PORT_OWNER;
		ehci_route(e, n);
	}
	if (!(val & PORT_ENABLED))
		*sc &= ~(PORT_ENABLED | PORT_SUSPEND);
	*sc = (*sc & ~PORT_RESET) | (val & PORT_RESET);
	if ((was ^ val) & PORT_RESET)
		ehci_port_reset(e, n, val & PORT_RESET);
	else
		ehci_port_suspend(sc, val);
}

struct usb_port *ehci_port(struct dev *d, unsigned n)
{
	return n < EHCI_PORTS ? &((struct ehci *)d)->port[n] : NULL;
}

void ehci_set_companion(struct dev *d, unsigned n, struct usb_port *p)
{
	struct usb_port *own = ehci_port(d, n);

	own->companion = p;
	p->socket = own;
}

/* ---- registers ---- */

static void ehci_configure(struct ehci *e, uint32_t val)
{
	if (e->configured == (val & 1))
		return;
	e->configured = val & 1;
	for (unsigned i = 0; i < EHCI_PORTS; i++) {
		if (e->configured)
			e->portsc[i] &= ~PORT_OWNER;
		else
			e->portsc[i] |= PORT_OWNER;
		ehci_route(e, i);
	}
}

static void ehci_hc_reset(struct ehci *e)
{
	for (unsigned i = 0; i < EHCI_PORTS; i++)
		e->portsc[i] = (e->portsc[i] & PORT_CONNECTED) | PORT_POWER |
			       PORT_OWNER;
	e->configured = 1;
	ehci_configure(e, 0);
	usb_pace_stop(&e->pace);
	e->pace.frame = 0;
	e->cmd = CMD_DEFAULT;
	e->status = e->enable = e->periodic = e->async = 0;
	ehci_update_irq(e);
}

static void ehci_cmd_write(struct ehci *e, uint32_t val)
{
	bool run = val & EHCI_CMD_RUN;

	if (val & CMD_RESET) {
		ehci_hc_reset(e);
		return;
	}
	e->cmd = (val & CMD_WRITABLE) | (e->cmd & EHCI_CMD_DOORBELL);
	if (run && !e->pace.running)
		usb_pace_start(&e->pace, e->pace.frame);
	else if (!run && e->pace.running)
		usb_pace_stop(&e->pace);
}

static uint32_t ehci_status(const struct ehci *e)
{
	uint32_t val = e->status & STS_EVENTS;

	if (!(e->cmd & EHCI_CMD_RUN))
		return val | STS_HALTED;
	if (e->cmd & EHCI_CMD_PERIODIC)
		val |= STS_PERIODIC;
	return e->cmd & EHCI_CMD_ASYNC ? val | STS_ASYNC : val;
}

static uint32_t ehci_reg_read(const struct ehci *e, unsigned reg)
{
	unsigned n = (reg - PORTS_AT) / 4;

	switch (reg) {
	case 0x00: return 0x01000000 | OPERATIONAL;
	case 0x04: return HCSPARAMS;
	case 0x08: return HCCPARAMS;
	case 0x20: return e->cmd;
	case 0x24: return ehci_status(e);
	case 0x28: return e->enable;
	case 0x2c: return usb_pace_micro(&e->pace) & 0x3fff;
	case 0x34: return e->periodic;
	case 0x38: return e->async;
	case 0x60: return e->configured;
	}
	return reg >= PORTS_AT && n < EHCI_PORTS ? e->portsc[n] : 0;
}

static void ehci_reg_write(struct ehci *e, unsigned reg, uint32_t val)
{
	unsigned n = (reg - PORTS_AT) / 4;

	switch (reg) {
	case 0x20: ehci_cmd_write(e, val); break;
	case 0x24: e->status &= ~(val & STS_EVENTS); break;
	case 0x28: e->enable = val & STS_EVENTS; break;
	case 0x2c:
		if (!e->pace.running)
			e->pace.frame = val >> 3 & 0x7ff;
		break;
	case 0x34: e->periodic = val & ~0xfffu; break;
	case 0x38: e->async = val & ~31u; break;
	case 0x60: ehci_configure(e, val); break;
	default:
		if (reg >= PORTS_AT && n < EHCI_PORTS)
			ehci_port_write(e, n, val);
	}
	ehci_update_irq(e);
	ehci_poke(e);
}

static uint64_t ehci_read(
	void *opaque, struct bus_cpu *who, uint64_t off, unsigned size)
{
	struct ehci *e = opaque;
	uint64_t val = ehci_reg_read(e, off & ~3u);

	if (size == 8)
		val |= (uint64_t)ehci_reg_read(e, (off & ~3u) + 4) << 32;
	return val >> (off & 3) * 8;
}

static void ehci_write(void *opaque, struct bus_cpu *who, uint64_t off,
	unsigned size, uint64_t val)
{
	struct ehci *e = opaque;

	if (off & 3 || size < 4)
		return;
	ehci_reg_write(e, (unsigned)off, (uint32_t)val);
	if (size == 8)
		ehci_reg_write(e, (unsigned)off + 4, val >> 32);
}

static const struct bus_mmio_ops ehci_ops = {
	.read = ehci_read,
	.write = ehci_write,
};

static void ehci_config_written(struct pci_func *f, unsigned off, unsigned len)
{
	ehci_poke((struct ehci *)f->dev);
}

/* ---- life ---- */

static int ehci_init(struct dev *d, char *err, unsigned errsize)
{
	struct ehci *e = (struct ehci *)d;
	int rc;

	pci_func_init(&e->pci, d,
		&(struct pci_ident){.vendor = 0x8086,
			.device = 0x293a,
			.class_code = 0x0c0320,
			.revision = 3,
			.sub_vendor = 0x1af4,
			.sub_id = 0x1100});
	e->pci.config[0x60] = e->pci.config[0x61] = 0x20; /* USB 2.0, SOF */
	e->pci.wmask[0x61] = 0x3f;
	e->pci.config[LEGSUP] = 1;
	e->pci.wmask[LEGSUP + 2] = e->pci.wmask[LEGSUP + 3] = 1;
	e->pci.irq_pin = 1;
	e->pci.config_written = ehci_config_written;
	e->pci.bar[EHCI_BAR] = (struct pci_bar){
		.size = EHCI_BAR_BYTES,
		.mmio = &ehci_ops,
		.opaque = e,
	};
	usb_pace_init(&e->pace, d->host.bus, ehci_fire, e);
	for (unsigned i = 0; i < EHCI_PORTS; i++)
		e->port[i] = (struct usb_port){.ops = &ehci_port_ops,
			.owner = e,
			.index = i,
			.number = i + 1,
			.speeds = USB_LOW | USB_FULL | USB_HIGH};
	rc = pci_func_plug(&e->pci, d->host.pci,
		d->host.pci_slot < 0 ? -1
				     : d->host.pci_slot << 3 | EHCI_FUNCTION);
	if (rc)
		snprintf(err, errsize, "there is no free PCI slot");
	return rc;
}

static void ehci_reset(struct dev *d)
{
	struct ehci *e = (struct ehci *)d;

	pci_func_reset(&e->pci);
	e->pci.config[0x61] = 0x20;
	e->pci.config[LEGSUP + 2] = e->pci.config[LEGSUP + 3] = 0;
	ehci_hc_reset(e);
}

static void ehci_fini(struct dev *d)
{
	struct ehci *e = (struct ehci *)d;

	for (unsigned i = 0; i < EHCI_PORTS; i++) {
		if (e->port[i].device)
			usb_detach(e->port[i].device);
		if (e->port[i].companion)
			e->port[i].companion->socket = NULL;
	}
	usb_pace_stop(&e->pace);
	pci_func_unplug(&e->pci);
}

static void ehci_describe(struct dev *d, char *buf, unsigned size)
{
	struct ehci *e = (struct ehci *)d;

	snprintf(buf, size, "%s, %s%s%llu frames, %llu transactions",
		e->pace.running ? "runs" : "stands",
		e->cmd & EHCI_CMD_PERIODIC ? "periodic, " : "",
		e->cmd & EHCI_CMD_ASYNC ? "asynchronous, " : "",
		(unsigned long long)e->frames,
		(unsigned long long)e->transactions);
}

/* ---- state ---- */

/* What is plugged in goes to whom it belongs, without either's noticing. */
static int ehci_loaded(void *obj, unsigned version, char *err, unsigned errsize)
{
	struct ehci *e = obj;

	for (unsigned i = 0; i < EHCI_PORTS; i++) {
		struct usb_port *p = &e->port[i], *c = p->companion;
		struct usb_port *to = ehci_owns(e, i) || !c ? p : c;
		struct usb_device *d = p->device || !c ? p->device : c->device;

		if (!d || d->port == to)
			continue;
		d->port->device = NULL;
		d->port = to;
		to->device = d;
		usb_port_negotiate(to);
	}
	return 0;
}

static const struct state_field ehci_fields[] = {
	STATE_STRUCT(struct ehci, pci, &pci_func_state),
	STATE_STRUCT(struct ehci, pace, &usb_pace_state),
	STATE(struct ehci, cmd),
	STATE(struct ehci, status),
	STATE(struct ehci, enable),
	STATE(struct ehci, periodic),
	STATE(struct ehci, async),
	STATE(struct ehci, configured, .max = 1),
	STATE_ARRAY(struct ehci, portsc),
};

static const struct state_list ehci_state =
	STATE_LIST("ehci", struct ehci, 1, ehci_fields, .loaded = ehci_loaded);

const struct dev_class ehci_class = {
	.name = "ehci",
	.size = sizeof(struct ehci),
	.init = ehci_init,
	.reset = ehci_reset,
	.fini = ehci_fini,
	.describe = ehci_describe,
	.state = &ehci_state,
};
