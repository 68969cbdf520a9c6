/*
 * net_offload.h - what a driver leaves to the network card (virtio 1.2,
 * 5.1.6): filling in checksums, and TCP segments larger than the link's.
 */
#ifndef DEV_VIRTIO_NET_OFFLOAD_H
#define DEV_VIRTIO_NET_OFFLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NET_HDR_F_NEEDS_CSUM 1
#define NET_HDR_F_DATA_VALID 2

#define NET_HDR_GSO_NONE  0
#define NET_HDR_GSO_TCPV4 1
#define NET_HDR_GSO_ECN	  0x80

struct net_offload_header {
	uint8_t flags, gso_type;
	uint16_t hdr_len, gso_size, csum_start, csum_offset, num_buffers;
};

/* Finish a frame as its header asks: a plain frame, or one large TCP segment
 * with right lengths and checksums.  false: the header makes no sense. */
bool net_offload_tx(
	const struct net_offload_header *h, uint8_t *frame, size_t len);

#endif
