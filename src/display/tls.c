/*
 * tls.c - TLS before a remote screen, by GnuTLS.
 *
 * VeNCrypt 0.2 with the subtypes X509None and X509Vnc: a viewer chooses
 * security type 19, versions and subtypes are exchanged, TLS begins, and what
 * follows within it is RFB's own authentication.  A viewer whose first byte is
 * that of a TLS record wants a WebSocket.
 *
 * A viewer has HELLO_S seconds to get so far; then bytes are carried both ways
 * by one thread that waits for neither side alone.
 */
#include "display/tls.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <glib.h>
#include <gnutls/gnutls.h>
#include <gnutls/crypto.h>
#include <gnutls/x509.h>

#define MAX_VIEWERS   16
#define HELLO_S	      10
#define FIRST_MS      100 /* who speaks first wants a WebSocket */
#define CERT_DAYS     3650
#define BUFFER	      16384
#define TYPE_VENCRYPT 19
#define X509_NONE     260
#define X509_VNC      261
#define TYPE_NONE     1
#define TYPE_VNC      2
#define VERSION	      "RFB 003.008\n"
#define VERSION_LEN   12

struct tls {
	gnutls_certificate_credentials_t cred;
	gnutls_priority_t priority;
	bool password;
	void (*ready)(void *opaque, int fd);
	void *opaque;
	char fingerprint[65];
	struct viewer *viewers[MAX_VIEWERS];
};

struct viewer {
	struct tls *t;
	GThread *thread;
	int conn;  /* the viewer's socket */
	int inner; /* our end of the pair, or -1 */
	gnutls_session_t s;
	gint64 deadline_us;
	_Atomic(bool) done;
};

/* Bytes that are on their way. */
struct pipe {
	uint8_t b[BUFFER];
	size_t at, n;
	bool end;
};

/* ---- certificates ---- */

/* For tools: a key of P-256 and a certificate that it signs itself. */
static int make_cert(gnutls_x509_crt_t crt, gnutls_x509_privkey_t key)
{
	uint8_t serial[8];
	time_t now = time(NULL);
	int e = gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA,
		GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0);

	if (e >= 0)
		e = gnutls_rnd(GNUTLS_RND_NONCE, serial, sizeof(serial));
	serial[0] &= 0x7f;
	if (e < 0)
		return e;
	gnutls_x509_crt_set_version(crt, 3);
	gnutls_x509_crt_set_serial(crt, serial, sizeof(serial));
	gnutls_x509_crt_set_activation_time(crt, now - 86400);
	gnutls_x509_crt_set_expiration_time(
		crt, now + (time_t)CERT_DAYS * 86400);
	gnutls_x509_crt_set_dn(crt, "CN=vmeste", NULL);
	gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_DNSNAME,
		"localhost", strlen("localhost"), GNUTLS_FSAN_SET);
	gnutls_x509_crt_set_key(crt, key);
	return gnutls_x509_crt_sign2(crt, crt, key, GNUTLS_DIG_SHA256, 0);
}

static int own_cert(struct tls *t)
{
	gnutls_x509_privkey_t key;
	gnutls_x509_crt_t crt;
	int e = gnutls_x509_crt_init(&crt);

	if (e < 0)
		return e;
	e = gnutls_x509_privkey_init(&key);
	if (e >= 0) {
		e = make_cert(crt, key);
		if (e >= 0)
			e = gnutls_certificate_set_x509_key(
				t->cred, &crt, 1, key);
		gnutls_x509_privkey_deinit(key);
	}
	gnutls_x509_crt_deinit(crt);
	return e;
}

static int given_cert(struct tls *t, const char *cert, const char *key)
{
	gnutls_datum_t c = {(uint8_t *)(uintptr_t)cert, (unsigned)strlen(cert)};
	gnutls_datum_t k = {(uint8_t *)(uintptr_t)key, (unsigned)strlen(key)};

	return gnutls_certificate_set_x509_key_mem(
		t->cred, &c, &k, GNUTLS_X509_FMT_PEM);
}

static int take_fingerprint(struct tls *t)
{
	gnutls_x509_crt_t *chain;
	unsigned n;
	uint8_t hash[32];
	size_t size = sizeof(hash);
	int e = gnutls_certificate_get_x509_crt(t->cred, 0, &chain, &n);

	if (e < 0)
		return e;
	e = gnutls_x509_crt_get_fingerprint(
		chain[0], GNUTLS_DIG_SHA256, hash, &size);
	for (unsigned i = 0; e >= 0 && i < sizeof(hash); i++)
		g_snprintf(t->fingerprint + 2 * i, 3, "%02x", hash[i]);
	for (unsigned i = 0; i < n; i++)
		gnutls_x509_crt_deinit(chain[i]);
	gnutls_free(chain);
	return e;
}

struct tls *tls_new(const char *cert, const char *key, bool password,
	void (*ready)(void *opaque, int fd), void *opaque, char **why)
{
	struct tls *t = g_new0(struct tls, 1);
	int e = gnutls_certificate_allocate_credentials(&t->cred);

	t->password = password;
	t->ready = ready;
	t->opaque = opaque;
	if (e >= 0)
		e = gnutls_priority_init(&t->priority, "NORMAL", NULL);
	if (e >= 0)
		e = cert ? given_cert(t, cert, key) : own_cert(t);
	if (e >= 0)
		e = take_fingerprint(t);
	if (e >= 0)
		return t;
	*why = g_strdup(gnutls_strerror(e));
	tls_free(t);
	return NULL;
}

const char *tls_fingerprint(const struct tls *t)
{
	return t->fingerprint;
}

/* ---- before TLS ---- */

static bool wait_for(struct viewer *v, short events)
{
	gint64 left = (v->deadline_us - g_get_monotonic_time()) / 1000;
	struct pollfd p = {.fd = v->conn, .events = events};

	return left > 0 && poll(&p, 1, (int)left) > 0;
}

static bool take(struct viewer *v, void *to, size_t n)
{
	for (size_t at = 0; at < n;) {
		ssize_t got;

		if (!wait_for(v, POLLIN))
			return false;
		got = recv(v->conn, (uint8_t *)to + at, n - at, 0);
		if (got <= 0 && errno != EAGAIN)
			return false;
		at += got > 0 ? (size_t)got : 0;
	}
	return true;
}

/* A few bytes: they fit into any socket's buffer. */
static bool give(struct viewer *v, const void *from, size_t n)
{
	return send(v->conn, from, n, MSG_NOSIGNAL) == (ssize_t)n;
}

static bool vencrypt(struct viewer *v)
{
	uint16_t subtype = v->t->password ? X509_VNC : X509_NONE;
	const uint8_t offer[] = {
		0, 1, 0, 0, (uint8_t)(subtype >> 8), (uint8_t)subtype};
	uint8_t in[VERSION_LEN];

	return give(v, VERSION, VERSION_LEN) && take(v, in, VERSION_LEN) &&
	       !memcmp(in, VERSION, VERSION_LEN) &&
	       give(v, (uint8_t[]){1, TYPE_VENCRYPT}, 2) && take(v, in, 1) &&
	       in[0] == TYPE_VENCRYPT && give(v, (uint8_t[]){0, 2}, 2) &&
	       take(v, in, 2) && in[0] == 0 && in[1] == 2 &&
	       give(v, offer, sizeof(offer)) && take(v, in, 4) &&
	       !memcmp(in, offer + 2, 4) && give(v, (uint8_t[]){1}, 1);
}

/* ---- TLS ---- */

static bool handshake(struct viewer *v)
{
	int e;

	if (gnutls_init(&v->s,
		    GNUTLS_SERVER | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL) < 0)
		return false;
	gnutls_priority_set(v->s, v->t->priority);
	gnutls_credentials_set(v->s, GNUTLS_CRD_CERTIFICATE, v->t->cred);
	gnutls_transport_set_int(v->s, v->conn);
	while ((e = gnutls_handshake(v->s)) < 0) {
		if (gnutls_error_is_fatal(e))
			return false;
		if (!wait_for(v, gnutls_record_get_direction(v->s) ? POLLOUT
								   : POLLIN))
			return false;
	}
	return true;
}

/* Let the library begin: to it we are a plain viewer that has said so much. */
static bool begin(struct viewer *v, const void *said, size_t n)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
		    pair))
		return false;
	v->inner = pair[0];
	if (send(pair[0], said, n, MSG_NOSIGNAL) != (ssize_t)n) {
		close(pair[1]);
		return false;
	}
	v->t->ready(v->t->opaque, pair[1]);
	return true;
}

/* Version and choice of authentication are the library's and ours alone. */
static bool begin_rfb(struct viewer *v)
{
	uint8_t hello[VERSION_LEN + 1] = VERSION, in[VERSION_LEN + 2];
	struct pollfd p = {.events = POLLIN};
	size_t at = 0;

	hello[VERSION_LEN] = v->t->password ? TYPE_VNC : TYPE_NONE;
	if (!begin(v, hello, sizeof(hello)))
		return false;
	p.fd = v->inner;
	/* its version, and one type */
	while (at < sizeof(in)) {
		ssize_t n;

		if (poll(&p, 1, HELLO_S * 1000) <= 0)
			return false;
		n = recv(v->inner, in + at, sizeof(in) - at, 0);
		if (n <= 0 && errno != EAGAIN)
			return false;
		at += n > 0 ? (size_t)n : 0;
	}
	return in[VERSION_LEN] == 1;
}

/* The library wants a request to be there as a whole. */
static bool begin_websocket(struct viewer *v)
{
	char head[4096];
	size_t at = 0;

	while (at < sizeof(head)) {
		ssize_t n =
			gnutls_record_recv(v->s, head + at, sizeof(head) - at);

		if (n == GNUTLS_E_AGAIN || n == GNUTLS_E_INTERRUPTED) {
			if (!wait_for(v, POLLIN))
				return false;
			continue;
		}
		if (n <= 0)
			return false;
		at += (size_t)n;
		if (memmem(head, at, "\r\n\r\n", 4))
			return !memcmp(head, "GET ", 4) && begin(v, head, at);
	}
	return false;
}

/* ---- carrying ---- */

static void from_viewer(struct viewer *v, struct pipe *p)
{
	ssize_t n = gnutls_record_recv(v->s, p->b, sizeof(p->b));

	if (n > 0)
		p->n = (size_t)n;
	else if (n == 0 || gnutls_error_is_fatal((int)n))
		p->end = true;
	p->at = 0;
}

static void to_inner(struct viewer *v, struct pipe *p)
{
	ssize_t n = send(v->inner, p->b + p->at, p->n - p->at, MSG_NOSIGNAL);

	if (n > 0)
		p->at += (size_t)n;
	else if (n < 0 && errno != EAGAIN)
		p->end = true;
}

static void from_inner(struct viewer *v, struct pipe *p)
{
	ssize_t n = recv(v->inner, p->b, sizeof(p->b), 0);

	if (n > 0)
		p->n = (size_t)n;
	else if (n == 0 || errno != EAGAIN)
		p->end = true;
	p->at = 0;
}

static void to_viewer(struct viewer *v, struct pipe *p)
{
	ssize_t n = gnutls_record_send(v->s, p->b + p->at, p->n - p->at);

	if (n > 0)
		p->at += (size_t)n;
	else if (gnutls_error_is_fatal((int)n))
		p->end = true;
}

static void carry(struct viewer *v)
{
	struct pipe *in = g_new0(struct pipe, 1), *out = g_new0(struct pipe, 1);

	while (!in->end && !out->end) {
		struct pollfd p[2] = {{.fd = v->conn}, {.fd = v->inner}};
		bool more = gnutls_record_check_pending(v->s) > 0;

		p[0].events = (in->at == in->n ? POLLIN : 0) |
			      (out->at < out->n ? POLLOUT : 0);
		p[1].events = (out->at == out->n ? POLLIN : 0) |
			      (in->at < in->n ? POLLOUT : 0);
		if (poll(p, 2, more && in->at == in->n ? 0 : -1) < 0 &&
			errno != EINTR)
			break;
		if (in->at == in->n && (more || p[0].revents))
			from_viewer(v, in);
		if (in->at < in->n)
			to_inner(v, in);
		if (out->at == out->n && p[1].revents)
			from_inner(v, out);
		if (out->at < out->n)
			to_viewer(v, out);
	}
	g_free(in);
	g_free(out);
}

/* ---- viewers ---- */

static gpointer viewer_run(gpointer opaque)
{
	struct viewer *v = opaque;
	struct pollfd p = {.fd = v->conn, .events = POLLIN};
	uint8_t first = 0;
	bool ok;

	if (poll(&p, 1, FIRST_MS) > 0)
		recv(v->conn, &first, 1, MSG_PEEK);
	if (first == 0x16)
		ok = handshake(v) && begin_websocket(v);
	else
		ok = vencrypt(v) && handshake(v) && begin_rfb(v);
	if (ok)
		carry(v);
	if (v->s)
		gnutls_deinit(v->s);
	if (v->inner >= 0)
		close(v->inner);
	shutdown(v->conn, SHUT_RDWR);
	v->done = true;
	return NULL;
}

static void viewer_free(struct viewer *v)
{
	g_thread_join(v->thread);
	close(v->conn);
	g_free(v);
}

void tls_add(struct tls *t, int conn)
{
	struct viewer **at = NULL;

	for (unsigned i = 0; i < MAX_VIEWERS; i++) {
		if (t->viewers[i] && t->viewers[i]->done)
			g_clear_pointer(&t->viewers[i], viewer_free);
		if (!t->viewers[i])
			at = &t->viewers[i];
	}
	if (!at) {
		close(conn);
		return;
	}
	*at = g_new0(struct viewer, 1);
	(*at)->t = t;
	(*at)->conn = conn;
	(*at)->inner = -1;
	(*at)->deadline_us =
		g_get_monotonic_time() + HELLO_S * G_TIME_SPAN_SECOND;
	(*at)->thread = g_thread_new("viewer", viewer_run, *at);
}

void tls_free(struct tls *t)
{
	if (!t)
		return;
	for (unsigned i = 0; i < MAX_VIEWERS; i++)
		if (t->viewers[i])
			shutdown(t->viewers[i]->conn, SHUT_RDWR);
	for (unsigned i = 0; i < MAX_VIEWERS; i++)
		g_clear_pointer(&t->viewers[i], viewer_free);
	if (t->priority)
		gnutls_priority_deinit(t->priority);
	if (t->cred)
		gnutls_certificate_free_credentials(t->cred);
	g_free(t);
}
