/*
 * cpuid.c - building CPU models and answering CPUID from them.
 *
 * Feature bits come from the model; everything else that describes the
 * silicon (caches, brand, family) is the host's, so that guests tune
 * themselves for the machine they really run on.
 *
 * Sources: SDM vol. 2, CPUID; vol. 3, 9.9 (topology); AMD APM vol. 3, app. E.
 */
#include "x86/cpuid.h"

#include <errno.h>
#include <string.h>

#include "x86/host.h"
#include "x86/models.h"

enum { REG_EAX, REG_EBX, REG_ECX, REG_EDX };

static const struct x86_feature_row {
	const char *text;
	uint32_t leaf, sub;
	uint8_t reg, bit;
} rows[X86_NFEATURES] = {
#define X86_FEATURE(name, text, leaf, sub, reg, bit)                           \
	[X86_FEAT_##name] = {text, leaf, sub, REG_##reg, bit},
#include "x86/features.def"
#undef X86_FEATURE
};

#define KVM_FEATURES_LEAF  0x40000001
#define XSAVE_LEGACY_BYTES 576 /* x87, SSE and header */
#define PKRU_COMPONENT	   9
#define CLFLUSH_BYTES	   64
#define APIC_BASE_ENABLE   (1ull << 11)
#define MISC_LIMIT_CPUID   (1ull << 22) /* IA32_MISC_ENABLE */
#define MISC_XD_DISABLE	   (1ull << 34)
#define PHYS_BITS	   40
#define APIC_HZ		   1000000000u

uint32_t x86_topology_apic_id(const struct x86_topology *t, unsigned n)
{
	unsigned threads = t->threads, cores = t->cores;
	unsigned tbits = threads > 1 ? 32 - __builtin_clz(threads - 1) : 0;
	unsigned cbits = cores > 1 ? 32 - __builtin_clz(cores - 1) : 0;

	return n % threads | (n / threads % cores) << tbits |
	       (n / threads / cores) << (tbits + cbits);
}

/* ---- choosing features ---- */

/* Not of the host's silicon but of our board and engines. */
static const uint16_t virtual_features[] = {X86_FEAT_APIC, X86_FEAT_X2APIC,
	X86_FEAT_TSC_DEADLINE, X86_FEAT_HYPERVISOR, X86_FEAT_ARAT,
	X86_FEAT_ARCH_CAPABILITIES, X86_FEAT_SPEC_CTRL, X86_FEAT_KVM_CLOCK_OLD,
	X86_FEAT_KVM_NOP_IO_DELAY, X86_FEAT_KVM_CLOCK, X86_FEAT_KVM_ASYNC_PF,
	X86_FEAT_KVM_STEAL_TIME, X86_FEAT_KVM_PV_EOI, X86_FEAT_KVM_PV_UNHALT,
	X86_FEAT_KVM_PV_TLB_FLUSH, X86_FEAT_KVM_PV_SEND_IPI,
	X86_FEAT_KVM_POLL_CONTROL, X86_FEAT_KVM_SCHED_YIELD,
	X86_FEAT_KVM_ASYNC_PF_INT, X86_FEAT_KVM_CLOCK_STABLE};

/* Never from the host unless an engine says that it can. */
static const uint16_t withheld[] = {X86_FEAT_PCID, X86_FEAT_INVPCID,
	X86_FEAT_VMX, X86_FEAT_SMX, X86_FEAT_SVM, X86_FEAT_PKU, X86_FEAT_OSPKE,
	X86_FEAT_CET_SS, X86_FEAT_CET_IBT, X86_FEAT_LA57, X86_FEAT_AMX_BF16,
	X86_FEAT_AMX_TILE, X86_FEAT_AMX_INT8, X86_FEAT_AMX_FP16, X86_FEAT_MPX,
	X86_FEAT_RTM, X86_FEAT_HLE, X86_FEAT_ARCH_LBR, X86_FEAT_PDCM,
	X86_FEAT_DCA, X86_FEAT_PQM, X86_FEAT_PQE, X86_FEAT_SGX, X86_FEAT_SGX_LC,
	X86_FEAT_UINTR, X86_FEAT_WAITPKG, X86_FEAT_MONITOR, X86_FEAT_DS,
	X86_FEAT_DTES64, X86_FEAT_DS_CPL, X86_FEAT_EIST, X86_FEAT_TM2,
	X86_FEAT_TM, X86_FEAT_PBE, X86_FEAT_ACPI, X86_FEAT_INTEL_PT,
	X86_FEAT_XSAVES, X86_FEAT_XFD, X86_FEAT_ENQCMD, X86_FEAT_KL,
	X86_FEAT_TME, X86_FEAT_PCONFIG, X86_FEAT_PKS, X86_FEAT_HYBRID,
	X86_FEAT_TSXLDTRK, X86_FEAT_BUS_LOCK_DETECT, X86_FEAT_SPEC_CTRL,
	X86_FEAT_STIBP, X86_FEAT_SPEC_CTRL_SSBD, X86_FEAT_FLUSH_L1D,
	X86_FEAT_ARCH_CAPABILITIES, X86_FEAT_CORE_CAPABILITIES,
	X86_FEAT_MD_CLEAR, X86_FEAT_HRESET, X86_FEAT_LASS, X86_FEAT_LAM,
	X86_FEAT_FRED, X86_FEAT_LKGS, X86_FEAT_WRMSRNS, X86_FEAT_SDBG,
	X86_FEAT_XTPR, X86_FEAT_CNXT_ID, X86_FEAT_IBS, X86_FEAT_SKINIT,
	X86_FEAT_WDT, X86_FEAT_LWP, X86_FEAT_PERFCTR_CORE, X86_FEAT_MWAITX,
	X86_FEAT_OSVW, X86_FEAT_TOPOEXT, X86_FEAT_EXTAPIC, X86_FEAT_RDPRU,
	X86_FEAT_MCOMMIT, X86_FEAT_INVLPGB, X86_FEAT_AMD_IBPB,
	X86_FEAT_AMD_IBRS, X86_FEAT_AMD_STIBP, X86_FEAT_AMD_SSBD,
	X86_FEAT_INVTSC};

/* Not in the instruction table, or state that struct x86_state lacks. */
static const uint16_t unknown_features[] = {X86_FEAT_AVX512PF,
	X86_FEAT_AVX512ER, X86_FEAT_AVX512_4VNNIW, X86_FEAT_AVX512_4FMAPS,
	X86_FEAT_SHA512, X86_FEAT_SM3, X86_FEAT_SM4, X86_FEAT_RAO_INT,
	X86_FEAT_CMPCCXADD, X86_FEAT_AVX_IFMA, X86_FEAT_AVX_VNNI_INT8,
	X86_FEAT_AVX_VNNI_INT16, X86_FEAT_AVX_NE_CONVERT, X86_FEAT_XOP,
	X86_FEAT_FMA4, X86_FEAT_TBM, X86_FEAT_LWP, X86_FEAT_3DNOW,
	X86_FEAT_3DNOWEXT, X86_FEAT_AMX_TILE, X86_FEAT_AMX_INT8,
	X86_FEAT_AMX_BF16, X86_FEAT_AMX_FP16, X86_FEAT_MPX, X86_FEAT_KL,
	X86_FEAT_XFD, X86_FEAT_PREFETCHI};

static bool listed(const uint16_t *list, size_t n, unsigned f)
{
	for (size_t i = 0; i < n; i++)
		if (list[i] == f)
			return true;
	return false;
}

#define IN(list, f) listed(list, sizeof(list) / sizeof(list[0]), f)

static bool can_give(const bool *can, unsigned f)
{
	if (IN(unknown_features, f))
		return false;
	return can ? can[f] : !IN(withheld, f);
}

/* What cannot stand without something else goes with it. */
static void drop_dependents(struct x86_cpu_model *m)
{
	bool *f = m->feature;
	bool ymm = f[X86_FEAT_XSAVE] && f[X86_FEAT_AVX];
	bool zmm = ymm && f[X86_FEAT_AVX512F];

	for (unsigned i = 1; i < X86_NFEATURES; i++) {
		if (!zmm && !strncmp(rows[i].text, "avx512", 6))
			f[i] = false;
		if (!f[X86_FEAT_XSAVE] && !strncmp(rows[i].text, "xsave", 5))
			f[i] = false;
	}
	if (!ymm)
		f[X86_FEAT_AVX] = f[X86_FEAT_AVX2] = f[X86_FEAT_FMA] =
			f[X86_FEAT_F16C] = f[X86_FEAT_VAES] =
				f[X86_FEAT_VPCLMULQDQ] = f[X86_FEAT_AVX_VNNI] =
					false;
	/* Guests that know KVM take its clock for granted. */
	if (!f[X86_FEAT_HYPERVISOR] || !f[X86_FEAT_KVM_CLOCK])
		for (unsigned i = 1; i < X86_NFEATURES; i++)
			if (rows[i].leaf == KVM_FEATURES_LEAF)
				f[i] = false;
	if (!f[X86_FEAT_XSAVE])
		f[X86_FEAT_XGETBV1] = f[X86_FEAT_PKU] = false;
	f[X86_FEAT_OSXSAVE] = f[X86_FEAT_OSPKE] = false;
	m->xcr0_mask = f[X86_FEAT_XSAVE]
			       ? 3 | (ymm ? 4 : 0) | (zmm ? 0xe0 : 0) |
					 (f[X86_FEAT_PKU] ? 0x200 : 0)
			       : 1;
}

static void features_host(struct x86_cpu_model *m, const bool *can)
{
	for (unsigned f = 1; f < X86_NFEATURES; f++)
		m->feature[f] = can_give(can, f) &&
				(IN(virtual_features, f) || x86_host_has(f));
}

static int features_named(struct x86_cpu_model *m, const struct x86_named *n,
	const bool *can, const char **missing)
{
	for (; n; n = n->base)
		for (unsigned i = 0; n->features[i]; i++) {
			unsigned f = n->features[i];

			if (IN(virtual_features, f)) {
				m->feature[f] = can_give(can, f);
				continue;
			}
			if (!can_give(can, f) || !x86_host_has(f)) {
				if (missing)
					*missing = rows[f].text;
				return -EOPNOTSUPP;
			}
			m->feature[f] = true;
		}
	/* A guest of a hypervisor sees all that it offers. */
	for (unsigned f = 1; f < X86_NFEATURES; f++)
		if (rows[f].leaf == KVM_FEATURES_LEAF)
			m->feature[f] = can_give(can, f);
	return 0;
}

/* ---- leaves ---- */

/* AMD and Hygon differ in what they duplicate and in unknown leaves. */
static bool vendor_amd(const struct x86_cpu_model *m)
{
	/* "Auth" and "Hygo" */
	return m->leaves[0].r.ebx == 0x68747541 ||
	       m->leaves[0].r.ebx == 0x6f677948;
}

static struct x86_cpuid_regs *add(
	struct x86_cpu_model *m, uint32_t leaf, uint32_t sub, bool has_sub)
{
	unsigned i = m->nleaves;

	if (i == X86_CPU_MAX_LEAVES)
		i--;
	else
		m->nleaves++;
	m->leaves[i].leaf = leaf;
	m->leaves[i].sub = sub;
	m->leaves[i].has_sub = has_sub;
	m->leaves[i].r = (struct x86_cpuid_regs){0};
	return &m->leaves[i].r;
}

/* The feature bits of one leaf. */
static void put_features(const struct x86_cpu_model *m, uint32_t leaf,
	uint32_t sub, struct x86_cpuid_regs *r)
{
	uint32_t *const to[] = {&r->eax, &r->ebx, &r->ecx, &r->edx};

	for (unsigned f = 1; f < X86_NFEATURES; f++)
		if (rows[f].leaf == leaf && rows[f].sub == sub && m->feature[f])
			*to[rows[f].reg] |= 1u << rows[f].bit;
}

static unsigned threads_per_socket(const struct x86_cpu_model *m)
{
	struct x86_topology one = m->topology;

	/* The id space is padded to powers of two. */
	one.sockets = 2;
	return x86_topology_apic_id(&one, one.cores * one.threads);
}

static void leaves_basic(struct x86_cpu_model *m, const struct x86_named *named)
{
	struct x86_cpuid_regs host = x86_host_cpuid(1, 0), *r;
	unsigned logical = m->topology.cores * m->topology.threads;

	m->feature[X86_FEAT_HTT] = logical > 1;
	r = add(m, 0, 0, false);
	*r = x86_host_cpuid(0, 0);
	r->eax = named && named->max_leaf ? named->max_leaf : 0x16;
	r = add(m, 1, 0, false);
	put_features(m, 1, 0, r);
	r->eax = named && named->signature ? named->signature : host.eax;
	r->ebx = (CLFLUSH_BYTES / 8) << 8 |
		 (logical > 1 ? threads_per_socket(m) << 16 : 0);
	r = add(m, 2, 0, false);
	*r = x86_host_cpuid(2, 0);
	r = add(m, 6, 0, false);
	put_features(m, 6, 0, r);
	r = add(m, 7, 0, true);
	put_features(m, 7, 0, r);
	r->eax |= 1;
	r = add(m, 7, 1, true);
	put_features(m, 7, 1, r);
}

/* Deterministic cache parameters with the guest's own sharing. */
static void leaves_cache(struct x86_cpu_model *m, uint32_t leaf)
{
	for (unsigned sub = 0; sub < 8; sub++) {
		struct x86_cpuid_regs host = x86_host_cpuid(leaf, sub), *r;
		unsigned level = host.eax >> 5 & 7;
		unsigned shared;

		r = add(m, leaf, sub, true);
		if (!(host.eax & 31))
			break;
		*r = host;
		shared = level >= 3 ? threads_per_socket(m)
				    : m->topology.threads;
		r->eax = (host.eax & 0x3fff) | (shared - 1) << 14;
		if (leaf == 4)
			r->eax |= (threads_per_socket(m) / m->topology.threads -
					  1)
				  << 26;
	}
}

static void leaves_topology(struct x86_cpu_model *m)
{
	const struct x86_topology *t = &m->topology;
	struct x86_cpuid_regs *r;

	r = add(m, 0xb, 0, true);
	r->eax = (uint32_t)__builtin_ctz(
		t->threads > 1 ? 1u << (32 - __builtin_clz(t->threads - 1))
			       : 1);
	r->ebx = t->threads;
	r->ecx = 1 << 8; /* SMT */
	r = add(m, 0xb, 1, true);
	r->eax = (uint32_t)__builtin_ctz(threads_per_socket(m));
	r->ebx = t->threads * t->cores;
	r->ecx = 2 << 8 | 1; /* core */
	r = add(m, 0xb, 2, true);
	r->ecx = 2;
}

static void leaves_xsave(struct x86_cpu_model *m)
{
	struct x86_cpuid_regs *r;

	if (!m->feature[X86_FEAT_XSAVE])
		return;
	r = add(m, 0xd, 0, true);
	r->eax = (uint32_t)m->xcr0_mask;
	r->edx = (uint32_t)(m->xcr0_mask >> 32);
	r = add(m, 0xd, 1, true);
	put_features(m, 0xd, 1, r);
	for (unsigned i = 2; i <= PKRU_COMPONENT; i++) {
		if (!(m->xcr0_mask >> i & 1))
			continue;
		r = add(m, 0xd, i, true);
		*r = x86_host_cpuid(0xd, i);
		r->ecx &= 2; /* user state; keep the alignment bit */
		r->edx = 0;
	}
}

/*
 * tsc / crystal as a fraction.  Guests multiply the crystal in kHz by the
 * numerator in 32 bits: the best fraction whose numerator stays small.
 */
static void clock_ratio(
	uint64_t tsc_hz, uint64_t crystal_hz, uint32_t *num, uint32_t *den)
{
	uint64_t max = UINT32_MAX / (crystal_hz / 1000);
	double want = (double)tsc_hz / (double)crystal_hz, best = want;

	*den = 1;
	*num = (uint32_t)(want + 0.5);
	for (uint32_t d = 1; d <= 2000; d++) {
		uint32_t n = (uint32_t)(want * d + 0.5);
		double off = (double)n / d - want;

		if (n > max)
			break;
		if (off < 0)
			off = -off;
		if (off < best) {
			best = off;
			*num = n;
			*den = d;
		}
	}
}

static void leaves_time(struct x86_cpu_model *m)
{
	struct x86_cpuid_regs *r = add(m, 0x15, 0, false);

	/* "Crystal" is the local APIC timer's clock. */
	clock_ratio(m->tsc_hz, m->apic_hz, &r->ebx, &r->eax);
	r->ecx = (uint32_t)m->apic_hz;
	r = add(m, 0x16, 0, false);
	r->eax = r->ebx = (uint32_t)(m->tsc_hz / 1000000);
	r->ecx = 100;
}

/*
 * KVM's interface, by its name, if the engine has it; the leaf of frequencies
 * is VMware's, which several systems read.
 */
static void leaves_hypervisor(struct x86_cpu_model *m)
{
	bool kvm = m->feature[X86_FEAT_KVM_CLOCK];
	const char *name = kvm ? "KVMKVMKVM\0\0" : "vmestevmeste";
	struct x86_cpuid_regs *r;

	if (!m->feature[X86_FEAT_HYPERVISOR])
		return;
	r = add(m, 0x40000000, 0, false);
	r->eax = 0x40000010;
	memcpy(&r->ebx, name, 4);
	memcpy(&r->ecx, name + 4, 4);
	memcpy(&r->edx, name + 8, 4);
	r = add(m, KVM_FEATURES_LEAF, 0, false);
	put_features(m, KVM_FEATURES_LEAF, 0, r);
	r = add(m, 0x40000010, 0, false);
	r->eax = (uint32_t)(m->tsc_hz / 1000);
	r->ebx = (uint32_t)(m->apic_hz / 1000);
}

/* Leaf 1 EDX bits that AMD repeats in leaf 80000001 (APM vol. 3, app. E). */
#define AMD_COMMON_EDX 0x0183f3ffu

static void leaves_extended(struct x86_cpu_model *m)
{
	unsigned logical = m->topology.cores * m->topology.threads;
	bool amd = vendor_amd(m);
	struct x86_cpuid_regs *r = add(m, 0x80000000, 0, false);

	*r = x86_host_cpuid(0x80000000, 0);
	r->eax = 0x80000008;
	m->feature[X86_FEAT_CMP_LEGACY] = amd && logical > 1;
	r = add(m, 0x80000001, 0, false);
	put_features(m, 0x80000001, 0, r);
	if (amd)
		r->edx |= m->leaves[1].r.edx & AMD_COMMON_EDX;
	for (uint32_t leaf = 0x80000002; leaf <= 0x80000006; leaf++) {
		r = add(m, leaf, 0, false);
		*r = x86_host_cpuid(leaf, 0);
	}
	r = add(m, 0x80000007, 0, false);
	put_features(m, 0x80000007, 0, r);
	r = add(m, 0x80000008, 0, false);
	put_features(m, 0x80000008, 0, r);
	r->eax = m->phys_bits | m->virt_bits << 8;
	if (amd)
		r->ecx = (uint32_t)__builtin_ctz(threads_per_socket(m)) << 12 |
			 (logical - 1);
}

/* As many as the host has: nested paging may depend on it. */
static void address_widths(struct x86_cpu_model *m)
{
	unsigned host = x86_host_cpuid(0x80000008, 0).eax & 0xff;

	m->phys_bits = m->feature[X86_FEAT_LM]	  ? PHYS_BITS
		       : m->feature[X86_FEAT_PAE] ? 36
						  : 32;
	if (host && m->phys_bits > host)
		m->phys_bits = host;
	m->virt_bits = m->feature[X86_FEAT_LM] ? 48 : 32;
}

int x86_cpu_model_init(struct x86_cpu_model *m, const char *name,
	const bool *can, const struct x86_topology *topo, const char **missing)
{
	const struct x86_named *named = NULL;
	int e = 0;

	memset(m, 0, sizeof(*m));
	if (missing)
		*missing = NULL;
	strncpy(m->name, name, sizeof(m->name) - 1);
	m->topology = *topo;
	m->tsc_hz = x86_host_tsc_hz();
	m->apic_hz = APIC_HZ;
	if (!strcmp(name, "auto") || !strcmp(name, "host")) {
		features_host(m, can);
	} else {
		named = x86_named_find(name);
		if (!named)
			return -ENOENT;
		e = features_named(m, named, can, missing);
	}
	drop_dependents(m);
	address_widths(m);
	leaves_basic(m, named);
	leaves_cache(m, 4);
	leaves_topology(m);
	leaves_xsave(m);
	leaves_time(m);
	leaves_hypervisor(m);
	/* processors of old had none */
	if (!named || named->max_leaf == 0)
		leaves_extended(m);
	return e;
}

/* ---- answering ---- */

static const struct x86_cpuid_regs *find(
	const struct x86_cpu_model *m, uint32_t leaf, uint32_t sub)
{
	for (unsigned i = 0; i < m->nleaves; i++)
		if (m->leaves[i].leaf == leaf &&
			(!m->leaves[i].has_sub || m->leaves[i].sub == sub))
			return &m->leaves[i].r;
	return NULL;
}

/*
 * Above the highest leaf of a range, Intel answers as for the highest basic
 * leaf, AMD with zeros (SDM vol. 2, CPUID; APM vol. 3, app. E.3).  False:
 * zeros.
 */
static bool clamp_leaf(const struct x86_cpu_model *m, uint32_t *leaf)
{
	const struct x86_cpuid_regs *top = find(m, *leaf & 0xc0000000u, 0);

	if (top && *leaf < 0xc0000000u && *leaf <= top->eax)
		return true;
	*leaf = find(m, 0, 0)->eax;
	return !vendor_amd(m);
}

static uint32_t xsave_bytes(
	const struct x86_cpu_model *m, uint64_t mask, bool compacted)
{
	uint32_t end = XSAVE_LEGACY_BYTES;

	for (unsigned i = 2; i <= PKRU_COMPONENT; i++) {
		const struct x86_cpuid_regs *r;

		if (!(mask >> i & 1))
			continue;
		r = find(m, 0xd, i);
		if (!r)
			continue;
		if (compacted)
			end = (r->ecx & 2 ? (end + 63) & ~63u : end) + r->eax;
		else if (r->ebx + r->eax > end)
			end = r->ebx + r->eax;
	}
	return end;
}

#define FEATURE_BIT(name) (1u << rows[X86_FEAT_##name].bit)

/* What of leaf 1 follows the processor's state. */
static void patch_leaf1(
	uint32_t apic_id, const struct x86_state *s, struct x86_cpuid_regs *out)
{
	out->ebx |= apic_id << 24;
	if (s->cr4 & X86_CR4_OSXSAVE)
		out->ecx |= FEATURE_BIT(OSXSAVE);
	if (!(s->apic_base & APIC_BASE_ENABLE))
		out->edx &= ~FEATURE_BIT(APIC);
}

/* Intel has SYSCALL in 64-bit mode only, and NX may be switched off. */
static void patch_extended(const struct x86_cpu_model *m,
	const struct x86_state *s, struct x86_cpuid_regs *out)
{
	bool code64 = s->efer & X86_EFER_LMA && s->seg[X86_CS].attr & X86_SEG_L;

	if (!code64 && !vendor_amd(m))
		out->edx &= ~FEATURE_BIT(SYSCALL);
	if (s->misc_enable & MISC_XD_DISABLE)
		out->edx &= ~FEATURE_BIT(NX);
}

static void patch_xsave(const struct x86_cpu_model *m,
	const struct x86_state *s, uint32_t sub, struct x86_cpuid_regs *out)
{
	if (!m->feature[X86_FEAT_XSAVE])
		return;
	if (sub == 0) {
		out->ebx = xsave_bytes(m, s->xcr0, false);
		out->ecx = xsave_bytes(m, m->xcr0_mask, false);
	} else if (sub == 1 && m->feature[X86_FEAT_XSAVEC]) {
		out->ebx = xsave_bytes(m, s->xcr0 | s->xss, true);
	}
}

void x86_cpu_model_cpuid(const struct x86_cpu_model *m, uint32_t apic_id,
	const struct x86_state *s, uint32_t leaf, uint32_t sub,
	struct x86_cpuid_regs *out)
{
	bool known = clamp_leaf(m, &leaf);
	const struct x86_cpuid_regs *r = known ? find(m, leaf, sub) : NULL;

	*out = r ? *r : (struct x86_cpuid_regs){0};
	if (!known)
		return;
	switch (leaf) {
	case 0:
		if (s->misc_enable & MISC_LIMIT_CPUID && out->eax > 2)
			out->eax = 2;
		break;
	case 1: patch_leaf1(apic_id, s, out); break;
	case 7:
		if (sub == 0 && s->cr4 & X86_CR4_PKE)
			out->ecx |= FEATURE_BIT(OSPKE);
		break;
	case 0xb:
		out->ecx |= sub & 0xff;
		out->edx = apic_id;
		break;
	case 0xd: patch_xsave(m, s, sub, out); break;
	case 0x80000001: patch_extended(m, s, out); break;
	default: break;
	}
}

uint32_t x86_cpu_model_signature(const struct x86_cpu_model *m)
{
	return m->leaves[1].r.eax;
}
