/*
 * board_usb.c - USB controllers and what is plugged in.
 *
 * A device goes to the free port where it is fastest.  The last free one of a
 * controller gets a hub first, so that there is always room for more.
 */
#include <string.h>

#include "dev/usb/ccid.h"
#include "dev/usb/ehci.h"
#include "dev/usb/hid.h"
#include "dev/usb/hub.h"
#include "dev/usb/uhci.h"
#include "dev/usb/xhci.h"
#include "vmm/priv.h"

#define ISA_SLOT 1 /* of the PIIX3, whose function 2 is a UHCI */

void board_remove(struct machine *m, struct dev *dev)
{
	struct board *b = &m->board;
	unsigned n = 0;

	for (unsigned i = 0; i < b->ndevs; i++)
		if (b->dev[i] != dev)
			b->dev[n++] = b->dev[i];
	b->ndevs = n;
	dev_free(dev);
}

/* ---- controllers ---- */

static struct dev_host usb_host(struct machine *m)
{
	return (struct dev_host){.bus = m->bus,
		.gsi = m->board.gsi,
		.pci = m->board.pci,
		.pci_slot = -1};
}

/* The first one is the PIIX3's own. */
static bool add_uhci(
	struct machine *m, struct board_usb *u, const char *id, GError **err)
{
	struct dev_host h = usb_host(m);
	bool own = m->conf->board == CONF_BOARD_PC &&
		   !pci_bus_func(m->board.pci, ISA_SLOT << 3 | 2);

	u->port = uhci_port;
	if (own) {
		h.pci_slot = ISA_SLOT;
		u->dev = board_add_class(m, &uhci_class, id, &h, err);
	} else {
		h.index = UHCI_ALONE;
		u->dev = board_add(m, "uhci", id, &h, err);
	}
	return u->dev != NULL;
}

/* Four functions of one slot. */
static bool add_ehci(
	struct machine *m, struct board_usb *u, const char *id, GError **err)
{
	struct dev *companion[EHCI_COMPANIONS];
	struct dev_host h = usb_host(m);

	h.pci_slot = m->board.next_slot++;
	for (unsigned i = 0; i < EHCI_COMPANIONS; i++) {
		g_autofree char *name =
			g_strdup_printf("%s-companion%u", id, i);

		h.index = UHCI_ICH9 + i;
		companion[i] = board_add_class(m, &uhci_class, name, &h, err);
		if (!companion[i])
			return false;
	}
	h.index = 0;
	u->port = ehci_port;
	u->dev = board_add_class(m, &ehci_class, id, &h, err);
	for (unsigned i = 0; u->dev && i < EHCI_PORTS; i++)
		ehci_set_companion(
			u->dev, i, uhci_port(companion[i / 2], i % 2));
	return u->dev != NULL;
}

bool board_add_usb(struct machine *m, GError **err)
{
	struct dev_host h = usb_host(m);
	struct board *b = &m->board;

	for (unsigned i = 0; i < m->conf->nusb; i++) {
		g_autofree char *id = g_strdup_printf("usb%u", i);
		struct board_usb *u = &b->usb[i];
		bool ok = false;

		switch (m->conf->usb[i]) {
		case CONF_USB_UHCI: ok = add_uhci(m, u, id, err); break;
		case CONF_USB_EHCI: ok = add_ehci(m, u, id, err); break;
		case CONF_USB_XHCI:
			u->port = xhci_port;
			u->dev = board_add(m, "xhci", id, &h, err);
			ok = u->dev != NULL;
			break;
		}
		if (!ok)
			return false;
		b->nusb++;
	}
	return usb_tree_add_hubs(m, &h, err);
}

/* ---- ports ---- */

struct search {
	unsigned speeds; /* of the device */
	struct usb_port *best;
	unsigned speed; /* there */
};

static unsigned best_speed(unsigned speeds)
{
	return speeds ? (unsigned)g_bit_nth_msf(speeds, -1) + 1 : 0;
}

/* p and, if there is a hub, its ports; the first among equals. */
static void search_port(struct search *s, struct usb_port *p)
{
	struct usb_device *d = p->device;
	struct usb_port *next;

	if (!d && p->companion)
		d = p->companion->device;
	if (!d) {
		unsigned speed = best_speed(p->speeds & s->speeds);

		if (speed > s->speed && p->depth < USB_MAX_DEPTH) {
			s->best = p;
			s->speed = speed;
		}
		return;
	}
	for (unsigned n = 1; d->type->port && (next = d->type->port(d, n)); n++)
		search_port(s, next);
}

static void search_usb(struct search *s, const struct board_usb *u)
{
	struct usb_port *p;

	for (unsigned n = 0; (p = u->port(u->dev, n)); n++)
		search_port(s, p);
}

static struct usb_port *find_port(
	const struct board *b, const struct usb_device *d, int n)
{
	struct search s = {.speeds = d->type->speeds};

	for (unsigned i = 0; i < b->nusb; i++)
		if (n < 0 || (unsigned)n == i)
			search_usb(&s, &b->usb[i]);
	return s.best;
}

/* It is the controller's own, and no other like it is free. */
static bool is_last(const struct board *b, const struct usb_port *p)
{
	unsigned nfree = 0, own = 0;

	for (unsigned i = 0; i < b->nusb && !own; i++) {
		struct usb_port *q;

		nfree = 0;
		for (unsigned n = 0; (q = b->usb[i].port(b->usb[i].dev, n));
			n++) {
			own += q == p;
			nfree += q->speeds == p->speeds && usb_port_free(q);
		}
	}
	return own && nfree == 1;
}

static void add_hub(struct machine *m, struct usb_port *p)
{
	struct dev_host h = usb_host(m);
	struct board *b = &m->board;
	g_autofree char *id = g_strdup_printf("hub%u", b->nhubs);
	struct dev *hub = board_add_class(m, &usb_hub_class, id, &h, NULL);

	if (hub && usb_attach(p, (struct usb_device *)hub) == 0)
		b->nhubs++;
	else
		board_remove(m, hub);
}

/* The port for it: where it was, or where it is best. */
static struct usb_port *choose_port(
	struct machine *m, const struct usb_device *d, int n)
{
	struct board *b = &m->board;
	struct usb_port *p;

	if (usb_tree_rules(m))
		return usb_tree_port(m, d->dev.id);
	p = find_port(b, d, n);
	if (p && d->dev.cls != &usb_hub_class && is_last(b, p)) {
		add_hub(m, p);
		p = find_port(b, d, n);
	}
	return p;
}

struct dev *board_plug_usb(struct machine *m, const struct dev_class *cls,
	const char *id, const struct dev_host *host, int n, GError **err)
{
	struct board *b = &m->board;
	struct usb_device *d;
	struct usb_port *p;
	struct dev *dev;
	int rc = -ENOTSUP;

	if (b->ndevs + 2 > BOARD_MAX_DEVICES) { /* it and a hub */
		fw_error(err, "there are too many devices", NULL,
			"cannot plug in %s", id);
		return NULL;
	}
	dev = board_add_class(m, cls, id, host, err);
	if (!dev)
		return NULL;
	d = (struct usb_device *)dev;
	bus_lock(m->bus);
	p = choose_port(m, d, n);
	if (p)
		rc = usb_attach(p, d);
	if (rc)
		board_remove(m, dev);
	bus_unlock(m->bus);
	if (!rc)
		return dev;
	if (usb_tree_rules(m))
		fw_error(err, "the saved machine does not say to which port",
			NULL, "cannot plug in %s", id);
	else
		fw_error(err,
			b->nusb ? "no USB port is free"
				: "there is no USB controller",
			b->nusb ? NULL : "start the machine with --usb xhci",
			"cannot plug in %s", id);
	return NULL;
}

/* ---- keyboard and pointer ---- */

bool board_add_usb_input(struct machine *m, GError **err)
{
	const struct conf_machine *c = m->conf;
	struct dev_host h = usb_host(m);
	struct board *b = &m->board;
	const struct {
		bool wanted;
		const struct dev_class *cls;
		const char *id;
		struct dev **at;
	} list[] = {
		{c->keyboard == CONF_KEYBOARD_USB, &usb_kbd_class, "keyboard",
			&b->usb_kbd},
		{c->pointer == CONF_POINTER_USB_MOUSE, &usb_mouse_class,
			"mouse", &b->usb_mouse},
		{c->pointer == CONF_POINTER_USB_TABLET, &usb_tablet_class,
			"tablet", &b->usb_tablet},
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(list); i++) {
		g_autofree char *later =
			g_strdup_printf(BOARD_USB_LATER "%s", list[i].id);
		bool came = usb_tree_has(m, later);

		if (usb_tree_rules(m) ? !came && !usb_tree_has(m, list[i].id)
				      : !list[i].wanted)
			continue;
		*list[i].at = board_plug_usb(
			m, list[i].cls, came ? later : list[i].id, &h, -1, err);
		if (!*list[i].at)
			return false;
	}
	h.chr = board_add_console(m, &m->conf->smartcard);
	return !h.chr ||
	       board_plug_usb(m, &usb_ccid_class, "smartcard", &h, -1, err);
}

/* ---- boot paths ---- */

/* /hub@3/...: from the controller's port to p. */
static bool path_to(struct usb_port *p, unsigned number, const struct dev *dev,
	GString *out)
{
	struct usb_device *d = p->device;
	gsize len = out->len;
	struct usb_port *next;

	if (!d && p->companion)
		d = p->companion->device;
	if (&d->dev == dev) {
		g_string_append_printf(
			out, "/storage@%x/channel@0/disk@0,0", number);
		return true;
	}
	if (!d || !d->type->port)
		return false;
	g_string_append_printf(out, "/hub@%x", number);
	for (unsigned n = 1; (next = d->type->port(d, n)); n++)
		if (path_to(next, n, dev, out))
			return true;
	g_string_truncate(out, len);
	return false;
}

/* Drives can do high speed, so of EHCI's two ways it is never the companion. */
static struct pci_func *func_of_port(
	struct machine *m, const struct usb_port *p)
{
	for (unsigned devfn = 0; devfn < 256; devfn++) {
		struct pci_func *f = pci_bus_func(m->board.pci, devfn);

		if (f && f->dev == p->owner)
			return f;
	}
	return NULL;
}

/* An xHC has ports of two kinds: a BIOS numbers each kind from 1, UEFI all. */
static unsigned root_number(
	struct machine *m, const struct usb_port *p, unsigned n)
{
	return m->conf->firmware == CONF_FIRMWARE_UEFI ? n + 1 : p->number;
}

char *board_usb_path(struct machine *m, const struct dev *dev)
{
	struct board *b = &m->board;

	for (unsigned i = 0; i < b->nusb; i++) {
		struct usb_port *p;

		for (unsigned n = 0; (p = b->usb[i].port(b->usb[i].dev, n));
			n++) {
			struct pci_func *f = func_of_port(m, p);
			GString *s = g_string_new(NULL);

			g_string_printf(
				s, "/pci@i0cf8/usb@%x", f ? f->devfn >> 3 : 0);
			if (f && f->devfn & 7)
				g_string_append_printf(s, ",%x", f->devfn & 7);
			if (path_to(p, root_number(m, p, n), dev, s))
				return g_string_free(s, FALSE);
			g_string_free(s, TRUE);
		}
	}
	return NULL;
}
