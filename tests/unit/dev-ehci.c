/* dev-ehci.c - EHCI: registers, ports and companions, both lists, lists that
 * are loops. */
#include "disk-rig.h"

#include "dev/usb/ehci.h"
#include "dev/usb/hid.h"
#include "dev/usb/storage.h"
#include "dev/usb/uhci.h"

#define BASE	0xfe000000u
#define OP	0x20
#define SLOT	2
#define FRAMES	0x10000u
#define QUEUE	0x20000u
#define QTDS	0x21000u
#define DATA_AT 0x30000u

#define END	1u
#define ACTIVE	0x80u
#define HALTED	0x40u
#define IOC	0x8000u
#define PID_OUT 0u
#define PID_IN	0x100u
#define PID_SET 0x200u

struct ehci_rig {
	struct rig r;
	struct dev *ehci, *uhci[EHCI_COMPANIONS];
	struct usb_device *disk;
	struct blk *blk;
};

static uint32_t rd(struct ehci_rig *t, unsigned reg)
{
	return bus_mmio_read(t->r.b.bus, NULL, BASE + reg, 4);
}

static void wr(struct ehci_rig *t, unsigned reg, uint32_t val)
{
	bus_mmio_write(t->r.b.bus, NULL, BASE + reg, 4, val);
}

static uint32_t port(struct ehci_rig *t, unsigned n)
{
	return rd(t, OP + 0x44 + 4 * n);
}

static void set_port(struct ehci_rig *t, unsigned n, uint32_t val)
{
	wr(t, OP + 0x44 + 4 * n, val);
}

static void plug(struct ehci_rig *t, unsigned n, struct usb_device *d)
{
	bus_lock(t->r.b.bus);
	g_assert_cmpint(usb_attach(ehci_port(t->ehci, n), d), ==, 0);
	bus_unlock(t->r.b.bus);
}

static void up(struct ehci_rig *t)
{
	uint32_t link = END;

	rig_init(&t->r);
	t->r.b.host.pci_slot = SLOT;
	for (unsigned i = 0; i < EHCI_COMPANIONS; i++) {
		t->r.b.host.index = UHCI_ICH9 + i;
		t->uhci[i] = board_add(&t->r.b, "uhci");
	}
	t->ehci = board_add(&t->r.b, "ehci");
	for (unsigned i = 0; i < EHCI_PORTS; i++)
		ehci_set_companion(
			t->ehci, i, uhci_port(t->uhci[i / 2], i % 2));
	t->r.b.host.blk = t->blk = rig_image(1 << 20, false);
	t->disk = (struct usb_device *)(void *)board_add(&t->r.b, "usb-disk");
	bus_lock(t->r.b.bus);
	pci_config_write(t->r.b.host.pci, 0, SLOT << 3 | 7, 0x10, 4, BASE);
	pci_config_write(t->r.b.host.pci, 0, SLOT << 3 | 7, 4, 2, 6);
	bus_unlock(t->r.b.bus);
	for (unsigned i = 0; i < 1024; i++)
		bus_dma_write(t->r.b.bus, FRAMES + 4 * i, &link, 4);
	wr(t, OP + 0x14, FRAMES);
	wr(t, OP + 0x18, QUEUE);
	wr(t, OP + 8, 0x37);
}

static void down(struct ehci_rig *t)
{
	board_fini(&t->r.b);
	blk_close(t->blk);
}

/* A disk at port 0, enabled. */
static void disk_on(struct ehci_rig *t)
{
	wr(t, OP + 0x40, 1);
	plug(t, 0, t->disk);
	set_port(t, 0, 0x1100);
	set_port(t, 0, 0x1000);
	g_assert_cmphex(port(t, 0) & 0x3d05, ==, 0x1005);
	wr(t, OP + 4, 0x3f);
}

#define WAIT(t, condition)                                                     \
	do {                                                                   \
		for (unsigned tries = 0; !(condition) && tries < 5000;         \
			tries++)                                               \
			board_sleep(&(t)->r.b, 200);                           \
		g_assert_true(condition);                                      \
	} while (0)

static uint32_t word(struct ehci_rig *t, uint32_t at)
{
	uint32_t w;

	bus_dma_read(t->r.b.bus, at, &w, 4);
	return w;
}

static void put(struct ehci_rig *t, uint32_t at, const uint32_t *w, unsigned n)
{
	bus_dma_write(t->r.b.bus, at, w, n * 4);
}

/* A queue head alone in its list; ep: its second word. */
static void queue(struct ehci_rig *t, uint32_t link, uint32_t ep, uint32_t next)
{
	uint32_t w[12] = {link, ep, 0x40000000, 0, next, END};

	put(t, QUEUE, w, 12);
}

static void qtd(struct ehci_rig *t, unsigned n, uint32_t token, unsigned len,
	uint32_t buffer)
{
	uint32_t w[8] = {
		QTDS + 64 * (n + 1), END, token | ACTIVE | len << 16, buffer};

	for (unsigned i = 1; i < 5; i++)
		w[3 + i] = (buffer & ~0xfffu) + 0x1000 * i;
	if (token & IOC)
		w[0] = END;
	put(t, QTDS + 64 * n, w, 8);
}

static uint32_t token_of(struct ehci_rig *t, unsigned n)
{
	return word(t, QTDS + 64 * n + 8);
}

/* ---- tests ---- */

static void test_registers(void)
{
	struct ehci_rig t;

	up(&t);
	g_assert_cmphex(rd(&t, 0), ==, 0x01000020);
	g_assert_cmphex(rd(&t, 4), ==, 0x00003206);
	g_assert_cmphex(rd(&t, 8), ==, 0x00006880);
	wr(&t, OP, 2);
	g_assert_cmphex(rd(&t, OP), ==, 0x00080000);
	g_assert_cmphex(rd(&t, OP + 4), ==, 0x1000);
	g_assert_cmphex(rd(&t, OP + 8), ==, 0);
	g_assert_cmphex(rd(&t, OP + 0x40), ==, 0);
	g_assert_cmphex(port(&t, 5), ==, 0x3000);
	g_assert_cmphex(port(&t, 6), ==, 0);
	wr(&t, OP + 0x14, 0x12345fff);
	g_assert_cmphex(rd(&t, OP + 0x14), ==, 0x12345000);
	wr(&t, OP + 0x0c, 0x1ff8);
	g_assert_cmphex(rd(&t, OP + 0x0c), ==, 0x1ff8);
	wr(&t, OP, 0x00080031);
	g_assert_cmphex(rd(&t, OP + 4) & 0xf000, ==, 0xc000);
	WAIT(&t, rd(&t, OP + 0x0c) != 0x1ff8);
	wr(&t, OP, 0x00080000);
	g_assert_cmphex(rd(&t, OP + 4) & 0xf000, ==, 0x1000);
	bus_lock(t.r.b.bus);
	g_assert_cmphex(pci_config_read(t.r.b.host.pci, 0, SLOT << 3 | 7, 8, 4),
		==, 0x0c032003);
	g_assert_cmphex(
		pci_config_read(t.r.b.host.pci, 0, SLOT << 3, 14, 1), ==, 0x80);
	bus_unlock(t.r.b.bus);
	down(&t);
}

/* Who has a port, by what is plugged in and what software says. */
static void test_companions(void)
{
	struct usb_device *kbd;
	struct ehci_rig t;

	up(&t);
	kbd = (struct usb_device *)(void *)board_add(&t.r.b, "usb-kbd");
	plug(&t, 0, t.disk);
	plug(&t, 3, kbd);
	/* until EHCI is configured all belong to the companions */
	g_assert_cmpint(t.disk->speed, ==, USB_SPEED_FULL);
	g_assert_true(uhci_port(t.uhci[0], 0)->device == t.disk);
	g_assert_true(uhci_port(t.uhci[1], 1)->device == kbd);
	g_assert_false(usb_port_free(ehci_port(t.ehci, 3)));
	wr(&t, OP + 0x40, 1);
	g_assert_true(ehci_port(t.ehci, 0)->device == t.disk);
	g_assert_cmpint(t.disk->speed, ==, USB_SPEED_HIGH);
	g_assert_cmphex(port(&t, 3), ==, 0x1803);
	g_assert_cmphex(rd(&t, OP + 4) & 4, ==, 4);
	/* a reset does not enable what is not of high speed: hand it over */
	set_port(&t, 3, 0x1102);
	set_port(&t, 3, 0x1000);
	g_assert_cmphex(port(&t, 3), ==, 0x1801);
	set_port(&t, 3, 0x3000);
	g_assert_true(uhci_port(t.uhci[1], 1)->device == kbd);
	g_assert_cmphex(port(&t, 3) & 0x2001, ==, 0x2000);
	/* pulled out, the port comes back */
	bus_lock(t.r.b.bus);
	usb_detach(kbd);
	bus_unlock(t.r.b.bus);
	g_assert_cmphex(port(&t, 3) & 0x2001, ==, 0);
	plug(&t, 3, kbd);
	g_assert_true(ehci_port(t.ehci, 3)->device == kbd);
	/* not configured any more */
	wr(&t, OP + 0x40, 0);
	g_assert_true(uhci_port(t.uhci[1], 1)->device == kbd);
	g_assert_true(uhci_port(t.uhci[0], 0)->device == t.disk);
	down(&t);
}

/* GET_DESCRIPTOR through the asynchronous list. */
static void test_control(void)
{
	static const uint8_t setup[8] = {0x80, 6, 0, 1, 0, 0, 64, 0};
	struct ehci_rig t;
	uint8_t d[18];

	up(&t);
	disk_on(&t);
	bus_dma_write(t.r.b.bus, DATA_AT, setup, 8);
	qtd(&t, 0, PID_SET, 8, DATA_AT);
	qtd(&t, 1, PID_IN | 0x80000000, 64, DATA_AT + 0xffa); /* two pages */
	qtd(&t, 2, PID_OUT | 0x80000000 | IOC, 0, 0);
	queue(&t, QUEUE | 2, 64 << 16 | 0xe000, QTDS);
	wr(&t, OP, 0x00080021);
	WAIT(&t, !(token_of(&t, 2) & ACTIVE));
	g_assert_cmphex(token_of(&t, 0) & 0x7fff00ff, ==, 0);
	g_assert_cmphex(token_of(&t, 1) & 0x7fff00ff, ==, 46 << 16);
	g_assert_cmphex(token_of(&t, 2) & 0x7fff00ff, ==, 0);
	g_assert_cmphex(rd(&t, OP + 4) & 3, ==, 1);
	bus_dma_read(t.r.b.bus, DATA_AT + 0xffa, d, 18);
	g_assert_cmpint(d[0], ==, 18);
	g_assert_cmphex(d[8] | d[9] << 8, ==, 0x1209);
	g_assert_cmphex(word(&t, QUEUE + 12) & ~31u, ==, QTDS + 128);
	/* the doorbell */
	wr(&t, OP + 4, 0x3f);
	wr(&t, OP, 0x00080061);
	WAIT(&t, rd(&t, OP + 4) & 0x20);
	g_assert_cmphex(rd(&t, OP) & 0x40, ==, 0);
	down(&t);
}

static void test_errors(void)
{
	static const struct {
		uint32_t ep, token, len, result;
	} rows[] = {
		{9, PID_IN, 8, HALTED | 8},		/* nobody there */
		{0x300, PID_IN, 8, HALTED},		/* no such endpoint */
		{0, 0x300, 8, HALTED | 0x20},		/* no such token */
		{0, PID_IN, 20481, HALTED | 0x20},	/* too long */
		{0, PID_IN | 0x5000, 8, HALTED | 0x20}, /* no such page */
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
		struct ehci_rig t;

		up(&t);
		disk_on(&t);
		qtd(&t, 0, rows[i].token | 3 << 10, rows[i].len, DATA_AT);
		queue(&t, QUEUE | 2, 64 << 16 | rows[i].ep, QTDS);
		wr(&t, OP, 0x00080021);
		WAIT(&t, !(token_of(&t, 0) & ACTIVE));
		g_assert_cmphex(token_of(&t, 0) & 0xff, ==, rows[i].result);
		g_assert_cmphex(rd(&t, OP + 4) & 3, ==, 2);
		down(&t);
	}
}

/* Bulk: a wrapper out, data in pieces that the device has not yet, NAK in
 * between, status; the short one goes by the alternate. */
static void test_bulk(void)
{
	uint8_t cbw[31] = {'U', 'S', 'B', 'C', [9] = 0xa0, [12] = 0x80,
		[14] = 10, [15] = 0x12, [19] = 36};
	uint32_t alt[2] = {END, QTDS + 192};
	struct ehci_rig t;
	uint8_t csw[13];

	up(&t);
	disk_on(&t);
	bus_lock(t.r.b.bus);
	t.disk->configuration = 1;
	bus_unlock(t.r.b.bus);
	bus_dma_write(t.r.b.bus, DATA_AT, cbw, 31);
	qtd(&t, 0, PID_OUT | IOC, 31, DATA_AT);
	queue(&t, QUEUE | 2, 512 << 16 | 0x200, QTDS);
	wr(&t, OP, 0x00080021);
	WAIT(&t, !(token_of(&t, 0) & ACTIVE));
	qtd(&t, 1, PID_IN, 20480, DATA_AT + 0x1000);
	put(&t, QTDS + 64, alt, 2);
	qtd(&t, 3, PID_IN | IOC, 13, DATA_AT + 0x800);
	queue(&t, QUEUE | 2, 512 << 16 | 0x100, QTDS + 64);
	WAIT(&t, !(token_of(&t, 3) & ACTIVE));
	g_assert_cmpint(token_of(&t, 1) >> 16 & 0x7fff, ==, 20480 - 36);
	bus_dma_read(t.r.b.bus, DATA_AT + 0x800, csw, 13);
	g_assert_cmpint(memcmp(csw, "USBS", 4), ==, 0);
	g_assert_cmpint(csw[8] | csw[9] << 8, ==, 0xa000 - 36);
	down(&t);
}

/* The periodic list: a hub tells of a port, in one frame of eight only. */
static void test_periodic(void)
{
	uint32_t itd[16] = {END, ACTIVE << 24 | IOC, 0, ACTIVE << 24};
	uint32_t sitd[7] = {END, 0, 0, 1u << 31 | ACTIVE};
	uint32_t links[3] = {QUEUE | 2, QUEUE + 0x100, QUEUE + 0x204};
	struct usb_device *hub, *kbd;
	struct ehci_rig t;

	up(&t);
	wr(&t, OP + 0x40, 1);
	hub = (struct usb_device *)(void *)board_add(&t.r.b, "usb-hub");
	kbd = (struct usb_device *)(void *)board_add(&t.r.b, "usb-kbd");
	plug(&t, 4, hub);
	set_port(&t, 4, 0x1100);
	set_port(&t, 4, 0x1000);
	bus_lock(t.r.b.bus);
	hub->configuration = 1;
	usb_attach(hub->type->port(hub, 2), kbd);
	bus_unlock(t.r.b.bus);
	qtd(&t, 0, PID_IN | IOC, 2, DATA_AT);
	queue(&t, END, 2 << 16 | 0x2100, QTDS);
	put(&t, QUEUE + 0x100, itd, 16);
	put(&t, QUEUE + 0x200, sitd, 7);
	for (unsigned i = 0; i < 3; i++)
		for (unsigned k = i; k < 1024; k += 8)
			put(&t, FRAMES + 4 * k, &links[i], 1);
	wr(&t, OP, 0x00080011);
	WAIT(&t, !(word(&t, QUEUE + 0x20c) & ACTIVE));
	g_assert_cmphex(token_of(&t, 0) & 0xff, ==, ACTIVE);
	/* isochronous ones find nobody */
	WAIT(&t, word(&t, QUEUE + 0x104) == (1u << 28 | IOC));
	g_assert_cmphex(word(&t, QUEUE + 0x10c), ==, 1u << 28);
	g_assert_cmphex(word(&t, QUEUE + 0x20c), ==, 1u << 31 | 8);
	/* power: then there is a keyboard */
	bus_lock(t.r.b.bus);
	hub->type->control(hub,
		&(struct usb_setup){
			.type = 0x23, .request = 3, .value = 8, .index = 2},
		hub->control, &(uint32_t){0});
	bus_unlock(t.r.b.bus);
	WAIT(&t, !(token_of(&t, 0) & ACTIVE));
	g_assert_cmphex(word(&t, DATA_AT) & 0xff, ==, 4);
	down(&t);
}

/* Lists without an end: time goes on. */
static void test_loops(void)
{
	static const struct {
		uint32_t frame, link, next;
	} rows[] = {
		{QUEUE | 2, QUEUE | 2, END},	     /* to itself */
		{QUEUE | 2, (QUEUE + 64) | 2, QTDS}, /* into the wild */
		{QUEUE | 2, QUEUE | 6, QTDS},	     /* as another type */
		{QUEUE | 0, QUEUE | 0, END},
		{0xffffffe2, 0xffffffe2, 0xffffffe0}, /* no memory */
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
		uint32_t self[8] = {QTDS, QTDS, ACTIVE | PID_IN | 8 << 16};
		struct ehci_rig t;

		up(&t);
		disk_on(&t);
		put(&t, QTDS, self, 8);
		queue(&t, rows[i].link, 64 << 16, rows[i].next);
		for (unsigned k = 0; k < 1024; k++)
			put(&t, FRAMES + 4 * k, &rows[i].frame, 1);
		wr(&t, OP, 0x00080031);
		for (unsigned k = 0; k < 20; k++)
			board_sleep(&t.r.b, 500);
		g_assert_cmphex(rd(&t, OP + 4) & 0x1000, ==, 0);
		down(&t);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/ehci/registers", test_registers);
	g_test_add_func("/ehci/companions", test_companions);
	g_test_add_func("/ehci/control", test_control);
	g_test_add_func("/ehci/errors", test_errors);
	g_test_add_func("/ehci/bulk", test_bulk);
	g_test_add_func("/ehci/periodic", test_periodic);
	g_test_add_func("/ehci/loops", test_loops);
	return g_test_run();
}
