/*
 * names.c - finding, making, moving and removing files.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "share/priv.h"

#define MAX_TARGET  4095 /* of a symbolic link */
#define L_REMOVEDIR 0x200

/* ---- finding ---- */

/* Of an open fid, too; not of what has no file. */
static int node_of(struct share_fid *f)
{
	return !f		      ? -EBADF
	       : f->kind == FID_STALE ? -ESTALE
	       : f->kind == FID_XATTR ? -EBADF
				      : 0;
}

struct walk {
	unsigned want, done;
	char *name[P9_MAX_WALK];
	struct p9_qid qid[P9_MAX_WALK];
	struct share_node *node;
};

static int walk_names(struct share *s, struct walk *w)
{
	for (; w->done < w->want; w->done++) {
		struct share_node *next;
		struct statx x;
		int rc = share_look(s, w->node, w->name[w->done], &next);

		if (rc)
			return rc;
		{
			g_auto(share_pin_auto) p = share_pin(s, next);

			rc = p.fd < 0 ? p.fd : share_stat(p.fd, &x);
		}
		if (rc) {
			share_node_unref(s, next);
			return rc;
		}
		share_node_unref(s, w->node);
		w->node = next;
		w->qid[w->done] = share_qid(s, &x);
	}
	return 0;
}

/* Part of the way is an answer, too, but makes no fid. */
static int walk(struct share_call *c, struct share_fid *from, uint32_t id,
	uint32_t new_id, struct walk *w)
{
	int rc;

	w->node = share_node_ref(c->s, from->node);
	rc = walk_names(c->s, w);
	if (rc && !w->done) {
		share_node_unref(c->s, w->node);
		return rc;
	}
	if (rc)
		share_node_unref(c->s, w->node);
	else
		rc = share_fid_put(share_fid_new(c->s, FID_PATH, w->node),
			new_id, id == new_id ? from : NULL);
	if (rc && w->done == w->want)
		return rc;
	p9_put16(&c->out, w->done);
	for (unsigned i = 0; i < w->done; i++)
		p9_put_qid(&c->out, &w->qid[i]);
	return 0;
}

int share_walk(struct share_call *c)
{
	uint32_t id = p9_get32(&c->in), new_id = p9_get32(&c->in);
	g_autoptr(share_fid_auto) from = share_fid_get(c->s, id);
	struct walk w = {.want = p9_get16(&c->in)};
	int rc = node_of(from);

	if (c->in.bad || w.want > P9_MAX_WALK)
		return -EINVAL;
	for (unsigned i = 0; i < w.want; i++)
		w.name[i] = p9_get_string(&c->in);
	/* An open one stays what it is. */
	if (!rc && (c->in.bad || (id == new_id && from->kind != FID_PATH)))
		rc = -EINVAL;
	if (!rc)
		rc = walk(c, from, id, new_id, &w);
	for (unsigned i = 0; i < w.want; i++)
		g_free(w.name[i]);
	return rc;
}

int share_readlink(struct share_call *c)
{
	uint32_t id = p9_get32(&c->in);
	g_autoptr(share_fid_auto) f = share_fid_get(c->s, id);
	g_auto(share_pin_auto) p = {.s = c->s};
	char target[MAX_TARGET + 1];
	int rc = node_of(f);
	ssize_t n;

	if (rc || c->in.bad)
		return rc ? rc : -EINVAL;
	if (f->node->type != S_IFLNK)
		return -EINVAL;
	p = share_pin(c->s, f->node);
	if (p.fd < 0)
		return p.fd;
	n = readlinkat(p.fd, "", target, sizeof(target) - 1);
	if (n < 0)
		return -errno;
	target[n] = '\0';
	p9_put_string(&c->out, target);
	return 0;
}

/* ---- making ---- */

/* A fid's folder and a name in it, and the folder's descriptor. */
struct place {
	struct share_fid *dir;
	char *name;
	struct share_pin pin;
};

static void place_clear(struct place *p)
{
	share_unpin(&p->pin);
	share_fid_unref(p->dir);
	g_free(p->name);
}

typedef struct place place_auto;
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(place_auto, place_clear)

static void get_place(struct share_call *c, struct place *p)
{
	p->dir = share_fid_get(c->s, p9_get32(&c->in));
	p->name = p9_get_string(&c->in);
}

/* After the whole message: the descriptor or -errno. */
static int open_place(struct share_call *c, struct place *p)
{
	int rc = node_of(p->dir);

	if (c->in.bad)
		return -EINVAL;
	if (!rc && p->dir->node->type != S_IFDIR)
		rc = -ENOTDIR;
	if (!rc)
		rc = share_name_ok(p->name);
	if (rc)
		return rc;
	p->pin = share_pin(c->s, p->dir->node);
	return p->pin.fd;
}

/* Answer with what has just been made there. */
static int put_made(struct share_call *c, const struct place *p)
{
	struct statx x;
	struct p9_qid q;

	if (statx(p->pin.fd, p->name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT,
		    STATX_BASIC_STATS, &x))
		return -errno;
	q = share_qid(c->s, &x);
	p9_put_qid(&c->out, &q);
	return 0;
}

int share_mkdir(struct share_call *c)
{
	g_auto(place_auto) p = {NULL};
	uint32_t mode;
	int fd;

	get_place(c, &p);
	mode = p9_get32(&c->in);
	p9_skip(&c->in, 4); /* the group: ours */
	fd = open_place(c, &p);
	if (fd < 0)
		return fd;
	return mkdirat(fd, p.name, mode & 01777) ? -errno : put_made(c, &p);
}

int share_symlink(struct share_call *c)
{
	g_auto(place_auto) p = {NULL};
	g_autofree char *target = NULL;
	int fd;

	get_place(c, &p);
	target = p9_get_string(&c->in);
	p9_skip(&c->in, 4);
	fd = open_place(c, &p);
	if (fd < 0)
		return fd;
	return symlinkat(target, fd, p.name) ? -errno : put_made(c, &p);
}

/* Pipes and sockets are the guest's own wherever their names are; devices
 * would be the host's. */
int share_mknod(struct share_call *c)
{
	g_auto(place_auto) p = {NULL};
	uint32_t mode, type;
	int fd;

	get_place(c, &p);
	mode = p9_get32(&c->in);
	p9_skip(&c->in, 8); /* major, minor */
	p9_skip(&c->in, 4);
	fd = open_place(c, &p);
	if (fd < 0)
		return fd;
	type = mode & S_IFMT;
	if (type && type != S_IFREG && type != S_IFIFO && type != S_IFSOCK)
		return -EPERM;
	return mknodat(fd, p.name, (type ? type : S_IFREG) | (mode & 0777), 0)
		       ? -errno
		       : put_made(c, &p);
}

int share_link(struct share_call *c)
{
	g_auto(place_auto) p = {NULL};
	g_autoptr(share_fid_auto) f = NULL;
	g_auto(share_pin_auto) from = {.s = c->s};
	char name[16];
	int fd, rc;

	p.dir = share_fid_get(c->s, p9_get32(&c->in));
	f = share_fid_get(c->s, p9_get32(&c->in));
	p.name = p9_get_string(&c->in);
	fd = open_place(c, &p);
	rc = fd < 0 ? fd : node_of(f);
	if (rc)
		return rc;
	from = share_pin(c->s, f->node);
	if (from.fd < 0)
		return from.fd;
	snprintf(name, sizeof(name), "%d", from.fd);
	return linkat(c->s->self_fd, name, fd, p.name, AT_SYMLINK_FOLLOW)
		       ? -errno
		       : 0;
}

/* ---- removing and moving ---- */

static int remove_at(struct share *s, int fd, struct share_node *dir,
	const char *name, int how)
{
	if (unlinkat(fd, name, how))
		return -errno;
	share_removed(s, dir, name);
	return 0;
}

int share_unlinkat(struct share_call *c)
{
	g_auto(place_auto) p = {NULL};
	uint32_t flags;
	int fd;

	get_place(c, &p);
	flags = p9_get32(&c->in);
	fd = open_place(c, &p);
	if (fd < 0)
		return fd;
	return remove_at(c->s, fd, p.dir->node, p.name,
		flags & L_REMOVEDIR ? AT_REMOVEDIR : 0);
}

/* Where a fid's file is, if it still is there.  Names are locked. */
static int find_place(struct share *s, struct share_fid *f, struct place *p)
{
	struct share_node *n, *dir;
	int rc = node_of(f);

	if (rc)
		return rc;
	n = f->node;
	if (!n->parent)
		return -EBUSY; /* the root */
	if (!n->linked)
		return -ENOENT;
	dir = n->parent;
	rc = share_look(s, dir, n->name, &n);
	if (rc)
		return rc;
	rc = n == f->node ? 0 : -ENOENT;
	share_node_unref(s, n);
	if (rc)
		return rc;
	p->pin = share_pin(s, dir);
	p->name = g_strdup(f->node->name);
	return MIN(p->pin.fd, 0);
}

int share_remove(struct share_call *c)
{
	uint32_t id = p9_get32(&c->in);
	g_autoptr(share_fid_auto) f =
		c->in.bad ? NULL : share_fid_take(c->s, id);
	g_auto(place_auto) p = {NULL};
	int rc;

	if (!f)
		return -EBADF;
	rc = c->s->readonly ? -EROFS : find_place(c->s, f, &p);
	if (rc)
		return rc;
	return remove_at(c->s, p.pin.fd, p.pin.node, p.name,
		f->node->type == S_IFDIR ? AT_REMOVEDIR : 0);
}

static int move(struct share *s, const struct place *from,
	struct share_node *from_dir, const struct place *to)
{
	if (renameat(from->pin.fd, from->name, to->pin.fd, to->name))
		return -errno;
	share_moved(s, from_dir, from->name, to->dir->node, to->name);
	return 0;
}

int share_rename(struct share_call *c)
{
	g_autoptr(share_fid_auto) f = share_fid_get(c->s, p9_get32(&c->in));
	g_auto(place_auto) from = {NULL}, to = {NULL};
	int rc;

	get_place(c, &to);
	rc = open_place(c, &to);
	if (rc >= 0)
		rc = find_place(c->s, f, &from);
	return rc < 0 ? rc : move(c->s, &from, from.pin.node, &to);
}

int share_renameat(struct share_call *c)
{
	g_auto(place_auto) from = {NULL}, to = {NULL};
	int rc;

	get_place(c, &from);
	get_place(c, &to);
	rc = open_place(c, &from);
	if (rc >= 0)
		rc = open_place(c, &to);
	return rc < 0 ? rc : move(c->s, &from, from.dir->node, &to);
}
