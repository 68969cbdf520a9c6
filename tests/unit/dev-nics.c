/*
 * dev-nics.c - RTL8139 (both modes), PCnet and NE2000 as their drivers see
 * them: identity, sending, receiving, filters, full rings.
 */
#include <stdio.h>

#include "nic-rig.h"

#define RING	0x10000
#define TX	0x20000
#define BUFFERS 0x40000

static struct nic n;
static uint8_t frame[4096], got[4096];

/* ---- addresses that all of them filter ---- */

static const struct {
	uint8_t to[6];
	bool taken; /* with own, broadcast and hash filters on */
} addresses[] = {
	{{0x52, 0x54, 0, 0xab, 0xcd, 0x10}, true},
	{{0x52, 0x54, 0, 0xab, 0xcd, 0x11}, false},
	{{255, 255, 255, 255, 255, 255}, true},
	{{0x33, 0x33, 0, 0, 0, 1}, true},  /* its bit is set below */
	{{0x33, 0x33, 0, 0, 0, 2}, false}, /* that of another is not */
};

/* IEEE 802.3's CRC of 33:33:00:00:00:01, bit by bit; upper six bits. */
static unsigned hash_of(const uint8_t *mac, bool little)
{
	uint32_t crc = 0xffffffff, out = 0;

	for (unsigned i = 0; i < 48; i++) {
		bool bit = (mac[i / 8] >> (i % 8) & 1) ^ (crc & 1);

		crc = crc >> 1 ^ (bit ? 0xedb88320 : 0);
	}
	if (little)
		return crc >> 26;
	for (unsigned i = 0; i < 6; i++)
		out |= (crc >> i & 1) << (5 - i);
	return out;
}

static void check_filters(unsigned (*count)(void))
{
	for (unsigned i = 0; i < G_N_ELEMENTS(addresses); i++) {
		unsigned before = count();

		frame_fill(frame, addresses[i].to, 64);
		g_assert_true(nic_receive(&n, frame, 64));
		if ((count() != before) != addresses[i].taken)
			g_error("address %u", i);
	}
}

static unsigned frames_in(void)
{
	char text[200];
	unsigned in = 0;

	n.dev->cls->describe(n.dev, text, sizeof(text));
	g_assert_cmpint(sscanf(text, "%u frames in", &in), ==, 1);
	return in;
}

/* ---- RTL8139 ---- */

static void rtl_up(const char *class, uint32_t rcr)
{
	unsigned hash = hash_of(addresses[3].to, false);

	nic_up(&n, class);
	io_write(&n, 0x37, 1, 0x10);
	g_assert_cmphex(io_read(&n, 0x37, 1) & 0x10, ==, 0);
	io_write(&n, 0x08 + hash / 8, 1, 1u << (hash & 7));
	io_write(&n, 0x30, 4, RING);
	io_write(&n, 0x37, 1, 0x0c);
	io_write(&n, 0x44, 4, rcr);
	io_write(&n, 0x3c, 2, 0x0005);
}

static void test_rtl_identity(void)
{
	rtl_up("rtl8139", 0);
	g_assert_cmphex(nic_config_read(&n, 0, 4), ==, 0x813910ec);
	g_assert_cmphex(nic_config_read(&n, 8, 1), ==, 0x20);
	g_assert_cmphex(io_read(&n, 0, 4), ==, 0xab005452);
	g_assert_cmphex(io_read(&n, 0x40, 4) & 0x7cc00000, ==, 0x74800000);
	/* by memory too, and configuration only when unlocked */
	g_assert_cmphex(mmio_read(&n, 4) & 0xffff, ==, 0x10cd);
	io_write(&n, 0x52, 1, 0xff);
	g_assert_cmphex(io_read(&n, 0x52, 1), ==, 0x0d);
	io_write(&n, 0x50, 1, 0xc0);
	io_write(&n, 0x52, 1, 0xff);
	g_assert_cmphex(io_read(&n, 0x52, 1), ==, 0xff);
	/* the timer */
	io_write(&n, 0x3c, 2, 0x4000);
	io_write(&n, 0x54, 4, 33 * 1000);
	io_write(&n, 0x48, 4, 0);
	board_sleep(&n.r.b, 3000);
	g_assert_true(n.pci->irq_out);
	io_write(&n, 0x54, 4, 0);
	io_write(&n, 0x3e, 2, 0x4000);
	g_assert_false(n.pci->irq_out);
	nic_down(&n);
	rtl_up("rtl8139c", 0);
	g_assert_cmphex(nic_config_read(&n, 8, 1), ==, 0x10);
	io_write(&n, 0xe0, 2, 3); /* it has no rings of descriptors */
	g_assert_cmphex(io_read(&n, 0xe0, 2), ==, 0);
	nic_down(&n);
}

static void test_rtl_send(void)
{
	rtl_up("rtl8139", 0);
	for (unsigned i = 0; i < 6; i++) {
		frame_fill(frame, nic_peer, 100 + i);
		ram_write(&n, BUFFERS, frame, 100 + i);
		io_write(&n, 0x20 + 4 * (i & 3), 4, BUFFERS);
		g_assert_true(io_read(&n, 0x10 + 4 * (i & 3), 4) & 0x2000);
		io_write(&n, 0x10 + 4 * (i & 3), 4, 100 + i);
		g_assert_cmpmem(n.sent, n.sent_len, frame, 100 + i);
		g_assert_cmphex(io_read(&n, 0x10 + 4 * (i & 3), 4), ==,
			0xa000 | (100 + i));
		g_assert_true(n.pci->irq_out);
		io_write(&n, 0x3e, 2, 4);
		g_assert_false(n.pci->irq_out);
	}
	g_assert_cmphex(io_read(&n, 0x60, 2), ==, 0xf00f);
	nic_down(&n);
}

static void rtl_read_all(uint16_t *at, unsigned size, bool wrap)
{
	while (!(io_read(&n, 0x37, 1) & 1)) {
		uint32_t head = ram_get(&n, RING + *at, 4);
		unsigned len = head >> 16;

		g_assert_cmphex(head & 0xffff, ==, 0x4001); /* ours */
		for (unsigned i = 0; i < len - 4; i++)
			got[i] = ram_get(&n,
				RING + (wrap ? *at + 4 + i
					     : (*at + 4 + i) % size),
				1);
		g_assert_cmpmem(got, len - 4, frame, len - 4);
		*at = ((*at + len + 4 + 3) & ~3u) % size;
		io_write(&n, 0x38, 2, (uint16_t)(*at - 16));
	}
}

/* Round the ring many times, with and without frames that go on behind its
 * end. */
static void test_rtl_ring(void)
{
	for (unsigned wrap = 0; wrap < 2; wrap++) {
		uint16_t at = 0;

		rtl_up("rtl8139", 0x0e | (wrap ? 0x80 : 0));
		frame_fill(frame, nic_mac, 1514);
		for (unsigned i = 0; i < 60; i++) {
			unsigned len = 60 + i * 97 % 1450;

			g_assert_true(nic_receive(&n, frame, len));
			g_assert_true(nic_receive(&n, frame, len));
			io_write(&n, 0x3e, 2, 1);
			rtl_read_all(&at, 8192, wrap);
		}
		/* full: what comes waits, and the driver is told */
		for (unsigned i = 0; i < 5; i++)
			g_assert_true(nic_receive(&n, frame, 1514));
		io_write(&n, 0x3e, 2, 1);
		g_assert_false(nic_receive(&n, frame, 1514));
		g_assert_true(n.pci->irq_out);
		n.readies = 0;
		rtl_read_all(&at, 8192, wrap);
		g_assert_cmpuint(n.readies, ==, 5);
		check_filters(frames_in);
		nic_down(&n);
	}
}

static void test_rtl_plus(void)
{
	uint32_t d[4] = {0};
	struct inet_frame p;
	size_t len = frame_tcp4(frame, 200);

	rtl_up("rtl8139", 0x0e);
	ram_write(&n, BUFFERS, frame, len);
	io_write(&n, 0xe0, 2, 0x23);
	io_write(&n, 0x20, 4, TX);
	io_write(&n, 0x24, 4, 0);
	io_write(&n, 0xe4, 4, RING);
	io_write(&n, 0xe8, 4, 0);
	/* two pieces, checksums */
	d[0] = 0xa0070000 | 100; /* OWN, FS, IPCS, UDPCS, TCPCS */
	d[2] = BUFFERS;
	ram_write(&n, TX, d, 16);
	d[0] = 0xd0070000 | (len - 100); /* OWN, EOR, LS */
	d[2] = BUFFERS + 100;
	ram_write(&n, TX + 16, d, 16);
	io_write(&n, 0xd9, 1, 0x40);
	g_assert_cmpuint(n.nsent, ==, 1);
	g_assert_cmpuint(n.sent_len, ==, len);
	g_assert_true(inet_parse(&p, n.sent, len));
	g_assert_true(inet_ip_good(n.sent, &p) && inet_l4_good(n.sent, &p));
	g_assert_cmphex(ram_get(&n, TX + 16, 4) >> 31, ==, 0);
	g_assert_cmphex(io_read(&n, 0x3e, 2), ==, 0x84);
	/* no descriptor: it waits */
	frame_fill(frame, nic_mac, 100);
	g_assert_false(nic_receive(&n, frame, 100));
	g_assert_true(io_read(&n, 0x3e, 2) & 0x10);
	d[0] = 0xc0000600;
	d[2] = BUFFERS;
	ram_write(&n, RING, d, 16);
	g_assert_true(nic_receive(&n, frame, 100));
	g_assert_cmphex(ram_get(&n, RING, 4), ==, 0x72000000 | 104);
	ram_read(&n, BUFFERS, got, 100);
	g_assert_cmpmem(got, 100, frame, 100);
	/* counters */
	io_write(&n, 0x14, 4, 0);
	io_write(&n, 0x10, 4, BUFFERS | 8);
	g_assert_cmphex(io_read(&n, 0x10, 4) & 8, ==, 0);
	g_assert_cmpuint(ram_get(&n, BUFFERS, 4), ==, 1);
	g_assert_cmpuint(ram_get(&n, BUFFERS + 8, 4), ==, 1);
	nic_down(&n);
}

/* ---- PCnet ---- */

static void csr_write(unsigned reg, uint16_t val)
{
	io_write(&n, 0x12, 2, reg);
	io_write(&n, 0x10, 2, val);
}

static uint16_t csr_read(unsigned reg)
{
	io_write(&n, 0x12, 2, reg);
	return io_read(&n, 0x10, 2);
}

/* Four entries each way; the style's own layout. */
static void pcnet_up(unsigned style)
{
	unsigned hash = hash_of(addresses[3].to, true);
	uint8_t b[28] = {0}, *at = b + (style ? 4 : 2);
	uint32_t rings[2] = {RING, TX};
	unsigned desc = style ? 16 : 8;

	nic_up(&n, "pcnet");
	io_read(&n, 0x14, 2);
	g_assert_cmphex(csr_read(0), ==, 4);
	io_write(&n, 0x12, 2, 20);
	io_write(&n, 0x16, 2, style);
	memcpy(at, nic_mac, 6);
	at[(style ? 8 : 6) + hash / 8] = 1u << (hash & 7);
	if (style) {
		b[2] = b[3] = 0x20;
	} else {
		rings[0] |= 2u << 29;
		rings[1] |= 2u << 29;
	}
	memcpy(at + (style ? 16 : 14), rings, 8);
	ram_write(&n, 0x8000, b, sizeof(b));
	for (unsigned i = 0; i < 4; i++) {
		uint32_t d[4] = {0}, addr = BUFFERS + i * 2048;

		d[style == 3 ? 2 : 0] = addr;
		d[1] = 0x80000000 | (0x10000 - 1536);
		if (!style) {
			d[0] |= 0x80000000;
			d[1] &= 0xffff;
		}
		ram_write(&n, RING + i * desc, d, desc);
	}
	csr_write(1, 0x8000);
	csr_write(2, 0);
	csr_write(0, 1);
	g_assert_cmphex(csr_read(0), ==, 0x0181);
	csr_write(0, 0x0142); /* start, interrupts */
	g_assert_cmphex(csr_read(0) & 0x30, ==, 0x30);
}

static void test_pcnet_styles(void)
{
	static const unsigned styles[] = {0, 2, 3};

	for (unsigned s = 0; s < 3; s++) {
		unsigned style = styles[s], desc = style ? 16 : 8;
		uint32_t d[4] = {0};

		pcnet_up(style);
		frame_fill(frame, nic_peer, 100);
		ram_write(&n, BUFFERS + 0x10000, frame, 100);
		d[style == 3 ? 2 : 0] = BUFFERS + 0x10000;
		d[1] = 0x83000000 | (0x10000 - 100);
		if (!style) {
			d[0] |= 0x83000000;
			d[1] &= 0xffff;
		}
		ram_write(&n, TX, d, desc);
		csr_write(0, 0x48);
		g_assert_cmpmem(n.sent, n.sent_len, frame, 100);
		g_assert_true(csr_read(0) & 0x200);
		g_assert_true(n.pci->irq_out);
		g_assert_cmphex(ram_get(&n, TX + (style ? 7 : 3), 1), ==, 3);
		csr_write(0, 0x240);
		g_assert_false(n.pci->irq_out);
		/* receive: STP, ENP; the count has the check sequence */
		frame_fill(frame, nic_mac, 300);
		g_assert_true(nic_receive(&n, frame, 300));
		g_assert_cmphex(ram_get(&n, RING + (style ? 7 : 3), 1), ==, 3);
		g_assert_cmphex(ram_get(&n,
					RING + (style == 3	    ? 0
						       : style == 2 ? 8
								    : 6),
					2),
			==, 304);
		ram_read(&n, BUFFERS, got, 300);
		g_assert_cmpmem(got, 300, frame, 300);
		/* a full ring */
		for (unsigned i = 0; i < 3; i++)
			g_assert_true(nic_receive(&n, frame, 300));
		g_assert_false(nic_receive(&n, frame, 300));
		nic_down(&n);
	}
}

static void test_pcnet_rest(void)
{
	uint32_t d[4] = {BUFFERS, 0x80000000 | (0x10000 - 128)};

	pcnet_up(2);
	g_assert_cmphex(csr_read(88), ==, 0x1003);
	g_assert_cmphex(csr_read(89), ==, 0x0262);
	g_assert_cmphex(io_read(&n, 0, 4), ==, 0xab005452);
	g_assert_cmphex(io_read(&n, 14, 2), ==, 0x5757);
	/* a frame over three buffers */
	for (unsigned i = 0; i < 4; i++)
		ram_write(&n, RING + 16 * i, d, 16);
	frame_fill(frame, nic_mac, 300);
	g_assert_true(nic_receive(&n, frame, 300));
	g_assert_cmphex(ram_get(&n, RING + 7, 1), ==, 2);
	g_assert_cmphex(ram_get(&n, RING + 16 + 7, 1), ==, 0);
	g_assert_cmphex(ram_get(&n, RING + 32 + 7, 1), ==, 1);
	g_assert_cmphex(ram_get(&n, RING + 32 + 8, 2), ==, 304);
	/* double words from now on, until a reset of the board */
	io_write(&n, 0x10, 4, 0);
	io_write(&n, 0x14, 4, 88);
	g_assert_cmphex(io_read(&n, 0x10, 4), ==, 0x1003);
	/* S_RESET leaves the block's address */
	io_read(&n, 0x18, 4);
	io_write(&n, 0x14, 4, 1);
	g_assert_cmphex(io_read(&n, 0x10, 4), ==, 0x8000);
	nic_reset(&n);
	nic_enable(&n);
	g_assert_cmphex(csr_read(88), ==, 0x1003);
	nic_down(&n);
	pcnet_up(2);
	for (unsigned i = 0; i < 4; i++) {
		d[1] = 0x80000000 | (0x10000 - 1536);
		ram_write(&n, RING + 16 * i, d, 16);
	}
	check_filters(frames_in);
	nic_down(&n);
}

/* ---- NE2000 ---- */

#define ISA_PORT 0x300

static uint16_t ne_base;

static void ne_out(unsigned reg, uint8_t val)
{
	outb(&n.r.b, ne_base + reg, val);
}

static uint8_t ne_in(unsigned reg)
{
	return inb(&n.r.b, ne_base + reg);
}

static void ne_remote(uint16_t at, uint16_t len, uint8_t cmd)
{
	ne_out(0x8, at & 0xff);
	ne_out(0x9, at >> 8);
	ne_out(0xa, len & 0xff);
	ne_out(0xb, len >> 8);
	ne_out(0, cmd);
}

static void ne_read(uint16_t at, uint8_t *p, unsigned len)
{
	ne_remote(at, len, 0x0a);
	for (unsigned i = 0; i < len; i += 2) {
		uint16_t v = bus_io_read(n.r.b.bus, ne_base + 0x10, 2);

		memcpy(p + i, &v, 2);
	}
	g_assert_true(ne_in(7) & 0x40);
	ne_out(7, 0x40);
}

static void ne_up(bool isa)
{
	unsigned hash = hash_of(addresses[3].to, false);

	if (isa) {
		memset(&n, 0, sizeof(n));
		rig_init(&n.r);
		n.r.b.host.isa_port = ISA_PORT;
		n.r.b.host.isa_irq = 5;
		n.port.send = nic_sent;
		n.port.ready = nic_ready;
		n.r.b.host.net = &n.port;
		memcpy(n.r.b.host.mac, nic_mac, 6);
		n.dev = board_add(&n.r.b, "ne2000-isa");
	} else {
		nic_up(&n, "ne2000");
	}
	ne_base = isa ? ISA_PORT : NIC_IO;
	ne_in(0x1f);
	g_assert_true(ne_in(7) & 0x80);
	ne_out(0, 0x21);
	ne_out(0xe, 0x49);
	ne_out(1, 0x46);
	ne_out(2, 0x80);
	ne_out(3, 0x46);
	ne_out(4, 0x40);
	ne_out(0xc, 0x0c);
	ne_out(0xd, 0);
	ne_out(7, 0xff);
	ne_out(0, 0x61);
	for (unsigned i = 0; i < 6; i++)
		ne_out(1 + i, nic_mac[i]);
	ne_out(7, 0x47);
	ne_out(8 + hash / 8, 1u << (hash & 7));
	ne_out(0, 0x22);
	ne_out(0xf, 0x03);
}

static bool ne_irq(bool isa)
{
	return isa ? n.r.level[5] : n.pci->irq_out;
}

static uint8_t ne_curr(void)
{
	uint8_t v;

	ne_out(0, 0x62);
	v = ne_in(7);
	ne_out(0, 0x22);
	return v;
}

/* Each frame as a driver takes it out, round and round. */
static void ne_receive_all(uint8_t *next, unsigned *frames)
{
	while (*next != ne_curr()) {
		uint8_t head[4];
		uint16_t at = *next << 8;
		unsigned len;

		ne_read(at, head, 4);
		g_assert_cmphex(head[0] & 1, ==, 1);
		len = head[2] | head[3] << 8;
		ne_read(at + 4, got, (len - 4 + 1) & ~1u);
		g_assert_cmpmem(got, len - 4, frame, len - 4);
		*next = head[1];
		ne_out(3, *next == 0x46 ? 0x7f : *next - 1);
		++*frames;
	}
}

static void test_ne2000(void)
{
	for (unsigned isa = 0; isa < 2; isa++) {
		uint8_t next = 0x47;
		unsigned frames = 0, taken = 0;

		ne_up(isa);
		ne_read(0, got, 32);
		for (unsigned i = 0; i < 6; i++)
			g_assert_cmphex(got[2 * i], ==, nic_mac[i]);
		g_assert_cmphex(got[28], ==, 0x57);
		/* send */
		frame_fill(frame, nic_peer, 100);
		ne_remote(0x4000, 100, 0x12);
		for (unsigned i = 0; i < 100; i += 2)
			bus_io_write(n.r.b.bus, ne_base + 0x10, 2,
				frame[i] | frame[i + 1] << 8);
		ne_out(5, 100);
		ne_out(6, 0);
		ne_out(0, 0x26);
		g_assert_cmpmem(n.sent, n.sent_len, frame, 100);
		g_assert_true(ne_irq(isa));
		g_assert_cmphex(ne_in(4) & 1, ==, 1);
		ne_out(7, 0x42);
		g_assert_false(ne_irq(isa));
		/* receive */
		ne_out(3, 0x46);
		frame_fill(frame, nic_mac, 1514);
		for (unsigned i = 0; i < 50; i++) {
			unsigned len = 60 + i * 97 % 1450;

			g_assert_true(nic_receive(&n, frame, len));
			g_assert_true(nic_receive(&n, frame, len));
			taken += 2;
			ne_out(7, 1);
			ne_receive_all(&next, &frames);
		}
		g_assert_cmpuint(frames, ==, taken);
		/* full: it waits, and the driver is told */
		while (nic_receive(&n, frame, 1000))
			;
		g_assert_true(ne_in(7) & 1);
		/* what is left there after an acknowledgement is told of */
		ne_out(7, 1);
		g_assert_true(ne_in(7) & 1);
		ne_receive_all(&next, &frames);
		ne_out(7, 1);
		g_assert_false(ne_in(7) & 1);
		check_filters(frames_in);
		nic_down(&n);
	}
}

/* A driver that looks at ISR or CURR with commands that do not say "start"
 * goes on receiving, and is told. */
static void test_ne2000_commands(void)
{
	static const struct {
		uint8_t command;
		bool runs;
	} rows[] = {{0x22, true}, {0x20, true}, {0x60, true}, {0x00, true},
		{0x40, true}, {0x21, false}, {0x23, false}};

	for (unsigned isa = 0; isa < 2; isa++) {
		ne_up(isa);
		frame_fill(frame, nic_mac, 60);
		for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
			unsigned before = n.readies, curr = ne_curr();

			ne_out(0, rows[i].command);
			g_assert_cmpuint(n.readies > before, ==, true);
			g_assert_true(nic_receive(&n, frame, 60));
			g_assert_cmpint(ne_irq(isa), ==, rows[i].runs);
			g_assert_cmpint(ne_curr() != curr, ==, rows[i].runs);
			ne_out(3, ne_curr() - 1);
			ne_out(7, 0x7f);
			g_assert_false(ne_irq(isa));
		}
		nic_down(&n);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/rtl8139/identity", test_rtl_identity);
	g_test_add_func("/rtl8139/send", test_rtl_send);
	g_test_add_func("/rtl8139/ring", test_rtl_ring);
	g_test_add_func("/rtl8139/plus", test_rtl_plus);
	g_test_add_func("/pcnet/styles", test_pcnet_styles);
	g_test_add_func("/pcnet/rest", test_pcnet_rest);
	g_test_add_func("/ne2000", test_ne2000);
	g_test_add_func("/ne2000/commands", test_ne2000_commands);
	return g_test_run();
}
