/* dev-legacy.c - parallel port and game port. */
#include "dev-board.h"
#include "dev/chardev.h"
#include "dev/input/gameport.h"
#include "disk-rig.h"

#define LPT 0x378

/* A printer that takes so many bytes. */
struct printer {
	struct dev_chardev chr;
	uint8_t got[64];
	size_t n, room;
};

static size_t printer_write(
	struct dev_chardev *c, const uint8_t *buf, size_t len)
{
	struct printer *p = (struct printer *)c;

	len = MIN(len, p->room - p->n);
	memcpy(p->got + p->n, buf, len);
	p->n += len;
	return len;
}

static void lpt_open(struct rig *r, struct printer *p)
{
	rig_init(r);
	*p = (struct printer){.chr.write = printer_write, .room = 64};
	r->b.host.chr = &p->chr;
	board_add(&r->b, "lpt");
}

/* As a BIOS does it. */
static void print(struct rig *r, uint8_t byte)
{
	outb(&r->b, LPT, byte);
	outb(&r->b, LPT + 2, 0x0d);
	outb(&r->b, LPT + 2, 0x0c);
}

static void test_spp(void)
{
	struct printer p;
	struct rig r;

	lpt_open(&r, &p);
	g_assert_cmphex(inb(&r.b, LPT + 1), ==, 0xde); /* ready */
	g_assert_cmphex(inb(&r.b, LPT + 2), ==, 0xcc);
	print(&r, 'a');
	outb(&r.b, LPT, 0x55);
	g_assert_cmphex(inb(&r.b, LPT), ==, 0x55);
	g_assert_cmpmem(p.got, p.n, "a", 1);
	/* an acknowledge interrupts if it may */
	g_assert_cmpuint(r.rises[7], ==, 0);
	outb(&r.b, LPT + 2, 0x1c);
	outb(&r.b, LPT + 2, 0x1d);
	g_assert_cmpuint(r.rises[7], ==, 1);
	outb(&r.b, LPT + 2, 0x1c);
	/* the host takes no more: busy, and nothing is lost */
	p.room = p.n;
	print(&r, 'b');
	g_assert_cmphex(inb(&r.b, LPT + 1), ==, 0x5e);
	print(&r, 'c'); /* a guest that does not look */
	p.room = 64;
	bus_lock(r.b.bus);
	p.chr.writable(p.chr.opaque);
	bus_unlock(r.b.bus);
	g_assert_cmphex(inb(&r.b, LPT + 1), ==, 0xde);
	g_assert_cmpmem(p.got, p.n,
		"a\x55"
		"b",
		3);
	/* in reset it is busy, too */
	outb(&r.b, LPT + 2, 0x08);
	g_assert_cmphex(inb(&r.b, LPT + 1) & 0x80, ==, 0);
	board_fini(&r.b);
}

/* Nobody there. */
static void test_empty(void)
{
	struct rig r;

	rig_init(&r);
	board_add(&r.b, "lpt");
	g_assert_cmphex(inb(&r.b, LPT + 1), ==, 0x7e);
	print(&r, 'a');
	g_assert_cmphex(inb(&r.b, LPT + 1), ==, 0x7e);
	board_fini(&r.b);
}

static void test_ecp(void)
{
	struct printer p;
	struct rig r;
	unsigned n;

	lpt_open(&r, &p);
	g_assert_cmphex(inb(&r.b, LPT + 0x402), ==, 0x01);
	/* as Linux looks for it */
	outb(&r.b, LPT + 0x402, 0x34);
	g_assert_cmphex(inb(&r.b, LPT + 0x402), ==, 0x35);
	/* how deep is the FIFO? */
	outb(&r.b, LPT + 0x402, 0xd4);
	for (n = 0; !(inb(&r.b, LPT + 0x402) & 2) && n < 100; n++)
		outb(&r.b, LPT + 0x400, (uint8_t)n);
	g_assert_cmpuint(n, ==, 16);
	for (n = 0; !(inb(&r.b, LPT + 0x402) & 1) && n < 100; n++)
		g_assert_cmphex(inb(&r.b, LPT + 0x400), ==, n);
	g_assert_cmpuint(n, ==, 16);
	g_assert_cmpuint(p.n, ==, 0);
	/* its threshold: eight taken out */
	for (n = 0; n < 16; n++)
		outb(&r.b, LPT + 0x400, 0);
	outb(&r.b, LPT + 0x402, 0xd0);
	for (n = 0; !(inb(&r.b, LPT + 0x402) & 4) && n < 100; n++)
		inb(&r.b, LPT + 0x400);
	g_assert_cmpuint(n, ==, 8);
	/* configuration: interrupt 7 */
	outb(&r.b, LPT + 0x402, 0xf4);
	g_assert_cmphex(inb(&r.b, LPT + 0x400), ==, 0x14);
	g_assert_cmphex(inb(&r.b, LPT + 0x401), ==, 0x08);
	/* data by the FIFO */
	outb(&r.b, LPT + 0x402, 0x34);
	outb(&r.b, LPT + 0x402, 0x54);
	for (n = 0; n < 3; n++)
		outb(&r.b, LPT + 0x400, (uint8_t)('x' + n));
	outb(&r.b, LPT + 0x402, 0x34);
	outb(&r.b, LPT + 0x402, 0x74);
	outb(&r.b, LPT + 0x400, '!');
	g_assert_cmpmem(p.got, p.n, "xyz!", 4);
	/* EPP; what is read times out, until it is taken back */
	outb(&r.b, LPT + 0x402, 0x94);
	outb(&r.b, LPT + 4, 'e');
	outb(&r.b, LPT + 3, 'p');
	g_assert_cmpmem(p.got, p.n, "xyz!ep", 6);
	g_assert_cmphex(inb(&r.b, LPT + 1) & 1, ==, 0);
	g_assert_cmphex(inb(&r.b, LPT + 4), ==, 0xff);
	g_assert_cmphex(inb(&r.b, LPT + 1) & 1, ==, 1);
	outb(&r.b, LPT + 1, 1);
	g_assert_cmphex(inb(&r.b, LPT + 1) & 1, ==, 0);
	board_fini(&r.b);
}

static void test_gameport(void)
{
	struct board b;
	struct dev *d;
	unsigned n;

	board_init(&b, 1);
	d = board_add(&b, "gameport");
	g_assert_cmphex(inb(&b, 0x201), ==, 0xf0);
	bus_lock(b.bus);
	gameport_set(d, (const int[]){0, 255, 500, -7}, 5);
	bus_unlock(b.bus);
	outb(&b, 0x201, 0xff);
	/* Reads take a microsecond each, or longer: the host may keep us. */
	for (n = 0; (inb(&b, 0x201) & 3) == 3; n++)
		;
	g_assert_cmpuint(n, <=, 24);
	for (n = 0; inb(&b, 0x201) & 2; n++)
		;
	g_assert_cmpuint(n, <=, 1100);
	board_sleep(&b, 2000);
	/* the fourth axis is not there; buttons 1 and 3 */
	g_assert_cmphex(inb(&b, 0x201), ==, 0xa8);
	board_fini(&b);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/legacy/lpt/spp", test_spp);
	g_test_add_func("/legacy/lpt/empty", test_empty);
	g_test_add_func("/legacy/lpt/ecp", test_ecp);
	g_test_add_func("/legacy/gameport", test_gameport);
	return g_test_run();
}
