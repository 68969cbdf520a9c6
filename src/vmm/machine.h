/*
 * machine.h - one virtual machine: made from a description, started, reset,
 * ended.
 *
 * Threads: everything here is called on the control loop's thread, the one
 * that iterates machine_host.loop, without the bus lock.
 */
#ifndef VMM_MACHINE_H
#define VMM_MACHINE_H

#include <stdbool.h>

#include <glib.h>

#include "conf/machine.h"

struct machine;

struct machine_named {
	unsigned drive;
	const char *from; /* path of the image that names it; NULL: the drive's
			   * own */
	const char *name;
	bool writable;
	char *path; /* set: what was opened; the caller's */
};

/* What the machine asks of the program that runs it. */
struct machine_host {
	GMainContext *loop;
	/* One line for the user. */
	void (*note)(void *opaque, const char *text);
	/* The machine has ended by itself; processors stand still.  status:
	 * exit status; message as in conf/error.h or NULL.  Once. */
	void (*ended)(void *opaque, int status, const char *message);
	/* The engine has opened what it needs; there is one thread yet. */
	void (*engine_ready)(void *opaque, bool kvm);
	/* A file that an image of that drive names (struct image_source):
	 * descriptor or -1 with *err. */
	int (*open_named)(
		void *opaque, struct machine_named *what, GError **err);
	/* The guest wants a port of its sockets: machine_connected follows. */
	void (*connect_port)(void *opaque, uint32_t port, uint32_t id);
	void *opaque;
};

/* Build everything: RAM, engine, processors, devices, images.  Takes the
 * descriptors out of *conf, which must outlive the machine.  NULL and *err. */
struct machine *machine_new(struct conf_machine *conf,
	const struct machine_host *host, GError **err);
/* Ends it if it runs; waits for all its threads; flushes disks and
 * consoles. */
void machine_free(struct machine *m);

/* Which engine runs it and why that one. */
const char *machine_engine(const struct machine *m);
const char *machine_engine_why(const struct machine *m);

/*
 * Go on with another engine (a name of cpu_engines), at an instruction
 * boundary of each processor; the guest notices nothing but its speed.
 * False and *err: it goes on with the old one.
 */
bool vmm_machine_set_engine(struct machine *m, const char *name, GError **err);

/*
 * Which pages of RAM are written from now on, across changes of the engine.
 * fetch: as bus_dirty_fetch; what it says is in memory when it returns.
 */
bool machine_dirty_start(struct machine *m, GError **err);
uint64_t machine_dirty_fetch(struct machine *m, uint64_t *bitmap);
void machine_dirty_stop(struct machine *m);

/* Start the processors.  False and *err if a kernel file has changed. */
bool machine_start(struct machine *m, GError **err);

void machine_reset(struct machine *m);
void machine_powerdown(struct machine *m); /* press the power button */
/* False if the guest holds NMIs back (bit 7 of port 0x70): none was sent. */
bool machine_nmi(struct machine *m);
/* Stop and go on; the guest's time stands still meanwhile.  Who holds it. */
enum machine_hold {
	MACHINE_HOLD_USER = 1 << 0,
	MACHINE_HOLD_DEBUGGER = 1 << 1,
	MACHINE_HOLD_DUMP = 1 << 2,
	MACHINE_HOLD_SAVE = 1 << 3,
};

void machine_hold(struct machine *m, enum machine_hold who);
void machine_release(struct machine *m, enum machine_hold who);
/* A socket that is connected to what listens for that port of the guest's, or
 * -1: nobody does, or (again) it has no time just now. */
void machine_connected(struct machine *m, uint32_t id, int fd, bool again);
/* End at once; ended() is called with the status. */
void machine_quit(struct machine *m, int status, const char *message);

#endif
