/*
 * lock.c - the bus lock: LOCKed accesses that the host cannot make as one.
 *
 * Inside one page of RAM an access is the host's own, LOCKed as the guest's,
 * in whatever thread or translated code.  One that spans pages, which may lie
 * anywhere in the host, is made while no other processor runs (SDM vol. 3,
 * 9.1.2: "while this output signal is asserted, requests from other processors
 * or bus agents for control of the bus are blocked").
 *
 * Who waits is outside, so that no two wait for each other.
 */
#include <sched.h>

#include "cpu/soft/soft.h"

void soft_come_in(struct soft_cpu *c)
{
	struct soft_vm *vm = c->vm;

	for (;;) {
		atomic_store(&c->inside, true);
		if (!atomic_load(&vm->alone))
			return;
		soft_go_out(c);
		pthread_mutex_lock(&vm->bus_lock);
		pthread_mutex_unlock(&vm->bus_lock);
	}
}

void soft_lock_bus(struct soft_cpu *c, bool alone)
{
	struct soft_vm *vm = c->vm;

	soft_go_out(c);
	pthread_mutex_lock(&vm->bus_lock);
	atomic_store(&vm->alone, alone);
	for (unsigned i = 0; alone && i < vm->ncpus; i++) {
		struct soft_cpu *o = vm->cpus[i];

		while (o && atomic_load(&o->inside)) {
			bus_cpu_raise(o->bc, BUS_EV_HOLD);
			sched_yield();
		}
	}
	atomic_store(&c->inside, true);
}

void soft_unlock_bus(struct soft_cpu *c)
{
	atomic_store(&c->vm->alone, false);
	pthread_mutex_unlock(&c->vm->bus_lock);
}
