/* dev-board.h - a bus with processors and devices for the tests of dev/. */
#ifndef TESTS_UNIT_DEV_BOARD_H
#define TESTS_UNIT_DEV_BOARD_H

#include <string.h>

#include <glib.h>

#include "dev/dev.h"
#include "dev/irq/intc.h"
#include "dev/pci/pci.h"

struct board {
	struct bus *bus;
	struct dev *intc;
	struct dev_host host;
	unsigned resets, poweroffs, watchdogs;
	struct dev *devs[16];
	unsigned ndevs;
};

static inline void board_request(void *opaque, enum bus_request r)
{
	struct board *b = opaque;

	if (r == BUS_REQ_RESET)
		b->resets++;
	else if (r == BUS_REQ_POWEROFF)
		b->poweroffs++;
	else if (r == BUS_REQ_WATCHDOG)
		b->watchdogs++;
}

static inline void board_init(struct board *b, unsigned ncpus)
{
	char err[128];

	memset(b, 0, sizeof(*b));
	b->bus = bus_new(16 << 20, 3ull << 30);
	for (unsigned i = 0; i < ncpus; i++)
		bus_cpu_new(b->bus, i);
	bus_request_handler(b->bus, board_request, b);
	b->host.bus = b->bus;
	b->host.pci_slot = -1;
	bus_lock(b->bus);
	b->intc = dev_new(&intc_class, "intc", &b->host, err, sizeof(err));
	b->host.gsi = intc_gsi(b->intc);
	b->host.pci = pci_bus_new(b->bus);
	bus_unlock(b->bus);
}

static inline struct dev *board_add(struct board *b, const char *class)
{
	char err[128];
	struct dev *d;

	bus_lock(b->bus);
	d = dev_new(dev_class_find(class), class, &b->host, err, sizeof(err));
	bus_unlock(b->bus);
	g_assert_nonnull(d);
	b->devs[b->ndevs++] = d;
	return d;
}

static inline void board_fini(struct board *b)
{
	bus_lock(b->bus);
	while (b->ndevs)
		dev_free(b->devs[--b->ndevs]);
	dev_free(b->intc);
	pci_bus_free(b->host.pci);
	bus_unlock(b->bus);
	bus_free(b->bus);
}

static inline void outb(struct board *b, uint16_t port, uint8_t val)
{
	bus_io_write(b->bus, port, 1, val);
}

static inline uint8_t inb(struct board *b, uint16_t port)
{
	return bus_io_read(b->bus, port, 1);
}

static inline void outl(struct board *b, uint16_t port, uint32_t val)
{
	bus_io_write(b->bus, port, 4, val);
}

static inline uint32_t inl(struct board *b, uint16_t port)
{
	return bus_io_read(b->bus, port, 4);
}

static inline void board_irq(struct board *b, unsigned n, bool level)
{
	bus_lock(b->bus);
	bus_irq_set(&b->host.gsi[n], level);
	bus_unlock(b->bus);
}

static inline bool board_intr(struct board *b, unsigned cpu)
{
	return bus_cpu_at(b->bus, cpu)->events & BUS_EV_INTR;
}

static inline int board_ack(struct board *b, unsigned cpu)
{
	return bus_cpu_ack_interrupt(bus_cpu_at(b->bus, cpu));
}

/* Let virtual time pass with timers running. */
static inline void board_sleep(struct board *b, unsigned us)
{
	uint64_t end = bus_clock_ns(b->bus) + us * 1000ull;

	while (bus_clock_ns(b->bus) < end) {
		g_usleep(MIN(us, 200));
		bus_timers_run(b->bus);
	}
}

#endif
