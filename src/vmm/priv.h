/*
 * priv.h - the parts of one machine, for the files of this folder.
 */
#ifndef VMM_PRIV_H
#define VMM_PRIV_H

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>

#include <glib.h>
#include <json-glib/json-glib.h>

#include "block/image.h"
#include "bus/bus.h"
#include "conf/machine.h"
#include "cpu/engine.h"
#include "dev/dev.h"
#include "dev/pci/pci.h"
#include "dev/virtio/virtio_mem.h"
#include "display/display.h"
#include "firmware/acpi.h"
#include "firmware/load.h"
#include "net/net.h"
#include "vmm/console.h"
#include "vmm/machine.h"
#include "x86/cpuid.h"
#include "x86/state.h"

/* ---- board_pc.c ---- */

#define BOARD_MAX_LAYERS  64
#define BOARD_MAX_DEVICES 64
#define BOARD_PCI_END	  0xfec00000u /* I/O APIC and above: not PCI's */
#define BOARD_IO_END	  0xfffc

/* What one board has that another has not. */
struct board_kind {
	/* most RAM below 4 GiB */
	uint64_t (*low_max)(const struct conf_machine *c);
	/* host bridge, ISA bridge, ACPI registers, PCI functions of the board's
	 * own; fills board.shadow and board.acpi */
	bool (*add_chipset)(
		struct machine *m, const struct dev_host *h, GError **err);
	/* What firmware does to them, for boots without.  Lock held. */
	void (*setup)(struct machine *m);
	/* Its part of the tables. */
	void (*acpi)(const struct machine *m, struct fw_acpi_conf *c);
	uint32_t ecam; /* where configuration space is, or 0 */
	int last_card; /* PCI slot */
	unsigned isa_slot;
};

extern const struct board_kind board_pc, board_q35;
const struct board_kind *board_kind_of(const struct conf_machine *c);

/* One of the machine's drives, as conf_machine.drives has them. */
struct board_drive {
	char *name; /* "cd0" */
	struct conf_drive *conf;
	struct dev *dev;    /* the controller, or the device itself */
	struct blk *blk;    /* the medium; NULL: empty */
	struct blk *image;  /* of blk: without what lies between, encryption */
	struct blk *frozen; /* of a ,snapshot drive: being written */
};

/* A USB controller; its ports are those that it gives by number. */
struct board_usb {
	struct dev *dev;
	struct usb_port *(*port)(struct dev *d, unsigned n);
};

struct board {
	const struct board_kind *kind;
	struct pci_bus *pci;
	const struct bus_irq *gsi;
	struct bus_irq kernel_gsi[BUS_NGSI]; /* KVM's interrupt controllers */
	struct irq_lines *isa_lines;	     /* of cards that may share some */
	struct dev *dev[BOARD_MAX_DEVICES];  /* in order of making */
	unsigned ndevs;
	int next_slot;			   /* of PCI, for cards */
	struct dev *port[CONF_PORT_SLOTS]; /* root ports, or NULL */
	struct dev *intc, *hpet, *rtc, *host_bridge, *isa, *pm, *fw_cfg;
	struct dev *kbd;
	struct dev *genid;	  /* or NULL */
	struct dev *mem;	  /* virtio-mem, or NULL */
	struct shadow *shadow;	  /* the host bridge's */
	struct acpi_regs *acpi;	  /* the south bridge's */
	struct dev *vga, *tablet; /* or NULL */
	const uint8_t *vga_font;  /* out of its ROM, or NULL */
	uint8_t *bios;		  /* image, behind RAM; or NULL */
	uint32_t bios_bytes;
	struct dev *flash; /* UEFI's variables, or NULL */
	struct blk *nvram; /* their image */
	struct board_drive drive[CONF_MAX_DRIVES];
	unsigned ndrives;
	struct dev *ide, *fdc, *ahci; /* or NULL: nothing is on it */
	struct dev *smbus;	      /* or NULL */
	struct dev *scsi[CONF_NHBA];  /* the same */
	struct dev *dma;
	struct dev *gameport; /* or NULL */
	struct dev *keyboard; /* virtio, or NULL */
	struct dev *balloon;  /* or NULL */
	struct board_usb usb[CONF_MAX_USB];
	unsigned nusb;
	unsigned nhubs;
	struct dev *usb_kbd, *usb_mouse, *usb_tablet; /* or NULL */
	GPtrArray *boot_paths; /* of char *: fw_cfg's bootorder */
	GPtrArray *nets;       /* back ends, to be closed */
	GPtrArray *shares;     /* struct share, to be closed */
	GPtrArray *roms;       /* option ROMs */
};

/* Make all devices.  No lock held. */
bool board_pc_init(struct machine *m, GError **err);
void board_pc_fini(struct machine *m);
/* Power-on state of all devices.  Lock held. */
void board_pc_reset(struct machine *m);
/* What firmware would have done, for boots without.  Lock held. */
void board_pc_setup(struct machine *m);
/* A device of the board itself. */
struct dev *board_add_class(struct machine *m, const struct dev_class *cls,
	const char *id, const struct dev_host *host, GError **err);
/* A PCI card in the next slot. */
struct dev *board_add(struct machine *m, const char *cls, const char *id,
	const struct dev_host *host, GError **err);

/* board_firmware.c: the images that conf_machine names. */
uint64_t board_firmware_room(const struct conf_machine *c); /* whole pages */
bool board_add_firmware(struct machine *m, GError **err);
void board_free_firmware(struct machine *m); /* after the devices went */

/* board_drives.c: disks and network cards. */
bool board_add_drives(struct machine *m, GError **err);
void board_close_drives(struct machine *m); /* after the devices went */
/* Put the drive's card into root port conf.slot. */
bool board_add_port_card(struct machine *m, struct board_drive *d,
	const char *cls, GError **err);
/* Change the medium; false with *err: it does not go in.  *old: what came out.
 * Lock held. */
bool board_swap_medium(struct board_drive *d, struct blk *b, bool readonly,
	struct blk **old, GError **err);
/* May the medium be taken out?  If not, the guest is asked to.  Lock held. */
bool board_may_eject(struct board_drive *d);
bool board_add_nics(struct machine *m, GError **err);
/* Give a PCI card an option ROM: the image, in *bytes, or NULL. */
uint8_t *board_add_rom(struct machine *m, struct conf_file *file,
	struct dev *dev, uint32_t *bytes);
/* board_share.c: folders of the host. */
bool board_add_shares(struct machine *m, GError **err);
void board_close_shares(struct machine *m); /* after the devices went */
/* Fill board.boot_paths. */
void board_boot_order(struct machine *m);

/* The lines of one more ISA card. */
const struct bus_irq *board_isa_gsi(struct machine *m);

/* A byte stream to the host, or NULL. */
struct dev_chardev *board_add_console(
	struct machine *m, struct conf_serial *conf);

/* board_usb.c */
/* Take a device out and free it.  Lock held. */
void board_remove(struct machine *m, struct dev *dev);
bool board_add_usb(struct machine *m, GError **err);
/* Ids of keyboard and pointer that came later have this before their name. */
#define BOARD_USB_LATER "usb-"
/* Keyboard and pointer, as the description says. */
bool board_add_usb_input(struct machine *m, GError **err);
/* Make a device of that class and plug it in: at controller n, or -1: where it
 * is fastest. */
struct dev *board_plug_usb(struct machine *m, const struct dev_class *cls,
	const char *id, const struct dev_host *host, int n, GError **err);
/* Where SeaBIOS looks for a drive. */
char *board_usb_path(struct machine *m, const struct dev *dev);

/* ---- usb_tree.c: where USB devices of a saved machine are ---- */

/* Write conf.plugs and the names of drives. */
void usb_tree_note(struct machine *m);
/* Does conf.plugs say where devices go?  Until usb_tree_end. */
bool usb_tree_rules(const struct machine *m);
bool usb_tree_has(const struct machine *m, const char *id);
/* The free port of the device, or NULL. */
struct usb_port *usb_tree_port(const struct machine *m, const char *id);
bool usb_tree_add_hubs(
	struct machine *m, const struct dev_host *host, GError **err);
void usb_tree_end(struct machine *m);

/* Let nothing be held back by limits while somebody waits for all requests. */
void board_hurry_drives(struct machine *m, bool on);
/* disk0.iops=500: of a drive that runs. */
bool media_limit(struct machine *m, const char *drive, const char *key,
	const char *value, GError **err);

/* ---- media.c: images, and discs that come and go ---- */

/* Take the descriptor out. */
int media_take_fd(struct conf_file *f);
/* The image as a disk; drive: whose backing files are asked for, -1: such are
 * refused.  *image: as in struct board_drive.  NULL and *err. */
struct blk *media_open(struct machine *m, int drive, struct conf_drive *d,
	struct blk **image, GError **err);
/* Put a medium into a drive, or take it out (d NULL).  force: although the
 * guest has locked the door.  Loop. */
bool media_change(struct machine *m, const char *drive, struct conf_drive *d,
	bool force, GError **err);

/* ---- plug.c: USB devices that come and go; loop ---- */

/* keyboard, mouse or tablet, at USB controller n, or -1: any. */
bool plug_input(struct machine *m, const char *what, int n, GError **err);
/* A disk or CD drive, at controller slot or -1; conf is taken over.  What it
 * is called, or NULL. */
char *plug_drive(struct machine *m, struct conf_drive *conf, GError **err);
bool plug_out(struct machine *m, const char *name, GError **err);
/* Take out the cards of slots that the guest has switched off. */
void plug_take_cards(struct machine *m);

/* ---- runloop.c ---- */

struct vcpu {
	struct machine *machine;
	unsigned index;
	struct bus_cpu *bc;
	struct cpu *cpu;
	pthread_t thread;
	bool started, parked; /* parked: run_lock */
	bool wait_sipi;	      /* own thread */
	bool held;	      /* by the debugger, while others run */
	bool resting;	      /* by limit.c: run_lock */
	bool stopped;	      /* by the debugger's wish: see stop */
	unsigned looked;      /* runloop.looks when last looked at: run_lock */
	struct cpu_break stop;
	struct x86_state *fresh; /* to be set before it runs on, or NULL */
};

enum run_want {
	RUN_PAUSED,
	RUN_GO,
	RUN_QUIT,
};

struct runloop {
	pthread_mutex_t lock; /* taken after the bus lock, never before */
	pthread_cond_t cond;
	enum run_want want;
	struct vcpu *vcpu;
	unsigned n;
	struct x86_state *look; /* n of them: filled by who is parked */
	unsigned looks;		/* times that somebody asked to look */
	bool irqchip;		/* KVM handles HLT, INIT and SIPI */
};

bool runloop_init(struct machine *m, GError **err);
void runloop_fini(struct machine *m); /* ends the threads */
bool runloop_spawn(struct machine *m, GError **err);
/* Let go, or stop and wait until every processor stands. */
void runloop_go(struct machine *m);
void runloop_pause(struct machine *m);
/* Stop and copy all states to out[n].  True: they ran before (or were about
 * to), and runloop_go shall follow. */
bool runloop_hold(struct machine *m, struct x86_state *out);
/* The same for a moment. */
void runloop_look(struct machine *m, struct x86_state *out);
/* What processor n goes on with.  While paused. */
void runloop_get_state(struct machine *m, unsigned n, struct x86_state *s);
/* Processor n's TSC falls back by ticks.  While paused. */
void runloop_shift_tsc(struct machine *m, unsigned n, uint64_t ticks);
/* Ask to stop without waiting.  Any thread, bus lock held or not. */
void runloop_halt_soon(struct machine *m);
/* Give processor n the state at its next start.  While paused. */
void runloop_set_state(
	struct machine *m, unsigned n, const struct x86_state *s);

/* Processor n stands, or runs if it may. */
void runloop_rest(struct machine *m, unsigned n, bool rest);

/* ---- limit.c ---- */

/* Processors run for so much of the time (of CONF_LIMIT_FULL; 0: all). */
bool limit_set(struct machine *m, unsigned share, GError **err);
void limit_fini(struct machine *m);

/* ---- change.c ---- */

/* Open /dev/kvm for later, if the description says so. */
void change_prepare(struct machine *m);
void change_fini(struct machine *m);
/* What the processors may have if the machine may change: can[] without what
 * another engine lacks. */
void change_limit(const struct machine *m, bool can[X86_NFEATURES]);

/* ---- boot.c ---- */

struct boot {
	struct fw_image kernel, initrd;
	struct fw_items items;
	struct fw_plan plan;
};

/* Read kernel and initrd, plan the start, fill fw_cfg. */
bool boot_init(struct machine *m, GError **err);
void boot_fini(struct machine *m);
/* After board_pc_reset: memory contents and processor states.  Paused, lock
 * held. */
bool boot_place(struct machine *m, GError **err);

/* ---- genid.c: who the machine is ---- */

/* A stable number for a name, in the layout of SMBIOS. */
void genid_of_name(const char *name, const char *kind, uint8_t uuid[16]);
bool genid_init(struct machine *m, const struct dev_host *h, GError **err);
/* Where guests read it, or 0. */
uint32_t genid_page(const struct machine *m);
/* The guest goes on from a state: it gets another, and is told.  Lock held. */
void genid_renew(struct machine *m);
char *genid_text(const struct machine *m); /* or NULL */

/* ---- model.c ---- */

/* The processors' model as text, to be freed; and back, false with *err if it
 * makes no sense or has a feature that is not in can[]. */
char *model_to_text(const struct x86_cpu_model *model);
bool model_from_text(struct x86_cpu_model *m, const char *text, const bool *can,
	GError **err);

/* ---- state.c: the machine as named parts ---- */

/* What other threads do for devices has ended when it returns.  Held. */
void state_drain(struct machine *m);
/* Is everything there that saving needs? */
bool state_can(const struct machine *m, GError **err);
/* The clock and processors; devices.  part is called for each; false if it
 * fails.  Held, drained. */
typedef bool state_part_fn(void *opaque, const char *name, const GByteArray *a);
bool state_save_processors(
	struct machine *m, state_part_fn *part, void *opaque);
bool state_save_devices(struct machine *m, state_part_fn *part, void *opaque);
/* Reset, memory loaded, not yet run. */
struct save_parts;
bool state_load_parts(
	struct machine *m, const struct save_parts *parts, GError **err);

/* ---- clock.c ---- */

/* The guest's clock is behind by ns: it catches up as it runs. */
void clock_owe(struct machine *m, uint64_t ns);
uint64_t clock_owed_ns(const struct machine *m);
void clock_fini(struct machine *m);

/* ---- overlay.c: new images on top of disks ---- */

struct overlay {
	struct board_drive *drive;
	int fd; /* an empty file, locked for one writer by who made it */
	enum conf_format format;
	const struct image_format *image;
	const char *path; /* of the file, for messages and settings */
	const char *backing, *backing_path; /* as in struct image_create */
	struct blk *child;
};

struct overlays {
	unsigned n;
	struct overlay one[CONF_MAX_DRIVES];
};

/* Is the drive's image one that the guest writes to? */
bool overlay_writable(const struct board_drive *d);
/* By name; NULL: there is none, or the guest does not write to it. */
struct board_drive *overlay_drive(struct machine *m, const char *name);
/* A member that is a text, or NULL. */
const char *overlay_text(JsonObject *o, const char *key);
/*
 * list: [{drive, fd: index into fds, path, backing, backing_path, format}], one
 * for each disk that is written to; strings stay the list's.  Takes those
 * descriptors, also if it fails; overlays_fini follows in any case.
 */
bool overlays_parse(struct machine *m, struct overlays *o, JsonNode *list,
	int *fds, unsigned nfds, GError **err);
void overlays_fini(struct overlays *o);
/* Held, drained.  Flushes the disks and makes their children: all or none. */
bool overlays_make(struct overlays *o, GError **err);
/* Either: go on with the children, or as if nothing had been. */
void overlays_switch(struct overlays *o);
void overlays_drop(struct overlays *o);
/* All of that at a pause of its own, of *ns.  Loop. */
struct snapshot_ask;
bool machine_overlay(
	struct machine *m, struct snapshot_ask *q, uint64_t *ns, GError **err);
/* What UEFI has for variables at this moment, if that is asked for. */
bool overlay_nvram(struct machine *m, struct snapshot_ask *q, GError **err);
/* {name, path, format, bytes, written} of each drive. */
void disks_json(struct machine *m, JsonArray *to);

/* ---- memory.c: RAM from the start, and what comes and goes ---- */

/* machine.bus; false with *err. */
bool memory_new(struct machine *m, GError **err);
/* The device that gives memory, if the machine is to have one. */
bool memory_add(struct machine *m, const struct dev_host *host, GError **err);
/* Behind all memory above 4 GiB that the guest may ever have. */
gpa_t memory_high_end(const struct conf_machine *c);
/* May there be anything but zeros at an offset of RAM?  Lock held, or
 * processors stand. */
bool memory_there(const struct machine *m, uint64_t off, uint64_t bytes);
/* The first memory that the guest has at *base or behind; false: none. */
bool memory_next(const struct machine *m, gpa_t *base, uint64_t *bytes);
/* How much the guest has. */
uint64_t memory_bytes(const struct machine *m);
/* It shall have so much. */
bool memory_set(struct machine *m, uint64_t bytes, GError **err);
/* mem_bytes, mem_asked_bytes, mem_start_bytes, mem_max_bytes; ram_bytes, of
 * the file that a copy's memory is in. */
void memory_json(const struct machine *m, JsonObject *o);

/* ---- merge.c: images below them become part of one another; loop ---- */

struct merge_ask {
	int *fds;
	unsigned nfds;
	const char *drive;
	gint64 from, to; /* indices; to is open for writing */
	gint64 next;	 /* what will be next to `to` when from is gone: below
			  * it (up), or above */
	bool up;	 /* from is what to stands on, else the reverse */
	JsonNode *tell;
	/* answers */
	const char *state; /* open, copying, copied; merged: it has been */
	uint64_t done, total;
	uint64_t ns; /* how long it stood */
};

/* Takes the descriptors that it uses. */
bool merge_open(struct machine *m, struct merge_ask *q, GError **err);
bool merge_copy(struct machine *m, GError **err);
bool merge_look(struct machine *m, struct merge_ask *q, GError **err);
bool merge_end(struct machine *m, struct merge_ask *q, GError **err);
/* As if nothing had been; if there is one. */
void merge_stop(struct machine *m);

/* ---- ram.c: memory that several machines have ---- */

/* All pages that are not zeros into a file, each at its place. */
bool ram_write(const struct machine *m, int fd, unsigned threads);
/* The machine's memory is what is in the file; changes stay its own.  Nothing
 * has looked at it yet. */
bool ram_share(struct machine *m, int fd, GError **err);
/* For struct dev_ram; opaque is the machine. */
void ram_discard(void *opaque, uint64_t offset, uint64_t bytes);
/* The same, but zero they are in any case. */
void ram_clear(void *opaque, uint64_t offset, uint64_t bytes);

/* ---- balloon.c ---- */

/* If the machine shall have one, and there is a place. */
bool balloon_add(struct machine *m, const struct dev_host *h, GError **err);
/* The guest may keep so much; 0: all. */
bool balloon_set(struct machine *m, uint64_t bytes, GError **err);
/* Does a driver run it? */
bool balloon_driven(struct machine *m);
/* As the settings have it, after a state that has another was loaded.  Lock
 * held. */
void balloon_settle(struct machine *m);
/* How things are (docs/control.md), or NULL; the guest is asked anew. */
JsonObject *balloon_json(struct machine *m);

/* ---- save.c ---- */

struct save_figures {
	uint64_t bytes, ns;
};

/* Into an empty ordinary file; then the machine ends.  False and *err: it goes
 * on.  Loop. */
bool machine_save(
	struct machine *m, int fd, struct save_figures *f, GError **err);
/*
 * The same while it goes on: f->ns is how long it stood.  The file is written
 * by a process of its own, which then writes a struct snapshot_result into the
 * pipe result_fd.
 */
struct snapshot_result {
	uint64_t ok, bytes, ns;
	char message[232];
};

/* fds: the file, the pipe, empty files that are overlays' (a list as
 * overlays_parse wants it; NULL: nothing is written to), and empty files for
 * what ,snapshot drives write from then on, as many as there may be; -1 where
 * one was taken.  UEFI's variables go into nvram as they are then, and memory
 * into ram, if those are indices. */
struct snapshot_ask {
	int *fds;
	unsigned nfds;
	JsonNode *overlays;
	int nvram; /* -1: none */
	int ram;   /* where memory goes instead, page by page; -1: none */
};

bool machine_snapshot(struct machine *m, struct snapshot_ask *q,
	struct save_figures *f, GError **err);
/* Is one still being written? */
bool machine_snapshot_busy(struct machine *m);
/* Out of conf.state, instead of power-on. */
bool machine_load(struct machine *m, GError **err);

/* ---- loop.c ---- */

/* What other threads ask of the control loop. */
enum request {
	REQ_RESET = 1 << 0,
	REQ_POWEROFF = 1 << 1,
	REQ_TRIPLE_FAULT = 1 << 2,
	REQ_FAILED = 1 << 3,   /* text in machine.failure */
	REQ_DEBUG = 1 << 4,    /* a processor met a breakpoint: vcpu.stopped */
	REQ_WATCHDOG = 1 << 5, /* has fired; what it asks for stands beside */
	REQ_NMI = 1 << 6,
	REQ_PAUSE = 1 << 7,
	REQ_CARD = 1 << 8, /* a slot was switched off: plug_take_cards */
};

bool loop_init(struct machine *m, GError **err);
void loop_fini(struct machine *m);
/* Any thread. */
void loop_post(struct machine *m, unsigned requests);

/* machine.c: what the loop does with them. */
void machine_serve(struct machine *m, unsigned requests);
/* Let the processors go unless somebody holds them. */
void machine_go(struct machine *m);

/* ---- walk.c ---- */

/* Physical address of a as the processor would translate it, rights apart.
 * text: what was met on the way, or NULL. */
bool walk_translate(struct machine *m, const struct x86_state *s, gva_t a,
	gpa_t *out, GString *text);

/* ---- dump.c ---- */

/* All memory and processors as an ELF core into an empty file; the machine
 * stands meanwhile.  virtual: at the addresses that processor 0 uses.  *cut:
 * mappings had to be left out. */
bool dump_write(
	struct machine *m, int fd, bool virtual, bool *cut, GError **err);

/* ---- trace.c ---- */

/* Record the last events of each processor, from now on / no more.  Loop. */
bool trace_start(struct machine *m, uint64_t events, bool insns, GError **err);
void trace_stop(struct machine *m);
/* The last ones of each processor as text into an ordinary file. */
bool trace_write(struct machine *m, int fd, uint64_t last, GError **err);
void trace_engine_changed(struct machine *m);
/* As the description wants it: from the start; into its file at the end. */
bool trace_init(struct machine *m, GError **err);
void trace_ended(struct machine *m);

/* ---- debugger.c: gdb ---- */

/* Nothing if the machine has no socket for it.  Holds the machine if it shall
 * wait for gdb.  Processors stand. */
bool debugger_init(struct machine *m, GError **err);
void debugger_fini(struct machine *m);
/* A processor has stopped (REQ_DEBUG). */
void debugger_serve(struct machine *m);
/* Go on although nobody but a debugger that has gone holds the machine. */
void debugger_forget(struct machine *m);
void debugger_ended(struct machine *m);
/* May the machine go on with another engine?  It has; processors stand. */
bool debugger_engine(struct machine *m, const struct cpu_engine *to);
void debugger_engine_changed(struct machine *m);

/* ---- control.c: requests of other programs ---- */

/* Nothing if the machine has no name. */
void control_start(struct machine *m);
void control_fini(struct machine *m);

/* ---- monitor.c, stat.c ---- */

/* One line of the user at the monitor: printed, or put into out. */
void monitor_command(struct machine *m, const char *line);
void monitor_run(struct machine *m, const char *line, GString *out);
void stat_print(struct machine *m, GString *out);
/* {"group.name": value, ...} of the machine and processor cpu, or of all
 * processors together (-1).  Strings stay valid as long as the program. */
JsonObject *stat_json(struct machine *m, int cpu);
void stat_registers(struct machine *m, GString *out);
void stat_info(struct machine *m, GString *out);

/* ---- screen.c ---- */

#define SCREEN_DELAY_MS 20 /* from key to key */

/* While files can be opened.  False: *err. */
bool screen_prepare(struct machine *m, GError **err);
/* The display with what draws and takes input; before devices are reset. */
bool screen_init(struct machine *m, GError **err);
/* Serve remote screens.  Loop. */
void screen_start(struct machine *m);
void screen_fini(struct machine *m);
/* Keys to be typed one after the other, as fast as the guest reads them:
 * returns how many wait, or -1 and *err if the text has a character that no
 * key gives, or too many wait.  keys: names as in "ctrl-alt-del". */
int screen_type(
	struct machine *m, const char *text, uint64_t delay_ms, GError **err);
int screen_keys(
	struct machine *m, const char *keys, uint64_t delay_ms, GError **err);
unsigned screen_typing(const struct machine *m);

/* ---- sound.c ---- */

/* While files can be opened.  False: *err. */
bool sound_prepare(struct machine *m, GError **err);
/* The mixer, before devices; the cards. */
bool sound_init(struct machine *m, GError **err);
bool board_add_sound(struct machine *m, const struct dev_host *h, GError **err);
/* pit NULL: it could not be made. */
bool board_add_speaker(struct machine *m, const struct dev_host *h,
	struct dev *pit, GError **err);
void sound_fini(struct machine *m); /* after the devices went */

/* ---- vsock.c: sockets between guest and host ---- */

/* The device, if there shall be one. */
bool vsock_open(struct machine *m, const struct dev_host *h, GError **err);
/* From now on the host's programs are heard. */
void vsock_start(struct machine *m);
void vsock_stop(struct machine *m);
void vsock_close(struct machine *m); /* after the devices went */

/* ---- the machine ---- */

struct machine {
	struct conf_machine *conf;
	struct machine_host host;
	struct bus *bus;
	const struct cpu_engine *engine;
	char engine_why[256];
	struct x86_cpu_model model;
	uint64_t tsc_hz;	   /* this host's */
	struct catch_up *catch_up; /* or NULL */
	int snapshot;		   /* pipe from whoever writes one, 0: nobody */
	struct merge *merge;	   /* or NULL */
	/* Files of what ,snapshot drives have; the disks own them. */
	int layer[BOARD_MAX_LAYERS];
	unsigned nlayers;
	struct cpu_vm *vm;
	unsigned ncpus;
	uint32_t apic_ids[BUS_MAX_CPUS];
	struct dev_ram ram;
	uint8_t *ram_shared; /* bit by page: it is in the shared file; NULL */
	unsigned ram_cuts;   /* taken out of that */
	struct board board;
	struct virtio_mem_room mem_room;
	struct runloop run;
	struct limit *limit; /* or NULL */
	struct boot boot;
	struct console *consoles[CONF_MAX_SERIAL + CONF_MAX_LPT + 3];
	unsigned nconsoles;
	GSource *timers, *doorbell;
	_Atomic(unsigned) requests;
	pthread_mutex_t failure_lock; /* of the two texts */
	char failure[640];
	char crash[2048]; /* registers at the last triple fault */
	unsigned crashes;
	bool ended;
	unsigned resets;
	bool dirty_log;
	/* May change to kvm: /dev/kvm, and what it can; else 0, NULL. */
	int dev_kvm;
	struct cpu_probe *kvm;
	unsigned holds; /* enum machine_hold: who wants it to stand */
	struct control *control;
	struct debugger *debugger;
	struct trace *trace; /* or NULL */
	struct display display;
	const struct rfb_ops *rfb; /* or NULL */
	struct screen *screen;
	struct audio *audio;	       /* or NULL: nobody hears, none speaks */
	const struct pulse_ops *pulse; /* or NULL */
	struct pulse *sound_server;
	struct vsock *vsock; /* or NULL */
};

void machine_note(struct machine *m, const char *fmt, ...) G_GNUC_PRINTF(2, 3);

#endif
