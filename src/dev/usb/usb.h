/*
 * usb.h - USB devices, apart from the controller that they hang on
 * (Universal Serial Bus 2.0, chapters 8 and 9; 3.2, chapter 9).
 *
 * A controller finds a device behind one of its ports and asks it to move
 * data: usb_device_io, which ends at once.  A device that has nothing yet, or
 * no room, answers NAK and says usb_device_ready when that has changed; the
 * controller asks again.  So nothing of the guest's is held between two calls,
 * and to cancel a transfer is not to ask any more.
 *
 * One call may move several packets of an endpoint in a row.  Less than was
 * asked for with USB_ACK is a short packet and ends the transfer; with USB_NAK
 * it is what could be moved as yet, in whole packets.
 *
 * All functions: bus lock held.
 */
#ifndef DEV_USB_USB_H
#define DEV_USB_USB_H

#include "dev/dev.h"
#include "dev/state.h"

#define USB_CONTROL_BYTES 4096 /* of the data of a control transfer */
#define USB_MAX_DEPTH	  6    /* hubs and a device, 2.0, 4.1.1 */

enum usb_speed {
	USB_SPEED_LOW,
	USB_SPEED_FULL,
	USB_SPEED_HIGH,
	USB_SPEED_SUPER,
	USB_NSPEEDS,
};

#define USB_LOW	  (1u << USB_SPEED_LOW)
#define USB_FULL  (1u << USB_SPEED_FULL)
#define USB_HIGH  (1u << USB_SPEED_HIGH)
#define USB_SUPER (1u << USB_SPEED_SUPER)

enum usb_pid { /* 2.0, table 8-1 */
	USB_PID_OUT = 0xe1,
	USB_PID_IN = 0x69,
	USB_PID_SETUP = 0x2d,
};

enum usb_result {
	USB_ACK,
	USB_NAK,
	USB_STALL,
	USB_BABBLE, /* it sent more than there is room for */
};

struct usb_io {
	enum usb_pid pid;
	uint8_t ep;
	uint8_t *buf;
	uint32_t len;
	uint32_t moved; /* the answer */
};

struct usb_setup { /* 9.3 */
	uint8_t type, request;
	uint16_t value, index, length;
};

/* bmRequestType and bRequest as one number, as in tables of requests. */
#define USB_REQUEST(s) ((s)->type << 8 | (s)->request)

struct usb_device;
struct usb_port;

/* ---- what a type of devices is: tables ---- */

struct usb_endpoint {
	uint8_t address;    /* 0x80: to the host */
	uint8_t attributes; /* 2: bulk, 3: interrupt */
	uint16_t max_packet[USB_NSPEEDS];
	uint8_t interval_ms; /* of an interrupt endpoint */
	uint8_t burst;	     /* packets in a row at super speed, less one */
};

struct usb_interface {
	uint8_t cls, subclass, protocol;
	const uint8_t *extra; /* descriptors before the endpoints' */
	uint8_t extra_bytes;
	const struct usb_endpoint *ep;
	uint8_t neps;
};

struct usb_type {
	const char *product;
	uint16_t vendor_id, product_id, release;
	uint8_t cls, protocol[USB_NSPEEDS]; /* of the device */
	uint8_t attributes;		    /* 0x40: own power, 0x20: wakes */
	uint8_t speeds;			    /* USB_FULL | ... */
	const struct usb_interface *interface;
	uint8_t ninterfaces;
	/* The bus was reset: give up what is going on.  May be NULL. */
	void (*reset)(struct usb_device *d);
	/*
	 * A request that is not one of chapter 9, or GET_DESCRIPTOR of a type
	 * that only the device knows.  To the host: fill buf and *len, at most
	 * USB_CONTROL_BYTES; else *len bytes are in buf.  False: refused.  May
	 * be NULL.
	 */
	bool (*control)(struct usb_device *d, const struct usb_setup *s,
		uint8_t *buf, uint32_t *len);
	/* Any endpoint but 0, of a configured device.  May be NULL. */
	enum usb_result (*io)(struct usb_device *d, struct usb_io *io);
	/* The halt of an endpoint was taken back.  May be NULL. */
	void (*unhalted)(struct usb_device *d, uint8_t ep);
	/* A hub: the device behind its enabled ports that has this address,
	 * and what stands at its port n (1...).  NULL for others. */
	struct usb_device *(*find)(struct usb_device *d, uint8_t address);
	struct usb_port *(*port)(struct usb_device *d, unsigned n);
};

/* ---- ports, of controllers and hubs ---- */

struct usb_port_ops {
	void (*attached)(struct usb_port *p);
	/* p->device is still there. */
	void (*detached)(struct usb_port *p);
	/* d, here or behind, answered NAK and would not any more. */
	void (*ready)(struct usb_port *p, struct usb_device *d);
	/* The device here wants the bus to go on (remote wakeup). */
	void (*wakeup)(struct usb_port *p);
	/* p gave its device to its companion, which has lost it. */
	void (*returned)(struct usb_port *p);
};

struct usb_port {
	const struct usb_port_ops *ops;
	void *owner;	 /* controller or hub */
	unsigned index;	 /* of its ports, from 0 */
	unsigned number; /* as people and firmware count them, from 1 */
	unsigned depth;	 /* hubs between it and the controller */
	unsigned speeds;
	struct usb_device *device; /* or NULL */
	/* One socket may lead to two controllers, as EHCI's do: the port of
	 * the slower one, and back. */
	struct usb_port *companion, *socket;
};

/* Plug in, at the best speed that both have.  0, -EBUSY or -ENOTSUP. */
int usb_attach(struct usb_port *p, struct usb_device *d);
void usb_detach(struct usb_device *d);
bool usb_port_free(const struct usb_port *p);
/* The best speed of both once more: the port's have changed. */
void usb_port_negotiate(struct usb_port *p);

/* ---- devices ---- */

enum usb_stage {
	USB_STAGE_NONE,
	USB_STAGE_IN,	  /* data to the host */
	USB_STAGE_OUT,	  /* data from the host */
	USB_STAGE_STATUS, /* of a transfer to the device */
	USB_STAGE_STALL,
};

struct usb_device {
	struct dev dev;
	const struct usb_type *type;
	struct usb_port *port; /* NULL: pulled out */
	enum usb_speed speed;
	uint8_t address, configuration;
	bool remote_wakeup;
	uint32_t halted; /* bit n: endpoint n from, 16 + n: to the host */
	/* the control pipe */
	enum usb_stage stage;
	struct usb_setup setup;
	uint32_t control_len, control_pos;
	uint8_t control[USB_CONTROL_BYTES];
};

/* For init and reset of a device's class. */
void usb_device_init(struct usb_device *d, const struct usb_type *t);
/* Reset signalling: address 0, not configured. */
void usb_device_reset(struct usb_device *d);
void usb_device_fini(struct usb_device *d);

/* d or, if it is a hub, what is behind it. */
struct usb_device *usb_device_find(struct usb_device *d, uint8_t address);
enum usb_result usb_device_io(struct usb_device *d, struct usb_io *io);
/* After NAK: ask again.  wake: it is worth ending a suspend for. */
void usb_device_ready(struct usb_device *d, bool wake);

void usb_device_describe(const struct usb_device *d, char *buf, unsigned size);
/* Of the common part; where it is plugged in and how fast follows from the
 * settings and from who has the port. */
extern const struct state_list usb_device_state;
extern const char *const usb_speed_names[USB_NSPEEDS];

static inline uint32_t usb_ep_bit(uint8_t address)
{
	return 1u << ((address & 15) + (address & 0x80 ? 16 : 0));
}

/* ---- usb_desc.c ---- */

/* The answer to GET_DESCRIPTOR in buf; 0: there is none. */
uint32_t usb_descriptor(const struct usb_device *d, unsigned type,
	unsigned index, uint8_t *buf);

#endif
