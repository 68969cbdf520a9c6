/*
 * share-make.h - requests of 9P that are nearly right, and a folder for them.
 * The includer has struct fuzz, rnd() and below().
 */
#ifndef TESTS_FUZZ_SHARE_MAKE_H
#define TESTS_FUZZ_SHARE_MAKE_H

#include "../unit/share-rig.h"

#define SHARE_FIDS 12u
#define SHARE_MOST 120u /* bytes of one */

/* top/scratch is shared, top/secret is not. */
static inline char *share_make_top(void)
{
	char *top = g_dir_make_tmp("vmeste-share-XXXXXX", NULL);
	g_autofree char *secret = g_build_filename(top, "secret", NULL);

	g_assert_true(g_file_set_contents(secret, "secret", -1, NULL));
	return top;
}

static inline char *share_make_dir(const char *top)
{
	return g_build_filename(top, "scratch", NULL);
}

/* As it shall be at first. */
static inline void share_make_files(const char *top)
{
	g_autofree char *dir = share_make_dir(top);
	static const char *const files[] = {"a", "b", "d/a", "d/d/b"};
	static const char *const links[][2] = {{"../secret", "up"},
		{"/etc/passwd", "out"}, {"..", "d/up"}, {"a", "l"}};

	g_mkdir(dir, 0700);
	for (unsigned i = 0; i < G_N_ELEMENTS(files); i++) {
		g_autofree char *path = g_build_filename(dir, files[i], NULL);
		g_autofree char *parent = g_path_get_dirname(path);

		g_mkdir_with_parents(parent, 0700);
		g_file_set_contents(path, files[i], -1, NULL);
	}
	for (unsigned i = 0; i < G_N_ELEMENTS(links); i++) {
		g_autofree char *path =
			g_build_filename(dir, links[i][1], NULL);

		if (symlink(links[i][0], path))
			continue;
	}
}

/* What is in it goes; it stays. */
static inline void share_make_empty(const char *top)
{
	g_autofree char *dir = share_make_dir(top);
	g_autofree char *all = g_strdup_printf(
		"chmod -R u+rwx '%s' 2>/dev/null; find '%s' -mindepth 1 "
		"-delete",
		dir, dir);
	const char *argv[] = {"sh", "-c", all, NULL};

	g_spawn_sync(NULL, (char **)(uintptr_t)argv, NULL, G_SPAWN_SEARCH_PATH,
		NULL, NULL, NULL, NULL, NULL, NULL);
}

/* Nothing but the folder was touched; then all goes. */
static inline void share_make_close(char *top)
{
	g_autofree char *secret = g_build_filename(top, "secret", NULL);
	g_autofree char *text = NULL;
	g_autoptr(GDir) d = NULL;
	unsigned n = 0;

	g_assert_true(g_file_get_contents(secret, &text, NULL, NULL));
	g_assert_cmpstr(text, ==, "secret");
	d = g_dir_open(top, 0, NULL);
	while (g_dir_read_name(d))
		n++;
	g_assert_cmpuint(n, ==, 2);
	share_make_empty(top);
	rig_remove(top);
	g_free(top);
}

/* ---- requests ---- */

struct share_shape {
	uint8_t type;
	const char *shape; /* as of rig_build; f: a fid, t: mostly the root, g:
			    * never, n: a name, o: flags
			    * of opening, m: a mode, a: an offset, c: a count,
			    * w: some names */
};

static const struct share_shape share_shapes[] = {{P9_TWALK, "tfw"},
	{P9_TWALK, "tfw"}, {P9_TWALK, "tfw"}, {P9_TWALK, "tfw"},
	{P9_TLOPEN, "fo"}, {P9_TLOPEN, "fo"}, {P9_TLOPEN, "fo"},
	{P9_TLCREATE, "tnomd"}, {P9_TSYMLINK, "tnnd"}, {P9_TMKNOD, "tnmddd"},
	{P9_TRENAME, "gtn"}, {P9_TREADLINK, "f"}, {P9_TGETATTR, "fq"},
	{P9_TSETATTR, "fvmddaqqqq"}, {P9_TXATTRWALK, "ffx"},
	{P9_TXATTRCREATE, "fxqd"}, {P9_TREADDIR, "fac"}, {P9_TFSYNC, "fd"},
	{P9_TLOCK, "fbdaadn"}, {P9_TGETLOCK, "fbaadn"}, {P9_TLINK, "tfn"},
	{P9_TMKDIR, "tnmd"}, {P9_TRENAMEAT, "tntn"}, {P9_TUNLINKAT, "tnr"},
	{P9_TFLUSH, "h"}, {P9_TREAD, "fac"}, {P9_TREAD, "fac"},
	{P9_TWRITE, "fac"}, {P9_TCLUNK, "g"}, {P9_TCLUNK, "g"},
	{P9_TCLUNK, "g"}, {P9_TCLUNK, "g"}, {P9_TREMOVE, "g"},
	{P9_TSTATFS, "f"}, {P9_TATTACH, "fedqd"}};

static inline void share_make_name(struct fuzz *f, struct p9_out *out)
{
	static const char *const names[] = {"a", "b", "d", "up", "out", "l",
		"e", "a", "d", "..", ".", "", "d/a", "../secret",
		"/etc/passwd"};
	unsigned n = below(f, below(f, 4) ? 9 : G_N_ELEMENTS(names));

	p9_put_string(out, names[n]);
	if (!below(f, 200))
		out->p[out->n - 1] = (uint8_t)rnd(f);
}

static inline void share_make_field(
	struct fuzz *f, struct p9_out *out, char kind)
{
	static const uint32_t opens[] = {0, 1, 2, 02102, 01001, 0200000, 02002};
	static const char *const xattrs[] = {
		"", "user.a", "user.b", "security.capability", "user."};
	unsigned n;

	switch (kind) {
	case 'f':
		p9_put32(out, below(f, 100) ? below(f, SHARE_FIDS) : rnd(f));
		break;
	case 't': p9_put32(out, below(f, 3) ? 0 : below(f, SHARE_FIDS)); break;
	case 'g': p9_put32(out, 1 + below(f, SHARE_FIDS - 1)); break;
	case 'e': p9_put32(out, P9_NOFID); break;
	case 'n': share_make_name(f, out); break;
	case 'x':
		p9_put_string(out, xattrs[below(f, G_N_ELEMENTS(xattrs))]);
		break;
	case 'o':
		p9_put32(out, below(f, 8) ? opens[below(f, 7)] : rnd(f));
		break;
	case 'm':
		p9_put32(out,
			below(f, 8) ? 0700 | below(f, 64) : rnd(f) & 0177777);
		break;
	case 'v':
		p9_put32(out, below(f, 8) ? 1u << below(f, 9) : rnd(f));
		break;
	case 'a':
		p9_put32(out, below(f, 8) ? below(f, 20000) : rnd(f));
		p9_put32(out, below(f, 16) ? 0 : rnd(f));
		break;
	case 'c': p9_put32(out, below(f, 8) ? below(f, 8192) : rnd(f)); break;
	case 'r': p9_put32(out, below(f, 2) ? 0x200 : rnd(f)); break;
	case 'w':
		n = below(f, 32) ? below(f, 4) : below(f, 20);
		p9_put16(out, n);
		while (n--)
			share_make_name(f, out);
		break;
	case 'b': p9_put8(out, below(f, 4)); break;
	case 'h': p9_put16(out, rnd(f)); break;
	case 'd': p9_put32(out, below(f, 4)); break;
	default: p9_put64(out, below(f, 4) ? below(f, 3000) : rnd(f)); break;
	}
}

/* One into p, of SHARE_MOST bytes; how many there are. */
static inline unsigned share_make(struct fuzz *f, uint8_t *p)
{
	const struct share_shape *s =
		&share_shapes[below(f, G_N_ELEMENTS(share_shapes))];
	struct p9_out out = {.p = p, .n = P9_HEADER, .max = SHARE_MOST};
	uint8_t type = s->type;
	size_t n;

	if (!below(f, 3000)) {
		type = P9_TVERSION;
		p9_put32(&out, 8192 + below(f, 100000));
		p9_put_string(&out, "9P2000.L");
	} else {
		for (const char *c = s->shape; *c; c++)
			share_make_field(f, &out, *c);
	}
	n = below(f, 100) ? out.n : below(f, SHARE_MOST);
	out = (struct p9_out){.p = p, .max = P9_HEADER};
	p9_put32(&out, below(f, 100) ? n : rnd(f));
	p9_put8(&out, below(f, 200) ? type : rnd(f));
	p9_put16(&out, rnd(f));
	return (unsigned)n;
}

/* What begins a session: version, attach, a file, which is opened as 1. */
static inline unsigned share_make_hello(uint8_t *p, unsigned step)
{
	static const struct {
		const char *bytes;
		unsigned n;
	} steps[] = {
		{"\x15\0\0\0\x64\xff\xff\0\x20\0\0\x08\0"
		 "9P2000.L",
			21},
		{"\x18\0\0\0\x68\1\0\0\0\0\0\xff\xff\xff\xff\0\0\1\0/\0\0"
		 "\0\0",
			24},
		{"\x14\0\0\0\x6e\2\0\0\0\0\0\1\0\0\0\1\0\1\0"
		 "a",
			20},
		{"\x0f\0\0\0\x0c\3\0\1\0\0\0\2\0\0\0", 15},
	};

	step = MIN(step, G_N_ELEMENTS(steps) - 1);
	memcpy(p, steps[step].bytes, steps[step].n);
	return steps[step].n;
}

#endif
