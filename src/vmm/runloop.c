/*
 * runloop.c - one thread a processor: run, look why it came back, run on.
 *
 * What holds: while run.want is not RUN_GO every processor that is not parked
 * has BUS_EV_STOP set, so it comes back soon and parks.  Only runloop_go clears
 * that event, and runloop_rest while want is RUN_GO.  A processor's state is
 * touched by its own thread only.
 */
#include <string.h>
#include <sys/prctl.h>

#include "cpu/kvm/kvm.h"
#include "vmm/priv.h"

/* ---- exits ---- */

static void vcpu_fail(struct vcpu *v, const char *text)
{
	struct machine *m = v->machine;

	pthread_mutex_lock(&m->failure_lock);
	if (!m->failure[0])
		g_snprintf(m->failure, sizeof(m->failure), "processor %u: %s",
			v->index, text);
	pthread_mutex_unlock(&m->failure_lock);
	runloop_halt_soon(m);
	loop_post(m, REQ_FAILED);
}

static void vcpu_init(struct vcpu *v, struct x86_state *s)
{
	const struct cpu_engine *e = v->machine->engine;

	e->get(v->cpu, s);
	x86_state_reset(s, true, v->index == 0);
	s->gpr[X86_RDX] = x86_cpu_model_signature(&v->machine->model);
	e->set(v->cpu, s);
	v->wait_sipi = s->activity == X86_ACT_WAIT_SIPI;
}

static void vcpu_sipi(struct vcpu *v, struct x86_state *s)
{
	const struct cpu_engine *e = v->machine->engine;

	if (!v->wait_sipi)
		return; /* only a processor that waits for it listens */
	e->get(v->cpu, s);
	x86_state_sipi(s, atomic_load(&v->bc->sipi_vector));
	e->set(v->cpu, s);
	v->wait_sipi = false;
}

static void on_event(struct vcpu *v, const struct cpu_exit *exit)
{
	uint32_t events = atomic_load(&v->bc->events);
	struct x86_state *s;

	if (!(events & (BUS_EV_INIT | BUS_EV_SIPI)))
		return; /* BUS_EV_STOP: vcpu_obey */
	s = g_new0(struct x86_state, 1);
	if (events & BUS_EV_INIT) {
		bus_cpu_clear(v->bc, BUS_EV_INIT);
		vcpu_init(v, s);
	}
	if (events & BUS_EV_SIPI) {
		bus_cpu_clear(v->bc, BUS_EV_SIPI);
		vcpu_sipi(v, s);
	}
	g_free(s);
}

static void on_halt(struct vcpu *v, const struct cpu_exit *exit)
{
	uint32_t mask = BUS_EV_NMI | BUS_EV_INIT | BUS_EV_SIPI | BUS_EV_STOP |
			BUS_EV_ENGINE | BUS_EV_UNHALT;

	bus_cpu_wait(v->bc, exit->masked ? mask : mask | BUS_EV_INTR);
}

static void on_shutdown(struct vcpu *v, const struct cpu_exit *exit)
{
	struct machine *m = v->machine;
	g_autofree struct x86_state *s = g_new0(struct x86_state, 1);

	m->engine->get(v->cpu, s);
	pthread_mutex_lock(&m->failure_lock);
	x86_state_print(s, m->crash, sizeof(m->crash));
	pthread_mutex_unlock(&m->failure_lock);
	runloop_halt_soon(v->machine);
	loop_post(v->machine, REQ_TRIPLE_FAULT);
}

static void on_debug(struct vcpu *v, const struct cpu_exit *exit)
{
	v->stop = exit->debug;
	v->stopped = true;
	runloop_halt_soon(v->machine);
	loop_post(v->machine, REQ_DEBUG);
}

static void on_error(struct vcpu *v, const struct cpu_exit *exit)
{
	vcpu_fail(v, exit->text);
}

static void (*const on_exit_reason[])(
	struct vcpu *v, const struct cpu_exit *exit) = {
	[CPU_EXIT_EVENT] = on_event,
	[CPU_EXIT_HALT] = on_halt,
	[CPU_EXIT_SHUTDOWN] = on_shutdown,
	[CPU_EXIT_DEBUG] = on_debug,
	[CPU_EXIT_DIFF] = on_error,
	[CPU_EXIT_ERROR] = on_error,
};

/* ---- the thread ---- */

static void vcpu_apply(struct vcpu *v)
{
	struct x86_state *s = g_steal_pointer(&v->fresh);

	if (!s)
		return;
	if (v->machine->engine->set(v->cpu, s) < 0)
		vcpu_fail(v, "the engine cannot hold the start state");
	v->wait_sipi =
		!v->machine->run.irqchip && s->activity == X86_ACT_WAIT_SIPI;
	g_free(s);
}

/* Show the state to who asked for it: did somebody? */
static bool vcpu_look(struct vcpu *v)
{
	struct runloop *r = &v->machine->run;

	if (!r->look || v->looked == r->looks)
		return false;
	v->looked = r->looks;
	if (v->fresh)
		r->look[v->index] = *v->fresh;
	else
		v->machine->engine->get(v->cpu, &r->look[v->index]);
	return true;
}

/* Park while asked to.  False: the thread shall end. */
static bool vcpu_obey(struct vcpu *v)
{
	struct runloop *r = &v->machine->run;
	bool quit;

	pthread_mutex_lock(&r->lock);
	while (r->want == RUN_PAUSED ||
		((v->held || v->resting) && r->want == RUN_GO)) {
		/* others that stand here must not wake each other for ever */
		if (vcpu_look(v) | !v->parked) {
			v->parked = true;
			pthread_cond_broadcast(&r->cond);
		}
		pthread_cond_wait(&r->cond, &r->lock);
	}
	v->parked = false;
	quit = r->want == RUN_QUIT;
	pthread_mutex_unlock(&r->lock);
	if (!quit)
		vcpu_apply(v);
	return !quit;
}

static void *vcpu_main(void *opaque)
{
	struct vcpu *v = opaque;
	struct cpu_exit exit;

	prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);
	while (vcpu_obey(v)) {
		memset(&exit, 0, offsetof(struct cpu_exit, text) + 1);
		if (v->wait_sipi) {
			bus_cpu_wait(
				v->bc, BUS_EV_INIT | BUS_EV_SIPI | BUS_EV_STOP);
			exit.reason = CPU_EXIT_EVENT;
		} else {
			v->machine->engine->run(v->cpu, &exit);
		}
		on_exit_reason[exit.reason](v, &exit);
	}
	return NULL;
}

/* ---- control ---- */

static void set_want(struct machine *m, enum run_want want)
{
	struct runloop *r = &m->run;

	pthread_mutex_lock(&r->lock);
	if (r->want != RUN_QUIT)
		r->want = want;
	for (unsigned i = 0; i < r->n; i++) {
		if (want == RUN_GO)
			bus_cpu_clear(r->vcpu[i].bc, BUS_EV_STOP);
		else
			bus_cpu_raise(r->vcpu[i].bc, BUS_EV_STOP);
	}
	pthread_cond_broadcast(&r->cond);
	pthread_mutex_unlock(&r->lock);
}

void runloop_rest(struct machine *m, unsigned n, bool rest)
{
	struct runloop *r = &m->run;
	struct vcpu *v = &r->vcpu[n];

	pthread_mutex_lock(&r->lock);
	if (rest && !v->parked) {
		bus_cpu_raise(v->bc, BUS_EV_STOP);
	} else if (!rest && v->resting) {
		if (r->want == RUN_GO)
			bus_cpu_clear(v->bc, BUS_EV_STOP);
		pthread_cond_broadcast(&r->cond);
	}
	v->resting = rest;
	pthread_mutex_unlock(&r->lock);
}

void runloop_halt_soon(struct machine *m)
{
	set_want(m, RUN_PAUSED);
}

void runloop_go(struct machine *m)
{
	set_want(m, RUN_GO);
}

void runloop_pause(struct machine *m)
{
	struct runloop *r = &m->run;

	set_want(m, RUN_PAUSED);
	pthread_mutex_lock(&r->lock);
	for (unsigned i = 0; i < r->n; i++)
		while (r->vcpu[i].started && !r->vcpu[i].parked)
			pthread_cond_wait(&r->cond, &r->lock);
	pthread_mutex_unlock(&r->lock);
}

bool runloop_hold(struct machine *m, struct x86_state *out)
{
	struct runloop *r = &m->run;
	bool ran;

	pthread_mutex_lock(&r->lock);
	ran = r->want == RUN_GO;
	r->look = out;
	r->looks++;
	pthread_mutex_unlock(&r->lock);
	runloop_pause(m);
	pthread_mutex_lock(&r->lock);
	for (unsigned i = 0; i < r->n; i++)
		while (r->vcpu[i].started && r->vcpu[i].looked != r->looks)
			pthread_cond_wait(&r->cond, &r->lock);
	r->look = NULL;
	pthread_mutex_unlock(&r->lock);
	return ran;
}

void runloop_look(struct machine *m, struct x86_state *out)
{
	if (runloop_hold(m, out))
		machine_go(m);
}

void runloop_set_state(struct machine *m, unsigned n, const struct x86_state *s)
{
	struct vcpu *v = &m->run.vcpu[n];

	if (!v->fresh)
		v->fresh = g_new0(struct x86_state, 1);
	*v->fresh = *s;
}

void runloop_get_state(struct machine *m, unsigned n, struct x86_state *s)
{
	struct vcpu *v = &m->run.vcpu[n];

	if (v->fresh)
		*s = *v->fresh;
	else
		m->engine->get(v->cpu, s);
}

void runloop_shift_tsc(struct machine *m, unsigned n, uint64_t ticks)
{
	struct vcpu *v = &m->run.vcpu[n];
	struct x86_state *s;

	if (v->fresh) {
		v->fresh->tsc_offset -= ticks;
	} else if (m->engine->shift_tsc) {
		m->engine->shift_tsc(v->cpu, ticks);
	} else {
		s = g_new0(struct x86_state, 1);
		m->engine->get(v->cpu, s);
		s->tsc_offset -= ticks;
		m->engine->set(v->cpu, s);
		g_free(s);
	}
}

bool runloop_init(struct machine *m, GError **err)
{
	struct runloop *r = &m->run;
	char text[256] = "";

	pthread_mutex_init(&r->lock, NULL);
	pthread_cond_init(&r->cond, NULL);
	r->want = RUN_PAUSED;
	r->vcpu = g_new0(struct vcpu, m->ncpus);
	for (unsigned i = 0; i < m->ncpus; i++) {
		struct vcpu *v = &r->vcpu[i];

		v->machine = m;
		v->index = i;
		v->bc = bus_cpu_at(m->bus, i);
		if (m->engine->cpu_new(
			    &v->cpu, m->vm, v->bc, text, sizeof(text)) < 0)
			return fw_error(
				err, text, NULL, "cannot make processor %u", i);
		r->n = i + 1;
	}
	r->irqchip = m->engine == &cpu_kvm && cpu_kvm_has_irqchip(m->vm);
	return true;
}

bool runloop_spawn(struct machine *m, GError **err)
{
	for (unsigned i = 0; i < m->run.n; i++) {
		struct vcpu *v = &m->run.vcpu[i];
		int e = pthread_create(&v->thread, NULL, vcpu_main, v);

		if (e)
			return fw_error(err, g_strerror(e), NULL,
				"cannot start a thread for processor %u", i);
		v->started = true;
	}
	return true;
}

void runloop_fini(struct machine *m)
{
	struct runloop *r = &m->run;

	if (!r->vcpu)
		return;
	set_want(m, RUN_QUIT);
	for (unsigned i = 0; i < r->n; i++) {
		struct vcpu *v = &r->vcpu[i];

		if (v->started)
			pthread_join(v->thread, NULL);
		m->engine->cpu_free(v->cpu);
		g_free(v->fresh);
	}
	pthread_cond_destroy(&r->cond);
	pthread_mutex_destroy(&r->lock);
	g_clear_pointer(&r->vcpu, g_free);
}
