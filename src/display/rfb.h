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
};

/* A thread of its own serves those who connect.  The display must outlive
 * it.  NULL: no memory. */
struct rfb *rfb_new(struct display *d, const struct rfb_conf *c);
void rfb_start(struct rfb *r);
/* Ends the thread; without the bus lock. */
void rfb_free(struct rfb *r);

#endif
