/*
 * dev-e1000.c - the 82540EM as a driver sees it: EEPROM, PHY, descriptors,
 * checksums, segments, filters, interrupts, statistics (Intel 317453); and
 * what the 82574L has beyond it (317694).
 */
#include "nic-rig.h"

#define CTRL  0x0000
#define EECD  0x0010
#define EERD  0x0014
#define MDIC  0x0020
#define ICR   0x00c0
#define ITR   0x00c4
#define ICS   0x00c8
#define IMS   0x00d0
#define IMC   0x00d8
#define RCTL  0x0100
#define TCTL  0x0400
#define RDBAL 0x2800
#define RDLEN 0x2808
#define RDH   0x2810
#define RDT   0x2818
#define TDBAL 0x3800
#define TDLEN 0x3808
#define TDH   0x3810
#define TDT   0x3818
#define MTA   0x5200
#define RA    0x5400
#define VFTA  0x5600
#define SWSM  0x5b50

#define TX_RING 0x10000
#define RX_RING 0x20000
#define BUFFERS 0x100000
#define RING	64

struct desc {
	uint64_t addr;
	uint32_t a, b;
};

static struct nic n;
static uint8_t frame[70000];

static void link_up(void)
{
	for (unsigned i = 0; i < 1000 && !(mmio_read(&n, 8) & 2); i++)
		board_sleep(&n.r.b, 100);
	g_assert_true(mmio_read(&n, 8) & 2);
	mmio_read(&n, ICR);
}

static void up_as(const char *class)
{
	struct desc d = {0};

	nic_up(&n, class);
	link_up();
	mmio_write(&n, TDBAL, TX_RING);
	mmio_write(&n, TDLEN, RING * 16);
	mmio_write(&n, RDBAL, RX_RING);
	mmio_write(&n, RDLEN, RING * 16);
	for (unsigned i = 0; i < RING; i++) {
		d.addr = BUFFERS + i * 2048;
		ram_write(&n, RX_RING + 16 * i, &d, 16);
	}
	mmio_write(&n, RDT, RING - 1);
	mmio_write(&n, TCTL, 0x0004010a);
	mmio_write(&n, RCTL, 0x8002); /* receive, broadcasts */
}

static void up(void)
{
	up_as("e1000");
}

static void tx(uint64_t addr, uint32_t a, uint32_t b)
{
	uint32_t tail = mmio_read(&n, TDT);
	struct desc d = {addr, a, b};

	ram_write(&n, TX_RING + 16 * tail, &d, 16);
	mmio_write(&n, TDT, (tail + 1) % RING);
}

/* ---- what stands still ---- */

static uint16_t eerd(unsigned at)
{
	uint32_t val;

	mmio_write(&n, EERD, at << 8 | 1);
	val = mmio_read(&n, EERD);
	g_assert_true(val & 0x10);
	return val >> 16;
}

/* The word by chip select, clock and data (SDM 5.6.2). */
static uint16_t microwire(unsigned at)
{
	uint32_t bits = 6u << 6 | at; /* start, read, address */
	uint16_t val = 0;

	mmio_write(&n, EECD, 0x40);
	g_assert_true(mmio_read(&n, EECD) & 0x80); /* granted */
	mmio_write(&n, EECD, 0x42);
	for (int i = 8; i >= 0; i--) {
		uint32_t di = bits >> i & 1 ? 4 : 0;

		mmio_write(&n, EECD, 0x42 | di);
		mmio_write(&n, EECD, 0x43 | di);
		mmio_write(&n, EECD, 0x42 | di);
	}
	g_assert_false(mmio_read(&n, EECD) & 8); /* the zero before it */
	for (int i = 0; i < 16; i++) {
		mmio_write(&n, EECD, 0x43);
		val = val << 1 | !!(mmio_read(&n, EECD) & 8);
		mmio_write(&n, EECD, 0x42);
	}
	mmio_write(&n, EECD, 0);
	return val;
}

static uint16_t phy(unsigned reg)
{
	mmio_write(&n, MDIC, 2u << 26 | 1u << 21 | reg << 16);
	g_assert_true(mmio_read(&n, MDIC) & 1u << 28);
	return mmio_read(&n, MDIC);
}

static void test_identity(void)
{
	uint16_t sum = 0;

	up();
	g_assert_cmphex(nic_config_read(&n, 0, 4), ==, 0x100e8086);
	g_assert_cmphex(nic_config_read(&n, 8, 4), ==, 0x02000002);
	g_assert_cmphex(nic_config_read(&n, 0x2c, 4), ==, 0x001e8086);
	for (unsigned i = 0; i < 64; i++) {
		g_assert_cmphex(eerd(i), ==, microwire(i));
		sum += eerd(i);
	}
	g_assert_cmphex(sum, ==, 0xbaba);
	/* Whoever asks for the EEPROM's semaphore has it. */
	mmio_write(&n, SWSM, 2);
	g_assert_cmphex(mmio_read(&n, SWSM), ==, 2);
	g_assert_cmphex(eerd(0), ==, 0x5452);
	g_assert_cmphex(mmio_read(&n, RA), ==, 0xab005452);
	g_assert_cmphex(mmio_read(&n, RA + 4), ==, 0x800010cd);
	g_assert_cmphex(phy(2), ==, 0x0141);
	g_assert_cmphex(phy(3), ==, 0x0c20);
	g_assert_cmphex(phy(1), ==, 0x796d);
	mmio_write(&n, MDIC, 2u << 26 | 2u << 21);
	g_assert_true(mmio_read(&n, MDIC) & 1u << 30); /* there is no PHY 2 */
	/* The window in I/O space */
	io_write(&n, 0, 4, RDLEN);
	g_assert_cmphex(io_read(&n, 4, 4), ==, RING * 16);
	io_write(&n, 4, 4, 0xffffffff);
	g_assert_cmphex(mmio_read(&n, RDLEN), ==, 0x000fff80);
	/* 13.4.1: a reset leaves the PHY alone */
	mmio_write(&n, CTRL, 1u << 26);
	g_assert_cmphex(mmio_read(&n, RDLEN), ==, 0);
	g_assert_cmphex(phy(1), ==, 0x796d);
	nic_down(&n);
}

static void test_link(void)
{
	up();
	mmio_write(&n, MDIC, 1u << 26 | 1u << 21 | 0x1200); /* negotiate */
	g_assert_false(mmio_read(&n, 8) & 2);
	g_assert_true(mmio_read(&n, ICR) & 4);
	board_sleep(&n.r.b, 5000);
	g_assert_true(mmio_read(&n, 8) & 2);
	g_assert_true(mmio_read(&n, ICR) & 4);
	nic_down(&n);
}

/* ---- sending ---- */

static void test_legacy(void)
{
	up();
	frame_fill(frame, nic_peer, 100);
	ram_write(&n, BUFFERS, frame, 100);
	mmio_write(&n, IMS, 1);
	tx(BUFFERS, 40 | 0u << 24, 0);
	g_assert_cmpuint(n.nsent, ==, 0);
	tx(BUFFERS + 40, 60 | 0x0bu << 24, 0); /* EOP, IFCS, RS */
	g_assert_cmpuint(n.nsent, ==, 1);
	g_assert_cmpmem(n.sent, n.sent_len, frame, 100);
	g_assert_cmphex(ram_get(&n, TX_RING + 12, 4), ==, 0);
	g_assert_cmphex(ram_get(&n, TX_RING + 16 + 12, 4), ==, 1);
	g_assert_true(n.pci->irq_out);
	g_assert_cmphex(mmio_read(&n, ICR) & 3, ==, 3);
	g_assert_false(n.pci->irq_out);
	/* a short one is padded, if that is asked for */
	tx(BUFFERS, 20 | 0x09u << 24, 0);
	g_assert_cmpuint(n.sent_len, ==, 60);
	mmio_write(&n, TCTL, 0x00040102);
	tx(BUFFERS, 20 | 0x09u << 24, 0);
	g_assert_cmpuint(n.sent_len, ==, 20);
	/* 13.7: octets with check sequences, cleared by reading */
	g_assert_cmpuint(mmio_read(&n, 0x40d4), ==, 3);
	g_assert_cmpuint(mmio_read(&n, 0x40c8), ==, 104 + 64 + 24);
	g_assert_cmpuint(mmio_read(&n, 0x40c8), ==, 0);
	nic_down(&n);
}

static void good_sums(const uint8_t *f, size_t len)
{
	struct inet_frame p;

	g_assert_true(inet_parse(&p, f, len));
	g_assert_true(p.data != 0 && p.end == len);
	g_assert_true(inet_ip_good(f, &p));
	g_assert_true(inet_l4_good(f, &p));
}

/* The pseudo header's sum, with or without the length, as a driver puts it. */
static void seed_tcp(uint8_t *f, size_t tcp_bytes)
{
	uint8_t tail[4] = {0, 6};

	inet_put16(tail + 2, tcp_bytes);
	inet_put_sum(
		f + 50, inet_fold(inet_sum(f + 26, 8) + inet_sum(tail, 4)));
}

static void context(unsigned mss, unsigned payload, bool tse)
{
	tx(14u | 24u << 8 | 33u << 16 | (uint64_t)(34 | 50u << 8) << 32,
		payload | (tse ? 0x27u : 0x23u) << 24, 54u << 8 | mss << 16);
}

static void test_checksum(void)
{
	struct inet_frame p;
	size_t len;

	up();
	len = frame_tcp4(frame, 301);
	seed_tcp(frame, len - 34);
	ram_write(&n, BUFFERS, frame, len);
	context(0, 0, false);
	tx(BUFFERS, len | 1u << 20 | 0x2bu << 24, 3u << 8);
	g_assert_cmpuint(n.nsent, ==, 1);
	good_sums(n.sent, n.sent_len);
	/* legacy: a sum from CSS to the end at CSO */
	tx(BUFFERS, len | 50u << 16 | 0x0du << 24, 34u << 8);
	g_assert_cmpuint(n.nsent, ==, 2);
	inet_parse(&p, n.sent, n.sent_len);
	g_assert_true(inet_l4_good(n.sent, &p));
	g_assert_false(inet_ip_good(n.sent, &p));
	nic_down(&n);
}

static unsigned nsegments;
static uint32_t next_seq;

static void segment_sent(struct net_port *p, const uint8_t *f, size_t len)
{
	good_sums(f, len);
	g_assert_cmphex(inet_get32(f + 38), ==, next_seq);
	g_assert_cmphex(inet_get16(f + 18), ==, 0x1234 + nsegments);
	/* FIN and PSH are the last one's */
	g_assert_cmphex(f[47], ==, len < 1054 ? 0x19 : 0x10);
	next_seq += len - 54;
	nsegments++;
}

static void test_segments(void)
{
	size_t len;

	up();
	len = frame_tcp4(frame, 3500);
	ram_write(&n, BUFFERS, frame, len);
	n.port.send = segment_sent;
	next_seq = 0x1000;
	context(1000, 3500, true);
	tx(BUFFERS, 54 | 1u << 20 | 0x26u << 24, 3u << 8);
	tx(BUFFERS + 54, 3500 | 1u << 20 | 0x2fu << 24, 0);
	g_assert_cmpuint(nsegments, ==, 4);
	g_assert_cmphex(next_seq, ==, 0x1000 + 3500);
	/* the cable takes it whole */
	n.port.send = nic_sent;
	n.port.large_send = true;
	tx(BUFFERS, len | 1u << 20 | 0x2fu << 24, 3u << 8);
	g_assert_cmpuint(n.nsent, ==, 1);
	g_assert_cmpuint(n.sent_len, ==, len);
	good_sums(n.sent, len);
	nic_down(&n);
}

static void test_tag_out(void)
{
	up();
	mmio_write(&n, CTRL, 0x40000041); /* VME */
	mmio_write(&n, 0x38, 0x8100);
	frame_fill(frame, nic_peer, 100);
	ram_write(&n, BUFFERS, frame, 100);
	tx(BUFFERS, 100 | 0x4bu << 24, 0x2064u << 16);
	g_assert_cmpuint(n.sent_len, ==, 104);
	g_assert_cmphex(inet_get32(n.sent + 12), ==, 0x81002064);
	g_assert_cmpmem(n.sent + 16, 88, frame + 12, 88);
	nic_down(&n);
}

/* Rings and lengths that make no sense. */
static void test_nonsense(void)
{
	up();
	for (unsigned i = 0; i < RING - 1; i++) {
		struct desc d = {0xfffffffffffff000, 0x200fffff, 0xffffffff};

		ram_write(&n, TX_RING + 16 * i, &d, 16);
	}
	mmio_write(&n, TDT, RING - 1);
	g_assert_cmpuint(mmio_read(&n, TDH), ==, RING - 1);
	mmio_write(&n, TDT, RING); /* beyond it: nothing is there */
	g_assert_cmpuint(mmio_read(&n, TDH), ==, RING - 1);
	mmio_write(&n, RDT, RING + 5);
	frame_fill(frame, (const uint8_t *)"\377\377\377\377\377\377", 60);
	g_assert_false(nic_receive(&n, frame, 60));
	mmio_write(&n, RDLEN, 0);
	g_assert_true(nic_receive(&n, frame, 60)); /* it will never fit */
	nic_down(&n);
}

/* ---- receiving ---- */

static void test_receive(void)
{
	uint8_t got[2048];
	struct desc d;

	up();
	mmio_write(&n, IMS, 0x80);
	frame_fill(frame, nic_mac, 100);
	g_assert_true(nic_receive(&n, frame, 100));
	ram_read(&n, RX_RING, &d, 16);
	g_assert_cmphex(d.a & 0xffff, ==, 104);	 /* with check sequence */
	g_assert_cmphex(d.b & 0xffff, ==, 0x07); /* DD, EOP, IXSM */
	ram_read(&n, BUFFERS, got, 104);
	g_assert_cmpmem(got, 100, frame, 100);
	g_assert_true(n.pci->irq_out);
	g_assert_cmphex(mmio_read(&n, ICR), ==, 0x80);
	/* stripped; padded */
	mmio_write(&n, RCTL, 0x04008002);
	g_assert_true(nic_receive(&n, frame, 42));
	g_assert_cmphex(ram_get(&n, RX_RING + 24, 2), ==, 60);
	/* three buffers of 512 */
	mmio_write(&n, RCTL, 0x04028002);
	frame_fill(frame, nic_mac, 1300);
	g_assert_true(nic_receive(&n, frame, 1300));
	g_assert_cmphex(ram_get(&n, RX_RING + 16 * 2 + 8, 2), ==, 512);
	g_assert_cmphex(ram_get(&n, RX_RING + 16 * 2 + 12, 1), ==, 1);
	g_assert_cmphex(ram_get(&n, RX_RING + 16 * 4 + 8, 2), ==, 276);
	g_assert_cmphex(ram_get(&n, RX_RING + 16 * 4 + 12, 1), ==, 7);
	g_assert_cmpuint(mmio_read(&n, RDH), ==, 5);
	/* too long unless that is let */
	frame_fill(frame, nic_mac, 2000);
	g_assert_true(nic_receive(&n, frame, 2000));
	g_assert_cmpuint(mmio_read(&n, RDH), ==, 5);
	g_assert_cmpuint(mmio_read(&n, 0x40ac), ==, 1);
	mmio_write(&n, RCTL, 0x06008022); /* a reserved size too */
	g_assert_true(nic_receive(&n, frame, 2000));
	g_assert_cmpuint(mmio_read(&n, RDH), ==, 6);
	nic_down(&n);
}

static void test_no_room(void)
{
	unsigned before, taken = 0;

	up();
	frame_fill(frame, nic_mac, 60);
	while (nic_receive(&n, frame, 60))
		taken++;
	g_assert_cmpuint(taken, ==, RING - 1);
	before = n.readies;
	mmio_write(&n, RDT, 3);
	g_assert_cmpuint(n.readies, ==, before + 1);
	g_assert_true(nic_receive(&n, frame, 60));
	nic_down(&n);
}

static void test_filters(void)
{
	static const struct {
		uint8_t to[6];
		uint32_t rctl, mta_at, mta;
		bool taken;
	} cases[] = {
		{{0x52, 0x54, 0, 0xab, 0xcd, 0x10}, 0, 0, 0, true},
		{{0x52, 0x54, 0, 0xab, 0xcd, 0x11}, 0, 0, 0, false},
		{{0x52, 0x54, 0, 0xab, 0xcd, 0x11}, 8, 0, 0, true},
		{{0x02, 0, 0, 0, 0, 0x77}, 0, 0, 0, true},  /* RA 1 */
		{{0x02, 0, 0, 0, 0, 0x78}, 0, 0, 0, false}, /* not valid */
		{{255, 255, 255, 255, 255, 255}, 0, 0, 0, false},
		{{255, 255, 255, 255, 255, 255}, 0x8000, 0, 0, true},
		{{0x01, 0, 0x5e, 0, 0, 0xfb}, 0, 0, 0, false},
		{{0x01, 0, 0x5e, 0, 0, 0xfb}, 0x10, 0, 0, true},
		{{0x01, 0, 0x5e, 0, 0, 0xfb}, 8, 0, 0, false},
		/* 13.5.1: 12:34:56:... hashes to 0x563 by bits 47:36 */
		{{0x01, 0xaa, 0, 0x12, 0x34, 0x56}, 0, 0x563 >> 5,
			1u << (0x563 & 31), true},
		{{0x01, 0xaa, 0, 0x12, 0x34, 0x56}, 0x1000, 0xac6 >> 5,
			1u << (0xac6 & 31), true},
		{{0x01, 0xaa, 0, 0x12, 0x34, 0x56}, 0x2000, 0x58d >> 5,
			1u << (0x58d & 31), true},
		{{0x01, 0xaa, 0, 0x12, 0x34, 0x56}, 0x3000, 0x634 >> 5,
			1u << (0x634 & 31), true},
		{{0x01, 0xaa, 0, 0x12, 0x34, 0x56}, 0, 0x563 >> 5,
			~(1u << (0x563 & 31)), false},
	};

	up();
	mmio_write(&n, RA + 8, 0x00000002);
	mmio_write(&n, RA + 12, 0x80007700);
	mmio_write(&n, RA + 16, 0x00000002);
	mmio_write(&n, RA + 20, 0x00007800);
	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
		uint32_t head = mmio_read(&n, RDH);

		mmio_write(&n, RCTL, 2 | cases[i].rctl);
		mmio_write(&n, MTA + 4 * cases[i].mta_at, cases[i].mta);
		frame_fill(frame, cases[i].to, 60);
		g_assert_true(nic_receive(&n, frame, 60));
		if ((mmio_read(&n, RDH) != head) != cases[i].taken)
			g_error("case %u", i);
		mmio_write(&n, MTA + 4 * cases[i].mta_at, 0);
	}
	nic_down(&n);
}

static void test_tag_in(void)
{
	struct desc d;

	up();
	mmio_write(&n, CTRL, 0x40000041);
	mmio_write(&n, 0x38, 0x8100);
	mmio_write(&n, RCTL, 0x04048002); /* VFE, SECRC */
	frame_fill(frame, nic_mac, 104);
	inet_put32(frame + 12, 0x81002064);
	g_assert_true(nic_receive(&n, frame, 104));
	g_assert_cmpuint(mmio_read(&n, RDH), ==, 0);
	mmio_write(&n, VFTA + 4 * (0x64 >> 5), 1u << (0x64 & 31));
	g_assert_true(nic_receive(&n, frame, 104));
	ram_read(&n, RX_RING, &d, 16);
	g_assert_cmphex(d.a & 0xffff, ==, 100);
	g_assert_cmphex(d.b >> 16, ==, 0x2064);
	g_assert_true(d.b & 8);
	nic_down(&n);
}

static void test_throttle(void)
{
	up();
	mmio_write(&n, ITR, 40000); /* 10 ms */
	mmio_write(&n, IMS, 0x10);
	mmio_write(&n, ICS, 0x10);
	g_assert_true(n.pci->irq_out);
	mmio_read(&n, ICR);
	mmio_write(&n, ICS, 0x10);
	g_assert_false(n.pci->irq_out);
	board_sleep(&n.r.b, 15000);
	g_assert_true(n.pci->irq_out);
	mmio_write(&n, IMC, 0x10);
	g_assert_false(n.pci->irq_out);
	nic_down(&n);
}

static void test_loopback(void)
{
	up();
	mmio_write(&n, MDIC, 1u << 26 | 1u << 21 | 0x4140);
	frame_fill(frame, nic_mac, 100);
	ram_write(&n, BUFFERS + 0x80000, frame, 100);
	tx(BUFFERS + 0x80000, 100 | 0x0bu << 24, 0);
	g_assert_cmpuint(n.nsent, ==, 0);
	g_assert_cmpuint(mmio_read(&n, RDH), ==, 1);
	g_assert_cmphex(ram_get(&n, RX_RING + 8, 2), ==, 104);
	nic_down(&n);
}

/* ---- 82574L ---- */

#define CTRL_EXT 0x0018
#define EIAC	 0x00dc
#define IAM	 0x00e0
#define IVAR	 0x00e4
#define EITR	 0x00e8
#define PSRCTL	 0x2170
#define RFCTL	 0x5008
#define SWSM	 0x5b50
#define TX_RING1 0x30000
#define MSIX	 (NIC_MMIO + 0x40000)

#define C_RXQ0	(1u << 20)
#define C_TXQ0	(1u << 22)
#define C_TXQ1	(1u << 23)
#define C_OTHER (1u << 24)

static unsigned messages[5];

static void message(void *opaque, uint64_t addr, uint32_t data)
{
	g_assert_cmpuint(data, <, 5);
	messages[data]++;
}

static uint32_t e_eerd(unsigned at)
{
	mmio_write(&n, EERD, at << 2 | 1);
	g_assert_true(mmio_read(&n, EERD) & 2);
	return mmio_read(&n, EERD) >> 16;
}

static void test_e_identity(void)
{
	uint16_t sum = 0;

	up_as("e1000e");
	g_assert_cmphex(nic_config_read(&n, 0, 4), ==, 0x10d38086);
	g_assert_cmphex(nic_config_read(&n, 0x2c, 4), ==, 0xa01f8086);
	for (unsigned i = 0; i < 64; i++)
		sum += e_eerd(i);
	g_assert_cmphex(sum, ==, 0xbaba);
	g_assert_cmphex(e_eerd(0), ==, 0x5452);
	g_assert_true(mmio_read(&n, EECD) & 0x200);
	g_assert_cmphex(phy(2), ==, 0x0141);
	g_assert_cmphex(phy(3), ==, 0x0cb1);
	/* another page of the PHY */
	mmio_write(&n, MDIC, 1u << 26 | 1u << 21 | 22u << 16 | 3);
	g_assert_cmphex(phy(2), ==, 0x0141); /* is in all of them */
	g_assert_cmphex(phy(17), ==, 0);
	g_assert_cmphex(phy(22), ==, 3);
	mmio_write(&n, MDIC, 1u << 26 | 1u << 21 | 22u << 16);
	g_assert_cmphex(phy(17), ==, 0xac00);
	/* who reads it first has it */
	g_assert_cmphex(mmio_read(&n, SWSM), ==, 0);
	g_assert_cmphex(mmio_read(&n, SWSM), ==, 1);
	mmio_write(&n, SWSM, 0);
	g_assert_cmphex(mmio_read(&n, SWSM), ==, 0);
	/* mastering is let go */
	g_assert_true(mmio_read(&n, 8) & 1u << 19);
	mmio_write(&n, CTRL, 4);
	g_assert_false(mmio_read(&n, 8) & 1u << 19);
	nic_down(&n);
}

/* 10.2.4.1: when reading ICR clears it. */
static void test_e_icr(void)
{
	up_as("e1000e");
	mmio_write(&n, ICS, 0x80);
	g_assert_cmphex(mmio_read(&n, ICR), ==, 0x80);
	g_assert_cmphex(mmio_read(&n, ICR), ==, 0); /* nothing is wanted */
	mmio_write(&n, IMS, 4);
	mmio_write(&n, ICS, 0x80);
	g_assert_cmphex(mmio_read(&n, ICR), ==, 0x80);
	g_assert_cmphex(mmio_read(&n, ICR), ==, 0x80); /* masked: it stays */
	g_assert_false(n.pci->irq_out);
	mmio_write(&n, IAM, 0x84);
	mmio_write(&n, CTRL_EXT, 1u << 27);
	mmio_write(&n, IMS, 0x80);
	g_assert_true(n.pci->irq_out);
	g_assert_cmphex(mmio_read(&n, ICR), ==, 0x80000080);
	g_assert_cmphex(mmio_read(&n, IMS), ==, 0); /* masked by that */
	g_assert_false(n.pci->irq_out);
	nic_down(&n);
}

static void msix_on(void)
{
	unsigned at = nic_config_read(&n, 0x34, 1);

	memset(messages, 0, sizeof(messages));
	bus_msi_handler(n.r.b.bus, message, NULL);
	while (nic_config_read(&n, at, 1) != 0x11)
		at = nic_config_read(&n, at + 1, 1);
	g_assert_cmphex(nic_config_read(&n, at + 2, 2), ==, 4);
	nic_config(&n, at + 2, 2, 0x8000);
	for (unsigned i = 0; i < 5; i++) {
		bus_mmio_write(n.r.b.bus, NULL, MSIX + 16 * i, 4, 0xfee00000);
		bus_mmio_write(n.r.b.bus, NULL, MSIX + 16 * i + 8, 4, i);
		bus_mmio_write(n.r.b.bus, NULL, MSIX + 16 * i + 12, 4, 0);
	}
}

static void test_e_msix(void)
{
	up_as("e1000e");
	msix_on();
	mmio_write(&n, IVAR, 0x800a0908); /* RXQ0 0, TXQ0 1, other 2 */
	mmio_write(&n, EIAC, C_RXQ0 | C_TXQ0);
	mmio_write(&n, IAM, 0xffffffff);
	mmio_write(&n, CTRL_EXT, 1u << 24);
	mmio_write(&n, IMS, C_RXQ0 | C_TXQ0 | C_OTHER | 4);
	frame_fill(frame, nic_mac, 60);
	g_assert_true(nic_receive(&n, frame, 60));
	g_assert_cmpuint(messages[0], ==, 1);
	/* cleared and masked by the message; the next waits */
	g_assert_cmphex(mmio_read(&n, IMS), ==, C_TXQ0 | C_OTHER | 4);
	g_assert_true(nic_receive(&n, frame, 60));
	g_assert_cmpuint(messages[0], ==, 1);
	mmio_write(&n, IMS, C_RXQ0);
	g_assert_cmpuint(messages[0], ==, 2);
	/* not sooner than EITR lets it */
	mmio_write(&n, EITR, 4000); /* a millisecond */
	mmio_write(&n, IMS, C_RXQ0);
	g_assert_true(nic_receive(&n, frame, 60));
	mmio_write(&n, IMS, C_RXQ0);
	g_assert_true(nic_receive(&n, frame, 60));
	g_assert_cmpuint(messages[0], ==, 3);
	board_sleep(&n.r.b, 3000);
	g_assert_cmpuint(messages[0], ==, 4);
	/* the link is one of the others */
	mmio_write(&n, ICS, 4 | C_OTHER);
	g_assert_cmpuint(messages[2], ==, 1);
	g_assert_cmphex(mmio_read(&n, ICR) & 4, ==, 4);
	g_assert_cmpuint(messages[1], ==, 0);
	nic_down(&n);
}

static void test_e_second_queue(void)
{
	struct desc d = {BUFFERS, 100 | 0x0bu << 24, 0};

	up_as("e1000e");
	msix_on();
	mmio_write(&n, IVAR, 0x0000b908); /* TXQ0 1, TXQ1 3 */
	mmio_write(&n, IMS, C_TXQ0 | C_TXQ1);
	mmio_write(&n, TDBAL + 0x100, TX_RING1);
	mmio_write(&n, TDLEN + 0x100, RING * 16);
	frame_fill(frame, nic_peer, 100);
	ram_write(&n, BUFFERS, frame, 100);
	ram_write(&n, TX_RING1, &d, 16);
	/* while a packet of the first is half there */
	tx(BUFFERS, 40 | 0u << 24, 0);
	mmio_write(&n, TDT + 0x100, 1);
	g_assert_cmpmem(n.sent, n.sent_len, frame, 100);
	g_assert_cmpuint(mmio_read(&n, TDH + 0x100), ==, 1);
	g_assert_cmpuint(messages[3], ==, 1);
	g_assert_cmpuint(messages[1], ==, 0);
	tx(BUFFERS + 40, 60 | 0x0bu << 24, 0);
	g_assert_cmpuint(n.nsent, ==, 2);
	g_assert_cmpmem(n.sent, n.sent_len, frame, 100);
	g_assert_cmpuint(messages[1], ==, 1);
	nic_down(&n);
}

static void test_e_descriptors(void)
{
	uint64_t split[4] = {
		BUFFERS, BUFFERS + 0x1000, BUFFERS + 0x2000, BUFFERS + 0x3000};
	uint32_t w[8];
	uint8_t got[2048];

	up_as("e1000e");
	frame_fill(frame, nic_mac, 1000);
	/* extended */
	mmio_write(&n, RFCTL, 0x8000);
	mmio_write(&n, 0x5000, 0x2000); /* no checksum there */
	g_assert_true(nic_receive(&n, frame, 1000));
	ram_read(&n, RX_RING, w, 16);
	g_assert_cmphex(w[0], ==, 0);
	g_assert_cmphex(w[1], ==, 0);
	g_assert_cmphex(w[2], ==, 0x07); /* DD, EOP, IXSM */
	g_assert_cmphex(w[3], ==, 1004);
	/* in four parts, of 256, 1024 and no more bytes; two descriptors */
	mmio_write(&n, RCTL, 0);
	mmio_write(&n, RDH, 0);
	mmio_write(&n, PSRCTL, 0x00000102);
	ram_write(&n, RX_RING, split, 32);
	ram_write(&n, RX_RING + 32, split, 32);
	mmio_write(&n, RCTL, 0x8402);
	g_assert_true(nic_receive(&n, frame, 1000));
	ram_read(&n, RX_RING, w, 32);
	g_assert_cmphex(w[2], ==, 0x07);
	g_assert_cmphex(w[3], ==, 256);
	g_assert_cmphex(w[4], ==, 748u << 16);
	g_assert_cmphex(w[5], ==, 0);
	g_assert_cmpuint(mmio_read(&n, RDH), ==, 2);
	ram_read(&n, BUFFERS, got, 256);
	ram_read(&n, BUFFERS + 0x1000, got + 256, 748);
	g_assert_cmpmem(got, 1000, frame, 1000);
	nic_down(&n);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/e1000/identity", test_identity);
	g_test_add_func("/e1000/link", test_link);
	g_test_add_func("/e1000/legacy", test_legacy);
	g_test_add_func("/e1000/checksum", test_checksum);
	g_test_add_func("/e1000/segments", test_segments);
	g_test_add_func("/e1000/tag-out", test_tag_out);
	g_test_add_func("/e1000/nonsense", test_nonsense);
	g_test_add_func("/e1000/receive", test_receive);
	g_test_add_func("/e1000/no-room", test_no_room);
	g_test_add_func("/e1000/filters", test_filters);
	g_test_add_func("/e1000/tag-in", test_tag_in);
	g_test_add_func("/e1000/throttle", test_throttle);
	g_test_add_func("/e1000/loopback", test_loopback);
	g_test_add_func("/82574/identity", test_e_identity);
	g_test_add_func("/82574/icr", test_e_icr);
	g_test_add_func("/82574/msix", test_e_msix);
	g_test_add_func("/82574/second-queue", test_e_second_queue);
	g_test_add_func("/82574/descriptors", test_e_descriptors);
	return g_test_run();
}
