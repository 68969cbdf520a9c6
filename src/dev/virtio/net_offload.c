/*
 * net_offload.c - checksums and large segments of a virtio network card
 * (virtio 1.2, 5.1.6.2; RFC 791, 793, 1071).
 *
 * The frame is our own copy, so what is checked is what is used.
 */
#include "dev/virtio/net_offload.h"

#include "net/inet.h"

bool net_offload_tx(
	const struct net_offload_header *h, uint8_t *frame, size_t len)
{
	switch (h->gso_type & ~NET_HDR_GSO_ECN) {
	case NET_HDR_GSO_NONE:
		return !(h->flags & NET_HDR_F_NEEDS_CSUM) ||
		       inet_fill_checksum(frame, len, h->csum_start, len,
			       (size_t)h->csum_start + h->csum_offset);
	case NET_HDR_GSO_TCPV4: return inet_finish_tcp4(frame, len);
	default: return false;
	}
}
