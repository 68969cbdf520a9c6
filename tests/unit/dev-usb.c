/* dev-usb.c - USB devices at a port of our own: chapter 9, hub, keyboard,
 * mouse, tablet, mass storage. */
#include <errno.h>

#include "disk-rig.h"

#include "dev/chardev.h"
#include "dev/usb/ccid.h"
#include "dev/usb/hid.h"
#include "dev/usb/hub.h"
#include "dev/usb/storage.h"

struct usb_rig {
	struct rig r;
	struct usb_port port;
	struct usb_device *d;
	unsigned attached, detached, ready, wakeups;
	uint8_t data[USB_CONTROL_BYTES];
};

static void at_attached(struct usb_port *p)
{
	((struct usb_rig *)p->owner)->attached++;
}

static void at_detached(struct usb_port *p)
{
	((struct usb_rig *)p->owner)->detached++;
}

static void at_ready(struct usb_port *p, struct usb_device *d)
{
	((struct usb_rig *)p->owner)->ready++;
}

static void at_wakeup(struct usb_port *p)
{
	((struct usb_rig *)p->owner)->wakeups++;
}

static const struct usb_port_ops ops = {
	.attached = at_attached,
	.detached = at_detached,
	.ready = at_ready,
	.wakeup = at_wakeup,
};

static struct usb_device *make(struct usb_rig *t, const char *cls)
{
	return (struct usb_device *)(void *)board_add(&t->r.b, cls);
}

static void plug(struct usb_rig *t, struct usb_device *d, unsigned speeds)
{
	t->port = (struct usb_port){.ops = &ops, .owner = t, .speeds = speeds};
	t->d = d;
	g_assert_cmpint(usb_attach(&t->port, d), ==, 0);
}

static void up(struct usb_rig *t, const char *cls, unsigned speeds)
{
	memset(t, 0, sizeof(*t));
	rig_init(&t->r);
	plug(t, make(t, cls), speeds);
}

static enum usb_result io(struct usb_rig *t, enum usb_pid pid, uint8_t ep,
	void *buf, uint32_t len, uint32_t *moved)
{
	struct usb_io x = {.pid = pid, .ep = ep, .buf = buf, .len = len};
	enum usb_result r;

	bus_lock(t->r.b.bus);
	r = usb_device_io(t->d, &x);
	bus_unlock(t->r.b.bus);
	*moved = x.moved;
	return r;
}

/* A control transfer in packets of 64 bytes: how many bytes, or -1. */
static int control(struct usb_rig *t, uint16_t request, uint16_t value,
	uint16_t index, uint16_t length)
{
	uint8_t setup[8] = {request >> 8, request, value, value >> 8, index,
		index >> 8, length, length >> 8};
	bool in = request & 0x8000;
	uint32_t n, at = 0;
	enum usb_result r;

	g_assert_cmpint(io(t, USB_PID_SETUP, 0, setup, 8, &n), ==, USB_ACK);
	while (at < length) {
		uint32_t ask = MIN(length - at, 64u);

		r = io(t, in ? USB_PID_IN : USB_PID_OUT, 0, t->data + at, ask,
			&n);
		if (r != USB_ACK)
			return -1;
		at += n;
		if (n < 64)
			break;
	}
	r = io(t, in && length ? USB_PID_OUT : USB_PID_IN, 0, NULL, 0, &n);
	return r == USB_ACK ? (int)at : -1;
}

static void configure(struct usb_rig *t)
{
	g_assert_cmpint(control(t, 0x0005, 5, 0, 0), ==, 0);
	g_assert_cmpint(control(t, 0x0009, 1, 0, 0), ==, 0);
}

/* ---- chapter 9 ---- */

static void test_chapter9(void)
{
	struct usb_rig t;

	up(&t, "usb-kbd", USB_FULL);
	g_assert_cmpint(t.attached, ==, 1);
	g_assert_cmpint(usb_attach(&t.port, t.d), ==, -EBUSY);
	/* the address holds after the status stage */
	g_assert_cmpint(control(&t, 0x0005, 77, 0, 0), ==, 0);
	g_assert_cmpint(t.d->address, ==, 77);
	g_assert_true(usb_device_find(t.d, 77) == t.d);
	g_assert_null(usb_device_find(t.d, 76));
	/* 8 bytes as drivers ask first, all of it, more than all */
	g_assert_cmpint(control(&t, 0x8006, 0x100, 0, 8), ==, 8);
	g_assert_cmpint(t.data[7], ==, 64);
	g_assert_cmpint(control(&t, 0x8006, 0x100, 0, 255), ==, 18);
	g_assert_cmphex(t.data[8] | t.data[9] << 8, ==, 0x1209);
	g_assert_cmpint(control(&t, 0x8006, 0x200, 0, 255), ==, 34);
	g_assert_cmpint(t.data[2], ==, 34);
	g_assert_cmpint(control(&t, 0x8006, 0x300, 0, 255), ==, 4);
	g_assert_cmpint(control(&t, 0x8006, 0x302, 0x409, 255), ==, 18);
	g_assert_cmpint(t.data[2], ==, 'k');
	/* what is not there */
	g_assert_cmpint(control(&t, 0x8006, 0x600, 0, 10), ==, -1);
	g_assert_cmpint(control(&t, 0x8006, 0xf00, 0, 10), ==, -1);
	g_assert_cmpint(control(&t, 0x8006, 0x3ff, 0x409, 255), ==, -1);
	g_assert_cmpint(control(&t, 0x8012, 0, 0, 2), ==, -1);
	g_assert_cmpint(control(&t, 0x0009, 2, 0, 0), ==, -1);
	/* configuration, interface, status, features */
	g_assert_cmpint(control(&t, 0x810a, 0, 0, 1), ==, -1);
	g_assert_cmpint(control(&t, 0x0009, 1, 0, 0), ==, 0);
	g_assert_cmpint(control(&t, 0x8008, 0, 0, 1), ==, 1);
	g_assert_cmpint(t.data[0], ==, 1);
	g_assert_cmpint(control(&t, 0x810a, 0, 0, 1), ==, 1);
	g_assert_cmpint(control(&t, 0x010b, 1, 0, 0), ==, -1);
	g_assert_cmpint(control(&t, 0x0003, 1, 0, 0), ==, 0);
	g_assert_cmpint(control(&t, 0x8000, 0, 0, 2), ==, 2);
	g_assert_cmpint(t.data[0], ==, 2);
	g_assert_cmpint(control(&t, 0x0203, 0, 0x81, 0), ==, 0);
	g_assert_cmpint(control(&t, 0x8200, 0, 0x81, 2), ==, 2);
	g_assert_cmpint(t.data[0], ==, 1);
	g_assert_cmpint(control(&t, 0x0201, 0, 0x81, 0), ==, 0);
	g_assert_cmpint(control(&t, 0x8200, 0, 0x82, 2), ==, -1);
	/* SETUP of another length; too much data */
	g_assert_cmpint(io(&t, USB_PID_SETUP, 0, t.data, 7, &(uint32_t){0}), ==,
		USB_STALL);
	g_assert_cmpint(control(&t, 0x2109, 0, 0, 0xffff), ==, -1);
	bus_lock(t.r.b.bus);
	usb_device_reset(t.d);
	bus_unlock(t.r.b.bus);
	g_assert_cmpint(t.d->address, ==, 0);
	board_fini(&t.r.b);
	g_assert_cmpint(t.detached, ==, 1);
}

/* Per speed: version, first packet, packets of the bulk endpoints. */
static void test_speeds(void)
{
	static const struct {
		unsigned port, version, first, bulk, other, total;
	} rows[] = {
		{USB_LOW | USB_FULL, 0x200, 64, 64, 32, 32},
		{USB_FULL | USB_HIGH, 0x200, 64, 512, 32, 32},
		{USB_HIGH | USB_SUPER, 0x300, 9, 1024, 0, 44},
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
		struct blk *disk = rig_image(1 << 20, false);
		struct usb_rig t = {0};

		rig_init(&t.r);
		t.r.b.host.blk = disk;
		plug(&t, make(&t, "usb-disk"), rows[i].port);
		control(&t, 0x8006, 0x100, 0, 18);
		g_assert_cmphex(
			t.data[2] | t.data[3] << 8, ==, rows[i].version);
		g_assert_cmpint(t.data[7], ==, rows[i].first);
		g_assert_cmpint(control(&t, 0x8006, 0x200, 0, 255), ==,
			(int)rows[i].total);
		g_assert_cmpint(t.data[22] | t.data[23] << 8, ==, rows[i].bulk);
		g_assert_cmpint(control(&t, 0x8006, 0x700, 0, 255), ==,
			rows[i].other ? (int)rows[i].other : -1);
		g_assert_cmpint(control(&t, 0x8006, 0x600, 0, 255), ==,
			rows[i].other ? 10 : -1);
		g_assert_cmpint(control(&t, 0x8006, 0xf00, 0, 255), ==, 22);
		board_fini(&t.r.b);
		blk_close(disk);
	}
}

/* ---- hub ---- */

static unsigned port_status(struct usb_rig *t, unsigned n)
{
	g_assert_cmpint(control(t, 0xa300, 0, n, 4), ==, 4);
	return t->data[0] | t->data[1] << 8 | (unsigned)t->data[2] << 16;
}

static void test_hub(void)
{
	struct usb_device *kbd;
	struct usb_port *p;
	struct usb_rig t;
	uint8_t map[2];
	uint32_t n;

	up(&t, "usb-hub", USB_LOW | USB_FULL | USB_HIGH);
	configure(&t);
	g_assert_cmpint(t.d->speed, ==, USB_SPEED_HIGH);
	g_assert_cmpint(control(&t, 0xa006, 0x2900, 0, 64), ==, 11);
	g_assert_cmpint(t.data[2], ==, USB_HUB_PORTS);
	kbd = make(&t, "usb-kbd");
	p = t.d->type->port(t.d, 3);
	g_assert_null(t.d->type->port(t.d, 9));
	bus_lock(t.r.b.bus);
	g_assert_cmpint(usb_attach(p, kbd), ==, 0);
	bus_unlock(t.r.b.bus);
	/* without power there is nothing */
	g_assert_cmphex(port_status(&t, 3), ==, 0);
	g_assert_cmpint(io(&t, USB_PID_IN, 1, map, 2, &n), ==, USB_NAK);
	g_assert_cmpint(control(&t, 0x2303, 8, 3, 0), ==, 0);
	g_assert_cmphex(port_status(&t, 3), ==, 0x10101);
	g_assert_cmpint(io(&t, USB_PID_IN, 1, map, 2, &n), ==, USB_ACK);
	g_assert_cmphex(map[0], ==, 1 << 3);
	g_assert_cmpint(control(&t, 0x2301, 16, 3, 0), ==, 0);
	g_assert_cmpint(io(&t, USB_PID_IN, 1, map, 2, &n), ==, USB_NAK);
	/* reset enables; then it is found */
	g_assert_null(usb_device_find(t.d, 0));
	g_assert_cmpint(control(&t, 0x2303, 4, 3, 0), ==, 0);
	g_assert_cmphex(port_status(&t, 3), ==, 0x100103);
	g_assert_true(usb_device_find(t.d, 0) == kbd);
	g_assert_cmpint(control(&t, 0x2301, 20, 3, 0), ==, 0);
	g_assert_cmpint(control(&t, 0x2303, 2, 3, 0), ==, 0);
	g_assert_null(usb_device_find(t.d, 0));
	g_assert_cmpint(control(&t, 0x2301, 2, 3, 0), ==, 0);
	g_assert_cmphex(port_status(&t, 3), ==, 0x40103);
	/* pulled out */
	bus_lock(t.r.b.bus);
	usb_detach(kbd);
	bus_unlock(t.r.b.bus);
	g_assert_cmphex(port_status(&t, 3), ==, 0x50100);
	/* bad ports and features */
	g_assert_cmpint(control(&t, 0xa300, 0, 0, 4), ==, -1);
	g_assert_cmpint(control(&t, 0xa300, 0, 9, 4), ==, -1);
	g_assert_cmpint(control(&t, 0x2303, 99, 1, 0), ==, -1);
	g_assert_cmpint(control(&t, 0x2301, 30, 1, 0), ==, -1);
	board_fini(&t.r.b);
}

/* Seven in a row are one too many. */
static void test_hub_depth(void)
{
	struct usb_device *last;
	struct usb_rig t;
	int rc = 0;

	up(&t, "usb-hub", USB_FULL);
	last = t.d;
	bus_lock(t.r.b.bus);
	for (unsigned i = 1; i < 8; i++) {
		struct usb_device *next = make(&t, "usb-hub");

		rc = usb_attach(last->type->port(last, 1), next);
		g_assert_cmpint(rc, ==, i < USB_MAX_DEPTH ? 0 : -ENOTSUP);
		if (rc)
			break;
		last = next;
	}
	bus_unlock(t.r.b.bus);
	g_assert_cmpint(rc, ==, -ENOTSUP);
	board_fini(&t.r.b);
}

/* ---- keyboard, mouse, tablet ---- */

static void key(struct usb_rig *t, unsigned code, bool down)
{
	bus_lock(t->r.b.bus);
	g_assert_true(usb_kbd_key(&t->d->dev, code, down));
	bus_unlock(t->r.b.bus);
}

static void expect(struct usb_rig *t, const char *hex)
{
	uint8_t report[16];
	GString *s = g_string_new(NULL);
	uint32_t n;

	g_assert_cmpint(io(t, USB_PID_IN, 1, report, 16, &n), ==, USB_ACK);
	for (unsigned i = 0; i < n; i++)
		g_string_append_printf(s, "%02x", report[i]);
	g_assert_cmpstr(s->str, ==, hex);
	g_string_free(s, TRUE);
}

static void test_keyboard(void)
{
	static const unsigned many[] = {0x1e, 0x1f, 0x20, 0x21, 0x22, 0x23};
	struct usb_rig t;
	uint8_t b[16];
	uint32_t n;

	up(&t, "usb-kbd", USB_FULL);
	g_assert_false(usb_kbd_key(&t.d->dev, 0x1e, true));
	configure(&t);
	g_assert_cmpint(control(&t, 0x8106, 0x2200, 0, 255), ==, 65);
	g_assert_cmpint(control(&t, 0x8106, 0x2100, 0, 9), ==, 9);
	g_assert_cmpint(io(&t, USB_PID_IN, 1, b, 16, &n), ==, USB_NAK);
	/* boot protocol: shift, A, both up */
	g_assert_cmpint(control(&t, 0x210b, 0, 0, 0), ==, 0);
	key(&t, 0x2a, true);
	key(&t, 0x1e, true);
	g_assert_false(usb_kbd_idle(&t.d->dev));
	key(&t, 0x1e, false);
	key(&t, 0x2a, false);
	g_assert_cmpint(t.ready, ==, 4);
	expect(&t, "0200000000000000");
	expect(&t, "0200040000000000");
	expect(&t, "0200000000000000");
	expect(&t, "0000000000000000");
	g_assert_true(usb_kbd_idle(&t.d->dev));
	/* six fit; a seventh is too many for the boot protocol only */
	for (unsigned i = 0; i < 6; i++) {
		key(&t, many[i], true);
		io(&t, USB_PID_IN, 1, b, 16, &n);
	}
	g_assert_cmphex(b[7], ==, 0x16);
	key(&t, DISPLAY_KEY_PAUSE, true);
	expect(&t, "0000010101010101");
	g_assert_cmpint(control(&t, 0x210b, 1, 0, 0), ==, 0);
	key(&t, 0xcb, true); /* left */
	/* a bit for each from 04 on */
	expect(&t, "00e900040000000000101000000000");
	board_fini(&t.r.b);
}

/* Nobody reads: what is pressed at the end is right nevertheless. */
static void test_keyboard_overflow(void)
{
	struct usb_rig t;
	uint8_t b[16];
	uint32_t n;

	up(&t, "usb-kbd", USB_FULL);
	configure(&t);
	control(&t, 0x210b, 0, 0, 0);
	for (unsigned i = 0; i < 50; i++) {
		key(&t, 0x1e, true);
		key(&t, 0x1e, false);
	}
	while (io(&t, USB_PID_IN, 1, b, 16, &n) == USB_ACK)
		g_assert_cmpint(n, ==, 8);
	g_assert_cmpint(b[2], ==, 0);
	/* four bytes are too few for a report */
	key(&t, 0x1e, true);
	g_assert_cmpint(io(&t, USB_PID_IN, 1, b, 4, &n), ==, USB_BABBLE);
	board_fini(&t.r.b);
}

static void test_idle_rate(void)
{
	struct usb_rig t;
	uint8_t b[16];
	uint32_t n;

	up(&t, "usb-kbd", USB_FULL);
	configure(&t);
	control(&t, 0x210b, 0, 0, 0);
	g_assert_cmpint(control(&t, 0x210a, 0x0100, 0, 0), ==, 0);
	key(&t, 0x1e, true);
	expect(&t, "0000040000000000");
	t.ready = 0;
	while (io(&t, USB_PID_IN, 1, b, 16, &n) == USB_NAK && !t.ready)
		board_sleep(&t.r.b, 500);
	g_assert_cmpint(t.ready, <=, 1);
	control(&t, 0x210a, 0, 0, 0);
	g_assert_cmpint(io(&t, USB_PID_IN, 1, b, 16, &n), ==, USB_NAK);
	board_fini(&t.r.b);
}

static void test_mouse(void)
{
	struct usb_rig t;
	uint8_t b[8];
	uint32_t n;

	up(&t, "usb-mouse", USB_FULL);
	configure(&t);
	bus_lock(t.r.b.bus);
	usb_mouse_move(&t.d->dev, 5, -3, 1, 0);
	usb_mouse_move(&t.d->dev, 5, 0, 0, 0);	 /* adds up */
	usb_mouse_move(&t.d->dev, 0, 0, 0, 1);	 /* a click is two */
	usb_mouse_move(&t.d->dev, 300, 0, 0, 0); /* three reports */
	bus_unlock(t.r.b.bus);
	expect(&t, "000afd01");
	expect(&t, "01000000");
	expect(&t, "007f0000");
	expect(&t, "007f0000");
	expect(&t, "002e0000");
	g_assert_cmpint(io(&t, USB_PID_IN, 1, b, 8, &n), ==, USB_NAK);
	g_assert_cmpint(control(&t, 0xa101, 0x100, 0, 8), ==, 4);
	g_assert_cmpint(t.data[1], ==, 0);
	control(&t, 0x210b, 0, 0, 0);
	bus_lock(t.r.b.bus);
	usb_mouse_move(&t.d->dev, 1, 2, 3, 4);
	bus_unlock(t.r.b.bus);
	expect(&t, "040102");
	board_fini(&t.r.b);
}

static void test_tablet(void)
{
	struct display_input in = {0};
	struct usb_rig t;

	up(&t, "usb-tablet", USB_FULL);
	usb_tablet_input(&t.d->dev, &in);
	g_assert_false(in.point(in.opaque, 1, 2, 0, 0));
	configure(&t);
	control(&t, 0x0003, 1, 0, 0);
	g_assert_true(in.point(in.opaque, 0x1234, 0x7fff, 0, 0));
	g_assert_true(in.point(in.opaque, 0x1235, 99999, -1, 0));
	g_assert_true(in.point(in.opaque, 7, 8, 0, 5));
	g_assert_cmpint(t.wakeups, ==, 3);
	expect(&t, "003512ff7fff");
	expect(&t, "050700080000");
	board_fini(&t.r.b);
}

/* ---- mass storage ---- */

struct storage_rig {
	struct usb_rig t;
	struct blk *disk;
	uint8_t buf[1 << 20];
};

#define BLOCKS 4096u

static void storage_up(struct storage_rig *s)
{
	memset(s, 0, sizeof(*s));
	rig_init(&s->t.r);
	s->disk = s->t.r.b.host.blk = rig_image(BLOCKS * 512, false);
	plug(&s->t, make(&s->t, "usb-disk"), USB_HIGH);
	configure(&s->t);
}

static void storage_down(struct storage_rig *s)
{
	board_fini(&s->t.r.b);
	blk_close(s->disk);
}

/* Ask until it is not NAK. */
static enum usb_result move(struct storage_rig *s, enum usb_pid pid, void *buf,
	uint32_t len, uint32_t *moved)
{
	enum usb_result r = USB_NAK;
	uint32_t n;

	*moved = 0;
	for (unsigned i = 0; r == USB_NAK && i < 50000; i++) {
		r = io(&s->t, pid, pid == USB_PID_IN ? 1 : 2,
			(uint8_t *)buf + *moved, len - *moved, &n);
		*moved += n;
		if (r == USB_NAK)
			g_usleep(20);
	}
	return r;
}

static void clear_halt(struct storage_rig *s, uint8_t ep)
{
	g_assert_cmpint(control(&s->t, 0x0201, 0, ep, 0), ==, 0);
}

/* One command as a driver does it: status, or -1; what was moved and what the
 * residue says. */
struct command {
	const char *cdb; /* ten bytes */
	uint32_t host;	 /* bytes that the host says */
	bool in;
	/* answers */
	uint32_t moved, residue;
	bool stalled;
};

static int command(struct storage_rig *s, struct command *c)
{
	uint8_t cbw[31] = {'U', 'S', 'B', 'C', 1, 2, 3, 4}, csw[13];
	enum usb_result r;
	uint32_t n;

	memcpy(cbw + 8, &c->host, 4);
	cbw[12] = c->in ? 0x80 : 0;
	cbw[14] = 10;
	memcpy(cbw + 15, c->cdb, 10);
	g_assert_cmpint(move(s, USB_PID_OUT, cbw, 31, &n), ==, USB_ACK);
	c->moved = 0;
	c->stalled = false;
	while (c->moved < c->host) {
		uint32_t ask = MIN(c->host - c->moved, 20480u);

		r = move(s, c->in ? USB_PID_IN : USB_PID_OUT, s->buf + c->moved,
			ask, &n);
		c->moved += n;
		c->stalled = r == USB_STALL;
		if (r != USB_ACK || n < ask)
			break;
	}
	if (c->stalled)
		clear_halt(s, c->in ? 0x81 : 0x02);
	r = move(s, USB_PID_IN, csw, 13, &n);
	if (r == USB_STALL) {
		clear_halt(s, 0x81);
		r = move(s, USB_PID_IN, csw, 13, &n);
	}
	g_assert_cmpint(r, ==, USB_ACK);
	g_assert_cmpint(n, ==, 13);
	g_assert_cmpint(memcmp(csw, "USBS\1\2\3\4", 8), ==, 0);
	memcpy(&c->residue, csw + 8, 4);
	return csw[12];
}

#define TEST_UNIT_READY "\0\0\0\0\0\0\0\0\0\0"
#define INQUIRY		"\x12\0\0\0\x24\0\0\0\0\0"
#define READ_800	"\x28\0\0\0\0\x10\0\3\x20\0" /* from 16 on */
#define READ_1		"\x28\0\0\0\0\x10\0\0\1\0"
#define READ_BEYOND	"\x28\0\0\1\0\0\0\0\1\0"
#define WRITE_1		"\x2a\0\0\0\0\7\0\0\1\0"
#define WRITE_800	"\x2a\0\0\0\1\0\0\3\x20\0"

static void test_storage(void)
{
	struct storage_rig *s = g_new(struct storage_rig, 1);
	struct command c = {.cdb = TEST_UNIT_READY};
	uint8_t one[512];

	storage_up(s);
	g_assert_cmpint(control(&s->t, 0xa1fe, 0, 0, 1), ==, 1);
	g_assert_cmpint(s->t.data[0], ==, 0);
	g_assert_cmpint(command(s, &c), ==, 1); /* it was switched on */
	g_assert_cmpint(command(s, &c), ==, 0);
	c = (struct command){.cdb = INQUIRY, .host = 36, .in = true};
	g_assert_cmpint(command(s, &c), ==, 0);
	g_assert_cmpint(memcmp(s->buf + 8, "VMESTE  ", 8), ==, 0);
	/* several buffers of the worker */
	c = (struct command){.cdb = READ_800, .host = 800 * 512, .in = true};
	g_assert_cmpint(command(s, &c), ==, 0);
	g_assert_cmpint(c.moved, ==, 800 * 512);
	g_assert_cmpint(c.residue, ==, 0);
	for (unsigned i = 0; i < 800; i++)
		g_assert_cmpint(
			rig_sector_number(s->buf + i * 512), ==, 16 + i);
	for (unsigned i = 0; i < 800 * 512; i++)
		s->buf[i] = i * 31 >> 3;
	c = (struct command){.cdb = WRITE_800, .host = 800 * 512};
	g_assert_cmpint(command(s, &c), ==, 0);
	g_assert_cmpint(c.residue, ==, 0);
	for (unsigned i = 0; i < 800; i++) {
		blk_pread(s->disk, one, 512, (256 + i) * 512);
		g_assert_cmpint(memcmp(one, s->buf + i * 512, 512), ==, 0);
	}
	storage_down(s);
	g_free(s);
}

/* Chapter 6.7: what host and device think of length and direction. */
static void test_storage_cases(void)
{
	static const struct {
		const char *cdb;
		uint32_t host;
		bool in;
		int status;
		uint32_t residue;
	} rows[] = {
		{TEST_UNIT_READY, 0, false, 0, 0},     /* 1 */
		{INQUIRY, 0, false, 2, 0},	       /* 2 */
		{WRITE_1, 0, false, 2, 0},	       /* 3 */
		{TEST_UNIT_READY, 512, true, 0, 512},  /* 4 */
		{INQUIRY, 255, true, 0, 219},	       /* 5: short */
		{READ_1, 1024, true, 0, 512},	       /* 5: stall */
		{READ_1, 512, true, 0, 0},	       /* 6 */
		{READ_1, 64, true, 2, 0},	       /* 7 */
		{WRITE_1, 512, true, 2, 512},	       /* 8 */
		{TEST_UNIT_READY, 512, false, 0, 512}, /* 9 */
		{READ_1, 512, false, 2, 512},	       /* 10 */
		{WRITE_1, 1024, false, 0, 512},	       /* 11 */
		{WRITE_1, 512, false, 0, 0},	       /* 12 */
		{WRITE_800, 512, false, 2, 0},	       /* 13 */
		{READ_BEYOND, 512, true, 1, 512},      /* it fails */
		{READ_BEYOND, 512, false, 1, 512},
	};
	struct storage_rig *s = g_new(struct storage_rig, 1);
	struct command c = {.cdb = TEST_UNIT_READY};

	storage_up(s);
	command(s, &c);
	for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
		c = (struct command){.cdb = rows[i].cdb,
			.host = rows[i].host,
			.in = rows[i].in};
		g_test_message("case %u", i);
		g_assert_cmpint(command(s, &c), ==, rows[i].status);
		g_assert_cmpint(c.residue, ==, rows[i].residue);
	}
	storage_down(s);
	g_free(s);
}

/* 6.6.1: a bad wrapper stalls both pipes until reset recovery. */
static void test_storage_broken(void)
{
	struct storage_rig *s = g_new(struct storage_rig, 1);
	struct command c = {.cdb = READ_1, .host = 512, .in = true};
	uint8_t bad[31] = {'U', 'S', 'B', 'X'};
	uint32_t n;

	storage_up(s);
	for (unsigned len = 30; len <= 31; len++) {
		g_assert_cmpint(
			move(s, USB_PID_OUT, bad, len, &n), ==, USB_STALL);
		g_assert_cmpint(
			move(s, USB_PID_IN, s->buf, 13, &n), ==, USB_STALL);
		clear_halt(s, 0x81);
		g_assert_cmpint(
			move(s, USB_PID_IN, s->buf, 13, &n), ==, USB_STALL);
		g_assert_cmpint(control(&s->t, 0x21ff, 0, 0, 0), ==, 0);
		clear_halt(s, 0x81);
		clear_halt(s, 0x02);
	}
	command(s, &c);
	g_assert_cmpint(command(s, &c), ==, 0);
	/* reset and pulled out amid a command */
	for (unsigned i = 0; i < 200; i++) {
		uint8_t cbw[31] = {'U', 'S', 'B',
			'C', [9] = 0x40, [10] = 6, [12] = 0x80, [14] = 10};

		memcpy(cbw + 15, READ_800, 10);
		move(s, USB_PID_OUT, cbw, 31, &n);
		if (i % 3)
			move(s, USB_PID_IN, s->buf, 512, &n);
		if (i % 2) {
			control(&s->t, 0x21ff, 0, 0, 0);
			continue;
		}
		bus_lock(s->t.r.b.bus);
		usb_detach(s->t.d);
		usb_attach(&s->t.port, s->t.d);
		bus_unlock(s->t.r.b.bus);
		configure(&s->t);
	}
	storage_down(s);
	g_free(s);
}

/* ---- smart cards ---- */

struct card {
	struct dev_chardev chr;
	GByteArray *got;
};

static size_t card_write(
	struct dev_chardev *chr, const uint8_t *buf, size_t len)
{
	struct card *c = (struct card *)chr;

	len = MIN(len, 7u); /* never all at once */
	g_byte_array_append(c->got, buf, (guint)len);
	return len;
}

static void card_says(struct usb_rig *t, struct card *c, const char *hex)
{
	for (; *hex; hex += 2) {
		char two[3] = {hex[0], hex[1]};
		uint8_t b = (uint8_t)strtoul(two, NULL, 16);

		bus_lock(t->r.b.bus);
		g_assert_cmpint(c->chr.can_receive(c->chr.opaque), >=, 1);
		c->chr.receive(c->chr.opaque, &b, 1);
		bus_unlock(t->r.b.bus);
	}
}

static void card_got(struct card *c, const char *hex)
{
	GString *s = g_string_new(NULL);

	for (guint i = 0; i < c->got->len; i++)
		g_string_append_printf(s, "%02x", c->got->data[i]);
	g_assert_cmpstr(s->str, ==, hex);
	g_string_free(s, TRUE);
	g_byte_array_set_size(c->got, 0);
}

/* A message to the reader; then what it answers. */
static void ccid_tell(struct usb_rig *t, uint8_t type, uint8_t seq,
	const char *data, uint32_t len)
{
	uint8_t m[64] = {type, len, len >> 8, len >> 16, 0, 0, seq};
	uint32_t n;

	if (data)
		memcpy(m + 10, data, len);
	g_assert_cmpint(io(t, USB_PID_OUT, 1, m, 10 + (data ? len : 0), &n), ==,
		USB_ACK);
}

static void ccid_hears(struct usb_rig *t, const char *hex)
{
	GString *s = g_string_new(NULL);
	uint8_t m[64];
	uint32_t n;

	g_assert_cmpint(io(t, USB_PID_IN, 2, m, 64, &n), ==, USB_ACK);
	for (uint32_t i = 0; i < n; i++)
		g_string_append_printf(s, "%02x", m[i]);
	g_assert_cmpstr(s->str, ==, hex);
	g_string_free(s, TRUE);
}

static void test_ccid(void)
{
	struct card c = {.chr.write = card_write, .got = g_byte_array_new()};
	struct usb_rig t = {0};
	uint8_t b[64];
	uint32_t n;

	rig_init(&t.r);
	t.r.b.host.chr = &c.chr;
	plug(&t, make(&t, "usb-ccid"), USB_FULL);
	configure(&t);
	g_assert_cmpint(control(&t, 0x8006, 0x200, 0, 255), ==, 93);
	g_assert_cmpint(control(&t, 0xa103, 0, 0, 64), ==, 4);
	/* no card */
	g_assert_cmpint(io(&t, USB_PID_IN, 3, b, 8, &n), ==, USB_NAK);
	ccid_tell(&t, 0x65, 1, NULL, 0);
	ccid_hears(&t, "81000000000001020000");
	ccid_tell(&t, 0x62, 2, NULL, 0);
	ccid_hears(&t, "8000000000000242fe00");
	/* it comes, gets power, is asked */
	card_says(&t, &c, "100000053b80800101");
	g_assert_cmpint(io(&t, USB_PID_IN, 3, b, 8, &n), ==, USB_ACK);
	g_assert_cmphex(b[1], ==, 3);
	ccid_tell(&t, 0x62, 3, NULL, 0);
	ccid_hears(&t, "800500000000030000003b80800101");
	card_got(&c, "01000000");
	ccid_tell(&t, 0x6f, 4, "\0\xa4\4\0", 4);
	g_assert_cmpint(io(&t, USB_PID_IN, 2, b, 64, &n), ==, USB_NAK);
	card_got(&c, "0300000400a40400");
	card_says(&t, &c, "120000029000");
	ccid_hears(&t, "800200000000040000009000");
	/* nonsense: another slot, message, length */
	ccid_tell(&t, 0x77, 5, NULL, 0);
	ccid_hears(&t, "81000000000005400000");
	ccid_tell(&t, 0x6f, 6, NULL, 0xffffff);
	ccid_hears(&t, "81000000000006400100");
	/* pulled out while it thinks; frames beyond all measure */
	ccid_tell(&t, 0x6f, 7, "\0\xa4\4\0", 4);
	card_says(&t, &c, "11000000");
	ccid_hears(&t, "8000000000000742fe00");
	card_says(&t, &c, "10ffffff12ffffff990000");
	ccid_tell(&t, 0x63, 8, NULL, 0);
	ccid_hears(&t, "81000000000008020001");
	board_fini(&t.r.b);
	g_byte_array_unref(c.got);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/usb/chapter9", test_chapter9);
	g_test_add_func("/usb/speeds", test_speeds);
	g_test_add_func("/usb/hub", test_hub);
	g_test_add_func("/usb/hub-depth", test_hub_depth);
	g_test_add_func("/usb/keyboard", test_keyboard);
	g_test_add_func("/usb/keyboard-overflow", test_keyboard_overflow);
	g_test_add_func("/usb/idle-rate", test_idle_rate);
	g_test_add_func("/usb/mouse", test_mouse);
	g_test_add_func("/usb/tablet", test_tablet);
	g_test_add_func("/usb/storage", test_storage);
	g_test_add_func("/usb/storage-cases", test_storage_cases);
	g_test_add_func("/usb/storage-broken", test_storage_broken);
	g_test_add_func("/usb/ccid", test_ccid);
	return g_test_run();
}
