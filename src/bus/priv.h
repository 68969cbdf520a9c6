/* priv.h - what the files of bus/ share. */
#ifndef BUS_PRIV_H
#define BUS_PRIV_H

#include "bus/bus.h"

#define BUS_MAX_REGIONS	  256
#define BUS_MAX_CLAIMS	  512
#define BUS_MAX_LISTENERS 8
#define BUS_NPORTS	  65536u

/* A RAM page that some region overlays: bus_resolve must look closer. */
#define BUS_PAGE_OVERLAID 0x80

struct bus_claim {
	uint16_t first;
	unsigned count; /* 0 = free record */
	const struct bus_io_ops *ops;
	void *opaque;
	uint64_t age;
};

struct bus {
	pthread_mutex_t lock;
	_Atomic(const void *) owner; /* identity of the thread holding lock */
	unsigned depth;

	struct bus_ram ram;
	_Atomic(uint8_t) *flags;
	_Atomic(gpa_t) a20_mask;

	pthread_rwlock_t map_lock; /* regions; inside the big lock */
	struct bus_region *regions[BUS_MAX_REGIONS]; /* highest prio first */
	unsigned nregions;

	_Atomic(struct bus_listener *) listeners[BUS_MAX_LISTENERS];
	_Atomic(unsigned) dma_busy; /* calls of bus_dma_written going on */

	struct bus_claim claims[BUS_MAX_CLAIMS]; /* [0] is "nobody" */
	uint16_t *ports;			 /* port -> index into claims */
	uint64_t claim_age;

	void (*msi_send)(void *opaque, uint64_t addr, uint32_t data);
	void *msi_opaque;
	bool (*x87_error)(void *opaque, bool pending);
	void *x87_opaque;
	void (*request)(void *opaque, enum bus_request r);
	void *request_opaque;

	struct bus_cpu *cpus[BUS_MAX_CPUS];
	unsigned ncpus;

	/* clock and timers */
	_Atomic(int64_t) clock_offset_ns; /* subtracted from CLOCK_MONOTONIC */
	_Atomic(uint64_t) paused_at_ns;	  /* virtual time, 0 = running */
	uint64_t paused_tsc;		  /* the host's TSC then */
	struct bus_timer **heap;
	unsigned ntimers, heap_room;
	uint64_t armed_ns; /* what the timerfd is set to */
	/* The earliest deadline by CLOCK_MONOTONIC, 0 = none. */
	_Atomic(uint64_t) due_ns;
	_Atomic(struct bus_cpu *) dozer; /* waits until then */
	int timerfd;
};

void bus_map_init(struct bus *b);
void bus_map_fini(struct bus *b);
void bus_io_init(struct bus *b);
void bus_io_fini(struct bus *b);
bool bus_clock_init(struct bus *b);
void bus_clock_fini(struct bus *b);
void bus_cpus_fini(struct bus *b);
void bus_cpu_stood_still(struct bus_cpu *c, uint64_t ticks);

/* Tell all listeners that cached resolutions are stale. */
void bus_tell_map_changed(struct bus *b);

#endif
