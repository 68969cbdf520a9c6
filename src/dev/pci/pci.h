/*
 * pci.h - PCI buses and functions (PCI Local Bus 3.0; MSI-X).
 *
 * A function embeds struct pci_func.  Configuration space is plain bytes with
 * write masks; BARs are mapped into the bus's maps as the guest programs them.
 */
#ifndef DEV_PCI_PCI_H
#define DEV_PCI_PCI_H

#include "dev/dev.h"

/* What of a function is saved, for its device's list. */
extern const struct state_list pci_func_state;

#define PCI_CONFIG_SIZE	 256
#define PCI_EXPRESS_SIZE 4096 /* of configuration space, beyond it zeros */
#define PCI_NBARS	 6

struct pci_func;

struct pci_bar {
	uint64_t size; /* power of two; 0 = absent */
	bool io, mem64, prefetch;
	const struct bus_mmio_ops *mmio; /* memory BARs */
	const struct bus_io_ops *ports;	 /* I/O BARs; called with port numbers
					    relative to the BAR */
	void *opaque;
	uint8_t *host; /* memory BAR backed by memory (frame buffers) */
	bool trap;     /* writes to it go to mmio all the same */
	struct bus_region region; /* private */
	struct bus_region writes; /* private: of a trapped BAR */
	struct bus_io_ops io_ops; /* private */
	uint64_t addr;		  /* where it is mapped now, private */
	bool active;		  /* private */
};

struct pci_msix {
	bool enabled, masked; /* function state */
	unsigned nvectors;
	unsigned cap;	/* offset in config space */
	uint8_t bar;	/* table at 0, PBA at 0x800 of this BAR */
	uint8_t *table; /* 16 bytes a vector */
	uint64_t *pending;
};

struct pci_func {
	struct dev *dev;
	struct pci_bus *bus;
	uint8_t devfn;
	uint8_t config[PCI_CONFIG_SIZE];
	uint8_t wmask[PCI_CONFIG_SIZE];	  /* writable bits */
	uint8_t w1cmask[PCI_CONFIG_SIZE]; /* write-1-to-clear bits */
	struct pci_bar bar[PCI_NBARS];
	uint8_t *rom; /* option ROM image, power-of-two size */
	uint32_t rom_size;
	struct bus_region rom_region;
	uint8_t irq_pin; /* 1..4 = INTA..INTD, 0 none */
	bool irq_level;	 /* what pci_set_intx() asked for */
	bool irq_out;	 /* what the pin has: 0 if disabled; private */
	struct pci_msix msix;
	unsigned msi_cap; /* offset of the MSI capability, or 0 */
	/* Has a PCI Express capability where the bus is one: set before it is
	 * plugged. */
	bool express_able;
	unsigned express;	   /* offset of that capability, or 0 */
	struct pci_bus *secondary; /* of a bridge, or NULL */
	uint8_t next_cap;	   /* where the next capability goes */
	/* After the guest wrote [off, off+len) of config; optional. */
	void (*config_written)(struct pci_func *f, unsigned off, unsigned len);
	/* Before the guest reads it, to bring it up to date; optional. */
	void (*config_reading)(struct pci_func *f, unsigned off, unsigned len);
};

/* What a function says it is.  class_code is 24 bits: base class, sub class,
 * interface. */
struct pci_ident {
	uint16_t vendor, device;
	uint32_t class_code;
	uint8_t revision;
	uint16_t sub_vendor, sub_id;
};

/* Clear the function and fill the identification part of config space. */
void pci_func_init(
	struct pci_func *f, struct dev *d, const struct pci_ident *id);
/* Plug into the bus at devfn, or the next free slot if devfn < 0.  0 or
 * -EBUSY / -ENOSPC. */
int pci_func_plug(struct pci_func *f, struct pci_bus *b, int devfn);
/* Give it an option ROM: page aligned, a power of two of at least a page, the
 * caller's.  Lock held. */
void pci_set_rom(struct pci_func *f, uint8_t *rom, uint32_t size);
/* Writes to a BAR backed by memory go there, or to its mmio.  Lock held. */
void pci_bar_trap(struct pci_func *f, unsigned bar, bool trap);
void pci_func_unplug(struct pci_func *f);
void pci_func_reset(struct pci_func *f); /* BARs, command, MSI-X off */

/* Add a capability of len bytes (header included); returns its offset. */
unsigned pci_add_cap(struct pci_func *f, uint8_t id, unsigned len);
/* MSI-X with n vectors in a memory BAR of its own of at least 4 KiB. */
void pci_add_msix(struct pci_func *f, unsigned bar, unsigned n);

/* MSI with one vector. */
void pci_add_msi(struct pci_func *f);
/* Then the pin stays quiet. */
bool pci_msi_enabled(const struct pci_func *f);
void pci_msi_notify(struct pci_func *f);

/* Level of the INTx pin. */
void pci_set_intx(struct pci_func *f, bool level);
/* Fire MSI-X vector n (masked: made pending). */
void pci_msix_notify(struct pci_func *f, unsigned n);

/* What a function is on PCI Express (device/port type, 7.5.3.2). */
enum pci_express_type {
	PCI_EXPRESS_ENDPOINT = 0,
	PCI_EXPRESS_ROOT_PORT = 4,
	PCI_EXPRESS_INTEGRATED = 9, /* an endpoint without a link */
};

/* PCI Express capability, version 2; its offset. */
unsigned pci_add_express(struct pci_func *f, enum pci_express_type type);

/* Bus 0 of a host bridge, reached through ports 0xcf8/0xcfc. */
struct pci_bus *pci_bus_new(struct bus *bus);
/* Cards that can are Express ones from now on. */
void pci_bus_set_express(struct pci_bus *b);
/* The bus behind a bridge: fill the header of type 1, open the way.  Freed
 * with pci_bus_free after all behind it and before the bridge is unplugged. */
struct pci_bus *pci_bus_new_behind(struct pci_func *bridge);
void pci_bus_free(struct pci_bus *b);
/* Interrupt pin -> board line, installed by the south bridge. */
void pci_bus_set_route(struct pci_bus *b,
	void (*set)(void *opaque, unsigned slot, unsigned pin, bool level),
	void *opaque);
struct pci_func *pci_bus_func(struct pci_bus *b, unsigned devfn);
/* Byte accesses to port 0xcf9, amid the address register, are the south
 * bridge's. */
void pci_bus_set_cf9(struct pci_bus *b, uint8_t (*read)(void *opaque),
	void (*write)(void *opaque, uint8_t val), void *opaque);
/* bus: a number, as bridges are programmed. */
uint32_t pci_config_read(struct pci_bus *b, uint8_t bus, uint8_t devfn,
	unsigned off, unsigned size);
void pci_config_write(struct pci_bus *b, uint8_t bus, uint8_t devfn,
	unsigned off, unsigned size, uint32_t val);

#endif
