/* dev-state.c - saved states: the contract, and all devices through it. */
#include <errno.h>

#include "state-rig.h"

/* ---- a device of all kinds of fields ---- */

struct toy_part {
	uint16_t a;
	int8_t b;
};

struct toy {
	uint8_t u8;
	int32_t i32;
	bool flag;
	uint64_t many[3];
	uint8_t bytes[5];
	struct toy_part part[2], *behind, *each[2];
	unsigned nparts;
	uint8_t *mem;
	uint32_t mem_bytes;
	struct bus_timer timer;
	uint64_t tsc;
	const char *word;
	bool rare;
	uint32_t sometimes;
	char note[8];
	unsigned nnote, hooks;
};

static const char toy_one[] = "one", toy_two[] = "two";
static const struct state_choice toy_words[] = {
	{"one", toy_one}, {"two", toy_two}, {NULL, NULL}};

static void toy_note_get(const void *obj, GByteArray *out)
{
	const struct toy *t = obj;

	g_byte_array_append(out, (const uint8_t *)t->note, t->nnote);
}

static int toy_note_put(
	void *obj, const struct state_bytes *from, char *err, unsigned errsize)
{
	struct toy *t = obj;

	if (memchr(from->p, '!', from->n)) {
		g_strlcpy(err, "no shouting", errsize);
		return -EINVAL;
	}
	if (from->apply)
		memcpy(t->note, from->p, t->nnote = from->n);
	return 0;
}

static const struct state_blob toy_note = {toy_note_get, toy_note_put, 8};

static bool toy_rare(const void *obj)
{
	return ((const struct toy *)obj)->rare;
}

static int toy_loaded(void *obj, unsigned version, char *err, unsigned errsize)
{
	struct toy *t = obj;

	t->hooks++;
	if (t->i32 != -77)
		return 0;
	g_strlcpy(err, "77 is not allowed", errsize);
	return -EINVAL;
}

static const struct state_field toy_part_fields[] = {
	STATE(struct toy_part, a, .max = 999),
	STATE(struct toy_part, b, .min = -3, .max = 3),
};

static const struct state_list toy_part_state =
	STATE_LIST("part", struct toy_part, 1, toy_part_fields);

static const struct state_field toy_fields[] = {
	STATE(struct toy, u8),
	STATE(struct toy, i32),
	STATE(struct toy, flag),
	STATE_ARRAY(struct toy, many),
	STATE_BYTES(struct toy, bytes),
	STATE_STRUCTS(struct toy, part, &toy_part_state),
	STATE_STRUCTS_AT(struct toy, behind, nparts, &toy_part_state),
	STATE_POINTERS_TO(struct toy, each, nparts, &toy_part_state),
	STATE_BYTES_AT(struct toy, mem, mem_bytes),
	STATE_TIMER(struct toy, timer),
	STATE_TSC(struct toy, tsc),
	STATE_CHOICE(struct toy, word, toy_words),
	STATE(struct toy, sometimes, .when = toy_rare),
	STATE_BLOB("note", &toy_note),
	STATE_GONE("old"),
};

static const struct state_list toy_state =
	STATE_LIST("toy", struct toy, 2, toy_fields, .loaded = toy_loaded);

static void toy_fire(void *opaque)
{
}

static struct toy *toy_new(struct bus *bus)
{
	struct toy *t = g_new0(struct toy, 1);

	t->nparts = 2;
	t->behind = g_new0(struct toy_part, 2);
	t->each[0] = g_new0(struct toy_part, 1);
	t->each[1] = g_new0(struct toy_part, 1);
	t->mem_bytes = 7;
	t->mem = g_malloc0(7);
	bus_timer_init(&t->timer, bus, toy_fire, t);
	return t;
}

static void toy_free(struct toy *t)
{
	bus_timer_cancel(&t->timer);
	g_free(t->behind);
	g_free(t->each[0]);
	g_free(t->each[1]);
	g_free(t->mem);
	g_free(t);
}

static void toy_fill(struct toy *t)
{
	t->u8 = 200;
	t->i32 = -5;
	t->flag = true;
	t->many[2] = ~0ull;
	memcpy(t->bytes, "abcde", 5);
	t->part[1] = (struct toy_part){999, -3};
	t->behind[0].a = 5;
	t->each[1]->b = 3;
	memcpy(t->mem, "memory", 7);
	bus_timer_arm(&t->timer, 1ull << 60);
	t->tsc = bus_clock_tsc(t->timer.bus) + 1000;
	t->word = toy_two;
	memcpy(t->note, "hello", 5);
	t->nnote = 5;
}

static int toy_load(struct toy *t, GByteArray *a, char *err)
{
	struct state_in in = {t->timer.bus, a->data, a->len, err, 200};

	return state_load(&toy_state, t, &in);
}

static void test_round(void)
{
	struct bus *bus = bus_new(1 << 20, 1 << 30);
	struct toy *a, *b;
	g_autoptr(GByteArray) x = g_byte_array_new(), y = g_byte_array_new();
	char err[200] = "";

	bus_lock(bus);
	bus_clock_pause(bus, true);
	a = toy_new(bus);
	b = toy_new(bus);
	toy_fill(a);
	state_save(&toy_state, a, bus, x);
	g_assert_cmpint(toy_load(b, x, err), ==, 0);
	g_assert_cmpuint(b->u8, ==, 200);
	g_assert_cmpint(b->i32, ==, -5);
	g_assert_cmpstr(b->word, ==, "two");
	g_assert_cmpuint(b->tsc, ==, a->tsc);
	g_assert_cmpuint(b->timer.deadline_ns, ==, 1ull << 60);
	g_assert_cmpuint(b->timer.slot, !=, 0);
	g_assert_cmpint(b->each[1]->b, ==, 3);
	g_assert_cmpint(b->part[1].a, ==, 999);
	g_assert_cmpuint(b->hooks, ==, 1);
	state_save(&toy_state, b, bus, y);
	g_assert_cmpmem(x->data, x->len, y->data, y->len);

	/* what is there only at times, and what cannot be any more */
	a->rare = true;
	a->sometimes = 7;
	bus_timer_cancel(&a->timer);
	a->tsc = 0;
	a->word = NULL;
	g_byte_array_set_size(x, 0);
	state_save(&toy_state, a, bus, x);
	g_assert_cmpint(toy_load(b, x, err), ==, 0);
	g_assert_cmpuint(b->sometimes, ==, 7);
	g_assert_cmpuint(b->timer.slot, ==, 0);
	g_assert_cmpuint(b->tsc, ==, 0);
	g_assert_null(b->word);
	toy_free(a);
	toy_free(b);
	bus_unlock(bus);
	bus_free(bus);
}

/* ---- states that others wrote ---- */

struct damage {
	const char *find, *put; /* bytes of the state */
	unsigned find_len, put_len;
	int rc;
	const char *says;
};

static void replace(GByteArray *a, const struct damage *d)
{
	for (unsigned i = 0; i + d->find_len <= a->len; i++) {
		if (memcmp(a->data + i, d->find, d->find_len))
			continue;
		memcpy(a->data + i, d->put, d->put_len);
		return;
	}
	g_error("%s is not there", d->says);
}

#define DAMAGE(find, put, ...)                                                 \
	{                                                                      \
		find, put, sizeof(find) - 1, sizeof(put) - 1, __VA_ARGS__      \
	}

static void test_refused(void)
{
	static const struct damage list[] = {
		DAMAGE("\2\0", "\3\0", -ENOTSUP, "toy: a newer vmeste"),
		DAMAGE("\2u8", "\2u9", -EINVAL, "toy: unknown field u9"),
		DAMAGE("\2u8\1", "\2u8\2", -EINVAL, "toy.u8: it is of another"),
		DAMAGE("\2u8\1\10", "\2u8\1\7", -EINVAL, "toy.u8: it has 7"),
		DAMAGE("u8\1\10\0\0\0\310\0", "u8\1\10\0\0\0\0\1", -EINVAL,
			"toy.u8: 256 is out of range"),
		DAMAGE("i32\1\10\0\0\0\373\377\377\377\377\377\377\377",
			"i32\1\10\0\0\0\0\0\0\200\0\0\0\0", -EINVAL,
			"toy.i32: 2147483648 is out of range"),
		DAMAGE("i32\1\10\0\0\0\373", "i32\1\10\0\0\0\263", -EINVAL,
			"toy: 77 is not allowed"),
		DAMAGE("flag\1\10\0\0\0\1", "flag\1\10\0\0\0\2", -EINVAL,
			"toy.flag: 2 is out of range"),
		DAMAGE("\4flag", "\4many", -EINVAL, "toy.many: it has 8"),
		DAMAGE("\4flag\1", "\4part\3", -EINVAL, "toy.part"),
		DAMAGE("a\1\10\0\0\0\347\3", "a\1\10\0\0\0\350\3", -EINVAL,
			"toy.part.a: 1000 is out of range"),
		DAMAGE("b\1\10\0\0\0\375", "b\1\10\0\0\0\374", -EINVAL,
			"toy.part.b: -4 is out of range"),
		DAMAGE("behind\3\120\0\0\0\2", "behind\3\120\0\0\0\3", -EINVAL,
			"toy.behind: it is 3, not 2"),
		DAMAGE("two", "tow", -EINVAL, "toy.word: there is no such"),
		DAMAGE("hello", "hell!", -EINVAL, "toy.note: no shouting"),
		DAMAGE("\4note\7", "\3old\10\0", -EINVAL, "toy"),
		DAMAGE("\5bytes\2\5", "\5bytes\2\6", -EINVAL, "toy.bytes"),
		DAMAGE("\5bytes\2\5\0\0\0", "\5bytes\2\377\377\377\377",
			-EINVAL, "toy.bytes"),
	};
	struct bus *bus = bus_new(1 << 20, 1 << 30);

	bus_lock(bus);
	bus_clock_pause(bus, true);
	for (unsigned i = 0; i < G_N_ELEMENTS(list); i++) {
		struct toy *a = toy_new(bus), *b = toy_new(bus);
		g_autoptr(GByteArray) x = g_byte_array_new();
		char err[200] = "";

		toy_fill(a);
		a->word = toy_two;
		state_save(&toy_state, a, bus, x);
		replace(x, &list[i]);
		g_assert_cmpint(toy_load(b, x, err), ==, list[i].rc);
		if (!g_str_has_prefix(err, list[i].says))
			g_error("%u: '%s' is not '%s'", i, err, list[i].says);
		/* but for what the hook refused nothing was touched */
		g_assert_cmpuint(b->u8, ==, b->hooks ? 200 : 0);
		toy_free(a);
		toy_free(b);
	}
	bus_unlock(bus);
	bus_free(bus);
}

/* A list that has grown takes older states. */
static void test_older(void)
{
	static const struct state_field was[] = {STATE(struct toy, u8)};
	static const struct state_field is[] = {STATE(struct toy, u8),
		STATE(struct toy, i32, .since = 4), STATE_GONE("flag")};
	static const struct state_list old =
		STATE_LIST("toy", struct toy, 3, was);
	static const struct state_list new =
		STATE_LIST("toy", struct toy, 4, is);
	static const struct state_field gone[] = {
		STATE(struct toy, u8), STATE(struct toy, flag)};
	static const struct state_list older =
		STATE_LIST("toy", struct toy, 2, gone);
	struct toy a = {.u8 = 9}, b = {.i32 = 5};
	g_autoptr(GByteArray) x = g_byte_array_new(), y = g_byte_array_new(),
			      z = g_byte_array_new();
	char err[100];
	struct state_in in = {.err = err, .errsize = sizeof(err)};

	state_save(&old, &a, NULL, x);
	in.p = x->data, in.n = x->len;
	g_assert_cmpint(state_load(&new, &b, &in), ==, 0);
	g_assert_cmpuint(b.u8, ==, 9);
	g_assert_cmpint(b.i32, ==, 5);
	state_save(&older, &a, NULL, y);
	in.p = y->data, in.n = y->len;
	g_assert_cmpint(state_load(&new, &b, &in), ==, 0);
	/* a field that this version must have */
	state_save(&old, &a, NULL, z);
	z->data[0] = 4;
	in.p = z->data, in.n = z->len;
	g_assert_cmpint(state_load(&new, &b, &in), ==, -EINVAL);
	g_assert_cmpstr(err, ==, "toy: i32 is missing");
}

/* Cut and bent anywhere: refused or taken, never more than that. */
static void test_bent(void)
{
	struct bus *bus = bus_new(1 << 20, 1 << 30);
	g_autoptr(GByteArray) x = g_byte_array_new();
	g_autoptr(GRand) rnd = g_rand_new_with_seed(1);
	struct toy *a, *b;
	char err[200];

	bus_lock(bus);
	a = toy_new(bus);
	b = toy_new(bus);
	toy_fill(a);
	state_save(&toy_state, a, bus, x);
	for (unsigned n = 0; n < x->len; n++) {
		GByteArray cut = {.data = x->data, .len = n};

		g_assert_cmpint(toy_load(b, &cut, err), <, 0);
	}
	for (unsigned i = 0; i < 20000; i++) {
		unsigned at = g_rand_int_range(rnd, 0, (int)x->len);
		uint8_t was = x->data[at];

		x->data[at] = g_rand_int(rnd);
		toy_load(b, x, err);
		x->data[at] = was;
	}
	toy_free(a);
	toy_free(b);
	bus_unlock(bus);
	bus_free(bus);
}

/* ---- every class ---- */

/* Save, load into a fresh one, save again: the same.  Then rubbish. */
static void device_round(const struct dev_class *cls, GRand *rnd)
{
	g_autoptr(GByteArray) x = g_byte_array_new(), y = g_byte_array_new();
	struct state_rig r;

	if (!state_rig_init(&r, cls))
		return;
	poke(&r.b, rnd, 500);
	state_rig_stand(&r, true);
	save(r.d, x);
	if (cls->reset)
		cls->reset(r.d);
	load(r.d, x, true);
	save(r.d, y);
	g_assert_cmpmem(x->data, x->len, y->data, y->len);
	for (unsigned i = 0; i < 300 && x->len > 4; i++) {
		unsigned at = g_rand_int_range(rnd, 0, (int)x->len);
		uint8_t was = x->data[at];

		x->data[at] = g_rand_int(rnd);
		load(r.d, x, false);
		x->data[at] = was;
	}
	state_rig_stand(&r, false);
	poke(&r.b, rnd, 300);
	state_rig_fini(&r);
}

static void test_devices(void)
{
	g_autoptr(GRand) rnd = g_rand_new_with_seed(7);

	for (unsigned i = 0; dev_table[i]; i++)
		for (unsigned k = 0; k < 4 && dev_table[i]->state; k++)
			device_round(dev_table[i], rnd);
}

/* A card that goes on from another's state is itself once it is reset. */
static void card_copied(const char *name)
{
	g_autoptr(GByteArray) x = g_byte_array_new(), want = g_byte_array_new(),
			      is = g_byte_array_new();
	char err[200] = "";
	struct state_rig r;
	struct dev *d;

	g_assert_true(state_rig_init(&r, dev_class_find(name)));
	state_rig_stand(&r, true);
	save(r.d, x);
	memcpy(r.b.host.mac, "\x52\x56\x4d\1\2\3", 6);
	d = dev_new(r.d->cls, "e", &r.b.host, err, sizeof(err));
	g_assert_nonnull(d);
	d->cls->reset(d);
	save(d, want);
	load(d, x, true);
	if (d->cls->copied)
		d->cls->copied(d);
	d->cls->reset(d);
	save(d, is);
	g_assert_cmpmem(want->data, want->len, is->data, is->len);
	dev_free(d);
	state_rig_stand(&r, false);
	state_rig_fini(&r);
}

static void test_copied(void)
{
	static const char *const cards[] = {"virtio-net", "e1000", "e1000e",
		"pcnet", "rtl8139", "rtl8139c", "ne2000"};

	for (unsigned i = 0; i < G_N_ELEMENTS(cards); i++)
		card_copied(cards[i]);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/state/round", test_round);
	g_test_add_func("/state/refused", test_refused);
	g_test_add_func("/state/older", test_older);
	g_test_add_func("/state/bent", test_bent);
	g_test_add_func("/state/devices", test_devices);
	g_test_add_func("/state/copied", test_copied);
	return g_test_run();
}
