/* intc_state.h - lists of what is saved, private to irq/. */
#ifndef DEV_IRQ_INTC_STATE_H
#define DEV_IRQ_INTC_STATE_H

struct state_list;

extern const struct state_list i8259_state, ioapic_state, lapic_set_state;

#endif
