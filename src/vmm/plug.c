/*
 * plug.c - USB devices and cards that come and go while the machine runs.
 *
 * Pulled out, a USB device is gone at once, as it is when a hand does it:
 * guests that have written to a disk shall be told before.  A virtio disk in a
 * slot of a PCI Express root port is gone when the guest has let go of it.
 */
#include <string.h>

#include "conf/error.h"
#include "dev/pci/root_port.h"
#include "dev/usb/hid.h"
#include "dev/usb/storage.h"
#include "vmm/priv.h"

/* ---- keyboard, mouse, tablet ---- */

struct plug_kind {
	const char *name;
	const struct dev_class *cls;
	struct dev **at;
};

#define PLUG_KINDS 3

static void plug_kinds(struct machine *m, struct plug_kind k[PLUG_KINDS])
{
	struct board *b = &m->board;

	k[0] = (struct plug_kind){"keyboard", &usb_kbd_class, &b->usb_kbd};
	k[1] = (struct plug_kind){"mouse", &usb_mouse_class, &b->usb_mouse};
	k[2] = (struct plug_kind){"tablet", &usb_tablet_class, &b->usb_tablet};
}

/* By name, or NULL. */
static struct plug_kind *plug_kind(
	struct plug_kind k[PLUG_KINDS], const char *name)
{
	for (unsigned i = 0; i < PLUG_KINDS; i++)
		if (!g_strcmp0(k[i].name, name))
			return &k[i];
	return NULL;
}

bool plug_input(
	struct machine *m, const char *what, int controller, GError **err)
{
	struct dev_host h = {.bus = m->bus, .gsi = m->board.gsi};
	struct plug_kind kinds[PLUG_KINDS], *k;
	g_autofree char *id = g_strdup_printf(BOARD_USB_LATER "%s", what);
	struct dev *d;

	plug_kinds(m, kinds);
	k = plug_kind(kinds, what);
	if (!k || *k->at) {
		conf_error_set(err, k ? CONF_ERROR_CONFLICT : CONF_ERROR_USAGE,
			NULL, k ? NULL : "there is keyboard, mouse and tablet",
			k ? "there is a USB %s already"
			  : "no USB device is called %s",
			what ? what : "");
		return false;
	}
	d = board_plug_usb(m, k->cls, id, &h, controller, err);
	bus_lock(m->bus);
	*k->at = d;
	bus_unlock(m->bus);
	return d != NULL;
}

/* ---- drives ---- */

static char *free_name(const struct board *b, const char *kind)
{
	for (unsigned n = 0;; n++) {
		g_autofree char *name = g_strdup_printf("%s%u", kind, n);
		bool used = false;

		for (unsigned i = 0; i < b->ndrives; i++)
			used |= !strcmp(b->drive[i].name, name);
		if (!used)
			return g_steal_pointer(&name);
	}
}

/* ---- cards in slots ---- */

static int free_port(const struct machine *m)
{
	for (int i = 0; i < CONF_PORT_SLOTS; i++)
		if (m->board.port[i] && root_port_free(m->board.port[i]))
			return i;
	return -1;
}

static bool plug_card(struct machine *m, struct board_drive *d, GError **err)
{
	bool ok = false;

	d->conf->slot = free_port(m);
	if (d->conf->slot < 0)
		conf_error_set(err, CONF_ERROR_UNSUPPORTED,
			m->board.port[0] ? "no slot is free"
					 : "only q35 has slots for them",
			m->board.port[0] ? "detach one, or write bus=usb"
					 : "write bus=usb, or start it with "
					   "--board q35",
			"cannot plug in %s", d->name);
	else
		ok = board_add_port_card(m, d, "virtio-blk", err);
	if (ok) {
		bus_lock(m->bus);
		root_port_changed(m->board.port[d->conf->slot]);
		bus_unlock(m->bus);
	}
	return ok;
}

static bool is_card(const struct board_drive *d)
{
	return d->conf->bus == CONF_BUS_VIRTIO && d->conf->slot >= 0;
}

static bool plug_usb_drive(struct machine *m, struct board_drive *d,
	const struct dev_host *h, GError **err)
{
	d->dev = board_plug_usb(m,
		d->conf->media == CONF_MEDIA_CDROM ? &usb_cd_class
						   : &usb_disk_class,
		d->name, h, d->conf->slot, err);
	return d->dev != NULL;
}

char *plug_drive(struct machine *m, struct conf_drive *conf, GError **err)
{
	struct board *b = &m->board;
	struct board_drive *d = &b->drive[b->ndrives];
	bool cd = conf->media == CONF_MEDIA_CDROM;
	struct dev_host h = {.bus = m->bus,
		.gsi = b->gsi,
		.readonly = conf->readonly,
		.serial = conf->serial};

	if (b->ndrives == CONF_MAX_DRIVES) {
		fw_error(err, "a machine has at most 32 drives", NULL,
			"cannot plug in %s", conf->file.path);
		conf_drive_free(conf);
		return NULL;
	}
	*d = (struct board_drive){.conf = conf};
	d->blk = h.blk = media_open(m, -1, conf, &d->image, err);
	d->name = free_name(b, cd ? "cd" : "disk");
	if (d->blk && (conf->bus == CONF_BUS_VIRTIO
				      ? plug_card(m, d, err)
				      : plug_usb_drive(m, d, &h, err))) {
		g_ptr_array_add(m->conf->drives, conf);
		b->ndrives++;
		return d->name;
	}
	blk_close(d->blk);
	g_free(d->name);
	conf_drive_free(conf);
	return NULL;
}

static bool unplug_drive(struct machine *m, unsigned n)
{
	struct board *b = &m->board;
	struct board_drive d = b->drive[n];

	bus_lock(m->bus);
	board_remove(m, d.dev);
	bus_unlock(m->bus);
	memmove(b->drive + n, b->drive + n + 1,
		(b->ndrives - n - 1) * sizeof(d));
	b->ndrives--;
	blk_close(d.blk);
	g_free(d.name);
	g_ptr_array_remove(m->conf->drives, d.conf);
	return true;
}

void plug_take_cards(struct machine *m)
{
	struct board *b = &m->board;

	for (unsigned i = b->ndrives; i--;) {
		struct dev *port = is_card(&b->drive[i])
					   ? b->port[b->drive[i].conf->slot]
					   : NULL;

		if (!port || !root_port_is_off(port))
			continue;
		bus_lock(m->bus);
		if (b->drive[i].dev->cls->drain)
			b->drive[i].dev->cls->drain(b->drive[i].dev);
		bus_unlock(m->bus);
		unplug_drive(m, i);
		bus_lock(m->bus);
		root_port_changed(port);
		bus_unlock(m->bus);
	}
}

/* It goes when the guest has switched the slot off. */
static bool ask_for_card(struct machine *m, unsigned n)
{
	bus_lock(m->bus);
	root_port_ask(m->board.port[m->board.drive[n].conf->slot]);
	bus_unlock(m->bus);
	return true;
}

static bool unplug_input(struct machine *m, const struct plug_kind *k)
{
	struct dev *d = *k->at;

	bus_lock(m->bus);
	*k->at = NULL;
	board_remove(m, d);
	bus_unlock(m->bus);
	return true;
}

bool plug_out(struct machine *m, const char *name, GError **err)
{
	struct plug_kind kinds[PLUG_KINDS], *k;
	struct board *b = &m->board;

	plug_kinds(m, kinds);
	k = plug_kind(kinds, name);
	if (k && *k->at)
		return unplug_input(m, k);
	for (unsigned i = 0; i < b->ndrives; i++) {
		if (g_strcmp0(b->drive[i].name, name) != 0)
			continue;
		if (b->drive[i].conf->bus == CONF_BUS_USB)
			return unplug_drive(m, i);
		if (is_card(&b->drive[i]))
			return ask_for_card(m, i);
		conf_error_set(err, CONF_ERROR_UNSUPPORTED,
			"only what hangs on USB, or was plugged into a slot, "
			"can be pulled out",
			"attach it with vmeste attach next time",
			"%s is built in", name);
		return false;
	}
	conf_error_set(err, CONF_ERROR_NOT_FOUND,
		"only USB devices and disks in slots come and go",
		"drives are called disk0, disk1, cd0, ...",
		"there is no USB device or disk %s", name ? name : "");
	return false;
}
