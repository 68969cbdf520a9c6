/*
 * gameport.c - the game port of a PC, at 201 (IBM PC Technical Reference, "Game
 * Control Adapter").
 *
 * Writing starts four timers, one an axis, whose length is where its stick is:
 * 24.2 us and 11 ns for each of up to 100000 ohms.  Bits 0 to 3 are set while
 * they run; bits 4 to 7 are clear while a button is pressed.  An axis that is
 * not there never ends.
 *
 * Programs count how often they can read until a timer ends; a read of the ISA
 * bus takes a microsecond.  So each moves the timers on by as much at least.
 */
#include "dev/input/gameport.h"

#include <stdio.h>

#include "dev/state.h"

#define PORT	 0x201
#define LEAST_NS 24200u
#define READ_NS	 1000ull
#define RANGE_NS 1100000u /* of 100000 ohms */

struct gameport {
	struct dev dev;
	int32_t axis[GAMEPORT_AXES];
	uint8_t buttons;
	bool started;
	uint64_t start_ns;
	uint32_t reads; /* since then */
};

static uint64_t gameport_ns(int32_t axis)
{
	return LEAST_NS + (uint64_t)axis * RANGE_NS / GAMEPORT_MAX;
}

static uint32_t gameport_read(void *opaque, uint16_t port, unsigned size)
{
	struct gameport *g = opaque;
	uint64_t gone = bus_clock_ns(g->dev.host.bus) - g->start_ns;
	uint32_t val = (uint32_t)(~g->buttons & 15) << 4;

	if (g->reads < UINT32_MAX)
		g->reads++;
	if (gone < g->reads * READ_NS)
		gone = g->reads * READ_NS;

	for (unsigned i = 0; i < GAMEPORT_AXES; i++)
		if (g->started &&
			(g->axis[i] < 0 || gone < gameport_ns(g->axis[i])))
			val |= 1u << i;
	return val;
}

static void gameport_write(
	void *opaque, uint16_t port, unsigned size, uint32_t val)
{
	struct gameport *g = opaque;

	g->started = true;
	g->reads = 0;
	g->start_ns = bus_clock_ns(g->dev.host.bus);
}

static const struct bus_io_ops gameport_ops = {
	.read = gameport_read,
	.write = gameport_write,
};

void gameport_set(
	struct dev *d, const int axis[GAMEPORT_AXES], unsigned buttons)
{
	struct gameport *g = (struct gameport *)d;

	for (unsigned i = 0; i < GAMEPORT_AXES; i++)
		g->axis[i] = axis[i] < 0	      ? GAMEPORT_NOTHING
			     : axis[i] > GAMEPORT_MAX ? GAMEPORT_MAX
						      : axis[i];
	g->buttons = buttons & 15;
}

static int gameport_init(struct dev *d, char *err, unsigned errsize)
{
	struct gameport *g = (struct gameport *)d;

	/* one stick, in the middle */
	gameport_set(d, (const int[]){128, 128, -1, -1}, 0);
	bus_io_claim(d->host.bus, PORT, 1, &gameport_ops, g);
	return 0;
}

/* The sticks stay where they are. */
static void gameport_reset(struct dev *d)
{
	((struct gameport *)d)->started = false;
}

static void gameport_fini(struct dev *d)
{
	bus_io_release(d->host.bus, PORT, 1, d);
}

static void gameport_describe(struct dev *d, char *buf, unsigned size)
{
	struct gameport *g = (struct gameport *)d;

	snprintf(buf, size, "axes %d %d %d %d buttons %x", g->axis[0],
		g->axis[1], g->axis[2], g->axis[3], g->buttons);
}

static const struct state_field gameport_fields[] = {
	STATE_ARRAY(struct gameport, axis, .min = -1, .max = GAMEPORT_MAX),
	STATE(struct gameport, buttons, .max = 15),
	STATE(struct gameport, started),
	STATE(struct gameport, start_ns),
	STATE(struct gameport, reads),
};

static const struct state_list gameport_state =
	STATE_LIST("gameport", struct gameport, 1, gameport_fields);

const struct dev_class gameport_class = {
	.name = "gameport",
	.size = sizeof(struct gameport),
	.init = gameport_init,
	.reset = gameport_reset,
	.fini = gameport_fini,
	.describe = gameport_describe,
	.state = &gameport_state,
};
