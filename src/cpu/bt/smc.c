/*
 * smc.c - code that changes.
 *
 * A page with translations has BUS_PAGE_CODE set and no write entry in any
 * processor's TLB, so every store to it takes the slow way and ends up in
 * bt_smc_written, as does DMA.  Blocks know which 64-byte parts of the page
 * they were made from (and looked ahead into); others stay.
 *
 * Removing write entries of other processors: the entry is cleared, and a
 * processor that may be between its check and its store is waited for.  Only
 * then are the bytes read.
 */
#include <linux/membarrier.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cpu/bt/priv.h"

static bool bt_drop_remote(struct soft_cpu *o, uintptr_t host)
{
	bool found = false;
	struct bt_area *a = bt_area(o);

	for (unsigned m = 0; m < SOFT_NMODES; m++) {
		struct soft_tlb_entry *e = o->tlb[m][SOFT_WRITE];

		for (unsigned i = 0; i < SOFT_TLB_SIZE; i++) {
			uint64_t tag =
				__atomic_load_n(&e[i].tag, __ATOMIC_RELAXED);

			if (tag + e[i].addend != host)
				continue;
			__atomic_store_n(
				&e[i].tag, soft_tlb_empty(i), __ATOMIC_SEQ_CST);
			found = true;
		}
		e = &a->stack[m][SOFT_WRITE];
		if (e->tag + e->addend == host) {
			__atomic_store_n(
				&e->tag, BT_SLOT_EMPTY, __ATOMIC_SEQ_CST);
			found = true;
		}
	}
	return found;
}

static void bt_wait_out(struct soft_cpu *o)
{
	struct bt_area *a = bt_area(o);

	/* Code leaves at the next poll; C code does not hold a checked
	 * address. */
	while (atomic_load(&a->in_code) == BT_IN_CODE) {
		atomic_store(&a->jc_mask, 0);
		atomic_store(&a->poll, 1);
		sched_yield();
	}
}

void bt_smc_watch(struct soft_cpu *c, uint64_t ram_page)
{
	struct cpu_vm *vm = bt_vm(c);
	_Atomic(uint8_t) *flags = bus_page_flags(c->bus);
	uintptr_t host =
		(uintptr_t)c->vm->ram_host + (ram_page << BUS_PAGE_SHIFT);
	bool any;

	if (atomic_fetch_or(&flags[ram_page], BUS_PAGE_CODE) & BUS_PAGE_CODE)
		return;
	bt_drop_remote(c, host);
	do { /* code may have been copying an entry */
		bool wait[BUS_MAX_CPUS] = {false};

		any = false;
		for (unsigned i = 0; i < vm->soft.ncpus; i++) {
			struct soft_cpu *o = vm->soft.cpus[i];

			if (o && o != c && o->engine && bt_drop_remote(o, host))
				wait[i] = any = true;
		}
		if (any)
			syscall(SYS_membarrier,
				MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
		for (unsigned i = 0; any && i < vm->soft.ncpus; i++)
			if (wait[i])
				bt_wait_out(vm->soft.cpus[i]);
	} while (any);
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
	struct bt_jc *jc, struct bt_block *b, unsigned from, unsigned to)
{
	for (unsigned i = from; i <= to; i++)
		if (__atomic_load_n(&jc[i].host, __ATOMIC_RELAXED) ==
			b->far_entry)
			__atomic_store_n(&jc[i].rip, 0, __ATOMIC_SEQ_CST);
}

static void bt_unlink_jump_caches(struct cpu_vm *vm, struct bt_block *b)
{
	unsigned mode = (b->key & BT_KEY_MODE) >> BT_KEY_MODE_SHIFT;
	unsigned first = 0, last = BT_JC_SIZE - 1;

	if (!b->jc_many) {
		if (!b->jc_rip)
			return;
		first = last = bt_jc_index(b->jc_rip);
	}
	for (unsigned i = 0; i < vm->soft.ncpus; i++) {
		struct soft_cpu *o = vm->soft.cpus[i];

		if (o && o->engine)
			bt_drop_jumps(bt_area(o)->jc[mode], b, first, last);
	}
}

static void bt_invalidate(struct cpu_vm *vm, struct bt_block *b)
{
	atomic_store(&b->valid, false);
	bt_block_remove(vm, b);
	bt_unlink_exits(vm, b);
	bt_unlink_jump_caches(vm, b);
	atomic_fetch_add(&vm->inval_seq, 1);
	vm->counters[BT_VMC_INVALS]++;
}

static void bt_page_drop_flag(struct cpu_vm *vm, uint64_t ram_page)
{
	if (!vm->pages[ram_page].nblocks)
		atomic_fetch_and(&bus_page_flags(vm->soft.bus)[ram_page],
			(uint8_t)~BUS_PAGE_CODE);
}

/* Take b, which is on the lists of two pages, from that of another page. */
static void bt_page_unlist(
	struct cpu_vm *vm, struct bt_block *b, uint64_t written)
{
	uint64_t other = b->ram_page == written ? b->page2 : b->ram_page;
	uint32_t *p = &vm->pages[other].first, me = b - vm->blocks;

	while (*p && *p != me)
		p = bt_block_next(&vm->blocks[*p], other);
	if (!*p)
		return;
	*p = *bt_block_next(b, other);
	vm->pages[other].nblocks--;
	bt_page_drop_flag(vm, other);
}

static void bt_page_written(struct cpu_vm *vm, uint64_t ram_page, uint64_t mask)
{
	struct bt_page *page = &vm->pages[ram_page];
	uint32_t *p = &page->first;

	if (!(page->mask & mask))
		return;
	page->mask = 0;
	while (*p) {
		struct bt_block *b = &vm->blocks[*p];
		uint64_t has = b->ram_page == ram_page ? b->mask : b->mask2;

		if (has & mask) {
			*p = *bt_block_next(b, ram_page);
			page->nblocks--;
			if (b->page2 < vm->npages)
				bt_page_unlist(vm, b, ram_page);
			bt_invalidate(vm, b);
		} else {
			page->mask |= has;
			p = bt_block_next(b, ram_page);
		}
	}
	bt_page_drop_flag(vm, ram_page);
}

/* 64-byte parts touched by [off, off + len) of a page. */
static uint64_t bt_parts(unsigned off, unsigned len)
{
	unsigned first = off >> 6, last = (off + len - 1) >> 6;

	return (~0ull << first) & (~0ull >> (63 - last));
}

void bt_smc_written(struct soft_vm *svm, struct soft_cpu *c,
	uint64_t ram_offset, unsigned len)
{
	struct cpu_vm *vm = (struct cpu_vm *)svm;
	uint64_t end = ram_offset + len;

	pthread_mutex_lock(&vm->lock);
	while (ram_offset < end && ram_offset >> BUS_PAGE_SHIFT < vm->npages) {
		uint64_t page = ram_offset >> BUS_PAGE_SHIFT;
		unsigned off = ram_offset & (BUS_PAGE_SIZE - 1);
		uint64_t n = BUS_PAGE_SIZE - off;

		if (n > end - ram_offset)
			n = end - ram_offset;
		bt_page_written(vm, page, bt_parts(off, n));
		ram_offset += n;
	}
	pthread_mutex_unlock(&vm->lock);
}
