/*
 * net.h - guest network: a cable between one network card and one back end.
 */
#ifndef NET_NET_H
#define NET_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <glib.h>

/* Both ends hand whole Ethernet frames (without FCS) across.  Control loop or
 * vCPU thread, bus lock held. */
struct net_port {
	/* Device -> back end. */
	void (*send)(struct net_port *p, const uint8_t *frame, size_t len);
	/* Back end -> device; set by the device.  false: no room, the back end
	 * keeps the frame (bounded) until ready(). */
	bool (*receive)(void *opaque, const uint8_t *frame, size_t len);
	void *opaque; /* the device's */
	/* The device has room again. */
	void (*ready)(struct net_port *p);
	void (*free)(struct net_port *p); /* lock held */
	/* send takes TCP/IPv4 segments of any size up to NET_MAX_FRAME, not
	 * only of the link's MTU: a card may leave large ones uncut. */
	bool large_send;
	/* What is received has correct checksums: it was made, not carried. */
	bool checksums_good;
	/* TCP/IPv4 segments of one flow may come as one large one: the back
	 * end can (large_receive), and the device takes them while this is
	 * set.  mss: of the segments it was made of.  The TCP checksum field
	 * holds the pseudo header's sum only. */
	bool large_receive;
	bool (*receive_tcp)(
		void *opaque, const uint8_t *frame, size_t len, uint16_t mss);
};

#define NET_MAX_FRAME 65550

/* A forwarded port: host address and port -> guest port. */
struct net_forward {
	bool udp;
	uint32_t host_addr; /* network order; 0 = 127.0.0.1 */
	uint16_t host_port, guest_port;
};

struct net_user_conf {
	const struct net_forward *forwards;
	unsigned nforwards;
	const char *tftp_root, *bootfile, *hostname; /* or NULL */
};

/*
 * User-mode NAT (libslirp): 10.0.2.0/24, host 10.0.2.2, DNS 10.0.2.3, DHCP
 * from 10.0.2.15, IPv6 fec0::/64.  Runs on loop; lock and unlock bracket every
 * call into the device.  *err says which forward failed and why.
 */
struct net_port *net_user_new(GMainContext *loop,
	const struct net_user_conf *conf, void (*lock)(void *),
	void (*unlock)(void *), void *lock_opaque, GError **err);

#endif
