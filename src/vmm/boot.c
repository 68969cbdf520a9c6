/*
 * boot.c - what the guest finds in memory and where it starts.
 *
 * Through the BIOS everything goes by fw_cfg.  Without it, the tables lie
 * where guests search for them (ACPI 6.4, 5.2.5.1; SMBIOS 2.8, 5.2.1):
 *
 *   0xe0000  RSDP      0xe0040  ACPI tables
 *   0xf0000  SMBIOS entry point, structures behind it
 */
#include <string.h>

#include "conf/error.h"
#include "dev/misc/fw_cfg.h"
#include "dev/misc/vmgenid.h"
#include "dev/timer/acpi_regs.h"
#include "firmware/e820.h"
#include "firmware/realboot.h"
#include "firmware/smbios.h"
#include "vmm/priv.h"

enum {
	RSDP_AT = FW_BIOS_AREA,
	ACPI_AT = FW_BIOS_AREA + 0x40,
	SMBIOS_AT = 0xf0000,
	SMBIOS_TABLES_AT = 0xf0020,
	SEL_CODE = 0x10,
	SEL_DATA = 0x18,
};

#define HIGH_BYTES    (32ull << 30)
#define HIGH_BITS_MIN 38

/* Flat 4 GiB code and data at the selectors that the Linux boot protocol
 * names. */
static const uint64_t gdt[] = {
	0,
	0,
	0x00cf9b000000ffff,
	0x00cf93000000ffff,
};

static uint64_t high_bytes(const struct machine *m)
{
	return m->conf->mem_bytes - bus_ram(m->bus)->low;
}

/* UEFI puts big BARs above RAM, at a multiple of what it sets aside. */
static void add_high_window(const struct machine *m, struct fw_acpi_conf *c)
{
	uint64_t top = memory_high_end(m->conf);

	if (m->model.phys_bits < HIGH_BITS_MIN)
		return;
	c->pci_high_first = (top + HIGH_BYTES - 1) & ~(HIGH_BYTES - 1);
	c->pci_high_last = c->pci_high_first + HIGH_BYTES - 1;
}

static void add_acpi(struct machine *m, bool place)
{
	struct fw_acpi_conf c = {
		.ncpus = m->ncpus,
		.apic_ids = m->apic_ids,
		.hpet = m->conf->hpet,
		.genid = genid_page(m),
		.genid_gpe = VMGENID_GPE,
		.no_ioapic = !m->conf->ioapic,
		.display = m->board.vga != NULL,
		.floppy = m->board.fdc != NULL,
		.ncom = MAX(1u, m->conf->serial->len),
		.smi_cmd_port = ACPI_PM_SMI_CMD,
		.pci_mem_last = BOARD_PCI_END - 1,
		.low_bytes = bus_ram(m->bus)->low,
		.high_bytes = high_bytes(m),
		.plug_first = m->mem_room.base,
		.plug_bytes = m->mem_room.bytes,
	};
	struct fw_acpi a;

	m->board.kind->acpi(m, &c);
	if (m->conf->firmware == CONF_FIRMWARE_UEFI)
		add_high_window(m, &c);

	fw_acpi_build(&a, &c);
	if (place) {
		fw_acpi_place(&a, ACPI_AT);
		fw_plan_bytes(&m->boot.plan, RSDP_AT,
			g_bytes_new(a.rsdp, sizeof(a.rsdp)));
		fw_plan_bytes(&m->boot.plan, ACPI_AT,
			g_bytes_new(a.tables->data, a.tables->len));
	} else {
		fw_acpi_items(&a, &m->boot.items);
	}
	fw_acpi_fini(&a);
}

/* As the processor tells it (SDM, CPUID 80000002h to 80000004h). */
static char *cpu_brand(const struct machine *m, const struct x86_state *s)
{
	char brand[49] = {0};
	struct x86_cpuid_regs r;

	for (unsigned i = 0; i < 3; i++) {
		x86_cpu_model_cpuid(&m->model, 0, s, 0x80000002 + i, 0, &r);
		memcpy(brand + 16 * i, &r.eax, 4);
		memcpy(brand + 16 * i + 4, &r.ebx, 4);
		memcpy(brand + 16 * i + 8, &r.ecx, 4);
		memcpy(brand + 16 * i + 12, &r.edx, 4);
	}
	return g_strdup(*brand ? g_strstrip(brand) : m->model.name);
}

static void add_smbios(struct machine *m, bool place)
{
	uint8_t entry[FW_SMBIOS_ENTRY_SIZE];
	g_autofree struct x86_state *s = g_new0(struct x86_state, 1);
	g_autofree char *brand = cpu_brand(m, s);
	struct fw_smbios_conf c = {
		.cpu = brand,
		.name = m->conf->name,
		.board = conf_board_words.words[m->conf->board],
		.uefi = m->conf->firmware == CONF_FIRMWARE_UEFI,
		.version = VMESTE_VERSION,
		.cpu_mhz = (unsigned)(m->model.tsc_hz / 1000000),
		.sockets = m->conf->sockets,
		.cores = m->conf->cores,
		.threads = m->conf->threads,
		.ram_bytes = m->conf->mem_bytes,
		.low_bytes = bus_ram(m->bus)->low,
	};
	struct x86_cpuid_regs r;
	unsigned count, largest;
	GBytes *tables;

	x86_cpu_model_cpuid(&m->model, 0, s, 1, 0, &r);
	c.cpuid_eax = r.eax;
	c.cpuid_edx = r.edx;
	genid_of_name(m->conf->name, "", c.uuid);
	if (!place) {
		fw_smbios_items(&c, &m->boot.items);
		return;
	}
	tables = fw_smbios_tables(&c, &count, &largest);
	fw_smbios_entry(entry, tables, count, largest, SMBIOS_TABLES_AT);
	fw_plan_bytes(
		&m->boot.plan, SMBIOS_AT, g_bytes_new(entry, sizeof(entry)));
	fw_plan_bytes(&m->boot.plan, SMBIOS_TABLES_AT, tables);
}

static bool plan_kernel(struct machine *m, GError **err)
{
	const struct bus_ram *ram = bus_ram(m->bus);
	struct conf_machine *c = m->conf;
	struct fw_boot b = {
		.kernel = &m->boot.kernel,
		.cmdline = c->append ? c->append : "",
		.low_bytes = ram->low,
		.high_bytes = high_bytes(m),
		.ecam = m->board.kind->ecam,
		.reserved_page = genid_page(m),
		.rsdp_gpa = c->acpi ? RSDP_AT : 0,
		.text_screen = m->board.vga_font != NULL,
		.uefi = c->firmware == CONF_FIRMWARE_UEFI,
	};

	if (!fw_image_open(&m->boot.kernel, media_take_fd(&c->kernel),
		    c->kernel.path, c->mem_bytes, err))
		return false;
	if (c->initrd.path) {
		if (!fw_image_open(&m->boot.initrd, media_take_fd(&c->initrd),
			    c->initrd.path, c->mem_bytes, err))
			return false;
		b.initrd = &m->boot.initrd;
	}
	return fw_boot_plan(&m->boot.plan, &m->boot.items, &b, err);
}

static void give_items(struct machine *m)
{
	struct dev *d = m->board.fw_cfg;
	GArray *list = m->boot.items.list;

	bus_lock(m->bus);
	for (unsigned i = 0; i < list->len; i++) {
		struct fw_item *it = &g_array_index(list, struct fw_item, i);
		gsize len;
		const void *p = g_bytes_get_data(it->data, &len);

		if (it->key != FW_KEY_FILES)
			fw_cfg_add_key(d, it->key, p, len);
		else if (fw_cfg_add_file(d, it->name, p, len) < 0)
			machine_note(m, "fw_cfg has no room for %s", it->name);
	}
	bus_unlock(m->bus);
	g_array_set_size(list, 0);
}

bool boot_init(struct machine *m, GError **err)
{
	struct fw_board b = {
		.ram_bytes = m->conf->mem_bytes,
		.low_bytes = bus_ram(m->bus)->low,
		.ncpus = m->ncpus,
		.apic_ids = m->apic_ids,
		.nserial = m->conf->serial->len,
		.reserved_page = genid_page(m),
		.boot_menu_ms = m->conf->boot_menu_ms,
		.reserved_end = m->board.mem ? memory_high_end(m->conf) : 0,
	};
	GPtrArray *paths = m->board.boot_paths;
	bool direct;

	fw_items_init(&m->boot.items);
	fw_plan_init(&m->boot.plan);
	if (m->conf->kernel.path && !plan_kernel(m, err))
		return false;
	direct = m->boot.plan.entry == FW_ENTRY_PROTECTED;
	if (m->conf->kernel.path && !direct &&
		m->conf->firmware == CONF_FIRMWARE_BIOS)
		g_ptr_array_insert(paths, 0, g_strdup(FW_REALBOOT_PATH));
	if (!direct && !m->board.bios)
		return fw_error(err, "no firmware image was given",
			"install the package seabios",
			"the machine has no firmware");
	g_ptr_array_add(paths, NULL);
	b.boot_order = (const char *const *)(void *)paths->pdata;
	fw_items_board(&m->boot.items, &b);
	add_smbios(m, direct);
	if (m->conf->acpi)
		add_acpi(m, direct);
	if (direct)
		fw_plan_bytes(&m->boot.plan, FW_LOW_GDT,
			g_bytes_new_static(gdt, sizeof(gdt)));
	give_items(m);
	return true;
}

void boot_fini(struct machine *m)
{
	if (m->boot.plan.pieces)
		fw_plan_fini(&m->boot.plan);
	if (m->boot.items.list)
		fw_items_fini(&m->boot.items);
	if (m->boot.kernel.path)
		fw_image_close(&m->boot.kernel);
	if (m->boot.initrd.path)
		fw_image_close(&m->boot.initrd);
}

static void flat_segment(struct x86_seg *s, uint16_t sel, uint16_t type)
{
	*s = (struct x86_seg){.sel = sel,
		.limit = 0xffffffff,
		.attr = (uint16_t)(type | X86_SEG_S | X86_SEG_P | X86_SEG_DB |
				   X86_SEG_G)};
}

static void enter_protected(struct x86_state *s, const struct fw_plan *p)
{
	flat_segment(&s->seg[X86_CS], SEL_CODE,
		X86_SEG_CODE | X86_SEG_W | X86_SEG_A);
	for (unsigned i = X86_ES; i <= X86_GS; i++)
		if (i != X86_CS)
			flat_segment(
				&s->seg[i], SEL_DATA, X86_SEG_W | X86_SEG_A);
	s->gdtr.base = FW_LOW_GDT;
	s->gdtr.limit = sizeof(gdt) - 1;
	s->cr0 = X86_CR0_PE | X86_CR0_ET | X86_CR0_NE;
	s->rip = p->eip;
	s->gpr[X86_RAX] = p->eax;
	s->gpr[X86_RBX] = p->ebx;
	s->gpr[X86_RSI] = p->esi;
	s->gpr[X86_RDX] = s->gpr[X86_RSP] = 0;
}

bool boot_place(struct machine *m, GError **err)
{
	bool direct = m->boot.plan.entry == FW_ENTRY_PROTECTED;
	/* one offset for all: their time stamps agree */
	/* Not every KVM can move a guest's TSC. */
	uint64_t tsc_offset = m->dev_kvm ? 0 : -bus_clock_tsc(m->bus);
	g_autofree struct x86_state *s = g_new0(struct x86_state, 1);

	if (direct) {
		board_pc_setup(m);
		if (!fw_plan_load(&m->boot.plan, m->bus, err))
			return false;
	}
	for (unsigned i = 0; i < m->ncpus; i++) {
		memset(s, 0, sizeof(*s));
		x86_state_reset(s, false, i == 0);
		s->gpr[X86_RDX] = x86_cpu_model_signature(&m->model);
		s->tsc_offset = tsc_offset;
		if (direct && i == 0)
			enter_protected(s, &m->boot.plan);
		runloop_set_state(m, i, s);
	}
	return true;
}
