/*
 * mount.c - the job mount: an image as files, by FUSE (libfuse's low level).
 *
 *   disk                   the whole disk
 *   part1, part2, ...      its partitions (parts.h)
 *   snapshots/NAME/...     the same for each snapshot inside the image
 *
 * The client mounts and hands the descriptor over; so this process needs no
 * right to mount, and everything it answers with was opened before.  The tree
 * never changes while it is mounted, so nodes are numbered: 1 is the root.
 *
 * A disk that may be written is not cached by the kernel: `disk` and `part1`
 * are the same bytes.
 */
#define FUSE_USE_VERSION 312
#include <fuse_lowlevel.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf/error.h"
#include "disk/job.h"
#include "disk/parts.h"

#define TIMEOUT_S     3600.0 /* names and sizes stay */
#define READ_MAX      (1u << 20)
#define SNAPSHOTS_MAX 64
#define PID_XATTR     "user.vmeste.pid"
#define THREADS	      8

struct node {
	char *name;
	unsigned parent;  /* node number */
	struct blk *disk; /* NULL: a folder */
	uint64_t off, len;
};

struct tree {
	GPtrArray *nodes; /* struct node; node number n is at n - 1 */
	GPtrArray *disks; /* struct blk, to be closed */
	uid_t uid;
	gid_t gid;
	struct timespec made;
};

/* ---- the tree ---- */

static void node_free(void *p)
{
	struct node *n = p;

	g_free(n->name);
	g_free(n);
}

static unsigned add_node(struct tree *t, unsigned parent, const char *name)
{
	struct node *n = g_new0(struct node, 1);

	n->name = g_strdup(name);
	n->parent = parent;
	g_ptr_array_add(t->nodes, n);
	return t->nodes->len;
}

static struct node *node_of(struct tree *t, fuse_ino_t ino)
{
	return ino && ino <= t->nodes->len
		       ? g_ptr_array_index(t->nodes, ino - 1)
		       : NULL;
}

static unsigned find_node(struct tree *t, fuse_ino_t parent, const char *name)
{
	for (unsigned i = 1; i <= t->nodes->len; i++) {
		const struct node *n = node_of(t, i);

		if (n->parent == parent && !strcmp(n->name, name))
			return i;
	}
	return 0;
}

static void add_file(struct tree *t, unsigned parent, const char *name,
	struct blk *disk, const struct disk_part *range)
{
	struct node *n = node_of(t, add_node(t, parent, name));

	n->disk = disk;
	n->off = range->off;
	n->len = range->len;
}

/* The files of one disk, which the tree takes over. */
static bool add_disk(
	struct tree *t, unsigned folder, struct blk *disk, GError **err)
{
	const struct disk_part all = {.len = disk->size};
	GArray *parts;

	g_ptr_array_add(t->disks, disk);
	parts = disk_parts_read(disk, err);
	if (!parts)
		return false;
	add_file(t, folder, "disk", disk, &all);
	for (guint i = 0; i < parts->len; i++) {
		const struct disk_part *p =
			&g_array_index(parts, struct disk_part, i);
		g_autofree char *name = g_strdup_printf("part%u", p->number);

		if (!find_node(t, folder, name))
			add_file(t, folder, name, disk, p);
	}
	g_array_unref(parts);
	return true;
}

/* A folder name for a snapshot; whatever its own is. */
static char *snapshot_name(
	struct tree *t, unsigned parent, const struct image_snapshot *s)
{
	bool usable = *s->name && *s->name != '.' && !strchr(s->name, '/') &&
		      strlen(s->name) < 200 && !find_node(t, parent, s->name);
	g_autofree char *id = g_strdelimit(g_strdup(s->id), "/.", '_');

	if (usable)
		return g_strdup(s->name);
	id[MIN(strlen(id), 200)] = '\0';
	return g_strdup_printf("id%s", id);
}

static bool add_snapshots(
	struct disk_job *j, struct tree *t, struct blk *top, GError **err)
{
	struct image_info *i = image_info_new(top);
	guint n = MIN(i->snapshots->len, SNAPSHOTS_MAX);
	unsigned all = n ? add_node(t, FUSE_ROOT_ID, "snapshots") : 0;
	bool ok = true;

	if (n < i->snapshots->len)
		disk_note(j, "the image has more snapshots than are shown; "
			     "--snapshot NAME shows any");
	for (guint k = 0; k < n && ok; k++) {
		const struct image_snapshot *s =
			g_ptr_array_index(i->snapshots, k);
		g_autofree char *name = snapshot_name(t, all, s);
		struct blk *b;

		if (find_node(t, all, name))
			continue;
		b = disk_image_snapshot(j, "src", s->id, err);
		ok = b && add_disk(t, add_node(t, all, name), b, err);
	}
	image_info_free(i);
	return ok;
}

static void tree_fini(struct tree *t)
{
	for (guint i = t->disks->len; i; i--)
		blk_close(g_ptr_array_index(t->disks, i - 1));
	g_ptr_array_unref(t->disks);
	g_ptr_array_unref(t->nodes);
}

static bool tree_init(struct disk_job *j, struct tree *t, GError **err)
{
	struct blk *top = disk_image(j, "src", 0, err);

	t->nodes = g_ptr_array_new_with_free_func(node_free);
	t->disks = g_ptr_array_new();
	t->uid = (uid_t)disk_arg_size(j, "uid");
	t->gid = (gid_t)disk_arg_size(j, "gid");
	clock_gettime(CLOCK_REALTIME, &t->made);
	add_node(t, 0, "");
	if (top && add_disk(t, FUSE_ROOT_ID, top, err) &&
		(disk_image_has_snapshot(j, "src") ||
			add_snapshots(j, t, top, err)))
		return true;
	tree_fini(t);
	return false;
}

/* ---- looking ---- */

static void fill(struct tree *t, fuse_ino_t ino, struct stat *st)
{
	const struct node *n = node_of(t, ino);

	*st = (struct stat){.st_ino = ino,
		.st_nlink = n->disk ? 1 : 2,
		.st_mode = S_IFDIR | 0555,
		.st_uid = t->uid,
		.st_gid = t->gid,
		.st_blksize = 4096,
		.st_atim = t->made,
		.st_mtim = t->made,
		.st_ctim = t->made};
	if (!n->disk)
		return;
	st->st_mode = S_IFREG | (n->disk->readonly ? 0444 : 0644);
	st->st_size = (off_t)n->len;
	st->st_blocks = (blkcnt_t)(n->len / 512);
}

static void on_init(void *opaque, struct fuse_conn_info *c)
{
	/* What moves pages between descriptors would need system calls that
	 * the jail has not. */
	c->want &= ~(unsigned)(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE |
			       FUSE_CAP_SPLICE_MOVE);
	c->max_write = READ_MAX;
}

static void on_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct tree *t = fuse_req_userdata(req);
	struct fuse_entry_param e = {.ino = find_node(t, parent, name),
		.attr_timeout = TIMEOUT_S,
		.entry_timeout = TIMEOUT_S};

	if (!e.ino) {
		fuse_reply_err(req, ENOENT);
		return;
	}
	fill(t, e.ino, &e.attr);
	fuse_reply_entry(req, &e);
}

static void on_getattr(
	fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct tree *t = fuse_req_userdata(req);
	struct stat st;

	if (!node_of(t, ino)) {
		fuse_reply_err(req, ENOENT);
		return;
	}
	fill(t, ino, &st);
	fuse_reply_attr(req, &st, TIMEOUT_S);
}

/* Times may be set, to no effect; sizes may not. */
static void on_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr,
	int set, struct fuse_file_info *fi)
{
	struct node *n = node_of(fuse_req_userdata(req), ino);
	int times = FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_MTIME |
		    FUSE_SET_ATTR_ATIME_NOW | FUSE_SET_ATTR_MTIME_NOW |
		    FUSE_SET_ATTR_CTIME;

	if (set & FUSE_SET_ATTR_SIZE && n && (uint64_t)attr->st_size == n->len)
		set &= ~FUSE_SET_ATTR_SIZE;
	if (set & ~times)
		fuse_reply_err(req, EPERM);
	else
		on_getattr(req, ino, fi);
}

static void on_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
	struct fuse_file_info *fi)
{
	struct tree *t = fuse_req_userdata(req);
	g_autofree char *buf = g_malloc(MIN(size, READ_MAX));
	struct node *self = node_of(t, ino);
	size_t at = 0, room = MIN(size, READ_MAX);

	/* The place in a folder: 1, 2 for the dots, then 2 + node number. */
	for (uint64_t i = (uint64_t)off; self && i < t->nodes->len + 2; i++) {
		struct node *n = i < 2 ? self : node_of(t, i - 1);
		fuse_ino_t is = i == 0	 ? ino
				: i == 1 ? MAX(self->parent, FUSE_ROOT_ID)
					 : i - 1;
		struct stat st;
		size_t len;

		if (i >= 2 && n->parent != ino)
			continue;
		fill(t, is, &st);
		len = fuse_add_direntry(req, buf + at, room - at,
			i == 0	 ? "."
			: i == 1 ? ".."
				 : n->name,
			&st, (off_t)i + 1);
		if (len > room - at)
			break;
		at += len;
	}
	fuse_reply_buf(req, buf, at);
}

static void on_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct tree *t = fuse_req_userdata(req);
	struct blk *disk = g_ptr_array_index(t->disks, 0);
	const struct statvfs st = {.f_bsize = 4096,
		.f_frsize = 512,
		.f_blocks = disk->size / 512,
		.f_files = t->nodes->len,
		.f_namemax = 255};

	fuse_reply_statfs(req, &st);
}

/* The process to wait for when it is unmounted. */
static void on_getxattr(
	fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	g_autofree char *text = g_strdup_printf("%d", (int)getpid());

	if (ino != FUSE_ROOT_ID || strcmp(name, PID_XATTR) != 0)
		fuse_reply_err(req, ENODATA);
	else if (!size)
		fuse_reply_xattr(req, strlen(text));
	else if (size < strlen(text))
		fuse_reply_err(req, ERANGE);
	else
		fuse_reply_buf(req, text, strlen(text));
}

/* ---- bytes ---- */

static void on_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct tree *t = fuse_req_userdata(req);
	struct node *n = node_of(t, ino);
	bool write = (fi->flags & O_ACCMODE) != O_RDONLY;

	if (!n || !n->disk || (write && n->disk->readonly)) {
		fuse_reply_err(req, !n ? ENOENT : n->disk ? EROFS : EISDIR);
		return;
	}
	fi->direct_io = !n->disk->readonly;
	fi->keep_cache = n->disk->readonly;
	fuse_reply_open(req, fi);
}

/* How much of [off, off + size) the file has. */
static size_t within(const struct node *n, size_t size, off_t off)
{
	if (off < 0 || (uint64_t)off >= n->len)
		return 0;
	return MIN(size, n->len - (uint64_t)off);
}

static void on_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
	struct fuse_file_info *fi)
{
	struct node *n = node_of(fuse_req_userdata(req), ino);
	size_t len = within(n, MIN(size, READ_MAX), off);
	void *buf = len ? aligned_alloc(4096, (len + 4095) & ~4095ul) : NULL;
	int rc = len && !buf ? -ENOMEM : 0;

	if (len && !rc)
		rc = blk_pread(n->disk, buf, len, n->off + (uint64_t)off);
	if (rc)
		fuse_reply_err(req, -rc);
	else
		fuse_reply_buf(req, buf, len);
	free(buf);
}

static void on_write(fuse_req_t req, fuse_ino_t ino, const char *buf,
	size_t size, off_t off, struct fuse_file_info *fi)
{
	struct node *n = node_of(fuse_req_userdata(req), ino);
	size_t len = within(n, size, off);
	int rc = len ? blk_pwrite(n->disk, buf, len, n->off + (uint64_t)off)
		     : -ENOSPC;

	if (rc)
		fuse_reply_err(req, -rc);
	else
		fuse_reply_write(req, len);
}

static void on_fsync(
	fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	struct node *n = node_of(fuse_req_userdata(req), ino);

	fuse_reply_err(req, n->disk->readonly ? 0 : -blk_flush(n->disk));
}

static void on_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t off,
	off_t len, struct fuse_file_info *fi)
{
	struct node *n = node_of(fuse_req_userdata(req), ino);
	bool punch = mode & FALLOC_FL_PUNCH_HOLE;
	int rc = -EOPNOTSUPP;

	mode &= ~FALLOC_FL_KEEP_SIZE;
	if (mode == FALLOC_FL_PUNCH_HOLE || mode == FALLOC_FL_ZERO_RANGE)
		rc = blk_write_zeroes(n->disk, n->off + (uint64_t)off,
			within(n, (size_t)len, off), punch);
	fuse_reply_err(req, -rc);
}

static void on_lseek(fuse_req_t req, fuse_ino_t ino, off_t off, int whence,
	struct fuse_file_info *fi)
{
	struct node *n = node_of(fuse_req_userdata(req), ino);
	uint64_t at = (uint64_t)off;
	struct blk_extent e;
	int rc = 0;

	if ((whence != SEEK_DATA && whence != SEEK_HOLE) ||
		!within(n, 1, off)) {
		fuse_reply_err(req, within(n, 1, off) ? EINVAL : ENXIO);
		return;
	}
	for (; at < n->len; at += e.len) {
		rc = blk_map_deep(n->disk, n->off + at, n->len - at, &e, NULL);
		if (rc || (e.state == BLK_ZERO) == (whence == SEEK_HOLE))
			break;
	}
	if (!rc && at >= n->len && whence == SEEK_DATA)
		rc = -ENXIO;
	if (rc)
		fuse_reply_err(req, -rc);
	else
		fuse_reply_lseek(req, (off_t)MIN(at, n->len));
}

static const struct fuse_lowlevel_ops ops = {
	.init = on_init,
	.lookup = on_lookup,
	.getattr = on_getattr,
	.setattr = on_setattr,
	.readdir = on_readdir,
	.statfs = on_statfs,
	.getxattr = on_getxattr,
	.open = on_open,
	.read = on_read,
	.write = on_write,
	.fsync = on_fsync,
	.fallocate = on_fallocate,
	.lseek = on_lseek,
};

/* ---- serving ---- */

/* By /dev/fd/N libfuse takes a descriptor that is mounted already. */
static struct fuse_session *session_new(struct tree *t, int fd)
{
	char name[] = "vmeste", *argv[] = {name, NULL};
	struct fuse_args args = FUSE_ARGS_INIT(1, argv);
	g_autofree char *place = g_strdup_printf("/dev/fd/%d", fd);
	struct fuse_session *se = fuse_session_new(&args, &ops, sizeof(ops), t);

	fuse_opt_free_args(&args);
	if (se && !fuse_session_mount(se, place))
		return se;
	if (se)
		fuse_session_destroy(se);
	return NULL;
}

/* Threads take turns at waiting for a request, and carry it out while the next
 * one waits.  libfuse's own loop cancels its threads, for which the C library
 * would load another library: out of the jail. */
struct turns {
	struct fuse_session *se;
	int stop;
	GMutex turn;
	_Atomic(int) rc;
};

/* The length of a request, 0 at the end, or -errno. */
static int next_request(struct turns *w, struct fuse_buf *buf)
{
	struct pollfd p[2] = {
		{fuse_session_fd(w->se), POLLIN, 0}, {w->stop, POLLIN, 0}};
	int n = -EAGAIN;

	g_mutex_lock(&w->turn);
	while ((n == -EAGAIN || n == -EINTR) && !fuse_session_exited(w->se)) {
		n = poll(p, 2, -1) < 0 ? -errno : 0;
		if (!n && p[1].revents)
			fuse_session_exit(w->se);
		else if (!n)
			n = fuse_session_receive_buf(w->se, buf);
	}
	if (n <= 0)
		fuse_session_exit(w->se);
	g_mutex_unlock(&w->turn);
	return fuse_session_exited(w->se) ? MIN(n, 0) : n;
}

static void *server(void *opaque)
{
	struct turns *w = opaque;
	struct fuse_buf buf = {0};
	int n, none = 0;

	while ((n = next_request(w, &buf)) > 0)
		fuse_session_process_buf(w->se, &buf);
	if (n < 0 && n != -EAGAIN && n != -EINTR)
		atomic_compare_exchange_strong(&w->rc, &none, n);
	free(buf.mem);
	return NULL;
}

static int serve(struct fuse_session *se, int stop)
{
	struct turns w = {.se = se, .stop = stop};
	GThread *t[THREADS] = {NULL};
	int fd = fuse_session_fd(se);

	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	g_mutex_init(&w.turn);
	for (unsigned i = 1; i < THREADS; i++)
		t[i] = g_thread_try_new("files", server, &w, NULL);
	server(&w);
	for (unsigned i = 1; i < THREADS; i++)
		if (t[i])
			g_thread_join(t[i]);
	g_mutex_clear(&w.turn);
	return w.rc;
}

static int flush_all(struct tree *t)
{
	int rc = 0;

	for (guint i = 0; i < t->disks->len && !rc; i++) {
		struct blk *b = g_ptr_array_index(t->disks, i);

		rc = b->readonly ? 0 : blk_flush(b);
	}
	return rc;
}

bool disk_mount(struct disk_job *j, GError **err)
{
	struct tree t = {0};
	struct fuse_session *se;
	int fd[2] = {-1, -1}, stop, rc;

	if (!tree_init(j, &t, err))
		return false;
	if (!disk_ask_fds(j, "mount", fd, 2, err)) {
		tree_fini(&t);
		return false;
	}
	se = session_new(&t, fd[0]);
	if (!se) {
		tree_fini(&t);
		return disk_errno(err, -EIO, "cannot serve the folder");
	}
	stop = disk_stop_fd();
	rc = disk_ready(j, NULL, err) ? serve(se, stop) : 0;
	if (!rc)
		rc = flush_all(&t);
	fuse_session_destroy(se);
	tree_fini(&t);
	/* fusermount3 unmounts what is left when this closes. */
	close(fd[1]);
	return !rc || disk_errno(err, rc, "cannot write the image");
}
