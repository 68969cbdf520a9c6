/*
 * luks_key.c - keys of LUKS: passphrases into keys, keys split over many
 * sectors so that they can be wiped (LUKS1 specification, 2.4), AES-XTS.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "block/bytes.h"
#include "block/image.h"
#include "block/luks_priv.h"

/* What a header may ask of us: some seconds, and what cryptsetup may use by
 * default. */
#define ITERATIONS_MAX 50000000u
#define MEMORY_MAX_KIB (1u << 20)
#define PASSES_MAX_KIB (16ull << 20)
#define LANES_MAX      16

void luks_init(void)
{
	static gsize done;

	if (!g_once_init_enter(&done))
		return;
	gcry_check_version(NULL);
	/* The kernel locks little memory for a user; keys are wiped. */
	gcry_control(GCRYCTL_DISABLE_SECMEM, 0);
	gcry_control(GCRYCTL_INITIALIZATION_FINISHED, 0);
	g_once_init_leave(&done, 1);
}

int luks_hash(const char *name)
{
	static const char *const known[] = {
		"sha1", "sha224", "sha256", "sha384", "sha512", "ripemd160"};

	for (unsigned i = 0; name && i < G_N_ELEMENTS(known); i++)
		if (!g_ascii_strcasecmp(name, known[i]))
			return gcry_md_map_name(known[i]);
	return 0;
}

int luks_random(void *buf, size_t len)
{
	return getrandom(buf, len, 0) == (ssize_t)len ? 0 : -EIO;
}

void luks_uuid(char text[40])
{
	uint8_t id[16];
	char *at = text;

	image_uuid(id);
	for (unsigned i = 0; i < 16; i++)
		at += g_snprintf(at, 4, "%s%02x",
			i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "",
			id[i]);
}

/* ---- derivation ---- */

static int argon(const struct luks_kdf *k, const struct luks_secret *secret,
	uint8_t *out, size_t out_len)
{
	const unsigned long param[4] = {
		out_len, k->iterations, k->memory_kib, k->lanes};
	gcry_kdf_hd_t h;
	gcry_error_t e;

	if (!k->iterations || k->memory_kib > MEMORY_MAX_KIB ||
		k->iterations > PASSES_MAX_KIB / MAX(k->memory_kib, 8) ||
		!k->lanes || k->lanes > LANES_MAX ||
		k->memory_kib < 8 * k->lanes)
		return -EINVAL;
	e = gcry_kdf_open(&h, GCRY_KDF_ARGON2, k->argon, param, 4, secret->data,
		secret->len, k->salt, k->salt_len, NULL, 0, NULL, 0);
	if (e)
		return gcry_err_code(e) == GPG_ERR_ENOMEM ? -ENOMEM : -EIO;
	e = gcry_kdf_compute(h, NULL);
	if (!e)
		e = gcry_kdf_final(h, out_len, out);
	gcry_kdf_close(h);
	return e ? -EIO : 0;
}

int luks_derive(const struct luks_kdf *k, const void *secret, size_t len,
	uint8_t *out, size_t out_len)
{
	const struct luks_secret s = {secret, len};

	luks_init();
	if (!k->hash)
		return argon(k, &s, out, out_len);
	if (!k->iterations || k->iterations > ITERATIONS_MAX || !k->salt_len)
		return -EINVAL;
	return gcry_kdf_derive(secret, len, GCRY_KDF_PBKDF2, k->hash, k->salt,
		       k->salt_len, k->iterations, out_len, out)
		       ? -EIO
		       : 0;
}

bool luks_digest_ok(const struct luks_kdf *k, const uint8_t *key,
	unsigned key_len, const uint8_t *digest, size_t len)
{
	uint8_t is[LUKS_DIGEST_MAX];

	return len && len <= sizeof(is) && k->hash &&
	       !luks_derive(k, key, key_len, is, len) &&
	       !memcmp(is, digest, len);
}

/* ---- the cipher ---- */

int luks_cipher_open(gcry_cipher_hd_t *h, const uint8_t *key, unsigned key_len)
{
	int algo = key_len == 64   ? GCRY_CIPHER_AES256
		   : key_len == 32 ? GCRY_CIPHER_AES128
				   : 0;

	luks_init();
	if (!algo || gcry_cipher_open(h, algo, GCRY_CIPHER_MODE_XTS, 0))
		return algo ? -ENOMEM : -EINVAL;
	/* It refuses keys of which both halves are the same. */
	if (!gcry_cipher_setkey(*h, key, key_len))
		return 0;
	gcry_cipher_close(*h);
	return -EINVAL;
}

int luks_xts(gcry_cipher_hd_t h, bool encrypt, uint8_t *buf, size_t len,
	uint64_t first, unsigned unit)
{
	gcry_error_t e = 0;

	for (size_t at = 0; at < len && !e; at += unit) {
		uint8_t iv[16] = {0};

		put_le64(iv, first + at / 512);
		e = gcry_cipher_setiv(h, iv, sizeof(iv));
		if (!e && encrypt)
			e = gcry_cipher_encrypt(h, buf + at, unit, NULL, 0);
		else if (!e)
			e = gcry_cipher_decrypt(h, buf + at, unit, NULL, 0);
	}
	return e ? -EIO : 0;
}

/* ---- split keys ---- */

static void diffuse(int hash, uint8_t *block, unsigned len)
{
	unsigned n = gcry_md_get_algo_dlen(hash);
	uint8_t in[4 + LUKS_KEY_MAX], out[LUKS_DIGEST_MAX];

	for (uint32_t i = 0; i * n < len; i++) {
		unsigned part = MIN(n, len - i * n);

		put_be32(in, i);
		memcpy(in + 4, block + i * n, part);
		gcry_md_hash_buffer(hash, out, in, 4 + part);
		memcpy(block + i * n, out, part);
	}
}

/* Of all stripes but the last: what the last is XORed with. */
static void gather(const struct luks_slot *s, const uint8_t *split,
	uint8_t d[LUKS_KEY_MAX])
{
	memset(d, 0, LUKS_KEY_MAX);
	for (unsigned i = 0; i + 1 < s->stripes; i++) {
		for (unsigned k = 0; k < s->key_len; k++)
			d[k] ^= split[i * s->key_len + k];
		diffuse(s->hash, d, s->key_len);
	}
}

static bool slot_ok(const struct blk *below, const struct luks_slot *s)
{
	uint64_t len = (uint64_t)s->key_len * s->stripes;

	return (s->key_len == 32 || s->key_len == 64) && s->stripes &&
	       s->stripes <= LUKS_STRIPES && s->hash && s->off <= below->size &&
	       len <= below->size - s->off;
}

/* Encrypt or decrypt what is in s's area, with the key of the secret. */
static int area_xts(const struct luks_slot *s, const struct luks_secret *secret,
	bool encrypt, uint8_t *buf, size_t len)
{
	uint8_t key[LUKS_KEY_MAX];
	gcry_cipher_hd_t h;
	int rc = s->area_key_len > sizeof(key) ? -EINVAL : 0;

	if (!rc)
		rc = luks_derive(&s->kdf, secret->data, secret->len, key,
			s->area_key_len);
	if (!rc)
		rc = luks_cipher_open(&h, key, s->area_key_len);
	if (!rc) {
		rc = luks_xts(h, encrypt, buf, len, 0, 512);
		gcry_cipher_close(h);
	}
	explicit_bzero(key, sizeof(key));
	return rc;
}

/* Whole sectors. */
static size_t area_len(const struct luks_slot *s)
{
	return ((size_t)s->key_len * s->stripes + 511) & ~511ul;
}

int luks_slot_open(struct blk *below, const struct luks_slot *s,
	const struct luks_secret *secret, uint8_t key[LUKS_KEY_MAX])
{
	size_t len = area_len(s);
	uint8_t *split;
	int rc;

	if (!slot_ok(below, s) || len > below->size - s->off)
		return -EINVAL;
	split = g_malloc(len);
	rc = blk_pread(below, split, len, s->off);
	if (!rc)
		rc = area_xts(s, secret, false, split, len);
	if (!rc) {
		gather(s, split, key);
		for (unsigned k = 0; k < s->key_len; k++)
			key[k] ^= split[(s->stripes - 1) * s->key_len + k];
	}
	explicit_bzero(split, len);
	g_free(split);
	return rc;
}

int luks_slot_write(struct blk *below, const struct luks_slot *s,
	const struct luks_secret *secret, const uint8_t *key)
{
	size_t len = area_len(s), last = (s->stripes - 1) * (size_t)s->key_len;
	uint8_t *split = g_malloc0(len), d[LUKS_KEY_MAX];
	int rc = 0;

	for (size_t at = 0; at < last && !rc; at += 256)
		rc = luks_random(split + at, MIN(256, last - at));
	gather(s, split, d);
	for (unsigned k = 0; k < s->key_len; k++)
		split[last + k] = d[k] ^ key[k];
	if (!rc)
		rc = area_xts(s, secret, true, split, len);
	if (!rc)
		rc = blk_pwrite(below, split, len, s->off);
	explicit_bzero(split, len);
	explicit_bzero(d, sizeof(d));
	g_free(split);
	return rc;
}

/* ---- secrets ---- */

uint8_t *luks_secret_read(int fd, size_t *len, GError **err)
{
	uint8_t *p = g_malloc(LUKS_SECRET_MAX + 1);
	ssize_t n = 0;

	*len = 0;
	while (*len <= LUKS_SECRET_MAX &&
		((n = pread(fd, p + *len, LUKS_SECRET_MAX + 1 - *len,
			  (off_t)*len)) > 0 ||
			(n < 0 && errno == EINTR)))
		*len += (size_t)MAX(n, 0);
	close(fd);
	if (n >= 0 && *len && *len <= LUKS_SECRET_MAX)
		return p;
	g_set_error(err, G_FILE_ERROR, G_FILE_ERROR_INVAL, "the key file %s",
		n < 0  ? "cannot be read"
		: *len ? "has more than 64 KiB"
		       : "is empty");
	luks_secret_free(p, *len);
	return NULL;
}

void luks_secret_free(uint8_t *secret, size_t len)
{
	if (secret)
		explicit_bzero(secret, len);
	g_free(secret);
}

/* ---- errors ---- */

bool luks_bad(GError **err, const char *what)
{
	return image_bad(err, "LUKS", what);
}

bool luks_unknown(GError **err, const char *what)
{
	return image_cannot(err, "LUKS", what);
}

bool luks_wrong_key(GError **err)
{
	g_set_error(err, G_FILE_ERROR, G_FILE_ERROR_ACCES,
		"the key does not open the disk\n"
		"  fix:  a key file counts with each of its bytes, a line end "
		"too: printf instead of echo");
	return false;
}

bool luks_errno(GError **err, int rc, const char *what)
{
	return image_errno(err, rc, "LUKS", what);
}
