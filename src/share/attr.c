/*
 * attr.c - what files are like: attributes, extended ones, file systems.
 *
 * Owners: a file of ours is shown as conf.uid's, another's as nobody's, and
 * only what means no change can be set.  Set-user-id bits would be our own
 * user's on the host: they are left out.  Extended attributes are those that
 * any user may have, user.*.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "share/priv.h"

#define V9FS_MAGIC   0x01021997u
#define BASIC	     0x7ffull /* all of P9_GETATTR_BASIC */
#define BTIME	     0x800ull
#define VALID_MODE   0x001u
#define VALID_UID    0x002u
#define VALID_GID    0x004u
#define VALID_SIZE   0x008u
#define VALID_ATIME  0x010u
#define VALID_MTIME  0x020u
#define VALID_CTIME  0x040u
#define VALID_ATIME_ 0x080u /* to what the message says */
#define VALID_MTIME_ 0x100u

/* A descriptor for what is asked of a file: its own if it is open. */
static int fid_fd(
	struct share_call *c, struct share_fid *f, struct share_pin *p)
{
	if (!f || f->kind == FID_XATTR)
		return -EBADF;
	if (f->kind == FID_STALE)
		return -ESTALE;
	if (f->fd >= 0)
		return f->fd;
	*p = share_pin(c->s, f->node);
	return p->fd;
}

struct p9_qid share_qid(const struct share *s, const struct statx *x)
{
	uint64_t dev = (uint64_t)x->stx_dev_major << 32 | x->stx_dev_minor;
	uint64_t change = (uint64_t)x->stx_mtime.tv_sec * 1000000007u +
			  x->stx_mtime.tv_nsec +
			  (uint64_t)x->stx_ctime.tv_sec * 998244353u +
			  x->stx_ctime.tv_nsec;
	struct p9_qid q = {.type = S_ISDIR(x->stx_mode)	  ? P9_QT_DIR
				   : S_ISLNK(x->stx_mode) ? P9_QT_SYMLINK
							  : 0,
		.version = (uint32_t)(change ^ change >> 32),
		.path = x->stx_ino};

	/* Another file system is mounted there: its numbers are not ours. */
	if (x->stx_dev_major != s->dev_major ||
		x->stx_dev_minor != s->dev_minor)
		q.path ^= (dev + 1) * 0x9e3779b97f4a7c15u & ~0xffffffffffull;
	return q;
}

int share_put_qid(struct share_call *c, int fd)
{
	struct statx x;
	int rc = share_stat(fd, &x);
	struct p9_qid q;

	if (rc)
		return rc;
	q = share_qid(c->s, &x);
	p9_put_qid(&c->out, &q);
	return 0;
}

/* ---- attributes ---- */

static uint32_t shown_uid(const struct share *s, uint32_t uid)
{
	return uid == s->own_uid ? s->uid : SHARE_NOBODY;
}

static uint32_t shown_gid(const struct share *s, uint32_t gid)
{
	return gid == s->own_gid ? s->gid : SHARE_NOBODY;
}

static void put_time(struct p9_out *out, const struct statx_timestamp *t)
{
	p9_put64(out, (uint64_t)t->tv_sec);
	p9_put64(out, t->tv_nsec);
}

int share_getattr(struct share_call *c)
{
	uint32_t id = p9_get32(&c->in);
	uint64_t mask = p9_get64(&c->in);
	g_autoptr(share_fid_auto) f = share_fid_get(c->s, id);
	g_auto(share_pin_auto) p = {.s = c->s};
	int fd = fid_fd(c, f, &p), rc;
	struct p9_out *out = &c->out;
	struct p9_qid q;
	struct statx x;

	if (fd < 0 || c->in.bad)
		return c->in.bad ? -EINVAL : fd;
	rc = share_stat(fd, &x);
	if (rc)
		return rc;
	q = share_qid(c->s, &x);
	p9_put64(out, BASIC | (x.stx_mask & STATX_BTIME ? mask & BTIME : 0));
	p9_put_qid(out, &q);
	p9_put32(out, x.stx_mode);
	p9_put32(out, shown_uid(c->s, x.stx_uid));
	p9_put32(out, shown_gid(c->s, x.stx_gid));
	p9_put64(out, x.stx_nlink);
	p9_put64(out, makedev(x.stx_rdev_major, x.stx_rdev_minor));
	p9_put64(out, x.stx_size);
	p9_put64(out, x.stx_blksize);
	p9_put64(out, x.stx_blocks);
	put_time(out, &x.stx_atime);
	put_time(out, &x.stx_mtime);
	put_time(out, &x.stx_ctime);
	put_time(out, &x.stx_btime);
	p9_put64(out, 0);
	p9_put64(out, 0);
	return 0;
}

struct change {
	uint32_t valid, mode, uid, gid;
	uint64_t size;
	struct timespec time[2];
};

/* By a descriptor that may not be open for it. */
static int set_mode(struct share *s, int fd, uint32_t type, uint32_t mode)
{
	char name[16];

	if (type == S_IFLNK)
		return -EOPNOTSUPP;
	mode &= type == S_IFDIR ? 03777 : 01777;
	snprintf(name, sizeof(name), "%d", fd);
	return fchmodat(s->self_fd, name, mode, 0) ? -errno : 0;
}

/* One who has it already. */
static int set_owner(struct share *s, int fd, const struct change *g)
{
	struct statx x;
	int rc = share_stat(fd, &x);

	if (rc)
		return rc;
	if ((g->valid & VALID_UID) && g->uid != shown_uid(s, x.stx_uid))
		return -EPERM;
	if ((g->valid & VALID_GID) && g->gid != shown_gid(s, x.stx_gid))
		return -EPERM;
	return 0;
}

static int set_size(
	struct share *s, const struct share_fid *f, int fd, uint64_t size)
{
	bool own = f->kind == FID_FILE && (f->flags & O_ACCMODE) != O_RDONLY;
	int rc = 0, open = fd;

	if (f->node->type != S_IFREG)
		return f->node->type == S_IFDIR ? -EISDIR : -EINVAL;
	if (size > INT64_MAX)
		return -EFBIG;
	if (!own)
		open = share_reopen(s, fd, O_WRONLY);
	if (open < 0)
		return open;
	if (ftruncate(open, (off_t)size))
		rc = -errno;
	if (!own)
		close(open);
	return rc;
}

static void get_change(struct p9_in *in, struct change *g)
{
	g->valid = p9_get32(in);
	g->mode = p9_get32(in);
	g->uid = p9_get32(in);
	g->gid = p9_get32(in);
	g->size = p9_get64(in);
	for (unsigned i = 0; i < 2; i++) {
		g->time[i].tv_sec = (time_t)p9_get64(in);
		g->time[i].tv_nsec = (long)p9_get64(in);
	}
	for (unsigned i = 0; i < 2; i++) {
		bool now = !(g->valid & (i ? VALID_MTIME_ : VALID_ATIME_));

		if (!(g->valid & (i ? VALID_MTIME : VALID_ATIME)))
			g->time[i].tv_nsec = UTIME_OMIT;
		else if (now)
			g->time[i].tv_nsec = UTIME_NOW;
		else if (g->time[i].tv_nsec < 0 ||
			 g->time[i].tv_nsec > 999999999)
			in->bad = true;
	}
}

static int set_all(
	struct share *s, struct share_fid *f, int fd, const struct change *g)
{
	int rc = 0;

	/* What cannot be comes first: all or nothing, as far as it goes. */
	if (g->valid & (VALID_UID | VALID_GID))
		rc = set_owner(s, fd, g);
	if (!rc && (g->valid & VALID_SIZE))
		rc = set_size(s, f, fd, g->size);
	if (!rc && (g->valid & VALID_MODE))
		rc = set_mode(s, fd, f->node->type, g->mode);
	if (!rc && (g->valid & (VALID_ATIME | VALID_MTIME))) {
		if (utimensat(fd, "", g->time, AT_EMPTY_PATH))
			rc = -errno;
	} else if (!rc && g->valid == VALID_CTIME) {
		/* what a change of nothing does */
		if (fchownat(fd, "", (uid_t)-1, (gid_t)-1, AT_EMPTY_PATH))
			rc = -errno;
	}
	return rc;
}

int share_setattr(struct share_call *c)
{
	uint32_t id = p9_get32(&c->in);
	g_autoptr(share_fid_auto) f = share_fid_get(c->s, id);
	g_auto(share_pin_auto) p = {.s = c->s};
	int fd = fid_fd(c, f, &p);
	struct change g;

	get_change(&c->in, &g);
	if (fd < 0 || c->in.bad)
		return c->in.bad ? -EINVAL : fd;
	return set_all(c->s, f, fd, &g);
}

int share_statfs(struct share_call *c)
{
	uint32_t id = p9_get32(&c->in);
	g_autoptr(share_fid_auto) f = share_fid_get(c->s, id);
	g_auto(share_pin_auto) p = {.s = c->s};
	int fd = fid_fd(c, f, &p);
	struct p9_out *out = &c->out;
	struct statfs b;

	if (fd < 0)
		return fd;
	if (fstatfs(fd, &b))
		return -errno;
	p9_put32(out, V9FS_MAGIC);
	p9_put32(out, (uint64_t)b.f_bsize);
	p9_put64(out, b.f_blocks);
	p9_put64(out, b.f_bfree);
	p9_put64(out, b.f_bavail);
	p9_put64(out, b.f_files);
	p9_put64(out, b.f_ffree);
	p9_put32(out, (uint32_t)b.f_fsid.__val[0]);
	p9_put32(out, (uint32_t)b.f_fsid.__val[1]);
	p9_put32(out, MIN(b.f_namelen, SHARE_MAX_NAME));
	return 0;
}

/* ---- extended attributes ---- */

/* Open it for that: only files and folders have such. */
static int xattr_fd(struct share *s, const struct share_fid *f, int fd)
{
	int open;

	if (f->node->type != S_IFREG && f->node->type != S_IFDIR)
		return -EOPNOTSUPP;
	open = share_reopen(s, fd, O_RDONLY);
	if (open == -EACCES && f->node->type == S_IFREG)
		open = share_reopen(s, fd, O_WRONLY);
	return open;
}

/* Keeps the names that we show: how many bytes are left. */
static size_t keep_names(char *list, size_t n)
{
	size_t kept = 0;

	for (size_t i = 0; i < n;) {
		size_t len = strnlen(list + i, n - i) + 1;

		if (len > n - i)
			break;
		if (g_str_has_prefix(list + i, "user.")) {
			memmove(list + kept, list + i, len);
			kept += len;
		}
		i += len;
	}
	return kept;
}

static ssize_t get_value(int fd, const char *name, uint8_t *buf)
{
	ssize_t n = *name ? fgetxattr(fd, name, buf, SHARE_MAX_XATTR)
			  : flistxattr(fd, (char *)buf, SHARE_MAX_XATTR);

	if (n < 0)
		return -errno;
	return *name ? n : (ssize_t)keep_names((char *)buf, (size_t)n);
}

static int read_value(struct share *s, const struct share_fid *f, int fd,
	const char *name, struct share_fid **out)
{
	g_autofree uint8_t *buf = NULL;
	int open, rc;
	ssize_t n;

	if (*name && !g_str_has_prefix(name, "user."))
		return -EOPNOTSUPP;
	open = xattr_fd(s, f, fd);
	if (open < 0)
		return open;
	buf = g_malloc(SHARE_MAX_XATTR);
	n = get_value(open, name, buf);
	close(open);
	if (n >= 0)
		buf = g_realloc(buf, (size_t)n + 1);
	rc = n < 0 ? (int)n : share_xattr_room(s, (size_t)n);
	if (rc)
		return rc;
	*out = share_fid_new(s, FID_XATTR, share_node_ref(s, f->node));
	(*out)->size = (*out)->filled = (uint32_t)n;
	(*out)->value = g_steal_pointer(&buf);
	return 0;
}

int share_xattrwalk(struct share_call *c)
{
	uint32_t id = p9_get32(&c->in), new_id = p9_get32(&c->in);
	g_autofree char *name = p9_get_string(&c->in);
	g_autoptr(share_fid_auto) f = share_fid_get(c->s, id);
	g_auto(share_pin_auto) p = {.s = c->s};
	int fd = fid_fd(c, f, &p), rc;
	struct share_fid *made;

	if (fd < 0 || c->in.bad)
		return c->in.bad ? -EINVAL : fd;
	rc = read_value(c->s, f, fd, name, &made);
	if (rc)
		return rc;
	p9_put64(&c->out, made->size);
	return share_fid_put(made, new_id, NULL);
}

int share_xattrcreate(struct share_call *c)
{
	uint32_t id = p9_get32(&c->in);
	g_autofree char *name = p9_get_string(&c->in);
	uint64_t size = p9_get64(&c->in);
	uint32_t flags = p9_get32(&c->in);
	g_autoptr(share_fid_auto) old = share_fid_get(c->s, id);
	struct share_fid *f;
	int rc;

	if (c->in.bad || !old || old->kind != FID_PATH)
		return c->in.bad ? -EINVAL : -EBADF;
	if (!g_str_has_prefix(name, "user."))
		return -EOPNOTSUPP;
	if (strlen(name) > SHARE_MAX_NAME)
		return -ERANGE;
	if (flags & ~(uint32_t)(XATTR_CREATE | XATTR_REPLACE))
		return -EINVAL;
	if (size > SHARE_MAX_XATTR)
		return -E2BIG;
	rc = share_xattr_room(c->s, size);
	if (rc)
		return rc;
	f = share_fid_new(c->s, FID_XATTR, share_node_ref(c->s, old->node));
	f->size = (uint32_t)size;
	f->flags = flags;
	f->value = g_malloc0(size + 1);
	f->xattr = g_steal_pointer(&name);
	return share_fid_put(f, id, old);
}

int share_xattr_read(
	struct share_call *c, struct share_fid *f, uint64_t at, uint32_t n)
{
	struct p9_out *out = &c->out;

	if (f->xattr)
		return -EBADF;
	at = MIN(at, f->size);
	n = MIN(n, f->size - (uint32_t)at);
	n = (uint32_t)MIN(n, out->max - out->n - 4);
	p9_put32(out, n);
	p9_put_bytes(out, f->value + at, n);
	return 0;
}

int share_xattr_write(
	struct share_call *c, struct share_fid *f, uint64_t at, uint32_t n)
{
	struct share_request *r = c->r;
	uint32_t done = 0;
	int rc = 0;

	if (!f->xattr)
		return -EBADF;
	if (n && !r->map(r, true, 23, n))
		return -EFAULT;
	pthread_mutex_lock(&f->lock);
	if (at != f->filled || n > f->size - f->filled)
		rc = -ENOSPC;
	for (unsigned i = 0; !rc && n && i < r->niov && done < n; i++) {
		size_t len = MIN(r->iov[i].iov_len, n - done);

		memcpy(f->value + at + done, r->iov[i].iov_base, len);
		done += (uint32_t)len;
	}
	f->filled += done;
	pthread_mutex_unlock(&f->lock);
	p9_put32(&c->out, done);
	return rc;
}

int share_xattr_set(struct share_fid *f)
{
	g_auto(share_pin_auto) p = share_pin(f->share, f->node);
	int fd = p.fd < 0 ? p.fd : xattr_fd(f->share, f, p.fd), rc;
	bool remove = !f->size && (f->flags & XATTR_REPLACE);

	if (fd < 0)
		return fd;
	if (f->filled != f->size)
		rc = EINVAL;
	else if (remove)
		rc = fremovexattr(fd, f->xattr) ? errno : 0;
	else
		rc = fsetxattr(fd, f->xattr, f->value, f->size, (int)f->flags)
			     ? errno
			     : 0;
	close(fd);
	return -rc;
}
