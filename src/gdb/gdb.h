/*
 * gdb.h - the remote serial protocol of gdb, for a virtual machine.
 *
 * The protocol and nothing else: bytes in, bytes out, and a target that does
 * what is asked.  The peer is hostile: packets, replies and numbers are
 * bounded, and no input reaches an abort.  Threads are processors: thread n is
 * processor n - 1.  All-stop mode; while the machine runs only Ctrl-C is
 * heard.
 *
 * Addresses are linear.  gdb knows flat addresses only, so its program counter
 * is CS base + IP where that base is not 0.
 *
 * Source: "Debugging with GDB", appendix E; gdb's features/i386 names the
 * registers.
 */
#ifndef GDB_GDB_H
#define GDB_GDB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <glib.h>

#include "x86/state.h"

/* As in Z and z packets. */
enum gdb_break {
	GDB_BREAK_SOFT,
	GDB_BREAK_HARD,
	GDB_WATCH_WRITE,
	GDB_WATCH_READ,
	GDB_WATCH_ACCESS,
};

enum gdb_action {
	GDB_STAND,
	GDB_CONTINUE,
	GDB_STEP,
};

enum gdb_why {
	GDB_STOP_SIGNAL, /* interrupted by the debugger, or just attached */
	GDB_STOP_STEP,
	GDB_STOP_BREAK, /* at the program counter */
	GDB_STOP_WATCH, /* addr, kind */
	GDB_STOP_ENDED, /* the machine has ended */
};

struct gdb_stop {
	enum gdb_why why;
	unsigned cpu;
	enum gdb_break kind;
	uint64_t addr;
};

/* What the stub drives.  All but send, ncpus and interrupt are called only
 * while the machine stands. */
struct gdb_target {
	void *opaque;
	unsigned ncpus;
	bool avx, avx512; /* the guest's processors have them */
	/* The debugger's choice outlives its connection.  auto_wide: x86-64
	 * unless chosen otherwise, whatever mode the first processor is in. */
	enum gdb_arch *arch;
	bool auto_wide;
	void (*send)(void *opaque, const void *data, size_t len);
	/* The state of a processor; set_state takes a changed copy: false if
	 * it is not one that a processor can have. */
	const struct x86_state *(*state)(void *opaque, unsigned cpu);
	bool (*set_state)(
		void *opaque, unsigned cpu, const struct x86_state *s);
	/* Memory as the processor sees it, or by physical address (cpu < 0).
	 * All or nothing. */
	bool (*read)(void *opaque, int cpu, uint64_t a, void *buf, size_t len);
	bool (*write)(
		void *opaque, int cpu, uint64_t a, const void *buf, size_t len);
	/* 0 or -errno: -ENOSPC if there are no more. */
	int (*set_break)(void *opaque, enum gdb_break kind, uint64_t a,
		unsigned len, bool on);
	/* action[ncpus].  events: interrupts are delivered during steps. */
	void (*resume)(
		void *opaque, const enum gdb_action *action, bool events);
	void (*interrupt)(void *opaque); /* gdb_stopped follows */
	void (*kill)(void *opaque);
	void (*monitor)(void *opaque, const char *line, GString *out);
	/* One line about a processor, for "info threads". */
	void (*describe)(void *opaque, unsigned cpu, GString *out);
};

/* Which registers gdb is told of when it asks next; it cannot be told of
 * others later. */
enum gdb_arch {
	GDB_ARCH_AUTO,
	GDB_ARCH_I386,
	GDB_ARCH_X86_64,
};

struct gdb;

/* A debugger has connected; the machine stands (as *stop says). */
struct gdb *gdb_new(const struct gdb_target *t, const struct gdb_stop *stop);
void gdb_free(struct gdb *g);
/* False: it wants to go, or sent what nobody can; close the connection. */
bool gdb_feed(struct gdb *g, const uint8_t *data, size_t len);
/* Shall the machine go on now that the connection ends?  Not if gdb only
 * disconnects: another one may go on from there. */
bool gdb_lets_go(const struct gdb *g);
/* The machine, which was resumed, stands again. */
void gdb_stopped(struct gdb *g, const struct gdb_stop *stop);

#endif
