/*
 * acpi.c - fixed tables, their cross references, and how they reach the guest.
 *
 * Revisions are those of ACPI 2.0 with a 1.0 RSDT beside the XSDT, which
 * every guest since the late nineties takes.
 */
#include "firmware/acpi.h"

#include <string.h>

#define TABLES_FILE "etc/acpi/tables"
#define RSDP_FILE   "etc/acpi/rsdp"

enum {
	HEADER = 36,
	OFF_LENGTH = 4,
	OFF_CHECKSUM = 9,
	FADT_SIZE = 244,
	FACS_SIZE = 64,
	FADT_FACS = 36,
	FADT_DSDT = 40,
	RSDP_RSDT = 16,
	RSDP_XSDT = 24,
};

static void put(GByteArray *b, uint64_t v, unsigned len)
{
	uint64_t le = GUINT64_TO_LE(v);

	g_byte_array_append(b, (const uint8_t *)&le, len);
}

static void set(GByteArray *b, uint32_t off, uint64_t v, unsigned len)
{
	uint64_t le = GUINT64_TO_LE(v);

	memcpy(b->data + off, &le, len);
}

static void align(GByteArray *b, unsigned to)
{
	while (b->len % to)
		put(b, 0, 1);
}

static void patch(struct fw_acpi *a, int kind, bool in_rsdp, uint32_t offset,
	uint32_t size, uint32_t start)
{
	struct fw_acpi_patch p = {.kind = kind,
		.in_rsdp = in_rsdp,
		.offset = offset,
		.size = size,
		.start = start};

	g_array_append_val(a->patches, p);
}

/* Begin a table: header with a length and checksum to be filled by end. */
static uint32_t begin(struct fw_acpi *a, const char *signature, unsigned rev)
{
	GByteArray *b = a->tables;
	uint32_t at;

	align(b, 16);
	at = b->len;
	g_byte_array_append(b, (const uint8_t *)signature, 4);
	put(b, 0, 4); /* length */
	put(b, rev, 1);
	put(b, 0, 1); /* checksum */
	g_byte_array_append(b, (const uint8_t *)"VMESTE", 6);
	g_byte_array_append(b, (const uint8_t *)"VMESTEPC", 8);
	put(b, 1, 4);
	g_byte_array_append(b, (const uint8_t *)"VMST", 4);
	put(b, 1, 4);
	return at;
}

static void end(struct fw_acpi *a, uint32_t at)
{
	uint32_t len = a->tables->len - at;

	set(a->tables, at + OFF_LENGTH, len, 4);
	patch(a, FW_PATCH_CHECKSUM, false, at + OFF_CHECKSUM, len, at);
}

/* A pointer inside the tables to another place inside them. */
static void pointer(struct fw_acpi *a, uint32_t off, uint32_t to, unsigned size)
{
	set(a->tables, off, to, size);
	patch(a, FW_PATCH_POINTER, false, off, size, 0);
}

static uint32_t build_facs(struct fw_acpi *a)
{
	uint32_t at;

	align(a->tables, 64);
	at = a->tables->len;
	g_byte_array_append(a->tables, (const uint8_t *)"FACS", 4);
	put(a->tables, FACS_SIZE, 4);
	while (a->tables->len < at + FACS_SIZE)
		put(a->tables, 0, 1);
	return at;
}

static uint32_t build_dsdt(struct fw_acpi *a, const struct fw_acpi_conf *c)
{
	uint32_t at = begin(a, "DSDT", 1);
	GByteArray *code = fw_acpi_dsdt(c);

	g_byte_array_append(a->tables, code->data, code->len);
	g_byte_array_unref(code);
	end(a, at);
	return at;
}

/* Generic address structure: system I/O. */
static void gas_io(GByteArray *b, unsigned bits, uint64_t port)
{
	put(b, port ? 1 : 0, 1);
	put(b, port ? bits : 0, 1);
	put(b, 0, 1);
	put(b, port ? (bits == 16 ? 2 : bits == 32 ? 3 : 1) : 0, 1);
	put(b, port, 8);
}

enum {
	FADT_WBINVD = 1 << 0,
	FADT_C1 = 1 << 2,
	FADT_NO_SLEEP_BUTTON = 1 << 5,
	FADT_RESET_REG = 1 << 10,
	FADT_CLOCK = 1 << 15,
	ARCH_LEGACY = 1 << 0,
	ARCH_8042 = 1 << 1,
	ARCH_NO_VGA = 1 << 2,
};

static unsigned gpe_offset(const struct fw_acpi_conf *c)
{
	return c->q35 ? 0x20 : 0x0c;
}

static unsigned gpe_bytes(const struct fw_acpi_conf *c)
{
	return c->q35 ? 16 : 4;
}

/* The first 116 bytes: as in ACPI 1.0. */
static void fadt_old_part(GByteArray *b, const struct fw_acpi_conf *c)
{
	put(b, 0, 4); /* FACS, DSDT: patched */
	put(b, 0, 4);
	put(b, 1, 1); /* interrupt model of ACPI 1.0: dual 8259 */
	put(b, 1, 1); /* profile: desktop */
	put(b, 9, 2); /* SCI */
	put(b, c->smi_cmd_port, 4);
	put(b, c->smi_cmd_port ? 0xf1 : 0, 1); /* enable, disable */
	put(b, c->smi_cmd_port ? 0xf0 : 0, 1);
	put(b, 0, 2);	       /* S4BIOS, P-state */
	put(b, c->pm_base, 4); /* PM1a event */
	put(b, 0, 4);
	put(b, c->pm_base + 4u, 4);	       /* PM1a control */
	put(b, 0, 8);			       /* PM1b, PM2 control */
	put(b, c->pm_base + 8u, 4);	       /* timer */
	put(b, c->pm_base + gpe_offset(c), 4); /* GPE0, GPE1 */
	put(b, 0, 4);
	put(b, 4, 1); /* lengths: PM1 event, control, PM2, */
	put(b, 2, 1);
	put(b, 0, 1);
	put(b, 4, 1);		 /* timer, */
	put(b, gpe_bytes(c), 1); /* GPE0, */
	put(b, 0, 3);		 /* GPE1, GPE1 base, C-state control */
	put(b, 0xfff, 2);	 /* no C2, C3 */
	put(b, 0xfff, 2);
	put(b, 0, 4);	 /* flush size and stride: WBINVD works */
	put(b, 0, 4);	 /* duty offset and width, day and month alarm */
	put(b, 0x32, 1); /* century register of the RTC */
	put(b, ARCH_LEGACY | ARCH_8042 | (c->display ? 0 : ARCH_NO_VGA), 2);
	put(b, 0, 1);
	put(b,
		FADT_WBINVD | FADT_C1 | FADT_NO_SLEEP_BUTTON | FADT_RESET_REG |
			FADT_CLOCK,
		4);
}

static uint32_t build_fadt(struct fw_acpi *a, const struct fw_acpi_conf *c,
	uint32_t facs, uint32_t dsdt)
{
	GByteArray *b = a->tables;
	uint32_t at = begin(a, "FACP", 3);

	fadt_old_part(b, c);
	gas_io(b, 8, 0xcf9);
	put(b, 0x06, 1); /* full reset */
	put(b, 0, 3);
	put(b, 0, 8); /* X_FACS: only one of the two may be given */
	put(b, 0, 8); /* X_DSDT: patched */
	gas_io(b, 32, c->pm_base);
	gas_io(b, 0, 0);
	gas_io(b, 16, c->pm_base + 4u);
	gas_io(b, 0, 0);
	gas_io(b, 0, 0);
	gas_io(b, 32, c->pm_base + 8u);
	gas_io(b, 8 * gpe_bytes(c), c->pm_base + gpe_offset(c));
	gas_io(b, 0, 0);
	g_assert(b->len - at == FADT_SIZE);
	pointer(a, at + FADT_FACS, facs, 4);
	pointer(a, at + FADT_DSDT, dsdt, 4);
	pointer(a, at + 140, dsdt, 8);
	end(a, at);
	return at;
}

enum {
	MADT_LAPIC,
	MADT_IOAPIC,
	MADT_OVERRIDE,
	MADT_LAPIC_NMI = 4,
	MADT_X2APIC = 9,
	MADT_X2APIC_NMI
};

static void madt_cpu(GByteArray *b, unsigned uid, uint32_t apic_id)
{
	if (apic_id < 255 && uid < 255) {
		put(b, MADT_LAPIC, 1);
		put(b, 8, 1);
		put(b, uid, 1);
		put(b, apic_id, 1);
		put(b, 1, 4); /* enabled */
		return;
	}
	put(b, MADT_X2APIC, 1);
	put(b, 16, 1);
	put(b, 0, 2);
	put(b, apic_id, 4);
	put(b, 1, 4);
	put(b, uid, 4);
}

static void madt_override(
	GByteArray *b, unsigned irq, unsigned gsi, unsigned flags)
{
	put(b, MADT_OVERRIDE, 1);
	put(b, 10, 1);
	put(b, 0, 1); /* ISA */
	put(b, irq, 1);
	put(b, gsi, 4);
	put(b, flags, 2);
}

static void madt_nmi(GByteArray *b, bool x2apic)
{
	if (x2apic) {
		put(b, MADT_X2APIC_NMI, 1);
		put(b, 12, 1);
		put(b, 0, 2);
		put(b, 0xffffffff, 4);
		put(b, 1, 1); /* LINT1 */
		put(b, 0, 3);
		return;
	}
	put(b, MADT_LAPIC_NMI, 1);
	put(b, 6, 1);
	put(b, 0xff, 1); /* every processor */
	put(b, 0, 2);
	put(b, 1, 1);
}

static uint32_t build_madt(struct fw_acpi *a, const struct fw_acpi_conf *c)
{
	static const uint8_t level[] = {5, 9, 10, 11};
	GByteArray *b = a->tables;
	uint32_t at = begin(a, "APIC", 3);
	bool x2apic = false;

	put(b, 0xfee00000, 4);
	put(b, 1, 4); /* dual 8259 present */
	for (unsigned i = 0; i < c->ncpus; i++) {
		madt_cpu(b, i, c->apic_ids[i]);
		x2apic |= c->apic_ids[i] >= 255;
	}
	put(b, MADT_IOAPIC, 1);
	put(b, 12, 1);
	put(b, 0, 2); /* id 0 */
	put(b, 0xfec00000, 4);
	put(b, 0, 4);
	madt_override(b, 0, 2, 0);
	for (unsigned i = 0; i < sizeof(level); i++)
		madt_override(b, level[i], level[i], 0xd); /* level, high */
	madt_nmi(b, false);
	if (x2apic)
		madt_nmi(b, true);
	end(a, at);
	return at;
}

static uint32_t build_hpet(struct fw_acpi *a)
{
	GByteArray *b = a->tables;
	uint32_t at = begin(a, "HPET", 1);

	put(b, 0x8086a201, 4); /* as its capability register */
	put(b, 0, 4);	       /* memory, */
	put(b, 0xfed00000, 8);
	put(b, 0, 1);	/* number */
	put(b, 100, 2); /* shortest safe period in ticks */
	put(b, 0, 1);
	end(a, at);
	return at;
}

enum {
	SRAT_LAPIC,
	SRAT_MEMORY,
	SRAT_X2APIC,
	SRAT_ENABLED = 1 << 0,
	SRAT_HOT_PLUG = 1 << 1,
};

/* PCI Firmware Specification 3.0, 4.1.2: where configuration space is. */
static uint32_t build_mcfg(struct fw_acpi *a, const struct fw_acpi_conf *c)
{
	GByteArray *b = a->tables;
	uint32_t at = begin(a, "MCFG", 1);

	put(b, 0, 8);
	put(b, c->ecam, 8);
	put(b, 0, 2);	 /* segment, */
	put(b, 0, 1);	 /* first bus, */
	put(b, 0xff, 1); /* last bus */
	put(b, 0, 4);
	end(a, at);
	return at;
}

static void srat_memory(
	GByteArray *b, uint64_t base, uint64_t bytes, unsigned flags)
{
	if (!bytes)
		return;
	put(b, SRAT_MEMORY, 1);
	put(b, 40, 1);
	put(b, 0, 4); /* domain */
	put(b, 0, 2);
	put(b, base, 8);
	put(b, bytes, 8);
	put(b, 0, 4);
	put(b, flags, 4);
	put(b, 0, 8);
}

static void srat_cpu(GByteArray *b, uint32_t apic_id)
{
	bool wide = apic_id >= 255;

	put(b, wide ? SRAT_X2APIC : SRAT_LAPIC, 1);
	put(b, wide ? 24 : 16, 1);
	put(b, 0, wide ? 6 : 1); /* domain */
	put(b, apic_id, wide ? 4 : 1);
	put(b, 1, 4); /* enabled */
	put(b, 0, 8);
}

/* One domain: said only because it says how far memory may reach, by which
 * Linux decides whether devices of 32 bits need bounce buffers. */
static uint32_t build_srat(struct fw_acpi *a, const struct fw_acpi_conf *c)
{
	GByteArray *b = a->tables;
	uint32_t at = begin(a, "SRAT", 3);

	put(b, 1, 4);
	put(b, 0, 8);
	for (unsigned i = 0; i < c->ncpus; i++)
		srat_cpu(b, c->apic_ids[i]);
	srat_memory(b, 0, c->low_bytes, SRAT_ENABLED);
	srat_memory(b, 1ull << 32, c->high_bytes, SRAT_ENABLED);
	srat_memory(
		b, c->plug_first, c->plug_bytes, SRAT_ENABLED | SRAT_HOT_PLUG);
	end(a, at);
	return at;
}

static uint32_t build_root(
	struct fw_acpi *a, const uint32_t *tables, unsigned n, bool wide)
{
	unsigned size = wide ? 8 : 4;
	uint32_t at = begin(a, wide ? "XSDT" : "RSDT", 1);

	for (unsigned i = 0; i < n; i++)
		put(a->tables, 0, size);
	for (unsigned i = 0; i < n; i++)
		pointer(a, at + HEADER + i * size, tables[i], size);
	end(a, at);
	return at;
}

static void build_rsdp(struct fw_acpi *a, uint32_t rsdt, uint32_t xsdt)
{
	uint32_t r = GUINT32_TO_LE(rsdt), len = GUINT32_TO_LE(36);
	uint64_t x = GUINT64_TO_LE((uint64_t)xsdt);

	memset(a->rsdp, 0, sizeof(a->rsdp));
	memcpy(a->rsdp, "RSD PTR ", 8);
	memcpy(a->rsdp + 9, "VMESTE", 6);
	a->rsdp[15] = 2;
	memcpy(a->rsdp + RSDP_RSDT, &r, 4);
	memcpy(a->rsdp + 20, &len, 4);
	memcpy(a->rsdp + RSDP_XSDT, &x, 8);
	patch(a, FW_PATCH_POINTER, true, RSDP_RSDT, 4, 0);
	patch(a, FW_PATCH_POINTER, true, RSDP_XSDT, 8, 0);
	patch(a, FW_PATCH_CHECKSUM, true, 8, 20, 0);
	patch(a, FW_PATCH_CHECKSUM, true, 32, 36, 0);
}

void fw_acpi_build(struct fw_acpi *a, const struct fw_acpi_conf *c)
{
	uint32_t facs, dsdt, list[6], rsdt, xsdt;
	unsigned n = 0;

	a->tables = g_byte_array_new();
	a->patches = g_array_new(FALSE, TRUE, sizeof(struct fw_acpi_patch));
	facs = build_facs(a);
	dsdt = build_dsdt(a, c);
	list[n++] = build_fadt(a, c, facs, dsdt);
	/* A MADT without an I/O APIC would still promise symmetric mode. */
	if (!c->no_ioapic)
		list[n++] = build_madt(a, c);
	if (c->hpet)
		list[n++] = build_hpet(a);
	if (c->ecam)
		list[n++] = build_mcfg(a, c);
	if (c->plug_bytes)
		list[n++] = build_srat(a, c);
	rsdt = build_root(a, list, n, false);
	xsdt = build_root(a, list, n, true);
	build_rsdp(a, rsdt, xsdt);
}

void fw_acpi_fini(struct fw_acpi *a)
{
	g_clear_pointer(&a->tables, g_byte_array_unref);
	g_clear_pointer(&a->patches, g_array_unref);
}

/* One command of the linker-loader: 128 bytes. */
struct __attribute__((packed)) loader_cmd {
	uint32_t command;
	union __attribute__((packed)) {
		struct __attribute__((packed)) {
			char file[56];
			uint32_t align;
			uint8_t zone; /* 1 high, 2 F-segment */
		} alloc;
		struct __attribute__((packed)) {
			char dest[56], src[56];
			uint32_t offset;
			uint8_t size;
		} pointer;
		struct __attribute__((packed)) {
			char file[56];
			uint32_t offset, start, length;
		} checksum;
		uint8_t pad[124];
	} u;
};

_Static_assert(sizeof(struct loader_cmd) == 128, "size of a command");

enum { LOADER_ALLOC = 1, LOADER_POINTER, LOADER_CHECKSUM };

static void loader_alloc(
	GByteArray *out, const char *file, unsigned alignment, unsigned zone)
{
	struct loader_cmd c = {.command = GUINT32_TO_LE(LOADER_ALLOC)};

	g_strlcpy(c.u.alloc.file, file, sizeof(c.u.alloc.file));
	c.u.alloc.align = GUINT32_TO_LE(alignment);
	c.u.alloc.zone = (uint8_t)zone;
	g_byte_array_append(out, (const uint8_t *)&c, sizeof(c));
}

static void loader_patch(GByteArray *out, const struct fw_acpi_patch *p)
{
	const char *file = p->in_rsdp ? RSDP_FILE : TABLES_FILE;
	struct loader_cmd c = {0};

	if (p->kind == FW_PATCH_POINTER) {
		c.command = GUINT32_TO_LE(LOADER_POINTER);
		g_strlcpy(c.u.pointer.dest, file, sizeof(c.u.pointer.dest));
		g_strlcpy(
			c.u.pointer.src, TABLES_FILE, sizeof(c.u.pointer.src));
		c.u.pointer.offset = GUINT32_TO_LE(p->offset);
		c.u.pointer.size = (uint8_t)p->size;
	} else {
		c.command = GUINT32_TO_LE(LOADER_CHECKSUM);
		g_strlcpy(c.u.checksum.file, file, sizeof(c.u.checksum.file));
		c.u.checksum.offset = GUINT32_TO_LE(p->offset);
		c.u.checksum.start = GUINT32_TO_LE(p->start);
		c.u.checksum.length = GUINT32_TO_LE(p->size);
	}
	g_byte_array_append(out, (const uint8_t *)&c, sizeof(c));
}

void fw_acpi_items(const struct fw_acpi *a, struct fw_items *items)
{
	GByteArray *script = g_byte_array_new();

	loader_alloc(script, TABLES_FILE, 64, 1);
	loader_alloc(script, RSDP_FILE, 16, 2);
	for (unsigned i = 0; i < a->patches->len; i++)
		loader_patch(script,
			&g_array_index(a->patches, struct fw_acpi_patch, i));
	fw_items_file(items, TABLES_FILE,
		g_bytes_new(a->tables->data, a->tables->len));
	fw_items_file(items, RSDP_FILE, g_bytes_new(a->rsdp, sizeof(a->rsdp)));
	fw_items_file(
		items, "etc/table-loader", g_byte_array_free_to_bytes(script));
}

void fw_acpi_place(struct fw_acpi *a, uint64_t tables_gpa)
{
	for (unsigned i = 0; i < a->patches->len; i++) {
		const struct fw_acpi_patch *p =
			&g_array_index(a->patches, struct fw_acpi_patch, i);
		uint8_t *base = p->in_rsdp ? a->rsdp : a->tables->data;
		uint64_t v = 0;
		uint8_t sum = 0;

		if (p->kind == FW_PATCH_POINTER) {
			memcpy(&v, base + p->offset, p->size);
			v = GUINT64_TO_LE(GUINT64_FROM_LE(v) + tables_gpa);
			memcpy(base + p->offset, &v, p->size);
			continue;
		}
		base[p->offset] = 0;
		for (uint32_t k = 0; k < p->size; k++)
			sum = (uint8_t)(sum + base[p->start + k]);
		base[p->offset] = (uint8_t)-sum;
	}
}
