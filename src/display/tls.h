/*
 * tls.h - TLS before a remote screen: VeNCrypt (community rfbproto, "VeNCrypt")
 * and WebSockets over TLS.
 *
 * What the library speaks goes through a socket pair; at its other end a thread
 * for each viewer encrypts.  Plain viewers are not let in.
 */
#ifndef DISPLAY_TLS_H
#define DISPLAY_TLS_H

#include <stdbool.h>
#include <stddef.h>

struct tls;

/*
 * PEM texts of certificate and key; NULL: made now, for this run.  password:
 * viewers are asked for one, by the library.  ready() gets a socket on which
 * the library is to serve the next viewer; in the viewer's thread.  NULL:
 * *why, to be freed.
 */
struct tls *tls_new(const char *cert, const char *key, bool password,
	void (*ready)(void *opaque, int fd), void *opaque, char **why);
/* Cuts off all. */
void tls_free(struct tls *t);

/* Serve this viewer; takes the socket.  One thread calls this and tls_free. */
void tls_add(struct tls *t, int conn);

/* SHA-256 of the certificate in hexadecimal, by which a viewer may know it. */
const char *tls_fingerprint(const struct tls *t);

#endif
