/*
 * usb_desc.c - descriptors out of a type's tables (USB 2.0, 9.5 and 9.6; USB
 * 3.2, 9.6).
 *
 * Each device has one configuration, whose interfaces have no alternates.
 */
#include <stdio.h>
#include <string.h>

#include <glib.h>

#include "dev/usb/usb.h"

enum { /* table 9-5 */
	DESC_DEVICE = 1,
	DESC_CONFIGURATION = 2,
	DESC_STRING = 3,
	DESC_INTERFACE = 4,
	DESC_ENDPOINT = 5,
	DESC_QUALIFIER = 6,
	DESC_OTHER_SPEED = 7,
	DESC_BOS = 15,
	DESC_CAPABILITY = 16,
	DESC_SUPER_ENDPOINT = 48,
};

enum { /* strings */
	STRING_LANGUAGES,
	STRING_MANUFACTURER,
	STRING_PRODUCT,
	STRING_SERIAL,
};

#define LANGUAGE_US 0x0409

static uint8_t *put8(uint8_t *p, unsigned v)
{
	*p = (uint8_t)v;
	return p + 1;
}

static uint8_t *put16(uint8_t *p, unsigned v)
{
	return put8(put8(p, v & 255), v >> 8);
}

static const uint16_t desc_version[USB_NSPEEDS] = {
	0x0110, 0x0200, 0x0200, 0x0300};

static unsigned desc_packet0(enum usb_speed s)
{
	/* 3.2, 9.6.1: an exponent */
	static const uint8_t bytes[USB_NSPEEDS] = {8, 64, 64, 9};

	return bytes[s];
}

/* What a device, and its qualifier, begin with. */
static uint8_t *desc_head(
	const struct usb_device *d, enum usb_speed s, uint8_t *p)
{
	p = put16(p, desc_version[s]);
	p = put8(p, d->type->cls);
	p = put8(p, 0);
	p = put8(p, d->type->protocol[s]);
	return put8(p, desc_packet0(s));
}

static uint32_t desc_device(const struct usb_device *d, uint8_t *buf)
{
	const struct usb_type *t = d->type;
	uint8_t *p = desc_head(d, d->speed, put8(put8(buf, 18), DESC_DEVICE));

	p = put16(p, t->vendor_id);
	p = put16(p, t->product_id);
	p = put16(p, t->release);
	p = put8(p, STRING_MANUFACTURER);
	p = put8(p, STRING_PRODUCT);
	p = put8(p, STRING_SERIAL);
	put8(p, 1);
	return 18;
}

/* Full or high speed, whichever is not in use. */
static enum usb_speed other_speed(const struct usb_device *d)
{
	return d->speed == USB_SPEED_HIGH ? USB_SPEED_FULL : USB_SPEED_HIGH;
}

static bool has_other_speed(const struct usb_device *d)
{
	unsigned both = USB_FULL | USB_HIGH;

	return (d->type->speeds & both) == both && d->speed != USB_SPEED_SUPER;
}

static uint32_t desc_qualifier(const struct usb_device *d, uint8_t *buf)
{
	uint8_t *p = put8(put8(buf, 10), DESC_QUALIFIER);

	if (!has_other_speed(d))
		return 0;
	p = desc_head(d, other_speed(d), p);
	put16(p, 1);
	return 10;
}

/* Frames at low and full speed, else the exponent of microframes. */
static unsigned desc_interval(const struct usb_endpoint *e, enum usb_speed s)
{
	unsigned n = 1;

	if (s <= USB_SPEED_FULL || !e->interval_ms)
		return e->interval_ms;
	while (1u << n <= e->interval_ms * 8u)
		n++;
	return n;
}

static uint8_t *desc_endpoint(
	const struct usb_endpoint *e, enum usb_speed s, uint8_t *p)
{
	p = put8(put8(p, 7), DESC_ENDPOINT);
	p = put8(p, e->address);
	p = put8(p, e->attributes);
	p = put16(p, e->max_packet[s]);
	p = put8(p, desc_interval(e, s));
	if (s != USB_SPEED_SUPER)
		return p;
	p = put8(put8(p, 6), DESC_SUPER_ENDPOINT);
	p = put8(p, e->burst);
	p = put8(p, 0);
	return put16(p, (e->attributes & 3) == 3 ? e->max_packet[s] : 0);
}

static uint32_t desc_configuration(const struct usb_device *d, enum usb_speed s,
	unsigned type, uint8_t *buf)
{
	const struct usb_type *t = d->type;
	uint8_t *p = put8(put8(buf, 9), type);

	p = put8(put16(p, 0), t->ninterfaces);
	p = put8(put8(p, 1), 0);
	p = put8(p, 0x80 | t->attributes);
	p = put8(p, t->attributes & 0x40 ? 0 : s == USB_SPEED_SUPER ? 12 : 50);
	for (unsigned i = 0; i < t->ninterfaces; i++) {
		const struct usb_interface *f = &t->interface[i];

		p = put8(put8(p, 9), DESC_INTERFACE);
		p = put8(put8(put8(p, i), 0), f->neps);
		p = put8(put8(put8(p, f->cls), f->subclass), f->protocol);
		p = put8(p, 0);
		if (f->extra_bytes)
			memcpy(p, f->extra, f->extra_bytes);
		p += f->extra_bytes;
		for (unsigned k = 0; k < f->neps; k++)
			p = desc_endpoint(&f->ep[k], s, p);
	}
	put16(buf + 2, (unsigned)(p - buf));
	return (uint32_t)(p - buf);
}

static uint32_t desc_string(
	const struct usb_device *d, unsigned index, uint8_t *buf)
{
	const struct dev *dev = &d->dev;
	const char *text;
	unsigned n = 0;

	switch (index) {
	case STRING_LANGUAGES:
		put16(put8(put8(buf, 4), DESC_STRING), LANGUAGE_US);
		return 4;
	case STRING_MANUFACTURER: text = "vmeste"; break;
	case STRING_PRODUCT: text = d->type->product; break;
	case STRING_SERIAL:
		text = dev->host.serial ? dev->host.serial : dev->id;
		break;
	default: return 0;
	}
	for (; text[n] && n < 126; n++)
		put16(buf + 2 + 2 * n, (uint8_t)text[n]);
	put8(put8(buf, 2 + 2 * n), DESC_STRING);
	return 2 + 2 * n;
}

/* 3.2, 9.6.2: USB 2.0 extension and super speed. */
static uint32_t desc_bos(const struct usb_device *d, uint8_t *buf)
{
	static const uint8_t bos[] = {5, DESC_BOS, 22, 0, 2, 7, DESC_CAPABILITY,
		2, 0, 0, 0, 0, 10, DESC_CAPABILITY, 3, 0, 0x0e, 0, 1, 10, 0xff,
		7};

	if (!(d->type->speeds & USB_SUPER))
		return 0;
	memcpy(buf, bos, sizeof(bos));
	return sizeof(bos);
}

uint32_t usb_descriptor(
	const struct usb_device *d, unsigned type, unsigned index, uint8_t *buf)
{
	switch (type) {
	case DESC_DEVICE: return index ? 0 : desc_device(d, buf);
	case DESC_CONFIGURATION:
		return index ? 0 : desc_configuration(d, d->speed, type, buf);
	case DESC_STRING: return desc_string(d, index, buf);
	case DESC_QUALIFIER: return desc_qualifier(d, buf);
	case DESC_OTHER_SPEED:
		return index || !has_other_speed(d)
			       ? 0
			       : desc_configuration(
					 d, other_speed(d), type, buf);
	case DESC_BOS: return desc_bos(d, buf);
	}
	return 0;
}
