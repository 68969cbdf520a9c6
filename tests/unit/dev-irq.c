/* dev-irq.c - 8259 pair, I/O APIC and local APICs. */
#include "dev-board.h"

#define APIC_BASE    0x1b
#define TSC_DEADLINE 0x6e0
#define LAPIC(reg)   (0xfee00000ull + (reg))
#define IOAPIC(reg)  (0xfec00000ull + (reg))

static struct bus_cpu *cpu(struct board *b, unsigned n)
{
	return bus_cpu_at(b->bus, n);
}

static uint32_t apic_read(struct board *b, unsigned n, unsigned reg)
{
	return bus_mmio_read(b->bus, cpu(b, n), LAPIC(reg), 4);
}

static void apic_write(struct board *b, unsigned n, unsigned reg, uint32_t val)
{
	bus_mmio_write(b->bus, cpu(b, n), LAPIC(reg), 4, val);
}

static void apic_enable(struct board *b, unsigned n)
{
	apic_write(b, n, 0xf0, 0x1ff);
}

static bool wrmsr(struct board *b, unsigned n, uint32_t msr, uint64_t val)
{
	return bus_cpu_wrmsr(cpu(b, n), msr, val);
}

static bool rdmsr(struct board *b, unsigned n, uint32_t msr, uint64_t *val)
{
	return bus_cpu_rdmsr(cpu(b, n), msr, val);
}

static void ioapic_set_rte(struct board *b, unsigned pin, uint64_t rte)
{
	bus_mmio_write(b->bus, NULL, IOAPIC(0), 4, 0x11 + 2 * pin);
	bus_mmio_write(b->bus, NULL, IOAPIC(0x10), 4, rte >> 32);
	bus_mmio_write(b->bus, NULL, IOAPIC(0), 4, 0x10 + 2 * pin);
	bus_mmio_write(b->bus, NULL, IOAPIC(0x10), 4, rte);
}

static uint32_t ioapic_reg(struct board *b, unsigned reg)
{
	bus_mmio_write(b->bus, NULL, IOAPIC(0), 4, reg);
	return bus_mmio_read(b->bus, NULL, IOAPIC(0x10), 4);
}

static void pic_setup(struct board *b)
{
	static const struct {
		uint16_t port;
		uint8_t val;
	} seq[] = {
		{0x20, 0x11},
		{0x21, 0x20},
		{0x21, 0x04},
		{0x21, 0x01},
		{0xa0, 0x11},
		{0xa1, 0x28},
		{0xa1, 0x02},
		{0xa1, 0x01},
		{0x21, 0x00},
		{0xa1, 0x00},
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(seq); i++)
		outb(b, seq[i].port, seq[i].val);
	/* local APIC off: the 8259 drives the processor itself */
	g_assert_true(wrmsr(b, 0, APIC_BASE, 0xfee00100));
}

/* ---- 8259 ---- */

static void test_pic_basic(void)
{
	struct board b;

	board_init(&b, 1);
	pic_setup(&b);
	g_assert_false(board_intr(&b, 0));
	board_irq(&b, 4, true);
	g_assert_true(board_intr(&b, 0));
	g_assert_cmpint(board_ack(&b, 0), ==, 0x24);
	g_assert_false(board_intr(&b, 0));
	/* lower priority waits, higher interrupts */
	board_irq(&b, 5, true);
	g_assert_false(board_intr(&b, 0));
	board_irq(&b, 1, true);
	g_assert_cmpint(board_ack(&b, 0), ==, 0x21);
	outb(&b, 0x20, 0x0b);
	g_assert_cmphex(inb(&b, 0x20), ==, 0x12); /* ISR */
	outb(&b, 0x20, 0x0a);
	g_assert_cmphex(inb(&b, 0x20), ==, 0x20); /* IRR */
	outb(&b, 0x20, 0x20);
	outb(&b, 0x20, 0x20);
	g_assert_cmpint(board_ack(&b, 0), ==, 0x25);
	outb(&b, 0x20, 0x65); /* specific EOI */
	/* an edge does not repeat */
	g_assert_false(board_intr(&b, 0));
	board_fini(&b);
}

static void test_pic_cascade(void)
{
	struct board b;

	board_init(&b, 1);
	pic_setup(&b);
	board_irq(&b, 14, true);
	g_assert_cmpint(board_ack(&b, 0), ==, 0x2e);
	/* a better one of the secondary does not pass the cascade in ISR
	 * without special fully nested mode */
	board_irq(&b, 8, true);
	g_assert_false(board_intr(&b, 0));
	outb(&b, 0xa0, 0x20);
	outb(&b, 0x20, 0x20);
	g_assert_cmpint(board_ack(&b, 0), ==, 0x28);
	outb(&b, 0xa0, 0x20);
	outb(&b, 0x20, 0x20);
	g_assert_false(board_intr(&b, 0));
	board_fini(&b);
}

static void test_pic_level_and_spurious(void)
{
	struct board b;

	board_init(&b, 1);
	pic_setup(&b);
	outb(&b, 0x4d0, 0xff);
	outb(&b, 0x4d1, 0xff);
	g_assert_cmphex(inb(&b, 0x4d0), ==, 0xf8);
	g_assert_cmphex(inb(&b, 0x4d1), ==, 0xde);
	board_irq(&b, 11, true);
	g_assert_cmpint(board_ack(&b, 0), ==, 0x2b);
	outb(&b, 0xa0, 0x20);
	outb(&b, 0x20, 0x20);
	g_assert_cmpint(board_ack(&b, 0), ==, 0x2b); /* still high */
	board_irq(&b, 11, false);
	outb(&b, 0xa0, 0x20);
	outb(&b, 0x20, 0x20);
	g_assert_false(board_intr(&b, 0));
	/* masked before the acknowledge: nothing is left to give */
	board_irq(&b, 11, true);
	outb(&b, 0xa1, 0xff);
	g_assert_false(board_intr(&b, 0));
	board_fini(&b);
}

static void test_pic_modes(void)
{
	struct board b;

	board_init(&b, 1);
	pic_setup(&b);
	/* poll */
	outb(&b, 0x20, 0x0c);
	g_assert_cmphex(inb(&b, 0x20), ==, 0x00);
	board_irq(&b, 3, true);
	outb(&b, 0x20, 0x0c);
	g_assert_cmphex(inb(&b, 0x20), ==, 0x83);
	/* special mask: with 3 in service and masked, 6 gets through */
	outb(&b, 0x21, 0x08);
	board_irq(&b, 6, true);
	g_assert_false(board_intr(&b, 0));
	outb(&b, 0x20, 0x68);
	g_assert_cmpint(board_ack(&b, 0), ==, 0x26);
	outb(&b, 0x20, 0x48);
	outb(&b, 0x20, 0x66);
	outb(&b, 0x20, 0x63);
	/* rotate on specific EOI: after 5 lowest, 6 is highest */
	outb(&b, 0x21, 0x00);
	outb(&b, 0x20, 0xc5);
	board_irq(&b, 6, false);
	board_irq(&b, 1, true);
	board_irq(&b, 6, true);
	g_assert_cmpint(board_ack(&b, 0), ==, 0x26);
	outb(&b, 0x20, 0x20);
	g_assert_cmpint(board_ack(&b, 0), ==, 0x21);
	board_fini(&b);
}

static void test_pic_auto_eoi(void)
{
	struct board b;

	board_init(&b, 1);
	pic_setup(&b);
	outb(&b, 0x20, 0x11);
	outb(&b, 0x21, 0x40);
	outb(&b, 0x21, 0x04);
	outb(&b, 0x21, 0x03);
	board_irq(&b, 0, true);
	g_assert_cmpint(board_ack(&b, 0), ==, 0x40);
	outb(&b, 0x20, 0x0b);
	g_assert_cmphex(inb(&b, 0x20), ==, 0);
	board_fini(&b);
}

/* ---- local APIC ---- */

static void test_lapic_reset(void)
{
	static const struct {
		unsigned reg;
		uint32_t val;
	} want[] = {
		{0x20, 1u << 24},
		{0x30, 0x01050014},
		{0x80, 0},
		{0xa0, 0},
		{0xd0, 0},
		{0xe0, 0xffffffff},
		{0xf0, 0xff},
		{0x100, 0},
		{0x180, 0},
		{0x200, 0},
		{0x280, 0},
		{0x300, 0},
		{0x310, 0},
		{0x320, 0x10000},
		{0x330, 0x10000},
		{0x340, 0x10000},
		{0x350, 0x10000},
		{0x360, 0x10000},
		{0x370, 0x10000},
		{0x380, 0},
		{0x390, 0},
		{0x3e0, 0},
	};
	struct board b;
	uint64_t base;

	board_init(&b, 2);
	for (unsigned i = 0; i < G_N_ELEMENTS(want); i++)
		g_assert_cmphex(apic_read(&b, 1, want[i].reg), ==, want[i].val);
	g_assert_true(rdmsr(&b, 0, APIC_BASE, &base));
	g_assert_cmphex(base, ==, 0xfee00900);
	g_assert_true(rdmsr(&b, 1, APIC_BASE, &base));
	g_assert_cmphex(base, ==, 0xfee00800);
	/* LVT mask bits cannot be cleared while software disabled */
	apic_write(&b, 1, 0x350, 0x700);
	g_assert_cmphex(apic_read(&b, 1, 0x350), ==, 0x10700);
	board_fini(&b);
}

static void test_lapic_priority(void)
{
	struct board b;

	board_init(&b, 1);
	apic_enable(&b, 0);
	apic_write(&b, 0, 0x300, 0x40041); /* self IPIs */
	apic_write(&b, 0, 0x300, 0x40052);
	g_assert_cmpint(board_ack(&b, 0), ==, 0x52);
	g_assert_cmphex(apic_read(&b, 0, 0xa0), ==, 0x50); /* PPR */
	g_assert_false(board_intr(&b, 0));
	apic_write(&b, 0, 0x300, 0x40053); /* same class waits */
	g_assert_false(board_intr(&b, 0));
	apic_write(&b, 0, 0xb0, 0);
	g_assert_cmpint(board_ack(&b, 0), ==, 0x53);
	apic_write(&b, 0, 0xb0, 0);
	bus_cpu_set_tpr(cpu(&b, 0), 4);
	g_assert_cmphex(apic_read(&b, 0, 0x80), ==, 0x40);
	g_assert_false(board_intr(&b, 0));
	apic_write(&b, 0, 0x80, 0x3f);
	g_assert_cmpint(bus_cpu_get_tpr(cpu(&b, 0)), ==, 3);
	g_assert_cmpint(board_ack(&b, 0), ==, 0x41);
	board_fini(&b);
}

static void test_lapic_ipi(void)
{
	struct board b;

	board_init(&b, 4);
	for (unsigned i = 0; i < 4; i++) {
		apic_enable(&b, i);
		apic_write(&b, i, 0xd0, 1u << (24 + i));
	}
	/* physical */
	apic_write(&b, 0, 0x310, 2u << 24);
	apic_write(&b, 0, 0x300, 0x4060);
	g_assert_cmpint(board_ack(&b, 2), ==, 0x60);
	g_assert_false(board_intr(&b, 1) || board_intr(&b, 3));
	/* logical flat */
	apic_write(&b, 0, 0x310, 0xau << 24);
	apic_write(&b, 0, 0x300, 0x4871);
	g_assert_cmpint(board_ack(&b, 1), ==, 0x71);
	g_assert_cmpint(board_ack(&b, 3), ==, 0x71);
	g_assert_false(board_intr(&b, 0) || board_intr(&b, 2));
	/* cluster: 0x1x; CPU 0 in 0x11, CPU 1 in 0x12, CPU 2 in 0x21 */
	for (unsigned i = 0; i < 4; i++)
		apic_write(&b, i, 0xe0, 0x0fffffff);
	apic_write(&b, 0, 0xd0, 0x11000000);
	apic_write(&b, 1, 0xd0, 0x12000000);
	apic_write(&b, 2, 0xd0, 0x21000000);
	apic_write(&b, 3, 0xd0, 0x24000000);
	apic_write(&b, 3, 0x310, 0x13000000);
	apic_write(&b, 3, 0x300, 0x4881);
	g_assert_cmpint(board_ack(&b, 0), ==, 0x81);
	g_assert_cmpint(board_ack(&b, 1), ==, 0x81);
	g_assert_false(board_intr(&b, 2) || board_intr(&b, 3));
	/* all but self */
	apic_write(&b, 1, 0x300, 0xc4091);
	g_assert_true(board_intr(&b, 0) && board_intr(&b, 2));
	g_assert_cmpint(board_ack(&b, 3), ==, 0x91);
	board_fini(&b);
}

static void test_lapic_init_sipi_nmi(void)
{
	struct board b;

	board_init(&b, 2);
	apic_enable(&b, 1);
	apic_write(&b, 1, 0x80, 0x20);
	apic_write(&b, 0, 0x310, 1u << 24);
	apic_write(&b, 0, 0x300, 0x4400);
	g_assert_true(cpu(&b, 1)->events & BUS_EV_NMI);
	apic_write(&b, 0, 0x300, 0xc500); /* INIT, level assert */
	g_assert_true(cpu(&b, 1)->events & BUS_EV_INIT);
	g_assert_cmphex(apic_read(&b, 1, 0x80), ==, 0);
	g_assert_cmphex(apic_read(&b, 1, 0xf0), ==, 0xff);
	g_assert_cmphex(apic_read(&b, 1, 0x20), ==, 1u << 24);
	bus_cpu_clear(cpu(&b, 1), BUS_EV_INIT);
	apic_write(&b, 0, 0x300, 0x8500); /* de-assert */
	g_assert_false(cpu(&b, 1)->events & BUS_EV_INIT);
	apic_write(&b, 0, 0x300, 0x4699);
	g_assert_true(cpu(&b, 1)->events & BUS_EV_SIPI);
	g_assert_cmphex(cpu(&b, 1)->sipi_vector, ==, 0x99);
	board_fini(&b);
}

/* Two NMIs close together are both taken; in a handler one is latched. */
static void test_lapic_nmi_twice(void)
{
	struct board b;
	struct bus_cpu *c;

	board_init(&b, 1);
	c = cpu(&b, 0);
	apic_enable(&b, 0);
	for (unsigned i = 0; i < 3; i++)
		apic_write(&b, 0, 0x300, 0x40400);
	bus_cpu_clear(c, BUS_EV_NMI);
	g_assert_true(c->events & BUS_EV_NMI);
	c->nmi_masked = true;
	apic_write(&b, 0, 0x300, 0x40400);
	bus_cpu_clear(c, BUS_EV_NMI);
	g_assert_false(c->events & BUS_EV_NMI);
	board_fini(&b);
}

static void test_lapic_errors(void)
{
	struct board b;

	board_init(&b, 1);
	apic_enable(&b, 0);
	apic_write(&b, 0, 0x370, 0xfe);
	apic_write(&b, 0, 0x300, 0x40005); /* vector 5 */
	g_assert_cmpint(board_ack(&b, 0), ==, 0xfe);
	g_assert_cmphex(apic_read(&b, 0, 0x280), ==, 0);
	apic_write(&b, 0, 0x280, 0);
	g_assert_cmphex(apic_read(&b, 0, 0x280), ==, 0x20);
	apic_read(&b, 0, 0x40);
	apic_write(&b, 0, 0x280, 0);
	g_assert_cmphex(apic_read(&b, 0, 0x280), ==, 0x80);
	apic_write(&b, 0, 0x280, 0);
	g_assert_cmphex(apic_read(&b, 0, 0x280), ==, 0);
	board_fini(&b);
}

static void test_lapic_base_rules(void)
{
	const uint64_t en = 0x800, ext = 0x400, at = 0xfee00000;
	struct board b;
	uint64_t v;

	board_init(&b, 2);
	g_assert_false(wrmsr(&b, 1, APIC_BASE, at | ext));
	g_assert_false(wrmsr(&b, 1, APIC_BASE, at | en | 1));
	g_assert_false(wrmsr(&b, 1, APIC_BASE, at | en | 1ull << 46));
	g_assert_false(rdmsr(&b, 1, 0x802, &v)); /* not in x2APIC mode */
	g_assert_true(wrmsr(&b, 1, APIC_BASE, at | en | ext));
	g_assert_cmphex(apic_read(&b, 1, 0x30), ==, 0xffffffff);
	g_assert_false(wrmsr(&b, 1, APIC_BASE, at | en));
	g_assert_false(wrmsr(&b, 1, APIC_BASE, at | ext));
	g_assert_true(wrmsr(&b, 1, APIC_BASE, at));
	g_assert_false(wrmsr(&b, 1, APIC_BASE, at | en | ext));
	bus_cpu_set_tpr(cpu(&b, 1), 0xf); /* CR8 works without APIC */
	g_assert_cmpint(bus_cpu_get_tpr(cpu(&b, 1)), ==, 0xf);
	g_assert_true(wrmsr(&b, 1, APIC_BASE, 0xfed40000 | en));
	g_assert_cmphex(bus_mmio_read(b.bus, cpu(&b, 1), 0xfed40030, 4), ==,
		0x01050014);
	g_assert_cmphex(apic_read(&b, 1, 0x30), ==, 0xffffffff);
	g_assert_cmphex(apic_read(&b, 0, 0x30), ==, 0x01050014);
	bus_lock(b.bus);
	intc_set_features(b.intc, 40, false, false);
	bus_unlock(b.bus);
	g_assert_false(wrmsr(&b, 0, APIC_BASE, at | en | ext));
	g_assert_false(rdmsr(&b, 0, TSC_DEADLINE, &v));
	board_fini(&b);
}

static void test_lapic_x2apic(void)
{
	static const uint32_t no_read[] = {
		0x80b, 0x80e, 0x831, 0x83f, 0x80c, 0x809, 0x800, 0x8ff, 0x82f};
	static const uint32_t no_write[] = {0x802, 0x803, 0x80a, 0x80d, 0x80e,
		0x810, 0x818, 0x820, 0x839, 0x831, 0x8ff};
	struct board b;
	uint64_t v;

	board_init(&b, 18);
	for (unsigned i = 0; i < 18; i++) {
		g_assert_true(wrmsr(&b, i, APIC_BASE, 0xfee00c00));
		g_assert_true(wrmsr(&b, i, 0x80f, 0x1ff));
	}
	g_assert_true(rdmsr(&b, 17, 0x802, &v));
	g_assert_cmphex(v, ==, 17);
	g_assert_true(rdmsr(&b, 17, 0x80d, &v));
	g_assert_cmphex(v, ==, 0x10002);
	for (unsigned i = 0; i < G_N_ELEMENTS(no_read); i++)
		g_assert_false(rdmsr(&b, 0, no_read[i], &v));
	for (unsigned i = 0; i < G_N_ELEMENTS(no_write); i++)
		g_assert_false(wrmsr(&b, 0, no_write[i], 0));
	g_assert_false(wrmsr(&b, 0, 0x80b, 1));
	g_assert_true(wrmsr(&b, 0, 0x80b, 0));
	g_assert_false(wrmsr(&b, 0, 0x828, 1));
	g_assert_false(wrmsr(&b, 0, 0x808, 0x100));
	g_assert_false(wrmsr(&b, 0, 0x838, 1ull << 32));
	g_assert_false(wrmsr(&b, 0, 0x830, 1u << 20));
	/* logical: cluster 1, members 0 and 1 */
	g_assert_true(wrmsr(&b, 0, 0x830, 0x10003ull << 32 | 0x840));
	g_assert_cmpint(board_ack(&b, 16), ==, 0x40);
	g_assert_cmpint(board_ack(&b, 17), ==, 0x40);
	g_assert_false(board_intr(&b, 0) || board_intr(&b, 1));
	/* broadcast, self IPI */
	g_assert_true(wrmsr(&b, 0, 0x830, 0xffffffffull << 32 | 0x50));
	for (unsigned i = 0; i < 18; i++)
		g_assert_cmpint(board_ack(&b, i), ==, 0x50);
	g_assert_true(wrmsr(&b, 3, 0x83f, 0x61));
	g_assert_cmpint(board_ack(&b, 3), ==, 0x61);
	board_fini(&b);
}

static void test_lapic_timer(void)
{
	struct board b;
	uint32_t a, c;

	board_init(&b, 1);
	apic_enable(&b, 0);
	apic_write(&b, 0, 0x3e0, 0xb); /* divide by 1 */
	apic_write(&b, 0, 0x320, 0xee);
	apic_write(&b, 0, 0x380, 50000000);
	a = apic_read(&b, 0, 0x390);
	g_assert_cmpuint(a, >, 0);
	board_sleep(&b, 51000);
	g_assert_cmpint(board_ack(&b, 0), ==, 0xee);
	g_assert_cmpuint(apic_read(&b, 0, 0x390), ==, 0);
	apic_write(&b, 0, 0xb0, 0);
	/* a finished one-shot made periodic stays finished */
	apic_write(&b, 0, 0x320, 0x200ee);
	g_assert_cmpuint(apic_read(&b, 0, 0x390), ==, 0);
	apic_write(&b, 0, 0x380, 1000000);
	for (unsigned i = 0; i < 3; i++) {
		board_sleep(&b, 1500);
		g_assert_cmpint(board_ack(&b, 0), ==, 0xee);
		apic_write(&b, 0, 0xb0, 0);
	}
	/* changing the mode does not restart the count */
	apic_write(&b, 0, 0x380, 200000000);
	board_sleep(&b, 1000);
	a = apic_read(&b, 0, 0x390);
	apic_write(&b, 0, 0x320, 0xee);
	c = apic_read(&b, 0, 0x390);
	g_assert_cmpuint(c, <=, a);
	g_assert_cmpuint(c, >, 0);
	g_assert_cmpuint(apic_read(&b, 0, 0x380), ==, 200000000);
	board_fini(&b);
}

static void test_lapic_deadline(void)
{
	struct board b;
	uint64_t v, start;

	board_init(&b, 1);
	apic_enable(&b, 0);
	g_assert_true(wrmsr(&b, 0, TSC_DEADLINE, 5));
	g_assert_true(rdmsr(&b, 0, TSC_DEADLINE, &v));
	g_assert_cmpuint(v, ==, 0); /* not in that mode */
	apic_write(&b, 0, 0x320, 0x400ef);
	g_assert_true(wrmsr(&b, 0, TSC_DEADLINE, __builtin_ia32_rdtsc()));
	g_assert_cmpint(board_ack(&b, 0), ==, 0xef);
	apic_write(&b, 0, 0xb0, 0);
	start = __builtin_ia32_rdtsc();
	g_assert_true(wrmsr(&b, 0, TSC_DEADLINE, start + 5000000));
	g_assert_true(rdmsr(&b, 0, TSC_DEADLINE, &v));
	g_assert_cmpuint(v, ==, start + 5000000);
	while (!board_intr(&b, 0))
		board_sleep(&b, 100);
	g_assert_cmpuint(__builtin_ia32_rdtsc(), >=, start + 5000000);
	g_assert_true(rdmsr(&b, 0, TSC_DEADLINE, &v));
	g_assert_cmpuint(v, ==, 0);
	board_fini(&b);
}

static void test_lapic_extint(void)
{
	struct board b;

	board_init(&b, 2);
	pic_setup(&b);
	g_assert_true(wrmsr(&b, 0, APIC_BASE, 0xfee00900));
	board_irq(&b, 1, true);
	g_assert_false(board_intr(&b, 0)); /* LINT0 masked after reset */
	bus_lock(b.bus);
	intc_virtual_wire(b.intc);
	bus_unlock(b.bus);
	g_assert_true(board_intr(&b, 0));
	g_assert_false(board_intr(&b, 1));
	g_assert_cmpint(board_ack(&b, 0), ==, 0x21);
	g_assert_cmphex(apic_read(&b, 0, 0x110), ==, 0); /* not in ISR */
	bus_lock(b.bus);
	intc_nmi(b.intc);
	bus_unlock(b.bus);
	g_assert_true(cpu(&b, 0)->events & BUS_EV_NMI);
	g_assert_false(cpu(&b, 1)->events & BUS_EV_NMI);
	board_fini(&b);
}

/* ---- I/O APIC and MSI ---- */

static void test_ioapic_registers(void)
{
	struct board b;

	board_init(&b, 1);
	g_assert_cmphex(ioapic_reg(&b, 1), ==, 0x00170020);
	bus_mmio_write(b.bus, NULL, IOAPIC(0), 4, 0);
	bus_mmio_write(b.bus, NULL, IOAPIC(0x10), 4, 0xffffffff);
	g_assert_cmphex(ioapic_reg(&b, 0), ==, 0x0f000000);
	g_assert_cmphex(ioapic_reg(&b, 2), ==, 0x0f000000);
	g_assert_cmphex(ioapic_reg(&b, 0x10), ==, 0x10000);
	ioapic_set_rte(&b, 3, ~0ull);
	g_assert_cmphex(ioapic_reg(&b, 0x16), ==, 0x1afff);
	g_assert_cmphex(ioapic_reg(&b, 0x17), ==, 0xff000000);
	board_fini(&b);
}

static void test_ioapic_edge_and_level(void)
{
	struct board b;

	board_init(&b, 2);
	apic_enable(&b, 0);
	apic_enable(&b, 1);
	ioapic_set_rte(&b, 14, 1ull << 56 | 0x76); /* edge, CPU 1 */
	board_irq(&b, 14, true);
	board_irq(&b, 14, false);
	g_assert_cmpint(board_ack(&b, 1), ==, 0x76);
	apic_write(&b, 1, 0xb0, 0);
	ioapic_set_rte(&b, 14, 0x8077); /* level, CPU 0 */
	board_irq(&b, 14, true);
	g_assert_cmphex(ioapic_reg(&b, 0x10 + 28) & 0x4000, ==, 0x4000);
	g_assert_cmpint(board_ack(&b, 0), ==, 0x77);
	g_assert_cmphex(apic_read(&b, 0, 0x1b0), ==, 1u << 0x17); /* TMR */
	apic_write(&b, 0, 0xb0, 0);
	g_assert_cmpint(board_ack(&b, 0), ==, 0x77); /* still high */
	board_irq(&b, 14, false);
	apic_write(&b, 0, 0xb0, 0);
	g_assert_false(board_intr(&b, 0));
	g_assert_cmphex(ioapic_reg(&b, 0x10 + 28) & 0x4000, ==, 0);
	/* suppressed broadcast: the EOI register does it */
	apic_write(&b, 0, 0xf0, 0x11ff);
	board_irq(&b, 14, true);
	g_assert_cmpint(board_ack(&b, 0), ==, 0x77);
	board_irq(&b, 14, false);
	apic_write(&b, 0, 0xb0, 0);
	g_assert_cmphex(ioapic_reg(&b, 0x10 + 28) & 0x4000, ==, 0x4000);
	bus_mmio_write(b.bus, NULL, IOAPIC(0x40), 4, 0x77);
	g_assert_cmphex(ioapic_reg(&b, 0x10 + 28) & 0x4000, ==, 0);
	board_fini(&b);
}

#define LOW (1u << 13)

static void test_ioapic_polarity(void)
{
	struct board b;

	board_init(&b, 1);
	apic_enable(&b, 0);
	/* level: active while the line is low */
	board_irq(&b, 14, true);
	ioapic_set_rte(&b, 14, LOW | 0x8076);
	g_assert_false(board_intr(&b, 0));
	board_irq(&b, 14, false);
	g_assert_cmpint(board_ack(&b, 0), ==, 0x76);
	apic_write(&b, 0, 0xb0, 0);
	g_assert_cmpint(board_ack(&b, 0), ==, 0x76); /* still */
	board_irq(&b, 14, true);
	apic_write(&b, 0, 0xb0, 0);
	g_assert_false(board_intr(&b, 0));
	/* what a line that rests means changes with the bit */
	board_irq(&b, 14, false);
	ioapic_set_rte(&b, 14, 0x8076);
	g_assert_cmpint(board_ack(&b, 0), ==, 0x76); /* sent before */
	apic_write(&b, 0, 0xb0, 0);
	g_assert_false(board_intr(&b, 0));
	ioapic_set_rte(&b, 14, LOW | 0x8076);
	g_assert_cmpint(board_ack(&b, 0), ==, 0x76);
	ioapic_set_rte(&b, 14, 0x8076);
	apic_write(&b, 0, 0xb0, 0);
	g_assert_false(board_intr(&b, 0));
	/* edge: the falling one */
	board_irq(&b, 4, false);
	ioapic_set_rte(&b, 4, LOW | 0x55);
	board_irq(&b, 4, true);
	g_assert_false(board_intr(&b, 0));
	board_irq(&b, 4, false);
	g_assert_cmpint(board_ack(&b, 0), ==, 0x55);
	apic_write(&b, 0, 0xb0, 0);
	g_assert_false(board_intr(&b, 0));
	board_fini(&b);
}

static void test_ioapic_modes(void)
{
	struct board b;

	board_init(&b, 2);
	apic_enable(&b, 0);
	apic_enable(&b, 1);
	apic_write(&b, 0, 0xd0, 1u << 24);
	apic_write(&b, 1, 0xd0, 2u << 24);
	apic_write(&b, 0, 0x80, 0x50);
	/* lowest priority: CPU 1 has the lower PPR */
	ioapic_set_rte(&b, 9, 3ull << 56 | 0x900 | 0x61);
	board_irq(&b, 9, true);
	g_assert_cmpint(board_ack(&b, 1), ==, 0x61);
	/* NMI */
	ioapic_set_rte(&b, 5, 1ull << 56 | 0x400);
	board_irq(&b, 5, true);
	g_assert_true(cpu(&b, 1)->events & BUS_EV_NMI);
	/* line 0 is pin 2 */
	ioapic_set_rte(&b, 2, 0x30);
	apic_write(&b, 0, 0x80, 0);
	board_irq(&b, 0, true);
	g_assert_cmpint(board_ack(&b, 0), ==, 0x30);
	board_fini(&b);
}

/* ---- ticks that come late ---- */

static void ticks_setup(struct board *b, unsigned count)
{
	outb(b, 0x43, 0x34);
	outb(b, 0x40, count);
	outb(b, 0x40, count >> 8);
}

/* How many interrupts the processor takes now. */
static unsigned ticks_taken(struct board *b)
{
	unsigned n = 0;

	for (; board_intr(b, 0); n++) {
		g_assert_cmpint(board_ack(b, 0), ==, 0x40);
		apic_write(b, 0, 0xb0, 0);
		outb(b, 0x20, 0x20);
	}
	return n;
}

/* through: the I/O APIC, or the 8259. */
static void ticks_late(struct board *b)
{
	uint64_t start = bus_clock_ns(b->bus);
	unsigned n;

	/* the processor does not run */
	board_sleep(b, 10500);
	n = ticks_taken(b);
	g_assert_cmpuint(n, >=, 9);
	g_assert_cmpuint(n, <=, (bus_clock_ns(b->bus) - start) / 1000000 + 2);
	/* nobody runs */
	g_usleep(10500);
	bus_timers_run(b->bus);
	g_assert_cmpuint(ticks_taken(b), >=, 9);
	/* there is a bound */
	ticks_setup(b, 119);
	board_sleep(b, 1500); /* the old count ends */
	ticks_taken(b);
	g_usleep(60000);
	bus_timers_run(b->bus);
	g_assert_cmpuint(ticks_taken(b), ==, 251);
}

static void test_ticks_ioapic(void)
{
	struct board b;

	board_init(&b, 1);
	board_add(&b, "i8254");
	apic_enable(&b, 0);
	ioapic_set_rte(&b, 2, 0x40);
	ticks_setup(&b, 1193);
	ticks_late(&b);
	/* nobody counts behind a mask */
	ioapic_set_rte(&b, 2, 0x10040);
	board_sleep(&b, 2000);
	ioapic_set_rte(&b, 2, 0x40);
	g_assert_cmpuint(ticks_taken(&b), ==, 0);
	board_fini(&b);
}

static void test_ticks_8259(void)
{
	struct board b;

	board_init(&b, 1);
	board_add(&b, "i8254");
	pic_setup(&b);
	outb(&b, 0x20, 0x11);
	outb(&b, 0x21, 0x40);
	outb(&b, 0x21, 4);
	outb(&b, 0x21, 1);
	outb(&b, 0x21, 0xfe);
	bus_lock(b.bus);
	intc_virtual_wire(b.intc);
	bus_unlock(b.bus);
	ticks_setup(&b, 1193);
	ticks_late(&b);
	board_fini(&b);
}

static void test_ioapic_extint(void)
{
	struct board b;

	board_init(&b, 2);
	pic_setup(&b);
	g_assert_true(wrmsr(&b, 0, APIC_BASE, 0xfee00900));
	ioapic_set_rte(&b, 0, 1ull << 56 | 0x700);
	board_irq(&b, 3, true);
	g_assert_true(board_intr(&b, 1));
	g_assert_cmpint(board_ack(&b, 1), ==, 0x23);
	g_assert_false(board_intr(&b, 1));
	board_fini(&b);
}

static void test_msi(void)
{
	struct board b;

	board_init(&b, 2);
	apic_enable(&b, 0);
	apic_enable(&b, 1);
	bus_lock(b.bus);
	bus_msi_send(b.bus, 0xfee01000, 0x55);
	bus_msi_send(b.bus, 0x1000, 0x12345678); /* a plain write */
	bus_unlock(b.bus);
	g_assert_cmpint(board_ack(&b, 1), ==, 0x55);
	g_assert_cmphex(bus_mmio_read(b.bus, NULL, 0x1000, 4), ==, 0x12345678);
	board_fini(&b);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/i8259/basic", test_pic_basic);
	g_test_add_func("/i8259/cascade", test_pic_cascade);
	g_test_add_func("/i8259/level", test_pic_level_and_spurious);
	g_test_add_func("/i8259/modes", test_pic_modes);
	g_test_add_func("/i8259/auto-eoi", test_pic_auto_eoi);
	g_test_add_func("/lapic/reset", test_lapic_reset);
	g_test_add_func("/lapic/priority", test_lapic_priority);
	g_test_add_func("/lapic/ipi", test_lapic_ipi);
	g_test_add_func("/lapic/init-sipi-nmi", test_lapic_init_sipi_nmi);
	g_test_add_func("/lapic/nmi-twice", test_lapic_nmi_twice);
	g_test_add_func("/lapic/errors", test_lapic_errors);
	g_test_add_func("/lapic/base-rules", test_lapic_base_rules);
	g_test_add_func("/lapic/x2apic", test_lapic_x2apic);
	g_test_add_func("/lapic/timer", test_lapic_timer);
	g_test_add_func("/lapic/deadline", test_lapic_deadline);
	g_test_add_func("/lapic/extint", test_lapic_extint);
	g_test_add_func("/ioapic/registers", test_ioapic_registers);
	g_test_add_func("/ioapic/edge-level", test_ioapic_edge_and_level);
	g_test_add_func("/ioapic/polarity", test_ioapic_polarity);
	g_test_add_func("/ioapic/modes", test_ioapic_modes);
	g_test_add_func("/ioapic/extint", test_ioapic_extint);
	g_test_add_func("/ticks/ioapic", test_ticks_ioapic);
	g_test_add_func("/ticks/8259", test_ticks_8259);
	g_test_add_func("/msi", test_msi);
	return g_test_run();
}
