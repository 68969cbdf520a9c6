/*
 * card.c - what all network cards share.
 */
#include "dev/net/card.h"

#include <stdio.h>
#include <string.h>

#include <zlib.h>

void card_choose_mac(uint8_t mac[ETH_ADDR], const struct dev_host *h)
{
	static const uint8_t none[ETH_ADDR],
		first[ETH_ADDR] = {0x52, 0x54, 0x00, 0x12, 0x34, 0x56};

	if (memcmp(h->mac, none, ETH_ADDR)) {
		memcpy(mac, h->mac, ETH_ADDR);
		return;
	}
	memcpy(mac, first, ETH_ADDR);
	mac[5] += h->index;
}

void card_init(struct card *c, struct dev *dev,
	bool (*receive)(void *opaque, const uint8_t *frame, size_t len))
{
	card_choose_mac(c->mac, &dev->host);
	c->port = dev->host.net;
	if (!c->port)
		return;
	c->port->opaque = dev;
	c->port->receive = receive;
}

void card_fini(struct card *c)
{
	if (c->port)
		c->port->receive = NULL;
}

void card_send(struct card *c, const uint8_t *frame, size_t len)
{
	c->tx_frames++;
	if (c->port)
		c->port->send(c->port, frame, len);
}

void card_ready(struct card *c)
{
	if (c->port && c->port->ready)
		c->port->ready(c->port);
}

void card_describe(const struct card *c, char *buf, unsigned size)
{
	snprintf(buf, size, "%llu frames in, %llu out, %llu dropped",
		(unsigned long long)c->rx_frames,
		(unsigned long long)c->tx_frames,
		(unsigned long long)c->dropped);
}

void card_put_fcs(uint8_t *at, const uint8_t *frame, size_t len)
{
	uint32_t crc = crc32(0, frame, len);

	for (unsigned i = 0; i < ETH_FCS; i++)
		at[i] = crc >> (8 * i);
}

uint32_t card_hash_little(const uint8_t mac[ETH_ADDR])
{
	return ~crc32(0, mac, ETH_ADDR);
}

uint32_t card_hash_big(const uint8_t mac[ETH_ADDR])
{
	uint32_t little = card_hash_little(mac), big = 0;

	for (unsigned i = 0; i < 32; i++)
		big |= (little >> i & 1) << (31 - i);
	return big;
}
