/* dev-serial.c - 16550 and debug port. */
#include "dev-board.h"
#include "dev/chardev.h"
#include "dev/misc/irq_lines.h"
#include "dev/state.h"

struct wire {
	struct dev_chardev chr;
	char out[256];
	size_t nout, room;
	unsigned asked;
};

static size_t wire_write(struct dev_chardev *c, const uint8_t *buf, size_t len)
{
	struct wire *w = c->owner;

	len = MIN(len, w->room);
	memcpy(w->out + w->nout, buf, len);
	w->nout += len;
	w->room -= len;
	return len;
}

static void wire_accept(struct dev_chardev *c)
{
	((struct wire *)c->owner)->asked++;
}

static void serial_init(struct board *b, struct wire *w)
{
	memset(w, 0, sizeof(*w));
	w->chr.write = wire_write;
	w->chr.accept_input = wire_accept;
	w->chr.owner = w;
	w->room = 200;
	board_init(b, 1);
	b->host.chr = &w->chr;
	board_add(b, "uart16550");
	/* the 8259 tells of line 4 */
	outb(b, 0x20, 0x13);
	outb(b, 0x21, 0x20);
	outb(b, 0x21, 0x01);
	outb(b, 0x21, 0x00);
	bus_cpu_wrmsr(bus_cpu_at(b->bus, 0), 0x1b, 0xfee00100);
}

static void type(struct board *b, struct wire *w, const char *s)
{
	size_t n = strlen(s);

	bus_lock(b->bus);
	g_assert_cmpuint(w->chr.can_receive(w->chr.opaque), >=, n);
	w->chr.receive(w->chr.opaque, (const uint8_t *)s, n);
	bus_unlock(b->bus);
}

static size_t room(struct board *b, struct wire *w)
{
	size_t n;

	bus_lock(b->bus);
	n = w->chr.can_receive(w->chr.opaque);
	bus_unlock(b->bus);
	return n;
}

static void test_transmit(void)
{
	struct board b;
	struct wire w;

	serial_init(&b, &w);
	g_assert_cmphex(inb(&b, 0x3fd), ==, 0x60);
	outb(&b, 0x3f8, 'h');
	outb(&b, 0x3f8, 'i');
	g_assert_cmpmem(w.out, w.nout, "hi", 2);
	/* the host is slow: THRE stays low, nothing is lost */
	w.room = 0;
	outb(&b, 0x3f8, '!');
	g_assert_cmphex(inb(&b, 0x3fd), ==, 0x00);
	w.room = 10;
	bus_lock(b.bus);
	w.chr.writable(w.chr.opaque);
	bus_unlock(b.bus);
	g_assert_cmphex(inb(&b, 0x3fd), ==, 0x60);
	g_assert_cmpmem(w.out, w.nout, "hi!", 3);
	board_fini(&b);
}

static void test_thre_interrupt(void)
{
	struct board b;
	struct wire w;

	serial_init(&b, &w);
	g_assert_cmphex(inb(&b, 0x3fa), ==, 0x01);
	outb(&b, 0x3f9, 0x02);
	g_assert_false(board_intr(&b, 0)); /* OUT2 gates it */
	outb(&b, 0x3fc, 0x08);
	g_assert_cmpint(board_ack(&b, 0), ==, 0x24);
	g_assert_cmphex(inb(&b, 0x3fa), ==, 0x02);
	g_assert_cmphex(inb(&b, 0x3fa), ==, 0x01); /* reading cleared it */
	outb(&b, 0x20, 0x20);
	outb(&b, 0x3f8, 'x');
	g_assert_cmpint(board_ack(&b, 0), ==, 0x24);
	g_assert_cmphex(inb(&b, 0x3fa), ==, 0x02);
	board_fini(&b);
}

static void test_receive(void)
{
	struct board b;
	struct wire w;

	serial_init(&b, &w);
	outb(&b, 0x3fc, 0x0b);
	outb(&b, 0x3fa, 0x81); /* FIFO, trigger at 8 */
	outb(&b, 0x3f9, 0x01);
	g_assert_cmpuint(room(&b, &w), ==, 16);
	type(&b, &w, "abc");
	g_assert_cmphex(inb(&b, 0x3fa), ==, 0xc1); /* below the level */
	g_assert_cmphex(inb(&b, 0x3fd), ==, 0x61);
	board_sleep(&b, 1000);
	g_assert_cmphex(inb(&b, 0x3fa), ==, 0xcc); /* timeout */
	g_assert_true(board_intr(&b, 0));
	g_assert_cmpint(inb(&b, 0x3f8), ==, 'a');
	g_assert_cmphex(inb(&b, 0x3fa), ==, 0xc1);
	type(&b, &w, "defghi");
	g_assert_cmphex(inb(&b, 0x3fa), ==, 0xc4);
	for (const char *p = "bcdefghi"; *p; p++)
		g_assert_cmpint(inb(&b, 0x3f8), ==, *p);
	g_assert_cmphex(inb(&b, 0x3fd), ==, 0x60);
	g_assert_cmpuint(w.asked, >, 0);
	board_fini(&b);
}

/* A driver that starts resets the FIFO; what was typed is not lost. */
static void test_fifo_reset_keeps_input(void)
{
	struct board b;
	struct wire w;

	serial_init(&b, &w);
	outb(&b, 0x3fa, 0x01);
	type(&b, &w, "early");
	outb(&b, 0x3fa, 0x07);
	g_assert_cmphex(inb(&b, 0x3fd), ==, 0x60);
	inb(&b, 0x3f8);
	g_assert_cmpuint(room(&b, &w), ==, 0); /* order is kept */
	board_sleep(&b, 3000);
	for (const char *p = "early"; *p; p++)
		g_assert_cmpint(inb(&b, 0x3f8), ==, *p);
	g_assert_cmphex(inb(&b, 0x3fd), ==, 0x60);
	board_fini(&b);
}

static void test_loopback(void)
{
	struct board b;
	struct wire w;

	serial_init(&b, &w);
	outb(&b, 0x3fc, 0x10);
	g_assert_cmphex(inb(&b, 0x3fe) & 0xf0, ==, 0x00);
	inb(&b, 0x3fe);
	outb(&b, 0x3fc, 0x1a); /* RTS, OUT2 -> CTS, DCD */
	g_assert_cmphex(inb(&b, 0x3fe), ==, 0x99);
	g_assert_cmphex(inb(&b, 0x3fe), ==, 0x90);
	outb(&b, 0x3f8, 0xa5);
	g_assert_cmphex(inb(&b, 0x3fd), ==, 0x61);
	g_assert_cmphex(inb(&b, 0x3f8), ==, 0xa5);
	g_assert_cmpuint(w.nout, ==, 0);
	/* overrun without FIFO */
	outb(&b, 0x3f8, 1);
	outb(&b, 0x3f8, 2);
	g_assert_cmphex(inb(&b, 0x3fd), ==, 0x63);
	g_assert_cmphex(inb(&b, 0x3f8), ==, 2);
	board_fini(&b);
}

static void test_registers(void)
{
	struct board b;
	struct wire w;

	serial_init(&b, &w);
	outb(&b, 0x3ff, 0x5a);
	g_assert_cmphex(inb(&b, 0x3ff), ==, 0x5a);
	outb(&b, 0x3f9, 0xff);
	g_assert_cmphex(inb(&b, 0x3f9), ==, 0x0f);
	outb(&b, 0x3fb, 0x80);
	outb(&b, 0x3f8, 0x01);
	outb(&b, 0x3f9, 0x02);
	g_assert_cmphex(inb(&b, 0x3f8), ==, 0x01);
	g_assert_cmphex(inb(&b, 0x3f9), ==, 0x02);
	outb(&b, 0x3fb, 0x03);
	g_assert_cmphex(inb(&b, 0x3f9), ==, 0x0f);
	outb(&b, 0x3fc, 0xff);
	g_assert_cmphex(inb(&b, 0x3fc), ==, 0x1f);
	board_fini(&b);
}

static void test_debugcon(void)
{
	struct board b;
	struct wire w;

	serial_init(&b, &w);
	board_add(&b, "debugcon");
	g_assert_cmphex(inb(&b, 0x402), ==, 0xe9);
	outb(&b, 0x402, 'd');
	g_assert_cmpmem(w.out, w.nout, "d", 1);
	board_fini(&b);
}

/* ---- COM1 and COM3 have one line ---- */

struct shared {
	struct board b;
	struct bus_irq out[BUS_NGSI];
	struct irq_lines *lines;
	struct dev *com[2];
	bool level;
	unsigned edges;
};

static void shared_set(void *opaque, unsigned n, bool level)
{
	struct shared *s = opaque;

	if (n != 4)
		return;
	s->edges += level && !s->level;
	s->level = level;
}

static void shared_init(struct shared *s)
{
	memset(s, 0, sizeof(*s));
	board_init(&s->b, 1);
	for (unsigned n = 0; n < BUS_NGSI; n++)
		s->out[n] = (struct bus_irq){shared_set, s, n};
	s->lines = irq_lines_new(s->out);
	for (unsigned i = 0; i < 2; i++) {
		s->b.host.index = 2 * i;
		s->b.host.gsi = irq_lines_add(s->lines);
		s->com[i] = board_add(&s->b, "uart16550");
		outb(&s->b, i ? 0x3ec : 0x3fc, 0x08);
	}
}

static void shared_fini(struct shared *s)
{
	board_fini(&s->b);
	irq_lines_free(s->lines);
}

static void test_shared_line(void)
{
	struct shared s;

	shared_init(&s);
	outb(&s.b, 0x3f9, 0x02); /* both want to be told that they can send */
	outb(&s.b, 0x3e9, 0x02);
	g_assert_true(s.level);
	g_assert_cmpuint(s.edges, ==, 1);
	/* the first is served: the other one still holds the line */
	g_assert_cmphex(inb(&s.b, 0x3fa), ==, 0x02);
	g_assert_true(s.level);
	/* no edge by the one while the other is high */
	outb(&s.b, 0x3f9, 0x00);
	outb(&s.b, 0x3f9, 0x02);
	g_assert_cmpuint(s.edges, ==, 1);
	inb(&s.b, 0x3fa);
	inb(&s.b, 0x3ea);
	g_assert_false(s.level);
	/* then the next one makes one */
	outb(&s.b, 0x3e9, 0x00);
	outb(&s.b, 0x3e9, 0x02);
	g_assert_cmpuint(s.edges, ==, 2);
	shared_fini(&s);
}

static void shared_copy(struct shared *from, struct shared *to)
{
	for (unsigned i = 0; i < 2; i++) {
		g_autoptr(GByteArray) a = g_byte_array_new();
		char err[128] = "";
		struct state_in in = {
			.bus = to->b.bus, .err = err, .errsize = 128};

		bus_lock(from->b.bus);
		g_assert_cmpint(dev_save(from->com[i], a, err, 128), ==, 0);
		bus_unlock(from->b.bus);
		in.p = a->data;
		in.n = a->len;
		bus_lock(to->b.bus);
		g_assert_cmpint(dev_load(to->com[i], &in), ==, 0);
		bus_unlock(to->b.bus);
	}
}

/* The controller has its level; lines know again who drives them. */
static void test_shared_state(void)
{
	struct shared a, b;

	shared_init(&a);
	outb(&a.b, 0x3f9, 0x02);
	outb(&a.b, 0x3e9, 0x02);
	shared_init(&b);
	shared_copy(&a, &b);
	g_assert_cmpuint(b.edges, ==, 0);
	b.level = true;
	inb(&b.b, 0x3fa);
	g_assert_true(b.level);
	inb(&b.b, 0x3ea);
	g_assert_false(b.level);
	shared_fini(&a);
	shared_fini(&b);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/uart/transmit", test_transmit);
	g_test_add_func("/uart/thre", test_thre_interrupt);
	g_test_add_func("/uart/receive", test_receive);
	g_test_add_func("/uart/fifo-reset", test_fifo_reset_keeps_input);
	g_test_add_func("/uart/loopback", test_loopback);
	g_test_add_func("/uart/registers", test_registers);
	g_test_add_func("/uart/shared-line", test_shared_line);
	g_test_add_func("/uart/shared-state", test_shared_state);
	g_test_add_func("/debugcon", test_debugcon);
	return g_test_run();
}
