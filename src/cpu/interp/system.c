/*
 * system.c - system registers, descriptor tables, processor control.
 *
 * X86_AT_PROT, X86_AT_PRIV and X86_AT_UMIP are checked before an operation is
 * called (step.c); what is left here are the checks that only one operation
 * has.
 */
#include "cpu/interp/ops.h"

#include <sys/random.h>

static uint64_t system_edx_eax(const struct soft_cpu *c)
{
	return c->st.gpr[X86_RDX] << 32 | (uint32_t)c->st.gpr[X86_RAX];
}

static void system_set_edx_eax(struct soft_cpu *c, uint64_t v)
{
	c->st.gpr[X86_RAX] = (uint32_t)v;
	c->st.gpr[X86_RDX] = v >> 32;
}

static void system_set_zf(struct soft_cpu *c, bool zf)
{
	c->st.rflags &= ~(uint64_t)X86_FL_ZF;
	if (zf)
		c->st.rflags |= X86_FL_ZF;
}

/* ---- descriptors ---- */

/* Memory is written only if the RPL changes. */
INTERP_FN(arpl)
{
	uint64_t d = interp_read(c, i, 0, 2), rpl = interp_read(c, i, 1, 2) & 3;
	bool raise = (d & 3) < rpl;

	if (raise)
		interp_write(c, i, 0, 2, (d & ~3ull) | rpl);
	system_set_zf(c, raise);
}

static void system_look(struct soft_cpu *c, const struct x86_insn *i,
	bool (*look)(struct soft_cpu *c, uint16_t sel, uint32_t *v))
{
	uint32_t v = 0;
	bool ok = look(c, interp_read(c, i, 1, 2), &v);

	if (ok)
		interp_set_gpr(c, &i->opnd[0], i->opnd[0].size, v);
	system_set_zf(c, ok);
}

INTERP_FN(lar)
{
	system_look(c, i, soft_lar);
}

INTERP_FN(lsl)
{
	system_look(c, i, soft_lsl);
}

INTERP_FN(verr)
{
	system_set_zf(c, soft_verify(c, interp_read(c, i, 0, 2), false));
}

INTERP_FN(verw)
{
	system_set_zf(c, soft_verify(c, interp_read(c, i, 0, 2), true));
}

INTERP_FN(sldt)
{
	interp_write(c, i, 0, i->opnd[0].size, c->st.seg[X86_LDTR].sel);
}

INTERP_FN(str)
{
	interp_write(c, i, 0, i->opnd[0].size, c->st.seg[X86_TR].sel);
}

INTERP_FN(lldt)
{
	soft_lldt(c, interp_read(c, i, 0, 2));
}

INTERP_FN(ltr)
{
	soft_ltr(c, interp_read(c, i, 0, 2));
}

static void system_store_dtab(
	struct soft_cpu *c, const struct x86_insn *i, const struct x86_dtab *t)
{
	unsigned n = c->code64 ? 10 : 6;
	gva_t a = interp_mem(c, i, n, SOFT_WRITE);
	uint8_t buf[10];

	memcpy(buf, &t->limit, 2);
	memcpy(buf + 2, &t->base, 8);
	soft_store_bytes(c, a, buf, n, c->tlb_mode);
}

static void system_load_dtab(
	struct soft_cpu *c, const struct x86_insn *i, struct x86_dtab *t)
{
	unsigned n = c->code64 ? 10 : 6;
	gva_t a = interp_mem(c, i, n, SOFT_READ);
	uint8_t buf[10] = {0};
	uint64_t base;

	soft_load_bytes(c, a, buf, n, c->tlb_mode);
	memcpy(&base, buf + 2, 8);
	if (!c->code64 && i->osize == 2)
		base &= 0xffffff;
	if (!interp_canonical(c, base))
		soft_raise_err(c, X86_GP, 0);
	memcpy(&t->limit, buf, 2);
	t->base = base;
}

INTERP_FN(sgdt)
{
	system_store_dtab(c, i, &c->st.gdtr);
}

INTERP_FN(sidt)
{
	system_store_dtab(c, i, &c->st.idtr);
}

INTERP_FN(lgdt)
{
	system_load_dtab(c, i, &c->st.gdtr);
}

INTERP_FN(lidt)
{
	system_load_dtab(c, i, &c->st.idtr);
}

/* ---- control and debug registers ---- */

INTERP_FN(smsw)
{
	interp_write(c, i, 0, i->opnd[0].size, c->st.cr0);
}

INTERP_FN(lmsw)
{
	soft_lmsw(c, interp_read(c, i, 0, 2));
}

INTERP_FN(clts)
{
	soft_clts(c);
}

INTERP_FN(mov_cr)
{
	const struct x86_opnd *d = &i->opnd[0], *s = &i->opnd[1];

	if (d->kind == X86_OK_CR)
		soft_write_cr(c, d->reg, interp_gpr(c, s, s->size));
	else
		interp_set_gpr(c, d, d->size, soft_read_cr(c, s->reg));
}

INTERP_FN(mov_dr)
{
	const struct x86_opnd *d = &i->opnd[0], *s = &i->opnd[1];

	if (d->kind == X86_OK_DR)
		soft_write_dr(c, d->reg, interp_gpr(c, s, s->size));
	else
		interp_set_gpr(c, d, d->size, soft_read_dr(c, s->reg));
}

/* ---- translations and caches ---- */

INTERP_FN(invlpg)
{
	uint64_t a = interp_ea(c, i);

	if (!c->code64)
		a = (uint32_t)(a + c->st.seg[i->seg].base);
	else if (i->seg >= X86_FS)
		a += c->st.seg[i->seg].base;
	if (interp_canonical(c, a))
		soft_tlb_flush_page(c, a);
}

INTERP_FN(invpcid)
{
	uint64_t type = interp_gpr(c, &i->opnd[0], i->opnd[0].size);

	soft_invpcid(c, type, interp_mem(c, i, 16, SOFT_READ));
}

/* Faults as a load of one byte does, and reads nothing, so that a segment need
 * not be readable (SDM vol. 2, CLFLUSH). */
INTERP_FN(clflush)
{
	gva_t a = interp_mem(c, i, 1, SOFT_EXEC);

	soft_host(c, a, 1, SOFT_READ, c->tlb_mode);
}

/* ---- model-specific registers, time, identity ---- */

INTERP_FN(rdmsr)
{
	system_set_edx_eax(c, soft_rdmsr(c, c->st.gpr[X86_RCX]));
}

INTERP_FN(wrmsr)
{
	soft_wrmsr(c, c->st.gpr[X86_RCX], system_edx_eax(c));
}

static void system_check_tsd(struct soft_cpu *c)
{
	if (c->cpl && c->st.cr4 & X86_CR4_TSD)
		soft_raise_err(c, X86_GP, 0);
}

INTERP_FN(rdtsc)
{
	system_check_tsd(c);
	system_set_edx_eax(c, soft_rdtsc(c));
}

INTERP_FN(rdtscp)
{
	system_check_tsd(c);
	system_set_edx_eax(c, soft_rdtsc(c));
	c->st.gpr[X86_RCX] = (uint32_t)c->st.tsc_aux;
}

/* No model has performance counters, so no counter number is valid. */
INTERP_FN(rdpmc)
{
	soft_raise_err(c, X86_GP, 0);
}

INTERP_FN(rdpid)
{
	interp_set_gpr(
		c, &i->opnd[0], i->opnd[0].size, (uint32_t)c->st.tsc_aux);
}

INTERP_FN(cpuid)
{
	soft_cpuid(c);
}

INTERP_FN(rdrand)
{
	uint64_t v = 0;

	if (c->env && c->env->random)
		v = c->env->random(c);
	else if (getrandom(&v, sizeof(v), 0) != sizeof(v))
		__builtin_trap();
	interp_set_gpr(c, &i->opnd[0], i->opnd[0].size, v);
	c->st.rflags &= ~(uint64_t)X86_FL_ARITH;
	c->st.rflags |= X86_FL_CF;
}

/* ---- FS and GS bases ---- */

static void system_need_fsgsbase(struct soft_cpu *c)
{
	if (!(c->st.cr4 & X86_CR4_FSGSBASE))
		soft_raise(c, X86_UD);
}

static void system_read_base(
	struct soft_cpu *c, const struct x86_insn *i, unsigned seg)
{
	system_need_fsgsbase(c);
	interp_set_gpr(c, &i->opnd[0], i->opnd[0].size, c->st.seg[seg].base);
}

static void system_write_base(
	struct soft_cpu *c, const struct x86_insn *i, unsigned seg)
{
	uint64_t v = interp_gpr(c, &i->opnd[0], i->opnd[0].size);

	system_need_fsgsbase(c);
	if (!interp_canonical(c, v))
		soft_raise_err(c, X86_GP, 0);
	c->st.seg[seg].base = v;
}

INTERP_FN(rdfsbase)
{
	system_read_base(c, i, X86_FS);
}

INTERP_FN(rdgsbase)
{
	system_read_base(c, i, X86_GS);
}

INTERP_FN(wrfsbase)
{
	system_write_base(c, i, X86_FS);
}

INTERP_FN(wrgsbase)
{
	system_write_base(c, i, X86_GS);
}

INTERP_FN(swapgs)
{
	uint64_t v = c->st.seg[X86_GS].base;

	c->st.seg[X86_GS].base = c->st.kernel_gs_base;
	c->st.kernel_gs_base = v;
}

/* ---- flags ---- */

INTERP_FN(cli)
{
	soft_cli(c);
}

INTERP_FN(sti)
{
	soft_sti(c);
}

static void system_set_ac(struct soft_cpu *c, uint64_t ac)
{
	if (c->cpl)
		soft_raise(c, X86_UD);
	c->st.rflags = (c->st.rflags & ~(uint64_t)X86_FL_AC) | ac;
	soft_update_mode(c);
}

INTERP_FN(clac)
{
	system_set_ac(c, 0);
}

INTERP_FN(stac)
{
	system_set_ac(c, X86_FL_AC);
}

/* ---- protection keys ---- */

static void system_check_pkru(struct soft_cpu *c)
{
	if (!(c->st.cr4 & X86_CR4_PKE))
		soft_raise(c, X86_UD);
	if ((uint32_t)c->st.gpr[X86_RCX])
		soft_raise_err(c, X86_GP, 0);
}

INTERP_FN(rdpkru)
{
	system_check_pkru(c);
	system_set_edx_eax(c, c->st.fpu.pkru);
}

INTERP_FN(wrpkru)
{
	system_check_pkru(c);
	if ((uint32_t)c->st.gpr[X86_RDX])
		soft_raise_err(c, X86_GP, 0);
	c->st.fpu.pkru = c->st.gpr[X86_RAX];
	soft_tlb_flush(c);
}

/* ---- waiting ---- */

INTERP_FN(hlt)
{
	c->st.activity = X86_ACT_HALT;
	c->counters[SOFT_CNT_HLT]++;
	soft_trace(c, CPU_TRACE_HALT, 1, 0, 0);
}

INTERP_FN(hypercall)
{
	soft_hypercall(c);
}

INTERP_FN(monitor)
{
	uint64_t off = interp_asize_mask(i, c->st.gpr[X86_RAX]);
	gva_t a;

	if (i->op == X86_OP_MONITOR && c->cpl)
		soft_raise(c, X86_UD);
	if ((uint32_t)c->st.gpr[X86_RCX])
		soft_raise_err(c, X86_GP, 0);
	a = interp_linear(c, interp_data_seg(i), off, 1, SOFT_READ);
	soft_host(c, a, 1, SOFT_READ, c->tlb_mode);
}

/* Waking at once is allowed, and never misses a write. */
INTERP_FN(mwait)
{
	if (i->op == X86_OP_MWAIT && c->cpl)
		soft_raise(c, X86_UD);
	if ((uint32_t)c->st.gpr[X86_RCX] > 1)
		soft_raise_err(c, X86_GP, 0);
}

INTERP_FN(umonitor)
{
	uint64_t off = interp_asize_mask(i, c->st.gpr[i->opnd[0].reg]);
	gva_t a = interp_linear(c, interp_data_seg(i), off, 1, SOFT_READ);

	soft_host(c, a, 1, SOFT_READ, c->tlb_mode);
}

INTERP_FN(umwait)
{
	system_check_tsd(c);
	if ((uint32_t)c->st.gpr[i->opnd[0].reg] > 1)
		soft_raise_err(c, X86_GP, 0);
	c->st.rflags &= ~(uint64_t)X86_FL_ARITH;
}

/* ---- transactions: every one aborts as it begins ---- */

INTERP_FN(xbegin)
{
	uint64_t t = interp_target(c, interp_next(c, i) + i->imm, i->osize);

	c->st.gpr[X86_RAX] = 0;
	c->st.rip = t;
}

INTERP_FN(xend)
{
	soft_raise_err(c, X86_GP, 0);
}

INTERP_FN(xtest)
{
	c->st.rflags &= ~(uint64_t)X86_FL_ARITH;
	c->st.rflags |= X86_FL_ZF;
}

/* ---- nothing, and what is not there ---- */

INTERP_FN(nop)
{
}

INTERP_FN(ud)
{
	soft_raise(c, X86_UD);
}
