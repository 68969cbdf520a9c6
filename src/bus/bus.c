/* bus.c - life of a bus, its RAM, the big lock, and machine-wide requests. */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include <glib.h>

#include "bus/priv.h"

#define HUGE_PAGE (2ull << 20)

static _Thread_local char thread_identity;

/*
 * Private anonymous memory, aligned for huge pages: translated code reaches
 * guest RAM through this mapping, and TLB misses of the host cost most.
 */
static uint8_t *bus_ram_alloc(uint64_t bytes)
{
	uint64_t room = bytes + HUGE_PAGE;
	uint8_t *p = mmap(NULL, room, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	uint8_t *start;

	if (p == MAP_FAILED)
		return NULL;
	start = (uint8_t *)(((uintptr_t)p + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1));
	if (start > p)
		munmap(p, start - p);
	if (p + room > start + bytes)
		munmap(start + bytes, p + room - (start + bytes));
	madvise(start, bytes, MADV_HUGEPAGE);
	return start;
}

struct bus *bus_new(uint64_t ram_bytes, uint64_t low_max)
{
	return bus_new_rom(ram_bytes, low_max, 0);
}

struct bus *bus_new_rom(
	uint64_t ram_bytes, uint64_t low_max, uint64_t rom_bytes)
{
	struct bus *b = g_new0(struct bus, 1);
	uint64_t mapped = ram_bytes + rom_bytes;
	pthread_mutexattr_t attr;

	g_assert(!((ram_bytes | rom_bytes) & (BUS_PAGE_SIZE - 1)));
	b->ram.rom = rom_bytes;
	b->ram.bytes = ram_bytes;
	b->ram.low = MIN(ram_bytes, low_max);
	b->ram.host = bus_ram_alloc(mapped);
	b->timerfd = -1;
	if (!b->ram.host || !bus_clock_init(b)) {
		int e = errno;

		if (b->ram.host)
			munmap(b->ram.host, mapped);
		g_free(b);
		errno = e;
		return NULL;
	}
	b->flags = calloc(mapped >> BUS_PAGE_SHIFT, 1);
	g_assert(b->flags);
	b->a20_mask = ~0ull;
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ADAPTIVE_NP);
	pthread_mutex_init(&b->lock, &attr);
	pthread_mutexattr_destroy(&attr);
	bus_map_init(b);
	bus_io_init(b);
	return b;
}

void bus_free(struct bus *b)
{
	if (!b)
		return;
	bus_cpus_fini(b);
	bus_clock_fini(b);
	bus_io_fini(b);
	bus_map_fini(b);
	pthread_mutex_destroy(&b->lock);
	munmap(b->ram.host, b->ram.bytes + b->ram.rom);
	free((void *)(uintptr_t)b->flags);
	g_free(b);
}

/* The same thread may take the lock again: a port access may end in a device
 * that touches another device through the bus. */
void bus_lock(struct bus *b)
{
	if (bus_locked(b)) {
		b->depth++;
		return;
	}
	pthread_mutex_lock(&b->lock);
	atomic_store_explicit(
		&b->owner, &thread_identity, memory_order_relaxed);
}

void bus_unlock(struct bus *b)
{
	g_assert(bus_locked(b));
	if (b->depth) {
		b->depth--;
		return;
	}
	atomic_store_explicit(&b->owner, NULL, memory_order_relaxed);
	pthread_mutex_unlock(&b->lock);
}

bool bus_locked(const struct bus *b)
{
	return atomic_load_explicit(&b->owner, memory_order_relaxed) ==
	       &thread_identity;
}

const struct bus_ram *bus_ram(const struct bus *b)
{
	return &b->ram;
}

int64_t bus_ram_offset(const struct bus *b, gpa_t gpa)
{
	if (gpa < b->ram.low)
		return gpa;
	if (gpa >= (4ull << 30) &&
		gpa - (4ull << 30) < b->ram.bytes - b->ram.low)
		return gpa - (4ull << 30) + b->ram.low;
	return -1;
}

_Atomic(uint8_t) *bus_page_flags(struct bus *b)
{
	return b->flags;
}

void bus_msi_send(struct bus *b, uint64_t addr, uint32_t data)
{
	if (b->msi_send)
		b->msi_send(b->msi_opaque, addr, data);
}

void bus_msi_handler(struct bus *b,
	void (*send)(void *opaque, uint64_t addr, uint32_t data), void *opaque)
{
	b->msi_send = send;
	b->msi_opaque = opaque;
}

bool bus_x87_error(struct bus *b, bool pending)
{
	bool ignore = true;

	bus_lock(b);
	if (b->x87_error)
		ignore = b->x87_error(b->x87_opaque, pending);
	bus_unlock(b);
	return ignore;
}

void bus_x87_handler(
	struct bus *b, bool (*error)(void *opaque, bool pending), void *opaque)
{
	b->x87_error = error;
	b->x87_opaque = opaque;
}

void bus_request(struct bus *b, enum bus_request r)
{
	if (b->request)
		b->request(b->request_opaque, r);
}

void bus_request_handler(struct bus *b,
	void (*fn)(void *opaque, enum bus_request r), void *opaque)
{
	b->request = fn;
	b->request_opaque = opaque;
}
