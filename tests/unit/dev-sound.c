/* dev-sound.c - sound cards: registers, engines, what is heard. */
#include "audio-ear.h"
#include "disk-rig.h"

#define TABLE  0x100000u
#define BUFFER 0x110000u

struct sound_rig {
	struct rig r;
	struct ear *ear;
	struct dev *dev;
};

static void sound_open(struct sound_rig *s, const char *class)
{
	rig_init(&s->r);
	s->ear = ear_new();
	s->r.b.host.audio = audio_new(&s->ear->sink, NULL);
	s->r.b.host.dma = board_add(&s->r.b, "i8237");
	s->dev = board_add(&s->r.b, class);
}

static void sound_close(struct sound_rig *s)
{
	board_fini(&s->r.b);
	audio_free(s->r.b.host.audio);
	g_free(s->ear);
}

static void config_write(
	struct sound_rig *s, unsigned off, unsigned size, uint32_t val)
{
	bus_lock(s->r.b.bus);
	pci_config_write(s->r.b.host.pci, 0, 2 << 3, off, size, val);
	bus_unlock(s->r.b.bus);
}

static uint32_t in(struct sound_rig *s, uint16_t port, unsigned size)
{
	return bus_io_read(s->r.b.bus, port, size);
}

static void out(struct sound_rig *s, uint16_t port, unsigned size, uint32_t val)
{
	bus_io_write(s->r.b.bus, port, size, val);
}

/* A square wave of 16 bits, two channels, 500 Hz at 48 kHz. */
static void fill_square(struct sound_rig *s, unsigned frames)
{
	for (unsigned i = 0; i < frames; i++) {
		int16_t v = i / 48 & 1 ? -8000 : 8000;
		int16_t frame[2] = {v, v};

		bus_dma_write(s->r.b.bus, BUFFER + 4 * i, frame, 4);
	}
}

/* Let timers run until the condition holds. */
#define UNTIL(s, condition)                                                    \
	do {                                                                   \
		for (unsigned tries = 0; !(condition) && tries < 20000;        \
			tries++)                                               \
			board_sleep(&(s)->r.b, 200);                           \
		g_assert_true(condition);                                      \
	} while (0)

/* ---- AC '97 ---- */

#define NAM  0xc000
#define NABM 0xc400
#define PO   (NABM + 0x10)

static void ac97_open(struct sound_rig *s)
{
	sound_open(s, "ac97");
	config_write(s, 0x10, 4, NAM);
	config_write(s, 0x14, 4, NABM);
	config_write(s, 4, 2, 5);
	out(s, NABM + 0x2c, 4, 2);
}

static void test_ac97_registers(void)
{
	static const struct {
		uint8_t reg;
		uint16_t start, write, then;
	} regs[] = {
		{0x00, 0x6940, 0x0000, 0x6940},
		{0x02, 0x8000, 0xffff, 0x9f1f},
		{0x02, 0x9f1f, 0x0020, 0x001f}, /* the sixth bit */
		{0x0e, 0x8008, 0xffff, 0x805f},
		{0x18, 0x8808, 0x1234, 0x1214},
		{0x1c, 0x8000, 0xffff, 0x8f0f},
		{0x26, 0x000f, 0x0300, 0x030c},
		{0x26, 0x030c, 0x0800, 0x0803},
		{0x28, 0x0009, 0xffff, 0x0009},
		{0x2c, 48000, 44100, 48000}, /* fixed */
		{0x2a, 0x0000, 0xffff, 0x0009},
		{0x2c, 48000, 44100, 44100},
		{0x32, 48000, 100, 4000},
		{0x34, 48000, 65535, 48000},
		{0x2a, 0x0009, 0x0000, 0x0000},
		{0x2c, 48000, 8000, 48000},
		{0x7c, 0x8384, 0x0000, 0x8384},
		{0x7e, 0x7600, 0xffff, 0x7600},
		{0x5a, 0x0000, 0xffff, 0x0000},
	};
	struct sound_rig s;

	ac97_open(&s);
	out(&s, NAM, 2, 1); /* reset */
	for (unsigned i = 0; i < G_N_ELEMENTS(regs); i++) {
		g_assert_cmphex(
			in(&s, NAM + regs[i].reg, 2), ==, regs[i].start);
		out(&s, NAM + regs[i].reg, 2, regs[i].write);
		g_assert_cmphex(in(&s, NAM + regs[i].reg, 2), ==, regs[i].then);
	}
	/* one codec, ready; none behind it: the read times out */
	g_assert_cmphex(in(&s, NABM + 0x30, 4), ==, 0x100);
	g_assert_cmphex(in(&s, NAM + 0x80, 2), ==, 0xffff);
	g_assert_cmphex(in(&s, NABM + 0x30, 4), ==, 0x8100);
	out(&s, NABM + 0x30, 4, 0x8000);
	g_assert_cmphex(in(&s, NABM + 0x30, 4), ==, 0x100);
	/* the semaphore: taken by reading, given back by an access */
	g_assert_cmphex(in(&s, NABM + 0x34, 1), ==, 0);
	g_assert_cmphex(in(&s, NABM + 0x34, 1), ==, 1);
	in(&s, NAM, 2);
	g_assert_cmphex(in(&s, NABM + 0x34, 1), ==, 0);
	/* an engine at rest */
	g_assert_cmphex(in(&s, PO + 4, 4), ==, 0x10000);
	g_assert_cmphex(in(&s, PO + 8, 4), ==, 0);
	out(&s, PO, 4, 0x12345677);
	g_assert_cmphex(in(&s, PO, 4), ==, 0x12345670);
	out(&s, PO + 0xb, 1, 0x1c);
	out(&s, PO + 0xb, 1, 0x1e); /* its reset keeps what is enabled */
	g_assert_cmphex(in(&s, PO, 4), ==, 0);
	g_assert_cmphex(in(&s, PO + 0xb, 1), ==, 0x1c);
	/* cold reset */
	out(&s, NABM + 0x2c, 4, 0);
	g_assert_cmphex(in(&s, NABM + 0x30, 4), ==, 0);
	sound_close(&s);
}

static void ac97_describe_buffer(
	struct sound_rig *s, unsigned n, uint32_t at, uint32_t control)
{
	uint32_t desc[2] = {at, control};

	bus_dma_write(s->r.b.bus, TABLE + 8 * n, desc, 8);
}

static void test_ac97_play(void)
{
	struct sound_rig s;

	ac97_open(&s);
	fill_square(&s, 2400);
	for (unsigned i = 0; i < 2; i++)
		ac97_describe_buffer(
			&s, i, BUFFER + 4800 * i, 2400 | 0x80000000);
	ac97_describe_buffer(&s, 2, BUFFER, 0); /* empty */
	out(&s, NAM + 0x02, 2, 0);
	out(&s, NAM + 0x18, 2, 0x0808);
	out(&s, PO, 4, TABLE);
	out(&s, PO + 5, 1, 1);
	out(&s, PO + 0xb, 1, 0x1d);
	g_assert_cmphex(in(&s, PO + 6, 2) & 1, ==, 0);
	UNTIL(&s, in(&s, NABM + 0x30, 4) & 0x40);
	UNTIL(&s, in(&s, PO + 6, 2) == 0xf); /* both at their ends */
	g_assert_cmphex(in(&s, PO + 4, 2), ==, 0x0101);
	g_assert_cmphex(in(&s, PO + 8, 2), ==, 0);
	g_assert_cmphex(in(&s, NABM + 0x30, 4), ==, 0x140);
	out(&s, PO + 6, 2, 0x1c);
	g_assert_cmphex(in(&s, NABM + 0x30, 4), ==, 0x100);
	g_assert_cmphex(in(&s, PO + 6, 2), ==, 3);
	g_assert_cmpuint(s.ear->n, ==, 2400);
	g_assert_cmpint(s.ear->frame[0][0], ==, 8000);
	g_assert_cmpint(s.ear->frame[47][1], ==, 8000);
	g_assert_cmpint(s.ear->frame[48][1], ==, -8000);
	g_assert_cmpint(s.ear->frame[2399][0], ==, -8000);
	/* more: it goes on; an empty one is passed */
	out(&s, PO + 5, 1, 2);
	UNTIL(&s, in(&s, PO + 6, 2) & 1);
	g_assert_cmphex(in(&s, PO + 4, 1), ==, 2);
	sound_close(&s);
}

/* Recording without a source is silence, at the codec's rate. */
static void test_ac97_record(void)
{
	struct sound_rig s;
	uint32_t word = 0;

	ac97_open(&s);
	fill_square(&s, 480);
	ac97_describe_buffer(&s, 0, BUFFER, 480 | 0x80000000);
	out(&s, NAM + 0x2a, 2, 1);
	out(&s, NAM + 0x32, 2, 8000);
	out(&s, NABM, 4, TABLE);
	out(&s, NABM + 5, 1, 0);
	out(&s, NABM + 0xb, 1, 0x11);
	UNTIL(&s, in(&s, NABM + 6, 2) & 8);
	g_assert_cmphex(in(&s, NABM + 0x30, 4), ==, 0x120);
	bus_dma_read(s.r.b.bus, BUFFER + 956, &word, 4);
	g_assert_cmphex(word, ==, 0);
	bus_dma_read(s.r.b.bus, BUFFER + 960, &word, 4);
	g_assert_cmphex(word, !=, 0);
	sound_close(&s);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/sound/ac97/registers", test_ac97_registers);
	g_test_add_func("/sound/ac97/play", test_ac97_play);
	g_test_add_func("/sound/ac97/record", test_ac97_record);
	return g_test_run();
}
