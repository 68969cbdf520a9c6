/*
 * debugcon.c - port 0x402: a byte written goes to the host, a read gives 0xe9
 * to tell that somebody listens.  Output that the host cannot take is dropped.
 */
#include "dev/chardev.h"
#include "dev/serial/debugcon.h"
#include "dev/state.h"

#define DEBUGCON_PORT	   0x402
#define DEBUGCON_SIGNATURE 0xe9

static uint32_t debugcon_read(void *opaque, uint16_t port, unsigned size)
{
	return DEBUGCON_SIGNATURE;
}

static void debugcon_write(
	void *opaque, uint16_t port, unsigned size, uint32_t val)
{
	struct dev *d = opaque;
	uint8_t byte = val;

	if (d->host.chr && d->host.chr->write)
		d->host.chr->write(d->host.chr, &byte, 1);
}

static const struct bus_io_ops debugcon_ops = {
	.read = debugcon_read,
	.write = debugcon_write,
};

static int debugcon_init(struct dev *d, char *err, unsigned errsize)
{
	bus_io_claim(d->host.bus, DEBUGCON_PORT, 1, &debugcon_ops, d);
	return 0;
}

static void debugcon_fini(struct dev *d)
{
	bus_io_release(d->host.bus, DEBUGCON_PORT, 1, d);
}

const struct dev_class debugcon_class = {
	.name = "debugcon",
	.size = sizeof(struct dev),
	.init = debugcon_init,
	.fini = debugcon_fini,
	.state = &state_nothing,
};
