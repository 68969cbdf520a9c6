/* dev-uhci.c - UHCI: registers, ports, queue heads, transfer descriptors,
 * lists that are loops. */
#include "disk-rig.h"

#include "dev/usb/hid.h"
#include "dev/usb/uhci.h"

#define IO	0xc000
#define DEVFN	(2 << 3 | 2)
#define FRAMES	0x10000u
#define QUEUE	0x20000u
#define TDS	0x21000u
#define DATA_AT 0x30000u

#define END	 1u
#define TD_SPD	 (1u << 29)
#define TD_IOC	 (1u << 24)
#define TD_ALIVE (1u << 23)
#define PID_IN	 0x69u
#define PID_OUT	 0xe1u
#define PID_SET	 0x2du

struct uhci_rig {
	struct rig r;
	struct dev *uhci;
	struct usb_device *kbd;
};

static unsigned rd(struct uhci_rig *t, unsigned reg)
{
	return bus_io_read(t->r.b.bus, IO + reg, 2);
}

static void wr(struct uhci_rig *t, unsigned reg, unsigned val)
{
	bus_io_write(t->r.b.bus, IO + reg, 2, val);
}

static void put(struct uhci_rig *t, uint32_t at, uint32_t a, uint32_t b,
	uint32_t c, uint32_t d)
{
	uint32_t w[4] = {a, b, c, d};

	bus_dma_write(t->r.b.bus, at, w, sizeof(w));
}

static uint32_t word(struct uhci_rig *t, uint32_t at)
{
	uint32_t w;

	bus_dma_read(t->r.b.bus, at, &w, 4);
	return w;
}

static uint32_t token(unsigned pid, unsigned address, unsigned ep, unsigned len)
{
	return pid | address << 8 | ep << 15 | ((len - 1) & 0x7ff) << 21;
}

static void frames(struct uhci_rig *t, uint32_t link)
{
	for (unsigned i = 0; i < 1024; i++)
		bus_dma_write(t->r.b.bus, FRAMES + 4 * i, &link, 4);
}

static void up(struct uhci_rig *t)
{
	rig_init(&t->r);
	t->r.b.host.pci_slot = 2;
	t->uhci = board_add(&t->r.b, "uhci");
	t->kbd = (struct usb_device *)(void *)board_add(&t->r.b, "usb-kbd");
	bus_lock(t->r.b.bus);
	pci_config_write(t->r.b.host.pci, 0, DEVFN, 0x20, 4, IO);
	pci_config_write(t->r.b.host.pci, 0, DEVFN, 4, 2, 5);
	g_assert_cmpint(usb_attach(uhci_port(t->uhci, 1), t->kbd), ==, 0);
	bus_unlock(t->r.b.bus);
	frames(t, END);
	wr(t, 8, FRAMES & 0xffff);
	wr(t, 10, FRAMES >> 16);
	wr(t, 4, 15);
}

static void down(struct uhci_rig *t)
{
	board_fini(&t->r.b);
}

static void port_on(struct uhci_rig *t)
{
	wr(t, 0x12, 0x200);
	wr(t, 0x12, 0);
	wr(t, 0x12, 0xe);
	g_assert_cmphex(rd(t, 0x12) & 0xf, ==, 5);
}

#define WAIT(t, condition)                                                     \
	do {                                                                   \
		for (unsigned tries = 0; !(condition) && tries < 5000;         \
			tries++)                                               \
			board_sleep(&(t)->r.b, 200);                           \
		g_assert_true(condition);                                      \
	} while (0)

/* ---- tests ---- */

static void test_registers(void)
{
	struct uhci_rig t;

	up(&t);
	g_assert_cmphex(rd(&t, 0), ==, 0);
	g_assert_cmphex(rd(&t, 2), ==, 0x20);
	g_assert_cmphex(rd(&t, 6), ==, 0);
	g_assert_cmphex(rd(&t, 0xc) & 0xff, ==, 0x40);
	g_assert_cmphex(rd(&t, 0x10), ==, 0x80);
	g_assert_cmphex(rd(&t, 0x12), ==, 0x93); /* full speed, connected */
	g_assert_cmphex(rd(&t, 0x14), ==, 0xff7f);
	bus_lock(t.r.b.bus);
	g_assert_cmphex(pci_config_read(t.r.b.host.pci, 0, DEVFN, 0, 4), ==,
		0x70208086);
	g_assert_cmphex(pci_config_read(t.r.b.host.pci, 0, DEVFN, 8, 4), ==,
		0x0c030000);
	g_assert_cmphex(
		pci_config_read(t.r.b.host.pci, 0, DEVFN, 0x60, 1), ==, 0x10);
	g_assert_cmphex(
		pci_config_read(t.r.b.host.pci, 0, DEVFN, 0xc0, 2), ==, 0x2000);
	bus_unlock(t.r.b.bus);
	/* an empty port is not enabled, changes are cleared by ones */
	wr(&t, 0x10, 4);
	g_assert_cmphex(rd(&t, 0x10), ==, 0x80);
	wr(&t, 0x12, 2);
	g_assert_cmphex(rd(&t, 0x12), ==, 0x91);
	port_on(&t);
	/* the frame number goes on from where it is set */
	wr(&t, 6, 0x7f0);
	wr(&t, 0, 1);
	g_assert_cmphex(rd(&t, 2), ==, 0);
	WAIT(&t, rd(&t, 6) < 0x7f0);
	wr(&t, 0, 0);
	g_assert_cmphex(rd(&t, 2), ==, 0x20);
	wr(&t, 0, 2);
	g_assert_cmphex(rd(&t, 0x12), ==, 0x93);
	g_assert_cmphex(rd(&t, 6), ==, 0);
	down(&t);
}

/* GET_DESCRIPTOR in TDs of a queue: setup, three of data, status. */
static void test_control(void)
{
	static const uint8_t setup[8] = {0x80, 6, 0, 1, 0, 0, 64, 0};
	struct uhci_rig t;
	uint8_t d[18];

	up(&t);
	port_on(&t);
	bus_dma_write(t.r.b.bus, DATA_AT, setup, 8);
	put(&t, TDS, (TDS + 16) | 4, TD_ALIVE, token(PID_SET, 0, 0, 8),
		DATA_AT);
	for (unsigned i = 1; i <= 3; i++)
		put(&t, TDS + 16 * i, (TDS + 16 * i + 16) | 4,
			TD_ALIVE | TD_SPD, token(PID_IN, 0, 0, 8),
			DATA_AT + 8 * i);
	put(&t, TDS + 64, END, TD_ALIVE | TD_IOC, token(PID_OUT, 0, 0, 0), 0);
	put(&t, QUEUE, END, TDS, 0, 0);
	frames(&t, QUEUE | 2);
	wr(&t, 0, 1);
	/* two bytes in the third: short, the queue stops there */
	WAIT(&t, rd(&t, 2) & 1);
	g_assert_cmphex(word(&t, TDS + 4), ==, 7);
	g_assert_cmphex(word(&t, TDS + 20), ==, TD_SPD | 7);
	g_assert_cmphex(word(&t, TDS + 52), ==, TD_SPD | 1);
	g_assert_cmphex(word(&t, QUEUE + 4) & ~15u, ==, TDS + 48);
	g_assert_cmphex(word(&t, TDS + 68), ==, TD_ALIVE | TD_IOC);
	bus_dma_read(t.r.b.bus, DATA_AT + 8, d, 18);
	g_assert_cmpint(d[0], ==, 18);
	g_assert_cmphex(d[8] | d[9] << 8, ==, 0x1209);
	/* the driver goes on with the status stage */
	wr(&t, 2, 1);
	put(&t, QUEUE, END, TDS + 64, 0, 0);
	WAIT(&t, rd(&t, 2) & 1);
	g_assert_cmphex(word(&t, TDS + 68), ==, TD_IOC | 0x7ff);
	g_assert_cmphex(word(&t, QUEUE + 4), ==, END);
	down(&t);
}

/* What goes wrong with one TD: its status, the controller's. */
static void test_errors(void)
{
	static const struct {
		uint32_t token_pid, address, ep, len, td, status;
	} rows[] = {
		{PID_IN, 9, 0, 8, 0x00440000, 2},  /* nobody there */
		{PID_IN, 0, 5, 8, 0x00400000, 2},  /* no such endpoint */
		{0x33, 0, 0, 8, 0x00800000, 0x30}, /* no such token */
		{PID_IN, 0, 0, 1281, 0x00800000, 0x30},
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
		struct uhci_rig t;

		up(&t);
		port_on(&t);
		put(&t, TDS, END, TD_ALIVE | 3u << 27,
			token(rows[i].token_pid, rows[i].address, rows[i].ep,
				rows[i].len),
			DATA_AT);
		put(&t, QUEUE, END, TDS, 0, 0);
		frames(&t, QUEUE | 2);
		wr(&t, 0, 1);
		WAIT(&t, rd(&t, 2));
		g_assert_cmphex(rd(&t, 2), ==, rows[i].status);
		g_assert_cmphex(word(&t, TDS + 4) & 0x00fe0000, ==, rows[i].td);
		down(&t);
	}
}

/* An interrupt endpoint: NAK until a key is pressed, however long the
 * controller has seen nothing. */
static void test_interrupt(void)
{
	struct uhci_rig t;
	uint8_t report[8];

	up(&t);
	port_on(&t);
	bus_lock(t.r.b.bus);
	t.kbd->configuration = 1;
	bus_unlock(t.r.b.bus);
	put(&t, TDS, END, TD_ALIVE | TD_IOC | TD_SPD, token(PID_IN, 0, 1, 16),
		DATA_AT);
	put(&t, QUEUE, END, TDS, 0, 0);
	/* in one frame of eight only */
	for (unsigned i = 5; i < 1024; i += 8) {
		uint32_t link = QUEUE | 2;

		bus_dma_write(t.r.b.bus, FRAMES + 4 * i, &link, 4);
	}
	wr(&t, 0, 1);
	board_sleep(&t.r.b, 30000);
	g_assert_cmphex(word(&t, TDS + 4) & ~0x7ffu, ==,
		TD_ALIVE | TD_IOC | TD_SPD | 1u << 19);
	bus_lock(t.r.b.bus);
	usb_kbd_key(&t.kbd->dev, 0x1e, true);
	bus_unlock(t.r.b.bus);
	WAIT(&t, rd(&t, 2) & 1);
	g_assert_cmphex(word(&t, TDS + 4), ==, TD_IOC | TD_SPD | 14);
	bus_dma_read(t.r.b.bus, DATA_AT, report, 8);
	g_assert_cmpint(report[1], ==, 1);
	down(&t);
}

/* Unplugged and plugged in again; suspended it asks to be woken. */
static void test_plug(void)
{
	struct uhci_rig t;

	up(&t);
	port_on(&t);
	bus_lock(t.r.b.bus);
	usb_detach(t.kbd);
	bus_unlock(t.r.b.bus);
	g_assert_cmphex(rd(&t, 0x12), ==, 0x8a);
	wr(&t, 0x12, 10);
	wr(&t, 0, 8); /* global suspend */
	bus_lock(t.r.b.bus);
	usb_attach(uhci_port(t.uhci, 0), t.kbd);
	bus_unlock(t.r.b.bus);
	g_assert_cmphex(rd(&t, 0x10) & 3, ==, 3);
	g_assert_cmphex(rd(&t, 2), ==, 0x24);
	g_assert_cmphex(rd(&t, 0), ==, 0x18);
	down(&t);
}

/* Lists without an end: time goes on, and other requests are served. */
static void test_loops(void)
{
	static const struct {
		uint32_t first, queue[2], td;
	} rows[] = {
		{QUEUE | 2, {QUEUE | 2, END}, END},	  /* to itself */
		{QUEUE | 2, {QUEUE | 2, QUEUE | 2}, END}, /* in itself */
		{QUEUE | 2, {QUEUE | 2, TDS}, TDS | 4},	  /* a TD to itself */
		{TDS, {END, END}, TDS}, {TDS, {QUEUE | 2, END}, QUEUE | 2},
		{0xfffffff0, {END, END}, END}, /* no memory */
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
		struct uhci_rig t;

		up(&t);
		port_on(&t);
		put(&t, TDS, rows[i].td, TD_ALIVE, token(PID_IN, 0, 0, 8),
			DATA_AT);
		put(&t, QUEUE, rows[i].queue[0], rows[i].queue[1], 0, 0);
		frames(&t, rows[i].first);
		wr(&t, 0, 1);
		WAIT(&t, rd(&t, 6) > 3);
		down(&t);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/uhci/registers", test_registers);
	g_test_add_func("/uhci/control", test_control);
	g_test_add_func("/uhci/errors", test_errors);
	g_test_add_func("/uhci/interrupt", test_interrupt);
	g_test_add_func("/uhci/plug", test_plug);
	g_test_add_func("/uhci/loops", test_loops);
	return g_test_run();
}
