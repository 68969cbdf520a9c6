/*
 * state.c - writing and loading states by lists of fields; see state.h.
 *
 * Bytes, all little-endian:
 *
 *   object  version u16, fields u16, then fields
 *   field   length of its name u8, name, kind u8, length u32, that many bytes
 *   INT     8 bytes an element, sign-extended
 *   STRUCT  elements u32, then for each its length u32 and an object
 *   TIMER   8 bytes: the deadline in virtual ns, all ones: not armed
 *   TSC     8 bytes: the value less the host's TSC, all ones: 0
 *   CHOICE  a name, empty: NULL
 *   BYTES, BLOB  as they are
 *
 * The loader walks the input twice, the same code: first it only looks.
 * Recursion is as deep as our lists, whatever the input says.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "dev/dev.h"
#include "dev/state.h"

#define NONE (~0ull)

const struct state_list state_nothing = {.name = "nothing"};

/* ---- the object's side ---- */

static uint32_t field_count(const struct state_field *f, const uint8_t *obj)
{
	const uint8_t *p = obj + f->count_offset;
	uint32_t n32;
	uint16_t n16;

	switch (f->count_size) {
	case 1: return *p;
	case 2: memcpy(&n16, p, 2); return n16;
	case 4: memcpy(&n32, p, 4); return n32;
	default: return f->count;
	}
}

/* Element i of an array of structs, or of bytes (i is 0). */
static uint8_t *field_at(
	const struct state_field *f, uint8_t *obj, uint32_t i, uint32_t size)
{
	uint8_t *p = obj + f->offset, *q;

	if (f->place == STATE_HERE)
		return p + (size_t)i * size;
	if (f->place == STATE_POINTERS)
		p += i * sizeof(void *);
	memcpy(&q, p, sizeof(q));
	return f->place == STATE_POINTERS || !q ? q : q + (size_t)i * size;
}

static uint64_t int_get(const struct state_field *f, const uint8_t *p)
{
	uint64_t v = 0;
	unsigned spare = 64 - 8 * f->size;

	memcpy(&v, p, f->size);
	return f->is_signed ? (uint64_t)((int64_t)(v << spare) >> spare) : v;
}

/* There is something behind each pointer. */
static bool field_there(const struct state_field *f, const uint8_t *obj)
{
	uint32_t n = f->place == STATE_POINTERS ? field_count(f, obj) : 1;

	for (uint32_t i = 0; i < n && f->place != STATE_HERE; i++)
		if (!field_at(f, (uint8_t *)(uintptr_t)obj, i, 0))
			return false;
	return true;
}

/* ---- writing ---- */

static void put(GByteArray *out, uint64_t v, unsigned bytes)
{
	v = GUINT64_TO_LE(v);
	g_byte_array_append(out, (const uint8_t *)&v, bytes);
}

static void put_at(GByteArray *out, unsigned at, uint64_t v, unsigned bytes)
{
	v = GUINT64_TO_LE(v);
	memcpy(out->data + at, &v, bytes);
}

static void save_structs(const struct state_field *f, uint8_t *obj,
	struct bus *bus, GByteArray *out)
{
	uint32_t n = field_count(f, obj);

	put(out, n, 4);
	for (uint32_t i = 0; i < n; i++) {
		unsigned at = out->len;

		put(out, 0, 4);
		state_save(
			f->list, field_at(f, obj, i, f->list->size), bus, out);
		put_at(out, at, out->len - at - 4, 4);
	}
}

static void save_choice(
	const struct state_field *f, const uint8_t *obj, GByteArray *out)
{
	const void *value;

	memcpy(&value, obj + f->offset, sizeof(value));
	for (const struct state_choice *c = f->choice; value && c->name; c++)
		if (c->value == value)
			g_byte_array_append(
				out, (const uint8_t *)c->name, strlen(c->name));
}

static uint64_t save_timer(const struct bus_timer *t)
{
	return t->slot ? t->deadline_ns : NONE;
}

static uint64_t save_tsc(const uint8_t *p, struct bus *bus)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v ? v - bus_clock_tsc(bus) : NONE;
}

static void save_value(const struct state_field *f, uint8_t *obj,
	struct bus *bus, GByteArray *out)
{
	uint8_t *p = obj + f->offset;

	switch (f->kind) {
	case STATE_KIND_INT:
		for (uint32_t i = 0; i < f->count; i++)
			put(out, int_get(f, p + i * f->size), 8);
		break;
	case STATE_KIND_BYTES:
		g_byte_array_append(
			out, field_at(f, obj, 0, 1), field_count(f, obj));
		break;
	case STATE_KIND_STRUCT: save_structs(f, obj, bus, out); break;
	case STATE_KIND_TIMER: put(out, save_timer((void *)p), 8); break;
	case STATE_KIND_TSC: put(out, save_tsc(p, bus), 8); break;
	case STATE_KIND_CHOICE: save_choice(f, obj, out); break;
	case STATE_KIND_BLOB: f->blob->get(obj, out); break;
	}
}

static void save_field(const struct state_field *f, uint8_t *obj,
	struct bus *bus, GByteArray *out)
{
	size_t len = strlen(f->name);
	unsigned at;

	g_assert(len && len <= STATE_MAX_NAME);
	put(out, len, 1);
	g_byte_array_append(out, (const uint8_t *)f->name, len);
	put(out, f->kind, 1);
	at = out->len;
	put(out, 0, 4);
	save_value(f, obj, bus, out);
	put_at(out, at, out->len - at - 4, 4);
}

void state_save(
	const struct state_list *l, void *obj, struct bus *bus, GByteArray *out)
{
	unsigned at = out->len, n = 0;

	g_assert(l->nfields <= STATE_MAX_FIELDS);
	if (l->before_save)
		l->before_save(obj);
	put(out, l->version, 2);
	put(out, 0, 2);
	for (unsigned i = 0; i < l->nfields; i++) {
		const struct state_field *f = &l->field[i];

		if (f->kind == STATE_KIND_GONE || !field_there(f, obj) ||
			(f->when && !f->when(obj)))
			continue;
		save_field(f, obj, bus, out);
		n++;
	}
	put_at(out, at + 2, n, 2);
}

/* ---- loading ---- */

struct loader {
	struct bus *bus;
	bool apply;
	char *err;
	unsigned errsize, depth;
	/* where we are, for messages */
	const char *path[STATE_MAX_DEPTH];
};

struct bytes {
	const uint8_t *p;
	size_t n;
};

G_GNUC_PRINTF(3, 4)
static int refuse(struct loader *s, int rc, const char *fmt, ...)
{
	unsigned at = 0;
	va_list ap;

	for (unsigned i = 0; i < s->depth && at < s->errsize; i++)
		at += snprintf(s->err + at, s->errsize - at, "%s%s",
			i ? "." : "", s->path[i]);
	if (at < s->errsize)
		at += snprintf(s->err + at, s->errsize - at, ": ");
	va_start(ap, fmt);
	if (at < s->errsize)
		vsnprintf(s->err + at, s->errsize - at, fmt, ap);
	va_end(ap);
	return rc;
}

static int damaged(struct loader *s)
{
	return refuse(s, -EINVAL, "the state is damaged");
}

/* Lengths are checked before: there are so many. */
static uint64_t take(struct bytes *b, unsigned bytes)
{
	uint64_t v = 0;

	memcpy(&v, b->p, bytes);
	b->p += bytes;
	b->n -= bytes;
	return GUINT64_FROM_LE(v);
}

static bool int_fits(const struct state_field *f, uint64_t v)
{
	unsigned spare = 64 - 8 * f->size;
	int64_t sv = (int64_t)v;

	if (f->is_bool)
		return v <= 1;
	if (f->is_signed) {
		if ((int64_t)(v << spare) >> spare != sv)
			return false;
		return (!f->min && !f->max) ||
		       (sv >= f->min && sv <= (int64_t)f->max);
	}
	if (v << spare >> spare != v)
		return false;
	return (!f->min && !f->max) || (v >= (uint64_t)f->min && v <= f->max);
}

static int load_ints(struct loader *s, const struct state_field *f,
	uint8_t *obj, struct bytes b)
{
	if (b.n != 8ull * f->count)
		return refuse(s, -EINVAL, "it has %zu bytes, not %u", b.n,
			8 * f->count);
	for (uint32_t i = 0; i < f->count; i++) {
		uint64_t v = take(&b, 8);

		if (!int_fits(f, v))
			return refuse(s, -EINVAL, "%lld is out of range",
				(long long)v);
		if (s->apply)
			memcpy(obj + f->offset + (size_t)i * f->size, &v,
				f->size);
	}
	return 0;
}

static int load_bytes(struct loader *s, const struct state_field *f,
	uint8_t *obj, struct bytes b)
{
	uint32_t n = field_count(f, obj);

	if (b.n != n)
		return refuse(s, -EINVAL, "it has %zu bytes, not %u", b.n, n);
	if (s->apply && n)
		memcpy(field_at(f, obj, 0, 1), b.p, n);
	return 0;
}

static int load_object(struct loader *s, const struct state_list *l,
	uint8_t *obj, struct bytes b);

static int load_structs(struct loader *s, const struct state_field *f,
	uint8_t *obj, struct bytes b)
{
	uint32_t n = field_count(f, obj), have;
	int rc = 0;

	if (b.n < 4)
		return damaged(s);
	have = take(&b, 4);
	if (have != n)
		return refuse(s, -EINVAL,
			"it is %u, not %u: the machine is another one", have,
			n);
	for (uint32_t i = 0; i < n && !rc; i++) {
		struct bytes e;

		if (b.n < 4)
			return damaged(s);
		e.n = take(&b, 4);
		e.p = b.p;
		if (e.n > b.n)
			return damaged(s);
		b.p += e.n;
		b.n -= e.n;
		rc = load_object(
			s, f->list, field_at(f, obj, i, f->list->size), e);
	}
	return !rc && b.n ? damaged(s) : rc;
}

static int load_timer(struct loader *s, const struct state_field *f,
	uint8_t *obj, struct bytes b)
{
	struct bus_timer *t = (void *)(obj + f->offset);
	uint64_t at;

	if (b.n != 8)
		return damaged(s);
	at = take(&b, 8);
	if (!s->apply)
		return 0;
	if (at == NONE)
		bus_timer_cancel(t);
	else
		bus_timer_arm(t, at);
	return 0;
}

static int load_tsc(struct loader *s, const struct state_field *f, uint8_t *obj,
	struct bytes b)
{
	uint64_t v;

	if (b.n != 8)
		return damaged(s);
	v = take(&b, 8);
	v = v == NONE ? 0 : v + bus_clock_tsc(s->bus);
	if (s->apply)
		memcpy(obj + f->offset, &v, sizeof(v));
	return 0;
}

static int load_choice(struct loader *s, const struct state_field *f,
	uint8_t *obj, struct bytes b)
{
	const struct state_choice *c = f->choice;
	const void *value = NULL;

	while (b.n && c->name &&
		(strlen(c->name) != b.n || memcmp(c->name, b.p, b.n)))
		c++;
	if (b.n && !c->name)
		return refuse(s, -EINVAL, "there is no such choice");
	if (b.n)
		value = c->value;
	if (s->apply)
		memcpy(obj + f->offset, &value, sizeof(value));
	return 0;
}

static int load_blob(struct loader *s, const struct state_field *f,
	uint8_t *obj, struct bytes b)
{
	char text[160] = "it makes no sense";
	int rc;

	if (b.n > f->blob->max)
		return refuse(s, -EINVAL, "it has %zu bytes, at most %u may be",
			b.n, f->blob->max);
	rc = f->blob->put(obj, &(struct state_bytes){b.p, b.n, s->apply}, text,
		sizeof(text));
	return rc ? refuse(s, rc, "%s", text) : 0;
}

static int load_value(struct loader *s, const struct state_field *f,
	uint8_t *obj, struct bytes b)
{
	switch (f->kind) {
	case STATE_KIND_INT: return load_ints(s, f, obj, b);
	case STATE_KIND_BYTES: return load_bytes(s, f, obj, b);
	case STATE_KIND_STRUCT: return load_structs(s, f, obj, b);
	case STATE_KIND_TIMER: return load_timer(s, f, obj, b);
	case STATE_KIND_TSC: return load_tsc(s, f, obj, b);
	case STATE_KIND_CHOICE: return load_choice(s, f, obj, b);
	case STATE_KIND_BLOB: return load_blob(s, f, obj, b);
	}
	return 0;
}

static int find_field(const struct state_list *l, const char *name, size_t n)
{
	for (unsigned i = 0; i < l->nfields; i++)
		if (strlen(l->field[i].name) == n &&
			!memcmp(l->field[i].name, name, n))
			return (int)i;
	return -1;
}

/* One field off b. */
static int load_field(struct loader *s, const struct state_list *l,
	uint8_t *obj, struct bytes *b, bool seen[STATE_MAX_FIELDS])
{
	const struct state_field *f;
	const char *name;
	struct bytes v;
	size_t len;
	int i, rc;

	if (b->n < 1 || b->n < (len = b->p[0]) + 6u)
		return damaged(s);
	name = (const char *)b->p + 1;
	i = find_field(l, name, len);
	if (i < 0)
		return refuse(s, -EINVAL, "unknown field %.*s",
			g_utf8_validate(name, len, NULL) ? (int)len : 0, name);
	f = &l->field[i];
	g_assert(s->depth < STATE_MAX_DEPTH);
	s->path[s->depth++] = f->name;
	b->p += 1 + len;
	b->n -= 1 + len;
	if (seen[i])
		return refuse(s, -EINVAL, "it is there twice");
	seen[i] = true;
	if (take(b, 1) != f->kind && f->kind != STATE_KIND_GONE)
		return refuse(s, -EINVAL, "it is of another kind");
	v.n = take(b, 4);
	v.p = b->p;
	if (v.n > b->n)
		return damaged(s);
	b->p += v.n;
	b->n -= v.n;
	if (!field_there(f, obj))
		return refuse(s, -EINVAL, "the machine has none");
	rc = load_value(s, f, obj, v);
	if (!rc)
		s->depth--;
	return rc;
}

static int load_object(struct loader *s, const struct state_list *l,
	uint8_t *obj, struct bytes b)
{
	bool seen[STATE_MAX_FIELDS] = {false};
	unsigned version, n;
	int rc = 0;

	if (b.n < 4)
		return damaged(s);
	version = take(&b, 2);
	n = take(&b, 2);
	if (version > l->version)
		return refuse(s, -ENOTSUP,
			"a newer vmeste has written it (version %u, not %u)",
			version, l->version);
	if (n > l->nfields)
		return damaged(s);
	while (n-- && !rc)
		rc = load_field(s, l, obj, &b, seen);
	if (rc)
		return rc;
	if (b.n)
		return damaged(s);
	for (unsigned i = 0; i < l->nfields; i++) {
		const struct state_field *f = &l->field[i];

		if (!seen[i] && !f->when && field_there(f, obj) &&
			f->since <= version && f->kind != STATE_KIND_GONE)
			return refuse(s, -EINVAL, "%s is missing", f->name);
	}
	if (s->apply && l->loaded) {
		char text[160] = "it makes no sense";

		rc = l->loaded(obj, version, text, sizeof(text));
		if (rc)
			return refuse(s, rc, "%s", text);
	}
	return 0;
}

static int load(const struct state_list *l, uint8_t *obj,
	const struct state_in *in, bool apply)
{
	struct loader s = {.bus = in->bus,
		.apply = apply,
		.err = in->err,
		.errsize = in->errsize,
		.depth = 1,
		.path = {l->name}};

	return load_object(&s, l, obj, (struct bytes){in->p, in->n});
}

int state_check(
	const struct state_list *l, const void *obj, const struct state_in *in)
{
	return load(l, (uint8_t *)(uintptr_t)obj, in, false);
}

int state_load(const struct state_list *l, void *obj, const struct state_in *in)
{
	int rc = state_check(l, obj, in);

	return rc ? rc : load(l, obj, in, true);
}

/* ---- devices ---- */

#define WAIT_US 50

unsigned dev_let_go(struct bus *b)
{
	unsigned depth;

	for (depth = 0; bus_locked(b); depth++)
		bus_unlock(b);
	return depth;
}

void dev_take_back(struct bus *b, unsigned depth)
{
	while (depth--)
		bus_lock(b);
}

void dev_wait(struct bus *b, bool (*done)(void *opaque), void *opaque)
{
	while (!done(opaque)) {
		unsigned depth = dev_let_go(b);

		g_usleep(WAIT_US);
		dev_take_back(b, depth);
	}
}

static int no_list(const struct dev *d, char *err, unsigned errsize)
{
	snprintf(err, errsize, "the device %s (%s) cannot be saved yet", d->id,
		d->cls->name);
	return -ENOTSUP;
}

int dev_save(struct dev *d, GByteArray *out, char *err, unsigned errsize)
{
	if (!d->cls->state)
		return no_list(d, err, errsize);
	state_save(d->cls->state, d, d->host.bus, out);
	return 0;
}

int dev_check(const struct dev *d, const struct state_in *in)
{
	if (!d->cls->state)
		return no_list(d, in->err, in->errsize);
	return state_check(d->cls->state, d, in);
}

int dev_load(struct dev *d, const struct state_in *in)
{
	if (!d->cls->state)
		return no_list(d, in->err, in->errsize);
	return state_load(d->cls->state, d, in);
}
