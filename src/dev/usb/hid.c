/*
 * hid.c - what USB keyboards, mice and tablets have in common: requests
 * (HID 1.11, chapter 7), events that wait, reports.
 *
 * A report tells one event, so that what is pressed and released in a moment
 * is seen as two.  An idle rate other than 0 (7.2.4) repeats the report, which
 * is how some firmware makes keys repeat; a timer runs for it only while the
 * host asks.
 */
#include "dev/usb/hid.h"

#include <stdio.h>
#include <string.h>

#include <glib.h>

enum { /* bmRequestType, bRequest */
	GET_DESCRIPTOR = 0x8106,
	GET_REPORT = 0xa101,
	GET_IDLE = 0xa102,
	GET_PROTOCOL = 0xa103,
	SET_REPORT = 0x2109,
	SET_IDLE = 0x210a,
	SET_PROTOCOL = 0x210b,
};

enum {
	DESC_HID = 0x21,
	DESC_REPORT = 0x22,
};

#define IDLE_UNIT_NS 4000000u

bool usb_hid_running(const struct usb_hid *h)
{
	return h->usb.port && h->usb.configuration;
}

struct usb_hid_event *usb_hid_last(struct usb_hid *h)
{
	return h->nevents
		       ? &h->event[(h->first + h->nevents - 1) % USB_HID_EVENTS]
		       : NULL;
}

static void hid_take(struct usb_hid *h)
{
	h->kind->take(h, &h->event[h->first]);
	h->first = (h->first + 1) % USB_HID_EVENTS;
	h->nevents--;
}

void usb_hid_put(struct usb_hid *h, const struct usb_hid_event *e)
{
	/* Nobody asks: so that no key stays down for ever, the oldest is told
	 * with the next. */
	if (h->nevents == USB_HID_EVENTS)
		hid_take(h);
	h->event[(h->first + h->nevents++) % USB_HID_EVENTS] = *e;
	usb_device_ready(&h->usb, true);
}

static bool hid_descriptor(struct usb_hid *h, const struct usb_setup *s,
	uint8_t *buf, uint32_t *len)
{
	const struct usb_interface *f = h->usb.type->interface;

	if (s->value >> 8 == DESC_HID) {
		memcpy(buf, f->extra, f->extra_bytes);
		*len = f->extra_bytes;
	} else if (s->value >> 8 == DESC_REPORT) {
		memcpy(buf, h->kind->descriptor, h->kind->descriptor_bytes);
		*len = h->kind->descriptor_bytes;
	}
	return *len;
}

bool usb_hid_control(struct usb_device *d, const struct usb_setup *s,
	uint8_t *buf, uint32_t *len)
{
	struct usb_hid *h = (struct usb_hid *)d;
	uint32_t given = *len;

	*len = 0;
	if (s->index)
		return false;
	switch (USB_REQUEST(s)) {
	case GET_DESCRIPTOR: return hid_descriptor(h, s, buf, len);
	case GET_REPORT: *len = h->kind->report(h, buf); return true;
	case GET_IDLE:
		*len = 1;
		buf[0] = h->idle;
		return true;
	case GET_PROTOCOL:
		*len = 1;
		buf[0] = h->protocol;
		return true;
	case SET_REPORT:
		if (given)
			h->leds = buf[0];
		return true;
	case SET_IDLE:
		h->idle = s->value >> 8;
		bus_timer_cancel(&h->timer);
		return true;
	case SET_PROTOCOL: h->protocol = s->value & 1; return true;
	}
	return false;
}

/* Something to tell?  If it may be soon, the timer says when. */
static bool hid_due(struct usb_hid *h, uint64_t now)
{
	uint64_t at = h->told_ns + (uint64_t)h->idle * IDLE_UNIT_NS;

	if (h->nevents || (h->idle && now >= at))
		return true;
	if (h->idle && !h->timer.slot)
		bus_timer_arm(&h->timer, at);
	return false;
}

enum usb_result usb_hid_io(struct usb_device *d, struct usb_io *io)
{
	struct usb_hid *h = (struct usb_hid *)d;
	uint64_t now = bus_clock_ns(d->dev.host.bus);
	uint8_t report[USB_HID_REPORT] = {0};
	unsigned n;

	if (!hid_due(h, now))
		return USB_NAK;
	if (h->nevents)
		hid_take(h);
	n = h->kind->report(h, report);
	/* How far it went is told once. */
	h->now.wheel = 0;
	if (h->kind->relative)
		h->now.x = h->now.y = 0;
	h->told_ns = now;
	io->moved = MIN(io->len, n);
	memcpy(io->buf, report, io->moved);
	return n > io->len ? USB_BABBLE : USB_ACK;
}

static void hid_fire(void *opaque)
{
	struct usb_hid *h = opaque;

	usb_device_ready(&h->usb, false);
}

/* ---- life ---- */

void usb_hid_init(struct usb_hid *h, const struct usb_type *t,
	const struct usb_hid_kind *k)
{
	usb_device_init(&h->usb, t);
	h->kind = k;
	bus_timer_init(&h->timer, h->usb.dev.host.bus, hid_fire, h);
}

void usb_hid_bus_reset(struct usb_device *d)
{
	struct usb_hid *h = (struct usb_hid *)d;

	bus_timer_cancel(&h->timer);
	h->first = h->nevents = 0;
	h->now = (struct usb_hid_event){0};
	memset(h->keys, 0, sizeof(h->keys));
	h->protocol = 1;
	h->idle = h->leds = 0;
	h->told_ns = 0;
}

void usb_hid_reset(struct dev *dev)
{
	usb_device_reset((struct usb_device *)dev);
}

void usb_hid_fini(struct dev *dev)
{
	struct usb_hid *h = (struct usb_hid *)dev;

	bus_timer_cancel(&h->timer);
	usb_device_fini(&h->usb);
}

void usb_hid_describe(struct dev *dev, char *buf, unsigned size)
{
	usb_device_describe((struct usb_device *)dev, buf, size);
}

/* ---- state ---- */

static const struct state_field hid_event_fields[] = {
	STATE(struct usb_hid_event, usage),
	STATE(struct usb_hid_event, down),
	STATE(struct usb_hid_event, x),
	STATE(struct usb_hid_event, y),
	STATE(struct usb_hid_event, wheel),
	STATE(struct usb_hid_event, buttons),
};

static const struct state_list hid_event_state =
	STATE_LIST("event", struct usb_hid_event, 1, hid_event_fields);

static const struct state_field hid_fields[] = {
	STATE_STRUCT(struct usb_hid, usb, &usb_device_state),
	STATE_STRUCTS(struct usb_hid, event, &hid_event_state),
	STATE(struct usb_hid, first, .max = USB_HID_EVENTS - 1),
	STATE(struct usb_hid, nevents, .max = USB_HID_EVENTS),
	STATE_STRUCT(struct usb_hid, now, &hid_event_state),
	STATE_BYTES(struct usb_hid, keys),
	STATE(struct usb_hid, protocol, .max = 1),
	STATE(struct usb_hid, idle),
	STATE(struct usb_hid, leds),
	STATE(struct usb_hid, told_ns),
	STATE_TIMER(struct usb_hid, timer),
};

const struct state_list usb_hid_state =
	STATE_LIST("usb-hid", struct usb_hid, 1, hid_fields);
