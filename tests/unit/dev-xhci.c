/* dev-xhci.c - xHCI: registers, ports, commands, transfers, event rings that
 * are full, rings without an end. */
#include "disk-rig.h"

#include "dev/usb/hid.h"
#include "dev/usb/xhci.h"

#define BASE	0xfe000000u
#define OP	0x40
#define DEVFN	(2 << 3)
#define DCBAA	0x10000u
#define COMMAND 0x11000u
#define ERST	0x12000u
#define EVENTS	0x13000u
#define INPUT	0x14000u
#define CONTEXT 0x15000u
#define EP0	0x16000u
#define EP_IN	0x17000u
#define EP_OUT	0x18000u
#define DATA_AT 0x30000u

#define IOC   0x20u
#define CHAIN 0x10u
#define ISP   0x04u
#define IDT   0x40u

struct ring {
	uint32_t at;
	unsigned n;
	uint32_t flip; /* the cycle bit is 0 by now */
};

struct xhci_rig {
	struct rig r;
	struct dev *xhci;
	struct usb_device *kbd, *disk;
	struct blk *blk;
	struct ring command, ep0, in, out;
	unsigned events, size; /* taken; of the ring */
	uint32_t e[4];	       /* the last event */
};

static uint32_t rd(struct xhci_rig *t, unsigned reg)
{
	return bus_mmio_read(t->r.b.bus, NULL, BASE + reg, 4);
}

static void wr(struct xhci_rig *t, unsigned reg, uint32_t val)
{
	bus_mmio_write(t->r.b.bus, NULL, BASE + reg, 4, val);
}

static uint32_t port(struct xhci_rig *t, unsigned n)
{
	return rd(t, 0x440 + 16 * n);
}

static void set_port(struct xhci_rig *t, unsigned n, uint32_t val)
{
	wr(t, 0x440 + 16 * n, val);
}

static void put(struct xhci_rig *t, uint32_t at, const void *w, unsigned bytes)
{
	bus_dma_write(t->r.b.bus, at, w, bytes);
}

static uint32_t word(struct xhci_rig *t, uint32_t at)
{
	uint32_t w;

	bus_dma_read(t->r.b.bus, at, &w, 4);
	return w;
}

static uint32_t queue(struct xhci_rig *t, struct ring *r, uint64_t param,
	uint32_t status, uint32_t control)
{
	uint32_t w[4] = {param, param >> 32, status, control | (1 ^ r->flip)};
	uint32_t at = r->at + 16 * r->n++;

	put(t, at, w, 16);
	return at;
}

/* The next event, or false. */
static bool event(struct xhci_rig *t)
{
	unsigned at = t->events % t->size;
	uint32_t cycle = 1 ^ (t->events / t->size & 1);

	for (unsigned i = 0; i < 200; i++) {
		bus_dma_read(t->r.b.bus, EVENTS + 16 * at, t->e, 16);
		if ((t->e[3] & 1) == cycle) {
			t->events++;
			return true;
		}
		board_sleep(&t->r.b, 100);
	}
	return false;
}

static void taken(struct xhci_rig *t)
{
	wr(t, 0x1038, (EVENTS + 16 * (t->events % t->size)) | 8);
}

static void expect(struct xhci_rig *t, unsigned type, unsigned code,
	uint32_t param, uint32_t left)
{
	g_assert_true(event(t));
	g_assert_cmpint(t->e[3] >> 10 & 63, ==, type);
	g_assert_cmpint(t->e[2] >> 24, ==, code);
	g_assert_cmphex(t->e[0], ==, param);
	g_assert_cmphex(t->e[2] & 0xffffff, ==, left);
	taken(t);
}

static unsigned command(
	struct xhci_rig *t, uint64_t param, unsigned type, uint32_t more)
{
	uint32_t at = queue(t, &t->command, param, 0, type << 10 | more);

	wr(t, 0x2000, 0);
	g_assert_true(event(t));
	g_assert_cmphex(t->e[0], ==, at);
	g_assert_cmpint(t->e[3] >> 10 & 63, ==, 33);
	taken(t);
	return t->e[2] >> 24;
}

static void start(struct xhci_rig *t, unsigned size)
{
	uint32_t erst[4] = {EVENTS, 0, size};

	t->size = size;
	put(t, ERST, erst, 16);
	wr(t, OP + 0x38, 8);
	wr(t, OP + 0x30, DCBAA);
	wr(t, OP + 0x18, COMMAND | 1);
	wr(t, OP + 0x1c, 0);
	wr(t, 0x1028, 1);
	wr(t, 0x1030, ERST);
	wr(t, 0x1038, EVENTS);
	wr(t, 0x1020, 2);
	wr(t, OP, 5);
}

/* A keyboard at port 1 and a disk at the first port of USB 3. */
static void up(struct xhci_rig *t)
{
	memset(t, 0, sizeof(*t));
	rig_init(&t->r);
	t->command.at = COMMAND;
	t->ep0.at = EP0;
	t->in.at = EP_IN;
	t->out.at = EP_OUT;
	t->xhci = board_add(&t->r.b, "xhci");
	t->kbd = (struct usb_device *)(void *)board_add(&t->r.b, "usb-kbd");
	t->r.b.host.blk = t->blk = rig_image(1 << 20, false);
	t->disk = (struct usb_device *)(void *)board_add(&t->r.b, "usb-disk");
	bus_lock(t->r.b.bus);
	pci_config_write(t->r.b.host.pci, 0, DEVFN, 0x10, 4, BASE);
	pci_config_write(t->r.b.host.pci, 0, DEVFN, 4, 2, 6);
	usb_attach(xhci_port(t->xhci, 0), t->kbd);
	usb_attach(xhci_port(t->xhci, XHCI_SOCKETS), t->disk);
	bus_unlock(t->r.b.bus);
}

static void down(struct xhci_rig *t)
{
	board_fini(&t->r.b);
	blk_close(t->blk);
}

/* Input context of a slot: device at port, control endpoint. */
static void input(struct xhci_rig *t, unsigned root, unsigned speed)
{
	uint32_t w[24] = {0, 3};

	w[8] = speed << 20 | 1 << 27;
	w[9] = root << 16;
	w[17] = 3 << 1 | 4 << 3 | 64 << 16;
	w[18] = EP0 | 1;
	put(t, INPUT, w, sizeof(w));
}

/* Started, slot 1 addressed. */
static void addressed(struct xhci_rig *t, unsigned root, unsigned speed)
{
	uint64_t context = CONTEXT;

	start(t, 256);
	for (unsigned i = 0; i < 2; i++) {
		g_assert_true(event(t));
		g_assert_cmpint(t->e[3] >> 10 & 63, ==, 34);
	}
	taken(t);
	set_port(t, root - 1, 0x20200);
	set_port(t, root - 1, 0x210);
	expect(t, 34, 1, root << 24, 0);
	set_port(t, root - 1, 0x200200);
	put(t, DCBAA + 8, &context, 8);
	g_assert_cmpint(command(t, 0, 9, 0), ==, 1);
	g_assert_cmpint(t->e[3] >> 24, ==, 1);
	input(t, root, speed);
	g_assert_cmpint(command(t, INPUT, 11, 1 << 24), ==, 1);
	g_assert_cmphex(word(t, CONTEXT + 12), ==, 2u << 27 | 1);
	g_assert_cmphex(word(t, CONTEXT + 32) & 7, ==, 1);
}

/* Two bulk endpoints, or one interrupt endpoint; the device is configured. */
static void configured(struct xhci_rig *t, bool bulk)
{
	uint32_t w[8 * 7] = {0, bulk ? 0x19 : 9};

	w[8] = 4u << 27 | 4 << 20;
	w[9] = 9 << 16;
	/* endpoint 2 out: context 4; 1 in: context 3 */
	w[8 * 4 + 1] =
		3 << 1 | (bulk ? 6 : 7) << 3 | (bulk ? 1024u : 16u) << 16;
	w[8 * 4 + 2] = EP_IN | 1;
	w[8 * 5 + 1] = 3 << 1 | 2 << 3 | 1024u << 16;
	w[8 * 5 + 2] = EP_OUT | 1;
	put(t, INPUT, w, sizeof(w));
	g_assert_cmpint(command(t, INPUT, 12, 1 << 24), ==, 1);
	g_assert_cmphex(word(t, CONTEXT + 12) >> 27, ==, 3);
	bus_lock(t->r.b.bus);
	t->kbd->configuration = t->disk->configuration = 1;
	bus_unlock(t->r.b.bus);
}

/* ---- tests ---- */

static void test_registers(void)
{
	struct xhci_rig t;

	up(&t);
	g_assert_cmphex(rd(&t, 0), ==, 0x01000040);
	g_assert_cmphex(rd(&t, 4), ==, 0x10000840);
	g_assert_cmphex(rd(&t, 0x10), ==, 0x00080001);
	g_assert_cmphex(rd(&t, 0x14), ==, 0x2000);
	g_assert_cmphex(rd(&t, 0x18), ==, 0x1000);
	g_assert_cmphex(rd(&t, 0x20), ==, 0x02000402);
	g_assert_cmphex(rd(&t, 0x24), ==, 0x20425355);
	g_assert_cmphex(rd(&t, 0x38), ==, 0x00000809);
	g_assert_cmphex(rd(&t, OP + 8), ==, 1);
	g_assert_cmphex(rd(&t, 0x1024), ==, 4000);
	wr(&t, OP, 2);
	g_assert_cmphex(rd(&t, OP), ==, 0);
	g_assert_cmphex(rd(&t, OP + 4) & 1, ==, 1);
	/* full speed waits for a reset, super speed does not */
	g_assert_cmphex(port(&t, 0), ==, 0x000206e1);
	g_assert_cmphex(port(&t, 8), ==, 0x00021203);
	g_assert_cmphex(port(&t, 1), ==, 0x000002a0);
	set_port(&t, 0, 0x20210);
	g_assert_cmphex(port(&t, 0), ==, 0x00200603);
	set_port(&t, 0, 0x200202);
	g_assert_cmphex(port(&t, 0), ==, 0x00000601);
	/* suspended, resumed */
	set_port(&t, 8, 0x10260);
	g_assert_cmphex(port(&t, 8) & 0x1e0, ==, 0x60);
	set_port(&t, 8, 0x10200);
	g_assert_cmphex(port(&t, 8), ==, 0x00421203);
	/* pulled out */
	bus_lock(t.r.b.bus);
	usb_detach(t.disk);
	bus_unlock(t.r.b.bus);
	g_assert_cmphex(port(&t, 8), ==, 0x004202a0);
	down(&t);
}

static void test_commands(void)
{
	static const struct {
		unsigned type, code;
		uint32_t more;
	} rows[] = {
		{23, 1, 0},		     /* nothing */
		{31, 5, 0},		     /* no such command */
		{14, 5, 1 << 24},	     /* endpoint 0 is none */
		{14, 19, 1 << 24 | 1 << 16}, /* it is not halted */
		{16, 19, 1 << 24 | 1 << 16}, /* it runs */
		{15, 1, 1 << 24 | 1 << 16},  /* stop it */
		{15, 19, 1 << 24 | 1 << 16}, /* again */
		{16, 1, 1 << 24 | 1 << 16},
		{15, 12, 1 << 24 | 5 << 16}, /* it is not enabled */
		{15, 11, 7 << 24 | 1 << 16}, /* no such slot */
		{15, 11, 200u << 24 | 1 << 16},
		{11, 19, 1 << 24}, /* it has its address */
		{17, 1, 1 << 24},  /* reset it */
		{17, 19, 1 << 24},
		{12, 19, 1 << 24}, /* without an address */
		{10, 1, 1 << 24},  /* the slot goes */
		{10, 11, 1 << 24},
	};
	struct xhci_rig t;

	up(&t);
	addressed(&t, 1, 1);
	g_assert_cmpint(t.kbd->address, ==, 1);
	for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_test_message("command %u", i);
		g_assert_cmpint(command(&t, INPUT, rows[i].type, rows[i].more),
			==, rows[i].code);
	}
	/* eight slots were asked for */
	for (unsigned i = 0; i < 8; i++)
		g_assert_cmpint(command(&t, 0, 9, 0), ==, 1);
	g_assert_cmpint(command(&t, 0, 9, 0), ==, 9);
	/* nobody at that port */
	input(&t, 3, 1);
	g_assert_cmpint(command(&t, INPUT, 11, 2 << 24), ==, 4);
	/* stopped, the ring stands where it was */
	wr(&t, OP + 0x18, 2);
	wr(&t, OP + 0x1c, 0);
	expect(&t, 33, 24, COMMAND + 16 * t.command.n, 0);
	g_assert_cmpint(command(&t, 0, 23, 0), ==, 1);
	down(&t);
}

/* Stages of control transfers, what is short, what stalls. */
static void test_control(void)
{
	const uint64_t get = 0x0040000001000680, bad = 0x0002000000001280;
	struct xhci_rig t;
	uint32_t at;

	up(&t);
	addressed(&t, 1, 1);
	queue(&t, &t.ep0, get, 8, 2 << 10 | IDT | 3 << 16);
	at = queue(&t, &t.ep0, DATA_AT, 64, 3 << 10 | 1 << 16 | ISP);
	queue(&t, &t.ep0, 0, 0, 4 << 10 | IOC);
	wr(&t, 0x2004, 1);
	expect(&t, 32, 13, at, 46);
	expect(&t, 32, 1, at + 16, 0);
	g_assert_cmphex(word(&t, DATA_AT + 8) & 0xffff, ==, 0x1209);
	/* data in three pieces, one of them immediate... of event data */
	queue(&t, &t.ep0, get, 8, 2 << 10 | IDT | 3 << 16);
	queue(&t, &t.ep0, DATA_AT, 5, 3 << 10 | 1 << 16 | CHAIN);
	queue(&t, &t.ep0, DATA_AT + 100, 3, 1 << 10 | CHAIN);
	queue(&t, &t.ep0, DATA_AT + 200, 56, 1 << 10 | CHAIN);
	queue(&t, &t.ep0, 0xabcd, 0, 7 << 10 | IOC);
	queue(&t, &t.ep0, 0, 0, 4 << 10 | IOC);
	wr(&t, 0x2004, 1);
	expect(&t, 32, 13, 0xabcd, 18);
	g_assert_cmpint(t.e[3] & 4, ==, 4);
	expect(&t, 32, 1, EP0 + 16 * (t.ep0.n - 1), 0);
	g_assert_cmphex(word(&t, DATA_AT + 200) & 0xffff, ==, 0x1209);
	/* a request that is refused: halted until it is reset */
	queue(&t, &t.ep0, bad, 8, 2 << 10 | IDT | 3 << 16);
	at = queue(&t, &t.ep0, DATA_AT, 2, 3 << 10 | 1 << 16);
	queue(&t, &t.ep0, 0, 0, 4 << 10 | IOC);
	wr(&t, 0x2004, 1);
	expect(&t, 32, 6, at, 2);
	g_assert_cmphex(word(&t, CONTEXT + 32) & 7, ==, 2);
	g_assert_cmphex(word(&t, CONTEXT + 40), ==, at | 1);
	g_assert_cmpint(command(&t, 0, 14, 1 << 24 | 1 << 16), ==, 1);
	g_assert_cmpint(
		command(&t, (at + 32) | 1, 16, 1 << 24 | 1 << 16), ==, 1);
	/* requests that make no sense */
	queue(&t, &t.ep0, get, 7, 2 << 10 | IDT);
	wr(&t, 0x2004, 1);
	expect(&t, 32, 5, at + 32, 7);
	g_assert_cmphex(word(&t, CONTEXT + 32) & 7, ==, 4);
	down(&t);
}

static void key(struct xhci_rig *t, unsigned code)
{
	bus_lock(t->r.b.bus);
	usb_kbd_key(&t->kbd->dev, code, true);
	bus_unlock(t->r.b.bus);
}

/* NAK until a key is pressed; stopped meanwhile; unplugged. */
static void test_interrupt(void)
{
	struct xhci_rig t;
	uint32_t at;

	up(&t);
	addressed(&t, 1, 1);
	configured(&t, false);
	at = queue(&t, &t.in, DATA_AT, 16, 1 << 10 | ISP | IOC);
	wr(&t, 0x2004, 3);
	g_assert_false(event(&t));
	key(&t, 0x1e);
	expect(&t, 32, 13, at, 1);
	g_assert_cmphex(word(&t, DATA_AT), ==, 0x00000100);
	at = queue(&t, &t.in, DATA_AT, 15, 1 << 10 | ISP | IOC);
	wr(&t, 0x2004, 3);
	/* stopped: told of the one that waits, and it goes on with it */
	queue(&t, &t.command, 0, 0, 15 << 10 | 1 << 24 | 3 << 16);
	wr(&t, 0x2000, 0);
	expect(&t, 32, 26, at, 15);
	g_assert_true(event(&t));
	taken(&t);
	g_assert_cmphex(word(&t, CONTEXT + 96) & 7, ==, 3);
	key(&t, 0x1f);
	g_assert_false(event(&t));
	wr(&t, 0x2004, 3);
	expect(&t, 32, 1, at, 0);
	bus_lock(t.r.b.bus);
	usb_detach(t.kbd);
	bus_unlock(t.r.b.bus);
	expect(&t, 34, 1, 1 << 24, 0);
	at = queue(&t, &t.in, DATA_AT, 15, 1 << 10 | ISP | IOC);
	wr(&t, 0x2004, 3);
	expect(&t, 32, 4, at, 15);
	down(&t);
}

/* A command of the disk: wrapper, data in pieces whose ends are not those of
 * packets, through a link; status. */
static void test_bulk(void)
{
	uint8_t cbw[31] = {'U', 'S', 'B', 'C', [9] = 0x90, [12] = 0x80,
		[14] = 10, [15] = 0x28, [23] = 72};
	static const uint32_t sizes[] = {1, 1023, 2048, 14952, 0, 18840};
	uint32_t at = DATA_AT + 0x1000, last = 0, sector;
	struct xhci_rig t;

	up(&t);
	addressed(&t, 9, 4);
	configured(&t, true);
	for (unsigned i = 0x80; i < 0xa0; i++) /* where the bit is the other */
		put(&t, EP_IN + 16 * i + 12, &(uint32_t){1}, 4);
	for (unsigned k = 0; k < 2; k++) {
		put(&t, DATA_AT, cbw, 31);
		queue(&t, &t.out, DATA_AT, 31, 1 << 10 | IOC);
		for (unsigned i = 0; i < G_N_ELEMENTS(sizes); i++) {
			bool end = i + 1 == G_N_ELEMENTS(sizes);

			last = queue(&t, &t.in, at, sizes[i],
				1 << 10 | ISP | (end ? IOC : CHAIN));
			at += sizes[i];
			if (i == 1) { /* to the other half of the page */
				queue(&t, &t.in, EP_IN + 0x800 + 0x200 * k, 0,
					6 << 10 | 2);
				t.in.n = 0x80 + 0x20 * k;
				t.in.flip ^= 1;
			}
		}
		queue(&t, &t.in, DATA_AT + 0x800, 13, 1 << 10 | ISP | IOC);
		wr(&t, 0x2004, 4);
		expect(&t, 32, 1, EP_OUT + 16 * (t.out.n - 1), 0);
		wr(&t, 0x2004, 3);
		if (k) { /* the first one fails: it was switched on */
			expect(&t, 32, 1, last, 0);
			for (unsigned i = 0; i < 72; i++) {
				sector = word(
					&t, DATA_AT + 0x1000 + 36864 + 512 * i);
				g_assert_cmpint(sector, ==, i);
			}
		} else { /* nothing came: a stall */
			g_assert_true(event(&t));
			g_assert_cmpint(t.e[2] >> 24, ==, 6);
			taken(&t);
			command(&t, 0, 14, 1 << 24 | 3 << 16);
			command(&t,
				(EP_IN + 16 * (t.in.n - 1)) | (1 ^ t.in.flip),
				16, 1 << 24 | 3 << 16);
			bus_lock(t.r.b.bus);
			t.disk->halted = 0;
			bus_unlock(t.r.b.bus);
			wr(&t, 0x2004, 3);
		}
		expect(&t, 32, 1, EP_IN + 16 * (t.in.n - 1), 0);
		g_assert_cmphex(word(&t, DATA_AT + 0x800), ==, 0x53425355);
		g_assert_cmpint(word(&t, DATA_AT + 0x80c) & 255, ==, k ? 0 : 1);
	}
	down(&t);
}

/* A ring of four events: nothing gets lost, whoever makes them. */
static void test_full(void)
{
	struct xhci_rig t;

	up(&t);
	start(&t, 16);
	for (unsigned i = 0; i < 40; i++)
		queue(&t, &t.command, 0, 0, 23 << 10);
	wr(&t, 0x2000, 0);
	for (unsigned i = 0; i < 2; i++) {
		g_assert_true(event(&t));
		g_assert_cmpint(t.e[3] >> 10 & 63, ==, 34);
	}
	for (unsigned i = 0; i < 40; i++) {
		g_assert_true(event(&t));
		g_assert_cmphex(t.e[0], ==, COMMAND + 16 * i);
		taken(&t);
	}
	g_assert_false(event(&t));
	/* an interrupt stands while there is something in the ring */
	g_assert_cmphex(rd(&t, OP + 4) & 8, ==, 8);
	g_assert_cmphex(rd(&t, 0x1020), ==, 3);
	wr(&t, 0x1020, 3);
	g_assert_cmphex(rd(&t, 0x1020), ==, 2);
	down(&t);
}

/* Rings without an end, of links and of requests; no memory. */
static void test_loops(void)
{
	static const uint32_t rings[][4] = {
		{EP_IN, 0, 0, 6 << 10 | 1},	/* a link to itself */
		{EP_IN, 0, 0, 6 << 10 | 3},	/* that toggles */
		{0, 0, 0, 8 << 10 | IOC | 1},	/* no-ops */
		{0, 0, 0, 1 << 10 | CHAIN | 1}, /* a chain of nothing */
		{0, 0, 0, 7 << 10 | IOC | CHAIN | 1},
		{0xfffffff0, 0xffff, 0x1ffff, 1 << 10 | CHAIN | 1},
		{EP_IN, 0, 0, 5 << 10 | 1},
		{EP_IN, 0, 0, 63 << 10 | 1},
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(rings); i++) {
		uint32_t back[4] = {EP_IN, 0, 0, 6 << 10 | 1};
		struct xhci_rig t;

		up(&t);
		addressed(&t, 9, 4);
		configured(&t, true);
		for (unsigned n = 0; n < 255; n++)
			put(&t, EP_IN + 16 * n, rings[i], 16);
		put(&t, EP_IN + 16 * 255, back, 16);
		wr(&t, 0x2004, 3);
		for (unsigned k = 0; k < 20; k++) {
			board_sleep(&t.r.b, 200);
			wr(&t, 0x1038, EVENTS | 8);
		}
		g_assert_cmphex(rd(&t, OP + 4) & 1, ==, 0);
		down(&t);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/xhci/registers", test_registers);
	g_test_add_func("/xhci/commands", test_commands);
	g_test_add_func("/xhci/control", test_control);
	g_test_add_func("/xhci/interrupt", test_interrupt);
	g_test_add_func("/xhci/bulk", test_bulk);
	g_test_add_func("/xhci/full", test_full);
	g_test_add_func("/xhci/loops", test_loops);
	return g_test_run();
}
