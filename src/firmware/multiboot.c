/*
 * multiboot.c - the Multiboot Specification 0.6.96: a header in the first
 * 8 KiB, an image that is ELF or says its own addresses, modules.
 *
 * The initrd, if there is one, is the only module.
 */
#include <string.h>

#include "firmware/e820.h"
#include "firmware/load.h"

#define HEADER_MAGIC 0x1badb002
#define ENTRY_MAGIC  0x2badb002
#define SEARCH_BYTES 8192

enum {
	WANT_VIDEO = 1 << 2,
	WANT_ADDRESSES = 1 << 16,
	WANT_UNKNOWN = 0xffff & ~7, /* must be understood */

	HAVE_MEMORY = 1 << 0,
	HAVE_CMDLINE = 1 << 2,
	HAVE_MODULES = 1 << 3,
	HAVE_MAP = 1 << 6,
	HAVE_LOADER = 1 << 9,
};

struct header {
	uint32_t magic, flags, checksum;
	uint32_t header_addr, load_addr, load_end, bss_end, entry;
};

struct __attribute__((packed)) mb_info {
	uint32_t flags, mem_lower, mem_upper, boot_device, cmdline;
	uint32_t mods_count, mods_addr;
	uint32_t syms[4];
	uint32_t mmap_length, mmap_addr;
	uint32_t drives_length, drives_addr, config_table, loader_name;
	uint32_t apm_table;
	uint32_t vbe[4];
};

struct __attribute__((packed)) mb_module {
	uint32_t start, end, string, reserved;
};

struct __attribute__((packed)) mb_map {
	uint32_t size; /* of what follows */
	uint64_t addr, len;
	uint32_t type;
};

/* everything in one block of low memory */
struct __attribute__((packed)) info_block {
	struct mb_info info;
	struct mb_module module;
	struct mb_map map[FW_E820_MAX];
	char loader[16];
};

static bool find_header(
	const struct fw_image *k, struct header *h, uint64_t *where)
{
	size_t n = MIN(k->size, SEARCH_BYTES) & ~(size_t)3;
	g_autofree uint8_t *buf = g_malloc0(n + sizeof(*h));

	if (!fw_image_read(k, 0, buf, n))
		return false;
	for (size_t at = 0; at + 12 <= n; at += 4) {
		memcpy(h, buf + at, sizeof(*h));
		if (h->magic == HEADER_MAGIC &&
			h->magic + h->flags + h->checksum == 0) {
			*where = at;
			return true;
		}
	}
	return false;
}

static bool bad(const struct fw_image *k, const char *why, GError **err)
{
	return fw_error(err, why, NULL, "cannot start the multiboot kernel %s",
		k->path);
}

/* An image that says its own addresses ("a.out kludge"). */
static bool plan_flat(struct fw_plan *p, const struct fw_boot *b,
	const struct header *h, uint64_t where, uint64_t *end, GError **err)
{
	const struct fw_image *k = b->kernel;
	uint64_t lead, off, len, bss;

	if (h->header_addr < h->load_addr)
		return bad(k, "its header lies before its load address", err);
	lead = h->header_addr - h->load_addr;
	if (lead > where)
		return bad(k, "its load address is not in the file", err);
	off = where - lead;
	len = k->size - off;
	if (h->load_end) {
		if (h->load_end < h->load_addr ||
			h->load_end - h->load_addr > len)
			return bad(k, "it is truncated", err);
		len = h->load_end - h->load_addr;
	}
	*end = h->load_addr + len;
	bss = h->bss_end > *end ? h->bss_end - *end : 0;
	*end += bss;
	if (*end > b->low_bytes)
		return fw_error(err, "it ends beyond the machine's memory",
			"give the machine more memory: --mem",
			"too little memory for %s", k->path);
	fw_plan_image(p, h->load_addr, k, off, len, bss);
	return true;
}

static GBytes *info_block(const struct fw_boot *b, gpa_t module)
{
	struct info_block *i = g_new0(struct info_block, 1);
	struct fw_e820 map[FW_E820_MAX];
	unsigned n = fw_e820_direct(
		map, b->low_bytes, b->high_bytes, b->ecam, b->reserved_page);

	i->info.flags = HAVE_MEMORY | HAVE_CMDLINE | HAVE_MODULES | HAVE_MAP |
			HAVE_LOADER;
	i->info.mem_lower = FW_EBDA >> 10;
	i->info.mem_upper = (uint32_t)((b->low_bytes >> 10) - 1024);
	i->info.cmdline = FW_LOW_CMDLINE;
	i->info.mmap_addr = FW_LOW_INFO + offsetof(struct info_block, map);
	i->info.mmap_length = n * (uint32_t)sizeof(struct mb_map);
	for (unsigned k = 0; k < n; k++) {
		i->map[k].size = sizeof(struct mb_map) - 4;
		i->map[k].addr = map[k].addr;
		i->map[k].len = map[k].size;
		i->map[k].type = map[k].type;
	}
	i->info.loader_name = FW_LOW_INFO + offsetof(struct info_block, loader);
	memcpy(i->loader, "vmeste", 7);
	if (module) {
		i->info.mods_count = 1;
		i->info.mods_addr =
			FW_LOW_INFO + offsetof(struct info_block, module);
		i->module.start = (uint32_t)module;
		i->module.end = (uint32_t)(module + b->initrd->size);
		i->module.string =
			FW_LOW_CMDLINE + (uint32_t)strlen(b->cmdline);
	}
	return g_bytes_new_take(i, sizeof(*i));
}

static bool plan_image(struct fw_plan *p, const struct fw_boot *b,
	const struct header *h, uint64_t where, uint64_t *end, GError **err)
{
	struct fw_elf elf;
	bool is_elf = false;

	if (h->flags & WANT_ADDRESSES) {
		p->eip = h->entry;
		return plan_flat(p, b, h, where, end, err);
	}
	if (!fw_elf_plan(p, b, &elf, &is_elf, err))
		return false;
	if (!is_elf)
		return bad(b->kernel,
			"it is neither ELF nor says where to "
			"load it",
			err);
	p->eip = (uint32_t)elf.phys_entry;
	*end = elf.end;
	return true;
}

bool fw_multiboot_plan(
	struct fw_plan *p, const struct fw_boot *b, bool *mine, GError **err)
{
	struct header h;
	uint64_t where, end = 0;
	gpa_t module = 0;

	*mine = find_header(b->kernel, &h, &where);
	if (!*mine)
		return true;
	if (h.flags & WANT_UNKNOWN)
		return bad(b->kernel,
			"it wants features of multiboot that "
			"are not known",
			err);
	if (strlen(b->cmdline) > FW_MAX_CMDLINE)
		return bad(b->kernel, "its command line is too long", err);
	if (!plan_image(p, b, &h, where, &end, err))
		return false;
	if (b->initrd && b->initrd->size) {
		module = fw_place_high(b, b->initrd->size, b->low_bytes,
			MAX(end, FW_HIGH_START));
		if (!module)
			return fw_error(err, "kernel and module do not fit",
				"give the machine more memory: --mem",
				"too little memory for %s", b->initrd->path);
		fw_plan_image(p, module, b->initrd, 0, b->initrd->size, 0);
	}
	fw_plan_bytes(p, FW_LOW_INFO, info_block(b, module));
	fw_plan_bytes(p, FW_LOW_CMDLINE,
		g_bytes_new(b->cmdline, strlen(b->cmdline) + 1));
	p->entry = FW_ENTRY_PROTECTED;
	p->eax = ENTRY_MAGIC;
	p->ebx = FW_LOW_INFO;
	p->kind = "multiboot";
	return true;
}
