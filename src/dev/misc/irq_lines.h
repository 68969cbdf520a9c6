/*
 * irq_lines.h - interrupt lines with several sources, as ISA cards share them.
 *
 * A line is high while one source drives it high.  With an edge-triggered
 * controller, a second source that rises meanwhile makes no edge, so whoever
 * serves the line looks at all of them until none has anything to say.
 */
#ifndef DEV_MISC_IRQ_LINES_H
#define DEV_MISC_IRQ_LINES_H

#include "bus/bus.h"

#define IRQ_LINES_SOURCES 32

struct irq_lines;

/* Onto BUS_NGSI lines, which must outlive it. */
struct irq_lines *irq_lines_new(const struct bus_irq *out);
void irq_lines_free(struct irq_lines *l);
/* BUS_NGSI lines of one more source; NULL if there are too many. */
const struct bus_irq *irq_lines_add(struct irq_lines *l);
/* For .loaded: what the source had on the line when it was saved.  Drives
 * nothing; i may be any line. */
void irq_lines_note(const struct bus_irq *i, bool level);

#endif
