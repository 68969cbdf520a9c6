/*
 * dispatch.c - the run loop.
 *
 * Code returns here for events, for states that only the interpreter carries
 * out, and when the cache is full.  Exceptions raised in C below code unwind
 * to the setjmp here; st is complete then.
 */
#include <sched.h>
#include <string.h>

#include "cpu/bt/priv.h"

void bt_kick(void *opaque)
{
	struct cpu *cpu = opaque;
	struct bt_near *near = bt_near(cpu->c);

	atomic_store(&near->jc_mask, 0);
	atomic_store(&near->poll, 1);
}

/* ---- an empty cache ---- */

static bool bt_others_out(struct cpu_vm *vm, struct soft_cpu *c)
{
	bool out = true;

	for (unsigned i = 0; i < vm->soft.ncpus; i++) {
		struct soft_cpu *o = vm->soft.cpus[i];

		if (!o || o == c || !o->engine ||
			atomic_load(&bt_near(o)->in_code) == BT_OUT)
			continue;
		bt_kick(o->engine);
		out = false;
	}
	return out;
}

/* This processor is OUT. */
static void bt_flush_world(struct cpu *cpu)
{
	struct cpu_vm *vm = cpu->vm;

	pthread_mutex_lock(&vm->lock);
	while (atomic_load(&vm->flush_wanted)) {
		if (bt_others_out(vm, cpu->c)) {
			if (vm->reset_wanted)
				bt_cache_reset(vm);
			else
				bt_cache_advance(vm);
			vm->reset_wanted = false;
			vm->counters[BT_VMC_FLUSHES]++;
			atomic_store(&vm->flush_wanted, false);
			break;
		}
		pthread_mutex_unlock(&vm->lock);
		sched_yield();
		pthread_mutex_lock(&vm->lock);
	}
	pthread_mutex_unlock(&vm->lock);
}

/* From OUT to IN_C, from where blocks may be held. */
static void bt_come_in(struct cpu *cpu)
{
	struct bt_near *near = bt_near(cpu->c);
	uint32_t epoch;

	for (;;) {
		atomic_store(&near->in_code, BT_IN_C);
		if (!atomic_load(&cpu->vm->flush_wanted))
			break;
		atomic_store(&near->in_code, BT_OUT);
		/* who has the bus may have to get out of the code first */
		soft_go_out(cpu->c);
		bt_flush_world(cpu);
		soft_come_in(cpu->c);
	}
	atomic_store(&cpu->grace, atomic_load(&cpu->vm->grace));
	epoch = atomic_load(&cpu->vm->epoch);
	if (cpu->epoch != epoch) {
		cpu->epoch = epoch;
		for (unsigned m = 0; m < SOFT_NMODES; m++)
			bt_jc_flush(cpu->c, m);
		/* They bypass the hash, which was emptied. */
		memset(cpu->jc_hint, 0, sizeof(cpu->jc_hint));
	}
	bt_sync(cpu->c);
}

/* ---- running ---- */

/* Code from the current state, or one instruction by the interpreter. */
static void bt_go_in(struct cpu *cpu)
{
	struct soft_cpu *c = cpu->c;
	struct bt_area *a = bt_area(c);
	struct bt_near *near = bt_near(c);
	struct bt_block *b;

	bt_come_in(cpu);
	bt_drop_rf(c);
	b = bt_block_get(c);
	if (b) {
		bt_jc_use(c, b->key);
		bt_flags_from_st(c);
		a->t0 = c->st.rip;
		cpu->vm->enter(c, b->far_entry);
	} else if (!atomic_load(&cpu->vm->flush_wanted)) {
		cpu->counters[BT_CNT_STEP]++;
		bt_step(c);
		cpu->done++;
	}
	atomic_store(&near->in_code, BT_OUT);
}

/* True: return to the run loop. */
static bool bt_events(struct cpu *cpu, struct cpu_exit *exit)
{
	struct soft_cpu *c = cpu->c;
	struct bt_near *near = bt_near(c);
	bool shadow;

	atomic_store(&near->poll, 0);
	atomic_store(&near->jc_mask, BT_JC_MASK);
	while (soft_attention(c) | c->debug) {
		shadow = c->st.sti_shadow | c->st.movss_shadow;
		if (soft_poll(c, exit))
			return true;
		if (!shadow)
			break;
		/* what was held comes right after this instruction */
		bt_step(c);
	}
	return false;
}

void bt_run(struct cpu *cpu, struct cpu_exit *exit)
{
	struct soft_cpu *volatile c = cpu->c;
	struct cpu *volatile self = cpu;
	struct cpu_exit *volatile out = exit;

	if (__builtin_setjmp(c->jmp)) {
		atomic_store(&bt_near(c)->in_code, BT_OUT);
		soft_deliver_fault(c);
	}
	soft_come_in(c);
	while (!bt_events(self, out))
		bt_go_in(self);
	soft_go_out(c);
	if (out->reason == CPU_EXIT_HALT)
		bt_cache_idle(self);
}

/* ---- one block at a time ---- */

struct soft_cpu *bt_soft(struct cpu *cpu)
{
	return cpu->c;
}

void bt_set_stepping(struct soft_cpu *c, bool on)
{
	bt_cpu(c)->stepping = on;
}

static unsigned bt_count(struct soft_cpu *c)
{
	struct bt_block *b;

	bt_come_in(bt_cpu(c));
	bt_drop_rf(c);
	b = bt_block_get(c);
	if (!b && atomic_load(&bt_vm(c)->flush_wanted)) {
		atomic_store(&bt_near(c)->in_code, BT_OUT);
		bt_come_in(bt_cpu(c));
		b = bt_block_get(c);
	}
	return b ? b->ninsns : 1;
}

unsigned bt_block_insns(struct soft_cpu *cpu)
{
	struct soft_cpu *volatile c = cpu;
	volatile unsigned n = 1;

	if (!__builtin_setjmp(c->jmp))
		n = bt_count(c);
	atomic_store(&bt_near(c)->in_code, BT_OUT);
	return n;
}

bool bt_step_block(struct soft_cpu *cpu, bool one, unsigned *n_insns,
	struct cpu_exit *exit)
{
	struct soft_cpu *volatile c = cpu;
	unsigned *volatile n = n_insns;
	struct cpu_exit *volatile out = exit;

	bt_cpu(c)->done = 0;
	if (__builtin_setjmp(c->jmp)) {
		atomic_store(&bt_near(c)->in_code, BT_OUT);
		*n = bt_cpu(c)->done + 1;
		soft_deliver_fault(c);
	} else if (one) {
		bt_step(c);
		*n = 1;
	} else {
		bt_go_in(bt_cpu(c));
		*n = bt_cpu(c)->done;
	}
	if (c->st.activity != X86_ACT_SHUTDOWN)
		return false;
	out->reason = CPU_EXIT_SHUTDOWN;
	out->text[0] = 0;
	return true;
}
