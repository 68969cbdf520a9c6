/*
 * cache.c - memory for translated code and its records.
 *
 * One anonymous mapping, writable and executable, made before the process
 * gives up its rights, and arrays of records beside it.  All are divided into
 * regions, each one huge page of code: hot code in its first half, calls into
 * C and other rare paths in the second.  Regions are filled in turn.  When one
 * is begun, the next, which is the oldest, is retired: its blocks are dropped.
 * By the time it is needed every processor has left the cache once since then,
 * and nobody can return into it; if one has not, all are stopped.
 *
 * An idle machine gives back memory: see bt_cache_idle.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "cpu/bt/priv.h"

#define DEFAULT_BYTES (128ull << 20)
#define MAX_BYTES     (1ull << 30)
#define HASH_BITS     17
#define STUB_BYTES    (64u << 10)
#define REGION_BYTES  (2ull << 20) /* a huge page */
#define REGION_BLOCKS (REGION_BYTES / 192)
#define REGION_EXITS  (REGION_BYTES / 96)
#define MIN_REGIONS   4
#define IDLE_REGIONS  2	     /* that an idle machine keeps */
#define IDLE_STAMPS   100000 /* 2 s: how long it must not have translated */

/* The first region's records begin behind those that are not used. */
#define FIRST_BLOCK(r) ((r)*REGION_BLOCKS + 1)
#define FIRST_EXIT(r)  ((r)*REGION_EXITS + 1)

static void *bt_cache_map(size_t bytes, int prot)
{
	void *p = mmap(NULL, bytes, prot,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

static size_t bt_blocks_bytes(const struct cpu_vm *vm)
{
	return FIRST_BLOCK(vm->nregions) * sizeof(*vm->blocks);
}

static size_t bt_exits_bytes(const struct cpu_vm *vm)
{
	return FIRST_EXIT(vm->nregions) * sizeof(*vm->exits);
}

static uint8_t *bt_region_code(const struct cpu_vm *vm, unsigned r)
{
	return vm->code + r * REGION_BYTES;
}

static int bt_cache_arrays(struct cpu_vm *vm)
{
	vm->regions = calloc(vm->nregions, sizeof(*vm->regions));
	vm->blocks = bt_cache_map(bt_blocks_bytes(vm), PROT_READ | PROT_WRITE);
	vm->exits = bt_cache_map(bt_exits_bytes(vm), PROT_READ | PROT_WRITE);
	vm->hash = bt_cache_map(
		sizeof(*vm->hash) << HASH_BITS, PROT_READ | PROT_WRITE);
	vm->npages =
		(vm->soft.ram->bytes + vm->soft.ram->rom) >> BUS_PAGE_SHIFT;
	vm->pages = bt_cache_map(
		vm->npages * sizeof(*vm->pages) + 1, PROT_READ | PROT_WRITE);
	vm->soft.write_slots = bt_cache_map(
		vm->npages * sizeof(uint32_t) + 1, PROT_READ | PROT_WRITE);
	return vm->regions && vm->blocks && vm->exits && vm->hash &&
			       vm->pages && vm->soft.write_slots
		       ? 0
		       : -ENOMEM;
}

int bt_cache_init(struct cpu_vm *vm, uint64_t bytes)
{
	struct emit e;
	uint8_t *p;

	if (!bytes)
		bytes = DEFAULT_BYTES;
	if (bytes > MAX_BYTES)
		bytes = MAX_BYTES;
	vm->nregions = bytes / REGION_BYTES;
	if (vm->nregions < MIN_REGIONS)
		vm->nregions = MIN_REGIONS;
	vm->cache_bytes = (vm->nregions + 1) * REGION_BYTES + STUB_BYTES;
	vm->cache = bt_cache_map(
		vm->cache_bytes, PROT_READ | PROT_WRITE | PROT_EXEC);
	if (!vm->cache)
		return -errno;
	p = vm->cache + STUB_BYTES;
	vm->code = (uint8_t *)(((uintptr_t)p + REGION_BYTES - 1) &
			       ~(REGION_BYTES - 1));
	madvise(vm->code, vm->nregions * REGION_BYTES, MADV_HUGEPAGE);
	e.p = vm->code - STUB_BYTES;
	bt_stubs_make(vm, &e);
	if (bt_cache_arrays(vm) < 0) {
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
	bt_cache_unmap(vm->blocks, bt_blocks_bytes(vm));
	bt_cache_unmap(vm->exits, bt_exits_bytes(vm));
	bt_cache_unmap(vm->hash, sizeof(*vm->hash) << HASH_BITS);
	bt_cache_unmap(vm->pages, vm->npages * sizeof(*vm->pages) + 1);
	bt_cache_unmap(vm->soft.write_slots, vm->npages * sizeof(uint32_t) + 1);
	free(vm->regions);
}

/* ---- what is used ---- */

static uint64_t bt_region_used(const struct cpu_vm *vm, unsigned r)
{
	const struct bt_region *g = &vm->regions[r];

	if (r != vm->region)
		return g->used;
	return (vm->hot - bt_region_code(vm, r)) +
	       (vm->cold - bt_region_code(vm, r) - REGION_BYTES / 2);
}

uint64_t bt_cache_used(const struct cpu_vm *vm)
{
	uint64_t sum = 0;

	for (unsigned r = 0; r < vm->nregions; r++)
		sum += bt_region_used(vm, r);
	return sum;
}

uint64_t bt_cache_bound(const struct cpu_vm *vm)
{
	return vm->nregions * REGION_BYTES;
}

/* ---- processors that are still in there ---- */

/* Since bt_grace_begin returned g, has each processor been out of the code and
 * of what holds a block? */
bool bt_grace_over(struct cpu_vm *vm, uint32_t g)
{
	for (unsigned i = 0; i < vm->soft.ncpus; i++) {
		struct soft_cpu *o = vm->soft.cpus[i];

		if (o && o->engine &&
			atomic_load(&bt_near(o)->in_code) != BT_OUT &&
			(int32_t)(atomic_load(&bt_cpu(o)->grace) - g) < 0)
			return false;
	}
	return true;
}

/* What was dropped before can be reached by nobody who comes in from now on.
 * Whoever is in is asked to come out. */
uint32_t bt_grace_begin(struct cpu_vm *vm)
{
	uint32_t g = atomic_fetch_add(&vm->grace, 1) + 1;

	for (unsigned i = 0; i < vm->soft.ncpus; i++) {
		struct soft_cpu *o = vm->soft.cpus[i];

		if (o && o->engine &&
			atomic_load(&bt_near(o)->in_code) != BT_OUT)
			bt_kick(o->engine);
	}
	return g;
}

/* ---- regions ---- */

static void bt_region_retire(struct cpu_vm *vm, unsigned r)
{
	struct bt_region *g = &vm->regions[r];

	if (!g->nblocks || g->retired)
		return;
	bt_blocks_evict(vm, FIRST_BLOCK(r), g->nblocks, bt_region_code(vm, r),
		REGION_BYTES);
	g->retired = true;
	g->grace = bt_grace_begin(vm);
	vm->counters[BT_VMC_EVICTED] += g->used;
}

static void bt_region_begin(struct cpu_vm *vm, unsigned r)
{
	struct bt_region *g = &vm->regions[vm->region];

	g->used = bt_region_used(vm, vm->region);
	g->nblocks = vm->nblocks - FIRST_BLOCK(vm->region);
	g = &vm->regions[r];
	g->used = g->nblocks = 0;
	g->retired = false;
	vm->region = r;
	vm->hot = bt_region_code(vm, r);
	vm->hot_end = vm->cold = vm->hot + REGION_BYTES / 2;
	vm->cold_end = vm->hot + REGION_BYTES;
	vm->nblocks = FIRST_BLOCK(r);
	vm->nexits = FIRST_EXIT(r);
	vm->begun = bt_stamp();
}

/* The next region, emptied.  False: somebody may still be in it. */
bool bt_cache_advance(struct cpu_vm *vm)
{
	unsigned next = (vm->region + 1) % vm->nregions;
	struct bt_region *g = &vm->regions[next];

	bt_region_retire(vm, next);
	if (g->retired && !bt_grace_over(vm, g->grace))
		return false;
	bt_region_begin(vm, next);
	bt_region_retire(vm, (next + 1) % vm->nregions);
	return true;
}

bool bt_cache_room(struct cpu_vm *vm)
{
	if (vm->hot_end - vm->hot > BT_BLOCK_ROOM &&
		vm->cold_end - vm->cold > BT_BLOCK_ROOM &&
		vm->nblocks + 1 < FIRST_BLOCK(vm->region + 1) &&
		vm->nexits + BT_MAX_EXITS + 1 < FIRST_EXIT(vm->region + 1))
		return true;
	return bt_cache_advance(vm);
}

void bt_cache_reset(struct cpu_vm *vm)
{
	_Atomic(uint8_t) *flags = bus_page_flags(vm->soft.bus);

	for (uint64_t i = 0; i < vm->npages; i++)
		if (flags[i] & BUS_PAGE_CODE)
			atomic_fetch_and(&flags[i], (uint8_t)~BUS_PAGE_CODE);
	madvise(vm->pages, vm->npages * sizeof(*vm->pages), MADV_DONTNEED);
	memset(vm->hash, 0, sizeof(*vm->hash) << HASH_BITS);
	memset(vm->regions, 0, vm->nregions * sizeof(*vm->regions));
	vm->region = 0;
	vm->hot = vm->code;
	vm->cold = vm->code + REGION_BYTES / 2;
	vm->nblocks = FIRST_BLOCK(0);
	bt_region_begin(vm, 0);
	atomic_fetch_add(&vm->epoch, 1);
	atomic_fetch_add(&vm->inval_seq, 1);
}

/* ---- giving memory back ---- */

static void bt_give_back(void *p, size_t bytes)
{
	uintptr_t a = ((uintptr_t)p + BUS_PAGE_SIZE - 1) & ~(BUS_PAGE_SIZE - 1);
	uintptr_t end = ((uintptr_t)p + bytes) & ~(BUS_PAGE_SIZE - 1);

	if (a < end)
		madvise((void *)a, end - a, MADV_DONTNEED);
}

/* Oldest first: those behind the current one.  True: one was given back. */
static bool bt_idle_region(struct cpu_vm *vm)
{
	unsigned used = 0, oldest = 0;
	struct bt_region *g;

	for (unsigned i = vm->nregions - 1; i; i--) {
		unsigned r = (vm->region + i) % vm->nregions;

		if (vm->regions[r].nblocks) {
			used++;
			oldest = r;
		}
	}
	if (used < IDLE_REGIONS)
		return false;
	bt_region_retire(vm, oldest);
	g = &vm->regions[oldest];
	if (!bt_grace_over(vm, g->grace))
		return false;
	bt_give_back(bt_region_code(vm, oldest), REGION_BYTES);
	bt_give_back(&vm->blocks[FIRST_BLOCK(oldest)],
		REGION_BLOCKS * sizeof(*vm->blocks));
	bt_give_back(&vm->exits[FIRST_EXIT(oldest)],
		REGION_EXITS * sizeof(*vm->exits));
	memset(g, 0, sizeof(*g));
	return true;
}

static void bt_idle_tlb(struct soft_cpu *c)
{
	soft_tlb_flush(c);
	bt_give_back(c->tlb, sizeof(c->tlb));
	soft_tlb_from_zeros(c);
}

/* The jump caches and the TLB: once in each time without translations. */
static void bt_idle_caches(struct cpu *cpu)
{
	struct bt_area *a = bt_area(cpu->c);

	if (cpu->trimmed == cpu->vm->begun)
		return;
	cpu->trimmed = cpu->vm->begun;
	for (unsigned m = 0; m < SOFT_NMODES; m++) {
		bt_jc_flush(cpu->c, m);
		bt_give_back(a->jc[m], sizeof(a->jc[m]));
	}
	bt_idle_tlb(cpu->c);
}

void bt_cache_idle(struct cpu *cpu)
{
	struct cpu_vm *vm = cpu->vm;
	uint32_t now = bt_stamp();

	if (now - vm->begun < IDLE_STAMPS)
		return;
	bt_idle_caches(cpu);
	if (now - vm->trimmed < IDLE_STAMPS / 16)
		return;
	if (pthread_mutex_trylock(&vm->lock))
		return;
	vm->trimmed = now;
	for (unsigned n = 0; n < 2 && bt_idle_region(vm); n++)
		;
	pthread_mutex_unlock(&vm->lock);
}
