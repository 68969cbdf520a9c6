/*
 * inet.c - sums and segments of IP.
 */
#include "net/inet.h"

#include <string.h>

#include "net/net.h"

#define IPV4	  20
#define IPV6	  40
#define TCP	  20
#define UDP	  8
#define PROTO_TCP 6
#define PROTO_UDP 17

#define TCP_SEQ	   4
#define TCP_OFFSET 12
#define TCP_FLAGS  13
#define TCP_SUM	   16
#define UDP_SUM	   6
#define F_FIN	   0x01
#define F_PSH	   0x08
#define F_CWR	   0x80

uint64_t inet_sum(const uint8_t *p, size_t len)
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

uint16_t inet_fold(uint64_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

bool inet_fill_checksum(
	uint8_t *frame, size_t len, size_t start, size_t end, size_t field)
{
	uint16_t sum;

	if (start >= end || end > len || field + 2 > len)
		return false;
	sum = ~inet_fold(inet_sum(frame + start, end - start));
	inet_put_sum(frame + field, sum ? sum : 0xffff);
	return true;
}

/* ---- what a frame is ---- */

static bool inet_parse_ipv4(
	struct inet_frame *f, const uint8_t *ip, size_t bytes)
{
	size_t head = (ip[0] & 15) * 4u, total = inet_get16(ip + 2);

	if (head < IPV4 || head > bytes || total < head || total > bytes)
		return false;
	f->ipv4 = true;
	f->fragment = inet_get16(ip + 6) & 0x3fff;
	f->proto = ip[9];
	f->l4 = f->l3 + head;
	f->end = f->l3 + total;
	return true;
}

/* Only packets without extension headers are looked into. */
static bool inet_parse_ipv6(
	struct inet_frame *f, const uint8_t *ip, size_t bytes)
{
	size_t payload = inet_get16(ip + 4);

	if (bytes < IPV6 || payload + IPV6 > bytes)
		return false;
	f->ipv6 = true;
	f->proto = ip[6];
	f->l4 = f->l3 + IPV6;
	f->end = f->l4 + payload;
	return true;
}

bool inet_parse(struct inet_frame *f, const uint8_t *frame, size_t len)
{
	size_t at = 12, bytes;
	bool ok;

	memset(f, 0, sizeof(*f));
	if (len >= INET_ETH + 4 && inet_get16(frame + at) == 0x8100)
		at += 4;
	f->l3 = at + 2;
	if (len < f->l3 + IPV4)
		return false;
	bytes = len - f->l3;
	if (inet_get16(frame + at) == 0x0800 && frame[f->l3] >> 4 == 4)
		ok = inet_parse_ipv4(f, frame + f->l3, bytes);
	else if (inet_get16(frame + at) == 0x86dd && frame[f->l3] >> 4 == 6)
		ok = inet_parse_ipv6(f, frame + f->l3, bytes);
	else
		return false;
	if (!ok || f->fragment)
		return ok;
	if (f->proto == PROTO_UDP && f->l4 + UDP <= f->end) {
		f->data = f->l4 + UDP;
	} else if (f->proto == PROTO_TCP && f->l4 + TCP <= f->end) {
		size_t head = (frame[f->l4 + TCP_OFFSET] >> 4) * 4u;

		if (head >= TCP && f->l4 + head <= f->end)
			f->data = f->l4 + head;
	}
	return true;
}

/* ---- checksums ---- */

static uint64_t inet_pseudo(const uint8_t *frame, const struct inet_frame *f)
{
	uint8_t tail[4] = {0, f->proto};
	const uint8_t *addresses = frame + f->l3 + (f->ipv4 ? 12 : 8);

	inet_put16(tail + 2, f->end - f->l4);
	return inet_sum(tail, 4) + inet_sum(addresses, f->ipv4 ? 8 : 32);
}

void inet_finish_ip(uint8_t *frame, const struct inet_frame *f)
{
	uint8_t *ip = frame + f->l3;

	if (!f->ipv4)
		return;
	inet_put_sum(ip + 10, 0);
	inet_put_sum(ip + 10, ~inet_fold(inet_sum(ip, f->l4 - f->l3)));
}

void inet_finish_l4(uint8_t *frame, const struct inet_frame *f)
{
	uint8_t *l4 = frame + f->l4;
	uint8_t *field = l4 + (f->proto == PROTO_TCP ? TCP_SUM : UDP_SUM);
	uint16_t sum;

	if (!f->data)
		return;
	inet_put_sum(field, 0);
	sum = ~inet_fold(inet_pseudo(frame, f) + inet_sum(l4, f->end - f->l4));
	inet_put_sum(field, sum || f->proto == PROTO_TCP ? sum : 0xffff);
}

bool inet_ip_good(const uint8_t *frame, const struct inet_frame *f)
{
	return !f->ipv4 ||
	       inet_fold(inet_sum(frame + f->l3, f->l4 - f->l3)) == 0xffff;
}

bool inet_l4_good(const uint8_t *frame, const struct inet_frame *f)
{
	const uint8_t *l4 = frame + f->l4;

	if (!f->data ||
		(f->proto == PROTO_UDP && !l4[UDP_SUM] && !l4[UDP_SUM + 1]))
		return true;
	return inet_fold(inet_pseudo(frame, f) +
			 inet_sum(l4, f->end - f->l4)) == 0xffff;
}

/* ---- segments ---- */

/* A frame whose length fields need not be right: they are made so. */
static bool inet_parse_large(struct inet_frame *f, uint8_t *frame, size_t len)
{
	size_t at = 12, bytes;

	if (len >= INET_ETH + 4 && inet_get16(frame + at) == 0x8100)
		at += 4;
	at += 2;
	if (len < at + IPV4 + TCP)
		return false;
	bytes = len - at;
	if (frame[at] >> 4 == 4 && bytes <= 65535)
		inet_put16(frame + at + 2, bytes);
	else if (frame[at] >> 4 == 6 && bytes <= 65535 + IPV6)
		inet_put16(frame + at + 4, bytes - IPV6);
	else
		return false;
	return inet_parse(f, frame, len) && f->proto == PROTO_TCP && f->data;
}

bool inet_finish_tcp4(uint8_t *frame, size_t len)
{
	struct inet_frame f;

	if (!inet_parse_large(&f, frame, len) || !f.ipv4)
		return false;
	inet_finish_ip(frame, &f);
	inet_finish_l4(frame, &f);
	return true;
}

static void inet_cut_lengths(uint8_t *frame, struct inet_frame *f, size_t len)
{
	f->end = len;
	if (f->ipv4)
		inet_put16(frame + f->l3 + 2, len - f->l3);
	else
		inet_put16(frame + f->l3 + 4, len - f->l4);
}

unsigned inet_cut_tcp(uint8_t *frame, size_t len, size_t mss,
	void (*emit)(void *opaque, const uint8_t *frame, size_t len),
	void *opaque)
{
	uint8_t flags, out[NET_MAX_FRAME], *tcp;
	struct inet_frame f;
	uint32_t seq;
	unsigned n = 0;
	uint16_t id;

	if (!mss || len > sizeof(out) || !inet_parse_large(&f, frame, len))
		return 0;
	memcpy(out, frame, f.data);
	tcp = out + f.l4;
	flags = tcp[TCP_FLAGS];
	seq = inet_get32(tcp + TCP_SEQ);
	id = inet_get16(out + f.l3 + 4);
	for (size_t at = f.data; at < len || !n; n++) {
		size_t data = len - at < mss ? len - at : mss;

		memcpy(out + f.data, frame + at, data);
		at += data;
		inet_cut_lengths(out, &f, f.data + data);
		if (f.ipv4)
			inet_put16(out + f.l3 + 4, id + n);
		inet_put32(tcp + TCP_SEQ, seq);
		seq += data;
		/* RFC 3168, 6.1.2: CWR is for the first one only. */
		tcp[TCP_FLAGS] = flags & ~((at < len ? F_FIN | F_PSH : 0) |
						 (n ? F_CWR : 0));
		inet_finish_ip(out, &f);
		inet_finish_l4(out, &f);
		emit(opaque, out, f.data + data);
	}
	return n;
}
