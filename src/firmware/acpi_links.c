/*
 * acpi_links.c - PCI interrupt routing for the DSDT (ACPI 6.4, 6.2.13).
 *
 * A link LNKx drives a PIRQ route register of the ISA bridge (82371SB data
 * sheet, 60h-63h; ICH9 data sheet, 13.1, 60h-63h and 68h-6Bh): bit 7 disables,
 * bits 3:0 are the ISA line.  On the PIIX it takes the same GSI as the ISA line
 * under 8259 and I/O APIC alike, which the overrides in the MADT make level
 * triggered.  The ICH9's PIRQs have pins of the I/O APIC for themselves, 16 to
 * 23: the links GSIx say so, and that they are active high, as the board's
 * lines are; _PRT answers by them once the guest has said by _PIC that it uses
 * the I/O APIC.
 */
#include "firmware/acpi_links.h"

static const char *const pc_routes[5] = {"PRQA", "PRQB", "PRQC", "PRQD", NULL};
static const char *const ich9_routes[5] = {
	"PRQE", "PRQF", "PRQG", "PRQH", NULL};

static unsigned nlinks(const struct fw_acpi_conf *c)
{
	return c->q35 ? 8 : 4;
}

static void letter_name(char name[5], const char *stem, unsigned n)
{
	g_snprintf(name, 5, "%s%c", stem, 'A' + n);
}

/* Which link pin p (0 = INTA) of a slot goes to.  PIIX boards: (s - 1 + p) mod
 * 4.  ICH9: its own slots, from 25, A to D by pin; others E to H in turn. */
static unsigned link_of(
	const struct fw_acpi_conf *c, unsigned slot, unsigned pin)
{
	if (!c->q35)
		return (slot - 1 + pin) & 3;
	return slot < 25 ? 4 + ((slot + pin) & 3) : pin;
}

static void routes(struct aml *a, const struct fw_acpi_conf *c,
	const char *name, const char *stem)
{
	aml_name(a, name);
	aml_package(a, 31 * 4);
	for (unsigned slot = 1; slot < 32; slot++) {
		for (unsigned pin = 0; pin < 4; pin++) {
			char link[5];

			letter_name(link, stem, link_of(c, slot, pin));
			aml_package(a, 4);
			aml_int(a, (uint64_t)slot << 16 | 0xffff);
			aml_int(a, pin);
			aml_ref(a, link);
			aml_int(a, 0);
			aml_end(a);
		}
	}
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

static void link_open(struct aml *a, const char *name, unsigned uid)
{
	aml_device(a, name);
	aml_name(a, "_HID");
	aml_eisaid(a, "PNP0C0F");
	aml_name(a, "_UID");
	aml_int(a, uid);
}

static void link_device(struct aml *a, unsigned i)
{
	static const uint32_t possible[] = {5, 10, 11};
	static const uint32_t none[] = {0};
	const char *route = i < 4 ? pc_routes[i] : ich9_routes[i - 4];
	char name[5];

	letter_name(name, "LNK", i);
	link_open(a, name, i + 1);
	link_resources(a, "_PRS", possible, G_N_ELEMENTS(possible));
	link_resources(a, "CURR", none, 1);
	aml_dword_field(a, "CURR", 5, "GSI_");

	aml_method(a, "_STA", 0);
	aml_if(a);
	aml_and(a, route, 0x80, NULL);
	aml_return(a);
	aml_int(a, 0x09);
	aml_end(a);
	aml_return(a);
	aml_int(a, 0x0b);
	aml_end(a);

	aml_method(a, "_DIS", 0);
	aml_or(a, route, 0x80, route);
	aml_end(a);

	aml_method(a, "_CRS", 0);
	aml_and(a, route, 0x0f, "GSI_");
	aml_return(a);
	aml_ref(a, "CURR");
	aml_end(a);

	aml_method(a, "_SRS", 1);
	aml_dword_field(a, AML_ARG0, 5, "WANT");
	aml_and(a, "WANT", 0x0f, route);
	aml_end(a);
	aml_end(a);
}

/* One that is wired and cannot be set. */
static void fixed_link(struct aml *a, unsigned i)
{
	uint32_t gsi = 16 + i;
	char name[5];

	letter_name(name, "GSI", i);
	link_open(a, name, 16 + i);
	link_resources(a, "_PRS", &gsi, 1);
	link_resources(a, "_CRS", &gsi, 1);
	aml_method(a, "_SRS", 1);
	aml_end(a);
	aml_end(a);
}

static bool has_fixed(const struct fw_acpi_conf *c)
{
	return c->q35 && !c->no_ioapic;
}

void fw_links_pic(struct aml *a, const struct fw_acpi_conf *c)
{
	if (!has_fixed(c))
		return;
	aml_name(a, "\\PICF");
	aml_int(a, 0);
	aml_method(a, "\\_PIC", 1);
	aml_store(a, AML_ARG0, "PICF");
	aml_end(a);
}

void fw_links_regions(struct aml *a, const struct fw_acpi_conf *c)
{
	aml_region_pci(a, "PIRQ", 0x60, 4);
	if (c->q35)
		aml_region_pci(a, "PIRR", 0x68, 4);
}

void fw_links_devices(struct aml *a, const struct fw_acpi_conf *c)
{
	aml_byte_fields(a, "ISA_.PIRQ", pc_routes);
	if (c->q35)
		aml_byte_fields(a, "ISA_.PIRR", ich9_routes);
	for (unsigned i = 0; i < nlinks(c); i++)
		link_device(a, i);
	if (!has_fixed(c)) {
		routes(a, c, "_PRT", "LNK");
		return;
	}
	for (unsigned i = 0; i < nlinks(c); i++)
		fixed_link(a, i);
	routes(a, c, "PRTP", "LNK");
	routes(a, c, "PRTA", "GSI");
	aml_method(a, "_PRT", 0);
	aml_if(a);
	aml_ref(a, "PICF");
	aml_return(a);
	aml_ref(a, "PRTA");
	aml_end(a);
	aml_return(a);
	aml_ref(a, "PRTP");
	aml_end(a);
}
