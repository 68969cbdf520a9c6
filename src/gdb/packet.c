/*
 * packet.c - "$payload#sum" in and out of a byte stream.
 */
#include <string.h>

#include "gdb/priv.h"

static int hex_digit(uint8_t c)
{
	return g_ascii_xdigit_value((gchar)c);
}

static enum gdb_event packet_data(struct gdb_packet *p, uint8_t byte)
{
	if (byte == '$') { /* the last one was cut off */
		p->len = p->sum = 0;
		return GDB_EV_NONE;
	}
	if (byte == '#') {
		p->rx = GDB_RX_SUM1;
		return GDB_EV_NONE;
	}
	p->sum += byte;
	if (p->rx == GDB_RX_DATA && byte == '}') {
		p->rx = GDB_RX_ESCAPE;
		return GDB_EV_NONE;
	}
	if (p->rx == GDB_RX_ESCAPE)
		byte ^= 0x20;
	p->rx = GDB_RX_DATA;
	if (p->len == GDB_PACKET_BYTES)
		return GDB_EV_TOO_LONG;
	p->data[p->len++] = byte;
	return GDB_EV_NONE;
}

enum gdb_event gdb_packet_feed(struct gdb_packet *p, uint8_t byte)
{
	int d;

	switch (p->rx) {
	case GDB_RX_IDLE:
		if (byte == 3)
			return GDB_EV_INTERRUPT;
		if (byte == '-')
			return GDB_EV_RESEND;
		if (byte == '$') {
			p->rx = GDB_RX_DATA;
			p->len = p->sum = 0;
		}
		return GDB_EV_NONE;
	case GDB_RX_DATA:
	case GDB_RX_ESCAPE: return packet_data(p, byte);
	case GDB_RX_SUM1:
		d = hex_digit(byte);
		p->want = (uint8_t)(d < 0 ? ~p->sum : d << 4);
		p->rx = GDB_RX_SUM2;
		return GDB_EV_NONE;
	case GDB_RX_SUM2:
		d = hex_digit(byte);
		p->rx = GDB_RX_IDLE;
		p->data[p->len] = 0;
		if (d < 0 || (p->want | d) != p->sum)
			return GDB_EV_BAD;
		return GDB_EV_PACKET;
	}
	return GDB_EV_NONE;
}

void gdb_packet_frame(GString *out, const char *payload, size_t len)
{
	uint8_t sum = 0;

	g_string_append_c(out, '$');
	for (size_t i = 0; i < len; i++) {
		char c = payload[i];

		if (c == '$' || c == '#' || c == '}' || c == '*') {
			g_string_append_c(out, '}');
			sum += '}';
			c ^= 0x20;
		}
		g_string_append_c(out, c);
		sum += (uint8_t)c;
	}
	g_string_append_printf(out, "#%02x", sum);
}

void gdb_hex_put(GString *out, const void *data, size_t len)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *p = data;

	for (size_t i = 0; i < len; i++) {
		g_string_append_c(out, digits[p[i] >> 4]);
		g_string_append_c(out, digits[p[i] & 15]);
	}
}

size_t gdb_hex_get(const char *text, uint8_t *out, size_t max)
{
	size_t n = 0;

	while (n < max) {
		int a = hex_digit((uint8_t)text[2 * n]), b;

		if (a < 0)
			break;
		b = hex_digit((uint8_t)text[2 * n + 1]);
		if (b < 0)
			break;
		out[n++] = (uint8_t)(a << 4 | b);
	}
	return n;
}

bool gdb_hex_number(const char **text, uint64_t *v)
{
	unsigned n = 0;

	*v = 0;
	for (int d; (d = hex_digit((uint8_t) * *text)) >= 0; n++, ++*text) {
		if (n == 16)
			return false;
		*v = *v << 4 | (uint64_t)d;
	}
	return n > 0;
}

bool gdb_hex_number_then(const char **text, char after, uint64_t *v)
{
	if (!gdb_hex_number(text, v) || **text != after)
		return false;
	if (after)
		++*text;
	return true;
}
