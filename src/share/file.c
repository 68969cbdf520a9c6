/*
 * file.c - what is done to an open file or folder.
 *
 * Data goes between the host's file and the client's memory directly.  Only
 * files and folders are opened: a pipe, a socket or a device of the host's is
 * nothing that a guest could talk to through its name.
 */
#define _FILE_OFFSET_BITS 64
#include <dirent.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "share/priv.h"

#define READ_HEADER  11u /* before the data */
#define WRITE_HEADER 23u
#define DIRENT_FIXED 24u /* of an entry in an answer, without its name */
#define DIR_BYTES    16384u

/* flags of opening, as the protocol numbers them */
#define L_ACCESS 03u
#define L_EXCL	 0200u
#define L_TRUNC	 01000u
#define L_APPEND 02000u
#define L_DSYNC	 010000u
#define L_SYNC	 04000000u
#define L_KEPT	 (L_ACCESS | L_APPEND | L_DSYNC | L_SYNC)

/* types of locks, and how setting one went */
#define P9_LOCK_RD	0
#define P9_LOCK_WR	1
#define P9_LOCK_UN	2
#define P9_LOCK_OK	0
#define P9_LOCK_BLOCKED 1
#define P9_LOCK_FAILED	2

/* ---- opening ---- */

static int host_flags(const struct share *s, uint32_t flags)
{
	int how = (int)(flags & L_ACCESS);

	if (how == L_ACCESS)
		return -EINVAL;
	if (s->readonly && (how != O_RDONLY || (flags & (L_TRUNC))))
		return -EROFS;
	if (flags & L_TRUNC)
		how |= O_TRUNC;
	if (flags & L_APPEND)
		how |= O_APPEND;
	if (flags & L_SYNC)
		how |= O_SYNC;
	else if (flags & L_DSYNC)
		how |= O_DSYNC;
	return how;
}

/* A fid for what was opened: fd, and its place in the count, are taken over. */
static struct share_fid *opened(
	struct share *s, struct share_node *n, int fd, uint32_t flags)
{
	struct share_fid *f =
		share_fid_new(s, n->type == S_IFDIR ? FID_DIR : FID_FILE, n);

	f->fd = fd;
	f->flags = flags & L_KEPT;
	return f;
}

int share_open_fid(struct share_fid *old, uint32_t id, uint32_t flags,
	uint32_t *iounit, struct share_fid **out)
{
	struct share *s = old->share;
	int how = host_flags(s, flags), fd, rc;
	g_auto(share_pin_auto) p = {.s = s};

	if (old->kind != FID_PATH)
		return old->kind == FID_STALE ? -ESTALE : -EBUSY;
	if (how < 0)
		return how;
	if (old->node->type == S_IFDIR) {
		if (how & (O_ACCMODE | O_TRUNC))
			return -EISDIR;
		how |= O_DIRECTORY;
	} else if (old->node->type != S_IFREG) {
		return old->node->type == S_IFLNK ? -ELOOP : -ENXIO;
	}
	p = share_pin(s, old->node);
	if (p.fd < 0)
		return p.fd;
	rc = share_reserve(s);
	if (rc)
		return rc;
	fd = share_reopen(s, p.fd, (unsigned)how);
	if (fd < 0) {
		share_unreserve(s, 1);
		return fd;
	}
	*out = opened(s, share_node_ref(s, old->node), fd, flags);
	if (iounit)
		*iounit = s->msize - P9_IO_HEADER;
	return 0;
}

int share_lopen(struct share_call *c)
{
	uint32_t id = p9_get32(&c->in), flags = p9_get32(&c->in), iounit = 0;
	g_autoptr(share_fid_auto) old = share_fid_get(c->s, id);
	struct share_fid *f;
	int rc;

	if (c->in.bad || !old)
		return -EBADF;
	rc = share_open_fid(old, id, flags, &iounit, &f);
	if (rc)
		return rc;
	rc = share_put_qid(c, f->fd);
	p9_put32(&c->out, iounit);
	if (!rc)
		return share_fid_put(f, id, old);
	share_fid_unref(f);
	return rc;
}

/* Make or open it; the node is what it is called by. */
static int create(struct share *s, struct share_node *dir, const char *name,
	uint64_t how, uint32_t mode, struct share_node **out)
{
	g_auto(share_pin_auto) p = share_pin(s, dir);
	struct statx x;
	int fd, path, rc;

	if (p.fd < 0)
		return p.fd;
	fd = share_open_at(p.fd, name, how | O_CREAT | O_NONBLOCK, mode & 0777);
	if (fd < 0)
		return fd;
	rc = share_stat(fd, &x);
	if (!rc && !S_ISREG(x.stx_mode))
		rc = -ENXIO;
	if (!rc)
		rc = share_reserve(s);
	if (!rc) {
		path = share_reopen(s, fd, O_PATH);
		if (path < 0)
			share_unreserve(s, 1);
		rc = path < 0 ? path : share_adopt(s, dir, name, path, out);
	}
	if (!rc)
		return fd;
	close(fd);
	return rc;
}

int share_lcreate(struct share_call *c)
{
	uint32_t id = p9_get32(&c->in);
	g_autofree char *name = p9_get_string(&c->in);
	uint32_t flags = p9_get32(&c->in), mode = p9_get32(&c->in);
	g_autoptr(share_fid_auto) old = share_fid_get(c->s, id);
	struct share_node *n;
	struct share_fid *f;
	int how, fd, rc;

	p9_skip(&c->in, 4); /* the group: ours */
	if (c->in.bad || !old || old->kind != FID_PATH)
		return old && old->kind == FID_STALE ? -ESTALE : -EBADF;
	if (old->node->type != S_IFDIR)
		return -ENOTDIR;
	how = host_flags(c->s, flags);
	rc = how < 0 ? how : share_name_ok(name);
	if (!rc)
		rc = share_reserve(c->s);
	if (rc)
		return rc;
	if (flags & L_EXCL)
		how |= O_EXCL;
	fd = create(c->s, old->node, name, (unsigned)how, mode, &n);
	if (fd < 0) {
		share_unreserve(c->s, 1);
		return fd;
	}
	f = opened(c->s, n, fd, flags);
	rc = share_put_qid(c, fd);
	p9_put32(&c->out, c->s->msize - P9_IO_HEADER);
	if (!rc)
		return share_fid_put(f, id, old);
	share_fid_unref(f);
	return rc;
}

/* ---- reading and writing ---- */

/* What is wrong with a fid that is not open as it should be. */
static int not_open(const struct share_fid *f)
{
	return !f		      ? -EBADF
	       : f->kind == FID_STALE ? -ESTALE
	       : f->kind == FID_DIR   ? -EISDIR
				      : -EBADF;
}

int share_read(struct share_call *c)
{
	uint32_t id = p9_get32(&c->in);
	uint64_t at = p9_get64(&c->in);
	uint32_t n = p9_get32(&c->in);
	g_autoptr(share_fid_auto) f = share_fid_get(c->s, id);
	ssize_t done = 0;

	if (c->in.bad || at > INT64_MAX)
		return -EINVAL;
	n = MIN(n, c->s->msize - READ_HEADER);
	n = (uint32_t)MIN(n, c->r->room - READ_HEADER);
	if (f && f->kind == FID_XATTR)
		return share_xattr_read(c, f, at, n);
	if (!f || f->kind != FID_FILE)
		return not_open(f);
	if (n && !c->r->map(c->r, false, READ_HEADER, n))
		return -EFAULT;
	if (n)
		done = preadv(f->fd, c->r->iov, (int)c->r->niov, (off_t)at);
	if (done < 0)
		return -errno;
	c->s->read_bytes += (uint64_t)done;
	c->r->data = (uint64_t)done;
	p9_put32(&c->out, (uint64_t)done);
	return 0;
}

int share_write(struct share_call *c)
{
	uint32_t id = p9_get32(&c->in);
	uint64_t at = p9_get64(&c->in);
	uint32_t n = p9_get32(&c->in);
	g_autoptr(share_fid_auto) f = share_fid_get(c->s, id);
	ssize_t done = 0;

	if (c->in.bad || at > INT64_MAX || n > SHARE_MAX_MSIZE ||
		n > c->r->total - WRITE_HEADER)
		return -EINVAL;
	if (f && f->kind == FID_XATTR)
		return share_xattr_write(c, f, at, n);
	if (!f || f->kind != FID_FILE)
		return not_open(f);
	if (n && !c->r->map(c->r, true, WRITE_HEADER, n))
		return -EFAULT;
	if (n)
		done = pwritev(f->fd, c->r->iov, (int)c->r->niov, (off_t)at);
	if (done < 0)
		return -errno;
	c->s->written_bytes += (uint64_t)done;
	p9_put32(&c->out, (uint64_t)done);
	return 0;
}

int share_fsync(struct share_call *c)
{
	uint32_t id = p9_get32(&c->in);
	bool data = p9_get32(&c->in) != 0;
	g_autoptr(share_fid_auto) f = share_fid_get(c->s, id);

	if (c->in.bad)
		return -EINVAL;
	if (!f || f->fd < 0)
		return not_open(f);
	if (c->s->readonly)
		return 0;
	return (data ? fdatasync(f->fd) : fsync(f->fd)) ? -errno : 0;
}

/* ---- folders ---- */

struct dir_reader {
	struct share_call *c;
	struct share_fid *f;
	size_t end; /* of the answer */
	uint64_t next;
	bool full;
};

/* As getdents64(2) gives it. */
struct host_dirent {
	uint64_t ino;
	int64_t next;
	uint16_t len;
	uint8_t type;
	char name[];
};

static uint8_t type_of_entry(struct dir_reader *r, const struct host_dirent *e)
{
	struct statx x;

	if (e->type != DT_UNKNOWN ||
		statx(r->f->fd, e->name, AT_SYMLINK_NOFOLLOW, STATX_TYPE, &x))
		return e->type;
	return (uint8_t)IFTODT(x.stx_mode);
}

/* False: it has no room any more. */
static bool put_entry(struct dir_reader *r, const struct host_dirent *e)
{
	const struct share_node *n = r->f->node;
	struct p9_out *out = &r->c->out;
	bool top = !n->parent && !strcmp(e->name, "..");
	uint8_t type = type_of_entry(r, e);
	struct statx x = {.stx_mode = DTTOIF(type),
		.stx_ino = top ? n->id.ino : e->ino,
		.stx_dev_major = n->id.dev_major,
		.stx_dev_minor = n->id.dev_minor};
	struct p9_qid q = share_qid(r->c->s, &x);

	if (out->n + DIRENT_FIXED + strlen(e->name) > r->end)
		return false;
	p9_put_qid(out, &q);
	p9_put64(out, (uint64_t)e->next);
	p9_put8(out, type);
	p9_put_string(out, e->name);
	r->next = (uint64_t)e->next;
	return true;
}

/* Fid's lock held. */
static int read_folder(struct dir_reader *r)
{
	_Alignas(8) uint8_t buf[DIR_BYTES];
	long n = 1;

	while (!r->full && n > 0) {
		n = syscall(SYS_getdents64, r->f->fd, buf, sizeof(buf));
		for (long i = 0; i < n && !r->full;) {
			const struct host_dirent *e = (const void *)(buf + i);

			r->full = !put_entry(r, e);
			i += e->len;
		}
	}
	/* The folder stands behind what did not fit. */
	r->f->at = r->full || n < 0 ? -1 : (int64_t)r->next;
	return n < 0 ? -errno : 0;
}

int share_readdir(struct share_call *c)
{
	uint32_t id = p9_get32(&c->in);
	uint64_t at = p9_get64(&c->in);
	uint32_t n = p9_get32(&c->in);
	g_autoptr(share_fid_auto) f = share_fid_get(c->s, id);
	struct dir_reader r = {.c = c, .f = f, .next = at};
	size_t start;
	int rc = 0;

	if (c->in.bad || at > INT64_MAX)
		return -EINVAL;
	if (!f || f->kind != FID_DIR)
		return !f || f->kind != FID_STALE ? -EBADF : -ESTALE;
	p9_put32(&c->out, 0);
	start = c->out.n;
	n = MIN(n, c->s->msize - READ_HEADER);
	r.end = MIN(start + n, c->out.max);
	pthread_mutex_lock(&f->lock);
	if (f->at != (int64_t)at && lseek(f->fd, (off_t)at, SEEK_SET) < 0)
		rc = -errno;
	if (!rc)
		rc = read_folder(&r);
	pthread_mutex_unlock(&f->lock);
	n = (uint32_t)(c->out.n - start);
	if (!rc && r.full && !n)
		rc = -EINVAL;
	/* What was read before an error counts; it comes again. */
	if (rc && !n)
		return rc;
	for (unsigned i = 0; i < 4; i++)
		c->out.p[start - 4 + i] = (uint8_t)(n >> (8 * i));
	return 0;
}

/* ---- locks ---- */

/*
 * They keep programs of the host and of other machines away; those of the same
 * guest are kept apart by its own kernel, and what one open file has locked is
 * that file's.
 */
struct lock_wish {
	uint8_t type;
	uint64_t start, len;
	uint32_t process;
	char *client;
};

/* A descriptor of the fid's own, for writing if that may be.  Its lock held. */
static int lock_fd(struct share_fid *f, bool *can_write)
{
	struct share *s = f->share;
	int rc, fd;

	if (f->lock_fd < 0) {
		rc = share_reserve(s);
		if (rc)
			return rc;
		fd = s->readonly ? -1 : share_reopen(s, f->fd, O_RDWR);
		if (fd < 0)
			fd = share_reopen(s, f->fd, O_RDONLY);
		if (fd < 0) {
			share_unreserve(s, 1);
			return fd;
		}
		f->lock_fd = fd;
	}
	*can_write = (fcntl(f->lock_fd, F_GETFL) & O_ACCMODE) == O_RDWR;
	return f->lock_fd;
}

static int lock_call(struct share_fid *f, const struct lock_wish *w, int cmd,
	struct flock *l)
{
	static const short types[] = {F_RDLCK, F_WRLCK, F_UNLCK};
	bool can_write = false;
	int fd, rc = 0;

	if (w->type > P9_LOCK_UN || w->start > INT64_MAX || w->len > INT64_MAX)
		return -EINVAL;
	pthread_mutex_lock(&f->lock);
	fd = lock_fd(f, &can_write);
	*l = (struct flock){.l_type = types[w->type],
		.l_whence = SEEK_SET,
		.l_start = (off_t)w->start,
		.l_len = (off_t)w->len};
	/* The strongest that can be had. */
	if (w->type == P9_LOCK_WR && !can_write)
		l->l_type = F_RDLCK;
	if (fd < 0)
		rc = fd;
	else if (fcntl(fd, cmd, l))
		rc = -errno;
	pthread_mutex_unlock(&f->lock);
	return rc;
}

int share_lock(struct share_call *c)
{
	uint32_t id = p9_get32(&c->in);
	struct lock_wish w = {.type = p9_get8(&c->in)};
	uint32_t flags = p9_get32(&c->in);
	g_autoptr(share_fid_auto) f = share_fid_get(c->s, id);
	struct flock l;
	int rc;

	w.start = p9_get64(&c->in);
	w.len = p9_get64(&c->in);
	w.process = p9_get32(&c->in);
	g_free(p9_get_string(&c->in));
	/* Waiting is the client's: it asks again. */
	(void)flags;
	if (c->in.bad)
		return -EINVAL;
	if (!f || f->fd < 0)
		return f && f->kind == FID_STALE ? -ESTALE : -EBADF;
	rc = lock_call(f, &w, F_OFD_SETLK, &l);
	p9_put8(&c->out, !rc				  ? P9_LOCK_OK
			 : rc == -EAGAIN || rc == -EACCES ? P9_LOCK_BLOCKED
							  : P9_LOCK_FAILED);
	return 0;
}

int share_getlock(struct share_call *c)
{
	uint32_t id = p9_get32(&c->in);
	struct lock_wish w = {.type = p9_get8(&c->in)};
	g_autoptr(share_fid_auto) f = share_fid_get(c->s, id);
	g_autofree char *client = NULL;
	struct flock l;
	int rc;

	w.start = p9_get64(&c->in);
	w.len = p9_get64(&c->in);
	w.process = p9_get32(&c->in);
	client = p9_get_string(&c->in);
	if (c->in.bad)
		return -EINVAL;
	if (!f || f->fd < 0)
		return f && f->kind == FID_STALE ? -ESTALE : -EBADF;
	rc = lock_call(f, &w, F_OFD_GETLK, &l);
	if (rc)
		return rc;
	p9_put8(&c->out, l.l_type == F_UNLCK   ? P9_LOCK_UN
			 : l.l_type == F_WRLCK ? P9_LOCK_WR
					       : P9_LOCK_RD);
	p9_put64(&c->out, l.l_type == F_UNLCK ? w.start : (uint64_t)l.l_start);
	p9_put64(&c->out, l.l_type == F_UNLCK ? w.len : (uint64_t)l.l_len);
	p9_put32(&c->out, l.l_type == F_UNLCK ? w.process : 0);
	p9_put_string(&c->out, client);
	return 0;
}
