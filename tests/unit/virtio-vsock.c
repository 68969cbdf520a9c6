/*
 * virtio-vsock.c - sockets between guest and host: conversations, packets that
 * break the rules, credit, bounds, and the device's queues.
 */
#include "virtio-driver.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dev/state.h"
#include "dev/virtio/vsock_conn.h"

#define CID	  7
#define GUEST	  100u /* ports */
#define HOST	  200u
#define MAX_PAIRS 300

/* ---- the owner on the host ---- */

struct owner {
	struct dev_vsock h; /* first */
	struct vsock *v;
	int far[MAX_PAIRS];	/* ends of the host's programs, or -1 */
	int near[MAX_PAIRS];	/* the device's */
	uint32_t id[MAX_PAIRS]; /* by which it knows them */
	bool out[MAX_PAIRS];
	unsigned npairs;
	uint32_t asked_port, asked_id;
	unsigned asks, agains;
};

static void owner_ask(struct dev_vsock *h, uint32_t port, uint32_t id)
{
	struct owner *o = (struct owner *)h;

	o->asked_port = port;
	o->asked_id = id;
	o->asks++;
}

static unsigned owner_find(struct owner *o, int fd)
{
	for (unsigned i = 0; i < o->npairs; i++)
		if (o->near[i] == fd)
			return i;
	g_assert_not_reached();
}

static void owner_watch(struct dev_vsock *h, int fd, uint32_t id, bool out)
{
	struct owner *o = (struct owner *)h;
	unsigned i = owner_find(o, fd);

	o->id[i] = id;
	o->out[i] = out;
}

static void owner_close(struct dev_vsock *h, int fd)
{
	struct owner *o = (struct owner *)h;

	o->near[owner_find(o, fd)] = -1;
	shutdown(fd, SHUT_RDWR);
	close(fd);
}

static void owner_again(struct dev_vsock *h)
{
	((struct owner *)h)->agains++;
}

static void owner_init(struct owner *o)
{
	memset(o, 0, sizeof(*o));
	o->h = (struct dev_vsock){.cid = CID,
		.ask = owner_ask,
		.watch = owner_watch,
		.close = owner_close,
		.again = owner_again};
}

/* A pair of sockets; the device's end. */
static int owner_pair(struct owner *o)
{
	int sv[2];

	g_assert_cmpint(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sv), ==, 0);
	g_assert_cmpuint(o->npairs, <, MAX_PAIRS);
	o->near[o->npairs] = sv[0];
	o->far[o->npairs++] = sv[1];
	return sv[0];
}

/* Say what has happened to the sockets. */
static void owner_look(struct owner *o)
{
	for (unsigned i = 0; i < o->npairs; i++) {
		struct pollfd p = {o->near[i], POLLIN | POLLOUT, 0};
		unsigned events = 0;

		if (p.fd < 0 || poll(&p, 1, 0) <= 0)
			continue;
		events |= p.revents & POLLIN ? DEV_VSOCK_IN : 0;
		events |= p.revents & POLLOUT && o->out[i] ? DEV_VSOCK_OUT : 0;
		events |= p.revents & POLLHUP ? DEV_VSOCK_HUP : 0;
		vsock_ready(o->v, o->id[i], events);
	}
}

/* All that the device had is given back. */
static void owner_fini(struct owner *o)
{
	for (unsigned i = 0; i < o->npairs; i++) {
		g_assert_cmpint(o->near[i], ==, -1);
		if (o->far[i] >= 0)
			close(o->far[i]);
	}
}

/* ---- conversations ---- */

enum what {
	G_SAYS = 1, /* the guest: op, len, flags */
	G_HEARS,    /* the next packet: op, len, flags */
	G_NOTHING,  /* there is none */
	G_GUESSES,  /* by which port the host will come */
	H_LISTENS,  /* asked for a port, somebody listens */
	H_REFUSES,  /* nobody does */
	H_CONNECTS, /* to the guest's port */
	H_WRITES,   /* len bytes */
	H_READS,    /* exactly len bytes are there */
	H_READS_OK, /* the line */
	H_SEES_END, /* of what the guest sends */
	H_SHUTS,    /* says it will write no more */
	H_CLOSES,
	H_IS_CLOSED, /* the device has let go of it */
};

struct step {
	enum what what;
	uint16_t op;
	uint32_t len, flags;
	uint32_t alloc; /* the guest's, if other than 64 KiB */
};

#define SAYS(...)                                                              \
	{                                                                      \
		G_SAYS, __VA_ARGS__                                            \
	}
#define HEARS(...)                                                             \
	{                                                                      \
		G_HEARS, __VA_ARGS__                                           \
	}
#define DOES(...)                                                              \
	{                                                                      \
		__VA_ARGS__                                                    \
	}
#define BYTES(n) .len = n
#define FLAGS(n) .flags = n

#define GUEST_OPENS SAYS(VSOCK_REQUEST), DOES(H_LISTENS), HEARS(VSOCK_RESPONSE)
#define HOST_OPENS                                                             \
	DOES(H_CONNECTS), HEARS(VSOCK_REQUEST), SAYS(VSOCK_RESPONSE),          \
		DOES(H_READS_OK)

struct talk {
	const char *name;
	struct step step[20];
};

static const struct talk talks[] = {
	{"both ways", {GUEST_OPENS, SAYS(VSOCK_RW, BYTES(5)),
			      DOES(H_READS, BYTES(5)), DOES(H_WRITES, BYTES(9)),
			      HEARS(VSOCK_RW, BYTES(9)), DOES(G_NOTHING)}},
	{"nobody listens", {SAYS(VSOCK_REQUEST), DOES(H_REFUSES),
				   HEARS(VSOCK_RST), DOES(G_NOTHING)}},
	{"the guest gives up before the host answers",
		{SAYS(VSOCK_REQUEST), SAYS(VSOCK_RST), DOES(H_LISTENS),
			DOES(H_IS_CLOSED), DOES(G_NOTHING)}},
	{"the host connects",
		{HOST_OPENS, DOES(H_WRITES, BYTES(3)),
			HEARS(VSOCK_RW, BYTES(3)), SAYS(VSOCK_RW, BYTES(4)),
			DOES(H_READS, BYTES(4))}},
	{"what the host says at once waits for the guest",
		{DOES(H_CONNECTS), DOES(H_WRITES, BYTES(3)),
			HEARS(VSOCK_REQUEST), DOES(G_NOTHING),
			SAYS(VSOCK_RESPONSE), HEARS(VSOCK_RW, BYTES(3))}},
	{"the guest refuses",
		{DOES(H_CONNECTS), HEARS(VSOCK_REQUEST), SAYS(VSOCK_RST),
			DOES(H_IS_CLOSED), DOES(G_NOTHING)}},
	{"the host gives up before the guest heard of it",
		{DOES(H_CONNECTS), DOES(H_CLOSES), DOES(H_IS_CLOSED),
			DOES(G_NOTHING)}},
	{"the host gives up before the guest answers",
		{DOES(H_CONNECTS), HEARS(VSOCK_REQUEST), DOES(H_CLOSES),
			HEARS(VSOCK_RST), DOES(H_IS_CLOSED), DOES(G_NOTHING)}},
	{"the guest sends no more, but reads",
		{GUEST_OPENS, SAYS(VSOCK_RW, BYTES(2)),
			SAYS(VSOCK_SHUTDOWN, FLAGS(2)), DOES(H_READS, BYTES(2)),
			DOES(H_SEES_END), DOES(H_WRITES, BYTES(6)),
			HEARS(VSOCK_RW, BYTES(6)), DOES(H_CLOSES),
			HEARS(VSOCK_SHUTDOWN, FLAGS(3)), SAYS(VSOCK_RST),
			DOES(H_IS_CLOSED), DOES(G_NOTHING)}},
	{"the host sends no more, but reads",
		{GUEST_OPENS, DOES(H_WRITES, BYTES(2)), DOES(H_SHUTS),
			HEARS(VSOCK_RW, BYTES(2)),
			HEARS(VSOCK_SHUTDOWN, FLAGS(2)), DOES(G_NOTHING),
			SAYS(VSOCK_RW, BYTES(8)), DOES(H_READS, BYTES(8)),
			SAYS(VSOCK_SHUTDOWN, FLAGS(3)), HEARS(VSOCK_RST),
			DOES(H_SEES_END), DOES(H_IS_CLOSED)}},
	{"the guest closes",
		{GUEST_OPENS, SAYS(VSOCK_RW, BYTES(2)),
			SAYS(VSOCK_SHUTDOWN, FLAGS(3)), HEARS(VSOCK_RST),
			DOES(H_READS, BYTES(2)), DOES(H_SEES_END),
			DOES(H_IS_CLOSED), DOES(G_NOTHING)}},
	{"the guest closes in two steps",
		{GUEST_OPENS, SAYS(VSOCK_SHUTDOWN, FLAGS(1)),
			SAYS(VSOCK_SHUTDOWN, FLAGS(2)), HEARS(VSOCK_RST),
			DOES(H_IS_CLOSED)}},
	{"the host closes: what it wrote arrives, what comes is lost",
		{GUEST_OPENS, DOES(H_WRITES, BYTES(5)), DOES(H_CLOSES),
			HEARS(VSOCK_RW, BYTES(5)),
			HEARS(VSOCK_SHUTDOWN, FLAGS(3)), DOES(H_IS_CLOSED),
			SAYS(VSOCK_RW, BYTES(5)), DOES(G_NOTHING),
			SAYS(VSOCK_SHUTDOWN, FLAGS(3)), HEARS(VSOCK_RST),
			DOES(G_NOTHING)}},
	{"the guest resets", {GUEST_OPENS, SAYS(VSOCK_RST), DOES(H_IS_CLOSED),
				     DOES(G_NOTHING)}},
	{"credit: the guest has room for little",
		{SAYS(VSOCK_REQUEST, .alloc = 10), DOES(H_LISTENS),
			HEARS(VSOCK_RESPONSE), DOES(H_WRITES, BYTES(25)),
			HEARS(VSOCK_RW, BYTES(10)), HEARS(VSOCK_CREDIT_REQUEST),
			DOES(G_NOTHING), SAYS(VSOCK_CREDIT_UPDATE, .alloc = 10),
			DOES(G_NOTHING), SAYS(VSOCK_CREDIT_UPDATE, .alloc = 16),
			HEARS(VSOCK_RW, BYTES(6)), HEARS(VSOCK_CREDIT_REQUEST),
			SAYS(VSOCK_CREDIT_UPDATE, .alloc = 100),
			HEARS(VSOCK_RW, BYTES(9)), DOES(G_NOTHING)}},
	{"credit: the guest takes room back",
		{SAYS(VSOCK_REQUEST, .alloc = 10), DOES(H_LISTENS),
			HEARS(VSOCK_RESPONSE), DOES(H_WRITES, BYTES(25)),
			HEARS(VSOCK_RW, BYTES(10)), HEARS(VSOCK_CREDIT_REQUEST),
			SAYS(VSOCK_CREDIT_UPDATE, .alloc = 4),
			DOES(G_NOTHING)}},
	{"credit: the guest asks",
		{GUEST_OPENS, SAYS(VSOCK_CREDIT_REQUEST),
			HEARS(VSOCK_CREDIT_UPDATE), DOES(G_NOTHING)}},
	{"credit: the end needs none",
		{SAYS(VSOCK_REQUEST, .alloc = 3), DOES(H_LISTENS),
			HEARS(VSOCK_RESPONSE), DOES(H_WRITES, BYTES(3)),
			HEARS(VSOCK_RW, BYTES(3)), DOES(H_SHUTS),
			HEARS(VSOCK_CREDIT_REQUEST),
			SAYS(VSOCK_CREDIT_UPDATE, .alloc = 4),
			HEARS(VSOCK_SHUTDOWN, FLAGS(2))}},
};

/* What is not allowed, in each state: an answer of RST, and it is gone. */
static const struct talk hostile[] = {
	{"a second request", {GUEST_OPENS, SAYS(VSOCK_REQUEST),
				     HEARS(VSOCK_RST), DOES(H_IS_CLOSED)}},
	{"a response to nothing", {SAYS(VSOCK_RESPONSE), HEARS(VSOCK_RST)}},
	{"a response to itself", {SAYS(VSOCK_REQUEST), SAYS(VSOCK_RESPONSE),
					 HEARS(VSOCK_RST), DOES(G_NOTHING)}},
	{"a response before the request",
		{DOES(G_GUESSES), DOES(H_CONNECTS), SAYS(VSOCK_RESPONSE),
			HEARS(VSOCK_RST), DOES(H_IS_CLOSED)}},
	{"a second response", {HOST_OPENS, SAYS(VSOCK_RESPONSE),
				      HEARS(VSOCK_RST), DOES(H_IS_CLOSED)}},
	{"data before the answer",
		{SAYS(VSOCK_REQUEST), SAYS(VSOCK_RW, BYTES(1)),
			HEARS(VSOCK_RST), DOES(H_LISTENS), DOES(H_IS_CLOSED),
			DOES(G_NOTHING)}},
	{"data instead of an answer",
		{DOES(H_CONNECTS), HEARS(VSOCK_REQUEST),
			SAYS(VSOCK_RW, BYTES(1)), HEARS(VSOCK_RST),
			DOES(H_IS_CLOSED)}},
	{"data after the end", {GUEST_OPENS, SAYS(VSOCK_SHUTDOWN, FLAGS(2)),
				       SAYS(VSOCK_RW, BYTES(1)),
				       HEARS(VSOCK_RST), DOES(H_IS_CLOSED)}},
	{"data of nobody", {SAYS(VSOCK_RW, BYTES(1)), HEARS(VSOCK_RST)}},
	{"credit of nobody", {SAYS(VSOCK_CREDIT_UPDATE), HEARS(VSOCK_RST)}},
	{"an end of nobody",
		{SAYS(VSOCK_SHUTDOWN, FLAGS(3)), HEARS(VSOCK_RST)}},
	{"a reset of nobody", {SAYS(VSOCK_RST), DOES(G_NOTHING)}},
	{"no operation", {GUEST_OPENS, SAYS(VSOCK_INVALID), HEARS(VSOCK_RST),
				 DOES(H_IS_CLOSED)}},
	{"an unknown operation",
		{GUEST_OPENS, SAYS(99), HEARS(VSOCK_RST), DOES(H_IS_CLOSED)}},
	{"an empty end", /* does nothing */
		{GUEST_OPENS, SAYS(VSOCK_SHUTDOWN), DOES(G_NOTHING)}},
	{"an end of unknown kinds",
		{GUEST_OPENS, SAYS(VSOCK_SHUTDOWN, FLAGS(0xfffffff0)),
			DOES(G_NOTHING)}},
	{"nothing, as data", {GUEST_OPENS, SAYS(VSOCK_RW), DOES(G_NOTHING)}},
	{"an end before there is a beginning",
		{SAYS(VSOCK_REQUEST), SAYS(VSOCK_SHUTDOWN, FLAGS(3)),
			HEARS(VSOCK_RST), DOES(H_LISTENS), DOES(H_IS_CLOSED)}},
};

static struct vsock_packet packet(uint16_t op)
{
	return (struct vsock_packet){.src_cid = CID,
		.dst_cid = VSOCK_HOST_CID,
		.src_port = GUEST,
		.dst_port = HOST,
		.type = VSOCK_TYPE_STREAM,
		.op = op,
		.buf_alloc = 65536};
}

static uint8_t data[VSOCK_MAX_PAYLOAD];

/* The host's port by which the guest knows the last connection. */
static uint32_t heard_port;

static void guest_says(struct owner *o, const struct step *s)
{
	struct vsock_packet p = packet(s->op);

	p.len = s->len;
	p.flags = s->flags;
	p.dst_port = heard_port;
	if (s->alloc)
		p.buf_alloc = s->alloc;
	vsock_take(o->v, &p, data);
}

static void guest_hears(struct owner *o, const struct step *s)
{
	struct vsock_packet p = {0};

	g_assert_true(vsock_give(o->v, &p, data, sizeof(data)));
	g_assert_cmpuint(p.op, ==, s->op);
	g_assert_cmpuint(p.len, ==, s->len);
	g_assert_cmpuint(p.flags, ==, s->flags);
	g_assert_cmpuint(p.src_cid, ==, VSOCK_HOST_CID);
	g_assert_cmpuint(p.dst_cid, ==, CID);
	g_assert_cmpuint(p.dst_port, ==, GUEST);
	g_assert_cmpuint(p.type, ==, VSOCK_TYPE_STREAM);
	heard_port = p.src_port;
}

static void host_reads_ok(int fd)
{
	g_autofree char *want = g_strdup_printf("OK %u\n", heard_port);
	char line[64] = "";

	g_assert_cmpint(read(fd, line, sizeof(line) - 1), ==, strlen(want));
	g_assert_cmpstr(line, ==, want);
}

static void host_does(struct owner *o, const struct step *s)
{
	int n = (int)o->npairs - 1, fd = n >= 0 ? o->far[n] : -1;

	switch (s->what) {
	case H_LISTENS:
		g_assert_cmpuint(o->asked_port, ==, HOST);
		vsock_answered(o->v, o->asked_id, owner_pair(o));
		break;
	case H_REFUSES: vsock_answered(o->v, o->asked_id, -1); break;
	case H_CONNECTS:
		g_assert_true(vsock_connect(o->v, GUEST, owner_pair(o)));
		break;
	case H_WRITES:
		g_assert_cmpint(write(fd, data, s->len), ==, s->len);
		break;
	case H_READS:
		g_assert_cmpint(read(fd, data, sizeof(data)), ==, s->len);
		break;
	case H_READS_OK: host_reads_ok(fd); break;
	case H_SEES_END: g_assert_cmpint(read(fd, data, 1), ==, 0); break;
	case H_SHUTS: shutdown(fd, SHUT_WR); break;
	case H_CLOSES:
		close(fd);
		o->far[n] = -1;
		break;
	case H_IS_CLOSED: g_assert_cmpint(o->near[n], ==, -1); break;
	default: g_assert_not_reached();
	}
}

static void talk(const struct talk *t)
{
	struct vsock *v = g_new0(struct vsock, 1);
	struct owner *o = g_new0(struct owner, 1);
	struct vsock_packet p;

	g_test_message("%s", t->name);
	owner_init(o);
	vsock_init(v, &o->h);
	o->v = v;
	heard_port = HOST;
	for (const struct step *s = t->step; s->what; s++) {
		if (s->what == G_SAYS)
			guest_says(o, s);
		else if (s->what == G_HEARS)
			guest_hears(o, s);
		else if (s->what == G_NOTHING)
			g_assert_false(vsock_give(v, &p, data, sizeof(data)));
		else if (s->what == G_GUESSES)
			heard_port = 1u << 30;
		else
			host_does(o, s);
		owner_look(o);
	}
	vsock_fini(v);
	owner_fini(o);
	g_free(v);
	g_free(o);
}

static void test_talks(void)
{
	for (unsigned i = 0; i < G_N_ELEMENTS(talks); i++)
		talk(&talks[i]);
}

static void test_hostile(void)
{
	for (unsigned i = 0; i < G_N_ELEMENTS(hostile); i++)
		talk(&hostile[i]);
}

/* ---- addresses ---- */

static void test_addresses(void)
{
	static const struct {
		uint64_t src, dst;
		uint16_t type;
		bool answered;
	} list[] = {{CID, 2, 1, true}, {CID, 5, 1, true}, {CID, 2, 2, true},
		{CID, 2, 0, true}, {CID, 1ull << 32 | 2, 1, true},
		{CID + 1, 2, 1, false}, {1ull << 32 | CID, 2, 1, false},
		{2, CID, 1, false}};
	struct vsock *v = g_new0(struct vsock, 1);

	vsock_init(v, NULL); /* nobody listens at all */
	v->cid = CID;
	for (unsigned i = 0; i < G_N_ELEMENTS(list); i++) {
		struct vsock_packet p = packet(VSOCK_REQUEST), r = {0};

		p.src_cid = list[i].src;
		p.dst_cid = list[i].dst;
		p.type = list[i].type;
		vsock_take(v, &p, data);
		g_assert_cmpint(
			vsock_give(v, &r, data, 1), ==, list[i].answered);
		if (!list[i].answered)
			continue;
		g_assert_cmpuint(r.op, ==, VSOCK_RST);
		g_assert_cmpuint(r.src_cid, ==, list[i].dst);
		g_assert_cmpuint(r.dst_cid, ==, CID);
		g_assert_cmpuint(r.src_port, ==, HOST);
		g_assert_cmpuint(r.dst_port, ==, GUEST);
		g_assert_cmpuint(r.type, ==, list[i].type);
		g_assert_cmpuint(r.len, ==, 0);
	}
	vsock_fini(v);
	g_free(v);
}

/* ---- much data and little room ---- */

struct stream {
	struct vsock *v;
	struct owner *o;
	uint32_t alloc, fwd, sent; /* what the guest knows of its credit */
	uint64_t written, read;
	bool reset;
};

static uint8_t pattern(uint64_t at)
{
	return (uint8_t)(at * 31 + (at >> 8));
}

static void stream_open(struct stream *s)
{
	struct vsock_packet p = packet(VSOCK_REQUEST);

	s->v = g_new0(struct vsock, 1);
	s->o = g_new0(struct owner, 1);
	owner_init(s->o);
	vsock_init(s->v, &s->o->h);
	s->o->v = s->v;
	vsock_take(s->v, &p, data);
	vsock_answered(s->v, s->o->asked_id, owner_pair(s->o));
	g_assert_true(vsock_give(s->v, &p, data, 1));
	s->alloc = p.buf_alloc;
}

static void stream_close(struct stream *s)
{
	vsock_fini(s->v);
	owner_fini(s->o);
	g_free(s->v);
	g_free(s->o);
}

static void stream_hear(struct stream *s)
{
	struct vsock_packet p;

	while (vsock_give(s->v, &p, data, sizeof(data))) {
		s->reset |= p.op == VSOCK_RST;
		s->alloc = p.buf_alloc;
		s->fwd = p.fwd_cnt;
	}
}

static void stream_send(struct stream *s, uint32_t n)
{
	struct vsock_packet p = packet(VSOCK_RW);

	for (uint32_t i = 0; i < n; i++)
		data[i] = pattern(s->written + i);
	p.len = n;
	vsock_take(s->v, &p, data);
	s->written += n;
	s->sent += n;
	stream_hear(s);
}

static void stream_read(struct stream *s, uint32_t n)
{
	static uint8_t buf[1 << 20];
	ssize_t got = read(s->o->far[0], buf, n);

	for (ssize_t i = 0; i < got; i++)
		g_assert_cmpuint(buf[i], ==, pattern(s->read + (uint64_t)i));
	s->read += got > 0 ? (uint64_t)got : 0;
	owner_look(s->o);
	stream_hear(s);
}

/* A host that reads little: the guest is stopped, and told to go on; not a byte
 * is lost, also not if it closes meanwhile. */
static void test_slow_host(void)
{
	struct vsock_packet p = packet(VSOCK_SHUTDOWN);
	g_autoptr(GRand) rnd = g_rand_new_with_seed(3);
	struct stream s = {0};
	unsigned stops = 0;

	stream_open(&s);
	g_assert_cmpuint(s.alloc, ==, VSOCK_ALLOC_FEW);
	for (unsigned i = 0; i < 20000 && s.written < 8 << 20; i++) {
		uint32_t room = s.alloc - (s.sent - s.fwd);
		uint32_t n = (uint32_t)g_rand_int_range(rnd, 1, 65537);

		stops += !room;
		if (room)
			stream_send(&s, MIN(room, n));
		else
			stream_read(&s,
				(uint32_t)g_rand_int_range(rnd, 1, 1 << 20));
	}
	g_assert_false(s.reset);
	g_assert_cmpuint(s.written, >=, 8 << 20);
	g_assert_cmpuint(stops, >, 10);
	while (s.alloc != s.sent - s.fwd)
		stream_send(&s, MIN(s.alloc - (s.sent - s.fwd), 65536));
	/* what is more than the socket holds is still ours */
	p.flags = VSOCK_SHUT_BOTH;
	vsock_take(s.v, &p, data);
	p.op = VSOCK_RST;
	vsock_take(s.v, &p, data);
	while (s.read < s.written)
		stream_read(&s, 1 << 20);
	g_assert_cmpint(read(s.o->far[0], data, 1), ==, 0);
	g_assert_cmpint(s.o->near[0], ==, -1);
	stream_close(&s);
}

/* A guest that sends without credit. */
static void test_no_credit(void)
{
	struct stream s = {0};

	stream_open(&s);
	for (unsigned i = 0; i < 200 && !s.reset; i++)
		stream_send(&s, 65536);
	g_assert_true(s.reset);
	g_assert_cmpint(s.o->near[0], ==, -1);
	/* the socket's own memory, and what was allowed */
	g_assert_cmpuint(s.written, <, 4 << 20);
	stream_close(&s);
}

/* The guest's counters wrap, and lie. */
static void test_lies(void)
{
	static const struct {
		uint32_t alloc, fwd;
		uint32_t room; /* after 100 bytes were sent */
	} list[] = {{300, 0, 200}, {300, 100, 300}, {100, 0, 0}, {100, 1, 1},
		{300, 101, 0}, {300, 0x80000000, 0}, {0, 100, 0},
		{0xffffffff, 101, 0}, {0xffffffff, 100, 1000}};

	for (unsigned i = 0; i < G_N_ELEMENTS(list); i++) {
		struct vsock_packet p = packet(VSOCK_CREDIT_UPDATE);
		struct stream s = {0};
		bool any;

		stream_open(&s);
		g_assert_cmpint(write(s.o->far[0], data, 100), ==, 100);
		owner_look(s.o);
		stream_hear(&s);
		g_assert_cmpint(write(s.o->far[0], data, 1000), ==, 1000);
		p.buf_alloc = list[i].alloc;
		p.fwd_cnt = list[i].fwd;
		vsock_take(s.v, &p, data);
		owner_look(s.o);
		any = vsock_give(s.v, &p, data, sizeof(data));
		if (list[i].room) {
			g_assert_true(any);
			g_assert_cmpuint(p.op, ==, VSOCK_RW);
			g_assert_cmpuint(p.len, ==, list[i].room);
		} else {
			g_assert_cmpuint(p.op, ==, VSOCK_CREDIT_REQUEST);
			g_assert_false(vsock_give(s.v, &p, data, 1));
		}
		stream_close(&s);
	}
}

/* ---- bounds ---- */

static void test_bounds(void)
{
	struct vsock *v = g_new0(struct vsock, 1);
	struct owner *o = g_new0(struct owner, 1);
	struct vsock_packet p = packet(VSOCK_REQUEST), r;
	unsigned much = 0;

	owner_init(o);
	vsock_init(v, &o->h);
	o->v = v;
	for (unsigned i = 0; i < VSOCK_MAX_CONNS + 10; i++) {
		p.src_port = i;
		vsock_take(v, &p, data);
		if (i >= 2 * VSOCK_FEW)
			continue; /* they wait for an answer */
		vsock_answered(v, o->asked_id, owner_pair(o));
		g_assert_true(vsock_give(v, &r, data, 1));
		g_assert_cmpuint(r.op, ==, VSOCK_RESPONSE);
		much += r.buf_alloc == VSOCK_ALLOC_FEW;
	}
	g_assert_cmpuint(o->asks, ==, VSOCK_MAX_CONNS);
	g_assert_cmpuint(much, ==, VSOCK_FEW);
	g_assert_cmpuint(v->nreplies, ==, 10);
	g_assert_false(vsock_connect(v, 1, -1));
	/* answers that nobody fetches */
	p.op = VSOCK_CREDIT_UPDATE;
	p.dst_port = 1;
	for (unsigned i = 0; i < 10 * VSOCK_MAX_REPLIES; i++)
		vsock_take(v, &p, data);
	g_assert_true(vsock_full(v));
	g_assert_cmpuint(v->nreplies, ==, VSOCK_MAX_REPLIES);
	for (unsigned i = 0; i < VSOCK_MAX_REPLIES; i++)
		g_assert_true(vsock_give(v, &r, data, 1));
	g_assert_false(vsock_give(v, &r, data, 1));
	/* one goes, one may come */
	p = packet(VSOCK_RST);
	p.src_port = 5;
	vsock_take(v, &p, data);
	g_assert_true(vsock_connect(v, 1, owner_pair(o)));
	vsock_fini(v);
	owner_fini(o);
	g_free(v);
	g_free(o);
}

/* ---- the queues ---- */

enum { RX, TX, EVENT };

struct rig {
	struct driver d;
	struct owner o;
	unsigned buffers;
};

static void rig_start(struct rig *r)
{
	g_assert_true(driver_negotiate(&r->d, driver_offered(&r->d)));
	for (unsigned i = 0; i < 3; i++)
		driver_queue(&r->d, i, 16);
	driver_go(&r->d);
	r->buffers = 0;
}

static void rig_open(struct rig *r)
{
	struct dev_host host = {.vsock = &r->o.h};

	memset(r, 0, sizeof(*r));
	owner_init(&r->o);
	driver_open(&r->d, &virtio_vsock_class, &host);
	rig_start(r);
}

/* A buffer for the device to fill. */
static void rig_buffer(struct rig *r, unsigned queue, uint32_t bytes)
{
	unsigned i = r->buffers++ % 16;

	driver_desc(&r->d, r->d.q[queue].desc, i, DATA_BASE + 0x1000 * i, bytes,
		D_WRITE, 0);
	driver_offer(&r->d, queue, (uint16_t)i);
	driver_kick(&r->d, queue);
}

static void rig_send(struct rig *r, const struct vsock_packet *p, unsigned len)
{
	unsigned i = r->d.q[TX].next % 16;
	gpa_t at = DATA_BASE + 0x20000 + 0x1000 * i;
	uint32_t id, used;

	wr(&r->d, at, p, sizeof(*p));
	driver_desc(&r->d, r->d.q[TX].desc, i, at, len, 0, 0);
	driver_offer(&r->d, TX, (uint16_t)i);
	driver_kick(&r->d, TX);
	g_assert_true(driver_used(&r->d, TX, 0, &id, &used));
	g_assert_cmpuint(used, ==, 0);
}

static bool rig_receive(struct rig *r, struct vsock_packet *p)
{
	uint32_t id, len;

	if (!driver_used(&r->d, RX, 0, &id, &len))
		return false;
	rd(&r->d, DATA_BASE + 0x1000 * id, p, sizeof(*p));
	g_assert_cmpuint(len, ==, sizeof(*p) + p->len);
	return true;
}

static void test_queues(void)
{
	struct vsock_packet p = packet(VSOCK_RW), r;
	struct rig g;

	rig_open(&g);
	g_assert_cmpuint(bus_mmio_read(g.d.bus, NULL, g.d.device, 8), ==, CID);
	/* lengths that are not true, and packets that are none */
	rig_send(&g, &p, 20);
	p.len = 100;
	rig_send(&g, &p, sizeof(p));
	p.len = 0xffffffff;
	rig_send(&g, &p, sizeof(p));
	/* the answers have no buffers yet */
	g_assert_false(rig_receive(&g, &r));
	for (unsigned i = 0; i < 4; i++)
		rig_buffer(&g, RX, 256);
	for (unsigned i = 0; i < 2; i++) {
		g_assert_true(rig_receive(&g, &r));
		g_assert_cmpuint(r.op, ==, VSOCK_RST);
	}
	g_assert_false(rig_receive(&g, &r));
	/* a program of the host's, with the driver and without */
	bus_lock(g.d.bus);
	g_assert_true(g.o.h.connect(g.o.h.dev, 50, owner_pair(&g.o)));
	g.o.h.work(g.o.h.dev);
	bus_unlock(g.d.bus);
	g_assert_true(rig_receive(&g, &r));
	g_assert_cmpuint(r.op, ==, VSOCK_REQUEST);
	g_assert_cmpuint(r.dst_port, ==, 50);
	cput(&g.d, 0x14, 1, 0);
	g_assert_cmpint(g.o.near[0], ==, -1);
	bus_lock(g.d.bus);
	g_assert_false(g.o.h.connect(g.o.h.dev, 50, -1));
	bus_unlock(g.d.bus);
	driver_close(&g.d);
	g_assert_null(g.o.h.dev);
	owner_fini(&g.o);
}

/* Who fetches no answers is not heard any more. */
static void test_deaf_driver(void)
{
	struct vsock_packet p = packet(VSOCK_RW), r;
	unsigned taken = 0, heard = 0;
	uint32_t id, len;
	struct rig g;

	rig_open(&g);
	wr(&g.d, DATA_BASE + 0x20000, &p, sizeof(p));
	for (unsigned i = 0; i < 16; i++)
		driver_desc(&g.d, g.d.q[TX].desc, i, DATA_BASE + 0x20000,
			sizeof(p), 0, 0);
	for (unsigned i = 0; i < 10 * VSOCK_MAX_REPLIES; i++) {
		if (i - taken < 16)
			driver_offer(&g.d, TX, (uint16_t)(i % 16));
		else
			break;
		driver_kick(&g.d, TX);
		taken += driver_used(&g.d, TX, 0, &id, &len);
	}
	g_assert_cmpuint(taken, ==, VSOCK_MAX_REPLIES);
	for (unsigned i = 0; i < 200; i++) {
		if (g.buffers - heard < 16)
			rig_buffer(&g, RX, 64);
		if (rig_receive(&g, &r))
			heard++;
		bus_lock(g.d.bus);
		g.o.h.work(g.o.h.dev);
		bus_unlock(g.d.bus);
	}
	g_assert_cmpuint(heard, ==, VSOCK_MAX_REPLIES + 16);
	driver_close(&g.d);
}

/* Buffers without room for anything but a header come back empty. */
static void test_small_buffers(void)
{
	struct vsock_packet p = packet(VSOCK_RW), r;
	uint32_t id, len;
	struct rig g;

	rig_open(&g);
	rig_buffer(&g, RX, 1);
	rig_buffer(&g, RX, sizeof(p));
	rig_send(&g, &p, sizeof(p));
	for (unsigned i = 0; i < 2; i++) {
		g_assert_true(driver_used(&g.d, RX, 0, &id, &len));
		g_assert_cmpuint(len, ==, 0);
	}
	g_assert_false(driver_used(&g.d, RX, 0, &id, &len));
	rig_buffer(&g, RX, sizeof(p) + 1);
	g_assert_true(rig_receive(&g, &r));
	g_assert_cmpuint(r.op, ==, VSOCK_RST);
	driver_close(&g.d);
}

/* Who goes on from a state is told that its connections are gone. */
static void test_state(void)
{
	g_autoptr(GByteArray) x = g_byte_array_new();
	struct vsock_packet p = packet(VSOCK_REQUEST);
	struct state_in in;
	char err[200] = "";
	uint32_t id, len, event = 99;
	struct rig g;

	rig_open(&g);
	rig_buffer(&g, EVENT, 4);
	g_assert_false(driver_used(&g.d, EVENT, 0, &id, &len));
	rig_send(&g, &p, sizeof(p));
	bus_lock(g.d.bus);
	g.o.h.answered(g.o.h.dev, g.o.asked_id, owner_pair(&g.o));
	bus_clock_pause(g.d.bus, true);
	g_assert_cmpint(dev_save(g.d.dev, x, err, sizeof(err)), ==, 0);
	in = (struct state_in){g.d.bus, x->data, x->len, err, sizeof(err)};
	g_assert_cmpint(dev_load(g.d.dev, &in), ==, 0);
	bus_clock_pause(g.d.bus, false);
	g_assert_cmpint(g.o.near[0], ==, -1);
	g_assert_cmpuint(g.o.agains, ==, 1);
	g.o.h.work(g.o.h.dev);
	bus_unlock(g.d.bus);
	g_assert_true(driver_used(&g.d, EVENT, 0, &id, &len));
	g_assert_cmpuint(len, ==, 4);
	rd(&g.d, DATA_BASE + 0x1000 * id, &event, 4);
	g_assert_cmpuint(event, ==, 0);
	/* once */
	rig_buffer(&g, EVENT, 4);
	g_assert_false(driver_used(&g.d, EVENT, 0, &id, &len));
	driver_close(&g.d);
	owner_fini(&g.o);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/vsock/talks", test_talks);
	g_test_add_func("/vsock/hostile", test_hostile);
	g_test_add_func("/vsock/addresses", test_addresses);
	g_test_add_func("/vsock/slow-host", test_slow_host);
	g_test_add_func("/vsock/no-credit", test_no_credit);
	g_test_add_func("/vsock/lies", test_lies);
	g_test_add_func("/vsock/bounds", test_bounds);
	g_test_add_func("/vsock/queues", test_queues);
	g_test_add_func("/vsock/deaf-driver", test_deaf_driver);
	g_test_add_func("/vsock/small-buffers", test_small_buffers);
	g_test_add_func("/vsock/state", test_state);
	return g_test_run();
}
