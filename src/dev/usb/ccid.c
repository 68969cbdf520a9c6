/*
 * ccid.c - a USB smart-card reader (Integrated Circuit(s) Cards Interface
 * Devices 1.1; ISO 7816-3 for answers to reset).
 *
 * It exchanges whole APDUs, so no protocol of the card is ours.  The card is a
 * program behind host.chr: frames of a type, three bytes of length, and data
 * (docs/usb.md).  One command is at work at a time; while the card thinks, the
 * host is told every second that it does (6.2.6, time extension).
 */
#include "dev/usb/ccid.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <glib.h>

#include "dev/chardev.h"

#define EP_OUT	  0x01
#define EP_IN	  0x82
#define EP_CHANGE 0x83

#define HEADER	  10u
#define APDU_MAX  65544u /* extended, and as PC_to_RDR_XfrBlock may carry */
#define MESSAGE	  (HEADER + APDU_MAX)
#define ATR_MAX	  33u
#define WAIT_NS	  1000000000u
#define WAIT_MOST 30 /* then there is no card */

enum { /* 6.1, 6.2, 6.3 */
	PC_ICC_POWER_ON = 0x62,
	PC_ICC_POWER_OFF = 0x63,
	PC_GET_SLOT_STATUS = 0x65,
	PC_XFR_BLOCK = 0x6f,
	PC_GET_PARAMETERS = 0x6c,
	PC_RESET_PARAMETERS = 0x6d,
	PC_SET_PARAMETERS = 0x61,
	PC_ABORT = 0x72,
	RDR_DATA_BLOCK = 0x80,
	RDR_SLOT_STATUS = 0x81,
	RDR_PARAMETERS = 0x82,
	RDR_NOTIFY_SLOT_CHANGE = 0x50,
};

enum { /* bStatus, 6.2.6 */
	ICC_ACTIVE = 0,
	ICC_INACTIVE = 1,
	ICC_ABSENT = 2,
	COMMAND_FAILED = 0x40,
	COMMAND_EXTENDS = 0x80,
};

enum { /* bError, table 6.2-2 */
	ERROR_UNSUPPORTED = 0x00,
	ERROR_BAD_LENGTH = 0x01,
	ERROR_BAD_SLOT = 0x05,
	ERROR_ICC_MUTE = 0xfe,
	ERROR_ABORTED = 0xff,
};

/* what goes over the line */
enum {
	CARD_POWER_OFF = 0,
	CARD_POWER_ON = 1,
	CARD_RESET = 2,
	CARD_APDU = 3,
	CARD_INSERTED = 0x10, /* from the card: data is its ATR */
	CARD_REMOVED = 0x11,
	CARD_ANSWER = 0x12,
};

#define FRAME_HEADER 4u

struct usb_ccid {
	struct usb_device usb;
	struct dev_chardev *chr;
	bool present, active;
	bool change;   /* to be told by the interrupt endpoint */
	bool waits;    /* for the card's answer to an APDU */
	bool ready;    /* an answer is in out[] */
	uint8_t asked; /* times that the host was told to wait */
	uint8_t seq;
	struct bus_timer timer;
	uint8_t atr[ATR_MAX];
	uint32_t atr_len;
	/* from the host; to it */
	uint32_t in_len, out_len, out_pos;
	/* from the card */
	uint32_t frame_len;
	/* to the card: what the line has not taken */
	uint32_t send_len, send_pos;
	uint8_t in[MESSAGE], out[MESSAGE];
	uint8_t frame[FRAME_HEADER + APDU_MAX], send[FRAME_HEADER + APDU_MAX];
};

static struct usb_ccid *ccid_of(struct usb_device *d)
{
	return (struct usb_ccid *)d;
}

static uint32_t get32(const uint8_t *p)
{
	return p[0] | p[1] << 8 | p[2] << 16 | (uint32_t)p[3] << 24;
}

/* ---- the line ---- */

static void card_flush(struct usb_ccid *c)
{
	while (c->send_pos < c->send_len) {
		size_t n = c->chr->write(c->chr, c->send + c->send_pos,
			c->send_len - c->send_pos);

		if (!n)
			return;
		c->send_pos += (uint32_t)n;
	}
}

static void card_writable(void *opaque)
{
	card_flush(opaque);
}

/* Dropped if the line still holds the one before: then nobody answers. */
static void card_send(
	struct usb_ccid *c, uint8_t type, const uint8_t *data, uint32_t len)
{
	if (!c->chr || c->send_pos < c->send_len)
		return;
	c->send[0] = type;
	c->send[1] = (uint8_t)(len >> 16);
	c->send[2] = (uint8_t)(len >> 8);
	c->send[3] = (uint8_t)len;
	if (len)
		memcpy(c->send + FRAME_HEADER, data, len);
	c->send_pos = 0;
	c->send_len = FRAME_HEADER + len;
	card_flush(c);
}

/* ---- answers to the host ---- */

static uint8_t icc_status(const struct usb_ccid *c)
{
	return !c->present ? ICC_ABSENT : c->active ? ICC_ACTIVE : ICC_INACTIVE;
}

struct answer {
	uint8_t type, status, error, last;
	const uint8_t *data;
	uint32_t len;
};

static void ccid_answer(struct usb_ccid *c, const struct answer *a)
{
	uint8_t *p = c->out;

	memset(p, 0, HEADER);
	p[0] = a->type;
	for (unsigned i = 0; i < 4; i++)
		p[1 + i] = (uint8_t)(a->len >> (8 * i));
	p[6] = c->seq;
	p[7] = icc_status(c) | a->status;
	p[8] = a->error;
	p[9] = a->last;
	if (a->len)
		memcpy(p + HEADER, a->data, a->len);
	c->out_len = HEADER + a->len;
	c->out_pos = 0;
	c->ready = true;
	usb_device_ready(&c->usb, false);
}

static void ccid_fail(struct usb_ccid *c, uint8_t type, uint8_t error)
{
	ccid_answer(c, &(struct answer){.type = type,
			       .status = COMMAND_FAILED,
			       .error = error});
}

static void ccid_waits(struct usb_ccid *c, bool waits)
{
	c->waits = waits;
	c->asked = 0;
	if (waits)
		bus_timer_arm(&c->timer, bus_clock_ns(c->timer.bus) + WAIT_NS);
	else
		bus_timer_cancel(&c->timer);
}

/* ---- the card ---- */

static void card_gone(struct usb_ccid *c)
{
	if (c->present)
		c->change = true;
	c->present = c->active = false;
	if (c->waits) {
		ccid_waits(c, false);
		ccid_fail(c, RDR_DATA_BLOCK, ERROR_ICC_MUTE);
	}
	usb_device_ready(&c->usb, true);
}

static void ccid_fire(void *opaque)
{
	struct usb_ccid *c = opaque;

	if (!c->waits)
		return;
	if (c->asked++ == WAIT_MOST) {
		card_gone(c);
		return;
	}
	if (!c->ready)
		ccid_answer(c, &(struct answer){.type = RDR_DATA_BLOCK,
				       .status = COMMAND_EXTENDS,
				       .error = 1});
	bus_timer_arm(&c->timer, bus_clock_ns(c->timer.bus) + WAIT_NS);
}

static void card_came(struct usb_ccid *c, const uint8_t *atr, uint32_t len)
{
	if (c->present)
		card_gone(c);
	memcpy(c->atr, atr, len);
	c->atr_len = len;
	c->present = c->change = true;
	usb_device_ready(&c->usb, true);
}

/* Frames that make no sense are passed over. */
static void card_frame(struct usb_ccid *c, uint32_t len)
{
	const uint8_t *data = c->frame + FRAME_HEADER;

	switch (c->frame[0]) {
	case CARD_INSERTED:
		if (len >= 2 && len <= ATR_MAX)
			card_came(c, data, len);
		break;
	case CARD_REMOVED: card_gone(c); break;
	case CARD_ANSWER:
		if (!c->waits || len < 2)
			break;
		ccid_waits(c, false);
		ccid_answer(c, &(struct answer){.type = RDR_DATA_BLOCK,
				       .data = data,
				       .len = len});
		break;
	}
}

static size_t card_can_receive(void *opaque)
{
	struct usb_ccid *c = opaque;

	return sizeof(c->frame) - c->frame_len;
}

static void card_receive(void *opaque, const uint8_t *buf, size_t len)
{
	struct usb_ccid *c = opaque;

	while (len) {
		uint32_t want = FRAME_HEADER, n;

		if (c->frame_len >= FRAME_HEADER)
			want += (uint32_t)c->frame[1] << 16 | c->frame[2] << 8 |
				c->frame[3];
		if (want > sizeof(c->frame)) { /* beyond all measure */
			c->frame_len = 0;
			card_gone(c);
			return;
		}
		n = (uint32_t)MIN(len, want - c->frame_len);
		memcpy(c->frame + c->frame_len, buf, n);
		c->frame_len += n;
		buf += n;
		len -= n;
		if (c->frame_len < want || c->frame_len < FRAME_HEADER)
			continue;
		want = FRAME_HEADER + ((uint32_t)c->frame[1] << 16 |
					      c->frame[2] << 8 | c->frame[3]);
		if (c->frame_len < want)
			continue;
		card_frame(c, want - FRAME_HEADER);
		c->frame_len = 0;
	}
}

/* ---- messages of the host ---- */

static const uint8_t ccid_parameters[] = {
	0x11, 0x10, 0x00, 0x15, 0x00, 0xfe, 0x00};

static void ccid_power_on(struct usb_ccid *c)
{
	if (!c->present) {
		ccid_fail(c, RDR_DATA_BLOCK, ERROR_ICC_MUTE);
		return;
	}
	card_send(c, c->active ? CARD_RESET : CARD_POWER_ON, NULL, 0);
	c->active = true;
	ccid_answer(c, &(struct answer){.type = RDR_DATA_BLOCK,
			       .data = c->atr,
			       .len = c->atr_len});
}

static void ccid_power_off(struct usb_ccid *c)
{
	if (c->active)
		card_send(c, CARD_POWER_OFF, NULL, 0);
	c->active = false;
	ccid_answer(c, &(struct answer){.type = RDR_SLOT_STATUS,
			       .last = 1 /* clock stopped low */});
}

static void ccid_apdu(struct usb_ccid *c, uint32_t len)
{
	if (!c->active) {
		ccid_fail(c, RDR_DATA_BLOCK, ERROR_ICC_MUTE);
		return;
	}
	ccid_waits(c, true);
	card_send(c, CARD_APDU, c->in + HEADER, len);
}

static void ccid_command(struct usb_ccid *c, uint32_t len)
{
	const uint8_t *p = c->in;

	c->seq = p[6];
	if (p[5]) {
		ccid_fail(c, RDR_SLOT_STATUS, ERROR_BAD_SLOT);
		return;
	}
	switch (p[0]) {
	case PC_ICC_POWER_ON: ccid_power_on(c); break;
	case PC_ICC_POWER_OFF: ccid_power_off(c); break;
	case PC_GET_SLOT_STATUS:
	case PC_ABORT:
		ccid_answer(c, &(struct answer){.type = RDR_SLOT_STATUS});
		break;
	case PC_XFR_BLOCK: ccid_apdu(c, len); break;
	case PC_GET_PARAMETERS:
	case PC_RESET_PARAMETERS:
	case PC_SET_PARAMETERS:
		ccid_answer(c, &(struct answer){.type = RDR_PARAMETERS,
				       .last = 1, /* T=1 */
				       .data = ccid_parameters,
				       .len = sizeof(ccid_parameters)});
		break;
	default: ccid_fail(c, RDR_SLOT_STATUS, ERROR_UNSUPPORTED);
	}
}

static enum usb_result ccid_out(struct usb_ccid *c, struct usb_io *io)
{
	uint32_t n = MIN(io->len, MESSAGE - c->in_len), want;

	if (c->ready || c->waits)
		return USB_NAK;
	memcpy(c->in + c->in_len, io->buf, n);
	c->in_len += n;
	io->moved = io->len;
	if (c->in_len < HEADER)
		return USB_ACK;
	want = get32(c->in + 1);
	if (want > APDU_MAX) {
		c->in_len = 0;
		c->seq = c->in[6];
		ccid_fail(c, RDR_SLOT_STATUS, ERROR_BAD_LENGTH);
	} else if (c->in_len >= HEADER + want) {
		c->in_len = 0;
		ccid_command(c, want);
	}
	return USB_ACK;
}

static enum usb_result ccid_in(struct usb_ccid *c, struct usb_io *io)
{
	uint32_t n = MIN(io->len, c->out_len - c->out_pos);

	if (!c->ready)
		return USB_NAK;
	memcpy(io->buf, c->out + c->out_pos, n);
	c->out_pos += n;
	io->moved = n;
	if (c->out_pos < c->out_len)
		return USB_ACK;
	c->ready = false;
	usb_device_ready(&c->usb, false); /* for what it has to say next */
	return USB_ACK;
}

static enum usb_result ccid_io(struct usb_device *d, struct usb_io *io)
{
	struct usb_ccid *c = ccid_of(d);

	if (io->pid == USB_PID_OUT)
		return ccid_out(c, io);
	if (io->ep == (EP_IN & 15))
		return ccid_in(c, io);
	if (!c->change)
		return USB_NAK;
	if (io->len < 2)
		return USB_BABBLE;
	c->change = false;
	io->buf[0] = RDR_NOTIFY_SLOT_CHANGE;
	io->buf[1] = 2 | c->present;
	io->moved = 2;
	return USB_ACK;
}

/* 5.3: ABORT, clock frequencies and data rates. */
static bool ccid_control(struct usb_device *d, const struct usb_setup *s,
	uint8_t *buf, uint32_t *len)
{
	struct usb_ccid *c = ccid_of(d);
	const uint32_t khz = GUINT32_TO_LE(4000), bps = GUINT32_TO_LE(10753);

	*len = 0;
	switch (USB_REQUEST(s)) {
	case 0x2101: /* the bulk message of the same number follows */
		if (c->waits) {
			ccid_waits(c, false);
			ccid_fail(c, RDR_DATA_BLOCK, ERROR_ABORTED);
		}
		return true;
	case 0xa102:
	case 0xa103:
		memcpy(buf, s->request == 2 ? &khz : &bps, 4);
		*len = 4;
		return true;
	}
	return false;
}

static void ccid_bus_reset(struct usb_device *d)
{
	struct usb_ccid *c = ccid_of(d);

	if (c->active)
		card_send(c, CARD_POWER_OFF, NULL, 0);
	c->active = c->ready = false;
	c->in_len = c->out_len = c->out_pos = 0;
	c->change = c->present;
	ccid_waits(c, false);
}

/* ---- tables ---- */

/* 5.1: one slot, 5 V, T=0 and T=1, 4 MHz, 10753 bps; voltage, parameters,
 * clock and rates by itself; extended APDUs of 65544 bytes. */
static const uint8_t ccid_descriptor[] = {54, 0x21, 0x10, 0x01, 0, 7,
	/* protocols, clock, most, numbers of clocks */
	3, 0, 0, 0, 0xa0, 0x0f, 0, 0, 0xa0, 0x0f, 0, 0, 0,
	/* rate, most, number of rates */
	0x01, 0x2a, 0, 0, 0x01, 0x2a, 0, 0, 0,
	/* information field, synchronous protocols, mechanics */
	0xfe, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	/* features, longest message */
	0xba, 0x00, 0x04, 0, MESSAGE & 255, MESSAGE >> 8 & 255, MESSAGE >> 16,
	0,
	/* class bytes, no display, no keys, one command at a time */
	0xff, 0xff, 0, 0, 0, 1};
_Static_assert(sizeof(ccid_descriptor) == 54, "as 5.1 says");

static const struct usb_endpoint ccid_endpoints[] = {
	{.address = EP_OUT, .attributes = 2, .max_packet = {0, 64}},
	{.address = EP_IN, .attributes = 2, .max_packet = {0, 64}},
	{.address = EP_CHANGE,
		.attributes = 3,
		.max_packet = {0, 8},
		.interval_ms = 255},
};

static const struct usb_interface ccid_interface = {
	.cls = 0x0b,
	.extra = ccid_descriptor,
	.extra_bytes = sizeof(ccid_descriptor),
	.ep = ccid_endpoints,
	.neps = G_N_ELEMENTS(ccid_endpoints),
};

static const struct usb_type ccid_type = {
	.product = "card reader",
	.vendor_id = 0x1209,
	.product_id = 0x0006,
	.release = 0x0100,
	.attributes = 0x20,
	.speeds = USB_FULL,
	.interface = &ccid_interface,
	.ninterfaces = 1,
	.reset = ccid_bus_reset,
	.control = ccid_control,
	.io = ccid_io,
};

/* ---- life ---- */

static int ccid_init(struct dev *d, char *err, unsigned errsize)
{
	struct usb_ccid *c = (struct usb_ccid *)d;

	usb_device_init(&c->usb, &ccid_type);
	bus_timer_init(&c->timer, d->host.bus, ccid_fire, c);
	c->chr = d->host.chr;
	if (!c->chr)
		return 0;
	c->chr->can_receive = card_can_receive;
	c->chr->receive = card_receive;
	c->chr->writable = card_writable;
	c->chr->opaque = c;
	return 0;
}

static void ccid_reset(struct dev *d)
{
	usb_device_reset((struct usb_device *)d);
}

static void ccid_fini(struct dev *d)
{
	struct usb_ccid *c = (struct usb_ccid *)d;

	bus_timer_cancel(&c->timer);
	usb_device_fini(&c->usb);
}

static void ccid_describe(struct dev *d, char *buf, unsigned size)
{
	struct usb_ccid *c = (struct usb_ccid *)d;
	size_t n;

	usb_device_describe(&c->usb, buf, size);
	n = strlen(buf);
	snprintf(buf + n, size - n, "; %s",
		!c->present ? "no card"
		: c->active ? "card with power"
			    : "card");
}

/* ---- state ---- */

/* Whoever was the card is not at the line any more. */
static int ccid_loaded(void *obj, unsigned version, char *err, unsigned errsize)
{
	struct usb_ccid *c = obj;

	if (c->out_pos > c->out_len || c->send_pos > c->send_len) {
		snprintf(err, errsize, "a message beyond its end");
		return -EINVAL;
	}
	if (c->present)
		c->change = true;
	c->present = c->active = false;
	c->frame_len = c->send_len = c->send_pos = 0;
	c->asked = WAIT_MOST;
	return 0;
}

static const struct state_field ccid_fields[] = {
	STATE_STRUCT(struct usb_ccid, usb, &usb_device_state),
	STATE(struct usb_ccid, present),
	STATE(struct usb_ccid, active),
	STATE(struct usb_ccid, change),
	STATE(struct usb_ccid, waits),
	STATE(struct usb_ccid, ready),
	STATE(struct usb_ccid, seq),
	STATE_TIMER(struct usb_ccid, timer),
	STATE(struct usb_ccid, in_len, .max = MESSAGE - 1),
	STATE(struct usb_ccid, out_len, .max = MESSAGE),
	STATE(struct usb_ccid, out_pos, .max = MESSAGE),
	STATE_BYTES(struct usb_ccid, in),
	STATE_BYTES(struct usb_ccid, out),
};

static const struct state_list ccid_state = STATE_LIST(
	"usb-ccid", struct usb_ccid, 1, ccid_fields, .loaded = ccid_loaded);

const struct dev_class usb_ccid_class = {
	.name = "usb-ccid",
	.size = sizeof(struct usb_ccid),
	.init = ccid_init,
	.reset = ccid_reset,
	.fini = ccid_fini,
	.describe = ccid_describe,
	.state = &ccid_state,
};
