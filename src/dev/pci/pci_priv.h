/* pci_priv.h - what the files of pci/ share. */
#ifndef DEV_PCI_PCI_PRIV_H
#define DEV_PCI_PCI_PRIV_H

#include "dev/pci/pci.h"

#define PCI_VENDOR_ID	    0x00
#define PCI_DEVICE_ID	    0x02
#define PCI_COMMAND	    0x04
#define PCI_COMMAND_IO	    0x0001
#define PCI_COMMAND_MEMORY  0x0002
#define PCI_COMMAND_MASTER  0x0004
#define PCI_COMMAND_NO_INTX 0x0400
#define PCI_STATUS	    0x06
#define PCI_STATUS_INTX	    0x0008
#define PCI_STATUS_CAPS	    0x0010
#define PCI_REVISION	    0x08
#define PCI_CLASS	    0x09
#define PCI_HEADER_TYPE	    0x0e
#define PCI_BAR0	    0x10
#define PCI_SUB_VENDOR	    0x2c
#define PCI_SUB_ID	    0x2e
#define PCI_ROM		    0x30
#define PCI_CAP_POINTER	    0x34
#define PCI_INTERRUPT_LINE  0x3c
#define PCI_INTERRUPT_PIN   0x3d
#define PCI_FIRST_CAP	    0x40

/* Header type 1 */
#define PCI_SECONDARY	   0x19
#define PCI_SUBORDINATE	   0x1a
#define PCI_IO_BASE	   0x1c
#define PCI_IO_LIMIT	   0x1d
#define PCI_MEM_BASE	   0x20
#define PCI_MEM_LIMIT	   0x22
#define PCI_PREF_BASE	   0x24
#define PCI_PREF_LIMIT	   0x26
#define PCI_PREF_BASE_HI   0x28
#define PCI_PREF_LIMIT_HI  0x2c
#define PCI_BRIDGE_CONTROL 0x3e
#define PCI_BRIDGE_RESET   0x40

#define PCI_CAP_ID_MSI	0x05
#define PCI_CAP_ID_MSIX 0x11
#define PCI_CAP_ID_EXP	0x10

struct pci_bus {
	struct bus *bus;
	struct pci_func *bridge; /* that leads here; NULL: the root bus */
	bool express;		 /* links, not wires */
	unsigned nbridges;	 /* among the functions */
	struct pci_func *func[256];
	void (*route)(void *opaque, unsigned slot, unsigned pin, bool level);
	void *route_opaque;
	uint8_t asserted[32][4]; /* functions that pull a slot's pin */
	uint32_t address;	 /* CONFADD */
	uint8_t (*cf9_read)(void *opaque);
	void (*cf9_write)(void *opaque, uint8_t val);
	void *cf9_opaque;
};

static inline uint16_t pci_get16(const uint8_t *p)
{
	return p[0] | p[1] << 8;
}

static inline void pci_put16(uint8_t *p, uint16_t v)
{
	p[0] = v;
	p[1] = v >> 8;
}

static inline uint32_t pci_get32(const uint8_t *p)
{
	return pci_get16(p) | (uint32_t)pci_get16(p + 2) << 16;
}

static inline void pci_put32(uint8_t *p, uint32_t v)
{
	pci_put16(p, v);
	pci_put16(p + 2, v >> 16);
}

/* After a change of the command register or a BAR. */
void pci_func_remap(struct pci_func *f);
/* After a change of the command register or the level. */
void pci_func_update_intx(struct pci_func *f);
/* After a change of a bridge above. */
void pci_bus_remap(struct pci_bus *b);
/* Do the bridges above let these addresses through? */
bool pci_bus_passes(
	const struct pci_bus *b, bool io, uint64_t addr, uint64_t size);
/* The bus of that number at or behind b, or NULL. */
struct pci_bus *pci_bus_number(struct pci_bus *b, uint8_t number);
/* Control registers of the PCI Express capability, if there is one. */
void pci_express_reset(struct pci_func *f);
/* After the guest wrote config space. */
void pci_msix_config_written(struct pci_func *f);
/* Take message control out of config space, no more. */
void pci_msix_control(struct pci_func *f);

/* pci_state.c: what the ports of a bus hold, for its host bridge. */
extern const struct state_list pci_bus_state;

#endif
