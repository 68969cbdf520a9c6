/*
 * elf.c - ELF executables as kernels (ELF 1.2; gABI chapter 5).
 *
 * Loaded by physical address.  The entry is translated from virtual to
 * physical through the segment it lies in.  A Xen note of type 18
 * (PHYS32_ENTRY) gives the PVH entry.
 */
#include <elf.h>
#include <string.h>

#include "firmware/load.h"

#define MAX_SEGMENTS	 64
#define MAX_NOTE_BYTES	 65536
#define XEN_PHYS32_ENTRY 18

/* A program header of either class. */
struct segment {
	uint32_t type;
	uint64_t off, vaddr, paddr, filesz, memsz, align;
};

static bool broken(const struct fw_image *k, const char *why, GError **err)
{
	return fw_error(err, why, "copy or build it again",
		"%s is a broken ELF file", k->path);
}

static bool read_segment(
	const struct fw_image *k, bool is64, uint64_t off, struct segment *s)
{
	Elf64_Phdr p64;
	Elf32_Phdr p32;

	if (is64) {
		if (!fw_image_read(k, off, &p64, sizeof(p64)))
			return false;
		*s = (struct segment){p64.p_type, p64.p_offset, p64.p_vaddr,
			p64.p_paddr, p64.p_filesz, p64.p_memsz, p64.p_align};
		return true;
	}
	if (!fw_image_read(k, off, &p32, sizeof(p32)))
		return false;
	*s = (struct segment){p32.p_type, p32.p_offset, p32.p_vaddr,
		p32.p_paddr, p32.p_filesz, p32.p_memsz, p32.p_align};
	return true;
}

/* Look for the Xen note in a PT_NOTE segment. */
static void scan_notes(
	const struct fw_image *k, const struct segment *s, struct fw_elf *out)
{
	size_t len = MIN(s->filesz, MAX_NOTE_BYTES), at = 0;
	size_t align = s->align == 8 ? 8 : 4;
	g_autofree uint8_t *buf = g_malloc0(len + 16);

	if (!fw_image_read(k, s->off, buf, len))
		return;
	while (at + sizeof(Elf32_Nhdr) <= len) {
		Elf32_Nhdr n;
		size_t name = at + sizeof(n), desc;

		memcpy(&n, buf + at, sizeof(n));
		if (n.n_namesz > len || n.n_descsz > len)
			return;
		desc = (name + n.n_namesz + align - 1) & ~(align - 1);
		if (desc + n.n_descsz > len)
			return;
		if (n.n_type == XEN_PHYS32_ENTRY && n.n_namesz == 4 &&
			!memcmp(buf + name, "Xen", 4) && n.n_descsz >= 4) {
			memcpy(&out->pvh_entry, buf + desc, 4);
			out->has_pvh = true;
			return;
		}
		at = (desc + n.n_descsz + align - 1) & ~(align - 1);
	}
}

static bool plan_segment(struct fw_plan *p, const struct fw_boot *b,
	const struct segment *s, struct fw_elf *out, GError **err)
{
	const struct fw_image *k = b->kernel;
	uint64_t end = s->paddr + s->memsz;

	if (!s->memsz)
		return true;
	if (s->filesz > s->memsz || s->off > k->size ||
		s->filesz > k->size - s->off)
		return broken(k, "a segment lies outside the file", err);
	if (end < s->paddr || end > b->low_bytes) {
		g_autofree char *why = g_strdup_printf(
			"it loads at %#" PRIx64 "..%#" PRIx64
			", the machine has %" PRIu64 " MiB below 4 GiB",
			s->paddr, end, b->low_bytes >> 20);

		return fw_error(err, why, "give the machine more memory: --mem",
			"too little memory for %s", k->path);
	}
	if (out->entry >= s->vaddr && out->entry - s->vaddr < s->memsz)
		out->phys_entry = out->entry - s->vaddr + s->paddr;
	out->end = MAX(out->end, end);
	if (p)
		fw_plan_image(p, s->paddr, k, s->off, s->filesz,
			s->memsz - s->filesz);
	return true;
}

struct headers {
	uint64_t phoff;
	unsigned phnum, phentsize, machine;
};

static bool read_headers(
	const struct fw_image *k, struct fw_elf *out, struct headers *h)
{
	Elf64_Ehdr e64;
	Elf32_Ehdr e32;

	if (out->is64) {
		if (!fw_image_read(k, 0, &e64, sizeof(e64)))
			return false;
		out->entry = e64.e_entry;
		*h = (struct headers){e64.e_phoff, e64.e_phnum, e64.e_phentsize,
			e64.e_machine};
		return e64.e_phentsize >= sizeof(Elf64_Phdr);
	}
	if (!fw_image_read(k, 0, &e32, sizeof(e32)))
		return false;
	out->entry = e32.e_entry;
	*h = (struct headers){
		e32.e_phoff, e32.e_phnum, e32.e_phentsize, e32.e_machine};
	return e32.e_phentsize >= sizeof(Elf32_Phdr);
}

bool fw_elf_plan(struct fw_plan *p, const struct fw_boot *b, struct fw_elf *out,
	bool *mine, GError **err)
{
	const struct fw_image *k = b->kernel;
	unsigned char ident[EI_NIDENT];
	struct headers h;

	memset(out, 0, sizeof(*out));
	*mine = fw_image_read(k, 0, ident, sizeof(ident)) &&
		!memcmp(ident, ELFMAG, SELFMAG);
	if (!*mine)
		return true;
	out->is64 = ident[EI_CLASS] == ELFCLASS64;
	if (ident[EI_DATA] != ELFDATA2LSB || !read_headers(k, out, &h))
		return broken(
			k, "its header is cut off or makes no sense", err);
	if (h.machine != EM_386 && h.machine != EM_X86_64)
		return fw_error(err, "it is for another processor",
			"use a kernel for x86", "cannot start %s", k->path);
	if (!h.phnum || h.phnum > MAX_SEGMENTS || h.phoff > k->size)
		return broken(k, "it has no usable program headers", err);
	out->phys_entry = out->entry;
	for (unsigned i = 0; i < h.phnum; i++) {
		struct segment s;

		if (!read_segment(k, out->is64,
			    h.phoff + (uint64_t)i * h.phentsize, &s))
			return broken(
				k, "its program headers are cut off", err);
		if (s.type == PT_NOTE)
			scan_notes(k, &s, out);
		if (s.type == PT_LOAD && !plan_segment(p, b, &s, out, err))
			return false;
	}
	return true;
}
