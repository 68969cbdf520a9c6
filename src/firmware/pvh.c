/*
 * pvh.c - the PVH direct boot protocol (Xen docs/misc/pvh.pandoc,
 * public/arch-x86/hvm/start_info.h).
 */
#include <string.h>

#include "firmware/e820.h"
#include "firmware/load.h"

struct __attribute__((packed)) start_info {
	uint32_t magic, version, flags, nr_modules;
	uint64_t modlist, cmdline, rsdp, memmap;
	uint32_t memmap_entries, reserved;
};

struct __attribute__((packed)) module {
	uint64_t addr, size, cmdline, reserved;
};

struct __attribute__((packed)) memmap_entry {
	uint64_t addr, size;
	uint32_t type, reserved;
};

#define START_MAGIC 0x336ec578

/* start info, module list and memory map one after the other */
struct __attribute__((packed)) start_block {
	struct start_info info;
	struct module initrd;
	struct memmap_entry map[FW_E820_MAX];
};

static GBytes *start_block(const struct fw_boot *b, gpa_t initrd)
{
	struct fw_e820 map[FW_E820_MAX];
	unsigned n = fw_e820_direct(
		map, b->low_bytes, b->high_bytes, b->ecam, b->reserved_page);
	struct start_block *s = g_new0(struct start_block, 1);

	s->info.magic = START_MAGIC;
	s->info.version = 1;
	s->info.cmdline = FW_LOW_CMDLINE;
	s->info.rsdp = b->rsdp_gpa;
	s->info.memmap = FW_LOW_INFO + offsetof(struct start_block, map);
	s->info.memmap_entries = n;
	for (unsigned i = 0; i < n; i++) {
		s->map[i].addr = map[i].addr;
		s->map[i].size = map[i].size;
		s->map[i].type = map[i].type;
	}
	if (initrd) {
		s->info.nr_modules = 1;
		s->info.modlist =
			FW_LOW_INFO + offsetof(struct start_block, initrd);
		s->initrd.addr = initrd;
		s->initrd.size = b->initrd->size;
	}
	return g_bytes_new_take(s, sizeof(*s));
}

bool fw_pvh_plan(
	struct fw_plan *p, const struct fw_boot *b, bool *mine, GError **err)
{
	struct fw_elf elf;
	gpa_t initrd = 0;

	if (!fw_elf_plan(NULL, b, &elf, mine, err))
		return false;
	if (!*mine)
		return true;
	if (!elf.has_pvh)
		return fw_error(err,
			"it has neither a multiboot header nor a PVH note",
			"for Linux, use the bzImage or build with CONFIG_PVH",
			"cannot start the ELF file %s", b->kernel->path);
	if (strlen(b->cmdline) > FW_MAX_CMDLINE)
		return fw_error(err, "it is longer than 65280 bytes",
			"shorten --append",
			"the kernel command line is too long");
	if (b->initrd && b->initrd->size) {
		initrd = fw_place_high(b, b->initrd->size, b->low_bytes,
			MAX(elf.end, FW_HIGH_START));
		if (!initrd)
			return fw_error(err,
				"kernel and initrd together do not fit",
				"give the machine more memory: --mem",
				"too little memory for %s", b->initrd->path);
		fw_plan_image(p, initrd, b->initrd, 0, b->initrd->size, 0);
	}
	if (!fw_elf_plan(p, b, &elf, mine, err))
		return false;
	fw_plan_bytes(p, FW_LOW_INFO, start_block(b, initrd));
	fw_plan_bytes(p, FW_LOW_CMDLINE,
		g_bytes_new(b->cmdline, strlen(b->cmdline) + 1));
	p->entry = FW_ENTRY_PROTECTED;
	p->eip = elf.pvh_entry;
	p->ebx = FW_LOW_INFO;
	p->kind = "pvh";
	return true;
}
