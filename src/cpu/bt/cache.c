/*
 * cache.c - memory for translated code and its records.
 *
 * One anonymous mapping, writable and executable, made before the process
 * gives up its rights; huge pages where the host grants them.  Hot code grows
 * from the start, calls into C and other rare paths from the middle.  Nothing
 * is freed singly: when the space is used up, all processors leave the cache
 * and it starts anew.
 */
#include <errno.h>
#include <sys/mman.h>

#include "cpu/bt/priv.h"

#define DEFAULT_BYTES (128ull << 20)
#define MIN_BYTES     (4ull << 20)
#define HASH_BITS     17
#define HUGE_BYTES    (2ull << 20)

static void *bt_cache_map(size_t bytes, int prot)
{
	void *p = mmap(NULL, bytes, prot,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

int bt_cache_init(struct cpu_vm *vm, uint64_t bytes)
{
	struct emit e;
	uint8_t *p;

	if (!bytes)
		bytes = DEFAULT_BYTES;
	if (bytes < MIN_BYTES)
		bytes = MIN_BYTES;
	if (bytes > 1ull << 30)
		bytes = 1ull << 30;
	bytes = (bytes + HUGE_BYTES - 1) & ~(HUGE_BYTES - 1);
	p = bt_cache_map(
		bytes + HUGE_BYTES, PROT_READ | PROT_WRITE | PROT_EXEC);
	if (!p)
		return -errno;
	vm->cache = p;
	vm->cache_bytes = bytes + HUGE_BYTES;
	p = (uint8_t *)(((uintptr_t)p + HUGE_BYTES - 1) & ~(HUGE_BYTES - 1));
	madvise(p, bytes, MADV_HUGEPAGE);

	e.p = p;
	bt_stubs_make(vm, &e);
	vm->hot_start = e.p;
	vm->hot_end = p + bytes / 2;
	vm->cold_start = vm->hot_end;
	vm->cold_end = p + bytes;

	vm->max_blocks = bytes / 128;
	vm->max_exits = bytes / 64;
	vm->blocks = bt_cache_map(
		vm->max_blocks * sizeof(*vm->blocks), PROT_READ | PROT_WRITE);
	vm->exits = bt_cache_map(
		vm->max_exits * sizeof(*vm->exits), PROT_READ | PROT_WRITE);
	vm->hash = bt_cache_map(
		sizeof(*vm->hash) << HASH_BITS, PROT_READ | PROT_WRITE);
	vm->npages = vm->soft.ram->bytes >> BUS_PAGE_SHIFT;
	vm->pages = bt_cache_map(
		vm->npages * sizeof(*vm->pages) + 1, PROT_READ | PROT_WRITE);
	if (!vm->blocks || !vm->exits || !vm->hash || !vm->pages) {
		bt_cache_fini(vm);
		return -ENOMEM;
	}
	bt_cache_reset(vm);
	return 0;
}

static void bt_cache_unmap(void *p, size_t bytes)
{
	if (p)
		munmap(p, bytes);
}

void bt_cache_fini(struct cpu_vm *vm)
{
	bt_cache_unmap(vm->cache, vm->cache_bytes);
	bt_cache_unmap(vm->blocks, vm->max_blocks * sizeof(*vm->blocks));
	bt_cache_unmap(vm->exits, vm->max_exits * sizeof(*vm->exits));
	bt_cache_unmap(vm->hash, sizeof(*vm->hash) << HASH_BITS);
	bt_cache_unmap(vm->pages, vm->npages * sizeof(*vm->pages) + 1);
}

bool bt_cache_room(struct cpu_vm *vm)
{
	return vm->hot_end - vm->hot > BT_BLOCK_ROOM &&
	       vm->cold_end - vm->cold > BT_BLOCK_ROOM &&
	       vm->nblocks + 1 < vm->max_blocks &&
	       vm->nexits + BT_MAX_EXITS + 1 < vm->max_exits;
}

uint64_t bt_cache_used(const struct cpu_vm *vm)
{
	return (vm->hot - vm->hot_start) + (vm->cold - vm->cold_start);
}

static void bt_page_forget(struct cpu_vm *vm, uint64_t page)
{
	if (page >= vm->npages || !vm->pages[page].first)
		return;
	memset(&vm->pages[page], 0, sizeof(vm->pages[page]));
	atomic_fetch_and(
		&bus_page_flags(vm->soft.bus)[page], (uint8_t)~BUS_PAGE_CODE);
}

void bt_cache_reset(struct cpu_vm *vm)
{
	for (uint32_t i = 1; i < vm->nblocks; i++) {
		bt_page_forget(vm, vm->blocks[i].ram_page);
		bt_page_forget(vm, vm->blocks[i].page2);
	}
	memset(vm->hash, 0, sizeof(*vm->hash) << HASH_BITS);
	vm->hot = vm->hot_start;
	vm->cold = vm->cold_start;
	vm->nblocks = 1;
	vm->nexits = 1;
	atomic_fetch_add(&vm->epoch, 1);
	atomic_fetch_add(&vm->inval_seq, 1);
}
