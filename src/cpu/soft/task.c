/*
 * task.c - hardware task switches.
 *
 * Up to the commit point (step "TR") faults belong to the old task and leave
 * it untouched; all reads and write permissions are therefore tried first.
 * After it the new task's registers are in place and faults are raised in it.
 *
 * Intel SDM vol. 3, 7.2.1 (TSS), 7.3 (switching, table 7-1), 7.6 (16-bit).
 */
#include "cpu/soft/priv.h"

/* Where things are in a TSS of either size. */
struct tss_layout {
	uint8_t size; /* bytes of a register field */
	uint8_t min;  /* least limit */
	uint8_t ip, flags, gpr, seg, nseg, ldt;
	uint8_t static_bytes; /* of the part that a switch saves and loads */
};

static const struct tss_layout tss16 = {
	2,
	43,
	14,
	16,
	18,
	34,
	4,
	42,
	44,
};
static const struct tss_layout tss32 = {
	4,
	103,
	32,
	36,
	40,
	72,
	6,
	96,
	104,
};

#define TSS_CR3	 28
#define TSS_TRAP 100

static uint32_t tss_get(const uint8_t *t, unsigned off, unsigned size)
{
	uint32_t v = 0;

	memcpy(&v, t + off, size);
	return v;
}

static const struct tss_layout *tss_layout_of(unsigned attr)
{
	return (attr & 0xd) == SOFT_TSS16 ? &tss16 : &tss32;
}

/* The descriptor of the incoming task. */
static uint64_t task_descriptor(
	struct soft_cpu *c, uint16_t sel, enum soft_task_reason why)
{
	uint8_t bad = why == SOFT_TASK_IRET ? X86_TS : X86_GP;
	unsigned type;
	uint64_t d;

	if (soft_sel_null(sel) || (sel & 4))
		soft_raise_sel(c, bad, sel);
	d = soft_desc_read(c, sel, bad);
	type = soft_desc_type(d);
	if ((type & ~8u) !=
		(why == SOFT_TASK_IRET ? SOFT_TSS16_BUSY : SOFT_TSS16))
		soft_raise_sel(c, bad, sel);
	if (!soft_desc_present(d))
		soft_raise_sel(c, X86_NP, sel);
	if (soft_desc_limit(d) < tss_layout_of(type)->min)
		soft_raise_sel(c, X86_TS, sel);
	return d;
}

/* Registers of the outgoing task into its TSS: only the fields that change,
 * from IP to the last segment. */
static void task_save(struct soft_cpu *c, uint64_t next, uint64_t flags)
{
	const struct x86_seg *tr = &c->st.seg[X86_TR];
	const struct tss_layout *l = tss_layout_of(tr->attr);
	unsigned n = l->seg + l->nseg * l->size - l->ip;
	uint8_t buf[104] = {0};
	uint32_t v;

	v = next;
	memcpy(buf + l->ip, &v, l->size);
	v = flags;
	memcpy(buf + l->flags, &v, l->size);
	for (unsigned i = 0; i < 8; i++) {
		v = c->st.gpr[i];
		memcpy(buf + l->gpr + i * l->size, &v, l->size);
	}
	for (unsigned i = 0; i < l->nseg; i++) {
		v = c->st.seg[i].sel;
		memcpy(buf + l->seg + i * l->size, &v, l->size);
	}
	soft_store_bytes(
		c, (uint32_t)(tr->base + l->ip), buf + l->ip, n, SOFT_KERNEL);
}

static void task_probe_save(struct soft_cpu *c)
{
	const struct x86_seg *tr = &c->st.seg[X86_TR];
	const struct tss_layout *l = tss_layout_of(tr->attr);

	soft_probe_write(c, (uint32_t)(tr->base + l->ip),
		l->seg + l->nseg * l->size - l->ip, SOFT_KERNEL);
}

/* ---- the new task, after the commit point ---- */

static void task_load_ldt(struct soft_cpu *c, uint16_t sel)
{
	uint64_t d;

	soft_seg_null(&c->st.seg[X86_LDTR], sel);
	if (soft_sel_null(sel))
		return;
	if (sel & 4)
		soft_raise_sel(c, X86_TS, sel);
	d = soft_desc_read(c, sel, X86_TS);
	if (soft_desc_type(d) != SOFT_LDT || !soft_desc_present(d))
		soft_raise_sel(c, X86_TS, sel);
	soft_seg_from_desc(&c->st.seg[X86_LDTR], sel, d);
}

static void task_load_cs(struct soft_cpu *c, uint16_t sel)
{
	uint64_t d;
	unsigned dpl;

	if (soft_sel_null(sel))
		soft_raise_sel(c, X86_TS, sel);
	d = soft_desc_read(c, sel, X86_TS);
	dpl = soft_desc_dpl(d);
	if (!soft_desc_code(d))
		soft_raise_sel(c, X86_TS, sel);
	if (soft_desc_conforming(d) ? dpl > (sel & 3u) : dpl != (sel & 3u))
		soft_raise_sel(c, X86_TS, sel);
	if (!soft_desc_present(d))
		soft_raise_sel(c, X86_NP, sel);
	soft_desc_set(c, sel, d, X86_SEG_A);
	soft_seg_from_desc(&c->st.seg[X86_CS], sel, d | 1ull << 40);
	soft_update_mode(c);
}

static void task_load_ss(struct soft_cpu *c, uint16_t sel, unsigned cpl)
{
	uint64_t d;

	if (soft_sel_null(sel))
		soft_raise_sel(c, X86_TS, sel);
	d = soft_desc_read(c, sel, X86_TS);
	if ((sel & 3) != cpl || soft_desc_dpl(d) != cpl ||
		!soft_desc_writable_data(d))
		soft_raise_sel(c, X86_TS, sel);
	if (!soft_desc_present(d))
		soft_raise_sel(c, X86_SSF, sel);
	soft_desc_set(c, sel, d, X86_SEG_A);
	soft_seg_from_desc(&c->st.seg[X86_SS], sel, d | 1ull << 40);
	soft_update_mode(c);
}

static void task_load_data(
	struct soft_cpu *c, unsigned seg, uint16_t sel, unsigned cpl)
{
	uint64_t d;
	unsigned dpl;

	if (soft_sel_null(sel))
		return;
	d = soft_desc_read(c, sel, X86_TS);
	dpl = soft_desc_dpl(d);
	if (!(d & 1ull << 44) || (soft_desc_code(d) && !(d & 1ull << 41)))
		soft_raise_sel(c, X86_TS, sel);
	if (!soft_desc_conforming(d) && ((sel & 3u) > dpl || cpl > dpl))
		soft_raise_sel(c, X86_TS, sel);
	if (!soft_desc_present(d))
		soft_raise_sel(c, X86_NP, sel);
	soft_desc_set(c, sel, d, X86_SEG_A);
	soft_seg_from_desc(&c->st.seg[seg], sel, d | 1ull << 40);
}

static void task_load_cr3(struct soft_cpu *c, uint32_t cr3)
{
	uint64_t pdpte[4];

	c->st.cr3 = cr3;
	soft_tlb_flush_local(c);
	if (!c->pae)
		return;
	if (!soft_load_pdptes(c, cr3, pdpte))
		soft_raise_gp(c);
	memcpy(c->pdpte, pdpte, sizeof(pdpte));
}

/* Registers that cannot fail; segments get their selectors only. */
static void task_load_regs(
	struct soft_cpu *c, const uint8_t *t, const struct tss_layout *l)
{
	uint32_t fl = tss_get(t, l->flags, l->size);

	c->st.rip = tss_get(t, l->ip, l->size);
	c->st.rflags = (fl & 0x3f7fd5) | X86_FL_1;
	for (unsigned i = 0; i < 8; i++) {
		uint32_t v = tss_get(t, l->gpr + i * l->size, l->size);

		c->st.gpr[i] = l->size == 2 ? v | 0xffff0000u : v;
	}
	for (unsigned i = 0; i < 6; i++) {
		uint16_t sel =
			i < l->nseg ? tss_get(t, l->seg + i * l->size, 2) : 0;

		if (c->st.rflags & X86_FL_VM)
			soft_seg_v86(&c->st.seg[i], sel);
		else
			soft_seg_null(&c->st.seg[i], sel);
	}
}

static void task_load_segs(
	struct soft_cpu *c, const uint8_t *t, const struct tss_layout *l)
{
	struct x86_seg *seg = c->st.seg;
	unsigned cpl = seg[X86_CS].sel & 3;
	bool v86 = c->st.rflags & X86_FL_VM;

	if (!v86) {
		seg[X86_CS].attr =
			X86_SEG_S | X86_SEG_CODE | cpl << X86_SEG_DPL_SHIFT;
		seg[X86_SS].attr = cpl << X86_SEG_DPL_SHIFT;
	}
	soft_update_mode(c);
	task_load_ldt(c, tss_get(t, l->ldt, 2));
	if (!v86) {
		static const uint8_t data[] = {X86_ES, X86_DS, X86_FS, X86_GS};

		task_load_cs(c, seg[X86_CS].sel);
		task_load_ss(c, seg[X86_SS].sel, cpl);
		for (unsigned i = 0; i < sizeof(data); i++)
			task_load_data(c, data[i], seg[data[i]].sel, cpl);
	}
	if (c->st.rip > seg[X86_CS].limit)
		soft_raise_gp(c);
}

/* Everything up to the commit point.  t: the new TSS as read. */
static void task_leave_old(struct soft_cpu *c, uint16_t sel, uint64_t d,
	enum soft_task_reason why, uint64_t next, uint64_t flags)
{
	struct x86_seg *tr = &c->st.seg[X86_TR];
	uint16_t old = tr->sel;

	if (why == SOFT_TASK_CALL) /* room for the link, tried before */
		soft_probe_write(c, soft_desc_base(d), 2, SOFT_KERNEL);
	task_save(c, next, flags);
	if (why != SOFT_TASK_CALL)
		soft_desc_clear(c, old, 2);
	if (why == SOFT_TASK_CALL)
		soft_store(c, soft_desc_base(d), 2, old, SOFT_KERNEL);
	if (why != SOFT_TASK_IRET)
		soft_desc_set(c, sel, d, 2);
	soft_seg_from_desc(tr, sel, d | 2ull << 40);
	c->st.cr0 |= X86_CR0_TS;
}

void soft_task_switch(struct soft_cpu *c, uint16_t sel,
	enum soft_task_reason why, uint64_t next, uint64_t flags)
{
	uint64_t d = task_descriptor(c, sel, why);
	const struct tss_layout *l = tss_layout_of(soft_desc_attr(d));
	uint8_t t[104] = {0};

	soft_load_bytes(c, soft_desc_base(d), t, l->static_bytes, SOFT_KERNEL);
	task_probe_save(c);
	if (why == SOFT_TASK_IRET)
		flags &= ~(uint64_t)X86_FL_NT;
	task_leave_old(c, sel, d, why, next, flags);
	c->counters[SOFT_CNT_TASK_SWITCH]++;

	/* LE and L0..L3 are local to the task that was left. */
	c->st.dr7 &= ~0x155ull;
	soft_update_dr7(c);
	if (l == &tss32 && c->paging)
		task_load_cr3(c, tss_get(t, TSS_CR3, 4));
	task_load_regs(c, t, l);
	if (why == SOFT_TASK_CALL)
		c->st.rflags |= X86_FL_NT;
	task_load_segs(c, t, l);
	if (l == &tss32 && (t[TSS_TRAP] & 1))
		c->db_pending |= X86_DR6_BT;
}

void soft_task_return(struct soft_cpu *c, uint64_t next)
{
	uint16_t link =
		soft_load(c, (uint32_t)c->st.seg[X86_TR].base, 2, SOFT_KERNEL);

	soft_task_switch(c, link, SOFT_TASK_IRET, next, c->st.rflags);
}
