/*
 * board_drives.c - disks and network cards: back ends, devices, boot paths.
 *
 * Boot paths are written as SeaBIOS matches them (src/boot.c there):
 * /pci@i0cf8/<anything>@<slot>/...
 */
#include <stdlib.h>
#include <string.h>

#include "block/meter.h"
#include "conf/error.h"
#include "dev/pci/root_port.h"
#include "dev/storage/ahci.h"
#include "dev/storage/fdc.h"
#include "dev/storage/ide.h"
#include "dev/storage/lsi.h"
#include "dev/storage/scsi.h"
#include "dev/usb/storage.h"
#include "dev/virtio/virtio_scsi.h"
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

static bool attach_failed(const struct board_drive *d, int e, GError **err)
{
	const char *why = e == -EBUSY	 ? "another drive is there"
			  : e == -EINVAL ? "the image is empty"
					 : g_strerror(-e);

	return fw_error(err, why, NULL, "cannot attach the drive %s", d->name);
}

static struct dev_host card_host(struct machine *m, const struct board_drive *d)
{
	return (struct dev_host){.bus = m->bus,
		.gsi = m->board.gsi,
		.pci = m->board.pci,
		.pci_slot = -1,
		.readonly = d->conf->readonly,
		.serial = d->conf->serial,
		.blk = d->blk};
}

bool board_add_port_card(
	struct machine *m, struct board_drive *d, const char *cls, GError **err)
{
	struct dev_host h = card_host(m, d);
	struct dev *port = (unsigned)d->conf->slot < CONF_PORT_SLOTS
				   ? m->board.port[d->conf->slot]
				   : NULL;

	if (!port || m->board.ndevs == BOARD_MAX_DEVICES)
		return fw_error(err,
			port ? "there are too many devices"
			     : "the board has no such slot",
			NULL, "cannot attach %s", d->name);
	h.pci = root_port_bus(port);
	h.pci_slot = 0;
	d->dev = board_add_class(m, dev_class_find(cls), d->name, &h, err);
	return d->dev != NULL;
}

/* A card of its own. */
static bool add_card(
	struct machine *m, struct board_drive *d, const char *cls, GError **err)
{
	struct dev_host h = card_host(m, d);

	if (d->conf->slot >= 0)
		return board_add_port_card(m, d, cls, err);
	d->dev = board_add(m, cls, d->name, &h, err);
	return d->dev != NULL;
}

/* The controller, made for its first drive. */
static struct dev *ata_controller(
	struct machine *m, enum conf_bus bus, GError **err)
{
	struct dev_host h = {.bus = m->bus,
		.gsi = m->board.gsi,
		.pci = m->board.pci,
		.pci_slot = (int)m->board.kind->isa_slot};
	struct board *b = &m->board;

	if (bus == CONF_BUS_IDE && !b->ide) {
		h.pci_fn = IDE_FN;
		b->ide = board_add_class(m, &ide_class, "ide", &h, err);
	}
	if (bus == CONF_BUS_SATA && !b->ahci)
		b->ahci = board_add(m, "ahci", "ahci", &h, err);
	return bus == CONF_BUS_IDE ? b->ide : b->ahci;
}

static bool add_ata(struct machine *m, struct board_drive *d, GError **err)
{
	bool ide = d->conf->bus == CONF_BUS_IDE;
	unsigned slot = (unsigned)d->conf->slot;
	struct ata_conf c = {.id = d->name,
		.blk = d->blk,
		.atapi = d->conf->media == CONF_MEDIA_CDROM,
		.readonly = d->conf->readonly,
		.serial = d->conf->serial};
	int e = -EINVAL;

	d->dev = ata_controller(m, d->conf->bus, err);
	if (!d->dev)
		return false;
	bus_lock(m->bus);
	if (slot < (ide ? IDE_DRIVES : AHCI_PORTS))
		e = ide ? ide_attach(d->dev, slot, &c)
			: ahci_attach(d->dev, slot, &c);
	bus_unlock(m->bus);
	return e == 0 || attach_failed(d, e, err);
}

static bool add_scsi(struct machine *m, struct board_drive *d, GError **err)
{
	struct dev_host h = {.bus = m->bus,
		.gsi = m->board.gsi,
		.pci = m->board.pci,
		.queues = conf_machine_ncpus(m->conf)};
	struct scsi_conf c = {.id = d->name,
		.blk = d->blk,
		.cd = d->conf->media == CONF_MEDIA_CDROM,
		.readonly = d->conf->readonly,
		.serial = d->conf->serial};
	struct dev **hba = &m->board.scsi[d->conf->hba];
	bool lsi = d->conf->hba == CONF_HBA_LSI;
	unsigned slot = (unsigned)d->conf->slot;
	int e;

	if (!*hba)
		*hba = lsi ? board_add(m, "lsi53c895a", "lsi", &h, err)
			   : board_add(m, "virtio-scsi", "scsi", &h, err);
	d->dev = *hba;
	if (!d->dev)
		return false;
	bus_lock(m->bus);
	e = lsi ? lsi_attach(d->dev, slot, &c)
		: virtio_scsi_attach(d->dev, slot, &c);
	bus_unlock(m->bus);
	return e == 0 || attach_failed(d, e, err);
}

static bool add_floppy(struct machine *m, struct board_drive *d, GError **err)
{
	struct dev_host h = {
		.bus = m->bus, .gsi = m->board.gsi, .dma = m->board.dma};
	int e = -EINVAL;

	if (!m->board.fdc)
		m->board.fdc = board_add_class(m, &fdc_class, "fdc", &h, err);
	d->dev = m->board.fdc;
	if (!d->dev)
		return false;
	bus_lock(m->bus);
	if (d->conf->slot >= 0 && d->conf->slot < FDC_DRIVES)
		e = fdc_attach(d->dev, (unsigned)d->conf->slot, d->blk,
			d->conf->readonly);
	bus_unlock(m->bus);
	return e == 0 || attach_failed(d, e, err);
}

static bool add_usb(struct machine *m, struct board_drive *d, GError **err)
{
	struct dev_host h = {.bus = m->bus,
		.readonly = d->conf->readonly,
		.serial = d->conf->serial,
		.blk = d->blk};
	bool cd = d->conf->media == CONF_MEDIA_CDROM;

	d->dev = board_plug_usb(m, cd ? &usb_cd_class : &usb_disk_class,
		d->name, &h, d->conf->slot, err);
	return d->dev != NULL;
}

static bool add_drive(struct machine *m, unsigned n, GError **err)
{
	struct board_drive *d = &m->board.drive[n];

	d->conf = g_ptr_array_index(m->conf->drives, n);
	d->name = conf_drive_name(m->conf, n);
	m->board.ndrives++;
	if (d->conf->file.path) {
		d->blk = media_open(m, (int)n, d->conf, &d->image, err);
		if (!d->blk)
			return false;
	}
	if (d->conf->bus == CONF_BUS_VIRTIO)
		return add_card(m, d, "virtio-blk", err);
	if (d->conf->bus == CONF_BUS_NVME)
		return add_card(m, d, "nvme", err);
	if (d->conf->bus == CONF_BUS_IDE || d->conf->bus == CONF_BUS_SATA)
		return add_ata(m, d, err);
	if (d->conf->bus == CONF_BUS_SCSI)
		return add_scsi(m, d, err);
	if (d->conf->bus == CONF_BUS_FLOPPY)
		return add_floppy(m, d, err);
	if (d->conf->bus == CONF_BUS_USB)
		return add_usb(m, d, err);
	return fw_error(
		err, "it is not built yet", NULL, "cannot attach %s", d->name);
}

static struct scsi_unit *scsi_of(const struct board_drive *d)
{
	unsigned slot = (unsigned)d->conf->slot;

	if (d->conf->bus == CONF_BUS_USB)
		return usb_storage_unit(d->dev);
	if (d->conf->bus == CONF_BUS_SCSI)
		return d->conf->hba == CONF_HBA_LSI
			       ? lsi_unit(d->dev, slot)
			       : virtio_scsi_unit(d->dev, slot);
	return &(d->conf->bus == CONF_BUS_IDE ? ide_drive(d->dev, slot)
					      : ahci_drive(d->dev, slot))
			->scsi;
}

bool board_may_eject(struct board_drive *d)
{
	return d->conf->media == CONF_MEDIA_FLOPPY ||
	       scsi_eject_button(scsi_of(d));
}

bool board_swap_medium(struct board_drive *d, struct blk *b, bool readonly,
	struct blk **old, GError **err)
{
	if (d->conf->media != CONF_MEDIA_FLOPPY) {
		*old = scsi_change_medium(scsi_of(d), b);
		if (d->conf->bus == CONF_BUS_SCSI &&
			d->conf->hba == CONF_HBA_VIRTIO)
			virtio_scsi_changed(d->dev, (unsigned)d->conf->slot);
	} else if (fdc_change(d->dev, (unsigned)d->conf->slot, b, readonly,
			   old) < 0) {
		conf_error_set(err, CONF_ERROR_CONFLICT,
			"the drive takes discs of another size", NULL,
			"the disc does not fit %s", d->name);
		return false;
	}
	d->blk = b;
	return true;
}

bool board_add_drives(struct machine *m, GError **err)
{
	for (unsigned i = 0; i < m->conf->drives->len; i++)
		if (!add_drive(m, i, err))
			return false;
	return true;
}

void board_hurry_drives(struct machine *m, bool on)
{
	for (unsigned i = 0; i < m->board.ndrives; i++)
		if (m->board.drive[i].blk)
			meter_hurry(m->board.drive[i].blk, on);
}

void board_close_drives(struct machine *m)
{
	for (unsigned i = 0; i < m->board.ndrives; i++) {
		blk_close(m->board.drive[i].blk);
		g_free(m->board.drive[i].name);
	}
	m->board.ndrives = 0;
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

static bool check_tftp(const struct conf_nic *nic, GError **err)
{
	if (!nic->tftp.path || nic->tftp_seen)
		return true;
	if (nic->tftp_errno == EACCES)
		conf_error_set(err, CONF_ERROR_DENIED,
			"a machine started by root runs as nobody",
			"chmod -R a+rX it, or start the machine as another "
			"user",
			"the machine may not look into %s", nic->tftp.path);
	else if (nic->tftp_errno == ENOSYS)
		conf_error_set(err, CONF_ERROR_UNSUPPORTED,
			"this host has neither namespaces nor Landlock, by "
			"which a machine sees that folder and no other",
			"leave tftp= out; 'vmeste doctor' tells more",
			"cannot serve %s", nic->tftp.path);
	else
		conf_error_set_errno(err, nic->tftp_errno,
			"name a folder that stays where it is",
			"cannot serve %s", nic->tftp.path);
	return false;
}

static struct net_port *open_nat(
	struct machine *m, struct conf_nic *nic, GError **err)
{
	unsigned n = nic->forwards->len;
	g_autofree struct net_forward *f = g_new0(struct net_forward, n + 1);
	struct net_user_conf conf = {.forwards = f,
		.nforwards = n,
		.tftp_root = nic->tftp_seen,
		.hostname = m->conf->name,
		.bootfile = nic->bootfile};

	if (!check_tftp(nic, err))
		return NULL;
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
 * structure names this one (PCI Firmware 3.0, 5.1.2: +4 vendor and device,
 * +0x10 length in 512 bytes, +0x14 type, +0x15 bit 7 on the last image).  A
 * BIOS image has a checksum, which iPXE balances in byte 6 of the header.
 */
static void adapt_rom(uint8_t *rom, uint32_t size, const struct pci_func *f)
{
	uint32_t at = 0, next;

	for (; at + 0x1a <= size; at = next) {
		uint8_t *image = rom + at;
		uint32_t pcir = image[0x18] | image[0x19] << 8;
		uint8_t *p = image + pcir;

		if (at + pcir + 0x18 > size || memcmp(p, "PCIR", 4) != 0)
			return;
		for (unsigned i = 0; i < 4; i++) {
			if (!p[0x14])
				image[6] = (uint8_t)(image[6] + p[4 + i] -
						     f->config[i]);
			p[4 + i] = f->config[i];
		}
		next = at + (p[0x10] | p[0x11] << 8) * 512u;
		if (next == at || p[0x15] & 0x80)
			return;
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
	if (!fw_image_open(
		    &image, media_take_fd(file), file->path, ROM_MAX, &err)) {
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

/* Their device classes. */
static const char *const nic_class[CONF_NNICS] = {
	[CONF_NIC_VIRTIO] = "virtio-net",
	[CONF_NIC_E1000] = "e1000",
	[CONF_NIC_E1000E] = "e1000e",
	[CONF_NIC_PCNET] = "pcnet",
	[CONF_NIC_RTL8139] = "rtl8139",
	[CONF_NIC_RTL8139C] = "rtl8139c",
	[CONF_NIC_NE2000] = "ne2000",
	[CONF_NIC_NE2000_ISA] = "ne2000-isa",
};

static bool add_nic(
	struct machine *m, unsigned n, struct conf_nic *nic, GError **err)
{
	g_autofree char *id = g_strdup_printf("nic%u", n);
	struct dev_host h = {.bus = m->bus,
		.gsi = nic->isa_port ? board_isa_gsi(m) : m->board.gsi,
		.pci = m->board.pci,
		.pci_slot = -1,
		.isa_port = (uint16_t)nic->isa_port,
		.isa_irq = (uint8_t)nic->isa_irq,
		.queues = nic->queues,
		/* locally administered, one after the other */
		.mac = {0x52, 0x56, 0x4d, 0x00, 0x00, (uint8_t)(n + 1)}};
	struct dev *dev;
	uint32_t rom_bytes;

	if (nic->has_mac)
		memcpy(h.mac, nic->mac, 6);
	h.net = open_nat(m, nic, err);
	if (!h.net)
		return false;
	g_ptr_array_add(m->board.nets, h.net);
	dev = nic->isa_port ? board_add_class(m,
				      dev_class_find(nic_class[nic->model]), id,
				      &h, err)
			    : board_add(m, nic_class[nic->model], id, &h, err);
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

static unsigned slot_of(struct machine *m, const struct dev *dev)
{
	struct pci_func *f = func_of(m, dev);

	return f ? f->devfn >> 3 : 0;
}

static void add_path(struct machine *m, char *path)
{
	g_ptr_array_add(m->board.boot_paths, path);
}

/* UEFI wants to see the controller's identity. */
static const char *ahci_path(struct machine *m, char *buf, unsigned size)
{
	struct pci_func *f = func_of(m, m->board.ahci);
	unsigned devfn = f ? f->devfn : 0;

	g_snprintf(buf, size, "/pci@i0cf8/pci8086,2922@%x", devfn >> 3);
	if (devfn & 7)
		g_snprintf(buf + strlen(buf), size - strlen(buf), ",%x",
			devfn & 7);
	return buf;
}

static void add_drive_path(struct machine *m, const struct board_drive *d)
{
	unsigned slot = (unsigned)d->conf->slot;
	char ahci[64], *usb;

	switch (d->conf->bus) {
	case CONF_BUS_VIRTIO:
		add_path(m, g_strdup_printf("/pci@i0cf8/scsi@%x/disk@0,0",
				    slot_of(m, d->dev)));
		break;
	case CONF_BUS_NVME: /* as UEFI knows it, whatever its identity */
		add_path(m, g_strdup_printf(
				    "/pci@i0cf8/pci8086,5845@%x/namespace@1,0",
				    slot_of(m, d->dev)));
		break;
	case CONF_BUS_IDE:
		add_path(m,
			g_strdup_printf("/pci@i0cf8/ide@%x,%x/drive@%x/disk@%x",
				m->board.kind->isa_slot, IDE_FN, slot / 2,
				slot % 2));
		break;
	case CONF_BUS_SATA:
		add_path(m, g_strdup_printf("%s/drive@%x/disk@0",
				    ahci_path(m, ahci, sizeof(ahci)), slot));
		break;
	case CONF_BUS_SCSI:
		add_path(m, g_strdup_printf(
				    "/pci@i0cf8/scsi@%x/channel@0/disk@%x,0",
				    slot_of(m, d->dev), slot));
		break;
	case CONF_BUS_FLOPPY:
		add_path(m,
			g_strdup_printf("/pci@i0cf8/isa@%x/fdc@03f0/floppy@%x",
				m->board.kind->isa_slot, slot));
		break;
	case CONF_BUS_USB:
		usb = board_usb_path(m, d->dev);
		if (usb)
			add_path(m, usb);
		break;
	default: break;
	}
}

static void add_drive_paths(struct machine *m, enum conf_media media)
{
	for (unsigned i = 0; i < m->board.ndrives; i++)
		if (m->board.drive[i].conf->media == media &&
			!m->board.drive[i].conf->bootindex)
			add_drive_path(m, &m->board.drive[i]);
}

static void add_nic_path(struct machine *m, unsigned n)
{
	g_autofree char *id = g_strdup_printf("nic%u", n);
	struct board *b = &m->board;

	for (unsigned i = 0; i < b->ndevs; i++)
		if (b->dev[i]->host.net && slot_of(m, b->dev[i]) &&
			!strcmp(b->dev[i]->id, id))
			add_path(m, g_strdup_printf("/pci@i0cf8/ethernet@%x/"
						    "ethernet-phy@0",
					    slot_of(m, b->dev[i])));
}

static void add_nic_paths(struct machine *m)
{
	for (unsigned i = 0; i < m->conf->nics->len; i++) {
		const struct conf_nic *n = g_ptr_array_index(m->conf->nics, i);

		if (!n->bootindex)
			add_nic_path(m, i);
	}
}

/* What has a number goes before all that has none. */
static void add_indexed(struct machine *m)
{
	for (unsigned at = 1; at <= CONF_MAX_BOOTINDEX; at++) {
		for (unsigned i = 0; i < m->board.ndrives; i++)
			if (m->board.drive[i].conf->bootindex == at)
				add_drive_path(m, &m->board.drive[i]);
		for (unsigned i = 0; i < m->conf->nics->len; i++) {
			const struct conf_nic *n =
				g_ptr_array_index(m->conf->nics, i);

			if (n->bootindex == at)
				add_nic_path(m, i);
		}
	}
}

/* Whether the user said anything: UEFI has an order of its own, which it and
 * the systems that it boots keep among its variables. */
static bool order_stated(const struct conf_machine *c)
{
	bool stated = c->nboot != 0;

	for (unsigned i = 0; i < c->drives->len; i++) {
		const struct conf_drive *d = g_ptr_array_index(c->drives, i);

		stated |= d->bootindex != 0;
	}
	for (unsigned i = 0; i < c->nics->len; i++) {
		const struct conf_nic *n = g_ptr_array_index(c->nics, i);

		stated |= n->bootindex != 0;
	}
	return stated;
}

void board_boot_order(struct machine *m)
{
	static const enum conf_boot usual[] = {CONF_BOOT_FLOPPY,
		CONF_BOOT_CDROM, CONF_BOOT_DISK, CONF_BOOT_NET};
	const struct conf_machine *c = m->conf;
	unsigned n = c->nboot ? c->nboot : G_N_ELEMENTS(usual);

	if (c->firmware == CONF_FIRMWARE_UEFI && !order_stated(c))
		return;
	add_indexed(m);
	for (unsigned i = 0; i < n; i++) {
		switch (c->nboot ? c->boot[i] : usual[i]) {
		case CONF_BOOT_FLOPPY:
			add_drive_paths(m, CONF_MEDIA_FLOPPY);
			break;
		case CONF_BOOT_CDROM:
			add_drive_paths(m, CONF_MEDIA_CDROM);
			break;
		case CONF_BOOT_DISK: add_drive_paths(m, CONF_MEDIA_DISK); break;
		case CONF_BOOT_NET: add_nic_paths(m); break;
		default: break;
		}
	}
}
