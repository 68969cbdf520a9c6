/*
 * bus.h - where processors and devices meet.
 *
 * One struct bus per virtual machine holds guest RAM, the physical address
 * map, the I/O port map, interrupt lines, the virtual clock with its timers,
 * and one struct bus_cpu per virtual processor through which devices signal
 * engines.  Engines and devices know only this header, never each other.
 *
 * Threads: one control loop, one thread per virtual processor, worker threads
 * of devices.  bus_lock() is the machine's big lock: every device callback
 * (port, MMIO, timer, interrupt line) runs with it held; bus_io_*, bus_mmio_*
 * and bus_cpu_ack_interrupt take it themselves, everything else says so.  RAM
 * is read and written without it.  Lock order: bus lock, then a device's own
 * locks; nothing that may block for long is done under the bus lock.
 */
#ifndef BUS_BUS_H
#define BUS_BUS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint64_t gpa_t; /* guest physical address */

#define BUS_PAGE_SHIFT 12
#define BUS_PAGE_SIZE  (1ull << BUS_PAGE_SHIFT)
#define BUS_MAX_CPUS   64
#define BUS_NGSI       24

struct bus;
struct bus_cpu;

/* ---- life ---- */

/* ram_bytes: total RAM, page aligned.  RAM up to low_max bytes sits at 0, the
 * rest from 4 GiB.  NULL with errno set if the host cannot map it. */
struct bus *bus_new(uint64_t ram_bytes, uint64_t low_max);
/* With room for firmware behind RAM in its mapping, page aligned: what runs
 * from there runs as from RAM, if a region shows it read-only. */
struct bus *bus_new_rom(
	uint64_t ram_bytes, uint64_t low_max, uint64_t rom_bytes);
void bus_free(struct bus *b);

void bus_lock(struct bus *b);
void bus_unlock(struct bus *b);
bool bus_locked(const struct bus *b); /* by this thread; for assertions */

/* ---- RAM ---- */

struct bus_ram {
	uint8_t *host;	/* one linear mapping of all guest RAM */
	uint64_t bytes; /* of it, page aligned */
	uint64_t low;	/* bytes at guest physical 0; the rest at 4 GiB */
	uint64_t rom;	/* bytes behind them, at no address by themselves */
};

const struct bus_ram *bus_ram(const struct bus *b);

/* Offset of gpa in the RAM mapping, or -1 if no RAM is populated there.
 * (Says nothing of what overlays it: see bus_resolve.) */
int64_t bus_ram_offset(const struct bus *b, gpa_t gpa);

/* ---- the physical address map ---- */

struct bus_mmio_ops {
	/* size 1, 2, 4, 8; off from the region's start; any alignment */
	uint64_t (*read)(
		void *opaque, struct bus_cpu *who, uint64_t off, unsigned size);
	void (*write)(void *opaque, struct bus_cpu *who, uint64_t off,
		unsigned size, uint64_t val);
};

#define BUS_MAP_R 1
#define BUS_MAP_W 2

/*
 * A region overlays what has lower prio, for reads, writes or both (access).
 * host != NULL: accesses go to memory there (write access absent: writes fall
 * through to the next region).  host == NULL and ops != NULL: device.
 * host == NULL and ops == NULL: "RAM beneath": the plain RAM at that address.
 * Where no region and no RAM is, reads give all ones and writes vanish.
 * Plain RAM has prio 0; a region that must overlay RAM needs prio > 0.
 */
struct bus_region {
	const char *name;
	gpa_t base;
	uint64_t size;
	int prio;
	unsigned access; /* BUS_MAP_R | BUS_MAP_W */
	uint8_t *host;
	const struct bus_mmio_ops *ops;
	void *opaque;
	bool mapped; /* maintained by the bus */
};

/* Put into or take out of the map.  Lock held.  The caller owns *r.  All
 * engines are told (see struct bus_listener) before these return. */
void bus_region_map(struct bus *b, struct bus_region *r);
void bus_region_unmap(struct bus *b, struct bus_region *r);

/* What one page of the map is, for engines' TLBs.  Any thread, no lock. */
struct bus_page {
	uint8_t *read;	/* host page for reads, or NULL: use bus_mmio_read */
	uint8_t *write; /* host page for writes, or NULL: use bus_mmio_write */
	int64_t ram; /* RAM offset if this page is plain RAM both ways, else -1
		      */
};

void bus_resolve(struct bus *b, gpa_t gpa, struct bus_page *out);

/* The map as runs of pages that are memory, in ascending order, for engines
 * that hand it to somebody else.  Lock held.  At most n are written to out;
 * returns how many were. */
struct bus_range {
	gpa_t base;
	uint64_t size;
	uint8_t *host;
	bool writable; /* to the same memory */
};

unsigned bus_ranges(struct bus *b, struct bus_range *out, unsigned n);

/* Accesses by processors, size 1..8, not crossing a page.  They reach devices
 * and memory alike.  who may be NULL for a device. */
uint64_t bus_mmio_read(
	struct bus *b, struct bus_cpu *who, gpa_t gpa, unsigned size);
void bus_mmio_write(struct bus *b, struct bus_cpu *who, gpa_t gpa,
	unsigned size, uint64_t val);

/* ---- direct memory access by devices ---- */

/* Bounded copies; where the map is not memory, reads give 0xff and writes
 * vanish, and false is returned.  Any thread, no lock needed. */
bool bus_dma_read(struct bus *b, gpa_t gpa, void *buf, size_t len);
bool bus_dma_write(struct bus *b, gpa_t gpa, const void *buf, size_t len);

/* Host pointer to [gpa, gpa+len) if it is plain contiguous RAM, else NULL.
 * The guest may change it at any time: read once, then check.  After writing
 * call bus_dma_written for what was written. */
void *bus_dma_map(struct bus *b, gpa_t gpa, size_t len);
void bus_dma_written(struct bus *b, gpa_t gpa, size_t len);

/* ---- pages that engines watch ---- */

/* One byte of flags per RAM page, indexed by RAM offset >> 12. */
#define BUS_PAGE_CODE  0x01 /* an engine holds translations of it */
#define BUS_PAGE_CLEAN 0x02 /* logged, and not written since it was fetched */
_Atomic(uint8_t) *bus_page_flags(struct bus *b);

/*
 * The dirty log: which pages of RAM are written.  Start marks all as clean;
 * whoever writes a clean page, or prepares to, marks it dirty.  While it is
 * off no page is clean, so it costs nothing.
 *
 * Fetch sets bit n of bitmap (of RAM's pages; may be NULL) where page n was
 * written since the last fetch or the start, marks all clean, and returns how
 * many were dirty.  Engines have to be told before each (struct cpu_engine,
 * dirty): processors stand.
 */
void bus_dirty_start(struct bus *b);
void bus_dirty_stop(struct bus *b);
uint64_t bus_dirty_fetch(struct bus *b, uint64_t *bitmap);
/* Bytes from a RAM offset are written.  Any thread, after the write or while
 * no fetch can come in between. */
void bus_dirty_mark(struct bus *b, uint64_t ram_offset, size_t len);

struct bus_listener {
	void *opaque;
	/* The physical map changed: forget cached bus_resolve results on all
	 * processors before they run on.  Lock held; must not wait for them. */
	void (*map_changed)(void *opaque);
	/* DMA wrote RAM in pages with BUS_PAGE_CODE (or any page if
	 * want_all_writes).  Any thread. */
	void (*ram_written)(void *opaque, gpa_t gpa, size_t len);
	bool want_all_writes;
};

/* Lock held, unless no device works yet.  After bus_unlisten no call of *l
 * goes on. */
void bus_listen(struct bus *b, struct bus_listener *l);
void bus_unlisten(struct bus *b, struct bus_listener *l);

/* A20 gate: when closed, engines clear bit 20 of physical addresses.
 * Changing it counts as map_changed.  Lock held. */
void bus_set_a20(struct bus *b, bool open);
/* 0xffff...ff or ~(1 << 20).  Any thread. */
gpa_t bus_a20_mask(const struct bus *b);

/* ---- I/O ports ---- */

struct bus_io_ops {
	/* size 1, 2, 4; port is absolute */
	uint32_t (*read)(void *opaque, uint16_t port, unsigned size);
	void (*write)(void *opaque, uint16_t port, unsigned size, uint32_t val);
	/* n accesses in a row, as REP INS and OUTS make them; optional. */
	void (*many)(void *opaque, uint16_t port, unsigned size, void *buf,
		unsigned n, bool write);
	/* Sizes that the device takes (bit mask 1|2|4); the bus splits wider
	 * accesses and 0 means bytes only. */
	unsigned sizes;
};

/* A later claim hides an earlier one until it is released.  Lock held. */
void bus_io_claim(struct bus *b, uint16_t first, unsigned count,
	const struct bus_io_ops *ops, void *opaque);
void bus_io_release(
	struct bus *b, uint16_t first, unsigned count, void *opaque);

uint32_t bus_io_read(struct bus *b, uint16_t port, unsigned size);
void bus_io_write(struct bus *b, uint16_t port, unsigned size, uint32_t val);
/* n accesses of the same port; buf is as the processor has it in memory. */
void bus_io_many(struct bus *b, uint16_t port, unsigned size, void *buf,
	unsigned n, bool write);

/* ---- interrupts ---- */

/* The input side of an interrupt controller, or any line. */
struct bus_irq {
	void (*set)(void *opaque, unsigned n, bool level);
	void *opaque;
	unsigned n;
};

static inline void bus_irq_set(const struct bus_irq *i, bool level)
{
	if (i->set)
		i->set(i->opaque, i->n, level);
}

static inline void bus_irq_pulse(const struct bus_irq *i)
{
	bus_irq_set(i, true);
	bus_irq_set(i, false);
}

/* A message-signalled interrupt (address, data as in SDM vol. 3, 11.11).  The
 * interrupt-controller complex installs the handler; KVM's replaces it. */
void bus_msi_send(struct bus *b, uint64_t addr, uint32_t data);
void bus_msi_handler(struct bus *b,
	void (*send)(void *opaque, uint64_t addr, uint32_t data), void *opaque);

/* FERR# of a processor whose CR0.NE is clear: an x87 error is pending, or no
 * more.  True: IGNNE# tells it to go on regardless.  Takes the lock.  The
 * interrupt-controller complex installs the handler. */
bool bus_x87_error(struct bus *b, bool pending);
void bus_x87_handler(
	struct bus *b, bool (*error)(void *opaque, bool pending), void *opaque);

/* ---- processors as devices see them ---- */

enum bus_event {
	BUS_EV_INTR = 1 << 0, /* level: the LAPIC or PIC has a vector to give */
	BUS_EV_NMI = 1 << 1,  /* edge, cleared when the engine takes it */
	BUS_EV_INIT = 1 << 2, /* edge, taken by the run loop */
	BUS_EV_SIPI = 1 << 3, /* edge; vector in sipi_vector */
	BUS_EV_STOP = 1 << 4, /* level: leave run() and obey the run loop */
	BUS_EV_FLUSH = 1 << 5,	/* edge: the map or A20 changed: drop TLBs */
	BUS_EV_ENGINE = 1 << 6, /* for an engine's own use */
	BUS_EV_UNHALT = 1 << 7, /* edge: look at bus_cpu.unhalted */
	BUS_EV_HOLD = 1 << 8,	/* edge: another one has locked the bus */
};

/* What the interrupt-controller complex offers to engines.  Lock held. */
struct bus_cpu_intc {
	/* Vector to deliver now, acknowledged; -1 if none is left. */
	int (*ack)(void *opaque);
	/* Local APIC MSRs (APIC_BASE, 0x800..0x8ff, TSC_DEADLINE).  false:
	 * the access faults with #GP. */
	bool (*rdmsr)(void *opaque, uint32_t msr, uint64_t *val);
	bool (*wrmsr)(void *opaque, uint32_t msr, uint64_t val);
	/* CR8 <-> TPR[7:4] */
	uint8_t (*get_tpr)(void *opaque);
	void (*set_tpr)(void *opaque, uint8_t cr8);
	/* KVM's hypercalls: what goes into RAX.  wide: from 64-bit code. */
	int64_t (*hypercall)(
		void *opaque, uint64_t nr, const uint64_t arg[4], bool wide);
	/* bus_cpu.tsc_offset has changed. */
	void (*tsc_moved)(void *opaque);
	/* Time stood still for so many ticks of the host's TSC: tsc_offset has
	 * become less, but nothing has moved for the guest. */
	void (*stood_still)(void *opaque, uint64_t ticks);
};

struct bus_cpu {
	struct bus *bus;
	unsigned index; /* 0.. */
	uint32_t apic_id;
	_Atomic(uint32_t) events; /* enum bus_event; engines poll this */
	_Atomic(uint8_t) sipi_vector;
	/* An NMI handler runs (the engine says so): one more NMI is latched,
	 * while before it two that come close together are both taken. */
	_Atomic(bool) nmi_masked;
	bool nmi_again; /* private to bus.c, under wait_lock */
	/* Another processor's hypercall ended this one's halt, or ends its
	 * next one; the engine takes it back when it leaves HLT for it. */
	_Atomic(bool) unhalted;
	uint64_t tsc_offset; /* guest TSC - host TSC; under the bus lock */
	const struct bus_cpu_intc *intc; /* NULL until the board sets it */
	void *intc_opaque;
	/* Set by the engine: make run() look at events soon.  Any thread;
	 * must not block. */
	void (*kick)(void *opaque);
	void *kick_opaque;
	/* the thread that runs it, for waiting; private to bus.c */
	pthread_mutex_t wait_lock;
	pthread_cond_t wait_cond;
	_Atomic(bool) waiting;
};

struct bus_cpu *bus_cpu_new(struct bus *b, uint32_t apic_id);
unsigned bus_ncpus(const struct bus *b);
struct bus_cpu *bus_cpu_at(const struct bus *b, unsigned index);

/* Set or clear event bits; setting wakes a waiting processor thread and kicks
 * the engine.  BUS_EV_NMI raised twice while !nmi_masked has to be cleared
 * twice.  Any thread. */
void bus_cpu_raise(struct bus_cpu *c, uint32_t events);
void bus_cpu_clear(struct bus_cpu *c, uint32_t events);

/* Sleep until one of the events in mask is set.  The processor's own thread.
 * No lock held. */
void bus_cpu_wait(struct bus_cpu *c, uint32_t mask);

/* Acknowledge: the vector to deliver, or -1 (spurious).  Takes the lock. */
int bus_cpu_ack_interrupt(struct bus_cpu *c);

/* Local APIC MSRs and TPR for engines.  Take the lock. */
bool bus_cpu_rdmsr(struct bus_cpu *c, uint32_t msr, uint64_t *val);
bool bus_cpu_wrmsr(struct bus_cpu *c, uint32_t msr, uint64_t val);
int64_t bus_cpu_hypercall(
	struct bus_cpu *c, uint64_t nr, const uint64_t arg[4], bool wide);
/* The engine says how the processor's TSC differs from the host's. */
void bus_cpu_tsc_moved(struct bus_cpu *c, uint64_t tsc_offset);
uint8_t bus_cpu_get_tpr(struct bus_cpu *c);
void bus_cpu_set_tpr(struct bus_cpu *c, uint8_t cr8);

/* ---- time ---- */

/* The host's, which never stands still. */
uint64_t bus_host_ns(void);
/* Virtual nanoseconds since the machine started; stands still while paused. */
uint64_t bus_clock_ns(const struct bus *b);
/* The host's TSC, which stands still likewise.  Lock held. */
uint64_t bus_clock_tsc(const struct bus *b);
/*
 * Lock held; processors stand.  When time goes on: by how many ticks of the
 * host's TSC it stood still, else 0.  What the bus and the interrupt
 * controllers keep in such ticks has been moved; the engines' is the caller's.
 */
uint64_t bus_clock_pause(struct bus *b, bool pause);

/* While paused: time goes on from ns, and the TSC by so many ticks more than it
 * stood still.  Lock held. */
void bus_clock_move(struct bus *b, uint64_t ns, uint64_t ticks);

struct bus_timer {
	struct bus *bus;
	void (*fire)(void *opaque); /* any thread, lock held */
	void *opaque;
	uint64_t deadline_ns;
	unsigned slot; /* heap position + 1; 0 = not armed */
};

void bus_timer_init(struct bus_timer *t, struct bus *b,
	void (*fire)(void *opaque), void *opaque);
void bus_timer_arm(struct bus_timer *t, uint64_t deadline_ns); /* lock held */
void bus_timer_cancel(struct bus_timer *t);		       /* lock held */

/* A descriptor (timerfd) readable when the earliest timer is due; the control
 * loop then calls bus_timers_run (takes the lock).  So do processors that wait.
 */
int bus_timers_fd(struct bus *b);
void bus_timers_run(struct bus *b);

/* ---- machine-wide requests from devices ---- */

enum bus_request {
	BUS_REQ_RESET,	  /* keyboard controller, port 0xcf9, ACPI reset */
	BUS_REQ_POWEROFF, /* ACPI S5 */
	BUS_REQ_WAKEUP,
	BUS_REQ_WATCHDOG, /* it has fired */
};

/* Called by devices with the lock held; the vmm installs the handler, which
 * must only post to its loop. */
void bus_request(struct bus *b, enum bus_request r);
void bus_request_handler(struct bus *b,
	void (*fn)(void *opaque, enum bus_request r), void *opaque);

#endif
