/*
 * source.h - libslirp's descriptors and timers as a source of a main loop.
 */
#ifndef NET_SOURCE_H
#define NET_SOURCE_H

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>
#include <libslirp.h>

struct net_source;

/* Attached to loop; lock and unlock bracket every call into libslirp. */
struct net_source *net_source_new(GMainContext *loop, void (*lock)(void *),
	void (*unlock)(void *), void *lock_opaque);
/* From now on; the stack must outlive the source. */
void net_source_set_slirp(struct net_source *s, Slirp *slirp);
/* Called, locked, whenever libslirp has done what it had to. */
void net_source_on_idle(
	struct net_source *s, void (*idle)(void *), void *opaque);
void net_source_free(struct net_source *s);

/* The descriptors or timers may have changed: look again before sleeping on.
 * Cheap; any thread, lock held. */
void net_source_wake(struct net_source *s);

/* Descriptor fd is new, or about to be closed.  Lock held. */
void net_source_forget(struct net_source *s, int fd);

/* One-shot timers in milliseconds of the monotonic clock.  Lock held. */
struct net_timer;
struct net_timer *net_timer_new(
	struct net_source *s, SlirpTimerId id, void *cb_opaque);
void net_timer_mod(struct net_timer *t, int64_t expire_ms);
void net_timer_free(struct net_timer *t);

#endif
