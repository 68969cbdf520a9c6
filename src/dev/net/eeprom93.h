/*
 * eeprom93.h - a 93C46-class serial EEPROM (Microwire): 64 words behind chip
 * select, clock, data in and data out.
 */
#ifndef DEV_NET_EEPROM93_H
#define DEV_NET_EEPROM93_H

#include <stdbool.h>
#include <stdint.h>

#define EEPROM93_WORDS 64

struct state_list; /* dev/state.h */

struct eeprom93 {
	uint16_t word[EEPROM93_WORDS];
	bool cs, sk, out;
	bool started;	/* the start bit has come */
	bool reading;	/* a word is on its way out */
	bool unlocked;	/* EWEN */
	uint8_t nbits;	/* behind the start bit */
	uint32_t shift; /* these bits */
	uint16_t data;	/* what is shifted out */
};

/* The levels of the inputs are these now. */
void eeprom93_set(struct eeprom93 *e, bool cs, bool sk, bool di);
static inline bool eeprom93_out(const struct eeprom93 *e)
{
	return e->out;
}

/* What of it is saved. */
extern const struct state_list eeprom93_state;

/* Power-on state of the interface; the words stay. */
void eeprom93_reset(struct eeprom93 *e);
/* The words stay; the interface is as it was. */
void eeprom93_go_on(struct eeprom93 *e, const struct eeprom93 *was);

#endif
