/*
 * i8259.h - the pair of 8259A interrupt controllers, private to irq/.
 */
#ifndef DEV_IRQ_I8259_H
#define DEV_IRQ_I8259_H

#include <stdbool.h>
#include <stdint.h>

#include "bus/bus.h"

struct i8259_chip {
	uint8_t irr, imr, isr;
	uint8_t line;	  /* level of the inputs */
	uint8_t elcr;	  /* 1 = level triggered */
	uint8_t base;	  /* ICW2 */
	uint8_t prio_add; /* lowest-priority input + 1, mod 8 */
	uint8_t icw;	  /* next initialisation word: 2, 3, 4; 0 = ready */
	bool icw4_needed, single;
	bool auto_eoi, rotate_aeoi, special_nested;
	bool special_mask, poll, read_isr;
	bool initialised;
};

struct i8259 {
	struct i8259_chip chip[2]; /* primary, secondary */
	struct bus_irq out;	   /* INT of the primary */
	struct bus *bus;
	bool out_level;
	uint64_t acks, spurious;
};

void i8259_init(struct i8259 *p, struct bus *b, struct bus_irq out);
void i8259_fini(struct i8259 *p);
void i8259_reset(struct i8259 *p);
void i8259_set(struct i8259 *p, unsigned irq, bool level);
/* The INTA cycles: a vector, always. */
uint8_t i8259_ack(struct i8259 *p);

#endif
