/*
 * machine.h - the description of one virtual machine.
 *
 * What `vmeste run` can say, as types.  The client fills it from the command
 * line, checks it, opens every file that it names and sends it over the wire
 * to vmeste-vm, which opens nothing: a struct conf_file carries the path (for
 * messages) and the open descriptor (for use).
 *
 * Ownership: all strings by g_malloc; conf_machine_free frees everything and
 * closes every descriptor that is still there (take one by setting fd to -1).
 */
#ifndef CONF_MACHINE_H
#define CONF_MACHINE_H

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>
#include <json-glib/json-glib.h>

#include "conf/parse.h"
#include "conf/sound.h"

#define CONF_MAX_CPUS	    64
#define CONF_LIMIT_FULL	    10000 /* hundredths of a percent */
#define CONF_MAX_DRIVES	    32
#define CONF_MAX_NICS	    16
#define CONF_MAX_NIC_QUEUES 8 /* pairs */
#define CONF_MAX_SERIAL	    4
#define CONF_MAX_LPT	    3
#define CONF_SERIAL_BYTES   20		 /* of a disk's serial number */
#define CONF_MAX_USB	    4		 /* controllers */
#define CONF_MAX_PLUGS	    64		 /* USB devices */
#define CONF_MAX_RATE	    (1ull << 40) /* requests or bytes a second */
#define CONF_MIN_BPS	    65536
#define CONF_MAX_BURST_MS   3600000
#define CONF_MIN_BALLOON    (1ull << 20) /* that a guest keeps */
#define CONF_MAX_SHARES	    8
#define CONF_SHARE_TAG	    64 /* bytes */
#define CONF_MEM_BLOCK	    (2ull << 20)

/* Places on a bus.  IDE: channel * 2 + unit. */
#define CONF_IDE_SLOTS	    4
#define CONF_SATA_SLOTS	    6
#define CONF_FLOPPY_SLOTS   2
#define CONF_SCSI_SLOTS	    16
#define CONF_PORT_SLOTS	    4 /* root ports of the board q35 */
#define CONF_SCSI_HOST_SLOT 7 /* parallel: the host adapter's own */

enum conf_engine {
	CONF_ENGINE_AUTO,
	CONF_ENGINE_BT,
	CONF_ENGINE_KVM,
	CONF_ENGINE_INTERP,
	CONF_ENGINE_LOCKSTEP, /* for tests: interp beside bt */
};

enum conf_irqchip { /* kvm: who models the interrupt controllers */
	CONF_IRQCHIP_AUTO,
	CONF_IRQCHIP_KERNEL,
	CONF_IRQCHIP_USER,
};

enum conf_hypervisor { /* whose interface the guest finds */
	CONF_HYPERVISOR_KVM,
	CONF_HYPERVISOR_NONE, /* it sees no hypervisor at all */
};

enum conf_board {
	CONF_BOARD_PC,
	CONF_BOARD_Q35,
};

enum conf_firmware {
	CONF_FIRMWARE_BIOS,
	CONF_FIRMWARE_UEFI,
};

enum conf_rtc { /* what the battery-backed clock shows */
	CONF_RTC_UTC,
	CONF_RTC_LOCALTIME,
};

enum conf_media {
	CONF_MEDIA_DISK,
	CONF_MEDIA_CDROM,
	CONF_MEDIA_FLOPPY,
};

enum conf_bus {
	CONF_BUS_VIRTIO,
	CONF_BUS_IDE,
	CONF_BUS_SATA,
	CONF_BUS_SCSI,
	CONF_BUS_NVME,
	CONF_BUS_USB, /* slot: the controller */
	CONF_BUS_FLOPPY,
};

enum conf_hba { /* what a SCSI bus is driven by */
	CONF_HBA_VIRTIO,
	CONF_HBA_LSI,
	CONF_NHBA,
};

enum conf_format {
	CONF_FORMAT_RAW,
	CONF_FORMAT_QCOW2,
	CONF_FORMAT_VHD,
	CONF_FORMAT_VHDX,
	CONF_FORMAT_VDI,
	CONF_FORMAT_VMDK,
	CONF_FORMAT_PARALLELS,
	CONF_FORMAT_DMG,
};

enum conf_nic_model {
	CONF_NIC_VIRTIO,
	CONF_NIC_E1000,
	CONF_NIC_E1000E,
	CONF_NIC_PCNET,
	CONF_NIC_RTL8139,
	CONF_NIC_RTL8139C,
	CONF_NIC_NE2000,
	CONF_NIC_NE2000_ISA,
	CONF_NNICS,
};

enum conf_serial_kind {
	CONF_SERIAL_NONE,
	CONF_SERIAL_STDIO, /* in_fd, file.fd: where the client reads, writes */
	CONF_SERIAL_FILE,  /* file.fd: write only */
	CONF_SERIAL_UNIX,  /* file.fd: a listening socket; accept one at a time
			    */
};

enum conf_display {
	CONF_DISPLAY_NONE,
	CONF_DISPLAY_VNC,
};

enum conf_vga {
	CONF_VGA_STD,	 /* VGA with VBE, PCI 1234:1111 */
	CONF_VGA_VIRTIO, /* a virtio GPU that is a VGA too */
	CONF_VGA_NONE,
};

enum conf_pointer {
	CONF_POINTER_AUTO, /* a tablet too if there are remote screens */
	CONF_POINTER_PS2,
	CONF_POINTER_TABLET, /* virtio; PS/2 until a driver runs it */
	CONF_POINTER_USB_TABLET,
	CONF_POINTER_USB_MOUSE,
};

enum conf_keyboard {
	CONF_KEYBOARD_PS2,
	CONF_KEYBOARD_USB,    /* PS/2 until a driver runs it */
	CONF_KEYBOARD_VIRTIO, /* PS/2 until a driver runs it */
};

enum conf_usb {
	CONF_USB_UHCI,
	CONF_USB_EHCI, /* with its UHCI companions */
	CONF_USB_XHCI,
};

enum conf_boot {
	CONF_BOOT_FLOPPY,
	CONF_BOOT_CDROM,
	CONF_BOOT_DISK,
	CONF_BOOT_NET,
	CONF_NBOOT,
};

enum conf_watchdog {
	CONF_WATCHDOG_NONE,
	CONF_WATCHDOG_I6300ESB,
};

enum conf_watchdog_action { /* when it fires */
	CONF_WATCHDOG_RESET,
	CONF_WATCHDOG_POWEROFF,
	CONF_WATCHDOG_PAUSE,
	CONF_WATCHDOG_NMI,
	CONF_WATCHDOG_NOTHING,
};

#define CONF_MAX_BOOTINDEX    255
#define CONF_MAX_BOOT_MENU_MS 65535

extern const struct conf_word_list conf_watchdog_words,
	conf_watchdog_action_words;

/* Indexed by the enums above. */
extern const struct conf_word_list conf_engine_words, conf_irqchip_words,
	conf_hypervisor_words, conf_board_words, conf_firmware_words,
	conf_media_words, conf_bus_words, conf_hba_words, conf_format_words,
	conf_nic_words, conf_rtc_words, conf_serial_words, conf_display_words,
	conf_vga_words, conf_pointer_words, conf_keyboard_words, conf_usb_words,
	conf_boot_words;

struct conf_file {
	char *path; /* NULL: absent */
	int fd;	    /* -1: not open */
};

struct conf_drive {
	enum conf_media media;
	struct conf_file file; /* cdrom, floppy: path NULL = no medium */
	enum conf_format format;
	enum conf_bus bus;
	enum conf_hba hba; /* bus scsi */
	bool bus_stated;   /* else conf_drives_default may choose another */
	/* On the bus; -1: any, see conf_drives_place.  Virtio: the root port
	 * of a card that came later. */
	int slot;
	bool readonly; /* the guest sees a read-only drive */
	bool snapshot; /* writes go to cow.fd (empty, unlinked) and vanish */
	struct conf_file cow;
	/* What it may do in a second, and for how long what it did not do may
	 * be made up for; 0: no limit, the usual. */
	uint64_t iops, bps, burst_ms;
	struct conf_file key; /* opens LUKS on the image; absent: none */
	/* An empty file that becomes the disk's image as the machine starts:
	 * a qcow2 on `file`, which is only read then and called top_backing
	 * in it.  Or absent. */
	struct conf_file top;
	char *top_backing;
	char *serial;	    /* serial number shown to the guest, or NULL */
	unsigned bootindex; /* the lowest boots first; 0: by the boot order */
	char *name; /* of a saved machine's: "disk1"; NULL: by its number */
};

/* A USB device of a saved machine, "hub0", and the way to its port:
 * "CONTROLLER.PORT", "CONTROLLER.PORT.PORT OF A HUB", ... */
struct conf_plug {
	char *id, *at;
};

struct conf_forward {
	bool udp;
	uint32_t host_addr; /* network order; 0 = 127.0.0.1 */
	uint16_t host_port, guest_port;
};

struct conf_nic {
	/* The one back end for now is user NAT. */
	enum conf_nic_model model;
	bool has_mac;
	uint8_t mac[6];
	GArray *forwards;      /* struct conf_forward */
	char *bootfile;	       /* what DHCP names to boot, or NULL */
	struct conf_file tftp; /* folder that TFTP serves, or absent */
	char *tftp_seen; /* its path in the jail; NULL: tftp_errno says why */
	int tftp_errno;
	struct conf_file rom; /* PXE option ROM, or absent */
	unsigned queues; /* pairs, virtio; 0: as many as processors, to 4 */
	/* ISA cards: the first port and the interrupt; 0: any, see
	 * conf_nics_place. */
	unsigned isa_port, isa_irq;
	bool rom_stated;    /* by the user: path NULL = none */
	unsigned bootindex; /* as of drives */
};

/* A folder of the host that the guest mounts by a tag. */
struct conf_share {
	char *tag;
	struct conf_file folder;
	bool readonly;
	unsigned uid, gid; /* whose our user's files are in the guest */
	int error;	   /* why it cannot be had in the jail, or 0 */
	int self_fd;	   /* the process's descriptors as names, or -1 */
};

struct conf_serial {
	enum conf_serial_kind kind;
	struct conf_file file;
	int in_fd; /* stdio only */
};

/* Sockets between programs of the guest's and of the host's. */
struct conf_vsock {
	bool on;
	bool stated;  /* socket.path, by the user; else it has our name */
	unsigned cid; /* the guest's */
	/* Where the host's programs connect; for port P of the host's the guest
	 * finds who listens at PATH_P. */
	struct conf_file socket;
};

#define CONF_VSOCK_CID	    3 /* the first that is no special one */
#define CONF_VSOCK_CID_MAX  0xfffffffeu
#define CONF_VSOCK_PATH_MAX 96 /* bytes; _4294967295 stands behind it */

struct conf_machine {
	char *name; /* never NULL */

	enum conf_engine engine;
	enum conf_irqchip irqchip;
	uint64_t code_cache_bytes; /* bt; 0 = default */
	bool change;	 /* may change to kvm and back while it runs */
	char *cpu_model; /* "auto" or a name of x86_cpu_model_names */
	enum conf_hypervisor hypervisor;
	unsigned sockets, cores, threads; /* product 1..CONF_MAX_CPUS */
	uint64_t mem_bytes;		  /* multiple of 1 MiB */
	/* That, and what may be added while it runs; both in whole
	 * CONF_MEM_BLOCKs then.  0: nothing. */
	uint64_t mem_max_bytes;
	unsigned cpu_limit; /* of CONF_LIMIT_FULL of the time; 0: all */

	enum conf_board board;
	bool acpi, ioapic, hpet, genid; /* default on */
	char *genid_value; /* the generation id as a UUID, or NULL */
	enum conf_rtc rtc;
	int rtc_offset_s; /* the RTC's time minus UTC: conf_rtc_settle */
	enum conf_firmware firmware;
	struct conf_file firmware_file; /* its image */
	/* UEFI's variables; not kept: a template, changes vanish. */
	struct conf_file nvram;
	bool nvram_keep;

	/* What --disk, --cdrom, --floppy and --nic mean that do not say; of no
	 * use to the machine. */
	enum conf_bus default_bus[CONF_MEDIA_FLOPPY + 1];
	enum conf_nic_model default_nic;

	/* Direct kernel boot if kernel.path. */
	struct conf_file kernel, initrd;
	char *append; /* or NULL */

	GPtrArray *drives;   /* struct conf_drive */
	GPtrArray *nics;     /* struct conf_nic */
	GPtrArray *shares;   /* struct conf_share */
	GPtrArray *serial;   /* struct conf_serial; COM1 first */
	GPtrArray *parallel; /* struct conf_serial; LPT1 first */
	bool gameport;
	bool balloon; /* default on, if there is a place for it */
	bool balloon_oom, balloon_reporting; /* what it offers */
	uint64_t balloon_bytes; /* what the guest may keep; 0: all */
	struct conf_serial
		console; /* virtio-console (hvc0); kind NONE = none */
	struct conf_serial debugcon; /* port 0x402 */

	enum conf_vga vga;
	uint64_t vram_bytes;	  /* a power of two */
	struct conf_file vga_rom; /* its BIOS, or absent */
	enum conf_pointer pointer;
	enum conf_keyboard keyboard;
	enum conf_usb usb[CONF_MAX_USB]; /* in order: usb0, usb1, ... */
	unsigned nusb;
	struct conf_serial smartcard; /* the card's socket; NONE: no reader */
	bool usb_off; /* none, whoever wants one: conf_usb_place */
	/* struct conf_plug, hubs before what hangs on them; empty: all find
	 * their own places */
	GPtrArray *plugs;
	enum conf_display display;
	char *display_addr;	 /* or NULL */
	char *display_password;	 /* or NULL: none is asked for */
	struct conf_file screen; /* listening socket of the remote screen */
	struct conf_vsock vsock;
	bool display_tls; /* by TLS alone, with these or own: */
	struct conf_file tls_cert, tls_key; /* PEM, both or none */

	GArray *sound; /* struct conf_sound: the cards */
	enum conf_audio_kind audio, audio_source;
	struct conf_file audio_file, audio_source_file; /* if they are files */

	enum conf_boot boot[CONF_NBOOT]; /* in order */
	unsigned nboot;			 /* 0 = default order */
	unsigned boot_menu_ms;		 /* 0: no menu */

	enum conf_watchdog watchdog;
	enum conf_watchdog_action watchdog_action;

	/* Listening sockets: of requests to the running machine (wire/wire.h)
	 * and of gdb. */
	struct conf_file control, gdb;
	struct conf_file trace; /* where the trace goes at the end */

	struct conf_file state; /* to go on from, or absent */
	/* Its memory, if that is apart: shared with others, changes are the
	 * machine's own.  A copy is one of several that go on from one state.
	 */
	struct conf_file ram, ram_ready; /* one byte comes when it is whole */
	bool copy;
	char *model; /* its processors, as vmm/model.c has them, or NULL */
	bool clock_stands; /* the time that it was saved is not made up for */
	uint64_t trace_events; /* of each processor */
	bool trace_insns;
	bool gdb_wait; /* stand before the first instruction */

	bool paused;	     /* stands before the first instruction */
	bool no_reboot;	     /* a guest's reset ends the machine, status 1 */
	uint64_t timeout_ms; /* 0 = none; the client's business */
	bool verbose;	     /* say on standard error what is done and why */
};

/* Defaults: auto engine, 1 CPU, 512 MiB, pc, bios, COM1 none. */
struct conf_machine *conf_machine_new(void);
void conf_machine_free(struct conf_machine *m);

unsigned conf_machine_ncpus(const struct conf_machine *m);

/* Now, by the host's time zone. */
void conf_rtc_settle(struct conf_machine *m);

/* A controller if something hangs on USB and none was named; what names one
 * that is not there is an error. */
bool conf_usb_place(struct conf_machine *m, GError **err);
/* Give drives that name no bus the board's. */
void conf_drives_default(struct conf_machine *m);
/* Give every drive that names none a place on its bus; two in one place, or
 * more than there are, are errors. */
bool conf_drives_place(struct conf_machine *m, GError **err);
/* Give ISA cards that name none their ports and interrupts; two in one place
 * are errors. */
bool conf_nics_place(struct conf_machine *m, GError **err);
/* iops=, bps= or burst=; an empty value or "off": none.  False without *err:
 * another key. */
bool conf_drive_limit(
	struct conf_drive *d, const char *key, const char *value, GError **err);

/* Two of one tag are an error. */
bool conf_shares_check(const struct conf_machine *m, GError **err);
/* May a folder be called that? */
bool conf_share_tag_ok(const char *tag);

/* "disk0", "cd1", "floppy0": drive n of the machine among those of its medium.
 * Free with g_free. */
char *conf_drive_name(const struct conf_machine *m, guint n);

/* Contradictions and limits; *err says what, why and how to mend.  What is
 * known but not built yet is CONF_ERROR_UNSUPPORTED. */
bool conf_machine_check(const struct conf_machine *m, GError **err);

/*
 * To JSON: every open descriptor is appended to fds (of int) and named by its
 * index there; they stay owned by *m.  fds NULL: paths only.
 */
JsonNode *conf_machine_to_json(const struct conf_machine *m, GArray *fds);

/*
 * From JSON, which may be hostile: types, ranges and counts are checked, a
 * descriptor index may be used once.  fds[i] that is used is taken over (and
 * set to -1 in the array).  NULL and *err.
 */
struct conf_machine *conf_machine_from_json(
	JsonNode *node, int *fds, unsigned nfds, GError **err);

/* Strings are copied. */
struct conf_plug *conf_plug_new(const char *id, const char *at);
void conf_plug_free(struct conf_plug *p);
struct conf_drive *conf_drive_new(void);
void conf_drive_free(struct conf_drive *d);
struct conf_nic *conf_nic_new(void);
void conf_nic_free(struct conf_nic *n);
struct conf_share *conf_share_new(void);
void conf_share_free(struct conf_share *s);
struct conf_serial *conf_serial_new(void);
void conf_serial_free(struct conf_serial *s);
void conf_file_clear(struct conf_file *f); /* frees, closes */

typedef struct conf_machine conf_machine_auto;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(conf_machine_auto, conf_machine_free)

#endif
