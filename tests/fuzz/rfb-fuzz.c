/*
 * rfb-fuzz.c - viewers of a remote screen that send anything.
 *
 *   rfb-fuzz [ROUNDS [SEED [tls]]]
 *
 * Each round connects, mostly gets through the handshake, sends messages of all
 * kinds with random contents, bits of them flipped or parts cut out, reads or
 * does not, and leaves.  Some speak WebSocket.  The picture changes and has
 * other sizes meanwhile.  Nothing is compared: the server must not crash, hang,
 * keep descriptors or grow, and must serve a good viewer afterwards.  TIME=s in
 * the environment ends it after so many seconds.  Build with sanitizers to see
 * more.
 */
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <glib.h>

#include "display/rfb.h"

#define MAX_BYTES  65536
#define GROWTH_MAX (256ul << 20)

struct stream {
	uint8_t b[MAX_BYTES];
	size_t n;
};

static bool tls; /* viewers are to come by TLS, which none gets through */
static GRand *g;
static GMutex lock; /* of the picture */
static unsigned width = 64, height = 48, frame;
static struct sockaddr_un where = {.sun_family = AF_UNIX};

static uint32_t any(uint32_t below)
{
	return g_rand_int(g) % below;
}

/* ---- the machine ---- */

static void draw(void *opaque, struct display_view *v)
{
	uint32_t line[1024];

	g_mutex_lock(&lock);
	display_view_size(v, width, height);
	for (unsigned i = 0; i < width; i++)
		line[i] = i * 0x010203 + frame;
	frame += 77;
	for (unsigned y = frame % 3; y < height; y += 3)
		display_view_row(v, y, line);
	g_mutex_unlock(&lock);
}

static void arm(void *opaque, void (*wake)(void *), void *looker)
{
}

static bool resize(void *opaque, unsigned w, unsigned h)
{
	g_mutex_lock(&lock);
	width = 1 + w % 1024;
	height = 1 + h % 768;
	g_mutex_unlock(&lock);
	return w & 1;
}

static void key(void *opaque, unsigned code, bool down)
{
}

static bool point(
	void *opaque, unsigned x, unsigned y, int wheel, unsigned buttons)
{
	return x <= DISPLAY_POINTER_MAX && y <= DISPLAY_POINTER_MAX;
}

static struct display display = {
	.source = {.draw = draw, .arm = arm, .resize = resize},
	.keyboard = {.key = key},
	.tablet = {.point = point},
};

/* ---- what a viewer sends ---- */

static void put(struct stream *s, uint64_t v, unsigned bytes)
{
	for (unsigned i = bytes; i-- && s->n < MAX_BYTES;)
		s->b[s->n++] = (uint8_t)(v >> (8 * i));
}

static void put_text(struct stream *s, const char *text)
{
	while (*text && s->n < MAX_BYTES)
		s->b[s->n++] = (uint8_t)*text++;
}

static void put_any(struct stream *s, unsigned bytes)
{
	while (bytes--)
		put(s, any(256), 1);
}

/* Numbers that are small, on an edge, or anything. */
static uint32_t number(void)
{
	static const uint32_t edges[] = {
		0, 1, 255, 0x7fff, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff};

	switch (any(3)) {
	case 0: return any(64);
	case 1: return edges[any(8)];
	default: return g_rand_int(g);
	}
}

static void put_pixel_format(struct stream *s)
{
	static const uint8_t bits[] = {8, 16, 32, 24, 0, 64};

	put(s, 0, 4);
	put(s, bits[any(any(4) ? 3 : 6)], 1);
	put(s, any(40), 1);
	put(s, any(2), 1);
	put(s, any(4) != 0, 1);
	for (unsigned i = 0; i < 3; i++)
		put(s, any(2) ? 255 : number(), 2);
	put_any(s, 3);
	put(s, 0, 3);
}

static void put_encodings(struct stream *s)
{
	static const int32_t known[] = {0, 1, 2, 4, 5, 6, 7, 8, 9, 15, 16, 17,
		-223, -224, -232, -239, -240, -258, -307, -308, -260, -512,
		-256, -247, -23, -32, 0x574d5664, (int32_t)0xffff0000,
		(int32_t)0xffff8000, (int32_t)0xfffe0001, (int32_t)0xc0a1e5ce};
	unsigned n = any(12);

	put(s, 2, 2);
	put(s, any(8) ? n : number(), 2);
	while (n--)
		put(s,
			any(4) ? (uint32_t)known[any(G_N_ELEMENTS(known))]
			       : number(),
			4);
}

static void put_request(struct stream *s)
{
	put(s, 3, 1);
	put(s, any(2), 1);
	for (unsigned i = 0; i < 4; i++)
		put(s, any(2) ? any(1024) : number(), 2);
}

static void put_cut_text(struct stream *s)
{
	unsigned n = any(400);

	put(s, 6, 4);
	put(s, any(4) ? n : number(), 4);
	put_any(s, n);
}

static void put_desktop_size(struct stream *s)
{
	unsigned n = any(4);

	put(s, 251, 2);
	put(s, any(1200), 2);
	put(s, any(1200), 2);
	put(s, any(4) ? n : number(), 1);
	put(s, 0, 1);
	put_any(s, n * 16);
}

static void put_message(struct stream *s)
{
	static const uint8_t others[] = {
		7, 8, 10, 11, 15, 248, 250, 252, 253, 254, 255, 150, 5, 9, 12};

	switch (any(12)) {
	case 0: put_pixel_format(s); break;
	case 1: put_encodings(s); break;
	case 2:
	case 3:
	case 4: put_request(s); break;
	case 5: /* key */
		put(s, 4ull << 24 | any(2) << 16, 4);
		put(s, any(2) ? 0x20 + any(96) : number(), 4);
		break;
	case 6: /* pointer */
		put(s, 5 << 8 | any(256), 2);
		put(s, number(), 2);
		put(s, number(), 2);
		break;
	case 7: put_cut_text(s); break;
	case 8: put_desktop_size(s); break;
	case 9: /* key by position */
		put(s, 255, 1);
		put(s, any(8) ? 0 : any(256), 1);
		put(s, any(2), 2);
		put(s, number(), 4);
		put(s, any(2) ? any(256) : number(), 4);
		break;
	case 10:
		put(s, others[any(G_N_ELEMENTS(others))], 1);
		put_any(s, any(40));
		break;
	default: put_any(s, any(100)); break;
	}
}

static void put_session(struct stream *s)
{
	static const char *const versions[] = {"RFB 003.008\n", "RFB 003.007\n",
		"RFB 003.003\n", "RFB 003.889\n", "RFB 999.999\n", "GET / "};
	unsigned n = any(40);

	put_text(s, versions[any(8) ? 0 : any(6)]);
	if (tls) {
		put(s, any(8) ? 19 : any(256), 1);
		put(s, any(8) ? 2 : any(0x10000), 2);
		put(s, any(8) ? 260 : number(), 4);
		if (any(2)) /* a record of TLS */
			put(s, 0x160301ull << 16 | any(4) << 9 | any(256), 5);
	}
	put(s, any(8) ? 1 : any(256), 1); /* security type */
	put(s, 1, 1);			  /* shared */
	while (n--)
		put_message(s);
}

/* The same as frames of a WebSocket. */
static void put_websocket(struct stream *s)
{
	static struct stream in;
	size_t at = 0;

	put_text(s, "GET /websockify HTTP/1.1\r\nHost: x\r\n"
		    "Upgrade: websocket\r\nConnection: Upgrade\r\n");
	if (any(8))
		put_text(s, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n");
	if (any(8))
		put_text(s, "Origin: x\r\nSec-WebSocket-Version: 13\r\n"
			    "Sec-WebSocket-Protocol: binary\r\n");
	put_text(s, "\r\n");
	in.n = 0;
	put_session(&in);
	while (at < in.n) {
		size_t n = MIN(in.n - at, 1 + any(200));
		uint8_t mask[4];

		put(s, any(16) ? 0x82 : any(256), 1);
		if (n < 126) {
			put(s, 0x80 | (any(16) ? n : any(128)), 1);
		} else {
			put(s, 0xfe, 1);
			put(s, any(16) ? n : number(), 2);
		}
		for (unsigned i = 0; i < 4; i++)
			mask[i] = (uint8_t)any(256);
		for (unsigned i = 0; i < 4; i++)
			put(s, mask[i], 1);
		for (size_t i = 0; i < n; i++)
			put(s, in.b[at + i] ^ mask[i % 4], 1);
		at += n;
	}
}

static void spoil(struct stream *s)
{
	unsigned n = any(3) ? 0 : any(6);

	while (n-- && s->n > 16) {
		size_t at = any((uint32_t)s->n), len = any(16);

		if (any(2)) {
			s->b[at] ^= (uint8_t)(1u << any(8));
		} else if (at + len < s->n) {
			memmove(s->b + at, s->b + at + len, s->n - at - len);
			s->n -= len;
		}
	}
	if (!any(8))
		s->n = any((uint32_t)s->n + 1);
}

/* ---- rounds ---- */

static int meet(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (connect(fd, (struct sockaddr *)&where, sizeof(where)))
		g_error("cannot connect");
	return fd;
}

/* Read what comes within so long; how much that was. */
static size_t drain(int fd, int ms)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	static uint8_t buf[65536];
	size_t all = 0;
	ssize_t n;

	while (poll(&p, 1, ms) > 0) {
		n = read(fd, buf, sizeof(buf));
		if (n <= 0)
			break;
		all += (size_t)n;
	}
	return all;
}

static void bad_viewer(void)
{
	static struct stream s;
	int fd = meet();
	size_t at = 0;

	s.n = 0;
	if (any(8))
		put_session(&s);
	else
		put_websocket(&s);
	spoil(&s);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	while (at < s.n) {
		size_t part = any(4) ? s.n - at : 1 + any(64);
		ssize_t n =
			send(fd, s.b + at, MIN(part, s.n - at), MSG_NOSIGNAL);

		if (n > 0)
			at += (size_t)n;
		else if (!drain(fd, 20))
			break;
		if (!any(4))
			drain(fd, 0);
	}
	if (any(4))
		shutdown(fd, SHUT_WR);
	if (any(2))
		drain(fd, any(4) ? 0 : 5);
	close(fd);
}

static bool served(void)
{
	static const char hello[] = "RFB 003.008\n\1\1";
	static const uint8_t request[] = {3, 0, 0, 0, 0, 0, 0, 1, 0, 1};
	size_t got = 0, want = tls ? 14 : 40;
	int fd = meet();

	if (send(fd, hello, sizeof(hello) - 1, MSG_NOSIGNAL) > 0 &&
		send(fd, request, sizeof(request), MSG_NOSIGNAL) > 0)
		for (unsigned i = 0; i < 10 && got < want; i++)
			got += drain(fd, 1000);
	close(fd);
	return got >= want;
}

/* Bad ones may hold all places for as long as a handshake may take. */
static void good_viewer(void)
{
	for (unsigned i = 0; i < 40; i++) {
		if (served())
			return;
		g_usleep(500000);
	}
	g_error("a good viewer is not served");
}

static unsigned descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	while (d && readdir(d))
		n++;
	closedir(d);
	return n;
}

static unsigned long resident(void)
{
	unsigned long size, pages = 0;
	FILE *f = fopen("/proc/self/statm", "r");

	if (!f || fscanf(f, "%lu %lu", &size, &pages) != 2)
		pages = 0;
	if (f)
		fclose(f);
	return pages * 4096;
}

/* Sockets of those who came by TLS are closed when the next one comes. */
static void settle(unsigned want)
{
	want += tls ? 16 : 0;
	for (unsigned i = 0; i < 600 && descriptors() > want; i++)
		g_usleep(100000);
	if (descriptors() > want)
		g_error("%u descriptors, %u before", descriptors(), want);
}

int main(int argc, char **argv)
{
	unsigned long rounds = argc > 1 ? strtoul(argv[1], NULL, 0) : 2000, n;
	uint32_t seed = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 0) : 1;
	double stop = getenv("TIME") ? atof(getenv("TIME")) : 1e9;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct rfb_conf conf = {.listen_fd = fd, .name = "fuzz"};
	GTimer *t = g_timer_new();
	unsigned long before;
	unsigned open;
	char *why;
	struct rfb *r;

	conf.tls = tls = argc > 3 && !strcmp(argv[3], "tls");
	g = g_rand_new_with_seed(seed);
	snprintf(where.sun_path + 1, sizeof(where.sun_path) - 1,
		"vmeste-rfb-fuzz-%d", (int)getpid());
	if (bind(fd, (struct sockaddr *)&where, sizeof(where)) || listen(fd, 8))
		g_error("no socket");
	r = vmeste_rfb_ops.new(&display, &conf, &why);
	vmeste_rfb_ops.start(r);
	good_viewer();
	g_usleep(300000);
	open = descriptors();
	before = resident();
	for (n = 0; n < rounds && g_timer_elapsed(t, NULL) < stop; n++) {
		bad_viewer();
		if (n % 500 == 499) {
			settle(open);
			good_viewer();
		}
	}
	settle(open);
	good_viewer();
	if (resident() > before + GROWTH_MAX)
		g_error("%lu MB grown", (resident() - before) >> 20);
	printf("%lu viewers, seed %u, %.0f s, %ld KB grown\n", n, seed,
		g_timer_elapsed(t, NULL), (long)(resident() - before) / 1024);
	vmeste_rfb_ops.free(r);
	g_timer_destroy(t);
	g_rand_free(g);
	close(fd);
	return 0;
}
