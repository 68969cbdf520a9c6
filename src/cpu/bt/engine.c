/*
 * engine.c - the translator as a struct cpu_engine.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "cpu/bt/priv.h"

/* About a millisecond. */
#define BT_PROBE_LOOPS 1000000u

static void bt_probe(struct cpu_probe *out)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	memset(out, 0, sizeof(*out));
	interp_features(out->can);
	if (p == MAP_FAILED) {
		out->usable = false;
		snprintf(out->why, sizeof(out->why),
			"the host forbids memory that is writable and "
			"executable");
		snprintf(out->fix, sizeof(out->fix),
			"allow it (SELinux execmem), or use --engine interp");
		return;
	}
	munmap(p, 4096);
	out->usable = true;
	out->mips = soft_measure(&cpu_bt, BT_PROBE_LOOPS);
	snprintf(out->why, sizeof(out->why),
		"binary translation (%.0f million instructions/s)", out->mips);
}

static int bt_vm_new(struct cpu_vm **out, struct bus *bus,
	const struct cpu_vm_conf *conf, char *err, unsigned errsize)
{
	struct cpu_vm *vm = calloc(1, sizeof(*vm));
	int ret;

	if (!vm)
		return -ENOMEM;
	soft_vm_init(&vm->soft, bus, conf->model);
	vm->soft.code_written = bt_smc_written;
	pthread_mutex_init(&vm->lock, NULL);
	vm->bmi2 = x86_host_has(X86_FEAT_BMI2);
	vm->avx = x86_host_has(X86_FEAT_AVX);
	vm->avx512 = x86_host_has(X86_FEAT_AVX512F) &&
		     x86_host_has(X86_FEAT_AVX512BW);
	vm->xsave = x86_host_has(X86_FEAT_XSAVE);
	vm->start_tsc = bt_tsc();
	vm->start_ns = bus_host_ns();
	vm->x87_kept = bt_x87_probe();
	bt_perf_init(vm);
	vm->tr = bt_tr_new();
	ret = vm->tr ? bt_cache_init(vm, conf->code_cache_bytes) : -ENOMEM;
	if (ret < 0) {
		snprintf(err, errsize, "no memory for translated code: %s",
			strerror(-ret));
		bt_tr_free(vm->tr);
		soft_vm_fini(&vm->soft);
		free(vm);
		return ret;
	}
	*out = vm;
	return 0;
}

static void bt_vm_free(struct cpu_vm *vm)
{
	if (!vm)
		return;
	soft_vm_fini(&vm->soft);
	bt_cache_reset(vm); /* no page is watched any more */
	bt_cache_fini(vm);
	bt_perf_fini(vm);
	bt_tr_free(vm->tr);
	pthread_mutex_destroy(&vm->lock);
	free(vm);
}

static int bt_cpu_new(struct cpu **out, struct cpu_vm *vm, struct bus_cpu *bc,
	char *err, unsigned errsize)
{
	struct cpu *cpu = calloc(1, sizeof(*cpu));
	struct bt_area *a;

	if (cpu)
		cpu->c = soft_cpu_alloc(&vm->soft, bc);
	if (!cpu || !cpu->c) {
		free(cpu);
		snprintf(err, errsize, "no memory for a processor");
		return -ENOMEM;
	}
	cpu->vm = vm;
	a = bt_area(cpu->c);
	bt_near(cpu->c)->jc_mask = BT_JC_MASK;
	a->host_mxcsr = 0x1f80;
	for (unsigned m = 0; m < SOFT_NMODES; m++) {
		a->jc[m][0].host = vm->jc_miss;
		bt_stack(cpu->c, m, false)->tag = BT_SLOT_EMPTY;
		bt_stack(cpu->c, m, true)->tag = BT_SLOT_EMPTY;
	}
	bt_slots_init(cpu->c);
	cpu->epoch = vm->epoch;
	cpu->c->engine = cpu;
	bc->kick_opaque = cpu;
	bc->kick = bt_kick;
	*out = cpu;
	return 0;
}

static void bt_cpu_free(struct cpu *cpu)
{
	if (!cpu)
		return;
	if (cpu->c->bc->kick_opaque == cpu)
		cpu->c->bc->kick = NULL;
	interp_cpu_fini(cpu->c);
	soft_cpu_free(cpu->c);
	free(cpu);
}

static void bt_get_state(struct cpu *cpu, struct x86_state *s)
{
	soft_get_state(cpu->c, s);
}

static int bt_set_state(struct cpu *cpu, const struct x86_state *s)
{
	return soft_set_state(cpu->c, s);
}

static void bt_shift_tsc(struct cpu *cpu, uint64_t ticks)
{
	cpu->c->st.tsc_offset -= ticks;
}

/* With instructions in it everything is interpreted. */
static void bt_set_trace(struct cpu *cpu, struct cpu_trace *t)
{
	soft_set_trace(cpu->c, t);
}

/* Code made under other breakpoints is thrown away; a debugger that takes its
 * breakpoints out for a step and puts them back changes nothing. */
static int bt_set_debug(struct cpu *cpu, const struct cpu_debug *d)
{
	struct cpu_vm *vm = cpu->vm;
	uint64_t stops[sizeof(vm->stops) / 8] = {0};

	soft_set_debug(cpu->c, d);
	if (d && d->step)
		return 0;
	for (unsigned i = 0; d && i < d->nbrk; i++) {
		unsigned off = d->brk[i].addr & (BUS_PAGE_SIZE - 1);

		if (d->brk[i].kind == CPU_BREAK_EXEC)
			stops[off >> 6] |= 1ull << (off & 63);
	}
	pthread_mutex_lock(&vm->lock);
	if (memcmp(stops, vm->stops, sizeof(stops))) {
		memcpy(vm->stops, stops, sizeof(stops));
		vm->reset_wanted = true;
		atomic_store(&vm->flush_wanted, true);
	}
	pthread_mutex_unlock(&vm->lock);
	return 0;
}

/* ---- counters ---- */

static const struct {
	const char *group, *name;
} bt_names[BT_NCOUNTERS] = {
	[BT_CNT_MISS] = {"code", "access-slow"},
	[BT_CNT_EMULATED] = {"code", "access-emulated"},
	[BT_CNT_STEP] = {"code", "stepped"},
	[BT_CNT_LINK] = {"code", "link"},
	[BT_CNT_JC_MISS] = {"code", "jump-cache-miss"},
	[BT_CNT_POLL] = {"code", "poll"},
	[BT_CNT_SYS] = {"code", "system"},
	[BT_CNT_JC_FLUSH] = {"code", "jump-cache-flush"},
};

static const char *const bt_vm_names[BT_NVMCOUNTERS] = {
	[BT_VMC_BLOCKS] = "blocks",
	[BT_VMC_INSNS] = "instructions",
	[BT_VMC_BYTES] = "bytes-made",
	[BT_VMC_TICKS] = "translation-ns",
	[BT_VMC_INVALS] = "invalidated",
	[BT_VMC_CHECKED] = "checked-blocks",
	[BT_VMC_STREAMS] = "streaming-blocks",
	[BT_VMC_RETIRED] = "retired-pages",
	[BT_VMC_EVICTED] = "bytes-evicted",
	[BT_VMC_FLUSHES] = "flushes",
};

static uint64_t bt_count(const uint64_t *counter)
{
	return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

static void bt_stats(struct cpu *cpu, struct cpu_stats *out)
{
	soft_stats(cpu->c, out);
	for (unsigned i = 0; i < BT_NCOUNTERS; i++)
		cpu_stats_add(out, bt_names[i].group, bt_names[i].name,
			bt_count(&cpu->counters[i]));
}

static uint64_t bt_ticks_to_ns(const struct cpu_vm *vm, uint64_t ticks)
{
	uint64_t all = bt_tsc() - vm->start_tsc;

	return all ? (double)ticks * (bus_host_ns() - vm->start_ns) / all : 0;
}

static void bt_vm_stats(struct cpu_vm *vm, struct cpu_stats *out)
{
	for (unsigned i = 0; i < BT_NVMCOUNTERS; i++) {
		uint64_t v = bt_count(&vm->counters[i]);

		cpu_stats_add(out, "cache", bt_vm_names[i],
			i == BT_VMC_TICKS ? bt_ticks_to_ns(vm, v) : v);
	}
	cpu_stats_add(out, "cache", "bytes-used", bt_cache_used(vm));
	cpu_stats_add(out, "cache", "bytes-bound", bt_cache_bound(vm));
}

static enum cpu_where bt_where(struct cpu *cpu)
{
	if (!cpu->c->inside)
		return CPU_OUTSIDE;
	return atomic_load(&bt_near(cpu->c)->in_code) == BT_IN_CODE
		       ? CPU_IN_GUEST
		       : CPU_IN_ENGINE;
}

static int bt_dirty(struct cpu_vm *vm, enum cpu_dirty what)
{
	soft_vm_dirty(&vm->soft);
	return 0;
}

const struct cpu_engine cpu_bt = {
	.name = "bt",
	.probe = bt_probe,
	.vm_new = bt_vm_new,
	.vm_free = bt_vm_free,
	.cpu_new = bt_cpu_new,
	.cpu_free = bt_cpu_free,
	.run = bt_run,
	.get = bt_get_state,
	.set = bt_set_state,
	.dirty = bt_dirty,
	.shift_tsc = bt_shift_tsc,
	.max_breaks = CPU_MAX_BREAKS,
	.set_trace = bt_set_trace,
	.set_debug = bt_set_debug,
	.stats = bt_stats,
	.vm_stats = bt_vm_stats,
	.where = bt_where,
};
