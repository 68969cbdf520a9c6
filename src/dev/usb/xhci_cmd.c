/*
 * xhci_cmd.c - the command ring, slots and their contexts (xHCI 1.2, 4.3, 4.6
 * and 6.2).
 *
 * The guest's device context is written, never read: what counts is what was
 * taken from input contexts, each word once.
 */
#include <string.h>

#include <glib.h>

#include "dev/usb/xhci_priv.h"

#define CONTEXT_WORDS 8u
#define CONTEXT_BYTES 32u
#define TURN_COMMANDS 64

/* ---- contexts ---- */

struct usb_device *xhci_slot_device(
	const struct xhci *x, const struct xhci_slot *s)
{
	struct usb_device *d = s->port >= 1 && s->port <= XHCI_PORTS
				       ? x->port[s->port - 1].device
				       : NULL;

	for (uint32_t route = s->route; d && route; route >>= 4) {
		struct usb_port *p =
			d->type->port ? d->type->port(d, route & 15) : NULL;

		d = p ? p->device : NULL;
	}
	return d && d->address == s->address ? d : NULL;
}

static void context_read(
	struct xhci *x, uint64_t base, unsigned n, uint32_t w[CONTEXT_WORDS])
{
	xhci_read32(x, base + n * CONTEXT_BYTES, w, CONTEXT_WORDS);
}

static void context_write(struct xhci *x, const struct xhci_slot *s, unsigned n,
	const uint32_t w[CONTEXT_WORDS])
{
	xhci_write32(x, s->context + n * CONTEXT_BYTES, w, CONTEXT_WORDS);
}

/* State and address. */
static void slot_store(struct xhci *x, const struct xhci_slot *s)
{
	uint32_t w = (uint32_t)s->state << 27 | s->address;

	xhci_write32(x, s->context + 12, &w, 1);
}

void xhci_ep_store(struct xhci *x, struct xhci_slot *s, unsigned n)
{
	const struct xhci_ep *ep = &s->ep[n];
	uint64_t at = s->context + n * CONTEXT_BYTES;
	uint32_t w[4];

	xhci_read32(x, at, w, 1);
	w[0] = (w[0] & ~7u) | ep->state;
	xhci_write32(x, at, w, 1);
	w[2] = (uint32_t)ep->ring.at | ep->ring.cycle;
	w[3] = ep->ring.at >> 32;
	xhci_write32(x, at + 8, w + 2, 2);
}

static void ep_set_ring(struct xhci_ep *ep, uint64_t pointer)
{
	ep->ring = (struct xhci_ring){pointer & ~15ull, pointer & 1};
	ep->off = ep->edtla = 0;
	ep->is_short = ep->told_short = ep->waits = false;
}

/* Out of an input context. */
static void ep_enable(struct xhci *x, struct xhci_slot *s, unsigned n,
	uint32_t w[CONTEXT_WORDS])
{
	struct xhci_ep *ep = &s->ep[n];

	*ep = (struct xhci_ep){.state = EP_RUNNING,
		.type = w[1] >> 3 & 7,
		.max_packet = w[1] >> 16};
	ep_set_ring(ep, w[2] | (uint64_t)w[3] << 32);
	s->pending &= ~(1u << n);
	w[0] = (w[0] & ~7u) | EP_RUNNING;
	context_write(x, s, n, w);
}

static void ep_disable(struct xhci *x, struct xhci_slot *s, unsigned n)
{
	s->ep[n] = (struct xhci_ep){0};
	s->pending &= ~(1u << n);
	xhci_ep_store(x, s, n);
}

/* ---- commands: each gives the code of its event ---- */

static unsigned cmd_enable_slot(struct xhci *x, unsigned *slot)
{
	unsigned most = MIN(x->config & 0xff, XHCI_SLOTS);

	for (unsigned n = 1; n <= most; n++) {
		if (x->slot[n].used)
			continue;
		x->slot[n] = (struct xhci_slot){.used = true};
		*slot = n;
		return CC_SUCCESS;
	}
	return CC_NO_SLOTS;
}

static unsigned cmd_disable_slot(struct xhci *x, struct xhci_slot *s)
{
	for (unsigned n = 1; n < XHCI_EPS; n++)
		if (s->ep[n].state != EP_DISABLED)
			ep_disable(x, s, n);
	s->state = SLOT_ENABLED;
	s->address = 0;
	if (s->context)
		slot_store(x, s);
	s->used = false;
	return CC_SUCCESS;
}

/* The device gets the slot's number as its address. */
static bool set_address(struct usb_device *d, unsigned address)
{
	uint8_t setup[8] = {0, 5, (uint8_t)address};
	struct usb_io io = {.pid = USB_PID_SETUP, .buf = setup, .len = 8};

	if (usb_device_io(d, &io) != USB_ACK)
		return false;
	io = (struct usb_io){.pid = USB_PID_IN, .buf = setup};
	return usb_device_io(d, &io) == USB_ACK;
}

static unsigned cmd_address_device(
	struct xhci *x, struct xhci_slot *s, const struct xhci_trb *t)
{
	uint64_t input = t->param & ~15ull, context;
	unsigned id = (unsigned)(s - x->slot);
	bool block = t->control & TRB_BSR;
	struct usb_device *d;
	uint32_t flags[2], w[CONTEXT_WORDS], p[2];

	if (s->state > SLOT_DEFAULT || (block && s->state == SLOT_DEFAULT))
		return CC_CONTEXT_STATE;
	xhci_read32(x, input, flags, 2);
	if (flags[0] || (flags[1] & 3) != 3)
		return CC_TRB;
	context_read(x, input, 1, w);
	s->route = w[0] & 0xfffff;
	s->port = w[1] >> 16 & 0xff;
	s->address = 0;
	d = xhci_slot_device(x, s);
	if (!d || (!block && !set_address(d, id)))
		return CC_TRANSACTION;
	xhci_read32(x, x->dcbaa + 8 * id, p, 2);
	context = (p[0] & ~63u) | (uint64_t)p[1] << 32;
	s->context = context;
	s->address = block ? 0 : (uint8_t)id;
	s->state = block ? SLOT_DEFAULT : SLOT_ADDRESSED;
	w[3] = (uint32_t)s->state << 27 | s->address;
	context_write(x, s, 0, w);
	context_read(x, input, 2, w);
	ep_enable(x, s, 1, w);
	return CC_SUCCESS;
}

/* Words of the slot that the guest says: entries and hub, ports, target. */
static void slot_take(struct xhci *x, struct xhci_slot *s, uint64_t input)
{
	uint32_t w[CONTEXT_WORDS];

	context_read(x, input, 1, w);
	w[3] = (uint32_t)s->state << 27 | s->address;
	w[1] = (w[1] & ~0x00ff0000u) | (uint32_t)s->port << 16;
	w[0] = (w[0] & ~0x000fffffu) | s->route;
	context_write(x, s, 0, w);
}

static unsigned cmd_configure(
	struct xhci *x, struct xhci_slot *s, const struct xhci_trb *t)
{
	uint64_t input = t->param & ~15ull;
	uint32_t flags[2] = {~3u, 0}, w[CONTEXT_WORDS];
	bool deconfigure = t->control & TRB_BSR, any = false;

	if (s->state < SLOT_ADDRESSED)
		return CC_CONTEXT_STATE;
	if (!deconfigure)
		xhci_read32(x, input, flags, 2);
	if ((flags[0] & 3) || (flags[1] & 2))
		return CC_TRB;
	for (unsigned n = 2; n < XHCI_EPS; n++) {
		if (flags[0] >> n & 1)
			ep_disable(x, s, n);
		if (flags[1] >> n & 1) {
			context_read(x, input, n + 1, w);
			ep_enable(x, s, n, w);
		}
		any |= s->ep[n].state != EP_DISABLED;
	}
	s->state = any ? SLOT_CONFIGURED : SLOT_ADDRESSED;
	if (deconfigure)
		slot_store(x, s);
	else if (flags[1] & 1)
		slot_take(x, s, input);
	else
		slot_store(x, s);
	return CC_SUCCESS;
}

static unsigned cmd_evaluate(
	struct xhci *x, struct xhci_slot *s, const struct xhci_trb *t)
{
	uint64_t input = t->param & ~15ull;
	uint32_t flags[2], w[CONTEXT_WORDS], out;

	if (s->state < SLOT_DEFAULT)
		return CC_CONTEXT_STATE;
	xhci_read32(x, input, flags, 2);
	if (flags[0])
		return CC_TRB;
	if (flags[1] & 1)
		slot_take(x, s, input);
	if (flags[1] & 2) {
		context_read(x, input, 2, w);
		s->ep[1].max_packet = w[1] >> 16;
		xhci_read32(x, s->context + CONTEXT_BYTES + 4, &out, 1);
		out = (out & 0xffff) | (w[1] & 0xffff0000);
		xhci_write32(x, s->context + CONTEXT_BYTES + 4, &out, 1);
	}
	return CC_SUCCESS;
}

static unsigned cmd_reset_device(struct xhci *x, struct xhci_slot *s)
{
	if (s->state < SLOT_ADDRESSED)
		return CC_CONTEXT_STATE;
	for (unsigned n = 2; n < XHCI_EPS; n++)
		if (s->ep[n].state != EP_DISABLED)
			ep_disable(x, s, n);
	s->state = SLOT_DEFAULT;
	s->address = 0;
	slot_store(x, s);
	return CC_SUCCESS;
}

/* Those that are about one endpoint. */
static unsigned cmd_endpoint(
	struct xhci *x, struct xhci_slot *s, const struct xhci_trb *t)
{
	unsigned n = t->control >> 16 & 31;
	struct xhci_ep *ep = &s->ep[n];

	if (!n)
		return CC_TRB;
	if (ep->state == EP_DISABLED)
		return CC_EP_DISABLED;
	switch (TRB_TYPE(t->control)) {
	case TRB_RESET_EP:
		if (ep->state != EP_HALTED)
			return CC_CONTEXT_STATE;
		ep->state = EP_STOPPED;
		break;
	case TRB_STOP_EP:
		if (ep->state != EP_RUNNING)
			return CC_CONTEXT_STATE;
		xhci_ep_stop(x, s, n, true);
		ep->state = EP_STOPPED;
		break;
	case TRB_SET_DEQUEUE:
		if (ep->state != EP_STOPPED && ep->state != EP_ERROR)
			return CC_CONTEXT_STATE;
		ep_set_ring(ep, t->param);
		ep->state = EP_STOPPED;
		break;
	}
	xhci_ep_store(x, s, n);
	return CC_SUCCESS;
}

static unsigned command(
	struct xhci *x, const struct xhci_trb *t, unsigned *slot)
{
	unsigned type = TRB_TYPE(t->control), id = t->control >> 24;
	struct xhci_slot *s = &x->slot[MIN(id, XHCI_SLOTS)];

	if (type == TRB_COMMAND_NOOP)
		return CC_SUCCESS;
	if (type == TRB_ENABLE_SLOT)
		return cmd_enable_slot(x, slot);
	if (type < TRB_DISABLE_SLOT || type > TRB_RESET_DEVICE)
		return CC_TRB;
	*slot = id;
	if (!id || id > XHCI_SLOTS || !s->used)
		return CC_SLOT_DISABLED;
	switch (type) {
	case TRB_DISABLE_SLOT: return cmd_disable_slot(x, s);
	case TRB_ADDRESS_DEVICE: return cmd_address_device(x, s, t);
	case TRB_CONFIGURE_EP: return cmd_configure(x, s, t);
	case TRB_EVALUATE: return cmd_evaluate(x, s, t);
	case TRB_RESET_DEVICE: return cmd_reset_device(x, s);
	}
	return cmd_endpoint(x, s, t);
}

static void command_event(
	struct xhci *x, uint64_t at, unsigned code, unsigned slot)
{
	struct xhci_event e = {.param = at,
		.status = code << 24,
		.control = TRB_COMMAND_EVENT << 10 | slot << 24};

	xhci_event(x, 0, &e, false);
}

void xhci_commands_run(struct xhci *x)
{
	struct xhci_trb t;

	x->commands_pending = false;
	for (unsigned i = 0; x->commands_run && xhci_running(x); i++) {
		unsigned slot = 0, code;

		if (!xhci_ring_get(x, &x->commands, &t))
			return;
		/* one for the command, one for what it stops */
		if (i == TURN_COMMANDS || xhci_event_room(x, 0) < 3) {
			x->commands_pending = true;
			break;
		}
		x->commands.at = t.at + 16;
		code = command(x, &t, &slot);
		command_event(x, t.at, code, slot);
	}
	if (x->commands_pending)
		xhci_soon(x);
}

void xhci_commands_stop(struct xhci *x)
{
	if (x->commands_run)
		command_event(x, x->commands.at, CC_COMMAND_STOPPED, 0);
	x->commands_run = x->commands_pending = false;
}
