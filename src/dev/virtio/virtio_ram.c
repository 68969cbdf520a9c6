/*
 * virtio_ram.c - memory that a guest gives back.
 *
 * To everybody but the host it is a write of zeros: engines forget what they
 * translated out of it, and the dirty log has it.
 */
#include "dev/virtio/virtio_ram.h"

#include <glib.h>

#define RUN_BYTES (1ull << 30) /* at once */

/* One run of plain RAM. */
static void discard_run(struct dev *d, gpa_t gpa, uint64_t len)
{
	const struct dev_ram *ram = d->host.ram;

	if (!len)
		return;
	ram->discard(
		ram->opaque, (uint64_t)bus_ram_offset(d->host.bus, gpa), len);
	bus_dma_written(d->host.bus, gpa, len);
}

/* Something overlays part of it. */
static void discard_pages(struct dev *d, gpa_t from, gpa_t to)
{
	gpa_t first = from;

	for (; from < to; from += BUS_PAGE_SIZE) {
		struct bus_page page;

		bus_resolve(d->host.bus, from, &page);
		if (page.ram >= 0)
			continue;
		discard_run(d, first, from - first);
		first = from + BUS_PAGE_SIZE;
	}
	discard_run(d, first, to - first);
}

/* What of [from, to) is in one of the two pieces of RAM. */
static void discard_piece(
	struct dev *d, gpa_t from, gpa_t to, gpa_t base, uint64_t size)
{
	from = MAX(from, base);
	to = MIN(to, base + size);
	for (; from < to; from += MIN(to - from, RUN_BYTES)) {
		uint64_t n = MIN(to - from, RUN_BYTES);

		if (bus_dma_map(d->host.bus, from, n))
			discard_run(d, from, n);
		else
			discard_pages(d, from, from + n);
	}
}

void virtio_ram_discard(struct dev *d, gpa_t gpa, uint64_t len)
{
	const struct bus_ram *ram = bus_ram(d->host.bus);
	gpa_t from = (gpa + BUS_PAGE_SIZE - 1) & ~(BUS_PAGE_SIZE - 1);
	gpa_t to = (gpa + len) & ~(BUS_PAGE_SIZE - 1);

	if (!d->host.ram || from < gpa || gpa + len < gpa)
		return;
	discard_piece(d, from, to, 0, ram->low);
	discard_piece(d, from, to, 4ull << 30, ram->bytes - ram->low);
}
