/*
 * state.c - the state of a machine as named parts: clock, processors, devices.
 *
 * Processors stand and time stands.  Saving first lets devices finish what
 * other threads do for them.  Loading goes into a machine that was reset and
 * has not run; all parts are looked at before the first is loaded, and if one
 * is refused all the same the machine is not to be started.
 *
 * Times in the host's TSC are kept against the moment of saving, so that they
 * fit any host.  Whether the guest's clocks go on where they stood or catch up
 * with the time that has passed is a policy: see clock_go_on.
 */
#include <string.h>
#include <time.h>

#include "conf/error.h"
#include "dev/state.h"
#include "save/save.h"
#include "vmm/priv.h"

#define KEPT_EVENTS (BUS_EV_NMI | BUS_EV_INIT | BUS_EV_SIPI | BUS_EV_UNHALT)

/* ---- the clock and what else the bus holds ---- */

struct saved_clock {
	uint64_t ns;	 /* virtual */
	int64_t real_ns; /* time of day when it was saved */
	bool a20;
	uint32_t resets;
};

static const struct state_field clock_fields[] = {
	STATE(struct saved_clock, ns, .max = 1ull << 62),
	STATE(struct saved_clock, real_ns, .min = 0, .max = 1ull << 62),
	STATE(struct saved_clock, a20),
	STATE(struct saved_clock, resets),
};

static const struct state_list clock_state =
	STATE_LIST("clock", struct saved_clock, 1, clock_fields);

static int64_t real_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* ---- processors ---- */

struct saved_cpu {
	struct x86_state s;
	uint64_t guest_tsc; /* instead of s.tsc_offset */
	uint32_t events;
	uint8_t sipi_vector;
	bool unhalted, wait_sipi;
};

#define CPU(m, ...) STATE(struct saved_cpu, m, ##__VA_ARGS__)

static const struct state_field seg_fields[] = {
	STATE(struct x86_seg, base),
	STATE(struct x86_seg, limit),
	STATE(struct x86_seg, sel),
	STATE(struct x86_seg, attr),
};

static const struct state_list seg_state =
	STATE_LIST("segment", struct x86_seg, 1, seg_fields);

static const struct state_field sys_fields[] = {
	STATE(struct x86_state, tsc_adjust),
	STATE(struct x86_state, tsc_aux),
	STATE(struct x86_state, tsc_deadline),
	STATE(struct x86_state, apic_base),
	STATE(struct x86_state, pat),
	STATE(struct x86_state, misc_enable),
	STATE(struct x86_state, debugctl),
	STATE(struct x86_state, spec_ctrl),
	STATE(struct x86_state, xss),
	STATE(struct x86_state, mtrr_def_type),
	STATE_ARRAY(struct x86_state, mtrr_fixed),
	STATE_BYTES(struct x86_state, mtrr_var),
	STATE(struct x86_state, smbase),
	STATE(struct x86_state, mcg_status),
	STATE(struct x86_state, mcg_ctl),
	STATE_BYTES(struct x86_state, mc_bank),
	STATE(struct x86_state, feature_control),
	STATE(struct x86_state, umwait_control),
};

static const struct state_list sys_state =
	STATE_LIST("msrs", struct x86_state, 1, sys_fields);

static const struct state_field cpu_fields[] = {
	STATE_ARRAY(struct saved_cpu, s.gpr),
	CPU(s.rip),
	CPU(s.rflags),
	STATE_STRUCTS(struct saved_cpu, s.seg, &seg_state),
	CPU(s.gdtr.base),
	CPU(s.gdtr.limit),
	CPU(s.idtr.base),
	CPU(s.idtr.limit),
	CPU(s.cr0),
	CPU(s.cr2),
	CPU(s.cr3),
	CPU(s.cr4),
	CPU(s.cr8, .max = 15),
	STATE_ARRAY(struct saved_cpu, s.dr),
	CPU(s.dr6),
	CPU(s.dr7),
	CPU(s.xcr0),
	CPU(s.efer),
	CPU(s.star),
	CPU(s.lstar),
	CPU(s.cstar),
	CPU(s.sfmask),
	CPU(s.kernel_gs_base),
	CPU(s.sysenter_cs),
	CPU(s.sysenter_esp),
	CPU(s.sysenter_eip),
	STATE_STRUCT(struct saved_cpu, s, &sys_state),
	CPU(s.activity, .max = X86_ACT_SHUTDOWN),
	CPU(s.sti_shadow),
	CPU(s.movss_shadow),
	CPU(s.nmi_blocked),
	CPU(s.inject, .max = X86_INJECT_EXCEPTION),
	CPU(s.inject_vector),
	CPU(s.inject_error),
	CPU(s.nmi_pending),
	CPU(s.inject_code),
	STATE_BYTES(struct saved_cpu, s.fpu.fx),
	STATE_BYTES(struct saved_cpu, s.fpu.zmm),
	STATE_ARRAY(struct saved_cpu, s.fpu.k),
	CPU(s.fpu.pkru),
	CPU(guest_tsc),
	CPU(events, .max = KEPT_EVENTS),
	CPU(sipi_vector),
	CPU(unhalted),
	CPU(wait_sipi),
};

static const struct state_list cpu_state =
	STATE_LIST("processor", struct saved_cpu, 1, cpu_fields);

static void cpu_take(struct machine *m, unsigned n, struct saved_cpu *c)
{
	struct vcpu *v = &m->run.vcpu[n];

	memset(c, 0, sizeof(*c));
	runloop_get_state(m, n, &c->s);
	c->guest_tsc = c->s.tsc_offset + bus_clock_tsc(m->bus);
	c->events = atomic_load(&v->bc->events) & KEPT_EVENTS;
	c->sipi_vector = atomic_load(&v->bc->sipi_vector);
	c->unhalted = atomic_load(&v->bc->unhalted);
	c->wait_sipi = v->fresh ? v->fresh->activity == X86_ACT_WAIT_SIPI
				: v->wait_sipi;
}

static void cpu_give(struct machine *m, unsigned n, struct saved_cpu *c)
{
	struct vcpu *v = &m->run.vcpu[n];

	c->s.tsc_offset = c->guest_tsc - bus_clock_tsc(m->bus);
	/* Applied where it runs: there is its thread. */
	if (c->wait_sipi)
		c->s.activity = X86_ACT_WAIT_SIPI;
	runloop_set_state(m, n, &c->s);
	atomic_store(&v->bc->sipi_vector, c->sipi_vector);
	atomic_store(&v->bc->unhalted, c->unhalted);
	if (c->events & KEPT_EVENTS)
		bus_cpu_raise(v->bc, c->events & KEPT_EVENTS);
}

/* ---- saving ---- */

bool state_can(const struct machine *m, GError **err)
{
	g_autofree char *why = NULL;

	if (m->run.irqchip) {
		conf_error_set(err, CONF_ERROR_UNSUPPORTED,
			"the host's kernel has its interrupt controllers",
			"start the machine with --engine kvm,irqchip=user",
			"the machine cannot be saved");
		return false;
	}
	for (unsigned i = 0; i < m->board.ndevs && !why; i++) {
		const struct dev *d = m->board.dev[i];

		if (!d->cls->state)
			why = g_strdup_printf(
				"the device %s (%s) cannot be saved yet", d->id,
				d->cls->name);
	}
	if (why)
		conf_error_set(err, CONF_ERROR_UNSUPPORTED, why,
			"start it without this device",
			"the machine cannot be saved");
	return !why;
}

bool state_save_devices(struct machine *m, state_part_fn *part, void *opaque)
{
	bool ok = true;

	bus_lock(m->bus);
	for (unsigned i = 0; ok && i < m->board.ndevs; i++) {
		struct dev *d = m->board.dev[i];
		g_autofree char *name = g_strdup_printf("device %s", d->id);
		g_autoptr(GByteArray) a = g_byte_array_new();
		char text[160] = "";

		ok = dev_save(d, a, text, sizeof(text)) == 0 &&
		     part(opaque, name, a);
	}
	bus_unlock(m->bus);
	return ok;
}

bool state_save_processors(struct machine *m, state_part_fn *part, void *opaque)
{
	struct saved_clock clock = {.ns = bus_clock_ns(m->bus),
		.real_ns = real_ns(),
		.a20 = bus_a20_mask(m->bus) == ~0ull,
		.resets = m->resets};
	g_autoptr(GByteArray) a = g_byte_array_new();
	struct saved_cpu *c = aligned_alloc(64, sizeof(*c));
	bool ok;

	bus_lock(m->bus);
	state_save(&clock_state, &clock, m->bus, a);
	ok = part(opaque, "clock", a);
	for (unsigned i = 0; ok && i < m->ncpus; i++) {
		char name[32];

		g_snprintf(name, sizeof(name), "processor %u", i);
		g_byte_array_set_size(a, 0);
		cpu_take(m, i, c);
		state_save(&cpu_state, c, m->bus, a);
		ok = part(opaque, name, a);
	}
	bus_unlock(m->bus);
	free(c);
	return ok;
}

void state_drain(struct machine *m)
{
	board_hurry_drives(m, true);
	bus_lock(m->bus);
	/* What one device ends may give another something to do. */
	for (unsigned round = 0; round < 2; round++)
		for (unsigned i = 0; i < m->board.ndevs; i++)
			if (m->board.dev[i]->cls->drain)
				m->board.dev[i]->cls->drain(m->board.dev[i]);
	bus_unlock(m->bus);
	board_hurry_drives(m, false);
}

/* ---- loading ---- */

struct loading {
	struct machine *m;
	const struct save_parts *parts;
	char text[256];
	GError **err;
};

static bool refused(struct loading *l, const char *why)
{
	conf_error_set(l->err, CONF_ERROR_FAILED, why,
		"go on with the same settings that it was saved with",
		"the saved state cannot be used");
	return false;
}

static bool find_part(struct loading *l, const char *name, struct state_in *in)
{
	const GByteArray *a = save_parts_find(l->parts, name);
	g_autofree char *why = NULL;

	l->text[0] = '\0';
	*in = (struct state_in){
		.bus = l->m->bus, .err = l->text, .errsize = sizeof(l->text)};
	if (a) {
		in->p = a->data;
		in->n = a->len;
		return true;
	}
	why = g_strdup_printf("it has no %s", name);
	return refused(l, why);
}

static bool each_device(
	struct loading *l, int (*fn)(struct dev *d, const struct state_in *in))
{
	for (unsigned i = 0; i < l->m->board.ndevs; i++) {
		struct dev *d = l->m->board.dev[i];
		g_autofree char *name = g_strdup_printf("device %s", d->id);
		g_autofree char *why = NULL;
		struct state_in in;

		if (!find_part(l, name, &in))
			return false;
		if (fn(d, &in) == 0)
			continue;
		why = g_strdup_printf("%s: %s", name, l->text);
		return refused(l, why);
	}
	return true;
}

static int check_device(struct dev *d, const struct state_in *in)
{
	return dev_check(d, in);
}

/* All processors, so that none is given a state unless all can be. */
static bool load_processors(struct loading *l, struct saved_cpu *c)
{
	struct machine *m = l->m;

	for (unsigned i = 0; i < m->ncpus; i++) {
		g_autofree char *why = NULL;
		char name[32];
		struct state_in in;

		g_snprintf(name, sizeof(name), "processor %u", i);
		if (!find_part(l, name, &in))
			return false;
		if (state_load(&cpu_state, &c[i], &in) < 0) {
			why = g_strdup_printf("%s: %s", name, l->text);
			return refused(l, why);
		}
	}
	return true;
}

/*
 * The time of day goes on while a machine is saved.  Its clock on the board
 * shows it anyway; a guest's own follows its TSC, which is moved by what is
 * missing (clock.c), unless time shall go on where it stood.
 */
static void clock_go_on(struct machine *m, const struct saved_clock *c)
{
	int64_t gone = real_ns() - c->real_ns;

	m->resets = c->resets;
	bus_set_a20(m->bus, c->a20);
	if (gone > 0 && !m->conf->clock_stands)
		clock_owe(m, (uint64_t)gone);
}

static bool load_locked(struct loading *l, struct saved_cpu *c)
{
	struct machine *m = l->m;
	struct saved_clock clock = {0};
	const char *more;
	struct state_in in;

	if (!find_part(l, "clock", &in))
		return false;
	if (state_load(&clock_state, &clock, &in) < 0)
		return refused(l, l->text);
	bus_clock_move(m->bus, clock.ns, 0);
	if (!load_processors(l, c) || !each_device(l, check_device))
		return false;
	more = save_parts_unused(l->parts);
	if (more) {
		g_autofree char *why = g_strdup_printf(
			"it has a %s, which this machine lacks", more);

		return refused(l, why);
	}
	/* The map first: devices look at memory through it. */
	clock_go_on(m, &clock);
	if (!each_device(l, dev_load))
		return false;
	for (unsigned i = 0; i < m->ncpus; i++)
		cpu_give(m, i, &c[i]);
	genid_renew(m);
	balloon_settle(m);
	return true;
}

bool state_load_parts(
	struct machine *m, const struct save_parts *parts, GError **err)
{
	struct loading l = {.m = m, .parts = parts, .err = err};
	size_t bytes = m->ncpus * sizeof(struct saved_cpu);
	struct saved_cpu *c = aligned_alloc(64, bytes);
	bool ok;

	memset(c, 0, bytes);
	if (!state_can(m, err)) {
		free(c);
		return false;
	}
	bus_lock(m->bus);
	bus_clock_pause(m->bus, true);
	ok = load_locked(&l, c);
	bus_unlock(m->bus);
	free(c);
	return ok;
}
