/*
 * block.c - which block belongs to the current state.
 *
 * Blocks are found by the RAM page and offset of their first byte and by the
 * key, so one translation serves every mapping of a page.  Code outside RAM
 * (a ROM) is interpreted.
 *
 * The hash table and the records are read without the lock: a record is
 * complete before it is linked in, and memory is reused only when no processor
 * is in the code or on its way there.
 */
#include "cpu/bt/priv.h"
#include "cpu/soft/quick.h"

#define HASH_BITS 17

static unsigned bt_hash(uint64_t ram_page, unsigned off, bt_key_t key)
{
	uint64_t h = (ram_page << 12 | off) * 0x9e3779b97f4a7c15ull;

	h ^= (uint64_t)key * 0xff51afd7ed558ccdull;
	return h >> (64 - HASH_BITS);
}

/* ---- keys ---- */

static bool bt_seg_flat(const struct x86_seg *s, bool any_base)
{
	return (any_base || !s->base) && s->limit == UINT32_MAX &&
	       (s->attr & (X86_SEG_P | X86_SEG_S | X86_SEG_CODE | X86_SEG_W |
				  X86_SEG_E)) ==
		       (X86_SEG_P | X86_SEG_S | X86_SEG_W);
}

/* Which segments an offset below the limit can be read and written in. */
static uint32_t bt_key_ok(const struct soft_cpu *c)
{
	bool real = !c->protected_mode || c->v86;
	uint32_t key = 0;

	for (unsigned i = X86_ES; i <= X86_GS; i++) {
		unsigned attr = c->st.seg[i].attr, want, mask;

		want = X86_SEG_P | X86_SEG_S | X86_SEG_W;
		mask = want | X86_SEG_E | X86_SEG_CODE;
		if (i == X86_CS) { /* readable is enough */
			want |= X86_SEG_CODE;
			mask &= ~X86_SEG_E;
		}
		if (real) { /* only the direction counts */
			mask = X86_SEG_E | X86_SEG_CODE;
			want = attr & X86_SEG_CODE ? attr & mask : 0;
		}
		if ((attr & mask) == want)
			key |= BT_KEY_OK(i);
	}
	return key;
}

/* Real mode, V86 and what has limits. */
static uint32_t bt_key_not_flat(const struct soft_cpu *c)
{
	const struct x86_seg *cs = &c->st.seg[X86_CS];
	uint32_t key = BT_KEY_SEGS;

	if (c->v86)
		key |= BT_KEY_V86;
	else if (!c->protected_mode && cs->limit >= 0xffff &&
		 (cs->attr & ~X86_SEG_DB) ==
			 (X86_SEG_P | X86_SEG_S | X86_SEG_W | X86_SEG_A))
		key |= BT_KEY_REAL;
	if (c->stack_size == 2)
		key |= BT_KEY_SS16;
	return key | (c->code_size == 4);
}

static uint32_t bt_key_segs(const struct soft_cpu *c)
{
	const struct x86_seg *s = c->st.seg;
	uint32_t key = bt_key_ok(c);

	if (!c->protected_mode || c->v86 || s[X86_CS].base ||
		s[X86_CS].limit != UINT32_MAX ||
		!(s[X86_SS].attr & X86_SEG_DB) || c->code_size != 4)
		return key | bt_key_not_flat(c);
	if (bt_seg_flat(&s[X86_ES], false))
		key |= BT_KEY_FLAT_ES;
	if (bt_seg_flat(&s[X86_SS], false))
		key |= BT_KEY_FLAT_SS;
	if (bt_seg_flat(&s[X86_DS], false))
		key |= BT_KEY_FLAT_DS;
	if (bt_seg_flat(&s[X86_FS], true))
		key |= BT_KEY_BIG_FS;
	if (bt_seg_flat(&s[X86_GS], true))
		key |= BT_KEY_BIG_GS;
	if (s[X86_CS].attr & X86_SEG_W)
		key |= BT_KEY_CS_READ;
	return key | 1;
}

static uint32_t bt_key_fpu(const struct soft_cpu *c)
{
	const struct x86_state *s = &c->st;
	uint32_t mxcsr, key = 0;
	uint16_t fcw, fsw;

	if (s->cr0 & (X86_CR0_EM | X86_CR0_TS))
		return 0;
	memcpy(&fcw, s->fpu.fx, 2);
	memcpy(&fsw, s->fpu.fx + 2, 2);
	memcpy(&mxcsr, s->fpu.fx + 24, 4);
	if ((fcw & 0x3f) == 0x3f && !(fsw & 0x80) && !c->ferr)
		key |= BT_KEY_X87;
	if (!(s->cr4 & X86_CR4_OSFXSR) || (mxcsr & 0x1f80) != 0x1f80)
		return key;
	key |= BT_KEY_SSE;
	if (!(s->cr4 & X86_CR4_OSXSAVE) || (s->xcr0 & 6) != 6)
		return key;
	key |= BT_KEY_AVX;
	if ((s->xcr0 & 0xe6) == 0xe6)
		key |= BT_KEY_AVX512;
	return key;
}

uint32_t bt_key(const struct soft_cpu *c)
{
	const struct x86_state *s = &c->st;
	uint32_t key;

	if (s->rflags & (X86_FL_TF | X86_FL_RF))
		return 0;
	if (c->insn_bp || c->db_pending || s->activity || s->sti_shadow ||
		s->movss_shadow)
		return 0;
	key = c->code64 ? 2 : bt_key_segs(c);
	key |= (uint32_t)c->tlb_mode << BT_KEY_MODE_SHIFT |
	       (uint32_t)c->cpl << BT_KEY_CPL_SHIFT | bt_key_fpu(c);
	if (!c->env && !(c->cpl && (s->cr4 & X86_CR4_TSD)))
		key |= BT_KEY_TSC;
	if (((const struct cpu *)c->engine)->stepping)
		key |= BT_KEY_STEP;
	return key | BT_KEY_VALID;
}

/* ---- the table ---- */

/* The first of the chain from block i on that begins there. */
static struct bt_block *bt_block_match(
	struct cpu_vm *vm, const struct bt_at *at, bt_key_t key, uint32_t i)
{
	while (i) {
		struct bt_block *b = &vm->blocks[i];

		if (b->ram_page == at->ram_page && b->off == at->off &&
			b->key == key && b->valid)
			return b;
		i = b->hash_next;
	}
	return NULL;
}

static struct bt_block *bt_block_first(
	struct cpu_vm *vm, const struct bt_at *at, bt_key_t key)
{
	return bt_block_match(vm, at, key,
		__atomic_load_n(&vm->hash[bt_hash(at->ram_page, at->off, key)],
			__ATOMIC_ACQUIRE));
}

static struct bt_block *bt_block_exact(
	struct cpu_vm *vm, const struct bt_at *at, bt_key_t key)
{
	struct bt_block *b = bt_block_first(vm, at, key);

	while (b && b->page2 != at->page2)
		b = bt_block_match(vm, at, key, b->hash_next);
	return b;
}

struct bt_block *bt_block_lookup(
	struct cpu_vm *vm, uint64_t ram_page, unsigned off, bt_key_t key)
{
	struct bt_at at = {ram_page, off, BT_PAGE_NONE};

	if (!(vm->pages[ram_page].starts >> (off >> 6) & 1))
		return NULL;
	return bt_block_exact(vm, &at, key);
}

static void bt_block_insert(struct cpu_vm *vm, struct bt_block *b)
{
	uint32_t *head = &vm->hash[bt_hash(b->ram_page, b->off, b->key)];
	struct bt_page *page = &vm->pages[b->ram_page];
	uint32_t i = b - vm->blocks;

	b->page_next = page->first;
	page->first = i;
	page->starts |= 1ull << (b->off >> 6);
	page->watched += !b->checked;
	__atomic_store_n(&page->mask, page->mask | b->mask, __ATOMIC_RELAXED);
	if (b->page2 < vm->npages) {
		page = &vm->pages[b->page2];
		b->page2_next = page->first;
		page->first = i;
		page->watched += !b->checked;
		__atomic_store_n(
			&page->mask, page->mask | b->mask2, __ATOMIC_RELAXED);
	}
	b->hash_next = *head;
	__atomic_store_n(head, i, __ATOMIC_RELEASE);
}

void bt_block_remove(struct cpu_vm *vm, struct bt_block *b)
{
	uint32_t *p = &vm->hash[bt_hash(b->ram_page, b->off, b->key)];
	uint32_t i = b - vm->blocks;

	while (*p && *p != i)
		p = &vm->blocks[*p].hash_next;
	if (*p == i)
		__atomic_store_n(p, b->hash_next, __ATOMIC_RELEASE);
}

/*
 * Translate from watched pages.  Whoever writes to them meanwhile finds that
 * all of them matters, waits for the lock, and sees then what the block was
 * made from.
 */
static struct bt_block *bt_block_watched(
	struct soft_cpu *c, const struct bt_at *at, bt_key_t key)
{
	struct bt_page *pages = bt_vm(c)->pages;
	uint64_t two = at->page2 < bt_vm(c)->npages ? at->page2 : at->ram_page;
	uint64_t mask = pages[at->ram_page].mask, mask2 = pages[two].mask;
	struct bt_block *b;

	if (!bt_smc_watch(c, at->ram_page) || !bt_smc_watch(c, two))
		return NULL;
	__atomic_store_n(&pages[two].mask, ~0ull, __ATOMIC_RELAXED);
	__atomic_store_n(&pages[at->ram_page].mask, ~0ull, __ATOMIC_SEQ_CST);
	b = bt_translate(c, at, key, false);
	pages[at->ram_page].mask = mask;
	pages[two].mask = mask2;
	return b;
}

static struct bt_block *bt_block_translate(
	struct soft_cpu *c, const struct bt_at *at, bt_key_t key)
{
	struct cpu_vm *vm = bt_vm(c);
	struct bt_block *b;

	if (bt_smc_checked(vm, at->ram_page, at->off))
		b = bt_translate(c, at, key, true);
	else
		b = bt_block_watched(c, at, key);
	if (b)
		bt_block_insert(vm, b);
	return b;
}

static struct bt_block *bt_block_make(
	struct soft_cpu *c, const struct bt_at *at, bt_key_t key)
{
	struct cpu_vm *vm = bt_vm(c);
	struct bt_block *b;
	const uint8_t *hot, *cold;
	uint64_t start;

	if (bt_stops_at(vm, at->off))
		return NULL;
	pthread_mutex_lock(&vm->lock);
	b = bt_block_exact(vm, at, key);
	if (!b && !bt_cache_room(vm)) {
		atomic_store(&vm->flush_wanted, true);
	} else if (!b) {
		hot = vm->hot;
		cold = vm->cold;
		start = bt_tsc();
		b = bt_block_translate(c, at, key);
		vm->counters[BT_VMC_TICKS] += bt_tsc() - start;
		if (b && vm->perf >= 0)
			bt_perf_block(c, b, hot, cold);
	}
	pthread_mutex_unlock(&vm->lock);
	return b;
}

/* The instruction byte at a as an address in the host; NULL: not in the TLB. */
static uint8_t *bt_code_hit(struct soft_cpu *c, gva_t a)
{
	const struct soft_tlb_entry *e =
		&c->tlb[c->tlb_mode][SOFT_EXEC][soft_tlb_index(a)];

	if ((a ^ e->tag) >= BUS_PAGE_SIZE)
		return NULL;
	return (uint8_t *)e->addend + (a & (BUS_PAGE_SIZE - 1));
}

/* Its RAM offset, or -1; quick: only if no fault can come of it. */
static int64_t bt_code_offset(struct soft_cpu *c, gva_t a, bool quick)
{
	uint8_t *host = bt_code_hit(c, a);

	if (!host && !quick)
		host = soft_host(c, a, 1, SOFT_EXEC, c->tlb_mode);
	else if (!host && soft_quick_fill(c, a, SOFT_EXEC, c->tlb_mode))
		host = bt_code_hit(c, a);
	if (!host || host < c->vm->ram_host ||
		host >= c->vm->ram_host + c->vm->ram->bytes + c->vm->ram->rom)
		return -1;
	return host - c->vm->ram_host;
}

static bool bt_code_address(const struct soft_cpu *c, gva_t a)
{
	return c->code64 ? (int64_t)(a << 16) >> 16 == (int64_t)a : !(a >> 32);
}

static gva_t bt_linear_rip(const struct soft_cpu *c)
{
	if (c->code64)
		return c->st.rip;
	return (uint32_t)(c->st.seg[X86_CS].base + c->st.rip);
}

/* Is the code segment's limit beyond n pages from the one that RIP is in? */
static bool bt_limit_beyond(const struct soft_cpu *c, unsigned n)
{
	int64_t off = bt_linear_rip(c) & (BUS_PAGE_SIZE - 1);

	return c->code64 ||
	       (int64_t)c->st.rip - off + (int64_t)(n * BUS_PAGE_SIZE) - 1 <=
		       (int64_t)c->st.seg[X86_CS].limit;
}

/* The page behind the one that RIP is in, as the instruction crosses. */
static uint32_t bt_second_page(
	struct soft_cpu *c, uint64_t ram_page, bool quick)
{
	gva_t a = (bt_linear_rip(c) | (BUS_PAGE_SIZE - 1)) + 1;
	int64_t at;

	if (!bt_code_address(c, a) || !a || !bt_limit_beyond(c, 2))
		return BT_PAGE_OTHER;
	at = bt_code_offset(c, a, quick);
	if (at < 0 || (uint64_t)at >> BUS_PAGE_SHIFT == ram_page)
		return BT_PAGE_OTHER;
	return at >> BUS_PAGE_SHIFT;
}

/* Does the instruction at the end of a page end beyond it? */
static bool bt_crosses(struct soft_cpu *c, const struct bt_at *at)
{
	unsigned n = BUS_PAGE_SIZE - at->off;
	struct x86_insn in;
	uint8_t buf[15];

	if (n >= sizeof(buf))
		return false;
	memcpy(buf,
		c->vm->ram_host + (at->ram_page << BUS_PAGE_SHIFT) + at->off,
		n);
	return x86_decode(&in, buf, n, c->code_size) == X86_DEC_MORE;
}

/* st.rip is at the offset of the RAM page. */
static struct bt_block *bt_block_find(
	struct soft_cpu *c, uint64_t ram_page, unsigned off, bt_key_t key)
{
	struct bt_at at = {ram_page, off, BT_PAGE_NONE};
	struct bt_block *b = bt_block_first(bt_vm(c), &at, key);

	if (b && b->page2 == BT_PAGE_NONE)
		return b;
	/* b may be of code that was there before and crossed */
	if (bt_crosses(c, &at))
		at.page2 = bt_second_page(c, ram_page, false);
	if (b && b->page2 != at.page2)
		b = bt_block_exact(bt_vm(c), &at, key);
	return b ? b : bt_block_make(c, &at, key);
}

/* The whole key from its lower half; 0: the limit falls into the page, which is
 * interpreted. */
static bt_key_t bt_key_whole(const struct soft_cpu *c, uint32_t key)
{
	uint32_t off = bt_linear_rip(c) & (BUS_PAGE_SIZE - 1);

	if (!(key & BT_KEY_SEGS))
		return key;
	if (!bt_limit_beyond(c, 1))
		return 0;
	return key | (bt_key_t)(uint32_t)(c->st.rip - off) << 32;
}

static struct bt_block *bt_block_here(struct soft_cpu *c, bt_key_t extra)
{
	bt_key_t key = bt_key_whole(c, bt_key(c));
	int64_t at;

	if (!key || !bt_code_address(c, c->st.rip))
		return NULL;
	at = bt_code_offset(c, bt_linear_rip(c), false);
	if (at < 0)
		return NULL;
	return bt_block_find(
		c, at >> BUS_PAGE_SHIFT, at & (BUS_PAGE_SIZE - 1), key | extra);
}

struct bt_block *bt_block_get(struct soft_cpu *c)
{
	return bt_block_here(c, 0);
}

struct bt_block *bt_block_get_single(struct soft_cpu *c)
{
	return bt_block_here(c, BT_KEY_SINGLE);
}

/* Entries that push each other out of the jump cache have different hints. */
static unsigned bt_jc_hint(uint64_t rip)
{
	return rip * 0x9e3779b97f4a7c15ull >> 40 & (BT_JC_HINTS - 1);
}

/* The block that the jump cache last had for RIP, if it is the right one. */
static struct bt_block *bt_block_hint(
	struct soft_cpu *c, const struct bt_at *at, bt_key_t key)
{
	unsigned i = bt_jc_hint(bt_jc_tag(c, key));
	struct bt_block *b =
		&bt_vm(c)->blocks[bt_cpu(c)->jc_hint[c->tlb_mode][i]];

	return b->valid && b->ram_page == at->ram_page && b->off == at->off &&
			       b->key == key && b->page2 == BT_PAGE_NONE
		       ? b
		       : NULL;
}

struct bt_block *bt_block_quick(struct soft_cpu *c, uint32_t part)
{
	bt_key_t key = bt_key_whole(c, part);
	int64_t off = key && bt_code_address(c, c->st.rip)
			      ? bt_code_offset(c, bt_linear_rip(c), true)
			      : -1;
	struct bt_at at = {
		off >> BUS_PAGE_SHIFT, off & (BUS_PAGE_SIZE - 1), BT_PAGE_NONE};
	struct bt_block *b;

	if (off < 0)
		return NULL;
	b = bt_block_hint(c, &at, key);
	if (!b)
		b = bt_block_first(bt_vm(c), &at, key);
	if (b && b->page2 != BT_PAGE_NONE) {
		at.page2 = bt_second_page(c, at.ram_page, true);
		if (b->page2 != at.page2)
			b = bt_block_exact(bt_vm(c), &at, key);
	}
	if (b)
		bt_jc_fill(c, b);
	return b;
}

struct bt_block *bt_block_follow(struct soft_cpu *c, uint32_t exit)
{
	struct cpu_vm *vm = bt_vm(c);
	struct bt_exit *x = &vm->exits[exit];
	struct bt_block *from = &vm->blocks[x->block], *b;

	if (!from->valid)
		return NULL;
	b = bt_block_find(c, from->ram_page, x->off, x->key);
	if (!b)
		return NULL;
	pthread_mutex_lock(&vm->lock);
	if (!x->target && b->valid && from->valid) {
		x->target = b - vm->blocks;
		x->next = b->incoming;
		b->incoming = exit;
		em_patch(x->disp, b->near_entry);
	}
	pthread_mutex_unlock(&vm->lock);
	return b;
}

/* ---- the jump cache ---- */

uint64_t bt_jc_tag(const struct soft_cpu *c, uint32_t key)
{
	if (key & BT_KEY_SEGS)
		return c->st.rip << 32 | bt_linear_rip(c);
	return c->st.rip;
}

void bt_jc_use(struct soft_cpu *c, uint32_t key)
{
	unsigned m = (key & BT_KEY_MODE) >> BT_KEY_MODE_SHIFT;
	struct bt_area *a = bt_area(c);

	if (a->jc_key[m] == key)
		return;
	bt_jc_flush(c, m);
	a->jc_key[m] = key;
}

void bt_jc_fill(struct soft_cpu *c, struct bt_block *b)
{
	struct cpu *cpu = bt_cpu(c);
	unsigned m = c->tlb_mode, i;
	struct bt_jc *e;
	uint64_t was, rip;

	rip = bt_jc_tag(c, b->key);
	i = bt_jc_index(rip);
	e = &bt_area(c)->jc[m][i];

	if (!i || (b->key & BT_KEY_STEP))
		return;
	bt_jc_use(c, b->key);
	if (!e->rip) {
		if (cpu->jc_fills[m] < BT_JC_JOURNAL)
			cpu->jc_journal[m][cpu->jc_fills[m]] = i;
		cpu->jc_fills[m]++;
	}
	cpu->jc_hint[m][bt_jc_hint(rip)] = b - bt_vm(c)->blocks;
	was = __atomic_load_n(&b->jc_rip, __ATOMIC_SEQ_CST);
	if (was != rip &&
		(was || !__atomic_compare_exchange_n(&b->jc_rip, &was, rip,
				false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) &&
		was != rip)
		__atomic_store_n(&b->jc_many, true, __ATOMIC_SEQ_CST);
	__atomic_store_n(&e->rip, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&e->host, b->far_entry, __ATOMIC_RELEASE);
	__atomic_store_n(&e->rip, rip, __ATOMIC_SEQ_CST);
	/* Whoever invalidates clears valid first, then looks here. */
	if (!atomic_load(&b->valid))
		__atomic_store_n(&e->rip, 0, __ATOMIC_RELAXED);
}

void bt_jc_flush(struct soft_cpu *c, unsigned mode)
{
	struct cpu *cpu = bt_cpu(c);
	struct bt_jc *jc = bt_area(c)->jc[mode];

	if (cpu->jc_fills[mode] > BT_JC_JOURNAL) {
		for (unsigned i = 0; i < BT_JC_SIZE; i++)
			__atomic_store_n(&jc[i].rip, 0, __ATOMIC_RELAXED);
	} else {
		for (unsigned i = 0; i < cpu->jc_fills[mode]; i++)
			__atomic_store_n(&jc[cpu->jc_journal[mode][i]].rip, 0,
				__ATOMIC_RELAXED);
	}
	cpu->jc_fills[mode] = 0;
	cpu->counters[BT_CNT_JC_FLUSH]++;
}

/* Entries into a page are within one part of the cache, in some order. */
static void bt_jc_drop_page(struct bt_jc *jc, gva_t page)
{
	struct bt_jc *e = &jc[bt_jc_index(page) & ~(BT_JC_PAGE - 1)];

	for (unsigned i = 0; i < BT_JC_PAGE; i++)
		if (((uint32_t)e[i].rip ^ (uint32_t)page) < BUS_PAGE_SIZE)
			__atomic_store_n(&e[i].rip, 0, __ATOMIC_RELAXED);
}

void bt_jc_sync(struct soft_cpu *c, unsigned mode)
{
	if (c->exec_stale >> mode & 1) {
		bt_jc_flush(c, mode);
		return;
	}
	for (unsigned i = 0; i < c->exec_npages; i++)
		if (c->exec_page[i] >> mode & 1)
			bt_jc_drop_page(bt_area(c)->jc[mode],
				c->exec_page[i] & ~(BUS_PAGE_SIZE - 1));
}
