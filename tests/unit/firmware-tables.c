/*
 * Tables for the guest: checksums, cross references, the memory map, and
 * that iasl reads what the AML writer wrote.
 */
#include <string.h>
#include <unistd.h>

#include <glib/gstdio.h>

#include "firmware/acpi.h"
#include "firmware/aml.h"
#include "firmware/e820.h"
#include "firmware/realboot.h"
#include "firmware/smbios.h"

#define AT 0xe0040u

static uint32_t ids[64];

static void build(struct fw_acpi *a, unsigned ncpus)
{
	struct fw_acpi_conf c = {
		.ncpus = ncpus,
		.apic_ids = ids,
		.hpet = true,
		.ncom = 2,
		.pm_base = 0x600,
		.smi_cmd_port = 0xb2,
		.pci_mem_first = 0x80000000,
		.pci_mem_last = 0xfebfffff,
		.genid = 0xfeda0000,
		.genid_gpe = 15,
	};

	for (unsigned i = 0; i < ncpus; i++)
		ids[i] = i;
	fw_acpi_build(a, &c);
}

static uint32_t get32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, 4);
	return v;
}

static uint8_t sum(const uint8_t *p, uint32_t len)
{
	uint8_t s = 0;

	while (len--)
		s = (uint8_t)(s + *p++);
	return s;
}

/* The table at a guest address, checked. */
static const uint8_t *table(
	const struct fw_acpi *a, uint64_t gpa, const char *signature)
{
	const uint8_t *t;

	g_assert_cmpuint(gpa, >=, AT);
	g_assert_cmpuint(gpa - AT + 36, <=, a->tables->len);
	t = a->tables->data + (gpa - AT);
	g_assert_cmpmem(t, 4, signature, 4);
	g_assert_cmpuint(gpa - AT + get32(t + 4), <=, a->tables->len);
	g_assert_cmpuint(sum(t, get32(t + 4)), ==, 0);
	return t;
}

static void test_acpi_references(void)
{
	static const char *const names[] = {"FACP", "APIC", "HPET"};
	struct fw_acpi a;
	const uint8_t *rsdt, *xsdt, *fadt;
	uint64_t wide;

	build(&a, 64);
	fw_acpi_place(&a, AT);
	g_assert_cmpmem(a.rsdp, 8, "RSD PTR ", 8);
	g_assert_cmpuint(sum(a.rsdp, 20), ==, 0);
	g_assert_cmpuint(sum(a.rsdp, 36), ==, 0);
	rsdt = table(&a, get32(a.rsdp + 16), "RSDT");
	memcpy(&wide, a.rsdp + 24, 8);
	xsdt = table(&a, wide, "XSDT");
	g_assert_cmpuint(get32(rsdt + 4), ==, 36 + 3 * 4);
	g_assert_cmpuint(get32(xsdt + 4), ==, 36 + 3 * 8);
	for (unsigned i = 0; i < 3; i++) {
		table(&a, get32(rsdt + 36 + 4 * i), names[i]);
		memcpy(&wide, xsdt + 36 + 8 * i, 8);
		g_assert_cmpuint(wide, ==, get32(rsdt + 36 + 4 * i));
	}
	fadt = table(&a, get32(rsdt + 36), "FACP");
	table(&a, get32(fadt + 40), "DSDT");
	memcpy(&wide, fadt + 140, 8);
	g_assert_cmpuint(wide, ==, get32(fadt + 40));
	/* the FACS has no checksum; it must be aligned to 64 bytes */
	g_assert_cmpuint(get32(fadt + 36) % 64, ==, 0);
	g_assert_cmpmem(a.tables->data + (get32(fadt + 36) - AT), 4, "FACS", 4);
	fw_acpi_fini(&a);
}

/* ACPI 6.4, 5.2.16: processors of both kinds, memory of the start, and where
 * more can come; only if more can. */
static void test_acpi_srat(void)
{
	static const uint32_t apic[] = {0, 1, 300};
	struct fw_acpi_conf c = {.ncpus = 3,
		.apic_ids = apic,
		.low_bytes = 0x80000000,
		.high_bytes = 0x10000000,
		.plug_first = 0x180000000,
		.plug_bytes = 0x40000000};
	static const uint64_t want[][2] = {{0, 0x80000000},
		{0x100000000, 0x10000000}, {0x180000000, 0x40000000}};
	struct fw_acpi a;
	const uint8_t *rsdt, *t;
	uint64_t at[2];

	fw_acpi_build(&a, &c);
	fw_acpi_place(&a, AT);
	rsdt = table(&a, get32(a.rsdp + 16), "RSDT");
	t = table(&a, get32(rsdt + get32(rsdt + 4) - 4), "SRAT");
	g_assert_cmpuint(get32(t + 4), ==, 48 + 2 * 16 + 24 + 3 * 40);
	g_assert_cmpmem(t + 48 + 16, 8, "\0\x10\0\1\1\0\0\0", 8);
	g_assert_cmpmem(t + 80, 2, "\2\x18", 2);
	g_assert_cmpuint(get32(t + 88), ==, 300);
	g_assert_cmpuint(get32(t + 92), ==, 1);
	t += 104;
	for (unsigned i = 0; i < 3; i++, t += 40) {
		g_assert_cmpmem(t, 2, "\1\x28", 2);
		memcpy(at, t + 8, sizeof(at));
		g_assert_cmpmem(at, sizeof(at), want[i], sizeof(at));
		g_assert_cmpuint(get32(t + 28), ==, i == 2 ? 3 : 1);
	}
	fw_acpi_fini(&a);
}

/* Carry out the loader's script as firmware does and get the same bytes. */
static void test_acpi_loader(void)
{
	struct fw_acpi a;
	struct fw_items items;
	const struct fw_item *script;
	const uint8_t *p;
	gsize len;

	build(&a, 2);
	fw_items_init(&items);
	fw_acpi_items(&a, &items);
	g_assert_cmpuint(items.list->len, ==, 3);
	script = &g_array_index(items.list, struct fw_item, 2);
	g_assert_cmpstr(script->name, ==, "etc/table-loader");
	p = g_bytes_get_data(script->data, &len);
	g_assert_cmpuint(len % 128, ==, 0);
	g_assert_cmpuint(len / 128, ==, 2 + a.patches->len);
	g_assert_cmpuint(get32(p), ==, 1);
	g_assert_cmpstr((const char *)p + 4, ==, "etc/acpi/tables");
	g_assert_cmpuint(get32(p + 60), ==, 64);
	g_assert_cmpuint(p[128 + 64], ==, 2); /* the RSDP: F-segment */
	/* every pointer and checksum lies inside its file */
	for (gsize at = 256; at < len; at += 128) {
		bool pointer = get32(p + at) == 2;
		bool rsdp =
			strcmp((const char *)p + at + 4, "etc/acpi/rsdp") == 0;
		uint32_t off = get32(p + at + (pointer ? 116 : 60));

		g_assert_cmpuint(off, <, rsdp ? sizeof(a.rsdp) : a.tables->len);
	}
	fw_items_fini(&items);
	fw_acpi_fini(&a);
}

static void test_acpi_iasl(void)
{
	g_autofree char *dir = g_dir_make_tmp("fw-XXXXXX", NULL);
	g_autofree char *aml = g_build_filename(dir, "dsdt.dat", NULL);
	g_autofree char *dsl = g_build_filename(dir, "dsdt.dsl", NULL);
	g_autofree char *out = g_build_filename(dir, "out.aml", NULL);
	g_autofree char *prefix = g_build_filename(dir, "out", NULL);
	g_autofree char *text = NULL;
	const char *read_it[] = {"iasl", "-d", aml, NULL};
	const char *write_it[] = {
		"iasl", "-vs", "-ve", "-p", prefix, dsl, NULL};
	g_autofree char *iasl = g_find_program_in_path("iasl");
	struct fw_acpi a;
	const uint8_t *dsdt;
	int status;

	if (!iasl) {
		g_test_skip("iasl (acpica-tools) is not installed");
		g_rmdir(dir);
		return;
	}
	build(&a, 3);
	fw_acpi_place(&a, AT);
	dsdt = a.tables->data + 64; /* behind the FACS */
	g_assert_cmpmem(dsdt, 4, "DSDT", 4);
	g_assert_true(g_file_set_contents(
		aml, (const char *)dsdt, get32(dsdt + 4), NULL));
	g_assert_true(g_spawn_sync(dir, (char **)(uintptr_t)read_it, NULL,
		G_SPAWN_SEARCH_PATH | G_SPAWN_STDOUT_TO_DEV_NULL |
			G_SPAWN_STDERR_TO_DEV_NULL,
		NULL, NULL, NULL, NULL, &status, NULL));
	g_assert_cmpint(status, ==, 0);
	g_assert_true(g_file_get_contents(dsl, &text, NULL, NULL));
	g_assert_nonnull(strstr(text, "Device (PCI0)"));
	g_assert_nonnull(strstr(text, "Processor (C002, 0x02"));
	g_assert_nonnull(strstr(text, "PRQB |= 0x80"));
	g_assert_true(g_spawn_sync(dir, (char **)(uintptr_t)write_it, NULL,
		G_SPAWN_SEARCH_PATH | G_SPAWN_STDOUT_TO_DEV_NULL |
			G_SPAWN_STDERR_TO_DEV_NULL,
		NULL, NULL, NULL, NULL, &status, NULL));
	g_assert_cmpint(status, ==, 0);
	fw_acpi_fini(&a);
	g_unlink(aml);
	g_unlink(dsl);
	g_unlink(out);
	g_rmdir(dir);
}

/* ACPI 6.4, 20.2.4: lengths of 1 to 3 bytes at their borders. */
static void test_aml_lengths(void)
{
	static const struct {
		unsigned body, bytes;
	} cases[] = {{58, 1}, {59, 2}, {4089, 2}, {4090, 3}};

	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
		struct aml w;
		GByteArray *out;
		unsigned len;
		const uint8_t *p;

		aml_init(&w);
		aml_scope(&w, "ABCD"); /* 4 bytes of name */
		for (unsigned k = 4; k < cases[i].body + 4; k++)
			aml_int(&w, 0); /* one byte each */
		aml_end(&w);
		out = aml_finish(&w);
		p = out->data + 1;
		g_assert_cmpuint(
			out->len, ==, 1 + cases[i].bytes + 4 + cases[i].body);
		g_assert_cmpuint((p[0] >> 6) + 1u, ==, cases[i].bytes);
		len = p[0] & (cases[i].bytes == 1 ? 0x3f : 0x0f);
		for (unsigned k = 1; k < cases[i].bytes; k++)
			len |= (unsigned)p[k] << (4 + 8 * (k - 1));
		g_assert_cmpuint(len, ==, out->len - 1);
		g_byte_array_unref(out);
	}
}

static void test_e820(void)
{
	struct fw_e820 t[FW_E820_MAX];
	unsigned n = fw_e820_direct(t, 64 << 20, 0, 0, 0);
	uint64_t ram = 0;

	for (unsigned i = 0; i < n; i++) {
		if (i)
			g_assert_cmpuint(
				t[i].addr, >=, t[i - 1].addr + t[i - 1].size);
		if (t[i].type == FW_E820_RAM)
			ram += t[i].size;
	}
	g_assert_cmpuint(ram, ==, FW_EBDA + (63 << 20));
	/* RAM above 4 GiB comes last */
	n = fw_e820_direct(t, 0xc0000000, 1ull << 30, 0, 0);
	g_assert_cmpuint(t[n - 1].addr, ==, 1ull << 32);
	g_assert_cmpuint(t[n - 1].size, ==, 1ull << 30);
	/* a page that is somebody's */
	n = fw_e820_direct(t, 64 << 20, 0, 0, 0xfeda0000);
	g_assert_cmpuint(t[n - 2].addr, ==, 0xfeda0000);
	g_assert_cmpuint(t[n - 2].size, ==, 4096);
	g_assert_cmpuint(t[n - 2].type, ==, FW_E820_RESERVED);
	/* a machine of 1 MiB has no RAM above it */
	n = fw_e820_direct(t, 1 << 20, 0, 0, 0);
	for (unsigned i = 0; i < n; i++)
		g_assert_true(t[i].type != FW_E820_RAM || t[i].addr < 0x100000);
}

/* SMBIOS 2.8, 6.1: walk by length and double NUL to type 127. */
static void test_smbios(void)
{
	struct fw_smbios_conf c = {.name = "test",
		.board = "q35",
		.version = "1",
		.cpu = "model",
		.cpu_mhz = 2345,
		.sockets = 2,
		.cores = 4,
		.threads = 2,
		.ram_bytes = 40ull << 30,
		.low_bytes = 3ull << 30};
	unsigned count, largest, n = 0;
	GBytes *b = fw_smbios_tables(&c, &count, &largest);
	gsize len, at = 0;
	const uint8_t *p = g_bytes_get_data(b, &len);
	uint8_t entry[FW_SMBIOS_ENTRY_SIZE];
	bool seen[128] = {false};

	/* BIOS information, extension byte 2 (7.1.2.2): UEFI only if it is */
	g_assert_cmpuint(p[19], ==, 0x14);
	g_assert_nonnull(memmem(p, len, "vmeste q35", 11));
	while (at + 4 < len) {
		seen[p[at] & 127] = true;
		if (p[at] == 4) /* speeds: 7.5 */
			g_assert_cmpmem(
				p + at + 0x14, 4, "\x29\x09\x29\x09", 4);
		n++;
		at += p[at + 1];
		while (at + 1 < len && (p[at] || p[at + 1]))
			at++;
		at += 2;
	}
	g_assert_cmpuint(at, ==, len);
	g_assert_cmpuint(n, ==, count);
	g_assert_true(seen[0] && seen[1] && seen[3] && seen[4] && seen[16] &&
		      seen[17] && seen[19] && seen[32] && seen[127]);
	fw_smbios_entry(entry, b, count, largest, 0xf0020);
	g_assert_cmpuint(sum(entry, sizeof(entry)), ==, 0);
	g_assert_cmpuint(sum(entry + 16, 15), ==, 0);
	g_bytes_unref(b);
}

static void test_realboot_rom(void)
{
	GBytes *b = fw_realboot_rom();
	gsize len;
	const uint8_t *p = g_bytes_get_data(b, &len);
	unsigned pnp = p[0x1a] | p[0x1b] << 8;

	g_assert_cmpuint(p[0], ==, 0x55);
	g_assert_cmpuint(p[1], ==, 0xaa);
	g_assert_cmpuint(p[2] * 512u, ==, len);
	g_assert_cmpuint(sum(p, (uint32_t)len), ==, 0);
	g_assert_cmpuint(pnp % 16, ==, 0);
	g_assert_cmpmem(p + pnp, 4, "$PnP", 4);
	g_bytes_unref(b);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/firmware/acpi/references", test_acpi_references);
	g_test_add_func("/firmware/acpi/srat", test_acpi_srat);
	g_test_add_func("/firmware/acpi/loader", test_acpi_loader);
	g_test_add_func("/firmware/acpi/iasl", test_acpi_iasl);
	g_test_add_func("/firmware/aml/lengths", test_aml_lengths);
	g_test_add_func("/firmware/e820", test_e820);
	g_test_add_func("/firmware/smbios", test_smbios);
	g_test_add_func("/firmware/realboot", test_realboot_rom);
	return g_test_run();
}
