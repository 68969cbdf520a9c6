/*
 * engine.c - the interpreter as an execution engine.
 */
#include <glib.h>

#include "cpu/interp/priv.h"

struct cpu_vm {
	struct soft_vm soft;
};

struct cpu {
	struct soft_cpu *soft;
};

/* ---- what it can do ---- */

/* Features that need nothing of the host. */
static const uint16_t engine_own[] = {
	X86_FEAT_ARCH_CAPABILITIES,
	X86_FEAT_SPEC_CTRL,
	X86_FEAT_CX16,
	X86_FEAT_PCID,
	X86_FEAT_X2APIC,
	X86_FEAT_MOVBE,
	X86_FEAT_TSC_DEADLINE,
	X86_FEAT_XSAVE,
	X86_FEAT_OSXSAVE,
	X86_FEAT_RDRAND,
	X86_FEAT_HYPERVISOR,
	X86_FEAT_KVM_CLOCK_OLD,
	X86_FEAT_KVM_NOP_IO_DELAY,
	X86_FEAT_KVM_CLOCK,
	X86_FEAT_KVM_PV_EOI,
	X86_FEAT_KVM_PV_UNHALT,
	X86_FEAT_KVM_PV_SEND_IPI,
	X86_FEAT_KVM_POLL_CONTROL,
	X86_FEAT_KVM_SCHED_YIELD,
	X86_FEAT_KVM_CLOCK_STABLE,
	X86_FEAT_FPU,
	X86_FEAT_VME,
	X86_FEAT_DE,
	X86_FEAT_PSE,
	X86_FEAT_TSC,
	X86_FEAT_MSR,
	X86_FEAT_PAE,
	X86_FEAT_MCE,
	X86_FEAT_CX8,
	X86_FEAT_APIC,
	X86_FEAT_SEP,
	X86_FEAT_MTRR,
	X86_FEAT_PGE,
	X86_FEAT_MCA,
	X86_FEAT_CMOV,
	X86_FEAT_PAT,
	X86_FEAT_PSE36,
	X86_FEAT_CLFSH,
	X86_FEAT_FXSR,
	X86_FEAT_HTT,
	X86_FEAT_ARAT,
	X86_FEAT_FSGSBASE,
	X86_FEAT_TSC_ADJUST,
	X86_FEAT_SMEP,
	X86_FEAT_ERMS,
	X86_FEAT_INVPCID,
	X86_FEAT_ZERO_FCS_FDS,
	X86_FEAT_RDSEED,
	X86_FEAT_ADX,
	X86_FEAT_SMAP,
	X86_FEAT_CLFLUSHOPT,
	X86_FEAT_CLWB,
	X86_FEAT_UMIP,
	X86_FEAT_RDPID,
	X86_FEAT_CLDEMOTE,
	X86_FEAT_MOVDIRI,
	X86_FEAT_MOVDIR64B,
	X86_FEAT_FSRM,
	X86_FEAT_SERIALIZE,
	X86_FEAT_XSAVEOPT,
	X86_FEAT_XSAVEC,
	X86_FEAT_XGETBV1,
	X86_FEAT_XSAVES,
	X86_FEAT_LAHF64,
	X86_FEAT_CMP_LEGACY,
	X86_FEAT_PREFETCHW,
	X86_FEAT_PREFETCHWT1,
	X86_FEAT_TOPOEXT,
	X86_FEAT_SYSCALL,
	X86_FEAT_NX,
	X86_FEAT_PDPE1GB,
	X86_FEAT_RDTSCP,
	X86_FEAT_LM,
	X86_FEAT_INVTSC,
	X86_FEAT_CLZERO,
	X86_FEAT_WBNOINVD,
	X86_FEAT_CR8_LEGACY,
	X86_FEAT_FSRS,
	X86_FEAT_FSRC,
	X86_FEAT_FZRM,
	X86_FEAT_FXSR_OPT,
	X86_FEAT_EXTAPIC,
};

/* Instructions that the host carries out: given if the host has them. */
static const uint16_t engine_host[] = {
	X86_FEAT_MMX,
	X86_FEAT_SSE,
	X86_FEAT_SSE2,
	X86_FEAT_SSE3,
	X86_FEAT_SSSE3,
	X86_FEAT_SSE4_1,
	X86_FEAT_SSE4_2,
	X86_FEAT_SSE4A,
	X86_FEAT_MISALIGNSSE,
	X86_FEAT_MMXEXT,
	X86_FEAT_POPCNT,
	X86_FEAT_AES,
	X86_FEAT_PCLMULQDQ,
	X86_FEAT_AVX,
	X86_FEAT_F16C,
	X86_FEAT_FMA,
	X86_FEAT_BMI1,
	X86_FEAT_BMI2,
	X86_FEAT_LZCNT,
	X86_FEAT_AVX2,
	X86_FEAT_SHA,
	X86_FEAT_GFNI,
	X86_FEAT_VAES,
	X86_FEAT_VPCLMULQDQ,
	X86_FEAT_FDP_EXCPTN,
	X86_FEAT_AVX512F,
	X86_FEAT_AVX512DQ,
	X86_FEAT_AVX512IFMA,
	X86_FEAT_AVX512CD,
	X86_FEAT_AVX512BW,
	X86_FEAT_AVX512VL,
	X86_FEAT_AVX512_VBMI,
	X86_FEAT_AVX512_VBMI2,
	X86_FEAT_AVX512_VNNI,
	X86_FEAT_AVX512_BITALG,
	X86_FEAT_AVX512_VPOPCNTDQ,
	X86_FEAT_AVX512_VP2INTERSECT,
	X86_FEAT_AVX512_FP16,
	X86_FEAT_AVX512_BF16,
	X86_FEAT_AVX_VNNI,
	X86_FEAT_SHA512,
	X86_FEAT_SM3,
	X86_FEAT_SM4,
	X86_FEAT_AVX_IFMA,
	X86_FEAT_AVX_VNNI_INT8,
	X86_FEAT_AVX_VNNI_INT16,
	X86_FEAT_AVX_NE_CONVERT,
};

void interp_features(bool can[X86_NFEATURES])
{
	memset(can, 0, X86_NFEATURES * sizeof(can[0]));
	for (unsigned i = 0; i < G_N_ELEMENTS(engine_own); i++)
		can[engine_own[i]] = true;
	for (unsigned i = 0; i < G_N_ELEMENTS(engine_host); i++)
		can[engine_host[i]] = x86_host_has(engine_host[i]);
}

/* ---- probe ---- */

/* About a millisecond. */
#define ENGINE_PROBE_LOOPS 40000u

static void engine_probe(struct cpu_probe *out)
{
	memset(out, 0, sizeof(*out));
	out->usable = true;
	interp_features(out->can);
	out->mips = soft_measure(&cpu_interp, ENGINE_PROBE_LOOPS);
	g_strlcpy(out->why, "exact reference interpreter, always there",
		sizeof(out->why));
}

/* ---- life ---- */

static int engine_vm_new(struct cpu_vm **out, struct bus *bus,
	const struct cpu_vm_conf *conf, char *err, unsigned errsize)
{
	struct cpu_vm *vm = g_new0(struct cpu_vm, 1);

	bus_lock(bus);
	soft_vm_init(&vm->soft, bus, conf->model);
	bus_unlock(bus);
	*out = vm;
	return 0;
}

static void engine_vm_free(struct cpu_vm *vm)
{
	bus_lock(vm->soft.bus);
	soft_vm_fini(&vm->soft);
	bus_unlock(vm->soft.bus);
	g_free(vm);
}

static int engine_cpu_new(struct cpu **out, struct cpu_vm *vm,
	struct bus_cpu *bc, char *err, unsigned errsize)
{
	struct cpu *cpu = g_new0(struct cpu, 1);
	int e;

	cpu->soft = soft_cpu_alloc(&vm->soft, bc);
	if (!cpu->soft) {
		e = -errno;
		g_snprintf(err, errsize, "cannot make a processor: %s",
			g_strerror(-e));
		g_free(cpu);
		return e;
	}
	*out = cpu;
	return 0;
}

static void engine_cpu_free(struct cpu *cpu)
{
	interp_cpu_fini(cpu->soft);
	soft_cpu_free(cpu->soft);
	g_free(cpu);
}

/* Events are looked at before each instruction, so a kick needs nothing. */
static void engine_run(struct cpu *cpu, struct cpu_exit *exit)
{
	uint64_t done;

	soft_come_in(cpu->soft);
	while (!interp_run(cpu->soft, 1 << 30, true, &done, exit))
		;
	soft_go_out(cpu->soft);
}

static void engine_get(struct cpu *cpu, struct x86_state *s)
{
	soft_get_state(cpu->soft, s);
}

static int engine_set(struct cpu *cpu, const struct x86_state *s)
{
	return soft_set_state(cpu->soft, s);
}

static void engine_shift_tsc(struct cpu *cpu, uint64_t ticks)
{
	cpu->soft->st.tsc_offset -= ticks;
}

static void engine_set_trace(struct cpu *cpu, struct cpu_trace *t)
{
	soft_set_trace(cpu->soft, t);
}

static int engine_set_debug(struct cpu *cpu, const struct cpu_debug *d)
{
	soft_set_debug(cpu->soft, d);
	return 0;
}

static void engine_stats(struct cpu *cpu, struct cpu_stats *out)
{
	soft_stats(cpu->soft, out);
}

static enum cpu_where engine_where(struct cpu *cpu)
{
	return cpu->soft->inside ? CPU_IN_GUEST : CPU_OUTSIDE;
}

static int engine_dirty(struct cpu_vm *vm, enum cpu_dirty what)
{
	soft_vm_dirty(&vm->soft);
	return 0;
}

const struct cpu_engine cpu_interp = {
	.name = "interp",
	.probe = engine_probe,
	.vm_new = engine_vm_new,
	.vm_free = engine_vm_free,
	.cpu_new = engine_cpu_new,
	.cpu_free = engine_cpu_free,
	.run = engine_run,
	.get = engine_get,
	.set = engine_set,
	.dirty = engine_dirty,
	.shift_tsc = engine_shift_tsc,
	.max_breaks = CPU_MAX_BREAKS,
	.set_trace = engine_set_trace,
	.set_debug = engine_set_debug,
	.stats = engine_stats,
	.where = engine_where,
};
