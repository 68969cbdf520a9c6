/*
 * load.h - what is put into guest RAM before the first instruction, and where
 * the guest starts.
 *
 * A plan is made once from the files given; it is carried out at every start
 * and reset, reading the files anew, so nothing of them stays in our memory.
 * Files are hostile: every number in them is checked against the file's size
 * and the guest's RAM.  Error texts have the form of conf/error.h: what, then
 * lines of why and fix.
 */
#ifndef FIRMWARE_LOAD_H
#define FIRMWARE_LOAD_H

#include <stdbool.h>
#include <inttypes.h>
#include <stdint.h>

#include <glib.h>

#include "bus/bus.h"
#include "firmware/items.h"

#define FW_ERROR (fw_error_quark())
GQuark fw_error_quark(void);
/* Always returns false.  why and fix may be NULL. */
bool fw_error(GError **err, const char *why, const char *fix, const char *what,
	...) G_GNUC_PRINTF(4, 5);

/* An open file.  What cannot be read at an offset (a pipe) is held whole. */
struct fw_image {
	char *path; /* for messages */
	int fd;	    /* owned; -1 when held in mem */
	uint64_t size;
	uint8_t *mem; /* or NULL */
};

/* Takes fd over in any case.  At most max bytes. */
bool fw_image_open(struct fw_image *i, int fd, const char *path, uint64_t max,
	GError **err);
void fw_image_close(struct fw_image *i);
/* All of it or false (short file or I/O error). */
bool fw_image_read(
	const struct fw_image *i, uint64_t off, void *buf, size_t len);

struct fw_piece {
	gpa_t gpa;
	GBytes *bytes;		      /* or */
	const struct fw_image *image; /* len bytes at off */
	uint64_t off, len;
	uint64_t zero; /* bytes of zeroes that follow */
};

enum fw_entry {
	FW_ENTRY_RESET,	    /* the BIOS runs */
	FW_ENTRY_PROTECTED, /* flat 32-bit protected mode, no paging */
};

struct fw_plan {
	GArray *pieces; /* of struct fw_piece */
	enum fw_entry entry;
	uint32_t eip, eax, ebx, esi; /* FW_ENTRY_PROTECTED */
	const char *kind;	     /* "linux", "pvh", ...: for messages */
};

void fw_plan_init(struct fw_plan *p);
void fw_plan_fini(struct fw_plan *p);
void fw_plan_bytes(struct fw_plan *p, gpa_t gpa, GBytes *bytes); /* taken */
void fw_plan_image(struct fw_plan *p, gpa_t gpa, const struct fw_image *image,
	uint64_t off, uint64_t len, uint64_t zero);
/* Carry out: copy everything into RAM. */
bool fw_plan_load(const struct fw_plan *p, struct bus *bus, GError **err);

/* What a kernel is to be started with. */
struct fw_boot {
	const struct fw_image *kernel, *initrd; /* initrd may be NULL */
	const char *cmdline;			/* never NULL */
	uint64_t low_bytes, high_bytes;		/* RAM below, from 4 GiB */
	uint32_t ecam;				/* 0: none; 256 MiB */
	uint32_t reserved_page;			/* or 0 */
	uint64_t rsdp_gpa;			/* 0: no ACPI */
	bool text_screen;			/* a VGA is in text mode 3 */
	bool uefi;				/* that firmware starts it */
};

/* Low memory in direct boots. */
#define FW_LOW_GDT     0x6000
#define FW_LOW_INFO    0x7000 /* start info, multiboot info, modules */
#define FW_LOW_ZEROPG  0x10000
#define FW_LOW_CMDLINE 0x20000 /* up to 64 KiB */
#define FW_MAX_CMDLINE 0xff00u
#define FW_HIGH_START  0x100000

/*
 * Find out what the kernel is and plan its start.  Kernels that need a BIOS
 * under them get FW_ENTRY_RESET and entries in items instead, among them an
 * option ROM that does the loading.  The images must outlive the plan.
 */
bool fw_boot_plan(struct fw_plan *p, struct fw_items *items,
	const struct fw_boot *b, GError **err);

/* One kind each: true and *mine false if the file is another kind. */
bool fw_linux_plan(struct fw_plan *p, struct fw_items *items,
	const struct fw_boot *b, bool *mine, GError **err);
bool fw_multiboot_plan(
	struct fw_plan *p, const struct fw_boot *b, bool *mine, GError **err);
bool fw_pvh_plan(
	struct fw_plan *p, const struct fw_boot *b, bool *mine, GError **err);

/* The highest place for len bytes below limit and the end of low RAM, above
 * floor, page aligned; 0 if there is none. */
gpa_t fw_place_high(
	const struct fw_boot *b, uint64_t len, uint64_t limit, uint64_t floor);

/* Where ELF segments would lie.  Plan them, tell where they end. */
struct fw_elf {
	bool is64;
	uint64_t entry;
	uint64_t end;	     /* first byte after the highest segment */
	uint64_t phys_entry; /* entry as a physical address */
	uint32_t pvh_entry;
	bool has_pvh;
};
/* true with *mine false if it is no ELF file.  p NULL: only look. */
bool fw_elf_plan(struct fw_plan *p, const struct fw_boot *b, struct fw_elf *out,
	bool *mine, GError **err);

#endif
