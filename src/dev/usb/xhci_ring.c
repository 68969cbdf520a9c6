/*
 * xhci_ring.c - rings of requests, event rings and their interrupts (xHCI 1.2,
 * 4.9 and 4.17).
 *
 * An event ring never overflows: who makes events looks for room before, and
 * waits until the guest has moved its dequeue pointer.
 */
#include <string.h>

#include <glib.h>

#include "dev/usb/xhci_priv.h"

#define MAX_LINKS 8 /* in a row; no ring is made of them */

#define IMAN_PENDING 1u
#define IMAN_ENABLE  2u
#define ERDP_BUSY    8u
#define CMD_INTE     4u
#define STS_EVENT    8u
#define MAX_SEGMENT  4096u

void xhci_read32(struct xhci *x, uint64_t at, uint32_t *w, unsigned n)
{
	bus_dma_read(xhci_bus(x), at, w, n * 4);
	for (unsigned i = 0; i < n; i++)
		w[i] = GUINT32_FROM_LE(w[i]);
}

void xhci_write32(struct xhci *x, uint64_t at, const uint32_t *w, unsigned n)
{
	uint32_t out[8];

	for (unsigned i = 0; i < n; i++)
		out[i] = GUINT32_TO_LE(w[i]);
	bus_dma_write(xhci_bus(x), at, out, n * 4);
}

/* ---- requests ---- */

bool xhci_ring_get(struct xhci *x, struct xhci_ring *r, struct xhci_trb *t)
{
	for (unsigned i = 0; i < MAX_LINKS; i++) {
		uint32_t w[4];

		xhci_read32(x, r->at, w, 4);
		if ((w[3] & TRB_CYCLE) != r->cycle)
			return false;
		if (TRB_TYPE(w[3]) != TRB_LINK) {
			*t = (struct xhci_trb){
				w[0] | (uint64_t)w[1] << 32, w[2], w[3], r->at};
			return true;
		}
		r->at = (w[0] & ~15u) | (uint64_t)w[1] << 32;
		r->cycle ^= !!(w[3] & TRB_TOGGLE);
	}
	return false;
}

/* ---- event rings ---- */

/* The table of segments: 6.5. */
static void ring_load(struct xhci *x, struct xhci_interrupter *i)
{
	i->loaded = true;
	i->cycle = true;
	i->seg = i->index = 0;
	i->nsegs = MIN(i->erstsz, XHCI_SEGMENTS);
	for (unsigned n = 0; n < i->nsegs; n++) {
		uint32_t w[3];

		xhci_read32(x, i->erstba + n * 16, w, 3);
		i->base[n] = (w[0] & ~63u) | (uint64_t)w[1] << 32;
		i->size[n] = MIN(w[2] & 0xffff, MAX_SEGMENT);
		if (!i->size[n]) /* not to be used */
			i->nsegs = 0;
	}
}

/* As if all segments were one. */
static unsigned ring_total(const struct xhci_interrupter *i, unsigned segs)
{
	unsigned n = 0;

	for (unsigned k = 0; k < segs; k++)
		n += i->size[k];
	return n;
}

/* Where the guest is; or false. */
static bool ring_dequeue(const struct xhci_interrupter *i, unsigned *out)
{
	uint64_t at = i->erdp & ~15ull;

	*out = 0;
	for (unsigned k = 0; k < i->nsegs; *out += i->size[k++])
		if (at >= i->base[k] && at < i->base[k] + i->size[k] * 16) {
			*out += (unsigned)((at - i->base[k]) / 16);
			return true;
		}
	return false;
}

unsigned xhci_event_room(struct xhci *x, unsigned n)
{
	struct xhci_interrupter *i = &x->intr[n];
	unsigned total, from, to;

	if (!i->loaded)
		ring_load(x, i);
	total = ring_total(i, i->nsegs);
	from = ring_total(i, i->seg) + i->index;
	return total && ring_dequeue(i, &to) ? (to + total - from - 1) % total
					     : 0;
}

/* ---- interrupts ---- */

void xhci_update_intx(struct xhci *x)
{
	const struct xhci_interrupter *i = &x->intr[0];

	pci_set_intx(
		&x->pci, !x->pci.msix.enabled && (x->cmd & CMD_INTE) &&
				 (i->iman & (IMAN_PENDING | IMAN_ENABLE)) ==
					 (IMAN_PENDING | IMAN_ENABLE));
}

static void interrupt(struct xhci *x, unsigned n)
{
	struct xhci_interrupter *i = &x->intr[n];

	i->erdp |= ERDP_BUSY;
	i->iman |= IMAN_PENDING;
	x->status |= STS_EVENT;
	if (!x->pci.msix.enabled) {
		xhci_update_intx(x);
	} else if ((i->iman & IMAN_ENABLE) && (x->cmd & CMD_INTE)) {
		i->iman &= ~IMAN_PENDING; /* 5.5.2.1: by the message */
		pci_msix_notify(&x->pci, n);
	}
}

void xhci_event(
	struct xhci *x, unsigned n, const struct xhci_event *e, bool quiet)
{
	struct xhci_interrupter *i = &x->intr[n];
	uint32_t w[4] = {(uint32_t)e->param, e->param >> 32, e->status,
		e->control & ~TRB_CYCLE};
	uint64_t at;

	if (!xhci_event_room(x, n))
		return; /* nobody came here without looking */
	at = i->base[i->seg] + i->index * 16;
	w[3] |= i->cycle;
	/* The cycle bit last: another processor may look. */
	xhci_write32(x, at, w, 3);
	xhci_write32(x, at + 12, w + 3, 1);
	x->events++;
	if (++i->index == i->size[i->seg]) {
		i->index = 0;
		if (++i->seg == i->nsegs) {
			i->seg = 0;
			i->cycle = !i->cycle;
		}
	}
	if (!quiet && !(i->erdp & ERDP_BUSY))
		interrupt(x, n);
}

/* 4.17.2: while the guest works through the ring it is not disturbed; what
 * is left when it ends makes the next interrupt. */
void xhci_erdp_write(struct xhci *x, unsigned n, uint64_t val, bool busy)
{
	struct xhci_interrupter *i = &x->intr[n];
	unsigned to;

	i->erdp = (val & ~(uint64_t)ERDP_BUSY) | (i->erdp & ERDP_BUSY);
	if (busy)
		i->erdp &= ~(uint64_t)ERDP_BUSY;
	if (busy && i->loaded && ring_dequeue(i, &to) &&
		to != ring_total(i, i->seg) + i->index)
		interrupt(x, n);
	xhci_soon(x);
}

void xhci_port_events(struct xhci *x)
{
	for (unsigned p = 0; p < XHCI_PORTS; p++) {
		struct xhci_event e = {.param = (p + 1) << 24,
			.status = (uint32_t)CC_SUCCESS << 24,
			.control = TRB_PORT_EVENT << 10};

		if (!(x->port_events >> p & 1) || !xhci_running(x) ||
			!xhci_event_room(x, 0))
			continue;
		x->port_events &= ~(1u << p);
		xhci_event(x, 0, &e, false);
	}
}
