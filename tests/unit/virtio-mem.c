/*
 * The virtio memory device: which requests it grants (virtio 1.2, 5.15), what
 * becomes of memory that goes, and what it says of itself.
 */
#define RAM_BYTES (64u << 20)

#include <sys/mman.h>

#include "virtio-driver.h"

#include "dev/state.h"
#include "dev/virtio/virtio_mem.h"

#define BLOCK	VIRTIO_MEM_BLOCK
#define BASE	(16ull << 20)
#define NBLOCKS 24u

enum {
	PLUG,
	UNPLUG,
	UNPLUG_ALL,
	STATE_OF,
	ACK = 0,
	NACK,
	ERROR = 3,
	PLUGGED = 0,
	UNPLUGGED,
	MIXED,
};

struct rig {
	struct driver d;
	struct virtio_mem_room room;
	struct dev_host host;
	unsigned drops;
};

static void rig_drop(void *opaque, uint64_t off, uint64_t bytes)
{
	struct rig *r = opaque;

	g_assert_cmpuint(off, >=, BASE);
	g_assert_cmpuint(off + bytes, <=, BASE + NBLOCKS * BLOCK);
	g_assert_cmpint(
		madvise(bus_ram(r->d.bus)->host + off, bytes, MADV_DONTNEED),
		==, 0);
	r->drops++;
}

static void rig_go(struct rig *r)
{
	g_assert_true(driver_negotiate(&r->d, F_V1 | 2));
	driver_queue(&r->d, 0, 16);
	driver_go(&r->d);
}

static void rig_up(struct rig *r)
{
	*r = (struct rig){.room = {.base = BASE,
				  .bytes = NBLOCKS * BLOCK,
				  .drop = rig_drop,
				  .opaque = r}};
	r->host.mem = &r->room;
	/* It drops what is there when it is made. */
	r->room.drop = rig_drop;
	driver_open(&r->d, &virtio_mem_class, &r->host);
	rig_go(r);
}

static void rig_ask(struct rig *r, unsigned blocks)
{
	bus_lock(r->d.bus);
	virtio_mem_ask(r->d.dev, blocks * BLOCK);
	bus_unlock(r->d.bus);
}

/* One request of len bytes; the answer's type, *state. */
static int rig_send(
	struct rig *r, const void *req, unsigned len, uint16_t *state)
{
	uint16_t resp[5] = {0xeeee, 0xeeee, 0xeeee, 0xeeee, 0xeeee};
	struct driver *d = &r->d;
	uint32_t id, n;

	wr(d, DATA_BASE, req, len);
	wr(d, DATA_BASE + 0x1000, resp, sizeof(resp));
	driver_desc(d, d->q[0].desc, 0, DATA_BASE, len, D_NEXT, 1);
	driver_desc(d, d->q[0].desc, 1, DATA_BASE + 0x1000, 10, D_WRITE, 0);
	driver_offer(d, 0, 0);
	driver_kick(d, 0);
	g_assert_true(driver_used(d, 0, 1000, &id, &n));
	g_assert_cmpuint(n, ==, 10);
	rd(d, DATA_BASE + 0x1000, resp, sizeof(resp));
	g_assert_cmpuint(resp[1] | resp[2] | resp[3], ==, 0);
	*state = resp[4];
	return resp[0];
}

static int rig_do(struct rig *r, uint16_t type, uint64_t addr, uint16_t n,
	uint16_t *state)
{
	/* what is padding is ignored */
	struct {
		uint16_t type, pad[3];
		uint64_t addr;
		uint16_t n, pad2[3];
	} q = {type, {0xffff, 1, 2}, addr, n, {3, 4, 0xffff}};

	return rig_send(r, &q, sizeof(q), state);
}

static uint64_t rig_config(struct rig *r, unsigned off)
{
	return bus_mmio_read(r->d.bus, NULL, r->d.device + off, 8);
}

#define AT(n) (BASE + (n)*BLOCK)

/* In this order, with eight blocks asked for. */
static const struct {
	uint16_t type;
	uint64_t addr;
	uint16_t n;
	int answer;
	int state;
	unsigned plugged; /* afterwards */
} requests[] = {
	{STATE_OF, AT(0), NBLOCKS, ACK, UNPLUGGED, 0},
	{PLUG, AT(0), 3, ACK, -1, 3},
	{PLUG, AT(2), 1, ERROR, -1, 3},
	{PLUG, AT(2), 2, ERROR, -1, 3},
	{UNPLUG, AT(2), 2, ERROR, -1, 3},
	{STATE_OF, AT(0), 3, ACK, PLUGGED, 3},
	{STATE_OF, AT(2), 2, ACK, MIXED, 3},
	{STATE_OF, AT(3), 21, ACK, UNPLUGGED, 3},
	/* wrong places and numbers */
	{PLUG, AT(4), 0, ERROR, -1, 3},
	{PLUG, AT(4) + 4096, 1, ERROR, -1, 3},
	{PLUG, AT(23), 2, ERROR, -1, 3},
	{PLUG, AT(24), 1, ERROR, -1, 3},
	{PLUG, AT(4), 65535, ERROR, -1, 3},
	{PLUG, BASE - BLOCK, 1, ERROR, -1, 3},
	{PLUG, BASE - BLOCK, 2, ERROR, -1, 3},
	{PLUG, 0, 1, ERROR, -1, 3},
	{PLUG, ~0ull, 1, ERROR, -1, 3},
	{PLUG, ~(BLOCK - 1), 8, ERROR, -1, 3},
	{PLUG, AT(4) + (1ull << 63), 1, ERROR, -1, 3},
	{UNPLUG, AT(0), 0, ERROR, -1, 3},
	{UNPLUG, AT(0) + 1, 1, ERROR, -1, 3},
	{UNPLUG, AT(24), 1, ERROR, -1, 3},
	{STATE_OF, AT(20), 5, ERROR, -1, 3},
	{STATE_OF, AT(0), 0, ERROR, -1, 3},
	{4, AT(0), 1, ERROR, -1, 3},
	{0xffff, AT(0), 1, ERROR, -1, 3},
	/* no more than was asked for */
	{PLUG, AT(10), 6, NACK, -1, 3},
	{PLUG, AT(19), 5, ACK, -1, 8},
	{PLUG, AT(5), 1, NACK, -1, 8},
	{UNPLUG, AT(1), 1, ACK, -1, 7},
	{STATE_OF, AT(0), NBLOCKS, ACK, MIXED, 7},
	{PLUG, AT(1), 1, ACK, -1, 8},
	/* what it is for does not matter */
	{UNPLUG_ALL, ~0ull, 0, ACK, -1, 0},
	{UNPLUG_ALL, 0, 0, ACK, -1, 0},
	{STATE_OF, AT(0), NBLOCKS, ACK, UNPLUGGED, 0},
};

static void test_requests(void)
{
	struct rig r;

	rig_up(&r);
	rig_ask(&r, 8);
	for (unsigned i = 0; i < G_N_ELEMENTS(requests); i++) {
		uint16_t state;

		g_test_message("request %u", i);
		g_assert_cmpint(rig_do(&r, requests[i].type, requests[i].addr,
					requests[i].n, &state),
			==, requests[i].answer);
		if (requests[i].state >= 0)
			g_assert_cmpint(state, ==, requests[i].state);
		g_assert_cmpuint(
			rig_config(&r, 40), ==, requests[i].plugged * BLOCK);
		g_assert_cmpuint(virtio_mem_plugged(r.d.dev), ==,
			requests[i].plugged * BLOCK);
	}
	g_assert_cmpint(driver_status(&r.d) & NEEDS_RESET, ==, 0);
	driver_close(&r.d);
}

/* Too short to say what it wants, or no room for the answer. */
static void test_short(void)
{
	struct rig r;
	struct driver *d = &r.d;
	uint8_t req[24] = {PLUG};
	uint16_t state;
	uint32_t id, n;

	rig_up(&r);
	rig_ask(&r, 8);
	for (unsigned len = 1; len < 24; len += 11)
		g_assert_cmpint(rig_send(&r, req, len, &state), ==, ERROR);
	/* plugged all the same: it is the driver's loss */
	*(uint64_t *)(void *)(req + 8) = AT(3);
	req[16] = 1;
	wr(d, DATA_BASE, req, sizeof(req));
	driver_desc(d, d->q[0].desc, 0, DATA_BASE, 24, D_NEXT, 1);
	driver_desc(d, d->q[0].desc, 1, DATA_BASE + 0x1000, 2, D_WRITE, 0);
	driver_offer(d, 0, 0);
	driver_kick(d, 0);
	g_assert_true(driver_used(d, 0, 1000, &id, &n));
	g_assert_cmpuint(n, ==, 2);
	g_assert_cmpuint(virtio_mem_plugged(d->dev), ==, BLOCK);
	driver_close(d);
}

static void test_config(void)
{
	struct rig r;
	unsigned msis;

	rig_up(&r);
	g_assert_true(driver_offered(&r.d) & 2);
	g_assert_cmpuint(rig_config(&r, 0), ==, BLOCK);
	g_assert_cmpuint(rig_config(&r, 16), ==, BASE);
	g_assert_cmpuint(rig_config(&r, 24), ==, NBLOCKS * BLOCK);
	g_assert_cmpuint(rig_config(&r, 32), ==, NBLOCKS * BLOCK);
	g_assert_cmpuint(rig_config(&r, 48), ==, 0);
	/* a wish is told, once */
	driver_msix(&r.d, 2);
	cput(&r.d, 0x10, 2, 1);
	msis = r.d.msis;
	rig_ask(&r, 5);
	g_assert_cmpuint(r.d.msis, ==, msis + 1);
	g_assert_cmpuint(rig_config(&r, 48), ==, 5 * BLOCK);
	rig_ask(&r, 5);
	g_assert_cmpuint(r.d.msis, ==, msis + 1);
	rig_ask(&r, 500);
	g_assert_cmpuint(rig_config(&r, 48), ==, NBLOCKS * BLOCK);
	g_assert_cmpuint(virtio_mem_asked(r.d.dev), ==, NBLOCKS * BLOCK);
	/* the driver writes nothing there */
	bus_mmio_write(r.d.bus, NULL, r.d.device + 48, 8, 0);
	g_assert_cmpuint(rig_config(&r, 48), ==, NBLOCKS * BLOCK);
	driver_close(&r.d);
}

static void put_at(struct rig *r, gpa_t at, uint8_t v)
{
	wr(&r->d, at, &v, 1);
}

static uint8_t get_at(struct rig *r, gpa_t at)
{
	uint8_t v;

	rd(&r->d, at, &v, 1);
	return v;
}

struct watch {
	struct bus_listener l;
	gpa_t gpa;
	uint64_t bytes;
};

static void watch_written(void *opaque, gpa_t gpa, size_t len)
{
	struct watch *w = opaque;

	if (gpa >= BASE) {
		w->gpa = gpa;
		w->bytes = len;
	}
}

/* Memory that goes is zero when it comes again, and whoever looks at what is
 * written is told. */
static void test_memory(void)
{
	struct watch w = {.l = {.opaque = &w,
				  .ram_written = watch_written,
				  .want_all_writes = true}};
	struct rig r;
	uint16_t state;

	rig_up(&r);
	rig_ask(&r, 8);
	bus_listen(r.d.bus, &w.l);
	g_assert_cmpint(rig_do(&r, PLUG, AT(4), 2, &state), ==, ACK);
	put_at(&r, AT(4), 7);
	put_at(&r, AT(6) - 1, 8);
	g_assert_cmpint(rig_do(&r, UNPLUG, AT(5), 1, &state), ==, ACK);
	g_assert_cmpuint(w.gpa, ==, AT(5));
	g_assert_cmpuint(w.bytes, ==, BLOCK);
	g_assert_cmpuint(get_at(&r, AT(4)), ==, 7);
	g_assert_cmpuint(get_at(&r, AT(6) - 1), ==, 0);
	/* written while it was not the guest's */
	put_at(&r, AT(5), 9);
	g_assert_cmpint(rig_do(&r, PLUG, AT(5), 1, &state), ==, ACK);
	g_assert_cmpuint(get_at(&r, AT(5)), ==, 0);
	/* a wrong request takes nothing */
	g_assert_cmpint(rig_do(&r, PLUG, AT(4), 1, &state), ==, ERROR);
	g_assert_cmpuint(get_at(&r, AT(4)), ==, 7);
	put_at(&r, AT(20), 1);
	g_assert_cmpint(rig_do(&r, UNPLUG_ALL, 0, 0, &state), ==, ACK);
	g_assert_cmpuint(get_at(&r, AT(4)), ==, 0);
	g_assert_cmpuint(get_at(&r, AT(20)), ==, 0);
	bus_unlisten(r.d.bus, &w.l);
	driver_close(&r.d);
}

/* A reset of the device leaves blocks alone, one of the machine unplugs all;
 * what was asked for outlives both. */
static void test_reset(void)
{
	struct rig r;
	uint16_t state;

	rig_up(&r);
	rig_ask(&r, 4);
	g_assert_cmpint(rig_do(&r, PLUG, AT(1), 4, &state), ==, ACK);
	put_at(&r, AT(2), 5);
	cput(&r.d, 0x14, 1, 0);
	rig_go(&r);
	g_assert_cmpuint(rig_config(&r, 40), ==, 4 * BLOCK);
	g_assert_cmpuint(get_at(&r, AT(2)), ==, 5);
	bus_lock(r.d.bus);
	g_assert_true(virtio_mem_any(r.d.dev, 4 * BLOCK, 5 * BLOCK));
	g_assert_false(virtio_mem_any(r.d.dev, 5 * BLOCK, 99 * BLOCK));
	g_assert_false(virtio_mem_any(r.d.dev, 0, BLOCK));
	r.d.dev->cls->reset(r.d.dev);
	g_assert_false(virtio_mem_any(r.d.dev, 0, NBLOCKS * BLOCK));
	bus_unlock(r.d.bus);
	g_assert_cmpuint(get_at(&r, AT(2)), ==, 0);
	g_assert_cmpuint(virtio_mem_plugged(r.d.dev), ==, 0);
	g_assert_cmpuint(virtio_mem_asked(r.d.dev), ==, 4 * BLOCK);
	driver_close(&r.d);
}

/* A flood of requests is served piece by piece. */
static void test_flood(void)
{
	struct rig r;
	struct driver *d = &r.d;
	uint8_t req[24] = {STATE_OF};
	uint32_t id, n;
	uint16_t ahead = 200;

	rig_up(&r);
	*(uint64_t *)(void *)(req + 8) = AT(0);
	req[16] = 1;
	wr(d, DATA_BASE, req, sizeof(req));
	driver_desc(d, d->q[0].desc, 0, DATA_BASE, 24, D_NEXT, 1);
	driver_desc(d, d->q[0].desc, 1, DATA_BASE + 0x1000, 10, D_WRITE, 0);
	for (unsigned i = 0; i < 16; i++)
		driver_offer(d, 0, 0);
	driver_kick(d, 0);
	for (unsigned i = 0; i < 16; i++)
		g_assert_true(driver_used(d, 0, 1000, &id, &n));
	/* an index that runs ahead of what is there breaks the queue */
	wr(d, d->q[0].avail + 2, &ahead, 2);
	driver_kick(d, 0);
	g_assert_true(driver_wait_status(d, NEEDS_RESET));
	driver_close(d);
}

static void test_state(void)
{
	g_autoptr(GByteArray) x = g_byte_array_new();
	struct rig r, s;
	char err[100] = "";
	struct state_in in = {.err = err, .errsize = sizeof(err)};
	uint16_t state;

	rig_up(&r);
	rig_ask(&r, 6);
	g_assert_cmpint(rig_do(&r, PLUG, AT(7), 5, &state), ==, ACK);
	bus_lock(r.d.bus);
	g_assert_cmpint(dev_save(r.d.dev, x, err, sizeof(err)), ==, 0);
	bus_unlock(r.d.bus);
	rig_up(&s);
	put_at(&s, AT(8), 3);
	in.bus = s.d.bus;
	in.p = x->data;
	in.n = x->len;
	bus_lock(s.d.bus);
	g_assert_cmpint(dev_load(s.d.dev, &in), ==, 0);
	bus_unlock(s.d.bus);
	g_assert_cmpuint(virtio_mem_plugged(s.d.dev), ==, 5 * BLOCK);
	g_assert_cmpuint(virtio_mem_asked(s.d.dev), ==, 6 * BLOCK);
	g_assert_true(virtio_mem_any(s.d.dev, 7 * BLOCK, 8 * BLOCK));
	g_assert_false(virtio_mem_any(s.d.dev, 0, 7 * BLOCK));
	/* memory is loaded by others, before */
	g_assert_cmpuint(get_at(&s, AT(8)), ==, 3);
	driver_close(&r.d);
	driver_close(&s.d);
}

/* Without room for it there is no such device. */
static void test_room(void)
{
	static const struct virtio_mem_room bad[] = {
		{.base = BASE, .bytes = 0},
		{.base = BASE, .bytes = BLOCK + 4096},
		{.base = BASE + 4096, .bytes = BLOCK},
		{.base = BASE, .bytes = 1ull << 30},
		{.base = 1ull << 32, .bytes = BLOCK},
	};
	struct bus *bus = bus_new(RAM_BYTES, RAM_BYTES);
	struct dev_host host = {.bus = bus};
	char err[100];

	bus_lock(bus);
	host.pci = pci_bus_new(bus);
	g_assert_null(dev_new(&virtio_mem_class, "m", &host, err, 100));
	for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
		host.mem = &bad[i];
		g_assert_null(dev_new(&virtio_mem_class, "m", &host, err, 100));
		g_assert_cmpstr(err, ==, "it has no memory to give");
	}
	pci_bus_free(host.pci);
	bus_unlock(bus);
	bus_free(bus);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/virtio-mem/requests", test_requests);
	g_test_add_func("/virtio-mem/short", test_short);
	g_test_add_func("/virtio-mem/config", test_config);
	g_test_add_func("/virtio-mem/memory", test_memory);
	g_test_add_func("/virtio-mem/reset", test_reset);
	g_test_add_func("/virtio-mem/flood", test_flood);
	g_test_add_func("/virtio-mem/state", test_state);
	g_test_add_func("/virtio-mem/room", test_room);
	return g_test_run();
}
