/*
 * luks_priv.h - what the files of luks.h share.
 */
#ifndef BLOCK_LUKS_PRIV_H
#define BLOCK_LUKS_PRIV_H

#include <gcrypt.h>

#include "block/luks.h"

#define LUKS_MAGIC	"LUKS\xba\xbe"
#define LUKS_MAGIC_LEN	6
#define LUKS_KEY_MAX	64 /* two keys of 256 bits: XTS has one for tweaks */
#define LUKS_STRIPES	4000
#define LUKS_SALT	32
#define LUKS_DIGEST_MAX 64
#define LUKS_CIPHER	"aes-xts-plain64"

/* What the header says of the disk, once a key has opened it. */
struct luks_volume {
	uint64_t payload; /* where it begins, bytes */
	uint64_t size;	  /* 0: up to the end */
	unsigned sector;  /* bytes that are encrypted at once */
	uint64_t tweak;	  /* number of the first sector (of 512 bytes) */
	uint8_t key[LUKS_KEY_MAX];
	unsigned key_len;
};

struct luks_secret {
	const void *data;
	size_t len;
};

/* How a passphrase becomes a key.  hash: of PBKDF2, else 0. */
struct luks_kdf {
	int hash;
	int argon; /* GCRY_KDF_ARGON2I, _ARGON2ID */
	uint64_t iterations;
	uint64_t memory_kib, lanes; /* of Argon2 */
	uint8_t salt[LUKS_DIGEST_MAX];
	size_t salt_len;
};

/* A place of a key. */
struct luks_slot {
	struct luks_kdf kdf;
	uint64_t off; /* of the key material, bytes */
	unsigned key_len, area_key_len;
	unsigned stripes;
	int hash; /* of the splitter */
};

/* ---- luks_key.c ---- */

void luks_init(void);
/* A digest that keys may be made with; 0: not known. */
int luks_hash(const char *name);
/* 0 or -errno: -EINVAL, it would take for ever or all memory. */
int luks_derive(const struct luks_kdf *k, const void *secret, size_t len,
	uint8_t *out, size_t out_len);
/* len bytes, whole sectors of `unit` bytes, the first with number `first` in
 * units of 512 bytes. */
int luks_xts(gcry_cipher_hd_t h, bool encrypt, uint8_t *buf, size_t len,
	uint64_t first, unsigned unit);
int luks_cipher_open(gcry_cipher_hd_t *h, const uint8_t *key, unsigned key_len);
/* The key in a slot, if the secret is right (key[] is right or wrong: digests
 * tell). */
int luks_slot_open(struct blk *below, const struct luks_slot *s,
	const struct luks_secret *secret, uint8_t key[LUKS_KEY_MAX]);
int luks_slot_write(struct blk *below, const struct luks_slot *s,
	const struct luks_secret *secret, const uint8_t *key);
/* The digest of a key: is it the right one? */
bool luks_digest_ok(const struct luks_kdf *k, const uint8_t *key,
	unsigned key_len, const uint8_t *digest, size_t len);
int luks_random(void *buf, size_t len);
void luks_uuid(char text[40]);

bool luks_bad(GError **err, const char *what);
bool luks_unknown(GError **err, const char *what);
bool luks_wrong_key(GError **err);
bool luks_errno(GError **err, int rc, const char *what);

/* ---- luks1.c, luks2.c ---- */

bool luks1_open(struct blk *below, const struct luks_secret *secret,
	struct luks_volume *v, GError **err);
bool luks2_open(struct blk *below, const struct luks_secret *secret,
	struct luks_volume *v, GError **err);
bool luks1_format(struct blk *below, const struct luks_new *how, GError **err);
bool luks2_format(struct blk *below, const struct luks_new *how, GError **err);

#define LUKS1_PAYLOAD (4096u * 512)
#define LUKS2_PAYLOAD (16u << 20)

#endif
