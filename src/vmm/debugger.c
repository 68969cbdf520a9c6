/*
 * debugger.c - gdb at a machine: its socket, and what the stub asks.
 *
 * While a debugger is connected the machine is either held for it
 * (MACHINE_HOLD_DEBUGGER) or was let go by it.  Everything here is on the
 * control loop.  States of processors that stand are copied when first looked
 * at and go back when they are changed; what a processor shall start with
 * (vcpu.fresh) counts as its state.
 */
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <glib-unix.h>

#include "conf/error.h"
#include "gdb/gdb.h"
#include "vmm/priv.h"

#define MAX_PENDING (1u << 20) /* bytes that gdb has not read */

struct debugger {
	struct machine *m;
	GSource *listener, *source;
	gpointer tag; /* of fd in source */
	int fd;	      /* of the connection, -1 none */
	struct gdb *g;
	GString *pending; /* to be sent */
	bool broken;
	struct x86_state *state; /* ncpus, of those with have */
	bool have[BUS_MAX_CPUS];
	struct cpu_debug want;
	enum gdb_arch arch;
};

static void debugger_watch(struct debugger *d);

/* ---- output ---- */

static void debugger_flush(struct debugger *d)
{
	while (d->pending->len && !d->broken) {
		ssize_t n = send(d->fd, d->pending->str, d->pending->len,
			MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n > 0)
			g_string_erase(d->pending, 0, n);
		else if (n < 0 && errno == EAGAIN)
			break;
		else if (n == 0 || errno != EINTR)
			d->broken = true;
	}
}

static void debugger_send(void *opaque, const void *data, size_t len)
{
	struct debugger *d = opaque;

	g_string_append_len(d->pending, data, (gssize)len);
	debugger_flush(d);
	if (d->pending->len > MAX_PENDING)
		d->broken = true;
	debugger_watch(d);
}

/* ---- processors ---- */

static const struct x86_state *debugger_state(void *opaque, unsigned cpu)
{
	struct debugger *d = opaque;
	struct vcpu *v = &d->m->run.vcpu[cpu];

	if (v->fresh)
		return v->fresh;
	if (!d->have[cpu])
		d->m->engine->get(v->cpu, &d->state[cpu]);
	d->have[cpu] = true;
	return &d->state[cpu];
}

static bool debugger_set_state(
	void *opaque, unsigned cpu, const struct x86_state *s)
{
	struct debugger *d = opaque;
	struct vcpu *v = &d->m->run.vcpu[cpu];
	const struct x86_state *was = debugger_state(d, cpu);

	if (d->m->engine->set(v->cpu, s) < 0) {
		d->m->engine->set(v->cpu, was);
		return false;
	}
	g_clear_pointer(&v->fresh, g_free);
	d->state[cpu] = *s;
	d->have[cpu] = true;
	v->wait_sipi = !d->m->run.irqchip && s->activity == X86_ACT_WAIT_SIPI;
	return true;
}

static void debugger_describe(void *opaque, unsigned cpu, GString *out)
{
	const struct x86_state *s = debugger_state(opaque, cpu);
	static const char *const what[] = {
		"runs", "halted", "waits for SIPI", "shut down"};
	bool lma = s->efer & X86_EFER_LMA;

	g_string_append_printf(out, "processor %u: %s, %s, CPL %u", cpu,
		what[s->activity & 3],
		!(s->cr0 & X86_CR0_PE)			   ? "real mode"
		: s->rflags & X86_FL_VM			   ? "V86"
		: lma && (s->seg[X86_CS].attr & X86_SEG_L) ? "64-bit"
		: s->seg[X86_CS].attr & X86_SEG_DB	   ? "32-bit"
							   : "16-bit",
		s->seg[X86_SS].attr >> X86_SEG_DPL_SHIFT & 3);
}

/* ---- memory ---- */

/* The part of [a, a + len) that lies in the page of a. */
static size_t page_part(uint64_t a, size_t len)
{
	return MIN(len, BUS_PAGE_SIZE - (a & (BUS_PAGE_SIZE - 1)));
}

static bool debugger_gpa(struct debugger *d, int cpu, uint64_t a, gpa_t *gpa)
{
	*gpa = a;
	return cpu < 0 || walk_translate(d->m, debugger_state(d, (unsigned)cpu),
				  a, gpa, NULL);
}

static bool debugger_read(
	void *opaque, int cpu, uint64_t a, void *buf, size_t len)
{
	uint8_t *p = buf;
	gpa_t gpa;

	while (len) {
		size_t n = page_part(a, len);

		if (!debugger_gpa(opaque, cpu, a, &gpa) ||
			!bus_dma_read(
				((struct debugger *)opaque)->m->bus, gpa, p, n))
			return false;
		a += n;
		p += n;
		len -= n;
	}
	return true;
}

static bool debugger_write(
	void *opaque, int cpu, uint64_t a, const void *buf, size_t len)
{
	struct debugger *d = opaque;
	const uint8_t *p = buf;
	gpa_t gpa;

	for (uint64_t at = a, left = len; left;) {
		size_t n = page_part(at, left);

		if (!debugger_gpa(d, cpu, at, &gpa))
			return false;
		at += n;
		left -= n;
	}
	while (len) {
		size_t n = page_part(a, len);

		if (!debugger_gpa(d, cpu, a, &gpa) ||
			!bus_dma_write(d->m->bus, gpa, p, n))
			return false;
		a += n;
		p += n;
		len -= n;
	}
	return true;
}

/* ---- going and standing ---- */

static enum cpu_break_kind break_kind(enum gdb_break kind)
{
	switch (kind) {
	case GDB_WATCH_WRITE: return CPU_BREAK_WRITE;
	case GDB_WATCH_READ: return CPU_BREAK_READ;
	case GDB_WATCH_ACCESS: return CPU_BREAK_ACCESS;
	default: return CPU_BREAK_EXEC;
	}
}

static bool debugger_can(const struct cpu_engine *e, const struct cpu_break *b)
{
	return !e->can_break || e->can_break(b);
}

static int debugger_set_break(
	void *opaque, enum gdb_break kind, uint64_t a, unsigned len, bool on)
{
	struct debugger *d = opaque;
	struct cpu_break b = {break_kind(kind), a, len};
	struct cpu_debug *w = &d->want;

	if (on) {
		if (w->nbrk >= d->m->engine->max_breaks ||
			!debugger_can(d->m->engine, &b))
			return -ENOSPC;
		w->brk[w->nbrk++] = b;
		return 0;
	}
	for (unsigned i = 0; i < w->nbrk; i++) {
		const struct cpu_break *x = &w->brk[i];

		if (x->kind != b.kind || x->addr != a || x->len != len)
			continue;
		w->brk[i] = w->brk[--w->nbrk];
		return 0;
	}
	return 0;
}

/* What stopped processor v, for gdb. */
static void debugger_report(struct debugger *d, struct vcpu *v)
{
	struct gdb_stop s = {.cpu = v->index, .addr = v->stop.addr};

	v->stopped = false;
	switch (v->stop.kind) {
	case CPU_BREAK_EXEC: s.why = GDB_STOP_BREAK; break;
	case CPU_BREAK_STEP: s.why = GDB_STOP_STEP; break;
	case CPU_BREAK_WRITE:
		s.why = GDB_STOP_WATCH;
		s.kind = GDB_WATCH_WRITE;
		break;
	case CPU_BREAK_READ:
		s.why = GDB_STOP_WATCH;
		s.kind = GDB_WATCH_READ;
		break;
	case CPU_BREAK_ACCESS:
		s.why = GDB_STOP_WATCH;
		s.kind = GDB_WATCH_ACCESS;
		break;
	}
	gdb_stopped(d->g, &s);
}

/* Another processor has met a watchpoint too while the first one was told of:
 * gdb hears of it as soon as it lets that go. */
static struct vcpu *debugger_untold(
	struct debugger *d, const enum gdb_action *action)
{
	for (unsigned i = 0; i < d->m->ncpus; i++) {
		struct vcpu *v = &d->m->run.vcpu[i];

		if (v->stopped && action[i] != GDB_STAND &&
			v->stop.kind != CPU_BREAK_EXEC &&
			v->stop.kind != CPU_BREAK_STEP)
			return v;
		v->stopped = false;
	}
	return NULL;
}

static void debugger_resume(
	void *opaque, const enum gdb_action *action, bool events)
{
	struct debugger *d = opaque;
	struct vcpu *untold = debugger_untold(d, action);

	if (untold) {
		debugger_report(d, untold);
		return;
	}
	for (unsigned i = 0; i < d->m->ncpus; i++) {
		struct vcpu *v = &d->m->run.vcpu[i];

		v->held = action[i] == GDB_STAND;
		d->have[i] = false;
		if (v->held)
			continue;
		d->want.step = action[i] == GDB_STEP;
		d->want.events = events;
		d->m->engine->set_debug(v->cpu, &d->want);
	}
	machine_release(d->m, MACHINE_HOLD_DEBUGGER);
}

static void debugger_hold(struct debugger *d)
{
	machine_hold(d->m, MACHINE_HOLD_DEBUGGER);
	for (unsigned i = 0; i < d->m->ncpus; i++)
		d->m->run.vcpu[i].held = false;
}

static void debugger_interrupt(void *opaque)
{
	struct debugger *d = opaque;
	struct gdb_stop s = {.why = GDB_STOP_SIGNAL};

	debugger_hold(d);
	gdb_stopped(d->g, &s);
}

static void debugger_kill(void *opaque)
{
	machine_quit(((struct debugger *)opaque)->m, 0, NULL);
}

static void debugger_monitor(void *opaque, const char *line, GString *out)
{
	struct debugger *d = opaque;

	monitor_run(d->m, line, out);
	memset(d->have, 0, sizeof(d->have)); /* reset, another engine */
}

/* ---- the connection ---- */

/* Breakpoints go; the machine goes on, or waits for another gdb. */
static void debugger_leave(struct debugger *d)
{
	bool go;

	if (d->fd < 0)
		return;
	debugger_flush(d);
	g_source_destroy(d->source);
	g_clear_pointer(&d->source, g_source_unref);
	close(d->fd);
	d->fd = -1;
	go = gdb_lets_go(d->g);
	g_clear_pointer(&d->g, gdb_free);
	d->want.nbrk = 0;
	if (d->m->ended)
		return;
	debugger_hold(d);
	for (unsigned i = 0; i < d->m->ncpus; i++) {
		d->m->run.vcpu[i].stopped = false;
		d->m->engine->set_debug(d->m->run.vcpu[i].cpu, NULL);
	}
	if (go)
		machine_release(d->m, MACHINE_HOLD_DEBUGGER);
}

static gboolean debugger_ready(GSource *src, GSourceFunc fn, gpointer opaque)
{
	struct debugger *d = opaque;
	uint8_t buf[4096];
	ssize_t n;

	debugger_flush(d);
	n = recv(d->fd, buf, sizeof(buf), MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		n = 0;
	else if (n <= 0)
		d->broken = true;
	if (d->broken || !gdb_feed(d->g, buf, (size_t)n) || d->broken)
		debugger_leave(d);
	else
		debugger_watch(d);
	return G_SOURCE_CONTINUE;
}

static GSourceFuncs debugger_funcs = {.dispatch = debugger_ready};

/* Room for output matters only while there is some. */
static void debugger_watch(struct debugger *d)
{
	GIOCondition want = G_IO_IN | G_IO_HUP | G_IO_ERR;

	if (!d->source)
		return;
	if (d->pending->len)
		want |= G_IO_OUT;
	g_source_modify_unix_fd(d->source, d->tag, want);
	if (d->broken)
		g_source_set_ready_time(d->source, 0);
}

/* Is the kernel that was booted directly a 64-bit one?  It begins in 32-bit
 * mode, but its symbols mean the other.  ELF, or a bzImage with a 64-bit entry
 * (Linux boot protocol 2.12). */
static bool debugger_kernel64(const struct machine *m)
{
	const struct fw_image *k = &m->boot.kernel;
	uint8_t elf[5], setup[0x36];
	uint16_t version;

	if (!m->conf->kernel.path || !m->model.feature[X86_FEAT_LM])
		return false;
	if (fw_image_read(k, 0, elf, sizeof(elf)) && !memcmp(elf, "\177ELF", 4))
		return elf[4] == 2;
	if (!fw_image_read(k, 0x202, setup, sizeof(setup)) ||
		memcmp(setup, "HdrS", 4) != 0)
		return false;
	memcpy(&version, setup + 4, 2);
	return version >= 0x20c && (setup[0x34] & 1);
}

static void debugger_connect(struct debugger *d, int fd)
{
	const struct machine *m = d->m;
	struct gdb_target t = {.opaque = d,
		.ncpus = m->ncpus,
		.avx = m->model.feature[X86_FEAT_AVX],
		.avx512 = m->model.feature[X86_FEAT_AVX512F],
		.arch = &d->arch,
		.auto_wide = debugger_kernel64(m),
		.send = debugger_send,
		.state = debugger_state,
		.set_state = debugger_set_state,
		.read = debugger_read,
		.write = debugger_write,
		.set_break = debugger_set_break,
		.resume = debugger_resume,
		.interrupt = debugger_interrupt,
		.kill = debugger_kill,
		.monitor = debugger_monitor,
		.describe = debugger_describe};
	struct gdb_stop stop = {.why = GDB_STOP_SIGNAL};

	debugger_hold(d);
	memset(d->have, 0, sizeof(d->have));
	d->fd = fd;
	d->broken = false;
	g_string_truncate(d->pending, 0);
	d->g = gdb_new(&t, &stop);
	d->source = g_source_new(&debugger_funcs, sizeof(GSource));
	d->tag = g_source_add_unix_fd(
		d->source, fd, G_IO_IN | G_IO_HUP | G_IO_ERR);
	g_source_set_callback(d->source, NULL, d, NULL);
	g_source_attach(d->source, m->host.loop);
}

/* Has the one that we serve gone?  Its successor may be noticed first. */
static bool debugger_gone(const struct debugger *d)
{
	struct pollfd p = {.fd = d->fd, .events = POLLRDHUP};

	return poll(&p, 1, 0) == 1;
}

/* One at a time; who comes meanwhile is turned away. */
static gboolean debugger_accept(gint fd, GIOCondition cond, gpointer opaque)
{
	struct debugger *d = opaque;
	int conn = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (conn < 0)
		return G_SOURCE_CONTINUE;
	while (d->fd >= 0 && debugger_gone(d))
		debugger_ready(NULL, NULL, d); /* its last words */
	if (d->fd >= 0 || d->m->ended || !d->m->engine->set_debug) {
		machine_note(d->m, d->fd >= 0
					   ? "a second debugger is turned away"
					   : "this engine cannot be debugged");
		close(conn);
	} else {
		debugger_connect(d, conn);
	}
	return G_SOURCE_CONTINUE;
}

/* ---- what the machine calls ---- */

bool debugger_init(struct machine *m, GError **err)
{
	struct debugger *d;

	if (m->conf->gdb.fd < 0)
		return true;
	if (!m->engine->set_debug) {
		conf_error_set(err, CONF_ERROR_UNSUPPORTED, NULL,
			"use --engine bt or interp",
			"the engine %s cannot be debugged", m->engine->name);
		return false;
	}
	d = m->debugger = g_new0(struct debugger, 1);
	d->m = m;
	d->fd = -1;
	d->pending = g_string_new(NULL);
	d->state = g_aligned_alloc0(m->ncpus, sizeof(*d->state), 64);
	g_unix_set_fd_nonblocking(m->conf->gdb.fd, TRUE, NULL);
	d->listener = g_unix_fd_source_new(m->conf->gdb.fd, G_IO_IN);
	g_source_set_callback(
		d->listener, G_SOURCE_FUNC(debugger_accept), d, NULL);
	g_source_attach(d->listener, m->host.loop);
	if (m->conf->gdb_wait)
		machine_hold(m, MACHINE_HOLD_DEBUGGER);
	return true;
}

void debugger_serve(struct machine *m)
{
	struct debugger *d = m->debugger;

	if (!d || d->fd < 0 || m->ended)
		return;
	debugger_hold(d);
	for (unsigned i = 0; i < m->ncpus; i++) {
		if (!m->run.vcpu[i].stopped)
			continue;
		debugger_report(d, &m->run.vcpu[i]);
		return;
	}
}

bool debugger_engine(struct machine *m, const struct cpu_engine *to)
{
	struct debugger *d = m->debugger;

	if (!d || d->fd < 0)
		return true;
	memset(d->have, 0, sizeof(d->have));
	for (unsigned i = 0; i < d->want.nbrk; i++)
		if (!debugger_can(to, &d->want.brk[i]))
			return false;
	return to->set_debug && d->want.nbrk <= to->max_breaks;
}

void debugger_engine_changed(struct machine *m)
{
	struct debugger *d = m->debugger;

	if (!d || d->fd < 0)
		return;
	d->want.step = false;
	for (unsigned i = 0; i < m->ncpus; i++)
		m->engine->set_debug(m->run.vcpu[i].cpu, &d->want);
}

void debugger_forget(struct machine *m)
{
	struct debugger *d = m->debugger;

	if (d && d->fd < 0)
		machine_release(m, MACHINE_HOLD_DEBUGGER);
}

void debugger_ended(struct machine *m)
{
	struct debugger *d = m->debugger;
	struct gdb_stop s = {.why = GDB_STOP_ENDED};

	if (d && d->fd >= 0)
		gdb_stopped(d->g, &s);
}

void debugger_fini(struct machine *m)
{
	struct debugger *d = m->debugger;

	if (!d)
		return;
	m->ended = true;
	debugger_leave(d);
	g_source_destroy(d->listener);
	g_source_unref(d->listener);
	g_string_free(d->pending, TRUE);
	g_aligned_free(d->state);
	g_free(d);
	m->debugger = NULL;
}
