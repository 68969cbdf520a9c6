/*
 * smc.c - code that changes.
 *
 * A page with translations has BUS_PAGE_CODE set and no write entry in any
 * processor's TLB, so every store to it takes the slow way and ends up in
 * bt_smc_written, as does DMA.  Blocks know which 64-byte parts of the page
 * they were made from (and looked ahead into); others stay.  Where watching
 * does not pay, blocks check themselves (check.c) and are not watched.
 *
 * When a page becomes watched, other processors' write entries are cleared, and
 * its code is interpreted until each processor that had one has left the code.
 * Only then are the bytes read and translated.
 */
#include "cpu/bt/priv.h"

static bool bt_drop_slot(
	struct soft_tlb_entry *e, uintptr_t host, uint64_t empty)
{
	if (__atomic_load_n(&e->tag, __ATOMIC_RELAXED) + e->addend != host)
		return false;
	__atomic_store_n(&e->tag, empty, __ATOMIC_SEQ_CST);
	return true;
}

/* Clear the processor's write entries of the page: was there any? */
static bool bt_drop_writes(struct soft_cpu *o, uintptr_t host, uint32_t slots)
{
	unsigned idx[2] = {slots & 0xffff, slots >> 16};
	bool found = false;

	for (unsigned m = 0; m < SOFT_NMODES; m++) {
		struct soft_tlb_entry *e = o->tlb[m][SOFT_WRITE];
		struct bt_stack *s = bt_stack(o, m, true);

		if (__atomic_load_n(&s->host, __ATOMIC_RELAXED) == host &&
			__atomic_exchange_n(&s->tag, BT_SLOT_EMPTY,
				__ATOMIC_SEQ_CST) != BT_SLOT_EMPTY)
			found = true;
		for (unsigned i = 0; slots == ~0u && i < SOFT_TLB_SIZE; i++)
			found |= bt_drop_slot(&e[i], host, soft_tlb_empty(i));
		for (unsigned k = 0; slots != ~0u && k < 2; k++)
			if (idx[k])
				found |= bt_drop_slot(&e[idx[k] - 1], host,
					soft_tlb_empty(idx[k] - 1));
	}
	return bt_slots_drop(o, host) || found;
}

/* Those of all processors: had another than this one any? */
static bool bt_drop_all_writes(struct soft_cpu *c, uint64_t ram_page)
{
	struct soft_vm *vm = c->vm;
	uintptr_t host = (uintptr_t)vm->ram_host + (ram_page << BUS_PAGE_SHIFT);
	uint32_t slots = __atomic_exchange_n(
		&vm->write_slots[ram_page], 0, __ATOMIC_SEQ_CST);
	bool any = false;

	for (unsigned i = 0; i < vm->ncpus; i++) {
		struct soft_cpu *o = vm->cpus[i];

		if (o && o->engine)
			any |= bt_drop_writes(o, host, slots) && o != c;
	}
	return any;
}

/*
 * A processor whose entry was cleared may have checked an address by it and
 * not stored yet, or be copying it to another place.  So the page cannot be
 * read before each has been out of the code, nor before nothing is found any
 * more.
 */
bool bt_smc_watch(struct soft_cpu *c, uint64_t ram_page)
{
	struct cpu_vm *vm = bt_vm(c);
	struct bt_page *page = &vm->pages[ram_page];
	_Atomic(uint8_t) *flags = bus_page_flags(c->bus);

	if ((atomic_load(&flags[ram_page]) & BUS_PAGE_CODE) && !page->pending)
		return true;
	atomic_fetch_or(&flags[ram_page], BUS_PAGE_CODE);
	if (page->pending && !bt_grace_over(vm, page->grace)) {
		bt_grace_begin(vm);
		return false;
	}
	page->pending = bt_drop_all_writes(c, ram_page);
	if (page->pending)
		page->grace = bt_grace_begin(vm);
	return !page->pending;
}

/* ---- invalidation ---- */

static void bt_unlink_exits(struct cpu_vm *vm, struct bt_block *b)
{
	uint32_t me = b - vm->blocks;

	for (uint32_t x = b->incoming; x;) {
		uint32_t next = vm->exits[x].next;

		em_patch(vm->exits[x].disp, vm->exits[x].stub);
		vm->exits[x].target = 0;
		x = next;
	}
	b->incoming = 0;
	for (unsigned i = 0; i < b->nexits; i++) {
		struct bt_exit *x = &vm->exits[b->first_exit + i];
		uint32_t *p;

		if (!x->target || x->target == me)
			continue;
		p = &vm->blocks[x->target].incoming;
		while (*p && *p != b->first_exit + i)
			p = &vm->exits[*p].next;
		if (*p)
			*p = x->next;
		em_patch(x->disp, x->stub);
		x->target = 0;
	}
}

static void bt_drop_jumps(
	struct bt_jc *jc, struct bt_block *b, unsigned from, unsigned step)
{
	for (unsigned i = from; i < BT_JC_SIZE; i += step)
		if (__atomic_load_n(&jc[i].host, __ATOMIC_RELAXED) ==
			b->far_entry)
			__atomic_store_n(&jc[i].rip, 0, __ATOMIC_SEQ_CST);
}

static void bt_unlink_jump_caches(struct cpu_vm *vm, struct bt_block *b)
{
	unsigned mode = (b->key & BT_KEY_MODE) >> BT_KEY_MODE_SHIFT;
	unsigned first = bt_jc_index(b->jc_rip), step = BT_JC_SIZE;

	if (!b->jc_rip)
		return;
	if (b->jc_many) { /* all at the same offset in their pages */
		step = BT_JC_PAGE;
		first %= step;
	}
	for (unsigned i = 0; i < vm->soft.ncpus; i++) {
		struct soft_cpu *o = vm->soft.cpus[i];

		if (o && o->engine)
			bt_drop_jumps(bt_area(o)->jc[mode], b, first, step);
	}
}

static void bt_detach(struct cpu_vm *vm, struct bt_block *b)
{
	atomic_store(&b->valid, false);
	bt_block_remove(vm, b);
	bt_unlink_exits(vm, b);
	atomic_fetch_add(&vm->inval_seq, 1);
}

static void bt_invalidate(struct cpu_vm *vm, struct bt_block *b)
{
	bt_detach(vm, b);
	bt_unlink_jump_caches(vm, b);
	vm->counters[BT_VMC_INVALS]++;
}

/* Unless a processor may still be in a block that was dropped: it must notice
 * what it writes to the rest of that. */
static void bt_unwatch(struct cpu_vm *vm, uint64_t ram_page)
{
	struct bt_page *page = &vm->pages[ram_page];

	if (!bt_grace_over(vm, page->grace)) {
		bt_grace_begin(vm);
		return;
	}
	page->pending = false;
	atomic_fetch_and(&bus_page_flags(vm->soft.bus)[ram_page],
		(uint8_t)~BUS_PAGE_CODE);
}

/* ---- places where code is patched ---- */

#define SITE_HITS  3
#define SITE_AGAIN 20000 /* about 0.4 s between two that count */

static struct bt_site *bt_site(struct cpu_vm *vm, uint64_t where)
{
	return &vm->sites[where * 0x9e3779b97f4a7c15ull >> 56];
}

static void bt_site_hit(struct cpu_vm *vm, uint64_t ram_page, unsigned off)
{
	uint64_t where = ram_page << 12 | off;
	struct bt_site *s = bt_site(vm, where);
	uint32_t now = bt_stamp();

	if (s->where != where || now - s->stamp > SITE_AGAIN)
		s->hits = 0;
	s->where = where;
	s->stamp = now;
	s->hits++;
}

/* Take b from the list of a page. */
static void bt_unlist(struct cpu_vm *vm, struct bt_block *b, uint64_t ram_page)
{
	struct bt_page *page = &vm->pages[ram_page];
	uint32_t *p = &page->first, me = b - vm->blocks;

	while (*p && *p != me)
		p = bt_block_next(&vm->blocks[*p], ram_page);
	if (!*p)
		return;
	*p = *bt_block_next(b, ram_page);
	page->watched -= !b->checked;
	if (!page->first)
		page->starts = 0;
}

static void bt_unlist_all(struct cpu_vm *vm, struct bt_block *b)
{
	bt_unlist(vm, b, b->ram_page);
	if (b->page2 < vm->npages)
		bt_unlist(vm, b, b->page2);
}

void bt_block_drop(struct cpu_vm *vm, struct bt_block *b)
{
	bt_unlist_all(vm, b);
	bt_invalidate(vm, b);
}

/* Jump cache entries into [from, to). */
static void bt_drop_jumps_into(
	struct soft_cpu *o, const uint8_t *from, const uint8_t *to)
{
	for (unsigned m = 0; m < SOFT_NMODES; m++) {
		struct bt_jc *e = bt_area(o)->jc[m];

		/* who fills the first one now sees that the block is gone */
		if (!bt_cpu(o)->jc_fills[m])
			continue;
		for (unsigned i = 1; i < BT_JC_SIZE; i++) {
			const uint8_t *h =
				__atomic_load_n(&e[i].host, __ATOMIC_RELAXED);

			if (h >= from && h < to)
				__atomic_store_n(
					&e[i].rip, 0, __ATOMIC_SEQ_CST);
		}
	}
}

void bt_blocks_evict(struct cpu_vm *vm, uint32_t first, uint32_t n,
	const uint8_t *code, size_t bytes)
{
	for (struct bt_block *b = &vm->blocks[first]; n--; b++) {
		if (!b->valid)
			continue;
		bt_unlist_all(vm, b);
		bt_detach(vm, b);
	}
	for (unsigned i = 0; i < vm->soft.ncpus; i++)
		if (vm->soft.cpus[i] && vm->soft.cpus[i]->engine)
			bt_drop_jumps_into(
				vm->soft.cpus[i], code, code + bytes);
}

/* Drop the blocks of the page that depend on the parts in mask. */
static void bt_drop_blocks(
	struct cpu_vm *vm, uint64_t ram_page, uint64_t mask, bool written)
{
	struct bt_page *page = &vm->pages[ram_page];
	uint32_t *p = &page->first;
	uint64_t left = 0;

	while (*p) {
		struct bt_block *b = &vm->blocks[*p];
		uint64_t has = b->ram_page == ram_page ? b->mask : b->mask2;

		if (has & mask) {
			*p = *bt_block_next(b, ram_page);
			page->watched--;
			if (b->page2 < vm->npages)
				bt_unlist(vm, b,
					b->page2 == ram_page ? b->ram_page
							     : b->page2);
			bt_invalidate(vm, b);
			if (written)
				bt_site_hit(vm, ram_page, b->off);
		} else {
			left |= has;
			p = bt_block_next(b, ram_page);
		}
	}
	__atomic_store_n(&page->mask, left, __ATOMIC_RELAXED);
	if (!page->first)
		page->starts = 0;
	page->grace = atomic_fetch_add(&vm->grace, 1) + 1;
}

/* ---- pages that are written beside their code ---- */

/*
 * Each write to a watched page is slow.  When they come in masses all blocks of
 * the page are dropped and it is unwatched: often it is no code any more.  If
 * it is executed again, and written again, its blocks check themselves for
 * some time.  A page whose last block is gone stays watched for a few more
 * writes, since code that is patched is mostly run again.
 */
#define SHARED_STEP    16    /* writes; looked at that often */
#define SHARED_WRITES  64    /* too many in ... */
#define SHARED_WINDOW  16    /* ... about 0.3 ms */
#define SHARED_HEAT    3     /* times retired, each ... */
#define SHARED_AGAIN   512   /* ... within about 10 ms of the last */
#define SHARED_CHECKED 50000 /* about a second */

static void bt_page_retire(struct cpu_vm *vm, uint64_t ram_page, uint32_t now)
{
	struct bt_page *page = &vm->pages[ram_page];

	bt_drop_blocks(vm, ram_page, ~0ull, false);
	if (now - page->retired > SHARED_AGAIN)
		page->heat = 0;
	page->heat += page->heat < SHARED_HEAT;
	page->retired = now;
	page->checked = page->heat >= SHARED_HEAT;
	vm->counters[BT_VMC_RETIRED]++;
}

static void bt_page_shared(struct cpu_vm *vm, uint64_t ram_page)
{
	struct bt_page *page = &vm->pages[ram_page];
	uint32_t now;

	if (++page->writes % SHARED_STEP)
		return;
	pthread_mutex_lock(&vm->lock);
	now = bt_stamp();
	if (!page->watched) {
		bt_unwatch(vm, ram_page);
		page->writes = 0;
	} else if (now - page->stamp > SHARED_WINDOW) {
		page->stamp = now;
		page->writes = 0;
	} else if (page->writes >= SHARED_WRITES) {
		bt_page_retire(vm, ram_page, now);
		page->writes = 0;
	}
	pthread_mutex_unlock(&vm->lock);
}

bool bt_smc_checked(struct cpu_vm *vm, uint64_t ram_page, unsigned off)
{
	struct bt_page *page = &vm->pages[ram_page];
	uint64_t where = ram_page << 12 | off;
	struct bt_site *s = bt_site(vm, where);

	if (page->checked && bt_stamp() - page->retired > SHARED_CHECKED)
		page->checked = false;
	return page->checked || (s->where == where && s->hits >= SITE_HITS &&
					bt_stamp() - s->stamp <= SITE_AGAIN);
}

/* 64-byte parts touched by [off, off + len) of a page. */
static uint64_t bt_parts(unsigned off, unsigned len)
{
	unsigned first = off >> 6, last = (off + len - 1) >> 6;

	return (~0ull << first) & (~0ull >> (63 - last));
}

static void bt_page_written(
	struct cpu_vm *vm, uint64_t ram_page, uint64_t parts)
{
	struct bt_page *page = &vm->pages[ram_page];

	if (!(__atomic_load_n(&page->mask, __ATOMIC_RELAXED) & parts)) {
		bt_page_shared(vm, ram_page);
		return;
	}
	pthread_mutex_lock(&vm->lock);
	bt_drop_blocks(vm, ram_page, parts, true);
	pthread_mutex_unlock(&vm->lock);
}

void bt_smc_written(struct soft_vm *svm, struct soft_cpu *c,
	uint64_t ram_offset, unsigned len)
{
	struct cpu_vm *vm = (struct cpu_vm *)svm;
	uint64_t end = ram_offset + len;

	/* The write before the look at the page's mask: see
	 * bt_block_translate. */
	if (!c || svm->ncpus > 1)
		atomic_thread_fence(memory_order_seq_cst);
	while (ram_offset < end && ram_offset >> BUS_PAGE_SHIFT < vm->npages) {
		unsigned off = ram_offset & (BUS_PAGE_SIZE - 1);
		uint64_t n = BUS_PAGE_SIZE - off;

		if (n > end - ram_offset)
			n = end - ram_offset;
		bt_page_written(
			vm, ram_offset >> BUS_PAGE_SHIFT, bt_parts(off, n));
		ram_offset += n;
	}
}

void bt_smc_check_failed(struct cpu_vm *vm, uint32_t block)
{
	struct bt_block *b = &vm->blocks[block];

	pthread_mutex_lock(&vm->lock);
	if (b->valid) {
		bt_block_drop(vm, b);
		bt_site_hit(vm, b->ram_page, b->off);
	}
	pthread_mutex_unlock(&vm->lock);
}
