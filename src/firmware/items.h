/*
 * items.h - what the guest's firmware may ask the board for.
 *
 * A list of named files and numbered entries in the terms of the fw_cfg
 * device that SeaBIOS reads.  The list only collects; the board hands it to
 * the device.
 */
#ifndef FIRMWARE_ITEMS_H
#define FIRMWARE_ITEMS_H

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

/* Numbered entries (QEMU documentation, specs/fw_cfg). */
enum fw_key {
	FW_KEY_SIGNATURE = 0x00,
	FW_KEY_RAM_SIZE = 0x03,
	FW_KEY_NB_CPUS = 0x05,
	FW_KEY_KERNEL_ADDR = 0x07,
	FW_KEY_KERNEL_SIZE = 0x08,
	FW_KEY_INITRD_ADDR = 0x0a,
	FW_KEY_INITRD_SIZE = 0x0b,
	FW_KEY_NUMA = 0x0d,
	FW_KEY_BOOT_MENU = 0x0e,
	FW_KEY_MAX_CPUS = 0x0f,
	FW_KEY_KERNEL_DATA = 0x11,
	FW_KEY_INITRD_DATA = 0x12,
	FW_KEY_CMDLINE_ADDR = 0x13,
	FW_KEY_CMDLINE_SIZE = 0x14,
	FW_KEY_CMDLINE_DATA = 0x15,
	FW_KEY_SETUP_ADDR = 0x16,
	FW_KEY_SETUP_SIZE = 0x17,
	FW_KEY_SETUP_DATA = 0x18,
	FW_KEY_IRQ0_OVERRIDE = 0x8002,
	FW_KEY_FILES = 0x20, /* in struct fw_item: a named file */
};

struct fw_item {
	uint16_t key;
	char name[56]; /* when key is FW_KEY_FILES */
	GBytes *data;
};

struct fw_items {
	GArray *list; /* of struct fw_item */
};

void fw_items_init(struct fw_items *l);
void fw_items_fini(struct fw_items *l);

/* All take over data. */
void fw_items_file(struct fw_items *l, const char *name, GBytes *data);
void fw_items_key(struct fw_items *l, uint16_t key, GBytes *data);
void fw_items_key_u16(struct fw_items *l, uint16_t key, uint16_t v);
void fw_items_key_u32(struct fw_items *l, uint16_t key, uint32_t v);
void fw_items_key_u64(struct fw_items *l, uint16_t key, uint64_t v);

/* What the board tells every guest whatever it boots. */
struct fw_board {
	uint64_t ram_bytes;
	uint64_t low_bytes; /* of it below 4 GiB */
	unsigned ncpus;
	const uint32_t *apic_ids;
	const char *const *boot_order; /* device paths, NULL-terminated */
	unsigned boot_menu_ms;	       /* 0: no menu */
	unsigned nserial;	       /* COM ports */
	uint32_t reserved_page;	       /* or 0 */
	uint64_t reserved_end; /* above it may firmware place BARs; or 0 */
};

/* Memory map, boot order, processors: the entries SeaBIOS reads. */
void fw_items_board(struct fw_items *l, const struct fw_board *b);

#endif
