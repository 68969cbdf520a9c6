/*
 * acpi_dsdt.c - the namespace of the pc board: PCI root, interrupt links,
 * ISA devices, processors, soft-off.
 *
 * The interrupt links drive the PIIX3's PIRQ route registers (82371SB data
 * sheet, 60h-63h): bit 7 disables, bits 3:0 are the ISA line.  A link takes
 * the same GSI as the ISA line under 8259 and I/O APIC alike, which the
 * overrides in the MADT make level triggered.
 */
#include "firmware/acpi.h"

#include "firmware/aml.h"

const uint8_t fw_pci_irqs[4] = {10, 10, 11, 11};

static const char *const link_name[4] = {"LNKA", "LNKB", "LNKC", "LNKD"};
static const char *const route_name[5] = {"PRQA", "PRQB", "PRQC", "PRQD", NULL};

#define ISA_BRIDGE_SLOT 1
#define HPET_BASE	0xfed00000

static void id(struct aml *a, const char *eisaid)
{
	aml_name(a, "_HID");
	aml_eisaid(a, eisaid);
}

static void number(struct aml *a, const char *name, uint64_t v)
{
	aml_name(a, name);
	aml_int(a, v);
}

/* Slot s, pin p (0 = INTA) goes to link (s - 1 + p) mod 4, as on PIIX boards
 * and in SeaBIOS. */
static void prt(struct aml *a)
{
	aml_name(a, "_PRT");
	aml_package(a, 31 * 4);
	for (unsigned slot = 1; slot < 32; slot++) {
		for (unsigned pin = 0; pin < 4; pin++) {
			aml_package(a, 4);
			aml_int(a, (uint64_t)slot << 16 | 0xffff);
			aml_int(a, pin);
			aml_ref(a, link_name[(slot - 1 + pin) & 3]);
			aml_int(a, 0);
			aml_end(a);
		}
	}
	aml_end(a);
}

static void root_resources(struct aml *a, const struct fw_acpi_conf *c)
{
	GByteArray *r = g_byte_array_new();

	aml_res_bus(r, 0, 0xff);
	aml_res_io(r, 0xcf8, 8);
	aml_res_io_window(r, 0, 0xcf7);
	aml_res_io_window(r, 0xd00, 0xffff);
	aml_res_mem_window(r, 0xa0000, 0xbffff);
	aml_res_mem_window(r, c->pci_mem_first, c->pci_mem_last);
	aml_name(a, "_CRS");
	aml_resources(a, r);
}

static void pnp_device(struct aml *a, const char *name, const char *eisaid,
	GByteArray *resources)
{
	aml_device(a, name);
	id(a, eisaid);
	aml_name(a, "_CRS");
	aml_resources(a, resources);
	aml_end(a);
}

static GByteArray *ports_irq(uint16_t port, uint8_t len, unsigned irq)
{
	GByteArray *r = g_byte_array_new();

	aml_res_io(r, port, len);
	aml_res_irq(r, irq);
	return r;
}

static void com_ports(struct aml *a, unsigned n)
{
	static const uint16_t port[FW_ACPI_MAX_COM] = {
		0x3f8, 0x2f8, 0x3e8, 0x2e8};
	static const uint8_t irq[FW_ACPI_MAX_COM] = {4, 3, 4, 3};
	static const char *const name[FW_ACPI_MAX_COM] = {
		"COM1", "COM2", "COM3", "COM4"};

	for (unsigned i = 0; i < n && i < FW_ACPI_MAX_COM; i++) {
		aml_device(a, name[i]);
		id(a, "PNP0501");
		number(a, "_UID", i + 1);
		aml_name(a, "_CRS");
		aml_resources(a, ports_irq(port[i], 8, irq[i]));
		aml_end(a);
	}
}

static void floppy(struct aml *a)
{
	GByteArray *r = g_byte_array_new();

	aml_res_io(r, 0x3f2, 4);
	aml_res_io(r, 0x3f7, 1);
	aml_res_irq(r, 6);
	aml_res_dma(r, 2);
	pnp_device(a, "FDC0", "PNP0700", r);
}

static void isa_bridge(struct aml *a, const struct fw_acpi_conf *c)
{
	GByteArray *kbd = g_byte_array_new(), *mouse = g_byte_array_new();
	GByteArray *board = g_byte_array_new(), *dma = g_byte_array_new();

	aml_device(a, "ISA_");
	number(a, "_ADR", (uint64_t)ISA_BRIDGE_SLOT << 16);
	aml_region_pci(a, "PIRQ", 0x60, 4);
	pnp_device(a, "RTC_", "PNP0B00", ports_irq(0x70, 2, 8));
	aml_res_io(kbd, 0x60, 1);
	aml_res_io(kbd, 0x64, 1);
	aml_res_irq(kbd, 1);
	pnp_device(a, "KBD_", "PNP0303", kbd);
	aml_res_irq(mouse, 12);
	pnp_device(a, "MOU_", "PNP0F13", mouse);
	com_ports(a, c->ncom);
	if (c->floppy)
		floppy(a);
	/* DMA controllers, pages, cascade */
	aml_res_io(dma, 0x00, 16);
	aml_res_io(dma, 0x80, 16);
	aml_res_io(dma, 0xc0, 32);
	aml_res_dma(dma, 4);
	pnp_device(a, "DMAC", "PNP0200", dma);
	/* claimed by no one else: PM block, ACPI command, fw_cfg */
	aml_res_io(board, c->pm_base, 0x40);
	aml_res_io(board, 0xb2, 2);
	aml_res_io(board, 0x510, 12);
	pnp_device(a, "MBRD", "PNP0C02", board);
	aml_end(a);
}

static void link_resources(
	struct aml *a, const char *name, const uint32_t *gsi, unsigned n)
{
	GByteArray *r = g_byte_array_new();

	aml_res_gsi(r, gsi, n);
	aml_name(a, name);
	aml_resources(a, r);
}

static void link_device(struct aml *a, unsigned i)
{
	static const uint32_t possible[] = {5, 10, 11};
	static const uint32_t none[] = {0};
	aml_device(a, link_name[i]);
	id(a, "PNP0C0F");
	number(a, "_UID", i + 1);
	link_resources(a, "_PRS", possible, G_N_ELEMENTS(possible));
	link_resources(a, "CURR", none, 1);
	aml_dword_field(a, "CURR", 5, "GSI_");

	aml_method(a, "_STA", 0);
	aml_if(a);
	aml_and(a, route_name[i], 0x80, NULL);
	aml_return(a);
	aml_int(a, 0x09);
	aml_end(a);
	aml_return(a);
	aml_int(a, 0x0b);
	aml_end(a);

	aml_method(a, "_DIS", 0);
	aml_or(a, route_name[i], 0x80, route_name[i]);
	aml_end(a);

	aml_method(a, "_CRS", 0);
	aml_and(a, route_name[i], 0x0f, "GSI_");
	aml_return(a);
	aml_ref(a, "CURR");
	aml_end(a);

	aml_method(a, "_SRS", 1);
	aml_dword_field(a, AML_ARG0, 5, "WANT");
	aml_and(a, "WANT", 0x0f, route_name[i]);
	aml_end(a);
	aml_end(a);
}

static void hpet(struct aml *a)
{
	GByteArray *r = g_byte_array_new();

	aml_res_fixed_mem(r, HPET_BASE, 0x400);
	pnp_device(a, "HPET", "PNP0103", r);
}

/* Processor objects carry an 8-bit id; whatever does not fit is a device. */
static void processors(struct aml *a, const struct fw_acpi_conf *c)
{
	for (unsigned i = 0; i < c->ncpus; i++) {
		char name[8];

		g_snprintf(name, sizeof(name), "C%03X", i);
		if (i < 255) {
			aml_processor(a, name, (uint8_t)i);
		} else {
			aml_device(a, name);
			aml_name(a, "_HID");
			aml_string(a, "ACPI0007");
			number(a, "_UID", i);
		}
		aml_end(a);
	}
}

/* The PIIX4's SLP_TYP of soft-off is 0 (82371AB data sheet, PMCNTRL). */
static void soft_off(struct aml *a)
{
	aml_name(a, "\\_S5_");
	aml_package(a, 4);
	for (int i = 0; i < 4; i++)
		aml_int(a, 0);
	aml_end(a);
}

GByteArray *fw_acpi_dsdt(const struct fw_acpi_conf *c)
{
	struct aml a;

	aml_init(&a);
	aml_scope(&a, "\\_SB_");
	aml_device(&a, "PCI0");
	id(&a, "PNP0A03");
	number(&a, "_UID", 0);
	root_resources(&a, c);
	prt(&a);
	isa_bridge(&a, c);
	/* declared here, so that the links see the names */
	aml_byte_fields(&a, "ISA_.PIRQ", route_name);
	for (unsigned i = 0; i < 4; i++)
		link_device(&a, i);
	aml_end(&a);
	if (c->hpet)
		hpet(&a);
	processors(&a, c);
	aml_end(&a);
	soft_off(&a);
	return aml_finish(&a);
}
