/*
 * share-fuzz.c - a file server under clients gone mad.
 *
 *	share-fuzz - ROUNDS|SECONDSs [SEED]
 *
 * Two threads send requests that are nearly right at once, while files come
 * and go on the host's side; now and then what is open is saved, bent, and
 * loaded.  It must neither crash nor hang nor grow, and touch nothing beside
 * its folder.
 */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/resource.h>

#include <glib.h>

struct fuzz {
	uint64_t state;
	struct share *s;
	unsigned long rounds;
	int64_t end; /* or 0 */
};

static uint32_t rnd(struct fuzz *f)
{
	f->state ^= f->state << 13;
	f->state ^= f->state >> 7;
	f->state ^= f->state << 17;
	return (uint32_t)(f->state >> 16);
}

static uint32_t below(struct fuzz *f, uint32_t n)
{
	return rnd(f) % n;
}

#include "share-make.h"

#define BUF (64u << 10)

static void serve(struct fuzz *f, uint8_t *msg, size_t n)
{
	static _Thread_local uint8_t reply[RIG_BYTES], whole[RIG_BYTES];
	struct share_request q = {.msg = whole,
		.total = below(f, 50) ? n + below(f, 8192) : n,
		.reply = reply,
		.room = below(f, 50) ? BUF : SHARE_MIN_REPLY + below(f, 200),
		.map = rig_map};

	memcpy(whole, msg, n);
	q.len = MIN(n, q.total);
	if (q.len < SHARE_MIN_MESSAGE)
		return;
	n = share_serve(f->s, &q);
	g_assert_cmpuint(n, >=, P9_HEADER);
	g_assert_cmpuint(n + q.data, <=, q.room);
}

static bool over(const struct fuzz *f, unsigned long i)
{
	return f->end ? g_get_monotonic_time() > f->end : i >= f->rounds;
}

static void *client(void *opaque)
{
	struct fuzz *f = opaque;
	uint8_t msg[256] = {0};

	for (unsigned i = 0; i < 4; i++)
		serve(f, msg, share_make_hello(msg, i));
	for (unsigned long i = 0; !over(f, i); i++) {
		serve(f, msg, share_make(f, msg));
		if (!below(f, 500))
			serve(f, msg, share_make_hello(msg, 1));
	}
	return NULL;
}

/* While nobody asks. */
static void state(struct fuzz *f)
{
	g_autoptr(GByteArray) a = g_byte_array_new();
	char err[100];

	share_save(f->s, a);
	for (unsigned i = below(f, 4); i; i--)
		a->data[below(f, a->len)] = (uint8_t)rnd(f);
	if (!share_load(f->s, a->data, a->len, false, err, sizeof(err)))
		share_load(f->s, a->data, a->len, true, err, sizeof(err));
}

static void round_of(struct fuzz *f, const char *top, unsigned long rounds)
{
	struct fuzz other = *f;
	pthread_t t;

	f->rounds = other.rounds = rounds;
	other.state = f->state * 0x9e3779b97f4a7c15ull | 1;
	share_make_files(top);
	g_assert_cmpint(pthread_create(&t, NULL, client, &other), ==, 0);
	client(f);
	pthread_join(t, NULL);
	state(f);
	share_make_empty(top);
}

int main(int argc, char **argv)
{
	const char *much = argc > 2 ? argv[2] : "100000";
	bool timed = g_str_has_suffix(much, "s");
	unsigned long left = strtoul(much, NULL, 0);
	struct fuzz f = {.state = argc > 3 ? strtoull(argv[3], NULL, 0)
					   : (uint64_t)getpid()};
	int64_t end = timed ? g_get_monotonic_time() + left * 1000000 : 0;
	char *top = share_make_top();
	g_autofree char *dir = NULL;
	struct share_counts n;
	struct rusage u;

	printf("seed %llu\n", (unsigned long long)f.state);
	f.state = f.state * 0x9e3779b97f4a7c15ull | 1;
	share_make_files(top);
	dir = share_make_dir(top);
	f.s = share_of(dir, false, 24);
	while (timed ? g_get_monotonic_time() < end : left > 0) {
		unsigned long some = timed ? 20000 : MIN(left, 20000);

		round_of(&f, top, some);
		left -= timed ? 0 : some;
	}
	share_count(f.s, &n);
	share_reset(f.s);
	share_count(f.s, &n);
	g_assert_cmpuint(n.fids, ==, 0);
	g_assert_cmpuint(n.open, ==, 1); /* the folder */
	share_free(f.s);
	share_make_close(top);
	getrusage(RUSAGE_SELF, &u);
	printf("%ld KiB at most\n", u.ru_maxrss);
	return u.ru_maxrss > 512 << 10;
}
