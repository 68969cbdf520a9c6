/*
 * engine.c - the translator as a struct cpu_engine.
 */
#include <errno.h>
#include <linux/membarrier.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

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
	syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0,
		0);
	*out = vm;
	return 0;
}

static void bt_vm_free(struct cpu_vm *vm)
{
	if (!vm)
		return;
	bt_cache_fini(vm);
	bt_tr_free(vm->tr);
	pthread_mutex_destroy(&vm->lock);
	soft_vm_fini(&vm->soft);
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
	a->jc_mask = BT_JC_MASK;
	a->host_mxcsr = 0x1f80;
	for (unsigned m = 0; m < SOFT_NMODES; m++) {
		a->jc[m][0].host = vm->jc_miss;
		a->stack[m][0].tag = BT_SLOT_EMPTY;
		a->stack[m][1].tag = BT_SLOT_EMPTY;
	}
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

/* ---- counters ---- */

static const char *const bt_names[BT_NCOUNTERS] = {
	[BT_CNT_MISS] = "bt-tlb-miss",
	[BT_CNT_EMULATED] = "bt-access-emulated",
	[BT_CNT_INTERP] = "bt-insn-interpreted",
	[BT_CNT_STEP] = "bt-insn-stepped",
	[BT_CNT_LINK] = "bt-link",
	[BT_CNT_JC_MISS] = "bt-jump-cache-miss",
	[BT_CNT_POLL] = "bt-poll",
	[BT_CNT_SYS] = "bt-system",
	[BT_CNT_JC_FLUSH] = "bt-jump-cache-flush",
};

static unsigned bt_stat(struct cpu_stat *out, unsigned n, unsigned at,
	const char *name, uint64_t value)
{
	if (at < n)
		out[at] = (struct cpu_stat){name, value};
	return at + 1;
}

static unsigned bt_stats(struct cpu *cpu, struct cpu_stat *out, unsigned n)
{
	struct cpu_vm *vm = cpu->vm;
	unsigned at = soft_stats(cpu->c, out, n);

	for (unsigned i = 0; i < BT_NCOUNTERS; i++)
		at = bt_stat(out, n, at, bt_names[i], cpu->counters[i]);
	at = bt_stat(out, n, at, "bt-blocks", vm->n_blocks);
	at = bt_stat(out, n, at, "bt-translated-insns", vm->n_insns);
	at = bt_stat(out, n, at, "bt-code-bytes", vm->n_bytes);
	at = bt_stat(out, n, at, "bt-invalidated", vm->n_invals);
	at = bt_stat(out, n, at, "bt-cache-flushes", vm->n_flushes);
	for (unsigned i = 0; i < X86_NOPS; i++)
		if (cpu->interp_ops[i])
			at = bt_stat(
				out, n, at, x86_op_name(i), cpu->interp_ops[i]);
	return at;
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
	.stats = bt_stats,
};
