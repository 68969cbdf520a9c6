/*
 * rfb.c - a remote screen by libvncserver.
 *
 * RFC 6143 and the community's rfbproto: DesktopSize, ExtendedDesktopSize,
 * QEMU Extended Key Event (keys by position).
 *
 * The library waits for a peer that is slow, for RFB_WAIT_MS at most, so it
 * has a thread of its own: neither the guest nor the control loop waits with
 * it.  While somebody is connected the screen is drawn FRAME_MS after the last
 * time; when nothing has changed QUIET_FRAMES times the source is asked to
 * wake us, and nobody runs until then.
 */
#include "display/rfb.h"

#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <unistd.h>

#include <glib-unix.h>

#include "display/tls.h"

#include <rfb/rfb.h>

#define RFB_WAIT_MS  3000
#define MAX_CLIENTS  8
#define FRAME_US     30000
#define QUIET_FRAMES 8
#define WEBSOCKET_MS 100
#define MAX_LOST     1000 /* 46 KB each at most */
#define NKEYS	     (DISPLAY_KEY_PAUSE + 1)

#define ENCODING_EXT_KEY (-258)
#define MESSAGE_QEMU	 255
#define MESSAGE_EXT_KEY	 0

struct rfb {
	struct display *d;
	struct display_view view;
	struct rfb_conf conf;
	struct tls *tls; /* or NULL */
	char *password[2];
	rfbScreenInfoPtr screen;
	GThread *thread;
	GMainContext *context;
	GMainLoop *loop;
	GSource *listener, *tick;
	unsigned clients;
	unsigned quiet; /* drawings without a change */
	/* WebSockets that ended before they were clients: the library may have
	 * lost some memory by each. */
	unsigned lost;
	bool down[NKEYS];
};

struct client {
	struct rfb *r;
	rfbClientPtr cl;
	GSource *source;
};

static struct rfb *rfb_of(rfbClientPtr cl)
{
	return cl->screen->screenData;
}

/* ---- the picture ---- */

static void rfb_view_changed(
	void *opaque, unsigned x, unsigned y, unsigned width, unsigned height)
{
	struct rfb *r = opaque;

	rfbMarkRectAsModified(
		r->screen, (int)x, (int)y, (int)(x + width), (int)(y + height));
}

/* The library's own layout of colours is another one. */
static void rfb_format(struct rfb *r)
{
	rfbClientIteratorPtr i = rfbGetClientIterator(r->screen);
	rfbPixelFormat *f = &r->screen->serverFormat;
	rfbClientPtr cl;

	f->redShift = 16;
	f->greenShift = 8;
	f->blueShift = 0;
	f->depth = 24;
	while ((cl = rfbClientIteratorNext(i)))
		r->screen->setTranslateFunction(cl);
	rfbReleaseClientIterator(i);
}

static void rfb_view_resized(void *opaque)
{
	struct rfb *r = opaque;

	rfbNewFramebuffer(r->screen, (char *)r->view.pixels, (int)r->view.width,
		(int)r->view.height, 8, 3, 4);
	rfb_format(r);
}

/* With the bus lock held, from any thread. */
static void rfb_wake(void *opaque)
{
	struct rfb *r = opaque;

	g_source_set_ready_time(r->tick, 0);
}

static void rfb_client_check(struct client *c);

static void rfb_draw(struct rfb *r)
{
	r->d->source.draw(r->d->source.opaque, &r->view);
}

static void rfb_send(struct rfb *r)
{
	rfbClientIteratorPtr i = rfbGetClientIterator(r->screen);
	rfbClientPtr cl = rfbClientIteratorNext(i);

	while (cl) {
		rfbClientPtr next = rfbClientIteratorNext(i);

		rfbUpdateClient(cl);
		rfb_client_check(cl->clientData);
		cl = next;
	}
	rfbReleaseClientIterator(i);
}

static void rfb_watch(struct rfb *r, bool armed)
{
	r->d->source.arm(r->d->source.opaque, armed ? rfb_wake : NULL, r);
}

static gboolean rfb_ticked(gpointer opaque)
{
	struct rfb *r = opaque;

	g_source_set_ready_time(r->tick, -1);
	if (!r->clients) {
		rfb_watch(r, false);
		return G_SOURCE_CONTINUE;
	}
	rfb_draw(r);
	if (r->view.dirty) {
		r->quiet = 0;
		rfb_send(r);
	} else if (r->quiet <= QUIET_FRAMES) {
		r->quiet++;
	}
	/* One more drawing follows the arming. */
	if (r->quiet == QUIET_FRAMES)
		rfb_watch(r, true);
	if (r->quiet <= QUIET_FRAMES)
		g_source_set_ready_time(
			r->tick, g_get_monotonic_time() + FRAME_US);
	else
		/* Whoever wakes us starts anew. */
		r->quiet = 0;
	return G_SOURCE_CONTINUE;
}

/* The viewer's window has another size: the guest may follow. */
static int rfb_resize(int width, int height, int nscreens,
	rfbExtDesktopScreen *screens, rfbClientPtr cl)
{
	struct display_source *s = &rfb_of(cl)->d->source;

	if (width <= 0 || height <= 0)
		return rfbExtDesktopSize_InvalidScreenLayout;
	if (s->resize &&
		s->resize(s->opaque, (unsigned)width, (unsigned)height))
		return rfbExtDesktopSize_Success;
	return rfbExtDesktopSize_ResizeProhibited;
}

/* ---- input ---- */

static void rfb_key(struct rfb *r, unsigned code, bool down)
{
	if (code >= NKEYS || (!down && !r->down[code]))
		return;
	r->down[code] = down;
	display_key(r->d, code, down);
}

/* A client that knows no positions: it may send what needs Shift without. */
static void rfb_keysym(rfbBool down, rfbKeySym sym, rfbClientPtr cl)
{
	struct rfb *r = rfb_of(cl);
	int code = display_key_by_keysym(sym);
	int left = display_key_by_name("shift");
	int right = display_key_by_name("shift_r");
	bool shift = false;

	if (code < 0)
		return;
	if (sym < 0x80)
		display_key_by_char(sym, &shift);
	if (!down || !shift || r->down[left] || r->down[right]) {
		rfb_key(r, (unsigned)code, down);
		return;
	}
	rfb_key(r, (unsigned)left, true);
	rfb_key(r, (unsigned)code, true);
	rfb_key(r, (unsigned)left, false);
}

static void rfb_release_keys(struct rfb *r)
{
	for (unsigned i = 0; i < NKEYS; i++)
		if (r->down[i])
			rfb_key(r, i, false);
}

static void rfb_pointer(int mask, int x, int y, rfbClientPtr cl)
{
	struct rfb *r = rfb_of(cl);
	struct display_pointer p = {
		.x = x,
		.y = y,
		.width = r->view.width,
		.height = r->view.height,
		.wheel = (mask & 8 ? 1 : 0) - (mask & 16 ? 1 : 0),
		.buttons = (mask & 1 ? DISPLAY_BUTTON_LEFT : 0) |
			   (mask & 2 ? DISPLAY_BUTTON_MIDDLE : 0) |
			   (mask & 4 ? DISPLAY_BUTTON_RIGHT : 0),
	};

	display_point(r->d, &p);
}

/* ---- QEMU Extended Key Event ---- */

/* Told that the client knows it, tell that we do: an empty rectangle. */
static rfbBool rfb_ext_enable(rfbClientPtr cl, void **data, int encoding)
{
	uint8_t m[16] = {rfbFramebufferUpdate, 0, 0, 1};
	int32_t e = ENCODING_EXT_KEY;

	if (encoding != ENCODING_EXT_KEY)
		return FALSE;
	for (unsigned i = 0; i < 4; i++)
		m[12 + i] = (uint8_t)((uint32_t)e >> (24 - 8 * i));
	if (rfbWriteExact(cl, (const char *)m, sizeof(m)) < 0)
		rfbCloseClient(cl);
	return TRUE;
}

static rfbBool rfb_ext_message(
	rfbClientPtr cl, void *data, const rfbClientToServerMsg *msg)
{
	uint8_t m[11]; /* submessage, down (2), keysym (4), position (4) */
	uint32_t code;

	if (msg->type != MESSAGE_QEMU ||
		rfbReadExact(cl, (char *)m, sizeof(m)) <= 0 ||
		m[0] != MESSAGE_EXT_KEY)
		return FALSE;
	code = (uint32_t)m[7] << 24 | m[8] << 16 | m[9] << 8 | m[10];
	if (code == 0xc6)
		code = DISPLAY_KEY_PAUSE;
	if (code && !cl->viewOnly)
		rfb_key(rfb_of(cl), code, m[1] || m[2]);
	return TRUE;
}

static int rfb_ext_encodings[] = {ENCODING_EXT_KEY, 0};
static rfbProtocolExtension rfb_ext = {
	.pseudoEncodings = rfb_ext_encodings,
	.enablePseudoEncoding = rfb_ext_enable,
	.handleMessage = rfb_ext_message,
};

/* ---- clients ---- */

/* The library has closed its socket: forget it. */
static void rfb_client_check(struct client *c)
{
	struct rfb *r;
	void *ws;

	if (!c || c->cl->sock >= 0)
		return;
	r = c->r;
	g_source_destroy(c->source);
	g_source_unref(c->source);
	/* The library forgets this one. */
	ws = c->cl->wsctx;
	c->cl->wsctx = NULL;
	rfbClientConnectionGone(c->cl);
	free(ws);
	g_free(c);
	rfb_release_keys(r);
	if (!--r->clients)
		g_source_set_ready_time(r->tick, 0);
}

static gboolean rfb_client_ready(gint fd, GIOCondition cond, gpointer opaque)
{
	struct client *c = opaque;

	do
		rfbProcessClientMessage(c->cl);
	while (c->cl->sock >= 0 && c->cl->wsctx &&
		webSocketsHasDataInBuffer(c->cl));
	if (c->cl->sock >= 0)
		rfbUpdateClient(c->cl);
	rfb_client_check(c);
	return G_SOURCE_CONTINUE;
}

static void rfb_client_add(struct rfb *r, rfbClientPtr cl)
{
	struct client *c = g_new0(struct client, 1);

	c->r = r;
	c->cl = cl;
	cl->clientData = c;
	c->source = g_unix_fd_source_new(cl->sock, G_IO_IN | G_IO_HUP);
	g_source_set_callback(
		c->source, G_SOURCE_FUNC(rfb_client_ready), c, NULL);
	g_source_attach(c->source, r->context);
	r->clients++;
}

/* As the library sees it: a viewer that speaks RFB waits for us to begin. */
static bool rfb_is_websocket(int conn)
{
	struct pollfd p = {.fd = conn, .events = POLLIN};
	char b[4];

	return poll(&p, 1, WEBSOCKET_MS) > 0 &&
	       recv(conn, b, sizeof(b), MSG_PEEK) == sizeof(b) &&
	       !memcmp(b, "GET ", 4);
}

static void rfb_serve(struct rfb *r, int conn)
{
	rfbClientPtr cl;
	bool ws;

	ws = rfb_is_websocket(conn);
	/* The library waits by select(). */
	if (r->clients >= MAX_CLIENTS || conn >= FD_SETSIZE ||
		(ws && r->lost >= MAX_LOST)) {
		close(conn);
		return;
	}
	rfb_draw(r);
	cl = rfbNewClient(r->screen, conn);
	if (cl)
		rfb_client_add(r, cl);
	else
		r->lost += ws;
	r->quiet = 0;
	g_source_set_ready_time(r->tick, 0);
}

static gboolean rfb_accept(gint fd, GIOCondition cond, gpointer opaque)
{
	struct rfb *r = opaque;
	int conn = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (conn >= 0 && r->tls)
		tls_add(r->tls, conn);
	else if (conn >= 0)
		rfb_serve(r, conn);
	return G_SOURCE_CONTINUE;
}

/* A viewer that came by TLS: to our own thread. */
struct arrival {
	struct rfb *r;
	int fd;
};

static gboolean rfb_arrived(gpointer opaque)
{
	struct arrival *a = opaque;

	rfb_serve(a->r, a->fd);
	a->fd = -1;
	return G_SOURCE_REMOVE;
}

static void rfb_arrival_free(gpointer opaque)
{
	struct arrival *a = opaque;

	if (a->fd >= 0)
		close(a->fd);
	g_free(a);
}

static void rfb_tls_ready(void *opaque, int fd)
{
	struct arrival *a = g_new(struct arrival, 1);
	GSource *s = g_idle_source_new();

	*a = (struct arrival){opaque, fd};
	g_source_set_callback(s, rfb_arrived, a, rfb_arrival_free);
	g_source_set_priority(s, G_PRIORITY_DEFAULT);
	g_source_attach(s, a->r->context);
	g_source_unref(s);
}

/* ---- life ---- */

static gboolean rfb_dispatch(GSource *s, GSourceFunc fn, gpointer opaque)
{
	return fn(opaque);
}

static GSourceFuncs rfb_tick_funcs = {.dispatch = rfb_dispatch};

static void rfb_make_screen(struct rfb *r)
{
	rfbScreenInfoPtr s;

	rfbLogEnable(0);
	s = r->screen = rfbGetScreen(NULL, NULL, 8, 8, 8, 3, 4);
	s->screenData = r;
	s->desktopName = r->conf.name;
	s->frameBuffer = (char *)r->view.pixels;
	s->cursor = NULL; /* the guest draws its own */
	s->alwaysShared = TRUE;
	s->deferUpdateTime = 0;
	s->deferPtrUpdateTime = 0;
	s->maxClientWait = RFB_WAIT_MS;
	s->port = s->ipv6port = 0;
	s->autoPort = FALSE;
	s->kbdAddEvent = rfb_keysym;
	s->ptrAddEvent = rfb_pointer;
	s->setDesktopSizeHook = rfb_resize;
	if (r->password[0]) {
		s->authPasswdData = r->password;
		s->passwordCheck = rfbCheckPasswordByList;
	}
	rfbRegisterProtocolExtension(&rfb_ext);
	rfbInitServer(s);
	rfb_format(r);
}

static void rfb_free(struct rfb *r);

static struct rfb *rfb_new(
	struct display *d, const struct rfb_conf *c, char **why)
{
	struct rfb *r = g_new0(struct rfb, 1);
	uint8_t warm[CHALLENGESIZE] = {0};
	bool failed = false;

	r->d = d;
	r->conf = *c;
	r->password[0] = g_strdup(c->password);
	r->view.changed = rfb_view_changed;
	r->view.opaque = r;
	display_view_size(&r->view, 8, 8);
	r->view.resized = rfb_view_resized;
	rfb_make_screen(r);
	/* What the library's ciphers open is out of reach later. */
	rfbEncryptBytes(warm, (char[]){"warm"});
	r->context = g_main_context_new();
	if (c->tls) {
		r->tls = tls_new(c->tls_cert, c->tls_key, c->password != NULL,
			rfb_tls_ready, r, why);
		failed = !r->tls;
	}
	r->loop = g_main_loop_new(r->context, FALSE);
	r->tick = g_source_new(&rfb_tick_funcs, sizeof(GSource));
	g_source_set_callback(r->tick, rfb_ticked, r, NULL);
	g_source_attach(r->tick, r->context);
	r->listener = g_unix_fd_source_new(c->listen_fd, G_IO_IN);
	g_source_set_callback(r->listener, G_SOURCE_FUNC(rfb_accept), r, NULL);
	g_source_attach(r->listener, r->context);
	if (failed)
		g_clear_pointer(&r, rfb_free);
	return r;
}

static const char *rfb_fingerprint(const struct rfb *r)
{
	return r->tls ? tls_fingerprint(r->tls) : NULL;
}

static gpointer rfb_run(gpointer opaque)
{
	struct rfb *r = opaque;

	g_main_loop_run(r->loop);
	return NULL;
}

static void rfb_start(struct rfb *r)
{
	g_unix_set_fd_nonblocking(r->conf.listen_fd, TRUE, NULL);
	r->thread = g_thread_new("screen", rfb_run, r);
}

static void rfb_drop(struct rfb *r)
{
	rfbClientIteratorPtr i = rfbGetClientIterator(r->screen);
	rfbClientPtr cl = rfbClientIteratorNext(i);

	while (cl) {
		rfbClientPtr next = rfbClientIteratorNext(i);

		rfbCloseClient(cl);
		rfb_client_check(cl->clientData);
		cl = next;
	}
	rfbReleaseClientIterator(i);
}

static gboolean rfb_quit(gpointer opaque)
{
	g_main_loop_quit(((struct rfb *)opaque)->loop);
	return G_SOURCE_REMOVE;
}

static void rfb_free(struct rfb *r)
{
	if (!r)
		return;
	if (r->thread) {
		/* Through the loop: it may not run yet. */
		GSource *s = g_idle_source_new();

		g_source_set_callback(s, rfb_quit, r, NULL);
		g_source_attach(s, r->context);
		g_source_unref(s);
		g_thread_join(r->thread);
	}
	tls_free(r->tls);
	rfb_drop(r);
	rfb_watch(r, false);
	rfbShutdownServer(r->screen, FALSE);
	rfbScreenCleanup(r->screen);
	g_source_destroy(r->tick);
	g_source_unref(r->tick);
	g_source_destroy(r->listener);
	g_source_unref(r->listener);
	g_main_loop_unref(r->loop);
	g_main_context_unref(r->context);
	display_view_fini(&r->view);
	g_free(r->password[0]);
	g_free(r);
}

const struct rfb_ops vmeste_rfb_ops = {
	.new = rfb_new,
	.fingerprint = rfb_fingerprint,
	.start = rfb_start,
	.free = rfb_free,
};
