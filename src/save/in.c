/*
 * in.c - reading a state, whoever wrote it.
 *
 * One thread reads chunks, several unpack them; each chunk of memory says
 * where it belongs, and no page may come twice.
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <zstd.h>

#include "conf/error.h"
#include "save/priv.h"

#define MAX_THREADS 16
#define MAX_QUEUED  32 /* chunks that wait for a thread */

struct chunk {
	struct chunk *next;
	struct save_chunk c;
	uint8_t data[];
};

struct part {
	char name[SAVE_MAX_NAME + 1];
	GByteArray *bytes;
	bool used;
};

struct save_parts {
	GPtrArray *list; /* struct part */
};

struct reader {
	int fd;
	uint64_t left; /* bytes of the file */
	const struct save_ram *ram;
	const struct save_disks *disks; /* or NULL */
	uint64_t part_left;		/* bytes that parts may still have */
	struct save_parts *parts;

	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t some, room;
	struct chunk *first, **last;
	unsigned queued;
	bool over;
	const char *wrong; /* NULL: nothing yet */
	uint8_t *seen;	   /* a bit per run of pages */
	uint64_t pages;
};

/* ---- errors ---- */

static bool bad(GError **err, const char *why)
{
	conf_error_set(err, CONF_ERROR_FAILED, why,
		"take another copy of the file",
		"the saved state cannot be used");
	return false;
}

static void set_wrong(struct reader *r, const char *why)
{
	pthread_mutex_lock(&r->lock);
	if (!r->wrong)
		r->wrong = why;
	pthread_cond_broadcast(&r->some);
	pthread_cond_broadcast(&r->room);
	pthread_mutex_unlock(&r->lock);
}

/* ---- the file ---- */

static bool read_all(int fd, void *p, size_t n)
{
	while (n) {
		ssize_t done = read(fd, p, n);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return false;
		p = (char *)p + done;
		n -= (size_t)done;
	}
	return true;
}

static bool settings_ok(const struct save_head *h, const char *text)
{
	GChecksum *c = g_checksum_new(G_CHECKSUM_SHA256);
	uint8_t sum[SAVE_SUM_BYTES];
	gsize len = sizeof(sum);

	g_checksum_update(c, (const guchar *)text, h->settings_bytes);
	g_checksum_get_digest(c, sum, &len);
	g_checksum_free(c);
	return !memcmp(sum, h->sum, sizeof(sum)) &&
	       strlen(text) == h->settings_bytes;
}

char *save_read_settings(int fd, GError **err)
{
	g_autofree char *text = NULL;
	struct save_head h;

	if (lseek(fd, 0, SEEK_SET) || !read_all(fd, &h, sizeof(h)) ||
		memcmp(h.magic, SAVE_MAGIC, sizeof(h.magic))) {
		bad(err, "it is no state of a machine");
		return NULL;
	}
	if (h.version > SAVE_VERSION) {
		conf_error_set(err, CONF_ERROR_UNSUPPORTED,
			"a newer vmeste has written it", "update vmeste",
			"the saved state has version %u, known is %u",
			h.version, SAVE_VERSION);
		return NULL;
	}
	if (!h.version || h.settings_bytes > SAVE_MAX_SETTINGS) {
		bad(err, "it is damaged");
		return NULL;
	}
	text = g_malloc0(h.settings_bytes + 1);
	if (!read_all(fd, text, h.settings_bytes) || !settings_ok(&h, text)) {
		bad(err, "its settings are damaged");
		return NULL;
	}
	return g_steal_pointer(&text);
}

bool save_is_whole(int fd)
{
	struct save_head h;
	struct save_chunk c = {.type = SAVE_TYPE_RAM};
	struct stat st;
	off_t at;

	if (fstat(fd, &st) || pread(fd, &h, sizeof(h), 0) != sizeof(h) ||
		memcmp(h.magic, SAVE_MAGIC, sizeof(h.magic)))
		return false;
	at = (off_t)(sizeof(h) + h.settings_bytes);
	while (c.type != SAVE_TYPE_END && at < st.st_size) {
		if (pread(fd, &c, sizeof(c), at) != sizeof(c))
			return false;
		at += (off_t)(sizeof(c) + c.stored);
	}
	return c.type == SAVE_TYPE_END && at == st.st_size;
}

/* ---- memory ---- */

static bool run_ok(const struct save_run *r, uint64_t pages, size_t n)
{
	unsigned there = 0;

	if (r->npages > SAVE_RUN_PAGES || r->first % SAVE_RUN_PAGES ||
		r->first > pages || r->npages > pages - r->first)
		return false;
	for (unsigned i = 0; i < SAVE_RUN_PAGES; i++) {
		bool bit = r->there[i / 8] >> i % 8 & 1;

		if (bit && i >= r->npages)
			return false;
		there += bit;
	}
	return n == (size_t)there * SAVE_PAGE;
}

/* Each run comes once. */
static bool claim_run(struct reader *r, uint64_t run)
{
	bool twice;

	pthread_mutex_lock(&r->lock);
	twice = r->seen[run / 8] >> run % 8 & 1;
	r->seen[run / 8] |= (uint8_t)(1u << run % 8);
	pthread_mutex_unlock(&r->lock);
	return !twice;
}

static const char *take_run(struct reader *r, const uint8_t *p, size_t n)
{
	uint64_t pages = r->ram->bytes / SAVE_PAGE, found = 0;
	struct save_run run;

	if (n < sizeof(run))
		return "its memory is damaged";
	memcpy(&run, p, sizeof(run));
	if (!run_ok(&run, pages, n - sizeof(run)) || run.first >= pages ||
		!claim_run(r, run.first / SAVE_RUN_PAGES))
		return "its memory is damaged";
	p += sizeof(run);
	for (unsigned i = 0; i < run.npages; i++) {
		if (!(run.there[i / 8] >> i % 8 & 1))
			continue;
		memcpy(r->ram->host + (run.first + i) * SAVE_PAGE, p,
			SAVE_PAGE);
		p += SAVE_PAGE;
		found++;
	}
	pthread_mutex_lock(&r->lock);
	r->pages += found;
	pthread_mutex_unlock(&r->lock);
	return NULL;
}

/* ---- unpacking ---- */

static bool unpack(
	ZSTD_DCtx *z, const struct chunk *c, uint8_t *to, uint64_t bytes)
{
	size_t n;

	if (ZSTD_findFrameCompressedSize(c->data, c->c.stored) != c->c.stored)
		return false;
	n = ZSTD_decompressDCtx(z, to, bytes, c->data, c->c.stored);
	return !ZSTD_isError(n) && n == bytes;
}

static struct chunk *next_chunk(struct reader *r)
{
	struct chunk *c = NULL;

	pthread_mutex_lock(&r->lock);
	while (!r->first && !r->over && !r->wrong)
		pthread_cond_wait(&r->some, &r->lock);
	if (r->first && !r->wrong) {
		c = r->first;
		r->first = c->next;
		if (!r->first)
			r->last = &r->first;
		r->queued--;
		pthread_cond_signal(&r->room);
	}
	pthread_mutex_unlock(&r->lock);
	return c;
}

static void *ram_thread(void *opaque)
{
	struct reader *r = opaque;
	uint8_t *buf = g_try_malloc(SAVE_RUN_MAX);
	ZSTD_DCtx *z = ZSTD_createDCtx();
	struct chunk *c;

	if (!buf || !z)
		set_wrong(r, "there is not enough memory to read it");
	while (buf && z && (c = next_chunk(r))) {
		const char *wrong = unpack(z, c, buf, c->c.bytes)
					    ? take_run(r, buf, c->c.bytes)
					    : "its memory is damaged";

		if (wrong)
			set_wrong(r, wrong);
		g_free(c);
	}
	ZSTD_freeDCtx(z);
	g_free(buf);
	return NULL;
}

/* ---- parts ---- */

static void part_free(gpointer opaque)
{
	struct part *p = opaque;

	g_byte_array_unref(p->bytes);
	g_free(p);
}

static struct part *find_part(const struct save_parts *p, const char *name)
{
	for (guint i = 0; i < p->list->len; i++) {
		struct part *e = g_ptr_array_index(p->list, i);

		if (!strcmp(e->name, name))
			return e;
	}
	return NULL;
}

static const char *take_part(struct reader *r, const struct chunk *c)
{
	g_autofree uint8_t *buf = g_try_malloc(c->c.bytes + 1);
	ZSTD_DCtx *z = ZSTD_createDCtx();
	struct part *p;
	size_t len;
	bool ok = buf && z && unpack(z, c, buf, c->c.bytes);

	ZSTD_freeDCtx(z);
	if (!ok || !c->c.bytes)
		return "a part of it is damaged";
	len = buf[0];
	if (!len || len > SAVE_MAX_NAME || len + 1 > c->c.bytes)
		return "a part of it is damaged";
	p = g_new0(struct part, 1);
	memcpy(p->name, buf + 1, len);
	p->bytes = g_byte_array_new();
	g_byte_array_append(
		p->bytes, buf + 1 + len, (guint)(c->c.bytes - 1 - len));
	if (strlen(p->name) != len || find_part(r->parts, p->name)) {
		part_free(p);
		return "a part of it is damaged";
	}
	g_ptr_array_add(r->parts->list, p);
	return NULL;
}

const GByteArray *save_parts_find(const struct save_parts *p, const char *name)
{
	struct part *e = find_part(p, name);

	if (!e)
		return NULL;
	e->used = true;
	return e->bytes;
}

const char *save_parts_unused(const struct save_parts *p)
{
	for (guint i = 0; i < p->list->len; i++) {
		const struct part *e = g_ptr_array_index(p->list, i);

		if (!e->used)
			return e->name;
	}
	return NULL;
}

void save_parts_free(struct save_parts *p)
{
	if (!p)
		return;
	g_ptr_array_unref(p->list);
	g_free(p);
}

/* ---- disks ---- */

static const char *take_disk(struct reader *r, const struct chunk *c)
{
	g_autofree uint8_t *buf = g_try_malloc(SAVE_DISK_MAX);
	ZSTD_DCtx *z = ZSTD_createDCtx();
	char name[SAVE_MAX_NAME + 1] = "";
	bool ok = buf && z && unpack(z, c, buf, c->c.bytes);
	uint64_t off;
	size_t len;

	ZSTD_freeDCtx(z);
	if (!ok || c->c.bytes < 9 || !r->disks)
		return "a disk in it is damaged";
	len = buf[0];
	if (!len || len > SAVE_MAX_NAME || len + 9 > c->c.bytes)
		return "a disk in it is damaged";
	memcpy(name, buf + 1, len);
	memcpy(&off, buf + 1 + len, sizeof(off));
	if (r->disks->write(r->disks->opaque, name, off, buf + 9 + len,
		    c->c.bytes - 9 - len))
		return "it has a disk that this machine has not";
	return NULL;
}

/* ---- all of it ---- */

static void queue_chunk(struct reader *r, struct chunk *c)
{
	pthread_mutex_lock(&r->lock);
	while (r->queued >= MAX_QUEUED && !r->wrong)
		pthread_cond_wait(&r->room, &r->lock);
	*r->last = c;
	r->last = &c->next;
	r->queued++;
	pthread_cond_signal(&r->some);
	pthread_mutex_unlock(&r->lock);
}

/* The next chunk, of a length that may be; NULL with *why. */
static struct chunk *read_chunk(struct reader *r, const char **why)
{
	struct save_chunk c;
	struct chunk *out;
	uint64_t max;

	*why = "it is truncated";
	if (r->left < sizeof(c) || !read_all(r->fd, &c, sizeof(c)))
		return NULL;
	r->left -= sizeof(c);
	if (c.stored > r->left)
		return NULL;
	*why = "it is damaged";
	max = c.type == SAVE_TYPE_RAM	 ? SAVE_RUN_MAX
	      : c.type == SAVE_TYPE_DISK ? SAVE_DISK_MAX
	      : c.type == SAVE_TYPE_PART ? r->part_left
					 : sizeof(struct save_tail);
	if (c.type >= SAVE_NTYPES || c.bytes > max ||
		c.stored > ZSTD_compressBound(c.bytes))
		return NULL;
	if (c.type == SAVE_TYPE_PART)
		r->part_left -= c.bytes;
	out = g_try_malloc(sizeof(*out) + c.stored);
	if (!out) {
		*why = "there is not enough memory to read it";
		return NULL;
	}
	out->next = NULL;
	out->c = c;
	if (!read_all(r->fd, out->data, c.stored)) {
		g_free(out);
		*why = "it is truncated";
		return NULL;
	}
	r->left -= c.stored;
	return out;
}

/* Up to the end, whose figures go to *t. */
static const char *read_chunks(struct reader *r, struct save_tail *t)
{
	const char *why = NULL;

	for (uint64_t n = 0; !r->wrong; n++) {
		struct chunk *c = read_chunk(r, &why);
		ZSTD_DCtx *z;

		if (!c)
			return why;
		if (c->c.type == SAVE_TYPE_RAM) {
			queue_chunk(r, c);
			continue;
		}
		why = NULL;
		if (c->c.type != SAVE_TYPE_END) {
			why = c->c.type == SAVE_TYPE_PART ? take_part(r, c)
							  : take_disk(r, c);
			g_free(c);
			if (why)
				return why;
			continue;
		}
		z = ZSTD_createDCtx();
		if (!z || !unpack(z, c, (uint8_t *)t, sizeof(*t)) ||
			t->chunks != n || r->left)
			why = "its end is damaged";
		ZSTD_freeDCtx(z);
		g_free(c);
		return why;
	}
	return NULL;
}

static const char *run_threads(
	struct reader *r, unsigned threads, struct save_tail *t)
{
	pthread_t id[MAX_THREADS];
	const char *why;
	unsigned n = 0;

	while (n < CLAMP(threads, 1, MAX_THREADS) &&
		!pthread_create(&id[n], NULL, ram_thread, r))
		n++;
	why = n ? read_chunks(r, t) : "there is no thread to read it";
	pthread_mutex_lock(&r->lock);
	r->over = true;
	if (why && !r->wrong)
		r->wrong = why;
	pthread_cond_broadcast(&r->some);
	pthread_mutex_unlock(&r->lock);
	while (n)
		pthread_join(id[--n], NULL);
	if (!r->wrong && t->pages != r->pages)
		r->wrong = "memory is missing";
	return r->wrong;
}

struct save_parts *save_read(int fd, const struct save_ram *ram,
	const struct save_disks *disks, uint64_t part_max, unsigned threads,
	GError **err)
{
	struct reader r = {
		.fd = fd, .ram = ram, .disks = disks, .part_left = part_max};
	g_autofree char *settings = save_read_settings(fd, err);
	struct save_tail t = {0};
	const char *wrong;
	struct stat st;

	if (!settings)
		return NULL;
	if (fstat(fd, &st) || !S_ISREG(st.st_mode)) {
		bad(err, "it is no ordinary file");
		return NULL;
	}
	r.left = (uint64_t)(st.st_size - lseek(fd, 0, SEEK_CUR));
	r.last = &r.first;
	r.parts = g_new0(struct save_parts, 1);
	r.parts->list = g_ptr_array_new_with_free_func(part_free);
	r.seen = g_malloc0(ram->bytes / SAVE_PAGE / SAVE_RUN_PAGES / 8 + 1);
	pthread_mutex_init(&r.lock, NULL);
	pthread_cond_init(&r.some, NULL);
	pthread_cond_init(&r.room, NULL);
	wrong = run_threads(&r, threads, &t);
	for (struct chunk *c = r.first, *next; c; c = next) {
		next = c->next;
		g_free(c);
	}
	pthread_cond_destroy(&r.room);
	pthread_cond_destroy(&r.some);
	pthread_mutex_destroy(&r.lock);
	g_free(r.seen);
	if (!wrong)
		return r.parts;
	save_parts_free(r.parts);
	bad(err, wrong);
	return NULL;
}
