/* dev-pv.c - KVM's interface to its guests: clock, EOI in memory, hypercalls.
 */
#include <errno.h>

#include "dev-board.h"
#include "dev/irq/pvclock.h"

#define FEATURES                                                               \
	(1u << 0 | 1u << 3 | 1u << 6 | 1u << 7 | 1u << 11 | 1u << 12 | 1u << 13)
#define WALL_CLOCK   0x4b564d00
#define SYSTEM_TIME  0x4b564d01
#define STEAL_TIME   0x4b564d03
#define TSC_DEADLINE 0x6e0
#define EOI	     0x4b564d04
#define POLL	     0x4b564d05
#define ENOSYS_KVM   1000

static struct board b;

static struct bus_cpu *cpu(unsigned n)
{
	return bus_cpu_at(b.bus, n);
}

static void setup(unsigned ncpus)
{
	board_init(&b, ncpus);
	intc_set_paravirt(b.intc, FEATURES, 2000000000);
	bus_lock(b.bus);
	b.intc->cls->reset(b.intc);
	bus_unlock(b.bus);
	for (unsigned i = 0; i < ncpus; i++)
		bus_mmio_write(b.bus, cpu(i), 0xfee000f0, 4, 0x1ff);
}

static uint8_t *ram(uint64_t gpa)
{
	return bus_ram(b.bus)->host + gpa;
}

static uint64_t get(uint64_t gpa, unsigned n)
{
	uint64_t v = 0;

	memcpy(&v, ram(gpa), n);
	return v;
}

/* ---- arithmetic ---- */

static void test_rates(void)
{
	static const uint64_t hz[] = {1000000, 33000000, 999999999, 1000000000,
		1000000001, 2299998000, 3700000000, 5800000000};

	for (unsigned i = 0; i < G_N_ELEMENTS(hz); i++) {
		struct pvclock c = {.base_tsc = 1000, .base_ns = 77};
		uint64_t hour = 3600 * hz[i], khz;

		pvclock_set_rate(&c, 1000000000, hz[i]);
		g_assert_cmphex(c.mul >> 31, ==, 1);
		/* an hour, to a part in a thousand million */
		g_assert_cmpint(llabs((int64_t)(pvclock_ns(&c, 1000 + hour) -
						77 - 3600000000000)),
			<=, 3600);
		/* what Linux concludes of the frequency */
		khz = (1000000ull << 32) / c.mul;
		khz = c.shift < 0 ? khz << -c.shift : khz >> c.shift;
		g_assert_cmpint(
			llabs((int64_t)(khz - hz[i] / 1000)), <=, khz / 100000);
	}
}

static void test_correct(void)
{
	struct pvclock c = {0};
	struct pvclock_pace p = {.ns = 1000000000, .ticks = 2000000000};
	uint64_t tsc = 0, shown;

	/* runs 100 ppm too fast, and is 50 us ahead */
	pvclock_set_rate(&c, 1000100000, 2000000000);
	c.base_ns = 50000;
	p.interval_ns = 1000000000;
	for (unsigned i = 0; i < 4; i++) {
		shown = pvclock_ns(&c, tsc);
		p.tsc = tsc;
		p.now_ns = tsc / 2;
		pvclock_correct(&c, &p);
		/* no jump, never backwards */
		g_assert_cmpuint(pvclock_ns(&c, tsc), ==, shown);
		tsc += 2000000000;
	}
	g_assert_cmpint(
		llabs((int64_t)(pvclock_ns(&c, tsc) - tsc / 2)), <=, 10);
	/* slewing has its bounds: half a millisecond a second */
	p.tsc = tsc;
	p.now_ns = tsc / 2 - 10000000;
	pvclock_correct(&c, &p);
	g_assert_cmpint(llabs((int64_t)(pvclock_ns(&c, tsc + 2000000000) -
					tsc / 2 - 999500000)),
		<=, 10);
	/* far behind: it jumps */
	p.now_ns = tsc;
	pvclock_correct(&c, &p);
	g_assert_cmpuint(pvclock_ns(&c, tsc), ==, tsc);
}

static void test_structure(void)
{
	struct pvclock c = {
		.base_tsc = 100, .base_ns = 5, .mul = 7, .shift = -1};
	uint8_t to[PVCLOCK_BYTES];
	uint32_t version = 8;
	uint64_t v = 0;

	memset(to, 0xcc, sizeof(to));
	pvclock_mark(to, &version);
	g_assert_cmpuint(to[0], ==, 9);
	pvclock_publish(&c, 1000, to, &version);
	g_assert_cmpuint(version, ==, 10);
	g_assert_cmpuint(to[0], ==, 10);
	memcpy(&v, to + 8, 8);
	g_assert_cmpuint(v, ==, 1100);
	memcpy(&v, to + 16, 8);
	g_assert_cmpuint(v, ==, 5);
	g_assert_cmphex(to[28], ==, 0xff);
	g_assert_cmphex(to[29], ==, 1);
}

/* ---- MSRs ---- */

static bool wr(unsigned n, uint32_t msr, uint64_t val)
{
	return bus_cpu_wrmsr(cpu(n), msr, val);
}

static uint64_t rd(unsigned n, uint32_t msr)
{
	uint64_t v = 0xdead;

	g_assert_true(bus_cpu_rdmsr(cpu(n), msr, &v));
	return v;
}

static void test_msrs(void)
{
	uint64_t v;

	setup(2);
	g_assert_true(wr(0, SYSTEM_TIME, 0x1001));
	g_assert_true(wr(1, SYSTEM_TIME, 0x1041));
	g_assert_true(wr(0, WALL_CLOCK, 0x2000));
	g_assert_true(wr(1, EOI, 0x3001));
	g_assert_true(wr(1, POLL, 0));
	g_assert_cmphex(rd(0, SYSTEM_TIME), ==, 0x1001);
	g_assert_cmphex(rd(0, 0x12), ==, 0x1001);
	g_assert_cmphex(rd(1, SYSTEM_TIME), ==, 0x1041);
	g_assert_cmphex(rd(1, WALL_CLOCK), ==, 0x2000);
	g_assert_cmphex(rd(1, EOI), ==, 0x3001);
	g_assert_cmphex(rd(0, POLL), ==, 1);
	g_assert_cmphex(rd(1, POLL), ==, 0);
	/* no RAM there, crooked, reserved bits, not offered */
	g_assert_false(wr(0, SYSTEM_TIME, 0xfff00001));
	g_assert_false(wr(0, SYSTEM_TIME, 0x1003));
	g_assert_false(wr(0, WALL_CLOCK, 0xfee00000));
	g_assert_false(wr(0, WALL_CLOCK, 0x2002));
	g_assert_false(wr(0, EOI, 0x3003));
	g_assert_false(wr(0, EOI, ~0ull));
	g_assert_false(wr(0, POLL, 2));
	g_assert_false(wr(0, STEAL_TIME, 0x1001));
	g_assert_false(bus_cpu_rdmsr(cpu(0), STEAL_TIME, &v));
	g_assert_cmphex(rd(0, SYSTEM_TIME), ==, 0x1001);
	/* RESET forgets */
	bus_lock(b.bus);
	b.intc->cls->reset(b.intc);
	bus_unlock(b.bus);
	g_assert_cmphex(rd(0, SYSTEM_TIME), ==, 0);
	g_assert_cmphex(rd(1, EOI), ==, 0);
	g_assert_cmphex(rd(1, POLL), ==, 1);
	g_assert_cmphex(rd(0, WALL_CLOCK), ==, 0);
	intc_set_paravirt(b.intc, 0, 0);
	g_assert_false(wr(0, SYSTEM_TIME, 0x1001));
	board_fini(&b);
}

static void test_clock(void)
{
	uint64_t before, sec;

	setup(2);
	before = bus_clock_ns(b.bus);
	g_assert_true(wr(0, SYSTEM_TIME, 0x1001));
	g_assert_true(wr(1, SYSTEM_TIME, 0x1041));
	g_assert_cmpuint(get(0x1000, 4) & 1, ==, 0);
	g_assert_cmpuint(get(0x1000, 4), >, 0);
	g_assert_cmpuint(get(0x1010, 8), >=, before);
	g_assert_cmpuint(get(0x1010, 8), <=, bus_clock_ns(b.bus));
	/* all processors have one line */
	g_assert_cmpuint(get(0x1008, 8), ==, get(0x1048, 8));
	g_assert_cmpuint(get(0x1010, 8), ==, get(0x1050, 8));
	/* the TSC of one moves: so does its time stamp */
	bus_cpu_tsc_moved(cpu(1), 12345);
	g_assert_cmpuint(get(0x1008, 8) + 12345, ==, get(0x1048, 8));
	g_assert_true(wr(0, WALL_CLOCK, 0x2000));
	sec = get(0x2004, 4);
	g_assert_cmpuint(get(0x2000, 4) & 1, ==, 0);
	g_assert_cmpint(
		llabs((int64_t)sec - g_get_real_time() / 1000000), <=, 2);
	/* off: nothing is written any more */
	g_assert_true(wr(1, SYSTEM_TIME, 0));
	memset(ram(0x1040), 0, 32);
	bus_cpu_tsc_moved(cpu(1), 777);
	g_assert_cmpuint(get(0x1040, 8), ==, 0);
	board_fini(&b);
}

/* Time stands still: nothing that a guest sees has moved then, and what is
 * shown later continues it. */
static void test_pause(void)
{
	uint64_t off[2] = {-12345ull, 777}, ticks, deadline;
	uint8_t was[PVCLOCK_BYTES];

	setup(2);
	for (unsigned i = 0; i < 2; i++) {
		bus_cpu_tsc_moved(cpu(i), off[i]);
		g_assert_true(wr(i, SYSTEM_TIME, 0x1001 + i * 0x40));
	}
	bus_mmio_write(b.bus, cpu(1), 0xfee00320, 4, 0x40031);
	deadline = __builtin_ia32_rdtsc() + (1ull << 50);
	g_assert_true(wr(1, TSC_DEADLINE, deadline));
	memcpy(was, ram(0x1040), sizeof(was));
	bus_lock(b.bus);
	g_assert_cmpuint(bus_clock_pause(b.bus, true), ==, 0);
	g_assert_cmpuint(bus_clock_tsc(b.bus), ==, bus_clock_tsc(b.bus));
	ticks = bus_clock_pause(b.bus, false);
	bus_unlock(b.bus);
	g_assert_cmpuint(ticks, >, 0);
	for (unsigned i = 0; i < 2; i++)
		g_assert_cmpuint(cpu(i)->tsc_offset, ==, off[i] - ticks);
	g_assert_cmpmem(was, sizeof(was), ram(0x1040), sizeof(was));
	g_assert_cmpuint(rd(1, TSC_DEADLINE), ==, deadline + ticks);
	bus_cpu_tsc_moved(cpu(1), off[1] - ticks + 5);
	g_assert_cmpmem(was + 16, 16, ram(0x1050), 16);
	memcpy(&off[1], was + 8, 8);
	g_assert_cmpuint(get(0x1048, 8), ==, off[1] + 5);
	board_fini(&b);
}

/* ---- end of interrupt ---- */

static uint32_t isr(unsigned n, uint8_t vector)
{
	return bus_mmio_read(b.bus, cpu(n), 0xfee00100 + vector / 32 * 16, 4) >>
		       vector % 32 &
	       1;
}

static void self_ipi(unsigned n, uint8_t vector)
{
	bus_mmio_write(b.bus, cpu(n), 0xfee00300, 4, 0x40000 | vector);
}

static bool wants(unsigned n)
{
	return atomic_load(&cpu(n)->events) & BUS_EV_INTR;
}

static void test_eoi(void)
{
	setup(1);
	g_assert_true(wr(0, EOI, 0x3001));
	self_ipi(0, 0x50);
	g_assert_cmpint(bus_cpu_ack_interrupt(cpu(0)), ==, 0x50);
	g_assert_cmpuint(get(0x3000, 4), ==, 1);
	g_assert_false(wants(0));
	/* the guest ends it in memory; another of the same class comes */
	*ram(0x3000) = 0;
	self_ipi(0, 0x51);
	g_assert_true(wants(0));
	g_assert_cmpint(bus_cpu_ack_interrupt(cpu(0)), ==, 0x51);
	g_assert_cmpuint(isr(0, 0x50), ==, 0);
	board_fini(&b);
}

/* Another processor's IPI arrives while the offer stands. */
static void test_eoi_taken_back(void)
{
	const uint64_t arg[4] = {1, 0, 0, 0x48};

	setup(2);
	g_assert_true(wr(0, EOI, 0x3001));
	self_ipi(0, 0x50);
	g_assert_cmpint(bus_cpu_ack_interrupt(cpu(0)), ==, 0x50);
	g_assert_cmpint(bus_cpu_hypercall(cpu(1), 10, arg, true), ==, 1);
	g_assert_cmpuint(get(0x3000, 4), ==, 1);
	/* a lower one, but somebody has to look whether 0x50 is over */
	g_assert_true(wants(0));
	g_assert_cmpint(bus_cpu_ack_interrupt(cpu(0)), ==, -1);
	g_assert_cmpuint(get(0x3000, 4), ==, 0);
	g_assert_false(wants(0));
	g_assert_cmpuint(isr(0, 0x50), ==, 1);
	bus_mmio_write(b.bus, cpu(0), 0xfee000b0, 4, 0);
	g_assert_true(wants(0));
	g_assert_cmpint(bus_cpu_ack_interrupt(cpu(0)), ==, 0x48);
	board_fini(&b);
}

/* ---- hypercalls ---- */

static int64_t call(uint64_t nr, uint64_t a0, uint64_t a1, uint64_t a2,
	uint64_t a3, bool wide)
{
	const uint64_t arg[4] = {a0, a1, a2, a3};

	return bus_cpu_hypercall(cpu(0), nr, arg, wide);
}

static void test_hypercalls(void)
{
	setup(4);
	g_assert_cmpint(call(1, 0, 0, 0, 0, true), ==, 0);
	g_assert_cmpint(call(2, 0, 0, 0, 0, true), ==, -ENOSYS_KVM);
	g_assert_cmpint(call(~0ull, 0, 0, 0, 0, true), ==, -ENOSYS_KVM);
	/* kick */
	g_assert_cmpint(call(5, 0, 2, 0, 0, true), ==, 0);
	g_assert_true(atomic_load(&cpu(2)->unhalted));
	g_assert_true(atomic_load(&cpu(2)->events) & BUS_EV_UNHALT);
	g_assert_cmpint(call(5, 0, 99, 0, 0, true), ==, 0);
	/* IPIs: to 1 and 3, and to one that does not exist */
	g_assert_cmpint(call(10, 5, 1, 1, 0x60, true), ==, 2);
	g_assert_false(wants(0));
	g_assert_true(wants(1));
	g_assert_false(wants(2));
	g_assert_true(wants(3));
	/* from 32-bit code the second word begins at 32 */
	g_assert_cmpint(call(10, 0, 1, -30u, 0x61, false), ==, 1);
	g_assert_true(wants(2));
	/* logical mode and shorthands are refused */
	g_assert_cmpint(call(10, 1, 0, 0, 0x860, true), ==, -EINVAL);
	g_assert_cmpint(call(10, 1, 0, 0, 0xc0060, true), ==, -EINVAL);
	g_assert_cmpint(call(11, 1, 0, 0, 0, true), ==, 0);
	/* clock pairing */
	g_assert_cmpint(call(9, 0x4000, 0, 0, 0, true), ==, 0);
	g_assert_cmpint(
		llabs((int64_t)get(0x4000, 8) - g_get_real_time() / 1000000),
		<=, 2);
	g_assert_cmpint(call(9, 0x4000, 1, 0, 0, true), ==, -EOPNOTSUPP);
	g_assert_cmpint(call(9, 1ull << 40, 0, 0, 0, true), ==, -EFAULT);
	/* nothing that is not offered */
	intc_set_paravirt(b.intc, 1u << 3, 1000000000);
	g_assert_cmpint(call(5, 0, 2, 0, 0, true), ==, -ENOSYS_KVM);
	g_assert_cmpint(call(10, 1, 0, 0, 0x60, true), ==, -ENOSYS_KVM);
	g_assert_cmpint(call(11, 1, 0, 0, 0, true), ==, -ENOSYS_KVM);
	board_fini(&b);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/pv/clock/rates", test_rates);
	g_test_add_func("/pv/clock/correct", test_correct);
	g_test_add_func("/pv/clock/structure", test_structure);
	g_test_add_func("/pv/clock/published", test_clock);
	g_test_add_func("/pv/clock/pause", test_pause);
	g_test_add_func("/pv/msrs", test_msrs);
	g_test_add_func("/pv/eoi", test_eoi);
	g_test_add_func("/pv/eoi-taken-back", test_eoi_taken_back);
	g_test_add_func("/pv/hypercalls", test_hypercalls);
	return g_test_run();
}
