/*
 * wire.c - messages arrive whole with their descriptors; rubbish is refused
 * and leaves no descriptor open.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "wire/wire.h"

static unsigned open_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static void test_round_trip(void)
{
	g_autoptr(wire_msg_auto) m = NULL;
	JsonObject *o = json_object_new();
	int sv[2], p[2];
	char c = 0;

	g_assert_cmpint(wire_pair(sv), ==, 0);
	g_assert_cmpint(pipe(p), ==, 0);
	json_object_set_string_member(o, "text", "hello");
	json_object_set_int_member(o, "n", 7);
	g_assert_true(wire_send(sv[0], "note", o, p, 2, NULL));
	close(p[0]);
	close(p[1]);
	m = wire_recv(sv[1], NULL);
	g_assert_nonnull(m);
	g_assert_cmpstr(m->type, ==, "note");
	g_assert_cmpstr(wire_msg_string(m, "text"), ==, "hello");
	g_assert_null(wire_msg_string(m, "n"));
	g_assert_cmpint(wire_msg_int(m, "n", 0), ==, 7);
	g_assert_cmpuint(m->nfds, ==, 2);
	g_assert_cmpint(write(m->fds[1], "x", 1), ==, 1);
	g_assert_cmpint(read(m->fds[0], &c, 1), ==, 1);
	g_assert_cmpint(c, ==, 'x');
	close(sv[0]);
	close(sv[1]);
}

static void test_closed(void)
{
	g_autoptr(GError) err = NULL;
	int sv[2];

	g_assert_cmpint(wire_pair(sv), ==, 0);
	close(sv[0]);
	g_assert_null(wire_recv(sv[1], &err));
	g_assert_no_error(err);
	g_assert_false(wire_send(sv[1], "note", NULL, NULL, 0, &err));
	g_assert_nonnull(err);
	close(sv[1]);
}

struct header {
	uint32_t magic;
	uint16_t version, nfds;
	uint32_t bytes, zero;
};

static void send_raw(
	int sock, struct header h, const char *body, size_t len, int fd)
{
	char space[CMSG_SPACE(sizeof(int))] __attribute__((aligned(8))) = {0};
	struct iovec iov[2] = {{&h, sizeof(h)}, {(void *)(uintptr_t)body, len}};
	struct msghdr mh = {.msg_iov = iov,
		.msg_iovlen = 2,
		.msg_control = space,
		.msg_controllen = sizeof(space)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&mh);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	g_assert_cmpint(sendmsg(sock, &mh, 0), >, 0);
}

static void expect_refused(struct header h, const char *body, size_t len)
{
	g_autoptr(GError) err = NULL;
	int sv[2], fd = open("/dev/null", O_RDONLY);
	unsigned before;

	g_assert_cmpint(wire_pair(sv), ==, 0);
	before = open_fds();
	send_raw(sv[0], h, body, len, fd);
	g_assert_null(wire_recv(sv[1], &err));
	g_assert_nonnull(err);
	g_assert_cmpuint(open_fds(), ==, before);
	close(sv[0]);
	close(sv[1]);
	close(fd);
}

static void test_hostile(void)
{
	static const char ok[] = "{\"type\":\"note\"}";
	g_autofree char *deep = g_strnfill(60000, '[');
	g_autofree char *huge = g_strnfill(WIRE_MAX_BYTES + 1, ' ');
	uint32_t len = sizeof(ok) - 1;
	struct header h = {0x54534d56, WIRE_VERSION, 1, len, 0};
	struct header v;

	v = h, v.magic++;
	expect_refused(v, ok, len);
	v = h, v.version++;
	expect_refused(v, ok, len);
	v = h, v.nfds = 2;
	expect_refused(v, ok, len);
	v = h, v.bytes--;
	expect_refused(v, ok, len);
	v = h, v.bytes = 60000;
	expect_refused(v, deep, 60000);
	v = h, v.bytes = WIRE_MAX_BYTES + 1;
	expect_refused(v, huge, WIRE_MAX_BYTES + 1);
	v = h, v.bytes = 2;
	expect_refused(v, "{}", 2);
	expect_refused(v, "[]", 2);
	expect_refused(v, "\xff\xfe", 2);
	v = h, v.bytes = 10;
	expect_refused(v, "{\"type\":3}", 10);
	v = h, v.bytes = 0;
	expect_refused(v, "", 0);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/wire/round-trip", test_round_trip);
	g_test_add_func("/wire/closed", test_closed);
	g_test_add_func("/wire/hostile", test_hostile);
	return g_test_run();
}
