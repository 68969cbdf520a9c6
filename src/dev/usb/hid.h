/*
 * hid.h - USB keyboard, mouse and tablet (Device Class Definition for Human
 * Interface Devices 1.11).
 */
#ifndef DEV_USB_HID_H
#define DEV_USB_HID_H

#include "dev/usb/usb.h"
#include "display/display.h"

#define USB_HID_REPORT	 16
#define USB_HID_EVENTS	 32 /* that wait to be asked for */
#define USB_HID_KEY_BITS 256

/* What happened: a key, or where the pointer is or went. */
struct usb_hid_event {
	uint8_t usage, down;
	int x, y, wheel;
	uint8_t buttons;
};

struct usb_hid {
	struct usb_device usb;
	const struct usb_hid_kind *kind;
	struct usb_hid_event event[USB_HID_EVENTS];
	unsigned first, nevents;
	struct usb_hid_event now; /* pointers: as the host knows it */
	uint8_t keys[USB_HID_KEY_BITS / 8];
	uint8_t protocol; /* 0 boot, 1 report */
	uint8_t idle;	  /* 4 ms; 0: only what changes is told */
	uint8_t leds;
	uint64_t told_ns;
	struct bus_timer timer;
};

extern const struct dev_class usb_kbd_class, usb_mouse_class, usb_tablet_class;

/* A key as in display.h.  False: no driver runs the keyboard. */
bool usb_kbd_key(struct dev *d, unsigned code, bool down);
/* All that was pressed has been read. */
bool usb_kbd_idle(struct dev *d);
/* The mouse went right and down.  False: as above. */
bool usb_mouse_move(struct dev *d, int dx, int dy, int wheel, unsigned buttons);
/* Fills in what points; without the lock. */
void usb_tablet_input(struct dev *d, struct display_input *out);

/* ---- for the files of this family ---- */

struct usb_hid_kind {
	const uint8_t *descriptor; /* of the report */
	unsigned descriptor_bytes;
	/* Take an event in, or nothing. */
	void (*take)(struct usb_hid *h, const struct usb_hid_event *e);
	/* The report as things stand: bytes. */
	unsigned (*report)(const struct usb_hid *h, uint8_t *buf);
	bool relative; /* x and y: how far */
};

void usb_hid_init(struct usb_hid *h, const struct usb_type *t,
	const struct usb_hid_kind *k);
bool usb_hid_control(struct usb_device *d, const struct usb_setup *s,
	uint8_t *buf, uint32_t *len);
enum usb_result usb_hid_io(struct usb_device *d, struct usb_io *io);
void usb_hid_bus_reset(struct usb_device *d);
void usb_hid_reset(struct dev *dev);
void usb_hid_fini(struct dev *dev);
extern const struct state_list usb_hid_state;
void usb_hid_describe(struct dev *dev, char *buf, unsigned size);
/* False: no driver runs it. */
bool usb_hid_running(const struct usb_hid *h);
/* The last event that waits, or NULL. */
struct usb_hid_event *usb_hid_last(struct usb_hid *h);
void usb_hid_put(struct usb_hid *h, const struct usb_hid_event *e);

#endif
