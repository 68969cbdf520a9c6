/*
 * hub.c - a hub with eight ports (USB 2.0, chapter 11).
 *
 * At high speed it has one transaction translator; that takes no time here,
 * so controllers talk to slower devices behind it as if it were not there.
 * Each port has its own power switch.
 */
#include "dev/usb/hub.h"

#include <stdio.h>
#include <string.h>

#include <glib.h>

enum { /* bmRequestType, bRequest: table 11-15 */
	GET_HUB_DESCRIPTOR = 0xa006,
	GET_HUB_STATUS = 0xa000,
	GET_PORT_STATUS = 0xa300,
	CLEAR_HUB_FEATURE = 0x2001,
	SET_HUB_FEATURE = 0x2003,
	CLEAR_PORT_FEATURE = 0x2301,
	SET_PORT_FEATURE = 0x2303,
	CLEAR_TT_BUFFER = 0x2308,
	RESET_TT = 0x2309,
	GET_TT_STATE = 0xa30a,
	STOP_TT = 0x230b,
};

enum { /* table 11-17; the changes stand 16 above what changed */
	PORT_ENABLE = 1,
	PORT_SUSPEND = 2,
	PORT_RESET = 4,
	PORT_POWER = 8,
	C_PORT_CONNECTION = 16,
	C_PORT_RESET = 20,
	PORT_TEST = 21,
	PORT_INDICATOR = 22,
};

/* wPortStatus: 11.24.2.7.1 */
#define STATUS_CONNECTED 0x0001
#define STATUS_ENABLED	 0x0002
#define STATUS_SUSPENDED 0x0004
#define STATUS_POWER	 0x0100
#define STATUS_LOW	 0x0200
#define STATUS_HIGH	 0x0400

#define CHANGE_CONNECTION 0x01
#define CHANGE_ENABLE	  0x02
#define CHANGE_SUSPEND	  0x04
#define CHANGE_RESET	  0x10

#define HUB_DESCRIPTOR 0x29
#define REPORT_BYTES   2 /* a bit for the hub and one for each port */

struct usb_hub {
	struct usb_device usb;
	struct usb_port port[USB_HUB_PORTS];
	uint16_t status[USB_HUB_PORTS], change[USB_HUB_PORTS];
};

static struct usb_hub *hub_of(struct usb_device *d)
{
	return (struct usb_hub *)d;
}

/* ---- ports ---- */

static void hub_change(struct usb_hub *h, unsigned n, uint16_t bits)
{
	h->change[n] |= bits;
	usb_device_ready(&h->usb, true);
}

static void hub_connect(struct usb_hub *h, unsigned n)
{
	struct usb_device *d = h->port[n].device;

	if (!d || !(h->status[n] & STATUS_POWER))
		return;
	usb_port_negotiate(&h->port[n]);
	h->status[n] |= STATUS_CONNECTED;
	if (d->speed == USB_SPEED_LOW)
		h->status[n] |= STATUS_LOW;
	hub_change(h, n, CHANGE_CONNECTION);
}

static void hub_attached(struct usb_port *p)
{
	hub_connect(p->owner, p->index);
}

static void hub_detached(struct usb_port *p)
{
	struct usb_hub *h = p->owner;
	bool was = h->status[p->index] & STATUS_CONNECTED;

	h->status[p->index] &= STATUS_POWER;
	if (was)
		hub_change(h, p->index, CHANGE_CONNECTION);
}

static void hub_ready(struct usb_port *p, struct usb_device *d)
{
	struct usb_hub *h = p->owner;

	if (h->usb.port)
		h->usb.port->ops->ready(h->usb.port, d);
}

/* Ends the suspend of the port, or goes on upwards. */
static void hub_wakeup(struct usb_port *p)
{
	struct usb_hub *h = p->owner;

	if (h->status[p->index] & STATUS_SUSPENDED) {
		h->status[p->index] &= ~STATUS_SUSPENDED;
		hub_change(h, p->index, CHANGE_SUSPEND);
	} else if (h->usb.port && h->usb.remote_wakeup) {
		h->usb.port->ops->wakeup(h->usb.port);
	}
}

static const struct usb_port_ops hub_port_ops = {
	.attached = hub_attached,
	.detached = hub_detached,
	.ready = hub_ready,
	.wakeup = hub_wakeup,
};

static struct usb_device *hub_find(struct usb_device *d, uint8_t address)
{
	struct usb_hub *h = hub_of(d);
	struct usb_device *found = NULL;

	for (unsigned i = 0; i < USB_HUB_PORTS && !found; i++)
		if ((h->status[i] & STATUS_ENABLED) &&
			!(h->status[i] & STATUS_SUSPENDED))
			found = usb_device_find(h->port[i].device, address);
	return found;
}

static struct usb_port *hub_port(struct usb_device *d, unsigned n)
{
	return n >= 1 && n <= USB_HUB_PORTS ? &hub_of(d)->port[n - 1] : NULL;
}

/* ---- requests ---- */

static void hub_reset_port(struct usb_hub *h, unsigned n)
{
	struct usb_device *d = h->port[n].device;

	if (!d || !(h->status[n] & STATUS_CONNECTED))
		return;
	usb_port_negotiate(&h->port[n]);
	usb_device_reset(d);
	h->status[n] &= ~(STATUS_SUSPENDED | STATUS_HIGH);
	h->status[n] |= STATUS_ENABLED;
	if (d->speed == USB_SPEED_HIGH)
		h->status[n] |= STATUS_HIGH;
	hub_change(h, n, CHANGE_RESET);
}

static bool hub_set_feature(struct usb_hub *h, unsigned n, unsigned feature)
{
	switch (feature) {
	case PORT_SUSPEND:
		if (h->status[n] & STATUS_ENABLED)
			h->status[n] |= STATUS_SUSPENDED;
		return true;
	case PORT_RESET: hub_reset_port(h, n); return true;
	case PORT_POWER:
		if (h->status[n] & STATUS_POWER)
			return true;
		h->status[n] |= STATUS_POWER;
		hub_connect(h, n);
		return true;
	case PORT_TEST:
	case PORT_INDICATOR: return true;
	}
	return false;
}

static bool hub_clear_feature(struct usb_hub *h, unsigned n, unsigned feature)
{
	switch (feature) {
	case PORT_ENABLE:
		h->status[n] &= ~(STATUS_ENABLED | STATUS_SUSPENDED);
		return true;
	case PORT_SUSPEND:
		if (!(h->status[n] & STATUS_SUSPENDED))
			return true;
		h->status[n] &= ~STATUS_SUSPENDED;
		hub_change(h, n, CHANGE_SUSPEND);
		return true;
	case PORT_POWER: h->status[n] = h->change[n] = 0; return true;
	case PORT_INDICATOR: return true;
	}
	if (feature < C_PORT_CONNECTION || feature > C_PORT_RESET)
		return false;
	h->change[n] &= ~(1u << (feature - C_PORT_CONNECTION));
	return true;
}

static uint32_t hub_descriptor(uint8_t *buf)
{
	/* power and over-current per port, 16 full-speed bit times of the
	 * translator, power good at once, nothing fixed */
	static const uint8_t d[] = {11, HUB_DESCRIPTOR, USB_HUB_PORTS, 0x29, 0,
		1, 0, 0, 0, 0xff, 0xff};

	memcpy(buf, d, sizeof(d));
	return sizeof(d);
}

static uint32_t hub_port_status(struct usb_hub *h, unsigned n, uint8_t *buf)
{
	buf[0] = h->status[n] & 255;
	buf[1] = h->status[n] >> 8;
	buf[2] = h->change[n] & 255;
	buf[3] = 0;
	return 4;
}

static bool hub_control(struct usb_device *d, const struct usb_setup *s,
	uint8_t *buf, uint32_t *len)
{
	struct usb_hub *h = hub_of(d);
	unsigned n = (s->index & 255) - 1;
	bool port = n < USB_HUB_PORTS;

	*len = 0;
	switch (USB_REQUEST(s)) {
	case GET_HUB_DESCRIPTOR: *len = hub_descriptor(buf); return true;
	case GET_HUB_STATUS:
		memset(buf, 0, 4);
		*len = 4;
		return true;
	case GET_PORT_STATUS:
		*len = port ? hub_port_status(h, n, buf) : 0;
		return port;
	case CLEAR_HUB_FEATURE:
	case SET_HUB_FEATURE: return s->value < 2;
	case CLEAR_PORT_FEATURE:
		return port && hub_clear_feature(h, n, s->value);
	case SET_PORT_FEATURE: return port && hub_set_feature(h, n, s->value);
	case CLEAR_TT_BUFFER:
	case RESET_TT:
	case STOP_TT: return d->speed == USB_SPEED_HIGH;
	case GET_TT_STATE: return d->speed == USB_SPEED_HIGH;
	}
	return false;
}

static enum usb_result hub_io(struct usb_device *d, struct usb_io *io)
{
	struct usb_hub *h = hub_of(d);
	uint8_t report[REPORT_BYTES] = {0};

	for (unsigned i = 0; i < USB_HUB_PORTS; i++)
		if (h->change[i])
			report[(i + 1) / 8] |= 1u << (i + 1) % 8;
	if (!report[0] && !report[1])
		return USB_NAK;
	io->moved = MIN(io->len, sizeof(report));
	memcpy(io->buf, report, io->moved);
	return io->len < sizeof(report) ? USB_BABBLE : USB_ACK;
}

static void hub_set_speeds(struct usb_hub *h)
{
	const struct usb_device *d = &h->usb;

	for (unsigned i = 0; i < USB_HUB_PORTS; i++) {
		h->port[i].depth = d->port ? d->port->depth + 1 : 1;
		h->port[i].speeds = USB_LOW | USB_FULL;
		if (d->speed == USB_SPEED_HIGH)
			h->port[i].speeds |= USB_HIGH;
		usb_port_negotiate(&h->port[i]);
	}
}

/* Power goes from the ports; what speed they have follows ours. */
static void hub_bus_reset(struct usb_device *d)
{
	struct usb_hub *h = hub_of(d);

	hub_set_speeds(h);
	for (unsigned i = 0; i < USB_HUB_PORTS; i++) {
		h->status[i] = h->change[i] = 0;
		if (h->port[i].device)
			usb_device_reset(h->port[i].device);
	}
}

static const struct usb_endpoint hub_endpoint = {
	.address = 0x81,
	.attributes = 3,
	.max_packet = {0, REPORT_BYTES, REPORT_BYTES},
	.interval_ms = 255,
};

static const struct usb_interface hub_interface = {
	.cls = 9,
	.ep = &hub_endpoint,
	.neps = 1,
};

static const struct usb_type hub_type = {
	.product = "hub",
	.vendor_id = 0x1209,
	.product_id = 0x0001,
	.release = 0x0100,
	.cls = 9,
	.protocol = {[USB_SPEED_HIGH] = 1},
	.attributes = 0x60,
	.speeds = USB_FULL | USB_HIGH,
	.interface = &hub_interface,
	.ninterfaces = 1,
	.reset = hub_bus_reset,
	.control = hub_control,
	.io = hub_io,
	.find = hub_find,
	.port = hub_port,
};

/* ---- life ---- */

static int hub_init(struct dev *dev, char *err, unsigned errsize)
{
	struct usb_hub *h = (struct usb_hub *)dev;

	usb_device_init(&h->usb, &hub_type);
	for (unsigned i = 0; i < USB_HUB_PORTS; i++)
		h->port[i] = (struct usb_port){.ops = &hub_port_ops,
			.owner = h,
			.index = i,
			.number = i + 1};
	return 0;
}

static void hub_reset(struct dev *dev)
{
	usb_device_reset((struct usb_device *)dev);
}

static void hub_fini(struct dev *dev)
{
	struct usb_hub *h = (struct usb_hub *)dev;

	for (unsigned i = 0; i < USB_HUB_PORTS; i++)
		if (h->port[i].device)
			usb_detach(h->port[i].device);
	usb_device_fini(&h->usb);
}

static void hub_describe(struct dev *dev, char *buf, unsigned size)
{
	usb_device_describe((struct usb_device *)dev, buf, size);
}

static int hub_loaded(void *obj, unsigned version, char *err, unsigned errsize)
{
	hub_set_speeds(obj);
	return 0;
}

static const struct state_field hub_fields[] = {
	STATE_STRUCT(struct usb_hub, usb, &usb_device_state),
	STATE_ARRAY(struct usb_hub, status),
	STATE_ARRAY(struct usb_hub, change),
};

static const struct state_list hub_state = STATE_LIST(
	"usb-hub", struct usb_hub, 1, hub_fields, .loaded = hub_loaded);

const struct dev_class usb_hub_class = {
	.name = "usb-hub",
	.size = sizeof(struct usb_hub),
	.init = hub_init,
	.reset = hub_reset,
	.fini = hub_fini,
	.describe = hub_describe,
	.state = &hub_state,
};
