/*
 * virtio-devices.c - block, network and console devices driven through their
 * rings, and all of them under rubbish.
 */
#include "dev/video/virtio_vga.h"
#include "virtio-driver.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "block/blk.h"
#include "dev/chardev.h"
#include "net/net.h"

/* ---- block ---- */

#define DISK_BYTES (1u << 20)
#define B_IN	   0
#define B_OUT	   1
#define B_FLUSH	   4
#define B_GET_ID   8
#define B_DISCARD  11
#define B_ZEROES   13

#define STATUS_AT (DATA_BASE + 0x8000)

struct disk {
	struct driver d;
	struct blk *blk;
};

static struct blk *disk_blk(bool readonly)
{
	int fd = memfd_create("disk", MFD_CLOEXEC);

	g_assert_cmpint(ftruncate(fd, DISK_BYTES), ==, 0);
	return blk_raw_open(fd, readonly, NULL);
}

static void disk_up(struct disk *k, bool readonly)
{
	struct dev_host host = {.serial = "VMESTE-1", .queues = 2};

	host.blk = k->blk = disk_blk(readonly);
	driver_open(&k->d, &virtio_blk_class, &host);
	g_assert_true(driver_negotiate(&k->d, driver_offered(&k->d)));
	driver_queue(&k->d, 0, 16);
	driver_queue(&k->d, 1, 16);
	driver_go(&k->d);
}

static void disk_down(struct disk *k)
{
	driver_close(&k->d);
	blk_close(k->blk);
}

/* One request with data at DATA_BASE + 0x1000; its status byte. */
static int disk_do(struct disk *k, unsigned queue, uint32_t type,
	uint64_t sector, uint32_t len, bool in)
{
	struct {
		uint32_t type, prio;
		uint64_t sector;
	} h = {type, 0, sector};
	struct driver *d = &k->d;
	gpa_t t = d->q[queue].desc;
	uint8_t status = 0xee;
	uint32_t id, used;

	wr(d, DATA_BASE, &h, sizeof(h));
	wr(d, STATUS_AT, &status, 1);
	/* The header in two pieces, the data in two: any layout is allowed. */
	driver_desc(d, t, 0, DATA_BASE, 10, D_NEXT, 1);
	driver_desc(d, t, 1, DATA_BASE + 10, 6, D_NEXT, len ? 2 : 4);
	driver_desc(d, t, 2, DATA_BASE + 0x1000, len / 2,
		D_NEXT | (in ? D_WRITE : 0), 3);
	driver_desc(d, t, 3, DATA_BASE + 0x1000 + len / 2, len - len / 2,
		D_NEXT | (in ? D_WRITE : 0), 4);
	driver_desc(d, t, 4, STATUS_AT, 1, D_WRITE, 0);
	driver_offer(d, queue, 0);
	driver_kick(d, queue);
	g_assert_true(driver_used(d, queue, 5000, &id, &used));
	rd(d, STATUS_AT, &status, 1);
	return status;
}

static void test_blk(void)
{
	struct disk k;
	uint8_t out[4096], in[4096];
	uint64_t range[2] = {8, 4};

	disk_up(&k, false);
	for (unsigned i = 0; i < sizeof(out); i++)
		out[i] = i * 7;
	g_assert_cmpint(bus_mmio_read(k.d.bus, NULL, k.d.device, 8), ==,
		DISK_BYTES / 512);
	wr(&k.d, DATA_BASE + 0x1000, out, sizeof(out));
	g_assert_cmpint(disk_do(&k, 0, B_OUT, 8, 4096, false), ==, 0);
	g_assert_cmpint(disk_do(&k, 1, B_FLUSH, 0, 0, false), ==, 0);
	memset(in, 0, sizeof(in));
	wr(&k.d, DATA_BASE + 0x1000, in, sizeof(in));
	g_assert_cmpint(disk_do(&k, 1, B_IN, 8, 4096, true), ==, 0);
	rd(&k.d, DATA_BASE + 0x1000, in, sizeof(in));
	g_assert_cmpint(memcmp(in, out, sizeof(in)), ==, 0);
	g_assert_cmpint(disk_do(&k, 0, B_GET_ID, 0, 20, true), ==, 0);
	rd(&k.d, DATA_BASE + 0x1000, in, 20);
	g_assert_cmpstr((char *)in, ==, "VMESTE-1");
	wr(&k.d, DATA_BASE + 0x1000, range, 16);
	g_assert_cmpint(disk_do(&k, 0, B_ZEROES, 0, 16, false), ==, 0);
	g_assert_cmpint(disk_do(&k, 0, B_IN, 8, 4096, true), ==, 0);
	rd(&k.d, DATA_BASE + 0x1000, in, sizeof(in));
	g_assert_cmpint(in[2047], ==, 0);
	g_assert_cmpint(memcmp(in + 2048, out + 2048, 2048), ==, 0);
	disk_down(&k);
}

static void test_blk_errors(void)
{
	struct disk k;
	uint64_t range[2] = {DISK_BYTES / 512, 1};

	disk_up(&k, false);
	g_assert_cmpint(
		disk_do(&k, 0, B_IN, DISK_BYTES / 512, 512, true), ==, 1);
	g_assert_cmpint(disk_do(&k, 0, B_IN, -1ull / 512, 1024, true), ==, 1);
	g_assert_cmpint(disk_do(&k, 0, B_IN, 0, 700, true), ==, 1);
	g_assert_cmpint(disk_do(&k, 0, 99, 0, 512, true), ==, 2);
	wr(&k.d, DATA_BASE + 0x1000, range, 16);
	g_assert_cmpint(disk_do(&k, 0, B_DISCARD, 0, 16, false), ==, 1);
	range[0] = 0;
	range[1] = 1 | 1ull << 32; /* discard knows no flags */
	wr(&k.d, DATA_BASE + 0x1000, range, 16);
	g_assert_cmpint(disk_do(&k, 0, B_DISCARD, 0, 16, false), ==, 2);
	/* no room for a status: the device gives up */
	driver_desc(&k.d, k.d.q[0].desc, 0, DATA_BASE, 16, 0, 0);
	driver_offer(&k.d, 0, 0);
	driver_kick(&k.d, 0);
	g_assert_true(driver_wait_status(&k.d, NEEDS_RESET));
	disk_down(&k);
	disk_up(&k, true);
	g_assert_cmpint(disk_do(&k, 0, B_OUT, 0, 512, false), ==, 1);
	disk_down(&k);
}

/* Resetting while requests are on their way. */
static void test_blk_reset(void)
{
	struct disk k;

	disk_up(&k, false);
	for (unsigned round = 0; round < 200; round++) {
		struct driver *d = &k.d;
		uint32_t type[4] = {round & 1};

		g_assert_true(driver_negotiate(d, F_V1 | F_EVENT));
		driver_queue(d, 0, 16);
		driver_go(d);
		wr(d, DATA_BASE, type, 16);
		for (unsigned i = 0; i < 5; i++) {
			driver_desc(d, d->q[0].desc, 3 * i, DATA_BASE, 16,
				D_NEXT, 3 * i + 1);
			driver_desc(d, d->q[0].desc, 3 * i + 1,
				DATA_BASE + 0x1000, 32768,
				D_NEXT | (round & 1 ? 0 : D_WRITE), 3 * i + 2);
			driver_desc(d, d->q[0].desc, 3 * i + 2, STATUS_AT, 1,
				D_WRITE, 0);
			driver_offer(d, 0, 3 * i);
			driver_kick(d, 0);
		}
	}
	disk_down(&k);
}

/* ---- network ---- */

struct cable {
	struct net_port port;
	struct driver d;
	uint8_t last[2048];
	size_t last_len;
	unsigned sent, readies;
};

static void cable_send(struct net_port *p, const uint8_t *f, size_t len)
{
	struct cable *c = (struct cable *)p;

	c->sent++;
	c->last_len = len;
	memcpy(c->last, f, MIN(len, sizeof(c->last)));
}

static void cable_ready(struct net_port *p)
{
	((struct cable *)p)->readies++;
}

static void cable_up_pairs(struct cable *c, uint64_t without, unsigned pairs)
{
	struct dev_host host = {.net = &c->port, .queues = pairs};

	memset(c, 0, sizeof(*c));
	c->port.send = cable_send;
	c->port.ready = cable_ready;
	c->port.checksums_good = true;
	driver_open(&c->d, &virtio_net_class, &host);
	g_assert_true(
		driver_negotiate(&c->d, driver_offered(&c->d) & ~without));
	for (unsigned i = 0; i < 2 * pairs + 1; i++)
		driver_queue(&c->d, i, 8);
	driver_go(&c->d);
}

static void cable_up(struct cable *c, uint64_t without)
{
	cable_up_pairs(c, without, 1);
}

static bool cable_receive(struct cable *c, const uint8_t *f, size_t len)
{
	bool ok;

	bus_lock(c->d.bus);
	ok = c->port.receive(c->port.opaque, f, len);
	bus_unlock(c->d.bus);
	return ok;
}

static void test_net_tx(void)
{
	struct cable c;
	uint8_t f[12 + 60] = {1, 0, 0, 0, 0, 0, 34, 0, 16, 0};
	uint32_t id, len, sum = 0;

	/* From byte 34 of the frame on, into byte 50; a sum is in there. */
	cable_up(&c, 0);
	for (unsigned i = 12; i < sizeof(f); i++)
		f[i] = i;
	f[12 + 50] = 0x12;
	f[12 + 51] = 0x34;
	wr(&c.d, DATA_BASE, f, sizeof(f));
	driver_desc(&c.d, c.d.q[1].desc, 0, DATA_BASE, sizeof(f), 0, 0);
	driver_offer(&c.d, 1, 0);
	driver_kick(&c.d, 1);
	g_assert_true(driver_used(&c.d, 1, 0, &id, &len));
	g_assert_cmpint(c.sent, ==, 1);
	g_assert_cmpint(c.last_len, ==, 60);
	/* The field was in the sum as 0x1234, and holds its complement now. */
	for (unsigned i = 34; i < 60; i += 2)
		sum += i == 50 ? 0x1234 : c.last[i] << 8 | c.last[i + 1];
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	g_assert_cmphex(c.last[50] << 8 | c.last[51], ==, 0xffff - sum);
	driver_close(&c.d);
}

static void test_net_rx(void)
{
	struct cable c;
	uint8_t f[300], got[512];
	uint16_t n;
	uint32_t id, len, total = 0;

	cable_up(&c, 0);
	memset(f, 0xab, sizeof(f));
	memset(f, 0xff, 6);
	g_assert_false(cable_receive(&c, f, sizeof(f))); /* no room */
	for (unsigned i = 0; i < 4; i++) {
		driver_desc(&c.d, c.d.q[0].desc, i, DATA_BASE + 100 * i, 100,
			D_WRITE, 0);
		driver_offer(&c.d, 0, i);
	}
	c.readies = 0;
	driver_kick(&c.d, 0);
	g_assert_cmpint(c.readies, ==, 1);
	g_assert_true(cable_receive(&c, f, sizeof(f)));
	for (unsigned i = 0; i < 4; i++) { /* 12 + 300 bytes in 100s */
		g_assert_true(driver_used(&c.d, 0, 0, &id, &len));
		g_assert_cmpint(id, ==, i);
		total += len;
	}
	g_assert_cmpint(total, ==, 312);
	rd(&c.d, DATA_BASE, got, 312);
	g_assert_cmpint(got[0], ==, 2); /* DATA_VALID */
	memcpy(&n, got + 10, 2);
	g_assert_cmpint(n, ==, 4);
	g_assert_cmpint(memcmp(got + 12, f, sizeof(f)), ==, 0);
	driver_close(&c.d);
}

static void test_net_small_buffers(void)
{
	struct cable c;
	uint8_t f[300];
	uint32_t id, len;

	memset(f, 0xff, sizeof(f));
	cable_up(&c, 1ull << 15); /* no merging: what does not fit is lost */
	driver_desc(&c.d, c.d.q[0].desc, 0, DATA_BASE, 100, D_WRITE, 0);
	driver_offer(&c.d, 0, 0);
	g_assert_true(cable_receive(&c, f, sizeof(f)));
	g_assert_false(driver_used(&c.d, 0, 0, &id, &len));
	g_assert_true(cable_receive(&c, f, 60));
	g_assert_true(driver_used(&c.d, 0, 0, &id, &len));
	g_assert_cmpint(len, ==, 72);
	driver_close(&c.d);
}

static uint8_t net_control_on(
	struct cable *c, unsigned q, const void *cmd, unsigned bytes)
{
	uint32_t id, len;
	uint8_t ack = 0xee;

	wr(&c->d, DATA_BASE + 0x2000, cmd, bytes);
	driver_desc(
		&c->d, c->d.q[q].desc, 0, DATA_BASE + 0x2000, bytes, D_NEXT, 1);
	driver_desc(
		&c->d, c->d.q[q].desc, 1, DATA_BASE + 0x3000, 1, D_WRITE, 0);
	driver_offer(&c->d, q, 0);
	driver_kick(&c->d, q);
	g_assert_true(driver_used(&c->d, q, 0, &id, &len));
	rd(&c->d, DATA_BASE + 0x3000, &ack, 1);
	return ack;
}

static uint8_t net_control(struct cable *c, const void *cmd, unsigned bytes)
{
	return net_control_on(c, 2, cmd, bytes);
}

/* TCP over IPv4 from or to the same other end. */
static void net_segment(uint8_t *f, uint8_t port, bool out)
{
	static const uint8_t ip[] = {0x45, 0, 0, 46, 0, 0, 0, 0, 64, 6};

	memset(f, 0, 60);
	memset(f, 0xff, 6);
	f[12] = 8;
	memcpy(f + 14, ip, sizeof(ip));
	f[out ? 29 : 33] = 15;
	f[out ? 33 : 29] = 2;
	f[out ? 35 : 37] = port;
	f[out ? 37 : 35] = 80;
	f[46] = 0x50;
}

/* Which receive queue a segment of that connection comes in by. */
static int net_comes_by(struct cable *c, uint8_t port)
{
	uint8_t f[60];
	uint32_t id, len;
	int by = -1;

	net_segment(f, port, false);
	for (unsigned i = 0; i < 2; i++) {
		driver_desc(&c->d, c->d.q[2 * i].desc, 0,
			DATA_BASE + 0x4000 * i, 100, D_WRITE, 0);
		if (c->d.q[2 * i].next == c->d.q[2 * i].seen)
			driver_offer(&c->d, 2 * i, 0);
	}
	g_assert_true(cable_receive(c, f, sizeof(f)));
	for (unsigned i = 0; i < 2; i++)
		if (driver_used(&c->d, 2 * i, 0, &id, &len))
			by = 2 * i;
	return by;
}

static void net_send_by(struct cable *c, unsigned q, uint8_t port)
{
	uint8_t f[72] = {0};
	uint32_t id, len;

	net_segment(f + 12, port, true);
	wr(&c->d, DATA_BASE + 0x8000, f, sizeof(f));
	driver_desc(
		&c->d, c->d.q[q].desc, 0, DATA_BASE + 0x8000, sizeof(f), 0, 0);
	driver_offer(&c->d, q, 0);
	driver_kick(&c->d, q);
	g_assert_true(driver_used(&c->d, q, 0, &id, &len));
}

/* Two pairs: an answer comes in by the one that its question went out by. */
static void test_net_pairs(void)
{
	static const uint8_t two[] = {4, 0, 2, 0}, none[] = {4, 0, 0, 0},
			     many[] = {4, 0, 3, 0}, rss[] = {4, 1, 2, 0};
	struct cable c;

	cable_up_pairs(&c, 0, 2);
	g_assert_cmpuint(
		bus_mmio_read(c.d.bus, NULL, c.d.device + 8, 2), ==, 2);
	net_send_by(&c, 3, 7);
	g_assert_cmpint(net_comes_by(&c, 7), ==, 0); /* one is in use yet */
	g_assert_cmpint(net_control_on(&c, 4, none, 4), ==, 1);
	g_assert_cmpint(net_control_on(&c, 4, many, 4), ==, 1);
	g_assert_cmpint(net_control_on(&c, 4, rss, 4), ==, 1);
	g_assert_cmpint(net_control_on(&c, 4, two, 4), ==, 0);
	g_assert_cmpint(net_comes_by(&c, 7), ==, 0);
	net_send_by(&c, 3, 7);
	net_send_by(&c, 1, 9);
	g_assert_cmpint(net_comes_by(&c, 7), ==, 2);
	g_assert_cmpint(net_comes_by(&c, 9), ==, 0);
	net_send_by(&c, 1, 7);
	g_assert_cmpint(net_comes_by(&c, 7), ==, 0);
	driver_close(&c.d);
	/* A driver of one pair looks for the control queue behind it. */
	cable_up_pairs(&c, 1ull << 22, 2);
	g_assert_cmpint(net_control_on(&c, 2, two, 4), ==, 1);
	g_assert_cmpint(
		net_control_on(&c, 2, (const uint8_t[]){0, 0, 1}, 3), ==, 0);
	driver_close(&c.d);
}

static void test_net_filter(void)
{
	static const uint8_t promisc_on[] = {0, 0, 1};
	static const uint8_t table[] = {
		1, 0, 1, 0, 0, 0, 2, 0, 0, 0, 0, 9, 0, 0, 0, 0};
	static const uint8_t table_lies[] = {1, 0, 0xff, 0xff, 0, 0, 2, 0};
	static const uint8_t unknown[] = {99, 0};
	struct cable c;
	uint8_t f[60] = {2, 0, 0, 0, 0, 9};
	uint32_t id, len;

	cable_up(&c, 0);
	for (unsigned i = 0; i < 4; i++) {
		driver_desc(
			&c.d, c.d.q[0].desc, i, DATA_BASE, 1600, D_WRITE, 0);
		driver_offer(&c.d, 0, i);
	}
	g_assert_true(cable_receive(&c, f, 60)); /* not for us: dropped */
	g_assert_false(driver_used(&c.d, 0, 0, &id, &len));
	g_assert_cmpint(net_control(&c, table, sizeof(table)), ==, 0);
	g_assert_true(cable_receive(&c, f, 60));
	g_assert_true(driver_used(&c.d, 0, 0, &id, &len));
	g_assert_cmpint(net_control(&c, table_lies, sizeof(table_lies)), ==, 1);
	g_assert_cmpint(net_control(&c, unknown, sizeof(unknown)), ==, 1);
	f[5] = 10;
	g_assert_true(cable_receive(&c, f, 60));
	g_assert_false(driver_used(&c.d, 0, 0, &id, &len));
	g_assert_cmpint(net_control(&c, promisc_on, 3), ==, 0);
	g_assert_true(cable_receive(&c, f, 60));
	g_assert_true(driver_used(&c.d, 0, 0, &id, &len));
	driver_close(&c.d);
}

/* ---- console ---- */

struct tty {
	struct dev_chardev chr;
	char out[64];
	size_t len, room;
};

static size_t tty_write(struct dev_chardev *c, const uint8_t *buf, size_t len)
{
	struct tty *t = (struct tty *)c;
	size_t n = MIN(len, t->room);

	memcpy(t->out + t->len, buf, n);
	t->len += n;
	t->room -= n;
	return n;
}

static void test_console(void)
{
	struct tty t = {.chr.write = tty_write, .room = 3};
	struct dev_host host = {.chr = &t.chr};
	struct driver d;
	uint32_t id, len;
	char in[8];

	driver_open(&d, &virtio_console_class, &host);
	g_assert_true(driver_negotiate(&d, F_V1));
	driver_queue(&d, 0, 8);
	driver_queue(&d, 1, 8);
	driver_go(&d);
	wr(&d, DATA_BASE, "hello", 5);
	driver_desc(&d, d.q[1].desc, 0, DATA_BASE, 5, 0, 0);
	driver_offer(&d, 1, 0);
	driver_kick(&d, 1);
	g_assert_false(driver_used(&d, 1, 0, &id, &len)); /* 3 of 5 taken */
	t.room = 60;
	bus_lock(d.bus);
	t.chr.writable(t.chr.opaque);
	bus_unlock(d.bus);
	g_assert_true(driver_used(&d, 1, 0, &id, &len));
	g_assert_cmpstr(t.out, ==, "hello");
	bus_lock(d.bus);
	g_assert_cmpint(t.chr.can_receive(t.chr.opaque), ==, 0);
	driver_desc(&d, d.q[0].desc, 0, DATA_BASE, 8, D_WRITE, 0);
	driver_offer(&d, 0, 0);
	g_assert_cmpint(t.chr.can_receive(t.chr.opaque), ==, 8);
	t.chr.receive(t.chr.opaque, (const uint8_t *)"ls\n", 3);
	bus_unlock(d.bus);
	g_assert_true(driver_used(&d, 0, 0, &id, &len));
	g_assert_cmpint(len, ==, 3);
	rd(&d, DATA_BASE, in, 3);
	g_assert_cmpint(memcmp(in, "ls\n", 3), ==, 0);
	driver_close(&d);
}

static void console_expect(struct driver *d, uint16_t event)
{
	uint32_t id, len;
	uint16_t got;

	g_assert_true(driver_used(d, 2, 0, &id, &len));
	g_assert_cmpint(len, ==, 8);
	rd(d, DATA_BASE + 0x100 * id + 4, &got, 2);
	g_assert_cmpint(got, ==, event);
}

static void console_tell(struct driver *d, uint16_t event)
{
	uint16_t m[4] = {0, 0, event, 1};

	wr(d, DATA_BASE + 0x2000, m, 8);
	driver_desc(d, d->q[3].desc, 0, DATA_BASE + 0x2000, 8, 0, 0);
	driver_offer(d, 3, 0);
	driver_kick(d, 3);
}

static void test_console_multiport(void)
{
	struct dev_host host = {0};
	struct driver d;

	driver_open(&d, &virtio_console_class, &host);
	g_assert_true(driver_negotiate(&d, F_V1 | 2));
	for (unsigned i = 0; i < 4; i++)
		driver_queue(&d, i, 8);
	driver_go(&d);
	console_tell(&d, 0); /* DEVICE_READY; no room for an answer yet */
	for (unsigned i = 0; i < 4; i++) {
		driver_desc(&d, d.q[2].desc, i, DATA_BASE + 0x100 * i, 64,
			D_WRITE, 0);
		driver_offer(&d, 2, i);
	}
	driver_kick(&d, 2);
	console_expect(&d, 1); /* PORT_ADD */
	console_tell(&d, 3);   /* PORT_READY */
	console_expect(&d, 4); /* CONSOLE_PORT */
	console_expect(&d, 6); /* PORT_OPEN */
	driver_close(&d);
}

/* ---- tablet ---- */

static uint64_t tablet_config(
	struct driver *d, uint8_t select, uint8_t subsel, uint64_t data[3])
{
	bus_mmio_write(d->bus, NULL, d->device, 1, select);
	bus_mmio_write(d->bus, NULL, d->device + 1, 1, subsel);
	for (unsigned i = 0; i < 3; i++)
		data[i] = bus_mmio_read(d->bus, NULL, d->device + 8 + 8 * i, 8);
	return bus_mmio_read(d->bus, NULL, d->device + 2, 1);
}

struct tablet_event {
	uint16_t type, code;
	int32_t value;
};

static void tablet_expect(
	struct driver *d, const struct tablet_event *want, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		struct tablet_event e;
		uint32_t head, len;

		g_assert_true(driver_used(d, 0, 0, &head, &len));
		g_assert_cmpuint(len, ==, 8);
		rd(d, DATA_BASE + 16 * head, &e, 8);
		g_assert_cmpint(e.type, ==, want[i].type);
		g_assert_cmpint(e.code, ==, want[i].code);
		g_assert_cmpint(e.value, ==, want[i].value);
	}
	g_assert_false(driver_used(d, 0, 0, &(uint32_t){0}, &(uint32_t){0}));
}

static void test_tablet(void)
{
	static const struct tablet_event first[] = {
		{3, 0, 100}, {3, 1, 200}, {2, 8, -1}, {1, 0x110, 1}, {0, 0, 0}};
	static const struct tablet_event second[] = {
		{3, 1, 5}, {2, 8, 3}, {1, 0x110, 0}, {0, 0, 0}};
	struct dev_host host = {0};
	struct display_input in;
	uint64_t data[3];
	struct driver d;

	driver_open(&d, &virtio_tablet_class, &host);
	g_assert_cmphex(
		pci_config_read(d.pci, 0, d.devfn, 2, 2), ==, 0x1040 + 18);
	virtio_tablet_input(d.dev, &in);
	g_assert_false(in.point(in.opaque, 1, 1, 0, 0));
	g_assert_cmpuint(tablet_config(&d, 1, 0, data), ==, 13);
	g_assert_true(!memcmp(data, "vmeste tablet", 13));
	g_assert_cmpuint(tablet_config(&d, 0x11, 3, data), ==, 1);
	g_assert_cmphex(data[0], ==, 3);
	g_assert_cmpuint(tablet_config(&d, 0x12, 1, data), ==, 20);
	g_assert_cmphex(data[0], ==, 0x7fffull << 32);
	g_assert_cmpuint(tablet_config(&d, 0x11, 5, data), ==, 0);
	g_assert_true(driver_negotiate(&d, F_V1));
	driver_queue(&d, 0, 8);
	driver_queue(&d, 1, 8);
	driver_go(&d);
	for (unsigned i = 0; i < 8; i++)
		driver_desc(
			&d, d.q[0].desc, i, DATA_BASE + 16 * i, 8, D_WRITE, 0);
	/* no room for a report, then there is: the state as it is then */
	for (unsigned i = 0; i < 3; i++)
		driver_offer(&d, 0, i);
	g_assert_true(in.point(in.opaque, 90, 200, -1, 0));
	g_assert_true(in.point(in.opaque, 100, 200, 0, 1));
	g_assert_false(driver_used(&d, 0, 0, &(uint32_t){0}, &(uint32_t){0}));
	for (unsigned i = 3; i < 8; i++)
		driver_offer(&d, 0, i);
	driver_kick(&d, 0);
	tablet_expect(&d, first, G_N_ELEMENTS(first));
	for (unsigned i = 0; i < 5; i++)
		driver_offer(&d, 0, i);
	g_assert_true(in.point(in.opaque, 100, 5, 3, 0));
	tablet_expect(&d, second, G_N_ELEMENTS(second));
	driver_close(&d);
}

/* Strokes one by one; what is too much is lost, but not what is down. */
static void test_keyboard(void)
{
	static const struct tablet_event a[] = {
		{1, 30, 1}, {0, 0, 0}, {1, 30, 0}, {0, 0, 0}};
	static const struct tablet_event left[] = {{1, 105, 1}, {0, 0, 0}};
	struct dev_host host = {0};
	uint64_t data[3];
	struct driver d;

	driver_open(&d, &virtio_keyboard_class, &host);
	g_assert_false(virtio_keyboard_key(d.dev, 30, true));
	g_assert_cmpuint(tablet_config(&d, 1, 0, data), ==, 15);
	g_assert_cmpuint(tablet_config(&d, 0x11, 1, data), ==, 16);
	g_assert_cmphex(data[0], ==, 0xfffffffffffffffe);
	g_assert_cmpuint(tablet_config(&d, 0x11, 3, data), ==, 0);
	g_assert_true(driver_negotiate(&d, F_V1));
	driver_queue(&d, 0, 8);
	driver_queue(&d, 1, 8);
	driver_go(&d);
	for (unsigned i = 0; i < 8; i++)
		driver_desc(
			&d, d.q[0].desc, i, DATA_BASE + 16 * i, 8, D_WRITE, 0);
	/* no room: a short stroke waits whole */
	g_assert_true(virtio_keyboard_key(d.dev, 30, true));
	g_assert_true(virtio_keyboard_key(d.dev, 30, false));
	g_assert_false(virtio_keyboard_idle(d.dev));
	for (unsigned i = 0; i < 4; i++)
		driver_offer(&d, 0, i);
	driver_kick(&d, 0);
	tablet_expect(&d, a, 4);
	g_assert_true(virtio_keyboard_idle(d.dev));
	/* far too many, and the left arrow at the end */
	for (unsigned i = 0; i < 200; i++)
		virtio_keyboard_key(d.dev, 30, !(i & 1));
	virtio_keyboard_key(d.dev, 0xcb, true);
	for (unsigned i = 0; i < 32; i++) {
		for (unsigned k = 0; k < 4; k++)
			driver_offer(&d, 0, k);
		driver_kick(&d, 0);
		tablet_expect(&d, a, 4);
	}
	for (unsigned k = 0; k < 4; k++)
		driver_offer(&d, 0, k);
	driver_kick(&d, 0);
	tablet_expect(&d, left, 2);
	g_assert_true(virtio_keyboard_idle(d.dev));
	driver_close(&d);
}

/* ---- rubbish ---- */

static void rubbish_round(struct driver *d, unsigned nq)
{
	static uint8_t junk[65536];

	g_assert_true(driver_negotiate(
		d, F_V1 | (g_random_boolean() ? F_INDIRECT : 0) |
			   (g_random_boolean() ? F_EVENT : 0)));
	for (unsigned i = 0; i < nq; i++)
		driver_queue(d, i, 8);
	driver_go(d);
	for (unsigned i = 0; i < sizeof(junk); i += 13)
		junk[i] = g_random_int();
	wr(d, DATA_BASE, junk, sizeof(junk));
	for (unsigned i = 0; i < nq; i++) {
		for (unsigned k = 0; k < 8; k++)
			driver_desc(d, d->q[i].desc, k,
				DATA_BASE + g_random_int_range(0, 60000),
				g_random_int_range(0, 8) ? 16 * k
							 : g_random_int(),
				g_random_int_range(0, 8), k + 1);
		for (unsigned k = 0; k < 6; k++)
			driver_offer(d, i, g_random_int_range(0, 8));
		driver_kick(d, i);
		bus_timers_run(d->bus);
	}
	for (unsigned i = 0; i < 20; i++)
		bus_mmio_write(d->bus, NULL,
			BAR_MODERN + g_random_int_range(0, 0x3100),
			1u << g_random_int_range(0, 4), g_random_int());
	for (unsigned i = 0; i < 20; i++)
		bus_io_write(d->bus, BAR_IO + g_random_int_range(0, 64),
			1u << g_random_int_range(0, 3), g_random_int());
}

static void rubbish(
	const struct dev_class *cls, struct dev_host *host, unsigned nq)
{
	struct driver d;

	driver_open(&d, cls, host);
	for (unsigned i = 0; i < 200; i++)
		rubbish_round(&d, nq);
	driver_close(&d);
}

static void test_rubbish(void)
{
	struct blk *blk = disk_blk(false);
	struct tty t = {.chr.write = tty_write, .room = 30};
	struct net_port port = {.send = cable_send, .ready = cable_ready};
	struct cable c = {.port = port};
	struct dev_host none = {0}, disk = {.blk = blk};
	struct dev_host net = {.net = &c.port}, tty = {.chr = &t.chr};

	rubbish(&virtio_rng_class, &none, 1);
	rubbish(&virtio_blk_class, &disk, 1);
	rubbish(&virtio_net_class, &net, 3);
	rubbish(&virtio_console_class, &tty, 4);
	rubbish(&virtio_tablet_class, &none, 2);
	rubbish(&virtio_keyboard_class, &none, 2);
	rubbish(&virtio_vga_class, &none, 2);
	blk_close(blk);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/virtio/blk", test_blk);
	g_test_add_func("/virtio/blk-errors", test_blk_errors);
	g_test_add_func("/virtio/blk-reset", test_blk_reset);
	g_test_add_func("/virtio/net-tx", test_net_tx);
	g_test_add_func("/virtio/net-rx", test_net_rx);
	g_test_add_func("/virtio/net-small-buffers", test_net_small_buffers);
	g_test_add_func("/virtio/net-filter", test_net_filter);
	g_test_add_func("/virtio/net-pairs", test_net_pairs);
	g_test_add_func("/virtio/console", test_console);
	g_test_add_func("/virtio/console-multiport", test_console_multiport);
	g_test_add_func("/virtio/tablet", test_tablet);
	g_test_add_func("/virtio/keyboard", test_keyboard);
	g_test_add_func("/virtio/rubbish", test_rubbish);
	return g_test_run();
}
