/*
 * acpi_dsdt.c - the namespace of the boards: PCI root, ISA devices,
 * processors, soft-off.
 */
#include "firmware/acpi_links.h"

#define HPET_BASE 0xfed00000

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

static void root_resources(struct aml *a, const struct fw_acpi_conf *c)
{
	GByteArray *r = g_byte_array_new();

	aml_res_bus(r, 0, 0xff);
	aml_res_io(r, 0xcf8, 8);
	aml_res_io_window(r, 0, 0xcf7);
	aml_res_io_window(r, 0xd00, 0xffff);
	aml_res_mem_window(r, 0xa0000, 0xbffff);
	aml_res_mem_window(r, c->pci_mem_first, c->pci_mem_last);
	if (c->pci_high_last)
		aml_res_mem64_window(r, c->pci_high_first, c->pci_high_last);
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
	number(a, "_ADR", c->q35 ? 0x1f0000 : 0x010000);
	fw_links_regions(a, c);
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
	aml_res_io(board, c->pm_base, c->q35 ? 0x80 : 0x40);
	aml_res_io(board, 0xb2, 2);
	aml_res_io(board, 0x510, 12);
	if (c->rcba)
		aml_res_fixed_mem(board, c->rcba, 0x4000);
	/* UEFI's map of memory does not have what the BIOS's has */
	if (c->genid)
		aml_res_fixed_mem(board, c->genid, 0x1000);
	pnp_device(a, "MBRD", "PNP0C02", board);
	aml_end(a);
}

static void hpet(struct aml *a)
{
	GByteArray *r = g_byte_array_new();

	aml_res_fixed_mem(r, HPET_BASE, 0x400);
	pnp_device(a, "HPET", "PNP0103", r);
}

/* What Linux's vmgenid and Windows' gencounter look for is the compatible id;
 * the event is edge triggered. */
static void generation_id(struct aml *a, const struct fw_acpi_conf *c)
{
	static const char name[] = "VM_Gen_Counter";

	aml_device(a, "VGEN");
	aml_name(a, "_HID");
	aml_string(a, "VMST0001");
	aml_name(a, "_CID");
	aml_string(a, name);
	aml_name(a, "_DDN");
	aml_string(a, name);
	aml_method(a, "ADDR", 0);
	aml_return(a);
	aml_package(a, 2);
	aml_int(a, c->genid);
	aml_int(a, 0); /* the upper half */
	aml_end(a);
	aml_end(a);
	aml_end(a);
}

static void generation_event(struct aml *a, const struct fw_acpi_conf *c)
{
	char name[5];

	g_snprintf(name, sizeof(name), "_E%02X", c->genid_gpe & 0xff);
	aml_scope(a, "\\_GPE");
	aml_method(a, name, 0);
	aml_notify(a, "\\_SB_.VGEN", 0x80);
	aml_end(a);
	aml_end(a);
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

/* SLP_TYP of soft-off is 0 in the PIIX4 (82371AB data sheet, PMCNTRL), 7 in
 * the ICH9 (its data sheet, 13.8.3.3). */
static void soft_off(struct aml *a, const struct fw_acpi_conf *c)
{
	aml_name(a, "\\_S5_");
	aml_package(a, 4);
	for (int i = 0; i < 4; i++)
		aml_int(a, c->q35 && i < 2 ? 7 : 0);
	aml_end(a);
}

/* Who asks for PCI Express' own hot plug, power events and capability gets
 * them (PCI Firmware Specification 3.0, 4.5.1); for another UUID bit 2 of the
 * first double word is set. */
static void osc(struct aml *a)
{
	static const uint8_t uuid[16] = {0x5b, 0x4d, 0xdb, 0x33, 0xf7, 0x1f,
		0x1c, 0x40, 0x96, 0x57, 0x74, 0x41, 0xc0, 0x3d, 0xd7, 0x66};

	aml_method(a, "_OSC", 4);
	aml_dword_field(a, AML_ARG3, 0, "CDW1");
	aml_if(a);
	aml_equal(a);
	aml_ref(a, AML_ARG0);
	aml_buffer(a, uuid, sizeof(uuid));
	aml_dword_field(a, AML_ARG3, 8, "CDW3");
	aml_and(a, "CDW3", 0x15, "CDW3");
	aml_end(a);
	aml_else(a);
	aml_or(a, "CDW1", 4, "CDW1");
	aml_end(a);
	aml_return(a);
	aml_ref(a, AML_ARG3);
	aml_end(a);
}

/* Outside of the PCI root: it is no window of it. */
static void ecam(struct aml *a, const struct fw_acpi_conf *c)
{
	GByteArray *r = g_byte_array_new();

	aml_res_fixed_mem(r, c->ecam, 256u << 20);
	pnp_device(a, "ECAM", "PNP0C02", r);
}

static void pci_root(struct aml *a, const struct fw_acpi_conf *c)
{
	aml_device(a, "PCI0");
	id(a, c->q35 ? "PNP0A08" : "PNP0A03");
	if (c->q35) {
		aml_name(a, "_CID");
		aml_eisaid(a, "PNP0A03");
		osc(a);
	}
	number(a, "_UID", 0);
	root_resources(a, c);
	isa_bridge(a, c);
	fw_links_devices(a, c);
	aml_end(a);
}

GByteArray *fw_acpi_dsdt(const struct fw_acpi_conf *c)
{
	struct aml a;

	aml_init(&a);
	fw_links_pic(&a, c);
	aml_scope(&a, "\\_SB_");
	pci_root(&a, c);
	if (c->ecam)
		ecam(&a, c);
	if (c->hpet)
		hpet(&a);
	processors(&a, c);
	if (c->genid)
		generation_id(&a, c);
	aml_end(&a);
	if (c->genid)
		generation_event(&a, c);
	soft_off(&a, c);
	return aml_finish(&a);
}
