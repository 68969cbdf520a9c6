/*
 * luks.h - a disk that lies encrypted on another: LUKS1 and LUKS2, AES-XTS.
 *
 * A filter: what is beneath may be of any format.  Whoever states a key states
 * that there is LUKS; bytes are never looked at to find out.
 *
 * LUKS1 On-Disk Format Specification 1.2.3; LUKS2 On-Disk Format Specification
 * 1.1.1.  The cipher is the one that cryptsetup has as its default,
 * aes-xts-plain64, with 256 or 512 bits of key; keys by PBKDF2 or Argon2.
 */
#ifndef BLOCK_LUKS_H
#define BLOCK_LUKS_H

#include "block/blk.h"

#define LUKS_SECRET_MAX (64u << 10) /* bytes of a passphrase or key file */

enum luks_kind {
	LUKS_2, /* Argon2id: what guesses costs time and memory */
	LUKS_1, /* PBKDF2: older programs know it, QEMU too */
};

/* How much of the disk beneath the header and keys take. */
uint64_t luks_overhead(enum luks_kind kind);

/* secret: the passphrase, or what is in the key file, all of it. */
struct blk *luks_open(struct blk *below, const void *secret, size_t len,
	GError **err); /* below is consumed */
/* Writes a header with a new key, opened by secret.  What was there is lost.
 * cheap: nobody can guess the secret, for it is as random as a key. */
struct luks_new {
	enum luks_kind kind;
	bool cheap;
	const void *secret;
	size_t len;
};
bool luks_format(struct blk *below, const struct luks_new *how, GError **err);
/* "LUKS1", "LUKS2" or NULL: what a disk looks like, for people. */
const char *luks_probe(struct blk *below);
/* All of what fd has, up to LUKS_SECRET_MAX: into secret, wiped and freed by
 * luks_secret_free.  fd is closed. */
uint8_t *luks_secret_read(int fd, size_t *len, GError **err);
void luks_secret_free(uint8_t *secret, size_t len);

#endif
