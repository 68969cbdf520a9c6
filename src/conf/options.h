/*
 * options.h - the arguments of `vmeste run` flags into parts of a machine.
 * Each returns false or NULL with *err (usage) and leaves the machine usable.
 */
#ifndef CONF_OPTIONS_H
#define CONF_OPTIONS_H

#include "conf/machine.h"

/* "auto", "bt,cache=64M", "kvm,irqchip=user" */
bool conf_engine_parse(struct conf_machine *m, const char *text, GError **err);
/* "4" or "sockets=1,cores=2,threads=2" */
bool conf_cpus_parse(struct conf_machine *m, const char *text, GError **err);
/* "512M", "512M,max=4G" */
bool conf_mem_parse(struct conf_machine *m, const char *text, GError **err);
/* "disk.img,format=qcow2,bus=virtio,readonly,snapshot" */
bool conf_drive_parse(struct conf_machine *m, enum conf_media media,
	const char *text, GError **err);
/* The format that a file's name states. */
enum conf_format conf_format_by_name(const char *path);
/* "user,model=virtio,mac=..,forward=tcp:8080:80", "none" */
bool conf_nic_parse(struct conf_machine *m, const char *text, GError **err);
/* "DIR,tag=NAME,readonly,uid=1000,gid=1000" */
bool conf_share_parse(struct conf_machine *m, const char *text, GError **err);
/* "stdio", "none", "file:F", "unix:F" into an empty *s */
bool conf_serial_parse(struct conf_serial *s, const char *text, GError **err);
/* "i6300esb,action=reset", "none" */
bool conf_watchdog_parse(
	struct conf_machine *m, const char *text, GError **err);
/* The option bootindex, if there is one. */
bool conf_bootindex_parse(
	const struct conf_options *o, unsigned *out, GError **err);
/* "on", "off", "f9e3..-..." */
bool conf_genid_parse(struct conf_machine *m, const char *text, GError **err);
/* "on", "off", "512M,oom=off" */
bool conf_balloon_parse(struct conf_machine *m, const char *text, GError **err);
/* "floppy,cdrom,disk,net,menu=on" */
bool conf_boot_parse(struct conf_machine *m, const char *text, GError **err);
/* "FILE,events=N,insns" */
bool conf_trace_parse(struct conf_machine *m, const char *text, GError **err);
/* "none", "vnc", "vnc=ADDR"; *password: the file that holds it, if any */
bool conf_display_parse(struct conf_machine *m, const char *text,
	char **password, GError **err);
/* "unix:PATH", "none" */
bool conf_smartcard_parse(
	struct conf_machine *m, const char *text, GError **err);
/* "on", "off", "unix:PATH,cid=7" */
bool conf_vsock_parse(struct conf_machine *m, const char *text, GError **err);
/* "uhci", "ehci,xhci", "off" */
bool conf_usb_parse(struct conf_machine *m, const char *text, GError **err);
/* "std,vram=16M", "none" */
bool conf_vga_parse(struct conf_machine *m, const char *text, GError **err);

#endif
