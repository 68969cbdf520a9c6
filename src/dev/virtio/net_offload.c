/*
 * net_offload.c - checksums and large segments of a virtio network card
 * (virtio 1.2, 5.1.6.2; RFC 791, 793, 1071).
 *
 * The frame is our own copy, so what is checked is what is used.
 */
#include "dev/virtio/net_offload.h"

#include <string.h>

#define ETH_HEADER   14
#define IPV4_HEADER  20
#define TCP_HEADER   20
#define IPPROTO_TCP_ 6

/* One's-complement sum in host byte order of a row of bytes. */
static uint64_t net_sum(const uint8_t *p, size_t len)
{
	uint64_t sum = 0;
	uint32_t w;

	for (; len >= 4; p += 4, len -= 4) {
		memcpy(&w, p, 4);
		sum += w;
	}
	w = 0;
	memcpy(&w, p, len);
	return sum + w;
}

static uint16_t net_fold(uint64_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

static void net_put16(uint8_t *p, uint16_t v)
{
	memcpy(p, &v, 2);
}

static void net_put_be16(uint8_t *p, uint16_t v)
{
	p[0] = v >> 8;
	p[1] = v;
}

/* The driver has put the pseudo header's sum into the field. */
static bool net_fill_checksum(
	const struct net_offload_header *h, uint8_t *frame, size_t len)
{
	size_t field = (size_t)h->csum_start + h->csum_offset;
	uint16_t sum;

	if (h->csum_start >= len || field + 2 > len)
		return false;
	sum = ~net_fold(net_sum(frame + h->csum_start, len - h->csum_start));
	net_put16(frame + field, sum ? sum : 0xffff); /* UDP's 0 means none */
	return true;
}

/* Drivers differ in what they leave in the length and checksum fields of a
 * segment to be cut, so all of them are made anew. */
static bool net_finish_tcp4(uint8_t *frame, size_t len)
{
	uint8_t *ip = frame + ETH_HEADER;
	size_t ip_len = len - ETH_HEADER, ihl;
	uint64_t sum;
	uint8_t pseudo[4] = {0, IPPROTO_TCP_};
	uint8_t *tcp;

	if (len < ETH_HEADER + IPV4_HEADER + TCP_HEADER || ip_len > 65535 ||
		frame[12] != 0x08 || frame[13] != 0x00 || ip[0] >> 4 != 4)
		return false;
	ihl = (ip[0] & 15) * 4;
	if (ihl < IPV4_HEADER || ihl + TCP_HEADER > ip_len ||
		ip[9] != IPPROTO_TCP_)
		return false;
	net_put_be16(ip + 2, ip_len);
	net_put16(ip + 10, 0);
	net_put16(ip + 10, ~net_fold(net_sum(ip, ihl)));
	tcp = ip + ihl;
	net_put_be16(pseudo + 2, ip_len - ihl);
	net_put16(tcp + 16, 0);
	sum = net_sum(ip + 12, 8) + net_sum(pseudo, 4) +
	      net_sum(tcp, ip_len - ihl);
	net_put16(tcp + 16, ~net_fold(sum));
	return true;
}

bool net_offload_tx(
	const struct net_offload_header *h, uint8_t *frame, size_t len)
{
	switch (h->gso_type & ~NET_HDR_GSO_ECN) {
	case NET_HDR_GSO_NONE:
		return !(h->flags & NET_HDR_F_NEEDS_CSUM) ||
		       net_fill_checksum(h, frame, len);
	case NET_HDR_GSO_TCPV4: return net_finish_tcp4(frame, len);
	default: return false;
	}
}
