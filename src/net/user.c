/*
 * user.c - user-mode NAT: the guest's frames end in libslirp, which opens
 * ordinary sockets of this process.  Needs no rights.
 *
 * Frames that the card has no room for wait in a bounded queue; beyond it they
 * are lost, as on any cable, and TCP sends them again.
 *
 * Threads: libslirp is not re-entrant; the caller's lock covers it all.
 */
#include "net/net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "net/merge.h"
#include "net/source.h"

#define NET_USER_MAX_FRAMES 512
#define NET_USER_MAX_BYTES  (4u << 20)

#define NET_USER_NET  0x0a000200 /* 10.0.2.0 */
#define NET_USER_MASK 0xffffff00
#define NET_USER_HOST (NET_USER_NET | 2)
#define NET_USER_DNS  (NET_USER_NET | 3)
#define NET_USER_DHCP (NET_USER_NET | 15)

struct net_user {
	struct net_port port;
	struct net_source *source;
	Slirp *slirp;
	GQueue frames; /* of struct net_frame, waiting for the card */
	size_t frame_bytes;
	struct net_merge merge; /* what libslirp sends at one go */
	char *tftp_root, *bootfile, *hostname;
	uint8_t known[10]; /* address and MAC of who sent last */
};

/* A frame waiting for the card. */
struct net_frame {
	size_t len;
	uint16_t mss; /* of a large TCP segment, or 0 */
	uint8_t data[];
};

static bool net_user_offer(
	struct net_user *u, const uint8_t *data, size_t len, uint16_t mss)
{
	struct net_port *p = &u->port;

	if (!p->receive || (mss && !p->receive_tcp))
		return true; /* the card went away meanwhile */
	return mss ? p->receive_tcp(p->opaque, data, len, mss)
		   : p->receive(p->opaque, data, len);
}

static void net_user_deliver(
	struct net_user *u, const uint8_t *data, size_t len, uint16_t mss)
{
	struct net_frame *f;

	if (g_queue_is_empty(&u->frames) && net_user_offer(u, data, len, mss))
		return;
	if (u->frames.length >= NET_USER_MAX_FRAMES ||
		u->frame_bytes + len > NET_USER_MAX_BYTES)
		return;
	f = g_malloc(sizeof(*f) + len);
	f->len = len;
	f->mss = mss;
	memcpy(f->data, data, len);
	g_queue_push_tail(&u->frames, f);
	u->frame_bytes += len;
}

/* Hand over the segments gathered so far. */
static void net_user_flush(void *opaque)
{
	struct net_user *u = opaque;
	struct net_merge *m = &u->merge;

	if (!m->len)
		return;
	net_merge_finish(m);
	net_user_deliver(u, m->frame, m->len, m->segments > 1 ? m->mss : 0);
	m->len = 0;
}

static ssize_t net_user_send_packet(const void *buf, size_t len, void *opaque)
{
	struct net_user *u = opaque;

	if (u->port.receive_tcp) {
		if (net_merge_add(&u->merge, buf, len))
			return len;
		net_user_flush(u);
		if (net_merge_add(&u->merge, buf, len))
			return len;
	}
	net_user_deliver(u, buf, len, 0);
	return len;
}

static void net_user_guest_error(const char *msg, void *opaque)
{
}

static int64_t net_user_clock_ns(void *opaque)
{
	return g_get_monotonic_time() * 1000;
}

static void *net_user_timer_new(SlirpTimerId id, void *cb_opaque, void *opaque)
{
	struct net_user *u = opaque;

	return net_timer_new(u->source, id, cb_opaque);
}

static void net_user_timer_free(void *timer, void *opaque)
{
	net_timer_free(timer);
}

static void net_user_timer_mod(void *timer, int64_t expire_ms, void *opaque)
{
	net_timer_mod(timer, expire_ms);
}

static void net_user_poll_fd(int fd, void *opaque)
{
	struct net_user *u = opaque;

	net_source_forget(u->source, fd);
	net_source_wake(u->source);
}

static void net_user_notify(void *opaque)
{
	struct net_user *u = opaque;

	net_source_wake(u->source);
}

static const SlirpCb net_user_callbacks = {
	.send_packet = net_user_send_packet,
	.guest_error = net_user_guest_error,
	.clock_get_ns = net_user_clock_ns,
	.timer_new_opaque = net_user_timer_new,
	.timer_free = net_user_timer_free,
	.timer_mod = net_user_timer_mod,
	.register_poll_fd = net_user_poll_fd,
	.unregister_poll_fd = net_user_poll_fd,
	.notify = net_user_notify,
};

/*
 * libslirp learns by ARP and DHCP who has which address, and looks for others
 * when it answers them, which takes long.  A guest that goes on from a saved
 * state, or that was told its neighbours, sends neither: say it for it.
 */
static void net_user_introduce(struct net_user *u, const uint8_t *frame)
{
	static const uint8_t head[] = {0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 2};
	const uint8_t *mac = frame + 6, *ip = frame + 26;
	uint8_t arp[60] = {0};
	uint32_t addr;

	memcpy(&addr, ip, 4);
	if ((ntohl(addr) & NET_USER_MASK) != NET_USER_NET ||
		(!memcmp(u->known, ip, 4) && !memcmp(u->known + 4, mac, 6)))
		return;
	memcpy(u->known, ip, 4);
	memcpy(u->known + 4, mac, 6);
	memset(arp, 0xff, 6);
	memcpy(arp + 6, mac, 6);
	memcpy(arp + 12, head, sizeof(head));
	memcpy(arp + 22, mac, 6);
	memcpy(arp + 28, ip, 4);
	memset(arp + 32, 0xff, 6);
	memcpy(arp + 38, ip, 4);
	slirp_input(u->slirp, arp, sizeof(arp));
}

static void net_user_send(struct net_port *p, const uint8_t *frame, size_t len)
{
	struct net_user *u = (struct net_user *)p;

	if (len > NET_MAX_FRAME)
		return;
	if (len >= 34 && frame[12] == 8 && !frame[13])
		net_user_introduce(u, frame);
	slirp_input(u->slirp, frame, len);
	net_user_flush(u);
	net_source_wake(u->source);
}

static void net_user_ready(struct net_port *p)
{
	struct net_user *u = (struct net_user *)p;
	struct net_frame *f;

	while ((f = g_queue_peek_head(&u->frames)) != NULL) {
		if (!net_user_offer(u, f->data, f->len, f->mss))
			return;
		g_queue_pop_head(&u->frames);
		u->frame_bytes -= f->len;
		g_free(f);
	}
}

static void net_user_free(struct net_port *p)
{
	struct net_user *u = (struct net_user *)p;

	p->receive = NULL;
	p->receive_tcp = NULL;
	net_source_set_slirp(u->source, NULL);
	if (u->slirp)
		slirp_cleanup(u->slirp);
	net_source_free(u->source);
	g_queue_clear_full(&u->frames, g_free);
	g_free(u->tftp_root);
	g_free(u->bootfile);
	g_free(u->hostname);
	g_free(u);
}

static void net_user_forward_error(
	const struct net_forward *f, int e, GError **err)
{
	struct in_addr a = {
		f->host_addr ? f->host_addr : htonl(INADDR_LOOPBACK)};
	g_autofree char *addr = g_strdup(inet_ntoa(a));
	const char *proto = f->udp ? "udp" : "tcp";

	if (e == EADDRINUSE)
		g_set_error(err, G_FILE_ERROR, G_FILE_ERROR_EXIST,
			"port %u is in use on %s\n"
			"  why:  another program listens on %s port %u\n"
			"  fix:  stop it (ss -lnp shows it), or forward "
			"another port: forward=%s:%u:%u",
			f->host_port, addr, proto, f->host_port, proto,
			f->host_port < 50000 ? f->host_port + 10000 : 8081,
			f->guest_port);
	else if (e == EACCES || e == EPERM)
		g_set_error(err, G_FILE_ERROR, G_FILE_ERROR_ACCES,
			"port %u may not be opened\n"
			"  why:  ports below 1024 are for the administrator\n"
			"  fix:  forward a higher port: forward=%s:%u:%u",
			f->host_port, proto, f->host_port + 8000u,
			f->guest_port);
	else if (e == EADDRNOTAVAIL)
		g_set_error(err, G_FILE_ERROR, G_FILE_ERROR_INVAL,
			"cannot listen on %s port %u\n"
			"  why:  this host has no address %s\n"
			"  fix:  leave the address out, or use one that "
			"`ip addr` shows",
			addr, f->host_port, addr);
	else
		g_set_error(err, G_FILE_ERROR, g_file_error_from_errno(e),
			"cannot forward %s port %u: %s", proto, f->host_port,
			g_strerror(e));
}

static bool net_user_forward(
	struct net_user *u, const struct net_forward *f, GError **err)
{
	struct in_addr host = {
		f->host_addr ? f->host_addr : htonl(INADDR_LOOPBACK)};
	struct in_addr guest = {htonl(NET_USER_DHCP)};

	errno = 0;
	if (slirp_add_hostfwd(u->slirp, f->udp, host, f->host_port, guest,
		    f->guest_port) == 0)
		return true;
	net_user_forward_error(f, errno ? errno : EIO, err);
	return false;
}

static void net_user_config(const struct net_user *u, SlirpConfig *c)
{
	*c = (SlirpConfig){
		.version = 4,
		.in_enabled = true,
		.vnetwork.s_addr = htonl(NET_USER_NET),
		.vnetmask.s_addr = htonl(NET_USER_MASK),
		.vhost.s_addr = htonl(NET_USER_HOST),
		.vdhcp_start.s_addr = htonl(NET_USER_DHCP),
		.vnameserver.s_addr = htonl(NET_USER_DNS),
		.in6_enabled = true,
		.vprefix_len = 64,
		.vhostname = u->hostname,
		.tftp_path = u->tftp_root,
		.bootfile = u->bootfile,
	};
	inet_pton(AF_INET6, "fec0::", &c->vprefix_addr6);
	inet_pton(AF_INET6, "fec0::2", &c->vhost6);
	inet_pton(AF_INET6, "fec0::3", &c->vnameserver6);
}

struct net_port *net_user_new(GMainContext *loop,
	const struct net_user_conf *conf, void (*lock)(void *),
	void (*unlock)(void *), void *lock_opaque, GError **err)
{
	struct net_user *u = g_new0(struct net_user, 1);
	SlirpConfig c;
	bool ok = true;

	u->port.send = net_user_send;
	u->port.ready = net_user_ready;
	u->port.free = net_user_free;
	u->port.large_send = true;
	u->port.checksums_good = true;
	u->port.large_receive = true;
	u->tftp_root = g_strdup(conf->tftp_root);
	u->bootfile = g_strdup(conf->bootfile);
	u->hostname = g_strdup(conf->hostname);
	u->source = net_source_new(loop, lock, unlock, lock_opaque);
	net_source_on_idle(u->source, net_user_flush, u);
	net_user_config(u, &c);
	lock(lock_opaque);
	u->slirp = slirp_new(&c, &net_user_callbacks, u);
	if (!u->slirp)
		g_set_error(err, G_FILE_ERROR, G_FILE_ERROR_FAILED,
			"libslirp cannot start the user network");
	for (unsigned i = 0; u->slirp && ok && i < conf->nforwards; i++)
		ok = net_user_forward(u, &conf->forwards[i], err);
	if (u->slirp && ok) {
		net_source_set_slirp(u->source, u->slirp);
	} else {
		net_user_free(&u->port);
		u = NULL;
	}
	unlock(lock_opaque);
	return u ? &u->port : NULL;
}
