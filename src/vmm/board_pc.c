/*
 * board_pc.c - the board `pc`: 440FX host bridge, PIIX3 ISA bridge, PIIX4
 * power management; and what stands on the ISA bus of every board.
 *
 * PCI slots: 0 host bridge, 1 ISA bridge (function 3 power management), 2 the
 * display, from 3 network cards, drives, console and random numbers.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cpu/kvm/kvm.h"
#include "dev/input/gameport.h"
#include "dev/input/i8042.h"
#include "dev/irq/intc.h"
#include "dev/misc/apm_port.h"
#include "dev/misc/fw_cfg.h"
#include "dev/misc/i8237.h"
#include "dev/misc/irq_lines.h"
#include "dev/misc/port92.h"
#include "dev/pci/i440fx.h"
#include "dev/pci/pci_setup.h"
#include "dev/pci/piix3.h"
#include "dev/serial/debugcon.h"
#include "dev/serial/lpt.h"
#include "dev/serial/uart16550.h"
#include "dev/storage/fdc.h"
#include "dev/storage/ide.h"
#include "dev/timer/acpi_pm.h"
#include "dev/timer/hpet.h"
#include "dev/timer/i8254.h"
#include "dev/timer/mc146818.h"
#include "dev/video/vga.h"
#include "dev/video/virtio_vga.h"
#include "vmm/priv.h"

#define VGA_SLOT     2
#define FIRST_CARD   3
#define PCI_IO	     0xc000
#define UEFI_PM_BASE 0xb000

struct dev *board_add_class(struct machine *m, const struct dev_class *cls,
	const char *id, const struct dev_host *host, GError **err)
{
	struct board *b = &m->board;
	char text[256] = "";
	struct dev *d;

	g_assert(b->ndevs < BOARD_MAX_DEVICES);
	bus_lock(m->bus);
	d = dev_new(cls, id, host, text, sizeof(text));
	bus_unlock(m->bus);
	if (d)
		b->dev[b->ndevs++] = d;
	else
		fw_error(err, text, NULL, "cannot make the device %s", id);
	return d;
}

struct dev *board_add(struct machine *m, const char *cls, const char *id,
	const struct dev_host *host, GError **err)
{
	const struct dev_class *c = dev_class_find(cls);

	struct dev_host h = *host;

	h.pci_slot = m->board.next_slot;
	if (c && m->board.ndevs < BOARD_MAX_DEVICES &&
		h.pci_slot <= m->board.kind->last_card) {
		m->board.next_slot++;
		return board_add_class(m, c, id, &h, err);
	}
	fw_error(err, c ? "there are too many devices" : "it is not built yet",
		c ? "use fewer; many disks share one place with bus=scsi"
		  : NULL,
		"cannot make the device %s (%s)", id, cls);
	return NULL;
}

static void board_set_paravirt(struct machine *m)
{
	struct x86_cpuid_regs r = {0};
	struct x86_state *s = g_new0(struct x86_state, 1);

	if (m->model.feature[X86_FEAT_KVM_CLOCK])
		x86_cpu_model_cpuid(&m->model, 0, s, 0x40000001, 0, &r);
	intc_set_paravirt(m->board.intc, r.eax, m->model.tsc_hz);
	g_free(s);
}

/* Interrupt controllers: ours, or the kernel's beside KVM. */
static bool add_interrupts(struct machine *m, struct dev_host *h, GError **err)
{
	struct board *b = &m->board;

	if (m->engine == &cpu_kvm && cpu_kvm_has_irqchip(m->vm)) {
		bus_lock(m->bus);
		cpu_kvm_wire(m->vm, b->kernel_gsi);
		bus_unlock(m->bus);
		b->gsi = b->kernel_gsi;
	} else {
		b->intc = board_add_class(m, &intc_class, "intc", h, err);
		if (!b->intc)
			return false;
		intc_set_features(b->intc, m->model.phys_bits,
			m->model.feature[X86_FEAT_X2APIC],
			m->model.feature[X86_FEAT_TSC_DEADLINE]);
		board_set_paravirt(m);
		b->gsi = intc_gsi(b->intc);
	}
	h->gsi = b->gsi;
	return true;
}

static bool add_timers(struct machine *m, struct dev_host h, GError **err)
{
	struct board *b = &m->board;

	if (m->conf->hpet) {
		b->hpet = board_add_class(m, &hpet_class, "hpet", &h, err);
		if (!b->hpet)
			return false;
		h.gsi = hpet_gsi(b->hpet);
	}
	b->rtc = board_add_class(m, &mc146818_class, "rtc", &h, err);
	return b->rtc &&
	       board_add_speaker(m, &h,
		       board_add_class(m, &i8254_class, "pit", &h, err), err);
}

static uint64_t pc_low_max(const struct conf_machine *c)
{
	return 0xc0000000;
}

static bool pc_add_chipset(
	struct machine *m, const struct dev_host *h, GError **err)
{
	struct board *b = &m->board;

	b->host_bridge = board_add_class(m, &i440fx_class, "host", h, err);
	if (!b->host_bridge)
		return false;
	b->shadow = i440fx_shadow(b->host_bridge);
	b->isa = board_add_class(m, &piix3_class, "isa", h, err);
	if (!b->isa)
		return false;
	b->pm = board_add_class(m, &acpi_pm_class, "pm", h, err);
	if (!b->pm)
		return false;
	b->acpi = acpi_pm_regs(b->pm);
	return true;
}

static uint32_t pc_pci_start(const struct machine *m)
{
	/* as SeaBIOS places it */
	return bus_ram(m->bus)->low <= 0x80000000 ? 0x80000000 : 0xc0000000;
}

static void pc_setup(struct machine *m)
{
	struct board *b = &m->board;
	struct pci_setup_room room = {
		pc_pci_start(m), BOARD_PCI_END, PCI_IO, BOARD_IO_END};

	piix3_route_default(b->isa);
	acpi_pm_set_base(b->pm, ACPI_PM_BASE);
	if (b->ide)
		ide_enable(b->ide);
	pci_setup_assign(b->pci, &room, piix3_pirq);
}

static void pc_acpi(const struct machine *m, struct fw_acpi_conf *c)
{
	/* where SeaBIOS and OVMF put it */
	c->pm_base = m->conf->firmware == CONF_FIRMWARE_UEFI ? UEFI_PM_BASE
							     : ACPI_PM_BASE;
	c->pci_mem_first = pc_pci_start(m);
}

const struct board_kind board_pc = {
	.low_max = pc_low_max,
	.add_chipset = pc_add_chipset,
	.setup = pc_setup,
	.acpi = pc_acpi,
	.last_card = 31,
	.isa_slot = 1,
};

/* ---- what all boards have ---- */

static bool add_legacy(
	struct machine *m, const struct dev_host *h, GError **err)
{
	struct board *b = &m->board;

	b->dma = board_add_class(m, &i8237_class, "dma", h, err);
	b->kbd = board_add_class(m, &i8042_class, "kbd", h, err);
	return b->dma && b->kbd &&
	       board_add_class(m, &port92_class, "port92", h, err) &&
	       board_add_class(m, &apm_port_class, "apm", h, err);
}

const struct bus_irq *board_isa_gsi(struct machine *m)
{
	const struct bus_irq *gsi = irq_lines_add(m->board.isa_lines);

	return gsi ? gsi : m->board.gsi;
}

/* ---- consoles ---- */

static void console_leave(void *opaque)
{
	machine_quit(opaque, 0, NULL);
}

static void console_command(void *opaque, const char *line)
{
	monitor_command(opaque, line);
}

struct dev_chardev *board_add_console(
	struct machine *m, struct conf_serial *conf)
{
	struct console_owner owner = {.loop = m->host.loop,
		.bus = m->bus,
		.leave = console_leave,
		.command = console_command,
		.opaque = m};
	struct console *c;

	if (conf->kind == CONF_SERIAL_NONE)
		return NULL;
	c = console_new(conf, &owner);
	m->consoles[m->nconsoles++] = c;
	return console_chardev(c);
}

/* Parallel ports and the game port. */
static bool add_parallel(struct machine *m, struct dev_host h, GError **err)
{
	GPtrArray *list = m->conf->parallel;

	for (unsigned i = 0; i < MIN(list->len, (unsigned)CONF_MAX_LPT); i++) {
		g_autofree char *id = g_strdup_printf("lpt%u", i + 1);

		h.index = i;
		h.gsi = board_isa_gsi(m);
		h.chr = board_add_console(m, g_ptr_array_index(list, i));
		if (!board_add_class(m, &lpt_class, id, &h, err))
			return false;
	}
	h.index = 0;
	h.chr = NULL;
	if (m->conf->gameport)
		m->board.gameport = board_add_class(
			m, &gameport_class, "gameport", &h, err);
	return !m->conf->gameport || m->board.gameport;
}

static bool add_serial(struct machine *m, struct dev_host h, GError **err)
{
	GPtrArray *list = m->conf->serial;
	unsigned n = MIN(MAX(1u, list->len), (unsigned)CONF_MAX_SERIAL);

	for (unsigned i = 0; i < n; i++) {
		g_autofree char *id = g_strdup_printf("com%u", i + 1);

		h.index = i;
		h.gsi = board_isa_gsi(m);
		h.chr = i < list->len ? board_add_console(
						m, g_ptr_array_index(list, i))
				      : NULL;
		if (!board_add_class(m, &uart16550_class, id, &h, err))
			return false;
	}
	if (!add_parallel(m, h, err))
		return false;
	h.index = 0;
	h.chr = board_add_console(m, &m->conf->debugcon);
	if (h.chr && !board_add_class(m, &debugcon_class, "debugcon", &h, err))
		return false;
	h.chr = board_add_console(m, &m->conf->console);
	return !h.chr || board_add(m, "virtio-console", "console", &h, err);
}

/* ---- the display ---- */

static bool add_vga(struct machine *m, struct dev_host h, GError **err)
{
	struct board *b = &m->board;
	uint32_t bytes;
	uint8_t *rom;

	if (m->conf->vga == CONF_VGA_NONE)
		return true;
	h.pci_slot = VGA_SLOT;
	h.vram_bytes = (uint32_t)m->conf->vram_bytes;
	b->vga = board_add_class(m,
		m->conf->vga == CONF_VGA_VIRTIO ? &virtio_vga_class
						: &vga_class,
		"vga", &h, err);
	if (!b->vga)
		return false;
	rom = board_add_rom(m, &m->conf->vga_rom, b->vga, &bytes);
	b->vga_font = rom ? vga_find_font(rom, bytes) : NULL;
	return true;
}

/* ---- CMOS ---- */

/* Two bits a drive for SeaBIOS: 1 = LBA translation, where the cylinders of
 * the drive itself are more than the BIOS interface can name. */
static uint8_t ide_translation(struct machine *m)
{
	uint8_t val = 0;

	for (unsigned n = 0; n < IDE_DRIVES; n++) {
		struct ata_drive *a = ide_drive(m->board.ide, n);

		if (a->present && a->sectors > 1024 * 16 * 63)
			val |= 1u << (2 * n);
	}
	return val;
}

/* Types in 0x10, number and presence in the equipment byte, which also tells
 * of a coprocessor and a mouse. */
static void set_cmos_floppies(struct machine *m)
{
	struct dev *f = m->board.fdc;
	unsigned a = f ? fdc_drive_type(f, 0) : 0;
	unsigned b = f ? fdc_drive_type(f, 1) : 0;

	mc146818_set(m->board.rtc, 0x10, (uint8_t)(a << 4 | b));
	mc146818_set(m->board.rtc, 0x14,
		(uint8_t)(0x06 | (a || b) | (a && b ? 0x40 : 0)));
}

static void set_cmos(struct machine *m)
{
	const struct bus_ram *ram = bus_ram(m->bus);
	static const uint8_t code[CONF_NBOOT] = {[CONF_BOOT_FLOPPY] = 1,
		[CONF_BOOT_DISK] = 2,
		[CONF_BOOT_CDROM] = 3,
		[CONF_BOOT_NET] = 4};
	uint8_t order[3] = {2, 3, 4};

	for (unsigned i = 0; m->conf->nboot && i < 3; i++)
		order[i] = i < m->conf->nboot ? code[m->conf->boot[i]] : 0;
	bus_lock(m->bus);
	mc146818_set_memory(
		m->board.rtc, ram->low, m->conf->mem_bytes - ram->low);
	mc146818_set_cpus(m->board.rtc, m->ncpus);
	mc146818_set_offset(m->board.rtc, m->conf->rtc_offset_s);
	mc146818_set_boot(m->board.rtc, order, true);
	if (m->board.ide)
		mc146818_set(m->board.rtc, 0x39, ide_translation(m));
	set_cmos_floppies(m);
	bus_unlock(m->bus);
}

/* ---- life ---- */

const struct board_kind *board_kind_of(const struct conf_machine *c)
{
	return c->board == CONF_BOARD_Q35 ? &board_q35 : &board_pc;
}

static bool wants_tablet(const struct conf_machine *c)
{
	return c->pointer == CONF_POINTER_TABLET ||
	       (c->pointer == CONF_POINTER_AUTO &&
		       c->display != CONF_DISPLAY_NONE);
}

bool board_pc_init(struct machine *m, GError **err)
{
	struct board *b = &m->board;
	struct dev_host h = {.bus = m->bus,
		.ram_bytes = m->conf->mem_bytes,
		.pci_slot = -1,
		.audio = m->audio,
		.ram = &m->ram};

	b->kind = board_kind_of(m->conf);
	b->next_slot = FIRST_CARD;
	b->boot_paths = g_ptr_array_new_with_free_func(g_free);
	b->nets = g_ptr_array_new();
	b->roms = g_ptr_array_new_with_free_func(free);
	if (!add_interrupts(m, &h, err) || !add_timers(m, h, err))
		return false;
	b->isa_lines = irq_lines_new(b->gsi);
	bus_lock(m->bus);
	b->pci = pci_bus_new(m->bus);
	bus_unlock(m->bus);
	h.pci = b->pci;
	if (!b->kind->add_chipset(m, &h, err) || !add_legacy(m, &h, err) ||
		!board_add_firmware(m, err))
		return false;
	b->fw_cfg = board_add_class(m, &fw_cfg_class, "fw_cfg", &h, err);
	if (!b->fw_cfg || !genid_init(m, &h, err))
		return false;
	if (!add_vga(m, h, err) || !board_add_nics(m, err) ||
		!board_add_usb(m, err) || !board_add_usb_input(m, err) ||
		!board_add_drives(m, err))
		return false;
	usb_tree_end(m);
	if (!add_serial(m, h, err) || !board_add_sound(m, &h, err))
		return false;
	if (dev_class_find("virtio-rng") &&
		!board_add(m, "virtio-rng", "rng", &h, err))
		return false;
	if (m->conf->keyboard == CONF_KEYBOARD_VIRTIO) {
		b->keyboard =
			board_add(m, "virtio-keyboard", "keyboard", &h, err);
		if (!b->keyboard)
			return false;
	}
	if (wants_tablet(m->conf)) {
		b->tablet = board_add(m, "virtio-tablet", "tablet", &h, err);
		if (!b->tablet)
			return false;
	}
	if (m->conf->watchdog == CONF_WATCHDOG_I6300ESB &&
		!board_add(m, "i6300esb", "watchdog", &h, err))
		return false;
	if (!vsock_open(m, &h, err) || !board_add_shares(m, err) ||
		!memory_add(m, &h, err) || !balloon_add(m, &h, err))
		return false;
	set_cmos(m);
	return true;
}

void board_pc_fini(struct machine *m)
{
	struct board *b = &m->board;

	board_hurry_drives(m, true);
	bus_lock(m->bus);
	while (b->ndevs)
		dev_free(b->dev[--b->ndevs]);
	if (b->pci)
		pci_bus_free(b->pci);
	bus_unlock(m->bus);
	g_clear_pointer(&b->isa_lines, irq_lines_free);
	board_close_drives(m);
	for (unsigned i = 0; b->nets && i < b->nets->len; i++) {
		struct net_port *p = g_ptr_array_index(b->nets, i);

		p->free(p);
	}
	g_clear_pointer(&b->nets, g_ptr_array_unref);
	board_close_shares(m);
	g_clear_pointer(&b->roms, g_ptr_array_unref);
	g_clear_pointer(&b->boot_paths, g_ptr_array_unref);
	board_free_firmware(m);
}

void board_pc_reset(struct machine *m)
{
	struct board *b = &m->board;

	bus_set_a20(m->bus, true);
	board_hurry_drives(m, true);
	for (unsigned i = 0; i < b->ndevs; i++)
		if (b->dev[i]->cls->reset)
			b->dev[i]->cls->reset(b->dev[i]);
	board_hurry_drives(m, false);
	/* A BIOS lets it decode its ports; OVMF takes that for done. */
	if (b->ide && m->conf->firmware == CONF_FIRMWARE_UEFI)
		ide_enable(b->ide);
}

void board_pc_setup(struct machine *m)
{
	struct board *b = &m->board;

	shadow_open(b->shadow);
	b->kind->setup(m);
	i8237_cascade(b->dma);
	if (b->intc)
		intc_virtual_wire(b->intc);
	if (b->vga && b->vga_font)
		vga_set_text_mode(b->vga, b->vga_font);
}
