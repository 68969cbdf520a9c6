/*
 * machine.c - the life of one machine.
 *
 * Made: everything exists, nothing runs.  Running: processors on their
 * threads, devices on the control loop.  Ended: processors stand, ended() was
 * called once, only machine_free may follow.
 */
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "conf/error.h"
#include "cpu/kvm/kvm.h"
#include "dev/irq/intc.h"
#include "dev/misc/cpu_init.h"
#include "dev/timer/acpi_regs.h"
#include "dev/timer/mc146818.h"
#include "vmm/priv.h"

/* An emulated KVM is slower than this; the kernel's interrupt controllers are
 * incomplete there. */
#define REAL_KVM_MIPS	100.0
#define MAX_CRASH_NOTES 3

void machine_note(struct machine *m, const char *fmt, ...)
{
	va_list ap;
	g_autofree char *text = NULL;

	va_start(ap, fmt);
	text = g_strdup_vprintf(fmt, ap);
	va_end(ap);
	if (m->host.note)
		m->host.note(m->host.opaque, text);
}

/* ---- making ---- */

/* Asks each engine once: an emulated KVM takes its time. */
static void choose_fastest(struct machine *m, struct cpu_probe *probe)
{
	struct cpu_probe bt;

	cpu_kvm.probe(probe);
	cpu_bt.probe(&bt);
	m->engine = cpu_engine_choose(
		probe, &bt, m->engine_why, sizeof(m->engine_why));
	if (m->engine == &cpu_bt)
		*probe = bt;
	else if (m->engine != &cpu_kvm)
		m->engine->probe(probe);
}

static bool choose_engine(
	struct machine *m, struct cpu_probe *probe, GError **err)
{
	const char *name = conf_engine_words.words[m->conf->engine];

	if (m->conf->engine == CONF_ENGINE_AUTO) {
		choose_fastest(m, probe);
	} else {
		m->engine = cpu_engine_find(name);
		if (m->engine)
			m->engine->probe(probe);
		g_strlcpy(m->engine_why, "asked for", sizeof(m->engine_why));
	}
	if (!m->engine) {
		conf_error_set(err, CONF_ERROR_UNSUPPORTED, NULL,
			"use --engine auto", "there is no engine %s", name);
		return false;
	}
	if (probe->usable)
		return true;
	conf_error_set(err, CONF_ERROR_UNSUPPORTED, probe->why,
		probe->fix[0] ? probe->fix : "use --engine auto",
		"the engine %s cannot be used here", m->engine->name);
	return false;
}

/* Only our own controllers can stay when the engine changes. */
static bool kernel_irqchip(
	const struct machine *m, const struct cpu_probe *probe)
{
	if (m->engine != &cpu_kvm || m->conf->change)
		return false;
	return m->conf->irqchip == CONF_IRQCHIP_KERNEL ||
	       (m->conf->irqchip == CONF_IRQCHIP_AUTO &&
		       probe->mips > REAL_KVM_MIPS);
}

/* What of the engine's features this machine can have. */
static void limit_features(struct machine *m, const struct cpu_probe *probe,
	bool can[X86_NFEATURES])
{
	memcpy(can, probe->can, X86_NFEATURES * sizeof(can[0]));
	if (m->conf->hypervisor == CONF_HYPERVISOR_NONE)
		can[X86_FEAT_HYPERVISOR] = false;
	if (m->engine == &cpu_kvm && !kernel_irqchip(m, probe))
		cpu_kvm_without_irqchip(can);
	change_limit(m, can);
}

static bool choose_model(
	struct machine *m, const struct cpu_probe *probe, GError **err)
{
	const struct conf_machine *c = m->conf;
	struct x86_topology t = {c->sockets, c->cores, c->threads};
	const char *missing = NULL;
	bool can[X86_NFEATURES];
	int e;

	limit_features(m, probe, can);
	e = x86_cpu_model_init(&m->model, c->cpu_model, can, &t, &missing);
	m->tsc_hz = m->model.tsc_hz;
	if (c->model)
		return model_from_text(&m->model, c->model, can, err);
	if (e == -ENOENT)
		conf_error_set(err, CONF_ERROR_USAGE, NULL, "use --cpu auto",
			"there is no processor model %s", c->cpu_model);
	else if (e < 0)
		conf_error_set(err, CONF_ERROR_UNSUPPORTED,
			missing ? missing : "a feature is missing here",
			"use --cpu auto",
			"the processor model %s cannot be had", c->cpu_model);
	return e == 0;
}

static bool make_engine(
	struct machine *m, const struct cpu_probe *probe, GError **err)
{
	struct cpu_vm_conf conf = {
		.model = &m->model,
		.code_cache_bytes = m->conf->code_cache_bytes,
		.dev_kvm = m->dev_kvm,
	};
	char text[256] = "";

	conf.kernel_irqchip = kernel_irqchip(m, probe);
	if (m->engine->vm_new(&m->vm, m->bus, &conf, text, sizeof(text)) < 0)
		return fw_error(err, text, "try --engine auto",
			"cannot start the engine %s", m->engine->name);
	return true;
}

static bool make_bus(struct machine *m, GError **err)
{
	const struct bus_ram *ram;

	if (!memory_new(m, err))
		return false;
	ram = bus_ram(m->bus);
	madvise(ram->host, ram->bytes, MADV_HUGEPAGE);
	madvise(ram->host, ram->bytes, MADV_DONTDUMP);
	for (unsigned i = 0; i < m->ncpus; i++) {
		m->apic_ids[i] = x86_topology_apic_id(&m->model.topology, i);
		bus_cpu_new(m->bus, m->apic_ids[i]);
	}
	return true;
}

static bool machine_build(struct machine *m, GError **err)
{
	g_autofree struct cpu_probe *probe = g_new0(struct cpu_probe, 1);

	m->ncpus = conf_machine_ncpus(m->conf);
	change_prepare(m);
	if (!choose_engine(m, probe, err) || !choose_model(m, probe, err) ||
		!make_bus(m, err) || !make_engine(m, probe, err))
		return false;
	if (!screen_prepare(m, err) || !sound_prepare(m, err))
		return false;
	if (m->host.engine_ready)
		m->host.engine_ready(
			m->host.opaque, m->engine == &cpu_kvm || m->dev_kvm);
	if (!loop_init(m, err) || !sound_init(m, err) || !board_pc_init(m, err))
		return false;
	if (!screen_init(m, err))
		return false;
	board_boot_order(m);
	return boot_init(m, err) && runloop_init(m, err);
}

struct machine *machine_new(struct conf_machine *conf,
	const struct machine_host *host, GError **err)
{
	struct machine *m = g_new0(struct machine, 1);

	m->conf = conf;
	m->host = *host;
	m->ram = (struct dev_ram){.discard = ram_discard, .opaque = m};
	pthread_mutex_init(&m->failure_lock, NULL);
	if (machine_build(m, err))
		return m;
	machine_free(m);
	return NULL;
}

void machine_free(struct machine *m)
{
	clock_fini(m);
	control_fini(m);
	merge_stop(m);
	limit_fini(m);
	screen_fini(m);
	debugger_fini(m);
	trace_stop(m);
	runloop_fini(m);
	loop_fini(m);
	vsock_stop(m);
	if (m->bus)
		board_pc_fini(m);
	vsock_close(m);
	sound_fini(m);
	for (unsigned i = 0; i < m->nconsoles; i++)
		console_free(m->consoles[i]);
	boot_fini(m);
	if (m->vm)
		m->engine->vm_free(m->vm);
	if (m->bus)
		bus_free(m->bus);
	g_free(m->ram_shared);
	change_fini(m);
	if (m->snapshot)
		close(m->snapshot);
	pthread_mutex_destroy(&m->failure_lock);
	g_free(m);
}

const char *machine_engine(const struct machine *m)
{
	return m->engine->name;
}

const char *machine_engine_why(const struct machine *m)
{
	return m->engine_why;
}

/* ---- running ---- */

/* Power-on state.  Processors stand. */
static bool machine_restart(struct machine *m, GError **err)
{
	bool ok;

	bus_lock(m->bus);
	for (unsigned i = 0; i < m->ncpus; i++)
		bus_cpu_clear(bus_cpu_at(m->bus, i),
			BUS_EV_NMI | BUS_EV_INIT | BUS_EV_SIPI | BUS_EV_INTR);
	board_pc_reset(m);
	ok = boot_place(m, err);
	bus_unlock(m->bus);
	return ok;
}

/* Go on from a state. */
static bool machine_come_back(struct machine *m, GError **err)
{
	bus_lock(m->bus);
	board_pc_reset(m);
	bus_unlock(m->bus);
	return machine_load(m, err);
}

/* Time goes on where it stopped: for timers, and for the TSC. */
static void machine_thaw(struct machine *m)
{
	uint64_t ticks;

	bus_lock(m->bus);
	ticks = bus_clock_pause(m->bus, false);
	for (unsigned i = 0; ticks && i < m->ncpus; i++)
		runloop_shift_tsc(m, i, ticks);
	bus_unlock(m->bus);
}

void machine_go(struct machine *m)
{
	if (m->ended || m->holds)
		return;
	machine_thaw(m);
	runloop_go(m);
}

void machine_hold(struct machine *m, enum machine_hold who)
{
	if (m->ended)
		return;
	runloop_pause(m);
	m->holds |= who;
	bus_lock(m->bus);
	bus_clock_pause(m->bus, true);
	bus_unlock(m->bus);
}

void machine_release(struct machine *m, enum machine_hold who)
{
	m->holds &= ~(unsigned)who;
	machine_go(m);
}

bool machine_start(struct machine *m, GError **err)
{
	bool saved = m->conf->state.fd >= 0;

	if (!(saved ? machine_come_back(m, err) : machine_restart(m, err)) ||
		!runloop_spawn(m, err))
		return false;
	for (unsigned i = 0; i < m->nconsoles; i++)
		if (!console_start(m->consoles[i], err))
			return false;
	control_start(m);
	screen_start(m);
	vsock_start(m);
	if (!debugger_init(m, err) || !trace_init(m, err))
		return false;
	if (m->conf->paused)
		machine_hold(m, MACHINE_HOLD_USER);
	machine_go(m);
	return limit_set(m, m->conf->cpu_limit, err);
}

static void machine_end(struct machine *m, int status, const char *message)
{
	if (m->ended)
		return;
	m->ended = true;
	trace_ended(m);
	debugger_ended(m);
	m->host.ended(m->host.opaque, status, message);
}

void machine_quit(struct machine *m, int status, const char *message)
{
	runloop_pause(m);
	machine_end(m, status, message);
}

void machine_reset(struct machine *m)
{
	g_autoptr(GError) err = NULL;

	if (m->ended)
		return;
	runloop_pause(m);
	m->resets++;
	if (machine_restart(m, &err))
		machine_go(m);
	else
		machine_end(m, 1, err->message);
}

void machine_powerdown(struct machine *m)
{
	bus_lock(m->bus);
	acpi_regs_power_button(m->board.acpi);
	bus_unlock(m->bus);
}

bool machine_nmi(struct machine *m)
{
	bool masked;

	bus_lock(m->bus);
	masked = mc146818_nmi_masked(m->board.rtc);
	if (m->board.intc && !masked)
		intc_nmi(m->board.intc);
	bus_unlock(m->bus);
	return !masked;
}

/* A guest may crash many times a second: a few notes are enough. */
static void machine_note_crash(struct machine *m)
{
	if (m->conf->verbose && m->crashes < MAX_CRASH_NOTES)
		machine_note(m, "registers at the crash:\n%s", m->crash);
	if (m->conf->no_reboot)
		return;
	if (m->crashes < MAX_CRASH_NOTES)
		machine_note(
			m, "the guest crashed (triple fault): machine reset");
	else if (m->crashes == MAX_CRASH_NOTES)
		machine_note(m, "the guest goes on crashing; no more is said");
	m->crashes++;
}

/*
 * The bridge answers a shutdown by INIT, not by a reset, so memory is as it
 * was.  To a guest that has told the firmware where it will go on then it is
 * a way back from protected mode, as on a 286.
 */
static bool machine_returns(struct machine *m)
{
	bool wanted;

	bus_lock(m->bus);
	wanted = mc146818_returns(m->board.rtc) && !m->run.irqchip;
	if (wanted)
		cpu_init_pulse(m->bus);
	bus_unlock(m->bus);
	return wanted;
}

static void machine_guest_reset(struct machine *m, bool crashed)
{
	if (crashed && machine_returns(m)) {
		machine_go(m);
		return;
	}
	if (crashed)
		machine_note_crash(m);
	if (!m->conf->no_reboot) {
		machine_reset(m);
		return;
	}
	machine_end(m, 1,
		crashed ? "the guest crashed (triple fault)\n"
			  "  why:  an exception came while handling a double "
			  "fault; with --no-reboot that ends the machine"
			: "the guest reset the machine\n"
			  "  why:  with --no-reboot a reset ends it");
}

void machine_serve(struct machine *m, unsigned requests)
{
	if (m->ended || !requests)
		return;
	runloop_pause(m);
	if (requests & REQ_DEBUG)
		debugger_serve(m);
	if (requests & REQ_WATCHDOG)
		machine_note(m, "the watchdog has fired: %s",
			conf_watchdog_action_words
				.words[m->conf->watchdog_action]);
	if (requests & REQ_NMI)
		machine_nmi(m);
	if (requests & REQ_CARD)
		plug_take_cards(m);
	if (requests & REQ_PAUSE)
		machine_hold(m, MACHINE_HOLD_USER);
	if (requests & REQ_FAILED)
		machine_end(m, 1, m->failure);
	else if (requests & REQ_POWEROFF)
		machine_end(m, 0, NULL);
	else if (requests & (REQ_RESET | REQ_TRIPLE_FAULT))
		machine_guest_reset(m, !(requests & REQ_RESET));
	else
		machine_go(m);
}
