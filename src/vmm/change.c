/*
 * change.c - another engine for a machine that runs.
 *
 * All processors stand at an instruction boundary, their states are copied
 * out, the new engine's processors take them over, and only then does the old
 * engine go: whatever fails before leaves the machine as it was.  Devices,
 * interrupt controllers and pending events live on the bus and stay.
 *
 * The guest has seen its CPUID, so the new engine must have every feature of
 * the model.  The jail is shut, so /dev/kvm must have been opened before.
 */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "conf/error.h"
#include "cpu/kvm/kvm.h"
#include "vmm/priv.h"

#define TSC_TOLERANCE (1u << 22) /* ticks: about a millisecond */

/* ---- before the machine is made ---- */

void change_prepare(struct machine *m)
{
	if (!m->conf->change)
		return;
	m->kvm = g_new0(struct cpu_probe, 1);
	cpu_kvm.probe(m->kvm);
	if (m->kvm->usable)
		m->dev_kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (m->dev_kvm > 0)
		return;
	m->dev_kvm = 0;
	machine_note(m, "the machine cannot change to kvm: %s", m->kvm->why);
	g_clear_pointer(&m->kvm, g_free);
}

void change_fini(struct machine *m)
{
	if (m->dev_kvm)
		close(m->dev_kvm);
	g_free(m->kvm);
}

void change_limit(const struct machine *m, bool can[X86_NFEATURES])
{
	g_autofree struct cpu_probe *soft = NULL;

	if (!m->kvm)
		return;
	soft = g_new0(struct cpu_probe, 1);
	cpu_interp.probe(soft);
	cpu_kvm_without_irqchip(m->kvm->can);
	for (unsigned f = 0; f < X86_NFEATURES; f++)
		can[f] &= soft->can[f] && m->kvm->can[f];
}

/* ---- may it? ---- */

static bool refuse(const struct machine *m, const char *to, const char *why,
	const char *fix, GError **err)
{
	conf_error_set(err, CONF_ERROR_UNSUPPORTED, why, fix,
		"cannot change from engine %s to %s", m->engine->name, to);
	return false;
}

static const char *missing_feature(const struct machine *m, const bool *can)
{
	static const char *const text[X86_NFEATURES] = {
#define X86_FEATURE(name, text, leaf, sub, reg, bit) [X86_FEAT_##name] = text,
#include "x86/features.def"
#undef X86_FEATURE
	};

	for (unsigned f = 1; f < X86_NFEATURES; f++)
		if (m->model.feature[f] && !can[f])
			return text[f];
	return NULL;
}

#define FIX_CHANGE "start the machine with --engine E,change=on"

static bool may_change(
	struct machine *m, const struct cpu_engine *to, GError **err)
{
	g_autofree struct cpu_probe *probe = g_new0(struct cpu_probe, 1);
	g_autofree char *why = NULL;
	const char *missing;

	if (to == &cpu_kvm && !m->kvm)
		return refuse(m, to->name, "/dev/kvm is out of reach by now",
			FIX_CHANGE, err);
	if (m->run.irqchip)
		return refuse(m, to->name,
			"the host's kernel has its interrupt controllers",
			FIX_CHANGE, err);
	if (to == &cpu_kvm)
		*probe = *m->kvm;
	else
		to->probe(probe);
	if (!probe->usable)
		return refuse(m, to->name, probe->why, NULL, err);
	if (!debugger_engine(m, to))
		return refuse(m, to->name,
			"a debugger has breakpoints that it does not take",
			"remove some", err);
	missing = missing_feature(m, probe->can);
	if (!missing)
		return true;
	why = g_strdup_printf(
		"its processors have the feature %s, which %s lacks", missing,
		to->name);
	return refuse(m, to->name, why, FIX_CHANGE, err);
}

/* ---- the change ---- */

struct processors {
	const struct cpu_engine *engine;
	struct cpu_vm *vm;
	struct cpu *cpu[BUS_MAX_CPUS];
};

static void processors_free(struct processors *p)
{
	for (unsigned i = 0; i < BUS_MAX_CPUS; i++)
		if (p->cpu[i])
			p->engine->cpu_free(p->cpu[i]);
	if (p->vm)
		p->engine->vm_free(p->vm);
}

/* Did the new processor take it all?  What KVM keeps in silence as it was is
 * the TSC, where it is emulated. */
static bool took_state(const struct cpu_engine *e, struct cpu *cpu,
	const struct x86_state *want)
{
	struct x86_state *s = aligned_alloc(64, sizeof(*s));
	uint64_t off;

	e->get(cpu, s);
	off = s->tsc_offset - want->tsc_offset + TSC_TOLERANCE;
	free(s);
	return off <= 2 * TSC_TOLERANCE;
}

/* Takes over the processors' kicks: lock held from here to the end. */
static int processors_make(struct machine *m, struct processors *p,
	const struct x86_state *state, char *text, unsigned size)
{
	struct cpu_vm_conf conf = {.model = &m->model,
		.code_cache_bytes = m->conf->code_cache_bytes,
		.dev_kvm = m->dev_kvm};
	int e = p->engine->vm_new(&p->vm, m->bus, &conf, text, size);

	for (unsigned i = 0; e == 0 && i < m->ncpus; i++) {
		e = p->engine->cpu_new(
			&p->cpu[i], p->vm, bus_cpu_at(m->bus, i), text, size);
		if (e < 0)
			break;
		e = p->engine->set(p->cpu[i], &state[i]);
		if (e < 0)
			g_snprintf(text, size,
				"it cannot hold the state of processor %u", i);
		else if (!took_state(p->engine, p->cpu[i], &state[i])) {
			g_strlcpy(text, "it cannot move the TSC", size);
			e = -ENOTSUP;
		}
	}
	return e;
}

static void processors_swap(struct machine *m, struct processors *p)
{
	struct processors old = {.engine = m->engine, .vm = m->vm};

	for (unsigned i = 0; i < m->ncpus; i++) {
		old.cpu[i] = m->run.vcpu[i].cpu;
		m->run.vcpu[i].cpu = p->cpu[i];
	}
	m->engine = p->engine;
	m->vm = p->vm;
	*p = old;
}

/* All stand, lock held. */
static bool change_locked(struct machine *m, const struct cpu_engine *to,
	const struct x86_state *state, GError **err)
{
	struct processors p = {.engine = to};
	struct bus_cpu was[BUS_MAX_CPUS];
	char text[256] = "";
	int e;

	for (unsigned i = 0; i < m->ncpus; i++) {
		was[i].kick = bus_cpu_at(m->bus, i)->kick;
		was[i].kick_opaque = bus_cpu_at(m->bus, i)->kick_opaque;
	}
	e = processors_make(m, &p, state, text, sizeof(text));
	if (e == 0 && m->dirty_log) {
		m->engine->dirty(m->vm, CPU_DIRTY_FETCH);
		e = to->dirty(p.vm, CPU_DIRTY_START);
	}
	if (e == 0)
		processors_swap(m, &p);
	processors_free(&p);
	for (unsigned i = 0; e < 0 && i < m->ncpus; i++) {
		bus_cpu_at(m->bus, i)->kick_opaque = was[i].kick_opaque;
		bus_cpu_at(m->bus, i)->kick = was[i].kick;
	}
	return e == 0 || refuse(m, to->name, text, NULL, err);
}

bool vmm_machine_set_engine(struct machine *m, const char *name, GError **err)
{
	const struct cpu_engine *to = cpu_engine_find(name);
	struct x86_state *state;
	bool ran, ok;

	if (!to) {
		conf_error_set(err, CONF_ERROR_USAGE, NULL,
			"choose bt, interp or kvm", "there is no engine %s",
			name);
		return false;
	}
	if (m->ended)
		return refuse(m, name, "the machine has ended", NULL, err);
	if (to == m->engine)
		return true;
	if (!may_change(m, to, err))
		return false;
	state = aligned_alloc(64, m->ncpus * sizeof(*state));
	ran = runloop_hold(m, state);
	bus_lock(m->bus);
	ok = change_locked(m, to, state, err);
	bus_unlock(m->bus);
	if (ok) {
		debugger_engine_changed(m);
		trace_engine_changed(m);
	}
	if (ok)
		g_strlcpy(m->engine_why, "changed to", sizeof(m->engine_why));
	if (ran)
		machine_go(m);
	free(state);
	return ok;
}
