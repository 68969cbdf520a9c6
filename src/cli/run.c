/*
 * run.c - `vmeste run`: from flags to a machine.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/control.h"
#include "cli/files.h"
#include "cli/listen.h"
#include "cli/os.h"
#include "cli/ports.h"
#include "cli/session.h"
#include "cli/state.h"
#include "cli/stored.h"
#include "cli/verb.h"
#include "cli/vsock.h"
#include "conf/error.h"
#include "conf/options.h"

struct run {
	struct conf_machine *m;
	bool serial_stated;
	bool source; /* something to boot was named */
	bool named;
	bool sound_stated;
	const struct conf_os *os; /* --os, or NULL */
	char *password;		  /* the file of the remote screen's */
	char *stored;		  /* a machine that has a folder */
	bool lenient;	  /* it goes on, whatever its settings say by now */
	GPtrArray *given; /* struct node_setting: the flags, in order */
};

#define SETTER(name)                                                           \
	static bool set_##name(void *ctx, const char *v, GError **err)
#define MACHINE (((struct run *)ctx)->m)

static bool set_word(
	int *to, const struct conf_word_list *list, const char *v, GError **err)
{
	return conf_parse_word(v, list, to, err);
}

SETTER(engine)
{
	return conf_engine_parse(MACHINE, v, err);
}

SETTER(cpu)
{
	return cli_set_text(&MACHINE->cpu_model, v);
}

SETTER(hypervisor)
{
	int word;

	if (!set_word(&word, &conf_hypervisor_words, v, err))
		return false;
	MACHINE->hypervisor = (enum conf_hypervisor)word;
	return true;
}

SETTER(board)
{
	int word;

	if (!set_word(&word, &conf_board_words, v, err))
		return false;
	MACHINE->board = (enum conf_board)word;
	return true;
}

SETTER(firmware)
{
	static const char *const keys[] = {"file", NULL};
	struct run *r = ctx;
	g_autoptr(conf_options_auto) o = conf_options_parse(v, keys, err);
	const char *file = o ? conf_options_get(o, "file") : NULL;
	int word;

	if (!o || !set_word(&word, &conf_firmware_words,
			  o->value ? o->value : "bios", err))
		return false;
	MACHINE->firmware = (enum conf_firmware)word;
	r->source |= MACHINE->firmware == CONF_FIRMWARE_UEFI; /* a shell */
	if (file) {
		cli_set_text(&MACHINE->firmware_file.path, file);
		r->source = true;
	}
	return true;
}

SETTER(nvram)
{
	MACHINE->nvram_keep = true;
	return cli_set_text(&MACHINE->nvram.path, v);
}

SETTER(cpus)
{
	return conf_cpus_parse(MACHINE, v, err);
}

SETTER(cpu_limit)
{
	return conf_parse_share(v, &MACHINE->cpu_limit, err);
}

SETTER(mem)
{
	return conf_mem_parse(MACHINE, v, err);
}

SETTER(kernel)
{
	((struct run *)ctx)->source = true;
	return cli_set_text(&MACHINE->kernel.path, v);
}

SETTER(initrd)
{
	return cli_set_text(&MACHINE->initrd.path, v);
}

SETTER(append)
{
	return cli_set_text(&MACHINE->append, v);
}

SETTER(disk)
{
	((struct run *)ctx)->source = true;
	return conf_drive_parse(MACHINE, CONF_MEDIA_DISK, v, err);
}

SETTER(cdrom)
{
	((struct run *)ctx)->source = true;
	return conf_drive_parse(MACHINE, CONF_MEDIA_CDROM, v, err);
}

SETTER(floppy)
{
	((struct run *)ctx)->source = true;
	return conf_drive_parse(MACHINE, CONF_MEDIA_FLOPPY, v, err);
}

SETTER(boot)
{
	struct run *r = ctx;

	if (!conf_boot_parse(MACHINE, v, err))
		return false;
	for (unsigned i = 0; i < MACHINE->nboot; i++)
		r->source |= MACHINE->boot[i] == CONF_BOOT_NET;
	return true;
}

SETTER(watchdog)
{
	return conf_watchdog_parse(MACHINE, v, err);
}

SETTER(nic)
{
	return conf_nic_parse(MACHINE, v, err);
}

SETTER(share)
{
	return conf_share_parse(MACHINE, v, err);
}

SETTER(serial)
{
	struct conf_serial *s = conf_serial_new();

	((struct run *)ctx)->serial_stated = true;
	g_ptr_array_add(MACHINE->serial, s);
	return conf_serial_parse(s, v, err);
}

SETTER(parallel)
{
	struct conf_serial *s = conf_serial_new();

	g_ptr_array_add(MACHINE->parallel, s);
	return conf_serial_parse(s, v, err);
}

SETTER(gameport)
{
	return conf_parse_bool(v, &MACHINE->gameport, err);
}

SETTER(balloon)
{
	return conf_balloon_parse(MACHINE, v, err);
}

SETTER(console)
{
	conf_file_clear(&MACHINE->console.file);
	return conf_serial_parse(&MACHINE->console, v, err);
}

SETTER(debugcon)
{
	conf_file_clear(&MACHINE->debugcon.file);
	return conf_serial_parse(&MACHINE->debugcon, v, err);
}

SETTER(display)
{
	return conf_display_parse(
		MACHINE, v, &((struct run *)ctx)->password, err);
}

SETTER(pointer)
{
	int word;

	if (!set_word(&word, &conf_pointer_words, v, err))
		return false;
	MACHINE->pointer = (enum conf_pointer)word;
	return true;
}

SETTER(keyboard)
{
	int word;

	if (!set_word(&word, &conf_keyboard_words, v, err))
		return false;
	MACHINE->keyboard = (enum conf_keyboard)word;
	return true;
}

SETTER(smartcard)
{
	return conf_smartcard_parse(MACHINE, v, err);
}

SETTER(usb)
{
	return conf_usb_parse(MACHINE, v, err);
}

SETTER(vsock)
{
	return conf_vsock_parse(MACHINE, v, err);
}

SETTER(vga)
{
	return conf_vga_parse(MACHINE, v, err);
}

SETTER(sound)
{
	((struct run *)ctx)->sound_stated = true;
	return conf_sound_parse(MACHINE, v, err);
}

SETTER(audio)
{
	return conf_audio_parse(MACHINE, v, err);
}

SETTER(acpi)
{
	return conf_parse_bool(v, &MACHINE->acpi, err);
}

SETTER(ioapic)
{
	return conf_parse_bool(v, &MACHINE->ioapic, err);
}

SETTER(hpet)
{
	return conf_parse_bool(v, &MACHINE->hpet, err);
}

SETTER(genid)
{
	return conf_genid_parse(MACHINE, v, err);
}

SETTER(rtc)
{
	int word;

	if (!set_word(&word, &conf_rtc_words, v, err))
		return false;
	MACHINE->rtc = (enum conf_rtc)word;
	return true;
}

SETTER(os)
{
	struct run *r = ctx;

	r->os = cli_os_find(v, err);
	return r->os && conf_os_apply(r->os, r->m, err);
}

SETTER(paused)
{
	MACHINE->paused = true;
	return true;
}

SETTER(no_reboot)
{
	MACHINE->no_reboot = true;
	return true;
}

SETTER(timeout)
{
	return conf_parse_time(v, &MACHINE->timeout_ms, err);
}

SETTER(name)
{
	((struct run *)ctx)->named = true;
	return cli_control_name_ok(v, err) && cli_set_text(&MACHINE->name, v);
}

SETTER(gdb)
{
	return cli_set_text(&MACHINE->gdb.path, v);
}

SETTER(gdb_wait)
{
	MACHINE->gdb_wait = true;
	return true;
}

SETTER(trace)
{
	return conf_trace_parse(MACHINE, v, err);
}

SETTER(state)
{
	((struct run *)ctx)->source = true;
	return cli_set_text(&MACHINE->state.path, v);
}

SETTER(clock)
{
	static const char *const words[] = {"real", "stands", NULL};
	static const struct conf_word_list list = {"clock", words};
	int word;

	if (!set_word(&word, &list, v, err))
		return false;
	MACHINE->clock_stands = word == 1;
	return true;
}

SETTER(verbose)
{
	MACHINE->verbose = true;
	return true;
}

const struct cli_flag cli_run_flags[] = {
	{"os", 0, "OS",
		"hardware that this guest system has drivers for, unless other "
		"flags say otherwise: win98, debian12, ...; vmeste help os "
		"lists them",
		NULL, set_os},
	{"engine", 0, "E",
		"what runs the processors: auto (default), bt, kvm or interp; "
		"options cache=SIZE (bt), irqchip=auto|kernel|user (kvm), "
		"change (may change to kvm and back while it runs)",
		"auto bt kvm interp", set_engine},
	{"cpu", 0, "MODEL", "processor that the guest sees (default: auto)",
		NULL, set_cpu},
	{"hypervisor", 0, "H",
		"whose interface the guest finds: kvm (default; clock, IPIs "
		"and more, which Linux uses by itself) or none",
		"kvm none", set_hypervisor},
	{"cpus", 0, "N", "processors, 1 to 64, or sockets=,cores=,threads=",
		NULL, set_cpus},
	{"cpu-limit", 0, "SHARE",
		"share of the time that each processor may run, for software "
		"that needs a slow machine: 10%, 0.5%; vmeste set changes it",
		NULL, set_cpu_limit},
	{"mem", 'm', "SIZE",
		"memory (default: 512M); option max=SIZE: so much it may have "
		"while it runs, by vmeste set NAME mem=SIZE",
		NULL, set_mem},
	{"board", 0, "B", "pc (default) or q35", "pc q35", set_board},
	{"firmware", 0, "F",
		"bios (default) or uefi; bios,file=PATH for "
		"another image",
		"bios uefi", set_firmware},
	{"nvram", 0, "FILE",
		"where UEFI keeps its variables; made if it is not there "
		"(without: they are lost at the end)",
		"@file", set_nvram},
	{"kernel", 0, "FILE", "boot this kernel directly", "@file", set_kernel},
	{"initrd", 0, "FILE", "initial RAM disk for the kernel", "@file",
		set_initrd},
	{"append", 0, "TEXT", "command line for the kernel", NULL, set_append},
	{"disk", 0, "FILE",
		"a disk; options format=raw|qcow2|vhd|vhdx|vdi|vmdk, "
		"bus=virtio|nvme|scsi|sata|ide|usb (or a place: ide0:1, sata3, "
		"scsi12, usb1), hba=virtio|lsi (of scsi), readonly, snapshot, "
		"key-file=FILE (opens an encrypted image), iops=N and bps=SIZE "
		"(most requests and bytes a second), burst=TIME (of idleness "
		"that may be made up for), "
		"serial=S, bootindex=N (boots "
		"before all without, the lowest first)",
		"@file", set_disk},
	{"cdrom", 0, "FILE",
		"a CD in its drive, or none for an empty one; options "
		"bus=ide|sata|scsi|usb",
		"@file", set_cdrom},
	{"floppy", 0, "FILE",
		"a floppy in its drive, or none; options readonly, snapshot",
		"@file", set_floppy},
	{"boot", 0, "LIST",
		"boot order out of floppy,cdrom,disk,net (without: in this "
		"order, or as UEFI's variables say); menu=on (or how long to "
		"wait, menu=5s): Esc shows the firmware's boot menu meanwhile",
		"floppy cdrom disk net menu=on", set_boot},
	{"watchdog", 0, "W",
		"a watchdog timer: i6300esb or none; option "
		"action=reset|poweroff|pause|nmi|none when it fires (default: "
		"reset)",
		"i6300esb none", set_watchdog},
	{"nic", 0, "NET",
		"a network card: user (NAT) or none; options "
		"model=virtio|e1000|e1000e|pcnet|rtl8139|rtl8139c|ne2000|ne2000-isa "
		"(with io=0x300, irq=3), mac=M, queues=N (pairs, of virtio; "
		"default: one for each processor, at most 4), "
		"tftp=FOLDER (served read-only by TFTP), "
		"bootfile=NAME (what DHCP names to boot: a file there or a "
		"URL), "
		"forward=tcp:HOSTPORT:GUESTPORT (may repeat)",
		"user none", set_nic},
	{"share", 0, "FOLDER",
		"a folder of yours that the guest mounts by a tag (may repeat): "
		"tag=NAME; options readonly, uid=N and gid=N (whose your files "
		"are in the guest; default: root's). Linux: mount -t 9p -o "
		"trans=virtio,version=9p2000.L NAME /mnt",
		"@file", set_share},
	{"serial", 0, "TO",
		"where a serial port goes: stdio (default for the first), "
		"none, file:F or unix:F; up to four",
		"stdio none file: unix:", set_serial},
	{"parallel", 0, "TO",
		"where what is printed on a parallel port goes: none, stdio, "
		"file:F or unix:F; up to three",
		"none stdio file: unix:", set_parallel},
	{"gameport", 0, "on|off",
		"a game port with a joystick, which vmeste set NAME "
		"joystick=X,Y,BUTTONS moves (default: off)",
		"on off", set_gameport},
	{"balloon", 0, "SIZE",
		"a memory balloon, through which the guest's free memory goes "
		"back to the host: on (default), off, or how much the guest "
		"may keep for now (vmeste set changes it); options oom=off "
		"(the guest may not take memory back when it has none left), "
		"reporting=off (what is free stays the guest's)",
		"on off", set_balloon},
	{"console", 0, "TO", "where a virtio console (hvc0) goes",
		"stdio none file: unix:", set_console},
	{"debugcon", 0, "TO", "where the firmware's debug port 0x402 goes",
		"stdio none file: unix:", set_debugcon},
	{"vga", 0, "CARD",
		"the display card: std (default; VGA and VBE), virtio (VGA, and "
		"a virtio GPU whose picture follows the viewer's window) or "
		"none; option vram=SIZE (16M)",
		"std virtio none", set_vga},
	{"pointer", 0, "P",
		"ps2 (a mouse), tablet (virtio too: it says where the pointer "
		"is, so that it goes where it is sent), usb-tablet, usb-mouse "
		"or auto (default: a tablet with remote screens)",
		"auto ps2 tablet usb-tablet usb-mouse", set_pointer},
	{"keyboard", 0, "K",
		"ps2 (default), usb or virtio (PS/2 too, until a driver runs "
		"it)",
		"ps2 usb virtio", set_keyboard},
	{"smartcard", 0, "TO",
		"a USB smart-card reader, whose card is a program that "
		"connects to unix:PATH",
		"unix: none", set_smartcard},
	{"usb", 0, "LIST",
		"USB controllers out of uhci (USB 1), ehci (USB 2, with "
		"companions for slower devices) and xhci (USB 3), or off; "
		"default: xhci if something hangs on USB",
		"uhci ehci xhci off", set_usb},
	{"display", 0, "D",
		"who may look: none (default; vmeste screenshot can) or "
		"vnc=WHERE, [HOST:]PORT (default host: 127.0.0.1) or "
		"unix:PATH; vnc alone: NAME.vnc beside the control socket; "
		"options password=FILE, tls (with a certificate made for this "
		"run), tls-cert=FILE, tls-key=FILE",
		"none vnc", set_display},
	{"vsock", 0, "TO",
		"sockets (AF_VSOCK) between programs of the guest and of the "
		"host: off (default), on (NAME.vsock beside the control "
		"socket) or unix:PATH; option cid=N (the guest's address, 3)",
		"on off unix:", set_vsock},
	{"sound", 0, "CARD",
		"a sound card: ac97, hda or sb16 (may repeat); options of sb16 "
		"port=220, irq=5, dma=1, dma16=5",
		"ac97 hda sb16", set_sound},
	{"audio", 0, "TO",
		"where sound goes: none (default), wav:FILE or pulse (your "
		"sound server, PulseAudio or PipeWire); option "
		"source=wav:FILE|pulse (what the guest records; default: "
		"silence)",
		"none wav: pulse", set_audio},
	{"acpi", 0, "on|off", "ACPI tables (default: on)", "on off", set_acpi},
	{"ioapic", 0, "on|off", "the I/O interrupt controller (default: on)",
		"on off", set_ioapic},
	{"hpet", 0, "on|off", "the HPET timer (default: on)", "on off",
		set_hpet},
	{"genid", 0, "ID",
		"the generation id, by which a guest learns that it was copied "
		"or set back, and makes itself new random numbers: on (default; "
		"one of the machine's name), off or a UUID",
		"on off", set_genid},
	{"rtc", 0, "CLOCK",
		"the battery-backed clock shows utc (default) or localtime, "
		"as Windows, DOS and OS/2 want it",
		"utc localtime", set_rtc},
	{"paused", 0, NULL,
		"stand before the first instruction until vmeste resume", NULL,
		set_paused},
	{"no-reboot", 0, NULL, "end when the guest resets itself", NULL,
		set_no_reboot},
	{"timeout", 0, "TIME", "stop after this time, with status 6", NULL,
		set_timeout},
	{"name", 0, "NAME",
		"a name, by which ls, stat, set, pause, resume, reset and stop "
		"find the machine while it runs",
		NULL, set_name},
	{"gdb", 0, "WHERE",
		"wait for gdb on [HOST:]PORT (default host: 127.0.0.1) or "
		"unix:PATH",
		NULL, set_gdb},
	{"gdb-wait", 0, NULL,
		"stand before the first instruction until gdb "
		"lets go",
		NULL, set_gdb_wait},
	{"trace", 0, "FILE",
		"what the processors did last (interrupts, exceptions, control "
		"registers, MSRs, devices) goes there at the end; options "
		"events=N (65536 of each), insns (instructions too, slow)",
		"@file", set_trace},
	{"state", 0, "FILE",
		"go on from what vmeste save wrote; other flags may only say "
		"what the guest cannot see: --name, --engine, --serial, "
		"--display, ports, where the disks are now",
		"@file", set_state},
	{"clock", 0, "C",
		"with --state: real (default; the guest's clock catches up "
		"with the time that it was away) or stands",
		"real stands", set_clock},
	{"verbose", 'v', NULL, "say on standard error what is done and why",
		NULL, set_verbose},
	{NULL},
};

void *cli_run_new(void)
{
	struct run *r = g_new0(struct run, 1);

	r->m = conf_machine_new();
	r->given = node_setting_array();
	return r;
}

void cli_run_free(void *ctx)
{
	conf_machine_free(MACHINE);
	g_free(((struct run *)ctx)->password);
	g_free(((struct run *)ctx)->stored);
	g_ptr_array_unref(((struct run *)ctx)->given);
	g_free(ctx);
}

bool cli_run_positional(void *ctx, const char *word, GError **err)
{
	struct run *r = ctx;

	if (r->stored) {
		conf_error_set(err, CONF_ERROR_USAGE, NULL, NULL,
			"one machine at a time: '%s'", word);
		return false;
	}
	r->stored = g_strdup(word);
	return cli_control_name_ok(word, err);
}

bool cli_run_flag(
	void *ctx, const struct cli_flag *f, const char *value, GError **err)
{
	node_setting_append(((struct run *)ctx)->given, f->name, value);
	return f->set(ctx, value, err);
}

/* All settings but a profile, or that only. */
static bool apply(
	struct run *r, const GPtrArray *settings, bool os, GError **err)
{
	for (guint i = 0; i < settings->len; i++) {
		const struct node_setting *s = g_ptr_array_index(settings, i);
		const struct cli_flag *f = cli_run_flags;

		if (os != !strcmp(s->flag, "os"))
			continue;
		while (f->name && strcmp(f->name, s->flag))
			f++;
		if (!f->name) {
			conf_error_set(err, CONF_ERROR_UNSUPPORTED, NULL, NULL,
				"this vmeste knows no setting '%s'", s->flag);
			return false;
		}
		if (!f->set(r, s->value, err)) {
			g_prefix_error(err, "--%s: ", s->flag);
			return false;
		}
	}
	return true;
}

bool cli_run_apply(void *ctx, const GPtrArray *settings, GError **err)
{
	return apply(ctx, settings, true, err) &&
	       apply(ctx, settings, false, err);
}

bool cli_run_stored(
	void *ctx, const char *name, const GPtrArray *flags, GError **err)
{
	struct run *r = ctx;
	g_autoptr(GPtrArray) settings = cli_stored_settings(name, err);

	for (guint i = 0; settings && flags && i < flags->len; i++) {
		const struct node_setting *s = g_ptr_array_index(flags, i);

		node_setting_append(settings, s->flag, s->value);
	}
	if (!settings || !cli_run_apply(r, settings, err))
		return false;
	cli_set_text(&r->m->name, name);
	r->named = true;
	return true;
}

/* The password's first line. */
static bool read_password(struct run *r, GError **err)
{
	g_autofree char *text = NULL;
	g_autoptr(GError) e = NULL;

	if (!r->password)
		return true;
	if (!g_file_get_contents(r->password, &text, NULL, &e)) {
		conf_error_set(err, CONF_ERROR_FAILED, e->message,
			"check the path given to --display vnc,password=",
			"cannot read the password");
		return false;
	}
	text[strcspn(text, "\r\n")] = '\0';
	if (*text) {
		r->m->display_password = g_steal_pointer(&text);
		return true;
	}
	conf_error_set(err, CONF_ERROR_USAGE, "its first line is empty", NULL,
		"there is no password in %s", r->password);
	return false;
}

/* Where those wait who want to see the screen. */
static bool listen_screen(struct run *r, GError **err)
{
	struct conf_machine *m = r->m;
	g_autofree char *path = NULL;

	if (m->display == CONF_DISPLAY_NONE)
		return true;
	if (!m->display_addr && !r->named) {
		conf_error_set(err, CONF_ERROR_USAGE,
			"its socket is named after the machine",
			"add --name NAME, or write --display vnc=5900",
			"--display vnc without --name");
		return false;
	}
	if (m->display_addr) {
		m->screen.path = g_strdup(m->display_addr);
	} else {
		path = cli_control_path(m->name, ".vnc");
		/* We hold the machine's name. */
		unlink(path);
		m->screen.path = g_strconcat("unix:", path, NULL);
	}
	return read_password(r, err) &&
	       cli_listen(&m->screen, "--display", err);
}

/* What --os says of devices that come in lists. */
static bool add_profile(struct run *r, GError **err)
{
	g_autofree char *min = conf_os_get(r->os, "min");
	uint64_t bytes = 0;

	if (min && !conf_parse_size(min, &bytes, err))
		return false;
	if (r->m->mem_bytes < bytes)
		fprintf(stderr,
			"note: %s does not run in less than %s of "
			"memory\n",
			r->os->name, min);
	conf_os_add(r->os, r->m, !r->sound_stated);
	return true;
}

bool cli_run_check(void *ctx, GError **err)
{
	struct run *r = ctx;

	conf_drives_default(r->m);
	conf_rtc_settle(r->m);
	if (r->os && !add_profile(r, err))
		return false;
	return conf_machine_check(r->m, err) && conf_drives_place(r->m, err) &&
	       conf_nics_place(r->m, err) && conf_usb_place(r->m, err);
}

static bool open_all(struct run *r, GError **err)
{
	struct conf_machine *m = r->m;

	return cli_run_check(r, err) && cli_ports_check(m, err) &&
	       (!r->named || cli_control_listen(m, err)) &&
	       (!m->gdb.path || cli_listen(&m->gdb, "--gdb", err)) &&
	       listen_screen(r, err) && cli_vsock_listen(m, r->named, err) &&
	       cli_files_open(m, err);
}

static void remove_sockets(const struct conf_machine *m)
{
	cli_control_remove(m);
	cli_listen_remove(&m->gdb);
	cli_listen_remove(&m->screen);
	cli_vsock_remove(m);
}

/* The machine that was saved takes the place of what flags describe. */
static bool come_back(struct run *r, GError **err)
{
	bool named = false;
	struct conf_machine *m =
		cli_state_machine(r->m, r->lenient, &named, err);

	if (!m)
		return false;
	conf_machine_free(r->m);
	r->m = m;
	r->named |= named;
	return true;
}

/* Where the first serial port goes if nobody said so. */
static void default_serial(struct run *r, const char *socket)
{
	struct conf_serial *s = conf_serial_new();

	if (socket) {
		s->kind = CONF_SERIAL_UNIX;
		s->file.path = g_strdup(socket);
	} else if (r->m->console.kind != CONF_SERIAL_STDIO &&
		   r->m->debugcon.kind != CONF_SERIAL_STDIO) {
		/* one line only may have standard input */
		s->kind = CONF_SERIAL_STDIO;
	}
	g_ptr_array_add(r->m->serial, s);
}

bool cli_run_open(void *ctx, const char *socket, GError **err)
{
	struct run *r = ctx;

	if (!r->source) {
		conf_error_set(err, CONF_ERROR_USAGE,
			"none of --kernel, --disk, --cdrom, --floppy is given",
			"'vmeste run --help' ends with examples",
			"nothing to boot");
		return false;
	}
	if (!r->serial_stated && (!r->m->state.path || r->lenient))
		default_serial(r, socket);
	if (r->m->state.path && r->m->state.fd < 0 && !come_back(r, err))
		return false;
	if (open_all(r, err)) {
		cli_files_absolute(r->m);
		return true;
	}
	cli_run_close(r);
	cli_files_remove(r->m);
	return false;
}

void cli_run_go_on(void *ctx, const char *state)
{
	struct run *r = ctx;

	cli_set_text(&r->m->state.path, state);
	r->source = r->lenient = true;
}

void cli_run_close(void *ctx)
{
	remove_sockets(MACHINE);
}

struct conf_machine *cli_run_machine(void *ctx)
{
	return MACHINE;
}

void cli_run_adopt(void *ctx, struct conf_machine *m)
{
	struct run *r = ctx;

	conf_machine_free(r->m);
	r->m = m;
	r->named = r->source = r->serial_stated = true;
}

static int run_transient(struct run *r, GError **err)
{
	int status;

	if (!cli_run_open(r, NULL, err))
		return err ? conf_error_status(*err) : CONF_ERROR_FAILED;
	status = cli_session_run(r->m, err);
	cli_run_close(r);
	return status;
}

int cli_run(void *ctx, GError **err)
{
	struct run *r = ctx;

	return r->stored ? cli_stored_run(r->stored, r->given, err)
			 : run_transient(r, err);
}
