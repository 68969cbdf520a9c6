/*
 * e1000_priv.h - what the files of the e1000 share: registers by their names
 * in Intel's "PCI/PCI-X Family of Gigabit Ethernet Controllers Software
 * Developer's Manual" (317453), called SDM there.
 */
#ifndef DEV_NET_E1000_PRIV_H
#define DEV_NET_E1000_PRIV_H

#include "dev/net/card.h"
#include "dev/net/eeprom93.h"
#include "dev/pci/pci.h"

/* Offsets (SDM 13.2) */
#define E1000_CTRL     0x0000
#define E1000_STATUS   0x0008
#define E1000_EECD     0x0010
#define E1000_CTRL_EXT 0x0018
#define E1000_EERD     0x0014
#define E1000_MDIC     0x0020
#define E1000_VET      0x0038
#define E1000_ICR      0x00c0
#define E1000_ITR      0x00c4
#define E1000_ICS      0x00c8
#define E1000_IMS      0x00d0
#define E1000_IMC      0x00d8
#define E1000_RCTL     0x0100
#define E1000_TCTL     0x0400
#define E1000_TIPG     0x0410
#define E1000_LEDCTL   0x0e00
#define E1000_PBA      0x1000
#define E1000_RDBAL    0x2800
#define E1000_RDBAH    0x2804
#define E1000_RDLEN    0x2808
#define E1000_RDH      0x2810
#define E1000_RDT      0x2818
#define E1000_RDTR     0x2820
#define E1000_RADV     0x282c
#define E1000_RSRPD    0x2c00
#define E1000_TDBAL    0x3800
#define E1000_TDBAH    0x3804
#define E1000_TDLEN    0x3808
#define E1000_TDH      0x3810
#define E1000_TDT      0x3818
#define E1000_TIDV     0x3820
#define E1000_TADV     0x382c
#define E1000_RXCSUM   0x5000
#define E1000_MTA      0x5200
#define E1000_RA       0x5400
#define E1000_VFTA     0x5600

/* Statistics, 0x4000-0x40ff; each is cleared by reading it */
#define E1000_STAT_FIRST 0x4000
#define E1000_STAT_LAST	 0x40fc
#define E1000_PRC64	 0x405c
#define E1000_GPRC	 0x4074
#define E1000_BPRC	 0x4078
#define E1000_MPRC	 0x407c
#define E1000_GPTC	 0x4080
#define E1000_GORCL	 0x4088
#define E1000_GOTCL	 0x4090
#define E1000_ROC	 0x40ac
#define E1000_TORL	 0x40c0
#define E1000_TOTL	 0x40c8
#define E1000_TPR	 0x40d0
#define E1000_TPT	 0x40d4
#define E1000_PTC64	 0x40d8
#define E1000_MPTC	 0x40f0
#define E1000_BPTC	 0x40f4
#define E1000_TSCTC	 0x40f8

/* Of the 82574L only (317694, 10.2) */
#define E1000E_EIAC	 0x00dc
#define E1000E_IAM	 0x00e0
#define E1000E_IVAR	 0x00e4
#define E1000E_EITR	 0x00e8 /* five */
#define E1000E_EEMNGCTL	 0x1010
#define E1000E_PSRCTL	 0x2170
#define E1000E_RFCTL	 0x5008
#define E1000E_SWSM	 0x5b50
#define E1000E_VECTORS	 5
#define E1000_QUEUE_STEP 0x0100 /* to the registers of queue 1 */

#define E1000_REG_BYTES 0x6000 /* behind it there are none */

#define CTRL_RST     (1u << 26)
#define CTRL_VME     (1u << 30)
#define CTRL_PHY_RST (1u << 31)

#define STATUS_LU (1u << 1)

#define EECD_SK	     (1u << 0)
#define EECD_CS	     (1u << 1)
#define EECD_DI	     (1u << 2)
#define EECD_DO	     (1u << 3)
#define EECD_REQ     (1u << 6)
#define EECD_GNT     (1u << 7)
#define EECD_PRES    (1u << 8)
#define EECD_AUTO_RD (1u << 9) /* 82574L: the NVM has been read */

#define ICR_TXDW    (1u << 0)
#define ICR_TXQE    (1u << 1)
#define ICR_LSC	    (1u << 2)
#define ICR_RXDMT0  (1u << 4)
#define ICR_RXO	    (1u << 6)
#define ICR_RXT0    (1u << 7)
#define ICR_MDAC    (1u << 9)
#define ICR_TXD_LOW (1u << 15)
#define ICR_SRPD    (1u << 16)
#define ICR_ALL	    0x1ffffu /* reserved ones can be set too */
/* 82574L */
#define ICR_RXQ0	 (1u << 20) /* then RXQ1, TXQ0, TXQ1, OTHER */
#define ICR_TXQ0	 (1u << 22)
#define ICR_TXQ1	 (1u << 23)
#define ICR_OTHER	 (1u << 24)
#define ICR_INT_ASSERTED (1u << 31)
#define ICR_ALL_E	 0x1ffffffu

#define CTRL_EXT_EIAME (1u << 24)
#define CTRL_EXT_IAME  (1u << 27)

#define RFCTL_EXTEN (1u << 15) /* extended receive descriptors */

#define RCTL_EN	     (1u << 1)
#define RCTL_SBP     (1u << 2)
#define RCTL_UPE     (1u << 3)
#define RCTL_MPE     (1u << 4)
#define RCTL_LPE     (1u << 5)
#define RCTL_LBM     (3u << 6)
#define RCTL_DTYP    (3u << 10)
#define RCTL_DTYP_PS (1u << 10) /* packet split */
#define RCTL_BAM     (1u << 15)
#define RCTL_VFE     (1u << 18)
#define RCTL_CFIEN   (1u << 19)
#define RCTL_CFI     (1u << 20)
#define RCTL_BSEX    (1u << 25)
#define RCTL_SECRC   (1u << 26)

#define TCTL_EN	 (1u << 1)
#define TCTL_PSP (1u << 3)

/* A checksum offload context (SDM 3.3.5). */
struct e1000_context {
	uint8_t ipcss, ipcso, tucss, tucso, hdrlen, tucmd;
	uint16_t ipcse, tucse, mss;
	uint32_t paylen;
};

/* The packet that is being gathered from descriptors. */
struct e1000_packet {
	uint32_t len;
	bool begun, hopeless; /* hopeless: it does not fit */
	bool tse;	      /* to be cut */
	uint8_t popts;
	uint8_t frame[NET_MAX_FRAME];
};

/* A transmit queue. */
struct e1000_txq {
	struct e1000_context plain, cut;
	struct e1000_packet packet;
};

struct e1000 {
	struct dev dev;
	bool express; /* an 82574L, else an 82540EM */
	struct pci_func pci;
	struct card card;
	struct eeprom93 eeprom;
	uint32_t reg[E1000_REG_BYTES / 4]; /* by offset / 4 */
	uint16_t phy[32];
	uint32_t ioaddr; /* of the window in I/O space */
	union {
		struct e1000_txq txq[2]; /* the second: 82574L */
		/* the first; saved under these names */
		struct {
			struct e1000_context plain, cut;
			struct e1000_packet packet;
		};
	};
	bool asserted;	      /* the interrupt line, or a message sent */
	uint64_t irq_next_ns; /* not before */
	struct bus_timer irq_timer, link_timer, rx_timer, tx_timer, more_timer;
	uint64_t rx_limit_ns, tx_limit_ns; /* absolute delays end; 0: none */
	/* 82574L: causes that their vectors have told of; the times before
	 * which vectors say nothing. */
	uint32_t msix_sent;
	uint64_t vector_next_ns[E1000E_VECTORS];
	uint8_t rx_frame[16384 + ETH_FCS];
};

static inline uint32_t *e1000_reg(struct e1000 *d, unsigned off)
{
	return &d->reg[off / 4];
}

static inline uint32_t e1000_get(const struct e1000 *d, unsigned off)
{
	return d->reg[off / 4];
}

/* e1000.c */
/* These things have happened: interrupt if they are let. */
void e1000_cause(struct e1000 *d, uint32_t causes);
/* Saturating statistics. */
void e1000_count(struct e1000 *d, unsigned off);
/* Octets in a pair of registers, and the sizes: first is the counter of 64
 * bytes.  len includes the check sequence. */
void e1000_count_octets(struct e1000 *d, unsigned off, size_t len);
void e1000_count_size(struct e1000 *d, unsigned first, size_t len);
bool e1000_may_dma(const struct e1000 *d);
/* Arm a delay of 1.024 us units that starts anew each time, and a limit
 * counted from the first time; now if there is none. */
void e1000_delay(struct e1000 *d, struct bus_timer *t, uint64_t *limit_ns,
	unsigned delay, unsigned limit);

/* e1000_phy.c */
void e1000_phy_init(struct e1000 *d);
void e1000_phy_reset(struct e1000 *d);
void e1000_mdic_write(struct e1000 *d, uint32_t val);
bool e1000_phy_loops(const struct e1000 *d);
void e1000_eeprom_init(struct e1000 *d);
uint32_t e1000_eecd_read(struct e1000 *d);
void e1000_eecd_write(struct e1000 *d, uint32_t val);
void e1000_eerd_write(struct e1000 *d, uint32_t val);

/* e1000_tx.c */
void e1000_tx(struct e1000 *d);
void e1000_tx_reset(struct e1000 *d);
void e1000_tx_delayed(void *opaque);

/* e1000e.c: an 82574L's */
bool e1000e_storage_bits(unsigned off, uint32_t *bits);
void e1000e_mac_reset(struct e1000 *d);
/* With those of the queues, and OTHER. */
uint32_t e1000e_causes(uint32_t causes);
void e1000e_update_msix(struct e1000 *d);
uint32_t e1000e_icr_read(struct e1000 *d);
void e1000e_icr_write(struct e1000 *d, uint32_t val);
uint32_t e1000e_swsm_read(struct e1000 *d);

/* e1000_rx.c */
bool e1000_receive(void *opaque, const uint8_t *frame, size_t len);
/* The driver has changed what lets frames in. */
void e1000_rx_more(struct e1000 *d);
void e1000_rx_delayed(void *opaque);

#endif
