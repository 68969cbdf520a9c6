/*
 * virtio_balloon.h - the memory balloon for who runs the machine.  All with
 * the lock held.
 */
#ifndef DEV_VIRTIO_VIRTIO_BALLOON_H
#define DEV_VIRTIO_VIRTIO_BALLOON_H

#include "dev/dev.h"

#define VIRTIO_BALLOON_PAGE  4096u
#define VIRTIO_BALLOON_NTAGS 16

/* What a guest may tell of its memory, by tag (5.5.6.4), and in what. */
struct virtio_balloon_tag {
	const char *name;
	bool bytes; /* else a number */
};

extern const struct virtio_balloon_tag
	virtio_balloon_tags[VIRTIO_BALLOON_NTAGS];

struct virtio_balloon_view {
	bool driver;	     /* one runs it */
	uint32_t want, have; /* pages in the balloon */
	uint64_t reported;   /* bytes that were free, ever */
	uint32_t told;	     /* bit by tag: what the guest has told */
	uint64_t value[VIRTIO_BALLOON_NTAGS];
	uint64_t at_ns; /* when, by bus_host_ns */
};

/* Before it is first reset: what it does not offer. */
void virtio_balloon_without(struct dev *d, bool oom, bool reporting);
/* How many pages shall be in it. */
void virtio_balloon_want(struct dev *d, uint32_t pages);
/* How things are; the guest is asked to tell anew. */
void virtio_balloon_look(struct dev *d, struct virtio_balloon_view *out);

#endif
