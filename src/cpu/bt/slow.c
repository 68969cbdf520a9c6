/*
 * slow.c - what translated code calls.
 *
 * Compiled without vector instructions: while the guest's vector registers
 * are live in the host's (vec_live), they must be saved before anything else
 * is called.  A helper that may raise has completed st before.
 */
#include <sched.h>

#include "cpu/bt/priv.h"
#include "cpu/soft/quick.h"

static uint32_t rd32(const uint8_t *p)
{
	uint32_t v;

	__builtin_memcpy(&v, p, 4);
	return v;
}

void bt_flags_to_st(struct soft_cpu *c)
{
	unsigned fl = bt_near(c)->fl;

	c->st.rflags = (c->st.rflags & ~(uint64_t)X86_FL_ARITH) |
		       (fl >> 8 & X86_FL_ARITH) | (fl & 1) << 11;
}

void bt_flags_from_st(struct soft_cpu *c)
{
	bt_near(c)->fl = (c->st.rflags & 0xd5) << 8 | (c->st.rflags >> 11 & 1);
}

/* ---- the guest's registers in the host's ---- */

/*
 * x87 state goes through an XSAVE area with only that component, so that the
 * vector registers stay.  The host's own instruction and data pointers are not
 * the guest's: they only tell whether there was an instruction that sets them.
 */
static void bt_x87_pointers(struct soft_cpu *c, const uint8_t *x)
{
	struct bt_area *a = bt_area(c);
	uint8_t *fx = c->st.fpu.fx;
	unsigned kept = bt_vm(c)->x87_kept;
	uint64_t fip, mask = c->code64 ? ~0ull : UINT32_MAX;

	__builtin_memcpy(&fip, x + 8, 8);
	if (!(kept & BT_X87_FIP) || fip == BT_X87_NO_FIP)
		return;
	fip = (a->x87_page + (a->x87_at & 0xffff)) & mask;
	__builtin_memcpy(fx + 8, &fip, 8);
	if (kept & BT_X87_FDP)
		__builtin_memcpy(fx + 16, &a->x87_fdp, 8);
	if (kept & BT_X87_FOP)
		__builtin_memcpy(fx + 6, (uint8_t *)&a->x87_at + 2, 2);
}

static void bt_x87_save(struct soft_cpu *c)
{
	uint8_t *fx = c->st.fpu.fx, *x = bt_area(c)->x87;

	__asm__ volatile("xsave64 %0"
			 : "+m"(*(uint8_t(*)[576])x)
			 : "a"(1), "d"(0));
	__asm__ volatile("fninit"); /* as the ABI wants it */
	if (!(x[512] & 1)) {	    /* initial state is not written */
		__builtin_memset(fx, 0, 6);
		fx[0] = 0x7f;
		fx[1] = 0x03;
		__builtin_memset(fx + 32, 0, 128);
		return;
	}
	__builtin_memcpy(fx, x, 6);
	__builtin_memcpy(fx + 32, x + 32, 128);
	bt_x87_pointers(c, x);
}

static void bt_x87_load(struct soft_cpu *c)
{
	uint8_t *fx = c->st.fpu.fx, *x = bt_area(c)->x87;

	__builtin_memcpy(x, fx, 24);
	__builtin_memcpy(&bt_area(c)->x87_fdp, fx + 16, 8);
	__builtin_memcpy(x + 8, &(uint64_t){BT_X87_NO_FIP}, 8);
	__builtin_memcpy(x + 32, fx + 32, 128);
	__builtin_memset(x + 512, 0, 64);
	x[512] = 1;
	__asm__ volatile("xrstor64 %0"
			 :
			 : "m"(*(uint8_t(*)[576])x), "a"(1), "d"(0));
}

void bt_fpu_save(struct soft_cpu *c)
{
	struct bt_near *near = bt_near(c);

	if (near->vec_live)
		bt_vm(c)->vec_save(c);
	if (near->x87_live)
		bt_x87_save(c);
	near->vec_live = near->x87_live = 0;
}

static unsigned bt_fpu_live(struct soft_cpu *c)
{
	return (bt_near(c)->vec_live ? BT_LIVE_VEC : 0) |
	       (bt_near(c)->x87_live ? BT_LIVE_X87 : 0);
}

static void bt_fpu_reload(struct soft_cpu *c, unsigned live)
{
	if (live & BT_LIVE_VEC) {
		bt_vm(c)->vec_load(c);
		bt_near(c)->vec_live = 1;
	}
	if (live & BT_LIVE_X87) {
		bt_x87_load(c);
		bt_near(c)->x87_live = 1;
	}
}

void bt_sync(struct soft_cpu *c)
{
	struct cpu *cpu = bt_cpu(c);

	if (cpu->tlb_gen != c->tlb_gen) {
		cpu->tlb_gen = c->tlb_gen;
		for (unsigned m = 0; m < SOFT_NMODES; m++) {
			bt_stack(c, m, false)->tag = BT_SLOT_EMPTY;
			bt_stack(c, m, true)->tag = BT_SLOT_EMPTY;
		}
		bt_slots_flush(c);
	}
	if (cpu->exec_gen != c->exec_gen) {
		cpu->exec_gen = c->exec_gen;
		for (unsigned m = 0; m < SOFT_NMODES; m++)
			if (cpu->jc_fills[m])
				bt_jc_sync(c, m);
		c->exec_stale = 0;
		c->exec_npages = 0;
	}
}

/* Complete st for the instruction that info tells, but for the registers that
 * are live in the host's. */
static void bt_enter_quick(struct soft_cpu *c, uint32_t info)
{
	uint64_t rip = bt_near(c)->rip_base + BT_INFO_OFF(info);

	c->st.rip = c->code64 ? rip : (uint32_t)rip;
	bt_cpu(c)->done = BT_INFO_N(info);
	bt_flags_to_st(c);
}

static void bt_enter_c(struct soft_cpu *c, uint32_t info)
{
	bt_enter_quick(c, info);
	bt_fpu_save(c);
}

static bool bt_must_leave(struct soft_cpu *c)
{
	return bt_cpu(c)->stepping || atomic_load(&bt_near(c)->poll) ||
	       bt_attention(c) || bt_vm(c)->flush_wanted;
}

/* Code for st, or NULL; what only the jump cache or the tables tell. */
static const uint8_t *bt_find(struct soft_cpu *c, uint32_t key)
{
	struct bt_area *a = bt_area(c);
	uint64_t tag = bt_jc_tag(c, key);
	const struct bt_jc *e = &a->jc[c->tlb_mode][bt_jc_index(tag)];
	struct bt_block *b;

	if (a->jc_key[c->tlb_mode] == key && e->rip == tag && e->rip)
		return e->host;
	b = bt_block_quick(c, key);
	return b ? b->far_entry : NULL;
}

/* Go on at st, in code if possible. */
static const uint8_t *bt_go(struct soft_cpu *c)
{
	const uint8_t *host = NULL;
	struct bt_block *b;
	uint32_t key;

	bt_sync(c);
	if (bt_must_leave(c)) {
		bt_fpu_save(c);
		return bt_vm(c)->leave;
	}
	bt_drop_rf(c);
	key = bt_key(c);
	if (key)
		host = bt_find(c, key);
	if (!host) {
		bt_fpu_save(c);
		b = bt_block_get(c);
		if (!b)
			return bt_vm(c)->leave;
		bt_jc_fill(c, b);
		host = b->far_entry;
	}
	bt_flags_from_st(c);
	bt_area(c)->t0 = c->st.rip;
	return host;
}

/*
 * One instruction by the interpreter.  A long string instruction returns now
 * and then with RF set; it is continued unless something else is due.  When
 * stepping nothing is: events come between blocks.
 */
void bt_step(struct soft_cpu *c)
{
	uint64_t rip = c->st.rip;

	interp_step(c);
	while (c->st.rip == rip && (c->st.rflags & X86_FL_RF) &&
		!c->st.activity && !(c->debug & SOFT_DBG_HIT) &&
		(bt_cpu(c)->stepping ||
			!(atomic_load(&bt_near(c)->poll) || bt_attention(c))))
		interp_step(c);
}

/* Code that a call site names by its distance, 0 for none. */
static const uint8_t *bt_at_site(const uint8_t *site, unsigned at)
{
	int32_t to = (int32_t)rd32(site + at);

	return to ? site + to : NULL;
}

/* Where the instruction after the one that was carried out goes on. */
static const uint8_t *bt_interpret(
	struct soft_cpu *c, uint32_t info, const uint8_t *next, unsigned live)
{
	struct cpu_vm *vm = bt_vm(c);
	struct cpu *cpu = bt_cpu(c);
	uint32_t seq = atomic_load(&vm->inval_seq);
	uint32_t key = bt_key(c);
	uint64_t rip = c->st.rip + BT_INFO_LEN(info);

	if (!c->code64)
		rip = (uint32_t)rip;
	bt_step(c);
	cpu->done++;
	if (!next || c->st.rip != rip || atomic_load(&vm->inval_seq) != seq ||
		cpu->tlb_gen != c->tlb_gen || bt_key(c) != key)
		return bt_go(c);
	if (!cpu->stepping &&
		(atomic_load(&bt_near(c)->poll) || bt_attention(c)))
		return vm->leave;
	bt_sync(c);
	bt_flags_from_st(c);
	bt_fpu_reload(c, live);
	return next;
}

static bool bt_canonical(struct soft_cpu *c, gva_t a)
{
	return !c->code64 || (int64_t)(a << 16) >> 16 == (int64_t)a;
}

/* An access that code could not do: where, what, how. */
struct bt_miss {
	gva_t ea;
	unsigned size;
	enum soft_access acc;
	bool align;
	struct bt_stack *stack; /* one-page cache to fill, or NULL */
};

/*
 * The entry's tag was exclusive-ored to the address.  Had another processor
 * cleared it since, the index would differ or the address be non-canonical:
 * false, and the instruction is interpreted.
 */
static bool bt_miss_decode(struct soft_cpu *c, uint32_t info, struct bt_miss *m)
{
	struct bt_area *a = bt_area(c);
	bool write = info & BT_INFO_WRITE;

	m->size = (info >> BT_INFO_SIZE_SHIFT & 0x3f) + 1;
	m->acc = write ? SOFT_WRITE : SOFT_READ;
	m->align = info & BT_INFO_ALIGN;
	if (info & BT_INFO_STACK) {
		m->stack = bt_stack(c, c->tlb_mode, write);
		m->ea = a->t1 ^ m->stack->tag;
		return true;
	}
	m->stack = NULL;
	m->ea = a->t0 ^ c->tlb[c->tlb_mode][m->acc][a->t1 >> 5].tag;
	return soft_tlb_index(m->ea) == a->t1 >> 5;
}

/* Is it one that the TLB can serve? */
static bool bt_miss_plain(struct soft_cpu *c, const struct bt_miss *m)
{
	return bt_canonical(c, m->ea) &&
	       (m->ea & (BUS_PAGE_SIZE - 1)) + m->size <= BUS_PAGE_SIZE &&
	       !(m->align && (m->ea & (m->size - 1)));
}

/* Is it in the TLB now?  Then in the one-page cache too. */
static bool bt_miss_hits(struct soft_cpu *c, const struct bt_miss *m)
{
	struct soft_tlb_entry *e =
		&c->tlb[c->tlb_mode][m->acc][soft_tlb_index(m->ea)];

	if ((m->ea ^ e->tag) > BUS_PAGE_SIZE - m->size)
		return false;
	if (m->stack)
		*m->stack = (struct bt_stack){e->tag, e->host};
	return true;
}

static const uint8_t *bt_h_miss(struct soft_cpu *c, const uint8_t *site)
{
	uint32_t info = rd32(site);
	unsigned live;
	struct bt_miss m;
	bool plain;

	bt_cpu(c)->counters[BT_CNT_MISS]++;
	plain = bt_miss_decode(c, info, &m) && bt_miss_plain(c, &m);
	if (plain && soft_quick_fill(c, m.ea, m.acc, c->tlb_mode) &&
		bt_miss_hits(c, &m))
		return site + (int32_t)rd32(site + 4);
	bt_enter_quick(c, info);
	if (plain && c->code64 && !bt_cpu(c)->stepping &&
		soft_quick_page_fault(c, m.ea, m.acc, c->tlb_mode))
		return bt_go(c);
	live = bt_fpu_live(c);
	bt_fpu_save(c);
	if (plain && soft_host(c, m.ea, m.size, m.acc, c->tlb_mode) &&
		bt_miss_hits(c, &m)) {
		if (bt_cpu(c)->tlb_gen != c->tlb_gen)
			return bt_go(c);
		bt_sync(c);
		bt_fpu_reload(c, live);
		return site + (int32_t)rd32(site + 4);
	}
	bt_cpu(c)->counters[BT_CNT_EMULATED]++;
	return bt_interpret(c, info, bt_at_site(site, 8), live);
}

static const uint8_t *bt_h_interp(struct soft_cpu *c, const uint8_t *site)
{
	uint32_t info = rd32(site);
	unsigned live = bt_fpu_live(c);

	bt_enter_c(c, info);
	return bt_interpret(c, info, bt_at_site(site, 4), live);
}

static bool bt_sys_quick(struct soft_cpu *c, enum bt_sys op, uint64_t next)
{
	switch (op) {
	case BT_SYS_SYSCALL: return soft_quick_syscall(c, next);
	case BT_SYS_SYSRET8: return soft_quick_sysret(c);
	case BT_SYS_IRET8: return soft_quick_iret(c);
	default: return false;
	}
}

static const uint8_t *bt_h_sys(struct soft_cpu *c, const uint8_t *site)
{
	uint32_t info = rd32(site), op = rd32(site + 4);
	uint64_t next;

	bt_cpu(c)->counters[BT_CNT_SYS]++;
	bt_enter_quick(c, info);
	next = c->st.rip + BT_INFO_LEN(info);
	if (!bt_sys_quick(c, op, next)) {
		bt_fpu_save(c);
		switch ((enum bt_sys)op) {
		case BT_SYS_SYSCALL: soft_syscall(c, next); break;
		case BT_SYS_SYSRET4: soft_sysret(c, 4); break;
		case BT_SYS_SYSRET8: soft_sysret(c, 8); break;
		case BT_SYS_IRET4: soft_iret(c, 4, next); break;
		case BT_SYS_IRET8: soft_iret(c, 8, next); break;
		case BT_NSYS: break;
		}
		if (c->db_pending)
			soft_end_insn_traps(c, false);
	}
	bt_cpu(c)->done++;
	return bt_go(c);
}

static const uint8_t *bt_h_link(struct soft_cpu *c, const uint8_t *site)
{
	struct cpu_vm *vm = bt_vm(c);
	uint32_t x = rd32(site);
	struct bt_block *b;

	bt_cpu(c)->counters[BT_CNT_LINK]++;
	bt_enter_c(c, BT_INFO(vm->exits[x].off, 0, 0));
	if (atomic_load(&bt_near(c)->poll) || vm->flush_wanted)
		return vm->leave;
	b = bt_block_follow(c, x);
	return b ? b->near_entry : vm->leave;
}

static bool bt_may_go(struct soft_cpu *c, uint64_t rip)
{
	return c->code64 ? bt_canonical(c, rip)
			 : rip <= c->st.seg[X86_CS].limit;
}

/* A jump faults: what its instruction did before is taken back. */
static void bt_undo(struct soft_cpu *c, uint32_t undo)
{
	bool loop = (undo & ~15u) == BT_UNDO_RCX;
	uint64_t *r = &c->st.gpr[loop ? X86_RCX : X86_RSP];
	unsigned size = loop ? undo & 15 : c->stack_size;
	int64_t by = loop ? 1 : (int32_t)undo;

	if (size == 8)
		*r += by;
	else if (size == 4)
		*r = (uint32_t)(*r + by);
	else
		*r = (*r & ~0xffffull) | (uint16_t)(*r + by);
}

static const uint8_t *bt_h_jc(struct soft_cpu *c, const uint8_t *site)
{
	uint32_t info = rd32(site), undo = rd32(site + 4), key = rd32(site + 8);
	uint64_t target = bt_area(c)->t0;
	struct bt_block *b;

	bt_cpu(c)->counters[BT_CNT_JC_MISS]++;
	if ((key ? key : bt_key(c)) & BT_KEY_SEGS)
		target >>= 32;
	if (key && bt_may_go(c, target) && !bt_must_leave(c)) {
		c->st.rip = target;
		b = bt_block_quick(c, key);
		if (b)
			return b->far_entry;
	}
	bt_enter_c(c, info);
	if (undo != ~0u && !bt_may_go(c, target)) {
		bt_undo(c, undo);
		soft_raise_err(c, X86_GP, 0);
	}
	c->st.rip = target;
	bt_cpu(c)->done++;
	return bt_go(c);
}

static const uint8_t *bt_h_poll(struct soft_cpu *c, const uint8_t *site)
{
	bt_cpu(c)->counters[BT_CNT_POLL]++;
	bt_enter_c(c, rd32(site));
	return bt_vm(c)->leave;
}

/* STI with events pending: they come after the next instruction. */
static const uint8_t *bt_h_sti(struct soft_cpu *c, const uint8_t *site)
{
	bt_enter_c(c, rd32(site));
	c->st.sti_shadow = 1;
	return bt_vm(c)->leave;
}

/* What is mapped behind the page is not what the block was made for, or is not
 * in the TLB. */
static const uint8_t *bt_h_page(struct soft_cpu *c, const uint8_t *site)
{
	struct bt_jc *e;

	bt_enter_c(c, rd32(site));
	/* the jump cache would lead to the same block again */
	e = &bt_area(c)->jc[c->tlb_mode][bt_jc_index(bt_jc_tag(c, bt_key(c)))];
	__atomic_store_n(&e->rip, 0, __ATOMIC_RELAXED);
	return bt_go(c);
}

/* The slot's region changes all the time: make the block without it.  This
 * pass goes on in the code as it is, where the slot now misses once more. */
static const uint8_t *bt_h_ban(struct soft_cpu *c, const uint8_t *site)
{
	struct cpu_vm *vm = bt_vm(c);
	struct bt_block *b = &vm->blocks[rd32(site)];
	struct bt_slot *slot =
		(struct bt_slot *)(void *)((uint8_t *)c +
					   (int32_t)rd32(site + 8));
	unsigned live = bt_fpu_live(c);

	slot->credit = BT_SLOT_CREDIT;
	bt_fpu_save(c);
	pthread_mutex_lock(&vm->lock);
	bt_mark(vm, BT_NO_SLOT, b->ram_page, rd32(site + 16));
	if (b->valid)
		bt_block_drop(vm, b);
	pthread_mutex_unlock(&vm->lock);
	bt_fpu_reload(c, live);
	return site + (int32_t)rd32(site + 4);
}

/* The loop walks from page to page: make it anew for that.  This pass goes on
 * as it is. */
static const uint8_t *bt_h_stream(struct soft_cpu *c, const uint8_t *site)
{
	struct cpu_vm *vm = bt_vm(c);
	struct bt_block *b = &vm->blocks[rd32(site)];
	struct bt_slot *slot =
		(struct bt_slot *)(void *)((uint8_t *)c +
					   (int32_t)rd32(site + 8));
	unsigned live = bt_fpu_live(c);

	slot->seq = INT32_MAX;
	bt_fpu_save(c);
	pthread_mutex_lock(&vm->lock);
	if (b->valid && !bt_marked(vm, BT_STREAM, b->ram_page, b->off)) {
		bt_mark(vm, BT_STREAM, b->ram_page, b->off);
		bt_block_drop(vm, b);
	}
	pthread_mutex_unlock(&vm->lock);
	bt_fpu_reload(c, live);
	return site + (int32_t)rd32(site + 4);
}

/* A loop that walks is entered again and again without getting far: its block
 * and the one that leads to it are made anew without. */
static const uint8_t *bt_h_short(struct soft_cpu *c, const uint8_t *site)
{
	struct cpu_vm *vm = bt_vm(c);
	struct bt_block *b = &vm->blocks[rd32(site + 8)], *from;

	bt_enter_c(c, rd32(site));
	*((uint8_t *)c + (int32_t)rd32(site + 4)) = 0;
	pthread_mutex_lock(&vm->lock);
	if (b->valid) {
		bt_mark(vm, BT_NO_STREAM, b->ram_page, b->off);
		from = bt_block_lookup(vm, b->ram_page, b->off,
			b->key & ~(bt_key_t)BT_KEY_STREAM);
		if (from)
			bt_block_drop(vm, from);
		bt_block_drop(vm, b);
	}
	pthread_mutex_unlock(&vm->lock);
	return bt_go(c);
}

/* ---- shared checks (share.c) ---- */

/* An entry of the TLB for a span in one page. */
static bool bt_span_fill(struct soft_cpu *c, gva_t ea, bool write)
{
	unsigned m = c->tlb_mode;
	const struct soft_tlb_entry *e =
		&c->tlb[m][write ? SOFT_WRITE : SOFT_READ][soft_tlb_index(ea)];

	if (!bt_canonical(c, ea))
		return false;
	if ((ea ^ e->tag) >= BUS_PAGE_SIZE &&
		!(write ? soft_quick_fill_dirty(c, ea, m)
			: soft_quick_fill(c, ea, SOFT_READ, m)))
		return false;
	return (ea ^ e->tag) < BUS_PAGE_SIZE;
}

/* Of a page that can be read only there is nothing to be shared with writes:
 * after some such passes the block is made anew. */
static void bt_span_refused(
	struct soft_cpu *c, gva_t ea, uint32_t info, uint32_t block)
{
	struct cpu_vm *vm = bt_vm(c);
	struct bt_block *b = &vm->blocks[block];

	if (!(info & BT_INFO_WRITE) || !bt_span_fill(c, ea, false))
		return;
	pthread_mutex_lock(&vm->lock);
	if (b->valid && ++b->refused > BT_SHARE_REFUSED) {
		bt_mark(vm, BT_NO_SHARE, b->ram_page, BT_INFO_OFF(info));
		bt_block_drop(vm, b);
	}
	pthread_mutex_unlock(&vm->lock);
}

static const uint8_t *bt_h_span(struct soft_cpu *c, const uint8_t *site)
{
	struct bt_area *a = bt_area(c);
	uint32_t info = rd32(site);
	bool write = info & BT_INFO_WRITE;
	gva_t ea = a->t1;
	const struct soft_tlb_entry *e =
		&c->tlb[c->tlb_mode][write ? SOFT_WRITE : SOFT_READ]
		       [soft_tlb_index(ea)];
	struct bt_block *b;

	bt_cpu(c)->counters[BT_CNT_MISS]++;
	if (bt_span_fill(c, ea, write)) {
		if (info & BT_INFO_STACK)
			*bt_stack(c, c->tlb_mode, write) =
				(struct bt_stack){e->tag, e->host};
		return site + (int32_t)rd32(site + 4);
	}
	bt_enter_c(c, info);
	if (bt_must_leave(c))
		return bt_vm(c)->leave;
	bt_span_refused(c, ea, info, rd32(site + 8));
	b = bt_block_get_single(c);
	if (!b)
		return bt_interpret(c, info, NULL, 0);
	bt_flags_from_st(c);
	a->t0 = c->st.rip;
	return b->far_entry;
}

static const uint8_t *bt_h_fpu(struct soft_cpu *c, const uint8_t *site)
{
	bt_fpu_reload(c, rd32(site + 4));
	return site + (int32_t)rd32(site);
}

static const uint8_t *bt_h_check(struct soft_cpu *c, const uint8_t *site)
{
	bt_enter_c(c, rd32(site));
	bt_smc_check_failed(bt_vm(c), rd32(site + 4));
	return bt_go(c);
}

static const uint8_t *bt_h_pause(struct soft_cpu *c, const uint8_t *site)
{
	sched_yield();
	bt_area(c)->spins = BT_SPINS;
	return site + (int32_t)rd32(site);
}

bt_helper *const bt_helpers[BT_NTHUNKS] = {
	[BT_TH_MISS] = bt_h_miss,
	[BT_TH_INTERP] = bt_h_interp,
	[BT_TH_SYS] = bt_h_sys,
	[BT_TH_LINK] = bt_h_link,
	[BT_TH_JC] = bt_h_jc,
	[BT_TH_POLL] = bt_h_poll,
	[BT_TH_STI] = bt_h_sti,
	[BT_TH_FPU] = bt_h_fpu,
	[BT_TH_PAGE] = bt_h_page,
	[BT_TH_PAUSE] = bt_h_pause,
	[BT_TH_CHECK] = bt_h_check,
	[BT_TH_BAN] = bt_h_ban,
	[BT_TH_SPAN] = bt_h_span,
	[BT_TH_STREAM] = bt_h_stream,
	[BT_TH_SHORT] = bt_h_short,
};
