/*
 * node.c - files by where they are, and the descriptors that hold them.
 *
 * One node for each place in use, found by its folder's node and its name.  A
 * name is looked up anew each time: if another file is there now, the node
 * loses its place and goes on with its own file for who still has it.
 */
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "share/priv.h"

#define NODE_COST  (sizeof(struct share_node) + 64)
#define LOOK_TRIES 32 /* openat2(2): it may want another try */

/* ---- the host's files ---- */

static int open_how(int fd, const char *name, uint64_t flags, uint32_t mode,
	uint64_t resolve)
{
	struct open_how how = {.flags = flags | O_CLOEXEC | O_NOCTTY,
		.mode = flags & O_CREAT ? mode : 0,
		.resolve = resolve};

	if (flags & O_PATH)
		how.flags = flags | O_CLOEXEC;
	for (unsigned i = 0; i < LOOK_TRIES; i++) {
		long r = syscall(SYS_openat2, fd, name, &how, sizeof(how));

		if (r >= 0)
			return (int)r;
		if (errno != EAGAIN && errno != EINTR)
			break;
	}
	return -errno;
}

int share_open_at(int fd, const char *name, uint64_t flags, uint32_t mode)
{
	return open_how(fd, name, flags | O_NOFOLLOW, mode,
		RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS);
}

int share_reopen(struct share *s, int fd, uint64_t flags)
{
	char name[16];

	snprintf(name, sizeof(name), "%d", fd);
	if (!(flags & O_PATH))
		flags |= O_NONBLOCK;
	return open_how(s->self_fd, name, flags, 0, 0);
}

int share_stat(int fd, struct statx *x)
{
	return statx(fd, "", AT_EMPTY_PATH | AT_NO_AUTOMOUNT,
		       STATX_BASIC_STATS | STATX_BTIME, x)
		       ? -errno
		       : 0;
}

static struct share_id id_of(const struct statx *x)
{
	struct share_id id = {.dev_major = x->stx_dev_major,
		.dev_minor = x->stx_dev_minor,
		.ino = x->stx_ino};

	if (x->stx_mask & STATX_BTIME) {
		id.btime = x->stx_btime.tv_sec;
		id.btime_ns = x->stx_btime.tv_nsec;
	}
	return id;
}

static bool same_id(const struct share_id *a, const struct share_id *b)
{
	return a->dev_major == b->dev_major && a->dev_minor == b->dev_minor &&
	       a->ino == b->ino && a->btime == b->btime &&
	       a->btime_ns == b->btime_ns;
}

int share_name_ok(const char *name)
{
	if (!*name || !strcmp(name, ".") || !strcmp(name, "..") ||
		strchr(name, '/'))
		return -EINVAL;
	return strlen(name) > SHARE_MAX_NAME ? -ENAMETOOLONG : 0;
}

/* ---- descriptors ---- */

/* Lock held. */
static void set_idle(struct share *s, struct share_node *n)
{
	bool idle = n->fd >= 0 && !n->pins && n->linked && n->parent;

	if (idle == n->idle)
		return;
	n->idle = idle;
	if (idle)
		g_queue_push_tail_link(&s->idle, &n->link);
	else
		g_queue_unlink(&s->idle, &n->link);
}

static void close_node(struct share *s, struct share_node *n)
{
	if (n->fd < 0)
		return;
	close(n->fd);
	n->fd = -1;
	s->open--;
	set_idle(s, n);
}

static int reserve_locked(struct share *s)
{
	while (s->open >= s->max_open && s->idle.head)
		close_node(s, s->idle.head->data);
	if (s->open >= s->max_open)
		return -ENFILE;
	s->open++;
	return 0;
}

int share_reserve(struct share *s)
{
	int rc;

	pthread_mutex_lock(&s->lock);
	rc = reserve_locked(s);
	pthread_mutex_unlock(&s->lock);
	return rc;
}

void share_unreserve(struct share *s, unsigned n)
{
	pthread_mutex_lock(&s->lock);
	s->open -= n;
	pthread_mutex_unlock(&s->lock);
}

/* ---- nodes; lock held ---- */

static guint node_hash(gconstpointer p)
{
	const struct share_node *n = p;

	return g_str_hash(n->name) ^ g_direct_hash(n->parent);
}

static gboolean node_equal(gconstpointer a, gconstpointer b)
{
	const struct share_node *x = a, *y = b;

	return x->parent == y->parent && !strcmp(x->name, y->name);
}

static struct share_node *find_node(
	struct share *s, struct share_node *dir, const char *name)
{
	g_autofree char *copy = g_strdup(name);
	struct share_node key = {.parent = dir, .name = copy};

	return g_hash_table_lookup(s->nodes, &key);
}

static void unlink_node(struct share *s, struct share_node *n)
{
	if (!n->linked)
		return;
	g_hash_table_remove(s->nodes, n);
	n->linked = false;
	set_idle(s, n);
}

void share_node_unref_locked(struct share *s, struct share_node *n)
{
	while (n && !--n->refs) {
		struct share_node *parent = n->parent;

		unlink_node(s, n);
		close_node(s, n);
		s->memory -= NODE_COST + strlen(n->name);
		g_free(n->name);
		g_free(n);
		n = parent;
	}
}

void share_node_unref(struct share *s, struct share_node *n)
{
	pthread_mutex_lock(&s->lock);
	share_node_unref_locked(s, n);
	pthread_mutex_unlock(&s->lock);
}

struct share_node *share_node_ref(struct share *s, struct share_node *n)
{
	pthread_mutex_lock(&s->lock);
	n->refs++;
	pthread_mutex_unlock(&s->lock);
	return n;
}

static unsigned depth_of(const struct share_node *n)
{
	unsigned depth = 0;

	for (; n->parent && depth < SHARE_MAX_DEPTH; n = n->parent)
		depth++;
	return depth;
}

/* Takes fd. */
static struct share_node *new_node(struct share *s, struct share_node *dir,
	const char *name, int fd, const struct statx *x)
{
	struct share_node *n = g_new0(struct share_node, 1);

	n->link.data = n;
	n->refs = 1;
	n->fd = fd;
	n->name = g_strdup(name);
	n->type = x->stx_mode & S_IFMT;
	n->id = id_of(x);
	s->memory += NODE_COST + strlen(name);
	if (!dir)
		return n;
	n->parent = dir;
	dir->refs++;
	n->linked = true;
	g_hash_table_add(s->nodes, n);
	set_idle(s, n);
	return n;
}

int share_root(struct share *s)
{
	struct statx x;
	int rc = share_stat(s->root_fd, &x);

	if (!s->nodes)
		s->nodes = g_hash_table_new(node_hash, node_equal);
	if (rc)
		return rc;
	if (!S_ISDIR(x.stx_mode))
		return -ENOTDIR;
	s->dev_major = x.stx_dev_major;
	s->dev_minor = x.stx_dev_minor;
	s->root = new_node(s, NULL, "", s->root_fd, &x);
	s->open++;
	return 0;
}

/* ---- a node's descriptor ---- */

/* The one of folder p opens for c, whose name that is. */
static int open_again(struct share *s, struct share_node *p,
	struct share_node *c, const char *name)
{
	int fd = share_open_at(p->fd, name, O_PATH, 0), rc = fd;
	struct share_id id;
	struct statx x;

	if (fd >= 0)
		rc = share_stat(fd, &x);
	if (!rc) {
		id = id_of(&x);
		rc = same_id(&id, &c->id) ? 0 : -ESTALE;
	}
	if (fd >= 0 && rc) {
		close(fd);
		fd = -1;
	}
	return fd >= 0 ? fd : rc == -ENOENT || rc == -ENOTDIR ? -ESTALE : rc;
}

/* Open the uppermost of n and its folders that is closed: 0 or -errno.  Lock
 * held, let go meanwhile. */
static int open_one(struct share *s, struct share_node *n)
{
	struct share_node *c = n, *p;
	g_autofree char *name = NULL;
	unsigned depth = 0;
	int fd;

	while (c->parent->fd < 0 && c->linked && ++depth < SHARE_MAX_DEPTH)
		c = c->parent;
	if (!c->linked)
		return -ESTALE;
	p = c->parent;
	if (p->fd < 0)
		return -ELOOP;
	/* Not that one, to make room. */
	p->pins++;
	set_idle(s, p);
	fd = reserve_locked(s);
	if (fd < 0) {
		p->pins--;
		set_idle(s, p);
		return fd;
	}
	name = g_strdup(c->name);
	c->refs++;
	pthread_mutex_unlock(&s->lock);
	fd = open_again(s, p, c, name);
	pthread_mutex_lock(&s->lock);
	if (fd >= 0 && c->fd < 0) {
		c->fd = fd;
		set_idle(s, c);
	} else {
		s->open--;
		if (fd >= 0)
			close(fd);
	}
	p->pins--;
	set_idle(s, p);
	share_node_unref_locked(s, c);
	return fd < 0 ? fd : 0;
}

struct share_pin share_pin(struct share *s, struct share_node *n)
{
	struct share_pin p = {.s = s};
	unsigned tries = 4 * SHARE_MAX_DEPTH;
	int rc = 0;

	pthread_mutex_lock(&s->lock);
	/* Others may close what has just been opened. */
	while (n->fd < 0 && !rc && tries--)
		rc = open_one(s, n);
	if (n->fd >= 0) {
		p.node = n;
		p.fd = n->fd;
		n->refs++;
		n->pins++;
		set_idle(s, n);
	} else {
		p.fd = rc ? rc : -ENFILE;
	}
	pthread_mutex_unlock(&s->lock);
	return p;
}

void share_unpin(struct share_pin *p)
{
	if (!p->node)
		return;
	pthread_mutex_lock(&p->s->lock);
	p->node->pins--;
	set_idle(p->s, p->node);
	share_node_unref_locked(p->s, p->node);
	pthread_mutex_unlock(&p->s->lock);
	p->node = NULL;
}

/* ---- places ---- */

/* What is in the table there, if it is this file.  Lock held. */
static struct share_node *known(struct share *s, struct share_node *dir,
	const char *name, const struct statx *x)
{
	struct share_node *n = find_node(s, dir, name);
	struct share_id id = id_of(x);

	if (!n || same_id(&id, &n->id))
		return n;
	unlink_node(s, n);
	return NULL;
}

int share_adopt(struct share *s, struct share_node *dir, const char *name,
	int fd, struct share_node **out)
{
	struct share_node *n;
	struct statx x;
	int rc = share_stat(fd, &x);
	bool keep = false;

	pthread_mutex_lock(&s->lock);
	n = rc ? NULL : known(s, dir, name, &x);
	if (n) {
		n->refs++;
		keep = n->fd < 0;
		if (keep)
			n->fd = fd;
		set_idle(s, n);
	} else if (!rc && depth_of(dir) >= SHARE_MAX_DEPTH) {
		rc = -ELOOP;
	} else if (!rc && s->memory >= SHARE_MAX_MEMORY) {
		rc = -ENFILE;
	} else if (!rc) {
		n = new_node(s, dir, name, fd, &x);
		keep = true;
	}
	s->open -= !keep;
	pthread_mutex_unlock(&s->lock);
	if (!keep)
		close(fd);
	*out = n;
	return rc;
}

int share_look(struct share *s, struct share_node *dir, const char *name,
	struct share_node **out)
{
	g_auto(share_pin_auto) p = {.s = s};
	int rc, fd;

	*out = NULL;
	if (!strcmp(name, "..")) {
		*out = share_node_ref(s, dir->parent ? dir->parent : dir);
		return 0;
	}
	rc = share_name_ok(name);
	if (!rc && dir->type != S_IFDIR)
		rc = -ENOTDIR;
	if (rc)
		return rc;
	p = share_pin(s, dir);
	if (p.fd < 0)
		return p.fd;
	rc = share_reserve(s);
	if (rc)
		return rc;
	fd = share_open_at(p.fd, name, O_PATH, 0);
	if (fd >= 0)
		return share_adopt(s, dir, name, fd, out);
	share_unreserve(s, 1);
	return fd;
}

static bool is_below(const struct share_node *n, const struct share_node *top)
{
	for (; n; n = n->parent)
		if (n == top)
			return true;
	return false;
}

void share_removed(struct share *s, struct share_node *dir, const char *name)
{
	struct share_node *n;

	pthread_mutex_lock(&s->lock);
	n = find_node(s, dir, name);
	if (n)
		unlink_node(s, n);
	pthread_mutex_unlock(&s->lock);
}

void share_moved(struct share *s, struct share_node *from, const char *name,
	struct share_node *to, const char *new_name)
{
	struct share_node *n, *over;

	pthread_mutex_lock(&s->lock);
	n = find_node(s, from, name);
	over = find_node(s, to, new_name);
	if (over && over != n)
		unlink_node(s, over);
	if (n && n != over) {
		unlink_node(s, n);
		/* The host may have moved what we believe to be elsewhere. */
		if (!is_below(to, n)) {
			s->memory += strlen(new_name);
			s->memory -= strlen(n->name);
			g_free(n->name);
			n->name = g_strdup(new_name);
			to->refs++;
			share_node_unref_locked(s, n->parent);
			n->parent = to;
			n->linked = true;
			g_hash_table_add(s->nodes, n);
			set_idle(s, n);
		}
	}
	pthread_mutex_unlock(&s->lock);
}

char *share_path_locked(const struct share_node *n)
{
	GPtrArray *a = g_ptr_array_new();
	GString *path = g_string_new(NULL);

	for (; n->parent && n->linked && a->len <= SHARE_MAX_DEPTH;
		n = n->parent)
		g_ptr_array_add(a, n->name);
	for (guint i = a->len; i; i--)
		g_string_append_printf(path, "%s%s", path->len ? "/" : "",
			(const char *)a->pdata[i - 1]);
	g_ptr_array_unref(a);
	return g_string_free(path, n->parent != NULL);
}
