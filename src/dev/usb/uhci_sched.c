/*
 * uhci_sched.c - frames, queue heads and transfer descriptors (UHCI Design
 * Guide 1.1, chapter 3).
 *
 * All lists are the guest's memory: each descriptor is read once, then its
 * status, and the queue's element pointer, are written back.  The lists may
 * be loops, as drivers make them to have bandwidth used up: a walk ends when
 * it meets a queue that it has met since something moved last, or when its
 * budget is spent.
 */
#include <string.h>

#include <glib.h>

#include "dev/usb/uhci_priv.h"

#define LINK_END   1u
#define LINK_QUEUE 2u
#define LINK_DEPTH 4u

/* the second word of a TD: 3.2.2 */
#define TD_ACTLEN  0x000007ffu
#define TD_TIMEOUT 0x00040000u
#define TD_NAK	   0x00080000u
#define TD_BABBLE  0x00100000u
#define TD_STALLED 0x00400000u
#define TD_ACTIVE  0x00800000u
#define TD_IOC	   0x01000000u
#define TD_CERR	   0x18000000u
#define TD_SHORT   0x20000000u
#define TD_STATUS  0x00fe0000u

#define MAX_QUEUES 128

struct uhci_td {
	uint32_t link, status, token, buffer;
};

enum td_end {
	TD_IDLE,    /* not active */
	TD_WAITS,   /* NAK */
	TD_DONE,    /* go on with the next */
	TD_STOPPED, /* short or wrong: the queue stays here */
};

struct walk {
	struct uhci *u;
	struct uhci_budget *left;
	uint32_t seen[MAX_QUEUES]; /* since something moved */
	unsigned nseen;
	bool moved;
};

static bool uhci_read(struct uhci *u, uint32_t at, uint32_t *words, unsigned n)
{
	bool ok = bus_dma_read(u->dev.host.bus, at, words, n * 4);

	for (unsigned i = 0; i < n; i++)
		words[i] = GUINT32_FROM_LE(words[i]);
	return ok;
}

static void uhci_write(struct uhci *u, uint32_t at, uint32_t word)
{
	word = GUINT32_TO_LE(word);
	bus_dma_write(u->dev.host.bus, at, &word, 4);
}

/* ---- transactions ---- */

static struct usb_device *uhci_find(struct uhci *u, uint8_t address)
{
	struct usb_device *d = NULL;

	for (unsigned i = 0; i < UHCI_PORTS && !d; i++)
		if ((u->portsc[i] & 0x1004) == 0x0004) /* not suspended */
			d = usb_device_find(u->port[i].device, address);
	return d;
}

/* The error bits of the status; *moved as the device had it. */
static uint32_t td_transact(
	struct uhci *u, const struct uhci_td *td, uint32_t *moved)
{
	struct usb_device *d = uhci_find(u, td->token >> 8 & 127);
	uint32_t len = ((td->token >> 21) + 1) & 0x7ff;
	uint8_t buf[UHCI_PACKET];
	struct usb_io io = {.pid = td->token & 255,
		.ep = td->token >> 15 & 15,
		.buf = buf,
		.len = len};
	enum usb_result result;

	*moved = 0;
	if (!d)
		return TD_TIMEOUT | TD_STALLED;
	if (io.pid != USB_PID_IN)
		bus_dma_read(u->dev.host.bus, td->buffer, buf, len);
	result = usb_device_io(d, &io);
	*moved = io.moved;
	if (io.pid == USB_PID_IN && io.moved)
		bus_dma_write(u->dev.host.bus, td->buffer, buf, io.moved);
	switch (result) {
	case USB_ACK: return 0;
	case USB_NAK: return TD_NAK;
	case USB_STALL: return TD_STALLED;
	case USB_BABBLE: return TD_BABBLE | TD_STALLED;
	}
	return TD_STALLED;
}

/* 3.2.3: lengths beyond 1280 and other tokens are consistency errors. */
static bool td_valid(const struct uhci_td *td)
{
	uint32_t len = ((td->token >> 21) + 1) & 0x7ff, pid = td->token & 255;

	return len <= UHCI_PACKET && (pid == USB_PID_IN || pid == USB_PID_OUT ||
					     pid == USB_PID_SETUP);
}

static void td_write_back(
	struct walk *w, uint32_t at, struct uhci_td *td, uint32_t moved)
{
	td->status = (td->status & ~TD_ACTLEN) | ((moved - 1) & TD_ACTLEN);
	uhci_write(w->u, at + 4, td->status);
	w->moved = true;
	w->nseen = 0;
	w->u->transactions++;
	w->left->bytes -= MIN(w->left->bytes, moved + 13);
}

static enum td_end td_run(struct walk *w, uint32_t at, struct uhci_td *td)
{
	struct uhci *u = w->u;
	uint32_t moved, error, len = ((td->token >> 21) + 1) & 0x7ff;
	bool in = (td->token & 255) == USB_PID_IN;

	if (!(td->status & TD_ACTIVE))
		return TD_IDLE;
	if (!td_valid(td)) {
		u->status |= UHCI_STS_PROC | UHCI_STS_HALTED;
		u->cmd &= ~1u;
		return TD_STOPPED;
	}
	error = td_transact(u, td, &moved);
	if (error == TD_NAK) {
		if (!(td->status & TD_NAK))
			uhci_write(u, at + 4, td->status | TD_NAK);
		return TD_WAITS;
	}
	td->status &= ~(TD_STATUS | TD_ACTIVE);
	td->status |= error;
	if (error) {
		if (error & TD_TIMEOUT) /* tried three times */
			td->status &= ~TD_CERR;
		u->status |= UHCI_STS_ERROR;
	}
	if (td->status & TD_IOC) {
		u->status |= UHCI_STS_INT;
		u->causes |= UHCI_INT_DONE;
	}
	td_write_back(w, at, td, moved);
	if (error)
		return TD_STOPPED;
	if (!in || moved >= len || !(td->status & TD_SHORT))
		return TD_DONE;
	u->status |= UHCI_STS_INT;
	u->causes |= UHCI_INT_SHORT;
	return TD_STOPPED;
}

/* ---- lists ---- */

static bool spend(struct walk *w)
{
	if (!w->left->steps || !w->left->bytes || !(w->u->cmd & 1))
		return false;
	w->left->steps--;
	return true;
}

/* False: met before, and nothing has moved since. */
static bool queue_new(struct walk *w, uint32_t at)
{
	for (unsigned i = 0; i < w->nseen; i++)
		if (w->seen[i] == at)
			return false;
	if (w->nseen == MAX_QUEUES)
		return false;
	w->seen[w->nseen++] = at;
	return true;
}

/* A TD out of a queue, then those that are linked depth first.  Queues in
 * queues end it: no driver makes them. */
static void queue_run(struct walk *w, uint32_t queue, uint32_t element)
{
	struct uhci_td td;

	while (!(element & (LINK_END | LINK_QUEUE)) && spend(w)) {
		if (!uhci_read(w->u, element & ~15u, &td.link, 4) ||
			td_run(w, element & ~15u, &td) != TD_DONE)
			return;
		element = td.link;
		uhci_write(w->u, queue + 4, element);
		if (!(element & LINK_DEPTH))
			return;
	}
}

bool uhci_sched_frame(struct uhci *u, unsigned n, struct uhci_budget *left)
{
	struct walk w = {.u = u, .left = left};
	uint32_t link, q[2];
	struct uhci_td td;

	u->frames++;
	if (!uhci_read(u, u->list + (n & 1023) * 4, &link, 1))
		return false;
	while (!(link & LINK_END) && spend(&w)) {
		uint32_t at = link & ~15u;

		if (!(link & LINK_QUEUE)) {
			if (!uhci_read(u, at, &td.link, 4))
				break;
			td_run(&w, at, &td);
			link = td.link;
			continue;
		}
		if (!queue_new(&w, at) || !uhci_read(u, at, q, 2))
			break;
		/* An element that is a queue comes in place of the TDs. */
		if ((q[1] & LINK_QUEUE) && !(q[1] & LINK_END)) {
			link = q[1];
			continue;
		}
		queue_run(&w, at, q[1]);
		link = q[0];
	}
	return w.moved;
}
