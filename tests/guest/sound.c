/*
 * sound.c - a Sound Blaster 16 on the bare machine: its DSP, blocks by 8- and
 * 16-bit DMA, which take their time, the FM chip's timers.
 */
#include "clock.h"

#define SB   0x220
#define DATA 0x200000u

static bool dsp(uint8_t byte)
{
	for (unsigned i = 0; inb(SB + 12) & 0x80; i++)
		if (i > 10000)
			return false;
	outb(SB + 12, byte);
	return true;
}

static int dsp_read(void)
{
	for (unsigned i = 0; !(inb(SB + 14) & 0x80); i++)
		if (i > 10000)
			return -1;
	return inb(SB + 10);
}

static uint8_t mixer(uint8_t reg)
{
	outb(SB + 4, reg);
	return inb(SB + 5);
}

static void test_dsp(void)
{
	outb(SB + 6, 1);
	outb(SB + 6, 0);
	ok(dsp_read() == 0xaa, "DSP comes out of its reset");
	dsp(0xe1);
	ok(dsp_read() == 4 && dsp_read() == 5, "version 4.05");
	dsp(0xe0);
	dsp(0xc3);
	ok(dsp_read() == 0x3c, "it answers with the complement");
	ok(mixer(0x80) == 2 && mixer(0x81) == 0x22,
		"interrupt 5, channels 1 and 5");
}

/* Channel 1 or 5, from DATA on. */
static void dma(bool wide, unsigned count)
{
	uint16_t base = wide ? 0xc0 : 0, unit = wide ? 2 : 1;

	outb((uint16_t)(base + 10 * unit), 5);
	outb((uint16_t)(base + 12 * unit), 0);
	outb((uint16_t)(base + 11 * unit), 0x49); /* out of memory, once */
	outb(wide ? 0x8b : 0x83, DATA >> 16);
	outb((uint16_t)(base + 2 * unit), 0);
	outb((uint16_t)(base + 2 * unit), 0);
	outb((uint16_t)(base + 3 * unit), (uint8_t)(count - 1));
	outb((uint16_t)(base + 3 * unit), (uint8_t)((count - 1) >> 8));
	outb((uint16_t)(base + 10 * unit), 1);
}

/* A block of a tenth of a second; *span: how long it took. */
static bool block(bool wide, uint32_t *span)
{
	uint32_t from = pm();
	uint8_t bit = wide ? 2 : 1;

	dma(wide, 4410);
	dsp(0x41); /* 22050 Hz */
	dsp(0x56);
	dsp(0x22);
	dsp(wide ? 0xb0 : 0xc0);
	dsp(wide ? 0x10 : 0x00);
	dsp(2204 & 0xff);
	dsp(2204 >> 8);
	while (!(mixer(0x82) & bit))
		if (pm_since(from) > 10 * PM_PER_TENTH)
			return false;
	*span = pm_since(from);
	inb(wide ? SB + 15 : SB + 14);
	return !(mixer(0x82) & bit);
}

static unsigned dma_left(bool wide)
{
	unsigned low;

	outb(wide ? 0xd8 : 0x0c, 0);
	low = inb(wide ? 0xc6 : 0x03);
	return low | (unsigned)inb(wide ? 0xc6 : 0x03) << 8;
}

static void test_blocks(void)
{
	uint32_t span = 0;

	/* what firmware does: channels 0 to 3 through 4 */
	outb(0xd6, 0xc0);
	outb(0xd4, 0);
	ok(block(false, &span), "a block of 8 bits");
	/* the host may have kept us, but not the card */
	ok(span >= PM_PER_TENTH, "it takes its time");
	ok(dma_left(false) == 4409 - 2205, "as many as it should");
	ok(block(true, &span), "a block of 16 bits");
	ok(span >= PM_PER_TENTH, "so does this");
	ok(dma_left(true) == 4409 - 2205, "as many words");
}

static void fm(uint8_t reg, uint8_t val)
{
	outb(0x388, reg);
	outb(0x389, val);
}

static void test_fm(void)
{
	uint32_t from;

	fm(4, 0x60);
	fm(4, 0x80);
	ok(inb(0x388) == 0, "no timer has run over; it is an OPL3");
	fm(2, 0xff);
	from = pm();
	fm(4, 0x21);
	while (!(inb(0x388) & 0x40) && pm_since(from) < PM_PER_TENTH)
		;
	ok(inb(0x388) == 0xc0, "the first timer has");
	ok(pm_since(from) >= 80 * PM_PER_MS / 1000, "after 80 us");
	fm(4, 0x60);
	fm(4, 0x80);
	ok(inb(0x388) == 0, "and is told so");
}

void test_main(void)
{
	test_dsp();
	test_blocks();
	test_fm();
}
