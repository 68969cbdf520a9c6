/*
 * realboot.c - hands a real-mode kernel to the option ROM.
 */
#include "firmware/realboot.h"

#include <string.h>

/* realboot.S */
extern const uint8_t fw_realboot_image[], fw_realboot_image_end[];

static void clear(GBytes **b)
{
	g_clear_pointer(b, g_bytes_unref);
}

void fw_realboot_clear(struct fw_realboot *r)
{
	clear(&r->setup);
	clear(&r->kernel);
	clear(&r->cmdline);
	clear(&r->initrd);
}

GBytes *fw_realboot_rom(void)
{
	size_t len = (size_t)(fw_realboot_image_end - fw_realboot_image);
	size_t size = (len + 1 + 511) & ~(size_t)511;
	uint8_t *rom = g_malloc0(size), sum = 0;

	memcpy(rom, fw_realboot_image, len);
	rom[2] = (uint8_t)(size / 512);
	for (size_t i = 0; i < size; i++)
		sum = (uint8_t)(sum + rom[i]);
	rom[size - 1] = (uint8_t)-sum;
	return g_bytes_new_take(rom, size);
}

static void piece(struct fw_items *items, uint16_t addr_key, uint32_t addr,
	uint16_t size_key, uint16_t data_key, GBytes *data)
{
	fw_items_key_u32(items, addr_key, addr);
	fw_items_key_u32(
		items, size_key, data ? (uint32_t)g_bytes_get_size(data) : 0);
	if (data)
		fw_items_key(items, data_key, data);
}

void fw_realboot_items(struct fw_items *items, struct fw_realboot *r)
{
	piece(items, FW_KEY_SETUP_ADDR, r->setup_addr, FW_KEY_SETUP_SIZE,
		FW_KEY_SETUP_DATA, r->setup);
	piece(items, FW_KEY_KERNEL_ADDR, r->kernel_addr, FW_KEY_KERNEL_SIZE,
		FW_KEY_KERNEL_DATA, r->kernel);
	piece(items, FW_KEY_CMDLINE_ADDR, r->cmdline_addr, FW_KEY_CMDLINE_SIZE,
		FW_KEY_CMDLINE_DATA, r->cmdline);
	piece(items, FW_KEY_INITRD_ADDR, r->initrd_addr, FW_KEY_INITRD_SIZE,
		FW_KEY_INITRD_DATA, r->initrd);
	if (!r->no_rom)
		fw_items_file(items, "genroms/vmeste-realboot.rom",
			fw_realboot_rom());
}
