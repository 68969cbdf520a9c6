/*
 * luks-fuzz.c - damaged and hostile headers of LUKS.
 *
 *     luks-fuzz luks1|luks2 ROUNDS [SEED]
 *
 * A header of ours with cheap keys is bent in each round; sums are
 * set right, mostly.  Then the disk is opened, read and written to at its
 * edges.  Nothing may crash, hang or take much memory.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <glib.h>

#include "block/bytes.h"
#include "block/luks.h"
#include "bounds.h"
#include "powercut.h"

#define DISK	(17u << 20)
#define HEAD	16384u
#define AREA	(512u << 10) /* header and keys */
#define JSON	4096u
#define SECONDS 60
#define MEMORY	(1500ull << 20)

struct fuzz {
	bool two; /* LUKS2 */
	GRand *r;
	uint8_t *good, *bytes;
	unsigned opened;
};

static unsigned below(struct fuzz *z, unsigned n)
{
	return (unsigned)g_rand_int_range(z->r, 0, (gint32)n);
}

/* The same length, so that nothing else moves. */
static void put(char *text, const char *from, const char *to)
{
	char *at = strstr(text, from);

	g_assert_nonnull(at);
	memset(at, ' ', strlen(from));
	memcpy(at, to, strlen(to));
}

static void set_sum(uint8_t *h)
{
	g_autoptr(GChecksum) c = g_checksum_new(G_CHECKSUM_SHA256);
	gsize len = 32;

	memset(h + 448, 0, 64);
	g_checksum_update(c, h, HEAD);
	g_checksum_get_digest(c, h + 448, &len);
}

/* What it costs stays: the limits have a test of their own. */
static bool is_cost(struct fuzz *z, unsigned at)
{
	static const char *const costs[] = {
		"\"time\":", "\"memory\":", "\"iterations\":"};

	if (!z->two)
		return (at >= 164 && at < 168) ||
		       (at >= 208 && (at - 208) % 48 >= 4 &&
			       (at - 208) % 48 < 8);
	for (unsigned i = 0; i < G_N_ELEMENTS(costs); i++) {
		const char *p = strstr((char *)z->good + JSON, costs[i]);
		size_t from = (size_t)(p - (char *)z->good);

		if (at >= from && at < from + strlen(costs[i]) + 8)
			return true;
	}
	return false;
}

static void bend_one(struct fuzz *z)
{
	static const char signs[] = "{}[]\":,0123456789-.e\\ \xff"
				    "a";
	size_t json = z->two ? strlen((char *)z->good + JSON) : 0;
	unsigned at = z->two && below(z, 4) ? JSON + below(z, (unsigned)json)
					    : below(z, 592);

	if (is_cost(z, at))
		return;
	if (at >= JSON && below(z, 30) == 0)
		memset(z->bytes + at, below(z, 2) ? '[' : '{',
			MIN(2000, HEAD - at));
	else if (at >= JSON)
		z->bytes[at] = (uint8_t)signs[below(z, sizeof(signs) - 1)];
	else if (below(z, 2))
		z->bytes[at] ^= (uint8_t)(1u << below(z, 8));
	else
		z->bytes[at] = (uint8_t)g_rand_int(z->r);
}

static void use(struct blk *b)
{
	uint8_t buf[5000] = {0};
	const uint64_t at[] = {0, 1, 511, b->size / 2 + 7,
		b->size - MIN(b->size, sizeof(buf))};

	for (unsigned i = 0; i < G_N_ELEMENTS(at); i++) {
		blk_pwrite(b, buf, sizeof(buf), at[i]);
		blk_pread(b, buf, sizeof(buf), at[i]);
	}
	blk_discard(b, 3, b->size - 3);
	blk_flush(b);
}

static void one_round(struct fuzz *z, bool bend)
{
	uint64_t len = below(z, 10) || !bend ? DISK : below(z, DISK);
	struct blk *b;

	memcpy(z->bytes, z->good, AREA);
	for (unsigned n = bend ? 1 + below(z, 4) : 0; n; n--)
		bend_one(z);
	if (z->two && (below(z, 4) || !bend))
		set_sum(z->bytes);
	alarm(SECONDS);
	b = luks_open(powercut_memory(z->bytes, len, DISK), "secret", 6, NULL);
	if (b) {
		z->opened++;
		use(b);
		blk_close(b);
	}
	alarm(0);
}

/* A header whose costs are beyond all limits is refused at once. */
static void costly(struct fuzz *z)
{
	static const char *const texts[] = {"\"time\":4000000000",
		"\"time\":4,\"memory\":9999999", "\"time\":-1",
		"\"time\":1e99"};

	for (unsigned i = 0; i < G_N_ELEMENTS(texts); i++) {
		struct blk *b;

		memcpy(z->bytes, z->good, AREA);
		if (z->two)
			put((char *)z->bytes + JSON,
				"\"time\":1,\"memory\":64,\"cpus\":4",
				texts[i]);
		else
			put_be32(z->bytes + 208 + 4, i ? 0xffffffff : 0);
		if (z->two)
			set_sum(z->bytes);
		alarm(SECONDS);
		b = luks_open(powercut_memory(z->bytes, DISK, DISK), "secret",
			6, NULL);
		g_assert_null(b);
		alarm(0);
	}
}

int main(int argc, char **argv)
{
	struct fuzz z = {.two = argc > 1 && !strcmp(argv[1], "luks2")};
	unsigned rounds = argc > 2 ? (unsigned)atoi(argv[2]) : 1000;
	guint32 seed = argc > 3 ? (guint32)atoi(argv[3]) : g_random_int();
	const struct luks_new how = {.kind = z.two ? LUKS_2 : LUKS_1,
		.cheap = true,
		.secret = "secret",
		.len = 6};
	struct blk *b;

	z.r = g_rand_new_with_seed(seed);
	printf("# seed %u\n", seed);
	fflush(stdout);
	bound_init();
	z.good = g_malloc0(DISK);
	z.bytes = g_malloc0(DISK);
	b = powercut_memory(z.good, DISK, DISK);
	g_assert_true(luks_format(b, &how, NULL));
	blk_close(b);
	bound_memory(MEMORY);
	one_round(&z, false);
	g_assert_cmpuint(z.opened, ==, 1);
	for (unsigned i = 0; i < rounds; i++)
		one_round(&z, true);
	costly(&z);
	printf("ok - %u rounds, %u times it opened\n", rounds, z.opened);
	g_rand_free(z.r);
	g_free(z.good);
	g_free(z.bytes);
	return 0;
}
