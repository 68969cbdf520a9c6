/*
 * smbios.c - SMBIOS structures of types 0, 1, 3, 4, 16, 17, 19, 32 and 127.
 *
 * A structure is a header {type, length, handle}, fixed fields, and strings
 * which the fields name by number from 1.
 */
#include "firmware/smbios.h"

#include <string.h>

struct builder {
	GByteArray *out;
	unsigned start; /* of the current structure */
	GPtrArray *strings;
	unsigned count, largest;
};

static void put(struct builder *b, uint64_t v, unsigned len)
{
	uint64_t le = GUINT64_TO_LE(v);

	g_byte_array_append(b->out, (const uint8_t *)&le, len);
}

static void begin(struct builder *b, unsigned type, unsigned handle)
{
	b->start = b->out->len;
	g_ptr_array_set_size(b->strings, 0);
	put(b, type, 1);
	put(b, 0, 1); /* length */
	put(b, handle, 2);
}

/* Text is ours or the user's; a NUL ends it, so it cannot break the set. */
static void text(struct builder *b, const char *s)
{
	if (!s || !*s) {
		put(b, 0, 1);
		return;
	}
	g_ptr_array_add(b->strings, (gpointer)(uintptr_t)s);
	put(b, b->strings->len, 1);
}

static void end(struct builder *b)
{
	unsigned len = b->out->len - b->start;

	b->out->data[b->start + 1] = (uint8_t)len;
	for (unsigned i = 0; i < b->strings->len; i++) {
		const char *s = g_ptr_array_index(b->strings, i);

		g_byte_array_append(
			b->out, (const uint8_t *)s, (unsigned)strlen(s) + 1);
	}
	if (!b->strings->len)
		put(b, 0, 1);
	put(b, 0, 1);
	b->count++;
	b->largest = MAX(b->largest, b->out->len - b->start);
}

static void bios(struct builder *b, const struct fw_smbios_conf *c)
{
	begin(b, 0, 0x000);
	text(b, "vmeste");
	text(b, c->version);
	put(b, 0xe800, 2); /* segment */
	text(b, "11/22/2026");
	put(b, 3, 1);			   /* (n + 1) * 64 KiB */
	put(b, 1ull << 7 | 1ull << 15, 8); /* PCI, boot from CD selectable */
	/* virtual machine, content may be targeted, whether UEFI */
	put(b, c->uefi ? 0x1c00 : 0x1400, 2);
	put(b, 0, 1);
	put(b, 0, 1);
	put(b, 0xff, 1); /* no embedded controller */
	put(b, 0xff, 1);
	end(b);
}

static void board_system(struct builder *b, const struct fw_smbios_conf *c)
{
	g_autofree char *product = g_strdup_printf("vmeste %s", c->board);

	begin(b, 1, 0x100);
	text(b, "vmeste");
	text(b, product);
	text(b, c->version);
	text(b, c->name);
	g_byte_array_append(b->out, c->uuid, 16);
	put(b, 6, 1); /* woken by the power switch */
	put(b, 0, 1);
	text(b, "Virtual Machine");
	end(b);
}

static void chassis(struct builder *b, const struct fw_smbios_conf *c)
{
	begin(b, 3, 0x300);
	text(b, "vmeste");
	put(b, 1, 1); /* other */
	text(b, c->version);
	put(b, 0, 1);
	put(b, 0, 1);
	put(b, 0x03030303, 4); /* safe: boot-up, power, thermal; security */
	put(b, 0, 4);
	put(b, 0, 1); /* height, power cords, contained elements */
	put(b, 0, 1);
	put(b, 0, 1);
	put(b, 0, 1);
	put(b, 0, 1);
	end(b);
}

static void processor(
	struct builder *b, const struct fw_smbios_conf *c, unsigned n)
{
	unsigned cores = MIN(c->cores, 254u);
	unsigned threads = MIN(c->cores * c->threads, 254u);
	g_autofree char *socket = g_strdup_printf("CPU %u", n);

	begin(b, 4, 0x400 + n);
	text(b, socket);
	put(b, 3, 1); /* central processor */
	put(b, 1, 1); /* family: other */
	text(b, "vmeste");
	put(b, c->cpuid_eax, 4);
	put(b, c->cpuid_edx, 4);
	text(b, c->cpu);
	put(b, 0, 1); /* voltage, external clock: unknown */
	put(b, 0, 2);
	put(b, MIN(c->cpu_mhz, 65535u), 2); /* maximum, current */
	put(b, MIN(c->cpu_mhz, 65535u), 2);
	put(b, 0x41, 1);   /* populated, enabled */
	put(b, 1, 1);	   /* upgrade: other */
	put(b, 0xffff, 2); /* cache handles */
	put(b, 0xffff, 2);
	put(b, 0xffff, 2);
	put(b, 0, 3); /* serial, asset, part */
	put(b, cores, 1);
	put(b, cores, 1);
	put(b, threads, 1);
	put(b, 0x04, 2); /* 64-bit capable */
	put(b, 1, 2);
	end(b);
}

#define DIMM_MAX (16ull << 30)

static void memory(struct builder *b, const struct fw_smbios_conf *c)
{
	unsigned n = (unsigned)((c->ram_bytes + DIMM_MAX - 1) / DIMM_MAX);
	uint64_t left = c->ram_bytes;

	n = MIN(n, 64u);
	begin(b, 16, 0x1000);
	put(b, 1, 1); /* other location, system memory, multi-bit ECC */
	put(b, 3, 1);
	put(b, 6, 1);
	if (c->ram_bytes < 2ull << 40)
		put(b, c->ram_bytes >> 10, 4);
	else
		put(b, 0x80000000, 4);
	put(b, 0xfffe, 2);
	put(b, n, 2);
	put(b, c->ram_bytes < 2ull << 40 ? 0 : c->ram_bytes, 8);
	end(b);
	for (unsigned i = 0; i < n; i++) {
		uint64_t mib = (i == n - 1 ? left : MIN(left, DIMM_MAX)) >> 20;
		g_autofree char *where = g_strdup_printf("DIMM %u", i);

		left -= mib << 20;
		begin(b, 17, 0x1100 + i);
		put(b, 0x1000, 2);
		put(b, 0xfffe, 2);
		put(b, 0xffff, 2); /* widths unknown */
		put(b, 0xffff, 2);
		put(b, mib < 0x7fff ? mib : 0x7fff, 2);
		put(b, 9, 1); /* DIMM */
		put(b, 0, 1);
		text(b, where);
		put(b, 0, 1);
		put(b, 7, 1); /* RAM */
		put(b, 2, 2);
		put(b, 0, 2); /* speed */
		text(b, "vmeste");
		put(b, 0, 3);
		put(b, 0, 1);
		put(b, mib < 0x7fff ? 0 : mib, 4);
		put(b, 0, 8); /* clock, voltages */
		end(b);
	}
}

static void mapped(
	struct builder *b, unsigned n, uint64_t first, uint64_t bytes)
{
	if (!bytes)
		return;
	begin(b, 19, 0x1300 + n);
	if ((first + bytes) >> 10 <= 0xffffffff) {
		put(b, first >> 10, 4);
		put(b, ((first + bytes) >> 10) - 1, 4);
	} else {
		put(b, 0xffffffff, 4);
		put(b, 0xffffffff, 4);
	}
	put(b, 0x1000, 2);
	put(b, 1, 1);
	put(b, first, 8);
	put(b, first + bytes - 1, 8);
	end(b);
}

GBytes *fw_smbios_tables(
	const struct fw_smbios_conf *c, unsigned *count, unsigned *largest)
{
	struct builder b = {
		.out = g_byte_array_new(), .strings = g_ptr_array_new()};

	bios(&b, c);
	board_system(&b, c);
	chassis(&b, c);
	for (unsigned i = 0; i < c->sockets; i++)
		processor(&b, c, i);
	memory(&b, c);
	mapped(&b, 0, 0, c->low_bytes);
	mapped(&b, 1, 1ull << 32, c->ram_bytes - c->low_bytes);
	begin(&b, 32, 0x2000);
	put(&b, 0, 6);
	put(&b, 0, 1); /* no boot errors */
	end(&b);
	begin(&b, 127, 0x7f00);
	end(&b);
	g_ptr_array_unref(b.strings);
	*count = b.count;
	*largest = b.largest;
	return g_byte_array_free_to_bytes(b.out);
}

static uint8_t checksum(const uint8_t *p, unsigned n)
{
	uint8_t sum = 0;

	while (n--)
		sum = (uint8_t)(sum + *p++);
	return (uint8_t)-sum;
}

void fw_smbios_entry(uint8_t out[FW_SMBIOS_ENTRY_SIZE], GBytes *tables,
	unsigned count, unsigned largest, uint32_t gpa)
{
	uint16_t len = GUINT16_TO_LE((uint16_t)g_bytes_get_size(tables));
	uint16_t max = GUINT16_TO_LE((uint16_t)largest);
	uint16_t n = GUINT16_TO_LE((uint16_t)count);

	memset(out, 0, FW_SMBIOS_ENTRY_SIZE);
	memcpy(out, "_SM_", 4);
	out[5] = FW_SMBIOS_ENTRY_SIZE;
	out[6] = 2; /* version 2.8 */
	out[7] = 8;
	memcpy(out + 8, &max, 2);
	memcpy(out + 16, "_DMI_", 5);
	memcpy(out + 22, &len, 2);
	gpa = GUINT32_TO_LE(gpa);
	memcpy(out + 24, &gpa, 4);
	memcpy(out + 28, &n, 2);
	out[30] = 0x28;
	out[21] = checksum(out + 16, 15);
	out[4] = checksum(out, FW_SMBIOS_ENTRY_SIZE);
}

void fw_smbios_items(const struct fw_smbios_conf *c, struct fw_items *items)
{
	uint8_t entry[FW_SMBIOS_ENTRY_SIZE];
	unsigned count, largest;
	GBytes *tables = fw_smbios_tables(c, &count, &largest);

	fw_smbios_entry(entry, tables, count, largest, 0);
	fw_items_file(items, "etc/smbios/smbios-tables", tables);
	fw_items_file(items, "etc/smbios/smbios-anchor",
		g_bytes_new(entry, sizeof(entry)));
}
