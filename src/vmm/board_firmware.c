/*
 * board_firmware.c - the firmware's image below 4 GiB, and UEFI's variables.
 *
 * A BIOS is one image.  UEFI is two that follow each other: the variables, in
 * flash that can be written, and behind them the code, which ends at 4 GiB.
 */
#include <sys/stat.h>

#include "conf/error.h"
#include "dev/misc/flash.h"
#include "dev/pci/shadow.h"
#include "vmm/priv.h"

#define BIOS_UNIT 0x10000u
#define BIOS_MAX  0x1000000u

uint64_t board_firmware_room(const struct conf_machine *c)
{
	struct stat st;

	if (c->firmware_file.fd < 0 || fstat(c->firmware_file.fd, &st))
		return 0;
	return (MIN((uint64_t)st.st_size, BIOS_MAX) + BUS_PAGE_SIZE - 1) &
	       ~(BUS_PAGE_SIZE - 1);
}

static bool bad_image(const struct machine *m, const char *why, GError **err)
{
	return fw_error(err, why,
		m->conf->firmware == CONF_FIRMWARE_UEFI
			? "install the package ovmf"
			: "install the package seabios",
		"cannot use the firmware %s", m->conf->firmware_file.path);
}

static bool read_image(
	struct machine *m, const struct fw_image *image, GError **err)
{
	const struct bus_ram *ram = bus_ram(m->bus);
	struct board *b = &m->board;
	bool uefi = m->conf->firmware == CONF_FIRMWARE_UEFI;
	int e;

	if (!image->size || image->size % (uefi ? BUS_PAGE_SIZE : BIOS_UNIT))
		return bad_image(m,
			uefi ? "its size is no multiple of 4 KiB"
			     : "its size is no multiple of 64 KiB",
			err);
	if (image->size > ram->rom)
		return bad_image(m, "it has changed just now", err);
	b->bios = ram->host + ram->bytes;
	b->bios_bytes = (uint32_t)image->size;
	if (!fw_image_read(image, 0, b->bios, image->size))
		return bad_image(m, "it cannot be read", err);
	bus_lock(m->bus);
	e = shadow_set_bios(b->shadow, b->bios, b->bios_bytes);
	bus_unlock(m->bus);
	return e == 0 || bad_image(m, "its size fits no board", err);
}

static bool add_nvram(struct machine *m, GError **err)
{
	struct board *b = &m->board;
	struct conf_file *f = &m->conf->nvram;
	struct dev_host h = {.bus = m->bus, .readonly = !m->conf->nvram_keep};

	if (f->fd < 0)
		return true;
	b->nvram = blk_raw_open(media_take_fd(f), h.readonly, err);
	if (!b->nvram) {
		g_prefix_error(err, "variable store %s: ", f->path);
		return false;
	}
	h.blk = b->nvram;
	b->flash = board_add_class(m, &flash_class, "nvram", &h, err);
	if (!b->flash)
		return false;
	bus_lock(m->bus);
	flash_map(b->flash,
		(4ull << 30) - b->bios_bytes - (uint32_t)b->nvram->size);
	bus_unlock(m->bus);
	return true;
}

bool board_add_firmware(struct machine *m, GError **err)
{
	struct conf_file *f = &m->conf->firmware_file;
	struct fw_image image;
	bool ok;

	if (f->fd < 0)
		return true; /* direct boots need none */
	ok = fw_image_open(&image, media_take_fd(f), f->path, BIOS_MAX, err) &&
	     read_image(m, &image, err);
	fw_image_close(&image);
	return ok &&
	       (m->conf->firmware == CONF_FIRMWARE_BIOS || add_nvram(m, err));
}

void board_free_firmware(struct machine *m)
{
	struct board *b = &m->board;

	blk_close(b->nvram);
	b->nvram = NULL;
}
