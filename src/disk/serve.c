/*
 * serve.c - the job serve: an image for clients of NBD (nbd.h).
 *
 * The client of ours has made the listening socket.  Each client of NBD has a
 * place and a thread; who comes when all places are taken waits.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "conf/error.h"
#include "disk/job.h"
#include "disk/nbd.h"

#define PLACES 16

struct hall;

struct place {
	struct hall *hall;
	int fd; /* -1: free */
};

struct hall {
	struct nbd_export export;
	GMutex lock;
	int freed; /* pipe: a place is free again */
	struct place place[PLACES];
	unsigned taken;
};

static void *attend(void *opaque)
{
	struct place *p = opaque;
	struct hall *h = p->hall;

	nbd_serve(p->fd, &h->export);
	g_mutex_lock(&h->lock);
	close(p->fd);
	p->fd = -1;
	h->taken--;
	if (write(h->freed, "", 1) < 0)
		errno = 0; /* the pipe is full: enough is said */
	g_mutex_unlock(&h->lock);
	return NULL;
}

static void welcome(struct hall *h, int fd)
{
	struct place *p = h->place;
	GThread *t;

	g_mutex_lock(&h->lock);
	while (p->fd >= 0)
		p++;
	p->fd = fd;
	h->taken++;
	t = g_thread_try_new("client", attend, p, NULL);
	if (!t) {
		close(fd);
		p->fd = -1;
		h->taken--;
	} else {
		g_thread_unref(t);
	}
	g_mutex_unlock(&h->lock);
}

static unsigned taken(struct hall *h)
{
	unsigned n;

	g_mutex_lock(&h->lock);
	n = h->taken;
	g_mutex_unlock(&h->lock);
	return n;
}

static void drain(int fd)
{
	char text[64];

	while (read(fd, text, sizeof(text)) > 0)
		;
}

static void receive(struct hall *h, int listener, int freed, int stop)
{
	struct pollfd p[3] = {
		{stop, POLLIN, 0}, {freed, POLLIN, 0}, {listener, POLLIN, 0}};

	for (;;) {
		int fd;

		p[2].revents = 0;
		if (poll(p, taken(h) < PLACES ? 3 : 2, -1) < 0)
			continue;
		if (p[0].revents)
			return;
		drain(freed);
		fd = p[2].revents ? accept4(listener, NULL, NULL, SOCK_CLOEXEC)
				  : -1;
		if (fd >= 0)
			welcome(h, fd);
	}
}

/* Everybody out. */
static void send_home(struct hall *h, int freed)
{
	struct pollfd p = {freed, POLLIN, 0};

	g_mutex_lock(&h->lock);
	for (unsigned i = 0; i < PLACES; i++)
		if (h->place[i].fd >= 0)
			shutdown(h->place[i].fd, SHUT_RDWR);
	g_mutex_unlock(&h->lock);
	while (taken(h)) {
		poll(&p, 1, -1);
		drain(freed);
	}
}

static bool run(struct disk_job *j, struct hall *h, int listener, GError **err)
{
	int pipes[2], stop, rc = 0;

	if (pipe2(pipes, O_CLOEXEC | O_NONBLOCK))
		return disk_errno(err, -errno, "cannot make a pipe");
	h->freed = pipes[1];
	for (unsigned i = 0; i < PLACES; i++)
		h->place[i] = (struct place){h, -1};
	g_mutex_init(&h->lock);
	stop = disk_stop_fd();
	if (disk_ready(j, NULL, err)) {
		receive(h, listener, pipes[0], stop);
		send_home(h, pipes[0]);
	}
	if (!h->export.disk->readonly)
		rc = blk_flush(h->export.disk);
	return !rc || disk_errno(err, rc, "cannot write the image");
}

/* Changes go to a file without a name, and vanish. */
static struct blk *overlay(struct disk_job *j, struct blk *b, GError **err)
{
	int fd = disk_has(j, "cow") ? disk_fd(j, "cow", err) : -1;

	if (fd >= 0)
		return blk_cow_open(b, fd, err);
	if (!disk_has(j, "cow"))
		return b;
	blk_close(b);
	return NULL;
}

bool disk_nbd(struct disk_job *j, GError **err)
{
	struct hall h = {.export.name = disk_arg(j, "name")};
	int listener = disk_fd(j, "listen", err);
	struct blk *b = listener < 0 ? NULL : disk_image(j, "src", 0, err);
	bool ok = false;

	if (!h.export.name || strlen(h.export.name) > NBD_NAME_MAX)
		h.export.name = "";
	if (b)
		b = overlay(j, b, err);
	h.export.disk = b;
	if (b)
		ok = run(j, &h, listener, err);
	blk_close(b);
	if (listener >= 0)
		close(listener);
	return ok;
}
