/*
 * realboot.h - start a kernel at its real-mode entry, on top of the BIOS.
 *
 * The pieces go into fw_cfg under the classic numbered entries; the option
 * ROM (realboot.S) offers itself to the BIOS as a boot device, copies them to
 * their places by fw_cfg DMA and jumps to the setup code.
 */
#ifndef FIRMWARE_REALBOOT_H
#define FIRMWARE_REALBOOT_H

#include <stdbool.h>
#include <stdint.h>

#include "firmware/items.h"

#define FW_REALBOOT_PATH "/rom@genroms/vmeste-realboot.rom"

struct fw_realboot {
	GBytes *setup, *kernel, *cmdline;
	GBytes *initrd; /* or NULL */
	uint32_t setup_addr, kernel_addr, cmdline_addr, initrd_addr;
	bool no_rom; /* UEFI finds the pieces itself */
};

/* Takes over the bytes. */
void fw_realboot_items(struct fw_items *items, struct fw_realboot *r);
void fw_realboot_clear(struct fw_realboot *r);

/* The ROM, checksummed, a multiple of 512 bytes. */
GBytes *fw_realboot_rom(void);

#endif
