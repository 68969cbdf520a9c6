/*
 * port92.c - system control port A (0x92): fast A20 and fast reset.
 *
 * 82371SB data sheet 290550, section 2.5.6 (reset and A20 control).  Whoever
 * wrote last, this port or the keyboard controller, has set the A20 gate, and
 * bit 1 reads what the gate is.  Bit 0 going from 0 to 1 resets the
 * processors.
 */
#include "dev/misc/cpu_init.h"
#include "dev/misc/port92.h"
#include "dev/state.h"

struct port92 {
	struct dev dev;
	uint8_t val;
};

static uint32_t port92_read(void *opaque, uint16_t port, unsigned size)
{
	struct port92 *p = opaque;
	bool a20 = bus_a20_mask(p->dev.host.bus) & (1u << 20);

	return (p->val & ~2u) | a20 << 1;
}

static void port92_write(
	void *opaque, uint16_t port, unsigned size, uint32_t val)
{
	struct port92 *p = opaque;
	bool rise = (val & 1) && !(p->val & 1);

	p->val = val & 3;
	bus_set_a20(p->dev.host.bus, val & 2);
	if (rise)
		cpu_init_pulse(p->dev.host.bus);
}

static const struct bus_io_ops port92_ops = {
	.read = port92_read,
	.write = port92_write,
};

static int port92_init(struct dev *d, char *err, unsigned errsize)
{
	bus_io_claim(d->host.bus, 0x92, 1, &port92_ops, d);
	return 0;
}

static void port92_reset(struct dev *d)
{
	struct port92 *p = (struct port92 *)d;

	p->val = 0;
	bus_set_a20(d->host.bus, true);
}

static void port92_fini(struct dev *d)
{
	bus_io_release(d->host.bus, 0x92, 1, d);
}

/* The A20 gate itself is the bus's. */
static const struct state_field port92_fields[] = {
	STATE(struct port92, val, .max = 3),
};

static const struct state_list port92_state =
	STATE_LIST("port92", struct port92, 1, port92_fields);

const struct dev_class port92_class = {
	.name = "port92",
	.size = sizeof(struct port92),
	.init = port92_init,
	.reset = port92_reset,
	.fini = port92_fini,
	.state = &port92_state,
};
