/*
 * pcnet_priv.h - what the files of the PCnet share.  Registers by their names
 * in AMD's data sheet 19436 of the Am79C970A.
 */
#ifndef DEV_NET_PCNET_PRIV_H
#define DEV_NET_PCNET_PRIV_H

#include "dev/net/card.h"
#include "dev/net/eeprom93.h"
#include "dev/pci/pci.h"

#define CSR0_INIT 0x0001
#define CSR0_STRT 0x0002
#define CSR0_STOP 0x0004
#define CSR0_TDMD 0x0008
#define CSR0_TXON 0x0010
#define CSR0_RXON 0x0020
#define CSR0_IENA 0x0040
#define CSR0_INTR 0x0080
#define CSR0_IDON 0x0100
#define CSR0_TINT 0x0200
#define CSR0_RINT 0x0400
#define CSR0_MERR 0x0800
#define CSR0_ERRS 0x7800 /* BABL, CERR, MISS, MERR */
#define CSR0_ERR  0x8000

#define CSR4_TXSTRT    0x0008
#define CSR4_APAD_XMT  0x0800
#define CSR4_ASTRP_RCV 0x0400

#define CSR5_TOKINTD 0x8000
#define CSR5_LTINTEN 0x4000
#define CSR5_SPND    0x0001

#define MODE_PROM    0x8000
#define MODE_DRCVBC  0x4000
#define MODE_DRCVPA  0x2000
#define MODE_DXMTFCS 0x0008
#define MODE_LOOP    0x0004
#define MODE_DTX     0x0002
#define MODE_DRX     0x0001

#define PCNET_CSRS 128
#define PCNET_BCRS 32

struct pcnet {
	struct dev dev;
	struct pci_func pci;
	struct card card;
	struct eeprom93 eeprom;
	uint16_t csr[PCNET_CSRS], bcr[PCNET_BCRS];
	uint16_t rap;
	uint8_t aprom[16];
	uint16_t rx_at, tx_at; /* entries of the rings */
	bool hopeless;	       /* the packet at hand does not fit */
	uint32_t tx_len;       /* gathered of it */
	struct bus_timer timer;
	uint8_t tx_frame[NET_MAX_FRAME];
	uint8_t rx_frame[4096];
};

static inline uint32_t pcnet_csr32(const struct pcnet *d, unsigned n)
{
	return d->csr[n] | (uint32_t)d->csr[n + 1] << 16;
}

/* pcnet.c */
void pcnet_cause(struct pcnet *d, uint16_t causes);
bool pcnet_may_dma(const struct pcnet *d);

/* pcnet_ring.c */
void pcnet_initialise(struct pcnet *d); /* take the initialisation block */
void pcnet_transmit(struct pcnet *d);
bool pcnet_receive(void *opaque, const uint8_t *frame, size_t len);
/* Look at the rings again, as the controller polls them. */
void pcnet_poll(void *opaque);

#endif
