/*
 * net-user.c - the user network: a DHCP discover gets its offer, ARP finds the
 * gateway, forwards that cannot be made say why, a forwarded port answers.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <glib.h>

#include "net/net.h"

struct guest {
	GMainContext *loop;
	struct net_port *port;
	uint8_t frame[2048];
	size_t len;
	unsigned got, refuse;
	int locked;
};

static void guest_lock(void *opaque)
{
	((struct guest *)opaque)->locked++;
}

static void guest_unlock(void *opaque)
{
	((struct guest *)opaque)->locked--;
}

static bool guest_receive(void *opaque, const uint8_t *frame, size_t len)
{
	struct guest *g = opaque;

	if (g->refuse) {
		g->refuse--;
		return false;
	}
	g->got++;
	g->len = MIN(len, sizeof(g->frame));
	memcpy(g->frame, frame, g->len);
	return true;
}

static void guest_up(struct guest *g, const struct net_user_conf *conf)
{
	g_autoptr(GError) err = NULL;

	memset(g, 0, sizeof(*g));
	g->loop = g_main_context_new();
	g->port =
		net_user_new(g->loop, conf, guest_lock, guest_unlock, g, &err);
	g_assert_no_error(err);
	g->port->opaque = g;
	g->port->receive = guest_receive;
}

static void guest_down(struct guest *g)
{
	g->port->free(g->port);
	g_main_context_unref(g->loop);
	g_assert_cmpint(g->locked, ==, 0);
}

static bool guest_wait(struct guest *g, unsigned got)
{
	int64_t end = g_get_monotonic_time() + 3000000;

	while (g->got < got && g_get_monotonic_time() < end) {
		g_main_context_iteration(g->loop, FALSE);
		g_usleep(500);
	}
	return g->got >= got;
}

static uint16_t ip_sum(const uint8_t *p, unsigned len)
{
	uint32_t s = 0;

	for (unsigned i = 0; i < len; i += 2)
		s += p[i] << 8 | p[i + 1];
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return ~s;
}

#define DISCOVER_BYTES (14 + 20 + 8 + 300)

static void make_discover(uint8_t *f)
{
	static const uint8_t eth[] = {255, 255, 255, 255, 255, 255, 0x52, 0x54,
		0, 0x12, 0x34, 0x56, 8, 0};
	static const uint8_t ip[] = {0x45, 0, 1, 0x48, 0, 0, 0, 0, 64, 17, 0, 0,
		0, 0, 0, 0, 255, 255, 255, 255, 0, 68, 0, 67, 1, 0x34, 0, 0};
	static const uint8_t options[] = {99, 130, 83, 99, 53, 1, 1, 255};
	uint8_t *b = f + 42;
	uint16_t sum;

	memset(f, 0, DISCOVER_BYTES);
	memcpy(f, eth, sizeof(eth));
	memcpy(f + 14, ip, sizeof(ip));
	b[0] = 1; /* request, Ethernet, 6 bytes */
	b[1] = 1;
	b[2] = 6;
	b[4] = 0x77;
	memcpy(b + 28, eth + 6, 6);
	memcpy(b + 236, options, sizeof(options));
	sum = ip_sum(f + 14, 20);
	f[24] = sum >> 8;
	f[25] = sum;
}

static void test_dhcp(void)
{
	struct net_user_conf conf = {.hostname = "guest"};
	struct guest g;
	uint8_t f[DISCOVER_BYTES];
	uint32_t offered;

	guest_up(&g, &conf);
	make_discover(f);
	g.port->send(g.port, f, sizeof(f));
	g_assert_true(guest_wait(&g, 1));
	g_assert_cmpint(g.len, >, 282);
	g_assert_cmpint(g.frame[42], ==, 2); /* reply */
	memcpy(&offered, g.frame + 42 + 16, 4);
	g_assert_cmphex(ntohl(offered), ==, 0x0a00020f);
	g_assert_cmpint(g.frame[42 + 240], ==, 53);
	g_assert_cmpint(g.frame[42 + 242], ==, 2); /* offer */
	guest_down(&g);
}

static void make_arp(uint8_t *f)
{
	static const uint8_t arp[42] = {255, 255, 255, 255, 255, 255, 0x52,
		0x54, 0, 0x12, 0x34, 0x56, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1, 0x52,
		0x54, 0, 0x12, 0x34, 0x56, 10, 0, 2, 15, 0, 0, 0, 0, 0, 0, 10,
		0, 2, 2};

	memcpy(f, arp, 42);
}

/* A frame that the card refuses waits until there is room. */
static void test_wait(void)
{
	struct net_user_conf conf = {0};
	struct guest g;
	uint8_t f[42];

	guest_up(&g, &conf);
	make_arp(f);
	g.refuse = 1;
	g.port->send(g.port, f, sizeof(f));
	g_assert_cmpint(g.got, ==, 0);
	/* Never more than the queue holds, whatever happens. */
	g.refuse = 5000;
	for (unsigned i = 0; i < 2000; i++)
		g.port->send(g.port, f, sizeof(f));
	g.refuse = 0;
	g.port->ready(g.port);
	g_assert_cmpint(g.got, >, 1);
	g_assert_cmpint(g.got, <=, 512);
	g_assert_cmpint(g.frame[21], ==, 2); /* ARP reply */
	guest_down(&g);
}

static int listen_any(uint16_t *port)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	g_assert_cmpint(bind(fd, (struct sockaddr *)&a, sizeof(a)), ==, 0);
	g_assert_cmpint(listen(fd, 1), ==, 0);
	getsockname(fd, (struct sockaddr *)&a, &len);
	*port = ntohs(a.sin_port);
	return fd;
}

static void test_port_in_use(void)
{
	struct net_forward f = {.guest_port = 80};
	struct net_user_conf conf = {.forwards = &f, .nforwards = 1};
	g_autoptr(GError) err = NULL;
	struct guest g = {.loop = g_main_context_new()};
	g_autofree char *want = NULL;
	int fd = listen_any(&f.host_port);

	want = g_strdup_printf("port %u is in use", f.host_port);
	g.port =
		net_user_new(g.loop, &conf, guest_lock, guest_unlock, &g, &err);
	g_assert_null(g.port);
	g_assert_error(err, G_FILE_ERROR, G_FILE_ERROR_EXIST);
	g_test_message("%s", err->message);
	g_assert_nonnull(strstr(err->message, want));
	g_assert_nonnull(strstr(err->message, "fix:"));
	close(fd);
	g_main_context_unref(g.loop);
}

/* A connection from the host reaches the guest as a TCP SYN. */
static void test_forward(void)
{
	struct net_forward f = {.guest_port = 80};
	struct net_user_conf conf = {.forwards = &f, .nforwards = 1};
	struct sockaddr_in a = {.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct guest g;
	uint8_t arp[42];
	int fd = listen_any(&f.host_port);

	close(fd);
	guest_up(&g, &conf);
	make_arp(arp);
	g.port->send(g.port, arp, sizeof(arp)); /* be known as 10.0.2.15 */
	g_assert_cmpint(g.got, ==, 1);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	a.sin_port = htons(f.host_port);
	connect(fd, (struct sockaddr *)&a, sizeof(a));
	g_assert_true(guest_wait(&g, 2));
	g_assert_cmpint(g.frame[23], ==, 6);	 /* TCP */
	g_assert_cmpint(g.frame[37], ==, 80);	 /* to port 80 */
	g_assert_cmpint(g.frame[47] & 2, ==, 2); /* SYN */
	close(fd);
	guest_down(&g);
}

/* A datagram to the host's port comes out at the guest's. */
static void test_forward_udp(void)
{
	struct net_forward f = {.udp = true, .guest_port = 53};
	struct net_user_conf conf = {.forwards = &f, .nforwards = 1};
	struct sockaddr_in a = {.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct guest g;
	uint8_t arp[42];
	int fd = listen_any(&f.host_port);

	guest_up(&g, &conf); /* a TCP port of the same number is no hindrance */
	close(fd);
	make_arp(arp);
	g.port->send(g.port, arp, sizeof(arp));
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	a.sin_port = htons(f.host_port);
	g_assert_cmpint(
		sendto(fd, "hello", 5, 0, (struct sockaddr *)&a, sizeof(a)), ==,
		5);
	g_assert_true(guest_wait(&g, 2));
	g_assert_cmpint(g.frame[23], ==, 17); /* UDP */
	g_assert_cmpint(g.frame[37], ==, 53); /* to port 53 */
	g_assert_cmpint(memcmp(g.frame + 42, "hello", 5), ==, 0);
	close(fd);
	guest_down(&g);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/net/user/dhcp", test_dhcp);
	g_test_add_func("/net/user/wait", test_wait);
	g_test_add_func("/net/user/port-in-use", test_port_in_use);
	g_test_add_func("/net/user/forward", test_forward);
	g_test_add_func("/net/user/forward-udp", test_forward_udp);
	return g_test_run();
}
