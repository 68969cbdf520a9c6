/*
 * fid.c - the numbers that a client has given to files.
 */
#include <unistd.h>

#include "share/priv.h"

#define FID_COST (sizeof(struct share_fid) + 64)

struct share_fid *share_fid_new(
	struct share *s, enum share_fid_kind kind, struct share_node *node)
{
	struct share_fid *f = g_new0(struct share_fid, 1);

	f->share = s;
	f->refs = 1;
	f->kind = kind;
	f->node = node;
	f->fd = f->lock_fd = -1;
	f->at = -1;
	pthread_mutex_init(&f->lock, NULL);
	pthread_mutex_lock(&s->lock);
	s->memory += FID_COST;
	pthread_mutex_unlock(&s->lock);
	return f;
}

static void fid_free(struct share_fid *f)
{
	struct share *s = f->share;
	unsigned open = (f->fd >= 0) + (f->lock_fd >= 0);

	/* Closing may take its time. */
	if (f->fd >= 0)
		close(f->fd);
	if (f->lock_fd >= 0)
		close(f->lock_fd);
	pthread_mutex_lock(&s->lock);
	s->open -= open;
	s->memory -= FID_COST;
	s->xattrs -= f->size;
	share_node_unref_locked(s, f->node);
	pthread_mutex_unlock(&s->lock);
	pthread_mutex_destroy(&f->lock);
	g_free(f->value);
	g_free(f->xattr);
	g_free(f);
}

void share_fid_unref(struct share_fid *f)
{
	bool last;

	if (!f)
		return;
	pthread_mutex_lock(&f->share->lock);
	last = !--f->refs;
	pthread_mutex_unlock(&f->share->lock);
	if (last)
		fid_free(f);
}

struct share_fid *share_fid_get(struct share *s, uint32_t id)
{
	struct share_fid *f;

	pthread_mutex_lock(&s->lock);
	f = g_hash_table_lookup(s->fids, GUINT_TO_POINTER(id));
	if (f)
		f->refs++;
	pthread_mutex_unlock(&s->lock);
	return f;
}

int share_fid_put(struct share_fid *f, uint32_t id, struct share_fid *old)
{
	struct share *s = f->share;
	int rc = 0;

	pthread_mutex_lock(&s->lock);
	if (id == P9_NOFID ||
		g_hash_table_lookup(s->fids, GUINT_TO_POINTER(id)) != old) {
		rc = old ? -EBUSY : -EBADF;
	} else if (!old && s->memory >= SHARE_MAX_MEMORY) {
		rc = -ENFILE;
	} else {
		f->id = id;
		f->refs++;
		g_hash_table_replace(s->fids, GUINT_TO_POINTER(id), f);
	}
	pthread_mutex_unlock(&s->lock);
	if (!rc && old)
		share_fid_unref(old); /* the table's */
	share_fid_unref(f);
	return rc;
}

struct share_fid *share_fid_take(struct share *s, uint32_t id)
{
	gpointer f = NULL;

	pthread_mutex_lock(&s->lock);
	g_hash_table_steal_extended(s->fids, GUINT_TO_POINTER(id), NULL, &f);
	pthread_mutex_unlock(&s->lock);
	return f;
}

void share_fids_clear(struct share *s)
{
	g_autoptr(GList) all = NULL;

	pthread_mutex_lock(&s->lock);
	all = g_hash_table_get_values(s->fids);
	g_hash_table_remove_all(s->fids);
	pthread_mutex_unlock(&s->lock);
	for (GList *f = all; f; f = f->next)
		share_fid_unref(f->data);
}

int share_xattr_room(struct share *s, size_t n)
{
	int rc = 0;

	pthread_mutex_lock(&s->lock);
	if (s->xattrs + n > SHARE_MAX_XATTRS)
		rc = -ENOSPC;
	else
		s->xattrs += n;
	pthread_mutex_unlock(&s->lock);
	return rc;
}
