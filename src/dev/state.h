/*
 * state.h - what of a device is saved, as a list of its fields.
 *
 * A class points to a struct state_list of its object.  Writer and loader walk
 * that list: a device has no code of its own for either, but hooks where
 * something follows from what was loaded (regions to be mapped, lines to be
 * driven).  docs/formats.md has the bytes, docs/architecture.md a how-to.
 *
 * What holds:
 * - Saved is what a guest can see or will see.  What follows from other fields,
 *   from the settings or from the host (pointers, threads, caches, counters for
 *   people) is not, and lengths of memory never come out of a state.
 * - Loading goes into an object that was made by the same settings and reset.
 *   All input is looked at before the first field is changed: names, kinds,
 *   numbers of elements, ranges.  A hook may still refuse; the object must not
 *   run then, only be reset or freed.
 * - Interrupt lines are not driven while loading: who listens to a line saves
 *   its level.
 *
 * Growing: raise the list's version, give the new field .since; older states
 * leave it as reset made it.  A field that is no more stays in the list as
 * STATE_GONE.
 */
#ifndef DEV_STATE_H
#define DEV_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <glib.h>

#include "bus/bus.h"

#define STATE_MAX_FIELDS 128 /* of one list */
#define STATE_MAX_NAME	 47  /* bytes of a field's name */
#define STATE_MAX_DEPTH	 8   /* lists in lists */

struct dev;
struct state_list;

enum state_kind {
	STATE_KIND_INT = 1, /* integers, enumerations, bool; arrays of them */
	STATE_KIND_BYTES,   /* bytes in the object, or behind a pointer */
	STATE_KIND_STRUCT,  /* another list; arrays of it */
	STATE_KIND_TIMER,   /* struct bus_timer: when, by the virtual clock */
	STATE_KIND_TSC,	   /* uint64_t in the host's TSC: against now; 0 is 0 */
	STATE_KIND_CHOICE, /* a pointer that is one of a few: its name */
	STATE_KIND_BLOB,   /* bytes that the device itself writes and reads */
	STATE_KIND_GONE,   /* known, ignored */
};

/* Where the elements are. */
enum state_place {
	STATE_HERE,	/* in the object */
	STATE_BEHIND,	/* the field is a pointer to them */
	STATE_POINTERS, /* the field is an array of pointers to each */
};

/* Part of an input, for blobs. */
struct state_bytes {
	const uint8_t *p;
	size_t n;
	bool apply; /* take them, else only look */
};

struct state_choice {
	const char *name;
	const void *value; /* never NULL: that is the empty name */
};

struct state_blob {
	/* Append to out. */
	void (*get)(const void *obj, GByteArray *out);
	/* Look at the bytes, or take them too.  0 or -errno with a line in
	 * err.  What was looked at once is taken without an error. */
	int (*put)(void *obj, const struct state_bytes *from, char *err,
		unsigned errsize);
	uint32_t max; /* bytes */
};

struct state_field {
	const char *name;
	uint8_t kind, place;
	uint8_t size; /* bytes of an integer: 1, 2, 4, 8 */
	bool is_signed, is_bool;
	uint16_t since;	 /* version of the list that first had it; 0: all */
	uint32_t offset; /* in the object */
	uint32_t count;	 /* elements; bytes of BYTES */
	/* Or the count is a member of the object that loading leaves alone;
	 * count_size is its size, 0: none. */
	uint32_t count_offset;
	uint8_t count_size;
	/* What an integer may be; both 0: all that fits. */
	int64_t min;
	uint64_t max;
	const struct state_list *list;
	const struct state_choice *choice; /* ends with a NULL name */
	const struct state_blob *blob;
	/* Is it worth saving just now?  A state without it leaves the object as
	 * it is: as reset made it. */
	bool (*when)(const void *obj);
};

struct state_list {
	const char *name;
	uint32_t size; /* of the object */
	uint16_t version, nfields;
	const struct state_field *field;
	/* Bring fields up to date.  Lock held. */
	void (*before_save)(void *obj);
	/* All fields of the object, and of lists inside it, are loaded; check
	 * what a range cannot say, derive the rest.  0 or -errno with a line in
	 * err.  Lock held, time stands. */
	int (*loaded)(void *obj, unsigned version, char *err, unsigned errsize);
};

#define STATE_LIST(name_, type, version_, fields, ...)                         \
	{                                                                      \
		.name = name_, .size = sizeof(type), .version = version_,      \
		.nfields = sizeof(fields) / sizeof((fields)[0]),               \
		.field = fields, __VA_ARGS__                                   \
	}

/* ---- fields; further members may follow: STATE(struct x, y, .max = 3) ---- */

#define STATE_M(type, m) (((type *)0)->m)
#define STATE_SIGNED(e)                                                        \
	_Generic((e), int8_t                                                   \
		 : true, int16_t                                               \
		 : true, int32_t                                               \
		 : true, int64_t                                               \
		 : true, default                                               \
		 : false)
#define STATE_BOOL(e) _Generic((e), bool : true, default : false)
#define STATE_ELEMENT(e)                                                       \
	.size = sizeof(e), .is_signed = STATE_SIGNED(e),                       \
	.is_bool = STATE_BOOL(e)
#define STATE_N(a) (sizeof(a) / sizeof((a)[0]))

#define STATE_AT(type, m, k, ...)                                              \
	{                                                                      \
		.name = #m, .kind = k, .offset = offsetof(type, m),            \
		__VA_ARGS__                                                    \
	}

/* One integer, bool or enumeration. */
#define STATE(type, m, ...)                                                    \
	STATE_AT(type, m, STATE_KIND_INT, STATE_ELEMENT(STATE_M(type, m)),     \
		.count = 1, ##__VA_ARGS__)
/* An array of them; of bytes: STATE_BYTES. */
#define STATE_ARRAY(type, m, ...)                                              \
	STATE_AT(type, m, STATE_KIND_INT, STATE_ELEMENT(STATE_M(type, m)[0]),  \
		.count = STATE_N(STATE_M(type, m)), ##__VA_ARGS__)
/* All bytes of a member. */
#define STATE_BYTES(type, m, ...)                                              \
	STATE_AT(type, m, STATE_KIND_BYTES, .count = sizeof(STATE_M(type, m)), \
		##__VA_ARGS__)
/* n bytes behind a pointer, n a member of the object. */
#define STATE_BYTES_AT(type, m, n, ...)                                        \
	STATE_AT(type, m, STATE_KIND_BYTES, .place = STATE_BEHIND,             \
		STATE_COUNT(type, n), ##__VA_ARGS__)
/* n bytes behind a pointer, n a constant. */
#define STATE_MEM(type, m, n, ...)                                             \
	STATE_AT(type, m, STATE_KIND_BYTES, .place = STATE_BEHIND, .count = n, \
		##__VA_ARGS__)
#define STATE_COUNT(type, n)                                                   \
	.count_offset = offsetof(type, n),                                     \
	.count_size = sizeof(STATE_M(type, n))
/* Another object in this one, with its own list. */
#define STATE_STRUCT(type, m, l, ...)                                          \
	STATE_AT(type, m, STATE_KIND_STRUCT, .list = l, .count = 1,            \
		##__VA_ARGS__)
#define STATE_STRUCTS(type, m, l, ...)                                         \
	STATE_AT(type, m, STATE_KIND_STRUCT, .list = l,                        \
		.count = STATE_N(STATE_M(type, m)), ##__VA_ARGS__)
/* One behind a pointer that is not NULL. */
#define STATE_STRUCT_AT(type, m, l, ...)                                       \
	STATE_AT(type, m, STATE_KIND_STRUCT, .place = STATE_BEHIND, .list = l, \
		.count = 1, ##__VA_ARGS__)
/* n of them in a row behind a pointer; n pointers, none of them NULL. */
#define STATE_STRUCTS_AT(type, m, n, l, ...)                                   \
	STATE_AT(type, m, STATE_KIND_STRUCT, .place = STATE_BEHIND, .list = l, \
		STATE_COUNT(type, n), ##__VA_ARGS__)
#define STATE_POINTERS_TO(type, m, n, l, ...)                                  \
	STATE_AT(type, m, STATE_KIND_STRUCT, .place = STATE_POINTERS,          \
		.list = l, STATE_COUNT(type, n), ##__VA_ARGS__)
#define STATE_TIMER(type, m, ...)                                              \
	STATE_AT(type, m, STATE_KIND_TIMER, .count = 1, ##__VA_ARGS__)
#define STATE_TSC(type, m, ...)                                                \
	STATE_AT(type, m, STATE_KIND_TSC, .count = 1, ##__VA_ARGS__)
#define STATE_CHOICE(type, m, c, ...)                                          \
	STATE_AT(type, m, STATE_KIND_CHOICE, .choice = c, .count = 1,          \
		##__VA_ARGS__)
#define STATE_BLOB(name_, b, ...)                                              \
	{                                                                      \
		.name = name_, .kind = STATE_KIND_BLOB, .blob = b, __VA_ARGS__ \
	}
#define STATE_GONE(name_)                                                      \
	{                                                                      \
		.name = name_, .kind = STATE_KIND_GONE                         \
	}

/* ---- writing and loading; lock held, time stands ---- */

/* Of a class that keeps nothing. */
extern const struct state_list state_nothing;

void state_save(const struct state_list *l, void *obj, struct bus *bus,
	GByteArray *out);

/* 0 or -errno with a line in err: -EINVAL it is damaged or does not fit, or
 * -ENOTSUP a newer version wrote it. */
struct state_in {
	struct bus *bus;
	const uint8_t *p;
	size_t n;
	char *err;
	unsigned errsize;
};

/* Look only. */
int state_check(
	const struct state_list *l, const void *obj, const struct state_in *in);
/* Look, then change the object, then call hooks, inner lists' first. */
int state_load(
	const struct state_list *l, void *obj, const struct state_in *in);

/* The same of a device; -ENOTSUP if its class has no list. */
int dev_save(struct dev *d, GByteArray *out, char *err, unsigned errsize);
int dev_check(const struct dev *d, const struct state_in *in);
int dev_load(struct dev *d, const struct state_in *in);

#endif
