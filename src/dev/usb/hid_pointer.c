/*
 * hid_pointer.c - a USB mouse with three buttons and a wheel, and a tablet
 * that says where the pointer is (HID 1.11, appendix B.2 and E.10).
 */
#include <string.h>

#include <glib.h>

#include "dev/usb/hid.h"

#define MOUSE_MAX 127

/* generic desktop, mouse, application; pointer, physical; three buttons */
#define POINTER_HEAD                                                           \
	0x05, 0x01, 0x09, 0x02, 0xa1, 0x01, 0x09, 0x01, 0xa1, 0x00, 0x05,      \
		0x09, 0x19, 0x01, 0x29, 0x03, 0x15, 0x00, 0x25, 0x01, 0x95,    \
		0x03, 0x75, 0x01, 0x81, 0x02, 0x95, 0x01, 0x75, 0x05, 0x81,    \
		0x03, 0x05, 0x01

static const uint8_t mouse_descriptor[] = {POINTER_HEAD,
	/* X, Y, wheel: how far, eight bits */
	0x09, 0x30, 0x09, 0x31, 0x09, 0x38, 0x15, 0x81, 0x25, 0x7f, 0x75, 0x08,
	0x95, 0x03, 0x81, 0x06, 0xc0, 0xc0};

static const uint8_t tablet_descriptor[] = {POINTER_HEAD,
	/* X, Y: where, 0 to 0x7fff in sixteen bits */
	0x09, 0x30, 0x09, 0x31, 0x15, 0x00, 0x26, 0xff, 0x7f, 0x35, 0x00, 0x46,
	0xff, 0x7f, 0x75, 0x10, 0x95, 0x02, 0x81, 0x02,
	/* wheel: how far, eight bits */
	0x09, 0x38, 0x15, 0x81, 0x25, 0x7f, 0x35, 0x00, 0x45, 0x00, 0x75, 0x08,
	0x95, 0x01, 0x81, 0x06, 0xc0, 0xc0};

/* ---- the mouse ---- */

/* What does not fit one report comes with the next. */
static void mouse_take(struct usb_hid *h, const struct usb_hid_event *e)
{
	h->now = *e;
	h->now.x = CLAMP(e->x, -MOUSE_MAX, MOUSE_MAX);
	h->now.y = CLAMP(e->y, -MOUSE_MAX, MOUSE_MAX);
	h->now.wheel = CLAMP(e->wheel, -MOUSE_MAX, MOUSE_MAX);
}

static unsigned mouse_report(const struct usb_hid *h, uint8_t *buf)
{
	buf[0] = h->now.buttons;
	buf[1] = (uint8_t)h->now.x;
	buf[2] = (uint8_t)h->now.y;
	buf[3] = (uint8_t)h->now.wheel;
	return h->protocol ? 4 : 3;
}

/* Parts of at most MOUSE_MAX; a few, so that nobody fills the list. */
static void mouse_put(struct usb_hid *h, struct usb_hid_event e)
{
	for (unsigned i = 0; i < USB_HID_EVENTS / 2; i++) {
		struct usb_hid_event part = e;

		part.x = CLAMP(e.x, -MOUSE_MAX, MOUSE_MAX);
		part.y = CLAMP(e.y, -MOUSE_MAX, MOUSE_MAX);
		part.wheel = CLAMP(e.wheel, -MOUSE_MAX, MOUSE_MAX);
		usb_hid_put(h, &part);
		e.x -= part.x;
		e.y -= part.y;
		e.wheel -= part.wheel;
		if (!e.x && !e.y && !e.wheel)
			break;
	}
}

bool usb_mouse_move(struct dev *d, int dx, int dy, int wheel, unsigned buttons)
{
	struct usb_hid *h = (struct usb_hid *)d;
	struct usb_hid_event *last = usb_hid_last(h);
	struct usb_hid_event e = {
		.x = dx, .y = dy, .wheel = wheel, .buttons = buttons & 7};

	if (!usb_hid_running(h))
		return false;
	/* Moves add up as long as no button changes. */
	if (last && last->buttons == e.buttons) {
		e.x += last->x;
		e.y += last->y;
		e.wheel += last->wheel;
		h->nevents--;
	}
	mouse_put(h, e);
	return true;
}

/* ---- the tablet ---- */

static void tablet_take(struct usb_hid *h, const struct usb_hid_event *e)
{
	h->now = *e;
}

static unsigned tablet_report(const struct usb_hid *h, uint8_t *buf)
{
	buf[0] = h->now.buttons;
	buf[1] = h->now.x & 255;
	buf[2] = (uint8_t)(h->now.x >> 8);
	buf[3] = h->now.y & 255;
	buf[4] = (uint8_t)(h->now.y >> 8);
	buf[5] = (uint8_t)h->now.wheel;
	return 6;
}

static bool tablet_point(
	void *opaque, unsigned x, unsigned y, int wheel, unsigned buttons)
{
	struct usb_hid *h = opaque;
	struct bus *b = h->usb.dev.host.bus;
	struct usb_hid_event *last,
		e = {.x = (int)MIN(x, DISPLAY_POINTER_MAX),
			.y = (int)MIN(y, DISPLAY_POINTER_MAX),
			.buttons = buttons & 7};
	bool running;

	bus_lock(b);
	running = usb_hid_running(h);
	last = usb_hid_last(h);
	e.wheel = wheel;
	if (last && last->buttons == e.buttons) {
		e.wheel += last->wheel;
		h->nevents--;
	}
	e.wheel = CLAMP(e.wheel, -MOUSE_MAX, MOUSE_MAX);
	if (running)
		usb_hid_put(h, &e);
	bus_unlock(b);
	return running;
}

void usb_tablet_input(struct dev *d, struct display_input *out)
{
	*out = (struct display_input){.point = tablet_point, .opaque = d};
}

/* ---- tables ---- */

static const uint8_t mouse_hid_descriptor[] = {
	9, 0x21, 0x11, 0x01, 0, 1, 0x22, sizeof(mouse_descriptor), 0};
static const uint8_t tablet_hid_descriptor[] = {
	9, 0x21, 0x11, 0x01, 0, 1, 0x22, sizeof(tablet_descriptor), 0};

static const struct usb_endpoint pointer_endpoint = {
	.address = 0x81,
	.attributes = 3,
	.max_packet = {0, 8},
	.interval_ms = 8,
};

static const struct usb_interface mouse_interface = {
	.cls = 3,
	.subclass = 1,
	.protocol = 2,
	.extra = mouse_hid_descriptor,
	.extra_bytes = sizeof(mouse_hid_descriptor),
	.ep = &pointer_endpoint,
	.neps = 1,
};

/* No boot device: a driver for mice would take where it is for how far. */
static const struct usb_interface tablet_interface = {
	.cls = 3,
	.extra = tablet_hid_descriptor,
	.extra_bytes = sizeof(tablet_hid_descriptor),
	.ep = &pointer_endpoint,
	.neps = 1,
};

#define POINTER_TYPE(text, id, f)                                              \
	{                                                                      \
		.product = text, .vendor_id = 0x1209, .product_id = id,        \
		.release = 0x0100, .attributes = 0x20, .speeds = USB_FULL,     \
		.interface = f, .ninterfaces = 1, .reset = usb_hid_bus_reset,  \
		.control = usb_hid_control, .io = usb_hid_io,                  \
	}

static const struct usb_type mouse_type =
	POINTER_TYPE("mouse", 0x0003, &mouse_interface);
static const struct usb_type tablet_type =
	POINTER_TYPE("tablet", 0x0004, &tablet_interface);

static const struct usb_hid_kind mouse_kind = {
	.descriptor = mouse_descriptor,
	.descriptor_bytes = sizeof(mouse_descriptor),
	.take = mouse_take,
	.report = mouse_report,
	.relative = true,
};
static const struct usb_hid_kind tablet_kind = {
	.descriptor = tablet_descriptor,
	.descriptor_bytes = sizeof(tablet_descriptor),
	.take = tablet_take,
	.report = tablet_report,
};

static int mouse_init(struct dev *dev, char *err, unsigned errsize)
{
	usb_hid_init((struct usb_hid *)dev, &mouse_type, &mouse_kind);
	return 0;
}

static int tablet_init(struct dev *dev, char *err, unsigned errsize)
{
	usb_hid_init((struct usb_hid *)dev, &tablet_type, &tablet_kind);
	return 0;
}

const struct dev_class usb_mouse_class = {
	.name = "usb-mouse",
	.size = sizeof(struct usb_hid),
	.init = mouse_init,
	.reset = usb_hid_reset,
	.fini = usb_hid_fini,
	.describe = usb_hid_describe,
	.state = &usb_hid_state,
};

const struct dev_class usb_tablet_class = {
	.name = "usb-tablet",
	.size = sizeof(struct usb_hid),
	.init = tablet_init,
	.reset = usb_hid_reset,
	.fini = usb_hid_fini,
	.describe = usb_hid_describe,
	.state = &usb_hid_state,
};
