/*
 * map.c - the physical address map and direct memory access.
 *
 * Regions are few (tens) and change rarely, so they are one array ordered by
 * priority.  Pages of plain RAM that nothing overlays, nearly all, are told by
 * a flag without any lock.
 */
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include <glib.h>

#include "bus/priv.h"

void bus_map_init(struct bus *b)
{
	pthread_rwlock_init(&b->map_lock, NULL);
}

void bus_map_fini(struct bus *b)
{
	pthread_rwlock_destroy(&b->map_lock);
}

void bus_tell_map_changed(struct bus *b)
{
	for (unsigned i = 0; i < BUS_MAX_LISTENERS; i++) {
		struct bus_listener *l = atomic_load(&b->listeners[i]);

		if (l && l->map_changed)
			l->map_changed(l->opaque);
	}
}

static bool bus_region_covers(const struct bus_region *r, gpa_t gpa)
{
	return gpa >= r->base && gpa - r->base < r->size;
}

static bool bus_page_overlaid(const struct bus *b, gpa_t page)
{
	for (unsigned i = 0; i < b->nregions; i++) {
		const struct bus_region *r = b->regions[i];

		if (r->prio > 0 && r->base < page + BUS_PAGE_SIZE &&
			page < r->base + r->size)
			return true;
	}
	return false;
}

/* Recompute the flag of the RAM pages under [base, base+size). */
static void bus_mark_overlays(struct bus *b, gpa_t base, uint64_t size)
{
	gpa_t page = base & ~(BUS_PAGE_SIZE - 1);

	for (; page < base + size; page += BUS_PAGE_SIZE) {
		int64_t off = bus_ram_offset(b, page);

		if (off < 0) {
			/* Skip at once what no RAM can lie under. */
			if (page >= b->ram.low && page < (4ull << 30))
				page = (4ull << 30) - BUS_PAGE_SIZE;
			else
				break;
			continue;
		}
		if (bus_page_overlaid(b, page))
			atomic_fetch_or(&b->flags[off >> BUS_PAGE_SHIFT],
				BUS_PAGE_OVERLAID);
		else
			atomic_fetch_and(&b->flags[off >> BUS_PAGE_SHIFT],
				(uint8_t)~BUS_PAGE_OVERLAID);
	}
}

void bus_region_map(struct bus *b, struct bus_region *r)
{
	unsigned i;

	g_assert(!r->mapped && b->nregions < BUS_MAX_REGIONS);
	pthread_rwlock_wrlock(&b->map_lock);
	for (i = b->nregions; i > 0; i--) {
		if (b->regions[i - 1]->prio > r->prio)
			break;
		b->regions[i] = b->regions[i - 1];
	}
	b->regions[i] = r;
	b->nregions++;
	r->mapped = true;
	bus_mark_overlays(b, r->base, r->size);
	pthread_rwlock_unlock(&b->map_lock);
	bus_tell_map_changed(b);
}

void bus_region_unmap(struct bus *b, struct bus_region *r)
{
	unsigned i;

	if (!r->mapped)
		return;
	pthread_rwlock_wrlock(&b->map_lock);
	for (i = 0; b->regions[i] != r; i++)
		;
	b->nregions--;
	memmove(&b->regions[i], &b->regions[i + 1],
		(b->nregions - i) * sizeof(b->regions[0]));
	r->mapped = false;
	bus_mark_overlays(b, r->base, r->size);
	pthread_rwlock_unlock(&b->map_lock);
	bus_tell_map_changed(b);
}

/* The region that decides an access at gpa, or NULL: plain RAM or nothing. */
static struct bus_region *bus_find(struct bus *b, gpa_t gpa, unsigned access)
{
	bool ram = bus_ram_offset(b, gpa) >= 0;

	for (unsigned i = 0; i < b->nregions; i++) {
		struct bus_region *r = b->regions[i];

		if (r->prio <= 0 && ram)
			return NULL;
		if ((r->access & access) && bus_region_covers(r, gpa))
			return r;
	}
	return NULL;
}

/* Host address of the page for this access, or NULL if it is not memory. */
static uint8_t *bus_page_host(struct bus *b, gpa_t page, unsigned access)
{
	struct bus_region *r = bus_find(b, page, access);
	int64_t off = bus_ram_offset(b, page);

	/* A boundary inside the page makes it piecewise: no fast path. */
	for (unsigned i = 0; i < b->nregions; i++) {
		const struct bus_region *o = b->regions[i];
		gpa_t end = o->base + o->size;

		if ((o->access & access) && (o->prio > 0 || off < 0) &&
			((o->base > page && o->base < page + BUS_PAGE_SIZE) ||
				(end > page && end < page + BUS_PAGE_SIZE)))
			return NULL;
	}
	if (r && r->host)
		return r->host + (page - r->base);
	if (r && r->ops)
		return NULL;
	return off >= 0 ? b->ram.host + off : NULL;
}

void bus_resolve(struct bus *b, gpa_t gpa, struct bus_page *out)
{
	gpa_t page = gpa & ~(BUS_PAGE_SIZE - 1);
	int64_t off = bus_ram_offset(b, page);

	if (off >= 0 && !(atomic_load_explicit(&b->flags[off >> BUS_PAGE_SHIFT],
				  memory_order_relaxed) &
				BUS_PAGE_OVERLAID)) {
		out->read = out->write = b->ram.host + off;
		out->ram = off;
		return;
	}
	pthread_rwlock_rdlock(&b->map_lock);
	out->read = bus_page_host(b, page, BUS_MAP_R);
	out->write = bus_page_host(b, page, BUS_MAP_W);
	pthread_rwlock_unlock(&b->map_lock);
	out->ram = -1;
	if (off >= 0 && out->read == b->ram.host + off &&
		out->write == out->read)
		out->ram = off;
}

static int bus_compare_gpa(const void *a, const void *b)
{
	gpa_t x = *(const gpa_t *)a, y = *(const gpa_t *)b;

	return x < y ? -1 : x > y;
}

/* Every address where the map may change, page aligned, ascending. */
static unsigned bus_map_edges(const struct bus *b, gpa_t *edges)
{
	unsigned n = 0;

	edges[n++] = 0;
	edges[n++] = b->ram.low;
	edges[n++] = 4ull << 30;
	edges[n++] = (4ull << 30) + b->ram.bytes - b->ram.low;
	for (unsigned i = 0; i < b->nregions; i++) {
		gpa_t end = b->regions[i]->base + b->regions[i]->size;

		edges[n++] = b->regions[i]->base & ~(BUS_PAGE_SIZE - 1);
		edges[n++] = (end + BUS_PAGE_SIZE - 1) & ~(BUS_PAGE_SIZE - 1);
	}
	qsort(edges, n, sizeof(edges[0]), bus_compare_gpa);
	return n;
}

unsigned bus_ranges(struct bus *b, struct bus_range *out, unsigned n)
{
	gpa_t edges[2 * BUS_MAX_REGIONS + 4];
	unsigned nedges = bus_map_edges(b, edges), found = 0;
	struct bus_range last = {0};

	for (unsigned i = 0; i + 1 < nedges; i++) {
		uint64_t size = edges[i + 1] - edges[i];
		struct bus_page pg;

		if (!size)
			continue;
		bus_resolve(b, edges[i], &pg);
		if (!pg.read)
			continue;
		if (last.size && last.base + last.size == edges[i] &&
			last.host + last.size == pg.read &&
			last.writable == (pg.write == pg.read)) {
			last.size += size;
			out[found - 1] = last;
			continue;
		}
		last = (struct bus_range){
			edges[i], size, pg.read, pg.write == pg.read};
		if (found == n)
			return found;
		out[found++] = last;
	}
	return found;
}

static uint64_t bus_load_host(const uint8_t *p, unsigned size)
{
	uint64_t v = 0;

	memcpy(&v, p, size);
	return v;
}

static uint64_t bus_ones(unsigned size)
{
	return size >= 8 ? ~0ull : (1ull << (size * 8)) - 1;
}

/* The region for an access, copied out so that no lock is held in its ops;
 * only the holder of the big lock changes the map. */
static struct bus_region *bus_find_locked(
	struct bus *b, gpa_t gpa, unsigned access)
{
	struct bus_region *r;

	pthread_rwlock_rdlock(&b->map_lock);
	r = bus_find(b, gpa, access);
	pthread_rwlock_unlock(&b->map_lock);
	return r;
}

uint64_t bus_mmio_read(
	struct bus *b, struct bus_cpu *who, gpa_t gpa, unsigned size)
{
	uint64_t val = bus_ones(size);
	struct bus_region *r;
	int64_t off = bus_ram_offset(b, gpa);

	bus_lock(b);
	r = bus_find_locked(b, gpa, BUS_MAP_R);
	if (r && gpa - r->base + size > r->size)
		; /* runs off the region's end */
	else if (r && r->host)
		val = bus_load_host(r->host + (gpa - r->base), size);
	else if (r && r->ops)
		val = r->ops->read(r->opaque, who, gpa - r->base, size) &
		      bus_ones(size);
	else if (off >= 0 && (uint64_t)off + size <= b->ram.bytes)
		val = bus_load_host(b->ram.host + off, size);
	bus_unlock(b);
	return val;
}

void bus_mmio_write(struct bus *b, struct bus_cpu *who, gpa_t gpa,
	unsigned size, uint64_t val)
{
	struct bus_region *r;
	int64_t off = bus_ram_offset(b, gpa);

	bus_lock(b);
	r = bus_find_locked(b, gpa, BUS_MAP_W);
	if (r && gpa - r->base + size > r->size)
		;
	else if (r && r->host)
		memcpy(r->host + (gpa - r->base), &val, size);
	else if (r && r->ops)
		r->ops->write(r->opaque, who, gpa - r->base, size,
			val & bus_ones(size));
	else if (off >= 0 && (uint64_t)off + size <= b->ram.bytes) {
		memcpy(b->ram.host + off, &val, size);
		bus_dma_written(b, gpa, size);
	}
	bus_unlock(b);
}

/* ---- direct memory access ---- */

bool bus_dma_read(struct bus *b, gpa_t gpa, void *buf, size_t len)
{
	uint8_t *to = buf;
	bool all = true;

	while (len) {
		size_t n =
			MIN(len, BUS_PAGE_SIZE - (gpa & (BUS_PAGE_SIZE - 1)));
		struct bus_page page;

		bus_resolve(b, gpa, &page);
		if (page.read) {
			memcpy(to, page.read + (gpa & (BUS_PAGE_SIZE - 1)), n);
		} else {
			memset(to, 0xff, n);
			all = false;
		}
		gpa += n;
		to += n;
		len -= n;
	}
	return all;
}

bool bus_dma_write(struct bus *b, gpa_t gpa, const void *buf, size_t len)
{
	const uint8_t *from = buf;
	bool all = true;

	while (len) {
		size_t n =
			MIN(len, BUS_PAGE_SIZE - (gpa & (BUS_PAGE_SIZE - 1)));
		struct bus_page page;

		bus_resolve(b, gpa, &page);
		if (page.write) {
			memcpy(page.write + (gpa & (BUS_PAGE_SIZE - 1)), from,
				n);
			bus_dma_written(b, gpa, n);
		} else {
			all = false;
		}
		gpa += n;
		from += n;
		len -= n;
	}
	return all;
}

void *bus_dma_map(struct bus *b, gpa_t gpa, size_t len)
{
	int64_t first = bus_ram_offset(b, gpa);
	uint64_t last;

	if (first < 0 || !len || len > b->ram.bytes ||
		bus_ram_offset(b, gpa + len - 1) != first + (int64_t)len - 1)
		return NULL;
	last = (first + len - 1) >> BUS_PAGE_SHIFT;
	for (uint64_t p = first >> BUS_PAGE_SHIFT; p <= last; p++)
		if (b->flags[p] & BUS_PAGE_OVERLAID)
			return NULL;
	return b->ram.host + first;
}

void bus_dirty_mark(struct bus *b, uint64_t ram_offset, size_t len)
{
	uint64_t last = MIN(ram_offset + len, b->ram.bytes) - 1;

	for (uint64_t p = ram_offset >> BUS_PAGE_SHIFT;
		p <= last >> BUS_PAGE_SHIFT; p++)
		if (atomic_load_explicit(&b->flags[p], memory_order_relaxed) &
			BUS_PAGE_CLEAN)
			atomic_fetch_and(
				&b->flags[p], (uint8_t)~BUS_PAGE_CLEAN);
}

__attribute__((cold)) uint64_t bus_dirty_fetch(struct bus *b, uint64_t *bitmap)
{
	uint64_t pages = b->ram.bytes >> BUS_PAGE_SHIFT, n = 0;

	if (bitmap)
		memset(bitmap, 0, (pages + 63) / 64 * 8);
	for (uint64_t p = 0; p < pages; p++) {
		if (atomic_fetch_or(&b->flags[p], BUS_PAGE_CLEAN) &
			BUS_PAGE_CLEAN)
			continue;
		n++;
		if (bitmap)
			bitmap[p / 64] |= 1ull << p % 64;
	}
	return n;
}

void bus_dirty_start(struct bus *b)
{
	bus_dirty_fetch(b, NULL);
}

void bus_dirty_stop(struct bus *b)
{
	bus_dirty_mark(b, 0, b->ram.bytes);
}

static bool bus_pages_watched(struct bus *b, uint64_t off, size_t len)
{
	uint64_t last = MIN(off + len - 1, b->ram.bytes - 1) >> BUS_PAGE_SHIFT;

	for (uint64_t p = off >> BUS_PAGE_SHIFT; p <= last; p++)
		if (atomic_load_explicit(&b->flags[p], memory_order_relaxed) &
			BUS_PAGE_CODE)
			return true;
	return false;
}

void bus_dma_written(struct bus *b, gpa_t gpa, size_t len)
{
	int64_t off = bus_ram_offset(b, gpa);
	bool watched = false;

	if (!len)
		return;
	/* Also orders: the data must be visible before the flag is looked at,
	 * as an engine sets the flag, then reads the code. */
	atomic_fetch_add(&b->dma_busy, 1);
	if (off >= 0) {
		bus_dirty_mark(b, off, len);
		watched = bus_pages_watched(b, off, len);
	}
	for (unsigned i = 0; i < BUS_MAX_LISTENERS; i++) {
		struct bus_listener *l = atomic_load(&b->listeners[i]);

		if (l && l->ram_written && (watched || l->want_all_writes))
			l->ram_written(l->opaque, gpa, len);
	}
	atomic_fetch_sub(&b->dma_busy, 1);
}

void bus_listen(struct bus *b, struct bus_listener *l)
{
	for (unsigned i = 0; i < BUS_MAX_LISTENERS; i++)
		if (!atomic_load(&b->listeners[i])) {
			atomic_store(&b->listeners[i], l);
			return;
		}
	g_assert_not_reached();
}

void bus_unlisten(struct bus *b, struct bus_listener *l)
{
	for (unsigned i = 0; i < BUS_MAX_LISTENERS; i++)
		if (atomic_load(&b->listeners[i]) == l)
			atomic_store(&b->listeners[i], NULL);
	/* Disks write memory from threads of their own. */
	while (atomic_load(&b->dma_busy))
		sched_yield();
}

void bus_set_a20(struct bus *b, bool open)
{
	gpa_t mask = open ? ~0ull : ~(1ull << 20);

	if (atomic_exchange(&b->a20_mask, mask) != mask)
		bus_tell_map_changed(b);
}

gpa_t bus_a20_mask(const struct bus *b)
{
	return atomic_load_explicit(&b->a20_mask, memory_order_relaxed);
}
