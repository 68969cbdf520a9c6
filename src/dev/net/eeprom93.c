/*
 * eeprom93.c - a 93C46 in its organisation of 64 words (Microchip 93C46B data
 * sheet DS21749, 2: start bit, two bits of operation, six of address).
 *
 * All is clocked by rising edges of SK while CS is high; CS low ends an
 * operation and carries out a write.  Writes take no time.
 */
#include "dev/net/eeprom93.h"

#include <string.h>

#include "dev/state.h"

#define ADDR_BITS 6
#define CMD_BITS  (2 + ADDR_BITS)

enum { OP_EXTENDED, OP_WRITE, OP_READ, OP_ERASE };

static unsigned eeprom93_op(const struct eeprom93 *e)
{
	return e->shift >> (e->nbits - 2) & 3;
}

static unsigned eeprom93_address(const struct eeprom93 *e)
{
	return e->shift >> (e->nbits - CMD_BITS) & (EEPROM93_WORDS - 1);
}

void eeprom93_reset(struct eeprom93 *e)
{
	e->cs = e->sk = e->started = e->reading = e->unlocked = false;
	e->out = true;
	e->nbits = 0;
	e->shift = 0;
	e->data = 0;
}

void eeprom93_go_on(struct eeprom93 *e, const struct eeprom93 *was)
{
	struct eeprom93 now = *was;

	memcpy(now.word, e->word, sizeof(now.word));
	*e = now;
}

static void eeprom93_fill(struct eeprom93 *e, uint16_t val)
{
	for (unsigned i = 0; i < EEPROM93_WORDS; i++)
		e->word[i] = val;
}

/* CS has gone low. */
static void eeprom93_carry_out(struct eeprom93 *e)
{
	bool has_data = e->nbits == CMD_BITS + 16;
	unsigned address;

	if (!e->started || e->reading || (e->nbits != CMD_BITS && !has_data))
		return;
	address = eeprom93_address(e);
	switch (eeprom93_op(e)) {
	case OP_WRITE:
		if (has_data && e->unlocked)
			e->word[address] = e->shift;
		break;
	case OP_ERASE:
		if (e->unlocked)
			e->word[address] = 0xffff;
		break;
	case OP_EXTENDED:
		switch (address >> (ADDR_BITS - 2)) {
		case 0: e->unlocked = false; break;
		case 1:
			if (has_data && e->unlocked)
				eeprom93_fill(e, e->shift);
			break;
		case 2:
			if (e->unlocked)
				eeprom93_fill(e, 0xffff);
			break;
		case 3: e->unlocked = true; break;
		}
		break;
	}
}

static void eeprom93_read_bit(struct eeprom93 *e)
{
	/* The next word follows without end (2.6). */
	if (e->nbits == CMD_BITS + 16) {
		e->nbits = CMD_BITS;
		e->shift++;
		e->data = e->word[e->shift & (EEPROM93_WORDS - 1)];
	}
	e->out = e->data >> 15;
	e->data <<= 1;
	e->nbits++;
}

static void eeprom93_clock(struct eeprom93 *e, bool di)
{
	if (!e->started) {
		e->started = di;
		e->nbits = 0;
		e->shift = 0;
		return;
	}
	if (e->reading) {
		eeprom93_read_bit(e);
		return;
	}
	if (e->nbits == CMD_BITS + 16)
		return;
	e->shift = e->shift << 1 | di;
	e->nbits++;
	if (e->nbits == CMD_BITS && eeprom93_op(e) == OP_READ) {
		e->reading = true;
		e->out = false; /* a zero comes first */
		e->data = e->word[eeprom93_address(e)];
	}
}

void eeprom93_set(struct eeprom93 *e, bool cs, bool sk, bool di)
{
	bool rise = sk && !e->sk;

	if (cs != e->cs) {
		if (!cs)
			eeprom93_carry_out(e);
		e->started = e->reading = false;
		e->out = true; /* ready */
	}
	e->cs = cs;
	e->sk = sk;
	if (cs && rise)
		eeprom93_clock(e, di);
}

static const struct state_field eeprom93_fields[] = {
	STATE_ARRAY(struct eeprom93, word),
	STATE(struct eeprom93, cs),
	STATE(struct eeprom93, sk),
	STATE(struct eeprom93, out),
	STATE(struct eeprom93, started),
	STATE(struct eeprom93, reading),
	STATE(struct eeprom93, unlocked),
	STATE(struct eeprom93, nbits, .max = CMD_BITS + 16),
	STATE(struct eeprom93, shift),
	STATE(struct eeprom93, data),
};

const struct state_list eeprom93_state =
	STATE_LIST("eeprom93", struct eeprom93, 1, eeprom93_fields);
