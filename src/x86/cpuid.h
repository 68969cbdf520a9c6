/*
 * cpuid.h - what a virtual processor claims to be.
 *
 * A model is a table of CPUID leaves computed once per machine from a named
 * baseline or from the host, minus what the engine cannot do.  Engines answer
 * CPUID from it and never execute CPUID for the guest.
 */
#ifndef X86_CPUID_H
#define X86_CPUID_H

#include <stdbool.h>
#include <stdint.h>

#include "x86/state.h"

/* One enumerator per CPUID feature bit; features.def holds
 * X86_FEATURE(NAME, "flag", leaf, subleaf, reg, bit) rows. */
enum x86_feature {
	X86_FEAT_NONE,
#define X86_FEATURE(name, text, leaf, sub, reg, bit) X86_FEAT_##name,
#include "x86/features.def"
#undef X86_FEATURE
	X86_NFEATURES,
};

struct x86_cpuid_regs {
	uint32_t eax, ebx, ecx, edx;
};

struct x86_topology {
	unsigned sockets, cores, threads; /* each >= 1 */
};

#define X86_CPU_MAX_LEAVES 96

struct x86_cpu_model {
	char name[32];
	bool feature[X86_NFEATURES];
	uint64_t xcr0_mask; /* bits that XSETBV may set */
	uint8_t phys_bits, virt_bits;
	uint64_t tsc_hz, apic_hz;
	struct x86_topology topology;
	/* raw leaves; APIC id, OSXSAVE and the like are patched per query */
	unsigned nleaves;
	struct {
		uint32_t leaf, sub;
		bool has_sub;
		struct x86_cpuid_regs r;
	} leaves[X86_CPU_MAX_LEAVES];
};

/*
 * Build the model called name ("auto" and "host": what this host has, minus
 * what the feature mask `can` of the engine lacks; or a baseline of
 * x86_cpu_model_names()).  can[X86_NFEATURES] or NULL for no limit.  Returns
 * 0, -ENOENT for an unknown name, -EOPNOTSUPP if a named baseline needs a
 * feature that the engine or the host cannot give (its text name in *missing,
 * which may be NULL).
 */
int x86_cpu_model_init(struct x86_cpu_model *m, const char *name,
	const bool *can, const struct x86_topology *topo, const char **missing);

/* NULL-terminated list of names for help texts. */
const char *const *x86_cpu_model_names(void);

/*
 * The answer of CPUID on the processor with the given APIC id and state
 * (leaf 1 OSXSAVE, leaf 0xD sizes and leaf 7 OSPKE depend on CR4 and XCR0).
 */
void x86_cpu_model_cpuid(const struct x86_cpu_model *m, uint32_t apic_id,
	const struct x86_state *s, uint32_t leaf, uint32_t sub,
	struct x86_cpuid_regs *out);

/* Leaf 1 EAX, which is also what EDX holds after RESET and INIT. */
uint32_t x86_cpu_model_signature(const struct x86_cpu_model *m);

/* Initial x2APIC id of the n-th processor under the topology (SDM vol. 3,
 * 9.9): fields padded to powers of two. */
uint32_t x86_topology_apic_id(const struct x86_topology *t, unsigned n);

/*
 * Does the model have the instruction?  False means #UD.  An instruction that
 * older processors see as another one (TZCNT as BSF, LZCNT as BSR, WBNOINVD as
 * WBINVD, hints as NOP) is allowed, but has to pass x86_insn_fit() first, which
 * changes it into that one where the model lacks the feature; apart from that
 * both say the same.  Modes, CR0, CR4 and XCR0 are the engine's to check.
 */
struct x86_insn;
bool x86_insn_allowed(
	const struct x86_insn *insn, const struct x86_cpu_model *m);
bool x86_insn_fit(struct x86_insn *insn, const struct x86_cpu_model *m);

/* Does the host processor (this thread's CPUID) have the feature? */
bool x86_host_has(enum x86_feature f);

#endif
