/*
 * state-fuzz.c - saved states from a stranger.
 *
 *	state-fuzz devices|file ROUNDS [SEED]
 *
 * devices: objects of all classes, bent anywhere, are loaded; those that are
 * taken are driven for a while after, for what a guest cannot do to a register
 * a state may.  file: whole files with chunks that were bent, moved and
 * repeated.  Nothing may crash, hang or grow.
 */
#include <stdio.h>

#include "../unit/state-rig.h"
#include "save/save.h"

#define RAM (3u << 20)

/* ---- devices ---- */

/* Numbers that mean something, here and there. */
static void bend(GByteArray *a, GRand *rnd)
{
	static const uint64_t words[] = {0, 1, 2, 3, 7, 15, 16, 63, 64, 255,
		256, 511, 4096, 0xffff, 0x10000, 0x7fffffff, 0xffffffff, ~0ull};
	unsigned n = 1 + (unsigned)g_rand_int_range(rnd, 0, 4);

	while (n--) {
		unsigned at = (unsigned)g_rand_int_range(rnd, 0, (int)a->len);
		uint64_t w =
			words[g_rand_int_range(rnd, 0, G_N_ELEMENTS(words))];
		unsigned bytes = 1u << g_rand_int_range(rnd, 0, 4);

		if (g_rand_boolean(rnd))
			a->data[at] = (uint8_t)g_rand_int(rnd);
		else
			memcpy(a->data + at, &w, MIN(bytes, a->len - at));
	}
}

static unsigned bend_device(const struct dev_class *cls, GRand *rnd)
{
	g_autoptr(GByteArray) good = g_byte_array_new();
	unsigned taken = 0;
	struct state_rig r;

	if (!cls->state || !state_rig_init(&r, cls))
		return 0;
	poke(&r.b, rnd, 200);
	state_rig_stand(&r, true);
	save(r.d, good);
	for (unsigned i = 0; i < 40 && good->len > 4; i++) {
		g_autoptr(GByteArray) a = g_byte_array_new();
		bool ok;

		g_byte_array_append(a, good->data, good->len);
		bend(a, rnd);
		ok = load(r.d, a, false);
		taken += ok;
		if (!ok && cls->reset)
			cls->reset(r.d);
		state_rig_stand(&r, false);
		poke(&r.b, rnd, ok ? 60 : 2);
		bus_timers_run(r.b.bus);
		state_rig_stand(&r, true);
		if (cls->drain)
			cls->drain(r.d);
	}
	state_rig_stand(&r, false);
	state_rig_fini(&r);
	return taken;
}

static void fuzz_devices(unsigned rounds, GRand *rnd)
{
	unsigned taken = 0;

	while (rounds--)
		for (unsigned i = 0; dev_table[i]; i++)
			taken += bend_device(dev_table[i], rnd);
	printf("%u taken\n", taken);
}

/* ---- files ---- */

static GByteArray *some_file(GRand *rnd, const struct save_ram *ram)
{
	int fd = memfd_create("state", MFD_CLOEXEC);
	struct save_out *o = save_out_new(fd, "{}", NULL);
	g_autoptr(GByteArray) part = g_byte_array_new();
	GByteArray *a = g_byte_array_new();
	off_t size;

	for (unsigned i = 0; i < RAM / 4096; i++)
		memset(ram->host + 4096 * i,
			g_rand_boolean(rnd) ? 0 : (int)g_rand_int(rnd), 4096);
	g_byte_array_append(part, ram->host, 2000);
	save_out_part(o, "one", part);
	save_out_ram(o, ram, 1);
	save_out_part(o, "two", part);
	save_out_end(o, NULL);
	size = lseek(fd, 0, SEEK_END);
	g_byte_array_set_size(a, (guint)size);
	g_assert_cmpint(pread(fd, a->data, (size_t)size, 0), ==, size);
	close(fd);
	return a;
}

/* Take a piece out, or put it in once more elsewhere. */
static void splice_parts(GByteArray *a, GRand *rnd)
{
	unsigned at = (unsigned)g_rand_int_range(rnd, 0, (int)a->len);
	unsigned n = (unsigned)g_rand_int_range(rnd, 0, (int)(a->len - at)) / 4;
	g_autofree uint8_t *piece = g_memdup2(a->data + at, n);

	if (g_rand_boolean(rnd)) {
		g_byte_array_remove_range(a, at, n);
		return;
	}
	g_byte_array_append(a, piece, n);
}

static void fuzz_files(unsigned rounds, GRand *rnd)
{
	struct save_ram ram = {g_malloc(RAM), RAM}, to = {g_malloc(RAM), RAM};
	g_autoptr(GByteArray) good = some_file(rnd, &ram);

	while (rounds--) {
		g_autoptr(GByteArray) a = g_byte_array_new();
		int fd = memfd_create("bent", MFD_CLOEXEC);

		g_byte_array_append(a, good->data, good->len);
		if (g_rand_int_range(rnd, 0, 3) == 0)
			splice_parts(a, rnd);
		if (a->len)
			bend(a, rnd);
		g_assert_cmpint(write(fd, a->data, a->len), ==, a->len);
		save_parts_free(save_read(fd, &to, NULL, 1 << 20, 2, NULL));
		close(fd);
	}
	g_free(ram.host);
	g_free(to.host);
}

int main(int argc, char **argv)
{
	unsigned rounds = argc > 2 ? (unsigned)atoi(argv[2]) : 1;
	uint32_t seed = argc > 3 ? (uint32_t)atoi(argv[3]) : 1;
	g_autoptr(GRand) rnd = g_rand_new_with_seed(seed);

	printf("seed %u\n", seed);
	if (argc > 1 && !strcmp(argv[1], "file"))
		fuzz_files(rounds, rnd);
	else
		fuzz_devices(rounds, rnd);
	return 0;
}
