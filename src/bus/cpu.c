/* cpu.c - processors as devices see them: events, waiting, acknowledgement. */
#include <errno.h>
#include <time.h>

#include <glib.h>

#include "bus/priv.h"

struct bus_cpu *bus_cpu_new(struct bus *b, uint32_t apic_id)
{
	struct bus_cpu *c = g_new0(struct bus_cpu, 1);
	pthread_condattr_t attr;

	g_assert(b->ncpus < BUS_MAX_CPUS);
	c->bus = b;
	c->index = b->ncpus;
	c->apic_id = apic_id;
	pthread_mutex_init(&c->wait_lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&c->wait_cond, &attr);
	pthread_condattr_destroy(&attr);
	b->cpus[b->ncpus++] = c;
	return c;
}

void bus_cpus_fini(struct bus *b)
{
	for (unsigned i = 0; i < b->ncpus; i++) {
		pthread_mutex_destroy(&b->cpus[i]->wait_lock);
		pthread_cond_destroy(&b->cpus[i]->wait_cond);
		g_free(b->cpus[i]);
	}
}

unsigned bus_ncpus(const struct bus *b)
{
	return b->ncpus;
}

struct bus_cpu *bus_cpu_at(const struct bus *b, unsigned index)
{
	return index < b->ncpus ? b->cpus[index] : NULL;
}

/* NMIs are counted up to two, which takes more than one step. */
static uint32_t bus_cpu_raise_nmi(struct bus_cpu *c, uint32_t events)
{
	uint32_t old;

	pthread_mutex_lock(&c->wait_lock);
	old = atomic_fetch_or(&c->events, events);
	if ((old & BUS_EV_NMI) && !atomic_load(&c->nmi_masked))
		c->nmi_again = true;
	pthread_mutex_unlock(&c->wait_lock);
	return old;
}

void bus_cpu_raise(struct bus_cpu *c, uint32_t events)
{
	uint32_t old = events & BUS_EV_NMI
			       ? bus_cpu_raise_nmi(c, events)
			       : atomic_fetch_or(&c->events, events);

	if ((old & events) == events)
		return;
	if (atomic_load(&c->waiting)) {
		pthread_mutex_lock(&c->wait_lock);
		pthread_cond_signal(&c->wait_cond);
		pthread_mutex_unlock(&c->wait_lock);
	}
	if (c->kick)
		c->kick(c->kick_opaque);
}

void bus_cpu_clear(struct bus_cpu *c, uint32_t events)
{
	if (!(events & BUS_EV_NMI)) {
		atomic_fetch_and(&c->events, ~events);
		return;
	}
	pthread_mutex_lock(&c->wait_lock);
	if (c->nmi_again)
		events &= ~(uint32_t)BUS_EV_NMI;
	c->nmi_again = false;
	atomic_fetch_and(&c->events, ~events);
	pthread_mutex_unlock(&c->wait_lock);
}

/* Wait for a signal or the earliest timer; true: the timer is due.  Only one
 * processor waits for timers, or each deadline would wake them all; when none
 * does, the control loop is there. */
static bool bus_cpu_doze(struct bus_cpu *c)
{
	uint64_t due = atomic_load(&c->bus->due_ns);
	struct timespec at = {due / 1000000000u, due % 1000000000u};
	struct bus_cpu *none = NULL;
	bool late;

	if (!due || !atomic_compare_exchange_strong(&c->bus->dozer, &none, c)) {
		pthread_cond_wait(&c->wait_cond, &c->wait_lock);
		return false;
	}
	late = pthread_cond_timedwait(&c->wait_cond, &c->wait_lock, &at) ==
	       ETIMEDOUT;
	atomic_store(&c->bus->dozer, NULL);
	return late;
}

/* What a sleeping processor mostly waits for is a timer, so it looks after the
 * timers itself rather than be woken by the control loop. */
void bus_cpu_wait(struct bus_cpu *c, uint32_t mask)
{
	if (atomic_load(&c->events) & mask)
		return;
	pthread_mutex_lock(&c->wait_lock);
	atomic_store(&c->waiting, true);
	while (!(atomic_load(&c->events) & mask)) {
		if (!bus_cpu_doze(c))
			continue;
		pthread_mutex_unlock(&c->wait_lock);
		bus_timers_run(c->bus);
		pthread_mutex_lock(&c->wait_lock);
	}
	atomic_store(&c->waiting, false);
	pthread_mutex_unlock(&c->wait_lock);
}

int bus_cpu_ack_interrupt(struct bus_cpu *c)
{
	int vector = -1;

	bus_lock(c->bus);
	if (c->intc && (atomic_load(&c->events) & BUS_EV_INTR))
		vector = c->intc->ack(c->intc_opaque);
	bus_unlock(c->bus);
	return vector;
}

bool bus_cpu_rdmsr(struct bus_cpu *c, uint32_t msr, uint64_t *val)
{
	bool ok = false;

	bus_lock(c->bus);
	if (c->intc)
		ok = c->intc->rdmsr(c->intc_opaque, msr, val);
	bus_unlock(c->bus);
	return ok;
}

bool bus_cpu_wrmsr(struct bus_cpu *c, uint32_t msr, uint64_t val)
{
	bool ok = false;

	bus_lock(c->bus);
	if (c->intc)
		ok = c->intc->wrmsr(c->intc_opaque, msr, val);
	bus_unlock(c->bus);
	return ok;
}

#define KVM_ENOSYS 1000

int64_t bus_cpu_hypercall(
	struct bus_cpu *c, uint64_t nr, const uint64_t arg[4], bool wide)
{
	int64_t ret = -KVM_ENOSYS;

	bus_lock(c->bus);
	if (c->intc)
		ret = c->intc->hypercall(c->intc_opaque, nr, arg, wide);
	bus_unlock(c->bus);
	return ret;
}

void bus_cpu_tsc_moved(struct bus_cpu *c, uint64_t tsc_offset)
{
	bus_lock(c->bus);
	if (c->tsc_offset != tsc_offset) {
		c->tsc_offset = tsc_offset;
		if (c->intc)
			c->intc->tsc_moved(c->intc_opaque);
	}
	bus_unlock(c->bus);
}

void bus_cpu_stood_still(struct bus_cpu *c, uint64_t ticks)
{
	c->tsc_offset -= ticks;
	if (c->intc && c->intc->stood_still)
		c->intc->stood_still(c->intc_opaque, ticks);
}

uint8_t bus_cpu_get_tpr(struct bus_cpu *c)
{
	uint8_t tpr = 0;

	bus_lock(c->bus);
	if (c->intc)
		tpr = c->intc->get_tpr(c->intc_opaque);
	bus_unlock(c->bus);
	return tpr;
}

void bus_cpu_set_tpr(struct bus_cpu *c, uint8_t cr8)
{
	bus_lock(c->bus);
	if (c->intc)
		c->intc->set_tpr(c->intc_opaque, cr8);
	bus_unlock(c->bus);
}
