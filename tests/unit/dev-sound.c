/* dev-sound.c - sound cards: registers, engines, what is heard. */
#include "audio-ear.h"
#include "dev/misc/i8237.h"
#include "dev/sound/speaker.h"
#include "dev/timer/i8254.h"
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

/* ---- High Definition Audio ---- */

#define HDA  0xfe000000u
#define CORB 0x120000u
#define RIRB 0x121000u
#define OUT0 (HDA + 0x80 + 4 * 0x20) /* the first output's stream */

static uint32_t hda_in(struct sound_rig *s, uint32_t at, unsigned size)
{
	return (uint32_t)bus_mmio_read(s->r.b.bus, NULL, at, size);
}

static void hda_out(
	struct sound_rig *s, uint32_t at, unsigned size, uint32_t val)
{
	bus_mmio_write(s->r.b.bus, NULL, at, size, val);
}

static void hda_open(struct sound_rig *s)
{
	sound_open(s, "hda");
	config_write(s, 0x10, 4, HDA);
	config_write(s, 4, 2, 6);
	hda_out(s, HDA + 8, 4, 1);
}

/* By immediate command. */
static uint32_t hda_ask(struct sound_rig *s, uint32_t verb)
{
	hda_out(s, HDA + 0x60, 4, verb);
	hda_out(s, HDA + 0x68, 2, 1);
	g_assert_cmphex(hda_in(s, HDA + 0x68, 2), ==, 2);
	hda_out(s, HDA + 0x68, 2, 2);
	return hda_in(s, HDA + 0x64, 4);
}

static void test_hda_registers(void)
{
	static const struct {
		uint32_t at;
		unsigned size;
		uint32_t start, write, then;
	} regs[] = {
		{0x00, 4, 0x01004401, 0, 0x01004401},
		{0x0e, 2, 1, 1, 0}, /* the codec says that it is there */
		{0x20, 4, 0, 0xffffffff, 0xc00000ff},
		{0x20, 4, 0xc00000ff, 0, 0},
		{0x24, 4, 0, 0xffffffff, 0},
		{0x40, 4, 0, 0xffffffff, 0xffffff80},
		{0x48, 2, 0, 0xffff, 0xff},
		{0x4a, 2, 0, 0x8000, 0x8000},
		{0x4a, 2, 0x8000, 0, 0},
		{0x4e, 1, 0x42, 0, 0x42},
		{0x58, 2, 0, 0x8000, 0},
		{0x5e, 1, 0x42, 1, 0x42},
		{0x80, 4, 0, 0x00ffffe0, 0x00f70000},
		{0x8c, 2, 0, 0xffff, 0xff},
		{0x92, 2, 0, 0xffff, 0x7f7f},
		{0x98, 4, 0, 0xffffffff, 0xffffff80},
		{0x80, 1, 0, 1, 1}, /* a stream's reset clears it */
		{0x80, 1, 1, 0, 0},
		{0x98, 4, 0, 0x1000, 0x1000},
		{0x180, 4, 0, 0xffffffff, 0},
	};
	struct sound_rig s;

	hda_open(&s);
	for (unsigned i = 0; i < G_N_ELEMENTS(regs); i++) {
		uint32_t at = HDA + regs[i].at;

		g_assert_cmphex(
			hda_in(&s, at, regs[i].size), ==, regs[i].start);
		hda_out(&s, at, regs[i].size, regs[i].write);
		g_assert_cmphex(hda_in(&s, at, regs[i].size), ==, regs[i].then);
	}
	/* in reset nothing can be written, out of it all is as at first */
	hda_out(&s, HDA + 8, 4, 0);
	hda_out(&s, HDA + 0x40, 4, 0x1000);
	g_assert_cmphex(hda_in(&s, HDA + 0x40, 4), ==, 0);
	hda_out(&s, HDA + 8, 4, 1);
	g_assert_cmphex(hda_in(&s, HDA + 0x92, 2), ==, 0);
	g_assert_cmphex(hda_in(&s, HDA + 0x0e, 2), ==, 1);
	/* the wall clock goes, and is seen further up, too */
	g_assert_cmpuint(
		hda_in(&s, HDA + 0x2030, 4), <=, hda_in(&s, HDA + 0x30, 4));
	sound_close(&s);
}

static void test_hda_codec(void)
{
	static const struct {
		uint32_t verb, answer;
	} verbs[] = {
		{0x000f0000, 0x1af40022}, /* identity */
		{0x000f0004, 0x00010001}, /* one function group */
		{0x001f0005, 1},
		{0x001f0004, 0x00020004},
		{0x003f0200, 2}, /* the pin's connection */
		{0x002a0000, 0x11},
		{0x00224011, 0}, /* 44.1 kHz */
		{0x002a0000, 0x4011},
		{0x002b8000, 0xca}, /* mute, 74 steps */
		{0x0023b005, 0},    /* left and right: 5 */
		{0x002b8000, 5},
		{0x002ba000, 5},
		{0x0023a07f, 0}, /* left: more than there is */
		{0x002ba000, 0x4a},
		{0x002b8000, 5},
		{0x00270640, 0},
		{0x002f0600, 0x40},
		{0x003f1c00, 0x01014010},
		{0x00371caa, 0},
		{0x003f1c00, 0x010140aa},
		{0x0017ff00, 0}, /* the function's reset */
		{0x002f0600, 0},
		{0x003f1c00, 0x010140aa},
		{0x07ff0000, 0}, /* no such node */
		{0x0ff00000, 0},
	};
	struct sound_rig s;
	uint32_t answer[2];

	hda_open(&s);
	for (unsigned i = 0; i < G_N_ELEMENTS(verbs); i++)
		g_assert_cmphex(
			hda_ask(&s, verbs[i].verb), ==, verbs[i].answer);
	/* nobody at address 1 */
	hda_out(&s, HDA + 0x60, 4, 0x100f0000);
	hda_out(&s, HDA + 0x68, 2, 1);
	g_assert_cmphex(hda_in(&s, HDA + 0x68, 2), ==, 0);
	/* through the rings, round their ends */
	hda_out(&s, HDA + 0x40, 4, CORB);
	hda_out(&s, HDA + 0x50, 4, RIRB);
	hda_out(&s, HDA + 0x58, 2, 0x8000);
	hda_out(&s, HDA + 0x5a, 2, 1);
	hda_out(&s, HDA + 0x5c, 1, 3);
	hda_out(&s, HDA + 0x20, 4, 0xc0000000);
	hda_out(&s, HDA + 0x4c, 1, 2);
	for (unsigned i = 0; i < 300; i++) {
		uint32_t verb = 0x000f0000;

		bus_dma_write(s.r.b.bus, CORB + 4 * ((i + 1) % 256), &verb, 4);
		hda_out(&s, HDA + 0x48, 2, (i + 1) % 256);
		g_assert_cmphex(hda_in(&s, HDA + 0x4a, 2), ==, (i + 1) % 256);
		g_assert_cmphex(hda_in(&s, HDA + 0x58, 2), ==, (i + 1) % 256);
		bus_dma_read(s.r.b.bus, RIRB + 8 * ((i + 1) % 256), answer, 8);
		g_assert_cmphex(answer[0], ==, 0x1af40022);
		g_assert_cmphex(answer[1], ==, 0);
		g_assert_cmphex(hda_in(&s, HDA + 0x24, 4), ==, 0xc0000000);
		hda_out(&s, HDA + 0x5d, 1, 1);
		g_assert_cmphex(hda_in(&s, HDA + 0x24, 4), ==, 0);
	}
	sound_close(&s);
}

static void hda_buffer(struct sound_rig *s, unsigned n, uint64_t at,
	uint32_t len, uint32_t flags)
{
	uint32_t desc[4] = {(uint32_t)at, at >> 32, len, flags};

	bus_dma_write(s->r.b.bus, TABLE + 16 * n, desc, sizeof(desc));
}

/* Two buffers round and round; stream 1 is the DAC's. */
static void test_hda_play(void)
{
	struct sound_rig s;
	uint32_t position = 0;

	hda_open(&s);
	fill_square(&s, 2400);
	hda_buffer(&s, 0, BUFFER, 4802, 0); /* ends within a frame */
	hda_buffer(&s, 1, BUFFER + 4802, 4798, 1);
	hda_ask(&s, 0x0023b04a);
	hda_ask(&s, 0x00270610);
	hda_ask(&s, 0x00370740);
	hda_out(&s, OUT0 + 0x12, 2, 0x11);
	hda_out(&s, OUT0 + 0x08, 4, 9600);
	hda_out(&s, OUT0 + 0x0c, 2, 1);
	hda_out(&s, OUT0 + 0x18, 4, TABLE);
	hda_out(&s, HDA + 0x70, 4, 0x130001);
	hda_out(&s, HDA + 0x20, 4, 0x80000010);
	/* held back, then let go */
	hda_out(&s, HDA + 0x34, 4, 0x10);
	hda_out(&s, OUT0, 4, 0x100006);
	g_assert_cmphex(hda_in(&s, OUT0 + 3, 1), ==, 0x20);
	board_sleep(&s.r.b, 2000);
	g_assert_cmpuint(hda_in(&s, OUT0 + 4, 4), ==, 0);
	hda_out(&s, HDA + 0x34, 4, 0);
	UNTIL(&s, hda_in(&s, HDA + 0x24, 4) == 0x80000010);
	g_assert_cmphex(hda_in(&s, OUT0 + 3, 1) & 4, ==, 4);
	hda_out(&s, OUT0 + 3, 1, 4);
	UNTIL(&s, s.ear->n > 4000);
	g_assert_cmpuint(hda_in(&s, OUT0 + 4, 4), <, 9600);
	bus_dma_read(s.r.b.bus, 0x130000 + 8 * 4, &position, 4);
	g_assert_cmpuint(position, <, 9600);
	hda_out(&s, OUT0, 4, 0x100004);
	position = hda_in(&s, OUT0 + 4, 4);
	board_sleep(&s.r.b, 2000);
	g_assert_cmpuint(hda_in(&s, OUT0 + 4, 4), ==, position);
	for (unsigned i = 0; i < 4000; i++)
		g_assert_cmpint(s.ear->frame[i][i & 1], ==,
			i % 2400 / 48 & 1 ? -8000 : 8000);
	/* Buffers without end that hold nothing end it. */
	hda_buffer(&s, 0, BUFFER, 0, 1);
	hda_buffer(&s, 1, BUFFER, 0, 0);
	hda_out(&s, OUT0, 1, 1);
	hda_out(&s, OUT0, 1, 0);
	hda_out(&s, OUT0 + 0x0c, 2, 1);
	hda_out(&s, OUT0 + 0x18, 4, TABLE);
	hda_out(&s, OUT0, 4, 0x100002);
	UNTIL(&s, hda_in(&s, OUT0 + 3, 1) & 0x10);
	sound_close(&s);
}

/* ---- Sound Blaster 16 ---- */

#define SB 0x220

static void sb_open(struct sound_rig *s)
{
	sound_open(s, "sb16");
	bus_lock(s->r.b.bus);
	i8237_cascade(s->r.b.host.dma);
	bus_unlock(s->r.b.bus);
	out(s, SB + 6, 1, 1);
	out(s, SB + 6, 1, 0);
	g_assert_cmphex(in(s, SB + 14, 1), ==, 0xff);
	g_assert_cmphex(in(s, SB + 10, 1), ==, 0xaa);
	g_assert_cmphex(in(s, SB + 14, 1), ==, 0x7f);
}

static void sb_command(struct sound_rig *s, const char *bytes, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		g_assert_cmphex(in(s, SB + 12, 1) & 0x80, ==, 0);
		out(s, SB + 12, 1, (uint8_t)bytes[i]);
	}
}

#define SB_COMMAND(s, bytes) sb_command(s, bytes, sizeof(bytes) - 1)

static uint8_t sb_mixer(struct sound_rig *s, uint8_t reg)
{
	out(s, SB + 4, 1, reg);
	return (uint8_t)in(s, SB + 5, 1);
}

static void sb_set_mixer(struct sound_rig *s, uint8_t reg, uint8_t val)
{
	out(s, SB + 4, 1, reg);
	out(s, SB + 5, 1, val);
}

static void sb_loud(struct sound_rig *s)
{
	for (unsigned reg = 0x30; reg <= 0x35; reg++)
		sb_set_mixer(s, (uint8_t)reg, 0xf8);
}

/* Both bytes of an 8237's register. */
static void dma_word(struct sound_rig *s, uint16_t port, unsigned val)
{
	out(s, port, 1, val & 0xff);
	out(s, port, 1, val >> 8);
}

/* Channel 1 or 5 from BUFFER on; count in its units. */
static void dma_program(
	struct sound_rig *s, unsigned channel, uint8_t mode, unsigned count)
{
	bool wide = channel > 3;

	out(s, wide ? 0xd4 : 0x0a, 1, 5);
	out(s, wide ? 0xd8 : 0x0c, 1, 0);
	out(s, wide ? 0xd6 : 0x0b, 1, mode | 1);
	out(s, wide ? 0x8b : 0x83, 1, BUFFER >> 16);
	dma_word(s, wide ? 0xc4 : 0x02,
		wide ? (BUFFER & 0x1ffff) >> 1 : BUFFER & 0xffff);
	dma_word(s, wide ? 0xc6 : 0x03, count - 1);
	out(s, wide ? 0xd4 : 0x0a, 1, 1);
}

static unsigned dma_left(struct sound_rig *s, unsigned channel)
{
	bool wide = channel > 3;
	unsigned low;

	out(s, wide ? 0xd8 : 0x0c, 1, 0);
	low = in(s, wide ? 0xc6 : 0x03, 1);
	return low | in(s, wide ? 0xc6 : 0x03, 1) << 8;
}

static void test_sb_registers(void)
{
	static const struct {
		const char *ask;
		unsigned len;
		uint8_t answer[2];
	} asks[] = {
		{"\xe1", 1, {4, 5}},
		{"\xe0\x5a", 2, {0xa5}},
		{"\xe4\x77\xe8", 3, {0x77}},
		{"\xd1\xd8", 2, {0xff}},
		{"\xd3\xd8", 2, {0}},
		{"\xfb", 1, {0}},
		{"\xf8", 1, {0}},
	};
	static const struct {
		uint8_t reg, start, write, then;
	} mixer[] = {
		{0x30, 0xc0, 0xff, 0xf8},
		{0x22, 0xfc, 0x9b, 0x9b}, /* the Pro's, of both sides */
		{0x31, 0xb8, 0x00, 0x00},
		{0x36, 0x00, 0x55, 0x50},
		{0x3b, 0x00, 0xff, 0xc0},
		{0x3c, 0x1f, 0xff, 0x1f},
		{0x44, 0x80, 0x7f, 0x70},
		{0x80, 0x02, 0x01, 0x01}, /* interrupt 5, 2, 5 */
		{0x80, 0x01, 0x02, 0x02},
		{0x81, 0x22, 0x41, 0x41}, /* channels 1 and 5, 0 and 6 */
		{0x81, 0x41, 0x22, 0x22},
		{0x00, 0x00, 0x00, 0x00}, /* reset */
		{0x30, 0xc0, 0xc0, 0xc0},
		{0x81, 0x22, 0x22, 0x22},
	};
	struct sound_rig s;

	sb_open(&s);
	for (unsigned i = 0; i < G_N_ELEMENTS(asks); i++) {
		sb_command(&s, asks[i].ask, asks[i].len);
		g_assert_cmphex(in(&s, SB + 14, 1), ==, 0xff);
		g_assert_cmphex(in(&s, SB + 10, 1), ==, asks[i].answer[0]);
		if (asks[i].answer[1])
			g_assert_cmphex(
				in(&s, SB + 10, 1), ==, asks[i].answer[1]);
		g_assert_cmphex(in(&s, SB + 14, 1), ==, 0x7f);
	}
	for (unsigned i = 0; i < G_N_ELEMENTS(mixer); i++) {
		g_assert_cmphex(sb_mixer(&s, mixer[i].reg), ==, mixer[i].start);
		sb_set_mixer(&s, mixer[i].reg, mixer[i].write);
		g_assert_cmphex(sb_mixer(&s, mixer[i].reg), ==, mixer[i].then);
	}
	/* interrupts that are asked for, and who takes them back */
	SB_COMMAND(&s, "\xf2\xf3");
	g_assert_true(s.r.level[5]);
	g_assert_cmphex(sb_mixer(&s, 0x82), ==, 3);
	in(&s, SB + 14, 1);
	g_assert_true(s.r.level[5]);
	in(&s, SB + 15, 1);
	g_assert_false(s.r.level[5]);
	/* the MIDI port */
	g_assert_cmphex(in(&s, 0x331, 1), ==, 0xbf);
	out(&s, 0x331, 1, 0xff);
	g_assert_cmphex(in(&s, 0x331, 1), ==, 0x3f);
	g_assert_cmphex(sb_mixer(&s, 0x82), ==, 4);
	g_assert_cmphex(in(&s, 0x330, 1), ==, 0xfe);
	g_assert_cmphex(sb_mixer(&s, 0x82), ==, 0);
	sound_close(&s);
}

/* 8 bits, mono, single cycle at 22222 Hz; then 16 bits, stereo, round and
 * round; the DMA controller's counters follow the clock. */
static void test_sb_play(void)
{
	struct sound_rig s;
	uint8_t wave[2000];
	unsigned rises;

	sb_open(&s);
	sb_loud(&s);
	for (unsigned i = 0; i < sizeof(wave); i++)
		wave[i] = i / 20 & 1 ? 0xc0 : 0x40;
	bus_dma_write(s.r.b.bus, BUFFER, wave, sizeof(wave));
	dma_program(&s, 1, 0x48, 2000);
	SB_COMMAND(&s, "\x40\xd3\x14\xe7\x03"); /* 1000 of them */
	UNTIL(&s, s.r.level[5]);
	g_assert_cmphex(sb_mixer(&s, 0x82), ==, 1);
	g_assert_cmpuint(dma_left(&s, 1), ==, 999);
	board_sleep(&s.r.b, 3000);
	g_assert_cmpuint(dma_left(&s, 1), ==, 999);
	g_assert_cmpuint(s.ear->idle, ==, 1);
	g_assert_cmpuint(s.ear->n, ==, 2161); /* 1000 / 22222 s */
	g_assert_cmpfloat(
		ear_tone(s.ear, 0, 22222 / 40.0, 216, 1728), >, 18000);
	in(&s, SB + 14, 1);
	g_assert_false(s.r.level[5]);

	fill_square(&s, 2400);
	dma_program(&s, 5, 0x58, 4800);
	SB_COMMAND(&s, "\x41\xbb\x80\xb6\x30\x5f\x09"); /* 2400 words */
	for (unsigned i = 0; i < 3; i++) {
		UNTIL(&s, s.r.level[5]);
		g_assert_cmphex(sb_mixer(&s, 0x82), ==, 2);
		in(&s, SB + 15, 1);
	}
	rises = s.r.rises[5];
	SB_COMMAND(&s, "\xd5"); /* paused */
	board_sleep(&s.r.b, 3000);
	g_assert_cmpuint(s.r.rises[5], ==, rises);
	SB_COMMAND(&s, "\xd6\xd9"); /* goes on, to the block's end */
	UNTIL(&s, s.r.level[5]);
	in(&s, SB + 15, 1);
	board_sleep(&s.r.b, 60000);
	g_assert_false(s.r.level[5]);
	/* a channel that is masked makes it wait */
	out(&s, 0x0a, 1, 5);
	SB_COMMAND(&s, "\x14\x10\x00");
	board_sleep(&s.r.b, 3000);
	g_assert_false(s.r.level[5]);
	dma_program(&s, 1, 0x48, 2000);
	UNTIL(&s, s.r.level[5]);
	sound_close(&s);
}

/* Recording silence; silence as a command; ADPCM; direct output. */
static void test_sb_other(void)
{
	struct sound_rig s;
	uint8_t byte = 1;
	uint64_t idle;

	sb_open(&s);
	sb_loud(&s);
	dma_program(&s, 1, 0x44, 64);
	SB_COMMAND(&s, "\x41\x56\x22\x24\x3f\x00");
	UNTIL(&s, s.r.level[5]);
	bus_dma_read(s.r.b.bus, BUFFER + 63, &byte, 1);
	g_assert_cmphex(byte, ==, 0x80);
	in(&s, SB + 14, 1);
	SB_COMMAND(&s, "\x80\x10\x00");
	UNTIL(&s, s.r.level[5]);
	in(&s, SB + 14, 1);
	/* a reference, then steps of 1 up, at half of 8 bits' unit */
	bus_dma_write(s.r.b.bus, BUFFER, "\x80\x11\x11\x11\x11", 5);
	dma_program(&s, 1, 0x48, 5);
	s.ear->begun = false;
	s.ear->n = 0;
	SB_COMMAND(&s, "\x75\x04\x00");
	UNTIL(&s, s.r.level[5]);
	in(&s, SB + 14, 1);
	idle = s.ear->idle;
	SB_COMMAND(&s, "\x10\xff");
	board_sleep(&s.r.b, 5000);
	SB_COMMAND(&s, "\x10\x00");
	UNTIL(&s, s.ear->idle > idle);
	g_assert_cmpuint(s.ear->n, >, 240);
	/* DMA identification, as genuine cards answer */
	dma_program(&s, 1, 0x44, 1);
	SB_COMMAND(&s, "\xe2\x00");
	bus_dma_read(s.r.b.bus, BUFFER, &byte, 1);
	g_assert_cmphex(byte, ==, (0xaa - 106) & 0xff);
	sound_close(&s);
}

static void fm(struct sound_rig *s, unsigned reg, uint8_t val)
{
	uint16_t port = reg & 0x100 ? 0x38a : 0x388;

	out(s, port, 1, reg & 0xff);
	out(s, port + 1, 1, val);
}

/* Timers as they are looked for, then a sine of 440 Hz on one side. */
static void test_sb_fm(void)
{
	static const struct {
		uint16_t reg;
		uint8_t val;
	} tone[] = {{0x105, 1}, {0x20, 0x21}, {0x23, 0x21}, {0x40, 0x3f},
		{0x43, 0x00}, {0x60, 0xf0}, {0x63, 0xf0}, {0x80, 0x0f},
		{0x83, 0x0f}, {0xc0, 0x11}, {0xa0, 0x44}, {0xb0, 0x32}};
	/* 440 Hz: F-number 0x244 in block 4 */
	const double hz = 0x244 * 49716.0 / (1 << 16);
	struct sound_rig s;

	sb_open(&s);
	sb_loud(&s);
	fm(&s, 4, 0x60);
	fm(&s, 4, 0x80);
	g_assert_cmphex(in(&s, 0x388, 1), ==, 0);
	fm(&s, 2, 0xff);
	fm(&s, 4, 0x21);
	UNTIL(&s, in(&s, 0x388, 1) == 0xc0);
	fm(&s, 4, 0x60);
	fm(&s, 4, 0x80);
	g_assert_cmphex(in(&s, 0x388, 1), ==, 0);
	for (unsigned i = 0; i < G_N_ELEMENTS(tone); i++)
		fm(&s, tone[i].reg, tone[i].val);
	UNTIL(&s, s.ear->n > 9600);
	fm(&s, 0xb0, 0x12); /* the key goes up: it dies away at once */
	UNTIL(&s, s.ear->idle);
	g_assert_cmpfloat(ear_tone(s.ear, 0, hz, 1200, 7200), >, 4000);
	g_assert_cmpfloat(ear_noise(s.ear, 0, hz, 1200, 7200), <, 60);
	g_assert_cmpfloat(ear_tone(s.ear, 1, hz, 1200, 7200), <, 1);
	sound_close(&s);
}

/* ---- loudspeaker ---- */

static void test_speaker(void)
{
	struct sound_rig s;
	struct dev *pit;

	sound_open(&s, "i8254");
	pit = s.dev;
	s.dev = board_add(&s.r.b, "speaker");
	bus_lock(s.r.b.bus);
	speaker_attach(s.dev, pit);
	bus_unlock(s.r.b.bus);
	/* 1000 Hz, but the line is off: nothing */
	out(&s, 0x43, 1, 0xb6);
	out(&s, 0x42, 1, 1193 & 0xff);
	out(&s, 0x42, 1, 1193 >> 8);
	out(&s, 0x61, 1, 1);
	board_sleep(&s.r.b, 3000);
	g_assert_false(s.ear->begun);
	out(&s, 0x61, 1, 3);
	UNTIL(&s, s.ear->n > 4800);
	/* another tone from the next period on */
	out(&s, 0x42, 1, 2386 & 0xff);
	out(&s, 0x42, 1, 2386 >> 8);
	UNTIL(&s, s.ear->n > 14400);
	out(&s, 0x61, 1, 0);
	UNTIL(&s, s.ear->idle);
	/* a square's first harmonic is 4/pi of it */
	g_assert_cmpfloat(ear_tone(s.ear, 0, 1193182 / 1193.0, 960, 3360), >,
		0.9 * 4000 * 4 / G_PI);
	g_assert_cmpfloat(ear_tone(s.ear, 0, 1193182 / 2386.0, 9600, 4800), >,
		0.9 * 4000 * 4 / G_PI);
	/* by hand: channel 2 stands, its output is high */
	s.ear->idle = 0;
	out(&s, 0x61, 1, 2);
	UNTIL(&s, s.ear->idle);
	sound_close(&s);
}

/* How long the line is high, in all modes and while counts change. */
static void test_speaker_high(void)
{
	static const struct {
		uint8_t control;
		uint16_t count;
		unsigned of_1000; /* long after it began */
	} cases[] = {
		{0xb6, 1000, 500},
		{0xb6, 1001, 500},
		{0xb4, 1000, 999},
		{0xb4, 2, 500},
		{0xb0, 1000, 1000}, /* it has come to its end */
		{0xb8, 1000, 1000},
	};
	struct sound_rig s;
	struct dev *pit;

	sound_open(&s, "i8254");
	pit = s.dev;
	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
		uint64_t from, high;

		out(&s, 0x61, 1, 3);
		out(&s, 0x43, 1, cases[i].control);
		out(&s, 0x42, 1, cases[i].count & 0xff);
		out(&s, 0x42, 1, cases[i].count >> 8);
		from = bus_clock_ns(s.r.b.bus) * 12 / 10000 + 100000;
		bus_lock(s.r.b.bus);
		high = i8254_speaker_high(pit, from, from + 1001000);
		g_assert_cmpuint(i8254_speaker_high(pit, from, from), ==, 0);
		bus_unlock(s.r.b.bus);
		g_assert_cmpuint(
			(high + 1000) / 1001, >=, cases[i].of_1000 - 1);
		g_assert_cmpuint(high / 1001, <=, cases[i].of_1000 + 1);
		out(&s, 0x61, 1, 1);
		bus_lock(s.r.b.bus);
		g_assert_cmpuint(
			i8254_speaker_high(pit, from, from + 100), ==, 0);
		bus_unlock(s.r.b.bus);
	}
	sound_close(&s);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/sound/ac97/registers", test_ac97_registers);
	g_test_add_func("/sound/ac97/play", test_ac97_play);
	g_test_add_func("/sound/ac97/record", test_ac97_record);
	g_test_add_func("/sound/hda/registers", test_hda_registers);
	g_test_add_func("/sound/hda/codec", test_hda_codec);
	g_test_add_func("/sound/hda/play", test_hda_play);
	g_test_add_func("/sound/sb16/registers", test_sb_registers);
	g_test_add_func("/sound/sb16/play", test_sb_play);
	g_test_add_func("/sound/sb16/other", test_sb_other);
	g_test_add_func("/sound/sb16/fm", test_sb_fm);
	g_test_add_func("/sound/speaker", test_speaker);
	g_test_add_func("/sound/speaker-high", test_speaker_high);
	return g_test_run();
}
