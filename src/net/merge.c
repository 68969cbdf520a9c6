/*
 * merge.c - TCP/IPv4 segments that follow one another, as one large segment
 * (RFC 791, 793): a guest is interrupted once and walks its stack once.
 *
 * Only what a sender's own segmentation would make again is merged: same
 * addresses, ports, acknowledgement and options, sequence numbers in a row,
 * all of one size but the last.
 */
#include "net/merge.h"

#include <string.h>

#include "net/inet.h"

#define ETH	     14
#define IPV4	     20
#define TCP	     20
#define TCP_SEQ	     4
#define TCP_ACK	     8
#define TCP_FLAGS    13
#define TCP_WINDOW   14
#define TCP_CHECKSUM 16
#define F_ACK	     0x10
#define F_PSH	     0x08
#define MAX_IP_BYTES 65535

/* Bytes of headers of a segment with data and nothing special, or 0. */
static size_t merge_headers(const uint8_t *f, size_t len)
{
	const uint8_t *ip = f + ETH, *tcp = ip + IPV4;
	size_t head;

	if (len < ETH + IPV4 + TCP || inet_get16(f + 12) != 0x0800 ||
		ip[0] != 0x45 || inet_get16(ip + 2) != len - ETH ||
		(inet_get16(ip + 6) & 0x3fff) || ip[9] != 6)
		return 0;
	head = ETH + IPV4 + (tcp[12] >> 4) * 4u;
	if (head < ETH + IPV4 + TCP || head >= len ||
		(tcp[TCP_FLAGS] & ~F_PSH) != F_ACK)
		return 0;
	return head;
}

static bool merge_same_flow(const uint8_t *a, const uint8_t *b, size_t head)
{
	const unsigned tcp = ETH + IPV4;

	return !memcmp(a, b, ETH + 2) &&		     /* TOS */
	       !memcmp(a + ETH + 8, b + ETH + 8, 2) &&	     /* TTL */
	       !memcmp(a + ETH + 12, b + ETH + 12, 8 + 4) && /* ports */
	       !memcmp(a + tcp + TCP_ACK, b + tcp + TCP_ACK, 5) &&
	       !memcmp(a + tcp + TCP, b + tcp + TCP, head - tcp - TCP);
}

static void merge_begin(
	struct net_merge *m, const uint8_t *frame, size_t len, size_t head)
{
	memcpy(m->frame, frame, len);
	m->len = len;
	m->head = head;
	m->mss = len - head;
	m->next_seq = inet_get32(frame + ETH + IPV4 + TCP_SEQ) + m->mss;
	m->segments = 1;
	m->closed = frame[ETH + IPV4 + TCP_FLAGS] & F_PSH;
}

bool net_merge_add(struct net_merge *m, const uint8_t *frame, size_t len)
{
	const uint8_t *tcp = frame + ETH + IPV4;
	size_t head = merge_headers(frame, len), data = len - head;

	if (!head || len > MAX_IP_BYTES + ETH)
		return false;
	if (!m->len) {
		merge_begin(m, frame, len, head);
		return true;
	}
	if (m->closed || head != m->head || data > m->mss ||
		m->len - ETH + data > MAX_IP_BYTES ||
		inet_get32(tcp + TCP_SEQ) != m->next_seq ||
		!merge_same_flow(m->frame, frame, head))
		return false;
	memcpy(m->frame + m->len, frame + head, data);
	m->len += data;
	m->next_seq += data;
	m->segments++;
	m->frame[ETH + IPV4 + TCP_FLAGS] |= tcp[TCP_FLAGS];
	memcpy(m->frame + ETH + IPV4 + TCP_WINDOW, tcp + TCP_WINDOW, 2);
	m->closed = data < m->mss || (tcp[TCP_FLAGS] & F_PSH);
	return true;
}

void net_merge_finish(struct net_merge *m)
{
	uint8_t *ip = m->frame + ETH, pseudo[4] = {0, 6};

	if (m->segments < 2)
		return;
	inet_put16(ip + 2, m->len - ETH);
	inet_put_sum(ip + 10, 0);
	inet_put_sum(ip + 10, ~inet_fold(inet_sum(ip, IPV4)));
	inet_put16(pseudo + 2, m->len - ETH - IPV4);
	inet_put_sum(ip + IPV4 + TCP_CHECKSUM,
		inet_fold(inet_sum(pseudo, 4) + inet_sum(ip + 12, 8)));
}
