/*
 * control.c - requests to a running machine over its socket.
 *
 * Whoever may open the socket may stop the machine, but no more: each message
 * is bounded and checked by wire/, a peer gets one answer a request, and one
 * that does not read its answers is dropped rather than waited for.  When
 * there are too many peers the one that was silent longest goes.
 */
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <glib-unix.h>

#include "conf/error.h"
#include "conf/parse.h"
#include "dev/input/gameport.h"
#include "vmm/priv.h"
#include "wire/wire.h"

#define MAX_PEERS     16
#define SAMPLE_MS     5 /* of what processors do, while somebody asks */
#define SAMPLE_END_US (10 * G_USEC_PER_SEC)

struct control {
	struct machine *m;
	GSource *listener;
	GPtrArray *peers;	    /* struct peer; the silent ones first */
	struct peer *asks, *merges; /* now; or NULL */
	GSource *sampler;
	gint64 asked_us; /* when samples were last asked for */
	uint64_t samples[BUS_MAX_CPUS][CPU_NWHERE];
};

struct peer {
	struct control *c;
	GSource *source;
	int fd;
};

static void peer_free(gpointer opaque)
{
	struct peer *p = opaque;

	if (p->c->merges == p) { /* nobody is there to end it */
		merge_stop(p->c->m);
		p->c->merges = NULL;
	}
	g_source_destroy(p->source);
	g_source_unref(p->source);
	close(p->fd);
	g_free(p);
}

/* ---- samples ---- */

static gboolean control_sample(gpointer opaque)
{
	struct control *c = opaque;
	struct machine *m = c->m;

	if (g_get_monotonic_time() > c->asked_us + SAMPLE_END_US) {
		g_clear_pointer(&c->sampler, g_source_unref);
		return G_SOURCE_REMOVE;
	}
	for (unsigned i = 0; i < m->ncpus; i++)
		c->samples[i][m->engine->where(m->run.vcpu[i].cpu)]++;
	return G_SOURCE_CONTINUE;
}

static void control_want_samples(struct control *c)
{
	c->asked_us = g_get_monotonic_time();
	if (c->sampler || !c->m->engine->where)
		return;
	c->sampler = g_timeout_source_new(SAMPLE_MS);
	g_source_set_callback(c->sampler, control_sample, c, NULL);
	g_source_attach(c->sampler, c->m->host.loop);
}

/* ---- requests ---- */

/* Fills the answer; false with *err. */
typedef bool control_fn(
	struct control *c, struct wire_msg *q, JsonObject *a, GError **err);

static const char *control_state(const struct machine *m)
{
	if (m->holds & MACHINE_HOLD_USER)
		return "paused";
	return m->holds ? "debugged" : "running";
}

static bool do_status(
	struct control *c, struct wire_msg *q, JsonObject *a, GError **err)
{
	struct machine *m = c->m;
	g_autofree char *genid = genid_text(m);
	JsonObject *balloon = balloon_json(m);

	json_object_set_string_member(a, "name", m->conf->name);
	json_object_set_string_member(a, "state", control_state(m));
	json_object_set_string_member(a, "engine", m->engine->name);
	json_object_set_string_member(a, "why", m->engine_why);
	json_object_set_int_member(a, "cpus", m->ncpus);
	memory_json(m, a);
	json_object_set_int_member(
		a, "uptime_ns", (gint64)bus_clock_ns(m->bus));
	json_object_set_int_member(a, "resets", m->resets);
	if (genid)
		json_object_set_string_member(a, "genid", genid);
	if (balloon)
		json_object_set_object_member(a, "balloon", balloon);
	if (m->conf->vsock.on)
		json_object_set_string_member(
			a, "vsock", m->conf->vsock.socket.path);
	return true;
}

static void control_samples(struct control *c, int cpu, JsonObject *a)
{
	static const char *const names[CPU_NWHERE] = {[CPU_IN_GUEST] = "guest",
		[CPU_IN_ENGINE] = "engine",
		[CPU_OUTSIDE] = "outside"};
	JsonObject *o = json_object_new();

	for (unsigned k = 0; k < CPU_NWHERE; k++) {
		uint64_t sum = 0;

		for (unsigned i = 0; i < c->m->ncpus; i++)
			if (cpu < 0 || i == (unsigned)cpu)
				sum += c->samples[i][k];
		json_object_set_int_member(o, names[k], (gint64)sum);
	}
	json_object_set_object_member(a, "samples", o);
}

static bool do_stat(
	struct control *c, struct wire_msg *q, JsonObject *a, GError **err)
{
	gint64 cpu = wire_msg_int(q, "cpu", -1);

	if (cpu >= c->m->ncpus) {
		conf_error_set(err, CONF_ERROR_NOT_FOUND, NULL, NULL,
			"there is no processor %" G_GINT64_FORMAT, cpu);
		return false;
	}
	cpu = MAX(cpu, -1);
	control_want_samples(c);
	do_status(c, q, a, err);
	json_object_set_object_member(a, "counters", stat_json(c->m, (int)cpu));
	control_samples(c, (int)cpu, a);
	return true;
}

static bool do_stop(
	struct control *c, struct wire_msg *q, JsonObject *a, GError **err)
{
	machine_quit(c->m, 0, NULL);
	return true;
}

static bool do_powerdown(
	struct control *c, struct wire_msg *q, JsonObject *a, GError **err)
{
	machine_powerdown(c->m);
	return true;
}

static bool do_reset(
	struct control *c, struct wire_msg *q, JsonObject *a, GError **err)
{
	machine_reset(c->m);
	return true;
}

static bool do_nmi(
	struct control *c, struct wire_msg *q, JsonObject *a, GError **err)
{
	if (machine_nmi(c->m))
		return true;
	conf_error_set(err, CONF_ERROR_FAILED, NULL, NULL,
		"the guest holds NMIs back (bit 7 of port 0x70)");
	return false;
}

static bool do_pause(
	struct control *c, struct wire_msg *q, JsonObject *a, GError **err)
{
	machine_hold(c->m, MACHINE_HOLD_USER);
	return true;
}

static bool do_resume(
	struct control *c, struct wire_msg *q, JsonObject *a, GError **err)
{
	machine_release(c->m, MACHINE_HOLD_USER);
	debugger_forget(c->m);
	return true;
}

/* "X,Y", "X,Y,BUTTONS": 0 to 255, buttons 1 to 4 as bits. */
static bool set_joystick(struct machine *m, const char *text, GError **err)
{
	int axis[GAMEPORT_AXES] = {0, 0, GAMEPORT_NOTHING, GAMEPORT_NOTHING};
	unsigned buttons = 0;
	char end;
	int n = sscanf(text, "%d,%d,%u%c", &axis[0], &axis[1], &buttons, &end);

	if (!m->board.gameport) {
		conf_error_set(err, CONF_ERROR_CONFLICT, NULL,
			"start it with --gameport on",
			"the machine has no game port");
		return false;
	}
	if (n < 2 || n > 3 || axis[0] < 0 || axis[0] > GAMEPORT_MAX ||
		axis[1] < 0 || axis[1] > GAMEPORT_MAX || buttons > 15) {
		conf_error_set(err, CONF_ERROR_USAGE, NULL,
			"write joystick=X,Y or joystick=X,Y,BUTTONS: 0 to 255, "
			"and 0 to 15",
			"bad joystick '%s'", text);
		return false;
	}
	bus_lock(m->bus);
	gameport_set(m->board.gameport, axis, buttons);
	bus_unlock(m->bus);
	return true;
}

static bool set_balloon(
	struct machine *m, uint64_t bytes, JsonObject *a, GError **err)
{
	if (!balloon_set(m, bytes, err))
		return false;
	if (bytes && !balloon_driven(m))
		json_object_set_string_member(a, "note",
			"no driver for it runs in the guest, which keeps all "
			"its memory until one does");
	return true;
}

static bool do_set(
	struct control *c, struct wire_msg *q, JsonObject *a, GError **err)
{
	const char *engine = wire_msg_string(q, "engine");
	const char *stick = wire_msg_string(q, "joystick");
	const char *drive = wire_msg_string(q, "drive");
	const char *key = wire_msg_string(q, "key");
	const char *value = wire_msg_string(q, "value");
	gint64 limit = wire_msg_int(q, "cpu_limit", -1);
	gint64 keep = wire_msg_int(q, "balloon", -1);
	gint64 mem = wire_msg_int(q, "mem_bytes", -1);

	if (drive && key && value)
		return media_limit(c->m, drive, key, value, err);
	if (stick)
		return set_joystick(c->m, stick, err);
	if (keep >= 0)
		return set_balloon(c->m, (uint64_t)keep, a, err);
	if (mem >= 0)
		return memory_set(c->m, (uint64_t)mem, err);
	if (limit >= 0 && limit <= CONF_LIMIT_FULL)
		return limit_set(c->m, (unsigned)limit, err);
	if (!engine) {
		conf_error_set(err, CONF_ERROR_USAGE, NULL,
			"set engine=NAME, mem=SIZE, cpu-limit=SHARE, "
			"balloon=SIZE, "
			"joystick=X,Y or disk0.iops=N",
			"nothing to set");
		return false;
	}
	return vmm_machine_set_engine(c->m, engine, err);
}

static bool member_bool(const struct wire_msg *q, const char *key)
{
	JsonNode *v = json_object_get_member(q->body, key);

	return v && JSON_NODE_HOLDS_VALUE(v) &&
	       json_node_get_value_type(v) == G_TYPE_BOOLEAN &&
	       json_node_get_boolean(v);
}

static struct snapshot_ask snapshot_ask_of(struct wire_msg *q)
{
	return (struct snapshot_ask){.fds = q->fds,
		.nfds = q->nfds,
		.overlays = json_object_get_member(q->body, "overlays"),
		.nvram = (int)CLAMP(
			wire_msg_int(q, "nvram", -1), -1, WIRE_MAX_FDS)};
}

static bool do_save(
	struct control *c, struct wire_msg *q, JsonObject *a, GError **err)
{
	struct save_figures f;
	int fd = q->nfds ? q->fds[0] : -1;

	struct snapshot_ask s = {.fds = q->fds,
		.nfds = q->nfds,
		.overlays = json_object_get_member(q->body, "overlays"),
		.nvram = (int)CLAMP(
			wire_msg_int(q, "nvram", -1), -1, WIRE_MAX_FDS),
		.ram = (int)CLAMP(
			wire_msg_int(q, "ram", -1), -1, WIRE_MAX_FDS)};

	if (!(member_bool(q, "running") ? machine_snapshot(c->m, &s, &f, err)
					: machine_save(c->m, fd, &f, err)))
		return false;
	json_object_set_int_member(a, "bytes", (gint64)f.bytes);
	json_object_set_int_member(a, "ns", (gint64)f.ns);
	return true;
}

static bool do_overlay(
	struct control *c, struct wire_msg *q, JsonObject *a, GError **err)
{
	struct snapshot_ask s = snapshot_ask_of(q);
	uint64_t ns;

	if (!machine_overlay(c->m, &s, &ns, err))
		return false;
	json_object_set_int_member(a, "ns", (gint64)ns);
	return true;
}

static bool do_merge(
	struct control *c, struct wire_msg *q, JsonObject *a, GError **err)
{
	const char *what = wire_msg_string(q, "do");
	struct merge_ask s = {.fds = q->fds,
		.nfds = q->nfds,
		.drive = wire_msg_string(q, "drive"),
		.from = wire_msg_int(q, "from", -1),
		.to = wire_msg_int(q, "to", -1),
		.next = wire_msg_int(q, "next", -1),
		.up = member_bool(q, "up"),
		.tell = json_object_get_member(q->body, "tell")};
	bool ok = true;

	if (!g_strcmp0(what, "open")) {
		c->merges = c->asks;
		ok = merge_open(c->m, &s, err);
	} else if (!g_strcmp0(what, "copy"))
		ok = merge_copy(c->m, err);
	else if (!g_strcmp0(what, "look"))
		ok = merge_look(c->m, &s, err);
	else if (!g_strcmp0(what, "end"))
		ok = merge_end(c->m, &s, err);
	else
		merge_stop(c->m);
	if (s.state)
		json_object_set_string_member(a, "state", s.state);
	json_object_set_int_member(a, "done", (gint64)s.done);
	json_object_set_int_member(a, "total", (gint64)s.total);
	json_object_set_int_member(a, "ns", (gint64)s.ns);
	return ok;
}

static bool do_disks(
	struct control *c, struct wire_msg *q, JsonObject *a, GError **err)
{
	JsonArray *list = json_array_new();

	disks_json(c->m, list);
	json_object_set_array_member(a, "disks", list);
	json_object_set_boolean_member(
		a, "writing", machine_snapshot_busy(c->m));
	return true;
}

static bool do_dump(
	struct control *c, struct wire_msg *q, JsonObject *a, GError **err)
{
	bool virtual = member_bool(q, "virtual"), cut = false;

	if (q->nfds != 1) {
		conf_error_set(err, CONF_ERROR_USAGE, NULL, NULL,
			"no file to dump to");
		return false;
	}
	if (!dump_write(c->m, q->fds[0], virtual, &cut, err))
		return false;
	json_object_set_boolean_member(a, "cut", cut);
	return true;
}

static bool do_trace(
	struct control *c, struct wire_msg *q, JsonObject *a, GError **err)
{
	const char *what = wire_msg_string(q, "do");
	gint64 n = wire_msg_int(q, "events", 1 << 16);

	json_object_set_boolean_member(a, "was_on", c->m->trace != NULL);
	if (!g_strcmp0(what, "start"))
		return c->m->trace ||
		       trace_start(c->m, (uint64_t)CLAMP(n, 1, 1 << 20),
			       member_bool(q, "insns"), err);
	if (!g_strcmp0(what, "stop")) {
		trace_stop(c->m);
		return true;
	}
	return trace_write(
		c->m, q->nfds == 1 ? q->fds[0] : -1, (uint64_t)MAX(n, 0), err);
}

/* The image that came with the request. */
static bool take_image(struct wire_msg *q, struct conf_drive *d, GError **err)
{
	const char *path = wire_msg_string(q, "path");
	const char *format = wire_msg_string(q, "format");
	int word = CONF_FORMAT_RAW;

	if (format && !conf_parse_word(format, &conf_format_words, &word, err))
		return false;
	d->format = (enum conf_format)word;
	d->file.path = g_strdup(path ? path : "(image)");
	d->file.fd = q->fds[0];
	q->fds[0] = -1;
	d->readonly = member_bool(q, "readonly");
	d->serial = g_strdup(wire_msg_string(q, "serial"));
	return true;
}

static bool do_insert(
	struct control *c, struct wire_msg *q, JsonObject *a, GError **err)
{
	struct conf_drive *d = conf_drive_new();
	bool ok;

	if (q->nfds != 1) {
		conf_drive_free(d);
		conf_error_set(err, CONF_ERROR_USAGE, NULL, NULL,
			"no image to insert");
		return false;
	}
	if (!take_image(q, d, err)) {
		conf_drive_free(d);
		return false;
	}
	ok = media_change(c->m, wire_msg_string(q, "drive"), d,
		member_bool(q, "force"), err);
	conf_drive_free(d);
	return ok;
}

/* An image stands for a drive, else `device` says what. */
static bool do_attach(
	struct control *c, struct wire_msg *q, JsonObject *a, GError **err)
{
	gint64 n = CLAMP(wire_msg_int(q, "controller", -1), -1, CONF_MAX_USB);
	const char *what = wire_msg_string(q, "device");
	struct conf_drive *d;
	const char *name;

	if (q->nfds != 1) {
		json_object_set_string_member(a, "name", what ? what : "");
		return plug_input(c->m, what, (int)n, err);
	}
	d = conf_drive_new();
	d->media =
		g_strcmp0(what, "cdrom") ? CONF_MEDIA_DISK : CONF_MEDIA_CDROM;
	d->bus = g_strcmp0(wire_msg_string(q, "bus"), "virtio")
			 ? CONF_BUS_USB
			 : CONF_BUS_VIRTIO;
	d->slot = (int)n;
	if (!take_image(q, d, err)) {
		conf_drive_free(d);
		return false;
	}
	name = plug_drive(c->m, d, err);
	if (name)
		json_object_set_string_member(a, "name", name);
	return name != NULL;
}

static bool do_detach(
	struct control *c, struct wire_msg *q, JsonObject *a, GError **err)
{
	return plug_out(c->m, wire_msg_string(q, "device"), err);
}

static bool do_eject(
	struct control *c, struct wire_msg *q, JsonObject *a, GError **err)
{
	return media_change(c->m, wire_msg_string(q, "drive"), NULL,
		member_bool(q, "force"), err);
}

static bool do_monitor(
	struct control *c, struct wire_msg *q, JsonObject *a, GError **err)
{
	const char *line = wire_msg_string(q, "line");
	GString *out = g_string_new(NULL);

	monitor_run(c->m, line ? line : "help", out);
	g_string_truncate(out, MIN(out->len, WIRE_MAX_BYTES / 2));
	json_object_set_string_member(a, "text", out->str);
	g_string_free(out, TRUE);
	return true;
}

/* ---- the screen ---- */

static bool have_screen(struct control *c, GError **err)
{
	if (c->m->display.source.draw)
		return true;
	conf_error_set(err, CONF_ERROR_UNSUPPORTED, NULL,
		"start it without --vga none", "the machine has no screen");
	return false;
}

static bool write_pixels(const struct display_view *v, int fd, GError **err)
{
	size_t left = (size_t)v->width * v->height * sizeof(*v->pixels);
	const char *p = (const char *)v->pixels;

	while (left) {
		ssize_t n = write(fd, p, left);

		if (n <= 0) {
			conf_error_set_errno(
				err, errno, NULL, "cannot write the picture");
			return false;
		}
		p += n;
		left -= (size_t)n;
	}
	return true;
}

static bool do_screenshot(
	struct control *c, struct wire_msg *q, JsonObject *a, GError **err)
{
	struct display *d = &c->m->display;
	struct display_view v = {0};
	struct stat st;
	bool ok;

	if (!have_screen(c, err))
		return false;
	/* A pipe that nobody reads would hold the machine up. */
	if (q->nfds != 1 || fstat(q->fds[0], &st) || !S_ISREG(st.st_mode)) {
		conf_error_set(err, CONF_ERROR_USAGE, NULL, NULL,
			"no file to write the picture to");
		return false;
	}
	d->source.draw(d->source.opaque, &v);
	json_object_set_int_member(a, "width", v.width);
	json_object_set_int_member(a, "height", v.height);
	ok = write_pixels(&v, q->fds[0], err);
	display_view_fini(&v);
	return ok;
}

static bool do_screen(
	struct control *c, struct wire_msg *q, JsonObject *a, GError **err)
{
	struct display_text *t;
	char *text;

	if (!have_screen(c, err))
		return false;
	t = g_new0(struct display_text, 1);
	text = display_read(&c->m->display, t);
	if (text && strlen(text) > WIRE_MAX_BYTES / 2)
		text[WIRE_MAX_BYTES / 2] = '\0';
	json_object_set_string_member(
		a, "text", text && g_utf8_validate(text, -1, NULL) ? text : "");
	json_object_set_int_member(a, "cols", t->cols);
	json_object_set_int_member(a, "rows", t->rows);
	if (t->cursor_col < t->cols) {
		json_object_set_int_member(a, "cursor_col", t->cursor_col);
		json_object_set_int_member(a, "cursor_row", t->cursor_row);
	}
	g_free(text);
	g_free(t);
	return true;
}

static bool do_type(
	struct control *c, struct wire_msg *q, JsonObject *a, GError **err)
{
	const char *text = wire_msg_string(q, "text");
	const char *keys = wire_msg_string(q, "keys");
	uint64_t delay = (uint64_t)CLAMP(
		wire_msg_int(q, "delay_ms", SCREEN_DELAY_MS), 0, 10000);

	if (text && screen_type(c->m, text, delay, err) < 0)
		return false;
	if (keys && screen_keys(c->m, keys, delay, err) < 0)
		return false;
	json_object_set_int_member(a, "waiting", screen_typing(c->m));
	return true;
}

static bool do_mouse(
	struct control *c, struct wire_msg *q, JsonObject *a, GError **err)
{
	struct display *d = &c->m->display;
	struct display_view v = {0};
	struct display_pointer p = {
		.x = (int)CLAMP(wire_msg_int(q, "x", d->pointer_x), 0, 65535),
		.y = (int)CLAMP(wire_msg_int(q, "y", d->pointer_y), 0, 65535),
		.wheel = (int)CLAMP(wire_msg_int(q, "wheel", 0), -100, 100),
		.buttons = (unsigned)CLAMP(wire_msg_int(q, "buttons", 0), 0, 7),
	};

	if (!have_screen(c, err))
		return false;
	d->source.draw(d->source.opaque, &v);
	p.width = v.width;
	p.height = v.height;
	display_point(d, &p);
	display_view_fini(&v);
	return true;
}

static const struct {
	const char *type;
	control_fn *fn;
} requests[] = {
	{"status", do_status},
	{"stat", do_stat},
	{"set", do_set},
	{"stop", do_stop},
	{"powerdown", do_powerdown},
	{"reset", do_reset},
	{"nmi", do_nmi},
	{"pause", do_pause},
	{"resume", do_resume},
	{"monitor", do_monitor},
	{"insert", do_insert},
	{"eject", do_eject},
	{"attach", do_attach},
	{"detach", do_detach},
	{"dump", do_dump},
	{"save", do_save},
	{"overlay", do_overlay},
	{"merge", do_merge},
	{"disks", do_disks},
	{"trace", do_trace},
	{"screenshot", do_screenshot},
	{"screen", do_screen},
	{"type", do_type},
	{"mouse", do_mouse},
};

/* False: drop the peer. */
static bool peer_answer(struct peer *p, struct wire_msg *q)
{
	JsonObject *a = json_object_new();
	g_autoptr(GError) err = NULL;
	bool ok = false, known = false;

	for (unsigned i = 0; !known && i < G_N_ELEMENTS(requests); i++) {
		known = !strcmp(q->type, requests[i].type);
		p->c->asks = p;
		if (known && !p->c->m->ended)
			ok = requests[i].fn(p->c, q, a, &err);
	}
	if (!known)
		conf_error_set(&err, CONF_ERROR_UNSUPPORTED, NULL,
			"use a vmeste of the same version",
			"the machine does not know this request");
	if (ok)
		return wire_send(p->fd, "ok", a, NULL, 0, NULL);
	json_object_unref(a);
	a = json_object_new();
	json_object_set_string_member(
		a, "message", err ? err->message : "the machine has ended");
	json_object_set_int_member(
		a, "status", err ? conf_error_status(err) : CONF_ERROR_FAILED);
	return wire_send(p->fd, "error", a, NULL, 0, NULL);
}

static gboolean peer_ready(gint fd, GIOCondition cond, gpointer opaque)
{
	struct peer *p = opaque;
	struct control *c = p->c;
	g_autoptr(wire_msg_auto) q = NULL;

	/* the most recent one stands last */
	for (guint i = 0; i + 1 < c->peers->len; i++)
		if (g_ptr_array_index(c->peers, i) == p) {
			g_ptr_array_steal_index(c->peers, i);
			g_ptr_array_add(c->peers, p);
		}
	errno = 0;
	q = wire_recv(fd, NULL);
	if (q ? peer_answer(p, q) : errno == EAGAIN)
		return G_SOURCE_CONTINUE;
	g_ptr_array_remove(c->peers, p);
	return G_SOURCE_REMOVE;
}

/* ---- peers ---- */

static gboolean control_accept(gint fd, GIOCondition cond, gpointer opaque)
{
	struct control *c = opaque;
	int conn = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct peer *p;

	if (conn < 0)
		return G_SOURCE_CONTINUE;
	if (c->peers->len >= MAX_PEERS)
		g_ptr_array_remove_index(c->peers, 0);
	p = g_new0(struct peer, 1);
	p->c = c;
	p->fd = conn;
	p->source = g_unix_fd_source_new(conn, G_IO_IN | G_IO_HUP);
	g_source_set_callback(p->source, G_SOURCE_FUNC(peer_ready), p, NULL);
	g_source_attach(p->source, c->m->host.loop);
	g_ptr_array_add(c->peers, p);
	return G_SOURCE_CONTINUE;
}

void control_start(struct machine *m)
{
	struct control *c;

	if (m->conf->control.fd < 0)
		return;
	c = m->control = g_new0(struct control, 1);
	c->m = m;
	c->peers = g_ptr_array_new_with_free_func(peer_free);
	g_unix_set_fd_nonblocking(m->conf->control.fd, TRUE, NULL);
	c->listener = g_unix_fd_source_new(m->conf->control.fd, G_IO_IN);
	g_source_set_callback(
		c->listener, G_SOURCE_FUNC(control_accept), c, NULL);
	g_source_attach(c->listener, m->host.loop);
}

void control_fini(struct machine *m)
{
	struct control *c = m->control;

	if (!c)
		return;
	g_source_destroy(c->listener);
	g_source_unref(c->listener);
	if (c->sampler) {
		g_source_destroy(c->sampler);
		g_source_unref(c->sampler);
	}
	g_ptr_array_unref(c->peers);
	g_free(c);
	m->control = NULL;
}
