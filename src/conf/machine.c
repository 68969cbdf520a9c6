/*
 * machine.c - a machine's description: life, words and checks.
 */
#include "conf/machine.h"

#include <unistd.h>

#include "conf/error.h"

#define WORDS(name, text, ...)                                                 \
	static const char *const name##_list[] = {__VA_ARGS__, NULL};          \
	const struct conf_word_list conf_##name##_words = {text, name##_list}

WORDS(engine, "engine", "auto", "bt", "kvm", "interp", "lockstep");
WORDS(irqchip, "irqchip", "auto", "kernel", "user");
WORDS(hypervisor, "hypervisor", "kvm", "none");
WORDS(board, "board", "pc", "q35");
WORDS(firmware, "firmware", "bios", "uefi");
WORDS(rtc, "clock", "utc", "localtime");
WORDS(media, "medium", "disk", "cdrom", "floppy");
WORDS(bus, "bus", "virtio", "ide", "sata", "scsi", "nvme", "usb", "floppy");
WORDS(hba, "host adapter", "virtio", "lsi");
WORDS(format, "format", "raw", "qcow2", "vhd", "vhdx", "vdi", "vmdk",
	"parallels", "dmg");
WORDS(nic, "network card", "virtio", "e1000", "e1000e", "pcnet", "rtl8139",
	"rtl8139c", "ne2000", "ne2000-isa");
WORDS(serial, "serial line", "none", "stdio", "file", "unix");
WORDS(display, "display", "none", "vnc");
WORDS(vga, "display card", "std", "virtio", "none");
WORDS(pointer, "pointer", "auto", "ps2", "tablet", "usb-tablet", "usb-mouse");
WORDS(keyboard, "keyboard", "ps2", "usb", "virtio");
WORDS(usb, "USB controller", "uhci", "ehci", "xhci");
WORDS(watchdog, "watchdog", "none", "i6300esb");
WORDS(watchdog_action, "watchdog's action", "reset", "poweroff", "pause", "nmi",
	"none");
WORDS(boot, "boot medium", "floppy", "cdrom", "disk", "net");

#define UEFI_MEM_MIN (64ull << 20)

void conf_file_clear(struct conf_file *f)
{
	g_clear_pointer(&f->path, g_free);
	if (f->fd >= 0)
		close(f->fd);
	f->fd = -1;
}

static void serial_clear(struct conf_serial *s)
{
	conf_file_clear(&s->file);
	if (s->in_fd >= 0)
		close(s->in_fd);
	s->in_fd = -1;
}

struct conf_drive *conf_drive_new(void)
{
	struct conf_drive *d = g_new0(struct conf_drive, 1);

	d->file.fd = d->cow.fd = d->top.fd = d->key.fd = -1;
	d->slot = -1;
	return d;
}

void conf_drive_free(struct conf_drive *d)
{
	conf_file_clear(&d->file);
	conf_file_clear(&d->cow);
	conf_file_clear(&d->top);
	g_free(d->top_backing);
	conf_file_clear(&d->key);
	g_free(d->serial);
	g_free(d->name);
	g_free(d);
}

struct conf_plug *conf_plug_new(const char *id, const char *at)
{
	struct conf_plug *p = g_new(struct conf_plug, 1);

	*p = (struct conf_plug){g_strdup(id), g_strdup(at)};
	return p;
}

void conf_plug_free(struct conf_plug *p)
{
	g_free(p->id);
	g_free(p->at);
	g_free(p);
}

struct conf_nic *conf_nic_new(void)
{
	struct conf_nic *n = g_new0(struct conf_nic, 1);

	n->rom.fd = n->tftp.fd = -1;
	n->forwards = g_array_new(FALSE, TRUE, sizeof(struct conf_forward));
	return n;
}

void conf_nic_free(struct conf_nic *n)
{
	conf_file_clear(&n->rom);
	g_free(n->bootfile);
	conf_file_clear(&n->tftp);
	g_free(n->tftp_seen);
	g_array_unref(n->forwards);
	g_free(n);
}

struct conf_serial *conf_serial_new(void)
{
	struct conf_serial *s = g_new0(struct conf_serial, 1);

	s->file.fd = s->in_fd = -1;
	return s;
}

void conf_serial_free(struct conf_serial *s)
{
	serial_clear(s);
	g_free(s);
}

struct conf_machine *conf_machine_new(void)
{
	struct conf_machine *m = g_new0(struct conf_machine, 1);

	m->name = g_strdup("vm");
	m->cpu_model = g_strdup("auto");
	m->sockets = m->cores = m->threads = 1;
	m->mem_bytes = 512ull << 20;
	m->acpi = m->ioapic = m->hpet = m->genid = true;
	m->balloon = m->balloon_oom = m->balloon_reporting = true;
	m->default_bus[CONF_MEDIA_DISK] = CONF_BUS_VIRTIO;
	m->default_bus[CONF_MEDIA_CDROM] = CONF_BUS_IDE;
	m->default_bus[CONF_MEDIA_FLOPPY] = CONF_BUS_FLOPPY;
	m->firmware_file.fd = m->nvram.fd = m->kernel.fd = m->initrd.fd = -1;
	m->control.fd = m->gdb.fd = m->trace.fd = m->state.fd = m->ram.fd = -1;
	m->ram_ready.fd = -1;
	m->vsock.socket.fd = -1;
	m->vsock.cid = CONF_VSOCK_CID;
	m->vga_rom.fd = m->screen.fd = m->tls_cert.fd = m->tls_key.fd = -1;
	m->audio_file.fd = m->audio_source_file.fd = -1;
	m->sound = g_array_new(FALSE, TRUE, sizeof(struct conf_sound));
	m->vram_bytes = 16 << 20;
	m->console.file.fd = m->console.in_fd = -1;
	m->smartcard.file.fd = m->smartcard.in_fd = -1;
	m->debugcon.file.fd = m->debugcon.in_fd = -1;
	m->drives =
		g_ptr_array_new_with_free_func((GDestroyNotify)conf_drive_free);
	m->nics = g_ptr_array_new_with_free_func((GDestroyNotify)conf_nic_free);
	m->shares =
		g_ptr_array_new_with_free_func((GDestroyNotify)conf_share_free);
	m->plugs =
		g_ptr_array_new_with_free_func((GDestroyNotify)conf_plug_free);
	m->serial = g_ptr_array_new_with_free_func(
		(GDestroyNotify)conf_serial_free);
	m->parallel = g_ptr_array_new_with_free_func(
		(GDestroyNotify)conf_serial_free);
	return m;
}

void conf_machine_free(struct conf_machine *m)
{
	conf_file_clear(&m->firmware_file);
	conf_file_clear(&m->nvram);
	conf_file_clear(&m->kernel);
	conf_file_clear(&m->initrd);
	conf_file_clear(&m->control);
	conf_file_clear(&m->gdb);
	conf_file_clear(&m->trace);
	conf_file_clear(&m->state);
	conf_file_clear(&m->ram);
	conf_file_clear(&m->ram_ready);
	g_free(m->model);
	conf_file_clear(&m->vga_rom);
	conf_file_clear(&m->screen);
	conf_file_clear(&m->vsock.socket);
	conf_file_clear(&m->tls_cert);
	conf_file_clear(&m->tls_key);
	conf_file_clear(&m->audio_file);
	conf_file_clear(&m->audio_source_file);
	g_array_unref(m->sound);
	serial_clear(&m->console);
	serial_clear(&m->smartcard);
	serial_clear(&m->debugcon);
	g_ptr_array_unref(m->drives);
	g_ptr_array_unref(m->plugs);
	g_ptr_array_unref(m->nics);
	g_ptr_array_unref(m->shares);
	g_ptr_array_unref(m->serial);
	g_ptr_array_unref(m->parallel);
	g_free(m->name);
	g_free(m->cpu_model);
	g_free(m->genid_value);
	g_free(m->append);
	g_free(m->display_addr);
	g_free(m->display_password);
	g_free(m);
}

void conf_rtc_settle(struct conf_machine *m)
{
	g_autoptr(GDateTime) now = g_date_time_new_now_local();

	m->rtc_offset_s = 0;
	if (now && m->rtc == CONF_RTC_LOCALTIME)
		m->rtc_offset_s = (int)(g_date_time_get_utc_offset(now) /
					G_TIME_SPAN_SECOND);
}

unsigned conf_machine_ncpus(const struct conf_machine *m)
{
	return m->sockets * m->cores * m->threads;
}

static bool check_drive(const struct conf_drive *d, GError **err)
{
	bool cd = d->bus == CONF_BUS_IDE || d->bus == CONF_BUS_SATA ||
		  d->bus == CONF_BUS_SCSI || d->bus == CONF_BUS_USB;
	const char *media = conf_media_words.words[d->media];
	const char *bus = conf_bus_words.words[d->bus];
	g_autofree char *what = g_strdup_printf("%s on bus %s", media, bus);

	if (d->media == CONF_MEDIA_DISK	       ? d->bus != CONF_BUS_FLOPPY
		: d->media == CONF_MEDIA_CDROM ? cd
					       : d->bus == CONF_BUS_FLOPPY)
		return true;
	conf_error_set(err, CONF_ERROR_USAGE,
		"disks go on virtio, scsi, nvme, sata, ide or usb, CDs on "
		"scsi, sata, ide or usb, floppies on floppy",
		"leave bus= out", "there is no %s", what);
	return false;
}

static bool check_drives(const struct conf_machine *m, GError **err)
{
	for (guint i = 0; i < m->drives->len; i++)
		if (!check_drive(g_ptr_array_index(m->drives, i), err))
			return false;
	return true;
}

static bool check_mem_max(const struct conf_machine *m, GError **err)
{
	g_autofree char *size = conf_format_size(m->mem_bytes);
	g_autofree char *max = conf_format_size(m->mem_max_bytes);
	const char *why = NULL, *fix = "write for example --mem 512M,max=4G";

	if (!m->mem_max_bytes)
		return true;
	if (m->mem_max_bytes > 1ull << 40)
		why = "a machine has at most 1T of memory";
	else if (m->mem_max_bytes < m->mem_bytes)
		why = "it is less than the machine starts with";
	else if ((m->mem_bytes | m->mem_max_bytes) % CONF_MEM_BLOCK)
		why = "both have to be multiples of 2M";
	if (!why)
		return true;
	conf_error_set(err, CONF_ERROR_USAGE, why, fix,
		"memory of %s cannot become %s", size, max);
	return false;
}

static bool check_limits(const struct conf_machine *m, GError **err)
{
	if (m->mem_bytes < 1 << 20 || m->mem_bytes > 1ull << 40) {
		g_autofree char *size = conf_format_size(m->mem_bytes);

		conf_error_set(err, CONF_ERROR_USAGE,
			"a machine has from 1M to 1T of memory",
			"write for example --mem 512M", "%s of memory is %s",
			size,
			m->mem_bytes < 1 << 20 ? "too little" : "too much");
		return false;
	}
	if (m->mem_bytes & 0xfffff) {
		conf_error_set(err, CONF_ERROR_USAGE,
			"memory comes in whole mebibytes",
			"write for example --mem 512M",
			"memory of %" G_GUINT64_FORMAT " bytes", m->mem_bytes);
		return false;
	}
	if (m->drives->len > CONF_MAX_DRIVES || m->nics->len > CONF_MAX_NICS ||
		m->serial->len > CONF_MAX_SERIAL ||
		m->parallel->len > CONF_MAX_LPT) {
		g_autofree char *why = g_strdup_printf(
			"a machine has at most %d drives, %d network cards, "
			"%d serial lines and %d parallel ports",
			CONF_MAX_DRIVES, CONF_MAX_NICS, CONF_MAX_SERIAL,
			CONF_MAX_LPT);

		conf_error_set(err, CONF_ERROR_USAGE, why,
			"leave some of them out", "too many devices");
		return false;
	}
	return true;
}

/* Standard input can feed one line only. */
static bool check_stdio(const struct conf_machine *m, GError **err)
{
	unsigned n = m->console.kind == CONF_SERIAL_STDIO;

	n += m->debugcon.kind == CONF_SERIAL_STDIO;
	for (guint i = 0; i < m->serial->len; i++) {
		const struct conf_serial *s = g_ptr_array_index(m->serial, i);

		n += s->kind == CONF_SERIAL_STDIO;
	}
	for (guint i = 0; i < m->parallel->len; i++) {
		const struct conf_serial *s = g_ptr_array_index(m->parallel, i);

		n += s->kind == CONF_SERIAL_STDIO;
	}
	if (n <= 1)
		return true;
	conf_error_set(err, CONF_ERROR_USAGE,
		"there is one standard input and output",
		"give the others file:F, unix:F or none", "%u lines on stdio",
		n);
	return false;
}

static bool check_gdb(const struct conf_machine *m, GError **err)
{
	if (m->gdb.path || !m->gdb_wait)
		return true;
	conf_error_set(err, CONF_ERROR_USAGE, "the machine would wait for ever",
		"add --gdb 1234", "--gdb-wait without --gdb");
	return false;
}

static bool check_kernel(const struct conf_machine *m, GError **err)
{
	const char *flag = m->initrd.path ? "--initrd" : "--append";

	if (m->kernel.path || (!m->initrd.path && !m->append))
		return true;
	conf_error_set(err, CONF_ERROR_USAGE,
		"it is handed to a kernel that is booted directly",
		"add --kernel FILE", "%s without --kernel", flag);
	return false;
}

static bool check_firmware(const struct conf_machine *m, GError **err)
{
	if (m->firmware == CONF_FIRMWARE_BIOS && m->nvram_keep) {
		conf_error_set(err, CONF_ERROR_USAGE,
			"a BIOS keeps no variables", "add --firmware uefi",
			"--nvram with --firmware bios");
		return false;
	}
	if (m->firmware == CONF_FIRMWARE_BIOS || m->mem_bytes >= UEFI_MEM_MIN)
		return true;
	conf_error_set(err, CONF_ERROR_USAGE, "it needs 64M",
		"use --mem 64M or more, or --firmware bios",
		"too little memory for --firmware uefi");
	return false;
}

/* Without ACPI's table of APICs a guest finds one processor. */
static bool check_ioapic(const struct conf_machine *m, GError **err)
{
	if (m->ioapic || conf_machine_ncpus(m) == 1)
		return true;
	conf_error_set(err, CONF_ERROR_USAGE,
		"several processors need the I/O APIC",
		"use --ioapic on or --cpus 1",
		"--ioapic off with %u processors", conf_machine_ncpus(m));
	return false;
}

static bool check_display(const struct conf_machine *m, GError **err)
{
	uint64_t v = m->vram_bytes;

	if (v < 1 << 20 || v > 256 << 20 || (v & (v - 1))) {
		g_autofree char *size = conf_format_size(v);

		conf_error_set(err, CONF_ERROR_USAGE,
			"a display has 1M, 2M, 4M, ... or 256M of memory",
			"write for example --vga std,vram=16M",
			"display memory of %s", size);
		return false;
	}
	if (m->display == CONF_DISPLAY_NONE || m->vga != CONF_VGA_NONE)
		return true;
	conf_error_set(err, CONF_ERROR_USAGE,
		"without a display card there is nothing to show",
		"leave out --vga none", "--display vnc with --vga none");
	return false;
}

static bool check_balloon(const struct conf_machine *m, GError **err)
{
	g_autofree char *size = conf_format_size(m->balloon_bytes);
	g_autofree char *mem = conf_format_size(m->mem_bytes);

	if (!m->balloon_bytes || (m->balloon_bytes >= CONF_MIN_BALLOON &&
					 m->balloon_bytes <= m->mem_bytes))
		return true;
	conf_error_set(err, CONF_ERROR_USAGE,
		m->balloon_bytes > m->mem_bytes
			? "a balloon takes memory, it gives none"
			: "a guest keeps at least 1M",
		"write --balloon SIZE, at most what --mem says, or on",
		"the guest is to keep %s of its %s", size, mem);
	return false;
}

/* Two of one number would come in an order that nobody stated. */
static bool check_bootindex(const struct conf_machine *m, GError **err)
{
	bool seen[CONF_MAX_BOOTINDEX + 1] = {false};

	for (guint i = 0; i < m->drives->len + m->nics->len; i++) {
		const struct conf_drive *d =
			i < m->drives->len ? m->drives->pdata[i] : NULL;
		const struct conf_nic *n =
			d ? NULL : m->nics->pdata[i - m->drives->len];
		unsigned at = d ? d->bootindex : n->bootindex;

		if (at && seen[at]) {
			conf_error_set(err, CONF_ERROR_USAGE, NULL,
				"give one of them another number",
				"two are to boot with bootindex=%u", at);
			return false;
		}
		seen[at] = true;
	}
	return true;
}

bool conf_machine_check(const struct conf_machine *m, GError **err)
{
	return check_limits(m, err) && check_mem_max(m, err) &&
	       check_stdio(m, err) && check_kernel(m, err) &&
	       check_ioapic(m, err) && check_gdb(m, err) &&
	       check_firmware(m, err) && check_display(m, err) &&
	       conf_sound_check(m, err) && conf_shares_check(m, err) &&
	       check_drives(m, err) && check_bootindex(m, err) &&
	       check_balloon(m, err);
}
