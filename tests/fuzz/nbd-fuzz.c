/*
 * nbd-fuzz.c - a hostile client of the NBD server.
 *
 *     nbd-fuzz ROUNDS [SEED]
 *
 * In each round a client shakes hands, mostly rightly, then sends requests of
 * all kinds with bent fields, whole or cut off, reads what comes or does not,
 * and goes.  The server must end each time, stay small, and still serve a good
 * client afterwards: what that one has written comes back.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <glib.h>

#include "block/bytes.h"
#include "disk/nbd.h"
#include "bounds.h"

#define DISK	 (8u << 20)
#define GOOD	 (4u << 20) /* from here on the hostile one does not write */
#define SECONDS	 60
#define MEMORY	 (800ull << 20)
#define OPTIONS	 12
#define REQUESTS 40

struct fuzz {
	GRand *r;
	struct nbd_export export;
	int fd;
	bool listens; /* the good client: it waits for answers */
	uint64_t replies;
};

static unsigned below(struct fuzz *z, unsigned n)
{
	return (unsigned)g_rand_int_range(z->r, 0, (gint32)n);
}

static uint64_t odd(struct fuzz *z)
{
	static const uint64_t nice[] = {0, 1, 2, 15, 16, 511, 512, 4096, 65535,
		65536, 1u << 20, (1u << 20) + 1, DISK - 1, DISK, DISK + 1,
		32u << 20, (32u << 20) + 1, 0x7fffffff, 0x80000000, 0xffffffff,
		INT64_MAX, UINT64_MAX};

	return below(z, 4) ? nice[below(z, G_N_ELEMENTS(nice))]
			   : (uint64_t)g_rand_int(z->r) << below(z, 33);
}

/* ---- the client's side ---- */

/* What has come meanwhile goes unread, or the server would wait for us. */
static void swallow(struct fuzz *z)
{
	char buf[65536];
	ssize_t n;

	if (z->listens)
		return;
	while ((n = recv(z->fd, buf, sizeof(buf), MSG_DONTWAIT)) > 0)
		z->replies += (uint64_t)n;
}

static bool say(struct fuzz *z, const void *data, size_t len)
{
	const uint8_t *p = data;

	while (len) {
		struct pollfd f = {z->fd, POLLOUT | POLLIN, 0};
		ssize_t n = send(
			z->fd, p, MIN(len, 65536), MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno != EAGAIN)
			return false;
		if (n < 0)
			poll(&f, 1, 1000);
		swallow(z);
		p += MAX(n, 0);
		len -= (size_t)MAX(n, 0);
	}
	return true;
}

static void option(struct fuzz *z, uint32_t what, const uint8_t *data,
	uint32_t len, bool bend)
{
	uint8_t head[16];

	put_be64(head, 0x49484156454f5054ull);
	put_be32(head + 8, what);
	put_be32(head + 12, len);
	if (bend)
		head[below(z, 16)] = (uint8_t)g_rand_int(z->r);
	say(z, head, sizeof(head));
	say(z, data, len);
}

static void random_option(struct fuzz *z)
{
	uint8_t data[20000];
	uint64_t want = odd(z);
	uint32_t len = (uint32_t)MIN(want, sizeof(data));

	for (uint32_t i = 0; i < len; i++)
		data[i] = below(z, 3) ? 0 : (uint8_t)g_rand_int(z->r);
	option(z, below(z, 14), data, len, !below(z, 4));
}

/* Rightly done, it lets us see the disk. */
static void shake_hands(struct fuzz *z)
{
	static const uint8_t meta[] =
		"\0\0\0\0\0\0\0\1\0\0\0\17base:allocation";
	static const uint8_t go[6];
	uint8_t flags[4] = {0, 0, 0, 3};

	if (!below(z, 30))
		flags[below(z, 4)] = (uint8_t)g_rand_int(z->r);
	say(z, flags, sizeof(flags));
	for (unsigned n = below(z, 4) ? 0 : below(z, OPTIONS); n; n--)
		random_option(z);
	if (below(z, 3))
		option(z, 8, NULL, 0, !below(z, 30));
	if (below(z, 3))
		option(z, 10, meta, sizeof(meta) - 1, !below(z, 30));
	if (below(z, 2))
		option(z, 7, go, sizeof(go), !below(z, 30));
	else
		option(z, 1, NULL, 0, false);
}

static bool request(struct fuzz *z)
{
	static uint8_t data[33u << 20];
	uint8_t h[28];
	uint16_t type = (uint16_t)below(z, 9);
	uint64_t off = below(z, 2) ? below(z, GOOD) : odd(z);
	uint32_t len = (uint32_t)(below(z, 2) ? below(z, 70000) : odd(z));

	/* Not where the good one's data are. */
	if (type != 0 && type != 7 && off < DISK && off + len > GOOD)
		off = DISK + below(z, 5);
	put_be32(h, 0x25609513);
	put_be16(h + 4, (uint16_t)(below(z, 2) ? 0 : below(z, 64)));
	put_be16(h + 6, below(z, 40) ? type : (uint16_t)g_rand_int(z->r));
	put_be64(h + 8, g_rand_int(z->r));
	put_be64(h + 16, off);
	put_be32(h + 24, len);
	if (!below(z, 60)) {
		h[below(z, 4)] ^= 1;
		return say(z, h, sizeof(h));
	}
	if (!say(z, h, sizeof(h)))
		return false;
	if (type == 1 && len <= sizeof(data))
		return say(z, data, below(z, 30) ? len : len / 2);
	return true;
}

static void *server(void *opaque)
{
	void **arg = opaque;

	nbd_serve(*(int *)arg[0], arg[1]);
	/* What the process that serves does: */
	shutdown(*(int *)arg[0], SHUT_RDWR);
	return NULL;
}

/* All that it still has to say. */
static void hear_out(struct fuzz *z)
{
	static char buf[1 << 20];
	ssize_t n;

	shutdown(z->fd, SHUT_WR);
	while ((n = recv(z->fd, buf, sizeof(buf), 0)) > 0)
		z->replies += (uint64_t)n;
}

static void one_round(struct fuzz *z)
{
	int sv[2];
	void *arg[2] = {&sv[1], &z->export};
	GThread *t;

	g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), ==, 0);
	z->fd = sv[0];
	t = g_thread_new("server", server, arg);
	shake_hands(z);
	for (unsigned n = below(z, REQUESTS); n; n--)
		if (!request(z))
			break;
	if (below(z, 4))
		hear_out(z);
	close(sv[0]);
	g_thread_join(t);
	close(sv[1]);
}

/* ---- the good one ---- */

static void hear(struct fuzz *z, void *buf, size_t len)
{
	g_assert_cmpint(recv(z->fd, buf, len, MSG_WAITALL), ==, (ssize_t)len);
}

static void ask(
	struct fuzz *z, uint16_t type, const uint8_t *data, uint32_t len)
{
	uint8_t h[28] = {0x25, 0x60, 0x95, 0x13}, reply[16];

	put_be16(h + 6, type);
	put_be64(h + 16, GOOD + 12345);
	put_be32(h + 24, len);
	say(z, h, sizeof(h));
	if (data)
		say(z, data, len);
	hear(z, reply, sizeof(reply));
	g_assert_cmphex(get_be32(reply), ==, 0x67446698);
	g_assert_cmpint(get_be32(reply + 4), ==, 0);
}

static void good_round(struct fuzz *z)
{
	static uint8_t data[3u << 20], back[3u << 20];
	int sv[2];
	void *arg[2] = {&sv[1], &z->export};
	uint8_t hello[18], flags[4] = {0, 0, 0, 3}, size[10];
	GThread *t;

	for (unsigned i = 0; i < sizeof(data); i += 4)
		put_be32(data + i, g_rand_int(z->r));
	g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), ==, 0);
	z->fd = sv[0];
	z->listens = true;
	t = g_thread_new("server", server, arg);
	hear(z, hello, sizeof(hello));
	say(z, flags, sizeof(flags));
	option(z, 1, NULL, 0, false);
	hear(z, size, sizeof(size));
	g_assert_cmpuint(get_be64(size), ==, DISK);
	ask(z, 1, data, sizeof(data));
	ask(z, 0, NULL, sizeof(data));
	hear(z, back, sizeof(back));
	g_assert_true(!memcmp(data, back, sizeof(data)));
	z->listens = false;
	close(sv[0]);
	g_thread_join(t);
	close(sv[1]);
}

int main(int argc, char **argv)
{
	unsigned rounds = argc > 1 ? (unsigned)atoi(argv[1]) : 1000;
	guint32 seed = argc > 2 ? (guint32)atoi(argv[2]) : g_random_int();
	struct fuzz z = {.r = g_rand_new_with_seed(seed), .export.name = "x"};
	int fd = memfd_create("disk", MFD_CLOEXEC);

	printf("# seed %u\n", seed);
	fflush(stdout);
	bound_init();
	if (ftruncate(fd, DISK))
		return 1;
	z.export.disk = blk_raw_open(fd, false, NULL);
	bound_memory(MEMORY);
	for (unsigned i = 0; i < rounds; i++) {
		alarm(SECONDS);
		z.export.disk->readonly = i % 5 == 4;
		one_round(&z);
		z.export.disk->readonly = false;
		if (i % 50 == 0)
			good_round(&z);
	}
	alarm(0);
	printf("ok - %u rounds, %" PRIu64 " bytes of replies\n", rounds,
		z.replies);
	blk_close(z.export.disk);
	g_rand_free(z.r);
	return 0;
}
