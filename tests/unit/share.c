/*
 * share.c - the file server behind shared folders: what a client may do, and
 * what it may not.
 */
#include <sys/stat.h>
#include <sys/xattr.h>

#include "share-rig.h"

#define O_L_EXCL 0200u

static void *new_rig(void)
{
	return g_new0(struct share_rig, 1);
}

static void up(struct share_rig *r, bool readonly, unsigned max_open)
{
	g_autofree char *dir = NULL;

	rig_open(r, readonly, max_open);
	dir = rig_path(r, "dir");
	rig_write(r, "file", "hello");
	rig_write(r, "other", "other");
	g_assert_cmpint(g_mkdir(dir, 0755), ==, 0);
	rig_write(r, "dir/inner", "inner");
	rig_attach(r);
}

static int open_file(
	struct share_rig *r, unsigned id, const char *path, unsigned flags)
{
	int rc = rig_walk(r, 0, id, path);

	return rc ? rc : ask(r, P9_TLOPEN, "dd", id, flags);
}

/* What is in an open file from there on. */
static char *read_at(struct share_rig *r, unsigned id, uint64_t at, unsigned n)
{
	if (ask(r, P9_TREAD, "dqd", id, at, n))
		return g_strdup("(error)");
	n = p9_get32(&r->in);
	g_assert_cmpint(n, ==, r->in.n);
	return g_strndup((const char *)r->in.p, n);
}

static void check_read(
	struct share_rig *r, unsigned id, uint64_t at, const char *want)
{
	g_autofree char *got = read_at(r, id, at, 100);

	g_assert_cmpstr(got, ==, want);
}

static void check_file(struct share_rig *r, const char *name, const char *want)
{
	g_autofree char *path = rig_path(r, name), *text = NULL;

	g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
	g_assert_cmpstr(text, ==, want);
}

/* ---- messages that are none ---- */

#define RAW(s) s, sizeof(s) - 1
#define LONG16                                                                 \
	"\x10\x00"                                                             \
	"0123456789abcdef"

static const struct {
	const char *what, *bytes;
	size_t n;
	int want;
} rubbish[] = {
	{"size below the header", RAW("\x06\0\0\0\x78\1\0\0\0\0\0"), EINVAL},
	{"size beyond the message", RAW("\xff\0\0\0\x78\1\0\0\0\0\0"), EINVAL},
	{"no body", RAW("\x07\0\0\0\x78\1\0"), EBADF},
	{"an answer", RAW("\x07\0\0\0\x79\1\0"), EOPNOTSUPP},
	{"no such type", RAW("\x07\0\0\0\xff\1\0"), EOPNOTSUPP},
	{"type 0", RAW("\x07\0\0\0\0\1\0"), EOPNOTSUPP},
	{"old Tcreate", RAW("\x07\0\0\0\x72\1\0"), EOPNOTSUPP},
	{"walk without names", RAW("\x11\0\0\0\x6e\1\0\0\0\0\0\1\0\0\0\1\0"),
		EINVAL},
	{"walk with 17 names", RAW("\x11\0\0\0\x6e\1\0\0\0\0\0\1\0\0\0\x11\0"),
		EINVAL},
	{"walk with 65535 names",
		RAW("\x11\0\0\0\x6e\1\0\0\0\0\0\1\0\0\0\xff\xff"), EINVAL},
	{"a name longer than the message",
		RAW("\x14\0\0\0\x6e\1\0\0\0\0\0\1\0\0\0\1\0\xff\xff\x61"),
		EINVAL},
	{"a name with a NUL",
		RAW("\x16\0\0\0\x6e\1\0\0\0\0\0\1\0\0\0\1\0\3\0a\0b"), EINVAL},
	{"clunk of nothing", RAW("\x0b\0\0\0\x78\1\0\x63\0\0\0"), EBADF},
	{"remove of nothing", RAW("\x0b\0\0\0\x7a\1\0\x63\0\0\0"), EBADF},
	{"write without data",
		RAW("\x17\0\0\0\x76\1\0\0\0\0\0\0\0\0\0\0\0\0\0\x10\0\0\0"),
		EINVAL},
	{"write of 4 GiB",
		RAW("\x17\0\0\0\x76\1\0\0\0\0\0\0\0\0\0\0\0\0\0\xff\xff\xff\xff"),
		EINVAL},
	{"read beyond 63 bits",
		RAW("\x17\0\0\0\x74\1\0\0\0\0\0\0\0\0\0\0\0\0\x80\1\0\0\0"),
		EINVAL},
	{"version without a string", RAW("\x0b\0\0\0\x64\1\0\0\0\2\0"), EINVAL},
};

static void test_rubbish(void)
{
	g_autofree struct share_rig *r = new_rig();

	up(r, false, 0);
	for (unsigned i = 0; i < G_N_ELEMENTS(rubbish); i++) {
		memcpy(r->msg, rubbish[i].bytes, rubbish[i].n);
		g_test_message("%s", rubbish[i].what);
		g_assert_cmpint(rig_send(r, rubbish[i].n), ==, rubbish[i].want);
	}
	/* longer than any but a write may be */
	memset(r->msg, 0, RIG_BYTES);
	r->msg[1] = 0x40;
	r->msg[4] = P9_TSYMLINK;
	g_assert_cmpint(rig_send(r, 0x4000), ==, EMSGSIZE);
	/* no room for more than an error */
	g_assert_cmpint(rig_walk(r, 0, 1, "file"), ==, 0);
	r->most = SHARE_MIN_REPLY;
	g_assert_cmpint(ask(r, P9_TGETATTR, "dq", 1u, 0x7ffull), ==, EMSGSIZE);
	rig_close(r);
}

static void test_version(void)
{
	g_autofree struct share_rig *r = new_rig();

	rig_open(r, false, 0);
	g_assert_cmpint(rig_walk(r, 0, 1, ""), ==, EPROTO);
	g_assert_cmpint(ask(r, P9_TVERSION, "ds", 8192u, "9P2000"), ==, 0);
	p9_skip(&r->in, 4);
	g_assert_cmpint(p9_get16(&r->in), ==, strlen("unknown"));
	g_assert_cmpint(rig_walk(r, 0, 1, ""), ==, EPROTO);
	g_assert_cmpint(
		ask(r, P9_TVERSION, "ds", 4095u, "9P2000.L"), ==, EMSGSIZE);
	g_assert_cmpint(
		ask(r, P9_TVERSION, "ds", 0xffffffffu, "9P2000.L"), ==, 0);
	g_assert_cmpint(p9_get32(&r->in), ==, SHARE_MAX_MSIZE);
	rig_attach(r);
	g_assert_cmpint(ask(r, P9_TATTACH, "ddssd", 0u, P9_NOFID, "", "/", 0u),
		==, EBADF);
	g_assert_cmpint(
		ask(r, P9_TAUTH, "dssd", 9u, "", "", 0u), ==, EOPNOTSUPP);
	/* a new one forgets what the old one had */
	rig_attach(r);
	g_assert_cmpint(ask(r, P9_TFLUSH, "w", 77u), ==, 0);
	rig_close(r);
}

/* ---- names ---- */

static void test_names(void)
{
	static const struct {
		const char *name;
		int want;
	} bad[] = {{"", EINVAL}, {".", EINVAL}, {"..", EINVAL}, {"/", EINVAL},
		{"a/b", EINVAL}, {"../file", EINVAL}, {"dir/", EINVAL},
		{NULL, ENAMETOOLONG}};
	g_autofree char *big = g_strnfill(300, 'x');
	g_autofree struct share_rig *r = new_rig();

	up(r, false, 0);
	g_assert_cmpint(rig_walk(r, 0, 1, "file"), ==, 0);
	for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
		const char *n = bad[i].name ? bad[i].name : big;
		int want = bad[i].want;

		g_assert_cmpint(
			ask(r, P9_TMKDIR, "dsdd", 0u, n, 0755u, 0u), ==, want);
		g_assert_cmpint(
			ask(r, P9_TSYMLINK, "dssd", 0u, n, "x", 0u), ==, want);
		g_assert_cmpint(
			ask(r, P9_TMKNOD, "dsdddd", 0u, n, 0644u, 0u, 0u, 0u),
			==, want);
		g_assert_cmpint(ask(r, P9_TLINK, "dds", 0u, 1u, n), ==, want);
		g_assert_cmpint(
			ask(r, P9_TUNLINKAT, "dsd", 0u, n, 0x200u), ==, want);
		g_assert_cmpint(ask(r, P9_TRENAME, "dds", 1u, 0u, n), ==, want);
		g_assert_cmpint(
			ask(r, P9_TRENAMEAT, "dsds", 0u, n, 0u, "y"), ==, want);
		g_assert_cmpint(ask(r, P9_TRENAMEAT, "dsds", 0u, "file", 0u, n),
			==, want);
		g_assert_cmpint(
			ask(r, P9_TLCREATE, "dsddd", 0u, n, 2u, 0644u, 0u), ==,
			want);
		/* ".." is a way up for those who look */
		if (strcmp(n, ".."))
			g_assert_cmpint(ask(r, P9_TWALK, "ddws", 0u, 2u, 1u, n),
				==, want);
	}
	check_file(r, "file", "hello");
	rig_close(r);
}

/* The number of a file, for comparison. */
static uint64_t qid_of(struct share_rig *r, unsigned id)
{
	g_assert_cmpint(ask(r, P9_TGETATTR, "dq", id, 0x7ffull), ==, 0);
	p9_skip(&r->in, 8);
	p9_skip(&r->in, 1);
	p9_skip(&r->in, 4);
	return p9_get64(&r->in);
}

/* No way leads out of the folder. */
static void test_escape(void)
{
	g_autofree struct share_rig *r = new_rig();
	g_autofree char *top = NULL, *secret = NULL, *link = NULL;

	up(r, false, 0);
	g_assert_cmpint(rig_walk(r, 0, 1, "dir"), ==, 0);
	g_assert_cmpint(rig_walk(r, 1, 2, "../../.."), ==, 0);
	g_assert_cmpint(qid_of(r, 2), ==, qid_of(r, 0));
	g_assert_cmpint(rig_walk(r, 0, 3, "../etc/passwd"), ==, ENOENT);
	/* links are read, not followed, whoever made them */
	secret = g_build_filename(g_get_tmp_dir(), "vmeste-secret", NULL);
	g_assert_true(g_file_set_contents(secret, "secret", -1, NULL));
	top = rig_path(r, "out");
	link = rig_path(r, "upward");
	g_assert_cmpint(symlink(g_get_tmp_dir(), top), ==, 0);
	g_assert_cmpint(symlink("../vmeste-secret", link), ==, 0);
	g_assert_cmpint(
		ask(r, P9_TSYMLINK, "dssd", 0u, "made", secret, 0u), ==, 0);
	g_assert_cmpint(rig_walk(r, 0, 4, "out/vmeste-secret"), ==, ENOENT);
	g_assert_cmpint(open_file(r, 5, "made", 0), ==, ELOOP);
	g_assert_cmpint(open_file(r, 6, "upward", 1), ==, ELOOP);
	g_assert_cmpint(ask(r, P9_TREADLINK, "d", 5u), ==, 0);
	g_assert_cmpint(p9_get16(&r->in), ==, strlen(secret));
	/* made over it, truncated through it, its mode, its size */
	g_assert_cmpint(
		ask(r, P9_TLCREATE, "dsddd", 2u, "made", 01002u, 0666u, 0u), ==,
		ELOOP);
	g_assert_cmpint(ask(r, P9_TSETATTR, "dddddqqqqq", 5u, 8u, 0u, 0u, 0u,
				0ull, 0ull, 0ull, 0ull, 0ull),
		==, EINVAL);
	g_assert_cmpint(ask(r, P9_TSETATTR, "dddddqqqqq", 5u, 1u, 0777u, 0u, 0u,
				0ull, 0ull, 0ull, 0ull, 0ull),
		==, EOPNOTSUPP);
	/* what was a folder as one looked is a link when one uses it */
	g_assert_cmpint(rig_walk(r, 0, 7, "dir"), ==, 0);
	{
		g_autofree char *dir = rig_path(r, "dir");
		g_autofree char *away = rig_path(r, "away");

		g_assert_cmpint(rename(dir, away), ==, 0);
		g_assert_cmpint(symlink("/etc", dir), ==, 0);
	}
	g_assert_cmpint(rig_walk(r, 7, 8, "passwd"), ==, ENOENT);
	g_assert_cmpint(rig_walk(r, 7, 9, "inner"), ==, 0);
	{
		g_autofree char *text = NULL;

		g_file_get_contents(secret, &text, NULL, NULL);
		g_assert_cmpstr(text, ==, "secret");
	}
	unlink(secret);
	rig_close(r);
}

/* Pipes, sockets, devices: seen, not opened. */
static void test_special(void)
{
	g_autofree struct share_rig *r = new_rig();
	g_autofree char *path = NULL;

	up(r, false, 0);
	path = rig_path(r, "pipe");
	g_assert_cmpint(mkfifo(path, 0600), ==, 0);
	g_assert_cmpint(open_file(r, 1, "pipe", 0), ==, ENXIO);
	g_assert_cmpint(ask(r, P9_TLOPEN, "dd", 1u, 1u), ==, ENXIO);
	g_assert_cmpint(rig_walk(r, 0, 2, ""), ==, 0);
	g_assert_cmpint(ask(r, P9_TLCREATE, "dsddd", 2u, "pipe", 2u, 0666u, 0u),
		==, ENXIO);
	g_assert_cmpint(
		ask(r, P9_TMKNOD, "dsdddd", 0u, "mem", 020666u, 1u, 1u, 0u), ==,
		EPERM);
	g_assert_cmpint(
		ask(r, P9_TMKNOD, "dsdddd", 0u, "disk", 060666u, 8u, 0u, 0u),
		==, EPERM);
	g_assert_cmpint(
		ask(r, P9_TMKNOD, "dsdddd", 0u, "own", 010644u, 0u, 0u, 0u), ==,
		0);
	g_assert_cmpint(
		ask(r, P9_TMKNOD, "dsdddd", 0u, "sock", 0140644u, 0u, 0u, 0u),
		==, 0);
	rig_close(r);
}

/* ---- files ---- */

static void test_files(void)
{
	g_autofree struct share_rig *r = new_rig();

	up(r, false, 0);
	g_assert_cmpint(open_file(r, 1, "dir/inner", 0), ==, 0);
	check_read(r, 1, 1, "nner");
	check_read(r, 1, 5, "");
	g_assert_cmpint(ask(r, P9_TLOPEN, "dd", 1u, 0u), ==, EBUSY);
	g_assert_cmpint(ask(r, P9_TWRITE, "dqx", 1u, 0ull, "x", 1u), ==, EBADF);
	g_assert_cmpint(rig_walk(r, 0, 2, ""), ==, 0);
	g_assert_cmpint(ask(r, P9_TLCREATE, "dsddd", 2u, "new", 02u | O_L_EXCL,
				04644u, 0u),
		==, 0);
	g_assert_cmpint(ask(r, P9_TWRITE, "dqx", 2u, 3ull, "data", 4u), ==, 0);
	g_assert_cmpint(p9_get32(&r->in), ==, 4);
	g_assert_cmpint(ask(r, P9_TFSYNC, "dd", 2u, 1u), ==, 0);
	check_read(r, 2, 3, "data");
	g_assert_cmpint(rig_walk(r, 0, 3, ""), ==, 0);
	g_assert_cmpint(ask(r, P9_TLCREATE, "dsddd", 3u, "new", 02u | O_L_EXCL,
				0644u, 0u),
		==, EEXIST);
	/* removed while open: it is there as long as it is open */
	g_assert_cmpint(ask(r, P9_TUNLINKAT, "dsd", 0u, "new", 0u), ==, 0);
	check_read(r, 2, 3, "data");
	g_assert_cmpint(ask(r, P9_TSETATTR, "dddddqqqqq", 2u, 8u, 0u, 0u, 0u,
				5ull, 0ull, 0ull, 0ull, 0ull),
		==, 0);
	check_read(r, 2, 3, "da");
	g_assert_cmpint(rig_walk(r, 0, 4, "new"), ==, ENOENT);
	g_assert_cmpint(rig_clunk(r, 2), ==, 0);
	g_assert_cmpint(ask(r, P9_TREAD, "dqd", 2u, 0ull, 1u), ==, EBADF);
	/* a folder is no file, and the other way round */
	g_assert_cmpint(open_file(r, 5, "dir", 2), ==, EISDIR);
	g_assert_cmpint(ask(r, P9_TLOPEN, "dd", 5u, 0200000u), ==, 0);
	g_assert_cmpint(ask(r, P9_TREAD, "dqd", 5u, 0ull, 1u), ==, EISDIR);
	g_assert_cmpint(ask(r, P9_TREADDIR, "dqd", 1u, 0ull, 100u), ==, EBADF);
	g_assert_cmpint(open_file(r, 6, "file", 3), ==, EINVAL);
	rig_close(r);
}

static void test_moves(void)
{
	g_autofree struct share_rig *r = new_rig();

	up(r, false, 0);
	g_assert_cmpint(rig_walk(r, 0, 1, "dir"), ==, 0);
	g_assert_cmpint(rig_walk(r, 0, 2, "dir/inner"), ==, 0);
	/* the folder moves, what is in it comes along */
	g_assert_cmpint(
		ask(r, P9_TRENAMEAT, "dsds", 0u, "dir", 0u, "moved"), ==, 0);
	g_assert_cmpint(ask(r, P9_TLOPEN, "dd", 2u, 0u), ==, 0);
	check_read(r, 2, 0, "inner");
	g_assert_cmpint(rig_walk(r, 1, 3, "inner"), ==, 0);
	/* by its number; over another */
	g_assert_cmpint(ask(r, P9_TRENAME, "dds", 3u, 0u, "other"), ==, 0);
	check_file(r, "other", "inner");
	g_assert_cmpint(ask(r, P9_TRENAME, "dds", 0u, 1u, "x"), ==, EBUSY);
	g_assert_cmpint(ask(r, P9_TRENAMEAT, "dsds", 0u, "moved", 1u, "in"), ==,
		EINVAL);
	g_assert_cmpint(ask(r, P9_TLINK, "dds", 1u, 3u, "again"), ==, 0);
	check_file(r, "moved/again", "inner");
	/* remove closes its number, whether it can be or not */
	g_assert_cmpint(ask(r, P9_TREMOVE, "d", 1u), ==, ENOTEMPTY);
	g_assert_cmpint(rig_clunk(r, 1), ==, EBADF);
	g_assert_cmpint(ask(r, P9_TREMOVE, "d", 3u), ==, 0);
	g_assert_cmpint(rig_walk(r, 0, 4, "other"), ==, ENOENT);
	g_assert_cmpint(
		ask(r, P9_TUNLINKAT, "dsd", 0u, "moved", 0u), ==, EISDIR);
	rig_close(r);
}

/* What the host does is seen at once, and nothing is taken for what it is
 * not. */
static void test_host_changes(void)
{
	g_autofree struct share_rig *r = new_rig();
	g_autofree char *file = NULL, *new = NULL;

	up(r, false, 0);
	file = rig_path(r, "file");
	new = rig_path(r, "new");
	g_assert_cmpint(rig_walk(r, 0, 1, "file"), ==, 0);
	rig_write(r, "new", "changed");
	g_assert_cmpint(rename(new, file), ==, 0);
	g_assert_cmpint(open_file(r, 2, "file", 0), ==, 0);
	check_read(r, 2, 0, "changed");
	/* the old one is what it was */
	g_assert_cmpint(ask(r, P9_TLOPEN, "dd", 1u, 0u), ==, 0);
	check_read(r, 1, 0, "hello");
	g_assert_cmpint(rig_walk(r, 0, 3, "other"), ==, 0);
	g_assert_cmpint(ask(r, P9_TREMOVE, "d", 3u), ==, 0);
	rig_close(r);
}

/* Few descriptors: those that can be had again are closed. */
static void test_bounds(void)
{
	g_autofree struct share_rig *r = new_rig();
	g_autofree char *f1 = NULL, *gone = NULL;
	struct share_counts n;
	int rc = 0;
	unsigned i;

	up(r, false, 12);
	for (i = 0; i < 100; i++) {
		g_autofree char *name = g_strdup_printf("dir/f%u", i);

		rig_write(r, name, name);
		g_assert_cmpint(rig_walk(r, 0, 100 + i, name), ==, 0);
	}
	share_count(r->s, &n);
	g_assert_cmpint(n.fids, ==, 101);
	g_assert_cmpint(n.open, <=, 12);
	/* each is itself, by its name now */
	g_assert_cmpint(
		ask(r, P9_TRENAMEAT, "dsds", 0u, "dir", 0u, "moved"), ==, 0);
	for (i = 0; i < 100; i += 7) {
		g_autofree char *name = g_strdup_printf("dir/f%u", i);

		g_assert_cmpint(ask(r, P9_TLOPEN, "dd", 100 + i, 0u), ==, 0);
		check_read(r, 100 + i, 0, name);
		g_assert_cmpint(rig_clunk(r, 100 + i), ==, 0);
	}
	/* not what has its name: number, descriptor are others */
	f1 = rig_path(r, "moved/f1");
	gone = rig_path(r, "moved/f2");
	g_assert_cmpint(unlink(f1), ==, 0);
	g_assert_cmpint(unlink(gone), ==, 0);
	rig_write(r, "moved/f1", "another");
	g_assert_cmpint(ask(r, P9_TGETATTR, "dq", 101u, 0x7ffull), ==, ESTALE);
	g_assert_cmpint(ask(r, P9_TGETATTR, "dq", 102u, 0x7ffull), ==, ESTALE);
	/* open ones stay open: then there is no room */
	for (i = 3; i < 100 && !rc; i++)
		if (i % 7)
			rc = ask(r, P9_TLOPEN, "dd", 100 + i, 0u);
	g_assert_cmpint(rc, ==, ENFILE);
	share_count(r->s, &n);
	g_assert_cmpint(n.open, <=, 12);
	g_assert_cmpint(rig_clunk(r, 103), ==, 0);
	g_assert_cmpint(ask(r, P9_TLOPEN, "dd", 190u, 0u), ==, 0);
	rig_close(r);
}

static void test_readonly(void)
{
	g_autofree struct share_rig *r = new_rig();

	up(r, true, 0);
	g_assert_cmpint(open_file(r, 1, "file", 1), ==, EROFS);
	g_assert_cmpint(ask(r, P9_TLOPEN, "dd", 1u, 01000u), ==, EROFS);
	g_assert_cmpint(ask(r, P9_TLOPEN, "dd", 1u, 0u), ==, 0);
	check_read(r, 1, 0, "hello");
	g_assert_cmpint(
		ask(r, P9_TMKDIR, "dsdd", 0u, "n", 0755u, 0u), ==, EROFS);
	g_assert_cmpint(ask(r, P9_TLCREATE, "dsddd", 0u, "n", 2u, 0644u, 0u),
		==, EROFS);
	g_assert_cmpint(
		ask(r, P9_TSYMLINK, "dssd", 0u, "n", "x", 0u), ==, EROFS);
	g_assert_cmpint(ask(r, P9_TMKNOD, "dsdddd", 0u, "n", 0644u, 0u, 0u, 0u),
		==, EROFS);
	g_assert_cmpint(ask(r, P9_TLINK, "dds", 0u, 1u, "n"), ==, EROFS);
	g_assert_cmpint(ask(r, P9_TUNLINKAT, "dsd", 0u, "file", 0u), ==, EROFS);
	g_assert_cmpint(
		ask(r, P9_TRENAMEAT, "dsds", 0u, "file", 0u, "n"), ==, EROFS);
	g_assert_cmpint(ask(r, P9_TRENAME, "dds", 1u, 0u, "n"), ==, EROFS);
	g_assert_cmpint(ask(r, P9_TSETATTR, "dddddqqqqq", 1u, 1u, 0u, 0u, 0u,
				0ull, 0ull, 0ull, 0ull, 0ull),
		==, EROFS);
	g_assert_cmpint(ask(r, P9_TXATTRCREATE, "dsqd", 1u, "user.x", 1ull, 0u),
		==, EROFS);
	g_assert_cmpint(ask(r, P9_TWRITE, "dqx", 1u, 0ull, "x", 1u), ==, EROFS);
	g_assert_cmpint(ask(r, P9_TREMOVE, "d", 1u), ==, EROFS);
	g_assert_cmpint(rig_clunk(r, 1), ==, EBADF);
	rig_close(r);
}

/* ---- attributes ---- */

struct attr {
	uint32_t mode, uid, gid;
	uint64_t nlink, size, mtime;
};

static struct attr attr_of(struct share_rig *r, unsigned id)
{
	struct attr a;

	g_assert_cmpint(ask(r, P9_TGETATTR, "dq", id, 0x7ffull), ==, 0);
	g_assert_cmpint(p9_get64(&r->in) & 0x7ff, ==, 0x7ff);
	p9_get(&r->in, 1);
	p9_skip(&r->in, 4);
	p9_skip(&r->in, 8);
	a.mode = p9_get32(&r->in);
	a.uid = p9_get32(&r->in);
	a.gid = p9_get32(&r->in);
	a.nlink = p9_get64(&r->in);
	p9_skip(&r->in, 8);
	a.size = p9_get64(&r->in);
	for (unsigned i = 0; i < 4; i++)
		p9_skip(&r->in, 8);
	a.mtime = p9_get64(&r->in);
	g_assert_cmpint(r->in.n, ==, 7 * 8);
	return a;
}

static int set(struct share_rig *r, unsigned id, unsigned valid, unsigned v)
{
	return ask(r, P9_TSETATTR, "dddddqqqqq", id, valid, v, v, v,
		(uint64_t)v, (uint64_t)v, 5ull, (uint64_t)v, 5ull);
}

static void test_attributes(void)
{
	g_autofree struct share_rig *r = new_rig();
	g_autofree char *path = NULL;
	struct stat st;

	up(r, false, 0);
	path = rig_path(r, "file");
	g_assert_cmpint(rig_walk(r, 0, 1, "file"), ==, 0);
	g_assert_cmpint(attr_of(r, 1).uid, ==, 1001);
	g_assert_cmpint(attr_of(r, 1).gid, ==, 1002);
	g_assert_cmpint(attr_of(r, 1).size, ==, 5);
	/* the bits that would lend somebody our rights stay off */
	g_assert_cmpint(set(r, 1, 1, 06755), ==, 0);
	g_assert_cmpint(attr_of(r, 1).mode, ==, 0100755);
	/* one that may not be read can be changed back */
	g_assert_cmpint(set(r, 1, 1, 0), ==, 0);
	g_assert_cmpint(attr_of(r, 1).mode, ==, 0100000);
	g_assert_cmpint(set(r, 1, 1, 0644), ==, 0);
	g_assert_cmpint(set(r, 1, 2, 1001), ==, 0);
	g_assert_cmpint(set(r, 1, 4, 1002), ==, 0);
	g_assert_cmpint(set(r, 1, 2, 0), ==, EPERM);
	g_assert_cmpint(set(r, 1, 8, 3), ==, 0);
	check_file(r, "file", "hel");
	g_assert_cmpint(set(r, 0, 8, 3), ==, EISDIR);
	g_assert_cmpint(set(r, 1, 0x120, 1000000), ==, 0);
	g_assert_cmpint(attr_of(r, 1).mtime, ==, 1000000);
	g_assert_cmpint(stat(path, &st), ==, 0);
	g_assert_cmpint(st.st_mtim.tv_nsec, ==, 5);
	g_assert_cmpint(set(r, 1, 0x20, 0), ==, 0);
	g_assert_cmpint(attr_of(r, 1).mtime, >, 1000000);
	g_assert_cmpint(set(r, 1, 0x40, 0), ==, 0);
	g_assert_cmpint(ask(r, P9_TSTATFS, "d", 0u), ==, 0);
	g_assert_cmpint(p9_get32(&r->in), ==, 0x01021997);
	g_assert_cmpint(r->in.n, ==, 4 + 6 * 8 + 4);
	rig_close(r);
}

static int set_xattr(struct share_rig *r, const char *name, const char *value,
	unsigned flags)
{
	unsigned n = strlen(value);
	int rc = rig_walk(r, 0, 50, "file");

	if (!rc)
		rc = ask(r, P9_TXATTRCREATE, "dsqd", 50u, name, (uint64_t)n,
			flags);
	if (!rc && n)
		rc = ask(r, P9_TWRITE, "dqx", 50u, 0ull, value, n);
	if (rc) {
		rig_clunk(r, 50);
		return rc;
	}
	return rig_clunk(r, 50);
}

static void test_xattrs(void)
{
	g_autofree struct share_rig *r = new_rig();
	g_autofree char *path = NULL;

	up(r, false, 0);
	path = rig_path(r, "file");
	if (setxattr(path, "user.host", "there", 5, 0)) {
		g_test_skip("no extended attributes on this file system");
		rig_close(r);
		return;
	}
	g_assert_cmpint(rig_walk(r, 0, 1, "file"), ==, 0);
	g_assert_cmpint(
		ask(r, P9_TXATTRWALK, "dds", 1u, 2u, "user.host"), ==, 0);
	g_assert_cmpint(p9_get64(&r->in), ==, 5);
	check_read(r, 2, 0, "there");
	check_read(r, 2, 9, "");
	g_assert_cmpint(set_xattr(r, "user.guest", "value", 0), ==, 0);
	g_assert_cmpint(set_xattr(r, "user.guest", "value", 1), ==, EEXIST);
	g_assert_cmpint(set_xattr(r, "user.host", "", 2), ==, 0);
	g_assert_cmpint(ask(r, P9_TXATTRWALK, "dds", 1u, 3u, ""), ==, 0);
	g_assert_cmpint(p9_get64(&r->in), ==, sizeof("user.guest"));
	check_read(r, 3, 0, "user.guest");
	g_assert_cmpint(
		ask(r, P9_TXATTRWALK, "dds", 1u, 4u, "user.host"), ==, ENODATA);
	g_assert_cmpint(
		set_xattr(r, "security.capability", "x", 0), ==, EOPNOTSUPP);
	g_assert_cmpint(
		set_xattr(r, "trusted.overlay", "x", 0), ==, EOPNOTSUPP);
	/* less than was announced, more than was announced, too much */
	g_assert_cmpint(rig_walk(r, 0, 5, "file"), ==, 0);
	g_assert_cmpint(
		ask(r, P9_TXATTRCREATE, "dsqd", 5u, "user.a", 4ull, 0u), ==, 0);
	g_assert_cmpint(
		ask(r, P9_TWRITE, "dqx", 5u, 0ull, "12345", 5u), ==, ENOSPC);
	g_assert_cmpint(ask(r, P9_TWRITE, "dqx", 5u, 0ull, "12", 2u), ==, 0);
	g_assert_cmpint(rig_clunk(r, 5), ==, EINVAL);
	g_assert_cmpint(rig_walk(r, 0, 6, "file"), ==, 0);
	g_assert_cmpint(
		ask(r, P9_TXATTRCREATE, "dsqd", 6u, "user.a", 1ull << 40, 0u),
		==, E2BIG);
	for (unsigned i = 100; i < 100 + 127; i++) {
		g_assert_cmpint(rig_walk(r, 0, i, "file"), ==, 0);
		g_assert_cmpint(ask(r, P9_TXATTRCREATE, "dsqd", i, "user.a",
					65536ull, 0u),
			==, 0);
	}
	g_assert_cmpint(
		ask(r, P9_TXATTRCREATE, "dsqd", 6u, "user.a", 65536ull, 0u), ==,
		ENOSPC);
	rig_close(r);
}

/* ---- folders with much in them ---- */

static void test_readdir(void)
{
	g_autoptr(GHashTable) seen =
		g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	g_autofree struct share_rig *r = new_rig();
	uint64_t at = 0, old = 0;
	unsigned n, rounds = 0;

	up(r, false, 0);
	for (unsigned i = 0; i < 3000; i++) {
		g_autofree char *name = g_strdup_printf("dir/name%u", i);

		rig_write(r, name, "");
	}
	g_assert_cmpint(open_file(r, 1, "dir", 0), ==, 0);
	do {
		g_assert_cmpint(
			ask(r, P9_TREADDIR, "dqd", 1u, at, 8000u), ==, 0);
		n = p9_get32(&r->in);
		g_assert_cmpint(n, ==, r->in.n);
		g_assert_cmpint(n, <=, 8000);
		while (r->in.n) {
			char *name;

			p9_get(&r->in, 8);
			p9_get(&r->in, 5);
			old = at;
			at = p9_get64(&r->in);
			p9_skip(&r->in, 1);
			name = p9_get_string(&r->in);
			g_assert_nonnull(name);
			g_assert_true(g_hash_table_add(seen, name));
		}
		rounds++;
	} while (n);
	g_assert_cmpint(g_hash_table_size(seen), ==, 3003);
	g_assert_cmpint(rounds, >, 10);
	/* the last one again, from where the one before was */
	g_assert_cmpint(ask(r, P9_TREADDIR, "dqd", 1u, old, 8000u), ==, 0);
	g_assert_cmpint(p9_get32(&r->in), >, 0);
	g_assert_cmpint(ask(r, P9_TREADDIR, "dqd", 1u, 0ull, 20u), ==, EINVAL);
	rig_close(r);
}

/* ---- locks ---- */

static int lock(struct share_rig *r, unsigned id, unsigned type, uint64_t at)
{
	g_assert_cmpint(ask(r, P9_TLOCK, "dbdqqds", id, type, 0u, at, 10ull,
				77u, "guest"),
		==, 0);
	return p9_get8(&r->in);
}

static void test_locks(void)
{
	g_autofree struct share_rig *r = new_rig();
	struct flock l = {.l_type = F_WRLCK, .l_start = 100, .l_len = 10};
	g_autofree char *path = NULL;
	int fd;

	up(r, false, 0);
	path = rig_path(r, "file");
	fd = open(path, O_RDWR | O_CLOEXEC);
	g_assert_cmpint(fcntl(fd, F_OFD_SETLK, &l), ==, 0);
	g_assert_cmpint(open_file(r, 1, "file", 2), ==, 0);
	g_assert_cmpint(lock(r, 1, 0, 95), ==, 1);
	g_assert_cmpint(
		ask(r, P9_TGETLOCK, "dbqqds", 1u, 1u, 105ull, 1ull, 7u, "g"),
		==, 0);
	g_assert_cmpint(p9_get8(&r->in), ==, 1);
	g_assert_cmpint(p9_get64(&r->in), ==, 100);
	g_assert_cmpint(p9_get64(&r->in), ==, 10);
	g_assert_cmpint(lock(r, 1, 1, 200), ==, 0);
	l.l_start = 205;
	g_assert_cmpint(fcntl(fd, F_OFD_SETLK, &l), ==, -1);
	g_assert_cmpint(lock(r, 1, 2, 200), ==, 0);
	g_assert_cmpint(fcntl(fd, F_OFD_SETLK, &l), ==, 0);
	g_assert_cmpint(lock(r, 1, 1, 300), ==, 0);
	g_assert_cmpint(rig_clunk(r, 1), ==, 0);
	l.l_start = 300;
	g_assert_cmpint(fcntl(fd, F_OFD_SETLK, &l), ==, 0);
	g_assert_cmpint(
		ask(r, P9_TLOCK, "dbdqqds", 0u, 0u, 0u, 0ull, 0ull, 1u, "g"),
		==, EBADF);
	close(fd);
	rig_close(r);
}

/* ---- saved and loaded ---- */

static void test_state(void)
{
	g_autofree struct share_rig *r = new_rig();
	g_autoptr(GByteArray) a = g_byte_array_new(), b = g_byte_array_new();
	char err[100];

	up(r, false, 0);
	g_assert_cmpint(open_file(r, 1, "dir/inner", 2), ==, 0);
	g_assert_cmpint(open_file(r, 2, "dir", 0), ==, 0);
	g_assert_cmpint(rig_walk(r, 0, 3, "other"), ==, 0);
	g_assert_cmpint(open_file(r, 4, "file", 0), ==, 0);
	g_assert_cmpint(
		ask(r, P9_TRENAMEAT, "dsds", 0u, "dir", 0u, "moved"), ==, 0);
	g_assert_cmpint(ask(r, P9_TUNLINKAT, "dsd", 0u, "file", 0u), ==, 0);
	share_save(r->s, a);
	share_free(r->s);
	r->s = share_of(r->dir, false, 0);
	g_assert_cmpint(
		share_load(r->s, a->data, a->len, false, err, sizeof(err)), ==,
		0);
	g_assert_cmpint(
		share_load(r->s, a->data, a->len, true, err, sizeof(err)), ==,
		0);
	check_read(r, 1, 0, "inner");
	g_assert_cmpint(ask(r, P9_TWRITE, "dqx", 1u, 5ull, "!", 1u), ==, 0);
	check_file(r, "moved/inner", "inner!");
	g_assert_cmpint(ask(r, P9_TREADDIR, "dqd", 2u, 0ull, 999u), ==, 0);
	g_assert_cmpint(ask(r, P9_TLOPEN, "dd", 3u, 0u), ==, 0);
	/* it was gone */
	g_assert_cmpint(ask(r, P9_TREAD, "dqd", 4u, 0ull, 1u), ==, ESTALE);
	g_assert_cmpint(rig_walk(r, 4, 5, ""), ==, ESTALE);
	g_assert_cmpint(rig_clunk(r, 4), ==, 0);
	share_save(r->s, b);
	for (guint n = 0; n < a->len; n++)
		g_assert_cmpint(share_load(r->s, a->data, n, false, err,
					sizeof(err)) == 0 &&
					n >= 8,
			==, n == a->len);
	rig_close(r);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/share/rubbish", test_rubbish);
	g_test_add_func("/share/version", test_version);
	g_test_add_func("/share/names", test_names);
	g_test_add_func("/share/escape", test_escape);
	g_test_add_func("/share/special", test_special);
	g_test_add_func("/share/files", test_files);
	g_test_add_func("/share/moves", test_moves);
	g_test_add_func("/share/host-changes", test_host_changes);
	g_test_add_func("/share/bounds", test_bounds);
	g_test_add_func("/share/readonly", test_readonly);
	g_test_add_func("/share/attributes", test_attributes);
	g_test_add_func("/share/xattrs", test_xattrs);
	g_test_add_func("/share/readdir", test_readdir);
	g_test_add_func("/share/locks", test_locks);
	g_test_add_func("/share/state", test_state);
	return g_test_run();
}
