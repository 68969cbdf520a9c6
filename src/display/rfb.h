/*
 * rfb.h - a remote screen: RFB 3.8 (RFC 6143) by libvncserver.
 */
#ifndef DISPLAY_RFB_H
#define DISPLAY_RFB_H

#include "display/display.h"

struct rfb;

struct rfb_conf {
	int listen_fd;	      /* a listening socket; stays the caller's */
	const char *name;     /* what clients call their window */
	const char *password; /* of eight characters at most, or NULL */
	/* Viewers by TLS alone.  PEM texts; NULL: made for this run. */
	bool tls;
	const char *tls_cert, *tls_key;
};

/*
 * A module of its own, vmeste-rfb.so beside the program: most machines do
 * without the libraries that it needs.
 */
struct rfb_ops {
	/* A thread of its own serves those who connect.  The display must
	 * outlive it.  NULL: *why, to be freed. */
	struct rfb *(*new)(
		struct display *d, const struct rfb_conf *c, char **why);
	/* SHA-256 of the certificate in hexadecimal; NULL: without TLS. */
	const char *(*fingerprint)(const struct rfb *r);
	void (*start)(struct rfb *r);
	/* Ends the thread; without the bus lock. */
	void (*free)(struct rfb *r);
};

/* While files can be opened.  NULL: *why, to be freed. */
const struct rfb_ops *rfb_load(char **why);

/* What the module exports. */
extern const struct rfb_ops vmeste_rfb_ops;

#endif
