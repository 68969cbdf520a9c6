/* io.c - the I/O port map: one table of 64 Ki ports, split accesses. */
#include <string.h>

#include <glib.h>

#include "bus/priv.h"

void bus_io_init(struct bus *b)
{
	b->ports = g_new0(uint16_t, BUS_NPORTS);
}

void bus_io_fini(struct bus *b)
{
	g_free(b->ports);
}

/* Let the youngest claim on each port of the range have it. */
static void bus_io_settle(struct bus *b, uint16_t first, unsigned count)
{
	for (unsigned p = first; p < first + count && p < BUS_NPORTS; p++)
		b->ports[p] = 0;
	for (unsigned i = 1; i < BUS_MAX_CLAIMS; i++) {
		const struct bus_claim *c = &b->claims[i];
		unsigned from = MAX(c->first, first);
		unsigned to = MIN(c->first + c->count, first + count);

		for (unsigned p = from; c->count && p < to; p++)
			if (!b->ports[p] || b->claims[b->ports[p]].age < c->age)
				b->ports[p] = i;
	}
}

void bus_io_claim(struct bus *b, uint16_t first, unsigned count,
	const struct bus_io_ops *ops, void *opaque)
{
	unsigned i = 1;

	while (i < BUS_MAX_CLAIMS && b->claims[i].count)
		i++;
	g_assert(i < BUS_MAX_CLAIMS);
	count = MIN(count, BUS_NPORTS - first);
	b->claims[i] = (struct bus_claim){.first = first,
		.count = count,
		.ops = ops,
		.opaque = opaque,
		.age = ++b->claim_age};
	bus_io_settle(b, first, count);
}

void bus_io_release(struct bus *b, uint16_t first, unsigned count, void *opaque)
{
	count = MIN(count, BUS_NPORTS - first);
	for (unsigned i = 1; i < BUS_MAX_CLAIMS; i++) {
		struct bus_claim *c = &b->claims[i];

		if (c->count == count && c->first == first &&
			c->opaque == opaque) {
			c->count = 0;
			bus_io_settle(b, first, count);
			return;
		}
	}
}

/* The claim that takes an access of this size whole, or NULL to split it. */
static const struct bus_claim *bus_io_taker(
	const struct bus *b, uint16_t port, unsigned size)
{
	const struct bus_claim *c = &b->claims[b->ports[port]];
	unsigned sizes;

	if (!c->count)
		return NULL;
	sizes = c->ops->sizes ? c->ops->sizes : 1;
	if (!(sizes & size) || port + size > c->first + c->count)
		return NULL;
	return c;
}

static uint32_t bus_io_read_locked(struct bus *b, uint16_t port, unsigned size)
{
	const struct bus_claim *c = bus_io_taker(b, port, size);
	unsigned half = size / 2;
	uint32_t mask = size == 4 ? 0xffffffffu : (1u << (size * 8)) - 1;

	if (c)
		return c->ops->read ? c->ops->read(c->opaque, port, size) & mask
				    : mask;
	if (size == 1)
		return 0xff;
	return bus_io_read_locked(b, port, half) |
	       bus_io_read_locked(b, port + half, half) << (half * 8);
}

static void bus_io_write_locked(
	struct bus *b, uint16_t port, unsigned size, uint32_t val)
{
	const struct bus_claim *c = bus_io_taker(b, port, size);
	unsigned half = size / 2;

	if (c) {
		if (c->ops->write)
			c->ops->write(c->opaque, port, size, val);
		return;
	}
	if (size == 1)
		return;
	bus_io_write_locked(b, port, half, val & ((1u << (half * 8)) - 1));
	bus_io_write_locked(b, port + half, half, val >> (half * 8));
}

uint32_t bus_io_read(struct bus *b, uint16_t port, unsigned size)
{
	uint32_t val;

	bus_lock(b);
	val = bus_io_read_locked(b, port, size);
	bus_unlock(b);
	return val;
}

void bus_io_write(struct bus *b, uint16_t port, unsigned size, uint32_t val)
{
	if (size < 4)
		val &= (1u << (size * 8)) - 1;
	bus_lock(b);
	bus_io_write_locked(b, port, size, val);
	bus_unlock(b);
}

void bus_io_many(struct bus *b, uint16_t port, unsigned size, void *buf,
	unsigned n, bool write)
{
	const struct bus_claim *c;
	uint8_t *p = buf;

	bus_lock(b);
	c = bus_io_taker(b, port, size);
	if (c && c->ops->many) {
		c->ops->many(c->opaque, port, size, buf, n, write);
		n = 0;
	}
	for (; n--; p += size) {
		uint32_t val = 0;

		if (write) {
			memcpy(&val, p, size);
			bus_io_write_locked(b, port, size, val);
		} else {
			val = bus_io_read_locked(b, port, size);
			memcpy(p, &val, size);
		}
	}
	bus_unlock(b);
}
