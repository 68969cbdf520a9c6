/*
 * stats.c - names of the counters.
 */
#include "cpu/soft/priv.h"

static const char *const names[SOFT_NCOUNTERS] = {
	[SOFT_CNT_TLB_MISS] = "tlb-miss",
	[SOFT_CNT_TLB_FLUSH] = "tlb-flush",
	[SOFT_CNT_MMIO] = "mmio",
	[SOFT_CNT_IO] = "io",
	[SOFT_CNT_MSR] = "msr",
	[SOFT_CNT_CR] = "cr",
	[SOFT_CNT_CPUID] = "cpuid",
	[SOFT_CNT_HLT] = "hlt",
	[SOFT_CNT_INTERRUPT] = "interrupt",
	[SOFT_CNT_EXCEPTION] = "exception",
	[SOFT_CNT_PAGE_FAULT] = "page-fault",
	[SOFT_CNT_TASK_SWITCH] = "task-switch",
};

unsigned soft_stats(struct soft_cpu *c, struct cpu_stat *out, unsigned n)
{
	if (n > 0) {
		out[0].name = "instructions";
		out[0].value = c->insns;
	}
	for (unsigned i = 0; i < SOFT_NCOUNTERS && i + 1 < n; i++) {
		out[i + 1].name = names[i];
		out[i + 1].value = c->counters[i];
	}
	return SOFT_NCOUNTERS + 1;
}
