/*
 * debug.c - debug registers, breakpoints and single-stepping.
 *
 * Intel SDM vol. 3, 17.2 (registers), 17.3 (exceptions); 6.8.3 (MOV SS).
 */
#include "cpu/soft/priv.h"

#define DR6_ONES 0xfffe0ff0ull /* reserved bits that read as one */
#define DR7_ONE	 (1ull << 10)

enum bp_type { BP_EXEC, BP_WRITE, BP_IO, BP_ACCESS };

static bool bp_enabled(const struct soft_cpu *c, unsigned i)
{
	return c->st.dr7 >> (i * 2) & 3;
}

static enum bp_type bp_type(const struct soft_cpu *c, unsigned i)
{
	return c->st.dr7 >> (16 + i * 4) & 3;
}

static unsigned bp_len(const struct soft_cpu *c, unsigned i)
{
	static const uint8_t len[] = {1, 2, 8, 4};

	return len[c->st.dr7 >> (18 + i * 4) & 3];
}

void soft_update_dr7(struct soft_cpu *c)
{
	static const uint8_t acc[] = {
		[BP_WRITE] = SOFT_ACC(SOFT_WRITE),
		[BP_ACCESS] = SOFT_ACC(SOFT_READ) | SOFT_ACC(SOFT_WRITE),
	};

	c->insn_bp &= SOFT_BP_DEBUGGER;
	c->data_bp &= SOFT_BP_DEBUGGER;
	c->bp_inhibit = false; /* nobody looked while none was enabled */
	for (unsigned i = 0; i < 4; i++) {
		c->bp_acc[i] = 0;
		if (!bp_enabled(c, i))
			continue;
		c->bp_acc[i] = acc[bp_type(c, i)];
		if (bp_type(c, i) == BP_EXEC)
			c->insn_bp |= 1;
		else
			c->data_bp |= 1;
	}
	if (c->data_bp & 1)
		soft_tlb_flush(c); /* of the watched pages' entries */
}

static bool bp_overlaps(
	const struct soft_cpu *c, unsigned i, uint64_t a, unsigned size)
{
	unsigned len = bp_len(c, i);
	uint64_t bp = c->st.dr[i] & ~(uint64_t)(len - 1);

	if (!c->long_mode)
		bp = (uint32_t)bp;
	return a < bp + len && bp < a + size;
}

void soft_check_insn_bp(struct soft_cpu *c)
{
	gva_t a = c->st.rip + (c->code64 ? 0 : c->st.seg[X86_CS].base);
	uint64_t hit = 0;

	if (c->bp_inhibit) {
		c->bp_inhibit = false;
		return;
	}
	if (c->st.rflags & X86_FL_RF)
		return;
	if (!c->code64)
		a = (uint32_t)a;
	for (unsigned i = 0; i < 4; i++)
		if (bp_enabled(c, i) && bp_type(c, i) == BP_EXEC &&
			bp_overlaps(c, i, a, 1))
			hit |= 1u << i;
	if (hit)
		soft_raise_db(c, hit);
}

void soft_check_data_bp(
	struct soft_cpu *c, gva_t a, unsigned size, enum soft_access acc)
{
	if (c->data_bp & SOFT_BP_DEBUGGER)
		soft_watch(c, a, size, acc);
	for (unsigned i = 0; i < 4; i++)
		if ((c->bp_acc[i] >> acc & 1) && bp_overlaps(c, i, a, size))
			c->db_pending |= 1u << i;
}

void soft_check_io_bp(struct soft_cpu *c, uint16_t port, unsigned size)
{
	if (!(c->st.cr4 & X86_CR4_DE))
		return;
	for (unsigned i = 0; i < 4; i++)
		if (bp_enabled(c, i) && bp_type(c, i) == BP_IO &&
			bp_overlaps(c, i, port, size))
			c->db_pending |= 1u << i;
}

void soft_end_insn_traps(struct soft_cpu *c, bool tf)
{
	uint64_t dr6 = c->db_pending;

	if (c->st.movss_shadow)
		return;
	if (tf && !c->tf_done)
		dr6 |= X86_DR6_BS;
	c->tf_done = false;
	if (!dr6)
		return;
	c->db_pending = 0;
	soft_raise_db(c, dr6);
}

/* DR4 and DR5 alias DR6 and DR7 unless CR4.DE. */
static unsigned soft_check_dr(struct soft_cpu *c, unsigned n)
{
	if (n > 7)
		soft_raise(c, X86_UD);
	if (c->cpl)
		soft_raise_err(c, X86_GP, 0);
	if (n == 4 || n == 5) {
		if (c->st.cr4 & X86_CR4_DE)
			soft_raise(c, X86_UD);
		n += 2;
	}
	if (c->st.dr7 & X86_DR7_GD)
		soft_raise_db(c, X86_DR6_BD);
	return n;
}

uint64_t soft_read_dr(struct soft_cpu *c, unsigned n)
{
	n = soft_check_dr(c, n);
	if (n < 4)
		return c->st.dr[n];
	return n == 6 ? c->st.dr6 : c->st.dr7;
}

void soft_write_dr(struct soft_cpu *c, unsigned n, uint64_t val)
{
	n = soft_check_dr(c, n);
	if (!c->code64)
		val = (uint32_t)val;
	if (n < 4) {
		c->st.dr[n] = val;
		if (c->bp_acc[n])
			soft_tlb_flush(c);
		return;
	}
	if (val >> 32)
		soft_raise_err(c, X86_GP, 0);
	if (n == 6) {
		c->st.dr6 = (val & 0xe00f) | DR6_ONES | 1u << 16;
		return;
	}
	c->st.dr7 = (val & 0xffff23ff) | DR7_ONE;
	soft_update_dr7(c);
}
