/*
 * out.c - writing a state.
 *
 * Memory is compressed by several threads, each of which takes the next run of
 * pages and writes its chunk when it is done: their order does not matter.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include <zstd.h>

#include "conf/error.h"
#include "save/priv.h"

#define LEVEL	    1
#define MAX_THREADS 16

struct save_out {
	int fd;
	pthread_mutex_t lock; /* of what follows */
	int error;	      /* errno, or 0: the first one */
	uint64_t bytes, chunks, pages;
};

/* ---- the file ---- */

static int write_all(int fd, const void *p, size_t n)
{
	while (n) {
		ssize_t done = write(fd, p, n);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return done ? errno : ENOSPC;
		p = (const char *)p + done;
		n -= (size_t)done;
	}
	return 0;
}

static void out_write(struct save_out *o, const void *p, size_t n)
{
	if (!o->error)
		o->error = write_all(o->fd, p, n);
	o->bytes += n;
}

struct save_out *save_out_new(int fd, const char *settings, GError **err)
{
	size_t n = strlen(settings);
	struct save_head h = {.magic = SAVE_MAGIC,
		.version = SAVE_VERSION,
		.settings_bytes = (uint32_t)n};
	gsize len = sizeof(h.sum);
	GChecksum *sum;
	struct save_out *o;

	if (n > SAVE_MAX_SETTINGS) {
		conf_error_set(err, CONF_ERROR_FAILED, NULL, NULL,
			"the machine's settings are too long to be saved");
		return NULL;
	}
	sum = g_checksum_new(G_CHECKSUM_SHA256);
	g_checksum_update(sum, (const guchar *)settings, (gssize)n);
	g_checksum_get_digest(sum, h.sum, &len);
	g_checksum_free(sum);
	o = g_new0(struct save_out, 1);
	o->fd = fd;
	pthread_mutex_init(&o->lock, NULL);
	out_write(o, &h, sizeof(h));
	out_write(o, settings, n);
	return o;
}

/* ---- chunks ---- */

/* One thread's. */
struct packer {
	ZSTD_CCtx *z;
	uint8_t *out;
	size_t room;
};

static bool packer_init(struct packer *p, size_t bytes)
{
	p->z = ZSTD_createCCtx();
	if (!p->z)
		return false;
	ZSTD_CCtx_setParameter(p->z, ZSTD_c_compressionLevel, LEVEL);
	ZSTD_CCtx_setParameter(p->z, ZSTD_c_checksumFlag, 1);
	p->room = ZSTD_compressBound(bytes);
	p->out = g_try_malloc(p->room);
	return p->out != NULL;
}

static void packer_fini(struct packer *p)
{
	ZSTD_freeCCtx(p->z);
	g_free(p->out);
}

static void out_chunk(struct save_out *o, struct packer *p, enum save_type type,
	const void *data, size_t n)
{
	struct save_chunk c = {.type = type, .bytes = n};
	size_t stored = ZSTD_compress2(p->z, p->out, p->room, data, n);

	pthread_mutex_lock(&o->lock);
	if (ZSTD_isError(stored)) {
		o->error = o->error ? o->error : ENOMEM;
	} else {
		c.stored = (uint32_t)stored;
		out_write(o, &c, sizeof(c));
		out_write(o, p->out, stored);
		o->chunks++;
	}
	pthread_mutex_unlock(&o->lock);
}

static bool out_one(
	struct save_out *o, enum save_type type, const void *data, size_t n)
{
	struct packer p = {0};

	if (packer_init(&p, n))
		out_chunk(o, &p, type, data, n);
	else
		o->error = ENOMEM;
	packer_fini(&p);
	return !o->error;
}

bool save_out_part(struct save_out *o, const char *name, const GByteArray *a)
{
	g_autoptr(GByteArray) b = g_byte_array_sized_new(a->len + 64);
	uint8_t len = (uint8_t)strlen(name);

	g_assert(strlen(name) <= SAVE_MAX_NAME);
	g_byte_array_append(b, &len, 1);
	g_byte_array_append(b, (const guint8 *)name, len);
	g_byte_array_append(b, a->data, a->len);
	return out_one(o, SAVE_TYPE_PART, b->data, b->len);
}

bool save_out_disk(struct save_out *o, const char *name, uint64_t off,
	const void *buf, size_t n)
{
	g_autoptr(GByteArray) b = g_byte_array_sized_new((guint)n + 80);
	uint8_t len = (uint8_t)strlen(name);

	g_assert(strlen(name) <= SAVE_MAX_NAME && n <= SAVE_DISK_BYTES);
	g_byte_array_append(b, &len, 1);
	g_byte_array_append(b, (const guint8 *)name, len);
	g_byte_array_append(b, (const guint8 *)&off, sizeof(off));
	g_byte_array_append(b, buf, (guint)n);
	return out_one(o, SAVE_TYPE_DISK, b->data, b->len);
}

/* ---- memory ---- */

struct ram_out {
	struct save_out *o;
	const struct save_ram *ram;
	_Atomic(uint64_t) next; /* page */
};

static bool is_zero(const uint8_t *page)
{
	return !page[0] && !page[SAVE_PAGE - 1] &&
	       !memcmp(page, page + 1, SAVE_PAGE - 1);
}

/* The run of pages as a chunk; how many of them are there.  A guest may write
 * meanwhile only if nobody goes on from this state. */
static unsigned gather(
	const struct save_ram *ram, uint64_t first, uint8_t *buf, size_t *bytes)
{
	uint64_t left = ram->bytes / SAVE_PAGE - first;
	struct save_run r = {
		.first = first, .npages = (uint32_t)MIN(left, SAVE_RUN_PAGES)};
	uint8_t *to = buf + sizeof(r);
	unsigned n = 0;

	for (unsigned i = 0; i < r.npages; i++) {
		const uint8_t *page = ram->host + (first + i) * SAVE_PAGE;

		if (is_zero(page))
			continue;
		r.there[i / 8] |= (uint8_t)(1u << i % 8);
		memcpy(to, page, SAVE_PAGE);
		to += SAVE_PAGE;
		n++;
	}
	memcpy(buf, &r, sizeof(r));
	*bytes = (size_t)(to - buf);
	return n;
}

static void *ram_thread(void *opaque)
{
	struct ram_out *w = opaque;
	struct packer p = {0};
	uint8_t *buf = g_try_malloc(SAVE_RUN_MAX);
	bool ok = buf && packer_init(&p, SAVE_RUN_MAX);

	while (ok) {
		uint64_t first = atomic_fetch_add(&w->next, SAVE_RUN_PAGES);
		size_t bytes;
		unsigned n;

		if (first >= w->ram->bytes / SAVE_PAGE)
			break;
		if (w->ram->there &&
			!w->ram->there(w->ram->opaque, first * SAVE_PAGE,
				SAVE_RUN_PAGES * SAVE_PAGE))
			continue;
		n = gather(w->ram, first, buf, &bytes);
		if (!n)
			continue;
		out_chunk(w->o, &p, SAVE_TYPE_RAM, buf, bytes);
		pthread_mutex_lock(&w->o->lock);
		w->o->pages += n;
		ok = !w->o->error;
		pthread_mutex_unlock(&w->o->lock);
	}
	if (!ok) {
		pthread_mutex_lock(&w->o->lock);
		w->o->error = w->o->error ? w->o->error : ENOMEM;
		pthread_mutex_unlock(&w->o->lock);
	}
	packer_fini(&p);
	g_free(buf);
	return NULL;
}

bool save_out_ram(
	struct save_out *o, const struct save_ram *ram, unsigned threads)
{
	struct ram_out w = {.o = o, .ram = ram};
	pthread_t t[MAX_THREADS];
	unsigned n = 0;

	threads = MIN(threads, MAX_THREADS);
	while (n + 1 < threads && !pthread_create(&t[n], NULL, ram_thread, &w))
		n++;
	ram_thread(&w);
	while (n)
		pthread_join(t[--n], NULL);
	return !o->error;
}

bool save_out_end(struct save_out *o, GError **err)
{
	struct save_tail t = {.chunks = o->chunks, .pages = o->pages};
	bool ok = out_one(o, SAVE_TYPE_END, &t, sizeof(t));

	if (!ok)
		conf_error_set_errno(err, o->error,
			"name a file where there is room",
			"the state cannot be written");
	pthread_mutex_destroy(&o->lock);
	g_free(o);
	return ok;
}

uint64_t save_out_bytes(const struct save_out *o)
{
	return o->bytes;
}
