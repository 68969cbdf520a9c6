/*
 * acpi.h - the ACPI tables of the boards (ACPI 6.4, chapter 5).
 *
 * Tables are built position independent: one blob with a list of what must be
 * patched once it is known where the blob lands.  SeaBIOS does that patching
 * by the linker-loader protocol (QEMU hw/acpi/bios-linker-loader, read as a
 * specification); a boot without BIOS does it by fw_acpi_place.
 */
#ifndef FIRMWARE_ACPI_H
#define FIRMWARE_ACPI_H

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#include "firmware/items.h"

#define FW_ACPI_MAX_COM 4

struct fw_acpi_conf {
	bool q35; /* ICH9 and PCI Express, else PIIX */
	unsigned ncpus;
	const uint32_t *apic_ids;
	bool hpet;
	bool no_ioapic;	      /* the guest is to use the 8259s */
	bool display;	      /* a VGA device is there */
	bool floppy;	      /* a floppy disk controller is there */
	unsigned ncom;	      /* COM1.. at their usual places */
	uint16_t pm_base;     /* PM1 event block; control +4, timer +8 */
	uint8_t smi_cmd_port; /* 0: SCI always enabled */
	uint32_t pci_mem_first, pci_mem_last;	/* window of 32-bit BARs */
	uint64_t pci_high_first, pci_high_last; /* above 4 GiB; 0: none */
	uint32_t ecam;	    /* q35: 256 MiB of configuration space */
	uint32_t rcba;	    /* q35: 16 KiB of chipset configuration */
	uint32_t genid;	    /* where the generation id is, or 0 */
	unsigned genid_gpe; /* the event of its change */
	/* For memory that can come above that of the start, at 0 and at 4 GiB;
	 * plug_bytes 0: none can. */
	uint64_t low_bytes, high_bytes, plug_first, plug_bytes;
};

struct fw_acpi {
	GByteArray *tables;
	uint8_t rsdp[36];
	GArray *patches; /* of struct fw_acpi_patch, in order */
};

struct fw_acpi_patch {
	enum { FW_PATCH_POINTER, FW_PATCH_CHECKSUM } kind;
	bool in_rsdp;	 /* what is patched: the RSDP, else the tables */
	uint32_t offset; /* of the pointer or checksum byte */
	uint32_t size;	 /* pointer: width; checksum: bytes summed */
	uint32_t start;	 /* checksum: first byte summed */
};

void fw_acpi_build(struct fw_acpi *a, const struct fw_acpi_conf *c);
void fw_acpi_fini(struct fw_acpi *a);

/* etc/acpi/tables, etc/acpi/rsdp, etc/table-loader. */
void fw_acpi_items(const struct fw_acpi *a, struct fw_items *items);

/* Patch for tables at tables_gpa (64-byte aligned); the blob and the RSDP are
 * then ready to be copied into RAM.  Once only. */
void fw_acpi_place(struct fw_acpi *a, uint64_t tables_gpa);

/* The DSDT's code (acpi_dsdt.c). */
GByteArray *fw_acpi_dsdt(const struct fw_acpi_conf *c);

#endif
