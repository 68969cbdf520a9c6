/*
 * hid_kbd.c - a USB keyboard: the boot protocol with six keys at a time, and a
 * report of its own with a bit for each key (HID 1.11, appendix B and C; HID
 * Usage Tables 1.12, chapter 10).
 *
 * The report fits the 16 bytes that firmware takes for the most a keyboard
 * sends.
 */
#include <string.h>

#include "dev/usb/hid.h"

#define USAGE_MODIFIERS 0xe0
#define USAGE_PAUSE	0x48
#define BOOT_KEYS	6
#define ROLLOVER	0x01 /* more keys than the report has room for */

/* Usages in the order of the report's bits. */
static const struct {
	uint8_t first, last;
} kbd_ranges[] = {{0x04, 0x65}, {0x87, 0x8b}, {0x90, 0x91}};

static const uint8_t kbd_report_descriptor[] = {
	/* generic desktop, keyboard, application */
	0x05, 0x01, 0x09, 0x06, 0xa1, 0x01,
	/* keys: eight modifiers, a bit each */
	0x05, 0x07, 0x19, 0xe0, 0x29, 0xe7, 0x15, 0x00, 0x25, 0x01, 0x75, 0x01,
	0x95, 0x08, 0x81, 0x02,
	/* the others: kbd_ranges */
	0x19, 0x04, 0x29, 0x65, 0x95, 0x62, 0x81, 0x02, 0x19, 0x87, 0x29, 0x8b,
	0x95, 0x05, 0x81, 0x02, 0x19, 0x90, 0x29, 0x91, 0x95, 0x02, 0x81, 0x02,
	/* to the end of the byte */
	0x95, 0x07, 0x81, 0x03,
	/* five lamps and three bits */
	0x05, 0x08, 0x19, 0x01, 0x29, 0x05, 0x95, 0x05, 0x91, 0x02, 0x95, 0x03,
	0x91, 0x03, 0xc0};

/* Set 1 make codes 0x00..0x58 -> usages. */
static const uint8_t kbd_usage[] = {0x00, 0x29, 0x1e, 0x1f, 0x20, 0x21, 0x22,
	0x23, 0x24, 0x25, 0x26, 0x27, 0x2d, 0x2e, 0x2a, 0x2b, 0x14, 0x1a, 0x08,
	0x15, 0x17, 0x1c, 0x18, 0x0c, 0x12, 0x13, 0x2f, 0x30, 0x28, 0xe0, 0x04,
	0x16, 0x07, 0x09, 0x0a, 0x0b, 0x0d, 0x0e, 0x0f, 0x33, 0x34, 0x35, 0xe1,
	0x31, 0x1d, 0x1b, 0x06, 0x19, 0x05, 0x11, 0x10, 0x36, 0x37, 0x38, 0xe5,
	0x55, 0xe2, 0x2c, 0x39, 0x3a, 0x3b, 0x3c, 0x3d, 0x3e, 0x3f, 0x40, 0x41,
	0x42, 0x43, 0x53, 0x47, 0x5f, 0x60, 0x61, 0x56, 0x5c, 0x5d, 0x5e, 0x57,
	0x59, 0x5a, 0x5b, 0x62, 0x63, 0x46, 0x00, 0x64, 0x44, 0x45};

/* Others, with 0x80 for the prefix E0. */
static const uint8_t kbd_usage_more[][2] = {{0x70, 0x88}, {0x71, 0x91},
	{0x72, 0x90}, {0x73, 0x87}, {0x79, 0x8a}, {0x7b, 0x8b}, {0x7d, 0x89},
	{0x9c, 0x58}, {0x9d, 0xe4}, {0xb5, 0x54}, {0xb7, 0x46}, {0xb8, 0xe6},
	{0xc6, 0x48}, {0xc7, 0x4a}, {0xc8, 0x52}, {0xc9, 0x4b}, {0xcb, 0x50},
	{0xcd, 0x4f}, {0xcf, 0x4d}, {0xd0, 0x51}, {0xd1, 0x4e}, {0xd2, 0x49},
	{0xd3, 0x4c}, {0xdb, 0xe3}, {0xdc, 0xe7}, {0xdd, 0x65}};

static uint8_t kbd_code_usage(unsigned code)
{
	if (code == DISPLAY_KEY_PAUSE)
		return USAGE_PAUSE;
	if (code < sizeof(kbd_usage))
		return kbd_usage[code];
	for (unsigned i = 0; i < sizeof(kbd_usage_more) / 2; i++)
		if (kbd_usage_more[i][0] == code)
			return kbd_usage_more[i][1];
	return 0;
}

static bool kbd_down(const struct usb_hid *h, unsigned usage)
{
	return h->keys[usage / 8] >> usage % 8 & 1;
}

static void kbd_take(struct usb_hid *h, const struct usb_hid_event *e)
{
	if (e->down)
		h->keys[e->usage / 8] |= 1u << e->usage % 8;
	else
		h->keys[e->usage / 8] &= ~(1u << e->usage % 8);
}

/* Appendix B.1: modifiers, nothing, up to six keys. */
static unsigned kbd_boot_report(const struct usb_hid *h, uint8_t *buf)
{
	unsigned n = 0;

	for (unsigned u = 4; u < USAGE_MODIFIERS; u++)
		if (kbd_down(h, u) && n++ < BOOT_KEYS)
			buf[1 + n] = (uint8_t)u;
	if (n > BOOT_KEYS)
		memset(buf + 2, ROLLOVER, BOOT_KEYS);
	return 2 + BOOT_KEYS;
}

static unsigned kbd_report(const struct usb_hid *h, uint8_t *buf)
{
	unsigned bit = 8;

	memset(buf, 0, USB_HID_REPORT);
	buf[0] = h->keys[USAGE_MODIFIERS / 8];
	if (!h->protocol)
		return kbd_boot_report(h, buf);
	for (unsigned i = 0; i < sizeof(kbd_ranges) / 2; i++)
		for (unsigned u = kbd_ranges[i].first; u <= kbd_ranges[i].last;
			u++, bit++)
			if (kbd_down(h, u))
				buf[bit / 8] |= 1u << bit % 8;
	return (bit + 7) / 8;
}

bool usb_kbd_key(struct dev *d, unsigned code, bool down)
{
	struct usb_hid *h = (struct usb_hid *)d;
	struct usb_hid_event e = {.usage = kbd_code_usage(code), .down = down};

	if (!usb_hid_running(h))
		return false;
	if (e.usage)
		usb_hid_put(h, &e);
	return true;
}

bool usb_kbd_idle(struct dev *d)
{
	struct usb_hid *h = (struct usb_hid *)d;

	return !usb_hid_running(h) || !h->nevents;
}

/* ---- tables ---- */

static const uint8_t kbd_hid_descriptor[] = {
	9, 0x21, 0x11, 0x01, 0, 1, 0x22, sizeof(kbd_report_descriptor), 0};

static const struct usb_endpoint kbd_endpoint = {
	.address = 0x81,
	.attributes = 3,
	.max_packet = {0, USB_HID_REPORT},
	.interval_ms = 8,
};

static const struct usb_interface kbd_interface = {
	.cls = 3,
	.subclass = 1,
	.protocol = 1,
	.extra = kbd_hid_descriptor,
	.extra_bytes = sizeof(kbd_hid_descriptor),
	.ep = &kbd_endpoint,
	.neps = 1,
};

static const struct usb_type kbd_type = {
	.product = "keyboard",
	.vendor_id = 0x1209,
	.product_id = 0x0002,
	.release = 0x0100,
	.attributes = 0x20,
	.speeds = USB_FULL,
	.interface = &kbd_interface,
	.ninterfaces = 1,
	.reset = usb_hid_bus_reset,
	.control = usb_hid_control,
	.io = usb_hid_io,
};

static const struct usb_hid_kind kbd_kind = {
	.descriptor = kbd_report_descriptor,
	.descriptor_bytes = sizeof(kbd_report_descriptor),
	.take = kbd_take,
	.report = kbd_report,
};

static int kbd_init(struct dev *dev, char *err, unsigned errsize)
{
	usb_hid_init((struct usb_hid *)dev, &kbd_type, &kbd_kind);
	return 0;
}

const struct dev_class usb_kbd_class = {
	.name = "usb-kbd",
	.size = sizeof(struct usb_hid),
	.init = kbd_init,
	.reset = usb_hid_reset,
	.fini = usb_hid_fini,
	.describe = usb_hid_describe,
	.state = &usb_hid_state,
};
