/*
 * luks1.c - headers of LUKS1 (specification 1.2.3, 2).
 */
#include <errno.h>
#include <string.h>

#include "block/bytes.h"
#include "block/luks_priv.h"

#define HEAD	   592
#define SLOTS	   8
#define SLOT	   208 /* the first */
#define SLOT_BYTES 48
#define ACTIVE	   0x00ac71f3u
#define DISABLED   0x0000deadu
#define DIGEST	   20

enum { /* where */
	H_VERSION = 6,
	H_CIPHER = 8,
	H_MODE = 40,
	H_HASH = 72,
	H_PAYLOAD = 104, /* sectors */
	H_KEY_BYTES = 108,
	H_DIGEST = 112,
	H_SALT = 132,
	H_ITERATIONS = 164,
	H_UUID = 168,
};

enum {
	S_ACTIVE = 0,
	S_ITERATIONS = 4,
	S_SALT = 8,
	S_OFFSET = 40,
	S_STRIPES = 44
};

/* Ours: iterations of a slot and of the digest, about a second. */
#define ITERATIONS	  1000000u
#define DIGEST_ITERATIONS 100000u
#define CHEAP		  1000u
#define SLOT_SECTORS	  504u /* 256,000 bytes in whole 4 KiB */
#define SLOT_FIRST	  8u

/* A text field, ended. */
static bool is_word(const uint8_t *field, const char *want)
{
	return !strncmp((const char *)field, want, 32);
}

static bool check(const uint8_t *h, const struct blk *below, GError **err)
{
	uint32_t len = get_be32(h + H_KEY_BYTES);

	if (!is_word(h + H_CIPHER, "aes") ||
		!is_word(h + H_MODE, "xts-plain64"))
		return luks_unknown(err, "a cipher other than " LUKS_CIPHER);
	if (len != 32 && len != 64)
		return luks_bad(err, "its key has a wrong length");
	if (!memchr(h + H_HASH, 0, 32) || !luks_hash((const char *)h + H_HASH))
		return luks_unknown(err, "a hash that is not known");
	if (!get_be32(h + H_PAYLOAD) ||
		get_be32(h + H_PAYLOAD) * 512ull >= below->size)
		return luks_bad(err, "the disk begins behind its end");
	return true;
}

static void digest_kdf(const uint8_t *h, struct luks_kdf *k)
{
	k->hash = luks_hash((const char *)h + H_HASH);
	k->iterations = get_be32(h + H_ITERATIONS);
	k->salt_len = LUKS_SALT;
	memcpy(k->salt, h + H_SALT, LUKS_SALT);
}

static void slot_of(const uint8_t *h, unsigned i, struct luks_slot *s)
{
	const uint8_t *p = h + SLOT + i * SLOT_BYTES;

	s->hash = s->kdf.hash = luks_hash((const char *)h + H_HASH);
	s->kdf.iterations = get_be32(p + S_ITERATIONS);
	s->kdf.salt_len = LUKS_SALT;
	memcpy(s->kdf.salt, p + S_SALT, LUKS_SALT);
	s->off = get_be32(p + S_OFFSET) * 512ull;
	s->stripes = get_be32(p + S_STRIPES);
	s->key_len = s->area_key_len = get_be32(h + H_KEY_BYTES);
}

bool luks1_open(struct blk *below, const struct luks_secret *secret,
	struct luks_volume *v, GError **err)
{
	struct luks_kdf digest = {0};
	uint8_t h[HEAD];
	int rc = blk_pread(below, h, sizeof(h), 0);

	if (rc)
		return luks_errno(err, rc, "header");
	if (!check(h, below, err))
		return false;
	digest_kdf(h, &digest);
	v->key_len = get_be32(h + H_KEY_BYTES);
	v->payload = get_be32(h + H_PAYLOAD) * 512ull;
	v->sector = 512;
	for (unsigned i = 0; i < SLOTS; i++) {
		struct luks_slot s = {0};

		slot_of(h, i, &s);
		if (get_be32(h + SLOT + i * SLOT_BYTES + S_ACTIVE) != ACTIVE)
			continue;
		rc = luks_slot_open(below, &s, secret, v->key);
		if (!rc && luks_digest_ok(&digest, v->key, v->key_len,
				   h + H_DIGEST, DIGEST))
			return true;
		if (rc == -EINVAL)
			return luks_bad(err, "a key slot is out of bounds");
		if (rc)
			return luks_errno(err, rc, "key");
	}
	return luks_wrong_key(err);
}

/* ---- a new one ---- */

static int fill(uint8_t *h, const uint8_t *key, bool cheap)
{
	struct luks_kdf k = {0};
	int rc = luks_random(h + H_SALT, LUKS_SALT);

	memcpy(h, LUKS_MAGIC, LUKS_MAGIC_LEN);
	put_be16(h + H_VERSION, 1);
	memcpy(h + H_CIPHER, "aes", 3);
	memcpy(h + H_MODE, "xts-plain64", 11);
	memcpy(h + H_HASH, "sha256", 6);
	put_be32(h + H_PAYLOAD, LUKS1_PAYLOAD / 512);
	put_be32(h + H_KEY_BYTES, LUKS_KEY_MAX);
	put_be32(h + H_ITERATIONS, cheap ? CHEAP : DIGEST_ITERATIONS);
	luks_uuid((char *)h + H_UUID);
	for (unsigned i = 0; i < SLOTS; i++) {
		uint8_t *p = h + SLOT + i * SLOT_BYTES;

		put_be32(p + S_ACTIVE, i ? DISABLED : ACTIVE);
		put_be32(p + S_OFFSET, SLOT_FIRST + i * SLOT_SECTORS);
		put_be32(p + S_STRIPES, LUKS_STRIPES);
	}
	put_be32(h + SLOT + S_ITERATIONS, cheap ? CHEAP : ITERATIONS);
	if (!rc)
		rc = luks_random(h + SLOT + S_SALT, LUKS_SALT);
	digest_kdf(h, &k);
	if (!rc)
		rc = luks_derive(&k, key, LUKS_KEY_MAX, h + H_DIGEST, DIGEST);
	return rc;
}

bool luks1_format(struct blk *below, const struct luks_new *how, GError **err)
{
	const struct luks_secret secret = {how->secret, how->len};
	uint8_t h[4096] = {0}, key[LUKS_KEY_MAX];
	struct luks_slot s = {0};
	int rc = luks_random(key, sizeof(key));

	if (!rc)
		rc = fill(h, key, how->cheap);
	slot_of(h, 0, &s);
	if (!rc)
		rc = luks_slot_write(below, &s, &secret, key);
	if (!rc)
		rc = blk_pwrite(below, h, sizeof(h), 0);
	explicit_bzero(key, sizeof(key));
	return !rc || luks_errno(err, rc, "header");
}
