/*
 * xhci_xfer.c - transfers (xHCI 1.2, 3.2.9 to 3.2.11, 4.10 and 4.11).
 *
 * A transfer is a chain of requests, whose buffers need not end where packets
 * do: up to XHCI_CHUNK bytes are gathered, in whole packets, moved at once,
 * and then accounted to the requests.  Where the endpoint stands, and how much
 * of the request there was moved, is all that is kept between two turns.
 */
#include <string.h>

#include <glib.h>

#include "dev/usb/xhci_priv.h"

#define MAX_PIECES 64
#define TURN_BYTES (512u * 1024) /* then others have their turn */
#define TURN_STEPS 512u

/* Part of a request's buffer; of those that have none, of no length. */
struct piece {
	struct xhci_trb t;
	uint32_t off, len;
};

struct turn {
	struct xhci *x;
	struct xhci_slot *s;
	struct xhci_ep *ep;
	unsigned n; /* of the endpoint */
	unsigned steps, bytes;
	struct piece piece[MAX_PIECES];
	unsigned npieces;
	uint32_t total;
};

/* ---- events ---- */

static unsigned target_of(const struct xhci_trb *t)
{
	unsigned n = TRB_TARGET(t->status);

	return n < XHCI_INTERRUPTERS ? n : 0;
}

static void tell(const struct turn *u, const struct xhci_trb *t, unsigned code,
	uint32_t left)
{
	bool data = TRB_TYPE(t->control) == TRB_EVENT_DATA;
	struct xhci_event e = {.param = data ? t->param : t->at,
		.status = (left & 0xffffff) | code << 24,
		.control = TRB_TRANSFER_EVENT << 10 | u->n << 16 |
			   (uint32_t)(u->s - u->x->slot) << 24 |
			   (data ? 4u : 0)};

	xhci_event(u->x, target_of(t), &e, t->control & TRB_BLOCK_IRQ);
}

/* ---- going on ---- */

static void transfer_clear(struct xhci_ep *ep)
{
	ep->off = ep->edtla = 0;
	ep->is_short = ep->told_short = false;
}

/* The request is done; left: of its bytes. */
static void request_done(
	struct turn *u, const struct xhci_trb *t, uint32_t left)
{
	struct xhci_ep *ep = u->ep;
	unsigned code = ep->is_short ? CC_SHORT : CC_SUCCESS;
	bool wants =
		(t->control & TRB_IOC) || (left && (t->control & TRB_SHORT));

	if (TRB_TYPE(t->control) == TRB_EVENT_DATA) {
		tell(u, t, code, ep->edtla);
		ep->edtla = 0;
	} else if (wants && !ep->told_short) {
		tell(u, t, code, left);
		ep->told_short = ep->is_short;
	}
	ep->ring = (struct xhci_ring){t->at + 16, t->control & TRB_CYCLE};
	ep->off = 0;
	u->x->transfers++;
	if (!(t->control & TRB_CHAIN))
		transfer_clear(ep);
}

/* 4.8.3: it stops where it is. */
static void endpoint_fail(struct turn *u, unsigned code)
{
	struct xhci_trb t;

	if (xhci_ring_get(u->x, &u->ep->ring, &t)) {
		uint32_t len = TRB_LENGTH(t.status);

		t.control &= ~TRB_BLOCK_IRQ;
		tell(u, &t, code, len - MIN(len, u->ep->off));
	}
	u->ep->state = code == CC_TRB ? EP_ERROR : EP_HALTED;
	transfer_clear(u->ep);
	xhci_ep_store(u->x, u->s, u->n);
}

/* Ask the device; io is complete but for its endpoint.  0: it was done, -1:
 * not yet, else why it failed. */
static int ask(struct turn *u, struct usb_io *io)
{
	struct usb_device *d = xhci_slot_device(u->x, u->s);

	io->ep = (uint8_t)(u->n / 2);
	if (!d)
		return CC_TRANSACTION;
	switch (usb_device_io(d, io)) {
	case USB_ACK: return 0;
	case USB_NAK: u->ep->waits = true; return -1;
	case USB_STALL: return CC_STALL;
	case USB_BABBLE: return CC_BABBLE;
	}
	return CC_TRANSACTION;
}

/* ---- data ---- */

static bool is_data(unsigned type)
{
	return type == TRB_NORMAL || type == TRB_DATA || type == TRB_ISOCH ||
	       type == TRB_EVENT_DATA || type == TRB_NOOP;
}

static uint32_t data_length(const struct xhci_trb *t)
{
	unsigned type = TRB_TYPE(t->control);

	return type == TRB_EVENT_DATA || type == TRB_NOOP
		       ? 0
		       : TRB_LENGTH(t->status);
}

/* What comes next of the transfer; for each request there is room for an
 * event. */
static void gather(struct turn *u)
{
	struct xhci_ring r = u->ep->ring;
	uint32_t off = u->ep->off;
	struct xhci_trb t;
	unsigned room = 2;
	bool whole = false;

	u->npieces = 0;
	u->total = 0;
	while (u->npieces < MAX_PIECES && u->npieces + 1 < room &&
		u->total < XHCI_CHUNK && !whole) {
		struct piece *p = &u->piece[u->npieces];

		if (!xhci_ring_get(u->x, &r, &t) ||
			!is_data(TRB_TYPE(t.control)))
			break;
		room = xhci_event_room(u->x, target_of(&t));
		*p = (struct piece){t, off, data_length(&t)};
		p->len -= MIN(p->len, off);
		whole = !(t.control & TRB_CHAIN);
		if (p->len > XHCI_CHUNK - u->total) {
			p->len = XHCI_CHUNK - u->total;
			whole = false;
		}
		u->total += p->len;
		u->npieces++;
		r.at = t.at + 16;
		off = 0;
	}
	if (!whole && u->ep->max_packet && u->total > u->ep->max_packet)
		u->total -= u->total % u->ep->max_packet;
}

static void copy_pieces(struct turn *u, uint32_t n, bool to_guest)
{
	struct bus *b = xhci_bus(u->x);
	uint32_t at = 0;

	for (unsigned i = 0; i < u->npieces && at < n; i++) {
		const struct piece *p = &u->piece[i];
		uint32_t part = MIN(p->len, n - at);
		uint64_t param = GUINT64_TO_LE(p->t.param);

		if (to_guest)
			bus_dma_write(
				b, p->t.param + p->off, u->x->data + at, part);
		else if (!(p->t.control & TRB_IMMEDIATE))
			bus_dma_read(
				b, p->t.param + p->off, u->x->data + at, part);
		else if (p->off + part <= sizeof(param))
			memcpy(u->x->data + at, (uint8_t *)&param + p->off,
				part);
		at += part;
	}
}

/* So many bytes were moved: the requests that are done by that. */
static void account(struct turn *u, uint32_t moved)
{
	for (unsigned i = 0; i < u->npieces; i++) {
		const struct piece *p = &u->piece[i];
		uint32_t part = MIN(moved, p->len);

		u->ep->edtla += part;
		moved -= part;
		if (p->off + part < data_length(&p->t)) {
			u->ep->off = p->off + part;
			return;
		}
		request_done(u, &p->t, 0);
	}
}

/* 4.10.1.1: less came than there is room for. */
static void short_packet(struct turn *u)
{
	struct xhci_trb t;

	if (!xhci_ring_get(u->x, &u->ep->ring, &t))
		return;
	u->ep->is_short = true;
	request_done(u, &t, data_length(&t) - MIN(data_length(&t), u->ep->off));
}

/* False: nothing more can be done now. */
static bool data_step(struct turn *u, bool to_host)
{
	struct usb_io io = {
		.pid = to_host ? USB_PID_IN : USB_PID_OUT, .buf = u->x->data};
	int rc;

	gather(u);
	if (!u->npieces)
		return false;
	io.len = u->total;
	if (!to_host)
		copy_pieces(u, io.len, false);
	rc = ask(u, &io);
	if (to_host && io.moved)
		copy_pieces(u, io.moved, true);
	u->bytes -= MIN(u->bytes, io.moved + 64);
	if (rc < 0) {
		if (io.moved)
			account(u, io.moved);
		return false;
	}
	account(u, io.moved);
	if (rc > 0)
		endpoint_fail(u, (unsigned)rc);
	else if (io.moved < io.len)
		short_packet(u);
	return rc == 0;
}

/* ---- the stages of a control transfer ---- */

static bool setup_step(struct turn *u, const struct xhci_trb *t)
{
	struct usb_io io = {.pid = USB_PID_SETUP, .buf = u->x->data, .len = 8};
	uint64_t param = GUINT64_TO_LE(t->param);
	int rc;

	if (!(t->control & TRB_IMMEDIATE) || TRB_LENGTH(t->status) != 8) {
		endpoint_fail(u, CC_TRB);
		return false;
	}
	memcpy(u->x->data, &param, 8);
	rc = ask(u, &io);
	if (rc > 0)
		endpoint_fail(u, (unsigned)rc);
	else if (!rc)
		request_done(u, t, 0);
	return !rc;
}

static bool status_step(struct turn *u, const struct xhci_trb *t)
{
	struct usb_io io = {
		.pid = t->control & TRB_TO_HOST ? USB_PID_IN : USB_PID_OUT,
		.buf = u->x->data};
	int rc = ask(u, &io);

	if (rc > 0)
		endpoint_fail(u, (unsigned)rc);
	else if (!rc)
		request_done(u, t, 0);
	return !rc;
}

/* ---- endpoints ---- */

static bool ep_step(struct turn *u)
{
	struct xhci_ep *ep = u->ep;
	bool control = ep->type == EP_TYPE_CONTROL;
	struct xhci_trb t;

	if (!xhci_ring_get(u->x, &ep->ring, &t))
		return false;
	if (xhci_event_room(u->x, target_of(&t)) < 2) {
		u->s->pending |= 1u << u->n;
		return false;
	}
	switch (TRB_TYPE(t.control)) {
	case TRB_SETUP:
		if (control)
			return setup_step(u, &t);
		break;
	case TRB_STATUS:
		if (control)
			return status_step(u, &t);
		break;
	case TRB_EVENT_DATA:
	case TRB_NOOP: request_done(u, &t, 0); return true;
	case TRB_DATA:
		if (!control)
			break;
		if (!ep->off)
			ep->to_host = t.control & TRB_TO_HOST;
		/* fall through */
	case TRB_NORMAL:
	case TRB_ISOCH:
		if (ep->is_short) {
			request_done(u, &t, data_length(&t));
			return true;
		}
		return data_step(u, control ? ep->to_host : u->n & 1);
	}
	endpoint_fail(u, CC_TRB);
	return false;
}

void xhci_ep_run(struct xhci *x, struct xhci_slot *s, unsigned n)
{
	struct turn u = {.x = x, .s = s, .ep = &s->ep[n], .n = n};

	s->pending &= ~(1u << n);
	u.ep->waits = false;
	u.steps = TURN_STEPS;
	u.bytes = TURN_BYTES;
	x->busy = true;
	while (xhci_running(x) && u.ep->state == EP_RUNNING && ep_step(&u)) {
		if (--u.steps && u.bytes)
			continue;
		s->pending |= 1u << n;
		xhci_soon(x);
		break;
	}
	x->busy = false;
}

void xhci_ep_stop(struct xhci *x, struct xhci_slot *s, unsigned n, bool say)
{
	struct turn u = {.x = x, .s = s, .ep = &s->ep[n], .n = n};
	uint32_t len;
	struct xhci_trb t;

	if (say && (u.ep->off || u.ep->waits || s->pending >> n & 1) &&
		xhci_ring_get(x, &u.ep->ring, &t)) {
		len = data_length(&t);
		t.control &= ~TRB_BLOCK_IRQ;
		tell(&u, &t, CC_STOPPED, len - MIN(len, u.ep->off));
	}
	u.ep->waits = false;
	s->pending &= ~(1u << n);
}
