/*
 * virtio-fuzz.c - virtio devices under a driver gone mad (dev-fuzz.h): both
 * interfaces, 0.9.5's and the modern one; chains of any shape, in the ring and
 * indirect, with requests that are nearly right; rings that are set up wrong.
 * virtio-scsi is in hba-fuzz.c, in more depth.
 */
#include "dev-fuzz.h"

#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "dev/chardev.h"
#include "dev/virtio/devices.h"
#include "dev/virtio/virtio.h"
#include "dev/virtio/virtio_balloon.h"
#include "dev/virtio/vsock_conn.h"
#include "dev/virtio/virtio_mem.h"
#include "net/net.h"
#include "share-make.h"

#define RING(q)	   (0x100000u + (q)*0x10000)
#define INDIRECT   0x200000u
#define DATA	   0x300000u
#define MAX_Q	   8u
#define MAX_CHAIN  12u
#define DISK_BYTES (2u << 20)

/* where modern registers are in BAR 4 */
#define DEVICE 0x2000
#define NOTIFY 0x3000

#define NEXT  1u
#define WRITE 2u
#define IND   4u

struct desc {
	uint64_t at;
	uint32_t len;
	uint16_t flags, next;
};

struct model {
	const char *class;
	unsigned nqueues;
	bool legacy; /* has the old interface, too */
	void (*open)(struct fuzz *f);
	/* Fill what the device reads; how many bytes of it. */
	unsigned (*request)(struct fuzz *f, uint8_t *p);
	void (*event)(struct fuzz *f); /* from outside */
	void (*close)(struct fuzz *f); /* after the device went */
	bool answers;		       /* breaks if there is no room for one */
};

#define MAX_PAIRS 64
#define MAX_ASKS  16
#define MAX_KNOWN 8

/* Sockets of the host's programs: far ends are ours. */
struct pair {
	int near, far; /* near -1: free */
	uint32_t id;
	bool out;
};

struct driver {
	struct dev_vsock vsock; /* first */
	struct pair pair[MAX_PAIRS];
	uint32_t ask[MAX_ASKS];
	unsigned asks;
	/* Ports that were used last, the guest's and the host's. */
	uint32_t ports[MAX_KNOWN][2];
	unsigned nports, connects;
	struct net_port port;
	struct dev_chardev chr;
	struct dev_ram ram;
	struct fuzz *fuzz;
	struct display_input pointer;
	char *top;	/* of the shared folder */
	unsigned hello; /* how far its session has begun */
	struct virtio_mem_room room;
	bool legacy; /* how it is driven now */
	unsigned size[MAX_Q];
	uint16_t avail[MAX_Q];
};

static struct driver *own(struct fuzz *f)
{
	return f->own;
}

static const struct model *model(struct fuzz *f)
{
	return f->kind->of;
}

/* ---- what the models need, and what comes from outside ---- */

static void blk_open(struct fuzz *f)
{
	f->r.b.host.blk = f->media[0] = rig_image(DISK_BYTES, false);
	f->r.b.host.queues = 2;
	f->r.b.host.serial = "serial";
}

static void net_sent(struct net_port *p, const uint8_t *frame, size_t len)
{
	volatile uint8_t last = len ? frame[len - 1] : 0;

	(void)last;
	g_assert_cmpuint(len, <=, NET_MAX_FRAME);
}

static void net_open(struct fuzz *f)
{
	own(f)->port = (struct net_port){.send = net_sent,
		.large_send = true,
		.checksums_good = true,
		.large_receive = true};
	f->r.b.host.net = &own(f)->port;
	f->r.b.host.queues = 3; /* pairs */
}

static void net_event(struct fuzz *f)
{
	static uint8_t frame[NET_MAX_FRAME];
	static const uint16_t sizes[] = {14, 60, 1514, 1518, 9000, 65535};
	struct net_port *p = &own(f)->port;
	size_t len = below(f, 2) ? sizes[below(f, G_N_ELEMENTS(sizes))]
				 : 14 + below(f, 1600);

	for (unsigned i = 0; i < 64; i++)
		frame[i] = byte(f);
	bus_lock(f->r.b.bus);
	if (p->receive_tcp && len >= 60 && below(f, 2))
		p->receive_tcp(p->opaque, frame, len, below(f, 1500) + 1);
	else
		p->receive(p->opaque, frame, len);
	bus_unlock(f->r.b.bus);
}

static size_t chr_write(struct dev_chardev *c, const uint8_t *buf, size_t len)
{
	struct driver *d = c->owner;

	return below(d->fuzz, 4) ? len : below(d->fuzz, len + 1);
}

static void chr_accept(struct dev_chardev *c)
{
}

static void console_open(struct fuzz *f)
{
	own(f)->chr = (struct dev_chardev){.write = chr_write,
		.accept_input = chr_accept,
		.owner = f->own};
	f->r.b.host.chr = &own(f)->chr;
}

static void console_event(struct fuzz *f)
{
	struct dev_chardev *c = &own(f)->chr;
	uint8_t buf[300] = {0};

	bus_lock(f->r.b.bus);
	if (below(f, 2))
		c->receive(c->opaque, buf,
			MIN(c->can_receive(c->opaque),
				1 + below(f, sizeof(buf))));
	else
		c->writable(c->opaque);
	bus_unlock(f->r.b.bus);
}

static void balloon_discard(void *opaque, uint64_t off, uint64_t bytes)
{
	const struct bus_ram *ram = bus_ram(opaque);

	g_assert_cmpuint(off % 4096 | bytes % 4096, ==, 0);
	g_assert_cmpuint(bytes, <=, ram->bytes);
	g_assert_cmpuint(off, <=, ram->bytes - bytes);
	/* what the driver's rings and requests are in stays */
	if (off >= DATA + 64 * 0x4000)
		g_assert_cmpint(
			madvise(ram->host + off, bytes, MADV_DONTNEED), ==, 0);
}

static void balloon_open(struct fuzz *f)
{
	own(f)->ram = (struct dev_ram){balloon_discard, f->r.b.bus};
	f->r.b.host.ram = &own(f)->ram;
}

static void balloon_event(struct fuzz *f)
{
	struct virtio_balloon_view v;

	bus_lock(f->r.b.bus);
	if (below(f, 4))
		virtio_balloon_look(f->dev, &v);
	else
		virtio_balloon_want(f->dev, rnd(f));
	bus_unlock(f->r.b.bus);
}

static void tablet_event(struct fuzz *f)
{
	struct display_input *in = &own(f)->pointer;

	virtio_tablet_input(f->dev, in);
	in->point(in->opaque, below(f, DISPLAY_POINTER_MAX + 1),
		below(f, DISPLAY_POINTER_MAX + 1), (int)below(f, 9) - 4,
		below(f, 32));
}

static void keyboard_event(struct fuzz *f)
{
	bus_lock(f->r.b.bus);
	virtio_keyboard_key(f->dev, below(f, 0x110), below(f, 2));
	virtio_keyboard_idle(f->dev);
	bus_unlock(f->r.b.bus);
}

static void vga_open(struct fuzz *f)
{
	f->r.b.host.vram_bytes = 1 << 20;
}

/* ---- sockets of the host's ---- */

static struct pair *pair_of(struct dev_vsock *s, int fd)
{
	struct driver *d = (struct driver *)s;

	for (unsigned i = 0; i < MAX_PAIRS; i++)
		if (d->pair[i].near == fd)
			return &d->pair[i];
	return NULL;
}

static void vsock_ask(struct dev_vsock *s, uint32_t port, uint32_t id)
{
	struct driver *d = (struct driver *)s;

	d->ask[d->asks++ % MAX_ASKS] = id;
}

static void vsock_watch(struct dev_vsock *s, int fd, uint32_t id, bool out)
{
	struct pair *p = pair_of(s, fd);

	g_assert_nonnull(p);
	p->id = id;
	p->out = out;
}

static void vsock_close(struct dev_vsock *s, int fd)
{
	struct pair *p = pair_of(s, fd);

	g_assert_nonnull(p);
	close(p->near);
	if (p->far >= 0)
		close(p->far);
	p->near = p->far = -1;
}

static void vsock_again(struct dev_vsock *s)
{
}

/* The device's end of a new pair; -1: there are enough. */
static int pair_new(struct fuzz *f)
{
	struct pair *p = pair_of(&own(f)->vsock, -1);
	int sv[2], small = 4096;

	if (!p || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sv))
		return -1;
	setsockopt(sv[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	p->near = sv[0];
	p->far = sv[1];
	return p->near;
}

static void vsock_model_open(struct fuzz *f)
{
	for (unsigned i = 0; i < MAX_PAIRS; i++)
		own(f)->pair[i].near = own(f)->pair[i].far = -1;
	own(f)->vsock = (struct dev_vsock){.cid = 3,
		.ask = vsock_ask,
		.watch = vsock_watch,
		.close = vsock_close,
		.again = vsock_again};
	f->r.b.host.vsock = &own(f)->vsock;
}

/* A program does something, and the device is told. */
static void pair_event(struct fuzz *f, struct pair *p)
{
	static uint8_t buf[65536];
	struct pollfd q = {p->near, POLLIN | POLLOUT, 0};
	unsigned events = 0;
	ssize_t n;

	switch (p->far < 0 ? 9 : below(f, 10)) {
	case 0:
	case 1:
	case 2:
		n = send(p->far, buf, below(f, sizeof(buf)), MSG_NOSIGNAL);
		break;
	case 3:
	case 4: n = read(p->far, buf, sizeof(buf)); break;
	case 5: n = shutdown(p->far, below(f, 3)); break;
	case 6:
		close(p->far);
		p->far = -1;
		break;
	}
	(void)n; /* it may be full, or empty */
	poll(&q, 1, 0);
	events |= q.revents & POLLIN ? DEV_VSOCK_IN : 0;
	events |= q.revents & POLLOUT && p->out ? DEV_VSOCK_OUT : 0;
	events |= q.revents & POLLHUP ? DEV_VSOCK_HUP : 0;
	own(f)->vsock.ready(own(f)->vsock.dev, p->id, events);
}

static void ports_note(struct driver *d, uint32_t guest, uint32_t host)
{
	uint32_t *at = d->ports[d->nports++ % MAX_KNOWN];

	at[0] = guest;
	at[1] = host;
}

/* A program that wants the guest; the device numbers them. */
static void pair_connect(struct fuzz *f)
{
	struct dev_vsock *s = &own(f)->vsock;
	uint32_t port = below(f, 4);
	int fd = pair_new(f);

	if (fd < 0)
		return;
	if (s->connect(s->dev, port, fd))
		ports_note(own(f), port, (1u << 30) + own(f)->connects++);
	else
		vsock_close(s, fd);
}

static void vsock_event(struct fuzz *f)
{
	struct driver *d = own(f);
	struct dev_vsock *s = &d->vsock;

	bus_lock(f->r.b.bus);
	for (unsigned left = 1 + below(f, 8); left; left--) {
		struct pair *p = &d->pair[below(f, MAX_PAIRS)];

		if (below(f, 2))
			s->answered(s->dev,
				d->ask[(d->asks - 1 - below(f, 3)) % MAX_ASKS],
				below(f, 16) ? pair_new(f) : -1);
		else if (!below(f, 8))
			pair_connect(f);
		else if (p->near >= 0)
			pair_event(f, p);
	}
	s->work(s->dev);
	bus_unlock(f->r.b.bus);
}

static void nine_open(struct fuzz *f)
{
	g_autofree char *dir = share_make_dir(own(f)->top = share_make_top());

	share_make_files(own(f)->top);
	f->r.b.host.share = share_of(dir, false, 24);
}

static void nine_close(struct fuzz *f)
{
	share_free(f->r.b.host.share);
	share_make_close(own(f)->top);
}

/* Other files, now and then. */
static void nine_event(struct fuzz *f)
{
	if (below(f, 2000))
		return;
	share_make_empty(own(f)->top);
	share_make_files(own(f)->top);
}

/* It reaches over the data, so that requests unplug themselves. */
#define MEM_BASE   (2u << 20)
#define MEM_BLOCKS 6u

static void mem_drop(void *opaque, uint64_t off, uint64_t bytes)
{
	const struct bus_ram *ram = bus_ram(((struct fuzz *)opaque)->r.b.bus);

	g_assert_cmpuint(off, >=, MEM_BASE);
	g_assert_cmpuint(bytes, <=, MEM_BLOCKS * VIRTIO_MEM_BLOCK);
	g_assert_cmpuint(
		off + bytes, <=, MEM_BASE + MEM_BLOCKS * VIRTIO_MEM_BLOCK);
	/* as much as tells it from what was */
	for (uint64_t i = 0; i < bytes; i += 4096)
		memset(ram->host + off + i, 0, 64);
}

static void mem_open(struct fuzz *f)
{
	own(f)->room = (struct virtio_mem_room){.base = MEM_BASE,
		.bytes = MEM_BLOCKS * VIRTIO_MEM_BLOCK,
		.drop = mem_drop,
		.opaque = f};
	f->r.b.host.mem = &own(f)->room;
}

static void mem_event(struct fuzz *f)
{
	bus_lock(f->r.b.bus);
	virtio_mem_ask(f->dev, below(f, MEM_BLOCKS + 2) * VIRTIO_MEM_BLOCK);
	virtio_mem_any(f->dev, (uint64_t)rnd(f) << below(f, 32), rnd(f));
	bus_unlock(f->r.b.bus);
}

/* ---- requests, nearly right ---- */

static unsigned vsock_request(struct fuzz *f, uint8_t *p)
{
	static const uint8_t ops[] = {VSOCK_RW, VSOCK_RW, VSOCK_RW, VSOCK_RW,
		VSOCK_RW, VSOCK_RW, VSOCK_REQUEST, VSOCK_REQUEST,
		VSOCK_RESPONSE, VSOCK_SHUTDOWN, VSOCK_RST, VSOCK_CREDIT_UPDATE,
		VSOCK_CREDIT_UPDATE, VSOCK_CREDIT_REQUEST};

	struct vsock_packet v = {.src_cid = below(f, 32) ? 3 : rnd(f),
		.dst_cid = below(f, 32) ? VSOCK_HOST_CID : rnd(f),
		.src_port = below(f, 4),
		.dst_port =
			below(f, 2) ? below(f, 4) : (1u << 30) + below(f, 16),
		.len = below(f, 16) ? below(f, 8) : rnd(f),
		.type = below(f, 32) ? VSOCK_TYPE_STREAM : below(f, 4),
		.op = below(f, 64) ? ops[below(f, sizeof(ops))] : rnd(f),
		.flags = below(f, 16) ? below(f, 4) : rnd(f),
		.buf_alloc = below(f, 2) ? 1u << below(f, 20) : rnd(f),
		.fwd_cnt = below(f, 8) ? 0 : rnd(f)};

	if (v.op == VSOCK_REQUEST && below(f, 8)) {
		v.src_port = below(f, 1024);
		v.dst_port = below(f, 4);
		ports_note(own(f), v.src_port, v.dst_port);
	}
	memcpy(p, &v, sizeof(v));
	return below(f, 32) ? sizeof(v) : below(f, 64);
}

static unsigned nine_request(struct fuzz *f, uint8_t *p)
{
	/* Several: they are served by several at once. */
	if (own(f)->hello < 8)
		return share_make_hello(p, own(f)->hello++ / 2);
	return below(f, 64) ? share_make(f, p) : share_make_hello(p, 1);
}

static unsigned blk_request(struct fuzz *f, uint8_t *p)
{
	static const uint8_t types[] = {0, 0, 1, 1, 4, 8, 11, 13, 14};
	uint32_t w[4] = {types[below(f, sizeof(types))], 0,
		below(f, 8) ? below(f, DISK_BYTES / 512 + 2) : rnd(f),
		below(f, 16) ? 0 : rnd(f)};

	memcpy(p, w, 16);
	w[0] = below(f, DISK_BYTES / 512);
	w[1] = below(f, 16) ? 0 : rnd(f);
	w[2] = below(f, 4) ? below(f, 64) : rnd(f);
	w[3] = below(f, 3);
	memcpy(p + 16, w, 16);
	return below(f, 2) ? 16 : below(f, 8) ? 32 : below(f, 64);
}

static unsigned net_request(struct fuzz *f, uint8_t *p)
{
	static const uint8_t offload[] = {0, 0, 1, 3, 4, 0x81};

	memset(p, 0, 12);
	if (below(f, 2)) {
		p[0] = below(f, 4);
		p[1] = offload[below(f, sizeof(offload))];
		p[2] = byte(f);
		p[4] = rnd(f);
		p[5] = below(f, 6);
		p[6] = below(f, 80);
		p[8] = below(f, 40);
	}
	for (unsigned i = 12; i < 80; i++)
		p[i] = byte(f);
	p[24] = 8;
	p[25] = 0;
	p[26] = 0x45;
	/* or a command for the control queue */
	if (!below(f, 4)) {
		p[0] = below(f, 6);
		p[1] = below(f, 6);
		p[2] = below(f, 5);
		p[3] = 0;
	}
	return below(f, 8) ? 60 + below(f, 40) : below(f, 64);
}

static unsigned console_request(struct fuzz *f, uint8_t *p)
{
	for (unsigned i = 0; i < 8; i++)
		p[i] = 0;
	p[0] = below(f, 4) ? 0 : rnd(f);
	p[4] = below(f, 10);
	p[6] = below(f, 2);
	return below(f, 4) ? 8 : below(f, 64);
}

/* Page numbers, or statistics. */
static unsigned balloon_request(struct fuzz *f, uint8_t *p)
{
	bool stats = below(f, 2);

	for (unsigned i = 0; i < 12; i++) {
		uint32_t v = below(f, 8) ? below(f, FUZZ_RAM / 4096) : rnd(f);

		if (stats)
			v = below(f, 20);
		memcpy(p + (stats ? 10 : 4) * i, &v, stats ? 2 : 4);
	}
	return below(f, 128);
}

static unsigned input_request(struct fuzz *f, uint8_t *p)
{
	for (unsigned i = 0; i < 8; i++)
		p[i] = byte(f);
	return 8;
}

static unsigned mem_request(struct fuzz *f, uint8_t *p)
{
	uint64_t at = below(f, MEM_BLOCKS + 2) * VIRTIO_MEM_BLOCK + MEM_BASE -
		      VIRTIO_MEM_BLOCK;

	memset(p, 0, 24);
	p[0] = below(f, 8) ? below(f, 4) : rnd(f);
	if (!below(f, 16))
		at += (uint64_t)rnd(f) << below(f, 33);
	memcpy(p + 8, &at, 8);
	p[16] = below(f, 16) ? below(f, 4) : rnd(f);
	p[17] = below(f, 16) ? 0 : rnd(f);
	return below(f, 16) ? 24 : below(f, 40);
}

static unsigned gpu_request(struct fuzz *f, uint8_t *p)
{
	uint32_t w[24] = {
		below(f, 8) ? 0x100 + below(f, 12) : 0x300 + below(f, 4),
		below(f, 2)};

	for (unsigned i = 6; i < G_N_ELEMENTS(w); i++)
		w[i] = below(f, 8) ? below(f, below(f, 2) ? 4 : 2048) : rnd(f);
	if (w[0] == 0x106) /* pages behind a resource */
		for (unsigned i = 8; i + 4 <= G_N_ELEMENTS(w); i += 4)
			w[i] = address(f), w[i + 1] = 0;
	memcpy(p, w, sizeof(w));
	return below(f, 8) ? sizeof(w) : below(f, sizeof(w));
}

/* ---- rings ---- */

static void ring_put(struct fuzz *f, uint32_t table, unsigned i, struct desc e)
{
	if (!below(f, 200))
		e.at = address(f);
	if (!below(f, 300))
		e.len = rnd(f);
	if (!below(f, 300))
		e.flags = rnd(f);
	if (!below(f, 300))
		e.next = rnd(f);
	put(f, table + 16 * i, &e, sizeof(e));
}

/* A request, then room for the answer, cut into pieces. */
static void ring_chain(
	struct fuzz *f, uint32_t table, unsigned first, unsigned size)
{
	uint32_t mem = DATA + below(f, 64) * 0x4000, room = mem + 0x1000;
	unsigned n = 1 + below(f, MAX_CHAIN), outs = below(f, n + 1);
	uint8_t req[128] = {0};
	unsigned len = model(f)->request ? model(f)->request(f, req) : 16;
	bool fair = model(f)->answers && below(f, 200);

	if (fair) {
		n = MAX(n, 2);
		outs = 1 + below(f, n - 1);
	}
	put(f, mem, req, sizeof(req));
	for (unsigned i = 0; i < n; i++) {
		struct desc e = {
			mem, len, i + 1 < n ? NEXT : 0, (first + i + 1) % size};

		if (i >= outs) {
			e = (struct desc){room,
				below(f, 3) ? below(f, 4096) : 1, e.flags,
				e.next};
			e.len = fair ? MAX(e.len, 11) : e.len;
			e.flags |= WRITE;
		} else if (i) {
			e.at = mem + 64;
			e.len = below(f, 4096);
		} else if (!fair && below(f, 8) == 0) {
			e.len = below(f, 64);
		}
		ring_put(f, table, (first + i) % size, e);
		room += 512;
	}
}

static void ring_offer(struct fuzz *f, unsigned q)
{
	struct driver *d = own(f);
	unsigned size = d->size[q], head = size ? below(f, size) : 0;
	uint32_t avail = RING(q) + 16 * size;
	uint16_t h = below(f, 100) ? head : rnd(f);

	if (!size)
		return;
	if (below(f, 3)) {
		ring_chain(f, RING(q), head, size);
	} else {
		uint32_t at = INDIRECT + 1024 * below(f, 32);

		ring_chain(f, at, 0, 64);
		ring_put(f, RING(q), head,
			(struct desc){at,
				below(f, 32) ? 16 * MAX_CHAIN
					     : below(f, 1 << 20),
				IND, 0});
	}
	put(f, avail + 4 + 2 * (d->avail[q] % size), &h, 2);
	d->avail[q] += below(f, 500) ? 1 : below(f, 2 * size);
	put(f, avail + 2, &d->avail[q], 2);
}

static void ring_kick(struct fuzz *f, unsigned q)
{
	if (own(f)->legacy)
		bus_io_write(f->r.b.bus, FUZZ_IO + 0x10, 2, q);
	else
		mmio_write(f, NOTIFY + 4 * q, 2, q);
}

/* ---- the two interfaces ---- */

static void modern_queue(struct fuzz *f, unsigned q)
{
	unsigned size = 1u << below(f, 9);

	mmio_write(f, 0x16, 2, q);
	mmio_write(f, 0x18, 2, size);
	own(f)->size[q] = size =
		bus_mmio_read(f->r.b.bus, NULL, FUZZ_MMIO + 0x18, 2);
	mmio_write(f, 0x1a, 2, below(f, 4) ? q : rnd(f));
	mmio_write(f, 0x20, 8, below(f, 64) ? RING(q) : address(f));
	mmio_write(f, 0x28, 8, RING(q) + 16 * size);
	mmio_write(f, 0x30, 8, below(f, 64) ? RING(q) + 0x8000 : address(f));
	mmio_write(f, 0x1c, 2, 1);
}

static void modern_awake(struct fuzz *f)
{
	mmio_write(f, 0x14, 1, 0);
	mmio_write(f, 0x14, 1, 3);
	for (unsigned i = 0; i < 2; i++) {
		uint32_t offered;

		mmio_write(f, 0, 4, i);
		offered = bus_mmio_read(f->r.b.bus, NULL, FUZZ_MMIO + 4, 4);
		mmio_write(f, 8, 4, i);
		mmio_write(f, 12, 4,
			i || below(f, 2) ? offered : offered & rnd(f));
	}
	mmio_write(f, 0x14, 1, 11);
	for (unsigned q = 0; q < model(f)->nqueues; q++)
		modern_queue(f, q);
	mmio_write(f, 0x14, 1, 15);
}

static void legacy_awake(struct fuzz *f)
{
	struct bus *b = f->r.b.bus;
	uint32_t offered = bus_io_read(b, FUZZ_IO, 4);

	bus_io_write(b, FUZZ_IO + 0x12, 1, 0);
	bus_io_write(b, FUZZ_IO + 0x12, 1, 3);
	bus_io_write(
		b, FUZZ_IO + 4, 4, below(f, 2) ? offered : offered & rnd(f));
	for (unsigned q = 0; q < model(f)->nqueues; q++) {
		bus_io_write(b, FUZZ_IO + 0xe, 2, q);
		own(f)->size[q] = bus_io_read(b, FUZZ_IO + 0xc, 2);
		bus_io_write(b, FUZZ_IO + 8, 4,
			(below(f, 64) ? RING(q) : address(f)) >> 12);
	}
	bus_io_write(b, FUZZ_IO + 0x12, 1, 7);
}

static void awake(struct fuzz *f)
{
	static const uint8_t zero[0x10000];
	struct driver *d = own(f);

	d->hello = 0;
	config_write(f, devfn_of(f), 0x10, 4, FUZZ_IO);
	config_write(f, devfn_of(f), 0x14, 4, FUZZ_MMIO + 0x10000);
	config_write(f, devfn_of(f), 0x20, 4, FUZZ_MMIO);
	config_write(f, devfn_of(f), 0x24, 4, 0);
	config_write(f, devfn_of(f), 4, 2, below(f, 32) ? 7 : rnd(f));
	d->legacy = model(f)->legacy && below(f, 2);
	for (unsigned q = 0; q < MAX_Q; q++) {
		d->avail[q] = d->size[q] = 0;
		put(f, RING(q), zero, sizeof(zero));
	}
	if (d->legacy)
		legacy_awake(f);
	else
		modern_awake(f);
}

static void open_model(struct fuzz *f)
{
	f->own = g_new0(struct driver, 1);
	own(f)->fuzz = f;
	if (model(f)->open)
		model(f)->open(f);
	f->dev = board_add(&f->r.b, model(f)->class);
}

static void some_register(struct fuzz *f)
{
	struct bus *b = f->r.b.bus;
	unsigned size = 1u << below(f, 4);

	switch (below(f, 4)) {
	case 0:
		port_write(f, FUZZ_IO + below(f, 128), byte(f));
		port_read(f, FUZZ_IO + below(f, 128));
		break;
	case 1:
		mmio_write(f, (below(f, 64) / size) * size, size, rnd(f));
		break;
	case 2:
		mmio_write(f, DEVICE + below(f, 256), size, byte(f));
		bus_mmio_read(
			b, NULL, FUZZ_MMIO + DEVICE + below(f, 256), size);
		break;
	default: /* MSI-X, the window */
		mmio_write(f, 0x10000 + 4 * below(f, 64), 4,
			below(f, 2) ? 0 : rnd(f));
		config_write(f, devfn_of(f), 0x40 + below(f, 0xc0),
			1u << below(f, 3), byte(f));
	}
	bus_mmio_read(b, NULL, FUZZ_MMIO + 8 * below(f, 0x800), 8);
}

/* A ring broke, and nothing will happen until a reset. */
static bool needs_reset(struct fuzz *f)
{
	struct bus *b = f->r.b.bus;

	return (own(f)->legacy ? bus_io_read(b, FUZZ_IO + 0x12, 1)
			       : bus_mmio_read(b, NULL, FUZZ_MMIO + 0x14, 1)) &
	       VIRTIO_S_NEEDS_RESET;
}

static void some_round(struct fuzz *f)
{
	unsigned q = below(f, model(f)->nqueues);

	if (!below(f, 8) && needs_reset(f))
		awake(f);

	switch (below(f, 16)) {
	default:
		ring_offer(f, q);
		if (below(f, 2))
			ring_kick(f, q);
		break;
	case 0:
		if (!below(f, 8))
			some_register(f);
		break;
	case 1: /* flags of the rings: who wants to be told */
	{
		uint16_t v = below(f, 2) ? below(f, 2) : rnd(f);

		put(f, RING(q) + 16 * own(f)->size[q], &v, 2);
		put(f, RING(q) + 18 * own(f)->size[q] + 4, &v, 2);
		break;
	}
	case 2: ring_kick(f, below(f, MAX_Q + 1)); break;
	case 3:
	case 4:
	case 5:
		if (model(f)->event)
			model(f)->event(f);
		break;
	case 6: /* a ring that broke needs a reset */
		if (!below(f, 16))
			awake(f);
		break;
	}
}

/* ---- the kinds ---- */

static void close_model(struct fuzz *f)
{
	if (model(f)->close)
		model(f)->close(f);
}

#define MODEL(...)                                                             \
	open_model, awake, some_round, close_model, &(const struct model)      \
	{                                                                      \
		__VA_ARGS__                                                    \
	}

static const struct kind kinds[] = {
	{"blk", MODEL("virtio-blk", 2, true, blk_open, blk_request)},
	{"net", MODEL("virtio-net", 7, true, net_open, net_request, net_event)},
	{"console", MODEL("virtio-console", 4, true, console_open,
			    console_request, console_event)},
	{"rng", MODEL("virtio-rng", 1, true)},
	{"balloon", MODEL("virtio-balloon", 5, true, balloon_open,
			    balloon_request, balloon_event)},
	{"9p", MODEL("virtio-9p", 1, true, nine_open, nine_request, nine_event,
		       nine_close, .answers = true)},
	{"mem", MODEL("virtio-mem", 1, false, mem_open, mem_request,
			mem_event)},
	{"tablet", MODEL("virtio-tablet", 2, false, NULL, input_request,
			   tablet_event)},
	{"keyboard", MODEL("virtio-keyboard", 2, false, NULL, input_request,
			     keyboard_event)},
	{"vsock", MODEL("virtio-vsock", 3, false, vsock_model_open,
			  vsock_request, vsock_event)},
	{"gpu", MODEL("virtio-vga", 2, false, vga_open, gpu_request)},
	{NULL},
};

FUZZ_MAIN(kinds)
