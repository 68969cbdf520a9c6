/*
 * sysreg.c - control registers, XCR0, INVPCID, and the changes of mode that
 * they bring.
 *
 * Intel SDM vol. 3, 2.5 (CRs), 4.1 (paging modes), 4.10.4 (what flushes),
 * 9.8.5 (long mode); vol. 2, MOV CR, LMSW, XSETBV, INVPCID.
 */
#include "cpu/soft/priv.h"

#define CR0_KEPT                                                               \
	(X86_CR0_PE | X86_CR0_MP | X86_CR0_EM | X86_CR0_TS | X86_CR0_NE |      \
		X86_CR0_WP | X86_CR0_AM | X86_CR0_NW | X86_CR0_CD |            \
		X86_CR0_PG)

static _Noreturn void soft_gp0(struct soft_cpu *c)
{
	soft_raise_err(c, X86_GP, 0);
}

/* ---- which bits exist ---- */

struct cr_bits {
	enum x86_feature feature;
	uint64_t bits;
};

static const struct cr_bits cr4_bits[] = {
	{X86_FEAT_VME, X86_CR4_VME | X86_CR4_PVI},
	{X86_FEAT_TSC, X86_CR4_TSD},
	{X86_FEAT_DE, X86_CR4_DE},
	{X86_FEAT_PSE, X86_CR4_PSE},
	{X86_FEAT_PAE, X86_CR4_PAE},
	{X86_FEAT_MCE, X86_CR4_MCE},
	{X86_FEAT_PGE, X86_CR4_PGE},
	{X86_FEAT_FXSR, X86_CR4_OSFXSR},
	{X86_FEAT_SSE, X86_CR4_OSXMMEXCPT},
	{X86_FEAT_UMIP, X86_CR4_UMIP},
	{X86_FEAT_FSGSBASE, X86_CR4_FSGSBASE},
	{X86_FEAT_PCID, X86_CR4_PCIDE},
	{X86_FEAT_XSAVE, X86_CR4_OSXSAVE},
	{X86_FEAT_SMEP, X86_CR4_SMEP},
	{X86_FEAT_SMAP, X86_CR4_SMAP},
};

uint64_t soft_cr4_valid(const struct soft_cpu *c)
{
	uint64_t v = X86_CR4_PCE;

	for (unsigned i = 0; i < sizeof(cr4_bits) / sizeof(cr4_bits[0]); i++)
		if (soft_has(c, cr4_bits[i].feature))
			v |= cr4_bits[i].bits;
	return v;
}

uint64_t soft_efer_valid(const struct soft_cpu *c)
{
	uint64_t v = 0;

	if (soft_has(c, X86_FEAT_SYSCALL))
		v |= X86_EFER_SCE;
	if (soft_has(c, X86_FEAT_LM))
		v |= X86_EFER_LME | X86_EFER_LMA;
	if (soft_has(c, X86_FEAT_NX))
		v |= X86_EFER_NXE;
	return v;
}

/* ---- reading ---- */

uint64_t soft_read_cr(struct soft_cpu *c, unsigned n)
{
	if (n == 1 || (n > 4 && n != 8))
		soft_raise(c, X86_UD);
	if (c->cpl)
		soft_gp0(c);
	switch (n) {
	case 0: return c->st.cr0;
	case 2: return c->st.cr2;
	case 3: return c->st.cr3;
	case 4: return c->st.cr4;
	default: return soft_get_tpr(c);
	}
}

/* ---- PAE's PDPTEs ---- */

/* Load them for the paging mode that cr0, cr3, cr4 will make, if that is PAE;
 * #GP if they are bad. */
static void soft_reload_pdptes(
	struct soft_cpu *c, uint64_t cr0, uint64_t cr3, uint64_t cr4)
{
	uint64_t pdpte[4];

	if (!(cr0 & X86_CR0_PG) || !(cr4 & X86_CR4_PAE) ||
		(c->st.efer & X86_EFER_LME))
		return;
	if (!soft_load_pdptes(c, cr3, pdpte))
		soft_gp0(c);
	memcpy(c->pdpte, pdpte, sizeof(pdpte));
}

/* ---- CR0 ---- */

static void soft_check_paging_on(struct soft_cpu *c)
{
	if (!(c->st.efer & X86_EFER_LME))
		return;
	if (!(c->st.cr4 & X86_CR4_PAE) || (c->st.seg[X86_CS].attr & X86_SEG_L))
		soft_gp0(c);
}

static void soft_check_paging_off(struct soft_cpu *c)
{
	if (c->code64 || (c->st.cr4 & X86_CR4_PCIDE))
		soft_gp0(c);
}

static void soft_set_cr0(struct soft_cpu *c, uint64_t val)
{
	uint64_t old = c->st.cr0, diff;

	val = (val & CR0_KEPT) | X86_CR0_ET;
	if ((val & X86_CR0_PG) && !(val & X86_CR0_PE))
		soft_gp0(c);
	if ((val & X86_CR0_NW) && !(val & X86_CR0_CD))
		soft_gp0(c);
	diff = old ^ val;
	if (diff & val & X86_CR0_PG)
		soft_check_paging_on(c);
	if (diff & old & X86_CR0_PG)
		soft_check_paging_off(c);
	if (diff & (X86_CR0_PG | X86_CR0_CD | X86_CR0_NW))
		soft_reload_pdptes(c, val, c->st.cr3, c->st.cr4);
	c->st.cr0 = val;
	if ((val & X86_CR0_PG) && (c->st.efer & X86_EFER_LME))
		c->st.efer |= X86_EFER_LMA;
	else
		c->st.efer &= ~X86_EFER_LMA;
	soft_update_mode(c);
}

/* ---- CR3 ---- */

static void soft_set_cr3(struct soft_cpu *c, uint64_t val)
{
	if (c->long_mode || c->code64) {
		if (c->st.cr4 & X86_CR4_PCIDE)
			val &= ~(1ull << 63);
		if (val >> c->phys_bits)
			soft_gp0(c);
	} else {
		val = (uint32_t)val;
	}
	soft_reload_pdptes(c, c->st.cr0, val, c->st.cr4);
	c->st.cr3 = val;
	soft_tlb_flush_local(c);
}

/* ---- CR4 ---- */

static void soft_set_cr4(struct soft_cpu *c, uint64_t val)
{
	uint64_t diff = c->st.cr4 ^ val;

	if (val & ~soft_cr4_valid(c))
		soft_gp0(c);
	if (c->long_mode && !(val & X86_CR4_PAE))
		soft_gp0(c);
	if ((diff & val & X86_CR4_PCIDE) &&
		(!c->long_mode || (c->st.cr3 & 0xfff)))
		soft_gp0(c);
	if (diff & (X86_CR4_PAE | X86_CR4_PGE | X86_CR4_PSE | X86_CR4_SMEP))
		soft_reload_pdptes(c, c->st.cr0, c->st.cr3, val);
	c->st.cr4 = val;
	soft_update_mode(c);
}

static void soft_set_cr8(struct soft_cpu *c, uint64_t val)
{
	if (val >> 4)
		soft_gp0(c);
	c->st.cr8 = val;
	soft_set_tpr(c, val);
}

void soft_write_cr(struct soft_cpu *c, unsigned n, uint64_t val)
{
	if (n == 1 || (n > 4 && n != 8))
		soft_raise(c, X86_UD);
	if (c->cpl)
		soft_gp0(c);
	c->counters[SOFT_CNT_CR]++;
	if (!c->code64)
		val = (uint32_t)val;
	soft_trace(c, CPU_TRACE_CR, 8, n, val);
	switch (n) {
	case 0:
		if (val >> 32)
			soft_gp0(c);
		soft_set_cr0(c, val);
		break;
	case 2: c->st.cr2 = val; break;
	case 3: soft_set_cr3(c, val); break;
	case 4: soft_set_cr4(c, val); break;
	default: soft_set_cr8(c, val);
	}
}

void soft_lmsw(struct soft_cpu *c, uint16_t msw)
{
	uint64_t low = X86_CR0_MP | X86_CR0_EM | X86_CR0_TS;

	if (c->cpl)
		soft_gp0(c);
	/* PE can be set, not cleared */
	soft_set_cr0(c, (c->st.cr0 & ~low) | (msw & (low | X86_CR0_PE)));
}

void soft_clts(struct soft_cpu *c)
{
	if (c->cpl)
		soft_gp0(c);
	c->st.cr0 &= ~X86_CR0_TS;
}

/* ---- XCR0 ---- */

#define XCR0_AVX512 (7ull << 5)
#define XCR0_MPX    (3ull << 3)

static bool soft_xcr0_ok(const struct soft_cpu *c, uint64_t v)
{
	if ((v & ~c->vm->model->xcr0_mask) || !(v & 1))
		return false;
	if ((v & 4) && !(v & 2))
		return false;
	if ((v & XCR0_MPX) && (v & XCR0_MPX) != XCR0_MPX)
		return false;
	return !(v & XCR0_AVX512) ||
	       ((v & XCR0_AVX512) == XCR0_AVX512 && (v & 4));
}

void soft_xsetbv(struct soft_cpu *c, uint32_t idx, uint64_t val)
{
	if (!(c->st.cr4 & X86_CR4_OSXSAVE))
		soft_raise(c, X86_UD);
	if (c->cpl || idx != 0 || !soft_xcr0_ok(c, val))
		soft_gp0(c);
	c->st.xcr0 = val;
}

/* ---- INVPCID ---- */

/* Only kind 2 drops global pages; PCIDs are not told apart. */
void soft_invpcid(struct soft_cpu *c, uint64_t type, gva_t desc)
{
	uint64_t d[2];

	if (c->cpl)
		soft_gp0(c);
	soft_load_bytes(c, desc, d, sizeof(d), c->tlb_mode);
	if (type > 3 || d[0] >> 12)
		soft_gp0(c);
	if (!(c->st.cr4 & X86_CR4_PCIDE) && type < 2 && d[0])
		soft_gp0(c);
	if (type == 0 && !soft_canonical(d[1]))
		soft_gp0(c);
	if (type == 0)
		soft_tlb_flush_page(c, d[1]);
	else if (type == 2)
		soft_tlb_flush(c);
	else
		soft_tlb_flush_local(c);
}
