/*
 * usb-fuzz.c - USB controllers under a driver gone mad: any register, lists
 * and rings that lead anywhere and to themselves, requests of all kinds,
 * devices that come and go.
 */
#include "dev-fuzz.h"

#include "dev/chardev.h"
#include "dev/usb/ehci.h"
#include "dev/usb/hid.h"
#include "dev/usb/uhci.h"
#include "dev/usb/xhci.h"

#define NODES	 0x100000u /* queues, descriptors: 64 bytes each */
#define NNODES	 48
#define LIST	 0x110000u /* of frames */
#define PACKETS	 0x120000u /* requests and wrappers: 64 bytes each */
#define NPACKETS 32
#define CONTEXTS 0x130000u /* xHCI: a page for each slot */
#define INPUT	 0x140000u
#define EVENTS	 0x141000u
#define RING	 0x150000u
#define SLOT	 2
#define NDEVICES 7

struct usb_fuzz {
	struct usb_port *(*port)(struct dev *d, unsigned n);
	unsigned nports, devfn;
	struct usb_device *dev[NDEVICES]; /* [0] is a hub */
	struct dev_chardev chr;		  /* of the smart-card reader */
	struct fuzz *fuzz;
};

static struct usb_fuzz *own(struct fuzz *f)
{
	return f->own;
}

/* ---- what hangs there ---- */

static void unplug(struct fuzz *f, unsigned n)
{
	usb_detach(own(f)->dev[n]);
}

static void plug(struct fuzz *f, unsigned n)
{
	struct usb_fuzz *u = own(f);
	struct usb_device *d = u->dev[n], *hub = u->dev[0];
	struct usb_port *p = n && below(f, 2)
				     ? hub->type->port(hub, 1 + below(f, 8))
				     : u->port(f->dev, below(f, u->nports));

	if (!d->port && p && usb_port_free(p))
		usb_attach(p, d);
}

static void plug_round(struct fuzz *f)
{
	struct display_input tablet = {NULL};
	unsigned n = below(f, NDEVICES);

	bus_lock(f->r.b.bus);
	if (!below(f, 3))
		unplug(f, n);
	plug(f, n);
	usb_kbd_key(&own(f)->dev[1]->dev, below(f, 128), below(f, 2));
	usb_mouse_move(&own(f)->dev[2]->dev, (int)below(f, 999) - 500, 3, 1,
		below(f, 8));
	bus_unlock(f->r.b.bus);
	usb_tablet_input(&own(f)->dev[5]->dev, &tablet);
	tablet.point(tablet.opaque, below(f, 32768), below(f, 32768), 1,
		below(f, 8));
}

/* ---- the smart card's line ---- */

static size_t card_write(struct dev_chardev *c, const uint8_t *buf, size_t len)
{
	struct usb_fuzz *u = c->owner;

	return below(u->fuzz, 4) ? len : below(u->fuzz, len + 1);
}

static void card_accept(struct dev_chardev *c)
{
}

/* A frame of the card's, whole or not. */
static void card_round(struct fuzz *f)
{
	static const uint8_t types[] = {0x10, 0x10, 0x11, 0x12, 0x12};
	struct dev_chardev *c = &own(f)->chr;
	uint8_t frame[80];
	size_t n = 4 + below(f, 40);

	for (unsigned i = 0; i < sizeof(frame); i++)
		frame[i] = byte(f);
	frame[0] = below(f, 32) ? types[below(f, sizeof(types))] : byte(f);
	frame[1] = below(f, 64) ? 0 : byte(f);
	frame[2] = below(f, 64) ? 0 : byte(f);
	frame[3] = below(f, 16) ? (uint8_t)(n - 4) : byte(f);
	bus_lock(f->r.b.bus);
	n = MIN(n, c->can_receive(c->opaque));
	if (n && below(f, 4))
		c->receive(c->opaque, frame, n);
	else
		c->writable(c->opaque);
	bus_unlock(f->r.b.bus);
}

static void devices(struct fuzz *f)
{
	static const char *const names[NDEVICES] = {"usb-hub", "usb-kbd",
		"usb-mouse", "usb-disk", "usb-cd", "usb-tablet", "usb-ccid"};
	struct usb_fuzz *u = own(f);

	u->fuzz = f;
	u->chr = (struct dev_chardev){
		.write = card_write, .accept_input = card_accept, .owner = u};
	f->r.b.host.chr = &u->chr;
	f->media[0] = rig_image(1 << 20, false);
	f->media[1] = rig_image(1 << 20, true);
	for (unsigned n = 0; n < NDEVICES; n++) {
		f->r.b.host.blk = n < 3 || n > 4 ? NULL : f->media[n - 3];
		u->dev[n] = (struct usb_device *)(void *)board_add(
			&f->r.b, names[n]);
	}
	bus_lock(f->r.b.bus);
	for (unsigned n = 0; n < NDEVICES; n++)
		plug(f, n);
	bus_unlock(f->r.b.bus);
}

/* ---- what goes to them ---- */

/* Requests, mostly of those that there are; wrappers with commands. */
static void packets(struct fuzz *f)
{
	static const uint8_t known[][4] = {{0x80, 6, 0, 1}, {0x80, 6, 0, 2},
		{0, 5, 1, 0}, {0, 5, 2, 0}, {0, 9, 1, 0}, {0, 9, 1, 0},
		{0x23, 3, 8, 0}, {0x23, 3, 4, 0}, {0x23, 1, 16, 0},
		{0xa3, 0, 0, 0}, {0x81, 6, 0, 0x22}, {0x21, 10, 0, 1},
		{0x21, 11, 0, 0}, {0xa1, 1, 0, 1}, {0x21, 9, 0, 2},
		{2, 1, 0, 0}, {2, 3, 0, 0}, {0x21, 0xff, 0, 0},
		{0xa1, 0xfe, 0, 0}, {0x80, 0, 0, 0}};
	static const uint8_t ops[] = {0, 3, 0x12, 0x1a, 0x23, 0x25, 0x28, 0x28,
		0x2a, 0x2f, 0x35, 0x41, 0x42, 0x43, 0x4a, 0x55, 0x5a, 0xa0};

	for (unsigned i = 0; i < NPACKETS; i++) {
		uint8_t p[64];

		for (unsigned k = 0; k < sizeof(p); k++)
			p[k] = below(f, 3) ? 0 : byte(f);
		if (i % 2) {
			memcpy(p, known[below(f, G_N_ELEMENTS(known))], 4);
			p[4] = below(f, 9);
			p[5] = 0;
			p[6] = below(f, 255);
			p[7] = below(f, 40) ? 0 : byte(f);
		} else if (i % 8 == 2) { /* to a smart-card reader */
			p[0] = 0x60 + below(f, 20);
			memset(p + 1, 0, 5);
			p[1] = below(f, 8) ? below(f, 54) : byte(f);
		} else {
			memcpy(p, "USBC", below(f, 40) ? 4 : 3);
			p[10] = p[11] = 0;
			p[12] = below(f, 2) << 7;
			p[13] = 0;
			p[14] = below(f, 20) ? 10 : byte(f);
			p[15] = ops[below(f, sizeof(ops))];
			memset(p + 17, 0, 4);
		}
		put(f, PACKETS + 64 * i, p, sizeof(p));
	}
}

static uint32_t packet(struct fuzz *f)
{
	return below(f, 8) ? PACKETS + 64 * below(f, NPACKETS) : address(f);
}

static uint32_t node(struct fuzz *f)
{
	return below(f, 40) ? NODES + 64 * below(f, NNODES) : address(f);
}

static void wake_pci(struct fuzz *f, unsigned devfn, unsigned bar, uint32_t at)
{
	config_write(f, devfn, bar, 4, at);
	config_write(f, devfn, 4, 2, below(f, 16) ? 7 : rnd(f));
}

/* ---- UHCI ---- */

static uint32_t uhci_link(struct fuzz *f)
{
	if (!below(f, 6))
		return 1;
	return (node(f) & ~15u) | (below(f, 2) ? 2 : 0) | below(f, 2) << 2;
}

static void uhci_lists(struct fuzz *f)
{
	static const uint8_t pids[] = {0x69, 0x69, 0xe1, 0x2d, 0x2d};

	for (unsigned n = 0; n < NNODES; n++) {
		uint32_t w[4] = {uhci_link(f), uhci_link(f)};

		if (below(f, 3)) { /* a descriptor */
			w[1] = below(f, 8) ? 0x00800000u | rnd(f) << 24
					   : rnd(f);
			w[2] = pids[below(f, 5)] | below(f, 3) << 8 |
			       below(f, 3) << 15 |
			       (below(f, 9) ? 7u : rnd(f)) << 21;
			if (!below(f, 4))
				w[2] = (w[2] & 0x1fffff) | 30u << 21;
			w[3] = packet(f);
		}
		put(f, NODES + 64 * n, w, 16);
	}
	for (unsigned n = 0; n < 1024; n += 1 + below(f, 64)) {
		uint32_t link = uhci_link(f);

		put(f, LIST + 4 * n, &link, 4);
	}
}

static void uhci_ports(struct fuzz *f)
{
	for (unsigned n = 0; n < 2; n++) {
		bus_io_write(f->r.b.bus, FUZZ_IO + 0x10 + 2 * n, 2, 0x200);
		bus_io_write(f->r.b.bus, FUZZ_IO + 0x10 + 2 * n, 2, 0xe);
		bus_io_write(f->r.b.bus, FUZZ_IO + 0x10 + 2 * n, 2, 0xe);
	}
}

static void uhci_awake(struct fuzz *f)
{
	wake_pci(f, own(f)->devfn, 0x20, FUZZ_IO);
	bus_io_write(f->r.b.bus, FUZZ_IO + 8, 4, LIST);
	bus_io_write(f->r.b.bus, FUZZ_IO + 4, 2, 15);
	uhci_ports(f);
	bus_io_write(f->r.b.bus, FUZZ_IO, 2, 0xc1);
}

static void uhci_open(struct fuzz *f)
{
	f->own = g_new0(struct usb_fuzz, 1);
	*own(f) = (struct usb_fuzz){uhci_port, 2, SLOT << 3 | 2};
	f->r.b.host.pci_slot = SLOT;
	f->dev = board_add(&f->r.b, "uhci");
	devices(f);
}

static void uhci_round(struct fuzz *f)
{
	switch (below(f, 12)) {
	case 0:
		if (!below(f, 8))
			port_write(f, FUZZ_IO + below(f, 32), rnd(f));
		break;
	case 1: port_read(f, FUZZ_IO + below(f, 32)); break;
	case 2:
		plug_round(f);
		card_round(f);
		break;
	case 3:
		if (below(f, 2))
			uhci_ports(f);
		bus_io_write(f->r.b.bus, FUZZ_IO, 2, 0xc1);
		break;
	case 4: packets(f); break;
	case 5: bus_io_write(f->r.b.bus, FUZZ_IO + 2, 2, 0xffff); break;
	case 6:
		if (!below(f, 50))
			uhci_awake(f);
		break;
	default:
		uhci_lists(f);
		g_usleep(below(f, 150));
		bus_timers_run(f->r.b.bus);
	}
}

/* ---- EHCI ---- */

static void mm_write(struct fuzz *f, unsigned reg, uint32_t val)
{
	mmio_write(f, reg, 4, val);
}

static uint32_t ehci_link(struct fuzz *f)
{
	return below(f, 8)
		       ? (node(f) & ~31u) | (below(f, 6) ? 2 : below(f, 4) * 2)
		       : 1;
}

/* Each node may be taken for a queue or for a descriptor. */
static void ehci_lists(struct fuzz *f)
{
	for (unsigned n = 0; n < NNODES; n++) {
		uint32_t token = below(f, 4) << 8 | 3 << 10 | rnd(f) % 2 << 15;
		uint32_t w[16];

		for (unsigned i = 0; i < 16; i++)
			w[i] = below(f, 20) ? packet(f) : rnd(f);
		token |= below(f, 8) ? 0x80 : rnd(f) & 0xff;
		token |= (below(f, 4) ? 8u : below(f, 0x8000)) << 16;
		if (below(f, 2)) { /* a queue */
			w[0] = ehci_link(f);
			w[1] = below(f, 3) | below(f, 3) << 8 |
			       (below(f, 9) ? 64u : below(f, 2048)) << 16;
			w[4] = ehci_link(f);
			w[5] = ehci_link(f);
			w[6] = below(f, 3) ? 0 : token;
		} else {
			w[0] = ehci_link(f);
			w[1] = ehci_link(f);
			w[2] = token;
		}
		put(f, NODES + 64 * n, w, 64);
	}
	for (unsigned n = 0; n < 1024; n += 1 + below(f, 64)) {
		uint32_t link = ehci_link(f);

		put(f, LIST + 4 * n, &link, 4);
	}
	mm_write(f, 0x38, node(f));
}

static void ehci_ports(struct fuzz *f)
{
	for (unsigned n = 0; n < EHCI_PORTS; n++) {
		mm_write(f, 0x64 + 4 * n, 0x1100);
		mm_write(f, 0x64 + 4 * n, 0x1004);
	}
}

static void ehci_awake(struct fuzz *f)
{
	wake_pci(f, own(f)->devfn, 0x10, FUZZ_MMIO);
	mm_write(f, 0x34, LIST);
	mm_write(f, 0x28, 0x3f);
	mm_write(f, 0x60, 1);
	ehci_ports(f);
	mm_write(f, 0x20, 0x80031);
}

static void ehci_open(struct fuzz *f)
{
	struct dev *companion[EHCI_COMPANIONS];

	f->own = g_new0(struct usb_fuzz, 1);
	*own(f) = (struct usb_fuzz){
		ehci_port, EHCI_PORTS, SLOT << 3 | EHCI_FUNCTION};
	f->r.b.host.pci_slot = SLOT;
	for (unsigned i = 0; i < EHCI_COMPANIONS; i++) {
		f->r.b.host.index = UHCI_ICH9 + i;
		companion[i] = board_add(&f->r.b, "uhci");
	}
	f->dev = board_add(&f->r.b, "ehci");
	for (unsigned i = 0; i < EHCI_PORTS; i++)
		ehci_set_companion(
			f->dev, i, uhci_port(companion[i / 2], i % 2));
	devices(f);
}

static void ehci_round(struct fuzz *f)
{
	switch (below(f, 12)) {
	case 0:
		if (!below(f, 8))
			mm_write(f, 4 * below(f, 40), rnd(f));
		break;
	case 1:
		bus_mmio_read(f->r.b.bus, NULL, FUZZ_MMIO + below(f, 1016),
			1u << below(f, 4));
		break;
	case 2:
		plug_round(f);
		card_round(f);
		break;
	case 3:
		mm_write(f, 0x60, below(f, 40) != 0);
		if (below(f, 2))
			ehci_ports(f);
		mm_write(f, 0x20, 0x80031 | (below(f, 2) ? 0x40 : 0));
		break;
	case 4: packets(f); break;
	case 5: mm_write(f, 0x24, 0x3f); break;
	case 6: mm_write(f, 0x64 + 4 * below(f, 6), rnd(f)); break;
	case 7:
		if (!below(f, 50))
			ehci_awake(f);
		break;
	default:
		ehci_lists(f);
		g_usleep(below(f, 150));
		bus_timers_run(f->r.b.bus);
	}
}

/* ---- xHCI ---- */

#define XHCI_FUZZ_SLOTS 4u

static void xhci_ring(struct fuzz *f, uint32_t at)
{
	static const uint8_t types[] = {1, 1, 1, 2, 3, 4, 5, 6, 7, 8};
	bool sane = below(f, 2);

	for (unsigned i = 0; i < 32; i++) {
		unsigned type = types[below(f, sizeof(types))];
		uint32_t w[4] = {packet(f), below(f, 40) ? 0 : rnd(f),
			below(f, 4) ? below(f, 600) : rnd(f) & 0x3ffff};

		if (sane && i < 3)
			type = 2 + i;

		w[3] = type << 10 | (rnd(f) & 0x10277) | (below(f, 9) != 0);
		if (type == 2) {
			bus_dma_read(f->r.b.bus, packet(f), w, 8);
			w[2] = 8;
			w[3] |= 0x40;
		} else if (type == 6) {
			w[0] = RING + 0x200 * below(f, 32);
		}
		put(f, at + 16 * i, w, 16);
	}
}

/* Mostly somebody who is there, just reset. */
static void xhci_someone(struct fuzz *f, uint32_t *w)
{
	struct usb_port *p = own(f)->dev[below(f, NDEVICES)]->port;

	if (!p || p->depth || !below(f, 8))
		return;
	w[0] = 0;
	w[1] |= 3;
	w[8] = 0;
	w[9] = (p->index + 1) << 16;
	mm_write(f, 0x440 + 16 * p->index, 0xfe0210);
}

static void xhci_contexts(struct fuzz *f)
{
	uint32_t w[33 * 8];

	for (unsigned i = 0; i < G_N_ELEMENTS(w); i++)
		w[i] = below(f, 4) ? 0 : rnd(f);
	w[0] = below(f, 4) ? 0 : rnd(f);
	w[1] = below(f, 2) ? 3 : 0x1d;
	w[8] = below(f, 4) ? 0 : below(f, 9);
	w[9] = (1 + below(f, XHCI_PORTS)) << 16;
	for (unsigned n = 2; n < 33; n++) {
		w[8 * n + 1] = below(f, 8) << 3 | (below(f, 9) ? 64u : rnd(f))
							  << 16;
		w[8 * n + 2] = (RING + 0x200 * below(f, 32)) | 1;
		w[8 * n + 3] = 0;
	}
	if (below(f, 4))
		w[17] = 4 << 3 | 64 << 16;
	xhci_someone(f, w);
	put(f, INPUT, w, sizeof(w));
}

static void xhci_command(struct fuzz *f)
{
	static const uint8_t types[] = {
		9, 10, 11, 11, 12, 12, 13, 14, 15, 16, 16, 17, 23};

	static const uint8_t first[] = {10, 9, 11, 12};
	bool anew = !below(f, 4); /* slot 1 */

	if (anew)
		xhci_contexts(f);
	for (unsigned i = 0; i < 16; i++) {
		unsigned type = anew && i < 4 ? first[i]
					      : types[below(f, sizeof(types))];
		uint32_t w[4] = {INPUT, 0, 0,
			type << 10 | (1 + below(f, XHCI_FUZZ_SLOTS)) << 24 |
				below(f, 6) << 16 | (below(f, 8) ? 0 : 0x200) |
				(below(f, 12) != 0)};

		if (anew && i < 4)
			w[3] = type << 10 | 1 << 24 | 1;
		if (anew && i == 4)
			break;
		if (type == 16)
			w[0] = (RING + 0x200 * below(f, 32)) | below(f, 2);
		put(f, RING - 0x1000 + 16 * i, w, 16);
	}
	mm_write(f, 0x58, 2); /* stop: only then can it be moved */
	mm_write(f, 0x58, (RING - 0x1000) | 1);
	mm_write(f, 0x5c, 0);
	mm_write(f, 0x2000, 0);
}

static void xhci_awake(struct fuzz *f)
{
	uint32_t erst[4] = {EVENTS, 0, 64};

	wake_pci(f, own(f)->devfn, 0x10, FUZZ_MMIO);
	for (unsigned n = 0; n <= 64; n++) {
		uint64_t at = CONTEXTS + 0x400 * n;

		put(f, LIST + 8 * n, &at, 8);
	}
	put(f, EVENTS - 0x100, erst, 16);
	mm_write(f, 0x70, LIST);
	mm_write(f, 0x78, XHCI_FUZZ_SLOTS);
	mm_write(f, 0x1028, 1);
	mm_write(f, 0x1030, EVENTS - 0x100);
	mm_write(f, 0x1038, EVENTS);
	mm_write(f, 0x1020, 2);
	mm_write(f, 0x40, 5);
	for (unsigned n = 0; n < XHCI_PORTS; n++)
		mm_write(f, 0x440 + 16 * n, 0x210);
}

static void xhci_open(struct fuzz *f)
{
	f->own = g_new0(struct usb_fuzz, 1);
	*own(f) = (struct usb_fuzz){xhci_port, XHCI_PORTS, SLOT << 3};
	f->r.b.host.pci_slot = SLOT;
	f->dev = board_add(&f->r.b, "xhci");
	devices(f);
}

static void xhci_register(struct fuzz *f)
{
	static const uint16_t some[] = {0x40, 0x44, 0x58, 0x5c, 0x70, 0x78,
		0x1020, 0x1024, 0x1028, 0x1030, 0x1038, 0x103c, 0x1048, 0x1050};

	mm_write(f,
		below(f, 2) ? some[below(f, G_N_ELEMENTS(some))]
			    : 4 * below(f, 0x900),
		rnd(f));
}

static void xhci_round(struct fuzz *f)
{
	switch (below(f, 14)) {
	case 0:
		if (!below(f, 20))
			xhci_register(f);
		break;
	case 1:
		bus_mmio_read(f->r.b.bus, NULL, FUZZ_MMIO + below(f, 0x3ff0),
			1u << below(f, 4));
		break;
	case 2:
		plug_round(f);
		card_round(f);
		break;
	case 3: packets(f); break;
	case 4: xhci_contexts(f); break;
	case 5:
	case 6: xhci_command(f); break;
	case 7:
		mm_write(f, 0x440 + 16 * below(f, XHCI_PORTS),
			below(f, 2) ? 0xfe0210 : rnd(f));
		break;
	case 8: /* as if all events were taken */
		mm_write(f, 0x1038, (EVENTS + 16 * below(f, 64)) | 8);
		break;
	case 9:
		if (!below(f, 40)) {
			mm_write(f, 0x40, 2);
			xhci_awake(f);
		}
		break;
	default:
		xhci_ring(f, RING + 0x200 * below(f, 32));
		mm_write(f, 0x2000 + 4 * (1 + below(f, XHCI_FUZZ_SLOTS)),
			1 + below(f, 5));
		bus_timers_run(f->r.b.bus);
	}
}

/* ---- all ---- */

static const struct kind kinds[] = {
	{"uhci", uhci_open, uhci_awake, uhci_round},
	{"ehci", ehci_open, ehci_awake, ehci_round},
	{"xhci", xhci_open, xhci_awake, xhci_round},
	{NULL},
};

FUZZ_MAIN(kinds)
