/*
 * vsocktool.c - AF_VSOCK for the shell, inside a guest.
 *
 *	vsocktool cid			the guest's own address
 *	vsocktool connect CID PORT	standard input there, what comes out
 *	vsocktool listen PORT		the same for one that connects
 *	vsocktool echo PORT		give back to all who connect
 *	vsocktool many CID PORT N	N at once to an echo; each is checked
 *	vsocktool short CID PORT N	N one after the other
 *	vsocktool hold CID PORT		connect, say so, say how it ends
 *	vsocktool half CID PORT		send, shut, then read; and say what
 *	vsocktool give CID PORT MIB	so much there, and how long that took
 *	vsocktool take CID PORT MIB	the same from there
 *	vsocktool ask CID PORT N	N times one byte there and back
 *
 * With an address of IPv4 in place of CID: the same by TCP.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/vm_sockets.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MANY 500

static int fail(const char *what)
{
	printf("%s: %s\n", what, strerror(errno));
	return 1;
}

static int cid(void)
{
	unsigned id = 0;
	int fd = open("/dev/vsock", O_RDONLY);

	if (fd < 0 || ioctl(fd, IOCTL_VM_SOCKETS_GET_LOCAL_CID, &id))
		return fail("cid");
	printf("cid %u\n", id);
	return 0;
}

static struct sockaddr_vm address(unsigned id, unsigned port)
{
	return (struct sockaddr_vm){
		.svm_family = AF_VSOCK, .svm_cid = id, .svm_port = port};
}

static int join_tcp(const char *host, const char *port)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
		.sin_port = htons(strtoul(port, NULL, 0))};
	int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;

	inet_pton(AF_INET, host, &a.sin_addr);
	if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof(a)))
		return -1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

static int join(const char *id, const char *port)
{
	struct sockaddr_vm a =
		address(strtoul(id, NULL, 0), strtoul(port, NULL, 0));
	int fd;

	if (strchr(id, '.'))
		return join_tcp(id, port);
	fd = socket(AF_VSOCK, SOCK_STREAM, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof(a)))
		return -1;
	return fd;
}

static int await(const char *port)
{
	struct sockaddr_vm a = address(VMADDR_CID_ANY, strtoul(port, NULL, 0));
	int fd = socket(AF_VSOCK, SOCK_STREAM, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) ||
		listen(fd, 128))
		return -1;
	return fd;
}

static int write_all(int fd, const char *buf, ssize_t n)
{
	while (n > 0) {
		ssize_t done = write(fd, buf, n);

		if (done <= 0)
			return -1;
		buf += done;
		n -= done;
	}
	return 0;
}

/* Both ways at once, until both have ended. */
static int both(int fd)
{
	static char buf[1 << 16];
	pid_t child = fork();
	ssize_t n;

	if (!child) {
		while ((n = read(0, buf, sizeof(buf))) > 0)
			if (write_all(fd, buf, n))
				break;
		shutdown(fd, SHUT_WR);
		_exit(0);
	}
	while ((n = read(fd, buf, sizeof(buf))) > 0)
		write_all(1, buf, n);
	waitpid(child, NULL, 0);
	return n ? fail("read") : 0;
}

static int echo(const char *port)
{
	static char buf[1 << 16];
	int s = await(port), fd;
	ssize_t n;

	if (s < 0)
		return fail("listen");
	signal(SIGCHLD, SIG_IGN);
	while ((fd = accept(s, NULL, NULL)) >= 0) {
		if (fork()) {
			close(fd);
			continue;
		}
		while ((n = read(fd, buf, sizeof(buf))) > 0)
			if (write_all(fd, buf, n))
				break;
		_exit(0);
	}
	return fail("accept");
}

/* What connection i of that round says. */
static int say(int fd, int i, char *text)
{
	return write_all(fd, text, sprintf(text, "hello from %d\n", i));
}

static int hear(int fd, const char *want)
{
	char got[64] = "";
	size_t n = 0;

	while (n < strlen(want)) {
		ssize_t k = read(fd, got + n, sizeof(got) - 1 - n);

		if (k <= 0)
			return -1;
		n += k;
	}
	return strcmp(got, want);
}

static int many(const char *id, const char *port, int n)
{
	static char text[MANY][64];
	static int fd[MANY];
	int good = 0;

	for (int i = 0; i < n && i < MANY; i++) {
		fd[i] = join(id, port);
		if (fd[i] < 0)
			return fail("connect");
	}
	for (int i = 0; i < n; i++)
		if (say(fd[i], i, text[i]))
			return fail("write");
	for (int i = n - 1; i >= 0; i--)
		good += !hear(fd[i], text[i]);
	printf("%d of %d good\n", good, n);
	return good != n;
}

static int in_turn(const char *id, const char *port, int n)
{
	char text[64];
	int good = 0;

	for (int i = 0; i < n; i++) {
		int fd = join(id, port);

		if (fd < 0)
			return fail("connect");
		good += !say(fd, i, text) && !hear(fd, text);
		close(fd);
	}
	printf("%d of %d good\n", good, n);
	return good != n;
}

static int hold(const char *id, const char *port)
{
	int fd = join(id, port);
	char c;

	if (fd < 0)
		return fail("connect");
	write_all(fd, "here\n", 5);
	printf("connected\n");
	fflush(stdout);
	if (read(fd, &c, 1) < 0)
		return fail("ended");
	printf("ended\n");
	return 0;
}

static int half(const char *id, const char *port)
{
	int fd = join(id, port);
	char buf[256];
	ssize_t n;

	if (fd < 0)
		return fail("connect");
	write_all(fd, "question", 8);
	shutdown(fd, SHUT_WR);
	n = write(fd, "x", 1);
	printf("write after it: %s\n", n < 0 ? strerror(errno) : "works");
	while ((n = read(fd, buf, sizeof(buf) - 1)) > 0) {
		buf[n] = 0;
		printf("%s", buf);
	}
	printf("\nthen %s\n", n < 0 ? strerror(errno) : "the end");
	return 0;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec * 1e-9;
}

/* Until n bytes went there, and the other side has said that it has them. */
static int give(int fd, size_t n)
{
	static char buf[1 << 16];

	for (; n; n -= sizeof(buf))
		if (write_all(fd, buf, sizeof(buf)))
			return -1;
	shutdown(fd, SHUT_WR);
	return read(fd, buf, 1) == 1 ? 0 : -1;
}

static int take(int fd, size_t n)
{
	static char buf[1 << 16];

	while (n) {
		ssize_t k = read(fd, buf, n < sizeof(buf) ? n : sizeof(buf));

		if (k <= 0)
			return -1;
		n -= k;
	}
	return 0;
}

static int ask(int fd, int n)
{
	char c = 0;

	while (n--)
		if (write(fd, &c, 1) != 1 || read(fd, &c, 1) != 1)
			return -1;
	return 0;
}

static int timed(char what, const char *id, const char *port, int n)
{
	int fd = join(id, port), rc;
	double start = now();

	if (fd < 0)
		return fail("connect");
	rc = what == 'g'   ? give(fd, (size_t)n << 20)
	     : what == 't' ? take(fd, (size_t)n << 20)
			   : ask(fd, n);
	if (rc)
		return fail("stream");
	printf("took %.6f s\n", now() - start);
	return 0;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	signal(SIGPIPE, SIG_IGN);
	if (!strcmp(what, "cid"))
		return cid();
	if (argc == 3 && !strcmp(what, "echo"))
		return echo(argv[2]);
	if (argc == 3 && !strcmp(what, "listen")) {
		int s = await(argv[2]), fd = s < 0 ? -1 : accept(s, NULL, NULL);

		return fd < 0 ? fail("listen") : both(fd);
	}
	if (argc == 4 && !strcmp(what, "connect")) {
		int fd = join(argv[2], argv[3]);

		return fd < 0 ? fail("connect") : both(fd);
	}
	if (argc == 4 && !strcmp(what, "hold"))
		return hold(argv[2], argv[3]);
	if (argc == 4 && !strcmp(what, "half"))
		return half(argv[2], argv[3]);
	if (argc == 5 && !strcmp(what, "many") && atoi(argv[4]) <= MANY)
		return many(argv[2], argv[3], atoi(argv[4]));
	if (argc == 5 && !strcmp(what, "short"))
		return in_turn(argv[2], argv[3], atoi(argv[4]));
	if (argc == 5 && (!strcmp(what, "give") || !strcmp(what, "take") ||
				 !strcmp(what, "ask")))
		return timed(what[0], argv[2], argv[3], atoi(argv[4]));
	return 2;
}
