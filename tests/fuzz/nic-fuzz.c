/*
 * nic-fuzz.c - network cards under a driver gone mad: any register, rings and
 * descriptors that point anywhere, frames of any kind.
 */
#include "dev-fuzz.h"

#include "net/inet.h"
#include "net/net.h"

#define RINGS	 0x100000u /* where rings are, as a rule */
#define BLOCK	 0xf0000u  /* an initialisation block */
#define MAX_REGS 24

/* A card: how its registers are reached, which of them matter, and what a
 * driver writes there first. */
struct card_kind {
	const char *class;
	bool io;
	unsigned bytes; /* of registers */
	unsigned width; /* of most of them */
	uint16_t regs[MAX_REGS];
	struct {
		uint16_t reg;
		uint8_t size;
		uint32_t val;
	} wake[MAX_REGS];
};

struct cable {
	struct net_port port;
	const struct card_kind *kind;
	struct fuzz *fuzz;
	unsigned sent, depth;
	uint8_t frame[70000];
};

static void cable_sent(struct net_port *p, const uint8_t *frame, size_t len)
{
	struct cable *c = (struct cable *)p;
	volatile uint8_t last = len ? frame[len - 1] : 0;

	(void)last;
	g_assert_cmpuint(len, <=, NET_MAX_FRAME);
	c->sent++;
	/* An answer may come before sending returns. */
	if (c->depth++ == 0 && len >= 60 && p->receive && !below(c->fuzz, 4)) {
		memcpy(c->frame, frame, len);
		p->receive(p->opaque, c->frame, len);
	}
	c->depth--;
}

static void reg_write(struct fuzz *f, unsigned reg, unsigned size, uint32_t val)
{
	struct cable *c = f->own;

	if (c->kind->io)
		bus_io_write(f->r.b.bus, FUZZ_IO + reg, size, val);
	else
		bus_mmio_write(f->r.b.bus, NULL, FUZZ_MMIO + reg, size, val);
}

static void reg_read(struct fuzz *f, unsigned reg, unsigned size)
{
	struct cable *c = f->own;

	if (c->kind->io)
		bus_io_read(f->r.b.bus, FUZZ_IO + reg, size);
	else
		bus_mmio_read(f->r.b.bus, NULL, FUZZ_MMIO + reg, size);
}

static void card_open(struct fuzz *f, const struct card_kind *k)
{
	struct cable *c = g_new0(struct cable, 1);

	c->kind = k;
	c->fuzz = f;
	c->port.send = cable_sent;
	c->port.checksums_good = true;
	f->own = c;
	f->r.b.host.net = &c->port;
	f->dev = board_add(&f->r.b, k->class);
}

static void card_awake(struct fuzz *f)
{
	const struct card_kind *k = ((struct cable *)f->own)->kind;
	struct pci_func *p = pci_bus_func(f->r.b.host.pci, 2 << 3);

	static const uint32_t block[7] = {
		0x40408000, 0x12005452, 0x5634, ~0u, ~0u, RINGS, RINGS + 0x800};

	bus_dma_write(f->r.b.bus, BLOCK, block, sizeof(block));
	for (unsigned i = 0; p && i < PCI_NBARS; i++)
		if (p->bar[i].size)
			config_write(f, 2 << 3, 0x10 + 4 * i, 4,
				p->bar[i].io ? FUZZ_IO
					     : FUZZ_MMIO + i / 2 * 0x40000);
	config_write(f, 2 << 3, 4, 2, below(f, 32) ? 7 : rnd(f));
	for (unsigned i = 0; i < MAX_REGS && k->wake[i].size; i++)
		reg_write(f, k->wake[i].reg, k->wake[i].size,
			below(f, 64) ? k->wake[i].val : rnd(f));
}

/* Double words as descriptors have them: addresses, lengths, flags. */
static void make_rings(struct fuzz *f)
{
	uint32_t at = RINGS + below(f, 64) * 256;
	uint32_t e[4];

	for (unsigned i = below(f, 64); i; i--, at += 16) {
		for (unsigned k = 0; k < 4; k++)
			switch (below(f, 4)) {
			case 0: e[k] = address(f); break;
			case 1: e[k] = below(f, 3) ? 0 : rnd(f); break;
			case 2: e[k] = rnd(f) << below(f, 32); break;
			case 3: e[k] = below(f, 2048) | rnd(f) << 16; break;
			}
		bus_dma_write(f->r.b.bus, at, e, 16);
	}
}

/* Something like a TCP segment, for cards that look into it. */
static void make_packet(struct fuzz *f)
{
	static const uint8_t head[] = {0x52, 0x54, 0, 0x12, 0x34, 0x56, 2, 0, 0,
		0, 0, 1, 8, 0, 0x45, 0, 5, 0xdc, 0, 1, 0, 0, 64, 6, 0, 0, 10, 0,
		2, 15, 10, 0, 2, 2, 4, 0, 0, 80, 0, 0, 0, 1, 0, 0, 0, 1, 0x50,
		0x18, 0x20, 0, 0, 0, 0, 0};
	uint8_t p[sizeof(head)];

	memcpy(p, head, sizeof(p));
	for (unsigned n = below(f, 4); n; n--)
		p[below(f, sizeof(p))] = rnd(f);
	bus_dma_write(f->r.b.bus, below(f, FUZZ_RAM - 64), p, sizeof(p));
}

static void receive(struct fuzz *f)
{
	static const uint16_t sizes[] = {0, 13, 14, 42, 60, 64, 1514, 1518,
		1522, 4096, 9000, 16384, 16500, 65535};
	struct cable *c = f->own;
	size_t len = below(f, 2) ? sizes[below(f, G_N_ELEMENTS(sizes))]
				 : below(f, 1600);

	memset(c->frame, rnd(f), len);
	for (unsigned i = 0; i < 64; i++)
		c->frame[i] = byte(f);
	if (below(f, 2))
		memcpy(c->frame, "\x52\x54\x00\x12\x34\x56\x02\0\0\0\0\1\x08",
			13);
	else if (below(f, 2))
		memset(c->frame, 0xff, 6);
	if (below(f, 2))
		inet_put16(c->frame + 12, 0x8100);
	bus_lock(f->r.b.bus);
	c->port.receive(c->port.opaque, c->frame, len);
	bus_unlock(f->r.b.bus);
}

static void card_round(struct fuzz *f)
{
	const struct card_kind *k = ((struct cable *)f->own)->kind;
	unsigned n = 0;

	while (n < MAX_REGS && k->regs[n])
		n++;
	switch (below(f, 10)) {
	case 0:
		reg_write(f, below(f, k->bytes), 1u << below(f, 3), rnd(f));
		break;
	case 1: reg_read(f, below(f, k->bytes), 1u << below(f, 3)); break;
	case 2: reg_read(f, k->regs[below(f, n)], k->width); break;
	case 3:
	case 4:
		reg_write(f, k->regs[below(f, n)], k->width,
			below(f, 3) ? below(f, 64) : rnd(f));
		break;
	case 5: make_rings(f); break;
	case 6: make_packet(f); break;
	case 7:
	case 8: receive(f); break;
	case 9:
		if (!below(f, 20))
			card_awake(f);
		break;
	}
}

static const struct card_kind e1000_kind = {"e1000", false, 0x20000, 4,
	{0x04, 0x10, 0x14, 0x20, 0xc0, 0xc4, 0xc8, 0xd0, 0x100, 0x400, 0x2808,
		0x2810, 0x2818, 0x2820, 0x3808, 0x3810, 0x3818, 0x3818, 0x3818,
		0x3820, 0x5000, 0x5404, 0x5600},
	{{0x3800, 4, RINGS}, {0x3804, 4, 0}, {0x3808, 4, 1024}, {0x3810, 4, 0},
		{0x2800, 4, RINGS + 0x2000}, {0x2804, 4, 0}, {0x2808, 4, 1024},
		{0x2810, 4, 0}, {0x2818, 4, 63}, {0x400, 4, 0x4010a},
		{0x100, 4, 0x801e}, {0xd0, 4, 0x9f}}};

static const struct card_kind e1000e_kind = {"e1000e", false, 0x42000, 4,
	{0x18, 0x14, 0x20, 0xc0, 0xc8, 0xd0, 0xdc, 0xe0, 0xe4, 0xe8, 0x100,
		0x400, 0x2170, 0x2810, 0x2818, 0x3818, 0x3818, 0x3910, 0x3918,
		0x5000, 0x5008, 0x5b50},
	{{0x3800, 4, RINGS}, {0x3808, 4, 1024}, {0x3810, 4, 0},
		{0x3900, 4, RINGS + 0x1000}, {0x3908, 4, 1024}, {0x3910, 4, 0},
		{0x2800, 4, RINGS + 0x2000}, {0x2808, 4, 1024}, {0x2810, 4, 0},
		{0x2818, 4, 63}, {0x400, 4, 0x4010a}, {0x100, 4, 0x801e},
		{0x5008, 4, 0x8000}, {0xe4, 4, 0x800a0908}, {0xdc, 4, 0x500000},
		{0xe0, 4, 0x500000}, {0x18, 4, 0x01000000},
		{0xd0, 4, 0x1f0009f}, {0x100, 4, 0x841e}}};

static const struct card_kind rtl8139_kind = {"rtl8139", true, 256, 4,
	{0x08, 0x10, 0x14, 0x20, 0x24, 0x30, 0x37, 0x38, 0x3c, 0x3e, 0x40, 0x44,
		0x48, 0x50, 0x54, 0x62, 0xd9, 0xe0, 0xe4, 0x10, 0x38, 0xd9},
	{{0x37, 1, 0x1c}, {0x37, 1, 0x0c}, {0x30, 4, RINGS}, {0x44, 4, 0xf8f},
		{0x20, 4, RINGS}, {0x3c, 2, 0xffff}}};

static const struct card_kind rtl8139_plus_kind = {"rtl8139", true, 256, 4,
	{0x20, 0x24, 0x30, 0x37, 0x38, 0x3c, 0x3e, 0x40, 0x44, 0xd9, 0xd9, 0xd9,
		0xe0, 0xe4, 0x10},
	{{0x37, 1, 0x0c}, {0xe0, 2, 0x6f}, {0x20, 4, RINGS}, {0x24, 4, 0},
		{0x28, 4, RINGS + 0x800}, {0x2c, 4, 0}, {0xe4, 4, RINGS},
		{0xe8, 4, 0}, {0x44, 4, 0xf}, {0x3c, 2, 0xffff}}};

/* RAP, then RDP or BDP: style, initialisation block, start. */
static const struct card_kind pcnet_kind = {"pcnet", true, 32, 2,
	{0x10, 0x12, 0x12, 0x16},
	{{0x12, 2, 20}, {0x16, 2, 2}, {0x12, 2, 1}, {0x10, 2, BLOCK & 0xffff},
		{0x12, 2, 2}, {0x10, 2, BLOCK >> 16}, {0x12, 2, 0},
		{0x10, 2, 0x43}, {0x12, 2, 15}, {0x10, 2, 0x8000}, {0x12, 2, 0},
		{0x10, 2, 0x4a}}};

static const struct card_kind ne2000_kind = {"ne2000", true, 32, 1,
	{0x1, 0x2, 0x3, 0x4, 0x5, 0x6, 0x7, 0xd, 0xe, 0x10, 0x18, 0x10, 0x10},
	{{0x18, 1, 0}, {0xe, 1, 0x49}, {1, 1, 0x46}, {2, 1, 0x80}, {3, 1, 0x46},
		{4, 1, 0x40}, {0xc, 1, 0x1f}, {0xd, 1, 0}, {0xf, 1, 0x7f},
		{0, 1, 0x62}, {7, 1, 0x47}, {0, 1, 0x22}}};

#define CARD(k)                                                                \
	static void k##_open(struct fuzz *f)                                   \
	{                                                                      \
		card_open(f, &k##_kind);                                       \
	}

CARD(e1000)
CARD(e1000e)
CARD(rtl8139)
CARD(rtl8139_plus)
CARD(pcnet)
CARD(ne2000)

static const struct kind kinds[] = {
	{"e1000", e1000_open, card_awake, card_round},
	{"e1000e", e1000e_open, card_awake, card_round},
	{"rtl8139", rtl8139_open, card_awake, card_round},
	{"rtl8139-plus", rtl8139_plus_open, card_awake, card_round},
	{"pcnet", pcnet_open, card_awake, card_round},
	{"ne2000", ne2000_open, card_awake, card_round},
	{NULL},
};

FUZZ_MAIN(kinds)
