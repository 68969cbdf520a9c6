/*
 * virtio-9p.c - the transport of shared folders: data in place, in pieces, by
 * several workers, and requests that are given up.
 */
#include "virtio-driver.h"

#include "share-rig.h"
#include "share/priv.h"

#define REQ_AT(i)   (DATA_BASE + (i)*0x4000u)
#define REPLY_AT(i) (REQ_AT(i) + 0x1000u)
#define ROOM	    0x3000u

struct nine {
	struct share_rig r; /* builds requests, has the folder */
	struct driver d;
};

/* The first descriptor of request i. */
static unsigned head_of(unsigned i)
{
	return 4 * i;
}

static void nine_up(struct nine *k)
{
	struct dev_host host = {0};

	rig_open(&k->r, false, 0);
	rig_write(&k->r, "file", "hello");
	host.share = k->r.s;
	driver_open(&k->d, &virtio_9p_class, &host);
	g_assert_true(driver_negotiate(&k->d, driver_offered(&k->d)));
	driver_queue(&k->d, 0, 128);
	driver_go(&k->d);
}

static void nine_down(struct nine *k)
{
	driver_close(&k->d);
	rig_close(&k->r);
	g_free(k);
}

/* Request i with that tag is offered, in two pieces each way. */
static void nine_offer(
	struct nine *k, unsigned i, unsigned tag, uint8_t type, size_t n)
{
	struct driver *d = &k->d;
	gpa_t t = d->q[0].desc;
	unsigned h = head_of(i);

	k->r.msg[4] = type;
	k->r.msg[5] = (uint8_t)tag;
	k->r.msg[6] = 0;
	wr(d, REQ_AT(i), k->r.msg, n);
	driver_desc(d, t, h, REQ_AT(i), 5, D_NEXT, h + 1);
	driver_desc(d, t, h + 1, REQ_AT(i) + 5, n - 5, D_NEXT, h + 2);
	driver_desc(d, t, h + 2, REPLY_AT(i), 13, D_NEXT | D_WRITE, h + 3);
	driver_desc(d, t, h + 3, REPLY_AT(i) + 13, ROOM - 13, D_WRITE, 0);
	driver_offer(d, 0, (uint16_t)h);
}

static size_t nine_build(struct nine *k, uint8_t type, const char *shape, ...)
{
	va_list ap;
	size_t n;

	va_start(ap, shape);
	n = rig_build(&k->r, type, shape, ap);
	va_end(ap);
	return n;
}

/* One, answered: its length; the answer is in r.reply. */
#define NINE(k, type, ...) nine_do(k, type, nine_build(k, type, __VA_ARGS__))

static uint32_t nine_do(struct nine *k, uint8_t type, size_t n)
{
	uint32_t id, used;

	nine_offer(k, 0, 9, type, n);
	driver_kick(&k->d, 0);
	g_assert_true(driver_used(&k->d, 0, 5000, &id, &used));
	g_assert_cmpuint(id, ==, 0);
	rd(&k->d, REPLY_AT(0), k->r.reply, used);
	g_assert_cmpuint(k->r.reply[4], ==, type + 1);
	return used;
}

static void nine_hello(struct nine *k)
{
	NINE(k, P9_TVERSION, "ds", 131072u, "9P2000.L");
	NINE(k, P9_TATTACH, "ddssd", 0u, P9_NOFID, "root", "", 0u);
	NINE(k, P9_TWALK, "ddws", 0u, 1u, 1u, "file");
	NINE(k, P9_TLOPEN, "dd", 1u, 2u);
}

static void test_config(void)
{
	struct nine *k = g_new0(struct nine, 1);

	nine_up(k);
	g_assert_cmpuint(
		pci_config_read(k->d.pci, 0, k->d.devfn, 2, 2), ==, 0x1009);
	g_assert_cmpuint(driver_offered(&k->d) & 1, ==, 1);
	g_assert_cmpuint(bus_mmio_read(k->d.bus, NULL, k->d.device, 2), ==, 4);
	g_assert_cmpuint(bus_mmio_read(k->d.bus, NULL, k->d.device + 2, 4), ==,
		0x6b726f77); /* work */
	nine_down(k);
}

static void test_data(void)
{
	struct nine *k = g_new0(struct nine, 1);
	g_autofree char *path = NULL, *text = NULL;

	nine_up(k);
	nine_hello(k);
	g_assert_cmpuint(NINE(k, P9_TREAD, "dqd", 1u, 1ull, 8000u), ==, 15);
	g_assert_cmpint(memcmp(k->r.reply + 11, "ello", 4), ==, 0);
	g_assert_cmpuint(
		NINE(k, P9_TWRITE, "dqx", 1u, 5ull, " there", 6u), ==, 11);
	path = rig_path(&k->r, "file");
	g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
	g_assert_cmpstr(text, ==, "hello there");
	/* the size does not count what is written: old drivers */
	{
		size_t n =
			nine_build(k, P9_TWRITE, "dqx", 1u, 0ull, "HELLO", 5u);

		k->r.msg[0] = 23;
		g_assert_cmpuint(nine_do(k, P9_TWRITE, n), ==, 11);
	}
	g_assert_cmpuint(NINE(k, P9_TREAD, "dqd", 1u, 0ull, 8000u), ==, 22);
	g_assert_cmpint(memcmp(k->r.reply + 11, "HELLO there", 11), ==, 0);
	nine_down(k);
}

/* The answer to a flush comes after that to what it gives up, however long that
 * takes, and waits for nothing else. */
static void test_flush(void)
{
	struct nine *k = g_new0(struct nine, 1);
	static const unsigned flushed[] = {21, 99};
	uint32_t id, used;

	nine_up(k);
	nine_hello(k);
	for (unsigned i = 0; i < G_N_ELEMENTS(flushed); i++) {
		bool other = flushed[i] != 21;

		/* it stands until we let it go */
		pthread_rwlock_wrlock(&k->r.s->names);
		nine_offer(k, 0, 21, P9_TGETATTR,
			nine_build(k, P9_TGETATTR, "dq", 1u, 0x7ffull));
		driver_kick(&k->d, 0);
		if (other)
			g_usleep(20000); /* its worker has looked at it */
		nine_offer(k, 1, 50, P9_TFLUSH,
			nine_build(k, P9_TFLUSH, "w", flushed[i]));
		driver_kick(&k->d, 0);
		g_assert_cmpint(
			driver_used(&k->d, 0, other ? 5000 : 50, &id, &used),
			==, other);
		if (other)
			g_assert_cmpuint(id, ==, head_of(1));
		pthread_rwlock_unlock(&k->r.s->names);
		g_assert_true(driver_used(&k->d, 0, 5000, &id, &used));
		g_assert_cmpuint(id, ==, head_of(0));
		if (!other)
			g_assert_true(driver_used(&k->d, 0, 5000, &id, &used));
	}
	nine_down(k);
}

/* A reset while requests are on their way forgets all of them. */
static void test_reset(void)
{
	struct nine *k = g_new0(struct nine, 1);
	struct share_counts count;

	nine_up(k);
	for (unsigned round = 0; round < 100; round++) {
		nine_hello(k);
		for (unsigned i = 0; i < 8; i++)
			nine_offer(k, i, i, P9_TREAD,
				nine_build(
					k, P9_TREAD, "dqd", 1u, 0ull, 8000u));
		driver_kick(&k->d, 0);
		g_assert_true(driver_negotiate(&k->d, F_V1 | F_EVENT));
		share_count(k->r.s, &count);
		g_assert_cmpuint(count.fids, ==, 0);
		driver_queue(&k->d, 0, 128);
		driver_go(&k->d);
	}
	/* no room for any answer: the device gives up */
	driver_desc(&k->d, k->d.q[0].desc, 0, REQ_AT(0), 11, 0, 0);
	driver_offer(&k->d, 0, 0);
	driver_kick(&k->d, 0);
	g_assert_true(driver_wait_status(&k->d, NEEDS_RESET));
	nine_down(k);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/virtio-9p/config", test_config);
	g_test_add_func("/virtio-9p/data", test_data);
	g_test_add_func("/virtio-9p/flush", test_flush);
	g_test_add_func("/virtio-9p/reset", test_reset);
	return g_test_run();
}
