/*
 * rtl8139_priv.h - what the files of the RTL8139 share.  Registers by their
 * names in Realtek's data sheets of the RTL8139C (2001) and RTL8139C+ (2002).
 */
#ifndef DEV_NET_RTL8139_PRIV_H
#define DEV_NET_RTL8139_PRIV_H

#include "dev/net/card.h"
#include "dev/net/eeprom93.h"
#include "dev/pci/pci.h"

#define RTL_IDR	     0x00
#define RTL_MAR	     0x08
#define RTL_TSD	     0x10 /* C: four of them */
#define RTL_DTCCR    0x10 /* C+ */
#define RTL_TSAD     0x20 /* C: four of them */
#define RTL_TNPDS    0x20 /* C+ */
#define RTL_THPDS    0x28 /* C+ */
#define RTL_RBSTART  0x30
#define RTL_CR	     0x37
#define RTL_CAPR     0x38
#define RTL_CBR	     0x3a
#define RTL_IMR	     0x3c
#define RTL_ISR	     0x3e
#define RTL_TCR	     0x40
#define RTL_RCR	     0x44
#define RTL_TCTR     0x48
#define RTL_MPC	     0x4c
#define RTL_9346CR   0x50
#define RTL_CONFIG0  0x51
#define RTL_CONFIG1  0x52
#define RTL_TIMERINT 0x54
#define RTL_MSR	     0x58
#define RTL_CONFIG3  0x59
#define RTL_CONFIG4  0x5a
#define RTL_RERID    0x5e
#define RTL_TSAD_ALL 0x60
#define RTL_BMCR     0x62
#define RTL_BMSR     0x64
#define RTL_ANAR     0x66
#define RTL_ANLPAR   0x68
#define RTL_ANER     0x6a
#define RTL_CSCR     0x74
#define RTL_CONFIG5  0xd8
#define RTL_TPPOLL   0xd9
#define RTL_CPCR     0xe0
#define RTL_RDSAR    0xe4
#define RTL_REGS     256

#define CR_BUFE 0x01
#define CR_TE	0x04
#define CR_RE	0x08
#define CR_RST	0x10

#define ISR_ROK	    0x0001
#define ISR_TOK	    0x0004
#define ISR_RXOVW   0x0010 /* C+: no descriptor */
#define ISR_TDU	    0x0080
#define ISR_SWINT   0x0100
#define ISR_TIMEOUT 0x4000

#define TCR_LBK 0x00060000

#define RCR_AAP	 0x01
#define RCR_APM	 0x02
#define RCR_AM	 0x04
#define RCR_AB	 0x08
#define RCR_WRAP 0x80

#define CPCR_TXEN     0x01
#define CPCR_RXEN     0x02
#define CPCR_RXCHKSUM 0x20
#define CPCR_RXVLAN   0x40

/* Which filter let a frame in, as receive status says it. */
#define RX_MULTICAST 4
#define RX_PHYSICAL  2
#define RX_BROADCAST 1

struct rtl8139 {
	struct dev dev;
	struct pci_func pci;
	struct card card;
	struct eeprom93 eeprom;
	uint8_t reg[RTL_REGS];
	uint64_t timer_base_ns; /* when TCTR was 0 */
	struct bus_timer timer, rx_timer, tx_timer;
	uint16_t tx_at[2], rx_at; /* C+: in the rings, normal, high, receive */
	bool hopeless;		  /* C+: the packet at hand does not fit */
	uint32_t tx_len;	  /* C+: gathered of it */
	/* DTCCR's counters */
	uint64_t tx_ok, rx_ok, rx_physical, rx_broadcast;
	uint32_t rx_multicast, rx_missed;
	uint8_t tx_frame[NET_MAX_FRAME];
	uint8_t rx_frame[8192];
};

static inline uint32_t rtl8139_get(
	const struct rtl8139 *d, unsigned off, unsigned size)
{
	uint32_t val = 0;

	__builtin_memcpy(&val, d->reg + off, size);
	return val;
}

static inline void rtl8139_put(
	struct rtl8139 *d, unsigned off, unsigned size, uint32_t val)
{
	__builtin_memcpy(d->reg + off, &val, size);
}

void rtl8139_cause(struct rtl8139 *d, uint16_t causes);
void rtl8139_send(struct rtl8139 *d, const uint8_t *frame, size_t len);
bool rtl8139_may_dma(const struct rtl8139 *d);
bool rtl8139_receive(void *opaque, const uint8_t *frame, size_t len);

/* rtl8139_plus.c: descriptor rings of the C+ */
static inline bool rtl8139_plus_rx(const struct rtl8139 *d)
{
	return rtl8139_get(d, RTL_CPCR, 2) & CPCR_RXEN;
}

static inline bool rtl8139_plus_tx(const struct rtl8139 *d)
{
	return rtl8139_get(d, RTL_CPCR, 2) & CPCR_TXEN;
}

void rtl8139_plus_send(struct rtl8139 *d, uint8_t poll);
void rtl8139_plus_more(void *opaque);
/* A frame in rx_frame with its check sequence; matched: RX_*.  false: there
 * is no descriptor for it. */
bool rtl8139_plus_store(struct rtl8139 *d, size_t len, unsigned matched);
void rtl8139_plus_dump(struct rtl8139 *d);

#endif
