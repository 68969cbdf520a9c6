/*
 * quick.c - what a 64-bit guest does most, for the translator.
 *
 * A page walk that finds all as it mostly is, SYSCALL, SYSRET, IRET and the
 * delivery of an exception between flat segments of 64-bit code.  Each says
 * false, having changed nothing that counts, if anything is out of the
 * ordinary: then its complete brother elsewhere decides.  Nothing raises.
 *
 * Compiled without vector instructions, and calling nothing that is not: the
 * guest's vector registers may be in the host's.
 */
#include "cpu/soft/quick.h"

#include "cpu/soft/priv.h"

#define CODE64 0xa09b /* P, S, execute/read/accessed, L, G */
#define DATA32 0xc093

/* Page flags of which nothing is known here. */
#define FLAGS_OVERLAID (0xffu & ~(BUS_PAGE_CODE | BUS_PAGE_CLEAN))

/* ---- data breakpoints ---- */

bool soft_page_watched(const struct soft_cpu *c, gva_t a, enum soft_access acc)
{
	const struct cpu_debug *d =
		c->data_bp & SOFT_BP_DEBUGGER ? c->debugger : NULL;
	gva_t page = a >> BUS_PAGE_SHIFT;

	for (unsigned i = 0; i < 4; i++) {
		gva_t at = c->long_mode ? c->st.dr[i] : (uint32_t)c->st.dr[i];

		if ((c->bp_acc[i] >> acc & 1) && at >> BUS_PAGE_SHIFT == page)
			return true;
	}
	for (unsigned i = 0; d && i < d->nbrk; i++) {
		const struct cpu_break *b = &d->brk[i];

		if ((soft_break_acc(b) >> acc & 1) &&
			page >= b->addr >> BUS_PAGE_SHIFT &&
			page <= (b->addr + b->len - 1) >> BUS_PAGE_SHIFT)
			return true;
	}
	return false;
}

/* ---- translation ---- */

static unsigned soft_page_flags(const struct soft_cpu *c, uint64_t ram)
{
	return atomic_load_explicit(&c->vm->page_flags[ram >> BUS_PAGE_SHIFT],
		memory_order_relaxed);
}

/* RAM offset of a physical address, or ~0. */
static uint64_t quick_ram(const struct soft_cpu *c, gpa_t gpa)
{
	const struct bus_ram *ram = c->vm->ram;

	if (gpa < ram->low)
		return gpa;
	gpa -= 4ull << 30;
	return gpa < ram->bytes - ram->low ? gpa + ram->low : ~0ull;
}

/* Set A and D in a leaf that has been read as e. */
static bool quick_set(
	const struct soft_cpu *c, uint64_t at, uint64_t e, uint64_t bits)
{
	uint64_t *p = (uint64_t *)(void *)(c->vm->ram_host + at);

	if ((e & bits) == bits)
		return true;
	return !(soft_page_flags(c, at) & (BUS_PAGE_CODE | BUS_PAGE_CLEAN)) &&
	       __atomic_compare_exchange_n(p, &e, e | bits, false,
		       __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

static bool quick_large_ok(const struct soft_cpu *c, uint64_t e, unsigned shift)
{
	if (shift > 30 || (shift == 30 && !soft_has(c, X86_FEAT_PDPE1GB)))
		return false;
	return !(e & ((1ull << shift) - 1) & PTE_ADDR & ~(1ull << 12));
}

/* 0 and *w; QUICK_NO; or the #PF error code with bit 31 set. */
#define QUICK_NO 1u

static uint32_t quick_error(
	const struct soft_cpu *c, enum soft_access acc, enum soft_mode m)
{
	uint32_t err = 1u << 31;

	if (acc == SOFT_WRITE)
		err |= X86_PFEC_W;
	if (m >= SOFT_USER)
		err |= X86_PFEC_U;
	if (acc == SOFT_EXEC &&
		((c->st.efer & X86_EFER_NXE) || (c->st.cr4 & X86_CR4_SMEP)))
		err |= X86_PFEC_I;
	return err;
}

/* sets: may the dirty flag be set for a write? */
static uint32_t quick_walk(struct soft_cpu *c, gva_t a, enum soft_access acc,
	enum soft_mode m, bool sets, struct soft_walk *w)
{
	uint64_t bad = PTE_ADDR & ~((1ull << c->phys_bits) - 1);
	uint64_t rights = PTE_W | PTE_U, nx = 0, e = c->st.cr3, at;
	unsigned shift = 48;

	if (!(c->st.efer & X86_EFER_NXE))
		bad |= PTE_NX;
	do {
		shift -= 9;
		at = quick_ram(c, (e & PTE_ADDR) | (a >> shift & 511) << 3);
		if (at == ~0ull || (soft_page_flags(c, at) & FLAGS_OVERLAID))
			return QUICK_NO;
		e = soft_host_load(c->vm->ram_host + at, 8);
		if (!(e & PTE_P))
			return quick_error(c, acc, m);
		if ((e & bad) || (shift > 12 && !(e & PTE_A)))
			return QUICK_NO;
		rights &= e;
		nx |= e & PTE_NX;
	} while (shift > 12 && !(e & PTE_PS));
	if (shift > 12 && !quick_large_ok(c, e, shift))
		return QUICK_NO;
	if (!soft_allowed(c, rights | nx, acc, m))
		return quick_error(c, acc, m) | X86_PFEC_P;
	if (!sets && acc == SOFT_WRITE && !(e & PTE_D))
		return QUICK_NO;
	if (!quick_set(c, at, e, PTE_A | (acc == SOFT_WRITE ? PTE_D : 0)))
		return QUICK_NO;
	w->page_bits = shift;
	w->global = (e & PTE_G) && (c->st.cr4 & X86_CR4_PGE);
	w->gpa = (e & PTE_ADDR & ~((1ull << shift) - 1)) |
		 (a & ((1ull << shift) - 1));
	return 0;
}

static void soft_tlb_note(struct soft_cpu *c, gva_t page, enum soft_access acc,
	enum soft_mode m, const struct soft_walk *w)
{
	struct soft_tlb_seen *seen = &c->tlb_seen[w->global];

	if (acc == SOFT_EXEC)
		soft_filter_add(seen->exec[m >= SOFT_USER], page >> 12);
	if (w->page_bits > 22) {
		seen->giant |= 1ull << ((page >> 30) & 63);
	} else if (w->page_bits > 12) {
		soft_filter_add(seen->large, page >> 21);
		if (w->page_bits == 22)
			soft_filter_add(seen->large, page >> 21 ^ 1);
	}
}

static void soft_tlb_log(struct soft_cpu *c, unsigned slot,
	enum soft_access acc, enum soft_mode m)
{
	uint64_t *local = &c->tlb_local[slot / 64], bit = 1ull << (slot % 64);

	if (*local & bit)
		return;
	*local |= bit;
	c->tlb_used_local[m][acc] = true;
	if (c->tlb_nfills < SOFT_TLB_JOURNAL)
		c->tlb_journal[c->tlb_nfills] = slot;
	c->tlb_nfills++;
}

/* Before the entry is made: who clears the page's entries looks here. */
static void soft_tlb_wrote(
	struct soft_cpu *c, const uint8_t *host, uint32_t idx)
{
	uint64_t page = (uint64_t)(host - c->vm->ram_host) >> BUS_PAGE_SHIFT;
	uint32_t *slots = &c->vm->write_slots[page], was, now;

	if (page >= c->vm->ram->bytes >> BUS_PAGE_SHIFT)
		return;
	idx++;
	was = __atomic_load_n(slots, __ATOMIC_RELAXED);
	do {
		if (was == ~0u || (was & 0xffff) == idx || was >> 16 == idx)
			return;
		now = !was ? idx : was >> 16 ? ~0u : was | idx << 16;
	} while (!__atomic_compare_exchange_n(
		slots, &was, now, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED));
}

void soft_tlb_fill(struct soft_cpu *c, gva_t a, enum soft_access acc,
	enum soft_mode m, uint8_t *host_page, const struct soft_walk *w)
{
	gva_t page = a & ~(BUS_PAGE_SIZE - 1);
	unsigned idx = soft_tlb_index(a);
	struct soft_tlb_entry *e = &c->tlb[m][acc][idx];

	if (m == SOFT_USER_AC && acc != SOFT_EXEC)
		return;
	if (c->data_bp && soft_page_watched(c, a, acc))
		return;
	if (acc == SOFT_WRITE && c->vm->write_slots)
		soft_tlb_wrote(c, host_page, idx);
	if (!w->global)
		soft_tlb_log(c, (m * SOFT_NACCESS + acc) * SOFT_TLB_SIZE + idx,
			acc, m);
	e->addend = acc == SOFT_EXEC ? (uintptr_t)host_page
				     : (uintptr_t)host_page - page;
	e->host = (uintptr_t)host_page;
	e->tag = page;
	c->tlb_used[m][acc] = true;
	if (acc == SOFT_EXEC || w->page_bits > 12)
		soft_tlb_note(c, page, acc, m, w);
}

/* Another processor may have begun to watch the page meanwhile: it sets the
 * flag and then looks for entries, so look at the flag again after filling. */
bool soft_tlb_recheck(
	struct soft_cpu *c, gva_t a, enum soft_mode m, uint64_t ram)
{
	if (c->vm->ncpus < 2)
		return true;
	atomic_thread_fence(memory_order_seq_cst);
	if (!(soft_page_flags(c, ram) & BUS_PAGE_CODE))
		return true;
	c->tlb[m][SOFT_WRITE][soft_tlb_index(a)].tag =
		soft_tlb_empty(soft_tlb_index(a));
	return false;
}

static bool quick_fill(struct soft_cpu *c, gva_t a, enum soft_access acc,
	enum soft_mode m, bool sets)
{
	unsigned bad = FLAGS_OVERLAID;
	struct soft_walk w;
	uint8_t *host;
	uint64_t ram;

	if (acc == SOFT_WRITE)
		bad |= BUS_PAGE_CODE | BUS_PAGE_CLEAN;
	if (!c->long_mode || ~c->a20 || !soft_canonical(a) ||
		(m == SOFT_USER_AC && acc != SOFT_EXEC) ||
		quick_walk(c, a, acc, m, sets, &w))
		return false;
	ram = quick_ram(c, w.gpa);
	if (ram == ~0ull || (soft_page_flags(c, ram) & bad))
		return false;
	c->counters[SOFT_CNT_TLB_READ + acc]++;
	host = c->vm->ram_host + (ram & ~(BUS_PAGE_SIZE - 1));
	soft_tlb_fill(c, a, acc, m, host, &w);
	if (acc != SOFT_WRITE)
		return true;
	soft_tlb_fill(c, a, SOFT_READ, m, host, &w);
	return soft_tlb_recheck(c, a, m, ram);
}

bool soft_quick_fill(
	struct soft_cpu *c, gva_t a, enum soft_access acc, enum soft_mode m)
{
	return quick_fill(c, a, acc, m, true);
}

bool soft_quick_fill_dirty(struct soft_cpu *c, gva_t a, enum soft_mode m)
{
	return quick_fill(c, a, SOFT_WRITE, m, false);
}

/* Host address of n bytes in one page of memory, or NULL. */
static void *quick_host(struct soft_cpu *c, gva_t a, unsigned n,
	enum soft_access acc, enum soft_mode m)
{
	void *p;

	if (!soft_canonical(a) || m == SOFT_USER_AC)
		return NULL;
	p = soft_fast_host(c, a, n, acc, m);
	if (p || (a & (BUS_PAGE_SIZE - 1)) + n > BUS_PAGE_SIZE ||
		!soft_quick_fill(c, a, acc, m))
		return p;
	return soft_fast_host(c, a, n, acc, m);
}

/* ---- segments ---- */

static void quick_seg(struct x86_seg *s, uint16_t sel, uint64_t d)
{
	uint32_t limit = (d & 0xffff) | (d >> 32 & 0xf0000);

	s->sel = sel;
	s->base = (d >> 16 & 0xffffff) | (d >> 32 & 0xff000000);
	s->limit = d & 1ull << 55 ? limit << 12 | 0xfff : limit;
	s->attr = soft_desc_attr(d);
}

/* A descriptor of the GDT, 0 for what is not there or not to be had. */
static uint64_t quick_desc(struct soft_cpu *c, uint16_t sel)
{
	const void *p;

	if ((sel & 4) || soft_sel_null(sel) || (sel | 7) > c->st.gdtr.limit)
		return 0;
	p = quick_host(
		c, c->st.gdtr.base + (sel & ~7u), 8, SOFT_READ, SOFT_KERNEL);
	return p ? soft_host_load(p, 8) : 0;
}

/* Present, accessed, not conforming, 64-bit code. */
static bool quick_code64(uint64_t d)
{
	return (d >> 40 & 0x9d) == 0x99 && (d >> 53 & 3) == 1;
}

/* 64-bit code goes on at privilege cpl; CS and RFLAGS are set. */
static void quick_mode(struct soft_cpu *c, unsigned cpl)
{
	bool ac = c->st.rflags & X86_FL_AC;

	c->cpl = cpl;
	if (cpl != 3)
		c->tlb_mode = ac ? SOFT_KERNEL_AC : SOFT_KERNEL;
	else
		c->tlb_mode = ac && (c->st.cr0 & X86_CR0_AM) ? SOFT_USER_AC
							     : SOFT_USER;
}

static void quick_flat(
	struct soft_cpu *c, uint16_t cs, uint16_t ss, unsigned cpl)
{
	uint16_t dpl = cpl << X86_SEG_DPL_SHIFT;
	struct x86_seg *s = c->st.seg;

	s[X86_CS].base = s[X86_SS].base = 0;
	s[X86_CS].limit = s[X86_SS].limit = 0xffffffff;
	s[X86_CS].sel = (cs & ~3u) | cpl;
	s[X86_SS].sel = ss | cpl; /* SYSCALL keeps the RPL of STAR */
	s[X86_CS].attr = CODE64 | dpl;
	s[X86_SS].attr = DATA32 | dpl;
	quick_mode(c, cpl);
}

/* ---- SYSCALL, SYSRET ---- */

bool soft_quick_syscall(struct soft_cpu *c, uint64_t next)
{
	struct x86_state *s = &c->st;
	uint16_t cs = s->star >> 32;

	if (!c->code64 || !(s->efer & X86_EFER_SCE) || (s->rflags & X86_FL_TF))
		return false;
	s->gpr[X86_RCX] = next;
	s->gpr[X86_R11] = s->rflags & ~(uint64_t)X86_FL_RF;
	s->rip = s->lstar;
	s->rflags = (s->rflags & ~(s->sfmask | X86_FL_RF)) | X86_FL_1;
	c->tf_done = false;
	quick_flat(c, cs, cs + 8, 0);
	return true;
}

bool soft_quick_sysret(struct soft_cpu *c)
{
	struct x86_state *s = &c->st;
	uint64_t fl = (s->gpr[X86_R11] & 0x3c7fd7) | X86_FL_1;
	uint16_t cs = s->star >> 48;

	if (!c->code64 || c->cpl || !(s->efer & X86_EFER_SCE) ||
		(fl & X86_FL_TF) || !soft_canonical(s->gpr[X86_RCX]))
		return false;
	s->rflags = fl;
	s->rip = s->gpr[X86_RCX];
	quick_flat(c, cs + 16, cs + 8, 3);
	return true;
}

/* ---- IRET ---- */

#define IRET_FLAGS                                                             \
	(X86_FL_ARITH | X86_FL_TF | X86_FL_DF | X86_FL_NT | X86_FL_RF |        \
		X86_FL_AC | X86_FL_ID)

static uint64_t quick_iret_mask(const struct soft_cpu *c)
{
	unsigned iopl = (c->st.rflags & X86_FL_IOPL) >> X86_FL_IOPL_SHIFT;

	if (!c->cpl)
		return IRET_FLAGS | X86_FL_IF | X86_FL_IOPL | X86_FL_VIF |
		       X86_FL_VIP;
	return c->cpl <= iopl ? IRET_FLAGS | X86_FL_IF : IRET_FLAGS;
}

/* May data segments stay as they are in ring 3? */
static bool quick_data_segs(const struct soft_cpu *c)
{
	const struct x86_seg *s = c->st.seg;

	for (unsigned i = X86_ES; i <= X86_GS; i++)
		if (i != X86_CS && i != X86_SS && (s[i].attr & X86_SEG_P) &&
			(s[i].attr & X86_SEG_DPL) != X86_SEG_DPL)
			return false;
	return true;
}

static bool quick_iret_stack(
	struct soft_cpu *c, uint16_t sel, unsigned cpl, struct x86_seg *ss)
{
	uint64_t d;

	if (soft_sel_null(sel)) {
		ss->base = ss->limit = 0;
		ss->sel = sel;
		ss->attr = cpl << X86_SEG_DPL_SHIFT;
		return cpl != 3 && sel == cpl;
	}
	d = quick_desc(c, sel);
	quick_seg(ss, sel, d);
	/* present, accessed, writable data */
	return (sel & 3) == cpl && soft_desc_dpl(d) == cpl &&
	       (d >> 40 & 0x9b) == 0x93;
}

bool soft_quick_iret(struct soft_cpu *c)
{
	const void *f =
		quick_host(c, c->st.gpr[X86_RSP], 40, SOFT_READ, c->tlb_mode);
	uint64_t v[5], mask = quick_iret_mask(c), d;
	unsigned cpl;
	struct x86_seg ss;

	if (!c->code64 || !f || c->st.nmi_blocked || (c->st.rflags & X86_FL_NT))
		return false;
	for (unsigned i = 0; i < 5; i++)
		v[i] = soft_host_load((const uint8_t *)f + i * 8, 8);
	cpl = v[1] & 3;
	d = quick_desc(c, v[1]);
	if (!quick_code64(d) || soft_desc_dpl(d) != cpl || cpl < c->cpl ||
		!soft_canonical(v[0]) || (v[2] & X86_FL_TF) ||
		!quick_iret_stack(c, v[4], cpl, &ss) ||
		(cpl != c->cpl && (cpl != 3 || !quick_data_segs(c))))
		return false;
	quick_seg(&c->st.seg[X86_CS], v[1], d);
	c->st.seg[X86_CS].base = 0;
	c->st.seg[X86_SS].base = ss.base;
	c->st.seg[X86_SS].limit = ss.limit;
	c->st.seg[X86_SS].sel = ss.sel;
	c->st.seg[X86_SS].attr = ss.attr;
	c->st.rip = v[0];
	c->st.gpr[X86_RSP] = v[3];
	c->st.rflags = (c->st.rflags & ~mask) | (v[2] & mask);
	quick_mode(c, cpl);
	return true;
}

/* ---- exceptions ---- */

/* Where the handler's frame goes: below the stack that the gate names. */
static uint64_t quick_stack(struct soft_cpu *c, unsigned cpl, unsigned ist)
{
	const struct x86_seg *tr = &c->st.seg[X86_TR];
	unsigned off = ist ? 0x1c + ist * 8 : 4 + cpl * 8;
	const void *p;
	uint64_t sp;

	if (cpl == c->cpl && !ist)
		return c->st.gpr[X86_RSP] & ~15ull;
	if (off + 7 > tr->limit)
		return 0;
	p = quick_host(c, tr->base + off, 8, SOFT_READ, SOFT_KERNEL);
	sp = p ? soft_host_load(p, 8) : 0;
	return soft_canonical(sp) ? sp & ~15ull : 0;
}

static void quick_push_frame(
	struct soft_cpu *c, uint8_t *at, unsigned n, uint64_t error)
{
	const struct x86_state *s = &c->st;

	if (n == 48) {
		soft_host_store(at, 8, error);
		at += 8;
	}
	soft_host_store(at, 8, s->rip);
	soft_host_store(at + 8, 8, s->seg[X86_CS].sel);
	soft_host_store(at + 16, 8, s->rflags | X86_FL_RF);
	soft_host_store(at + 24, 8, s->gpr[X86_RSP]);
	soft_host_store(at + 32, 8, s->seg[X86_SS].sel);
}

bool soft_quick_fault(struct soft_cpu *c, unsigned vector, int64_t error)
{
	struct x86_state *s = &c->st;
	unsigned n = error < 0 ? 40 : 48, cpl;
	uint64_t gate, high, d, target, sp;
	const uint8_t *p;
	uint8_t *frame;

	if (!c->code64 || vector * 16 + 15 > s->idtr.limit)
		return false;
	p = quick_host(
		c, s->idtr.base + vector * 16, 16, SOFT_READ, SOFT_KERNEL);
	if (!p)
		return false;
	gate = soft_host_load(p, 8);
	high = soft_host_load(p + 8, 8);
	target = (gate & 0xffff) | (gate >> 32 & 0xffff0000) | high << 32;
	d = quick_desc(c, gate >> 16);
	cpl = soft_desc_dpl(d);
	if ((gate >> 40 & 0x9e) != 0x8e || (high >> 40 & 0x1f) ||
		!quick_code64(d) || cpl > c->cpl || !soft_canonical(target))
		return false;
	sp = quick_stack(c, cpl, gate >> 32 & 7);
	frame = quick_host(c, sp - n, n, SOFT_WRITE,
		(s->rflags & X86_FL_AC) ? SOFT_KERNEL_AC : SOFT_KERNEL);
	if (cpl == 3 || !sp || !frame)
		return false;
	quick_push_frame(c, frame, n, error);
	if (cpl != c->cpl) {
		s->seg[X86_SS].base = s->seg[X86_SS].limit = 0;
		s->seg[X86_SS].sel = cpl;
		s->seg[X86_SS].attr = cpl << X86_SEG_DPL_SHIFT;
	}
	s->gpr[X86_RSP] = sp - n;
	s->rip = target;
	s->rflags &= ~(uint64_t)(X86_FL_TF | X86_FL_NT | X86_FL_RF | X86_FL_VM |
				 (gate >> 40 & 1 ? 0 : X86_FL_IF));
	quick_seg(&s->seg[X86_CS], (gate >> 16 & 0xfffc) | cpl, d);
	s->seg[X86_CS].base = 0;
	c->exceptions[vector]++;
	quick_mode(c, cpl);
	return true;
}

bool soft_quick_page_fault(
	struct soft_cpu *c, gva_t a, enum soft_access acc, enum soft_mode m)
{
	struct soft_walk w;
	uint32_t err;

	if (!c->long_mode || ~c->a20 || !soft_canonical(a) || m == SOFT_USER_AC)
		return false;
	err = quick_walk(c, a, acc, m, true, &w);
	if (!(err >> 31) ||
		!soft_quick_fault(c, X86_PF, (int64_t)(err & 0x7fffffff)))
		return false;
	c->st.cr2 = a;
	return true;
}
