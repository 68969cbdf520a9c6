/*
 * share.c - a session: what there is to ask, and by whom it is answered.
 *
 * Requests and answers are those of diod's description of the protocol,
 * 9P2000.L, and of Plan 9's manual, section 5, for what both have.
 */
#include "share/share.h"

#include <fcntl.h>
#include <unistd.h>

#include "share/priv.h"

#define DEFAULT_OPEN 2048
#define MIN_MSIZE    4096u
#define VERSION	     "9P2000.L"

/* ---- life ---- */

int share_new(const struct share_conf *conf, struct share **out)
{
	struct share *s = g_new0(struct share, 1);
	pthread_rwlockattr_t attr;
	int rc;

	s->tag = g_strdup(conf->tag);
	s->readonly = conf->readonly;
	s->root_fd = conf->root;
	s->self_fd = conf->self_fd;
	s->uid = conf->uid;
	s->gid = conf->gid;
	s->own_uid = geteuid();
	s->own_gid = getegid();
	s->max_open = conf->max_open ? conf->max_open : DEFAULT_OPEN;
	pthread_mutex_init(&s->lock, NULL);
	/* Who moves files shall not wait for ever. */
	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setkind_np(
		&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&s->names, &attr);
	pthread_rwlockattr_destroy(&attr);
	g_queue_init(&s->idle);
	s->fids = g_hash_table_new(NULL, NULL);
	rc = s->self_fd < 0 ? -ENOENT : share_root(s);
	if (rc) {
		share_free(s);
		s = NULL;
	}
	*out = s;
	return rc;
}

void share_free(struct share *s)
{
	if (!s)
		return;
	share_fids_clear(s);
	if (s->root)
		share_node_unref(s, s->root);
	else if (s->root_fd >= 0)
		close(s->root_fd);
	if (s->self_fd >= 0)
		close(s->self_fd);
	g_hash_table_unref(s->fids);
	if (s->nodes)
		g_hash_table_unref(s->nodes);
	pthread_rwlock_destroy(&s->names);
	pthread_mutex_destroy(&s->lock);
	g_free(s->tag);
	g_free(s);
}

void share_reset(struct share *s)
{
	share_fids_clear(s);
	s->msize = 0;
}

const char *share_tag(const struct share *s)
{
	return s->tag;
}

bool share_readonly(const struct share *s)
{
	return s->readonly;
}

void share_count(struct share *s, struct share_counts *out)
{
	pthread_mutex_lock(&s->lock);
	out->fids = g_hash_table_size(s->fids);
	out->open = s->open;
	pthread_mutex_unlock(&s->lock);
	out->read_bytes = s->read_bytes;
	out->written_bytes = s->written_bytes;
}

/* ---- the session ---- */

static int share_version(struct share_call *c)
{
	uint32_t msize = p9_get32(&c->in);
	g_autofree char *version = p9_get_string(&c->in);

	if (c->in.bad)
		return -EINVAL;
	/* All that was asked before has been answered, or is of no interest;
	 * it may not use what comes now. */
	if (c->r->flush)
		c->r->flush(c->r, 0xffff);
	share_reset(c->s);
	if (msize < MIN_MSIZE)
		return -EMSGSIZE;
	msize = MIN(msize, SHARE_MAX_MSIZE);
	p9_put32(&c->out, msize);
	if (strcmp(version, VERSION)) {
		p9_put_string(&c->out, "unknown");
		return 0;
	}
	p9_put_string(&c->out, VERSION);
	c->s->msize = msize;
	return 0;
}

static int share_auth(struct share_call *c)
{
	return -EOPNOTSUPP; /* none is needed */
}

/* The node of a path below the root. */
static int find_path(struct share *s, const char *path, struct share_node **out)
{
	g_auto(GStrv) part = g_strsplit(path, "/", -1);
	struct share_node *n = share_node_ref(s, s->root), *next;
	int rc = 0;

	for (char **p = part; *p && !rc; p++) {
		if (!**p)
			continue;
		rc = share_look(s, n, *p, &next);
		if (!rc) {
			share_node_unref(s, n);
			n = next;
		}
	}
	if (!rc) {
		*out = n;
		return 0;
	}
	share_node_unref(s, n);
	return rc;
}

static int share_attach(struct share_call *c)
{
	uint32_t id = p9_get32(&c->in), afid = p9_get32(&c->in);
	g_autofree char *user = p9_get_string(&c->in);
	g_autofree char *path = p9_get_string(&c->in);
	struct share_node *n;
	struct share_fid *f;
	int rc;

	if (c->in.bad || afid != P9_NOFID)
		return -EINVAL;
	rc = find_path(c->s, path, &n);
	if (rc)
		return rc;
	f = share_fid_new(c->s, FID_PATH, n);
	{
		g_auto(share_pin_auto) p = share_pin(c->s, n);

		rc = p.fd < 0 ? p.fd : share_put_qid(c, p.fd);
	}
	if (!rc)
		return share_fid_put(f, id, NULL);
	share_fid_unref(f);
	return rc;
}

static int share_flush(struct share_call *c)
{
	uint16_t tag = p9_get16(&c->in);

	if (c->in.bad)
		return -EINVAL;
	if (c->r->flush)
		c->r->flush(c->r, tag);
	return 0;
}

static int share_clunk(struct share_call *c)
{
	uint32_t id = p9_get32(&c->in);
	g_autoptr(share_fid_auto) f =
		c->in.bad ? NULL : share_fid_take(c->s, id);

	if (!f)
		return -EBADF;
	return f->kind == FID_XATTR && f->xattr ? share_xattr_set(f) : 0;
}

/* ---- requests ---- */

enum {
	CHANGES = 1, /* files: not if they are read-only */
	LOOKS = 2,   /* up names, or may */
	MOVES = 4,   /* names */
	FIRST = 8,   /* there need not be a session yet */
};

static const struct request {
	share_call_fn *fn;
	unsigned is;
} requests[P9_TYPES] = {
	[P9_TVERSION] = {share_version, FIRST},
	[P9_TAUTH] = {share_auth, 0},
	[P9_TATTACH] = {share_attach, LOOKS},
	[P9_TFLUSH] = {share_flush, 0},
	[P9_TCLUNK] = {share_clunk, LOOKS},
	[P9_TWALK] = {share_walk, LOOKS},
	[P9_TSTATFS] = {share_statfs, LOOKS},
	[P9_TLOPEN] = {share_lopen, LOOKS},
	[P9_TLCREATE] = {share_lcreate, LOOKS | CHANGES},
	[P9_TSYMLINK] = {share_symlink, LOOKS | CHANGES},
	[P9_TMKNOD] = {share_mknod, LOOKS | CHANGES},
	[P9_TMKDIR] = {share_mkdir, LOOKS | CHANGES},
	[P9_TLINK] = {share_link, LOOKS | CHANGES},
	[P9_TREADLINK] = {share_readlink, LOOKS},
	[P9_TGETATTR] = {share_getattr, LOOKS},
	[P9_TSETATTR] = {share_setattr, LOOKS | CHANGES},
	[P9_TXATTRWALK] = {share_xattrwalk, LOOKS},
	[P9_TXATTRCREATE] = {share_xattrcreate, LOOKS | CHANGES},
	[P9_TRENAME] = {share_rename, MOVES | CHANGES},
	[P9_TRENAMEAT] = {share_renameat, MOVES | CHANGES},
	[P9_TUNLINKAT] = {share_unlinkat, MOVES | CHANGES},
	[P9_TREMOVE] = {share_remove, MOVES},
	[P9_TREADDIR] = {share_readdir, 0},
	[P9_TREAD] = {share_read, 0},
	[P9_TWRITE] = {share_write, CHANGES},
	[P9_TFSYNC] = {share_fsync, 0},
	[P9_TLOCK] = {share_lock, 0},
	[P9_TGETLOCK] = {share_getlock, 0},
};

static int call(struct share_call *c, uint8_t type)
{
	const struct request *q =
		type < P9_TYPES ? &requests[type] : &requests[0];
	int rc;

	if (!q->fn)
		return -EOPNOTSUPP;
	if (!c->s->msize && !(q->is & FIRST))
		return -EPROTO;
	if (c->s->readonly && (q->is & CHANGES))
		return -EROFS;
	if (q->is & MOVES)
		pthread_rwlock_wrlock(&c->s->names);
	else if (q->is & LOOKS)
		pthread_rwlock_rdlock(&c->s->names);
	rc = q->fn(c);
	if (q->is & (MOVES | LOOKS))
		pthread_rwlock_unlock(&c->s->names);
	/* A bad message may have been taken for a good one with zeros. */
	return c->in.bad && !rc ? -EINVAL : rc;
}

size_t share_serve(struct share *s, struct share_request *r)
{
	struct share_call c = {.s = s, .r = r};
	uint32_t size = (uint32_t)r->msg[0] | (uint32_t)r->msg[1] << 8 |
			(uint32_t)r->msg[2] << 16 | (uint32_t)r->msg[3] << 24;
	uint8_t type = r->msg[4];
	size_t n;
	int rc;

	c.in.p = r->msg + P9_HEADER;
	c.in.n = MIN(r->len, size) - MIN(r->len, P9_HEADER);
	c.out.p = r->reply;
	c.out.max = MIN(r->room, SHARE_MAX_REPLY);
	c.out.n = P9_HEADER;
	r->data = 0;
	/* What is written may stand behind what the size says: so did Linux
	 * before 6.0. */
	if (size < P9_HEADER || size > r->total)
		rc = -EINVAL;
	else if (type != P9_TWRITE && size > r->len)
		rc = -EMSGSIZE;
	else
		rc = call(&c, type);
	if (!rc && c.out.full)
		rc = -EMSGSIZE;
	if (rc) {
		c.out = (struct p9_out){
			.p = r->reply, .n = P9_HEADER, .max = SHARE_MIN_REPLY};
		p9_put32(&c.out, (uint32_t)-rc);
		type = P9_RLERROR - 1;
		r->data = 0;
	}
	n = c.out.n;
	c.out.n = 0;
	p9_put32(&c.out, n + r->data);
	p9_put8(&c.out, type + 1);
	p9_put16(&c.out, share_request_tag(r->msg));
	return n;
}

/* ---- state ---- */

/*
 * msize, number of fids, then of each: number, flags, kind, has it a place,
 * path; little-endian.  Extended attributes under way are not kept: reading
 * or setting one again is up to the client.
 */
static void save_fid(struct share_fid *f, struct p9_out *out)
{
	g_autofree char *path = f->node ? share_path_locked(f->node) : NULL;

	p9_put32(out, f->id);
	p9_put32(out, f->flags);
	p9_put8(out, f->kind == FID_XATTR ? FID_STALE : f->kind);
	p9_put8(out, path != NULL);
	p9_put_string(out, path ? path : "");
}

void share_save(struct share *s, GByteArray *out)
{
	size_t most = 16 + 65536;
	g_autofree uint8_t *buf = g_malloc(most);
	struct p9_out o = {.p = buf, .max = most};
	GHashTableIter it;
	gpointer f;

	pthread_mutex_lock(&s->lock);
	p9_put32(&o, s->msize);
	p9_put32(&o, g_hash_table_size(s->fids));
	g_byte_array_append(out, o.p, (guint)o.n);
	g_hash_table_iter_init(&it, s->fids);
	while (g_hash_table_iter_next(&it, NULL, &f)) {
		o.n = 0;
		o.full = false;
		save_fid(f, &o);
		/* deeper than a path may be: lost */
		if (o.full || o.n > 4096) {
			o.n = 0;
			o.full = false;
			p9_put32(&o, ((struct share_fid *)f)->id);
			p9_put32(&o, 0);
			p9_put8(&o, FID_STALE);
			p9_put8(&o, 0);
			p9_put_string(&o, "");
		}
		if (out->len + o.n <= SHARE_MAX_STATE)
			g_byte_array_append(out, o.p, (guint)o.n);
	}
	pthread_mutex_unlock(&s->lock);
}

struct saved_fid {
	uint32_t id, flags;
	uint8_t kind, placed;
	char *path;
};

/* Open it again; what cannot be is stale. */
static void load_fid(struct share *s, const struct saved_fid *v)
{
	struct share_node *n = NULL;
	struct share_fid *f, *opened = NULL;

	if (v->kind != FID_STALE && v->placed && find_path(s, v->path, &n))
		n = NULL;
	f = share_fid_new(s, n ? FID_PATH : FID_STALE, n);
	if (n && v->kind != FID_PATH) {
		if (share_open_fid(f, v->id, v->flags, NULL, &opened)) {
			share_fid_unref(f);
			f = share_fid_new(s, FID_STALE, NULL);
		} else {
			share_fid_unref(f);
			f = opened;
		}
	}
	share_fid_put(f, v->id, NULL);
}

static bool get_fid(struct p9_in *in, struct saved_fid *v)
{
	v->id = p9_get32(in);
	/* What it was opened with made it empty once. */
	v->flags = p9_get32(in) & ~(uint32_t)O_TRUNC;
	v->kind = p9_get8(in);
	v->placed = p9_get8(in);
	v->path = p9_get_string(in);
	return !in->bad && v->kind <= FID_STALE && v->kind != FID_XATTR &&
	       v->id != P9_NOFID && v->placed <= 1;
}

int share_load(struct share *s, const uint8_t *p, size_t n, bool apply,
	char *err, unsigned errsize)
{
	struct p9_in in = {.p = p, .n = n};
	uint32_t msize = p9_get32(&in), count = p9_get32(&in);
	struct saved_fid v;
	bool good = true;

	if (apply) {
		share_reset(s);
		s->msize = msize;
	}
	while (good && in.n && !in.bad && count) {
		good = get_fid(&in, &v);
		if (good && apply)
			load_fid(s, &v);
		g_free(v.path);
		count--;
	}
	if (good && !in.bad && !in.n && !count &&
		(!msize || (msize >= MIN_MSIZE && msize <= SHARE_MAX_MSIZE)))
		return 0;
	g_strlcpy(err, "what its driver has open is damaged", errsize);
	return -EINVAL;
}
