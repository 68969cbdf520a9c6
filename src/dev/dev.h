/*
 * dev.h - the contract of a device model.
 *
 * One device, one file, one `const struct dev_class`, listed in dev_table.c.
 * A device sees a struct dev_host: the bus (RAM by bounded copies, ports,
 * MMIO, timers), interrupt lines, and back ends opened by somebody else.  No
 * globals; it opens nothing and knows no processor.  What a guest programs
 * wrongly gets the status the data sheet gives, never an abort, an unbounded
 * loop or an unbounded allocation.
 *
 * Threads: all callbacks run with the bus lock held, on a vCPU thread or the
 * control loop, unless a device says otherwise.
 */
#ifndef DEV_DEV_H
#define DEV_DEV_H

#include <stdbool.h>
#include <stdint.h>

#include "bus/bus.h"

struct blk;	    /* block/blk.h */
struct net_port;    /* net/net.h */
struct dev_chardev; /* dev/chardev.h: a byte stream to the host */
struct state_list;  /* dev/state.h */
struct pci_bus;	    /* dev/pci/pci.h */
struct audio;	    /* audio/audio.h */
struct dev_vsock;   /* dev/vsock.h */

/* How RAM goes back to the host. */
struct dev_ram {
	/* Whole pages from an offset of RAM on: they are zero from now on, or,
	 * where the host cannot have them, stay what they are.  Who holds
	 * translations is told by the caller: dev/virtio/virtio_ram.h.  Lock
	 * held. */
	void (*discard)(void *opaque, uint64_t offset, uint64_t bytes);
	void *opaque;
};
struct share; /* share/share.h */

struct virtio_mem_room; /* dev/virtio/virtio_mem.h */

/* Everything a device may be given.  Absent things are NULL. */
struct dev_host {
	struct bus *bus;
	const struct bus_irq *gsi; /* array of BUS_NGSI board interrupt lines */
	struct pci_bus *pci;
	struct dev *dma; /* the ISA DMA controllers (dev/misc/i8237.h) */
	struct blk *blk;
	struct net_port *net;
	struct dev_chardev *chr;
	struct audio *audio;
	const struct dev_ram *ram;
	struct dev_vsock *vsock;
	struct share *share;
	const struct virtio_mem_room *mem;
	/* RAM that is there from the start; 0: all that the bus has. */
	uint64_t ram_bytes;
	/* Numbers a board or user may choose; 0 = the class's default. */
	unsigned index;	 /* which one of its kind: COM1 = 0, COM2 = 1 */
	int pci_slot;	 /* -1 = next free */
	unsigned pci_fn; /* of that slot: AHCI on boards where it has one */
	uint8_t mac[6];
	bool readonly;
	const char *serial; /* serial number shown to the guest */
	unsigned queues;
	uint32_t vram_bytes; /* of a display */
	/* Where an ISA card's jumpers put it; irq and dma as they are. */
	uint16_t isa_port;
	uint8_t isa_irq, isa_dma, isa_dma16;
};

struct dev {
	const struct dev_class *cls;
	struct dev_host host;
	const char *id; /* "disk0", "com1": for messages and stat */
};

struct dev_class {
	const char *name;
	uint32_t size; /* of the whole object; struct dev is its first member */
	/* Claim ports, map regions, wire lines.  Lock held.  0 or -errno with
	 * one line in err. */
	int (*init)(struct dev *d, char *err, unsigned errsize);
	void (*reset)(struct dev *d); /* power-on state; lock held */
	void (*fini)(struct dev *d);  /* lock held; threads already stopped */
	/* Text of a few counters for `info`; optional.  Lock held. */
	void (*describe)(struct dev *d, char *buf, unsigned size);
	/* What of it is saved; NULL: a machine that has it cannot be. */
	const struct state_list *state;
	/* Before saving: on return no other thread works for it, and all that
	 * was under way is done or given back.  Optional.  Processors and time
	 * stand; lock held, may be let go meanwhile. */
	void (*drain)(struct dev *d);
	/* A state was loaded that others go on from, too: what tells it from
	 * them (host.mac) is put where a driver that starts anew looks for it.
	 * One that runs notices nothing.  Optional.  Lock held. */
	void (*copied)(struct dev *d);
};

/* NULL-terminated. */
extern const struct dev_class *const dev_table[];
const struct dev_class *dev_class_find(const char *name);

/* Make, initialise and reset a device; NULL with a line in err.  Lock held.
 * host is copied; what it points at must outlive the device. */
struct dev *dev_new(const struct dev_class *cls, const char *id,
	const struct dev_host *host, char *err, unsigned errsize);
void dev_free(struct dev *d);
/* Let go of all of the lock, to wait for one who may want it; take it back as
 * often as was returned. */
unsigned dev_let_go(struct bus *b);
void dev_take_back(struct bus *b, unsigned depth);
/* For drain: until done says so.  Lock held, let go in between. */
void dev_wait(struct bus *b, bool (*done)(void *opaque), void *opaque);

#endif
