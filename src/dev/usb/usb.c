/*
 * usb.c - what all USB devices have in common: the control pipe, the requests
 * of chapter 9 of USB 2.0, ports.
 */
#include "dev/usb/usb.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <glib.h>

/* bmRequestType, bRequest (tables 9-3 and 9-4) */
enum {
	GET_STATUS_DEVICE = 0x8000,
	GET_STATUS_INTERFACE = 0x8100,
	GET_STATUS_ENDPOINT = 0x8200,
	CLEAR_FEATURE_DEVICE = 0x0001,
	CLEAR_FEATURE_INTERFACE = 0x0101,
	CLEAR_FEATURE_ENDPOINT = 0x0201,
	SET_FEATURE_DEVICE = 0x0003,
	SET_FEATURE_INTERFACE = 0x0103,
	SET_FEATURE_ENDPOINT = 0x0203,
	SET_ADDRESS = 0x0005,
	GET_DESCRIPTOR = 0x8006,
	GET_CONFIGURATION = 0x8008,
	SET_CONFIGURATION = 0x0009,
	GET_INTERFACE = 0x810a,
	SET_INTERFACE = 0x010b,
	SET_SEL = 0x0030,
	SET_ISOCH_DELAY = 0x0031,
};

enum { /* table 9-6 */
	FEATURE_HALT = 0,
	FEATURE_REMOTE_WAKEUP = 1,
	FEATURE_U1 = 48, /* 3.2, table 9-9: also 49, 50 */
	FEATURE_LTM = 50,
};

const char *const usb_speed_names[USB_NSPEEDS] = {
	"low", "full", "high", "super"};

/* ---- requests ---- */

static bool usb_set_configuration(struct usb_device *d, unsigned n)
{
	if (n > 1)
		return false;
	d->configuration = (uint8_t)n;
	d->halted = 0;
	return true;
}

/* The endpoint exists in the configuration, or is 0. */
static bool usb_has_endpoint(const struct usb_device *d, unsigned address)
{
	if (!(address & 0x7f))
		return true;
	for (unsigned i = 0; i < d->type->ninterfaces && d->configuration; i++)
		for (unsigned k = 0; k < d->type->interface[i].neps; k++)
			if (d->type->interface[i].ep[k].address == address)
				return true;
	return false;
}

static bool usb_feature(
	struct usb_device *d, const struct usb_setup *s, bool set)
{
	uint8_t ep = (uint8_t)s->index;

	if ((s->type & 0x1f) == 0 && s->value == FEATURE_REMOTE_WAKEUP) {
		d->remote_wakeup = set;
		return d->type->attributes & 0x20;
	}
	/* Power states of super speed make no difference here. */
	if ((s->type & 0x1f) == 0 && d->speed == USB_SPEED_SUPER)
		return s->value >= FEATURE_U1 && s->value <= FEATURE_LTM;
	if ((s->type & 0x1f) == 1)
		return d->speed == USB_SPEED_SUPER && s->value == 0;
	if ((s->type & 0x1f) != 2 || s->value != FEATURE_HALT ||
		!usb_has_endpoint(d, ep))
		return false;
	if (!(ep & 15))
		return true;
	if (set) {
		d->halted |= usb_ep_bit(ep);
	} else {
		d->halted &= ~usb_ep_bit(ep);
		if (d->type->unhalted)
			d->type->unhalted(d, ep);
	}
	return true;
}

static bool usb_status(
	struct usb_device *d, const struct usb_setup *s, uint8_t *buf)
{
	buf[0] = buf[1] = 0;
	if ((s->type & 0x1f) == 0)
		buf[0] = (d->type->attributes >> 6 & 1) | d->remote_wakeup << 1;
	else if ((s->type & 0x1f) == 2)
		buf[0] = !!(d->halted & usb_ep_bit((uint8_t)s->index));
	return (s->type & 0x1f) != 2 || usb_has_endpoint(d, (uint8_t)s->index);
}

/* Out of chapter 9; *len: bytes to the host. */
static bool usb_standard(struct usb_device *d, const struct usb_setup *s,
	uint8_t *buf, uint32_t *len)
{
	*len = 0;
	switch (USB_REQUEST(s)) {
	case SET_ADDRESS: return s->value < 128; /* after the status stage */
	case SET_CONFIGURATION: return usb_set_configuration(d, s->value & 255);
	case GET_CONFIGURATION:
		buf[0] = d->configuration;
		*len = 1;
		return true;
	case GET_INTERFACE:
		buf[0] = 0;
		*len = 1;
		return d->configuration && s->index < d->type->ninterfaces;
	case SET_INTERFACE:
		return d->configuration && !s->value &&
		       s->index < d->type->ninterfaces;
	case GET_STATUS_DEVICE:
	case GET_STATUS_INTERFACE:
	case GET_STATUS_ENDPOINT: *len = 2; return usb_status(d, s, buf);
	case CLEAR_FEATURE_DEVICE:
	case CLEAR_FEATURE_INTERFACE:
	case CLEAR_FEATURE_ENDPOINT: return usb_feature(d, s, false);
	case SET_FEATURE_DEVICE:
	case SET_FEATURE_INTERFACE:
	case SET_FEATURE_ENDPOINT: return usb_feature(d, s, true);
	case SET_SEL:
	case SET_ISOCH_DELAY: return d->speed == USB_SPEED_SUPER;
	}
	return false;
}

/* The data, if it goes to the device, is in d->control. */
static bool usb_request(struct usb_device *d)
{
	const struct usb_setup *s = &d->setup;

	if (USB_REQUEST(s) == GET_DESCRIPTOR) {
		d->control_len = usb_descriptor(
			d, s->value >> 8, s->value & 255, d->control);
		if (d->control_len)
			return true;
	} else if (!(s->type & 0x60) && s->request != GET_DESCRIPTOR % 256) {
		return usb_standard(d, s, d->control, &d->control_len);
	}
	return d->type->control &&
	       d->type->control(d, s, d->control, &d->control_len);
}

/* ---- the control pipe (8.5.3) ---- */

static enum usb_result usb_control_setup(
	struct usb_device *d, struct usb_io *io)
{
	const uint8_t *p = io->buf;
	struct usb_setup *s = &d->setup;

	if (io->len != 8) {
		d->stage = USB_STAGE_STALL;
		return USB_STALL;
	}
	*s = (struct usb_setup){p[0], p[1], p[2] | p[3] << 8, p[4] | p[5] << 8,
		p[6] | p[7] << 8};
	io->moved = 8;
	d->control_pos = d->control_len = 0;
	if (s->type & 0x80) {
		d->stage = usb_request(d) ? USB_STAGE_IN : USB_STAGE_STALL;
		d->control_len = MIN(d->control_len, s->length);
	} else if (s->length > USB_CONTROL_BYTES) {
		d->stage = USB_STAGE_STALL;
	} else if (s->length) {
		d->stage = USB_STAGE_OUT;
	} else {
		d->stage = usb_request(d) ? USB_STAGE_STATUS : USB_STAGE_STALL;
	}
	return USB_ACK; /* what is wrong shows in the next stage */
}

static void usb_control_take(struct usb_device *d, struct usb_io *io)
{
	uint32_t n = MIN(io->len, d->setup.length - d->control_pos);

	memcpy(d->control + d->control_pos, io->buf, n);
	d->control_pos += n;
	io->moved = n;
	if (d->control_pos < d->setup.length)
		return;
	d->control_len = d->control_pos;
	d->stage = usb_request(d) ? USB_STAGE_STATUS : USB_STAGE_STALL;
}

static enum usb_result usb_control_in(struct usb_device *d, struct usb_io *io)
{
	uint32_t n;

	if (d->stage == USB_STAGE_IN) {
		n = MIN(io->len, d->control_len - d->control_pos);
		memcpy(io->buf, d->control + d->control_pos, n);
		d->control_pos += n;
		io->moved = n;
		return USB_ACK;
	}
	if (d->stage != USB_STAGE_STATUS)
		return USB_STALL;
	if (USB_REQUEST(&d->setup) == SET_ADDRESS)
		d->address = (uint8_t)d->setup.value;
	d->stage = USB_STAGE_NONE;
	return USB_ACK;
}

static enum usb_result usb_control_io(struct usb_device *d, struct usb_io *io)
{
	if (io->pid == USB_PID_SETUP)
		return usb_control_setup(d, io);
	if (io->pid == USB_PID_IN)
		return usb_control_in(d, io);
	if (d->stage == USB_STAGE_OUT) {
		usb_control_take(d, io);
		return USB_ACK;
	}
	if (d->stage != USB_STAGE_IN)
		return USB_STALL;
	d->stage = USB_STAGE_NONE;
	return USB_ACK;
}

enum usb_result usb_device_io(struct usb_device *d, struct usb_io *io)
{
	uint8_t address = io->ep | (io->pid == USB_PID_IN ? 0x80 : 0);

	io->moved = 0;
	if (io->ep == 0)
		return usb_control_io(d, io);
	if (io->pid == USB_PID_SETUP || !usb_has_endpoint(d, address) ||
		(d->halted & usb_ep_bit(address)) || !d->type->io)
		return USB_STALL;
	return d->type->io(d, io);
}

/* ---- life ---- */

void usb_device_init(struct usb_device *d, const struct usb_type *t)
{
	d->type = t;
}

void usb_device_reset(struct usb_device *d)
{
	d->address = d->configuration = 0;
	d->remote_wakeup = false;
	d->halted = 0;
	d->stage = USB_STAGE_NONE;
	if (d->type->reset)
		d->type->reset(d);
}

void usb_device_fini(struct usb_device *d)
{
	usb_detach(d);
}

struct usb_device *usb_device_find(struct usb_device *d, uint8_t address)
{
	if (!d || d->address == address)
		return d;
	return d->type->find ? d->type->find(d, address) : NULL;
}

void usb_device_ready(struct usb_device *d, bool wake)
{
	if (!d->port)
		return;
	if (wake && d->remote_wakeup)
		d->port->ops->wakeup(d->port);
	d->port->ops->ready(d->port, d);
}

void usb_device_describe(const struct usb_device *d, char *buf, unsigned size)
{
	if (!d->port)
		snprintf(buf, size, "not plugged in");
	else
		snprintf(buf, size, "%s speed, address %u%s",
			usb_speed_names[d->speed], d->address,
			d->configuration ? "" : ", not configured");
}

/* ---- state ---- */

static const struct state_field usb_setup_fields[] = {
	STATE(struct usb_setup, type),
	STATE(struct usb_setup, request),
	STATE(struct usb_setup, value),
	STATE(struct usb_setup, index),
	STATE(struct usb_setup, length),
};

static const struct state_list usb_setup_state =
	STATE_LIST("setup", struct usb_setup, 1, usb_setup_fields);

static const struct state_field usb_device_fields[] = {
	STATE(struct usb_device, address, .max = 127),
	STATE(struct usb_device, configuration, .max = 1),
	STATE(struct usb_device, remote_wakeup),
	STATE(struct usb_device, halted),
	STATE(struct usb_device, stage, .max = USB_STAGE_STALL),
	STATE_STRUCT(struct usb_device, setup, &usb_setup_state),
	STATE(struct usb_device, control_len, .max = USB_CONTROL_BYTES),
	STATE(struct usb_device, control_pos, .max = USB_CONTROL_BYTES),
	STATE_BYTES(struct usb_device, control),
};

static int usb_device_loaded(
	void *obj, unsigned version, char *err, unsigned errsize)
{
	const struct usb_device *d = obj;
	bool in = d->stage == USB_STAGE_IN, out = d->stage == USB_STAGE_OUT;

	if ((!in || d->control_pos <= d->control_len) &&
		(!out || (d->control_pos <= d->setup.length &&
				 d->setup.length <= USB_CONTROL_BYTES)))
		return 0;
	snprintf(err, errsize, "a control transfer beyond its end");
	return -EINVAL;
}

const struct state_list usb_device_state = STATE_LIST("usb", struct usb_device,
	1, usb_device_fields, .loaded = usb_device_loaded);

/* ---- ports ---- */

void usb_port_negotiate(struct usb_port *p)
{
	unsigned speeds = p->device ? p->speeds & p->device->type->speeds : 0;

	for (unsigned s = 0; s < USB_NSPEEDS; s++)
		if (speeds >> s & 1)
			p->device->speed = s;
}

int usb_attach(struct usb_port *p, struct usb_device *d)
{
	if (p->device || d->port)
		return -EBUSY;
	if (!(p->speeds & d->type->speeds) || p->depth >= USB_MAX_DEPTH)
		return -ENOTSUP;
	p->device = d;
	d->port = p;
	usb_port_negotiate(p);
	usb_device_reset(d);
	p->ops->attached(p);
	return 0;
}

void usb_detach(struct usb_device *d)
{
	struct usb_port *p = d->port;

	if (!p)
		return;
	p->ops->detached(p);
	p->device = NULL;
	d->port = NULL;
	usb_device_reset(d);
	if (p->socket)
		p->socket->ops->returned(p->socket);
}

bool usb_port_free(const struct usb_port *p)
{
	return !p->device && !(p->companion && p->companion->device);
}
