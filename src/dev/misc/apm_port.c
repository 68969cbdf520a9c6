/*
 * apm_port.c - the power-off port of PC emulators.
 *
 * Bochs documentation, "Shutdown" (port 0x8900): the letters of the word
 * Shutdown written one after another power the machine off.  SeaBIOS's APM
 * interface does so when a guest asks it to.
 */
#include "dev/misc/apm_port.h"
#include "dev/state.h"

#define APM_PORT 0x8900

static const char apm_port_word[] = "Shutdown";

struct apm_port {
	struct dev dev;
	unsigned seen; /* letters in a row */
};

static void apm_port_write(
	void *opaque, uint16_t port, unsigned size, uint32_t val)
{
	struct apm_port *p = opaque;

	if (val == (uint8_t)apm_port_word[p->seen])
		p->seen++;
	else
		p->seen = val == (uint8_t)apm_port_word[0];
	if (apm_port_word[p->seen])
		return;
	p->seen = 0;
	bus_request(p->dev.host.bus, BUS_REQ_POWEROFF);
}

static const struct bus_io_ops apm_port_ops = {.write = apm_port_write};

static int apm_port_init(struct dev *d, char *err, unsigned errsize)
{
	bus_io_claim(d->host.bus, APM_PORT, 1, &apm_port_ops, d);
	return 0;
}

static void apm_port_reset(struct dev *d)
{
	((struct apm_port *)d)->seen = 0;
}

static void apm_port_fini(struct dev *d)
{
	bus_io_release(d->host.bus, APM_PORT, 1, d);
}

static const struct state_field apm_port_fields[] = {
	STATE(struct apm_port, seen, .max = sizeof(apm_port_word) - 2),
};

static const struct state_list apm_port_state =
	STATE_LIST("apm-port", struct apm_port, 1, apm_port_fields);

const struct dev_class apm_port_class = {
	.name = "apm-port",
	.size = sizeof(struct apm_port),
	.init = apm_port_init,
	.reset = apm_port_reset,
	.fini = apm_port_fini,
	.state = &apm_port_state,
};
