/*
 * net-merge.c - which TCP segments become one, and what the one looks like.
 */
#include <string.h>

#include <glib.h>

#include "net/merge.h"

#define HEAD 54

static void put16(uint8_t *p, unsigned v)
{
	p[0] = v >> 8;
	p[1] = v;
}

static size_t segment(uint8_t *f, uint32_t seq, unsigned data, uint8_t flags)
{
	memset(f, 0, HEAD);
	memset(f + HEAD, seq, data);
	f[12] = 8;
	f[14] = 0x45;
	put16(f + 16, 40 + data);
	f[22] = 64;
	f[23] = 6;
	put16(f + 26, 0x0a00);
	put16(f + 28, 0x0202);
	put16(f + 34, 1234);
	put16(f + 36, 80);
	put16(f + 38, seq >> 16);
	put16(f + 40, seq);
	f[46] = 0x50;
	f[47] = flags;
	return HEAD + data;
}

static unsigned sum(const uint8_t *p, unsigned len)
{
	uint32_t s = 0;

	for (unsigned i = 0; i < len; i += 2)
		s += p[i] << 8 | p[i + 1];
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return s;
}

static struct net_merge m;

static bool add(uint32_t seq, unsigned data, uint8_t flags)
{
	static uint8_t f[70000];

	return net_merge_add(&m, f, segment(f, seq, data, flags));
}

static void test_row(void)
{
	m.len = 0;
	g_assert_true(add(0xfffffc00, 1000, 0x10)); /* wraps on the way */
	g_assert_true(add(0xffffffe8, 1000, 0x10));
	g_assert_true(add(976, 500, 0x18)); /* short: the last */
	g_assert_false(add(1476, 1000, 0x10));
	net_merge_finish(&m);
	g_assert_cmpint(m.segments, ==, 3);
	g_assert_cmpint(m.mss, ==, 1000);
	g_assert_cmpint(m.len, ==, HEAD + 2500);
	g_assert_cmpint(m.frame[16] << 8 | m.frame[17], ==, 2540);
	g_assert_cmphex(sum(m.frame + 14, 20), ==, 0xffff);
	g_assert_cmphex(m.frame[47], ==, 0x18);
	g_assert_cmphex(m.frame[HEAD + 1000], ==, 0xe8);
	/* the pseudo header's sum: addresses, protocol, length */
	g_assert_cmphex(
		m.frame[50] << 8 | m.frame[51], ==, 0x0a00 + 0x0202 + 6 + 2520);
}

static void test_not(void)
{
	static const struct {
		uint32_t seq;
		unsigned data;
		uint8_t flags;
	} no[] = {
		{1001, 100, 0x10}, /* a gap */
		{900, 100, 0x10},  /* again */
		{1000, 0, 0x10},   /* a bare ACK */
		{1000, 101, 0x10}, /* larger than the first */
		{1000, 100, 0x11}, /* FIN */
		{1000, 100, 0x30}, /* URG */
		{1000, 100, 0x14}, /* RST */
	};

	m.len = 0;
	g_assert_false(add(1, 100, 0x12)); /* SYN */
	g_assert_true(add(900, 100, 0x10));
	for (unsigned i = 0; i < G_N_ELEMENTS(no); i++)
		g_assert_false(add(no[i].seq, no[i].data, no[i].flags));
	g_assert_true(add(1000, 100, 0x10));
}

/* Never longer than an IP packet can say. */
static void test_full(void)
{
	unsigned n = 0;

	m.len = 0;
	while (add(n * 1460, 1460, 0x10))
		n++;
	g_assert_cmpint(n, ==, (65535 - 40) / 1460);
}

static void test_rubbish(void)
{
	uint8_t f[200];

	for (unsigned i = 0; i < 100000; i++) {
		segment(f, 1000, 100, 0x10);
		for (unsigned k = 0; k < 3; k++)
			f[g_random_int_range(0, HEAD)] = g_random_int();
		if (i % 7 == 0)
			m.len = 0;
		net_merge_add(&m, f, g_random_int_range(0, 155));
		if (i % 11 == 0)
			net_merge_finish(&m);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/net/merge/row", test_row);
	g_test_add_func("/net/merge/not", test_not);
	g_test_add_func("/net/merge/full", test_full);
	g_test_add_func("/net/merge/rubbish", test_rubbish);
	return g_test_run();
}
