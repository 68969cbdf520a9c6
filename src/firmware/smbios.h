/*
 * smbios.h - what the machine says of itself (DMTF DSP0134, SMBIOS 2.8).
 */
#ifndef FIRMWARE_SMBIOS_H
#define FIRMWARE_SMBIOS_H

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#include "firmware/items.h"

struct fw_smbios_conf {
	const char *name;  /* of the machine */
	const char *board; /* its word */
	bool uefi;
	const char *version; /* of vmeste */
	const char *cpu;     /* its name */
	unsigned cpu_mhz;
	uint32_t cpuid_eax, cpuid_edx; /* of leaf 1 */
	unsigned sockets, cores, threads;
	uint64_t ram_bytes, low_bytes;
	uint8_t uuid[16];
};

#define FW_SMBIOS_ENTRY_SIZE 31

/* The structures, and the 2.x entry point for when they lie at gpa. */
GBytes *fw_smbios_tables(
	const struct fw_smbios_conf *c, unsigned *count, unsigned *largest);
void fw_smbios_entry(uint8_t out[FW_SMBIOS_ENTRY_SIZE], GBytes *tables,
	unsigned count, unsigned largest, uint32_t gpa);

/* etc/smbios/smbios-tables and -anchor. */
void fw_smbios_items(const struct fw_smbios_conf *c, struct fw_items *items);

#endif
