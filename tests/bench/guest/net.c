/*
 * net.c - a stream out, a stream in, and one byte to and fro over TCP, with a
 * server on the host (tests/lib/streams.py).
 *
 * The first bytes only bring the connection to its speed.
 */
#include "bench.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BLOCK  65536u
#define WARMUP 0.15

static char block[BLOCK];

static int dial(const char *host, unsigned port)
{
	struct sockaddr_in a = {
		.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;

	if (fd < 0 || !inet_aton(host, &a.sin_addr) ||
		connect(fd, (struct sockaddr *)&a, sizeof(a))) {
		perror(host);
		return -1;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

/* Units done by one step, or less than 1. */
static double step_tx(int fd)
{
	return send(fd, block, BLOCK, 0) * 8e-6;
}

static double step_rx(int fd)
{
	return recv(fd, block, BLOCK, 0) * 8e-6;
}

static double step_rr(int fd)
{
	return send(fd, block, 1, 0) == 1 && recv(fd, block, 1, 0) == 1;
}

int bench_net(const char *way, const char *host, unsigned port, double seconds)
{
	static const struct {
		const char *way;
		double (*step)(int fd);
	} rows[] = {{"tx", step_tx}, {"rx", step_rx}, {"rr", step_rr}};
	double (*step)(int) = NULL, start, took, done = 0, now;
	int fd = dial(host, port);

	for (unsigned i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		if (!strcmp(rows[i].way, way))
			step = rows[i].step;
	if (fd < 0 || !step)
		return 1;
	for (start = bench_now(); bench_now() - start < WARMUP;)
		if (step(fd) <= 0)
			return 1;
	start = bench_now();
	do {
		now = step(fd);
		done += now;
		took = bench_now() - start;
	} while (now > 0 && took < seconds);
	close(fd);
	if (now <= 0)
		printf("WRONG net_%s failed\n", way);
	else
		printf("ROW net_%s %.6g 0\n", way, done / took);
	return now <= 0;
}
