/* nic-rig.h - a network card on a bus, its cable in the test's hands. */
#ifndef TESTS_UNIT_NIC_RIG_H
#define TESTS_UNIT_NIC_RIG_H

#include "disk-rig.h"

#include "net/inet.h"
#include "net/net.h"

#define NIC_DEVFN (2 << 3)
#define NIC_MMIO  0xfe000000u
#define NIC_IO	  0xc000

static const uint8_t nic_mac[6] = {0x52, 0x54, 0, 0xab, 0xcd, 0x10};
static const uint8_t nic_peer[6] = {0x52, 0x55, 10, 0, 2, 2};

struct nic {
	struct rig r;
	struct net_port port;
	struct dev *dev;
	struct pci_func *pci;
	uint8_t sent[NET_MAX_FRAME]; /* the last one */
	size_t sent_len;
	unsigned nsent, readies;
};

static inline void nic_sent(
	struct net_port *p, const uint8_t *frame, size_t len)
{
	struct nic *n = (struct nic *)((char *)p - offsetof(struct nic, port));

	memcpy(n->sent, frame, len);
	n->sent_len = len;
	n->nsent++;
}

static inline void nic_ready(struct net_port *p)
{
	struct nic *n = (struct nic *)((char *)p - offsetof(struct nic, port));

	n->readies++;
}

static inline void nic_config(
	struct nic *n, unsigned off, unsigned size, uint32_t val)
{
	bus_lock(n->r.b.bus);
	pci_config_write(n->r.b.host.pci, 0, NIC_DEVFN, off, size, val);
	bus_unlock(n->r.b.bus);
}

static inline uint32_t nic_config_read(
	struct nic *n, unsigned off, unsigned size)
{
	uint32_t val;

	bus_lock(n->r.b.bus);
	val = pci_config_read(n->r.b.host.pci, 0, NIC_DEVFN, off, size);
	bus_unlock(n->r.b.bus);
	return val;
}

/* The first memory BAR at NIC_MMIO, one behind it further on, I/O BARs at
 * NIC_IO. */
static inline void nic_enable(struct nic *n)
{
	for (unsigned i = 0; n->pci && i < PCI_NBARS; i++)
		if (n->pci->bar[i].size)
			nic_config(n, 0x10 + 4 * i, 4,
				n->pci->bar[i].io ? NIC_IO
						  : NIC_MMIO + i / 2 * 0x40000);
	if (n->pci)
		nic_config(n, 4, 2, 7);
}

static inline void nic_up(struct nic *n, const char *class)
{
	memset(n, 0, sizeof(*n));
	rig_init(&n->r);
	n->port.send = nic_sent;
	n->port.ready = nic_ready;
	n->port.checksums_good = true;
	n->r.b.host.net = &n->port;
	memcpy(n->r.b.host.mac, nic_mac, 6);
	n->dev = board_add(&n->r.b, class);
	n->pci = pci_bus_func(n->r.b.host.pci, NIC_DEVFN);
	nic_enable(n);
}

static inline void nic_down(struct nic *n)
{
	board_fini(&n->r.b);
}

static inline bool nic_receive(struct nic *n, const uint8_t *frame, size_t len)
{
	bool taken;

	bus_lock(n->r.b.bus);
	taken = n->port.receive(n->port.opaque, frame, len);
	bus_unlock(n->r.b.bus);
	return taken;
}

static inline void nic_reset(struct nic *n)
{
	bus_lock(n->r.b.bus);
	n->dev->cls->reset(n->dev);
	bus_unlock(n->r.b.bus);
}

static inline uint32_t mmio_read(struct nic *n, unsigned off)
{
	return bus_mmio_read(n->r.b.bus, NULL, NIC_MMIO + off, 4);
}

static inline void mmio_write(struct nic *n, unsigned off, uint32_t val)
{
	bus_mmio_write(n->r.b.bus, NULL, NIC_MMIO + off, 4, val);
}

static inline uint32_t io_read(struct nic *n, unsigned off, unsigned size)
{
	return bus_io_read(n->r.b.bus, NIC_IO + off, size);
}

static inline void io_write(
	struct nic *n, unsigned off, unsigned size, uint32_t val)
{
	bus_io_write(n->r.b.bus, NIC_IO + off, size, val);
}

static inline void ram_write(
	struct nic *n, uint32_t at, const void *p, size_t len)
{
	g_assert_true(bus_dma_write(n->r.b.bus, at, p, len));
}

static inline void ram_read(struct nic *n, uint32_t at, void *p, size_t len)
{
	g_assert_true(bus_dma_read(n->r.b.bus, at, p, len));
}

static inline uint32_t ram_get(struct nic *n, uint32_t at, unsigned size)
{
	uint32_t val = 0;

	ram_read(n, at, &val, size);
	return val;
}

/* A frame to `to` of len bytes, each of its data's its offset. */
static inline void frame_fill(uint8_t *f, const uint8_t *to, size_t len)
{
	for (size_t i = 0; i < len; i++)
		f[i] = i;
	memcpy(f, to, 6);
	memcpy(f + 6, nic_peer, 6);
	f[12] = 0x88; /* a type for experiments */
	f[13] = 0xb5;
}

/* TCP/IPv4 with data bytes of data, header sums left to the card. */
static inline size_t frame_tcp4(uint8_t *f, size_t data)
{
	static const uint8_t ip[] = {0x45, 0, 0, 0, 0x12, 0x34, 0, 0, 64, 6, 0,
		0, 10, 0, 2, 15, 10, 0, 2, 2},
			     tcp[] = {4, 0, 0, 80, 0, 0, 0x10, 0, 0, 0, 0, 1,
				     0x50, 0x19, 0x20, 0, 0, 0, 0, 0};

	frame_fill(f, nic_peer, 54 + data);
	f[12] = 8;
	f[13] = 0;
	memcpy(f + 14, ip, sizeof(ip));
	memcpy(f + 34, tcp, sizeof(tcp));
	inet_put16(f + 16, 40 + data);
	return 54 + data;
}

#endif
