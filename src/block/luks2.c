/*
 * luks2.c - headers of LUKS2 (specification 1.1.1): 4 KiB of binary, then JSON;
 * twice, the copy behind the first.
 */
#include <errno.h>
#include <json-glib/json-glib.h>
#include <string.h>

#include "block/bytes.h"
#include "block/luks_priv.h"

#define BINARY	  4096u
#define SIZE_MIN  (16u << 10)
#define SIZE_MAX_ (4u << 20)
#define DEPTH	  12 /* of JSON; a good header has 5 */
#define SLOTS	  32

enum { /* where */
	H_VERSION = 6,
	H_SIZE = 8,
	H_SEQUENCE = 16,
	H_SUM_NAME = 72,
	H_SALT = 104,
	H_UUID = 168,
	H_OFFSET = 256,
	H_SUM = 448,
};
#define SUM_ROOM  64
#define SALT_ROOM 64
#define SUM	  32 /* SHA-256 */

/* Ours.  RFC 9106 has 64 MiB and 3 passes as what suits everywhere. */
#define ARGON_KIB	  (128u << 10)
#define ARGON_PASSES	  4
#define ARGON_LANES	  4
#define DIGEST_ITERATIONS 100000u
#define SLOT_OFFSET	  (2 * SIZE_MIN)
#define SLOT_AREA	  258048u /* 64 * 4000 in whole 4 KiB */

/* ---- the header's bytes ---- */

/* Over all of it, with the sum's own field zero. */
static void header_sum(uint8_t *h, size_t len, uint8_t out[SUM])
{
	luks_init();
	memset(h + H_SUM, 0, SUM_ROOM);
	gcry_md_hash_buffer(GCRY_MD_SHA256, out, h, len);
}

/* The header at off, or NULL: there is no whole one. */
static uint8_t *read_at(struct blk *below, uint64_t off, const char *magic)
{
	uint8_t b[BINARY], is[SUM], want[SUM];
	uint64_t size;
	uint8_t *h;

	if (below->size < off + BINARY || blk_pread(below, b, BINARY, off))
		return NULL;
	size = get_be64(b + H_SIZE);
	if (memcmp(b, magic, LUKS_MAGIC_LEN) != 0 ||
		get_be16(b + H_VERSION) != 2 || size < SIZE_MIN ||
		size > SIZE_MAX_ || size & (size - 1) ||
		get_be64(b + H_OFFSET) != off || below->size < off + size ||
		strncmp((char *)b + H_SUM_NAME, "sha256", 32) != 0)
		return NULL;
	h = g_malloc(size + 1);
	h[size] = '\0';
	if (!blk_pread(below, h, size, off)) {
		memcpy(want, h + H_SUM, SUM);
		header_sum(h, size, is);
		if (!memcmp(is, want, SUM))
			return h;
	}
	g_free(h);
	return NULL;
}

static uint8_t *read_header(struct blk *below)
{
	uint8_t *h = read_at(below, 0, LUKS_MAGIC), *second = NULL;

	if (h)
		return h;
	for (uint64_t at = SIZE_MIN; at <= SIZE_MAX_ && !second; at *= 2)
		second = read_at(below, at, "SKUL\xba\xbe");
	return second;
}

/* ---- JSON ---- */

/* The parser goes down by calling itself. */
static bool is_shallow(const char *p)
{
	bool text = false;
	int depth = 0;

	for (; *p && depth <= DEPTH; p++) {
		if (text && *p == '\\' && p[1])
			p++;
		else if (*p == '"')
			text = !text;
		else if (!text && (*p == '{' || *p == '['))
			depth++;
		else if (!text && (*p == '}' || *p == ']'))
			depth--;
	}
	return depth <= DEPTH;
}

static JsonObject *object_in(JsonObject *o, const char *key)
{
	JsonNode *n = o ? json_object_get_member(o, key) : NULL;

	return n && JSON_NODE_HOLDS_OBJECT(n) ? json_node_get_object(n) : NULL;
}

static const char *text_in(JsonObject *o, const char *key)
{
	JsonNode *n = o ? json_object_get_member(o, key) : NULL;

	return n && JSON_NODE_HOLDS_VALUE(n) &&
			       json_node_get_value_type(n) == G_TYPE_STRING
		       ? json_node_get_string(n)
		       : "";
}

/* A number, or a text of one, as those have it that may be large.  -1: none. */
static gint64 number_in(JsonObject *o, const char *key)
{
	JsonNode *n = o ? json_object_get_member(o, key) : NULL;
	guint64 v;

	if (n && JSON_NODE_HOLDS_VALUE(n) &&
		json_node_get_value_type(n) == G_TYPE_INT64)
		return json_node_get_int(n);
	return g_ascii_string_to_unsigned(
		       text_in(o, key), 10, 0, INT64_MAX, &v, NULL)
		       ? (gint64)v
		       : -1;
}

/* Base64 of at most `room` bytes; their number, 0: none. */
static size_t bytes_in(
	JsonObject *o, const char *key, uint8_t *out, size_t room)
{
	gsize len = 0;
	g_autofree uint8_t *p = g_base64_decode(text_in(o, key), &len);

	if (len > room)
		return 0;
	memcpy(out, p, len);
	return len;
}

static bool lists(JsonObject *o, const char *key, const char *what)
{
	JsonNode *n = o ? json_object_get_member(o, key) : NULL;
	JsonArray *a =
		n && JSON_NODE_HOLDS_ARRAY(n) ? json_node_get_array(n) : NULL;

	for (guint i = 0; a && i < json_array_get_length(a); i++) {
		JsonNode *e = json_array_get_element(a, i);

		if (JSON_NODE_HOLDS_VALUE(e) &&
			!g_strcmp0(json_node_get_string(e), what))
			return true;
	}
	return false;
}

/* ---- what it says ---- */

static void read_kdf(JsonObject *o, struct luks_kdf *k)
{
	const char *type = text_in(o, "type");

	if (!strcmp(type, "pbkdf2")) {
		k->hash = luks_hash(text_in(o, "hash"));
		k->iterations = (uint64_t)number_in(o, "iterations");
	} else {
		k->argon = !strcmp(type, "argon2i") ? GCRY_KDF_ARGON2I
						    : GCRY_KDF_ARGON2ID;
		k->iterations = (uint64_t)number_in(o, "time");
		k->memory_kib = (uint64_t)number_in(o, "memory");
		k->lanes = (uint64_t)number_in(o, "cpus");
	}
	k->salt_len = bytes_in(o, "salt", k->salt, sizeof(k->salt));
}

/* False: not one that can be used here. */
static bool read_slot(JsonObject *o, struct luks_slot *s)
{
	JsonObject *area = object_in(o, "area"), *af = object_in(o, "af");
	const char *type = text_in(object_in(o, "kdf"), "type");
	gint64 key = number_in(o, "key_size"), stripes, off, area_key;

	stripes = number_in(af, "stripes");
	off = number_in(area, "offset");
	area_key = number_in(area, "key_size");
	if (strcmp(text_in(o, "type"), "luks2") != 0 ||
		strcmp(text_in(area, "encryption"), LUKS_CIPHER) != 0 ||
		(strcmp(type, "pbkdf2") != 0 && strcmp(type, "argon2i") != 0 &&
			strcmp(type, "argon2id") != 0) ||
		key < 1 || key > LUKS_KEY_MAX || stripes < 1 ||
		stripes > LUKS_STRIPES || off < 0 || area_key < 1 ||
		area_key > LUKS_KEY_MAX)
		return false;
	s->key_len = (unsigned)key;
	s->area_key_len = (unsigned)area_key;
	s->stripes = (unsigned)stripes;
	s->off = (uint64_t)off;
	s->hash = luks_hash(text_in(af, "hash"));
	read_kdf(object_in(o, "kdf"), &s->kdf);
	return s->kdf.salt_len != 0;
}

/* The disk itself: one segment. */
static bool read_segment(JsonObject *all, const struct blk *below,
	struct luks_volume *v, GError **err)
{
	JsonObject *o = object_in(all, "0");
	gint64 off = number_in(o, "offset"), size = number_in(o, "size");
	gint64 sector = number_in(o, "sector_size");
	gint64 tweak = number_in(o, "iv_tweak");

	if (!o || json_object_get_size(all) != 1 ||
		strcmp(text_in(o, "type"), "crypt") != 0)
		return luks_unknown(err, "several segments, or other ones");
	if (json_object_has_member(o, "integrity"))
		return luks_unknown(err, "integrity tags");
	if (strcmp(text_in(o, "encryption"), LUKS_CIPHER) != 0)
		return luks_unknown(err, "a cipher other than " LUKS_CIPHER);
	if (!strcmp(text_in(o, "size"), "dynamic"))
		size = 0;
	if (off < 512 || off % 512 || (uint64_t)off >= below->size ||
		size < 0 || size % 512 ||
		(uint64_t)size > below->size - (uint64_t)off || tweak < 0 ||
		sector < 512 || sector > 4096 || sector & (sector - 1))
		return luks_bad(err, "its segment is out of bounds");
	v->payload = (uint64_t)off;
	v->size = (uint64_t)size;
	v->sector = (unsigned)sector;
	v->tweak = (uint64_t)tweak;
	return true;
}

/* The digest that tells whether a key is the segment's, or NULL. */
static JsonObject *find_digest(JsonObject *root)
{
	JsonObject *all = object_in(root, "digests");
	GList *keys = all ? json_object_get_members(all) : NULL;
	JsonObject *found = NULL;

	for (GList *k = keys; k && !found; k = k->next) {
		JsonObject *d = object_in(all, k->data);

		if (lists(d, "segments", "0") &&
			!strcmp(text_in(d, "type"), "pbkdf2"))
			found = d;
	}
	g_list_free(keys);
	return found;
}

struct attempt {
	struct blk *below;
	const struct luks_secret *secret;
	struct luks_volume *v;
	struct luks_kdf kdf; /* of the digest */
	uint8_t digest[LUKS_DIGEST_MAX];
	size_t digest_len;
	int rc;
};

static bool try_slot(struct attempt *a, JsonObject *o)
{
	struct luks_slot s = {0};
	int rc;

	if (!read_slot(o, &s))
		return false;
	rc = luks_slot_open(a->below, &s, a->secret, a->v->key);
	a->v->key_len = s.key_len;
	if (!rc)
		return luks_digest_ok(&a->kdf, a->v->key, s.key_len, a->digest,
			a->digest_len);
	a->rc = rc;
	return false;
}

static bool try_slots(struct attempt *a, JsonObject *root, GError **err)
{
	JsonObject *slots = object_in(root, "keyslots");
	JsonObject *digest = find_digest(root);

	read_kdf(digest, &a->kdf);
	a->digest_len = bytes_in(digest, "digest", a->digest, LUKS_DIGEST_MAX);
	for (unsigned i = 0; digest && i < SLOTS; i++) {
		g_autofree char *name = g_strdup_printf("%u", i);
		JsonObject *o = object_in(slots, name);

		if (o && lists(digest, "keyslots", name) && try_slot(a, o))
			return true;
	}
	if (!a->rc)
		return luks_wrong_key(err);
	if (a->rc == -EINVAL)
		return luks_bad(err, "a key slot is out of bounds");
	return luks_errno(err, a->rc, "key");
}

/* What must be understood: an interrupted re-encryption, for example. */
static bool has_requirements(JsonObject *root)
{
	JsonObject *o = object_in(object_in(root, "config"), "requirements");
	JsonNode *n = o ? json_object_get_member(o, "mandatory") : NULL;

	return n && (!JSON_NODE_HOLDS_ARRAY(n) ||
			    json_array_get_length(json_node_get_array(n)));
}

bool luks2_open(struct blk *below, const struct luks_secret *secret,
	struct luks_volume *v, GError **err)
{
	struct attempt a = {.below = below, .secret = secret, .v = v};
	g_autofree uint8_t *h = read_header(below);
	const char *text = h ? (const char *)h + BINARY : "";
	g_autoptr(JsonParser) parser = json_parser_new();
	JsonObject *root = NULL;
	JsonNode *n;

	if (!h)
		return luks_bad(err, "neither header is whole");
	if (is_shallow(text) && g_utf8_validate(text, -1, NULL) &&
		json_parser_load_from_data(parser, text, -1, NULL)) {
		n = json_parser_get_root(parser);
		if (n && JSON_NODE_HOLDS_OBJECT(n))
			root = json_node_get_object(n);
	}
	if (!root)
		return luks_bad(err, "its JSON cannot be read");
	if (has_requirements(root))
		return luks_unknown(err, "what its header calls mandatory");
	return read_segment(object_in(root, "segments"), below, v, err) &&
	       try_slots(&a, root, err);
}

/* ---- a new one ---- */

static const char form[] =
	"{\"keyslots\":{\"0\":{\"type\":\"luks2\",\"key_size\":64,"
	"\"af\":{\"type\":\"luks1\",\"stripes\":4000,\"hash\":\"sha256\"},"
	"\"area\":{\"type\":\"raw\",\"offset\":\"%u\",\"size\":\"%u\","
	"\"encryption\":\"" LUKS_CIPHER "\",\"key_size\":64},"
	"\"kdf\":{\"type\":\"argon2id\",\"time\":%u,\"memory\":%u,\"cpus\":%u,"
	"\"salt\":\"%s\"}}},\"tokens\":{},"
	"\"segments\":{\"0\":{\"type\":\"crypt\",\"offset\":\"%u\","
	"\"size\":\"dynamic\",\"iv_tweak\":\"0\","
	"\"encryption\":\"" LUKS_CIPHER "\",\"sector_size\":512}},"
	"\"digests\":{\"0\":{\"type\":\"pbkdf2\",\"keyslots\":[\"0\"],"
	"\"segments\":[\"0\"],\"hash\":\"sha256\",\"iterations\":%u,"
	"\"salt\":\"%s\",\"digest\":\"%s\"}},"
	"\"config\":{\"json_size\":\"%u\",\"keyslots_size\":\"%u\"}}";

static char *json_text(const struct luks_slot *s, const struct luks_kdf *digest,
	const uint8_t sum[SUM])
{
	g_autofree char *salt = g_base64_encode(s->kdf.salt, LUKS_SALT);
	g_autofree char *salt2 = g_base64_encode(digest->salt, LUKS_SALT);
	g_autofree char *sum64 = g_base64_encode(sum, SUM);

	return g_strdup_printf(form, SLOT_OFFSET, SLOT_AREA,
		(unsigned)s->kdf.iterations, (unsigned)s->kdf.memory_kib,
		ARGON_LANES, salt, LUKS2_PAYLOAD, (unsigned)digest->iterations,
		salt2, sum64, SIZE_MIN - BINARY, LUKS2_PAYLOAD - SLOT_OFFSET);
}

static int write_headers(struct blk *below, const char *json)
{
	g_autofree uint8_t *h = g_malloc0(SIZE_MIN);
	uint8_t sum[SUM];
	int rc = 0;

	put_be16(h + H_VERSION, 2);
	put_be64(h + H_SIZE, SIZE_MIN);
	put_be64(h + H_SEQUENCE, 1);
	memcpy(h + H_SUM_NAME, "sha256", 6);
	luks_uuid((char *)h + H_UUID);
	g_strlcpy((char *)h + BINARY, json, SIZE_MIN - BINARY);
	for (unsigned i = 0; i < 2 && !rc; i++) {
		memcpy(h, i ? "SKUL\xba\xbe" : LUKS_MAGIC, LUKS_MAGIC_LEN);
		put_be64(h + H_OFFSET, i * SIZE_MIN);
		rc = luks_random(h + H_SALT, SALT_ROOM);
		header_sum(h, SIZE_MIN, sum);
		memcpy(h + H_SUM, sum, SUM);
		if (!rc)
			rc = blk_pwrite(below, h, SIZE_MIN, i * SIZE_MIN);
	}
	return rc;
}

bool luks2_format(struct blk *below, const struct luks_new *how, GError **err)
{
	const struct luks_secret secret = {how->secret, how->len};
	struct luks_slot s = {
		.kdf = {.argon = GCRY_KDF_ARGON2ID,
			.iterations = how->cheap ? 1 : ARGON_PASSES,
			.memory_kib = how->cheap ? 64 : ARGON_KIB,
			.lanes = ARGON_LANES,
			.salt_len = LUKS_SALT},
		.off = SLOT_OFFSET,
		.key_len = LUKS_KEY_MAX,
		.area_key_len = LUKS_KEY_MAX,
		.stripes = LUKS_STRIPES,
		.hash = luks_hash("sha256")};
	struct luks_kdf digest = {.hash = luks_hash("sha256"),
		.iterations = how->cheap ? 1000 : DIGEST_ITERATIONS,
		.salt_len = LUKS_SALT};
	uint8_t key[LUKS_KEY_MAX], sum[SUM];
	g_autofree char *json = NULL;
	int rc = luks_random(key, sizeof(key));

	if (!rc)
		rc = luks_random(s.kdf.salt, LUKS_SALT);
	if (!rc)
		rc = luks_random(digest.salt, LUKS_SALT);
	if (!rc)
		rc = luks_derive(&digest, key, sizeof(key), sum, SUM);
	if (!rc)
		rc = luks_slot_write(below, &s, &secret, key);
	json = json_text(&s, &digest, sum);
	if (!rc)
		rc = write_headers(below, json);
	explicit_bzero(key, sizeof(key));
	return !rc || luks_errno(err, rc, "header");
}
