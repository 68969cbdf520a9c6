/*
 * stats.c - names of the counters.
 *
 * Each is written by its processor's thread alone and read by any.
 */
#include "cpu/soft/priv.h"

static const struct {
	const char *group, *name;
} names[SOFT_NCOUNTERS] = {
	[SOFT_CNT_TLB_READ] = {"tlb", "miss-read"},
	[SOFT_CNT_TLB_WRITE] = {"tlb", "miss-write"},
	[SOFT_CNT_TLB_EXEC] = {"tlb", "miss-exec"},
	[SOFT_CNT_TLB_FLUSH] = {"tlb", "flush"},
	[SOFT_CNT_TLB_FLUSH_PAGE] = {"tlb", "flush-page"},
	[SOFT_CNT_MMIO] = {"exit", "mmio"},
	[SOFT_CNT_IO_IN] = {"exit", "io-in"},
	[SOFT_CNT_IO_OUT] = {"exit", "io-out"},
	[SOFT_CNT_RDMSR] = {"exit", "rdmsr"},
	[SOFT_CNT_WRMSR] = {"exit", "wrmsr"},
	[SOFT_CNT_CR] = {"exit", "cr"},
	[SOFT_CNT_CPUID] = {"exit", "cpuid"},
	[SOFT_CNT_HLT] = {"exit", "hlt"},
	[SOFT_CNT_INTERRUPT] = {"exit", "interrupt"},
	[SOFT_CNT_NMI] = {"exit", "nmi"},
	[SOFT_CNT_TASK_SWITCH] = {"exit", "task-switch"},
};

static const char *const vectors[32] = {"DE", "DB", "2", "BP", "OF", "BR", "UD",
	"NM", "DF", "9", "TS", "NP", "SS", "GP", "PF", "15", "MF", "AC", "MC",
	"XM", "VE", "CP", "22", "23", "24", "25", "26", "27", "28", "29", "SX",
	"31"};

static uint64_t soft_count(const uint64_t *counter)
{
	return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

void soft_stats(const struct soft_cpu *c, struct cpu_stats *out)
{
	uint64_t v;

	cpu_stats_add(out, "exit", "interpreted", soft_count(&c->insns));
	for (unsigned i = 0; i < SOFT_NCOUNTERS; i++)
		cpu_stats_add(out, names[i].group, names[i].name,
			soft_count(&c->counters[i]));
	for (unsigned i = 0; i < 32; i++) {
		v = soft_count(&c->exceptions[i]);
		if (v)
			cpu_stats_add(out, "exception", vectors[i], v);
	}
	for (unsigned i = 0; i < X86_NOPS; i++) {
		v = soft_count(&c->ops[i]);
		if (v)
			cpu_stats_add(out, "interpreted", x86_op_name(i), v);
	}
}
