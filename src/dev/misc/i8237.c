/*
 * i8237.c - two 8237A DMA controllers and their page registers.
 *
 * Intel 8237A data sheet 231466-005 ("Register description"); Intel 82371SB
 * data sheet 290550-002, 2.5.1 (DMA registers) and 2.5.1.13 (page registers).
 *
 * Channels 0 to 3 move bytes within 64 KiB, 5 to 7 words within 128 KiB; 4 is
 * where the first controller's request comes in.  There is no transfer from
 * memory to memory, as on any PC since the AT.
 */
#include <stdio.h>

#include <glib.h>

#include "dev/misc/i8237.h"
#include "dev/state.h"

#define COMMAND_DISABLE 0x04

#define MODE_KIND(m) ((m) >> 2 & 3)
#define MODE_AUTO    0x10
#define MODE_DOWN    0x20
#define MODE_CASCADE 3 /* of bits 7:6 */

struct i8237_channel {
	uint16_t base, base_count; /* as programmed */
	uint16_t addr, count;
	uint8_t mode;
};

struct i8237_chip {
	struct i8237 *both;
	unsigned index;
	struct i8237_channel ch[4];
	uint8_t command, mask, request;
	uint8_t lines; /* requests of devices */
	uint8_t done;  /* channels that came to terminal count */
	bool high;     /* the byte pointer */
};

struct i8237 {
	struct dev dev;
	struct i8237_chip chip[2];
	uint8_t page[16];
	uint64_t bytes;
	struct i8237_watch *watches;
};

static struct i8237_chip *i8237_of(const struct dev *d, unsigned channel)
{
	struct i8237 *both = (struct i8237 *)(uintptr_t)d;

	return &both->chip[channel >> 2 & 1];
}

/* ---- transfers ---- */

enum i8237_kind i8237_kind(const struct dev *d, unsigned channel)
{
	return MODE_KIND(i8237_of(d, channel)->ch[channel & 3].mode);
}

static bool i8237_chip_ready(const struct i8237_chip *c, unsigned n)
{
	return !(c->command & COMMAND_DISABLE) && !(c->mask >> n & 1);
}

bool i8237_ready(const struct dev *d, unsigned channel)
{
	const struct i8237_chip *c = i8237_of(d, channel);
	const struct i8237_chip *second = &c->both->chip[1];

	if (!i8237_chip_ready(c, channel & 3) ||
		c->ch[channel & 3].mode >> 6 == MODE_CASCADE)
		return false;
	return c->index || (i8237_chip_ready(second, 0) &&
				   second->ch[0].mode >> 6 == MODE_CASCADE);
}

static gpa_t i8237_address(const struct i8237_chip *c, unsigned n)
{
	/* where the page of channels 0 to 3, 5 to 7 is written */
	static const uint8_t at[2][4] = {{7, 3, 1, 2}, {15, 11, 9, 10}};
	gpa_t page = c->both->page[at[c->index][n]];

	if (c->index)
		return (page & 0xfe) << 16 | (gpa_t)c->ch[n].addr << 1;
	return page << 16 | c->ch[n].addr;
}

static void i8237_move_one(
	struct i8237_chip *c, unsigned n, uint8_t *buf, unsigned unit)
{
	struct bus *b = c->both->dev.host.bus;
	struct i8237_channel *ch = &c->ch[n];
	gpa_t gpa = i8237_address(c, n);

	if (MODE_KIND(ch->mode) == I8237_TO_MEMORY)
		bus_dma_write(b, gpa, buf, unit);
	else if (MODE_KIND(ch->mode) == I8237_FROM_MEMORY)
		bus_dma_read(b, gpa, buf, unit);
	ch->addr += ch->mode & MODE_DOWN ? -1 : 1;
}

/* True at terminal count: the count has gone below zero. */
static bool i8237_count_one(struct i8237_chip *c, unsigned n)
{
	struct i8237_channel *ch = &c->ch[n];

	if (ch->count--)
		return false;
	c->done |= 1u << n;
	c->request &= ~(1u << n);
	if (ch->mode & MODE_AUTO) {
		ch->addr = ch->base;
		ch->count = ch->base_count;
	} else {
		c->mask |= 1u << n;
	}
	return true;
}

/* As many units as go at once: upwards, no terminal count, no wrap. */
static unsigned i8237_run(
	struct i8237_chip *c, unsigned n, uint8_t *buf, unsigned units)
{
	struct bus *b = c->both->dev.host.bus;
	struct i8237_channel *ch = &c->ch[n];
	unsigned unit = 1u << c->index;

	if (ch->mode & MODE_DOWN)
		return 0;
	units = MIN(units, ch->count);
	units = MIN(units, 0xffffu - ch->addr);
	if (!units)
		return 0;
	if (MODE_KIND(ch->mode) == I8237_TO_MEMORY)
		bus_dma_write(b, i8237_address(c, n), buf, units * unit);
	else if (MODE_KIND(ch->mode) == I8237_FROM_MEMORY)
		bus_dma_read(b, i8237_address(c, n), buf, units * unit);
	ch->addr += units;
	ch->count -= units;
	return units;
}

unsigned i8237_transfer(
	struct dev *d, unsigned channel, uint8_t *buf, unsigned len, bool *tc)
{
	struct i8237_chip *c = i8237_of(d, channel);
	unsigned n = channel & 3, unit = 1u << c->index, done = 0;

	*tc = false;
	while (done + unit <= len && !*tc && i8237_ready(d, channel)) {
		unsigned run = i8237_run(c, n, buf + done, (len - done) / unit);

		done += run * unit;
		if (run)
			continue;
		i8237_move_one(c, n, buf + done, unit);
		done += unit;
		*tc = i8237_count_one(c, n);
	}
	c->both->bytes += done;
	return done;
}

void i8237_request(struct dev *d, unsigned channel, bool on)
{
	struct i8237_chip *c = i8237_of(d, channel);
	uint8_t bit = 1u << (channel & 3);

	c->lines = on ? c->lines | bit : c->lines & ~bit;
}

/* ---- registers ---- */

static void i8237_clear(struct i8237_chip *c)
{
	c->command = c->request = c->done = 0;
	c->high = false;
	c->mask = 15;
}

static uint8_t i8237_half(struct i8237_chip *c, uint16_t v)
{
	c->high = !c->high;
	return c->high ? v : v >> 8;
}

static uint8_t i8237_reg_read(struct i8237_chip *c, unsigned reg)
{
	const struct i8237_channel *ch = &c->ch[reg >> 1 & 3];
	uint8_t val;

	if (reg < 8)
		return i8237_half(c, reg & 1 ? ch->count : ch->addr);
	switch (reg) {
	case 8:
		val = c->done | (c->request | c->lines) << 4;
		c->done = 0;
		return val;
	case 15: return c->mask | 0xf0;
	}
	return 0;
}

static void i8237_put_half(struct i8237_chip *c, uint16_t *v, uint8_t val)
{
	if (c->high)
		*v = (*v & 0xff) | val << 8;
	else
		*v = (*v & 0xff00) | val;
}

static void i8237_set_bit(uint8_t *bits, uint8_t val)
{
	uint8_t bit = 1u << (val & 3);

	*bits = val & 4 ? *bits | bit : *bits & ~bit;
}

/* Base and current are written together. */
static void i8237_program(struct i8237_chip *c, unsigned reg, uint8_t val)
{
	struct i8237_channel *ch = &c->ch[reg >> 1 & 3];
	uint16_t *base = reg & 1 ? &ch->base_count : &ch->base;
	uint16_t *now = reg & 1 ? &ch->count : &ch->addr;

	i8237_put_half(c, base, val);
	i8237_put_half(c, now, val);
	c->high = !c->high;
}

static void i8237_reg_write(struct i8237_chip *c, unsigned reg, uint8_t val)
{
	if (reg < 8) {
		i8237_program(c, reg, val);
		return;
	}
	switch (reg) {
	case 8: c->command = val; break;
	case 9: i8237_set_bit(&c->request, val); break;
	case 10: i8237_set_bit(&c->mask, val); break;
	case 11: c->ch[val & 3].mode = val & ~3; break;
	case 12: c->high = false; break;
	case 13: i8237_clear(c); break;
	case 14: c->mask = 0; break;
	case 15: c->mask = val & 15; break;
	}
}

void i8237_watch(struct dev *d, struct i8237_watch *w)
{
	struct i8237 *both = (struct i8237 *)d;

	w->next = both->watches;
	both->watches = w;
}

void i8237_unwatch(struct dev *d, struct i8237_watch *w)
{
	struct i8237_watch **p = &((struct i8237 *)d)->watches;

	while (*p && *p != w)
		p = &(*p)->next;
	if (*p)
		*p = w->next;
}

static void i8237_look(const struct i8237_chip *c)
{
	for (struct i8237_watch *w = c->both->watches; w; w = w->next)
		w->look(w->opaque);
}

static uint32_t i8237_read(void *opaque, uint16_t port, unsigned size)
{
	struct i8237_chip *c = opaque;

	i8237_look(c);
	return i8237_reg_read(c, (port >> c->index) & 15);
}

static void i8237_write(
	void *opaque, uint16_t port, unsigned size, uint32_t val)
{
	struct i8237_chip *c = opaque;

	i8237_look(c);
	i8237_reg_write(c, (port >> c->index) & 15, val);
}

static uint32_t i8237_page_read(void *opaque, uint16_t port, unsigned size)
{
	struct i8237 *both = opaque;

	return both->page[port & 15];
}

static void i8237_page_write(
	void *opaque, uint16_t port, unsigned size, uint32_t val)
{
	struct i8237 *both = opaque;

	both->page[port & 15] = val;
}

static const struct bus_io_ops i8237_ops = {
	.read = i8237_read,
	.write = i8237_write,
};

static const struct bus_io_ops i8237_page_ops = {
	.read = i8237_page_read,
	.write = i8237_page_write,
};

void i8237_cascade(struct dev *d)
{
	struct i8237 *both = (struct i8237 *)d;

	both->chip[1].ch[0].mode = MODE_CASCADE << 6;
	both->chip[1].mask &= ~1u;
}

/* ---- life ---- */

static int i8237_init(struct dev *d, char *err, unsigned errsize)
{
	struct i8237 *both = (struct i8237 *)d;
	struct bus *b = d->host.bus;

	for (unsigned i = 0; i < 2; i++) {
		both->chip[i].both = both;
		both->chip[i].index = i;
	}
	bus_io_claim(b, 0x00, 16, &i8237_ops, &both->chip[0]);
	bus_io_claim(b, 0xc0, 32, &i8237_ops, &both->chip[1]);
	bus_io_claim(b, 0x80, 16, &i8237_page_ops, both);
	return 0;
}

static void i8237_reset(struct dev *d)
{
	struct i8237 *both = (struct i8237 *)d;

	for (unsigned i = 0; i < 2; i++) {
		i8237_clear(&both->chip[i]);
		for (unsigned n = 0; n < 4; n++)
			both->chip[i].ch[n] = (struct i8237_channel){0};
		both->chip[i].lines = 0;
	}
	for (unsigned i = 0; i < 16; i++)
		both->page[i] = 0;
}

static void i8237_fini(struct dev *d)
{
	struct i8237 *both = (struct i8237 *)d;
	struct bus *b = d->host.bus;

	bus_io_release(b, 0x00, 16, &both->chip[0]);
	bus_io_release(b, 0xc0, 32, &both->chip[1]);
	bus_io_release(b, 0x80, 16, both);
}

static void i8237_describe(struct dev *d, char *buf, unsigned size)
{
	const struct i8237 *both = (const struct i8237 *)d;

	snprintf(
		buf, size, "%llu bytes moved", (unsigned long long)both->bytes);
}

/* ---- state ---- */

static const struct state_field i8237_channel_fields[] = {
	STATE(struct i8237_channel, base),
	STATE(struct i8237_channel, base_count),
	STATE(struct i8237_channel, addr),
	STATE(struct i8237_channel, count),
	STATE(struct i8237_channel, mode),
};

static const struct state_list i8237_channel_state =
	STATE_LIST("channel", struct i8237_channel, 1, i8237_channel_fields);

static const struct state_field i8237_chip_fields[] = {
	STATE_STRUCTS(struct i8237_chip, ch, &i8237_channel_state),
	STATE(struct i8237_chip, command),
	STATE(struct i8237_chip, mask, .max = 15),
	STATE(struct i8237_chip, request, .max = 15),
	STATE(struct i8237_chip, lines, .max = 15),
	STATE(struct i8237_chip, done, .max = 15),
	STATE(struct i8237_chip, high),
};

static const struct state_list i8237_chip_state =
	STATE_LIST("chip", struct i8237_chip, 1, i8237_chip_fields);

static const struct state_field i8237_fields[] = {
	STATE_STRUCTS(struct i8237, chip, &i8237_chip_state),
	STATE_BYTES(struct i8237, page),
};

static const struct state_list i8237_state =
	STATE_LIST("i8237", struct i8237, 1, i8237_fields);

const struct dev_class i8237_class = {
	.name = "i8237",
	.size = sizeof(struct i8237),
	.init = i8237_init,
	.reset = i8237_reset,
	.fini = i8237_fini,
	.describe = i8237_describe,
	.state = &i8237_state,
};
