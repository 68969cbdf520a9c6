/*
 * testdev.c - the test device that public conformance suites expect.
 *
 * kvm-unit-tests, x86 (lib/x86/apic.c, lib/x86/io.c, x86/ioram.h): a byte
 * written to port 0x2000 + n sets line n, ports 0xe0-0xe3 hold what is written
 * to them, 64 KiB at 0xff000000 likewise, and port 0xf4 ends the machine.  No
 * board has it unless it is asked for.
 */
#include <string.h>

#include "dev/misc/testdev.h"
#include "dev/state.h"

#define TESTDEV_LATCH	    0xe0
#define TESTDEV_EXIT	    0xf4
#define TESTDEV_LINES	    0x2000
#define TESTDEV_IORAM	    0xff000000ull
#define TESTDEV_IORAM_BYTES 0x10000

struct testdev {
	struct dev dev;
	uint32_t latch;
	int64_t exit_code;
	struct bus_region region;
	uint8_t ioram[TESTDEV_IORAM_BYTES];
};

static void testdev_line_write(
	void *opaque, uint16_t port, unsigned size, uint32_t val)
{
	struct testdev *t = opaque;

	bus_irq_set(&t->dev.host.gsi[port - TESTDEV_LINES], val);
}

static uint32_t testdev_latch_read(void *opaque, uint16_t port, unsigned size)
{
	struct testdev *t = opaque;

	return t->latch >> (8 * (port - TESTDEV_LATCH));
}

static void testdev_latch_write(
	void *opaque, uint16_t port, unsigned size, uint32_t val)
{
	struct testdev *t = opaque;
	unsigned shift = 8 * (port - TESTDEV_LATCH);
	uint32_t mask = (size == 4 ? ~0u : (1u << 8 * size) - 1) << shift;

	t->latch = (t->latch & ~mask) | (val << shift & mask);
}

static void testdev_exit_write(
	void *opaque, uint16_t port, unsigned size, uint32_t val)
{
	struct testdev *t = opaque;

	t->exit_code = val;
	bus_request(t->dev.host.bus, BUS_REQ_POWEROFF);
}

static uint64_t testdev_ioram_read(
	void *opaque, struct bus_cpu *who, uint64_t off, unsigned size)
{
	struct testdev *t = opaque;
	uint64_t val = 0;

	if (off + size <= TESTDEV_IORAM_BYTES)
		memcpy(&val, t->ioram + off, size);
	return val;
}

static void testdev_ioram_write(void *opaque, struct bus_cpu *who, uint64_t off,
	unsigned size, uint64_t val)
{
	struct testdev *t = opaque;

	if (off + size <= TESTDEV_IORAM_BYTES)
		memcpy(t->ioram + off, &val, size);
}

static const struct bus_io_ops testdev_lines = {.write = testdev_line_write};
static const struct bus_io_ops testdev_latch = {.read = testdev_latch_read,
	.write = testdev_latch_write,
	.sizes = 1 | 2 | 4};
static const struct bus_io_ops testdev_exit = {
	.write = testdev_exit_write, .sizes = 1 | 2 | 4};
static const struct bus_mmio_ops testdev_ioram = {
	.read = testdev_ioram_read, .write = testdev_ioram_write};

int64_t testdev_exit_code(const struct dev *d)
{
	return ((const struct testdev *)d)->exit_code;
}

static int testdev_init(struct dev *d, char *err, unsigned errsize)
{
	struct testdev *t = (struct testdev *)d;
	struct bus *b = d->host.bus;

	t->exit_code = -1;
	bus_io_claim(b, TESTDEV_LINES, BUS_NGSI, &testdev_lines, t);
	bus_io_claim(b, TESTDEV_LATCH, 4, &testdev_latch, t);
	bus_io_claim(b, TESTDEV_EXIT, 4, &testdev_exit, t);
	t->region = (struct bus_region){
		.name = "testdev",
		.base = TESTDEV_IORAM,
		.size = TESTDEV_IORAM_BYTES,
		.access = BUS_MAP_R | BUS_MAP_W,
		.ops = &testdev_ioram,
		.opaque = t,
	};
	bus_region_map(b, &t->region);
	return 0;
}

static void testdev_fini(struct dev *d)
{
	struct testdev *t = (struct testdev *)d;
	struct bus *b = d->host.bus;

	bus_region_unmap(b, &t->region);
	bus_io_release(b, TESTDEV_LINES, BUS_NGSI, t);
	bus_io_release(b, TESTDEV_LATCH, 4, t);
	bus_io_release(b, TESTDEV_EXIT, 4, t);
}

static const struct state_field testdev_fields[] = {
	STATE(struct testdev, latch),
	STATE(struct testdev, exit_code),
	STATE_BYTES(struct testdev, ioram),
};

static const struct state_list testdev_state =
	STATE_LIST("testdev", struct testdev, 1, testdev_fields);

const struct dev_class testdev_class = {
	.name = "testdev",
	.size = sizeof(struct testdev),
	.init = testdev_init,
	.fini = testdev_fini,
	.state = &testdev_state,
};
