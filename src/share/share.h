/*
 * share.h - a folder of the host as a file server that speaks 9P2000.L, the
 * dialect of Linux's client (v9fs).
 *
 * Messages come from a guest and may be anything.  Nothing outside of the
 * folder is reached, whatever names they have and whatever moves meanwhile:
 * one name at a time is looked up, below the folder, and symbolic links are
 * read, never followed.  What a guest can make us keep is bounded.
 *
 * Files appear to be those of one user of the guest, conf.uid and conf.gid, if
 * they are those of who runs us, and nobody's otherwise.
 *
 * Threads: requests may be served by several at once; everything else while
 * none is.
 */
#ifndef SHARE_SHARE_H
#define SHARE_SHARE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include <glib.h>

#define SHARE_MAX_TAG	  64	       /* bytes of what a guest mounts */
#define SHARE_MAX_MSIZE	  (512u << 10) /* of a message */
#define SHARE_MAX_REQUEST (8u << 10)   /* of one, without what it writes */
#define SHARE_MAX_REPLY	  (64u << 10)  /* of one, without what was read */
#define SHARE_MIN_MESSAGE 7	       /* size, type, tag */
#define SHARE_MIN_REPLY	  11	       /* an error, with its number */

struct share;

struct share_conf {
	const char *tag;
	int root;    /* O_PATH; taken over, also if it fails */
	int self_fd; /* /proc/self/fd, O_PATH; taken over */
	bool readonly;
	uint32_t uid, gid;
	unsigned max_open; /* descriptors; 0: a few thousand */
};

/* 0 or -errno. */
int share_new(const struct share_conf *conf, struct share **out);
void share_free(struct share *s);
/* As if just made: a client that starts anew. */
void share_reset(struct share *s);
const char *share_tag(const struct share *s);
bool share_readonly(const struct share *s);
/* Numbers for people. */
struct share_counts {
	unsigned fids, open;
	uint64_t read_bytes, written_bytes;
};
void share_count(struct share *s, struct share_counts *out);

struct share_request {
	/* The message: our own copy of its first len bytes, of which there are
	 * total.  At least SHARE_MIN_MESSAGE. */
	const uint8_t *msg;
	size_t len;
	uint64_t total;
	/* Where the reply goes, and how long it may be with what is read.  At
	 * least SHARE_MIN_REPLY. */
	uint8_t *reply;
	uint64_t room;
	/* Bytes [skip, skip + len) of the message (out) or of the reply, in
	 * place; false: they cannot be had. */
	bool (*map)(
		struct share_request *r, bool out, uint64_t skip, uint64_t len);
	struct iovec *iov; /* set by map */
	unsigned niov;
	/* The client gives up the request of that number: on return it has
	 * been answered, or never will be.  May be NULL. */
	void (*flush)(struct share_request *r, uint16_t tag);
	/* For who asked. */
	uint64_t data; /* bytes put behind the reply, by map(false) */
};

/* Serve it; the bytes of the reply, without r->data. */
size_t share_serve(struct share *s, struct share_request *r);

static inline uint16_t share_request_tag(const uint8_t *msg)
{
	return (uint16_t)(msg[5] | msg[6] << 8);
}

/* What a client has open, to be saved; by path, so that what was removed
 * cannot be had back. */
void share_save(struct share *s, GByteArray *out);
/* 0 or -EINVAL with a line in err.  apply: open all that again, after a reset;
 * files that are not there any more answer ESTALE from then on. */
int share_load(struct share *s, const uint8_t *p, size_t n, bool apply,
	char *err, unsigned errsize);
#define SHARE_MAX_STATE (64u << 20)

#endif
