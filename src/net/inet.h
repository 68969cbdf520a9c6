/*
 * inet.h - sums and segments of IP (RFC 791, 793, 1071, 8200), for cards that
 * do for a driver what its network stack would have to.
 *
 * Frames are our own copies: what is checked is what is used.
 */
#ifndef NET_INET_H
#define NET_INET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define INET_ETH 14 /* bytes of an Ethernet header */

/* One's-complement sum of bytes as they lie in memory, unfolded; stored with
 * inet_put_sum it is in network order again. */
uint64_t inet_sum(const uint8_t *p, size_t len);
uint16_t inet_fold(uint64_t sum);
static inline void inet_put_sum(uint8_t *p, uint16_t v)
{
	__builtin_memcpy(p, &v, 2);
}

static inline uint16_t inet_get16(const uint8_t *p)
{
	return p[0] << 8 | p[1];
}

static inline uint32_t inet_get32(const uint8_t *p)
{
	return (uint32_t)inet_get16(p) << 16 | inet_get16(p + 2);
}

static inline void inet_put16(uint8_t *p, uint32_t v)
{
	p[0] = v >> 8;
	p[1] = v;
}

static inline void inet_put32(uint8_t *p, uint32_t v)
{
	inet_put16(p, v >> 16);
	inet_put16(p + 2, v);
}

/* Put the checksum of [start, end) at field, which holds what is to be added
 * (a pseudo header's sum, or 0).  A sum of 0 is written as 0xffff: UDP's 0
 * means none.  false: it does not lie in the frame. */
bool inet_fill_checksum(
	uint8_t *frame, size_t len, size_t start, size_t end, size_t field);

/* What a frame is made of. */
struct inet_frame {
	size_t l3, l4, data; /* offsets; l4 and data 0: not known */
	size_t end;	     /* of the IP packet; behind it is padding */
	bool ipv4, ipv6, fragment;
	uint8_t proto; /* 6 TCP, 17 UDP; else data is 0 */
};

/* false: no IP packet that lies whole in the frame. */
bool inet_parse(struct inet_frame *f, const uint8_t *frame, size_t len);

/* The header checksum of IPv4; that of TCP or UDP, pseudo header included. */
void inet_finish_ip(uint8_t *frame, const struct inet_frame *f);
void inet_finish_l4(uint8_t *frame, const struct inet_frame *f);
/* Are they right?  What has none is. */
bool inet_ip_good(const uint8_t *frame, const struct inet_frame *f);
bool inet_l4_good(const uint8_t *frame, const struct inet_frame *f);

/* Make lengths and checksums of a large TCP/IPv4 segment anew: drivers differ
 * in what they leave in these fields.  false: it is none. */
bool inet_finish_tcp4(uint8_t *frame, size_t len);

/*
 * Cut a large TCP segment, over IPv4 or IPv6, into ones of at most mss bytes
 * of data; each is emitted with lengths, identification, sequence number,
 * flags and checksums of its own.  frame is changed.  How many there were; 0:
 * it is none.
 */
unsigned inet_cut_tcp(uint8_t *frame, size_t len, size_t mss,
	void (*emit)(void *opaque, const uint8_t *frame, size_t len),
	void *opaque);

#endif
