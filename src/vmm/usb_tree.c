/*
 * usb_tree.c - which USB device hangs where, for machines that are saved.
 *
 * What is plugged in while a machine runs goes to the ports that are free then,
 * on hubs that came because there were too few.  When it goes on from a state
 * its devices must be where they were: the description has a list, conf.plugs,
 * of each device and the way to its port, and while the machine is made that
 * list decides instead of board_usb.c.
 */
#include <string.h>

#include "conf/error.h"
#include "dev/usb/hub.h"
#include "dev/usb/usb.h"
#include "vmm/priv.h"

/* ---- writing it down ---- */

/* What is plugged in there, whichever controller has it. */
static struct usb_device *device_at(const struct usb_port *p)
{
	return p->device || !p->companion ? p->device : p->companion->device;
}

static void note_port(struct machine *m, struct usb_port *p, const char *at)
{
	struct usb_device *d = device_at(p);
	struct usb_port *next;

	if (!d)
		return;
	g_ptr_array_add(m->conf->plugs, conf_plug_new(d->dev.id, at));
	for (unsigned n = 1; d->type->port && (next = d->type->port(d, n));
		n++) {
		g_autofree char *there = g_strdup_printf("%s.%u", at, n);

		note_port(m, next, there);
	}
}

void usb_tree_note(struct machine *m)
{
	struct board *b = &m->board;

	bus_lock(m->bus);
	g_ptr_array_set_size(m->conf->plugs, 0);
	for (unsigned i = 0; i < b->nusb; i++) {
		struct usb_port *p;

		for (unsigned n = 0; (p = b->usb[i].port(b->usb[i].dev, n));
			n++) {
			g_autofree char *at =
				g_strdup_printf("%u.%u", i, n + 1);

			note_port(m, p, at);
		}
	}
	bus_unlock(m->bus);
	for (unsigned i = 0; i < b->ndrives; i++) {
		g_free(b->drive[i].conf->name);
		b->drive[i].conf->name = g_strdup(b->drive[i].name);
	}
}

/* ---- following it ---- */

bool usb_tree_rules(const struct machine *m)
{
	return m->conf->plugs->len > 0;
}

static const struct conf_plug *find(const struct machine *m, const char *id)
{
	for (guint i = 0; i < m->conf->plugs->len; i++) {
		const struct conf_plug *p =
			g_ptr_array_index(m->conf->plugs, i);

		if (!strcmp(p->id, id))
			return p;
	}
	return NULL;
}

bool usb_tree_has(const struct machine *m, const char *id)
{
	return find(m, id) != NULL;
}

/* A number and what is behind it; false: there is none. */
static bool number(const char **at, unsigned *n)
{
	char *end;

	if (!g_ascii_isdigit(**at))
		return false;
	*n = (unsigned)MIN(g_ascii_strtoull(*at, &end, 10), 999);
	*at = *end == '.' ? end + 1 : end;
	return true;
}

static struct usb_port *port_at(const struct board *b, const char *at)
{
	struct usb_port *p;
	unsigned i, n;

	if (!number(&at, &i) || !number(&at, &n) || i >= b->nusb || !n)
		return NULL;
	p = b->usb[i].port(b->usb[i].dev, n - 1);
	while (p && *at) {
		struct usb_device *d = device_at(p);

		if (!number(&at, &n) || !n || !d || !d->type->port)
			return NULL;
		p = d->type->port(d, n);
	}
	return p && usb_port_free(p) ? p : NULL;
}

struct usb_port *usb_tree_port(const struct machine *m, const char *id)
{
	const struct conf_plug *p = find(m, id);

	return p ? port_at(&m->board, p->at) : NULL;
}

bool usb_tree_add_hubs(
	struct machine *m, const struct dev_host *host, GError **err)
{
	struct board *b = &m->board;

	for (guint i = 0; i < m->conf->plugs->len; i++) {
		const struct conf_plug *p =
			g_ptr_array_index(m->conf->plugs, i);

		if (!g_str_has_prefix(p->id, "hub"))
			continue;
		if (!board_plug_usb(m, &usb_hub_class, p->id, host, -1, err))
			return false;
		b->nhubs = (unsigned)MAX(
			b->nhubs, g_ascii_strtoull(p->id + 3, NULL, 10) + 1);
	}
	return true;
}

void usb_tree_end(struct machine *m)
{
	g_ptr_array_set_size(m->conf->plugs, 0);
}
