/*
 * irq_lines.c - interrupt lines with several sources.
 *
 * What a source drives follows from its own state, so nothing is saved here:
 * a device that is loaded says what it had (irq_lines_note).
 */
#include "dev/misc/irq_lines.h"

#include <glib.h>

struct irq_source {
	struct irq_lines *lines;
	struct bus_irq in[BUS_NGSI];
};

struct irq_lines {
	const struct bus_irq *out;
	uint32_t high[BUS_NGSI]; /* a bit for each source */
	unsigned nsources;
	struct irq_source source[IRQ_LINES_SOURCES];
};

static void irq_lines_take(struct irq_source *s, unsigned n, bool level)
{
	uint32_t bit = 1u << (s - s->lines->source);
	uint32_t *high = &s->lines->high[n];

	*high = level ? *high | bit : *high & ~bit;
}

static void irq_lines_set(void *opaque, unsigned n, bool level)
{
	struct irq_source *s = opaque;

	irq_lines_take(s, n, level);
	bus_irq_set(&s->lines->out[n], s->lines->high[n]);
}

void irq_lines_note(const struct bus_irq *i, bool level)
{
	if (i->set == irq_lines_set)
		irq_lines_take(i->opaque, i->n, level);
}

struct irq_lines *irq_lines_new(const struct bus_irq *out)
{
	struct irq_lines *l = g_new0(struct irq_lines, 1);

	l->out = out;
	return l;
}

void irq_lines_free(struct irq_lines *l)
{
	g_free(l);
}

const struct bus_irq *irq_lines_add(struct irq_lines *l)
{
	struct irq_source *s;

	if (l->nsources == IRQ_LINES_SOURCES)
		return NULL;
	s = &l->source[l->nsources++];
	s->lines = l;
	for (unsigned n = 0; n < BUS_NGSI; n++)
		s->in[n] = (struct bus_irq){irq_lines_set, s, n};
	return s->in;
}
