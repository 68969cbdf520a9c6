/*
 * e820.c - the memory map that the guest's firmware hands on.
 */
#include "firmware/e820.h"

static void add(struct fw_e820 *t, unsigned *n, uint64_t addr, uint64_t end,
	uint32_t type)
{
	if (end <= addr)
		return;
	t[*n].addr = GUINT64_TO_LE(addr);
	t[*n].size = GUINT64_TO_LE(end - addr);
	t[*n].type = GUINT32_TO_LE(type);
	++*n;
}

unsigned fw_e820_direct(struct fw_e820 out[FW_E820_MAX], uint64_t low,
	uint64_t high, uint32_t ecam, uint32_t page)
{
	unsigned n = 0;

	add(out, &n, 0, MIN(low, FW_EBDA), FW_E820_RAM);
	add(out, &n, FW_EBDA, 0xa0000, FW_E820_RESERVED);
	add(out, &n, FW_BIOS_AREA, 0x100000, FW_E820_RESERVED);
	add(out, &n, 0x100000, low, FW_E820_RAM);
	if (ecam)
		add(out, &n, ecam, ecam + (256ull << 20), FW_E820_RESERVED);
	if (page)
		add(out, &n, page, page + 4096ull, FW_E820_RESERVED);
	/* the BIOS ROM at the top of 4 GiB */
	add(out, &n, 0xfffc0000, 1ull << 32, FW_E820_RESERVED);
	add(out, &n, 1ull << 32, (1ull << 32) + high, FW_E820_RAM);
	return n;
}

GBytes *fw_e820_table(uint64_t low, uint64_t high, uint32_t page)
{
	struct fw_e820 t[3];
	unsigned n = 0;

	add(t, &n, 0, low, FW_E820_RAM);
	if (page)
		add(t, &n, page, page + 4096ull, FW_E820_RESERVED);
	add(t, &n, 1ull << 32, (1ull << 32) + high, FW_E820_RAM);
	return g_bytes_new(t, n * sizeof(t[0]));
}
