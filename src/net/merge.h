/*
 * merge.h - TCP/IPv4 segments that follow one another, as one large segment.
 */
#ifndef NET_MERGE_H
#define NET_MERGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/net.h"

struct net_merge {
	size_t len;   /* of frame; 0 = empty */
	size_t head;  /* bytes before the TCP data */
	uint16_t mss; /* data of the first segment */
	uint32_t next_seq;
	unsigned segments;
	bool closed; /* nothing may follow the last one */
	uint8_t frame[NET_MAX_FRAME];
};

/* Take the frame in, if it begins or continues a row of segments. */
bool net_merge_add(struct net_merge *m, const uint8_t *frame, size_t len);
/* Put lengths and checksums in order, when there is more than one segment. */
void net_merge_finish(struct net_merge *m);

#endif
