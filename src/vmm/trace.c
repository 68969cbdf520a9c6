/*
 * trace.c - the last things that processors did, as text.
 *
 * Each processor records into a ring of its own, which is looked at while the
 * machine stands; lines of all processors are put in the order of time.
 */
#include <sys/stat.h>
#include <unistd.h>

#include "conf/error.h"
#include "vmm/priv.h"
#include "x86/decode.h"

#define MAX_EVENTS  (1u << 20) /* of one processor */
#define FLUSH_BYTES (256u << 10)

struct trace {
	unsigned n; /* rings */
	struct cpu_trace *ring[BUS_MAX_CPUS];
};

static void trace_set(struct machine *m, bool on)
{
	for (unsigned i = 0; i < m->ncpus; i++)
		m->engine->set_trace(
			m->run.vcpu[i].cpu, on ? m->trace->ring[i] : NULL);
}

bool trace_start(struct machine *m, uint64_t events, bool insns, GError **err)
{
	uint64_t size = 16;

	if (!m->engine->set_trace) {
		conf_error_set(err, CONF_ERROR_UNSUPPORTED, NULL,
			"use --engine bt or interp",
			"the engine %s cannot be traced", m->engine->name);
		return false;
	}
	trace_stop(m);
	while (size < events && size < MAX_EVENTS)
		size *= 2;
	m->trace = g_new0(struct trace, 1);
	m->trace->n = m->ncpus;
	for (unsigned i = 0; i < m->ncpus; i++) {
		struct cpu_trace *t =
			g_malloc0(sizeof(*t) + size * sizeof(t->ring[0]));

		t->mask = size - 1;
		t->insns = insns;
		m->trace->ring[i] = t;
	}
	machine_hold(m, MACHINE_HOLD_DUMP);
	trace_set(m, true);
	machine_release(m, MACHINE_HOLD_DUMP);
	return true;
}

void trace_stop(struct machine *m)
{
	if (!m->trace)
		return;
	machine_hold(m, MACHINE_HOLD_DUMP);
	if (m->engine->set_trace && m->run.vcpu)
		trace_set(m, false);
	for (unsigned i = 0; i < m->trace->n; i++)
		g_free(m->trace->ring[i]);
	g_clear_pointer(&m->trace, g_free);
	machine_release(m, MACHINE_HOLD_DUMP);
}

void trace_engine_changed(struct machine *m)
{
	if (m->trace && m->engine->set_trace)
		trace_set(m, true);
}

/* ---- text ---- */

static void put_insn(const struct cpu_trace_event *e, GString *out)
{
	const uint64_t code[2] = {e->a, e->b};
	struct x86_insn insn;
	char text[128];

	if (x86_decode(&insn, (const uint8_t *)code, 15, e->size) !=
		X86_DEC_OK) {
		g_string_append(out, "(bad)\n");
		return;
	}
	x86_disasm(&insn, e->rip, text, sizeof(text));
	g_string_append_printf(out, "%s\n", text);
}

/* What stands before and between an event's two numbers; NULL: it has one. */
static const struct {
	const char *before, *between;
} words[CPU_TRACE_NKINDS] = {
	[CPU_TRACE_INTERRUPT] = {"interrupt ", NULL},
	[CPU_TRACE_EXCEPTION] = {"exception ", " error "},
	[CPU_TRACE_PAGE_FAULT] = {"page fault at ", " error "},
	[CPU_TRACE_CR] = {"cr", " = "},
	[CPU_TRACE_RDMSR] = {"rdmsr ", NULL},
	[CPU_TRACE_WRMSR] = {"wrmsr ", " = "},
	[CPU_TRACE_IN] = {"in ", " = "},
	[CPU_TRACE_OUT] = {"out ", " = "},
	[CPU_TRACE_READ] = {"mmio read ", " = "},
	[CPU_TRACE_WRITE] = {"mmio write ", " = "},
	[CPU_TRACE_CPUID] = {"cpuid ", " "},
};

static void put_event(unsigned cpu, const struct cpu_trace_event *e,
	uint64_t zero, GString *out)
{
	g_string_append_printf(out, "%12" PRIu64 " cpu%u/%u %016" PRIx64 " ",
		e->tsc - zero, cpu, e->cpl, e->rip);
	if (e->kind == CPU_TRACE_INSN) {
		put_insn(e, out);
		return;
	}
	if (e->kind >= CPU_TRACE_NKINDS || !words[e->kind].before) {
		g_string_append(out, "hlt\n");
		return;
	}
	g_string_append_printf(out, "%s%" PRIx64, words[e->kind].before, e->a);
	if (words[e->kind].between)
		g_string_append_printf(
			out, "%s%" PRIx64, words[e->kind].between, e->b);
	g_string_append_c(out, '\n');
}

/* ---- all of it, in order ---- */

static bool put_text(int fd, GString *out, GError **err)
{
	size_t done = 0;

	while (done < out->len) {
		ssize_t n = write(fd, out->str + done, out->len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			conf_error_set_errno(err, n ? errno : ENOSPC, NULL,
				"cannot write the trace");
			return false;
		}
		done += (size_t)n;
	}
	g_string_truncate(out, 0);
	return true;
}

/* The ring whose next event is the earliest; -1: none is left. */
static int earliest(const struct trace *t, const uint64_t *at)
{
	int best = -1;
	uint64_t when = UINT64_MAX;

	for (unsigned i = 0; i < t->n; i++) {
		const struct cpu_trace *r = t->ring[i];

		if (at[i] == r->next || r->ring[at[i] & r->mask].tsc >= when)
			continue;
		when = r->ring[at[i] & r->mask].tsc;
		best = (int)i;
	}
	return best;
}

static bool trace_put_all(
	const struct trace *t, uint64_t *at, int fd, GError **err)
{
	GString *out = g_string_new(NULL);
	uint64_t zero = 0;
	bool ok = true;

	for (int i; ok && (i = earliest(t, at)) >= 0;) {
		const struct cpu_trace *r = t->ring[i];
		const struct cpu_trace_event *e = &r->ring[at[i]++ & r->mask];

		zero = zero ? zero : e->tsc;
		put_event((unsigned)i, e, zero, out);
		if (out->len > FLUSH_BYTES)
			ok = put_text(fd, out, err);
	}
	ok = ok && put_text(fd, out, err);
	g_string_free(out, TRUE);
	return ok;
}

bool trace_write(struct machine *m, int fd, uint64_t last, GError **err)
{
	const struct trace *t = m->trace;
	uint64_t at[BUS_MAX_CPUS];
	struct stat st;
	bool ok;

	if (!t || fstat(fd, &st) || !S_ISREG(st.st_mode)) {
		conf_error_set(err, CONF_ERROR_USAGE, NULL, NULL,
			t ? "the trace goes into ordinary files only"
			  : "the machine is not traced");
		return false;
	}
	machine_hold(m, MACHINE_HOLD_DUMP);
	for (unsigned i = 0; i < t->n; i++) {
		uint64_t have = MIN(t->ring[i]->next, t->ring[i]->mask + 1);

		at[i] = t->ring[i]->next - MIN(have, last);
	}
	ok = trace_put_all(t, at, fd, err);
	machine_release(m, MACHINE_HOLD_DUMP);
	return ok;
}

/* ---- --trace ---- */

bool trace_init(struct machine *m, GError **err)
{
	return m->conf->trace.fd < 0 ||
	       trace_start(m, m->conf->trace_events, m->conf->trace_insns, err);
}

void trace_ended(struct machine *m)
{
	g_autoptr(GError) err = NULL;

	if (m->conf->trace.fd >= 0 && m->trace &&
		!trace_write(m, m->conf->trace.fd, UINT64_MAX, &err))
		machine_note(m, "%s", err->message);
}
