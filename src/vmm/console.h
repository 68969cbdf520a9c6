/*
 * console.h - byte streams between a device and the host: standard input and
 * output, a file, a UNIX socket.
 *
 * A writer thread carries the guest's output so that a slow reader never
 * stops a processor; it never touches a byte.  Input passes through an escape
 * filter when it comes from standard input: Ctrl-A x, Ctrl-A c, Ctrl-A h,
 * Ctrl-A a.
 */
#ifndef VMM_CONSOLE_H
#define VMM_CONSOLE_H

#include <stdbool.h>

#include <glib.h>

#include "bus/bus.h"
#include "conf/machine.h"
#include "dev/chardev.h"

struct console;

struct console_owner {
	GMainContext *loop;
	struct bus *bus;
	/* Ctrl-A x, and a line typed at the monitor.  Control loop, no lock.
	 */
	void (*leave)(void *opaque);
	void (*command)(void *opaque, const char *line);
	void *opaque;
};

/* Takes the descriptors out of *conf.  The thread starts with console_start,
 * what is written before waits. */
struct console *console_new(
	struct conf_serial *conf, const struct console_owner *owner);
bool console_start(struct console *c, GError **err);
struct dev_chardev *console_chardev(struct console *c);
/* Waits a moment for pending output. */
void console_free(struct console *c);

/* The escape filter, apart for tests.  Feeds one byte; what comes out. */
struct console_escape {
	bool prefix;
};

enum console_act {
	CONSOLE_PASS, /* to the guest */
	CONSOLE_SWALLOW,
	CONSOLE_LEAVE,
	CONSOLE_MONITOR,
	CONSOLE_HELP,
};

enum console_act console_escape_feed(struct console_escape *e, uint8_t byte);

#endif
