/*
 * card.h - what all network cards share: their end of the cable, the factory
 * address, frame check sequences, hashes of multicast addresses.
 */
#ifndef DEV_NET_CARD_H
#define DEV_NET_CARD_H

#include "dev/dev.h"
#include "net/net.h"

#define ETH_ADDR   6
#define ETH_HEADER 14
#define ETH_MIN	   60	/* without the check sequence */
#define ETH_MAX	   1514 /* likewise */
#define ETH_FCS	   4

struct card {
	struct net_port *port; /* NULL: the cable is out */
	uint8_t mac[ETH_ADDR]; /* the factory's */
	uint64_t rx_frames, tx_frames, dropped;
};

/* Take the address and the cable of dev->host.  receive: net/net.h. */
void card_init(struct card *c, struct dev *dev,
	bool (*receive)(void *opaque, const uint8_t *frame, size_t len));
void card_fini(struct card *c);
/* The address alone, for cards that want one after the other by default. */
void card_choose_mac(uint8_t mac[ETH_ADDR], const struct dev_host *h);
/* A frame without check sequence goes out. */
void card_send(struct card *c, const uint8_t *frame, size_t len);
/* There is room again.  May call receive before it returns. */
void card_ready(struct card *c);
/* "N frames in, N out, N dropped" */
void card_describe(const struct card *c, char *buf, unsigned size);

static inline bool card_is_broadcast(const uint8_t *frame)
{
	return !__builtin_memcmp(frame, "\xff\xff\xff\xff\xff\xff", ETH_ADDR);
}

static inline bool card_is_multicast(const uint8_t *frame)
{
	return frame[0] & 1;
}

/*
 * The CRC of IEEE 802.3, 3.2.9.  fcs: as it is sent, in the order of memory.
 * hash: the register after an address, its first bit highest (big) or lowest;
 * filters take its upper bits.
 */
void card_put_fcs(uint8_t *at, const uint8_t *frame, size_t len);
uint32_t card_hash_big(const uint8_t mac[ETH_ADDR]);
uint32_t card_hash_little(const uint8_t mac[ETH_ADDR]);

#endif
