/*
 * msr.c - RDMSR and WRMSR.
 *
 * One table, sorted by number, says per register or range where its value
 * lives, which bits may be written and which functions do what is special.
 * What is not in the table raises #GP.  Rows marked "touched" hold nothing:
 * they are there because firmware, Linux or Windows read or write them
 * without asking CPUID first; they read as shown and ignore writes.
 *
 * Intel SDM vol. 4; vol. 3, 10.4 (APIC_BASE), 11.11 (MTRRs), 11.12 (PAT),
 * 15.3 (machine check), 17.17 (TSC).
 */
#include "cpu/soft/priv.h"

struct msr_row;
typedef bool (*msr_get)(struct soft_cpu *c, const struct msr_row *r,
	uint32_t msr, uint64_t *val);
typedef bool (*msr_set)(struct soft_cpu *c, const struct msr_row *r,
	uint32_t msr, uint64_t val);

struct msr_row {
	uint32_t first, last;
	uint16_t feature; /* enum x86_feature, 0 = always */
	uint16_t field;	  /* offset in struct x86_state */
	bool amd;	  /* exists with an AMD model only */
	uint64_t arg;	  /* writable bits, or a constant's value */
	msr_get get;	  /* NULL: #GP */
	msr_set set;
};

static uint64_t *msr_field(struct soft_cpu *c, const struct msr_row *r)
{
	return (uint64_t *)((uint8_t *)&c->st + r->field);
}

/* ---- plain kinds ---- */

static bool get_field(struct soft_cpu *c, const struct msr_row *r, uint32_t msr,
	uint64_t *val)
{
	*val = *msr_field(c, r);
	return true;
}

/* Bits outside arg are reserved. */
static bool set_field(
	struct soft_cpu *c, const struct msr_row *r, uint32_t msr, uint64_t val)
{
	if (val & ~r->arg)
		return false;
	*msr_field(c, r) = val;
	return true;
}

static bool set_canonical(
	struct soft_cpu *c, const struct msr_row *r, uint32_t msr, uint64_t val)
{
	if (!soft_canonical(val))
		return false;
	*msr_field(c, r) = val;
	return true;
}

static bool get_const(struct soft_cpu *c, const struct msr_row *r, uint32_t msr,
	uint64_t *val)
{
	*val = r->arg;
	return true;
}

static bool set_ignore(
	struct soft_cpu *c, const struct msr_row *r, uint32_t msr, uint64_t val)
{
	return true;
}

/* Commands: only the bits of arg exist; they have no effect here. */
static bool set_command(
	struct soft_cpu *c, const struct msr_row *r, uint32_t msr, uint64_t val)
{
	return !(val & ~r->arg);
}

/* ---- local APIC ---- */

static bool get_apic(struct soft_cpu *c, const struct msr_row *r, uint32_t msr,
	uint64_t *val)
{
	if (c->env && c->env->rdmsr)
		return c->env->rdmsr(c, msr, val);
	if (!c->bc->intc && msr == X86_MSR_APIC_BASE) {
		*val = c->st.apic_base;
		return true;
	}
	return bus_cpu_rdmsr(c->bc, msr, val);
}

static bool set_apic(
	struct soft_cpu *c, const struct msr_row *r, uint32_t msr, uint64_t val)
{
	if (c->env && c->env->wrmsr)
		return c->env->wrmsr(c, msr, val);
	if (!c->bc->intc && msr == X86_MSR_APIC_BASE)
		return true;
	return bus_cpu_wrmsr(c->bc, msr, val);
}

#define APIC_BASE_BSP  (1ull << 8)
#define APIC_BASE_EXTD (1ull << 10)
#define APIC_BASE_EN   (1ull << 11)

/* Only the transitions of SDM vol. 3, figure 10-27, exist. */
static bool set_apic_base(
	struct soft_cpu *c, const struct msr_row *r, uint32_t msr, uint64_t val)
{
	uint64_t ok = APIC_BASE_BSP | APIC_BASE_EN |
		      (((1ull << c->phys_bits) - 1) & ~0xfffull);
	uint64_t old = c->st.apic_base;
	bool was_x2, was_on, x2 = val & APIC_BASE_EXTD, on = val & APIC_BASE_EN;

	get_apic(c, r, msr, &old);
	was_x2 = old & APIC_BASE_EXTD;
	was_on = old & APIC_BASE_EN;
	if (soft_has(c, X86_FEAT_X2APIC))
		ok |= APIC_BASE_EXTD;
	if ((val & ~ok) || (x2 && !on))
		return false;
	if ((was_x2 && on && !x2) || (!was_on && x2))
		return false;
	if (!set_apic(c, r, msr, val))
		return false;
	c->st.apic_base = val;
	return true;
}

/* ---- time ---- */

static bool get_tsc(struct soft_cpu *c, const struct msr_row *r, uint32_t msr,
	uint64_t *val)
{
	*val = soft_rdtsc(c);
	return true;
}

/* The local APIC counts in host ticks; zero means disarmed to both. */
static bool get_deadline(struct soft_cpu *c, const struct msr_row *r,
	uint32_t msr, uint64_t *val)
{
	if (!get_apic(c, r, msr, val))
		return false;
	if (*val)
		*val += c->st.tsc_offset;
	return true;
}

static bool set_deadline(
	struct soft_cpu *c, const struct msr_row *r, uint32_t msr, uint64_t val)
{
	uint64_t host = val - c->st.tsc_offset;

	c->st.tsc_deadline = val;
	return set_apic(c, r, msr, val ? host + !host : 0);
}

/* Change the offset; an armed deadline is one of guest time. */
static void move_tsc(struct soft_cpu *c, uint64_t delta)
{
	uint64_t armed = 0;

	if (soft_has(c, X86_FEAT_TSC_DEADLINE) &&
		!get_deadline(c, NULL, X86_MSR_TSC_DEADLINE, &armed))
		armed = 0;
	c->st.tsc_offset += delta;
	c->st.tsc_adjust += delta;
	bus_cpu_tsc_moved(c->bc, c->st.tsc_offset);
	if (armed)
		set_deadline(c, NULL, X86_MSR_TSC_DEADLINE, armed);
}

static bool set_tsc(
	struct soft_cpu *c, const struct msr_row *r, uint32_t msr, uint64_t val)
{
	move_tsc(c, val - soft_rdtsc(c));
	return true;
}

static bool set_tsc_adjust(
	struct soft_cpu *c, const struct msr_row *r, uint32_t msr, uint64_t val)
{
	move_tsc(c, val - c->st.tsc_adjust);
	return true;
}

/* Ratio of the TSC to a bus clock of 100 MHz. */
static bool get_platform_info(struct soft_cpu *c, const struct msr_row *r,
	uint32_t msr, uint64_t *val)
{
	*val = (c->vm->model->tsc_hz / 100000000 & 0xff) << 8;
	return true;
}

static bool get_perf_status(struct soft_cpu *c, const struct msr_row *r,
	uint32_t msr, uint64_t *val)
{
	uint64_t ratio = c->vm->model->tsc_hz / 100000000 & 0xff;

	*val = ratio << 8 | ratio << 40;
	return true;
}

/* ---- memory types ---- */

static bool mtrr_type_ok(uint8_t t)
{
	return t < 7 && t != 2 && t != 3;
}

static bool pat_type_ok(uint8_t t)
{
	return t < 8 && t != 2 && t != 3;
}

static bool all_types_ok(uint64_t val, bool (*ok)(uint8_t))
{
	for (unsigned i = 0; i < 64; i += 8)
		if (!ok(val >> i & 0xff))
			return false;
	return true;
}

static bool set_pat(
	struct soft_cpu *c, const struct msr_row *r, uint32_t msr, uint64_t val)
{
	if (!all_types_ok(val, pat_type_ok))
		return false;
	c->st.pat = val;
	return true;
}

static bool get_mtrr_var(struct soft_cpu *c, const struct msr_row *r,
	uint32_t msr, uint64_t *val)
{
	msr -= X86_MSR_MTRR_PHYSBASE0;
	*val = c->st.mtrr_var[msr / 2][msr & 1];
	return true;
}

static bool set_mtrr_var(
	struct soft_cpu *c, const struct msr_row *r, uint32_t msr, uint64_t val)
{
	uint64_t addr = ((1ull << c->phys_bits) - 1) & ~0xfffull;

	msr -= X86_MSR_MTRR_PHYSBASE0;
	if (msr & 1) {
		if (val & ~(addr | 0x800))
			return false;
	} else if ((val & ~(addr | 0xff)) || !mtrr_type_ok(val & 0xff)) {
		return false;
	}
	c->st.mtrr_var[msr / 2][msr & 1] = val;
	return true;
}

/* 64K, 2 x 16K, 8 x 4K are one after the other in the state. */
static uint64_t *mtrr_fixed(struct soft_cpu *c, uint32_t msr)
{
	if (msr >= X86_MSR_MTRR_FIX4K)
		return &c->st.mtrr_fixed[3 + msr - X86_MSR_MTRR_FIX4K];
	if (msr >= X86_MSR_MTRR_FIX16K)
		return &c->st.mtrr_fixed[1 + msr - X86_MSR_MTRR_FIX16K];
	return &c->st.mtrr_fixed[0];
}

static bool get_mtrr_fixed(struct soft_cpu *c, const struct msr_row *r,
	uint32_t msr, uint64_t *val)
{
	*val = *mtrr_fixed(c, msr);
	return true;
}

static bool set_mtrr_fixed(
	struct soft_cpu *c, const struct msr_row *r, uint32_t msr, uint64_t val)
{
	if (!all_types_ok(val, mtrr_type_ok))
		return false;
	*mtrr_fixed(c, msr) = val;
	return true;
}

static bool set_mtrr_def(
	struct soft_cpu *c, const struct msr_row *r, uint32_t msr, uint64_t val)
{
	if ((val & ~0xcffull) || !mtrr_type_ok(val & 0xff))
		return false;
	c->st.mtrr_def_type = val;
	return true;
}

/* ---- modes and system calls ---- */

static bool set_efer(
	struct soft_cpu *c, const struct msr_row *r, uint32_t msr, uint64_t val)
{
	uint64_t old = c->st.efer;

	if (val & ~soft_efer_valid(c))
		return false;
	if ((c->st.cr0 & X86_CR0_PG) && ((old ^ val) & X86_EFER_LME))
		return false;
	c->st.efer = (val & ~X86_EFER_LMA) | (old & X86_EFER_LMA);
	soft_update_mode(c);
	return true;
}

static bool get_seg_base(struct soft_cpu *c, const struct msr_row *r,
	uint32_t msr, uint64_t *val)
{
	*val = c->st.seg[r->arg].base;
	return true;
}

static bool set_seg_base(
	struct soft_cpu *c, const struct msr_row *r, uint32_t msr, uint64_t val)
{
	if (!soft_canonical(val))
		return false;
	c->st.seg[r->arg].base = val;
	return true;
}

static bool set_tsc_aux(
	struct soft_cpu *c, const struct msr_row *r, uint32_t msr, uint64_t val)
{
	/* AMD ignores the upper half, Intel refuses it. */
	if (val >> 32 && !c->vm->amd)
		return false;
	c->st.tsc_aux = (uint32_t)val;
	return true;
}

static bool has_tsc_aux(const struct soft_cpu *c)
{
	return soft_has(c, X86_FEAT_RDTSCP) || soft_has(c, X86_FEAT_RDPID);
}

static bool get_tsc_aux(struct soft_cpu *c, const struct msr_row *r,
	uint32_t msr, uint64_t *val)
{
	*val = c->st.tsc_aux;
	return has_tsc_aux(c);
}

static bool set_feature_control(
	struct soft_cpu *c, const struct msr_row *r, uint32_t msr, uint64_t val)
{
	return !(c->st.feature_control & 1) && set_field(c, r, msr, val);
}

static uint64_t spec_ctrl_bits(const struct soft_cpu *c)
{
	uint64_t v = 0;

	if (soft_has(c, X86_FEAT_SPEC_CTRL) || soft_has(c, X86_FEAT_AMD_IBRS))
		v |= 1;
	if (soft_has(c, X86_FEAT_STIBP) || soft_has(c, X86_FEAT_AMD_STIBP))
		v |= 2;
	if (soft_has(c, X86_FEAT_SPEC_CTRL_SSBD) ||
		soft_has(c, X86_FEAT_AMD_SSBD))
		v |= 4;
	return v;
}

static bool get_spec_ctrl(struct soft_cpu *c, const struct msr_row *r,
	uint32_t msr, uint64_t *val)
{
	*val = c->st.spec_ctrl;
	return spec_ctrl_bits(c);
}

static bool set_spec_ctrl(
	struct soft_cpu *c, const struct msr_row *r, uint32_t msr, uint64_t val)
{
	uint64_t ok = spec_ctrl_bits(c);

	if (!ok || (val & ~ok))
		return false;
	c->st.spec_ctrl = val;
	return true;
}

static bool set_pred_cmd(
	struct soft_cpu *c, const struct msr_row *r, uint32_t msr, uint64_t val)
{
	if (!soft_has(c, X86_FEAT_SPEC_CTRL) && !soft_has(c, X86_FEAT_AMD_IBPB))
		return false;
	return !(val & ~r->arg);
}

/* ---- machine check ---- */

/* All ones and zero are the only defined values (SDM 15.3.1.3, 15.3.2.1). */
static bool set_mcg_ctl(
	struct soft_cpu *c, const struct msr_row *r, uint32_t msr, uint64_t val)
{
	if (val && val != ~0ull)
		return false;
	c->st.mcg_ctl = val;
	return true;
}

static bool get_mc_bank(struct soft_cpu *c, const struct msr_row *r,
	uint32_t msr, uint64_t *val)
{
	msr -= X86_MSR_MC0_CTL;
	*val = c->st.mc_bank[msr / 4][msr % 4];
	return true;
}

/* CTL: all ones or zero; STATUS can only be cleared; ADDR and MISC hold
 * anything, as no error ever sets them. */
static bool set_mc_bank(
	struct soft_cpu *c, const struct msr_row *r, uint32_t msr, uint64_t val)
{
	msr -= X86_MSR_MC0_CTL;
	if (msr % 4 == 0 && val && val != ~0ull)
		return false;
	if (msr % 4 == 1 && val)
		return false;
	c->st.mc_bank[msr / 4][msr % 4] = val;
	return true;
}

/* Read-only bits keep their value. */
static bool set_misc_enable(
	struct soft_cpu *c, const struct msr_row *r, uint32_t msr, uint64_t val)
{
	const uint64_t ro = 1ull << 7 | 1ull << 11 | 1ull << 12;

	if (val & ~(r->arg | ro))
		return false;
	c->st.misc_enable = (val & ~ro) | (c->st.misc_enable & ro);
	return true;
}

/* ---- the table ---- */

#define ALL	~0ull
#define F(f)	offsetof(struct x86_state, f)
#define FEAT(f) X86_FEAT_##f
#define FIELD(n, feat, f, mask)                                                \
	{                                                                      \
		n, n, feat, F(f), false, mask, get_field, set_field            \
	}
#define CANON(n, feat, f)                                                      \
	{                                                                      \
		n, n, feat, F(f), false, 0, get_field, set_canonical           \
	}
#define TOUCHED(first, last, val)                                              \
	{                                                                      \
		first, last, 0, 0, false, val, get_const, set_ignore           \
	}
#define TOUCHED_AMD(first, last, val)                                          \
	{                                                                      \
		first, last, 0, 0, true, val, get_const, set_ignore            \
	}
#define FUNC(first, last, feat, arg, get, set)                                 \
	{                                                                      \
		first, last, feat, 0, false, arg, get, set                     \
	}

static const struct msr_row rows[] = {
	TOUCHED(X86_MSR_P5_MC_ADDR, X86_MSR_P5_MC_TYPE, 0),
	FUNC(X86_MSR_TSC, X86_MSR_TSC, FEAT(TSC), 0, get_tsc, set_tsc),
	FUNC(X86_MSR_KVM_OLD_CLOCK, X86_MSR_KVM_OLD_CLOCK + 1,
		FEAT(KVM_CLOCK_OLD), 0, get_apic, set_apic),
	FUNC(X86_MSR_PLATFORM_ID, X86_MSR_PLATFORM_ID, 0, 0, get_const, NULL),
	FUNC(X86_MSR_APIC_BASE, X86_MSR_APIC_BASE, FEAT(APIC), 0, get_apic,
		set_apic_base),
	{X86_MSR_FEATURE_CONTROL, X86_MSR_FEATURE_CONTROL, 0,
		F(feature_control), false, 1, get_field, set_feature_control},
	{X86_MSR_TSC_ADJUST, X86_MSR_TSC_ADJUST, FEAT(TSC_ADJUST),
		F(tsc_adjust), false, ALL, get_field, set_tsc_adjust},
	FUNC(X86_MSR_SPEC_CTRL, X86_MSR_SPEC_CTRL, 0, 0, get_spec_ctrl,
		set_spec_ctrl),
	FUNC(X86_MSR_PRED_CMD, X86_MSR_PRED_CMD, 0, 1, NULL, set_pred_cmd),
	FUNC(X86_MSR_BIOS_UPDT_TRIG, X86_MSR_BIOS_UPDT_TRIG, 0, 0, NULL,
		set_ignore),
	TOUCHED(X86_MSR_BIOS_SIGN_ID, X86_MSR_BIOS_SIGN_ID, 0x100000000),
	TOUCHED(X86_MSR_PMC0, X86_MSR_PMC0 + 1, 0),
	FUNC(X86_MSR_PLATFORM_INFO, X86_MSR_PLATFORM_INFO, 0, 0,
		get_platform_info, NULL),
	FIELD(X86_MSR_UMWAIT_CONTROL, FEAT(WAITPKG), umwait_control,
		0xfffffffd),
	/* write combining, fixed ranges, eight variable ones */
	FUNC(X86_MSR_MTRRCAP, X86_MSR_MTRRCAP, FEAT(MTRR),
		0x500 | X86_MTRR_VARS, get_const, NULL),
	/* not susceptible: RDCL, L1DF, MDS, PSCHANGE, TAA; IBRS_ALL */
	FUNC(X86_MSR_ARCH_CAPABILITIES, X86_MSR_ARCH_CAPABILITIES,
		FEAT(ARCH_CAPABILITIES), 0x400000000c10e17bull, get_const,
		NULL),
	FUNC(X86_MSR_FLUSH_CMD, X86_MSR_FLUSH_CMD, FEAT(FLUSH_L1D), 1, NULL,
		set_command),
	FIELD(X86_MSR_SYSENTER_CS, FEAT(SEP), sysenter_cs, 0xffffffff),
	CANON(X86_MSR_SYSENTER_ESP, FEAT(SEP), sysenter_esp),
	CANON(X86_MSR_SYSENTER_EIP, FEAT(SEP), sysenter_eip),
	/* banks, and MCG_CTL exists */
	FUNC(X86_MSR_MCG_CAP, X86_MSR_MCG_CAP, FEAT(MCA), 0x100 | X86_MC_BANKS,
		get_const, NULL),
	FIELD(X86_MSR_MCG_STATUS, FEAT(MCA), mcg_status, 0xf),
	{X86_MSR_MCG_CTL, X86_MSR_MCG_CTL, FEAT(MCA), F(mcg_ctl), false, 0,
		get_field, set_mcg_ctl},
	TOUCHED(X86_MSR_PERFEVTSEL0, X86_MSR_PERFEVTSEL0 + 1, 0),
	FUNC(X86_MSR_PERF_STATUS, X86_MSR_PERF_STATUS, 0, 0, get_perf_status,
		NULL),
	TOUCHED(X86_MSR_PERF_CTL, X86_MSR_THERM_STATUS, 0),
	/* fast strings, automatic thermal control, xTPR, MONITOR, SpeedStep, XD
	 * off (kept, without effect) */
	{X86_MSR_MISC_ENABLE, X86_MSR_MISC_ENABLE, 0, F(misc_enable), false,
		0x400c50089, get_field, set_misc_enable},
	/* LBR, BTF; branch records read as empty */
	FIELD(X86_MSR_DEBUGCTL, 0, debugctl, 3),
	TOUCHED(X86_MSR_LASTBRANCHFROMIP, X86_MSR_LASTINTTOIP, 0),
	FUNC(X86_MSR_MTRR_PHYSBASE0,
		X86_MSR_MTRR_PHYSBASE0 + 2 * X86_MTRR_VARS - 1, FEAT(MTRR), 0,
		get_mtrr_var, set_mtrr_var),
	FUNC(X86_MSR_MTRR_FIX64K, X86_MSR_MTRR_FIX64K, FEAT(MTRR), 0,
		get_mtrr_fixed, set_mtrr_fixed),
	FUNC(X86_MSR_MTRR_FIX16K, X86_MSR_MTRR_FIX16K + 1, FEAT(MTRR), 0,
		get_mtrr_fixed, set_mtrr_fixed),
	FUNC(X86_MSR_MTRR_FIX4K, X86_MSR_MTRR_FIX4K + 7, FEAT(MTRR), 0,
		get_mtrr_fixed, set_mtrr_fixed),
	{X86_MSR_PAT, X86_MSR_PAT, FEAT(PAT), F(pat), false, 0, get_field,
		set_pat},
	{X86_MSR_MTRR_DEF_TYPE, X86_MSR_MTRR_DEF_TYPE, FEAT(MTRR),
		F(mtrr_def_type), false, 0, get_field, set_mtrr_def},
	FUNC(X86_MSR_MC0_CTL, X86_MSR_MC0_CTL + 4 * X86_MC_BANKS - 1, FEAT(MCA),
		0, get_mc_bank, set_mc_bank),
	FUNC(X86_MSR_TSC_DEADLINE, X86_MSR_TSC_DEADLINE, FEAT(TSC_DEADLINE), 0,
		get_deadline, set_deadline),
	FUNC(X86_MSR_X2APIC_FIRST, X86_MSR_X2APIC_LAST, FEAT(X2APIC), 0,
		get_apic, set_apic),
	FIELD(X86_MSR_XSS, FEAT(XSAVES), xss, 0),

	/* who has the local APICs has what KVM adds, too */
	FUNC(X86_MSR_KVM_FIRST, X86_MSR_KVM_LAST, FEAT(KVM_CLOCK), 0, get_apic,
		set_apic),

	{X86_MSR_EFER, X86_MSR_EFER, 0, F(efer), false, 0, get_field, set_efer},
	FIELD(X86_MSR_STAR, FEAT(SYSCALL), star, ALL),
	CANON(X86_MSR_LSTAR, FEAT(LM), lstar),
	CANON(X86_MSR_CSTAR, FEAT(LM), cstar),
	FIELD(X86_MSR_SFMASK, FEAT(LM), sfmask, 0xffffffff),
	FUNC(X86_MSR_FS_BASE, X86_MSR_FS_BASE, FEAT(LM), X86_FS, get_seg_base,
		set_seg_base),
	FUNC(X86_MSR_GS_BASE, X86_MSR_GS_BASE, FEAT(LM), X86_GS, get_seg_base,
		set_seg_base),
	CANON(X86_MSR_KERNEL_GS_BASE, FEAT(LM), kernel_gs_base),
	FUNC(X86_MSR_TSC_AUX, X86_MSR_TSC_AUX, 0, 0, get_tsc_aux, set_tsc_aux),

	TOUCHED_AMD(X86_MSR_AMD_SYSCFG, X86_MSR_AMD_SYSCFG, 0),
	/* TSC counts at the P0 frequency */
	TOUCHED_AMD(X86_MSR_AMD_HWCR, X86_MSR_AMD_HWCR, 1 << 24),
	TOUCHED_AMD(X86_MSR_AMD_IORR_FIRST, X86_MSR_AMD_TOP_MEM2, 0),
	TOUCHED_AMD(X86_MSR_AMD_NB_CFG, X86_MSR_AMD_NB_CFG, 0),
	TOUCHED_AMD(X86_MSR_AMD_INT_PENDING, X86_MSR_AMD_INT_PENDING, 0),
	TOUCHED_AMD(X86_MSR_AMD_MMIO_CONF, X86_MSR_AMD_MMIO_CONF, 0),
	TOUCHED_AMD(X86_MSR_AMD_PSTATE_LIMIT, X86_MSR_AMD_PSTATE7, 0),
	/* SVM disabled and locked */
	TOUCHED_AMD(X86_MSR_AMD_VM_CR, X86_MSR_AMD_VM_CR, 0x18),
	TOUCHED_AMD(X86_MSR_AMD_OSVW_LENGTH, X86_MSR_AMD_OSVW_STATUS, 0),
	TOUCHED_AMD(X86_MSR_AMD_CPUID_FIRST, X86_MSR_AMD_CPUID_LAST, 0),
	TOUCHED_AMD(X86_MSR_AMD_LS_CFG, X86_MSR_AMD_DC_CFG, 0),
	TOUCHED_AMD(X86_MSR_AMD_FP_CFG, X86_MSR_AMD_FP_CFG, 0),
	/* LFENCE serializes */
	TOUCHED_AMD(X86_MSR_AMD_DE_CFG, X86_MSR_AMD_DE_CFG, 2),
	TOUCHED_AMD(X86_MSR_AMD_BU_CFG2, X86_MSR_AMD_BU_CFG2, 0),
};

#define NROWS (sizeof(rows) / sizeof(rows[0]))

static const struct msr_row *msr_find(const struct soft_cpu *c, uint32_t msr)
{
	unsigned lo = 0, hi = NROWS;

	while (lo < hi) {
		unsigned mid = (lo + hi) / 2;

		if (msr > rows[mid].last)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == NROWS || msr < rows[lo].first)
		return NULL;
	if (rows[lo].feature && !soft_has(c, rows[lo].feature))
		return NULL;
	return rows[lo].amd && !c->vm->amd ? NULL : &rows[lo];
}

uint64_t soft_rdmsr(struct soft_cpu *c, uint32_t msr)
{
	const struct msr_row *r;
	uint64_t val = 0;

	if (c->cpl)
		soft_raise_err(c, X86_GP, 0);
	c->counters[SOFT_CNT_RDMSR]++;
	soft_trace(c, CPU_TRACE_RDMSR, 8, msr, 0);
	r = msr_find(c, msr);
	if (!r || !r->get || !r->get(c, r, msr, &val))
		soft_raise_err(c, X86_GP, 0);
	return val;
}

void soft_wrmsr(struct soft_cpu *c, uint32_t msr, uint64_t val)
{
	const struct msr_row *r;

	if (c->cpl)
		soft_raise_err(c, X86_GP, 0);
	c->counters[SOFT_CNT_WRMSR]++;
	soft_trace(c, CPU_TRACE_WRMSR, 8, msr, val);
	r = msr_find(c, msr);
	if (!r || !r->set || !r->set(c, r, msr, val))
		soft_raise_err(c, X86_GP, 0);
}
