/*
 * board_drives.c - disks and network cards: back ends, devices, boot paths.
 *
 * Boot paths are written as SeaBIOS matches them (src/boot.c there):
 * /pci@i0cf8/<anything>@<slot>/...
 */
#include <stdlib.h>
#include <string.h>

#include "block/blk.h"
#include "conf/error.h"
#include "net/net.h"
#include "vmm/priv.h"

#define ROM_MAX (1u << 20)

static struct pci_func *func_of(struct machine *m, const struct dev *d)
{
	for (unsigned devfn = 0; devfn < 256; devfn++) {
		struct pci_func *f = pci_bus_func(m->board.pci, devfn);

		if (f && f->dev == d)
			return f;
	}
	return NULL;
}

static int take(struct conf_file *f)
{
	int fd = f->fd;

	f->fd = -1;
	return fd;
}

/* ---- disks ---- */

struct backing_request {
	struct machine *m;
	unsigned drive;
};

static int open_backing(void *opaque, const char *name, GError **err)
{
	struct backing_request *r = opaque;
	struct machine *m = r->m;

	if (m->host.open_backing)
		return m->host.open_backing(
			m->host.opaque, r->drive, name, err);
	fw_error(err, "nobody can open it here", NULL,
		"the image has a backing file (%s)", name);
	return -1;
}

static struct blk *open_image(
	struct machine *m, unsigned n, struct conf_drive *d, GError **err)
{
	struct backing_request r = {m, n};
	bool readonly = d->readonly || d->snapshot;
	struct blk *b = blk_raw_open(take(&d->file), readonly, err);

	if (b && d->format == CONF_FORMAT_QCOW2)
		b = blk_qcow2_open(b, readonly, open_backing, &r, err);
	if (b && d->snapshot)
		b = blk_cow_open(b, take(&d->cow), err);
	if (!b)
		g_prefix_error(err, "disk %s: ", d->file.path);
	return b;
}

static bool add_drive(
	struct machine *m, unsigned n, struct conf_drive *d, GError **err)
{
	g_autofree char *id = g_strdup_printf("disk%u", n);
	struct dev_host h = {.bus = m->bus,
		.gsi = m->board.gsi,
		.pci = m->board.pci,
		.pci_slot = -1,
		.readonly = d->readonly,
		.serial = d->serial};
	struct dev *dev;

	if (d->bus != CONF_BUS_VIRTIO || d->media != CONF_MEDIA_DISK) {
		conf_error_set(err, CONF_ERROR_UNSUPPORTED,
			"only virtio disks are built yet", "use bus=virtio",
			"cannot attach %s", d->file.path ? d->file.path : id);
		return false;
	}
	h.blk = open_image(m, n, d, err);
	if (!h.blk)
		return false;
	g_ptr_array_add(m->board.blks, h.blk);
	dev = board_add(m, "virtio-blk", id, &h, err);
	return dev != NULL;
}

bool board_add_drives(struct machine *m, GError **err)
{
	GPtrArray *list = m->conf->drives;

	for (unsigned i = 0; i < list->len; i++)
		if (!add_drive(m, i, g_ptr_array_index(list, i), err))
			return false;
	return true;
}

/* ---- network cards ---- */

static void lock(void *opaque)
{
	bus_lock(opaque);
}

static void unlock(void *opaque)
{
	bus_unlock(opaque);
}

static struct net_port *open_nat(
	struct machine *m, struct conf_nic *nic, GError **err)
{
	unsigned n = nic->forwards->len;
	g_autofree struct net_forward *f = g_new0(struct net_forward, n + 1);
	struct net_user_conf conf = {
		.forwards = f, .nforwards = n, .hostname = m->conf->name};

	for (unsigned i = 0; i < n; i++) {
		struct conf_forward *from =
			&g_array_index(nic->forwards, struct conf_forward, i);

		f[i] = (struct net_forward){.udp = from->udp,
			.host_addr = from->host_addr,
			.host_port = from->host_port,
			.guest_port = from->guest_port};
	}
	return net_user_new(m->host.loop, &conf, lock, unlock, m->bus, err);
}

/*
 * One ROM serves several devices; firmware runs it only if its PCI data
 * structure (PCI Firmware 3.0, 5.1.2) names this one.  Byte 6 of the header
 * is where iPXE balances its checksum.
 */
static void adapt_rom(uint8_t *rom, uint32_t size, const struct pci_func *f)
{
	unsigned at = rom[0x18] | rom[0x19] << 8;

	if (at + 8 > size || memcmp(rom + at, "PCIR", 4) != 0)
		return;
	for (unsigned i = 0; i < 4; i++) {
		rom[6] = (uint8_t)(rom[6] + rom[at + 4 + i] - f->config[i]);
		rom[at + 4 + i] = f->config[i];
	}
}

/* One that cannot be read only means that there is none. */
uint8_t *board_add_rom(struct machine *m, struct conf_file *file,
	struct dev *dev, uint32_t *bytes)
{
	struct pci_func *f = func_of(m, dev);
	struct fw_image image = {.fd = -1};
	g_autoptr(GError) err = NULL;
	uint32_t size = BUS_PAGE_SIZE;
	void *rom = NULL;

	if (!f || file->fd < 0)
		return NULL;
	if (!fw_image_open(&image, take(file), file->path, ROM_MAX, &err)) {
		machine_note(m, "%s", err->message);
	} else if (image.size) {
		while (size < image.size)
			size *= 2;
		if (!posix_memalign(&rom, BUS_PAGE_SIZE, size)) {
			memset(rom, 0, size);
			g_ptr_array_add(m->board.roms, rom);
		}
		if (rom && fw_image_read(&image, 0, rom, image.size)) {
			adapt_rom(rom, size, f);
			bus_lock(m->bus);
			pci_set_rom(f, rom, size);
			bus_unlock(m->bus);
		}
	}
	fw_image_close(&image);
	*bytes = size;
	return rom;
}

static bool add_nic(
	struct machine *m, unsigned n, struct conf_nic *nic, GError **err)
{
	g_autofree char *id = g_strdup_printf("nic%u", n);
	struct dev_host h = {.bus = m->bus,
		.gsi = m->board.gsi,
		.pci = m->board.pci,
		.pci_slot = -1,
		/* locally administered, one after the other */
		.mac = {0x52, 0x56, 0x4d, 0x00, 0x00, (uint8_t)(n + 1)}};
	struct dev *dev;
	uint32_t rom_bytes;

	if (nic->model != CONF_NIC_VIRTIO) {
		conf_error_set(err, CONF_ERROR_UNSUPPORTED,
			"only virtio network cards are built yet",
			"use model=virtio", "cannot make the network card %s",
			id);
		return false;
	}
	if (nic->has_mac)
		memcpy(h.mac, nic->mac, 6);
	h.net = open_nat(m, nic, err);
	if (!h.net)
		return false;
	g_ptr_array_add(m->board.nets, h.net);
	dev = board_add(m, "virtio-net", id, &h, err);
	if (dev)
		board_add_rom(m, &nic->rom, dev, &rom_bytes);
	return dev != NULL;
}

bool board_add_nics(struct machine *m, GError **err)
{
	GPtrArray *list = m->conf->nics;

	for (unsigned i = 0; i < list->len; i++)
		if (!add_nic(m, i, g_ptr_array_index(list, i), err))
			return false;
	return true;
}

/* ---- boot order ---- */

static void add_paths(struct machine *m, const char *cls, const char *format)
{
	struct board *b = &m->board;

	for (unsigned i = 0; i < b->ndevs; i++) {
		struct pci_func *f;

		if (strcmp(b->dev[i]->cls->name, cls) != 0)
			continue;
		f = func_of(m, b->dev[i]);
		if (f)
			g_ptr_array_add(b->boot_paths,
				g_strdup_printf("/pci@i0cf8/%s@%x%s", format,
					f->devfn >> 3,
					cls[7] == 'b' ? "/disk@0,0"
						      : "/ethernet-phy@0"));
	}
}

void board_boot_order(struct machine *m)
{
	static const enum conf_boot usual[] = {CONF_BOOT_DISK, CONF_BOOT_NET};
	const struct conf_machine *c = m->conf;
	unsigned n = c->nboot ? c->nboot : G_N_ELEMENTS(usual);

	for (unsigned i = 0; i < n; i++) {
		switch (c->nboot ? c->boot[i] : usual[i]) {
		case CONF_BOOT_DISK: add_paths(m, "virtio-blk", "scsi"); break;
		case CONF_BOOT_NET:
			add_paths(m, "virtio-net", "ethernet");
			break;
		default: break; /* no floppy or CD-ROM drive on the board */
		}
	}
}
