/*
 * e820.h - the BIOS memory map (ACPI 6.4, section 15).
 */
#ifndef FIRMWARE_E820_H
#define FIRMWARE_E820_H

#include <stdint.h>

#include <glib.h>

#define FW_E820_RAM	 1
#define FW_E820_RESERVED 2
#define FW_E820_ACPI	 3
#define FW_E820_NVS	 4

struct __attribute__((packed)) fw_e820 {
	uint64_t addr, size;
	uint32_t type;
};

#define FW_E820_MAX 8

/* The area below 1 MiB that belongs to firmware tables in direct boots. */
#define FW_BIOS_AREA 0xe0000
#define FW_EBDA	     0x9fc00

/* As a guest booted without a BIOS shall see it: low bytes of RAM from 0 and
 * high bytes from 4 GiB; page is a reserved one below that, or 0.  Returns how
 * many entries were filled. */
unsigned fw_e820_direct(struct fw_e820 out[FW_E820_MAX], uint64_t low,
	uint64_t high, uint32_t ecam, uint32_t page);

/* For SeaBIOS, which carves out its own parts: plain RAM, and the page. */
GBytes *fw_e820_table(uint64_t low, uint64_t high, uint32_t page);

#endif
